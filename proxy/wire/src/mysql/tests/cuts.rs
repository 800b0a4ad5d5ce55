//! Results that are cut: the error under the right number, nothing behind it, and a session that goes on.

use super::*;

/// What the client heard of a cut result, given all that the server said.
fn cut(capabilities: Capabilities, cut_after: usize, said: &[u8]) -> (Trunk, Vec<(u8, Vec<u8>)>) {
    let mut trunk = Trunk::new(facts(capabilities, false));
    trunk.cut_after = cut_after;
    trunk.client_says(&query("select secret")).unwrap();
    trunk.upstream_says(said).unwrap();
    let heard = packets(&trunk.heard());
    (trunk, heard)
}

fn assert_cut(heard: &[(u8, Vec<u8>)], packets_before: usize) {
    assert_eq!(heard.len(), packets_before + 1, "{heard:?}");
    for (index, (seq, payload)) in heard.iter().enumerate() {
        assert_eq!(usize::from(*seq), (index + 1) % 256, "numbers go on without a gap");
        assert_eq!(is_refusal(payload), index == packets_before);
    }
}

#[test]
fn a_cut_ends_the_result_at_the_row_in_both_forms_of_its_end() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let before = head(capabilities, LONGLONG).len();
        for rows in [0, 1, 2] {
            let said = reply(&result(capabilities, 5, AUTOCOMMIT));
            let (mut trunk, heard) = cut(capabilities, rows, &said);
            assert_cut(&heard, before + rows);
            assert_eq!(trunk.outcomes, [(rows, Outcome::Cut)]);
            assert!(trunk.engine.is_quiet());
            // The session goes on.
            trunk.client_says(&query("select 1")).unwrap();
            let answer = reply(&result(capabilities, 1, AUTOCOMMIT));
            trunk.upstream_says(&answer).unwrap();
            assert_eq!(trunk.heard(), answer);
        }
    }
}

#[test]
fn the_error_of_a_killed_query_is_swallowed() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let mut payloads = head(capabilities, LONGLONG);
        payloads.extend((0..4).map(|_| row("1")));
        payloads.push(error(1317, "70100"));
        let (trunk, heard) = cut(capabilities, 2, &reply(&payloads));
        assert_cut(&heard, head(capabilities, LONGLONG).len() + 2);
        assert_eq!(trunk.outcomes, [(2, Outcome::Cut)]);
        assert!(trunk.engine.is_quiet());
    }
}

#[test]
fn numbers_wrap_around() {
    for rows in [251, 252, 253, 254, 255, 600] {
        let (_, heard) = cut(DEPRECATED, rows, &reply(&result(DEPRECATED, 700, AUTOCOMMIT)));
        assert_cut(&heard, 2 + rows);
    }
}

#[test]
fn results_behind_a_cut_one_are_swallowed() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let payloads = [result(capabilities, 1, MORE), vec![ok(MORE)], result(capabilities, 4, MORE), vec![ok(2)]];
        let (trunk, heard) = cut(capabilities, 2, &reply(&payloads.concat()));
        // The trunk in small counts over all results of a text.
        let before = result(capabilities, 1, MORE).len() + 1 + head(capabilities, LONGLONG).len() + 1;
        assert_cut(&heard, before);
        assert_eq!(trunk.outcomes, [(2, Outcome::Cut)]);
        assert!(trunk.engine.is_quiet());
    }
}

#[test]
fn the_error_comes_with_the_next_packet_whatever_that_is() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("select secret")).unwrap();
    let payloads = result(DEPRECATED, 2, AUTOCOMMIT);
    trunk.upstream_says(&reply(&payloads[..3])).unwrap();
    trunk.heard();
    // Not because of a row: from outside.
    trunk.engine.cut(&Trunk::refusal(), &mut Vec::new());
    assert!(trunk.heard().is_empty());
    let rest = reply_from(4, &payloads[3..]);
    trunk.upstream_says(&rest[..3]).unwrap();
    assert!(trunk.heard().is_empty(), "its number is not known yet");
    trunk.upstream_says(&rest[3..4]).unwrap();
    let heard = packets(&trunk.heard());
    assert!(matches!(heard.as_slice(), [(4, payload)] if is_refusal(payload)), "{heard:?}");
    trunk.upstream_says(&rest[4..]).unwrap();
    assert!(trunk.heard().is_empty() && trunk.engine.is_quiet());
    assert_eq!(trunk.outcomes, [(1, Outcome::Cut)]);
}

#[test]
fn what_is_pipelined_behind_a_counted_query_waits_for_its_end() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.cut_after = 1;
    trunk.client_says(&[query("select secret"), query("update t"), query("refuse")].concat()).unwrap();
    assert_eq!(trunk.sent(), query("select secret"));
    trunk.upstream_says(&reply(&result(CLASSIC, 3, AUTOCOMMIT))).unwrap();
    assert_eq!(trunk.sent(), query("update t"));
    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
    let heard = packets(&trunk.heard());
    let refusals: Vec<bool> = heard.iter().map(|(_, payload)| is_refusal(payload)).collect();
    assert_eq!(refusals, [false, false, false, false, true, false, true]);
    assert!(trunk.engine.is_quiet());
}

fn cursor(capabilities: Capabilities) -> Trunk {
    let mut trunk = Trunk::new(facts(capabilities, false));
    trunk.client_says(&prepare("select secret where id > ?")).unwrap();
    trunk.upstream_says(&reply(&prepared(capabilities, 3, 1, 1))).unwrap();
    trunk.client_says(&execute(3, 1, b"\0\x01\x08\0\x2a\0\0\0\0\0\0\0")).unwrap();
    let mut payloads = head(capabilities, LONGLONG);
    if capabilities == CLASSIC {
        payloads.pop();
    }
    payloads.push(end(capabilities, AUTOCOMMIT | CURSOR));
    trunk.upstream_says(&reply(&payloads)).unwrap();
    trunk.heard();
    trunk.sent();
    trunk
}

