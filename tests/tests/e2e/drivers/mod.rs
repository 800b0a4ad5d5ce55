//! Real clients through an allow-all Weir. Each prints what it got; the same program against the server itself
//! says what it should have got.

mod mysql;

use std::process::Command;
use std::time::Duration;

use weir_tests::postgres::Postgres;
use weir_tests::process::run;
use weir_tests::target::Target;
use weir_tests::tools::{self, point};
use weir_tests::weir::WeirOptions;

/// Longest that one program may take: a JVM that compiles its source on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Runs a program directly and through Weir, each time on a fresh copy of the fixture under the same name, and
/// demands the same output; returns it.
fn same_both_ways(make: impl Fn() -> Command, input: &[u8]) -> String {
    let postgres = Postgres::shared();
    let database = postgres.database("drivers");
    let weir = Target::front(postgres, &WeirOptions::allow_all());
    let [direct, through] = [postgres.address(), weir.address()].map(|address| {
        let mut command = make();
        point(&mut command, address, "app", &database);
        let output = run(&mut command, input, LIMIT);
        assert_eq!(output.code, 0, "at {address}\nstdout:\n{}\nstderr:\n{}", output.stdout, output.stderr);
        let text = format!("{}\n--- stderr\n{}", output.stdout, output.stderr);
        without_pids(&text)
    });
    assert_same(&direct, &through);
    direct
}

/// psql tells which server process sent a notification: a new one in each run.
fn without_pids(text: &str) -> String {
    let mut parts = text.split("server process with PID ");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean.push_str("server process with PID n");
        clean.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    clean
}

/// Fails with the first lines that differ rather than with both texts.
fn assert_same(direct: &str, through: &str) {
    let pairs = direct.lines().zip(through.lines()).enumerate();
    for (number, (expected, got)) in pairs {
        assert_eq!(got, expected, "line {} through Weir differs from the server's own", number + 1);
    }
    assert_eq!(through.lines().count(), direct.lines().count(), "a different number of lines");
}

#[test]
fn psql_script() {
    let script = std::fs::read(tools::test_file("drivers/psql.sql")).unwrap();
    let output = same_both_ways(
        || {
            let mut psql = tools::client("psql");
            psql.args(["-X", "-a", "-f", "-"]);
            psql
        },
        &script,
    );
    for sign in ["still here", "Asynchronous notification", "rescued by a savepoint", "division by zero", "WARNING"] {
        assert!(output.contains(sign), "no `{sign}` in\n{output}");
    }
}

#[test]
fn psycopg() {
    let output = same_both_ways(
        || {
            let mut python = tools::python();
            python.arg(tools::test_file("drivers/psycopg_day.py"));
            python
        },
        b"",
    );
    assert!(output.contains("all of it"), "{output}");
}

#[test]
fn asyncpg() {
    let output = same_both_ways(
        || {
            let mut python = tools::python();
            python.arg(tools::test_file("drivers/asyncpg_day.py"));
            python
        },
        b"",
    );
    assert!(output.contains("all of it"), "{output}");
}

#[test]
fn node_postgres() {
    let output = same_both_ways(
        || {
            let mut node = tools::node();
            node.arg("--no-deprecation").arg(tools::test_file("drivers/node_day.js"));
            node
        },
        b"",
    );
    assert!(output.contains("all of it"), "{output}");
}

#[test]
fn jdbc() {
    let output = same_both_ways(
        || {
            let mut java = tools::java();
            java.arg(tools::test_file("drivers/JdbcDay.java"));
            java
        },
        b"",
    );
    assert!(output.contains("all of it"), "{output}");
}

#[test]
fn pg_dump_and_restore() {
    let postgres = Postgres::shared();
    let source = postgres.database("dumped");
    let target = format!("{source}_restored");
    postgres.psql("postgres", &format!("create database {target} owner app"));
    let weir = Target::front(postgres, &WeirOptions::allow_all());
    let dump = |address, database: &str, more: &[&str]| {
        let mut pg_dump = tools::client("pg_dump");
        // A fixed key instead of a random one, so that two dumps can be compared.
        pg_dump.arg("--restrict-key=weirtest").args(more);
        point(&mut pg_dump, address, "app", database);
        run(&mut pg_dump, b"", LIMIT).ok()
    };
    let direct = dump(postgres.address(), &source, &[]);
    assert!(direct.contains("COPY public.customers") && direct.lines().count() > 5_000);
    let through = dump(weir.address(), &source, &[]);
    assert_same(&direct, &through);
    assert_same(&dump(postgres.address(), &source, &["--inserts"]), &dump(weir.address(), &source, &["--inserts"]));

    let mut psql = tools::client("psql");
    psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
    point(&mut psql, weir.address(), "app", &target);
    run(&mut psql, through.as_bytes(), LIMIT).ok();
    assert_same(&direct, &dump(postgres.address(), &target, &[]));
}

#[test]
fn pgbench_in_three_modes() {
    let postgres = Postgres::shared();
    let database = postgres.database("pgbench");
    let weir = Target::front(postgres, &WeirOptions::allow_all());
    let bench = |arguments: &[&str]| {
        let mut pgbench = tools::client("pgbench");
        pgbench.args(arguments);
        point(&mut pgbench, weir.address(), "app", &database);
        run(&mut pgbench, b"", LIMIT).ok()
    };
    bench(&["-i", "-q", "-s", "1"]);
    for mode in ["simple", "extended", "prepared"] {
        let report = bench(&["-n", "-M", mode, "-c", "4", "-j", "2", "-t", "50"]);
        assert!(report.contains("number of transactions actually processed: 200/200"), "{mode}:\n{report}");
        assert!(report.contains("number of failed transactions: 0"), "{mode}:\n{report}");
        let report = bench(&["-n", "-M", mode, "-S", "-c", "4", "-j", "2", "-t", "250"]);
        assert!(report.contains("number of transactions actually processed: 1000/1000"), "{mode}:\n{report}");
    }
    let totals = postgres.value(
        &database,
        "select count(*) || ' ' || (sum(delta) = (select sum(abalance) from pgbench_accounts)) from pgbench_history",
    );
    assert_eq!(totals, "600 true");
}
