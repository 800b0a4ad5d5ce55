//! Measures appending: what a caller pays, and how many records a second become durable.
//!
//! `cargo run --release -p weir-audit-store --example append_rate -- <directory>`; the directory decides which disk.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use weir_audit_store::event::{Body, Completion, Outcome, Person, Session, Statement};
use weir_audit_store::{Event, Options, PublicKey, Record, Store, Urgency, verify};

const WAIT: Duration = Duration::from_secs(120);

fn main() {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("append-rate-{}", std::process::id()));
    let event = event();
    let line = Record { seq: 1, event: event.clone() }.to_line().expect("the event is small");
    println!("one record: {} bytes", line.len());
    let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).expect("the directory is writable");

    const CALLS: u64 = 50_000;
    let begun = Instant::now();
    for _ in 0..CALLS {
        store.append(&event, Urgency::Relaxed).expect("the queue holds 50,000 events");
    }
    let calls = begun.elapsed();
    store.wait_durable(CALLS, WAIT).expect("the disk works");
    let all = begun.elapsed();
    println!("caller: {:.2} us an append", calls.as_secs_f64() * 1e6 / CALLS as f64);
    println!("relaxed, 1 writer: {:.0} a second until durable", CALLS as f64 / all.as_secs_f64());

    for writers in [1, 64] {
        let (count, begun) = (AtomicU64::new(0), Instant::now());
        std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    while begun.elapsed() < Duration::from_secs(3) {
                        let sequence = store.append(&event, Urgency::Durable).expect("the queue has room");
                        store.wait_durable(sequence, WAIT).expect("the disk works");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let rate = count.into_inner() as f64 / begun.elapsed().as_secs_f64();
        println!("durable, {writers} writers: {rate:.0} a second, each waits for its own");
    }

    for thread in ["audit-writer", "audit-signer"] {
        match cpu_secs(thread) {
            Some(secs) => println!("{thread}: {:.2} us of CPU a record", secs * 1e6 / store.durable() as f64),
            None => println!("{thread}: not measured on this system"),
        }
    }
    let last = store.close().expect("the disk works");
    let key = std::fs::read_to_string(dir.join("keys/log.pub")).expect("the store wrote its key");
    let key = PublicKey::parse(&key).expect("the store wrote its key");
    let begun = Instant::now();
    let report = verify(&dir, &key, Some(&last)).expect("the log can be read");
    let rate = report.records as f64 / begun.elapsed().as_secs_f64();
    println!("verify: {} records, sound: {}, {rate:.0} a second", report.records, report.is_sound());
    std::fs::remove_dir_all(&dir).expect("the directory is ours");
}

/// CPU that the thread of this name has used; only Linux tells.
fn cpu_secs(thread: &str) -> Option<f64> {
    // A hundredth of a second is the unit on every Linux that Rust runs on.
    const TICKS_PER_SEC: f64 = 100.0;
    std::fs::read_dir("/proc/self/task").ok()?.flatten().find_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let mut fields = rest.split_whitespace().skip(11).map_while(|field| field.parse::<f64>().ok());
        (name == thread).then_some((fields.next()? + fields.next()?) / TICKS_PER_SEC)
    })
}

/// A completion as a support desk makes them.
fn event() -> Event {
    let body = Body::Completion(Completion {
        outcome: Outcome::Complete,
        rows: 1,
        bytes: 312,
        records: Vec::new(),
        doors: Vec::new(),
        duration_us: 1834,
        sqlstate: None,
        tag: Some("SELECT 1".to_owned()),
    });
    let mut event = Event::new(1_764_000_000_000, 1_764_000_000_000, "5f1c2b7a", body);
    event.session = Some(Session {
        id: "5f1c2b7a-000042".to_owned(),
        client: "10.20.30.40:50122".to_owned(),
        listener: "support".to_owned(),
        upstream: "main".to_owned(),
        database: "support".to_owned(),
        account: "desk".to_owned(),
        application: Some("desk-tool".to_owned()),
        tls: Some("TLSv1.3".to_owned()),
    });
    event.person = Some(Person {
        id: "a.nguyen".to_owned(),
        known: true,
        groups: vec!["support".to_owned()],
        auth: "relayed".to_owned(),
    });
    event.statement = Some(
        Statement {
            id: "5f1c2b7a-000042-17".to_owned(),
            verb: "select".to_owned(),
            fingerprint: "9d1f0a6b3c".to_owned(),
            sha256: "0".repeat(64),
            bytes: 96,
            coverage: "full".to_owned(),
            ..Statement::default()
        }
        .with_text("select id, name, email, phone from customers where id = $1 and region = $2 order by name limit ?"),
    );
    event
}
