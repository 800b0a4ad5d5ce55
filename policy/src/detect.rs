//! Detection beyond thresholds: what a person does that no single statement shows.
//!
//! **Probes.** A statement that lets no sensitive value out may ask about one (see [`Asking`]). Asked often enough, with
//! other values each time, the answers are the value: about seven of them a character, eighty-four a phone number. Each
//! execution that asks is counted for its person, by relation, in a sliding window. What counts is what was *asked*: a
//! dashboard that repeats the same question with the same values has asked once. Questions of one shape, that differ in
//! their values only, weigh twice as much as questions of different shapes, since a search by hand varies and a loop
//! does not.
//!
//! **Guesses** are the same for questions of whether a record with one whole value is there. An application asks them
//! at each sign-up, so that their limit is another.
//!
//! **Behaviour** is what an [`Observation`] of each execution adds to what is known of its person ([`Habits`]) and of the
//! people beside them ([`Peers`]): see the file of each detector. [`PolicySet::observe`] is the one way in.
//!
//! What must never happen here: a count that values in clear take part in. The caller hands in a keyed hash.

mod breadth;
mod canaries;
mod enumeration;
mod first_use;
mod focus;
mod habits;
pub(crate) mod hosts;
mod hours;
mod known;
mod observation;
mod peers;
mod probes;
mod sample;
mod scene;
mod usual;
pub(crate) mod watch;

use std::sync::Arc;

pub use canaries::{CanaryFile, Trip};
pub use habits::Habits;
pub use observation::{Observation, PARTS_MAX, Reach, Stage, Tenant, Term, table_hash};
pub use peers::Peers;
pub(crate) use probes::QUESTIONS_MAX;
pub use probes::{Note, Probes};
pub use watch::Detector;

use crate::budget::Window;
use crate::exposure::{Asked, Asking};
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment, day_of};
use crate::rule::{Then, WhoSet};
use crate::set::PolicySet;
use crate::verdict::{Alert, AlertKind, Basis, Denial, Measure, Outcome};
use scene::Scene;
use watch::Watch;

/// What the basis calls the detection of probes.
pub const PROBES_RULE: &str = "detect.probes";
/// What the basis calls the detection of guesses.
pub const GUESSES_RULE: &str = "detect.guesses";
/// Rows above which a search is a question about each of them.
pub const SEARCH_ROWS_MAX: u64 = 200;
/// Questions in the window unless the policy says otherwise: a phone number takes eighty-four.
pub(crate) const PROBES_DEFAULT: u64 = 60;
/// Guesses in the window unless the policy says otherwise: more sign-ups an hour than most applications see.
pub(crate) const GUESSES_DEFAULT: u64 = 240;

/// What a policy says about questions.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Detect {
    pub(crate) probes: Vec<Detection>,
    pub(crate) guesses: Vec<Detection>,
    /// What is said of each detector of behaviour.
    pub(crate) watches: Vec<(Detector, Watch)>,
}

/// How many questions about which datasets are too many, of whom, and what happens then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Detection {
    /// `None`: every dataset.
    pub(crate) datasets: Option<Vec<Arc<str>>>,
    pub(crate) who: WhoSet,
    pub(crate) statements: u64,
    pub(crate) window: Window,
    /// `Allow`: nobody looks.
    pub(crate) then: Then,
}

/// One execution that asks, as the caller knows it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// What its statements ask, each with its weight.
    pub asked: &'a [Asked],
    /// Equal for texts that differ in values only.
    pub shape: u64,
    /// Keyed hash of the values.
    pub values: u64,
    /// A search is one that found too much.
    pub found_many: bool,
}

/// What is said about questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// Why it must not run.
    pub denial: Option<Denial>,
    /// What somebody should be told.
    pub alerts: Vec<Alert>,
    /// Counters that took part.
    pub basis: Vec<Basis>,
    /// What was counted, to be replayed after a restart.
    pub notes: Vec<Note>,
}

/// Takes up an observation, without judging it: how what is known is built anew from the audit log. Charges of the same
/// record come first. `denied`: the statement did not run, so that nothing of it has become usual.
pub fn learn(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, at: &Moment, denied: bool) {
    let now = ledger.tick(at.now);
    count(who, seen, ledger, peers, now);
    if !denied {
        remember(who, seen, ledger, peers, &Moment { now, wall: at.wall });
    }
}

/// What counts whether or not it is allowed: it is judged with itself included.
fn count(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, now: LedgerTime) {
    ledger.habits.seen(now);
    peers.seen(who, now);
    hosts::learn(who, seen, ledger, peers, now);
    enumeration::learn(who, &seen.datasets(), ledger, peers, now);
    breadth::learn(who, seen, ledger, peers, now);
    focus::learn(who, seen, ledger, peers, now);
}

/// What is usual from now on: it is judged before it is remembered.
fn remember(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, at: &Moment) {
    first_use::remember(who, seen, ledger, peers, at.now);
    hours::remember(who, seen, at.wall, (&mut ledger.habits.hours, peers), at.now);
}

