//! `mode = "token"`: a signed token of an identity provider in place of a password.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use weir_tests::postgres::Postgres;
use weir_tests::scratch::Scratch;
use weir_tests::weir::{Weir, WeirOptions};

use super::mapped::desk;
use super::psql;
use crate::tls::trust;

const ISSUER: &str = "https://login.corp.example";

const PEOPLE: &str = "\
people:
  alice: { accounts: [alice], claims: [{ issuer: 'https://login.corp.example', subject: alice-7 }] }
  bob: { accounts: [bob] }
";

/// An identity provider.
struct Provider(Ed25519KeyPair);

impl Provider {
    fn new() -> Provider {
        Provider(Ed25519KeyPair::generate().unwrap())
    }

    fn keys(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "one", "alg": "EdDSA", "use": "sig", "x": x }] })
            .to_string()
    }

    fn token(&self, header: Value, change: impl Fn(&mut Value)) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut claims = json!({
            "iss": ISSUER, "aud": "weir", "sub": "alice-7", "iat": now, "exp": now + 600,
        });
        change(&mut claims);
        let signed = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()).as_ref());
        format!("{signed}.{signature}")
    }
}

#[test]
fn a_token_is_a_login_until_it_is_over() {
    let provider = Provider::new();
    let folder = Scratch::new("token");
    let keys = folder.write("keys.json", provider.keys());
    let mut options = WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, "require");
    options.listener_auth = vec![
        "mode = \"token\"".to_owned(),
        format!("token = {{ issuer = \"{ISSUER}\", audience = \"weir\", keys = \"{}\" }}", keys.display()),
    ];
    options.people = PEOPLE.to_owned();
    options.upstream_accounts = desk("token", "");
    let weir = Weir::start(Postgres::shared().address(), &options);
    let root = trust().root.display().to_string();
    let with = |user: &str, token: &str| {
        let environment = [("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", &*root), ("PGPASSWORD", token)];
        let output = psql(weir.address(), user, &environment, "select session_user");
        if output.code == 0 { Ok(output.stdout) } else { Err(output.stderr) }
    };
    let header = || json!({ "alg": "EdDSA", "kid": "one" });
    let good = provider.token(header(), |_| {});
    assert_eq!(with("alice", &good), Ok("desk_token\n".to_owned()));
    let login = weir.audit_event("the login", |event| event["kind"] == "authentication");
    assert_eq!((&login["person"]["auth"], &login["person"]["id"]), (&"token".into(), &"alice".into()), "{login}");
    let told = with("bob", &good).unwrap_err();
    assert!(told.contains("the token is not for user \"bob\""), "{told}");
    let forged = Provider::new().token(header(), |_| {});
    for (token, words) in [
        (provider.token(header(), |claims| claims["exp"] = json!(1_000_000)), "expired"),
        (provider.token(header(), |claims| claims["aud"] = json!("other")), "audience"),
        (provider.token(json!({ "alg": "none" }), |_| {}), "not signed"),
        (forged, "signature is wrong"),
    ] {
        let told = with("alice", &token).unwrap_err();
        assert!(told.contains(words), "{words}: {told}");
        assert!(!weir.log().contains(&token), "a token stands in the log");
    }
}
