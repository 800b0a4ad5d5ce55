//! A support desk's database, small: what the analyser and the policies of the targets speak of.

use std::sync::Arc;

use weir_policy::catalog::{Catalog, Column, Function, Relation, RelationKind, column_types};
use weir_policy::relation::{Engine, RelationId};

/// VARCHAR, in a column's definition of MySQL's.
const STRING: u32 = 253;

/// The schema path of its sessions.
pub fn search_path() -> Vec<String> {
    vec!["pg_catalog".to_owned(), "public".to_owned()]
}

/// Its catalog.
pub fn catalog() -> Catalog {
    let mut north = relation(21, "public", "events_north", RelationKind::Table, &["id", "who", "what"]);
    north.parents = vec![20];
    let mut vip = relation(22, "public", "vip", RelationKind::Table, &["id", "name", "email", "phone"]);
    vip.parents = vec![10];
    let relations = vec![
        relation(10, "public", "customers", RelationKind::Table, &["id", "name", "email", "phone"]),
        relation(11, "public", "tickets", RelationKind::Table, &["id", "customer_id", "subject", "body", "status"]),
        relation(12, "billing", "cards", RelationKind::Table, &["id", "customer_id", "pan", "holder"]),
        relation(13, "archive", "customers", RelationKind::Table, &["id", "plan", "month"]),
        relation(16, "public", "notes", RelationKind::Table, &["id", "note"]),
        relation(17, "pg_catalog", "pg_class", RelationKind::Table, &["oid", "relname", "relnamespace", "relkind"]),
        relation(20, "public", "events", RelationKind::Partitioned, &["id", "who", "what"]),
        north,
        vip,
        view(
            30,
            "v_contacts",
            &["id", "who", "mail"],
            " SELECT c.id, c.name AS who, c.email AS mail FROM public.customers c;",
            10,
        ),
        view(
            31,
            "v_dir",
            &["c0", "c1"],
            " SELECT v_contacts.id AS c0, v_contacts.mail AS c1 FROM public.v_contacts;",
            30,
        ),
        view(32, "v_people", &["people"], " SELECT string_agg(c.email, ','::text) AS people FROM customers c;", 10),
        view(33, "v_odd", &["a", "b"], " SELECT something not SQL", 12),
        view(34, "v_loop", &["a"], " SELECT a FROM public.v_loop", 34),
    ];
    let functions = vec![
        function("f_all", "sql", Some("SELECT * FROM public.customers")),
        function("f_page", "plpgsql", Some("BEGIN RETURN QUERY EXECUTE 'SELECT id FROM public.cust'||'omers'; END")),
        function("f_native", "c", None),
    ];
    Catalog::new(Engine::Postgres, "support", 1, relations, functions)
}

/// The same desk on MySQL, where schemas are databases.
pub fn mysql_catalog() -> Catalog {
    let mut relations = vec![
        relation(10, "support", "customers", RelationKind::Table, &["id", "name", "email", "phone"]),
        relation(11, "support", "tickets", RelationKind::Table, &["id", "customer_id", "subject", "body", "status"]),
        relation(12, "billing", "cards", RelationKind::Table, &["id", "customer_id", "pan", "holder"]),
        relation(13, "archive", "customers", RelationKind::Table, &["id", "plan", "month"]),
        relation(16, "support", "notes", RelationKind::Table, &["id", "note"]),
        relation(17, "information_schema", "TABLES", RelationKind::Table, &["TABLE_SCHEMA", "TABLE_NAME"]),
        view(
            30,
            "v_contacts",
            &["id", "who", "mail"],
            "select `c`.`id` AS `id`,`c`.`name` AS `who`,`c`.`email` AS `mail` from `support`.`customers` `c`",
            10,
        ),
        view(
            31,
            "v_dir",
            &["c0", "c1"],
            "select `v_contacts`.`id` AS `c0`,`v_contacts`.`mail` AS `c1` from `support`.`v_contacts`",
            30,
        ),
        view(
            32,
            "v_people",
            &["people"],
            "select group_concat(`c`.`email` separator ',') AS `people` from `support`.`customers` `c`",
            10,
        ),
        view(33, "v_odd", &["a", "b"], "select something `not` SQL from", 12),
    ];
    for relation in &mut relations {
        relation.id.engine = Engine::Mysql;
        relation.id.database = "".into();
        if relation.kind == RelationKind::View {
            relation.id.schema = "support".into();
        }
        for column in &mut relation.columns {
            column.type_oid = if column.name.ends_with("id") { column_types::LONG } else { STRING };
        }
    }
    let mut functions = vec![
        function("f_mail", "SQL", Some("RETURN (SELECT email FROM customers WHERE id = i)")),
        function("p_all", "SQL", Some("SELECT * FROM customers")),
        function(
            "p_range",
            "SQL",
            Some("BEGIN SET @q = concat('SELECT id FROM cust','omers'); PREPARE s FROM @q; EXECUTE s; END"),
        ),
        function("p_hidden", "SQL", None),
    ];
    for function in &mut functions {
        function.schema = "support".into();
    }
    Catalog::new(Engine::Mysql, "", 1, relations, functions)
}

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let columns = columns.iter().zip(1..).map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 });
    Relation {
        id: RelationId {
            engine: Engine::Postgres,
            database: "support".into(),
            schema: schema.into(),
            name: name.into(),
        },
        oid,
        kind,
        columns: columns.collect(),
        key: if kind == RelationKind::View { Vec::new() } else { vec![1] },
        rows_estimate: 68_000,
        row_bytes_mean: 100,
        definition: None,
        depends: Vec::new(),
        parents: Vec::new(),
    }
}

fn view(oid: u32, name: &str, columns: &[&str], definition: &str, depends: u32) -> Relation {
    let mut view = relation(oid, "public", name, RelationKind::View, columns);
    view.definition = Some(definition.to_owned());
    view.depends = vec![(depends, 0)];
    view
}

fn function(name: &str, language: &str, body: Option<&str>) -> Function {
    let (schema, name, language): (Arc<str>, Arc<str>, Arc<str>) = ("public".into(), name.into(), language.into());
    Function { schema, name, language, body: body.map(str::to_owned), from_extension: false, ..Function::default() }
}
