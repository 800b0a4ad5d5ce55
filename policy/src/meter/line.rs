//! One dataset of one execution: its limits, what is left of its lease, and what the execution has released of it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::stitch::Stitch;
use crate::admit::EGRESS_RULE;
use crate::budget::{Amounts, Force, Limit, Unit, Window};
use crate::extraction::Since;
use crate::ledger::{Account, KeyState, LedgerTime, RecordKey};
use crate::verdict::{Alert, AlertKind, Basis, Denial, Outcome};

/// Most keys that an execution remembers to tell its own records apart: 2 MiB. Above it each row counts as a
/// record of its own towards `per: statement` and the completion record.
pub(super) const STATEMENT_KEYS_MAX: usize = 1 << 16;

/// Largest lease, in each unit. After a crash the log over-counts by at most one lease for each open statement; a
/// smaller one costs more durable writes on long results.
const LEASE_MAX: Amounts = Amounts { records: 4096, rows: 4096, bytes: 1 << 20 };

/// Percent that stands for the limit itself among the marks of an account.
const PERCENT_OVER: u8 = u8::MAX;

/// One dataset of one execution.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) dataset: Arc<str>,
    /// In an order of their own, not of the rules in the file.
    pub(super) limits: Vec<Limit>,
    /// Counter of each limit at admission.
    before: Vec<u64>,
    /// Windows in which a record must be counted already to need no lease.
    windows: Vec<Window>,
    /// What may leave without asking the ledger again; reserved there.
    pub(super) lease: Amounts,
    /// Units that are leased, in the order of [`Unit::ALL`].
    leased: [bool; 3],
    /// Whether any limit holds back within the statement.
    has_statement_limit: bool,
    /// Size of the next lease.
    next: Amounts,
    /// What the row that did not fit needs.
    pub(super) wanted: Amounts,
    /// Records charged at admission for a relation that may leave in one row, not yet seen to leave.
    pub(super) prepaid: u64,
    seen: HashSet<RecordKey, KeyState>,
    /// What the execution has released: records told apart within it.
    pub(super) released: Amounts,
    /// What pieces of the same statement have released before.
    carried: Amounts,
    /// What the extraction is told; `None` where no record is counted.
    pub(super) extraction: Option<Stitch>,
    /// From when on a record counts as taken already.
    pub(super) since: Since,
    /// Marks of this execution that were told: place of the limit, percent.
    told: BTreeSet<(usize, u8)>,
}

/// What a piece of a statement has released of a dataset.
#[derive(Clone, Debug, Default)]
pub(super) struct Carried {
    released: Amounts,
    seen: HashSet<RecordKey, KeyState>,
    told: BTreeSet<(usize, u8)>,
}

/// What one row costs a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Records that must come out of the lease.
    pub(super) leased: u64,
    /// Records that are new to the execution.
    pub(super) statement: u64,
    /// Records that are paid for already.
    pub(super) prepaid: u64,
}

impl Line {
    pub(super) fn new(
        dataset: Arc<str>,
        mut limits: Vec<Limit>,
        account: &Account,
        first: u64,
        now: LedgerTime,
    ) -> Line {
        limits.sort_by(|a, b| {
            (&a.rule, a.window, a.unit, a.amount, a.force).cmp(&(&b.rule, b.window, b.unit, b.amount, b.force))
        });
        let before = limits.iter().map(|limit| account.used(limit.window, limit.unit, now)).collect();
        let mut windows: Vec<Window> = enforced(&limits, Unit::Records)
            .map(|limit| limit.window)
            .filter(|window| *window != Window::Statement)
            .collect();
        windows.sort_unstable();
        windows.dedup();
        if windows.is_empty() {
            windows.push(Window::Month);
        }
        let leased = Unit::ALL.map(|unit| unit == Unit::Records || enforced(&limits, unit).next().is_some());
        let has_statement_limit =
            limits.iter().any(|limit| limit.window == Window::Statement && limit.force == Force::Enforce);
        let next = Amounts {
            records: first.clamp(1, LEASE_MAX.records),
            rows: first.clamp(1, LEASE_MAX.rows),
            bytes: 1 << 16,
        };
        Line {
            dataset,
            limits,
            before,
            windows,
            leased,
            has_statement_limit,
            lease: Amounts::default(),
            next,
            wanted: Amounts::default(),
            prepaid: 0,
            seen: HashSet::default(),
            released: Amounts::default(),
            carried: Amounts::default(),
            extraction: None,
            since: Since::default(),
            told: BTreeSet::new(),
        }
    }

