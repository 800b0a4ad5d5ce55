//! The steps between an engine and the trunk, the same for every protocol.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use crate::refusal::{Refusal, WireError};

/// What the trunk remembers of one prepared statement; the engine only stores it under its protocol name.
pub trait Prepared: Clone {
    /// Whether parameter values must be kept with each binding (they pin a key).
    fn wants_values(&self) -> bool;
    /// Names of its result's columns may be computed, so that they are told before they pass.
    fn may_compute(&self) -> bool {
        false
    }
}

/// What the trunk remembers of one execution while its reply is awaited.
pub trait Execution {
    /// Rows may pass before they are whole: nothing is counted by key and nothing can be cut.
    fn streams(&self) -> bool;
    /// The shape of its result must be known before its first row: where the client does not ask for a description,
    /// the engine does, and keeps the answer to itself.
    fn wants_shape(&self) -> bool;
    /// Later messages wait until this execution has ended, so that a cut leaves nothing behind it running.
    fn holds(&self) -> bool;
    /// The statement itself asks for a file of the client, and may have it (MySQL's LOAD DATA LOCAL).
    fn may_load_local(&self) -> bool {
        false
    }
    /// Names of its result's columns, or the number in MySQL's OK, may be computed: they are told before they pass.
    fn may_compute(&self) -> bool {
        false
    }
}

/// Where a result's column comes from, as the server tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnOrigin<'a> {
    /// Not a plain column of one relation, or the server does not say.
    Unknown,
    /// A column by numbers.
    Number {
        /// The relation's OID.
        relation: u32,
        /// Attribute number.
        attribute: i16,
    },
    /// A column by names. What stands for the relation may be an alias that the client chose.
    Name {
        /// Schema, which MySQL calls database.
        schema: &'a str,
        /// Relation.
        relation: &'a str,
        /// Column.
        column: &'a str,
    },
}

/// Description of a result's columns: where they come from, and how their values are found in a row.
pub trait Shape: Debug {
    /// How many there are.
    fn columns(&self) -> usize;

    /// Where this one comes from (0-based); [`ColumnOrigin::Unknown`] beyond the last.
    fn origin(&self, column: usize) -> ColumnOrigin<'_>;

    /// The values at `positions` of one row, in their order; NULL is `None`. False when the row cannot be read so far.
    /// The row is given as it travels, headers included.
    fn values_at<'b>(&self, row: &'b [u8], positions: &[usize], values: &mut Vec<Option<&'b [u8]>>) -> bool;

    /// Appends a value of this column in one canonical form, so that the transfers of one key as text and as binary are
    /// the same key.
    fn canonical(&self, column: usize, value: &[u8], out: &mut Vec<u8>);
}

/// Values bound to a statement's parameters.
pub trait Values: Debug {
    /// Appends a value (0-based) in the form of [`Shape::canonical`]; false when it is NULL or not known for certain.
    fn canonical(&self, parameter: usize, out: &mut Vec<u8>) -> bool;

    /// Appends everything that tells this binding's values from those of another; false when they are not known for
    /// certain.
    fn put_all(&self, out: &mut Vec<u8>) -> bool;
}

/// A request of the protocol that is not SQL and needs a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// The session goes back to the state in which it began.
    ResetConnection,
    /// Another one that is known: what it does is outside of SQL.
    Named {
        /// Its code.
        code: u8,
        /// Its name: `binlog-dump`.
        name: &'static str,
    },
    /// Nobody knows it.
    Unknown(u8),
}

/// Transaction status as the server last reported it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Transaction {
    /// Not in a transaction block.
    #[default]
    Idle,
    /// In a transaction block.
    Open,
    /// In a failed transaction block.
    Failed,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ran to its end; the command tag (`SELECT 5`), lossily decoded and bounded.
    Complete(String),
    /// The row limit of the Execute message was reached; the portal can go on.
    Suspended,
    /// An error of the server, by SQLSTATE.
    Error(String),
    /// Cut by Weir.
    Cut,
    /// Forwarded, but the server skipped it because of an earlier error in the same pipeline.
    Skipped,
}

