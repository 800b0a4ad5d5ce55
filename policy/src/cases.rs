//! The tests that stand in a policy file: a statement, who sends it, and what must become of it.
//!
//! No database is asked. The tables are those that the datasets name, and those of the section `tables`; each row
//! that `returns` speaks of shows another record. What is judged, counted and cut is what a session would run.

mod tables;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tables::Tables;

use crate::analysis::{Context, LexSettings, analyse};
use crate::binding::Binding;
use crate::budget::Window;
use crate::catalog::Catalog;
use crate::exposure::Exposure;
use crate::identity::Who;
use crate::ledger::{Ledger, LedgerTime, Moment, Replay};
use crate::play::{Played, Rows, play};
use crate::relation::Engine;
use crate::rule::Place;
use crate::set::PolicySet;
use crate::statement::{Analysis, Gap};
use crate::verdict::Basis;

/// When a test begins, on the ledger's clock: late enough for any window to lie behind it.
pub(crate) const NOW: LedgerTime = LedgerTime(60 * 24 * HOUR_MS);
const HOUR_MS: u64 = 3_600_000;
/// How often the tables are given columns that a statement names: each time may show further ones behind them.
const ROUNDS_MAX: usize = 4;

/// One test.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: Arc<str>,
    pub(crate) at: Place,
    pub(crate) who: Who,
    pub(crate) engine: Engine,
    pub(crate) database: Arc<str>,
    /// Records read before, by window, of each dataset that the statement touches; shortest first.
    pub(crate) used: Vec<(Window, u64)>,
    /// Second of the statement, Unix time UTC.
    pub(crate) wall: u64,
    pub(crate) sql: String,
    /// What the database answers with.
    pub(crate) rows: Rows,
    pub(crate) expected: Expected,
}

/// What must become of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) ending: Ending,
    /// Rows that leave before a cut.
    pub(crate) after: Option<u64>,
    /// Rule or default that decides.
    pub(crate) rule: Option<Arc<str>>,
    /// Rules and defaults that alert, all of them, sorted.
    pub(crate) alerts: Option<Vec<Arc<str>>>,
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// It runs to its end, and nobody is told.
    Allow,
    /// It runs to its end, and somebody is told.
    Alert,
    /// It does not run.
    Refuse,
    /// It ends while it runs.
    Cut,
}

/// A table that tests use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Schema (PostgreSQL) or database (MySQL).
    pub(crate) schema: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) columns: Vec<Arc<str>>,
    /// Columns of the primary key.
    pub(crate) key: Vec<Arc<str>>,
    /// 0: not known.
    pub(crate) rows: u64,
}

/// A test that was run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Trial {
    /// Its name.
    pub name: Arc<str>,
    /// The file that it stands in.
    pub file: Arc<str>,
    /// Line of the file, from 1.
    pub line: u64,
    /// Whether all came as expected.
    pub passed: bool,
    /// What did not come as expected: what was expected, and what came.
    pub differences: Vec<Difference>,
    /// What came.
    pub came: Played,
    /// What is not understood of the statement.
    pub gaps: Vec<Gap>,
}

/// Something that did not come as expected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What the test says.
    pub expected: String,
    /// What came.
    pub came: String,
}

impl PolicySet {
    /// Runs the tests of the file, in its order.
    pub fn run_tests(&self) -> Vec<Trial> {
        let mut places: HashMap<(Engine, Arc<str>), Tables> = HashMap::new();
        self.cases
            .iter()
            .map(|case| {
                let tables = places
                    .entry((case.engine, case.database.clone()))
                    .or_insert_with(|| Tables::new(self, case.engine, &case.database));
                self.run_test(case, tables)
            })
            .collect()
    }

    fn run_test(&self, case: &Case, tables: &Tables) -> Trial {
        let mut catalog = tables.catalog(&[]);
        let mut analysis = understand(case, &catalog);
        let mut columns: Vec<String> = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let missing = missing_columns(&analysis, &columns);
            if missing.is_empty() {
                break;
            }
            columns.extend(missing);
            catalog = tables.catalog(&columns);
            analysis = understand(case, &catalog);
        }
        let (binding, _) = self.bind(&catalog);
        let exposure = exposed(&analysis, &binding);
        let mut ledger = read_before(&case.used, &exposure);
        let moment = Moment { now: NOW, wall: i64::try_from(case.wall).unwrap_or(i64::MAX) };
        let came = play((self, &binding), &exposure, &case.who, case.rows, &mut ledger, &moment);
        let differences = differences(&case.expected, &came);
        let gaps = analysis.statements.into_iter().flat_map(|statement| statement.gaps).collect();
        Trial {
            name: case.name.clone(),
            file: self.file.clone(),
            line: case.at.line,
            passed: differences.is_empty(),
            differences,
            came,
            gaps,
        }
    }
}

/// What all statements of a text expose together.
pub(crate) fn exposed(analysis: &Analysis, binding: &Binding) -> Exposure {
    let exposures: Vec<Exposure> = analysis.statements.iter().map(|statement| binding.exposure(statement)).collect();
    match <[Exposure; 1]>::try_from(exposures) {
        Ok([only]) => only,
        Err(all) => binding.merge(&all),
    }
}