    /// Counts rows and bytes only: no record must be durable before one leaves.
    pub(super) fn leave_out_records(&mut self) {
        self.leased[0] = false;
    }

    /// Whether a lease is needed in this unit: in records wherever they are counted,
    /// since the durable record speaks of them.
    fn is_leased(&self, unit: Unit) -> bool {
        match unit {
            Unit::Records => self.leased[0],
            Unit::Rows => self.leased[1],
            Unit::Bytes => self.leased[2],
        }
    }

    /// What the next piece of the same statement must know.
    pub(super) fn carry(&self) -> (Arc<str>, Carried) {
        let released = self.carried_before(self.released);
        let (seen, told) =
            if self.is_limited_per_statement() { (self.seen.clone(), self.told.clone()) } else { Default::default() };
        (self.dataset.clone(), Carried { released, seen, told })
    }

    /// Goes on where the piece before has ended.
    pub(super) fn resume(&mut self, piece: Carried) {
        self.carried.add(piece.released);
        self.seen.extend(piece.seen);
        self.told.extend(piece.told);
    }

    /// What the statement has released, this piece and those before.
    fn of_statement(&self, unit: Unit) -> u64 {
        self.carried_before(self.released).of(unit)
    }

    fn is_limited_per_statement(&self) -> bool {
        self.limits.iter().any(|limit| limit.window == Window::Statement)
    }

    /// What this piece and those before have let out.
    fn carried_before(&self, released: Amounts) -> Amounts {
        let mut all = self.carried;
        all.add(released);
        all
    }

    /// How much more may be reserved in this unit, and the limit that says so; `None` when nothing limits it.
    pub(super) fn room(&self, unit: Unit, account: &Account, now: LedgerTime) -> Option<(u64, usize)> {
        self.limits
            .iter()
            .enumerate()
            .filter(|(_, limit)| limit.unit == unit && limit.force == Force::Enforce)
            .map(|(index, limit)| {
                let taken = match limit.window {
                    Window::Statement => self.of_statement(unit).saturating_add(self.lease.of(unit)),
                    window => account.used(window, unit, now).saturating_add(account.reserved.of(unit)),
                };
                let room = limit.amount.saturating_sub(taken);
                let grace = if unit == Unit::Records { account.grace(&limit.rule, now) } else { 0 };
                (room.max(grace), index)
            })
            .min()
    }

    /// Reserves the next lease where one is wanted or nothing is left. The increment, or the limit that forbids it.
    pub(super) fn extend(&mut self, account: &mut Account, now: LedgerTime) -> Result<Amounts, usize> {
        let mut increment = Amounts::default();
        let any = !self.wanted.is_zero();
        for unit in Unit::ALL {
            let short = self.wanted.of(unit).saturating_sub(self.lease.of(unit));
            if !self.is_leased(unit) || (any && short == 0) || (!any && self.lease.of(unit) > 0) {
                continue;
            }
            let size = self.next.of(unit).max(short);
            let granted = match self.room(unit, account, now) {
                Some((room, limit)) if room < short.max(1) => return Err(limit),
                Some((room, _)) => size.min(room),
                None => size,
            };
            *increment.of_mut(unit) = granted;
            *self.next.of_mut(unit) = self.next.of(unit).saturating_mul(2).min(LEASE_MAX.of(unit));
        }
        self.grant(account, increment);
        self.wanted = Amounts::default();
        Ok(increment)
    }

    /// The first lease: as much as there is room for, which may be nothing.
    pub(super) fn open(&mut self, account: &mut Account, now: LedgerTime) {
        let mut lease = Amounts::default();
        for unit in Unit::ALL {
            if self.is_leased(unit) {
                let size = self.next.of(unit);
                *lease.of_mut(unit) = self.room(unit, account, now).map_or(size, |(room, _)| size.min(room));
            }
        }
        // A small first lease says that the text bounds the rows; doubling starts there.
        self.grant(account, lease);
    }

    /// Whether the record may leave without a lease: each limited window counts it already.
    pub(super) fn is_counted(&self, key: RecordKey, account: &Account, now: LedgerTime) -> bool {
        account
            .charged(key)
            .is_some_and(|charged| self.windows.iter().all(|window| account.holds(*window, charged, now)))
    }

