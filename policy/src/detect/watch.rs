//! What a policy says of behaviour: which detector, of whom, about what, from where on, and what happens then.

use std::sync::{Arc, LazyLock};

use crate::budget::Window;
use crate::identity::Who;
use crate::ledger::DAY_MS;
use crate::rule::{Then, WhoSet};

/// What looks at behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// Distinct records of a day or a month, beside the person's own days and the group's.
    Enumeration,
}

impl Detector {
    /// All of them.
    pub(crate) const ALL: [Detector; 1] = [Detector::Enumeration];

    /// Its key in the policy, and the code of its alerts.
    pub const fn word(self) -> &'static str {
        match self {
            Detector::Enumeration => "enumeration",
        }
    }

    /// What records call it.
    pub const fn rule(self) -> &'static str {
        match self {
            Detector::Enumeration => "detect.enumeration",
        }
    }
}

/// One entry of a policy about a detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watch {
    /// `None`: every dataset.
    pub(crate) datasets: Option<Vec<Arc<str>>>,
    pub(crate) who: WhoSet,
    /// `Allow`: nobody looks.
    pub(crate) then: Then,
    /// It is told, never carried out.
    pub(crate) observe: bool,
    /// A fixed limit, whatever is usual.
    pub(crate) limit: Option<(u64, Window)>,
    /// How far above the usual is too far, in percent.
    pub(crate) factor: u64,
    /// What is below this is never too much.
    pub(crate) floor: u64,
    /// For how long nothing is compared with what is usual, milliseconds.
    pub(crate) learning_ms: u64,
    /// Alerts of a day; further ones are told together.
    pub(crate) at_most: u64,
}

/// Twice what is usual is too far, unless the policy says otherwise.
pub(crate) const FACTOR_DEFAULT: u64 = 200;
/// Two weeks: each day of the week twice.
pub(crate) const LEARNING_DEFAULT_MS: u64 = 14 * DAY_MS;
/// Alerts of one detector in a day, unless the policy says otherwise: as many as somebody will read.
pub(crate) const AT_MOST_DEFAULT: u64 = 5;

impl Watch {
    /// What holds where a policy says nothing.
    pub(crate) fn usual(detector: Detector) -> Watch {
        Watch {
            datasets: None,
            who: WhoSet::Any,
            then: Then::Alert,
            observe: false,
            limit: None,
            factor: FACTOR_DEFAULT,
            floor: match detector {
                Detector::Enumeration => 50,
            },
            learning_ms: LEARNING_DEFAULT_MS,
            at_most: AT_MOST_DEFAULT,
        }
    }

    /// Whether it is about somebody and a dataset.
    fn speaks_of(&self, who: &Who, dataset: Option<&str>) -> bool {
        let about = |names: &Vec<Arc<str>>| dataset.is_some_and(|dataset| names.iter().any(|name| **name == *dataset));
        self.who.matches(who) && self.datasets.as_ref().is_none_or(about)
    }
}

static USUAL: LazyLock<Vec<(Detector, Watch)>> =
    LazyLock::new(|| Detector::ALL.into_iter().map(|detector| (detector, Watch::usual(detector))).collect());

/// The entries about somebody and a dataset: those of the policy, or what holds where it says nothing.
pub(crate) fn watches<'a>(
    entries: &'a [(Detector, Watch)],
    detector: Detector,
    who: &'a Who,
    dataset: Option<&'a str>,
) -> Vec<&'a Watch> {
    let speaking = |(of, watch): &&(Detector, Watch)| *of == detector && watch.speaks_of(who, dataset);
    let found: Vec<&Watch> = entries.iter().filter(speaking).map(|(_, watch)| watch).collect();
    match found.is_empty() {
        true => USUAL.iter().filter(speaking).map(|(_, watch)| watch).collect(),
        false => found.into_iter().filter(|watch| watch.then != Then::Allow).collect(),
    }
}
