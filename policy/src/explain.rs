//! Why a statement comes out as it does: what it reaches and how, what is sensitive of that, and the verdict with its
//! rules, windows and counters.
//!
//! INVARIANT: literals of the statement are never repeated in an explanation.

mod doors;

use std::fmt;
use std::sync::Arc;

pub use doors::Door;

use crate::analysis::{Context, analyse};
use crate::binding::Binding;
use crate::budget::Window;
use crate::cases::{Counted, Ending, NOW, exposed, read_before};
use crate::exposure::{Exposed, Exposure, Manner};
use crate::identity::Who;
use crate::ledger::Moment;
use crate::play::{Played, ROW_BYTES, Rows, play};
use crate::set::PolicySet;
use crate::statement::{Access, Columns, Coverage, Extent, Gap, RelationUse, Source, StatementAnalysis, Verb};

/// Rows that are played where nobody says how many there are: more than most budgets, and soon done.
const ROWS_MAX: u64 = 100_000;

/// A statement, and under what it is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The policy.
    pub set: &'a PolicySet,
    /// What it means on the database.
    pub binding: &'a Binding,
    /// What the meaning of the text depends on.
    pub context: Context<'a>,
    /// The statement, or several.
    pub sql: &'a str,
    /// Who sends it.
    pub who: &'a Who,
    /// When, in seconds of Unix time UTC.
    pub wall: i64,
    /// Records that they have read before, by window, of each dataset that the statement touches; shortest first.
    pub used: &'a [(Window, u64)],
    /// Rows that the database answers with; `None`: as many as the text allows.
    pub rows: Option<u64>,
}

/// The answer.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Explanation {
    /// The text without its literals.
    pub text: String,
    /// The same for all texts that differ in literals only.
    pub fingerprint: String,
    /// Schemas in which names are looked up.
    pub search_path: Vec<String>,
    /// Each statement.
    pub statements: Vec<Statement>,
    /// What is sensitive of it, all statements together.
    pub exposes: Vec<Exposes>,
    /// By which ways something sensitive may leave.
    pub doors: Vec<Door>,
    /// Why nothing can be promised about it.
    pub opaque: Option<String>,
    /// Who sends it.
    pub person: Arc<str>,
    /// Whether the directory knows them.
    pub known: bool,
    /// Groups of theirs.
    pub groups: Vec<Arc<str>>,
    /// Rows that were played, each with another record.
    pub rows_played: u64,
    /// What becomes of it.
    pub verdict: Played,
}

/// One statement, as far as it is understood.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Statement {
    /// What it is.
    pub verb: Verb,
    /// How well it is understood.
    pub coverage: Coverage,
    /// How many rows its text allows.
    pub rows: String,
    /// What it reaches.
    pub relations: Vec<Reached>,
    /// What it does besides.
    pub accesses: Vec<Access>,
    /// Functions that the server does not ship.
    pub functions: Vec<String>,
    /// What is not understood.
    pub gaps: Vec<Gap>,
}

/// A relation that a statement reaches.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Reached {
    /// Its name.
    pub name: String,
    /// Whether the catalog has it.
    pub known: bool,
    /// What is done to it.
    pub access: Access,
    /// Columns whose values leave.
    pub released: Named,
    /// Columns whose values leave packed, many records in one value.
    pub packed: Named,
    /// One row may hold all of it.
    pub packed_whole: bool,
    /// Columns that are only compared, sorted or counted.
    pub used: Named,
    /// Columns of which totals leave: sums, means and their kind.
    pub totals: Named,
    /// Columns whose values go into other rows.
    pub copied: Named,
    /// At most one record, by its key.
    pub pinned: bool,
    /// Views on the way.
    pub via: Vec<String>,
    /// Who saw it.
    pub source: Source,
}

/// Columns: a list, or `"all"`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub enum Named {
    /// These.
    Some(Vec<Arc<str>>),
    /// Every one, or it is not known which.
    All(All),
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// Every column.
    All,
}

