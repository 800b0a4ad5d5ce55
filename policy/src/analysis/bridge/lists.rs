//! Long lists: what repeats what was written already, and adds nothing to which values flow where, is left out.
//!
//! A bulk INSERT, a list of ids and the CASE by which object mappers update many rows have as many tokens as there are
//! rows; the parser's bounds are about what a person can mean. Only what cannot reach anything is left out: constants,
//! calls of the clock that stand in the rows before, and branches that repeat the one before word by word.

use std::cell::Cell;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token as ParserToken;

use super::Bridge;
use crate::analysis::lexer::{Kind, Token};

/// Tokens of one element that is taken for a constant: `-1.5::numeric(10, 2)`.
const ELEMENT_TOKENS_MAX: usize = 16;
/// Tokens of one branch that may repeat another.
const BRANCH_TOKENS_MAX: usize = 96;
/// Tokens back to the VALUES that a row belongs to.
const ROW_TOKENS_MAX: usize = 4096;

/// Words that are values.
const VALUES: [&str; 9] = [
    "null",
    "default",
    "true",
    "false",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtime",
    "localtimestamp",
];

/// Functions that take no values of any row, and are called so in rows.
const CALLS: [&str; 18] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "transaction_timestamp",
    "statement_timestamp",
    "clock_timestamp",
    "gen_random_uuid",
    "uuid",
    "uuid_generate_v4",
    "unix_timestamp",
    "utc_timestamp",
    "sysdate",
    "curdate",
    "curtime",
    "from_unixtime",
    "to_timestamp",
];

/// Types that a constant may be cast to: those that nobody's function stands behind.
const TYPES: [&str; 28] = [
    "text",
    "varchar",
    "bpchar",
    "char",
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
    "float4",
    "float8",
    "uuid",
    "inet",
    "bool",
    "boolean",
    "bytea",
    "jsonb",
];

/// Words that no branch holds which is left out: a query, a branch in it, or the end of what it stands in.
const STRUCTURE: [&str; 32] = [
    "select",
    "with",
    "values",
    "table",
    "from",
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "union",
    "except",
    "intersect",
    "case",
    "else",
    "end",
    "returning",
    "window",
    "over",
    "on",
    "using",
    "join",
    "into",
    "set",
    "interval",
    "exists",
    "any",
    "all",
    "some",
    "for",
];

/// Lists that are being left out.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Up to this comma there was nothing but constants of a list.
    elements_to: Option<usize>,
    /// Up to this comma there was nothing but rows of VALUES.
    rows_to: Option<usize>,
    /// Calls in the rows that were written.
    row_words: Vec<String>,
    /// How much was written when it was found out whether its end is rows of VALUES, and whether it is.
    rows_out: Option<(usize, bool)>,
    /// The last branch of WHEN and the last of OR that was written or left out.
    branches: [Option<(usize, usize)>; 2],
    /// The literal that was last asked for, by its place among all.
    literal: Cell<usize>,
}

impl Bridge<'_, '_> {
    /// In `IN (1, 2, 3)`, `ARRAY[1, 2]` and `VALUES (…), (…)`, what follows the first constant element and is constant
    /// itself adds nothing to the analysis. `at` stands on the comma; where to go on when something was left out.
    pub(super) fn skip_constants(&mut self, at: usize, end: usize) -> Option<usize> {
        if self.lists.elements_to == Some(at) || self.is_behind_first(at) {
            let next = self.element(at + 1, end).filter(|next| self.is_between(*next, end))?;
            self.lists.elements_to = Some(next);
            return Some(next);
        }
        let row = self.unit.tokens[..end].get(at + 1)?.is_punct(self.unit.text, "(");
        let begun = self.out.last()?.token == ParserToken::RParen;
        if !row || !(self.lists.rows_to == Some(at) || (begun && self.find_values())) {
            return None;
        }
        let next = self.row(at + 1, end, true)?;
        self.lists.rows_to = Some(next);
        Some(next)
    }

