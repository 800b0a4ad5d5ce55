//! Peers that fail: clients that vanish or dawdle, an upstream that is down or dies.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use weir_tests::audit;
use weir_tests::engine::{Client, Engine};
use weir_tests::fixture::PASSWORD;
use weir_tests::for_both_engines;
use weir_tests::frames;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::{assert_serving, assert_serving_on};

for_both_engines!(
    the_query_of_a_client_that_vanished_ends_within_two_seconds,
    a_client_that_stops_reading_costs_little_and_stops_nobody,
    an_upstream_that_is_down_is_told_in_words,
    a_connection_that_the_server_ends_in_mid_result_ends_one_session,
    a_server_that_stops_in_mid_message_is_not_waited_for_for_ever,
    a_failed_login_is_the_servers_word_and_a_record,
);

fn options(engine: Engine) -> WeirOptions {
    WeirOptions::policy(Budgeted::default().on(engine).yaml())
}

/// A query that computes, or sends, for longer than anybody waits.
fn endless(engine: Engine, sending: bool) -> &'static str {
    match (engine, sending) {
        (Engine::Postgres, false) => "select count(*) from generate_series(1, 100000000) a, generate_series(1, 1000) b",
        (Engine::Postgres, true) => {
            "select a, b, repeat('x', 500) from generate_series(1, 100000000) a, generate_series(1, 1000) b"
        }
        (Engine::MySql, false) => "select benchmark(1000000000000, sha2('x', 512))",
        (Engine::MySql, true) => {
            "select a.id, b.id, repeat('x', 500) from articles a, articles b, articles c, articles d"
        }
    }
}

fn the_query_of_a_client_that_vanished_ends_within_two_seconds(engine: Engine) {
    let server = engine.server();
    let front = Target::front(server, &options(engine));
    let sleep = engine.sleep("120");
    let mut cases = vec![
        ("sleeping", format!("select {sleep}"), false),
        ("computing", endless(engine, false).to_owned(), false),
        ("sending rows", endless(engine, true).to_owned(), false),
        ("running a prepared statement", format!("select {sleep}"), true),
        ("in a transaction", format!("begin; select {sleep}"), false),
    ];
    if engine == Engine::Postgres {
        cases.push(("copying out", format!("copy ({}) to stdout", endless(engine, true)), false));
    } else {
        cases.push(("sending binary rows", endless(engine, true).to_owned(), true));
    }
    for (number, (what, sql, prepared)) in cases.iter().enumerate() {
        for orderly in [false, true] {
            let mark = format!("vanish-{number}-{orderly}");
            // Behind the first word: MySQL shows what runs, from its first word on.
            let sql = sql.replacen("select ", &format!("select /* {mark} */ "), 1);
            let mut alice = Client::login(engine, front.address(), "alice", "support");
            if *prepared {
                alice.send_prepared(&sql)
            } else {
                alice.send_query(&sql)
            }
            wait::until_true(&format!("the server to be {what}"), wait::SOON, || server.running(&mark) == 1);
            if orderly {
                alice.send_goodbye();
            }
            alice.vanish();
            let took =
                wait::until_true(&format!("the server to stop {what}"), wait::SOON, || server.running(&mark) == 0);
            assert!(took < Duration::from_secs(2), "{what}, orderly {orderly}: the server went on for {took:?}");
        }
    }
    front.weir().audit_event("a client that was gone", |event| {
        event["detail"]["outcome"] == "client-gone" && audit::person(event) == "alice"
    });
}

