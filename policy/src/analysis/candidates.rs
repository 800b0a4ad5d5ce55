//! What the lexer alone can say of a text: every relation that it can name, every function that it can call.
//!
//! INVARIANT: a relation that a statement reaches by name is among the candidates, whatever its grammar.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::lexer::{Kind, Token};
use super::shape::Unit;
use super::{Context, LexSettings, builtins};
use crate::catalog::Resolution;
use crate::relation::{Engine, RelationName};

/// A name that the catalog holds.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// Token of its first part.
    pub(super) token: usize,
    pub(super) name: RelationName,
    /// Index into the catalog's relations.
    pub(super) relation: usize,
    /// It stands where something is written.
    pub(super) written: bool,
}

/// A function call, as far as tokens show it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Token of its first part; 0 where it was read from a tree.
    pub(super) token: usize,
    pub(super) schema: Option<String>,
    pub(super) name: String,
    /// Tokens of its arguments where each is one literal; `None` when any is more than that.
    pub(super) constants: Option<Vec<usize>>,
}

/// Words that may stand between what writes and the name that is written to.
const MODIFIERS_MAX: usize = 8;

/// Every name in the tokens that resolves in the catalog.
pub(super) fn relations(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    each(unit, range, context, |written| found.push(written.candidate()));
    found
}

/// [`relations`], each name once: a text can repeat one without end.
pub(super) fn distinct(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> Vec<Candidate> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    each(unit, range, context, |written| {
        if seen.insert((written.relation, written.schema.clone(), written.name.clone(), written.target)) {
            found.push(written.candidate());
        }
    });
    found
}

/// A name with the schema that is written before it.
type Spelling<'u> = (Option<Cow<'u, str>>, Cow<'u, str>);

/// A [`Candidate`] as it stands in the text: a megabyte may hold a hundred thousand, and nothing is copied for them.
struct Written<'u> {
    token: usize,
    schema: Option<Cow<'u, str>>,
    name: Cow<'u, str>,
    relation: usize,
    target: bool,
}

impl Written<'_> {
    fn candidate(&self) -> Candidate {
        let name =
            RelationName { schema: self.schema.as_ref().map(|schema| schema.to_string()), name: self.name.to_string() };
        Candidate { token: self.token, name, relation: self.relation, written: self.target }
    }
}

/// Calls `take` with every name in the tokens that resolves in the catalog.
fn each<'u>(unit: &'u Unit<'_>, range: Range<usize>, context: &Context<'_>, mut take: impl FnMut(Written<'u>)) {
    let mut known: HashMap<Spelling<'u>, Option<usize>> = HashMap::new();
    for at in range.clone() {
        let parts = chain(unit, at, &range);
        // `a.b.c`: a relation may be the first part, or end at the second or third.
        for place in 0..parts {
            let name = part(unit, at, place);
            if !context.catalog.has_name(&name) {
                continue;
            }
            let schema = place.checked_sub(1).map(|before| part(unit, at, before));
            if schema.is_none() && context.temporary.iter().any(|temporary| **temporary == *name) {
                continue;
            }
            let relation = *known.entry((schema.clone(), name.clone())).or_insert_with_key(|(schema, name)| {
                let schema = schema.as_ref().map(|schema| schema.to_string());
                resolve(&RelationName { schema, name: name.to_string() }, context)
            });
            if let Some(relation) = relation {
                take(Written { token: at, schema, name, relation, target: is_target(unit, at, range.start) });
            }
        }
    }
}

/// The relation of this name, as an index.
pub(super) fn resolve(name: &RelationName, context: &Context<'_>) -> Option<usize> {
    match context.catalog.resolve(name, context.search_path) {
        Resolution::Found(relation) => context.catalog.index_of(relation),
        Resolution::Missing => None,
    }
}

