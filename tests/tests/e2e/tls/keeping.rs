//! Keeping a listener under TLS alive: certificates that change, clients that are slow, clients that vanish.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConnection, HandshakeKind};
use weir_tests::frames;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::scratch::Scratch;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::certificates::{Pair, trust};
use super::{
    ALPN, Live, NAME, active, ask, assert_served, await_active, client_config, login, psql, tls_listener, tls_postgres,
    verified,
};

/// Sends SIGHUP and waits until the log has one line more that holds `told`.
fn reload(weir: &Weir, told: &str) {
    let count = || weir.log().lines().filter(|line| line.contains(told)).count();
    let before = count();
    weir.signal("HUP");
    wait::until_true(&format!("`{told}` in the log"), wait::SOON, || count() > before);
}

#[track_caller]
fn assert_unknown(weir: &Weir, root: &Path) {
    let stranger = ask(weir.address(), &verified(root), "select 1");
    assert!(stranger.code != 0 && stranger.stderr.contains("certificate verify failed"), "{stranger:?}");
}

#[test]
fn a_new_certificate_is_for_new_connections_and_a_bad_one_for_none() {
    const RELOADED: &str = "certificate reloaded";
    const STAYS: &str = "the certificate in use stays";
    let folder = Scratch::new("certificate");
    let [certificate, key] = ["server.crt", "server.key"].map(|name| folder.path().join(name));
    let place = |pair: &Pair| {
        std::fs::copy(&pair.certificate, &certificate).unwrap();
        std::fs::copy(&pair.key, &key).unwrap();
    };
    let (old, new) = (verified(&trust().root), verified(&trust().other_root));
    place(&trust().good);
    let options = WeirOptions::allow_all().listener_tls(&certificate, &key, "require");
    let weir = Weir::start(Postgres::shared().address(), &options);
    let mut open = Live::start(psql(weir.address(), &old));
    open.say("select 'before the reload';");
    open.hear("before the reload");
    assert_unknown(&weir, &trust().other_root);

    place(&trust().other);
    reload(&weir, RELOADED);
    assert_served(weir.address(), &new);
    assert_unknown(&weir, &trust().root);
    open.say("select 'after', 'the reload';");
    open.hear("after|the reload");

    let breakages: [(&str, &dyn Fn()); 4] = [
        ("halves of two pairs", &|| {
            std::fs::copy(&trust().good.certificate, &certificate).unwrap();
        }),
        ("no certificate", &|| std::fs::write(&certificate, "nothing of the kind").unwrap()),
        ("an empty file", &|| std::fs::write(&certificate, "").unwrap()),
        ("no file", &|| std::fs::remove_file(&key).unwrap()),
    ];
    for (number, (what, breakage)) in breakages.iter().enumerate() {
        breakage();
        reload(&weir, STAYS);
        assert_served(weir.address(), &new);
        assert_unknown(&weir, &trust().root);
        open.say(&format!("select 'still', {number};"));
        open.hear(&format!("still|{number}"));
        assert_eq!(weir.admin("/readyz").0, 200, "{what}");
    }
    let log = weir.log();
    let reason = |file: &Path| log.lines().any(|line| line.contains(STAYS) && line.contains(file.to_str().unwrap()));
    assert!(reason(&certificate) && reason(&key), "the log does not name the files:\n{log}");

    place(&trust().good);
    reload(&weir, RELOADED);
    assert_served(weir.address(), &old);
    open.say("select 'to', 'the end';");
    open.hear("to|the end");
    assert!(open.ended().success());
}

