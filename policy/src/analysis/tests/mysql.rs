//! Statements of MySQL and MariaDB and what is said of them, in `statements_mysql.txt`, in the form of
//! `statements.txt`. The current database is `support`, the server a MariaDB 10.11, and no temporary table is known.

mod bounds;
mod properties;

use super::*;
use crate::analysis::MysqlLex;
use crate::catalog::column_types::LONG;
use crate::catalog::{Trigger, TriggerEvent};

/// VARCHAR.
const STRING: u32 = 253;

pub(super) const MARIADB: LexSettings = LexSettings::Mysql(MysqlLex {
    mariadb: true,
    version: 101_119,
    ansi_quotes: false,
    no_backslash_escapes: false,
    utf8: true,
});

fn mysql(oid: u32, database: &str, name: &str, kind: RelationKind, columns: &[&str]) -> Relation {
    let mut relation = relation(oid, database, name, kind, columns);
    relation.id.engine = Engine::Mysql;
    relation.id.database = "".into();
    for column in &mut relation.columns {
        column.type_oid = if column.name.ends_with("id") { LONG } else { STRING };
    }
    relation
}

fn view_of(oid: u32, database: &str, name: &str, columns: &[&str], definition: &str, depends: &[u32]) -> Relation {
    let mut view = mysql(oid, database, name, RelationKind::View, columns);
    view.definition = Some(definition.to_owned());
    view.depends = depends.iter().map(|oid| (*oid, 0)).collect();
    view
}

fn routine(name: &str, body: &str) -> Function {
    Function {
        schema: "support".into(),
        name: name.into(),
        language: "SQL".into(),
        body: Some(body.to_owned()),
        from_extension: false,
        sql_mode: Some("STRICT_TRANS_TABLES".into()),
        ..Function::default()
    }
}

