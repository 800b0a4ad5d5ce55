//! The judgement of one execution before it runs: which rules speak of it, what they say together, and what may leave.
//!
//! All rules that match apply and the strictest outcome wins: a refusal before a limit, a limit before an alert. The
//! defaults speak where no rule does. What comes out is sorted, so that the order of rules in the file never shows.
//!
//! What must never happen here: a ledger that is charged by an execution that does not run, and a refusal or a cut
//! under a rule or policy that only observes.

mod openings;

use std::collections::BTreeSet;
use std::sync::Arc;

use openings::Openings;

use crate::binding::lanes;
use crate::budget::Window;
use crate::exposure::{Exposed, Exposure, Manner};
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment};
use crate::meter::Meter;
use crate::rule::{Rule, Then};
use crate::set::PolicySet;
use crate::statement::Access;
use crate::verdict::{Alert, AlertKind, Basis, Decision, Denial, Measure, Outcome, Permit, Verdict};

/// Name under which rows that no dataset covers are counted. No dataset can have it: names have no brackets.
pub(crate) const UNCLASSIFIED: &str = "(unclassified)";
/// What the basis calls `defaults.unclassified-egress`.
pub(crate) const EGRESS_RULE: &str = "defaults.unclassified-egress";

impl PolicySet {
    /// Judges one execution of what `exposure` describes, by somebody whose totals stand in `ledger`.
    ///
    /// An execution that may run and releases something sensitive has a meter, which has drawn its first lease from
    /// the ledger and must be settled there. Nothing else is changed.
    pub fn admit(&self, who: &Who, exposure: &Exposure, ledger: &mut Ledger, at: &Moment) -> Verdict {
        if exposure.is_plain() {
            let permit = Permit { meter: None, sensitive: false };
            return Verdict { decision: Decision::Allow(permit), alerts: Vec::new(), basis: Vec::new() };
        }
        let now = ledger.tick(at.now);
        let wall = u64::try_from(at.wall).unwrap_or(0);
        let rules: Vec<&Rule> = self.rules.iter().filter(|rule| rule.applies_to(who, wall)).collect();
        let mut judgement =
            Judgement { observe: self.observe, denials: Vec::new(), alerts: Vec::new(), basis: Vec::new() };
        for rule in rules.iter().filter(|rule| rule.budget.is_empty()) {
            judgement.rule(rule, exposure);
        }
        self.defaults_speak(who, exposure, &rules, &mut judgement);
        let openings = Openings::new(self, exposure, &rules, ledger, now, &mut judgement);
        judgement.verdict(exposure, openings, ledger, now)
    }

    /// How many bytes of rows that no dataset covers a person may read, and in which window; `None` when nobody looks.
    pub fn egress(&self) -> Option<(u64, Window)> {
        self.defaults.unclassified_egress.map(|egress| (egress.bytes, egress.window))
    }

    fn defaults_speak(&self, who: &Who, exposure: &Exposure, rules: &[&Rule], judgement: &mut Judgement) {
        let releases = exposure.releases();
        if let Some(reason) = exposure.opaque() {
            judgement.default(
                "defaults.opaque-sensitive",
                None,
                self.defaults.opaque_sensitive,
                AlertKind::OpaqueSensitive,
                "what this statement reaches cannot be told, and the database holds sensitive data",
                Some(reason),
            );
        }
        if !who.known && (releases || exposure.opaque().is_some()) {
            judgement.default(
                "defaults.unknown-person",
                None,
                self.defaults.unknown_person,
                AlertKind::UnknownPerson,
                "sensitive data is only for people whom the directory knows",
                None,
            );
        }
        let unfollowed: BTreeSet<&Arc<str>> = exposure
            .touched
            .iter()
            .filter(|exposed| exposed.unfollowed && !rules.iter().any(|rule| rule.speaks_of(exposed)))
            .map(|exposed| &exposed.dataset)
            .collect();
        for dataset in unfollowed {
            judgement.default(
                "defaults.unfollowed-copy",
                Some(dataset),
                self.defaults.unfollowed_copy,
                AlertKind::UnfollowedCopy,
                &format!(
                    "nobody could follow what this statement copies of `{dataset}`; a rule for `export` may let you"
                ),
                None,
            );
        }
        let uncovered: BTreeSet<&Arc<str>> = exposure
            .touched
            .iter()
            .filter(|exposed| leaves(exposed) && !rules.iter().any(|rule| rule.speaks_of(exposed)))
            .map(|exposed| &exposed.dataset)
            .collect();
        for dataset in uncovered {
            judgement.default(
                "defaults.unmatched-sensitive",
                Some(dataset),
                self.defaults.unmatched_sensitive,
                AlertKind::UnmatchedSensitive,
                &format!("no rule lets you read `{dataset}`"),
                None,
            );
        }
    }
}

impl Rule {
    /// Whether the rule speaks of this person at this second of Unix time.
    pub(crate) fn applies_to(&self, who: &Who, wall: u64) -> bool {
        let excepted = self
            .except
            .as_ref()
            .is_some_and(|exception| exception.until.is_none_or(|until| wall < until) && exception.who.matches(who));
        self.who.matches(who) && !excepted && self.when.as_ref().is_none_or(|schedule| schedule.applies(wall))
    }

    /// Whether the rule speaks of this use of a dataset.
    fn speaks_of(&self, exposed: &Exposed) -> bool {
        self.access.contains(&exposed.access)
            && self.datasets.as_ref().is_none_or(|names| names.contains(&exposed.dataset))
    }
}

