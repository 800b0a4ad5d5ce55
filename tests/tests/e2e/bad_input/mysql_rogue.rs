//! A MySQL server that lies, in the login and in its answers. A client is told, or closed; nothing of it gets further
//! than it may, and nobody else notices.

use std::time::Duration;

use weir_tests::audit;
use weir_tests::engine::Engine;
use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::packets::{self, capability, packet_claiming, status};
use weir_tests::mysql::raw::{Login, Raw};
use weir_tests::mysql::reply::{Failure, ServerError};
use weir_tests::mysql::rogue::{Deed, Rogue, Then, Told, answer, column, eof, ok, row};
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::target::direct_only;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_serving_on;

/// Asks the client for a file of its own.
const GIVE_ME: &[u8] = b"\xfb/etc/passwd";

fn weir(rogue: &Rogue) -> Weir {
    let options = WeirOptions::policy(Budgeted::default().on(Engine::MySql).yaml());
    let options = WeirOptions { allow: vec!["local_infile = true".to_owned()], ..options };
    Weir::start_for(
        &[(Engine::MySql, rogue.address())],
        &options.limit("startup_secs = 5").limit("upstream_stall_secs = 2"),
    )
}

fn assert_unhurt(weir: &Weir) {
    assert_serving_on(Engine::MySql, weir.address());
    let log = weir.log();
    assert!(!log.contains("panicked"), "a panic in the log:\n{log}");
}

fn login(weir: &Weir) -> Raw {
    let login = Login::new("alice", "support").and(capability::LOCAL_FILES);
    let mut client = Raw::try_login(weir.address(), &login).expect("alice's login");
    client.patience(Duration::from_secs(15));
    client
}

