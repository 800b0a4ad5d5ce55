//! Copies of sensitive values, and their ends: what has to be known for as long as the copy lives. Names only.

use serde::{Deserialize, Serialize};

/// Sensitive values are about to be put into a relation, or are known to be in one under another name than before.
///
/// A later record with the same `id` says it anew, in full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// What later records call this copy.
    pub id: String,
    /// Name of the upstream.
    pub upstream: String,
    /// Where the values are.
    pub target: CopyTarget,
    /// Columns of the target that hold them; absent: any may.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub columns: Option<Vec<String>>,
    /// Columns of the target that hold the key of `records`; absent: every row counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Vec<String>>,
    /// Dataset whose values they are.
    pub dataset: String,
    /// The relation that they were read from.
    pub source: RelationPlace,
    /// The relation whose keys tell their records apart.
    pub records: RelationPlace,
}

/// The relation that holds a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyTarget {
    /// `postgres` or `mysql`.
    pub engine: String,
    /// Database (PostgreSQL) or empty (MySQL).
    pub database: String,
    /// Schemas (PostgreSQL) or databases (MySQL) that it may be in; one where that is known.
    pub schemas: Vec<String>,
    /// Its name.
    pub name: String,
    /// The server's number for it; 0 when there is none, or none is known yet.
    pub oid: u32,
    /// Numbers of other relations that had its name before.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub before: Vec<u32>,
}

/// One relation of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationPlace {
    /// Database (PostgreSQL) or empty (MySQL).
    pub database: String,
    /// Schema (PostgreSQL) or database (MySQL).
    pub schema: String,
    /// Its name.
    pub name: String,
}

/// A copy is no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyEnded {
    /// What its record called it.
    pub id: String,
    /// Where it was.
    pub target: CopyTarget,
    /// Dataset whose values it held.
    pub dataset: String,
    /// How that was found.
    pub reason: String,
}
