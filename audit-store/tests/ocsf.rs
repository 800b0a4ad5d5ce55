//! What a SIEM gets, held against the published schema by a checker that shares no code with the exporter.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Dir, any_event};
use weir_audit_store::event::{
    Alert, Authentication, AuthenticationOutcome, Basis, Body, Charge, Completion, Count, Decision, Denial, Lease,
    Leases, Outcome, Person, RelationUse, Session, SessionStart, Severity, Statement,
};
use weir_audit_store::{Event, OCSF_VERSION, Ocsf, Urgency};

/// What the checker says of these events.
fn check(lines: &[String]) -> (bool, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ocsf");
    let mut checker = Command::new("python3")
        .args([format!("{folder}/validate.py"), format!("{folder}/schema-{OCSF_VERSION}.json")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = checker.stdin.take().unwrap();
    let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
    // From a thread, since the checker may speak before it has heard all.
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = checker.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

/// These events as lines, through a log on the disk.
fn export(name: &str, events: &[Event]) -> Vec<String> {
    let dir = Dir::new(name);
    let store = dir.open();
    for event in events {
        store.append(event, Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    let ocsf = Ocsf::new("0.1.0");
    dir.entries().iter().map(|entry| ocsf.line(entry).unwrap()).collect()
}

/// An agent whose allowance ended in the middle of a result.
fn event(body: Body) -> Event {
    let mut event = Event::new(1_764_000_000_123, 7, "5f1c2b7a", body);
    event.session = Some(Session {
        id: "5f1c2b7a-000042".to_owned(),
        client: "10.20.30.40:50122".to_owned(),
        listener: "desk".to_owned(),
        upstream: "main".to_owned(),
        database: "support".to_owned(),
        account: "desk".to_owned(),
        application: Some("desk-tool".to_owned()),
        tls: Some("TLSv1.3".to_owned()),
    });
    let groups = vec!["support".to_owned()];
    event.person = Some(Person { id: "alice".to_owned(), known: true, groups, auth: "relayed".to_owned() });
    event
}

fn with_statement(mut event: Event) -> Event {
    event.statement = Some(
        Statement {
            id: "5f1c2b7a-000042.17".to_owned(),
            verb: "select".to_owned(),
            fingerprint: "9d1f0a6b".to_owned(),
            sha256: "ab".repeat(32),
            bytes: 41,
            relations: vec![RelationUse {
                name: "public.customers".to_owned(),
                access: "read".to_owned(),
                columns: vec!["email".to_owned()],
                used: vec!["region".to_owned()],
                via: Vec::new(),
                source: "parser".to_owned(),
            }],
            coverage: "full".to_owned(),
            ..Statement::default()
        }
        .with_text("select email from customers where region = $1"),
    );
    event.policy = Some("cd".repeat(32));
    event.decision = Some(Decision::Cut);
    event.basis = vec![Basis {
        rule: "support-customers".to_owned(),
        dataset: "customers".to_owned(),
        window: "hour".to_owned(),
        unit: "records".to_owned(),
        limit: 500,
        before: 450,
        after: 500,
        outcome: "cut".to_owned(),
    }];
    event.reference = Some("W-7F3K-9Q2M".to_owned());
    event
}

fn cut() -> Event {
    let mut event = with_statement(event(Body::Completion(Completion {
        outcome: Outcome::Cut,
        rows: 50,
        bytes: 4_100,
        records: vec![Count { dataset: "customers".to_owned(), count: 50 }],
        doors: Vec::new(),
        duration_us: 12_345,
        sqlstate: Some("54000".to_owned()),
        tag: None,
    })));
    let keys = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned();
    event.charged = vec![Charge {
        dataset: "customers".to_owned(),
        relation: "public.customers".to_owned(),
        keys,
        ..Charge::default()
    }];
    event
}

/// Compares those members of `actual` that `expected` has.
#[track_caller]
fn holds(actual: &Value, expected: &Value) {
    match expected {
        Value::Object(members) => {
            for (name, expected) in members {
                assert!(actual.get(name).is_some(), "`{name}` is not in {actual}");
                holds(&actual[name], expected);
            }
        }
        _ => assert_eq!(actual, expected),
    }
}

#[test]
fn a_cut_tells_who_what_how_much_and_under_which_rule() {
    let lines = export("ocsf-cut", &[cut()]);
    assert_eq!(check(&lines), (true, "valid 1\n".to_owned()));
    let event: Value = serde_json::from_str(&lines[0]).unwrap();
    let log = event["metadata"]["log_name"].as_str().unwrap().to_owned();
    assert!(log.starts_with("weir-"), "{log}");
    let leaf = &event["unmapped"]["weir"]["chain"]["leaf_sha256"];
    assert_eq!(leaf.as_str().map(str::len), Some(64));
    holds(
        &event,
        &json!({
            "class_uid": 6005, "type_uid": 600_501, "activity_name": "Read", "time": 1_764_000_000_123_u64,
            "severity": "Medium", "status": "Failure", "status_code": "54000", "duration": 12,
            "action": "Modified", "disposition": "Blocked", "is_alert": false,
            "metadata": { "uid": format!("{log}/1"), "sequence": 1, "correlation_uid": "5f1c2b7a-000042.17",
                "event_code": "completion" },
            "actor": { "user": { "name": "alice", "groups": [{ "name": "support" }] },
                "session": { "uid": "5f1c2b7a-000042" }, "app_name": "desk-tool" },
            "src_endpoint": { "ip": "10.20.30.40", "port": 50122 }, "dst_endpoint": { "name": "main" },
            "database": { "name": "support", "type_id": 1 }, "table": { "name": "public.customers" },
            "query_info": { "query_string": "select email from customers where region = $1", "bytes": 4_100 },
            "policy": { "name": "support-customers", "version": "cd".repeat(32) },
            "authorizations": [{ "decision": "cut", "policy": { "is_applied": true, "name": "support-customers",
                "uid": "support-customers", "version": "cd".repeat(32) } }],
            "unmapped": { "weir": { "db_user": "desk", "reference": "W-7F3K-9Q2M",
                "rows": { "released": 50 }, "records": { "released": { "customers": 50 } },
                "basis": [{ "rule": "support-customers", "dataset": "customers", "window": "hour", "unit": "records",
                    "limit": 500, "before": 450, "after": 500, "outcome": "cut" }],
                "charged": [{ "dataset": "customers", "relation": "public.customers", "keyed": 2, "unkeyed": 0,
                    "rows": 0, "bytes": 0 }] } },
        }),
    );
    assert!(!lines[0].contains("AAAAAAAA"), "keyed hashes stay in the log");
}

#[test]
fn an_alert_is_a_finding_with_its_evidence() {
    let alert = Alert { code: "cut".to_owned(), title: "alice: no more".to_owned(), severity: Severity::High };
    let mut alert = with_statement(event(Body::Alert(alert)));
    alert.decision = None;
    let login = event(Body::Authentication(Authentication {
        outcome: AuthenticationOutcome::Failure,
        method: "relayed".to_owned(),
        sqlstate: Some("28P01".to_owned()),
    }));
    let lines = export("ocsf-alert", &[alert, login]);
    assert_eq!(check(&lines), (true, "valid 2\n".to_owned()));
    let finding: Value = serde_json::from_str(&lines[0]).unwrap();
    holds(
        &finding,
        &json!({
            "class_uid": 2004, "type_uid": 200_401, "severity_id": 4, "is_alert": true, "action": "Modified",
            "finding_info": { "title": "alice: no more", "analytic": { "name": "support-customers", "uid": "cut" },
                "related_events": [{ "uid": "5f1c2b7a-000042.17" }],
                "attacks": [{ "tactic": { "uid": "TA0009", "name": "Collection" },
                    "technique": { "uid": "T1213", "name": "Data from Information Repositories" },
                    "sub_technique": { "uid": "T1213.006", "name": "Databases" } }] },
            "policy": { "name": "support-customers" },
        }),
    );
    holds(
        &finding["evidences"][0],
        &json!({ "actor": { "user": { "name": "alice" } }, "database": { "name": "support" } }),
    );
    assert_eq!(finding["evidences"][0]["data"]["basis"][0]["before"], 450);
    let login: Value = serde_json::from_str(&lines[1]).unwrap();
    holds(
        &login,
        &json!({ "class_uid": 3002, "type_uid": 300_201, "status": "Failure", "status_code": "28P01",
            "user": { "name": "alice" }, "session": { "uid": "5f1c2b7a-000042" }, "disposition": "Blocked" }),
    );
}

#[test]
fn each_decision_and_verb_has_its_number() {
    let admission = |verb: &str, access: &str, decision| {
        let lease = Lease { dataset: "customers".to_owned(), unit: "records".to_owned(), granted: 64 };
        let mut event = with_statement(event(Body::Admission(Leases { leases: vec![lease] })));
        event.decision = decision;
        let statement = event.statement.as_mut().unwrap();
        verb.clone_into(&mut statement.verb);
        access.clone_into(&mut statement.relations[0].access);
        event
    };
    let refused =
        event(Body::Denial(Denial { code: "x".to_owned(), message: "no".to_owned(), sqlstate: "28000".to_owned() }));
    let cases = [
        (admission("select", "read", Some(Decision::Allow)), 1, 1, 1),
        (admission("insert", "write", Some(Decision::Deny)), 5, 2, 2),
        (admission("merge", "write", Some(Decision::Observe)), 2, 3, 15),
        (admission("truncate", "write", None), 7, 3, 17),
        (admission("copy", "export", Some(Decision::Allow)), 1, 1, 1),
        (admission("copy", "write", Some(Decision::Allow)), 5, 1, 1),
        (admission("call", "read", Some(Decision::Allow)), 4, 1, 1),
        (admission("ddl", "ddl", Some(Decision::Allow)), 99, 1, 1),
        (admission("unknown", "read", Some(Decision::Allow)), 0, 1, 1),
        (event(Body::SessionStart(SessionStart::default())), 3, 3, 17),
        (refused, 3, 3, 17),
    ];
    let events: Vec<Event> = cases.iter().map(|case| case.0.clone()).collect();
    let lines = export("ocsf-numbers", &events);
    assert!(check(&lines).0, "{:?}", check(&lines));
    for (line, (_, activity, action, disposition)) in lines.iter().zip(cases) {
        let event: Value = serde_json::from_str(line).unwrap();
        let expected = json!({ "activity_id": activity, "type_uid": 600_500 + activity, "action_id": action,
            "disposition_id": disposition });
        holds(&event, &expected);
    }
}

#[test]
fn a_broken_event_is_found() {
    let lines = export("ocsf-broken", &[cut()]);
    let sound: Value = serde_json::from_str(&lines[0]).unwrap();
    type Break = fn(&mut Value);
    let breaks: &[(&str, Break)] = &[
        ("metadata: required and not there", |event| drop(event.as_object_mut().unwrap().remove("metadata"))),
        ("actor: required and not there", |event| drop(event.as_object_mut().unwrap().remove("actor"))),
        ("time: '1' is no timestamp_t", |event| event["time"] = json!("1")),
        ("time: 1.5 is no timestamp_t", |event| event["time"] = json!(1.5)),
        ("time: 18446744073709551615 is no timestamp_t", |event| event["time"] = json!(u64::MAX)),
        ("is_alert: 1 is no boolean_t", |event| event["is_alert"] = json!(1)),
        ("severity_id: 7 is none of", |event| event["severity_id"] = json!(7)),
        ("severity: ", |event| event["severity"] = json!(3)),
        ("severity_id: severity 'High' should be 'Medium'", |event| event["severity"] = json!("High")),
        ("type_uid: 600502 should be 600501", |event| event["type_uid"] = json!(600_502)),
        ("category_uid: 2 is none of 6", |event| event["category_uid"] = json!(2)),
        ("class_uid: 6004 is no class", |event| event["class_uid"] = json!(6004)),
        ("surprise: not in the schema", |event| event["surprise"] = json!(1)),
        ("actor.user.surprise: not in the schema", |event| event["actor"]["user"]["surprise"] = json!(1)),
        ("metadata.version: '1.7.0' is not 1.8.0", |event| event["metadata"]["version"] = json!("1.7.0")),
        ("metadata.profiles: ['host']", |event| event["metadata"]["profiles"] = json!(["host"])),
        ("src_endpoint.ip: '10.20.30' does not fit ip_t", |event| event["src_endpoint"]["ip"] = json!("10.20.30")),
        ("src_endpoint.port: 65536 is out of range", |event| event["src_endpoint"]["port"] = json!(65_536)),
        ("src_endpoint: at_least_one of", |event| event["src_endpoint"] = json!({ "port": 1 })),
        ("at_least_one of database, databucket, table", |event| {
            event.as_object_mut().unwrap().retain(|name, _| name != "database" && name != "table");
        }),
        ("authorizations: not an array", |event| event["authorizations"] = json!([])),
        ("authorizations[0].policy: at_least_one", |event| event["authorizations"][0]["policy"] = json!({})),
        ("query_info.query_string: required", |event| event["query_info"] = json!({ "uid": "x" })),
        ("activity_id: 99 without activity_name", |event| {
            event["activity_id"] = json!(99);
            event.as_object_mut().unwrap().remove("activity_name");
        }),
        ("cloud: not in the schema", |event| event["cloud"] = json!({ "provider": "x" })),
        ("malware[0]: object malware is not in this part", |event| event["malware"] = json!([{}])),
    ];
    for (problem, break_it) in breaks {
        let mut broken = sound.clone();
        break_it(&mut broken);
        let (valid, told) = check(&[lines[0].clone(), broken.to_string()]);
        assert!(!valid && told.contains(problem) && told.starts_with("line 2: "), "{problem}: {told}");
    }
    let (valid, told) = check(&[lines[0].replace("alice", "al\u{202e}ice")]);
    assert!(!valid && told.contains("not safe to show"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_record_says_its_event_is_valid(events in prop::collection::vec(any_event(), 200)) {
        let lines = export("ocsf-any", &events);
        prop_assert_eq!(lines.len(), events.len());
        let (valid, told) = check(&lines);
        prop_assert!(valid, "{}", told);
    }
}
