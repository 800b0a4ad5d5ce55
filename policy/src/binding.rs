//! A policy's datasets laid over one snapshot of a database: which relations and columns are sensitive there, and
//! what a statement, once analysed, exposes of them.
//!
//! Order of use: [`PolicySet::bind`] for each snapshot and policy; [`Binding::exposure`] for each statement, kept as
//! long as its analysis is; [`PolicySet::admit`] for each execution; when the server has described the result,
//! [`Binding::tighten`] (the second witness) and [`Binding::lanes`] (what to count on each row).
//!
//! What must never happen here: a sensitive column that leaves without an [`Exposed`] that says so, or a key that is
//! trusted to tell records apart although a row may hold somebody else's values beside it.
//!
//! [`PolicySet::admit`]: crate::set::PolicySet::admit
//! [`Exposed`]: crate::exposure::Exposed

mod asked;
mod copies;
mod declassified;
mod expose;
mod foreign;
mod lanes;
pub mod list;
mod told;
mod watched;

pub use copies::holders;
pub(crate) use lanes::lanes;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use foreign::Leads;

use crate::analysis::plain_columns;
use crate::catalog::{Catalog, Relation, RelationKind, column_types};
use crate::copies::Label;
use crate::exposure::Origin;
use crate::load::{Diagnostic, Severity};
use crate::relation::{Engine, RelationId};
use crate::rule::{Dataset, Place};
use crate::set::PolicySet;
use crate::statement::Access;

/// Mean bytes of a record where the catalog does not know: a short row, so that bytes count for more records rather
/// than fewer.
const RECORD_BYTES_DEFAULT: u32 = 64;
/// Members of one hierarchy that are followed: far above what PostgreSQL plans well.
const FAMILY_MAX: usize = 1 << 16;

/// What a policy means on one snapshot of one database.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Sensitive relations.
    covered: HashMap<RelationId, Covered>,
    /// The same, by the server's number.
    by_oid: HashMap<u32, RelationId>,
    /// Views and materialised views over them.
    views: HashMap<u32, View>,
    /// Accesses of rules that speak of no dataset.
    watched: BTreeSet<Access>,
    /// Bytes of rows that no dataset covers are counted.
    egress: bool,
    /// The database was never read, and datasets speak of it: what is in it may be sensitive.
    unread: bool,
    /// Views that read something sensitive and show nothing of it, as `via` tells them.
    harmless: BTreeSet<String>,
    /// Names of sensitive relations and of views over them, whatever their schema.
    names: HashSet<Arc<str>>,
    /// Schemas that hold them, ascending.
    schemas: Vec<Arc<str>>,
    /// Relations whose rows are somewhere else.
    foreign: HashMap<RelationId, Leads>,
}

/// One sensitive relation.
#[derive(Clone, Debug)]
struct Covered {
    /// Names of all columns, with their attribute numbers.
    columns: Vec<(Arc<str>, i16)>,
    /// Rows, by the planner; 0 when unknown.
    rows_estimate: u64,
    /// Mean bytes of a row; at least 1.
    row_bytes: u32,
    /// A key may stand in several members of an inheritance hierarchy: it names no single record.
    shares_keys: bool,
    /// It is a view: what it reads is exposed as itself.
    is_view: bool,
    /// Attribute numbers of columns that hold a moment: what lies in a stretch of time is asked by every report.
    moments: BTreeSet<i16>,
    /// Attribute numbers of the catalog's primary key.
    primary_key: Vec<i16>,
    /// By dataset, ascending.
    covers: Vec<Cover>,
}

