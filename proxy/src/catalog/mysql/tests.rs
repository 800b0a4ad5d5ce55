//! The loader against a real MariaDB, or MySQL 9 with `WEIR_TEST_MYSQL=mysql9`. `WEIR_TEST_PYTHON` is set where
//! `tests/setup.sh` has run; there a missing server is a failure, elsewhere it is said and the tests have nothing to say.

mod logins;
mod programs;
mod rogue;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_policy::catalog::{Relation, RelationKind, Resolution};
use weir_policy::relation::{Engine, RelationName};
use weir_tests::fixture;
use weir_tests::mysql::raw::Raw;
use weir_tests::mysql::server::{Flavour, MySql};

use crate::catalog::tests::{Read, catalogs_of, find, until, wait};
use crate::catalog::{CatalogView, Freshness};

/// The account of the fixture that Weir reads with.
const ACCOUNT: &str = fixture::CATALOG_ACCOUNT;

/// The shared server; `None` where there is none to run.
pub(crate) fn server() -> Option<&'static MySql> {
    let chosen = std::env::var_os("WEIR_TEST_PYTHON").is_some() || std::env::var_os("WEIR_TEST_MYSQL").is_some();
    if !chosen && !Path::new("/usr/sbin/mariadbd").exists() {
        let _ = std::io::stderr().write_all(b"SKIPPED: no MariaDB on this machine; run tests/setup.sh\n");
        return None;
    }
    Some(MySql::shared())
}

fn catalogs(mysql: &MySql, user: &str, refresh_secs: u64) -> Read {
    catalogs_of("mysql", mysql.address(), user, fixture::PASSWORD, refresh_secs, "tls = 'off'")
}

/// How an account of the fixture's password is made.
fn keeps(mysql: &MySql) -> String {
    match mysql.flavour() {
        Flavour::MariaDb => format!("identified via mysql_native_password using password('{}')", fixture::PASSWORD),
        Flavour::MySql9 => format!("identified with caching_sha2_password by '{}'", fixture::PASSWORD),
    }
}

/// The names that a relation depends on.
fn depends(view: &CatalogView, of: &Relation) -> Vec<String> {
    let name = |(oid, column): &(u32, i16)| {
        assert_eq!(*column, 0);
        view.catalog.by_oid(*oid).unwrap().id.to_string()
    };
    let mut names: Vec<String> = of.depends.iter().map(name).collect();
    names.sort();
    names
}

fn columns(relation: &Relation) -> Vec<&str> {
    relation.columns.iter().map(|column| &*column.name).collect()
}

