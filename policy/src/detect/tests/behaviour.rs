//! Behaviour in virtual time: months of a support desk, and what stands out of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::habits::Habits;
use super::super::*;
use crate::detect::observation::name_hash;
use crate::ledger::{DAY_MS, RecordKey, Replay};
use crate::relation::{Engine, RelationId};
use crate::statement::Access;

/// A Monday, 00:00 UTC, in milliseconds.
const MONDAY: u64 = 1_795_392_000 * 1000;
const MINUTE: u64 = 60 * 1000;
const HOUR: u64 = 60 * MINUTE;

/// Weir as far as these tests need it: a policy, everybody's ledgers, and their peers.
struct Desk {
    set: PolicySet,
    ledgers: std::collections::HashMap<String, Ledger>,
    peers: Peers,
    told: Vec<(u64, String, Alert)>,
    next_key: u64,
}

impl Desk {
    fn new(detect: &str) -> Desk {
        let text = format!(
            "version: 1\ndatasets:\n  customers: {{ class: c, relations: [{{ engine: postgres, database: x, name: c }}], \
             tenant: [merchant] }}\n  users: {{ class: c, relations: [{{ engine: postgres, database: x, name: u }}], \
             watched: true }}\nrules:\n- {{ name: all, who: any, dataset: [customers, users], then: allow }}\n{detect}"
        );
        let set = PolicySet::load(&text, "policy.yaml").unwrap_or_else(|told| panic!("{told:?}")).0;
        Desk { set, ledgers: Default::default(), peers: Peers::new(), told: Vec::new(), next_key: 0 }
    }

    fn observe(&mut self, who: &Who, seen: &Observation, at: u64) -> Watched {
        let moment = Moment { now: LedgerTime(at), wall: i64::try_from(at / 1000).unwrap() };
        let ledger = self.ledgers.entry(who.person.to_string()).or_default();
        let watched = self.set.observe(who, seen, ledger, &mut self.peers, &moment);
        for alert in &watched.alerts {
            self.told.push((at, who.person.to_string(), alert.clone()));
        }
        watched
    }

    /// Somebody reads so many records that nobody has read yet.
    fn read(&mut self, who: &Who, count: u64, at: u64) {
        let keys: Vec<RecordKey> = (0..count).map(|nth| RecordKey(u128::from(self.next_key + nth + 1) << 64)).collect();
        self.next_key += count;
        let ledger = self.ledgers.entry(who.person.to_string()).or_default();
        ledger.replay(&Replay {
            dataset: "customers",
            at: LedgerTime(at),
            keys: &keys,
            unkeyed: 0,
            rows: count,
            bytes: 1,
        });
        let seen = Observation {
            reached: vec![reach("customers", "c", Access::Read, &["email"])],
            taken: vec!["customers".into()],
            ..Observation::default()
        };
        self.observe(who, &seen, at);
    }

    /// A day of work from nine to five, in portions.
    fn day(&mut self, who: &Who, count: u64, day: u64) {
        for portion in 0..8 {
            let part = count / 8 + u64::from(portion < count % 8);
            self.read(who, part, MONDAY + day * DAY_MS + (9 + portion) * HOUR);
        }
    }

    fn codes(&self) -> Vec<(&str, &'static str)> {
        let code = |alert: &Alert| match alert.kind {
            AlertKind::Behaviour { detector, .. } => detector.word(),
            _ => "other",
        };
        self.told.iter().map(|(_, person, alert)| (person.as_str(), code(alert))).collect()
    }
}

fn who(person: &str, group: &str) -> Who {
    Who {
        person: person.into(),
        known: true,
        groups: vec![group.into()],
        account: person.into(),
        source: Some("10.0.0.7".parse().unwrap()),
        application: "psql".into(),
        ..Who::default()
    }
}

fn reach(dataset: &str, table: &str, access: Access, columns: &[&str]) -> Reach {
    let relation =
        RelationId { engine: Engine::Postgres, database: "x".into(), schema: "public".into(), name: table.into() };
    Reach {
        dataset: dataset.into(),
        relation,
        access,
        columns: columns.iter().map(|column| (*column).into()).collect(),
        leaves: access == Access::Read,
        by_key: false,
    }
}

