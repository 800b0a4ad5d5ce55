//! Evasion below SQL: other messages, other start-ups.

use std::time::Duration;

use weir_tests::audit;
use weir_tests::fixture::PASSWORD;
use weir_tests::frames::{self, bind, execute, parse, sync};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Failure, Raw};
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::WeirOptions;

fn front() -> Target {
    Target::front(Postgres::shared(), &WeirOptions::policy(Budgeted::hourly(20).yaml()))
}

fn usable(client: &mut Raw) {
    assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
}

#[test]
fn a_function_call_message_is_refused_and_recorded() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    // lower(text), which PostgreSQL itself would call.
    let oid: u32 = Postgres::shared().value("support", "select 'lower(text)'::regprocedure::oid").parse().unwrap();
    let reply = alice.ask(&frames::function_call(oid, "ABC"));
    assert_eq!((reply.tags().as_str(), reply.status()), ("EZ", 'I'), "{reply:?}");
    usable(&mut alice);
    front.weir().audit_event("the function call", |event| event["kind"] == "denial" && audit::person(event) == "alice");
    // Inside a transaction it fails the transaction.
    alice.query("begin").fine();
    assert_eq!(alice.ask(&frames::function_call(oid, "ABC")).status(), 'E');
    assert_eq!(alice.query("rollback").fine().status(), 'I');
    usable(&mut alice);
}

#[test]
fn a_startup_packet_that_names_two_users_is_refused() {
    let front = front();
    for fields in [
        [("user", "alice"), ("user", "bob"), ("database", "support")],
        [("user", "bob"), ("database", "support"), ("user", "alice")],
        [("user", "alice"), ("database", "support"), ("database", "postgres")],
    ] {
        let failure = Raw::try_login(front.address(), &fields, PASSWORD).expect_err("two identities");
        assert!(matches!(&failure, Failure::Server(error) if error.severity == "FATAL"), "{fields:?}: {failure:?}");
    }
    usable(&mut Raw::login(front.address(), "alice", "support"));
}

#[test]
fn a_second_startup_changes_nobody() {
    let front = front();
    let second = frames::startup(&[("user", "etl_export"), ("database", "support")]);
    // In the middle of authentication.
    let mut client = Raw::connect(front.address());
    client.send(&frames::startup(&[("user", "alice"), ("database", "support")]));
    assert_eq!(client.receive().expect("an authentication request").tag, b'R');
    client.send(&second);
    let reply = client.until(|_| false);
    assert!(!reply.tags().contains('Z'), "{reply:?}");
    // In an established session: its first byte is 0, which is no message.
    let mut client = Raw::login(front.address(), "alice", "support");
    client.send(&second);
    let reply = client.until(|_| false);
    assert!(!reply.tags().contains('R') && !reply.tags().contains('Z'), "{reply:?}");
    // Stuffed behind the first start-up.
    let mut client = Raw::connect(front.address());
    client.send(&[frames::startup(&[("user", "alice"), ("database", "support")]), second].concat());
    let reply = client.until(|message| message.tag == b'Z');
    assert!(!reply.tags().contains('Z'), "{reply:?}");
}

#[test]
fn gss_encryption_is_declined_and_tls_too_where_there_is_none() {
    let front = front();
    let mut client = Raw::connect(front.address());
    client.send(&frames::gss_request());
    assert_eq!(client.receive_byte().expect("an answer"), b'N');
    client.send(&frames::ssl_request());
    assert_eq!(client.receive_byte().expect("an answer"), b'N');
    client.send(&frames::startup(&[("user", "alice"), ("database", "support")]));
    client.authenticate(PASSWORD).expect("login after two negotiations");
    usable(&mut client);
    // Once each, as the server does.
    let mut client = Raw::connect(front.address());
    client.send(&frames::gss_request());
    assert_eq!(client.receive_byte().expect("an answer"), b'N');
    client.send(&frames::gss_request());
    let reply = client.until(|_| false);
    assert!(matches!(reply.end, Some(Failure::Closed | Failure::Broken(_))), "{reply:?}");
}

#[test]
fn replication_is_refused_for_people_and_services() {
    let front = front();
    for (user, value) in [("alice", "true"), ("etl_export", "database"), ("etl_export", "1"), ("etl_export", "on")] {
        let fields = [("user", user), ("database", "support"), ("replication", value)];
        let failure = Raw::try_login(front.address(), &fields, PASSWORD).expect_err("a replication session");
        assert!(matches!(&failure, Failure::Server(error) if error.severity == "FATAL"), "{fields:?}: {failure:?}");
    }
    // PostgreSQL itself lets the service in: the refusal is Weir's.
    let fields = [("user", "etl_export"), ("database", "support"), ("replication", "database")];
    Raw::try_login(Postgres::shared().address(), &fields, PASSWORD).expect("replication without Weir");
    // As an option it is no replication to the server either.
    let fields = [("user", "etl_export"), ("database", "support"), ("replication", "false")];
    let mut client =
        Raw::try_login(front.address(), &fields, PASSWORD).expect("replication=false is an ordinary session");
    usable(&mut client);
}

