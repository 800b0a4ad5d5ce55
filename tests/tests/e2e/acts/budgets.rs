//! `weir budget show` and `reset`.

use weir_tests::engine::Engine;
use weir_tests::for_both_engines;

use super::{act_as, acts, host_account, json, login, page, policy, refused, weir};

for_both_engines!(a_reset_begins_a_budget_anew_and_a_restart_knows_of_it, nobody_resets_their_own_budget);

const RULE: &str = "    budget: [{ records: 100, per: hour }, { records: 1000, per: 30d }]\n";

fn a_reset_begins_a_budget_anew_and_a_restart_knows_of_it(engine: Engine) {
    let mut weir = weir(engine, &policy(engine, RULE), "");
    let mut alice = login(engine, &weir, "alice");
    assert_eq!(page(&mut alice, 1, 60).fine().rows.len(), 60);
    let shown = json(weir.command(&["budget", "show", "alice", "--json"]));
    let line = |window: &str| {
        let lines = shown["lines"].as_array().unwrap();
        lines.iter().find(|line| line["window"] == window && line["unit"] == "records").unwrap().clone()
    };
    assert_eq!((shown["person"].as_str(), shown["known"].as_bool()), (Some("alice"), Some(true)));
    let hour = line("hour");
    assert_eq!((hour["used"].as_u64(), hour["limit"].as_u64(), hour["left"].as_u64()), (Some(60), Some(100), Some(40)));
    assert_eq!((hour["rule"].as_str(), line("30d")["left"].as_u64()), (Some("support"), Some(940)));
    assert_eq!(page(&mut alice, 61, 200).rows.len(), 40);
    let told = weir.command(&["budget", "show", "alice"]).ok();
    assert!(told.contains("customers: 100 of 100 records per hour (support); nothing is left before 2"), "{told}");

    assert!(weir.command(&["budget", "reset", "alice", "--reason", " "]).stderr.contains("an act needs a reason"));
    let output = weir.command(&["budget", "reset", "alice", "--dataset", "cards", "--reason", "x"]);
    assert!(refused(&output).contains("there is no dataset `cards`"), "{output:?}");
    weir.command(&["budget", "reset", "alice", "--dataset", "customers", "--reason", "ticket 4711"]).ok();
    assert_eq!(page(&mut alice, 301, 370).fine().rows.len(), 70, "the session goes on with the new budget");
    let root = format!("os:{}", host_account());
    let done = [root.as_str(), "budget-reset", "alice", "done"].map(str::to_owned);
    assert!(acts(&weir).contains(&done), "{:?}", acts(&weir));
    let reset = weir.audit_event("the reset", |event| event["detail"]["outcome"] == "done");
    assert_eq!((&reset["detail"]["reason"], &reset["detail"]["dataset"]), (&"ticket 4711".into(), &"customers".into()));

    weir.kill();
    weir.start_again();
    let mut alice = login(engine, &weir, "alice");
    // What left before the reset is forgotten, what left since is not.
    let answer = page(&mut alice, 401, 500);
    assert!(answer.error().denied && answer.rows.len() <= 30, "{answer:?}");
}

fn nobody_resets_their_own_budget(engine: Engine) {
    let weir = weir(engine, &policy(engine, RULE), "alice");
    let output = weir.command(&["budget", "reset", "alice", "--reason", "mine"]);
    assert!(refused(&output).contains("nobody begins a budget of their own anew"), "{output:?}");
    let [operator, action, target, outcome] = acts(&weir).pop().unwrap();
    assert_eq!([operator, action, target], ["alice", "budget-reset", "alice"].map(str::to_owned));
    assert!(outcome.starts_with("refused: "), "{outcome}");
    act_as(&weir, "bob");
    weir.command(&["budget", "reset", "alice", "--reason", "by somebody else"]).ok();
    let status = json(weir.command(&["status", "--json"]));
    assert_eq!((&status["kind"], &status["held"]), (&"status".into(), &0.into()));
}
