//! The only place where a decision becomes a step of the engine.
//!
//! INVARIANT: every execution passes here twice: before its message goes upstream, and with each batch of its rows
//! before they go to the client. INVARIANT: rows of a sensitive relation are charged, and the record that says so is
//! durable, before they are released; whatever prevents that ends the result.

mod telling;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use weir_audit_store::event::{Body, Completion, Decision as Decided, Denial as Denied, Leases, Outcome as Ended};
use weir_audit_store::{StoreError, Urgency};
use weir_policy::exposure::Exposure;
use weir_policy::meter::{ChargedLine, LeaseLine, RowBatch, Then};
use weir_policy::relation::Engine;
use weir_policy::rule::OnStoreFailure;
use weir_policy::statement::Verb;
use weir_policy::verdict::{Decision, Denial, Outcome as Came};
use weir_wire::step::Running;
use weir_wire::{Command, Outcome, Refusal, Run, Shape, Transaction, Values};

use super::SessionEngine;
use super::execution::{Execution, Handle, KeyPlan, Known};
use super::mind::Mind;
use super::names::{Applied, Forgets, forgets, forgets_portals};
use crate::analyses::Understood;
use crate::audit::words;
use crate::budgets::{self, SharedLedger};
use crate::config::Durability;
use crate::route::Route;
use crate::telemetry;

use telling::{decided, dedup, outcome_word, refusal};

/// SQLSTATE while the audit log cannot be written: `io_error`.
const NO_RECORD: &str = "58030";

/// Whether a message may go upstream.
pub enum Judgement {
    /// It may.
    Forward(Box<Execution>),
    /// It may not.
    Refuse(Refusal),
    /// Not before the record of this sequence is durable.
    Park(u64),
    /// Not before the catalog is read again.
    Renew,
}

/// How much of a batch of rows may leave.
pub enum Release {
    /// All of it.
    All,
    /// So many bytes of whole rows; the rest when the record of this sequence is durable.
    Part {
        /// Bytes that may leave now.
        bytes: usize,
        /// Sequence that is waited for.
        wait: u64,
    },
    /// So many bytes of whole rows; then the result ends for the client.
    Cut {
        /// Bytes that may leave.
        bytes: usize,
        /// What the client is told.
        refusal: Refusal,
    },
}

/// Whether FunctionCall messages pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionCalls {
    /// They do.
    Allowed,
    /// They do not: they call a function by number, past everything that reads SQL.
    Refused,
}

/// Decides for one session.
pub struct Gate {
    mind: Mind,
    ledger: SharedLedger,
    function_calls: FunctionCalls,
    /// Requests that are not SQL and pass all the same, by name.
    allowed_commands: Arc<[String]>,
    /// Whether LOAD DATA LOCAL gets files of the client.
    local_infile: bool,
    durability: Durability,
    /// An execution whose record is not durable yet, and that record's sequence.
    parked: Option<(Box<Execution>, u64)>,
    /// The log takes no records; what waits for one must not wait on.
    store_failed: bool,
    transaction: Transaction,
    statements: u64,
    rows: u64,
    bytes: u64,
    keys: Vec<weir_policy::ledger::RecordKey>,
    row_bytes: Vec<u32>,
}

impl Gate {
    /// A gate for an open session.
    pub fn new(mind: Mind, route: &Route, durability: Durability) -> Gate {
        Gate {
            ledger: mind.shared.budgets.ledger(&mind.who.person),
            mind,
            function_calls: route.function_calls,
            allowed_commands: Arc::clone(&route.allowed_commands),
            local_infile: route.local_infile,
            durability,
            parked: None,
            store_failed: false,
            transaction: Transaction::Idle,
            statements: 0,
            rows: 0,
            bytes: 0,
            keys: Vec::new(),
            row_bytes: Vec::new(),
        }
    }

    /// What the session knows.
    pub fn mind(&mut self) -> &mut Mind {
        &mut self.mind
    }

    /// Statements judged, rows and bytes released so far.
    pub fn totals(&self) -> (u64, u64, u64) {
        (self.statements, self.rows, self.bytes)
    }

