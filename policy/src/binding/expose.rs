//! From an analysed statement to what it exposes; several statements of one text; the server as second witness.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::asked::approach;
use super::{Binding, Cover, Covered, View};
use crate::exposure::{Approach, Asked, Exposed, Exposure, Manner, Origin};
use crate::relation::{Engine, RelationId};
use crate::statement::{Access, Columns, Coverage, Extent, RelationUse, StatementAnalysis, Verb};

/// Most bytes that one record's value is taken to have in a value that packs many, for each column that is packed.
/// Somebody who packs few short columns must not have them counted by the width of the whole row.
const PACKED_COLUMN_BYTES_MAX: u32 = 16;

/// What makes two uses one exposure.
pub(super) type Same = (Arc<str>, RelationId, u32, Access);

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
        let touched = if self.is_sensitive() { self.touched(statement) } else { Vec::new() };
        let mut exposure = Exposure {
            asked: if self.is_sensitive() { self.asked(statement) } else { Vec::new() },
            tenants: self.tenants(statement),
            searched: self.searched(statement),
            approach: approach(statement, &touched),
            touched,
            accesses,
            coverage: statement.coverage,
            opaque: if self.is_sensitive() {
                opaque(statement).or_else(|| self.unread(statement)).or_else(|| self.reads_elsewhere(statement))
            } else {
                None
            },
            copies: if self.is_sensitive() { self.copied(statement) } else { Vec::new() },
            rows_max,
            returns: returns_rows(statement.verb),
            views: statement.uses.iter().map(|usage| usage.oid).filter(|oid| self.views.contains_key(oid)).collect(),
            queries: if statement.coverage == Coverage::Full { statement.queries.clone() } else { BTreeSet::new() },
            plain: false,
        };
        exposure.plain = self.is_plain(&exposure);
        exposure
    }

    /// Without a catalog only what is understood in full is known to reach nothing.
    fn unread(&self, statement: &StatementAnalysis) -> Option<String> {
        let unsure = statement.coverage != Coverage::Full || !statement.uses.is_empty();
        (self.unread && unsure).then(|| "catalog: never read".to_owned())
    }

    /// What the statements of one text expose together: as strict as the strictest of them. A row comes from one of
    /// them, so keys and pins stay where each of those that release the relation has the same.
    pub fn merge<'e>(&self, exposures: impl IntoIterator<Item = &'e Exposure>) -> Exposure {
        let mut merged = Exposure {
            touched: Vec::new(),
            accesses: BTreeSet::new(),
            coverage: Coverage::Full,
            opaque: None,
            copies: Vec::new(),
            rows_max: Some(0),
            returns: false,
            views: BTreeSet::new(),
            asked: Vec::new(),
            tenants: Vec::new(),
            searched: Vec::new(),
            approach: Approach::Scan,
            queries: BTreeSet::new(),
            plain: false,
        };
        let mut approach = None;
        let mut queries: Option<BTreeSet<String>> = None;
        for exposure in exposures {
            // What one of them calls so another may mean as it is.
            queries = Some(match queries {
                Some(known) => known.intersection(&exposure.queries).cloned().collect(),
                None => exposure.queries.clone(),
            });
            for exposed in &exposure.touched {
                match merged.touched.iter_mut().find(|known| same(known) == same(exposed)) {
                    Some(known) => either(known, exposed),
                    None => merged.touched.push(exposed.clone()),
                }
            }
            merged.accesses.extend(exposure.accesses.iter().copied());
            merged.coverage = merged.coverage.max(exposure.coverage);
            merged.opaque = merged.opaque.or_else(|| exposure.opaque.clone());
            for copied in &exposure.copies {
                if !merged.copies.contains(copied) {
                    merged.copies.push(copied.clone());
                }
            }
            merged.returns |= exposure.returns;
            merged.views.extend(exposure.views.iter().copied());
            merge_asked(&mut merged.asked, &exposure.asked);
            merged
                .tenants
                .extend(exposure.tenants.iter().filter(|of| !merged.tenants.contains(of)).cloned().collect::<Vec<_>>());
            merged.searched.extend(
                exposure.searched.iter().filter(|of| !merged.searched.contains(of)).cloned().collect::<Vec<_>>(),
            );
            if exposure.releases() {
                approach = match approach {
                    Some(known) if known != exposure.approach => Some(Approach::Mixed),
                    _ => Some(exposure.approach),
                };
                merged.rows_max =
                    merged.rows_max.zip(exposure.rows_max).map(|(known, more)| known.saturating_add(more));
            }
        }
        merged.approach = approach.unwrap_or(Approach::Scan);
        merged.queries = queries.unwrap_or_default();
        merged.rows_max = merged.rows_max.filter(|_| merged.releases());
        merged.touched.sort_by_cached_key(same);
        merged.plain = self.is_plain(&merged);
        merged
    }

    /// What the exposure must be when the server says that the result has these columns: `Some` where it names a
    /// sensitive column that the exposure does not release.
    pub fn tighten(&self, exposure: &Exposure, origins: &[Origin]) -> Option<Exposure> {
        if !self.is_sensitive() {
            return None;
        }
        let mut missing: Vec<Exposed> = Vec::new();
        for origin in origins.iter().filter(|origin| origin.oid != 0 && !self.is_query(exposure, **origin)) {
            for exposed in self.named(exposure, *origin) {
                match missing.iter_mut().find(|known| same(known) == same(&exposed)) {
                    Some(known) => join(known, &exposed),
                    None => missing.push(exposed),
                }
            }
        }
        if missing.is_empty() {
            return None;
        }
        let mut tightened = exposure.clone();
        for exposed in missing {
            match tightened.touched.iter_mut().find(|known| same(known) == same(&exposed)) {
                Some(known) => beside(known, &exposed),
                None => tightened.touched.push(exposed),
            }
        }
        tightened.touched.sort_by_cached_key(same);
        tightened.accesses.insert(Access::Read);
        tightened.plain = false;
        Some(tightened)
    }

    /// Whether MySQL's name for where a column comes from is one that the text gives to a query: MariaDB tells the alias.
    fn is_query(&self, exposure: &Exposure, origin: Origin) -> bool {
        let known = self.by_oid(origin.oid).filter(|(id, _)| id.engine == Engine::Mysql);
        known.is_some_and(|(id, _)| exposure.queries.contains(&id.name.to_lowercase()))
    }

    /// What a result column is that the exposure does not release.
    fn named(&self, exposure: &Exposure, origin: Origin) -> Vec<Exposed> {
        let traced = self.traced(origin);
        let mut missing = Vec::new();
        if let Some((_, covered)) = self.by_oid(traced.oid) {
            for cover in covered.covers.iter().filter(|cover| cover.is_sensitive(traced.attribute)) {
                let released = |exposed: &Exposed| exposed.manner != Manner::Used;
                let below =
                    || self.views.get(&traced.oid).is_some_and(|view| self.knows(exposure, view, cover, released));
                if !knows(exposure, cover, released) && !below() {
                    missing.push(witnessed(covered, cover, traced));
                }
            }
        }
        // A column that a view computes may hold anything of what the view reads, unless the analysis has looked.
        if let Some(view) = self.views.get(&traced.oid).filter(|_| !exposure.views.contains(&traced.oid)) {
            for covered in view.reads.iter().filter_map(|id| self.covered.get(id)) {
                for cover in covered.covers.iter().filter(|cover| !knows(exposure, cover, |_| true)) {
                    let computed = Origin { attribute: 0, ..traced };
                    missing.push(Exposed { manner: Manner::Packed, ..witnessed(covered, cover, computed) });
                }
            }
        }
        missing
    }

    /// Whether the exposure has something of a dataset from below a view.
    fn knows(&self, exposure: &Exposure, view: &View, cover: &Cover, is: impl Fn(&Exposed) -> bool) -> bool {
        let mut below = view.reads.iter().filter_map(|id| self.covered.get(id));
        below.any(|covered| {
            let mut covers = covered.covers.iter().filter(|known| known.dataset == cover.dataset);
            covers.any(|known| knows(exposure, known, &is))
        })
    }

    pub(super) fn is_plain(&self, exposure: &Exposure) -> bool {
        exposure.touched.is_empty()
            && exposure.copies.is_empty()
            && exposure.opaque.is_none()
            && exposure.accesses.is_disjoint(&self.watched)
            && !(self.egress && exposure.returns)
    }

    /// Whether it is read through a view that shows nothing of it.
    fn is_declassified(&self, usage: &RelationUse) -> bool {
        !self.harmless.is_empty()
            && matches!(usage.access, Access::Read | Access::Export)
            && usage.via.iter().any(|view| self.harmless.contains(view))
    }

    /// Every dataset that a statement touches, once for each relation and access.
    fn touched(&self, statement: &StatementAnalysis) -> Vec<Exposed> {
        let mut touched: HashMap<Same, Exposed> = HashMap::new();
        let uses: Vec<(&RelationUse, &Covered)> = statement
            .uses
            .iter()
            .filter(|usage| !self.is_declassified(usage))
            .filter_map(|usage| {
                let covered = self.covered.get(usage.relation.as_ref()?)?;
                Some((usage, covered))
            })
            .collect();
        let said = Said::by(&uses);
        let unfollowed = statement.unfollowed || self.writes_elsewhere(statement);
        for (usage, covered) in &uses {
            for cover in covered.covers.iter().filter(|cover| !said.elsewhere(usage, covered, cover)) {
                let exposed = exposed(usage, covered, cover, statement.coverage).map(|exposed| Exposed {
                    unfollowed: unfollowed && exposed.copied,
                    access: if unfollowed && exposed.copied { Access::Export } else { exposed.access },
                    ..exposed
                });
                for exposed in exposed.into_iter().chain(rekeyed(usage, covered, cover)) {
                    match touched.get_mut(&same(&exposed)) {
                        Some(known) => beside(known, &exposed),
                        None => {
                            touched.insert(same(&exposed), exposed);
                        }
                    }
                }
            }
        }
        let mut touched: Vec<Exposed> = touched.into_values().collect();
        touched.sort_by_cached_key(same);
        touched
    }
}

