//! What statements expose of a support desk's database, as data in `statements.txt`, and what is counted on their rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;
use std::sync::Arc;

use super::Binding;
use crate::analysis::{Context, Dialect, LexSettings, analyse};
use crate::catalog::{Catalog, Column, Relation, RelationKind};
use crate::exposure::{Exposure, Lane, LaneKey, Manner, Origin, Weight};
use crate::relation::{Engine, RelationId};
use crate::set::PolicySet;
use crate::statement::{Coverage, Operand};

/// The policy of the fixture.
pub(crate) const POLICY: &str = r#"
version: 1
datasets:
  customers:
    class: personal
    relations: [ { engine: postgres, database: support, name: "public.customers" } ]
    columns: [name, email, phone]
    key: [id]
  cards:
    class: secret
    relations: [ { engine: postgres, database: support, name: "billing.cards*" } ]
  events:
    class: internal
    relations: [ { engine: postgres, database: support, name: "public.events" } ]
  north:
    class: internal
    relations: [ { engine: postgres, database: support, name: "public.events_north" } ]
  pets:
    class: personal
    relations: [ { engine: postgres, database: support, name: "public.animals" } ]
  shown:
    class: personal
    relations: [ { engine: postgres, database: support, name: "public.v_mail" } ]
rules:
  - { name: desk, who: { group: support }, dataset: customers, access: [read], budget: [ { records: 500, per: hour } ] }
  - { name: no-cards, who: any, dataset: cards, then: refuse }
  - { name: ledger, who: any, dataset: [events, north, pets, shown], access: [read, export], then: allow }
  - { name: roles, who: any, access: [grant, set-role], then: alert }
"#;

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let database = "support".into();
    Relation {
        id: RelationId { engine: Engine::Postgres, database, schema: schema.into(), name: name.into() },
        oid,
        kind,
        columns: columns
            .iter()
            .zip(1_i16..)
            .map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 })
            .collect(),
        key: if matches!(kind, RelationKind::Table | RelationKind::Partitioned) { vec![1] } else { Vec::new() },
        rows_estimate: 1000,
        row_bytes_mean: 100,
        definition: None,
        depends: Vec::new(),
        parents: Vec::new(),
    }
}

fn view(oid: u32, name: &str, columns: &[&str], definition: &str, depends: &[u32]) -> Relation {
    let mut view = relation(oid, "public", name, RelationKind::View, columns);
    view.definition = Some(definition.to_owned());
    view.depends = depends.iter().map(|oid| (*oid, 0)).collect();
    view
}

/// The database of the fixture.
pub(crate) fn catalog() -> Catalog {
    let table = |oid, schema, name, columns: &[&str]| relation(oid, schema, name, RelationKind::Table, columns);
    let mut events = relation(20, "public", "events", RelationKind::Partitioned, &["id", "who", "what"]);
    events.rows_estimate = 0;
    let mut north = table(21, "public", "events_north", &["who", "id", "what"]);
    north.key = vec![2];
    north.parents = vec![20];
    let mut south = table(22, "public", "events_south", &["id", "who", "what"]);
    south.parents = vec![20];
    let animals = table(30, "public", "animals", &["id", "name"]);
    let mut dogs = table(31, "public", "dogs", &["id", "name", "breed"]);
    dogs.parents = vec![30];
    let mut orders = table(12, "public", "orders", &["id", "customer_id", "total", "note"]);
    orders.rows_estimate = 5000;
    let mut stored = view(
        45,
        "m_mail",
        &["mail", "id"],
        " SELECT customers.email AS mail,\n    customers.id\n   FROM customers;",
        &[10],
    );
    stored.kind = RelationKind::MaterializedView;
    Catalog::new(
        Engine::Postgres,
        "support",
        1,
        vec![
            table(10, "public", "customers", &["id", "name", "email", "phone", "language"]),
            table(11, "billing", "cards", &["id", "customer_id", "pan"]),
            orders,
            table(13, "public", "notes", &["id", "note"]),
            events,
            north,
            south,
            animals,
            dogs,
            view(
                40,
                "v_mail",
                &["customer", "mail"],
                " SELECT c.id AS customer,\n    c.email AS mail\n   FROM customers c;",
                &[10],
            ),
            view(
                41,
                "v_domains",
                &["id", "domain"],
                " SELECT (customers.id % 10) AS id,\n    split_part(customers.email, '@'::text, 2) AS domain\n   FROM customers;",
                &[10],
            ),
            view(
                42,
                "v_orders",
                &["id", "total", "mail", "customer"],
                " SELECT o.id,\n    o.total,\n    v.mail,\n    v.customer\n   FROM (orders o\n     JOIN v_mail v ON ((v.customer = o.customer_id)));",
                &[12, 40],
            ),
            view(43, "v_count", &["n"], " SELECT count(*) AS n\n   FROM customers;", &[10]),
            view(44, "v_odd", &["a"], " SELECT something not SQL", &[10]),
            stored,
        ],
        Vec::new(),
    )
}

