//! Rules, each by itself: whom and what it is about, and what it does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::decode::{At, Entries, OneOrMany};
use super::diagnostic::{Findings, shown, suggestion};
use super::people::People;
use super::raw::{RawAmount, RawBudget, RawMode, RawRule, RawThen, RawWhen};
use super::{approvals, name_of, words};
use crate::budget::{Unit, Window};
use crate::rule::{BudgetLine, Place, Rule, Schedule, Then};
use crate::statement::Access;

/// Longest message for a client, in characters: it has to fit into a line of a terminal or a dialog.
const MESSAGE_CHARS_MAX: usize = 400;
/// Most limits of one rule: four windows and the statement, in three units.
const LIMITS_MAX: usize = 15;

/// A rule, and where its parts stand.
pub(super) struct Placed {
    pub(super) rule: Rule,
    pub(super) at: Place,
    /// Of each limit, in the order of the rule.
    pub(super) limits: Vec<Place>,
}

/// What a rule may name.
pub(super) struct Names<'a> {
    pub(super) people: &'a People<'a>,
    pub(super) datasets: &'a BTreeMap<&'a str, Place>,
    pub(super) findings: &'a Findings,
}

/// A rule. `None`: wrong, and told.
pub(super) fn rule<'a>(raw: &'a At<RawRule>, names: &Names<'a>) -> Option<Placed> {
    let findings = names.findings;
    let (at, raw) = (raw.at, &raw.value);
    let name = name_of(&raw.name, "rule", findings);
    let who = names.people.resolve(&raw.who);
    let except = raw.except.as_ref().map(|except| names.people.exception(except));
    let datasets = raw.dataset.as_ref().map(|datasets| known_datasets(datasets, names));
    let access = accesses(raw, findings);
    let limits = raw.budget.as_ref().map(|budget| limits(budget, findings));
    let thresholds = raw.at.as_ref().map(|thresholds| percentages(thresholds, findings));
    let when = raw.when.as_ref().map(|when| schedule(when, findings));
    let message = raw.message.as_ref().map(|message| told_to_client(message, findings));
    let then = outcome(raw, at, findings);
    let budget = limits.unwrap_or_default();
    tell_unreachable_limits(&budget, then.unwrap_or(Then::Alert), findings);
    let approval = approvals::approval(raw, &budget, findings);
    Some(Placed {
        at,
        limits: budget.iter().map(|(place, _)| *place).collect(),
        rule: Rule {
            name: name?,
            who: who?,
            except: all_or_none(except)?,
            datasets: all_or_none(datasets)?,
            access: access?,
            budget: budget.into_iter().map(|(_, limit)| limit).collect(),
            thresholds: thresholds.unwrap_or_default(),
            then: then?,
            approval: approval?,
            when: all_or_none(when)?,
            message: all_or_none(message)?,
            observe: raw.mode == Some(RawMode::Observe),
        },
    })
}

/// What was not written may be missing; what was written must be right.
pub(super) fn all_or_none<T>(written: Option<Option<T>>) -> Option<Option<T>> {
    match written {
        None => Some(None),
        Some(None) => None,
        Some(Some(right)) => Some(Some(right)),
    }
}

/// What the rule does, from `budget`, `at` and `then` together.
fn outcome(raw: &RawRule, at: Place, findings: &Findings) -> Option<Then> {
    if raw.budget.is_none()
        && let Some(thresholds) = &raw.at
    {
        findings.error(thresholds.at, "`at` needs a budget to be a share of", "add `budget`, or use `then: alert`");
    }
    match (&raw.budget, &raw.then) {
        (Some(budget), _) if raw.dataset.is_none() => {
            findings.error(budget.at, "a budget needs a dataset whose records it counts", "add `dataset`");
            None
        }
        (Some(_), None) => Some(Then::Refuse),
        (Some(_), Some(At { at, value: RawThen::Allow })) => {
            let message = "a budget that allows more at its limit does nothing";
            findings.error(*at, message, "leave `then` out to cut, or use `then: alert`");
            None
        }
        (None, None) => {
            let message = format!("{} does nothing", shown(&raw.name.value));
            findings.error(at, message, "give it a `budget`, or `then: refuse`, `alert` or `allow`");
            None
        }
        (budget, Some(then)) => {
            if let (None, RawThen::Allow | RawThen::Alert, Some(message)) = (budget, then.value, &raw.message) {
                let hint = "the client reads it only when the rule refuses or cuts: remove it";
                findings.warning(message.at, "nobody reads this message", hint);
            }
            Some(match then.value {
                RawThen::Allow => Then::Allow,
                RawThen::Alert => Then::Alert,
                RawThen::Refuse | RawThen::RequireApproval => Then::Refuse,
            })
        }
    }
}

