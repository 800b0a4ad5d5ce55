//! What one execution tells about how its person works: the material of everything that looks at behaviour.
//!
//! What must never happen here: a value in clear. Records, tenants and search terms come as keyed hashes.

use std::sync::Arc;

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
    /// Datasets of which records left; how many were new stands in the ledger.
    pub taken: Vec<Arc<str>>,
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
        let mut datasets: Vec<Arc<str>> = Vec::new();
        for dataset in reached.chain(&self.taken).chain(self.tenants.iter().map(|tenant| &tenant.dataset)) {
            if !datasets.contains(dataset) {
                datasets.push(dataset.clone());
            }
        }
        datasets
    }
}

/// A hash of names, which are no secrets and which nobody gains from making meet: FNV-1a over each part with its length,
/// mixed so that the upper bits are as good as the lower. The same in every process.
pub(crate) fn name_hash(parts: &[&str]) -> u64 {
    /// The offset and the prime of FNV-1a, 64 bits.
    const OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01B3;
    /// Odd, with bits all over.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = OFFSET;
    for part in parts {
        let len = part.len().to_be_bytes();
        hash = len.iter().chain(part.as_bytes()).fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME));
    }
    for _ in 0..2 {
        hash = (hash ^ (hash >> 32)).wrapping_mul(SPREAD);
    }
    hash ^ (hash >> 29)
}

/// The hash by which [`Observation::tables`] names a relation.
pub fn table_hash(database: &str, schema: &str, name: &str) -> u64 {
    name_hash(&["table", database, schema, name])
}
