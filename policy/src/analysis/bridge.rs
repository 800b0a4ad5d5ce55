//! Our tokens to the parser's: one reading of the text, so that no two lexers can disagree about it.
//!
//! Literals become placeholders (see [`shape`](super::shape)), identifiers arrive unquoted and folded, and each
//! token's position is its index in our own stream. Forms that the parser refuses, and that change nothing about
//! which values flow where, are written as forms that it knows. What would cost the parser stack or memory beyond
//! proportion is refused here, before it sees anything.

mod clauses;
mod lists;
mod mysql;
mod postgres;
mod words;

pub(super) use mysql::{Into, Notes, Uncached, continues_name};

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token as ParserToken, TokenWithSpan};

use super::builtins;
use super::lexer::{Kind, Token};
use super::shape::Unit;
use crate::relation::Engine;

/// Tokens that the parser is given at most. A tree costs about 200 bytes a token: this is some 6 MiB.
const TOKENS_MAX: usize = 24 * 1024;
/// Bytes of text that the parser is given at most, constant lists not counted.
const BYTES_MAX: usize = 64 * 1024;
/// Longest way down the tree: nesting, and operators in a row (which nest to the left), along one path. With
/// [`parse`](super::parse)'s stack this leaves a factor of two.
const PATH_MAX: usize = 1200;
/// As [`PATH_MAX`], for a text that is read while another one is: bodies in bodies.
const PATH_INNER_MAX: usize = 200;
/// Clauses that are left out of one statement: a table has a few, and a text that has more of them than the parser takes
/// tokens is about nothing else.
const LEFT_OUT_MAX: usize = TOKENS_MAX;
/// Nesting of parentheses, brackets and CASE.
const NESTING_MAX: usize = 120;
/// Set operations in one statement: each costs the parser 13 KiB.
const SET_OPERATIONS_MAX: usize = 500;
/// A text of at most this many tokens and [`SHALLOW_PATH`] is parsed on the caller's own stack.
const SHALLOW_TOKENS: usize = 400;
/// See [`SHALLOW_TOKENS`].
const SHALLOW_PATH: usize = 48;

/// Words that nest like an operator does when they stand in a row.
const NESTING_WORDS: [&str; 29] = [
    "and",
    "or",
    "not",
    "is",
    "like",
    "ilike",
    "similar",
    "between",
    "in",
    "collate",
    "isnull",
    "notnull",
    "at",
    "escape",
    "overlaps",
    "interval",
    "join",
    "prior",
    "any",
    "all",
    "some",
    "operator",
    "union",
    "except",
    "intersect",
    "with",
    "as",
    "explain",
    "array",
];

/// Tokens ready for the parser.
#[derive(Debug)]
pub(super) struct Bridged {
    pub(super) tokens: Vec<TokenWithSpan>,
    /// Operators that the server does not ship: a function of somebody's stands behind each.
    pub(super) unknown_operators: Vec<String>,
    /// Small and flat enough for any stack.
    pub(super) shallow: bool,
    /// Too deep to be read while others are being read.
    pub(super) deep: bool,
    /// Tokens that were left out and that name no relation.
    pub(super) accounted: Vec<usize>,
    /// What was noticed of a MySQL statement.
    pub(super) notes: Notes,
}

/// What the tokens are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A statement.
    Statement,
    /// A list of expressions, which becomes a SELECT of them.
    Expressions,
}

/// Translates the tokens of one statement. `None`: over a bound.
pub(super) fn bridge(unit: &Unit<'_>, range: std::ops::Range<usize>, form: Form) -> Option<Bridged> {
    let mut bridge = Bridge {
        unit,
        first: range.start,
        out: Vec::new(),
        unknown_operators: Vec::new(),
        accounted: Vec::new(),
        left_out: 0,
        params: (range.start, 0),
        lists: lists::Lists::default(),
        targets: 0..0,
        updates: false,
        mysql: mysql::State::new(&unit.tokens, range.start),
    };
    if form == Form::Expressions {
        bridge.word(range.start, "select");
    }
    let mut at = range.start;
    while at < range.end {
        at = match unit.settings.engine() {
            Engine::Postgres => bridge.step(at, range.start, range.end),
            Engine::Mysql => bridge.step_mysql(at, range.start, range.end),
        };
        if bridge.out.len() > TOKENS_MAX || bridge.left_out > LEFT_OUT_MAX {
            return None;
        }
    }
    let path = longest_path(&bridge.out)?;
    let shallow = bridge.out.len() <= SHALLOW_TOKENS && path <= SHALLOW_PATH;
    Some(Bridged {
        tokens: bridge.out,
        unknown_operators: bridge.unknown_operators,
        shallow,
        deep: path > PATH_INNER_MAX,
        accounted: bridge.accounted,
        notes: bridge.mysql.notes,
    })
}

