//! What operators do to budgets: resets and grants, live and from the log.
//!
//! INVARIANT: both take the same record, so a restart leaves what there was. INVARIANT: a grant whose time is over on
//! either clock is not taken up again, so an outage extends none.

use std::sync::Arc;

use weir_audit_store::Event;
use weir_audit_store::event::{Admin, Body, Grant, Until};
use weir_policy::approval;
use weir_policy::budget::Window;
use weir_policy::ledger::{GRANTS_MAX, LedgerTime};

use super::{Budgets, lock, wall_ms};

/// The action that begins budgets anew.
pub const RESET: &str = "budget-reset";
/// The action that grants a request.
pub const APPROVE: &str = "approve";
/// The outcome of an act that took effect.
pub const DONE: &str = "done";

/// Windows as a record holds them.
pub fn window_words(windows: &[Window]) -> Vec<String> {
    let word = |window: &Window| match serde_json::to_value(window) {
        Ok(serde_json::Value::String(word)) => Some(word),
        _ => None,
    };
    windows.iter().filter_map(word).collect()
}

/// The same back. Without any that is known, nothing counts as read before: the strict side.
fn windows(words: &[String]) -> Vec<Window> {
    let read: Option<Vec<Window>> =
        words.iter().map(|word| serde_json::from_value(word.as_str().into()).ok()).collect();
    read.filter(|windows| !windows.is_empty()).unwrap_or_else(|| vec![Window::Minute])
}

impl Budgets {
    /// Takes up what a record of an operator's act says, now or as the log remembers it.
    pub fn apply(&self, event: &Event) {
        let Body::Admin(admin) = &event.body else { return };
        if admin.outcome != DONE {
            return;
        }
        match (admin.action.as_str(), &admin.target, &admin.grant, admin.until) {
            (RESET, Some(person), ..) => self.reset(person, admin),
            (APPROVE, _, Some(grant), Some(until)) => self.take_up(grant, until, event.ledger_ms),
            _ => {}
        }
    }

    /// Whether one more grant has a place on a person's dataset.
    pub fn may_grant(&self, person: &Arc<str>, dataset: &str) -> bool {
        let ledger = self.ledger(person);
        let grants = lock(&ledger).grants(self.clock.now());
        grants.iter().filter(|(of, _)| **of == *dataset).count() < GRANTS_MAX
    }

    fn reset(&self, person: &str, admin: &Admin) {
        let ledger = self.ledger(&person.into());
        lock(&ledger).reset(admin.dataset.as_deref());
    }

    fn take_up(&self, grant: &Grant, until: Until, since_ms: u64) {
        if wall_ms() >= until.time_ms {
            return;
        }
        let ledger = self.ledger(&grant.person.as_str().into());
        let given = approval::Grant {
            request: grant.request.as_str().into(),
            rule: grant.rule.as_str().into(),
            records: grant.records,
            windows: windows(&grant.windows),
            since: LedgerTime(since_ms),
            until: LedgerTime(until.ledger_ms),
            charged: 0,
        };
        if !lock(&ledger).grant(&grant.dataset, given, self.clock.now()) {
            tracing::error!(request = grant.request, "a grant of the log has no place: too many hold at once");
        }
    }
}
