//! The state of one PostgreSQL session after its start-up: which replies the server owes, in which order, and to whom.
//! <https://www.postgresql.org/docs/current/protocol-flow.html>
//!
//! Every client message that brings a reply puts an [`Entry`] at the back of the queue; the server's messages take
//! entries off its front. Legal lives of an entry: awaited → answered | failed | skipped (an earlier error, up to Sync).
//!
//! How a refusal works: the refused message is replaced by one that the server must fail (`poison`), and the server's
//! error is exchanged for Weir's. The order in the pipeline, the skipping up to Sync, the state of the transaction
//! and the implicit rollback are then the server's own, in every state.
//!
//! How a cut works: the client gets the error at once, everything else up to the next ReadyForQuery is swallowed.
//! Where the server had already finished the result, a poison leaves its transaction failed all the same.

use std::collections::VecDeque;
use std::sync::Arc;

use super::error::{Severity, put_error};
use super::frame::{Frame, Header, put_frame};
use super::prepared::{Before, Binding, Names, Portal, ShapeSlot};
use super::row::RowShape;
use super::told::{put_instead, put_trimmed};
use crate::refusal::{Refusal, WireError, WireSide};
use crate::step::{ClientStep, Engine, Execution, Outcome, Prepared, Running, Telling, Transaction, UpstreamStep};

/// Bounds of one session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest message in bytes.
    pub frame_bytes_max: usize,
    /// Outstanding replies, and names of each kind.
    pub pipeline_max: usize,
}

/// A reply that the server owes.
#[derive(Debug)]
pub(super) enum Entry<S, X> {
    /// Parse, Bind or Close, with what its name meant before; of a Bind the statement, which is planned with it.
    Name(Before<S>, Option<S>),
    /// Describe: where the answer is put down.
    Describe(Describe<S>),
    /// Execute, Query or FunctionCall.
    Run(Run<S, X>),
    /// A refused message: the server's error is exchanged for this one. `text`: a ReadyForQuery follows.
    Refused { error: Vec<u8>, text: bool },
    /// A poison behind a cut: its error is swallowed.
    Poison { text: bool },
    /// Sync.
    Sync,
    /// CopyDone or CopyFail that came before the server asked for data.
    CopyEnd,
}

#[derive(Debug)]
pub(super) struct Describe<S> {
    pub(super) statement: Option<Arc<ShapeSlot>>,
    pub(super) portal: Option<Arc<Portal<S>>>,
    /// Weir asked; the client must not see the answer.
    pub(super) injected: bool,
    /// The statement, where the names of its columns may be computed.
    pub(super) names_of: Option<S>,
    /// For the injected description of a portal that Weir never saw bound: the shape goes to the Execute behind it.
    pub(super) shape: Option<Arc<ShapeSlot>>,
}

/// How an execution was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Portal,
    Function,
}

#[derive(Debug)]
pub(super) struct Run<S, X> {
    pub(super) execution: X,
    pub(super) kind: Kind,
    pub(super) portal: Option<Arc<Portal<S>>>,
    pub(super) anonymous: Option<Arc<ShapeSlot>>,
    /// Shape of the present result.
    pub(super) shape: Option<Arc<RowShape>>,
    /// 0-based result within a text.
    pub(super) index: usize,
    /// Set once the result has ended, for texts, whose end is ReadyForQuery.
    pub(super) outcome: Option<Outcome>,
    pub(super) copying: bool,
    /// Command tag of the latest result of a text.
    pub(super) last_tag: String,
}

/// What was decided on the frame that is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It passes.
    Whole,
    /// The client has something else already, or nothing.
    Otherwise,
}

/// PostgreSQL's [`Engine`].
#[derive(Debug)]
pub struct PgEngine<S, X> {
    pub(super) limits: Limits,
    pub(super) queue: VecDeque<Entry<S, X>>,
    pub(super) names: Names<S>,
    /// The server discards everything up to the next Sync, which the client has not sent yet.
    pub(super) skipping: bool,
    /// The client sees nothing more up to the next ReadyForQuery: a result was cut.
    pub(super) suppressing: bool,
    /// The server takes COPY data.
    pub(super) copy_in: bool,
    /// The client sent Sync into COPY data, where the server ignores it, unless it has failed meanwhile: then it answers.
    pub(super) synced_in_copy: bool,
    /// Rest of a CopyData frame of the client that is passing in pieces.
    pub(super) client_rest: usize,
    /// Rest of a data frame of the upstream that is passing in pieces.
    pub(super) upstream_rest: usize,
    /// Executions in the queue that hold later messages back.
    pub(super) holding: usize,
    /// Flush was sent on behalf of a held execution.
    pub(super) flushed: bool,
    /// Descriptions in the queue that Weir asked for: the bound on the pipeline is the client's.
    pub(super) injected: usize,
    /// Executions of the pipeline that the next Sync ends.
    pub(super) runs_since_sync: usize,
    pub(super) skipped: Vec<X>,
    pub(super) transaction: Transaction,
    /// The server has sent a FATAL error: the next thing it does is to close.
    pub(super) farewell: bool,
    /// Somebody decides on what the server says besides rows.
    pub(super) listening: bool,
    /// What was decided on the frame that is next.
    pub(super) heard: Option<Heard>,
}

