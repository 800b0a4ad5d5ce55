//! The client's half of SCRAM-SHA-256 (RFC 7677), without channel binding.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// One exchange.
#[derive(Debug)]
pub struct Scram {
    password: String,
    nonce: String,
    auth_message: String,
    salted: [u8; 32],
}

impl Scram {
    /// Starts an exchange.
    pub fn new(password: &str) -> Scram {
        let mut random = [0_u8; 18];
        rand::fill(&mut random).expect("randomness");
        Scram {
            password: password.to_owned(),
            nonce: STANDARD.encode(random),
            auth_message: String::new(),
            salted: [0; 32],
        }
    }

    /// The client's first message.
    pub fn first(&self) -> String {
        format!("n,,n=,r={}", self.nonce)
    }

    /// The client's final message, in answer to the server's first.
    pub fn last(&mut self, server_first: &str) -> Result<String, String> {
        let field = |name: &str| {
            server_first
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or(format!("no {name} in {server_first}"))
        };
        let nonce = field("r=")?;
        if !nonce.starts_with(&self.nonce) {
            return Err("the server's nonce does not begin with ours".to_owned());
        }
        let salt = STANDARD.decode(field("s=")?).map_err(|error| error.to_string())?;
        let iterations: NonZeroU32 = field("i=")?.parse().map_err(|_| "bad iteration count".to_owned())?;
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, self.password.as_bytes(), &mut self.salted);
        let client_key = sign(&self.salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let without_proof = format!("c=biws,r={nonce}");
        self.auth_message = format!("n=,r={},{server_first},{without_proof}", self.nonce);
        let signature = sign(stored.as_ref(), self.auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, sign)| key ^ sign).collect();
        Ok(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server's final message proves that it knows the password.
    pub fn server_is_genuine(&self, server_final: &str) -> bool {
        let expected = sign(&sign(&self.salted, b"Server Key"), self.auth_message.as_bytes());
        server_final.strip_prefix("v=").and_then(|text| STANDARD.decode(text).ok()).is_some_and(|got| got == expected)
    }
}

fn sign(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}
