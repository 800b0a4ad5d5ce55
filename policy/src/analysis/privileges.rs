//! Privileges in use: roles taken on, rights and accounts changed, the server configured, its auditing turned off, code
//! that runs with somebody else's rights.
//!
//! Statements of this kind have flat grammars, so they are read from tokens, beside whatever else reads them. What must
//! never happen here: a password or any other literal in what is told. Names, keywords and the values of settings that
//! are about auditing have a place.

use std::ops::Range;

use super::cursor::Cursor;
use super::found::Found;
use super::lexer::Kind;
use super::shape::Unit;
use crate::catalog::Function;
use crate::relation::Engine;
use crate::statement::{Access, Privilege, PrivilegeUse, SessionAct};

/// Most uses of one text that are told. One statement has one or two.
const PRIVILEGES_MAX: usize = 64;
/// Longest words that are told of one, bytes.
const WORDS_BYTES_MAX: usize = 200;

/// PostgreSQL's settings that decide what its own log and pgAudit see, beside everything of pgAudit's.
/// <https://www.postgresql.org/docs/current/runtime-config-logging.html>
const LOGGING: [&str; 11] = [
    "log_connections",
    "log_destination",
    "log_disconnections",
    "log_duration",
    "log_min_duration_statement",
    "log_min_error_statement",
    "log_min_messages",
    "log_statement",
    "logging_collector",
    "session_preload_libraries",
    "shared_preload_libraries",
];

/// MySQL's and MariaDB's, beside everything of their audit plugins.
/// <https://dev.mysql.com/doc/refman/9.7/en/server-system-variables.html>
const LOGGING_MYSQL: [&str; 6] =
    ["binlog_format", "general_log", "log_output", "log_raw", "sql_log_bin", "sql_log_off"];

/// Beginnings of the names of everything that belongs to an audit extension, plugin or component.
const AUDITORS: [&str; 6] = ["pgaudit", "server_audit", "audit_log", "audit_null", "component_audit", "set_user"];

/// Reads the tokens of one statement.
pub(super) fn read(unit: &Unit<'_>, range: Range<usize>, found: &mut Found) {
    let cursor = Cursor { unit, at: range.start, end: range.end };
    let mysql = unit.settings.engine() == Engine::Mysql;
    if cursor.is("grant") || cursor.is("revoke") {
        rights(&cursor, found);
    } else if ["create", "alter", "drop", "rename", "reassign"].iter().any(|word| cursor.is(word)) {
        if !accounts(&cursor, found) {
            defined(&cursor, mysql, found);
        }
    } else if mysql && cursor.is("set") {
        if cursor.is_at(1, "password") || (cursor.is_at(1, "default") && cursor.is_at(2, "role")) {
            push(found, PrivilegeUse::Account, words(unit, cursor.at + 1..cursor.end), None);
        }
    } else if mysql && ["install", "uninstall"].iter().any(|word| cursor.is(word)) {
        plugins(&cursor, found);
    }
}

/// What a statement changes for later ones, as privileges: roles and settings, by whatever statement or call.
pub(super) fn of_acts(found: &mut Found) {
    let acts: Vec<(PrivilegeUse, String, Option<String>)> = found
        .acts
        .iter()
        .filter_map(|act| match act {
            SessionAct::SetRole { role } => {
                Some((PrivilegeUse::SetRole, String::new(), Some(role.clone().unwrap_or_default())))
            }
            SessionAct::Set { name, value, .. } => set(name, value.as_deref()),
            _ => None,
        })
        .collect();
    for (how, subject, after) in acts {
        push(found, how, subject, after);
    }
}

/// A call of code that runs with its owner's rights.
pub(super) fn of_call(function: &Function, found: &mut Found) {
    if let Some(definer) = &function.definer {
        let name = format!("{}.{}", function.schema, function.name);
        push(found, PrivilegeUse::Definer, name, Some(definer.to_string()));
    }
}

/// SET of one variable. `global.` stands before those of MySQL's that hold for everybody.
fn set(name: &str, value: Option<&str>) -> Option<(PrivilegeUse, String, Option<String>)> {
    let (everybody, bare) = match name.strip_prefix("global.") {
        Some(bare) => (true, bare),
        None => (false, name),
    };
    if is_logging(bare) {
        // RESET and DEFAULT put back what the server's operator configured.
        let Some(value) = value else { return everybody.then(|| (PrivilegeUse::Configure, bare.to_owned(), None)) };
        let how = if is_less(bare, value) { PrivilegeUse::AuditOff } else { PrivilegeUse::Configure };
        return Some((how, bare.to_owned(), Some(cut(value))));
    }
    everybody.then(|| (PrivilegeUse::Configure, bare.to_owned(), None))
}

