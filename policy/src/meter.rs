//! One execution's counter: what has left, what may leave now, and when it ends.
//!
//! A meter holds **leases** drawn from the person's [`Ledger`]: reserved there the moment they are granted, so that
//! used and reserved together never pass a limit, whatever other sessions do meanwhile. The trunk makes each lease
//! durable before its rows leave, charges batches of whole rows as they come, and settles at the end.
//!
//! Order of calls: [`lease`](Meter::lease) → durable → [`set_lanes`](Meter::set_lanes) → [`charge`](Meter::charge)
//! until [`Then::Extend`] → [`extend`](Meter::extend) → durable → `charge` with the rest … → [`settle`](Meter::settle).
//!
//! INVARIANT: a row leaves whole or not at all, and only after every dataset that it touches has been charged.
//! INVARIANT: every meter is settled; one that is dropped keeps its reservation taken until its person's ledger is
//! rebuilt.

mod line;
mod stitch;

use std::sync::Arc;

use line::{Cost, Fit, Line};
use stitch::Stitch;

use crate::budget::{Amounts, Limit};
use crate::exposure::{Lane, LaneKey, MESSAGE_WORDS_BYTES, Weight};
use crate::extraction::{Fresh, Manner};
use crate::ledger::{Account, Ledger, LedgerTime, RecordKey, Tally};
use crate::relation::RelationId;
use crate::verdict::{Alert, Basis, Denial, Measure, Outcome};

/// Most keys that wait to be recorded: 1 MiB. The trunk takes them with each lease and completion; beyond this they
/// are recorded as records without a key, which can only count too much after a restart.
const PENDING_KEYS_MAX: usize = 1 << 16;

/// How much of a dataset may leave before the next durable record.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeaseLine {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Records not counted yet.
    pub records: u64,
    /// Result rows; 0 where no budget counts rows.
    pub rows: u64,
    /// Bytes of result rows; 0 where no budget counts bytes.
    pub bytes: u64,
}

/// What has left, by relation: enough to rebuild a ledger with its distinct records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargedLine {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Relation whose records they are.
    pub relation: RelationId,
    /// Keys of records that left. One that left twice within a moment stands once.
    pub keys: Vec<RecordKey>,
    /// Records that left without a key.
    pub unkeyed: u64,
    /// Result rows that touched the dataset; stands in the first line of each dataset only.
    pub rows: u64,
    /// Bytes of those rows; stands in the first line of each dataset only.
    pub bytes: u64,
}

/// Whole rows that wait to leave.
#[derive(Clone, Copy, Debug)]
pub struct RowBatch<'a> {
    /// One key for each row and lane, row by row; [`RecordKey::NONE`] where there is none. A key that is missing at
    /// the end counts as none.
    pub keys: &'a [RecordKey],
    /// Bytes of each row.
    pub row_bytes: &'a [u32],
}

/// The answer to a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Charge {
    /// How many of the leading rows may leave now. They are charged.
    pub rows: usize,
    /// What comes after them.
    pub then: Then,
    /// What somebody should be told. A cut is not repeated here: see [`Denial::alert`].
    pub alerts: Vec<Alert>,
}

/// What comes after the rows that may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing: all may leave.
    All,
    /// The lease is spent: extend it, make that durable, charge the remaining rows again.
    Extend,
    /// The end.
    Cut(Denial),
}

/// What an execution released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// By dataset.
    pub lines: Vec<SettledLine>,
    /// Result rows that left.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
}

/// What an execution released of one dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledLine {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Records, told apart within the execution; what was charged at admission included.
    pub records: u64,
    /// Result rows that touched it.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
    /// Each limit with its counter before the execution and now.
    pub basis: Vec<Basis>,
}

/// One execution's counter.
#[derive(Debug)]
#[must_use = "a meter must be settled, or its reservation stays taken"]
pub struct Meter {
    lines: Vec<Line>,
    /// As the trunk set them; then those that it left out.
    lanes: Vec<Lane>,
    /// How many the trunk set: the width of a row of keys.
    width: usize,
    /// Line of each lane, and where its records wait.
    places: Vec<(usize, usize)>,
    /// What to count on a dataset that no lane speaks of: each row is a record.
    fallback: Vec<Lane>,
    /// A lane names a dataset that was never admitted: nothing may leave.
    stray: Option<Arc<str>>,
    pending: Vec<Pending>,
    pending_keys: usize,
    rows: u64,
    bytes: u64,
}

