//! What Weir knows of one database's relations at one moment: a pure snapshot, loaded by the trunk.
//!
//! INVARIANT: a name that the snapshot does not hold is `Missing`, which callers must treat as "unknown",
//! never as "not sensitive".

mod code;
pub mod column_types;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::relation::{Engine, RelationId, RelationName};

pub use code::{Code, Function, Hook, Moment, Operator, Role, Type, Volatility};

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

/// A program that the server runs by itself when rows of a relation are changed.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// Number of the relation whose rows are changed.
    pub on: u32,
    /// What is done to them.
    pub event: TriggerEvent,
    /// What runs then.
    pub program: Function,
}

/// What is done to rows that a trigger waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TriggerEvent {
    /// They are inserted.
    Insert,
    /// They are updated.
    Update,
    /// They are deleted.
    Delete,
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
    sieve: Sieve,
    /// The same for MySQL, in lower case: where no name is spelled as it is asked for. Empty for PostgreSQL.
    by_folded: HashMap<(String, String), usize>,
    folded: HashSet<String>,
    by_oid: HashMap<u32, usize>,
    children: HashMap<u32, Vec<u32>>,
    functions: HashMap<Arc<str>, Vec<Function>>,
    /// Name and place among those of that name.
    function_by_oid: HashMap<u32, (Arc<str>, usize)>,
    code: Code,
    foreign: HashMap<u32, Foreign>,
    triggers: HashMap<u32, Vec<Trigger>>,
}

/// Where the rows of a foreign table are, as far as the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Foreign {
    /// The foreign server.
    pub server: String,
    /// What reads from it: `postgres_fdw`, `file_fdw`, …
    pub wrapper: String,
    /// Options of the server and of the table, those of the table last; passwords are in neither.
    pub options: Vec<(String, String)>,
    /// Columns that have another name over there: attribute number and name.
    pub columns: Vec<(i16, String)>,
}

impl Foreign {
    /// An option; the table's own before the server's.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
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
        let mut function_by_oid = HashMap::new();
        for function in functions {
            // MySQL finds routines whatever their case.
            let name = match engine {
                Engine::Postgres => function.name.clone(),
                Engine::Mysql => function.name.to_lowercase().into(),
            };
            let oid = function.oid;
            let namesakes = functions_by_name.entry(Arc::clone(&name)).or_default();
            if oid != 0 {
                function_by_oid.insert(oid, (name, namesakes.len()));
            }
            namesakes.push(function);
        }
        let (mut by_folded, mut folded) = (HashMap::new(), HashSet::new());
        if engine == Engine::Mysql {
            for (index, relation) in relations.iter().enumerate() {
                let (schema, name) = (relation.id.schema.to_lowercase(), relation.id.name.to_lowercase());
                folded.insert(name.clone());
                by_folded.entry((schema, name)).or_insert(index);
            }
        }
        let sieve = Sieve::of(&relations);
        let names = relations.iter().map(|relation| relation.id.name.clone()).collect();
        Catalog {
            engine,
            database: database.into(),
            version,
            relations,
            by_name,
            names,
            sieve,
            by_folded,
            folded,
            by_oid,
            children,
            functions: functions_by_name,
            function_by_oid,
            code: Code::default(),
            foreign: HashMap::new(),
            triggers: HashMap::new(),
        }
    }

    /// The same snapshot, with where its foreign tables lead, by OID.
    pub fn with_foreign(mut self, foreign: Vec<(u32, Foreign)>) -> Catalog {
        self.foreign = foreign.into_iter().collect();
        self
    }

    /// Where the foreign table of this number leads; `None` where that was not read.
    pub fn foreign(&self, oid: u32) -> Option<&Foreign> {
        self.foreign.get(&oid)
    }

    /// The same with what runs when rows change.
    #[must_use]
    pub fn with_triggers(mut self, triggers: Vec<Trigger>) -> Catalog {
        for trigger in triggers {
            self.triggers.entry(trigger.on).or_default().push(trigger);
        }
        self
    }

    /// With what runs without being named.
    #[must_use]
    pub fn with_code(self, code: Code) -> Catalog {
        Catalog { code, ..self }
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
        if !self.sieve.may_hold(name) {
            return false;
        }
        self.names.contains(name) || (self.engine == Engine::Mysql && self.folded.contains(&name.to_lowercase()))
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

    /// Functions of this name (of MySQL's: in lower case), in every schema, that the server itself does not ship.
    pub fn functions(&self, name: &str) -> &[Function] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// What runs when rows of this relation change.
    pub fn triggers(&self, oid: u32) -> &[Trigger] {
        self.triggers.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// The function with this number, where the server itself does not ship it.
    pub fn function(&self, oid: u32) -> Option<&Function> {
        let (name, place) = self.function_by_oid.get(&oid)?;
        self.functions.get(name)?.get(*place)
    }

    /// What runs without being named.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// Resolves a written name the way the server does: a schema when written, else the first schema of the path that has it.
    ///
    /// `search_path` must hold the effective path, `pg_catalog` included where the server adds it.
    ///
    /// MySQL compares names of tables with regard to case or without, as it is set up: a name that nothing is spelled
    /// like means what differs from it in case only.
    pub fn resolve(&self, name: &RelationName, search_path: &[String]) -> Resolution<'_> {
        let find = |schema: &str| {
            let exact = self.by_name.get(&(Arc::from(schema), Arc::from(name.name.as_str())));
            exact.or_else(|| self.find_in_any_case(schema, &name.name)).map(|index| &self.relations[*index])
        };
        let found = match &name.schema {
            Some(schema) => find(schema),
            None => search_path.iter().find_map(|schema| find(schema)),
        };
        found.map_or(Resolution::Missing, Resolution::Found)
    }

    fn find_in_any_case(&self, schema: &str, name: &str) -> Option<&usize> {
        match self.engine {
            Engine::Postgres => None,
            Engine::Mysql => self.by_folded.get(&(schema.to_lowercase(), name.to_lowercase())),
        }
    }
}

