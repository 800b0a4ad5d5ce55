//! Exchanges as real servers and clients have them, on every pair of legs, and what must hold for any other.

use proptest::prelude::*;

use super::*;

const PLAIN: Legs = Legs { client: Protection::Plain, upstream: Protection::Plain };
const TLS: Legs = Legs { client: Protection::Tls, upstream: Protection::Tls };
const CLIENT_TLS: Legs = Legs { client: Protection::Tls, upstream: Protection::Plain };
const UPSTREAM_TLS: Legs = Legs { client: Protection::Plain, upstream: Protection::Tls };
const NONCE: &[u8] = b"01234567890123456789";
const AGREED: Capabilities = Capabilities::SESSION_TRACK.with(Capabilities::PLUGIN_AUTH);
/// As MySQL 9.7 ends a login with a database.
const OK: &[u8] = b"\x00\x00\x00\x02\x40\x00\x00\x00\x05\x01\x03\x02d1";
const PEM: &[u8] = b"-----BEGIN PUBLIC KEY-----\n...\n-----END PUBLIC KEY-----\n";
const PASSWORD: &[u8] = b"pw\0";

/// An exchange, with what each side has received in order, without headers.
struct Play {
    exchange: Exchange,
    first: Secret,
    client_seq: u8,
    upstream_seq: u8,
    client_got: Vec<(u8, Vec<u8>)>,
    upstream_got: Vec<(u8, Vec<u8>)>,
}

fn framed(seq: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_packet(&mut out, seq, payload);
    out
}

/// Splits into sequence ids and payloads.
fn packets(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    while let Some(header) = Header::read(bytes, LOGIN_BYTES_MAX).unwrap() {
        found.push((header.seq, bytes[HEADER_LEN..header.frame_len].to_vec()));
        bytes = &bytes[header.frame_len..];
    }
    found
}

impl Play {
    /// TLS on a leg costs it one packet more before the login.
    fn begin(plugin: &str, first: &[u8], legs: Legs) -> Result<Play, Refusal> {
        let seq = |protection| if protection == Protection::Tls { 2 } else { 1 };
        let start = Start {
            plugin: Some(plugin),
            auth_response: first,
            nonce: NONCE,
            agreed: AGREED,
            legs,
            client_seq: seq(legs.client),
            upstream_seq: seq(legs.upstream),
        };
        let (exchange, first) = Exchange::begin(&start)?;
        Ok(Play {
            exchange,
            first,
            client_seq: start.client_seq + 1,
            upstream_seq: start.upstream_seq + 1,
            client_got: Vec::new(),
            upstream_got: Vec::new(),
        })
    }

    fn on(plugin: &str, first: &[u8], legs: Legs) -> Play {
        Play::begin(plugin, first, legs).unwrap()
    }

    /// The server says something; its own count goes on, as does that of whoever hears it.
    fn server(&mut self, payload: &'static [u8]) -> AuthStep<'static> {
        let bytes = framed(self.upstream_seq, payload).leak();
        self.upstream_seq += 1;
        let mut out = Vec::new();
        let step = self.exchange.upstream_step(bytes, &mut out).unwrap();
        self.heard(&out, &[]);
        step
    }

    fn client(&mut self, payload: &[u8]) -> AuthStep<'static> {
        let bytes = framed(self.client_seq, payload).leak();
        self.client_seq += 1;
        let mut out = Vec::new();
        let step = self.exchange.client_step(bytes, &mut out).unwrap();
        self.heard(&[], &out);
        step
    }

    fn heard(&mut self, to_client: &[u8], to_upstream: &[u8]) {
        for (seq, payload) in packets(to_client) {
            assert_eq!(seq, self.client_seq, "the client's count is broken");
            self.client_seq += 1;
            self.client_got.push((seq, payload));
        }
        for (seq, payload) in packets(to_upstream) {
            assert_eq!(seq, self.upstream_seq, "the server's count is broken");
            self.upstream_seq += 1;
            self.upstream_got.push((seq, payload));
        }
    }

    fn next(&self, step: &AuthStep<'_>, turn: Turn) {
        assert!(matches!(step, AuthStep::Next(_)), "{step:?}");
        assert_eq!(self.exchange.turn(), turn);
    }

