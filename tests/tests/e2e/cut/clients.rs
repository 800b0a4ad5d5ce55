//! What the drivers' own paging makes of a cut.

use std::process::Command;
use std::time::Duration;

use weir_tests::audit::released;
use weir_tests::policies::{Budgeted, DENIED};
use weir_tests::process::run;
use weir_tests::tools::{self, point};

use super::desk;

/// Runs a program that reads until it is cut and prints `received N SQLSTATE usable`.
fn check(mut command: Command) {
    let desk = desk(&Budgeted::hourly(500));
    for account in ["alice", "bob"] {
        // The same person's second run reads the same customers again, and not one more.
        for _ in 0..2 {
            point(&mut command, desk.address(), account, "support");
            let output = run(&mut command, b"", Duration::from_secs(120)).ok();
            let last = output.lines().last().unwrap_or_default();
            assert_eq!(last, format!("received 500 {DENIED} usable"), "{account}: {output}");
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
