//! What holds for the shapes, values and redactions of MySQL's and MariaDB's texts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may unwrap, and look at the clock")]

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::{Context, LiteralKind, MysqlLex, Quoting, analyse, literal_value, redact, shape};
use super::*;
use crate::catalog::Catalog;

const MYSQL: MysqlLex =
    MysqlLex { mariadb: false, version: 90_704, ansi_quotes: false, no_backslash_escapes: false, utf8: true };

/// Far above what an unoptimised build on a busy machine needs for a megabyte, far below what anything quadratic does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Statements with literals in all their places; `{…}` around each that is plain.
const STATEMENTS: [&str; 36] = [
    "select id, email from customers where id = {7} and name = {'a'} limit {5}",
    "select 'kept', {1} from customers where name like {'a%'} escape {'!'} or name regexp {\"^a\"} order by {2}",
    "select name 'alias', name as \"other\" from customers where name in ({'a'}, {'b'}) and id in ({1}, {2})",
    "select * from t where k = {0xabcd} or k = {x'ab'} or k <=> {b'1'} or k = {_binary'x'} or k = {_binary 0x41}",
    "select * from t where a between {'2024-01-01'} and {'2024-02-01'} and b > {date '2024-01-01'}",
    "select * from t where match (body) against ({'words'} in boolean mode)",
    "select group_concat(email separator {','}) from customers group by {1} having count(*) > {3}",
    "select * from t where at > now() - interval {5} day or at > now() - interval {'5'} day",
    "select sleep({5}), benchmark({10}, md5('kept')), load_file('kept'), json_extract(doc, '$.kept')",
    "select doc->'$.kept', doc->>'$.kept' from t where doc->'$.kept' = {'a'}",
    "select 'kept' into @q from t where a = {1}",
    "select @q := 'kept'",
    "select * from t where a = {'b' 'c'} and d = {N'e'}",
    "select * from customers where email = {'a'} into outfile '/kept'",
    "select * from t where a = 'select kept from it' or a = 'sel\\ect kept' or a = 0x73656c6563742078",
    "insert into notes (id, note) values ({1}, {'a'}), ({2}, {\"b\"}) on duplicate key update note = {'c'}",
    "insert into notes value ({1}, {'a'})",
    "insert into notes set id = {1}, note = {'a'}",
    "insert into notes values ({1}, concat('kept', {2}))",
    "replace into notes values ({1}, {0x41})",
    "update customers set name = {'a'}, email = concat('kept', name) where id = {1} order by id limit {1}",
    "delete from customers where id = {1}",
    "with a as (select {1}) select * from a where b = {'c'}",
    "(select {1}) union (select {2} where a = {'b'})",
    "/*!50000 select {1} */ from t where /*! a = {'b'} */",
    "values row({1}, 'kept')",
    "call p({1}, 'kept')",
    "do sleep({1})",
    "handler t read k = ({5}) limit {1}",
    "explain select 'kept' from t where a = 'kept' limit {1}",
    "set @q = 'kept', sql_mode = 'kept', @n = 5",
    "set statement max_statement_time = 1 for select 5, 'kept'",
    "prepare s from 'kept'",
    "execute immediate 'kept'",
    "load data infile '/kept' into table t fields terminated by 'kept' ignore 1 lines",
    "create table t (a int default 5, b varchar(9) default 'kept')",
];

/// A statement without its braces, and the ranges that they stood around.
fn marked(statement: &str) -> (String, Vec<std::ops::Range<usize>>) {
    let (mut text, mut ranges, mut start) = (String::new(), Vec::new(), 0);
    for character in statement.chars() {
        match character {
            '{' => start = text.len(),
            '}' => ranges.push(start..text.len()),
            other => text.push(other),
        }
    }
    (text, ranges)
}

/// What stands between these braces, without a keyword before the literal.
fn literal_of(text: &str, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
    let skipped = if text[range.clone()].starts_with("date ") { 5 } else { 0 };
    range.start + skipped..range.end
}

