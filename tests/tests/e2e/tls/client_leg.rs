//! TLS between clients and Weir; the server behind is reached in plain.

use std::sync::Arc;

use weir_tests::fixture::PASSWORD;
use weir_tests::frames;
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Failure, Raw};
use weir_tests::tap::Tap;
use weir_tests::tools;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::certificates::trust;
use super::{
    ALPN, LIMIT, Live, NAME, active, as_alice, ask, assert_served, await_active, client_config, login, psql,
    tls_listener, verified,
};

/// What a client sends first when it wants no TLS.
fn startup() -> Vec<u8> {
    frames::startup(&[("user", "alice"), ("database", "support")])
}

/// A Weir with TLS towards clients, and a tap on what it says to the server.
fn tapped(mode: &str) -> (Tap, Weir) {
    let tap = Tap::start(Postgres::shared().address());
    let weir = Weir::start(tap.address(), &tls_listener(mode));
    (tap, weir)
}

/// Nobody logged in at the server as alice.
#[track_caller]
fn assert_nothing_reached(tap: &Tap, what: &str) {
    assert!(tap.finished(|recording| recording.mentions("alice")).is_empty(), "{what}: the server was spoken to");
}

/// That the tap would have told: somebody did log in as alice by now.
#[track_caller]
fn assert_alice_reached(tap: &Tap) {
    assert!(!tap.finished(|recording| recording.mentions("alice")).is_empty(), "the tap saw no login of alice");
}

#[test]
fn psql_verifies_weir_and_reads_and_writes_as_without_it() {
    let script = "
        select count(*), sum(id) from customers;
        select repeat('x', 1000) || n from generate_series(1, 20000) n;
        copy (select * from customers order by id) to stdout;
        create temp table loaded (a int, b text);
        copy loaded from stdin;
1\tone
2\ttwo
\\.
        select * from loaded order by a;
        \\set ON_ERROR_STOP 0
        select 1/0;
        select 'still here';
";
    let direct = run(&mut psql(Postgres::shared().address(), &[]), script.as_bytes(), LIMIT);
    for certificate in [&trust().good, &trust().chained] {
        let options = WeirOptions::allow_all().listener_tls(&certificate.certificate, &certificate.key, "require");
        let weir = Weir::start(Postgres::shared().address(), &options);
        let front = Tap::start(weir.address());
        let environment = verified(&trust().root);
        let through = run(&mut psql(front.address(), &environment), script.as_bytes(), LIMIT);
        assert_eq!(through.code, direct.code);
        assert_eq!(through.stderr, direct.stderr);
        assert!(through.stdout == direct.stdout, "psql's output through TLS is not the server's own");
        let sessions = front.finished(|_| true);
        assert_eq!(sessions.len(), 1);
        assert!(sessions[0].client.starts_with(&frames::ssl_request()));
        assert_eq!(sessions[0].server.first(), Some(&b'S'));
        for open in ["alice", "still here", "Customer 7"] {
            let seen = |bytes: &[u8]| bytes.windows(open.len()).any(|window| window == open.as_bytes());
            assert!(!seen(&sessions[0].client) && !seen(&sessions[0].server), "`{open}` went in clear");
        }
        let stranger = ask(weir.address(), &verified(&trust().other_root), "select 1");
        assert!(stranger.code != 0 && stranger.stderr.contains("certificate verify failed"), "{stranger:?}");
    }
}

#[test]
fn both_versions_of_tls_are_served() {
    let weir = Weir::start(Postgres::shared().address(), &tls_listener("require"));
    for version in ["TLSv1.2", "TLSv1.3"] {
        let mut environment = verified(&trust().root);
        environment.push(("PGSSLMAXPROTOCOLVERSION", version.to_owned()));
        let told = ask(weir.address(), &environment, "\\conninfo").ok();
        assert!(told.contains(&format!("SSL connection (protocol: {version}")), "{told}");
    }
    let mut old = verified(&trust().root);
    old.extend([("PGSSLMINPROTOCOLVERSION", "TLSv1.1".to_owned()), ("PGSSLMAXPROTOCOLVERSION", "TLSv1.1".to_owned())]);
    assert_ne!(ask(weir.address(), &old, "select 1").code, 0);
}

