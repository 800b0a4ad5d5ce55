//! What is PostgreSQL's own: numbers that follow a table through its names, tables of a session's own, files, foreign
//! tables, materialised views.

use weir_tests::audit::{of_kind, released};
use weir_tests::engine::Engine;
use weir_tests::fixture::CUSTOMERS;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::Raw;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::{BUDGET, charged};

/// A server and a Weir before it, with this many records per person and hour.
fn desk(records: u64) -> (Postgres, Target) {
    desk_with(&Budgeted::hourly(records).on(Engine::Postgres).yaml())
}

fn desk_with(policy: &str) -> (Postgres, Target) {
    let postgres = Postgres::start();
    postgres.psql("support", "create schema share; grant all on schema share to public");
    let front = Target::front(&postgres, &WeirOptions::policy(policy));
    (postgres, front)
}

fn login(front: &Target, user: &str) -> Raw {
    Raw::login(front.address(), user, "support")
}

#[test]
fn a_copy_is_known_by_every_name_that_it_gets() {
    let (postgres, front) = desk(BUDGET);
    let mut alice = login(&front, "alice");
    for sql in [
        "create table share.a as select id, email from customers",
        "alter table share.a rename to b",
        "alter table share.b rename column email to harmless",
        "create schema other; grant usage on schema other to public",
        "alter table share.b set schema other",
        "grant select on other.b to public",
    ] {
        alice.query(sql).fine();
    }
    let mut bob = login(&front, "bob");
    assert_eq!(bob.query("select id, harmless from other.b").fine().rows() as u64, CUSTOMERS);
    charged(front.weir(), "bob", CUSTOMERS);
    assert_eq!(bob.query("select id from other.b").fine().rows() as u64, CUSTOMERS);
    assert_eq!(bob.query("select harmless from other.b").error().sqlstate, "42501");
    // The sensitive table itself, under another name.
    postgres.psql("support", "alter table customers owner to carol; alter schema public owner to carol");
    let mut carol = login(&front, "carol");
    carol.query("alter table customers rename to people").fine();
    carol.query("alter table people rename column email to e").fine();
    carol.query("grant select on people to public").fine();
    assert_eq!(bob.query("select e from people limit 2000").error().sqlstate, "42501");
    let read = released(front.weir(), "bob").records;
    assert!(read <= BUDGET, "{read} records");
}

#[test]
fn statistics_that_are_behind_are_made_up_for() {
    let (postgres, front) = desk(BUDGET);
    postgres.more_customers("support", 9_000);
    let mut alice = login(&front, "alice");
    alice.query("create temp table mine as select id, email from customers").fine();
    let answer = alice.query("select * from mine");
    assert_eq!((answer.rows(), answer.error().sqlstate.as_str()), (0, "42501"), "more than was charged is in it");
    charged(front.weir(), "alice", 9_000);
    assert_eq!(alice.query("select email from customers where id = 1").rows(), 0, "everything is used up");
    let mut bob = login(&front, "bob");
    bob.query("create table share.all_of_them as select id, email from customers; ").fine();
    charged(front.weir(), "bob", 9_000);
    bob.query("grant select on share.all_of_them to public").fine();
    let mut carol = login(&front, "carol");
    let answer = carol.query("select id, email from share.all_of_them");
    assert_eq!((answer.rows() as u64, answer.error().sqlstate.as_str()), (BUDGET, "42501"));
}

#[test]
fn a_table_of_ones_own_is_free_when_it_was_paid_for() {
    let (_postgres, front) = desk(BUDGET);
    let mut alice = login(&front, "alice");
    alice.query("create temp table mine as select id, email from customers").fine();
    for _ in 0..3 {
        assert_eq!(alice.query("select * from mine").fine().rows() as u64, CUSTOMERS);
    }
    charged(front.weir(), "alice", CUSTOMERS);
    // What comes out of it for others is labelled.
    alice.query("create table share.leak as select * from mine").fine();
    alice.query("grant select on share.leak to public").fine();
    let mut bob = login(&front, "bob");
    assert_eq!(bob.query("select email from share.leak").fine().rows() as u64, CUSTOMERS);
    charged(front.weir(), "bob", CUSTOMERS);
}