/// What is not recorded yet, of one relation of one line.
#[derive(Debug)]
struct Pending {
    line: usize,
    relation: RelationId,
    keys: Vec<RecordKey>,
    unkeyed: u64,
    /// Of the whole line; counted in its first entry.
    traffic: Amounts,
    /// Records that are new to the extraction, and not told it yet.
    fresh: Fresh,
}

/// What pieces of one portal or cursor have let out together.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    lines: Vec<(Arc<str>, line::Carried)>,
}

/// One dataset that an execution releases, as admission found it.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) dataset: Arc<str>,
    pub(crate) limits: Vec<Limit>,
    /// Size of the first lease in records and rows.
    pub(crate) first: u64,
    /// Records charged at once, for relations that may leave in one row.
    pub(crate) prepaid: Vec<(RelationId, u64)>,
    /// Whether records are counted at all; else only rows and bytes.
    pub(crate) counts_records: bool,
    /// Relations that may leave, with the rows that they have; 0 where that is not known.
    pub(crate) tables: Vec<(RelationId, u64)>,
    /// How the rows that leave are chosen.
    pub(crate) manner: Manner,
}

impl Meter {
    /// Opens an execution's meter and draws its first leases. `lanes` stand until the shape of the result is known.
    pub(crate) fn open(
        openings: Vec<Opening>,
        lanes: Vec<Lane>,
        ledger: &mut Ledger,
        now: LedgerTime,
    ) -> (Meter, Vec<Alert>) {
        let now = ledger.tick(now);
        let mut meter = Meter {
            lines: Vec::with_capacity(openings.len()),
            lanes: Vec::new(),
            width: 0,
            places: Vec::new(),
            fallback: lanes.clone(),
            stray: None,
            pending: Vec::new(),
            pending_keys: 0,
            rows: 0,
            bytes: 0,
        };
        let mut alerts = Vec::new();
        for opening in openings {
            let account = ledger.account(&opening.dataset);
            let mut line = Line::new(opening.dataset, opening.limits, account, opening.first, now);
            line.extraction = opening.counts_records.then(|| Stitch::new(opening.tables, opening.manner));
            if !opening.counts_records {
                line.leave_out_records();
            }
            for (relation, records) in opening.prepaid {
                line.prepay(records, account, now);
                let place = meter.pending_place(meter.lines.len(), &relation);
                meter.pending[place].unkeyed = meter.pending[place].unkeyed.saturating_add(records);
                meter.pending[place].fresh.add(records);
            }
            if line.prepaid > 0 {
                alerts.extend(line.crossings(account, now));
            }
            line.open(account, now);
            meter.lines.push(line);
        }
        for index in 0..meter.lines.len() {
            meter.stitch(index, Amounts::default(), ledger, now);
        }
        meter.set_lanes(lanes);
        (meter, alerts)
    }

    /// Says what to count on each row, once the shape of the result is known: lanes of the exposure that was
    /// admitted. A dataset that they leave out is counted row by row; one that was never admitted stops everything.
    pub fn set_lanes(&mut self, lanes: Vec<Lane>) {
        self.width = lanes.len();
        self.lanes = lanes;
        let left_out =
            self.fallback.iter().filter(|lane| !self.lanes.iter().any(|known| known.dataset == lane.dataset));
        let left_out: Vec<Lane> = left_out.map(|lane| Lane { key: LaneKey::Unkeyed, ..lane.clone() }).collect();
        self.lanes.extend(left_out);
        self.places = Vec::with_capacity(self.lanes.len());
        self.stray = None;
        for index in 0..self.lanes.len() {
            let lane = &self.lanes[index];
            match self.lines.iter().position(|line| line.dataset == lane.dataset) {
                Some(line) => {
                    let relation = lane.relation.clone();
                    let place = self.pending_place(line, &relation);
                    self.places.push((line, place));
                }
                None => self.stray = Some(lane.dataset.clone()),
            }
        }
    }