pub(super) fn catalog() -> Catalog {
    let table = |oid, database, name, columns: &[&str]| mysql(oid, database, name, RelationKind::Table, columns);
    let mut lines = table(15, "support", "order_lines", &["order_id", "line_id", "sku"]);
    lines.key = vec![1, 2];
    let mut codes = table(16, "support", "codes", &["code", "meaning"]);
    codes.key = vec![1];
    let relations = vec![
        table(10, "support", "customers", &["id", "Name", "email", "phone"]),
        table(11, "support", "tickets", &["id", "customer_id", "subject", "body", "status"]),
        table(12, "billing", "cards", &["id", "customer_id", "pan", "holder"]),
        table(13, "archive", "customers", &["id", "plan", "month"]),
        table(14, "support", "products", &["id", "sku", "name", "price"]),
        lines,
        codes,
        table(17, "support", "notes", &["id", "note"]),
        table(18, "information_schema", "TABLES", &["TABLE_SCHEMA", "TABLE_NAME", "TABLE_ROWS"]),
        table(19, "information_schema", "PROCESSLIST", &["ID", "USER", "INFO"]),
        table(20, "support", "history", &["id", "email"]),
        view_of(
            30,
            "support",
            "v_contacts",
            &["id", "who", "mail"],
            "select `c`.`id` AS `id`,`c`.`Name` AS `who`,`c`.`email` AS `mail` from `support`.`customers` `c`",
            &[10],
        ),
        view_of(
            31,
            "support",
            "v_dir",
            &["c0", "c1"],
            "select `v_contacts`.`id` AS `c0`,`v_contacts`.`mail` AS `c1` from `support`.`v_contacts`",
            &[30],
        ),
        view_of(
            32,
            "support",
            "v_counts",
            &["status", "n"],
            "select `support`.`tickets`.`status` AS `status`,count(0) AS `n` from `support`.`tickets` group by `support`.`tickets`.`status`",
            &[11],
        ),
        view_of(
            33,
            "support",
            "v_people",
            &["people"],
            "select group_concat(`c`.`email` separator ',') AS `people` from `support`.`customers` `c`",
            &[10],
        ),
        view_of(
            34,
            "archive",
            "products",
            &["id", "sku", "name"],
            "select `support`.`customers`.`id` AS `id`,`support`.`customers`.`email` AS `sku`,`support`.`customers`.`Name` AS `name` from `support`.`customers`",
            &[10],
        ),
        view_of(
            35,
            "support",
            "v_joined",
            &["email", "pan"],
            "select `c`.`email` AS `email`,`k`.`pan` AS `pan` from (`support`.`customers` `c` join `billing`.`cards` `k` on((`k`.`customer_id` = `c`.`id`)))",
            &[10, 12],
        ),
        view_of(
            37,
            "support",
            "v_unseen",
            &[],
            "select `support`.`products`.`id` AS `id`,`support`.`f_mail`(`support`.`products`.`id`) AS `sku` from `support`.`products`",
            &[14],
        ),
        view_of(36, "support", "v_odd", &["a"], "select something `not` SQL from", &[12]),
    ];
    let functions = vec![
        routine("f_mail", "RETURN (SELECT email FROM customers WHERE id = i)"),
        routine("f_blob", "RETURN (SELECT json_arrayagg(email) FROM customers WHERE id <= n)"),
        routine("f_plain", "RETURN concat(x, '!')"),
        routine("p_all", "SELECT * FROM customers"),
        routine("p_count", "SELECT count(*) FROM tickets WHERE customer_id = cid"),
        routine(
            "p_range",
            "BEGIN SET @q = concat('SELECT id, email FROM cust','omers'); PREPARE s FROM @q; EXECUTE s; END",
        ),
        routine(
            "p_loop",
            "BEGIN DECLARE i INT DEFAULT 1; WHILE i <= n DO SELECT phone FROM customers WHERE id = i; SET i = i + 1; END WHILE; END",
        ),
        routine("p_outer", "CALL p_all()"),
        routine("p_write", "INSERT INTO notes SELECT id, email FROM customers"),
        Function { body: None, ..routine("p_hidden", "") },
        Function { language: "JAVASCRIPT".into(), ..routine("f_js", "return 1") },
        routine(
            "f_gather",
            "BEGIN DECLARE r TEXT DEFAULT ''; DECLARE i INT DEFAULT 0; WHILE i < n DO SET i = i + 1; SET r = concat(r, (SELECT email FROM customers WHERE id = i)); END WHILE; RETURN r; END",
        ),
        routine(
            "f_rank",
            "BEGIN DECLARE n INT; SELECT count(*) INTO n FROM customers; IF n > 3 THEN RETURN 1; END IF; RETURN 2; END",
        ),
        routine(
            "p_out",
            "BEGIN DECLARE d INT DEFAULT 0; DECLARE e VARCHAR(80); DECLARE c CURSOR FOR SELECT phone FROM customers; DECLARE CONTINUE HANDLER FOR NOT FOUND SET d = 1; OPEN c; l: LOOP FETCH c INTO e; IF d THEN LEAVE l; END IF; SET res = concat(res, e); END LOOP; CLOSE c; END",
        ),
        routine(
            "f_list",
            "BEGIN DECLARE r TEXT DEFAULT ''; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN r; LOOP FETCH GROUP NEXT ROW; SET r = concat(r, x); END LOOP; END",
        ),
        routine("p_quoted", "SELECT \"email\" INTO res FROM customers"),
        Function {
            sql_mode: Some("PIPES_AS_CONCAT,ANSI_QUOTES,ORACLE".into()),
            ..routine("p_oracle", "AS BEGIN p_all; END")
        },
        Function {
            sql_mode: Some("ORACLE".into()),
            ..routine("pk", "AS FUNCTION f RETURN TEXT AS BEGIN RETURN (SELECT min(email) FROM customers); END; END")
        },
    ];
    let fires = |on, event, name, body| Trigger { on, event, program: routine(name, body) };
    let triggers = vec![
        fires(
            16,
            TriggerEvent::Insert,
            "t_report",
            "INSERT INTO order_lines SELECT NEW.code, id, email FROM customers WHERE id < NEW.meaning",
        ),
        fires(
            15,
            TriggerEvent::Insert,
            "t_fill",
            "BEGIN SET NEW.sku = (SELECT min(pan) FROM billing.cards WHERE id = NEW.line_id); END",
        ),
        fires(14, TriggerEvent::Update, "t_keep", "INSERT INTO history (email) VALUES (concat(OLD.sku, OLD.id))"),
        fires(
            14,
            TriggerEvent::Delete,
            "t_check",
            "IF OLD.id IN (SELECT customer_id FROM tickets) THEN SIGNAL SQLSTATE '45000'; END IF",
        ),
    ];
    Catalog::new(Engine::Mysql, "", 1, relations, functions).with_triggers(triggers)
}