/// What a rogue answers to `select 'rogue:NAME'`, by name.
fn lies() -> Vec<(&'static str, Vec<u8>, Then)> {
    let shape = [vec![2], column("id"), column("name"), eof(2)];
    let rows = |rows: &[Vec<u8>]| [&shape[..], rows].concat();
    let two = [row(&["1", "one"]), row(&["2", "two"])];
    let mut endless = answer(&rows(&two));
    endless.extend(packet_claiming(packets::PAYLOAD_MAX, 7, b"\x01"));
    let mut skipped = answer(&rows(&two));
    skipped.extend(packets::packets(77, &row(&["3", "three"])));
    vec![
        ("garbage", b"\xde\xad\xbe\xef".repeat(400), Then::Close),
        ("silence", Vec::new(), Then::Close),
        ("a header and no more", vec![200, 0, 0, 1, 0], Then::Close),
        ("an empty answer", packets::packets(1, b""), Then::Close),
        ("the wrong number", packets::packets(9, &ok(2)), Then::Close),
        ("an OK cut short", packets::packets(1, &[0, 0]), Then::Close),
        ("an error cut short", packets::packets(1, &[0xff, 1]), Then::Close),
        ("columns without end", packets::packets(1, b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f"), Then::Close),
        ("no columns", answer(&[vec![0xfb], eof(2)]), Then::Close),
        ("a definition of garbage", answer(&[vec![1], vec![0xfd; 40], eof(2)]), Then::Close),
        ("a definition cut short", answer(&[vec![1], column("id")[..12].to_vec(), eof(2)]), Then::Close),
        ("an end instead of definitions", answer(&[vec![2], eof(2), eof(2)]), Then::Close),
        ("a death behind two rows", answer(&rows(&two)), Then::Close),
        ("a death in a row", [answer(&rows(&two)), vec![200, 0, 0, 7, 5, b'x']].concat(), Then::Close),
        ("a row cut short", answer(&rows(&[row(&["1"]), eof(2)])), Then::Close),
        ("a row too long", answer(&rows(&[row(&["1", "one", "more"]), eof(2)])), Then::Close),
        ("a length past the end of a row", answer(&rows(&[b"\x011\xfd\xff\xff\xffx".to_vec(), eof(2)])), Then::Close),
        ("a row out of sequence", skipped, Then::Close),
        ("a chain that never ends", endless, Then::Listen),
        ("more results that do not come", answer(&rows(&[two[0].clone(), eof(2 | status::MORE_RESULTS)])), Then::Close),
        ("an OK with more that does not come", packets::packets(1, &ok(2 | status::MORE_RESULTS)), Then::Close),
        ("a file in answer to a look", packets::packets(1, GIVE_ME), Then::Listen),
        ("a file as the next result", answer(&rows(&[eof(2 | status::MORE_RESULTS), GIVE_ME.to_vec()])), Then::Close),
        ("a greeting in mid-session", packets::packets(1, b"\x0a9.0.0\0\x01\0\0\0aaaaaaaa\0\xff\xff"), Then::Close),
    ]
}

#[test]
fn lies_in_an_answer_hurt_one_session_at_most() {
    if direct_only() {
        return;
    }
    let rogue = Rogue::start(MySql::shared().address(), |told| {
        let Told::Query { sql } = told else { return None };
        let name = sql.split("rogue:").nth(1)?.trim_end_matches('\'');
        let (_, send, then) = lies().into_iter().find(|(lie, _, _)| *lie == name)?;
        Some(Deed { send, then })
    });
    let weir = weir(&rogue);
    for (name, _, _) in lies() {
        let mut client = login(&weir);
        client.send(&packets::query(&format!("select 'rogue:{name}'")));
        let mut packets_seen = Vec::new();
        let end = loop {
            match client.receive() {
                Ok(packet) => {
                    assert_ne!(packet.payload.first(), Some(&0xfb), "{name}: the client was asked for a file");
                    let ends = packet.payload.first() == Some(&0xff);
                    packets_seen.push(packet);
                    if ends {
                        break None;
                    }
                }
                Err(end) => break Some(end),
            }
        };
        assert!(
            matches!(end, None | Some(Failure::Closed)),
            "{name}: neither an error nor an end: {end:?}, {packets_seen:?}"
        );
        let told = packets_seen.last().filter(|packet| packet.payload.first() == Some(&0xff));
        let told = told.map(|packet| ServerError::read(&packet.payload));
        assert!(
            told.as_ref().is_none_or(|error| !error.message.contains("/etc/passwd") || name.contains("file")),
            "{told:?}"
        );
    }
    assert_unhurt(&weir);
    // Each of these statements ended in the log, whatever became of it.
    // Nobody waits for such a record, so it comes when it comes.
    wait::until_true("a completion of each statement", wait::SOON, || {
        let events = weir.audit_events();
        let completed = audit::of_kind(&events, "completion").into_iter();
        completed.filter(|event| audit::person(event) == "alice").count() == lies().len()
    });
    // What says that there is no such file, and nothing else.
    assert_eq!(rogue.heard(), packets::packets(2, b""));
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_session() {
    if direct_only() {
        return;
    }
    let rogue = Rogue::start(MySql::shared().address(), |told| {
        let Told::Query { sql } = told else { return None };
        let twice =
            [packets::packets(1, &ok(2)), answer(&[vec![1], column("id"), eof(2), row(&["1"]), eof(2)])].concat();
        sql.contains("rogue:twice").then_some(Deed { send: twice, then: Then::GoOn })
    });
    let weir = weir(&rogue);
    let mut client = login(&weir);
    assert!(client.query("do 'rogue:twice'").error.is_none(), "the answer that was asked for");
    // What follows is no answer to this, whatever the rogue means it to be.
    let reply = client.query("select 'mine'");
    assert!(reply.error.is_some() || reply.end.is_some(), "{reply:?}");
    assert_unhurt(&weir);
}

#[test]
fn lies_about_a_preparation_are_no_harm() {
    if direct_only() {
        return;
    }
    let prepared = |columns: u16, parameters: u16| {
        let mut payload = vec![0, 7, 0, 0, 0];
        payload.extend_from_slice(&columns.to_le_bytes());
        payload.extend_from_slice(&parameters.to_le_bytes());
        payload.extend_from_slice(&[0, 0, 0]);
        payload
    };
    let lies = [
        ("many", packets::packets(1, &prepared(65_535, 65_535))),
        ("short", packets::packets(1, &prepared(1, 1)[..7])),
        ("rows", answer(&[vec![1], column("id"), eof(2), row(&["1"]), eof(2)])),
        ("file", packets::packets(1, GIVE_ME)),
    ];
    let names: Vec<&str> = lies.iter().map(|(name, _)| *name).collect();
    let rogue = Rogue::start(MySql::shared().address(), move |told| {
        let Told::Prepare { sql } = told else { return None };
        let name = sql.split("rogue:").nth(1)?.trim_end_matches('\'');
        let (_, send) = lies.iter().find(|(lie, _)| *lie == name)?;
        Some(Deed { send: send.clone(), then: Then::Close })
    });
    let weir = weir(&rogue);
    for name in names {
        let mut client = login(&weir);
        let failure = client.prepare(&format!("select 'rogue:{name}'")).expect_err("no preparation");
        assert!(matches!(failure, Failure::Server(_) | Failure::Closed), "{name}: {failure:?}");
    }
    assert_unhurt(&weir);
}

/// A password must not be given in clear to whoever asks for it.
#[test]
fn a_password_is_not_given_in_clear() {
    if direct_only() {
        return;
    }
    for (what, plugin) in
        [("the clear plugin", "mysql_clear_password"), ("a dialog", "dialog"), ("nobody's plugin", "no_such_plugin")]
    {
        let ask = packets::packets(2, &[b"\xfe", plugin.as_bytes(), b"\0aaaaaaaaaaaaaaaaaaaa\0"].concat());
        let rogue = Rogue::start(MySql::shared().address(), move |told| {
            let Told::Login { user } = told else { return None };
            (user == "carol").then_some(Deed { send: ask.clone(), then: Then::Listen })
        });
        let weir = weir(&rogue);
        let mut client = Raw::connect(weir.address());
        client.patience(Duration::from_secs(15));
        client.greet().expect("a greeting");
        // Our client never answers such a question; it is enough that it is not even asked.
        let failure = client.authenticate(&Login::new("carol", "support")).expect_err("no login");
        assert!(matches!(failure, Failure::Server(_) | Failure::Closed), "{what}: {failure:?}");
        let heard = rogue.heard();
        let password = PASSWORD.as_bytes();
        assert!(!heard.windows(password.len()).any(|window| window == password), "{what}: the password was told");
        assert_unhurt(&weir);
    }
}

#[test]
fn lies_in_a_login_are_told_in_words() {
    if direct_only() {
        return;
    }
    let more = packets::packets(2, b"\x01more");
    let lies: Vec<(&str, Vec<u8>, Then)> = vec![
        ("garbage", vec![0xde; 300], Then::Close),
        ("nothing", Vec::new(), Then::Close),
        ("silence", Vec::new(), Then::Listen),
        ("rows", answer(&[vec![1], column("id"), eof(2), row(&["1"]), eof(2)]), Then::Close),
        ("a file", packets::packets(2, GIVE_ME), Then::Close),
        ("more for ever", more.repeat(20_000), Then::Close),
        ("a giant packet", packet_claiming(packets::PAYLOAD_MAX, 2, b"\x01"), Then::Listen),
        ("a switch to nothing", packets::packets(2, b"\xfe"), Then::Close),
        ("a switch without an end", packets::packets(2, b"\xfemysql_native_password"), Then::Close),
    ];
    for (name, send, then) in lies {
        let deed = Deed { send, then };
        let rogue = Rogue::start(MySql::shared().address(), move |told| {
            let Told::Login { user } = told else { return None };
            (user == "carol").then(|| deed.clone())
        });
        let weir = weir(&rogue);
        let mut client = Raw::connect(weir.address());
        client.patience(Duration::from_secs(15));
        client.greet().expect("a greeting");
        let failure = client.authenticate(&Login::new("carol", "support")).expect_err("no login");
        // What a plugin says is the client's to judge: `more` is no key to seal a password with.
        let judged = name == "more for ever" && matches!(failure, Failure::Broken(_));
        assert!(judged || matches!(failure, Failure::Server(_) | Failure::Closed), "{name}: {failure:?}");
        assert_unhurt(&weir);
    }
}

#[test]
fn lies_in_a_greeting_are_told_in_words() {
    if direct_only() {
        return;
    }
    let greeting = |body: &[u8]| packets::packets(0, body);
    let lies: Vec<(&str, Vec<u8>, Then)> = vec![
        ("garbage", vec![0xff; 100], Then::Close),
        ("nothing", Vec::new(), Then::Close),
        ("silence", Vec::new(), Then::Listen),
        ("an old protocol", greeting(b"\x093.23.0\0\x01\0\0\0aaaaaaaa\0"), Then::Close),
        ("one cut short", greeting(b"\x0a9.0.0"), Then::Close),
        ("an error", greeting(b"\xff\x10\x04Too many connections"), Then::Close),
        ("a giant one", packet_claiming(packets::PAYLOAD_MAX, 0, b"\x0a"), Then::Listen),
    ];
    for (name, send, then) in lies {
        // Whatever asks from the second connection on is served: the first is ours.
        let deed = std::sync::Mutex::new(None);
        let armed = std::sync::Arc::new(deed);
        let trigger = std::sync::Arc::clone(&armed);
        let rogue = Rogue::start(MySql::shared().address(), move |told| {
            (*told == Told::Connected).then(|| trigger.lock().expect("nobody panics with it").take()).flatten()
        });
        let weir = weir(&rogue);
        assert_unhurt(&weir);
        *armed.lock().expect("nobody panics with it") = Some(Deed { send, then });
        // Weir's own look at the catalog may meet the lie instead of this client; then the client is served.
        let result = Raw::try_login(weir.address(), &Login::new("carol", "support"));
        assert!(!matches!(result, Err(Failure::Silent | Failure::Broken(_))), "{name}: {result:?}");
        assert_unhurt(&weir);
    }
}
