//! What Weir knows of one database's relations at one moment: a pure snapshot, loaded by the trunk.
//!
//! INVARIANT: a name that the snapshot does not hold is `Missing`, which callers must treat as "unknown",
//! never as "not sensitive".

pub mod column_types;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::relation::{Engine, RelationId, RelationName};

/// What kind of table-like object a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// Ordinary table.
    Table,
    /// Partitioned parent.
    Partitioned,
    /// View.
    View,
    /// Materialised view.
    MaterializedView,
    /// Foreign table.
    Foreign,
    /// Sequence, index, composite type, TOAST: holds no rows a person reads by name.
    Other,
}

/// One column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name as the server stores it.
    pub name: Arc<str>,
    /// Attribute number (1-based; as RowDescription reports it).
    pub number: i16,
    /// Type OID (PostgreSQL) or number of the column type (MySQL, see [`column_types`]); 0 where it is not known. No
    /// key of MySQL's is pinned by a number or a parameter unless its columns are known to be numbers.
    pub type_oid: u32,
}

/// A relation and what a verdict may need of it.
#[derive(Clone, Debug)]
pub struct Relation {
    /// Its identity.
    pub id: RelationId,
    /// The server's number for it; 0 where the engine has none.
    pub oid: u32,
    /// Its kind.
    pub kind: RelationKind,
    /// Live columns, in attribute order.
    pub columns: Vec<Column>,
    /// Attribute numbers of the primary key; empty when there is none.
    pub key: Vec<i16>,
    /// Planner's row estimate (0 when never analysed).
    pub rows_estimate: u64,
    /// Average row width in bytes (0 when unknown).
    pub row_bytes_mean: u32,
    /// Text of the defining query, for views and materialised views.
    pub definition: Option<String>,
    /// Columns of other relations that the definition depends on: (oid, attribute number; 0 = whole relation).
    pub depends: Vec<(u32, i16)>,
    /// Partitioned parent or inheritance parents.
    pub parents: Vec<u32>,
}

/// A function that is not part of the server itself.
#[derive(Clone, Debug)]
pub struct Function {
    /// Schema it lives in.
    pub schema: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Language: `sql`, `plpgsql`, `c`, …
    pub language: Arc<str>,
    /// Body text for SQL-like languages; `None` when it cannot be read.
    pub body: Option<String>,
    /// Whether an extension owns it.
    pub from_extension: bool,
}

/// The answer to "which relation is meant?".
#[derive(Clone, Copy, Debug)]
pub enum Resolution<'a> {
    /// Exactly this one.
    Found(&'a Relation),
    /// The snapshot does not hold it: created after the snapshot, temporary, or not existing.
    Missing,
}

/// Snapshot of one database.
#[derive(Clone, Debug)]
pub struct Catalog {
    engine: Engine,
    database: Arc<str>,
    version: u64,
    relations: Vec<Relation>,
    by_name: HashMap<(Arc<str>, Arc<str>), usize>,
    names: HashSet<Arc<str>>,
    by_oid: HashMap<u32, usize>,
    children: HashMap<u32, Vec<u32>>,
    functions: HashMap<Arc<str>, Vec<Function>>,
}

impl Catalog {
    /// Builds a snapshot. `version` must differ between any two snapshots of one process.
    pub fn new(
        engine: Engine,
        database: &str,
        version: u64,
        relations: Vec<Relation>,
        functions: Vec<Function>,
    ) -> Catalog {
        let mut by_name = HashMap::with_capacity(relations.len());
        let mut by_oid = HashMap::with_capacity(relations.len());
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for (index, relation) in relations.iter().enumerate() {
            by_name.insert((relation.id.schema.clone(), relation.id.name.clone()), index);
            if relation.oid != 0 {
                by_oid.insert(relation.oid, index);
            }
            for parent in &relation.parents {
                children.entry(*parent).or_default().push(relation.oid);
            }
        }
        let mut functions_by_name: HashMap<Arc<str>, Vec<Function>> = HashMap::new();
        for function in functions {
            functions_by_name.entry(function.name.clone()).or_default().push(function);
        }
        let names = relations.iter().map(|relation| relation.id.name.clone()).collect();
        Catalog {
            engine,
            database: database.into(),
            version,
            relations,
            by_name,
            names,
            by_oid,
            children,
            functions: functions_by_name,
        }
    }

    /// A snapshot that knows nothing: every name is `Missing`.
    pub fn empty(engine: Engine, database: &str) -> Catalog {
        Catalog::new(engine, database, 0, Vec::new(), Vec::new())
    }

    /// Whether this stands for a database that was never read.
    pub fn is_unread(&self) -> bool {
        self.version == 0 && self.relations.is_empty()
    }

    /// Engine of the database.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Name of the database.
    pub fn database(&self) -> &Arc<str> {
        &self.database
    }

    /// Differs between any two snapshots of one process.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Every relation.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Whether any schema has a relation of this name: a cheap no for most words of a text.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Place of a relation of this snapshot in [`relations`](Catalog::relations).
    pub(crate) fn index_of(&self, relation: &Relation) -> Option<usize> {
        self.by_name.get(&(relation.id.schema.clone(), relation.id.name.clone())).copied()
    }

    /// The relation with this OID.
    pub fn by_oid(&self, oid: u32) -> Option<&Relation> {
        self.by_oid.get(&oid).map(|index| &self.relations[*index])
    }

    /// Direct partitions and inheritance children of this OID.
    pub fn children(&self, oid: u32) -> &[u32] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// Functions of this name, in every schema, that the server itself does not ship.
    pub fn functions(&self, name: &str) -> &[Function] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// Resolves a written name the way the server does: a schema when written, else the first schema of the path that has it.
    ///
    /// `search_path` must hold the effective path, `pg_catalog` included where the server adds it.
    pub fn resolve(&self, name: &RelationName, search_path: &[String]) -> Resolution<'_> {
        let find = |schema: &str| {
            self.by_name.get(&(Arc::from(schema), Arc::from(name.name.as_str()))).map(|index| &self.relations[*index])
        };
        let found = match &name.schema {
            Some(schema) => find(schema),
            None => search_path.iter().find_map(|schema| find(schema)),
        };
        found.map_or(Resolution::Missing, Resolution::Found)
    }
}
