//! The end of an execution, however it comes: its meter is settled, its completion recorded, and what its text changed
//! for later statements is applied.

use weir_audit_store::Urgency;
use weir_audit_store::event::{Body, Charge, Completion, Decision as Decided, Outcome as Ended, SessionEnd};
use weir_policy::relation::Engine;
use weir_policy::statement::SessionAct;
use weir_wire::Outcome;

use super::Gate;
use super::telling::{decided, dedup, outcome_word};
use crate::audit::words;
use crate::session::SessionEngine;
use crate::session::execution::Execution;
use crate::session::names::{Applied, Forgets, forgets, forgets_portals};
use crate::telemetry;

impl Gate {
    /// An execution has ended.
    pub fn finished(&mut self, mut execution: Execution, outcome: &Outcome, engine: &mut impl SessionEngine) {
        self.suspend(&execution, outcome);
        if let Outcome::Error(sqlstate) = outcome {
            self.ask_afterwards(&mut execution, Some(sqlstate));
        } else if *outcome != Outcome::Skipped {
            self.ask_afterwards(&mut execution, None);
        }
        match outcome {
            Outcome::Skipped => {}
            Outcome::Complete(_) | Outcome::Suspended => self.change(&execution, Applied::Surely, engine),
            Outcome::Error(_) | Outcome::Cut => self.change(&execution, Applied::Perhaps, engine),
        }
        let (ended, sqlstate, tag) = match outcome {
            Outcome::Complete(tag) => (Ended::Complete, None, Some(tag.clone())),
            Outcome::Suspended => (Ended::Complete, None, Some("suspended".to_owned())),
            // query_canceled, or query_interrupted: by the client, a time-out of the server, an operator.
            Outcome::Error(sqlstate) if matches!(sqlstate.as_str(), "57014" | "70100") => {
                (Ended::Cancelled, Some(sqlstate.clone()), None)
            }
            Outcome::Error(sqlstate) => (Ended::Error, Some(sqlstate.clone()), None),
            Outcome::Cut => (Ended::Cut, None, None),
            Outcome::Skipped => (Ended::Error, None, Some("skipped".to_owned())),
        };
        if let Outcome::Complete(tag) = outcome {
            self.correct_copies(&mut execution, tag);
        }
        self.keep_in_mind(&execution);
        self.complete(&mut execution, ended, sqlstate, tag);
    }

    /// The session is over; what still ran ends here.
    pub fn abandon(&mut self, executions: Vec<Execution>, ended: Ended) {
        let parked = self.parked.take().map(|(execution, _)| *execution);
        let aside = self.aside.take().map(|execution| *execution);
        for mut execution in executions.into_iter().chain(parked).chain(aside) {
            self.complete(&mut execution, ended, None, None);
        }
        self.settle_copies();
    }

    /// The session has ended; what doors were charged that no statement's record has taken up stands with it.
    pub fn session_ended(&mut self, end: SessionEnd) {
        let mut event = self.mind.event(Body::SessionEnd(end), None);
        event.charged = std::mem::take(&mut self.spent);
        self.mind.shared.recorder.note(&event, Urgency::Relaxed);
    }

    pub(super) fn complete(
        &mut self,
        execution: &mut Execution,
        ended: Ended,
        sqlstate: Option<String>,
        tag: Option<String>,
    ) {
        let ended = if execution.cut.is_some() { Ended::Cut } else { ended };
        let charged = self.settle(execution);
        self.observe_after(execution);
        for line in &execution.settled {
            execution.basis.extend(line.basis.iter().cloned());
            telemetry::records_released(&line.dataset, line.records);
        }
        if let Some(denial) = &execution.cut {
            execution.basis.push(denial.basis.clone());
        }
        dedup(&mut execution.basis);
        let duration = execution.started.elapsed();
        let body = Body::Completion(Completion {
            outcome: ended,
            rows: execution.rows,
            bytes: execution.bytes,
            records: words::counts(&execution.settled),
            doors: execution.doors.as_ref().map(|doors| words::doors(doors)).unwrap_or_default(),
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            sqlstate,
            tag,
        });
        let mut event = self.mind.event(body, Some(execution));
        event.extractions = self.taken(execution);
        event.questions = std::mem::take(&mut execution.questions);
        event.observed = execution.observed.take();
        event.charged = charged;
        event.charged.append(&mut self.spent);
        event.basis = words::basis(&execution.basis);
        let is_withheld = execution.doors.as_ref().is_some_and(|doors| doors.withheld.is_some());
        event.decision =
            Some(if ended == Ended::Cut || is_withheld { Decided::Cut } else { decided(&execution.basis) });
        let urgency = if execution.cut.is_some() || is_withheld { Urgency::Durable } else { Urgency::Relaxed };
        self.mind.shared.recorder.note(&event, urgency);
        self.rows = self.rows.saturating_add(execution.rows);
        self.bytes = self.bytes.saturating_add(execution.bytes);
        telemetry::executed(outcome_word(ended), execution.rows, execution.bytes);
    }

    /// Gives back what was reserved; returns what was charged and not recorded yet.
    pub(super) fn settle(&mut self, execution: &mut Execution) -> Vec<Charge> {
        self.replace_meter(execution);
        self.settle_doors(execution);
        std::mem::take(&mut execution.charged)
    }

    pub(super) fn change(&mut self, execution: &Execution, applied: Applied, engine: &mut impl SessionEngine) {
        let understood = &execution.understood;
        let mut acts = understood.analysis.statements.iter().flat_map(|statement| &statement.acts);
        // A setting with a dot in its name is a variable of somebody's own.
        if acts.any(|act| matches!(act, SessionAct::Set { name, .. } if name.contains('.'))) {
            self.settings += 1;
        }
        self.mind.apply(understood, &execution.exposure, applied);
        match forgets_portals(&understood.analysis) {
            Forgets::Nothing => {}
            Forgets::Some(names) => names.iter().for_each(|name| engine.forget_portal(Some(name))),
            Forgets::All => engine.forget_portal(None),
        }
        // MySQL's protocol numbers its statements, and SQL cannot reach them.
        if self.mind.engine() == Engine::Mysql && !understood.starts_over() {
            return;
        }
        match forgets(&understood.analysis) {
            Forgets::Nothing => {}
            Forgets::Some(names) => names.iter().for_each(|name| engine.forget(Some(name))),
            Forgets::All => engine.forget(None),
        }
    }
}