/// One dataset's claim on a relation.
#[derive(Clone, Debug)]
struct Cover {
    dataset: Arc<str>,
    /// The relation whose keys tell its records apart: the topmost table that it is a partition of and that has the
    /// same key, or itself.
    records: RelationId,
    /// Attribute numbers of sensitive columns.
    sensitive: BTreeSet<i16>,
    /// Every column is sensitive, system columns and those that the snapshot does not know included.
    whole: bool,
    /// Attribute numbers of the key; `None`: no key is known, so that every row counts.
    key: Option<Vec<i16>>,
    /// Attribute numbers of the columns that tell whose a record is; empty: nobody's, or not known.
    tenant: Vec<i16>,
    /// Policy names the key: it vouches that the same one is the same record in all of an inheritance hierarchy.
    vouched: bool,
}

/// A view over sensitive relations.
#[derive(Clone, Debug, Default)]
struct View {
    /// Columns that are plain columns of a relation below: attribute number to where it comes from.
    plain: HashMap<i16, Origin>,
    /// Sensitive relations that it reads, directly or through other views.
    reads: BTreeSet<RelationId>,
}

impl PolicySet {
    /// Lays the datasets over a snapshot of a database.
    ///
    /// Tells what is probably not meant: a dataset that speaks of this database and matches nothing in it, a key that
    /// a relation has no column of, a relation without any key.
    pub fn bind(&self, catalog: &Catalog) -> (Binding, Vec<Diagnostic>) {
        self.bind_with(catalog, &[])
    }

    /// As [`bind`](PolicySet::bind), with what holds copies covered like a member of the dataset that was copied.
    pub fn bind_with(&self, catalog: &Catalog, labels: &[Label]) -> (Binding, Vec<Diagnostic>) {
        let mut diagnostics = Vec::new();
        let mut covered: HashMap<RelationId, Covered> = HashMap::new();
        for dataset in &self.datasets {
            let members = self.members(dataset, catalog, &mut diagnostics);
            self.tell_missing_columns(dataset, &members, &mut diagnostics);
            for relation in members {
                let entry = covered.entry(relation.id.clone()).or_insert_with(|| Covered::new(relation, catalog));
                let cover = cover(dataset, relation, catalog, &mut |at, message, hint| {
                    diagnostics.push(self.tell(at, message, hint));
                });
                entry.covers.push(cover);
            }
        }
        let named: BTreeSet<&str> = self.datasets.iter().map(|dataset| &*dataset.name).collect();
        copies::lay(labels, &named, catalog, &mut covered);
        let foreign = self.foreign(catalog, &mut covered);
        cover_toast(catalog, &mut covered);
        for entry in covered.values_mut() {
            entry.covers.sort_by(|a, b| a.dataset.cmp(&b.dataset));
        }
        let by_oid = catalog
            .relations()
            .iter()
            .filter(|relation| relation.oid != 0 && covered.contains_key(&relation.id))
            .map(|relation| (relation.oid, relation.id.clone()))
            .collect();
        let watched = self
            .rules
            .iter()
            .filter(|rule| rule.datasets.is_none())
            .flat_map(|rule| rule.access.iter().copied())
            .collect();
        let egress = self.defaults.unclassified_egress.is_some();
        let unread = catalog.is_unread()
            && self
                .datasets
                .iter()
                .flat_map(|dataset| &dataset.relations)
                .any(|pattern| pattern.speaks_of(catalog.engine(), catalog.database()));
        if unread {
            // Nothing can be matched; whoever loads catalogs says why.
            diagnostics.clear();
        }
        let harmless = self.harmless_views(catalog, &mut diagnostics);
        let views = views(catalog, &covered, &harmless);
        let guarded = catalog
            .relations()
            .iter()
            .filter(|relation| covered.contains_key(&relation.id) || views.contains_key(&relation.oid));
        let (names, schemas): (HashSet<Arc<str>>, BTreeSet<Arc<str>>) =
            guarded.map(|relation| (relation.id.name.clone(), relation.id.schema.clone())).unzip();
        let schemas = schemas.into_iter().filter(|schema| !schema.starts_with("pg_")).collect();
        let binding = Binding { covered, by_oid, views, watched, egress, unread, harmless, names, schemas, foreign };
        (binding, diagnostics)
    }

