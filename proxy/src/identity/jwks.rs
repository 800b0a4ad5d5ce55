//! The public keys of an identity provider: a JSON Web Key Set (RFC 7517), and what each of its keys can verify (RFC 7518).
//!
//! INVARIANT: a key verifies with the algorithms of its own kind, and with that one alone that it names itself. A set that
//! holds a secret is refused as a whole: whoever published it must know.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::strict_json;

/// Longest key set, bytes. Those of the big providers have about ten thousand.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys of a set: a token may have all of those tried that share its `kid`.
pub const KEYS_MAX: usize = 64;
/// Longest modulus, bytes: 8192 bits.
const MODULUS_BYTES_MAX: usize = 1024;
/// Shortest modulus, bytes: 2048 bits. RFC 7518, 3.3.
const MODULUS_BYTES_MIN: usize = 256;
/// Longest exponent, bytes: 65537 has three.
const EXPONENT_BYTES_MAX: usize = 4;
/// Bytes of a coordinate of P-256, and of a key of Ed25519.
const COORDINATE_BYTES: usize = 32;

/// How a token can be signed. RFC 7518, 3.1, RFC 8037, 3.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name, which has a case; `Ed25519` is the name of RFC 9864.
    pub fn named(name: &str) -> Option<Algorithm> {
        match name {
            "RS256" => Some(Algorithm::Rs256),
            "PS256" => Some(Algorithm::Ps256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" | "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Public {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    kid: Option<String>,
    only: Option<Algorithm>,
    public: Public,
}

impl Key {
    /// Its name.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it is for signatures of this kind.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match self.public {
            Public::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Public::P256(_) => algorithm == Algorithm::Es256,
            Public::Ed25519(_) => algorithm == Algorithm::EdDsa,
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether this signature is of this key.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match (&self.public, algorithm) {
            (Public::Rsa { modulus, exponent }, Algorithm::Rs256 | Algorithm::Ps256) => {
                let parameters = match algorithm {
                    Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
                    _ => &RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n: modulus, e: exponent }.verify(parameters, message, signature)
            }
            (Public::P256(point), Algorithm::Es256) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            (Public::Ed25519(key), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            _ => return false,
        };
        verified.is_ok()
    }
}

/// The keys of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

impl Keys {
    /// Reads a key set. Keys of other kinds and for other purposes are left out, as RFC 7517, 5, asks for.
    ///
    /// # Errors
    /// Why nothing can be verified with it.
    pub fn parse(text: &[u8]) -> Result<Keys, String> {
        if text.len() > KEY_SET_BYTES_MAX {
            return Err(format!("has {} bytes, and weir reads {KEY_SET_BYTES_MAX}", text.len()));
        }
        let set = strict_json::object(text).map_err(|wrong| match wrong {
            strict_json::Wrong::Repeated => "names a member twice".to_owned(),
            strict_json::Wrong::Malformed => "is no JSON Web Key Set (RFC 7517): no JSON object".to_owned(),
        })?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err("is no JSON Web Key Set (RFC 7517): it has no array `keys`".to_owned());
        };
        if members.len() > KEYS_MAX {
            return Err(format!("has {} keys, and weir reads {KEYS_MAX}", members.len()));
        }
        // RFC 7518, 6.2.2, 6.3.2 and 6.4: what these hold is secret.
        if members
            .iter()
            .any(|key| ["d", "p", "q", "dp", "dq", "qi", "k", "oth"].iter().any(|name| key.get(name).is_some()))
        {
            return Err(
                "holds a private or shared key, which must not be here: replace that key at the provider, and publish \
                        public keys only"
                    .to_owned(),
            );
        }
        let keys: Vec<Key> = members.iter().filter_map(Value::as_object).filter_map(key).collect();
        if keys.is_empty() {
            return Err("has no key that verifies RS256, PS256, ES256 or EdDSA".to_owned());
        }
        Ok(Keys(keys))
    }

    /// Every key.
    pub fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A key that is meant for signatures and well formed.
fn key(member: &Map<String, Value>) -> Option<Key> {
    let text = |name: &str| member.get(name).and_then(Value::as_str);
    let number = |name: &str| text(name).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let coordinate = |name: &str| number(name).filter(|bytes| bytes.len() == COORDINATE_BYTES);
    // RFC 7517, 4.2 and 4.3.
    if member.contains_key("use") && text("use") != Some("sig") {
        return None;
    }
    if let Some(operations) = member.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation == "verify")
    {
        return None;
    }
    let only = match member.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::named(name.as_str()?)?),
    };
    let kid = match member.get("kid") {
        None => None,
        Some(kid) => Some(kid.as_str()?.to_owned()),
    };
    let public = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            let (modulus, exponent) = (trimmed(number("n")?), trimmed(number("e")?));
            let odd = exponent.last().is_some_and(|last| last & 1 == 1) && exponent != [1];
            let fits = (MODULUS_BYTES_MIN..=MODULUS_BYTES_MAX).contains(&modulus.len());
            if !fits || !odd || exponent.len() > EXPONENT_BYTES_MAX {
                return None;
            }
            Public::Rsa { modulus, exponent }
        }
        ("EC", Some("P-256")) => {
            // SEC 1, 2.3.3: an uncompressed point.
            let mut point = vec![4];
            point.extend(coordinate("x")?);
            point.extend(coordinate("y")?);
            Public::P256(point)
        }
        ("OKP", Some("Ed25519")) => Public::Ed25519(coordinate("x")?),
        _ => return None,
    };
    let key = Key { kid, only, public };
    let all = [Algorithm::Rs256, Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
    all.iter().any(|algorithm| key.fits(*algorithm)).then_some(key)
}

/// Some providers write numbers with zero bytes before them, against RFC 7518, 2.
fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}
