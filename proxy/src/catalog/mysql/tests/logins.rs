//! Weir's own login with each plugin, on both legs, against a real server.

use std::path::Path;

use weir_tests::fixture::PASSWORD;
use weir_tests::mysql::server::{Flavour, MySql};
use weir_tests::scratch::Scratch;

use super::server;
use crate::catalog::Freshness;
use crate::catalog::tests::{catalogs_of, wait};

/// What keeps this account from being logged in; empty when nothing does.
fn log_in(mysql: &MySql, user: &str, password: &str, tls: &str) -> String {
    let catalogs = catalogs_of("mysql", mysql.address(), user, password, 30, tls);
    match wait(catalogs.snapshot("db", "support")).state {
        Freshness::Fresh => String::new(),
        Freshness::Stale { reason, .. } => reason.to_string(),
    }
}

const OPEN: &str = "tls = 'off'";

fn verified(ca: &Path) -> String {
    format!("ca = '{}'\nserver_name = 'localhost'", ca.display())
}

#[test]
fn each_plugin_is_answered_or_named() {
    let Some(mysql) = server() else { return };
    match mysql.flavour() {
        Flavour::MariaDb => {
            mysql.script(
                "",
                &format!(
                    "create user by_native@'%' identified via mysql_native_password using password('{PASSWORD}');
                     create user by_nothing@'%';
                     create user by_ed25519@'%' identified via ed25519 using password('{PASSWORD}')"
                ),
            );
            assert_eq!(log_in(mysql, "by_native", PASSWORD, OPEN), "");
            let unknown = log_in(mysql, "by_ed25519", PASSWORD, OPEN);
            assert!(unknown.contains("`client_ed25519`") && unknown.contains("give `by_ed25519`"), "{unknown}");
        }
        Flavour::MySql9 => {
            mysql.script(
                "",
                &format!(
                    "create user by_sha2@'%' identified with caching_sha2_password by '{PASSWORD}';
                     create user by_nothing@'%' identified with caching_sha2_password by '';
                     create user by_sha256@'%' identified with sha256_password by '{PASSWORD}'"
                ),
            );
            // The first login of an account needs the password itself, under the server's key; the next only a proof.
            for path in ["full", "fast", "fast"] {
                assert_eq!(log_in(mysql, "by_sha2", PASSWORD, OPEN), "", "{path}");
            }
            mysql.script("", "flush privileges");
            assert_eq!(log_in(mysql, "by_sha2", PASSWORD, OPEN), "", "full again");
            let unknown = log_in(mysql, "by_sha256", PASSWORD, OPEN);
            assert!(unknown.contains("`sha256_password`") && unknown.contains("give `by_sha256`"), "{unknown}");
        }
    }
    assert_eq!(log_in(mysql, "by_nothing", "", OPEN), "");
    let wrong = if mysql.flavour() == Flavour::MariaDb { "by_native" } else { "by_sha2" };
    for password in ["not-the-password", ""] {
        let denied = log_in(mysql, wrong, password, OPEN);
        assert!(denied.contains("error 1045") && denied.contains(&format!("`{wrong}` cannot log in")), "{denied}");
        assert!(!denied.contains(PASSWORD));
    }
    // MySQL gives a name that it does not know one of its plugins, so that nobody learns which names there are.
    let unknown = log_in(mysql, "nobody_of_that_name", PASSWORD, OPEN);
    assert!(unknown.contains("`nobody_of_that_name` cannot log in"), "{unknown}");
}

#[test]
fn over_tls_the_server_is_verified() {
    if server().is_none() {
        return;
    }
    let folder = Scratch::new("catalog-mysql-tls");
    let (certificate, key) = crate::tls::tests::self_signed(&folder, "server");
    let (other, _) = crate::tls::tests::self_signed(&folder, "other");
    let mysql = MySql::start_tls(&certificate, &key);
    let account = weir_tests::fixture::CATALOG_ACCOUNT;
    assert_eq!(log_in(&mysql, account, PASSWORD, &verified(&certificate)), "");
    assert_eq!(log_in(&mysql, account, PASSWORD, OPEN), "");
    let stranger = log_in(&mysql, account, PASSWORD, &verified(&other));
    assert!(stranger.contains("TLS with") && stranger.contains("certificate"), "{stranger}");
    let unnamed = log_in(&mysql, account, PASSWORD, &format!("ca = '{}'", certificate.display()));
    assert!(unnamed.contains("TLS with"), "the certificate does not bear 127.0.0.1: {unnamed}");
    let required = super::keeps(&mysql);
    mysql.script("", &format!("create user only_tls@'%' {required} require ssl"));
    assert_eq!(log_in(&mysql, "only_tls", PASSWORD, &verified(&certificate)), "");
    assert!(log_in(&mysql, "only_tls", PASSWORD, OPEN).contains("error 1045"));
    if mysql.flavour() == Flavour::MySql9 {
        mysql.script("", "flush privileges");
        assert_eq!(log_in(&mysql, "only_tls", PASSWORD, &verified(&certificate)), "", "the password itself");
    }
}
