//! `mode = "certificate"`: the certificate says who it is, and the account must be theirs.

use std::path::Path;

use weir_tests::postgres::Postgres;
use weir_tests::weir::{Weir, WeirOptions};

use super::mapped::desk;
use super::{psql, verifiers};
use crate::tls::trust;

/// Bob is known by a SPIFFE id, alice by a subject.
const PEOPLE: &str = "\
people:
  alice: { accounts: [alice], certificates: ['CN=good'] }
  bob: { accounts: [bob], certificates: ['spiffe://corp.example/bob'] }
";

fn weir(mode: &str, account: &str) -> Weir {
    let mut options = WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, "require");
    options.listener_tls.push(format!("client_ca = \"{}\"", trust().root.display()));
    options.listener_auth = vec![format!("mode = {mode}")];
    if mode.contains("verify") {
        options.listener_auth.push(format!("verifiers = \"{}\"", verifiers().display()));
    }
    options.people = PEOPLE.to_owned();
    options.upstream_accounts = desk(account, "");
    Weir::start(Postgres::shared().address(), &options)
}

/// psql with a certificate: exit code 0 and what it said, or the error.
fn with(weir: &Weir, user: &str, pair: Option<(&Path, &Path)>) -> Result<String, String> {
    let root = trust().root.display().to_string();
    let (certificate, key) = match pair {
        Some((certificate, key)) => (certificate.display().to_string(), key.display().to_string()),
        None => ("/nowhere".to_owned(), "/nowhere".to_owned()),
    };
    let environment = [
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", &*root),
        ("PGSSLCERT", &*certificate),
        ("PGSSLKEY", &*key),
        ("PGHOST", "localhost"),
        ("PGHOSTADDR", "127.0.0.1"),
    ];
    let output = psql(weir.address(), user, &environment, "select session_user");
    if output.code == 0 { Ok(output.stdout) } else { Err(output.stderr) }
}

#[test]
fn a_certificate_is_a_login_of_its_holder_s_accounts() {
    let weir = weir("\"certificate\"", "certified");
    let good = Some((&*trust().good.certificate, &*trust().good.key));
    assert_eq!(with(&weir, "alice", good), Ok("desk_certified\n".to_owned()));
    let login = weir.audit_event("the login", |event| event["kind"] == "authentication");
    assert_eq!(login["person"]["auth"], "certificate", "{login}");
    assert_eq!((&login["person"]["id"], &login["session"]["account"]), (&"alice".into(), &"alice".into()), "{login}");
    let spiffe = Some((&*trust().spiffe.certificate, &*trust().spiffe.key));
    assert_eq!(with(&weir, "bob", spiffe), Ok("desk_certified\n".to_owned()));
    // Another's account, an account of nobody, no certificate, another authority's, one that is over.
    for (user, pair) in [("bob", good), ("stranger", good), ("alice", spiffe)] {
        let told = with(&weir, user, pair).unwrap_err();
        assert!(told.contains(&format!("the certificate is not for user \"{user}\"")), "{told}");
    }
    let told = with(&weir, "alice", None).unwrap_err();
    assert!(told.contains("a client certificate is required here"), "{told}");
    for pair in [&trust().other, &trust().expired] {
        assert!(with(&weir, "alice", Some((&pair.certificate, &pair.key))).is_err());
    }
    for words in ["not for user", "is required here", "certificate is not accepted"] {
        weir.audit_event(words, |event| {
            let is_login = event["kind"] == "authentication" && event["detail"]["outcome"] == "failure";
            is_login || event["detail"]["message"].as_str().is_some_and(|message| message.contains(words))
        });
    }
    weir.audit_event("a certificate of another authority", |event| {
        event["detail"]["message"].as_str().is_some_and(|message| message.contains("certificate is not accepted"))
    });
}

#[test]
fn passwords_may_stand_beside_certificates() {
    let weir = weir("[\"certificate\", \"verify\"]", "beside");
    let good = Some((&*trust().good.certificate, &*trust().good.key));
    assert!(with(&weir, "alice", good).is_ok());
    assert!(with(&weir, "bob", None).is_ok(), "by password");
    weir.audit_event("a login by password", |event| event["person"]["auth"] == "scram-sha-256-plus");
}
