//! Which literals belong to a text's meaning, and the key of what is left when the others are taken out.
//!
//! INVARIANT: a literal that is left out of the key ("plain") is never shown to the parser or the readers: they get
//! a placeholder. Equal keys therefore mean equal analyses by construction, whatever this module decides; deciding
//! wrongly costs cache hits or makes a constant argument unreadable, never a wrong verdict.

mod mysql;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use aws_lc_rs::digest::{Context, SHA256, digest};

use super::lexer::{self, Kind, Lexed, Token};
use super::{LexSettings, Literal, LiteralKind, Quoting, Shape};
use crate::relation::Engine;

/// Words that make a compared string worth keeping: somebody may be storing SQL to run it later.
const SQL_WORDS: [&str; 10] =
    ["select", "insert", "update", "delete", "copy", "execute", "table", "call", "replace", "handler"];

/// Types whose literals are plain data. Anything else (`regclass` above all) may turn a string into a name.
const PLAIN_TYPES: [&str; 24] = [
    "text",
    "varchar",
    "bpchar",
    "char",
    "character",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "interval",
    "int",
    "integer",
    "int2",
    "int4",
    "int8",
    "bigint",
    "smallint",
    "numeric",
    "decimal",
    "real",
    "float8",
    "uuid",
    "inet",
];

/// A text cut into tokens, with its literals told apart.
#[derive(Debug)]
pub(super) struct Unit<'t> {
    pub(super) text: &'t [u8],
    pub(super) settings: LexSettings,
    pub(super) tokens: Vec<Token>,
    /// Literals in order, with the token that each is.
    pub(super) literals: Vec<(usize, Literal)>,
    pub(super) unterminated: bool,
}

