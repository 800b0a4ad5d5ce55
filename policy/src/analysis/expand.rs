//! Relations: the name in a FROM clause to the use that it is, and through views to what they read.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Statement};

use super::bridge::{self, Form};
use super::candidates;
use super::found::{Definition, Found};
use super::functions::catalog_name;
use super::lineage::Walker;
use super::parse;
use super::scope::{Column, Ctes, Item, Rows, join, single};
use super::shape::Unit;
use super::uses::{Atom, Draft, Flow, Pack};
use super::{Context, LexSettings};
use crate::catalog::{Catalog, Relation, RelationKind};
use crate::relation::{Engine, RelationName};
use crate::statement::{Access, Coverage, Source, Verb};

/// Views that read views, at most this deep: a statement's stack has to hold them all.
const VIEW_DEPTH_MAX: usize = 16;
/// What a token of a view's definition costs to parse, in values moved about.
const PARSE_FUEL: usize = 8;

impl Walker<'_> {
    /// The FROM item that a name is, without its alias.
    pub(super) fn relation(&mut self, name: &ObjectName, ctes: &Ctes<'_>) -> Item {
        let mut parts = self.spelled(name);
        let own = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if schema.is_none()
            && let Some(rows) = ctes.find(&own)
        {
            self.found.spend(rows.columns.len());
            self.refer(rows);
            return Item { alias: Some(self.folded(&own)), schema: None, rows: rows.clone(), usage: None };
        }
        if schema.is_none()
            && self.engine() == Engine::Mysql
            && let Some(rows) = ctes.find_in_any_case(&own)
        {
            return self.either(&own, rows);
        }
        if self.via.is_empty() && self.is_temporary(schema.as_deref(), &own) {
            return Item {
                alias: Some(self.folded(&own)),
                schema: None,
                rows: Rows::open(Flow::default()),
                usage: None,
            };
        }
        let written = RelationName { schema, name: own };
        let rows = match self.find(&written) {
            Some(relation) => return self.known(relation, written, Access::Read),
            None => {
                let code = if self.is_servers_own(&written) { "unknown-system-table" } else { "unknown-relation" };
                self.found.gap(code, &written.to_string(), Coverage::Partial);
                let usage =
                    self.found.draft(Draft::new(written.clone(), None, Access::Read, self.source()).via(&self.via));
                Rows::open(single(Atom::new(usage, None, Pack::Single)))
            }
        };
        Item {
            alias: Some(self.folded(&written.name)),
            schema: written.schema.as_deref().map(|schema| self.folded(schema)),
            rows,
            usage: None,
        }
    }

    /// Whether a name is in a schema of MySQL's in which nobody can make anything: a table that the snapshot does not
    /// hold is one of a plugin, or of a newer server, and no view of somebody's over others.
    fn is_servers_own(&self, written: &RelationName) -> bool {
        const SCHEMAS: [&str; 2] = ["information_schema", "performance_schema"];
        let schema = written.schema.as_ref().or_else(|| self.context.search_path.first());
        let own = schema.is_some_and(|schema| SCHEMAS.iter().any(|own| schema.eq_ignore_ascii_case(own)));
        own && self.engine() == Engine::Mysql && !self.context.catalog.is_unread()
    }

    /// Whether a name means a relation of the session's own.
    pub(super) fn is_temporary(&self, schema: Option<&str>, name: &str) -> bool {
        let may = match self.engine() {
            Engine::Postgres => schema.is_none_or(|schema| schema.starts_with("pg_temp")),
            Engine::Mysql => schema.is_none_or(|schema| self.context.search_path.iter().any(|known| known == schema)),
        };
        may && self.context.temporary.iter().any(|known| known == name)
    }

    /// The parts of a relation's name as they are written: the tree holds them folded.
    pub(super) fn spelled(&self, name: &ObjectName) -> Vec<String> {
        let token = |part: &Ident| bridge::position(part.span).and_then(|at| self.unit.tokens.get(at));
        name.0
            .iter()
            .filter_map(|part| match part {
                ObjectNamePart::Identifier(part) => Some(match (self.engine(), token(part)) {
                    (Engine::Mysql, Some(token)) => token.identifier(self.unit.text).into_owned(),
                    _ => part.value.clone(),
                }),
                ObjectNamePart::Function(_) => None,
            })
            .collect()
    }

    /// A name as the tree holds it.
    pub(super) fn folded(&self, name: &str) -> Rc<str> {
        match self.engine() {
            Engine::Postgres => name.into(),
            Engine::Mysql => name.to_lowercase().into(),
        }
    }

    /// What a name means that differs from a common table expression's in its case only: that, or a relation, as the
    /// server is set up.
    fn either(&mut self, name: &str, rows: &Rows) -> Item {
        self.refer(rows);
        let written = RelationName { schema: None, name: name.to_owned() };
        let rows = match self.find(&written) {
            Some(relation) => {
                let base = self.known(relation, written, Access::Read).rows.all();
                let all = join(&base, &rows.all());
                self.found.mix(&all);
                Rows::open(all)
            }
            None => rows.clone(),
        };
        Item { alias: Some(self.folded(name)), schema: None, rows, usage: None }
    }

    /// Each reference to a common table expression after the first puts its rows beside themselves.
    fn refer(&mut self, rows: &Rows) {
        let mut again = BTreeSet::new();
        for usage in rows.usages() {
            if let Some(draft) = self.found.drafts.get_mut(usage)
                && std::mem::replace(&mut draft.referred, true)
            {
                again.insert(usage);
            }
        }
        self.found.add_copy(&again);
    }

    /// The relation of this name: in a view's definition, first the one that the server says the view depends on.
    pub(super) fn find(&self, name: &RelationName) -> Option<usize> {
        if name.schema.is_none() {
            let depended = self
                .depends
                .iter()
                .filter_map(|(oid, _)| self.context.catalog.by_oid(*oid))
                .find(|relation| *relation.id.name == *name.name);
            if let Some(relation) = depended {
                return self.context.catalog.index_of(relation);
            }
        }
        candidates::resolve(name, self.context)
    }

    pub(super) fn source(&self) -> Source {
        if self.via.is_empty() { Source::Parser } else { Source::Catalog }
    }

    /// The item of a relation of the catalog.
    pub(super) fn known(&mut self, index: usize, written: RelationName, access: Access) -> Item {
        let alias = Some(self.folded(&written.name));
        let schema = written.schema.as_deref().map(|schema| self.folded(schema));
        let Some(relation) = self.context.catalog.relations().get(index) else {
            return Item { alias, schema, rows: Rows::default(), usage: None };
        };
        let schema = schema.or_else(|| Some(self.folded(&relation.id.schema)));
        let usage = self.found.draft(Draft::new(written, Some(index), access, self.source()).via(&self.via));
        self.found.spend(relation.columns.len());
        let inner = if is_view(relation) { Some(self.view(relation)) } else { None };
        let columns: Vec<Column> = relation
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| {
                let own = single(Atom::new(usage, Some(column.name.clone()), Pack::Single));
                let flow = match &inner {
                    None => own,
                    Some(rows) if !rows.unordered && rows.open.is_none() => {
                        rows.columns.get(place).map_or_else(|| own.clone(), |column| join(&own, &column.flow))
                    }
                    Some(rows) => join(&own, &rows.all()),
                };
                let plain = match &inner {
                    None => Some((relation.oid, column.number)).filter(|(oid, _)| *oid != 0),
                    Some(rows) if !rows.unordered && rows.open.is_none() => {
                        rows.columns.get(place).and_then(|column| column.plain)
                    }
                    Some(_) => None,
                };
                Column { name: Some(self.folded(&column.name)), flow, plain }
            })
            .collect();
        // Columns that Weir's account does not see: of a view, whatever it yields.
        let open = columns.is_empty().then(|| {
            let own = single(Atom::new(usage, None, Pack::Single));
            inner.as_ref().map_or_else(|| own.clone(), |rows| join(&own, &rows.all()))
        });
        Item { alias, schema, rows: Rows { unordered: open.is_some(), columns, open }, usage: Some(usage) }
    }

    /// What a view yields, read from its definition; where that cannot be read, everything it depends on.
    fn view(&mut self, view: &Relation) -> Rows {
        let label = view.id.to_string();
        let before = self.found.drafts.len();
        let mut path = self.via.clone();
        path.push(label.clone());
        let rows = if self.via.contains(&label) || self.via.len() >= VIEW_DEPTH_MAX {
            None
        } else {
            self.definition(view, &path)
        };
        let rows = rows.unwrap_or_else(|| {
            self.found.truncate(before);
            self.depended_on(view, &path)
        });
        let rows = self.unnamed_code(view, rows, &path);
        // The server's word on what the view reads is final: what the reading missed is added as a whole.
        let missed: Vec<u32> = {
            let reached: Vec<Option<usize>> = self.found.drafts[before..].iter().map(|draft| draft.relation).collect();
            let of = |oid: &u32| {
                self.context.catalog.by_oid(*oid).and_then(|relation| self.context.catalog.index_of(relation))
            };
            let mut oids: Vec<u32> = view
                .depends
                .iter()
                .map(|(oid, _)| *oid)
                .filter(|oid| *oid != view.oid && of(oid).is_some_and(|index| !reached.contains(&Some(index))))
                .collect();
            oids.sort_unstable();
            oids.dedup();
            oids
        };
        if missed.is_empty() {
            return rows;
        }
        let mut all = rows.all();
        for oid in missed {
            if let Some(relation) = self.context.catalog.by_oid(oid) {
                let flow = self.whole(relation, &path);
                all = self.join(&all, &flow);
            }
        }
        self.found.mix(&all);
        Rows::open(all)
    }

    /// Functions behind operators and casts of a view's definition: the server knows them all.
    fn unnamed_code(&mut self, view: &Relation, rows: Rows, path: &[String]) -> Rows {
        let Some(functions) = self.context.catalog.code().views.get(&view.oid) else { return rows };
        let named: Vec<String> = view
            .definition
            .as_deref()
            .map(|definition| {
                let unit = Unit::new(definition.as_bytes(), self.context.lex.stored());
                candidates::calls(&unit, 0..unit.tokens.len()).into_iter().map(|call| call.name).collect()
            })
            .unwrap_or_default();
        let mut flow = Flow::default();
        for function in functions.iter().filter_map(|oid| self.context.catalog.function(*oid)) {
            if !named.iter().any(|name| **name == *function.name) {
                let atoms = super::postgres::call(function, self.context, self.found, path);
                flow = join(&flow, &Flow::new(atoms.into_iter().collect()));
            }
        }
        if flow.is_empty() {
            return rows;
        }
        Rows {
            columns: rows
                .columns
                .into_iter()
                .map(|column| Column::new(column.name, join(&column.flow, &flow)))
                .collect(),
            open: rows.open.map(|open| join(&open, &flow)),
            unordered: rows.unordered,
        }
    }

    fn definition(&mut self, view: &Relation, path: &[String]) -> Option<Rows> {
        let definition = view.definition.as_deref()?;
        let unit = Unit::new(definition.as_bytes(), self.context.lex.stored());
        self.found.spend(unit.tokens.len());
        let index = self.context.catalog.index_of(view)?;
        let parsed = match self.found.views.get(&index) {
            Some(parsed) => parsed.clone(),
            None => {
                self.found.spend(PARSE_FUEL * unit.tokens.len());
                let parsed = parsed(&unit, self.engine()).map(Arc::new);
                self.found.views.insert(index, parsed.clone());
                parsed
            }
        };
        let Definition { query, unknown_operators } = &*parsed?;
        let known = &self.context.catalog.code().operators;
        for operator in unknown_operators.iter().filter(|name| !known.contains_key(name.as_str())) {
            self.found.gap("unknown-operator", operator, Coverage::Partial);
        }
        let refused = self.found.is_refused();
        // MySQL writes a definition with every name in full; what is short all the same means the view's own database.
        let own = [view.id.schema.to_string()];
        let context = match self.engine() {
            Engine::Postgres => *self.context,
            Engine::Mysql => Context { search_path: &own, ..*self.context },
        };
        let mut inner =
            Walker { context: &context, unit: &unit, found: self.found, via: path.to_vec(), depends: &view.depends };
        let rows = inner.query(query, None, &Ctes::default());
        (self.found.is_refused() == refused && !self.found.is_spent()).then_some(rows)
    }

    fn depended_on(&mut self, view: &Relation, path: &[String]) -> Rows {
        if view.depends.is_empty() {
            self.found.gap("unread-view", &view.id.to_string(), Coverage::Partial);
            return Rows::open(Flow::default());
        }
        // The relations are known, what it does with them is not.
        self.found.gap("parser-refused", &view.id.to_string(), Coverage::Partial);
        let mut all = Flow::default();
        for (oid, _) in &view.depends {
            if let Some(relation) = self.context.catalog.by_oid(*oid).filter(|relation| relation.oid != view.oid) {
                let flow = self.whole(relation, path);
                all = self.join(&all, &flow);
            }
        }
        Rows::open(all)
    }

    /// Every column of a relation and of all that it depends on.
    fn whole(&mut self, relation: &Relation, path: &[String]) -> Flow {
        let before = self.found.drafts.len();
        reached(
            Draft::new(catalog_name(relation), self.context.catalog.index_of(relation), Access::Read, Source::Catalog)
                .via(path),
            self.context,
            self.found,
        );
        (before..self.found.drafts.len())
            .fold(Flow::default(), |flow, usage| join(&flow, &single(Atom::new(usage, None, Pack::Single))))
    }
}

