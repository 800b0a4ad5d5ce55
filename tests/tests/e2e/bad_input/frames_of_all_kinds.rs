//! Messages that no client should send, before and after login.

use std::time::{Duration, Instant};

use weir_tests::frames::{self, bind, execute, frame, frame_claiming, parse, query, sync};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::target::Target;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_serving;

fn front() -> Target {
    Target::front(Postgres::shared(), &WeirOptions::policy(Budgeted::default().yaml()))
}

/// Resident memory in KiB.
fn memory_kib(weir: &Weir) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", weir.pid())).expect("a living process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Sends `bytes` on a fresh session and demands that it ends in words or by closing, never in silence.
#[track_caller]
fn ends(mut client: Raw, what: &str, bytes: &[u8]) {
    client.patience(Duration::from_secs(10));
    client.send(bytes);
    let reply = client.until(|_| false);
    assert!(matches!(reply.end, Some(Failure::Closed)), "{what}: neither an error nor an end: {reply:?}");
    for error in reply.errors() {
        assert_eq!((error.severity.as_str(), error.sqlstate.len()), ("FATAL", 5), "{what}: {error:?}");
    }
    assert_eq!(reply.rows(), 0, "{what}");
}

#[test]
fn impossible_lengths_end_the_session_and_nothing_else() {
    let front = front();
    let before = memory_kib(front.weir());
    for tag in [b'Q', b'P', b'B', b'E', b'D', b'C', b'S', b'H', b'X', b'd', b'F', b'p', b'z', 0, 255] {
        for length in [0, 1, 2, 3, -1, i32::MIN, i32::MAX, 1 << 30, (64 << 20) + 1] {
            let what = format!("`{}` with length {length}", char::from(tag).escape_default());
            ends(Raw::login(front.address(), "alice", "support"), &what, &frame_claiming(tag, length, b"select 1\0"));
        }
    }
    let grown = memory_kib(front.weir()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB more after impossible lengths");
    assert_serving(front.address());
}

#[test]
fn a_length_is_not_believed_before_the_bytes_come() {
    let front = front();
    let before = memory_kib(front.weir());
    let clients: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = Raw::login(front.address(), "alice", "support");
            client.send(&frame_claiming(b'Q', 60 << 20, b"select "));
            client
        })
        .collect();
    assert_serving(front.address());
    let grown = memory_kib(front.weir()).saturating_sub(before);
    assert!(grown < 64 << 10, "20 promises of 60 MiB each cost {grown} KiB");
    drop(clients);
    assert_serving(front.address());
}

#[test]
fn malformed_bodies_are_answered() {
    let front = front();
    let mut bind_count = b"\0\0".to_vec();
    bind_count.extend_from_slice(&[0, 0, 0x7f, 0xff]);
    let mut bind_negative = b"\0\0\0\0\0\x01".to_vec();
    bind_negative.extend_from_slice(&(-7_i32).to_be_bytes());
    bind_negative.extend_from_slice(&[0, 0]);
    let mut bind_long = b"\0\0\0\0\0\x01".to_vec();
    bind_long.extend_from_slice(&i32::MAX.to_be_bytes());
    let cases: &[(&str, Vec<u8>)] = &[
        ("a query without its end", frame(b'Q', b"select 1")),
        ("a query with two ends", frame(b'Q', b"select 1\0select 2\0")),
        ("an empty query message", frame(b'Q', b"")),
        ("Parse of nothing", frame(b'P', b"")),
        ("Parse without a text's end", frame(b'P', b"\0select 1")),
        ("Parse with too many types", frame(b'P', b"\0select 1\0\x7f\xff\0\0\0\0")),
        ("Parse with a negative number of types", frame(b'P', b"\0select 1\0\xff\xff")),
        ("Bind of nothing", frame(b'B', b"")),
        ("Bind with values missing", frame(b'B', &bind_count)),
        ("Bind with a negative length", frame(b'B', &bind_negative)),
        ("Bind with a giant length", frame(b'B', &bind_long)),
        ("Bind with bytes left over", frame(b'B', b"\0\0\0\0\0\0\0\0trailing")),
        ("Execute cut short", frame(b'E', b"\0\0\0")),
        ("Describe of neither", frame(b'D', b"X\0")),
        ("Close without a name's end", frame(b'C', b"Sabc")),
        ("Sync with a body", frame(b'S', b"body")),
        ("an unknown message", frame(b'y', b"what is this")),
        ("a message of the other side", frame(b'T', b"\0\0")),
        ("a password in mid-session", frame(b'p', b"secret\0")),
    ];
    for (what, bytes) in cases {
        let mut client = Raw::login(front.address(), "alice", "support");
        client.patience(Duration::from_secs(10));
        client.send(&[bytes.as_slice(), &sync()].concat());
        let reply = client.until(|message| message.tag == b'Z');
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{what}: silence");
        assert!(!reply.errors().is_empty() || reply.end.is_some(), "{what}: taken for granted: {reply:?}");
        assert_eq!(reply.rows(), 0, "{what}: {reply:?}");
    }
    assert_serving(front.address());
}

