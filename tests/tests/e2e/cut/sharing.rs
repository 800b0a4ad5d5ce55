//! One person, one budget: over accounts, connections, parallel sessions and restarts.

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::thread;

use weir_tests::audit::released;
use weir_tests::engine::{Answer, Client, Engine};
use weir_tests::for_both_engines;
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::Weir;

use super::{assert_denied, desk, distinct, login};

for_both_engines!(
    a_second_account_of_the_same_person_has_no_second_budget,
    another_person_has_a_budget_of_their_own,
    paging_with_a_new_connection_for_each_page_ends_at_the_budget,
    eight_parallel_sessions_stay_within,
    sixty_four_parallel_sessions_stay_within,
    an_orderly_restart_gives_no_fresh_budget,
    a_crash_gives_no_fresh_budget,
    a_reloaded_policy_keeps_what_was_counted,
    an_unknown_account_reads_nothing_sensitive,
    what_one_session_prepares_the_other_pays_for_itself,
);

/// A Weir that a test stops and starts again.
fn own_weir(engine: Engine, records_per_hour: u64) -> Weir {
    let Target::Weir(weir) = desk(engine, &Budgeted::hourly(records_per_hour)) else {
        panic!("this test needs Weir, and WEIR_TEST_TARGET=direct leaves it out")
    };
    *weir
}

fn page(client: &mut Client, from: u32, to: u32) -> Answer {
    client.query(&format!("select id, name, email from customers where id between {from} and {to} order by id"))
}

fn a_second_account_of_the_same_person_has_no_second_budget(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    assert_eq!(page(&mut login(engine, &desk, "alice"), 1, 300).fine().rows.len(), 300);
    let mut report = login(engine, &desk, "alice_report");
    assert_eq!(page(&mut report, 1, 300).fine().rows.len(), 300, "known records, under another account");
    assert_eq!(assert_denied(&page(&mut report, 301, 900)), 200);
    assert_eq!(assert_denied(&page(&mut login(engine, &desk, "alice"), 2000, 2001)), 0);
    assert_eq!(released(desk.weir(), "alice").records, 500);
}

fn another_person_has_a_budget_of_their_own(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    assert_eq!(assert_denied(&page(&mut login(engine, &desk, "alice"), 1, 1000)), 500);
    assert_eq!(page(&mut login(engine, &desk, "bob"), 1, 500).fine().rows.len(), 500);
    assert_eq!(assert_denied(&page(&mut login(engine, &desk, "bob"), 501, 502)), 0);
}

fn paging_with_a_new_connection_for_each_page_ends_at_the_budget(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(500));
    let mut received = BTreeSet::new();
    let mut denied = 0;
    for number in 0..12_u32 {
        let account = if number % 2 == 0 { "alice" } else { "alice_report" };
        let mut client = login(engine, &desk, account);
        let sql = format!("select id, email from customers order by id limit 70 offset {}", number * 70);
        let reply = if number % 3 == 0 { client.prepared(&sql, &[]) } else { client.query(&sql) };
        received.extend(reply.column());
        denied += usize::from(reply.error.is_some());
        client.goodbye();
    }
    assert_eq!(received, (1..=500).map(|id| id.to_string()).collect());
    assert_eq!(denied, 5, "page eight is cut, nine to twelve are refused");
}