impl<S: Prepared, X: Execution> PgEngine<S, X> {
    /// An idle session.
    pub fn new(limits: Limits) -> Self {
        PgEngine {
            limits,
            queue: VecDeque::new(),
            names: Names::default(),
            skipping: false,
            suppressing: false,
            copy_in: false,
            synced_in_copy: false,
            client_rest: 0,
            upstream_rest: 0,
            holding: 0,
            flushed: false,
            injected: 0,
            runs_since_sync: 0,
            skipped: Vec::new(),
            transaction: Transaction::Idle,
            farewell: false,
            listening: false,
            heard: None,
        }
    }

    pub(super) fn push(&mut self, entry: Entry<S, X>) -> Result<(), WireError> {
        if self.outstanding() >= self.limits.pipeline_max {
            return Err(WireError::TooMany { what: "outstanding messages", max: self.limits.pipeline_max });
        }
        self.queue.push_back(entry);
        Ok(())
    }

    /// Replies that the client waits for.
    pub(super) fn outstanding(&self) -> usize {
        self.queue.len() - self.injected.min(self.queue.len())
    }

    /// Takes the front run off the queue.
    pub(super) fn pop_run(&mut self) -> Option<Run<S, X>> {
        match self.queue.pop_front() {
            Some(Entry::Run(run)) => {
                self.release_hold(&run.execution);
                Some(run)
            }
            Some(other) => {
                self.queue.push_front(other);
                None
            }
            None => None,
        }
    }

    fn release_hold(&mut self, execution: &X) {
        if execution.holds() {
            self.holding = self.holding.saturating_sub(1);
            self.flushed = false;
        }
    }

    /// The server has failed a message of the extended protocol: it skips what was sent behind it, up to Sync.
    pub(super) fn skip_to_sync(&mut self) {
        let end = self.queue.iter().position(|entry| matches!(entry, Entry::Sync));
        self.skipping = end.is_none();
        let mut taken: Vec<_> = self.queue.drain(..end.unwrap_or(self.queue.len())).collect();
        // Backwards, so that a name changed twice ends as what it was at first.
        while let Some(entry) = taken.pop() {
            match entry {
                Entry::Name(before, _) => self.names.take_back(before),
                Entry::Describe(describe) => self.injected -= usize::from(describe.injected).min(self.injected),
                Entry::Run(run) => {
                    self.release_hold(&run.execution);
                    self.skipped.push(run.execution);
                }
                _ => {}
            }
        }
    }

    /// Makes the server fail in the extended protocol: no portal has this name. A poison, not a Parse, since even a
    /// failed Parse would drop the unnamed statement.
    pub(super) fn put_portal_poison(out: &mut Vec<u8>) {
        let mut body = b"weir: refused by policy".to_vec();
        body.push(0);
        body.extend_from_slice(&0_i32.to_be_bytes());
        put_frame(out, b'E', &body);
    }

    /// Makes the server fail in the simple protocol; a DBA reads it in the server's log.
    pub(super) fn put_text_poison(out: &mut Vec<u8>) {
        put_frame(out, b'Q', b"weir refused this statement by policy\0");
    }
}

impl<S: Prepared, X: Execution> Engine for PgEngine<S, X> {
    type Statement = S;
    type Run = X;
    type Binding = Binding;
    type Shape = RowShape;

    /// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-TERMINATE>
    const TERMINATE: &'static [u8] = b"X\0\0\0\x04";