/// A sure no for most words of a text, at a fraction of what a look into a table of names costs: a bit for each name, by
/// its letters without regard to their case.
#[derive(Clone, Debug)]
struct Sieve {
    /// A power of two of them.
    bits: Vec<u64>,
}

impl Sieve {
    /// Bits for each name: one word in so many gets through that is none.
    const BITS_PER_NAME: usize = 32;

    fn of(relations: &[Relation]) -> Sieve {
        let words = (relations.len() * Self::BITS_PER_NAME / 64).next_power_of_two();
        let mut sieve = Sieve { bits: vec![0; words] };
        for relation in relations {
            // What is not ASCII may be so in lower case.
            for name in [&*relation.id.name, &*relation.id.name.to_lowercase()] {
                if let Some((word, bit)) = sieve.place(name)
                    && let Some(bits) = sieve.bits.get_mut(word)
                {
                    *bits |= bit;
                }
            }
        }
        sieve
    }

    /// `None`: not ASCII, so that its lower case is not simply known.
    fn place(&self, name: &str) -> Option<(usize, u64)> {
        // FNV-1a: short, and nothing hangs on who can make two names meet.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in name.bytes() {
            if !byte.is_ascii() {
                return None;
            }
            hash = (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
        }
        hash ^= hash >> 29;
        let mask = u64::try_from(self.bits.len()).unwrap_or(1) - 1;
        Some((usize::try_from((hash >> 6) & mask).unwrap_or(0), 1 << (hash & 63)))
    }

    fn may_hold(&self, name: &str) -> bool {
        self.place(name).is_none_or(|(word, bit)| self.bits.get(word).is_none_or(|bits| bits & bit != 0))
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn table(engine: Engine, schema: &str, name: &str, oid: u32) -> Relation {
        Relation {
            id: RelationId { engine, database: "".into(), schema: schema.into(), name: name.into() },
            oid,
            kind: RelationKind::Table,
            columns: Vec::new(),
            key: Vec::new(),
            rows_estimate: 0,
            row_bytes_mean: 0,
            definition: None,
            depends: Vec::new(),
            parents: Vec::new(),
        }
    }

    fn found(catalog: &Catalog, schema: Option<&str>, name: &str) -> u32 {
        let written = RelationName { schema: schema.map(str::to_owned), name: name.to_owned() };
        match catalog.resolve(&written, &["Shop".to_owned()]) {
            Resolution::Found(relation) => relation.oid,
            Resolution::Missing => 0,
        }
    }

    #[test]
    fn names_of_mysql_are_found_in_another_case_where_none_is_spelled_so() {
        let tables = |engine| {
            vec![
                table(engine, "Shop", "Users", 1),
                table(engine, "Shop", "users", 2),
                table(engine, "shop", "Orders", 3),
            ]
        };
        let mysql = Catalog::new(Engine::Mysql, "", 1, tables(Engine::Mysql), Vec::new());
        assert_eq!(found(&mysql, None, "Users"), 1);
        assert_eq!(found(&mysql, None, "users"), 2);
        assert_eq!(found(&mysql, None, "USERS"), 1);
        assert_eq!(found(&mysql, Some("SHOP"), "orders"), 3);
        assert_eq!(found(&mysql, None, "orders"), 3);
        assert!(mysql.has_name("ORDERS") && !mysql.has_name("order"));
        let postgres = Catalog::new(Engine::Postgres, "", 1, tables(Engine::Postgres), Vec::new());
        assert_eq!(found(&postgres, None, "USERS"), 0);
        assert!(!postgres.has_name("ORDERS"));
    }
}
