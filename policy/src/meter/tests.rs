//! Meters over one person's ledger: whatever the order of batches, extensions and ends, what leaves stays in the budget.

use std::collections::HashSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Charge, Meter, Opening, RowBatch, Then};
use crate::approval::Grant;
use crate::budget::{Force, Limit, Unit, Window};
use crate::exposure::{Lane, LaneKey, Weight};
use crate::extraction::Manner;
use crate::ledger::{Ledger, LedgerTime, RecordKey};
use crate::relation::{Engine, RelationId};

const NOW: LedgerTime = LedgerTime(1_000_000_000);

fn relation() -> RelationId {
    RelationId { engine: Engine::Postgres, database: "d".into(), schema: "public".into(), name: "customers".into() }
}

fn lane(keyed: bool) -> Lane {
    let key = if keyed { LaneKey::Columns(vec![0]) } else { LaneKey::Unkeyed };
    Lane { dataset: "customers".into(), relation: relation(), key, weight: Weight::Row }
}

fn hourly(amount: u64) -> Limit {
    Limit {
        rule: "hour".into(),
        window: Window::Hour,
        unit: Unit::Records,
        amount,
        thresholds: Vec::new(),
        force: Force::Enforce,
        message: None,
    }
}

fn open(ledger: &mut Ledger, budget: u64, keyed: bool, now: LedgerTime) -> Meter {
    let dataset: Arc<str> = "customers".into();
    let opening = Opening {
        dataset,
        limits: vec![hourly(budget)],
        first: 64,
        prepaid: Vec::new(),
        counts_records: true,
        tables: vec![(relation(), 68_000)],
        manner: Manner::Pages,
    };
    Meter::open(vec![opening], vec![lane(keyed)], ledger, now).0
}

/// Offers keys as the trunk would, extending leases; returns what left and whether the result was cut.
fn offer(meter: &mut Meter, ledger: &mut Ledger, keys: &[RecordKey], now: LedgerTime) -> (usize, bool) {
    let bytes = vec![100; keys.len()];
    let mut left = 0;
    loop {
        let batch = RowBatch { keys: &keys[left..], row_bytes: &bytes[left..] };
        let Charge { rows, then, .. } = meter.charge(ledger, &batch, now);
        left += rows;
        match then {
            Then::All => return (left, false),
            Then::Cut(_) => return (left, true),
            Then::Extend => {
                if meter.extend(ledger, now).is_err() {
                    return (left, true);
                }
            }
        }
    }
}

fn key(number: u128) -> RecordKey {
    RecordKey(number + 1)
}

#[test]
fn the_501st_record_does_not_leave() {
    for keyed in [true, false] {
        let mut ledger = Ledger::new();
        let mut meter = open(&mut ledger, 500, keyed, NOW);
        let keys: Vec<RecordKey> = (0..68_000).map(|n| if keyed { key(n) } else { RecordKey::NONE }).collect();
        assert_eq!(offer(&mut meter, &mut ledger, &keys, NOW), (500, true));
        meter.settle(&mut ledger, NOW);
        assert_eq!(ledger.used("customers", Window::Hour, Unit::Records, NOW), 500);
    }
}

#[test]
fn reading_again_is_free_and_somebody_new_is_not() {
    let mut ledger = Ledger::new();
    let keys: Vec<RecordKey> = (0..500).map(key).collect();
    for _ in 0..50 {
        let mut meter = open(&mut ledger, 500, true, NOW);
        assert_eq!(offer(&mut meter, &mut ledger, &keys, NOW), (500, false));
        meter.settle(&mut ledger, NOW);
    }
    let mut meter = open(&mut ledger, 500, true, NOW);
    assert_eq!(offer(&mut meter, &mut ledger, &[key(0), key(7), key(900)], NOW), (2, true));
}

#[test]
fn an_hour_later_there_is_room_again() {
    let mut ledger = Ledger::new();
    let mut meter = open(&mut ledger, 10, true, NOW);
    let keys: Vec<RecordKey> = (0..20).map(key).collect();
    assert_eq!(offer(&mut meter, &mut ledger, &keys, NOW), (10, true));
    meter.settle(&mut ledger, NOW);
    let soon = LedgerTime(NOW.0 + 59 * 60 * 1000);
    let mut meter = open(&mut ledger, 10, true, soon);
    assert_eq!(offer(&mut meter, &mut ledger, &keys[10..], soon).0, 0);
    meter.settle(&mut ledger, soon);
    let later = LedgerTime(NOW.0 + 62 * 60 * 1000);
    let mut meter = open(&mut ledger, 10, true, later);
    assert_eq!(offer(&mut meter, &mut ledger, &keys[10..], later), (10, false));
}

