//! What was read of one database, and a digest of it that says whether its meaning has changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use aws_lc_rs::digest;
use weir_policy::catalog::{Code, Foreign, Function, Relation, Trigger};

use super::postgres::SearchPaths;

/// Everything that is read of one database; of a MySQL server, of all of its databases.
pub(super) struct Content {
    /// In an order that only a change of the catalog changes.
    pub(super) relations: Vec<Relation>,
    /// Likewise.
    pub(super) functions: Vec<Function>,
    /// Likewise.
    pub(super) triggers: Vec<Trigger>,
    /// Where foreign tables lead, by OID, ascending.
    pub(super) foreign: Vec<(u32, Foreign)>,
    /// Ordinary tables of sessions' own, by OID: they come and go, and are no part of the meaning.
    pub(super) temporary: Vec<u32>,
    /// What runs without being named.
    pub(super) code: Code,
    /// What sessions start from.
    pub(super) facts: Facts,
}

/// What a session starts from, in so far as the server decides it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub(super) enum Facts {
    /// The server was never asked.
    #[default]
    Unread,
    /// Where names are looked up.
    Postgres(SearchPaths),
    /// How texts are read.
    Mysql(MysqlFacts),
}

/// What sessions of a MySQL or MariaDB server start from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct MysqlFacts {
    /// Version as a number, two digits for each part behind the first: 90700, 101106.
    pub version: u32,
    /// The server is MariaDB.
    pub mariadb: bool,
    /// The server's own sql_mode.
    pub sql_mode: String,
    /// How names of relations are compared: 0 as written, 1 and 2 without regard to case.
    pub lower_case_table_names: u8,
    /// Character set of texts that a session sends when it names none.
    pub character_set_client: String,
    /// Whether the server runs statements of its own (`init_connect`) at the start of a session: they may change
    /// sql_mode, and whatever else a session can.
    pub has_init_connect: bool,
}

impl Content {
    /// SHA-256 over everything but estimates: equal digests are equal meanings.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hasher = Digest(digest::Context::new(&digest::SHA256));
        for relation in &self.relations {
            (&relation.id, relation.oid, relation.kind as u8).hash(&mut hasher);
            relation.columns.len().hash(&mut hasher);
            for column in &relation.columns {
                (&column.name, column.number, column.type_oid).hash(&mut hasher);
            }
            (&relation.key, &relation.definition, &relation.depends, &relation.parents).hash(&mut hasher);
        }
        self.relations.len().hash(&mut hasher);
        for function in &self.functions {
            (&function.schema, &function.name, &function.language).hash(&mut hasher);
            (&function.body, function.from_extension, &function.sql_mode).hash(&mut hasher);
            (function.oid, &function.arguments, &function.search_path, function.volatility).hash(&mut hasher);
            (function.is_aggregate, &function.calls, &function.types).hash(&mut hasher);
        }
        self.functions.len().hash(&mut hasher);
        for trigger in &self.triggers {
            (trigger.on, trigger.event, &trigger.program.schema, &trigger.program.name).hash(&mut hasher);
            (&trigger.program.body, &trigger.program.sql_mode).hash(&mut hasher);
        }
        self.triggers.len().hash(&mut hasher);
        self.foreign.hash(&mut hasher);
        hash_code(&self.code, &mut hasher);
        self.facts.hash(&mut hasher);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hasher.0.finish().as_ref());
        bytes
    }
}

fn hash_code(code: &Code, hasher: &mut Digest) {
    fn all<K: Ord + Hash, V: Hash>(map: &HashMap<K, V>, hasher: &mut Digest) {
        map.iter().collect::<BTreeMap<_, _>>().hash(hasher);
    }
    all(&code.hooks, hasher);
    all(&code.cascades, hasher);
    all(&code.views, hasher);
    all(&code.operators, hasher);
    all(&code.types, hasher);
    (&code.events, &code.ambient).hash(hasher);
}

/// Lets what is hashable be digested.
struct Digest(digest::Context);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Only the digest itself is used.
        0
    }
}

/// Names that occur often, kept once: a schema in each relation, `id` in most tables.
#[derive(Default)]
pub(super) struct Shared(HashSet<Arc<str>>);

impl Shared {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let text: Arc<str> = text.into();
        self.0.insert(Arc::clone(&text));
        text
    }
}
