//! Forms of PostgreSQL's that the parser has otherwise or not at all.

use std::ops::Range;

use sqlparser::tokenizer::Token as ParserToken;

use super::Bridge;
use crate::analysis::lexer::{Kind, Token};

/// Words behind which a string is a value of its own: all that are reserved, and those that are keywords there.
/// <https://www.postgresql.org/docs/current/sql-keywords-appendix.html>
#[rustfmt::skip]
const NO_TYPES: [&str; 104] = [
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "at", "between", "binary", "both",
    "by", "case", "cast", "check", "collate", "collation", "column", "columns", "constraint", "content", "create",
    "cross", "default", "deferrable", "desc", "distinct", "do", "document", "else", "end", "escape", "except",
    "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group", "having", "ilike", "in",
    "initially", "inner", "intersect", "interval", "into", "is", "isnull", "join", "key", "lateral", "leading",
    "left", "like", "limit", "natural", "not", "notnull", "null", "offset", "on", "only", "or", "order", "outer",
    "overlaps", "passing", "path", "placing", "precision", "primary", "references", "returning", "right", "row",
    "select", "set", "similar", "some", "symmetric", "table", "then", "to", "trailing", "true", "uescape", "union",
    "using", "value", "values", "variadic", "varying", "version", "when", "where", "window", "with", "zone",
];

/// An array has at most so many dimensions.
const DIMENSIONS_MAX: usize = 6;
/// Tokens of a name and its subscripts that are looked back on.
const NAME_TOKENS_MAX: usize = 40;

impl Bridge<'_, '_> {
    fn punct_at(&self, at: usize, end: usize, punct: &str) -> bool {
        at < end && self.unit.tokens[at].is_punct(self.unit.text, punct)
    }

    fn word_at(&self, at: usize, end: usize, word: &str) -> bool {
        at < end && self.unit.tokens[at].is_word(self.unit.text, word)
    }

    /// `type 'literal'`, of any type: written as `'literal'::type`. The place behind it.
    pub(super) fn typed_literal(&mut self, at: usize, end: usize) -> Option<usize> {
        let next = self.unit.tokens.get(at + 1).filter(|_| at + 1 < end)?;
        let token = self.unit.tokens[at];
        if !matches!(next.kind, Kind::Text(_)) {
            return None;
        }
        let name = token.identifier(self.unit.text);
        if token.kind == Kind::Word && NO_TYPES.contains(&&*name) {
            return None;
        }
        self.push(at + 1, ParserToken::SingleQuotedString("x".to_owned()));
        self.push(at, ParserToken::DoubleColon);
        let quote = (token.kind != Kind::Word).then_some('"');
        self.push(at, ParserToken::make_word(&name, quote));
        Some(at + 2)
    }

    /// The name of an argument (`f(name => value)`), which is no column.
    pub(super) fn argument_name(&mut self, at: usize, previous: Option<Token>, end: usize) -> Option<usize> {
        let text = self.unit.text;
        let first = previous.is_some_and(|before| before.is_punct(text, "(") || before.is_punct(text, ","));
        let arrow = self.unit.tokens.get(at + 1).filter(|_| at + 1 < end)?;
        let named = arrow.is_punct(text, ":=") || arrow.raw(text) == b"=>";
        (first && named).then(|| {
            self.accounted.push(at);
            at + 2
        })
    }

    /// DEFAULT for a value: nothing that anybody has read.
    pub(super) fn default_value(&mut self, at: usize, end: usize) -> Option<usize> {
        if !self.word_at(at, end, "default") || self.word_at(at + 1, end, "values") {
            return None;
        }
        self.word(at, "null");
        Some(at + 1)
    }

    /// Notes where the list of columns of an INSERT stands: `into` is at `at`.
    pub(super) fn note_targets(&mut self, at: usize, end: usize) {
        if !self.targets.is_empty() {
            return;
        }
        let mut open = at + 2;
        while self.punct_at(open, end, ".") {
            open += 2;
        }
        if self.word_at(open, end, "as") {
            open += 2;
        }
        if self.punct_at(open, end, "(") {
            let close = (open..end).find(|index| self.punct_at(*index, end, ")")).unwrap_or(open);
            self.targets = open..close;
        }
    }

    /// Part of an array that is given a value, by a constant subscript: the array is. The place behind it, for a
    /// bracket at `at`.
    ///
    /// Only of what is written: in a condition `key[1] = 5` pins no record.
    pub(super) fn target_subscript(&mut self, at: usize, first: usize, end: usize) -> Option<usize> {
        let close = self.constant_subscript(at, end)?;
        if self.targets.contains(&at) {
            return Some(close + 1);
        }
        let mut behind = close + 1;
        for _ in 0..DIMENSIONS_MAX {
            if !self.punct_at(behind, end, "[") {
                break;
            }
            behind = self.constant_subscript(behind, end)? + 1;
        }
        let is_set =
            self.unit.tokens.get(behind).is_some_and(|token| behind < end && token.raw(self.unit.text) == b"=");
        // Back over the name and its other subscripts, to what stands before.
        let mut start = at;
        while start > first && at - start < NAME_TOKENS_MAX {
            let token = self.unit.tokens[start - 1];
            let part = token.is_identifier() && !token.is_word(self.unit.text, "set")
                || token.is_literal()
                || ["[", "]", ".", ":"].iter().any(|punct| token.is_punct(self.unit.text, punct));
            if !part {
                break;
            }
            start -= 1;
        }
        let before = start.checked_sub(1).filter(|before| *before >= first)?;
        let listed = self.word_at(before, end, "set") || self.punct_at(before, end, ",");
        (is_set && listed && self.updates).then_some(close + 1)
    }

    /// The bracket that closes `[1]`, `[1:2]`, `[:2]`, `[$1]`.
    fn constant_subscript(&self, at: usize, end: usize) -> Option<usize> {
        let close = (at + 1..end.min(at + 5)).find(|index| self.punct_at(*index, end, "]"))?;
        let inside: Range<usize> = at + 1..close;
        let constant = |index: usize| {
            let token = self.unit.tokens[index];
            token.is_literal() || token.kind == Kind::Param || token.is_punct(self.unit.text, ":")
        };
        (!inside.is_empty() && inside.clone().all(constant)).then_some(close)
    }
}
