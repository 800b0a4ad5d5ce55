//! The cut in every state of MySQL's protocol: old and new ends of rows, text, binary and cursors, several results,
//! procedures, transactions; and what changes who a session is.

use weir_tests::audit::released;
use weir_tests::engine::Engine;
use weir_tests::mysql::packets::{self, capability, status};
use weir_tests::mysql::raw::{Login, Raw};
use weir_tests::mysql::reply::{Failure, Reply};
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::{BUDGET_MESSAGE, Budgeted, DENIED_MYSQL, Export};
use weir_tests::target::Target;

const ALL: &str = "select id, name, email from customers order by id";

/// What sessions may negotiate: how rows end differs, and whether changes of the session are told.
const MANNERS: [u32; 3] = [0, capability::DEPRECATE_EOF, capability::DEPRECATE_EOF | capability::SESSION_TRACK];

fn desk(policy: &Budgeted) -> Target {
    super::desk(Engine::MySql, policy)
}

fn login(desk: &Target, user: &str) -> Raw {
    Raw::login(desk.address(), user, "support")
}

fn login_as(desk: &Target, user: &str, capabilities: u32) -> Raw {
    Raw::try_login(desk.address(), &Login::new(user, "support").and(capabilities)).expect("an agent's login")
}

/// The reply ends in the operator's refusal, in the right sequence and nothing after it; returns how many rows came.
#[track_caller]
fn assert_denied(reply: &Reply) -> usize {
    let error = reply.error();
    assert_eq!((error.code, error.sqlstate.as_str()), DENIED_MYSQL, "{error:?}");
    assert!(error.message.contains(BUDGET_MESSAGE), "the operator's words are missing: {error:?}");
    assert!(error.message.contains("W-"), "no reference that an analyst can look up: {error:?}");
    assert!(reply.end.is_none(), "{:?}", reply.end);
    for (number, packet) in reply.packets.iter().enumerate() {
        // Packets of one answer are numbered through, from one; rows here take one packet each.
        assert_eq!(usize::from(packet.sequence), (number + 1) % 256, "the number of packet {number}");
    }
    reply.rows()
}

/// The session works, and nothing is left of what was before.
#[track_caller]
fn assert_usable(client: &mut Raw) {
    assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
    assert_eq!(client.extended("select ?", &["usable too"]).fine().column(), ["usable too"]);
    let reply = client.ask(&packets::ping()).fine();
    assert_eq!(reply.packets.len(), 1, "{reply:?}");
}

#[test]
fn a_text_result_is_cut_in_sequence() {
    for manner in MANNERS {
        let desk = desk(&Budgeted::hourly(500));
        let mut alice = login_as(&desk, "alice", manner);
        assert_eq!(assert_denied(&alice.query(ALL)), 500, "capabilities {manner:#x}");
        assert_usable(&mut alice);
        assert_eq!(assert_denied(&alice.query("select name from customers where id = 501")), 0);
        assert_usable(&mut alice);
    }
}

#[test]
fn a_binary_result_is_cut_in_sequence() {
    for manner in MANNERS {
        let desk = desk(&Budgeted::hourly(500));
        let mut alice = login_as(&desk, "alice", manner);
        let prepared = alice.prepare("select id, name, email from customers where id > ? order by id").unwrap();
        assert_eq!(assert_denied(&alice.execute(&prepared, 0, &["0"])), 500, "capabilities {manner:#x}");
        assert_usable(&mut alice);
        // The statement lives, and is judged each time.
        assert_eq!(assert_denied(&alice.execute(&prepared, 0, &["500"])), 0);
        assert_eq!(alice.execute(&prepared, 0, &["2999999"]).rows(), 0);
        alice.send(&packets::close(prepared.id));
        assert_usable(&mut alice);
    }
}

