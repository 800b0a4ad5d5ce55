//! Inputs that are meant to exhaust: each must come back, say something, and not take long.

#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

use std::time::{Duration, Instant};

use super::super::shape;
use super::*;
use crate::statement::Coverage;

/// Far above what an unoptimised build on a busy machine needs for a megabyte, far below what anything quadratic does.
const PATIENCE: Duration = Duration::from_secs(10);

fn survives(name: &str, sql: &[u8]) -> Analysis {
    let catalog = catalog();
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
    let start = Instant::now();
    let analysis = analyse(sql, &context);
    let _ = shape(sql, LexSettings::default());
    let took = start.elapsed();
    println!("{name}: {} KB in {took:?}, {:?}", sql.len() / 1024, analysis.statements[0].coverage);
    assert!(took < PATIENCE, "{name} took {took:?}");
    assert!(!analysis.statements.is_empty());
    analysis
}

fn reads_customers(analysis: &Analysis) -> bool {
    analysis.statements.iter().flat_map(|statement| &statement.uses).any(|usage| usage.oid == 10)
}

#[test]
fn bombs_come_back_and_still_name_what_they_read() {
    let repeated = |head: &str, part: &str, times: usize, tail: &str| format!("{head}{}{tail}", part.repeat(times));
    for (name, sql) in [
        ("parens", repeated("select email from customers where ", "(", 100_000, "")),
        ("closed parens", format!("select email from customers where {}1{}", "(".repeat(50_000), ")".repeat(50_000))),
        ("sums", repeated("select 1", "+1", 50_000, " from customers")),
        ("ands", repeated("select email from customers where a=1", " AND a=1", 12_000, "")),
        ("unions", repeated("select email from customers", " UNION ALL SELECT 1", 50_000, "")),
        ("nots", repeated("select email from customers where ", "not ", 25_000, "true")),
        ("minus", repeated("select ", "- ", 50_000, "1 from customers")),
        ("casts", repeated("select email", "::text", 20_000, " from customers")),
        ("brackets", repeated("select a", "[1]", 30_000, " from customers")),
        ("arrays", format!("select {}1{} from customers", "array[".repeat(10_000), "]".repeat(10_000))),
        ("cases", format!("select {}1{} from customers", "case when true then ".repeat(5_000), " end".repeat(5_000))),
        ("subqueries", format!("select {}1{} from customers", "(select ".repeat(10_000), ")".repeat(10_000))),
        ("joins", repeated("select email from customers", " join customers using (id)", 20_000, "")),
        ("columns", repeated("select email", ", email", 100_000, " from customers")),
        ("from", repeated("select 1 from customers", ", customers", 90_000, "")),
        ("dots", repeated("select a", ".a", 100_000, " from customers")),
        ("intervals", repeated("select ", "interval ", 20_000, "'1' from customers")),
        ("explains", repeated("", "explain ", 20_000, "select email from customers")),
        ("prepares", repeated("", "prepare a as ", 20_000, "select email from customers")),
        ("set_config", repeated("select 1", ", set_config('a.b', $1, true)", 30_000, " from customers")),
        ("dynamic", repeated("select 1", ", query_to_xml('select * from customers', true, true, '')", 10_000, "")),
        ("functions", repeated("select 1", ", f_all()", 80_000, "")),
        ("statements", repeated("select email from customers;", "select email from customers;", 30_000, "")),
    ] {
        let analysis = survives(name, sql.as_bytes());
        // EXPLAIN of EXPLAIN is no statement of PostgreSQL's, but what it names is still told; so is a PREPARE's body.
        assert!(reads_customers(&analysis) || name == "prepares", "{name}");
    }
}

#[test]
fn bombs_of_nothing_come_back() {
    let mut bombs: Vec<Vec<u8>> = [
        "(", ")", "'", "\"", "/*", "--\n", "$a$", "$", ";", ",", "a", "a ", "1 ", "'' ", "U&'' ", "U&''--\n", "E'\\",
        "''\n", "a.", "\u{e9}", "do ", "*/", "::", "@-", "$1 ", "[", "a(",
    ]
    .iter()
    .map(|part| part.repeat(1_000_000 / part.len()).into_bytes())
    .collect();
    bombs.push(vec![0; 1_000_000]);
    bombs.push(vec![0xff; 1_000_000]);
    for bomb in &bombs {
        survives(&String::from_utf8_lossy(&bomb[..6]), bomb);
    }
}

#[test]
fn common_table_expressions_that_double_each_other_stop() {
    let mut sql = "with c0 as (select * from customers)".to_owned();
    for level in 1..40 {
        write!(sql, ", c{level} as (select a.*, b.* from c{} a, c{} b)", level - 1, level - 1).unwrap();
    }
    sql.push_str(" select * from c39");
    let analysis = survives("doubling", sql.as_bytes());
    assert!(reads_customers(&analysis));
    assert_eq!(analysis.statements[0].coverage, Coverage::Partial);
}

#[test]
fn no_keyword_in_a_row_overflows_the_stack() {
    for keyword in sqlparser::keywords::ALL_KEYWORDS {
        for sql in [
            format!("select {} 1", format!("{keyword} ").repeat(1500)),
            format!("select 1 {}", format!("{keyword} 1 ").repeat(700)),
            format!("select {}", format!("{keyword}(").repeat(200)),
        ] {
            let analysis = plain(&sql);
            assert!(!analysis.statements.is_empty());
        }
    }
}

#[test]
fn long_lists_of_constants_are_still_understood() {
    let list: String = (0..20_000).map(|id| format!("{id},")).collect();
    let analysis = plain(&format!("select email from customers where id in ({list}0) limit 5"));
    assert_eq!(
        words(&analysis),
        "select full limit #20001 · read customers{email} used{id} · read vip{email} used{id} via customers (Catalog)"
    );
    let rows: String = (0..20_000).map(|id| format!("({id}, 'x'),")).collect();
    assert_eq!(words(&plain(&format!("insert into notes values {rows} (1, null)"))), "insert full · write notes");
}

#[test]
fn timing_of_a_point_select() {
    let catalog = catalog();
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
    let sql = b"SELECT id, name, email, phone FROM customers WHERE id = 31415 AND name <> 'nobody at all' LIMIT 20";
    let rounds = 5_000;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(shape(std::hint::black_box(sql), LexSettings::default()));
    }
    let shaped = start.elapsed() / rounds;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(analyse(std::hint::black_box(sql), &context));
    }
    println!("{} bytes: shape {shaped:?}, analyse {:?}", sql.len(), start.elapsed() / rounds);
}
