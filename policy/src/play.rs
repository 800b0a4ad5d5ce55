//! One execution, played without a database: what becomes of it if it returns so many rows.
//!
//! Every row is taken to show another record, which is the strictest that a result can be. What a server would say of
//! the result's columns is taken from the analysis: keys are visible where the statement releases them.

use std::sync::Arc;

use crate::binding::Binding;
use crate::cases::Ending;
use crate::exposure::{Exposure, LaneKey, Manner, Origin};
use crate::identity::Who;
use crate::ledger::{Ledger, Moment, RecordKey};
use crate::meter::{Meter, RowBatch, Then};
use crate::set::PolicySet;
use crate::verdict::{Alert, Basis, Decision, Denial};

/// Rows that are charged at once, as many as fit into a network buffer or two.
const BATCH_ROWS: u64 = 1_000;
/// Bytes of a row where nobody says: a few short columns.
pub(crate) const ROW_BYTES: u32 = 100;

/// What became of an execution.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Played {
    /// How it ended.
    pub decision: Ending,
    /// Rows that left.
    pub rows: u64,
    /// What the client reads, when it was refused or cut.
    pub message: Option<String>,
    /// The rule, window and counter that refused or cut it.
    pub reason: Option<Basis>,
    /// What somebody is told, besides a refusal or a cut itself.
    pub alerts: Vec<Alert>,
    /// Every rule and counter that took part, each counter before and after.
    pub basis: Vec<Basis>,
}

/// Rows that a database would answer with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows {
    pub(crate) count: u64,
    /// Bytes of each.
    pub(crate) bytes: u32,
}

/// Plays an execution of what `exposure` describes.
pub(crate) fn play(
    (set, binding): (&PolicySet, &Binding),
    exposure: &Exposure,
    who: &Who,
    rows: Rows,
    ledger: &mut Ledger,
    at: &Moment,
) -> Played {
    let verdict = set.admit(who, exposure, ledger, at);
    let (mut alerts, mut basis) = (verdict.alerts, verdict.basis);
    let (released, denial) = match verdict.decision {
        Decision::Deny(denial) => return ended(Ending::Refuse, 0, Some(denial), alerts, basis),
        Decision::Allow(permit) => match permit.meter {
            None => (rows.count, None),
            Some(mut meter) => {
                meter.set_lanes(binding.lanes(exposure, &origins(exposure)));
                let played = charge(&mut meter, rows, ledger, at, &mut alerts);
                let settlement = meter.settle(ledger, at.now);
                basis.extend(settlement.lines.into_iter().flat_map(|line| line.basis));
                played
            }
        },
    };
    let ending = match &denial {
        Some(_) => Ending::Cut,
        None if alerts.is_empty() => Ending::Allow,
        None => Ending::Alert,
    };
    ended(ending, released, denial, alerts, basis)
}

fn ended(decision: Ending, rows: u64, denial: Option<Denial>, mut alerts: Vec<Alert>, mut basis: Vec<Basis>) -> Played {
    let (message, reason) = denial.map(|denial| (denial.message, denial.basis)).unzip();
    basis.extend(reason.clone());
    // A counter that was told on the way is told by where it ended.
    basis.sort_by(|a, b| counter(a).cmp(&counter(b)).then(b.outcome.cmp(&a.outcome)).then(b.after.cmp(&a.after)));
    basis.dedup_by(|a, b| counter(a) == counter(b) && a.window.is_some());
    basis.dedup();
    alerts.sort();
    alerts.dedup();
    Played { decision, rows, message, reason, alerts, basis }
}

type Counter<'a> = (&'a Arc<str>, Option<&'a Arc<str>>, Option<crate::budget::Window>, crate::verdict::Measure);

fn counter(basis: &Basis) -> Counter<'_> {
    (&basis.rule, basis.dataset.as_ref(), basis.window, basis.unit)
}

/// Charges rows until they are all out, or one may not leave. Returns how many left.
fn charge(
    meter: &mut Meter,
    rows: Rows,
    ledger: &mut Ledger,
    at: &Moment,
    alerts: &mut Vec<Alert>,
) -> (u64, Option<Denial>) {
    let lanes: Vec<LaneKey> = meter.lanes().iter().map(|lane| lane.key.clone()).collect();
    let mut released = 0_u64;
    while released < rows.count {
        let count = BATCH_ROWS.min(rows.count - released);
        let keys: Vec<RecordKey> = (released..released + count)
            .flat_map(|row| lanes.iter().zip(1_u128..).map(move |lane| key(lane, row)))
            .collect();
        let row_bytes = vec![rows.bytes; usize::try_from(count).unwrap_or(0)];
        let charge = meter.charge(ledger, &RowBatch { keys: &keys, row_bytes: &row_bytes }, at.now);
        released += u64::try_from(charge.rows).unwrap_or(count);
        alerts.extend(charge.alerts);
        // What has left is of no interest here, and must not pile up.
        let _ = meter.take_charged();
        match charge.then {
            Then::All => {}
            Then::Extend => {
                if let Err(denial) = meter.extend(ledger, at.now) {
                    return (released, Some(denial));
                }
            }
            Then::Cut(denial) => return (released, Some(denial)),
        }
    }
    (released, None)
}

/// The key that a row shows in a lane: another one in each row, unless the statement pins it.
fn key((lane, number): (&LaneKey, u128), row: u64) -> RecordKey {
    match lane {
        LaneKey::Unkeyed => RecordKey::NONE,
        LaneKey::Pinned(_) => RecordKey(number << 64),
        LaneKey::Columns(_) => RecordKey((number << 64) | (u128::from(row) + 1)),
    }
}

/// What the server would say of the result's columns, as far as counting needs it.
fn origins(exposure: &Exposure) -> Vec<Origin> {
    let visible = exposure.touched().iter().filter(|exposed| exposed.manner != Manner::Used && exposed.key_released);
    visible
        .flat_map(|exposed| {
            let key = exposed.key.iter().flatten();
            key.map(|attribute| Origin { oid: exposed.oid, attribute: *attribute })
        })
        .collect()
}
