//! Peers that fail: clients that vanish or dawdle, an upstream that is down or dies.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use weir_tests::audit;
use weir_tests::frames::{self, extended, query, sync};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_serving;

fn options() -> WeirOptions {
    WeirOptions::policy(Budgeted::default().yaml())
}

/// How many server processes run a statement with this mark.
fn active(superuser: &mut Raw, mark: &str) -> usize {
    let sql = format!(
        "select pid from pg_stat_activity where state = 'active' and query like '%{mark}%' and pid <> pg_backend_pid()"
    );
    superuser.query(&sql).rows()
}

#[test]
fn the_query_of_a_client_that_vanished_ends_within_two_seconds() {
    let postgres = Postgres::shared();
    let front = Target::front(postgres, &options());
    let mut superuser = postgres.superuser("support");
    let heavy = "from generate_series(1, 100000000) a, generate_series(1, 1000) b";
    let cases: &[(&str, Vec<u8>)] = &[
        ("sleeping", query("select pg_sleep(120) /* vanish-0 */")),
        ("computing", query(&format!("select count(*) {heavy} /* vanish-1 */"))),
        ("sending rows", query(&format!("select a, b, repeat('x', 500) {heavy} /* vanish-2 */"))),
        ("extended", [extended("select pg_sleep(120) /* vanish-3 */", &[]), sync()].concat()),
        ("in a transaction", query("begin; select pg_sleep(120) /* vanish-4 */")),
        ("copying out", query(&format!("copy (select a, repeat('x', 500) {heavy} /* vanish-5 */) to stdout"))),
    ];
    for (number, (what, bytes)) in cases.iter().enumerate() {
        for orderly in [false, true] {
            let mark = format!("vanish-{number}");
            let mut alice = Raw::login(front.address(), "alice", "support");
            alice.send(bytes);
            wait::until_true(&format!("the server to be {what}"), wait::SOON, || active(&mut superuser, &mark) == 1);
            if orderly {
                alice.send(&frames::terminate())
            }
            alice.vanish();
            let took = wait::until_true(&format!("the server to stop {what}"), wait::SOON, || {
                active(&mut superuser, &mark) == 0
            });
            assert!(took < Duration::from_secs(2), "{what}, orderly {orderly}: the server went on for {took:?}");
        }
    }
    let weir = front.weir();
    weir.audit_event("a client that was gone", |event| {
        event["detail"]["outcome"] == "client-gone" && audit::person(event) == "alice"
    });
}

#[test]
fn a_client_that_stops_reading_costs_little_and_stops_nobody() {
    let postgres = Postgres::shared();
    let front = Target::front(postgres, &options());
    let weir = front.weir();
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", weir.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    assert_serving(front.address());
    let before = memory();
    let stalled: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = Raw::login(front.address(), "carol", "support");
            client.send(&query("select repeat('x', 10000) from generate_series(1, 100000)"));
            client
        })
        .collect();
    let mut superuser = postgres.superuser("support");
    wait::until_true("all of them to stall the server", wait::SOON, || {
        superuser.query("select 1 from pg_stat_activity where usename = 'carol' and wait_event = 'ClientWrite'").rows()
            == 20
    });
    assert_serving(front.address());
    let grown = memory().saturating_sub(before);
    // 256 KiB a session by design; the rest is the allocator's.
    assert!(grown < 20 * 1024, "20 stalled readers cost {grown} KiB");
    drop(stalled);
    wait::until_true("their server sessions to end", wait::SOON, || {
        superuser.query("select 1 from pg_stat_activity where usename = 'carol'").rows() == 0
    });
}

