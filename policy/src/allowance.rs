//! What a person may still read: the limits of a policy laid over their ledger, for whoever asks.
//!
//! INVARIANT: nothing here decides. What may leave is said when a statement is admitted and while its rows leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::budget::{Unit, Window};
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment};
use crate::rule::Then;
use crate::set::PolicySet;

/// One limit of one rule on one dataset, as it stands; or a total that nothing limits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Allowance {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Rule; `None` where nothing limits it.
    pub rule: Option<Arc<str>>,
    /// Window.
    pub window: Window,
    /// What is counted.
    pub unit: Unit,
    /// How much left in the window; 0 for one statement, which has not begun.
    pub used: u64,
    /// How much more running statements have leased.
    pub leased: u64,
    /// The limit; `None` where there is none.
    pub limit: Option<u64>,
    /// What more a grant lets leave.
    pub granted: u64,
    /// How much may leave now; `None` where nothing holds it back.
    pub left: Option<u64>,
    /// Whether the limit holds back, or only tells.
    pub holds: bool,
    /// Where nothing is left: when something is again, by itself.
    pub frees_at: Option<LedgerTime>,
}

impl PolicySet {
    /// Every limit that speaks of a person, in any of the ways in which they may come, and every total beside.
    pub fn allowances(&self, seats: &[Who], ledger: &Ledger, at: &Moment) -> Vec<Allowance> {
        let wall = u64::try_from(at.wall).unwrap_or(0);
        let mut found = Vec::new();
        let mut limited = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| seats.iter().any(|who| rule.applies_to(who, wall))) {
            let holds = rule.then == Then::Refuse && !rule.observe && !self.observe;
            for dataset in rule.datasets.iter().flatten() {
                for line in &rule.budget {
                    limited.insert((dataset.clone(), line.window, line.unit));
                    let used = ledger.used(dataset, line.window, line.unit, at.now);
                    let leased = ledger.reserved(dataset, line.unit);
                    let granted = match line.unit {
                        Unit::Records => ledger.grace(dataset, &rule.name, at.now),
                        Unit::Rows | Unit::Bytes => 0,
                    };
                    let taken = if line.window == Window::Statement { 0 } else { used.saturating_add(leased) };
                    let left = line.amount.saturating_sub(taken).max(granted);
                    let frees_at = match left {
                        0 => ledger.frees_at(dataset, line.window, line.unit, line.amount, at.now),
                        _ => None,
                    };
                    found.push(Allowance {
                        dataset: dataset.clone(),
                        rule: Some(rule.name.clone()),
                        window: line.window,
                        unit: line.unit,
                        used,
                        leased,
                        limit: Some(line.amount),
                        granted,
                        left: holds.then_some(left),
                        holds,
                        frees_at,
                    });
                }
            }
        }
        let totals = ledger.snapshot(at.now).into_iter();
        let beside = totals.filter(|line| !limited.contains(&(line.dataset.clone(), line.window, line.unit)));
        found.extend(beside.map(|line| Allowance {
            dataset: line.dataset,
            rule: None,
            window: line.window,
            unit: line.unit,
            used: line.used,
            leased: line.reserved,
            limit: None,
            granted: 0,
            left: None,
            holds: false,
            frees_at: None,
        }));
        found.sort_by(|a, b| {
            (&a.dataset, a.rule.is_none(), &a.rule, a.window, a.unit).cmp(&(
                &b.dataset,
                b.rule.is_none(),
                &b.rule,
                b.window,
                b.unit,
            ))
        });
        found
    }
}
