//! What a statement asks about sensitive values that it does not let out, and how it chooses the rows that it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Binding, Cover, Covered};
use crate::exposure::{Approach, Asked, Asking, Exposed, Manner};
use crate::relation::RelationId;
use crate::statement::{Access, ByKey, Columns, Extent, Question, StatementAnalysis};

/// Most that one statement counts as; a result that answers more questions in one row is far over any limit.
const WEIGHT_MAX: u32 = 4096;

impl Binding {
    /// Every question of a statement, once for each dataset, relation and kind.
    pub(super) fn asked(&self, statement: &StatementAnalysis) -> Vec<Asked> {
        let mut found: BTreeMap<(Arc<str>, RelationId, Asking), Asked> = BTreeMap::new();
        for usage in statement.uses.iter().filter(|usage| !usage.kin && !usage.questions.is_empty()) {
            let Some(covered) = usage.relation.as_ref().and_then(|id| self.covered.get(id)) else { continue };
            for cover in &covered.covers {
                for question in &usage.questions {
                    let Some((asking, columns)) = asking(question, usage.access, covered, cover) else { continue };
                    let key = (cover.dataset.clone(), cover.records.clone(), asking);
                    let asked = found.entry(key).or_insert_with(|| Asked {
                        dataset: cover.dataset.clone(),
                        relation: cover.records.clone(),
                        columns: Vec::new(),
                        asking,
                        weight: 1,
                    });
                    asked.columns.extend(columns);
                    asked.columns.sort_unstable();
                    asked.columns.dedup();
                    asked.weight = asked.weight.max(question.shown).min(WEIGHT_MAX);
                }
            }
        }
        found.into_values().collect()
    }
}

/// What a question asks of a dataset: nothing, where the values that it is about leave by the same way, since then they
/// are counted as records.
fn asking(question: &Question, access: Access, covered: &Covered, cover: &Cover) -> Option<(Asking, Vec<Arc<str>>)> {
    let released = |attribute: i16| match &question.released {
        Columns::None => false,
        Columns::All => true,
        Columns::Some(set) => set.iter().any(|name| covered.attribute(name) == Some(attribute)),
    };
    let is_key = |attribute: i16| cover.key.as_ref().is_some_and(|key| key.contains(&attribute));
    let mut sensitive = covered.columns.iter().map(|(_, number)| *number).filter(|number| cover.is_sensitive(*number));
    if question.released == Columns::All || sensitive.any(released) {
        return None;
    }
    let names_record = cover.key.as_ref().is_some_and(|key| key.iter().all(|number| released(*number)));
    let of = |columns: &Columns, moments: bool| -> Vec<Arc<str>> {
        let about = |number: i16| {
            cover.is_sensitive(number) && !is_key(number) && (moments || !covered.moments.contains(&number))
        };
        let known = covered.columns.iter().filter(|(_, number)| about(*number)).map(|(name, _)| name);
        match columns {
            Columns::None => Vec::new(),
            Columns::All => known.cloned().collect(),
            Columns::Some(set) => known.filter(|name| set.contains(*name)).cloned().collect(),
        }
    };
    let parts = of(&question.parts, false);
    if !parts.is_empty() {
        let searched = (names_record || question.beside) && question.by_key == ByKey::No && question.shown == 0;
        return Some((if searched { Asking::Search } else { Asking::Parts }, parts));
    }
    let wholes = of(&question.wholes, true);
    // Who is told the key has looked a record up; who changes rows by a value knows it.
    let looked_up = names_record || question.beside || access == Access::Write;
    (!wholes.is_empty() && !looked_up).then_some((Asking::Wholes, wholes))
}

/// How a statement chooses the rows whose values leave.
pub(super) fn approach(statement: &StatementAnalysis, touched: &[Exposed]) -> Approach {
    let leaving = || touched.iter().filter(|exposed| exposed.manner != Manner::Used);
    let relations: Vec<&RelationId> = leaving().map(|exposed| &exposed.relation).collect();
    let mut uses = statement.uses.iter().filter(|usage| usage.released != Columns::None && !usage.kin);
    let by_key = uses.by_ref().map(|usage| usage.by_key).max().unwrap_or_default();
    if relations.is_empty() {
        return Approach::Scan;
    }
    match by_key {
        _ if leaving().all(|exposed| exposed.pin.is_some()) => Approach::IdLoop,
        _ if statement.skips => Approach::Pages,
        ByKey::Range => Approach::KeySet,
        ByKey::List => Approach::InList,
        ByKey::Equal => Approach::IdLoop,
        ByKey::No if statement.extent != Extent::Unbounded => Approach::Pages,
        ByKey::No => Approach::Scan,
    }
}
