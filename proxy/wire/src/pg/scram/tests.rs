//! The exchange against the RFC's own, against itself, and against everything that should not pass.

use std::num::NonZeroU32;

use super::*;

const ITERATIONS_TEST: NonZeroU32 = NonZeroU32::new(4096).unwrap();

/// RFC 7677, section 3: user `user`, password `pencil`.
const RFC_CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const RFC_SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const RFC_SALT: &str = "W22ZaJ0SNY7soEsUEjb6gQ==";

fn verifier(password: &str) -> Verifier {
    Verifier::new(password.as_bytes(), b"0123456789abcdef", NonZeroU32::new(2).unwrap())
}

fn server(verifier: &Verifier, binding: Binding) -> Server {
    Server::new(verifier.clone(), true, binding, "server-nonce")
}

/// A client with a password at a server: the server's judgement, and the client's of the server.
fn login(client: &mut Client, server: &mut Server, password: &str) -> Result<Accepted, ScramError> {
    let first = server.first(MECHANISM.as_bytes(), &client.first())?;
    let challenge = client.challenge(&first)?;
    let keys = Keys::derive(password.as_bytes(), &challenge.salt, challenge.iterations);
    let accepted = server.last(&client.answer(&keys))?;
    client.confirm(&accepted.server_final)?;
    Ok(accepted)
}

