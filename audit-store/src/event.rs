//! What one record says: the words of the audit log, as plain strings and numbers.
//!
//! This crate knows neither SQL nor rules, so the trunk translates into these types in one file. A field that is absent
//! was not known or does not apply; empty never means none. What must never happen here: a row value or a literal of a
//! statement in clear. Only redacted text, names, counts and keyed hashes have a place.

use serde::{Deserialize, Serialize};

/// Longest redacted statement text in a record, bytes. Longer text is cut and said to be cut; the hash, the relations
/// and the counts stand outside of it, so that a long statement hides nothing.
pub const STATEMENT_TEXT_BYTES_MAX: usize = 8 << 10;

/// One event: who, what, what was decided and what left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Wall clock, Unix milliseconds.
    pub time_ms: u64,
    /// Clock of the budgets, milliseconds; never runs backwards, also across restarts.
    pub ledger_ms: u64,
    /// Which run of the process wrote this.
    pub boot: String,
    /// What happened, with what only this kind says.
    #[serde(flatten)]
    pub body: Body,
    /// The session, for everything that happens in one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<Session>,
    /// The human behind it, as far as known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub person: Option<Person>,
    /// The statement, for everything that concerns one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub statement: Option<Statement>,
    /// SHA-256 of the policy file that decided, hex.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<String>,
    /// What policy decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub decision: Option<Decision>,
    /// Rules and counters that the decision rests on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub basis: Vec<Basis>,
    /// What was charged since the last record of this statement; budgets are rebuilt from it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub charged: Vec<Charge>,
    /// Extractions that it is part of, as they stand with it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub extractions: Vec<Extraction>,
    /// What its statement asks about values that do not leave.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub questions: Vec<Question>,
    /// What its statement tells of how the person works.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observed: Option<Observed>,
    /// Short identifier that the client was shown, such as `W-7F3K-9Q2M`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reference: Option<String>,
}

impl Event {
    /// An event with nothing but its time and kind; the rest is filled in by field.
    pub fn new(time_ms: u64, ledger_ms: u64, boot: impl Into<String>, body: Body) -> Self {
        Event {
            time_ms,
            ledger_ms,
            boot: boot.into(),
            body,
            session: None,
            person: None,
            statement: None,
            policy: None,
            decision: None,
            basis: Vec::new(),
            charged: Vec::new(),
            extractions: Vec::new(),
            questions: Vec::new(),
            observed: None,
            reference: None,
        }
    }
}

/// What happened; `kind` and `detail` in the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum Body {
    /// The process started.
    Boot(Boot),
    /// The process ends in order.
    Shutdown(Shutdown),
    /// A policy was loaded or rejected.
    Policy(Policy),
    /// A client connected and has an identity.
    SessionStart(SessionStart),
    /// A session ended.
    SessionEnd(SessionEnd),
    /// Somebody proved who they are, or failed to.
    Authentication(Authentication),
    /// A statement may run, with its first lease.
    Admission(Leases),
    /// A running statement got more.
    Lease(Leases),
    /// A statement ended, with exact counts.
    Completion(Completion),
    /// A statement or session was refused before it ran.
    Denial(Denial),
    /// Sensitive values go into another relation, which is sensitive from now on.
    Copy(Copy),
    /// Such a relation is no more.
    CopyEnded(CopyEnded),
    /// Somebody should look at this.
    Alert(Alert),
    /// The log speaks of itself: failures and windows of possible loss.
    Store(StoreTrouble),
    /// Somebody came to the end of a budget that others may enlarge.
    ApprovalRequest(ApprovalRequest),
    /// An operator did something.
    Admin(Admin),
}

impl Body {
    /// The name of the kind, as in the record.
    pub fn name(&self) -> &'static str {
        match self {
            Body::Boot(_) => "boot",
            Body::Shutdown(_) => "shutdown",
            Body::Policy(_) => "policy",
            Body::SessionStart(_) => "session-start",
            Body::SessionEnd(_) => "session-end",
            Body::Authentication(_) => "authentication",
            Body::Admission(_) => "admission",
            Body::Lease(_) => "lease",
            Body::Completion(_) => "completion",
            Body::Denial(_) => "denial",
            Body::Copy(_) => "copy",
            Body::CopyEnded(_) => "copy-ended",
            Body::Alert(_) => "alert",
            Body::Store(_) => "store",
            Body::ApprovalRequest(_) => "approval-request",
            Body::Admin(_) => "admin",
        }
    }
}

