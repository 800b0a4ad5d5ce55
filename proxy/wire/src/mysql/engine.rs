//! The state of one MySQL session after its login: which replies the server owes, in which order, and to whom.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>
//!
//! Every command that brings a reply puts an [`Entry`] at the back of the queue; the server's packets take entries off
//! its front. Legal lives of a reply: first packet → (definitions → rows →) × results → ended. Packets pass as they came,
//! sequence ids included.
//!
//! How a refusal works: a refused command is not sent at all, and the error stands in the queue in its place. In MySQL a
//! statement that fails leaves the transaction as it is, so there is nothing that the server would have to do.
//!
//! How a cut works: the error goes to the client in place of the next packet of the reply, under its number; everything
//! else of the reply is swallowed, the server's own error over a KILL QUERY included. Where a cursor was read, it is
//! closed. An error in the middle of a result is part of the protocol, and clients take it for one: mysql, mariadb,
//! mariadb-dump, PyMySQL, mysql2 and MariaDB's connectors for Node.js and Java were tried, between rows of text, of
//! binary and of a cursor, and went on with the session. One does not: the pure Python half of mysql-connector-python
//! overlooks it among binary rows, whoever sends it, and waits for more.

use std::collections::VecDeque;
use std::sync::Arc;

use super::capability::Capabilities;
use super::command::{Dialect, QUIT};
use super::error::put_error;
use super::prepared::{Binding, Statements};
use super::resultset::{Format, ResultShape};
use super::row;
use crate::refusal::{Refusal, WireError};
use crate::step::{ClientStep, Engine, Execution, Prepared, Running, Telling, Transaction, UpstreamStep};

/// Bounds of one session.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest payload in bytes, all packets of a chain together.
    pub frame_bytes_max: usize,
    /// Outstanding replies, and prepared statements.
    pub pipeline_max: usize,
}

/// What was settled when the session was opened.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What both legs have agreed on.
    pub capabilities: Capabilities,
    /// Whether the server is a MariaDB.
    pub mariadb: bool,
}

/// What the client waits for.
#[derive(Debug)]
pub(super) enum Entry<X> {
    /// A reply of the server.
    Reply(Reply<X>),
    /// The answer to a command that the server has not seen; `None` once it has left.
    Refused(Option<Vec<u8>>),
}

/// A reply that the server owes.
#[derive(Debug)]
pub(super) struct Reply<X> {
    pub(super) kind: Kind,
    pub(super) phase: Phase,
    /// Number of the next packet of it.
    pub(super) seq: u8,
    pub(super) voice: Voice,
    pub(super) run: Option<X>,
    /// A cursor was asked for, so that the rows need not follow.
    pub(super) wants_cursor: bool,
    /// The number by which the client names the statement whose cursor is opened or read.
    pub(super) cursor_of: Option<u32>,
    /// Rows of the present result have been told.
    pub(super) has_begun: bool,
    /// The statement, as the engine numbers it, and which of its executions.
    pub(super) statement: Option<(u64, u64)>,
    /// Columns of the present result.
    pub(super) shape: Option<Arc<ResultShape>>,
    /// 0-based result within the reply.
    pub(super) index: usize,
    /// Rows affected, of the latest result that says so.
    pub(super) affected: Option<u64>,
}

/// What a reply is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One packet: OK, EOF or ERR.
    Ok,
    /// One packet of text, or ERR.
    Line,
    /// Results.
    Results(Format),
    /// Rows of a cursor.
    Fetch,
    /// Column definitions without a count.
    Fields,
    /// Number and definitions of a prepared statement.
    Prepare,
    /// Packets up to EOF or ERR.
    Stream,
}

/// How far a reply is.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its first packet, or the first of another result.
    First,
    /// So many column definitions are to come; they are kept where somebody wants to know.
    Columns(usize, Option<ResultShape>),
    /// The EOF packet behind them.
    ColumnsEnd,
    /// Rows, definitions or packets of a stream, and what ends them.
    Rows,
    /// So many packets of a prepared statement's definitions are to come.
    Definitions(usize),
}

/// What the client hears of a reply.
#[derive(Debug)]
pub(super) enum Voice {
    /// All of it.
    Open,
    /// An error in place of the next packet, and then nothing: it was cut.
    Cut(Box<Refusal>),
    /// Nothing more: it was cut.
    Silent,
    /// Nothing: Weir asked.
    Injected,
}

impl<X> Reply<X> {
    pub(super) fn new(kind: Kind, seq_last: u8) -> Reply<X> {
        Reply {
            kind,
            phase: match kind {
                Kind::Fetch | Kind::Fields | Kind::Stream => Phase::Rows,
                _ => Phase::First,
            },
            seq: seq_last.wrapping_add(1),
            voice: Voice::Open,
            run: None,
            wants_cursor: false,
            cursor_of: None,
            has_begun: false,
            statement: None,
            shape: None,
            index: 0,
            affected: None,
        }
    }