fn a_client_that_stops_reading_costs_little_and_stops_nobody(engine: Engine) {
    let server = engine.server();
    let front = Target::front(server, &options(engine));
    let weir = front.weir();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", weir.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_serving_on(engine, front.address());
    let before = memory();
    let from = match engine {
        Engine::Postgres => "generate_series(1, 100000)",
        Engine::MySql => "articles a, articles b",
    };
    let sql = format!("select /* stalled */ repeat('x', 10000) from {from}");
    let stalled: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = Client::login(engine, front.address(), "carol", "support");
            client.send_query(&sql);
            client
        })
        .collect();
    let waiting = match engine {
        Engine::Postgres => {
            "select count(*) from pg_stat_activity where usename = 'carol' and wait_event = 'ClientWrite'"
        }
        Engine::MySql => {
            "select count(*) from information_schema.processlist where user = 'carol' \
             and state in ('Writing to net', 'Sending to client')"
        }
    };
    wait::until_true("all of them to stall the server", wait::SOON, || server.value("support", waiting) == "20");
    assert_serving_on(engine, front.address());
    let grown = memory().saturating_sub(before);
    // 256 KiB a session by design; the rest is the allocator's.
    assert!(grown < 20 * 1024, "20 stalled readers cost {grown} KiB");
    drop(stalled);
    wait::until_true("their server sessions to end", wait::SOON, || server.running("/* stalled */") == 0);
}

#[test]
fn slow_starters_are_dropped_and_hold_up_nobody() {
    let front = Target::front(Postgres::shared(), &options(Engine::Postgres).limit("startup_secs = 1"));
    front.weir();
    let startup = frames::startup(&[("user", "alice"), ("database", "support")]);
    let mut starters: Vec<(&str, Raw)> = vec![
        ("says nothing", Raw::connect(front.address())),
        ("half a length", Raw::connect(front.address())),
        ("half a packet", Raw::connect(front.address())),
        ("no password", Raw::connect(front.address())),
        ("asks for TLS and stops", Raw::connect(front.address())),
    ];
    starters[1].1.send(&startup[..2]);
    starters[2].1.send(&startup[..12]);
    starters[3].1.send(&startup);
    starters[4].1.send(&frames::ssl_request());
    let started = Instant::now();
    assert_serving(front.address());
    assert!(started.elapsed() < Duration::from_secs(1), "held up for {:?}", started.elapsed());
    for (what, mut client) in starters {
        client.patience(Duration::from_secs(10));
        if what.starts_with("asks") {
            assert_eq!(client.receive_byte().expect("an answer"), b'N');
        }
        let reply = client.until(|_| false);
        assert!(matches!(reply.end, Some(Failure::Closed)), "one that {what} was kept: {reply:?}");
    }
    assert!(started.elapsed() < Duration::from_secs(8), "they were kept for {:?}", started.elapsed());
    // One byte at a time is dropped too, though something always comes.
    let mut trickle = Raw::connect(front.address());
    let started = Instant::now();
    let dropped = wait::until("the trickle to be dropped", Duration::from_secs(10), || {
        let byte = startup[usize::try_from(started.elapsed().as_millis() / 400).unwrap() % startup.len()];
        trickle.try_send(&[byte]).is_err().then(|| started.elapsed())
    });
    assert!(dropped < Duration::from_secs(6), "a trickle was kept for {dropped:?}");
}

fn an_upstream_that_is_down_is_told_in_words(engine: Engine) {
    let server = engine.own_server();
    let weir = Weir::start_for(&[(engine, server.address())], &options(engine));
    assert_serving_on(engine, weir.address());
    let mut alice = Client::login(engine, weir.address(), "alice", "support");
    drop(server);
    // The session that was idle when the server went: ended, in words.
    let answer = alice.query("select 1");
    assert!(!answer.silent(), "{answer:?}");
    let failure = Client::try_login(engine, weir.address(), "alice", "support", "any").expect_err("no server");
    let error = failure.error();
    assert!(is_about_the_connection(engine, &error.code), "{error:?}");
    assert!(error.message.contains("operator") || error.message.contains("again"), "nothing to do next: {error:?}");
}

/// A code that drivers take for a lost connection, or the server's own word for being ended.
fn is_about_the_connection(engine: Engine, code: &str) -> bool {
    match engine {
        Engine::Postgres => code.starts_with("08") || code.starts_with("57P"),
        Engine::MySql => {
            code.ends_with("/08S01")
                || code.ends_with("/08004")
                || code.starts_with("1927/")
                || code.starts_with("1317/")
        }
    }
}

