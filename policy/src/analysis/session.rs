//! Statements that change the session: variables, roles, transactions, prepared names, cursors.

use super::candidates::Call;
use super::cursor::Cursor;
use super::found::Found;
use super::lexer::Kind;
use super::shape::Unit;
use crate::statement::{Access, Coverage, SessionAct, Verb};

/// Variables whose unknown value would change how later statements are read.
const READING_VARIABLES: [&str; 8] = [
    "search_path",
    "role",
    "session_authorization",
    "standard_conforming_strings",
    "client_encoding",
    "backslash_quote",
    "row_security",
    "session_preload_libraries",
];

/// Computed `set_config` calls of one statement that are looked into: each costs a pass over its text.
const SET_CONFIGS_MAX: usize = 32;

/// Whether SET or RESET changes how later statements are read.
pub(super) fn sets_reading(unit: &Unit<'_>) -> bool {
    let words: Vec<String> = unit
        .tokens
        .iter()
        .filter(|token| token.is_identifier())
        .take(3)
        .map(|token| token.identifier(unit.text).into_owned())
        .collect();
    let name = words.iter().skip(1).find(|word| !matches!(word.as_str(), "local" | "session"));
    name.is_none_or(|name| {
        READING_VARIABLES.contains(&name.as_str())
            || matches!(name.as_str(), "all" | "names" | "schema" | "authorization")
    })
}

/// Reads SET, RESET, DISCARD, transactions, prepared names and cursors. Whether the statement was one of them.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, found: &mut Found) -> bool {
    let verb = if cursor.take("set") {
        set(cursor, found);
        Verb::Session
    } else if cursor.take("reset") {
        reset(cursor, found);
        Verb::Session
    } else if cursor.take("show") {
        Verb::Session
    } else if cursor.take("discard") {
        found.acts.push(SessionAct::Discard { all: cursor.is("all") });
        Verb::Session
    } else if cursor.is("begin") || (cursor.is("start") && cursor.is_at(1, "transaction")) {
        found.acts.push(SessionAct::Begin);
        Verb::Transaction
    } else if cursor.is("commit") || cursor.is("end") {
        if !cursor.is_at(1, "prepared") {
            found.acts.push(SessionAct::Commit);
            chain(cursor, found);
        }
        Verb::Transaction
    } else if cursor.take("rollback") || cursor.take("abort") {
        cursor.take_all(&["work", "transaction"]);
        if cursor.is("to") {
            found.acts.push(SessionAct::RollbackTo);
        } else if !cursor.is("prepared") {
            found.acts.push(SessionAct::Rollback);
            chain(cursor, found);
        }
        Verb::Transaction
    } else if cursor.is("prepare") && cursor.is_at(1, "transaction") {
        found.acts.push(SessionAct::Commit);
        Verb::Transaction
    } else if cursor.is("savepoint") || cursor.is("release") {
        Verb::Transaction
    } else if cursor.take("deallocate") {
        if !(cursor.is("prepare") && cursor.at + 1 == cursor.end) {
            cursor.take("prepare");
        }
        let all = cursor.is("all");
        let name = cursor.name();
        found.acts.push(SessionAct::Deallocate { name: name.filter(|_| !all) });
        Verb::Session
    } else if cursor.take("close") {
        let all = cursor.is("all");
        let name = cursor.name();
        found.acts.push(SessionAct::CloseCursor { name: name.filter(|_| !all) });
        Verb::Utility
    } else if cursor.is("fetch") || cursor.is("move") {
        let name = cursor
            .end
            .checked_sub(1)
            .and_then(|last| cursor.unit.tokens.get(last))
            .filter(|last| last.is_identifier())
            .map(|last| last.identifier(cursor.unit.text).into_owned());
        match name {
            Some(name) => found.acts.push(SessionAct::Fetch { name }),
            None => found.gap("parser-refused", "fetch", Coverage::Opaque),
        }
        Verb::Select
    } else if cursor.is("listen") || cursor.is("unlisten") || cursor.is("notify") || cursor.is("checkpoint") {
        Verb::Utility
    } else {
        return false;
    };
    found.verb = verb;
    true
}

fn chain(cursor: &Cursor<'_, '_>, found: &mut Found) {
    let chained =
        cursor.find("chain").is_some_and(|at| at > 0 && !cursor.unit.tokens[at - 1].is_word(cursor.unit.text, "no"));
    if chained {
        found.acts.push(SessionAct::Begin);
    }
}

