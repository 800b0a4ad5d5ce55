//! The tests of a file, and the tables that they use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decode::{At, Entries, Lenient};
use super::diagnostic::{Findings, shown, suggestion};
use super::raw::{RawCase, RawExpect, RawGiven, RawTable, RawUsed};
use super::words;
use crate::budget::Window;
use crate::cases::{Case, Ending, Expected, Table};
use crate::identity::Who;
use crate::play::{ROW_BYTES, Rows};
use crate::relation::Engine;
use crate::rule::Place;

/// When a test's statement comes, unless it says: Monday 2026-01-05, 12:00 UTC.
const MONDAY_NOON: u64 = 1_767_614_400;
/// Most rows that a test plays, and most records it has read before: enough for any budget that a person is given,
/// and played within a second.
const ROWS_MAX: u64 = 1_000_000;
/// Most tests and tables of a file.
const CASES_MAX: usize = 2_000;
/// Most columns of a table; the server's own limit.
const COLUMNS_MAX: usize = 1_600;
/// What decides where no rule does, as `expect.rule` and `expect.alerts` name it.
const DEFAULTS: [&str; 5] = [
    "defaults.unmatched-sensitive",
    "defaults.opaque-sensitive",
    "defaults.unfollowed-copy",
    "defaults.unknown-person",
    "defaults.unclassified-egress",
];

/// The tests. `rules` are the names that an expectation may use; `None`: not known.
pub(super) fn cases(raw: &[Lenient<At<RawCase>>], rules: Option<&BTreeSet<&str>>, findings: &Findings) -> Vec<Case> {
    let mut names: BTreeMap<&str, Place> = BTreeMap::new();
    let mut cases = Vec::new();
    for raw in raw.iter().filter_map(|case| case.0.as_ref()) {
        let name = &raw.value.name;
        if cases.len() >= CASES_MAX {
            findings.error(raw.at, format!("there are more than {CASES_MAX} tests"), "split the policy");
            break;
        }
        if name.value.trim().is_empty() || name.value.chars().any(char::is_control) {
            findings.error(name.at, "a test needs a name on one line", "say what it shows");
            continue;
        }
        if let Some(first) = names.insert(&name.value, name.at) {
            let message = format!("the test {} stands here twice, first in line {}", shown(&name.value), first.line);
            findings.error(name.at, message, "rename one of them");
            continue;
        }
        cases.extend(case(raw, rules, findings));
    }
    cases
}

fn case(raw: &At<RawCase>, rules: Option<&BTreeSet<&str>>, findings: &Findings) -> Option<Case> {
    let (at, raw) = (raw.at, &raw.value);
    let given = &raw.given;
    let who = who(given, findings);
    let wall = match &given.at {
        None => Some(MONDAY_NOON),
        Some(text) => words::moment(&text.value).or_else(|| {
            let message = format!("{} is no moment", shown(&text.value));
            findings.error(text.at, message, "write it as 2026-11-24 03:00 UTC");
            None
        }),
    };
    let used = match &given.used {
        None => Some(Vec::new()),
        Some(used) => windows(used, findings),
    };
    let rows = match &raw.returns {
        Some(returns) if returns.rows.value > ROWS_MAX => {
            findings.error(returns.rows.at, format!("a test plays at most {ROWS_MAX} rows"), "fewer show the same");
            None
        }
        Some(returns) => Some(Rows {
            count: returns.rows.value,
            bytes: returns.row_bytes.as_ref().map_or(ROW_BYTES, |bytes| bytes.value),
        }),
        None => Some(Rows { count: 0, bytes: ROW_BYTES }),
    };
    if raw.sql.value.trim().is_empty() {
        findings.error(raw.sql.at, "there is no statement here", "write what the person sends");
        return None;
    }
    let expected = expected(&raw.expect, rules, findings);
    Some(Case {
        name: raw.name.value.as_str().into(),
        at,
        who: who?,
        engine: given.engine.as_ref().map_or(Engine::Postgres, |engine| engine.value),
        database: given.database.value.as_str().into(),
        used: used?,
        wall: wall?,
        sql: raw.sql.value.clone(),
        rows: rows?,
        expected: expected?,
    })
}

fn who(given: &RawGiven, findings: &Findings) -> Option<Who> {
    let source = match &given.source {
        None => None,
        Some(text) => match text.value.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                findings.error(text.at, format!("{} is no address", shown(&text.value)), "write one such as 10.0.0.7");
                return None;
            }
        },
    };
    let person = given.person.value.as_str();
    Some(Who {
        person: person.into(),
        known: given.known.unwrap_or(true),
        groups: given.groups.iter().map(|group| group.as_str().into()).collect(),
        account: given.account.as_deref().unwrap_or(person).into(),
        source,
        application: given.application.as_deref().unwrap_or_default().into(),
        ..Who::default()
    })
}

