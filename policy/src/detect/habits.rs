//! What one person usually does: lives in the person's ledger, and is learnt again from the audit log after a restart.
//!
//! INVARIANT: memory is bounded whatever is done. Each part names its bound; together they stay below 16 KiB for
//! somebody who works with one dataset or two.

use std::net::IpAddr;
use std::sync::Arc;

use super::focus::Focus;
use super::hosts::Places;
use super::hours::Hours;
use super::known::{Known, MEMORY_DAYS};
use super::sample::Sample;
use crate::ledger::{DAY_MS, Days, LedgerTime, day_of};

/// Datasets of which a person's breadth is sampled: the rest is seen by other means.
const DATASETS_MAX: usize = 8;
/// Tenants of one dataset that are told apart exactly.
const TENANTS_ROOM: usize = 256;
/// Uses of relations, columns and privileges that are remembered of a person.
const KNOWN_ROOM: usize = 256;
/// Alerts of a person that are remembered, so that each is told once.
const TOLD_MAX: usize = 64;
/// Days of a sliding month.
pub(crate) const MONTH_DAYS: u32 = 30;

/// One person's habits.
#[derive(Clone, Debug)]
pub struct Habits {
    since: Option<LedgerTime>,
    last: LedgerTime,
    active_days: u32,
    pub(crate) known: Known,
    breadths: Vec<(Arc<str>, Breadth)>,
    pub(crate) hours: Hours,
    pub(crate) focus: Focus,
    pub(crate) places: Places,
    told: Vec<Told>,
}

/// Tenants of one dataset.
#[derive(Clone, Debug)]
pub(crate) struct Breadth {
    pub(crate) tenants: Sample,
    /// Distinct tenants of each day.
    pub(crate) days: Days,
}

/// An alert that was told.
#[derive(Clone, Copy, Debug)]
struct Told {
    what: u64,
    until: u32,
    /// What must be reached to tell it again.
    next: u64,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            since: None,
            last: LedgerTime(0),
            active_days: 0,
            known: Known::new(KNOWN_ROOM),
            breadths: Vec::new(),
            hours: Hours::default(),
            focus: Focus::default(),
            places: Places::default(),
            told: Vec::new(),
        }
    }
}

impl Habits {
    /// Notes that the person was there.
    pub(crate) fn seen(&mut self, now: LedgerTime) {
        if self.since.is_none() || day_of(now) > day_of(self.last) {
            self.active_days = self.active_days.saturating_add(1);
        }
        self.since.get_or_insert(now);
        self.last = self.last.max(now);
    }

    /// Whether the person has been here for that long, and on half of the days at least, so that what they do is known.
    pub(crate) fn is_learnt(&self, learning_ms: u64, now: LedgerTime) -> bool {
        is_learnt(self.since, self.active_days, learning_ms, now)
    }

    /// Whether nothing of it is of use any more.
    pub(crate) fn is_idle(&self, now: LedgerTime) -> bool {
        self.since.is_none() || self.last.0.saturating_add(u64::from(MEMORY_DAYS) * DAY_MS) < now.0
    }

    /// Notes a tenant of a dataset.
    pub(crate) fn tenant(&mut self, dataset: &Arc<str>, hash: u64, today: u32) {
        let place = self.breadths.iter().position(|(known, _)| known == dataset);
        let place = place.unwrap_or_else(|| {
            if self.breadths.len() >= DATASETS_MAX {
                self.breadths.remove(0);
            }
            let breadth = Breadth { tenants: Sample::new(TENANTS_ROOM), days: Days::default() };
            self.breadths.push((dataset.clone(), breadth));
            self.breadths.len() - 1
        });
        let breadth = &mut self.breadths[place].1;
        breadth.tenants.put(hash, today);
        let count = breadth.tenants.count(today);
        breadth.days.set(today, count);
        breadth.tenants.expire(today.saturating_sub(MONTH_DAYS));
    }

    /// The breadth in a dataset.
    pub(crate) fn breadth(&self, dataset: &str) -> Option<&Breadth> {
        self.breadths.iter().find(|(known, _)| **known == *dataset).map(|(_, breadth)| breadth)
    }

    /// Whether somebody who comes from there now is in a place where they never were before today: then everything that
    /// they do is worth a look.
    pub fn is_strange(&self, source: Option<IpAddr>, now: LedgerTime) -> bool {
        self.places.is_strange(source, now)
    }

    /// Whether to tell of something that has come so far: once until a day is over, and again when it has doubled.
    pub(crate) fn tells(&mut self, what: u64, count: u64, today: u32, until: u32) -> bool {
        self.told.retain(|told| told.until >= today);
        if let Some(told) = self.told.iter_mut().find(|told| told.what == what) {
            if count < told.next {
                return false;
            }
            told.next = count.saturating_mul(2).max(1);
            return true;
        }
        if self.told.len() >= TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push(Told { what, until, next: count.saturating_mul(2).max(1) });
        true
    }
}

#[cfg(test)]
impl Habits {
    /// Bytes that it takes up, what it points to included.
    pub(crate) fn bytes(&self) -> usize {
        let breadths: usize = self
            .breadths
            .iter()
            .map(|(name, breadth)| {
                size_of::<(Arc<str>, Breadth)>() + name.len() + breadth.tenants.heap_bytes() + breadth.days.heap_bytes()
            })
            .sum();
        size_of::<Habits>()
            + self.known.heap_bytes()
            + breadths
            + self.focus.heap_bytes()
            + self.places.heap_bytes()
            + self.told.capacity() * size_of::<Told>()
    }
}

/// Whether somebody who is known since then was there long enough, and on half of the days at least.
pub(crate) fn is_learnt(since: Option<LedgerTime>, active_days: u32, learning_ms: u64, now: LedgerTime) -> bool {
    since.is_some_and(|since| since.0.saturating_add(learning_ms) <= now.0)
        && u64::from(active_days) >= (learning_ms / DAY_MS / 2)
}
