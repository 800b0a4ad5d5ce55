//! A policy as a whole: what it calls sensitive, its rules, its defaults.
//!
//! INVARIANT: the order of rules never matters, and the strictest outcome wins.

use crate::rule::{Dataset, Defaults, OnStoreFailure, Rule};

/// A loaded policy file.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(crate) hash: String,
    /// The whole policy is evaluated and told, and nothing held back.
    pub(crate) observe: bool,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) defaults: Defaults,
}

impl PolicySet {
    /// Hex SHA-256 of the file's text.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether the whole policy only observes.
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// What happens to statements that need a durable record, while there can be none.
    pub fn on_store_failure(&self) -> OnStoreFailure {
        self.defaults.on_store_failure
    }
}
