//! What an explanation says, of statements that pass, are cut, refused or not understood.

use super::*;
use crate::analysis::LexSettings;
use crate::catalog::{Catalog, Column, Relation, RelationKind};
use crate::relation::{Engine, RelationId};

const POLICY: &str = "version: 1
datasets:
  customers:
    class: personal
    relations: [{ engine: postgres, database: support, name: public.customers }]
    columns: [email]
who: { support: { group: support } }
rules:
  - name: limits
    who: support
    dataset: customers
    budget: [{ records: 500, per: hour }]
    at: { 80%: alert }
    message: \"ask #data-access\"
";

fn catalog() -> Catalog {
    let table = |oid, name: &str, columns: &[&str]| Relation {
        id: RelationId {
            engine: Engine::Postgres,
            database: "support".into(),
            schema: "public".into(),
            name: name.into(),
        },
        oid,
        kind: RelationKind::Table,
        columns: columns
            .iter()
            .zip(1..)
            .map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 })
            .collect(),
        key: vec![1],
        rows_estimate: 68_000,
        row_bytes_mean: 100,
        definition: None,
        depends: Vec::new(),
        parents: Vec::new(),
    };
    let relations = vec![table(20_000, "customers", &["id", "email"]), table(20_001, "articles", &["id", "text"])];
    Catalog::new(Engine::Postgres, "support", 1, relations, Vec::new())
}

fn ask(sql: &str, used: &[(Window, u64)], rows: Option<u64>, known: bool) -> Explanation {
    let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    let catalog = catalog();
    let (binding, _) = set.bind(&catalog);
    let search_path = ["pg_catalog".to_owned(), "public".to_owned()];
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &search_path, temporary: &[] };
    let who = Who {
        person: "alice".into(),
        known,
        groups: vec!["support".into()],
        account: "alice".into(),
        source: None,
        application: "".into(),
        ..Who::default()
    };
    explain(&Question { set: &set, binding: &binding, context, sql, who: &who, wall: 0, used, rows })
}

fn check(explanation: &Explanation, expected: &str) {
    assert_eq!(explanation.to_string(), expected.trim_start_matches('\n'));
}

#[test]
fn a_bulk_read_is_cut() {
    check(
        &ask("select email from customers where email like '%4711%'", &[(Window::Hour, 450)], None, true),
        "
select email from customers where email like ?
names are looked up in pg_catalog, public
select: understood full, any number of rows
  read public.customers; releases email; uses email
dataset customers: read of public.customers (email), every row counts
doors: rows of the result; errors and notices of the server that name a value
alice of support: cut after 50 rows, if each shows another record
  limits on customers: 450 → 500 of 500 records per hour: cut
  alert: 80 % of 500 records per hour of `customers` is used: 500
  the client reads: ask #data-access",
    );
}

#[test]
fn a_look_up_passes() {
    check(
        &ask("select email from customers where id = 4711", &[], None, true),
        "
select email from customers where id = ?
names are looked up in pg_catalog, public
select: understood full, any number of rows
  read public.customers; releases email; uses id; one record, by its key
dataset customers: read of public.customers (email), one record
doors: rows of the result; errors and notices of the server that name a value
alice of support: allowed, 100000 rows and more
  limits on customers: 0 → 1 of 500 records per hour: allowed",
    );
}

#[test]
fn what_is_not_sensitive_and_what_nobody_understands() {
    check(
        &ask("table articles", &[], Some(3), true),
        "
table articles
names are looked up in pg_catalog, public
select: understood full, any number of rows
  read public.articles; releases id, text
alice of support: allowed, 3 rows",
    );
    check(
        &ask("select * from nowhere", &[], None, false),
        "
select * from nowhere
names are looked up in pg_catalog, public
select: understood partial, any number of rows
  read nowhere (unknown); releases every column
  not understood: nowhere (unknown-relation)
it may reach anything sensitive (unknown-relation: nowhere)
alice of support, whom the directory does not know: refused
  defaults.opaque-sensitive: refused
  defaults.unknown-person: refused
  the client reads: what this statement reaches cannot be told, and the database holds sensitive data \
             (`defaults.opaque-sensitive`)",
    );
}

#[test]
fn machines_read_the_same() {
    let explanation = ask("select string_agg(email, ',') from customers", &[], None, true);
    let value = serde_json::to_value(&explanation).unwrap();
    assert_eq!(value["statements"][0]["relations"][0]["packed"], serde_json::json!(["email"]));
    assert_eq!(value["exposes"][0]["counted"], "whole");
    assert_eq!(value["verdict"]["decision"], "refuse");
    assert_eq!(value["verdict"]["message"], "ask #data-access");
    assert_eq!(value["verdict"]["reason"]["rule"], "limits");
    assert_eq!(value["verdict"]["reason"]["limit"], 500);
    let all = ask("copy customers to stdout", &[], None, true);
    assert_eq!(serde_json::to_value(&all).unwrap()["statements"][0]["relations"][0]["access"], "export");
    assert!(all.gaps() == 0 && all.to_string().contains("defaults.unmatched-sensitive"), "{all}");
}

#[test]
fn the_doors_of_a_statement_are_told() {
    let doors = |sql: &str| ask(sql, &[], None, true).doors;
    assert_eq!(doors("select id from articles"), []);
    assert_eq!(doors("select count(*) from customers where email like 'a%'"), [Door::Messages]);
    assert_eq!(doors("select email from customers"), [Door::Rows, Door::Messages]);
    assert_eq!(doors("copy customers to stdout"), [Door::Copy, Door::Messages]);
    assert_eq!(doors("copy customers to '/tmp/x'"), [Door::Elsewhere, Door::Messages]);
    assert_eq!(doors("create table mine as select * from customers"), [Door::OtherRows, Door::Messages]);
    assert_eq!(doors("do $$ begin execute x; end $$"), [Door::Unknown]);
}
