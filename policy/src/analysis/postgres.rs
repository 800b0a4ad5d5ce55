//! PostgreSQL's statements: where each ends, and which reader takes it.

mod body;
mod hooks;
mod program;

pub(super) use body::{block, call};

use std::ops::Range;

use super::Context;
use super::cursor::Cursor;
use super::effects::{self, INNER_STATEMENTS_MAX};
use super::found::Found;
use super::reading::{self, Fate, by_lexer, query};
use super::session;
use super::shape::Unit;
use crate::statement::Verb;

/// Statements of a text: token ranges between semicolons, empty ones left out.
pub(super) fn split(unit: &Unit<'_>) -> Vec<Range<usize>> {
    let text = unit.text;
    let mut found = Vec::new();
    let mut start = 0;
    let mut parens = 0_usize;
    // Depth inside BEGIN ATOMIC … END, whose statements belong to one CREATE.
    let mut atomic = 0_usize;
    for (at, token) in unit.tokens.iter().enumerate() {
        if token.is_punct(text, "(") {
            parens += 1;
        } else if token.is_punct(text, ")") {
            parens = parens.saturating_sub(1);
        } else if token.is_word(text, "atomic")
            && at > start
            && unit.tokens[at - 1].is_word(text, "begin")
            && unit.tokens[start].is_word(text, "create")
        {
            atomic = 1;
        } else if atomic > 0 && token.is_word(text, "case") {
            atomic += 1;
        } else if atomic > 0 && token.is_word(text, "end") {
            atomic -= 1;
        } else if parens == 0 && atomic == 0 && token.is_punct(text, ";") {
            if at > start {
                found.push(start..at);
            }
            start = at + 1;
        }
    }
    if unit.tokens.len() > start {
        found.push(start..unit.tokens.len());
    }
    found
}

/// Reads one statement.
pub(super) fn statement(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    if depth > INNER_STATEMENTS_MAX {
        by_lexer(unit, range, context, found, "too-large", "statement in statement");
        return;
    }
    let before = found.drafts.len();
    let mut cursor = Cursor { unit, at: range.start, end: range.end };
    let Some(first) = cursor.peek() else {
        found.verb = Verb::Empty;
        return;
    };
    let word =
        if first.is_punct(unit.text, "(") { "select".to_owned() } else { first.identifier(unit.text).into_owned() };
    match word.as_str() {
        "select" | "with" | "values" | "table" | "insert" | "update" | "delete" | "merge" => {
            query(unit, range.clone(), context, found, &word)
        }
        _ => {
            // Inside another statement there is no SET: its values would not be part of the shape's key there.
            if depth > 0 || !session::read(&mut cursor, found) {
                effects::read(&mut cursor, context, found, depth);
            }
        }
    }
    hooks::fire(unit, range, context, found, before);
}

/// Reads a list of expressions and what may follow it.
fn expressions(
    unit: &Unit<'_>,
    range: Range<usize>,
    context: &Context<'_>,
    found: &mut Found,
    (word, fate): (&str, Fate),
) {
    let before = found.drafts.len();
    reading::expressions(unit, range.clone(), context, found, (word, fate));
    hooks::fire(unit, range, context, found, before);
}