    /// Tells of columns that no relation of the dataset has: a slip of the pen that leaves nothing sensitive.
    fn tell_missing_columns(&self, dataset: &Dataset, members: &[&Relation], diagnostics: &mut Vec<Diagnostic>) {
        for column in dataset.columns.iter().flatten() {
            let mut known = members
                .iter()
                .flat_map(|relation| relation.columns.iter().map(|column| (&column.name, relation.id.engine)));
            if !members.is_empty() && !known.any(|(known, engine)| column.matches_as(known, engine)) {
                diagnostics.push(self.tell(
                    dataset.at,
                    format!("dataset `{}`: no relation of it has a column `{}`", dataset.name, column.as_str()),
                    "check the name: what is not named is not sensitive".to_owned(),
                ));
            }
        }
    }

    /// Relations of a dataset: those that its patterns name, and all partitions and inheritance children of them.
    fn members<'c>(
        &self,
        dataset: &Dataset,
        catalog: &'c Catalog,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Vec<&'c Relation> {
        let speaking: Vec<_> = dataset
            .relations
            .iter()
            .filter(|pattern| pattern.speaks_of(catalog.engine(), catalog.database()))
            .collect();
        let mut seen = BTreeSet::new();
        let mut found: Vec<&Relation> = catalog
            .relations()
            .iter()
            .filter(|relation| relation.kind != RelationKind::Other)
            .filter(|relation| speaking.iter().any(|pattern| pattern.matches(&relation.id)))
            .filter(|relation| seen.insert(&relation.id))
            .collect();
        if let (Some(first), true) = (speaking.first(), found.is_empty()) {
            diagnostics.push(self.tell(
                first.at,
                format!("dataset `{}` matches nothing in database `{}`", dataset.name, catalog.database()),
                "check the names, and that Weir's own account may see them".to_owned(),
            ));
        }
        let mut next = 0;
        while let Some(relation) = found.get(next).copied() {
            next += 1;
            for child in catalog.children(relation.oid).iter().filter_map(|oid| catalog.by_oid(*oid)) {
                if found.len() < FAMILY_MAX && relation.oid != 0 && seen.insert(&child.id) {
                    found.push(child);
                }
            }
        }
        found
    }

    fn tell(&self, at: Place, message: String, hint: String) -> Diagnostic {
        Diagnostic::new(Severity::Warning, &self.file, at, message, hint)
    }
}

impl Binding {
    /// Whether the database holds anything that a dataset names, or may as far as is known. Where it does not, nobody
    /// need ask the server what a result holds.
    pub fn is_sensitive(&self) -> bool {
        !self.covered.is_empty() || self.unread || self.foreign.values().any(Leads::is_unknown)
    }

    /// Whether the relation with this number is sensitive, or a view over something that is.
    pub fn is_sensitive_relation(&self, oid: u32) -> bool {
        self.by_oid.contains_key(&oid) || self.views.contains_key(&oid)
    }

