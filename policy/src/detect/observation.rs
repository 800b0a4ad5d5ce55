//! What one execution tells about how its person works: the material of everything that looks at behaviour.
//!
//! What must never happen here: a value in clear. Records, tenants and search terms come as keyed hashes.

use std::sync::Arc;

use crate::ledger::RecordKey;
use crate::relation::RelationId;
use crate::statement::Access;

/// Most of each kind that is taken from one observation; a statement with more is seen by other means.
pub const PARTS_MAX: usize = 256;

/// Where in the life of a session something is observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Stage {
    /// A session has opened: who comes from where.
    Arrival,
    /// A statement is about to run, and can be refused yet.
    Before,
    /// It has ended, and what it let out is charged.
    #[default]
    After,
}

/// What one execution tells. A statement may be observed twice, each time with what is known by then.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Observation {
    /// When.
    pub stage: Stage,
    /// Sensitive relations that it reaches, once for each access.
    pub reached: Vec<Reach>,
    /// Accesses of the statement besides reading and writing rows: `ddl`, `grant`, `set-role`, `export`.
    pub privileges: Vec<Access>,
    /// Tenants whose rows were asked for or came.
    pub tenants: Vec<Tenant>,
    /// What was searched for.
    pub terms: Vec<Term>,
    /// Relations of any kind that it reads, by a hash of their names; those of the catalog are left out.
    pub tables: Vec<u64>,
    /// It reads the catalog: which tables there are, and what is in them.
    pub lists_catalog: bool,
    /// Records that left, as far as keys were seen.
    pub keys: Vec<(Arc<str>, RecordKey)>,
}

/// One sensitive relation that an execution reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Relation.
    pub relation: RelationId,
    /// What is done to it.
    pub access: Access,
    /// Sensitive columns that leave or are used; empty where it is not known which.
    pub columns: Vec<Arc<str>>,
    /// Values of them leave.
    pub leaves: bool,
    /// One record is asked for by its key.
    pub by_key: bool,
}

/// One tenant of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant {
    /// Dataset.
    pub dataset: Arc<str>,
    /// Keyed hash of the tenant.
    pub hash: u64,
}

/// One thing that was searched for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Dataset in which it was searched for.
    pub dataset: Arc<str>,
    /// Keyed hash of the term, without its case and the wildcards around it.
    pub hash: u64,
}

impl Observation {
    /// Datasets that it reaches or has taken from, each once.
    pub(crate) fn datasets(&self) -> Vec<Arc<str>> {
        let reached = self.reached.iter().map(|reach| &reach.dataset);
        let taken = self.keys.iter().map(|(dataset, _)| dataset);
        let mut datasets: Vec<Arc<str>> = Vec::new();
        for dataset in reached.chain(taken).chain(self.tenants.iter().map(|tenant| &tenant.dataset)) {
            if !datasets.contains(dataset) {
                datasets.push(dataset.clone());
            }
        }
        datasets
    }
}

/// A hash of names, which are no secrets: the same in every process, so that it can stand in records.
pub(crate) fn name_hash(parts: &[&str]) -> u64 {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// The hash by which [`Observation::tables`] names a relation.
pub fn table_hash(database: &str, schema: &str, name: &str) -> u64 {
    name_hash(&["table", database, schema, name])
}
