//! What statements expose of the same desk's database on MySQL: databases for schemas, names in any case.

use super::*;
use crate::analysis::LexSettings;
use crate::catalog::column_types::LONG;

const POLICY: &str = r#"
version: 1
datasets:
  customers:
    class: personal
    relations: [ { engine: mysql, database: support, name: customers } ]
    columns: [name, email, phone]
    key: [ID]
  cards:
    class: secret
    relations: [ { engine: mysql, database: billing, name: "cards*" } ]
rules:
  - { name: desk, who: { group: support }, dataset: customers, access: [read], budget: [ { records: 500, per: hour } ] }
  - { name: no-cards, who: any, dataset: cards, then: refuse }
  - { name: roles, who: any, access: [grant, set-role], then: alert }
"#;

fn relation_of(oid: u32, database: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let mut relation = relation(oid, database, name, kind, columns);
    relation.id.engine = Engine::Mysql;
    relation.id.database = "".into();
    for column in &mut relation.columns {
        column.type_oid = if column.name.ends_with("id") { LONG } else { 253 };
    }
    relation
}

fn catalog() -> Catalog {
    let table = |oid, database, name, columns: &[&str]| relation_of(oid, database, name, RelationKind::Table, columns);
    let mut contacts = relation_of(40, "support", "v_contacts", RelationKind::View, &["id", "mail"]);
    contacts.definition =
        Some("select `c`.`id` AS `id`,`c`.`email` AS `mail` from `support`.`customers` `c`".to_owned());
    contacts.depends = vec![(10, 0)];
    Catalog::new(
        Engine::Mysql,
        "",
        1,
        vec![
            table(10, "support", "customers", &["id", "Name", "email", "phone", "language"]),
            table(11, "billing", "Cards", &["id", "customer_id", "pan"]),
            table(12, "archive", "customers", &["id", "plan"]),
            table(13, "support", "orders", &["id", "customer_id", "total", "note"]),
            table(14, "mysql", "column_stats", &["table_name", "min_value", "nulls_ratio"]),
            table(15, "performance_schema", "user_variables_by_thread", &["thread_id", "variable_value"]),
            contacts,
        ],
        Vec::new(),
    )
}

/// The policy bound to MySQL's catalog, and what a text exposes of it.
pub(super) fn bound() -> (Binding, impl Fn(&Binding, &str) -> Exposure) {
    let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    let catalog = catalog();
    let (binding, _) = set.bind(&catalog);
    let of = move |binding: &Binding, sql: &str| {
        let path = ["support".to_owned()];
        let lex = LexSettings::of(Engine::Mysql);
        let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
        let analysis = analyse(sql.as_bytes(), &context);
        let exposures: Vec<Exposure> =
            analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
        binding.merge(&exposures)
    };
    (binding, of)
}

fn exposed_in(database: &[&str], sql: &str) -> String {
    let (set, warnings) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let catalog = catalog();
    let (binding, diagnostics) = set.bind(&catalog);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let path: Vec<String> = database.iter().map(|name| (*name).to_owned()).collect();
    let lex = LexSettings::of(Engine::Mysql);
    let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
    let analysis = analyse(sql.as_bytes(), &context);
    let exposures: Vec<Exposure> = analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
    words(&binding.merge(&exposures))
}

