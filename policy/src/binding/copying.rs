//! What a statement puts into other relations: nobody counts what is read from there later, so it is counted at
//! admission, as one row that may hold everything.

use super::{Binding, Cover, Covered};
use crate::exposure::{Exposed, Manner};
use crate::relation::RelationId;
use crate::statement::{Access, RelationUse, StatementAnalysis};

/// Where the copies of one statement go.
#[derive(Debug)]
pub(super) struct Copying<'a> {
    /// Relations that are written; `None`: one that is new, temporary or unknown.
    targets: Vec<Option<&'a RelationId>>,
}

impl<'a> Copying<'a> {
    pub(super) fn of(statement: &'a StatementAnalysis) -> Copying<'a> {
        let writes = statement.uses.iter().filter(|usage| matches!(usage.access, Access::Write | Access::Ddl));
        let mut targets: Vec<Option<&RelationId>> = writes.map(|usage| usage.relation.as_ref()).collect();
        if targets.is_empty() {
            // A temporary relation that the session made.
            targets.push(None);
        }
        Copying { targets }
    }

    /// Whether copies of a dataset go to where it does not cover every column.
    pub(super) fn takes(&self, usage: &RelationUse, cover: &Cover, binding: &Binding) -> bool {
        let stays = |target: &Option<&RelationId>| {
            target
                .and_then(|id| binding.covered.get(id))
                .is_some_and(|target| target.covers.iter().any(|other| other.whole && other.dataset == cover.dataset))
        };
        matches!(usage.access, Access::Read | Access::Export) && !self.targets.iter().all(stays)
    }

    /// Makes the exposure one that is charged when it is admitted.
    ///
    /// A LIMIT is not looked at: the one that the analysis reports may stand elsewhere in the text.
    pub(super) fn charge(exposed: &mut Exposed, usage: &RelationUse, covered: &Covered) {
        if !usage.copied_many || (usage.pin.is_some() && !covered.shares_keys) {
            exposed.rows_estimate = 1;
        }
        exposed.manner = Manner::Packed;
        exposed.whole = true;
        exposed.pin = None;
        exposed.key = None;
        exposed.key_released = false;
    }
}