    fn client_step<'b>(
        &mut self,
        input: &'b [u8],
        to_upstream: &mut Vec<u8>,
    ) -> Result<ClientStep<'b, S, Binding>, WireError> {
        self.next_of_client(input, to_upstream)
    }

    fn learn(&mut self, frame: &[u8], statement: S, to_upstream: &mut Vec<u8>) -> Result<(), WireError> {
        self.learn_statement(frame, statement)?;
        to_upstream.extend_from_slice(frame);
        Ok(())
    }

    fn forward(&mut self, frame: &[u8], execution: X, to_upstream: &mut Vec<u8>) -> Result<(), WireError> {
        self.forward_run(frame, execution, to_upstream)
    }

    fn refuse(
        &mut self,
        frame: &[u8],
        refusal: &Refusal,
        to_upstream: &mut Vec<u8>,
        _: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        let mut error = Vec::new();
        put_error(&mut error, Severity::Error, refusal);
        if self.skipping {
            // The server would not have looked at it; neither does the client expect a reply.
            return Ok(());
        }
        let text = matches!(frame.first(), Some(b'Q' | b'F'));
        self.push(Entry::Refused { error, text })?;
        if text {
            Self::put_text_poison(to_upstream);
        } else {
            Self::put_portal_poison(to_upstream);
        }
        Ok(())
    }

    fn upstream_step<'b>(
        &mut self,
        input: &'b [u8],
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'b, X>, WireError> {
        self.next_of_upstream(input, to_upstream)
    }

    fn listen(&mut self, on: bool) {
        self.listening = on;
    }

    fn binding(&self) -> Option<S> {
        match self.queue.front() {
            Some(Entry::Name(_, statement)) => statement.clone(),
            Some(Entry::Describe(describe)) => describe.names_of.clone(),
            _ => None,
        }
    }

    fn tell(&mut self, frame: &[u8], telling: Telling<'_>, to_client: &mut Vec<u8>) {
        let whole = Header::read_from(frame, usize::MAX, WireSide::Upstream).ok().flatten();
        let Some(parsed) = whole.map(|header| Frame::of(frame, header)) else { return };
        self.heard = Some(Heard::Otherwise);
        match telling {
            Telling::Whole => self.heard = Some(Heard::Whole),
            Telling::Trimmed => put_trimmed(to_client, parsed),
            Telling::Instead(refusal) => put_instead(to_client, parsed, refusal),
            Telling::Nothing => {}
        }
    }

    fn cut(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        if !self.suppressing {
            put_error(to_client, Severity::Error, refusal);
            self.suppressing = true;
        }
    }

    fn running(&mut self) -> Option<Running<'_, X, RowShape>> {
        let Some(Entry::Run(run)) = self.queue.front_mut() else { return None };
        if run.shape.is_none() {
            run.shape = described(run);
        }
        Some(Running { execution: &mut run.execution, shape: run.shape.as_ref(), index: run.index })
    }

    fn row_len(rows: &[u8]) -> Option<usize> {
        let length = u32::from_be_bytes(rows.get(1..5)?.try_into().ok()?);
        usize::try_from(length).ok()?.checked_add(1)
    }

    fn take_skipped(&mut self) -> Vec<X> {
        std::mem::take(&mut self.skipped)
    }

    fn abandon(&mut self) -> Vec<X> {
        let mut executions = std::mem::take(&mut self.skipped);
        executions.extend(self.queue.drain(..).filter_map(|entry| match entry {
            Entry::Run(run) => Some(run.execution),
            _ => None,
        }));
        executions
    }

    fn statement_named(&self, name: &str) -> Option<S> {
        self.names.statements.get(name.as_bytes()).map(|statement| statement.tag.clone())
    }

    fn portal_named(&self, name: &str) -> Option<S> {
        let portal = self.names.portals.get(name.as_bytes())?;
        portal.statement.as_ref().map(|statement| statement.tag.clone())
    }

    fn forget_portal(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.names.portals.remove(name.as_bytes())),
            None => self.names.portals.clear(),
        }
    }

    fn forget(&mut self, name: Option<&str>) {
        match name {
            Some(name) => drop(self.names.statements.remove(name.as_bytes())),
            None => {
                self.names.statements.clear();
                self.names.portals.clear();
            }
        }
    }

    fn put_farewell(&self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        put_error(to_client, Severity::Fatal, refusal);
    }

    fn is_farewell(&self) -> bool {
        self.farewell
    }

    fn is_in_mid_message(&self) -> bool {
        self.upstream_rest > 0
    }

    fn is_quiet(&self) -> bool {
        self.queue.is_empty() && !self.suppressing
    }
}

/// The shape of a portal's result: as described for the portal, else as described for its statement, with the formats
/// of the binding.
fn described<S, X>(run: &Run<S, X>) -> Option<Arc<RowShape>> {
    if let Some(slot) = &run.anonymous {
        return slot.get().cloned();
    }
    let portal = run.portal.as_ref()?;
    if let Some(shape) = portal.shape.get() {
        return Some(Arc::clone(shape));
    }
    let shape = portal.statement.as_ref()?.shape.get()?;
    Some(Arc::new(shape.with_formats(&portal.binding.result_formats)))
}
