//! Packets that no MySQL client should send, before and after login.

use std::time::{Duration, Instant};

use weir_tests::engine::Engine;
use weir_tests::mysql::packets::{self, PAYLOAD_MAX, capability, command, packet_claiming};
use weir_tests::mysql::raw::{Login, Raw, response_head};
use weir_tests::mysql::reply::{Failure, Reply, ServerError};
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_serving_on;

fn options() -> WeirOptions {
    WeirOptions::policy(Budgeted::default().on(Engine::MySql).yaml())
}

fn front() -> Target {
    Target::front(MySql::shared(), &options())
}

fn login(front: &Target) -> Raw {
    Raw::login(front.address(), "alice", "support")
}

#[track_caller]
fn assert_serving(front: &Target) {
    assert_serving_on(Engine::MySql, front.address());
    let log = front.weir().log();
    assert!(!log.contains("panicked"), "a panic in the log:\n{log}");
}

/// Resident memory in KiB.
fn memory_kib(weir: &Weir) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", weir.pid())).expect("a living process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Everything until the other side closes, which it must; the errors among it.
#[track_caller]
fn until_closed(client: &mut Raw, what: &str) -> Vec<ServerError> {
    client.patience(Duration::from_secs(15));
    let mut errors = Vec::new();
    loop {
        match client.receive() {
            Ok(packet) if packet.payload.first() == Some(&0xff) => errors.push(ServerError::read(&packet.payload)),
            Ok(_) => {}
            Err(Failure::Closed) => return errors,
            Err(other) => panic!("{what}: neither an error nor an end: {other:?}"),
        }
    }
}

#[test]
fn packets_out_of_sequence_end_the_session() {
    let front = front();
    for sequence in [1, 2, 7, 128, 255] {
        let mut client = login(&front);
        client.send(&packets::packets(sequence, b"\x03select 1"));
        let errors = until_closed(&mut client, &format!("sequence {sequence}"));
        assert_eq!(errors.len(), 1, "sequence {sequence}: {errors:?}");
    }
    // In the middle of a chain.
    let mut client = login(&front);
    let mut bytes = packets::packets(0, &[b"\x03select length('", vec![b'x'; PAYLOAD_MAX].as_slice(), b"')"].concat());
    bytes[4 + PAYLOAD_MAX + 3] = 9;
    client.send(&bytes);
    assert_eq!(until_closed(&mut client, "a chain out of sequence").len(), 1);
    assert_serving(&front);
}

#[test]
fn a_length_is_not_believed_before_the_bytes_come() {
    let front = front();
    let before = memory_kib(front.weir());
    let clients: Vec<Raw> = (0..20)
        .map(|_| {
            let mut client = login(&front);
            client.send(&packet_claiming(PAYLOAD_MAX - 1, 0, b"\x03select "));
            client
        })
        .collect();
    assert_serving(&front);
    let grown = memory_kib(front.weir()).saturating_sub(before);
    assert!(grown < 64 << 10, "20 promises of 16 MiB each cost {grown} KiB");
    drop(clients);
    assert_serving(&front);
}

#[test]
fn a_chain_of_packets_is_bounded_and_may_break_off() {
    let front = Target::front(MySql::shared(), &options().limit("frame_bytes_max = 33554432"));
    // A chain whose end never comes: the client closes.
    let mut client = login(&front);
    client.send(&packet_claiming(PAYLOAD_MAX, 0, &[b"\x03select '", vec![b'x'; PAYLOAD_MAX - 9].as_slice()].concat()));
    client.vanish();
    // One that ends exactly with a full packet and an empty one is whole.
    let mut client = login(&front);
    let text = format!("select length('{}')", "x".repeat(PAYLOAD_MAX - 1 - 17));
    let bytes = packets::query(&text);
    assert_eq!(bytes.len(), 4 + PAYLOAD_MAX + 4);
    assert_eq!(client.ask(&bytes).fine().column(), [(PAYLOAD_MAX - 18).to_string()]);
    // One past the bound is refused in words, before its end.
    let mut client = login(&front);
    let chunk = vec![b'x'; PAYLOAD_MAX];
    client.send(&packet_claiming(PAYLOAD_MAX, 0, &[b"\x03select '", &chunk[..PAYLOAD_MAX - 9]].concat()));
    client.send(&packet_claiming(PAYLOAD_MAX, 1, &chunk));
    client.send(&packet_claiming(PAYLOAD_MAX, 2, &chunk[..1000]));
    let errors = until_closed(&mut client, "a chain past the bound");
    assert!(errors.len() == 1 && errors[0].message.contains("frame_bytes_max"), "{errors:?}");
    assert_serving(&front);
}