#[test]
fn everything_that_verdicts_need_is_read_of_every_database() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("whole");
    let other = mysql.database("whole");
    mysql.script(
        &db,
        &format!(
            "create table `Odd``Name` (a int, b text, c int not null, d int not null, primary key (d, a));
             create table keyless (a int, b int not null, c int not null, unique z (a), unique y (b, c), unique x (c));
             create table prefixed (a varchar(20) not null, unique (a(3)));
             create table nothing (a int);
             create view on_table as select id, email as mail from customers;
             create view on_view as select v.mail, o.a from on_table v, `Odd``Name` `o`;
             create view across as select t.id from {other}.customers t where exists (select 1 from {db}.articles);
             create view with_cte as with c as (select id from orders) select c.id, '`{db}`.`tickets`' as x from c;
             create view united as select id from tickets union select id from (select id from articles) d;
             create view calling as select email_of(1) as mail;
             create function `Odd Function`(a int) returns int deterministic return a + 1"
        ),
    );
    let catalogs = catalogs(mysql, ACCOUNT, 30);
    let started = Instant::now();
    let view = wait(catalogs.snapshot("db", &db));
    // Takes half a second in a debug build; the bound is for a question that somebody makes quadratic.
    assert!(started.elapsed() < Duration::from_secs(10), "the first load took {:?}", started.elapsed());
    assert_eq!(view.state, Freshness::Fresh);
    assert_eq!((view.catalog.engine(), &**view.catalog.database()), (Engine::Mysql, ""));
    let again = wait(catalogs.snapshot("db", &other));
    assert!(Arc::ptr_eq(&again.catalog, &view.catalog), "one snapshot for the server");
    let get = |name: &str| find(&view, &format!("{db}.{name}")).unwrap_or_else(|| panic!("{name} is missing"));

    let customers = get("customers");
    assert_eq!((customers.kind, &*customers.key), (RelationKind::Table, &[1][..]));
    assert_eq!((customers.id.engine, &*customers.id.database, &*customers.id.schema), (Engine::Mysql, "", &*db));
    assert_eq!(columns(customers), ["id", "name", "email", "phone", "language", "vip", "balance", "created_at"]);
    let types: Vec<u32> = customers.columns.iter().map(|column| column.type_oid).collect();
    assert_eq!(types, [3, 253, 253, 253, 254, 1, 246, 12]);
    let estimate = customers.rows_estimate;
    assert!((fixture::CUSTOMERS / 2..fixture::CUSTOMERS * 2).contains(&estimate), "{estimate}");
    assert!((30..400).contains(&customers.row_bytes_mean), "{}", customers.row_bytes_mean);
    assert_eq!(view.catalog.by_oid(customers.oid).unwrap().id, customers.id);
    assert_ne!(customers.oid, find(&view, &format!("{other}.customers")).unwrap().oid);
    assert_eq!(find(&view, &format!("{other}.customers")).unwrap().key, [1]);
    assert!(find(&view, "billing.cards").is_some());

    assert_eq!(get("Odd`Name").key, [4, 1]);
    assert_eq!(get("keyless").key, [3], "the shortest unique key without NULLs");
    assert!(get("prefixed").key.is_empty() && get("nothing").key.is_empty());
    assert_eq!(get("nothing").rows_estimate, 1, "known to be empty, which is not unknown");
    let log = get("contact_log");
    assert_eq!((log.kind, &*log.key), (RelationKind::Table, &[1, 4][..]), "partitions are one relation");
    assert!((800..3500).contains(&log.rows_estimate), "{}", log.rows_estimate);

    for (name, reads) in [
        ("on_table", vec![format!("{db}.customers")]),
        ("on_view", vec![format!("{db}.Odd`Name"), format!("{db}.on_table")]),
        ("across", vec![format!("{db}.articles"), format!("{other}.customers")]),
        ("with_cte", vec![format!("{db}.orders")]),
        ("united", vec![format!("{db}.articles"), format!("{db}.tickets")]),
        // MySQL also lists what a function reads that a view calls.
        ("calling", if mysql.flavour() == Flavour::MySql9 { vec![format!("{db}.customers")] } else { vec![] }),
    ] {
        let relation = get(name);
        assert_eq!(relation.kind, RelationKind::View);
        assert_eq!(depends(&view, relation), reads, "{name}: {:?}", relation.definition);
        assert!(relation.definition.is_some(), "{name}");
        assert_eq!(relation.rows_estimate, 0, "a view holds none");
    }
    assert_eq!(columns(get("on_view")), ["mail", "a"]);

    let own = |name: &str| {
        let all = view.catalog.functions(name).iter();
        all.filter(|function| *function.schema == *db).cloned().collect::<Vec<_>>()
    };
    let [dynamic] = &own("dynamic_emails")[..] else { panic!("one procedure") };
    assert_eq!((&*dynamic.language, dynamic.from_extension), ("sql", false));
    assert!(dynamic.body.as_deref().unwrap().contains("prepare s from @text"), "{dynamic:?}");
    assert!(own("email_of")[0].body.as_deref().unwrap().contains("customers"));
    assert_eq!(own("odd function").len(), 1);
    assert!(view.catalog.functions("lower").is_empty(), "the server's own");

    for shipped in ["mysql.db", "information_schema.TABLES", "information_schema.columns", "performance_schema.threads"]
    {
        let relation = find(&view, shipped).unwrap_or_else(|| panic!("{shipped} is missing"));
        assert_eq!((relation.rows_estimate, relation.kind), (0, RelationKind::Table), "{shipped}");
        assert!(!relation.columns.is_empty(), "{shipped}");
    }
    let sys = find(&view, "sys.schema_auto_increment_columns").unwrap();
    assert!(depends(&view, sys).iter().any(|name| name.eq_ignore_ascii_case("information_schema.columns")));
    let unread: Vec<String> = view
        .catalog
        .relations()
        .iter()
        .filter(|relation| relation.kind == RelationKind::View && relation.definition.is_none())
        .map(|relation| relation.id.to_string())
        .collect();
    assert!(unread.is_empty(), "with the right to them every view is read: {unread:?}");
}

