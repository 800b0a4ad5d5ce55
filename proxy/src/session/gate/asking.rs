//! What an execution asks of values that it does not let out, held against what its person asked before.
//!
//! INVARIANT: whatever the values of a question are not known for certain is taken for one that was never asked before.

use std::sync::Arc;

use weir_policy::detect::{Question, SEARCH_ROWS_MAX, Watched};
use weir_policy::exposure::{Asked, Asking};
use weir_policy::relation::Engine;
use weir_policy::verdict::Denial;

use super::Gate;
use crate::audit::words;
use crate::budgets;
use crate::session::execution::Execution;

/// Longest values that are hashed, bytes; what is longer is no question that was asked before.
const VALUES_BYTES_MAX: usize = 64 * 1024;

/// What one execution asks.
#[derive(Debug)]
pub struct Asks {
    asked: Vec<Asked>,
    shape: u64,
    values: u64,
}

impl Gate {
    /// Counts what the execution asks and tells what is too much.
    ///
    /// # Errors
    /// The denial, where policy lets nobody ask that much.
    pub(super) fn ask(&mut self, execution: &mut Execution) -> Result<(), Denial> {
        if execution.asks.is_some() {
            return Ok(());
        }
        let asked = asked_by(execution);
        if asked.is_empty() {
            return Ok(());
        }
        let asks = Asks { asked, shape: shape(execution), values: self.values(execution) };
        let denial = self.watch(execution, &asks, false);
        execution.asks = Some(asks);
        denial.map_or(Ok(()), Err)
    }

    /// What only the end shows to be a question: a search that found very many, and a value that became an error.
    pub(super) fn ask_afterwards(&mut self, execution: &mut Execution, sqlstate: Option<&str>) {
        let found_many = execution.rows > SEARCH_ROWS_MAX;
        if let Some(asks) = execution.asks.take() {
            let searches: Vec<Asked> =
                asks.asked.iter().filter(|asked| asked.asking == Asking::Search).cloned().collect();
            if found_many && !searches.is_empty() {
                self.watch(execution, &Asks { asked: searches, ..asks }, true);
            }
        }
        // A value that was computed on did not leave: that it failed tells something of it.
        if sqlstate.is_some_and(is_of_data) && execution.rows == 0 {
            let asked = failed_on(execution);
            if !asked.is_empty() {
                let asks = Asks { asked, shape: shape(execution), values: self.values(execution) };
                self.watch(execution, &asks, false);
            }
        }
    }

    fn watch(&mut self, execution: &mut Execution, asks: &Asks, found_many: bool) -> Option<Denial> {
        let question = Question { asked: &asks.asked, shape: asks.shape, values: asks.values, found_many };
        let now = self.mind.shared.budgets.clock().now();
        let Watched { denial, alerts, basis, notes } = {
            let mut ledger = budgets::lock(&self.ledger);
            execution.in_force.set.watch(&self.mind.who, &question, &mut ledger, now)
        };
        execution.questions.extend(notes.iter().map(|note| words::question(note, &asks.asked)));
        execution.basis.extend(basis);
        for alert in &alerts {
            self.tell(execution, alert);
        }
        denial
    }

    /// A hash of the values that a question is asked with.
    fn values(&self, execution: &Execution) -> u64 {
        let budgets = &self.mind.shared.budgets;
        let mut bytes = Vec::new();
        if is_certain(execution, self.mind.engine()) && put_values(execution, &mut bytes) {
            return budgets.hash_of(&[&bytes, &self.settings.to_be_bytes()]);
        }
        budgets.hash_of(&[execution.id.as_bytes()])
    }
}

/// Whether the text and the binding say with which values it runs. What a name stands for, a variable or a setting may
/// hold other values each time.
fn is_certain(execution: &Execution, engine: Engine) -> bool {
    let text = &execution.understood.analysis.redacted;
    let reads_variables = match engine {
        Engine::Postgres => text.contains("current_setting"),
        Engine::Mysql => {
            let alone = |(at, _): (usize, &str)| !text[..at].ends_with('@') && !text[at + 1..].starts_with('@');
            text.match_indices('@').any(alone)
        }
    };
    execution.understood.pins_are_own && !execution.understood.uses_names && !reads_variables
}

fn put_values(execution: &Execution, out: &mut Vec<u8>) -> bool {
    let Some((known, text)) = execution.known.as_ref().and_then(|known| Some((known, known.text.as_deref()?))) else {
        return false;
    };
    for literal in &known.shape.literals {
        let Some(raw) = text.get(literal.range.clone()) else { return false };
        out.extend_from_slice(&raw.len().to_be_bytes());
        out.extend_from_slice(raw);
        if out.len() > VALUES_BYTES_MAX {
            return false;
        }
    }
    match &execution.values {
        Some(values) => values.put_all(out) && out.len() <= VALUES_BYTES_MAX,
        // A text by itself has no other values.
        None => true,
    }
}

/// Texts that differ in values only have this in common.
fn shape(execution: &Execution) -> u64 {
    let key = execution.known.as_ref().map(|known| known.shape.key);
    key.map_or(0, |key| key.iter().take(8).fold(0, |shape, byte| (shape << 8) | u64::from(*byte)))
}

/// What all statements of the text ask together.
fn asked_by(execution: &Execution) -> Vec<Asked> {
    let parts = execution.understood.exposures.iter().flat_map(|exposure| exposure.asked());
    gathered(parts.cloned())
}

/// Whose values a statement that failed was to let out.
fn failed_on(execution: &Execution) -> Vec<Asked> {
    let leaving = execution.exposure.touched().iter().filter(|exposed| exposed.reads > 0);
    gathered(leaving.map(|exposed| Asked {
        dataset: Arc::clone(&exposed.dataset),
        relation: exposed.relation.clone(),
        columns: exposed.columns.clone(),
        asking: Asking::Parts,
        weight: 1,
    }))
}

/// Once for each dataset, relation and kind, with the weights of all.
fn gathered(parts: impl Iterator<Item = Asked>) -> Vec<Asked> {
    let mut found: Vec<Asked> = Vec::new();
    for asked in parts {
        let same = |known: &&mut Asked| {
            known.dataset == asked.dataset && known.relation == asked.relation && known.asking == asked.asking
        };
        match found.iter_mut().find(same) {
            Some(known) => {
                known.weight = known.weight.saturating_add(asked.weight);
                known.columns.extend(asked.columns);
                known.columns.sort_unstable();
                known.columns.dedup();
            }
            None => found.push(asked),
        }
    }
    found
}

/// Whether an error depends on values: data exceptions and violated cardinalities. MySQL's functions have only the
/// general one. <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn is_of_data(sqlstate: &str) -> bool {
    sqlstate.starts_with("22") || sqlstate.starts_with("21") || sqlstate == "HY000"
}