    pub(super) fn is_heard(&self) -> bool {
        matches!(self.voice, Voice::Open)
    }
}

/// A packet that is passing in pieces.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    /// Bytes of it that have not passed.
    pub(super) len: usize,
    /// Whether the packet behind it belongs to the same row.
    pub(super) is_continued: bool,
    /// Payload of the chain so far, in bytes.
    pub(super) payload_len: usize,
}

/// A file that the client sends because the server asked for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalFile {
    /// Number of the next packet.
    pub(super) seq: u8,
    /// Bytes of the present packet that have not passed.
    pub(super) rest: usize,
    /// Whether the next packet continues the present one, so that it ends nothing even when it is empty.
    pub(super) is_continued: bool,
    /// The last packet has begun to pass.
    pub(super) is_last: bool,
}

/// Settings as the status flags tell them, for clients that track nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) no_backslash_escapes: Option<bool>,
    pub(super) ansi_quotes: Option<bool>,
}

/// What was decided on the packets that are next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// They pass.
    Whole,
    /// The client has something else already, or nothing.
    Otherwise,
}

/// MySQL's [`Engine`].
#[derive(Debug)]
pub struct MysqlEngine<S, X> {
    pub(super) limits: Limits,
    pub(super) facts: Facts,
    pub(super) queue: VecDeque<Entry<X>>,
    pub(super) statements: Statements<S>,
    /// Executions in the queue that hold later commands back.
    pub(super) holding: usize,
    /// A row, or a packet of a stream, that is passing in pieces.
    pub(super) upstream_rest: Option<Rest>,
    pub(super) local_file: Option<LocalFile>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) settings_bytes: usize,
    pub(super) told: Told,
    /// What Weir declined without asking anybody.
    pub(super) declined: Vec<Refusal>,
    pub(super) skipped: Vec<X>,
    pub(super) transaction: Transaction,
    /// The server has said that it ends the session.
    pub(super) farewell: bool,
    /// Somebody decides on what the server says besides rows.
    pub(super) listening: bool,
    /// COM_RESET_CONNECTION begins the session anew, as COM_CHANGE_USER does.
    pub(super) resets_anew: bool,
    /// What was decided on the packets that are next.
    pub(super) heard: Option<Heard>,
}

impl<S: Prepared, X: Execution> MysqlEngine<S, X> {
    /// An idle session.
    pub fn new(limits: Limits, facts: Facts) -> Self {
        MysqlEngine {
            limits,
            facts,
            queue: VecDeque::new(),
            statements: Statements::new(),
            holding: 0,
            upstream_rest: None,
            local_file: None,
            settings: Vec::new(),
            settings_bytes: 0,
            told: Told::default(),
            declined: Vec::new(),
            skipped: Vec::new(),
            transaction: Transaction::Idle,
            farewell: false,
            listening: false,
            resets_anew: false,
            heard: None,
        }
    }

    /// The same, with COM_RESET_CONNECTION as a session of its own ([`ClientStep::ChangeUser`]): whoever takes up a
    /// session that was given back is looked up again, and what Weir had set for it is set again.
    #[must_use]
    pub fn resetting_anew(self) -> Self {
        MysqlEngine { resets_anew: true, ..self }
    }

    pub(super) fn dialect(&self) -> Dialect {
        let mariadb = self.facts.mariadb;
        Dialect { mariadb, attributes: !mariadb && self.has(Capabilities::QUERY_ATTRIBUTES) }
    }

    pub(super) fn has(&self, capability: Capabilities) -> bool {
        self.facts.capabilities.has(capability)
    }

    pub(super) fn push(&mut self, entry: Entry<X>) -> Result<(), WireError> {
        self.room()?;
        self.queue.push_back(entry);
        Ok(())
    }

    /// Whether one more reply may be awaited.
    pub(super) fn room(&self) -> Result<(), WireError> {
        if self.queue.len() >= self.limits.pipeline_max {
            return Err(WireError::TooMany { what: "outstanding commands", max: self.limits.pipeline_max });
        }
        Ok(())
    }

    /// The reply that is arriving.
    pub(super) fn front(&mut self) -> Option<&mut Reply<X>> {
        match self.queue.front_mut() {
            Some(Entry::Reply(reply)) => Some(reply),
            _ => None,
        }
    }

    /// Takes the reply that is arriving off the queue.
    pub(super) fn pop(&mut self) -> Option<Reply<X>> {
        let entry = self.queue.pop_front()?;
        match entry {
            Entry::Reply(reply) => {
                if reply.run.as_ref().is_some_and(holds) {
                    self.holding = self.holding.saturating_sub(1);
                }
                Some(reply)
            }
            refused @ Entry::Refused(_) => {
                self.queue.push_front(refused);
                None
            }
        }
    }
}