#[test]
fn a_day_of_psycopg_under_tls() {
    // Types, cursors, pipelines, COPY, errors, and a cancellation, which its libpq asks for inside TLS.
    let weir = Weir::start(Postgres::shared().address(), &tls_listener("require"));
    let front = Tap::start(weir.address());
    let day = |address, environment: &[(&str, String)]| {
        let mut python = tools::python();
        python.arg(tools::test_file("drivers/psycopg_day.py"));
        let mut python = as_alice(python, address, environment);
        // The program creates tables and prepares transactions.
        python.env("PGUSER", "app").env("PGDATABASE", Postgres::shared().database("tls"));
        run(&mut python, b"", LIMIT).ok()
    };
    let direct = day(Postgres::shared().address(), &[]);
    let through = day(front.address(), &verified(&trust().root));
    assert!(direct.contains("all of it"), "{direct}");
    assert_eq!(without_database(&through), without_database(&direct));
    let connections = front.finished(|_| true);
    // Two sessions, the one that watched for the moment, and the cancellation.
    assert_eq!(connections.len(), 4);
    assert!(connections.iter().all(|connection| connection.client.starts_with(&frames::ssl_request())));
}

/// Each run has a database of its own, whose name the program tells.
fn without_database(text: &str) -> String {
    let words = text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
    let name = words.into_iter().find(|word| word.starts_with("tls_")).unwrap_or("tls_").to_owned();
    text.replace(&name, "the-database")
}

#[test]
fn ctrl_c_in_psql_reaches_the_statement() {
    // libpq before 17 sends the cancel request in plain, also for sessions under TLS: `require` lets it in.
    let weir = Weir::start(Postgres::shared().address(), &tls_listener("require"));
    let front = Tap::start(weir.address());
    let mut superuser = Postgres::shared().superuser("support");
    let mut psql = Live::start(psql(front.address(), &verified(&trust().root)));
    psql.say("select pg_sleep(600) /* tls-ctrl-c */;");
    await_active(&mut superuser, "tls-ctrl-c");
    psql.signal("INT");
    psql.hear("canceling statement due to user request");
    psql.ended();
    wait::until_true("the server to stop", wait::SOON, || active(&mut superuser, "tls-ctrl-c") == 0);
    let kinds: Vec<bool> =
        front.finished(|_| true).iter().map(|one| one.client.starts_with(&frames::ssl_request())).collect();
    assert!(kinds[0], "the session is under TLS");
    assert_eq!(kinds.len(), 2, "a session and a cancel request");
}

#[test]
fn a_listener_that_requires_tls_refuses_plain_sessions_in_words() {
    let (tap, weir) = tapped("require");
    let plain = ask(weir.address(), &[("PGSSLMODE", "disable".to_owned())], "select 1");
    assert_ne!(plain.code, 0);
    assert!(plain.stderr.contains("FATAL:  this listener serves TLS only"), "{}", plain.stderr);
    assert!(plain.stderr.contains("HINT:  connect with sslmode=require"), "{}", plain.stderr);
    let fields = [("user", "alice"), ("database", "support")];
    let failure = Raw::try_login(weir.address(), &fields, PASSWORD).expect_err("a plain session");
    assert!(
        matches!(&failure, Failure::Server(error) if error.sqlstate == "28000" && error.severity == "FATAL"),
        "{failure:?}"
    );
    assert_nothing_reached(&tap, "plain sessions");
    assert_served(weir.address(), &[("PGSSLMODE", "require".to_owned())]);
    // libpq's own default takes what is offered.
    assert_served(weir.address(), &[("PGSSLMODE", "prefer".to_owned())]);
    assert_alice_reached(&tap);
}

#[test]
fn a_listener_that_prefers_tls_serves_both() {
    let (_tap, weir) = tapped("prefer");
    assert_served(weir.address(), &[("PGSSLMODE", "disable".to_owned())]);
    assert_served(weir.address(), &verified(&trust().root));
    let told = ask(weir.address(), &[("PGSSLMODE", "prefer".to_owned())], "\\conninfo").ok();
    assert!(told.contains("SSL connection"), "{told}");
}

