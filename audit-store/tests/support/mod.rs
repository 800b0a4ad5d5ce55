//! A log in a directory of its own, and events of every kind.
// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::path::PathBuf;

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use weir_audit_store::event::{
    Admin, Alert, ApprovalRequest, Authentication, AuthenticationOutcome, Basis, Body, Boot, Charge, Completion, Count,
    Decision, Denial, Door, Grant, Lease, Leases, Outcome, Person, Policy, PolicyOutcome, RelationUse, Session,
    SessionEnd, SessionStart, Severity, Shutdown, Statement, StoreTrouble, Until,
};
use weir_audit_store::{Entry, Event, Options, PublicKey, Reader, Record, Store, StoreError};

/// A directory that goes when the test ends.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("weir-store-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Dir(dir)
    }

    pub fn open(&self) -> Store {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(Options::new(&self.0), Box::new(|_| {})).map(|(store, _)| store)
    }

    pub fn key(&self) -> PublicKey {
        PublicKey::parse(&std::fs::read_to_string(self.0.join("keys/log.pub")).unwrap()).unwrap()
    }

    pub fn records(&self) -> Vec<Record> {
        self.entries().into_iter().map(Entry::into_record).collect()
    }

    pub fn entries(&self) -> Vec<Entry> {
        let mut reader = Reader::open(&self.0, 1).unwrap();
        std::iter::from_fn(|| reader.next_entry().unwrap()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Words that mean something, and any text.
fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![3 => select(words).prop_map(str::to_owned), 1 => any::<String>()]
}

/// Counts that occur, and any.
fn count() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..100_000_u64, 1 => any::<u64>()]
}

fn few<T: Strategy>(of: T) -> impl Strategy<Value = Vec<T::Value>> {
    prop::collection::vec(of, 0..4)
}

const UNITS: &[&str] = &["records", "rows", "bytes"];
const DATASETS: &[&str] = &["customers", "cards"];