/// Every call in the tokens: a name before a parenthesis.
pub(super) fn calls(unit: &Unit<'_>, range: Range<usize>) -> Vec<Call> {
    let text = unit.text;
    let mut found = Vec::new();
    for at in range.clone() {
        // Most words are followed by neither.
        let next = unit.tokens.get(at + 1).map(|next| next.raw(text));
        if !matches!(next, Some(b"(" | b".")) {
            continue;
        }
        let parts = chain(unit, at, &range);
        let Some(last) = parts.checked_sub(1) else { continue };
        let open = at + parts * 2 - 1;
        if open >= range.end || !unit.tokens[open].is_punct(text, "(") {
            continue;
        }
        let mut name = part(unit, at, last).into_owned();
        if unit.settings.engine() == Engine::Mysql {
            name.make_ascii_lowercase();
        }
        let schema = last.checked_sub(1).map(|before| part(unit, at, before).into_owned());
        found.push(Call { token: at, schema, name, constants: constants(unit, open + 1, range.end) });
    }
    found
}

/// Names of what a definition calls, as the server prints it.
pub(crate) fn called(text: &str, engine: Engine) -> Vec<String> {
    let unit = Unit::new(text.as_bytes(), LexSettings::of(engine));
    calls(&unit, 0..unit.tokens.len()).into_iter().map(|call| call.name).collect()
}

/// Whether any of the tokens packs many rows into one value.
pub(super) fn packs(unit: &Unit<'_>, range: Range<usize>) -> bool {
    range.clone().any(|at| {
        let token = &unit.tokens[at];
        token.is_identifier() && {
            let mut name = token.identifier(unit.text);
            if name == "array" {
                return true;
            }
            if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                name.to_mut().make_ascii_lowercase();
            }
            builtins::passing(unit.settings.engine(), &name) == builtins::Passing::Packed
        }
    })
}

/// Whether the token is one of these keywords.
pub(super) fn is_any(unit: &Unit<'_>, token: &Token, words: &[&str]) -> bool {
    words.iter().any(|word| token.is_word(unit.text, word))
}

/// Tokens of the arguments that begin at `at`, where each is a single literal, TRUE, FALSE or NULL.
fn constants(unit: &Unit<'_>, mut at: usize, end: usize) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    while at + 1 < end {
        let token = unit.tokens[at];
        if !token.is_literal() && !is_any(unit, &token, &["true", "false", "null"]) {
            return None;
        }
        found.push(at);
        let next = unit.tokens[at + 1];
        if next.is_punct(unit.text, ")") {
            return Some(found);
        }
        if !next.is_punct(unit.text, ",") {
            return None;
        }
        at += 2;
    }
    None
}

/// A part of the dotted name that begins at `at`.
fn part<'u>(unit: &'u Unit<'_>, at: usize, place: usize) -> Cow<'u, str> {
    unit.tokens.get(at + 2 * place).map(|token| token.identifier(unit.text)).unwrap_or_default()
}

/// How many parts the dotted name has that begins at `at` (three at most); none when none begins there.
fn chain(unit: &Unit<'_>, at: usize, range: &Range<usize>) -> usize {
    let text = unit.text;
    let dot = |index: usize| index < range.end && unit.tokens[index].is_punct(text, ".");
    let first = unit.tokens[at];
    // MySQL takes `.t` for `t`.
    let leading = |index: usize| {
        unit.settings.engine() == Engine::Mysql
            && index
                .checked_sub(1)
                .is_none_or(|before| before < range.start || !super::bridge::continues_name(&unit.tokens[before], text))
    };
    if !first.is_identifier() || (at > range.start && dot(at - 1) && !leading(at - 1)) {
        return 0;
    }
    let mut parts = 1;
    let mut next = at + 1;
    while parts < 3 && dot(next) && next + 1 < range.end && unit.tokens[next + 1].is_identifier() {
        parts += 1;
        next += 2;
    }
    parts
}

fn is_target(unit: &Unit<'_>, at: usize, first: usize) -> bool {
    let mut before = at;
    while before > first {
        if at - before >= MODIFIERS_MAX {
            // No grammar has so many. Taken for a target it is reached all the same.
            return true;
        }
        before -= 1;
        let token = unit.tokens[before];
        if token.kind != Kind::Word {
            return false;
        }
        if is_any(unit, &token, &["into", "update", "truncate", "replace"]) {
            return true;
        }
        if is_any(unit, &token, &["from"]) {
            return before > first && is_any(unit, &unit.tokens[before - 1], &["delete"]);
        }
        if !is_any(unit, &token, &["only", "table", "ignore", "low_priority", "quick"]) {
            return false;
        }
    }
    false
}
