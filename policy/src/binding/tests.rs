//! What statements expose of a support desk's database, as data in `statements.txt`, and what is counted on their rows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asked;
mod copies;
mod declassified;
mod mysql;
mod pins;
mod watched;

use std::fmt::Write;
use std::sync::Arc;

use super::Binding;
use crate::analysis::{Context, LexSettings, analyse};
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
  guests:
    class: personal
    relations: [ { engine: postgres, database: support, name: "public.guests" } ]
    key: [id]
  shown:
    class: personal
    relations: [ { engine: postgres, database: support, name: "public.v_mail" } ]
rules:
  - { name: desk, who: { group: support }, dataset: customers, access: [read], budget: [ { records: 500, per: hour } ] }
  - { name: no-cards, who: any, dataset: cards, then: refuse }
  - { name: ledger, who: any, dataset: [events, north, pets, guests, shown], access: [read, export], then: allow }
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
    let guests = table(32, "public", "guests", &["id", "name"]);
    let mut vips = table(33, "public", "vips", &["id", "name", "host"]);
    vips.parents = vec![32];
    let mut orders = table(12, "public", "orders", &["id", "customer_id", "total", "note"]);
    orders.rows_estimate = 5000;
    let mut toast =
        relation(60, "pg_toast", "pg_toast_10", RelationKind::Other, &["chunk_id", "chunk_seq", "chunk_data"]);
    toast.depends = vec![(10, 0)];
    let mut statistics = view(
        51,
        "pg_stats",
        &["tablename", "null_frac", "most_common_vals"],
        " SELECT s.starelid AS tablename,\n    s.stanullfrac AS null_frac,\n        CASE\n            WHEN (s.stakind1 = 1) THEN s.stavalues1\n            ELSE NULL::anyarray\n        END AS most_common_vals\n   FROM pg_statistic s;",
        &[50],
    );
    statistics.id.schema = "pg_catalog".into();
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
            guests,
            vips,
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
            toast,
            table(
                50,
                "pg_catalog",
                "pg_statistic",
                &["starelid", "staattnum", "stanullfrac", "stakind1", "stavalues1"],
            ),
            statistics,
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
            Manner::Told => " told",
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

/// `10.1` is column 1 of the relation 10; `-` is computed.
fn origins(text: &str) -> Vec<Origin> {
    let origin = |word: &str| match word.split_once('.') {
        Some((oid, attribute)) => Origin { oid: oid.parse().unwrap(), attribute: attribute.parse().unwrap() },
        None => Origin { oid: 0, attribute: 0 },
    };
    text.split_whitespace().map(origin).collect()
}

fn lane_words(lanes: &[Lane]) -> String {
    let words = lanes.iter().map(|lane| {
        let key = match &lane.key {
            LaneKey::Columns(places) => format!("{places:?}"),
            LaneKey::Pinned(pin) => format!("pin[{}]", operands(pin)),
            LaneKey::Unkeyed => "row".to_owned(),
        };
        let weight = match lane.weight {
            Weight::Row => String::new(),
            Weight::Many { records } => format!(" x{records}"),
            Weight::Bytes { record_bytes } => format!(" /{record_bytes} B"),
            Weight::Message { one_bytes, record_bytes } => format!(" told {one_bytes}/{record_bytes} B"),
            Weight::Traffic => " traffic".to_owned(),
        };
        format!("{}/{} {key}{weight}", lane.dataset, lane.relation.name)
    });
    words.collect::<Vec<_>>().join(" · ")
}

