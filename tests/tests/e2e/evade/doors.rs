//! Ways out besides rows: what PostgreSQL says in errors, notices, settings, notifications and names of columns.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir_tests::audit;
use weir_tests::frames::{self, bind, parse, sync};
use weir_tests::policies::{ALLOW_ALL, Budgeted};
use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::Target;
use weir_tests::tools::{self, point};
use weir_tests::weir::WeirOptions;

use super::customers_in;

/// Records per person and hour.
const BUDGET: usize = 20;
/// How often each way is gone.
const TIMES: usize = 60;

/// What the functions below read is told by their notices, errors and settings.
const FUNCTIONS: &str = "
create function told(wanted integer) returns text language plpgsql as $$
begin
    raise notice 'it is %', (select email from public.customers where id = wanted);
    return 'done';
end $$;
create function fixed(wanted integer) returns integer language plpgsql immutable as $$
begin
    return (select email from public.customers where id = wanted)::integer;
end $$;
grant execute on all functions in schema public to public;
create table kept (email text primary key);
insert into kept select email from customers;
create table later (email text, constraint once unique (email) deferrable initially deferred);
insert into later select email from customers;
grant all on kept, later, customers to agents;
";

/// A database of its own with these functions, and Weir before it.
fn front(records: usize) -> (Target, String) {
    let postgres = Postgres::shared();
    let database = postgres.database("doors");
    postgres.psql(&database, FUNCTIONS);
    let policy = Budgeted { database: database.clone(), ..Budgeted::hourly(records as u64) };
    (Target::front(postgres, &WeirOptions::policy(policy.yaml())), database)
}

/// Asks for each number from 1; customers in all that came back, and whether the session was fit to go on each time.
fn leak(address: SocketAddr, database: &str, ask: impl Fn(&mut Raw, usize) -> Vec<Reply>) -> BTreeSet<u32> {
    let mut client = Raw::login(address, "alice", database);
    let mut found = BTreeSet::new();
    for number in 1..=TIMES {
        for reply in ask(&mut client, number) {
            assert!(reply.end.is_none(), "the session is over: {reply:?}");
            found.extend(customers_in(&reply.messages));
        }
    }
    assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
    found
}

/// Each way is shown to work on the server itself, and to bring no more than the budget through Weir.
fn check(name: &str, ask: impl Fn(&mut Raw, usize) -> Vec<Reply>) -> Vec<Value> {
    let (front, database) = front(BUDGET);
    let direct = leak(Postgres::shared().address(), &database, &ask);
    assert!(direct.len() > 2 * BUDGET, "`{name}` proves nothing: {} customers", direct.len());
    let through = leak(front.address(), &database, &ask);
    assert!(through.len() <= BUDGET, "`{name}`: {} customers", through.len());
    front.weir().audit_event("what was withheld", |event| {
        event["kind"] == "completion" && event["decision"] == "cut" || event["kind"] == "denial"
    });
    front.weir().audit_events()
}

fn query(sql: &'static str) -> impl Fn(&mut Raw, usize) -> Vec<Reply> {
    move |client, number| vec![client.query(&sql.replace("{}", &number.to_string()))]
}

#[test]
fn a_failed_cast_is_a_read() {
    let events = check("cast", query("select cast(email as int) from customers where id = {}"));
    let completions = audit::of_kind(&events, "completion");
    let of = |decision: &str| {
        completions
            .iter()
            .filter(|event| event["decision"] == decision && event["detail"]["doors"][0]["door"] == "error")
            .count()
    };
    assert_eq!(of("allow"), BUDGET, "one record each");
    assert!(completions.iter().any(|event| event["detail"]["records"][0]["count"] == 1), "{completions:?}");
    // What nobody reads any more is refused before it runs, or withheld: never told of twice for one statement.
    let alerts = audit::of_kind(&events, "alert");
    let statements: BTreeSet<&str> = alerts.iter().filter_map(|event| event["statement"]["id"].as_str()).collect();
    assert!(alerts.len() <= statements.len() + 1, "{} alerts for {} statements", alerts.len(), statements.len());
}

