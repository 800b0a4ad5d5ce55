//! TLS between Weir and the server; clients come in plain.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use weir_tests::fixture::PASSWORD;
use weir_tests::frames;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Failure, Raw, ServerError};
use weir_tests::tap::Tap;
use weir_tests::tools;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::certificates::trust;
use super::{LIMIT, NAME, as_alice, ask, await_active, tls_postgres};

/// Everything passes; the server is verified with these roots.
fn to_verified(root: &Path, server_name: Option<&str>) -> WeirOptions {
    WeirOptions::allow_all().upstream_tls(root, server_name)
}

/// What a client is told at the door.
#[track_caller]
fn turned_away(weir: &Weir) -> ServerError {
    let failure = Raw::try_login(weir.address(), &[("user", "alice"), ("database", "support")], PASSWORD);
    match failure {
        Err(Failure::Server(error)) => error,
        other => panic!("turned away with words expected: {other:?}"),
    }
}

/// The client is told that the server cannot be reached, and whom to ask; the log says why.
#[track_caller]
fn assert_unreachable(weir: &Weir, reason: &str) {
    let error = turned_away(weir);
    assert_eq!((error.severity.as_str(), error.sqlstate.as_str()), ("FATAL", "08001"), "{error:?}");
    assert!(error.message.contains("`support-db`"), "{error:?}");
    assert!(error.hint.contains("weir's log"), "{error:?}");
    wait::until_true(&format!("a line of the log about `{reason}`"), wait::SOON, || {
        let log = weir.log();
        let told = log.lines().any(|line| line.contains("upstream cannot be reached") && line.contains(reason));
        assert!(told || log.len() < 100_000, "{log}");
        told
    });
}

#[test]
fn a_verified_server_serves_as_without_tls() {
    let tap = Tap::start(tls_postgres().address());
    // The name that the certificate must bear is the address's host, or what is configured.
    for name in [None, Some(NAME)] {
        tap.clear();
        let weir = Weir::start(tap.address(), &to_verified(&trust().root, name));
        let ssl = "select ssl, version from pg_stat_ssl where pid = pg_backend_pid()";
        assert_eq!(ask(weir.address(), &[], ssl).ok(), "t|TLSv1.3\n");
        // With Weir's own connections, which read the catalog.
        drop(weir);
        let sessions = tap.finished(|_| true);
        assert!(!sessions.is_empty());
        assert!(sessions.iter().all(|session| session.client.starts_with(&frames::ssl_request())));
        assert!(sessions.iter().all(|session| !session.mentions("alice")), "the account's name went in clear");
    }
}

#[test]
fn a_day_of_psycopg_with_a_server_under_tls() {
    let weir = Weir::start(tls_postgres().address(), &to_verified(&trust().root, None));
    let day = |address: SocketAddr, database: &str| {
        let mut python = tools::python();
        python.arg(tools::test_file("drivers/psycopg_day.py"));
        let mut python = as_alice(python, address, &[]);
        python.env("PGUSER", "app").env("PGDATABASE", database);
        run(&mut python, b"", LIMIT).ok().replace(database, "the-database")
    };
    let direct = day(tls_postgres().address(), &tls_postgres().database("day"));
    let through = day(weir.address(), &tls_postgres().database("day"));
    assert!(direct.contains("all of it"), "{direct}");
    assert_eq!(through, direct);
}

#[test]
fn cancelling_reaches_a_server_under_tls() {
    let weir = Weir::start(tls_postgres().address(), &to_verified(&trust().root, None));
    let mut superuser = tls_postgres().superuser("support");
    let mut alice = weir.login("alice", "support");
    alice.send(&frames::query("select pg_sleep(600) /* tls-upstream-cancel */"));
    await_active(&mut superuser, "tls-upstream-cancel");
    let (pid, secret) = alice.key.clone().unwrap();
    Raw::connect(weir.address()).send(&frames::cancel_request(pid, &secret));
    assert_eq!(alice.until_ready().error().sqlstate, "57014");
    assert_eq!(alice.query("select 'usable'").fine().column(), ["usable"]);
}