    /// Highest sequence that need not be waited for any more: durable, or given up.
    pub fn durable(&self) -> u64 {
        if self.store_failed { u64::MAX } else { self.mind.shared.recorder.durable() }
    }

    /// Says whether the log takes records, to a session that waits for one.
    pub fn store_failed(&mut self, failed: bool) {
        self.store_failed = failed;
    }

    /// A text that is to be prepared.
    pub fn prepare(&mut self, text: &[u8], engine: &impl SessionEngine) -> Handle {
        let known = Rc::new(self.mind.read_to_prepare(text));
        // Understood now, so that it is known which parameters are wanted.
        self.mind.understand(text, &known, engine);
        Handle(known)
    }

    /// A message that is to run something. Called again with the same one after it was parked.
    pub fn judge<E: SessionEngine>(&mut self, run: &Run<'_, Handle, E::Binding>, engine: &E) -> Judgement {
        if let Some((execution, sequence)) = self.parked.take() {
            return self.unpark(execution, sequence);
        }
        if self.store_failed {
            self.store_failed = self.mind.shared.recorder.failing().is_some();
        }
        let started = Instant::now();
        let (known, understood, values) = match run {
            Run::Text { text } => {
                let known = Rc::new(self.mind.read(text));
                let understood = self.mind.understand(text, &known, engine);
                (Some(known), understood, None)
            }
            Run::Portal { statement: Some(Handle(known)), binding, .. } => {
                let understood = match &known.text {
                    Some(text) => self.mind.understand(text, known, engine),
                    None => self.mind.understand_unkept(known),
                };
                let values = binding.as_ref().map(|binding| Arc::clone(binding) as Arc<dyn Values>);
                (Some(Rc::clone(known)), understood, values)
            }
            Run::Portal { statement: None, .. } => {
                (None, self.mind.unseen("unknown-statement", "prepared out of sight".to_owned()), None)
            }
            Run::Function { oid } => {
                if self.function_calls == FunctionCalls::Refused {
                    return Judgement::Refuse(self.no_function_calls(*oid));
                }
                (None, self.mind.unseen("function-call", format!("function {oid}")), None)
            }
            Run::Command(command) => match self.command(*command) {
                Ok(understood) => (None, understood, None),
                Err(refusal) => return Judgement::Refuse(refusal),
            },
        };
        let outdated = self.mind.must_renew() && !understood.reads_nothing();
        if outdated || (understood.misses_relation && self.mind.may_look_again()) {
            return Judgement::Renew;
        }
        self.mind.judged();
        self.statements += 1;
        let judged = self.admit(known, understood, values, started);
        telemetry::judged(
            words::verb(judged.1),
            match &judged.0 {
                Judgement::Refuse(_) => "refused",
                _ => "allowed",
            },
            started.elapsed(),
        );
        judged.0
    }

    /// Goes on with what waited for its record.
    fn unpark(&mut self, execution: Box<Execution>, sequence: u64) -> Judgement {
        let durable = self.mind.shared.recorder.durable() >= sequence;
        if durable || self.continues_without_record(&execution) {
            return Judgement::Forward(execution);
        }
        let mut execution = execution;
        let refusal = self.without_record(&execution.id);
        // Its admission may still become durable, and needs an end then.
        self.complete(&mut execution, Ended::Error, Some(NO_RECORD.to_owned()), None);
        Judgement::Refuse(refusal)
    }