    /// Whether a sensitive relation, or a view over one, has this name in some schema.
    pub fn guards(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Schemas in which names mean something sensitive: where a session's search path is not certain, a name is looked
    /// up in each of them first.
    pub fn schemas(&self) -> &[Arc<str>] {
        &self.schemas
    }

    /// Where a result column comes from, through views: a plain column of a table, as far as it is known to be one.
    fn traced(&self, origin: Origin) -> Origin {
        let through = self.views.get(&origin.oid).and_then(|view| view.plain.get(&origin.attribute));
        through.copied().unwrap_or(origin)
    }

    /// The sensitive relation with this number.
    fn by_oid(&self, oid: u32) -> Option<(&RelationId, &Covered)> {
        self.by_oid.get(&oid).and_then(|id| self.covered.get_key_value(id))
    }
}

impl Covered {
    fn new(relation: &Relation, catalog: &Catalog) -> Covered {
        let children: Vec<&Relation> = descendants(relation, catalog);
        let own_rows = if relation.kind == RelationKind::Partitioned { 0 } else { relation.rows_estimate };
        let family_rows = children.iter().fold(own_rows, |rows, child| rows.saturating_add(child.rows_estimate));
        let widths = children.iter().map(|child| child.row_bytes_mean).filter(|bytes| *bytes > 0);
        let row_bytes = match relation.row_bytes_mean {
            0 => widths.min().unwrap_or(RECORD_BYTES_DEFAULT),
            bytes => bytes,
        };
        Covered {
            columns: relation.columns.iter().map(|column| (column.name.clone(), column.number)).collect(),
            rows_estimate: relation.rows_estimate.max(family_rows),
            row_bytes,
            shares_keys: relation.kind != RelationKind::Partitioned && !children.is_empty(),
            is_view: is_view(relation),
            moments: moments(relation),
            primary_key: relation.key.clone(),
            covers: Vec::new(),
        }
    }

    /// Attribute number of a column.
    fn attribute(&self, name: &str) -> Option<i16> {
        self.columns.iter().find(|(known, _)| **known == *name).map(|(_, number)| *number)
    }
}

/// Columns of a relation that hold a moment.
fn moments(relation: &Relation) -> BTreeSet<i16> {
    let is_moment = |type_oid: u32| match relation.id.engine {
        Engine::Postgres => column_types::is_postgres_moment(type_oid),
        Engine::Mysql => column_types::is_mysql_moment(type_oid),
    };
    relation.columns.iter().filter(|column| is_moment(column.type_oid)).map(|column| column.number).collect()
}

/// What a dataset claims of a relation.
fn cover(
    dataset: &Dataset,
    relation: &Relation,
    catalog: &Catalog,
    tell: &mut dyn FnMut(Place, String, String),
) -> Cover {
    let sensitive = relation
        .columns
        .iter()
        .filter(|column| dataset.is_sensitive(&column.name, relation.id.engine))
        .map(|column| column.number)
        .collect();
    let same = |column: &str, name: &str| match relation.id.engine {
        Engine::Postgres => column == name,
        Engine::Mysql => column.to_lowercase() == name.to_lowercase(),
    };
    let number =
        |name: &Arc<str>| relation.columns.iter().find(|column| same(&column.name, name)).map(|column| column.number);
    let is_table = matches!(relation.kind, RelationKind::Table | RelationKind::Partitioned | RelationKind::Foreign);
    let key = match &dataset.key {
        Some(names) => {
            if let Some(missing) = names.iter().find(|name| number(name).is_none()) {
                tell(
                    dataset.at,
                    format!("dataset `{}`: `{}` has no column `{missing}` of its key", dataset.name, relation.id),
                    "every row of it counts as a record; mend `key`".to_owned(),
                );
            }
            names.iter().map(number).collect::<Option<Vec<i16>>>()
        }
        None => {
            if relation.key.is_empty() && is_table && relation.parents.is_empty() {
                tell(
                    dataset.at,
                    format!("dataset `{}`: `{}` has no primary key", dataset.name, relation.id),
                    "every row of it counts as a record; name its key with `key`".to_owned(),
                );
            }
            Some(relation.key.clone())
        }
    };
    let tenant: Vec<i16> = dataset.tenant.iter().filter_map(number).collect();
    Cover {
        dataset: dataset.name.clone(),
        tenant: if tenant.len() == dataset.tenant.len() { tenant } else { Vec::new() },
        records: records(relation, catalog, dataset.key.is_some()),
        sensitive,
        whole: dataset.columns.is_none(),
        key: key.filter(|key| !key.is_empty()),
        vouched: dataset.key.is_some(),
    }
}

/// Views and materialised views that read something sensitive.
fn views(catalog: &Catalog, covered: &HashMap<RelationId, Covered>, harmless: &BTreeSet<String>) -> HashMap<u32, View> {
    let is_harmless = |view: &Relation| !harmless.is_empty() && harmless.contains(&view.id.to_string());
    let mut found = HashMap::new();
    let mut views = catalog.relations().iter().filter(|relation| relation.oid != 0 && is_view(relation));
    for view in views.by_ref().filter(|view| !is_harmless(view)) {
        let mut reads = BTreeSet::new();
        let mut seen = BTreeSet::from([view.oid]);
        let mut todo: Vec<u32> = view.depends.iter().map(|(oid, _)| *oid).collect();
        while let Some(oid) = todo.pop() {
            let Some(relation) = catalog.by_oid(oid).filter(|_| seen.insert(oid)) else { continue };
            if covered.contains_key(&relation.id) {
                reads.insert(relation.id.clone());
            }
            if is_view(relation) && !is_harmless(relation) {
                todo.extend(relation.depends.iter().map(|(oid, _)| *oid));
            }
        }
        if reads.is_empty() {
            continue;
        }
        let columns = view.columns.iter().zip(plain_columns(catalog, view));
        let plain = columns
            .filter_map(|(column, plain)| plain.map(|(oid, attribute)| (column.number, Origin { oid, attribute })))
            .collect();
        found.insert(view.oid, View { plain, reads });
    }
    found
}

fn is_view(relation: &Relation) -> bool {
    matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView)
}