#[test]
fn garbage_before_login_is_dropped() {
    let front = front();
    let cases: &[(&str, &[u8])] = &[
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (
            "a TLS hello where there is no TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ),
        ("zeros", &[0; 64]),
        ("ones", &[0xff; 64]),
        ("a giant start-up", &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0]),
        ("a negative start-up", &[0xff, 0xff, 0xff, 0xf0, 0, 3, 0, 0]),
        ("a start-up too short for its version", &[0, 0, 0, 7, 0, 3, 0]),
        ("a start-up without an end", b"\0\0\0\x11\0\x03\0\0user\0alic"),
        ("a start-up without a user", &[0, 0, 0, 9, 0, 3, 0, 0, 0]),
        ("a start-up with bytes after its end", b"\0\0\0\x1a\0\x03\0\0user\0alice\0\0extra\0"),
        ("a query instead of a start-up", b"Q\0\0\0\x0dselect 1\0"),
        ("a cancel request cut short", &[0, 0, 0, 12, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1]),
    ];
    for (what, bytes) in cases {
        let mut client = Raw::connect(front.address());
        client.patience(Duration::from_secs(15));
        client.send(bytes);
        // Some of these announce more than they bring: closing our half tells that nothing follows.
        client.close_sending();
        let reply = client.until(|_| false);
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{what}: silence");
        assert!(!reply.tags().contains(['R', 'Z']), "{what}: let in: {reply:?}");
    }
    for _ in 0..50 {
        drop(Raw::connect(front.address()));
    }
    assert_serving(front.address());
}

#[test]
fn hostile_startup_parameters_are_bounded() {
    let front = front();
    let long = "x".repeat(9_000);
    let many: Vec<(String, String)> = (0..500).map(|number| (format!("p{number}"), "v".to_owned())).collect();
    let mut many_fields = vec![("user", "alice"), ("database", "support")];
    many_fields.extend(many.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for (what, fields) in [
        ("a long value", vec![("user", "alice"), ("database", "support"), ("application_name", long.as_str())]),
        ("many parameters", many_fields),
        ("an empty option", vec![("user", "alice"), ("database", "support"), ("options", "-c=")]),
        ("an option cut short", vec![("user", "alice"), ("database", "support"), ("options", "-c")]),
        ("a parameter of nobody's", vec![("user", "alice"), ("database", "support"), ("no_such_parameter", "1")]),
    ] {
        let started = Instant::now();
        let result = Raw::try_login(front.address(), &fields, weir_tests::fixture::PASSWORD);
        assert!(!matches!(result, Err(Failure::Silent | Failure::Broken(_))), "{what}: {result:?}");
        assert!(started.elapsed() < Duration::from_secs(5), "{what} took {:?}", started.elapsed());
    }
    assert_serving(front.address());
}

#[test]
fn text_that_is_no_text_is_the_servers_to_refuse() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    let reply = alice.ask(&frame(b'Q', b"select '\xff\xfe\xc0'\0"));
    assert_eq!((reply.error().sqlstate.as_str(), reply.status()), ("22021", 'I'));
    let reply = alice.ask(&frame(b'Q', b"select email from customers where name = '\xe2\x82'\0"));
    assert_eq!((reply.errors().len(), reply.rows(), reply.status()), (1, 0, 'I'));
    let reply = alice.ask(&[frame(b'P', b"\0select '\xff'\0\0\0"), sync()].concat());
    assert_eq!((reply.errors().len(), reply.status()), (1, 'I'));
    // A client that says LATIN1 means it.
    alice.query("set client_encoding = 'LATIN1'").fine();
    let reply = alice.ask(&frame(b'Q', b"select 'caf\xe9' as coffee\0")).fine();
    assert_eq!(reply.rows(), 1);
    let row = reply.messages.iter().find(|message| message.tag == b'D').map(|message| message.body.clone());
    assert!(row.is_some_and(|body| body.ends_with(b"caf\xe9")), "the byte that came back is not the byte that went");
}