fn is_logging(name: &str) -> bool {
    LOGGING.contains(&name) || LOGGING_MYSQL.contains(&name) || is_auditor(name)
}

fn is_auditor(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    AUDITORS.iter().any(|auditor| name.starts_with(auditor)) || name.contains("audit")
}

/// Whether a setting of a log has it see less, or may: what is not known for a plain way to see more.
fn is_less(name: &str, value: &str) -> bool {
    let value = value.trim().to_ascii_lowercase();
    match name {
        "sql_log_off" => !matches!(value.as_str(), "0" | "off" | "false"),
        "log_min_duration_statement" => value != "0",
        "log_min_messages" | "log_min_error_statement" => matches!(value.as_str(), "log" | "fatal" | "panic"),
        "log_statement" => !matches!(value.as_str(), "all" | "mod" | "ddl"),
        "shared_preload_libraries" | "session_preload_libraries" => !value.contains("audit"),
        "log_destination" | "log_output" | "binlog_format" => matches!(value.as_str(), "" | "none" | "statement"),
        "pgaudit.log" => value.is_empty() || value == "none" || value.contains('-'),
        _ => matches!(value.as_str(), "" | "0" | "off" | "false" | "no" | "none"),
    }
}

/// GRANT and REVOKE: to or from whom, and what.
fn rights(cursor: &Cursor<'_, '_>, found: &mut Found) {
    let grants = cursor.is("grant");
    let how = if grants { PrivilegeUse::Grant } else { PrivilegeUse::Revoke };
    let whom = cursor.find(if grants { "to" } else { "from" }).filter(|at| *at < cursor.end);
    let unit = cursor.unit;
    match whom {
        Some(at) => {
            let what = words(unit, cursor.at + 1..at);
            push(found, how, words(unit, at + 1..cursor.end), Some(what));
        }
        None => push(found, how, words(unit, cursor.at + 1..cursor.end), None),
    }
}

/// CREATE, ALTER, DROP and RENAME of users and roles, owners, default privileges. Whether it was one of them.
fn accounts(cursor: &Cursor<'_, '_>, found: &mut Found) -> bool {
    let unit = cursor.unit;
    if cursor.is("reassign") || (cursor.is("drop") && cursor.is_at(1, "owned")) {
        push(found, PrivilegeUse::Owner, words(unit, cursor.at..cursor.end), None);
        return true;
    }
    if cursor.is_at(1, "default") && cursor.is_at(2, "privileges") {
        push(found, PrivilegeUse::Grant, words(unit, cursor.at + 1..cursor.end), None);
        return true;
    }
    let mut at = 1;
    while ["or", "replace"].iter().any(|word| cursor.is_at(at, word)) {
        at += 1;
    }
    let kind = ["user", "role", "group"].iter().any(|word| cursor.is_at(at, word));
    if kind && !cursor.is_at(at + 1, "mapping") {
        let setting = cursor.find("set").or_else(|| cursor.find("reset")).filter(|_| cursor.is("alter"));
        if let Some(set) = setting.filter(|set| *set > cursor.at + at + 1) {
            configured(cursor, set, found);
        } else {
            push(found, PrivilegeUse::Account, words(unit, cursor.at..cursor.end), None);
        }
        return true;
    }
    let owner = cursor.find("owner").filter(|at| unit.tokens.get(at + 1).is_some_and(|to| to.is_word(unit.text, "to")));
    if let Some(owner) = owner.filter(|owner| owner + 1 < cursor.end && cursor.is("alter")) {
        let after = words(unit, owner + 2..cursor.end);
        push(found, PrivilegeUse::Owner, words(unit, cursor.at + 1..owner), Some(after));
        return true;
    }
    false
}

/// ALTER SYSTEM, ALTER DATABASE … SET, and what takes an auditor away. A definer may stand in a definition, too.
fn defined(cursor: &Cursor<'_, '_>, mysql: bool, found: &mut Found) {
    let unit = cursor.unit;
    if cursor.is("alter") && (cursor.is_at(1, "system") || (!mysql && cursor.is_at(1, "database"))) {
        if let Some(at) = cursor.find("set").or_else(|| cursor.find("reset")) {
            return configured(cursor, at, found);
        }
        if cursor.is_at(1, "system") {
            return push(found, PrivilegeUse::Configure, words(unit, cursor.at + 1..cursor.end), None);
        }
    }
    // An extension, its event triggers, its functions and tables.
    let takes_away = (cursor.is("drop") || cursor.is("alter"))
        && ["extension", "event", "function", "table", "component", "trigger", "database", "schema"]
            .iter()
            .any(|kind| cursor.is_at(1, kind));
    let names = |range: Range<usize>| -> bool {
        range
            .into_iter()
            .any(|at| unit.tokens[at].is_identifier() && is_auditor_object(&unit.tokens[at].identifier(unit.text)))
    };
    if takes_away && names(cursor.at..cursor.end) {
        push(found, PrivilegeUse::AuditOff, words(unit, cursor.at..cursor.end), None);
    }
}