#[derive(Clone, Debug)]
enum Step {
    Open,
    Offer(usize, Vec<u128>),
    Settle(usize),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_interleaving_of_64_meters_releases_more_than_the_budget(
        budget in 1_u64..400,
        keyed in any::<bool>(),
        steps in proptest::collection::vec(prop_oneof![
            Just(Step::Open),
            (0_usize..64, proptest::collection::vec(0_u128..600, 1..80)).prop_map(|(who, keys)| Step::Offer(who, keys)),
            (0_usize..64).prop_map(Step::Settle),
        ], 1..200),
    ) {
        let mut ledger = Ledger::new();
        let mut meters: Vec<Meter> = Vec::new();
        let mut seen = HashSet::new();
        let mut rows = 0_u64;
        for step in steps {
            match step {
                Step::Open if meters.len() < 64 => meters.push(open(&mut ledger, budget, keyed, NOW)),
                Step::Offer(who, keys) if !meters.is_empty() => {
                    let who = who % meters.len();
                    let keys: Vec<RecordKey> =
                        keys.into_iter().map(|n| if keyed { key(n) } else { RecordKey::NONE }).collect();
                    let (left, _) = offer(&mut meters[who], &mut ledger, &keys, NOW);
                    rows += left as u64;
                    seen.extend(keys[..left].iter().map(|key| key.0));
                }
                Step::Settle(who) if !meters.is_empty() => {
                    let meter = meters.swap_remove(who % meters.len());
                    meter.settle(&mut ledger, NOW);
                }
                _ => {}
            }
            let released = if keyed { seen.len() as u64 } else { rows };
            prop_assert!(released <= budget, "{released} of {budget}");
        }
        for meter in meters {
            meter.settle(&mut ledger, NOW);
        }
        let released = if keyed { seen.len() as u64 } else { rows };
        prop_assert_eq!(ledger.used("customers", Window::Hour, Unit::Records, NOW), released);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn an_extraction_counts_what_the_ledger_counts(
        pages in proptest::collection::vec((proptest::collection::vec(0_u128..80, 0..40), any::<bool>(), 0_u64..90), 1..24),
    ) {
        let mut ledger = Ledger::new();
        let mut seen = HashSet::new();
        let (mut rows, mut unkeyed, mut statements, mut minutes) = (0, 0, 0, 0);
        for (page, keyed, pause) in pages {
            minutes += pause;
            let now = LedgerTime(NOW.0 + minutes * 60_000);
            let keys: Vec<RecordKey> = page.iter().map(|n| if keyed { key(*n) } else { RecordKey::NONE }).collect();
            let mut meter = open(&mut ledger, u64::MAX, keyed, now);
            prop_assert_eq!(offer(&mut meter, &mut ledger, &keys, now), (keys.len(), false));
            meter.settle(&mut ledger, now);
            rows += keys.len() as u64;
            statements += u64::from(!keys.is_empty());
            if keyed {
                seen.extend(page);
            } else {
                unkeyed += keys.len() as u64;
            }
        }
        match ledger.extractions().view("customers") {
            None => prop_assert_eq!(rows, 0),
            Some(view) => {
                prop_assert_eq!(view.total.rows, rows);
                prop_assert_eq!(view.total.statements, statements);
                prop_assert_eq!(view.total.records, seen.len() as u64 + unkeyed);
                prop_assert_eq!(view.parts[0].records, view.total.records);
                prop_assert!(view.stretch.records <= view.total.records);
            }
        }
    }
}

#[test]
fn pieces_of_one_statement_share_its_limit() {
    let per_statement = Limit { window: Window::Statement, ..hourly(100) };
    let piece = |ledger: &mut Ledger| {
        let opening = Opening {
            dataset: "customers".into(),
            limits: vec![per_statement.clone()],
            first: 64,
            prepaid: Vec::new(),
            counts_records: true,
            tables: Vec::new(),
            manner: Manner::Bulk,
        };
        Meter::open(vec![opening], vec![lane(true)], ledger, NOW).0
    };
    let mut ledger = Ledger::new();
    let mut carried = None;
    for (from, expected) in [(0, (60, false)), (30, (60, false)), (90, (10, true))] {
        let mut meter = piece(&mut ledger);
        if let Some(carried) = carried {
            meter.resume(carried);
        }
        let keys: Vec<RecordKey> = (from..from + 60).map(key).collect();
        // The second piece repeats thirty records of the first: they are the same statement's.
        assert_eq!(offer(&mut meter, &mut ledger, &keys, NOW), expected, "from {from}");
        carried = Some(meter.carry());
        meter.settle(&mut ledger, NOW);
    }
    // By itself it has a hundred of its own.
    let keys: Vec<RecordKey> = (0..60).map(key).collect();
    assert_eq!(offer(&mut piece(&mut ledger), &mut ledger, &keys, NOW), (60, false));
}

fn granted(records: u64, until_ms: u64) -> Grant {
    Grant {
        request: "A-1".into(),
        rule: "hour".into(),
        records,
        windows: vec![Window::Hour],
        since: NOW,
        until: LedgerTime(NOW.0 + until_ms),
        charged: 0,
    }
}

fn keys(range: std::ops::Range<u128>) -> Vec<RecordKey> {
    range.map(RecordKey).collect()
}

/// What one execution lets leave of these keys.
fn read(ledger: &mut Ledger, budget: u64, keys: &[RecordKey], now: LedgerTime) -> usize {
    let mut meter = open(ledger, budget, true, now);
    let (left, _) = offer(&mut meter, ledger, keys, now);
    let _ = meter.settle(ledger, now);
    left
}

#[test]
fn a_grant_lets_as_many_more_leave_as_it_names_and_ends() {
    let mut ledger = Ledger::new();
    let later = LedgerTime(NOW.0 + 1000);
    assert_eq!(read(&mut ledger, 10, &keys(1..100), NOW), 10);
    assert!(ledger.grant("customers", granted(5, 60_000), NOW));
    assert_eq!(read(&mut ledger, 10, &keys(1..11), later), 10, "records that the hour counts already are free");
    assert_eq!(ledger.grace("customers", "hour", later), 5);
    assert_eq!(ledger.grace("customers", "another", later), 0);
    assert_eq!(read(&mut ledger, 10, &keys(100..103), later), 3);
    assert_eq!(read(&mut ledger, 10, &keys(200..300), later), 2);
    assert_eq!(read(&mut ledger, 10, &keys(300..400), later), 0);
    assert!(ledger.grant("customers", Grant { since: later, ..granted(50, 60_000) }, later));
    assert_eq!(read(&mut ledger, 10, &keys(400..410), later), 10);
    let over = LedgerTime(NOW.0 + 60_000);
    assert_eq!(read(&mut ledger, 10, &keys(500..510), over), 0, "it has ended");
    assert!(ledger.grants(over).is_empty());
    // An hour later the rule's own budget is there again, and no more.
    assert_eq!(read(&mut ledger, 10, &keys(600..700), LedgerTime(NOW.0 + 2 * 3_600_000)), 10);
}

#[test]
fn parallel_executions_share_a_grant() {
    let mut ledger = Ledger::new();
    assert_eq!(read(&mut ledger, 10, &keys(1..100), NOW), 10);
    ledger.grant("customers", granted(70, 60_000), NOW);
    let mut meters: Vec<Meter> = (0..4).map(|_| open(&mut ledger, 10, true, NOW)).collect();
    let mut left = 0;
    for (number, meter) in meters.iter_mut().enumerate() {
        let first = 1000 * (number as u128 + 1);
        left += offer(meter, &mut ledger, &keys(first..first + 100), NOW).0;
    }
    meters.into_iter().for_each(|meter| drop(meter.settle(&mut ledger, NOW)));
    left += read(&mut ledger, 10, &keys(9000..9100), NOW);
    assert_eq!(left, 70);
}

#[test]
fn a_reset_forgets_what_left_and_keeps_what_is_reserved() {
    let mut ledger = Ledger::new();
    assert_eq!(read(&mut ledger, 10, &keys(1..7), NOW), 6);
    let mut running = open(&mut ledger, 10, true, NOW);
    let reserved = ledger.reserved("customers", Unit::Records);
    assert_eq!(reserved, 4);
    ledger.reset(Some("others"));
    assert_eq!(ledger.used("customers", Window::Hour, Unit::Records, NOW), 6);
    ledger.reset(Some("customers"));
    assert_eq!(ledger.used("customers", Window::Hour, Unit::Records, NOW), 0);
    assert_eq!(ledger.reserved("customers", Unit::Records), reserved);
    let (left, cut) = offer(&mut running, &mut ledger, &keys(100..200), NOW);
    assert_eq!((left, cut), (10, true), "the running execution goes on in the new budget");
    let _ = running.settle(&mut ledger, NOW);
    assert_eq!(read(&mut ledger, 10, &keys(300..400), NOW), 0);
}

proptest! {
    /// Whatever is granted and read in whatever order: no more leaves than the budget and all grants together.
    #[test]
    fn grants_never_let_more_leave_than_they_name(
        steps in prop::collection::vec((0_u8..4, 1_u64..40, 0_u64..5_000), 1..40),
    ) {
        let mut ledger = Ledger::new();
        let (mut now, mut seen, mut granted_in_all) = (NOW, HashSet::new(), 0_u64);
        let mut grants = 0_u32;
        for (what, count, wait) in steps {
            // Less than an hour in all: the budget never comes back by itself.
            now = LedgerTime(now.0 + wait);
            if what == 0 {
                grants += 1;
                granted_in_all += count;
                let request = format!("A-{grants}").into();
                let until = LedgerTime(now.0 + 20_000);
                ledger.grant("customers", Grant { request, since: now, until, ..granted(count, 0) }, now);
            } else {
                let first = u128::from(what) * 1_000 + u128::from(count);
                let wanted = keys(first..first + u128::from(count));
                let left = read(&mut ledger, 10, &wanted, now);
                seen.extend(wanted[..left].iter().copied());
            }
            let most = 10 + granted_in_all;
            prop_assert!(u64::try_from(seen.len()).unwrap() <= most, "{} of {most}", seen.len());
        }
    }
}
