//! A MySQL conversation of both sides, each as hostile as the other: see [`crate::mysql_conversation`].

use weir_wire::WireSide;

use crate::mutate::Form;
use crate::mysql_client::{WORDS as CLIENT_WORDS, any_chunking};
use crate::mysql_conversation::{facts, turns};
use crate::{Target, Traces, mysql_seeds};

/// Beyond what `mysql-client` holds: counted rows are exact, the error of a cut comes next and nothing of the result
/// behind it, nothing overtakes an execution that holds, refusals are answered once, and every execution ends once.
pub const TARGET: Target = Target {
    name: "mysql-session",
    check,
    form: Form::PacketConversation,
    dictionary: WORDS,
    seeds: || mysql_seeds::sessions().into_iter().map(|(name, script)| (name, script.done())).collect(),
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
    b"\xfe\0\0\x02\0",
    b"\xfe\0\0\x0a\0",
    b"\xfe\0\0\x42\0",
    b"\xfe\0\0\x02\0\0\0",
    b"\xfe\0\0\x42\0\0\0",
    b"\xfe\0\0\x82\0\0\0",
    b"\0\0\0\x02\0\0\0",
    b"\0\0\0\x0a\0\0\0",
    b"\0\0\0\x03\x42\0\0",
    b"\xff\x28\x04#42000no",
    b"\xff\x25\x05#70100no",
    b"\xff\xff\xff\x01\x01\x02\0\0\0\0",
    b"\xfb/etc/passwd",
    b"\xfb",
    b"\x0242",
    b"\x03def",
    b"\x01",
    b"\x02",
];

fn check(input: &[u8]) -> Traces {
    let Some(terms) = input.first() else { return Traces::default() };
    let turns = turns(input);
    let (journal, traces) = any_chunking(facts(*terms), &turns, input);
    if journal.plain {
        let said = |side| turns.iter().filter(|turn| turn.side == side).flat_map(|turn| turn.bytes.clone()).collect();
        let (client, upstream): (Vec<u8>, Vec<u8>) = (said(WireSide::Client), said(WireSide::Upstream));
        assert_eq!(journal.to_upstream, client[..journal.taken[0]], "what only passes must leave as it came");
        assert_eq!(journal.to_client, upstream[..journal.taken[1]], "what only passes must arrive as it came");
    }
    traces
}