#[test]
fn a_server_that_cannot_prove_who_it_is_gets_nothing() {
    let tap = Tap::start(tls_postgres().address());
    for (root, name, reason) in [
        (&trust().other_root, None, "UnknownIssuer"),
        (&trust().root, Some("db.example.org"), "not valid for name"),
        (&trust().root, Some("127.0.0.2"), "not valid for name"),
    ] {
        let weir = Weir::start(tap.address(), &to_verified(root, name));
        assert_unreachable(&weir, reason);
        assert!(tap.finished(|recording| recording.mentions("alice")).is_empty(), "{reason}: alice was named");
    }
    // An expired certificate, and no TLS at all, on a server of their own.
    let postgres = Postgres::start();
    let tap = Tap::start(postgres.address());
    let weir = Weir::start(tap.address(), &to_verified(&trust().root, None));
    assert_unreachable(&weir, "does not offer TLS");
    postgres.serve_tls(&trust().expired.certificate, &trust().expired.key);
    assert_unreachable(&weir, "expired");
    assert!(tap.finished(|recording| recording.mentions("alice")).is_empty(), "alice was named");
}

/// Something at the server's address that is none.
struct Impostor {
    address: SocketAddr,
    /// What each connection sent after its first packet, once it has ended.
    after: mpsc::Receiver<Vec<u8>>,
}

impl Impostor {
    /// Answers each request for TLS with these bytes, and reads on.
    fn start(answer: &'static [u8]) -> Impostor {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, after) = mpsc::channel();
        std::thread::spawn(move || {
            for peer in listener.incoming() {
                // Whoever waited for the connection's end is gone: so is the test.
                if sender.send(Impostor::meet(peer.unwrap(), answer)).is_err() {
                    return;
                }
            }
        });
        Impostor { address, after }
    }

    fn meet(mut peer: TcpStream, answer: &[u8]) -> Vec<u8> {
        let mut request = [0; 8];
        peer.read_exact(&mut request).unwrap();
        assert_eq!(request.as_slice(), frames::ssl_request());
        peer.write_all(answer).unwrap();
        let mut after = Vec::new();
        // A reset is an end as well: our answer was not read to its end.
        let _ = peer.read_to_end(&mut after);
        after
    }
}

#[test]
fn a_server_that_answers_otherwise_than_tls_does_gets_nothing() {
    let login_ok: &[u8] = b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    for (what, answer, reason) in [
        ("declines", b"N".as_slice(), "does not offer TLS"),
        ("sends an error", b"E\0\0\0\x09Mno\0\0", "does not offer TLS"),
        ("speaks another protocol", b"\x4a\0\0\0\x0a8.0.36\0", "does not offer TLS"),
        ("stuffs a login behind its answer", login_ok, "before TLS was set up"),
        ("stuffs one byte behind its answer", b"S\0", "before TLS was set up"),
    ] {
        let impostor = Impostor::start(answer);
        let weir = Weir::start(impostor.address, &to_verified(&trust().root, None));
        assert_unreachable(&weir, reason);
        let after = impostor.after.recv_timeout(wait::SOON).expect("weir to hang up");
        assert!(after.is_empty(), "a server that {what} was sent `{}`", after.escape_ascii());
    }
}

#[test]
fn a_server_that_is_slow_with_tls_holds_nobody_for_long() {
    let impostor = Impostor::start(b"S");
    let weir = Weir::start(impostor.address, &to_verified(&trust().root, None).limit("startup_secs = 1"));
    let started = Instant::now();
    let error = turned_away(&weir);
    assert!(error.sqlstate.starts_with("08"), "{error:?}");
    assert!(error.message.contains("took too long"), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "alice was held for {:?}", started.elapsed());
    let after = impostor.after.recv_timeout(wait::SOON).expect("weir to hang up");
    assert_eq!(after.first(), Some(&0x16), "a handshake and nothing else");
}
