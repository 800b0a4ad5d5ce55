//! What one person has asked, by relation, in a sliding window.
//!
//! INVARIANT: what was asked counts once for each set of values while it is in the window, however often it is repeated;
//! and memory is bounded whatever is asked.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::budget::Window;
use crate::exposure::Asking;
use crate::ledger::LedgerTime;
use crate::relation::RelationId;

/// Questions that are remembered of one person about one relation: as many as the largest limit of a policy.
pub(crate) const QUESTIONS_MAX: usize = 4096;
/// Relations about which a person's questions are remembered. The one that was not asked about for longest is forgotten:
/// whoever asks about as many at once is seen by the others.
const RELATIONS_MAX: usize = 64;

/// One question that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Relation.
    pub relation: RelationId,
    /// What was asked: parts or wholes.
    pub asking: Asking,
    /// Equal for texts that differ in values only.
    pub shape: u64,
    /// Keyed hash of the values.
    pub values: u64,
    /// How many answers it had room for.
    pub weight: u32,
}

/// How much was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Count {
    /// Questions with different values.
    pub(crate) all: u64,
    /// Those of the commonest shape.
    pub(crate) one_shape: u64,
    /// What is held against the limit: those of one shape, or half of all.
    pub(crate) score: u64,
    /// The same, without the question that was noted last.
    pub(crate) before: u64,
}

/// One person's questions.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    relations: HashMap<(Arc<str>, RelationId, Asking), Questions>,
}

/// Questions about one relation, oldest first.
#[derive(Clone, Debug, Default)]
struct Questions {
    seen: VecDeque<Seen>,
    last: LedgerTime,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: LedgerTime,
    shape: u64,
    values: u64,
    weight: u32,
}

impl Probes {
    /// Notes a question. `longest`: the longest window that anybody looks at.
    pub(crate) fn note(&mut self, note: &Note, longest: Window, now: LedgerTime) {
        let key = (note.dataset.clone(), note.relation.clone(), note.asking);
        if !self.relations.contains_key(&key) && self.relations.len() >= RELATIONS_MAX {
            let oldest = self.relations.iter().min_by_key(|(_, questions)| questions.last).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.relations.remove(&oldest));
        }
        let questions = self.relations.entry(key).or_default();
        questions.last = now;
        let since = LedgerTime(now.0.saturating_sub(longest.ms()));
        questions.seen.retain(|seen| seen.at > since && !(seen.shape == note.shape && seen.values == note.values));
        if questions.seen.len() >= QUESTIONS_MAX {
            questions.seen.pop_front();
        }
        questions.seen.push_back(Seen { at: now, shape: note.shape, values: note.values, weight: note.weight.max(1) });
    }

    /// How much was asked like this in a window.
    pub(crate) fn count(&self, note: &Note, window: Window, now: LedgerTime) -> Count {
        let key = (note.dataset.clone(), note.relation.clone(), note.asking);
        let Some(questions) = self.relations.get(&key) else { return Count::default() };
        let since = LedgerTime(now.0.saturating_sub(window.ms()));
        let mut shapes: HashMap<u64, u64> = HashMap::new();
        let mut all: u64 = 0;
        for seen in questions.seen.iter().filter(|seen| seen.at > since) {
            let weight = u64::from(seen.weight);
            all = all.saturating_add(weight);
            let of_shape = shapes.entry(seen.shape).or_default();
            *of_shape = of_shape.saturating_add(weight);
        }
        let one_shape = shapes.values().copied().max().unwrap_or_default();
        let score = one_shape.max(all / 2);
        Count { all, one_shape, score, before: score.saturating_sub(u64::from(note.weight.max(1))) }
    }

    /// Whether nothing was asked in the longest window that a policy may look at.
    pub(crate) fn is_idle(&self, now: LedgerTime) -> bool {
        let since = LedgerTime(now.0.saturating_sub(Window::Day.ms()));
        self.relations.values().all(|questions| questions.last <= since)
    }
}