/// The index in our stream of the token that begins here; `None` for what the parser made up.
pub(super) fn position(span: Span) -> Option<usize> {
    usize::try_from(span.start.column).ok()?.checked_sub(1)
}

struct Bridge<'u, 't> {
    unit: &'u Unit<'t>,
    /// First token of the statement.
    first: usize,
    out: Vec<TokenWithSpan>,
    unknown_operators: Vec<String>,
    accounted: Vec<usize>,
    /// Clauses that were left out, see [`LEFT_OUT_MAX`].
    left_out: usize,
    /// Parameters from the first token up to this one.
    params: (usize, usize),
    lists: lists::Lists,
    /// Where the columns of an INSERT of PostgreSQL's are listed.
    targets: std::ops::Range<usize>,
    /// A word SET has come by.
    updates: bool,
    mysql: mysql::State,
}

impl Bridge<'_, '_> {
    /// Translates what stands at `at`, and says where to go on.
    fn step(&mut self, at: usize, first: usize, end: usize) -> usize {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let token = tokens[at];
        let previous = at.checked_sub(1).filter(|before| *before >= first).map(|before| tokens[before]);
        match token.kind {
            Kind::Word => {
                if let Some(next) = self.skip_branch(at, end) {
                    return next;
                }
                if let Some(next) = self.rewrite(at, previous, end) {
                    return next;
                }
                self.push(at, ParserToken::make_word(&token.identifier(text), None));
            }
            Kind::Quoted | Kind::QuotedUnicode => {
                if let Some(next) = self.typed_literal(at, end).or_else(|| self.argument_name(at, previous, end)) {
                    return next;
                }
                self.push(at, ParserToken::make_word(&token.identifier(text), Some('"')))
            }
            Kind::Param => {
                self.push(at, ParserToken::Placeholder(String::from_utf8_lossy(token.raw(text)).into_owned()))
            }
            Kind::Number => self.push(at, ParserToken::Number("1".to_owned(), false)),
            Kind::Text(_) => self.push(at, ParserToken::SingleQuotedString("x".to_owned())),
            Kind::Bits => self.push(at, ParserToken::HexStringLiteral("0".to_owned())),
            Kind::Operator => self.operator(at, previous),
            Kind::Junk | Kind::Variable | Kind::SystemVariable | Kind::Null | Kind::Hint => {
                self.push(at, ParserToken::Backslash)
            }
            Kind::Punct => {
                let punct = match token.raw(text) {
                    b"(" => {
                        if let Some(next) = self.whole_row(at, previous, end) {
                            return next;
                        }
                        ParserToken::LParen
                    }
                    b")" => ParserToken::RParen,
                    b"[" => {
                        if let Some(next) = self.target_subscript(at, first, end) {
                            return next;
                        }
                        ParserToken::LBracket
                    }
                    b"]" => ParserToken::RBracket,
                    b"," => {
                        if let Some(next) = self.skip_constants(at, end) {
                            return next;
                        }
                        ParserToken::Comma
                    }
                    b";" => ParserToken::SemiColon,
                    b"." => ParserToken::Period,
                    b"::" => ParserToken::DoubleColon,
                    b":=" => ParserToken::Assignment,
                    b":" => ParserToken::Colon,
                    _ => ParserToken::Backslash,
                };
                self.push(at, punct);
            }
        }
        at + 1
    }

    fn push(&mut self, at: usize, token: ParserToken) {
        let column = u64::try_from(at).unwrap_or(u64::MAX - 1) + 1;
        let span = Span::new(Location::new(1, column), Location::new(1, column));
        self.out.push(TokenWithSpan::new(token, span));
    }

    fn word(&mut self, at: usize, word: &str) {
        self.push(at, ParserToken::make_word(word, None));
    }

