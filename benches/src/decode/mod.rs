//! Decoding: the steps of both engines over what clients and servers really send.

mod mysql;
mod postgres;

use weir_wire::{ClientStep, Engine, Execution, Prepared, UpstreamStep};

use crate::measure::Bench;

/// What a session of the product uses.
const FRAME_BYTES_MAX: usize = 64 << 20;
const PIPELINE_MAX: usize = 10_000;
/// One read of a session.
const READ_BYTES: usize = 128 * 1024;

#[derive(Clone, Debug)]
struct Statement;

impl Prepared for Statement {
    fn wants_values(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Plain;

impl Execution for Plain {
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

/// Everything about the wire.
pub(crate) fn run(bench: &mut Bench) {
    if bench.wants("decode") {
        postgres::run(bench);
        mysql::run(bench);
    }
}

/// Takes the rows of one read; returns how many there were.
fn count_rows<E: Engine<Run = Plain>>(session: &mut E, read: &[u8], to_upstream: &mut Vec<u8>) -> usize {
    let mut used = 0;
    let mut total = 0;
    while used < read.len() {
        match session.upstream_step(&read[used..], to_upstream) {
            Ok(UpstreamStep::Rows { len, rows }) => {
                used += len;
                total += rows;
            }
            other => panic_on(&format!("{other:?}")),
        }
    }
    total
}

/// What a session's hot path does with the bytes of both sides; returns how many bytes would be sent.
fn converse<E>(session: &mut E, ask: &[u8], answer: &[u8]) -> usize
where
    E: Engine<Statement = Statement, Run = Plain>,
{
    let mut to_upstream = Vec::with_capacity(512);
    let mut used = 0;
    while used < ask.len() {
        let rest = &ask[used..];
        let len = match session.client_step(rest, &mut to_upstream).expect("the client keeps to the protocol") {
            ClientStep::Pass(len) => {
                to_upstream.extend_from_slice(&rest[..len]);
                len
            }
            ClientStep::Prepare { len, .. } => {
                session.learn(&rest[..len], Statement, &mut to_upstream).expect("there is room");
                len
            }
            ClientStep::Judge { len, .. } => {
                session.forward(&rest[..len], Plain, &mut to_upstream).expect("there is room");
                len
            }
            other => panic_on(&format!("{other:?}")),
        };
        used += len;
    }
    let mut sent = to_upstream.len();
    used = 0;
    while used < answer.len() {
        let step = session.upstream_step(&answer[used..], &mut to_upstream).expect("the server keeps to the protocol");
        let len = match step {
            UpstreamStep::Pass(len) | UpstreamStep::Shape(len) | UpstreamStep::ResultEnd(len) => len,
            UpstreamStep::Rows { len, .. } | UpstreamStep::Finished { len, .. } | UpstreamStep::Idle { len, .. } => len,
            other => panic_on(&format!("{other:?}")),
        };
        used += len;
        sent += len;
    }
    sent
}

fn panic_on(step: &str) -> ! {
    eprintln!("weir-benches: the engine took an unexpected step: {step}");
    std::process::exit(1)
}
