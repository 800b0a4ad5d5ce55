//! A trunk in small for MySQL: what [`crate::trunk`] is for PostgreSQL, with the same words in the statements and one
//! more. A text with `local` may load a file of the client.

use std::collections::BTreeSet;
use std::rc::Rc;

use weir_wire::mysql::{Binding, Facts, Limits, MysqlEngine};
use weir_wire::{
    ClientStep, Command, Engine, Execution, Outcome, Prepared, Refusal, Run, Shape, Telling, UpstreamStep, Values,
    WireError, WireSide,
};

use crate::Traces;
use crate::conversation::Turn;
use crate::mysql_conversation::packet_len;
use crate::trunk::{Chunking, Event, Journal, Plan, ROWS_MAX, listening};

/// Small enough that inputs of a few hundred bytes reach every bound.
pub const LIMITS: Limits = Limits { frame_bytes_max: 64 * 1024, pipeline_max: 12 };

/// COM_QUIT.
const QUIT: u8 = 1;

/// A prepared statement.
#[derive(Clone, Debug)]
struct Text(Rc<[u8]>);

impl Prepared for Text {
    fn wants_values(&self) -> bool {
        Plan::of(&self.0) == Plan::Count
    }
}

/// One execution.
#[derive(Debug)]
struct Exec {
    id: usize,
    plan: Plan,
    loads: bool,
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
    fn may_load_local(&self) -> bool {
        self.loads
    }
    fn may_compute(&self) -> bool {
        self.plan == Plan::Shape
    }
}

/// Where a cut stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// Nothing is cut.
    None,
    /// The error has not left.
    Owed,
    /// It has: nothing of the result may come any more.
    Silent,
}

/// Plays a conversation to its end and checks the books.
pub fn play(facts: Facts, turns: &[Turn], mut chunking: Chunking) -> (Journal, Traces) {
    let mut trunk = Trunk::new(facts);
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
    engine: MysqlEngine<Text, Exec>,
    client: Vec<u8>,
    upstream: Vec<u8>,
    journal: Journal,
    held: bool,
    /// What waited for the end of a result goes on behind its step.
    goes_on: bool,
    over: bool,
    /// Executions that were forwarded and have not ended.
    open: BTreeSet<usize>,
    /// Of these, the ones that nothing may overtake.
    holding: BTreeSet<usize>,
    /// Of these, the ones that the server may ask for a file.
    loading: BTreeSet<usize>,
    forwarded: usize,
    /// Refusals that were not answered yet.
    refusals: usize,
    cut: Cut,
    /// Kinds of steps.
    steps: Vec<u8>,
}

