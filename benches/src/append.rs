//! Appending to the audit log: what a session pays for a record, and how many become durable in a second.
//!
//! The directory is in the build's target folder: the disk that the machine has there decides.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir_audit_store::event::{Body, Completion, Outcome, Person, Session, Statement};
use weir_audit_store::{Event, Options, Record, Store, StoreError, Urgency};

use crate::measure::{Bench, Line, Per};

/// How long a disk may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything about the audit log.
pub(crate) fn run(bench: &mut Bench) {
    if !bench.wants("append") {
        return;
    }
    let event = event();
    let record = Record { seq: 1, event: event.clone() };
    let bytes = record.to_line().expect("the event is small").len();
    bench.run(&format!("append/encode a record of {bytes} B"), Per::Bytes(bytes), || record.to_line());
    let folder = folder();
    let (store, _) = Store::open(Options::new(&folder), Box::new(|_| {})).expect("the target folder is writable");
    asynchronous(bench, &store, &event);
    for writers in [1, 64] {
        durable(bench, &store, &event, writers);
    }
    store.close().expect("the disk works");
    // What is left behind by a failure here is a few megabytes in the target folder.
    let _ = std::fs::remove_dir_all(&folder);
}

/// Records that nobody waits for, appended as fast as the disk takes them.
fn asynchronous(bench: &mut Bench, store: &Store, event: &Event) {
    const RECORDS: u32 = 40_000;
    const RUNS: usize = 5;
    let mut calls = Vec::new();
    let mut settled = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        let mut last = 0;
        for _ in 0..RECORDS {
            last = loop {
                match store.append(event, Urgency::Relaxed) {
                    Ok(sequence) => break sequence,
                    Err(StoreError::QueueFull { .. }) => std::thread::sleep(Duration::from_millis(1)),
                    Err(error) => stop(&error),
                }
            };
        }
        calls.push(begun.elapsed());
        store.wait_durable(last, PATIENCE).expect("the disk works");
        settled.push(begun.elapsed());
    }
    bench.push(line("append/asynchronous, what the session pays", calls, RECORDS));
    bench.push(line("append/asynchronous, until durable", settled, RECORDS));
}

/// Records that somebody waits for: time until durable divided by the records of all writers.
fn durable(bench: &mut Bench, store: &Store, event: &Event, writers: u32) {
    const RUNS: usize = 3;
    const RUN: Duration = Duration::from_secs(1);
    let mut each = Vec::new();
    for _ in 0..RUNS {
        let count = AtomicU64::new(0);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    while begun.elapsed() < RUN {
                        let sequence = store.append(event, Urgency::Durable).expect("the queue has room");
                        store.wait_durable(sequence, PATIENCE).expect("the disk works");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let count = u32::try_from(count.into_inner()).unwrap_or(u32::MAX).max(1);
        each.push(begun.elapsed() / count);
    }
    bench.push(line(&format!("append/durable, {writers} writers, of each record"), each, 1));
}

fn line(name: &str, mut times: Vec<Duration>, records: u32) -> Line {
    times.sort();
    let each = |time: Duration| time.as_secs_f64() * 1e9 / f64::from(records);
    let at = |index: usize| times.get(index).copied().map_or(0.0, each);
    Line {
        name: name.to_owned(),
        ns: at(times.len() / 2),
        ns_range: (at(0), at(times.len().saturating_sub(1))),
        mb_per_s: None,
    }
}

fn stop(error: &StoreError) -> ! {
    eprintln!("weir-benches: the audit log cannot be written: {error}");
    std::process::exit(1)
}

fn folder() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| program.parent().map(std::path::Path::to_owned));
    beside.unwrap_or_else(std::env::temp_dir).join(format!("weir-benches-log-{}", std::process::id()))
}

/// A completion as a support desk makes them.
fn event() -> Event {
    let completion = Completion {
        outcome: Outcome::Complete,
        rows: 1,
        bytes: 171,
        records: Vec::new(),
        doors: Vec::new(),
        duration_us: 940,
        sqlstate: None,
        tag: Some("SELECT 1".to_owned()),
    };
    let mut event = Event::new(1_795_000_000_000, 1_795_000_000_000, "0d2f51c8", Body::Completion(completion));
    event.session = Some(Session {
        id: "0d2f51c8-000317".to_owned(),
        client: "192.0.2.17:40112".to_owned(),
        listener: "support".to_owned(),
        upstream: "support-db".to_owned(),
        database: "support".to_owned(),
        account: "alice".to_owned(),
        application: Some("desk".to_owned()),
        tls: None,
    });
    event.person = Some(Person {
        id: "alice".to_owned(),
        known: true,
        groups: vec!["support".to_owned()],
        auth: "relayed".to_owned(),
    });
    let statement = Statement {
        id: "0d2f51c8-000317-88".to_owned(),
        verb: "select".to_owned(),
        fingerprint: "5e0c1a77d2b94f36".to_owned(),
        sha256: "5".repeat(64),
        bytes: 88,
        coverage: "full".to_owned(),
        ..Statement::default()
    };
    event.statement =
        Some(statement.with_text("select id, name, email, phone from customers where id = ? and region = ? limit ?"));
    event
}