/// Adds the questions of another statement or meaning of the text. How many are asked by all is counted by who judges it.
fn merge_asked(merged: &mut Vec<Asked>, more: &[Asked]) {
    for asked in more {
        let same = |known: &&mut Asked| {
            known.dataset == asked.dataset && known.relation == asked.relation && known.asking == asked.asking
        };
        match merged.iter_mut().find(same) {
            Some(known) => {
                known.weight = known.weight.max(asked.weight);
                let mut columns: BTreeSet<Arc<str>> = known.columns.drain(..).collect();
                columns.extend(asked.columns.iter().cloned());
                known.columns = columns.into_iter().collect();
            }
            None => merged.push(asked.clone()),
        }
    }
}

/// What the uses of one statement say already of others: a hierarchy is exposed by the member that the text names,
/// and a view by what it reads.
struct Said<'a> {
    /// Uses in their own name: by access, way and relation.
    roots: HashMap<(Access, &'a [String], String), Vec<&'a Covered>>,
    /// What leaves from below a view: by access and view.
    below: HashMap<(Access, String), Vec<&'a Covered>>,
}

impl<'a> Said<'a> {
    fn by(uses: &[(&'a RelationUse, &'a Covered)]) -> Said<'a> {
        let mut said = Said { roots: HashMap::new(), below: HashMap::new() };
        let any_kin = uses.iter().any(|(usage, _)| usage.kin);
        let any_view = uses.iter().any(|(_, covered)| covered.is_view);
        for (usage, covered) in uses {
            if let (true, false, Some(id)) = (any_kin, usage.kin, &usage.relation) {
                let root = (usage.access, usage.via.as_slice(), id.to_string());
                said.roots.entry(root).or_default().push(covered);
            }
            let leaves = [&usage.released, &usage.packed, &usage.copied].iter().any(|held| **held != Columns::None);
            if any_view && !covered.is_view && leaves {
                for view in &usage.via {
                    said.below.entry((usage.access, view.clone())).or_default().push(covered);
                }
            }
        }
        said
    }

    /// Whether what a use exposes of a dataset is exposed by another use.
    fn elsewhere(&self, usage: &RelationUse, covered: &Covered, cover: &Cover) -> bool {
        let others = if usage.kin {
            let Some((root, way)) = usage.via.split_last() else { return false };
            self.roots.get(&(usage.access, way, root.clone()))
        } else if covered.is_view {
            let Some(id) = &usage.relation else { return false };
            self.below.get(&(usage.access, id.to_string()))
        } else {
            return false;
        };
        others.into_iter().flatten().any(|other| other.covers.iter().any(|known| known.dataset == cover.dataset))
    }
}

