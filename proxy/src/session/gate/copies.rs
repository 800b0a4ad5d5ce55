//! Copies: their targets are labelled before the statement is forwarded, and what was charged by estimate is made up for
//! when the server has said how many rows there were.
//!
//! What must never happen here: a copy that is on its way while its label is not durable.

use weir_audit_store::event::{Body, Charge, Decision as Decided, Denial as Denied};
use weir_audit_store::{StoreError, Urgency};
use weir_policy::budget::{Unit, Window};
use weir_policy::copies::Label;
use weir_policy::ledger::Replay;
use weir_policy::relation::Engine;
use weir_policy::statement::Verb;
use weir_wire::Refusal;

use super::Gate;
use super::telling::dedup;
use crate::budgets;
use crate::copies::{By, LABELS_MAX};
use crate::session::execution::Execution;

/// SQLSTATE when no more copies can be told apart: `configuration_limit_exceeded`.
const NO_ROOM: &str = "53400";

impl Gate {
    /// Why a copy cannot be made: nobody could remember what it holds.
    pub(super) fn no_room_for_copies(&mut self, execution: &mut Execution) -> Option<Refusal> {
        let copies = execution.exposure.copies().len();
        if copies == 0 || execution.in_force.set.observes() || self.mind.shared.copies.has_room(copies) {
            return None;
        }
        let refusal = Refusal::new(
            NO_ROOM,
            format!("weir keeps track of {LABELS_MAX} copies of sensitive data, and there are as many"),
            "drop copies that nobody needs; `weir catalog` lists them",
        );
        let denied = Denied {
            code: "copies-full".to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        };
        let mut event = self.mind.event(Body::Denial(denied), Some(execution));
        event.decision = Some(Decided::Deny);
        self.mind.shared.recorder.note(&event, Urgency::Durable);
        Some(refusal)
    }

    /// Labels what an execution that may run copies into; returns the record to wait for, 0 for none.
    ///
    /// # Errors
    /// Why a label cannot be recorded.
    pub(super) fn label_copies(&mut self, execution: &mut Execution) -> Result<u64, StoreError> {
        if execution.exposure.copies().is_empty() {
            return Ok(0);
        }
        let copies = execution.exposure.copies().to_vec();
        execution.own_copies = self.mind.own_targets(&copies);
        execution.own_copies.sort_unstable();
        execution.own_copies.dedup();
        let labels: Vec<Label> = self.mind.labels(&copies);
        let by = By { person: &self.mind.who.person, statement: &execution.id, time_ms: budgets::wall_ms() };
        let upstream = self.mind.upstream().to_owned();
        let (records, ids) = self.mind.shared.copies.add(&upstream, &self.mind.catalog().catalog, labels, &by);
        self.unsettled.extend(ids);
        let mut wait = 0;
        for record in records {
            let event = self.mind.event(record, Some(execution));
            wait = self.mind.shared.recorder.append(&event, Urgency::Durable)?;
        }
        Ok(wait)
    }

    /// The transactions of this session that were to make copies are over.
    pub(super) fn settle_copies(&mut self) {
        if !self.unsettled.is_empty() {
            let ids = std::mem::take(&mut self.unsettled);
            let upstream = self.mind.upstream().to_owned();
            self.mind.shared.copies.settle(&upstream, &self.mind.catalog().catalog, &ids);
        }
    }

    /// Charges what was copied beyond the estimate, and remembers what is in relations of the session's own. `tag`: what
    /// the server said of the statement's end.
    pub(super) fn correct_copies(&mut self, execution: &mut Execution, tag: &str) {
        self.forget_dropped(execution);
        if execution.understood.analysis.redacted.starts_with("prepare transaction ") {
            // It is not over: another session may commit it. Until then its copies are what their names say.
            self.unsettled.clear();
        }
        let copied: Vec<_> = execution.exposure.touched().iter().filter(|exposed| exposed.copied).cloned().collect();
        if copied.is_empty() && execution.own_copies.is_empty() {
            return;
        }
        let rows = match execution.understood.analysis.statements.as_slice() {
            [only] => rows_of(only.verb, tag),
            // Nobody says which of them wrote how many.
            _ => None,
        };
        let mut beyond = false;
        let mut datasets: Vec<_> = copied.iter().map(|exposed| exposed.dataset.clone()).collect();
        datasets.dedup();
        for dataset in datasets {
            let mut charged: Vec<(&_, u64)> = Vec::new();
            for exposed in copied.iter().filter(|exposed| exposed.dataset == dataset) {
                match charged.iter_mut().find(|(relation, _)| **relation == exposed.relation) {
                    Some((_, known)) => *known = (*known).max(exposed.rows_estimate),
                    None => charged.push((&exposed.relation, exposed.rows_estimate)),
                }
            }
            let estimate = charged.iter().fold(0_u64, |sum, (_, records)| sum.saturating_add(*records));
            let more = rows.unwrap_or(0).saturating_sub(estimate);
            beyond |= more > 0;
            if let (true, Some((relation, _))) = (more > 0, charged.first()) {
                self.charge_more(execution, &dataset, &relation.to_string(), more);
            }
        }
        for name in std::mem::take(&mut execution.own_copies) {
            self.mind.copied(&name, &execution.exposure, beyond || rows.is_none());
        }
    }

