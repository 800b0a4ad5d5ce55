//! One sliding window: counts by sub-bucket, oldest first, and their sum.
//!
//! A window of length `W` has sub-buckets of length `W / n`. An event at time `e` falls into sub-bucket
//! `e / (W / n)`. At time `t` the sum holds the sub-bucket of `t` and the `n` before it: `n` whole ones and the
//! partial one that `t - W` falls into. So it holds every event younger than `W`, and some that are up to one
//! sub-bucket older. The last event that was let out in any true window saw every other event of that window in
//! the sum, hence no true window ever holds more than the limit; the price is that an allowance comes back up to
//! one sub-bucket late.
//!
//! INVARIANT: `sum` is the sum of `buckets`, and `buckets` is ascending by sub-bucket; only sub-buckets with
//! something in them are held, so that somebody who reads little costs little.

use std::collections::VecDeque;

use super::LedgerTime;
use crate::budget::{Amounts, Unit, Window};

/// Length of a sub-bucket in milliseconds, and how many make the window.
const fn division(window: Window) -> (u64, u64) {
    const SECOND: u64 = 1000;
    const MINUTE: u64 = 60 * SECOND;
    const HOUR: u64 = 60 * MINUTE;
    match window {
        // A statement is no stretch of time; nobody makes a ring for it.
        Window::Statement => (SECOND, 0),
        Window::Minute => (SECOND, 60),
        Window::Hour => (MINUTE, 60),
        Window::Day => (15 * MINUTE, 96),
        Window::Month => (6 * HOUR, 120),
    }
}

/// Counts of one window.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    bucket_ms: u64,
    length: u64,
    buckets: VecDeque<(u64, Amounts)>,
    sum: Amounts,
}

impl Ring {
    pub(super) fn new(window: Window) -> Ring {
        let (bucket_ms, length) = division(window);
        Ring { bucket_ms, length, buckets: VecDeque::new(), sum: Amounts::default() }
    }

    /// Adds to the present sub-bucket.
    pub(super) fn add(&mut self, amounts: Amounts, now: LedgerTime) {
        self.expire(now);
        let bucket = now.0 / self.bucket_ms;
        match self.buckets.back_mut() {
            Some((last, held)) if *last >= bucket => held.add(amounts),
            _ => self.buckets.push_back((bucket, amounts)),
        }
        self.sum.add(amounts);
    }

    /// Takes one record out of the sub-bucket that it was charged in, if that is still held. True when it was.
    pub(super) fn take_record(&mut self, charged: LedgerTime, now: LedgerTime) -> bool {
        self.expire(now);
        if !self.holds(charged, now) {
            return false;
        }
        let bucket = charged.0 / self.bucket_ms;
        let Ok(index) = self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) else { return false };
        let held = &mut self.buckets[index].1.records;
        if *held == 0 {
            return false;
        }
        *held -= 1;
        self.sum.records = self.sum.records.saturating_sub(1);
        true
    }

    /// Whether something charged then is still in the window.
    pub(super) fn holds(&self, charged: LedgerTime, now: LedgerTime) -> bool {
        charged.0 / self.bucket_ms >= self.oldest(now)
    }

    /// Whether both times fall into one sub-bucket.
    pub(super) fn is_same_bucket(&self, one: LedgerTime, other: LedgerTime) -> bool {
        one.0 / self.bucket_ms == other.0 / self.bucket_ms
    }

    /// What is in the window.
    pub(super) fn sum(&self, now: LedgerTime) -> Amounts {
        let oldest = self.oldest(now);
        let mut sum = self.sum;
        for (_, amounts) in self.buckets.iter().take_while(|(bucket, _)| *bucket < oldest) {
            sum.take(*amounts);
        }
        sum
    }

    /// When less than this is in the window, if nothing is added; `None` when that is so now.
    pub(super) fn falls_below(&self, unit: Unit, amount: u64, now: LedgerTime) -> Option<LedgerTime> {
        let oldest = self.oldest(now);
        let mut left = self.sum(now).of(unit);
        if left < amount {
            return None;
        }
        let mut at = now;
        for (bucket, amounts) in self.buckets.iter().filter(|(bucket, _)| *bucket >= oldest) {
            left = left.saturating_sub(amounts.of(unit));
            at = LedgerTime((bucket + self.length + 1).saturating_mul(self.bucket_ms));
            if left < amount {
                break;
            }
        }
        Some(at)
    }

    /// The oldest sub-bucket that counts: the partial one.
    fn oldest(&self, now: LedgerTime) -> u64 {
        (now.0 / self.bucket_ms).saturating_sub(self.length)
    }

    fn expire(&mut self, now: LedgerTime) {
        let oldest = self.oldest(now);
        while let Some((bucket, amounts)) = self.buckets.front().copied() {
            if bucket >= oldest {
                break;
            }
            self.sum.take(amounts);
            self.buckets.pop_front();
        }
    }
}