#[test]
fn malformed_commands_are_answered() {
    let front = front();
    let mut giant_parameter = vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfd, 0, 0xfe];
    giant_parameter.extend_from_slice(&u64::MAX.to_le_bytes());
    let cases: &[(&str, Vec<u8>)] = &[
        ("nothing at all", packets::packets(0, b"")),
        ("a query of nothing", packets::command(command::QUERY, b"")),
        ("a query of zeros", packets::command(command::QUERY, &[0; 100])),
        ("a preparation of nothing", packets::command(command::STMT_PREPARE, b"")),
        ("an execution cut short", packets::command(command::STMT_EXECUTE, &[1, 0])),
        ("an execution of nobody's statement", packets::execute(4711, 0, &[])),
        ("an execution without its flags", packets::command(command::STMT_EXECUTE, &[1, 0, 0, 0])),
        ("a fetch cut short", packets::command(command::STMT_FETCH, &[1, 0, 0, 0, 1])),
        ("a fetch of nobody's statement", packets::fetch(4711, 10)),
        ("a reset cut short", packets::command(command::STMT_RESET, &[1])),
        ("a reset of nobody's statement", packets::reset(4711)),
        ("an option of nothing", packets::command(command::SET_OPTION, b"")),
        ("an option that nobody knows", packets::command(command::SET_OPTION, &[9, 9])),
        ("a field list without an end", packets::command(command::FIELD_LIST, b"customers")),
        ("a change of user cut short", packets::command(command::CHANGE_USER, b"alice")),
        ("a change of user with a long answer", packets::command(command::CHANGE_USER, b"alice\0\xffx")),
        ("a database of nothing", packets::command(command::INIT_DB, b"")),
        ("a database with a zero", packets::command(command::INIT_DB, b"sup\0port")),
        ("a binlog", packets::command(command::BINLOG_DUMP, &[4, 0, 0, 0, 0, 0, 1, 0, 0, 0])),
        ("a binlog by GTID", packets::command(command::BINLOG_DUMP_GTID, &[0; 22])),
        ("a dump of a table", packets::command(command::TABLE_DUMP, b"\x07support\x09customers")),
        ("a replica", packets::command(command::REGISTER_SLAVE, &[0; 18])),
        ("a shutdown", packets::command(command::SHUTDOWN, &[0])),
        ("a connection out of the server", packets::command(0x0b, b"")),
        ("a delayed insert", packets::command(0x10, b"")),
        ("sleep", packets::command(0x00, b"")),
        ("a clone", packets::command(0x20, b"")),
        ("a command that nobody knows", packets::command(0x42, b"what is this")),
        ("the last command", packets::command(0xff, b"\xff\xff")),
    ];
    for (what, bytes) in cases {
        let mut client = login(&front);
        client.patience(Duration::from_secs(10));
        client.send(bytes);
        let reply = client.text_reply();
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{what}: silence");
        let refused = |reply: &Reply| reply.error.is_some() || matches!(reply.end, Some(Failure::Closed));
        // What the server itself takes in good part is not Weir's to mind.
        let mut direct = Raw::login(MySql::shared().address(), "alice", "support");
        direct.patience(Duration::from_secs(10));
        assert!(refused(&reply) || !refused(&direct.ask(bytes)), "{what}: taken for granted: {reply:?}");
        assert_eq!(reply.rows(), 0, "{what}: {reply:?}");
    }
    // The same with a statement that is there.
    for (what, body) in [
        ("a parameter with a giant length", giant_parameter),
        ("a parameter cut short", vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0xfd, 0, 200, b'x']),
        ("a parameter of no type", vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0x77, 0, 1, b'x']),
        ("no types the first time", vec![1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0]),
    ] {
        let mut client = login(&front);
        client.patience(Duration::from_secs(10));
        let prepared = client.prepare("select name from customers where id = ?").expect("a preparation");
        let body = [&prepared.id.to_le_bytes()[..], &body[4..]].concat();
        client.send(&packets::command(command::STMT_EXECUTE, &body));
        let reply = client.binary_reply();
        assert!(!matches!(reply.end, Some(Failure::Silent)), "{what}: silence");
        assert!(reply.rows() <= 1, "{what}: {reply:?}");
    }
    assert_serving(&front);
}

