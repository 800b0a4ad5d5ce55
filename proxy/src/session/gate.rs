//! The only place where a decision becomes a step of the engine.
//!
//! INVARIANT: every execution passes here twice: before its message goes upstream, and with each batch of its rows
//! before they go to the client. INVARIANT: rows of a sensitive relation are charged, and the record that says so is
//! durable, before they are released; whatever prevents that ends the result.

mod approving;
mod asking;
mod copies;
mod declined;
mod doors;
mod ending;
mod observing;
mod rows;
mod taking;
mod telling;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use weir_audit_store::event::{Body, Charge, Decision as Decided, Denial as Denied, Leases, Outcome as Ended};
use weir_audit_store::{StoreError, Urgency};
use weir_policy::meter::{ChargedLine, LeaseLine};
use weir_policy::relation::Engine;
use weir_policy::rule::OnStoreFailure;
use weir_policy::statement::Verb;
use weir_policy::verdict::{Decision, Denial};
use weir_wire::{Refusal, Run, Transaction, Values};

use super::SessionEngine;
use super::execution::{Execution, Handle, KeyPlan, Known};
use super::mind::Mind;
use crate::analyses::Understood;
use crate::audit::words;
use crate::budgets::{self, SharedLedger};
use crate::config::Durability;
use crate::route::Route;
use crate::telemetry;

pub use doors::Hearing;
use taking::{Pieces, Unseen, fetched};
use telling::{decided, dedup, refusal};

pub use asking::Asks;
pub use taking::Piece;

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
    /// Copies that transactions of this session make, by the names of their labels.
    unsettled: Vec<String>,
    statements: u64,
    rows: u64,
    bytes: u64,
    keys: Vec<weir_policy::ledger::RecordKey>,
    row_bytes: Vec<u32>,
    /// What a message is charged to that belongs to no execution which runs, while its record is waited for.
    aside: Option<Box<Execution>>,
    /// What the present transaction has written, with the latest statement that did.
    written: Option<doors::Subject>,
    /// What ran since the server last waited for a command was about, and what the transaction has written.
    pipelined: Option<doors::Subject>,
    /// Charges of doors that no record has taken up yet.
    spent: Vec<Charge>,
    /// It was told that payloads of notifications are withheld.
    is_notification_withheld: bool,
    /// Portals and cursors that are fetched in pieces.
    pieces: Pieces,
    /// Settings of the session's own that were given values so far: what a question reads of them is another value.
    settings: u64,
    /// The role that the session began with is not to be left.
    holds_role: bool,
    /// The session comes from where its person never was: everything that it does is looked at.
    is_strange: bool,
}

impl Gate {
    /// A gate for an open session.
    pub fn new(mind: Mind, route: &Route, durability: Durability) -> Gate {
        let mut gate = Gate {
            ledger: mind.shared.budgets.ledger(&mind.who.person),
            mind,
            function_calls: route.function_calls,
            allowed_commands: Arc::clone(&route.allowed_commands),
            local_infile: route.local_infile,
            durability,
            parked: None,
            store_failed: false,
            transaction: Transaction::Idle,
            unsettled: Vec::new(),
            statements: 0,
            rows: 0,
            bytes: 0,
            keys: Vec::new(),
            row_bytes: Vec::new(),
            aside: None,
            written: None,
            pipelined: None,
            spent: Vec::new(),
            is_notification_withheld: false,
            pieces: Pieces::default(),
            settings: 0,
            holds_role: false,
            is_strange: false,
        };
        gate.arrive();
        gate
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
        let mut piece = None;
        let (known, understood, values) = match run {
            Run::Text { text } => {
                let known = Rc::new(self.mind.read(text));
                let understood = self.mind.understand(text, &known, engine);
                (Some(known), understood, None)
            }
            Run::Portal { statement: Some(Handle(known)), binding, rows_max } => {
                let understood = match &known.text {
                    Some(text) => self.mind.understand(text, known, engine),
                    None => self.mind.understand_unkept(known),
                };
                let values = binding.as_ref().map(|binding| Arc::clone(binding) as Arc<dyn Values>);
                piece = self.piece_of(known, values.as_ref(), *rows_max);
                let values = values.unwrap_or_else(|| Arc::new(Unseen));
                (Some(Rc::clone(known)), understood, Some(values))
            }
            Run::Portal { statement: None, .. } => {
                (None, self.mind.unseen("unknown-statement", "prepared out of sight".to_owned()), None)
            }
            Run::Function { oid } => {
                if self.function_calls == FunctionCalls::Refused && !self.lets_anything_run() {
                    return Judgement::Refuse(self.no_function_calls(*oid));
                }
                (None, self.mind.unseen("function-call", format!("function {oid}")), None)
            }
            Run::Command(command) => match self.command(*command) {
                Ok(understood) => (None, understood, None),
                Err(refusal) => return Judgement::Refuse(refusal),
            },
        };
        let outdated = self.mind.must_renew() && (!understood.reads_nothing() || self.mind.has_unseen_copies());
        if outdated || (understood.misses_relation && self.mind.may_look_again()) {
            return Judgement::Renew;
        }
        self.mind.judged();
        if let Some(refusal) = self.leaves_role(&understood) {
            return Judgement::Refuse(refusal);
        }
        self.statements += 1;
        let judged = self.admit(known, understood, values, piece, started);
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
        piece: Option<Piece>,
        started: Instant,
    ) -> (Judgement, Verb) {
        let verb = understood.verb();
        let mut execution = self.execution(known, understood, values, started);
        execution.piece = piece.or_else(|| fetched(&execution));
        if execution.exposure.is_plain() && self.durability == Durability::Sensitive {
            return match self.look_around(&mut execution) {
                Ok(()) => (Judgement::Forward(execution), verb),
                Err(denial) => (Judgement::Refuse(self.refused(&mut execution, &denial)), verb),
            };
        }
        if let Some(refusal) = self.no_room_for_copies(&mut execution) {
            return (Judgement::Refuse(refusal), verb);
        }
        let judgement = match self.decide(&mut execution) {
            Ok(wait) => {
                let wait = wait.and_then(|wait| Ok(wait.max(self.label_copies(&mut execution)?)));
                self.go_or_park(execution, wait)
            }
            Err(denial) => {
                let refusal = self.refused(&mut execution, &denial);
                Judgement::Refuse(refusal)
            }
        };
        (judgement, verb)
    }

