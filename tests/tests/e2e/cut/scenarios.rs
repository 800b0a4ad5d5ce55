//! The thefts that Weir is for, at full size: 68,000 customers, in one shot and by patience; on either server, and on
//! both in turn.

use weir_tests::audit::{self, released};
use weir_tests::engine::{Client, Engine, Server};
use weir_tests::for_both_engines;
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::target::Target;
use weir_tests::wait;
use weir_tests::weir::{Weir, WeirOptions};

use super::assert_denied;

/// How many people were sold in the real case.
const CUSTOMERS: u32 = 68_000;
/// How many a page shows.
const PAGE: u32 = 200;

for_both_engines!(
    one_shot_is_cut_at_two_hundred,
    patience_ends_at_five_hundred_by_offset,
    patience_ends_at_five_hundred_by_key,
);

/// No more than 200 a statement and 500 an hour.
fn policy(database: &str, engines: &[Engine]) -> WeirOptions {
    let budgeted = Budgeted {
        database: database.to_owned(),
        engines: engines.to_vec(),
        more_budget: &["{ records: 200, per: statement }"],
        ..Budgeted::default()
    };
    WeirOptions::policy(budgeted.yaml())
}

/// A database with all of them.
fn full(server: &dyn Server) -> String {
    let database = server.database("theft");
    server.more_customers(&database, u64::from(CUSTOMERS));
    assert_eq!(server.value(&database, "select count(*) from customers"), CUSTOMERS.to_string());
    database
}

/// One SELECT with a language filter.
fn one_shot_is_cut_at_two_hundred(engine: Engine) {
    let server = engine.server();
    let database = full(server);
    let front = Target::front(server, &policy(&database, &[engine]));
    let mut alice = Client::login(engine, front.address(), "alice", &database);
    let answer = alice.query(
        "select c.id, c.name, c.email, c.phone, t.id as ticket from customers c \
         left join tickets t on t.customer_id = c.id where c.language = 'en' order by c.id",
    );
    assert_eq!(assert_denied(&answer), 200);
    assert_eq!(answer.rows[199][2], format!("customer{}@example.org", 1 + 4 * 199));
    alice.assert_usable();
    alice.goodbye();
    let weir = front.weir();
    let cut = weir.audit_event("the cut", |event| event["detail"]["outcome"] == "cut");
    assert_eq!((audit::person(&cut), &cut["detail"]["rows"]), ("alice", &200.into()), "{cut:#}");
    assert_eq!(released(weir, "alice").records, 200);
    wait::until_true("an alert that names person and table", wait::SOON, || {
        weir.alerts().iter().any(|alert| {
            let text = alert.to_string();
            text.contains("alice") && text.contains("customers")
        })
    });
    let verify = weir.command(&["audit", "verify"]);
    assert_eq!(verify.code, 0, "{} {}", verify.stdout, verify.stderr);
}

fn patience_ends_at_five_hundred_by_offset(engine: Engine) {
    patience(engine, |page, _| {
        format!("select id, name, email, phone from customers order by id limit {PAGE} offset {}", page * PAGE)
    });
}

fn patience_ends_at_five_hundred_by_key(engine: Engine) {
    patience(engine, |_, last| {
        format!("select id, name, email, phone from customers where id > {last} order by id limit {PAGE}")
    });
}

/// 340 pages, a connection for each, two accounts in turn, text and prepared in turn.
fn patience(engine: Engine, page_of: impl Fn(u32, u32) -> String) {
    let server = engine.server();
    let database = full(server);
    let front = Target::front(server, &policy(&database, &[engine]));
    let (mut received, mut last, mut denied) = (Vec::new(), 0, 0);
    for page in 0..CUSTOMERS / PAGE {
        let account = if page % 2 == 0 { "alice" } else { "alice_report" };
        let mut client = Client::login(engine, front.address(), account, &database);
        // A thief who is cut goes on behind what the page should have shown.
        let sql = page_of(page, last);
        let answer = if page % 3 == 2 { client.prepared(&sql, &[]) } else { client.query(&sql) };
        last += PAGE;
        denied += usize::from(answer.error.is_some());
        if answer.error.is_some() {
            assert_denied(&answer);
        }
        received.extend(answer.column());
        client.goodbye();
    }
    let expected: Vec<String> = (1..=500_u32).map(|id| id.to_string()).collect();
    assert_eq!(received, expected, "{} records left", received.len());
    assert_eq!(denied, 338, "the third page is cut, the others are refused");
    assert_eq!(released(front.weir(), "alice").records, 500);
}