fn settings(flags: u8) -> MysqlLex {
    MysqlLex {
        mariadb: flags & 1 != 0,
        version: if flags & 1 != 0 { 101_119 } else { 90_704 },
        ansi_quotes: flags & 2 != 0,
        no_backslash_escapes: flags & 4 != 0,
        utf8: flags & 8 == 0,
    }
}

fn shaped(text: &str) -> Shape {
    shape(text.as_bytes(), LexSettings::Mysql(MYSQL))
}

fn redacted(text: &[u8], lex: MysqlLex) -> String {
    redact::redact(&Unit::new(text, LexSettings::Mysql(lex)))
}

#[test]
fn literals_are_plain_where_they_are_only_data() {
    for statement in STATEMENTS {
        let (text, ranges) = marked(statement);
        let expected: Vec<_> = ranges.iter().map(|range| literal_of(&text, range)).collect();
        let plain: Vec<_> =
            shaped(&text).literals.into_iter().filter(|literal| !literal.kept).map(|literal| literal.range).collect();
        assert_eq!(plain, expected, "{text}");
    }
}

#[test]
fn what_may_mean_something_else_has_another_key() {
    for (left, right) in [
        ("select 1 from Customers", "select 1 from customers"),
        ("select t.Select from t", "select t.select from t"),
        ("select Select.a from t", "select select.a from t"),
        ("select `a` from t", "select a from t"),
        ("select @a", "select @b"),
        ("select @`a`", "select @`A`"),
        ("select @a", "select @@a"),
        ("select \"a\" from t", "select `a` from t"),
        ("select 'a' from t", "select 'b' from t"),
        ("select 1 /*!50000 + 1 */", "select 1"),
        ("select 1 /*!50000 , email from customers */", "select 1 /*!99999 , email from customers */"),
        ("select /*+ set_var(sql_mode='') */ 1", "select 1"),
        ("select /*+ set_var(sql_mode='') */ 1", "select /*+ set_var(sql_mode='ANSI') */ 1"),
        ("prepare s from 'a'", "prepare s from 'b'"),
        ("select a->'$.a' from t", "select a->'$.b' from t"),
        ("select 1 --1", "select 1 -- 1"),
        ("select 'a", "select 'b"),
        ("select a.b", "select a . `b c`"),
        ("select 1 from t where a = 1", "select 1 from t where a = '1'"),
        ("select ?", "select ?, ?"),
    ] {
        assert_ne!(shaped(left).key, shaped(right).key, "{left} / {right}");
    }
    for (left, right) in [
        ("select id from notes where note = 'a' limit 5", "SELECT id\nFROM notes # x\nWHERE note=\"b\" 'c' LIMIT 500"),
        ("select @a", "select @`a`"),
        ("select 1 /*!50000 + 1 */", "select 1 /*! + 2*/"),
        ("select /*+ no_icp(t) */ id from t", "select id from t"),
        ("insert into notes values (1, 'a')", "insert into notes values (2, _utf8mb4'b')"),
        ("select 1 from t where a = 0x41", "select 1 from t where a = x'4243'"),
    ] {
        assert_eq!(shaped(left).key, shaped(right).key, "{left} / {right}");
    }
}