fn set(cursor: &mut Cursor<'_, '_>, found: &mut Found) {
    if cursor.take_phrase(&["session", "characteristics"]) || cursor.is("transaction") || cursor.is("constraints") {
        return;
    }
    if cursor.take_phrase(&["session", "authorization"]) {
        return role(cursor, found);
    }
    let local = cursor.take("local");
    if !local && !cursor.is_at(1, "to") {
        cursor.take("session");
    }
    if cursor.take_phrase(&["session", "authorization"]) {
        return role(cursor, found);
    }
    if cursor.is("role") && !cursor.is_at(1, "to") && !is_equals(cursor, 1) {
        cursor.at += 1;
        return role(cursor, found);
    }
    let (name, value) = if cursor.take_phrase(&["time", "zone"]) {
        ("timezone".to_owned(), list(cursor))
    } else if cursor.is("names") && !cursor.is_at(1, "to") && !is_equals(cursor, 1) {
        cursor.at += 1;
        ("client_encoding".to_owned(), list(cursor))
    } else if cursor.is("schema") && !cursor.is_at(1, "to") && !is_equals(cursor, 1) {
        cursor.at += 1;
        ("search_path".to_owned(), list_of("search_path", cursor))
    } else if cursor.take_phrase(&["xml", "option"]) {
        ("xmloption".to_owned(), list(cursor))
    } else {
        let Some((prefix, last)) = cursor.dotted() else {
            found.gap("parser-refused", "set", Coverage::Opaque);
            return;
        };
        let name = prefix.map_or_else(|| last.clone(), |prefix| format!("{prefix}.{last}")).to_lowercase();
        if !cursor.take("to") && is_equals(cursor, 0) {
            cursor.at += 1;
        }
        let value = list_of(&name, cursor);
        (name, value)
    };
    variable(name, value, local, found);
}

fn is_equals(cursor: &Cursor<'_, '_>, ahead: usize) -> bool {
    cursor.at + ahead < cursor.end && cursor.unit.tokens[cursor.at + ahead].raw(cursor.unit.text) == b"="
}

/// `SET role = x` is SET ROLE.
fn variable(name: String, value: Option<String>, local: bool, found: &mut Found) {
    if matches!(name.as_str(), "role" | "session_authorization") {
        found.accesses.insert(Access::SetRole);
        let role = value.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case("none"));
        found.acts.push(SessionAct::SetRole { role });
    } else {
        found.acts.push(SessionAct::Set { name, value, local });
    }
}

fn role(cursor: &mut Cursor<'_, '_>, found: &mut Found) {
    found.accesses.insert(Access::SetRole);
    let original = cursor.is("none") || cursor.is("default");
    let role = match cursor.peek() {
        Some(token) if matches!(token.kind, Kind::Text(_)) => constant(cursor, cursor.at),
        _ => cursor.name(),
    };
    found.acts.push(SessionAct::SetRole { role: role.filter(|_| !original) });
}

fn reset(cursor: &mut Cursor<'_, '_>, found: &mut Found) {
    if cursor.take("all") {
        found.acts.push(SessionAct::ResetAll);
    } else if cursor.is("role") || cursor.take_phrase(&["session", "authorization"]) {
        found.accesses.insert(Access::SetRole);
        found.acts.push(SessionAct::SetRole { role: None });
    } else if cursor.take_phrase(&["time", "zone"]) {
        found.acts.push(SessionAct::Set { name: "timezone".to_owned(), value: None, local: false });
    } else if let Some((prefix, last)) = cursor.dotted() {
        let name = prefix.map_or_else(|| last.clone(), |prefix| format!("{prefix}.{last}")).to_lowercase();
        variable(name, None, false, found);
    }
}

fn list(cursor: &mut Cursor<'_, '_>) -> Option<String> {
    list_of("", cursor)
}