fn tenants(range: std::ops::Range<u64>) -> Observation {
    let tenant = |number: u64| Tenant { dataset: "customers".into(), hash: name_hash(&[&number.to_string()]) };
    Observation { tenants: range.map(tenant).collect(), ..Observation::default() }
}

/// Numbers that look drawn, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below.max(1)
    }

    /// About so many, as chance has it: the sum of many small draws, as wide as look-ups that come by themselves.
    fn around(&mut self, mean: u64) -> u64 {
        (0..4 * mean).map(|_| u64::from(self.roll(4) == 0)).sum()
    }
}

/// Working days of so many weeks.
fn working(weeks: u64) -> impl Iterator<Item = u64> {
    (0..weeks * 7).filter(|day| day % 7 < 5)
}

#[test]
fn a_fixed_limit_holds_from_the_first_day() {
    let mut desk = Desk::new("detect: { enumeration: { dataset: customers, distinct-keys: 300, per: day } }");
    let eve = who("eve", "support");
    desk.read(&eve, 300, MONDAY + HOUR);
    assert!(desk.told.is_empty());
    desk.read(&eve, 1, MONDAY + 2 * HOUR);
    desk.read(&eve, 1, MONDAY + 3 * HOUR);
    assert_eq!(desk.codes(), [("eve", "enumeration")], "told once");
    let (_, _, alert) = &desk.told[0];
    assert_eq!((alert.basis.limit, alert.basis.after), (300, 301));
    assert!(
        alert.message.ends_with("look with: weir audit search --person eve --since 2026-11-23"),
        "{}",
        alert.message
    );
}

#[test]
fn a_limit_that_refuses_leaves_no_room() {
    let mut desk =
        Desk::new("detect: { enumeration: [{ dataset: customers, distinct-keys: 5, per: hour, then: refuse }] }");
    let eve = who("eve", "support");
    let before = Observation {
        stage: Stage::Before,
        reached: vec![reach("customers", "c", Access::Read, &["email"])],
        ..Observation::default()
    };
    desk.read(&eve, 5, MONDAY);
    assert!(desk.observe(&eve, &before, MONDAY + 1).denial.is_some());
    assert!(desk.observe(&eve, &before, MONDAY + 2 * HOUR).denial.is_none(), "the window slides");
    let mut observing = Desk::new(
        "detect: { enumeration: [{ dataset: customers, distinct-keys: 5, per: hour, then: refuse, mode: observe }] }",
    );
    observing.read(&eve, 6, MONDAY);
    let watched = observing.observe(&eve, &before, MONDAY + 1);
    assert!(watched.denial.is_none() && watched.basis.iter().any(|basis| basis.outcome == Outcome::WouldRefuse));
}

#[test]
fn a_benign_month_of_forty_is_quiet_and_so_is_an_outage() {
    let mut desk = Desk::new("");
    let mut dice = Dice(7);
    let agents: Vec<(Who, u64)> =
        (0..40).map(|nth| (who(&format!("agent{nth}"), "support"), 60 + nth * 90 / 40)).collect();
    for day in working(8) {
        // One Wednesday everybody calls.
        let times = if day == 44 { 5 } else { 1 };
        for portion in 0..8 {
            for (agent, mean) in &agents {
                let count = dice.around(mean * times / 8);
                desk.read(agent, count, MONDAY + day * DAY_MS + (9 + portion) * HOUR);
            }
        }
    }
    let bytes: usize = desk.ledgers.values().map(|ledger| ledger.habits.bytes()).sum::<usize>() / desk.ledgers.len();
    assert!(bytes <= 4 * 1024, "{bytes} bytes of habits a person");
    assert!(
        desk.told.len() <= 8,
        "{:?}",
        desk.told.iter().map(|(_, who, told)| (who, &told.message)).collect::<Vec<_>>()
    );
}

/// Agents with a calm history of four weeks, each around a mean of their own.
fn settled(desk: &mut Desk, dice: &mut Dice, agents: &[(Who, u64)], weeks: u64) {
    for day in working(weeks) {
        for (agent, mean) in agents {
            let count = dice.around(*mean);
            desk.day(agent, count, day);
        }
    }
}

