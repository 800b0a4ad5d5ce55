//! What is said on the control socket: one line of JSON each way.

use serde::{Deserialize, Serialize};
use weir_policy::budget::{Unit, Window};

/// Longest request, bytes: names and a reason fit many times.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Longest answer, bytes: ten thousand requests that wait fit.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the process is.
    Status {},
    /// What a person has read, and may still.
    BudgetShow {
        /// The person.
        person: String,
    },
    /// Begin a person's budgets anew.
    BudgetReset {
        /// The person.
        person: String,
        /// Only of this dataset.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dataset: Option<String>,
        /// Why.
        reason: String,
    },
    /// Requests that wait for an answer.
    Approvals {},
    /// Grant a request.
    Approve {
        /// Its name.
        request: String,
        /// How many more records may leave.
        records: u64,
        /// For how long, seconds.
        secs: u64,
        /// Why.
        reason: String,
    },
    /// Turn a request down.
    DenyApproval {
        /// Its name.
        request: String,
        /// Why.
        reason: String,
    },
    /// End a person's sessions and let none begin.
    Kill {
        /// The person.
        person: String,
        /// For how long, seconds.
        secs: u64,
        /// Why.
        reason: String,
    },
    /// Let a person in again.
    Lift {
        /// The person.
        person: String,
        /// Why.
        reason: String,
    },
    /// Read policy, directory and certificates again.
    Reload {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

/// What the process answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done, or this is what was asked for.
    Done(Done),
    /// It was not done.
    Refused {
        /// Why.
        message: String,
        /// What to do.
        hint: String,
    },
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Done {
    /// How the process is.
    Status(Status),
    /// A person's budgets.
    Budget(Budget),
    /// What waits.
    Approvals {
        /// Oldest first.
        requests: Vec<Waiting>,
    },
    /// An act, in one sentence.
    Act {
        /// The sentence.
        text: String,
    },
}

/// How the process is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version.
    pub version: String,
    /// Names this run in records.
    pub boot: String,
    /// Seconds since it started.
    pub up_secs: u64,
    /// SHA-256 of the policy in force, hex.
    pub policy: String,
    /// Open sessions.
    pub sessions: usize,
    /// People who have one.
    pub people: usize,
    /// People who are held out.
    pub held: usize,
    /// Requests for a larger budget that wait.
    pub approvals: usize,
    /// Why the audit log takes no records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_failure: Option<String>,
}

/// A person's budgets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// The person.
    pub person: String,
    /// Whether the directory knows them.
    pub known: bool,
    /// Their groups.
    pub groups: Vec<String>,
    /// Open sessions.
    pub sessions: usize,
    /// Until when they are held out, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until_ms: Option<u64>,
    /// By dataset, rule, window and unit.
    pub lines: Vec<Line>,
    /// Larger budgets that hold now.
    pub grants: Vec<Granted>,
}

/// One limit, or a total that nothing limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Dataset.
    pub dataset: String,
    /// Rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Window.
    pub window: Window,
    /// What is counted.
    pub unit: Unit,
    /// How much left in the window.
    pub used: u64,
    /// How much more running statements may let leave.
    pub leased: u64,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// What more a grant lets leave.
    pub granted: u64,
    /// How much may leave now; absent where nothing holds it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u64>,
    /// Where nothing is left: when something is again by itself, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frees_at_ms: Option<u64>,
}

/// A larger budget for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The request that it answered.
    pub request: String,
    /// Rule.
    pub rule: String,
    /// Dataset.
    pub dataset: String,
    /// How many records it lets leave.
    pub records: u64,
    /// How many have left since.
    pub used: u64,
    /// When it ends, Unix milliseconds.
    pub until_ms: u64,
}

/// A request that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Its name.
    pub request: String,
    /// Who asks.
    pub person: String,
    /// Rule.
    pub rule: String,
    /// Dataset.
    pub dataset: String,
    /// Window whose limit was reached.
    pub window: String,
    /// The limit.
    pub limit: u64,
    /// Who may approve.
    pub approvers: String,
    /// When it was asked, Unix milliseconds.
    pub asked_ms: u64,
    /// Until when it waits, Unix milliseconds.
    pub until_ms: u64,
}
