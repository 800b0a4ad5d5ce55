//! Copies under a binding: what a statement copies of what is sensitive, and labels laid over a catalog.
//!
//! What must never happen here: a label that makes something less sensitive than its policy does, and a key of a copy
//! that is trusted although somebody else's values may stand beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::{Binding, Cover, Covered, FAMILY_MAX};
use crate::catalog::{Catalog, Relation};
use crate::copies::{Copied, CopiedColumn, CopyOf, Label, Target};
use crate::exposure::{Approach, Exposed, Exposure, Manner};
use crate::relation::{Engine, RelationId};
use crate::statement::{Access, Coverage, StatementAnalysis};

impl Binding {
    /// What a statement copies of what is sensitive, target by target and dataset by dataset.
    ///
    /// A copy of a single row into another is none: it is charged as the record that it is, and one such row must not
    /// make a whole relation sensitive that was there before.
    pub(super) fn copied(&self, statement: &StatementAnalysis) -> Vec<Copied> {
        let mut found = Vec::new();
        for copy in &statement.copies {
            let mut by_source: BTreeMap<&RelationId, Vec<&CopiedColumn>> = BTreeMap::new();
            for column in &copy.columns {
                by_source.entry(&column.source).or_default().push(column);
            }
            let mut told: BTreeSet<&str> = BTreeSet::new();
            let (kin, read): (Vec<_>, Vec<_>) =
                by_source.into_iter().partition(|(_, columns)| columns.iter().all(|column| column.kin));
            for (source, columns) in read.into_iter().chain(kin) {
                let Some(covered) = self.covered.get(source) else { continue };
                let is_kin = columns.iter().all(|column| column.kin);
                for cover in &covered.covers {
                    // A hierarchy is told by the member that the text names.
                    if is_kin && told.contains(&*cover.dataset) {
                        continue;
                    }
                    let copied = self.copied_of(copy, (source, covered), cover, &columns);
                    if copied.is_some() {
                        told.insert(&cover.dataset);
                    }
                    found.extend(copied);
                }
            }
        }
        found
    }

    fn copied_of(
        &self,
        copy: &CopyOf,
        (source, covered): (&RelationId, &Covered),
        cover: &Cover,
        columns: &[&CopiedColumn],
    ) -> Option<Copied> {
        let sensitive = |column: &&&CopiedColumn| match &column.of {
            None => true,
            Some(name) => covered.attribute(name).is_none_or(|number| cover.is_sensitive(number)),
        };
        let held: Vec<&&CopiedColumn> = columns.iter().filter(sensitive).collect();
        let own = held.iter().all(|column| column.own);
        if held.is_empty() || !(own || held.iter().any(|column| column.many)) {
            return None;
        }
        let names: Option<BTreeSet<Arc<str>>> = held.iter().map(|column| column.column.clone()).collect();
        let names = names.filter(|_| !(copy.moved && cover.whole));
        if !copy.moved && self.holds_already(copy, cover, names.as_ref()) {
            return None;
        }
        let apart = held.iter().all(|column| column.apart);
        let key = cover.key.as_ref().filter(|_| apart && !cover.shares_keys(covered)).and_then(|key| {
            if own {
                // The key of the row is where it was.
                let name = |number: &i16| covered.columns.iter().find(|(_, known)| known == number);
                return key.iter().map(|number| name(number).map(|(name, _)| name.clone())).collect::<Option<Vec<_>>>();
            }
            let place = |number: &i16| {
                let mut plain = columns.iter().filter(|column| {
                    column.plain.is_some_and(|(_, attribute)| attribute == *number)
                        && column.of.as_ref().and_then(|name| covered.attribute(name)) == Some(*number)
                });
                plain.find_map(|column| column.column.clone())
            };
            key.iter().map(place).collect()
        });
        let (schemas, name, oid) = match &copy.relation {
            Some(id) => (vec![id.schema.clone()], id.name.clone(), copy.oid),
            None => {
                let schema = copy.target.schema.as_deref().map(Arc::from);
                (schema.into_iter().collect(), copy.target.name.as_str().into(), 0)
            }
        };
        // MySQL has no numbers: those of a snapshot are its own.
        let oid = if source.engine == Engine::Postgres { oid } else { 0 };
        Some(Copied {
            label: Label {
                dataset: cover.dataset.clone(),
                source: source.clone(),
                records: cover.records.clone(),
                target: Target { schemas, name, oid, before: Vec::new() },
                columns: names,
                key,
            },
            temporary: copy.temporary,
            made: copy.made,
            own,
        })
    }

