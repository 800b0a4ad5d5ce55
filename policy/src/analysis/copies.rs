//! Values that a statement puts into other rows: from which column of which use into which column of which relation.
//!
//! The walker notes them where it meets them, by use; when the statement has been read they become [`CopyOf`]s. A use
//! that is copied and that no note speaks of (only the lexer saw it, or a variable carries it) is taken to go into
//! everything that the statement writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::found::Found;
use super::lineage::Walker;
use super::scope::{Item, Rows, Scope};
use super::uses::{Atom, Draft, Flow, Pack, kin};
use crate::catalog::{Catalog, Relation};
use crate::copies::{CopiedColumn, CopyOf};
use crate::relation::{RelationId, RelationName};
use crate::statement::{Access, Columns};

/// Values of one statement that are told apart. What holds more is said to go from any column into any.
const COLUMNS_MAX: usize = 4096;

/// Where a value goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// Into the relation of this use.
    Use(usize),
    /// Into a relation that is no use: one of the session's own, or one that the statement makes.
    Named {
        /// Its name.
        name: RelationName,
        /// It is the session's own.
        temporary: bool,
        /// The statement makes it.
        made: bool,
    },
}

/// One value on its way.
#[derive(Clone, Debug)]
pub(super) struct Moved {
    place: Place,
    /// Column that takes it; `None`: any.
    column: Option<Arc<str>>,
    atoms: Arc<[Atom]>,
    /// The column that it is, unchanged and alone.
    plain: Option<(u32, i16)>,
}

/// A column of the rows that a query yields, or (without a name) whatever else they hold.
#[derive(Clone, Debug)]
pub(super) struct Output {
    name: Option<Arc<str>>,
    /// It stands at the place that the server gives it.
    ordered: bool,
    atoms: Arc<[Atom]>,
    plain: Option<(u32, i16)>,
}

/// The columns of these rows that hold anything of a relation, as far as each can be told from the others.
pub(super) fn output(rows: &Rows) -> Vec<(usize, Output)> {
    let ordered = !rows.unordered && rows.open.is_none();
    let columns = rows.columns.iter().enumerate().map(|(at, column)| {
        let name = column.name.as_deref().filter(|_| ordered).map(Arc::from);
        (at, Output { name, ordered, atoms: atoms(&column.flow), plain: column.plain.filter(|_| ordered) })
    });
    let open = rows
        .open
        .iter()
        .map(|flow| (usize::MAX, Output { name: None, ordered: false, atoms: atoms(flow), plain: None }));
    columns.chain(open).filter(|(_, column)| !column.atoms.is_empty()).collect()
}

fn atoms(flow: &Flow) -> Arc<[Atom]> {
    flow.iter().cloned().collect()
}

impl Walker<'_> {
    /// Rows that an INSERT puts into its target, the first of the scope. `names`: its column list; empty: none.
    pub(super) fn moves(&mut self, names: &[String], rows: &Rows, scope: &Scope<'_>) {
        let Some(item) = scope.items.first() else { return };
        let names: Vec<String> = match names {
            [] => item.rows.columns.iter().filter_map(|column| column.name.as_deref().map(str::to_owned)).collect(),
            names => names.to_vec(),
        };
        let ordered = !rows.unordered && rows.open.is_none();
        for (place, column) in rows.columns.iter().enumerate() {
            let name = names.get(place).filter(|_| ordered).map(String::as_str);
            self.move_into(name, &column.flow, column.plain.filter(|_| ordered), scope);
        }
        if let Some(open) = &rows.open {
            self.move_into(None, open, None, scope);
        }
    }

    /// A value that goes into a column of the first item of the scope; `None`: into any.
    pub(super) fn move_into(&mut self, name: Option<&str>, flow: &Flow, plain: Option<(u32, i16)>, scope: &Scope<'_>) {
        let Some(item) = scope.items.first().filter(|_| !flow.is_empty()) else { return };
        let targets = self.targets(item, name);
        self.found.spend(targets.len() + flow.len() / 8);
        let atoms = atoms(flow);
        for (place, column) in targets {
            self.found.moved.push(Moved { place, column, atoms: Arc::clone(&atoms), plain });
        }
    }

    /// A value that goes where these values are: columns of a joined UPDATE.
    pub(super) fn move_to_columns(&mut self, columns: &Flow, flow: &Flow) {
        let atoms = atoms(flow);
        for to in columns.iter().filter(|_| !flow.is_empty()) {
            let (place, column) = (Place::Use(to.usage), to.column.clone());
            self.found.moved.push(Moved { place, column, atoms: Arc::clone(&atoms), plain: None });
        }
    }

    /// Relations and columns behind a column of what is written: through a view, those that it is made of.
    fn targets(&self, item: &Item, name: Option<&str>) -> Vec<(Place, Option<Arc<str>>)> {
        let Some(usage) = item.usage else {
            // One of the session's own, whose columns are not known.
            let alias = item.alias.as_deref().unwrap_or_default();
            let own =
                self.found.aliases.iter().find(|(known, _)| known == alias).map_or(alias, |(_, own)| own.as_str());
            let name_of = RelationName { schema: None, name: own.to_owned() };
            let place = Place::Named { name: name_of, temporary: true, made: false };
            return vec![(place, name.map(Arc::from))];
        };
        let flow = match name {
            Some(name) => item.rows.named(name).or_else(|| item.rows.unnamed()),
            None => Some(item.rows.all()),
        };
        let written = |usage: &usize| self.found.drafts.get(*usage).is_some_and(|draft| draft.access == Access::Write);
        let mut targets = BTreeSet::new();
        for atom in flow.iter().flat_map(|flow| flow.iter()).filter(|atom| written(&atom.usage)) {
            targets.insert((atom.usage, atom.column.clone().filter(|_| name.is_some())));
        }
        if targets.is_empty() {
            targets.insert((usage, None));
        }
        targets.into_iter().map(|(usage, column)| (Place::Use(usage), column)).collect()
    }
}

