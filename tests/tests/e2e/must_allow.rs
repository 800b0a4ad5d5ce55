//! A false positive is an outage: what object mappers, IDEs, dashboards, psql and a support agent's busy day send
//! gets through the enforcing policy unchanged, refused nowhere and alerted nowhere.
//!
//! The statements stand in `tests/must_allow/*.sql`. A statement ends with `;` at the end of a line before an empty
//! line. Comment lines before it say how it is sent: `with:` gives parameters (values between commas, runs between
//! bars), `simple` keeps it to the simple protocol, `shape` compares columns and not values. `{name}` stands for
//! the OID of that relation or function. Each file is one session, in order.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use weir_tests::audit;
use weir_tests::frames::Message;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::{Target, direct_only};
use weir_tests::tools::{self, point};
use weir_tests::weir::WeirOptions;

/// Fewer statements than this, and the corpus has lost something.
const STATEMENTS_MIN: usize = 150;

#[derive(Debug, Default)]
struct Statement {
    text: String,
    runs: Vec<Vec<String>>,
    simple_only: bool,
    shape_only: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Protocol {
    Simple,
    Extended,
}

fn corpus(postgres: &Postgres, database: &str) -> Vec<(String, Vec<Statement>)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(tools::test_file("must_allow")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                text.split("\n\n").filter_map(|block| parse(block, postgres, database)).collect(),
            )
        })
        .collect()
}

/// `None` for a block that is only comment.
fn parse(block: &str, postgres: &Postgres, database: &str) -> Option<Statement> {
    let mut statement = Statement::default();
    let mut lines = block.trim().lines().peekable();
    while let Some(comment) = lines.next_if(|line| line.starts_with("-- ")) {
        match comment[3..].split_once(": ").map_or((&comment[3..], ""), |(key, value)| (key, value)) {
            ("with", values) => {
                let values = resolve(values, postgres, database);
                statement.runs = values.split(" | ").map(|run| run.split(", ").map(str::to_owned).collect()).collect();
            }
            ("simple", "") => statement.simple_only = true,
            ("shape", "") => statement.shape_only = true,
            _ => {}
        }
    }
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        return None;
    }
    statement.text =
        resolve(text.strip_suffix(';').unwrap_or_else(|| panic!("no `;` at the end of:\n{text}")), postgres, database);
    Some(statement)
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

fn play(client: &mut Raw, statement: &Statement, protocol: Protocol) -> Vec<Reply> {
    let no_parameters = [Vec::new()];
    let runs = if statement.runs.is_empty() { &no_parameters } else { statement.runs.as_slice() };
    runs.iter()
        .map(|values| {
            if values.is_empty() && (protocol == Protocol::Simple || statement.simple_only) {
                client.query(&format!("{};", statement.text))
            } else {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                client.extended(&statement.text, &values)
            }
        })
        .collect()
}

/// What of a reply must be equal: everything but process numbers in notifications.
fn comparable(reply: &Reply, shape_only: bool) -> Vec<Message> {
    let mut messages: Vec<Message> = reply.messages.clone();
    for message in &mut messages {
        if message.tag == b'A' {
            message.body.drain(..4);
        }
    }
    if shape_only {
        messages.retain(|message| matches!(message.tag, b'T' | b'E'));
    }
    messages
}

#[test]
fn an_honest_day_is_untouched() {
    // Its own: rows that another test touches would come back in another order, and psql lists all databases.
    let postgres = Postgres::start();
    let database = postgres.database("desk");
    let corpus = corpus(&postgres, &database);
    let count: usize = corpus.iter().map(|(_, statements)| statements.len()).sum();
    assert!(count >= STATEMENTS_MIN, "{count} statements");
    let policy = Budgeted {
        database: database.clone(),
        more_budget: &["{ records: 200, per: statement }"],
        export: weir_tests::policies::Export::Refused,
        ..Budgeted::default()
    };
    let front = Target::front(&postgres, &WeirOptions::policy(policy.yaml()));
    let mut touched = Vec::new();
    for (account, protocol) in [("alice", Protocol::Simple), ("bob", Protocol::Extended)] {
        for (file, statements) in &corpus {
            // One after the other: two sessions that change the same rows would wait for each other.
            let [expected, got] = [postgres.address(), front.address()].map(|address| {
                let mut client = Raw::login(address, account, &database);
                let replies: Vec<Vec<Reply>> =
                    statements.iter().map(|statement| play(&mut client, statement, protocol)).collect();
                client.goodbye();
                replies
            });
            for ((statement, expected), got) in statements.iter().zip(&expected).zip(&got) {
                for (expected, got) in expected.iter().zip(got) {
                    assert!(
                        expected.errors().is_empty(),
                        "{file}: PostgreSQL itself refuses\n{}\n{expected:?}",
                        statement.text
                    );
                    if comparable(expected, statement.shape_only) != comparable(got, statement.shape_only) {
                        touched.push(format!(
                            "{file}, {protocol:?}:\n{}\n  direct  {expected:?}\n  through {got:?}",
                            statement.text
                        ));
                    }
                }
            }
        }
    }
    assert!(touched.is_empty(), "{} of {count} were touched:\n{}", touched.len(), touched.join("\n"));
    if direct_only() {
        return;
    }
    let events = front.weir().audit_events();
    let denials = audit::of_kind(&events, "denial");
    assert!(denials.is_empty(), "denials: {denials:#?}");
    let alerts = front.weir().alerts();
    assert!(alerts.is_empty(), "{} alerts: {alerts:#?}", alerts.len());
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