/// Something that needs a decision before it may go to the upstream.
#[derive(Debug)]
pub enum Run<'b, S, V> {
    /// A text that runs at once; it may hold several statements.
    Text {
        /// The text without terminator; Weir's own where the protocol has a request that SQL has, too.
        text: Cow<'b, [u8]>,
    },
    /// A bound statement.
    Portal {
        /// What was remembered at its preparation; `None` when Weir never saw it.
        statement: Option<S>,
        /// The binding, when known.
        binding: Option<Arc<V>>,
        /// Row limit, 0 = none.
        rows_max: u32,
    },
    /// A call of one function by number (PostgreSQL's FunctionCall).
    Function {
        /// The function's OID.
        oid: u32,
    },
    /// A request that is not SQL.
    Command(Command),
}

/// What the client's bytes ask for next.
#[derive(Debug)]
pub enum ClientStep<'b, S, V> {
    /// A frame is not whole yet: its length in bytes, 0 while not even that is known.
    More(usize),
    /// Later messages must wait for the running execution; try again when a result has ended.
    Hold,
    /// Forward so many bytes as they are.
    Pass(usize),
    /// A text to be prepared: analyse it, then call [`Engine::learn`].
    Prepare {
        /// Length of its frame.
        len: usize,
        /// The text without terminator.
        text: &'b [u8],
    },
    /// A decision is needed: then call [`Engine::forward`] or [`Engine::refuse`] with the frame.
    Judge {
        /// Length of its frame.
        len: usize,
        /// What wants to run.
        run: Run<'b, S, V>,
    },
    /// The client wants to be somebody else (MySQL's COM_CHANGE_USER), and no reply is owed: the session begins anew
    /// with this frame.
    ChangeUser(usize),
    /// The client takes its leave.
    Terminate(usize),
}

/// A way out for what the server says besides rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// An error: PostgreSQL's ErrorResponse, MySQL's ERR.
    Error,
    /// A notice (PostgreSQL).
    Notice,
    /// A setting that the server reports: ParameterStatus, and the session state in MySQL's OK.
    Setting,
    /// What another session, or this one, has notified (PostgreSQL). It may come from anybody.
    Notification,
    /// Names of a result's columns.
    Columns,
    /// What a command that has ended says of itself: MySQL's OK with its text and LAST_INSERT_ID.
    Info,
}

impl Door {
    /// Every door.
    pub const ALL: [Door; 6] =
        [Door::Error, Door::Notice, Door::Setting, Door::Notification, Door::Columns, Door::Info];
}

/// When the server said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While an execution runs: [`Engine::running`].
    Running,
    /// While a statement is planned with its parameters, before anything of it was judged: [`Engine::binding`].
    Binding,
    /// At the end of a transaction or pipeline: it may be about anything that ran in it.
    Ending,
    /// At no time that anybody chose.
    Aside,
}

/// A part of a message that the server has taken from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quote {
    /// A value or a name: harmless where the client's own text has just this one.
    Word(Vec<u8>),
    /// A stretch of the text that was read, from some place on: harmless where the client's own text ends so.
    Rest {
        /// The stretch.
        text: Vec<u8>,
        /// It may be longer: the server quotes no more of it.
        is_cut: bool,
    },
}

impl Quote {
    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Quote::Word(text) | Quote::Rest { text, .. } => text.len(),
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a message may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Words of the server and names that the client's own text has: no value of any row.
    Words,
    /// Words of the server around these.
    Quotes(Vec<Quote>),
    /// Anything.
    Values,
}

/// What the server says besides rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// By which door.
    pub door: Door,
    /// When.
    pub moment: Moment,
    /// Bytes of its free content: what a value could stand in.
    pub bytes: usize,
    /// What that may be.
    pub content: Content,
    /// Whether its values stand in parts that can be left out, so that words of the server remain.
    pub trims: bool,
}

/// What becomes of something that the server says.
#[derive(Clone, Copy, Debug)]
pub enum Telling<'t> {
    /// The client reads it as it came.
    Whole,
    /// Without the parts that may hold values; only where [`Told::trims`] says so.
    Trimmed,
    /// The client reads this instead, in a message of the same kind and code where there is one, else nothing.
    Instead(&'t Refusal),
    /// The client does not see it.
    Nothing,
}

