//! Units and windows of budgets, and one limit as a meter holds it.
//!
//! INVARIANT: [`Window::LEDGER`] names every window that a ledger keeps, whatever the policy of the day says, so
//! that a reload never loses a total.

use std::fmt;
use std::sync::Arc;

/// The stretch of time that a budget looks back over.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// One execution of one statement.
    Statement,
    /// The last 60 seconds.
    Minute,
    /// The last 60 minutes.
    Hour,
    /// The last 24 hours.
    Day,
    /// The last 30 days.
    #[serde(rename = "30d")]
    Month,
}

impl Window {
    /// The windows that a ledger keeps, shortest first.
    pub const LEDGER: [Window; 4] = [Window::Minute, Window::Hour, Window::Day, Window::Month];
}

impl Window {
    /// Length in milliseconds; 0 for a statement.
    pub const fn ms(self) -> u64 {
        const MINUTE: u64 = 60 * 1000;
        match self {
            Window::Statement => 0,
            Window::Minute => MINUTE,
            Window::Hour => 60 * MINUTE,
            Window::Day => 24 * 60 * MINUTE,
            Window::Month => 30 * 24 * 60 * MINUTE,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Window::Statement => "statement",
            Window::Minute => "minute",
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Month => "30 days",
        })
    }
}

/// What a budget counts.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Distinct rows of a sensitive relation.
    Records,
    /// Result rows that hold something of the dataset.
    Rows,
    /// Bytes of those result rows.
    Bytes,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Unit; 3] = [Unit::Records, Unit::Rows, Unit::Bytes];
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Records => "records",
            Unit::Rows => "rows",
            Unit::Bytes => "bytes",
        })
    }
}

/// One amount in each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct Amounts {
    /// Distinct records.
    pub records: u64,
    /// Result rows.
    pub rows: u64,
    /// Bytes of result rows.
    pub bytes: u64,
}

impl Amounts {
    /// The amount in one unit.
    pub fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Records => self.records,
            Unit::Rows => self.rows,
            Unit::Bytes => self.bytes,
        }
    }

    /// The amount in one unit, to change it.
    pub fn of_mut(&mut self, unit: Unit) -> &mut u64 {
        match unit {
            Unit::Records => &mut self.records,
            Unit::Rows => &mut self.rows,
            Unit::Bytes => &mut self.bytes,
        }
    }

    /// Whether there is nothing in any unit.
    pub fn is_zero(&self) -> bool {
        *self == Amounts::default()
    }

    /// Adds without overflow: a total that cannot be represented stays at the largest number, which is the strict side.
    pub fn add(&mut self, other: Amounts) {
        for unit in Unit::ALL {
            *self.of_mut(unit) = self.of(unit).saturating_add(other.of(unit));
        }
    }

    /// Takes away without going below zero.
    pub fn take(&mut self, other: Amounts) {
        for unit in Unit::ALL {
            *self.of_mut(unit) = self.of(unit).saturating_sub(other.of(unit));
        }
    }
}

/// What happens when a limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Force {
    /// Told, nothing is held back: the rule says `then: alert`.
    Alert,
    /// Told as what would have happened: the rule or the whole policy is in observe mode.
    Observe,
    /// Held back.
    Enforce,
}

/// One budget line of one rule, as it applies to one dataset of one execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Rule that it stands in.
    pub rule: Arc<str>,
    /// Window that it looks back over.
    pub window: Window,
    /// What it counts.
    pub unit: Unit,
    /// How much may leave in the window.
    pub amount: u64,
    /// Percentages of `amount` at which to tell, ascending.
    pub thresholds: Vec<u8>,
    /// What happens at the limit.
    pub force: Force,
    /// The operator's words for the client.
    pub message: Option<Arc<str>>,
}
