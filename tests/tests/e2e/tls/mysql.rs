//! TLS on either leg of MySQL's protocol and on both, with a real server and its own client.
//!
//! What must never happen: a login that works without TLS fails with it, or a password goes in clear where it must not.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;

use weir_tests::audit;
use weir_tests::engine::Engine;
use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::policies::{Budgeted, DENIED_MYSQL};
use weir_tests::process::{Output, run};
use weir_tests::tools;
use weir_tests::weir::{Weir, WeirOptions};

use super::certificates::trust;
use super::{LIMIT, NAME};

/// A server that offers TLS.
fn server() -> &'static MySql {
    static SERVER: OnceLock<MySql> = OnceLock::new();
    SERVER.get_or_init(|| MySql::start_tls(&trust().good.certificate, &trust().good.key))
}

fn weir(options: &WeirOptions) -> Weir {
    Weir::start_for(&[(Engine::MySql, server().address())], options)
}

fn listener(options: WeirOptions, mode: &str) -> WeirOptions {
    options.listener_tls(&trust().good.certificate, &trust().good.key, mode)
}

fn upstream(options: WeirOptions) -> WeirOptions {
    options.upstream_tls(&trust().root, None)
}

/// How a client goes about TLS.
#[derive(Clone, Copy, Debug)]
enum Client {
    Plain,
    Verifies,
}

/// The server's own client as alice, with one statement after another.
fn ask(address: SocketAddr, client: Client, sql: &str) -> Output {
    let mut command = match server().flavour() {
        Flavour::MariaDb => Command::new("mariadb"),
        Flavour::MySql9 => {
            let mut command = Command::new(tools::repository().join("target/mysql9/run"));
            command.arg("mysql");
            command
        }
    };
    command.args(["--no-defaults", "--protocol=tcp", "--user=alice", "--batch", "--skip-column-names", "--force"]);
    // The name that the certificate bears.
    command.arg(format!("--host={NAME}")).arg(format!("--port={}", address.port())).env("MYSQL_PWD", PASSWORD);
    let root = trust().root.display();
    match (client, server().flavour()) {
        (Client::Plain, Flavour::MariaDb) => command.arg("--skip-ssl"),
        (Client::Verifies, Flavour::MariaDb) => {
            command.arg("--ssl").arg(format!("--ssl-ca={root}")).arg("--ssl-verify-server-cert")
        }
        (Client::Plain, Flavour::MySql9) => command.args(["--ssl-mode=DISABLED", "--get-server-public-key"]),
        (Client::Verifies, Flavour::MySql9) => {
            command.arg("--ssl-mode=VERIFY_IDENTITY").arg(format!("--ssl-ca={root}"))
        }
    };
    command.arg("support");
    run(&mut command, sql.as_bytes(), LIMIT)
}

/// What the server itself says of its leg.
const CIPHER: &str = "show session status like 'Ssl_cipher'";

/// A login in full is another exchange than one that the server remembers.
fn forget_logins() {
    server().administrator("").query("flush privileges").fine();
}

#[test]
fn a_login_passes_whatever_the_legs() {
    let weirs = [
        ("neither", weir(&WeirOptions::allow_all()), Client::Plain, false),
        ("client's", weir(&listener(WeirOptions::allow_all(), "require")), Client::Verifies, false),
        ("server's", weir(&upstream(WeirOptions::allow_all())), Client::Plain, true),
        ("both", weir(&upstream(listener(WeirOptions::allow_all(), "require"))), Client::Verifies, true),
    ];
    for (legs, weir, client, encrypted) in &weirs {
        forget_logins();
        for login in ["first", "second"] {
            let told = ask(weir.address(), *client, CIPHER).ok();
            let cipher = told.split_whitespace().nth(1);
            assert_eq!(cipher.is_some(), *encrypted, "TLS on {legs} leg(s), {login} login: {told}");
        }
    }
}

#[test]
fn a_client_without_tls_is_told_where_it_is_required() {
    let weir = weir(&upstream(listener(WeirOptions::allow_all(), "require")));
    let refused = ask(weir.address(), Client::Plain, "select 1");
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("this listener serves TLS only"), "{}", refused.stderr);
    let preferring = self::weir(&listener(WeirOptions::allow_all(), "prefer"));
    assert_eq!(ask(preferring.address(), Client::Plain, "select 'plain'").ok(), "plain\n");
    assert_eq!(ask(preferring.address(), Client::Verifies, "select 'verified'").ok(), "verified\n");
}

/// Only the server of the configuration is spoken with.
#[test]
fn a_server_that_cannot_be_verified_is_not_logged_in_to() {
    let options = WeirOptions::allow_all().upstream_tls(&trust().root, Some("elsewhere.example"));
    let weir = weir(&options);
    let refused = ask(weir.address(), Client::Plain, "select 1");
    assert!(refused.stderr.contains("cannot be reached"), "{}", refused.stderr);
}

#[test]
fn a_budget_ends_at_its_row_and_the_record_tells_of_tls() {
    let policy = Budgeted::hourly(70).on(Engine::MySql).yaml();
    let mut weir = weir(&upstream(listener(WeirOptions::policy(policy), "require")));
    let told =
        ask(weir.address(), Client::Verifies, "select id, email from customers order by id;\nselect 'usable';\n");
    let rows: Vec<&str> = told.stdout.lines().collect();
    let (errno, sqlstate) = DENIED_MYSQL;
    assert!(told.stderr.contains(&format!("{errno} ({sqlstate})")), "{}", told.stderr);
    assert!(rows.contains(&"usable"), "{rows:?}");
    assert!(rows.len() <= 71, "{} rows", rows.len());
    weir.stop();
    let events = weir.audit_events();
    let sessions = audit::of_kind(&events, "session-start");
    assert!(sessions.iter().any(|event| event["session"]["tls"].as_str().is_some_and(|tls| tls.starts_with("TLS"))));
    let completion =
        audit::of_kind(&events, "completion").into_iter().find(|event| event["detail"]["outcome"] == "cut");
    let completion = completion.expect("a cut");
    assert_eq!(completion["detail"]["rows"], 70, "{completion}");
}