#[test]
fn other_errors_are_reads_too() {
    for sql in [
        // Only compared, never let out.
        "select count(*) from customers where id = {} and cast(email as int) > 0",
        "select ('{\"' || (select email from customers where id = {}) || '\": x')::json",
        "select (select email from customers where id = {})::regclass",
        "insert into kept select email from customers where id = {}",
        "select count(*) from customers where id = {} and email::date > now()",
        "select fixed({})",
        "do $$ begin perform cast(email as int) from customers where id = {}; end $$",
        // A copy that is checked when the transaction ends.
        "update later set email = (select email from customers where id = {}) where email = 'customer{}@example.org'; \
         insert into later select email from customers where id = {}",
    ] {
        let sql: &'static str = Box::leak(sql.to_owned().into_boxed_str());
        check(sql, query(sql));
    }
}

#[test]
fn many_in_one_message_are_many() {
    let sql = "select count(*) from customers where id = {} and \
               (select string_agg(email, ' ') from customers where id between {} and {} + 9)::int > 0";
    let events = check("a list in an error", query(sql));
    let completions = audit::of_kind(&events, "completion");
    assert!(completions.iter().all(|event| event["detail"]["doors"][0]["bytes"] != 0 || event["decision"] == "cut"));
}

#[test]
fn what_is_planned_with_its_parameters_tells_before_anything_is_judged() {
    check("an immutable function", |client, number| {
        let text = format!("select fixed({number})");
        vec![client.ask(&[parse("", &text), bind("", "", &[], 0), sync()].concat())]
    });
}

#[test]
fn what_a_function_says_is_a_read() {
    check("raise notice", query("select told({})"));
    check(
        "a setting",
        query("select length(set_config('application_name', (select email from customers where id = {}), false))"),
    );
}

#[test]
fn a_statement_that_reads_and_notifies_is_a_read() {
    check("notify", |client, number| {
        let listen = client.query("listen door");
        let notify = format!("select pg_notify('door', email) from customers where id = {number}");
        vec![listen, client.query(&notify), client.query("select 1")]
    });
}

/// What somebody else sends is metered where it arrives: keys and events pass, data does up to a bound.
#[test]
fn payloads_of_notifications_are_metered_where_they_arrive() {
    let (front, database) = front(500);
    let mut alice = Raw::login(front.address(), "alice", &database);
    alice.query("listen door").fine();
    let mut sender = Raw::login(Postgres::shared().address(), "app", &database);
    let mut sent = |bytes: usize, times: usize| {
        let sql = format!("select pg_notify('door', n || repeat('x', {bytes})) from generate_series(1, {times}) n");
        sender.query(&sql).fine();
        let mut arrived = 0;
        let mut seen = 0;
        while seen < times {
            let reply = alice.query("select 1");
            for message in reply.messages.iter().filter(|message| message.tag == b'A') {
                seen += 1;
                arrived += message.body.len().saturating_sub(4 + b"door\0\0".len());
            }
        }
        arrived
    };
    assert!(sent(20, 2000) > 40_000, "small ones are never held back");
    let large = sent(7000, 60);
    assert!((200_000..=262_144).contains(&large), "{large} bytes of 420,000");
    assert!(sent(20, 10) > 200, "and still are not");
    front.weir().audit_event("what was withheld", |event| event["detail"]["code"] == "withheld");
    let events = front.weir().audit_events();
    let alerts = audit::of_kind(&events, "alert");
    assert_eq!(alerts.iter().filter(|event| event["detail"]["code"] == "withheld").count(), 1, "{alerts:?}");
}

/// Real clients that meet other words than the server's go on.
fn survives(mut command: Command, expected: &[&str]) {
    let (front, database) = front(1);
    point(&mut command, front.address(), "alice", &database);
    let output = run(&mut command, b"", Duration::from_secs(120)).ok();
    assert_eq!(output.lines().collect::<Vec<_>>(), expected);
}

const SEEN: &[&str] = &["22P02 own", "22P02 withheld", "22P02 withheld", "usable"];

