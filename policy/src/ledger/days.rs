//! A count for each of the last days, for what is usual.
//!
//! A day is one of UTC, by the clock of the ledger. INVARIANT: `kept` ascends by day, and holds no day without a count.

use std::collections::VecDeque;

use super::LedgerTime;

/// Milliseconds of a day.
pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Days that are kept, today included: as many as the longest window has, and one to compare with.
const DAYS_MAX: u32 = 31;

/// The day of a moment, from 1970.
pub(crate) fn day_of(at: LedgerTime) -> u32 {
    u32::try_from(at.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// Counts of the last days; days without any are left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Days {
    kept: VecDeque<(u32, u32)>,
}

impl Days {
    /// Adds to a day; one that is before the latest adds to the latest.
    pub(crate) fn add(&mut self, day: u32, count: u64) {
        if count == 0 {
            return;
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match self.kept.back_mut() {
            Some((last, held)) if *last >= day => *held = held.saturating_add(count),
            _ => self.kept.push_back((day, count)),
        }
        self.expire(day);
    }

    /// Sets the count of a day that is not before the latest.
    pub(crate) fn set(&mut self, day: u32, count: u64) {
        let held = u64::from(self.on(day));
        if count >= held {
            self.add(day, count - held);
        }
    }

    /// The count of a day.
    pub(crate) fn on(&self, day: u32) -> u32 {
        self.kept.iter().rev().find(|(known, _)| *known == day).map_or(0, |(_, count)| *count)
    }

    /// Days before this one that have a count, oldest first.
    pub(crate) fn before(&self, day: u32) -> impl DoubleEndedIterator<Item = (u32, u32)> {
        self.kept.iter().copied().filter(move |(known, _)| *known < day && known.saturating_add(DAYS_MAX) > day)
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.kept.capacity() * size_of::<(u32, u32)>()
    }

    fn expire(&mut self, day: u32) {
        while self.kept.front().is_some_and(|(known, _)| known.saturating_add(DAYS_MAX) <= day) {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_count_and_old_ones_go() {
        let mut days = Days::default();
        days.add(10, 3);
        days.add(10, 2);
        days.add(12, 7);
        days.add(11, 1);
        assert_eq!((days.on(10), days.on(11), days.on(12)), (5, 0, 8), "what comes late counts for the latest");
        days.set(12, 20);
        days.set(12, 4);
        assert_eq!((days.on(12), days.before(12).collect::<Vec<_>>()), (20, vec![(10, 5)]));
        days.add(41, 1);
        assert_eq!(days.before(41).collect::<Vec<_>>(), [(12, 20)]);
    }
}
