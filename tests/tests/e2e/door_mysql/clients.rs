//! Real clients and drivers at the door: in full under Weir's key and under TLS, from memory the second time, and not
//! at all with a wrong password.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::process::run;
use weir_tests::tools;
use weir_tests::weir::WeirOptions;

use super::super::tls::{NAME, trust};
use super::{Doored, exported, forget_logins, sha2};

const LIMIT: Duration = Duration::from_secs(60);

/// How a client goes about TLS.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leg {
    Plain,
    Tls,
}

/// Logs in three times with the right password, which the program prints its account of, and once with a wrong one.
fn check(verifiers: &str, legs: &[Leg], make: impl Fn(SocketAddr, Leg) -> Command) {
    let options = WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, "prefer");
    let doored = Doored::start(verifiers, options);
    for leg in legs {
        for time in 0..3 {
            if time == 1 {
                forget_logins();
            }
            let mut command = make(doored.weir.address(), *leg);
            let output = run(command.env("MYSQL_PWD", PASSWORD).env("DB_PASSWORD", PASSWORD), b"", LIMIT);
            assert_eq!(output.code, 0, "{leg:?} {time}: {}{}", output.stdout, output.stderr);
            assert!(output.stdout.contains("alice@%"), "{leg:?} {time}: {}{}", output.stdout, output.stderr);
        }
        let mut command = make(doored.weir.address(), *leg);
        let output = run(command.env("MYSQL_PWD", "wrong").env("DB_PASSWORD", "wrong"), b"", LIMIT);
        assert_ne!(output.code, 0, "{leg:?}: {}", output.stdout);
        let told = format!("{}{}", output.stdout, output.stderr);
        assert!(told.contains("Access denied for user 'alice'@'127.0.0.1' (using password: YES)"), "{leg:?}: {told}");
    }
}

/// Both what the server itself keeps, and MySQL's own method in front of whatever it has.
fn both(legs: &[Leg], make: impl Fn(SocketAddr, Leg) -> Command) {
    for verifiers in [exported(&["alice"]), sha2(&["alice"])] {
        check(&verifiers, legs, &make);
    }
}

fn point(command: &mut Command, address: SocketAddr, leg: Leg) {
    command
        .env("DB_HOST", NAME)
        .env("DB_PORT", address.port().to_string())
        .env("DB_USER", "alice")
        .env("DB_CA", if leg == Leg::Tls { trust().root.display().to_string() } else { String::new() });
}

#[test]
fn mariadbs_client() {
    // Its plugin asks for no key where there is no TLS.
    let sql = "--execute=select current_user()";
    check(&sha2(&["alice"]), &[Leg::Tls], |address, _| mariadb(address, Leg::Tls, sql));
    check(&exported(&["alice"]), &native_legs(), |address, leg| mariadb(address, leg, sql));
}

/// Without TLS where no password need be sent.
fn native_legs() -> Vec<Leg> {
    match MySql::shared().flavour().plugin() {
        "mysql_native_password" => vec![Leg::Plain, Leg::Tls],
        _ => vec![Leg::Tls],
    }
}

fn mariadb(address: SocketAddr, leg: Leg, sql: &str) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--protocol=tcp", "--user=alice", "--batch", "--skip-column-names"]);
    command.arg(format!("--host={NAME}")).arg(format!("--port={}", address.port()));
    match leg {
        Leg::Plain => command.arg("--skip-ssl"),
        Leg::Tls => {
            command.args(["--ssl", "--ssl-verify-server-cert", &format!("--ssl-ca={}", trust().root.display())])
        }
    };
    command.arg(sql);
    command
}

#[test]
fn mysqls_client() {
    let run = tools::repository().join("target/mysql9/run");
    if !run.exists() {
        return;
    }
    // It has no native passwords any more.
    let kept = match MySql::shared().flavour() {
        Flavour::MariaDb => sha2(&["alice"]),
        Flavour::MySql9 => exported(&["alice"]),
    };
    check(&kept, &[Leg::Plain, Leg::Tls], |address, leg| {
        let mut command = Command::new(&run);
        command.args(["mysql", "--no-defaults", "--protocol=tcp", "--user=alice", "--batch", "--skip-column-names"]);
        command.arg(format!("--host={NAME}")).arg(format!("--port={}", address.port()));
        match leg {
            Leg::Plain => command.args(["--ssl-mode=DISABLED", "--get-server-public-key"]),
            Leg::Tls => command.args(["--ssl-mode=VERIFY_IDENTITY", &format!("--ssl-ca={}", trust().root.display())]),
        };
        command.arg("--execute=select current_user()");
        command
    });
}

const PYMYSQL: &str = "
import os, pymysql
ca = os.environ['DB_CA']
ssl = dict(ssl_ca=ca, ssl_verify_identity=True) if ca else {}
c = pymysql.connect(host=os.environ['DB_HOST'], port=int(os.environ['DB_PORT']), user='alice',
    password=os.environ['DB_PASSWORD'], database='support', ssl_disabled=not ca, **ssl)
with c.cursor() as cursor:
    cursor.execute('select current_user()')
    print(cursor.fetchone()[0])
";

#[test]
fn pymysql() {
    both(&[Leg::Plain, Leg::Tls], |address, leg| {
        let mut command = tools::python();
        command.args(["-c", PYMYSQL]);
        point(&mut command, address, leg);
        command
    });
}

const CONNECTOR: &str = "
import os, sys, mysql.connector
ca = os.environ['DB_CA']
ssl = dict(ssl_ca=ca, ssl_verify_cert=True) if ca else dict(ssl_disabled=True)
c = mysql.connector.connect(host=os.environ['DB_HOST'], port=int(os.environ['DB_PORT']), user='alice',
    password=os.environ['DB_PASSWORD'], database='support', use_pure=sys.argv[1] == 'pure', **ssl)
cursor = c.cursor()
cursor.execute('select current_user()')
print(cursor.fetchone()[0])
c.cmd_change_user(username='alice', password=os.environ['DB_PASSWORD'], database='support')
cursor = c.cursor()
cursor.execute('select current_user()')
print(cursor.fetchone()[0])
";

#[test]
fn connector_python() {
    for kind in ["pure", "c"] {
        // Neither asks for a key where there is no TLS.
        check(&sha2(&["alice"]), &[Leg::Tls], |address, leg| connector(kind, address, leg));
    }
}

fn connector(kind: &str, address: SocketAddr, leg: Leg) -> Command {
    let mut command = tools::python();
    command.args(["-c", CONNECTOR, kind]);
    point(&mut command, address, leg);
    command
}

const MYSQL2: &str = "
const mysql = require('mysql2/promise'); const fs = require('fs');
(async () => {
    const ca = process.env.DB_CA;
    const c = await mysql.createConnection({ host: process.env.DB_HOST, port: +process.env.DB_PORT, user: 'alice',
        password: process.env.DB_PASSWORD, database: 'support', ssl: ca ? { ca: fs.readFileSync(ca) } : undefined });
    const [rows] = await c.query('select current_user() as who');
    console.log(rows[0].who);
    await c.changeUser({ user: 'alice', password: process.env.DB_PASSWORD, database: 'support' });
    await c.end();
})().catch(error => { console.error(error.message); process.exit(1); });
";

#[test]
fn mysql2() {
    both(&[Leg::Plain, Leg::Tls], |address, leg| {
        let mut command = tools::node();
        command.args(["-e", MYSQL2]);
        point(&mut command, address, leg);
        command
    });
}
