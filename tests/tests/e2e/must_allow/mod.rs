//! A false positive is an outage: what object mappers, IDEs, dashboards, command-line clients and a support agent's busy
//! day send gets through the enforcing policy unchanged, refused nowhere and alerted nowhere.
//!
//! The statements stand in `tests/must_allow/`, a folder for each protocol. A statement ends with `;` at the end of a
//! line before an empty line. Comment lines before it say how it is sent: `with:` gives parameters (values between
//! commas, runs between bars), `simple` keeps it to text, `shape` compares columns and not values, `only:` keeps it to
//! one product. Each file is one session, in order.

mod mysql;
mod postgres;

use std::net::SocketAddr;
use std::path::PathBuf;

use weir_tests::audit;
use weir_tests::engine::Server;
use weir_tests::policies::{Budgeted, Export};
use weir_tests::target::{Target, direct_only};
use weir_tests::tools;
use weir_tests::weir::WeirOptions;

/// One of a corpus.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    /// Its text.
    pub(crate) text: String,
    /// Values of its parameters, run by run.
    pub(crate) runs: Vec<Vec<String>>,
    simple_only: bool,
    shape_only: bool,
    /// The product that knows it.
    pub(crate) only: Option<String>,
}

/// How statements without parameters are sent.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Protocol {
    Simple,
    Extended,
}

/// What came back for a statement.
#[derive(Debug)]
struct Heard {
    /// All of it that must be the same, and only the columns of it.
    all: Vec<Vec<u8>>,
    shape: Vec<Vec<u8>>,
    errors: Vec<String>,
}

/// A session of a corpus in one protocol.
trait Play: Sized {
    fn login(address: SocketAddr, account: &str, database: &str, protocol: Protocol) -> Self;
    fn simple(&mut self, sql: &str) -> Heard;
    fn extended(&mut self, sql: &str, values: &[&str]) -> Heard;
    fn goodbye(self);
}

/// Statements by file; `resolve` puts names of this run in.
pub(crate) fn corpus(folder: &str, resolve: &dyn Fn(&str) -> String) -> Vec<(String, Vec<Statement>)> {
    let folder = tools::test_file("must_allow").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                text.split("\n\n").filter_map(|block| parse(block, resolve)).collect(),
            )
        })
        .collect()
}

/// `None` for a block that is only comment.
fn parse(block: &str, resolve: &dyn Fn(&str) -> String) -> Option<Statement> {
    let mut statement = Statement::default();
    let mut lines = block.trim().lines().peekable();
    while let Some(comment) = lines.next_if(|line| line.starts_with("-- ")) {
        match comment[3..].split_once(": ").map_or((&comment[3..], ""), |(key, value)| (key, value)) {
            ("with", values) => {
                let values = resolve(values);
                statement.runs = values.split(" | ").map(|run| run.split(", ").map(str::to_owned).collect()).collect();
            }
            ("simple", "") => statement.simple_only = true,
            ("shape", "") => statement.shape_only = true,
            ("only", product) => statement.only = Some(product.to_owned()),
            _ => {}
        }
    }
    let text = lines.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        return None;
    }
    let text = text.strip_suffix(';').unwrap_or_else(|| panic!("no `;` at the end of:\n{text}"));
    statement.text = resolve(text);
    Some(statement)
}

fn play(client: &mut impl Play, statement: &Statement, protocol: Protocol) -> Vec<Heard> {
    let no_parameters = [Vec::new()];
    let runs = if statement.runs.is_empty() { &no_parameters } else { statement.runs.as_slice() };
    runs.iter()
        .map(|values| {
            if values.is_empty() && (protocol == Protocol::Simple || statement.simple_only) {
                client.simple(&statement.text)
            } else {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                client.extended(&statement.text, &values)
            }
        })
        .collect()
}

/// Plays a corpus directly and through the policy of a support desk, and demands that nobody can tell the difference.
fn assert_untouched<P: Play>(server: &impl Server, database: &str, corpus: &[(String, Vec<Statement>)]) {
    let policy = Budgeted {
        database: database.to_owned(),
        more_budget: &["{ records: 200, per: statement }"],
        export: Export::Refused,
        ..Budgeted::default()
    };
    let front = Target::front(server, &WeirOptions::policy(policy.on(server.engine()).yaml()));
    let (mut wrong, mut touched) = (Vec::new(), Vec::new());
    for (account, protocol) in [("alice", Protocol::Simple), ("bob", Protocol::Extended)] {
        for (file, statements) in corpus {
            // One after the other: two sessions that change the same rows would wait for each other.
            let [expected, got] = [server.address(), front.address()].map(|address| {
                let mut client = P::login(address, account, database, protocol);
                let heard: Vec<Vec<Heard>> =
                    statements.iter().map(|statement| play(&mut client, statement, protocol)).collect();
                client.goodbye();
                heard
            });
            for ((statement, expected), got) in statements.iter().zip(&expected).zip(&got) {
                for (expected, got) in expected.iter().zip(got) {
                    if !expected.errors.is_empty() {
                        wrong.push(format!("{file}, {protocol:?}:\n{}\n  {:?}", statement.text, expected.errors));
                    }
                    let same = match statement.shape_only {
                        true => expected.shape == got.shape && got.errors.is_empty(),
                        false => expected.all == got.all,
                    };
                    if !same {
                        touched.push(format!(
                            "{file}, {protocol:?}:\n{}\n  direct  {}\n  through {}",
                            statement.text,
                            shown(expected),
                            shown(got)
                        ));
                    }
                }
            }
        }
    }
    let count: usize = corpus.iter().map(|(_, statements)| statements.len()).sum();
    assert!(wrong.is_empty(), "{} of {count} are refused by the server itself:\n{}", wrong.len(), wrong.join("\n"));
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

/// Errors in full, and enough of the rest to tell two answers apart.
fn shown(heard: &Heard) -> String {
    if !heard.errors.is_empty() {
        return heard.errors.join(" ");
    }
    let mut text: Vec<String> = Vec::new();
    for bytes in heard.all.iter().take(12) {
        text.push(bytes[..bytes.len().min(120)].escape_ascii().to_string());
    }
    format!("{} messages: {}", heard.all.len(), text.join(" | "))
}