    /// An execution that nobody has judged yet.
    fn execution(
        &mut self,
        known: Option<Rc<Known>>,
        understood: Arc<Understood>,
        values: Option<Arc<dyn Values>>,
        started: Instant,
    ) -> Box<Execution> {
        let exposure = Arc::clone(&understood.merged);
        let is_mysql = self.mind.engine() == Engine::Mysql;
        let bound = self.mind.bound();
        let sensitive_database = bound.binding.is_sensitive();
        let in_force = Arc::clone(&bound.in_force);
        Box::new(Execution {
            id: self.mind.statement_id(self.statements),
            computes: understood.may_compute()
                || (is_mysql && !exposure.is_plain() && known.as_ref().is_some_and(|known| known.sets_insert_id())),
            doors: None,
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
            piece: None,
            asks: None,
            questions: Vec::new(),
            observed: None,
            is_observed: false,
            tenants: std::collections::BTreeSet::new(),
            takes_from: Vec::new(),
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
            own_copies: Vec::new(),
        })
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
        self.ask(execution)?;
        self.observe_before(execution)?;
        let moment = self.mind.shared.budgets.clock().moment();
        let verdict = {
            let mut ledger = budgets::lock(&self.ledger);
            execution.in_force.set.admit(&self.mind.who, &execution.exposure, &mut ledger, &moment)
        };
        execution.basis.extend(verdict.basis);
        for alert in &verdict.alerts {
            self.tell(execution, alert);
        }
        let permit = match verdict.decision {
            Decision::Allow(permit) => permit,
            Decision::Deny(denial) => return Err(denial),
        };
        execution.meter = permit.meter;
        self.resume(execution);
        if let Some(meter) = &execution.meter {
            execution.takes_from = meter.datasets().cloned().collect();
        }
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
        if !charged.is_empty() {
            event.extractions = self.taken(execution);
        }
        event.charged = words::charges(&charged);
        event.questions = std::mem::take(&mut execution.questions);
        event.observed = execution.observed.take();
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
        let asking = self.ask_approval(execution, denial);
        let refusal = refusal(denial, &reference, asking.as_ref());
        let body = Body::Denial(Denied {
            code: denial.basis.rule.to_string(),
            message: refusal.message.clone(),
            sqlstate: refusal.sqlstate.to_owned(),
        });
        let mut event = self.mind.event(body, Some(execution));
        event.decision = Some(Decided::Deny);
        event.questions = std::mem::take(&mut execution.questions);
        event.observed = execution.observed.take();
        event.extractions = self.standing(denial);
        event.basis = words::basis(&execution.basis);
        self.mind.shared.recorder.note(&event, Urgency::Durable);
        telemetry::denied(&denial.basis.rule);
        self.tell(execution, &denial.alert());
        refusal
    }

    /// The server waits for the next command.
    pub fn idle(&mut self, transaction: Transaction) {
        let before = std::mem::replace(&mut self.transaction, transaction);
        self.forget_pipeline(transaction == Transaction::Idle);
        self.mind.idle(before, transaction);
        if transaction == Transaction::Idle {
            self.settle_copies();
        }
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
}