#[test]
fn a_cursor_is_cut_between_and_within_its_fetches() {
    for manner in MANNERS {
        let desk = desk(&Budgeted::hourly(500));
        let mut alice = login_as(&desk, "alice", manner);
        let prepared = alice.prepare("select id, name, email from customers where id > ? order by id").unwrap();
        let opened = alice.execute(&prepared, 1, &["0"]).fine();
        assert_eq!((opened.rows(), opened.status() & status::CURSOR_EXISTS), (0, status::CURSOR_EXISTS));
        let columns = opened.results[0].columns.clone();
        for page in 0..3 {
            let reply = alice.fetch(&prepared, &columns, 130).fine();
            assert_eq!(reply.rows(), 130, "page {page}");
            assert_eq!(reply.results[0].rows[0][0], Some((page * 130 + 1).to_string()));
        }
        let reply = alice.fetch(&prepared, &columns, 130);
        assert_eq!(assert_denied(&reply), 110, "capabilities {manner:#x}");
        assert_usable(&mut alice);
        assert_eq!(alice.fetch(&prepared, &columns, 130).rows(), 0, "the budget is spent");
        alice.ask(&packets::reset(prepared.id));
        assert_usable(&mut alice);
        assert_eq!(released(desk.weir(), "alice").records, 500);
    }
}

#[test]
fn long_data_and_more_parameters_are_read_as_the_server_reads_them() {
    let desk = desk(&Budgeted::hourly(50));
    let mut alice = login(&desk, "alice");
    let prepared = alice.prepare("select id, name, concat(?, email) from customers where id > ? order by id").unwrap();
    alice.send(&packets::long_data(prepared.id, 0, b"mail: "));
    alice.send(&packets::long_data(prepared.id, 0, b"<"));
    // A parameter that was sent in pieces has no value in the execution.
    let mut body = prepared.id.to_le_bytes().to_vec();
    body.extend_from_slice(&[0, 1, 0, 0, 0, 0, 1, 0xfc, 0, 0xfd, 0]);
    packets::lenenc_string(&mut body, b"7");
    alice.send(&packets::command(packets::command::STMT_EXECUTE, &body));
    let reply = alice.binary_reply();
    assert_eq!(assert_denied(&reply), 50);
    assert_eq!(reply.texts()[0], ["8", "Customer 8", "mail: <customer8@example.org"]);
    assert_usable(&mut alice);
}

#[test]
fn a_transaction_stays_as_the_server_leaves_it() {
    let server = MySql::shared();
    let database = server.database("cut");
    let policy = Budgeted { database: database.clone(), ..Budgeted::hourly(20) };
    let desk = desk(&policy);
    let mut alice = Raw::login(desk.address(), "alice", &database);
    alice.query("start transaction").fine();
    alice.query("insert into articles values (9001, 'before the cut', '', null)").fine();
    alice.query("savepoint s").fine();
    assert_eq!(assert_denied(&alice.query(ALL)), 20);
    // A statement that MySQL ends is undone by itself; the transaction goes on.
    let reply = alice.query("insert into articles values (9002, 'behind the cut', '', null)").fine();
    assert_eq!(reply.status() & status::IN_TRANSACTION, status::IN_TRANSACTION);
    assert_eq!(assert_denied(&alice.query("select name from customers where id = 2000")), 0, "refused before it ran");
    alice.query("rollback to savepoint s").fine();
    alice.query("commit").fine();
    assert_eq!(server.value(&database, "select group_concat(id) from articles where id > 9000"), "9001");
    assert_usable(&mut alice);
}

#[test]
fn a_multi_statement_ends_at_its_cut() {
    let server = MySql::shared();
    let database = server.database("cut");
    let desk = desk(&Budgeted { database: database.clone(), ..Budgeted::hourly(500) });
    let mut alice = Raw::login(desk.address(), "alice", &database);
    let reply = alice.query(
        "set @first = 1; select id, name from customers where id <= 300; \
         select id, name from customers where id > 300 order by id; \
         insert into articles values (9003, 'behind the cut', '', null); select 'last'",
    );
    assert_eq!(assert_denied(&reply), 500);
    let ends: Vec<bool> = reply.results.iter().map(|result| result.done.is_some()).collect();
    assert_eq!(ends, [true, true, false], "two whole results and the beginning of one");
    assert!(reply.results[..2].iter().all(|result| result.done.as_ref().is_some_and(|done| done.more())));
    assert_usable(&mut alice);
    // A batch is judged as one: where a part of it is refused before it runs, nothing of it runs.
    let reply = alice.query("insert into articles values (9004, 'x', '', null); select pan from billing.cards");
    assert_eq!((reply.rows(), reply.error().code), (0, DENIED_MYSQL.0));
    assert_eq!(server.value(&database, "select count(*) from articles where id = 9004"), "0");
    assert_usable(&mut alice);
}

