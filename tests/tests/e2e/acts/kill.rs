//! `weir kill`: all sessions of a person end, and none begins until time or an operator lifts it.

use std::time::{Duration, Instant};

use weir_tests::engine::{Client, Engine};
use weir_tests::fixture::PASSWORD;
use weir_tests::{for_both_engines, wait};

use super::{acts, host_account, login, policy, refused, weir};

for_both_engines!(all_sessions_of_a_person_end_and_none_begins);

const RULE: &str = "    budget: [{ records: 100, per: hour }]\n";

fn all_sessions_of_a_person_end_and_none_begins(engine: Engine) {
    let mut weir = weir(engine, &policy(engine, RULE), "");
    let mut idle = login(engine, &weir, "alice");
    let mut running = login(engine, &weir, "alice_report");
    let mut bob = login(engine, &weir, "bob");
    running.send_query(&format!("select 'held_{engine:?}', {}", engine.sleep("60")));
    let mark = format!("held_{engine:?}");
    wait::until_true("the statement to run", wait::SOON, || engine.server().running(&mark) > 0);
    let started = Instant::now();
    let told = weir.command(&["kill", "alice", "--reason", "incident 17"]).ok();
    let took = started.elapsed();
    assert!(told.starts_with("2 sessions of alice ended, none begins for 1 hour"), "{told}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    for client in [&mut idle, &mut running] {
        let answer = client.answer();
        let error = answer.error();
        assert!(error.message.contains("an operator has ended your sessions"), "{error:?}");
    }
    wait::until_true("the server to stop working for nobody", wait::SOON, || engine.server().running(&mark) == 0);
    bob.assert_usable();
    // PostgreSQL's server has said by then that the login is good; Weir says no in its place before any statement.
    let again = |weir: &super::Weir| {
        Client::try_login(engine, weir.address(), "alice", "support", PASSWORD)
            .map_or_else(|answer| answer.error(), |mut client| client.query("select 1").error())
    };
    let error = again(&weir);
    assert!(error.message.contains("lets none begin for now"), "{error:?}");
    weir.audit_event("the refused login", |event| event["detail"]["code"] == "held-out");

    weir.kill();
    weir.start_again();
    assert!(again(&weir).message.contains("lets none begin for now"), "still held out after a restart");
    let shown = weir.command(&["budget", "show", "alice"]).ok();
    assert!(shown.contains("held out until 2"), "{shown}");
    assert!(refused(&weir.command(&["kill", "bob", "--lift", "--reason", "x"])).contains("bob is not held out"));
    weir.command(&["kill", "alice", "--lift", "--reason", "incident 17 is closed"]).ok();
    login(engine, &weir, "alice").assert_usable();
    let root = format!("os:{}", host_account());
    let done = |action: &str| [root.as_str(), action, "alice", "done"].map(str::to_owned);
    assert!(acts(&weir).contains(&done("kill")) && acts(&weir).contains(&done("lift")), "{:?}", acts(&weir));
}
