//! Lengths: 16 MiB and its neighbours, sequence ids, and what may be outstanding.

use super::super::packet::{HEADER_LEN, PAYLOAD_MAX};
use super::*;

const LARGE: Limits = Limits { frame_bytes_max: 64 << 20, pipeline_max: 100 };

/// A row of one value whose payload has exactly so many bytes.
fn row_of(payload_len: usize) -> Vec<u8> {
    let value = |len: usize| {
        let mut payload = Vec::with_capacity(payload_len);
        put_lenenc_bytes(&mut payload, &vec![b'x'; len]);
        payload
    };
    // The length itself takes one byte, three, four or nine.
    let row = [9, 4, 3, 1].map(|head| value(payload_len - head)).into_iter().find(|row| row.len() == payload_len);
    row.expect("a length that can be")
}

/// Payloads around the border, with either end of a result; rows from 16 MiB on begin with 0xFE.
const LENGTHS: [(Capabilities, usize); 5] = [
    (DEPRECATED, PAYLOAD_MAX - 1),
    (DEPRECATED, PAYLOAD_MAX),
    (CLASSIC, PAYLOAD_MAX),
    (DEPRECATED, PAYLOAD_MAX + 100),
    (CLASSIC, 2 * PAYLOAD_MAX),
];

#[test]
fn a_row_of_16_mib_streams_in_pieces() {
    for (capabilities, len) in LENGTHS {
        let mut trunk = Trunk::with(facts(capabilities, false), LARGE);
        trunk.client_says(&query("select 1")).unwrap();
        let mut payloads = head(capabilities, STRING);
        payloads.extend([row("before"), row_of(len), row("behind"), end(capabilities, AUTOCOMMIT)]);
        let said = reply(&payloads);
        for chunk in said.chunks(3_000_001) {
            trunk.upstream_says(chunk).unwrap();
            assert!(trunk.upstream.len() < 2 * HEADER_LEN, "nothing is kept of a row that streams");
        }
        assert!(trunk.heard() == said, "a row of {len} bytes came through otherwise");
        assert_eq!(trunk.outcomes, [(3, Outcome::Complete("EOF".into()))]);
        assert!(trunk.engine.is_quiet() && !trunk.engine.is_in_mid_message());
    }
}

/// What is reviewed may turn out to be counted, and only whole rows can be.
#[test]
fn the_first_row_of_each_result_is_whole_where_it_is_reviewed() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("select shape; select shape")).unwrap();
    let row = row(&"x".repeat(100));
    let mut payloads = head(DEPRECATED, STRING);
    payloads.extend([row.clone(), row.clone(), end(DEPRECATED, AUTOCOMMIT | MORE)]);
    let (first, mut seq) = (reply(&payloads), 1);
    for result in [first.clone(), reply_from(6, &payloads)] {
        let heads = reply_from(seq, &payloads[..2]).len();
        trunk.upstream_says(&result[..heads + 50]).unwrap();
        assert!(!trunk.engine.is_in_mid_message(), "the first row waits until it is whole");
        trunk.upstream_says(&result[heads + 50..heads + 150]).unwrap();
        assert!(trunk.engine.is_in_mid_message(), "the second does not");
        trunk.upstream_says(&result[heads + 150..]).unwrap();
        seq = 6;
    }
    assert_eq!(trunk.heard(), [first, reply_from(6, &payloads)].concat());
}

#[test]
fn a_row_of_16_mib_is_counted_whole() {
    for (capabilities, len) in LENGTHS {
        let mut payloads = head(capabilities, STRING);
        payloads.extend([row("before"), row_of(len), row("behind"), end(capabilities, AUTOCOMMIT)]);
        let said = reply(&payloads);
        for cut_after in [1, 2, usize::MAX] {
            let mut trunk = Trunk::with(facts(capabilities, false), LARGE);
            trunk.cut_after = cut_after;
            trunk.client_says(&query("select secret")).unwrap();
            for chunk in said.chunks(11_000_001) {
                trunk.upstream_says(chunk).unwrap();
            }
            let heard = trunk.heard();
            if cut_after == usize::MAX {
                assert!(heard == said);
                continue;
            }
            let before = reply(&payloads[..payloads.len() - 4 + cut_after]);
            let (released, error) = heard.split_at(before.len());
            assert!(released == before);
            let error = packets(error);
            assert!(error.len() == 1 && is_refusal(&error[0].1));
            assert_eq!(usize::from(error[0].0), parts(&before) + 1, "behind {cut_after} rows, {len} bytes");
            assert_eq!(trunk.outcomes, [(cut_after, Outcome::Cut)]);
        }
    }
}

fn parts(bytes: &[u8]) -> usize {
    let mut count = 0;
    let mut rest = bytes;
    while let Ok(Some(header)) = super::super::packet::Header::read(rest, usize::MAX) {
        count += 1;
        rest = &rest[header.frame_len..];
    }
    count
}