    fn admit(
        &mut self,
        known: Option<Rc<Known>>,
        understood: Arc<Understood>,
        values: Option<Arc<dyn Values>>,
        started: Instant,
    ) -> (Judgement, Verb) {
        let verb = understood.verb();
        let exposure = Arc::clone(&understood.merged);
        let bound = self.mind.bound();
        let sensitive_database = bound.binding.is_sensitive();
        let in_force = Arc::clone(&bound.in_force);
        let mut execution = Box::new(Execution {
            id: self.mind.statement_id(self.statements),
            known,
            holds: sensitive_database && (!exposure.is_plain() || understood.changes_session),
            wants_shape: sensitive_database,
            loads_local: self.local_infile && understood.loads_local(),
            exposure,
            understood,
            in_force,
            meter: None,
            plan: KeyPlan::default(),
            values,
            reviewed: None,
            rows: 0,
            bytes: 0,
            waits_for: 0,
            admitted: false,
            cut: None,
            basis: Vec::new(),
            settled: Vec::new(),
            charged: Vec::new(),
            started,
            reference: None,
        });
        if execution.exposure.is_plain() && self.durability == Durability::Sensitive {
            return (Judgement::Forward(execution), verb);
        }
        let judgement = match self.decide(&mut execution) {
            Ok(wait) => self.go_or_park(execution, wait),
            Err(denial) => {
                let refusal = self.refused(&mut execution, &denial);
                Judgement::Refuse(refusal)
            }
        };
        (judgement, verb)
    }

    fn go_or_park(&mut self, execution: Box<Execution>, wait: Result<u64, StoreError>) -> Judgement {
        match wait {
            Ok(sequence) if sequence > self.mind.shared.recorder.durable() => {
                self.parked = Some((execution, sequence));
                Judgement::Park(sequence)
            }
            Ok(_) => Judgement::Forward(execution),
            Err(error) if self.continues_without_record(&execution) => {
                self.mind.shared.recorder.lose("admission", &error);
                Judgement::Forward(execution)
            }
            Err(_) => {
                let mut execution = execution;
                let refusal = self.without_record(&execution.id);
                self.complete(&mut execution, Ended::Error, Some(NO_RECORD.to_owned()), None);
                Judgement::Refuse(refusal)
            }
        }
    }

    /// Admits what the execution exposes and records it; returns the record to wait for, 0 for none.
    fn decide(&mut self, execution: &mut Execution) -> Result<Result<u64, StoreError>, Denial> {
        let moment = self.mind.shared.budgets.clock().moment();
        let verdict = {
            let mut ledger = budgets::lock(&self.ledger);
            execution.in_force.set.admit(&self.mind.who, &execution.exposure, &mut ledger, &moment)
        };
        execution.basis.extend(verdict.basis);
        for alert in &verdict.alerts {
            self.mind.alert(execution, alert);
        }
        let permit = match verdict.decision {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => return Err(denial),
        };
        execution.meter = permit.meter;
        let leases = execution.meter.as_ref().map(|meter| meter.lease()).unwrap_or_default();
        let waits = permit.sensitive || self.durability == Durability::All;
        let appended = self.record_leases(execution, &leases, Vec::new(), waits, false);
        Ok(appended.map(|sequence| if waits { sequence } else { 0 }))
    }

    fn record_leases(
        &self,
        execution: &mut Execution,
        leases: &[LeaseLine],
        charged: Vec<ChargedLine>,
        waits: bool,
        more: bool,
    ) -> Result<u64, StoreError> {
        let leases = Leases { leases: words::leases(leases) };
        let body = if more { Body::Lease(leases) } else { Body::Admission(leases) };
        let mut event = self.mind.event(body, Some(execution));
        event.charged = words::charges(&charged);
        event.basis = words::basis(&execution.basis);
        event.decision = Some(decided(&execution.basis));
        let urgency = if waits { Urgency::Durable } else { Urgency::Relaxed };
        let sequence = self.mind.shared.recorder.append(&event, urgency)?;
        execution.admitted = true;
        Ok(sequence)
    }