/// How the process found the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Version of the product.
    pub product: String,
    /// SHA-256 of the configuration, hex.
    pub config_sha256: String,
    /// SHA-256 of the policy, hex.
    pub policy_sha256: String,
    /// Highest sequence found in the log; 0 for a new log.
    pub last_sequence: u64,
    /// Root of the tree over what was found, base64.
    pub last_root: String,
    /// Bytes of an incomplete record that a crash left behind.
    pub torn_bytes: u64,
    /// What is odd about the clock, in words.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub clock_anomalies: Vec<String>,
}

/// Why the process ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// The cause: a signal, a command.
    pub reason: String,
}

/// A policy and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Loaded or rejected.
    pub outcome: PolicyOutcome,
    /// SHA-256 of the file, hex.
    pub sha256: String,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
}

/// What became of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyOutcome {
    /// In force from this record on.
    Loaded,
    /// Not in force; the one before stays.
    Rejected,
}

/// A session began; what is known of it stands in [`Event::session`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStart {
    /// The account that the client was before, where it asked the same connection to be another one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub changed_from: Option<String>,
}

/// A session's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnd {
    /// Who ended it and why.
    pub reason: String,
    /// Statements that ran.
    pub statements: u64,
    /// Rows released.
    pub rows: u64,
    /// Bytes released.
    pub bytes: u64,
    /// How long it lasted, microseconds.
    pub duration_us: u64,
}

/// An authentication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// Whether it succeeded.
    pub outcome: AuthenticationOutcome,
    /// How: `relayed`, `scram-sha-256`, `certificate`, …
    pub method: String,
    /// SQLSTATE of the failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sqlstate: Option<String>,
}

/// Whether an authentication succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticationOutcome {
    /// It did.
    Success,
    /// It did not.
    Failure,
}

/// How much may leave from now on. After a crash this is the upper bound of what left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leases {
    /// One for each dataset; empty when nothing is counted.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub leases: Vec<Lease>,
}

/// "Up to so many more may leave."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Name of the dataset.
    pub dataset: String,
    /// What is counted: `records`, `rows`, `bytes`.
    pub unit: String,
    /// How many more may leave.
    pub granted: u64,
}

/// How a statement ended and what left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// How it ended.
    pub outcome: Outcome,
    /// Rows released to the client.
    pub rows: u64,
    /// Bytes released to the client.
    pub bytes: u64,
    /// Records released, for each dataset.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub records: Vec<Count>,
    /// What the server said besides rows that could hold values, door by door.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub doors: Vec<Door>,
    /// From the arrival of the statement to its end, microseconds.
    pub duration_us: u64,
    /// SQLSTATE of the error that ended it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sqlstate: Option<String>,
    /// The server's command tag.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tag: Option<String>,
}

/// How a statement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// To its end.
    Complete,
    /// By Weir, at the row where the allowance ended.
    Cut,
    /// By an error of the server.
    Error,
    /// By a cancel request of the client.
    Cancelled,
    /// The client went away.
    ClientGone,
    /// The server went away.
    UpstreamGone,
}

/// What went through one door besides rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// `error`, `notice`, `setting`, `notification`, `column-name`, `info`.
    pub door: String,
    /// Messages, withheld ones included.
    pub messages: u64,
    /// Bytes of free content that the client was sent.
    pub bytes: u64,
    /// Bytes of free content that were kept back.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub withheld_bytes: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A count in a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Name of the dataset.
    pub dataset: String,
    /// How many.
    pub count: u64,
}

/// Why something was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Stable code of the reason.
    pub code: String,
    /// What the client was told.
    pub message: String,
    /// SQLSTATE that the client got.
    pub sqlstate: String,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Stable code of the detection.
    pub code: String,
    /// One line for a human.
    pub title: String,
    /// How bad.
    pub severity: Severity,
}

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Informational,
    /// Look some day.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
    /// Wake somebody.
    Critical,
}

/// A failure of the log and what it may have cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTrouble {
    /// What failed.
    pub reason: String,
    /// Begin of the window, Unix milliseconds.
    pub since_ms: u64,
    /// End of the window, Unix milliseconds.
    pub until_ms: u64,
    /// Events that happened in it and are not in the log.
    pub lost: u64,
    /// The segment that failed, when one did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub segment: Option<String>,
}

pub use crate::admin::{Admin, ApprovalRequest, Grant, Until};
pub use crate::copy::{Copy, CopyEnded, CopyTarget, RelationPlace};
pub use crate::observed::{Hashes, Observed, Reached};
pub use crate::subject::{Basis, Charge, Decision, Person, Privilege, RelationUse, Role, Session, Statement};
pub use crate::taken::{Extraction, Part, Question, Stretch};
