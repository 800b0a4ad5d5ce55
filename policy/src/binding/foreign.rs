//! Relations whose rows are somewhere else: foreign tables of PostgreSQL, tables of MySQL's engines that read from
//! another server.
//!
//! In this order: a dataset that names the foreign table itself has the last word; one that leads to a relation which a
//! dataset names, as its options say, is covered like that relation; what policy calls harmless is; anything else is
//! opaque wherever something sensitive may be behind it.
//!
//! What must never happen here: a foreign table that is taken for harmless because it is not known where it leads.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, Cover, Covered};
use crate::catalog::{Catalog, Foreign, Relation, RelationKind, Resolution};
use crate::relation::{Engine, RelationId, RelationName};
use crate::rule::Dataset;
use crate::set::PolicySet;
use crate::statement::{Access, Columns, Coverage, RelationUse, StatementAnalysis};

/// Where a foreign table leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leads {
    /// In words, for whoever asks.
    pub(crate) told: String,
    /// Nobody says, and something sensitive may be there.
    unknown: bool,
}

impl Leads {
    /// Whether nobody says where it leads.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown
    }
}

impl PolicySet {
    /// Every foreign table, with where it leads; those that lead to something sensitive are covered.
    pub(super) fn foreign(
        &self,
        catalog: &Catalog,
        covered: &mut HashMap<RelationId, Covered>,
    ) -> HashMap<RelationId, Leads> {
        let mut found = HashMap::new();
        for relation in catalog.relations().iter().filter(|relation| relation.kind == RelationKind::Foreign) {
            let known = Foreign::default();
            let foreign = catalog.foreign(relation.oid).unwrap_or(&known);
            let mut leads = Leads { told: told(relation, foreign), unknown: false };
            let over_there = over_there(relation, foreign, catalog);
            if covered.contains_key(&relation.id) || self.is_harmless(relation) {
                found.insert(relation.id.clone(), leads);
                continue;
            }
            let covers = over_there.as_ref().map(|id| self.covers_of(relation, foreign, id, catalog, covered));
            match covers {
                Some(covers) if !covers.is_empty() => {
                    covered.entry(relation.id.clone()).or_insert_with(|| Covered::new(relation, catalog)).covers =
                        covers;
                }
                _ => leads.unknown = self.may_lead_to_sensitive(over_there.as_ref(), catalog, covered),
            }
            found.insert(relation.id.clone(), leads);
        }
        found
    }

    fn is_harmless(&self, relation: &Relation) -> bool {
        self.harmless_foreign.iter().any(|pattern| pattern.matches(&relation.id))
    }

    /// A table that leads nowhere that is known may lead anywhere; one whose database is known, to what datasets name
    /// there.
    fn may_lead_to_sensitive(
        &self,
        over_there: Option<&RelationId>,
        catalog: &Catalog,
        covered: &HashMap<RelationId, Covered>,
    ) -> bool {
        let speaks_of = |engine: Engine, database: &str| {
            let mut patterns = self.datasets.iter().flat_map(|dataset| &dataset.relations);
            patterns.any(|pattern| pattern.speaks_of(engine, database))
        };
        !covered.is_empty()
            || match over_there {
                Some(id) => speaks_of(id.engine, &id.database),
                None => speaks_of(catalog.engine(), catalog.database()),
            }
    }

    /// What datasets claim of a foreign table because of the relation that it shows.
    fn covers_of(
        &self,
        relation: &Relation,
        foreign: &Foreign,
        over_there: &RelationId,
        catalog: &Catalog,
        covered: &HashMap<RelationId, Covered>,
    ) -> Vec<Cover> {
        if over_there.database == *catalog.database()
            && let Some(base) = covered.get(over_there)
        {
            return base.covers.iter().map(|cover| through(relation, foreign, base, cover)).collect();
        }
        // In another database: by the names alone.
        let named =
            self.datasets.iter().filter(|dataset| dataset.relations.iter().any(|pattern| pattern.matches(over_there)));
        named.map(|dataset| by_name(relation, foreign, over_there, dataset)).collect()
    }
}

impl Binding {
    /// Why nothing can be promised of a statement that reads a foreign table.
    pub(super) fn reads_elsewhere(&self, statement: &StatementAnalysis) -> Option<String> {
        let lets_out = |used: &&RelationUse| {
            matches!(used.access, Access::Read | Access::Export)
                && (statement.coverage != Coverage::Full
                    || [&used.released, &used.packed, &used.copied].iter().any(|columns| **columns != Columns::None))
        };
        statement.uses.iter().filter(lets_out).find_map(|used| {
            let (id, leads) = self.foreign.get_key_value(used.relation.as_ref()?)?;
            leads.unknown.then(|| format!("foreign-table: `{id}` {}", leads.told))
        })
    }