#[test]
fn a_listener_without_tls_says_so() {
    let weir = Weir::start(Postgres::shared().address(), &WeirOptions::allow_all());
    let demanding = ask(weir.address(), &verified(&trust().root), "select 1");
    assert_ne!(demanding.code, 0);
    assert!(demanding.stderr.contains("server does not support SSL, but SSL was required"), "{}", demanding.stderr);
    assert_served(weir.address(), &[("PGSSLMODE", "prefer".to_owned())]);
    // TLS without a request: closed, and not taken for a packet.
    let mut direct = Raw::connect(weir.address());
    assert!(direct.secure(&client_config(&trust().root, &[ALPN]), NAME).is_err());
}

#[test]
fn gss_is_declined_and_tls_follows() {
    let (_tap, weir) = tapped("require");
    let mut client = Raw::connect(weir.address());
    client.send(&frames::gss_request());
    assert_eq!(client.receive_byte().unwrap(), b'N');
    client.send(&frames::ssl_request());
    assert_eq!(client.receive_byte().unwrap(), b'S');
    client.secure(&client_config(&trust().root, &[]), NAME).unwrap();
    client.send(&startup());
    client.authenticate(PASSWORD).unwrap();
    assert_eq!(client.query("select 'inside'").fine().column(), ["inside"]);
}

/// Whoever is on the way can put bytes behind the client's request for TLS, before the client's own first byte inside.
/// Had they been read, they would have passed for the client's (CVE-2021-23214 and its kind).
#[test]
fn bytes_stuffed_behind_the_request_for_tls_are_never_read() {
    let (tap, weir) = tapped("prefer");
    let mut superuser = Postgres::shared().superuser("support");
    let mut victim = Raw::login(weir.address(), "bob", "support");
    victim.send(&frames::query("select pg_sleep(600) /* tls-stuffed */"));
    await_active(&mut superuser, "tls-stuffed");
    let (pid, secret) = victim.key.clone().unwrap();
    let cancel = frames::cancel_request(pid, &secret);
    for (what, stuffed) in [
        ("a start-up packet", startup()),
        ("a cancel request", cancel.clone()),
        ("one byte", vec![0]),
        ("half a packet", startup()[..9].to_vec()),
        ("a request for TLS", frames::ssl_request()),
    ] {
        let mut client = Raw::connect(weir.address());
        client.send(&[frames::ssl_request(), stuffed].concat());
        // The client behind them is honest, and goes on as if nothing had happened.
        let answer = client.receive_byte();
        assert!(matches!(answer, Ok(b'S' | b'E')), "{what}: {answer:?}");
        let shaken = client.secure(&client_config(&trust().root, &[]), NAME);
        assert!(shaken.is_err(), "{what}: TLS was set up over stuffed bytes");
        assert_nothing_reached(&tap, what);
    }
    for (what, stuffed) in [("a start-up packet", startup()), ("a cancel request", cancel.clone())] {
        let mut client = Raw::connect(weir.address());
        client.send(&frames::ssl_request());
        assert_eq!(client.receive_byte().unwrap(), b'S');
        client.send(&stuffed);
        // TLS may say in an alert that this is no TLS; nothing of PostgreSQL's protocol comes.
        let reply = client.until(|message| matches!(message.tag, b'R' | b'E' | b'Z'));
        assert!(reply.messages.is_empty(), "{what} in place of TLS: {reply:?}");
        assert_nothing_reached(&tap, what);
    }
    assert_eq!(active(&mut superuser, "tls-stuffed"), 1, "a stuffed cancel request was obeyed");
    Raw::connect(weir.address()).send(&cancel);
    assert_eq!(victim.until_ready().error().sqlstate, "57014");
    assert_served(weir.address(), &verified(&trust().root));
    assert_alice_reached(&tap);
}