#[test]
fn a_row_beyond_the_bound_ends_the_session_whether_it_streams_or_not() {
    let limits = Limits { frame_bytes_max: PAYLOAD_MAX + 50, pipeline_max: 100 };
    for text in ["select 1", "select secret"] {
        let mut trunk = Trunk::with(facts(DEPRECATED, false), limits);
        trunk.client_says(&query(text)).unwrap();
        let mut payloads = head(DEPRECATED, STRING);
        payloads.push(row_of(PAYLOAD_MAX + 100));
        let mut error = None;
        for chunk in reply(&payloads).chunks(5_000_000) {
            error = error.or(trunk.upstream_says(chunk).err());
        }
        assert!(matches!(error, Some(WireError::TooLong { side: WireSide::Upstream, .. })), "{text}");
    }
}

#[test]
fn a_text_of_16_mib_is_judged_whole() {
    for len in [PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1] {
        let mut trunk = Trunk::with(facts(DEPRECATED, false), LARGE);
        // With COM_QUERY's own byte.
        let text = format!("{} tail", "x".repeat(len - 6));
        let sent = query(&text);
        for chunk in sent.chunks(9_000_000) {
            assert!(trunk.judged.is_empty() && trunk.to_upstream.is_empty());
            trunk.client_says(chunk).unwrap();
        }
        assert!(trunk.judged.len() == 1 && trunk.judged[0] == text, "{len}");
        assert!(trunk.sent() == sent);
        // The reply begins behind the last part.
        let seq = if len < PAYLOAD_MAX { 1 } else { 2 };
        let answer = reply_from(seq, &result(DEPRECATED, 1, AUTOCOMMIT));
        trunk.upstream_says(&answer).unwrap();
        assert_eq!(trunk.heard(), answer);
    }
}

#[test]
fn lengths_are_judged_at_the_header() {
    for header in [[0xFF, 0xFF, 0xFF, 0], [1, 0, 16, 0]] {
        let mut trunk = Trunk::new(facts(CLASSIC, false));
        assert!(matches!(trunk.client_says(&header), Err(WireError::TooLong { side: WireSide::Client, .. })));
        let mut trunk = Trunk::new(facts(CLASSIC, false));
        trunk.client_says(&query("select 1")).unwrap();
        assert!(matches!(trunk.upstream_says(&header), Err(WireError::TooLong { side: WireSide::Upstream, .. })));
    }
}

#[test]
fn a_command_begins_with_the_number_0() {
    for seq in [1, 2, 255] {
        let mut trunk = Trunk::new(facts(CLASSIC, false));
        assert!(trunk.client_says(&packet(seq, b"\x03select 1")[..4]).is_err());
    }
    let mut trunk = Trunk::with(facts(CLASSIC, false), LARGE);
    let mut chain = query(&"x".repeat(PAYLOAD_MAX));
    chain[PAYLOAD_MAX + HEADER_LEN + 3] = 0;
    assert!(trunk.client_says(&chain).is_err());
    assert!(trunk.sent().is_empty());
}

/// Whatever was admitted must come back, or its reservation is lost.
#[test]
fn an_execution_that_the_pipeline_has_no_room_for_comes_back() {
    let mut trunk = Trunk::with(facts(CLASSIC, false), Limits { pipeline_max: 10, ..LIMITS });
    let mut sent = 0;
    let error = loop {
        match trunk.client_says(&query("select 1")) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, WireError::TooMany { .. }));
    assert_eq!((sent, trunk.engine.abandon().len()), (10, 11));
    for refused in [query("refuse"), prepare("x"), command(b"\x0e")] {
        let mut trunk = Trunk::with(facts(CLASSIC, false), Limits { pipeline_max: 10, ..LIMITS });
        for _ in 0..10 {
            trunk.client_says(&query("select 1")).unwrap();
        }
        assert!(matches!(trunk.client_says(&refused), Err(WireError::TooMany { .. })));
        assert_eq!(trunk.engine.abandon().len(), 10);
    }
}

#[test]
fn statements_are_bounded() {
    let mut trunk = Trunk::with(facts(DEPRECATED, false), Limits { pipeline_max: 10, ..LIMITS });
    for id in 1..=10 {
        trunk.client_says(&prepare("do 1")).unwrap();
        trunk.upstream_says(&reply(&prepared(DEPRECATED, id, 0, 0))).unwrap();
    }
    assert!(matches!(trunk.client_says(&prepare("do 1")), Err(WireError::TooMany { .. })));
    // The same number again takes the place of the one before.
    let mut trunk = Trunk::with(facts(DEPRECATED, false), Limits { pipeline_max: 10, ..LIMITS });
    for _ in 0..30 {
        trunk.client_says(&prepare("do 1")).unwrap();
        trunk.upstream_says(&reply(&prepared(DEPRECATED, 1, 0, 0))).unwrap();
    }
}
