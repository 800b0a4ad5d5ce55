//! Changes as MySQL writes them: INSERT … SET, ON DUPLICATE KEY UPDATE, UPDATE and DELETE of several tables.

use std::collections::BTreeMap;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, FromTable, InsertAliases, ObjectName, OrderByExpr, Query, SetExpr,
    TableFactor, TableWithJoins, Update,
};

use super::expand::is_view;
use super::lineage::{Walker, parts};
use super::modify::{scope_with, written};
use super::output::plain;
use super::scope::{Column, Ctes, Item, Rows, Scope, single};
use super::uses::{Atom, Draft, Flow, Pack, add, merge};
use crate::relation::RelationName;
use crate::statement::{Access, Columns};

impl Walker<'_> {
    /// `INSERT … SET a = value`: one row.
    pub(super) fn inserted(&mut self, assignment: &Assignment, scope: &Scope<'_>) {
        for name in targets(assignment) {
            self.see_name(name);
        }
        let flow = self.expr(&assignment.value, scope);
        self.copy_flow(&flow, written(scope), true);
        for name in targets(assignment) {
            self.move_into(parts(name).pop().as_deref(), &flow, plain(&assignment.value, scope), scope);
        }
    }

    /// ON DUPLICATE KEY UPDATE: its expressions see the row that is there, the row that was to be inserted, and the
    /// tables that this one was selected from. `sources`: the first of their uses, and those that are tables by name.
    pub(super) fn duplicate(
        &mut self,
        assignments: &[Assignment],
        alias: Option<&InsertAliases>,
        (sources, selected): (usize, Vec<Item>),
        scope: &Scope<'_>,
    ) {
        let there = scope.items.first().map(|item| item.rows.all()).unwrap_or_default();
        let mut inner = scope_with(scope, None);
        if let Some(alias) = alias {
            self.see_name(&alias.row_alias);
            for column in alias.col_aliases.iter().flatten() {
                self.see(column);
            }
            inner.items.push(Item {
                alias: parts(&alias.row_alias).pop().map(Into::into),
                schema: None,
                rows: Rows::open(there),
                usage: None,
            });
        }
        inner.items.extend(selected);
        self.found.beyond = sources..self.found.drafts.len();
        self.assignments(assignments, false, &[], &inner);
        self.found.beyond = 0..0;
    }

    /// Tables of the FROM clause of an INSERT … SELECT, which its ON DUPLICATE KEY UPDATE may name.
    pub(super) fn selected_from(&self, source: Option<&Query>, sources: usize) -> Vec<Item> {
        let Some(SetExpr::Select(select)) = source.map(|source| &*source.body) else { return Vec::new() };
        let factors = select
            .from
            .iter()
            .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
        factors
            .filter_map(|factor| {
                let TableFactor::Table { name, alias, args: None, .. } = factor else { return None };
                let mut names = self.spelled(name);
                let own = names.pop()?;
                let written = RelationName { schema: names.pop(), name: own };
                let mut drafts = self.found.drafts.iter().enumerate().skip(sources);
                let (usage, draft) = drafts.find(|(_, draft)| draft.written == written && draft.relation.is_some())?;
                let relation = self.context.catalog.relations().get(draft.relation?)?;
                let columns = relation.columns.iter().map(|column| {
                    let atom = Atom::new(usage, Some(column.name.clone()), Pack::Single);
                    Column::new(Some(self.folded(&column.name)), single(atom))
                });
                let rows = Rows { columns: columns.collect(), open: None, unordered: false };
                let alias = match alias {
                    Some(alias) => alias.name.value.as_str().into(),
                    None => self.folded(&written.name),
                };
                // What a view shows comes from elsewhere too.
                (!is_view(relation)).then_some(Item { alias: Some(alias), schema: None, rows, usage: None })
            })
            .collect()
    }

    pub(super) fn update_mysql(&mut self, update: &Update, ctes: &Ctes<'_>) -> Rows {
        if update.output.is_some() || update.or.is_some() || update.from.is_some() {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        if is_plain(&update.table) {
            self.target_factor(&update.table.relation, &mut scope);
            if let Some(selection) = &update.selection {
                self.condition(selection, &scope);
                self.pin(selection, &scope);
            }
            let target = written(&scope);
            let one = target.and_then(|usage| self.found.drafts.get(usage)).is_some_and(|draft| draft.pin.is_some());
            self.assignments(&update.assignments, one, &[], &scope);
            self.ordered(&update.order_by, update.limit.as_ref(), &scope);
            return self.returning(update.returning.as_deref(), true, &mut scope);
        }
        self.table_with_joins(&update.table, &mut scope);
        if let Some(selection) = &update.selection {
            self.condition(selection, &scope);
            self.pin(selection, &scope);
        }
        for assignment in &update.assignments {
            let mut one_of = Flow::default();
            for name in targets(assignment) {
                self.see_name(name);
                let flow = self.assigned(name, &scope);
                one_of = self.join(&one_of, &flow);
            }
            self.written_too(&one_of);
            let flow = self.expr(&assignment.value, &scope);
            // What stays in its own table is no copy; where it is not certain which table is meant, it is one.
            let mut usages: Vec<usize> = one_of.iter().map(|atom| atom.usage).collect();
            usages.dedup();
            let target = <[usize; 1]>::try_from(usages).ok().map(|[usage]| usage);
            self.copy_flow(&flow, target, false);
            self.move_to_columns(&one_of, &flow);
        }
        self.ordered(&update.order_by, update.limit.as_ref(), &scope);
        if update.returning.is_some() {
            self.found.refuse();
        }
        Rows::default()
    }

    pub(super) fn delete_mysql(&mut self, delete: &Delete, ctes: &Ctes<'_>) -> Rows {
        if delete.output.is_some() {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        match (from.as_slice(), &delete.using) {
            ([table], None) if delete.tables.is_empty() && is_plain(table) => {
                self.target_factor(&table.relation, &mut scope);
            }
            (targets, Some(tables)) => {
                // DELETE FROM a, b USING …: the tables stand behind USING.
                for table in tables {
                    self.table_with_joins(table, &mut scope);
                }
                for target in targets {
                    match &target.relation {
                        TableFactor::Table { name, .. } if target.joins.is_empty() => self.deleted(name, &scope),
                        _ => self.found.refuse(),
                    }
                }
            }
            (tables, None) => {
                for table in tables {
                    self.table_with_joins(table, &mut scope);
                }
                if delete.tables.is_empty() {
                    self.found.refuse();
                }
                for name in &delete.tables {
                    self.deleted(name, &scope);
                }
            }
        }
        if let Some(selection) = &delete.selection {
            self.condition(selection, &scope);
            self.pin(selection, &scope);
        }
        self.ordered(&delete.order_by, delete.limit.as_ref(), &scope);
        self.returning(delete.returning.as_deref(), false, &mut scope)
    }

    fn ordered(&mut self, order_by: &[OrderByExpr], limit: Option<&sqlparser::ast::Expr>, scope: &Scope<'_>) {
        self.orders(order_by, scope);
        if let Some(limit) = limit {
            self.condition(limit, scope);
        }
    }

    /// The column that an assignment of a joined UPDATE names.
    fn assigned(&mut self, name: &ObjectName, scope: &Scope<'_>) -> Flow {
        let names = parts(name);
        let names: Vec<sqlparser::ast::Ident> = names.into_iter().map(sqlparser::ast::Ident::new).collect();
        let expr = match <[sqlparser::ast::Ident; 1]>::try_from(names) {
            Ok([only]) => sqlparser::ast::Expr::Identifier(only),
            Err(names) => sqlparser::ast::Expr::CompoundIdentifier(names),
        };
        self.expr(&expr, scope)
    }

    /// Relations whose columns these are get new values.
    fn written_too(&mut self, flow: &Flow) {
        let mut columns: BTreeMap<usize, Columns> = BTreeMap::new();
        for atom in flow.iter() {
            add(columns.entry(atom.usage).or_default(), atom.column.as_ref());
        }
        for (usage, updated) in columns {
            self.write(usage, &updated);
        }
    }

    fn deleted(&mut self, name: &ObjectName, scope: &Scope<'_>) {
        self.see_name(name);
        let names = parts(name);
        let rows = match names.as_slice() {
            [.., schema, own] => scope.rows_of(Some(schema), own),
            [own] => scope.rows_of(None, own),
            [] => None,
        };
        match rows {
            Some(rows) => {
                for usage in rows.usages() {
                    self.write(usage, &Columns::None);
                }
            }
            None => self.found.refuse(),
        }
    }

    /// A relation that is read is written too.
    fn write(&mut self, usage: usize, updated: &Columns) {
        let Some(read) = self.found.drafts.get(usage) else { return };
        let same = |draft: &Draft| {
            draft.access == Access::Write && draft.relation == read.relation && draft.written == read.written
        };
        if let Some(known) = self.found.drafts.iter().position(same) {
            if let Some(draft) = self.found.drafts.get_mut(known) {
                merge(&mut draft.updated, updated);
            }
            return;
        }
        let mut draft =
            Draft::new(read.written.clone(), read.relation, Access::Write, self.source()).via(&read.via.clone());
        draft.updated = updated.clone();
        self.found.draft(draft);
    }
}

/// Columns that an assignment writes.
fn targets(assignment: &Assignment) -> &[ObjectName] {
    match &assignment.target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names,
    }
}

/// Whether it is one table and nothing else.
fn is_plain(table: &TableWithJoins) -> bool {
    table.joins.is_empty() && matches!(table.relation, TableFactor::Table { .. })
}
