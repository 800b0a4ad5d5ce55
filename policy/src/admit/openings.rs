//! Which datasets an execution releases, under which limits, and what of it is decided before it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{EGRESS_RULE, Judgement, Rank, UNCLASSIFIED, leaves};
use crate::budget::{Force, Limit, Unit, Window};
use crate::exposure::{self, Exposed, Exposure, Lane, LaneKey, Weight};
use crate::extraction::Manner;
use crate::ledger::{Ledger, LedgerTime};
use crate::meter::Opening;
use crate::relation::{Engine, RelationId};
use crate::rule::{Rule, Then};
use crate::set::PolicySet;
use crate::verdict::{Basis, Outcome};

/// Records of the first lease where the text says nothing of how many rows there will be: a page of a list.
const FIRST_LEASE: u64 = 64;

/// What a meter is to be opened with.
#[derive(Debug)]
pub(super) struct Openings {
    openings: Vec<Opening>,
    /// Lanes beside those of the exposure.
    lanes: Vec<Lane>,
}

impl Openings {
    /// Gathers limits by dataset, and puts into the judgement what already fails them.
    pub(super) fn new(
        set: &PolicySet,
        exposure: &Exposure,
        rules: &[&Rule],
        ledger: &Ledger,
        now: LedgerTime,
        judgement: &mut Judgement,
    ) -> Openings {
        let mut datasets: BTreeMap<&Arc<str>, Vec<&Exposed>> = BTreeMap::new();
        for exposed in exposure.touched.iter().filter(|exposed| leaves(exposed)) {
            datasets.entry(&exposed.dataset).or_default().push(exposed);
        }
        let mut found = Openings { openings: Vec::with_capacity(datasets.len()), lanes: Vec::new() };
        for (dataset, leaving) in datasets {
            let limits = limits(set.observe, &leaving, rules);
            let room = Room { ledger, dataset, now };
            let prepaid = prepaid(&leaving);
            judge(&room, &leaving, &limits, &prepaid, judgement);
            let prepaid = prepaid.into_iter().filter(|(_, records)| *records != u64::MAX).collect();
            found.openings.push(Opening {
                dataset: dataset.clone(),
                limits,
                first: first_lease(exposure, &leaving),
                prepaid,
                counts_records: true,
                tables: tables(&leaving),
                manner: exposure.approach().into(),
            });
        }
        if let (Some(egress), true, true) =
            (set.defaults.unclassified_egress, found.openings.is_empty(), exposure.returns)
        {
            found.watch_egress(egress.bytes, egress.window, force(egress.then, set.observe), ledger, now, judgement);
        }
        found
    }

    pub(super) fn into_parts(self) -> (Vec<Opening>, Vec<Lane>) {
        (self.openings, self.lanes)
    }

    /// Counts the bytes of a result that no dataset covers.
    fn watch_egress(
        &mut self,
        bytes: u64,
        window: Window,
        force: Force,
        ledger: &Ledger,
        now: LedgerTime,
        judgement: &mut Judgement,
    ) {
        let dataset: Arc<str> = UNCLASSIFIED.into();
        let message = format!("{bytes} bytes per {window} of data that nobody classified are used up");
        let limit = Limit {
            rule: EGRESS_RULE.into(),
            window,
            unit: Unit::Bytes,
            amount: bytes,
            thresholds: Vec::new(),
            force,
            message: Some(message.into()),
        };
        let room = Room { ledger, dataset: &dataset, now };
        if force == Force::Enforce && room.used(&limit) >= limit.amount {
            room.refuse(&limit, judgement);
        }
        let nowhere =
            RelationId { engine: Engine::Postgres, database: "".into(), schema: "".into(), name: UNCLASSIFIED.into() };
        self.lanes.push(Lane {
            dataset: dataset.clone(),
            relation: nowhere,
            key: LaneKey::Unkeyed,
            weight: Weight::Traffic,
        });
        self.openings.push(Opening {
            dataset,
            limits: vec![limit],
            first: FIRST_LEASE,
            prepaid: Vec::new(),
            counts_records: false,
            tables: Vec::new(),
            manner: Manner::Bulk,
        });
    }
}

/// One dataset of a ledger, as it stands.
struct Room<'a> {
    ledger: &'a Ledger,
    dataset: &'a Arc<str>,
    now: LedgerTime,
}

