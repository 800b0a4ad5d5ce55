//! What one person takes out is one extraction, however it is taken; and what pieces of one statement take is one
//! statement.

use std::collections::BTreeSet;

use serde_json::Value;
use weir_tests::audit::{self, kind, person, released};
use weir_tests::engine::{Client, Engine, Server};
use weir_tests::for_both_engines;
use weir_tests::frames::{bind, execute, parse, sync};
use weir_tests::mysql::raw::Raw as MySqlRaw;
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::Raw;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::{assert_denied, desk, login};

for_both_engines!(
    a_refusal_that_repeats_is_told_when_it_has_doubled,
    a_manner_is_told_by_how_rows_are_chosen,
    a_cursor_of_sql_is_one_statement,
);

fn u64_of(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// What the completions of a person say of their extraction, in order.
fn told(weir: &Weir, name: &str) -> Vec<Value> {
    let of = |event: &&Value| kind(event) == "completion" && person(event) == name;
    let events = weir.audit_events();
    events.iter().filter(of).flat_map(|event| event["extractions"].as_array().cloned().unwrap_or_default()).collect()
}

/// Pages from both servers, a connection for each, two accounts in turn, and a restart in the middle.
#[test]
fn pages_of_two_servers_and_two_accounts_over_a_restart_are_one_extraction() {
    let servers: [&dyn Server; 2] = [Postgres::shared(), MySql::shared()];
    let upstreams = servers.map(|server| (server.engine(), server.address()));
    let policy = Budgeted { engines: vec![Engine::Postgres, Engine::MySql], ..Budgeted::hourly(2000) };
    let mut weir = Weir::start_for(&upstreams, &WeirOptions::policy(policy.yaml()));
    for page in 0..12_u32 {
        if page == 6 {
            weir.stop();
            weir.start_again();
        }
        let engine = servers[usize::try_from(page % 2).unwrap()].engine();
        let account = if page % 4 < 2 { "alice" } else { "alice_report" };
        let mut client = Client::login(engine, weir.address_for(engine), account, "support");
        // Half of each page was on the one before.
        let offset = page / 2 * 25;
        let sql = format!("select id, email from customers order by id limit 50 offset {offset}");
        assert_eq!(client.query(&sql).fine().rows.len(), 50);
        client.goodbye();
    }
    assert_eq!(released(&weir, "alice").records, 2 * 175);
    let told = told(&weir, "alice");
    assert_eq!(told.len(), 12, "each page says what it is part of");
    let names: BTreeSet<&str> = told.iter().map(|told| told["id"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 1, "{names:?}");
    let last = told.last().unwrap();
    assert_eq!(
        (u64_of(&last["statements"]), u64_of(&last["records"]), u64_of(&last["rows"]), &last["manner"]),
        (12, 350, 600, &"pages".into()),
        "{last:#}"
    );
    for part in std::iter::once(last).chain(last["others"].as_array().into_iter().flatten()) {
        assert_eq!(u64_of(&part["relation_records"]), 175, "{part:#}");
        if let Some(rows) = part["table_rows"].as_u64() {
            assert_eq!(u64_of(&part["share_ppm"]), (175_000_000 / rows).min(1_000_000), "{part:#}");
        }
    }
    assert_eq!(last["others"].as_array().map(Vec::len), Some(1), "{last:#}");
    // The same by the command line.
    let listed = weir.command(&["audit", "extractions", "--who", "alice", "--relation", "customers", "--json"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    let lines: Vec<Value> = listed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{}", listed.stdout);
    assert_eq!(
        (&lines[0]["person"], &lines[0]["id"], &lines[0]["records"]),
        (&"alice".into(), &last["id"], &350.into())
    );
    let text = weir.command(&["audit", "extractions", "--format", "text"]).stdout;
    assert!(text.contains("175") && text.contains("in 12 statements since") && text.contains("by pages"), "{text}");
    assert_eq!(weir.command(&["audit", "extractions", "--who", "bob", "--json"]).stdout, "");
}

fn a_manner_is_told_by_how_rows_are_chosen(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(2000));
    let check = |account: &str, statements: &[String], expected: &str| {
        let mut client = login(engine, &desk, account);
        for sql in statements {
            client.query(sql).fine();
        }
        client.goodbye();
        let last = wait::until("a completion for each", wait::SOON, || {
            let told = told(desk.weir(), account);
            (told.len() == statements.len()).then(|| told.last().cloned()).flatten()
        });
        assert_eq!(last["manner"], expected, "{statements:?}\n{last:#}");
    };
    let each = |sql: fn(u32) -> String| (1..6).map(sql).collect::<Vec<String>>();
    check("alice", &each(|n| format!("select email from customers where id = {n}")), "id-loop");
    check(
        "bob",
        &each(|n| format!("select id, email from customers where id > {} order by id limit 20", n * 20)),
        "key-set",
    );
    check(
        "carol",
        &each(|n| format!("select id, email from customers where id in ({n}, {}, {})", n + 50, n + 60)),
        "in-list",
    );
}

fn a_refusal_that_repeats_is_told_when_it_has_doubled(engine: Engine) {
    let desk = desk(engine, &Budgeted::hourly(50));
    let mut alice = login(engine, &desk, "alice");
    for _ in 0..9 {
        assert_denied(&alice.query("select email from customers order by id limit 60"));
    }
    alice.goodbye();
    let weir = desk.weir();
    weir.audit_event("the end of the session", |event| kind(event) == "session-end" && person(event) == "alice");
    let events = weir.audit_events();
    let of = |wanted: &str| events.iter().filter(|event| kind(event) == wanted && person(event) == "alice").count();
    // The first is cut at row 50, and each of the others is refused: recorded each time.
    assert_eq!(of("denial"), 8);
    let alerts = audit::of_kind(&events, "alert");
    let titles: Vec<&str> = alerts
        .iter()
        .filter(|event| event["detail"]["code"] == "refused")
        .map(|event| event["detail"]["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles.len(), 4, "the first, second, fourth and eighth: {titles:#?}");
    assert!(titles[3].contains("(8 times so far)") && titles[3].contains("alice has read 50"), "{titles:#?}");
}

fn a_cursor_of_sql_is_one_statement(engine: Engine) {
    if engine == Engine::MySql {
        // Its cursors belong to stored programs.
        return;
    }
    let policy = Budgeted { more_budget: &["{ records: 200, per: statement }"], ..Budgeted::hourly(2000) };
    let desk = desk(engine, &policy);
    let mut alice = login(engine, &desk, "alice");
    let declare = "declare c cursor for select id, email from customers order by id";
    for _ in 0..2 {
        alice.query("begin").fine();
        alice.query(declare).fine();
        for _ in 0..2 {
            assert_eq!(alice.query("fetch 90 from c").fine().rows.len(), 90);
        }
        assert_eq!(assert_denied(&alice.query("fetch 90 from c")), 20, "declared anew it begins anew");
        alice.query("rollback").fine();
    }
    alice.goodbye();
    let last = told(desk.weir(), "alice").pop().unwrap();
    assert_eq!(last["manner"], "cursor", "{last:#}");
}

#[test]
fn a_portal_in_pieces_is_one_statement() {
    let policy = Budgeted { more_budget: &["{ records: 200, per: statement }"], ..Budgeted::hourly(2000) };
    let desk = desk(Engine::Postgres, &policy);
    let mut alice = Raw::login(desk.address(), "alice", "support");
    let sql = "select id, email from customers order by id";
    for _ in 0..2 {
        alice.query("begin").fine();
        alice.ask(&[parse("", sql), bind("p", "", &[], 0), sync()].concat()).fine();
        for _ in 0..3 {
            assert_eq!(alice.ask(&[execute("p", 60), sync()].concat()).fine().rows(), 60);
        }
        let reply = alice.ask(&[execute("p", 60), sync()].concat());
        assert_eq!(reply.rows(), 20, "bound anew it begins anew");
        assert_eq!(reply.error().sqlstate, "42501");
        alice.query("rollback").fine();
    }
    // Another portal of the same statement, and one without a limit.
    alice.query("begin").fine();
    alice.ask(&[parse("s", sql), bind("q", "s", &[], 0), bind("r", "s", &[], 0), sync()].concat()).fine();
    for portal in ["q", "r"] {
        assert_eq!(alice.ask(&[execute(portal, 150), sync()].concat()).fine().rows(), 150);
    }
    let rest = alice.ask(&[execute("q", 0), sync()].concat());
    assert_eq!(rest.rows(), 50, "the rest of a portal is the same statement");
    alice.query("rollback").fine();
}

#[test]
fn a_cursor_of_the_protocol_is_one_statement_on_mysql() {
    const READ_ONLY: u8 = 1;
    let policy = Budgeted { more_budget: &["{ records: 200, per: statement }"], ..Budgeted::hourly(2000) };
    let desk = desk(Engine::MySql, &policy);
    let mut alice = MySqlRaw::login(desk.address(), "alice", "support");
    let prepared = alice.prepare("select id, email from customers order by id").unwrap();
    for _ in 0..2 {
        let columns = alice.execute(&prepared, READ_ONLY, &[]).fine().results[0].columns.clone();
        for _ in 0..3 {
            assert_eq!(alice.fetch(&prepared, &columns, 60).fine().rows(), 60);
        }
        assert_eq!(alice.fetch(&prepared, &columns, 60).rows(), 20, "executed anew it begins anew");
    }
}