#[test]
fn other_protocol_versions_are_answered_in_words() {
    let front = front();
    let mut client = Raw::connect(front.address());
    client.send(&frames::startup_version(2 << 16, &[("user", "alice"), ("database", "support")]));
    // Protocol 2 had another form of errors; its first byte was the same.
    assert_eq!(client.receive_byte().expect("an answer"), b'E');
    // A minor version of the future is negotiated down, not refused.
    let mut client = Raw::connect(front.address());
    client.send(&frames::startup_version(
        196_608 + 99,
        &[("user", "alice"), ("database", "support"), ("_pq_.future", "1")],
    ));
    client.authenticate(PASSWORD).expect("a client of the future");
    usable(&mut client);
}

#[test]
fn cancel_keys_are_weirs_own_and_reach_their_session_only() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    let mut bob = Raw::login(front.address(), "bob", "support");
    let (pid, secret) = alice.key.clone().expect("a cancel key");
    let mut superuser = Postgres::shared().superuser("support");
    let active = |superuser: &mut Raw, user: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where usename = '{user}' and state = 'active' and query like '%pg_sleep(47)%'"
        );
        superuser.query(&sql).column() == ["1"]
    };
    alice.send(&frames::query("select pg_sleep(47)"));
    bob.send(&frames::query("select pg_sleep(47)"));
    wait::until_true("both to sleep", wait::SOON, || active(&mut superuser, "alice") && active(&mut superuser, "bob"));
    // A wrong secret, and the server's own process numbers, cancel nothing.
    let backend: i32 =
        superuser.query("select pid from pg_stat_activity where usename = 'alice' and state = 'active'").column()[0]
            .parse()
            .unwrap();
    let cancel = |pid: i32, secret: &[u8]| {
        let mut client = Raw::connect(front.address());
        client.send(&frames::cancel_request(pid, secret));
        let reply = client.until(|_| false);
        assert_eq!(reply.tags(), "", "a cancel request is answered by closing");
    };
    let mut wrong = secret.clone();
    wrong[0] ^= 1;
    cancel(pid, &wrong);
    cancel(backend, &secret);
    cancel(backend, &[0, 0, 0, 0]);
    assert!(active(&mut superuser, "alice") && active(&mut superuser, "bob"));
    cancel(pid, &secret);
    let error = alice.until_ready().error();
    assert_eq!(error.sqlstate, "57014");
    usable(&mut alice);
    assert!(active(&mut superuser, "bob"), "the other session was cancelled");
    let (pid, secret) = bob.key.clone().expect("a cancel key");
    cancel(pid, &secret);
    assert_eq!(bob.until_ready().error().sqlstate, "57014");
}

#[test]
fn statements_prepared_on_the_wire_and_in_sql_share_their_names() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    // Prepared by message, run by EXECUTE; and the other way round.
    alice.ask(&[parse("w", "select id, email from customers order by id"), sync()].concat()).fine();
    assert_eq!(alice.query("execute w").rows(), 20);
    alice.query("prepare q as select id, email from customers where id > 100").fine();
    assert_eq!(alice.ask(&[bind("", "q", &[], 0), execute("", 0), sync()].concat()).rows(), 0);
    alice.query("deallocate all").fine();
    // The name is free again, and means something else now.
    alice.ask(&[parse("w", "select title from articles where id <= 40"), sync()].concat()).fine();
    assert_eq!(alice.query("execute w").fine().rows(), 40);
    assert_eq!(alice.ask(&[bind("", "w", &[], 0), execute("", 0), sync()].concat()).fine().rows(), 40);
}

#[test]
fn a_renamed_portal_or_statement_pays_all_the_same() {
    let front = front();
    let mut alice = Raw::login(front.address(), "alice", "support");
    let mut rows = 0;
    for number in 0..40 {
        let name = format!("s{number}");
        let sql = format!("select id, email from customers where id between {0} * 5 + 1 and {0} * 5 + 5", number);
        let train = [parse(&name, &sql), bind(&name, &name, &[], 1), execute(&name, 2), execute(&name, 0), sync()];
        rows += alice.ask(&train.concat()).rows();
    }
    assert_eq!(rows, 20);
    usable(&mut alice);
}

#[test]
fn setting_another_role_does_not_make_another_person() {
    let front = front();
    let mut app = Raw::login(front.address(), "alice", "support");
    // `alice` may become `agents`; the budget stays hers.
    app.query("set role agents").fine();
    assert_eq!(app.query("select id, email from customers order by id").rows(), 20);
    app.query("reset role").fine();
    assert_eq!(app.query("select id, email from customers order by id desc").rows(), 0);
    let silence = Duration::from_secs(5);
    app.patience(silence);
    usable(&mut app);
}
