//! How the texts of a session are to be read before anything in them means something: lexical settings and encoding.
//!
//! What must never happen here: a text that is cut into tokens in another way than the server cuts it, without Weir
//! saying so. Where it is not certain which settings are in force, all that are possible stand beside each other.

use weir_policy::analysis::{LexSettings, MysqlLex};
use weir_policy::statement::{Analysis, SessionAct};

use super::names::Applied;
use crate::catalog::MysqlFacts;

/// Client encodings of PostgreSQL in which a byte of a character can look like a quote or a backslash.
/// <https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED>
const UNSAFE_ENCODINGS: [&str; 7] = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"];
/// Character sets of MySQL and MariaDB in which no byte of a character can. Of all others it is not sure.
/// <https://dev.mysql.com/doc/refman/en/charset-charsets.html>
const SAFE_CHARSETS: [&str; 24] = [
    "utf8mb4", "utf8mb3", "utf8", "latin1", "ascii", "binary", "latin2", "latin5", "latin7", "cp1250", "cp1251",
    "cp1256", "cp1257", "cp850", "cp852", "cp866", "koi8r", "koi8u", "greek", "hebrew", "ujis", "euckr", "gb2312",
    "tis620",
];
/// Names under which a statement sets the character set of what the client sends.
const CHARSET_SETTINGS: [&str; 4] = ["names", "character_set_client", "character_set", "charset"];

/// How texts are read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Never empty; more than one where it is not certain which.
    lexes: Vec<LexSettings>,
    /// A character may hide a quote.
    unsafe_encoding: bool,
    /// What a session begins with.
    at_start: Option<Box<Spelling>>,
    /// The server's own sql_mode, which `DEFAULT` stands for; `None` when it is not known.
    default_mode: Option<String>,
}

impl Spelling {
    /// Of a PostgreSQL session, before the server has reported anything.
    pub fn postgres() -> Spelling {
        Spelling { lexes: vec![LexSettings::default()], unsafe_encoding: false, at_start: None, default_mode: None }
    }

    /// Of a MySQL session that begins with this character set. Without `facts` any mode may be in force.
    pub fn mysql(facts: Option<&MysqlFacts>, server: MysqlLex, charset: Option<&str>) -> Spelling {
        let default_mode = facts.map(|facts| facts.sql_mode.clone());
        let mut spelling = Spelling {
            lexes: lexes(server, default_mode.as_deref()),
            unsafe_encoding: !charset.is_some_and(is_safe),
            at_start: None,
            default_mode,
        };
        spelling.at_start = Some(Box::new(spelling.clone()));
        spelling
    }

    /// Every way in which a text may have to be cut; the likeliest first.
    pub fn lexes(&self) -> &[LexSettings] {
        &self.lexes
    }

    /// The likeliest.
    pub fn lex(&self) -> LexSettings {
        self.lexes.first().copied().unwrap_or_default()
    }

    /// Whether a character that is not ASCII may hide a quote.
    pub fn is_unsafe(&self) -> bool {
        self.unsafe_encoding
    }

    /// A setting that the server reports. True when it changes something.
    pub fn report(&mut self, name: &str, value: &str) -> bool {
        let before = (self.lexes.clone(), self.unsafe_encoding);
        match (self.lex(), name) {
            (LexSettings::Postgres { .. }, "standard_conforming_strings") => {
                self.lexes = vec![LexSettings::postgres(value == "on")];
            }
            (LexSettings::Postgres { .. }, "client_encoding") => {
                self.unsafe_encoding = UNSAFE_ENCODINGS.contains(&value.to_ascii_uppercase().as_str());
            }
            (LexSettings::Mysql(server), "sql_mode") => self.lexes = lexes(server, Some(value)),
            (LexSettings::Mysql(_), "character_set_client") => self.unsafe_encoding = !is_safe(value),
            _ => {}
        }
        (&self.lexes, self.unsafe_encoding) != (&before.0, before.1)
    }