    /// Records a denial and tells it; the words for the client.
    fn refused(&mut self, execution: &mut Execution, denial: &Denial) -> Refusal {
        let reference = self.mind.reference();
        execution.reference = Some(reference.clone());
        execution.basis.push(denial.basis.clone());
        dedup(&mut execution.basis);
        let refusal = refusal(denial, &reference);
        let body = Body::Denial(Denied {
            code: denial.basis.rule.to_string(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        });
        let mut event = self.mind.event(body, Some(execution));
        event.decision = Some(Decided::Deny);
        event.basis = words::basis(&execution.basis);
        self.mind.shared.recorder.note(&event, Urgency::Durable);
        telemetry::denied(&denial.basis.rule);
        self.mind.alert(execution, &denial.alert());
        refusal
    }

    /// Rows that are to leave.
    pub fn release<E: SessionEngine>(
        &mut self,
        running: Running<'_, Execution, E::Shape>,
        bytes: &[u8],
        rows: usize,
    ) -> Release {
        let execution = running.execution;
        if execution.waits_for > self.mind.shared.recorder.durable() && !self.continues_without_record(execution) {
            if !self.store_failed {
                return Release::Part { bytes: 0, wait: execution.waits_for };
            }
            return self.cut_without_record(execution, 0);
        }
        if execution.reviewed != Some(running.index) {
            let shape = running.shape.map(|shape| Arc::clone(shape) as Arc<dyn Shape>);
            match self.review(execution, shape, running.index) {
                Ok(0) => {}
                Ok(wait) => {
                    execution.waits_for = wait;
                    return Release::Part { bytes: 0, wait };
                }
                Err(Some(denial)) => return self.cut(execution, 0, denial),
                Err(None) => return self.cut_without_record(execution, 0),
            }
        }
        if execution.meter.is_none() {
            add(&mut execution.rows, rows);
            add(&mut execution.bytes, bytes.len());
            return Release::All;
        }
        self.charge::<E>(execution, bytes)
    }

    /// Compares the server's description with the analysis and says what to count; returns a record to wait for.
    ///
    /// # Errors
    /// The denial when the server names what may not leave; nothing when that cannot be recorded.
    fn review(
        &mut self,
        execution: &mut Execution,
        shape: Option<Arc<dyn Shape>>,
        index: usize,
    ) -> Result<u64, Option<Denial>> {
        let origins = shape.as_ref().map_or_else(Vec::new, |shape| self.mind.origins(&**shape));
        let bound = self.mind.bound();
        let binding = Arc::clone(&bound.binding);
        let mut wait = 0;
        if execution.wants_shape
            && let Some(tightened) = binding.tighten(&execution.exposure, &origins)
        {
            tracing::info!(statement = %execution.id, "the server's description names more than the text showed");
            self.replace_meter(execution);
            execution.exposure = Arc::new(tightened);
            match self.decide(execution) {
                Ok(Ok(sequence)) => wait = sequence,
                Ok(Err(error)) if self.continues_without_record(execution) => {
                    self.mind.shared.recorder.lose("admission", &error);
                }
                Ok(Err(_)) => return Err(None),
                Err(mut denial) => {
                    denial.basis.outcome = Came::Cut;
                    return Err(Some(denial));
                }
            }
        }
        execution.reviewed = Some(index);
        if execution.may_be_elsewhere() && self.mind.is_elsewhere(&origins) {
            self.replace_meter(execution);
        }
        if execution.meter.is_some() {
            let part = part(execution, index);
            let lanes = binding.lanes(&part, &origins);
            execution.plan = KeyPlan::new(&lanes, shape, execution, &self.mind.shared.budgets);
            if let Some(meter) = &mut execution.meter {
                meter.set_lanes(lanes);
            }
        }
        Ok(if wait > self.mind.shared.recorder.durable() { wait } else { 0 })
    }

    /// Settles the meter of an execution that is admitted anew.
    fn replace_meter(&mut self, execution: &mut Execution) {
        if let Some(mut meter) = execution.meter.take() {
            execution.charged.extend(words::charges(&meter.take_charged()));
            let now = self.mind.shared.budgets.clock().now();
            let settlement = meter.settle(&mut budgets::lock(&self.ledger), now);
            execution.settled.extend(settlement.lines);
        }
    }

    /// Charges the rows one by one, as far as leases and limits allow.
    fn charge<E: SessionEngine>(&mut self, execution: &mut Execution, bytes: &[u8]) -> Release {
        self.keys.clear();
        self.row_bytes.clear();
        let reads = execution.plan.reads_rows();
        let mut keys = std::mem::take(&mut self.keys);
        for row in rows::<E>(bytes) {
            self.row_bytes.push(u32::try_from(row.len()).unwrap_or(u32::MAX));
            execution.plan.keys_of(if reads { row } else { &[] }, &mut keys);
        }
        self.keys = keys;
        let Some(meter) = &mut execution.meter else { return Release::All };
        let now = self.mind.shared.budgets.clock().now();
        let batch = RowBatch { keys: &self.keys, row_bytes: &self.row_bytes };
        let (charge, extended) = {
            let mut ledger = budgets::lock(&self.ledger);
            let charge = meter.charge(&mut ledger, &batch, now);
            let extended = match &charge.then {
                Then::Extend => Some(meter.extend(&mut ledger, now)),
                _ => None,
            };
            (charge, extended)
        };
        let released: usize = self.row_bytes.iter().take(charge.rows).map(|bytes| *bytes as usize).sum();
        add(&mut execution.rows, charge.rows);
        add(&mut execution.bytes, released);
        for alert in &charge.alerts {
            self.mind.alert(execution, alert);
        }
        match (charge.then, extended) {
            (Then::All, _) => Release::All,
            (Then::Cut(denial), _) | (Then::Extend, Some(Err(denial))) => self.cut(execution, released, denial),
            (Then::Extend, Some(Ok(leases))) => self.extended(execution, released, &leases),
            (Then::Extend, None) => self.cut_without_record(execution, released),
        }
    }

    /// Records a lease that was extended; its rows wait until that is durable.
    fn extended(&mut self, execution: &mut Execution, released: usize, leases: &[LeaseLine]) -> Release {
        let charged = execution.meter.as_mut().map(|meter| meter.take_charged()).unwrap_or_default();
        match self.record_leases(execution, leases, charged, true, true) {
            Ok(wait) => {
                execution.waits_for = wait;
                Release::Part { bytes: released, wait }
            }
            Err(error) if self.continues_without_record(execution) => {
                self.mind.shared.recorder.lose("lease", &error);
                // Nothing to wait for: the rest is charged with the next look at it.
                Release::Part { bytes: released, wait: 0 }
            }
            Err(_) => self.cut_without_record(execution, released),
        }
    }

    fn cut(&mut self, execution: &mut Execution, bytes: usize, denial: Denial) -> Release {
        let reference = self.mind.reference();
        execution.reference = Some(reference.clone());
        telemetry::cut(&denial.basis.rule);
        self.mind.alert(execution, &denial.alert());
        let refusal = refusal(&denial, &reference);
        execution.cut = Some(denial);
        Release::Cut { bytes, refusal }
    }

    fn cut_without_record(&mut self, execution: &mut Execution, bytes: usize) -> Release {
        Release::Cut { bytes, refusal: self.without_record(&execution.id) }
    }

    /// An execution has ended.
    pub fn finished(&mut self, mut execution: Execution, outcome: &Outcome, engine: &mut impl SessionEngine) {
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
        self.complete(&mut execution, ended, sqlstate, tag);
    }

    /// The session is over; what still ran ends here.
    pub fn abandon(&mut self, executions: Vec<Execution>, ended: Ended) {
        let parked = self.parked.take().map(|(execution, _)| *execution);
        for mut execution in executions.into_iter().chain(parked) {
            self.complete(&mut execution, ended, None, None);
        }
    }

    fn complete(&mut self, execution: &mut Execution, ended: Ended, sqlstate: Option<String>, tag: Option<String>) {
        let ended = if execution.cut.is_some() { Ended::Cut } else { ended };
        let charged = self.settle(execution);
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
            duration_us: u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            sqlstate,
            tag,
        });
        let mut event = self.mind.event(body, Some(execution));
        event.charged = charged;
        event.basis = words::basis(&execution.basis);
        event.decision = Some(if ended == Ended::Cut { Decided::Cut } else { decided(&execution.basis) });
        let urgency = if execution.cut.is_some() { Urgency::Durable } else { Urgency::Relaxed };
        self.mind.shared.recorder.note(&event, urgency);
        self.rows = self.rows.saturating_add(execution.rows);
        self.bytes = self.bytes.saturating_add(execution.bytes);
        telemetry::executed(outcome_word(ended), execution.rows, execution.bytes);
    }

    /// Gives back what was reserved; returns what was charged and not recorded yet.
    fn settle(&mut self, execution: &mut Execution) -> Vec<weir_audit_store::event::Charge> {
        self.replace_meter(execution);
        std::mem::take(&mut execution.charged)
    }

    fn change(&mut self, execution: &Execution, applied: Applied, engine: &mut impl SessionEngine) {
        let understood = &execution.understood;
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

    /// What the engine has declined by itself.
    pub fn note_declined(&self, refusals: Vec<Refusal>) {
        for refusal in refusals {
            self.declined("protocol", refusal);
        }
    }

    /// The server waits for the next command.
    pub fn idle(&mut self, transaction: Transaction) {
        let before = std::mem::replace(&mut self.transaction, transaction);
        self.mind.idle(before, transaction);
    }

    fn continues_without_record(&self, execution: &Execution) -> bool {
        execution.in_force.set.on_store_failure() == OnStoreFailure::Continue || execution.in_force.set.observes()
    }

    /// The words for a statement that cannot be recorded.
    fn without_record(&self, statement: &str) -> Refusal {
        let reason =
            self.mind.shared.recorder.failing().unwrap_or_else(|| "a record was not written in time".to_owned());
        tracing::error!(statement, %reason, "refused: it cannot be recorded");
        Refusal::new(
            NO_RECORD,
            "weir cannot write its audit log, so this statement does not run",
            "try again later; the operator finds the reason in weir's log",
        )
    }

    fn no_function_calls(&self, oid: u32) -> Refusal {
        let refusal = Refusal::new(
            "0A000",
            format!("the function call message (function {oid}) does not pass weir"),
            "call the function in SQL; the operator can set allow.function_call",
        );
        self.declined("function-call", refusal)
    }

    /// What a request that is not SQL is taken for, where it may pass at all.
    fn command(&self, command: Command) -> Result<Arc<Understood>, Refusal> {
        let (code, name) = match command {
            Command::ResetConnection => return Ok(self.mind.starts_over()),
            Command::Named { code, name } => (code, name),
            Command::Unknown(code) => (code, "unknown"),
        };
        if self.allowed_commands.iter().any(|allowed| allowed == name) {
            return Ok(self.mind.unseen("command", name.to_owned()));
        }
        let refusal = Refusal::new(
            "0A000",
            format!("the command `{name}` ({code:#04x}) does not pass weir"),
            "what it brings cannot be counted by person; the operator can name it in allow.commands",
        );
        Err(self.declined("command", refusal))
    }

    /// Records that a request was declined without regard to policy.
    fn declined(&self, code: &str, refusal: Refusal) -> Refusal {
        let body = Body::Denial(Denied {
            code: code.to_owned(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        });
        let mut event = self.mind.event(body, None);
        event.decision = Some(Decided::Deny);
        self.mind.shared.recorder.note(&event, Urgency::Relaxed);
        refusal
    }
}

/// What one result of a text exposes. Where the parts cannot be told apart, all of it.
fn part(execution: &Execution, index: usize) -> Arc<Exposure> {
    // After a review only the whole is up to date.
    let untouched = Arc::ptr_eq(&execution.exposure, &execution.understood.merged);
    match execution.understood.exposures.get(index) {
        Some(part) if untouched && execution.understood.exposures.len() > 1 => Arc::clone(part),
        _ => Arc::clone(&execution.exposure),
    }
}

/// The rows of a run, each as it travels.
fn rows<E: SessionEngine>(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (row, rest) = bytes.split_at_checked(E::row_len(bytes)?)?;
        bytes = rest;
        Some(row)
    })
}

fn add(counter: &mut u64, amount: usize) {
    *counter = counter.saturating_add(u64::try_from(amount).unwrap_or(u64::MAX));
}
