//! What a MySQL client may send in an open session, while the server says nothing: raw bytes behind the terms.

use weir_wire::WireSide;
use weir_wire::mysql::Facts;

use crate::conversation::Turn;
use crate::mutate::Form;
use crate::mysql_conversation::facts;
use crate::mysql_trunk::play;
use crate::rng::Rng;
use crate::trunk::{Chunking, Journal};
use crate::{Target, Traces, mysql_seeds};

/// Chunking changes nothing; commands are taken whole and never more than was given; what only passes leaves as it came;
/// what is refused does not leave; every execution is accounted for; lengths are judged at their header.
pub const TARGET: Target = Target {
    name: "mysql-client",
    check,
    form: Form::Packets,
    dictionary: WORDS,
    seeds: || mysql_seeds::client().into_iter().map(|(name, script)| (name, script.client_bytes())).collect(),
    input_bytes_max: 4096,
    memory_bytes_max: (1 << 20, 64),
    time_ms_max: 250,
};

/// Words of the protocol.
pub const WORDS: &[&[u8]] = &[
    b"\x01",
    b"\x02",
    b"\x03",
    b"\x04",
    b"\x09",
    b"\x0a",
    b"\x0e",
    b"\x11",
    b"\x12",
    b"\x16",
    b"\x17",
    b"\x18",
    b"\x19",
    b"\x1a",
    b"\x1b",
    b"\x1c",
    b"\x1f",
    b"\xfa",
    b"\0",
    b"\0\x01",
    b"\x01\x01",
    b"\x01\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\0",
    b"\xfb",
    b"\xfc\x03\0",
    b"\xfd\x03\0\0",
    b"\xfe\x03\0\0\0\0\0\0\0",
    b"\xfe\x03\0\0\0\x01\0\0\0",
    b"\xfd\0",
    b"\x08\0",
    b"secret",
    b"refuse",
    b"never",
    b"shape",
    b"local",
    b"select 1",
];

fn check(input: &[u8]) -> Traces {
    let Some((terms, bytes)) = input.split_first() else { return Traces::default() };
    let turns = [Turn { side: WireSide::Client, bytes: bytes.to_vec() }];
    let (journal, traces) = any_chunking(facts(*terms), &turns, input);
    if journal.plain {
        assert!(bytes.starts_with(&journal.to_upstream), "what only passes must leave as it came");
        assert_eq!(journal.to_upstream.len(), journal.taken[0]);
    }
    traces
}

/// Plays a conversation whole, byte by byte and in pieces, and returns what they agree on.
pub fn any_chunking(facts: Facts, turns: &[Turn], input: &[u8]) -> (Journal, Traces) {
    let (whole, traces) = play(facts, turns, Chunking::Whole);
    for chunking in [Chunking::Bytes, Chunking::Pieces(Rng::of(input))] {
        let (other, _) = play(facts, turns, chunking.clone());
        if let Some(difference) = whole.difference(&other) {
            panic!("{} led elsewhere than the whole: {difference}", chunking.name());
        }
    }
    (whole, traces)
}
