//! What one execution exposes of what policy calls sensitive.
//!
//! INVARIANT: an exposure never says less than the analysis: what was not understood is `opaque` or packed.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::copies::Copied;
use crate::relation::RelationId;
use crate::statement::{Access, Coverage, Operand};

/// What the server's RowDescription says of one result column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// OID of the relation; 0 when the column is not a plain column of one.
    pub oid: u32,
    /// Attribute number; 0 when the column is not a plain column.
    pub attribute: i16,
}

/// Bytes of a message of the server that are its own words: "invalid input syntax for type integer", the name of a key.
pub const MESSAGE_WORDS_BYTES: u32 = 64;

/// How values of a dataset leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// They do not: the relation is only written, or its columns only compared, sorted, counted.
    Used,
    /// Row by row: one result row holds at most one record of this use.
    Rows,
    /// Packed: one result row may hold many records, so bytes are counted.
    Packed,
    /// In words of the server: a message names one record, or as many as its bytes can hold.
    Told,
}

/// One use of one sensitive relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposed {
    /// Dataset that names the relation.
    pub dataset: Arc<str>,
    /// The relation whose records they are: of a partition, the table that it belongs to.
    pub relation: RelationId,
    /// OID of the relation as it is read, which is what the server names in a result; 0 when unknown.
    pub oid: u32,
    /// What is done to it.
    pub access: Access,
    /// How its sensitive values leave.
    pub manner: Manner,
    /// Sensitive columns that leave or are used, for the record; empty when it is not known which.
    pub columns: Vec<Arc<str>>,
    /// One result row may hold the whole relation, so that it is charged at admission.
    pub whole: bool,
    /// Values that pin the whole key.
    pub pin: Option<Vec<Operand>>,
    /// Records that one result row may hold, unless they are packed; 0 when none leaves.
    pub reads: u32,
    /// Attribute numbers of the key, when a key that is visible in the result may be trusted.
    pub key: Option<Vec<i16>>,
    /// Whether the statement releases every key column, so that its records can be told apart.
    pub key_released: bool,
    /// Planner's row estimate of what may leave at once; 0 when unknown.
    pub rows_estimate: u64,
    /// Rows of the whole relation by the catalog's estimate; 0 when unknown.
    pub table_rows: u64,
    /// Mean bytes of one record, for what leaves packed; at least 1.
    pub record_bytes: u32,
    /// The statement puts them into other rows: they are charged at admission, by estimate, and as many as were written
    /// when it has ended.
    pub copied: bool,
    /// It puts them where nobody can follow: a file, a program, another server.
    pub unfollowed: bool,
}

/// What is asked about values that do not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asking {
    /// A part of a value: its first letter, whether it is above another. Some seven answers are a character.
    Parts,
    /// Whether there is a record with this value.
    Wholes,
    /// Which records match, told by their keys or by what stands beside them: a search, unless it finds very many.
    Search,
}

/// A question about values of a dataset that do not leave with the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Dataset.
    pub dataset: Arc<str>,
    /// The relation whose values are asked about.
    pub relation: RelationId,
    /// Their columns.
    pub columns: Vec<Arc<str>>,
    /// What is asked.
    pub asking: Asking,
    /// How many answers one row may hold, at least 1.
    pub weight: u32,
}

/// Where the tenants stand whose rows a statement asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSpot {
    /// Dataset.
    pub dataset: Arc<str>,
    /// OID of the relation; 0 when unknown.
    pub oid: u32,
    /// Attribute numbers of the columns that tell whose a record is.
    pub attributes: Vec<i16>,
    /// Values that the statement equates them to, in the same order.
    pub pinned: Option<Vec<Operand>>,
}

/// Where the tenant of a result's rows is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPlace {
    /// Dataset.
    pub dataset: Arc<str>,
    /// As a record's key is found; never [`LaneKey::Unkeyed`].
    pub key: LaneKey,
}

/// How a statement chooses the rows of sensitive relations that it lets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approach {
    /// By their place in the result: LIMIT and OFFSET.
    Pages,
    /// A stretch of keys after another.
    KeySet,
    /// Piece by piece from a cursor or a portal.
    Cursor,
    /// One key after another.
    IdLoop,
    /// Lists of keys.
    InList,
    /// By other conditions, or none.
    Scan,
    /// Several of these.
    Mixed,
}