/// A page here, a page there: one person, one budget.
#[test]
fn mysql_and_postgresql_in_turn_are_one_budget() {
    let servers: [&dyn Server; 2] = [Postgres::shared(), MySql::shared()];
    let upstreams = servers.map(|server| (server.engine(), server.address()));
    let weir = Weir::start_for(&upstreams, &policy("support", &[Engine::Postgres, Engine::MySql]));
    let mut received = [0, 0];
    let mut denied = 0;
    for page in 0..20_u32 {
        let side = usize::try_from(page % 2).unwrap();
        let engine = servers[side].engine();
        let account = if page % 4 < 2 { "alice" } else { "alice_report" };
        let mut client = Client::login(engine, weir.address_for(engine), account, "support");
        let from = page / 2 * 120;
        let sql = format!("select id, name, email from customers where id > {from} order by id limit 120");
        let answer = client.query(&sql);
        if answer.error.is_some() {
            assert_denied(&answer);
            denied += 1;
        }
        received[side] += answer.rows.len();
        client.assert_usable();
        client.goodbye();
    }
    // 120 and 120, twice; then the twenty that were left.
    assert_eq!(received, [260, 240], "of PostgreSQL and of MySQL");
    assert_eq!(denied, 16);
    assert_eq!(released(&weir, "alice").records, 500);
    // What was read stays free on either side, and another person has a budget of their own.
    for (engine, address) in upstreams.map(|(engine, _)| (engine, weir.address_for(engine))) {
        let mut alice = Client::login(engine, address, "alice", "support");
        assert_eq!(alice.query("select name from customers where id = 100").fine().column(), ["Customer 100"]);
        let mut bob = Client::login(engine, address, "bob", "support");
        assert_eq!(bob.query("select id, name from customers where id <= 150").fine().rows.len(), 150);
    }
    assert_eq!(released(&weir, "bob").records, 300);
}

/// What one server let go counts after a restart on the other too.
#[test]
fn mysql_and_postgresql_stay_one_budget_over_a_restart_and_a_crash() {
    let servers: [&dyn Server; 2] = [Postgres::shared(), MySql::shared()];
    let upstreams = servers.map(|server| (server.engine(), server.address()));
    let mut weir = Weir::start_for(&upstreams, &policy("support", &[Engine::Postgres, Engine::MySql]));
    let page = |weir: &Weir, account: &str, engine, from: u32| {
        let mut client = Client::login(engine, weir.address_for(engine), account, "support");
        let answer = client.query(&format!("select id, email from customers where id > {from} order by id limit 200"));
        client.goodbye();
        answer
    };
    for account in ["alice", "bob"] {
        assert_eq!(page(&weir, account, Engine::Postgres, 0).fine().rows.len(), 200);
        assert_eq!(page(&weir, account, Engine::MySql, 0).fine().rows.len(), 200);
        // Alice's Weir ends in order, Bob's does not.
        if account == "alice" {
            weir.stop()
        } else {
            weir.kill()
        }
        weir.start_again();
        let rest = assert_denied(&page(&weir, account, Engine::MySql, 200));
        // A lease that nobody settled counts in full.
        assert!(rest == 100 || account == "bob" && rest < 100, "{account}: {rest}");
        assert_eq!(assert_denied(&page(&weir, account, Engine::Postgres, 200)), 0, "{account}");
    }
    assert_eq!(page(&weir, "alice", Engine::Postgres, 0).fine().rows.len(), 200, "read before the restarts");
}
