//! The steps of the MySQL engine over what clients and servers really send.

use weir_wire::mysql::capability::Capabilities;
use weir_wire::mysql::packet::put_packet;
use weir_wire::mysql::resultset::Format;
use weir_wire::mysql::{Facts, Limits, MysqlEngine, ResultShape};
use weir_wire::{Engine, Shape};

use super::{FRAME_BYTES_MAX, PIPELINE_MAX, Plain, READ_BYTES, Statement, converse, count_rows};
use crate::measure::{Bench, Per};

/// What a session of the product uses.
const LIMITS: Limits = Limits { frame_bytes_max: FRAME_BYTES_MAX, pipeline_max: PIPELINE_MAX };
/// What MariaDB's own client library agrees on with MariaDB.
const FACTS: Facts = Facts {
    capabilities: Capabilities::PROTOCOL_41.with(Capabilities::SECURE_CONNECTION).with(Capabilities::TRANSACTIONS),
    mariadb: true,
};

const COM_QUERY: u8 = 0x03;
const COM_STMT_PREPARE: u8 = 0x16;
const COM_STMT_EXECUTE: u8 = 0x17;
const TYPE_LONG: u8 = 3;
const TYPE_VAR_STRING: u8 = 253;
/// In automatic commit, no warnings.
const EOF: &[u8] = &[0xFE, 0, 0, 2, 0];

type Session = MysqlEngine<Statement, Plain>;

/// Everything about MySQL's wire.
pub(super) fn run(bench: &mut Bench) {
    rows(bench);
    let mut session = Session::new(LIMITS, FACTS);
    let ask = packets(0, &[&[&[COM_QUERY], &b"SELECT c FROM sbtest1 WHERE id=4711"[..]].concat()]);
    let row = text_row(120);
    let answer = packets(1, &[&[1], &column("c", TYPE_VAR_STRING), EOF, &row, EOF]);
    bench.run("decode/mysql: text query, both ways", Per::Bytes(ask.len() + answer.len()), || {
        converse(&mut session, &ask, &answer)
    });
    let mut session = Session::new(LIMITS, FACTS);
    let ask = packets(0, &[&[&[COM_STMT_PREPARE], &b"SELECT c FROM sbtest1 WHERE id=?"[..]].concat()]);
    let parameter = column("?", TYPE_LONG);
    let answer =
        packets(1, &[&[0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], &parameter, EOF, &column("c", TYPE_VAR_STRING), EOF]);
    converse(&mut session, &ask, &answer);
    // The statement, no cursor, one iteration, no NULL, and the type with the value.
    let ask = packets(0, &[&[COM_STMT_EXECUTE, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, TYPE_LONG, 0, 103, 18, 0, 0]]);
    let row = [&[0, 0], &row[..]].concat();
    let answer = packets(1, &[&[1], &column("c", TYPE_VAR_STRING), EOF, &row, EOF]);
    bench.run("decode/mysql: prepared execution, both ways", Per::Bytes(ask.len() + answer.len()), || {
        converse(&mut session, &ask, &answer)
    });
}

/// Rows of a bulk result: counted by their headers, and with their keys looked at.
fn rows(bench: &mut Bench) {
    for (name, row_bytes) in [("100 B", 100_usize), ("1 KiB", 1024), ("20 B", 20)] {
        let mut session = Session::new(LIMITS, FACTS);
        let mut upstream = Vec::new();
        let payloads = bulk(row_bytes);
        // Numbers run through 256, and the rows of one read are a multiple of that: each read fits behind the last.
        let read = numbered(start_query(&mut session), &payloads);
        let name = format!("decode/mysql: rows of {name}, counted");
        let per = Per::Rows(payloads.len(), read.len());
        bench.run(&name, per, || count_rows(&mut session, &read, &mut upstream));
    }
    let payloads = bulk(100);
    let read = numbered(0, &payloads);
    let mut shape = ResultShape::new(Format::Text);
    for (name, kind) in [("id", TYPE_LONG), ("c", TYPE_VAR_STRING)] {
        shape.read_column(&column(name, kind), false).expect("the definition is a good one");
    }
    let (mut values, mut key) = (Vec::new(), Vec::new());
    bench.run("decode/mysql: rows of 100 B, key in canonical form", Per::Rows(payloads.len(), read.len()), || {
        let (mut rest, mut bytes) = (read.as_slice(), 0);
        while let Some(len) = Session::row_len(rest) {
            let (row, later) = rest.split_at(len);
            rest = later;
            if shape.values_at(row, &[0], &mut values) {
                key.clear();
                shape.canonical(0, values[0].unwrap_or_default(), &mut key);
                bytes += key.len();
            }
        }
        bytes
    });
}

/// Opens a result of two columns; returns the number of its first row.
fn start_query(session: &mut Session) -> u8 {
    let ask = packets(0, &[&[&[COM_QUERY], &b"select id, c from sbtest1"[..]].concat()]);
    let head = packets(1, &[&[2], &column("id", TYPE_LONG), &column("c", TYPE_VAR_STRING), EOF]);
    converse(session, &ask, &head);
    5
}

/// Payloads of rows of so many bytes with their headers, as many as one read takes, in a multiple of 256.
fn bulk(row_bytes: usize) -> Vec<Vec<u8>> {
    let count = READ_BYTES / row_bytes / 256 * 256;
    let id = b"\x06471123";
    let row = [&id[..], &text_row(row_bytes - 4 - id.len() - if row_bytes > 256 { 3 } else { 1 })].concat();
    vec![row; count.max(256)]
}

fn numbered(seq: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let payloads: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    packets(seq, &payloads)
}

fn packets(seq: u8, payloads: &[&[u8]]) -> Vec<u8> {
    let (mut out, mut seq) = (Vec::new(), seq);
    for payload in payloads {
        seq = put_packet(&mut out, seq, payload);
    }
    out
}

/// A row of one text.
fn text_row(len: usize) -> Vec<u8> {
    let mut row = match u8::try_from(len) {
        Ok(short @ ..=250) => vec![short],
        _ => [&[0xFC], &u16::try_from(len).unwrap_or(u16::MAX).to_le_bytes()[..]].concat(),
    };
    row.extend(std::iter::repeat_n(b'x', len));
    row
}

/// A column of `sbtest1`.
fn column(name: &str, kind: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for text in ["def", "bench", "sbtest1", "sbtest1", name, name] {
        out.push(u8::try_from(text.len()).unwrap_or(0));
        out.extend_from_slice(text.as_bytes());
    }
    // utf8mb4, length 480, the type, no flags, no decimals.
    out.extend_from_slice(&[0x0C, 45, 0, 0xE0, 1, 0, 0, kind, 0, 0, 0, 0, 0]);
    out
}
