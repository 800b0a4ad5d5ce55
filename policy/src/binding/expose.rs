//! From an analysed statement to what it exposes; several statements of one text; the server as second witness.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Binding, Cover, Covered};
use crate::exposure::{Exposed, Exposure, Manner, Origin};
use crate::relation::RelationId;
use crate::statement::{Access, Columns, Coverage, Extent, RelationUse, StatementAnalysis, Verb};

/// Most bytes that one record's value is taken to have in a value that packs many, for each column that is packed.
/// Somebody who packs few short columns must not have them counted by the width of the whole row.
const PACKED_COLUMN_BYTES_MAX: u32 = 16;

/// What makes two uses one exposure.
type Same = (Arc<str>, RelationId, u32, Access);

impl Binding {
    /// What a statement exposes. Depends on nothing but the analysis, and may be kept beside it.
    pub fn exposure(&self, statement: &StatementAnalysis) -> Exposure {
        let mut accesses = statement.accesses.clone();
        accesses.extend(statement.uses.iter().map(|usage| usage.access));
        let rows_max = match statement.extent {
            Extent::One => Some(1),
            Extent::LimitedTo(rows) => Some(rows),
            Extent::Unbounded | Extent::Limited(_) => None,
        };
        let mut exposure = Exposure {
            touched: if self.is_sensitive() { self.touched(statement) } else { Vec::new() },
            accesses,
            coverage: statement.coverage,
            opaque: if self.is_sensitive() { opaque(statement) } else { None },
            rows_max,
            returns: returns_rows(statement.verb),
            plain: false,
        };
        exposure.plain = self.is_plain(&exposure);
        exposure
    }

    /// What the statements of one text expose together: as strict as the strictest of them. A row comes from one of
    /// them, so keys and pins stay where each of those that release the relation has the same.
    pub fn merge<'e>(&self, exposures: impl IntoIterator<Item = &'e Exposure>) -> Exposure {
        let mut merged = Exposure {
            touched: Vec::new(),
            accesses: BTreeSet::new(),
            coverage: Coverage::Full,
            opaque: None,
            rows_max: Some(0),
            returns: false,
            plain: false,
        };
        for exposure in exposures {
            for exposed in &exposure.touched {
                match merged.touched.iter_mut().find(|known| same(known) == same(exposed)) {
                    Some(known) => either(known, exposed),
                    None => merged.touched.push(exposed.clone()),
                }
            }
            merged.accesses.extend(exposure.accesses.iter().copied());
            merged.coverage = merged.coverage.max(exposure.coverage);
            merged.opaque = merged.opaque.or_else(|| exposure.opaque.clone());
            merged.returns |= exposure.returns;
            if exposure.releases() {
                merged.rows_max =
                    merged.rows_max.zip(exposure.rows_max).map(|(known, more)| known.saturating_add(more));
            }
        }
        merged.rows_max = merged.rows_max.filter(|_| merged.releases());
        merged.touched.sort_by(|a, b| same(a).cmp(&same(b)));
        merged.plain = self.is_plain(&merged);
        merged
    }

    /// What the exposure must be when the server says that the result has these columns: `Some` where it names a
    /// sensitive column that the exposure does not release.
    pub fn tighten(&self, exposure: &Exposure, origins: &[Origin]) -> Option<Exposure> {
        if !self.is_sensitive() {
            return None;
        }
        let mut tightened: Option<Exposure> = None;
        for origin in origins.iter().filter(|origin| origin.oid != 0) {
            let Some((_, covered)) = self.by_oid(origin.oid) else { continue };
            for cover in covered.covers.iter().filter(|cover| cover.is_sensitive(origin.attribute)) {
                let present = tightened.as_ref().unwrap_or(exposure);
                let known = present.touched.iter().any(|exposed| {
                    exposed.dataset == cover.dataset
                        && exposed.relation == covered.records
                        && exposed.manner != Manner::Used
                });
                if known {
                    continue;
                }
                let next = tightened.get_or_insert_with(|| exposure.clone());
                next.touched.push(witnessed(covered, cover, *origin));
                next.accesses.insert(Access::Read);
                next.plain = false;
            }
        }
        if let Some(tightened) = &mut tightened {
            tightened.touched.sort_by(|a, b| same(a).cmp(&same(b)));
        }
        tightened
    }

    fn is_plain(&self, exposure: &Exposure) -> bool {
        exposure.touched.is_empty()
            && exposure.opaque.is_none()
            && exposure.accesses.is_disjoint(&self.watched)
            && !(self.egress && exposure.returns)
    }

    /// Every dataset that a statement touches, once for each relation and access.
    fn touched(&self, statement: &StatementAnalysis) -> Vec<Exposed> {
        let mut touched: HashMap<Same, Exposed> = HashMap::new();
        let uses: Vec<(&RelationUse, &Covered)> = statement
            .uses
            .iter()
            .filter_map(|usage| {
                let covered = self.covered.get(usage.relation.as_ref()?)?;
                Some((usage, covered))
            })
            .collect();
        for (usage, covered) in &uses {
            for cover in &covered.covers {
                if self.is_said_elsewhere(usage, covered, cover, &uses) {
                    continue;
                }
                let Some(exposed) = exposed(usage, covered, cover, statement.coverage) else { continue };
                match touched.get_mut(&same(&exposed)) {
                    Some(known) => beside(known, &exposed),
                    None => {
                        touched.insert(same(&exposed), exposed);
                    }
                }
            }
        }
        let mut touched: Vec<Exposed> = touched.into_values().collect();
        touched.sort_by(|a, b| same(a).cmp(&same(b)));
        touched
    }

    /// Whether what a use exposes of a dataset is exposed by another use already: by the member of a hierarchy that
    /// the text names, or by what a view reads.
    fn is_said_elsewhere(
        &self,
        usage: &RelationUse,
        covered: &Covered,
        cover: &Cover,
        uses: &[(&RelationUse, &Covered)],
    ) -> bool {
        let names = |other: &Covered| other.covers.iter().any(|known| known.dataset == cover.dataset);
        if usage.kin {
            let Some((root, way)) = usage.via.split_last() else { return false };
            return uses.iter().any(|(other, of)| {
                !other.kin
                    && other.access == usage.access
                    && other.via == way
                    && names(of)
                    && other.relation.as_ref().is_some_and(|id| id.to_string() == *root)
            });
        }
        if covered.is_view {
            let Some(label) = usage.relation.as_ref().map(ToString::to_string) else { return false };
            return uses.iter().any(|(other, of)| {
                !of.is_view
                    && other.access == usage.access
                    && other.via.contains(&label)
                    && names(of)
                    && (other.released != Columns::None || other.packed != Columns::None)
            });
        }
        false
    }
}