    /// The server is content; the client's OK has the client's number.
    fn ends_well(mut self) -> Play {
        assert_eq!(self.exchange.turn(), Turn::Upstream);
        match self.server(OK) {
            AuthStep::Authenticated { ok, packet, .. } => {
                assert_eq!(ok.known_changes().count(), 1);
                assert_eq!(packet, framed(self.client_seq, OK));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(self.exchange.turn(), Turn::Nobody);
        self
    }

    fn clear_texts_upstream(&self) -> usize {
        self.upstream_got.iter().filter(|(_, payload)| payload == PASSWORD).count()
    }
}

fn masked(password: &[u8]) -> Vec<u8> {
    password.iter().zip(NONCE.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

#[test]
fn a_challenge_passes_on_all_legs() {
    for legs in [PLAIN, TLS, CLIENT_TLS, UPSTREAM_TLS] {
        let play = Play::on("mysql_native_password", b"twenty bytes of hash", legs);
        assert_eq!(play.first.bytes(), b"twenty bytes of hash");
        play.ends_well();

        let mut play = Play::on("mysql_native_password", b"hash", legs);
        let step = play.server(b"\xfeclient_ed25519\0thirty-two bytes of a new nonce..");
        play.next(&step, Turn::Client);
        let step = play.client(b"sixty-four bytes of a signature");
        play.next(&step, Turn::Upstream);
        let play = play.ends_well();
        assert_eq!(play.exchange.nonce(), b"thirty-two bytes of a new nonce..");
        assert_eq!(play.upstream_got[0].1, b"sixty-four bytes of a signature");
    }
}

#[test]
fn caching_sha2_is_quick_where_the_cache_knows_the_account() {
    for legs in [PLAIN, TLS, CLIENT_TLS, UPSTREAM_TLS] {
        let mut play = Play::on("caching_sha2_password", b"hash", legs);
        let step = play.server(b"\x01\x03");
        play.next(&step, Turn::Upstream);
        let play = play.ends_well();
        assert_eq!(play.client_got[0].1, b"\x01\x03");
    }
}

#[test]
fn caching_sha2_in_full_on_equal_legs_is_relayed() {
    let mut play = Play::on("caching_sha2_password", b"hash", TLS);
    let step = play.server(b"\x01\x04");
    play.next(&step, Turn::Client);
    let step = play.client(PASSWORD);
    play.next(&step, Turn::Upstream);
    assert_eq!(play.ends_well().clear_texts_upstream(), 1);

    let mut play = Play::on("caching_sha2_password", b"hash", PLAIN);
    play.server(b"\x01\x04");
    let step = play.client(b"\x02");
    play.next(&step, Turn::Upstream);
    let step = play.server(b"\x01-----BEGIN PUBLIC KEY-----");
    play.next(&step, Turn::Client);
    play.client(b"ciphertext");
    let play = play.ends_well();
    let upstream: Vec<&[u8]> = play.upstream_got.iter().map(|(_, payload)| payload.as_slice()).collect();
    assert_eq!(upstream, [b"\x02".as_slice(), b"ciphertext"]);
}

/// Client under TLS, server not: the password in clear comes as far as Weir, which asks for the server's key.
#[test]
fn a_clear_password_goes_encrypted_where_the_server_has_no_tls() {
    for (plugin, switch, request) in [
        ("caching_sha2_password", None, b"\x02"),
        ("mysql_native_password", Some(b"\xfesha256_password\x0001234567890123456789\0".as_slice()), b"\x01"),
    ] {
        let mut play = Play::on(plugin, b"hash", CLIENT_TLS);
        let step = play.server(switch.unwrap_or(b"\x01\x04"));
        play.next(&step, Turn::Client);
        let step = play.client(PASSWORD);
        play.next(&step, Turn::Upstream);
        assert_eq!(play.upstream_got.last().unwrap().1, request);
        let key = play.server(b"\x01-----BEGIN PUBLIC KEY-----\n");
        match key {
            AuthStep::Encrypt { public_key, plaintext, .. } => {
                assert_eq!(public_key, b"-----BEGIN PUBLIC KEY-----\n");
                assert_eq!(plaintext.bytes(), masked(PASSWORD));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(play.exchange.turn(), Turn::Trunk);
        let mut out = Vec::new();
        play.exchange.encrypted(Some(b"ciphertext"), &mut out).unwrap();
        play.heard(&[], &out);
        let play = play.ends_well();
        assert_eq!(play.clear_texts_upstream(), 0);
        assert_eq!(play.client_got.len(), 1, "the client sees nothing of the key");
    }
}

/// Server under TLS, client not: the client asks for a key and gets Weir's.
#[test]
fn an_encrypted_password_goes_clear_where_the_server_has_tls() {
    for (plugin, opening, request) in [
        ("caching_sha2_password", b"\x01\x04".as_slice(), b"\x02"),
        ("mysql_native_password", b"\xfesha256_password\x0001234567890123456789\0", b"\x01"),
    ] {
        let mut play = Play::on(plugin, b"hash", UPSTREAM_TLS);
        play.server(opening);
        assert!(matches!(play.client(request), AuthStep::NeedsKey(5)));
        assert!(play.upstream_got.is_empty(), "the server under TLS is not asked for a key");
        let mut out = Vec::new();
        play.exchange.give_key(PEM, &mut out);
        play.heard(&out, &[]);
        assert_eq!(play.client_got.last().unwrap().1, [b"\x01", PEM].concat());
        match play.client(b"ciphertext") {
            AuthStep::Decrypt { ciphertext, .. } => assert_eq!(ciphertext, b"ciphertext"),
            other => panic!("{other:?}"),
        }
        let mut out = Vec::new();
        play.exchange.decrypted(Some(&Secret::new(masked(PASSWORD))), &mut out).unwrap();
        play.heard(&[], &out);
        assert_eq!(play.ends_well().clear_texts_upstream(), 1);
    }
}

/// What MariaDB's client does where it would have taken TLS: nobody past Weir sees it.
#[test]
fn a_clear_password_without_tls_goes_nowhere() {
    for legs in [PLAIN, UPSTREAM_TLS] {
        for request in [b"\x01\x04".as_slice(), b"\xfesha256_password\x0001234567890123456789\0"] {
            let mut play = Play::on("caching_sha2_password", b"hash", legs);
            play.server(request);
            match play.client(PASSWORD) {
                AuthStep::Refused(refusal) => assert!(refusal.message.contains("in clear"), "{refusal:?}"),
                other => panic!("{other:?}"),
            }
            assert!(play.upstream_got.is_empty());
        }
        assert!(Play::begin("sha256_password", PASSWORD, legs).is_err());
    }
    // What is encrypted passes, and so does the sign of an empty password.
    for answer in [&[7; 256][..], b"\0", b""] {
        let mut play = Play::on("sha256_password", b"\x01", PLAIN);
        play.server(b"\xfesha256_password\x0001234567890123456789\0");
        let step = play.client(answer);
        play.next(&step, Turn::Upstream);
        assert_eq!(play.upstream_got[0].1, answer);
        play.ends_well();
    }
}

#[test]
fn a_password_under_a_key_that_is_not_weirs_is_refused() {
    for plaintext in [None, Some(Secret::new(masked(b"no end"))), Some(Secret::default())] {
        let mut play = Play::on("caching_sha2_password", b"hash", UPSTREAM_TLS);
        play.server(b"\x01\x04");
        // Without asking: a client that keeps the server's public key.
        assert!(matches!(play.client(&[7; 256]), AuthStep::Decrypt { .. }));
        let mut out = Vec::new();
        let refusal = play.exchange.decrypted(plaintext.as_ref(), &mut out).unwrap_err();
        assert!(out.is_empty() && refusal.message.contains("another key"));
        play.exchange.put_refusal(&refusal, &mut out);
        play.heard(&out, &[]);
        assert_eq!(play.exchange.turn(), Turn::Nobody);
    }
}

/// PyMySQL looks at the first byte only: a server without TLS could write the request so that Weir does not know it,
/// and get in clear what the client meant for TLS.
#[test]
fn a_request_that_only_looks_like_one_for_the_password_is_refused() {
    for request in [b"\x01\x04\x00".as_slice(), b"\x01\x05", b"\x01"] {
        let mut play = Play::on("caching_sha2_password", b"hash", CLIENT_TLS);
        let mut out = Vec::new();
        let bytes = framed(play.upstream_seq, request);
        assert!(play.exchange.upstream_step(&bytes, &mut out).is_err());
        assert!(out.is_empty());
    }
    // Nor is there one that belongs to another plugin than the present.
    for legs in [PLAIN, TLS, CLIENT_TLS, UPSTREAM_TLS] {
        let mut play = Play::on("mysql_native_password", b"hash", legs);
        let (mut out, bytes) = (Vec::new(), framed(play.upstream_seq, b"\x01\x04"));
        assert!(play.exchange.upstream_step(&bytes, &mut out).is_err());
        assert!(out.is_empty());
    }
}

#[test]
fn a_key_that_does_not_work_is_refused() {
    let mut play = Play::on("caching_sha2_password", b"hash", CLIENT_TLS);
    play.server(b"\x01\x04");
    play.client(PASSWORD);
    play.server(b"\x01no key");
    let mut out = Vec::new();
    assert!(play.exchange.encrypted(None, &mut out).is_err());
    assert!(out.is_empty());
}

#[test]
fn sha256_as_the_first_method() {
    // Equal legs: as it is.
    assert_eq!(Play::on("sha256_password", PASSWORD, TLS).first.bytes(), PASSWORD);
    assert_eq!(Play::on("sha256_password", b"\x01", PLAIN).first.bytes(), b"\x01");
    // The clear password stays with Weir, the key is asked for in the login.
    let mut play = Play::on("sha256_password", PASSWORD, CLIENT_TLS);
    assert_eq!(play.first.bytes(), b"\x01");
    assert!(matches!(play.server(b"\x01key"), AuthStep::Encrypt { .. }));
    let mut out = Vec::new();
    play.exchange.encrypted(Some(b"ciphertext"), &mut out).unwrap();
    play.heard(&[], &out);
    play.ends_well();
    // The account has another method after all: the password goes nowhere.
    let mut play = Play::on("sha256_password", PASSWORD, CLIENT_TLS);
    let step = play.server(b"\xfecaching_sha2_password\x0001234567890123456789\0");
    play.next(&step, Turn::Client);
    play.client(b"hash");
    play.server(b"\x01\x03");
    play.ends_well();
    assert!(Play::begin("sha256_password", b"\x01", UPSTREAM_TLS).is_err());
    Play::on("sha256_password", b"\0", UPSTREAM_TLS).ends_well();
}

#[test]
fn clear_text_needs_tls_on_both_legs() {
    for plugin in ["mysql_clear_password", "dialog", "authentication_openid_connect_client"] {
        for legs in [PLAIN, CLIENT_TLS, UPSTREAM_TLS] {
            let refusal = Play::begin(plugin, PASSWORD, legs).err().unwrap();
            assert!(refusal.message.contains(plugin), "{}", refusal.message);
            let mut play = Play::on("mysql_native_password", b"hash", legs);
            let switch = [b"\xfe", plugin.as_bytes(), b"\0"].concat().leak();
            assert!(matches!(play.server(switch), AuthStep::Refused(_)));
            assert!(play.client_got.is_empty(), "the client is not even asked");
            assert_eq!(play.exchange.turn(), Turn::Nobody);
        }
        let mut play = Play::on("mysql_native_password", b"hash", TLS);
        let switch = [b"\xfe", plugin.as_bytes(), b"\0"].concat().leak();
        let step = play.server(switch);
        play.next(&step, Turn::Client);
        play.client(PASSWORD);
        play.ends_well();
    }
}

/// PAM asks its questions without the byte that other plugins put before their data.
#[test]
fn a_dialog_of_several_questions() {
    let mut play = Play::on("mysql_native_password", b"hash", TLS);
    play.server(b"\xfedialog\0\x04Password: ");
    play.client(PASSWORD);
    let step = play.server(b"\x02Verification code: ");
    play.next(&step, Turn::Client);
    play.client(b"123456\0");
    play.ends_well();
}

#[test]
fn parsec_asks_for_its_salt_first() {
    let mut play = Play::on("mysql_native_password", b"hash", PLAIN);
    play.server(b"\xfeparsec\0thirty-two bytes of nonce.......");
    let step = play.client(b"");
    play.next(&step, Turn::Upstream);
    let step = play.server(b"P\x00eighteen bytes....");
    play.next(&step, Turn::Client);
    play.client(b"client scramble and signature");
    play.ends_well();
}

#[test]
fn what_is_not_relayed_is_named() {
    let mut play = Play::on("mysql_native_password", b"hash", TLS);
    match play.server(b"\xfeauthentication_kerberos_client\0realm") {
        AuthStep::Refused(refusal) => assert!(refusal.message.contains("`authentication_kerberos_client`")),
        other => panic!("{other:?}"),
    }
    assert!(Play::begin("auth_gssapi_client", b"", TLS).is_err());
    let mut play = Play::on("mysql_native_password", b"hash", TLS);
    match play.server(b"\xfe") {
        AuthStep::Refused(refusal) => assert!(refusal.message.contains("before MySQL 4.1")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_error_passes_with_the_clients_number() {
    let mut play = Play::on("caching_sha2_password", b"hash", CLIENT_TLS);
    play.server(b"\x01\x04");
    // The client takes too long; the server does not wait for it.
    let error = b"\xff\x15\x04#28000Access denied for user 'u'@'localhost' (using password: YES)";
    match play.server(error) {
        AuthStep::Failed { errno, sqlstate, message, .. } => {
            assert_eq!((errno, sqlstate.as_str()), (1045, "28000"));
            assert!(message.starts_with("Access denied"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(play.client_got.last().unwrap().1, error);
    assert_eq!(play.exchange.turn(), Turn::Nobody);
}

#[test]
fn weir_may_still_say_no_after_the_servers_ok() {
    let mut play = Play::on("mysql_native_password", b"hash", PLAIN).ends_well();
    let mut out = Vec::new();
    play.exchange.put_refusal(&Refusal::new("28000", "left the company in May", "ask #people"), &mut out);
    assert_eq!(packets(&out)[0].0, 2);
}

#[test]
fn nobody_speaks_out_of_turn_or_sequence() {
    let mut play = Play::on("mysql_native_password", b"hash", PLAIN);
    let mut out = Vec::new();
    // A query before the login.
    for early in [framed(0, b"\x03select 1"), framed(2, b"")] {
        assert!(matches!(play.exchange.client_step(&early, &mut out), Err(WireError::Unexpected { .. })));
    }
    let late = framed(play.upstream_seq + 1, OK);
    assert!(matches!(play.exchange.upstream_step(&late, &mut out), Err(WireError::Malformed { .. })));
    for odd in [b"\x02\x00".as_slice(), b"P", b"\xfb/etc/passwd"] {
        let mut play = Play::on("mysql_native_password", b"hash", PLAIN);
        let bytes = framed(play.upstream_seq, odd);
        assert!(play.exchange.upstream_step(&bytes, &mut out).is_err(), "{odd:?}");
    }
    assert!(out.is_empty());
}

#[test]
fn an_exchange_has_an_end() {
    let mut play = Play::on("mysql_native_password", b"hash", TLS);
    play.server(b"\xfedialog\0\x04Password: ");
    let mut out = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let answer = framed(play.exchange.client_seq, b"x");
        let question = framed(play.exchange.upstream_seq.wrapping_add(1), b"\x02again: ");
        if play.exchange.client_step(&answer, &mut out).is_err()
            || play.exchange.upstream_step(&question, &mut out).is_err()
        {
            return;
        }
    }
    panic!("a server can ask without end");
}

proptest! {
    /// Whatever both sides say: no panic, no password in clear to a server without TLS, and bytes only of what is whole.
    #[test]
    fn any_talk_is_relayed_or_ends(
        legs in 0_usize..4,
        plugin in 0_usize..4,
        talk in prop::collection::vec((any::<bool>(), 0_usize..12, prop::collection::vec(any::<u8>(), 0..8)), 0..12),
    ) {
        let legs = [PLAIN, TLS, CLIENT_TLS, UPSTREAM_TLS][legs];
        let plugin = ["mysql_native_password", "caching_sha2_password", "sha256_password", ""][plugin];
        let Ok(mut play) = Play::begin(plugin, b"hash", legs) else { return Ok(()) };
        const WORDS: [&[u8]; 12] = [
            b"\x01\x03", b"\x01\x04", b"\x02", b"\x01", PASSWORD, b"\x01key", b"\xfesha256_password\0nonce",
            b"\xfecaching_sha2_password\x0001234567890123456789\0", b"\xfeparsec\0", OK, b"\xff\x15\x04#28000no", b"",
        ];
        for (from_client, word, tail) in talk {
            let payload = [WORDS[word], &tail].concat();
            let (mut to_client, mut to_upstream) = (Vec::new(), Vec::new());
            let asked_for_password = play.exchange.state == State::Password;
            let step = if from_client {
                let bytes = framed(play.exchange.client_seq, &payload);
                let partial = play.exchange.client_step(&bytes[..bytes.len() - 1], &mut to_upstream);
                prop_assert!(matches!(partial, Ok(AuthStep::More(_)) | Err(_)), "{:?}", partial);
                prop_assert!(to_upstream.is_empty());
                play.exchange.client_step(&bytes, &mut to_upstream).map(|_| ())
            } else {
                let bytes = framed(play.exchange.upstream_seq, &payload);
                play.exchange.upstream_step(&bytes, &mut to_client).map(|_| ())
            };
            if step.is_err() {
                prop_assert!(to_client.is_empty() && to_upstream.is_empty());
                break;
            }
            if asked_for_password && legs == CLIENT_TLS && has_password(&payload) {
                for (_, sent) in packets(&to_upstream) {
                    prop_assert_eq!(sent.as_slice(), play.exchange.method.key_request());
                }
            }
            match play.exchange.state {
                State::OwnKey => play.exchange.give_key(PEM, &mut to_client),
                State::Decryption => {
                    let _ = play.exchange.decrypted(Some(&Secret::new(masked(PASSWORD))), &mut to_upstream);
                }
                State::Encryption => {
                    let _ = play.exchange.encrypted(Some(b"ciphertext"), &mut to_upstream);
                }
                _ => {}
            }
        }
    }
}