#[test]
fn a_table_of_ones_own_may_have_any_name() {
    let (_postgres, front) = desk(20);
    let mut alice = login(&front, "alice");
    for sql in [
        "create temp table customers (id int, email text)",
        "insert into customers select g, 'test' || g || '@example.org' from generate_series(1, 2000) g",
    ] {
        alice.query(sql).fine();
    }
    assert_eq!(alice.query("select * from customers").fine().rows(), 2000);
    assert_eq!(alice.extended("select email, id from customers where id > 0", &[]).fine().rows(), 2000);
    charged(front.weir(), "alice", 0);
    // The same name, and the other table's rows.
    assert_eq!(alice.query("select email from public.customers").rows(), 20);
    alice.query("insert into customers select id, email from public.customers where id = 3").tags();
    assert_eq!(alice.query("drop table customers").fine().errors().len(), 0);
    assert_eq!(alice.query("select email from customers").rows(), 0);
}

#[test]
fn what_nobody_can_follow_is_refused() {
    let (postgres, front) = desk_with(&Budgeted::hourly(BUDGET).yaml().replace("[read, export]", "[read]"));
    let path = postgres.scratch().join("customers.out");
    let mut dora = login(&front, "app");
    for sql in [
        format!("copy customers to '{}'", path.display()),
        format!("copy (select email from customers) to '{}'", path.display()),
        format!("copy customers to program 'cat > {}'", path.display()),
    ] {
        assert_eq!(dora.query(&sql).error().sqlstate, "42501", "{sql}");
    }
    assert!(!path.exists());
    dora.query(&format!("copy articles to '{}'", path.display())).fine();
    assert!(path.exists());
}

#[test]
fn a_foreign_table_is_what_it_leads_to() {
    let (postgres, front) = desk_with(&Budgeted::hourly(500).yaml().replace("[read, export]", "[read]"));
    let port = postgres.address().port();
    postgres.psql(
        "support",
        &format!(
            "create extension postgres_fdw;
             create server loop foreign data wrapper postgres_fdw
               options (host '127.0.0.1', port '{port}', dbname 'support');
             create user mapping for public server loop options (user 'app', password 'pw-of-the-tests-1');
             create foreign table public.ext_people (nr int options (column_name 'id'), email text)
               server loop options (schema_name 'public', table_name 'customers');
             create foreign table public.ext_titles (id int, title text)
               server loop options (schema_name 'public', table_name 'articles');
             grant select, insert on public.ext_people, public.ext_titles to public;"
        ),
    );
    let mut alice = login(&front, "alice");
    let answer = alice.query("select nr, email from ext_people order by nr");
    assert_eq!((answer.rows(), answer.error().sqlstate.as_str()), (500, "42501"));
    assert_eq!(alice.query("select id, email from customers where id <= 500").fine().rows(), 500, "the same records");
    assert_eq!(alice.query("select count(*) from ext_people").fine().rows(), 1);
    let mut bob = login(&front, "bob");
    let answer = bob.query("select title from ext_titles");
    assert_eq!((answer.rows(), answer.error().sqlstate.as_str()), (0, "42501"), "nobody says where it leads");
    assert_eq!(
        bob.query("insert into ext_titles select id, email from customers where id = 1").error().sqlstate,
        "42501"
    );
}

#[test]
fn a_materialised_view_follows_the_catalog() {
    let (postgres, front) = desk(500);
    let mut bob = login(&front, "bob");
    assert_eq!(bob.query("select title from articles").fine().rows(), 500, "the catalog has been read");
    postgres.psql(
        "support",
        "create materialized view mail as select id, email from customers; grant select on mail to public",
    );
    let answer = bob.query("select id, email from mail order by id");
    assert_eq!((answer.rows(), answer.error().sqlstate.as_str()), (500, "42501"));
    postgres.psql("support", "refresh materialized view mail");
    let mut carol = login(&front, "carol");
    assert_eq!(carol.query("select id, email from mail order by id").rows(), 500);
    assert!(of_kind(&front.weir().audit_events(), "copy").is_empty());
}