impl Found {
    /// What is written goes by this name in the statement.
    pub(super) fn calls(&mut self, item: &mut Item, alias: &str) {
        if let (Some(own), None) = (&item.alias, item.usage) {
            self.aliases.push((alias.to_owned(), own.to_string()));
        }
        item.alias = Some(alias.into());
    }

    /// Rows that a statement puts into a relation that it makes. `names`: what it calls the first columns; `first`: the
    /// first of the uses that were read for it, all of which are meant where the rows are not known.
    pub(super) fn makes(&mut self, name: &RelationName, temporary: bool, names: &[Arc<str>], first: usize) {
        let place = Place::Named { name: name.clone(), temporary, made: true };
        self.wants_output = false;
        let Some(rows) = self.output.take() else {
            let uses = (first..self.drafts.len()).filter(|usage| self.drafts[*usage].access != Access::Write);
            let atoms: Arc<[Atom]> = uses.map(|usage| Atom::new(usage, None, Pack::Whole)).collect();
            if !atoms.is_empty() {
                self.moved.push(Moved { place, column: None, atoms, plain: None });
            }
            return;
        };
        for (at, output) in rows {
            let column = names.get(at).cloned().filter(|_| output.ordered).or(output.name);
            self.moved.push(Moved { place: place.clone(), column, atoms: output.atoms, plain: output.plain });
        }
    }

    /// Any value of a use may go into whatever else is written.
    pub(super) fn moves_somewhere(&mut self, usage: usize) {
        let atoms: Arc<[Atom]> = Arc::new([Atom::new(usage, None, Pack::Whole)]);
        let relation = self.drafts.get(usage).and_then(|draft| draft.relation);
        let written = |draft: &Draft| draft.access == Access::Write && draft.relation != relation;
        let targets: Vec<usize> = (0..self.drafts.len()).filter(|at| written(&self.drafts[*at])).collect();
        for target in targets {
            self.moved.push(Moved { place: Place::Use(target), column: None, atoms: Arc::clone(&atoms), plain: None });
        }
    }

    /// Forgets what is copied of, or into, the uses from this one on.
    pub(super) fn forget_moved(&mut self, drafts: usize) {
        self.moved.retain(|moved| {
            let known = match moved.place {
                Place::Use(usage) => usage < drafts,
                Place::Named { .. } => true,
            };
            known && moved.atoms.iter().all(|atom| atom.usage < drafts)
        });
        self.output = None;
    }

    /// What the statement copies, once all of it was read.
    pub(super) fn copies_made(&self, catalog: &Catalog) -> Vec<CopyOf> {
        let mut copies = Copies { catalog, made: BTreeMap::new() };
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for moved in &self.moved {
            for atom in moved.atoms.iter() {
                let Some(draft) = self.drafts.get(atom.usage) else { continue };
                told.insert(atom.usage);
                let own = draft.access == Access::Write;
                if own && moved.place != Place::Use(atom.usage) {
                    // Of a row that is written in another place of the statement: it is there already.
                    continue;
                }
                let value = Value {
                    column: moved.column.clone(),
                    of: atom.column.clone(),
                    plain: moved.plain,
                    apart: atom.pack <= Pack::Bounded && self.is_apart(atom.usage),
                    own,
                };
                copies.add(self.target(&moved.place, catalog), draft, &value);
            }
        }
        let carried = |(usage, draft): &(usize, &Draft)| {
            draft.copied != Columns::None
                && matches!(draft.access, Access::Read | Access::Export)
                && !told.contains(usage)
                && draft.relation.is_some()
        };
        for (_, draft) in self.drafts.iter().enumerate().filter(carried) {
            let written = self.drafts.iter().enumerate().filter(|(_, draft)| draft.access == Access::Write);
            for (usage, target) in written.filter(|(_, target)| target.relation != draft.relation) {
                debug_assert!(target.access == Access::Write);
                let columns: Vec<Option<Arc<str>>> = match &draft.copied {
                    Columns::Some(columns) => columns.iter().cloned().map(Some).collect(),
                    _ => vec![None],
                };
                for of in columns {
                    let value = Value { column: None, of, plain: None, apart: false, own: false };
                    copies.add(self.target(&Place::Use(usage), catalog), draft, &value);
                }
            }
        }
        copies.made.into_values().collect()
    }

