//! Which literals and words of a MySQL text belong to its meaning.

use super::super::lexer::{Kind, Token};
use super::{Paren, Statement};

/// Words that are reserved on MySQL and on MariaDB, so that no relation or column has them for a name: their case is
/// of no meaning. The case of any other word may be.
const RESERVED: [&str; 48] = [
    "all", "and", "as", "asc", "between", "by", "call", "case", "create", "delete", "desc", "distinct", "drop", "else",
    "exists", "explain", "for", "from", "group", "having", "in", "inner", "insert", "into", "is", "join", "kill",
    "left", "like", "limit", "not", "null", "on", "or", "order", "replace", "right", "select", "set", "show", "table",
    "then", "union", "update", "use", "using", "values", "where",
];

/// Whether the case of the word at `at` means nothing. Beside a dot a reserved word is a name.
pub(super) fn folds(text: &[u8], tokens: &[Token], at: usize) -> bool {
    let dot =
        |index: Option<usize>| index.and_then(|index| tokens.get(index)).is_some_and(|token| token.is_punct(text, "."));
    tokens.get(at).is_some_and(|token| RESERVED.iter().any(|word| token.is_word(text, word)))
        && !dot(at.checked_sub(1))
        && !dot(Some(at + 1))
}

pub(super) fn opening(text: &[u8], token: &Token) -> Statement {
    let is = |words: &[&str]| words.iter().any(|word| token.is_word(text, word));
    if is(&["select", "insert", "update", "delete", "with", "values", "replace", "table"]) {
        Statement::Data
    } else if is(&["call", "do", "handler", "execute", "explain", "describe", "desc", "analyze", "fetch", "close"]) {
        Statement::Numbers
    } else {
        Statement::Kept
    }
}

/// Whether a string in this place is compared with something, or is a datum of a list.
pub(super) fn compared(text: &[u8], previous: Option<&Token>, paren: Option<Paren>) -> bool {
    let Some(previous) = previous else { return false };
    match previous.kind {
        Kind::Operator => {
            matches!(previous.raw(text), b"=" | b"<=>" | b"<>" | b"!=" | b"<" | b">" | b"<=" | b">=")
        }
        Kind::Word => [
            "like",
            "rlike",
            "regexp",
            "between",
            "and",
            "escape",
            "date",
            "time",
            "timestamp",
            "interval",
            "separator",
        ]
        .iter()
        .any(|word| previous.is_word(text, word)),
        Kind::Punct => {
            matches!(previous.raw(text), b"(" | b",") && matches!(paren, Some(Paren::InList | Paren::ValuesRow))
        }
        _ => false,
    }
}