/// What the upstream's bytes say next.
#[derive(Debug)]
pub enum UpstreamStep<'b, X> {
    /// A frame is not whole yet: its length in bytes, 0 while not even that is known.
    More(usize),
    /// Forward so many bytes as they are.
    Pass(usize),
    /// Drop so many bytes: an answer to something that Weir asked, or the rest of a result that was cut.
    Swallow(usize),
    /// Drop so many bytes and send these instead.
    Swap(usize, Vec<u8>),
    /// The shape of a result is known: review it, then forward.
    Shape(usize),
    /// Data of the running execution. Not yet released: the trunk charges, then forwards all or a prefix.
    Rows {
        /// Bytes of the run.
        len: usize,
        /// Rows that begin in it.
        rows: usize,
    },
    /// A setting that the server reports.
    Setting {
        /// Length of its frame; forward it unless `swallow`.
        len: usize,
        /// Its name.
        name: &'b [u8],
        /// Its value.
        value: &'b [u8],
        /// Whether the client must not see it.
        swallow: bool,
    },
    /// The server says something besides rows, and somebody listens: decide, then call [`Engine::tell`] with the frame.
    /// Nothing is consumed yet; until then the step is the same.
    Told {
        /// Length of its frame.
        len: usize,
        /// What it says.
        told: Told,
    },
    /// One result of the running text ended; more may follow.
    ResultEnd(usize),
    /// An execution ended; forward the bytes unless `swallow`.
    Finished {
        /// Length of the frame that ends it.
        len: usize,
        /// Whether the client must not see it.
        swallow: bool,
        /// The trunk's own memory of it.
        execution: X,
        /// How it ended.
        outcome: Outcome,
    },
    /// The server waits for the next command.
    Idle {
        /// Length of the frame.
        len: usize,
        /// Whether the client must not see it.
        swallow: bool,
        /// A text execution that ends with it.
        finished: Option<(X, Outcome)>,
        /// Transaction status now.
        transaction: Transaction,
    },
}

impl<X> UpstreamStep<'_, X> {
    /// The same step, of which the client sees nothing.
    #[must_use]
    pub(crate) fn unheard(self) -> Self {
        match self {
            UpstreamStep::Pass(len) | UpstreamStep::Shape(len) | UpstreamStep::ResultEnd(len) => {
                UpstreamStep::Swallow(len)
            }
            UpstreamStep::Setting { len, name, value, .. } => UpstreamStep::Setting { len, name, value, swallow: true },
            UpstreamStep::Finished { len, execution, outcome, .. } => {
                UpstreamStep::Finished { len, swallow: true, execution, outcome }
            }
            UpstreamStep::Idle { len, finished, transaction, .. } => {
                UpstreamStep::Idle { len, swallow: true, finished, transaction }
            }
            other => other,
        }
    }
}

/// A wire protocol's state for one session, after its start-up.
///
/// The trunk drives it: one step at a time from either side, strictly in the order of the bytes. What a method
/// appends to `to_upstream` or `to_client` must be sent after all that was passed before it.
pub trait Engine {
    /// What the trunk remembers of a prepared statement.
    type Statement: Prepared;
    /// What the trunk remembers of an execution.
    type Run: Execution;
    /// A statement's binding: parameter values and result formats.
    type Binding: Values + 'static;
    /// Description of a result's columns.
    type Shape: Shape + 'static;

    /// A client's goodbye, as it travels.
    const TERMINATE: &'static [u8];

