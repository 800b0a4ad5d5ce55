//! A trunk in small: drives the PostgreSQL engine through a conversation the way a session does, decides by words in
//! the statements, and keeps the books that must balance.
//!
//! The words: a text with `refuse` is refused when it runs, one with `never` already when it is prepared; `secret` is
//! counted, held and cut behind [`ROWS_MAX`] rows; `shape` streams but wants to know its columns. Everything else
//! streams through.
//!
//! It differs from a session in one thing: what waited for a result goes on at the very step that ends it, so that the
//! same conversation means the same in any chunking.

use std::collections::BTreeSet;
use std::rc::Rc;

use weir_wire::pg::{Limits, PgEngine};
use weir_wire::{
    ClientStep, Engine, Execution, Outcome, Prepared, Refusal, Run, Telling, Transaction, UpstreamStep, WireError,
    WireSide,
};

use crate::Traces;
use crate::conversation::{Turn, frame_len};
use crate::rng::Rng;

/// Rows that a counted execution may release.
pub const ROWS_MAX: usize = 2;

/// Small enough that inputs of a few hundred bytes reach every bound.
pub const LIMITS: Limits = Limits { frame_bytes_max: 64 * 1024, pipeline_max: 12 };

/// How a turn's bytes arrive.
#[derive(Clone, Debug)]
pub enum Chunking {
    /// At once.
    Whole,
    /// One by one.
    Bytes,
    /// In pieces of any size up to 40.
    Pieces(Rng),
}

impl Chunking {
    /// For messages.
    pub fn name(&self) -> &'static str {
        match self {
            Chunking::Whole => "the whole",
            Chunking::Bytes => "single bytes",
            Chunking::Pieces(_) => "pieces",
        }
    }

    pub(crate) fn next_len(&mut self, rest: usize) -> usize {
        match self {
            Chunking::Whole => rest,
            Chunking::Bytes => 1,
            Chunking::Pieces(rng) => (1 + rng.below(40)).min(rest),
        }
    }
}

/// What happens to a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Pass,
    Shape,
    Count,
    Refuse,
    RefuseToPrepare,
}

impl Plan {
    pub(crate) fn of(text: &[u8]) -> Plan {
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if has(b"never") {
            Plan::RefuseToPrepare
        } else if has(b"refuse") {
            Plan::Refuse
        } else if has(b"secret") {
            Plan::Count
        } else if has(b"shape") {
            Plan::Shape
        } else {
            Plan::Pass
        }
    }
}

/// The engine, with somebody who listens to what the server says besides rows: what passes must pass unchanged all the
/// same.
pub(crate) fn listening<E: Engine>(mut engine: E) -> E {
    engine.listen(true);
    engine
}

/// A prepared statement.
#[derive(Clone, Debug)]
struct Text(Rc<[u8]>);

impl Prepared for Text {
    fn wants_values(&self) -> bool {
        Plan::of(&self.0) == Plan::Count
    }
    fn may_compute(&self) -> bool {
        Plan::of(&self.0) == Plan::Shape
    }
}

/// One execution.
#[derive(Debug)]
struct Exec {
    id: usize,
    plan: Plan,
    rows: usize,
}

impl Execution for Exec {
    fn streams(&self) -> bool {
        self.plan != Plan::Count
    }
    fn wants_shape(&self) -> bool {
        self.plan != Plan::Pass
    }
    fn holds(&self) -> bool {
        self.plan == Plan::Count
    }
    fn may_compute(&self) -> bool {
        self.plan == Plan::Shape
    }
}

/// What the engine asked the trunk to decide or told it in passing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A text to prepare.
    Prepare(Vec<u8>),
    /// A text to run.
    Text(Vec<u8>),
    /// A portal to run: its statement's text when known, its row limit, how many values were kept.
    Portal(Option<Vec<u8>>, u32, usize),
    /// A function to call.
    Function(u32),
    /// Something that is not SQL.
    Command(weir_wire::Command),
    /// The client wants to be somebody else.
    ChangeUser,
    /// A setting that the server reports.
    Setting(Vec<u8>, Vec<u8>),
    /// An execution has ended, having released so many rows.
    Ended(usize, usize, Outcome),
    /// The server is ready.
    Idle(Transaction),
    /// The client leaves.
    Terminate,
}

