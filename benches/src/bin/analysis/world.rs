//! A database that holds what a text may abuse: deep views, views that double each other, functions that call
//! themselves.

use weir_policy::binding::Binding;
use weir_policy::catalog::{Catalog, Column, Function, Relation, RelationKind};
use weir_policy::relation::{Engine, RelationId};
use weir_policy::set::PolicySet;

/// The number of the sensitive relation.
pub(crate) const CUSTOMERS: u32 = 10;
/// Views on top of each other.
pub(crate) const DEEP: u32 = 64;
/// Views that each join the one below with itself.
pub(crate) const DOUBLING: u32 = 40;
/// A table of many partitions, and how many.
const PARTED: u32 = 100_000;
const PARTS: u32 = 4000;
/// First number of either family.
const DEEP_FIRST: u32 = 1000;
const DOUBLING_FIRST: u32 = 2000;

/// What texts are read against.
pub(crate) struct World {
    pub(crate) catalog: Catalog,
    pub(crate) search_path: Vec<String>,
    pub(crate) binding: Binding,
}

impl World {
    pub(crate) fn new(engine: Engine) -> World {
        let schema = match engine {
            Engine::Postgres => "public",
            Engine::Mysql => "support",
        };
        let mut relations = vec![
            table(engine, schema, CUSTOMERS, "customers", &["id", "name", "email", "phone"]),
            table(engine, schema, 11, "tickets", &["id", "customer_id", "subject", "body", "status"]),
            table(engine, schema, 12, "orders", &["id", "customer_id", "placed_at", "total"]),
            table(engine, schema, 13, "order_lines", &["order_id", "line", "product_id", "quantity", "price"]),
            table(engine, schema, 14, "products", &["id", "sku", "title", "price"]),
        ];
        if engine == Engine::Postgres {
            relations.push(table(engine, "pg_catalog", 16, "pg_class", &["oid", "relname", "relnamespace", "relkind"]));
            relations.push(table(engine, "pg_catalog", 17, "pg_namespace", &["oid", "nspname"]));
        }
        relations.push(table(engine, schema, PARTED, "parted", &["id", "name"]));
        for number in 0..PARTS {
            let mut part = table(engine, schema, PARTED + 1 + number, &format!("parted_{number}"), &["id", "name"]);
            part.parents = vec![PARTED];
            relations.push(part);
        }
        for level in 0..DEEP {
            let (below, name) = match level {
                0 => (CUSTOMERS, "customers".to_owned()),
                _ => (DEEP_FIRST + level - 1, format!("deep_{}", level - 1)),
            };
            let definition = format!("SELECT t.id, t.name, t.email FROM {schema}.{name} t");
            relations.push(view(engine, schema, (DEEP_FIRST + level, &format!("deep_{level}")), definition, below));
        }
        for level in 0..DOUBLING {
            let (below, name) = match level {
                0 => (CUSTOMERS, "customers".to_owned()),
                _ => (DOUBLING_FIRST + level - 1, format!("twice_{}", level - 1)),
            };
            let definition = format!(
                "SELECT a.id, b.name, a.email FROM ({schema}.{name} a JOIN {schema}.{name} b ON ((a.id = b.id)))"
            );
            relations.push(view(
                engine,
                schema,
                (DOUBLING_FIRST + level, &format!("twice_{level}")),
                definition,
                below,
            ));
        }
        let mut functions = vec![
            function(schema, "f_mail", "SELECT email FROM customers WHERE id = $1"),
            function(schema, "f_self", "SELECT f_self($1) + f_self($1) FROM customers"),
            function(schema, "f_ping", "SELECT f_pong($1), f_pong(2)"),
            function(schema, "f_pong", "SELECT f_ping($1), f_ping(2)"),
        ];
        for level in 0..40 {
            let below = if level == 0 { "f_mail".to_owned() } else { format!("f_twice_{}", level - 1) };
            functions.push(function(schema, &format!("f_twice_{level}"), &format!("SELECT {below}(1), {below}(2)")));
        }
        let (database, path) = match engine {
            Engine::Postgres => ("support", vec!["pg_catalog".to_owned(), schema.to_owned()]),
            Engine::Mysql => ("", vec![schema.to_owned()]),
        };
        let catalog = Catalog::new(engine, database, 1, relations, functions);
        let relation = match engine {
            Engine::Postgres => "engine: postgres, database: support, name: public.customers",
            Engine::Mysql => "engine: mysql, database: support, name: customers",
        };
        let policy = format!(
            "version: 1
datasets:
  customers:
    class: personal
    relations: [{{ {relation} }}]
    columns: [name, email, phone]
    key: [id]
who:
  desk: {{ group: desk }}
rules:
  - {{ name: desk, who: desk, dataset: customers, budget: [{{ records: 500, per: hour }}] }}
"
        );
        let set = PolicySet::load(&policy, "policy.yaml").map(|(set, _)| set).expect("the policy is a good one");
        let (binding, _) = set.bind(&catalog);
        World { catalog, search_path: path, binding }
    }
}

fn table(engine: Engine, schema: &str, oid: u32, name: &str, columns: &[&str]) -> Relation {
    let type_oid = match engine {
        Engine::Postgres => 25,
        Engine::Mysql => 253,
    };
    let columns = columns.iter().zip(1..).map(|(name, number)| Column { name: (*name).into(), number, type_oid });
    Relation {
        id: RelationId {
            engine,
            database: match engine {
                Engine::Postgres => "support".into(),
                Engine::Mysql => "".into(),
            },
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

fn view(engine: Engine, schema: &str, (oid, name): (u32, &str), definition: String, below: u32) -> Relation {
    let base = table(engine, schema, oid, name, &["id", "name", "email"]);
    Relation {
        kind: RelationKind::View,
        definition: Some(definition),
        depends: vec![(below, 0)],
        key: Vec::new(),
        ..base
    }
}

fn function(schema: &str, name: &str, body: &str) -> Function {
    Function {
        schema: schema.into(),
        name: name.into(),
        language: "sql".into(),
        body: Some(body.to_owned()),
        from_extension: false,
        ..Function::default()
    }
}
