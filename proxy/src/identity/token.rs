//! What a token of an identity provider proves: a signed JWT (RFC 7519, 7515) that is checked as RFC 8725 asks for.
//!
//! Signatures are verified with aws-lc-rs, which TLS uses as well. A JWT crate was looked at and left out: what remains
//! besides the signature is what such crates do loosely (two claims of one name, `crit`, an algorithm that the token
//! picks), so that it would have to be done again in front of it.
//!
//! INVARIANT: the algorithm is one that the key is for, and asymmetric; a token never brings its own key. Nothing of a
//! payload is looked at before its signature is verified, and nothing of a token ever stands in an error.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::jwks::{Algorithm, Keys};
use super::login::Name;
use super::strict_json;

/// Longest token, bytes: one with hundreds of groups fits, and one is read only after its client has been counted.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// Most skew between the clocks of the provider and this host: more would keep leavers in.
pub const SKEW_MAX: Duration = Duration::from_secs(300);
/// Longest value of a claim that can name somebody, bytes.
const NAME_BYTES_MAX: usize = 512;
/// Later than any moment that a token may speak of, seconds since 1970: the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// What a token must say to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// Who must have issued it, exactly.
    pub issuer: String,
    /// Audiences of which it must name one.
    pub audiences: Vec<String>,
    /// How far the clocks may be apart.
    pub skew: Duration,
    /// The claim that names the person or account.
    pub claim: String,
    /// Claims that must be there with this value, or hold it in an array.
    pub required: Vec<(String, String)>,
}

/// What a token that was believed says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Who issued it.
    pub issuer: String,
    /// Whom it is about, by the issuer's own name; `None` where it has none.
    pub subject: Option<String>,
    /// Value of the claim that names the person or account.
    pub account: String,
    /// The claim that names them.
    pub claim: String,
    /// When it ends.
    pub expires: SystemTime,
}

impl TokenClaims {
    /// The names by which a directory can know whom it is about.
    pub fn names(&self) -> Vec<Name> {
        let named = |name: &str, value: &str| Name::Claim {
            issuer: self.issuer.clone(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let mut names = vec![named(&self.claim, &self.account)];
        names.extend(self.subject.iter().filter(|_| self.claim != "sub").map(|subject| named("sub", subject)));
        names
    }
}

/// Why a token is not believed. Nothing that the token says stands in it, since it goes to the client and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any token.
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes; have the provider put fewer groups into it")]
    TooLong,
    /// Not three parts with dots between them.
    #[error("what was sent as the password is no token: log in with a signed JWT")]
    NoToken,
    /// Five parts: encrypted.
    #[error("the token is encrypted (JWE); weir takes signed ones (JWS)")]
    Encrypted,
    /// A part that is no base64url or no JSON object.
    #[error("the token's {0} cannot be read")]
    Malformed(Part),
    /// An object that names a member twice. RFC 7519, 4.
    #[error("the token's {0} names something twice")]
    Repeated(Part),
    /// `alg: none`. RFC 8725, 3.2.
    #[error("the token is not signed (alg none)")]
    Unsigned,
    /// An HMAC: who could check it could make it.
    #[error(
        "the token is signed with a shared secret (alg HS…), which weir does not take; have the provider sign with RS256, PS256, ES256 or EdDSA"
    )]
    Symmetric,
    /// Another algorithm.
    #[error(
        "the token is signed with an algorithm that weir does not take; have the provider sign with RS256, PS256, ES256 or EdDSA"
    )]
    Algorithm,
    /// A header that asks for something to be understood. RFC 7515, 4.1.11.
    #[error("the token's header has `crit`: it asks for something that weir does not know")]
    Critical,
    /// Another kind of token, by its own word. RFC 8725, 3.11.
    #[error("the token is of another kind (typ): log in with an access or id token")]
    Kind,
    /// A key that is not there.
    #[error("the token is signed with a key that weir does not know (kid)")]
    UnknownKey,
    /// No name of a key, and several that fit.
    #[error("the token does not say which key signed it (kid), and there are several")]
    KeyUnnamed,
    /// Signed by somebody else, or changed since.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that must be there and is not, or is of another type.
    #[error("the token has no usable `{0}`")]
    Missing(&'static str),
    /// Issued by somebody else.
    #[error("the token is of another issuer (iss)")]
    Issuer,
    /// Meant for somebody else.
    #[error("the token is meant for another audience (aud)")]
    Audience,
    /// Over.
    #[error("the token expired {0} s ago (exp): get a new one")]
    Expired(u64),
    /// Not yet valid.
    #[error("the token is valid only in {0} s (nbf, iat): compare the clocks")]
    NotYetValid(u64),
    /// The claim that names somebody is not there.
    #[error("the token does not have the claim that says who it is about")]
    Nameless,
    /// A claim that the rules require.
    #[error("the token does not have a claim, with its value, that is required here")]
    Required,
}

/// A part of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What says how it is signed.
    Header,
    /// What it claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Header => "header",
            Part::Payload => "payload",
            Part::Signature => "signature",
        })
    }
}

/// Members of a JSON object, none twice.
type Object = serde_json::Map<String, Value>;

