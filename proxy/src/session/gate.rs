//! The only place where a decision becomes a step of the engine.
//!
//! INVARIANT: every execution passes here twice: before its message goes upstream, and with each batch of its rows
//! before they go to the client.

use std::sync::Arc;

use weir_wire::pg::{Binding, RowShape};
use weir_wire::step::Running;
use weir_wire::{Outcome, Refusal, Run};

use crate::telemetry;

/// What the engine stores under a statement's name.
#[derive(Clone, Debug)]
pub struct Handle;

impl weir_wire::Prepared for Handle {
    fn wants_values(&self) -> bool {
        false
    }
}

/// One execution, from its admission to its end.
#[derive(Debug, Default)]
pub struct Execution {
    rows: u64,
    bytes: u64,
}

impl weir_wire::Execution for Execution {
    fn streams(&self) -> bool {
        true
    }

    fn wants_shape(&self) -> bool {
        false
    }

    fn holds(&self) -> bool {
        false
    }
}

/// Whether a message may go upstream.
pub enum Judgement {
    /// It may.
    Forward(Execution),
    /// It may not.
    Refuse(Refusal),
    /// Not before the record of this sequence is durable.
    Park(u64),
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

/// Decides for one session.
#[derive(Debug)]
pub struct Gate {
    function_calls: FunctionCalls,
}

/// Whether FunctionCall messages pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionCalls {
    /// They do.
    Allowed,
    /// They do not: they call a function by number, past everything that reads SQL.
    Refused,
}

impl Gate {
    /// A gate for a new session.
    pub fn new(function_calls: FunctionCalls) -> Gate {
        Gate { function_calls }
    }

    /// Highest sequence that is durable.
    pub fn durable(&self) -> u64 {
        u64::MAX
    }

    /// A text that is to be prepared.
    pub fn prepare(&mut self, _text: &[u8]) -> Handle {
        Handle
    }

    /// A message that is to run something.
    pub fn judge(&mut self, run: &Run<'_, Handle, Arc<Binding>>) -> Judgement {
        match run {
            Run::Function { oid } if self.function_calls == FunctionCalls::Refused => Judgement::Refuse(Refusal::new(
                "0A000",
                format!("the function call message (function {oid}) does not pass weir"),
                "call the function in SQL; the operator can set allow.function_call",
            )),
            _ => Judgement::Forward(Execution::default()),
        }
    }

    /// Rows that are to leave.
    pub fn release(&mut self, running: Running<'_, Execution, RowShape>, bytes: &[u8], rows: usize) -> Release {
        let add = |counter: &mut u64, amount: usize| *counter = counter.saturating_add(amount as u64);
        add(&mut running.execution.rows, rows);
        add(&mut running.execution.bytes, bytes.len());
        Release::All
    }

    /// An execution has ended.
    pub fn finished(&mut self, execution: &Execution, outcome: &Outcome) {
        let outcome = match outcome {
            Outcome::Complete(_) => "complete",
            Outcome::Suspended => "suspended",
            Outcome::Error(_) => "error",
            Outcome::Cut => "cut",
            Outcome::Skipped => "skipped",
        };
        telemetry::executed(outcome, execution.rows, execution.bytes);
    }
}