/// The rest of the statement as the server stores it; `None` for DEFAULT.
fn list_of(name: &str, cursor: &mut Cursor<'_, '_>) -> Option<String> {
    if cursor.is("default") && cursor.at + 1 == cursor.end {
        return None;
    }
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    for at in cursor.at..cursor.end {
        let token = cursor.unit.tokens[at];
        if token.is_punct(cursor.unit.text, ",") {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        let text = match token.kind {
            Kind::Text(_) => constant(cursor, at).unwrap_or_default(),
            _ => token.identifier(cursor.unit.text).into_owned(),
        };
        // In this list each element is one name, whatever it holds.
        let name_list = name == "search_path" && (matches!(token.kind, Kind::Text(_)) || token.is_identifier());
        part.push_str(&if name_list { quoted(&text) } else { text });
    }
    parts.push(part);
    Some(parts.join(", "))
}

fn quoted(name: &str) -> String {
    let plain = name
        .bytes()
        .enumerate()
        .all(|(at, byte)| byte.is_ascii_lowercase() || byte == b'_' || (at > 0 && byte.is_ascii_digit()));
    if plain && !name.is_empty() { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn constant(cursor: &Cursor<'_, '_>, at: usize) -> Option<String> {
    cursor.unit.constant(at).map(|value| String::from_utf8_lossy(&value).into_owned())
}

/// `set_config(name, value, local)`: SET by another name.
pub(super) fn set_config(call: &Call, unit: &Unit<'_>, found: &mut Found) {
    let constants = call.constants.as_deref().unwrap_or_default();
    let text = |place: usize| {
        constants
            .get(place)
            .and_then(|token| unit.constant(*token))
            .map(|value| String::from_utf8_lossy(&value).into_owned())
    };
    let local = constants
        .get(2)
        .and_then(|token| unit.tokens.get(*token))
        .is_some_and(|token| token.is_word(unit.text, "true"));
    match (text(0), text(1)) {
        // In a body nobody knows whether it runs.
        (Some(name), _) if found.parameters && READING_VARIABLES.contains(&name.to_lowercase().as_str()) => {
            found.gap("dynamic-sql", "set_config", Coverage::Opaque);
        }
        (Some(name), Some(value)) if constants.len() == 3 => variable(name.to_lowercase(), Some(value), local, found),
        _ => {
            found.set_configs += 1;
            let name = if found.set_configs <= SET_CONFIGS_MAX {
                call_first_constant(call, unit).or_else(|| setting_where_it_exists(unit))
            } else {
                None
            };
            match name {
                // A variable that does not change how statements are read: its value is the client's own affair.
                Some(name) if !READING_VARIABLES.contains(&name.as_str()) => {}
                _ => found.gap("dynamic-sql", "set_config", Coverage::Opaque),
            }
        }
    }
}

/// The variable that a dump sets where the server has it, as pg_dump does since 15.8:
/// `SELECT set_config(name, '…', false) FROM pg_settings WHERE name = '…'`, and nothing beside it. Whatever the relation
/// is, the name is the one that it is compared with.
fn setting_where_it_exists(unit: &Unit<'_>) -> Option<String> {
    const BEFORE: [&str; 5] = ["select", "set_config", "(", "name", ","];
    const BETWEEN: [&str; 9] = [",", "false", ")", "from", "pg_settings", "where", "name", "=", ""];
    let mut tokens: Vec<usize> = (0..unit.tokens.len()).collect();
    if tokens.last().is_some_and(|last| unit.tokens[*last].is_punct(unit.text, ";")) {
        tokens.pop();
    }
    let is = |at: usize, word: &str| {
        unit.tokens.get(at).is_some_and(|token| token.raw(unit.text).eq_ignore_ascii_case(word.as_bytes()))
    };
    let (value, first) = (BEFORE.len(), BEFORE.len() + 1);
    let name = first + BETWEEN.len() - 1;
    let fits = tokens.len() == name + 1
        && BEFORE.iter().enumerate().all(|(at, word)| is(at, word))
        && BETWEEN.iter().enumerate().all(|(at, word)| word.is_empty() || is(first + at, word));
    unit.constant(value).filter(|_| fits)?;
    unit.constant(name).map(|name| String::from_utf8_lossy(&name).to_lowercase())
}

/// The variable that a call with a computed value names: the literal right behind its parenthesis.
fn call_first_constant(call: &Call, unit: &Unit<'_>) -> Option<String> {
    let mut names = Vec::new();
    for at in 0..unit.tokens.len().saturating_sub(2) {
        if unit.tokens[at].is_identifier()
            && unit.tokens[at].identifier(unit.text) == call.name
            && unit.tokens[at + 1].is_punct(unit.text, "(")
        {
            let comma = unit.tokens.get(at + 3).is_some_and(|token| token.is_punct(unit.text, ","));
            names.push(
                unit.constant(at + 2).filter(|_| comma).map(|value| String::from_utf8_lossy(&value).to_lowercase()),
            );
        }
    }
    // Several calls: all must be harmless, so the worst one answers.
    names.into_iter().collect::<Option<Vec<String>>>().and_then(|names| {
        names.iter().find(|name| READING_VARIABLES.contains(&name.as_str())).or(names.first()).cloned()
    })
}