/// A sensitive relation that a statement reaches.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Exposes {
    /// Dataset that names it.
    pub dataset: Arc<str>,
    /// The relation whose records they are.
    pub relation: String,
    /// What is done to it.
    pub access: Access,
    /// How sensitive values leave.
    pub manner: Manner,
    /// Sensitive columns; empty when it is not known which.
    pub columns: Vec<Arc<str>>,
    /// What is counted.
    pub counted: Counts,
}

/// How records are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Nothing leaves.
    Nothing,
    /// One record: the statement names its key.
    One,
    /// Distinct records: the result shows their key.
    Keys,
    /// Every row is a record, or as many as it may hold.
    Rows,
    /// Bytes, taken for records.
    Bytes,
    /// The whole relation.
    Whole,
}

/// Answers a question. Nothing is changed.
pub fn explain(question: &Question<'_>) -> Explanation {
    let analysis = analyse(question.sql.as_bytes(), &question.context);
    let exposure = exposed(&analysis, question.binding);
    let rows_played = question.rows.unwrap_or(match (analysis.statements.as_slice(), exposure.rows_max) {
        ([_], Some(rows)) => rows.min(ROWS_MAX),
        _ => ROWS_MAX,
    });
    let row_bytes = exposure.touched().iter().map(|exposed| exposed.record_bytes).max().unwrap_or(ROW_BYTES);
    let verdict = play(
        (question.set, question.binding),
        &exposure,
        question.who,
        Rows { count: rows_played, bytes: row_bytes },
        &mut read_before(question.used, &exposure),
        &Moment { now: NOW, wall: question.wall },
    );
    Explanation {
        doors: doors::doors(&analysis.statements, &exposure),
        text: analysis.redacted,
        fingerprint: analysis.fingerprint,
        search_path: question.context.search_path.to_vec(),
        statements: analysis.statements.iter().map(statement).collect(),
        exposes: exposes(&exposure),
        opaque: exposure.opaque().map(str::to_owned),
        person: question.who.person.clone(),
        known: question.who.known,
        groups: question.who.groups.clone(),
        rows_played,
        verdict,
    }
}

impl Explanation {
    /// How many things are not understood.
    pub fn gaps(&self) -> usize {
        self.statements.iter().map(|statement| statement.gaps.len()).sum()
    }
}

fn statement(analysis: &StatementAnalysis) -> Statement {
    Statement {
        verb: analysis.verb,
        coverage: analysis.coverage,
        rows: match analysis.extent {
            Extent::Unbounded => "any number of rows".to_owned(),
            Extent::Limited(_) => "as many rows as its limit says".to_owned(),
            Extent::LimitedTo(rows) => format!("at most {rows} rows"),
            Extent::One => "one row".to_owned(),
        },
        relations: analysis.uses.iter().map(reached).collect(),
        accesses: analysis.accesses.iter().copied().collect(),
        functions: analysis.functions.clone(),
        gaps: analysis.gaps.clone(),
    }
}

fn reached(usage: &RelationUse) -> Reached {
    Reached {
        name: usage.relation.as_ref().map_or_else(|| usage.written.to_string(), ToString::to_string),
        known: usage.relation.is_some(),
        access: usage.access,
        released: named(&usage.released),
        packed: named(&usage.packed),
        packed_whole: usage.packed_whole,
        used: named(&usage.used),
        totals: named(&usage.totals.columns),
        copied: named(&usage.copied),
        pinned: usage.pin.is_some(),
        via: usage.via.clone(),
        source: usage.source,
    }
}

fn named(columns: &Columns) -> Named {
    match columns {
        Columns::None => Named::Some(Vec::new()),
        Columns::Some(names) => Named::Some(names.iter().cloned().collect()),
        Columns::All => Named::All(All::All),
    }
}

