//! The steps of the PostgreSQL engine over what clients and servers really send.

use weir_wire::pg::frame::put_frame;
use weir_wire::pg::row::{canonical, values_at};
use weir_wire::pg::startup::read_first;
use weir_wire::pg::{Limits, PgEngine, RowShape};

use super::{FRAME_BYTES_MAX, PIPELINE_MAX, Plain, READ_BYTES, Statement, converse, count_rows};
use crate::measure::{Bench, Per};

/// What a session of the product uses.
const LIMITS: Limits = Limits { frame_bytes_max: FRAME_BYTES_MAX, pipeline_max: PIPELINE_MAX };

type Session = PgEngine<Statement, Plain>;

/// Everything about PostgreSQL's wire.
pub(super) fn run(bench: &mut Bench) {
    rows(bench);
    let mut session = prepared_session();
    let (ask, answer) = (prepared_ask(), prepared_answer());
    bench.run("decode/prepared execution, both ways", Per::Bytes(ask.len() + answer.len()), || {
        converse(&mut session, &ask, &answer)
    });
    let mut session = Session::new(LIMITS);
    let mut ask = frame(b'P', b"\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0");
    ask.extend(frame(b'B', &bind_body()));
    ask.extend(frame(b'D', b"P\0"));
    ask.extend(frame(b'E', &[0, 0, 0, 0, 0]));
    ask.extend(frame(b'S', b""));
    let answer = [frame(b'1', b""), frame(b'2', b""), described(), point_row(), done()].concat();
    bench.run("decode/extended execution, both ways", Per::Bytes(ask.len() + answer.len()), || {
        converse(&mut session, &ask, &answer)
    });
    let ask = frame(b'Q', b"SELECT abalance FROM pgbench_accounts WHERE aid = 4711;\0");
    let answer = [described(), point_row(), done()].concat();
    bench.run("decode/simple query, both ways", Per::Bytes(ask.len() + answer.len()), || {
        converse(&mut session, &ask, &answer)
    });
    let mut packet =
        b"\0\0\0\0\0\x03\0\0user\0alice\0database\0support\0application_name\0desk\0client_encoding\0UTF8\0\0".to_vec();
    let length = u32::try_from(packet.len()).unwrap_or(0).to_be_bytes();
    packet[..4].copy_from_slice(&length);
    bench.run("decode/startup packet, read and rebuilt", Per::Bytes(packet.len()), || {
        match read_first(&packet).expect("the packet is a good one") {
            weir_wire::pg::startup::First::Startup(startup) => startup.rebuild().len(),
            _ => 0,
        }
    });
}

/// Rows of a bulk result: counted by their headers, and with their keys looked at.
fn rows(bench: &mut Bench) {
    for (name, row_bytes) in [("100 B", 100_usize), ("1 KiB", 1024), ("20 B", 20)] {
        let row = data_row(row_bytes);
        let count = READ_BYTES / row.len();
        let read = row.repeat(count);
        let mut session = Session::new(LIMITS);
        let mut upstream = Vec::new();
        start_query(&mut session, &mut upstream);
        let name = format!("decode/rows of {name}, counted");
        bench.run(&name, Per::Rows(count, read.len()), || count_rows(&mut session, &read, &mut upstream));
    }
    let row = data_row(100);
    let count = READ_BYTES / row.len();
    let read = row.repeat(count);
    let shape = RowShape::read(&described()[5..]).expect("the description is a good one");
    let positions = [0];
    let (mut values, mut key) = (Vec::new(), Vec::new());
    bench.run("decode/rows of 100 B, key in canonical form", Per::Rows(count, read.len()), || {
        let mut rest = read.as_slice();
        let mut bytes = 0;
        while let Some(length) = rest.get(1..5).and_then(|length| length.try_into().ok()) {
            let len = usize::try_from(u32::from_be_bytes(length)).unwrap_or(0) + 1;
            let (frame, later) = rest.split_at(len);
            rest = later;
            if values_at(&frame[5..], &positions, &mut values) {
                key.clear();
                for (value, column) in values.iter().zip(&shape.columns) {
                    canonical(column, value.unwrap_or_default(), &mut key);
                }
                bytes += key.len();
            }
        }
        bytes
    });
}

fn start_query(session: &mut Session, to_upstream: &mut Vec<u8>) {
    converse(session, &frame(b'Q', b"select 1\0"), &described());
    to_upstream.clear();
}

fn prepared_session() -> Session {
    let mut session = Session::new(LIMITS);
    let mut ask = frame(b'P', b"P0_1\0SELECT abalance FROM pgbench_accounts WHERE aid = $1;\0\0\0");
    ask.extend(frame(b'S', b""));
    converse(&mut session, &ask, &[frame(b'1', b""), frame(b'Z', b"I")].concat());
    session
}

fn prepared_ask() -> Vec<u8> {
    let mut body = b"\0P0_1".to_vec();
    body.extend_from_slice(&bind_body()[1..]);
    [frame(b'B', &body), frame(b'D', b"P\0"), frame(b'E', &[0, 0, 0, 0, 0]), frame(b'S', b"")].concat()
}

fn prepared_answer() -> Vec<u8> {
    [frame(b'2', b""), described(), point_row(), done()].concat()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, kind, body);
    out
}

fn bind_body() -> Vec<u8> {
    [&b"\0\0\0\0\0\x01\0\0\0\x06"[..], b"471123", b"\0\0"].concat()
}

fn described() -> Vec<u8> {
    frame(b'T', b"\0\x01abalance\0\0\0\x40\0\0\x03\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0")
}

fn point_row() -> Vec<u8> {
    frame(b'D', b"\0\x01\0\0\0\x05-1234")
}

fn done() -> Vec<u8> {
    [frame(b'C', b"SELECT 1\0"), frame(b'Z', b"I")].concat()
}

/// A row of five columns, the first of them a number.
fn data_row(row_bytes: usize) -> Vec<u8> {
    let id: &[u8] = b"471123";
    let rest = row_bytes.saturating_sub(5 + 2 + 4 + id.len());
    let mut body = vec![0, 1];
    body.extend_from_slice(&[0, 0, 0, 6]);
    body.extend_from_slice(id);
    let columns = 4;
    if rest > columns * 5 {
        body[1] = 5;
        for _ in 0..columns {
            let len = rest / columns - 4;
            body.extend_from_slice(&u32::try_from(len).unwrap_or(0).to_be_bytes());
            body.extend(std::iter::repeat_n(b'x', len));
        }
    }
    frame(b'D', &body)
}
