//! What each execution tells of how its person works, handed to what looks at behaviour.
//!
//! What must never happen here: a value that leaves this file in clear. Tenants and terms are hashed with the key of
//! record keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use weir_policy::detect::{Observation, PARTS_MAX, Reach, Stage, Tenant, Term, Trip, Watched, table_hash};
use weir_policy::exposure::Manner;
use weir_policy::statement::{Access, Analysis, RelationUse};
use weir_policy::verdict::Denial;

use super::Gate;
use crate::audit::words;
use crate::budgets;
use crate::canaries::Trap;
use crate::session::execution::Execution;

/// Terms of one statement that are looked at.
const TERMS_MAX: usize = 32;
/// Parameters that are looked at for terms.
const PARAMETERS_MAX: usize = 32;
/// Letters that a term has at least: less is a flag, and no search.
const TERM_LETTERS_MIN: usize = 3;
/// Longest term, bytes.
const TERM_BYTES_MAX: usize = 256;
/// Schemas of the servers' own that say what there is.
const CATALOGS: [&str; 5] = ["pg_catalog", "information_schema", "mysql", "performance_schema", "sys"];
/// How MySQL's statements about the catalog begin.
/// <https://dev.mysql.com/doc/refman/en/show.html>
const LISTINGS: [&str; 11] = [
    "show tables",
    "show full tables",
    "show table status",
    "show databases",
    "show schemas",
    "show columns",
    "show full columns",
    "show fields",
    "show create",
    "describe ",
    "desc ",
];

impl Gate {
    /// Takes up that the session has opened.
    pub(super) fn arrive(&mut self) {
        let seen = Observation { stage: Stage::Arrival, ..Observation::default() };
        let at = self.mind.shared.budgets.clock().moment();
        let in_force = self.mind.shared.policies.current();
        let watched = {
            let mut ledger = budgets::lock(&self.ledger);
            let mut peers = self.mind.shared.budgets.peers();
            in_force.set.observe(&self.mind.who, &seen, &mut ledger, &mut peers, &at)
        };
        for alert in &watched.alerts {
            self.mind.alert_aside(alert);
        }
        let ledger = budgets::lock(&self.ledger);
        self.is_strange = ledger.habits().is_strange(self.mind.who.source, at.now);
    }

    /// Looks at a statement before it runs.
    ///
    /// # Errors
    /// The denial, where policy lets nobody do what is so unusual.
    pub(super) fn observe_before(&mut self, execution: &mut Execution) -> Result<(), Denial> {
        if execution.is_observed {
            return Ok(());
        }
        execution.is_observed = true;
        let mut seen = Observation { stage: Stage::Before, ..Observation::default() };
        let accesses = execution.exposure.accesses().iter().copied();
        seen.privileges = accesses.filter(|access| !matches!(access, Access::Read | Access::Write)).collect();
        seen.reached = reached(execution);
        seen.terms = self.terms(execution);
        if self.is_strange {
            (seen.lists_catalog, seen.tables) = surroundings(&execution.understood.analysis);
        }
        words::add(&mut execution.observed, words::observed(&seen));
        self.observe(execution, &seen).map_or(Ok(()), Err)
    }

    /// Looks at a statement that reaches nothing sensitive: from a strange place it tells something all the same.
    ///
    /// # Errors
    /// As [`observe_before`](Gate::observe_before).
    pub(super) fn look_around(&mut self, execution: &mut Execution) -> Result<(), Denial> {
        if self.is_strange { self.observe_before(execution) } else { Ok(()) }
    }

    /// Looks at a statement that has ended and is settled.
    pub(super) fn observe_after(&mut self, execution: &mut Execution) {
        let mut taken: Vec<Arc<str>> = execution.settled.iter().map(|line| line.dataset.clone()).collect();
        taken.sort();
        taken.dedup();
        let tenants = std::mem::take(&mut execution.tenants);
        if taken.is_empty() && tenants.is_empty() {
            return;
        }
        let tenants = tenants.into_iter().map(|(dataset, hash)| Tenant { dataset, hash }).collect();
        let seen = Observation { stage: Stage::After, tenants, taken, ..Observation::default() };
        words::add(&mut execution.observed, words::observed(&seen));
        self.observe(execution, &seen);
    }

    fn observe(&mut self, execution: &mut Execution, seen: &Observation) -> Option<Denial> {
        let at = self.mind.shared.budgets.clock().moment();
        let watched = {
            let mut ledger = budgets::lock(&self.ledger);
            let mut peers = self.mind.shared.budgets.peers();
            execution.in_force.set.observe(&self.mind.who, seen, &mut ledger, &mut peers, &at)
        };
        self.follow(execution, watched)
    }

    fn follow(&mut self, execution: &mut Execution, watched: Watched) -> Option<Denial> {
        execution.basis.extend(watched.basis);
        for alert in &watched.alerts {
            self.tell(execution, alert);
        }
        watched.denial
    }