    /// Charges leading rows of the batch as far as leases and limits allow.
    pub fn charge(&mut self, ledger: &mut Ledger, batch: &RowBatch<'_>, now: LedgerTime) -> Charge {
        let now = ledger.tick(now);
        let mut charge = Charge { rows: 0, then: Then::All, alerts: Vec::new() };
        if let (Some(dataset), false) = (&self.stray, batch.row_bytes.is_empty()) {
            charge.then = Then::Cut(stray(dataset));
            return charge;
        }
        for line in &mut self.lines {
            line.begin_taking(&mut ledger.extractions, now);
        }
        // Lines have different datasets, so each takes out an account of its own.
        let mut open: Vec<Open> = self.lines.iter().map(|line| Open::new(ledger.take_out(&line.dataset))).collect();
        let mut costs = vec![Cost::default(); self.lines.len()];
        let mut stop = None;
        for (row, bytes) in batch.row_bytes.iter().enumerate() {
            let first = row.saturating_mul(self.width).min(batch.keys.len());
            let keys = &batch.keys[first..batch.keys.len().min(first + self.width)];
            self.price(keys, *bytes, &open, &mut costs, now);
            stop = self.stop(&costs, u64::from(*bytes), &mut open, now);
            if stop.is_some() {
                break;
            }
            self.commit(keys, *bytes, &mut open, &costs, now);
            charge.rows += 1;
        }
        for (line, open) in self.lines.iter_mut().zip(&mut open) {
            open.flush(now);
            if charge.rows > 0 {
                charge.alerts.extend(line.crossings(&mut open.account, now));
            }
        }
        match stop {
            None => {}
            Some(Stop::Extend) => charge.then = Then::Extend,
            Some(Stop::Cut(line, limit)) => {
                charge.then = Then::Cut(self.lines[line].denial(limit, Outcome::Cut, &open[line].account, now))
            }
        }
        for (line, open) in self.lines.iter().zip(open) {
            ledger.put_back(&line.dataset, open.account);
        }
        let bytes = batch.row_bytes.iter().take(charge.rows).fold(0_u64, |sum, bytes| sum + u64::from(*bytes));
        let taken = Amounts { records: 0, rows: u64::try_from(charge.rows).unwrap_or(u64::MAX), bytes };
        for index in 0..self.lines.len() {
            self.stitch(index, taken, ledger, now);
        }
        charge
    }

    /// Draws the next lease where one is wanted. What it returns must be durable before `charge` is called again.
    ///
    /// # Errors
    /// The limit that leaves no room: the execution must be cut now.
    pub fn extend(&mut self, ledger: &mut Ledger, now: LedgerTime) -> Result<Vec<LeaseLine>, Denial> {
        let now = ledger.tick(now);
        let any = self.lines.iter().any(|line| !line.wanted.is_zero());
        let mut increments = Vec::new();
        for line in &mut self.lines {
            if any && line.wanted.is_zero() {
                continue;
            }
            let account = ledger.account(&line.dataset);
            match line.extend(account, now) {
                Ok(increment) if increment.is_zero() => {}
                Ok(increment) => increments.push(lease_line(&line.dataset, increment)),
                Err(limit) => return Err(line.denial(limit, Outcome::Cut, account, now)),
            }
        }
        Ok(increments)
    }

    /// What has left since the last call, for the record. Lines with nothing in them are left out.
    pub fn take_charged(&mut self) -> Vec<ChargedLine> {
        self.pending_keys = 0;
        let mut taken = Vec::new();
        for pending in &mut self.pending {
            if pending.keys.is_empty() && pending.unkeyed == 0 && pending.traffic.is_zero() {
                continue;
            }
            taken.push(ChargedLine {
                dataset: self.lines[pending.line].dataset.clone(),
                relation: pending.relation.clone(),
                keys: std::mem::take(&mut pending.keys),
                unkeyed: std::mem::take(&mut pending.unkeyed),
                rows: pending.traffic.rows,
                bytes: pending.traffic.bytes,
            });
            pending.traffic = Amounts::default();
        }
        taken
    }

    /// Ends the execution: what was reserved and not spent goes back.
    pub fn settle(self, ledger: &mut Ledger, now: LedgerTime) -> Settlement {
        let now = ledger.tick(now);
        let mut lines = Vec::with_capacity(self.lines.len());
        for line in self.lines {
            line.end_taking(&mut ledger.extractions);
            let account = ledger.account(&line.dataset);
            account.reserved.take(line.lease);
            let basis = line.reasons(account, now);
            lines.push(SettledLine {
                records: line.released.records,
                rows: line.released.rows,
                bytes: line.released.bytes,
                dataset: line.dataset,
                basis,
            });
        }
        Settlement { lines, rows: self.rows, bytes: self.bytes }
    }

    /// What may leave before the next durable record: records charged at admission and not yet seen, and the leases.
    pub fn lease(&self) -> Vec<LeaseLine> {
        self.lines
            .iter()
            .map(|line| {
                let mut lease = line.lease;
                lease.records = lease.records.saturating_add(line.prepaid);
                lease_line(&line.dataset, lease)
            })
            .collect()
    }

