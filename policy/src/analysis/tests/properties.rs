//! What holds for every text.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::candidates;
use super::super::shape::Unit;
use super::super::{LiteralKind, Quoting, Shape, analyse_shaped, shape};
use super::statements::table;
use super::*;

fn shaped(sql: &str) -> Shape {
    shape(sql.as_bytes(), LexSettings::default())
}

#[test]
fn the_lexer_sees_every_relation_that_the_parser_sees() {
    let catalog = catalog();
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
    for (sql, _) in table() {
        let unit = Unit::new(sql.as_bytes(), context.lex);
        let seen = |unit: &Unit<'_>| -> Vec<usize> {
            let found = candidates::relations(unit, 0..unit.tokens.len(), &context);
            found.iter().map(|candidate| candidate.relation).collect()
        };
        let mut names = seen(&unit);
        // The body of an anonymous block is a text of its own, and so is what it runs.
        let mut bodies: Vec<Vec<u8>> = (0..unit.tokens.len()).filter_map(|at| unit.constant(at)).collect();
        while let Some(body) = bodies.pop().filter(|_| sql.starts_with("do ")) {
            let unit = Unit::new(&body, context.lex);
            names.extend(seen(&unit));
            // A number is a text of itself: only what is shorter is within.
            let within = (0..unit.tokens.len()).filter_map(|at| unit.constant(at));
            bodies.extend(within.filter(|inner| inner.len() < body.len()));
        }
        for usage in plain(&sql).statements.iter().flat_map(|statement| &statement.uses) {
            if usage.via.is_empty()
                && usage.source == Source::Parser
                && let Some(relation) = catalog.by_oid(usage.oid)
            {
                let index = catalog.index_of(relation).unwrap();
                assert!(names.contains(&index), "{sql}: {}", usage.written);
            }
        }
    }
}

/// A session knows the shape before it asks what a text means.
#[test]
fn a_known_shape_changes_nothing() {
    let catalog = catalog();
    let path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
    let others = [shaped("select 1, 'a'"), shaped("select $1"), shaped("insert into notes values (1, 'x', 'y')")];
    for (sql, _) in table() {
        let expected = plain(&sql);
        assert_eq!(analyse_shaped(sql.as_bytes(), &shaped(&sql), &context), expected, "{sql}");
        // That of another text is not believed.
        for other in &others {
            assert_eq!(analyse_shaped(sql.as_bytes(), other, &context).statements, expected.statements, "{sql}");
        }
    }
}

/// Which arguments stand in the key decides which calls are told apart.
#[test]
fn a_call_is_taken_once_for_what_it_says() {
    let calls = |sql: &str| {
        let unit = Unit::new(sql.as_bytes(), LexSettings::default());
        let wanted = |name: &str| name.starts_with('f');
        candidates::distinct_calls(&unit, 0..unit.tokens.len(), wanted).len()
    };
    assert_eq!(calls("select f('a'), f ( 'a' ), F('a'), g('a'), h(1)"), 1);
    assert_eq!(calls("select f('a'), f('b'), s.f('a'), f('a', 'b'), f(a), f(a, 'b')"), 5);
    assert_eq!(calls("select f(1), f(2), f(3)"), 1, "plain numbers are not in the key");
    assert_eq!(calls("call f(1)"), 1);
}

#[test]
fn equal_keys_in_the_table_have_equal_analyses() {
    let mut known: HashMap<[u8; 32], (String, Analysis)> = HashMap::new();
    for (sql, _) in table() {
        let analysis = plain(&sql);
        let (other, expected) = known.entry(shaped(&sql).key).or_insert_with(|| (sql.clone(), analysis.clone()));
        assert_eq!(*expected, analysis, "{sql}\n{other}");
    }
    assert!(known.len() > 200);
}

#[test]
fn what_means_something_else_has_another_key() {
    for (left, right) in [
        ("select 1", "select - 1"),
        ("select 1+1", "select 1+1+1"),
        ("select a from notes", "select \"A\" from notes"),
        ("select id in (1,2)", "select id in (1,2,3)"),
        ("select query_to_xml('a', true, true, '')", "select query_to_xml('b', true, true, '')"),
        ("set work_mem = 1", "set work_mem = 2"),
        ("select 'customers'::regclass", "select 'notes'::regclass"),
        ("select id where a = 'customers'::regclass", "select id where a = 'notes'::regclass"),
        ("select $1", "select $2"),
        ("do 'a'", "do 'b'"),
        ("execute a('x')", "execute a('y')"),
        ("select a b", "select ab"),
        ("select a.b", "select a . \"b c\""),
        ("select id from notes where a = 1", "select id from notes where a = '1'"),
        ("select 'a", "select 'b"),
        ("select a -- b", "select a - - b"),
    ] {
        assert_ne!(shaped(left).key, shaped(right).key, "{left} / {right}");
    }
    for (left, right) in [
        ("select id from notes where note = 'a' limit 5", "SELECT id\nFROM notes -- x\nWHERE note='b' LIMIT 500"),
        ("insert into notes values (1, 'a')", "insert into notes values (2, E'b\\n')"),
        ("select 1 from notes where note in ('a', 'b')", "select 1 from notes where note in ('c', 'd')"),
    ] {
        assert_eq!(shaped(left).key, shaped(right).key, "{left} / {right}");
    }
}

