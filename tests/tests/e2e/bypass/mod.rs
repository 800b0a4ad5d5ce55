//! Sessions that reach the server past Weir are found by the server's own list; Weir's never are.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use weir_tests::engine::{Client, Engine, Server};
use weir_tests::fixture;
use weir_tests::for_both_engines;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

for_both_engines!(
    a_direct_session_is_told_once_and_weirs_own_never,
    a_monitor_without_rights_says_so_and_holds_nothing_up
);

/// What the issue promises, on a machine that does other things.
const PROMISED: Duration = Duration::from_secs(60);

/// The account that looks, without the right to see others.
fn monitor_account(server: &dyn Server) {
    let password = fixture::PASSWORD;
    match server.engine() {
        Engine::Postgres => server.script("postgres", &format!("create role watcher login password '{password}'")),
        Engine::MySql => server.script("", &format!("create user watcher identified by '{password}'")),
    };
}

fn grant(server: &dyn Server) {
    match server.engine() {
        Engine::Postgres => server.script("postgres", "grant pg_monitor to watcher"),
        Engine::MySql => server.script("", "grant process on *.* to watcher"),
    };
}

fn options() -> WeirOptions {
    let monitor = [
        "user = \"watcher\"",
        "password_file = \"catalog.password\"",
        "interval_secs = 1",
        // Those of the tests themselves, and one that is meant to be there.
        "allow = [{ account = \"postgres\" }, { account = \"harness\", address = \"127.0.0.0/8\" }, \
         { account = \"harness\", address = \"localhost\" }, { address = \"local\" }, { account = \"carol\" }]",
    ];
    WeirOptions { monitor: monitor.map(str::to_owned).to_vec(), ..WeirOptions::allow_all() }
}

fn alerts(weir: &Weir, code: &str) -> Vec<Value> {
    weir.alerts().into_iter().filter(|alert| alert["detail"]["code"] == code).collect()
}

/// Looks that came after this call: one that had begun before does not count.
fn looks(weir: &Weir, server: SocketAddr, engine: Engine, database: &str) {
    // Whoever is allowed is counted nowhere, so a stranger's turn shows that the monitor has looked.
    let before = weir.metric("weir_bypass_sessions_total");
    let marker = Client::login(engine, server, "bob", database);
    wait::until_true("a look", PROMISED, || weir.metric("weir_bypass_sessions_total") > before);
    marker.goodbye();
}

fn a_direct_session_is_told_once_and_weirs_own_never(engine: Engine) {
    let server = engine.own_server();
    monitor_account(&*server);
    grant(&*server);
    let weir = Weir::start_for(&[(engine, server.address())], &options());
    wait::until_true("the monitor", PROMISED, || weir.metric("weir_monitor_works") > 0.0);
    // Sessions that stay, sessions that come and go all the time, and catalogs that are read each second.
    let mut staying = Client::login(engine, weir.address(), "alice", "support");
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        let mut passing = Client::login(engine, weir.address(), "alice_report", "support");
        passing.query("select 1").fine();
        passing.vanish();
    }
    let allowed = Client::login(engine, server.address(), "carol", "support");
    assert_eq!(alerts(&weir, "bypass"), Vec::<Value>::new());

    let direct = Client::login(engine, server.address(), "alice", "support");
    let found = weir.audit_event("bypass", |event| event["detail"]["code"] == "bypass");
    assert_eq!(found["person"]["id"], "alice", "{found}");
    assert_eq!(found["session"]["account"], "alice", "{found}");
    assert_eq!(found["session"]["upstream"], weir_upstream(engine), "{found}");
    let title = found["detail"]["title"].as_str().unwrap_or_default();
    assert!(title.starts_with("`alice` is logged in on `"), "{title}");
    assert_eq!(found["detail"]["severity"], "high");

    // The same once more within the hour is counted and not told; another account is.
    let before = weir.metric("weir_bypass_sessions_total");
    let again = Client::login(engine, server.address(), "alice", "support");
    wait::until_true("the second session", PROMISED, || weir.metric("weir_bypass_sessions_total") > before);
    looks(&weir, server.address(), engine, "support");
    let mut told: Vec<String> =
        alerts(&weir, "bypass").iter().map(|alert| alert["session"]["account"].to_string()).collect();
    told.sort();
    assert_eq!(told, ["\"alice\"", "\"bob\""]);
    staying.assert_usable();
    for client in [staying, allowed, direct, again] {
        client.goodbye();
    }
    assert_eq!(alerts(&weir, "monitor-failed"), Vec::<Value>::new());
}

fn weir_upstream(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "support-db",
        Engine::MySql => "support-db-mysql",
    }
}

fn a_monitor_without_rights_says_so_and_holds_nothing_up(engine: Engine) {
    let server = engine.own_server();
    monitor_account(&*server);
    let weir = Weir::start_for(&[(engine, server.address())], &options());
    let failed = weir.audit_event("monitor-failed", |event| event["detail"]["code"] == "monitor-failed");
    let title = failed["detail"]["title"].as_str().unwrap_or_default();
    let right = match engine {
        Engine::Postgres => "GRANT pg_monitor TO \"watcher\"",
        Engine::MySql => "GRANT PROCESS ON *.* TO 'watcher'",
    };
    assert!(title.contains(right), "{title}");
    assert_eq!(weir.metric("weir_monitor_works"), 0.0);
    let mut alice = Client::login(engine, weir.address(), "alice", "support");
    alice.assert_usable();
    assert_eq!(alerts(&weir, "bypass"), Vec::<Value>::new());

    // Once it may, it looks.
    let direct = Client::login(engine, server.address(), "bob", "support");
    grant(&*server);
    let found = wait::until("bypass", PROMISED, || alerts(&weir, "bypass").into_iter().next());
    assert_eq!(found["session"]["account"], "bob");
    assert_eq!(alerts(&weir, "monitor-failed").len(), 1, "said once");
    alice.assert_usable();
    alice.goodbye();
    direct.goodbye();
}