/// A view's definition as a tree; `None` where it is out of bounds, or of a grammar that the parser does not have.
fn parsed(unit: &Unit<'_>, engine: Engine) -> Option<Definition> {
    let end = unit.tokens.len() - usize::from(unit.tokens.last().is_some_and(|token| token.is_punct(unit.text, ";")));
    let bridged = bridge::bridge(unit, 0..end, Form::Statement)?;
    if unit.unterminated || !(bridged.shallow || parse::on_large_stack()) {
        return None;
    }
    match parse::statement(bridged.tokens, engine) {
        Ok(Statement::Query(query)) => Some(Definition { query: *query, unknown_operators: bridged.unknown_operators }),
        _ => None,
    }
}

/// For each column of a view, in the catalog's order: the table's column, by OID and attribute number, whose value it
/// shows unchanged and alone. `None` for all others, and for what cannot be read.
pub(crate) fn plain_columns(catalog: &Catalog, view: &Relation) -> Vec<Option<(u32, i16)>> {
    let context = Context {
        lex: LexSettings::of(catalog.engine()),
        catalog,
        // The definition names what is out of reach of its own search path; the rest is known by what it depends on.
        search_path: &[],
        temporary: &[],
    };
    let Some(index) = catalog.index_of(view) else { return Vec::new() };
    let read = || {
        let unit = Unit::new(b"", context.lex);
        let mut found = Found::new(Verb::Select);
        let mut walker = Walker { context: &context, unit: &unit, found: &mut found, via: Vec::new(), depends: &[] };
        let item = walker.known(index, catalog_name(view), Access::Read);
        item.rows.columns.iter().map(|column| column.plain.filter(|(oid, _)| *oid != 0)).collect()
    };
    parse::guarded(false, read).unwrap_or_default()
}

