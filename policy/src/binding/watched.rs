//! What the detectors of behaviour ask of a statement: whose rows it reads, and in which datasets it searches.

use std::sync::Arc;

use super::{Binding, Cover};
use crate::exposure::{Exposure, LaneKey, Origin, TenantPlace, TenantSpot};
use crate::relation::Engine;
use crate::statement::{Access, Columns, Operand, RelationUse, StatementAnalysis};

/// Places of tenants that are looked at in one statement.
const SPOTS_MAX: usize = 16;

impl Binding {
    /// Where tenants of the rows stand that a statement reads.
    pub(super) fn tenants(&self, statement: &StatementAnalysis) -> Vec<TenantSpot> {
        let mut found: Vec<TenantSpot> = Vec::new();
        for usage in statement.uses.iter().filter(|usage| !usage.kin) {
            let Some(covered) = usage.relation.as_ref().and_then(|id| self.covered.get(id)) else { continue };
            for cover in covered.covers.iter().filter(|cover| !cover.tenant.is_empty()) {
                let name =
                    |number: &i16| covered.columns.iter().find(|(_, known)| known == number).map(|(name, _)| name);
                let operand = |number: &i16| name(number).and_then(|name| equal(usage, name));
                let pinned: Option<Vec<Operand>> = cover.tenant.iter().map(operand).collect();
                if found.len() < SPOTS_MAX && reads(usage) {
                    found.push(spot(usage, cover, pinned));
                }
            }
        }
        found
    }

    /// Datasets whose columns a statement compares with values from outside, other than by key.
    pub(super) fn searched(&self, statement: &StatementAnalysis) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        for usage in statement.uses.iter().filter(|usage| !usage.questions.is_empty()) {
            let Some(covered) = usage.relation.as_ref().and_then(|id| self.covered.get(id)) else { continue };
            for cover in &covered.covers {
                let asks = |columns: &Columns| match columns {
                    Columns::None => false,
                    Columns::All => true,
                    Columns::Some(names) => names.iter().any(|name| {
                        let number = covered.attribute(name);
                        number.is_some_and(|number| {
                            let is_key = cover.key.as_ref().is_some_and(|key| key.contains(&number));
                            !is_key && !covered.moments.contains(&number) && !cover.tenant.contains(&number)
                        })
                    }),
                };
                let searches = |question: &crate::statement::Question| asks(&question.parts) || asks(&question.wholes);
                if usage.questions.iter().any(searches) && !found.contains(&cover.dataset) {
                    found.push(cover.dataset.clone());
                }
            }
        }
        found
    }

    /// Where the tenants of a result's rows are found, from the server's description of its columns.
    pub fn tenant_places(&self, exposure: &Exposure, origins: &[Origin]) -> Vec<TenantPlace> {
        let traced: Vec<Origin> = origins.iter().map(|origin| self.traced(*origin)).collect();
        let place = |spot: &TenantSpot| {
            let position = |attribute: &i16| {
                traced
                    .iter()
                    .position(|origin| spot.oid != 0 && *origin == Origin { oid: spot.oid, attribute: *attribute })
            };
            let columns: Option<Vec<usize>> = spot.attributes.iter().map(position).collect();
            let key = match (columns, &spot.pinned) {
                (Some(columns), _) => LaneKey::Columns(columns),
                (None, Some(pinned)) => LaneKey::Pinned(pinned.clone()),
                (None, None) => return None,
            };
            Some(TenantPlace { dataset: spot.dataset.clone(), key })
        };
        exposure.tenants.iter().filter_map(place).collect()
    }
}

fn reads(usage: &RelationUse) -> bool {
    matches!(usage.access, Access::Read | Access::Export)
        && (usage.released != Columns::None || usage.packed != Columns::None || usage.copied != Columns::None)
}

fn spot(usage: &RelationUse, cover: &Cover, pinned: Option<Vec<Operand>>) -> TenantSpot {
    TenantSpot { dataset: cover.dataset.clone(), oid: usage.oid, attributes: cover.tenant.clone(), pinned }
}

/// The value that a use equates a column to.
fn equal(usage: &RelationUse, column: &str) -> Option<Operand> {
    let is_mysql = usage.relation.as_ref().is_some_and(|id| id.engine == Engine::Mysql);
    let same = |known: &str| known == column || (is_mysql && known.eq_ignore_ascii_case(column));
    usage.equals.iter().find(|(known, _)| same(known)).map(|(_, operand)| *operand)
}
