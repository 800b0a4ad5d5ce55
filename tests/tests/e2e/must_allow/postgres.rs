//! PostgreSQL's corpus. `{name}` stands for the OID of that relation or function.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::{Target, direct_only};
use weir_tests::tools::{self, point};
use weir_tests::weir::WeirOptions;

use super::{Heard, Play, Protocol, assert_untouched, corpus};

/// Fewer statements than this, and the corpus has lost something.
const STATEMENTS_MIN: usize = 150;

impl Play for Raw {
    fn login(address: SocketAddr, account: &str, database: &str, _: Protocol) -> Raw {
        Raw::login(address, account, database)
    }

    fn simple(&mut self, sql: &str) -> Heard {
        heard(&self.query(&format!("{sql};")))
    }

    fn extended(&mut self, sql: &str, values: &[&str]) -> Heard {
        heard(&Raw::extended(self, sql, values))
    }

    fn goodbye(self) {
        Raw::goodbye(self);
    }
}

/// Everything but process numbers in notifications.
fn heard(reply: &Reply) -> Heard {
    let mut messages = reply.messages.clone();
    for message in &mut messages {
        if message.tag == b'A' {
            message.body.drain(..4);
        }
    }
    let shape = messages.iter().filter(|message| matches!(message.tag, b'T' | b'E'));
    Heard {
        shape: shape.map(weir_tests::frames::Message::bytes).collect(),
        all: messages.iter().map(weir_tests::frames::Message::bytes).collect(),
        errors: reply.errors().iter().map(|error| format!("{error:?}")).collect(),
    }
}

/// Puts OIDs in the place of `{schema.relation}` and `{function(arguments)}`.
fn resolve(text: &str, postgres: &Postgres, database: &str) -> String {
    let mut resolved = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        resolved.push_str(before);
        let name = after.split('}').next().unwrap_or_default();
        let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && (name.contains('.') || name.ends_with(')'));
        if is_name && !name.contains('"') {
            let kind = if name.ends_with(')') { "regprocedure" } else { "regclass" };
            resolved.push_str(&postgres.value(database, &format!("select '{name}'::{kind}::oid")));
            rest = &after[name.len() + 1..];
        } else {
            resolved.push('{');
            rest = after;
        }
    }
    resolved + rest
}

#[test]
fn an_honest_day_is_untouched() {
    // Its own: rows that another test touches would come back in another order, and psql lists all databases.
    let postgres = Postgres::start();
    let database = postgres.database("desk");
    let corpus = corpus("postgres", &|text| resolve(text, &postgres, &database));
    let count: usize = corpus.iter().map(|(_, statements)| statements.len()).sum();
    assert!(count >= STATEMENTS_MIN, "{count} statements");
    assert_untouched::<Raw>(&postgres, &database, &corpus);
}

/// Two object mappers as they are: start-up, reflection, look-ups, a unit of work.
#[test]
fn object_mappers_work_under_the_policy() {
    let postgres = Postgres::shared();
    let front = Target::front(postgres, &WeirOptions::policy(Budgeted::default().yaml()));
    for program in ["drivers/sqlalchemy_day.py", "drivers/django_day.py"] {
        let [direct, through] = [postgres.address(), front.address()].map(|address| {
            let mut python: Command = tools::python();
            python.arg(tools::test_file(program));
            point(&mut python, address, "alice", "support");
            run(&mut python, b"", Duration::from_secs(120)).ok()
        });
        assert_eq!(through, direct, "{program}");
        assert!(direct.contains("all of it"), "{direct}");
    }
    if direct_only() {
        return;
    }
    let alerts = front.weir().alerts();
    assert!(alerts.is_empty(), "{alerts:#?}");
}
