//! Who acts: the facts about a session that rules ask for.
//!
//! INVARIANT: nothing here is resolved by this crate. The trunk says who somebody is; `known` tells whether the
//! directory vouches for it.

use std::net::IpAddr;
use std::sync::Arc;

/// How a session proved who it is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The database server took the account's credentials, which passed through.
    #[default]
    Relayed,
    /// The credentials were checked at the door.
    Verified,
    /// A token of an identity provider.
    Token,
    /// A client certificate.
    Certificate,
}

/// The person behind a session and the place where the session comes from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Who {
    /// The human (or named machine) that the session resolves to; the owner of the ledger.
    pub person: Arc<str>,
    /// Whether the directory resolved the person; an unknown person is judged by `defaults.unknown-person`.
    pub known: bool,
    /// Groups of the person, by the directory.
    pub groups: Vec<Arc<str>>,
    /// Database account that logged in.
    pub account: Arc<str>,
    /// Client address; `None` when it has none (a local socket).
    pub source: Option<IpAddr>,
    /// Application name that the client claims.
    pub application: Arc<str>,
    /// How the session proved who it is.
    pub proof: Proof,
    /// Others who may be behind it as well, since what it proved and what it says contradict each other. A hold on
    /// one of them holds the session; the budget is that of `person` alone.
    pub also: Vec<Arc<str>>,
}
