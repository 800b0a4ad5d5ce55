//! One observation while it is looked at, and how a finding becomes an alert or a refusal.

use std::sync::Arc;

use super::Watched;
use super::observation::{Observation, Stage, name_hash};
use super::peers::Peers;
use super::watch::{Detector, Watch};
use crate::budget::Window;
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment};
use crate::rule::Then;
use crate::set::PolicySet;
use crate::verdict::{Alert, AlertKind, Basis, Denial, Measure, Outcome};

/// What is at hand when an observation is looked at.
pub(crate) struct Scene<'a> {
    pub(crate) set: &'a PolicySet,
    pub(crate) who: &'a Who,
    pub(crate) seen: &'a Observation,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) peers: &'a mut Peers,
    pub(crate) at: Moment,
    /// On the clock of the ledger, which never runs backwards.
    pub(crate) now: LedgerTime,
    pub(crate) today: u32,
    pub(crate) watched: Watched,
}

/// Something that was found.
pub(crate) struct Finding<'a> {
    pub(crate) detector: Detector,
    pub(crate) watch: &'a Watch,
    pub(crate) dataset: Option<Arc<str>>,
    /// Tells findings of one detector apart that are told each by itself.
    pub(crate) about: &'a str,
    pub(crate) unit: Measure,
    pub(crate) window: Option<Window>,
    pub(crate) limit: u64,
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// What was counted, what is usual, and what others do.
    pub(crate) message: String,
    /// Somebody should look at once.
    pub(crate) grave: bool,
    /// For how many days it is told once.
    pub(crate) days: u32,
}

impl Scene<'_> {
    /// Turns a finding into what follows from it.
    pub(crate) fn found(&mut self, finding: Finding<'_>) {
        let refuses = finding.watch.then == Then::Refuse && self.seen.stage == Stage::Before;
        let outcome = match (refuses, self.set.observe || finding.watch.observe) {
            (true, false) => Outcome::Refused,
            (true, true) => Outcome::WouldRefuse,
            (false, _) => Outcome::Alerted,
        };
        let basis = Basis {
            rule: finding.detector.rule().into(),
            dataset: finding.dataset.clone(),
            window: finding.window,
            unit: finding.unit,
            limit: finding.limit,
            before: finding.before,
            after: finding.after,
            outcome,
        };
        self.watched.basis.push(basis.clone());
        let dataset = finding.dataset.as_deref().unwrap_or_default();
        let what = name_hash(&[finding.detector.rule(), dataset, finding.about]);
        let until = self.today.saturating_add(finding.days.max(1) - 1);
        if self.ledger.habits.tells(what, finding.after, self.today, until)
            && self.peers.takes(finding.detector.rule(), finding.watch.at_most, &self.who.person, self.today)
        {
            let kind = AlertKind::Behaviour { detector: finding.detector, grave: finding.grave };
            let message = format!("{}; look with: {}", finding.message, self.search());
            self.watched.alerts.push(Alert { kind, message, basis: basis.clone() });
        }
        if outcome == Outcome::Refused {
            let about = finding.dataset.map_or_else(String::new, |dataset| format!(" about `{dataset}`"));
            let message = format!(
                "what you do is unusual, so this statement{about} does not run (`{}`): ask whoever looks after the data",
                finding.detector.rule()
            );
            self.watched.denial.get_or_insert(Denial { message, basis });
        }
    }

    /// Tells what was held back on days before.
    pub(crate) fn tell_held(&mut self) {
        for held in self.peers.held(self.today) {
            let Some(detector) = Detector::ALL.into_iter().find(|detector| detector.rule() == held.rule) else {
                continue;
            };
            let basis = Basis {
                rule: held.rule.into(),
                dataset: None,
                window: Some(Window::Day),
                unit: Measure::Statements,
                limit: 0,
                before: 0,
                after: held.count,
                outcome: Outcome::Alerted,
            };
            let people: Vec<&str> = held.people.iter().map(AsRef::as_ref).collect();
            let message = format!(
                "and {} more alerts of `{}` on the day before, beyond those that it may raise in one: by {}",
                held.count,
                held.rule,
                people.join(", ")
            );
            self.watched.alerts.push(Alert { kind: AlertKind::Behaviour { detector, grave: false }, message, basis });
        }
    }

    /// The command that shows what the person did today.
    fn search(&self) -> String {
        let plain = self.who.person.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.@:".contains(letter));
        let person = match plain && !self.who.person.is_empty() {
            true => self.who.person.to_string(),
            false => format!("'{}'", self.who.person.replace('\'', r"'\''")),
        };
        format!("weir audit search --person {person} --since {}", date(self.at.wall))
    }
}

/// A day of the wall clock: `2026-11-24`, by the proleptic Gregorian calendar.
pub(crate) fn date(wall: i64) -> String {
    let days = wall.div_euclid(86_400);
    // Eras of 400 years that begin in March, so that the odd day is at a year's end.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates() {
        let known = [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_795_478_400, "2026-11-24"), (-1, "1969-12-31")];
        for (wall, text) in known {
            assert_eq!(date(wall), text);
        }
    }
}