#[test]
fn commands_that_are_not_named_are_refused_and_recorded() {
    let front = front();
    for (what, bytes) in [
        ("binlog-dump", packets::command(command::BINLOG_DUMP, &[4, 0, 0, 0, 0, 0, 1, 0, 0, 0])),
        ("table-dump", packets::command(command::TABLE_DUMP, b"\x07support\x09customers")),
        ("register-replica", packets::command(command::REGISTER_SLAVE, &[0; 18])),
    ] {
        let mut etl = Raw::login(front.address(), "etl_export", "support");
        let reply = etl.ask(&bytes);
        let error = reply.error();
        assert_eq!(error.sqlstate.len(), 5, "{what}: {error:?}");
        assert_eq!(etl.query("select 'usable'").fine().column(), ["usable"], "{what}");
        front.weir().audit_event(what, |event| {
            let text = event.to_string();
            text.contains(what) && weir_tests::audit::person(event) == "etl"
        });
    }
}

#[test]
fn garbage_before_login_is_dropped() {
    let front = front();
    let head = |capabilities: u32| response_head(capabilities, 45);
    let usual = capability::USUAL;
    let with = |tail: &[u8]| packets::packets(1, &[head(usual).as_slice(), tail].concat());
    let cases: &[(&str, Vec<u8>)] = &[
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("PostgreSQL", b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec()),
        (
            "a TLS hello where there is no TLS",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaa".to_vec(),
        ),
        ("zeros", vec![0; 64]),
        ("ones", vec![0xff; 64]),
        ("an empty packet", packets::packets(1, b"")),
        ("a query instead of a login", packets::query("select 1")),
        ("a login of the old protocol", packets::packets(1, b"\x05\0\0\0\0alice\0x")),
        ("a login cut in its head", packets::packets(1, &head(usual)[..20])),
        ("a login without a name's end", with(b"alice")),
        ("a login with an answer cut short", with(b"alice\0\x14abc")),
        ("a login with a giant answer", with(b"alice\0\xfe\xff\xff\xff\xff\xff\xff\xff\x7f")),
        ("a login without its database's end", with(b"alice\0\0support")),
        (
            "a login with the wrong number",
            packets::packets(5, &[head(usual).as_slice(), b"alice\0\0support\0"].concat()),
        ),
        ("TLS asked for where there is none", packets::packets(1, &head(usual | capability::SSL))),
        ("compression asked for", {
            let body =
                [head(usual | capability::COMPRESS).as_slice(), b"alice\0\0support\0mysql_native_password\0"].concat();
            packets::packets(1, &body)
        }),
        ("a giant login", packet_claiming(PAYLOAD_MAX, 1, &head(usual))),
        ("attributes without an end", {
            let body =
                [head(usual | capability::CONNECT_ATTRS).as_slice(), b"alice\0\0support\0p\0\xfd\xff\xff\xff"].concat();
            packets::packets(1, &body)
        }),
    ];
    for (what, bytes) in cases {
        let mut client = Raw::connect(front.address());
        client.patience(Duration::from_secs(15));
        client.greet().expect("a greeting");
        client.send(bytes);
        // Some of these announce more than they bring: closing our half tells that nothing follows.
        client.close_sending();
        loop {
            match client.receive() {
                Ok(packet) => assert_ne!(packet.payload.first(), Some(&0), "{what}: let in: {packet:?}"),
                Err(Failure::Silent) => panic!("{what}: silence"),
                Err(_) => break,
            }
        }
    }
    for _ in 0..50 {
        drop(Raw::connect(front.address()));
    }
    assert_serving(&front);
}

#[test]
fn what_hides_is_not_negotiated() {
    let front = front();
    let mut client = Raw::connect(front.address());
    client.greet().expect("a greeting");
    let offered = client.greeting.capabilities;
    for (what, flag) in [
        ("zlib", capability::COMPRESS),
        ("zstd", capability::ZSTD),
        ("optional metadata", capability::OPTIONAL_METADATA),
        ("local files", capability::LOCAL_FILES),
    ] {
        assert_eq!(offered & flag, 0, "{what} is offered");
    }
    // MariaDB's cached metadata stands in a word of its own.
    assert_eq!(client.greeting.mariadb_capabilities & (1 << 4), 0, "cached metadata is offered");
    let allowed = WeirOptions { allow: vec!["local_infile = true".to_owned()], ..options() };
    let front = Target::front(MySql::shared(), &allowed);
    let mut client = Raw::connect(front.address());
    client.greet().expect("a greeting");
    assert_ne!(client.greeting.capabilities & capability::LOCAL_FILES, 0, "local files are offered where they may be");
}

