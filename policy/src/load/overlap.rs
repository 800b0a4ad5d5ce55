//! Rules against each other: which of them can never matter, because another one is stricter wherever they apply.
//!
//! Only what is certain is told: a rule is compared with those that apply at all times, to all that it is about.

use super::diagnostic::{Findings, shown};
use super::rules::Placed;
use crate::rule::{BudgetLine, Rule, Then, WhoSet};

/// Tells about rules that can never matter.
pub(super) fn tell(rules: &[Placed], findings: &Findings) {
    for (index, weak) in rules.iter().enumerate() {
        for (other, strong) in rules.iter().enumerate() {
            // Of two rules that say the same, the later one is told about.
            let same = other != index && says_the_same(&strong.rule, &weak.rule);
            if other == index || (same && other > index) || !covers(&strong.rule, &weak.rule) {
                continue;
            }
            if overrules(strong, weak, findings) {
                break;
            }
        }
    }
}

/// Whether a strong rule leaves nothing to a weak one that it covers; tells when it does.
fn overrules(strong: &Placed, weak: &Placed, findings: &Findings) -> bool {
    let (strong_name, weak_name) = (shown(&strong.rule.name), shown(&weak.rule.name));
    let line = strong.at.line;
    if strong.rule.then == Then::Refuse && strong.rule.budget.is_empty() {
        let message = format!("{weak_name} never matters: {strong_name} in line {line} refuses the same and more");
        let hint = format!("the strictest rule wins: remove this one, or give {strong_name} an `except`");
        findings.warning(weak.at, message, hint);
        return true;
    }
    if weak.rule.budget.is_empty() {
        if weak.rule.then == Then::Allow && !strong.rule.budget.is_empty() {
            let message = format!("{weak_name} lifts no limit: those of {strong_name} in line {line} still hold");
            let hint = format!("the strictest rule wins: leave these people out by `except` in {strong_name}");
            findings.warning(weak.at, message, hint);
            return true;
        }
        if weak.rule.then <= strong.rule.then && strong.rule.budget.is_empty() && weak.rule.message.is_none() {
            let message = format!("{weak_name} never matters: {strong_name} in line {line} does the same and more");
            findings.warning(weak.at, message, "remove it");
            return true;
        }
        return false;
    }
    if strong.rule.then < weak.rule.then || (strong.rule.observe && !weak.rule.observe) {
        return false;
    }
    let mut told = 0_usize;
    for (limit, at) in weak.rule.budget.iter().zip(&weak.limits) {
        let Some(sooner) = strong.rule.budget.iter().find(|sooner| comes_first(sooner, limit)) else { continue };
        let message = format!(
            "{} {} per {} are never reached: {} per {} of {strong_name} in line {line} come first",
            limit.amount, limit.unit, limit.window, sooner.amount, sooner.window
        );
        findings.warning(*at, message, format!("make it smaller than {}, or remove it", sooner.amount));
        told += 1;
    }
    told > 0
}

fn comes_first(sooner: &BudgetLine, limit: &BudgetLine) -> bool {
    sooner.unit == limit.unit && sooner.window >= limit.window && sooner.amount <= limit.amount
}

/// Whether the strong rule applies whenever the weak one does.
fn covers(strong: &Rule, weak: &Rule) -> bool {
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
        && includes(&strong.who, &weak.who)
}

/// Whether everybody of `small` is certainly in `large`.
fn includes(large: &WhoSet, small: &WhoSet) -> bool {
    if matches!(large, WhoSet::Any) || large == small {
        return true;
    }
    match (large, small) {
        (_, WhoSet::OneOf(sets)) => sets.iter().all(|set| includes(large, set)),
        (_, WhoSet::All(sets)) if sets.iter().any(|set| includes(large, set)) => true,
        (WhoSet::OneOf(sets), _) => sets.iter().any(|set| includes(set, small)),
        (WhoSet::All(sets), _) => sets.iter().all(|set| includes(set, small)),
        (WhoSet::Not(large), WhoSet::Not(small)) => includes(small, large),
        _ => false,
    }
}

fn says_the_same(one: &Rule, other: &Rule) -> bool {
    covers(one, other) && covers(other, one)
}
