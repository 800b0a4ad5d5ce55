//! Evasion by what a name means: every sequence makes somebody who reads along look `customers` up elsewhere than the
//! server does, or judge something else than what then runs.
//!
//! `OWN` stands for a schema of the account's own. In most sequences it has a harmless `customers`.

use weir_tests::fixture::people_and_evaders;
use weir_tests::frames::{bind, copy_data, describe, execute, frame, parse, query, sync};
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::Raw;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::customers_in;

/// Records per person.
const BUDGET: usize = 20;
/// The first of the accounts that these sequences use, one each; the others are those of other tests.
const FIRST_EVADER: usize = 60;
/// A column of the server's result has no origin here, so that only the name tells what it is.
const READ: &str = "select 'x' || email from customers";
/// The harmless table.
const OWN: &str = "create schema OWN; create table OWN.customers (id int, email text)";

/// One step of a sequence.
enum Step {
    /// A simple query; its reply may be an error.
    Say(&'static str),
    /// Messages in one write, and how many times the server says that it is ready.
    Train(Vec<Vec<u8>>, usize),
    /// A message, and what is waited for before the next step.
    Until(Vec<u8>, u8),
    /// Another login of the same account.
    Again,
}

use Step::{Again, Say, Train, Until};

fn sequences() -> Vec<(&'static str, Vec<Step>)> {
    let run = |statement: &str| [bind("", statement, &[], 0), execute("", 0)].concat();
    let once = |sql: &str| [parse("", sql), bind("", "", &[], 0), execute("", 0)].concat();
    vec![
        (
            "a temporary table that was rolled back",
            vec![Say("begin"), Say("create temp table customers (id int, email text)"), Say("rollback"), Say(READ)],
        ),
        (
            "a temporary table behind a savepoint",
            vec![
                Say("begin"),
                Say("savepoint s"),
                Say("create temp table customers (id int, email text)"),
                Say("rollback to s"),
                Say(READ),
            ],
        ),
        ("a temporary table that failed", vec![Say("create temp table customers (id nosuchtype)"), Say(READ)]),
        (
            "a temporary table behind the schema",
            vec![
                Say("create temp table customers (id int, email text)"),
                Say("set search_path = public, pg_temp"),
                Say(READ),
            ],
        ),
        (
            "a temporary table dropped in the same text",
            vec![
                Say("create temp table customers (id int, email text)"),
                Say("drop table customers; select 'x' || email from customers"),
            ],
        ),
        (
            "a temporary table that became a view",
            vec![
                Say("create temp table aa (id int, email text)"),
                Say(
                    "create rule \"_RETURN\" as on select to aa do instead select id, 'x' || email as email from customers",
                ),
                Say("select email from aa"),
            ],
        ),
        (
            "a transaction that ends within a text",
            vec![
                Say(OWN),
                Say("begin"),
                Say("set search_path = OWN"),
                Say("rollback; select 'x' || email from customers"),
            ],
        ),
        (
            "a transaction that is chained",
            vec![Say(OWN), Say("begin"), Say("set search_path = OWN"), Say("rollback and chain"), Say(READ)],
        ),
        (
            "a transaction that ends in the pipeline",
            vec![
                Say(OWN),
                Say("begin"),
                Say("set search_path = OWN"),
                Train(vec![once("rollback"), once(READ), sync()], 1),
            ],
        ),
        (
            "notices over a view of the same transaction",
            vec![
                Say("begin"),
                Say("create schema OWN; create view OWN.v as select 'x' || email as e from public.customers"),
                Say(
                    "do $$ declare r record; begin for r in select e from OWN.v loop raise notice '%', r.e; end loop; end $$",
                ),
            ],
        ),
        (
            "a view replaced in the transaction",
            vec![
                Say("create schema OWN; create view OWN.v as select title as e from articles"),
                Say("select count(*) from OWN.v"),
                Say("begin"),
                Say("drop view OWN.v; create view OWN.v as select 'x' || email as e from public.customers"),
                Say("select e from OWN.v"),
            ],
        ),
        (
            "a view replaced in the same text",
            vec![
                Say("create schema OWN; create view OWN.v as select ''::text as e"),
                Say("select count(*) from OWN.v"),
                Say(
                    "create or replace view OWN.v as select 'x' || email as e from public.customers; select e from OWN.v",
                ),
            ],
        ),
        (
            "a function replaced in the transaction",
            vec![
                Say(
                    "create schema OWN; create function OWN.f() returns setof text language sql as 'select ''x''::text'",
                ),
                Say("select * from OWN.f()"),
                Say("begin"),
                Say(
                    "create or replace function OWN.f() returns setof text language sql as 'select email from public.customers'",
                ),
                Say("select * from OWN.f()"),
            ],
        ),
        (
            "a table that shadowed, dropped in the transaction",
            vec![
                Say(OWN),
                Say("set search_path = OWN, public"),
                Say("select count(*) from customers"),
                Say("begin"),
                Say("drop table OWN.customers"),
                Say(READ),
            ],
        ),
        (
            "a prepared body and another path",
            vec![
                Say(OWN),
                Say("set search_path = OWN"),
                Say("prepare p as select 'x' || email from customers"),
                Say("set search_path = public"),
                Say("execute p"),
            ],
        ),
        (
            "a statement of the protocol run by SQL",
            vec![
                Say(OWN),
                Say("set search_path = OWN"),
                Train(vec![parse("s", READ), sync()], 1),
                Say("set search_path = public"),
                Say("execute s"),
            ],
        ),
        (
            "a portal bound before the path changed",
            vec![
                Say(OWN),
                Say("begin"),
                Train(vec![parse("s", READ), bind("p", "s", &[], 0), sync()], 1),
                Say("set search_path = OWN"),
                Train(vec![execute("p", 0), sync()], 1),
            ],
        ),
        (
            "more failures than are remembered",
            vec![
                Say(OWN),
                Say("set search_path = OWN, a1; select 1/0"),
                Say("set search_path = OWN, a2; select 1/0"),
                Say("set search_path = OWN, a3; select 1/0"),
                Say("set search_path = OWN, a4; select 1/0"),
                Say("set search_path = OWN, a5; select 1/0"),
                Say(READ),
            ],
        ),
        (
            "a setting that nobody evaluated",
            vec![Say(OWN), Say("select set_config('search_path', 'OWN', false) from articles where false"), Say(READ)],
        ),
        (
            "a cursor under a portal's name",
            vec![
                Say("begin"),
                Train(vec![parse("", "select 'a'::text"), bind("p", "", &[], 0), describe(b'P', "p"), sync()], 1),
                Say("close p"),
                Say("declare p cursor for select 'x' || email from customers"),
                Train(vec![execute("p", 0), sync()], 1),
            ],
        ),
        (
            "a table made under another path",
            vec![
                Say("create schema OWN; set search_path = OWN"),
                Say("begin"),
                Say("create table customers (id int, email text)"),
                Say("set search_path = public"),
                Say(READ),
            ],
        ),
        (
            "a role's path that was set back",
            vec![
                Say(OWN),
                Say("alter role current_user set search_path = OWN"),
                Again,
                Say("select count(*) from customers"),
                Say("alter role current_user reset search_path"),
                Again,
                Say(READ),
            ],
        ),
        (
            "a Sync inside COPY data that failed",
            vec![
                Until(query("copy articles from stdin"), b'G'),
                Train(vec![copy_data(b"bad\n"), sync()], 2),
                Train(vec![query(READ)], 1),
            ],
        ),
        (
            "a Sync inside COPY data by the extended protocol",
            vec![
                Until([once("copy articles from stdin"), frame(b'H', b"")].concat(), b'G'),
                Train(vec![copy_data(b"bad\n"), sync()], 1),
                Train(vec![parse("q", READ), run("q"), sync()], 1),
            ],
        ),
    ]
}

fn play(address: std::net::SocketAddr, user: &str, steps: &[Step]) -> usize {
    let mut client = Raw::login(address, user, "support");
    let own = |sql: &str| sql.replace("OWN", &format!("own_{user}"));
    let mut messages = Vec::new();
    for step in steps {
        let (bytes, ready) = match step {
            Say(sql) => (query(&own(sql)), 1),
            Train(parts, ready) => (parts.concat(), *ready),
            Until(bytes, tag) => {
                client.send(bytes);
                messages.extend(client.until(|message| message.tag == *tag).messages);
                continue;
            }
            Again => {
                client = Raw::login(address, user, "support");
                continue;
            }
        };
        client.send(&bytes);
        for _ in 0..ready {
            let reply = client.until_ready();
            let ended = reply.end.is_some();
            messages.extend(reply.messages);
            if ended {
                return customers_in(&messages).len();
            }
        }
    }
    customers_in(&messages).len()
}

/// The other side of it: what has a sensitive name and is something else is not cut where the server says so.
#[test]
fn a_table_of_ones_own_is_not_taken_for_the_sensitive_one() {
    let postgres = Postgres::start();
    let mut options = WeirOptions::policy(Budgeted::hourly(u64::try_from(BUDGET).unwrap()).yaml());
    options.people = people_and_evaders();
    let front = Target::front(&postgres, &options);
    let mut client = Raw::login(front.address(), "evader_1", "support");
    for sql in [
        "create schema own; create table own.customers (id int, email text)",
        "insert into own.customers select n, 'mine' || n from generate_series(1, 100) n",
        "set search_path = own",
    ] {
        client.query(sql).fine();
    }
    assert_eq!(client.query("select * from customers").fine().rows(), 100);
    assert_eq!(client.extended("select id, email from customers", &[]).fine().rows(), 100);
    // What is computed has no origin, so its name must do.
    assert_eq!(client.query("select 'x' || email from customers").rows(), BUDGET);
    assert_eq!(client.query("select email from public.customers").rows(), 0);
}

#[test]
fn no_play_with_names_gets_past_the_budget() {
    // A server of its own: schemas and roles are changed.
    let postgres = Postgres::start();
    let mut options = WeirOptions::policy(Budgeted::hourly(u64::try_from(BUDGET).unwrap()).yaml());
    options.people = people_and_evaders();
    let front = Target::front(&postgres, &options);
    let mut leaks = Vec::new();
    for (number, (name, steps)) in sequences().iter().enumerate() {
        // Through Weir first, while nothing of it exists.
        let user = format!("evader_{}", FIRST_EVADER + number);
        let through = play(front.address(), &user, steps);
        if through > BUDGET {
            leaks.push(format!("{name}: {through} customers"));
        }
        // Each truly works on the server, or it proves nothing.
        postgres.psql("support", &format!("drop schema if exists own_{user} cascade; alter role {user} reset all"));
        let direct = play(postgres.address(), &user, steps);
        assert!(direct > 2 * BUDGET, "`{name}` gives only {direct} customers without Weir");
    }
    assert!(leaks.is_empty(), "{} got past {BUDGET}:\n{}", leaks.len(), leaks.join("\n"));
    assert_eq!(front.weir().log().matches("panicked").count(), 0);
}