    /// Whether the execution has released this record before.
    pub(super) fn has_seen(&self, key: RecordKey) -> bool {
        self.seen.contains(&key)
    }

    /// Notes that the execution released this record.
    pub(super) fn see(&mut self, key: RecordKey) {
        if self.seen.len() < STATEMENT_KEYS_MAX {
            self.seen.insert(key);
        }
    }

    /// Whether a row of this cost may leave now; else what is wanted, or the limit that forbids it for good.
    pub(super) fn fits(&mut self, cost: Cost, bytes: u64, account: &Account, now: LedgerTime) -> Fit {
        let needs = Amounts { records: cost.leased, rows: 1, bytes };
        let released = Amounts { records: cost.statement, rows: 1, bytes };
        let over = self.limits.iter().position(|limit| {
            limit.force == Force::Enforce
                && limit.window == Window::Statement
                && self.of_statement(limit.unit).saturating_add(released.of(limit.unit)) > limit.amount
                && !self.is_granted(limit, released, account, now)
        });
        if let Some(limit) = over {
            return Fit::Never(limit);
        }
        let mut fit = Fit::Now;
        for unit in Unit::ALL {
            let short = needs.of(unit).saturating_sub(self.lease.of(unit));
            if short == 0 || !self.is_leased(unit) {
                continue;
            }
            if let Some((room, limit)) = self.room(unit, account, now)
                && room < short
            {
                return Fit::Never(limit);
            }
            *self.wanted.of_mut(unit) = needs.of(unit);
            fit = Fit::Extend;
        }
        fit
    }

    /// Whether a grant lets this leave beyond the limit of a statement.
    fn is_granted(&self, limit: &Limit, released: Amounts, account: &Account, now: LedgerTime) -> bool {
        // What this line has leased is its own to spend.
        let own = self.lease.records;
        limit.unit == Unit::Records
            && account.grants(now).any(|grant| {
                let others = account.reserved.records.saturating_sub(own);
                *grant.rule == *limit.rule && grant.left().saturating_sub(others) >= released.records
            })
    }

    /// Whether a row of this cost fits into what is leased, with no statement's limit near: the usual case.
    pub(super) fn has_room(&self, cost: Cost, bytes: u64) -> bool {
        let needs = Amounts { records: cost.leased, rows: 1, bytes };
        !self.has_statement_limit
            && Unit::ALL.into_iter().all(|unit| !self.is_leased(unit) || needs.of(unit) <= self.lease.of(unit))
    }

    /// Takes a row's cost out of the lease and counts it for the execution. The ledger's own count is the caller's.
    pub(super) fn spend(&mut self, cost: Cost, bytes: u64, account: &mut Account) {
        let spent = Amounts { records: cost.leased, rows: 1, bytes };
        for unit in Unit::ALL {
            if self.is_leased(unit) {
                let taken = spent.of(unit).min(self.lease.of(unit));
                *self.lease.of_mut(unit) -= taken;
                *account.reserved.of_mut(unit) = account.reserved.of(unit).saturating_sub(taken);
            }
        }
        self.released.add(Amounts { records: cost.statement, rows: 1, bytes });
    }

    /// Charges, at admission, a relation that may leave in one row.
    pub(super) fn prepay(&mut self, records: u64, account: &mut Account, now: LedgerTime) {
        account.charge_unkeyed(records, now);
        self.prepaid = self.prepaid.saturating_add(records);
        self.released.records = self.released.records.saturating_add(records);
    }