#[test]
fn a_procedures_results_are_cut() {
    for manner in MANNERS {
        let desk = desk(&Budgeted::hourly(500));
        let mut alice = login_as(&desk, "alice", manner);
        assert_eq!(assert_denied(&alice.query("call every_customer()")), 500);
        assert_usable(&mut alice);
        assert_eq!(alice.query("call two_results(3)").fine().rows(), 3 + 3);
        let mut bob = login_as(&desk, "bob", manner);
        assert_eq!(assert_denied(&bob.extended("call every_customer()", &[])), 500);
        assert_usable(&mut bob);
    }
}

#[test]
fn another_user_of_a_connection_is_another_person() {
    let desk = desk(&Budgeted::hourly(500));
    let mut client = login(&desk, "alice");
    assert_eq!(client.query("select id, name from customers where id <= 300").fine().rows(), 300);
    client.change_user(&Login::new("bob", "support")).expect("bob's password");
    assert_eq!(assert_denied(&client.query(ALL)), 500);
    client.change_user(&Login::new("alice_report", "support")).expect("alice's other account");
    assert_eq!(assert_denied(&client.query("select id, name from customers where id > 300 order by id")), 200);
    assert_usable(&mut client);
    client.change_user(&Login::new("stranger", "support")).expect("a stranger's password");
    assert_eq!(client.query("select name from customers where id = 1").error().code, DENIED_MYSQL.0);
    let failure = client.change_user(&Login::new("bob", "support").password("wrong")).expect_err("a wrong password");
    assert!(matches!(&failure, Failure::Server(error) if error.code == 1045), "{failure:?}");
    assert_eq!(released(desk.weir(), "alice").records, 500);
    assert_eq!(released(desk.weir(), "bob").records, 500);
}

#[test]
fn a_session_that_is_reset_keeps_its_person_and_budget() {
    let desk = desk(&Budgeted::hourly(100));
    let mut alice = login(&desk, "alice");
    assert_eq!(alice.query("select id, name from customers where id <= 60").fine().rows(), 60);
    let prepared = alice.prepare("select name from customers where id = ?").unwrap();
    alice.query("set @mine = 1").fine();
    alice.ask(&packets::reset_connection()).fine();
    assert_eq!(alice.query("select @mine").fine().column(), ["<null>"]);
    // Statements of before are gone, on the server and in Weir: what the number now means nobody knows.
    assert_eq!(alice.execute(&prepared, 0, &["1"]).error().sqlstate.len(), 5);
    assert_eq!(assert_denied(&alice.query(ALL)), 100, "sixty known ones and forty more");
    assert_usable(&mut alice);
}

#[test]
fn a_database_by_another_name_is_the_same_data() {
    let desk = desk(&Budgeted::hourly(50));
    let mut alice = Raw::try_login(desk.address(), &Login::new("alice", "")).expect("a login without a database");
    assert_eq!(alice.query("select id, name from support.customers where id <= 20").fine().rows(), 20);
    alice.ask(&packets::init_db("billing")).fine();
    assert_eq!(alice.query("select pan from cards where id = 1").error().code, DENIED_MYSQL.0);
    alice.query("use support").fine();
    assert_eq!(assert_denied(&alice.query(ALL)), 50);
    alice.query("use billing").fine();
    assert_eq!(alice.extended("select pan from cards", &[]).error().code, DENIED_MYSQL.0);
    assert_usable(&mut alice);
}

#[test]
fn rows_that_begin_like_an_end_and_rows_of_several_packets_are_rows() {
    for manner in MANNERS {
        let desk = desk(&Budgeted::hourly(3));
        let mut alice = login_as(&desk, "alice", manner);
        // The length of the first value takes eight bytes behind 0xfe.
        let reply = alice.query("select repeat('x', 16777216), id, email from customers order by id limit 5");
        assert_eq!((reply.rows(), reply.error().code), (3, DENIED_MYSQL.0), "capabilities {manner:#x}");
        assert_usable(&mut alice);
        // A row of exactly the longest packet is followed by an empty packet.
        let mut bob = login_as(&desk, "bob", manner);
        let reply = bob.query(
            "select id, repeat('x', 16777215 - 2 - 4 - 1), substr(email, 100) from customers where id < 6 order by id",
        );
        assert_eq!((reply.rows(), reply.error().code), (3, DENIED_MYSQL.0), "capabilities {manner:#x}");
        let lengths: Vec<usize> =
            reply.packets.iter().map(|packet| packet.payload.len()).filter(|length| *length > 1 << 20).collect();
        assert_eq!(lengths, [packets::PAYLOAD_MAX; 3]);
        assert_usable(&mut bob);
    }
}

