//! A policy as a whole: what it calls sensitive, its rules, its defaults.
//!
//! INVARIANT: the order of rules never matters, and the strictest outcome wins.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::approval::Approval;
use crate::budget::Window;
use crate::cases::{Case, Table};
use crate::detect::Detect;
use crate::identity::Who;
use crate::relation::Engine;
use crate::rule::{Dataset, Declassified, Defaults, OnStoreFailure, RelationPattern, Rule, Then};

/// A loaded policy file.
#[derive(Clone, Debug)]
pub struct PolicySet {
    pub(crate) hash: String,
    /// What diagnostics call the file.
    pub(crate) file: Arc<str>,
    /// The whole policy is evaluated and told, and nothing held back.
    pub(crate) observe: bool,
    pub(crate) datasets: Vec<Dataset>,
    /// Foreign tables that lead to nothing sensitive.
    pub(crate) harmless_foreign: Vec<RelationPattern>,
    /// Views that show nothing of the sensitive relations that they read.
    pub(crate) declassified: Vec<Declassified>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) defaults: Defaults,
    /// What is looked for beyond thresholds.
    pub(crate) detect: Detect,
    /// Tests of the file.
    pub(crate) cases: Vec<Case>,
    /// Tables that the tests use.
    pub(crate) tables: Vec<Table>,
}

impl PolicySet {
    /// Hex SHA-256 of the file's text.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Whether there is a dataset of this name.
    pub fn has_dataset(&self, name: &str) -> bool {
        self.datasets.iter().any(|dataset| *dataset.name == *name)
    }

    /// Whether the whole policy only observes.
    pub fn observes(&self) -> bool {
        self.observe
    }

    /// Whether what cannot be read may run unseen where it may touch something sensitive.
    pub fn allows_opaque(&self) -> bool {
        self.defaults.opaque_sensitive == Then::Allow
    }

    /// Whether a first use of a dataset is told more loudly.
    pub(crate) fn is_watched(&self, dataset: &str) -> bool {
        self.datasets.iter().any(|known| known.watched && *known.name == *dataset)
    }

    /// Whether a budget holds this person back at this second of Unix time.
    pub fn budgets(&self, who: &Who, wall: u64) -> bool {
        let holds = |rule: &Rule| !rule.observe && rule.then == Then::Refuse && !rule.budget.is_empty();
        !self.observe && self.rules.iter().any(|rule| holds(rule) && rule.applies_to(who, wall))
    }

    /// Who may enlarge the budget of this rule, where it says that somebody may.
    pub fn approval(&self, rule: &str) -> Option<&Approval> {
        self.rules.iter().find(|known| *known.name == *rule).and_then(|rule| rule.approval.as_ref())
    }

    /// Windows in which a rule's limits count; the longest, where it limits single statements only.
    pub fn windows(&self, rule: &str) -> Vec<Window> {
        let lines = self.rules.iter().filter(|known| *known.name == *rule).flat_map(|rule| &rule.budget);
        let mut windows: Vec<Window> =
            lines.map(|line| line.window).filter(|window| *window != Window::Statement).collect();
        windows.sort_unstable();
        windows.dedup();
        if windows.is_empty() { vec![Window::Month] } else { windows }
    }

    /// What happens to statements that need a durable record, while there can be none.
    pub fn on_store_failure(&self) -> OnStoreFailure {
        self.defaults.on_store_failure
    }

    /// How many datasets, rules and tests the file has.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.datasets.len(), self.rules.len(), self.cases.len())
    }

    /// Databases that datasets name without a star; on MySQL, a schema is a database.
    pub fn databases(&self) -> BTreeSet<(Engine, &str)> {
        let patterns = self.datasets.iter().flat_map(|dataset| &dataset.relations);
        let named = patterns.map(|pattern| match pattern.engine {
            Engine::Postgres => (pattern.engine, pattern.database.literal()),
            Engine::Mysql => (pattern.engine, pattern.schema.literal()),
        });
        named.filter_map(|(engine, database)| Some((engine, database?))).collect()
    }
}
