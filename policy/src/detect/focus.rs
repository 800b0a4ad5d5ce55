//! Search focus: one person who searches for the same thing again and again.
//!
//! Counted are statements of a day with the same term, by a keyed hash of it without its case and wildcards. What several
//! people search for is a word of the trade, and what a person searches for every day is their habit: neither is told.

use super::observation::{Observation, Stage, name_hash};
use super::peers::{Peers, person_hash};
use super::scene::{Finding, Scene};
use super::usual::{Usual, scaled};
use super::watch::{Detector, watches};
use crate::budget::Window;
use crate::identity::Who;
use crate::ledger::{Days, Ledger, LedgerTime, day_of};
use crate::verdict::Measure;

/// Terms of one person that are counted in a day; of more, the ones that were searched for least are forgotten.
const TERMS_MAX: usize = 64;
/// Times that a person must search for something on a day before it counts as something that they search for.
const INTEREST: u32 = 3;

/// What one person searches for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Focus {
    day: u32,
    terms: Vec<(u64, u32)>,
    /// The count of each day's commonest term.
    tops: Days,
}

impl Focus {
    /// Counts a search; how often it was made on this day.
    fn put(&mut self, term: u64, today: u32) -> u32 {
        if today > self.day {
            self.day = today;
            self.terms.clear();
        }
        let place = self.terms.iter().position(|(known, _)| *known == term).unwrap_or_else(|| {
            if self.terms.len() >= TERMS_MAX {
                let least = self.terms.iter().enumerate().min_by_key(|(_, (_, count))| *count).map(|(place, _)| place);
                least.map(|place| self.terms.remove(place));
            }
            self.terms.push((term, 0));
            self.terms.len() - 1
        });
        let count = &mut self.terms[place].1;
        *count = count.saturating_add(1);
        let count = *count;
        self.tops.set(today, u64::from(count));
        count
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.terms.capacity() * size_of::<(u64, u32)>() + self.tops.heap_bytes()
    }

    fn count(&self, term: u64, today: u32) -> u32 {
        let found = self.terms.iter().find(|(known, _)| *known == term && self.day == today);
        found.map_or(0, |(_, count)| *count)
    }
}

/// A term in its dataset.
fn key(dataset: &str, hash: u64) -> u64 {
    name_hash(&["term", dataset, &format!("{hash:x}")])
}

pub(super) fn learn(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, now: LedgerTime) {
    let today = day_of(now);
    for term in seen.terms.iter().take(super::PARTS_MAX) {
        let key = key(&term.dataset, term.hash);
        if ledger.habits.focus.put(key, today) == INTEREST {
            peers.searched(key, person_hash(who), today);
        }
    }
}

pub(super) fn look(scene: &mut Scene<'_>) {
    if scene.seen.terms.is_empty() || scene.seen.stage == Stage::Arrival {
        return;
    }
    for term in scene.seen.terms.iter().take(super::PARTS_MAX) {
        let key = key(&term.dataset, term.hash);
        let count = u64::from(scene.ledger.habits.focus.count(key, scene.today));
        for watch in watches(&scene.set.detect.watches, Detector::SearchFocus, scene.who, Some(&term.dataset)) {
            let usual = Usual::of(&scene.ledger.habits.focus.tops, scene.today);
            let learnt = scene.ledger.habits.is_learnt(watch.learning_ms, scene.now);
            let own = usual.map(|usual| usual.median).filter(|_| learnt);
            let limit = match (watch.limit, own) {
                (Some((limit, _)), own) => own.map_or(limit, |own| limit.max(scaled(own, watch.factor))),
                (None, Some(own)) => watch.floor.max(scaled(own, watch.factor)),
                (None, None) => continue,
            };
            if count <= limit || scene.peers.is_common_search(key, scene.today) {
                continue;
            }
            let own = own.map_or("not known yet".to_owned(), |own| own.to_string());
            let message = format!(
                "{count} searches of `{}` for one and the same thing today; their usual day's commonest search: {own}; no three \
                 people search for it; more than {limit} is focus",
                term.dataset
            );
            let about = format!("{key:x}");
            scene.found(Finding {
                detector: Detector::SearchFocus,
                watch,
                dataset: Some(term.dataset.clone()),
                about: &about,
                unit: Measure::Statements,
                window: Some(Window::Day),
                limit,
                before: count.saturating_sub(1),
                after: count,
                message,
                grave: false,
                days: 1,
            });
        }
    }
}
