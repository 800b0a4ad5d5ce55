//! What a client may send in an open session, while the server says nothing: raw bytes.

use weir_wire::WireSide;

use crate::conversation::{Script, Turn};
use crate::mutate::Form;
use crate::rng::Rng;
use crate::trunk::{Chunking, Journal, play};
use crate::{Target, Traces, seeds};

/// Chunking changes nothing; steps consume what they were given and no more; what is only passed leaves as it came;
/// what is refused does not leave; every execution is accounted for; lengths are judged at their header.
pub const TARGET: Target = Target {
    name: "wire-client",
    check,
    form: Form::Frames,
    dictionary: WORDS,
    seeds: || {
        seeds::client().into_iter().map(|(name, script): (String, Script)| (name, script.client_bytes())).collect()
    },
    input_bytes_max: 4096,
    memory_bytes_max: (1 << 20, 64),
    time_ms_max: 250,
};

/// Words of the protocol.
pub const WORDS: &[&[u8]] = &[
    b"Q",
    b"P",
    b"B",
    b"D",
    b"C",
    b"E",
    b"S",
    b"H",
    b"F",
    b"X",
    b"d",
    b"c",
    b"f",
    b"p",
    b"\0",
    b"\0\0\0\x04",
    b"secret\0",
    b"refuse\0",
    b"never\0",
    b"shape\0",
    b"select 1\0",
    b"S\0",
    b"P\0",
    b"a\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
];

fn check(input: &[u8]) -> Traces {
    let turns = [Turn { side: WireSide::Client, bytes: input.to_vec() }];
    let (journal, traces) = any_chunking(&turns, input);
    if journal.plain {
        assert!(input.starts_with(&journal.to_upstream), "what only passes must leave as it came");
        assert_eq!(journal.to_upstream.len(), journal.taken[0]);
    }
    traces
}

/// Plays a conversation whole, byte by byte and in pieces, and returns what they agree on.
pub fn any_chunking(turns: &[Turn], input: &[u8]) -> (Journal, Traces) {
    let (whole, traces) = play(turns, Chunking::Whole);
    for chunking in [Chunking::Bytes, Chunking::Pieces(Rng::of(input))] {
        let (other, _) = play(turns, chunking.clone());
        if let Some(difference) = whole.difference(&other) {
            panic!("{} led elsewhere than the whole: {difference}", chunking.name());
        }
    }
    (whole, traces)
}
