//! Evasion by programs that the server runs: what they read, and where they put it.

use super::On::{Both, MariaDb};
use super::Step::{Outside, Prepared, Say};
use super::{Evasion, check};

#[test]
fn no_program_gets_past_the_budget() {
    check(PROGRAMS);
}

const OWN: super::Step = Say("create database OWN");

const PROGRAMS: &[Evasion] = &[
    (
        "a procedure's parameter, filled by a cursor",
        Both,
        &[
            OWN,
            Say(
                "create procedure OWN.p(out r longtext) begin declare d int default 0; declare e varchar(80); declare c cursor for \
                 select email from support.customers; declare continue handler for not found set d = 1; set r = ''; open c; \
                 l: loop fetch c into e; if d then leave l; end if; set r = concat(r, ',', e); end loop; close c; end",
            ),
            Say("call OWN.p(@a)"),
            Say("select @a"),
        ],
    ),
    (
        "a variable of the session, filled by a procedure's cursor",
        Both,
        &[
            OWN,
            Say("create procedure OWN.p() begin declare d int default 0; declare e varchar(80); declare c cursor for \
                 select phone from support.customers; declare exit handler for not found set d = 1; set @acc = ''; open c; \
                 loop fetch c into e; set @acc = concat(@acc, ',', e); end loop; end"),
            Say("call OWN.p()"),
            Say("select @acc"),
        ],
    ),
    (
        "a procedure of another spelling",
        Both,
        &[
            OWN,
            Say("create procedure OWN.p(out r longtext) begin declare x text default \"\"; \
                 set r = concat(x, (select json_arrayagg(email) from support.customers)); end"),
            Say("call OWN.p(@a)"),
            Say("select @a"),
        ],
    ),
    (
        "a function that goes through a loop",
        Both,
        &[
            OWN,
            Say(
                "create function OWN.f() returns longtext reads sql data begin declare r longtext default ''; declare i int default 0; \
                 while i < 90 do set i = i + 1; set r = concat(r, ',', ifnull((select email from support.customers where id = i), '')); \
                 end while; return r; end",
            ),
            Say("select OWN.f()"),
        ],
    ),
    (
        "a function that gathers a group",
        MariaDb,
        &[
            OWN,
            Say(
                "create aggregate function OWN.g(x varchar(80)) returns longtext begin declare r longtext default ''; \
                 declare continue handler for not found return r; loop fetch group next row; set r = concat(r, ',', x); end loop; end",
            ),
            Say("select OWN.g(email) from customers"),
        ],
    ),
    (
        "a trigger that was made elsewhere",
        Both,
        &[
            Outside("create database OWN"),
            Outside("create table OWN.harmless (note longtext)"),
            Outside(
                "create trigger OWN.fills before insert on OWN.harmless for each row \
                 set new.note = (select json_arrayagg(email) from support.customers)",
            ),
            Say("insert into OWN.harmless values ('')"),
            Say("select note from OWN.harmless"),
        ],
    ),
    (
        "a trigger that sets off another",
        Both,
        &[
            Outside("create database OWN"),
            Outside("create table OWN.harmless (note longtext)"),
            Outside("create table OWN.further (note longtext)"),
            Outside(
                "create trigger OWN.goes after insert on OWN.harmless for each row insert into OWN.further values ('x')",
            ),
            Outside(
                "create trigger OWN.fills before insert on OWN.further for each row begin declare i int default 0; set new.note = ''; \
                 while i < 90 do set i = i + 1; set new.note = concat(new.note, ',', \
                 ifnull((select phone from support.customers where id = i), '')); end while; end",
            ),
            Prepared("insert into OWN.harmless values ('')"),
            Say("select note from OWN.further"),
        ],
    ),
    (
        "a trigger that remembers",
        Both,
        &[
            Outside("create database OWN"),
            Outside("create table OWN.harmless (id int)"),
            Outside("insert into OWN.harmless values (1)"),
            Outside(
                "create trigger OWN.tells after update on OWN.harmless for each row \
                 set @told = (select json_arrayagg(phone) from support.customers)",
            ),
            Say("update OWN.harmless set id = 2"),
            Say("select @told"),
        ],
    ),
    (
        "a procedure that sets off a trigger",
        Both,
        &[
            Outside("create database OWN"),
            Outside("create table OWN.harmless (id int)"),
            Outside("create table OWN.kept (email varchar(80))"),
            Outside("insert into OWN.harmless values (1)"),
            Outside(
                "create trigger OWN.keeps after delete on OWN.harmless for each row \
                 insert into OWN.kept select email from support.customers",
            ),
            Outside("create procedure OWN.p() delete from OWN.harmless"),
            Say("call OWN.p()"),
            Say("select email from OWN.kept"),
        ],
    ),
    (
        "rows side by side in one",
        Both,
        &[Say("select max(if(id = 1, email, null)), max(if(id = 2, email, null)), max(if(id = 3, email, null)), \
             max(if(id = 4, email, null)), max(if(id = 5, email, null)), max(if(id = 6, email, null)), max(if(id = 7, email, null)), \
             min(if(id > 7, email, null)), min(if(id > 8, email, null)), min(if(id > 9, email, null)), min(if(id > 11, email, null)) \
             from customers group by id div 12")],
    ),
];