/// Everything that a conversation led to. Equal for every chunking.
#[derive(Debug, PartialEq, Eq)]
pub struct Journal {
    /// Bytes that reached the client.
    pub to_client: Vec<u8>,
    /// Bytes that reached the upstream.
    pub to_upstream: Vec<u8>,
    /// In order.
    pub events: Vec<Event>,
    /// How the session broke.
    pub error: Option<WireError>,
    /// Executions that were open at the end.
    pub abandoned: Vec<usize>,
    /// Bytes of each side that were taken.
    pub taken: [usize; 2],
    /// Nothing but passing was decided.
    pub plain: bool,
}

impl Journal {
    /// Where two journals differ, for a person; `None` when they agree.
    pub fn difference(&self, other: &Journal) -> Option<String> {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
        if self == other {
            None
        } else if self.error != other.error {
            Some(format!("error {:?} / {:?}", self.error, other.error))
        } else if self.to_client != other.to_client {
            Some(format!("to the client `{}` / `{}`", shown(&self.to_client), shown(&other.to_client)))
        } else if self.to_upstream != other.to_upstream {
            Some(format!("to the upstream `{}` / `{}`", shown(&self.to_upstream), shown(&other.to_upstream)))
        } else if self.events != other.events {
            Some(format!("events {:?} / {:?}", self.events, other.events))
        } else {
            Some(format!(
                "abandoned {:?}, taken {:?} / {:?}, {:?}",
                self.abandoned, self.taken, other.abandoned, other.taken
            ))
        }
    }
}

/// Plays a conversation to its end and checks the books. The traces are of the steps, which may differ where the
/// journal does not: a long row may come in two.
pub fn play(turns: &[Turn], mut chunking: Chunking) -> (Journal, Traces) {
    let mut trunk = Trunk::new();
    'turns: for turn in turns {
        let mut rest = turn.bytes.as_slice();
        while !rest.is_empty() {
            let (chunk, later) = rest.split_at(chunking.next_len(rest.len()));
            rest = later;
            match trunk.hear(turn.side, chunk) {
                Ok(true) => {}
                Ok(false) => break 'turns,
                Err(error) => {
                    trunk.journal.error = Some(error);
                    break 'turns;
                }
            }
        }
    }
    let traces = trunk.traces();
    (trunk.close(), traces)
}

struct Trunk {
    engine: PgEngine<Text, Exec>,
    client: Vec<u8>,
    upstream: Vec<u8>,
    journal: Journal,
    held: bool,
    terminated: bool,
    /// Executions that were forwarded and have not ended.
    open: BTreeSet<usize>,
    counted: BTreeSet<usize>,
    forwarded: usize,
    /// Rows that the engine has reported and the trunk released.
    released: usize,
    /// A result was cut: nothing of it may come any more.
    silent: bool,
    /// Kinds of steps.
    steps: Vec<u8>,
    /// Bytes of the client's frame that have not been taken yet: only CopyData may be taken in pieces.
    frame_rest: usize,
}

impl Trunk {
    fn new() -> Trunk {
        Trunk {
            engine: listening(PgEngine::new(LIMITS)),
            client: Vec::new(),
            upstream: Vec::new(),
            journal: Journal {
                to_client: Vec::new(),
                to_upstream: Vec::new(),
                events: Vec::new(),
                error: None,
                abandoned: Vec::new(),
                taken: [0, 0],
                plain: true,
            },
            held: false,
            terminated: false,
            open: BTreeSet::new(),
            counted: BTreeSet::new(),
            forwarded: 0,
            released: 0,
            silent: false,
            steps: Vec::new(),
            frame_rest: 0,
        }
    }

    fn hear(&mut self, side: WireSide, bytes: &[u8]) -> Result<bool, WireError> {
        match side {
            WireSide::Client => {
                self.client.extend_from_slice(bytes);
                self.client_steps()?;
            }
            WireSide::Upstream => {
                self.upstream.extend_from_slice(bytes);
                self.upstream_steps()?;
            }
        }
        Ok(!self.terminated)
    }

    fn note(&mut self, step: u8) {
        self.steps.push(step);
    }

