//! Evasion by what SQL can say in the terms of MySQL and MariaDB.

use super::On::{Both, MariaDb, MySql9};
use super::Step::{Bytes, Each, EachThen, Prepared, Say};
use super::{Evasion, check};

/// Makes aggregates long enough on MySQL.
const LONG: super::Step = Say("set session group_concat_max_len = 10000000");

#[test]
fn no_spelling_gets_past_the_budget() {
    check(SPELLINGS);
}

#[test]
fn no_shape_gets_past_the_budget() {
    check(SHAPES);
}

#[test]
fn no_detour_gets_past_the_budget() {
    check(DETOURS);
}

/// How a text may be read otherwise than the server reads it.
const SPELLINGS: &[Evasion] = &[
    ("backticks and spaces", Both, &[Say("select `email` from `support` . `customers`")]),
    ("mixed case", Both, &[Say("sElEcT eMaIl fRoM support.customers")]),
    ("no white space", Both, &[Say("select(email)from(customers)where(id)<=(2000)")]),
    ("odd white space", Both, &[Say("select\x0bemail\x0cfrom\rcustomers\x0bwhere\tid<=2000")]),
    ("a number against a word", Both, &[Say("select 1e0,email from customers where 1e0=1e0or 1")]),
    ("an ODBC escape", Both, &[Say("select{x email}from customers")]),
    ("an ODBC escape of a table", Both, &[Say("select email from {oj customers}")]),
    ("comments everywhere", Both, &[Say("/* select 1 */select/**/email/* x */from#y\ncustomers-- z")]),
    ("a hash comment inside", Both, &[Say("select email # from products\n from # nothing\n customers")]),
    ("two dashes that are no comment", Both, &[Say("select 1--1, email from customers")]),
    ("a comment that hides a limit", Both, &[Say("select email from customers /* limit 1 */ # limit 1\n-- limit 1")]),
    ("a versioned comment with the heart", Both, &[Say("select /*!40101 email from customers */")]),
    ("a versioned comment without a number", Both, &[Say("/*! select email from customers */")]),
    ("a versioned comment with six digits", Both, &[Say("select /*!050500 email */ from customers")]),
    ("a versioned comment adds a column", Both, &[Say("select id /*!50000 , email */ from customers")]),
    (
        "a versioned comment adds a union",
        Both,
        &[Say("select title from articles where id < 3 /*!50503 union all select email from customers */")],
    ),
    ("a versioned comment of MySQL's", MySql9, &[Say("select id /*!80000 , email */ from customers")]),
    ("a versioned comment that MariaDB leaves out", MariaDb, &[Say("select email from customers /*!80000 limit 1 */")]),
    ("a versioned comment of the future", Both, &[Say("select email from customers /*!999999 limit 1 */")]),
    ("MariaDB's own comment", MariaDb, &[Say("select id /*M!100500 , email */ from customers")]),
    ("MariaDB's own comment without a number", MariaDb, &[Say("/*M! select email from customers */")]),
    ("a comment within a versioned one", Both, &[Say("select /*!40101 email /* x */ from customers */")]),
    ("a hint", Both, &[Say("select /*+ MAX_EXECUTION_TIME(100000) */ email from customers c")]),
    ("a backslash before a quote", Both, &[Say(r"select '\'', email, '\' from articles -- ' from customers")]),
    (
        "a backslash before a backslash",
        Both,
        &[Say(r"select '\\', email from customers where '\\' <> ' from articles -- '")],
    ),
    (
        "no backslash escapes",
        Both,
        &[
            Say("set sql_mode = 'NO_BACKSLASH_ESCAPES'"),
            Say(r"select '\', email from customers where '\' <> ' from articles -- '"),
        ],
    ),
    (
        "backslash escapes switched in the same text",
        Both,
        &[Say(
            r"set sql_mode = 'NO_BACKSLASH_ESCAPES'; select '\', email from customers where '\' <> ' from articles -- '",
        )],
    ),
    (
        "ANSI quotes",
        Both,
        &[Say("set session sql_mode = 'ANSI_QUOTES'"), Say(r#"select "email" from "support"."customers""#)],
    ),
    (
        "ANSI quotes by a computed mode",
        Both,
        &[Say("set @@sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')"), Say(r#"select "email" from "customers""#)],
    ),
    (
        "ANSI quotes from a variable",
        Both,
        &[
            Say("set @m = 'ANSI'"),
            Say("set sql_mode = @m"),
            Say(r#"select title, "email" from customers, articles where articles.id = 1"#),
        ],
    ),
    (
        "a GBK character that ends in a backslash",
        Both,
        &[Say("set names gbk"), Bytes(b"select '\xbf\x5c', email from customers where id > 0 -- ' from articles")],
    ),
    (
        "an SJIS character that ends in a backslash",
        Both,
        &[Say("set names sjis"), Bytes(b"select '\x95\x5c', email from customers where id > 0 -- ' from articles")],
    ),
    ("an introduced string", Both, &[Bytes(b"select _gbk'\xbf\\'', email, ' from articles -- ' from customers")]),
    (
        "a hexadecimal string as SQL",
        Both,
        &[
            Say("set @q = x'73656c65637420656d61696c2066726f6d20637573746f6d657273'"),
            Say("prepare p from @q"),
            Say("execute p"),
        ],
    ),
    ("behind a harmless statement", Both, &[Say("select 1; select email from customers; select 2")]),
    ("a delimiter in a string", Both, &[Say("select ';', email from customers")]),
    ("a row of several packets in front", Both, &[Say("select repeat('x', 17000000); select email from customers")]),
];

/// What a reading may look like.
const SHAPES: &[Evasion] = &[
    ("a union", Both, &[Say("select id, title from articles where id < 3 union all select id, email from customers")]),
    ("a union in brackets", Both, &[Say("(select title from articles limit 1) union (select phone from customers)")]),
    (
        "four derived tables",
        Both,
        &[Say("select q from (select z q from (select y z from (select email y from customers) a) b) c")],
    ),
    (
        "a derived table with a harmless name",
        Both,
        &[Say("select articles.e from (select email e from support.customers) articles")],
    ),
    ("an alias with a harmless name", Both, &[Say("select products.email from customers products")]),
    (
        "a scalar subquery in each row",
        Both,
        &[Say("select p.id, (select email from customers c where c.id = p.id) from products p")],
    ),
    (
        "a common table",
        Both,
        &[Say("with articles as (select email as title from customers) select title from articles")],
    ),
    (
        "a recursive common table",
        Both,
        &[Say(
            "with recursive w as (select 1 i union all select i + 1 from w where i < 300) select c.email from w join customers c on c.id = w.i",
        )],
    ),
    ("a window", Both, &[Say("select lead(email) over (order by id) from customers")]),
    ("a join with using", Both, &[Say("select * from articles join customers using (id)")]),
    ("a natural join", Both, &[Say("select * from (select id from articles) a natural join customers")]),
    ("every column of an alias", Both, &[Say("select a.* from customers a")]),
    ("an expression", Both, &[Say("select concat(lower(name), ' ', reverse(reverse(email))) from customers")]),
    ("a case", Both, &[Say("select case when id > 0 then email else '' end from customers")]),
    ("for update", Both, &[Say("select email from customers for update")]),
    ("lock in share mode", Both, &[Say("select email from customers lock in share mode")]),
    (
        "old words",
        Both,
        &[Say("select sql_calc_found_rows high_priority straight_join sql_small_result email from customers")],
    ),
    ("a limit with an offset", Both, &[Say("select email from customers limit 5, 2000")]),
    ("a packed row", Both, &[LONG, Say("select group_concat(email) from customers")]),
    (
        "a packed row in an expression",
        Both,
        &[LONG, Say("select length(x), x from (select group_concat(name, phone) x from customers) y")],
    ),
    ("rows packed by a hundred", Both, &[LONG, Say("select group_concat(email) from customers group by id div 100")]),
    ("a JSON array", Both, &[Say("select json_arrayagg(email) from customers")]),
    ("a JSON object", Both, &[Say("select json_objectagg(id, email) from customers")]),
    ("objects", Both, &[Say("select json_object('e', email) from customers")]),
    (
        "a JSON table of a packed row",
        Both,
        &[Say(
            "select j.e from (select json_arrayagg(email) a from customers) c, json_table(c.a, '$[*]' columns (e varchar(80) path '$')) j",
        )],
    ),
    ("greatest of each", Both, &[Each("select max(email) from customers where id = {}")]),
    ("least of a group", Both, &[Say("select min(email), max(phone) from customers group by id")]),
    ("TABLE", MySql9, &[Say("table customers")]),
    ("TABLE by the binary protocol", MySql9, &[Prepared("table customers")]),
    ("TABLE in a derived place", MySql9, &[Say("select e from (table customers) t (a, b, e, f, g, h, i, j)")]),
    ("VALUES with a subquery", MySql9, &[LONG, Say("values row(1, (select group_concat(email) from customers))")]),
    (
        "LATERAL",
        MySql9,
        &[Say("select l.e from articles a, lateral (select email e from customers c where c.id = a.id) l")],
    ),
    ("SET STATEMENT", MariaDb, &[Say("set statement max_statement_time = 100 for select email from customers")]),
    ("BEGIN NOT ATOMIC", MariaDb, &[Say("begin not atomic select email from customers; end")]),
    ("IF at top level", MariaDb, &[Say("if (1 = 1) then select email from customers; end if")]),
    ("FETCH NEXT", MariaDb, &[Say("select email from customers order by id offset 0 rows fetch next 2000 rows only")]),
    ("HANDLER", Both, &[Say("handler customers open"), Say("handler customers read first limit 2000")]),
    (
        "HANDLER by another name",
        Both,
        &[Say("handler support.customers open as products"), Say("handler products read first limit 2000")],
    ),
    (
        "HANDLER over a key",
        Both,
        &[Say("handler customers open as h"), Say("handler h read `email` >= ('c') limit 2000")],
    ),
    (
        "DELETE RETURNING",
        MariaDb,
        &[
            Say("begin; delete from tickets"),
            Say("delete from customers where id > 5 returning email"),
            Say("rollback"),
        ],
    ),
    (
        "INSERT RETURNING",
        MariaDb,
        &[
            Say("begin"),
            Say("insert into articles (id, title, body) select 100000 + id, email, '' from customers returning title"),
            Say("rollback"),
        ],
    ),
];

/// Where values may go before they come.
const DETOURS: &[Evasion] = &[
    ("a view", Both, &[Say("select * from customer_directory")]),
    ("a view over a join", Both, &[Say("select customer_name from open_tickets")]),
    (
        "a view of one's own",
        Both,
        &[
            Say("create database OWN; create view OWN.articles as select id, email as title from support.customers"),
            Say("select title from OWN.articles"),
        ],
    ),
    (
        "a view of a view, by USE",
        Both,
        &[
            Say("create database OWN; create view OWN.a as select id, email as e from support.customers"),
            Say("create algorithm = temptable view OWN.products as select e as sku from OWN.a"),
            Say("use OWN"),
            Say("select sku from products"),
        ],
    ),
    (
        "a view that was changed",
        Both,
        &[
            Say("create database OWN; create view OWN.v as select title as e from support.articles"),
            Say("select count(*) from OWN.v"),
            Say("create or replace view OWN.v as select email as e from support.customers; select e from OWN.v"),
        ],
    ),
    ("a procedure", Both, &[Say("call every_customer()")]),
    ("a procedure by the binary protocol", Both, &[Prepared("call every_customer()")]),
    ("a procedure with dynamic SQL", Both, &[Say("call dynamic_emails('email')")]),
    (
        "a procedure of one's own",
        Both,
        &[
            Say("create database OWN"),
            Say("create procedure OWN.p() select email from support.customers"),
            Say("call OWN.p()"),
        ],
    ),
    ("a function in each row", Both, &[Say("select email_of(id) from articles")]),
    (
        "a function of one's own",
        Both,
        &[
            LONG,
            Say("create database OWN"),
            Say(
                "create function OWN.f() returns mediumtext reads sql data return (select group_concat(email) from support.customers)",
            ),
            Say("select OWN.f()"),
        ],
    ),
    ("a variable", Both, &[LONG, Say("set @v = (select group_concat(email) from customers)"), Say("select @v")]),
    ("INTO a variable", Both, &[LONG, Say("select group_concat(email) into @v from customers"), Say("select @v")]),
    (
        "INTO a variable, one by one",
        Both,
        &[EachThen("select email from customers where id = {} into @v", "select @v")],
    ),
    (
        "a variable that grows in a count",
        Both,
        &[
            Say("set @v = ''"),
            Say("select count(*) from customers where (@v := concat(@v, email, ',')) is not null"),
            Say("select @v"),
        ],
    ),
    (
        "a variable that grows in an aggregate",
        Both,
        &[Say("set @v = ''"), Say("select max(length(@v := concat(@v, email, ','))) from customers"), Say("select @v")],
    ),
    (
        "a variable that grows in DO",
        Both,
        &[Say("set @v = ''"), Say("do (select count(@v := concat(@v, email, ',')) from customers)"), Say("select @v")],
    ),
    ("PREPARE from a text", Both, &[Say("prepare p from 'select email from customers'"), Say("execute p")]),
    (
        "PREPARE from a variable",
        Both,
        &[Say("set @q = concat('select email from cust', 'omers')"), Say("prepare p from @q"), Say("execute p")],
    ),
    ("EXECUTE IMMEDIATE", MariaDb, &[Say("execute immediate concat('select email from cust', 'omers')")]),
    (
        "a temporary copy",
        Both,
        &[Say("create temporary table w as select * from customers"), Say("select email from w")],
    ),
    (
        "a temporary copy in two steps",
        Both,
        &[
            Say("create temporary table w (e varchar(80))"),
            Say("insert into w select phone from customers"),
            Say("select e from w"),
        ],
    ),
    (
        "a copy that lasts",
        Both,
        &[
            Say("create database OWN; create table OWN.products as select id, email as sku from support.customers"),
            Say("select sku from OWN.products"),
        ],
    ),
    (
        "a copy like it",
        Both,
        &[
            Say("create database OWN; create table OWN.t like support.customers"),
            Say("insert into OWN.t select * from support.customers"),
            Say("select email from OWN.t"),
        ],
    ),
    (
        "REPLACE with a reading",
        Both,
        &[
            Say("create database OWN; create table OWN.t (id int primary key, e varchar(80))"),
            Say("replace into OWN.t select id, email from support.customers"),
            Say("select e from OWN.t"),
        ],
    ),
    (
        "an update from another table",
        Both,
        &[
            Say("begin; update articles a join customers c on c.id = a.id set a.title = c.email"),
            Say("select title from articles"),
            Say("rollback"),
        ],
    ),
    (
        "values of a subquery",
        Both,
        &[
            Say("begin; update articles set title = (select email from customers c where c.id = articles.id)"),
            Say("select title from articles"),
            Say("rollback"),
        ],
    ),
    (
        "what EXPLAIN makes of a row",
        MariaDb,
        &[EachThen("explain extended select name, email from customers where id = {}", "show warnings")],
    ),
    (
        "what EXPLAIN makes of a row",
        MySql9,
        &[EachThen("explain format=traditional select name, email from customers where id = {}", "show warnings")],
    ),
    (
        "warnings of a cast",
        Both,
        &[
            Say("set max_error_count = 1024"),
            Say("select sum(cast(email as signed)) from customers"),
            Say("show warnings limit 2000"),
        ],
    ),
    (
        "an error of XPath",
        Both,
        &[Each("select extractvalue(1, concat('~', (select email from customers where id = {})))")],
    ),
    (
        "an error of a key",
        Both,
        &[
            Say(
                "create temporary table k (e varchar(80) primary key) as select concat('customer', id, '@example.org') e from articles",
            ),
            Each("insert into k select email from customers where id = {}"),
        ],
    ),
    (
        "XA around it",
        Both,
        &[Say("xa start 'OWN'"), Say("select email from customers"), Say("xa end 'OWN'"), Say("xa rollback 'OWN'")],
    ),
];
