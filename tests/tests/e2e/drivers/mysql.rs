//! MySQL's clients: each in front of MariaDB or MySQL 9, whichever this run tests with.

use std::net::SocketAddr;
use std::process::Command;

use weir_tests::mysql::raw::Raw;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::process::run;
use weir_tests::target::Target;
use weir_tests::tools::{self, point_mysql};
use weir_tests::weir::WeirOptions;

use super::{LIMIT, assert_same};

/// Whether the configuration names what does not pass by itself: files of the client's, bulk executions.
#[derive(Clone, Copy, PartialEq)]
enum Allowed {
    Yes,
    No,
}

impl Allowed {
    fn options(self) -> WeirOptions {
        let mut options = WeirOptions::allow_all();
        if self == Allowed::Yes {
            options.allow = vec!["local_infile = true".to_owned()];
        }
        options
    }
}

/// Runs a program directly and through Weir, on one copy of the fixture that it leaves as it was, and demands the same
/// output; returns it.
fn same_both_ways(allowed: Allowed, make: impl Fn(SocketAddr, &str) -> Command, input: &[u8]) -> String {
    let server = MySql::shared();
    let database = server.database("drivers");
    // Not every driver can seal a password; a server that has seen an account knows it without.
    for user in ["app", "bob"] {
        Raw::login(server.address(), user, &database).goodbye();
    }
    let weir = Target::front(server, &allowed.options());
    let [direct, through] = [server.address(), weir.address()].map(|address| {
        let mut command = make(address, &database);
        // Sets print in the order of their hashes.
        command.env("PYTHONHASHSEED", "0");
        command.env("ALLOWED", if allowed == Allowed::Yes { "yes" } else { "no" });
        let output = run(&mut command, input, LIMIT);
        assert_eq!(output.code, 0, "at {address}\nstdout:\n{}\nstderr:\n{}", output.stdout, output.stderr);
        format!("{}\n--- stderr\n{}", output.stdout, output.stderr)
    });
    assert_same(&direct, &through);
    direct
}

/// A driver program that reads where to connect from variables.
fn program(allowed: Allowed, make: impl Fn() -> Command) -> String {
    let output = same_both_ways(
        allowed,
        |address, database| {
            let mut command = make();
            point_mysql(&mut command, address, "app", database);
            command
        },
        b"",
    );
    assert!(output.contains("all of it"), "{output}");
    output
}

fn python(mut python: Command, script: &str) -> Command {
    python.arg(tools::test_file(script));
    python
}

fn node(script: &str) -> Command {
    let mut node = tools::node();
    node.arg("--no-deprecation").arg(tools::test_file(script));
    node
}

/// The server's own command-line client.
fn client(program: &str, address: SocketAddr, user: &str, database: &str) -> Command {
    match MySql::shared().flavour() {
        Flavour::MariaDb => tools::mariadb(program, address, user, database),
        Flavour::MySql9 => {
            let program = program.replace("mariadb-", "mysql").replace("mariadb", "mysql");
            tools::mysql9(&program, address, user, database)
        }
    }
}

#[test]
fn pymysql() {
    program(Allowed::Yes, || python(tools::python(), "drivers/pymysql_day.py"));
}

#[test]
fn mysqlclient() {
    program(Allowed::No, || python(tools::system_python(), "drivers/mysqlclient_day.py"));
}

#[test]
fn connector_python() {
    let output = program(Allowed::No, || python(tools::python(), "drivers/connector_day.py"));
    let attributes = output.contains("with attributes [('Customer 9',)]");
    assert_eq!(attributes, MySql::shared().flavour() == Flavour::MySql9, "{output}");
}

#[test]
fn mysql2() {
    program(Allowed::Yes, || node("drivers/mysql2_day.js"));
}

#[test]
fn mysqljs() {
    // It knows no plugin of MySQL 9.
    if MySql::shared().flavour() == Flavour::MariaDb {
        program(Allowed::No, || node("drivers/mysqljs_day.js"));
    }
}

#[test]
fn mariadb_connector_j() {
    program(Allowed::Yes, || {
        let mut java = tools::java_mariadb();
        java.arg(tools::test_file("drivers/MariaDbDay.java"));
        java
    });
}

