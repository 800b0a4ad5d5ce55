//! One person's running totals: how much of each dataset left, over every window at once.
//!
//! A ledger never asks what the policy of the day allows: it keeps all four windows of each dataset, so that a
//! reload loses nothing. What may leave is the [`Meter`](crate::meter::Meter)'s question; it draws reservations
//! here, and `used + reserved` is what every other meter of the person sees.
//!
//! What must never happen here: a total that is smaller than the truth. Every approximation is on the other side:
//! a window keeps its oldest, partial sub-bucket; a key that no longer fits in memory counts as a new record when
//! it is read again; a clock that steps back stands still.

mod account;
mod days;
mod ring;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use account::{Account, KeyState, Tally};
pub use account::{GRANTS_MAX, KEYS_MAX};
pub(crate) use days::{DAY_MS, Days, day_of};

use crate::approval::Grant;
use crate::budget::{Unit, Window};
use crate::detect::{Habits, Note, Probes};
use crate::extraction::{Extractions, Taken, View};
use crate::told::{Telling, Told};
use crate::verdict::Alert;

/// Milliseconds on the ledger's clock: monotonic across restarts, never a wall clock that may step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
pub struct LedgerTime(pub u64);

/// The moment of a judgement, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the ledger's clock: windows.
    pub now: LedgerTime,
    /// Seconds since 1970-01-01 UTC on the wall: `when` and `until`.
    pub wall: i64,
}

/// Keyed hash of a record's relation and key. Two relations must never share a hash for different records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RecordKey(pub u128);

impl RecordKey {
    /// No key is visible: the row counts as a record of its own.
    pub const NONE: RecordKey = RecordKey(0);
}

/// A charge that was made before, as the audit store remembers it.
#[derive(Clone, Copy, Debug)]
pub struct Replay<'a> {
    /// Dataset that was charged.
    pub dataset: &'a str,
    /// When, on the ledger's clock.
    pub at: LedgerTime,
    /// Keys of records that left.
    pub keys: &'a [RecordKey],
    /// Records that left without a key; for a lease that was never settled, all that it allowed.
    pub unkeyed: u64,
    /// Result rows.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
}

/// One total, for a person who asks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UsedLine {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Window.
    pub window: Window,
    /// Unit.
    pub unit: Unit,
    /// How much left in the window.
    pub used: u64,
    /// How much more running statements have reserved.
    pub reserved: u64,
}

/// One person's running totals.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    accounts: HashMap<Arc<str>, Account>,
    latest: LedgerTime,
    /// What was asked.
    pub(crate) probes: Probes,
    /// What was taken out, stitched together.
    pub(crate) extractions: Extractions,
    told: Told,
    /// What the person usually does.
    pub(crate) habits: Habits,
}

impl Ledger {
    /// A ledger of somebody who has read nothing yet.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// The same, of a person whose extractions have names that nobody else's have.
    pub fn seeded(seed: u64) -> Ledger {
        Ledger { extractions: Extractions::seeded(seed), ..Ledger::default() }
    }

    /// Counts again what the audit store says has left. Charges may come in any order; one that is older than a
    /// later one already replayed counts from the later time on, so that it leaves its windows no earlier.
    pub fn replay(&mut self, charge: &Replay<'_>) {
        let now = self.tick(charge.at);
        let account = self.account(charge.dataset);
        for key in charge.keys {
            if *key == RecordKey::NONE {
                account.charge_unkeyed(1, now);
            } else {
                account.charge_key(*key, now);
            }
        }
        account.charge_unkeyed(charge.unkeyed, now);
        account.charge_traffic(charge.rows, charge.bytes, now);
    }

    /// How much of a dataset left in a window, the partial oldest sub-bucket included. 0 for
    /// [`Window::Statement`], which lives in the meter.
    pub fn used(&self, dataset: &str, window: Window, unit: Unit, now: LedgerTime) -> u64 {
        let now = now.max(self.latest);
        self.accounts.get(dataset).map_or(0, |account| account.used(window, unit, now))
    }

    /// How much more of a dataset running statements may release without asking again.
    pub fn reserved(&self, dataset: &str, unit: Unit) -> u64 {
        self.accounts.get(dataset).map_or(0, |account| account.reserved.of(unit))
    }

    /// Counts again a question that the audit store remembers.
    pub fn replay_question(&mut self, note: &Note, at: LedgerTime) {
        let now = self.tick(at);
        self.probes.note(note, Window::Day, now);
    }

    /// Takes up an extraction as the audit store remembers it.
    pub fn restore_extraction(&mut self, view: &View) {
        self.extractions.restore(view);
    }