pub(super) fn known_datasets<'a>(raw: &'a At<OneOrMany<At<String>>>, names: &Names<'a>) -> Option<Vec<Arc<str>>> {
    let findings = names.findings;
    if raw.value.0.is_empty() {
        findings.error(raw.at, "an empty list of datasets is about nothing", "name one, or remove the key");
        return None;
    }
    let mut datasets: Vec<Arc<str>> = Vec::new();
    let mut wrong = false;
    for name in &raw.value.0 {
        if !names.datasets.contains_key(name.value.as_str()) {
            let hint = suggestion(&name.value, names.datasets.keys().copied(), findings);
            findings.error(name.at, format!("there is no dataset {}", shown(&name.value)), hint);
            wrong = true;
        } else if datasets.iter().any(|other| **other == *name.value) {
            findings.error(name.at, format!("{} stands here twice", shown(&name.value)), "keep one of them");
            wrong = true;
        } else {
            datasets.push(name.value.as_str().into());
        }
    }
    (!wrong).then_some(datasets)
}

fn accesses(raw: &RawRule, findings: &Findings) -> Option<BTreeSet<Access>> {
    let Some(written) = &raw.access else { return Some(BTreeSet::from([Access::Read])) };
    if written.value.0.is_empty() {
        findings.error(written.at, "an empty list of accesses is about nothing", "leave `access` out to mean `read`");
        return None;
    }
    let mut accesses = BTreeSet::new();
    for access in &written.value.0 {
        if !accesses.insert(access.value) {
            findings.error(access.at, "this access stands here twice", "keep one of them");
            return None;
        }
        let alone = match access.value {
            Access::SetRole => "set-role",
            Access::Definer => "definer",
            Access::Configure => "configure",
            Access::AuditOff => "audit-off",
            Access::Read | Access::Export | Access::Write | Access::Ddl | Access::Grant => continue,
        };
        if raw.dataset.is_some() {
            let message = format!("`{alone}` is about no dataset, so this rule would never match it");
            findings.error(access.at, message, format!("give `{alone}` a rule of its own without `dataset`"));
            return None;
        }
    }
    if let Some(budget) = &raw.budget
        && accesses.is_disjoint(&BTreeSet::from([Access::Read, Access::Export, Access::Write]))
    {
        let message = "nothing leaves by these accesses, so a budget can never be reached";
        findings.error(budget.at, message, "use `then: refuse` or `then: alert`");
        return None;
    }
    Some(accesses)
}

fn limits(raw: &At<Vec<super::decode::Lenient<At<RawBudget>>>>, findings: &Findings) -> Vec<(Place, BudgetLine)> {
    if raw.value.is_empty() {
        findings.error(raw.at, "an empty budget limits nothing", "add a line such as { records: 500, per: hour }");
    }
    if raw.value.len() > LIMITS_MAX {
        let message = format!("a rule has at most {LIMITS_MAX} limits");
        findings.error(raw.at, message, "one for each window and unit is enough");
        return Vec::new();
    }
    let mut limits: Vec<(Place, BudgetLine)> = Vec::new();
    for line in raw.value.iter().filter_map(|line| line.0.as_ref()) {
        let Some(limit) = limit(line, findings) else { continue };
        match limits.iter().find(|(_, other)| (other.window, other.unit) == (limit.window, limit.unit)) {
            Some((first, _)) => {
                let message =
                    format!("{} per {} has a limit already, in line {}", limit.unit, limit.window, first.line);
                findings.error(line.at, message, "keep the smaller one");
            }
            None => limits.push((line.at, limit)),
        }
    }
    limits
}

fn limit(raw: &At<RawBudget>, findings: &Findings) -> Option<BudgetLine> {
    let RawBudget { records, rows, bytes, per } = &raw.value;
    let written = [(Unit::Records, records), (Unit::Rows, rows), (Unit::Bytes, bytes)];
    let mut written = written.iter().filter_map(|(unit, amount)| amount.as_ref().map(|amount| (*unit, amount)));
    let (Some((unit, amount)), None) = (written.next(), written.next()) else {
        let message = "a limit counts one of `records`, `rows` and `bytes`";
        findings.error(raw.at, message, "write one of them in each line: { records: 500, per: hour }");
        return None;
    };
    Some(BudgetLine { window: per.value, unit, amount: amount_of(amount, unit, findings)? })
}

