//! What no single statement shows, on both servers: canaries, first uses, discovery from elsewhere, one name searched for
//! again and again, breadth across tenants, and a limit of distinct records.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use weir_tests::audit::{kind, person, released};
use weir_tests::engine::{Client, Engine};
use weir_tests::for_both_engines;
use weir_tests::policies::Budgeted;
use weir_tests::scratch::Scratch;
use weir_tests::tap::Tap;
use weir_tests::target::Target;
use weir_tests::weir::{Weir, WeirOptions};

for_both_engines!(
    a_canary_cuts_the_result_before_its_row,
    a_canary_of_which_is_only_told_lets_its_row_pass,
    columns_that_the_role_never_read_are_told,
    discovery_from_elsewhere_is_told_before_the_third_table,
    one_name_again_and_again_is_told,
    breadth_is_told_of_one_and_of_two_together,
    a_limit_of_distinct_records_refuses_and_survives_a_restart,
);

fn policy(engine: Engine, detect: &str) -> WeirOptions {
    let yaml = Budgeted::hourly(500).on(engine).yaml();
    let yaml = yaml.replacen("    key: [id]\n", "    key: [id]\n    tenant: [language]\n    watched: true\n", 1);
    WeirOptions::policy(format!("{yaml}detect:\n{detect}"))
}

fn front(engine: Engine, detect: &str) -> Target {
    Target::front(engine.server(), &policy(engine, detect))
}

fn login(engine: Engine, front: &Target, account: &str) -> Client {
    Client::login(engine, front.address(), account, "support")
}

fn alerts(weir: &Weir, name: &str, code: &str) -> Vec<Value> {
    released(weir, name);
    let wanted = |event: &Value| kind(event) == "alert" && person(event) == name && event["detail"]["code"] == code;
    weir.audit_events().into_iter().filter(wanted).collect()
}

fn title(alert: &Value) -> &str {
    alert["detail"]["title"].as_str().unwrap_or_default()
}

