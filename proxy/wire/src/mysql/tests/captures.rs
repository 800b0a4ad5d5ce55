//! Conversations of real clients with MariaDB 10.11 and MySQL 9.7, recorded between them behind the login.
//!
//! A recording is what both sides had agreed on (eight bytes of capabilities, one byte that is 1 for MariaDB), then the
//! packets in the order in which they arrived, each behind `>` (client) or `<` (server). Among them are query
//! attributes, LOAD DATA LOCAL, pipelined preparations, bulk executions, procedures, cursors, and every command that
//! both servers still answer.

use super::*;

const CAPTURES: [(&str, &[u8]); 14] = [
    ("mariadb-pymysql", include_bytes!("captures/mariadb-pymysql.bin")),
    ("mariadb-connector-python", include_bytes!("captures/mariadb-connector-python.bin")),
    ("mariadb-client", include_bytes!("captures/mariadb-client.bin")),
    ("mariadb-mysql2", include_bytes!("captures/mariadb-mysql2.bin")),
    ("mariadb-connector-nodejs", include_bytes!("captures/mariadb-connector-nodejs.bin")),
    ("mariadb-by-hand", include_bytes!("captures/mariadb-by-hand.bin")),
    ("mariadb-by-hand-eof", include_bytes!("captures/mariadb-by-hand-eof.bin")),
    ("mysql-pymysql", include_bytes!("captures/mysql-pymysql.bin")),
    ("mysql-connector-python", include_bytes!("captures/mysql-connector-python.bin")),
    ("mysql-client", include_bytes!("captures/mysql-client.bin")),
    ("mysql-mysql2", include_bytes!("captures/mysql-mysql2.bin")),
    ("mysql-connector-nodejs", include_bytes!("captures/mysql-connector-nodejs.bin")),
    ("mysql-by-hand", include_bytes!("captures/mysql-by-hand.bin")),
    ("mysql-by-hand-eof", include_bytes!("captures/mysql-by-hand-eof.bin")),
];

struct Capture {
    facts: Facts,
    items: Vec<(WireSide, Vec<u8>)>,
}

fn capture(bytes: &[u8]) -> Capture {
    let (bits, rest) = bytes.split_first_chunk::<8>().expect("capabilities");
    let (mariadb, mut rest) = rest.split_first().expect("server");
    let facts = facts(Capabilities::from_bits(u64::from_le_bytes(*bits)), *mariadb == 1);
    let mut items = Vec::new();
    while let Some((mark, after)) = rest.split_first() {
        let len = usize::from(after[0]) | usize::from(after[1]) << 8 | usize::from(after[2]) << 16;
        let (packet, after) = after.split_at(len + 4);
        items.push((if *mark == b'>' { WireSide::Client } else { WireSide::Upstream }, packet.to_vec()));
        rest = after;
    }
    Capture { facts, items }
}

impl Capture {
    fn said(&self, side: WireSide) -> Vec<u8> {
        self.items.iter().filter(|(who, _)| *who == side).flat_map(|(_, packet)| packet.clone()).collect()
    }
}

#[test]
fn recorded_conversations_pass_unchanged_whether_counted_or_not() {
    for (name, bytes) in CAPTURES {
        let capture = capture(bytes);
        for counts_all in [false, true] {
            for size in [1, 7, usize::MAX] {
                let mut trunk = Trunk::new(capture.facts);
                trunk.counts_all = counts_all;
                for (side, packet) in &capture.items {
                    for chunk in properties::chunks(packet, &[size]) {
                        match side {
                            WireSide::Client => trunk.client_says(&chunk),
                            WireSide::Upstream => trunk.upstream_says(&chunk),
                        }
                        .unwrap_or_else(|error| panic!("{name}: {error}"));
                    }
                }
                assert!(trunk.to_upstream == capture.said(WireSide::Client), "{name}");
                assert!(trunk.to_client == capture.said(WireSide::Upstream), "{name}");
                assert!(trunk.terminated && trunk.engine.is_quiet(), "{name}");
                assert_eq!(trunk.outcomes.len(), trunk.judged.len(), "{name}: every execution ends once");
            }
        }
    }
}

/// As if no KILL ever came in time: what is behind the cut is all there, and must be swallowed to the packet.
#[test]
fn recorded_results_are_cut_at_every_row() {
    let mut cuts = 0;
    for (name, bytes) in CAPTURES {
        let capture = capture(bytes);
        for cut_after in 0..8 {
            let mut trunk = Trunk::new(capture.facts);
            trunk.counts_all = true;
            trunk.cut_after = cut_after;
            for (side, packet) in &capture.items {
                match side {
                    WireSide::Client => trunk.client_says(packet),
                    WireSide::Upstream => trunk.upstream_says(packet),
                }
                .unwrap_or_else(|error| panic!("{name}: {error}"));
                let sent = trunk.sent();
                let is_reset = |packet: &(u8, Vec<u8>)| packet.1.first() == Some(&0x1A);
                if *side == WireSide::Upstream && packets(&sent).iter().any(is_reset) {
                    // A cursor was closed, which the recording knows nothing of.
                    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
                }
            }
            let cut = trunk.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Cut).count();
            assert!(trunk.outcomes.iter().all(|(rows, _)| *rows <= cut_after));
            let heard = packets(&trunk.heard());
            let errors: Vec<usize> = (0..heard.len()).filter(|index| is_refusal(&heard[*index].1)).collect();
            assert_eq!(errors.len(), cut, "{name}, {cut_after}");
            for index in errors {
                let (before, seq) = (heard[index - 1].0, heard[index].0);
                // Where nothing of a cursor had come yet, the error is all of the reply.
                let begins = cut_after == 0 && seq == 1 && name.contains("by-hand");
                assert!(begins || seq == before.wrapping_add(1), "{name}, {cut_after}: {seq} behind {before}");
            }
            assert!(trunk.engine.is_quiet());
            cuts += cut;
        }
    }
    assert!(cuts > 100, "{cuts}");
}

/// The recorded bindings, as clients of several languages write them.
#[test]
fn recorded_bindings_are_read() {
    let mut bindings = Vec::new();
    for (name, bytes) in CAPTURES {
        let capture = capture(bytes);
        let mut trunk = Trunk::new(capture.facts);
        trunk.keeps_all = true;
        for (side, packet) in &capture.items {
            match side {
                WireSide::Client => trunk.client_says(packet),
                WireSide::Upstream => trunk.upstream_says(packet),
            }
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let bound = trunk.judged.into_iter().filter(|judged| judged.contains('?') && judged.contains("[\""));
        bindings.extend(bound.map(|judged| format!("{name}: {judged}")));
    }
    let expected = [
        r#"mariadb-connector-python: select * from customers where id=? and email like ? ["1", "%x"] 0"#,
        r#"mariadb-mysql2: select id,email,seen from customers where id=? and email<>? ["2", "z"] 0"#,
        r#"mariadb-connector-nodejs: select id,email from customers where id=? ["2", "?"] 0"#,
        r#"mariadb-connector-nodejs: select id from customers where email=? ["c@x", "?"] 0"#,
        r#"mysql-connector-python: select * from customers where id=? and email like ? ["2", "%x"] 0"#,
        r#"mysql-mysql2: select id,email,seen from customers where id=? and email<>? ["2", "z"] 0"#,
        r#"mysql-connector-nodejs: select id,email from customers where id=? ["2", "?"] 0"#,
    ];
    for line in expected {
        assert!(bindings.iter().any(|bound| bound == line), "{line} is not among {bindings:#?}");
    }
}