#[test]
fn names_are_compared_as_the_strictest_server_does() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("cased");
    mysql.script(&db, "create table Mixed (Id int primary key, eMail text); create table mixed (a int)");
    let view = wait(catalogs(mysql, ACCOUNT, 30).snapshot("db", &db));
    let resolve = |schema: Option<&str>, name: &str, path: &[&str]| {
        let name = RelationName { schema: schema.map(str::to_owned), name: name.to_owned() };
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        match view.catalog.resolve(&name, &path) {
            Resolution::Found(relation) => Some(relation.id.name.to_string()),
            Resolution::Missing => None,
        }
    };
    assert_eq!(resolve(Some(&db), "Mixed", &[]).as_deref(), Some("Mixed"), "exactly first");
    assert_eq!(resolve(Some(&db), "mixed", &[]).as_deref(), Some("mixed"));
    assert!(resolve(Some(&db), "MIXED", &[]).is_some(), "one of them");
    assert_eq!(resolve(Some(&db.to_uppercase()), "CUSTOMERS", &[]).as_deref(), Some("customers"));
    assert_eq!(resolve(None, "Customers", &[&db.to_uppercase()]).as_deref(), Some("customers"));
    assert_eq!(resolve(None, "customers", &[]), None, "without a database nothing is meant");
    assert!(view.catalog.has_name("CUSTOMERS") && !view.catalog.has_name("no_such_name"));
}

