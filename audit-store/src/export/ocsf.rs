//! Records as events of the Open Cybersecurity Schema Framework, for a SIEM.
//!
//! Statements and sessions are Datastore Activity, alerts are Detection Findings, logins are Authentication; what Weir
//! tells of itself is Application Lifecycle or Application Error. Every record has its event, so that a gap in the
//! sequence on the other side is a loss. `docs/ocsf.md` has the mapping as a table.

use serde_json::{Map, Value, json};

use crate::encode::one_safe_line;
use crate::error::StoreError;
use crate::event::{Admin, Alert, Authentication, AuthenticationOutcome, Body, Completion, Event, Outcome, Severity};
use crate::event::{Policy, PolicyOutcome, StoreTrouble};
use crate::reader::Entry;
use crate::subject::{Decision, Statement};

use super::parts::{Control, actor, charge, client, database, list, number, object, put_rules, server, statement};
use super::parts::{deciding, user};
use super::sentence::{sentence, severity as severity_word, who};

/// The version of the schema that events claim.
pub const OCSF_VERSION: &str = "1.8.0";
/// The profile that all events claim beside their class.
const PROFILE: &str = "security_control";

/// Turns records into lines of OCSF.
#[derive(Clone, Debug)]
pub struct Ocsf {
    product: Value,
}

/// A class of the schema. Its category is the thousands of its number.
struct Class {
    uid: u32,
    name: &'static str,
    category: &'static str,
}

const FINDING: Class = Class { uid: 2004, name: "Detection Finding", category: "Findings" };
const AUTHENTICATION: Class = Class { uid: 3002, name: "Authentication", category: "Identity & Access Management" };
const LIFECYCLE: Class = Class { uid: 6002, name: "Application Lifecycle", category: "Application Activity" };
const DATASTORE: Class = Class { uid: 6005, name: "Datastore Activity", category: "Application Activity" };
const ERROR: Class = Class { uid: 6008, name: "Application Error", category: "Application Activity" };