/// Out-of-line values of a table stand in a relation of their own, which depends on the table: pieces of anything.
fn cover_toast(catalog: &Catalog, covered: &mut HashMap<RelationId, Covered>) {
    for relation in catalog.relations().iter().filter(|relation| relation.kind == RelationKind::Other) {
        let owners = relation.depends.iter().filter_map(|(oid, _)| catalog.by_oid(*oid));
        let covers: Vec<Cover> = owners
            .filter_map(|owner| covered.get(&owner.id))
            .flat_map(|owner| &owner.covers)
            .map(|cover| Cover { whole: true, key: None, ..cover.clone() })
            .collect();
        if !covers.is_empty() {
            let entry = covered.entry(relation.id.clone()).or_insert_with(|| Covered::new(relation, catalog));
            entry.covers.extend(covers);
        }
    }
}

/// Partitions and inheritance children, and theirs.
fn descendants<'c>(relation: &Relation, catalog: &'c Catalog) -> Vec<&'c Relation> {
    let mut found: Vec<&Relation> = Vec::new();
    let mut seen = BTreeSet::from([relation.oid]);
    let mut todo = if relation.oid == 0 { Vec::new() } else { catalog.children(relation.oid).to_vec() };
    while let Some(oid) = todo.pop() {
        if found.len() < FAMILY_MAX
            && seen.insert(oid)
            && let Some(child) = catalog.by_oid(oid)
        {
            found.push(child);
            todo.extend_from_slice(catalog.children(oid));
        }
    }
    found
}

/// The relation whose keys tell records of this one apart: a key of a partition alone may stand in its neighbours.
/// `named`: policy says that its key is one of the whole table.
fn records(relation: &Relation, catalog: &Catalog, named: bool) -> RelationId {
    let key = |relation: &Relation| -> Vec<Option<Arc<str>>> {
        let name = |number: &i16| {
            relation.columns.iter().find(|column| column.number == *number).map(|column| column.name.clone())
        };
        relation.key.iter().map(name).collect()
    };
    let mut top = relation;
    let mut seen = BTreeSet::from([relation.oid]);
    while let Some(parent) = top.parents.iter().find_map(|oid| catalog.by_oid(*oid)) {
        let same_key = named || key(parent) == key(relation);
        if parent.kind != RelationKind::Partitioned || !same_key || !seen.insert(parent.oid) {
            break;
        }
        top = parent;
    }
    top.id.clone()
}

#[cfg(test)]
pub(crate) mod tests;
