//! Budgets that somebody else may enlarge for a while: who may, by how much, for how long, and what was granted.
//!
//! INVARIANT: a grant never lets more leave than it names, however many windows the rule has: what leaves since it was
//! given counts against it, and so does every running lease. INVARIANT: it ends by itself.

use std::fmt;
use std::sync::Arc;

use crate::budget::Window;
use crate::ledger::LedgerTime;
use crate::rule::Glob;

/// Longest time that a grant may hold, whatever a policy says, seconds: a day. Who needs more needs another rule.
pub const GRANT_SECS_MAX: u64 = 24 * 3600;

/// Who may enlarge a rule's budget, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whether the manager of whoever asks may.
    pub(crate) managers: bool,
    /// Groups whose members may.
    pub(crate) groups: Vec<Glob>,
    /// Most records of one grant; `None`: as many as the approver says.
    pub(crate) records_max: Option<u64>,
    /// Longest time of one grant, seconds.
    pub(crate) secs_max: u64,
}

impl Approval {
    /// Whether somebody of these groups may approve; `manages`: they are the manager of whoever asks.
    pub fn lets(&self, groups: &[Arc<str>], manages: bool) -> bool {
        (self.managers && manages) || groups.iter().any(|group| self.groups.iter().any(|glob| glob.matches(group)))
    }

    /// Most records of one grant.
    pub fn records_max(&self) -> Option<u64> {
        self.records_max
    }

    /// Longest time of one grant, seconds.
    pub fn secs_max(&self) -> u64 {
        self.secs_max
    }
}

impl fmt::Display for Approval {
    /// Who may, in words: `their manager or a member of data-owners`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<&str> = self.groups.iter().map(Glob::as_str).collect();
        match (self.managers, groups.as_slice()) {
            (true, []) => f.write_str("their manager"),
            (true, groups) => write!(f, "their manager or a member of {}", groups.join(", ")),
            (false, groups) => write!(f, "a member of {}", groups.join(", ")),
        }
    }
}

/// A larger budget that somebody was given for a while.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Grant {
    /// The request that it answers.
    pub request: Arc<str>,
    /// Rule whose budget it enlarges.
    pub rule: Arc<str>,
    /// How many more records may leave.
    pub records: u64,
    /// Windows of the rule's limits: a record that each of them counts already is not one more.
    pub windows: Vec<Window>,
    /// When it was given, on the ledger's clock.
    pub since: LedgerTime,
    /// When it ends, on the ledger's clock.
    pub until: LedgerTime,
    /// Records that have left since.
    pub charged: u64,
}

impl Grant {
    /// Whether it still holds.
    pub fn holds(&self, now: LedgerTime) -> bool {
        now < self.until
    }

    /// What is left of it.
    pub fn left(&self) -> u64 {
        self.records.saturating_sub(self.charged)
    }

    /// Counts a record that was charged before, last at this time; `held`: whether a window still counts that.
    pub(crate) fn count_key(&mut self, charged: LedgerTime, held: impl Fn(Window) -> bool) {
        // What has left since the grant began is counted already.
        if charged <= self.since && !self.windows.iter().all(|window| held(*window)) {
            self.charged = self.charged.saturating_add(1);
        }
    }
}