fn body() -> BoxedStrategy<Body> {
    let text = any::<String>;
    let sqlstate = || option::of(word(&["54000", "42501", "57014"]));
    let leases = || {
        few((word(DATASETS), word(UNITS), count())).prop_map(|lines| Leases {
            leases: lines.into_iter().map(|(dataset, unit, granted)| Lease { dataset, unit, granted }).collect(),
        })
    };
    let severity = [Severity::Informational, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    let outcome = [
        Outcome::Complete,
        Outcome::Cut,
        Outcome::Error,
        Outcome::Cancelled,
        Outcome::ClientGone,
        Outcome::UpstreamGone,
    ];
    let completion = (
        select(outcome.to_vec()),
        count(),
        count(),
        few((word(DATASETS), count())),
        few((word(&["error", "notice", "setting"]), count(), count(), count())),
        count(),
        sqlstate(),
        option::of(text()),
    );
    prop_oneof![
        (text(), count(), few(text())).prop_map(|(product, last_sequence, clock_anomalies)| {
            Body::Boot(Boot { product, last_sequence, clock_anomalies, ..Boot::default() })
        }),
        text().prop_map(|reason| Body::Shutdown(Shutdown { reason })),
        (any::<bool>(), text(), option::of(text())).prop_map(|(loaded, sha256, problem)| {
            let outcome = if loaded { PolicyOutcome::Loaded } else { PolicyOutcome::Rejected };
            Body::Policy(Policy { outcome, sha256, problem })
        }),
        option::of(text()).prop_map(|changed_from| Body::SessionStart(SessionStart { changed_from })),
        (text(), count(), count(), count(), count()).prop_map(|(reason, statements, rows, bytes, duration_us)| {
            Body::SessionEnd(SessionEnd { reason, statements, rows, bytes, duration_us })
        }),
        (any::<bool>(), word(&["relayed", "scram-sha-256"]), sqlstate()).prop_map(|(success, method, sqlstate)| {
            let outcome = if success { AuthenticationOutcome::Success } else { AuthenticationOutcome::Failure };
            Body::Authentication(Authentication { outcome, method, sqlstate })
        }),
        leases().prop_map(Body::Admission),
        leases().prop_map(Body::Lease),
        completion.prop_map(|(outcome, rows, bytes, records, doors, duration_us, sqlstate, tag)| {
            let door = |(door, messages, bytes, withheld_bytes)| Door { door, messages, bytes, withheld_bytes };
            let doors = doors.into_iter().map(door).collect();
            let records = records.into_iter().map(|(dataset, count)| Count { dataset, count }).collect();
            Body::Completion(Completion { outcome, rows, bytes, records, doors, duration_us, sqlstate, tag })
        }),
        (word(&["no-cards"]), text(), word(&["42501"])).prop_map(|(code, message, sqlstate)| Body::Denial(Denial {
            code,
            message,
            sqlstate
        })),
        (word(&["cut", "unclassified-egress"]), text(), select(severity.to_vec()))
            .prop_map(|(code, title, severity)| Body::Alert(Alert { code, title, severity })),
        (text(), count(), count(), count(), option::of(text())).prop_map(
            |(reason, since_ms, until_ms, lost, segment)| {
                Body::Store(StoreTrouble { reason, since_ms, until_ms, lost, segment })
            }
        ),
        admin(),
        (word(&["A-7F3K-9Q2M"]), word(&["support"]), word(DATASETS), word(&["hour"]), count(), text()).prop_map(
            |(id, rule, dataset, window, limit, approvers)| {
                let until = Until { ledger_ms: 1, time_ms: limit };
                Body::ApprovalRequest(ApprovalRequest { id, rule, dataset, window, limit, approvers, until })
            }
        ),
    ]
    .boxed()
}

prop_compose! {
    fn admin()(
        operator in word(&["root"]),
        action in word(&["reload", "approve"]),
        target in option::of(any::<String>()),
        outcome in word(&["done"]),
        reason in option::of(any::<String>()),
        dataset in option::of(word(DATASETS)),
        grant in option::of((any::<String>(), any::<String>(), count())),
        until in option::of(count()),
    ) -> Body {
        let grant = grant.map(|(request, person, records)| Grant {
            request,
            person,
            rule: "support".to_owned(),
            dataset: "customers".to_owned(),
            records,
            windows: vec!["hour".to_owned()],
        });
        let until = until.map(|time_ms| Until { ledger_ms: 7, time_ms });
        Body::Admin(Admin { operator, action, target, outcome, reason, dataset, grant, until })
    }
}

prop_compose! {
    fn session()(
        id in any::<String>(),
        client in word(&["10.20.30.40:50122", "[2001:db8::7]:6432", "[::ffff:10.0.0.1]:1", "[fe80::1%2]:1", "a socket"]),
        names in prop::array::uniform4(word(&["support", "main"])),
        application in option::of(any::<String>()),
        tls in option::of(word(&["TLSv1.3"])),
    ) -> Session {
        let [listener, upstream, database, account] = names;
        Session { id, client, listener, upstream, database, account, application, tls }
    }
}

prop_compose! {
    fn statement()(
        id in any::<String>(),
        verb in word(&["select", "insert", "update", "merge", "delete", "truncate", "copy", "ddl", "grant", "session",
            "transaction", "call", "explain", "empty", "utility", "unknown", ""]),
        text in any::<String>(),
        hashes in prop::array::uniform3(any::<String>()),
        bytes in count(),
        relations in few((any::<String>(), word(&["read", "write", "export"]), few(any::<String>()))),
        gaps in few(any::<String>()),
    ) -> Statement {
        let [fingerprint, sha256, coverage] = hashes;
        let relation = |(name, access, columns): (String, String, Vec<String>)| {
            RelationUse { name, access, columns, used: Vec::new(), via: Vec::new(), source: "parser".to_owned() }
        };
        let relations = relations.into_iter().map(relation).collect();
        Statement { id, verb, fingerprint, sha256, bytes, relations, coverage, gaps, ..Statement::default() }
            .with_text(&text)
    }
}

fn basis() -> impl Strategy<Value = Basis> {
    let outcome = word(&["allowed", "alerted", "would-refuse", "would-cut", "refused", "cut"]);
    (any::<String>(), word(DATASETS), word(&["hour", "30 days"]), word(UNITS), [count(), count(), count()], outcome)
        .prop_map(|(rule, dataset, window, unit, [limit, before, after], outcome)| Basis {
            rule,
            dataset,
            window,
            unit,
            limit,
            before,
            after,
            outcome,
        })
}

prop_compose! {
    /// An event of any kind that says anything.
    pub fn any_event()(
        body in body(),
        clocks in (count(), count()),
        boot in any::<String>(),
        session in option::of(session()),
        person in option::of((any::<String>(), any::<bool>(), few(any::<String>()), any::<String>())),
        statement in option::of(statement()),
        policy in option::of(any::<String>()),
        decision in option::of(select(&[Decision::Allow, Decision::Deny, Decision::Cut, Decision::Observe][..])),
        basis in few(basis()),
        charged in few((word(DATASETS), any::<String>(), any::<String>(), count())),
        reference in option::of(any::<String>()),
    ) -> Event {
        let mut event = Event::new(clocks.0, clocks.1, boot, body);
        event.session = session;
        event.person = person.map(|(id, known, groups, auth)| Person { id, known, groups, auth });
        event.statement = statement;
        event.policy = policy;
        event.decision = decision;
        event.basis = basis;
        let charge = |(dataset, relation, keys, unkeyed)| Charge { dataset, relation, keys, unkeyed, ..Charge::default() };
        event.charged = charged.into_iter().map(charge).collect();
        event.reference = reference;
        event
    }
}