    /// How the rows that leave are chosen, where something but the text says so: a piece of a cursor.
    pub fn set_manner(&mut self, manner: Manner) {
        for stitch in self.lines.iter_mut().filter_map(|line| line.extraction.as_mut()) {
            stitch.manner = manner;
        }
    }

    /// What the next piece of the same portal or cursor must know of this one.
    pub fn carry(&self) -> Carried {
        Carried { lines: self.lines.iter().map(Line::carry).collect() }
    }

    /// Goes on where the piece before has ended: `per: statement` counts both as one.
    pub fn resume(&mut self, carried: Carried) {
        for (dataset, piece) in carried.lines {
            if let Some(line) = self.lines.iter_mut().find(|line| line.dataset == dataset) {
                line.resume(piece);
            }
        }
    }

    /// Datasets that it counts records of.
    pub fn datasets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lines.iter().filter(|line| line.extraction.is_some()).map(|line| &line.dataset)
    }

    /// What is counted on each row, as it was set.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes[..self.width]
    }

    /// Result rows that left so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the rows that left so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What a row costs each line.
    fn price(&self, keys: &[RecordKey], bytes: u32, open: &[Open], costs: &mut [Cost], now: LedgerTime) {
        costs.fill(Cost::default());
        for (index, (lane, (place, _))) in self.lanes.iter().zip(&self.places).enumerate() {
            let (line, cost) = (&self.lines[*place], &mut costs[*place]);
            match (lane.weight, key_of(keys, index)) {
                (Weight::Row, Some(key)) => {
                    cost.leased += u64::from(!line.is_counted(key, &open[*place].account, now));
                    cost.statement += u64::from(!line.has_seen(key));
                }
                (Weight::Row, None) => {
                    cost.leased += 1;
                    cost.statement += 1;
                }
                (Weight::Many { records }, _) => {
                    cost.leased += u64::from(records);
                    cost.statement += u64::from(records);
                }
                (Weight::Message { one_bytes, record_bytes }, _) => {
                    let records = records_told(bytes, one_bytes, record_bytes);
                    cost.leased += records;
                    cost.statement += records;
                }
                (Weight::Traffic, _) => {}
                (Weight::Bytes { record_bytes }, _) => {
                    let records = records_in(bytes, record_bytes);
                    let covered = records.min(line.prepaid - cost.prepaid.min(line.prepaid));
                    cost.prepaid += covered;
                    cost.leased += records - covered;
                    cost.statement += records - covered;
                }
            }
        }
    }

    /// What keeps a row of these costs from leaving now.
    fn stop(&mut self, costs: &[Cost], bytes: u64, open: &mut [Open], now: LedgerTime) -> Option<Stop> {
        let mut stop = None;
        for (index, (line, cost)) in self.lines.iter_mut().zip(costs).enumerate() {
            if line.has_room(*cost, bytes) {
                continue;
            }
            // What this batch has charged must stand in the sums before anybody asks what is left.
            open[index].flush(now);
            match line.fits(*cost, bytes, &open[index].account, now) {
                Fit::Now => {}
                Fit::Extend => stop = stop.or(Some(Stop::Extend)),
                Fit::Never(limit) => {
                    if !matches!(stop, Some(Stop::Cut(..))) {
                        stop = Some(Stop::Cut(index, limit));
                    }
                }
            }
        }
        stop
    }

    /// Charges a row that may leave.
    fn commit(&mut self, keys: &[RecordKey], bytes: u32, open: &mut [Open], costs: &[Cost], now: LedgerTime) {
        for (index, (lane, (place, pending))) in self.lanes.iter().zip(&self.places).enumerate() {
            let (line, open, pending) = (&mut self.lines[*place], &mut open[*place], &mut self.pending[*pending]);
            match (lane.weight, key_of(keys, index)) {
                (Weight::Row, Some(key)) => {
                    let charged = open.account.charged(key);
                    let recorded = charged.is_some_and(|charged| open.account.is_same_moment(charged, now));
                    pending.fresh.add_key(charged, line.since);
                    open.account.tally_key(key, &mut open.tally, now);
                    line.see(key);
                    if recorded {
                        continue;
                    }
                    if self.pending_keys < PENDING_KEYS_MAX {
                        self.pending_keys += 1;
                        pending.keys.push(key);
                    } else {
                        pending.unkeyed = pending.unkeyed.saturating_add(1);
                    }
                }
                (Weight::Row, None) => {
                    open.tally.add(1);
                    pending.fresh.add(1);
                    pending.unkeyed = pending.unkeyed.saturating_add(1);
                }
                (Weight::Many { records }, _) => {
                    open.tally.add(u64::from(records));
                    pending.fresh.add(u64::from(records));
                    pending.unkeyed = pending.unkeyed.saturating_add(u64::from(records));
                }
                (Weight::Message { one_bytes, record_bytes }, _) => {
                    let records = records_told(bytes, one_bytes, record_bytes);
                    open.tally.add(records);
                    pending.fresh.add(records);
                    pending.unkeyed = pending.unkeyed.saturating_add(records);
                }
                (Weight::Traffic, _) => {}
                (Weight::Bytes { record_bytes }, _) => {
                    let records = records_in(bytes, record_bytes);
                    let covered = records.min(line.prepaid);
                    line.prepaid -= covered;
                    open.tally.add(records - covered);
                    pending.fresh.add(records - covered);
                    pending.unkeyed = pending.unkeyed.saturating_add(records - covered);
                }
            }
        }
        let traffic = Amounts { records: 0, rows: 1, bytes: u64::from(bytes) };
        for (index, (line, cost)) in self.lines.iter_mut().zip(costs).enumerate() {
            line.spend(*cost, u64::from(bytes), &mut open[index].account);
            open[index].traffic.add(traffic);
            if let Some(pending) = self.pending.iter_mut().find(|pending| pending.line == index) {
                pending.traffic.add(traffic);
            }
        }
        self.rows = self.rows.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::from(bytes));
    }

    /// Tells the extraction of a line what has left since the last call.
    fn stitch(&mut self, index: usize, taken: Amounts, ledger: &mut Ledger, now: LedgerTime) {
        let pending = self.pending.iter_mut().filter(|pending| pending.line == index);
        let fresh: Vec<(&RelationId, Fresh)> =
            pending.map(|pending| (&pending.relation, std::mem::take(&mut pending.fresh))).collect();
        if let Some(line) = self.lines.get_mut(index) {
            line.take(&fresh, taken, &mut ledger.extractions, now);
        }
    }

    fn pending_place(&mut self, line: usize, relation: &RelationId) -> usize {
        let known = self.pending.iter().position(|pending| pending.line == line && pending.relation == *relation);
        known.unwrap_or_else(|| {
            self.pending.push(Pending {
                line,
                relation: relation.clone(),
                keys: Vec::new(),
                unkeyed: 0,
                traffic: Amounts::default(),
                fresh: Fresh::default(),
            });
            self.pending.len() - 1
        })
    }
}

