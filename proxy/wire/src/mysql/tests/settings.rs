//! What the server tells of the session at the end of a result.

use super::*;

fn told(trunk: &mut Trunk, payload: Vec<u8>) -> Vec<String> {
    trunk.client_says(&query("set x")).unwrap();
    trunk.upstream_says(&reply(&[payload])).unwrap();
    std::mem::take(&mut trunk.settings).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn tracked(changes: &[u8]) -> Vec<u8> {
    let mut payload = vec![0, 0, 0, 2, 0x40, 0, 0, 0];
    put_lenenc_bytes(&mut payload, changes);
    payload
}

#[test]
fn variables_and_the_database_are_told_as_tracked() {
    let capabilities = DEPRECATED.with(Capabilities::SESSION_TRACK);
    let mut trunk = Trunk::new(facts(capabilities, false));
    let changes = b"\x01\x05\x04shop\x00\x0f\x0aautocommit\x03OFF\x02\x02\x011";
    let expected = ["database=shop", "autocommit=OFF", "no_backslash_escapes=OFF"];
    assert_eq!(told(&mut trunk, tracked(changes)), expected);
    assert!(told(&mut trunk, ok(AUTOCOMMIT)).is_empty());
    // Changes that do not follow their format would leave Weir with a wrong idea of the session.
    trunk.client_says(&query("set x")).unwrap();
    assert!(trunk.upstream_says(&reply(&[tracked(b"\x01\x05\x09shop")])).is_err());
}

#[test]
fn status_flags_tell_lexical_settings_to_those_who_track_nothing() {
    let mut trunk = Trunk::new(facts(CLASSIC, true));
    assert_eq!(told(&mut trunk, ok(AUTOCOMMIT)), ["no_backslash_escapes=OFF", "ansi_quotes=OFF"]);
    assert_eq!(told(&mut trunk, ok(AUTOCOMMIT | 0x8200)), ["no_backslash_escapes=ON", "ansi_quotes=ON"]);
    assert!(told(&mut trunk, ok(AUTOCOMMIT | 0x8200)).is_empty());
    assert_eq!(told(&mut trunk, ok(AUTOCOMMIT | 0x0200)), ["ansi_quotes=OFF"]);
    // That bit is MariaDB's.
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    assert_eq!(told(&mut trunk, ok(AUTOCOMMIT | 0x8000)), ["no_backslash_escapes=OFF"]);
}

/// A cut hides the result, not what the server did.
#[test]
fn what_is_swallowed_is_read_all_the_same() {
    let mut trunk = Trunk::new(facts(CLASSIC, false));
    trunk.cut_after = 0;
    trunk.client_says(&query("select secret; set x")).unwrap();
    let payloads = [result(CLASSIC, 2, AUTOCOMMIT | MORE), vec![ok(0x0201)]].concat();
    trunk.upstream_says(&reply(&payloads)).unwrap();
    let last = trunk.settings.last().cloned();
    assert_eq!(last, Some(("no_backslash_escapes".to_owned(), "ON".to_owned())));
    assert_eq!(trunk.transaction, Transaction::Open);
}

#[test]
fn more_settings_than_there_are_end_the_session() {
    let capabilities = DEPRECATED.with(Capabilities::SESSION_TRACK);
    let mut trunk = Trunk::new(facts(capabilities, false));
    let mut variable = Vec::new();
    put_lenenc_bytes(&mut variable, b"x");
    put_lenenc_bytes(&mut variable, &vec![b'v'; 70_000]);
    let mut changes = vec![0];
    put_lenenc_bytes(&mut changes, &variable);
    trunk.client_says(&query("set x")).unwrap();
    assert!(trunk.upstream_says(&reply(&[tracked(&changes)])).is_err());
}