    /// Whether a row that is made of this use holds one of its rows, and it is not read in another place.
    fn is_apart(&self, usage: usize) -> bool {
        let Some(draft) = self.drafts.get(usage) else { return false };
        let same = |other: &&Draft| other.relation == draft.relation && other.access == draft.access;
        !draft.mixed && draft.copies == 1 && self.drafts.iter().filter(same).count() == 1
    }

    fn target(&self, place: &Place, catalog: &Catalog) -> CopyOf {
        match place {
            Place::Named { name, temporary, made } => CopyOf {
                target: name.clone(),
                relation: None,
                oid: 0,
                temporary: *temporary,
                made: *made,
                moved: false,
                columns: Vec::new(),
            },
            Place::Use(usage) => {
                let draft = self.drafts.get(*usage);
                let relation = draft.and_then(|draft| draft.relation).and_then(|index| catalog.relations().get(index));
                let written = draft.map(|draft| draft.written.clone());
                CopyOf {
                    target: written.unwrap_or(RelationName { schema: None, name: String::new() }),
                    relation: relation.map(|relation| relation.id.clone()),
                    oid: relation.map_or(0, |relation| relation.oid),
                    temporary: false,
                    made: false,
                    moved: false,
                    columns: Vec::new(),
                }
            }
        }
    }
}

/// A value, seen from its target.
struct Value {
    column: Option<Arc<str>>,
    of: Option<Arc<str>>,
    plain: Option<(u32, i16)>,
    apart: bool,
    own: bool,
}

/// Copies by target.
struct Copies<'c> {
    catalog: &'c Catalog,
    made: BTreeMap<(RelationName, Option<RelationId>, bool), CopyOf>,
}

impl Copies<'_> {
    fn add(&mut self, target: CopyOf, draft: &Draft, value: &Value) {
        let Some(relation) = draft.relation.and_then(|index| self.catalog.relations().get(index)) else { return };
        let name = match &target.relation {
            // However it is written, it is one.
            Some(_) => RelationName { schema: None, name: String::new() },
            None => target.target.clone(),
        };
        let key = (name, target.relation.clone(), target.temporary);
        let copy = self.made.entry(key).or_insert(target);
        let many = draft.copied_many && draft.pin.is_none();
        let mut add = |source: &Relation, plain: Option<(u32, i16)>| {
            let column = CopiedColumn {
                column: value.column.clone(),
                source: source.id.clone(),
                of: value.of.clone(),
                plain,
                apart: value.apart && source.id == relation.id,
                own: value.own,
                many,
                kin: source.id != relation.id,
            };
            if copy.columns.len() < COLUMNS_MAX {
                copy.columns.push(column);
            } else {
                let any = CopiedColumn { column: None, of: None, plain: None, apart: false, ..column };
                if !copy.columns.contains(&any) {
                    copy.columns.push(any);
                }
            }
        };
        add(relation, value.plain);
        // Policy may name another member of the table that it is a part of.
        for other in kin(draft, self.catalog) {
            if let Some(other) = other.relation.and_then(|index| self.catalog.relations().get(index)) {
                add(other, None);
            }
        }
    }
}

/// A relation that is given another name, or leaves the table that it was a part of, with all that it holds; or one whose
/// columns change places. `whole`: which of them hold what afterwards is not known.
pub(super) fn moved(relation: &Relation, whole: bool) -> CopyOf {
    let column = |name: Option<&Arc<str>>, plain| CopiedColumn {
        column: name.filter(|_| !whole).cloned(),
        source: relation.id.clone(),
        of: name.cloned(),
        plain,
        apart: true,
        own: true,
        many: true,
        kin: false,
    };
    let columns = relation.columns.iter().map(|known| column(Some(&known.name), Some((relation.oid, known.number))));
    CopyOf {
        target: RelationName { schema: Some(relation.id.schema.to_string()), name: relation.id.name.to_string() },
        relation: Some(relation.id.clone()),
        oid: relation.oid,
        temporary: false,
        made: false,
        moved: true,
        columns: columns.collect(),
    }
}