/// What has been found against an execution, and for it.
#[derive(Debug)]
struct Judgement {
    observe: bool,
    denials: Vec<(Rank, Denial)>,
    alerts: Vec<Alert>,
    basis: Vec<Basis>,
}

/// Which of several refusals the client is told: the plainest one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Rule,
    Budget,
    Default,
}

impl Judgement {
    /// A rule without a budget.
    fn rule(&mut self, rule: &Rule, exposure: &Exposure) {
        let datasets: BTreeSet<Option<&Arc<str>>> = match &rule.datasets {
            Some(_) => exposure
                .touched
                .iter()
                .filter(|exposed| rule.speaks_of(exposed))
                .map(|exposed| Some(&exposed.dataset))
                .collect(),
            None if rule.access.is_disjoint(&exposure.accesses) => BTreeSet::new(),
            None => BTreeSet::from([None]),
        };
        for dataset in datasets {
            let basis = |outcome| uncounted(&rule.name, dataset, outcome);
            let subject = match dataset {
                Some(dataset) => format!("`{dataset}`"),
                None => accesses(rule.access.intersection(&exposure.accesses)),
            };
            match rule.then {
                Then::Allow => self.basis.push(basis(Outcome::Allowed)),
                Then::Alert => {
                    let message = format!("{subject} by rule `{}`", rule.name);
                    self.alerts.push(Alert { kind: AlertKind::Rule, message, basis: basis(Outcome::Alerted) });
                    self.basis.push(basis(Outcome::Alerted));
                }
                Then::Refuse => {
                    let message = match &rule.message {
                        Some(message) => message.to_string(),
                        None => format!("{subject} is refused by rule `{}`", rule.name),
                    };
                    self.refuse(Rank::Rule, message, basis(Outcome::Refused), self.observe || rule.observe);
                }
            }
        }
    }

    /// A default. `detail` is for whoever is alerted, not for the client.
    fn default(
        &mut self,
        name: &str,
        dataset: Option<&Arc<str>>,
        then: Then,
        kind: AlertKind,
        message: &str,
        detail: Option<&str>,
    ) {
        let basis = |outcome| uncounted(&name.into(), dataset, outcome);
        match then {
            Then::Allow => self.basis.push(basis(Outcome::Allowed)),
            Then::Alert => {
                let message = match detail {
                    Some(detail) => format!("{message} ({detail})"),
                    None => message.to_owned(),
                };
                self.alerts.push(Alert { kind, message, basis: basis(Outcome::Alerted) });
                self.basis.push(basis(Outcome::Alerted));
            }
            Then::Refuse => {
                let message = format!("{message} (`{name}`)");
                self.refuse(Rank::Default, message, basis(Outcome::Refused), self.observe);
            }
        }
    }

    /// Something that must not run; observed, it is only told.
    fn refuse(&mut self, rank: Rank, message: String, basis: Basis, observed: bool) {
        if observed {
            let basis = Basis { outcome: Outcome::WouldRefuse, ..basis };
            let message = format!("would have been refused: {message}");
            self.alerts.push(Alert { kind: AlertKind::WouldRefuse, message, basis: basis.clone() });
            self.basis.push(basis);
        } else {
            self.basis.push(basis.clone());
            self.denials.push((rank, Denial { message, basis }));
        }
    }

    fn verdict(mut self, exposure: &Exposure, openings: Openings, ledger: &mut Ledger, now: LedgerTime) -> Verdict {
        self.denials
            .sort_by(|(a, one), (b, other)| (a, &one.basis, &one.message).cmp(&(b, &other.basis, &other.message)));
        let decision = match self.denials.into_iter().next() {
            Some((_, denial)) => Decision::Deny(denial),
            None => {
                let sensitive = !exposure.touched.is_empty() || exposure.opaque().is_some();
                let (openings, extra) = openings.into_parts();
                let meter = if openings.is_empty() {
                    None
                } else {
                    let mut lanes = lanes(exposure, &[]);
                    lanes.extend(extra);
                    let (meter, alerts) = Meter::open(openings, lanes, ledger, now);
                    self.alerts.extend(alerts);
                    Some(meter)
                };
                Decision::Allow(Permit { meter, sensitive })
            }
        };
        self.alerts.sort();
        self.alerts.dedup();
        self.basis.sort();
        self.basis.dedup();
        Verdict { decision, alerts: self.alerts, basis: self.basis }
    }
}

/// Whether values of it leave.
fn leaves(exposed: &Exposed) -> bool {
    exposed.manner != Manner::Used
}

/// A reason that counts nothing.
fn uncounted(rule: &Arc<str>, dataset: Option<&Arc<str>>, outcome: Outcome) -> Basis {
    Basis {
        rule: rule.clone(),
        dataset: dataset.cloned(),
        window: None,
        unit: Measure::Records,
        limit: 0,
        before: 0,
        after: 0,
        outcome,
    }
}

/// Accesses in words.
fn accesses<'a>(accesses: impl Iterator<Item = &'a Access>) -> String {
    let words = accesses.map(|access| match access {
        Access::Read => "reading",
        Access::Export => "exporting",
        Access::Write => "writing",
        Access::Ddl => "changing definitions",
        Access::Grant => "changing rights",
        Access::SetRole => "changing the role",
        Access::Definer => "running code with its owner's rights",
        Access::Configure => "configuring the server",
        Access::AuditOff => "turning auditing off",
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
