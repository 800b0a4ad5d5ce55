//! One person, one budget: over accounts, connections, parallel sessions and restarts.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use weir_tests::audit::released;
use weir_tests::policies::{Budgeted, DENIED};
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::{assert_denied, assert_usable, desk, distinct, login};

/// A Weir that a test stops and starts again.
fn own_weir(records_per_hour: u64) -> Weir {
    let Target::Weir(weir) = desk(&Budgeted::hourly(records_per_hour)) else {
        panic!("this test needs Weir, and WEIR_TEST_TARGET=direct leaves it out")
    };
    *weir
}

fn page(client: &mut Raw, from: u32, to: u32) -> Reply {
    client.query(&format!("select id, name, email from customers where id between {from} and {to} order by id"))
}

#[test]
fn a_second_account_of_the_same_person_has_no_second_budget() {
    let desk = desk(&Budgeted::hourly(500));
    assert_eq!(page(&mut login(&desk, "alice"), 1, 300).fine().rows(), 300);
    let mut report = login(&desk, "alice_report");
    assert_eq!(page(&mut report, 1, 300).fine().rows(), 300, "known records, under another account");
    assert_eq!(assert_denied(&page(&mut report, 301, 900)), 200);
    assert_eq!(assert_denied(&page(&mut login(&desk, "alice"), 2000, 2001)), 0);
    assert_eq!(released(desk.weir(), "alice").records, 500);
}

#[test]
fn another_person_has_a_budget_of_their_own() {
    let desk = desk(&Budgeted::hourly(500));
    assert_eq!(assert_denied(&page(&mut login(&desk, "alice"), 1, 1000)), 500);
    assert_eq!(page(&mut login(&desk, "bob"), 1, 500).fine().rows(), 500);
    assert_eq!(assert_denied(&page(&mut login(&desk, "bob"), 501, 502)), 0);
}

#[test]
fn paging_with_a_new_connection_for_each_page_ends_at_the_budget() {
    let desk = desk(&Budgeted::hourly(500));
    let mut received = BTreeSet::new();
    let mut denied = 0;
    for number in 0..12_u32 {
        let account = if number % 2 == 0 { "alice" } else { "alice_report" };
        let mut client = login(&desk, account);
        let sql = format!("select id, email from customers order by id limit 70 offset {}", number * 70);
        let reply = if number % 3 == 0 { client.extended(&sql, &[]) } else { client.query(&sql) };
        received.extend(reply.column());
        denied += reply.errors().len();
        client.goodbye();
    }
    assert_eq!(received, (1..=500).map(|id| id.to_string()).collect());
    assert_eq!(denied, 5, "page eight is cut, nine to twelve are refused");
}

/// Many sessions of one person read different customers at the same time.
fn parallel(sessions: u32, records_per_hour: u64) {
    let desk = desk(&Budgeted::hourly(records_per_hour));
    let start = Arc::new(Barrier::new(usize::try_from(sessions).unwrap()));
    let share = 3000 / sessions;
    let workers: Vec<_> = (0..sessions)
        .map(|number| {
            let mut client = login(&desk, if number % 2 == 0 { "alice" } else { "alice_report" });
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                let (from, to) = (number * share + 1, (number + 1) * share);
                let replies: Vec<Reply> =
                    match number % 3 {
                        0 => vec![page(&mut client, from, to)],
                        1 => vec![client.extended(
                            &format!("select id, email from customers where id between {from} and {to}"),
                            &[],
                        )],
                        _ => (from..=to)
                            .map(|id| client.query(&format!("select id, phone from customers where id = {id}")))
                            .collect(),
                    };
                for error in replies.iter().flat_map(Reply::errors) {
                    assert_eq!(error.sqlstate, DENIED, "{error:?}");
                }
                assert_usable(&mut client);
                distinct(&replies)
            })
        })
        .collect();
    let mut received = BTreeSet::new();
    for worker in workers {
        received.extend(worker.join().unwrap());
    }
    let budget = usize::try_from(records_per_hour).unwrap();
    assert!(received.len() <= budget, "{} records left, the budget is {budget}", received.len());
    // What parallel leases left over is still there, and ends exactly at the budget.
    let reply = login(&desk, "alice").query("select id, email from customers order by id");
    assert_eq!(reply.error().sqlstate, DENIED);
    received.extend(reply.column());
    assert_eq!(received.len(), budget);
    assert_eq!(released(desk.weir(), "alice").records, records_per_hour);
}