    /// Forms that the parser refuses or misreads. Where one stands, the rewritten form is written and the place
    /// after it returned.
    fn rewrite(&mut self, at: usize, previous: Option<Token>, end: usize) -> Option<usize> {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let token = tokens[at];
        let is = |ahead: usize, word: &str| tokens.get(at + ahead).is_some_and(|token| token.is_word(text, word));
        let punct = |ahead: usize, punct: &str| tokens.get(at + ahead).is_some_and(|token| token.is_punct(text, punct));
        let after = |words: &[&str]| previous.is_some_and(|before| words.iter().any(|word| before.is_word(text, word)));
        if previous.is_some_and(|before| before.is_punct(text, ".")) {
            return None;
        }
        let form = self.typed_literal(at, end).or_else(|| self.argument_name(at, previous, end));
        if form.is_some() {
            return form;
        }
        match token.raw(text).len() {
            7 if is(0, "default") => self.default_value(at, end),
            3 if is(0, "set") => {
                self.updates = true;
                None
            }
            4 if is(0, "into") && after(&["insert"]) => {
                self.note_targets(at, end);
                None
            }
            // FROM ONLY t, FROM ONLY (t): the children are counted too, which is the strict side.
            4 if is(0, "only") && !after(&["row", "rows", "ties"]) => {
                if !punct(1, "(") {
                    return Some(at + 1);
                }
                let close = (at + 2..end.min(at + 8)).find(|index| tokens[*index].is_punct(text, ")"))?;
                for index in at + 2..close {
                    self.step(index, index, end);
                }
                Some(close + 1)
            }
            5 if is(0, "table")
                && !after(&["into", "temp", "temporary", "unlogged"])
                && tokens.get(at + 1).is_some_and(Token::is_identifier) =>
            {
                self.word(at, "select");
                self.push(at, ParserToken::Mul);
                self.word(at, "from");
                Some(at + 1)
            }
            3 if is(0, "for") && is(1, "no") && is(2, "key") && is(3, "update") => {
                self.word(at, "for");
                Some(at + 3)
            }
            3 if is(0, "for") && is(1, "key") && is(2, "share") => {
                self.word(at, "for");
                Some(at + 2)
            }
            7 if is(0, "exclude") && ((is(1, "current") && is(2, "row")) || (is(1, "no") && is(2, "others"))) => {
                Some(at + 3)
            }
            7 if is(0, "exclude") && (is(1, "group") || is(1, "ties")) => Some(at + 2),
            // WHERE CURRENT OF cursor: the row is whatever the cursor points at.
            7 if is(0, "current") && is(1, "of") && after(&["where"]) => {
                self.word(at, "true");
                self.accounted.push(at + 2);
                Some(at + 3)
            }
            // trim(both from x), trim(leading from x): which end does not matter.
            4 | 7 | 8 if (is(0, "both") || is(0, "leading") || is(0, "trailing")) && is(1, "from") => Some(at + 2),
            9 if is(0, "symmetric") && after(&["between"]) => Some(at + 1),
            8 if is(0, "variadic") && !punct(1, ",") && !punct(1, ")") => Some(at + 1),
            // xmlelement(name x, …): the element's name is no column.
            10 if is(0, "xmlelement")
                && punct(1, "(")
                && is(2, "name")
                && tokens.get(at + 3).is_some_and(Token::is_identifier) =>
            {
                self.word(at, "xmlelement");
                self.push(at + 1, ParserToken::LParen);
                Some(if punct(4, ",") { at + 5 } else { at + 4 })
            }
            _ => None,
        }
    }

    /// `(row).*`, written as `row.*`. `at` stands on the parenthesis.
    fn whole_row(&mut self, at: usize, previous: Option<Token>, end: usize) -> Option<usize> {
        let text = self.unit.text;
        let tokens = self.unit.tokens.get(at..end.min(at + 5))?;
        let [_, name, close, dot, star] = tokens else { return None };
        let matches =
            name.is_identifier() && close.is_punct(text, ")") && dot.is_punct(text, ".") && star.raw(text) == b"*";
        if !matches
            || previous.is_some_and(|before| {
                before.is_identifier() && !before.is_word(text, "select") && !before.is_word(text, "returning")
            })
        {
            return None;
        }
        self.step(at + 1, at + 1, end);
        Some(at + 3)
    }

