//! Refused commands: nothing of them leaves, and the error stands in their place.

use super::*;

#[test]
fn a_refused_query_is_answered_at_once() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&query("refuse me")).unwrap();
    let heard = packets(&trunk.heard());
    assert!(matches!(heard.as_slice(), [(1, payload)] if is_refusal(payload)), "{heard:?}");
    assert!(trunk.sent().is_empty() && trunk.engine.is_quiet());
    // The session goes on.
    trunk.client_says(&query("select 1")).unwrap();
    assert_eq!(trunk.sent(), query("select 1"));
}

/// Drivers that pipeline (mysql2, MariaDB's) match replies by their order alone.
#[test]
fn a_refused_command_in_a_pipeline_is_answered_in_its_place() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    let one = [query("select 1"), query("refuse a"), query("refuse b"), command(b"\x0e")].concat();
    trunk.client_says(&one).unwrap();
    trunk.client_says(&[query("select 2"), query("refuse c")].concat()).unwrap();
    assert_eq!(trunk.sent(), [query("select 1"), command(b"\x0e"), query("select 2")].concat());
    assert!(trunk.heard().is_empty(), "nothing may overtake the first reply");
    let (first, ping) = (reply(&result(DEPRECATED, 2, AUTOCOMMIT)), reply(&[ok(AUTOCOMMIT)]));
    let last = reply(&[error(1064, "42000")]);
    trunk.upstream_says(&[first.clone(), ping.clone(), last.clone()].concat()).unwrap();
    let heard = trunk.heard();
    assert!(heard.starts_with(&first));
    let rest = packets(&heard[first.len()..]);
    let kinds: Vec<&str> =
        rest.iter().map(|(_, payload)| if is_refusal(payload) { "refusal" } else { "server" }).collect();
    assert_eq!(kinds, ["refusal", "refusal", "server", "server", "refusal"]);
    assert!(rest.iter().all(|(seq, _)| *seq == 1));
    assert!(trunk.engine.is_quiet());
    assert_eq!(
        trunk.outcomes,
        [(2, Outcome::Complete("EOF".into())), (0, Outcome::Error("42000".into()))],
        "what was refused never ran"
    );
}

/// A refused statement fails like any other one: the transaction stays as it is, and nothing has to be undone.
#[test]
fn a_refusal_leaves_the_transaction_as_it_is() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&query("begin")).unwrap();
    trunk.upstream_says(&reply(&[ok(0x0003)])).unwrap();
    assert_eq!(trunk.transaction, Transaction::Open);
    trunk.client_says(&query("refuse")).unwrap();
    trunk.client_says(&query("commit")).unwrap();
    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
    assert_eq!(trunk.transaction, Transaction::Idle);
    assert_eq!(trunk.sent(), [query("begin"), query("commit")].concat());
}

#[test]
fn several_statements_in_one_text_are_refused_with_one_error() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("select 1; refuse; select 2")).unwrap();
    assert_eq!(packets(&trunk.heard()).len(), 1);
    assert!(trunk.sent().is_empty());
}

#[test]
fn the_answer_to_a_refused_chain_has_the_number_behind_it() {
    let mut trunk = Trunk::with(facts(CLASSIC, false), Limits { frame_bytes_max: 64 << 20, pipeline_max: 8 });
    let text = format!("refuse {}", "x".repeat(2 * super::super::packet::PAYLOAD_MAX));
    trunk.client_says(&query(&text)).unwrap();
    let heard = packets(&trunk.heard());
    assert!(matches!(heard.as_slice(), [(3, payload)] if is_refusal(payload)));
    assert!(trunk.sent().is_empty());
}

/// MariaDB's connectors send the execution behind the preparation without waiting for its number. The server has not
/// seen the refused one, and its last statement is still the one before.
#[test]
fn an_execution_of_the_last_statement_behind_a_refused_preparation_runs_nothing() {
    let mut trunk = Trunk::new(facts(DEPRECATED, true));
    trunk.client_says(&prepare("select harmless")).unwrap();
    trunk.upstream_says(&reply(&prepared(DEPRECATED, 7, 0, 1))).unwrap();
    trunk.sent();
    trunk.client_says(&[prepare("never"), execute(u32::MAX, 0, b""), fetch(u32::MAX, 1)].concat()).unwrap();
    assert_eq!(trunk.sent(), [execute(0, 0, b""), fetch(0, 1)].concat(), "no statement has the number 0");
    assert_eq!(trunk.judged, ["unseen unknown 0", "unseen unknown 1"]);
    trunk.upstream_says(&[reply(&[error(1243, "HY000")]), reply(&[error(1243, "HY000")])].concat()).unwrap();
    let heard = packets(&trunk.heard());
    assert_eq!(heard.len(), 3 + 1 + 2 - 1, "{heard:?}");
    // A piece of a value would reach the statement before.
    for payload in [b"\x18\xff\xff\xff\xff\0\0x".as_slice(), b"\x1a\xff\xff\xff\xff", b"\x19\xff\xff\xff\xff"] {
        assert!(trunk.client_says(&command(payload)).is_err());
        trunk.client.clear();
    }
    // On MySQL it is a number like others.
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&[prepare("never"), command(b"\x18\xff\xff\xff\xff\0\0x")].concat()).unwrap();
}

#[test]
fn what_is_not_sql_is_asked_for_by_name() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&[command(b"\x08"), command(b"\x12abc"), command(b"\x7f")].concat()).unwrap();
    let shown = ["shutdown", "binlog-dump", "Unknown(127)"];
    assert!(trunk.judged.iter().zip(shown).all(|(judged, name)| judged.contains(name)), "{:?}", trunk.judged);
    assert_eq!(trunk.sent(), [command(b"\x12abc"), command(b"\x7f")].concat());
}