/// A client that resumes a session is shown no certificate: it would go on under one that was taken away, perhaps since
/// its key was stolen.
#[test]
fn no_client_resumes_under_a_certificate_that_was_taken_away() {
    let folder = Scratch::new("certificate");
    let [certificate, key] = ["server.crt", "server.key"].map(|name| folder.path().join(name));
    let place = |pair: &Pair| {
        std::fs::copy(&pair.certificate, &certificate).unwrap();
        std::fs::copy(&pair.key, &key).unwrap();
    };
    place(&trust().good);
    let options = WeirOptions::allow_all().listener_tls(&certificate, &key, "require");
    let weir = Weir::start(Postgres::shared().address(), &options);
    // One client that remembers its sessions, and would know both certificates; for each version of TLS.
    for versions in [rustls::ALL_VERSIONS, &[&rustls::version::TLS12]] {
        place(&trust().good);
        reload(&weir, "certificate reloaded");
        let config = remembering(versions);
        let shown = |expected: &Pair| {
            let mut client = Raw::connect_tls(weir.address(), &config, NAME).unwrap();
            client.send(&frames::startup(&[("user", "alice"), ("database", "support")]));
            client.authenticate(weir_tests::fixture::PASSWORD).unwrap();
            let tls = client.tls().unwrap();
            assert_eq!(tls.handshake_kind(), Some(HandshakeKind::Full));
            let certificate = CertificateDer::from_pem_file(&expected.certificate).unwrap();
            assert_eq!(tls.peer_certificates().unwrap()[0], certificate);
            client.goodbye();
        };
        shown(&trust().good);
        place(&trust().other);
        reload(&weir, "certificate reloaded");
        shown(&trust().other);
    }
}