impl Cover {
    pub(super) fn is_sensitive(&self, attribute: i16) -> bool {
        self.whole || self.sensitive.contains(&attribute)
    }

    /// Whether one key may stand for several records.
    pub(super) fn shares_keys(&self, covered: &Covered) -> bool {
        covered.shares_keys && !self.vouched
    }
}

/// What a use exposes of a dataset; `None`: nothing of it.
fn exposed(usage: &RelationUse, covered: &Covered, cover: &Cover, coverage: Coverage) -> Option<Exposed> {
    let understood = coverage == Coverage::Full;
    let reads = matches!(usage.access, Access::Read | Access::Export);
    let within = |columns: &Columns| sensitive_in(columns, covered, cover);
    let (mut leaving, packed, copied) = (within(&usage.released), within(&usage.packed), within(&usage.copied));
    let totals = within(&usage.totals.columns);
    let tells = totals.is_some() && reads && tells_of_one(usage, covered, cover);
    let used = union(union(within(&usage.used), copied.clone()), totals.clone());
    let is_packed = packed.is_some() || (tells && usage.totals.packed);
    leaving = union(leaving, packed.clone());
    if tells {
        leaving = union(leaving, totals);
    }
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
        understood && !cover.shares_keys(covered) && cover.key.as_ref().is_some_and(|key| *key == covered.primary_key)
    });
    if pin.is_some() && manner == Manner::Packed {
        // At most one record can be in it.
        manner = Manner::Rows;
    }
    let columns = if manner == Manner::Used { union(leaving, used) } else { leaving };
    let key = cover.key.as_ref().filter(|_| {
        understood
            && usage.once
            && !usage.kin
            && !cover.shares_keys(covered)
            && !covered.is_view
            && manner == Manner::Rows
    });
    let key_released =
        key.is_some_and(|key| key.iter().all(|attribute| releases(&usage.released, covered, *attribute)));
    let copies = reads && (copied.is_some() || (tells && usage.totals.copied));
    let exposed = Exposed {
        dataset: cover.dataset.clone(),
        relation: cover.records.clone(),
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
            usage.reads.max(u32::from(tells))
        },
        pin,
        key: key.cloned(),
        key_released,
        rows_estimate: covered.rows_estimate,
        copied: false,
        unfollowed: false,
        table_rows: covered.rows_estimate,
    };
    let one = !usage.copied_many || (usage.pin.is_some() && !cover.shares_keys(covered));
    Some(if copies { at_once(exposed, one) } else { exposed })
}

