//! Evasion by what a session is in: which database a name is looked up in, how it was negotiated, what was prepared
//! before.

use weir_tests::mysql::packets::{capability, command};

use super::On::{Both, MariaDb, MySql9};
use super::Step::{Across, Bytes, Command, Login, LoginWithout, Prepared, Say};
use super::{Evasion, check};

/// A column of the server's result has no origin here, so that only the name tells what it is.
const READ: &str = "select concat('', email) from customers";
/// A harmless table of that name.
const OWN: super::Step = Say("create database OWN; create table OWN.customers (id int primary key, email varchar(80))");

#[test]
fn nothing_that_a_variable_remembers_gets_past_the_budget() {
    check(REMEMBERED);
}

#[test]
fn no_play_with_names_gets_past_the_budget() {
    check(NAMES);
}

const NAMES: &[Evasion] = &[
    ("back to the database", Both, &[OWN, Say("use OWN"), Say("use support"), Say(READ)]),
    ("back by COM_INIT_DB", Both, &[OWN, Say("use OWN"), Command(command::INIT_DB, "support"), Say(READ)]),
    (
        "back in the same text",
        Both,
        &[OWN, Say("use OWN"), Say("use support; select concat('', email) from customers")],
    ),
    (
        "a database that failed",
        Both,
        &[OWN, Say("use OWN; select * from no_such_table; select 1"), Say("use support"), Say(READ)],
    ),
    ("a database that was refused", Both, &[OWN, Say("use no_such_database"), Say(READ)]),
    (
        "a database that is another",
        Both,
        &[OWN, Say("use OWN"), Say("drop database OWN"), Say("select concat('', email) from support.customers")],
    ),
    ("prepared in one database, run in another", Both, &[OWN, Across(READ, "use OWN")]),
    (
        "prepared in SQL in one database, run in another",
        Both,
        &[OWN, Say("prepare p from \"select concat('', email) from customers\""), Say("use OWN"), Say("execute p")],
    ),
    (
        "a procedure's own database",
        Both,
        &[
            OWN,
            Say("create procedure OWN.p() begin select concat('', email) from support.customers; end"),
            Say("use OWN"),
            Say("call p()"),
        ],
    ),
    (
        "a temporary table that was dropped",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("drop temporary table customers"),
            Say(READ),
        ],
    ),
    (
        "a temporary table dropped in the same text",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("drop table customers; select concat('', email) from customers"),
        ],
    ),
    ("a temporary table that failed", Both, &[Say("create temporary table customers (id nosuchtype)"), Say(READ)]),
    (
        "a temporary table of another database",
        Both,
        &[OWN, Say("create temporary table OWN.customers (id int, email varchar(80))"), Say(READ)],
    ),
    (
        "a temporary table that a reset dropped",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Command(command::RESET_CONNECTION, ""),
            Say(READ),
        ],
    ),
    (
        "a temporary table that was renamed",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("alter table customers rename to w"),
            Say(READ),
        ],
    ),
    (
        "a table that was renamed over",
        Both,
        &[
            Say(
                "create database OWN; create table OWN.customers (id int, email varchar(80)); create view OWN.v as select concat('', email) e from support.customers",
            ),
            Say("select count(*) from OWN.customers"),
            Say("drop table OWN.customers; rename table OWN.v to OWN.customers"),
            Say("select e from OWN.customers"),
        ],
    ),
    ("statements prepared by number", Both, &[Prepared(READ)]),
    ("new ends of rows", Both, &[Login(capability::DEPRECATE_EOF, 45), Say(READ)]),
    (
        "session tracking",
        Both,
        &[
            Login(capability::DEPRECATE_EOF | capability::SESSION_TRACK, 45),
            Say("set session_track_system_variables = '*'"),
            Say("use support"),
            Say(READ),
        ],
    ),
    (
        "a character set from the login",
        Both,
        &[Login(0, 28), Bytes(b"select '\xbf\x5c', email from customers where id > 0 -- ' from articles")],
    ),
    (
        "several statements switched on later",
        Both,
        &[
            LoginWithout(capability::MULTI_STATEMENTS),
            Command(command::SET_OPTION, "\0\0"),
            Say("select 1; select email from customers"),
        ],
    ),
    (
        "the reading of query attributes",
        MySql9,
        &[
            Login(capability::QUERY_ATTRIBUTES, 45),
            // Two counts before the text, and no attribute.
            Command(command::QUERY, "\0\u{1}select concat('', email) from customers"),
        ],
    ),
    (
        "a mode that a reset took back",
        Both,
        &[
            Say("set sql_mode = 'NO_BACKSLASH_ESCAPES'"),
            Command(command::RESET_CONNECTION, ""),
            Say(r"select '\'', email, '\' from articles -- ' from customers"),
        ],
    ),
    // It is read before its mode is set.
    (
        "a mode of one statement",
        MariaDb,
        &[Say(
            r"set statement sql_mode = 'NO_BACKSLASH_ESCAPES' for select '\'', email, '\' from articles -- ' from customers",
        )],
    ),
];

/// A variable that takes in a value of every row that a statement looks at, and is read in the next.
const REMEMBERED: &[Evasion] = &[
    (
        "by a delete of nothing",
        Both,
        &[
            Say("set @x = ''"),
            Say("delete from customers where id <= 2000 and (@x := concat(@x, email)) is null"),
            Say("select @x"),
        ],
    ),
    (
        "by an update of nothing",
        Both,
        &[
            Say("set @x = ''"),
            Say("update customers set language = language where id <= 2000 and (@x := concat(@x, email)) is null"),
            Say("select @x"),
        ],
    ),
    (
        "by a prepared delete",
        Both,
        &[
            Say("set @x = ''"),
            Say("prepare s from 'delete from customers where id <= 2000 and (@x := concat(@x, email)) is null'"),
            Say("execute s"),
            Say("select @x"),
        ],
    ),
    (
        "by a handler",
        MySql9,
        &[
            Say("set @x = ''"),
            Say("handler customers open"),
            Say("handler customers read first where (@x := concat(@x, email)) is null limit 2000"),
            Say("select @x"),
        ],
    ),
    (
        "in a temporary table's shadow of another database",
        Both,
        &[
            OWN,
            Say("use OWN"),
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("use support"),
            Say(READ),
        ],
    ),
    (
        "in a temporary table's shadow that a prepared statement takes away",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("prepare s from 'drop temporary table customers'"),
            Say("execute s"),
            Say(READ),
        ],
    ),
    (
        "in a shadow that is gone, prepared by the protocol",
        Both,
        &[
            Say("create temporary table customers (id int, email varchar(80))"),
            Say("prepare s from 'drop temporary table customers'"),
            Say("execute s"),
            Prepared(READ),
        ],
    ),
];