#[test]
fn a_cursor_is_opened_and_read_in_the_shape_of_its_statement() {
    for capabilities in [CLASSIC, DEPRECATED] {
        let mut trunk = cursor(capabilities);
        assert_eq!(trunk.outcomes, [(0, Outcome::Suspended)]);
        trunk.client_says(&fetch(3, 2)).unwrap();
        let answer = reply(&[binary_row(1), binary_row(2), end(capabilities, AUTOCOMMIT | CURSOR)]);
        trunk.upstream_says(&answer).unwrap();
        assert_eq!(trunk.heard(), answer);
        trunk.client_says(&fetch(3, 5)).unwrap();
        trunk.upstream_says(&reply(&[binary_row(3), end(capabilities, AUTOCOMMIT | LAST_ROW)])).unwrap();
        assert_eq!(
            trunk.judged,
            [
                r#"select secret where id > ? ["42", "?"] 0"#,
                r#"select secret where id > ? ["42", "?"] 2"#,
                r#"select secret where id > ? ["42", "?"] 5"#
            ]
        );
        assert_eq!(trunk.outcomes[1..], [(2, Outcome::Suspended), (1, Outcome::Complete("EOF".into()))]);
        let origin = r#"Name { schema: "shop", relation: "customers", column: "id" }"#;
        assert!(trunk.columns.iter().all(|columns| columns == &[origin]) && trunk.columns.len() == 2);
    }
}

#[test]
fn a_cut_while_a_cursor_is_read_closes_it() {
    for capabilities in [CLASSIC, DEPRECATED] {
        for ends_with in [end(capabilities, AUTOCOMMIT | CURSOR), error(1317, "70100")] {
            let mut trunk = cursor(capabilities);
            trunk.cut_after = 1;
            trunk.client_says(&[fetch(3, 9), fetch(3, 9)].concat()).unwrap();
            assert_eq!(trunk.sent(), fetch(3, 9), "the second waits");
            trunk.upstream_says(&reply(&[binary_row(1), binary_row(2), binary_row(3), ends_with])).unwrap();
            let heard = packets(&trunk.heard());
            assert_cut(&heard, 1);
            assert_eq!(trunk.sent(), [reset(3), fetch(3, 9)].concat(), "nobody reads on");
            trunk.upstream_says(&[reply(&[ok(AUTOCOMMIT)]), reply(&[error(1421, "HY000")])].concat()).unwrap();
            assert_eq!(trunk.heard(), reply(&[error(1421, "HY000")]), "the answer to the reset is Weir's");
            assert_eq!(trunk.outcomes[1..], [(1, Outcome::Cut), (0, Outcome::Error("HY000".into()))]);
            assert!(trunk.engine.is_quiet());
        }
    }
}

/// Seen of MySQL 9.7 and MariaDB 10.11: a cursor that was asked for need not be opened, and rows may follow all the
/// same; only the lowest flag asks for one.
#[test]
fn a_cursor_that_is_not_opened_brings_rows() {
    for capabilities in [CLASSIC, DEPRECATED] {
        for (flags, status) in [(1, AUTOCOMMIT), (1, AUTOCOMMIT | CURSOR), (2, AUTOCOMMIT), (0xFE, AUTOCOMMIT | CURSOR)]
        {
            let mut trunk = Trunk::new(facts(capabilities, false));
            trunk.client_says(&execute(9, flags, b"")).unwrap();
            let mut payloads = head(capabilities, LONGLONG);
            payloads.extend([binary_row(1), binary_row(2), end(capabilities, status)]);
            trunk.upstream_says(&reply(&payloads)).unwrap();
            assert_eq!(trunk.outcomes, [(2, Outcome::Complete("EOF".into()))]);
            assert!(trunk.engine.is_quiet());
        }
    }
}

/// What was prepared out of sight has a cursor as well.
#[test]
fn a_cursor_of_an_unseen_statement_is_closed_by_its_number() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.counts_all = true;
    trunk.cut_after = 1;
    trunk.client_says(&fetch(99, 9)).unwrap();
    trunk.sent();
    trunk.upstream_says(&reply(&[binary_row(1), binary_row(2), end(DEPRECATED, CURSOR)])).unwrap();
    assert_eq!(trunk.sent(), reset(99));
    assert_cut(&packets(&trunk.heard()), 1);
}

/// A row that streams has begun to leave before it is whole: the error comes behind it.
#[test]
fn a_cut_inside_of_a_row_waits_for_its_end() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("select 1")).unwrap();
    let mut payloads = head(DEPRECATED, STRING);
    payloads.extend([row(&"x".repeat(100)), row("y"), end(DEPRECATED, AUTOCOMMIT)]);
    let said = reply(&payloads);
    let first_two = reply(&payloads[..2]).len();
    trunk.upstream_says(&said[..first_two + 20]).unwrap();
    assert!(trunk.engine.is_in_mid_message());
    trunk.engine.cut(&Trunk::refusal(), &mut Vec::new());
    trunk.upstream_says(&said[first_two + 20..]).unwrap();
    assert_cut(&packets(&trunk.heard()), 3);
    assert!(trunk.engine.is_quiet());
}

#[test]
fn a_cut_when_nothing_runs_is_none() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.engine.cut(&Trunk::refusal(), &mut Vec::new());
    trunk.client_says(&query("select 1")).unwrap();
    let answer = reply(&result(DEPRECATED, 1, AUTOCOMMIT));
    trunk.upstream_says(&answer).unwrap();
    assert_eq!(trunk.heard(), answer);
}