#[test]
fn redacted_texts_keep_names_and_no_values() {
    for (text, expected) in [
        (
            "SELECT `e-mail`, Name FROM Customers WHERE id=7 AND x IN ('secret', 0x41) -- secret",
            "select `e-mail`, Name from Customers where id = ? and x in (?, ?)",
        ),
        (
            "select 1 /*!50000 , email from customers where a = 'secret' */",
            "select ?, email from customers where a = ?",
        ),
        ("select 1 /*!99999 secret */ /*+ secret */ # secret", "select ?"),
        ("select /*+ set_var(sql_mode='secret') */ 1", "select /*+ ? */ ?"),
        ("select @a, @`b c`, @@global.x, {d 'secret'}", "select @a, @`b c`, @@global.x, { d ? }"),
        ("select _latin1'secret' 'secret', N'secret', b'1', \\N", "select ?, ?, ?, \\ N"),
        ("select `a``b\u{1b}`", "select `a``b\u{fffd}`"),
        ("set password = 'secret'", "set password = ?"),
    ] {
        assert_eq!(redacted(text.as_bytes(), MYSQL), expected, "{text}");
    }
    let ansi = MysqlLex { ansi_quotes: true, mariadb: true, ..MYSQL };
    assert_eq!(redacted(b"select \"a`b\", \\N", ansi), "select `a``b`, \\N");
}

#[test]
fn bombs_take_no_time() {
    let lex = LexSettings::Mysql(MYSQL);
    let maria = LexSettings::Mysql(MysqlLex { mariadb: true, version: 101_119, ..MYSQL });
    for part in [
        "'",
        "\"",
        "`",
        "/*",
        "/*!",
        "/*!50000",
        "/*!99999",
        "/*+",
        "/*+ set_var(sql_mode",
        "*/",
        "-- ",
        "--",
        "#",
        "#\n",
        "'' ",
        "''/**/",
        "'\\",
        "'a'/*!50000 ",
        "_utf8 ",
        "_utf8",
        "_utf8/**/",
        "@",
        "@@",
        "@'",
        "@`",
        "$$",
        "$a$",
        "$a",
        "$",
        "$$ $a$ ",
        "0x",
        "0x1 ",
        "1.e",
        "1e",
        ".",
        "..",
        "1.",
        "a.",
        "a.1",
        "\\N",
        "?",
        ";",
        "(",
        "x'",
        "x'4' ",
        "N'",
        "{d ",
        "\0",
        "\u{e9}",
        "/*!50000 '",
        "/*M!",
        "/*/",
        "*",
        "/",
        "in (",
        "values (",
    ] {
        let bomb = part.repeat(1_000_000 / part.len());
        for lex in [lex, maria] {
            let start = Instant::now();
            let shape = shape(bomb.as_bytes(), lex);
            for literal in shape.literals.iter().take(10_000) {
                let _ = literal_value(bomb.as_bytes(), literal, lex);
            }
            let took = start.elapsed();
            assert!(took < PATIENCE, "{part} took {took:?}");
        }
    }
}

