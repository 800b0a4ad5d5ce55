//! Evasion by what SQL can say.

use weir_tests::fixture::people_and_evaders;
use weir_tests::policies::Budgeted;
use weir_tests::postgres::Postgres;
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

use super::Step::{Each, Extended, Query};
use super::{Evasion, customers_in, play};

/// Records per person: few, so that every evasion goes far past it.
const BUDGET: u64 = 20;

const EVASIONS: &[Evasion] = &[
    Evasion { name: "a view", steps: &[Query("select * from customer_directory")] },
    Evasion { name: "a view over a join", steps: &[Query("select customer_name from open_tickets")] },
    Evasion { name: "a view by the extended protocol", steps: &[Extended("select email from customer_directory")] },
    Evasion { name: "quoted name", steps: &[Query(r#"select "email" from "public"."customers""#)] },
    Evasion { name: "upper case", steps: &[Query("SELECT EMAIL FROM PUBLIC.CUSTOMERS")] },
    Evasion { name: "unicode escapes in a name", steps: &[Query(r#"select email from U&"\0063ustomers""#)] },
    Evasion {
        name: "unicode escapes with a letter of one's own",
        steps: &[Query(r#"select U&"!0065mail" UESCAPE '!' from U&"c!0075stomers" UESCAPE '!'"#)],
    },
    Evasion { name: "database-qualified name", steps: &[Query("select email from support.public.customers")] },
    Evasion { name: "TABLE", steps: &[Query("table customers")] },
    Evasion { name: "TABLE by the extended protocol", steps: &[Extended("table customers")] },
    Evasion { name: "FROM ONLY", steps: &[Query("select email from only customers")] },
    Evasion { name: "FROM ONLY in parentheses", steps: &[Query("select email from only (customers)")] },
    Evasion { name: "star after the name", steps: &[Query("select email from customers *")] },
    Evasion {
        name: "comments everywhere",
        steps: &[Query("/* select 1 */ select/**/email/* /* nested */ */from--x\ncustomers")],
    },
    Evasion { name: "a leading comment", steps: &[Query("-- select 1\nselect email from customers")] },
    Evasion { name: "behind a harmless statement", steps: &[Query("select 1; select email from customers")] },
    Evasion { name: "behind an empty statement", steps: &[Query(";;/**/;select email from customers;")] },
    Evasion {
        name: "search_path to the schema",
        steps: &[Query("set search_path = pg_catalog, public"), Query("select email from customers")],
    },
    Evasion {
        name: "search_path within one query",
        steps: &[Query("set search_path = public; select email from customers")],
    },
    Evasion {
        name: "search_path by set_config",
        steps: &[Query("select set_config('search_path', 'public', false)"), Query("select email from customers")],
    },
    Evasion { name: "whole row", steps: &[Query("select c from customers c")] },
    Evasion { name: "whole row expanded", steps: &[Query("select (c).* from customers c")] },
    Evasion { name: "whole row as JSON", steps: &[Query("select row_to_json(c) from customers c")] },
    Evasion { name: "whole row as text", steps: &[Query("select c::text from customers c")] },
    Evasion { name: "jsonb of a row", steps: &[Query("select to_jsonb(c) - 'id' from customers c")] },
    Evasion { name: "string_agg", steps: &[Query("select string_agg(email, ',') from customers")] },
    Evasion {
        name: "string_agg by the extended protocol",
        steps: &[Extended("select string_agg(email, ',') from customers")],
    },
    Evasion {
        name: "string_agg in groups",
        steps: &[Query("select id % 2, string_agg(email, ',') from customers group by 1")],
    },
    Evasion {
        name: "string_agg as a window",
        steps: &[Query("select string_agg(email, ',') over () from customers limit 1")],
    },
    Evasion { name: "json_agg", steps: &[Query("select json_agg(c) from customers c")] },
    Evasion { name: "jsonb_object_agg", steps: &[Query("select jsonb_object_agg(id, email) from customers")] },
    Evasion { name: "array_agg", steps: &[Query("select array_agg(email) from customers")] },
    Evasion { name: "array of a subquery", steps: &[Query("select array(select email from customers)")] },
    Evasion { name: "xmlagg", steps: &[Query("select xmlagg(xmlelement(name c, email)) from customers")] },
    Evasion {
        name: "query_to_xml",
        steps: &[Query("select query_to_xml('select email from customers', true, false, '')")],
    },
    Evasion { name: "table_to_xml", steps: &[Query("select table_to_xml('customers', true, false, '')")] },
    Evasion {
        name: "one byte column at a time in one row",
        steps: &[Query("select string_agg(substr(email, 1, 30), '') from customers")],
    },
    Evasion {
        name: "common table expression",
        steps: &[Query("with x as (select email from customers) select * from x")],
    },
    Evasion {
        name: "expression named like the table",
        steps: &[Query("with customers as (select * from public.customers) select email from customers")],
    },
    Evasion {
        name: "union",
        steps: &[Query("select title from articles where id = 1 union all select email from customers")],
    },
    Evasion {
        name: "scalar subquery",
        steps: &[Query("select (select email from customers c where c.id = n) from generate_series(1, 100) n")],
    },
    Evasion {
        name: "lateral",
        steps: &[Query(
            "select e from generate_series(1, 100) n, lateral (select email as e from customers where id = n) x",
        )],
    },
    Evasion { name: "renamed columns", steps: &[Query("select b from customers as c(a, n, b)")] },
    Evasion {
        name: "natural join",
        steps: &[Query("select email from customers natural join (select id from customers) x")],
    },
    Evasion { name: "values", steps: &[Query("values ((select string_agg(email, ' ') from customers))")] },
    Evasion { name: "concatenation", steps: &[Query("select 'x' || email || phone from customers")] },
    Evasion {
        name: "case and coalesce",
        steps: &[Query("select coalesce(nullif(case when true then email end, ''), '') from customers")],
    },
    Evasion {
        name: "a joined condition",
        steps: &[Query("select t.id, c.email from tickets t join customers c on c.id = t.customer_id")],
    },
    Evasion { name: "SQL PREPARE", steps: &[Query("prepare p as select email from customers"), Query("execute p")] },
    Evasion {
        name: "SQL PREPARE with parameters",
        steps: &[Query("prepare p (int) as select email from customers where id > $1"), Query("execute p (0)")],
    },
    Evasion {
        name: "SQL PREPARE over a redefined name",
        steps: &[
            Query("prepare p as select 1"),
            Query("deallocate p; prepare p as select email from customers"),
            Query("execute p"),
        ],
    },
    Evasion {
        name: "PREPARE in a string of a DO",
        steps: &[Query("do $$ begin execute 'prepare p as select email from customers'; end $$"), Query("execute p")],
    },
    Evasion {
        name: "DO with notices",
        steps: &[Query(
            "do $$ declare r record; begin for r in select email from customers loop raise notice '%', r.email; end loop; end $$",
        )],
    },
    Evasion {
        name: "DO with dynamic SQL",
        steps: &[Query(
            "do $$ declare r record; begin for r in execute 'select email from cust' || 'omers' loop raise notice '%', r.email; end loop; end $$",
        )],
    },
    Evasion {
        name: "DO with one notice",
        steps: &[Query(
            "do language plpgsql 'begin raise notice ''%'', (select string_agg(email, '','') from customers); end'",
        )],
    },
    Evasion {
        name: "a temporary view",
        steps: &[
            Query("create temp view harmless as select email as title from customers"),
            Query("select title from harmless"),
        ],
    },
    Evasion {
        name: "a temporary table",
        steps: &[
            Query("create temp table harmless as select email as title from customers"),
            Query("select title from harmless"),
        ],
    },
    Evasion {
        name: "a temporary table that shadows",
        steps: &[
            Query("create temp table articles as select email as title from customers"),
            Query("select title from articles"),
        ],
    },
    Evasion {
        name: "SELECT INTO",
        steps: &[Query("select email as title into temp harmless from customers"), Query("select title from harmless")],
    },
    Evasion {
        name: "view and read in one query",
        steps: &[Query("create temp view v as select email from customers; select * from v")],
    },
    Evasion { name: "COPY of a query", steps: &[Query("copy (select email from customers) to stdout")] },
    Evasion { name: "COPY of the table", steps: &[Query("copy customers to stdout")] },
    Evasion { name: "COPY in binary", steps: &[Query("copy customers (email) to stdout (format binary)")] },
    Evasion { name: "COPY by the extended protocol", steps: &[Extended("copy (table customers) to stdout")] },
    Evasion { name: "a function returning rows", steps: &[Query("select * from every_customer()")] },
    Evasion { name: "a function in the select list", steps: &[Query("select every_customer()")] },
    Evasion {
        name: "a function that looks up, in a loop",
        steps: &[Query("select (find_customer(n)).email from generate_series(1, 100) n")],
    },
    Evasion { name: "a function with dynamic SQL", steps: &[Query("select * from dynamic_emails('email')")] },
    Evasion {
        name: "a function of one's own",
        steps: &[
            Query("create function pg_temp.f() returns setof text language sql as 'select email from customers'"),
            Query("select pg_temp.f()"),
        ],
    },
    Evasion {
        name: "a function made in the same query",
        steps: &[Query(
            "create function pg_temp.g() returns setof text language sql as 'select email from customers'; select pg_temp.g()",
        )],
    },
    Evasion {
        name: "a cursor",
        steps: &[Query("begin; declare c cursor for select email from customers"), Query("fetch all from c")],
    },
    Evasion {
        name: "a cursor in the same query",
        steps: &[Query("begin; declare c cursor for select email from customers; fetch 50 from c; fetch all from c")],
    },
    Evasion {
        name: "a cursor with hold, backwards",
        steps: &[
            Query("declare c scroll cursor with hold for select email from customers"),
            Query("fetch last from c; fetch backward all from c"),
        ],
    },
    Evasion {
        name: "an identifier read as data",
        steps: &[Query(
            "update tickets set subject = subject where id in (select id from tickets limit 60) returning (select email from customers c where c.id = tickets.id)",
        )],
    },
    Evasion {
        name: "RETURNING",
        steps: &[Query("begin"), Query("update customers set vip = vip returning email"), Query("rollback")],
    },
    Evasion {
        name: "INSERT from SELECT with RETURNING",
        steps: &[
            Query("begin"),
            Query("insert into articles select id + 10000, email, '', null from customers returning title"),
            Query("rollback"),
        ],
    },
    Evasion {
        name: "a data-modifying expression",
        steps: &[
            Query("begin"),
            Query("with d as (update customers set vip = vip returning email) select * from d"),
            Query("rollback"),
        ],
    },
    Evasion { name: "one at a time", steps: &[Each("select email from customers where id = {}")] },
    Evasion {
        name: "one at a time by offset",
        steps: &[Each("select email from customers order by id limit 1 offset {}")],
    },
    Evasion {
        name: "one at a time, reconnected names",
        steps: &[Each("with c{} as (select email from customers where id = {}) select * from c{}")],
    },
    Evasion {
        name: "escape strings off",
        steps: &[
            Query("set standard_conforming_strings = off"),
            Query(r"select 'a\' from articles -- ', email from customers"),
        ],
    },
    Evasion { name: "a string that hides", steps: &[Query("select $x$ from articles; -- $x$, email from customers")] },
    Evasion {
        name: "SHOW of a setting",
        steps: &[Query(
            "begin; select 1 from (select set_config('x.y', string_agg(email, ','), true) from customers) z where false is not null and length(set_config) > 0; show x.y",
        )],
    },
    Evasion {
        name: "a notification",
        steps: &[Query("listen leak; select pg_notify('leak', string_agg(email, ',')) from customers where id <= 200")],
    },
];

#[test]
fn no_evasion_gets_past_the_budget() {
    let postgres = Postgres::shared();
    // Each truly works on the server, or it proves nothing.
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
    assert!(
        leaks.is_empty(),
        "{} of {} evasions got past {BUDGET}:\n{}",
        leaks.len(),
        EVASIONS.len(),
        leaks.join("\n")
    );
    // Whatever was held back is in the log under the name of who tried.
    let events = front.weir().audit_events();
    let silent: Vec<&str> = EVASIONS
        .iter()
        .enumerate()
        .filter(|(number, _)| {
            let person = format!("evader_{number}");
            !events.iter().any(|event| {
                weir_tests::audit::person(event) == person
                    && (event["kind"] == "denial" || event["detail"]["outcome"] == "cut")
            })
        })
        .map(|(_, evasion)| evasion.name)
        .collect();
    assert!(silent.is_empty(), "held back without a record: {silent:?}");
}

/// What no budget covers and a rule refuses: partitions by their own names, and another schema by search_path.
#[test]
fn names_do_not_hide_what_a_rule_is_about() {
    let front = Target::front(Postgres::shared(), &WeirOptions::policy(Budgeted::hourly(BUDGET).yaml()));
    let count = |user: &str, sql: &str| {
        customers_in(&play(front.address(), user, &[Query(Box::leak(sql.to_owned().into_boxed_str()))])).len()
    };
    let budget = usize::try_from(BUDGET).unwrap();
    assert_eq!(count("alice", "select phone from contact_log"), budget);
    assert_eq!(count("alice", "select phone from contact_log_2025"), 0, "the parent's reading spent it");
    assert_eq!(count("bob", "select phone from contact_log_2024"), budget);
    assert_eq!(count("bob", "table contact_log"), 0);

    let mut carol = weir_tests::raw::Raw::try_login(
        front.address(),
        &[("user", "carol"), ("database", "support"), ("options", "-c search_path=billing")],
        weir_tests::fixture::PASSWORD,
    )
    .expect("login with options");
    for sql in ["select pan from cards", "table cards", "select string_agg(pan, ',') from cards"] {
        let reply = carol.query(sql);
        assert_eq!((reply.rows(), reply.errors().len()), (0, 1), "{sql}: {reply:?}");
    }
    assert_eq!(carol.query("select count(*) from public.articles").fine().column(), ["500"]);
}
