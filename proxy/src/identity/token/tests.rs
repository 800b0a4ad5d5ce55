//! Tokens that are refused, each for its own reason, and signed ones that are not.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
};
use serde_json::json;

use super::*;

const NOW_SECS: u64 = 1_764_000_000;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_SECS)
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with a key of each kind.
pub(crate) struct Provider {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed25519: Ed25519KeyPair,
}

impl Provider {
    pub(crate) fn new() -> Provider {
        Provider {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            ed25519: Ed25519KeyPair::generate().unwrap(),
        }
    }

    pub(crate) fn keys(&self) -> Value {
        // `RSAPublicKey` of RFC 8017, A.1.1: two numbers, each perhaps with a zero byte for its sign.
        let mut rsa = super::super::der::Der::new(self.rsa.public_key().as_ref()).enter(0x30).unwrap();
        let mut number =
            || encoded(rsa.take(0x02).unwrap().iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>());
        let (modulus, exponent) = (number(), number());
        let point = self.p256.public_key().as_ref();
        json!({ "keys": [
            { "kty": "RSA", "use": "sig", "kid": "rsa", "n": modulus, "e": exponent },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": encoded(&point[1..33]), "y": encoded(&point[33..]) },
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "key_ops": ["verify"], "x": encoded(self.ed25519.public_key()) },
            { "kty": "oct-of-the-future", "kid": "odd" },
        ]})
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match algorithm {
            "RS256" | "PS256" => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let padding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                self.rsa.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            "ES256" => self.p256.sign(&random, message).unwrap().as_ref().to_vec(),
            "EdDSA" => self.ed25519.sign(message).as_ref().to_vec(),
            other => panic!("{other}"),
        }
    }
}

/// Making an RSA key takes a while.
pub(crate) fn provider() -> &'static Provider {
    static PROVIDER: OnceLock<Provider> = OnceLock::new();
    PROVIDER.get_or_init(Provider::new)
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| Keys::parse(provider().keys().to_string().as_bytes()).unwrap())
}

pub(crate) fn rules() -> TokenRules {
    TokenRules {
        issuer: "https://id.example.com".to_owned(),
        audiences: vec!["weir".to_owned(), "databases".to_owned()],
        skew: Duration::from_secs(30),
        claim: "preferred_username".to_owned(),
        required: vec![("groups".to_owned(), "support".to_owned()), ("email_verified".to_owned(), "true".to_owned())],
    }
}

pub(crate) fn payload() -> Value {
    json!({
        "iss": "https://id.example.com", "aud": "weir", "sub": "0815", "preferred_username": "alice",
        "exp": NOW_SECS + 300, "nbf": NOW_SECS, "iat": NOW_SECS, "email_verified": true, "groups": ["support", "german"],
    })
}

pub(crate) fn signed(header: &str, payload: &str, with: &str) -> String {
    let message = format!("{}.{}", encoded(header), encoded(payload));
    let signature = encoded(provider().sign(with, message.as_bytes()));
    format!("{message}.{signature}")
}

pub(crate) fn header(algorithm: &str, kid: &str) -> String {
    json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }).to_string()
}

fn check(token: &str) -> Result<TokenClaims, TokenError> {
    rules().check(keys(), token, now())
}

#[test]
fn what_the_provider_signed_is_believed() {
    for (algorithm, kid) in [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec"), ("EdDSA", "ed")] {
        let token = signed(&header(algorithm, kid), &payload().to_string(), algorithm);
        let claims = check(&token).unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!((claims.account.as_str(), claims.subject.as_deref()), ("alice", Some("0815")));
        assert_eq!(claims.expires, now() + Duration::from_secs(300));
        let issuer = "https://id.example.com".to_owned();
        assert_eq!(
            claims.names(),
            [
                Name::Claim {
                    issuer: issuer.clone(),
                    name: "preferred_username".to_owned(),
                    value: "alice".to_owned()
                },
                Name::Claim { issuer, name: "sub".to_owned(), value: "0815".to_owned() },
            ]
        );
    }
}