    /// Looks at the client's next message. Never consumes: the trunk advances by the step's length.
    fn client_step<'b>(
        &mut self,
        input: &'b [u8],
        to_upstream: &mut Vec<u8>,
    ) -> Result<ClientStep<'b, Self::Statement, Self::Binding>, WireError>;

    /// Forwards the frame of a [`ClientStep::Prepare`] and remembers `statement` under its name.
    fn learn(&mut self, frame: &[u8], statement: Self::Statement, to_upstream: &mut Vec<u8>) -> Result<(), WireError>;

    /// Forwards the frame of a [`ClientStep::Judge`]; `execution` comes back when it has ended.
    fn forward(&mut self, frame: &[u8], execution: Self::Run, to_upstream: &mut Vec<u8>) -> Result<(), WireError>;

    /// Answers the frame of a [`ClientStep::Judge`] or [`ClientStep::Prepare`] with an error, in its place among the
    /// replies, and leaves the upstream's transaction as an error of the server itself would.
    fn refuse(
        &mut self,
        frame: &[u8],
        refusal: &Refusal,
        to_upstream: &mut Vec<u8>,
        to_client: &mut Vec<u8>,
    ) -> Result<(), WireError>;

    /// Looks at the upstream's next message.
    fn upstream_step<'b>(
        &mut self,
        input: &'b [u8],
        to_upstream: &mut Vec<u8>,
    ) -> Result<UpstreamStep<'b, Self::Run>, WireError>;

    /// Whether somebody wants to hear what the server says besides rows; nobody does at first.
    fn listen(&mut self, on: bool);

    /// The statement whose binding the server is planning: of a [`Told`] in [`Moment::Binding`].
    fn binding(&self) -> Option<Self::Statement>;

    /// Answers an [`UpstreamStep::Told`]: appends to `to_client` what the client reads in place of `frame`, if anything
    /// does. The frame's own step comes next, and drops it where it does not pass as it came.
    fn tell(&mut self, frame: &[u8], telling: Telling<'_>, to_client: &mut Vec<u8>);

    /// Ends the running result for the client now; what the upstream still sends of it is swallowed.
    fn cut(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>);

    /// The execution whose reply is arriving, with its shape when known and the index of the result in a text.
    fn running(&mut self) -> Option<Running<'_, Self::Run, Self::Shape>>;

    /// Length of the row that these bytes of an [`UpstreamStep::Rows`] begin with, headers included.
    fn row_len(rows: &[u8]) -> Option<usize>;

    /// Settings that the server has reported with the end of a result since the last call: name and value.
    fn take_settings(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What was declined since the last call without a decision of anybody's, as what the upstream asked of the client:
    /// for the record.
    fn take_declined(&mut self) -> Vec<Refusal> {
        Vec::new()
    }

    /// Executions that the server skipped or that a cut has overtaken since the last call.
    fn take_skipped(&mut self) -> Vec<Self::Run>;

    /// Every execution that has not ended, oldest first: the session is over.
    fn abandon(&mut self) -> Vec<Self::Run>;

    /// What was remembered of the statement that now has this name; `None` when Weir did not see its preparation.
    fn statement_named(&self, name: &str) -> Option<Self::Statement>;

    /// What was remembered of the statement behind the portal that now has this name.
    fn portal_named(&self, name: &str) -> Option<Self::Statement>;

    /// Forgets prepared names (`None`: all), because SQL may have changed what they mean.
    fn forget(&mut self, name: Option<&str>);

    /// Forgets portals (`None`: all), because SQL shares their name space with its cursors.
    fn forget_portal(&mut self, name: Option<&str>);

    /// Appends the error with which Weir ends the session, in its place behind what the client was sent.
    fn put_farewell(&self, refusal: &Refusal, to_client: &mut Vec<u8>);

    /// Whether the upstream has said itself why it ends the session.
    fn is_farewell(&self) -> bool;

    /// Whether a message of the upstream has passed in part.
    fn is_in_mid_message(&self) -> bool;

    /// The frame of a request that ends another session by a number of Weir's, with the server's number in its place;
    /// `None` where it stays as it is, as every request of a protocol that has keys for it does.
    fn renumbered(&self, _frame: &[u8], _known: &dyn Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
        None
    }

    /// Whether the upstream owes no reply.
    fn is_quiet(&self) -> bool;
}

/// The execution whose reply is arriving.
#[derive(Debug)]
pub struct Running<'e, X, S> {
    /// The trunk's memory of it.
    pub execution: &'e mut X,
    /// Columns of the present result.
    pub shape: Option<&'e Arc<S>>,
    /// 0-based index of the present result within a text.
    pub index: usize,
}