impl Cover {
    fn is_sensitive(&self, attribute: i16) -> bool {
        self.whole || self.sensitive.contains(&attribute)
    }
}

/// What a use exposes of a dataset; `None`: nothing of it.
fn exposed(usage: &RelationUse, covered: &Covered, cover: &Cover, coverage: Coverage) -> Option<Exposed> {
    let understood = coverage == Coverage::Full;
    let reads = matches!(usage.access, Access::Read | Access::Export);
    let within = |columns: &Columns| sensitive_in(columns, covered, cover);
    let (mut leaving, packed, used) = (within(&usage.released), within(&usage.packed), within(&usage.used));
    let is_packed = packed.is_some();
    leaving = union(leaving, packed.clone());
    let mut manner = match (&leaving, is_packed) {
        _ if !reads => Manner::Used,
        (None, _) => Manner::Used,
        (Some(_), true) => Manner::Packed,
        (Some(_), false) => Manner::Rows,
    };
    if reads && !understood {
        // How columns are used is not known: one that is only compared may as well leave.
        leaving = union(leaving, used.clone());
        if leaving.is_some() {
            manner = Manner::Packed;
        }
    }
    if reads && manner == Manner::Used && used.is_none() && !cover.whole {
        return None;
    }
    let pin = usage.pin.clone().filter(|_| {
        understood && !covered.shares_keys && cover.key.as_ref().is_some_and(|key| *key == covered.primary_key)
    });
    if pin.is_some() && manner == Manner::Packed {
        // At most one record can be in it.
        manner = Manner::Rows;
    }
    let columns = if manner == Manner::Used { union(leaving, used) } else { leaving };
    let key = cover.key.as_ref().filter(|_| {
        understood && usage.once && !usage.kin && !covered.shares_keys && !covered.is_view && manner == Manner::Rows
    });
    let key_released =
        key.is_some_and(|key| key.iter().all(|attribute| releases(&usage.released, covered, *attribute)));
    Some(Exposed {
        dataset: cover.dataset.clone(),
        relation: covered.records.clone(),
        oid: usage.oid,
        access: usage.access,
        manner,
        record_bytes: record_bytes(covered, packed.as_ref().filter(|_| manner == Manner::Packed && understood)),
        columns: columns.unwrap_or_default(),
        whole: manner == Manner::Packed && is_packed && usage.packed_whole,
        reads: if manner == Manner::Used {
            0
        } else if pin.is_some() {
            usage.reads.min(1)
        } else {
            usage.reads
        },
        pin,
        key: key.cloned(),
        key_released,
        rows_estimate: covered.rows_estimate,
    })
}

/// What the server named and the analysis did not.
fn witnessed(covered: &Covered, cover: &Cover, origin: Origin) -> Exposed {
    let named = covered.columns.iter().filter(|(_, number)| *number == origin.attribute);
    Exposed {
        dataset: cover.dataset.clone(),
        relation: covered.records.clone(),
        oid: origin.oid,
        access: Access::Read,
        manner: Manner::Rows,
        columns: named.map(|(name, _)| name.clone()).collect(),
        whole: false,
        reads: 1,
        pin: None,
        key: None,
        key_released: false,
        rows_estimate: covered.rows_estimate,
        record_bytes: covered.row_bytes,
    }
}