#[test]
fn psycopg_survives_a_withheld_error() {
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/withheld_psycopg.py"));
    survives(python, &["22P02 own", "22P02 withheld", "22P02 withheld", "savepoint 22P02", "usable"]);
}

#[test]
fn node_postgres_survives_a_withheld_error() {
    let mut node = tools::node();
    node.arg(tools::test_file("drivers/withheld_node.js"));
    survives(node, SEEN);
}

#[test]
fn jdbc_survives_a_withheld_error() {
    let mut java = tools::java();
    java.arg(tools::test_file("drivers/WithheldJdbc.java"));
    survives(java, SEEN);
}

/// Whoever may read gets the server's own words, and is charged for them in silence.
#[test]
fn errors_within_the_budget_are_the_servers_own() {
    let (front, database) = front(500);
    let both = [Postgres::shared().address(), front.address()];
    let mut clients = both.map(|address| Raw::login(address, "alice", &database));
    for sql in [
        "select cast(email as int) from customers where id = 7",
        "insert into customers select * from customers where id = 7",
        "insert into kept values ('customer7@example.org')",
        "update customers set email = 'customer8@example.org' where id = 7",
        "select told(7)",
        "select emial from customers",
        "select 1/0 from customers",
        "selec email from customers",
        "select * from customers where id = 'seven'",
        "begin; select email from customers where id = 7; rollback to nowhere",
        "rollback",
    ] {
        let [direct, through] = clients.each_mut().map(|client| client.query(sql));
        let bytes = |reply: &Reply| reply.messages.iter().flat_map(frames::Message::bytes).collect::<Vec<u8>>();
        assert_eq!(bytes(&direct), bytes(&through), "{sql}: {direct:?} {through:?}");
    }
    let events = front.weir().audit_events();
    assert!(audit::of_kind(&events, "alert").is_empty(), "{events:?}");
    let completions = audit::of_kind(&events, "completion");
    let misspelt = completions.iter().filter(|event| event["detail"]["sqlstate"] == "42703");
    assert!(misspelt.clone().all(|event| event["detail"].get("doors").is_none()), "a misspelt name holds nothing");
}

/// Somebody who may write and not read meets a key that is taken: the words stay, the values go, and nobody is alarmed.
#[test]
fn a_key_that_is_taken_loses_its_value_for_those_who_may_not_read() {
    let postgres = Postgres::shared();
    let database = postgres.database("doors");
    postgres.psql(&database, "grant all on customers to agents");
    let policy = Budgeted { database: database.clone(), ..Budgeted::hourly(1) };
    let front = Target::front(postgres, &WeirOptions::policy(policy.yaml()));
    let mut alice = Raw::login(front.address(), "alice", &database);
    assert_eq!(alice.query("select email from customers where id = 1").fine().rows(), 1);
    // Her own value is no secret; another's is.
    let own = alice.query("update customers set email = 'customer8@example.org' where id = 7").error();
    assert!(own.detail.contains("customer8@example.org"), "{own:?}");
    let other =
        alice.query("update customers set email = 'customer' || (id + 1) || '@example.org' where id = 7").error();
    assert_eq!(other.sqlstate, "23505");
    assert!(other.message.contains("customers_email_key") && other.detail.is_empty(), "{other:?}");
    let events = front.weir().audit_events();
    assert!(!audit::of_kind(&events, "alert").iter().any(|event| event["detail"]["code"] == "withheld"), "{events:?}");
}

#[test]
fn an_allow_all_policy_lets_function_calls_pass() {
    let postgres = Postgres::shared();
    let oid: u32 = postgres.value("support", "select 'reverse(text)'::regprocedure::oid").parse().unwrap();
    let observing = Budgeted { mode: "observe", ..Budgeted::hourly(1) }.yaml();
    for policy in [ALLOW_ALL.to_owned(), observing] {
        let front = Target::front(postgres, &WeirOptions::policy(policy));
        let mut alice = Raw::login(front.address(), "alice", "support");
        let reply = alice.ask(&frames::function_call(oid, "ABC"));
        assert_eq!(reply.tags(), "VZ", "{reply:?}");
        assert!(reply.messages[0].body.ends_with(b"CBA"));
    }
}
