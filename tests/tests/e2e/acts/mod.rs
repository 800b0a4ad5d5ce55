//! What operators do to a running Weir, and what people do with privileges: `weir budget`, `approve`, `kill`, roles.

mod approvals;
mod budgets;
mod crashes;
mod kill;
mod privileges;

use std::process::Command;

use serde_json::Value;
use weir_tests::engine::{Answer, Client, Engine};
use weir_tests::process::Output;
use weir_tests::weir::{Weir, WeirOptions};

/// The account of the host that these tests run as: who acts on the control socket.
fn host_account() -> String {
    let output = Command::new("id").arg("-un").output().expect("`id`");
    String::from_utf8(output.stdout).expect("utf-8").trim().to_owned()
}

/// A directory in which this person acts when the tests do; nobody does, when it is empty.
fn people(acts: &str) -> String {
    let line = |name: &str, rest: &str| {
        let os_user = if name == acts { format!(", os-user: \"{}\"", host_account()) } else { String::new() };
        format!("  {name}: {{ {rest}{os_user} }}\n")
    };
    ["people:\n".to_owned()]
        .into_iter()
        .chain([
            line("alice", "accounts: [alice, alice_report], groups: [support], manager: carol"),
            line("bob", "accounts: [bob], groups: [support]"),
            line("carol", "accounts: [carol], groups: [leads]"),
            line("dora", "accounts: [app], groups: [data-owners]"),
        ])
        .collect()
}

/// A Weir of its own with this policy.
fn weir(engine: Engine, policy: &str, acts: &str) -> Weir {
    let mut options = WeirOptions::policy(policy);
    options.people = people(acts);
    let server = engine.server();
    Weir::start_for(&[(engine, server.address())], &options)
}

/// From now on this person acts.
fn act_as(weir: &Weir, person: &str) {
    std::fs::write(weir.config_path().with_file_name("people.yaml"), people(person)).unwrap();
    weir.command(&["reload", "--reason", "another operator"]).ok();
}

fn login(engine: Engine, weir: &Weir, user: &str) -> Client {
    Client::login(engine, weir.address(), user, "support")
}

fn page(client: &mut Client, from: u32, to: u32) -> Answer {
    client.query(&format!("select id, name, email from customers where id between {from} and {to} order by id"))
}

/// The command was refused by the running Weir; what it said.
#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.code, 1, "{} {}", output.stdout, output.stderr);
    output.stderr.clone()
}

/// What a command answered as JSON.
#[track_caller]
fn json(output: Output) -> Value {
    let text = output.ok();
    serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

/// Operators' acts in the log: who, what, on whom, and what came of it.
fn acts(weir: &Weir) -> Vec<[String; 4]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let events = weir.audit_events();
    let admin = events.iter().filter(|event| event["kind"] == "admin");
    admin
        .map(|event| {
            let detail = &event["detail"];
            [&detail["operator"], &detail["action"], &detail["target"], &detail["outcome"]].map(text)
        })
        .collect()
}

/// A policy with one dataset and this rule for it.
fn policy(engine: Engine, rule: &str) -> String {
    let relation = match engine {
        Engine::Postgres => "{ engine: postgres, database: support, name: \"public.customers\" }",
        Engine::MySql => "{ engine: mysql, database: support, name: customers }",
    };
    format!(
        "version: 1
datasets:
  customers: {{ class: personal, relations: [{relation}], columns: [name, email, phone], key: [id] }}
rules:
  - name: support
    who: {{ group: support }}
    dataset: customers
{rule}"
    )
}
