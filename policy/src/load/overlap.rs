//! Rules against each other: which of them can never matter, because another one is stricter wherever they apply.
//!
//! Only what is certain is told: a rule is compared with those that apply at all times, to all that it is about.

use std::cell::Cell;

use super::diagnostic::{Findings, shown};
use super::rules::Placed;
use crate::rule::{BudgetLine, Rule, Then, WhoSet};

/// Most comparisons of sets of people. A file that needs more is told less, rather than later.
const COMPARISONS_MAX: u64 = 5_000_000;

/// Tells about rules that can never matter.
pub(super) fn tell(rules: &[Placed], findings: &Findings) {
    let work = Cell::new(COMPARISONS_MAX);
    for (index, weak) in rules.iter().enumerate() {
        for (other, strong) in rules.iter().enumerate() {
            if other == index || !covers(&strong.rule, &weak.rule, &work) {
                continue;
            }
            // Of two rules about the same, a tie is told at the later one.
            let tied = other > index && covers(&weak.rule, &strong.rule, &work);
            if overrules(strong, weak, tied, findings) {
                break;
            }
        }
    }
}

/// Whether a strong rule leaves nothing to a weak one that it covers; tells when it does.
fn overrules(strong: &Placed, weak: &Placed, tied: bool, findings: &Findings) -> bool {
    let (strong_name, weak_name) = (shown(&strong.rule.name), shown(&weak.rule.name));
    let line = strong.at.line;
    match (strong.rule.budget.is_empty(), weak.rule.budget.is_empty()) {
        // Whatever else a rule does, it does not matter where another refuses.
        (true, weak_is_flat) if strong.rule.then == Then::Refuse && !strong.rule.observe => {
            if tied && weak_is_flat && weak.rule.then == Then::Refuse {
                return false;
            }
            let message = format!("{weak_name} never matters: {strong_name} in line {line} refuses the same or more");
            let hint = format!("the strictest rule wins: remove this one, or give {strong_name} an `except`");
            findings.warning(weak.at, message, hint);
            true
        }
        (true, true) => {
            let matters = weak.rule.then > strong.rule.then || (tied && weak.rule.then == strong.rule.then);
            if !matters {
                let message = format!("{weak_name} never matters: {strong_name} in line {line} does the same or more");
                findings.warning(weak.at, message, "remove it");
            }
            !matters
        }
        (true, false) => false,
        (false, true) if weak.rule.then == Then::Allow => {
            let message = format!("{weak_name} lifts no limit: those of {strong_name} in line {line} still hold");
            let hint = format!("the strictest rule wins: leave these people out by `except` in {strong_name}");
            findings.warning(weak.at, message, hint);
            true
        }
        (false, true) => false,
        (false, false) => strong.rule.then == Then::Refuse && tell_late_limits(strong, weak, tied, findings),
    }
}

/// Tells about limits that the strong rule's come before.
fn tell_late_limits(strong: &Placed, weak: &Placed, tied: bool, findings: &Findings) -> bool {
    let mut told = false;
    for (limit, at) in weak.rule.budget.iter().zip(&weak.limits) {
        let sooner = strong.rule.budget.iter().find(|sooner| comes_first(sooner, limit) && !(tied && *sooner == limit));
        let Some(sooner) = sooner else { continue };
        let message = format!(
            "{} {} per {} are never reached: {} per {} of {} in line {} come first",
            limit.amount,
            limit.unit,
            limit.window,
            sooner.amount,
            sooner.window,
            shown(&strong.rule.name),
            strong.at.line
        );
        findings.warning(*at, message, format!("make it smaller than {}, or remove it", sooner.amount));
        told = true;
    }
    told
}

fn comes_first(sooner: &BudgetLine, limit: &BudgetLine) -> bool {
    sooner.unit == limit.unit && sooner.window >= limit.window && sooner.amount <= limit.amount
}

/// Whether the strong rule applies whenever the weak one does.
fn covers(strong: &Rule, weak: &Rule, work: &Cell<u64>) -> bool {
    let always = strong.when.is_none() || strong.when == weak.when;
    let excepts_no_more = strong.except.is_none() || strong.except == weak.except;
    let enforced = !strong.observe || weak.observe;
    let datasets = match (&strong.datasets, &weak.datasets) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(strong), Some(weak)) => weak.iter().all(|dataset| strong.contains(dataset)),
    };
    always
        && excepts_no_more
        && enforced
        && datasets
        && strong.access.is_superset(&weak.access)
        && includes(&strong.who, &weak.who, work)
}

/// Whether everybody of `small` is certainly in `large`, as far as there is work left to find out.
fn includes(large: &WhoSet, small: &WhoSet, work: &Cell<u64>) -> bool {
    let Some(left) = work.get().checked_sub(1) else { return false };
    work.set(left);
    match (large, small) {
        (WhoSet::Any, _) => true,
        _ if large == small => true,
        (_, WhoSet::OneOf(sets)) => sets.iter().all(|set| includes(large, set, work)),
        (_, WhoSet::All(sets)) if sets.iter().any(|set| includes(large, set, work)) => true,
        (WhoSet::OneOf(sets), _) => sets.iter().any(|set| includes(set, small, work)),
        (WhoSet::All(sets), _) => sets.iter().all(|set| includes(set, small, work)),
        (WhoSet::Not(large), WhoSet::Not(small)) => includes(small, large, work),
        _ => false,
    }
}
