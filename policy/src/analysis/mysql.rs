//! MySQL's and MariaDB's statements: where each ends, and which reader takes it.
//!
//! A statement ends at a semicolon, except within the body of a stored program, whose grammar
//! [`program`] follows. Where that is not understood, the rest of the text is one statement of which nothing is
//! promised.

mod admin;
mod define;
mod load;
mod prepared;
mod program;
mod set;
mod show;

use std::ops::Range;

use super::Context;
use super::cursor::Cursor;
use super::effects::INNER_STATEMENTS_MAX;
use super::found::Found;
use super::lexer::{Kind, Token};
use super::reading::{self, Fate};
use super::routines;
use super::shape::Unit;
use crate::catalog::TriggerEvent;
use crate::statement::{Access, Columns, Coverage, SessionAct, Verb};

/// Statements of a text: token ranges, empty ones left out.
pub(super) fn split(unit: &Unit<'_>) -> Vec<Range<usize>> {
    let text = unit.text;
    let mut found = Vec::new();
    let end = unit.tokens.len();
    let mut start = 0;
    let mut at = 0;
    while at < end {
        if at == start
            && let Some(body) = program::begins(unit, start, end)
        {
            // Not understood: all that is left, and its reader will say so.
            at = program::read(unit, body, end).map_or(end, |program| program.end);
        }
        if at < end && !unit.tokens[at].is_punct(text, ";") {
            at += 1;
            continue;
        }
        if at > start {
            found.push(start..at);
        }
        start = at + 1;
        at = start;
    }
    if end > start {
        found.push(start..end);
    }
    found
}

/// Reads one statement.
pub(super) fn statement(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    if depth > INNER_STATEMENTS_MAX {
        reading::by_lexer(unit, range, context, found, "too-large", "statement in statement");
        return;
    }
    let mut cursor = Cursor { unit, at: range.start, end: range.end };
    let Some(first) = cursor.peek() else {
        found.verb = Verb::Empty;
        return;
    };
    if first.is_punct(unit.text, "(") {
        return reading::query(unit, range, context, found, "select");
    }
    let word = match first.kind {
        Kind::Word => first.identifier(unit.text).to_ascii_lowercase(),
        _ => String::new(),
    };
    if program::begins(unit, range.start, range.end) == Some(range.start) {
        return program::run(unit, range, context, found, depth);
    }
    let before = found.drafts.len();
    read(&word, &mut cursor, context, found, depth);
    if found.via.is_empty() {
        let has = |name: &str| range.clone().any(|at| unit.tokens[at].is_word(unit.text, name));
        routines::fire(&events(&word, has), context, found, before);
    }
    let named = |at: usize, name: &str| {
        let token = &unit.tokens[at];
        // No shorter token is it, quoted or not.
        token.is_identifier()
            && token.range().len() >= name.len()
            && token.identifier(unit.text).eq_ignore_ascii_case(name)
    };
    if word != "set" && range.clone().any(|at| named(at, "optimizer_trace")) {
        // It tells what the last statements compared.
        found.gap("server-state", "optimizer_trace", Coverage::Opaque);
    }
    let is_change = matches!(word.as_str(), "insert" | "replace" | "update" | "delete" | "handler" | "with");
    if is_change && (found.verb != Verb::Select || word == "handler") && assigns(unit, range) {
        if word == "handler" {
            found.gap("variable", "handler", Coverage::Opaque);
        }
        remember_rows(found, before);
    }
}

/// What a statement that begins with this word does to rows of what it writes.
fn events(word: &str, has: impl Fn(&str) -> bool) -> Vec<TriggerEvent> {
    match word {
        "insert" if !has("duplicate") => vec![TriggerEvent::Insert],
        "load" if !has("replace") => vec![TriggerEvent::Insert],
        // What was there is deleted first.
        "insert" => vec![TriggerEvent::Insert, TriggerEvent::Update],
        "update" => vec![TriggerEvent::Update],
        "delete" => vec![TriggerEvent::Delete],
        _ => vec![TriggerEvent::Insert, TriggerEvent::Update, TriggerEvent::Delete],
    }
}

/// Whether a variable of the session is given a value within an expression.
fn assigns(unit: &Unit<'_>, mut range: Range<usize>) -> bool {
    let end = range.end;
    range.any(|at| {
        unit.tokens[at].kind == Kind::Variable && at + 1 < end && matches!(unit.tokens[at + 1].raw(unit.text), b":=")
    })
}

/// A variable may hold a value of every row that a change has looked at, also of what it changes.
fn remember_rows(found: &mut Found, before: usize) {
    let drafts: Vec<_> = found.drafts.iter().skip(before).cloned().collect();
    for mut draft in drafts {
        draft.access = Access::Read;
        draft.copied = Columns::All;
        draft.copied_many = true;
        draft.pin = None;
        found.draft(draft);
    }
}

