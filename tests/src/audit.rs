//! What the audit log says, in the terms of the tests.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::wait;
use crate::weir::Weir;

/// Totals of a person's finished executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Rows that left.
    pub rows: u64,
    /// Distinct records charged, over all datasets.
    pub records: u64,
}

/// What the completions of `person` add up to, once every admission of theirs has one.
pub fn released(weir: &Weir, person: &str) -> Released {
    let what = format!("a completion for each admission of {person}");
    wait::until(&what, wait::SOON, || {
        let events = weir.audit_events();
        let of = |kind: &str| {
            events.iter().filter(|event| self::kind(event) == kind && self::person(event) == person).collect::<Vec<_>>()
        };
        let completions = of("completion");
        // By number: statements that touch nothing sensitive complete without an admission.
        let numbers = |events: &[&Value]| events.iter().map(|event| event["statement"]["id"].to_string()).collect();
        let (admitted, completed): (BTreeSet<String>, BTreeSet<String>) =
            (numbers(&of("admission")), numbers(&completions));
        admitted.is_subset(&completed).then(|| {
            let charged = || {
                let own = events.iter().filter(|event| self::person(event) == person);
                own.filter_map(|event| event["charged"].as_array()).flatten()
            };
            let keys: BTreeSet<Vec<u8>> = charged().flat_map(|line| keys(&line["keys"])).collect();
            let unkeyed: u64 = charged().map(|line| number(&line["unkeyed"])).sum();
            Released {
                rows: completions.iter().map(|event| number(&event["detail"]["rows"])).sum(),
                records: keys.len() as u64 + unkeyed,
            }
        })
    })
}

/// Kind of an event.
pub fn kind(event: &Value) -> &str {
    event["kind"].as_str().unwrap_or_default()
}

/// Person of an event; empty when it has none.
pub fn person(event: &Value) -> &str {
    event["person"]["id"].as_str().unwrap_or_default()
}

/// The events of this kind.
pub fn of_kind<'a>(events: &'a [Value], wanted: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| kind(event) == wanted).collect()
}

/// Keyed hashes of records, 16 bytes each.
fn keys(value: &Value) -> Vec<Vec<u8>> {
    let bytes = STANDARD.decode(value.as_str().unwrap_or_default()).expect("base64");
    bytes.chunks(16).map(<[u8]>::to_vec).collect()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}
