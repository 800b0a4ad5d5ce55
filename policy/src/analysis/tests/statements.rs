//! Statements and what must be said of them: attacks and their look-alikes, one table.

use super::{plain, words};

fn check(table: &[(&str, &str)]) {
    for (sql, expected) in table {
        assert_eq!(words(&plain(sql)), *expected, "{sql}");
    }
}

#[test]
fn statements_are_understood() {
    check(&[
        (
            "select id, name, email from customers where id = 42",
            "select full · read customers{email,id,name} used{id} pin[#0] · read vip{email,id,name} used{id} pin[#0] via customers (Catalog)",
        ),
        (
            "select * from customers",
            "select full · read customers{email,id,name,phone} · read vip{email,id,name,phone} via customers (Catalog)",
        ),
        ("select count(*) from customers", "select full one row · read customers · read vip via customers (Catalog)"),
        (
            "select email from customers limit 10",
            "select full limit #0 · read customers{email} · read vip{email} via customers (Catalog)",
        ),
        (
            "select c.email, t.subject from customers c join tickets t on t.customer_id = c.id where t.status = 'open'",
            "select full · read customers{email} used{id} · read tickets{subject} used{customer_id,status} · read vip{email} used{id} via customers (Catalog)",
        ),
        ("select status, count(*) from tickets group by status", "select full · read tickets{status} used{status}"),
        (
            "select subject from tickets where body like '%customers%' -- from customers",
            "select full · read tickets{subject} used{body}",
        ),
        ("select 'select * from customers'", "select full"),
        (
            "select string_agg(email, ',') from customers",
            "select full one row · read customers packed-whole{email} · read vip packed-whole{email} via customers (Catalog)",
        ),
        (
            "select status, json_agg(body) from tickets group by status",
            "select full · read tickets{status} packed{body} used{status}",
        ),
        (
            "select max(email) from customers group by id",
            "select full · read customers{email} used{id} · read vip{email} used{id} via customers (Catalog)",
        ),
        (
            "select mail from v_contacts",
            "select full · read v_contacts{mail} · read customers{email} via v_contacts (Catalog) · read vip{email} via v_contacts>customers (Catalog)",
        ),
        (
            "select c1 from v_dir",
            "select full · read v_dir{c1} · read v_contacts{mail} via v_dir (Catalog) · read customers{email} via v_dir>v_contacts (Catalog) · read vip{email} via v_dir>v_contacts>customers (Catalog)",
        ),
        (
            "select * from v_plans",
            "select full · read v_plans{n} · read customers via v_plans (Catalog) · read vip via v_plans>customers (Catalog)",
        ),
        (
            "select * from v_people",
            "select full · read v_people{people} · read customers packed-whole{email} via v_people (Catalog) · read vip packed-whole{email} via v_people>customers (Catalog)",
        ),
        (
            "table customers",
            "select full · read customers{email,id,name,phone} · read vip{email,id,name,phone} via customers (Catalog)",
        ),
        (
            r#"select "EMAIL" from "Customers""#,
            "select partial · read unknown Customers{*} · ?unknown-relation Customers",
        ),
        (
            r#"select u&"\0065mail" from customers"#,
            "select full · read customers{email} · read vip{email} via customers (Catalog)",
        ),
        ("with customers as (select 1 as id) select * from customers", "select full"),
        (
            "select (select email from customers where id = t.customer_id) from tickets t",
            "select full · read tickets used{customer_id} · read customers{email} used{id} · read vip{email} used{id} via customers (Catalog)",
        ),
        (
            "select row_to_json(c) from customers c",
            "select full · read customers{email,id,name,phone} · read vip{email,id,name,phone} via customers (Catalog)",
        ),
        (
            "select c from customers c",
            "select full · read customers{email,id,name,phone} · read vip{email,id,name,phone} via customers (Catalog)",
        ),
        (
            "select id from customers where email = 'a@b'",
            "select full · read customers{id} used{email} · read vip{id} used{email} via customers (Catalog)",
        ),
        ("copy customers to stdout", "copy full · export customers{*} · export vip{*} via customers (Catalog)"),
        (
            "copy (select email from customers) to stdout",
            "copy full · export customers{email} · export vip{email} via customers (Catalog)",
        ),
        (
            "create table x as select email from customers",
            "ddl full · read customers{email} · ddl unknown x · read vip{email} via customers (Catalog) · catalogchanged · +ddl",
        ),
        (
            "insert into notes select id, email from customers",
            "insert full · write notes · read customers{email,id} · read vip{email,id} via customers (Catalog)",
        ),
        (
            "update customers set name = 'x' where id = 1 returning email",
            "update full · write customers used{id} pin[#1] · read customers{email} pin[#1] · write vip used{id} pin[#1] via customers (Catalog) · read vip{email} pin[#1] via customers (Catalog)",
        ),
        (
            "delete from customers where id = 7",
            "delete full · write customers used{id} pin[#0] · write vip used{id} pin[#0] via customers (Catalog)",
        ),
        (
            "select f_mail(1)",
            "select full · read customers{*} via f_mail (Catalog) · read vip{*} via f_mail>customers (Catalog)",
        ),
        ("select f_page(1)", "select opaque · ?unknown-function f_page"),
        (
            "select query_to_xml('select * from customers', true, false, '')",
            "select full · read customers{*} packed-whole{*} (Literal) · read vip{*} packed-whole{*} via customers (Catalog)",
        ),
        (
            "do $$ begin perform * from customers; end $$",
            "call opaque · read customers{*} packed-whole{*} (Literal) · read vip{*} packed-whole{*} via customers (Catalog) · ?dynamic-sql do",
        ),
        (
            "prepare p as select email from customers where id = $1",
            "utility full · prepare p [select full · read customers{email} used{id} · read vip{email} used{id} via customers (Catalog)]",
        ),
        ("execute p(1)", "select full · execute p"),
        (
            "declare c cursor for select email from customers",
            "utility full · cursor c [select full · read customers{email} · read vip{email} via customers (Catalog)]",
        ),
        ("fetch 10 from c", "select full · fetch c"),
        ("set search_path to archive, public", "session full · set search_path=archive, public"),
        (
            "select * from events",
            "select full · read events{id,what,who} · read events_north{id,what,who} via events (Catalog)",
        ),
        (
            "select * from events_north",
            "select full · read events_north{id,what,who} · read events{id,what,who} via events_north (Catalog)",
        ),
        ("select * from nowhere", "select partial · read unknown nowhere{*} · ?unknown-relation nowhere"),
        (
            "explain select email from customers",
            "explain full · read customers used{email} · read vip used{email} via customers (Catalog)",
        ),
        ("begin; select 1; commit", "transaction full · begin | select full | transaction full · commit"),
        ("select", "select partial · ?parser-refused select"),
        (
            "selct * from customers",
            "unknown partial · read customers{*} (Lexer) · read vip{*} via customers (Catalog) · ?parser-refused selct",
        ),
        (
            "select array(select email from customers)",
            "select full · read customers packed-whole{email} · read vip packed-whole{email} via customers (Catalog)",
        ),
        (
            "select lead(email) over (order by id) from customers",
            "select full · read customers{email} used{id} · read vip{email} used{id} via customers (Catalog)",
        ),
        (
            "select email from customers union all select subject from tickets",
            "select full · read customers{email} · read tickets{subject} · read vip{email} via customers (Catalog)",
        ),
        (
            "grant select on customers to bob",
            "grant full · grant customers · grant vip via customers (Catalog) · +grant",
        ),
        (
            "drop table customers",
            "ddl full · ddl customers · ddl vip via customers (Catalog) · untemp customers · catalogchanged · +ddl",
        ),
    ]);
}
