//! SQL text to [`Analysis`]: which relations a statement reaches, what leaves, and what it changes.
//!
//! Two readings stand beside each other. The **lexer** never fails and yields a superset of the relations that a
//! text can name. The **parser** says which columns flow where, and only counts where it accounts for every name
//! that the lexer saw; what it refuses or leaves out is answered by the lexer and said in [`Coverage`](crate::statement::Coverage).
//!
//! What must never happen here: a panic, a stack overflow, time or memory that grows faster than the text, or an
//! analysis that depends on a literal which [`shape`] left out of its key. The last holds by construction: the
//! parser and the readers only ever see placeholders for those literals.

mod asks;
mod bridge;
mod builtins;
mod candidates;
mod changes;
mod copies;
mod cursor;
mod dump;
mod effects;
mod expand;
mod expression;
mod found;
mod from;
mod functions;
mod lexer;
mod lineage;
mod literals;
mod modify;
mod mysql;
mod output;
mod parse;
mod pins;
mod postgres;
mod privileges;
mod reading;
mod redact;
mod routines;
mod scope;
mod session;
mod sets;
mod shape;
mod uses;

#[cfg(test)]
mod tests;

pub(crate) use candidates::called;
pub(crate) use expand::plain_columns;

use std::borrow::Cow;
use std::ops::Range;

use crate::catalog::Catalog;
use crate::relation::Engine;
use crate::statement::Analysis;

/// Version of the newest MySQL that was tried, as versioned comments compare it.
const MYSQL_NEWEST: u32 = 90_700;

/// Grammar that a text is read by, with the settings of the session that change where tokens begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LexSettings {
    /// PostgreSQL.
    Postgres {
        /// Whether a backslash in `'…'` is an ordinary character.
        standard_conforming_strings: bool,
    },
    /// MySQL and MariaDB.
    Mysql(MysqlLex),
}

/// What MySQL's and MariaDB's lexers depend on.
///
/// The character set of what the client sends must be one of which no multi-byte character holds a byte of ASCII
/// (utf8mb4, utf8mb3, latin1, ascii, binary). Under GBK, SJIS, BIG5 and their like a quote or a backslash can be the
/// second half of a character: such a session's texts are not certain, whatever the lexer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MysqlLex {
    /// The server is MariaDB.
    pub mariadb: bool,
    /// Its version as versioned comments compare it: 80036, 90700, 101106.
    pub version: u32,
    /// `"…"` is an identifier (sql_mode ANSI_QUOTES).
    pub ansi_quotes: bool,
    /// A backslash in a string is an ordinary character (sql_mode NO_BACKSLASH_ESCAPES).
    pub no_backslash_escapes: bool,
    /// The client sends UTF-8 (character_set_client is utf8mb4 or utf8mb3). Otherwise a text that has anything but
    /// ASCII outside of strings and comments is not certain: latin1 knows other blanks and other letters.
    pub utf8: bool,
}

impl LexSettings {
    /// PostgreSQL's.
    pub const fn postgres(standard_conforming_strings: bool) -> LexSettings {
        LexSettings::Postgres { standard_conforming_strings }
    }

    /// Those of a fresh session of an engine; of the newest servers where versions differ.
    pub const fn of(engine: Engine) -> LexSettings {
        match engine {
            Engine::Postgres => LexSettings::postgres(true),
            Engine::Mysql => LexSettings::Mysql(MysqlLex {
                mariadb: false,
                version: MYSQL_NEWEST,
                ansi_quotes: false,
                no_backslash_escapes: false,
                utf8: true,
            }),
        }
    }

    /// Those that the server itself writes by: definitions of views, whatever the session's own are.
    pub(crate) const fn stored(self) -> LexSettings {
        match self {
            LexSettings::Postgres { .. } => LexSettings::postgres(true),
            LexSettings::Mysql(lex) => {
                LexSettings::Mysql(MysqlLex { ansi_quotes: false, no_backslash_escapes: false, utf8: true, ..lex })
            }
        }
    }

    /// Family of servers whose grammar it is.
    pub const fn engine(self) -> Engine {
        match self {
            LexSettings::Postgres { .. } => Engine::Postgres,
            LexSettings::Mysql(_) => Engine::Mysql,
        }
    }
}

impl Default for LexSettings {
    fn default() -> LexSettings {
        LexSettings::postgres(true)
    }
}

/// What the meaning of a text depends on besides the text.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Grammar and lexical settings of the session.
    pub lex: LexSettings,
    /// Snapshot of the database.
    pub catalog: &'a Catalog,
    /// Effective schema path, `pg_catalog` included where the server adds it.
    pub search_path: &'a [String],
    /// Names of temporary relations that this session made: they shadow unqualified names.
    pub temporary: &'a [String],
}

/// How a literal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// A number.
    Number,
    /// A string.
    String(Quoting),
    /// `B'…'` or `X'…'`, and MySQL's `0b…` and `0x…`.
    Bits,
}

/// How a string is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quoting {
    /// `'…'`, `N'…'`, and MySQL's `"…"`; whether backslashes count is up to the session.
    Standard,
    /// MySQL's `_charset'…'`.
    Charset,
    /// `E'…'`.
    Escape,
    /// `U&'…'`, with its UESCAPE.
    Unicode,
    /// `$tag$…$tag$`.
    Dollar,
}

/// A literal of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Bytes that it covers, quotes included.
    pub range: Range<usize>,
    /// How it is written.
    pub kind: LiteralKind,
    /// Whether its content is part of the shape's key.
    pub kept: bool,
}

/// What texts that differ in plain literals only have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// SHA-256 over the token stream, plain literals left out. Equal keys mean equal analyses under one [`Context`].
    pub key: [u8; 32],
    /// Every literal, in text order.
    pub literals: Vec<Literal>,
}

/// The shape of a text. Linear, never fails.
pub fn shape(text: &[u8], lex: LexSettings) -> Shape {
    shape::shape(text, lex)
}

/// The value of a literal as the server decodes it; numbers in plain decimal where that is exact.
/// `None`: not a value that the server would accept.
pub fn literal_value<'t>(text: &'t [u8], literal: &Literal, lex: LexSettings) -> Option<Cow<'t, [u8]>> {
    let raw = text.get(literal.range.clone())?;
    literals::value(raw, literal.kind, lex)
}

/// What a text does, as far as it can be understood. Never fails: what was not understood is said in the analysis.
pub fn analyse(text: &[u8], context: &Context<'_>) -> Analysis {
    reading::analyse(text, None, context)
}

/// [`analyse`] for a text whose shape is known, which was made under the settings of the context.
pub fn analyse_shaped(text: &[u8], shape: &Shape, context: &Context<'_>) -> Analysis {
    reading::analyse(text, Some(shape), context)
}
