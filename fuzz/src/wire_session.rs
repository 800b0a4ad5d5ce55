//! A conversation of both sides, each as hostile as the other: see [`crate::conversation`].

use crate::conversation::turns;
use crate::mutate::Form;
use crate::wire_client::{WORDS as CLIENT_WORDS, any_chunking};
use crate::{Target, Traces, seeds};

/// Beyond what `wire-client` holds: rows are counted exactly, nothing of a result comes through behind its cut, nothing
/// overtakes an execution that holds, and every execution ends exactly once.
pub const TARGET: Target = Target {
    name: "wire-session",
    check,
    form: Form::Conversation,
    dictionary: WORDS,
    seeds: || seeds::sessions().into_iter().map(|(name, script)| (name, script.done())).collect(),
    input_bytes_max: 4096,
    memory_bytes_max: (1 << 20, 64),
    time_ms_max: 250,
};

const WORDS: &[&[u8]] = &{
    let mut words: [&[u8]; CLIENT_WORDS.len() + UPSTREAM_WORDS.len()] =
        [b""; CLIENT_WORDS.len() + UPSTREAM_WORDS.len()];
    let mut index = 0;
    while index < CLIENT_WORDS.len() {
        words[index] = CLIENT_WORDS[index];
        index += 1;
    }
    while index < words.len() {
        words[index] = UPSTREAM_WORDS[index - CLIENT_WORDS.len()];
        index += 1;
    }
    words
};

const UPSTREAM_WORDS: &[&[u8]] = &[
    b">",
    b"<",
    b"T",
    b"D",
    b"C",
    b"Z",
    b"I",
    b"E",
    b"1",
    b"2",
    b"3",
    b"n",
    b"t",
    b"s",
    b"G",
    b"H",
    b"W",
    b"V",
    b"N",
    b"A",
    b"K",
    b"R",
    b"Z\0\0\0\x05I",
    b"Z\0\0\0\x05T",
    b"Z\0\0\0\x05E",
    b"SELECT 1\0",
    b"SFATAL\0",
    b"VFATAL\0",
    b"C57014\0",
    b"<D\0\0\0\x0a\0\x01\0\0\0\0",
];

fn check(input: &[u8]) -> Traces {
    let turns = turns(input);
    let (journal, traces) = any_chunking(&turns, input);
    if journal.plain {
        let said = |side| turns.iter().filter(|turn| turn.side == side).flat_map(|turn| turn.bytes.clone()).collect();
        let (client, upstream): (Vec<u8>, Vec<u8>) =
            (said(weir_wire::WireSide::Client), said(weir_wire::WireSide::Upstream));
        assert_eq!(journal.to_upstream, client[..journal.taken[0]], "what only passes must leave as it came");
        assert_eq!(journal.to_client, upstream[..journal.taken[1]], "what only passes must arrive as it came");
    }
    traces
}
