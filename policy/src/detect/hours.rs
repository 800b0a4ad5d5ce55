//! Unusual hours: a person who touches something sensitive when neither they nor their group ever do.
//!
//! Each hour in which somebody was active counts once, however much they did. The hour of the week is smoothed over its
//! neighbours and over the days of its kind (Monday to Friday, or the weekend), so that a late evening is no news and a
//! night is. When three others of the group are there within two hours, something is going on that is not this person.

use super::observation::{Observation, Stage};
use super::peers::Peers;
use super::scene::{Finding, Scene};
use super::watch::{Detector, watches};
use crate::budget::Window;
use crate::identity::Who;
use crate::ledger::LedgerTime;
use crate::verdict::Measure;

/// Hours of a week.
const WEEK: usize = 168;
/// Hours that somebody must have been active in before any is unusual: a week of work.
const ACTIVE_MIN: u32 = 40;
/// Share of the active hours below which one is unusual, in percent.
const SHARE_MIN: u32 = 2;
/// Hours after which all counts are halved, so that new habits take the place of old ones: about a year of work.
const ACTIVE_MAX: u32 = 2_000;
/// People of the group whose presence makes any hour usual.
const COMPANY: usize = 3;
/// For how long somebody is there, milliseconds.
const PRESENCE_MS: u64 = 2 * 60 * 60 * 1000;

/// Active hours by hour of the week, from Monday 00:00 UTC.
#[derive(Clone, Debug)]
pub(crate) struct Hours {
    counts: [u16; WEEK],
    active: u32,
    last: i64,
}

impl Default for Hours {
    fn default() -> Hours {
        Hours { counts: [0; WEEK], active: 0, last: i64::MIN }
    }
}

impl Hours {
    /// Notes that somebody was active at this second of Unix time.
    pub(crate) fn put(&mut self, wall: i64) {
        let hour = wall.div_euclid(3_600);
        if hour == self.last {
            return;
        }
        self.last = hour;
        if self.active >= ACTIVE_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.active /= 2;
        }
        let count = &mut self.counts[of_week(wall)];
        *count = count.saturating_add(1);
        self.active += 1;
    }

    /// How often somebody was active at such an hour, its neighbours and days of its kind included; of how many hours.
    fn support(&self, wall: i64) -> (u32, u32) {
        let (day, hour) = (of_week(wall) / 24, of_week(wall) % 24);
        let days = if day < 5 { 0..5 } else { 5..7 };
        let near = [(hour + 23) % 24, hour, (hour + 1) % 24];
        let counts = days.flat_map(|day| near.map(|hour| u32::from(self.counts[day * 24 + hour])));
        (counts.sum(), self.active)
    }

    /// Whether enough is known, and such an hour hardly ever was.
    fn is_unusual(&self, wall: i64) -> bool {
        let (support, active) = self.support(wall);
        active >= ACTIVE_MIN && support.saturating_mul(100) < active.saturating_mul(SHARE_MIN)
    }

    /// Whether such an hour is one of those in which somebody is active.
    fn is_usual(&self, wall: i64) -> bool {
        let (support, active) = self.support(wall);
        active >= ACTIVE_MIN && support.saturating_mul(100) >= active.saturating_mul(SHARE_MIN)
    }
}

/// The hour of the week, from Monday 00:00 UTC. 1970 began on a Thursday.
fn of_week(wall: i64) -> usize {
    usize::try_from((wall.div_euclid(3_600) + 3 * 24).rem_euclid(168)).unwrap_or(0)
}

pub(super) fn remember(who: &Who, seen: &Observation, wall: i64, scene: (&mut Hours, &mut Peers), now: LedgerTime) {
    if seen.stage != Stage::Arrival && is_sensitive(seen) {
        scene.0.put(wall);
        scene.1.groups_of(who, now).for_each(|group| group.hours.put(wall));
    }
}

fn is_sensitive(seen: &Observation) -> bool {
    !seen.reached.is_empty() || !seen.taken.is_empty()
}

pub(super) fn look(scene: &mut Scene<'_>) {
    if scene.seen.stage == Stage::Arrival || !is_sensitive(scene.seen) {
        return;
    }
    let wall = scene.at.wall;
    let (who, now) = (scene.who, scene.now);
    if !scene.ledger.habits.hours.is_unusual(wall) {
        return;
    }
    if scene.peers.groups_of(who, now).any(|group| group.hours.is_usual(wall)) {
        return;
    }
    let company = scene.peers.company(who, now, PRESENCE_MS);
    if company >= COMPANY {
        return;
    }
    let (support, active) = scene.ledger.habits.hours.support(wall);
    for watch in watches(&scene.set.detect.watches, Detector::UnusualHours, who, None) {
        if !scene.ledger.habits.is_learnt(watch.learning_ms, now) {
            continue;
        }
        let hour = of_week(wall) % 24;
        let message = format!(
            "active at {hour:02} o'clock UTC: {support} of their {active} active hours were near such an hour, {company} others \
             of their groups are there"
        );
        scene.found(Finding {
            detector: Detector::UnusualHours,
            watch,
            dataset: None,
            about: "",
            unit: Measure::Statements,
            window: Some(Window::Hour),
            limit: u64::from(active) * u64::from(SHARE_MIN) / 100,
            before: u64::from(support),
            after: 1,
            message,
            grave: false,
            days: 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Monday, 00:00 UTC.
    const MONDAY: i64 = 1_795_392_000;

    #[test]
    fn a_week_begins_on_monday() {
        assert_eq!((of_week(0), of_week(MONDAY), of_week(MONDAY - 1)), (72, 0, 167));
    }

    #[test]
    fn a_night_is_unusual_for_who_works_by_day() {
        let mut hours = Hours::default();
        for day in [0, 1, 2, 3, 4, 7, 8, 9, 10, 11] {
            (8..17).for_each(|hour| hours.put(MONDAY + day * 86_400 + hour * 3_600 + 60));
        }
        let at = |day: i64, hour: i64| MONDAY + day * 86_400 + hour * 3_600;
        assert!(!hours.is_unusual(at(14, 7)) && !hours.is_unusual(at(14, 17)), "an hour early or late");
        assert!(hours.is_unusual(at(14, 3)) && hours.is_unusual(at(12, 10)), "at night, and on a Saturday");
        assert!(!Hours::default().is_unusual(at(14, 3)), "of somebody new everything is");
    }
}
