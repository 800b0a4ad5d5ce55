//! How the texts of a session are to be read before anything in them means something: lexical settings and encoding.
//!
//! What must never happen here: a text that is cut into tokens in another way than the server cuts it, without Weir
//! saying so. Where it is not certain which settings are in force, all that are possible stand beside each other.

use weir_policy::analysis::{LexSettings, MysqlLex};
use weir_policy::statement::{Analysis, SessionAct};

use super::names::Applied;
use crate::catalog::{CatalogView, MysqlFacts};

/// Client encodings of PostgreSQL in which a byte of a character can look like a quote or a backslash.
/// <https://www.postgresql.org/docs/current/multibyte.html#MULTIBYTE-CHARSET-SUPPORTED>
const AMBIGUOUS_ENCODINGS: [&str; 7] = ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"];
/// Names of UTF-8 in MySQL and MariaDB.
const UTF8_CHARSETS: [&str; 3] = ["utf8mb4", "utf8mb3", "utf8"];
/// Other character sets of MySQL and MariaDB in which no byte of a character looks like ASCII. Of all others it is not
/// sure. <https://dev.mysql.com/doc/refman/en/charset-charsets.html>
const SAFE_CHARSETS: [&str; 21] = [
    "latin1", "ascii", "binary", "latin2", "latin5", "latin7", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
    "cp852", "cp866", "koi8r", "koi8u", "greek", "hebrew", "ujis", "euckr", "gb2312", "tis620",
];
/// Names under which a statement sets the character set of what the client sends.
const CHARSET_SETTINGS: [&str; 4] = ["names", "character_set_client", "character_set", "charset"];

/// What the bytes of a client's characters can look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Charset {
    /// UTF-8: no byte of a character looks like ASCII.
    Utf8,
    /// Another one of which that is true; what is a letter or a blank is not certain.
    Other,
    /// A byte of a character may look like a quote or a backslash.
    Ambiguous,
}

impl Charset {
    /// Of MySQL's name for a character set or a collation, and what may follow it in a statement.
    fn of_mysql(name: &str) -> Charset {
        let name = name.split_whitespace().next().unwrap_or("");
        let name = name.split_once('_').map_or(name, |(name, _)| name);
        let is_among = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        match () {
            () if is_among(&UTF8_CHARSETS) => Charset::Utf8,
            () if is_among(&SAFE_CHARSETS) => Charset::Other,
            () => Charset::Ambiguous,
        }
    }
}

/// How texts are read now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    /// Never empty; more than one where it is not certain which.
    lexes: Vec<LexSettings>,
    /// What bytes of the client's characters can look like.
    charset: Charset,
    /// What a session begins with.
    at_start: Option<Box<Spelling>>,
    /// The server's own sql_mode, which `DEFAULT` stands for; `None` when it is not known.
    default_mode: Option<String>,
}

impl Spelling {
    /// Of a PostgreSQL session, before the server has reported anything.
    pub fn postgres() -> Spelling {
        Spelling { lexes: vec![LexSettings::default()], charset: Charset::Utf8, at_start: None, default_mode: None }
    }

    /// Of a MySQL session that begins with this character set. Without `facts` any mode may be in force.
    pub fn mysql(facts: Option<&MysqlFacts>, server: MysqlLex, charset: Option<&str>) -> Spelling {
        // What the server runs by itself at the start of a session may have set another.
        let default_mode = facts.filter(|facts| !facts.has_init_connect).map(|facts| facts.sql_mode.clone());
        // Where the client named a collation that the server does not have, the server's own holds.
        let charset = charset.or(facts.map(|facts| facts.character_set_client.as_str()));
        let charset = charset.map_or(Charset::Ambiguous, Charset::of_mysql);
        let server = MysqlLex { utf8: charset == Charset::Utf8, ..server };
        let mut spelling =
            Spelling { lexes: lexes(server, default_mode.as_deref()), charset, at_start: None, default_mode };
        spelling.at_start = Some(Box::new(spelling.clone()));
        spelling
    }

