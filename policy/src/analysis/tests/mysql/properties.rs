//! What holds for every text of MySQL's and MariaDB's.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::analysis::candidates;
use crate::analysis::shape;
use crate::analysis::shape::Unit;
use crate::statement::Coverage;

fn lexed(sql: &str) -> (&str, LexSettings) {
    match sql.strip_prefix("[mysql] ") {
        Some(sql) => (sql, LexSettings::of(Engine::Mysql)),
        None => (sql, MARIADB),
    }
}

#[test]
fn the_lexer_sees_every_relation_that_the_parser_sees() {
    let catalog = catalog();
    let path = ["support".to_owned()];
    for (line, _) in table() {
        let (sql, lex) = lexed(&line);
        let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
        let unit = Unit::new(sql.as_bytes(), lex);
        let mut names: Vec<usize> = candidates::relations(&unit, 0..unit.tokens.len(), &context)
            .iter()
            .map(|candidate| candidate.relation)
            .collect();
        // SHOW PROCESSLIST names no table; a text that is run names what is in it.
        for text in unit.literals.iter().filter_map(|(token, _)| unit.constant(*token)) {
            let inner = Unit::new(&text, lex);
            let within = candidates::relations(&inner, 0..inner.tokens.len(), &context);
            names.extend(within.iter().map(|candidate| candidate.relation));
        }
        for usage in plain(&line).statements.iter().flat_map(|statement| &statement.uses) {
            if usage.via.is_empty()
                && usage.source == Source::Parser
                && usage.written.name != "PROCESSLIST"
                && let Some(relation) = catalog.by_oid(usage.oid)
            {
                let index = catalog.index_of(relation).unwrap();
                assert!(names.contains(&index), "{line}: {}", usage.written);
            }
        }
    }
}

#[test]
fn equal_keys_in_the_table_have_equal_analyses() {
    let mut known: HashMap<([u8; 32], bool), (String, Analysis)> = HashMap::new();
    for (line, _) in table() {
        let (sql, lex) = lexed(&line);
        let key = (shape::shape(sql.as_bytes(), lex).key, lex == MARIADB);
        let analysis = plain(&line);
        let (other, expected) = known.entry(key).or_insert_with(|| (line.clone(), analysis.clone()));
        assert_eq!(*expected, analysis, "{line}\n{other}");
    }
    assert!(known.len() > 200);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), ansi in any::<bool>(), plain in any::<bool>(), mariadb in any::<bool>()) {
        let lex = LexSettings::Mysql(MysqlLex { mariadb, version: 101_119, ansi_quotes: ansi, no_backslash_escapes: plain, utf8: true });
        let catalog = catalog();
        let path = ["support".to_owned()];
        let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
        prop_assert!(!analyse(&bytes, &context).statements.is_empty());
    }

    #[test]
    fn no_mixture_of_words_hides_a_relation(parts in prop::collection::vec(prop::sample::select(VOCABULARY.to_vec()), 1..40)) {
        let sql = parts.join(" ");
        let analysis = plain(&sql);
        prop_assert_eq!(&analysis, &plain(&sql));
        let understood = analysis.statements.iter().all(|statement| statement.coverage == Coverage::Full);
        let named = analysis.statements.iter().flat_map(|statement| &statement.uses).any(|usage| usage.oid == 10);
        let told = analysis.statements.iter().any(|statement| !statement.acts.is_empty() || !statement.gaps.is_empty());
        prop_assert!(named || understood || !parts.contains(&"customers") || told, "{}", sql);
    }

    #[test]
    fn a_released_column_is_never_lost_among_harmless_clauses(
        head in prop::sample::select(HEADS.to_vec()), tail in prop::sample::select(TAILS.to_vec())
    ) {
        let sql = format!("{head} {tail}");
        let analysis = plain(&sql);
        let leaves = analysis.statements.iter().flat_map(|statement| &statement.uses).any(|usage| {
            usage.oid == 10 && [&usage.released, &usage.packed, &usage.copied].iter().any(|held| match held {
                Columns::None => false,
                Columns::All => true,
                Columns::Some(set) => set.contains("email"),
            })
        });
        prop_assert!(leaves, "{}: {}", sql, said(&analysis));
    }

    #[test]
    fn texts_cut_anywhere_do_not_panic(pick in 0_usize..10_000, cut in 0_usize..300, other in 0_usize..10_000) {
        let table = table();
        let (sql, _) = &table[pick % table.len()];
        let (tail, _) = &table[other % table.len()];
        let mut text = sql.as_bytes()[..cut.min(sql.len())].to_vec();
        text.extend_from_slice(&tail.as_bytes()[cut.min(tail.len())..]);
        let catalog = catalog();
        let path = ["support".to_owned()];
        let context = Context { lex: MARIADB, catalog: &catalog, search_path: &path, temporary: &[] };
        prop_assert!(!analyse(&text, &context).statements.is_empty());
    }
}

/// Statements whose values leave, or go where nobody could tell what is read of them later.
const HEADS: &[&str] = &[
    "select email from customers",
    "select c.email from customers c",
    "select * from customers",
    "select customers.* from customers",
    "select 1, (select email from customers limit 1) from products",
    "select group_concat(email) from customers",
    "select concat('x', lower(email)) from customers",
    "select t.e from (select email as e from customers) t",
    "with x as (select email from customers) select * from x",
    "select sku from products union select email from customers",
    "select @a := email from customers",
    "select if(id > 1, email, '') from customers",
    "select case when id then email end from customers",
    "select cast(email as char(9)), convert(id, signed) from customers",
    "select distinct sql_no_cache email from customers",
    "table customers",
    "select mail from v_contacts",
    "select f_mail(id) from products",
    "insert into notes select id, email from customers",
    "replace into notes select id, email from customers",
    "create table t as select email from customers",
    "set @a = (select email from customers limit 1); select 1 from products",
    "select email into @a from customers",
];

/// What may follow without changing what leaves.
const TAILS: &[&str] = &[
    "",
    "where 1",
    "limit 5",
    "limit 2, 5",
    "order by 1",
    "order by 1 desc limit 5 offset 1",
    "where exists (select 1 from products)",
    "/* c */ -- d",
    "for update",
    "lock in share mode",
    "union all select 1",
    "; select 1",
    "where 1 in (1, 2) or 1 between 1 and 2",
    "where now() > now() - interval 1 day",
    "limit 1 for update skip locked",
    "#x",
    "where 'a' || 'b' xor 1 div 2",
    "having 1",
];

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
    "lateral",
    "case",
    "when",
    "then",
    "else",
    "end",
    "group_concat",
    "null",
    "`",
    "notes",
    "v_contacts",
    "explain",
    "over",
    "partition",
    "interval",
    "day",
    "->",
    "||",
    "-",
    "like",
    "between",
    "for",
    "row",
    "of",
    ";",
    "@a",
    ":=",
    "@@x",
    "?",
    "begin",
    "not atomic",
    "if",
    "end if",
    "into",
    "outfile",
    "handler",
    "open",
    "read",
    "prepare",
    "execute",
    "immediate",
    "call",
    "do",
    "div",
    "xor",
    "binary",
    "cast",
    "convert",
    "replace into",
    "duplicate key update",
    "straight_join",
    "force index",
    "procedure",
    "create",
    "view",
    "temporary",
    "database",
    "use",
    "show",
    "lock",
    "in share mode",
    "match",
    "against",
    "support",
    "system_time",
    "{",
    "}",
];
