//! LOCAL INFILE: the server asks the client for a file.

use super::super::packet::PAYLOAD_MAX;
use super::*;

const ASKS: &[u8] = b"\xfb/etc/passwd";

#[test]
fn a_statement_that_loads_a_file_gets_it() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("load local")).unwrap();
    trunk.sent();
    trunk.upstream_says(&reply(&[ASKS.to_vec()])).unwrap();
    assert_eq!(trunk.heard(), reply(&[ASKS.to_vec()]));
    // It may look like anything.
    let content = [packet(2, b"\x03drop table t"), packet(3, b"1,2,3"), packet(4, b"")].concat();
    for byte in &content {
        trunk.client_says(&[*byte]).unwrap();
    }
    assert_eq!(trunk.sent(), content);
    assert_eq!(trunk.judged, ["load local"]);
    trunk.client_says(&query("refuse")).unwrap();
    assert!(trunk.heard().is_empty(), "what comes behind the file is a command, and waits");
    trunk.upstream_says(&reply_from(5, &[ok(AUTOCOMMIT)])).unwrap();
    let heard = packets(&trunk.heard());
    assert!(matches!(heard.as_slice(), [(5, _), (1, error)] if is_refusal(error)));
    assert!(trunk.engine.is_quiet());
}

/// A packet of the greatest length is continued, and an empty one behind it ends the chain, not the file.
#[test]
fn an_empty_continuation_does_not_end_the_file() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("load local")).unwrap();
    trunk.upstream_says(&reply(&[ASKS.to_vec()])).unwrap();
    let full = packet(2, &vec![b'x'; PAYLOAD_MAX]);
    assert_eq!(full.len(), PAYLOAD_MAX + 8);
    trunk.client_says(&full).unwrap();
    trunk.client_says(&packet(4, b"\x03not a command")).unwrap();
    trunk.client_says(&packet(5, b"")).unwrap();
    assert_eq!(trunk.judged, ["load local"]);
    trunk.client_says(&packet(0, b"\x0e")).unwrap();
    trunk.upstream_says(&reply_from(6, &[ok(AUTOCOMMIT)])).unwrap();
    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
    assert!(trunk.engine.is_quiet());
}

/// A server that asks for a file in answer to `select 1`.
#[test]
fn a_file_that_no_statement_asks_for_is_not_given() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let mut trunk = Trunk::new(facts(capabilities, false));
        trunk.client_says(&query("select 1")).unwrap();
        trunk.sent();
        trunk.upstream_says(&reply(&[ASKS.to_vec()])).unwrap();
        assert_eq!(trunk.sent(), packet(2, b""), "the server gets the end of a file");
        let heard = packets(&trunk.heard());
        assert!(matches!(heard.as_slice(), [(1, error)] if is_refusal(error)), "{heard:?}");
        let declined = trunk.engine.take_declined();
        assert!(declined.len() == 1 && declined[0].message.contains("`/etc/passwd`"));
        trunk.upstream_says(&reply_from(3, &result(capabilities, 2, AUTOCOMMIT))).unwrap();
        assert!(trunk.heard().is_empty());
        assert_eq!(trunk.outcomes, [(0, Outcome::Cut)]);
        trunk.client_says(&query("select 2")).unwrap();
        let answer = reply(&result(capabilities, 1, AUTOCOMMIT));
        trunk.upstream_says(&answer).unwrap();
        assert_eq!(trunk.heard(), answer);
    }
}

#[test]
fn a_file_is_not_asked_for_in_front_of_other_commands() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&[query("select 1"), query("select 2")].concat()).unwrap();
    assert!(trunk.upstream_says(&reply(&[ASKS.to_vec()])).is_err());
}

/// Whatever else the client has sent would be the file, so nothing is on its way.
#[test]
fn commands_behind_one_that_loads_a_file_wait() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&[query("load local"), query("select 1")].concat()).unwrap();
    assert_eq!(trunk.sent(), query("load local"));
    trunk.upstream_says(&reply(&[error(1148, "42000")])).unwrap();
    assert_eq!(trunk.sent(), query("select 1"));
}

/// A server that stops reading takes the next packet for a command, so the rest of the file must not pass as one.
#[test]
fn a_file_has_ended_when_the_server_has_answered() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&query("load local")).unwrap();
    trunk.upstream_says(&reply(&[ASKS.to_vec()])).unwrap();
    trunk.sent();
    let piece = packet(2, b"0123456789");
    trunk.client_says(&piece[..8]).unwrap();
    trunk.upstream_says(&reply_from(3, &[error(1017, "HY000")])).unwrap();
    trunk.client_says(&piece[8..]).unwrap();
    assert_eq!(trunk.sent(), piece, "what was announced passes");
    assert!(trunk.client_says(&packet(3, b"\x03drop table t")).is_err());
    assert!(trunk.sent().is_empty());
}

#[test]
fn pieces_out_of_order_end_the_session() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&query("load local")).unwrap();
    trunk.upstream_says(&reply(&[ASKS.to_vec()])).unwrap();
    assert!(trunk.client_says(&packet(0, b"\x03drop table t")).is_err());
}