#[test]
fn five_of_forty_who_add_thirty_a_day_are_found_within_days() {
    let (mut desk, mut dice) = (Desk::new(""), Dice(11));
    let agents: Vec<(Who, u64)> =
        (0..40).map(|nth| (who(&format!("agent{nth}"), "support"), 60 + nth * 90 / 40)).collect();
    settled(&mut desk, &mut dice, &agents, 5);
    desk.told.clear();
    for day in working(7).filter(|day| *day >= 35) {
        for (nth, (agent, mean)) in agents.iter().enumerate() {
            let more = if nth % 8 == 0 { 30 } else { 0 };
            let count = dice.around(*mean) + more;
            desk.day(agent, count, day);
        }
    }
    let thieves: std::collections::BTreeSet<&str> = desk
        .told
        .iter()
        .map(|(_, who, _)| who.as_str())
        .filter(|who| agents.iter().position(|(agent, _)| *agent.person == **who).unwrap() % 8 == 0)
        .collect();
    let honest = desk.told.iter().filter(|(_, who, _)| !thieves.contains(who.as_str())).count();
    let last = desk
        .told
        .iter()
        .filter(|(_, who, _)| thieves.contains(who.as_str()))
        .map(|(at, who, _)| (who, (at - MONDAY) / DAY_MS - 35))
        .fold(std::collections::BTreeMap::new(), |mut first: std::collections::BTreeMap<&String, u64>, (who, day)| {
            first.entry(who).or_insert(day);
            first
        });
    assert_eq!(thieves.len(), 5, "{last:?}");
    assert!(last.values().all(|day| *day <= 7), "{last:?}");
    assert!(honest <= 2, "{honest}");
}

#[test]
fn who_is_busier_than_all_peers_from_the_first_day_is_told_in_five() {
    let (mut desk, mut dice) = (Desk::new(""), Dice(3));
    let mut agents: Vec<(Who, u64)> =
        (0..37).map(|nth| (who(&format!("agent{nth}"), "support"), 80 + nth % 20)).collect();
    settled(&mut desk, &mut dice, &agents, 3);
    desk.told.clear();
    agents.extend((0..3).map(|nth| (who(&format!("eve{nth}"), "support"), 136)));
    let mut desk = Desk { told: Vec::new(), ..desk };
    for day in working(7).filter(|day| *day >= 21) {
        for (agent, mean) in &agents {
            let count = dice.around(*mean);
            desk.day(agent, count, day);
        }
    }
    let mut first: Vec<u64> = ["eve0", "eve1", "eve2"]
        .iter()
        .map(|eve| {
            let told = desk.told.iter().find(|(_, who, _)| who == eve);
            told.map_or(u64::MAX, |(at, _, _)| (at - MONDAY) / DAY_MS - 21)
        })
        .collect();
    first.sort_unstable();
    assert!(first[1] <= 4 && first[2] <= 8, "days until each is told: {first:?}");
    let honest = desk.told.iter().filter(|(_, who, _)| !who.starts_with("eve")).count();
    assert!(honest <= 4, "{honest} in four weeks");
}

#[test]
fn breadth_across_tenants_is_told_of_one_and_of_two_together() {
    let mut desk = Desk::new(
        "detect: { breadth: { dataset: customers, distinct-tenants: 100 }, joint-breadth: { dataset: customers, \
         distinct-tenants: 100 } }",
    );
    let (ann, bob, sue) = (who("ann", "support"), who("bob", "support"), who("sue", "sales"));
    desk.observe(&ann, &tenants(0..90), MONDAY);
    desk.observe(&sue, &tenants(200..290), MONDAY + 1);
    assert!(desk.told.is_empty(), "neither is too broad, and they are no peers");
    desk.observe(&bob, &tenants(90..180), MONDAY + 2);
    assert_eq!(desk.codes(), [("bob", "joint-breadth")]);
    let message = &desk.told[0].2.message;
    assert!(message.starts_with("together with ann they have seen 180 of"), "{message}");
    desk.observe(&ann, &tenants(90..101), MONDAY + 3);
    assert_eq!(desk.codes()[1..], [("ann", "breadth")]);
    let mut same = Desk::new("detect: { joint-breadth: { dataset: customers, distinct-tenants: 100 } }");
    same.observe(&ann, &tenants(0..90), MONDAY);
    same.observe(&bob, &tenants(10..100), MONDAY + 1);
    assert!(same.told.is_empty(), "two who do the same work share its tenants");
}

