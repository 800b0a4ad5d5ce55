//! SCRAM-SHA-256 on both sides of Weir, without sockets: what is kept of a password, what is derived from it, and the
//! fields of the messages. RFC 5802, RFC 7677; <https://www.postgresql.org/docs/current/sasl-authentication.html>
//!
//! INVARIANT: neither a password nor a key stands in an error or in Debug output; keys are compared in constant time and
//! wiped when they are dropped. What a server asks to compute is bounded before it is computed.

mod client;
mod server;
#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroize;

pub use client::{Challenge, Client};
pub use server::{Accepted, Binding, Server};

/// The mechanism without channel binding.
pub const MECHANISM: &str = "SCRAM-SHA-256";
/// The mechanism that is bound to the TLS connection.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";
/// Most iterations that Weir computes for a server: tens of milliseconds of a core. A server that asked pgbouncer for
/// 2^31 stopped it for everybody.
pub const ITERATIONS_MAX: u32 = 100_000;
/// What PostgreSQL makes verifiers with, unless `scram_iterations` says otherwise.
pub const ITERATIONS: u32 = 4096;
/// Bytes of salt in a verifier that Weir makes, as PostgreSQL's have.
pub const SALT_BYTES: usize = 16;
/// Longest salt that is taken: a verifier of PostgreSQL's may have any, and has 16 bytes.
const SALT_BYTES_MAX: usize = 1024;
/// Longest message of an exchange: drivers send under 200 bytes.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Bytes of a key and of a proof.
const KEY_BYTES: usize = 32;
/// What a verifier begins with.
const PREFIX: &str = "SCRAM-SHA-256$";

/// Why an exchange fails. None of these says whether the account exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ScramError {
    /// A message that does not follow its format.
    #[error("malformed SCRAM message: {0}")]
    Malformed(&'static str),
    /// A mechanism that was not offered.
    #[error("the SASL mechanism was not offered")]
    UnknownMechanism,
    /// The client believes that no channel binding was offered, and it was: somebody took it off the list.
    #[error("the client supports SCRAM channel binding and thinks that the server does not, which it does")]
    Downgraded,
    /// The client saw another certificate than Weir's.
    #[error("SCRAM channel binding check failed")]
    OtherChannel,
    /// The proof does not fit the verifier.
    #[error("the password is wrong")]
    WrongPassword,
    /// The server wants more computed than Weir does.
    #[error("the server asks for {0} iterations, and weir computes at most {ITERATIONS_MAX}")]
    TooManyIterations(u64),
    /// The server has another verifier than Weir.
    #[error("the server has another password of the account than weir's verifiers")]
    OtherVerifier,
    /// The server refused in its last message.
    #[error("the server refused the login")]
    Refused,
    /// The server does not know the password, either: it is not the server.
    #[error("the server did not prove that it knows the password")]
    NotTheServer,
}

/// A key of an exchange.
#[derive(Clone)]
pub struct Key([u8; KEY_BYTES]);

impl Key {
    fn hmac(key: &[u8], message: &[u8]) -> Key {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
        Key::of(tag.as_ref())
    }

    fn hash(&self) -> Key {
        Key::of(digest::digest(&digest::SHA256, &self.0).as_ref())
    }

    fn of(bytes: &[u8]) -> Key {
        let mut key = Key([0; KEY_BYTES]);
        for (to, from) in key.0.iter_mut().zip(bytes) {
            *to = *from;
        }
        key
    }

    fn xor(&self, other: &Key) -> Key {
        let mut key = self.clone();
        for (to, from) in key.0.iter_mut().zip(other.0) {
            *to ^= from;
        }
        key
    }

    fn from_base64(text: &str) -> Option<Key> {
        let mut bytes = STANDARD.decode(text).ok()?;
        let key = (bytes.len() == KEY_BYTES).then(|| Key::of(&bytes));
        bytes.zeroize();
        key
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key")
    }
}

/// What a client computes from a password and the server's salt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Proves the password to the server.
    pub client: Key,
    /// Proves to the client that the server has its verifier.
    pub server: Key,
}

impl Keys {
    /// From a password: as slow as the iterations are many, so not on a thread that serves sessions.
    pub fn derive(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Keys {
        let mut salted = [0; KEY_BYTES];
        let mut normal = saslprep(password);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &normal, &mut salted);
        let keys = Keys { client: Key::hmac(&salted, b"Client Key"), server: Key::hmac(&salted, b"Server Key") };
        salted.zeroize();
        normal.zeroize();
        keys
    }
}