impl Room<'_> {
    /// The counter of a limit before this execution.
    fn used(&self, limit: &Limit) -> u64 {
        self.ledger.used(self.dataset, limit.window, limit.unit, self.now)
    }

    /// What the limit leaves for this execution, with what others have reserved taken off.
    fn remaining(&self, limit: &Limit) -> u64 {
        let taken = match limit.window {
            Window::Statement => 0,
            _ => self.used(limit).saturating_add(self.ledger.reserved(self.dataset, limit.unit)),
        };
        limit.amount.saturating_sub(taken).max(self.grace(limit))
    }

    /// What somebody's grant lets leave beyond the limit.
    fn grace(&self, limit: &Limit) -> u64 {
        if limit.unit == Unit::Records { self.ledger.grace(self.dataset, &limit.rule, self.now) } else { 0 }
    }

    fn refuse(&self, limit: &Limit, judgement: &mut Judgement) {
        let message = match &limit.message {
            Some(message) => message.to_string(),
            None => format!(
                "reading `{}` is limited to {} {} per {} by rule `{}`",
                self.dataset, limit.amount, limit.unit, limit.window, limit.rule
            ),
        };
        let basis = self.basis(limit, Outcome::Refused);
        judgement.refuse(Rank::Budget, message, basis, limit.force != Force::Enforce);
    }

    /// The limit as it stands before this execution.
    fn basis(&self, limit: &Limit, outcome: Outcome) -> Basis {
        let used = self.used(limit);
        Basis {
            rule: limit.rule.clone(),
            dataset: Some(self.dataset.clone()),
            window: Some(limit.window),
            unit: limit.unit.into(),
            limit: limit.amount,
            before: used,
            after: used,
            outcome,
        }
    }
}

/// Rows of the relations that leave, as far as the catalog knows.
fn tables(leaving: &[&Exposed]) -> Vec<(RelationId, u64)> {
    let mut found: BTreeMap<&RelationId, u64> = BTreeMap::new();
    for exposed in leaving {
        // What is charged at once may stand for a single row.
        let known = found.entry(&exposed.relation).or_default();
        *known = (*known).max(exposed.table_rows);
    }
    found.into_iter().map(|(relation, rows)| (relation.clone(), rows)).collect()
}

/// Every limit of every rule that speaks of what leaves of one dataset.
fn limits(observe: bool, leaving: &[&Exposed], rules: &[&Rule]) -> Vec<Limit> {
    let speaking = rules.iter().filter(|rule| leaving.iter().any(|exposed| rule.speaks_of(exposed)));
    speaking
        .flat_map(|rule| {
            rule.budget.iter().map(|line| Limit {
                rule: rule.name.clone(),
                window: line.window,
                unit: line.unit,
                amount: line.amount,
                thresholds: rule.thresholds.clone(),
                force: force(rule.then, observe || rule.observe),
                message: rule.message.clone(),
            })
        })
        .collect()
}

fn force(then: Then, observe: bool) -> Force {
    match then {
        Then::Refuse if observe => Force::Observe,
        Then::Refuse => Force::Enforce,
        Then::Alert | Then::Allow => Force::Alert,
    }
}

/// Records of relations that may leave in one row, by relation; `u64::MAX` where nobody knows how many.
fn prepaid(leaving: &[&Exposed]) -> Vec<(RelationId, u64)> {
    let mut found: BTreeMap<&RelationId, u64> = BTreeMap::new();
    for exposed in leaving.iter().filter(|exposed| exposed.whole) {
        let records = if exposed.rows_estimate == 0 { u64::MAX } else { exposed.rows_estimate };
        let known = found.entry(&exposed.relation).or_default();
        *known = (*known).max(records);
    }
    found.into_iter().map(|(relation, records)| (relation.clone(), records)).collect()
}

/// What already fails a limit: nothing is left, or a relation that may leave in one row is more than what is left.
fn judge(
    room: &Room<'_>,
    leaving: &[&Exposed],
    limits: &[Limit],
    prepaid: &[(RelationId, u64)],
    judgement: &mut Judgement,
) {
    let may_be_known =
        leaving.iter().all(|exposed| exposed.pin.is_some() || (exposed.key.is_some() && exposed.key_released));
    let at_once = prepaid.iter().fold(0_u64, |sum, (_, records)| sum.saturating_add(*records));
    for limit in limits {
        let spent = limit.window != Window::Statement && room.used(limit) >= limit.amount && room.grace(limit) == 0;
        let hopeless = spent && (limit.unit != Unit::Records || !may_be_known);
        let too_much = limit.unit == Unit::Records && at_once > room.remaining(limit);
        if limit.force != Force::Alert && (hopeless || too_much) {
            room.refuse(limit, judgement);
        } else {
            judgement.basis.push(room.basis(limit, Outcome::Allowed));
        }
    }
}

/// Records that the execution may release before it must ask again: as few as its text allows.
fn first_lease(exposure: &Exposure, leaving: &[&Exposed]) -> u64 {
    if leaving.iter().all(|exposed| exposed.whole || exposed.manner == exposure::Manner::Told) {
        // Charged already, or one message.
        return 1;
    }
    if leaving.iter().all(|exposed| exposed.pin.is_some()) {
        let pins: BTreeSet<_> = leaving.iter().map(|exposed| (&exposed.relation, exposed.oid)).collect();
        return u64::try_from(pins.len()).unwrap_or(FIRST_LEASE);
    }
    let rows = exposure.rows_max.filter(|_| leaving.iter().all(|exposed| exposed.manner == exposure::Manner::Rows));
    let records = leaving.iter().fold(0_u64, |sum, exposed| sum.saturating_add(u64::from(exposed.reads)));
    rows.map_or(FIRST_LEASE, |rows| rows.saturating_mul(records.max(1)).clamp(1, FIRST_LEASE.max(rows)))
}