#[test]
fn columns_that_nobody_of_the_role_has_read_are_news() {
    let mut desk = Desk::new("");
    let team: Vec<Who> = (0..3).map(|nth| who(&format!("sre{nth}"), "sre")).collect();
    for day in working(3) {
        for sre in &team {
            let seen =
                Observation { reached: vec![reach("users", "u", Access::Read, &["id"])], ..Observation::default() };
            desk.observe(sre, &seen, MONDAY + day * DAY_MS + 10 * HOUR);
        }
    }
    assert!(desk.told.is_empty(), "what is read while it is learnt is no news");
    let reads = Observation {
        reached: vec![reach("users", "u", Access::Read, &["id", "email", "phone"])],
        ..Observation::default()
    };
    let at = MONDAY + 21 * DAY_MS + 10 * HOUR;
    desk.observe(&team[1], &reads, at);
    desk.observe(&team[1], &reads, at + 1);
    desk.observe(&team[2], &reads, at + 2);
    assert_eq!(desk.codes(), [("sre1", "first-use")], "once, and not of who follows");
    let (_, _, alert) = &desk.told[0];
    assert!(alert.message.contains("`email`, `phone` of `public.u` (`users`, which is watched)"), "{}", alert.message);
    assert_eq!(alert.kind, AlertKind::Behaviour { detector: Detector::FirstUse, grave: true });
    let newcomer = who("sre9", "sre");
    desk.observe(&newcomer, &reads, at + 3);
    assert_eq!(desk.told.len(), 1, "who is new does what the others do");
}

#[test]
fn a_first_use_that_is_refused_stays_one() {
    let mut desk = Desk::new("detect: { first-use: { dataset: users, learning: 0s, then: refuse } }");
    let bob = who("bob", "sre");
    let known = Observation { reached: vec![reach("customers", "c", Access::Read, &["id"])], ..Observation::default() };
    desk.observe(&bob, &known, MONDAY);
    let reads = Observation {
        stage: Stage::Before,
        reached: vec![reach("users", "u", Access::Read, &["email"])],
        ..Observation::default()
    };
    for nth in 1..4 {
        assert!(desk.observe(&bob, &reads, MONDAY + nth).denial.is_some());
    }
}

#[test]
fn a_night_is_told_unless_everybody_is_there() {
    let mut desk = Desk::new("");
    let team: Vec<Who> = (0..6).map(|nth| who(&format!("agent{nth}"), "support")).collect();
    for day in working(3) {
        for agent in &team {
            desk.day(agent, 8, day);
        }
    }
    let night = MONDAY + 21 * DAY_MS + 2 * HOUR;
    desk.read(&team[0], 1, night);
    desk.read(&team[0], 1, night + MINUTE);
    assert_eq!(desk.codes(), [("agent0", "unusual-hours")]);
    let outage = night + DAY_MS;
    team[..5].iter().for_each(|agent| drop(desk.observe(agent, &Observation::default(), outage)));
    desk.read(&team[5], 1, outage + MINUTE);
    assert_eq!(desk.told.len(), 1, "an outage at night is nobody's");
}