/// Gives a statement to the reader of its first word.
fn read(word: &str, cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let unit = cursor.unit;
    let range = cursor.at..cursor.end;
    match word {
        "select" | "with" | "values" | "table" | "insert" | "replace" | "update" | "delete" => {
            if word == "delete" && cursor.is_at(1, "history") {
                // DELETE HISTORY FROM t: what it was before is gone.
                found.verb = Verb::Delete;
                let table = range.start + 2..range.end;
                return admin::touch(unit, table, context, found, Access::Write);
            }
            reading::query(unit, range, context, found, word);
        }
        "set" => set::read(cursor, context, found, depth),
        "use" => {
            found.verb = Verb::Session;
            cursor.at += 1;
            let value = cursor.name();
            found.acts.push(SessionAct::Set { name: "database".to_owned(), value, local: false });
        }
        "begin" | "start" | "commit" | "rollback" | "savepoint" | "release" | "xa" => {
            transaction(cursor, context, found)
        }
        "prepare" | "execute" | "deallocate" => prepared::read(cursor, context, found, depth),
        "drop" if cursor.is_at(1, "prepare") => prepared::read(cursor, context, found, depth),
        "handler" => load::handler(cursor, context, found),
        "load" => load::load(cursor, context, found),
        "do" => {
            found.verb = Verb::Call;
            reading::expressions(unit, range.start + 1..range.end, context, found, ("do", Fate::Stay));
        }
        "call" => prepared::call(cursor, context, found),
        "explain" | "describe" | "desc" => show::explain(cursor, context, found, depth),
        "analyze" if !is_maintenance(cursor) => show::explain(cursor, context, found, depth),
        "show" => show::show(cursor, context, found),
        "create" | "alter" | "drop" | "rename" | "truncate" => define::read(cursor, context, found, depth),
        _ => admin::read(cursor, context, found, word),
    }
}

/// Takes apart the body of a stored program; `None`: not understood.
pub(super) fn read_program(unit: &Unit<'_>, end: usize) -> Option<program::Program> {
    program::read(unit, 0, end).filter(|program| program.end == end)
}

/// Reads the statements of a stored program's body.
pub(super) fn read_statements(unit: &Unit<'_>, program: &program::Program, context: &Context<'_>, found: &mut Found) {
    program::statements(unit, program, context, found, 0);
}

/// `ANALYZE [NO_WRITE_TO_BINLOG | LOCAL] TABLE`: not MariaDB's ANALYZE of a statement.
fn is_maintenance(cursor: &Cursor<'_, '_>) -> bool {
    (1..3).any(|ahead| cursor.is_at(ahead, "table") || cursor.is_at(ahead, "tables"))
}

fn transaction(cursor: &Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.verb = Verb::Transaction;
    let chained = cursor.find("chain").is_some_and(|at| !is_no(cursor, at));
    let mut ends = |act: SessionAct| {
        found.acts.push(act);
        if chained {
            found.acts.push(SessionAct::Begin);
        }
    };
    if cursor.is("start") && !cursor.is_at(1, "transaction") {
        // START SLAVE, START GROUP_REPLICATION.
        found.verb = Verb::Utility;
        let word = "start";
        return admin::read(&mut cursor.clone(), context, found, word);
    }
    if cursor.is("begin") && cursor.at + 1 < cursor.end && !(cursor.is_at(1, "work") && cursor.at + 2 == cursor.end) {
        // Only where sql_mode is ORACLE, and a block of its grammar: nobody here reads that.
        let whole = cursor.at..cursor.end;
        reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "begin");
        return opaque(found, "begin");
    }
    if cursor.is("begin") || cursor.is("start") {
        // A transaction that is open is committed first.
        ends(SessionAct::Commit);
        found.acts.push(SessionAct::Begin);
    } else if cursor.is("commit") {
        ends(SessionAct::Commit);
    } else if cursor.is("rollback") {
        let to = cursor.is_at(1, "to") || (cursor.is_at(1, "work") && cursor.is_at(2, "to"));
        ends(if to { SessionAct::RollbackTo } else { SessionAct::Rollback });
    } else if cursor.is("xa") {
        match () {
            () if cursor.is_at(1, "start") || cursor.is_at(1, "begin") => ends(SessionAct::Begin),
            () if cursor.is_at(1, "commit") => ends(SessionAct::Commit),
            () if cursor.is_at(1, "rollback") => ends(SessionAct::Rollback),
            () => {}
        }
    }
}

fn is_no(cursor: &Cursor<'_, '_>, at: usize) -> bool {
    at.checked_sub(1).is_some_and(|before| cursor.unit.tokens[before].is_word(cursor.unit.text, "no"))
}

/// A part of a name that the server compares without regard to case.
fn folded(token: Token, unit: &Unit<'_>) -> String {
    token.identifier(unit.text).to_lowercase()
}

/// Parts of `a, b(c, d), e`: what stands between commas outside of parentheses.
fn parts(unit: &Unit<'_>, range: Range<usize>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut start = range.start;
    for at in range.clone() {
        let token = &unit.tokens[at];
        if token.is_punct(unit.text, "(") {
            depth += 1;
        } else if token.is_punct(unit.text, ")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_punct(unit.text, ",") {
            found.push(start..at);
            start = at + 1;
        }
    }
    found.push(start..range.end);
    found
}

/// What the statement does cannot be told from its text.
fn opaque(found: &mut Found, subject: &str) {
    found.gap("dynamic-sql", subject, Coverage::Opaque);
}