    fn traces(&self) -> Traces {
        let mut traces = Traces::default();
        traces.add_pairs(&self.steps);
        if let Some(error) = &self.journal.error {
            traces.add_error(error);
        }
        for event in &self.journal.events {
            match event {
                Event::Ended(_, rows, outcome) => traces.add("ended", (rows.min(&4), std::mem::discriminant(outcome))),
                Event::Portal(text, rows_max, values) => {
                    traces.add("portal", (text.is_some(), *rows_max > 0, values.min(&3)));
                }
                Event::Idle(transaction) => traces.add("idle", (transaction, self.journal.abandoned.len())),
                other => traces.add("event", std::mem::discriminant(other)),
            }
        }
        traces
    }

    fn client_steps(&mut self) -> Result<(), WireError> {
        let input = std::mem::take(&mut self.client);
        let mut used = 0;
        while !self.held && !self.terminated {
            match self.client_step(&input[used..])? {
                0 => break,
                len => {
                    assert!(len <= input.len() - used, "a client step of {len} bytes consumes more than it was given");
                    used += len;
                    self.journal.taken[0] += len;
                }
            }
        }
        self.client = input.get(used..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Takes one step; 0 when there is none to take.
    fn client_step(&mut self, rest: &[u8]) -> Result<usize, WireError> {
        let kind = rest.first().copied().unwrap_or(0);
        let step = self.engine.client_step(rest, &mut self.journal.to_upstream)?;
        let (code, len) = match &step {
            ClientStep::More(_) => (b'm', 0),
            ClientStep::Hold => (b'h', 0),
            ClientStep::Pass(len) => (kind, *len),
            ClientStep::Prepare { len, .. } => (b'P', *len),
            ClientStep::Judge { len, .. } => (b'J', *len),
            ClientStep::Terminate(len) | ClientStep::ChangeUser(len) => (b'X', *len),
        };
        assert!(len <= rest.len(), "a client step of {len} bytes was given {}", rest.len());
        assert!(
            len > 0 || matches!(step, ClientStep::More(_) | ClientStep::Hold),
            "a client step of no bytes: {step:?}"
        );
        if code != b'm' {
            self.note(code);
        }
        if len > 0 {
            self.taken_in_order(rest, len);
        }
        let frame = rest.get(..len).unwrap_or_default();
        match step {
            ClientStep::More(need) => {
                assert!(need == 0 || need > rest.len(), "more is wanted of a frame of {need} bytes that is whole");
                assert!(need <= LIMITS.frame_bytes_max + 1, "a frame of {need} bytes is waited for");
            }
            ClientStep::Hold => self.held = true,
            ClientStep::Pass(_) => self.journal.to_upstream.extend_from_slice(frame),
            ClientStep::Terminate(_) => {
                self.journal.events.push(Event::Terminate);
                self.journal.to_upstream.extend_from_slice(frame);
                self.terminated = true;
            }
            ClientStep::ChangeUser(_) => unreachable!("PostgreSQL has no such request"),
            ClientStep::Prepare { text, .. } => {
                let text = self.text(text);
                self.journal.events.push(Event::Prepare(text.clone()));
                if Plan::of(&text) == Plan::RefuseToPrepare {
                    self.refuse(frame, &text)?;
                } else {
                    self.engine.learn(frame, Text(text.into()), &mut self.journal.to_upstream)?;
                }
            }
            ClientStep::Judge { run, .. } => self.judge(frame, run)?,
        }
        Ok(len)
    }

    /// Frames are taken whole, and none overtakes an execution that holds.
    fn taken_in_order(&mut self, rest: &[u8], len: usize) {
        if self.frame_rest > 0 {
            assert!(len <= self.frame_rest, "a step goes beyond its frame");
            self.frame_rest -= len;
            return;
        }
        let kind = rest[0];
        let length = rest.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        let whole = length.and_then(|length| usize::try_from(length).ok()).map_or(0, |length| length.saturating_add(1));
        assert!(len == whole || (kind == b'd' && len < whole), "{len} bytes of a frame of {whole} were taken");
        self.frame_rest = whole - len;
        if !matches!(kind, b'd' | b'c' | b'f' | b'S' | b'H' | b'X') {
            assert!(self.counted.is_empty(), "`{}` overtook an execution that holds", char::from(kind));
        }
    }

    fn text(&self, text: &[u8]) -> Vec<u8> {
        assert!(!text.contains(&0), "a statement with a NUL inside");
        text.to_vec()
    }

    fn judge(&mut self, frame: &[u8], run: Run<'_, Text, weir_wire::pg::Binding>) -> Result<(), WireError> {
        let (text, event) = match run {
            Run::Text { text } => (self.text(&text), Event::Text(text.to_vec())),
            Run::Portal { statement, binding, rows_max } => {
                let text = statement.as_ref().map(|text| text.0.to_vec());
                let values = binding.map_or(0, |binding| binding.values.len());
                (text.clone().unwrap_or_else(|| b"shape".to_vec()), Event::Portal(text, rows_max, values))
            }
            Run::Function { oid } if oid % 2 == 0 => (b"refuse".to_vec(), Event::Function(oid)),
            Run::Function { oid } => (Vec::new(), Event::Function(oid)),
            Run::Command(command) => unreachable!("PostgreSQL has no such request: {command:?}"),
        };
        self.journal.events.push(event);
        let plan = Plan::of(&text);
        if matches!(plan, Plan::Refuse | Plan::RefuseToPrepare) {
            return self.refuse(frame, &text);
        }
        self.journal.plain &= plan == Plan::Pass;
        let id = self.forwarded;
        self.forwarded += 1;
        self.open.insert(id);
        if plan == Plan::Count {
            self.counted.insert(id);
        }
        self.engine.forward(frame, Exec { id, plan, rows: 0 }, &mut self.journal.to_upstream)
    }

    fn refuse(&mut self, frame: &[u8], text: &[u8]) -> Result<(), WireError> {
        self.journal.plain = false;
        let before = self.journal.to_upstream.len();
        self.engine.refuse(frame, &refusal(), &mut self.journal.to_upstream, &mut self.journal.to_client)?;
        let sent = &self.journal.to_upstream[before..];
        // Short texts may stand in the poison by chance.
        assert!(
            text.len() < 12 || !sent.windows(text.len()).any(|part| part == text),
            "a refused statement reached the upstream"
        );
        Ok(())
    }

    fn upstream_steps(&mut self) -> Result<(), WireError> {
        let input = std::mem::take(&mut self.upstream);
        let mut used = 0;
        loop {
            match self.upstream_step(&input[used..])? {
                None => break,
                Some(len) => {
                    used += len;
                    self.journal.taken[1] += len;
                }
            }
        }
        self.upstream = input.get(used..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Takes one step; `None` when there is none to take. A cut may take no bytes.
    fn upstream_step(&mut self, rest: &[u8]) -> Result<Option<usize>, WireError> {
        let kind = rest.first().copied().unwrap_or(0);
        let step = self.engine.upstream_step(rest, &mut self.journal.to_upstream)?;
        for skipped in self.engine.take_skipped() {
            self.ended(&skipped, Outcome::Skipped);
        }
        if let UpstreamStep::Told { len, told } = &step {
            assert!(*len <= rest.len() && told.bytes < *len, "{told:?} of {len} bytes");
            self.engine.tell(&rest[..*len], Telling::Whole, &mut self.journal.to_client);
            return Ok(Some(0));
        }
        let (code, len) = match &step {
            UpstreamStep::More(need) => {
                assert!(*need == 0 || *need > rest.len(), "more is wanted of a frame of {need} bytes that is whole");
                assert!(*need <= LIMITS.frame_bytes_max + 1, "a frame of {need} bytes is waited for");
                return Ok(None);
            }
            UpstreamStep::Pass(len) => (kind, *len),
            UpstreamStep::Swallow(len) => (b'w', *len),
            UpstreamStep::Swap(len, _) => (b'x', *len),
            UpstreamStep::Shape(len) => (b't', *len),
            UpstreamStep::Rows { len, .. } => (b'r', *len),
            UpstreamStep::Setting { len, .. } => (b's', *len),
            UpstreamStep::ResultEnd(len) => (b'e', *len),
            UpstreamStep::Finished { len, .. } => (b'f', *len),
            UpstreamStep::Idle { len, .. } => (b'i', *len),
            UpstreamStep::Told { .. } => panic!("decided, and told again: {step:?}"),
        };
        assert!(len <= rest.len(), "an upstream step of {len} bytes was given {}", rest.len());
        assert!(len > 0, "an upstream step of no bytes: {step:?}");
        self.note(code);
        let frame = &rest[..len];
        match step {
            UpstreamStep::More(_) | UpstreamStep::Told { .. } => {}
            UpstreamStep::Pass(_) => {
                assert!(
                    // Of notices those that hold words only.
                    !self.silent || matches!(kind, b'N' | b'A'),
                    "`{}` came through behind a cut",
                    char::from(kind)
                );
                self.journal.to_client.extend_from_slice(frame);
            }
            UpstreamStep::Setting { name, value, swallow, .. } => {
                self.journal.events.push(Event::Setting(name.to_vec(), value.to_vec()));
                assert!(!swallow || self.silent, "a setting was dropped though nothing was cut");
                if !swallow {
                    self.journal.to_client.extend_from_slice(frame);
                }
            }
            UpstreamStep::Shape(_) | UpstreamStep::ResultEnd(_) => {
                assert!(!self.silent, "a result came through behind a cut");
                self.journal.to_client.extend_from_slice(frame);
            }
            UpstreamStep::Swallow(_) => self.journal.plain = false,
            UpstreamStep::Swap(_, instead) => {
                assert!(!self.silent, "a second error came through behind a cut");
                self.journal.plain = false;
                self.journal.to_client.extend_from_slice(&instead);
            }
            UpstreamStep::Rows { rows, .. } => return Ok(Some(self.rows(frame, rows))),
            UpstreamStep::Finished { swallow, execution, outcome, .. } => {
                self.ended(&execution, outcome);
                assert!(!self.silent || swallow, "the end of a cut result came through");
                if !swallow {
                    self.journal.to_client.extend_from_slice(frame);
                }
                self.go_on()?;
            }
            UpstreamStep::Idle { swallow, finished, transaction, .. } => {
                if let Some((execution, outcome)) = finished {
                    self.ended(&execution, outcome);
                }
                self.journal.events.push(Event::Idle(transaction));
                if !swallow {
                    self.silent = false;
                    self.journal.to_client.extend_from_slice(frame);
                }
                self.go_on()?;
            }
        }
        Ok(Some(len))
    }

    /// Releases rows, or as many as may leave; returns the bytes that are dealt with.
    fn rows(&mut self, bytes: &[u8], rows: usize) -> usize {
        assert!(!self.silent, "rows came through behind a cut");
        let running = self.engine.running().expect("rows belong to an execution");
        let counted = running.execution.plan == Plan::Count;
        let room = ROWS_MAX.saturating_sub(running.execution.rows);
        if !counted || rows <= room {
            running.execution.rows += rows;
            self.released += rows;
            self.journal.to_client.extend_from_slice(bytes);
            return bytes.len();
        }
        let mut part = 0;
        (0..room).for_each(|_| part += frame_len(&bytes[part..]));
        running.execution.rows += room;
        self.released += room;
        self.journal.to_client.extend_from_slice(&bytes[..part]);
        self.engine.cut(&refusal(), &mut self.journal.to_client);
        self.silent = true;
        part
    }

    fn ended(&mut self, execution: &Exec, outcome: Outcome) {
        assert!(self.open.remove(&execution.id), "an execution ended twice");
        self.counted.remove(&execution.id);
        self.journal.events.push(Event::Ended(execution.id, execution.rows, outcome));
    }

    /// A result has ended: what waited for it goes on.
    fn go_on(&mut self) -> Result<(), WireError> {
        self.held = false;
        self.client_steps()
    }

    fn close(mut self) -> Journal {
        for execution in self.engine.abandon() {
            assert!(self.open.remove(&execution.id), "an execution was abandoned that had ended");
            self.journal.abandoned.push(execution.id);
        }
        assert!(self.open.is_empty(), "executions were lost: {:?}", self.open);
        let shown = data_frames(&self.journal.to_client);
        assert_eq!(shown, self.released, "rows that the client sees, and rows that were counted");
        self.journal
    }
}

fn refusal() -> Refusal {
    Refusal::new("42501", "statement refused", "ask somebody")
}

/// Data frames that begin in what the client was sent.
fn data_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some(kind) = bytes.first() {
        count += usize::from(matches!(kind, b'D' | b'd' | b'V'));
        bytes = &bytes[frame_len(bytes)..];
    }
    count
}