/// Trusts both authorities and keeps what it needs to resume.
fn remembering(versions: &[&'static rustls::SupportedProtocolVersion]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for root in [&trust().root, &trust().other_root] {
        roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The first bytes of an honest handshake.
fn hello() -> Vec<u8> {
    let name = NAME.try_into().unwrap();
    let mut connection = ClientConnection::new(client_config(&trust().root, &[ALPN]), name).unwrap();
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn slow_handshakes_are_dropped_and_hold_up_nobody() {
    let limit = Duration::from_secs(2);
    let weir = Weir::start(Postgres::shared().address(), &tls_listener("require").limit("startup_secs = 2"));
    let hello = hello();
    let connect = || Raw::connect(weir.address());
    let asked = || {
        let mut client = connect();
        client.send(&frames::ssl_request());
        assert_eq!(client.receive_byte().unwrap(), b'S');
        client
    };
    let sent = |mut client: Raw, bytes: &[u8]| {
        client.send(bytes);
        client
    };
    let inside = || Raw::connect_tls(weir.address(), &client_config(&trust().root, &[]), NAME).unwrap();
    let startup = frames::startup(&[("user", "alice"), ("database", "support")]);
    let started = Instant::now();
    let mut starters = [
        ("asks for TLS and stops", asked()),
        ("stops in the header of its hello", sent(asked(), &hello[..3])),
        ("stops in its hello", sent(asked(), &hello[..hello.len() / 2])),
        ("stops after its hello", sent(asked(), &hello)),
        ("begins without asking and stops", sent(connect(), &hello[..hello.len() / 2])),
        ("begins without asking and stops after its hello", sent(connect(), &hello)),
        ("says nothing inside", inside()),
        ("says half a packet inside", sent(inside(), &startup[..12])),
        ("gives no password inside", sent(inside(), &startup)),
    ];
    let honest = Instant::now();
    drop(login(weir.address(), "bob"));
    assert!(honest.elapsed() < Duration::from_secs(1), "an honest client was held up for {:?}", honest.elapsed());
    for (what, client) in &mut starters {
        client.patience(Duration::from_millis(1));
        assert!(!is_closed(client), "one that {what} was dropped at once");
    }
    for (what, mut client) in starters {
        client.patience(Duration::from_secs(10));
        assert!(is_closed(&mut client), "one that {what} was kept");
    }
    let kept = started.elapsed();
    assert!(kept >= limit, "dropped after {kept:?}, which is not for being slow");
    assert!(kept < limit + Duration::from_secs(2), "startup_secs is 2, and they were kept for {kept:?}");

    // Something always comes, and never enough.
    let mut trickle = asked();
    trickle.patience(Duration::from_millis(1));
    let started = Instant::now();
    let mut sent = 0;
    wait::until_true("the trickle to be dropped", Duration::from_secs(10), || {
        let due = usize::try_from(started.elapsed().as_millis() / 100).unwrap().min(hello.len());
        let taken = trickle.try_send(&hello[sent..due]);
        sent = due;
        taken.is_err() || is_closed(&mut trickle)
    });
    let kept = started.elapsed();
    assert!(kept < limit + Duration::from_secs(2), "startup_secs is 2, and a trickle was kept for {kept:?}");
    wait::until_true("no session to be left", wait::SOON, || weir.metric("weir_sessions") == 0.0);
}

/// Reads whatever comes, until nothing more does; whether that is because the other side has closed.
fn is_closed(client: &mut Raw) -> bool {
    loop {
        match client.receive_byte() {
            Ok(_) => {}
            Err(end) => return matches!(end, Failure::Closed),
        }
    }
}

#[test]
fn a_client_that_stops_reading_costs_little_and_gets_the_rest_later() {
    const CLIENTS: usize = 8;
    const ROWS: usize = 2_000;
    let postgres = tls_postgres();
    let options = tls_listener("require").upstream_tls(&trust().root, None);
    let weir = Weir::start(postgres.address(), &options);
    let memory_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", weir.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    login(weir.address(), "bob").goodbye();
    let before = memory_kib();
    let mut stalled: Vec<Raw> = (0..CLIENTS)
        .map(|_| {
            let mut client = login(weir.address(), "carol");
            client.send(&frames::query(&format!("select n, repeat('x', 10000) from generate_series(1, {ROWS}) n")));
            client
        })
        .collect();
    let mut superuser = postgres.superuser("support");
    let waiting = "select 1 from pg_stat_activity where usename = 'carol' and wait_event = 'ClientWrite'";
    wait::until_true("all of them to stall the server", wait::SOON, || superuser.query(waiting).rows() == CLIENTS);
    login(weir.address(), "bob").goodbye();
    let grown = memory_kib().saturating_sub(before);
    // 256 KiB a session by design and TLS's own buffers; the rest is the allocator's. 20 MB of rows wait for each.
    assert!(grown < CLIENTS * 1024, "{CLIENTS} stalled readers cost {grown} KiB");
    for client in &mut stalled {
        let reply = client.until_ready().fine();
        assert_eq!(reply.rows(), ROWS);
        let numbers: Vec<usize> = reply.column().iter().map(|n| n.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(1..=ROWS), "rows are missing, or in another order");
    }
}

#[test]
fn the_query_of_a_client_that_vanished_under_tls_ends_within_two_seconds() {
    let heavy = "from generate_series(1, 100000000) a, generate_series(1, 1000) b";
    let environment = || {
        let mut environment = verified(&trust().root);
        environment.push(("PGCHANNELBINDING", "disable".to_owned()));
        environment
    };
    let both = tls_listener("require").upstream_tls(&trust().root, None);
    for (legs, postgres, options) in
        [("client", Postgres::shared(), tls_listener("require")), ("both", tls_postgres(), both)]
    {
        let weir = Weir::start(postgres.address(), &options);
        let mut superuser = postgres.superuser("support");
        for (what, sql) in [
            ("sleeping", "select pg_sleep(600)".to_owned()),
            ("computing", format!("select count(*) {heavy}")),
            ("sending rows", format!("copy (select a, repeat('x', 500) {heavy}) to stdout")),
        ] {
            let mark = format!("tls-vanish-{legs}-{}", &what[..4]);
            let mut psql = Live::start(psql(weir.address(), &environment()));
            psql.say(&format!("/* {mark} */ {sql};"));
            await_active(&mut superuser, &mark);
            // Killed: its kernel closes the socket, and nobody says goodbye in TLS.
            psql.signal("KILL");
            let took = wait::until_true(&format!("the server to stop {what}"), wait::SOON, || {
                active(&mut superuser, &mark) == 0
            });
            assert!(took < Duration::from_secs(2), "{what} with TLS on {legs}: the server went on for {took:?}");
            psql.ended();
        }
    }
}