#[test]
fn what_only_one_of_the_servers_has_is_read_too() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("special");
    mysql.script(
        &db,
        "create table part_one (a int) engine=myisam; create table part_two (a int) engine=myisam;
         create table together (a int) engine=merge union=(part_one, part_two);
         create table hidden (a int invisible, b int not null, c int);",
    );
    if mysql.flavour() == Flavour::MariaDb {
        mysql.script(
            &db,
            "create sequence numbers; create view counting as select nextval(numbers) as n, c from hidden;
             create table history (id int primary key, e text) with system versioning;
             set session sql_quote_show_create = 0; create view bare as select customers.id from customers;
             set session sql_mode = concat(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES');
             create view ansi as select id, 'x\\' as \"a`b\", 'from `mysql`.`user`' as y from \"articles\"",
        );
    } else {
        mysql.script(
            &db,
            "create table computed (a text, v json, id int generated always as (length(a)) virtual);
             set session sql_mode = concat(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES');
             create view ansi as select id, 'x\\' as \"a`b\", 'from `mysql`.`user`' as y from \"articles\"",
        );
    }
    let view = wait(catalogs(mysql, ACCOUNT, 30).snapshot("db", &db));
    let get = |name: &str| find(&view, &format!("{db}.{name}")).unwrap_or_else(|| panic!("{name} is missing"));
    let merge = get("together");
    assert_eq!(merge.kind, RelationKind::View, "what it shows is in others");
    assert_eq!(depends(&view, merge), [format!("{db}.part_one"), format!("{db}.part_two")]);
    let hidden = get("hidden");
    assert_eq!(columns(hidden), ["b", "c", "a"], "what `*` leaves out stands last");
    assert_eq!(hidden.columns.iter().map(|column| column.number).collect::<Vec<_>>(), [2, 3, 1]);
    assert_eq!(depends(&view, get("ansi")), [format!("{db}.articles")], "{:?}", get("ansi").definition);
    if mysql.flavour() == Flavour::MariaDb {
        assert_eq!(get("numbers").kind, RelationKind::Other);
        assert_eq!(depends(&view, get("counting")), [format!("{db}.hidden"), format!("{db}.numbers")]);
        assert_eq!((get("history").kind, &*get("history").key), (RelationKind::Table, &[1][..]));
        assert_eq!(depends(&view, get("bare")), [format!("{db}.customers")], "{:?}", get("bare").definition);
    }
}

#[test]
fn a_view_of_which_not_all_is_seen_is_unread() {
    let Some(mysql) = server() else { return };
    let (db, other) = (mysql.database("partly"), mysql.database("partly"));
    let keeps = keeps(mysql);
    mysql.script(
        &db,
        &format!(
            "create view seen as select id from customers;
             create view half as select c.id from customers c join {other}.articles a on a.id = c.id;
             create view closed as select id from customers"
        ),
    );
    mysql.script(
        "",
        &format!(
            "create user reader_{db}@'%' {keeps}; grant references, show view on {db}.* to reader_{db}@'%';
             grant select on {db}.seen to reader_{db}@'%'; grant select on {db}.half to reader_{db}@'%'"
        ),
    );
    let view = wait(catalogs(mysql, &format!("reader_{db}"), 30).snapshot("db", &db));
    assert_eq!(view.state, Freshness::Fresh);
    let get = |name: &str| find(&view, &format!("{db}.{name}")).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(depends(&view, get("seen")), [format!("{db}.customers")]);
    for name in ["half", "closed"] {
        let relation = get(name);
        assert_eq!((relation.kind, &relation.definition, &*relation.depends), (RelationKind::View, &None, &[][..]));
        assert_eq!(columns(relation), ["id"]);
    }
    assert_eq!(get("customers").key, [1], "without a right to a row");
    assert!(find(&view, &format!("{other}.articles")).is_none(), "unknown, where the account has no right");
}

#[test]
fn an_idle_refresh_makes_no_new_version_and_a_change_does() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("refresh");
    let catalogs = catalogs(mysql, ACCOUNT, 1);
    // Other tests change the server at the same time, so what is compared is what is in this database.
    let own = |view: &CatalogView| {
        let relations = view.catalog.relations().iter().filter(|relation| *relation.id.schema == *db);
        let functions = ["twice"].into_iter().flat_map(|name| view.catalog.functions(name));
        let functions = functions.filter(|function| *function.schema == *db).map(|function| function.body.clone());
        format!(
            "{:?} {:?}",
            relations
                .map(|relation| (
                    relation.id.to_string(),
                    relation.kind,
                    format!("{:?}", relation.columns),
                    relation.key.clone(),
                    relation.definition.clone()
                ))
                .collect::<Vec<_>>(),
            functions.collect::<Vec<_>>()
        )
    };
    let first = wait(catalogs.snapshot("db", &db));
    let oid = find(&first, &format!("{db}.customers")).unwrap().oid;
    for change in [
        "create table later (a int)",
        "alter table later rename to afterwards",
        "create view seen as select email from customers",
        "create or replace view seen as select name as email from customers",
        "alter table afterwards add column b text",
        "alter table afterwards modify column b int not null",
        "alter table afterwards add unique (b)",
        "alter table afterwards add primary key (a)",
        "create function twice(a int) returns int deterministic return a * 2",
        "drop function twice",
        "alter table afterwards drop column b",
        "drop table afterwards",
    ] {
        let before = wait(catalogs.snapshot("db", &db));
        mysql.script(&db, change);
        let view = until(&catalogs, &db, |view| own(view) != own(&before));
        assert_ne!(view.catalog.version(), before.catalog.version(), "{change}");
        assert_eq!(find(&view, &format!("{db}.customers")).unwrap().oid, oid, "a relation keeps its number");
    }
}

