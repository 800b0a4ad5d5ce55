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

/// Answers about words, as far as they were asked before: a text says most of its words many times, and to look one up
/// costs more than to find that it is the same again.
struct Answers<'t> {
    /// By a few bytes of the word, the last that has them.
    places: Vec<(&'t [u8], bool)>,
}

impl<'t> Answers<'t> {
    /// How many words are kept.
    const PLACES: usize = 256;
    /// Fewer tokens repeat too little to be worth the memory.
    const TOKENS_MIN: usize = 1024;

    /// For a pass over so many tokens: over few, each word is asked for.
    fn over(tokens: usize) -> Answers<'t> {
        let places = if tokens < Self::TOKENS_MIN { 0 } else { Self::PLACES };
        Answers { places: vec![(&[], false); places] }
    }

    /// What was answered of this word, or is by `ask`. An empty word is always no.
    fn of(&mut self, word: &'t [u8], ask: impl FnOnce() -> bool) -> bool {
        let byte = |at: usize| usize::from(word.get(at).copied().unwrap_or_default());
        let mixed = [byte(0), byte(word.len() / 2), byte(word.len().wrapping_sub(1)), byte(word.len().wrapping_sub(2))];
        let place = mixed.iter().fold(word.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)) % Self::PLACES;
        let Some((known, answer)) = self.places.get_mut(place) else { return ask() };
        if *known != word {
            (*known, *answer) = (word, ask());
        }
        *answer
    }
}

/// Calls `take` with every name in the tokens that resolves in the catalog.
fn each<'u>(unit: &'u Unit<'_>, range: Range<usize>, context: &Context<'_>, mut take: impl FnMut(Written<'u>)) {
    let mut known: HashMap<Spelling<'u>, Option<usize>> = HashMap::new();
    let mut named = Answers::over(range.len());
    for at in range.clone() {
        let parts = chain(unit, at, &range);
        // `a.b.c`: a relation may be the first part, or end at the second or third.
        for place in 0..parts {
            let Some(token) = unit.tokens.get(at + 2 * place) else { break };
            if !named.of(token.raw(unit.text), || context.catalog.has_name(&part(unit, at, place))) {
                continue;
            }
            let name = part(unit, at, place);
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
    let mut found = Vec::new();
    each_call(unit, range, |_| true, |call| found.push(call.taken(unit)));
    found
}

/// Calls of the functions that are `wanted`, by their last name; those that say the same, once: a text can repeat one
/// without end.
pub(super) fn distinct_calls(unit: &Unit<'_>, range: Range<usize>, wanted: impl Fn(&str) -> bool) -> Vec<Call> {
    let mut said: HashSet<Vec<u8>> = HashSet::new();
    let mut saying = Vec::new();
    let mut literals = unit.literals.iter().peekable();
    let mut found = Vec::new();
    each_call(unit, range, wanted, |call| {
        saying.clear();
        for place in 0..call.parts {
            saying.extend_from_slice(part(unit, call.token, place).as_bytes());
            saying.push(0);
        }
        match &call.constants {
            None => saying.push(b'?'),
            Some(tokens) => tokens.iter().for_each(|token| {
                while literals.next_if(|(at, _)| at < token).is_some() {}
                // What is no part of the key must make no difference.
                let kept = literals.peek().is_none_or(|(at, literal)| at != token || literal.kept);
                saying.push(b',');
                if kept {
                    saying.extend_from_slice(unit.tokens.get(*token).map_or(b"", |token| token.raw(unit.text)));
                }
            }),
        }
        if !said.contains(&saying) {
            said.insert(saying.clone());
            found.push(call.taken(unit));
        }
    });
    found
}

/// A [`Call`] as it stands in the text.
struct Calling {
    /// Token of its first part, and how many parts there are.
    token: usize,
    parts: usize,
    /// See [`Call::constants`].
    constants: Option<Vec<usize>>,
}

impl Calling {
    fn taken(self, unit: &Unit<'_>) -> Call {
        let last = self.parts.saturating_sub(1);
        let mut name = part(unit, self.token, last).into_owned();
        if unit.settings.engine() == Engine::Mysql {
            name.make_ascii_lowercase();
        }
        let schema = last.checked_sub(1).map(|before| part(unit, self.token, before).into_owned());
        Call { token: self.token, schema, name, constants: self.constants }
    }
}

/// Gives every call of a function that is `wanted` to `take`, in the order of the text.
fn each_call(unit: &Unit<'_>, range: Range<usize>, wanted: impl Fn(&str) -> bool, mut take: impl FnMut(Calling)) {
    let text = unit.text;
    let mut known = Answers::over(range.len());
    let is_wanted = |token: &Token| {
        let mut name = token.identifier(text);
        if unit.settings.engine() == Engine::Mysql && name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            name.to_mut().make_ascii_lowercase();
        }
        wanted(&name)
    };
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
        let Some(token) = unit.tokens.get(at + 2 * last) else { continue };
        if known.of(token.raw(text), || is_wanted(token)) {
            take(Calling { token: at, parts, constants: constants(unit, open + 1, range.end) });
        }
    }
}

/// Names of what a definition calls, as the server prints it.
pub(crate) fn called(text: &str, engine: Engine) -> Vec<String> {
    let unit = Unit::new(text.as_bytes(), LexSettings::of(engine));
    calls(&unit, 0..unit.tokens.len()).into_iter().map(|call| call.name).collect()
}

/// Whether any of the tokens packs many rows into one value.
pub(super) fn packs(unit: &Unit<'_>, range: Range<usize>) -> bool {
    let mut known = Answers::over(range.len());
    range.clone().any(|at| {
        let token = &unit.tokens[at];
        token.is_identifier()
            && known.of(token.raw(unit.text), || {
                let mut name = token.identifier(unit.text);
                if name == "array" {
                    return true;
                }
                if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    name.to_mut().make_ascii_lowercase();
                }
                builtins::passing(unit.settings.engine(), &name) == builtins::Passing::Packed
            })
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
