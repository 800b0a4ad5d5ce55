//! Lexical rules over bytes: one stream of tokens, in each server's own terms.
//!
//! Linear in the text, never fails, never allocates per token. What the server would reject comes out as
//! [`Kind::Junk`]; where it is not certain how the server cuts a text, [`Lexed::unterminated`] is set, and the caller
//! must then promise nothing.
//!
//! INVARIANT: a byte that the server reads as code is never inside a token that this module calls a literal or
//! skips as a comment, and the other way round.

mod mysql;
mod postgres;

use std::borrow::Cow;

use super::{LexSettings, Quoting};

pub(super) use mysql::Segments;
pub(super) use postgres::continuation;

/// PostgreSQL cuts identifiers to NAMEDATALEN - 1 bytes.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Unquoted identifier or keyword.
    Word,
    /// `"…"`, or MySQL's `` `…` ``.
    Quoted,
    /// `U&"…"`, with its UESCAPE.
    QuotedUnicode,
    /// `$1`, or MySQL's `?`.
    Param,
    /// MySQL's `@v`, `` @`v` ``, `@'v'`: a variable of a user, or the host in `'user'@'host'`.
    Variable,
    /// MySQL's `@@v`: a variable of the server, or the scope of one (`@@global`), which `.v` follows.
    SystemVariable,
    /// `\N`, which MariaDB reads as NULL.
    Null,
    /// An optimiser hint that sets `sql_mode`. All others are dropped with the comments.
    Hint,
    /// Number.
    Number,
    /// String literal.
    Text(Quoting),
    /// `B'…'`, `X'…'`, and MySQL's `0x…`, `0b…`.
    Bits,
    /// Operator of one or more operator characters.
    Operator,
    /// `( ) [ ] { } , ; . :` and `::`, `:=`, `..`.
    Punct,
    /// A byte that begins no token.
    Junk,
}

/// Whose rules a token was cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// Identifiers fold to lower case and are cut.
    Postgres,
    /// Identifiers are what is written.
    Mysql {
        /// A backslash in a string escapes.
        escapes: bool,
    },
}

/// A token and the bytes it covers. A megabyte may hold a million of them, so they are small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    rules: Rules,
    start: u32,
    end: u32,
}

impl Token {
    /// Positions fit: [`lex`] cuts no text of more than 4 GiB.
    fn new(kind: Kind, rules: Rules, start: usize, end: usize) -> Token {
        let position = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Token { kind, rules, start: position(start), end: position(end) }
    }

    /// The bytes that it covers.
    pub(super) fn range(&self) -> std::ops::Range<usize> {
        let position = |at| usize::try_from(at).unwrap_or(usize::MAX);
        position(self.start)..position(self.end)
    }

    pub(super) fn raw<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.range()).unwrap_or_default()
    }

    pub(super) fn is_identifier(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Quoted | Kind::QuotedUnicode)
    }

    pub(super) fn is_literal(&self) -> bool {
        matches!(self.kind, Kind::Number | Kind::Text(_) | Kind::Bits)
    }

    /// Whether it is this keyword (given in lower case), unquoted.
    pub(super) fn is_word(&self, text: &[u8], word: &str) -> bool {
        self.kind == Kind::Word && self.raw(text).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn is_punct(&self, text: &[u8], punct: &str) -> bool {
        self.kind == Kind::Punct && self.raw(text) == punct.as_bytes()
    }

    /// The identifier as the server stores it. PostgreSQL: unquoted, unescaped, folded, cut. MySQL: unquoted, its case
    /// as written, since that of tables may matter; the name of a variable without its `@`.
    pub(super) fn identifier<'t>(&self, text: &'t [u8]) -> Cow<'t, str> {
        let raw = self.raw(text);
        if let Rules::Mysql { escapes } = self.rules {
            return mysql::identifier(raw, self.kind, escapes);
        }
        match self.kind {
            Kind::Word => fold(raw),
            Kind::Quoted => {
                let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
                if inner.contains(&b'"') {
                    cut(Cow::Owned(String::from_utf8_lossy(&undouble(inner, b'"')).into_owned()))
                } else {
                    cut(String::from_utf8_lossy(inner))
                }
            }
            Kind::QuotedUnicode => {
                let decoded = super::literals::unicode(raw, b'"').unwrap_or_default();
                cut(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
            }
            _ => String::from_utf8_lossy(raw),
        }
    }
}

/// A text cut into tokens.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    pub(super) tokens: Vec<Token>,
    /// A string, comment or quoted identifier has no end, or it is not certain where the server sees one.
    pub(super) unterminated: bool,
}

/// Cuts a text into tokens; comments and white space are dropped.
pub(super) fn lex(text: &[u8], settings: LexSettings) -> Lexed {
    if u32::try_from(text.len()).is_err() {
        // No server takes such a text, and nothing is promised of it.
        return Lexed { tokens: Vec::new(), unterminated: true };
    }
    match settings {
        LexSettings::Postgres { standard_conforming_strings } => postgres::lex(text, standard_conforming_strings),
        LexSettings::Mysql(settings) => mysql::lex(text, settings),
    }
}

/// Doubled delimiters become single ones.
pub(super) fn undouble(inner: &[u8], delimiter: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == delimiter {
            bytes.next();
        }
    }
    out
}

/// Space, tab, and what else ends a word and means nothing.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn fold(raw: &[u8]) -> Cow<'_, str> {
    if raw.iter().any(u8::is_ascii_uppercase) {
        cut(Cow::Owned(String::from_utf8_lossy(&raw.to_ascii_lowercase()).into_owned()))
    } else {
        cut(String::from_utf8_lossy(raw))
    }
}

fn cut(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.len() <= IDENTIFIER_BYTES_MAX {
        return name;
    }
    let end = (0..=IDENTIFIER_BYTES_MAX).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(&name[..end]),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    }
}
