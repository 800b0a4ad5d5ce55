//! What Weir decided, and why: the words that the client, the record, the alert and the metric share.
//!
//! INVARIANT: a [`Denial`] message holds the operator's words or names of rule and dataset; never SQL, values or
//! anything of Weir's inside.

use std::fmt;
use std::sync::Arc;

use crate::budget::{Unit, Window};
use crate::detect::Detector;
use crate::meter::Meter;

/// The judgement of one execution before it runs.
#[derive(Debug)]
pub struct Verdict {
    /// Whether it may run.
    pub decision: Decision,
    /// What somebody should be told. A denial is not repeated here: see [`Denial::alert`].
    pub alerts: Vec<Alert>,
    /// Every rule and counter that took part, in an order that does not depend on the order of rules.
    pub basis: Vec<Basis>,
}

/// Run it or not.
#[derive(Debug)]
pub enum Decision {
    /// It may run.
    Allow(Permit),
    /// It may not.
    Deny(Denial),
}

/// The proof that an execution was admitted.
#[derive(Debug)]
pub struct Permit {
    /// Counts what leaves. `None`: there is nothing to count.
    pub meter: Option<Meter>,
    /// Whether the statement reaches something sensitive, so that its record must be durable before it runs.
    pub sensitive: bool,
}

/// What became of a rule or a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Within what is allowed.
    Allowed,
    /// Allowed, and told.
    Alerted,
    /// Observe mode: would have been refused.
    WouldRefuse,
    /// Observe mode: would have been cut.
    WouldCut,
    /// Did not run.
    Refused,
    /// Ended while it ran.
    Cut,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Allowed => "allowed",
            Outcome::Alerted => "alerted",
            Outcome::WouldRefuse => "would-refuse",
            Outcome::WouldCut => "would-cut",
            Outcome::Refused => "refused",
            Outcome::Cut => "cut",
        })
    }
}

/// What the counter of a reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Distinct rows of a sensitive relation.
    Records,
    /// Result rows.
    Rows,
    /// Bytes of result rows.
    Bytes,
    /// Statements.
    Statements,
    /// Distinct tenants.
    Tenants,
}

impl From<Unit> for Measure {
    fn from(unit: Unit) -> Measure {
        match unit {
            Unit::Records => Measure::Records,
            Unit::Rows => Measure::Rows,
            Unit::Bytes => Measure::Bytes,
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Measure::Records => "records",
            Measure::Rows => "rows",
            Measure::Bytes => "bytes",
            Measure::Statements => "statements",
            Measure::Tenants => "tenants",
        })
    }
}

/// One reason: a rule, and where it counts, its counter before and after.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Basis {
    /// Rule, or the default that decided (`defaults.opaque-sensitive`, …).
    pub rule: Arc<str>,
    /// Dataset that it is about.
    pub dataset: Option<Arc<str>>,
    /// Window of the counter; `None` when nothing is counted.
    pub window: Option<Window>,
    /// What is counted.
    pub unit: Measure,
    /// The limit; 0 when nothing is counted.
    pub limit: u64,
    /// The counter before this execution.
    pub before: u64,
    /// The counter now.
    pub after: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// Why an execution is refused or cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What the client reads: the operator's message, or one that names rule, dataset and limit.
    pub message: String,
    /// The rule and counter that decided.
    pub basis: Basis,
}

impl Denial {
    /// What to tell about this denial.
    pub fn alert(&self) -> Alert {
        let kind = if self.basis.outcome == Outcome::Cut { AlertKind::Cut } else { AlertKind::Refused };
        Alert { kind, message: self.message.clone(), basis: self.basis.clone() }
    }
}

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// A counter crossed a percentage of its limit.
    Threshold {
        /// The percentage.
        percent: u8,
    },
    /// A budget of a rule that only alerts was exceeded.
    Exceeded,
    /// A rule that alerts matched.
    Rule,
    /// A sensitive read that no rule covers.
    UnmatchedSensitive,
    /// Not understood, and may touch something sensitive.
    OpaqueSensitive,
    /// Sensitive values are put where nobody can follow them.
    UnfollowedCopy,
    /// A person that the directory does not know touches something sensitive.
    UnknownPerson,
    /// Much left that nobody classified.
    UnclassifiedEgress,
    /// Many statements ask about values and let none out.
    Probe,
    /// Somebody does what is not usual.
    Behaviour {
        /// What found it.
        detector: Detector,
        /// Somebody should look at once.
        grave: bool,
    },
    /// Words of the server were kept back.
    Withheld,
    /// Observe mode: would have been refused.
    WouldRefuse,
    /// Observe mode: would have been cut.
    WouldCut,
    /// Refused.
    Refused,
    /// Cut.
    Cut,
}

/// Something that somebody should be told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// One sentence for a person.
    pub message: String,
    /// The rule and counter behind it.
    pub basis: Basis,
}
