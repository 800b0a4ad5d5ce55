//! What holds on both engines.
//!
//! Every test has a server of its own, with a place `share` (a schema, or a database of MySQL's) where everybody may do
//! anything.

use weir_tests::audit::of_kind;
use weir_tests::engine::{Answer, Client, Engine, Server};
use weir_tests::fixture::CUSTOMERS;
use weir_tests::for_both_engines;
use weir_tests::policies::Budgeted;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::{BUDGET, charged};

for_both_engines!(
    what_one_copies_another_is_charged_for,
    a_table_that_is_made_anew_is_free,
    a_copy_of_a_single_record_is_one_record,
    a_copy_is_counted_within_its_own_text_and_transaction,
    a_copy_in_the_same_row_is_labelled_and_free,
);

/// A server with a place for everybody's tables.
fn server(engine: Engine) -> Box<dyn Server> {
    let server = engine.own_server();
    match engine {
        Engine::Postgres => {
            server.script("support", "create schema share; grant all on schema share to public");
        }
        Engine::MySql => {
            let grants: String =
                ["alice", "bob", "carol"].iter().map(|user| format!("grant all on share.* to {user}@'%'; ")).collect();
            server.script("support", &format!("create database share; {grants}"));
        }
    }
    server
}

fn front(engine: Engine, server: &dyn Server, records: u64) -> Target {
    Target::front(server, &WeirOptions::policy(Budgeted::hourly(records).on(engine).yaml()))
}

fn login(engine: Engine, front: &Target, user: &str) -> Client {
    Client::login(engine, front.address(), user, "support")
}

fn shared(engine: Engine, client: &mut Client, table: &str) {
    if engine == Engine::Postgres {
        client.query(&format!("grant all on share.{table} to public")).fine();
    }
}

/// A refusal or a cut by policy; returns how many rows came before.
#[track_caller]
fn denied(answer: &Answer) -> u64 {
    let error = answer.error();
    assert!(error.denied, "{error:?}");
    u64::try_from(answer.rows.len()).unwrap()
}

fn what_one_copies_another_is_charged_for(engine: Engine) {
    let server = server(engine);
    let Target::Weir(mut weir) = front(engine, &*server, BUDGET) else { return };
    let at =
        |weir: &weir_tests::weir::Weir, user: &str| Client::login(engine, weir.address_for(engine), user, "support");
    let mut alice = at(&weir, "alice");
    alice.query("create table share.copy1 as select id, name, email as mail, language from customers").fine();
    shared(engine, &mut alice, "copy1");
    alice.goodbye();
    let copies = weir.audit_events();
    let copies = of_kind(&copies, "copy");
    assert_eq!(copies[0]["detail"]["target"]["name"], "copy1");
    assert_eq!(copies[0]["detail"]["columns"], serde_json::json!(["mail", "name"]));
    assert_eq!(copies[0]["detail"]["key"], serde_json::json!(["id"]));
    assert_eq!(copies[0]["person"]["id"], "alice");
    // Another person, after a crash.
    weir.kill();
    weir.start_again();
    let mut bob = at(&weir, "bob");
    assert_eq!(bob.query("select language, count(*) from share.copy1 group by language").fine().rows.len(), 4);
    assert_eq!(bob.query("select id, language from share.copy1").fine().rows.len() as u64, CUSTOMERS);
    charged(&weir, "bob", 0); // these are harmless columns
    assert_eq!(bob.query("select id, mail from share.copy1").fine().rows.len() as u64, CUSTOMERS);
    charged(&weir, "bob", CUSTOMERS);
    assert_eq!(bob.query("select id, email from customers").fine().rows.len() as u64, CUSTOMERS);
    charged(&weir, "bob", CUSTOMERS); // the same records, wherever they are read
    // A copy of the copy, by a third.
    let mut carol = at(&weir, "carol");
    carol.query("create table share.copy2 as select id as nr, mail from share.copy1").fine();
    shared(engine, &mut carol, "copy2");
    assert_eq!(bob.query("select nr, mail from share.copy2").fine().rows.len() as u64, CUSTOMERS);
    charged(&weir, "bob", CUSTOMERS); // the same records once more
    // Without the key every row counts.
    assert_eq!(denied(&bob.query("select mail from share.copy2")), BUDGET - CUSTOMERS);
    assert_eq!(weir.log().matches("panicked").count(), 0);
    let listed = weir.command(&[
        "catalog",
        "--database",
        if engine == Engine::Postgres { "support" } else { "share" },
        "--json",
    ]);
    let listed = listed.ok();
    assert!(listed.contains("copy2") && listed.contains("\"carol\""), "{listed}");
}

