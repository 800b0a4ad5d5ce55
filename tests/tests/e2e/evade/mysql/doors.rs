//! Ways out besides rows: what MySQL and MariaDB say in errors.

use std::time::Duration;

use weir_tests::audit;
use weir_tests::engine::Engine;
use weir_tests::mysql::raw::Raw;
use weir_tests::mysql::server::MySql;
use weir_tests::policies::Budgeted;
use weir_tests::process::run;
use weir_tests::target::Target;
use weir_tests::tools::{self, point_mysql};
use weir_tests::weir::WeirOptions;

use super::Step::{Each, Say};
use super::{Evasion, On, check};

/// An error names the address, which no row would.
const COMPARED: &str = "select count(*) from articles where \
    extractvalue(1, concat('~', (select email from customers where id = {}))) is null";

const ERRORS: &[Evasion] = &[
    ("an XPath that is none, of a column that is only compared", On::Both, &[Each(COMPARED)]),
    ("a UUID that is none", On::MySql9, &[Each("select uuid_to_bin((select email from customers where id = {}))")]),
    (
        "a signal",
        On::MariaDb,
        &[Each(
            "begin not atomic declare e varchar(80); select email into e from customers where id = {}; \
             signal sqlstate '45000' set message_text = e; end",
        )],
    ),
    (
        "a number that is none",
        On::Both,
        &[
            Say("create database OWN"),
            Say("create table OWN.t (n int)"),
            Each("insert into OWN.t values ((select email from customers where id = {}))"),
        ],
    ),
    (
        "a key that is taken",
        On::Both,
        &[
            Say("create database OWN"),
            Say("create table OWN.k (e varchar(80) primary key)"),
            Each("insert into OWN.k select email from customers where id = {}"),
            Each("insert into OWN.k select email from customers where id = {}"),
        ],
    ),
];

#[test]
fn errors_are_reads() {
    check(ERRORS);
}

/// Whoever may read gets the server's own words; whoever may not read on gets others under the same number, and goes on.
#[test]
fn a_withheld_error_has_the_servers_number() {
    let server = MySql::shared();
    let options = WeirOptions::policy(Budgeted::hourly(3).on(Engine::MySql).yaml());
    let front = Target::front(server, &options);
    let mut direct = Raw::login(server.address(), "alice", "support");
    let mut through = Raw::login(front.address(), "alice", "support");
    // Misspelt, and nothing of any row in it: the server's own words, whoever reads them.
    for sql in [
        "select emial from customers",
        "select email form customers",
        "select email, count(*) from customers where (select 1 union select 2) = 1",
    ] {
        let (own, shown) = (direct.query(sql).error(), through.query(sql).error());
        assert_eq!((own.code, &own.message), (shown.code, &shown.message), "{sql}");
    }
    // Under a budget the first messages are the server's, then others.
    let sql = |id: u32| COMPARED.replace("{}", &id.to_string());
    let mut kept = 0;
    for id in 1..=6 {
        let (own, shown) = (direct.query(&sql(id)).error(), through.query(&sql(id)).error());
        assert!(own.message.contains('@'), "{own:?}");
        if own.code == shown.code && own.message != shown.message {
            assert!(!shown.message.contains('@') && shown.message.contains("withheld"), "{shown:?}");
        }
        kept += u32::from(shown.message.contains('@'));
        assert_eq!(through.query("select 'usable'").fine().column(), ["usable"]);
    }
    assert!(kept <= 3, "{kept} messages");
    let events = front.weir().audit_events();
    let misspelt =
        audit::of_kind(&events, "completion").into_iter().filter(|event| event["detail"]["sqlstate"] == "42S22");
    assert!(misspelt.clone().all(|event| event["detail"].get("doors").is_none()), "{events:?}");
}

#[test]
fn pymysql_survives_a_withheld_error() {
    let options = WeirOptions::policy(Budgeted::hourly(3).on(Engine::MySql).yaml());
    let front = Target::front(MySql::shared(), &options);
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/withheld_pymysql.py"));
    point_mysql(&mut python, front.address(), "alice", "support");
    let output = run(&mut python, b"", Duration::from_secs(120)).ok();
    assert_eq!(output.trim(), "own withheld 6 usable");
}
