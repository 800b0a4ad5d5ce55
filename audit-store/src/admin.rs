//! What operators did, and what people asked them for.
//!
//! INVARIANT: budgets, grants and holds are rebuilt from these records at their place in the log, so each is durable
//! before what it tells of takes effect.

use serde::{Deserialize, Serialize};

/// An act of an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admin {
    /// Who: a person of the directory, or `os:` with an account of the host.
    pub operator: String,
    /// What: `reload`, `budget-reset`, `approve`, `deny`, `kill`, `lift`, …
    pub action: String,
    /// On what: a person, a request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// What came of it: `done`, or `refused` with the reason.
    pub outcome: String,
    /// Why, in the operator's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The dataset, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dataset: Option<String>,
    /// The larger budget that was given.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<Grant>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Until>,
}

/// The end of something, on both clocks; it ends with the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Until {
    /// On the clock of the budgets, milliseconds.
    pub ledger_ms: u64,
    /// On the wall, Unix milliseconds.
    pub time_ms: u64,
}

/// A larger budget for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The request that it answers.
    pub request: String,
    /// Whose budget.
    pub person: String,
    /// Of which rule.
    pub rule: String,
    /// On which dataset.
    pub dataset: String,
    /// How many more records may leave.
    pub records: u64,
    /// Windows of the rule's limits: `minute`, `hour`, `day`, `30d`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub windows: Vec<String>,
}

/// Somebody came to the end of a budget that others may enlarge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// What to approve it by.
    pub id: String,
    /// Whose budget ended.
    pub rule: String,
    /// On which dataset.
    pub dataset: String,
    /// In which window.
    pub window: String,
    /// The limit.
    pub limit: u64,
    /// Who may approve, in words.
    pub approvers: String,
    /// When nobody can approve it any more.
    pub until: Until,
}