#[test]
fn command_line_client() {
    let script = std::fs::read(tools::test_file("drivers/mysql.sql")).unwrap();
    let output = same_both_ways(
        Allowed::No,
        |address, database| {
            let mut client = client("mariadb", address, "app", database);
            client.args(["--table", "--default-character-set=utf8mb4", "--force", "--show-warnings", "--comments"]);
            client
        },
        &script,
    );
    for sign in
        ["all of it", "no_such_table", "You have an error in your SQL syntax", "behind a procedure", "Division by 0"]
    {
        assert!(output.contains(sign), "no `{sign}` in\n{output}");
    }
}

#[test]
fn mysqldump_and_restore() {
    let server = MySql::shared();
    let source = server.database("dumped");
    let target = format!("{source}_restored");
    server.script("", &format!("create database {target}"));
    let weir = Target::front(server, &WeirOptions::allow_all());
    let dump = |address, database: &str, more: &[&str]| {
        let mut dump = client("mariadb-dump", address, "app", database);
        dump.args([
            "--default-character-set=utf8mb4",
            "--skip-dump-date",
            "--routines",
            "--triggers",
            "--hex-blob",
            "--skip-comments",
        ])
        .args(more);
        run(&mut dump, b"", LIMIT).ok()
    };
    let direct = dump(server.address(), &source, &["--single-transaction"]);
    assert!(direct.contains("INSERT INTO `customers`") && direct.contains("PROCEDURE `two_results`"));
    let through = dump(weir.address(), &source, &["--single-transaction"]);
    assert_same(&direct, &through);
    let apart = ["--skip-extended-insert", "--skip-opt", "--quick", "--complete-insert"];
    assert_same(&dump(server.address(), &source, &apart), &dump(weir.address(), &source, &apart));

    let mut restore = client("mariadb", weir.address(), "app", &target);
    restore.arg("--default-character-set=utf8mb4");
    run(&mut restore, through.as_bytes(), LIMIT).ok();
    // What was counted up since is none of the dump's.
    assert_same(&direct, &dump(server.address(), &target, &["--single-transaction"]));
}

#[test]
fn mysqlslap() {
    let server = MySql::shared();
    let database = server.database("slap");
    let weir = Target::front(server, &WeirOptions::allow_all());
    for engine in ["--auto-generate-sql-load-type=mixed", "--auto-generate-sql-load-type=read"] {
        let mut slap = client("mariadb-slap", weir.address(), "app", "");
        slap.args(["--auto-generate-sql", "--concurrency=4", "--iterations=2", "--number-of-queries=200", engine]);
        slap.arg(format!("--create-schema={database}_slapped"));
        let report = run(&mut slap, b"", LIMIT).ok();
        assert!(report.contains("Number of clients running queries: 4"), "{report}");
    }
}

#[test]
fn sysbench_in_three_modes() {
    // Its library is MariaDB's, and asks for no key of a server that wants a password sealed.
    let server = MySql::shared();
    let database = server.database("sysbench");
    let weir = Target::front(server, &WeirOptions::allow_all());
    let bench = |script: &str, arguments: &[&str]| {
        let mut sysbench = tools::client("sysbench");
        sysbench.args([
            script,
            "--db-driver=mysql",
            "--mysql-user=app",
            "--tables=2",
            "--table-size=2000",
            "--rand-seed=7",
        ]);
        sysbench.arg(format!("--mysql-host={}", weir.address().ip()));
        sysbench.arg(format!("--mysql-port={}", weir.address().port()));
        sysbench.arg(format!("--mysql-password={}", weir_tests::fixture::PASSWORD));
        sysbench.arg(format!("--mysql-db={database}"));
        sysbench.args(arguments);
        run(&mut sysbench, b"", LIMIT).ok()
    };
    bench("oltp_read_write", &["prepare"]);
    for prepared in ["--db-ps-mode=disable", "--db-ps-mode=auto"] {
        for script in ["oltp_point_select", "oltp_read_only", "oltp_read_write"] {
            let report = bench(script, &["--threads=2", "--events=100", "--time=0", prepared, "run"]);
            assert!(report.contains("transactions:                        100"), "{script} {prepared}:\n{report}");
            assert!(report.contains("reconnects:                          0"), "{script} {prepared}:\n{report}");
        }
    }
    let consistent = "select (select count(*) from sbtest1) = 2000 and (select count(*) from sbtest2) = 2000";
    assert_eq!(server.value(&database, consistent), "1");
}
