//! What holds for every conversation: chunking changes nothing, no bytes panic, a cut comes where it should.

use proptest::prelude::*;

use super::*;

/// A conversation of which every part is allowed: its bytes must come out as they went in.
fn allowed(capabilities: Capabilities) -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let part = prop_oneof![
        (0_usize..20).prop_map(move |rows| (query("select 1"), reply(&result(capabilities, rows, AUTOCOMMIT)))),
        (0_usize..5, 0_usize..5).prop_map(move |(one, two)| {
            let payloads = [result(capabilities, one, MORE), vec![ok(MORE)], result(capabilities, two, 3)];
            (query("select 1; do 1; select 2"), reply(&payloads.concat()))
        }),
        (0_u16..4, 0_u16..4).prop_map(move |(parameters, columns)| {
            (prepare("select ?"), reply(&prepared(capabilities, 1, parameters, columns)))
        }),
        (0_usize..20).prop_map(move |rows| {
            let mut payloads = head(capabilities, LONGLONG);
            payloads.extend((0..rows).map(|_| binary_row(0xFE)));
            payloads.push(end(capabilities, AUTOCOMMIT));
            (execute(77, 0, b""), reply(&payloads))
        }),
        Just((command(b"\x0e"), reply(&[ok(AUTOCOMMIT)]))),
        Just((command(b"\x09"), reply(&[b"Uptime".to_vec()]))),
        Just((query("selec"), reply(&[error(1064, "42000")]))),
        Just((command(b"\x18\x01\0\0\0\0\0piece"), Vec::new())),
        Just((reset(1), reply(&[ok(AUTOCOMMIT)]))),
        Just((command(b"\x04t\0"), reply(&[column("a", STRING), end(capabilities, AUTOCOMMIT)]))),
    ];
    proptest::collection::vec(part, 1..12)
}

pub(super) fn chunks(bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut out = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        out.push(head.to_vec());
        rest = tail;
    }
    out
}

proptest! {
    #[test]
    fn any_chunking_of_what_is_allowed_passes_unchanged(
        (deprecated, parts) in prop_oneof![
            (Just(false), allowed(CLASSIC)), (Just(true), allowed(DEPRECATED))
        ],
        counts_all: bool,
        mariadb: bool,
        sizes in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let mut trunk = Trunk::new(facts(if deprecated { DEPRECATED } else { CLASSIC }, mariadb));
        trunk.counts_all = counts_all;
        // Nothing is pipelined behind what is counted.
        let at_once = if counts_all { 1 } else { parts.len() };
        for parts in parts.chunks(at_once) {
            let (asks, answers): (Vec<_>, Vec<_>) = parts.iter().cloned().unzip();
            for chunk in chunks(&asks.concat(), &sizes) {
                trunk.client_says(&chunk).unwrap();
            }
            for chunk in chunks(&answers.concat(), &sizes) {
                trunk.upstream_says(&chunk).unwrap();
            }
        }
        let (ask, answer): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let (ask, answer) = (ask.concat(), answer.concat());
        prop_assert_eq!(&trunk.to_upstream, &ask);
        prop_assert_eq!(&trunk.to_client, &answer);
        prop_assert!(trunk.engine.is_quiet());
    }

    /// Refused and passing commands in any order: each refusal stands where its answer would.
    #[test]
    fn refusals_stand_in_order(
        refused in proptest::collection::vec(any::<bool>(), 1..20),
        early in 0_usize..20,
        sizes in proptest::collection::vec(1_usize..60, 1..6),
    ) {
        let mut trunk = Trunk::new(facts(DEPRECATED, false));
        let asks: Vec<Vec<u8>> =
            refused.iter().map(|refused| query(if *refused { "refuse" } else { "do 1" })).collect();
        let early = early.min(asks.len());
        let answers = |asks: &[bool]| asks.iter().filter(|refused| !**refused).count();
        for chunk in chunks(&asks[..early].concat(), &sizes) {
            trunk.client_says(&chunk).unwrap();
        }
        for _ in 0..answers(&refused[..early]) {
            for chunk in chunks(&reply(&[ok(AUTOCOMMIT)]), &sizes) {
                trunk.upstream_says(&chunk).unwrap();
            }
        }
        for chunk in chunks(&asks[early..].concat(), &sizes) {
            trunk.client_says(&chunk).unwrap();
        }
        for _ in 0..answers(&refused[early..]) {
            trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
        }
        let heard: Vec<bool> = packets(&trunk.heard()).iter().map(|(_, payload)| is_refusal(payload)).collect();
        prop_assert_eq!(heard, refused);
        prop_assert!(trunk.engine.is_quiet());
    }

    /// However a counted result arrives and ends: exactly so many rows, then the error under the next number.
    #[test]
    fn a_cut_is_exact_in_any_chunking(
        deprecated: bool,
        binary: bool,
        rows in 0_usize..400,
        cut_after in 0_usize..400,
        killed: bool,
        sizes in proptest::collection::vec(1_usize..200, 1..8),
    ) {
        let capabilities = if deprecated { DEPRECATED } else { CLASSIC };
        let mut payloads = head(capabilities, LONGLONG);
        let before = payloads.len();
        payloads.extend((0..rows).map(|index| if binary { binary_row(index as i64) } else { row("12") }));
        payloads.push(if killed { error(1317, "70100") } else { end(capabilities, AUTOCOMMIT) });
        let mut trunk = Trunk::new(facts(capabilities, false));
        trunk.counts_all = true;
        trunk.cut_after = cut_after;
        trunk.client_says(&if binary { execute(9, 0, b"") } else { query("select 1") }).unwrap();
        for chunk in chunks(&reply(&payloads), &sizes) {
            trunk.upstream_says(&chunk).unwrap();
        }
        let heard = packets(&trunk.heard());
        for (index, (seq, _)) in heard.iter().enumerate() {
            prop_assert_eq!(usize::from(*seq), (index + 1) % 256);
        }
        if rows > cut_after {
            prop_assert_eq!(heard.len(), before + cut_after + 1);
            prop_assert!(is_refusal(&heard[before + cut_after].1));
        } else {
            prop_assert_eq!(heard.len(), payloads.len());
        }
        prop_assert!(trunk.engine.is_quiet());
    }

    #[test]
    fn no_bytes_panic(
        client in proptest::collection::vec((prop_oneof![Just(3_u8), Just(0x16), Just(0x17), Just(0x18), Just(0x19), Just(0x1A), Just(0x1C), Just(0xFA), any::<u8>()], proptest::collection::vec(any::<u8>(), 0..24)), 0..12),
        upstream in proptest::collection::vec((0_u8..8, prop_oneof![Just(0_u8), Just(1), Just(0xFB), Just(0xFE), Just(0xFF), any::<u8>()], proptest::collection::vec(any::<u8>(), 0..24)), 0..12),
        junk in proptest::collection::vec(any::<u8>(), 0..64),
        capabilities: u64,
        mariadb: bool,
    ) {
        let facts = facts(Capabilities::from_bits(capabilities), mariadb);
        let mut trunk = Trunk::new(facts);
        trunk.cut_after = 1;
        trunk.counts_all = true;
        for (kind, body) in &client {
            if trunk.client_says(&command(&[&[*kind][..], body].concat())).is_err() {
                break;
            }
        }
        for (seq, kind, body) in &upstream {
            if trunk.upstream_says(&packet(*seq, &[&[*kind][..], body].concat())).is_err() {
                break;
            }
        }
        let _ = Trunk::new(facts).client_says(&junk);
        let _ = Trunk::new(facts).upstream_says(&junk);
    }
}
