//! The engine against written-down and recorded conversations: what each side sends, what must come out on the other.

mod bounds;
mod captures;
mod cuts;
mod doors;
mod files;
mod passing;
mod properties;
mod refusals;
mod settings;
mod statements;

use std::collections::VecDeque;
use std::sync::Arc;

use super::capability::Capabilities;
use super::engine::{Facts, Limits, MysqlEngine};
use super::error::{ErrPacket, read_error};
use super::packet::{Packet, Scan, put_lenenc_bytes, put_packet};
use super::prepared::Binding;
use crate::refusal::{Refusal, WireError, WireSide};
use crate::step::{
    ClientStep, Command, Door, Engine, Execution, Outcome, Prepared, Run, Shape, Telling, Told, Transaction,
    UpstreamStep, Values,
};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text(Vec<u8>, bool);

impl Prepared for Text {
    fn wants_values(&self) -> bool {
        self.1 || contains(&self.0, b"secret")
    }
}

#[derive(Debug)]
pub(super) struct Exec {
    holds: bool,
    streams: bool,
    loads: bool,
    wants_shape: bool,
    rows: usize,
}

impl Execution for Exec {
    fn streams(&self) -> bool {
        self.streams
    }
    fn wants_shape(&self) -> bool {
        self.wants_shape
    }
    fn holds(&self) -> bool {
        self.holds
    }
    fn may_load_local(&self) -> bool {
        self.loads
    }
    fn may_compute(&self) -> bool {
        self.wants_shape
    }
}

/// Whether a text has this word, near its beginning: some are of 16 MiB.
pub(super) fn contains(text: &[u8], word: &[u8]) -> bool {
    text[..text.len().min(4096)].windows(word.len()).any(|part| part == word)
}

/// A trunk in small: refuses texts with `refuse`, holds texts with `secret` and cuts them behind `cut_after` rows, lets
/// texts with `local` load a file.
pub(super) struct Trunk {
    engine: MysqlEngine<Text, Exec>,
    client: Vec<u8>,
    upstream: Vec<u8>,
    to_client: Vec<u8>,
    to_upstream: Vec<u8>,
    cut_after: usize,
    /// What wants to run is counted, whatever its text.
    counts_all: bool,
    /// Values are wanted of every statement.
    keeps_all: bool,
    judged: Vec<String>,
    outcomes: Vec<(usize, Outcome)>,
    settings: Vec<(String, String)>,
    /// Names of the columns of each result that had rows.
    columns: VecDeque<Vec<String>>,
    transaction: Transaction,
    idles: usize,
    changes_user: bool,
    terminated: bool,
    /// What the server says besides rows is withheld.
    withholds: bool,
    told: Vec<Told>,
}

pub(super) const LIMITS: Limits = Limits { frame_bytes_max: 1 << 20, pipeline_max: 1000 };
pub(super) const CLASSIC: Capabilities = Capabilities::PROTOCOL_41;
pub(super) const DEPRECATED: Capabilities = Capabilities::PROTOCOL_41.with(Capabilities::DEPRECATE_EOF);

pub(super) fn facts(capabilities: Capabilities, mariadb: bool) -> Facts {
    Facts { capabilities, mariadb }
}

impl Trunk {
    pub(super) fn new(facts: Facts) -> Trunk {
        Trunk::with(facts, LIMITS)
    }

    pub(super) fn with(facts: Facts, limits: Limits) -> Trunk {
        // Somebody always listens: what passes must pass unchanged all the same.
        let mut engine = MysqlEngine::new(limits, facts);
        engine.listen(true);
        Trunk {
            engine,
            client: Vec::new(),
            upstream: Vec::new(),
            to_client: Vec::new(),
            to_upstream: Vec::new(),
            cut_after: usize::MAX,
            counts_all: false,
            keeps_all: false,
            judged: Vec::new(),
            outcomes: Vec::new(),
            settings: Vec::new(),
            columns: VecDeque::new(),
            transaction: Transaction::Idle,
            idles: 0,
            changes_user: false,
            terminated: false,
            withholds: false,
            told: Vec::new(),
        }
    }

