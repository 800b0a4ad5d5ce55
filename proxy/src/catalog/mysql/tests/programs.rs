//! Programs of a real server: its own functions, and what somebody has made it run when rows change.

use weir_policy::analysis::{Context, LexSettings, MysqlLex, analyse};
use weir_policy::catalog::TriggerEvent;
use weir_tests::mysql::server::Flavour;

use super::*;

/// What the servers list and do not have: functions until somebody loads a library or a component, operators, and
/// MariaDB's word for databases.
const LISTED: [&str; 10] = [
    "asymmetric_",
    "create_asymmetric_",
    "create_dh_",
    "create_digest",
    "keyring_",
    "mask_",
    "schemas",
    "div",
    "like",
    "regexp",
];

/// Whether a name is one of those, or begins like one that ends in `_`.
fn is_listed(name: &str) -> bool {
    LISTED.iter().any(|listed| if listed.ends_with('_') { name.starts_with(listed) } else { name == *listed })
}

#[test]
fn every_function_that_the_server_ships_is_known() {
    let Some(mysql) = server() else { return };
    let asked = match mysql.flavour() {
        Flavour::MariaDb => "select lower(function) from information_schema.sql_functions",
        Flavour::MySql9 => {
            "select distinct lower(t.name) from mysql.help_topic t join mysql.help_category c using (help_category_id) \
             where c.name like '%function%' or c.name like '%gtid%'"
        }
    };
    let names: Vec<String> = mysql.administrator("").query(asked).fine().texts().into_iter().flatten().collect();
    assert!(names.len() > 150, "{names:?}");
    let catalogs = catalogs(mysql, ACCOUNT, 60);
    let view = wait(catalogs.renew("db", "support"));
    let facts = view.mysql().unwrap();
    let LexSettings::Mysql(newest) = LexSettings::of(Engine::Mysql) else { panic!("a grammar of MySQL's") };
    let lex = LexSettings::Mysql(MysqlLex { mariadb: facts.mariadb, version: facts.version, ..newest });
    let path = ["support".to_owned()];
    let context = Context { lex, catalog: &view.catalog, search_path: &path, temporary: &[] };
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let unknown: Vec<&String> = names
        .iter()
        .filter(|name| is_name(name) && !is_listed(name))
        .filter(|name| {
            let analysis = analyse(format!("select {name}('a')").as_bytes(), &context);
            analysis.statements.iter().flat_map(|statement| &statement.gaps).any(|gap| gap.code == "unknown-function")
        })
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn triggers_and_modes_of_programs_are_read() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("fired");
    mysql.script(
        &db,
        "create trigger kept after update on customers for each row insert into articles (id, title) values (old.id, old.name); \
         create trigger made before insert on articles for each row set new.title = trim(new.title); \
         set sql_mode = 'ANSI_QUOTES'; \
         create function quoted() returns int deterministic return (select count(*) from \"customers\")",
    );
    let catalogs = catalogs(mysql, ACCOUNT, 60);
    let view = wait(catalogs.renew("db", &db));
    let fired = |name: &str| {
        let relation = find(&view, &format!("{db}.{name}")).unwrap();
        let triggers = view.catalog.triggers(relation.oid).iter();
        triggers.map(|trigger| (trigger.event, trigger.program.name.to_string())).collect::<Vec<_>>()
    };
    assert_eq!(fired("customers"), [(TriggerEvent::Update, "kept".to_owned())]);
    assert_eq!(fired("articles"), [(TriggerEvent::Insert, "made".to_owned())]);
    assert_eq!(fired("orders"), []);
    let quoted = view.catalog.functions("quoted").iter().find(|function| *function.schema == *db).unwrap();
    assert!(quoted.sql_mode.as_deref().unwrap().contains("ANSI_QUOTES"), "{quoted:?}");

    mysql
        .script(&db, "drop trigger made; create trigger made after delete on articles for each row set @gone = old.id");
    let renewed = wait(catalogs.renew("db", &db));
    let articles = find(&renewed, &format!("{db}.articles")).unwrap();
    assert_eq!(renewed.catalog.triggers(articles.oid)[0].event, TriggerEvent::Delete, "another trigger is a change");
}
