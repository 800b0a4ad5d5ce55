//! Where the client programs are that `tests/setup.sh` installs, and how to point them at an address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::PASSWORD;

/// Root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_path_buf()
}

/// A file under `tests/`.
pub fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn installed(name: &str) -> PathBuf {
    repository().join("target/test-tools").join(name)
}

/// The Python that has the drivers: `WEIR_TEST_PYTHON`, else the one that setup.sh made.
pub fn python() -> Command {
    let path = std::env::var_os("WEIR_TEST_PYTHON").map_or_else(|| installed("venv/bin/python"), PathBuf::from);
    present(&path);
    Command::new(path)
}

/// The system's Python, which has the module that Debian builds against MariaDB's C library.
pub fn system_python() -> Command {
    Command::new("/usr/bin/python3")
}

/// Node.js with the installed packages on its path.
pub fn node() -> Command {
    let modules = installed("node/node_modules");
    present(&modules);
    let mut command = Command::new("node");
    command.env("NODE_PATH", modules);
    command
}

/// `java` with PostgreSQL's JDBC driver on its class path.
pub fn java() -> Command {
    java_with("/usr/share/java/postgresql.jar")
}

/// `java` with MariaDB's JDBC driver on its class path.
pub fn java_mariadb() -> Command {
    java_with("/usr/share/java/mariadb-java-client.jar")
}

fn java_with(jar: &str) -> Command {
    present(Path::new(jar));
    let mut command = Command::new("java");
    // A small program on a busy machine: the first-tier compiler and one collector thread are enough.
    command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp"]).arg(jar);
    command
}

/// Fails with the way out when something was not installed.
fn present(path: &Path) {
    assert!(path.exists(), "{} is missing: run tests/setup.sh first", path.display());
}

/// One of PostgreSQL's own clients (`psql`, `pg_dump`, `pgbench`).
pub fn client(program: &str) -> Command {
    Command::new(program)
}

/// One of MariaDB's clients (`mariadb`, `mariadb-dump`, `mariadb-slap`), pointed at `address`; the database, if any, is
/// its last argument so far.
pub fn mariadb(program: &str, address: SocketAddr, user: &str, database: &str) -> Command {
    let mut command = Command::new(program);
    command.args(["--no-defaults", "--skip-ssl", "--protocol=tcp"]);
    mysql_arguments(&mut command, address, user, database);
    command
}

/// One of MySQL 9's own clients out of what `tests/mysql9.sh` unpacked.
pub fn mysql9(program: &str, address: SocketAddr, user: &str, database: &str) -> Command {
    let run = repository().join("target/mysql9/run");
    present(&run);
    let mut command = Command::new(run);
    command.args([program, "--no-defaults", "--ssl-mode=DISABLED", "--get-server-public-key"]);
    mysql_arguments(&mut command, address, user, database);
    command
}

fn mysql_arguments(command: &mut Command, address: SocketAddr, user: &str, database: &str) {
    command
        .arg(format!("--host={}", address.ip()))
        .arg(format!("--port={}", address.port()))
        .arg(format!("--user={user}"))
        .env("MYSQL_PWD", PASSWORD);
    if !database.is_empty() {
        command.arg(database);
    }
}

/// Points one of our driver programs at a MySQL server through variables.
pub fn point_mysql(command: &mut Command, address: SocketAddr, user: &str, database: &str) {
    command
        .env("DB_HOST", address.ip().to_string())
        .env("DB_PORT", address.port().to_string())
        .env("DB_USER", user)
        .env("DB_NAME", database)
        .env("DB_PASSWORD", PASSWORD);
}

/// Points a program at `address` through the variables that libpq and our driver programs read.
pub fn point(command: &mut Command, address: SocketAddr, user: &str, database: &str) {
    command
        .env("PGHOST", address.ip().to_string())
        .env("PGPORT", address.port().to_string())
        .env("PGUSER", user)
        .env("PGDATABASE", database)
        .env("PGPASSWORD", PASSWORD)
        .env("PGSSLMODE", "disable")
        .env("PGGSSENCMODE", "disable")
        .env("PGCONNECT_TIMEOUT", "20")
        .env("PGTZ", "UTC");
}