    /// Applies the acts of a text of MySQL that has ended: what PostgreSQL changes it reports itself.
    /// True when something has changed.
    pub fn apply(&mut self, analysis: &Analysis, applied: Applied) -> bool {
        let LexSettings::Mysql(server) = self.lex() else { return false };
        let before = (self.lexes.clone(), self.unsafe_encoding);
        let surely = applied == Applied::Surely;
        for act in analysis.statements.iter().flat_map(|statement| &statement.acts) {
            match act {
                SessionAct::Set { name, value, .. } if name == "sql_mode" => {
                    let default = value.as_deref().is_some_and(|value| value.eq_ignore_ascii_case("default"));
                    let value = if default { self.default_mode.as_deref() } else { value.as_deref() };
                    let now = lexes(server, value);
                    if surely {
                        self.lexes = now;
                    } else {
                        self.lexes.extend(now);
                    }
                }
                SessionAct::Set { name, value, .. } if CHARSET_SETTINGS.contains(&name.as_str()) => {
                    let is_unsafe = !value.as_deref().is_some_and(is_safe);
                    self.unsafe_encoding = is_unsafe || (self.unsafe_encoding && !surely);
                }
                SessionAct::Discard { all: true } if surely => {
                    if let Some(start) = &self.at_start {
                        self.lexes.clone_from(&start.lexes);
                        self.unsafe_encoding = start.unsafe_encoding;
                    }
                }
                _ => {}
            }
        }
        let mut distinct: Vec<LexSettings> = Vec::new();
        for lex in self.lexes.drain(..) {
            if !distinct.contains(&lex) {
                distinct.push(lex);
            }
        }
        self.lexes = distinct;
        (&self.lexes, self.unsafe_encoding) != (&before.0, before.1)
    }

    /// Whether a text changes how what stands behind in it is to be read. MySQL reads one statement when the one before
    /// it has run; PostgreSQL reads a whole text at once.
    pub fn changes_within(&self, analysis: &Analysis) -> bool {
        let changes = |act: &SessionAct| {
            matches!(act, SessionAct::Set { name, .. }
                if name == "sql_mode" || CHARSET_SETTINGS.contains(&name.as_str()))
        };
        let last = analysis.statements.len().saturating_sub(1);
        let earlier = analysis.statements.iter().take(last);
        matches!(self.lex(), LexSettings::Mysql(_)) && earlier.flat_map(|statement| &statement.acts).any(changes)
    }
}

/// What texts are read by under a mode; all that are possible where it is not known.
/// <https://dev.mysql.com/doc/refman/en/sql-mode.html>
fn lexes(server: MysqlLex, mode: Option<&str>) -> Vec<LexSettings> {
    /// Modes that stand for several, ANSI_QUOTES among them.
    const WITH_ANSI_QUOTES: [&str; 8] =
        ["ANSI_QUOTES", "ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL", "TRADITIONAL_ANSI"];
    let with = |ansi_quotes, no_backslash_escapes| {
        LexSettings::Mysql(MysqlLex { ansi_quotes, no_backslash_escapes, ..server })
    };
    let Some(mode) = mode else {
        return vec![with(false, false), with(true, false), with(false, true), with(true, true)];
    };
    let has =
        |names: &[&str]| mode.split(',').any(|word| names.iter().any(|name| word.trim().eq_ignore_ascii_case(name)));
    // A mode may be set by its number, too.
    if mode.trim().parse::<u64>().is_ok_and(|number| number != 0) {
        return lexes(server, None);
    }
    vec![with(has(&WITH_ANSI_QUOTES), has(&["NO_BACKSLASH_ESCAPES"]))]
}

fn is_safe(charset: &str) -> bool {
    let charset = charset.split_whitespace().next().unwrap_or("");
    let name = charset.split_once('_').map_or(charset, |(name, _)| name);
    SAFE_CHARSETS.iter().any(|safe| safe.eq_ignore_ascii_case(name))
}