/// The policy of the fixture, bound.
pub(crate) fn bound() -> (PolicySet, Binding) {
    let (set, warnings) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let (binding, diagnostics) = set.bind(&catalog());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    (set, binding)
}

/// What a text exposes.
pub(crate) fn exposure(binding: &Binding, sql: &str) -> Exposure {
    let catalog = catalog();
    let context = Context {
        dialect: Dialect::Postgres,
        lex: LexSettings::default(),
        catalog: &catalog,
        search_path: &["pg_catalog".to_owned(), "public".to_owned()],
        temporary: &["scratch".to_owned()],
    };
    let analysis = analyse(sql.as_bytes(), &context);
    let exposures: Vec<Exposure> = analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
    match exposures.as_slice() {
        [only] => only.clone(),
        all => binding.merge(all),
    }
}

fn operands(operands: &[Operand]) -> String {
    let words = operands.iter().map(|operand| match operand {
        Operand::Literal(index) => format!("#{index}"),
        Operand::Param(index) => format!("${}", index + 1),
    });
    words.collect::<Vec<_>>().join(",")
}

/// An exposure in one line.
fn words(exposure: &Exposure) -> String {
    let mut out = Vec::new();
    for exposed in exposure.touched() {
        let access = format!("{:?}", exposed.access).to_lowercase();
        let mut word = format!("{access} {}", exposed.dataset);
        if *exposed.relation.name != *exposed.dataset {
            write!(word, "/{}", exposed.relation.name).unwrap();
        }
        let columns: Vec<&str> = exposed.columns.iter().map(Arc::as_ref).collect();
        write!(word, "{{{}}}", columns.join(",")).unwrap();
        word.push_str(match exposed.manner {
            Manner::Used => " used",
            Manner::Rows => "",
            Manner::Packed => " packed",
        });
        if exposed.whole {
            write!(word, " whole({})", exposed.rows_estimate).unwrap();
        }
        if let Some(pin) = &exposed.pin {
            write!(word, " pin[{}]", operands(pin)).unwrap();
        }
        if exposed.reads > 1 {
            write!(word, " x{}", exposed.reads).unwrap();
        }
        if let Some(key) = exposed.key.as_ref().filter(|_| exposed.manner != Manner::Used) {
            let shown = if exposed.key_released { "key" } else { "hidden key" };
            write!(word, " {shown}{key:?}").unwrap();
        }
        out.push(word);
    }
    if let Some(reason) = exposure.opaque() {
        out.push(format!("opaque ({reason})"));
    }
    if exposure.coverage() != Coverage::Full {
        out.push(format!("{:?}", exposure.coverage()).to_lowercase());
    }
    if exposure.is_plain() {
        out.push("plain".to_owned());
    } else if out.is_empty() {
        out.push("watched".to_owned());
    }
    out.join(" · ")
}

#[test]
fn statements_expose_what_the_table_says() {
    let (_, binding) = bound();
    let lines: Vec<&str> =
        include_str!("statements.txt").lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let mut wrong = String::new();
    for pair in lines.chunks(2) {
        let got = words(&exposure(&binding, pair[0]));
        if pair.get(1).map(|line| line.trim()) != Some(&got) {
            writeln!(wrong, "{}\n    {got}", pair[0]).unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(lines.len() >= 100);
}
