//! What the lexer alone can say of a text: every relation that it can name, every function that it can call.
//!
//! INVARIANT: a relation that a statement reaches by name is among the candidates, whatever its grammar.

use std::collections::HashMap;
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

/// Every name in the tokens that resolves in the catalog.
pub(super) fn relations(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut known: HashMap<(Option<String>, String), Option<usize>> = HashMap::new();
    for at in range.clone() {
        let Some(parts) = chain(unit, at, range.clone()) else { continue };
        // `a.b.c`: a relation may be the first part, or end at the second or third.
        let names = [(None, parts.first()), (parts.first(), parts.get(1)), (parts.get(1), parts.get(2))];
        for (schema, name) in names {
            let Some(name) = name.filter(|name| context.catalog.has_name(name)) else { continue };
            if schema.is_none() && context.temporary.iter().any(|temporary| temporary == name) {
                continue;
            }
            let key = (schema.cloned(), name.clone());
            let relation = *known.entry(key).or_insert_with_key(|(schema, name)| {
                let name = RelationName { schema: schema.clone(), name: name.clone() };
                resolve(&name, context)
            });
            if let Some(relation) = relation {
                let name = RelationName { schema: schema.cloned(), name: name.clone() };
                found.push(Candidate { token: at, name, relation, written: is_target(unit, at, range.start) });
            }
        }
    }
    found
}

/// [`relations`], each name once: a text can repeat one without end.
pub(super) fn distinct(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> Vec<Candidate> {
    let mut seen = std::collections::HashSet::new();
    let mut found = relations(unit, range, context);
    found.retain(|candidate| seen.insert((candidate.relation, candidate.name.clone(), candidate.written)));
    found
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
        let Some(parts) = chain(unit, at, range.clone()) else { continue };
        let open = at + parts.len() * 2 - 1;
        if open >= range.end || !unit.tokens[open].is_punct(text, "(") {
            continue;
        }
        let mut parts = parts;
        let Some(mut name) = parts.pop() else { continue };
        if unit.settings.engine() == Engine::Mysql {
            name.make_ascii_lowercase();
        }
        found.push(Call { token: at, schema: parts.pop(), name, constants: constants(unit, open + 1, range.end) });
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
            let name = token.identifier(unit.text);
            builtins::passing(unit.settings.engine(), &name.to_ascii_lowercase()) == builtins::Passing::Packed
                || name == "array"
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

/// The parts of the dotted name that begins at `at` (three at most); `None` when none begins there.
fn chain(unit: &Unit<'_>, at: usize, range: Range<usize>) -> Option<Vec<String>> {
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
        return None;
    }
    let mut parts = vec![first.identifier(text).into_owned()];
    let mut next = at + 1;
    while parts.len() < 3 && dot(next) && next + 1 < range.end && unit.tokens[next + 1].is_identifier() {
        parts.push(unit.tokens[next + 1].identifier(text).into_owned());
        next += 2;
    }
    Some(parts)
}

fn is_target(unit: &Unit<'_>, at: usize, first: usize) -> bool {
    let mut before = at;
    while before > first {
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
