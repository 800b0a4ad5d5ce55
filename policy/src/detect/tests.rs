//! Probes beside what looks like them: loops, dashboards, sign-ups, searches.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

mod behaviour;
use crate::relation::{Engine, RelationId};

const HOUR: u64 = 60 * 60 * 1000;

fn policy(detect: &str) -> PolicySet {
    let text = format!(
        "version: 1\ndatasets:\n  customers: {{ class: c, relations: [{{ engine: postgres, database: x, name: c }}] }}\n\
         rules:\n- {{ name: all, who: any, dataset: customers, then: allow }}\n{detect}"
    );
    PolicySet::load(&text, "policy.yaml").unwrap().0
}

fn who(person: &str) -> Who {
    Who {
        person: person.into(),
        known: true,
        groups: Vec::new(),
        account: person.into(),
        source: None,
        application: "psql".into(),
        ..Who::default()
    }
}

fn asked(asking: Asking, weight: u32) -> Vec<Asked> {
    let relation =
        RelationId { engine: Engine::Postgres, database: "x".into(), schema: "public".into(), name: "c".into() };
    vec![Asked { dataset: "customers".into(), relation, columns: vec!["phone".into()], asking, weight }]
}

/// The first question, from 1, of each outcome.
fn first(
    set: &PolicySet,
    person: &str,
    questions: impl Iterator<Item = (Asking, u64, u64, u64)>,
) -> Vec<(usize, Outcome)> {
    let mut ledger = Ledger::new();
    let mut found: Vec<(usize, Outcome)> = Vec::new();
    for (nth, (asking, shape, values, at)) in questions.enumerate() {
        let asked = asked(asking, 1);
        let question = Question { asked: &asked, shape, values, found_many: false };
        let watched = set.watch(&who(person), &question, &mut ledger, LedgerTime(at));
        for basis in &watched.basis {
            if basis.outcome != Outcome::Allowed && found.iter().all(|(_, outcome)| *outcome != basis.outcome) {
                found.push((nth + 1, basis.outcome));
            }
        }
        assert_eq!(watched.denial.is_some(), watched.basis.iter().any(|basis| basis.outcome == Outcome::Refused));
    }
    found
}

/// Questions of one shape, each with other values, so many apart.
fn loop_of(asking: Asking, count: u64, apart: u64) -> impl Iterator<Item = (Asking, u64, u64, u64)> {
    (0..count).map(move |nth| (asking, 1, nth, 1_000_000 + nth * apart))
}

#[test]
fn a_phone_number_is_seen_before_it_is_out() {
    let usual = policy("");
    assert_eq!(first(&usual, "eve", loop_of(Asking::Parts, 84, 50)), [(61, Outcome::Alerted)]);
    let strict = policy("detect: { probes: [{ dataset: customers, statements: 30, then: refuse }] }");
    assert_eq!(first(&strict, "eve", loop_of(Asking::Parts, 84, 50)), [(31, Outcome::Refused)]);
    let observing = policy("mode: observe\ndetect: { probes: [{ statements: 30, then: refuse }] }");
    assert_eq!(first(&observing, "eve", loop_of(Asking::Parts, 84, 50)), [(31, Outcome::WouldRefuse)]);
}

#[test]
fn what_repeats_without_other_values_has_asked_once() {
    let usual = policy("");
    let dashboard = (0..5_000).map(|nth| (Asking::Parts, nth % 20, 7, 1_000_000 + nth * 500));
    assert_eq!(first(&usual, "board", dashboard), []);
    let sign_ups = loop_of(Asking::Wholes, 240, 10_000);
    assert_eq!(first(&usual, "app", sign_ups), []);
    assert_eq!(first(&usual, "eve", loop_of(Asking::Wholes, 300, 1_000)), [(241, Outcome::Alerted)]);
    assert_eq!(first(&usual, "app", loop_of(Asking::Search, 5_000, 100)), [], "searches that find little");
}

#[test]
fn a_shape_of_its_own_for_each_question_weighs_half() {
    let usual = policy("");
    let varied = (0..200).map(|nth| (Asking::Parts, nth, nth, 1_000_000 + nth * 50));
    assert_eq!(first(&usual, "eve", varied), [(122, Outcome::Alerted)]);
}

#[test]
fn the_window_slides() {
    let usual = policy("");
    let slow = loop_of(Asking::Parts, 500, HOUR / 60);
    assert_eq!(first(&usual, "anna", slow), [], "sixty an hour, all day");
    let faster = loop_of(Asking::Parts, 500, HOUR / 70);
    assert_eq!(first(&usual, "eve", faster), [(61, Outcome::Alerted)]);
}

#[test]
fn nobody_looks_where_the_policy_says_so() {
    let set = policy("detect: { probes: [{ who: { person: board }, then: allow }] }");
    assert_eq!(first(&set, "board", loop_of(Asking::Parts, 500, 50)), []);
    assert_eq!(first(&set, "eve", loop_of(Asking::Parts, 500, 50)), [(61, Outcome::Alerted)], "but of others");
}

#[test]
fn many_answers_in_one_row_are_many_questions() {
    let set = policy("");
    let (mut ledger, asked) = (Ledger::new(), asked(Asking::Parts, 84));
    let question = Question { asked: &asked, shape: 1, values: 1, found_many: false };
    let watched = set.watch(&who("eve"), &question, &mut ledger, LedgerTime(5));
    assert_eq!(
        watched.alerts.iter().map(|alert| alert.message.as_str()).collect::<Vec<_>>(),
        [
            "84 statements per hour ask about parts of values of `phone` of `public.c` and let none out (84 of them of one \
          shape); 60 are normal"
        ]
    );
}

#[test]
fn a_search_that_finds_very_many_is_a_question() {
    let set = policy("detect: { probes: [{ statements: 3 }] }");
    let (mut ledger, asked) = (Ledger::new(), asked(Asking::Search, 1));
    let mut alerts = 0;
    for values in 0..4 {
        let question = Question { asked: &asked, shape: 1, values, found_many: true };
        alerts += set.watch(&who("eve"), &question, &mut ledger, LedgerTime(5)).alerts.len();
    }
    assert_eq!(alerts, 1);
}

#[test]
fn a_restart_forgets_nothing_that_was_asked() {
    let set = policy("");
    let mut before = Ledger::new();
    let mut notes = Vec::new();
    for values in 0..60 {
        let asked = asked(Asking::Parts, 1);
        let question = Question { asked: &asked, shape: 1, values, found_many: false };
        notes.extend(set.watch(&who("eve"), &question, &mut before, LedgerTime(5)).notes);
    }
    let mut after = Ledger::new();
    notes.iter().for_each(|note| after.replay_question(note, LedgerTime(5)));
    let asked = asked(Asking::Parts, 1);
    let question = Question { asked: &asked, shape: 1, values: 60, found_many: false };
    let watched = set.watch(&who("eve"), &question, &mut after, LedgerTime(6));
    assert_eq!((watched.alerts.len(), watched.basis[0].before, watched.basis[0].after), (1, 60, 61));
}

#[test]
fn memory_is_bounded_whatever_is_asked() {
    let set = policy("detect: { probes: [{ statements: 4095 }] }");
    let last = first(&set, "eve", loop_of(Asking::Parts, 9_000, 0));
    assert_eq!(last, [(4096, Outcome::Alerted)]);
}
