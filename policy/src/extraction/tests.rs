//! Extractions: totals over pauses, servers and restarts, and how they are named.

use super::*;
use crate::relation::Engine;

const MINUTE: u64 = 60 * 1000;
const DAY: u64 = 24 * 60 * MINUTE;

fn relation(engine: Engine, name: &str) -> RelationId {
    RelationId { engine, database: "d".into(), schema: "s".into(), name: name.into() }
}

/// A page of so many new records out of a relation of 68,000.
fn page(extractions: &mut Extractions, relation: &RelationId, records: u64, manner: Manner, at: u64) -> Since {
    let (dataset, now) = ("customers".into(), LedgerTime(at));
    let since = extractions.begin(&dataset, now);
    let mut fresh = Fresh::default();
    fresh.add(records);
    let taken = Taken { statements: 1, records: 0, rows: records, bytes: records * 10 };
    extractions.take(&dataset, &[Step { relation, table_rows: 68_000, fresh }], manner, taken, now);
    since
}

#[test]
fn pages_over_days_and_servers_are_one_extraction_of_many_stretches() {
    let mut extractions = Extractions::seeded(1);
    let (postgres, mysql) = (relation(Engine::Postgres, "customers"), relation(Engine::Mysql, "users"));
    for day in 0..10 {
        for nth in 0..17 {
            let relation = if day < 5 { &postgres } else { &mysql };
            page(&mut extractions, relation, 200, Manner::Pages, 1 + day * DAY + nth * MINUTE);
        }
    }
    let view = extractions.view("customers").unwrap();
    assert_eq!((view.total.statements, view.total.records, view.total.rows), (170, 34_000, 34_000));
    assert_eq!((view.stretches, view.stretch.statements, view.stretch.records), (10, 17, 3_400));
    assert_eq!((view.since, view.stretch_since), (LedgerTime(1), LedgerTime(1 + 9 * DAY)));
    assert_eq!(view.manner, Manner::Pages);
    let shares: Vec<_> = view.parts.iter().map(|part| (part.relation.engine, part.records, part.share_ppm())).collect();
    assert_eq!(shares, [(Engine::Postgres, 17_000, Some(250_000)), (Engine::Mysql, 17_000, Some(250_000))]);
    assert_eq!(extractions.views(), [view]);
}

#[test]
fn an_extraction_ends_at_a_pause_after_a_month() {
    let mut extractions = Extractions::default();
    let customers = relation(Engine::Postgres, "customers");
    let mut names = std::collections::BTreeSet::new();
    for day in 0..40 {
        page(&mut extractions, &customers, 1, Manner::IdLoop, day * DAY);
        names.insert(extractions.view("customers").unwrap().id);
    }
    assert_eq!(names.len(), 2);
    let view = extractions.view("customers").unwrap();
    assert_eq!((view.since, view.total.records), (LedgerTime(31 * DAY), 9));
    assert!(names.iter().all(|name| name.len() == 10 && name.starts_with("X-")), "{names:?}");
}

#[test]
fn records_count_once_in_an_extraction_and_once_in_a_stretch() {
    // Accounts remember seconds, rounded down: what was charged in the second in which it began is within it.
    let since = Since { extraction: LedgerTime(100_700), stretch: LedgerTime(500_700) };
    let mut fresh = Fresh::default();
    for charged in [None, Some(50_000), Some(100_000), Some(499_000), Some(500_000), Some(900_000)] {
        fresh.add_key(charged.map(LedgerTime), since);
    }
    // Never read, or before it began; and before the stretch began.
    assert_eq!(fresh, Fresh { extraction: 2, stretch: 4 });
}

#[test]
fn a_manner_is_named_where_it_is_clear() {
    let check = |steps: &[(Manner, u64)], expected: Manner| {
        let mut extractions = Extractions::default();
        for (manner, records) in steps {
            page(&mut extractions, &relation(Engine::Postgres, "customers"), *records, *manner, 1);
        }
        assert_eq!(extractions.view("customers").unwrap().manner, expected, "{steps:?}");
    };
    check(&[(Manner::Pages, 200), (Manner::Pages, 200), (Manner::IdLoop, 1)], Manner::Pages);
    check(&[(Manner::Pages, 200), (Manner::InList, 150)], Manner::Mixed);
    check(&[(Manner::Mixed, 200)], Manner::Mixed);
    check(&[(Manner::KeySet, 0)], Manner::KeySet);
    let mut extractions = Extractions::default();
    page(&mut extractions, &relation(Engine::Postgres, "customers"), 1, Manner::Bulk, 1);
    extractions.was_single("customers", 1);
    assert_eq!(extractions.view("customers").unwrap().manner, Manner::IdLoop);
}

#[test]
fn a_share_is_unknown_without_a_size_and_never_above_all() {
    let share =
        |records, table_rows| Part { relation: relation(Engine::Postgres, "c"), records, table_rows }.share_ppm();
    assert_eq!(share(412, 68_000), Some(6_058));
    assert_eq!(share(412, 0), None);
    assert_eq!(share(412, 400), Some(1_000_000));
    assert_eq!(share(u64::MAX, 1), Some(1_000_000));
}

#[test]
fn what_a_record_tells_is_taken_up_whatever_the_order() {
    let mut extractions = Extractions::seeded(9);
    let customers = relation(Engine::Postgres, "customers");
    page(&mut extractions, &customers, 200, Manner::Pages, 5);
    let early = extractions.view("customers").unwrap();
    page(&mut extractions, &customers, 200, Manner::Pages, 6);
    let late = extractions.view("customers").unwrap();
    for views in [[&early, &late], [&late, &early]] {
        let mut restored = Extractions::seeded(9);
        views.into_iter().for_each(|view| restored.restore(view));
        assert_eq!(restored.view("customers").unwrap(), late);
        page(&mut restored, &customers, 1, Manner::Pages, 7);
        let next = restored.view("customers").unwrap();
        assert_eq!((next.id, next.total.records, next.total.statements), (late.id.clone(), 401, 3));
    }
}

#[test]
fn memory_is_bounded_and_the_one_that_rested_longest_ends() {
    let mut extractions = Extractions::default();
    for nth in 0..2 * EXTRACTIONS_MAX as u64 {
        let (dataset, now): (Arc<str>, _) = (format!("d{nth}").into(), LedgerTime(nth));
        extractions.begin(&dataset, now);
        for table in 0..2 * RELATIONS_MAX {
            let relation = relation(Engine::Postgres, &format!("t{table}"));
            let mut fresh = Fresh::default();
            fresh.add(1);
            let taken = Taken { statements: 1, ..Taken::default() };
            extractions.take(&dataset, &[Step { relation: &relation, table_rows: 0, fresh }], Manner::Bulk, taken, now);
        }
    }
    assert_eq!(extractions.views().len(), EXTRACTIONS_MAX);
    let view = extractions.view(&format!("d{}", 2 * EXTRACTIONS_MAX - 1)).unwrap();
    assert_eq!((view.parts.len(), view.total.records), (RELATIONS_MAX, 2 * RELATIONS_MAX as u64));
    assert!(extractions.view("d0").is_none());
}

#[test]
fn nothing_that_left_is_nothing_to_show() {
    let mut extractions = Extractions::default();
    let first = extractions.begin(&"customers".into(), LedgerTime(1));
    assert!(extractions.view("customers").is_none());
    // It begins when something leaves, not when somebody tried.
    let later = extractions.begin(&"customers".into(), LedgerTime(2 * STRETCH_GAP_MS));
    assert_ne!(first, later);
}