#[test]
fn monstrous_statements_are_answered_in_time() {
    let front = front();
    let n = 100 * 1024;
    let monsters = [
        ("parentheses", format!("select {}1{}", "(".repeat(n / 2), ")".repeat(n / 2))),
        ("open parentheses", format!("select {}", "(".repeat(n))),
        ("additions", format!("select 1{}", "+1".repeat(n / 2))),
        ("conditions", format!("select 1 where 1=1{}", " and 1=1".repeat(n / 8))),
        ("unions", format!("select 1{}", " union all select 1".repeat(n / 19))),
        ("negations", format!("select {}1", "- ".repeat(n / 2))),
        ("nots", format!("select {}true", "not ".repeat(n / 4))),
        ("casts", format!("select 1{}", "::int".repeat(n / 5))),
        ("nested selects", format!("{}select 1{}", "select * from (".repeat(n / 32), ") x".repeat(n / 32))),
        // Not more: PostgreSQL's own lexer takes time in the square of the depth.
        ("nested comments", format!("select 1 {}{}", "/*".repeat(n / 40), "*/".repeat(n / 40))),
        ("open comments", format!("select 1 {}", "/*".repeat(n / 40))),
        ("statements", "select 1;".repeat(n / 9)),
        ("semicolons", ";".repeat(n)),
        ("a dollar quote that never ends", format!("select $x${}", "a $".repeat(n / 3))),
        ("brackets", format!("select array{}1{}", "[".repeat(n / 2), "]".repeat(n / 2))),
        ("a list", format!("select 1 where 1 in (0{})", ",1".repeat(n / 2))),
        ("a long name", format!("select 1 as \"{}\"", "x".repeat(n))),
        ("cases", format!("select {}1{}", "case when true then ".repeat(n / 40), " end".repeat(n / 40))),
        ("customers in a haystack", format!("select 1{} from customers", "+1".repeat(n / 2))),
    ];
    for (what, sql) in &monsters {
        for extended in [false, true] {
            let mut alice = Raw::login(front.address(), "alice", "support");
            let started = Instant::now();
            let reply = if extended { alice.extended(sql, &[]) } else { alice.query(sql) };
            assert!(reply.end.is_none(), "{what}: {reply:?}");
            assert!(started.elapsed() < Duration::from_secs(20), "{what} took {:?}", started.elapsed());
            assert_eq!(alice.query("select 'usable'").fine().column(), ["usable"], "after {what}");
        }
    }
    assert_serving(front.address());
}

#[test]
fn a_statement_of_20_mib_passes_or_is_refused_in_words() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    let reply = alice.query(&format!("select length('{}')", "x".repeat(20 << 20)));
    assert!(
        reply.end.is_none() && (reply.column() == [(20 << 20).to_string()] || reply.errors().len() == 1),
        "{reply:?}"
    );
    assert_eq!(alice.query("select 'usable'").fine().column(), ["usable"]);
}

#[test]
fn a_pipeline_without_end_is_bounded() {
    let limit = 1_000;
    let options = WeirOptions::policy(Budgeted::default().yaml()).limit(&format!("pipeline_max = {limit}"));
    let front = Target::front(Postgres::shared(), &options);
    let one = [parse("", "select 1"), bind("", "", &[], 0), execute("", 0)].concat();
    let mut alice = Raw::login(front.address(), "alice", "support");
    // Within the bound it works.
    let reply = alice.ask(&[one.repeat(300), sync()].concat()).fine();
    assert_eq!(reply.rows(), 300);
    let before = memory_kib(front.weir());
    let mut greedy = Raw::login(front.address(), "bob", "support");
    greedy.patience(Duration::from_secs(15));
    // Asks for the server's answers never to come: a lock that another session holds.
    let mut holder = Postgres::shared().superuser("support");
    holder.query("select pg_advisory_lock(4711)").fine();
    let _ = greedy.try_send(&query("select pg_advisory_lock(4711)"));
    let flood = one.repeat(1_000);
    for _ in 0..200 {
        if greedy.try_send(&flood).is_err() {
            break;
        }
    }
    let grown = memory_kib(front.weir()).saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB for one session's pipeline");
    holder.query("select pg_advisory_unlock(4711)").fine();
    drop(greedy);
    assert_serving(front.address());
}

/// Random bytes behind a login, and random damage to good messages: Weir lives, and other sessions do not notice.
#[test]
fn noise_hurts_nobody_else() {
    let front = front();
    let mut witness = Raw::login(front.address(), "bob", "support");
    let good = [
        query("select id, name from customers where id < 5"),
        parse("s", "select $1::int"),
        bind("", "s", &["7"], 1),
        execute("", 0),
        frames::describe(b'S', "s"),
        sync(),
        frames::copy_data(b"1\tone\n"),
        query("copy articles to stdout"),
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(bound).unwrap()).unwrap()
    };
    for round in 0..150 {
        let mut bytes = Vec::new();
        for _ in 0..=random(6) {
            bytes.extend_from_slice(&good[random(good.len())]);
        }
        for _ in 0..=random(4) {
            let position = random(bytes.len());
            match random(4) {
                0 => bytes[position] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(position + 1),
                2 => bytes.insert(position, u8::try_from(random(256)).unwrap()),
                _ => bytes[position] ^= 1 << random(8),
            }
        }
        let mut client = if round % 3 == 0 {
            Raw::connect(front.address())
        } else {
            Raw::login(front.address(), "alice", "support")
        };
        client.send(&bytes);
        client.close_sending();
        let reply = client.until(|_| false);
        assert!(!matches!(reply.end, Some(Failure::Silent)), "round {round}: silence after {}", bytes.escape_ascii());
        if round % 10 == 0 {
            assert_eq!(witness.query("select 'here'").fine().column(), ["here"], "round {round}");
        }
    }
    assert_serving(front.address());
    let log = front.weir().log();
    assert!(!log.contains("panicked"), "a panic in the log:\n{log}");
}
