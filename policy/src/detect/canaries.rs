//! Canaries: records that nobody has a reason to look at, so that whoever does is looking around.
//!
//! The operator plants them and keeps their keys in a file. The trunk hashes them as it hashes every record's key and
//! looks at each row before it leaves; here is decided what follows. What must never happen: a word to the client that it
//! was a canary, or which.

use std::sync::Arc;

use super::Watched;
use super::observation::{Observation, Stage};
use super::peers::Peers;
use super::scene::{Finding, Scene};
use super::watch::Detector;
use crate::identity::Who;
use crate::ledger::{Ledger, Moment, day_of};
use crate::relation::RelationId;
use crate::rule::Then;
use crate::set::PolicySet;
use crate::verdict::Measure;

/// What the client is told whose statement is cut at a canary.
const MESSAGE: &str = "this result cannot be completed: ask whoever looks after the data";

/// One file of canaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryFile {
    /// Names it to [`PolicySet::trip`].
    pub index: usize,
    /// Datasets that its records are in.
    pub datasets: Vec<Arc<str>>,
    /// The file, as the policy names it.
    pub file: Arc<str>,
}

/// A canary that came up in a row.
#[derive(Clone, Copy, Debug)]
pub struct Trip<'a> {
    /// Of its file.
    pub index: usize,
    /// What the operator calls it.
    pub label: &'a str,
    /// Dataset.
    pub dataset: &'a Arc<str>,
    /// Relation.
    pub relation: &'a RelationId,
}

impl PolicySet {
    /// Every file of canaries that the policy names.
    pub fn canary_files(&self) -> Vec<CanaryFile> {
        let entries = self.detect.watches.iter().enumerate();
        entries
            .filter(|(_, (detector, watch))| *detector == Detector::Canaries && watch.then != Then::Allow)
            .filter_map(|(index, (_, watch))| {
                Some(CanaryFile { index, datasets: watch.datasets.clone()?, file: watch.keys_file.clone()? })
            })
            .collect()
    }

    /// What follows from a canary in a row that is about to leave. A denial: neither it nor what comes after leaves.
    pub fn trip(&self, who: &Who, trip: Trip<'_>, ledger: &mut Ledger, peers: &mut Peers, at: &Moment) -> Watched {
        let Some((Detector::Canaries, watch)) = self.detect.watches.get(trip.index) else { return Watched::default() };
        let allows = |(detector, other): &(Detector, super::watch::Watch)| {
            *detector == Detector::Canaries && other.then == Then::Allow && other.speaks_of(who, Some(trip.dataset))
        };
        if !watch.speaks_of(who, Some(trip.dataset)) || self.detect.watches.iter().any(allows) {
            return Watched::default();
        }
        let now = ledger.tick(at.now);
        let seen = Observation { stage: Stage::Before, ..Observation::default() };
        let (today, watched) = (day_of(now), Watched::default());
        let mut scene = Scene { set: self, who, seen: &seen, ledger, peers, at: *at, now, today, watched };
        let message = format!(
            "canary `{}` of `{}` (`{}`) came up in a result; nobody has a reason to look at it",
            trip.label, trip.dataset, trip.relation
        );
        scene.found(Finding {
            detector: Detector::Canaries,
            watch,
            dataset: Some(trip.dataset.clone()),
            about: trip.label,
            unit: Measure::Records,
            window: None,
            limit: 0,
            before: 0,
            after: 1,
            message,
            grave: true,
            days: 1,
        });
        let mut watched = scene.watched;
        if let Some(denial) = &mut watched.denial {
            denial.message = MESSAGE.to_owned();
        }
        watched
    }
}
