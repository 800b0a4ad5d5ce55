//! From the text of a policy file to a checked [`PolicySet`], or to everything that is wrong with it.
//!
//! Order: bounded text → tree with places ([`node`]) → typed raw form ([`decode`], [`raw`]) → checked form, section by
//! section. An error in one entry does not keep the others from being read, so that a file is mended in few rounds.
//!
//! INVARIANT: a [`PolicySet`] exists only when there was no error. Warnings never keep a file from being used.
//! INVARIANT: no text makes the loader panic, recurse without bound or grow far beyond the size of the text.

mod approvals;
mod cases;
mod datasets;
mod decode;
mod detections;
mod diagnostic;
mod node;
mod overlap;
mod people;
mod raw;
mod rules;
mod schema;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use diagnostic::{Diagnostic, Severity};

use decode::At;
use diagnostic::{Findings, shown};
use node::Kind;
use people::People;
use raw::{RawDefaults, RawEgress, RawMode, RawPolicy};

use crate::budget::Unit;
use crate::rule::{Defaults, Egress, OnStoreFailure, Place, Then};
use crate::set::PolicySet;

/// Largest policy file in bytes: ten thousand rules fit, and it is read in well under a second.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// Most rules of one file: each is looked at when a statement that reaches something sensitive is judged.
const RULES_MAX: usize = 1_000;
/// Longest name of a dataset, set, rule or class, in characters: it stands in messages and metrics.
const NAME_CHARS_MAX: usize = 100;
/// What the names of the defaults and of detections begin with, where a record says what decided.
const OWN_PREFIXES: [&str; 2] = ["defaults.", "detect."];
/// The version of the format.
const VERSION: u64 = 1;

const START: Place = Place { line: 1, column: 1 };

impl PolicySet {
    /// Reads the text of a policy file; `file` is what diagnostics call it. With the policy come the warnings.
    ///
    /// # Errors
    /// Everything that was found wrong, warnings included, in the order of the file.
    pub fn load(text: &str, file: &str) -> Result<(PolicySet, Vec<Diagnostic>), Vec<Diagnostic>> {
        let findings = Findings::default();
        let set = read(text, file, &findings);
        let usable = findings.is_usable();
        let mut diagnostics = findings.into_diagnostics(file);
        match set {
            Some(set) if usable => Ok((set, diagnostics)),
            _ => {
                if usable {
                    let hint = "begin with `version: 1`";
                    let told = Diagnostic::new(Severity::Error, file, START, "this is no policy", hint);
                    diagnostics.insert(0, told);
                }
                Err(diagnostics)
            }
        }
    }
}

fn read(text: &str, file: &str, findings: &Findings) -> Option<PolicySet> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("this file has {} bytes; a policy has at most {FILE_BYTES_MAX}", text.len());
        findings.error(START, message, "use `*` and named sets instead of long lists");
        return None;
    }
    let node = match node::parse(text) {
        Ok(node) => node,
        Err((at, message, hint)) => {
            findings.error(at, message, hint);
            return None;
        }
    };
    if matches!(node.kind, Kind::Null) {
        findings.error(START, "there is nothing in this file", format!("begin with `version: {VERSION}`"));
        return None;
    }
    let raw: RawPolicy = decode::decode(&node, findings)?;
    if raw.version.value != VERSION {
        let message = format!("this version of Weir reads policies of version {VERSION}");
        findings.error(raw.version.at, message, format!("write `version: {VERSION}`"));
        return None;
    }
    let mut dataset_places = BTreeMap::new();
    let datasets = datasets::datasets(&raw.datasets, &mut dataset_places, findings);
    let harmless_foreign = datasets::harmless_foreign(&raw.harmless_foreign, findings);
    let declassified = datasets::declassified(&raw.declassified, findings);
    let people = People::new(&raw.who, findings);
    let names = rules::Names { people: &people, datasets: &dataset_places, findings };
    let placed = all_rules(&raw, &names);
    let detect = detections::detect(raw.detect.as_ref(), &names);
    let defaults = match raw.defaults.as_ref().map(|defaults| &defaults.0) {
        None => defaults(&RawDefaults::default(), findings),
        Some(Some(written)) => defaults(written, findings),
        Some(None) => None,
    };
    // Where a rule could not be read, nobody knows which names there are.
    let rule_names: Option<BTreeSet<&str>> =
        raw.rules.iter().map(|rule| rule.0.as_ref().map(|rule| rule.value.name.value.as_str())).collect();
    let cases = cases::cases(&raw.tests, rule_names.as_ref(), findings);
    let tables = cases::tables(&raw.tables, findings);
    if findings.is_usable() {
        overlap::tell(&placed, findings);
        people.tell_unused();
        tell_unused_datasets(&dataset_places, &placed, findings);
    }
    Some(PolicySet {
        hash: hash(text),
        file: file.into(),
        observe: raw.mode.is_some_and(|mode| mode.0 == Some(RawMode::Observe)),
        datasets,
        harmless_foreign,
        declassified,
        rules: placed.into_iter().map(|placed| placed.rule).collect(),
        defaults: defaults?,
        detect: detect?,
        cases,
        tables,
    })
}

