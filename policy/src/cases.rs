//! The tests that stand in a policy file: a statement, who sends it, and what must become of it.

use std::sync::Arc;

use crate::budget::Window;
use crate::identity::Who;
use crate::relation::Engine;
use crate::rule::Place;

/// One test.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: Arc<str>,
    pub(crate) at: Place,
    pub(crate) who: Who,
    pub(crate) engine: Engine,
    pub(crate) database: Arc<str>,
    /// Records read before, by window, of each dataset that the statement touches.
    pub(crate) used: Vec<(Window, u64)>,
    /// Second of the statement, Unix time UTC.
    pub(crate) wall: u64,
    pub(crate) sql: String,
    /// Rows that the database answers with.
    pub(crate) rows: u64,
    pub(crate) expected: Expected,
}

/// What must become of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) ending: Ending,
    /// Rows that leave before a cut.
    pub(crate) after: Option<u64>,
    /// Rule or default that decides.
    pub(crate) rule: Option<Arc<str>>,
    /// Rules and defaults that alert, all of them, sorted.
    pub(crate) alerts: Option<Vec<Arc<str>>>,
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It runs to its end, and nobody is told.
    Allow,
    /// It runs to its end, and somebody is told.
    Alert,
    /// It does not run.
    Refuse,
    /// It ends while it runs.
    Cut,
}

/// A table that tests use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Schema (PostgreSQL) or database (MySQL).
    pub(crate) schema: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) columns: Vec<Arc<str>>,
    /// Columns of the primary key.
    pub(crate) key: Vec<Arc<str>>,
    /// 0: not known.
    pub(crate) rows: u64,
}
