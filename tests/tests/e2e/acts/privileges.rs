//! S17, ways around one's rights: each is recorded as the use of a privilege, with what held before and after, and
//! refused where a rule says so, before the server sees it.

use serde_json::Value;
use weir_tests::engine::{Client, Engine};
use weir_tests::for_both_engines;
use weir_tests::weir::{Weir, WeirOptions};

use super::people;

for_both_engines!(privileges_in_use_are_recorded_and_refused, what_is_denied_stays_denied_by_another_name);

/// The rules refuse what changes rights and what turns auditing off, and tell of roles and definers.
fn policy(engine: Engine, database: &str) -> String {
    let relation = |name: &str| match engine {
        Engine::Postgres => format!("{{ engine: postgres, database: {database}, name: \"public.{name}\" }}"),
        Engine::MySql => format!("{{ engine: mysql, database: {database}, name: {name} }}"),
    };
    format!(
        "version: 1
datasets:
  customers: {{ class: personal, relations: [{}], columns: [name, email, phone], key: [id] }}
rules:
  - {{ name: no-customers, who: any, dataset: customers, then: refuse, message: \"not for you\" }}
  - {{ name: rights, who: any, access: [grant, configure], then: refuse }}
  - {{ name: auditing, who: any, access: [audit-off], then: refuse }}
  - {{ name: roles, who: any, access: [set-role, definer], then: alert }}
defaults: {{ opaque-sensitive: alert }}
",
        relation("customers")
    )
}

fn desk(engine: Engine, prepare: &dyn Fn(&str) -> String) -> (Weir, String) {
    let server = engine.server();
    let database = server.database("privileges");
    server.script(&database, &prepare(&database));
    let mut options = WeirOptions::policy(policy(engine, &database));
    options.people = people("");
    (Weir::start_for(&[(engine, server.address())], &options), database)
}

/// Uses of privileges in the log, in order and without repetition: how, on what, before, after.
fn used(weir: &Weir) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut used: Vec<[String; 4]> = Vec::new();
    for event in weir.audit_events() {
        for privilege in event["statement"]["privileges"].as_array().into_iter().flatten() {
            let told = ["use", "subject", "before", "after"].map(|part| text(&privilege[part]));
            if !used.contains(&told) {
                used.push(told);
            }
        }
    }
    used
}

#[track_caller]
fn assert_used(used: &[[String; 4]], expected: [&str; 4]) {
    assert!(used.contains(&expected.map(str::to_owned)), "{expected:?} is not among {used:#?}");
}

fn privileges_in_use_are_recorded_and_refused(engine: Engine) {
    match engine {
        Engine::Postgres => on_postgres(),
        Engine::MySql => on_mysql(),
    }
}

fn refused(client: &mut Client, statements: &[&str]) {
    for sql in statements {
        let error = client.query(sql).error();
        assert!(error.denied, "{sql}: {error:?}");
    }
    client.assert_usable();
}

fn on_postgres() {
    let engine = Engine::Postgres;
    let (weir, database) = desk(engine, &|_| {
        "create function public.as_owner() returns integer language sql security definer as 'select 1';
         grant execute on function public.as_owner() to public;"
            .to_owned()
    });
    let mut alice = Client::login(engine, weir.address(), "alice", &database);
    refused(
        &mut alice,
        &[
            "grant select on public.customers to alice",
            "revoke select on public.customers from bob",
            "create user mallory password 'never-in-the-log'",
            "alter role alice superuser",
            "drop role bob",
            "alter table public.articles owner to alice",
            "alter system set log_statement = 'none'",
            "alter role alice set log_statement = 'none'",
            "drop extension if exists pgaudit",
            "set pgaudit.log = 'none'",
            "select set_config('pgaudit.log', 'none', false)",
            "set log_statement = none",
        ],
    );
    alice.query("set role agents").fine();
    alice.query("set role none").fine();
    alice.query("select set_config('role', 'agents', false)").fine();
    alice.query("reset role").fine();
    alice.query("set session authorization default").fine();
    alice.query("select public.as_owner()").fine();
    // Behind this, which of the two she is, is not certain to Weir.
    let word = alice.query("set session authorization bob").error();
    assert!(word.message.contains("permission denied to set session"), "the server's own word: {word:?}");
    alice.query("set pgaudit.log_catalog to off");
    alice.goodbye();
    weir.audit_event("the end of the session", |event| {
        event["kind"] == "session-end" && event["person"]["id"] == "alice"
    });
    let events = used(&weir);
    for expected in [
        ["grant", "alice", "", "select on public.customers"],
        ["revoke", "bob", "", "select on public.customers"],
        ["account", "create user mallory password ?", "", ""],
        ["account", "alter role alice superuser", "", ""],
        ["account", "drop role bob", "", ""],
        ["owner", "table public.articles", "", "alice"],
        ["audit-off", "system log_statement", "", "none"],
        ["audit-off", "role alice log_statement", "", "none"],
        ["audit-off", "drop extension if exists pgaudit", "", ""],
        ["audit-off", "pgaudit.log", "", "none"],
        ["audit-off", "log_statement", "", "none"],
        ["audit-off", "pgaudit.log_catalog", "", "off"],
        ["set-role", "", "alice", "agents"],
        ["set-role", "", "agents", ""],
        ["set-role", "", "alice", "bob"],
        ["definer", "public.as_owner", "alice", "postgres"],
    ] {
        assert_used(&events, expected);
    }
    assert!(!format!("{:?}", weir.audit_events()).contains("never-in-the-log"));
    weir.audit_event("an alert of the role", |event| event["kind"] == "alert" && event["basis"][0]["rule"] == "roles");
}

fn on_mysql() {
    let engine = Engine::MySql;
    let (weir, database) = desk(engine, &|database| {
        format!(
            "create function as_owner() returns integer deterministic return 1;
             grant execute on function {database}.as_owner to 'alice'@'%';"
        )
    });
    let mut alice = Client::login(engine, weir.address(), "alice", &database);
    refused(
        &mut alice,
        &[
            "grant select on customers to alice",
            "revoke select on customers from bob",
            "create user mallory identified by 'never-in-the-log'",
            "alter user alice identified by 'never-in-the-log'",
            "drop user bob",
            "set password = 'never-in-the-log'",
            "set global general_log = off",
            "set global server_audit_logging = off",
            "set global max_connections = 5",
            "uninstall plugin server_audit",
            "uninstall soname 'server_audit'",
            "set sql_log_bin = 0",
        ],
    );
    alice.query("select as_owner()").fine();
    alice.query("set role none").fine();
    alice.goodbye();
    weir.audit_event("the end of the session", |event| {
        event["kind"] == "session-end" && event["person"]["id"] == "alice"
    });
    let events = used(&weir);
    for expected in [
        ["grant", "alice", "", "select on customers"],
        ["revoke", "bob", "", "select on customers"],
        ["account", "create user mallory identified by ?", "", ""],
        ["account", "drop user bob", "", ""],
        ["audit-off", "general_log", "", "off"],
        ["audit-off", "server_audit_logging", "", "off"],
        ["audit-off", "uninstall plugin server_audit", "", ""],
        ["audit-off", "uninstall soname ?", "", ""],
        ["audit-off", "sql_log_bin", "", "0"],
        ["configure", "max_connections", "", ""],
        ["set-role", "", "alice", "none"],
    ] {
        assert_used(&events, expected);
    }
    let definer = events.iter().find(|told| told[0] == "definer").expect("a definer");
    assert!(definer[1].ends_with(".as_owner") && definer[2] == "alice" && !definer[3].is_empty(), "{definer:?}");
    assert!(!format!("{:?}", weir.audit_events()).contains("never-in-the-log"));
}

/// Functions, views and shadows over something denied.
fn what_is_denied_stays_denied_by_another_name(engine: Engine) {
    let (weir, database) = desk(engine, &|database| match engine {
        Engine::Postgres => "create function public.emails() returns setof text language sql security definer
                 as 'select email from public.customers';
             create view public.harmless as select id, email as title from public.customers;
             create schema shadow;
             create view shadow.articles as select id, email as title from public.customers;
             grant usage on schema shadow to public;
             grant select on public.harmless, shadow.articles to public;"
            .to_owned(),
        Engine::MySql => format!(
            "create function one_email() returns text reads sql data
                 return (select email from customers where id = 1);
             create view harmless as select id, email as title from customers;
             create database if not exists {database}_shadow;
             create or replace view {database}_shadow.articles as select id, email as title from {database}.customers;
             grant select on {database}_shadow.* to 'alice'@'%';
             grant execute on function {database}.one_email to 'alice'@'%';"
        ),
    });
    let mut alice = Client::login(engine, weir.address(), "alice", &database);
    assert!(!alice.query("select title from articles where id = 1").fine().rows.is_empty());
    let denied = |client: &mut Client, sql: &str| {
        let error = client.query(sql).error();
        assert!(error.denied && error.message.contains("not for you"), "{sql}: {error:?}");
    };
    denied(&mut alice, "select title from harmless");
    match engine {
        Engine::Postgres => {
            denied(&mut alice, "select * from public.emails()");
            alice.query("set search_path = shadow, public").fine();
        }
        Engine::MySql => {
            denied(&mut alice, "select one_email()");
            alice.query(&format!("use {database}_shadow")).fine();
        }
    }
    denied(&mut alice, "select title from articles");
    alice.assert_usable();
    weir.audit_event("a definer's privilege", |event| {
        let used = event["statement"]["privileges"].as_array();
        used.is_some_and(|used| used.iter().any(|privilege| privilege["use"] == "definer"))
    });
}
