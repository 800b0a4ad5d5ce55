//! Names of relations: as somebody wrote them, and as a server knows them.
//!
//! A [`RelationName`] is text that a person typed, folded as the server folds it. A [`RelationId`] is one
//! relation of one database. Only the [`Catalog`](crate::catalog::Catalog) turns the first into the second.

use std::fmt;
use std::sync::Arc;

/// Which family of servers a relation lives on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// MySQL or MariaDB.
    Mysql,
}

/// A relation as a statement writes it: parts already unquoted and case-folded the way the server does it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The part before the last dot, when written.
    pub schema: Option<String>,
    /// The last part.
    pub name: String,
}

/// One relation of one database on one engine; the identity that policies and records speak of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationId {
    /// Server family.
    pub engine: Engine,
    /// Database (PostgreSQL) or empty (MySQL, where the schema is the database).
    pub database: Arc<str>,
    /// Schema (PostgreSQL) or database (MySQL).
    pub schema: Arc<str>,
    /// Relation name.
    pub name: Arc<str>,
}

impl fmt::Display for RelationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for RelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}