    /// Follows up the first canary among rows that are about to leave: how many rows may leave before it, and why no
    /// more; `None` where all may.
    pub(super) fn trap(&mut self, execution: &mut Execution) -> Option<(usize, Denial)> {
        let width = execution.plan.width();
        if width == 0 || !execution.plan.has_traps() {
            return None;
        }
        let mut sprung: Vec<(usize, usize, Trap)> = Vec::new();
        for (row, keys) in self.keys.chunks(width).enumerate() {
            for (lane, key) in keys.iter().enumerate() {
                if let Some(trap) = execution.plan.trap(lane, *key)
                    && !sprung.iter().any(|(_, _, known)| known == trap)
                {
                    sprung.push((row, lane, trap.clone()));
                }
            }
        }
        for (row, lane, trap) in sprung {
            let Some((dataset, relation)) = execution.plan.lane(lane).cloned() else { continue };
            let at = self.mind.shared.budgets.clock().moment();
            let trip = Trip { index: trap.index, label: &trap.label, dataset: &dataset, relation: &relation };
            let watched = {
                let mut ledger = budgets::lock(&self.ledger);
                let mut peers = self.mind.shared.budgets.peers();
                execution.in_force.set.trip(&self.mind.who, trip, &mut ledger, &mut peers, &at)
            };
            if let Some(mut denial) = self.follow(execution, watched) {
                denial.basis.outcome = weir_policy::verdict::Outcome::Cut;
                return Some((row, denial));
            }
        }
        None
    }

    /// What a statement searches for: the words among its values, where it searches at all.
    fn terms(&self, execution: &Execution) -> Vec<Term> {
        let datasets = execution.exposure.searched();
        let Some(known) = execution.known.as_ref().filter(|_| !datasets.is_empty()) else { return Vec::new() };
        let mut terms: BTreeSet<String> = BTreeSet::new();
        for index in 0..known.shape.literals.len().min(TERMS_MAX) {
            terms.extend(known.literal(index).as_deref().and_then(term));
        }
        if let Some(values) = &execution.values {
            for parameter in 0..PARAMETERS_MAX {
                let mut value = Vec::new();
                if values.canonical(parameter, &mut value) {
                    terms.extend(term(&value));
                }
            }
        }
        let budgets = &self.mind.shared.budgets;
        let of = |dataset: &Arc<str>| {
            let hash = |term: &String| budgets.hash_of(&[b"term", dataset.as_bytes(), term.as_bytes()]);
            terms.iter().map(|term| Term { dataset: dataset.clone(), hash: hash(term) }).collect::<Vec<_>>()
        };
        datasets.iter().flat_map(of).take(PARTS_MAX).collect()
    }
}

/// A value as a term: lower case, without wildcards and space around it; `None` where it is no word.
fn term(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= TERM_BYTES_MAX)?;
    let bare =
        text.trim_matches(|letter: char| matches!(letter, '%' | '_' | '*' | '+' | '"') || letter.is_whitespace());
    let letters = bare.chars().filter(|letter| letter.is_alphabetic()).count();
    (letters >= TERM_LETTERS_MIN).then(|| bare.to_lowercase())
}

fn reached(execution: &Execution) -> Vec<Reach> {
    let reach = |exposed: &weir_policy::exposure::Exposed| Reach {
        dataset: exposed.dataset.clone(),
        relation: exposed.relation.clone(),
        access: exposed.access,
        columns: exposed.columns.clone(),
        leaves: exposed.manner != Manner::Used,
        by_key: exposed.pin.is_some(),
    };
    execution.exposure.touched().iter().take(PARTS_MAX).map(reach).collect()
}

/// Whether a text reads the catalog, and which other relations it reads.
fn surroundings(analysis: &Analysis) -> (bool, Vec<u64>) {
    let words = analysis.redacted.split_whitespace().take(3).collect::<Vec<_>>().join(" ").to_lowercase() + " ";
    let mut lists = LISTINGS.iter().any(|listing| words.starts_with(listing));
    let mut tables = BTreeSet::new();
    let uses = analysis.statements.iter().flat_map(|statement| &statement.uses);
    for used in uses.filter(|used| matches!(used.access, Access::Read | Access::Export) && !used.kin) {
        let (database, schema, name) = place(used);
        if CATALOGS.contains(&schema.to_lowercase().as_str()) {
            lists = true;
        } else if tables.len() < PARTS_MAX {
            tables.insert(table_hash(&database, &schema, &name));
        }
    }
    (lists, tables.into_iter().collect())
}

fn place(used: &RelationUse) -> (String, String, String) {
    match &used.relation {
        Some(id) => (id.database.to_string(), id.schema.to_string(), id.name.to_string()),
        None => (String::new(), used.written.schema.clone().unwrap_or_default(), used.written.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_words_without_their_wildcards() {
        assert_eq!(term(b"%Acme Corp%").as_deref(), Some("acme corp"));
        assert_eq!(term(b"+acme*").as_deref(), Some("acme"));
        for none in [&b"2026-11-24"[..], b"%a%", b"", b"\xff\xff\xff", b"17"] {
            assert_eq!(term(none), None);
        }
    }
}