fn a_connection_that_the_server_ends_in_mid_result_ends_one_session(engine: Engine) {
    let server = engine.own_server();
    let weir = Weir::start_for(&[(engine, server.address())], &options(engine));
    let wait = match engine {
        Engine::Postgres => "pg_sleep(60)::text",
        Engine::MySql => "sleep(60)",
    };
    // So much before the wait that it leaves the server's buffers.
    let sql = format!(
        "select /* dying */ id, email, repeat('x', 500), case when id > 100 then {wait} end from customers order by id"
    );
    for how in ["asked", "killed"] {
        let mut alice = Client::login(engine, weir.address(), "alice", "support");
        let mut witness = Client::login(engine, weir.address(), "bob", "support");
        alice.send_query(&sql);
        wait::until_true("the server to be at it", wait::SOON, || server.running("/* dying */") == 1);
        alice.await_bytes(10_000);
        server.end_connection("/* dying */", how == "killed");
        let answer = alice.answer();
        assert!(!answer.silent(), "{how}: {answer:?}");
        let error = answer.error();
        assert!(is_about_the_connection(engine, &error.code), "{how}: {error:?}");
        let rows = answer.rows.len();
        let event = weir.audit_event("the result that broke off", |event| {
            event["kind"] == "completion" && event["detail"]["rows"] == rows && event["detail"]["outcome"] != "complete"
        });
        assert_eq!(audit::person(&event), "alice", "{event:#}");
        if how == "asked" {
            witness.assert_usable();
        } else {
            // Whether anything of the server is left is its own affair; who asks is told.
            let answer = witness.query("select 1");
            assert!(!answer.silent(), "{answer:?}");
        }
    }
}

/// A way to the server that goes silent on a connection once so many bytes have come from it; nobody closes anything.
fn going_silent(server: SocketAddr, after: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let upstream = TcpStream::connect(server).unwrap();
            let (mut from_client, mut to_upstream) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_upstream));
            std::thread::spawn(move || {
                let (mut client, mut upstream) = (client, upstream);
                let _ = std::io::copy(&mut (&mut upstream).take(after as u64), &mut client);
                // Both stay open until the client has enough of it.
                let _ = client.read(&mut [0; 1]);
            });
        }
    });
    address
}

fn a_server_that_stops_in_mid_message_is_not_waited_for_for_ever(engine: Engine) {
    let server = engine.server();
    let silent = going_silent(server.address(), 1_500_000);
    let weir = Weir::start_for(&[(engine, silent)], &options(engine).limit("upstream_stall_secs = 1"));
    for (what, sql) in [
        ("in a row", "select repeat('x', 3000000)"),
        ("in a row that streams", "select 'first' union all select repeat('x', 3000000)"),
    ] {
        let mut alice = Client::login(engine, weir.address(), "alice", "support");
        // Silence between messages is a server that computes: it is waited for.
        assert_eq!(alice.query(&format!("select {}, 'computed'", engine.sleep("2"))).fine().rows.len(), 1);
        let answer = alice.query(sql);
        assert!(!answer.silent(), "{what}: {answer:?}");
        let told = weir.audit_event("the end of the session", |event| {
            event["kind"] == "session-end" && event["detail"]["reason"] == "upstream-stalled"
        });
        assert_eq!(audit::person(&told), "alice", "{what}: {told:#}");
        weir.audit_event("the end of the statement", |event| event["detail"]["outcome"] == "upstream-gone");
    }
}

fn a_failed_login_is_the_servers_word_and_a_record(engine: Engine) {
    let front = Target::front(engine.server(), &options(engine));
    let (wrong_password, no_database) = match engine {
        Engine::Postgres => ("28P01", "3D000"),
        Engine::MySql => ("1045/28000", "1044/42000"),
    };
    for (user, database, password, code) in [
        ("alice", "support", "wrong", wrong_password),
        ("nobody_here", "support", "wrong", wrong_password),
        ("alice", "no_such_database", PASSWORD, no_database),
    ] {
        let failure = Client::try_login(engine, front.address(), user, database, password).expect_err("no login");
        assert_eq!(failure.error().code, code, "{user}@{database}: {failure:?}");
    }
    assert_serving_on(engine, front.address());
    front.weir().audit_event("the failed login", |event| {
        event["kind"] == "authentication"
            && event.to_string().contains(wrong_password.rsplit('/').next().unwrap_or_default())
            && event.to_string().contains("nobody_here")
    });
}
