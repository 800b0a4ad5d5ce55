//! Texts of MySQL's that are meant to exhaust: each must come back, say something, and not take long.

#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

use std::time::Instant;

use super::super::bounds::{PATIENCE, processor_time};
use super::*;
use crate::statement::Coverage;

fn survives(name: &str, sql: &str) -> Analysis {
    let start = processor_time();
    let analysis = plain(sql);
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
        ("parens", repeated("select email from customers where ", "(", 50_000, "")),
        ("closed parens", format!("select email from customers where {}1{}", "(".repeat(20_000), ")".repeat(20_000))),
        ("table parens", format!("select email from {}customers{}", "(".repeat(20_000), ")".repeat(20_000))),
        ("sums", repeated("select 1", "+1", 50_000, " from customers")),
        ("unions", repeated("select email from customers", " union all select 1", 20_000, "")),
        ("nots", repeated("select email from customers where ", "not ", 25_000, "true")),
        ("bangs", repeated("select ", "!", 50_000, "1 from customers")),
        ("binaries", repeated("select ", "binary ", 20_000, "1 from customers")),
        ("intervals", repeated("select ", "interval ", 20_000, "1 day from customers")),
        ("nested intervals", repeated("select now()", " + interval 1 day", 10_000, " from customers")),
        ("casts", format!("select {}email{} from customers", "cast(".repeat(10_000), " as char)".repeat(10_000))),
        ("converts", format!("select {}email{} from customers", "convert(".repeat(10_000), ", char)".repeat(10_000))),
        ("cases", format!("select {}1{} from customers", "case when 1 then ".repeat(5_000), " end".repeat(5_000))),
        ("subqueries", format!("select {}1{} from customers", "(select ".repeat(10_000), ")".repeat(10_000))),
        ("joins", repeated("select email from customers", " join customers using (id)", 10_000, "")),
        ("commas", repeated("update customers", ", customers", 50_000, " set email = 1")),
        ("columns", repeated("select email", ", email", 50_000, " from customers")),
        ("dots", repeated("select a", ".a", 50_000, " from customers")),
        ("variables", repeated("select @a := email", ", @a := email", 20_000, " from customers")),
        ("params", repeated("select email from customers where id in (?", ", ?", 100_000, ")")),
        ("assignments", repeated("set @a = (select email from customers)", ", @a = 1", 20_000, "")),
        ("prepares", repeated("", "prepare a from '", 5_000, "select email from customers")),
        ("explains", repeated("", "explain ", 20_000, "select email from customers")),
        ("functions", repeated("select 1", ", f_mail(1)", 20_000, "")),
        ("programs", repeated("begin not atomic ", "if 1 then ", 20_000, "select email from customers")),
        (
            "blocks",
            format!(
                "begin not atomic {}select email from customers; {} end",
                "begin ".repeat(5_000),
                "end; ".repeat(5_000)
            ),
        ),
        ("labels", repeated("", "a: begin ", 20_000, "select email from customers")),
        ("statements", repeated("", "select email from customers;", 20_000, "")),
        ("create begins", repeated("", "create procedure p() begin ", 10_000, "select email from customers")),
        ("limits", repeated("select email from customers", " limit 1, 2", 20_000, "")),
        ("hints", repeated("select email from customers", " use index (a)", 20_000, "")),
        ("locks", repeated("select email from customers", " for update", 20_000, "")),
        ("intos", repeated("select email from customers", " into @a", 20_000, "")),
        ("against", repeated("select match(email) ", "against (1 in boolean mode) ", 10_000, "from customers")),
    ] {
        let analysis = survives(name, &sql);
        // A text in a text, and a statement that no server has, are told as what they are.
        assert!(reads_customers(&analysis) || name == "prepares" || name == "explains", "{name}");
    }
}

#[test]
fn bombs_of_nothing_come_back() {
    for part in [
        "(", ")", "'", "\"", "`", "/*", "/*!", "-- \n", "#\n", ";", ",", "a", "a ", "1 ", "'' ", "a.", ".", "é", "do ",
        "*/", "@", "@@", "? ", "a(", "begin ", "end; ", "if ", "case ", "_utf8'' ", "0x", "{", "}", ":=", "a:", "->",
        "set ",
    ] {
        survives(part, &part.repeat(500_000 / part.len()));
    }
}

#[test]
fn no_keyword_in_a_row_overflows_the_stack() {
    for keyword in sqlparser::keywords::ALL_KEYWORDS {
        for sql in [
            format!("select {} 1", format!("{keyword} ").repeat(600)),
            format!("select 1 {}", format!("{keyword} 1 ").repeat(300)),
            format!("select {}", format!("{keyword}(").repeat(200)),
        ] {
            assert!(!plain(&sql).statements.is_empty());
        }
    }
}