/// Canaries: the customers 7 and 2900.
fn canaries(folder: &Scratch) -> String {
    let path = folder.write("canaries.txt", "# planted\nseven\t7\nlast\t2900\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    path.display().to_string()
}

fn a_canary_cuts_the_result_before_its_row(engine: Engine) {
    let folder = Scratch::new("canaries");
    let file = canaries(&folder);
    let front = front(engine, &format!("  canaries: {{ dataset: customers, keys-file: \"{file}\", then: refuse }}\n"));
    let mut alice = login(engine, &front, "alice");
    let answer = alice.query("select id, email from customers where id < 20 order by id");
    assert_eq!(answer.column(), ["1", "2", "3", "4", "5", "6"]);
    let error = answer.error();
    assert!(error.denied && error.message.contains("cannot be completed"), "{error:?}");
    assert!(!error.message.contains("canar") && !error.message.contains("seven"), "{error:?}");
    alice.assert_usable();
    let pinned = alice.prepared("select email from customers where id = ?", &["2900"]);
    assert!(pinned.rows.is_empty() && pinned.error().denied, "{pinned:?}");
    assert_eq!(alice.query("select email from customers where id = 8").fine().rows.len(), 1);
    alice.goodbye();
    assert_eq!(released(front.weir(), "alice").records, 7);
    let told = alerts(front.weir(), "alice", "canaries");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(title(&told[0]).contains("canary `seven` of `customers`"), "{}", title(&told[0]));
    assert!(title(&told[1]).contains("canary `last`"), "{}", title(&told[1]));
    assert_eq!(
        (&told[0]["detail"]["severity"], &told[0]["basis"][0]["rule"]),
        (&"high".into(), &"detect.canaries".into())
    );
    let text = told.iter().map(ToString::to_string).collect::<String>();
    assert!(!text.contains("2900"), "a key in an alert: {text}");
}

fn a_canary_of_which_is_only_told_lets_its_row_pass(engine: Engine) {
    let folder = Scratch::new("canaries");
    let file = canaries(&folder);
    let front = front(engine, &format!("  canaries: {{ dataset: customers, keys-file: \"{file}\" }}\n"));
    let mut alice = login(engine, &front, "alice");
    assert_eq!(alice.query("select id, email from customers where id < 20").fine().rows.len(), 19);
    assert_eq!(alice.query("select id from tickets where customer_id = 7 limit 1").fine().rows.len(), 1);
    alice.goodbye();
    assert_eq!(alerts(front.weir(), "alice", "canaries").len(), 1);
}

fn columns_that_the_role_never_read_are_told(engine: Engine) {
    let front = front(engine, "  first-use: { learning: 0s }\n");
    let mut alice = login(engine, &front, "alice");
    let mut bob = login(engine, &front, "bob");
    alice.query("select id, name from customers where id = 1").fine();
    let before = alerts(front.weir(), "alice", "first-use").len();
    alice.query("select id, name from customers where id = 2").fine();
    alice.query("select id, name, phone from customers where id = 3").fine();
    alice.query("select id, name, phone from customers where id = 4").fine();
    bob.query("select phone from customers where id = 5").fine();
    alice.goodbye();
    bob.goodbye();
    let told = alerts(front.weir(), "alice", "first-use");
    assert_eq!(told.len() - before, 1, "{told:#?}");
    let last = title(told.last().unwrap());
    assert!(last.contains("first `read` of `phone`") && last.contains("which is watched"), "{last}");
    assert!(last.contains("weir audit search --person alice --since"), "{last}");
    assert_eq!(told.last().unwrap()["detail"]["severity"], "high");
    assert_eq!(alerts(front.weir(), "bob", "first-use").len(), 0, "a colleague has");
}

fn discovery_from_elsewhere_is_told_before_the_third_table(engine: Engine) {
    let front = front(engine, "  discovery: { learning: 0s }\n");
    let mut home = login(engine, &front, "alice");
    home.query("select count(*) from articles").fine();
    home.goodbye();
    let elsewhere = Tap::start_from(Ipv4Addr::new(127, 9, 0, 1), front.address());
    let mut thief = Client::login(engine, elsewhere.address(), "alice", "support");
    thief.query("select table_name from information_schema.tables").fine();
    thief.query("select count(*) from articles").fine();
    assert_eq!(alerts(front.weir(), "alice", "discovery").len(), 0);
    thief.query("select count(*) from tickets").fine();
    let told = alerts(front.weir(), "alice", "discovery");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(title(&told[0]).contains("from 127.9.0.1") && title(&told[0]).contains("2 tables"), "{}", title(&told[0]));
    thief.query("select name from customers where id = 1").fine();
    thief.goodbye();
    assert_eq!(alerts(front.weir(), "alice", "discovery").len(), 1);
}

fn one_name_again_and_again_is_told(engine: Engine) {
    let front = front(engine, "  search-focus: { dataset: customers, searches: 5 }\n");
    let mut alice = login(engine, &front, "alice");
    for nth in 0..12 {
        alice.query(&format!("select id, name from customers where name like '%Someone {nth}%' limit 3")).fine();
    }
    assert_eq!(alerts(front.weir(), "alice", "search-focus").len(), 0);
    for nth in 0..4 {
        let text = format!("select id, name, email from customers where name like '%Customer 77%' limit {}", nth + 1);
        alice.query(&text).fine();
        alice.prepared("select id from customers where name like ? limit 2", &["%customer 77"]).fine();
    }
    alice.goodbye();
    let told = alerts(front.weir(), "alice", "search-focus");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(title(&told[0]).contains("6 searches of `customers`"), "{}", title(&told[0]));
    let log = front.weir().audit_events().iter().map(ToString::to_string).collect::<String>();
    assert!(!log.to_lowercase().contains("customer 77"), "a term in the log");
}

fn breadth_is_told_of_one_and_of_two_together(engine: Engine) {
    let detect = "  breadth: { dataset: customers, distinct-tenants: 3 }\n  joint-breadth: { dataset: customers, \
                  distinct-tenants: 2 }\n";
    let front = front(engine, detect);
    let languages = engine.server().value("support", "select count(distinct language) from customers");
    assert_eq!(languages, "4", "the fixture has four");
    let mut alice = login(engine, &front, "alice");
    let mut bob = login(engine, &front, "bob");
    // One in each row, and one that only the text names.
    alice.query("select id, name, language from customers where id in (1, 5)").fine();
    alice.query("select name from customers where language = 'pl' limit 1").fine();
    assert_eq!(alerts(front.weir(), "alice", "joint-breadth").len(), 0);
    bob.query("select id, name, language from customers where id in (2, 4)").fine();
    bob.goodbye();
    let told = alerts(front.weir(), "bob", "joint-breadth");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(title(&told[0]).contains("together with alice they have seen 4 of 4"), "{}", title(&told[0]));
    assert_eq!(alerts(front.weir(), "alice", "breadth").len(), 0);
    alice.query("select id, name, language from customers where id < 9").fine();
    alice.goodbye();
    let told = alerts(front.weir(), "alice", "breadth");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["basis"][0]["unit"], &told[0]["basis"][0]["after"]), (&"tenants".into(), &4.into()));
}

fn a_limit_of_distinct_records_refuses_and_survives_a_restart(engine: Engine) {
    let detect = "  enumeration: { dataset: customers, distinct-keys: 10, per: day, then: refuse }\n";
    let Target::Weir(mut weir) = front(engine, detect) else { return };
    let read = |weir: &Weir, from: u32, count: u32| {
        let mut alice = Client::login(engine, weir.address(), "alice", "support");
        let ids = from..from + count;
        let answers: Vec<bool> = ids
            .map(|id| alice.query(&format!("select email from customers where id = {id}")).error.is_none())
            .collect();
        alice.goodbye();
        answers.into_iter().filter(|answered| *answered).count()
    };
    assert_eq!(read(&weir, 1, 8), 8);
    weir.stop();
    weir.start_again();
    assert_eq!(read(&weir, 101, 8), 2, "what was seen before the restart counts");
    let told = alerts(&weir, "alice", "enumeration");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0]["basis"][0]["after"], 10);
}
