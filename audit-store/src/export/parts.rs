//! Objects of the schema that several classes share: who, from where, to what, under which rule.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use crate::event::{Event, Person, Session, Statement};
use crate::subject::{Basis, Charge, Decision};

/// A count as the schema can hold it: signed, 64 bits.
pub(super) fn number(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

/// An object of those members that are known.
pub(super) fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let known = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect())
}

/// An array, when something is in it.
pub(super) fn list(values: impl Iterator<Item = Value>) -> Option<Value> {
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

/// The person, with groups.
pub(super) fn user(person: &Person) -> Value {
    object([
        ("name", Some(person.id.as_str().into())),
        ("uid", Some(person.id.as_str().into())),
        ("groups", list(person.groups.iter().map(|group| json!({ "name": group })))),
    ])
}

/// Person, session and application. The schema wants one, known or not.
pub(super) fn actor(event: &Event) -> Value {
    let session = event.session.as_ref();
    let user = match (&event.person, session) {
        (Some(person), _) => user(person),
        (None, Some(session)) => json!({ "name": session.account }),
        (None, None) => json!({ "name": "unknown" }),
    };
    object([
        ("user", Some(user)),
        ("session", session.map(|session| json!({ "uid": session.id }))),
        ("app_name", session.and_then(|session| session.application.as_deref()).map(Value::from)),
    ])
}

/// Where the client is.
pub(super) fn client(session: Option<&Session>) -> Value {
    match session.map(|session| session.client.as_str()) {
        Some(client) => match client.parse::<SocketAddr>() {
            Ok(address) => json!({ "ip": address.ip().to_canonical().to_string(), "port": address.port() }),
            // A client on this machine without a network address, such as that of a socket file.
            Err(_) => json!({ "name": client }),
        },
        None => json!({ "name": "unknown" }),
    }
}

/// The server, by the name that the configuration gives it.
pub(super) fn server(session: &Session) -> Value {
    json!({ "name": session.upstream })
}

/// The database. The schema wants one, known or not.
pub(super) fn database(session: Option<&Session>) -> Value {
    match session {
        Some(session) => json!({ "name": session.database, "type_id": 1, "type": "Relational" }),
        None => json!({ "name": "unknown", "type_id": 0, "type": "Unknown" }),
    }
}

/// What was decided, as the profile `security_control` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) action: (u8, &'static str),
    pub(super) disposition: (u8, &'static str),
}

impl Control {
    pub(super) const ALLOWED: Control = Control { action: (1, "Allowed"), disposition: (1, "Allowed") };
    pub(super) const DENIED: Control = Control { action: (2, "Denied"), disposition: (2, "Blocked") };
    /// A part was let through and the rest was not: neither allowed nor denied.
    pub(super) const CUT: Control = Control { action: (4, "Modified"), disposition: (2, "Blocked") };
    pub(super) const DETECTED: Control = Control { action: (3, "Observed"), disposition: (15, "Detected") };
    pub(super) const ALERTED: Control = Control { action: (3, "Observed"), disposition: (19, "Alert") };
    pub(super) const LOGGED: Control = Control { action: (3, "Observed"), disposition: (17, "Logged") };

    pub(super) fn of(decision: Option<Decision>) -> Control {
        match decision {
            Some(Decision::Allow) => Control::ALLOWED,
            Some(Decision::Deny) => Control::DENIED,
            Some(Decision::Cut) => Control::CUT,
            Some(Decision::Observe) => Control::DETECTED,
            None => Control::LOGGED,
        }
    }

    /// What an alert is about: the strongest of what its rules said.
    pub(super) fn of_alert(event: &Event) -> Control {
        match (event.decision, deciding(&event.basis).map(|basis| basis.outcome.as_str())) {
            (Some(decision), _) => Control::of(Some(decision)),
            (None, Some("cut")) => Control::CUT,
            (None, Some("refused")) => Control::DENIED,
            (None, Some("would-cut" | "would-refuse")) => Control::DETECTED,
            (None, _) => Control::ALERTED,
        }
    }

    pub(super) fn put(self, is_alert: bool, out: &mut Map<String, Value>) {
        out.insert("action_id".to_owned(), self.action.0.into());
        out.insert("action".to_owned(), self.action.1.into());
        out.insert("disposition_id".to_owned(), self.disposition.0.into());
        out.insert("disposition".to_owned(), self.disposition.1.into());
        out.insert("is_alert".to_owned(), is_alert.into());
    }
}

/// The rule that decided: the first of those with the strongest outcome.
pub fn deciding(basis: &[Basis]) -> Option<&Basis> {
    let strength = |basis: &&Basis| match basis.outcome.as_str() {
        "cut" => 5,
        "refused" => 4,
        "would-cut" => 3,
        "would-refuse" => 2,
        "alerted" => 1,
        _ => 0,
    };
    // Of equals, the last would be taken; they are in an order that means nothing, so take the first for its sake.
    basis.iter().rev().max_by_key(strength)
}

/// A rule, in the version of the policy that it stood in.
fn policy(basis: &Basis, version: Option<&str>) -> Value {
    object([
        ("uid", Some(basis.rule.as_str().into())),
        ("name", Some(basis.rule.as_str().into())),
        ("version", version.map(Value::from)),
        ("is_applied", Some(true.into())),
    ])
}

/// The rule that decided, and all that took part.
pub(super) fn put_rules(event: &Event, out: &mut Map<String, Value>) {
    let version = event.policy.as_deref();
    let decided = match (deciding(&event.basis), version) {
        (Some(basis), _) => policy(basis, version),
        // No rule matched, and this is the policy that says so.
        (None, Some(version)) => json!({ "uid": version, "version": version, "is_applied": false }),
        (None, None) => return,
    };
    out.insert("policy".to_owned(), decided);
    let said = |basis: &Basis| json!({ "decision": basis.outcome, "policy": policy(basis, version) });
    if let Some(said) = list(event.basis.iter().map(said)) {
        out.insert("authorizations".to_owned(), said);
    }
}

/// What of a statement the schema has no place for.
pub(super) fn statement(statement: &Statement) -> Value {
    object([
        ("id", Some(statement.id.as_str().into())),
        ("verb", Some(statement.verb.as_str().into())),
        ("fingerprint", Some(statement.fingerprint.as_str().into())),
        ("sha256", Some(statement.sha256.as_str().into())),
        ("bytes", Some(number(statement.bytes))),
        ("text_cut", statement.text_cut.then_some(Value::Bool(true))),
        ("coverage", Some(statement.coverage.as_str().into())),
        ("gaps", list(statement.gaps.iter().map(|gap| gap.as_str().into()))),
        ("role", statement.role.as_ref().map(|role| json!({ "names": role.names, "trusted": role.trusted }))),
    ])
}

/// What was charged, by number: the keyed hashes stay in the log.
pub(super) fn charge(charge: &Charge) -> Value {
    json!({
        "dataset": charge.dataset,
        "relation": charge.relation,
        "keyed": number(charge.keyed()),
        "unkeyed": number(charge.unkeyed),
        "rows": number(charge.rows),
        "bytes": number(charge.bytes),
    })
}
