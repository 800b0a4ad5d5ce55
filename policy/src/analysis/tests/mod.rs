//! What the analyser says of statements, as data. The fixture is a support desk's database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bounds;
mod mysql;
mod privileges;
mod properties;
mod statements;

use std::fmt::Write;
use std::sync::Arc;

use super::{Context, LexSettings, analyse};
use crate::catalog::{
    Catalog, Code, Column, Function, Hook, Moment, Operator, Relation, RelationKind, Role, Type, Volatility,
};
use crate::relation::{Engine, RelationId};
use crate::statement::{Analysis, Columns, Extent, Operand, RelationUse, SessionAct, Source, StatementAnalysis};

fn relation(oid: u32, schema: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    Relation {
        id: RelationId {
            engine: Engine::Postgres,
            database: "support".into(),
            schema: schema.into(),
            name: name.into(),
        },
        oid,
        kind,
        columns: columns
            .iter()
            .zip(1_i16..)
            .map(|(name, number)| Column { name: (*name).into(), number, type_oid: 25 })
            .collect(),
        key: if kind == RelationKind::Table { vec![1] } else { Vec::new() },
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

fn function(name: &str, language: &str, body: Option<&str>) -> Function {
    Function {
        schema: "public".into(),
        name: name.into(),
        language: language.into(),
        body: body.map(str::to_owned),
        from_extension: false,
        ..Function::default()
    }
}

fn catalog() -> Catalog {
    let table = |oid, schema, name, columns: &[&str]| relation(oid, schema, name, RelationKind::Table, columns);
    let mut events = relation(20, "public", "events", RelationKind::Partitioned, &["id", "who", "what"]);
    events.key = vec![1];
    let mut events_north = table(21, "public", "events_north", &["id", "who", "what"]);
    events_north.parents = vec![20];
    let mut vip = table(22, "public", "vip", &["id", "name", "email", "phone"]);
    vip.parents = vec![10];
    let mut lines = table(15, "public", "order_lines", &["order_id", "line", "sku"]);
    lines.key = vec![1, 2];
    let relations = vec![
        table(10, "public", "customers", &["id", "name", "email", "phone"]),
        table(11, "public", "tickets", &["id", "customer_id", "subject", "body", "status"]),
        table(12, "billing", "cards", &["id", "customer_id", "pan", "holder"]),
        table(13, "archive", "customers", &["id", "plan", "month"]),
        table(14, "public", "products", &["id", "sku", "name", "price"]),
        lines,
        table(16, "public", "notes", &["id", "note"]),
        table(40, "public", "logged", &["id", "note"]),
        table(41, "public", "ruled", &["id", "note"]),
        table(42, "public", "filled", &["id", "note"]),
        table(43, "public", "guarded", &["id", "note"]),
        table(44, "public", "parent", &["id"]),
        table(45, "public", "audited", &["id", "secret"]),
        table(17, "pg_catalog", "pg_class", &["oid", "relname", "relnamespace", "relkind"]),
        table(18, "pg_catalog", "pg_settings", &["name", "setting"]),
        events,
        events_north,
        vip,
        view(
            30,
            "v_contacts",
            &["id", "who", "mail"],
            " SELECT c.id,\n    c.name AS who,\n    c.email AS mail\n   FROM public.customers c;",
            &[10],
        ),
        view(
            31,
            "v_dir",
            &["c0", "c1"],
            " SELECT v_contacts.id AS c0,\n    v_contacts.mail AS c1\n   FROM public.v_contacts;",
            &[30],
        ),
        view(32, "v_plans", &["n"], " SELECT count(*) AS n\n   FROM customers;", &[10]),
        view(
            33,
            "v_people",
            &["people"],
            " SELECT string_agg(c.email, ','::text) AS people\n   FROM customers c;",
            &[10],
        ),
        view(34, "v_odd", &["a", "b"], " SELECT something not SQL", &[12]),
        view(35, "v_loop", &["a"], " SELECT a FROM public.v_loop", &[35, 10]),
        view(
            36,
            "v_walk",
            &["id", "email"],
            " WITH RECURSIVE w(id, email) AS (\n SELECT customers.id, customers.email FROM customers WHERE (customers.id = 1)\n UNION ALL\n SELECT c.id, c.email FROM (w JOIN customers c ON ((c.id = (w.id + 1))))\n )\n SELECT id, email FROM w;",
            &[10],
        ),
    ];
    let functions = vec![
        function("f_all", "sql", Some("SELECT * FROM public.customers")),
        function("f_mail", "sql", Some("SELECT email FROM customers WHERE id = $1")),
        function(
            "f_page",
            "plpgsql",
            Some("BEGIN RETURN QUERY EXECUTE 'SELECT id, email FROM public.cust'||'omers WHERE id = $1' USING $1; END"),
        ),
        function(
            "f_blob",
            "plpgsql",
            Some("DECLARE r text; BEGIN SELECT json_agg(c)::text INTO r FROM public.customers c; RETURN r; END"),
        ),
        function("f_outer", "sql", Some("SELECT f_mail($1)")),
        function("f_ticks", "sql", Some("SELECT count(*) FROM tickets WHERE customer_id = $1 -- customers")),
        function("f_c", "c", None),
        function("p_touch", "plpgsql", Some("BEGIN UPDATE customers SET name = 'x'; END")),
        Function { from_extension: true, ..function("similarity", "c", None) },
    ];
    let functions = functions.into_iter().chain(unnamed_functions()).collect();
    Catalog::new(Engine::Postgres, "support", 1, relations, functions).with_code(unnamed_code())
}

/// Functions that run without being named, and some that do more than return something.
fn unnamed_functions() -> Vec<Function> {
    let numbered =
        |oid, name: &str, language: &str, body: &str| Function { oid, ..function(name, language, Some(body)) };
    vec![
        numbered(
            100,
            "tg_tell",
            "plpgsql",
            "declare r record; begin for r in select email from customers loop raise notice '%', r.email; end loop; return new; end",
        ),
        numbered(
            101,
            "tg_fill",
            "plpgsql",
            "begin select string_agg(email, ',') into new.note from customers; return new; end",
        ),
        numbered(102, "gathered", "sql", "select string_agg(email, ',') from customers"),
        numbered(
            103,
            "may_see",
            "plpgsql",
            "begin raise warning '%', (select string_agg(phone, ',') from customers); return true; end",
        ),
        numbered(104, "tg_audit", "plpgsql", "begin insert into notes values (old.id, old.secret); return new; end"),
        numbered(105, "tg_shout", "plpgsql", "begin raise notice '%', old.secret; return new; end"),
        numbered(106, "is_agent", "sql", "select exists (select 1 from customers where email = current_user)"),
        Function { is_aggregate: true, calls: vec![102], ..numbered(107, "gather", "internal", "aggregate_dummy") },
        Function {
            search_path: Some(vec!["pg_catalog".to_owned(), "billing".to_owned()]),
            ..numbered(108, "own_path", "sql", "select pan from cards")
        },
        Function { arguments: vec!["p".into()], ..numbered(109, "say", "plpgsql", "begin raise notice '%', p; end") },
        Function { arguments: vec!["p".into()], ..numbered(110, "keep", "sql", "insert into notes values (1, p)") },
        Function {
            volatility: Volatility::Immutable,
            ..numbered(111, "liar", "sql", "select email from customers limit 1")
        },
        Function {
            volatility: Volatility::Stable,
            ..numbered(
                112,
                "teller",
                "plpgsql",
                "begin raise notice '%', (select string_agg(email, ',') from customers); return 1; end",
            )
        },
        numbered(
            113,
            "by_text",
            "plpgsql",
            "declare r text; begin execute 'select email from customers limit 1' into r; return r; end",
        ),
        numbered(
            114,
            "errors",
            "plpgsql",
            "begin perform 1 from customers where email::int = 1; exception when others then raise notice '%', sqlerrm; end",
        ),
        Function { calls: vec![102], ..numbered(115, "defaulted", "sql", "select 1") },
        numbered(
            116,
            "bill",
            "plpgsql",
            "declare m text; begin select email into m from customers where id = $1; insert into notes values (1, m); end",
        ),
        numbered(117, "temporary", "plpgsql", "begin create temp table x as select id from products; return 1; end"),
    ]
}

fn unnamed_code() -> Code {
    let hook = |on: &[Moment], role, label: &str, function| Hook {
        on: on.to_vec(),
        role,
        label: label.into(),
        functions: vec![function],
        text: None,
    };
    let mut code = Code::default();
    code.hooks.insert(40, vec![hook(&[Moment::Insert], Role::Aside, "(trigger t)", 100)]);
    let rule = "CREATE RULE r AS ON INSERT TO public.ruled DO ALSO  SELECT customers.email FROM public.customers;";
    code.hooks.insert(
        41,
        vec![
            Hook {
                text: Some(rule.to_owned()),
                functions: Vec::new(),
                ..hook(&[Moment::Insert], Role::Rule, "(rule)", 0)
            },
            hook(&[Moment::Update], Role::Row, "(trigger t)", 101),
        ],
    );
    code.hooks.insert(42, vec![hook(&[Moment::Insert, Moment::Update], Role::Value, "(default)", 102)]);
    code.hooks.insert(
        43,
        vec![
            hook(&[Moment::Read, Moment::Delete], Role::Condition, "(policy)", 103),
            hook(&[Moment::Insert], Role::Condition, "(policy)", 106),
            hook(&[Moment::Maintain], Role::Condition, "(index)", 103),
        ],
    );
    code.cascades.insert(44, vec![43]);
    code.hooks.insert(
        45,
        vec![
            hook(&[Moment::Update], Role::Row, "(trigger audit)", 104),
            hook(&[Moment::Delete], Role::Aside, "(trigger shout)", 105),
        ],
    );
    code.operators.insert("<~~>".into(), vec![Operator { functions: vec![102], types: Vec::new() }]);
    code.operators.insert("+".into(), vec![Operator { functions: vec![102], types: vec![901] }]);
    code.types.insert(900, Type { name: "checked".into(), functions: vec![103] });
    code.types.insert(901, Type { name: "money_of_ours".into(), functions: Vec::new() });
    code
}

fn analysed(sql: &str, path: &[&str], temporary: &[&str]) -> Analysis {
    let catalog = catalog();
    let path: Vec<String> = path.iter().map(|schema| (*schema).to_owned()).collect();
    let temporary: Vec<String> = temporary.iter().map(|name| (*name).to_owned()).collect();
    let context = Context { lex: LexSettings::default(), catalog: &catalog, search_path: &path, temporary: &temporary };
    analyse(sql.as_bytes(), &context)
}

fn plain(sql: &str) -> Analysis {
    analysed(sql, &["pg_catalog", "public"], &[])
}

/// An analysis in one line, as an operator might read it.
fn words(analysis: &Analysis) -> String {
    analysis.statements.iter().map(statement_words).collect::<Vec<_>>().join(" | ")
}

fn statement_words(statement: &StatementAnalysis) -> String {
    let mut out = format!("{:?} {:?}", statement.verb, statement.coverage).to_lowercase();
    match statement.extent {
        Extent::Unbounded => {}
        Extent::Limited(operand) => write!(out, " limit {}", operand_words(operand)).unwrap(),
        Extent::LimitedTo(rows) => write!(out, " limit ={rows}").unwrap(),
        Extent::One => out.push_str(" one row"),
    }
    for usage in &statement.uses {
        write!(out, " · {}", use_words(usage)).unwrap();
    }
    for act in &statement.acts {
        write!(out, " · {}", act_words(act)).unwrap();
    }
    for gap in &statement.gaps {
        write!(out, " · ?{} {}", gap.code, gap.subject).unwrap();
    }
    for access in &statement.accesses {
        write!(out, " · +{}", format!("{access:?}").to_lowercase()).unwrap();
    }
    out
}

fn operand_words(operand: Operand) -> String {
    match operand {
        Operand::Literal(index) => format!("#{index}"),
        Operand::Param(index) => format!("${}", index + 1),
    }
}

fn column_words(columns: &Columns) -> String {
    match columns {
        Columns::None => String::new(),
        Columns::All => "*".to_owned(),
        Columns::Some(set) => set.iter().map(Arc::as_ref).collect::<Vec<&str>>().join(","),
    }
}

fn use_words(usage: &RelationUse) -> String {
    let mut out = format!("{:?} ", usage.access).to_lowercase();
    match &usage.relation {
        Some(relation) => out.push_str(&relation.to_string().replace("public.", "")),
        None => write!(out, "unknown {}", usage.written).unwrap(),
    }
    if usage.released != Columns::None {
        write!(out, "{{{}}}", column_words(&usage.released)).unwrap();
    }
    if usage.packed != Columns::None {
        write!(out, " packed{}{{{}}}", if usage.packed_whole { "-whole" } else { "" }, column_words(&usage.packed))
            .unwrap();
    }
    if usage.copied != Columns::None {
        write!(out, " copied{{{}}}", column_words(&usage.copied)).unwrap();
    }
    if usage.used != Columns::None {
        write!(out, " used{{{}}}", column_words(&usage.used)).unwrap();
    }
    if usage.totals.columns != Columns::None {
        let (packed, copied) = (usage.totals.packed, usage.totals.copied);
        let how = format!("{}{}", if packed { "+" } else { "" }, if copied { ">" } else { "" });
        write!(out, " totals{how}{{{}}}", column_words(&usage.totals.columns)).unwrap();
    }
    if let Some(pin) = &usage.pin {
        write!(out, " pin[{}]", pin.iter().map(|operand| operand_words(*operand)).collect::<Vec<_>>().join(","))
            .unwrap();
    }
    if !usage.via.is_empty() {
        write!(out, " via {}", usage.via.join(">").replace("public.", "")).unwrap();
    }
    if usage.source != Source::Parser {
        write!(out, " ({:?})", usage.source).unwrap();
    }
    out
}

fn act_words(act: &SessionAct) -> String {
    match act {
        SessionAct::Set { name, value, local } => {
            format!("set{} {name}={}", if *local { "-local" } else { "" }, value.as_deref().unwrap_or("<default>"))
        }
        SessionAct::SetRole { role } => format!("role={}", role.as_deref().unwrap_or("<original>")),
        SessionAct::Prepare { name, body } => format!("prepare {name} [{}]", statement_words(body)),
        SessionAct::DeclareCursor { name, body } => format!("cursor {name} [{}]", statement_words(body)),
        SessionAct::ExecutePrepared { name } => format!("execute {name}"),
        SessionAct::Deallocate { name } => format!("deallocate {}", name.as_deref().unwrap_or("<all>")),
        SessionAct::Fetch { name } => format!("fetch {name}"),
        SessionAct::CloseCursor { name } => format!("close {}", name.as_deref().unwrap_or("<all>")),
        SessionAct::Discard { all } => format!("discard{}", if *all { " all" } else { "" }),
        SessionAct::CreateTemporary { name } => format!("temp {name}"),
        SessionAct::DropTemporary { name } => format!("untemp {name}"),
        other => format!("{other:?}").to_lowercase(),
    }
}
