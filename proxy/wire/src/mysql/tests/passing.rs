//! What is allowed: every reply as it came, and what is read of it.

use super::*;

/// Sends a command, answers it, and expects both to pass unchanged.
fn passes(trunk: &mut Trunk, sent: &[u8], answer: &[u8]) {
    trunk.client_says(sent).unwrap();
    assert_eq!(trunk.sent(), sent);
    let idles = trunk.idles;
    trunk.upstream_says(answer).unwrap();
    assert_eq!(trunk.heard(), answer);
    assert_eq!(trunk.idles, idles + 1, "the end of a command is told once");
    assert!(trunk.engine.is_quiet());
}

#[test]
fn every_command_has_its_reply() {
    for capabilities in [CLASSIC, DEPRECATED] {
        for mariadb in [false, true] {
            let trunk = &mut Trunk::new(facts(capabilities, mariadb));
            let (fine, eof) = (reply(&[ok(AUTOCOMMIT)]), reply(&[end(capabilities, AUTOCOMMIT)]));
            let failed = reply(&[error(1064, "42000")]);
            passes(trunk, &command(b"\x0e"), &fine);
            passes(trunk, &command(b"\x1b\0\0"), &eof);
            passes(trunk, &command(b"\x1b\x07\0"), &failed);
            passes(trunk, &command(b"\x09"), &reply(&[b"Uptime: 71  Threads: 3".to_vec()]));
            passes(trunk, &command(b"\x02shop"), &fine);
            passes(trunk, &command(b"\x0a"), &reply(&result(capabilities, 3, AUTOCOMMIT)));
            passes(trunk, &command(b"\x0c\x07\0\0\0"), &failed);
            passes(trunk, &command(b"\x0d"), &eof);
            passes(trunk, &command(b"\x1f"), &fine);
            let fields = [column("id", LONGLONG), column("email", STRING), end(capabilities, AUTOCOMMIT)];
            passes(trunk, &command(b"\x04customers\0"), &reply(&fields));
            passes(trunk, &command(b"\x04customers\0"), &failed);
            passes(trunk, &command(b"\x7f"), &reply(&[error(1047, "08S01")]));
            passes(trunk, &prepare("select"), &failed);
            passes(trunk, &prepare("do 1"), &reply(&prepared(capabilities, 1, 0, 0)));
            passes(trunk, &prepare("select ?"), &reply(&prepared(capabilities, 2, 1, 1)));
            passes(trunk, &execute(1, 0, b""), &fine);
            passes(trunk, &reset(1), &fine);
            for rows in [0, 1, 5] {
                passes(trunk, &query("select 1"), &reply(&result(capabilities, rows, AUTOCOMMIT)));
            }
            let several = [result(capabilities, 2, MORE), vec![ok(MORE)], result(capabilities, 1, AUTOCOMMIT)];
            passes(trunk, &query("select 1; do 1; select 2"), &reply(&several.concat()));
            let broken = [result(capabilities, 2, MORE), vec![error(1064, "42000")]];
            passes(trunk, &query("select 1; selec 2"), &reply(&broken.concat()));
            trunk.client_says(&command(b"\x01")).unwrap();
            assert!(trunk.terminated);
        }
    }
}

#[test]
fn what_has_no_reply_awaits_none() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    let silent = [command(b"\x18\x01\0\0\0\0\0piece"), command(b"\x19\x01\0\0\0")].concat();
    trunk.client_says(&silent).unwrap();
    assert_eq!(trunk.sent(), silent);
    assert!(trunk.engine.is_quiet());
}

#[test]
fn results_of_one_text_have_an_index() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.client_says(&query("select 1; select 2")).unwrap();
    let payloads = [result(DEPRECATED, 1, MORE), result(DEPRECATED, 1, AUTOCOMMIT)].concat();
    let said = reply(&payloads);
    let first = reply(&payloads[..3]).len();
    trunk.upstream_says(&said[..first]).unwrap();
    assert_eq!(trunk.engine.running().map(|running| running.index), Some(0));
    trunk.upstream_says(&said[first..said.len() - 11]).unwrap();
    assert_eq!(trunk.engine.running().map(|running| running.index), Some(1));
}

/// A row may begin with 0xFE, and so does what ends rows.
#[test]
fn a_row_that_begins_like_an_end_is_a_row() {
    // A length in its longest form, as no server writes it for so little: nine bytes and more are a row all the same.
    let classic = [&[0xFE][..], &1_u64.to_le_bytes(), b"x"].concat();
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    let mut payloads = head(CLASSIC, STRING);
    payloads.extend([classic, end(CLASSIC, AUTOCOMMIT)]);
    passes(&mut trunk, &query("select secret"), &reply(&payloads));
    assert_eq!(trunk.outcomes, [(1, Outcome::Complete("EOF".into()))]);
    // With OK in place of EOF, an end may be long: it holds what changed in the session.
    let capabilities = DEPRECATED.with(Capabilities::SESSION_TRACK);
    let mut trunk = Trunk::new(facts(capabilities, false));
    let mut payloads = head(capabilities, STRING);
    let mut end = vec![0xFE, 0, 0, 2, 0x40, 0, 0, 0];
    put_lenenc_bytes(&mut end, b"\x01\x05\x04shop");
    payloads.extend([row("x"), end]);
    passes(&mut trunk, &query("select secret"), &reply(&payloads));
    assert_eq!(trunk.outcomes, [(1, Outcome::Complete("EOF".into()))]);
    assert!(trunk.settings.contains(&("database".to_owned(), "shop".to_owned())));
}