#[test]
fn statements_of_mysql_expose_what_they_let_out() {
    let mut wrong = String::new();
    for (sql, expected) in [
        ("select id, email from customers", "read customers{email} key[1]"),
        ("select ID, EMAIL from Customers", "read customers{email} key[1]"),
        ("select email from customers", "read customers{email} hidden key[1]"),
        ("select language from customers", "plain"),
        ("select email from customers where id = 7", "read customers{email} pin[#0] hidden key[1]"),
        ("select email from customers where id = ?", "read customers{email} pin[$1] hidden key[1]"),
        ("select email from customers where id = '7'", "read customers{email} hidden key[1]"),
        ("select email from customers where 1 || 0 and id = 7", "read customers{email} hidden key[1]"),
        ("select count(*) from customers where email like 'a%'", "read customers{email} used"),
        ("select group_concat(email) from customers", "read customers{email} packed whole(1000)"),
        ("select group_concat(email) from customers group by language", "read customers{email} packed"),
        ("select json_arrayagg(email) from customers where id = 7", "read customers{email} pin[#0] hidden key[1]"),
        ("select mail from v_contacts", "read customers{email} hidden key[1]"),
        ("select mail from support.v_contacts where id = 7", "read customers{email} pin[#0] hidden key[1]"),
        ("select pan from billing.cards", "read cards/Cards{pan} hidden key[1]"),
        ("select plan from archive.customers", "plain"),
        ("select email into @a from customers where id = 7", "read customers{email} packed whole(1)"),
        ("select @a := email from customers", "read customers{email} packed whole(1000)"),
        ("set @a = (select email from customers where id = 7)", "read customers{email} packed whole(1)"),
        ("select email from customers into outfile 'x'", "export customers{email} packed whole(1000)"),
        ("select sql_no_cache id, email from customers", "read customers{email} key[1] · export customers{email} used"),
        ("create table t select email from customers", "read customers{email} packed whole(1000)"),
        ("insert into orders select id, 1, language from customers", "plain"),
        ("insert into orders select id, phone, 1 from customers", "read customers{phone} packed whole(1000)"),
        ("update customers set name = 'x' where id = 7", "write customers{} used pin[#1]"),
        (
            "update customers c join orders o on o.customer_id = c.id set o.total = c.phone",
            "read customers{phone} packed whole(1000)",
        ),
        ("delete from customers where id = 7", "write customers{} used pin[#0]"),
        ("select extractvalue(1, (select email from customers where id = 7))", "read customers{email} packed whole(1)"),
        ("call nobody()", "opaque (unknown-function: nobody) · opaque"),
        ("prepare s from 'select email from customers'", "plain"),
        ("select min_value from mysql.column_stats", "opaque (statistics: values of columns)"),
        ("select nulls_ratio from mysql.column_stats", "plain"),
        ("select name from performance_schema.nowhere", "partial · plain"),
        ("select lock_data from performance_schema.data_locks", "opaque (statistics: values of columns) · partial"),
        ("select name from nowhere.nowhere", "opaque (unknown-relation: nowhere.nowhere) · partial"),
        (
            "select variable_value from performance_schema.user_variables_by_thread",
            "opaque (statistics: values of columns)",
        ),
        ("select thread_id from performance_schema.user_variables_by_thread", "plain"),
        ("explain for connection 5", "opaque (dynamic-sql: explain for connection) · opaque"),
        ("use archive", "plain"),
        ("set role admin", "watched"),
    ] {
        let got = exposed_in(&["support"], sql);
        if got != expected {
            writeln!(wrong, "{sql}\n    {got}\n  expected\n    {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert_eq!(exposed_in(&["archive"], "select * from customers"), "plain");
    assert_eq!(exposed_in(&[], "select email from support.customers"), "read customers{email} hidden key[1]");
}

#[test]
fn warnings_tell_values_of_what_was_only_compared() {
    let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    let catalog = catalog();
    let (binding, _) = set.bind(&catalog);
    let context = Context {
        lex: LexSettings::of(Engine::Mysql),
        catalog: &catalog,
        search_path: &["support".to_owned()],
        temporary: &[],
    };
    let warned = |sql: &str| {
        let analysis = analyse(sql.as_bytes(), &context);
        words(&binding.warned(&binding.exposure(&analysis.statements[0])))
    };
    assert_eq!(warned("select count(*) from customers where email + 0"), "read customers{email}");
    assert_eq!(warned("select id, email from customers where id = 7"), "read customers{email}");
    assert_eq!(warned("update customers set email = 5"), "read customers{}");
    assert_eq!(warned("select count(*) from customers where id = 7"), "plain");
    assert_eq!(warned("select 1"), "plain");
    let told = |sql: &str| {
        let analysis = analyse(sql.as_bytes(), &context);
        let told = binding.told(&binding.exposure(&analysis.statements[0]));
        format!("{} · {}", words(&told), lane_words(&binding.lanes(&told, &[])))
    };
    let one = "read customers{email} told · customers/customers row told 164/16 B";
    assert_eq!(told("select count(*) from customers where email + 0"), one);
    assert_eq!(told("select id, email from customers where id = 7"), one);
    assert_eq!(
        told("select group_concat(email) from customers"),
        "read customers{email} told · customers/customers row told 80/16 B",
        "what is packed has less room for words"
    );
    // Of two uses of one relation a message names one record.
    assert_eq!(told("insert into customers (email) select email from customers where id = 7"), one);
    assert_eq!(told("call nobody()"), "plain · ", "it was judged with the statement");
}

#[test]
fn a_name_that_the_text_gives_to_a_query_is_no_relation() {
    let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    let catalog = catalog();
    let (binding, _) = set.bind(&catalog);
    let path = ["support".to_owned()];
    let lex = LexSettings::of(Engine::Mysql);
    let tightened = |sql: &str| {
        let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &[] };
        let analysis = analyse(sql.as_bytes(), &context);
        let exposures: Vec<Exposure> =
            analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
        // MariaDB names the alias, in the current database.
        binding.tighten(&binding.merge(&exposures), &[Origin { oid: 10, attribute: 3 }]).is_some()
    };
    assert!(!tightened("with customers as (select id, total as email from orders) select email from customers"));
    assert!(!tightened("select customers.email from (select id, total as email from orders) customers"));
    assert!(tightened("select total as email from orders"), "nothing in the text is called so");
    assert!(tightened("with customers as (select 1 as email) select email from customers; select total from orders"));
    assert!(tightened("with customers as (select 1 as email) select nowhere(email) from customers"), "not understood");
}