/// Whether later commands wait for an execution. What the client sends while the server may ask it for a file is the
/// file, so that nothing else may be on its way then.
pub(super) fn holds<X: Execution>(execution: &X) -> bool {
    execution.holds() || execution.may_load_local()
}

impl<S: Prepared, X: Execution> Engine for MysqlEngine<S, X> {
    type Statement = S;
    type Run = X;
    type Binding = Binding;
    type Shape = ResultShape;

    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_quit.html>
    const TERMINATE: &'static [u8] = &[1, 0, 0, 0, QUIT];

    fn client_step<'b>(
        &mut self,
        input: &'b [u8],
        _to_upstream: &mut Vec<u8>,
    ) -> Result<ClientStep<'b, S, Binding>, WireError> {
        self.next_of_client(input)
    }

    fn learn(&mut self, frame: &[u8], statement: S, to_upstream: &mut Vec<u8>) -> Result<(), WireError> {
        self.learn_statement(frame, statement)?;
        to_upstream.extend_from_slice(frame);
        Ok(())
    }

    fn forward(&mut self, frame: &[u8], execution: X, to_upstream: &mut Vec<u8>) -> Result<(), WireError> {
        self.forward_run(frame, execution, to_upstream)
    }

    fn renumbered(&self, frame: &[u8], known: &dyn Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
        self.kill_renumbered(frame, known)
    }

    fn refuse(
        &mut self,
        frame: &[u8],
        refusal: &Refusal,
        _to_upstream: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        self.refuse_command(frame, refusal, to_client)
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

    /// A server may compute what is constant when it prepares a statement, before anything of that is judged.
    fn binding(&self) -> Option<S> {
        match self.queue.front() {
            Some(Entry::Reply(Reply { kind: Kind::Prepare, statement: Some((serial, _)), .. })) => {
                self.statements.get(*serial).map(|statement| statement.tag.clone())
            }
            _ => None,
        }
    }

    fn tell(&mut self, frame: &[u8], telling: Telling<'_>, to_client: &mut Vec<u8>) {
        self.tell_otherwise(frame, telling, to_client);
    }

    /// The error leaves with the next step, which is the first that knows its number: how many rows of a run the trunk
    /// has released is the trunk's knowledge.
    fn cut(&mut self, refusal: &Refusal, _to_client: &mut Vec<u8>) {
        if let Some(reply) = self.front().filter(|reply| reply.is_heard()) {
            reply.voice = Voice::Cut(Box::new(refusal.clone()));
        }
    }

    fn running(&mut self) -> Option<Running<'_, X, ResultShape>> {
        let Some(Entry::Reply(reply)) = self.queue.front_mut() else { return None };
        let execution = reply.run.as_mut()?;
        Some(Running { execution, shape: reply.shape.as_ref(), index: reply.index })
    }

    fn row_len(rows: &[u8]) -> Option<usize> {
        row::row_len(rows)
    }

    fn take_settings(&mut self) -> Vec<(String, String)> {
        self.settings_bytes = 0;
        std::mem::take(&mut self.settings)
    }

    fn take_declined(&mut self) -> Vec<Refusal> {
        std::mem::take(&mut self.declined)
    }

    fn take_skipped(&mut self) -> Vec<X> {
        std::mem::take(&mut self.skipped)
    }

    fn abandon(&mut self) -> Vec<X> {
        let mut executions = std::mem::take(&mut self.skipped);
        executions.extend(self.queue.drain(..).filter_map(|entry| match entry {
            Entry::Reply(reply) => reply.run,
            Entry::Refused(_) => None,
        }));
        self.holding = 0;
        executions
    }

    /// Statements of the protocol have numbers, and SQL does not know them.
    fn statement_named(&self, _name: &str) -> Option<S> {
        None
    }

    /// There are no portals.
    fn portal_named(&self, _name: &str) -> Option<S> {
        None
    }

    fn forget(&mut self, name: Option<&str>) {
        if name.is_none() {
            self.statements.clear();
        }
    }

    /// Cursors of the protocol have no names.
    fn forget_portal(&mut self, _name: Option<&str>) {}

    /// Between commands it has the number that the answer to the next one would have.
    fn put_farewell(&self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        const FIRST_OF_A_REPLY: u8 = 1;
        let seq = self.queue.iter().find_map(|entry| match entry {
            Entry::Reply(reply) => Some(reply.seq),
            Entry::Refused(_) => None,
        });
        put_error(to_client, seq.unwrap_or(FIRST_OF_A_REPLY), refusal);
    }

    fn is_farewell(&self) -> bool {
        self.farewell
    }

    fn is_in_mid_message(&self) -> bool {
        self.upstream_rest.is_some()
    }

    fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.local_file.is_none()
    }
}