    /// Marks that were crossed since the last call, once each.
    pub(super) fn crossings(&mut self, account: &mut Account, now: LedgerTime) -> Vec<Alert> {
        let mut alerts = Vec::new();
        for index in 0..self.limits.len() {
            let used = self.counter(index, account, now);
            let limit = &self.limits[index];
            if limit.thresholds.is_empty() && limit.force == Force::Enforce {
                continue;
            }
            let over = (limit.force != Force::Enforce).then_some(PERCENT_OVER);
            for percent in limit.thresholds.iter().copied().chain(over) {
                let reached = match percent {
                    PERCENT_OVER => used > limit.amount,
                    // 128 bits: no amount is too large to take a hundred times.
                    percent => u128::from(used) * 100 >= u128::from(limit.amount) * u128::from(percent),
                };
                let fresh = match (limit.window, reached) {
                    (Window::Statement, true) => self.told.insert((index, percent)),
                    (Window::Statement, false) => false,
                    (window, true) => account.mark((limit.rule.clone(), window, limit.unit, percent)),
                    (window, false) => {
                        if account.has_marks() {
                            account.unmark(&limit.rule, window, limit.unit, percent);
                        }
                        false
                    }
                };
                // What would have been cut is told for each execution, as each would have met its own end.
                let would_cut = percent == PERCENT_OVER && limit.force == Force::Observe;
                if fresh || (would_cut && reached && self.told.insert((index, percent))) {
                    self.told.insert((index, percent));
                    alerts.push(self.alert(index, percent, used));
                }
            }
        }
        alerts
    }

    /// The counter of a limit now.
    pub(super) fn counter(&self, index: usize, account: &Account, now: LedgerTime) -> u64 {
        let limit = &self.limits[index];
        match limit.window {
            Window::Statement => self.of_statement(limit.unit),
            window => account.used(window, limit.unit, now),
        }
    }

    /// Each limit as a reason, as it stands.
    pub(super) fn reasons(&self, account: &Account, now: LedgerTime) -> Vec<Basis> {
        let reason = |(index, limit): (usize, &Limit)| {
            let after = self.counter(index, account, now);
            let outcome = match limit.force {
                Force::Observe if after > limit.amount => Outcome::WouldCut,
                Force::Alert if after > limit.amount => Outcome::Alerted,
                _ => Outcome::Allowed,
            };
            self.basis(index, after, outcome)
        };
        self.limits.iter().enumerate().map(reason).collect()
    }

    /// The limit as a reason.
    pub(super) fn basis(&self, index: usize, after: u64, outcome: Outcome) -> Basis {
        let limit = &self.limits[index];
        Basis {
            rule: limit.rule.clone(),
            dataset: Some(self.dataset.clone()),
            window: Some(limit.window),
            unit: limit.unit.into(),
            limit: limit.amount,
            before: self.before.get(index).copied().unwrap_or_default(),
            after,
            outcome,
        }
    }

    /// Why nothing more may leave.
    pub(super) fn denial(&self, index: usize, outcome: Outcome, account: &Account, now: LedgerTime) -> Denial {
        let limit = &self.limits[index];
        let message = match &limit.message {
            Some(message) => message.to_string(),
            None => format!("reading `{}` is limited to {} by rule `{}`", self.dataset, phrase(limit), limit.rule),
        };
        Denial { message, basis: self.basis(index, self.counter(index, account, now), outcome) }
    }

    fn alert(&self, index: usize, percent: u8, used: u64) -> Alert {
        let limit = &self.limits[index];
        let (dataset, phrase) = (&self.dataset, phrase(limit));
        if percent != PERCENT_OVER {
            let message = format!("{percent} % of {phrase} of `{dataset}` is used: {used}");
            return Alert {
                kind: AlertKind::Threshold { percent },
                message,
                basis: self.basis(index, used, Outcome::Alerted),
            };
        }
        if limit.force == Force::Observe {
            let message = format!("would have been cut: {phrase} of `{dataset}` is exceeded");
            return Alert { kind: AlertKind::WouldCut, message, basis: self.basis(index, used, Outcome::WouldCut) };
        }
        let message = format!("{phrase} of `{dataset}` is exceeded");
        let kind = if *limit.rule == *EGRESS_RULE { AlertKind::UnclassifiedEgress } else { AlertKind::Exceeded };
        Alert { kind, message, basis: self.basis(index, used, Outcome::Alerted) }
    }

    fn grant(&mut self, account: &mut Account, increment: Amounts) {
        self.lease.add(increment);
        account.reserved.add(increment);
    }
}

/// Whether a row fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It may leave.
    Now,
    /// Once the lease is extended.
    Extend,
    /// Not under this limit.
    Never(usize),
}

/// A limit in words: `500 records per hour`.
pub(super) fn phrase(limit: &Limit) -> String {
    format!("{} {} per {}", limit.amount, limit.unit, limit.window)
}

fn enforced(limits: &[Limit], unit: Unit) -> impl Iterator<Item = &Limit> {
    limits.iter().filter(move |limit| limit.unit == unit && limit.force == Force::Enforce)
}