#[test]
fn without_a_change_the_snapshot_stays_the_same() {
    if server().is_none() {
        return;
    }
    // One of its own: others change the shared one.
    let mysql = MySql::start();
    let catalogs = catalogs(&mysql, ACCOUNT, 30);
    let first = wait(catalogs.snapshot("db", "support"));
    mysql.script("support", "create temporary table passing (x int); insert into articles values (9999, '', '', null)");
    // InnoDB counts anew some seconds after much was written, and the fixture is that.
    let mut last = wait(catalogs.renew("db", "support"));
    weir_tests::wait::until_true("two snapshots alike", Duration::from_secs(60), || {
        let renewed = wait(catalogs.renew("db", "support"));
        let before = std::mem::replace(&mut last, renewed);
        Arc::ptr_eq(&last.catalog, &before.catalog)
    });
    let renewed = wait(catalogs.renew("db", "support"));
    assert_eq!(renewed.catalog.relations().len(), first.catalog.relations().len());
    assert!(!renewed.catalog.has_name("passing"), "temporary relations are their sessions'");
    let facts = first.mysql().unwrap();
    assert_eq!(facts.mariadb, mysql.flavour() == Flavour::MariaDb);
    assert!(!facts.has_init_connect && facts.lower_case_table_names == 0, "{facts:?}");
    assert_eq!(facts.character_set_client, "utf8mb4");
    let said = mysql.value("", "select @@version");
    let numbers: Vec<u32> =
        said.split(|letter: char| !letter.is_ascii_digit()).take(3).map(|digits| digits.parse().unwrap()).collect();
    assert_eq!(facts.version, numbers[0] * 10_000 + numbers[1] * 100 + numbers[2], "{said}");
    assert_eq!(facts.sql_mode, mysql.value("", "select @@global.sql_mode"));

    mysql.script("", "set global sql_mode = 'ANSI_QUOTES', global init_connect = 'select 1'");
    let changed = wait(catalogs.renew("db", "support"));
    let facts = changed.mysql().unwrap();
    assert_eq!((facts.sql_mode.as_str(), facts.has_init_connect), ("ANSI_QUOTES", true));
    mysql.script("support", &format!("insert into articles select id + 10000, title, body, null from articles where id < {}; \
                                      insert into articles select id + 20000, title, body, null from articles; analyze table articles", 500));
    let grown = wait(catalogs.renew("db", "support"));
    assert_ne!(grown.catalog.version(), changed.catalog.version(), "estimates that moved far are a change");
}

#[test]
fn a_renewal_sees_what_was_committed_before_it() {
    let Some(mysql) = server() else { return };
    let db = mysql.database("renew");
    let catalogs = catalogs(mysql, ACCOUNT, 60);
    wait(catalogs.snapshot("db", &db));
    // Workers that each change something and must see their own change, while the loads of the others run.
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (catalogs, db) = (&catalogs, &db);
            scope.spawn(move || {
                let mut session = mysql.administrator(db);
                for round in 0..5 {
                    let name = format!("made_{worker}_{round}");
                    session.query(&format!("create table {name} (a int)")).fine();
                    let view = wait(catalogs.renew("db", db));
                    assert_eq!(view.state, Freshness::Fresh);
                    assert!(find(&view, &format!("{db}.{name}")).is_some(), "{name} is not in the renewed snapshot");
                }
            });
        }
    });
}

#[test]
fn what_cannot_be_read_is_stale_and_says_why() {
    let Some(mysql) = server() else { return };
    let wrong = catalogs_of("mysql", mysql.address(), ACCOUNT, "not-the-password", 1, "tls = 'off'");
    let view = wait(wrong.snapshot("db", "support"));
    let Freshness::Stale { reason, .. } = &view.state else { panic!("{:?}", view.state) };
    assert!(reason.contains("error 1045") && reason.contains(&format!("`{ACCOUNT}`")), "{reason}");
    assert_eq!(view.catalog.engine(), Engine::Mysql, "also what is not read is MySQL's");
    assert!(view.catalog.is_unread() && view.mysql().is_none());
    assert_eq!(wrong.unready().len(), 1, "{:?}", wrong.unready());

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let view = wait(catalogs_of("mysql", nobody, ACCOUNT, "", 1, "tls = 'off'").snapshot("db", "support"));
    assert!(
        matches!(&view.state, Freshness::Stale { reason, .. } if reason.contains("cannot be reached")),
        "{:?}",
        view.state
    );
}