impl<'t> Unit<'t> {
    pub(super) fn new(text: &'t [u8], settings: LexSettings) -> Unit<'t> {
        let Lexed { tokens, unterminated } = lexer::lex(text, settings);
        let literals = literals(text, &tokens, settings);
        Unit { text, settings, tokens, literals, unterminated }
    }

    /// [`Unit::new`] for a text of which the shape is known.
    pub(super) fn shaped(text: &'t [u8], settings: LexSettings, shape: &Shape) -> Unit<'t> {
        let Lexed { tokens, unterminated } = lexer::lex(text, settings);
        let own = tokens.iter().enumerate().filter(|(_, token)| token.is_literal());
        let mut literals = Vec::with_capacity(shape.literals.len());
        literals.extend(own.zip(&shape.literals).map(|((at, _), literal)| (at, literal.clone())));
        let is_its_own = literals.len() == shape.literals.len()
            && tokens.iter().filter(|token| token.is_literal()).count() == literals.len()
            && literals.iter().all(|(at, literal)| tokens[*at].range() == literal.range);
        if !is_its_own {
            // Of another text, or cut by other rules.
            literals = self::literals(text, &tokens, settings);
        }
        Unit { text, settings, tokens, literals, unterminated }
    }

    /// The number of the literal that this token is.
    pub(super) fn literal_index(&self, token: usize) -> Option<usize> {
        self.literals.binary_search_by_key(&token, |(token, _)| *token).ok()
    }

    /// The decoded value of the literal at this token, where it belongs to the key.
    pub(super) fn constant(&self, token: usize) -> Option<Vec<u8>> {
        let (_, literal) = self.literals.get(self.literal_index(token)?)?;
        if !literal.kept {
            return None;
        }
        let raw = self.text.get(literal.range.clone())?;
        super::literals::value(raw, literal.kind, self.settings).map(Cow::into_owned)
    }

    /// The decoded values of strings among these tokens that belong to the key.
    pub(super) fn kept_texts(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = Cow<'_, [u8]>> {
        let first = self.literals.partition_point(|(token, _)| *token < range.start);
        let all = self.literals.get(first..).unwrap_or_default().iter();
        let kept = all.take_while(move |(token, _)| *token < range.end).filter(|(_, literal)| literal.kept);
        kept.filter(|(_, literal)| matches!(literal.kind, LiteralKind::String(_))).filter_map(|(_, literal)| {
            let raw = self.text.get(literal.range.clone())?;
            super::literals::value(raw, literal.kind, self.settings)
        })
    }

    /// The word at this token, in lower case where its case means nothing.
    pub(super) fn word(&self, at: usize) -> Cow<'_, [u8]> {
        let raw = self.tokens.get(at).map(|token| token.raw(self.text)).unwrap_or_default();
        let folds = || match self.settings.engine() {
            Engine::Postgres => true,
            Engine::Mysql => mysql::folds(self.text, &self.tokens, at),
        };
        if raw.iter().any(u8::is_ascii_uppercase) && folds() {
            Cow::Owned(raw.to_ascii_lowercase())
        } else {
            Cow::Borrowed(raw)
        }
    }
}

/// The shape of a text.
pub(super) fn shape(text: &[u8], settings: LexSettings) -> Shape {
    let unit = Unit::new(text, settings);
    let key = key(&unit);
    Shape { key, literals: unit.literals.into_iter().map(|(_, literal)| literal).collect() }
}

/// Bytes of a stream of tokens that are put together before they are hashed: beyond, memory costs more than calls.
const STREAM_BYTES: usize = 32 * 1024;

/// SHA-256 over the tokens. Each is written with a tag and, where its length varies, its length, so that no two
/// token streams write the same bytes.
pub(super) fn key(unit: &Unit<'_>) -> [u8; 32] {
    let text = unit.text;
    let mut stream = Vec::with_capacity((text.len() + unit.tokens.len() * 2 + 8).min(2 * STREAM_BYTES));
    let mut hashed: Option<Context> = None;
    let mut next_literal = 0;
    for (at, token) in unit.tokens.iter().enumerate() {
        if stream.len() >= STREAM_BYTES {
            hashed.get_or_insert_with(|| Context::new(&SHA256)).update(&stream);
            stream.clear();
        }
        let raw = token.raw(text);
        if token.is_literal() {
            let literal = unit.literals.get(next_literal).map(|(_, literal)| literal);
            next_literal += 1;
            let tag = match token.kind {
                Kind::Number => b'n',
                Kind::Bits => b'b',
                _ => b's',
            };
            stream.push(tag);
            if literal.is_none_or(|literal| literal.kept) {
                let value = literal.and_then(|literal| super::literals::value(raw, literal.kind, unit.settings));
                stream.push(if value.is_some() { b'k' } else { b'?' });
                sized(&mut stream, value.as_deref().unwrap_or(raw));
            } else {
                stream.push(b'-');
            }
            continue;
        }
        match token.kind {
            Kind::Word => {
                stream.push(b'w');
                sized(&mut stream, &unit.word(at));
            }
            Kind::Quoted | Kind::QuotedUnicode => {
                stream.push(b'q');
                sized(&mut stream, token.identifier(text).as_bytes());
            }
            Kind::Param => {
                stream.push(b'p');
                sized(&mut stream, raw);
            }
            Kind::Variable => {
                stream.push(b'v');
                sized(&mut stream, token.identifier(text).as_bytes());
            }
            Kind::Operator => {
                stream.push(b'o');
                sized(&mut stream, raw);
            }
            _ => {
                stream.push(b'x');
                sized(&mut stream, raw);
            }
        }
    }
    if unit.unterminated {
        // No meaning is claimed for such a text; the key must still not collide with a whole one's.
        stream.push(b'!');
        sized(&mut stream, text);
    }
    let digest = match hashed {
        None => digest(&SHA256, &stream),
        Some(mut hashed) => {
            hashed.update(&stream);
            hashed.finish()
        }
    };
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    key
}

fn sized(stream: &mut Vec<u8>, bytes: &[u8]) {
    length(stream, bytes.len());
    stream.extend_from_slice(bytes);
}

fn length(stream: &mut Vec<u8>, bytes: usize) {
    match u8::try_from(bytes) {
        Ok(short) if short < u8::MAX => stream.push(short),
        _ => {
            stream.push(u8::MAX);
            stream.extend_from_slice(&bytes.to_le_bytes());
        }
    }
}

/// What an open parenthesis holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Paren {
    InList,
    ValuesRow,
    Other,
}

/// What kind of statement the literals stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Statement {
    /// Nothing read yet.
    Begin,
    /// Reads or changes rows: compared strings and all numbers are data.
    Data,
    /// Runs something named: numbers are data.
    Numbers,
    /// Anything else: literals are its meaning.
    Kept,
}