impl Trunk {
    fn new(facts: Facts) -> Trunk {
        Trunk {
            engine: listening(MysqlEngine::new(LIMITS, facts)),
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
            goes_on: false,
            over: false,
            open: BTreeSet::new(),
            holding: BTreeSet::new(),
            loading: BTreeSet::new(),
            forwarded: 0,
            refusals: 0,
            cut: Cut::None,
            steps: Vec::new(),
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
        Ok(!self.over)
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
                Event::Idle(transaction) => traces.add("idle", transaction),
                Event::Command(Command::Unknown(_)) => traces.add("command", "unknown"),
                Event::Command(command) => traces.add("command", command),
                other => traces.add("event", std::mem::discriminant(other)),
            }
        }
        traces
    }

    fn client_steps(&mut self) -> Result<(), WireError> {
        let input = std::mem::take(&mut self.client);
        let mut used = 0;
        while !self.held && !self.over {
            match self.client_step(&input[used..])? {
                0 => break,
                len => {
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
        let code = rest.get(4).copied().unwrap_or(0);
        let step = self.engine.client_step(rest, &mut self.journal.to_upstream)?;
        let (trace, len) = match &step {
            ClientStep::More(_) => (b'm', 0),
            ClientStep::Hold => (b'h', 0),
            ClientStep::Pass(len) => (code, *len),
            ClientStep::Prepare { len, .. } => (b'P', *len),
            ClientStep::Judge { len, .. } => (b'J', *len),
            ClientStep::ChangeUser(len) => (b'U', *len),
            ClientStep::Terminate(len) => (b'X', *len),
        };
        assert!(len <= rest.len(), "a client step of {len} bytes was given {}", rest.len());
        assert!(
            len > 0 || matches!(step, ClientStep::More(_) | ClientStep::Hold),
            "a client step of no bytes: {step:?}"
        );
        // What is not whole is asked for again with each byte.
        if trace != b'm' {
            self.steps.push(trace);
        }
        let frame = rest.get(..len).unwrap_or_default();
        if len > 0 {
            self.taken_in_order(frame, &step);
        }
        match step {
            ClientStep::More(need) => {
                assert!(need == 0 || need > rest.len(), "more is wanted of a packet of {need} bytes that is whole");
                assert!(need <= LIMITS.frame_bytes_max + 4, "a packet of {need} bytes is waited for");
            }
            ClientStep::Hold => {
                assert!(!self.open.is_empty() || !self.engine.is_quiet(), "nothing is there to wait for");
                self.held = true;
            }
            ClientStep::Pass(_) => self.journal.to_upstream.extend_from_slice(frame),
            ClientStep::Terminate(_) => {
                self.journal.events.push(Event::Terminate);
                self.journal.to_upstream.extend_from_slice(frame);
                self.over = true;
            }
            ClientStep::ChangeUser(_) => {
                assert!(self.engine.is_quiet() && self.open.is_empty(), "somebody else while a reply is due");
                self.journal.events.push(Event::ChangeUser);
                self.journal.to_upstream.extend_from_slice(frame);
                self.over = true;
            }
            ClientStep::Prepare { text, .. } => {
                self.journal.events.push(Event::Prepare(text.to_vec()));
                if Plan::of(text) == Plan::RefuseToPrepare {
                    self.refuse(frame, text)?;
                } else {
                    self.engine.learn(frame, Text(text.into()), &mut self.journal.to_upstream)?;
                }
            }
            ClientStep::Judge { run, .. } => self.judge(frame, run)?,
        }
        Ok(len)
    }

    /// Commands are taken whole, and none overtakes an execution that holds.
    fn taken_in_order<S, V>(&self, frame: &[u8], step: &ClientStep<'_, S, V>) {
        if !self.loading.is_empty() {
            // Whatever comes now may be the file.
            assert!(matches!(step, ClientStep::Pass(_) | ClientStep::Terminate(_)), "a command among a file");
            return;
        }
        let code = frame.get(4).copied().unwrap_or(0);
        let rest_of_a_file = frame.len() != packet_len(frame) || frame.len() < 4 || frame[3] != 0;
        assert!(!rest_of_a_file || self.forwarded > 0, "no whole command was taken");
        assert!(rest_of_a_file || self.holding.is_empty() || code == QUIT, "{code} overtook an execution that holds");
    }

    fn judge(&mut self, frame: &[u8], run: Run<'_, Text, Binding>) -> Result<(), WireError> {
        let (text, event) = match run {
            Run::Text { text } => (text.to_vec(), Event::Text(text.to_vec())),
            Run::Portal { statement, binding, rows_max } => {
                let text = statement.as_ref().map(|text| text.0.to_vec());
                let values = binding.map_or(0, |binding| {
                    (0..8).filter(|parameter| binding.canonical(*parameter, &mut Vec::new())).count()
                });
                (text.clone().unwrap_or_else(|| b"shape".to_vec()), Event::Portal(text, rows_max, values))
            }
            Run::Function { oid } => panic!("MySQL has no function {oid}"),
            // What brings no end of its own is counted, so that it is cut.
            Run::Command(command @ Command::Named { code: 0x12, .. }) => (b"secret".to_vec(), Event::Command(command)),
            Run::Command(command @ Command::Named { code, .. }) if code % 2 == 0 => {
                (b"refuse".to_vec(), Event::Command(command))
            }
            Run::Command(command) => (Vec::new(), Event::Command(command)),
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
        let loads = text.windows(5).any(|part| part == b"local");
        if plan == Plan::Count || loads {
            self.holding.insert(id);
        }
        let execution = Exec { id, plan, loads, rows: 0 };
        self.engine.forward(frame, execution, &mut self.journal.to_upstream)
    }

    fn refuse(&mut self, frame: &[u8], text: &[u8]) -> Result<(), WireError> {
        self.journal.plain = false;
        let (sent, heard) = (self.journal.to_upstream.len(), self.journal.to_client.len());
        let (up, down) = (&mut self.journal.to_upstream, &mut self.journal.to_client);
        self.engine.refuse(frame, &refusal(), up, down)?;
        assert_eq!(self.journal.to_upstream.len(), sent, "`{}` was refused", text.escape_ascii());
        if self.journal.to_client.len() == heard {
            self.refusals += 1;
        }
        Ok(())
    }

    fn upstream_steps(&mut self) -> Result<(), WireError> {
        let input = std::mem::take(&mut self.upstream);
        let mut used = 0;
        let mut empty = 0;
        while !self.over {
            let Some(len) = self.upstream_step(&input[used..])? else { break };
            empty = if len == 0 { empty + 1 } else { 0 };
            assert!(empty <= 3 * LIMITS.pipeline_max, "steps of no bytes without an end");
            used += len;
            self.journal.taken[1] += len;
            if std::mem::take(&mut self.goes_on) {
                self.client_steps()?;
            }
        }
        self.upstream = input.get(used..).unwrap_or_default().to_vec();
        Ok(())
    }

    /// Takes one step; `None` when there is none to take. An error of Weir's takes no bytes, and neither does a cut.
    fn upstream_step(&mut self, rest: &[u8]) -> Result<Option<usize>, WireError> {
        let sent = self.journal.to_upstream.len();
        let step = self.engine.upstream_step(rest, &mut self.journal.to_upstream)?;
        // The end of a file that was not given, the end of a cursor that was cut.
        self.journal.plain &= self.journal.to_upstream.len() == sent;
        if let UpstreamStep::Told { len, told } = &step {
            assert!(*len <= rest.len() && told.bytes < *len, "{told:?} of {len} bytes");
            self.engine.tell(&rest[..*len], Telling::Whole, &mut self.journal.to_client);
            return Ok(Some(0));
        }
        let (trace, len) = match &step {
            UpstreamStep::More(need) => {
                assert!(*need == 0 || *need > rest.len(), "more is wanted of a packet of {need} bytes that is whole");
                assert!(*need <= LIMITS.frame_bytes_max + 4, "a packet of {need} bytes is waited for");
                return Ok(None);
            }
            UpstreamStep::Pass(len) => (b'p', *len),
            UpstreamStep::Swallow(len) => (b'w', *len),
            UpstreamStep::Swap(len, _) => (b'x', *len),
            UpstreamStep::Shape(len) => (b't', *len),
            UpstreamStep::Rows { len, .. } => (b'r', *len),
            UpstreamStep::ResultEnd(len) => (b'e', *len),
            UpstreamStep::Idle { len, .. } => (b'i', *len),
            UpstreamStep::Setting { .. } | UpstreamStep::Finished { .. } | UpstreamStep::Told { .. } => {
                panic!("not a step of MySQL: {step:?}")
            }
        };
        assert!(len <= rest.len(), "an upstream step of {len} bytes was given {}", rest.len());
        assert!(
            len > 0 || matches!(step, UpstreamStep::Swap(..) | UpstreamStep::Idle { .. }),
            "an upstream step of no bytes: {step:?}"
        );
        // Packets pass in runs of any length.
        if self.steps.last() != Some(&trace) || !matches!(trace, b'p' | b'w' | b'r') {
            self.steps.push(trace);
        }
        let frame = &rest[..len];
        match step {
            UpstreamStep::Pass(_) | UpstreamStep::Shape(_) | UpstreamStep::ResultEnd(_) => {
                assert_eq!(self.cut, Cut::None, "a packet came through behind a cut");
                if frame.get(4) == Some(&0xFB) && trace == b'p' {
                    self.asked_for_a_file();
                }
                self.journal.to_client.extend_from_slice(frame);
                self.take_settings();
            }
            UpstreamStep::Swallow(_) => {
                assert_ne!(self.cut, Cut::Owed, "the error of a cut came too late");
                self.journal.plain = false;
            }
            UpstreamStep::Swap(_, instead) => self.swap(len, &instead),
            UpstreamStep::Rows { rows, .. } => return Ok(Some(self.rows(frame, rows))),
            UpstreamStep::Idle { swallow, finished, transaction, .. } => {
                if !swallow {
                    assert_eq!(self.cut, Cut::None, "the end of a cut result came through");
                    self.journal.to_client.extend_from_slice(frame);
                }
                assert_ne!(self.cut, Cut::Owed, "the error of a cut came too late");
                if let Some((execution, outcome)) = finished {
                    assert_eq!(self.cut == Cut::Silent, outcome == Outcome::Cut, "what was cut ends as cut");
                    self.cut = Cut::None;
                    self.ended(&execution, outcome);
                }
                self.take_settings();
                self.journal.events.push(Event::Idle(transaction));
                self.held = false;
                self.goes_on = true;
            }
            _ => {}
        }
        Ok(Some(len))
    }

    /// An error of Weir's: of a cut, in place of a request for a file, or the answer to a refused command.
    fn swap(&mut self, len: usize, instead: &[u8]) {
        self.journal.plain = false;
        match self.cut {
            Cut::Owed => self.cut = Cut::Silent,
            Cut::Silent => panic!("a second error came through behind a cut"),
            Cut::None if len > 0 => {
                assert_eq!(self.engine.take_declined().len(), 1, "something was declined");
                self.cut = Cut::Silent;
            }
            Cut::None => {
                assert!(self.refusals > 0, "an error that nobody is owed");
                self.refusals -= 1;
            }
        }
        assert_eq!(instead.len(), packet_len(instead), "an error is a packet");
        self.journal.to_client.extend_from_slice(instead);
    }

    fn asked_for_a_file(&mut self) {
        if let Some(running) = self.engine.running()
            && running.execution.loads
        {
            self.loading.insert(running.execution.id);
        }
    }

    fn take_settings(&mut self) {
        for (name, value) in self.engine.take_settings() {
            self.journal.events.push(Event::Setting(name.into_bytes(), value.into_bytes()));
        }
    }

    /// Releases rows, or as many as may leave; returns the bytes that are dealt with.
    fn rows(&mut self, bytes: &[u8], rows: usize) -> usize {
        assert_eq!(self.cut, Cut::None, "rows came through behind a cut");
        let running = self.engine.running().expect("rows belong to an execution");
        let counted = running.execution.plan == Plan::Count;
        if counted {
            let mut ends = 0;
            for _ in 0..rows {
                let len = MysqlEngine::<Text, Exec>::row_len(&bytes[ends..]).expect("counted rows are whole");
                if let Some(shape) = running.shape {
                    let columns: Vec<usize> = (0..shape.columns()).collect();
                    let _ = shape.values_at(&bytes[ends..ends + len], &columns, &mut Vec::new());
                }
                ends += len;
            }
            assert_eq!(ends, bytes.len(), "rows are counted exactly");
        }
        let room = ROWS_MAX.saturating_sub(running.execution.rows);
        if !counted || rows <= room {
            running.execution.rows += rows;
            self.journal.to_client.extend_from_slice(bytes);
            return bytes.len();
        }
        let part = (0..room).fold(0, |part, _| {
            part + MysqlEngine::<Text, Exec>::row_len(&bytes[part..]).expect("counted rows are whole")
        });
        running.execution.rows += room;
        self.journal.to_client.extend_from_slice(&bytes[..part]);
        self.engine.cut(&refusal(), &mut self.journal.to_client);
        self.cut = Cut::Owed;
        part
    }

    fn ended(&mut self, execution: &Exec, outcome: Outcome) {
        assert!(self.open.remove(&execution.id), "an execution ended twice");
        self.holding.remove(&execution.id);
        self.loading.remove(&execution.id);
        self.journal.events.push(Event::Ended(execution.id, execution.rows, outcome));
    }

    fn close(mut self) -> Journal {
        if self.engine.is_quiet() && self.journal.error.is_none() {
            assert_eq!(self.refusals, 0, "a refusal was never answered");
        }
        for execution in self.engine.take_skipped().into_iter().chain(self.engine.abandon()) {
            assert!(self.open.remove(&execution.id), "an execution was abandoned that had ended");
            self.journal.abandoned.push(execution.id);
        }
        assert!(self.open.is_empty(), "executions were lost: {:?}", self.open);
        self.journal
    }
}

fn refusal() -> Refusal {
    Refusal::new("42501", "statement refused", "ask somebody")
}