#[test]
fn a_running_statement_is_ended_and_its_session_goes_on() {
    let Some(mysql) = server() else { return };
    let catalogs = catalogs(mysql, ACCOUNT, 60);
    let mut sleeper = Raw::login(mysql.address(), "bob", "support");
    let thread: u64 = sleeper.query("select connection_id()").fine().texts()[0][0].parse().unwrap();
    for round in 0..3 {
        let mark = format!("kill_mark_{thread}_{round}");
        let started = Instant::now();
        std::thread::scope(|scope| {
            let slept = scope.spawn(|| sleeper.query(&format!("select sleep(100), '{mark}' from customers limit 1")));
            weir_tests::wait::until_true("the statement to run", weir_tests::wait::SOON, || mysql.running(&mark) == 1);
            wait(catalogs.kill_query("db", thread)).unwrap();
            let reply = slept.join().unwrap();
            // MySQL lets an interrupted sleep return 1; MariaDB ends the statement.
            assert!(reply.texts().iter().all(|row| row[0] != "0"), "{:?}", reply.texts());
        });
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
        // A kill that comes when nothing runs does not reach the next statement.
        wait(catalogs.kill_query("db", thread)).unwrap();
        assert_eq!(sleeper.query("select 1").fine().texts(), [["1"]]);
    }
    sleeper.goodbye();
    wait(catalogs.kill_query("db", thread)).unwrap();
    wait(catalogs.kill_query("db", u64::from(u32::MAX))).unwrap();
    assert!(wait(catalogs.kill_query("elsewhere", 1)).unwrap_err().contains("`elsewhere`"));
}

#[test]
fn a_burst_of_cuts_is_one_login_that_does_not_stay() {
    let Some(mysql) = server() else { return };
    let right = match mysql.flavour() {
        Flavour::MariaDb => "connection admin",
        Flavour::MySql9 => "connection_admin",
    };
    mysql.script("", &format!("create user killer@'%' {}; grant {right} on *.* to killer@'%'", keeps(mysql)));
    let catalogs = catalogs(mysql, "killer", 60);
    let mut session = Raw::login(mysql.address(), "bob", "support");
    let thread: u64 = session.query("select connection_id()").fine().texts()[0][0].parse().unwrap();
    let open = || mysql.value("", "select count(*) from information_schema.processlist where user = 'killer'");
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| wait(catalogs.kill_query("db", thread)).unwrap());
            }
        });
        assert_eq!(open(), "1");
        // One that the server has closed is replaced.
        let id = mysql.value("", "select id from information_schema.processlist where user = 'killer'");
        mysql.script("", &format!("kill {id}"));
    }
    wait(catalogs.kill_query("db", thread)).unwrap();
    weir_tests::wait::until_true("the connection to be closed", Duration::from_secs(30), || open() == "0");
    assert_eq!(session.query("select 1").fine().texts(), [["1"]]);
}

#[test]
fn an_account_that_may_not_end_statements_says_which_right_is_missing() {
    let Some(mysql) = server() else { return };
    let mut session = Raw::login(mysql.address(), "bob", "support");
    let thread: u64 = session.query("select connection_id()").fine().texts()[0][0].parse().unwrap();
    let told = wait(catalogs(mysql, "alice", 60).kill_query("db", thread)).unwrap_err();
    let privilege = match mysql.flavour() {
        Flavour::MariaDb => "GRANT CONNECTION ADMIN ON *.* TO 'alice'",
        Flavour::MySql9 => "GRANT CONNECTION_ADMIN ON *.* TO 'alice'",
    };
    assert!(told.contains(privilege), "{told}");
}