impl TokenRules {
    /// Whether a token is to be believed, under these keys.
    ///
    /// # Errors
    /// Why it is not.
    pub fn check(&self, keys: &Keys, token: &str, now: SystemTime) -> Result<TokenClaims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::NoToken);
        };
        match parts.count() {
            0 => {}
            2 => return Err(TokenError::Encrypted),
            _ => return Err(TokenError::NoToken),
        }
        let signed = &token[..header.len() + 1 + payload.len()];
        let (algorithm, kid) = read_header(header)?;
        let signature = decode(signature, Part::Signature)?;
        verify(keys, algorithm, kid.as_deref(), signed, &signature)?;
        self.claims(&object(payload, Part::Payload)?, now)
    }

    /// RFC 7519, 4.1, and OpenID Connect Core 1.0, 3.1.3.7.
    fn claims(&self, claims: &Object, now: SystemTime) -> Result<TokenClaims, TokenError> {
        let issuer = claims.get("iss").and_then(Value::as_str).ok_or(TokenError::Missing("iss"))?;
        if issuer != self.issuer {
            return Err(TokenError::Issuer);
        }
        let meant =
            |audience: &Value| audience.as_str().is_some_and(|one| self.audiences.iter().any(|ours| ours == one));
        let audience = claims.get("aud").ok_or(TokenError::Missing("aud"))?;
        let ours = match audience {
            Value::Array(several) => several.iter().any(meant),
            one => meant(one),
        };
        if !ours {
            return Err(TokenError::Audience);
        }
        let skew = self.skew.min(SKEW_MAX);
        let expires = moment(claims, "exp")?.ok_or(TokenError::Missing("exp"))?;
        // RFC 7519, 4.1.4: not on or after this moment.
        if let Ok(ago) = now.duration_since(expires)
            && ago >= skew
        {
            return Err(TokenError::Expired(ago.as_secs()));
        }
        for name in ["nbf", "iat"] {
            let Some(begins) = moment(claims, name)? else { continue };
            if let Ok(ahead) = begins.duration_since(now)
                && ahead > skew
            {
                return Err(TokenError::NotYetValid(ahead.as_secs().max(1)));
            }
        }
        for (name, expected) in &self.required {
            let held = claims.get(name).is_some_and(|value| match value {
                Value::Array(several) => several.iter().any(|one| is(one, expected)),
                one => is(one, expected),
            });
            if !held {
                return Err(TokenError::Required);
            }
        }
        let subject = match claims.get("sub") {
            None => None,
            Some(subject) => Some(name_in(subject).ok_or(TokenError::Missing("sub"))?),
        };
        Ok(TokenClaims {
            issuer: issuer.to_owned(),
            subject,
            account: claims.get(&self.claim).and_then(name_in).ok_or(TokenError::Nameless)?,
            claim: self.claim.clone(),
            expires,
        })
    }
}

/// A claim that can name somebody: neither empty nor with characters that no name has.
fn name_in(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let usable = !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control);
    usable.then(|| text.to_owned())
}

/// Whether a claim has a value that the rules write as a text.
fn is(value: &Value, expected: &str) -> bool {
    match value {
        Value::String(text) => text == expected,
        Value::Bool(flag) => expected == if *flag { "true" } else { "false" },
        Value::Number(number) => number.to_string() == expected,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// `NumericDate`: seconds since 1970, perhaps with a fraction. RFC 7519, 2.
fn moment(claims: &Object, name: &'static str) -> Result<Option<SystemTime>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    let since = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    since.and_then(|since| UNIX_EPOCH.checked_add(since)).map(Some).ok_or(TokenError::Missing(name))
}

/// How a token says that it is signed. RFC 7515, 4.1.
fn read_header(header: &str) -> Result<(Algorithm, Option<String>), TokenError> {
    let header = object(header, Part::Header)?;
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(TokenError::Malformed(Part::Header)),
    };
    let algorithm = match text("alg")? {
        Some(none) if none.eq_ignore_ascii_case("none") => return Err(TokenError::Unsigned),
        Some("HS256" | "HS384" | "HS512") => return Err(TokenError::Symmetric),
        Some(name) => Algorithm::named(name).ok_or(TokenError::Algorithm)?,
        None => return Err(TokenError::Malformed(Part::Header)),
    };
    if header.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    // RFC 7515, 4.1.9: `application/` may be left out, and the type has no case.
    let kind = text("typ")?.map(str::to_ascii_lowercase);
    let kind = kind.as_deref().map(|kind| kind.strip_prefix("application/").unwrap_or(kind));
    if !matches!(kind, None | Some("jwt" | "at+jwt")) {
        return Err(TokenError::Kind);
    }
    // `jwk`, `jku`, `x5c` and `x5u` bring or name a key, and are left alone: keys come from the provider alone.
    Ok((algorithm, text("kid")?.map(str::to_owned)))
}

fn verify(
    keys: &Keys,
    algorithm: Algorithm,
    kid: Option<&str>,
    signed: &str,
    signature: &[u8],
) -> Result<(), TokenError> {
    let mut fitting =
        keys.iter().filter(|key| key.fits(algorithm) && kid.is_none_or(|kid| key.kid() == Some(kid))).peekable();
    if fitting.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    if kid.is_none() && fitting.clone().nth(1).is_some() {
        return Err(TokenError::KeyUnnamed);
    }
    // RFC 7517, 4.5, lets keys share a name. Their number is bounded where they are read.
    if fitting.any(|key| key.verify(algorithm, signed.as_bytes(), signature)) {
        Ok(())
    } else {
        Err(TokenError::Signature)
    }
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed(part))
}

fn object(text: &str, part: Part) -> Result<Object, TokenError> {
    strict_json::object(&decode(text, part)?).map_err(|wrong| match wrong {
        strict_json::Wrong::Repeated => TokenError::Repeated(part),
        strict_json::Wrong::Malformed => TokenError::Malformed(part),
    })
}

#[cfg(test)]
pub(super) mod tests;