/// An activity of a class: its number and what the schema calls it. [`OTHER`] comes with a word of ours.
type Activity = (u32, &'static str);

const OTHER: u32 = 99;

impl Ocsf {
    /// For a product of this version.
    pub fn new(version: &str) -> Ocsf {
        Ocsf { product: json!({ "name": "Weir", "vendor_name": "Weir", "version": version }) }
    }

    /// The event for a record, as one line of JSON without its line end, safe for a terminal.
    ///
    /// # Errors
    /// None that a record of a log can cause; the encoder's own otherwise.
    pub fn line(&self, entry: &Entry) -> Result<String, StoreError> {
        let line = one_safe_line(&self.event(entry))?;
        String::from_utf8(line).map_err(|error| StoreError::Unencodable(error.to_string()))
    }

    fn event(&self, entry: &Entry) -> Value {
        let event = &entry.record().event;
        let mut out = Map::new();
        match &event.body {
            Body::Alert(alert) => self.finding(entry, alert, &mut out),
            Body::Authentication(login) => authentication(event, login, &mut out),
            Body::Boot(_) => self.lifecycle((3, "Start"), &mut out),
            Body::Shutdown(_) => self.lifecycle((4, "Stop"), &mut out),
            Body::Policy(policy) => self.policy(policy, &mut out),
            Body::Admin(admin) => self.admin(admin, &mut out),
            Body::Store(trouble) => error(trouble, &mut out),
            Body::SessionStart(_)
            | Body::SessionEnd(_)
            | Body::Admission(_)
            | Body::Lease(_)
            | Body::Completion(_)
            | Body::Copy(_)
            | Body::CopyEnded(_)
            | Body::ApprovalRequest(_)
            | Body::Denial(_) => datastore(event, &mut out),
        }
        out.insert("time".to_owned(), number(event.time_ms));
        out.insert("message".to_owned(), sentence(event).into());
        out.insert("metadata".to_owned(), self.metadata(entry));
        out.insert("unmapped".to_owned(), json!({ "weir": unmapped(entry) }));
        Value::Object(out)
    }

    fn metadata(&self, entry: &Entry) -> Value {
        let event = &entry.record().event;
        let statement = event.statement.as_ref().map(|statement| statement.id.as_str());
        let activity = statement.or(event.session.as_ref().map(|session| session.id.as_str()));
        object([
            ("version", Some(OCSF_VERSION.into())),
            ("product", Some(self.product.clone())),
            ("profiles", Some(json!([PROFILE]))),
            ("uid", Some(uid(entry).into())),
            ("sequence", Some(number(entry.record().seq))),
            ("log_name", Some(entry.log().into())),
            ("log_provider", Some("weir".into())),
            ("event_code", Some(event.body.name().into())),
            ("correlation_uid", activity.map(Value::from)),
        ])
    }

    fn finding(&self, entry: &Entry, alert: &Alert, out: &mut Map<String, Value>) {
        let event = &entry.record().event;
        put_class(&FINDING, (1, "Create"), None, out);
        put_severity(alert.severity, out);
        put(out, "status_id", 1);
        put(out, "status", "New");
        Control::of_alert(event).put(true, out);
        put_rules(event, out);
        let rule = deciding(&event.basis).map_or(alert.code.as_str(), |basis| basis.rule.as_str());
        let analytic = object([
            ("type_id", Some(1.into())),
            ("type", Some("Rule".into())),
            ("uid", Some(alert.code.as_str().into())),
            ("name", Some(rule.into())),
            ("version", event.policy.as_deref().map(Value::from)),
        ]);
        let related = event.statement.iter().map(|statement| json!({ "uid": statement.id }));
        let info = object([
            ("uid", Some(uid(entry).into())),
            ("title", Some(alert.title.as_str().into())),
            ("created_time", Some(number(event.time_ms))),
            ("types", Some(json!([alert.code]))),
            ("analytic", Some(analytic)),
            ("related_events", list(related)),
            ("attacks", list(attacks(alert, event.statement.as_ref()).into_iter())),
        ]);
        put(out, "finding_info", info);
        if event.session.is_some() || event.person.is_some() {
            let session = event.session.as_ref();
            let relations = event.statement.as_ref().map(|statement| json!(statement.relations));
            let basis = (!event.basis.is_empty()).then(|| json!(event.basis));
            let extractions = (!event.extractions.is_empty()).then(|| json!(event.extractions));
            let evidence = object([
                ("actor", Some(actor(event))),
                ("src_endpoint", session.map(|session| client(Some(session)))),
                ("dst_endpoint", session.map(server)),
                ("database", session.map(|session| database(Some(session)))),
                ("data", Some(object([("relations", relations), ("basis", basis), ("extractions", extractions)]))),
            ]);
            put(out, "evidences", json!([evidence]));
        }
    }

    fn lifecycle(&self, activity: Activity, out: &mut Map<String, Value>) {
        put_class(&LIFECYCLE, activity, None, out);
        put(out, "app", self.product.clone());
        put_severity(Severity::Informational, out);
        put_status((1, "Success"), out);
        Control::LOGGED.put(false, out);
    }

    fn policy(&self, policy: &Policy, out: &mut Map<String, Value>) {
        self.lifecycle((8, "Update"), out);
        let applied = policy.outcome == PolicyOutcome::Loaded;
        put(out, "policy", json!({ "uid": policy.sha256, "version": policy.sha256, "is_applied": applied }));
        if !applied {
            put_severity(Severity::Medium, out);
            put_status((2, "Failure"), out);
            put_some(out, "status_detail", policy.problem.as_deref());
        }
    }

    fn admin(&self, admin: &Admin, out: &mut Map<String, Value>) {
        self.lifecycle((OTHER, "Other"), out);
        put(out, "activity_name", or_unknown(&admin.action));
        put_status((OTHER, or_unknown(&admin.outcome)), out);
    }
}

/// The idempotency key: the log and the sequence in it.
fn uid(entry: &Entry) -> String {
    format!("{}/{}", entry.log(), entry.record().seq)
}

fn datastore(event: &Event, out: &mut Map<String, Value>) {
    let (activity, word) = activity(event);
    put_class(&DATASTORE, activity, word, out);
    let severity = match event.decision {
        Some(Decision::Deny | Decision::Cut) => Severity::Medium,
        Some(Decision::Observe) => Severity::Low,
        Some(Decision::Allow) | None => Severity::Informational,
    };
    put_severity(severity, out);
    // Whoever is to be woken by it is woken by the finding that comes with it; two alerts for one thing are one too many.
    Control::of(event.decision).put(false, out);
    put_rules(event, out);
    let session = event.session.as_ref();
    put(out, "actor", actor(event));
    put(out, "src_endpoint", client(session));
    put(out, "database", database(session));
    if let Some(session) = session {
        put(out, "dst_endpoint", server(session));
    }
    let mut bytes = None;
    match &event.body {
        Body::Admission(_) => put_status((OTHER, "Admitted"), out),
        Body::Lease(_) => put_status((OTHER, "Extended"), out),
        Body::Denial(denial) => {
            put_status((2, "Failure"), out);
            put(out, "status_code", denial.sqlstate.as_str());
            put(out, "status_detail", denial.message.as_str());
        }
        Body::Completion(completion) => {
            bytes = Some(number(completion.bytes));
            completed(event, completion, out);
        }
        Body::SessionEnd(end) => {
            put_status((1, "Success"), out);
            put(out, "status_detail", end.reason.as_str());
            put(out, "duration", number(end.duration_us / 1000));
        }
        _ => put_status((1, "Success"), out),
    }
    if let Some(statement) = &event.statement {
        let info = object([
            ("query_string", Some(statement.text.as_str().into())),
            ("uid", Some(statement.fingerprint.as_str().into())),
            ("bytes", bytes),
        ]);
        put(out, "query_info", info);
        if let Some(relation) = statement.relations.first() {
            put(out, "table", json!({ "name": relation.name }));
        }
    }
}

fn completed(event: &Event, completion: &Completion, out: &mut Map<String, Value>) {
    let (status, detail) = match completion.outcome {
        Outcome::Complete => ((1, "Success"), None),
        Outcome::Cut => ((2, "Failure"), Some("cut at the row where the allowance ended")),
        Outcome::Error => ((2, "Failure"), Some("an error of the server")),
        Outcome::Cancelled => ((2, "Failure"), Some("cancelled by the client")),
        Outcome::ClientGone => ((2, "Failure"), Some("the client went away")),
        Outcome::UpstreamGone => ((2, "Failure"), Some("the server went away")),
    };
    put_status(status, out);
    put_some(out, "status_code", completion.sqlstate.as_deref());
    put_some(out, "status_detail", detail);
    let duration_ms = completion.duration_us / 1000;
    put(out, "duration", number(duration_ms));
    put(out, "start_time", number(event.time_ms.saturating_sub(duration_ms)));
    put(out, "end_time", number(event.time_ms));
}

/// What a session or statement does to the datastore, with a word of ours where the schema has none.
fn activity(event: &Event) -> (Activity, Option<&str>) {
    let Some(statement) = &event.statement else {
        return match &event.body {
            Body::SessionEnd(_) => ((OTHER, "Other"), Some("Disconnect")),
            Body::Copy(_) | Body::CopyEnded(_) => ((OTHER, "Other"), Some("copy")),
            Body::ApprovalRequest(_) => ((OTHER, "Other"), Some("approval-request")),
            _ => ((3, "Connect"), None),
        };
    };
    match statement.verb.as_str() {
        "select" => ((1, "Read"), None),
        "insert" => ((5, "Write"), None),
        "update" | "merge" => ((2, "Update"), None),
        "delete" | "truncate" => ((7, "Delete"), None),
        "call" | "explain" => ((4, "Query"), None),
        "copy" if statement.relations.iter().any(|relation| relation.access == "write") => ((5, "Write"), None),
        "copy" => ((1, "Read"), None),
        "unknown" | "" => ((0, "Unknown"), None),
        other => ((OTHER, "Other"), Some(other)),
    }
}

fn authentication(event: &Event, login: &Authentication, out: &mut Map<String, Value>) {
    put_class(&AUTHENTICATION, (1, "Logon"), None, out);
    let session = event.session.as_ref();
    let (severity, status, control) = match login.outcome {
        AuthenticationOutcome::Success => (Severity::Informational, (1, "Success"), Control::ALLOWED),
        AuthenticationOutcome::Failure => (Severity::Low, (2, "Failure"), Control::DENIED),
    };
    put_severity(severity, out);
    put_status(status, out);
    put_some(out, "status_code", login.sqlstate.as_deref());
    control.put(false, out);
    let person = event.person.as_ref().map_or_else(|| json!({ "name": who(event) }), user);
    put(out, "user", person);
    put(out, "actor", actor(event));
    put(out, "auth_protocol_id", OTHER);
    put(out, "auth_protocol", or_unknown(&login.method));
    put(out, "logon_type_id", 3);
    put(out, "logon_type", "Network");
    put(out, "src_endpoint", client(session));
    put(out, "service", json!({ "name": session.map_or("unknown", |session| session.upstream.as_str()) }));
    if let Some(session) = session {
        put(out, "dst_endpoint", server(session));
        put(out, "session", json!({ "uid": session.id }));
    }
}

fn error(trouble: &StoreTrouble, out: &mut Map<String, Value>) {
    put_class(&ERROR, (1, "General Error"), None, out);
    put_severity(Severity::High, out);
    put_status((2, "Failure"), out);
    put(out, "status_detail", trouble.reason.as_str());
    put(out, "start_time", number(trouble.since_ms));
    put(out, "end_time", number(trouble.until_ms));
    Control::LOGGED.put(false, out);
}

/// What is done, in the words of ATT&CK: reading out a database; taking it elsewhere.
fn attacks(alert: &Alert, statement: Option<&Statement>) -> Vec<Value> {
    let Some(statement) = statement else { return Vec::new() };
    let mut attacks = vec![json!({
        "tactic": { "uid": "TA0009", "name": "Collection" },
        "technique": { "uid": "T1213", "name": "Data from Information Repositories" },
        "sub_technique": { "uid": "T1213.006", "name": "Databases" },
    })];
    if alert.code == "unclassified-egress" || statement.relations.iter().any(|relation| relation.access == "export") {
        attacks.push(json!({
            "tactic": { "uid": "TA0010", "name": "Exfiltration" },
            "technique": { "uid": "T1567", "name": "Exfiltration Over Web Service" },
        }));
    }
    attacks
}

/// What the schema has no place for.
fn unmapped(entry: &Entry) -> Value {
    let event = &entry.record().event;
    let session = event.session.as_ref();
    let person = event.person.as_ref().map(|person| json!({ "known": person.known, "auth": person.auth }));
    let mut own = object([
        ("kind", Some(event.body.name().into())),
        ("boot", Some(event.boot.as_str().into())),
        ("ledger_ms", Some(number(event.ledger_ms))),
        ("reference", event.reference.as_deref().map(Value::from)),
        ("chain", Some(json!({ "log": entry.log(), "leaf_sha256": entry.leaf() }))),
        ("db_user", session.map(|session| session.account.as_str().into())),
        ("listener", session.map(|session| session.listener.as_str().into())),
        ("tls", session.and_then(|session| session.tls.as_deref()).map(Value::from)),
        ("person", person),
        ("statement", event.statement.as_ref().map(statement)),
        (
            "relations",
            event.statement.as_ref().and_then(|statement| list(statement.relations.iter().map(|r| json!(r)))),
        ),
        ("basis", list(event.basis.iter().map(|basis| json!(basis)))),
        ("charged", list(event.charged.iter().map(charge))),
        ("extractions", list(event.extractions.iter().map(|extraction| json!(extraction)))),
        ("questions", list(event.questions.iter().map(|question| json!(question)))),
    ]);
    let detail = match &event.body {
        Body::Admission(leases) | Body::Lease(leases) => {
            object([("leases", list(leases.leases.iter().map(|lease| json!(lease))))])
        }
        Body::Completion(completion) => {
            let records = completion.records.iter().map(|count| (count.dataset.clone(), number(count.count)));
            let records: Map<String, Value> = records.collect();
            object([
                ("outcome", Some(json!(completion.outcome))),
                ("tag", completion.tag.as_deref().map(Value::from)),
                ("rows", Some(json!({ "released": number(completion.rows) }))),
                ("bytes", Some(json!({ "released": number(completion.bytes) }))),
                ("records", (!records.is_empty()).then(|| json!({ "released": records }))),
                ("doors", list(completion.doors.iter().map(|door| json!(door)))),
            ])
        }
        Body::SessionStart(start) => object([("changed_from", start.changed_from.as_deref().map(Value::from))]),
        Body::SessionEnd(end) => object([
            ("statements", Some(number(end.statements))),
            ("rows", Some(json!({ "released": number(end.rows) }))),
            ("bytes", Some(json!({ "released": number(end.bytes) }))),
        ]),
        Body::Denial(denial) => object([("code", Some(denial.code.as_str().into()))]),
        Body::Copy(copy) => object([("copy", Some(json!(copy)))]),
        Body::CopyEnded(ended) => object([("copy", Some(json!(ended)))]),
        Body::Boot(boot) => object([("boot_record", Some(json!(boot)))]),
        Body::Store(trouble) => {
            object([("lost", Some(number(trouble.lost))), ("segment", trouble.segment.as_deref().map(Value::from))])
        }
        Body::Admin(admin) => object([
            ("operator", Some(admin.operator.as_str().into())),
            ("target", admin.target.as_deref().map(Value::from)),
            ("reason", admin.reason.as_deref().map(Value::from)),
            ("dataset", admin.dataset.as_deref().map(Value::from)),
            ("grant", admin.grant.as_ref().map(|grant| json!(grant))),
            ("until", admin.until.map(|until| json!(until))),
        ]),
        Body::ApprovalRequest(request) => object([("approval_request", Some(json!(request)))]),
        _ => Value::Null,
    };
    if let (Value::Object(own), Value::Object(detail)) = (&mut own, detail) {
        own.extend(detail);
    }
    own
}

/// The schema wants a word beside "other".
fn or_unknown(word: &str) -> &str {
    if word.is_empty() { "unknown" } else { word }
}

fn put(out: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    out.insert(name.to_owned(), value.into());
}

fn put_some(out: &mut Map<String, Value>, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        put(out, name, text);
    }
}

fn put_class(class: &Class, (id, caption): Activity, word: Option<&str>, out: &mut Map<String, Value>) {
    put(out, "category_uid", class.uid / 1000);
    put(out, "category_name", class.category);
    put(out, "class_uid", class.uid);
    put(out, "class_name", class.name);
    put(out, "activity_id", id);
    put(out, "activity_name", word.unwrap_or(caption));
    put(out, "type_uid", class.uid * 100 + id);
    put(out, "type_name", format!("{}: {caption}", class.name));
}

fn put_severity(severity: Severity, out: &mut Map<String, Value>) {
    let id = match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    };
    put(out, "severity_id", id);
    let word = severity_word(severity);
    put(out, "severity", format!("{}{}", word[..1].to_uppercase(), &word[1..]));
}

fn put_status((id, word): (u32, &str), out: &mut Map<String, Value>) {
    put(out, "status_id", id);
    put(out, "status", word);
}
