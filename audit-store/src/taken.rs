//! What a person takes out of a dataset, stitched together from many statements, and what they ask about it.

use serde::{Deserialize, Serialize};

/// An extraction as it stands with this event: totals since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extraction {
    /// Names it: `X-7F3K9Q2M`.
    pub id: String,
    /// Name of the dataset.
    pub dataset: String,
    /// The relation that most records were of, with what was seen of it.
    #[serde(flatten)]
    pub part: Part,
    /// How the present stretch takes its records: `pages`, `key-set`, `cursor`, `id-loop`, `in-list`, `bulk`, `mixed`.
    pub manner: String,
    /// Statements that let something out.
    pub statements: u64,
    /// Distinct records, as budgets count them.
    pub records: u64,
    /// Result rows.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
    /// When it began, Unix milliseconds on the clock of the budgets.
    pub since_ms: u64,
    /// When something left last, on the same clock.
    pub last_ms: u64,
    /// The present stretch: what was taken without a pause of half an hour.
    pub stretch: Stretch,
    /// Further relations.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub others: Vec<Part>,
}

/// One relation of an extraction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name of the relation.
    pub relation: String,
    /// Kind of server that it is on.
    pub engine: String,
    /// Its database, where names do not show it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub database: String,
    /// Distinct records of it.
    pub relation_records: u64,
    /// Rows that it has by the catalog's estimate; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table_rows: Option<u64>,
    /// Share of it that was seen, in millionths; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub share_ppm: Option<u64>,
}

/// What was taken without a long pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Which one of the extraction, from 1.
    pub number: u64,
    /// When it began, Unix milliseconds on the clock of the budgets.
    pub since_ms: u64,
    /// Statements that let something out.
    pub statements: u64,
    /// Distinct records.
    pub records: u64,
    /// Result rows.
    pub rows: u64,
    /// Bytes of those rows.
    pub bytes: u64,
}

/// A question about values of a dataset that do not leave with the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the relation.
    pub relation: String,
    /// Kind of server that it is on.
    pub engine: String,
    /// Its database, where names do not show it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub database: String,
    /// What is asked: `parts` of values, or whether `wholes` are there.
    pub asking: String,
    /// Columns that are asked about.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub columns: Vec<String>,
    /// The same for texts that differ in values only, hex.
    pub shape: String,
    /// Keyed hash of the values that it is asked with, hex; never the values.
    pub values: String,
    /// How many answers it has room for.
    pub weight: u32,
}
