//! Whatever the policy, the order of its rules and the order of events.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use proptest::prelude::*;

use super::{AT, who, words};
use crate::binding::tests::{bound, catalog, exposure};
use crate::budget::{Unit, Window};
use crate::exposure::{LaneKey, Origin, Weight};
use crate::ledger::{Ledger, LedgerTime, Moment, RecordKey};
use crate::meter::{Meter, RowBatch, Then};
use crate::set::PolicySet;
use crate::verdict::Decision;

const STATEMENTS: &[&str] = &[
    "select id, email from customers",
    "select email from customers where id = 7",
    "select email from customers",
    "select a.email, b.email from customers a, customers b",
    "select language, string_agg(email, ',') from customers group by language",
    "select string_agg(email, ',') from customers",
    "select count(*) from customers where phone = '1'",
    "select c.email, k.pan from customers c, billing.cards k",
    "select id, who from events",
    "copy customers to stdout",
    "create temp table t as select * from customers",
    "delete from customers where id = 7",
    "set role admin",
    "grant select on customers to bob",
    "select nonsense(1)",
    "select * from orders",
];

/// One rule of a policy, as YAML.
fn rule(number: usize) -> impl Strategy<Value = String> {
    let people =
        prop::sample::select(vec!["any", "{ group: support }", "{ not: { group: support } }", "{ account: app }"]);
    let datasets = prop::sample::select(vec!["customers", "[customers, cards]", "events", "[cards, events]"]);
    let access = prop::sample::select(vec!["[read]", "[read, export]", "[write, ddl]", "[read, write, grant]"]);
    let budget = prop::sample::subsequence(
        vec![
            "{ records: 40, per: statement }",
            "{ records: 100, per: hour }",
            "{ rows: 300, per: day }",
            "{ bytes: 5000, per: minute }",
            "{ records: 1500, per: 30d }",
        ],
        0..3,
    );
    let then = prop::sample::select(vec!["refuse", "alert", "allow"]);
    let mode = prop::sample::select(vec!["", ", mode: observe"]);
    let when = prop::sample::select(vec!["", ", when: { inside: \"Mon-Fri 08:00-18:00 UTC\" }"]);
    (people, datasets, access, budget, then, mode, when).prop_map(
        move |(people, datasets, access, budget, then, mode, when)| {
            let what = match (budget.as_slice(), then) {
                ([], then) => format!("then: {then}"),
                (lines, "alert") => format!("budget: [{}], at: {{ 50%: alert }}, then: alert", lines.join(", ")),
                (lines, _) => format!("budget: [{}], at: {{ 50%: alert }}", lines.join(", ")),
            };
            format!(
                "  - {{ name: r{number}, who: {people}, dataset: {datasets}, access: {access}, {what}{mode}{when} }}\n"
            )
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<String>> {
    (rule(1), rule(2), rule(3), rule(4), rule(5)).prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

/// A policy of these rules over the datasets of the fixture.
fn policy(mode: &str, rules: &[String]) -> PolicySet {
    let datasets = crate::binding::tests::POLICY.split_once("rules:").unwrap().0;
    let watched = "  - { name: roles, who: any, access: [grant, set-role], then: alert }\n";
    let text = format!("mode: {mode}\n{datasets}rules:\n{watched}{}", rules.concat());
    PolicySet::load(&text, "policy.yaml").unwrap_or_else(|errors| panic!("{text}\n{errors:?}")).0
}

/// Offers rows as the trunk does; how many left.
fn play(meter: &mut Meter, ledger: &mut Ledger, keys: &[RecordKey], bytes: u32, now: LedgerTime) -> usize {
    let width = meter.lanes().len();
    let rows = keys.len() / width.max(1);
    let sizes = vec![bytes; rows];
    let mut left = 0;
    loop {
        let batch = RowBatch { keys: &keys[(left * width).min(keys.len())..], row_bytes: &sizes[left..] };
        let charge = meter.charge(ledger, &batch, now);
        left += charge.rows;
        match charge.then {
            Then::All => return left,
            Then::Cut(_) => return left,
            Then::Extend => {
                if meter.extend(ledger, now).is_err() {
                    return left;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rules_never_shows(
        rules in rules(),
        order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
        pick in 0..STATEMENTS.len(),
        member in any::<bool>(),
        used in 0_u64..200,
    ) {
        let shuffled: Vec<String> = order.iter().map(|index| rules[*index].clone()).collect();
        let person = who("alice", if member { &["support"] } else { &[] });
        let judge = |rules: &[String]| {
            let set = policy("enforce", rules);
            let (binding, _) = set.bind(&catalog());
            let mut ledger = Ledger::new();
            let before: Vec<RecordKey> = (1..=u128::from(used)).map(RecordKey).collect();
            ledger.replay(&crate::ledger::Replay { dataset: "customers", at: AT.now, keys: &before, unkeyed: 0, rows: used, bytes: used * 10 });
            let exposed = exposure(&binding, STATEMENTS[pick]);
            let verdict = set.admit(&person, &exposed, &mut ledger, &AT);
            let mut story = words(&verdict);
            if let Decision::Allow(permit) = verdict.decision && let Some(mut meter) = permit.meter {
                let keys: Vec<RecordKey> = (1..=150 * meter.lanes().len() as u128).map(RecordKey).collect();
                let left = play(&mut meter, &mut ledger, &keys, 20, AT.now);
                story.push_str(&format!("\n{left} {:?}", meter.settle(&mut ledger, AT.now)));
            }
            story
        };
        prop_assert_eq!(judge(&rules), judge(&shuffled));
    }

    #[test]
    fn observing_never_holds_anything_back(rules in rules(), pick in 0..STATEMENTS.len(), known in any::<bool>()) {
        let set = policy("observe", &rules);
        let (binding, _) = set.bind(&catalog());
        let mut ledger = Ledger::new();
        let exposed = exposure(&binding, STATEMENTS[pick]);
        for _ in 0..3 {
            let verdict = set.admit(&who(if known { "alice" } else { "?" }, &[]), &exposed, &mut ledger, &AT);
            let Decision::Allow(permit) = verdict.decision else { panic!("{}", STATEMENTS[pick]) };
            if let Some(mut meter) = permit.meter {
                let keys: Vec<RecordKey> = (1..=500 * meter.lanes().len() as u128).map(RecordKey).collect();
                prop_assert_eq!(play(&mut meter, &mut ledger, &keys, 300, AT.now), 500);
                meter.settle(&mut ledger, AT.now);
            }
        }
    }

    #[test]
    fn what_is_refused_charges_nothing(rules in rules(), pick in 0..STATEMENTS.len()) {
        let set = policy("enforce", &rules);
        let (binding, _) = set.bind(&catalog());
        let mut ledger = Ledger::new();
        let exposed = exposure(&binding, STATEMENTS[pick]);
        if let Decision::Deny(denial) = set.admit(&who("?", &[]), &exposed, &mut ledger, &AT).decision {
            prop_assert!(ledger.snapshot(AT.now).is_empty());
            prop_assert!(!denial.message.is_empty());
        }
    }
}

/// What somebody does at one of 64 sessions.
#[derive(Clone, Debug)]
enum Step {
    /// Runs one of the statements.
    Run(usize),
    /// The server answers with rows of these records.
    Rows(usize, Vec<u128>),
    /// The statement ends.
    End(usize),
    /// Time passes, in seconds.
    Wait(u64),
}

/// Statements, with the columns that the server would describe.
const READS: &[(&str, &[(u32, i16)])] = &[
    ("select id, email from customers", &[(10, 1), (10, 3)]),
    ("select customer, mail from v_mail", &[(40, 1), (40, 2)]),
    ("select email from customers where id = 7", &[(10, 3)]),
    ("select email from customers", &[(10, 3)]),
    ("select a.id, b.email from customers a, customers b", &[(10, 1), (10, 3)]),
    ("select language, string_agg(email, ',') from customers group by language", &[(10, 5), (0, 0)]),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_of_64_sessions_releases_more_than_the_budget(
        budget in 1_u64..400,
        steps in prop::collection::vec(prop_oneof![
            3 => (0..READS.len()).prop_map(Step::Run),
            6 => (0_usize..64, prop::collection::vec(1_u128..600, 1..80)).prop_map(|(who, keys)| Step::Rows(who, keys)),
            2 => (0_usize..64).prop_map(Step::End),
            1 => (1_u64..1200).prop_map(Step::Wait),
        ], 1..250),
    ) {
        let text = crate::binding::tests::POLICY.replace("records: 500", &format!("records: {budget}"));
        let set = PolicySet::load(&text, "policy.yaml").unwrap().0;
        let (binding, _) = set.bind(&catalog());
        let alice = who("alice", &["support"]);
        let mut ledger = Ledger::new();
        let mut sessions: Vec<(usize, Meter)> = Vec::new();
        let mut now = AT.now;
        // Every record that left, and when; keyed ones by their key.
        let mut left: Vec<(LedgerTime, Option<u128>, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(seconds) => now = LedgerTime(now.0 + seconds * 1000),
                Step::Run(read) if sessions.len() < 64 => {
                    let (sql, columns) = READS[read];
                    let exposed = exposure(&binding, sql);
                    let moment = Moment { now, ..AT };
                    if let Decision::Allow(permit) = set.admit(&alice, &exposed, &mut ledger, &moment).decision {
                        let mut meter = permit.meter.unwrap();
                        let origins: Vec<Origin> =
                            columns.iter().map(|(oid, attribute)| Origin { oid: *oid, attribute: *attribute }).collect();
                        meter.set_lanes(binding.lanes(&exposed, &origins));
                        sessions.push((read, meter));
                    }
                }
                Step::Rows(who, numbers) if !sessions.is_empty() => {
                    let who = who % sessions.len();
                    let meter = &mut sessions[who].1;
                    let lanes = meter.lanes().to_vec();
                    let mut keys = Vec::new();
                    for number in &numbers {
                        keys.extend(lanes.iter().map(|lane| match (&lane.key, &*lane.dataset) {
                            (LaneKey::Columns(_), "customers") => RecordKey(*number),
                            (LaneKey::Pinned(_), "customers") => RecordKey(7),
                            _ => RecordKey::NONE,
                        }));
                    }
                    let rows = play(meter, &mut ledger, &keys, 40, now);
                    for number in &numbers[..rows] {
                        for lane in lanes.iter().filter(|lane| &*lane.dataset == "customers") {
                            left.push(match (&lane.key, lane.weight) {
                                (LaneKey::Columns(_), _) => (now, Some(*number), 1),
                                (LaneKey::Pinned(_), _) => (now, Some(7), 1),
                                (LaneKey::Unkeyed, Weight::Many { records }) => (now, None, u64::from(records)),
                                (LaneKey::Unkeyed, Weight::Bytes { record_bytes }) => (now, None, u64::from(40_u32.div_ceil(record_bytes))),
                                (LaneKey::Unkeyed, _) => (now, None, 1),
                            });
                        }
                    }
                }
                Step::End(who) if !sessions.is_empty() => {
                    let (_, meter) = sessions.swap_remove(who % sessions.len());
                    meter.settle(&mut ledger, now);
                }
                _ => {}
            }
            let since = LedgerTime(now.0.saturating_sub(3600 * 1000 - 1));
            let recent = left.iter().filter(|(at, _, _)| *at >= since);
            let mut distinct = HashSet::new();
            let released: u64 = recent
                .map(|(_, key, records)| match key {
                    Some(key) => u64::from(distinct.insert(*key)),
                    None => *records,
                })
                .sum();
            prop_assert!(released <= budget, "{released} of {budget}");
        }
        for (_, meter) in sessions {
            meter.settle(&mut ledger, now);
        }
        prop_assert_eq!(ledger.reserved("customers", Unit::Records), 0);
        prop_assert!(ledger.used("customers", Window::Hour, Unit::Records, now) <= budget);
    }
}

#[test]
#[allow(clippy::disallowed_methods)]
fn how_long_a_judgement_takes() {
    const ROUNDS: u32 = 20_000;
    let (set, binding) = bound();
    let alice = who("alice", &["support"]);
    let mut ledger = Ledger::new();
    let mut times = BTreeMap::new();
    for (name, sql) in [
        ("plain", "select * from orders"),
        ("look-up", "select email from customers where id = 7"),
        ("join", READS[4].0),
    ] {
        let exposed = exposure(&binding, sql);
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            let verdict = set.admit(&alice, &exposed, &mut ledger, &AT);
            if let Decision::Allow(permit) = verdict.decision
                && let Some(meter) = permit.meter
            {
                meter.settle(&mut ledger, AT.now);
            }
        }
        times.insert(name, begin.elapsed() / ROUNDS);
    }
    println!("admit and settle: {times:?}");
    assert!(ledger.is_idle(AT.now));
}