/// The text with each plain literal exchanged.
fn exchanged(text: &str, numbers: &[u32], strings: &[String]) -> String {
    let mut out = text.to_owned();
    for (index, literal) in shaped(text).literals.iter().enumerate().rev().filter(|(_, literal)| !literal.kept) {
        let number = numbers[index % numbers.len()];
        let string = strings[index % strings.len()].replace('\\', "\\\\").replace('\'', "''");
        let new = match literal.kind {
            LiteralKind::Number => number.to_string(),
            LiteralKind::Bits => format!("0x{number:08x}"),
            LiteralKind::String(Quoting::Charset) => format!("_latin1 '{string}'"),
            LiteralKind::String(_) => format!("'{string}'"),
        };
        out.replace_range(literal.range.clone(), &new);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plain_literals_change_nothing(pick in 0..STATEMENTS.len(), numbers in prop::collection::vec(any::<u32>(), 1..5), strings in prop::collection::vec("([a-d '%;.(\\\\-]|customers|/\\*!|\\*/|# |`|\"){0,6}", 1..5)) {
        let (text, _) = marked(STATEMENTS[pick]);
        let other = exchanged(&text, &numbers, &strings);
        prop_assert_eq!(shaped(&text).key, shaped(&other).key, "{}\n{}", text, other);
        prop_assert_eq!(redacted(text.as_bytes(), MYSQL), redacted(other.as_bytes(), MYSQL));
        let catalog = Catalog::empty(Engine::Mysql, "");
        let path = ["support".to_owned()];
        let context = Context { lex: LexSettings::Mysql(MYSQL), catalog: &catalog, search_path: &path, temporary: &[] };
        prop_assert_eq!(analyse(text.as_bytes(), &context), analyse(other.as_bytes(), &context), "{}\n{}", text, other);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), flags in 0_u8..16) {
        holds(&bytes, settings(flags))?;
    }

    #[test]
    fn no_mixture_of_marks_panics(parts in prop::collection::vec(prop::sample::select(MARKS.to_vec()), 0..60), flags in 0_u8..16) {
        holds(&parts.concat(), settings(flags))?;
    }

    #[test]
    fn what_is_written_into_a_string_is_its_value(value in prop::collection::vec(any::<u8>(), 0..40), flags in 0_u8..4) {
        let lex = LexSettings::Mysql(MysqlLex { mariadb: flags & 1 != 0, ..MYSQL });
        let mut text = b"select '".to_vec();
        for byte in &value {
            match byte {
                b'\'' | b'\\' => text.extend([b'\\', *byte]),
                // A backslash in front of these stays.
                _ if flags & 2 != 0 && byte.is_ascii_punctuation() && !b"%_".contains(byte) => text.extend([b'\\', *byte]),
                _ => text.push(*byte),
            }
        }
        text.push(b'\'');
        let shape = shape(&text, lex);
        prop_assert_eq!(shape.literals.len(), 1);
        prop_assert_eq!(literal_value(&text, &shape.literals[0], lex).unwrap().into_owned(), value);
    }
}

/// Tokens lie in order inside the text; what is between them is dropped; literals are tokens, and values do not grow.
fn holds(text: &[u8], lex: MysqlLex) -> Result<(), TestCaseError> {
    let lex = LexSettings::Mysql(lex);
    let unit = Unit::new(text, lex);
    let mut end = 0;
    for token in &unit.tokens {
        let range = token.range();
        prop_assert!(range.start >= end && range.end > range.start && range.end <= text.len(), "{:?}", token);
        end = range.end;
    }
    let shape = shape(text, lex);
    prop_assert_eq!(shape.literals.len(), unit.tokens.iter().filter(|token| token.is_literal()).count());
    for literal in &shape.literals {
        if let Some(value) = literal_value(text, literal, lex) {
            prop_assert!(literal.kind == LiteralKind::Number || value.len() <= literal.range.len());
        }
    }
    prop_assert!(!redact::redact(&unit).chars().any(char::is_control));
    let catalog = Catalog::empty(Engine::Mysql, "");
    let context = Context { lex, catalog: &catalog, search_path: &[], temporary: &[] };
    prop_assert!(!analyse(text, &context).statements.is_empty());
    Ok(())
}

const MARKS: &[&[u8]] = &[
    b"'",
    b"\"",
    b"`",
    b"\\",
    b"''",
    b"/*",
    b"*/",
    b"/*!",
    b"/*!50000",
    b"/*!99999 ",
    b"/*M!",
    b"/*+ set_var(sql_mode)",
    b"-- ",
    b"--",
    b"#",
    b"\n",
    b" ",
    b"@",
    b"@@",
    b"$",
    b"$$",
    b"$a$",
    b".",
    b"1",
    b"1.e",
    b"0x",
    b"e",
    b"x'",
    b"b'",
    b"N'",
    b"_utf8",
    b"_binary ",
    b"a",
    b"select ",
    b"from ",
    b"customers",
    b"where ",
    b"=",
    b"in (",
    b"values (",
    b")",
    b",",
    b";",
    b"?",
    b"{",
    b"}",
    b":=",
    b"->",
    b"\0",
    b"\xa0",
    b"\xff",
    b"\xc3\xa9",
    b"\\N",
    b"limit ",
    b"set ",
];