fn literals(text: &[u8], tokens: &[Token], settings: LexSettings) -> Vec<(usize, Literal)> {
    let engine = settings.engine();
    let mut found = Vec::with_capacity(tokens.iter().filter(|token| token.is_literal()).count());
    let mut parens: Vec<(Paren, bool)> = Vec::new();
    let mut statement = Statement::Begin;
    // Whether VALUES was read at this level and only rows have followed.
    let mut in_values = false;
    let mut previous: Option<&Token> = None;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            Kind::Word => {
                if statement == Statement::Begin {
                    statement = match engine {
                        Engine::Postgres => opening(text, token),
                        Engine::Mysql => mysql::opening(text, token),
                    };
                }
                in_values = is_values(text, token, engine);
            }
            Kind::Punct => match token.raw(text) {
                b"(" => {
                    let kind = match previous {
                        Some(before) if before.is_word(text, "in") => Paren::InList,
                        Some(before) if engine == Engine::Mysql && before.is_word(text, "against") => Paren::InList,
                        Some(before)
                            if in_values && (is_values(text, before, engine) || before.is_punct(text, ",")) =>
                        {
                            Paren::ValuesRow
                        }
                        _ => Paren::Other,
                    };
                    parens.push((kind, in_values));
                    in_values = false;
                }
                b")" => in_values = parens.pop().is_some_and(|(kind, outer)| outer && kind == Paren::ValuesRow),
                b";" if parens.is_empty() => {
                    statement = Statement::Begin;
                    in_values = false;
                }
                _ => {}
            },
            _ => {}
        }
        if token.is_literal() {
            let kind = match token.kind {
                Kind::Number => LiteralKind::Number,
                Kind::Bits => LiteralKind::Bits,
                Kind::Text(quoting) => LiteralKind::String(quoting),
                _ => continue,
            };
            let plain = match (statement, kind) {
                (Statement::Data, LiteralKind::Number) | (Statement::Numbers, LiteralKind::Number) => true,
                (Statement::Data, LiteralKind::String(quoting)) if engine == Engine::Postgres => {
                    quoting != Quoting::Dollar
                        && compared(text, previous, parens.last().map(|(kind, _)| *kind))
                        && plain_type_follows(text, tokens.get(index + 1), tokens.get(index + 2))
                        && !holds_sql(token.raw(text))
                }
                // MySQL writes binary keys as `0x…`.
                (Statement::Data, LiteralKind::String(_) | LiteralKind::Bits) if engine == Engine::Mysql => {
                    kind != LiteralKind::String(Quoting::Dollar)
                        && mysql::compared(text, previous, parens.last().map(|(kind, _)| *kind))
                        // `'sel\ect'` and `0x73…` spell words, too.
                        && super::literals::value(token.raw(text), kind, settings)
                            .is_some_and(|value| !holds_sql(&value))
                }
                _ => false,
            };
            found.push((index, Literal { range: token.range(), kind, kept: !plain }));
        }
        previous = Some(token);
    }
    // Which variable is set may stand in what a row is compared with.
    if tokens.get(1).is_some_and(|token| token.is_word(text, "set_config")) {
        found.iter_mut().for_each(|(_, literal)| literal.kept = true);
    }
    found
}

/// MySQL lets it be called VALUE, too.
fn is_values(text: &[u8], token: &Token, engine: Engine) -> bool {
    token.is_word(text, "values") || (engine == Engine::Mysql && token.is_word(text, "value"))
}

fn opening(text: &[u8], token: &Token) -> Statement {
    let is = |words: &[&str]| words.iter().any(|word| token.is_word(text, word));
    if is(&["select", "insert", "update", "delete", "with", "values", "merge", "table"]) {
        Statement::Data
    } else if is(&["fetch", "move", "execute", "explain", "copy", "close"]) {
        Statement::Numbers
    } else {
        Statement::Kept
    }
}

/// Whether a string in this place is compared with something, or is a datum of a list.
fn compared(text: &[u8], previous: Option<&Token>, paren: Option<Paren>) -> bool {
    let Some(previous) = previous else { return false };
    match previous.kind {
        Kind::Operator => matches!(
            previous.raw(text),
            b"=" | b"<>"
                | b"!="
                | b"<"
                | b">"
                | b"<="
                | b">="
                | b"~"
                | b"~*"
                | b"!~"
                | b"!~*"
                | b"~~"
                | b"~~*"
                | b"!~~"
                | b"!~~*"
        ),
        Kind::Word => {
            ["like", "ilike", "between", "and", "to", "escape", "date", "timestamp", "timestamptz", "time", "interval"]
                .iter()
                .any(|word| previous.is_word(text, word))
        }
        Kind::Punct => {
            matches!(previous.raw(text), b"(" | b",") && matches!(paren, Some(Paren::InList | Paren::ValuesRow))
        }
        _ => false,
    }
}

fn plain_type_follows(text: &[u8], next: Option<&Token>, after: Option<&Token>) -> bool {
    match next {
        Some(next) if next.is_punct(text, "::") => {
            after.is_some_and(|after| PLAIN_TYPES.iter().any(|name| after.is_word(text, name)))
        }
        _ => true,
    }
}

fn holds_sql(raw: &[u8]) -> bool {
    raw.len() > 6
        && raw.split(|byte| !byte.is_ascii_alphabetic()).any(|word| {
            (4..=7).contains(&word.len()) && SQL_WORDS.iter().any(|sql| word.eq_ignore_ascii_case(sql.as_bytes()))
        })
}
