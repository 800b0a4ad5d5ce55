//! What a client has proved at the door, before anybody is looked up.
//!
//! INVARIANT: a name stands here only after it was proved by the means that `proof` says; what a client merely claims
//! has no place here.

use std::sync::Arc;

use weir_policy::identity::Proof;

/// One login at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account that the client named.
    pub account: Arc<str>,
    /// The account under which the database server knows the session.
    pub upstream_account: Arc<str>,
    /// How the client proved who it is.
    pub proof: Proof,
    /// The method in one word, for the record: `relayed`, `scram-sha-256`, `caching_sha2_password`, …
    pub method: &'static str,
    /// Names that were proved beside the account.
    pub names: Vec<Name>,
}

/// A name that a certificate or a token vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// Subject of a client certificate, as RFC 4514 writes it.
    Subject(String),
    /// A URI of a client certificate's alternative names: a SPIFFE id.
    Uri(String),
    /// A claim of a token.
    Claim {
        /// Who issued the token.
        issuer: String,
        /// Name of the claim.
        name: String,
        /// Its value.
        value: String,
    },
}

impl Login {
    /// A login that the database server itself has judged: its account is the client's.
    pub fn relayed(account: &str) -> Login {
        let account: Arc<str> = account.into();
        Login {
            upstream_account: Arc::clone(&account),
            account,
            proof: Proof::Relayed,
            method: "relayed",
            names: Vec::new(),
        }
    }
}
