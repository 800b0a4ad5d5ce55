//! What the drivers' own paging makes of a cut.

use std::process::Command;
use std::time::Duration;

use weir_tests::audit::released;
use weir_tests::engine::Engine;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::{Budgeted, DENIED};
use weir_tests::process::run;
use weir_tests::tools::{self, point, point_mysql};

use super::desk;

fn check(command: Command) {
    check_on(Engine::Postgres, command, &format!("received 500 {DENIED} usable"));
}

/// Runs a program that reads until it is cut and prints `received N CODE usable`.
fn check_on(engine: Engine, mut command: Command, expected: &str) {
    let desk = desk(engine, &Budgeted::hourly(500));
    for account in ["alice", "bob"] {
        // The same person's second run reads the same customers again, and not one more.
        for _ in 0..2 {
            match engine {
                Engine::Postgres => point(&mut command, desk.address(), account, "support"),
                Engine::MySql => point_mysql(&mut command, desk.address(), account, "support"),
            }
            let output = run(&mut command, b"", Duration::from_secs(120)).ok();
            let last = output.lines().last().unwrap_or_default();
            assert_eq!(last, expected, "{account}: {output}");
        }
        assert_eq!(released(desk.weir(), account).records, 500);
    }
}

#[test]
fn psycopg_server_cursor() {
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/cut_psycopg.py"));
    check(python);
}

#[test]
fn asyncpg_cursor() {
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/cut_asyncpg.py"));
    check(python);
}

#[test]
fn jdbc_fetch_size() {
    let mut java = tools::java();
    java.arg(tools::test_file("drivers/CutJdbc.java"));
    check(java);
}

#[test]
fn node_cursor() {
    let mut node = tools::node();
    node.arg(tools::test_file("drivers/cut_node.js"));
    check(node);
}

/// How MySQL's drivers tell of the cut: by number and SQLSTATE where they know both.
const CUT: &str = "received 500 1142 42000 usable";

#[test]
fn mysql_pymysql_stream() {
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/cut_pymysql.py"));
    check_on(Engine::MySql, python, "received 500 1142 usable");
}

#[test]
fn mysql_connector_python_in_pieces() {
    // It cannot seal a password: whoever logs in must be known to the server.
    for account in ["alice", "bob"] {
        weir_tests::mysql::raw::Raw::login(MySql::shared().address(), account, "support").goodbye();
    }
    let mut python = tools::python();
    python.arg(tools::test_file("drivers/cut_connector.py"));
    // It reads a row ahead, and forgets that one when an error comes instead of the next.
    check_on(Engine::MySql, python, "received 499 1142 42000 usable");
}

#[test]
fn mysql_mysql2_stream() {
    let mut node = tools::node();
    node.arg(tools::test_file("drivers/cut_mysql2.js"));
    check_on(Engine::MySql, node, CUT);
}

#[test]
fn mysql_mysqljs_stream() {
    // It knows no plugin of MySQL 9.
    if MySql::shared().flavour() == Flavour::MariaDb {
        let mut node = tools::node();
        node.arg(tools::test_file("drivers/cut_mysqljs.js"));
        check_on(Engine::MySql, node, "received 500 1142 usable");
    }
}

#[test]
fn mysql_connector_j_fetch_size() {
    let mut java = tools::java_mariadb();
    java.arg(tools::test_file("drivers/CutMariaDb.java"));
    check_on(Engine::MySql, java, CUT);
}