    /// A branch that begins at `at` with WHEN or OR and repeats the one before it is left out; where to go on.
    pub(super) fn skip_branch(&mut self, at: usize, end: usize) -> Option<usize> {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let kind =
            ["when", "or"].iter().position(|word| tokens.get(at).is_some_and(|token| token.is_word(text, word)))?;
        let word = tokens.get(at)?;
        let previous = self.lists.branches.get_mut(kind)?.take();
        // One that repeats a branch has its structure, too.
        if let Some((first, last)) = previous.filter(|(_, last)| *last == at) {
            let next = at + (last - first);
            let ends = tokens
                .get(next)
                .is_some_and(|token| token.kind == Kind::Word && token.raw(text).eq_ignore_ascii_case(word.raw(text)));
            if ends && self.repeats(first, at, next) {
                self.lists.branches[kind] = Some((at, next));
                self.accounted.extend((at..next).filter(|at| tokens[*at].is_identifier()));
                return Some(next);
            }
        }
        let mut depth = 0_usize;
        for next in at + 1..end.min(at + BRANCH_TOKENS_MAX) {
            let token = &tokens[next];
            match token.kind {
                Kind::Word if depth == 0 && token.raw(text).eq_ignore_ascii_case(word.raw(text)) => {
                    self.lists.branches[kind] = Some((at, next));
                    return None;
                }
                Kind::Word if STRUCTURE.iter().any(|word| token.is_word(text, word)) => return None,
                Kind::Punct => match token.raw(text) {
                    // A call may be of anything.
                    b"(" if tokens[next - 1].is_identifier()
                        && !["and", "or", "not", "in", "then", "when"]
                            .iter()
                            .any(|word| tokens[next - 1].is_word(text, word)) =>
                    {
                        return None;
                    }
                    b"(" => depth += 1,
                    b")" => depth = depth.checked_sub(1)?,
                    b"," if depth == 0 => return None,
                    b"::"
                        if !tokens
                            .get(next + 1)
                            .is_some_and(|name| TYPES.iter().any(|word| name.is_word(text, word))) =>
                    {
                        return None;
                    }
                    _ => {}
                },
                Kind::Junk | Kind::Variable | Kind::SystemVariable | Kind::Hint => return None,
                _ => {}
            }
        }
        None
    }

    /// Whether the tokens from `at` to `end` are those from `first` to `at`, other constants excepted.
    fn repeats(&self, first: usize, at: usize, end: usize) -> bool {
        let text = self.unit.text;
        // What CASE compares with or yields is data; behind any other word or sign a string may be a path or a name.
        let datum = |place: usize| {
            let before = place.checked_sub(1).and_then(|before| self.unit.tokens.get(before));
            before.is_some_and(|before| before.is_word(text, "when") || before.is_word(text, "then"))
                || !(self.is_kept(place) || self.is_kept(place + at - first))
        };
        let same = |one: &Token, other: &Token, place: usize| {
            one.kind == other.kind
                && (one.kind == Kind::Param || one.raw(text) == other.raw(text) || (one.is_literal() && datum(place)))
        };
        let (before, now) = (&self.unit.tokens[first..at], &self.unit.tokens[at..end]);
        before.len() == now.len()
            && before.iter().zip(now).zip(first..).all(|((one, other), place)| same(one, other, place))
    }

    fn is_kept(&self, token: usize) -> bool {
        /// Literals of two branches, more or less.
        const NEAR: usize = 8;
        let literals = &self.unit.literals;
        // Branches are asked about one after the other: a search through all of a megabyte's literals is the exception.
        let asked = self.lists.literal.get();
        let first = asked.saturating_sub(NEAR);
        let near = literals.get(first..literals.len().min(asked + NEAR)).unwrap_or_default();
        let place = near.iter().position(|(at, _)| *at == token).map(|place| first + place);
        let Some(place) = place.or_else(|| self.unit.literal_index(token)) else { return true };
        self.lists.literal.set(place);
        literals.get(place).is_none_or(|(_, literal)| literal.kept)
    }