fn a_table_that_is_made_anew_is_free(engine: Engine) {
    let server = server(engine);
    let front = front(engine, &*server, BUDGET);
    let mut alice = login(engine, &front, "alice");
    alice.query("create table share.leak as select id, email as mail from customers").fine();
    alice.query("drop table share.leak").fine();
    alice.query("create table share.leak (id int, mail varchar(80))").fine();
    alice.query("insert into share.leak values (1, 'mine'), (2, 'mine')").fine();
    shared(engine, &mut alice, "leak");
    let mut bob = login(engine, &front, "bob");
    assert_eq!(bob.query("select mail from share.leak").fine().rows.len(), 2);
    charged(front.weir(), "bob", 0);
    let events = front.weir().audit_events();
    assert_eq!(of_kind(&events, "copy-ended").len(), 1);
}

fn a_copy_of_a_single_record_is_one_record(engine: Engine) {
    let server = server(engine);
    let front = front(engine, &*server, 10);
    let mut alice = login(engine, &front, "alice");
    alice.query("create table share.cases (id int, mail varchar(80))").fine();
    for id in 1..=10 {
        let sql = format!("insert into share.cases select {id}, email from customers where id = {id}");
        alice.query(&sql).fine();
    }
    let answer = alice.query("insert into share.cases select 11, email from customers where id = 11");
    assert_eq!(denied(&answer), 0);
    charged(front.weir(), "alice", 10);
}

fn a_copy_is_counted_within_its_own_text_and_transaction(engine: Engine) {
    let server = server(engine);
    for table in ["here", "there"] {
        let grant =
            if engine == Engine::Postgres { format!("; grant all on share.{table} to public") } else { String::new() };
        server.script("support", &format!("create table share.{table} (id int, mail varchar(80)){grant}"));
    }
    let front = front(engine, &*server, BUDGET);
    let mut alice = login(engine, &front, "alice");
    alice.query("begin").fine();
    alice.query("insert into share.here select id, email from customers").fine();
    assert!(denied(&alice.query("select mail from share.here")) <= BUDGET - CUSTOMERS + CUSTOMERS / 5);
    if engine == Engine::Postgres {
        let mut bob = login(engine, &front, "bob");
        let answer =
            bob.query("insert into share.there (mail) select email from customers; select mail from share.there");
        assert!(denied(&answer) <= BUDGET - CUSTOMERS + CUSTOMERS / 5);
    }
    // What was rolled back is empty, and labelled.
    alice.query("rollback").fine();
    let mut carol = login(engine, &front, "carol");
    assert!(carol.query("select mail from share.here").fine().rows.len() <= 1);
}

fn a_copy_in_the_same_row_is_labelled_and_free(engine: Engine) {
    let server = server(engine);
    server.script("support", "alter table customers add note varchar(80)");
    let front = front(engine, &*server, 500);
    let mut alice = login(engine, &front, "alice");
    alice.query("update customers set note = email").fine();
    charged(front.weir(), "alice", 0);
    let mut bob = login(engine, &front, "bob");
    assert_eq!(denied(&bob.query("select id, note from customers order by id")), 500);
    let reread = bob.query("select id, email, note from customers where id <= 500").fine();
    assert_eq!(reread.rows.len(), 500, "the same records");
    charged(front.weir(), "bob", 500);
}