    /// What came to the client since the last look.
    pub(super) fn heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_client)
    }

    /// What came to the upstream since the last look.
    pub(super) fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_upstream)
    }

    pub(super) fn refusal() -> Refusal {
        Refusal::new("42501", "statement refused", "ask")
    }

    pub(super) fn client_says(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.client.extend_from_slice(bytes);
        loop {
            let input = std::mem::take(&mut self.client);
            let step = self.engine.client_step(&input, &mut self.to_upstream)?;
            let used = match step {
                ClientStep::More(_) | ClientStep::Hold => 0,
                ClientStep::Pass(len) => {
                    self.to_upstream.extend_from_slice(&input[..len]);
                    len
                }
                ClientStep::Terminate(len) => {
                    self.terminated = true;
                    self.to_upstream.extend_from_slice(&input[..len]);
                    len
                }
                ClientStep::ChangeUser(len) => {
                    self.changes_user = true;
                    len
                }
                ClientStep::Prepare { len, text } => {
                    if contains(text, b"never") {
                        let (up, down) = (&mut self.to_upstream, &mut self.to_client);
                        self.engine.refuse(&input[..len], &Trunk::refusal(), up, down)?;
                    } else {
                        let text = Text(text.to_vec(), self.keeps_all);
                        self.engine.learn(&input[..len], text, &mut self.to_upstream)?;
                    }
                    len
                }
                ClientStep::Judge { len, run } => {
                    self.judge(&input[..len], run)?;
                    len
                }
            };
            self.client = input[used..].to_vec();
            if used == 0 {
                return Ok(());
            }
        }
    }

    fn judge(&mut self, frame: &[u8], run: Run<'_, Text, Binding>) -> Result<(), WireError> {
        let (shown, text) = match run {
            Run::Text { text } => (String::from_utf8_lossy(&text).into_owned(), text.into_owned()),
            Run::Portal { statement, binding, rows_max } => {
                let text = statement.map_or_else(|| b"unseen".to_vec(), |text| text.0);
                let values = values(binding);
                (format!("{} {values} {rows_max}", String::from_utf8_lossy(&text)), text)
            }
            Run::Function { .. } => panic!("MySQL has no function calls"),
            Run::Command(command) => {
                let refused = matches!(command, Command::Named { name: "shutdown", .. });
                (format!("{command:?}"), if refused { b"refuse".to_vec() } else { Vec::new() })
            }
        };
        self.judged.push(shown);
        if contains(&text, b"refuse") {
            let (up, down) = (&mut self.to_upstream, &mut self.to_client);
            return self.engine.refuse(frame, &Trunk::refusal(), up, down);
        }
        let secret = self.counts_all || contains(&text, b"secret");
        let (loads, wants_shape) = (contains(&text, b"local"), secret || contains(&text, b"shape"));
        let execution = Exec { holds: secret, streams: !secret, loads, wants_shape, rows: 0 };
        self.engine.forward(frame, execution, &mut self.to_upstream)
    }

    pub(super) fn upstream_says(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.upstream.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.upstream);
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let step = self.engine.upstream_step(rest, &mut self.to_upstream)?;
            if matches!(step, UpstreamStep::More(_)) {
                self.upstream = rest.to_vec();
                break;
            }
            used += self.upstream_step(step, rest)?;
        }
        // What was held may go on.
        self.client_says(&[])
    }

    fn upstream_step(&mut self, step: UpstreamStep<'_, Exec>, rest: &[u8]) -> Result<usize, WireError> {
        let mut pass = |len: usize| {
            self.to_client.extend_from_slice(&rest[..len]);
            len
        };
        Ok(match step {
            UpstreamStep::More(_) => 0,
            UpstreamStep::Setting { .. } | UpstreamStep::Finished { .. } => panic!("MySQL ends with Idle: {step:?}"),
            UpstreamStep::Pass(len) | UpstreamStep::Shape(len) => pass(len),
            UpstreamStep::ResultEnd(len) => {
                pass(len);
                self.settings.extend(self.engine.take_settings());
                len
            }
            UpstreamStep::Swallow(len) => len,
            UpstreamStep::Told { len, told } => {
                let refusal = Trunk::refusal();
                let telling = if self.withholds { Telling::Instead(&refusal) } else { Telling::Whole };
                self.engine.tell(&rest[..len], telling, &mut self.to_client);
                self.told.push(told);
                0
            }
            UpstreamStep::Swap(len, instead) => {
                self.to_client.extend_from_slice(&instead);
                len
            }
            UpstreamStep::Rows { len, rows } => self.rows(&rest[..len], rows)?,
            UpstreamStep::Idle { len, swallow, finished, transaction } => {
                if !swallow {
                    pass(len);
                }
                self.idles += 1;
                self.settings.extend(self.engine.take_settings());
                self.transaction = transaction;
                if let Some((execution, outcome)) = finished {
                    self.outcomes.push((execution.rows, outcome));
                }
                len
            }
        })
    }

    fn rows(&mut self, bytes: &[u8], rows: usize) -> Result<usize, WireError> {
        let running = self.engine.running().expect("rows belong to an execution");
        if let Some(shape) = running.shape {
            let names = (0..shape.columns()).map(|column| format!("{:?}", shape.origin(column))).collect();
            self.columns.push_back(names);
        }
        let counted = running.execution.holds;
        let room = self.cut_after.saturating_sub(running.execution.rows);
        if !counted || rows <= room {
            running.execution.rows += rows;
            self.to_client.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let mut part = 0;
        for _ in 0..room {
            part += MysqlEngine::<Text, Exec>::row_len(&bytes[part..]).expect("whole");
        }
        running.execution.rows += room;
        self.to_client.extend_from_slice(&bytes[..part]);
        self.engine.cut(&Trunk::refusal(), &mut self.to_client);
        Ok(part)
    }
}

