//! Evasion by code that nobody names: somebody put it behind a table, an operator, a type, and the statement that sets it
//! off is harmless to look at.

use weir_tests::fixture::people_and_evaders;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::raw::Raw;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::Step::{Extended, Query};
use super::{Evasion, customers_in, play};

/// Records per person: few, so that every evasion goes far past it.
const BUDGET: u64 = 20;

/// What is there before anybody tries: made on the server, by somebody whom nothing stopped.
const THERE: &[&str] = &[
    "drop schema if exists unnamed cascade",
    "create schema unnamed",
    "grant all on schema unnamed to public",
    "create function unnamed.all_of_them() returns text language sql security definer
       as 'select string_agg(email, '','') from public.customers'",
    "create function unnamed.tell() returns trigger language plpgsql security definer as $$
       begin raise notice '%', (select string_agg(email, ',') from public.customers); return new; end $$",
    "create function unnamed.fill() returns trigger language plpgsql security definer as $$
       begin select string_agg(phone, ',') into new.note from public.customers; return new; end $$",
    "create function unnamed.ask(anyelement) returns boolean language plpgsql immutable security definer as $$
       begin raise notice '%', (select string_agg(email, ',') from public.customers); return true; end $$",
    "create table unnamed.logged (note text)",
    "create trigger t after insert on unnamed.logged for each statement execute function unnamed.tell()",
    "create table unnamed.filled (id int, note text)",
    "create trigger t before insert on unnamed.filled for each row execute function unnamed.fill()",
    "create table unnamed.ruled (id int)",
    "create rule r as on insert to unnamed.ruled do also select email from public.customers",
    "create table unnamed.defaulted (id int, note text default unnamed.all_of_them())",
    "create table unnamed.checked (id int check (unnamed.ask(id)))",
    "create table unnamed.indexed (id int)",
    "create index on unnamed.indexed (unnamed.ask(id))",
    "create table unnamed.guarded (id int)",
    "insert into unnamed.guarded values (1)",
    "alter table unnamed.guarded enable row level security",
    "create policy p on unnamed.guarded using (unnamed.ask(id))",
    "create domain unnamed.asked as int check (unnamed.ask(value))",
    "create function unnamed.by_operator(int, int) returns text language sql as 'select unnamed.all_of_them()'",
    "create operator unnamed.<-> (leftarg = int, rightarg = int, function = unnamed.by_operator)",
    "create type unnamed.wrapped as (note text)",
    "create function unnamed.wrap(int) returns unnamed.wrapped language sql as 'select row(unnamed.all_of_them())::unnamed.wrapped'",
    "create cast (int as unnamed.wrapped) with function unnamed.wrap(int)",
    "create aggregate unnamed.gather(text) (sfunc = textcat, stype = text, initcond = '')",
    "create function unnamed.elsewhere() returns setof text language sql security definer set search_path = public
       as 'select email from customers'",
    "grant all on all tables in schema unnamed to public",
];

const EVASIONS: &[Evasion] = &[
    Evasion { name: "a trigger that tells", steps: &[Query("insert into unnamed.logged values ('x')")] },
    Evasion {
        name: "a trigger that fills",
        steps: &[Query("insert into unnamed.filled (id) values (1) returning note")],
    },
    Evasion { name: "a rule", steps: &[Query("insert into unnamed.ruled values (1)")] },
    Evasion { name: "a default", steps: &[Extended("insert into unnamed.defaulted (id) values (1) returning note")] },
    Evasion { name: "a check", steps: &[Query("insert into unnamed.checked values (1)")] },
    Evasion { name: "an index", steps: &[Query("insert into unnamed.indexed values (1)")] },
    Evasion { name: "row security", steps: &[Query("select * from unnamed.guarded")] },
    Evasion { name: "a domain", steps: &[Query("select 1::unnamed.asked")] },
    Evasion { name: "an operator", steps: &[Query("select 1 operator(unnamed.<->) 2")] },
    Evasion { name: "an operator on the path", steps: &[Query("set search_path = unnamed"), Query("select 1 <-> 2")] },
    Evasion { name: "a cast", steps: &[Query("select 1::unnamed.wrapped")] },
    Evasion { name: "an aggregate", steps: &[Query("select unnamed.gather(email) from public.customers")] },
    Evasion { name: "a plan", steps: &[Query("explain (verbose) select 1 where unnamed.ask(1)")] },
    Evasion { name: "a cursor's plan", steps: &[Query("begin"), Query("declare c cursor for select unnamed.ask(1)")] },
    Evasion { name: "a path of its own", steps: &[Query("set search_path = unnamed"), Query("select elsewhere()")] },
    Evasion {
        name: "a block that tells",
        steps: &[Query(
            "do $$ declare r record; begin for r in select email from public.customers loop
               raise notice '%', r.email; end loop; end $$",
        )],
    },
    Evasion {
        name: "a default of one's own",
        steps: &[
            Query("create temp table mine (id int, note text default unnamed.all_of_them())"),
            Query("insert into mine values (1) returning note"),
        ],
    },
];

#[test]
fn code_that_nobody_names_does_not_get_past_the_budget() {
    let postgres = Postgres::shared();
    let mut owner = Raw::login(postgres.address(), "app", "support");
    for sql in THERE {
        owner.query(sql).fine();
    }
    for (number, evasion) in EVASIONS.iter().enumerate() {
        let leaked = customers_in(&play(postgres.address(), &format!("evader_{number}"), evasion.steps)).len();
        assert!(leaked > 2 * usize::try_from(BUDGET).unwrap(), "`{}` leaks only {leaked} without Weir", evasion.name);
    }
    let mut options = WeirOptions::policy(Budgeted::hourly(BUDGET).yaml());
    options.people = people_and_evaders();
    let front = Target::front(postgres, &options);
    let mut leaks = Vec::new();
    for (number, evasion) in EVASIONS.iter().enumerate() {
        let messages = play(front.address(), &format!("evader_{number}"), evasion.steps);
        let leaked = customers_in(&messages).len();
        if leaked > usize::try_from(BUDGET).unwrap() {
            leaks.push(format!("{}: {leaked} customers", evasion.name));
        }
    }
    // What only looks at tables, or computes, is nobody's evasion.
    let mut honest = Raw::login(front.address(), "evader_60", "support");
    for sql in [
        "do $$ declare n int; begin select count(*) into n from public.customers; raise notice 'rows: %', n; end $$",
        "do $$ begin if not exists (select 1 from public.tickets) then raise exception 'none'; end if; end $$",
        "select unnamed.gather(title) from public.articles",
    ] {
        assert!(honest.query(sql).errors().is_empty(), "{sql}");
    }
    owner.query("drop schema unnamed cascade").fine();
    assert!(leaks.is_empty(), "{} of {} got past {BUDGET}:\n{}", leaks.len(), EVASIONS.len(), leaks.join("\n"));
}
