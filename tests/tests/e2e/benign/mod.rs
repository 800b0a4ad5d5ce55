//! A day on which nobody steals, in minutes: the nightly copy, the dump, dashboards, an outage on which everybody calls,
//! a report, object mappers, an IDE, a migration and health checks, with the policy that is shipped as an example and
//! every detector on what it is set to by default. Nothing is held back, and at most one alert is raised.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use weir_tests::audit;
use weir_tests::engine::{Client, Engine};
use weir_tests::fixture::PASSWORD;
use weir_tests::for_both_engines;
use weir_tests::process::run;
use weir_tests::tools::{self, point};
use weir_tests::weir::{Weir, WeirOptions};

use crate::must_allow::corpus;

for_both_engines!(a_benign_day_is_held_back_nowhere);

/// Customers in the database: more than anybody may read, but for those who copy at night.
const CUSTOMERS: u64 = 20_000;
/// Look-ups of one agent on the day of the outage.
const LOOKUPS: u64 = 300;
/// A dump of it, on a machine that does other things.
const LIMIT: Duration = Duration::from_secs(180);
/// Alerts that may be raised.
const ALERTS_MAX: usize = 1;

/// Who works here.
const PEOPLE: &str = "\
people:
  alice: { accounts: [alice, alice_report], groups: [support] }
  bob: { accounts: [bob], groups: [support] }
  carol: { accounts: [carol], groups: [support] }
services:
  etl: { accounts: [etl_export], groups: [nightly] }
  backup: { accounts: [app], groups: [nightly] }
  dashboards: { accounts: [stranger], groups: [dashboards] }
";

/// The example as it is shipped, but that the night of the copies is now.
fn example() -> String {
    let path = tools::repository().join("examples/support-desk/policy.yaml");
    let text = std::fs::read_to_string(path).expect("the example");
    let night = "\"Mon-Sun 01:00-04:00 UTC\"";
    assert!(text.contains(night));
    text.replacen(night, "\"Mon-Sun 00:00-24:00 UTC\"", 1)
}

fn a_benign_day_is_held_back_nowhere(engine: Engine) {
    let server = engine.own_server();
    server.more_customers("support", CUSTOMERS);
    let options = WeirOptions { people: PEOPLE.to_owned(), ..WeirOptions::policy(example()) };
    let weir = Weir::start_for(&[(engine, server.address())], &options);
    let at = weir.address();

    copies(engine, at);
    dashboards(engine, at);
    for agent in ["alice", "bob"] {
        outage(engine, at, agent);
    }
    object_mapper(engine, at);
    browsing(engine, at);
    migration(engine, at);

    let events = weir.audit_events();
    let denials = audit::of_kind(&events, "denial");
    assert!(denials.is_empty(), "{denials:#?}");
    let cuts: Vec<_> = events.iter().filter(|event| event["detail"]["outcome"] == "cut").collect();
    assert!(cuts.is_empty(), "{cuts:#?}");
    let alerts = weir.alerts();
    assert!(alerts.len() <= ALERTS_MAX, "{} alerts: {alerts:#?}", alerts.len());
    // It was a day, and not nothing.
    assert!(audit::of_kind(&events, "completion").len() > 600);
}

/// The whole table twice: into the warehouse, and by the program that dumps.
fn copies(engine: Engine, at: SocketAddr) {
    let mut etl = Client::login(engine, at, "etl_export", "support");
    let all = etl.query("select id, name, email, phone, language from customers order by id").fine();
    assert_eq!(u64::try_from(all.rows.len()).unwrap(), CUSTOMERS);
    etl.goodbye();
    let dumped = match engine {
        Engine::Postgres => {
            let mut dump = tools::client("pg_dump");
            dump.args(["--data-only", "--table=customers", "--table=articles"]);
            point(&mut dump, at, "app", "support");
            run(&mut dump, b"", LIMIT).ok()
        }
        Engine::MySql => {
            let mut dump = tools::mariadb("mariadb-dump", at, "app", "support");
            dump.args(["--skip-lock-tables", "--single-transaction", "--no-tablespaces", "customers", "articles"]);
            run(&mut dump, b"", LIMIT).ok()
        }
    };
    assert!(dumped.contains(&format!("customer{CUSTOMERS}@example.org")), "the dump lacks the last customer");
}