/// Adds another use in the same statement: a row may hold records of both.
fn beside(known: &mut Exposed, other: &Exposed) {
    let both = known.manner != Manner::Used && other.manner != Manner::Used;
    if both {
        known.pin = None;
        known.key = None;
        known.key_released = false;
        known.reads = known.reads.saturating_add(other.reads);
    } else if other.manner != Manner::Used {
        let columns = std::mem::take(&mut known.columns);
        *known = Exposed { columns, ..other.clone() };
    }
    join(known, other);
}

/// Adds a use in another statement: a row holds records of one of them.
fn either(known: &mut Exposed, other: &Exposed) {
    let both = known.manner != Manner::Used && other.manner != Manner::Used;
    if both {
        if known.pin != other.pin {
            known.pin = None;
        }
        if known.key != other.key {
            known.key = None;
        }
        known.key_released &= other.key_released;
        known.reads = known.reads.max(other.reads);
    } else if other.manner != Manner::Used {
        let columns = std::mem::take(&mut known.columns);
        *known = Exposed { columns, ..other.clone() };
    }
    join(known, other);
}

fn join(known: &mut Exposed, other: &Exposed) {
    known.manner = known.manner.max(other.manner);
    known.whole |= other.whole;
    known.record_bytes = known.record_bytes.min(other.record_bytes);
    let mut columns: BTreeSet<Arc<str>> = known.columns.drain(..).collect();
    columns.extend(other.columns.iter().cloned());
    known.columns = columns.into_iter().collect();
}

fn same(exposed: &Exposed) -> Same {
    (exposed.dataset.clone(), exposed.relation.clone(), exposed.oid, exposed.access)
}

/// Sensitive columns among these; empty where all may be meant and none is known by name. `None`: none.
fn sensitive_in(columns: &Columns, covered: &Covered, cover: &Cover) -> Option<Vec<Arc<str>>> {
    let named = || covered.columns.iter().filter(|(_, number)| cover.sensitive.contains(number)).map(|(name, _)| name);
    match columns {
        Columns::None => None,
        Columns::All => Some(named().cloned().collect()).filter(|found: &Vec<_>| cover.whole || !found.is_empty()),
        Columns::Some(set) => {
            let found: Vec<Arc<str>> = set
                .iter()
                // A column that the snapshot does not know may be any.
                .filter(|name| covered.attribute(name).is_none_or(|number| cover.is_sensitive(number)))
                .cloned()
                .collect();
            Some(found).filter(|found| !found.is_empty())
        }
    }
}

fn union(one: Option<Vec<Arc<str>>>, other: Option<Vec<Arc<str>>>) -> Option<Vec<Arc<str>>> {
    match (one, other) {
        (Some(one), Some(other)) => {
            let all: BTreeSet<Arc<str>> = one.into_iter().chain(other).collect();
            Some(all.into_iter().collect())
        }
        (one, other) => one.or(other),
    }
}

fn releases(columns: &Columns, covered: &Covered, attribute: i16) -> bool {
    match columns {
        Columns::None => false,
        Columns::All => true,
        Columns::Some(set) => set.iter().any(|name| covered.attribute(name) == Some(attribute)),
    }
}

/// Bytes that one record is taken to have in a row that packs these columns of many, or whole rows.
fn record_bytes(covered: &Covered, packed: Option<&Vec<Arc<str>>>) -> u32 {
    let whole = covered.row_bytes.max(1);
    match packed {
        Some(columns) if columns.len() < covered.columns.len() => {
            let columns = u32::try_from(columns.len().max(1)).unwrap_or(u32::MAX);
            whole.min(columns.saturating_mul(PACKED_COLUMN_BYTES_MAX))
        }
        _ => whole,
    }
}

/// Why nothing can be promised about a statement.
fn opaque(statement: &StatementAnalysis) -> Option<String> {
    let gap = statement.gaps.iter().find(|gap| match gap.code {
        // What these reach is not known, so no list of relations is a superset.
        "unknown-function" | "dynamic-sql" | "unread-view" | "temporary-view" | "analysis-failed" | "unterminated" => {
            true
        }
        // Something newer than the snapshot, or somebody else's temporary relation, may be a view over anything;
        // writing to it lets nothing out.
        "unknown-relation" => {
            let mut unknown = statement.uses.iter().filter(|usage| usage.relation.is_none()).peekable();
            unknown.peek().is_none() || unknown.any(|usage| matches!(usage.access, Access::Read | Access::Export))
        }
        // The relations are a superset all the same.
        _ => false,
    });
    match gap {
        Some(gap) => Some(format!("{}: {}", gap.code, gap.subject)),
        None if statement.coverage == Coverage::Opaque => Some(match statement.gaps.first() {
            Some(gap) => format!("{}: {}", gap.code, gap.subject),
            None => "not understood".to_owned(),
        }),
        None => None,
    }
}

/// Whether a statement of this kind may return rows.
fn returns_rows(verb: Verb) -> bool {
    !matches!(verb, Verb::Ddl | Verb::Grant | Verb::Session | Verb::Transaction | Verb::Empty | Verb::Utility)
}