/// Signatures that others made: the examples of RFC 7515, A.2 and A.3, and of RFC 8037, A.4.
#[test]
fn signatures_of_others_are_verified() {
    let of_rfc = |key: &str, signed: &str, signature: &str, algorithm: Algorithm| {
        let keys = Keys::parse(format!("{{\"keys\":[{key}]}}").as_bytes()).unwrap();
        let signature = decode(signature, Part::Signature).unwrap();
        assert_eq!(verify(&keys, algorithm, None, signed, &signature), Ok(()));
        let other = format!("{signed}A");
        assert_eq!(verify(&keys, algorithm, None, &other, &signature), Err(TokenError::Signature));
    };
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    of_rfc(
        r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
        &format!("eyJhbGciOiJSUzI1NiJ9.{payload}"),
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        Algorithm::Rs256,
    );
    of_rfc(
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        &format!("eyJhbGciOiJFUzI1NiJ9.{payload}"),
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        Algorithm::Es256,
    );
    of_rfc(
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        Algorithm::EdDsa,
    );
}

#[test]
fn what_a_token_may_not_claim() {
    let changed = |name: &str, value: Value| {
        let mut payload = payload();
        match value {
            Value::Null => payload.as_object_mut().unwrap().remove(name),
            value => payload.as_object_mut().unwrap().insert(name.to_owned(), value),
        };
        check(&signed(&header("EdDSA", "ed"), &payload.to_string(), "EdDSA")).map(|_| ())
    };
    use TokenError::{Audience, Expired, Issuer, Missing, Nameless, NotYetValid, Required};
    for (name, value, expected) in [
        ("iss", json!("https://id.example.com/"), Err(Issuer)),
        ("iss", json!(1), Err(Missing("iss"))),
        ("iss", Value::Null, Err(Missing("iss"))),
        ("aud", json!("Weir"), Err(Audience)),
        ("aud", json!([]), Err(Audience)),
        ("aud", json!(["other", "databases"]), Ok(())),
        ("aud", json!({ "weir": 1 }), Err(Audience)),
        ("aud", Value::Null, Err(Missing("aud"))),
        ("exp", json!(NOW_SECS - 29), Ok(())),
        ("exp", json!(NOW_SECS - 30), Err(Expired(30))),
        ("exp", json!(0), Err(Expired(NOW_SECS))),
        ("exp", json!(NOW_SECS as f64 + 0.5), Ok(())),
        ("exp", json!("2030"), Err(Missing("exp"))),
        ("exp", json!(-1), Err(Missing("exp"))),
        ("exp", json!(1e300), Err(Missing("exp"))),
        ("exp", Value::Null, Err(Missing("exp"))),
        ("nbf", json!(NOW_SECS + 30), Ok(())),
        ("nbf", json!(NOW_SECS + 31), Err(NotYetValid(31))),
        ("nbf", json!(true), Err(Missing("nbf"))),
        ("nbf", Value::Null, Ok(())),
        ("iat", json!(NOW_SECS + 31), Err(NotYetValid(31))),
        ("iat", Value::Null, Ok(())),
        ("groups", json!(["sales"]), Err(Required)),
        ("groups", json!("support"), Ok(())),
        ("groups", Value::Null, Err(Required)),
        ("email_verified", json!(false), Err(Required)),
        ("email_verified", json!("true"), Ok(())),
        ("preferred_username", Value::Null, Err(Nameless)),
        ("preferred_username", json!(""), Err(Nameless)),
        ("preferred_username", json!("alice\n"), Err(Nameless)),
        ("preferred_username", json!(["alice"]), Err(Nameless)),
        ("preferred_username", json!("a".repeat(NAME_BYTES_MAX + 1)), Err(Nameless)),
        ("sub", Value::Null, Ok(())),
        ("sub", json!(815), Err(Missing("sub"))),
    ] {
        assert_eq!(changed(name, value.clone()), expected, "{name}: {value}");
    }
    let twice = payload().to_string().replacen('{', "{\"preferred_username\":\"bob\",", 1);
    assert_eq!(check(&signed(&header("EdDSA", "ed"), &twice, "EdDSA")), Err(TokenError::Repeated(Part::Payload)));
    let array = check(&signed(&header("EdDSA", "ed"), "[]", "EdDSA"));
    assert_eq!(array, Err(TokenError::Malformed(Part::Payload)));
}

