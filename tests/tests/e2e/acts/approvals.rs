//! `then: require-approval`: the request, who may grant it, how much, how long, and what a restart knows of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_tests::engine::{Answer, Engine};
use weir_tests::{for_both_engines, wait};

use super::{act_as, acts, json, login, page, policy, refused, weir};

for_both_engines!(
    a_grant_lets_as_much_leave_as_it_says,
    who_may_not_approve_is_refused_and_recorded,
    a_grant_ends_by_itself
);

const RULE: &str = "    budget: [{ records: 10, per: hour }]
    then: require-approval
    approvers: [managers, { group: data-owners }]
    grant: { records: 20, for: 2h }
    message: \"ask your lead\"\n";

/// The request that an error names.
#[track_caller]
fn request(answer: &Answer) -> String {
    let error = answer.error();
    assert!(error.denied && error.message.contains("ask your lead"), "{error:?}");
    let at = error.message.find("request A-").unwrap_or_else(|| panic!("no request in {error:?}"));
    error.message[at + 8..at + 19].to_owned()
}

fn a_grant_lets_as_much_leave_as_it_says(engine: Engine) {
    let mut weir = weir(engine, &policy(engine, RULE), "carol");
    let mut alice = login(engine, &weir, "alice");
    let answer = page(&mut alice, 1, 50);
    let first = request(&answer);
    assert_eq!(answer.rows.len(), 10);
    assert_eq!(request(&page(&mut alice, 100, 101)), first, "one request waits, however often they try");
    let listed = weir.command(&["approve", "--list"]).ok();
    assert!(listed.contains(&first) && listed.contains("their manager or a member of data-owners"), "{listed}");
    let alert = weir.audit_event("the request's alert", |event| event["detail"]["code"] == "approval-requested");
    assert_eq!(alert["person"]["id"], "alice");

    let granted = |request: &str, records: &str, time: &str| {
        weir.command(&["approve", request, "--records", records, "--for", time, "--reason", "ticket 1"])
    };
    assert!(refused(&granted(&first, "21", "30m")).contains("lets 1 to 20 records be granted"));
    assert!(refused(&granted(&first, "5", "3h")).contains("lasts up to 2 hours"));
    assert!(refused(&granted("A-0000-0000", "5", "30m")).contains("no request `A-0000-0000` waits"));
    granted(&first, "7", "30m").ok();
    assert!(refused(&granted(&first, "7", "30m")).contains("waits"), "answered once");
    let answer = page(&mut alice, 201, 250);
    assert_eq!(answer.rows.len(), 7);
    let second = request(&answer);
    assert_ne!(second, first);
    weir.command(&["approve", &second, "--deny", "--reason", "no ticket"]).ok();
    let third = request(&page(&mut alice, 301, 302));
    assert_ne!(third, second);

    weir.audit_event("the record of the third request", |event| event.to_string().contains(&third));
    weir.kill();
    weir.start_again();
    // Neither the budget nor the grant begins anew, and the request still waits.
    let mut alice = login(engine, &weir, "alice");
    let answer = page(&mut alice, 401, 402);
    assert_eq!((answer.rows.len(), request(&answer)), (0, third.clone()));
    weir.command(&["approve", &third, "--records", "3", "--reason", "ticket 2"]).ok();
    assert_eq!(page(&mut alice, 501, 502).fine().rows.len(), 2);
    weir.stop();
    weir.start_again();
    let mut alice = login(engine, &weir, "alice");
    assert_eq!(page(&mut alice, 601, 650).rows.len(), 1, "what was left of the grant");
    let shown = json(weir.command(&["budget", "show", "alice", "--json"]));
    assert_eq!(shown["grants"].as_array().map(Vec::len), Some(2), "{shown}");
}

fn who_may_not_approve_is_refused_and_recorded(engine: Engine) {
    let weir = weir(engine, &policy(engine, RULE), "");
    let mut alice = login(engine, &weir, "alice");
    let asked = request(&page(&mut alice, 1, 50));
    let approve = || weir.command(&["approve", &asked, "--records", "5", "--reason", "please"]);
    assert!(refused(&approve()).contains("the directory knows nobody behind os:"));
    act_as(&weir, "alice");
    assert!(refused(&approve()).contains("nobody answers a request of their own"));
    act_as(&weir, "bob");
    assert!(refused(&approve()).contains("bob may not answer this request"));
    assert_eq!(page(&mut alice, 60, 61).rows.len(), 0);
    let outcomes = acts(&weir).into_iter().filter(|act| act[1] == "approve").map(|act| act[3].clone());
    assert_eq!(outcomes.filter(|outcome| outcome.starts_with("refused: ")).count(), 3);
    act_as(&weir, "dora");
    approve().ok();
    assert_eq!(page(&mut alice, 70, 74).fine().rows.len(), 5, "by a member of the group that the rule names");
}

fn a_grant_ends_by_itself(engine: Engine) {
    let mut weir = weir(engine, &policy(engine, RULE), "carol");
    let mut alice = login(engine, &weir, "alice");
    let asked = request(&page(&mut alice, 1, 50));
    weir.command(&["approve", &asked, "--records", "20", "--for", "3s", "--reason", "short"]).ok();
    weir.kill();
    let over = SystemTime::now() + Duration::from_secs(3);
    wait::until_true("the grant to be over", wait::SOON, || SystemTime::now() > over);
    weir.start_again();
    let answer = page(&mut login(engine, &weir, "alice"), 201, 220);
    assert_eq!(answer.rows.len(), 0, "it was over before the start: {answer:?}");
    let asked = request(&answer);
    weir.command(&["approve", &asked, "--records", "20", "--for", "2s", "--reason", "short"]).ok();
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(2);
    wait::until_true("the grant to be over", wait::SOON, || {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() > until
    });
    assert_eq!(page(&mut login(engine, &weir, "alice"), 301, 320).rows.len(), 0, "it is over while Weir runs");
}