    /// Counts what was leased and never accounted for, which may have left, in the extraction too.
    pub fn may_have_left(&mut self, dataset: &str, records: u64, rows: u64, bytes: u64) {
        self.extractions.may_have_left(dataset, Taken { statements: 0, records, rows, bytes });
    }

    /// Forgets what has left of a dataset, or of all of them, so that budgets begin anew. What running statements have
    /// reserved stays reserved; what was taken out stays known.
    pub fn reset(&mut self, dataset: Option<&str>) {
        let named = |name: &str| dataset.is_none_or(|wanted| wanted == name);
        self.accounts.iter_mut().filter(|(name, _)| named(name)).for_each(|(_, account)| account.reset());
    }

    /// Takes up a grant on a dataset's budget. False: more than [`GRANTS_MAX`] hold already.
    pub fn grant(&mut self, dataset: &str, grant: Grant, now: LedgerTime) -> bool {
        let now = self.tick(now);
        self.account(dataset).grant(grant, now)
    }

    /// Grants that hold, by dataset.
    pub fn grants(&self, now: LedgerTime) -> Vec<(Arc<str>, Grant)> {
        let now = now.max(self.latest);
        let of = |(dataset, account): (&Arc<str>, &Account)| {
            account.grants(now).map(|grant| (dataset.clone(), grant.clone())).collect::<Vec<_>>()
        };
        let mut grants: Vec<(Arc<str>, Grant)> = self.accounts.iter().flat_map(of).collect();
        grants.sort_by(|a, b| (&a.0, &a.1.request).cmp(&(&b.0, &b.1.request)));
        grants
    }

    /// How many records beyond the limits of a rule its grants let leave now.
    pub fn grace(&self, dataset: &str, rule: &str, now: LedgerTime) -> u64 {
        let now = now.max(self.latest);
        self.accounts.get(dataset).map_or(0, |account| account.grace(rule, now))
    }

    /// When a window holds less than this again, by itself; `None` when it does now.
    pub fn frees_at(
        &self,
        dataset: &str,
        window: Window,
        unit: Unit,
        amount: u64,
        now: LedgerTime,
    ) -> Option<LedgerTime> {
        let now = now.max(self.latest);
        self.accounts.get(dataset).and_then(|account| account.frees_at(window, unit, amount, now))
    }

    /// What was taken out of each dataset, stitched together.
    pub fn extractions(&self) -> &Extractions {
        &self.extractions
    }

    /// Whether to tell of this now, or when it has happened more often.
    pub fn tell(&mut self, alert: &Alert, now: LedgerTime) -> Option<Telling> {
        let now = self.tick(now);
        self.told.tell(alert, now)
    }

    /// Whether nothing is left in any window and nothing is reserved: the ledger may be dropped and made anew.
    pub fn is_idle(&self, now: LedgerTime) -> bool {
        let now = now.max(self.latest);
        self.accounts.values().all(|account| account.is_idle(now))
            && self.probes.is_idle(now)
            && self.habits.is_idle(now)
    }

    /// What the person usually does.
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    /// Distinct records of each day, of a dataset.
    pub(crate) fn days(&self, dataset: &str) -> Option<&Days> {
        self.accounts.get(dataset).map(Account::days)
    }

    /// Every total that is not zero, by dataset, window and unit.
    pub fn snapshot(&self, now: LedgerTime) -> Vec<UsedLine> {
        let now = now.max(self.latest);
        let mut lines = Vec::new();
        for (dataset, account) in &self.accounts {
            for window in Window::LEDGER {
                for unit in Unit::ALL {
                    let (used, reserved) = (account.used(window, unit, now), account.reserved.of(unit));
                    if used > 0 || reserved > 0 {
                        lines.push(UsedLine { dataset: dataset.clone(), window, unit, used, reserved });
                    }
                }
            }
        }
        lines.sort_by(|a, b| (&a.dataset, a.window, a.unit).cmp(&(&b.dataset, b.window, b.unit)));
        lines
    }

    /// Moves the clock on; it never moves back.
    pub(crate) fn tick(&mut self, now: LedgerTime) -> LedgerTime {
        self.latest = self.latest.max(now);
        self.latest
    }

    /// The account of a dataset, opened when it is first touched.
    pub(crate) fn account(&mut self, dataset: &str) -> &mut Account {
        self.accounts.entry(dataset.into()).or_default()
    }

    /// Takes an account out, to work on several at once; [`put_back`](Ledger::put_back) must follow.
    pub(crate) fn take_out(&mut self, dataset: &str) -> Account {
        self.accounts.get_mut(dataset).map(std::mem::take).unwrap_or_default()
    }

    /// Puts back what [`take_out`](Ledger::take_out) took.
    pub(crate) fn put_back(&mut self, dataset: &Arc<str>, account: Account) {
        self.accounts.insert(dataset.clone(), account);
    }
}