#[test]
fn one_name_again_and_again_is_focus_and_a_word_of_the_trade_is_not() {
    let mut desk = Desk::new("");
    let term = |hash: u64| Observation {
        reached: vec![reach("customers", "c", Access::Read, &["email"])],
        terms: vec![Term { dataset: "customers".into(), hash }],
        ..Observation::default()
    };
    let team: Vec<Who> = (0..4).map(|nth| who(&format!("agent{nth}"), "sales")).collect();
    for day in working(3) {
        for (nth, agent) in team.iter().enumerate() {
            for search in 0..12 {
                let at = MONDAY + day * DAY_MS + 9 * HOUR + search * MINUTE;
                // Three times the same customer, and the state of a case.
                desk.observe(agent, &term(1_000 * day + 10 * nth as u64 + search / 3), at);
                desk.observe(agent, &term(7), at + 1);
            }
        }
    }
    desk.told.clear();
    let at = MONDAY + 21 * DAY_MS + 9 * HOUR;
    let counts: Vec<usize> = (0..30)
        .map(|nth| {
            desk.observe(&team[0], &term(99), at + nth * MINUTE);
            desk.told.len()
        })
        .collect();
    assert_eq!(desk.codes().first(), Some(&("agent0", "search-focus")));
    assert!(counts.iter().position(|count| *count == 1).is_some_and(|nth| nth <= 25), "{counts:?}");
    let told = desk.told.len();
    (0..60).for_each(|nth| drop(desk.observe(&team[1], &term(7), at + nth * MINUTE)));
    assert_eq!(desk.told.len(), told, "everybody searches for that");
}

#[test]
fn a_credential_from_elsewhere_is_told_before_its_third_table() {
    let mut desk = Desk::new("");
    let app = who("app", "services");
    for day in 0..21 {
        desk.observe(&app, &Observation { stage: Stage::Arrival, ..Observation::default() }, MONDAY + day * DAY_MS);
    }
    let thief = Who { source: "203.0.113.9".parse().ok(), ..app.clone() };
    let at = MONDAY + 21 * DAY_MS;
    let look = |lists: bool, tables: &[u64]| Observation {
        stage: Stage::Before,
        lists_catalog: lists,
        tables: tables.to_vec(),
        ..Observation::default()
    };
    desk.observe(&thief, &Observation { stage: Stage::Arrival, ..Observation::default() }, at);
    desk.observe(&thief, &look(true, &[]), at + 1);
    desk.observe(&thief, &look(false, &[1]), at + 2);
    assert!(desk.told.is_empty());
    desk.observe(&thief, &look(false, &[2]), at + 3);
    assert_eq!(desk.codes(), [("app", "discovery")]);
    let neighbour = Who { source: "10.0.0.8".parse().ok(), ..app.clone() };
    for table in 10..16 {
        desk.observe(&neighbour, &look(true, &[table]), at + table);
    }
    let home = Who { source: "10.0.0.7".parse().ok(), ..app };
    for table in 20..26 {
        desk.observe(&home, &look(true, &[table]), at + table);
    }
    assert_eq!(desk.told.len(), 1, "another machine of the same network, and the usual one");
}

#[test]
fn first_powers_of_several_people_from_elsewhere_are_alarming() {
    let mut desk = Desk::new("");
    let team: Vec<Who> = (0..6).map(|nth| who(&format!("staff{nth}"), "staff")).collect();
    for day in working(3) {
        team.iter().for_each(|staff| desk.day(staff, 8, day));
    }
    let at = MONDAY + 21 * DAY_MS + 14 * HOUR;
    let reset = Observation {
        stage: Stage::Before,
        reached: vec![reach("users", "u", Access::Write, &["email"])],
        ..Observation::default()
    };
    for (nth, staff) in (0..).zip(&team[..4]) {
        let device = Who { source: format!("203.0.113.{}", nth * 60 + 1).parse().ok(), ..staff.clone() };
        desk.observe(&device, &reset, at + nth * MINUTE);
    }
    let grave: Vec<&str> = desk
        .told
        .iter()
        .filter(|(_, _, alert)| alert.kind == AlertKind::Behaviour { detector: Detector::NewDevice, grave: true })
        .map(|(_, who, _)| who.as_str())
        .collect();
    assert_eq!(grave, ["staff1", "staff2", "staff3"], "{:?}", desk.codes());
    assert!(desk.told.iter().any(|(_, _, alert)| alert.message.contains("4 people did what they never did")));
}

#[test]
fn beyond_its_quota_a_detector_tells_the_rest_together() {
    let mut desk = Desk::new("detect: { enumeration: { dataset: customers, distinct-keys: 5, per: day, at-most: 2 } }");
    for nth in 0..6 {
        desk.read(&who(&format!("p{nth}"), "support"), 6, MONDAY + nth);
    }
    assert_eq!(desk.told.len(), 2);
    desk.read(&who("late", "support"), 1, MONDAY + DAY_MS);
    let message = &desk.told[2].2.message;
    assert_eq!(
        message,
        "and 4 more alerts of `detect.enumeration` on the day before, beyond those that it may raise in one: by p2, p3, p4, p5"
    );
}

