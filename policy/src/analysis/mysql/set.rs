//! SET: variables of the server, of the user and of a program, character sets, roles, passwords.

use std::ops::Range;

use super::super::Context;
use super::super::cursor::Cursor;
use super::super::found::Found;
use super::super::lexer::{Kind, Token};
use super::super::reading::{self, Fate};
use super::super::shape::Unit;
use super::{folded, opaque, parts};
use crate::statement::{Access, Coverage, SessionAct, Verb};

/// Variables that change how a text is read: where a text that is made up runs under them, nobody has read it so.
const READING: [&str; 6] = [
    "sql_mode",
    "character_set_client",
    "collation_connection",
    "character_set_connection",
    "lower_case_table_names",
    "old_mode",
];

/// Reads a statement that begins with SET.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Session;
    cursor.at += 1;
    if cursor.is("statement") && !is_assignment(cursor, 1) {
        return for_statement(cursor, context, found, depth);
    }
    if cursor.is("password") || (cursor.is("default") && cursor.is_at(1, "role")) {
        found.verb = Verb::Grant;
        found.accesses.insert(Access::Grant);
        return;
    }
    if cursor.is("role") && !is_assignment(cursor, 1) {
        cursor.at += 1;
        found.accesses.insert(Access::SetRole);
        let original = cursor.is("default");
        let role = cursor.peek().and_then(|token| match token.kind {
            Kind::Text(_) => constant(cursor.unit, cursor.at),
            _ => token.is_identifier().then(|| token.identifier(cursor.unit.text).into_owned()),
        });
        // A role that cannot be read is not the one that the session began with.
        let role = role.or_else(|| Some(String::new()));
        found.acts.push(SessionAct::SetRole { role: role.filter(|_| !original) });
        return;
    }
    if cursor.is("transaction")
        || (["session", "global", "local"].iter().any(|word| cursor.is(word)) && cursor.is_at(1, "transaction"))
        || (cursor.is("resource") && cursor.is_at(1, "group"))
    {
        return;
    }
    let mut global = false;
    for part in parts(cursor.unit, cursor.at..cursor.end) {
        if found.costs() > reading::TEXT_FUEL {
            // Nobody sets as many: what is left is read as one.
            reading::by_lexer(cursor.unit, part.start..cursor.end, context, found, "too-large", "set");
            found.coverage = Coverage::Opaque;
            return;
        }
        assignment(cursor.unit, part, context, found, &mut global);
    }
}

fn is_assignment(cursor: &Cursor<'_, '_>, ahead: usize) -> bool {
    cursor.at + ahead < cursor.end && is_equals(cursor.unit, cursor.at + ahead)
}

fn is_equals(unit: &Unit<'_>, at: usize) -> bool {
    matches!(unit.tokens[at].raw(unit.text), b"=" | b":=")
        && matches!(unit.tokens[at].kind, Kind::Operator | Kind::Punct)
}

/// `SET STATEMENT a = 1, b = 2 FOR statement`.
fn for_statement(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    cursor.at += 1;
    let Some(at) = cursor.find("for") else {
        opaque(found, "set statement");
        return;
    };
    let mut global = false;
    let acts = found.acts.len();
    for part in parts(cursor.unit, cursor.at..at) {
        assignment(cursor.unit, part, context, found, &mut global);
    }
    // They are in force for this statement only, which is read before they are.
    let reading = found
        .acts
        .drain(acts..)
        .any(|act| matches!(act, SessionAct::Set { name, .. } if READING.contains(&name.as_str())));
    reading::statement(cursor.unit, at + 1..cursor.end, context, found, depth + 1);
    let runs_text = cursor.unit.tokens.get(at + 1).is_some_and(|first| {
        super::super::candidates::is_any(cursor.unit, first, &["prepare", "execute", "call", "begin"])
    });
    if reading && runs_text {
        opaque(found, "set statement");
    }
}

fn assignment(unit: &Unit<'_>, part: Range<usize>, context: &Context<'_>, found: &mut Found, global: &mut bool) {
    const SCOPES: [&str; 5] = ["global", "session", "local", "persist", "persist_only"];
    let mut cursor = Cursor { unit, at: part.start, end: part.end };
    if cursor.is("names") && !is_assignment(&cursor, 1) {
        cursor.at += 1;
        return charset(&cursor, found);
    }
    if (cursor.is("character") && cursor.is_at(1, "set")) || (cursor.is("charset") && !is_assignment(&cursor, 1)) {
        cursor.at += if cursor.is("charset") { 1 } else { 2 };
        return charset(&cursor, found);
    }
    let Some(first) = cursor.peek() else { return };
    if first.kind == Kind::Variable {
        cursor.at += 1;
        if !is_assignment(&cursor, 0) {
            return opaque(found, "set");
        }
        return reading::expressions(unit, cursor.at + 1..part.end, context, found, ("set", Fate::Variables));
    }
    if first.kind != Kind::SystemVariable
        && let Some(scope) = SCOPES.iter().find(|scope| cursor.is(scope) && !is_assignment(&cursor, 1))
    {
        *global = !matches!(*scope, "session" | "local");
        cursor.at += 1;
    }
    let mut name = Vec::new();
    let mut scoped = *global;
    while let Some(token) = cursor.peek().filter(|token| token.is_identifier() || token.kind == Kind::SystemVariable) {
        let part = folded(token, unit);
        match part.as_str() {
            "global" | "persist" | "persist_only" if token.kind == Kind::SystemVariable => scoped = true,
            "session" | "local" if token.kind == Kind::SystemVariable => scoped = false,
            _ => {
                if token.kind == Kind::SystemVariable {
                    scoped = false;
                }
                name.push(part);
            }
        }
        cursor.at += 1;
        if !cursor.take_punct(".") {
            break;
        }
    }
    let name = name.join(".");
    if name.is_empty() || !is_assignment(&cursor, 0) {
        return opaque(found, "set");
    }
    let value = cursor.at + 1..part.end;
    if found.variables.contains(&name) {
        return reading::expressions(unit, value, context, found, ("set", Fate::Variables));
    }
    let known = simple(unit, value.clone());
    if known.is_none() {
        // Whoever asks for the variable later reads what was put in.
        reading::expressions(unit, value.clone(), context, found, ("set", Fate::Variables));
    }
    let name = if scoped { format!("global.{name}") } else { name };
    found.acts.push(SessionAct::Set { name, value: known, local: false });
}

/// SET NAMES x, SET CHARACTER SET x: the client's texts are in this character set from now on.
fn charset(cursor: &Cursor<'_, '_>, found: &mut Found) {
    let value = simple(cursor.unit, cursor.at..cursor.end.min(cursor.at + 1));
    found.acts.push(SessionAct::Set {
        name: "character_set_client".to_owned(),
        value: value.map(|value| value.to_lowercase()),
        local: false,
    });
}

/// The value where it is one constant, or a word.
fn simple(unit: &Unit<'_>, value: Range<usize>) -> Option<String> {
    let negative = value.len() == 2 && unit.tokens[value.start].raw(unit.text) == b"-";
    if value.len() != 1 && !negative {
        return None;
    }
    let at = value.end.checked_sub(1)?;
    let token: Token = unit.tokens[at];
    let text = match token.kind {
        Kind::Text(_) | Kind::Number => constant(unit, at)?,
        Kind::Word => token.identifier(unit.text).into_owned(),
        _ => return None,
    };
    Some(if negative { format!("-{text}") } else { text })
}

fn constant(unit: &Unit<'_>, at: usize) -> Option<String> {
    unit.constant(at).map(|value| String::from_utf8_lossy(&value).into_owned())
}