fn understand(case: &Case, catalog: &Catalog) -> Analysis {
    let search_path = match case.engine {
        Engine::Postgres => vec!["pg_catalog".to_owned(), "public".to_owned()],
        Engine::Mysql => vec![case.database.to_string()],
    };
    let lex = LexSettings::of(case.engine);
    analyse(case.sql.as_bytes(), &Context { lex, catalog, search_path: &search_path, temporary: &[] })
}

/// Columns that a statement names and no table has, beyond those that were added already.
fn missing_columns(analysis: &Analysis, added: &[String]) -> Vec<String> {
    let gaps = analysis.statements.iter().flat_map(|statement| &statement.gaps);
    let mut missing: Vec<String> = gaps
        .filter(|gap| gap.code == "unknown-column" && !added.contains(&gap.subject))
        .map(|gap| gap.subject.clone())
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

/// The ledger of somebody who has read so many records before, of each dataset that is touched. Each window holds what
/// the shorter ones hold; the rest of it was read in the middle of the window.
pub(crate) fn read_before(used: &[(Window, u64)], exposure: &Exposure) -> Ledger {
    let mut ledger = Ledger::new();
    let mut datasets: Vec<&Arc<str>> = exposure.touched().iter().map(|exposed| &exposed.dataset).collect();
    datasets.sort();
    datasets.dedup();
    for (index, (window, records)) in used.iter().enumerate().rev() {
        let shorter = index.checked_sub(1).and_then(|index| used.get(index)).map_or(0, |(_, records)| *records);
        let ago = match window {
            Window::Statement | Window::Minute => 0,
            Window::Hour => HOUR_MS / 2,
            Window::Day => 12 * HOUR_MS,
            Window::Month => 15 * 24 * HOUR_MS,
        };
        for dataset in &datasets {
            ledger.replay(&Replay {
                dataset,
                at: LedgerTime(NOW.0.saturating_sub(ago)),
                keys: &[],
                unkeyed: records.saturating_sub(shorter),
                rows: 0,
                bytes: 0,
            });
        }
    }
    ledger
}

fn differences(expected: &Expected, came: &Played) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut differ = |expected: String, came: String| differences.push(Difference { expected, came });
    if expected.ending != came.decision {
        differ(expected.ending.to_string(), came.decision.to_string());
    } else if let Some(after) = expected.after
        && after != came.rows
    {
        differ(format!("cut after {after} rows"), format!("cut after {} rows", came.rows));
    }
    if let Some(rule) = &expected.rule {
        let mut deciding: Vec<&Arc<str>> = match (&came.reason, came.decision) {
            (Some(reason), _) => vec![&reason.rule],
            (None, Ending::Alert) => came.alerts.iter().map(|alert| &alert.basis.rule).collect(),
            (None, _) => came.basis.iter().map(|basis| &basis.rule).collect(),
        };
        deciding.sort();
        deciding.dedup();
        if !deciding.contains(&rule) {
            differ(format!("by {rule}"), format!("by {}", listed(&deciding)));
        }
    }
    if let Some(alerts) = &expected.alerts {
        let mut raised: Vec<&Arc<str>> = came.alerts.iter().map(|alert| &alert.basis.rule).collect();
        raised.sort();
        raised.dedup();
        if !alerts.iter().eq(raised.iter().copied()) {
            let expected: Vec<&Arc<str>> = alerts.iter().collect();
            differ(format!("alerts of {}", listed(&expected)), format!("alerts of {}", listed(&raised)));
        }
    }
    differences
}

fn listed(names: &[&Arc<str>]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.iter().map(|name| &***name).collect::<Vec<_>>().join(", "),
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Allow => "allow",
            Ending::Alert => "alert",
            Ending::Refuse => "refuse",
            Ending::Cut => "cut",
        })
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.passed {
            return write!(f, "ok    {}", self.name);
        }
        write!(f, "FAIL  {} ({}:{})", self.name, self.file, self.line)?;
        for difference in &self.differences {
            write!(f, "\n      expected {}; came {}", difference.expected, difference.came)?;
        }
        if let Some(message) = &self.came.message {
            write!(f, "\n      the client reads: {message}")?;
        }
        for basis in &self.came.basis {
            write!(f, "\n      {}", Counted(basis))?;
        }
        for gap in &self.gaps {
            write!(f, "\n      not understood: {} ({})", gap.subject, gap.code)?;
            if gap.code == "unknown-relation" {
                f.write_str("; no dataset names this table: describe it in `tables`")?;
            }
        }
        Ok(())
    }
}

/// A rule or counter and what became of it, on one line.
pub(crate) struct Counted<'a>(pub(crate) &'a Basis);

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let basis = self.0;
        write!(f, "{}", basis.rule)?;
        if let Some(dataset) = &basis.dataset {
            write!(f, " on {dataset}")?;
        }
        if let Some(window) = basis.window {
            let Basis { before, after, limit, unit, .. } = basis;
            write!(f, ": {before} → {after} of {limit} {unit} per {window}")?;
        }
        write!(f, ": {}", basis.outcome)
    }
}

#[cfg(test)]
mod tests;