/// What a statement, or a batch of them, exposes under one binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Every use of a sensitive relation.
    pub(crate) touched: Vec<Exposed>,
    /// Every access, whether the relation is sensitive or not.
    pub(crate) accesses: BTreeSet<Access>,
    /// How well the statement was understood.
    pub(crate) coverage: Coverage,
    /// Why nothing can be promised, when the database holds anything sensitive at all.
    pub(crate) opaque: Option<String>,
    /// What it puts into other rows.
    pub(crate) copies: Vec<Copied>,
    /// Row bound that the text states.
    pub(crate) rows_max: Option<u64>,
    /// It is of a kind that may return rows.
    pub(crate) returns: bool,
    /// OIDs of views over sensitive relations that the analysis has read through.
    pub(crate) views: BTreeSet<u32>,
    /// What is asked about values that do not leave.
    pub(crate) asked: Vec<Asked>,
    /// Where tenants of its rows stand.
    pub(crate) tenants: Vec<TenantSpot>,
    /// Datasets in which it searches.
    pub(crate) searched: Vec<Arc<str>>,
    /// How the rows that leave are chosen.
    pub(crate) approach: Approach,
    /// Names that the text gives to queries, where it is understood in full: what a server that tells names calls so is
    /// no relation.
    pub(crate) queries: BTreeSet<String>,
    /// Nothing to judge.
    pub(crate) plain: bool,
}

impl Exposure {
    /// Nothing sensitive, nothing that a rule speaks of, fully decided: admission would say yes and count nothing.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Every use of a sensitive relation.
    pub fn touched(&self) -> &[Exposed] {
        &self.touched
    }

    /// Every access of the statement, whether its relation is sensitive or not.
    pub fn accesses(&self) -> &BTreeSet<Access> {
        &self.accesses
    }

    /// How well the statement was understood.
    pub fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Why nothing can be promised about the statement; `None` when something can.
    pub fn opaque(&self) -> Option<&str> {
        self.opaque.as_deref()
    }

    /// What the statement puts into other rows.
    pub fn copies(&self) -> &[Copied] {
        &self.copies
    }

    /// What is asked about values that do not leave, once for each dataset, relation and kind of question.
    pub fn asked(&self) -> &[Asked] {
        &self.asked
    }

    /// Datasets whose columns it compares with values from outside, other than by key: in which it searches.
    pub fn searched(&self) -> &[Arc<str>] {
        &self.searched
    }

    /// How the rows that leave are chosen.
    pub fn approach(&self) -> Approach {
        self.approach
    }

    /// Whether values of any dataset leave.
    pub fn releases(&self) -> bool {
        self.touched.iter().any(|exposed| exposed.manner != Manner::Used)
    }
}

/// What to count on each result row, for one use of one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Dataset that is charged.
    pub dataset: Arc<str>,
    /// Relation whose records are counted.
    pub relation: RelationId,
    /// Where the key of the record is.
    pub key: LaneKey,
    /// How many records one row is.
    pub weight: Weight,
}

/// Where the key of a record is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneKey {
    /// Positions in the result that hold the whole key, in key order.
    Columns(Vec<usize>),
    /// The statement pins the key by these values, in key order.
    Pinned(Vec<Operand>),
    /// Nowhere: each row is a record.
    Unkeyed,
}

/// How many records one row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A row is a record.
    Row,
    /// A row may hold this many records, side by side.
    Many {
        /// How many; at least 2.
        records: u32,
    },
    /// No record is counted, only rows and bytes.
    Traffic,
    /// Records are packed: the bytes of the row divided by `record_bytes`, rounded up, at least 1.
    Bytes {
        /// Mean bytes of one record; at least 1.
        record_bytes: u32,
    },
    /// A message of the server: one record up to `one_bytes`, else what is beyond the words divided by `record_bytes`.
    Message {
        /// Bytes of words and one whole record.
        one_bytes: u32,
        /// Bytes of one record's values, where many are packed; at least 1.
        record_bytes: u32,
    },
}