/// Whether its totals may be over one record: the statement picks or groups by the key, or by what is sensitive itself.
fn tells_of_one(usage: &RelationUse, covered: &Covered, cover: &Cover) -> bool {
    let key = cover.key.iter().flatten().chain(&covered.primary_key);
    let by_key = key.into_iter().any(|attribute| releases(&usage.used, covered, *attribute));
    by_key || usage.pin.is_some() || sensitive_in(&usage.used, covered, cover).is_some()
}

/// What a statement puts into other rows is charged when it is admitted: there it has another key or no label, and
/// nobody could tell what is read of it later.
fn at_once(exposed: Exposed, one: bool) -> Exposed {
    Exposed {
        rows_estimate: if one { 1 } else { exposed.rows_estimate },
        manner: Manner::Packed,
        whole: true,
        copied: true,
        pin: None,
        key: None,
        key_released: false,
        ..exposed
    }
}

/// A record that gets another key could be read again under it, and count as one that was read before.
fn rekeyed(usage: &RelationUse, covered: &Covered, cover: &Cover) -> Option<Exposed> {
    let key = cover.key.as_ref().filter(|_| usage.access == Access::Write)?;
    let attribute = *key.iter().find(|number| releases(&usage.updated, covered, **number))?;
    let one = usage.pin.is_some() && !cover.shares_keys(covered);
    Some(at_once(witnessed(covered, cover, Origin { oid: usage.oid, attribute }), one))
}

/// Whether the exposure has something of a dataset from a relation.
fn knows(exposure: &Exposure, cover: &Cover, is: impl Fn(&Exposed) -> bool) -> bool {
    let of = |exposed: &&Exposed| exposed.dataset == cover.dataset && exposed.relation == cover.records;
    exposure.touched.iter().filter(of).any(is)
}

/// What the server named and the analysis did not.
fn witnessed(covered: &Covered, cover: &Cover, origin: Origin) -> Exposed {
    let named = covered.columns.iter().filter(|(_, number)| *number == origin.attribute);
    Exposed {
        dataset: cover.dataset.clone(),
        relation: cover.records.clone(),
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
        table_rows: covered.rows_estimate,
        record_bytes: covered.row_bytes,
        copied: false,
        unfollowed: false,
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
        *known = Exposed { columns, whole: false, ..other.clone() };
    }
    join(known, other);
}

/// Adds a use in another statement: a row holds records of one of them.
pub(super) fn either(known: &mut Exposed, other: &Exposed) {
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
        *known = Exposed { columns, whole: false, ..other.clone() };
    }
    join(known, other);
}

fn join(known: &mut Exposed, other: &Exposed) {
    known.manner = known.manner.max(other.manner);
    known.rows_estimate = match (known.whole, other.whole) {
        // Unknown stays unknown.
        (true, true) if known.rows_estimate == 0 || other.rows_estimate == 0 => 0,
        (true, true) => known.rows_estimate.saturating_add(other.rows_estimate),
        (true, false) => known.rows_estimate,
        (false, true) => other.rows_estimate,
        (false, false) => known.rows_estimate.max(other.rows_estimate),
    };
    known.whole |= other.whole;
    known.copied |= other.copied;
    known.unfollowed |= other.unfollowed;
    known.record_bytes = known.record_bytes.min(other.record_bytes);
    let mut columns: BTreeSet<Arc<str>> = known.columns.drain(..).collect();
    columns.extend(other.columns.iter().cloned());
    known.columns = columns.into_iter().collect();
}