#[test]
fn where_the_policy_says_so_nobody_looks() {
    let mut desk = Desk::new("detect: { enumeration: { dataset: customers, who: { person: etl }, then: allow } }");
    let etl = who("etl", "machines");
    for day in 0..20 {
        desk.read(&etl, if day == 19 { 5_000 } else { 50 }, MONDAY + day * DAY_MS + 3 * HOUR);
    }
    assert!(desk.told.is_empty(), "{:?}", desk.codes());
}

#[test]
fn a_restart_forgets_nothing() {
    let (mut live, mut replayed) = (Desk::new(""), Desk::new(""));
    let agents: Vec<Who> = (0..8).map(|nth| who(&format!("agent{nth}"), "support")).collect();
    let mut dice = Dice(5);
    for day in working(4) {
        for agent in &agents {
            let count = dice.around(80);
            live.day(agent, count, day);
            // As it is built anew: charges first, then what was observed.
            for portion in 0..8 {
                let part = count / 8 + u64::from(portion < count % 8);
                let at = MONDAY + day * DAY_MS + (9 + portion) * HOUR;
                let keys: Vec<RecordKey> =
                    (0..part).map(|nth| RecordKey(u128::from(replayed.next_key + nth + 1) << 64)).collect();
                replayed.next_key += part;
                let ledger = replayed.ledgers.entry(agent.person.to_string()).or_default();
                let charge =
                    Replay { dataset: "customers", at: LedgerTime(at), keys: &keys, unkeyed: 0, rows: part, bytes: 1 };
                ledger.replay(&charge);
                let seen = Observation {
                    reached: vec![reach("customers", "c", Access::Read, &["email"])],
                    taken: vec!["customers".into()],
                    ..Observation::default()
                };
                let moment = Moment { now: LedgerTime(at), wall: i64::try_from(at / 1000).unwrap() };
                learn(agent, &seen, ledger, &mut replayed.peers, &moment, false);
            }
        }
    }
    for desk in [&mut live, &mut replayed] {
        desk.told.clear();
        desk.next_key = 1 << 40;
        desk.day(&agents[0], 400, 28);
        desk.read(&agents[1], 1, MONDAY + 29 * DAY_MS + 2 * HOUR);
    }
    assert_eq!(live.codes(), replayed.codes());
    let messages = |desk: &Desk| desk.told.iter().map(|(_, _, alert)| alert.message.clone()).collect::<Vec<_>>();
    assert_eq!(messages(&live), messages(&replayed));
    assert!(live.told.len() >= 2, "{:?}", live.codes());
}

#[test]
fn memory_of_a_person_is_bounded() {
    let mut desk = Desk::new("");
    let busy = who("busy", "support");
    let mut dice = Dice(9);
    for day in 0..40 {
        for nth in 0..40 {
            let at = MONDAY + day * DAY_MS + nth * 30 * MINUTE;
            let source = format!("10.{}.{}.1", dice.roll(200), dice.roll(200)).parse().ok();
            let column = format!("c{}", dice.roll(2_000));
            let mut seen = tenants(0..0);
            seen.tenants = (0..50)
                .map(|_| Tenant { dataset: "customers".into(), hash: name_hash(&[&dice.roll(100_000).to_string()]) })
                .collect();
            seen.terms = vec![Term { dataset: "customers".into(), hash: dice.roll(1 << 30) }];
            seen.tables = (0..40).map(|_| dice.roll(1 << 30)).collect();
            seen.reached = vec![reach("customers", "c", Access::Read, &[&column])];
            desk.observe(&Who { source, ..busy.clone() }, &seen, at);
        }
    }
    let bytes = desk.ledgers["busy"].habits.bytes();
    assert!(bytes <= 16 * 1024, "{bytes}");
    let _: &Habits = desk.ledgers["busy"].habits();
}
