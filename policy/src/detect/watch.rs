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
    /// Distinct tenants, likewise.
    Breadth,
    /// Tenants of two people between them.
    JointBreadth,
    /// A relation, column or privilege that nobody of the person's groups has used.
    FirstUse,
    /// Hours at which neither the person nor the group is there.
    UnusualHours,
    /// Searches for the same thing.
    SearchFocus,
    /// A record that is there to be found by who should not look.
    Canaries,
    /// The catalog and table after table, from where the person never was.
    Discovery,
    /// Several people's first privileges, from where they never were.
    NewDevice,
}

impl Detector {
    /// All of them.
    pub const ALL: [Detector; 9] = [
        Detector::Enumeration,
        Detector::Breadth,
        Detector::JointBreadth,
        Detector::FirstUse,
        Detector::UnusualHours,
        Detector::SearchFocus,
        Detector::Canaries,
        Detector::Discovery,
        Detector::NewDevice,
    ];

    /// Its key in the policy, and the code of its alerts.
    pub const fn word(self) -> &'static str {
        match self {
            Detector::Enumeration => "enumeration",
            Detector::Breadth => "breadth",
            Detector::JointBreadth => "joint-breadth",
            Detector::FirstUse => "first-use",
            Detector::UnusualHours => "unusual-hours",
            Detector::SearchFocus => "search-focus",
            Detector::Canaries => "canaries",
            Detector::Discovery => "discovery",
            Detector::NewDevice => "new-device",
        }
    }

    /// What records call it.
    pub const fn rule(self) -> &'static str {
        match self {
            Detector::Enumeration => "detect.enumeration",
            Detector::Breadth => "detect.breadth",
            Detector::JointBreadth => "detect.joint-breadth",
            Detector::FirstUse => "detect.first-use",
            Detector::UnusualHours => "detect.unusual-hours",
            Detector::SearchFocus => "detect.search-focus",
            Detector::Canaries => "detect.canaries",
            Detector::Discovery => "detect.discovery",
            Detector::NewDevice => "detect.new-device",
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
    /// Of canaries: the file with their keys.
    pub(crate) keys_file: Option<Arc<str>>,
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
                Detector::SearchFocus => 10,
                _ => 20,
            },
            learning_ms: LEARNING_DEFAULT_MS,
            at_most: match detector {
                // Each of them is one too many to be told together with others.
                Detector::Canaries => u64::MAX,
                _ => AT_MOST_DEFAULT,
            },
            keys_file: None,
        }
    }

    /// Whether it is about somebody and a dataset.
    pub(crate) fn speaks_of(&self, who: &Who, dataset: Option<&str>) -> bool {
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
    who: &Who,
    dataset: Option<&str>,
) -> Vec<&'a Watch> {
    let speaking = |(of, watch): &&(Detector, Watch)| *of == detector && watch.speaks_of(who, dataset);
    let found: Vec<&Watch> = entries.iter().filter(speaking).map(|(_, watch)| watch).collect();
    match found.is_empty() {
        true => USUAL.iter().filter(speaking).map(|(_, watch)| watch).collect(),
        false => found.into_iter().filter(|watch| watch.then != Then::Allow).collect(),
    }
}