    fn operator(&mut self, at: usize, previous: Option<Token>) {
        let text = self.unit.text;
        let raw = self.unit.tokens[at].raw(text);
        let name = String::from_utf8_lossy(raw).into_owned();
        if !builtins::is_operator(self.unit.settings.engine(), &name) {
            // Whether the database has one of the name is asked by who knows its catalog.
            self.unknown_operators.push(name.clone());
        }
        let prefix = previous.is_none_or(|before| match before.kind {
            Kind::Operator => true,
            Kind::Punct => !matches!(before.raw(text), b")" | b"]"),
            Kind::Word => {
                // A keyword before an operator that stands for itself (`select *`, `and -1`, `where @ x`).
                matches!(ParserToken::make_word(&before.identifier(text), None), ParserToken::Word(word) if PREFIX_AFTER.contains(&word.keyword))
            }
            _ => false,
        });
        let token = match raw {
            b"*" => ParserToken::Mul,
            b"+" => ParserToken::Plus,
            b"-" => ParserToken::Minus,
            _ if prefix => ParserToken::Minus,
            b"=" => ParserToken::Eq,
            b"<>" | b"!=" => ParserToken::Neq,
            b"<" => ParserToken::Lt,
            b">" => ParserToken::Gt,
            b"<=" => ParserToken::LtEq,
            b">=" => ParserToken::GtEq,
            b"/" => ParserToken::Div,
            b"%" => ParserToken::Mod,
            b"||" => ParserToken::StringConcat,
            b"=>" => ParserToken::RArrow,
            b"~" => ParserToken::Tilde,
            b"~*" => ParserToken::TildeAsterisk,
            b"!~" => ParserToken::ExclamationMarkTilde,
            b"!~*" => ParserToken::ExclamationMarkTildeAsterisk,
            b"~~" => ParserToken::DoubleTilde,
            b"~~*" => ParserToken::DoubleTildeAsterisk,
            b"!~~" => ParserToken::ExclamationMarkDoubleTilde,
            b"!~~*" => ParserToken::ExclamationMarkDoubleTildeAsterisk,
            _ => ParserToken::CustomBinaryOperator(name),
        };
        self.push(at, token);
    }
}

const PREFIX_AFTER: [Keyword; 22] = [
    Keyword::SELECT,
    Keyword::WHERE,
    Keyword::AND,
    Keyword::OR,
    Keyword::NOT,
    Keyword::ON,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::CASE,
    Keyword::BY,
    Keyword::HAVING,
    Keyword::BETWEEN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::LIMIT,
    Keyword::OFFSET,
    Keyword::RETURNING,
    Keyword::DISTINCT,
    Keyword::ALL,
    Keyword::FROM,
    Keyword::TO,
];

/// The deepest that any path of the tree can get, or `None` when a bound is crossed.
fn longest_path(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut open: Vec<usize> = vec![0];
    let mut path = 0_usize;
    let mut longest = 0;
    let mut set_operations = 0;
    let mut bytes = 0;
    for token in tokens {
        let mut deeper = false;
        match &token.token {
            ParserToken::LParen => {
                open.push(0);
                path += 1;
            }
            ParserToken::LBracket => {
                deeper = true;
                open.push(0);
                path += 1;
            }
            ParserToken::RParen | ParserToken::RBracket => {
                if open.len() > 1 {
                    path = path.saturating_sub(open.pop().unwrap_or(0) + 1);
                }
                // What stands behind it goes on at the level that it stands on.
                deeper = token.token == ParserToken::RBracket;
            }
            ParserToken::Comma | ParserToken::SemiColon => {
                if let Some(level) = open.last_mut() {
                    path = path.saturating_sub(*level);
                    *level = 0;
                }
            }
            ParserToken::Word(word) => {
                bytes += word.value.len();
                if word.quote_style.is_none() {
                    if matches!(word.keyword, Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT) {
                        set_operations += 1;
                    }
                    match word.keyword {
                        Keyword::CASE => {
                            open.push(0);
                            path += 1;
                        }
                        Keyword::END if open.len() > 1 => path = path.saturating_sub(open.pop().unwrap_or(0) + 1),
                        Keyword::SELECT
                        | Keyword::FROM
                        | Keyword::WHERE
                        | Keyword::GROUP
                        | Keyword::ORDER
                        | Keyword::HAVING => {}
                        _ => deeper = NESTING_WORDS.contains(&word.value.as_str()),
                    }
                }
            }
            ParserToken::Period
            | ParserToken::Number(..)
            | ParserToken::SingleQuotedString(_)
            | ParserToken::HexStringLiteral(_)
            | ParserToken::Placeholder(_) => {}
            _ => deeper = true,
        }
        bytes += 1;
        if deeper {
            if let Some(level) = open.last_mut() {
                *level += 1;
            }
            path += 1;
        }
        // A chain of set operations nests to the left too, whatever commas stand in between.
        longest = longest.max(path + set_operations);
        if longest > PATH_MAX || open.len() > NESTING_MAX || set_operations > SET_OPERATIONS_MAX || bytes > BYTES_MAX {
            return None;
        }
    }
    Some(longest)
}