#[test]
fn eight_parallel_sessions_stay_within() {
    parallel(8, 500);
}

#[test]
fn sixty_four_parallel_sessions_stay_within() {
    parallel(64, 500);
}

#[test]
fn an_orderly_restart_gives_no_fresh_budget() {
    let mut weir = own_weir(500);
    assert_eq!(page(&mut weir.login("alice", "support"), 1, 320).fine().rows(), 320);
    weir.stop();
    weir.start_again();
    let mut alice = weir.login("alice", "support");
    assert_eq!(page(&mut alice, 1, 320).fine().rows(), 320, "records that were read before the restart");
    assert_eq!(assert_denied(&page(&mut alice, 321, 1000)), 180);
    weir.stop();
    weir.start_again();
    assert_eq!(assert_denied(&page(&mut weir.login("alice_report", "support"), 1500, 1600)), 0);
}

#[test]
fn a_crash_gives_no_fresh_budget() {
    let mut weir = own_weir(500);
    let mut received = BTreeSet::new();
    for round in 0..8_u32 {
        let mut alice = weir.login("alice", "support");
        if round % 2 == 0 {
            // Killed after an answer.
            received.extend(page(&mut alice, round * 100 + 1, round * 100 + 60).column());
        } else {
            // Killed while rows leave: the client keeps what it got.
            alice.send(&weir_tests::frames::query(&format!(
                "select id, email, pg_sleep(0.0005) from customers where id > {} order by id",
                round * 100
            )));
            let first = alice.until(|message| matches!(message.tag, b'D' | b'E'));
            received.extend(first.column());
            weir.kill();
            received.extend(alice.until_ready().column());
            weir.start_again();
            continue;
        }
        weir.kill();
        weir.start_again();
    }
    received.extend(weir.login("alice", "support").query("select id, email from customers order by id desc").column());
    assert!(received.len() <= 500, "{} records left over eight crashes, the budget is 500", received.len());
    assert!(received.len() >= 60, "only {} records left: a crash cost more than its leases", received.len());
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
}

#[test]
fn a_reloaded_policy_keeps_what_was_counted() {
    let weir = own_weir(500);
    let mut alice = weir.login("alice", "support");
    assert_eq!(page(&mut alice, 1, 100).fine().rows(), 100);
    std::fs::write(weir.policy_path(), Budgeted::hourly(150).yaml()).unwrap();
    weir.signal("HUP");
    weir.audit_event("the policy that was loaded again", |event| {
        event["kind"] == "policy" && event.to_string().contains("loaded") && event["seq"].as_u64() > Some(1)
    });
    let reply = wait::until("the smaller budget to apply", wait::SOON, || {
        let reply = page(&mut alice, 101, 300);
        (!reply.errors().is_empty()).then_some(reply)
    });
    assert_eq!(assert_denied(&reply), 50);
}

#[test]
fn an_unknown_account_reads_nothing_sensitive() {
    let desk = desk(&Budgeted::default());
    let mut stranger = login(&desk, "stranger");
    assert_eq!(stranger.query("select name from customers where id = 1").error().sqlstate, DENIED);
    assert_eq!(stranger.query("select title from articles where id = 1").fine().rows(), 1);
    assert_usable(&mut stranger);
}

#[test]
fn what_one_session_prepares_the_other_pays_for_itself() {
    // Analyses are shared between sessions; counters must not be.
    let desk = Target::front(Postgres::shared(), &WeirOptions::policy(Budgeted::hourly(100).yaml()));
    let sql = "select id, name from customers where id > $1 order by id";
    for account in ["alice", "bob", "carol"] {
        let reply = login(&desk, account).extended(sql, &["5"]);
        assert_eq!(assert_denied(&reply), 100, "{account}");
    }
    assert_eq!(assert_denied(&login(&desk, "alice_report").extended(sql, &["200"])), 0);
}