#[test]
fn how_a_token_may_not_be_signed() {
    let payload = payload().to_string();
    let with = |header: Value, algorithm: &str| check(&signed(&header.to_string(), &payload, algorithm)).map(|_| ());
    use TokenError::{Algorithm, Critical, KeyUnnamed, Kind, Malformed, Signature, Symmetric, UnknownKey, Unsigned};
    for (header, algorithm, expected) in [
        (json!({ "alg": "none" }), "RS256", Unsigned),
        (json!({ "alg": "nOnE", "kid": "rsa" }), "RS256", Unsigned),
        (json!({ "alg": "HS256", "kid": "rsa" }), "RS256", Symmetric),
        (json!({ "alg": "ES256K", "kid": "ec" }), "ES256", Algorithm),
        (json!({ "alg": "rs256", "kid": "rsa" }), "RS256", Algorithm),
        (json!({ "alg": 1, "kid": "rsa" }), "RS256", Malformed(Part::Header)),
        (json!({ "kid": "rsa" }), "RS256", Malformed(Part::Header)),
        (json!({ "alg": "RS256", "kid": 7 }), "RS256", Malformed(Part::Header)),
        (json!({ "alg": "RS256", "kid": "RSA" }), "RS256", UnknownKey),
        (json!({ "alg": "RS256", "kid": "" }), "RS256", UnknownKey),
        (json!({ "alg": "RS256", "kid": "ec" }), "RS256", UnknownKey),
        (json!({ "alg": "ES256", "kid": "rsa" }), "ES256", UnknownKey),
        (json!({ "alg": "EdDSA", "kid": "odd" }), "EdDSA", UnknownKey),
        (json!({ "alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false }), "RS256", Critical),
        (json!({ "alg": "RS256", "kid": "rsa", "crit": [] }), "RS256", Critical),
        (json!({ "alg": "RS256", "kid": "rsa", "typ": "logout+jwt" }), "RS256", Kind),
        (json!({ "alg": "PS256", "kid": "rsa" }), "RS256", Signature),
        (json!({ "alg": "ES256", "kid": "ec" }), "EdDSA", Signature),
    ] {
        assert_eq!(with(header.clone(), algorithm), Err(expected), "{header}");
    }
    // A key in the header is nobody's, and the one that is meant by the only key that fits needs no name.
    assert_eq!(with(json!({ "alg": "RS256", "jwk": {}, "jku": "https://evil.example" }), "RS256"), Ok(()));
    assert_eq!(with(json!({ "alg": "RS256", "kid": "rsa", "typ": "application/AT+jwt" }), "RS256"), Ok(()));
    assert_eq!(with(json!({ "alg": "EdDSA", "typ": "JWT" }), "EdDSA"), Ok(()));
    let double = r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#;
    assert_eq!(check(&signed(double, &payload, "RS256")), Err(TokenError::Repeated(Part::Header)));

    let mut two = provider().keys();
    let other = Provider::new().keys()["keys"][2].clone();
    two["keys"].as_array_mut().unwrap().push(other);
    let two = Keys::parse(two.to_string().as_bytes()).unwrap();
    let unnamed = signed(r#"{"alg":"EdDSA"}"#, &payload, "EdDSA");
    assert_eq!(rules().check(&two, &unnamed, now()), Err(KeyUnnamed));
    // Two of one name: the one that signed is among them.
    assert!(rules().check(&two, &signed(&header("EdDSA", "ed"), &payload, "EdDSA"), now()).is_ok());
}

/// The public key of RSA, taken for the secret of an HMAC: whoever knows the public key could sign.
#[test]
fn a_public_key_is_no_secret() {
    let message = format!("{}.{}", encoded(header("HS256", "rsa")), encoded(payload().to_string()));
    let public = provider().rsa.public_key().as_ref();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, public);
    let token = format!("{message}.{}", encoded(aws_lc_rs::hmac::sign(&key, message.as_bytes())));
    assert_eq!(check(&token), Err(TokenError::Symmetric));
}

#[test]
fn what_is_no_token_is_told_without_it() {
    let good = signed(&header("ES256", "ec"), &payload().to_string(), "ES256");
    let (message, signature) = good.rsplit_once('.').unwrap();
    use TokenError::{Encrypted, Malformed, NoToken, Signature, TooLong};
    for (token, expected) in [
        (String::new(), NoToken),
        ("secret password".to_owned(), NoToken),
        ("a.b".to_owned(), NoToken),
        ("a.b.c.d".to_owned(), NoToken),
        ("a.b.c.d.e".to_owned(), Encrypted),
        ("..".to_owned(), Malformed(Part::Header)),
        (format!("{message}."), Signature),
        (format!("{message}.{signature}=="), Malformed(Part::Signature)),
        (format!("{message}.{signature} "), Malformed(Part::Signature)),
        (format!(" {good}"), Malformed(Part::Header)),
        (format!("{message}.{}", &signature[..signature.len() - 2]), Signature),
        (format!("{message}.{}", encoded([0; 64])), Signature),
        ("a".repeat(TOKEN_BYTES_MAX + 1), TooLong),
    ] {
        let error = check(&token).unwrap_err();
        assert_eq!(error, expected, "{token}");
        assert!(token.len() < 6 || !format!("{error} {error:?}").contains(&token));
    }
    assert_eq!(rules().check(&Keys::default(), &good, now()), Err(TokenError::UnknownKey));
}

#[test]
fn a_set_of_keys_is_good_or_refused() {
    let told = |text: &str| Keys::parse(text.as_bytes()).map(|keys| keys.len());
    assert_eq!(told(&provider().keys().to_string()), Ok(3));
    for (text, word) in [
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        (r#"{"keys":{}}"#, "no array `keys`"),
        (r#"{"keys":[],"keys":[]}"#, "twice"),
        (r#"{"keys":[]}"#, "no key that verifies"),
        (r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, "private or shared"),
        (r#"{"keys":[{"kty":"OKP","crv":"Ed25519","d":"AA","x":"AA"}]}"#, "private or shared"),
    ] {
        let message = told(text).unwrap_err();
        assert!(message.contains(word), "{text}: {message}");
    }
    let many: Vec<Value> = (0..=super::super::jwks::KEYS_MAX).map(|_| json!({})).collect();
    assert!(told(&json!({ "keys": many }).to_string()).unwrap_err().contains("65 keys"));
    let changed = |at: usize, name: &str, value: Value| {
        let mut set = provider().keys();
        set["keys"][at][name] = value;
        told(&set.to_string())
    };
    for (at, name, value) in [
        (0, "use", json!("enc")),
        (0, "n", json!(encoded([0xff; 128]))),
        (0, "n", json!(encoded(vec![0xff; 1025]))),
        (0, "e", json!("AQ")),
        (0, "e", json!("Ag")),
        (0, "alg", json!("RS512")),
        (0, "alg", json!("ES256")),
        (1, "crv", json!("P-384")),
        (1, "x", json!("AA")),
        (1, "kid", json!(1)),
        (2, "key_ops", json!(["sign"])),
        (2, "x", json!("not base64")),
    ] {
        assert_eq!(changed(at, name, value.clone()), Ok(2), "{name}: {value}");
    }
    // A point that is not on the curve is a key that verifies nothing.
    let mut set = provider().keys();
    set["keys"][1]["x"] = json!(encoded([7; 32]));
    let off = Keys::parse(set.to_string().as_bytes()).unwrap();
    let token = signed(&header("ES256", "ec"), &payload().to_string(), "ES256");
    assert_eq!(rules().check(&off, &token, now()), Err(TokenError::Signature));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is changed in a token: it is refused, or it is the same token.
    #[test]
    fn no_changed_token_passes(at in 0..600_usize, put in "[A-Za-z0-9_.=-]{0,4}", cut in 0..4_usize) {
        static GOOD: OnceLock<String> = OnceLock::new();
        let good = GOOD.get_or_init(|| signed(&header("EdDSA", "ed"), &payload().to_string(), "EdDSA"));
        let at = at.min(good.len());
        let token = format!("{}{put}{}", &good[..at], &good[(at + cut).min(good.len())..]);
        proptest::prop_assert_eq!(check(&token).is_ok(), token == *good);
    }

    #[test]
    fn no_token_is_too_broken(header in "\\PC{0,40}", payload in "\\PC{0,40}", signature in "[A-Za-z0-9_-]{0,90}") {
        let token = format!("{}.{}.{signature}", encoded(header), encoded(payload));
        proptest::prop_assert!(check(&token).is_err());
    }
}