#[test]
fn slow_starters_are_dropped_and_hold_up_nobody() {
    let front = Target::front(Postgres::shared(), &options().limit("startup_secs = 1"));
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

#[test]
fn an_upstream_that_is_down_is_told_in_words() {
    let postgres = Postgres::start();
    let weir = Weir::start(postgres.address(), &options());
    assert_serving(weir.address());
    let mut alice = weir.login("alice", "support");
    drop(postgres);
    // The session that was idle when the server went: ended, in words.
    let reply = alice.query("select 1");
    assert!(!matches!(reply.end, Some(Failure::Silent)), "{reply:?}");
    let failure =
        Raw::try_login(weir.address(), &[("user", "alice"), ("database", "support")], "any").expect_err("no server");
    let Failure::Server(error) = failure else { panic!("no words: {failure:?}") };
    assert_eq!(error.severity, "FATAL");
    assert!(error.sqlstate.starts_with("08") || error.sqlstate.starts_with("57P"), "{error:?}");
    assert!(!error.hint.is_empty(), "nothing to do next: {error:?}");
}

#[test]
fn a_server_process_killed_in_mid_result_ends_one_session() {
    let postgres = Postgres::start();
    let weir = Weir::start(postgres.address(), &options());
    let rows =
        "select id, email, case when id > 100 then pg_sleep(60)::text end from customers order by id /* dying */";
    for how in [
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%dying%' and pid <> pg_backend_pid()",
        "KILL",
    ] {
        let mut alice = weir.login("alice", "support");
        let mut superuser = postgres.superuser("support");
        alice.send(&query(rows));
        let pid = wait::until("the server to be at it", wait::SOON, || {
            let sql = "select pid from pg_stat_activity where query like '%dying%' and wait_event = 'PgSleep'";
            superuser.query(sql).column().pop()
        });
        if how == "KILL" {
            weir_tests::process::signal(pid.parse().unwrap(), "KILL");
        } else {
            superuser.query(how).fine();
        }
        let reply = alice.until_ready();
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{how}: {reply:?}");
        let error = reply.error();
        assert!(error.sqlstate.starts_with("08") || error.sqlstate.starts_with("57P"), "{how}: {error:?}");
        let event = weir.audit_event("the result that broke off", |event| {
            event["kind"] == "completion"
                && event["detail"]["rows"] == reply.rows()
                && event["detail"]["outcome"] != "complete"
        });
        assert_eq!(audit::person(&event), "alice", "{event:#}");
        // PostgreSQL restarts all of its processes after such a death; then everybody is served again.
        wait::until("the server to recover", wait::SOON, || {
            Raw::try_login(weir.address(), &[("user", "bob"), ("database", "support")], weir_tests::fixture::PASSWORD)
                .ok()
        });
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

#[test]
fn a_server_that_stops_in_mid_message_is_not_waited_for_for_ever() {
    let postgres = Postgres::shared();
    let silent = going_silent(postgres.address(), 1_000_000);
    let weir = Weir::start(silent, &options().limit("upstream_stall_secs = 1"));
    for (what, sql) in [
        ("in a row", "select repeat('x', 3000000)"),
        ("in a row that streams", "select 'first' union all select repeat('x', 3000000)"),
    ] {
        let mut alice = weir.login("alice", "support");
        // Silence between messages is a server that computes: it is waited for.
        assert_eq!(alice.query("select pg_sleep(2), 'computed'").fine().rows(), 1);
        let reply = alice.query(sql);
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{what}: {reply:?}");
        let told = weir.audit_event("the end of the session", |event| {
            event["kind"] == "session-end" && event["detail"]["reason"] == "upstream-stalled"
        });
        assert_eq!(audit::person(&told), "alice", "{what}: {told:#}");
        weir.audit_event("the end of the statement", |event| event["detail"]["outcome"] == "upstream-gone");
    }
}

#[test]
fn a_failed_login_is_the_servers_word_and_a_record() {
    let front = Target::front(Postgres::shared(), &options());
    for (user, database, password, sqlstate) in [
        ("alice", "support", "wrong", "28P01"),
        ("nobody_here", "support", "wrong", "28P01"),
        ("alice", "no_such_database", weir_tests::fixture::PASSWORD, "3D000"),
    ] {
        let failure =
            Raw::try_login(front.address(), &[("user", user), ("database", database)], password).expect_err("no login");
        assert!(
            matches!(&failure, Failure::Server(error) if error.sqlstate == sqlstate),
            "{user}@{database}: {failure:?}"
        );
    }
    assert_serving(front.address());
    front.weir().audit_event("the failed login", |event| {
        event["kind"] == "authentication"
            && event.to_string().contains("28P01")
            && event.to_string().contains("nobody_here")
    });
}