    /// What a statement exposes that reads a relation of the session's own which holds what `copying` put there.
    ///
    /// `counted`: it was not charged in full, so that what is read of it is counted by bytes. `targets`: what the
    /// statement itself writes, which holds it all afterwards.
    pub fn carried(&self, copying: &Exposure, counted: bool, targets: &[Target]) -> Exposure {
        let copied = || copying.touched.iter().filter(|exposed| exposed.copied);
        let read = |exposed: &Exposed| Exposed {
            access: Access::Read,
            manner: Manner::Packed,
            whole: false,
            copied: false,
            unfollowed: false,
            pin: None,
            reads: 1,
            key: None,
            key_released: false,
            ..exposed.clone()
        };
        let label = |copied: &Copied, target: &Target| Copied {
            label: Label { target: target.clone(), columns: None, key: None, ..copied.label.clone() },
            temporary: false,
            made: true,
            own: false,
        };
        let copies = copying.copies.iter().flat_map(|copied| targets.iter().map(move |target| label(copied, target)));
        let mut carried = Exposure {
            touched: if counted { copied().map(read).collect() } else { Vec::new() },
            accesses: BTreeSet::from([Access::Read]),
            coverage: Coverage::Full,
            opaque: None,
            copies: copies.collect(),
            rows_max: None,
            returns: true,
            views: BTreeSet::new(),
            tenants: Vec::new(),
            searched: Vec::new(),
            asked: Vec::new(),
            approach: Approach::Scan,
            queries: BTreeSet::new(),
            plain: false,
        };
        carried.plain = self.is_plain(&carried);
        carried
    }

    /// Whether the target is known for these columns of the dataset.
    fn holds_already(&self, copy: &CopyOf, cover: &Cover, names: Option<&BTreeSet<Arc<str>>>) -> bool {
        let Some(covered) = copy.relation.as_ref().and_then(|id| self.covered.get(id)) else { return false };
        let mut known = covered.covers.iter().filter(|known| known.dataset == cover.dataset);
        known.any(|known| {
            let holds = |name: &Arc<str>| covered.attribute(name).is_some_and(|number| known.is_sensitive(number));
            known.whole || names.is_some_and(|names| names.iter().all(holds))
        })
    }
}

/// Covers what holds copies, and their partitions and children, as members of the dataset that the label names.
pub(super) fn lay(
    labels: &[Label],
    datasets: &BTreeSet<&str>,
    catalog: &Catalog,
    covered: &mut HashMap<RelationId, Covered>,
) {
    for label in labels.iter().filter(|label| datasets.contains(&*label.dataset)) {
        for relation in holders(&label.target, catalog) {
            for member in family(relation, catalog) {
                let cover = cover_of(label, member);
                let source = covered.get(&label.source).map_or(0, |source| source.rows_estimate);
                let entry = covered.entry(member.id.clone()).or_insert_with(|| Covered::new(member, catalog));
                if entry.rows_estimate == 0 {
                    // Nobody has counted the copy yet: about as many as there were to copy.
                    entry.rows_estimate = source;
                }
                match entry.covers.iter_mut().find(|known| is_same(known, &cover)) {
                    Some(known) => {
                        known.sensitive.extend(cover.sensitive);
                        known.whole |= cover.whole;
                    }
                    None => entry.covers.push(cover),
                }
            }
        }
    }
}

fn is_same(known: &Cover, cover: &Cover) -> bool {
    known.dataset == cover.dataset && known.records == cover.records && known.key == cover.key
}

/// The relations of a catalog that a target may be.
pub fn holders<'c>(target: &Target, catalog: &'c Catalog) -> Vec<&'c Relation> {
    if target.oid != 0 {
        return catalog.by_oid(target.oid).into_iter().collect();
    }
    let same = |one: &str, other: &str| match catalog.engine() {
        Engine::Postgres => one == other,
        Engine::Mysql => one.to_lowercase() == other.to_lowercase(),
    };
    if !catalog.has_name(&target.name) {
        return Vec::new();
    }
    let is_it = |relation: &&Relation| {
        same(&relation.id.name, &target.name)
            && (target.schemas.is_empty() || target.schemas.iter().any(|schema| same(schema, &relation.id.schema)))
            && !(catalog.engine() == Engine::Postgres && target.before.contains(&relation.oid))
    };
    catalog.relations().iter().filter(is_it).collect()
}

/// A relation and all that is below it.
fn family<'c>(relation: &'c Relation, catalog: &'c Catalog) -> Vec<&'c Relation> {
    let mut family = vec![relation];
    family.extend(super::descendants(relation, catalog).into_iter().take(FAMILY_MAX));
    family
}

fn cover_of(label: &Label, relation: &Relation) -> Cover {
    let same = |one: &str, other: &str| match relation.id.engine {
        Engine::Postgres => one == other,
        Engine::Mysql => one.to_lowercase() == other.to_lowercase(),
    };
    let number =
        |name: &Arc<str>| relation.columns.iter().find(|column| same(&column.name, name)).map(|column| column.number);
    let sensitive = label.columns.iter().flatten().map(number).collect::<Option<BTreeSet<i16>>>();
    // A column that is not there any more has another name now, and nobody knows which.
    let whole = label.columns.is_none() || sensitive.is_none();
    let key = label.key.as_ref().and_then(|key| key.iter().map(number).collect::<Option<Vec<i16>>>());
    Cover {
        tenant: Vec::new(),
        dataset: label.dataset.clone(),
        records: label.records.clone(),
        sensitive: sensitive.unwrap_or_default(),
        whole,
        key: key.filter(|key| !key.is_empty()),
        vouched: false,
    }
}
