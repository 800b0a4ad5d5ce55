//! The client's half: Weir at a database server. Without channel binding, since the server's certificate is verified
//! where there is one.

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Key, Keys, SALT_BYTES_MAX, ScramError, Verifier, attribute, iterations, message};

/// What goes before a client's first message: no channel binding, nobody to act for.
const HEADER: &str = "n,,";
/// The same in the last message, in base64.
const CHANNEL: &str = "c=biws";
/// Longest nonce of a server: PostgreSQL's adds 24 characters to the client's.
const NONCE_BYTES_MAX: usize = 512;

/// What a server wants computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Its salt.
    pub salt: Vec<u8>,
    /// At most [`ITERATIONS_MAX`](super::ITERATIONS_MAX).
    pub iterations: NonZeroU32,
}

impl Challenge {
    /// Whether whoever has proved the password of this verifier has the keys for this challenge.
    pub fn fits(&self, verifier: &Verifier) -> bool {
        self.salt == verifier.salt && self.iterations == verifier.iterations
    }
}

/// One exchange.
#[derive(Debug)]
pub struct Client {
    nonce: String,
    server_first: String,
    combined: String,
    confirmation: Option<Key>,
}

impl Client {
    /// Begins an exchange. `nonce` is printable, random, and used once.
    pub fn new(nonce: &str) -> Client {
        Client { nonce: nonce.to_owned(), server_first: String::new(), combined: String::new(), confirmation: None }
    }

    /// The first message. The name is empty: the server knows it from the StartupMessage.
    pub fn first(&self) -> Vec<u8> {
        format!("{HEADER}{}", self.bare()).into_bytes()
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// Reads the server's challenge.
    ///
    /// # Errors
    /// A message against the format, a nonce that is not built on ours, too many iterations.
    pub fn challenge(&mut self, bytes: &[u8]) -> Result<Challenge, ScramError> {
        let text = message(bytes)?;
        if !self.server_first.is_empty() {
            return Err(ScramError::Malformed("a second challenge"));
        }
        let mut rest = text;
        let nonce = attribute(&mut rest, 'r')?;
        let is_built_on_ours = nonce.strip_prefix(&self.nonce).is_some_and(|own| !own.is_empty());
        if !is_built_on_ours || nonce.len() > NONCE_BYTES_MAX {
            return Err(ScramError::Malformed("the server's nonce is not built on ours"));
        }
        let salt = STANDARD.decode(attribute(&mut rest, 's')?).ok();
        let salt = salt.filter(|salt| (1..=SALT_BYTES_MAX).contains(&salt.len()));
        let salt = salt.ok_or(ScramError::Malformed("the salt is empty, too long, or no base64"))?;
        let iterations = iterations(attribute(&mut rest, 'i')?)?;
        text.clone_into(&mut self.server_first);
        nonce.clone_into(&mut self.combined);
        Ok(Challenge { salt, iterations })
    }

    /// The answer to the challenge.
    pub fn answer(&mut self, keys: &Keys) -> Vec<u8> {
        let without_proof = format!("{CHANNEL},r={}", self.combined);
        let conversation = format!("{},{},{without_proof}", self.bare(), self.server_first);
        let signature = Key::hmac(&keys.client.hash().0, conversation.as_bytes());
        self.confirmation = Some(Key::hmac(&keys.server.0, conversation.as_bytes()));
        format!("{without_proof},p={}", STANDARD.encode(keys.client.xor(&signature).0)).into_bytes()
    }

    /// Whether the server has proved that it knows the password, too.
    ///
    /// # Errors
    /// It has not, or refuses.
    pub fn confirm(&mut self, bytes: &[u8]) -> Result<(), ScramError> {
        let text = message(bytes)?;
        if text.starts_with("e=") {
            return Err(ScramError::Refused);
        }
        let told = text.strip_prefix("v=").and_then(|text| text.split(',').next()).and_then(Key::from_base64);
        match (told, self.confirmation.take()) {
            (Some(told), Some(expected)) if told == expected => Ok(()),
            _ => Err(ScramError::NotTheServer),
        }
    }
}
