//! MySQL's and MariaDB's statements. Of the first byte, bit 0 says MariaDB, bit 1 ANSI_QUOTES, bit 2
//! NO_BACKSLASH_ESCAPES, and bit 3 that the client does not send UTF-8.

use std::sync::LazyLock;

use weir_policy::analysis::{LexSettings, LiteralKind, MysqlLex, Quoting};
use weir_policy::catalog::Catalog;

use super::CANARY;
use crate::support_desk;

/// Bit of the first byte of an input of MySQL's.
pub(super) const FLAG: u8 = 0x80;

pub(super) static CATALOG: LazyLock<Catalog> = LazyLock::new(support_desk::mysql_catalog);
pub(super) static SEARCH_PATH: LazyLock<Vec<String>> = LazyLock::new(|| vec!["support".to_owned()]);

/// How a session reads, by the first byte of an input.
pub(super) fn settings(flags: u8) -> LexSettings {
    let mariadb = flags & 1 != 0;
    LexSettings::Mysql(MysqlLex {
        mariadb,
        version: if mariadb { 101_119 } else { 90_704 },
        ansi_quotes: flags & 2 != 0,
        no_backslash_escapes: flags & 4 != 0,
        utf8: flags & 8 == 0,
    })
}

/// Another literal of the same kind, written so that it means the same to its neighbours: a blank in front could make a
/// comment of `--'a'`, another quote an `x'…'` of `x"a"`.
pub(super) fn other(raw: &[u8], kind: LiteralKind) -> Option<String> {
    let quote = if raw.first() == Some(&b'"') { '"' } else { '\'' };
    match kind {
        LiteralKind::Number => raw.iter().all(u8::is_ascii_digit).then(|| "7 ".to_owned()),
        LiteralKind::Bits => Some("0x41 ".to_owned()),
        LiteralKind::String(Quoting::Charset) => Some(format!("_latin1'{CANARY}' ")),
        LiteralKind::String(Quoting::Dollar) => Some(format!("$${CANARY}$$ ")),
        LiteralKind::String(_) if matches!(raw.first(), Some(b'n' | b'N')) => Some(format!("N'{CANARY}' ")),
        LiteralKind::String(_) => Some(format!("{quote}{CANARY}{quote} ")),
    }
}

/// Statements to begin with.
pub(super) fn statements() -> Vec<(String, Vec<u8>)> {
    STATEMENTS
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            let name = words.take(4).collect::<Vec<_>>().join("-").to_ascii_lowercase();
            // Every server and mode in turn, the plain ones more often.
            let flag = FLAG | [0, 1, 0, 1, 2, 3, 4, 5, 9][index % 9];
            (format!("mysql-{index:02}-{name}"), [&[flag], text.as_bytes()].concat())
        })
        .collect()
}

const STATEMENTS: &[&str] = &[
    "select id, email from customers where id = 42 and name like '+44%' order by 2 limit 20",
    "select `email`, \"text\" from `support`.`customers` where id in (1, 2) or name = N'a' 'b' or k = 0x41",
    "select 'it''s', 'a\\'b', _utf8mb4'c' 'd', _binary 0x41, x'41', b'01', 0b1, .5, 1., 1e5, 1a, t.1a from t",
    "select 1 --1\n+ 2 -- x\n# y\n/* z /* */ from customers",
    "select /*!50000 email */ /*!99999 , phone */ from /*!50700 customers */ /*M!100100 , tickets */",
    "select \"email\" from \"customers\" where name = 'a\"b'",
    "select 'a\\', email from customers where name = '\\'",
    "select email from customers where name = 'x\\' union select holder from billing.cards -- ",
    "select caf\u{e9}, '\u{e9}' from customers",
    "select @v := email, @`w`, @'x', @@global.sql_mode, @@version from customers where id <=> ?",
    "select {d '2024-01-01'}, {fn now()}, \\N, !1, 1 && 2 || 3, a->'$.b', a->>'$.c' from t",
    "select p 1.e.t, 1.e(email) from customers",
    "select /*+ set_var(sql_mode='ansi_quotes') no_icp(c) */ email from customers c",
    "insert into notes (id, note) values (1, 'a'), (2, \"b\") on duplicate key update note = values(note)",
    "insert into notes select id, email from customers where id = 1",
    "replace into notes set id = 1, note = 'a'",
    "update customers c join tickets t on t.customer_id = c.id set c.email = 'x' where t.id = 7 limit 5",
    "delete c from customers c where id = 1",
    "select email from customers into outfile '/tmp/x' fields terminated by ','",
    "select email into @e from customers where id = 1",
    "load data local infile 'x' into table notes fields terminated by ',' (id, @n) set note = upper(@n)",
    "handler customers open; handler customers read first; handler customers close",
    "set @q = 'select email from customers'; prepare s from @q; execute s; deallocate prepare s",
    "prepare s from 'select email from customers where id = ?'; execute s using @a",
    "execute immediate 'select email from customers'",
    "set sql_mode = 'ansi_quotes', names latin1; set statement max_statement_time = 1 for select email from customers",
    "begin not atomic declare i int default 1; while i < 9 do select email from customers where id = i; set i = i + 1; end while; end",
    "create procedure p() begin select * from customers; end; call p()",
    "call p_all(); call p_range(1, 2); do f_mail(1)",
    "show create table customers; describe customers; explain select * from customers; show tables like 'cust%'",
    "use archive; select plan from customers; use support",
    "with recursive w as (select 1 as n union all select n + 1 from w) select email from customers join w on id = n",
    "select group_concat(email order by id separator ';'), json_arrayagg(email) from customers group by name with rollup",
    "select v.mail from v_contacts v where id between 1 and 10 lock in share mode",
    "select c1 from v_dir; select people from v_people; select a from v_odd",
    "table customers; values row(1, 'a'), row(2, 'b')",
    "create temporary table customers as select 1 as id; drop table customers",
    "select email from customers for system_time all where id = 1",
    "start transaction; lock tables customers read; unlock tables; commit",
    "grant select on customers to 'bob'@'%' identified by 'secret'; set password for bob = 'secret'",
    "select 'unterminated",
    "select `unterminated",
    "select 1 /*! unterminated",
    "create function j() returns int language javascript as $a$ return '1' $a$; select email from customers",
    "select load_file('/etc/passwd'), sleep(1), benchmark(5, md5('a')), get_lock('a', 1)",
];
