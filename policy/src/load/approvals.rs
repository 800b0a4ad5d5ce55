//! Budgets that somebody else may enlarge for a while: who, and within which bounds.

use super::decode::{At, OneOrMany};
use super::diagnostic::{Findings, shown};
use super::raw::{RawApprover, RawGrant, RawRule, RawThen};
use super::words;
use crate::approval::{Approval, GRANT_SECS_MAX};
use crate::budget::{Unit, Window};
use crate::rule::{BudgetLine, Glob, Place};

/// What a rule says of approvals. `None`: wrong, and told; `Some(None)`: nobody may approve.
pub(super) fn approval(raw: &RawRule, budget: &[(Place, BudgetLine)], findings: &Findings) -> Option<Option<Approval>> {
    let asked = raw.then.as_ref().filter(|then| then.value == RawThen::RequireApproval);
    let Some(then) = asked else {
        let keys = [
            ("approvers", raw.approvers.as_ref().map(|approvers| approvers.at)),
            ("grant", raw.grant.as_ref().map(|grant| grant.at)),
        ];
        for (key, at) in keys {
            if let Some(at) = at {
                let hint = "say `then: require-approval`, or remove the key";
                findings.error(at, format!("`{key}` is about approvals, which this rule does not ask for"), hint);
            }
        }
        return keys.iter().all(|(_, at)| at.is_none()).then_some(None);
    };
    if raw.budget.is_none() {
        let hint = "give the rule a `budget`, or use `then: refuse`";
        findings.error(then.at, "what is approved is a larger budget, and there is none", hint);
        return None;
    }
    if let Some((at, limit)) = budget.iter().find(|(_, limit)| limit.unit != Unit::Records) {
        let message = format!("an approval lets records leave, and {} would still hold them back", limit.unit);
        findings.error(*at, message, "count records only, or give this limit a rule of its own");
        return None;
    }
    let (managers, groups) = match &raw.approvers {
        Some(written) => approvers(written, findings)?,
        None => (true, Vec::new()),
    };
    let (records_max, secs_max) = match &raw.grant {
        Some(written) => bounds(written, budget, findings)?,
        None => (None, GRANT_SECS_MAX),
    };
    Some(Some(Approval { managers, groups, records_max, secs_max }))
}

fn approvers(raw: &At<OneOrMany<At<RawApprover>>>, findings: &Findings) -> Option<(bool, Vec<Glob>)> {
    let (mut managers, mut groups) = (false, Vec::new());
    for approver in &raw.value.0 {
        match &approver.value {
            RawApprover::Named(name) if name == "managers" => managers = true,
            RawApprover::Named(name) => {
                let message = format!("{} is nobody who can approve", shown(name));
                findings.error(approver.at, message, "write `managers`, or { group: data-owners }");
                return None;
            }
            RawApprover::Of(of) => groups.extend(of.group.value.0.iter().map(|group| Glob::new(&group.value))),
        }
    }
    if !managers && groups.is_empty() {
        findings.error(raw.at, "nobody could approve", "write `managers`, or { group: data-owners }");
        return None;
    }
    Some((managers, groups))
}

fn bounds(raw: &At<RawGrant>, budget: &[(Place, BudgetLine)], findings: &Findings) -> Option<(Option<u64>, u64)> {
    let RawGrant { records, lasts } = &raw.value;
    if let Some(records) = records
        && records.value == 0
    {
        findings.error(records.at, "a grant of 0 records lets nothing leave", "say how many at most, or leave it out");
        return None;
    }
    let secs = match lasts {
        None => GRANT_SECS_MAX,
        Some(text) => match words::duration(&text.value) {
            Some(secs @ 1..=GRANT_SECS_MAX) => secs,
            Some(_) => {
                findings.error(text.at, "a grant lasts from one second to 24 hours", "write 30m, 8h or 24h");
                return None;
            }
            None => {
                let message = format!("{} is not understood as a length of time", shown(&text.value));
                findings.error(text.at, message, "write 30m, 8h or 24h");
                return None;
            }
        },
    };
    // What is approved is more than what a window lets leave anyway; else nobody needed to ask.
    let largest = budget.iter().filter(|(_, limit)| limit.window != Window::Statement).map(|(_, limit)| limit.amount);
    if let (Some(records), Some(largest)) = (records, largest.max())
        && records.value > largest.saturating_mul(GRANT_TIMES_USUAL)
    {
        let message = format!("a grant of {} records is more than {GRANT_TIMES_USUAL} times the budget", records.value);
        findings.warning(records.at, message, "an export of that size is better a rule of its own");
    }
    Some((records.as_ref().map(|records| records.value), secs))
}

/// A grant that is this many times the budget is a typing mistake more often than not.
const GRANT_TIMES_USUAL: u64 = 100;
