//! Exchanges at the door as clients have them, and what must hold for any other.

use proptest::prelude::*;

use super::super::packet::Header;
use super::*;

const NONCE: &[u8] = b"01234567890123456789";
const FRESH: &[u8] = b"abcdefghijklmnopqrst";
const OK: &[u8] = b"\x00\x00\x00\x02\x00\x00\x00";
const DENIAL: Denial<'_> = Denial { account: "alice", host: "10.0.0.7", with_password: true };

/// An exchange, with what the client has received, without headers; its count goes on as a client's does.
struct Play {
    door: Door,
    seq: u8,
    got: Vec<Vec<u8>>,
}

fn knock<'b>(wanted: Plugin, named: Option<&'b str>, answer: &'b [u8], client: Protection) -> Knock<'b> {
    let seq = if client == Protection::Tls { 2 } else { 1 };
    Knock { wanted, named, answer, nonce: Some(NONCE), fresh: FRESH.to_vec(), client, seq }
}

impl Play {
    fn begin(knock: Knock<'_>) -> (Play, DoorStep) {
        let mut out = Vec::new();
        let seq = knock.seq + 1;
        let (door, step) = Door::begin(knock, &mut out).unwrap();
        let mut play = Play { door, seq, got: Vec::new() };
        play.heard(&out);
        (play, step)
    }

    fn client(&mut self, payload: &[u8]) -> DoorStep {
        let mut packet = Vec::new();
        self.seq = put_packet(&mut packet, self.seq, payload);
        self.door.client_step(&packet).unwrap()
    }

    fn heard(&mut self, mut bytes: &[u8]) {
        while let Some(header) = Header::read(bytes, 1 << 16).unwrap() {
            assert_eq!(header.seq, self.seq, "the client's count is broken");
            self.seq += 1;
            self.got.push(bytes[HEADER_LEN..header.frame_len].to_vec());
            bytes = &bytes[header.frame_len..];
        }
    }

    fn asks_password(&mut self) {
        let mut out = Vec::new();
        self.door.ask_password(&mut out).unwrap();
        self.heard(&out);
    }

    fn ends_well(mut self) -> Vec<Vec<u8>> {
        let welcome = self.door.welcome(OK);
        self.heard(&welcome);
        self.got
    }

    fn ends_badly(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.door.deny(&DENIAL, &mut out);
        self.heard(&out);
        assert!(!self.door.awaits_client());
        self.got.pop().unwrap()
    }
}

fn password(text: &[u8]) -> Secret {
    Secret::new(text.to_vec())
}

const SHA2: Option<&str> = Some("caching_sha2_password");

#[test]
fn an_answer_that_is_enough() {
    let (play, step) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain));
    assert_eq!(step, DoorStep::Answer { len: 0, answer: password(&[7; 32]) });
    assert_eq!(play.door.nonce(), NONCE);
    assert_eq!(play.ends_well(), [b"\x01\x03".to_vec(), OK.to_vec()]);
}

#[test]
fn in_full_under_tls() {
    let (mut play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Tls));
    play.asks_password();
    assert_eq!(play.client(b"hunter2\0"), DoorStep::Password { len: 12, password: password(b"hunter2") });
    assert_eq!(play.ends_well(), [b"\x01\x04".to_vec(), OK.to_vec()]);
}

#[test]
fn in_full_under_weirs_key() {
    for request in [KEY_REQUEST, KEY_REQUEST_SHA256] {
        let (mut play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain));
        play.asks_password();
        assert_eq!(play.client(request), DoorStep::NeedsKey(5));
        let mut out = Vec::new();
        play.door.give_key(b"PEM", &mut out);
        play.heard(&out);
        let step = play.client(&[9; 256]);
        assert_eq!(step, DoorStep::Decrypt { len: 260, ciphertext: vec![9; 256] });
        let masked: Vec<u8> = b"hunter2\0".iter().zip(NONCE).map(|(a, b)| a ^ b).collect();
        let step = play.door.decrypted(Some(&Secret::new(masked)));
        assert_eq!(step, DoorStep::Password { len: 0, password: password(b"hunter2") });
        assert_eq!(play.ends_well(), [b"\x01\x04".to_vec(), b"\x01PEM".to_vec(), OK.to_vec()]);
    }
}

#[test]
fn what_does_not_fit_weirs_key_is_told() {
    for plain in [None, Some(password(b"no end")), Some(password(b""))] {
        let (mut play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain));
        play.asks_password();
        play.client(&[9; 256]);
        assert!(matches!(play.door.decrypted(plain.as_ref()), DoorStep::Refused(_)));
    }
}

#[test]
fn another_plugin_is_asked_for() {
    for (wanted, named) in [
        (Plugin::Native, "caching_sha2_password"),
        (Plugin::CachingSha2, "mysql_native_password"),
        (Plugin::CachingSha2, "dummy_fallback_auth"),
        (Plugin::CachingSha2, ""),
    ] {
        let (mut play, step) = Play::begin(knock(wanted, Some(named), &[7; 20], Protection::Plain));
        assert_eq!(step, DoorStep::Next(0));
        let request = [b"\xfe", wanted.name().as_bytes(), b"\0", FRESH, b"\0"].concat();
        assert_eq!(play.got, [request]);
        assert_eq!(play.client(&[5; 20]), DoorStep::Answer { len: 24, answer: password(&[5; 20]) });
        assert_eq!(play.door.nonce(), FRESH);
        let got = play.ends_well();
        assert_eq!(got.len(), if wanted == Plugin::Native { 2 } else { 3 });
    }
}