fn all_rules<'a>(raw: &'a RawPolicy, names: &rules::Names<'a>) -> Vec<rules::Placed> {
    let mut places: BTreeMap<&str, Place> = BTreeMap::new();
    let mut placed = Vec::new();
    for rule in raw.rules.iter().filter_map(|rule| rule.0.as_ref()) {
        if placed.len() >= RULES_MAX {
            let hint = "let one rule speak of several groups and datasets";
            names.findings.error(rule.at, format!("there are more than {RULES_MAX} rules"), hint);
            break;
        }
        let name = &rule.value.name;
        if OWN_PREFIXES.iter().any(|prefix| name.value.starts_with(prefix)) {
            let hint = "records name the defaults and detections like this: begin with something else";
            names.findings.error(name.at, format!("a rule cannot be called {}", shown(&name.value)), hint);
        }
        if let Some(first) = places.insert(&name.value, name.at) {
            let message = format!("the rule {} stands here twice, first in line {}", shown(&name.value), first.line);
            names.findings.error(name.at, message, "rename one of them");
        }
        placed.extend(rules::rule(rule, names));
    }
    placed
}

fn defaults(raw: &RawDefaults, findings: &Findings) -> Option<Defaults> {
    let unclassified_egress = match &raw.unclassified_egress {
        None => None,
        Some(written) => Some(egress(written, findings)?),
    };
    Some(Defaults {
        unmatched_sensitive: raw.unmatched_sensitive.unwrap_or(Then::Alert),
        unfollowed_copy: raw.unfollowed_copy.unwrap_or(Then::Refuse),
        opaque_sensitive: raw.opaque_sensitive.unwrap_or(Then::Refuse),
        unknown_person: raw.unknown_person.unwrap_or(Then::Refuse),
        unclassified_egress,
        on_store_failure: raw.on_store_failure.unwrap_or(OnStoreFailure::Refuse),
    })
}

fn egress(raw: &At<RawEgress>, findings: &Findings) -> Option<Egress> {
    let RawEgress { bytes, per, then } = &raw.value;
    if then.value == Then::Allow {
        let message = "a backstop that allows more does nothing";
        findings.error(then.at, message, "use `alert` or `refuse`, or remove `unclassified-egress`");
    }
    Some(Egress { bytes: rules::amount_of(bytes, Unit::Bytes, findings)?, window: per.value, then: then.value })
}

fn tell_unused_datasets(places: &BTreeMap<&str, Place>, rules: &[rules::Placed], findings: &Findings) {
    let names = |placed: &rules::Placed| placed.rule.datasets.clone().unwrap_or_default();
    let used: BTreeSet<Arc<str>> = rules.iter().flat_map(names).collect();
    for (name, at) in places {
        if !used.contains(*name) {
            let hint = "only the defaults decide about it: name it in a rule";
            findings.warning(*at, format!("no rule names the dataset {}", shown(name)), hint);
        }
    }
}

/// A name that can stand in messages and metrics; tells when it cannot.
fn name_of(name: &At<String>, what: &str, findings: &Findings) -> Option<Arc<str>> {
    let text = name.value.as_str();
    let problem = if text.trim() != text || text.is_empty() {
        "is empty, or begins or ends with a space"
    } else if text.chars().any(char::is_control) {
        "has a control character in it"
    } else if text.chars().count() > NAME_CHARS_MAX {
        "is too long"
    } else {
        return Some(text.into());
    };
    let hint = format!("names have 1 to {NAME_CHARS_MAX} characters on one line");
    findings.error(name.at, format!("the name {} of a {what} {problem}", shown(text)), hint);
    None
}

fn hash(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
