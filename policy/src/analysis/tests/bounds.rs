//! Inputs that are meant to exhaust: each must come back, say something, and not take long.

#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

use std::time::{Duration, Instant};

use super::super::shape;
use super::*;
use crate::statement::Coverage;

/// Processor time of this thread: far above what an unoptimised build needs for a megabyte, far below what anything
/// quadratic does, and nothing that a busy machine adds to.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What this thread has had of the processor. Where the system does not tell, nothing is ever too slow.
pub(super) fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split_whitespace().next().and_then(|spent| spent.parse().ok()).unwrap_or(0))
}

fn survives(name: &str, sql: &[u8]) -> Analysis {
    let catalog = catalog();
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
    let start = processor_time();
    let analysis = analyse(sql, &context);
    let _ = shape(sql, LexSettings::default());
    let took = processor_time().saturating_sub(start);
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
        "''\n", "+-", "@+-", "a.", "\u{e9}", "do ", "*/", "::", "@-", "$1 ", "[", "a(",
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

/// What an application sends in bulk is understood whatever its length: written, and nothing read.
#[test]
fn bulk_statements_are_understood() {
    let rows = |first: &str, row: &str| format!("insert into customers values {first}{}", row.repeat(20_000));
    for (first, row) in [
        ("(0, 'x', 'x', 'x')", ", (12345, 'Jane O''Hara', 'jane@example.org', NULL)"),
        ("(0, 'x', 'x', 'x')", ", (-12345, true, DEFAULT, - 1.5)"),
        ("(0, 'x', now(), current_timestamp)", ", (1, 'x', now(), current_timestamp)"),
        ("(0, 'x', to_timestamp(1), gen_random_uuid())", ", (1, 'x', to_timestamp(17), gen_random_uuid())"),
        ("(0, 'x', 'x', 'x')", ", (12::int8, 'Jane'::text, E'jane\\'s', '1'::numeric(10, 2))"),
        ("($1, $2, $3, $4)", ", ($5, $6, $7, $8)"),
        ("((1), 'x', 'x', lower('x'))", ", (1, 'x', 'x', 'x')"),
    ] {
        let expected = "insert full · write customers · write vip via customers (Catalog)";
        assert_eq!(words(&plain(&rows(first, row))), expected, "{first}{row}");
    }
    let list = |first: &str, element: &str, end: &str| {
        format!("select phone from archive.customers, customers where {first}{}{end}", element.repeat(20_000))
    };
    for (first, element, end) in [
        ("customers.id in (1", ", 1234", ")"),
        ("customers.id in (-1", ", -1234", ")"),
        ("customers.id in ($1", ", $2", ")"),
        ("customers.id in ('x'::uuid", ", 'y'::uuid", ")"),
        ("(customers.id, 1) in ((1, 'x')", ", (2, 'y')", ")"),
        ("customers.id = any(array[1", ", 2", "])"),
        ("customers.id = 1", " or customers.id = 2", ""),
        ("customers.id = 1", " or (customers.id = 2 and customers.id <> 3)", " or customers.id = 4"),
    ] {
        let analysis = plain(&list(first, element, end));
        assert_eq!(analysis.statements[0].coverage, Coverage::Full, "{first}{element}");
        assert!(words(&analysis).contains("read customers{phone} used{id}"), "{first}{element}");
    }
    let branches = " when (\"customers\".\"id\" = 2) then 'Jane'".repeat(20_000);
    let update =
        format!("update customers set name = case when (\"customers\".\"id\" = 1) then 'x'{branches} else null end");
    let analysis = plain(&update);
    assert_eq!(analysis.statements[0].coverage, Coverage::Full);
    assert!(words(&analysis).starts_with("update full"), "{}", words(&analysis));
}

/// What stands among constants and reads is never left out with them.
#[test]
fn what_reads_is_found_in_any_row() {
    let rows = ", (1, 'x')".repeat(50);
    for (row, reads) in [
        ("(2, (select email from customers where id = 1))", "customers copied{email}"),
        ("(2, f_mail(7))", "via f_mail"),
        ("(2, query_to_xml('select * from customers', true, true, ''))", "customers"),
        ("(2, 'customers'::regclass)", ""),
    ] {
        let analysis = plain(&format!("insert into notes values (1, 'x'){rows}, {row}{rows}"));
        assert!(words(&analysis).contains(reads), "{row}: {}", words(&analysis));
        assert!(words(&analysis).contains("write notes"), "{row}");
    }
    let ors = " or id = 1".repeat(50);
    for (branch, used) in [
        ("or email = 'x'", "email"),
        ("or id = 1 and phone = 'x'", "phone"),
        ("or exists (select 1 from tickets where subject = email)", "subject"),
        ("or case when name = 'x' then true end", "name"),
    ] {
        let analysis = plain(&format!("select 1 from customers where id = 1{ors} {branch}{ors}"));
        assert!(words(&analysis).contains(used), "{branch}: {}", words(&analysis));
    }
    // A call in a row is no constant, because one of the same name stands in a row before.
    let analysis = plain(&format!(
        "insert into notes values (1, lower('x')){rows}, (2, lower((select email from customers))), (3, 'x')"
    ));
    assert!(words(&analysis).contains("customers copied{email}"), "{}", words(&analysis));
}

/// All statements of a text share what it may cost; what comes behind is opaque.
#[test]
fn a_text_of_costly_statements_ends() {
    let wide = format!(
        "with c0 as (select * from customers){} select * from c39;",
        (1..40).fold(String::new(), |mut text, level| {
            write!(text, ", c{level} as (select a.*, b.* from c{} a, c{} b)", level - 1, level - 1).unwrap();
            text
        })
    );
    let analysis = plain(&wide.repeat(500));
    assert!(analysis.statements.len() < 20, "{}", analysis.statements.len());
    let last = analysis.statements.last().unwrap();
    assert_eq!(last.coverage, Coverage::Opaque);
    assert!(last.gaps.iter().any(|gap| gap.code == "too-large"));
    assert!(last.uses.iter().any(|usage| usage.oid == 10));
    // Ordinary ones in any number that a script has do not.
    let script = plain(&"insert into notes values (1, 'x'); update notes set note = 'y' where id = 2;".repeat(450));
    assert_eq!(script.statements.len(), 900);
    assert!(script.statements.iter().all(|statement| statement.coverage == Coverage::Full));
}

/// Branches that differ in plain numbers repeat each other, and one that does not is found among them.
#[test]
fn branches_are_told_apart_in_any_number() {
    let ors: String = (0..20_000).map(|id| format!(" or id = {id}")).collect();
    let analysis = plain(&format!("select phone from customers where id = 1{ors}"));
    assert_eq!(analysis.statements[0].coverage, Coverage::Full);
    for branch in [" or id = 1 and email = 'x'", " or email = 'x'", " or id = length(email)"] {
        let analysis = plain(&format!("select phone from customers where id = 1{ors}{branch}{ors}"));
        assert!(words(&analysis).contains("email"), "{branch}: {}", words(&analysis));
    }
    // Scalar subqueries side by side are no rows of VALUES.
    let subqueries = ", (select email from customers)".repeat(500);
    let analysis = plain(&format!("select (select phone from customers){subqueries}"));
    assert!(words(&analysis).contains("customers{email,phone}"), "{}", words(&analysis));
}

#[test]
fn strings_beyond_number_are_opaque() {
    let strings: String = (0..10_000).map(|number| format!(", f_c('x{number}')")).collect();
    let analysis = plain(&format!("select 1{strings} from customers"));
    assert_eq!(analysis.statements[0].coverage, Coverage::Opaque);
    assert!(reads_customers(&analysis));
}
