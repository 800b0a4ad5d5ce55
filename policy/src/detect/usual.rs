//! What is usual: robust measures of a person's days and of a group's people.
//!
//! Medians and the median distance from them (MAD) stand where means and deviations would: less than half of the days,
//! or of the people, can be made up without moving them. The deviation is never taken to be smaller than that of chance
//! (the root of the median) and a twentieth of the median, so that somebody whose days are all alike is not told of for
//! one look-up more. All numbers are whole; shares are in percent.

use crate::ledger::Days;

/// Days that must be known before a day is compared with them.
const DAYS_MIN: usize = 5;
/// Slack of the drift's sum in hundredths of a deviation: what a day may be above the usual and add nothing.
const DRIFT_SLACK: i64 = 75;
/// Most that one day adds, in hundredths, so that a single wild day is not taken for a drift of many; above the limit all
/// the same, so that it can be seen on its day.
const DAY_MAX: i64 = 600;
/// Sum above which days have drifted, in hundredths of a deviation. With the slack, chance alone comes so far about once
/// in 2,000 days of a person (Siegmund's approximation for a one-sided sum).
pub(crate) const DRIFT_LIMIT: i64 = 400;
/// Most that a day of the group may lift everybody's usual, in percent.
const RATIO_MAX: u64 = 2_000;

/// A person's usual day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usual {
    /// Median of the days that had anything.
    pub(crate) median: u64,
    /// A deviation, by the MAD; at least 1.
    pub(crate) spread: u64,
    /// How many days it is made of.
    pub(crate) days: usize,
}

impl Usual {
    /// Of the days before this one; `None` where there are too few.
    pub(crate) fn of(days: &Days, today: u32) -> Option<Usual> {
        let mut counts: Vec<u64> = days.before(today).map(|(_, count)| u64::from(count)).collect();
        if counts.len() < DAYS_MIN {
            return None;
        }
        let median = quantile(&mut counts, 50);
        let mut distances: Vec<u64> = counts.iter().map(|count| count.abs_diff(median)).collect();
        let mad = quantile(&mut distances, 50);
        let spread = (mad.saturating_mul(1483) / 1000).max(median.isqrt()).max(median / 20).max(1);
        Some(Usual { median, spread, days: counts.len() })
    }

    /// How far the days have drifted upwards, today's count included, in hundredths of a deviation: the one-sided sum of
    /// what is above the usual (CUSUM). `ratio`: how the group's day was, in percent of its usual.
    pub(crate) fn drift(&self, days: &Days, today: u32, count: u64, ratio: impl Fn(u32) -> u64) -> i64 {
        let mut sum = 0_i64;
        let counts = days.before(today).map(|(day, count)| (day, u64::from(count)));
        for (day, count) in counts.chain([(today, count)]) {
            let ratio = ratio(day).clamp(100, RATIO_MAX);
            let (expected, spread) = (scaled(self.median, ratio), scaled(self.spread, ratio).max(1));
            let above = signed(count).saturating_sub(signed(expected)).saturating_mul(100) / signed(spread).max(1);
            sum = sum.saturating_add(above.min(DAY_MAX) - DRIFT_SLACK).max(0);
        }
        sum
    }
}

/// The value that so many percent are not above; 0 of nothing.
pub(crate) fn quantile(values: &mut [u64], percent: usize) -> u64 {
    if values.is_empty() {
        return 0;
    }
    let place = (values.len().saturating_mul(percent) / 100).min(values.len() - 1);
    *values.select_nth_unstable(place).1
}

/// A share of a number, in percent.
pub(crate) fn scaled(number: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn days(counts: &[u64]) -> Days {
        let mut days = Days::default();
        (0..).zip(counts).for_each(|(day, count)| days.add(day, *count));
        days
    }

    #[test]
    fn a_few_wild_days_do_not_move_the_usual() {
        let usual = Usual::of(&days(&[100, 104, 96, 98, 5_000, 102, 9_000]), 7).unwrap();
        assert_eq!((usual.median, usual.days), (102, 7));
        assert!(usual.spread <= 11, "{usual:?}");
        assert_eq!(Usual::of(&days(&[1, 2, 3, 4]), 4), None, "four days are no habit");
    }

    #[test]
    fn a_small_excess_adds_up_and_chance_does_not() {
        let mut honest: Vec<u64> = vec![96, 104, 99, 110, 90, 101, 95, 108, 100, 97];
        let before = days(&honest);
        let usual = Usual::of(&before, 10).unwrap();
        assert!(usual.drift(&before, 10, 105, |_| 100) < DRIFT_LIMIT);
        honest.extend([128, 131]);
        let after = days(&honest);
        let usual = Usual::of(&after, 12).unwrap();
        assert!(usual.drift(&after, 12, 130, |_| 100) > DRIFT_LIMIT);
        assert!(usual.drift(&after, 12, 130, |_| 130) < DRIFT_LIMIT, "when everybody has more to do it is none");
    }

    #[test]
    fn quantiles_of_few() {
        assert_eq!(quantile(&mut [], 95), 0);
        assert_eq!(quantile(&mut [7], 95), 7);
        assert_eq!(quantile(&mut (1..=100).collect::<Vec<_>>(), 95), 96);
    }
}