/// Objects that an audit extension makes: `pgaudit`, `pgaudit_ddl_command_end`, `audit_log_filter`, `audit_log_user`.
fn is_auditor_object(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pgaudit", "server_audit", "audit_log_filter", "audit_log_user", "set_user"]
        .iter()
        .any(|auditor| name == *auditor || name.starts_with("pgaudit_"))
}

/// A setting that later sessions get: `ALTER SYSTEM SET a = b`, `ALTER ROLE r IN DATABASE d RESET ALL`.
fn configured(cursor: &Cursor<'_, '_>, set: usize, found: &mut Found) {
    let unit = cursor.unit;
    let resets = unit.tokens[set].is_word(unit.text, "reset");
    let mut rest = Cursor { unit, at: set + 1, end: cursor.end };
    let name = rest.dotted().map(|(prefix, last)| match prefix {
        Some(prefix) => format!("{prefix}.{last}").to_lowercase(),
        None => last.to_lowercase(),
    });
    let name = name.unwrap_or_default();
    let subject = format!("{} {name}", words(unit, cursor.at + 1..set));
    rest.take("to");
    let negative = (rest.at..rest.end).any(|at| unit.tokens[at].raw(unit.text) == b"-");
    let value = (rest.at..rest.end).find_map(|at| value(unit, at));
    let value = value.map(|value| if negative { format!("-{value}") } else { value });
    // Everything goes back, what watches included; or what an operator had set for all goes.
    let less = match &value {
        _ if resets => name == "all" || is_logging(&name),
        Some(value) => is_logging(&name) && is_less(&name, value),
        None => is_logging(&name),
    };
    let how = if less { PrivilegeUse::AuditOff } else { PrivilegeUse::Configure };
    push(found, how, subject, value.filter(|_| is_logging(&name)).map(|value| cut(&value)));
}

/// The value of a setting, where the token is one.
fn value(unit: &Unit<'_>, at: usize) -> Option<String> {
    let token = unit.tokens[at];
    match token.kind {
        Kind::Text(_) | Kind::Number => unit.constant(at).map(|value| String::from_utf8_lossy(&value).into_owned()),
        _ => token.is_identifier().then(|| token.identifier(unit.text).into_owned()),
    }
}

/// INSTALL and UNINSTALL of plugins and components: named by words, or in a literal that is a file's name.
fn plugins(cursor: &Cursor<'_, '_>, found: &mut Found) {
    let unit = cursor.unit;
    let audits = (cursor.at + 2..cursor.end).any(|at| value(unit, at).is_some_and(|name| is_auditor(&name)));
    let how = if audits && cursor.is("uninstall") { PrivilegeUse::AuditOff } else { PrivilegeUse::Configure };
    push(found, how, words(unit, cursor.at..cursor.end), None);
}

/// Words of a statement, literals left out.
fn words(unit: &Unit<'_>, range: Range<usize>) -> String {
    let mut text = String::new();
    for at in range {
        let Some(token) = unit.tokens.get(at) else { break };
        let word = match token.kind {
            Kind::Text(_) | Kind::Number => "?".into(),
            _ if token.is_identifier() => token.identifier(unit.text),
            _ => String::from_utf8_lossy(token.raw(unit.text)),
        };
        let tight = text.ends_with(['.', '(', '@']) || matches!(&*word, "." | "," | ")" | ";") || word.starts_with('@');
        if !text.is_empty() && !tight {
            text.push(' ');
        }
        text.push_str(&word);
        if text.len() > WORDS_BYTES_MAX {
            return cut(&text);
        }
    }
    text.trim_end_matches([';', ' ']).to_owned()
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(WORDS_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn push(found: &mut Found, how: PrivilegeUse, subject: String, after: Option<String>) {
    found.accesses.extend(match how {
        // These have been seen by whoever read the statement.
        PrivilegeUse::SetRole => None,
        PrivilegeUse::Grant | PrivilegeUse::Revoke | PrivilegeUse::Account | PrivilegeUse::Owner => Some(Access::Grant),
        PrivilegeUse::Configure => Some(Access::Configure),
        PrivilegeUse::AuditOff => Some(Access::AuditOff),
        PrivilegeUse::Definer => Some(Access::Definer),
    });
    let privilege = Privilege { how, subject, after };
    if found.privileges.len() < PRIVILEGES_MAX && !found.privileges.contains(&privilege) {
        found.privileges.push(privilege);
    }
}