    /// Whether a statement writes into a foreign table: nobody can follow what it puts there.
    pub(super) fn writes_elsewhere(&self, statement: &StatementAnalysis) -> bool {
        let foreign = |used: &RelationUse| used.relation.as_ref().is_some_and(|id| self.foreign.contains_key(id));
        !self.foreign.is_empty() && statement.uses.iter().any(|used| used.access == Access::Write && foreign(used))
    }
}

/// The relation that a foreign table shows, as its options say; `None` where they do not.
///
/// <https://www.postgresql.org/docs/current/postgres-fdw.html#POSTGRES-FDW-OPTIONS-OBJECT-NAME>
fn over_there(relation: &Relation, foreign: &Foreign, catalog: &Catalog) -> Option<RelationId> {
    let other = foreign.option("table_name").or_else(|| foreign.option("table"));
    if foreign.wrapper != "postgres_fdw" && other.is_none() {
        return None;
    }
    let name = other.unwrap_or(&relation.id.name);
    // A host is a name that anybody can give to this very server, so that none tells it apart.
    let database = foreign.option("dbname").map_or_else(|| Arc::clone(catalog.database()), Arc::from);
    let schema = foreign.option("schema_name").unwrap_or(&relation.id.schema);
    let id = |schema: &str, name: &str| RelationId {
        engine: relation.id.engine,
        database: Arc::clone(&database),
        schema: schema.into(),
        name: name.into(),
    };
    if database == *catalog.database() && foreign.option("schema_name").is_none() {
        // Some wrappers write both in one.
        let (in_name, own) = name.split_once('.').map_or((None, name), |(schema, own)| (Some(schema), own));
        let written = RelationName { schema: Some(in_name.unwrap_or(schema).to_owned()), name: own.to_owned() };
        if let Resolution::Found(found) = catalog.resolve(&written, &[]) {
            return Some(found.id.clone());
        }
    }
    Some(id(schema, name))
}

fn told(relation: &Relation, foreign: &Foreign) -> String {
    if foreign.server.is_empty() {
        return "is on another server".to_owned();
    }
    let mut told = format!("leads through server `{}` ({})", foreign.server, foreign.wrapper);
    if foreign.wrapper == "postgres_fdw" {
        let schema = foreign.option("schema_name").unwrap_or(&relation.id.schema);
        let name = foreign.option("table_name").unwrap_or(&relation.id.name);
        let database = foreign.option("dbname").map(|name| format!(" of database `{name}`")).unwrap_or_default();
        told.push_str(&format!(" to `{schema}.{name}`{database}"));
    }
    told
}

/// Name over there of a column.
fn remote_name<'a>(foreign: &'a Foreign, column: &'a crate::catalog::Column) -> &'a str {
    let renamed = foreign.columns.iter().find(|(number, _)| *number == column.number);
    renamed.map_or(&*column.name, |(_, name)| name.as_str())
}

/// A cover of the relation over there, with the numbers of the foreign table's own columns.
fn through(relation: &Relation, foreign: &Foreign, base: &Covered, cover: &Cover) -> Cover {
    let number = |attribute: i16| {
        let name = base.columns.iter().find(|(_, known)| *known == attribute).map(|(name, _)| name)?;
        relation.columns.iter().find(|column| remote_name(foreign, column) == &**name).map(|column| column.number)
    };
    let known = |column: &crate::catalog::Column| base.attribute(remote_name(foreign, column)).is_some();
    Cover {
        tenant: Vec::new(),
        dataset: cover.dataset.clone(),
        records: cover.records.clone(),
        sensitive: cover.sensitive.iter().filter_map(|attribute| number(*attribute)).collect(),
        // A column that the relation over there does not have is computed, or the wrapper is not what it seems.
        whole: cover.whole || !relation.columns.iter().all(known),
        key: cover.key.as_ref().and_then(|key| key.iter().map(|attribute| number(*attribute)).collect()),
        vouched: cover.vouched,
    }
}

fn by_name(relation: &Relation, foreign: &Foreign, over_there: &RelationId, dataset: &Dataset) -> Cover {
    let remote =
        |column: &&crate::catalog::Column| dataset.is_sensitive(remote_name(foreign, column), relation.id.engine);
    let number = |name: &Arc<str>| {
        relation.columns.iter().find(|column| remote_name(foreign, column) == &**name).map(|column| column.number)
    };
    Cover {
        tenant: Vec::new(),
        dataset: dataset.name.clone(),
        records: over_there.clone(),
        sensitive: relation.columns.iter().filter(remote).map(|column| column.number).collect(),
        whole: dataset.columns.is_none(),
        key: dataset.key.as_ref().and_then(|key| key.iter().map(number).collect()),
        vouched: dataset.key.is_some(),
    }
}