    /// Whether what stands right before the comma at `at` is the first element of a list, and constant.
    fn is_behind_first(&self, at: usize) -> bool {
        let text = self.unit.text;
        let tokens = &self.unit.tokens;
        let first = at.saturating_sub(ELEMENT_TOKENS_MAX).max(self.first);
        let opens = |open: usize| {
            let before = open.checked_sub(1).and_then(|before| tokens.get(before));
            before.is_some_and(|before| match tokens[open].raw(text) {
                b"(" => before.is_word(text, "in"),
                b"[" => before.is_word(text, "array"),
                _ => false,
            })
        };
        let mut depth = 0_usize;
        for open in (first..at).rev() {
            match tokens[open].raw(text) {
                b")" | b"]" if tokens[open].kind == Kind::Punct => depth += 1,
                b"(" | b"[" if tokens[open].kind == Kind::Punct => {
                    if depth == 0 {
                        return opens(open) && self.element(open + 1, at) == Some(at);
                    }
                    depth -= 1;
                }
                b"," if depth == 0 => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether an element ends at `at`.
    fn is_between(&self, at: usize, end: usize) -> bool {
        self.unit.tokens[..end]
            .get(at)
            .is_some_and(|token| token.kind == Kind::Punct && matches!(token.raw(self.unit.text), b"," | b")" | b"]"))
    }

    /// Where the constant ends that begins at `at`, a row of constants included.
    fn element(&self, at: usize, end: usize) -> Option<usize> {
        match self.unit.tokens[..end].get(at)?.is_punct(self.unit.text, "(") {
            true => self.row(at, end, false),
            false => self.value(at, end, false),
        }
    }

    /// Where the row of constants ends whose parenthesis opens at `at`. `calls`: with calls that stand in rows before.
    fn row(&self, mut at: usize, end: usize, calls: bool) -> Option<usize> {
        let text = self.unit.text;
        loop {
            at = self.value(at + 1, end, calls)?;
            let token = self.unit.tokens[..end].get(at)?;
            if token.is_punct(text, ")") {
                return Some(at + 1);
            }
            if !token.is_punct(text, ",") {
                return None;
            }
        }
    }

    /// Where the single constant ends that begins at `at`.
    fn value(&self, mut at: usize, end: usize, calls: bool) -> Option<usize> {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let punct = |at: usize, punct: &str| tokens.get(at).is_some_and(|token| token.is_punct(text, punct));
        let is_any = |at: usize, words: &[&str]| {
            tokens.get(at).is_some_and(|token| words.iter().any(|word| token.is_word(text, word)))
        };
        let signed = tokens.get(at)?.kind == Kind::Operator && matches!(tokens[at].raw(text), b"-" | b"+");
        at += usize::from(signed);
        let token = tokens.get(at)?;
        let own = token.kind == Kind::Word && !punct(at + 1, ".");
        at = match token.kind {
            Kind::Param | Kind::Null => at + 1,
            _ if token.is_literal() => at + 1,
            Kind::Word if own && is_any(at, &VALUES) && !punct(at + 1, "(") => at + 1,
            Kind::Word if own && calls && is_any(at, &CALLS) && punct(at + 1, "(") => {
                let name = token.identifier(text);
                if !self.lists.row_words.iter().any(|known| name.eq_ignore_ascii_case(known)) {
                    return None;
                }
                match punct(at + 2, ")") {
                    true => at + 3,
                    false => self.row(at + 1, end, false)?,
                }
            }
            _ => return None,
        };
        while punct(at, "::") {
            if !is_any(at + 1, &TYPES) {
                return None;
            }
            at += 2;
            if punct(at, "(") {
                at = self.row(at, end, false)?;
            }
        }
        Some(at)
    }

    /// Whether the rows just written belong to a VALUES list: walks back over them, and notes their words.
    fn find_values(&mut self) -> bool {
        let known = self.lists.rows_out.take();
        let mut depth = 0_usize;
        let mut words = Vec::new();
        let mut found = false;
        for (place, token) in self.out.iter().enumerate().rev().take(ROW_TOKENS_MAX) {
            if depth == 0
                && let Some((_, values)) = known.filter(|(written, _)| *written == place + 1)
            {
                found = values;
                words.append(&mut self.lists.row_words);
                break;
            }
            match &token.token {
                ParserToken::RParen => depth += 1,
                ParserToken::LParen => depth = depth.saturating_sub(1),
                ParserToken::Word(word) if depth == 0 => {
                    found = word.keyword == Keyword::VALUES;
                    break;
                }
                ParserToken::Word(word) if CALLS.iter().any(|call| word.value.eq_ignore_ascii_case(call)) => {
                    words.push(word.value.clone());
                }
                ParserToken::Comma => {}
                _ if depth == 0 => break,
                _ => {}
            }
        }
        if found {
            words.sort_unstable();
            words.dedup();
            self.lists.row_words = words;
        }
        self.lists.rows_out = Some((self.out.len(), found));
        found
    }
}