/// The text with each plain literal exchanged.
fn exchanged(sql: &str, numbers: &[u32], strings: &[String]) -> String {
    let mut out = sql.to_owned();
    let shape = shaped(sql);
    for (index, literal) in shape.literals.iter().enumerate().rev().filter(|(_, literal)| !literal.kept) {
        let new = match literal.kind {
            LiteralKind::Number => numbers[index % numbers.len()].to_string(),
            LiteralKind::String(Quoting::Escape) => {
                format!("E'{}'", strings[index % strings.len()].replace('\'', "\\'"))
            }
            LiteralKind::String(_) => format!("'{}'", strings[index % strings.len()].replace('\'', "''")),
            LiteralKind::Bits => continue,
        };
        out.replace_range(literal.range.clone(), &new);
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plain_literals_change_nothing(pick in 0_usize..10_000, numbers in prop::collection::vec(any::<u32>(), 1..5), strings in prop::collection::vec("([a-d '%;.(-]|customers|cards| from |--|/\\*|\\$\\$){0,6}", 1..5)) {
        let table = table();
        let (sql, _) = &table[pick % table.len()];
        let other = exchanged(sql, &numbers, &strings);
        prop_assert_eq!(shaped(sql).key, shaped(&other).key, "{}\n{}", sql, other);
        prop_assert_eq!(plain(sql), plain(&other), "{}\n{}", sql, other);
        prop_assert_eq!(shaped(sql).literals.len(), shaped(&other).literals.len());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), standard in any::<bool>()) {
        let catalog = catalog();
        let path = ["public".to_owned()];
        let lex = LexSettings::postgres(standard);
        let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
        prop_assert!(!analyse(&bytes, &context).statements.is_empty());
        for literal in shape(&bytes, lex).literals {
            let _ = super::super::literal_value(&bytes, &literal, lex);
        }
    }

    #[test]
    fn no_mixture_of_words_hides_a_relation(parts in prop::collection::vec(prop::sample::select(VOCABULARY.to_vec()), 1..40)) {
        let sql = parts.join(" ");
        let analysis = plain(&sql);
        prop_assert_eq!(&analysis, &plain(&sql));
        // `email` is read, or the name stands for something else that the tree accounts for.
        let understood = analysis.statements.iter().all(|statement| statement.coverage == crate::statement::Coverage::Full);
        let named = analysis.statements.iter().flat_map(|statement| &statement.uses).any(|usage| usage.oid == 10);
        prop_assert!(named || understood || !parts.contains(&"customers") || analysis.statements.iter().any(|statement| !statement.acts.is_empty() || !statement.gaps.is_empty()), "{}", sql);
    }

    #[test]
    fn texts_cut_anywhere_do_not_panic(pick in 0_usize..10_000, cut in 0_usize..300, other in 0_usize..10_000) {
        let table = table();
        let (sql, _) = &table[pick % table.len()];
        let (tail, _) = &table[other % table.len()];
        let bytes = sql.as_bytes();
        let mut text = bytes[..cut.min(bytes.len())].to_vec();
        text.extend_from_slice(&tail.as_bytes()[cut.min(tail.len())..]);
        let catalog = catalog();
        let path = ["public".to_owned()];
        let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
        prop_assert!(!analyse(&text, &context).statements.is_empty());
    }
}

const VOCABULARY: &[&str] = &[
    "select",
    "from",
    "where",
    "customers",
    "email",
    "c",
    ",",
    "(",
    ")",
    "*",
    ".",
    "id",
    "=",
    "1",
    "'x'",
    "and",
    "or",
    "not",
    "in",
    "exists",
    "with",
    "as",
    "union",
    "all",
    "join",
    "on",
    "using",
    "group by",
    "order by",
    "limit",
    "values",
    "insert into",
    "update",
    "set",
    "delete from",
    "returning",
    "table",
    "only",
    "lateral",
    "case",
    "when",
    "then",
    "else",
    "end",
    "string_agg",
    "array",
    "[",
    "]",
    "::",
    "text",
    "null",
    "copy",
    "to",
    "stdout",
    "notes",
    "v_contacts",
    "explain",
    "over",
    "partition by",
    "interval",
    "->",
    "||",
    "-",
    "like",
    "between",
    "for",
    "no",
    "key",
    "exclude",
    "current",
    "row",
    "of",
    ";",
];
