//! A database to analyse against, of any size: the support desk's tables, and as many others as are asked for.

use weir_policy::catalog::{Catalog, Column, Relation, RelationKind};
use weir_policy::relation::{Engine, RelationId};

const MYSQL_TYPE_VAR_STRING: u32 = 253;

/// The schema path of its sessions.
pub(crate) fn search_path() -> Vec<String> {
    vec!["pg_catalog".to_owned(), "public".to_owned()]
}

/// The same on MySQL, where a database is a schema and the path has one.
pub(crate) fn mysql_path() -> Vec<String> {
    vec!["support".to_owned()]
}

/// The desk's tables on MySQL, and sysbench's.
pub(crate) fn mysql_catalog() -> Catalog {
    let postgres = catalog(0);
    let tables = postgres.relations().iter().filter(|relation| &*relation.id.schema == "public").cloned();
    let sysbench = table(18, "public", "sbtest1", &["id", "k", "c", "pad"]);
    let relations = tables.chain([sysbench]).map(|mut relation| {
        relation.id = RelationId {
            engine: Engine::Mysql,
            database: "".into(),
            schema: "support".into(),
            name: relation.id.name.clone(),
        };
        for column in &mut relation.columns {
            column.type_oid = MYSQL_TYPE_VAR_STRING;
        }
        relation
    });
    Catalog::new(Engine::Mysql, "", 1, relations.collect(), Vec::new())
}

/// A catalog with the desk's tables and `others` more.
pub(crate) fn catalog(others: usize) -> Catalog {
    let mut relations = vec![
        table(10, "public", "customers", &["id", "name", "email", "phone", "region"]),
        table(11, "public", "tickets", &["id", "customer_id", "subject", "body", "status", "opened_at"]),
        table(12, "public", "orders", &["id", "customer_id", "placed_at", "total"]),
        table(13, "public", "order_lines", &["order_id", "line", "product_id", "quantity", "price"]),
        table(14, "public", "products", &["id", "sku", "title", "price"]),
        table(15, "public", "pgbench_accounts", &["aid", "bid", "abalance", "filler"]),
        table(16, "pg_catalog", "pg_class", &["oid", "relname", "relnamespace", "relkind", "relowner"]),
        table(17, "pg_catalog", "pg_namespace", &["oid", "nspname"]),
    ];
    for index in 0..others {
        let oid = u32::try_from(1000 + index).unwrap_or(u32::MAX);
        relations.push(table(oid, "public", &format!("filler_{index}"), &["id", "a", "b", "c", "d"]));
    }
    Catalog::new(Engine::Postgres, "support", 1, relations, Vec::new())
}

fn table(oid: u32, schema: &str, name: &str, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 });
    Relation {
        id: RelationId {
            engine: Engine::Postgres,
            database: "support".into(),
            schema: schema.into(),
            name: name.into(),
        },
        oid,
        kind: RelationKind::Table,
        columns: columns.collect(),
        key: vec![1],
        rows_estimate: 68_000,
        row_bytes_mean: 120,
        definition: None,
        depends: Vec::new(),
        parents: Vec::new(),
    }
}