impl PolicySet {
    /// Takes up what an execution tells of its person, and says what follows from it. Call it before a statement runs
    /// with what is known by then ([`Stage::Before`]; a denial is carried out), and when its meter is settled with the
    /// rest ([`Stage::After`]). Who plays executions without a database may hand in all of it at once, afterwards.
    pub fn observe(
        &self,
        who: &Who,
        seen: &Observation,
        ledger: &mut Ledger,
        peers: &mut Peers,
        at: &Moment,
    ) -> Watched {
        let now = ledger.tick(at.now);
        count(who, seen, ledger, peers, now);
        let datasets = seen.datasets();
        let watched = Watched::default();
        let mut scene = Scene { set: self, who, seen, ledger, peers, at: *at, now, today: day_of(now), watched };
        scene.tell_held();
        enumeration::look(&mut scene, &datasets);
        breadth::look(&mut scene);
        first_use::look(&mut scene);
        hours::look(&mut scene);
        focus::look(&mut scene);
        hosts::look(&mut scene);
        let mut watched = scene.watched;
        if watched.denial.is_none() {
            remember(who, seen, ledger, peers, &Moment { now, wall: at.wall });
        }
        watched.alerts.sort();
        watched
    }

    /// Counts what an execution asks, and says what follows from it. A question that is refused is counted, too.
    pub fn watch(&self, who: &Who, question: &Question<'_>, ledger: &mut Ledger, now: LedgerTime) -> Watched {
        let now = ledger.tick(now);
        let mut watched = Watched::default();
        for asked in question.asked {
            let (asking, rule, entries, fallback) = match asked.asking {
                Asking::Search if !question.found_many => continue,
                Asking::Parts | Asking::Search => {
                    (Asking::Parts, PROBES_RULE, &self.detect.probes, (PROBES_DEFAULT, Window::Hour))
                }
                Asking::Wholes => (Asking::Wholes, GUESSES_RULE, &self.detect.guesses, (GUESSES_DEFAULT, Window::Hour)),
            };
            let speaking: Vec<&Detection> =
                entries.iter().filter(|entry| entry.speaks_of(who, &asked.dataset)).collect();
            let limits: Vec<(u64, Window, Then)> = match speaking.as_slice() {
                [] => vec![(fallback.0, fallback.1, Then::Alert)],
                speaking => speaking
                    .iter()
                    .filter(|entry| entry.then != Then::Allow)
                    .map(|entry| (entry.statements, entry.window, entry.then))
                    .collect(),
            };
            let Some(longest) = limits.iter().map(|(_, window, _)| *window).max() else { continue };
            let note = Note {
                dataset: asked.dataset.clone(),
                relation: asked.relation.clone(),
                asking,
                shape: question.shape,
                values: question.values,
                weight: asked.weight,
            };
            ledger.probes.note(&note, longest, now);
            for (limit, window, then) in limits {
                self.judge(asked, &note, rule, (limit, window, then), ledger, now, &mut watched);
            }
            watched.notes.push(note);
        }
        watched.alerts.sort();
        watched
    }

    #[allow(clippy::too_many_arguments)]
    fn judge(
        &self,
        asked: &Asked,
        note: &Note,
        rule: &'static str,
        (limit, window, then): (u64, Window, Then),
        ledger: &mut Ledger,
        now: LedgerTime,
        watched: &mut Watched,
    ) {
        let count = ledger.probes.count(note, window, now);
        let over = count.score > limit;
        let outcome = match then {
            _ if !over => Outcome::Allowed,
            Then::Refuse if self.observe => Outcome::WouldRefuse,
            Then::Refuse => Outcome::Refused,
            Then::Alert | Then::Allow => Outcome::Alerted,
        };
        let basis = Basis {
            rule: rule.into(),
            dataset: Some(asked.dataset.clone()),
            window: Some(window),
            unit: Measure::Statements,
            limit,
            before: count.before,
            after: count.score,
            outcome,
        };
        watched.basis.push(basis.clone());
        if !over {
            return;
        }
        let columns = asked.columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
        let what = match note.asking {
            Asking::Wholes => "whether a value is there",
            Asking::Parts | Asking::Search => "about parts of values",
        };
        let message = format!(
            "{} statements per {window} ask {what} of {columns} of `{}` and let none out ({} of them of one shape); {limit} \
             are normal",
            count.all, asked.relation, count.one_shape
        );
        match outcome {
            Outcome::Refused => {
                let text = format!(
                    "questions about `{}` are limited to {limit} statements per {window} (`{rule}`)",
                    asked.dataset
                );
                watched.denial.get_or_insert(Denial { message: text, basis });
            }
            _ => {
                let kind = match outcome {
                    Outcome::WouldRefuse => AlertKind::WouldRefuse,
                    _ => AlertKind::Probe,
                };
                watched.alerts.push(Alert { kind, message, basis });
            }
        }
    }
}

impl Detection {
    fn speaks_of(&self, who: &Who, dataset: &str) -> bool {
        self.who.matches(who) && self.datasets.as_ref().is_none_or(|names| names.iter().any(|name| **name == *dataset))
    }
}

#[cfg(test)]
mod tests;