/// What was read before. A longer window holds what the shorter ones hold.
fn windows(raw: &At<RawUsed>, findings: &Findings) -> Option<Vec<(Window, u64)>> {
    let RawUsed { minute, hour, day, month } = &raw.value;
    let written = [(Window::Minute, minute), (Window::Hour, hour), (Window::Day, day), (Window::Month, month)];
    let mut windows: Vec<(Window, u64)> = Vec::new();
    for (window, records) in written {
        let Some(records) = records else { continue };
        let shorter = windows.last().map_or(0, |(_, records)| *records);
        if records.value < shorter {
            let message = format!("{} per {window} are fewer than {shorter} in a shorter window", records.value);
            findings.error(records.at, message, "a longer window holds all that a shorter one holds");
            return None;
        }
        if records.value > ROWS_MAX {
            findings.error(records.at, format!("a test counts at most {ROWS_MAX} records"), "fewer show the same");
            return None;
        }
        windows.push((window, records.value));
    }
    if windows.is_empty() {
        findings.error(raw.at, "no window is named", "write { hour: 450 }, or remove the key");
        return None;
    }
    Some(windows)
}

fn expected(raw: &RawExpect, rules: Option<&BTreeSet<&str>>, findings: &Findings) -> Option<Expected> {
    let known = |name: &At<String>| {
        let text = name.value.as_str();
        let Some(rules) = rules.filter(|rules| !rules.contains(text) && !DEFAULTS.contains(&text)) else {
            return Some(Arc::<str>::from(text));
        };
        let hint = suggestion(text, rules.iter().copied().chain(DEFAULTS), findings);
        findings.error(name.at, format!("there is no rule {}", shown(text)), hint);
        None
    };
    if let Some(after) = &raw.after
        && raw.decision.value != Ending::Cut
    {
        findings.error(after.at, "`after` is for a cut", "write `decision: cut`, or remove `after`");
        return None;
    }
    let rule = match &raw.rule {
        None => None,
        Some(name) => Some(known(name)?),
    };
    let alerts = match &raw.alerts {
        None => None,
        Some(names) => {
            let mut alerts: Vec<Arc<str>> = names.iter().map(known).collect::<Option<_>>()?;
            alerts.sort();
            alerts.dedup();
            Some(alerts)
        }
    };
    Some(Expected { ending: raw.decision.value, after: raw.after.as_ref().map(|after| after.value), rule, alerts })
}

/// The section `tables`.
pub(super) fn tables(entries: &Entries<Lenient<RawTable>>, findings: &Findings) -> Vec<Table> {
    let mut tables: Vec<(Place, Table)> = Vec::new();
    for (name, raw) in &entries.0 {
        let Some(raw) = &raw.0 else { continue };
        if tables.len() >= CASES_MAX {
            findings.error(name.at, format!("there are more than {CASES_MAX} tables"), "keep those that tests use");
            break;
        }
        let parts = name.value.split_once('.').filter(|(schema, name)| {
            !schema.is_empty() && !name.is_empty() && !name.contains(['.', '*']) && !schema.contains('*')
        });
        let Some((schema, table)) = parts else {
            let message = format!("{} is no name of a table", shown(&name.value));
            findings.error(name.at, message, "write it as \"public.customers\"");
            continue;
        };
        if let Some((first, _)) = tables.iter().find(|(_, other)| (&*other.schema, &*other.name) == (schema, table)) {
            let message = format!("{} is defined twice, first in line {}", shown(&name.value), first.line);
            findings.error(name.at, message, "keep one of them");
            continue;
        }
        let columns = columns(&raw.columns, findings);
        if raw.key.len() > columns.len() {
            findings.error(name.at, "the key has more columns than the table", "name each column once");
            continue;
        }
        for column in &raw.key {
            if !columns.iter().any(|known| **known == *column.value) {
                let hint = suggestion(&column.value, columns.iter().map(|column| &**column), findings);
                findings.error(column.at, format!("there is no column {}", shown(&column.value)), hint);
            }
        }
        let table = Table {
            schema: schema.into(),
            name: table.into(),
            columns,
            key: raw.key.iter().map(|column| column.value.as_str().into()).collect(),
            rows: raw.rows.as_ref().map_or(0, |rows| rows.value),
        };
        tables.push((name.at, table));
    }
    tables.into_iter().map(|(_, table)| table).collect()
}

fn columns(raw: &At<Vec<At<String>>>, findings: &Findings) -> Vec<Arc<str>> {
    if raw.value.is_empty() || raw.value.len() > COLUMNS_MAX {
        findings.error(raw.at, format!("a table has 1 to {COLUMNS_MAX} columns"), "name those that tests use");
        return Vec::new();
    }
    let mut columns: Vec<Arc<str>> = Vec::new();
    for column in &raw.value {
        if column.value.is_empty() || columns.iter().any(|other| **other == *column.value) {
            let message = format!("{} is empty or stands here twice", shown(&column.value));
            findings.error(column.at, message, "name each column once");
        } else {
            columns.push(column.value.as_str().into());
        }
    }
    columns
}