#[test]
fn progress_reports_of_mariadb_pass_in_between() {
    let report = b"\xff\xff\xff\x01\x01\x02\x10\x27\x00\x04copy".to_vec();
    let capabilities = DEPRECATED.with(Capabilities::PROGRESS);
    let mut trunk = Trunk::new(facts(capabilities, true));
    let answer = reply(&[report.clone(), report.clone(), ok(AUTOCOMMIT)]);
    passes(&mut trunk, &query("alter table t"), &answer);
    let mut payloads = head(capabilities, LONGLONG);
    payloads.extend([row("1"), report.clone(), row("2"), end(capabilities, AUTOCOMMIT)]);
    passes(&mut trunk, &query("analyze table t"), &reply(&payloads));
    // Nobody has asked for one here.
    let mut trunk = Trunk::new(facts(DEPRECATED, true));
    trunk.client_says(&query("alter table t")).unwrap();
    assert!(trunk.upstream_says(&reply(&[report])).is_err());
}

#[test]
fn a_stream_of_events_is_data_up_to_its_end() {
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    trunk.counts_all = true;
    trunk.cut_after = 2;
    trunk.client_says(&command(b"\x12\x04\0\0\0\0\0\x01\0\0\0")).unwrap();
    let event = b"\0event".to_vec();
    trunk.upstream_says(&reply(&[event.clone(), event.clone(), event, vec![0xFE, 0, 0, 2, 0]])).unwrap();
    assert_eq!(trunk.outcomes, [(2, Outcome::Cut)]);
    assert!(trunk.engine.is_quiet());
}

/// Both servers say why they end a session that is idle, and then close.
#[test]
fn a_farewell_passes_though_nothing_was_asked() {
    for errno in [4031, 1927, 1053] {
        let mut trunk = Trunk::new(facts(CLASSIC, true));
        let said = packet(0, &error(errno, "HY000"));
        trunk.upstream_says(&said).unwrap();
        assert_eq!(trunk.heard(), said);
        assert!(trunk.engine.is_farewell());
        let mut trunk = Trunk::new(facts(CLASSIC, true));
        trunk.client_says(&query("select 1")).unwrap();
        trunk.upstream_says(&reply(&[error(errno, "HY000")])).unwrap();
        assert!(trunk.engine.is_farewell());
    }
    let mut trunk = Trunk::new(facts(CLASSIC, true));
    trunk.client_says(&query("select 1")).unwrap();
    trunk.upstream_says(&reply(&[error(1064, "42000")])).unwrap();
    assert!(!trunk.engine.is_farewell());
}

#[test]
fn weirs_own_farewell_has_the_number_that_the_client_expects() {
    let farewell = |trunk: &Trunk| {
        let mut out = Vec::new();
        trunk.engine.put_farewell(&Refusal::new("57P01", "weir is stopping", ""), &mut out);
        packets(&out)[0].0
    };
    let mut trunk = Trunk::new(facts(DEPRECATED, false));
    assert_eq!(farewell(&trunk), 1);
    trunk.client_says(&query("select 1")).unwrap();
    assert_eq!(farewell(&trunk), 1);
    let payloads = result(DEPRECATED, 3, AUTOCOMMIT);
    trunk.upstream_says(&reply(&payloads[..4])).unwrap();
    assert_eq!(farewell(&trunk), 5);
    trunk.upstream_says(&reply_from(5, &payloads[4..])).unwrap();
    assert_eq!(farewell(&trunk), 1);
}

#[test]
fn nobody_becomes_somebody_else_while_a_reply_is_due() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&[query("select 1"), query("refuse"), command(b"\x11root\0")].concat()).unwrap();
    assert!(!trunk.changes_user);
    trunk.upstream_says(&reply(&[ok(AUTOCOMMIT)])).unwrap();
    assert!(trunk.changes_user && trunk.engine.is_quiet());
    assert_eq!(trunk.sent(), query("select 1"));
    assert_eq!(packets(&trunk.heard()).len(), 2);
}

#[test]
fn rows_that_nobody_asked_for_end_the_session() {
    let whole = result(CLASSIC, 1, AUTOCOMMIT);
    for said in [
        reply(&[row("1")]),
        [reply(&whole), reply_from(6, &[row("1")])].concat(),
        reply(&[vec![1], column("id", LONGLONG), row("1")]),
        reply(&[vec![0xFC, 0xFF, 0xFF]]),
        reply(&[vec![1, 1]]),
        reply(&[vec![]]),
        reply(&[vec![1], b"\x03def\x04shop".to_vec()]),
        reply(&[vec![0, 0]]),
    ] {
        let mut trunk = Trunk::new(facts(CLASSIC, false));
        trunk.client_says(&query("select shape")).unwrap();
        assert!(trunk.upstream_says(&said).is_err(), "{said:?}");
        assert_eq!(trunk.engine.abandon().len() + trunk.outcomes.len(), 1);
    }
    // Not a binary row.
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.client_says(&execute(9, 0, b"")).unwrap();
    let mut payloads = head(CLASSIC, LONGLONG);
    payloads.push(row("1"));
    assert!(trunk.upstream_says(&reply(&payloads)).is_err());
}
