//! Sessions that no look has seen: how many began by the server's count, less those that are accounted for.
//!
//! The server adds a session to its count up to seconds late, so what is missing at first is no evidence: the first few
//! looks only find the level.

use std::time::{Duration, Instant};

/// Looks that find the level before anything is told.
const SETTLING: u32 = 3;
/// Sessions that may be missing without a word: counts of several databases are not of one moment.
const SLACK: u64 = 2;
/// How long nothing is told after it was.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(3600);

/// The two counts, followed.
#[derive(Debug, Default)]
pub(super) struct Tally {
    looks: u32,
    last_began: u64,
    /// Sessions past Weir that looks have seen.
    strangers: u64,
    level: i128,
    excess: u64,
    /// Excess that was told, and when.
    told: Option<(u64, Instant)>,
}

impl Tally {
    /// After a look: what the server says has begun, what Weir has begun, and strangers that were new in it.
    pub(super) fn count(&mut self, began: Option<u64>, carried: u64, strangers: usize) {
        let Some(began) = began else { return };
        if began < self.last_began {
            // Somebody has reset the server's counts.
            *self = Tally { told: self.told.map(|(_, at)| (0, at)), ..Tally::default() };
        }
        self.last_began = began;
        self.strangers = self.strangers.saturating_add(u64::try_from(strangers).unwrap_or(u64::MAX));
        let beyond = i128::from(began) - i128::from(carried) - i128::from(self.strangers);
        if self.looks < SETTLING {
            self.level = if self.looks == 0 { beyond } else { self.level.max(beyond) };
            self.looks += 1;
        }
        self.excess = u64::try_from(beyond - self.level).unwrap_or(0);
    }

    /// Sessions that began and that nobody saw.
    pub(super) fn unseen(&self) -> u64 {
        if self.excess > SLACK { self.excess } else { 0 }
    }

    /// Whether there are more of them than were told, and the last word was long ago.
    pub(super) fn is_to_be_told(&mut self, now: Instant) -> bool {
        let (told, at) = self.told.unzip();
        let is_news = self.unseen() > told.unwrap_or(0).saturating_add(if told.is_some() { SLACK } else { 0 });
        if is_news && at.is_none_or(|at| now.duration_since(at) >= TOLD_AGAIN_AFTER) {
            self.told = Some((self.unseen(), now));
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_late_is_no_evidence_and_what_is_beyond_is() {
        let mut tally = Tally::default();
        let now = Instant::now();
        // Five sessions of Weir's are counted late, in the first looks.
        for (began, carried) in [(100, 5), (103, 5), (105, 5), (110, 10), (112, 14)] {
            tally.count(Some(began), carried, 0);
            assert_eq!((tally.unseen(), tally.is_to_be_told(now)), (0, false), "{began} {carried}");
        }
        // A stranger that was seen is accounted for; ten others were not.
        tally.count(Some(125), 14, 1);
        assert_eq!(tally.unseen(), 10);
        assert!(tally.is_to_be_told(now) && !tally.is_to_be_told(now));
        tally.count(Some(140), 14, 0);
        assert!(!tally.is_to_be_told(now + Duration::from_secs(60)), "once an hour");
        assert!(tally.is_to_be_told(now + Duration::from_secs(3700)));
        tally.count(None, 14, 0);
        assert_eq!(tally.unseen(), 25);
    }

    #[test]
    fn counts_that_were_reset_begin_anew() {
        let mut tally = Tally::default();
        for _ in 0..4 {
            tally.count(Some(1000), 10, 0);
        }
        for (began, carried) in [(3, 10), (3, 10), (3, 10), (8, 15)] {
            tally.count(Some(began), carried, 0);
            assert_eq!(tally.unseen(), 0);
        }
        tally.count(Some(20), 15, 0);
        assert_eq!(tally.unseen(), 12);
    }
}
