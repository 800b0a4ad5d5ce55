//! A throw-away MariaDB or MySQL 9 of the tests' own: new data directory, free loopback port, the fixture.
//!
//! MariaDB is the machine's; with `WEIR_TEST_MYSQL=mysql9` it is the MySQL 9 that `tests/mysql9.sh` unpacked. A test
//! that means one of them only says so ([`Flavour`]).

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::fixture;
use crate::mysql::packets::capability;
use crate::mysql::raw::{Login, Raw};
use crate::net::free_port;
use crate::process::{self, Tied};
use crate::scratch::Scratch;
use crate::tools;
use crate::wait;

/// The administrator: reaches the server directly, never through Weir.
pub const ADMINISTRATOR: &str = "harness";

/// Which product it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MariaDB 10.11 or later.
    MariaDb,
    /// MySQL 9.
    MySql9,
}

impl Flavour {
    /// What this run tests with.
    pub fn chosen() -> Flavour {
        match std::env::var("WEIR_TEST_MYSQL").as_deref() {
            Ok("mysql9") => Flavour::MySql9,
            Ok("mariadb") | Err(_) => Flavour::MariaDb,
            Ok(other) => panic!("WEIR_TEST_MYSQL is `{other}`; it may be `mariadb` or `mysql9`"),
        }
    }

    /// The plugin that accounts of the fixture log in with.
    pub fn plugin(self) -> &'static str {
        match self {
            Flavour::MariaDb => "mysql_native_password",
            Flavour::MySql9 => "caching_sha2_password",
        }
    }

    fn keeps(self, password: &str) -> String {
        match self {
            Flavour::MariaDb => format!("identified via mysql_native_password using password('{password}')"),
            Flavour::MySql9 => format!("identified with caching_sha2_password by '{password}'"),
        }
    }

    /// A program of the server's package, and the arguments that it always needs.
    fn program(self, name: &str) -> (PathBuf, Vec<String>) {
        match self {
            Flavour::MariaDb => {
                let sbin = Path::new("/usr/sbin").join(name);
                let path = if sbin.exists() { sbin } else { Path::new("/usr/bin").join(name) };
                assert!(path.exists(), "{name} is missing: run tests/setup.sh first");
                (path, Vec::new())
            }
            Flavour::MySql9 => {
                let run = mysql9().join("run");
                assert!(run.exists(), "{} is missing: run tests/mysql9.sh install first", run.display());
                (run, vec![name.to_owned()])
            }
        }
    }
}

fn mysql9() -> PathBuf {
    tools::repository().join("target/mysql9")
}

/// What both are told. Durability is of no interest for a database that lives for minutes.
const SETTINGS: &[&str] = &[
    "bind-address=127.0.0.1",
    "innodb-flush-log-at-trx-commit=0",
    "innodb-buffer-pool-size=64M",
    "character-set-server=utf8mb4",
    "default-time-zone=+00:00",
    "max-connections=400",
    "max-allowed-packet=128M",
    "local-infile=1",
    "skip-name-resolve",
    "event-scheduler=OFF",
    "innodb-doublewrite=0",
];

/// A running server.
#[derive(Debug)]
pub struct MySql {
    server: Tied,
    flavour: Flavour,
    port: u16,
    scratch: Scratch,
}