#[test]
fn commands_sent_one_behind_the_other_are_answered_in_order() {
    let desk = desk(&Budgeted::hourly(10));
    let mut alice = login(&desk, "alice");
    let secret = "select name from customers where id = 2000";
    alice.send(
        &[
            packets::query("select 'first'"),
            packets::query(ALL),
            packets::query("select 'third'"),
            packets::query(secret),
            packets::ping(),
            packets::query("select 'last'"),
        ]
        .concat(),
    );
    assert_eq!(alice.text_reply().fine().column(), ["first"]);
    assert_eq!(assert_denied(&alice.text_reply()), 10);
    assert_eq!(alice.text_reply().fine().column(), ["third"]);
    assert_eq!(assert_denied(&alice.text_reply()), 0);
    assert_eq!(alice.text_reply().fine().packets.len(), 1);
    assert_eq!(alice.text_reply().fine().column(), ["last"]);
    assert_usable(&mut alice);
}

#[test]
fn what_was_prepared_in_sql_is_judged_when_it_runs() {
    let desk = desk(&Budgeted::hourly(50));
    let mut alice = login(&desk, "alice");
    alice.query("prepare p from 'select id, name, email from customers where id > ? order by id'").fine();
    alice.query("set @from = 0").fine();
    assert_eq!(assert_denied(&alice.query("execute p using @from")), 50);
    assert_usable(&mut alice);
    alice.query("deallocate prepare p").fine();
}

#[test]
fn export_into_files_and_variables_is_refused_where_export_is() {
    let policy = Budgeted { export: Export::Refused, ..Budgeted::default() };
    let desk = desk(&policy);
    let mut alice = login(&desk, "alice");
    for sql in [
        "select * from customers into outfile 'weir-test.tsv'",
        "select * into outfile 'weir-test.tsv' fields terminated by ',' from customers",
        "select email from customers limit 1 into dumpfile 'weir-test.bin'",
        "select 1; select email from support.customers into outfile 'weir-test.tsv'",
    ] {
        let reply = alice.query(sql);
        assert_eq!((reply.error().code, reply.error().sqlstate.as_str()), DENIED_MYSQL, "{sql}: {reply:?}");
        assert_usable(&mut alice);
    }
    // The reading of single customers goes on.
    assert_eq!(alice.query("select name from customers where id = 3").fine().column(), ["Customer 3"]);
}

#[test]
fn returning_draws_on_the_budget() {
    let server = MySql::shared();
    if server.flavour() != Flavour::MariaDb {
        return;
    }
    let database = server.database("cut");
    let desk = desk(&Budgeted { database: database.clone(), ..Budgeted::hourly(30) });
    let mut alice = Raw::login(desk.address(), "alice", &database);
    alice.query("delete from tickets").fine();
    alice.query("start transaction").fine();
    assert_eq!(assert_denied(&alice.query("delete from customers where id > 100 returning id, name, email")), 30);
    alice.query("rollback").fine();
    assert_usable(&mut alice);
}

#[test]
fn accounts_of_another_plugin_are_the_same_person() {
    let server = MySql::shared();
    if server.flavour() != Flavour::MariaDb {
        return;
    }
    let desk = desk(&Budgeted::hourly(60));
    assert_eq!(login(&desk, "alice").query("select id, name from customers where id <= 50").fine().rows(), 50);
    let mut client = weir_tests::tools::mariadb("mariadb", desk.address(), "alice_ed25519", "support");
    client.args(["--batch", "--skip-column-names", "--quick", "-e", ALL]);
    let output = weir_tests::process::run(&mut client, b"", std::time::Duration::from_secs(60));
    assert_ne!(output.code, 0);
    assert_eq!(output.stdout.lines().count(), 60, "fifty known ones and ten more: {}", output.stderr);
    assert!(output.stderr.contains(BUDGET_MESSAGE), "{}", output.stderr);
}