/// A password as SASLprep (RFC 4013) writes it; as it stands where that is not possible, which is what PostgreSQL and
/// libpq do as well.
fn saslprep(password: &[u8]) -> Vec<u8> {
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    match prepared {
        Some(text) if !text.is_empty() => text.as_bytes().to_vec(),
        _ => password.to_vec(),
    }
}

/// What a server keeps of a password, in the form of PostgreSQL's `pg_authid.rolpassword`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored: Key,
    server: Key,
}

impl Verifier {
    /// Reads `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`. `None`: it is none.
    pub fn parse(text: &str) -> Option<Verifier> {
        let (iterations, rest) = text.strip_prefix(PREFIX)?.split_once(':')?;
        let (salt, keys) = rest.split_once('$')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations: NonZeroU32 = digits(iterations)?;
        let salt = STANDARD.decode(salt).ok().filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()))?;
        Some(Verifier { iterations, salt, stored: Key::from_base64(stored)?, server: Key::from_base64(server)? })
    }

    /// Of a password, with a salt that nobody else has.
    pub fn new(password: &[u8], salt: &[u8], iterations: NonZeroU32) -> Verifier {
        let keys = Keys::derive(password, salt, iterations);
        Verifier { iterations, salt: salt.to_vec(), stored: keys.client.hash(), server: keys.server.clone() }
    }

    /// Of an account that does not exist: the same salt each time, as a real account has, and nothing fits it.
    /// `secret` is known to nobody outside; PostgreSQL has `mock_authentication_nonce`.
    pub fn mock(secret: &[u8], account: &str, iterations: NonZeroU32) -> Verifier {
        let derived = Key::hmac(secret, account.as_bytes());
        let salt = derived.0.iter().take(SALT_BYTES).copied().collect();
        Verifier { iterations, salt, stored: derived.hash(), server: derived.hash().hash() }
    }

    /// As PostgreSQL writes it.
    pub fn text(&self) -> String {
        let [salt, stored, server] = [&*self.salt, &self.stored.0, &self.server.0].map(|bytes| STANDARD.encode(bytes));
        format!("{PREFIX}{}:{salt}${stored}:{server}", self.iterations)
    }

    /// How often the password is hashed.
    pub fn iterations(&self) -> NonZeroU32 {
        self.iterations
    }
}

/// A number without a sign or leading zeros, as both sides write it.
fn digits<N: std::str::FromStr>(text: &str) -> Option<N> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}

/// A message as text: SCRAM's are.
fn message(bytes: &[u8]) -> Result<&str, ScramError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(ScramError::Malformed("too long"));
    }
    std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'))
        .ok_or(ScramError::Malformed("text that is not UTF-8"))
}

/// Takes the attribute of this name off the front of a message.
fn attribute<'m>(rest: &mut &'m str, name: char) -> Result<&'m str, ScramError> {
    let body = rest.strip_prefix(name).and_then(|body| body.strip_prefix('='));
    let body = body.ok_or(ScramError::Malformed("an attribute is missing, or not in its place"))?;
    let (value, behind) = body.split_once(',').unwrap_or((body, ""));
    *rest = behind;
    Ok(value)
}

/// What the server's first message asks to compute, for whoever lets a driver do it.
///
/// # Errors
/// A message that is none, or asks for more than [`ITERATIONS_MAX`].
pub fn judge_server_first(bytes: &[u8]) -> Result<(), ScramError> {
    let mut rest = message(bytes)?;
    attribute(&mut rest, 'r')?;
    attribute(&mut rest, 's')?;
    iterations(attribute(&mut rest, 'i')?).map(|_| ())
}

fn iterations(text: &str) -> Result<NonZeroU32, ScramError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ScramError::Malformed("the iteration count is no number"));
    }
    // Digits only, so what does not fit is too large.
    let count = text.parse().unwrap_or(u64::MAX);
    if count > u64::from(ITERATIONS_MAX) {
        return Err(ScramError::TooManyIterations(count));
    }
    let count = u32::try_from(count).ok().and_then(NonZeroU32::new);
    count.ok_or(ScramError::Malformed("the iteration count is zero"))
}