/// An amount that something can reach.
pub(super) fn amount_of(raw: &At<RawAmount>, unit: Unit, findings: &Findings) -> Option<u64> {
    let amount = match &raw.value {
        RawAmount::Number(number) => *number,
        RawAmount::Size(text) => match words::size(text) {
            Some(bytes) if unit == Unit::Bytes => bytes,
            _ => {
                let hint = match unit {
                    Unit::Bytes => "write a whole number of bytes, or a size such as 200MiB",
                    Unit::Records | Unit::Rows => "write a whole number",
                };
                findings.error(raw.at, format!("{} is no number of {unit}", shown(text)), hint);
                return None;
            }
        },
    };
    if amount == 0 {
        findings.error(raw.at, format!("a limit of 0 {unit} lets nothing leave"), "say so: use `then: refuse`");
        return None;
    }
    Some(amount)
}

/// Within a rule, a limit over a shorter window has to be smaller: the longer window ends it first otherwise.
fn tell_unreachable_limits(limits: &[(Place, BudgetLine)], then: Then, findings: &Findings) {
    for (at, short) in limits {
        let sooner = limits
            .iter()
            .map(|(_, long)| long)
            .filter(|long| long.unit == short.unit && long.window > short.window && long.amount <= short.amount)
            .min_by_key(|long| long.amount);
        let Some(long) = sooner else { continue };
        let message = format!(
            "{} {} per {} are never reached: {} per {} come first",
            short.amount, short.unit, short.window, long.amount, long.window
        );
        let hint = format!("remove this limit, or make it smaller than {}", long.amount);
        // A statement is no stretch of time: one that runs for longer than the window may reach its limit after all.
        // And where nothing is cut, the shorter window may still have something to tell later.
        if short.window == Window::Statement || then != Then::Refuse {
            findings.warning(*at, message, hint);
        } else {
            findings.error(*at, message, hint);
        }
    }
}

fn percentages(raw: &At<Entries<At<Then>>>, findings: &Findings) -> Vec<u8> {
    if raw.value.0.is_empty() {
        findings.error(raw.at, "no share of the budget is named", "write { 80%: alert }, or remove the key");
    }
    let mut percentages = BTreeSet::new();
    for (share, then) in &raw.value.0 {
        let percent = words::percent(&share.value).and_then(|percent| u8::try_from(percent).ok());
        let Some(percent @ 1..=99) = percent else {
            let message = format!("{} is no share of a budget", shown(&share.value));
            findings.error(share.at, message, "write 1% to 99%; what happens at 100% is said by `then`");
            continue;
        };
        if then.value != Then::Alert {
            findings.error(then.at, "a share of a budget can only alert", "write `alert`");
        }
        if !percentages.insert(percent) {
            findings.error(share.at, format!("{percent}% stands here twice"), "keep one of them");
        }
    }
    percentages.into_iter().collect()
}

fn schedule(raw: &At<RawWhen>, findings: &Findings) -> Option<Schedule> {
    let (text, made): (_, fn(_) -> Schedule) = match (&raw.value.inside, &raw.value.outside) {
        (Some(text), None) => (text, Schedule::Inside),
        (None, Some(text)) => (text, Schedule::Outside),
        _ => {
            findings.error(
                raw.at,
                "`when` has one of `inside` and `outside`",
                "write { inside: \"Mon-Fri 08:00-18:00 UTC\" }",
            );
            return None;
        }
    };
    match words::hours(&text.value) {
        Some(hours) => Some(made(hours)),
        None => {
            let message = format!("{} is not understood as hours of the week", shown(&text.value));
            findings.error(text.at, message, "write \"Mon-Fri 08:00-18:00 UTC\", days also as Mon,Wed; always in UTC");
            None
        }
    }
}

fn told_to_client(raw: &At<String>, findings: &Findings) -> Option<Arc<str>> {
    let text = raw.value.trim();
    let problem = if text.is_empty() {
        "an empty message tells nobody anything".to_owned()
    } else if text.chars().count() > MESSAGE_CHARS_MAX {
        format!("this message is longer than {MESSAGE_CHARS_MAX} characters")
    } else if text.chars().any(char::is_control) {
        "this message has a line break or another control character in it".to_owned()
    } else {
        return Some(text.into());
    };
    findings.error(raw.at, problem, "write one line that says what to do now");
    None
}