/// Bound values as a person reads them.
fn values(binding: Option<Arc<Binding>>) -> String {
    let Some(binding) = binding else { return "unknown".to_owned() };
    let value = |parameter| {
        let mut out = Vec::new();
        binding.canonical(parameter, &mut out).then(|| String::from_utf8_lossy(&out).into_owned())
    };
    format!("{:?}", (0..2).map(value).map(|value| value.unwrap_or_else(|| "?".to_owned())).collect::<Vec<_>>())
}

pub(super) fn packet(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_packet(&mut out, seq, payload);
    out
}

pub(super) fn command(payload: &[u8]) -> Vec<u8> {
    packet(0, payload)
}

pub(super) fn query(text: &str) -> Vec<u8> {
    command(format!("\x03{text}").as_bytes())
}

pub(super) fn prepare(text: &str) -> Vec<u8> {
    command(format!("\x16{text}").as_bytes())
}

/// COM_STMT_EXECUTE with parameters as they stand.
pub(super) fn execute(id: u32, flags: u8, parameters: &[u8]) -> Vec<u8> {
    command(&[&[0x17][..], &id.to_le_bytes(), &[flags, 1, 0, 0, 0], parameters].concat())
}

pub(super) fn fetch(id: u32, rows: u32) -> Vec<u8> {
    command(&[&[0x1C][..], &id.to_le_bytes(), &rows.to_le_bytes()].concat())
}

pub(super) fn reset(id: u32) -> Vec<u8> {
    command(&[&[0x1A][..], &id.to_le_bytes()].concat())
}

/// Payloads of a reply, numbered from `seq`.
pub(super) fn reply_from(seq: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut seq = seq;
    for payload in payloads {
        seq = put_packet(&mut out, seq, payload);
    }
    out
}

pub(super) fn reply(payloads: &[Vec<u8>]) -> Vec<u8> {
    reply_from(1, payloads)
}