#[test]
fn rows_are_counted_by_keys_that_can_be_trusted() {
    let (_, binding) = bound();
    let check = |sql: &str, columns: &str, expected: &str| {
        let lanes = binding.lanes(&exposure(&binding, sql), &origins(columns));
        assert_eq!(lane_words(&lanes), expected, "{sql}");
    };
    check("select id, email from customers", "10.1 10.3", "customers/customers [0]");
    check("select email, id from customers", "10.3 10.1", "customers/customers [1]");
    check("select email from customers", "10.3", "customers/customers row");
    check("select id, email from customers", "", "customers/customers row");
    check("select id, email from customers where id = 7", "10.1 10.3", "customers/customers [0]");
    check(
        "select o.id, c.email from customers c join orders o on o.customer_id = c.id",
        "12.1 10.3",
        "customers/customers row",
    );
    check(
        "select c.id, c.email, o.note from customers c join orders o on true",
        "10.1 10.3 12.4",
        "customers/customers [0]",
    );
    // What a second read could put beside somebody's key.
    check(
        "select a.id, b.email from customers a, customers b where a.id = 1",
        "10.1 10.3",
        "customers/customers row x2",
    );
    check("select id, lead(email) over (order by id) from customers", "10.1 -", "customers/customers row x2");
    check(
        "select id, email from customers where false union all select 1, email from customers",
        "10.1 10.3",
        "customers/customers row",
    );
    // Through views, to the table below.
    check("select mail, customer from v_mail", "40.2 40.1", "customers/customers [1] · shown/v_mail row");
    check("select mail, customer from v_orders", "42.3 42.4", "customers/customers [1] · shown/v_mail row");
    check("select * from m_mail", "45.1 45.2", "customers/customers [1]");
    check("select * from v_domains", "41.1 41.2", "customers/customers row");
    // Of partitions, under the name that the text has.
    check("select id, who from events", "20.1 20.2", "events/events [0] · north/events row");
    check("select who, id from events_north", "21.1 21.2", "events/events [1] · north/events [1]");
    check("select id, name from animals", "30.1 30.2", "pets/animals row");
    check("select id, name from dogs", "31.1 31.2", "pets/dogs [0]");
    // Packed.
    check(
        "select language, string_agg(email, ',') from customers group by language",
        "10.5 -",
        "customers/customers row /16 B",
    );
    check("select json_agg(c) from customers c", "-", "customers/customers row /48 B");
    check("select json_agg(c) from billing.cards c", "-", "cards/cards row /100 B");
    check("select json_agg(c) from customers c where c.id = 7", "-", "customers/customers pin[#0]");
    check("copy customers to stdout", "", "customers/customers row");
    check("select count(*) from customers where phone = '1'", "-", "");
}

#[test]
fn the_server_is_believed_where_it_names_more() {
    let (_, binding) = bound();
    let check = |sql: &str, columns: &str, expected: Option<&str>| {
        let tightened = binding.tighten(&exposure(&binding, sql), &origins(columns));
        assert_eq!(tightened.as_ref().map(words).as_deref(), expected, "{sql}");
        if let Some(tightened) = tightened {
            assert_eq!(binding.tighten(&tightened, &origins(columns)), None, "{sql}: what was tightened is enough");
        }
    };
    // It says what the analysis said.
    check("select id, email from customers", "10.1 10.3", None);
    check("select mail from v_mail", "40.2", None);
    check("select n from v_count", "43.1", None);
    check("select domain from v_domains", "41.2", None);
    check("select id, total from v_orders", "42.1 42.2", None);
    check("select who from events_north", "21.1", None);
    check("select id from customers", "10.1", None);
    check("select a from v_odd", "44.1", None);
    // A name that the analysis took for something else.
    check("select * from scratch", "10.1", None);
    check("select * from scratch", "10.1 10.3", Some("read customers{email}"));
    check("select * from scratch", "10.3 10.2 -", Some("read customers{email,name}"));
    check("select * from scratch", "45.1", Some("read customers{email}"));
    check("select * from scratch", "41.2", Some("read customers{} packed"));
    check("select * from scratch", "21.1", Some("read events{who} · read north/events{who}"));
    check("select count(*) from customers where email = 'a'", "10.3", Some("read customers{email}"));
    check("select email from customers", "11.3", Some("read cards{pan} · read customers{email} hidden key[1]"));
    check("select * from scratch", "12.1 -", None);
}

#[test]
fn a_database_that_was_never_read_may_hold_anything() {
    let (set, _) = PolicySet::load(
        "version: 1\ndatasets:\n  a: { class: x, relations: [ { engine: postgres, database: support, name: \"*.secret\" } ] }\n\
         rules:\n  - { name: r, who: any, dataset: a, then: alert }\n",
        "policy.yaml",
    )
    .unwrap();
    let exposed = |database: &str, sql: &str| {
        let catalog = Catalog::empty(Engine::Postgres, database);
        let (binding, diagnostics) = set.bind(&catalog);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        let path = ["public".to_owned()];
        let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &[] };
        let analysis = analyse(sql.as_bytes(), &context);
        binding.exposure(&analysis.statements[0]).opaque().is_some()
    };
    for sql in ["select * from secret", "select * from anything", "copy secret to stdout", "select ((1"] {
        assert!(exposed("support", sql), "{sql}");
        assert!(!exposed("elsewhere", sql), "{sql}");
    }
    assert!(!exposed("support", "select 1"));
    assert!(!exposed("support", "begin"));
}