#[test]
fn slow_starters_are_dropped_and_hold_up_nobody() {
    let front = Target::front(MySql::shared(), &options().limit("startup_secs = 1"));
    // Once before: the first session waits for the catalog.
    assert_serving(&front);
    let login = packets::packets(1, &[response_head(capability::USUAL, 45).as_slice(), b"alice\0\0support\0"].concat());
    let mut starters: Vec<(&str, Raw)> =
        ["says nothing", "half a header", "half a login"].map(|what| (what, Raw::connect(front.address()))).into();
    starters[1].1.send(&login[..2]);
    starters[2].1.send(&login[..12]);
    let started = Instant::now();
    assert_serving(&front);
    assert!(started.elapsed() < Duration::from_secs(1), "held up for {:?}", started.elapsed());
    for (what, client) in &mut starters {
        until_closed(client, what);
    }
    assert!(started.elapsed() < Duration::from_secs(8), "they were kept for {:?}", started.elapsed());
}

#[test]
fn monstrous_statements_are_answered_in_time() {
    let front = front();
    let n = 100 * 1024;
    let monsters = [
        ("parentheses", format!("select {}1{}", "(".repeat(n / 2), ")".repeat(n / 2))),
        ("open parentheses", format!("select {}", "(".repeat(n))),
        ("additions", format!("select 1{}", "+1".repeat(n / 2))),
        ("conditions", format!("select 1 from dual where 1=1{}", " and 1=1".repeat(n / 8))),
        ("unions", format!("select 1{}", " union all select 1".repeat(n / 190))),
        ("negations", format!("select {}1", "- ".repeat(n / 20))),
        ("nots", format!("select {}true", "not ".repeat(n / 40))),
        ("nested selects", format!("{}select 1{}", "select * from (".repeat(n / 320), ") x".repeat(n / 320))),
        ("open comments", format!("select 1 {}", "/*".repeat(n / 40))),
        ("versioned comments", format!("select 1 {}{}", "/*!40101 ".repeat(n / 40), "*/".repeat(n / 40))),
        ("statements", "select 1;".repeat(n / 9)),
        ("semicolons", format!("select 1{}", ";".repeat(n))),
        ("backslashes", format!("select '{}'", "\\\\".repeat(n / 2))),
        ("quotes", format!("select '{}'", "''".repeat(n / 2))),
        ("a text that never ends", format!("select '{}", "a \\'".repeat(n / 4))),
        ("a list", format!("select 1 from dual where 1 in (0{})", ",1".repeat(n / 2))),
        ("a long name", format!("select 1 as `{}`", "x".repeat(n))),
        ("cases", format!("select {}1{}", "case when true then ".repeat(n / 400), " end".repeat(n / 400))),
        ("customers in a haystack", format!("select 1{} from customers", "+1".repeat(n / 20))),
    ];
    for (what, sql) in &monsters {
        for prepared in [false, true] {
            let mut alice = login(&front);
            let started = Instant::now();
            let reply = if prepared { alice.extended(sql, &[]) } else { alice.query(sql) };
            assert!(reply.end.is_none(), "{what}: {reply:?}");
            assert!(started.elapsed() < Duration::from_secs(20), "{what} took {:?}", started.elapsed());
            assert_eq!(alice.query("select 'usable'").fine().column(), ["usable"], "after {what}");
        }
    }
    assert_serving(&front);
}

/// Random bytes behind a login, and random damage to good packets: Weir lives, and other sessions do not notice.
#[test]
fn noise_hurts_nobody_else() {
    let front = front();
    let mut witness = Raw::login(front.address(), "bob", "support");
    let good = [
        packets::query("select id, name from customers where id < 5"),
        packets::prepare("select ? + 1"),
        packets::execute(1, 0, &["7"]),
        packets::execute(1, 1, &["7"]),
        packets::fetch(1, 5),
        packets::long_data(1, 0, b"x"),
        packets::close(1),
        packets::ping(),
        packets::field_list("customers"),
        packets::init_db("support"),
        packets::reset_connection(),
        packets::query("call two_results(2)"),
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
        let mut client = match round % 3 {
            0 => Raw::connect(front.address()),
            _ => Raw::try_login(front.address(), &Login::new("alice", "support")).expect("alice's login"),
        };
        client.send(&bytes);
        client.close_sending();
        while let Ok(_packet) = client.receive().inspect_err(|failure| {
            assert!(!matches!(failure, Failure::Silent), "round {round}: silence after {}", bytes.escape_ascii());
        }) {}
        if round % 10 == 0 {
            assert_eq!(witness.query("select 'here'").fine().column(), ["here"], "round {round}");
        }
    }
    assert_serving(&front);
}
