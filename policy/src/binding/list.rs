//! What is sensitive in a database and why, for a person who asks.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::copies::holders;
use super::{Binding, Cover, Covered};
use crate::catalog::{Catalog, Relation, RelationKind};
use crate::copies::Label;
use crate::relation::RelationId;
use crate::set::PolicySet;

/// One dataset's claim on one relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensitive {
    /// The relation.
    pub relation: RelationId,
    /// The dataset.
    pub dataset: Arc<str>,
    /// Its label.
    pub class: Arc<str>,
    /// Sensitive columns; `None`: every column.
    pub columns: Option<Vec<Arc<str>>>,
    /// Columns that tell its records apart; `None`: every row counts.
    pub key: Option<Vec<Arc<str>>>,
    /// The relation whose records they are.
    pub records: RelationId,
    /// Why it is in the dataset.
    pub why: Why,
}

/// Why a relation is sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The policy names it.
    Named,
    /// It is a partition or an inheritance child of this relation.
    MemberOf(RelationId),
    /// It holds a copy: the place of the label among those that it was bound with.
    Copy(usize),
    /// It is a foreign table; where it leads, in words.
    Foreign(String),
    /// It holds the large values of this relation.
    PartOf(RelationId),
}

/// Something that is seen through, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The relation.
    pub relation: RelationId,
    /// What is to be known of it.
    pub told: String,
}

impl PolicySet {
    /// Every sensitive relation of a snapshot, bound with these labels: by name, then by dataset.
    pub fn sensitive(&self, catalog: &Catalog, labels: &[Label], binding: &Binding) -> Vec<Sensitive> {
        let mut listed = Vec::new();
        for relation in catalog.relations() {
            let Some(covered) = binding.covered.get(&relation.id) else { continue };
            for cover in &covered.covers {
                let why = self.why(relation, cover, catalog, labels, binding);
                let dataset = self.datasets.iter().find(|dataset| dataset.name == cover.dataset);
                listed.push(Sensitive {
                    relation: relation.id.clone(),
                    dataset: cover.dataset.clone(),
                    class: dataset.map_or_else(|| "".into(), |dataset| dataset.class.clone()),
                    columns: (!cover.whole).then(|| names(covered, cover.sensitive.iter())),
                    key: cover.key.as_ref().map(|key| names(covered, key.iter())),
                    records: cover.records.clone(),
                    why,
                });
            }
        }
        listed.sort_by(|a, b| (&a.relation, &a.dataset).cmp(&(&b.relation, &b.dataset)));
        listed
    }

    fn why(&self, relation: &Relation, cover: &Cover, catalog: &Catalog, labels: &[Label], binding: &Binding) -> Why {
        let of = |relation: &Relation| {
            let mut datasets = self.datasets.iter().filter(|dataset| dataset.name == cover.dataset);
            datasets.any(|dataset| dataset.relations.iter().any(|pattern| pattern.matches(&relation.id)))
        };
        let copied = |relation: &Relation| {
            labels.iter().position(|label| {
                label.dataset == cover.dataset
                    && label.records == cover.records
                    && holders(&label.target, catalog).iter().any(|holder| holder.id == relation.id)
            })
        };
        if of(relation) {
            return Why::Named;
        }
        if let Some(label) = copied(relation) {
            return Why::Copy(label);
        }
        if let Some(leads) = binding.foreign.get(&relation.id) {
            return Why::Foreign(leads.told.clone());
        }
        if relation.kind == RelationKind::Other
            && let Some(owner) = relation.depends.iter().find_map(|(oid, _)| catalog.by_oid(*oid))
        {
            return Why::PartOf(owner.id.clone());
        }
        let mut above: Vec<u32> = relation.parents.clone();
        let mut seen = BTreeSet::from([relation.oid]);
        while let Some(oid) = above.pop() {
            let Some(parent) = catalog.by_oid(oid).filter(|_| seen.insert(oid)) else { continue };
            if of(parent) || copied(parent).is_some() {
                return Why::MemberOf(parent.id.clone());
            }
            above.extend_from_slice(&parent.parents);
        }
        Why::Named
    }
}

impl Binding {
    /// Views and materialised views over what is sensitive, with what they read of it.
    pub fn views_listed(&self, catalog: &Catalog) -> Vec<Beside> {
        let mut listed: Vec<Beside> = catalog
            .relations()
            .iter()
            .filter_map(|relation| {
                let view = self.views.get(&relation.oid).filter(|_| relation.oid != 0)?;
                let reads: Vec<String> = view.reads.iter().map(ToString::to_string).collect();
                Some(Beside { relation: relation.id.clone(), told: format!("reads {}", reads.join(", ")) })
            })
            .collect();
        listed.sort_by(|a, b| a.relation.cmp(&b.relation));
        listed
    }

    /// Foreign tables of which nobody says where they lead, or that lead to nothing sensitive (`unknown` false).
    pub fn foreign_listed(&self, unknown: bool) -> Vec<Beside> {
        let mut listed: Vec<Beside> = self
            .foreign
            .iter()
            .filter(|(id, leads)| leads.is_unknown() == unknown && !self.covered.contains_key(id))
            .map(|(id, leads)| Beside { relation: id.clone(), told: leads.told.clone() })
            .collect();
        listed.sort_by(|a, b| a.relation.cmp(&b.relation));
        listed
    }
}

fn names<'n>(covered: &Covered, numbers: impl Iterator<Item = &'n i16>) -> Vec<Arc<str>> {
    let name = |number: &i16| covered.columns.iter().find(|(_, known)| known == number).map(|(name, _)| name.clone());
    numbers.filter_map(name).collect()
}