/// A refresh of what hangs on the wall, every hour of the day.
fn dashboards(engine: Engine, at: SocketAddr) {
    let mut wall = Client::login(engine, at, "stranger", "support");
    for _ in 0..12 {
        for sql in [
            "select language, count(*) from customers group by language",
            "select status, count(*) from tickets group by status order by 2 desc",
            "select count(*) from tickets where status = 'open'",
            "select 1",
        ] {
            wall.query(sql).fine();
        }
    }
    wall.goodbye();
}

/// Five times the look-ups of a usual hour: by key, by mail, by telephone, with the tickets of each.
fn outage(engine: Engine, at: SocketAddr, agent: &str) {
    let mut desk = Client::login(engine, at, agent, "support");
    let first = if agent == "alice" { 1 } else { 5_000 };
    for customer in first..first + LOOKUPS {
        let (sql, value) = match customer % 10 {
            0 => ("select id, name, phone from customers where email = ?", format!("customer{customer}@example.org")),
            1 => ("select id, name, email from customers where phone = ?", format!("+49 30 {customer:07}")),
            _ => ("select id, name, email, phone from customers where id = ?", customer.to_string()),
        };
        let sql = if engine == Engine::Postgres && sql.ends_with("where id = ?") {
            sql.replace("where id = ?", "where id = ?::int")
        } else {
            sql.to_owned()
        };
        assert_eq!(desk.prepared(&sql, &[&value]).fine().rows.len(), 1, "{sql} {value}");
        desk.query(&format!("select id, subject, status from tickets where customer_id = {customer}")).fine();
    }
    // The month's report, beside it.
    desk.query("select language, count(*), sum(balance) from customers group by language").fine();
    desk.query("select id, name, email from customers where vip order by id limit 20").fine();
    desk.goodbye();
}

/// What a program asks when it starts, and its work.
fn object_mapper(engine: Engine, at: SocketAddr) {
    let mut python: Command = tools::python();
    match engine {
        Engine::Postgres => {
            python.arg(tools::test_file("drivers/sqlalchemy_day.py"));
            point(&mut python, at, "carol", "support");
        }
        Engine::MySql => return mapped(at),
    }
    run(&mut python, b"", LIMIT).ok();
}

/// The same of MySQL's, as they were recorded.
fn mapped(at: SocketAddr) {
    let mut client = Client::login(Engine::MySql, at, "carol", "support");
    let files = corpus("mysql", &|text| text.replace("support_of_the_test", "support"));
    let (_, statements) = files.iter().find(|(file, _)| file == "orms.sql").expect("the corpus");
    for statement in statements.iter().filter(|statement| statement.only.is_none()) {
        match statement.runs.as_slice() {
            [] => drop(client.query(&statement.text).fine()),
            runs => {
                for values in runs {
                    let values: Vec<&str> = values.iter().map(String::as_str).collect();
                    client.prepared(&statement.text, &values).fine();
                }
            }
        }
    }
    client.goodbye();
}

/// An IDE: which tables there are, and pages of 200 rows.
fn browsing(engine: Engine, at: SocketAddr) {
    let mut ide = Client::login(engine, at, "carol", "support");
    ide.query("select table_schema, table_name from information_schema.tables").fine();
    ide.query("select table_name, column_name, data_type from information_schema.columns").fine();
    for (table, pages) in [("articles", 3), ("tickets", 5)] {
        for page in 0..pages {
            let sql = format!("select * from {table} order by id limit 200 offset {}", page * 200);
            assert!(!ide.query(&sql).fine().rows.is_empty(), "{sql}");
        }
    }
    ide.query("select id, name from customers order by id limit 50").fine();
    ide.goodbye();
}

fn migration(engine: Engine, at: SocketAddr) {
    let mut app = Client::try_login(engine, at, "app", "support", PASSWORD).expect("the application");
    app.query("alter table articles add column note varchar(40)").fine();
    app.query("update articles set note = 'checked' where id < 10").fine();
    app.query("create index articles_note on articles (note)").fine();
    for _ in 0..50 {
        app.query("select 1").fine();
    }
    app.goodbye();
}