pub(super) const AUTOCOMMIT: u16 = 0x0002;
pub(super) const MORE: u16 = 0x0008;
pub(super) const CURSOR: u16 = 0x0040;
pub(super) const LAST_ROW: u16 = 0x0080;

pub(super) fn ok(status: u16) -> Vec<u8> {
    let [low, high] = status.to_le_bytes();
    vec![0, 0, 0, low, high, 0, 0]
}

/// What ends rows.
pub(super) fn end(capabilities: Capabilities, status: u16) -> Vec<u8> {
    let [low, high] = status.to_le_bytes();
    if capabilities.has(Capabilities::DEPRECATE_EOF) {
        vec![0xFE, 0, 0, low, high, 0, 0]
    } else {
        vec![0xFE, 0, 0, low, high]
    }
}

pub(super) fn error(errno: u16, sqlstate: &str) -> Vec<u8> {
    let [low, high] = errno.to_le_bytes();
    [&[0xFF, low, high, b'#'][..], sqlstate.as_bytes(), b"no"].concat()
}

/// A column `shop.customers.<name>` of this type.
pub(super) fn column(name: &str, kind: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    for part in ["def", "shop", "c", "customers", name, name] {
        put_lenenc_bytes(&mut payload, part.as_bytes());
    }
    payload.extend_from_slice(&[0x0C, 0x2D, 0, 0, 4, 0, 0, kind, 0, 0, 0, 0, 0]);
    payload
}

/// A result with one column, up to its rows.
pub(super) fn head(capabilities: Capabilities, kind: u8) -> Vec<Vec<u8>> {
    let mut payloads = vec![vec![1], column("id", kind)];
    if !capabilities.has(Capabilities::DEPRECATE_EOF) {
        payloads.push(end(capabilities, AUTOCOMMIT));
    }
    payloads
}

pub(super) const LONGLONG: u8 = 8;
pub(super) const STRING: u8 = 0xFD;

/// A text row with one value.
pub(super) fn row(value: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    put_lenenc_bytes(&mut payload, value.as_bytes());
    payload
}

/// A binary row with one LONGLONG.
pub(super) fn binary_row(value: i64) -> Vec<u8> {
    [&[0, 0][..], &value.to_le_bytes()].concat()
}

/// A whole text result.
pub(super) fn result(capabilities: Capabilities, rows: usize, status: u16) -> Vec<Vec<u8>> {
    let mut payloads = head(capabilities, LONGLONG);
    payloads.extend((0..rows).map(|index| row(&index.to_string())));
    payloads.push(end(capabilities, status));
    payloads
}

/// The answer to a preparation.
pub(super) fn prepared(capabilities: Capabilities, id: u32, parameters: u16, columns: u16) -> Vec<Vec<u8>> {
    let [a, b, c, d] = id.to_le_bytes();
    let ([p, q], [e, f]) = (parameters.to_le_bytes(), columns.to_le_bytes());
    let mut payloads = vec![vec![0, a, b, c, d, e, f, p, q, 0, 0, 0]];
    for count in [parameters, columns] {
        payloads.extend((0..count).map(|_| column("id", LONGLONG)));
        if count > 0 && !capabilities.has(Capabilities::DEPRECATE_EOF) {
            payloads.push(end(capabilities, AUTOCOMMIT));
        }
    }
    payloads
}

/// Whole packets: sequence id of the first part and payload.
pub(super) fn packets(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        match Packet::scan(rest, usize::MAX, WireSide::Upstream) {
            Ok(Scan::Whole(packet)) => {
                out.push((packet.seq, packet.payload().into_owned()));
                rest = &rest[packet.frame_len..];
            }
            other => panic!("not whole: {other:?}"),
        }
    }
    out
}

/// Whether this packet is Weir's refusal.
pub(super) fn is_refusal(payload: &[u8]) -> bool {
    matches!(read_error(payload), Some(ErrPacket::Error(error)) if error.errno == 1142)
}
