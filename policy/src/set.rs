//! A policy as a whole: what it calls sensitive, its rules, its defaults.
//!
//! INVARIANT: the order of rules never matters, and the strictest outcome wins.

use std::sync::Arc;

use crate::cases::{Case, Table};
use crate::rule::{Dataset, Defaults, OnStoreFailure, Rule};

/// A loaded policy file.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(crate) hash: String,
    /// What diagnostics call the file.
    pub(crate) file: Arc<str>,
    /// The whole policy is evaluated and told, and nothing held back.
    pub(crate) observe: bool,
    pub(crate) datasets: Vec<Dataset>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) defaults: Defaults,
    /// Tests of the file.
    pub(crate) cases: Vec<Case>,
    /// Tables that the tests use.
    pub(crate) tables: Vec<Table>,
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
