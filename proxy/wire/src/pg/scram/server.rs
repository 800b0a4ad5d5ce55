//! The server's half: what PostgreSQL's `auth-scram.c` does with a client's messages, at Weir's door.
//!
//! INVARIANT: an account that does not exist takes the same steps to the same end as a wrong password.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Key, Keys, MECHANISM, MECHANISM_PLUS, ScramError, Verifier, attribute, message};

/// Longest nonce of a client: libpq's has 24 characters.
const NONCE_BYTES_MAX: usize = 512;
/// The one kind of channel binding that PostgreSQL and its drivers speak (RFC 5929, 4).
const BINDING: &str = "tls-server-end-point";

/// What an exchange can be bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// Nothing: there is no TLS, or the client shall not ask.
    None,
    /// The hash of the certificate that the client was shown.
    EndPoint(Vec<u8>),
}

/// A login that succeeded.
#[derive(Debug)]
pub struct Accepted {
    /// The server's last message.
    pub server_final: Vec<u8>,
    /// What proves the same password to a server with the same salt and iterations.
    pub keys: Keys,
    /// Whether it was bound to the TLS connection.
    pub bound: bool,
}

/// One exchange.
#[derive(Debug)]
pub struct Server {
    verifier: Verifier,
    /// Whether anybody can succeed: the account exists, and its verifier is not made up.
    exists: bool,
    binding: Binding,
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The client speaks first.
    First,
    /// It answers the challenge.
    Last { header: String, bare: String, server_first: String, bound: bool },
    /// Nothing more is to be said.
    Done,
}

impl Server {
    /// Begins an exchange. `nonce` is printable, random, and used once.
    pub fn new(verifier: Verifier, exists: bool, binding: Binding, nonce: &str) -> Server {
        Server { verifier, exists, binding, nonce: nonce.to_owned(), state: State::First }
    }

    /// The mechanisms to offer, best first.
    pub fn mechanisms(&self) -> &'static [&'static str] {
        match self.binding {
            Binding::None => &[MECHANISM],
            Binding::EndPoint(_) => &[MECHANISM_PLUS, MECHANISM],
        }
    }

    /// The challenge, in answer to the client's first message.
    ///
    /// # Errors
    /// A message against the format, a mechanism that was not offered, a downgrade.
    pub fn first(&mut self, mechanism: &[u8], bytes: &[u8]) -> Result<Vec<u8>, ScramError> {
        if !matches!(self.state, State::First) {
            return Err(ScramError::Malformed("a second first message"));
        }
        self.state = State::Done;
        let mechanism = std::str::from_utf8(mechanism).map_err(|_| ScramError::UnknownMechanism)?;
        if !self.mechanisms().contains(&mechanism) {
            return Err(ScramError::UnknownMechanism);
        }
        let plus = mechanism == MECHANISM_PLUS;
        let text = message(bytes)?;
        let (flag, rest) = text.split_once(',').ok_or(ScramError::Malformed("no channel binding flag"))?;
        let bound = match flag {
            "n" | "y" if plus => return Err(ScramError::Malformed("channel binding is missing")),
            "n" => false,
            "y" if self.binding != Binding::None => return Err(ScramError::Downgraded),
            "y" => false,
            flag => match flag.strip_prefix("p=") {
                Some(BINDING) if plus => true,
                Some(_) if plus => return Err(ScramError::Malformed("a kind of channel binding that is not known")),
                _ => return Err(ScramError::Malformed("unexpected channel binding flag")),
            },
        };
        // An identity to act for: PostgreSQL knows none.
        let Some(bare) = rest.strip_prefix(',') else {
            return Err(ScramError::Malformed("an authorization identity is not supported"));
        };
        let header = format!("{flag},,");
        let mut rest = bare;
        // Extensions that must be understood come first, and would be here. The name is the StartupMessage's.
        attribute(&mut rest, 'n')?;
        let nonce = attribute(&mut rest, 'r')?;
        let is_printable = nonce.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !is_printable {
            return Err(ScramError::Malformed("the nonce is empty, too long, or not printable"));
        }
        let salt = STANDARD.encode(&self.verifier.salt);
        let server_first = format!("r={nonce}{},s={salt},i={}", self.nonce, self.verifier.iterations);
        self.nonce.insert_str(0, nonce);
        self.state = State::Last { header, bare: bare.to_owned(), server_first: server_first.clone(), bound };
        Ok(server_first.into_bytes())
    }

    /// Judges the client's proof.
    ///
    /// # Errors
    /// A message against the format, another channel, a wrong password, an account that does not exist.
    pub fn last(&mut self, bytes: &[u8]) -> Result<Accepted, ScramError> {
        let State::Last { header, bare, server_first, bound } = std::mem::replace(&mut self.state, State::Done) else {
            return Err(ScramError::Malformed("an answer without a challenge"));
        };
        let text = message(bytes)?;
        let (without_proof, proof) =
            text.rsplit_once(",p=").ok_or(ScramError::Malformed("there is no proof in the last message"))?;
        let mut rest = without_proof;
        let channel = attribute(&mut rest, 'c')?;
        let nonce = attribute(&mut rest, 'r')?;
        let mut expected = header.into_bytes();
        if let (true, Binding::EndPoint(hash)) = (bound, &self.binding) {
            expected.extend_from_slice(hash);
        }
        if channel != STANDARD.encode(&expected) {
            return Err(ScramError::OtherChannel);
        }
        if nonce != self.nonce {
            return Err(ScramError::Malformed("the nonce is not that of the challenge"));
        }
        let proof = Key::from_base64(proof).ok_or(ScramError::Malformed("the proof is no 32 bytes of base64"))?;
        let conversation = format!("{bare},{server_first},{without_proof}");
        let signature = Key::hmac(&self.verifier.stored.0, conversation.as_bytes());
        let client = proof.xor(&signature);
        // Both are looked at, whatever the first says.
        if !((client.hash() == self.verifier.stored) & self.exists) {
            return Err(ScramError::WrongPassword);
        }
        let confirmation = Key::hmac(&self.verifier.server.0, conversation.as_bytes());
        let server_final = format!("v={}", STANDARD.encode(confirmation.0)).into_bytes();
        Ok(Accepted { server_final, keys: Keys { client, server: self.verifier.server.clone() }, bound })
    }

    /// Whether the keys of this exchange are those of a server that sends this challenge.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }
}
