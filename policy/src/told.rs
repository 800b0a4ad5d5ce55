//! What somebody was told already: an alert about the same thing comes first once, then when there are twice as many.
//!
//! INVARIANT: nothing is left untold for ever: the first is always told, and so is the first after half an hour of quiet.
//! Every denial and every counter stands in its record all the same.

use std::sync::Arc;

use crate::extraction::STRETCH_GAP_MS;
use crate::ledger::LedgerTime;
use crate::verdict::{Alert, AlertKind};

/// Different alerts of one person that are remembered; the one that was quiet longest is forgotten, and told again.
const TOLD_MAX: usize = 256;

/// What one person's alerts have told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    known: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    rule: Arc<str>,
    dataset: Option<Arc<str>>,
    kind: AlertKind,
    times: u64,
    next: u64,
    since: LedgerTime,
    last: LedgerTime,
}

/// That an alert is to be told, and how often it has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// How often, this time included; since the last half hour of quiet.
    pub times: u64,
    /// When the first of them was.
    pub since: LedgerTime,
}

impl Told {
    /// Notes that there is reason for an alert; what to tell, if anything.
    pub fn tell(&mut self, alert: &Alert, now: LedgerTime) -> Option<Telling> {
        if !is_grouped(alert) {
            return Some(Telling { times: 1, since: now });
        }
        let same = |entry: &&mut Entry| {
            entry.kind == alert.kind && entry.rule == alert.basis.rule && entry.dataset == alert.basis.dataset
        };
        if let Some(entry) = self.known.iter_mut().find(same) {
            if now.0.saturating_sub(entry.last.0) > STRETCH_GAP_MS {
                (entry.times, entry.next, entry.since) = (0, 0, now);
            }
            entry.last = now;
            entry.times = entry.times.saturating_add(1);
            let reached = measure(alert, entry.times);
            if reached < entry.next {
                return None;
            }
            entry.next = reached.saturating_mul(2);
            return Some(Telling { times: entry.times, since: entry.since });
        }
        if self.known.len() >= TOLD_MAX {
            let oldest = self.known.iter().enumerate().min_by_key(|(_, entry)| entry.last).map(|(place, _)| place);
            oldest.map(|place| self.known.swap_remove(place));
        }
        self.known.push(Entry {
            rule: alert.basis.rule.clone(),
            dataset: alert.basis.dataset.clone(),
            kind: alert.kind,
            times: 1,
            next: measure(alert, 1).saturating_mul(2),
            since: now,
            last: now,
        });
        Some(Telling { times: 1, since: now })
    }
}

/// What must double before it is told again: how often it happened, or what a detection has counted.
fn measure(alert: &Alert, times: u64) -> u64 {
    if alert.kind == AlertKind::Probe { alert.basis.after } else { times }
}

/// Whether alerts like this come with every statement. A rule that speaks of no dataset watches for single acts, and
/// marks of a budget are passed once.
fn is_grouped(alert: &Alert) -> bool {
    match alert.kind {
        AlertKind::Rule => alert.basis.dataset.is_some(),
        AlertKind::Threshold { .. }
        | AlertKind::Exceeded
        | AlertKind::UnclassifiedEgress
        | AlertKind::UnfollowedCopy
        | AlertKind::Behaviour { .. } => false,
        AlertKind::UnmatchedSensitive
        | AlertKind::OpaqueSensitive
        | AlertKind::UnknownPerson
        | AlertKind::WouldRefuse
        | AlertKind::WouldCut
        | AlertKind::Probe
        | AlertKind::Withheld
        | AlertKind::Refused
        | AlertKind::Cut => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Basis, Measure, Outcome};

    fn alert(kind: AlertKind, dataset: Option<&str>) -> Alert {
        let basis = Basis {
            rule: "r".into(),
            dataset: dataset.map(Into::into),
            window: None,
            unit: Measure::Records,
            limit: 0,
            before: 0,
            after: 0,
            outcome: Outcome::Refused,
        };
        Alert { kind, message: "m".to_owned(), basis }
    }

    fn times(told: &mut Told, alert: &Alert, count: u64, from: u64) -> Vec<u64> {
        (0..count).filter_map(|nth| told.tell(alert, LedgerTime(from + nth)).map(|telling| telling.times)).collect()
    }

    #[test]
    fn what_repeats_is_told_when_it_has_doubled() {
        let mut told = Told::default();
        let refused = alert(AlertKind::Refused, Some("customers"));
        assert_eq!(times(&mut told, &refused, 20, 0), [1, 2, 4, 8, 16]);
        assert_eq!(times(&mut told, &alert(AlertKind::Refused, Some("cards")), 1, 30), [1], "another dataset");
        assert_eq!(times(&mut told, &alert(AlertKind::Cut, Some("customers")), 1, 30), [1], "another kind");
        assert_eq!(times(&mut told, &refused, 3, 31), [] as [u64; 0]);
        assert_eq!(times(&mut told, &refused, 1, 34 + STRETCH_GAP_MS), [1], "after a pause it is news");
    }

    #[test]
    fn what_a_detection_counts_is_told_when_the_count_has_doubled() {
        let mut told = Told::default();
        let mut probe = alert(AlertKind::Probe, Some("customers"));
        let mut counts = Vec::new();
        for count in 61..300 {
            probe.basis.after = count;
            counts.extend(told.tell(&probe, LedgerTime(count)).map(|_| count));
        }
        assert_eq!(counts, [61, 122, 244]);
    }

    #[test]
    fn single_acts_and_marks_are_always_told() {
        let mut told = Told::default();
        assert_eq!(times(&mut told, &alert(AlertKind::Rule, None), 3, 0), [1, 1, 1]);
        assert_eq!(times(&mut told, &alert(AlertKind::Threshold { percent: 80 }, Some("c")), 2, 0), [1, 1]);
    }

    #[test]
    fn memory_is_bounded_and_the_quietest_is_forgotten() {
        let mut told = Told::default();
        for nth in 0..2 * TOLD_MAX as u64 {
            let dataset = format!("d{nth}");
            assert_eq!(times(&mut told, &alert(AlertKind::Cut, Some(&dataset)), 1, nth), [1]);
        }
        assert_eq!(told.known.len(), TOLD_MAX);
    }
}
