//! A throw-away PostgreSQL of the tests' own: new data directory, free loopback port, SCRAM accounts, the fixture.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::fixture;
use crate::frames;
use crate::net::free_port;
use crate::process::{self, Tied};
use crate::raw::Raw;
use crate::scratch::Scratch;
use crate::wait;

/// The superuser: reaches the server directly, never through Weir, and needs no password on loopback.
pub const SUPERUSER: &str = "postgres";

/// Durability is of no interest for a database that lives for minutes.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "max_prepared_transactions=10",
    "shared_buffers=64MB",
    "password_encryption=scram-sha-256",
    "autovacuum=off",
    "timezone=UTC",
    "log_line_prefix=%m %p %u ",
];

/// A running PostgreSQL cluster.
#[derive(Debug)]
pub struct Postgres {
    _server: Tied,
    port: u16,
    scratch: Scratch,
}

impl Postgres {
    /// The cluster that all tests of this process share; databases that a test changes are its own
    /// ([`Postgres::database`]).
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    /// A cluster of one's own, for tests that hurt the server.
    pub fn start() -> Postgres {
        let bin = bin_dir();
        let user = server_user();
        let scratch = Scratch::new("postgres");
        let data = scratch.path().join("data");
        std::fs::create_dir(&data).expect("our own directory");
        process::own(&data, user);
        // Who owns the directory may remove it: the shared cluster ends with the process, when nothing of ours runs.
        process::own(scratch.path(), user);
        let log = scratch.path().join("server.log");
        process::create_owned(&log, user);
        let mut initdb = Command::new(bin.join("initdb"));
        initdb.arg("-D").arg(&data).args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        initdb.current_dir("/");
        if let Some((uid, gid)) = user {
            use std::os::unix::process::CommandExt;
            initdb.uid(uid).gid(gid);
        }
        process::run(&mut initdb, b"", Duration::from_secs(120)).ok();
        std::fs::write(
            data.join("pg_hba.conf"),
            "# superuser: only the harness, directly\n\
             host all postgres 127.0.0.1/32 trust\n\
             host replication all 127.0.0.1/32 scram-sha-256\n\
             host all all 127.0.0.1/32 scram-sha-256\n",
        )
        .expect("our own directory");
        let port = free_port();
        let mut arguments = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
        for setting in SETTINGS {
            arguments.extend(["-c".to_owned(), (*setting).to_owned()]);
        }
        // INT is PostgreSQL's fast shutdown: it does not wait for clients.
        let keep = std::env::var_os("WEIR_TEST_KEEP").is_some();
        let remove = if keep { String::new() } else { scratch.path().display().to_string() };
        let environment = [("TIE_REMOVE".to_owned(), remove)];
        let mut server = Tied::start(&bin.join("postgres"), &arguments, &environment, user, &log, "INT");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait::until("PostgreSQL to accept", wait::SOON, || {
            assert!(server.ended().is_none(), "PostgreSQL did not start:\n{}", server.log_tail());
            Raw::try_login(address, &[("user", SUPERUSER), ("database", "postgres")], "").ok()
        });
        let postgres = Postgres { _server: server, port, scratch };
        postgres.psql("postgres", fixture::ROLES);
        postgres.psql("postgres", "create database support owner app");
        postgres.psql("support", fixture::SCHEMA);
        postgres
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// A directory that lives as long as the cluster.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Serves TLS from now on, with this certificate, beside plain connections.
    pub fn serve_tls(&self, certificate: &Path, key: &Path) {
        // The server demands that its own account, and nobody else, can read the key.
        let owner = std::fs::metadata(self.scratch.path().join("data")).expect("our own directory");
        for (from, name, setting) in [(certificate, "tls.crt", "ssl_cert_file"), (key, "tls.key", "ssl_key_file")] {
            let to = self.scratch.path().join(name);
            std::fs::copy(from, &to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
            std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).expect("permissions of our own file");
            process::own(&to, Some((owner.uid(), owner.gid())));
            self.psql("postgres", &format!("alter system set {setting} = '{}'", to.display()));
        }
        self.psql("postgres", "alter system set ssl = on");
        self.psql("postgres", "select pg_reload_conf()");
        wait::until_true("PostgreSQL to offer TLS", wait::SOON, || {
            let mut client = Raw::connect(self.address());
            client.send(&frames::ssl_request());
            client.receive_byte().is_ok_and(|answer| answer == b'S')
        });
    }

    /// A direct superuser session.
    pub fn superuser(&self, database: &str) -> Raw {
        Raw::try_login(self.address(), &[("user", SUPERUSER), ("database", database)], "").expect("superuser login")
    }

    /// Runs a script directly as superuser with psql, stopping at the first error; returns its unaligned output.
    pub fn psql(&self, database: &str, script: &str) -> String {
        let mut psql = Command::new("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", SUPERUSER, "-d", database, "-f", "-"]);
        psql.arg("-p").arg(self.port.to_string());
        process::run(&mut psql, script.as_bytes(), Duration::from_secs(120)).ok()
    }

    /// One value of one row, directly as superuser.
    pub fn value(&self, database: &str, sql: &str) -> String {
        self.superuser(database).query(sql).texts().first().and_then(|row| row.first()).cloned().unwrap_or_default()
    }

    /// A new database with the fixture in it, for a test that changes data. Dropped with the cluster.
    pub fn database(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("create database {name} owner app"));
        self.psql(&name, fixture::SCHEMA);
        name
    }

    /// Adds customers after the fixture's, up to this number, in the fixture's manner.
    pub fn more_customers(&self, database: &str, up_to: u64) {
        self.psql(
            database,
            &format!(
                "insert into customers select n, 'Customer ' || n, 'customer' || n || '@example.org', \
                 '+49 30 ' || lpad(n::text, 7, '0'), (array['de', 'en', 'fr', 'pl'])[1 + n % 4], n % 100 = 0, \
                 (n * 7 % 10000) / 100.0, timestamptz '2024-01-01 00:00+00' + n * interval '1 hour' \
                 from generate_series({}, {up_to}) n",
                fixture::CUSTOMERS + 1
            ),
        );
    }
}

/// Directory of the server's programs: the newest under Debian's layout, else where `initdb` is on the PATH.
fn bin_dir() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    if let Some((_, bin)) = found.pop() {
        return bin;
    }
    std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).find(|dir| dir.join("initdb").exists()))
        .expect("PostgreSQL's `initdb`: run tests/setup.sh, which installs it")
}

/// The account that the server runs as: PostgreSQL refuses to run as root, so root lends it `postgres`.
fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> u32 {
        let output = process::run(Command::new("id").args(arguments), b"", Duration::from_secs(10)).ok();
        output.trim().parse().expect("a number from `id`")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}