/// Why a row does not leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Extend,
    /// Line and limit.
    Cut(usize, usize),
}

/// An account while a batch is charged, and what is not in its sums yet.
#[derive(Debug)]
struct Open {
    account: Account,
    tally: Tally,
    traffic: Amounts,
}

impl Open {
    fn new(account: Account) -> Open {
        Open { account, tally: Tally::default(), traffic: Amounts::default() }
    }

    fn flush(&mut self, now: LedgerTime) {
        self.account.flush(&std::mem::take(&mut self.tally), now);
        let traffic = std::mem::take(&mut self.traffic);
        self.account.charge_traffic(traffic.rows, traffic.bytes, now);
    }
}

/// Records that a row of this size is taken for.
fn records_in(bytes: u32, record_bytes: u32) -> u64 {
    u64::from(bytes.div_ceil(record_bytes.max(1)).max(1))
}

/// Records that a message of this size is taken for.
fn records_told(bytes: u32, one_bytes: u32, record_bytes: u32) -> u64 {
    if bytes <= one_bytes { 1 } else { records_in(bytes.saturating_sub(MESSAGE_WORDS_BYTES), record_bytes) }
}

fn key_of(keys: &[RecordKey], lane: usize) -> Option<RecordKey> {
    keys.get(lane).copied().filter(|key| *key != RecordKey::NONE)
}

fn lease_line(dataset: &Arc<str>, lease: Amounts) -> LeaseLine {
    LeaseLine { dataset: dataset.clone(), records: lease.records, rows: lease.rows, bytes: lease.bytes }
}

/// The trunk counts what was never admitted: nothing leaves, since no limit of it is known.
fn stray(dataset: &Arc<str>) -> Denial {
    let basis = Basis {
        rule: "admission".into(),
        dataset: Some(dataset.clone()),
        window: None,
        unit: Measure::Rows,
        limit: 0,
        before: 0,
        after: 0,
        outcome: Outcome::Cut,
    };
    Denial { message: format!("the result shows `{dataset}`, which the statement was not admitted for"), basis }
}

#[cfg(test)]
mod tests;