    fn charge_more(&mut self, execution: &mut Execution, dataset: &str, relation: &str, more: u64) {
        self.replace_meter(execution);
        let at = self.mind.shared.budgets.clock().now();
        budgets::lock(&self.ledger).replay(&Replay { dataset, at, keys: &[], unkeyed: more, rows: 0, bytes: 0 });
        execution.charged.push(Charge {
            dataset: dataset.to_owned(),
            relation: relation.to_owned(),
            keys: String::new(),
            unkeyed: more,
            rows: 0,
            bytes: 0,
        });
        if let Some(line) = execution.settled.iter_mut().find(|line| *line.dataset == *dataset) {
            line.records = line.records.saturating_add(more);
            for basis in line.basis.iter_mut().filter(|basis| basis.unit == Unit::Records.into()) {
                if basis.window != Some(Window::Statement) {
                    basis.after = basis.after.saturating_add(more);
                }
            }
        }
        dedup(&mut execution.basis);
        tracing::info!(statement = %execution.id, dataset, more, "more was copied than the estimate had charged");
    }

    /// MySQL has no numbers by which a table that is made anew could be told from the one before.
    fn forget_dropped(&mut self, execution: &Execution) {
        let analysis = &execution.understood.analysis;
        let [statement] = analysis.statements.as_slice() else { return };
        let drops = self.mind.engine() == Engine::Mysql
            && statement.verb == Verb::Ddl
            && analysis.redacted.starts_with("drop table ")
            && execution.understood.others.is_empty();
        if !drops {
            return;
        }
        let upstream = self.mind.upstream().to_owned();
        for id in statement.uses.iter().filter_map(|used| used.relation.as_ref()) {
            let catalog = &self.mind.catalog().catalog;
            for record in self.mind.shared.copies.dropped(&upstream, catalog, &id.schema, &id.name) {
                self.mind.shared.recorder.note(&self.mind.event(record, Some(execution)), Urgency::Relaxed);
            }
        }
    }
}

/// How many rows the server says that a statement has written: `INSERT 0 7`, `SELECT 7`, `OK 7`. Nothing where it counts
/// something else: the rows that a SELECT returns which has an INSERT within it.
///
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COMMANDCOMPLETE>
fn rows_of(verb: Verb, tag: &str) -> Option<u64> {
    let (first, rows) = (tag.split(' ').next()?, tag.rsplit_once(' ')?.1);
    let counts = match first {
        "OK" => true,
        "INSERT" => verb == Verb::Insert,
        "UPDATE" => verb == Verb::Update,
        "MERGE" => verb == Verb::Merge,
        "COPY" => verb == Verb::Copy,
        // CREATE TABLE AS and SELECT INTO.
        "SELECT" => matches!(verb, Verb::Ddl | Verb::Select),
        _ => false,
    };
    rows.parse().ok().filter(|_| counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_say_how_many_rows_were_written() {
        for (verb, tag, rows) in [
            (Verb::Insert, "INSERT 0 7", Some(7)),
            (Verb::Ddl, "SELECT 12", Some(12)),
            (Verb::Insert, "SELECT 12", None),
            (Verb::Update, "OK 3", Some(3)),
            (Verb::Ddl, "CREATE TABLE", None),
            (Verb::Select, "EOF", None),
        ] {
            assert_eq!(rows_of(verb, tag), rows, "{tag}");
        }
    }
}