/// Many sessions of one person read different customers at the same time.
fn parallel(engine: Engine, sessions: u32, records_per_hour: u64) {
    let desk = desk(engine, &Budgeted::hourly(records_per_hour));
    let start = Arc::new(Barrier::new(usize::try_from(sessions).unwrap()));
    let share = 3000 / sessions;
    let workers: Vec<_> = (0..sessions)
        .map(|number| {
            let mut client = login(engine, &desk, if number % 2 == 0 { "alice" } else { "alice_report" });
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                let (from, to) = (number * share + 1, (number + 1) * share);
                let replies: Vec<Answer> =
                    match number % 3 {
                        0 => vec![page(&mut client, from, to)],
                        1 => vec![client.prepared(
                            &format!("select id, email from customers where id between {from} and {to}"),
                            &[],
                        )],
                        _ => (from..=to)
                            .map(|id| client.query(&format!("select id, phone from customers where id = {id}")))
                            .collect(),
                    };
                for error in replies.iter().filter_map(|reply| reply.error.as_ref()) {
                    assert!(error.denied, "{error:?}");
                }
                client.assert_usable();
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
    let reply = login(engine, &desk, "alice").query("select id, email from customers order by id");
    assert!(reply.error().denied, "{reply:?}");
    received.extend(reply.column());
    assert_eq!(received.len(), budget);
    assert_eq!(released(desk.weir(), "alice").records, records_per_hour);
}

fn eight_parallel_sessions_stay_within(engine: Engine) {
    parallel(engine, 8, 500);
}

fn sixty_four_parallel_sessions_stay_within(engine: Engine) {
    parallel(engine, 64, 500);
}

fn an_orderly_restart_gives_no_fresh_budget(engine: Engine) {
    let mut weir = own_weir(engine, 500);
    assert_eq!(page(&mut Client::login(engine, weir.address(), "alice", "support"), 1, 320).fine().rows.len(), 320);
    weir.stop();
    weir.start_again();
    let mut alice = Client::login(engine, weir.address(), "alice", "support");
    assert_eq!(page(&mut alice, 1, 320).fine().rows.len(), 320, "records that were read before the restart");
    assert_eq!(assert_denied(&page(&mut alice, 321, 1000)), 180);
    weir.stop();
    weir.start_again();
    assert_eq!(
        assert_denied(&page(&mut Client::login(engine, weir.address(), "alice_report", "support"), 1500, 1600)),
        0
    );
}

fn a_crash_gives_no_fresh_budget(engine: Engine) {
    let mut weir = own_weir(engine, 500);
    let mut received = BTreeSet::new();
    for round in 0..8_u32 {
        let mut alice = Client::login(engine, weir.address(), "alice", "support");
        if round % 2 == 0 {
            // Killed after an answer.
            received.extend(page(&mut alice, round * 100 + 1, round * 100 + 60).column());
        } else {
            // Killed while rows leave: the client keeps what it got.
            alice.send_query(&format!(
                "select id, email, {} from customers where id > {} order by id",
                engine.sleep("0.0005"),
                round * 100
            ));
            alice.await_bytes(30);
            weir.kill();
            received.extend(alice.answer().column());
            weir.start_again();
            continue;
        }
        weir.kill();
        weir.start_again();
    }
    received.extend(
        Client::login(engine, weir.address(), "alice", "support")
            .query("select id, email from customers order by id desc")
            .column(),
    );
    assert!(received.len() <= 500, "{} records left over eight crashes, the budget is 500", received.len());
    assert!(received.len() >= 60, "only {} records left: a crash cost more than its leases", received.len());
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
}

fn a_reloaded_policy_keeps_what_was_counted(engine: Engine) {
    let weir = own_weir(engine, 500);
    let mut alice = Client::login(engine, weir.address(), "alice", "support");
    assert_eq!(page(&mut alice, 1, 100).fine().rows.len(), 100);
    std::fs::write(weir.policy_path(), Budgeted::hourly(150).on(engine).yaml()).unwrap();
    weir.signal("HUP");
    // Not before: what is read under the larger budget would be free under the smaller one.
    wait::until_true("the policy to be in force", wait::SOON, || {
        weir.log().contains("SIGHUP: policy and directory are in force")
    });
    assert_eq!(assert_denied(&page(&mut alice, 101, 300)), 50);
}

fn an_unknown_account_reads_nothing_sensitive(engine: Engine) {
    let desk = desk(engine, &Budgeted::default());
    let mut stranger = login(engine, &desk, "stranger");
    assert!(stranger.query("select name from customers where id = 1").error().denied);
    assert_eq!(stranger.query("select title from articles where id = 1").fine().rows.len(), 1);
    stranger.assert_usable();
}

fn what_one_session_prepares_the_other_pays_for_itself(engine: Engine) {
    // Analyses are shared between sessions; counters must not be.
    let desk = desk(engine, &Budgeted::hourly(100));
    let sql = "select id, name from customers where id > ? order by id";
    for account in ["alice", "bob", "carol"] {
        let reply = login(engine, &desk, account).prepared(sql, &["5"]);
        assert_eq!(assert_denied(&reply), 100, "{account}");
    }
    assert_eq!(assert_denied(&login(engine, &desk, "alice_report").prepared(sql, &["200"])), 0);
}