    /// Of a session that does as the server does and sends UTF-8.
    pub fn usual(view: &CatalogView) -> LexSettings {
        let engine = view.catalog.engine();
        match (view.mysql(), LexSettings::of(engine)) {
            (Some(facts), LexSettings::Mysql(newest)) => {
                let server = MysqlLex { mariadb: facts.mariadb, version: facts.version, ..newest };
                Spelling::mysql(Some(facts), server, Some("utf8mb4")).lex()
            }
            (_, lex) => lex,
        }
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
    pub fn is_ambiguous(&self) -> bool {
        self.charset == Charset::Ambiguous
    }

    /// A setting that the server reports. True when it changes something.
    pub fn report(&mut self, name: &str, value: &str) -> bool {
        let before = (self.lexes.clone(), self.charset);
        match (self.lex(), name) {
            (LexSettings::Postgres { .. }, "standard_conforming_strings") => {
                self.lexes = vec![LexSettings::postgres(value == "on")];
            }
            (LexSettings::Postgres { .. }, "client_encoding") => {
                let is_ambiguous = AMBIGUOUS_ENCODINGS.contains(&value.to_ascii_uppercase().as_str());
                self.charset = if is_ambiguous { Charset::Ambiguous } else { Charset::Other };
            }
            (LexSettings::Mysql(server), "sql_mode") => self.lexes = lexes(server, Some(value)),
            (LexSettings::Mysql(_), "character_set_client") => self.encode(Charset::of_mysql(value)),
            _ => {}
        }
        (&self.lexes, self.charset) != (&before.0, before.1)
    }

    /// Applies the acts of a text of MySQL that has ended: what PostgreSQL changes it reports itself.
    /// True when something has changed.
    pub fn apply(&mut self, analysis: &Analysis, applied: Applied) -> bool {
        let LexSettings::Mysql(server) = self.lex() else { return false };
        let before = (self.lexes.clone(), self.charset);
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
                    let charset = value.as_deref().map_or(Charset::Ambiguous, Charset::of_mysql);
                    // Of two that are possible the worse.
                    self.encode(if surely { charset } else { charset.max(self.charset) });
                }
                SessionAct::Discard { all: true } if surely => {
                    if let Some(start) = &self.at_start {
                        self.lexes.clone_from(&start.lexes);
                        self.charset = start.charset;
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
        (&self.lexes, self.charset) != (&before.0, before.1)
    }

    fn encode(&mut self, charset: Charset) {
        self.charset = charset;
        for lex in &mut self.lexes {
            if let LexSettings::Mysql(lex) = lex {
                lex.utf8 = charset == Charset::Utf8;
            }
        }
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

#[cfg(test)]
mod tests {
    use weir_policy::analysis::{Context, analyse};
    use weir_policy::catalog::Catalog;
    use weir_policy::relation::Engine;

    use super::*;

    const SERVER: MysqlLex =
        MysqlLex { mariadb: true, version: 101_106, ansi_quotes: false, no_backslash_escapes: false, utf8: true };

    fn read(sql: &str) -> Analysis {
        let catalog = Catalog::empty(Engine::Mysql, "");
        let path = ["d".to_owned()];
        let lex = LexSettings::Mysql(SERVER);
        analyse(sql.as_bytes(), &Context { lex, catalog: &catalog, search_path: &path, temporary: &[] })
    }

    fn fresh(sql_mode: &str) -> Spelling {
        let facts =
            MysqlFacts { version: 101_106, mariadb: true, sql_mode: sql_mode.to_owned(), ..MysqlFacts::default() };
        Spelling::mysql(Some(&facts), SERVER, Some("utf8mb4"))
    }

    fn modes(spelling: &Spelling) -> Vec<(bool, bool)> {
        let mode = |lex: &LexSettings| match lex {
            LexSettings::Mysql(lex) => (lex.ansi_quotes, lex.no_backslash_escapes),
            LexSettings::Postgres { .. } => panic!("not MySQL's"),
        };
        spelling.lexes().iter().map(mode).collect()
    }

    #[test]
    fn modes_follow_what_is_set() {
        let mut spelling = fresh("STRICT_TRANS_TABLES");
        assert_eq!(modes(&spelling), [(false, false)]);
        assert!(spelling.apply(&read("set sql_mode = 'ANSI'"), Applied::Surely));
        assert_eq!(modes(&spelling), [(true, false)]);
        spelling.apply(&read("set sql_mode = 'NO_BACKSLASH_ESCAPES'"), Applied::Perhaps);
        assert_eq!(modes(&spelling), [(true, false), (false, true)], "both are possible");
        spelling.apply(&read("set session sql_mode = default"), Applied::Surely);
        assert_eq!(modes(&spelling), [(false, false)]);
        spelling.apply(&read("set sql_mode = concat(@@sql_mode, ',ANSI')"), Applied::Surely);
        assert_eq!(modes(&spelling).len(), 4, "whatever it is now");
        assert!(spelling.report("sql_mode", "ANSI_QUOTES"));
        assert_eq!(modes(&spelling), [(true, false)]);
        assert_eq!(modes(&Spelling::mysql(None, SERVER, Some("utf8mb4"))).len(), 4, "nobody has said");
        assert_eq!(modes(&fresh("4")).len(), 4, "a number stands for any");
    }

    #[test]
    fn character_sets_follow_what_is_set() {
        let mut spelling = fresh("");
        assert!(!spelling.is_ambiguous());
        spelling.apply(&read("set names gbk"), Applied::Perhaps);
        assert!(spelling.is_ambiguous());
        spelling.apply(&read("set names utf8mb4 collate utf8mb4_bin"), Applied::Perhaps);
        assert!(spelling.is_ambiguous(), "it may still be the other");
        spelling.apply(&read("set names latin1"), Applied::Surely);
        assert!(!spelling.is_ambiguous());
        assert!(matches!(spelling.lex(), LexSettings::Mysql(MysqlLex { utf8: false, .. })));
        spelling.apply(&read("set character_set_client = sjis"), Applied::Surely);
        assert!(spelling.is_ambiguous());
        assert!(Spelling::mysql(None, SERVER, None).is_ambiguous());
    }

    #[test]
    fn a_text_may_change_how_the_rest_of_it_is_read() {
        let spelling = fresh("");
        assert!(spelling.changes_within(&read("set sql_mode = 'ANSI_QUOTES'; select \"a\" from t")));
        assert!(!spelling.changes_within(&read("select 1; set sql_mode = 'ANSI_QUOTES'")));
        assert!(!spelling.changes_within(&read("set autocommit = 0; select 1")));
    }
}
