//! What a statement tells of how its person works: the habits of people are built anew from it.

use serde::{Deserialize, Serialize};

/// What was observed of a statement, beside what other parts of its record say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Sensitive relations that it reaches.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub reached: Vec<Reached>,
    /// Accesses besides reading and writing rows: `ddl`, `grant`, `set-role`, `export`.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub privileges: Vec<String>,
    /// Tenants whose rows were asked for or came.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tenants: Vec<Hashes>,
    /// What was searched for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub terms: Vec<Hashes>,
}

/// A sensitive relation and what is done to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the relation.
    pub relation: String,
    /// Kind of server that it is on.
    pub engine: String,
    /// Its database, where names do not show it.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub database: String,
    /// What is done: `read`, `write`, `export`, …
    pub access: String,
    /// Sensitive columns that leave or are used.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub columns: Vec<String>,
    /// Values of them leave.
    pub leaves: bool,
    /// One record is asked for by its key.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub by_key: bool,
}

/// Keyed hashes in a dataset; never what was hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashes {
    /// Name of the dataset.
    pub dataset: String,
    /// 8 bytes each, concatenated, base64.
    pub hashes: String,
}