pub(super) fn same(exposed: &Exposed) -> Same {
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
        Some(columns) if columns.len() < covered.columns.len() => packed_bytes(whole, columns.len()),
        _ => whole,
    }
}

/// Bytes that so many columns of one record are taken to have in a value that packs many.
pub(super) fn packed_bytes(whole: u32, columns: usize) -> u32 {
    let columns = u32::try_from(columns.max(1)).unwrap_or(u32::MAX);
    whole.min(columns.saturating_mul(PACKED_COLUMN_BYTES_MAX)).max(1)
}

/// Why nothing can be promised about a statement.
fn opaque(statement: &StatementAnalysis) -> Option<String> {
    let gap = statement.gaps.iter().find(|gap| match gap.code {
        // What these reach is not known, so no list of relations is a superset.
        "unknown-function" | "unknown-operator" | "dynamic-sql" | "unread-view" | "temporary-view"
        | "temporary-code" | "analysis-failed" | "unterminated" => true,
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
        None if statement.uses.iter().any(releases_statistics) => Some("statistics: values of columns".to_owned()),
        None if statement.coverage == Coverage::Opaque => Some(match statement.gaps.first() {
            Some(gap) => format!("{}: {}", gap.code, gap.subject),
            None => "not understood".to_owned(),
        }),
        None => None,
    }
}

/// Whether it lets out what the server keeps of tables and of statements: the planner's commonest values and samples of
/// all others, texts with values in them, keys that are locked.
fn releases_statistics(usage: &RelationUse) -> bool {
    let (engine, name) = match (&usage.relation, &usage.written.schema) {
        (Some(relation), _) if relation.engine == Engine::Postgres => {
            (Engine::Postgres, (relation.schema.to_string(), relation.name.to_string()))
        }
        (Some(relation), _) => (Engine::Mysql, (relation.schema.to_lowercase(), relation.name.to_lowercase())),
        // One that the snapshot does not hold.
        (None, Some(schema)) => (Engine::Mysql, (schema.to_lowercase(), usage.written.name.to_lowercase())),
        (None, None) => return false,
    };
    let values: &[&str] = match (engine, name.0.as_str(), name.1.as_str()) {
        (Engine::Postgres, "pg_catalog", "pg_statistic") => {
            &["stavalues1", "stavalues2", "stavalues3", "stavalues4", "stavalues5"]
        }
        (Engine::Postgres, "pg_catalog", "pg_statistic_ext_data") => &["stxdmcv", "stxdexpr"],
        // What somebody has put into large objects, whatever it is.
        (Engine::Postgres, "pg_catalog", "pg_largeobject") => &["data"],
        (Engine::Mysql, "information_schema", "column_statistics") => &["histogram"],
        (Engine::Mysql, "mysql", "column_stats") => &["min_value", "max_value", "histogram"],
        // Texts of statements, with the values in them.
        (Engine::Mysql, "mysql", "general_log" | "slow_log") => &["argument", "sql_text"],
        (
            Engine::Mysql,
            "performance_schema",
            "events_statements_current" | "events_statements_history" | "events_statements_history_long",
        ) => &["sql_text", "message_text"],
        (Engine::Mysql, "performance_schema", "events_statements_summary_by_digest") => &["query_sample_text"],
        // What sessions remember; keys of rows that are locked, of any index; words of texts.
        (Engine::Mysql, "performance_schema", "user_variables_by_thread") => &["variable_value"],
        (Engine::Mysql, "performance_schema", "data_locks") | (Engine::Mysql, "information_schema", "innodb_locks") => {
            &["lock_data"]
        }
        (Engine::Mysql, "information_schema", "innodb_ft_index_table" | "innodb_ft_index_cache") => &["word"],
        _ => return false,
    };
    [&usage.released, &usage.packed, &usage.copied].iter().any(|columns| match columns {
        Columns::None => false,
        Columns::All => true,
        Columns::Some(set) => set.iter().any(|column| values.contains(&column.to_lowercase().as_str())),
    })
}

/// Whether a statement of this kind may return rows.
fn returns_rows(verb: Verb) -> bool {
    !matches!(verb, Verb::Ddl | Verb::Grant | Verb::Session | Verb::Transaction | Verb::Empty | Verb::Utility)
}