pub(super) fn analysed(sql: &str, lex: LexSettings, database: &[&str], temporary: &[&str]) -> Analysis {
    let catalog = catalog();
    let path: Vec<String> = database.iter().map(|name| (*name).to_owned()).collect();
    let temporary: Vec<String> = temporary.iter().map(|name| (*name).to_owned()).collect();
    let context = Context { lex, catalog: &catalog, search_path: &path, temporary: &temporary };
    analyse(sql.as_bytes(), &context)
}

/// A statement of the table; `[mysql]` before it: on a MySQL 9.7.
pub(super) fn plain(sql: &str) -> Analysis {
    match sql.strip_prefix("[mysql] ") {
        Some(sql) => analysed(sql, LexSettings::of(Engine::Mysql), &["support"], &[]),
        None => analysed(sql, MARIADB, &["support"], &[]),
    }
}

/// Every statement of the table with what is expected of it.
pub(super) fn table() -> Vec<(String, &'static str)> {
    let lines: Vec<&str> = include_str!("statements_mysql.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    lines.chunks(2).map(|pair| (pair[0].replace("\\n", "\n"), pair[1].trim())).collect()
}

pub(super) fn said(analysis: &Analysis) -> String {
    words(analysis).replace("support.", "")
}

#[test]
fn statements_mean_what_the_table_says() {
    let mut wrong = String::new();
    for (sql, expected) in table() {
        let got = said(&plain(&sql));
        if got != expected {
            writeln!(wrong, "{sql}\n    {got}\n  expected\n    {expected}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(table().len() >= 200);
}

fn check_in(database: &[&str], temporary: &[&str], sql: &str, expected: &str) {
    assert_eq!(said(&analysed(sql, MARIADB, database, temporary)), expected, "{sql}");
}

#[test]
fn the_current_database_decides_which_relation_is_meant() {
    check_in(&["archive"], &[], "select * from customers", "select full · read archive.customers{id,month,plan}");
    check_in(
        &["archive"],
        &[],
        "select sku from products",
        "select full · read archive.products{sku} · read customers{email} via archive.products (Catalog)",
    );
    check_in(&["billing"], &[], "select pan from cards", "select full · read billing.cards{pan}");
    check_in(&[], &[], "select pan from billing.cards", "select full · read billing.cards{pan}");
    check_in(&[], &[], "select pan from cards", "select partial · read unknown cards{*} · ?unknown-relation cards");
    // A routine's names are looked up in its own database, a view's are written in full.
    check_in(
        &["archive"],
        &[],
        "call support.p_all()",
        "call full · read customers{Name,email,id,phone} via p_all (Catalog)",
    );
    check_in(
        &["archive"],
        &[],
        "select mail from support.v_contacts",
        "select full · read v_contacts{mail} · read customers{email} via v_contacts (Catalog)",
    );
}

#[test]
fn a_temporary_table_shadows_one_of_its_database() {
    check_in(&["support"], &["customers"], "select * from customers", "select full");
    check_in(&["support"], &["customers"], "select * from support.customers", "select full");
    check_in(
        &["support"],
        &["customers"],
        "select plan from archive.customers",
        "select full · read archive.customers{plan}",
    );
    // Its spelling is its own where the server minds it.
    check_in(&["support"], &["customers"], "select email from Customers", "select full · read customers{email}");
    check_in(
        &["support"],
        &["customers"],
        "load data infile 'x' into table customers",
        "copy opaque · ?dynamic-sql load data",
    );
    check_in(
        &["support"],
        &["customers"],
        "select who from v_contacts",
        "select full · read v_contacts{who} · read customers{Name} via v_contacts (Catalog)",
    );
}

#[test]
fn sql_mode_decides_what_a_double_quote_holds() {
    let ansi = LexSettings::Mysql(MysqlLex {
        mariadb: true,
        version: 101_119,
        ansi_quotes: true,
        no_backslash_escapes: false,
        utf8: true,
    });
    let sql = "select \"email\" from \"customers\"";
    assert_eq!(said(&analysed(sql, ansi, &["support"], &[])), "select full · read customers{email}");
    let sql = "select \"email\" from customers";
    assert_eq!(said(&plain(sql)), "select full · read customers");
}

#[test]
fn words_that_change_prepared_names_are_noticed() {
    for sql in [
        "prepare a from 'select 1'",
        "select 1; deallocate prepare a",
        "execute a",
        "call p_range(1, 2)",
        "prepare a from @q",
    ] {
        assert!(plain(sql).touches_names, "{sql}");
    }
    for sql in ["select 1", "select `execute` from notes", "select sku from products where name = 'do it'"] {
        assert!(!plain(sql).touches_names, "{sql}");
    }
}

#[test]
fn the_redacted_text_holds_no_literal() {
    for sql in [
        "select email from customers where id = 4711 and name = 'Secret'",
        "select /*!50000 'Secret' */, 0x4711, x'4711', _utf8mb4'Secret', \"Secret\"",
        "insert into notes values (4711, 'Sec\\'ret')",
    ] {
        let redacted = plain(sql).redacted;
        assert!(!redacted.contains("4711") && !redacted.to_lowercase().contains("secret"), "{redacted}");
    }
}

#[test]
fn each_aggregate_of_a_group_may_be_of_another_row() {
    let reads = |sql: &str| plain(sql).statements[0].uses.last().unwrap().reads;
    assert_eq!(
        reads("select max(if(id = 1, email, null)), max(if(id = 2, email, null)), min(email) from customers"),
        3
    );
    assert_eq!(reads("select max(email) from customers group by Name"), 1);
    assert_eq!(reads("select max(email), max(phone) from customers group by Name"), 2);
    assert_eq!(reads("select c.id, max(c.email), max(c.phone) from customers c group by c.id"), 1, "of one row each");
    assert_eq!(reads("select count(*), max(email), sum(id) from customers"), 1, "what sums up holds nobody's value");
    assert_eq!(reads("select max(mail), min(who) from v_contacts group by id"), 1);
}

#[test]
fn what_a_trigger_keeps_of_a_row_is_a_copy_of_it() {
    let copies = |sql: &str| -> Vec<String> {
        let analysis = plain(sql);
        let copies = analysis.statements[0].copies.iter();
        let each = |copy: &crate::copies::CopyOf| {
            let columns = copy.columns.iter().map(|column| {
                let name = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or("*").to_owned();
                format!(
                    "{}.{} into {}.{}",
                    column.source.name,
                    name(&column.of),
                    copy.target.name,
                    name(&column.column)
                )
            });
            columns.collect::<Vec<_>>()
        };
        copies.flat_map(each).collect()
    };
    assert_eq!(
        copies("update products set price = 2 where id = 3"),
        ["products.id into history.email", "products.sku into history.email"]
    );
    assert_eq!(copies("insert into products (id) values (3)"), [""; 0], "nothing is set off");
}