#[test]
fn the_example_of_the_rfc_comes_out() {
    let salt = STANDARD.decode(RFC_SALT).unwrap();
    let verifier = Verifier::new(b"pencil", &salt, ITERATIONS_TEST);
    let mut server = Server::new(verifier, true, Binding::None, RFC_SERVER_NONCE);
    let first = server.first(MECHANISM.as_bytes(), format!("n,,n=user,r={RFC_CLIENT_NONCE}").as_bytes()).unwrap();
    assert_eq!(
        String::from_utf8(first).unwrap(),
        format!("r={RFC_CLIENT_NONCE}{RFC_SERVER_NONCE},s={RFC_SALT},i=4096")
    );
    let last = format!("c=biws,r={RFC_CLIENT_NONCE}{RFC_SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    let accepted = server.last(last.as_bytes()).unwrap();
    assert_eq!(accepted.server_final, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

/// `alter role … password 'secret'` of a PostgreSQL 15 made this one.
#[test]
fn verifiers_are_postgresql_s_own() {
    let made = Verifier::new("sécrét".as_bytes(), b"0123456789abcdef", ITERATIONS_TEST);
    assert_eq!(Verifier::parse(&made.text()), Some(made.clone()));
    assert!(made.text().starts_with("SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$"));
    let good = made.text();
    for broken in [
        good.replace("SHA-256", "SHA-1"),
        good.replace("4096", "0"),
        good.replace("4096", "04096"),
        good.replace("4096", "-1"),
        good.replace("4096", "4294967296"),
        good.replace("MDEyMzQ1Njc4OWFiY2RlZg==", ""),
        good.replace("==$", "=$"),
        good.replace('$', ":"),
        good[..good.len() - 4].to_owned(),
        format!("{good}AAAA"),
        "md5d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        String::new(),
    ] {
        assert_eq!(Verifier::parse(&broken), None, "{broken}");
    }
}

#[test]
fn passwords_are_prepared_as_postgresql_does() {
    // RFC 4013, section 3: a soft hyphen maps to nothing, compatibility forms to plain ones.
    assert_eq!(saslprep("I\u{ad}X".as_bytes()), b"IX");
    assert_eq!(saslprep("\u{2168}".as_bytes()), b"IX");
    assert_eq!(saslprep("\u{aa}".as_bytes()), b"a");
    // What cannot be prepared stays as it is.
    assert_eq!(saslprep(b"\x07"), b"\x07");
    assert_eq!(saslprep(b"caf\xe9"), b"caf\xe9");
    assert_eq!(saslprep("\u{ad}".as_bytes()), "\u{ad}".as_bytes());
}

#[test]
fn a_login_succeeds_by_its_password_only() {
    let verifier = verifier("secret");
    let accepted = login(&mut Client::new("c"), &mut server(&verifier, Binding::None), "secret").unwrap();
    assert!(!accepted.bound);
    // What passes is what the password derives to: it opens another server with the same verifier.
    let mut behind = server(&verifier, Binding::None);
    let mut client = Client::new("d");
    let challenge = client.challenge(&behind.first(MECHANISM.as_bytes(), &client.first()).unwrap()).unwrap();
    assert!(challenge.fits(&verifier));
    assert!(behind.last(&client.answer(&accepted.keys)).is_ok());
    for wrong in ["", "Secret", "secret ", "secre", "secrets"] {
        let end = login(&mut Client::new("c"), &mut server(&verifier, Binding::None), wrong).unwrap_err();
        assert_eq!(end, ScramError::WrongPassword, "{wrong}");
    }
}

#[test]
fn an_account_that_does_not_exist_looks_like_one_that_does() {
    let mock = |account: &str| Verifier::mock(b"secret of this weir", account, ITERATIONS_TEST);
    assert_eq!(mock("nobody"), mock("nobody"));
    assert_ne!(mock("nobody").salt, mock("nobodY").salt);
    assert_eq!(mock("nobody").salt.len(), SALT_BYTES);
    let mut absent = Server::new(mock("nobody"), false, Binding::None, "server-nonce");
    assert_eq!(login(&mut Client::new("c"), &mut absent, "secret").unwrap_err(), ScramError::WrongPassword);
    // Not even the keys that the made-up verifier belongs to open it.
    let verifier = verifier("secret");
    let mut doomed = Server::new(verifier, false, Binding::None, "server-nonce");
    assert_eq!(login(&mut Client::new("c"), &mut doomed, "secret").unwrap_err(), ScramError::WrongPassword);
}

#[test]
fn bound_exchanges_prove_the_certificate() {
    let verifier = verifier("secret");
    let bound = |offered: &[u8], seen: &[u8], flag: &str, mechanism: &str| {
        let mut server = server(&verifier, Binding::EndPoint(offered.to_vec()));
        let bare = "n=,r=c";
        let first = server.first(mechanism.as_bytes(), format!("{flag},,{bare}").as_bytes())?;
        let first = String::from_utf8(first).unwrap();
        let channel = STANDARD.encode([format!("{flag},,").as_bytes(), seen].concat());
        let without = format!("c={channel},r=cserver-nonce");
        let keys = Keys::derive(b"secret", &verifier.salt, verifier.iterations);
        let signature = Key::hmac(&keys.client.hash().0, format!("{bare},{first},{without}").as_bytes());
        let proof = STANDARD.encode(keys.client.xor(&signature).0);
        server.last(format!("{without},p={proof}").as_bytes()).map(|accepted| accepted.bound)
    };
    let flag = "p=tls-server-end-point";
    assert_eq!(bound(b"hash", b"hash", flag, MECHANISM_PLUS), Ok(true));
    assert_eq!(bound(b"hash", b"hasH", flag, MECHANISM_PLUS), Err(ScramError::OtherChannel));
    assert_eq!(bound(b"hash", b"", flag, MECHANISM_PLUS), Err(ScramError::OtherChannel));
    assert_eq!(bound(b"hash", b"", "n", MECHANISM), Ok(false));
    assert_eq!(bound(b"hash", b"hash", "n", MECHANISM), Err(ScramError::OtherChannel));
    assert_eq!(bound(b"hash", b"", "y", MECHANISM), Err(ScramError::Downgraded));
    for (flag, mechanism) in [
        ("n", MECHANISM_PLUS),
        ("y", MECHANISM_PLUS),
        ("p=tls-unique", MECHANISM_PLUS),
        (flag, MECHANISM),
        ("", MECHANISM),
    ] {
        let end = bound(b"hash", b"hash", flag, mechanism).unwrap_err();
        assert!(matches!(end, ScramError::Malformed(_)), "{flag} {mechanism}: {end}");
    }
    assert_eq!(bound(b"hash", b"", "n", "SCRAM-SHA-1"), Err(ScramError::UnknownMechanism));
    // Where nothing is offered, a client that could bind says so and passes.
    let mut plain = server(&verifier, Binding::None);
    assert!(plain.first(MECHANISM.as_bytes(), b"y,,n=,r=c").is_ok());
    assert_eq!(
        server(&verifier, Binding::None).first(MECHANISM_PLUS.as_bytes(), b"p=tls-server-end-point,,n=,r=c"),
        Err(ScramError::UnknownMechanism)
    );
}

#[test]
fn a_server_is_not_computed_for_without_end() {
    for (count, expected) in [
        ("2147483648", ScramError::TooManyIterations(2_147_483_648)),
        ("100001", ScramError::TooManyIterations(100_001)),
        ("99999999999999999999999999", ScramError::TooManyIterations(u64::MAX)),
        ("0", ScramError::Malformed("the iteration count is zero")),
        ("-1", ScramError::Malformed("the iteration count is no number")),
        ("", ScramError::Malformed("the iteration count is no number")),
    ] {
        let first = format!("r=cs,s=QUJD,i={count}");
        assert_eq!(Client::new("c").challenge(first.as_bytes()), Err(expected), "{count}");
        assert_eq!(judge_server_first(first.as_bytes()), Err(expected), "{count}");
    }
    assert!(Client::new("c").challenge(b"r=cs,s=QUJD,i=100000").is_ok());
    for broken in
        [&b"r=c,s=QUJD,i=1"[..], b"r=xs,s=QUJD,i=1", b"s=QUJD,r=cs,i=1", b"r=cs,s=,i=1", b"r=cs,s=?,i=1", b"\xff"]
    {
        assert!(matches!(Client::new("c").challenge(broken), Err(ScramError::Malformed(_))), "{broken:?}");
    }
}

#[test]
fn a_server_must_know_the_password_too() {
    let verifier = verifier("secret");
    let mut client = Client::new("c");
    let first = server(&verifier, Binding::None).first(MECHANISM.as_bytes(), &client.first()).unwrap();
    let challenge = client.challenge(&first).unwrap();
    client.answer(&Keys::derive(b"secret", &challenge.salt, challenge.iterations));
    let forged = format!("v={}", STANDARD.encode([0; 32]));
    assert_eq!(client.confirm(forged.as_bytes()), Err(ScramError::NotTheServer));
    assert_eq!(client.confirm(b"e=other-error"), Err(ScramError::Refused));
    assert_eq!(Client::new("c").confirm(forged.as_bytes()), Err(ScramError::NotTheServer));
}

#[test]
fn nothing_secret_is_printed() {
    let verifier = verifier("secret");
    let mut server = server(&verifier, Binding::None);
    let accepted = login(&mut Client::new("c"), &mut server, "secret").unwrap();
    let printed = format!("{verifier:?} {accepted:?} {server:?}");
    for key in [&verifier.stored, &verifier.server, &accepted.keys.client] {
        assert!(!printed.contains(&format!("{:?}", key.0)), "{printed}");
    }
}

/// A hundred thousand wrong answers, each a proof that somebody might send; none may pass, and the right one does.
#[test]
fn a_hundred_thousand_wrong_passwords_and_none_passes() {
    const TRIES: u32 = 100_000;
    let verifier = verifier("secret");
    let right = Keys::derive(b"secret", &verifier.salt, verifier.iterations);
    let mut passed = 0;
    for number in 0..TRIES {
        let mut server = server(&verifier, Binding::None);
        let mut client = Client::new("c");
        let first = server.first(MECHANISM.as_bytes(), &client.first()).unwrap();
        let challenge = client.challenge(&first).unwrap();
        let mut keys = Keys::derive(format!("secret{number}").as_bytes(), &challenge.salt, challenge.iterations);
        if number % 4 == 0 {
            // One bit beside the right key.
            keys = right.clone();
            let bit = usize::try_from(number / 4 % 256).unwrap();
            keys.client.0[bit / 8] ^= 1 << (bit % 8);
        }
        passed += u32::from(server.last(&client.answer(&keys)).is_ok());
    }
    assert_eq!(passed, 0);
    assert!(login(&mut Client::new("c"), &mut server(&verifier, Binding::None), "secret").is_ok());
}

proptest::proptest! {
    #[test]
    fn no_message_is_too_broken(first in "\\PC{0,40}|[npyr=,,a-z]{0,30}", last in "\\PC{0,40}|c=biws,r=[a-z,p=]{0,30}") {
        let mut server = server(&verifier("secret"), Binding::EndPoint(vec![1]));
        let _ = server.first(MECHANISM.as_bytes(), first.as_bytes());
        proptest::prop_assert!(server.last(last.as_bytes()).is_err());
        let mut server = self::server(&verifier("secret"), Binding::None);
        let _ = server.first(MECHANISM.as_bytes(), b"n,,n=,r=c");
        proptest::prop_assert!(server.last(last.as_bytes()).is_err());
        let _ = Client::new("c").challenge(first.as_bytes());
        proptest::prop_assert!(Client::new("c").confirm(last.as_bytes()).is_err());
        let _ = Verifier::parse(&first);
    }
}