#[test]
fn common_table_expressions_that_double_each_other_stop() {
    let mut sql = "with c0 as (select * from customers)".to_owned();
    for level in 1..40 {
        write!(sql, ", c{level} as (select a.*, b.* from c{} a, c{} b)", level - 1, level - 1).unwrap();
    }
    sql.push_str(" select * from c39");
    let analysis = survives("doubling", &sql);
    assert!(reads_customers(&analysis));
    assert_eq!(analysis.statements[0].coverage, Coverage::Partial);
}

#[test]
fn long_lists_of_constants_are_still_understood() {
    let list: String = (0..20_000).map(|id| format!("{id},")).collect();
    let analysis = plain(&format!("select email from customers where id in ({list}0) limit 5"));
    assert_eq!(said(&analysis), "select full limit #20001 · read customers{email} used{id}");
    let rows: String = (0..20_000).map(|id| format!("({id}, 'x'),")).collect();
    assert_eq!(said(&plain(&format!("insert into notes values {rows} (1, null)"))), "insert full · write notes");
}

#[test]
fn timing_of_a_point_select() {
    let catalog = catalog();
    let path = ["support".to_owned()];
    let context = Context { lex: MARIADB, catalog: &catalog, search_path: &path, temporary: &[] };
    let sql = b"SELECT id, name, email, phone FROM customers WHERE id = 31415 AND name <> 'nobody at all' LIMIT 20";
    let rounds = 2_000;
    let start = Instant::now();
    for _ in 0..rounds {
        std::hint::black_box(analyse(std::hint::black_box(sql), &context));
    }
    println!("{} bytes: analyse {:?}", sql.len(), start.elapsed() / rounds);
}

/// What an application or a dump sends in bulk is understood whatever its length: written, and nothing read.
#[test]
fn bulk_statements_are_understood() {
    for (first, row) in [
        ("(0, 'x', 'x', 'x')", ", (12345, 'Jane O''Hara', 'jane@example.org', NULL)"),
        ("(0,'x','x','x')", ",(-12,_binary 'ab\\'c',0x616263,NULL)"),
        ("(0, 'x', now(), CURRENT_TIMESTAMP)", ", (1, 'x', NOW(), CURRENT_TIMESTAMP)"),
        ("(0, 'x', uuid(), unix_timestamp())", ", (1, 'x', uuid(), unix_timestamp())"),
        ("(?, ?, ?, ?)", ", (?, ?, ?, ?)"),
    ] {
        let rows = row.repeat(20_000);
        assert_eq!(
            said(&plain(&format!("insert into customers values {first}{rows}"))),
            "insert full · write customers",
            "{row}"
        );
    }
    for (first, element, end) in [
        ("id in (-1", ", -1234", ")"),
        ("id in (?", ", ?", ")"),
        ("(id, 1) in ((1, 'x')", ", (2, 'y')", ")"),
        ("id = 1", " or id = 2", ""),
    ] {
        let text = format!("select phone from customers where {first}{}{end}", element.repeat(20_000));
        assert_eq!(said(&plain(&text)), "select full · read customers{phone} used{id}", "{element}");
    }
    let branches = " WHEN (`customers`.`id` = 2) THEN 'Jane'".repeat(20_000);
    let update =
        format!("UPDATE customers SET name = CASE WHEN (`customers`.`id` = 1) THEN 'x'{branches} ELSE NULL END");
    assert!(said(&plain(&update)).starts_with("update full"));
    let row = plain(&format!(
        "insert into notes values (1, 'x'){}, (2, (select email from customers)), (3, 'x')",
        ", (1, 'x')".repeat(50)
    ));
    assert!(said(&row).contains("customers copied{email}"), "{}", said(&row));
}

/// What is behind the work that one text may cost is read by its names alone.
#[test]
fn statements_without_end_are_opaque_and_name_what_they_read() {
    let from = "(select email from customers)";
    for (text, full) in [
        (format!("set @a = 1{}, @b = {from}", ", @a = 1 + 1".repeat(30_000)), false),
        (format!("begin not atomic {} select email from customers; end", "select 1;".repeat(30_000)), false),
        (format!("set @a = 1{}, @b = {from}", ", @a = 1 + 1".repeat(500)), true),
        (format!("begin not atomic {} select email from customers; end", "select 1;".repeat(500)), true),
    ] {
        let analysis = survives("statements", &text);
        let whole = &analysis.statements[0];
        let expected = if full { Coverage::Full } else { Coverage::Opaque };
        assert_eq!(whole.coverage, expected, "{} {:?}", text.len(), whole.gaps);
        assert_eq!(whole.gaps.iter().any(|gap| gap.code == "too-large"), !full, "{:?}", whole.gaps);
        assert!(reads_customers(&analysis), "{}", text.len());
    }
}