#[test]
fn tls_is_put_on_once() {
    let (tap, weir) = tapped("require");
    for (what, again) in [("another request", frames::ssl_request()), ("a request for GSS", frames::gss_request())] {
        let mut client = Raw::connect_tls(weir.address(), &client_config(&trust().root, &[]), NAME).unwrap();
        client.send(&again);
        let error = client.until(|message| message.tag == b'E').error();
        assert_eq!(error.sqlstate, "08P01", "{what} inside TLS: {error:?}");
    }
    let mut client = Raw::connect_tls(weir.address(), &client_config(&trust().root, &[]), NAME).unwrap();
    client.send(&[0x16, 3, 1, 0, 200, 1]);
    assert!(matches!(client.receive(), Err(Failure::Closed)), "TLS inside TLS");
    assert_nothing_reached(&tap, "TLS twice");
}

#[test]
fn direct_tls_needs_the_name_of_the_protocol() {
    let (tap, weir) = tapped("require");
    let direct = |alpn: &[&[u8]]| {
        let mut client = Raw::connect(weir.address());
        client.secure(&client_config(&trust().root, alpn), NAME).map(|()| client)
    };
    // Without a name: refused in words that the client can read, inside the TLS that it has set up.
    let mut nameless = direct(&[]).unwrap();
    nameless.send(&startup());
    let error = nameless.until(|message| message.tag == b'E').error();
    assert_eq!((error.severity.as_str(), error.sqlstate.as_str()), ("FATAL", "08P01"), "{error:?}");
    assert!(error.message.contains("ALPN"), "{error:?}");
    // Another protocol's name: TLS itself refuses.
    let misnamed = direct(&[b"h2"]).expect_err("another protocol");
    assert!(misnamed.to_string().contains("NoApplicationProtocol"), "{misnamed}");
    assert_nothing_reached(&tap, "direct TLS without the name");
    let mut named = direct(&[b"h2", ALPN]).unwrap();
    assert_eq!(named.tls().unwrap().alpn_protocol(), Some(ALPN));
    named.send(&startup());
    named.authenticate(PASSWORD).unwrap();
    assert_eq!(named.query("select count(*) from customers").fine().column(), ["3000"]);
    named.goodbye();
    // With a request, the name may be left out, as libpq before 17 does; a wrong one is refused there, too.
    let shaken = Raw::connect_tls(weir.address(), &client_config(&trust().root, &[b"h2"]), NAME);
    assert!(shaken.is_err_and(|error| error.to_string().contains("NoApplicationProtocol")));
    login(weir.address(), "alice").goodbye();
    assert_alice_reached(&tap);
}

#[test]
fn libpqs_direct_tls_works() {
    let weir = Weir::start(Postgres::shared().address(), &tls_listener("require"));
    let front = Tap::start(weir.address());
    let script = "
import psycopg
assert psycopg.pq.version() >= 170000, psycopg.pq.version()
with psycopg.connect(sslnegotiation='direct') as connection:
    assert connection.pgconn.ssl_in_use
    print(connection.execute('select count(*) from customers').fetchone()[0])
    with connection.cursor().copy('copy (select id from customers order by id) to stdout') as copy:
        print(len(list(copy.rows())))
";
    let mut python = tools::python();
    python.args(["-c", script]);
    let output = run(&mut as_alice(python, front.address(), &verified(&trust().root)), b"", LIMIT).ok();
    assert_eq!(output, "3000\n3000\n");
    let sessions = front.finished(|_| true);
    assert_eq!(sessions[0].client.first(), Some(&0x16), "TLS from the first byte");
}

#[test]
fn a_certificate_that_is_not_the_clients_choice_stays_unseen() {
    // A session offered to a client that gives up on the certificate leaves nothing behind.
    let (tap, weir) = tapped("require");
    for _ in 0..5 {
        let config = Arc::clone(&client_config(&trust().other_root, &[]));
        assert!(Raw::connect_tls(weir.address(), &config, NAME).is_err());
    }
    assert_nothing_reached(&tap, "handshakes that failed");
    wait::until_true("their sessions to be over", wait::SOON, || weir.metric("weir_sessions") == 0.0);
    assert_served(weir.address(), &verified(&trust().root));
}