#[test]
fn a_policy_says_what_it_finds_nothing_of() {
    let told = |text: &str| {
        let (set, warnings) = PolicySet::load(text, "policy.yaml").unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        let (binding, diagnostics) = set.bind(&catalog());
        (binding.is_sensitive(), diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    let policy = |relation: &str, more: &str| {
        format!(
            "version: 1\ndatasets:\n  a:\n    class: x\n    relations: [ {{ {relation} }} ]\n{more}rules:\n  - {{ name: r, who: any, dataset: a, then: alert }}\n"
        )
    };
    assert_eq!(
        told(&policy("engine: postgres, database: support, name: public.customer", "")),
        (false, "policy.yaml:5:18: warning: dataset `a` matches nothing in database `support` (hint: check the names, and that Weir's own account may see them)".to_owned())
    );
    assert_eq!(told(&policy("engine: postgres, database: other, name: public.customer", "")), (false, String::new()));
    assert_eq!(told(&policy("engine: mysql, database: support, name: customers", "")), (false, String::new()));
    assert_eq!(
        told(&policy("engine: postgres, database: \"supp*\", name: \"*.customers\"", "")),
        (true, String::new())
    );
    assert_eq!(
        told(&policy("engine: postgres, database: support, name: public.customers", "    columns: [email, fone]\n")),
        (true, "policy.yaml:3:3: warning: dataset `a`: no relation of it has a column `fone` (hint: check the name: what is not named is not sensitive)".to_owned())
    );
    assert_eq!(
        told(&policy("engine: postgres, database: support, name: public.customers", "    key: [nr]\n")),
        (true, "policy.yaml:3:3: warning: dataset `a`: `public.customers` has no column `nr` of its key (hint: every row of it counts as a record; mend `key`)".to_owned())
    );
}

#[test]
fn a_key_of_one_partition_alone_says_nothing_of_its_neighbours() {
    let text = r#"
version: 1
datasets: { events: { class: x, relations: [ { engine: postgres, database: support, name: public.events } ]MORE } }
rules: [ { name: r, who: any, dataset: events, then: alert } ]
"#;
    let relation_of = |more: &str, parent_has_key: bool| {
        let mut relations = catalog().relations().to_vec();
        if let (Some(events), false) = (relations.iter_mut().find(|relation| relation.oid == 20), parent_has_key) {
            events.key.clear();
        }
        let catalog = Catalog::new(Engine::Postgres, "support", 2, relations, Vec::new());
        let (set, _) = PolicySet::load(&text.replace("MORE", more), "policy.yaml").unwrap();
        let (binding, _) = set.bind(&catalog);
        let exposure = exposure(&binding, "select id, who from events_north");
        let lanes = binding.lanes(&exposure, &origins("21.2 21.1"));
        (lanes[0].relation.name.to_string(), lanes[0].key.clone())
    };
    assert_eq!(relation_of("", true), ("events".to_owned(), LaneKey::Columns(vec![0])));
    assert_eq!(relation_of("", false), ("events_north".to_owned(), LaneKey::Columns(vec![0])));
    assert_eq!(relation_of(", key: [id]", false), ("events".to_owned(), LaneKey::Columns(vec![0])));
}

#[test]
fn a_table_of_many_partitions_is_exposed_in_proportion() {
    let mut relations = catalog().relations().to_vec();
    for number in 0..2000_u32 {
        let mut child =
            relation(1000 + number, "public", &format!("events_{number}"), RelationKind::Table, &["id", "who", "what"]);
        child.parents = vec![20];
        relations.push(child);
    }
    let catalog = Catalog::new(Engine::Postgres, "support", 2, relations, Vec::new());
    let (set, _) = PolicySet::load(POLICY, "policy.yaml").unwrap();
    let (binding, _) = set.bind(&catalog);
    let context =
        Context { lex: LexSettings::default(), catalog: &catalog, search_path: &["public".to_owned()], temporary: &[] };
    let analysis = analyse(b"select id, who from events", &context);
    let uses = analysis.statements[0].uses.len();
    let exposure = binding.exposure(&analysis.statements[0]);
    assert!(uses > 2000);
    assert_eq!(words(&exposure), "read events{id,who} key[1] \u{b7} read north/events{id,who}");
}