/// Whether reading it reads something else.
pub(super) fn is_view(relation: &Relation) -> bool {
    matches!(relation.kind, RelationKind::View | RelationKind::MaterializedView)
}

/// Adds a use, and one like it for everything that its relation depends on: what is said without lineage.
pub(super) fn reached(draft: Draft, context: &Context<'_>, found: &mut Found) {
    let Some(relation) = draft.relation.and_then(|index| context.catalog.relations().get(index)) else {
        found.draft(draft);
        return;
    };
    let mut todo = vec![(relation, draft.via.clone())];
    let mut seen = BTreeSet::from([relation.oid]);
    let template = draft.clone();
    found.draft(draft);
    while let Some((relation, via)) = todo.pop() {
        if !is_view(relation) {
            continue;
        }
        if found.is_spent() {
            // What it reads is then on no list.
            found.gap("too-large", "views", Coverage::Opaque);
            return;
        }
        let mut path = via;
        path.push(relation.id.to_string());
        for (oid, _) in &relation.depends {
            let Some(base) = context.catalog.by_oid(*oid).filter(|base| seen.insert(base.oid)) else { continue };
            let mut use_of_base = template.clone();
            use_of_base.written = catalog_name(base);
            use_of_base.relation = context.catalog.index_of(base);
            use_of_base.source = Source::Catalog;
            use_of_base.via = path.clone();
            found.draft(use_of_base);
            todo.push((base, path.clone()));
        }
    }
}