/// A nonce that was answered once is not answered again: a change of the user begins with another.
#[test]
fn a_change_of_the_user_answers_a_nonce_of_its_own() {
    let knock = Knock { nonce: None, ..knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain) };
    let (play, step) = Play::begin(knock);
    assert_eq!((step, play.got.len()), (DoorStep::Next(0), 1));
}

#[test]
fn ed25519_signs_a_nonce_of_32_bytes() {
    let fresh = vec![3; Plugin::Ed25519.nonce_len()];
    let knock =
        Knock { fresh: fresh.clone(), ..knock(Plugin::Ed25519, Some("client_ed25519"), &[], Protection::Plain) };
    let (mut play, _) = Play::begin(knock);
    assert_eq!(play.got, [[b"\xfeclient_ed25519\0".as_slice(), &fresh].concat()]);
    assert!(matches!(play.client(&[8; 64]), DoorStep::Answer { .. }));
    assert_eq!(play.ends_well().len(), 2);
}

#[test]
fn a_token_goes_under_tls_only() {
    let (mut play, step) = Play::begin(knock(Plugin::Clear, SHA2, &[7; 32], Protection::Tls));
    assert_eq!((step, play.got.clone()), (DoorStep::Next(0), vec![b"\xfemysql_clear_password\0".to_vec()]));
    assert!(
        matches!(play.client(b"ey.ey.sig\0"), DoorStep::Password { password, .. } if password.bytes() == b"ey.ey.sig")
    );
    let at_once = knock(Plugin::Clear, Some("mysql_clear_password"), b"ey.ey.sig\0", Protection::Tls);
    assert!(matches!(Play::begin(at_once).1, DoorStep::Password { .. }));
    let mut out = Vec::new();
    assert!(Door::begin(knock(Plugin::Clear, SHA2, &[7; 32], Protection::Plain), &mut out).is_err());
    assert!(out.is_empty(), "nothing was asked for");
}

#[test]
fn a_password_in_clear_without_tls_is_refused_wherever_it_comes() {
    let (mut play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain));
    play.asks_password();
    assert!(matches!(play.client(b"hunter2\0"), DoorStep::Refused(_)));
    let mut out = Vec::new();
    let first = knock(Plugin::Native, Some("mysql_clear_password"), b"hunter2\0", Protection::Plain);
    assert!(Door::begin(first, &mut out).is_err());
}

#[test]
fn nobody_is_let_in_without_a_password() {
    for (plugin, named) in [(Plugin::CachingSha2, SHA2), (Plugin::Native, Some("mysql_native_password"))] {
        for empty in [b"".as_slice(), b"\0"] {
            let (play, step) = Play::begin(knock(plugin, named, empty, Protection::Plain));
            assert_eq!(step, DoorStep::NoPassword(0));
            assert!(!play.door.awaits_client());
        }
    }
    let (mut play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Tls));
    play.asks_password();
    assert_eq!(play.client(b"\0"), DoorStep::NoPassword(5));
}

#[test]
fn no_is_said_in_the_servers_words() {
    let (play, _) = Play::begin(knock(Plugin::CachingSha2, SHA2, &[7; 32], Protection::Plain));
    let expected = b"\xff\x15\x04#28000Access denied for user 'alice'@'10.0.0.7' (using password: YES)";
    assert_eq!(play.ends_badly(), expected);
}

/// A client without plugins has answered the nonce of the greeting, if with anything, as native passwords do.
#[test]
fn a_client_without_plugins_cannot_be_asked_for_another() {
    let mut out = Vec::new();
    assert!(Door::begin(knock(Plugin::CachingSha2, None, &[7; 20], Protection::Plain), &mut out).is_err());
}

#[test]
fn a_plugin_that_never_sends_the_password_is_not_asked_for_it() {
    let (mut play, _) = Play::begin(knock(Plugin::Native, Some("mysql_native_password"), &[7; 20], Protection::Tls));
    assert!(play.door.ask_password(&mut Vec::new()).is_err());
}

proptest! {
    /// Whatever comes: no panic, no password taken in clear without TLS, and an end.
    #[test]
    fn any_client_ends(
        packets in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>()), 0..100),
        plugin in prop::sample::select(vec![Plugin::CachingSha2, Plugin::Native, Plugin::Ed25519]),
        named in prop::sample::select(vec![SHA2, Some("mysql_native_password"), Some("mysql_clear_password"), None]),
        first in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut out = Vec::new();
        let Ok((mut door, mut step)) = Door::begin(knock(plugin, named, &first, Protection::Plain), &mut out) else {
            return Ok(());
        };
        let mut seq = 2 + u8::from(step == DoorStep::Next(0));
        for (payload, full) in packets {
            prop_assert!(!matches!(step, DoorStep::Password { .. }), "{step:?}");
            match step {
                DoorStep::Answer { .. } if full => {
                    let mut out = Vec::new();
                    if door.ask_password(&mut out).is_err() { break }
                    seq += 1;
                }
                DoorStep::NeedsKey(_) => {
                    door.give_key(b"PEM", &mut Vec::new());
                    seq += 1;
                }
                DoorStep::Decrypt { .. } => {
                    prop_assert!(matches!(door.decrypted(None), DoorStep::Refused(_)));
                    break;
                }
                DoorStep::Next(_) => {}
                _ => break,
            }
            let mut packet = Vec::new();
            seq = put_packet(&mut packet, seq, &payload);
            match door.client_step(&packet) {
                Ok(next) => step = next,
                Err(_) => break,
            }
        }
    }
}