impl MySql {
    /// The server that all tests of this process share; databases that a test changes are its own
    /// ([`MySql::database`]).
    pub fn shared() -> &'static MySql {
        static SHARED: OnceLock<MySql> = OnceLock::new();
        SHARED.get_or_init(MySql::start)
    }

    /// A server of one's own, for tests that hurt it.
    pub fn start() -> MySql {
        MySql::start_as(Flavour::chosen())
    }

    /// A server of this product.
    pub fn start_as(flavour: Flavour) -> MySql {
        MySql::start_with(flavour, None)
    }

    /// A server of one's own that serves TLS, with this certificate and key, beside plain connections.
    pub fn start_tls(certificate: &Path, key: &Path) -> MySql {
        MySql::start_with(Flavour::chosen(), Some((certificate, key)))
    }

    fn start_with(flavour: Flavour, tls: Option<(&Path, &Path)>) -> MySql {
        let user = server_user();
        let scratch = Scratch::new("mysql");
        let (data, files) = (scratch.path().join("data"), scratch.path().join("files"));
        // Of its own: a server that starts deletes the temporary tables that others have in the same place.
        let temporary = scratch.path().join("tmp");
        for directory in [&data, &files, &temporary] {
            std::fs::create_dir(directory).expect("our own directory");
            process::own(directory, user);
        }
        process::own(scratch.path(), user);
        let log = scratch.path().join("server.log");
        process::create_owned(&log, user);
        let port = free_port();
        let socket = scratch.path().join("socket");
        let init = scratch.write("init.sql", accounts(flavour));
        let mut settings: Vec<String> = SETTINGS.iter().map(|setting| format!("--{setting}")).collect();
        settings.extend([
            format!("--datadir={}", data.display()),
            format!("--socket={}", socket.display()),
            format!("--pid-file={}", scratch.path().join("pid").display()),
            format!("--secure-file-priv={}", files.display()),
            format!("--tmpdir={}", temporary.display()),
            format!("--port={port}"),
        ]);
        match flavour {
            Flavour::MariaDb => {
                settings.push("--plugin-load-add=auth_ed25519".to_owned());
                settings.push("--innodb-log-file-size=16M".to_owned());
            }
            Flavour::MySql9 => {
                let root = mysql9().join("root/usr");
                settings.extend([
                    format!("--basedir={}", root.display()),
                    format!("--lc-messages-dir={}", root.join("share/mysql").display()),
                    format!("--character-sets-dir={}", root.join("share/mysql/charsets").display()),
                    format!("--plugin-dir={}", root.join("lib/mysql/plugin").display()),
                    "--mysqlx=OFF".to_owned(),
                    "--skip-log-bin".to_owned(),
                    "--innodb-redo-log-capacity=32M".to_owned(),
                    // Lower than the default only to make a login's full path cheaper; what goes over the wire is the same.
                    "--caching-sha2-password-digest-rounds=5000".to_owned(),
                ]);
            }
        }
        initialise(flavour, &data, &settings, user);
        if let Some((certificate, key)) = tls {
            for (from, option) in [(certificate, "ssl-cert"), (key, "ssl-key")] {
                let to = scratch.path().join(option);
                std::fs::copy(from, &to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", from.display()));
                process::own(&to, user);
                settings.push(format!("--{option}={}", to.display()));
            }
        }
        let (program, mut arguments) = flavour.program(match flavour {
            Flavour::MariaDb => "mariadbd",
            Flavour::MySql9 => "mysqld",
        });
        arguments.push("--no-defaults".to_owned());
        arguments.extend(settings);
        arguments.push(format!("--init-file={}", init.display()));
        let keep = std::env::var_os("WEIR_TEST_KEEP").is_some();
        let remove = if keep { String::new() } else { scratch.path().display().to_string() };
        let environment = [("TIE_REMOVE".to_owned(), remove)];
        // TERM is an orderly shutdown, KILL a quick one: nobody reads these files again.
        let mut server = Tied::start(&program, &arguments, &environment, user, &log, "KILL");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait::until("the server to accept", Duration::from_secs(60), || {
            assert!(server.ended().is_none(), "the server did not start:\n{}", server.log_tail());
            Raw::try_login(address, &Login::new(ADMINISTRATOR, "")).ok()
        });
        let mysql = MySql { server, flavour, port, scratch };
        mysql.script("support", fixture::MYSQL_SCHEMA);
        mysql.script("billing", fixture::MYSQL_BILLING);
        mysql.grant("support");
        mysql
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// What it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// A directory that lives as long as the server; `files` in it is the one that SQL may write to.
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Process id of the server.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The end of the server's log.
    pub fn log_tail(&self) -> String {
        self.server.log_tail()
    }

    /// A direct session of the administrator.
    pub fn administrator(&self, database: &str) -> Raw {
        let login = Login::new(ADMINISTRATOR, database).and(capability::DEPRECATE_EOF);
        Raw::try_login(self.address(), &login).expect("the administrator's login")
    }

    /// Runs a script directly as administrator, stopping at the first error; returns its tab-separated output.
    pub fn script(&self, database: &str, script: &str) -> String {
        let mut client = tools::mariadb("mariadb", self.address(), ADMINISTRATOR, database);
        client.args(["--default-character-set=utf8mb4", "--batch", "--skip-column-names"]);
        process::run(&mut client, script.as_bytes(), Duration::from_secs(120)).ok()
    }

    /// One value of one row, directly as administrator.
    pub fn value(&self, database: &str, sql: &str) -> String {
        let rows = self.administrator(database).query(sql).fine().texts();
        rows.first().and_then(|row| row.first()).cloned().unwrap_or_default()
    }

    /// A new database with the fixture in it, for a test that changes data. Dropped with the server.
    pub fn database(&self, prefix: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        self.script("", &format!("create database {name}"));
        self.script(&name, fixture::MYSQL_SCHEMA);
        self.grant(&name);
        name
    }

    /// Adds customers after the fixture's, up to this number, in the fixture's manner.
    pub fn more_customers(&self, database: &str, up_to: u64) {
        let digits = "(select 0 d union all select 1 union all select 2 union all select 3 union all select 4 union all \
                      select 5 union all select 6 union all select 7 union all select 8 union all select 9)";
        self.script(
            database,
            &format!(
                "insert into customers select n, concat('Customer ', n), concat('customer', n, '@example.org'), \
                 concat('+49 30 ', lpad(n, 7, '0')), elt(1 + n % 4, 'de', 'en', 'fr', 'pl'), n % 100 = 0, \
                 (n * 7 % 10000) / 100, timestampadd(hour, n, '2024-01-01 00:00:00') from \
                 (select 1 + a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d as n \
                 from {digits} a, {digits} b, {digits} c, {digits} e, {digits} f) numbers \
                 where n > {} and n <= {up_to} order by n",
                fixture::CUSTOMERS
            ),
        );
    }

    /// What every account of an agent may do in a database.
    fn grant(&self, database: &str) {
        let mut script = String::new();
        let ed25519 = (self.flavour == Flavour::MariaDb).then(|| "alice_ed25519".to_owned());
        for account in agents().into_iter().chain(ed25519) {
            let _ = writeln!(
                script,
                "grant select, insert, update, delete, execute, create, drop, alter, index, create view, show view, \
                 create routine, alter routine, create temporary tables, lock tables, trigger, \
                 event on `{database}`.* \
                 to {account}@'%';\n\
                 grant select on billing.* to {account}@'%';"
            );
        }
        self.script("", &script);
    }

    /// How many statements of others have this mark, as the server's list of processes shows them.
    pub fn running(&self, mark: &str) -> usize {
        let sql = format!(
            "select id from information_schema.processlist where info like '%{mark}%' and id <> connection_id() \
             and command not in ('Sleep', 'Killed')"
        );
        self.administrator("").query(&sql).fine().rows()
    }
}

/// Accounts of people and services that work in the support database.
fn agents() -> Vec<String> {
    let named = ["alice", "alice_report", "bob", "carol", "stranger", "etl_export"].map(str::to_owned);
    named.into_iter().chain((0..fixture::EVADERS).map(|number| format!("evader_{number}"))).collect()
}

/// The script that the server itself runs at its start: one statement a line.
fn accounts(flavour: Flavour) -> String {
    let password = flavour.keeps(fixture::PASSWORD);
    let mut script = format!(
        "create user {ADMINISTRATOR}@'%' {password};\n\
         grant all privileges on *.* to {ADMINISTRATOR}@'%' with grant option;\n"
    );
    for line in fixture::MYSQL_ACCOUNTS.lines().filter(|line| !line.starts_with("--")) {
        let _ = writeln!(script, "{}", line.replace("{as password}", &password));
    }
    for number in 0..fixture::EVADERS {
        let _ = writeln!(script, "create user evader_{number}@'%' {password};");
    }
    match flavour {
        Flavour::MariaDb => {
            script.push_str("grant connection admin on *.* to weir_catalog@'%';\n");
            let _ = writeln!(
                script,
                "create user alice_ed25519@'%' identified via ed25519 using password('{}');",
                fixture::PASSWORD
            );
        }
        Flavour::MySql9 => script.push_str("grant connection_admin, show_routine on *.* to weir_catalog@'%';\n"),
    }
    script
}

/// Makes the data directory.
fn initialise(flavour: Flavour, data: &Path, settings: &[String], user: Option<(u32, u32)>) {
    let mut command = match flavour {
        Flavour::MariaDb => {
            let (program, _) = flavour.program("mariadb-install-db");
            let mut command = Command::new(program);
            command.args(["--no-defaults", "--skip-test-db", "--auth-root-authentication-method=normal"]);
            command.arg(format!("--datadir={}", data.display()));
            command.args(["--skip-name-resolve", "--innodb-log-file-size=16M", "--innodb-flush-method=nosync"]);
            command
        }
        Flavour::MySql9 => {
            let (program, arguments) = flavour.program("mysqld");
            let mut command = Command::new(program);
            command.args(arguments).arg("--no-defaults").arg("--initialize-insecure").args(settings);
            command
        }
    };
    command.current_dir("/");
    if let Some((uid, gid)) = user {
        use std::os::unix::process::CommandExt;
        command.uid(uid).gid(gid);
    }
    process::run(&mut command, b"", Duration::from_secs(120)).ok();
}

/// The account that the server runs as: it refuses to run as root, so root lends it the one of Debian's package, or
/// nobody's.
fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| -> Option<u32> {
        let output = process::run(Command::new("id").args(arguments), b"", Duration::from_secs(10));
        output.stdout.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    let of = |name| Some((id(&["-u", name])?, id(&["-g", name])?));
    Some(of("mysql").or_else(|| of("nobody")).expect("an account for the server"))
}