fn exposes(exposure: &Exposure) -> Vec<Exposes> {
    let counted = |exposed: &Exposed| match exposed.manner {
        Manner::Used => Counts::Nothing,
        _ if exposed.whole => Counts::Whole,
        Manner::Packed | Manner::Told => Counts::Bytes,
        Manner::Rows if exposed.pin.is_some() => Counts::One,
        Manner::Rows if exposed.key_released => Counts::Keys,
        Manner::Rows => Counts::Rows,
    };
    let touched = exposure.touched().iter();
    touched
        .map(|exposed| Exposes {
            dataset: exposed.dataset.clone(),
            relation: exposed.relation.to_string(),
            access: exposed.access,
            manner: exposed.manner,
            columns: exposed.columns.clone(),
            counted: counted(exposed),
        })
        .collect()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        writeln!(f, "names are looked up in {}", self.search_path.join(", "))?;
        for statement in &self.statements {
            writeln!(f, "{statement}")?;
        }
        for exposes in &self.exposes {
            writeln!(f, "{exposes}")?;
        }
        if !self.doors.is_empty() {
            let doors: Vec<String> = self.doors.iter().map(ToString::to_string).collect();
            writeln!(f, "doors: {}", doors.join("; "))?;
        }
        if let Some(reason) = &self.opaque {
            writeln!(f, "it may reach anything sensitive ({reason})")?;
        }
        let known = if self.known { "" } else { ", whom the directory does not know" };
        write!(f, "{}", self.person)?;
        if !self.groups.is_empty() {
            write!(f, " of {}", self.groups.join(", "))?;
        }
        write!(f, "{known}: {}", self.outcome())?;
        for basis in &self.verdict.basis {
            write!(f, "\n  {}", Counted(basis))?;
        }
        for alert in &self.verdict.alerts {
            write!(f, "\n  alert: {}", alert.message)?;
        }
        if let Some(message) = &self.verdict.message {
            write!(f, "\n  the client reads: {message}")?;
        }
        Ok(())
    }
}

impl Explanation {
    fn outcome(&self) -> String {
        let told = if self.verdict.alerts.is_empty() { "" } else { ", and somebody is told" };
        match self.verdict.decision {
            Ending::Refuse => "refused".to_owned(),
            Ending::Cut => format!("cut after {} rows, if each shows another record", self.verdict.rows),
            Ending::Allow | Ending::Alert if self.rows_played == ROWS_MAX => {
                format!("allowed, {ROWS_MAX} rows and more{told}")
            }
            Ending::Allow | Ending::Alert => format!("allowed, {} rows{told}", self.rows_played),
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: understood {}, {}", word(&self.verb), word(&self.coverage), self.rows)?;
        for relation in &self.relations {
            write!(f, "\n  {relation}")?;
        }
        for gap in &self.gaps {
            write!(f, "\n  not understood: {} ({})", gap.subject, gap.code)?;
        }
        Ok(())
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", word(&self.access), self.name)?;
        if !self.known {
            f.write_str(" (unknown)")?;
        }
        let parts = [
            ("releases", &self.released),
            ("packs", &self.packed),
            ("copies", &self.copied),
            ("totals", &self.totals),
            ("uses", &self.used),
        ];
        for (what, columns) in parts {
            match columns {
                Named::All(_) => write!(f, "; {what} every column")?,
                Named::Some(names) if names.is_empty() => {}
                Named::Some(names) => write!(f, "; {what} {}", names.join(", "))?,
            }
        }
        if self.packed_whole {
            f.write_str("; the whole relation in one row")?;
        }
        if self.pinned {
            f.write_str("; one record, by its key")?;
        }
        if !self.via.is_empty() {
            write!(f, "; through {}", self.via.join(" and "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Exposes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dataset {}: {} of {}", self.dataset, word(&self.access), self.relation)?;
        if !self.columns.is_empty() {
            write!(f, " ({})", self.columns.join(", "))?;
        }
        f.write_str(match self.counted {
            Counts::Nothing => ", nothing leaves",
            Counts::One => ", one record",
            Counts::Keys => ", counted by the key in the result",
            Counts::Rows => ", every row counts",
            Counts::Bytes => ", counted by bytes",
            Counts::Whole => ", the whole relation counts",
        })
    }
}

/// The word that records have for it.
fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
