//! Statements and what is said of them, in `statements.txt`: a statement (`\n` is a line break), and indented below
//! it the analysis in words. The search path is `pg_catalog, public` and no temporary relation is known.

use super::*;

/// Every statement of the table with what is expected of it.
pub(super) fn table() -> Vec<(String, &'static str)> {
    let lines: Vec<&str> =
        include_str!("statements.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    lines.chunks(2).map(|pair| (pair[0].replace("\\n", "\n"), pair[1].trim())).collect()
}

#[test]
fn statements_mean_what_the_table_says() {
    let mut wrong = String::new();
    for (sql, expected) in table() {
        let got = words(&plain(&sql));
        if got != expected {
            writeln!(wrong, "{sql}\n    {got}\n  expected\n    {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(table().len() >= 200);
}

fn check_in(path: &[&str], temporary: &[&str], sql: &str, expected: &str) {
    assert_eq!(words(&analysed(sql, path, temporary)), expected, "{sql}");
}

#[test]
fn the_search_path_decides_which_relation_is_meant() {
    check_in(
        &["pg_catalog", "archive"],
        &[],
        "select * from customers",
        "select full · read archive.customers{id,month,plan}",
    );
    check_in(
        &["pg_catalog", "archive", "public"],
        &[],
        "select plan from customers",
        "select full · read archive.customers{plan}",
    );
    check_in(&["billing", "public"], &[], "select pan from cards", "select full · read billing.cards{pan}");
    check_in(&[], &[], "select pan from cards", "select partial · read unknown cards{*} · ?unknown-relation cards");
    check_in(&[], &[], "select pan from billing.cards", "select full · read billing.cards{pan}");
}

#[test]
fn a_temporary_relation_shadows_until_a_schema_is_written() {
    let path = ["pg_catalog", "public"];
    check_in(&path, &["customers"], "select * from customers", "select full");
    check_in(
        &path,
        &["customers"],
        "insert into customers select id, name from products",
        "insert full · read products copied{id,name}",
    );
    check_in(&path, &["customers"], "copy customers to stdout", "copy full");
    check_in(&path, &["customers"], "select plan from archive.customers", "select full · read archive.customers{plan}");
    check_in(
        &path,
        &["customers"],
        "select email from public.customers",
        "select full · read customers{email} · read vip{email} via customers (Catalog)",
    );
    // A view's own names are not the session's to shadow.
    check_in(
        &path,
        &["customers"],
        "select who from v_contacts",
        "select full · read v_contacts{who} · read customers{name} via v_contacts (Catalog) · read vip{name} via v_contacts>customers (Catalog)",
    );
}

#[test]
fn words_that_change_prepared_names_are_noticed() {
    for sql in [
        "prepare a as select 1",
        "select 1; deallocate all",
        "discard all",
        "execute a",
        "do $$x$$",
        "select query_to_xml('execute a', true, true, '')",
        "select f_page(1)",
    ] {
        assert!(plain(sql).touches_names, "{sql}");
    }
    for sql in [
        "select 1",
        "insert into notes values (1) on conflict do nothing",
        "select \"execute\" from notes",
        "select sku from products where name = 'do it'",
        "select f_mail(1)",
    ] {
        assert!(!plain(sql).touches_names, "{sql}");
    }
}

#[test]
fn the_redacted_text_holds_no_literal_and_no_trick() {
    let check = |sql: &str, expected: &str| assert_eq!(plain(sql).redacted, expected, "{sql}");
    check(
        "SELECT  email\nFROM customers -- secret\nWHERE id = 42 and name='O''Hara'",
        "select email from customers where id = ? and name = ?",
    );
    check(
        "select \"a\u{202e}b\"\"c\", $$x$$, E'y', 1.5e3, f(1)[2]::text",
        "select \"a\u{fffd}b\"\"c\", ?, ?, ?, f (?)[?]::text",
    );
    let long = format!("select {}1", "'secret', ".repeat(10_000));
    let redacted = plain(&long).redacted;
    assert!(redacted.len() <= 8 * 1024 && !redacted.contains("secret") && redacted.ends_with('…'));
}

#[test]
fn functions_from_the_catalog_are_read_through() {
    let all = plain("select f_outer(1)");
    assert_eq!(all.statements[0].functions, ["f_mail", "f_outer"]);
}
