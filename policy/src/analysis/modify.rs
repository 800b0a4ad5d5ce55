//! INSERT, UPDATE, DELETE, MERGE: what is written, what is read for it, and what RETURNING lets out.

use sqlparser::ast::{
    Assignment, AssignmentTarget, ConflictTarget, Delete, Expr, FromTable, Ident, Insert, Merge, MergeAction,
    MergeInsertKind, MergeUpdateKind, ObjectName, OnConflictAction, OnInsert, SelectItem, SetExpr, TableFactor,
    TableObject, Update, UpdateTableFromKind,
};

use super::lineage::{Walker, parts};
use super::output::plain;
use super::scope::{Column, Ctes, Item, Rows, Scope, map};
use super::uses::{Atom, Draft, Flow, Pack, add, key_names};
use crate::relation::{Engine, RelationName};
use crate::statement::{Access, Columns, Coverage, Question, SessionAct};

impl Walker<'_> {
    pub(super) fn insert(&mut self, insert: &Insert, ctes: &Ctes<'_>) -> Rows {
        let TableObject::TableName(name) = &insert.table else {
            self.found.refuse();
            return Rows::default();
        };
        let mysql = self.engine() == Engine::Mysql;
        let foreign = insert.or.is_some()
            || (insert.replace_into && !mysql)
            || insert.overwrite
            || insert.partitioned.is_some()
            || insert.output.is_some()
            || insert.multi_table_insert_type.is_some();
        if foreign || (!insert.assignments.is_empty() && !mysql) {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        self.target(name, &mut scope);
        if let (Some(alias), Some(item)) = (&insert.table_alias, scope.items.last_mut()) {
            self.see(&alias.alias);
            self.found.calls(item, &alias.alias.value);
        }
        for column in &insert.columns {
            self.see_name(column);
        }
        for assignment in &insert.assignments {
            self.inserted(assignment, &scope);
        }
        let sources = self.found.drafts.len();
        if let Some(source) = &insert.source {
            let rows = self.query(source, None, ctes);
            let target = written(&scope);
            let one = matches!(&*source.body, SetExpr::Values(values) if values.rows.len() == 1);
            self.copy(&rows, target, one);
            let names: Vec<String> = insert.columns.iter().filter_map(|column| parts(column).pop()).collect();
            self.moves(&names, &rows, &scope);
            self.is_one_row_of(target, one);
        }
        match &insert.on {
            Some(OnInsert::OnConflict(conflict)) => {
                match &conflict.conflict_target {
                    Some(ConflictTarget::Columns(columns)) => columns.iter().for_each(|column| self.see(column)),
                    Some(ConflictTarget::OnConstraint(constraint)) => self.see_name(constraint),
                    None => {}
                }
                let found_by: &[Ident] = match &conflict.conflict_target {
                    Some(ConflictTarget::Columns(columns)) => columns,
                    _ => &[],
                };
                if let OnConflictAction::DoUpdate(update) = &conflict.action {
                    let mut inner = Scope::new(None, ctes);
                    inner.items = scope.items.clone();
                    let excluded = scope.items.first().map(|item| Item {
                        alias: Some("excluded".into()),
                        schema: None,
                        rows: item.rows.clone().map(Atom::clone),
                        usage: None,
                    });
                    self.assignments(&update.assignments, false, found_by, &scope_with(&inner, excluded));
                    if let Some(selection) = &update.selection {
                        let excluded = scope.items.first().map(|item| Item {
                            alias: Some("excluded".into()),
                            schema: None,
                            rows: item.rows.clone(),
                            usage: None,
                        });
                        self.condition(selection, &scope_with(&inner, excluded));
                    }
                }
            }
            Some(OnInsert::DuplicateKeyUpdate(assignments)) => {
                let selected = self.selected_from(insert.source.as_deref(), sources);
                self.duplicate(assignments, insert.insert_alias.as_ref(), (sources, selected), &scope)
            }
            Some(_) => self.found.refuse(),
            None => {}
        }
        self.returning(insert.returning.as_deref(), true, &mut scope)
    }

    pub(super) fn update(&mut self, update: &Update, ctes: &Ctes<'_>) -> Rows {
        if self.engine() == Engine::Mysql {
            return self.update_mysql(update, ctes);
        }
        if update.output.is_some()
            || update.or.is_some()
            || update.limit.is_some()
            || !update.order_by.is_empty()
            || !update.table.joins.is_empty()
        {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        self.target_factor(&update.table.relation, &mut scope);
        match &update.from {
            Some(UpdateTableFromKind::AfterSet(tables) | UpdateTableFromKind::BeforeSet(tables)) => {
                for table in tables {
                    self.table_with_joins(table, &mut scope);
                }
            }
            None => {}
        }
        if let Some(selection) = &update.selection {
            self.condition(selection, &scope);
            self.pin(selection, &scope);
        }
        let target = written(&scope);
        let one = target.and_then(|usage| self.found.drafts.get(usage)).is_some_and(|draft| draft.pin.is_some());
        self.is_one_row_of(target, one);
        self.assignments(&update.assignments, one, &[], &scope);
        self.returning(update.returning.as_deref(), true, &mut scope)
    }

    pub(super) fn delete(&mut self, delete: &Delete, ctes: &Ctes<'_>) -> Rows {
        if self.engine() == Engine::Mysql {
            return self.delete_mysql(delete, ctes);
        }
        if !delete.tables.is_empty() || delete.output.is_some() || delete.limit.is_some() || !delete.order_by.is_empty()
        {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        for table in tables {
            self.target_factor(&table.relation, &mut scope);
            if !table.joins.is_empty() {
                self.found.refuse();
            }
        }
        for table in delete.using.iter().flatten() {
            self.table_with_joins(table, &mut scope);
        }
        if let Some(selection) = &delete.selection {
            self.condition(selection, &scope);
            self.pin(selection, &scope);
        }
        let target = written(&scope);
        let one = target.and_then(|usage| self.found.drafts.get(usage)).is_some_and(|draft| draft.pin.is_some());
        self.is_one_row_of(target, one);
        self.returning(delete.returning.as_deref(), false, &mut scope)
    }

    pub(super) fn merge(&mut self, merge: &Merge, ctes: &Ctes<'_>) -> Rows {
        if merge.output.is_some() {
            self.found.refuse();
        }
        let mut scope = Scope::new(None, ctes);
        self.target_factor(&merge.table, &mut scope);
        self.factor(&merge.source, &mut scope);
        self.condition(&merge.on, &scope);
        for clause in &merge.clauses {
            if let Some(predicate) = &clause.predicate {
                self.condition(predicate, &scope);
            }
            match &clause.action {
                MergeAction::Insert(insert) => {
                    for column in &insert.columns {
                        self.see_name(column);
                    }
                    match &insert.kind {
                        MergeInsertKind::Values(values) => {
                            let mut rows = Rows::default();
                            for expr in values.rows.iter().flat_map(|row| &row.content) {
                                let flow = self.expr(expr, &scope);
                                let target = written(&scope);
                                self.copy_flow(&flow, target, false);
                                rows.columns.push(Column { name: None, flow, plain: plain(expr, &scope) });
                            }
                            let names: Vec<String> =
                                insert.columns.iter().filter_map(|column| parts(column).pop()).collect();
                            self.moves(&names, &rows, &scope);
                        }
                        _ => self.found.refuse(),
                    }
                }
                MergeAction::Update(update) => match &update.kind {
                    MergeUpdateKind::Set(assignments) => self.assignments(assignments, false, &[], &scope),
                    MergeUpdateKind::Wildcard => self.found.refuse(),
                },
                MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
            }
        }
        Rows::default()
    }

    /// Says of what is written that it is one row at most.
    fn is_one_row_of(&mut self, target: Option<usize>, one: bool) {
        // Constant rows of a list of VALUES are left out before the tree is made.
        let listed = self.unit.tokens.windows(3).any(|row| {
            let is = |at: usize, punct: &str| row.get(at).is_some_and(|token| token.is_punct(self.unit.text, punct));
            is(0, ")") && is(1, ",") && is(2, "(")
        });
        if let Some(draft) = target.and_then(|usage| self.found.drafts.get_mut(usage)) {
            draft.one = one && !listed;
        }
    }

    /// The values that an assignment takes from elsewhere are copied to where they go; a relation's own values
    /// that stay in it are used.
    ///
    /// `one`: at most one row is written. `conflict`: columns by which the row was found that an INSERT met.
    pub(super) fn assignments(&mut self, assignments: &[Assignment], one: bool, conflict: &[Ident], scope: &Scope<'_>) {
        let target = written(scope);
        for assignment in assignments {
            let names = match &assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                AssignmentTarget::Tuple(names) => names,
            };
            for name in names {
                self.see_name(name);
                if let Some(column) = parts(name).pop()
                    && !self.is_the_same(&column, &assignment.value, target, conflict)
                {
                    self.mark_updated(&column, scope);
                }
            }
            let flow = self.expr(&assignment.value, scope);
            self.copy_flow(&flow, target, one);
            let plain = plain(&assignment.value, scope).filter(|_| names.len() == 1);
            for name in names {
                self.move_into(parts(name).pop().as_deref(), &flow, plain, scope);
            }
        }
    }

    /// The column, and through a view those that it is made of, gets new values.
    fn mark_updated(&mut self, column: &str, scope: &Scope<'_>) {
        let Some(rows) = scope.items.first().map(|item| &item.rows) else { return };
        let Some(flow) = rows.named(column).or_else(|| rows.unnamed()) else { return };
        for atom in flow.iter() {
            if let Some(draft) = self.found.drafts.get_mut(atom.usage).filter(|draft| draft.access == Access::Write) {
                add(&mut draft.updated, atom.column.as_ref());
            }
        }
    }

    /// Whether an assignment leaves a column as it is: `set id = $1 … where id = $1`, and of a row that an INSERT met by
    /// its `id`, `set id = excluded.id`.
    pub(super) fn is_the_same(&self, column: &str, value: &Expr, target: Option<usize>, conflict: &[Ident]) -> bool {
        if let Expr::CompoundIdentifier(names) = value
            && let [row, of] = names.as_slice()
        {
            return row.value == "excluded" && of.value == column && conflict.iter().any(|known| known.value == column);
        }
        let Some(draft) = target.and_then(|usage| self.found.drafts.get(usage)) else { return false };
        let Some(relation) = draft.relation.and_then(|index| self.context.catalog.relations().get(index)) else {
            return false;
        };
        let place = key_names(relation).iter().position(|known| *self.folded(known) == *column);
        match (place, &draft.pin, self.operand(value)) {
            (Some(place), Some(pin), Some(value)) => pin.get(place) == Some(&value),
            _ => false,
        }
    }

    pub(super) fn target_factor(&mut self, factor: &TableFactor, scope: &mut Scope<'_>) {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            self.found.refuse();
            return;
        };
        self.target(name, scope);
        if let (Some(alias), Some(item)) = (alias, scope.items.last_mut()) {
            self.see(&alias.name);
            self.found.calls(item, &alias.name.value);
            item.schema = None;
        }
    }

    /// The relation that is written, as the first item of the scope.
    fn target(&mut self, name: &ObjectName, scope: &mut Scope<'_>) {
        self.see_name(name);
        let mut parts = self.spelled(name);
        let own = parts.pop().unwrap_or_default();
        let schema = parts.pop();
        if own == "pg_settings" {
            // An UPDATE of this view sets variables of the session.
            self.found.gap("dynamic-sql", "pg_settings", Coverage::Opaque);
        }
        if self.is_temporary(schema.as_deref(), &own) && self.via.is_empty() {
            scope.items.push(Item {
                alias: Some(self.folded(&own)),
                schema: None,
                rows: Rows::open(Flow::default()),
                usage: None,
            });
            return;
        }
        let written = RelationName { schema, name: own };
        let item = match self.find(&written) {
            Some(index) => {
                let before = self.found.drafts.len();
                let item = self.known(index, written, Access::Write);
                // A view that is written writes through.
                for draft in &mut self.found.drafts[before..] {
                    draft.access = Access::Write;
                }
                item
            }
            None => {
                self.found.gap("unknown-relation", &written.to_string(), Coverage::Partial);
                let usage =
                    self.found.draft(Draft::new(written.clone(), None, Access::Write, self.source()).via(&self.via));
                let rows = Rows::open(super::scope::single(Atom::new(usage, None, Pack::Single)));
                Item { alias: Some(self.folded(&written.name)), schema: None, rows, usage: Some(usage) }
            }
        };
        scope.items.push(item);
    }

    /// RETURNING: what is let out of a written relation is a read of it, beside the write. Where the statement
    /// `sets` values it may set the key, which then says nothing of whose record the other values are.
    pub(super) fn returning(&mut self, items: Option<&[SelectItem]>, sets: bool, scope: &mut Scope<'_>) -> Rows {
        let Some(items) = items else { return Rows::default() };
        let mut reads: std::collections::HashMap<usize, usize> = std::collections::HashMap::new();
        for item in &mut scope.items {
            let usages: Vec<usize> = item.rows.all().iter().map(|atom| atom.usage).collect();
            for usage in usages {
                let Some(draft) = self.found.drafts.get(usage).filter(|draft| draft.access == Access::Write) else {
                    continue;
                };
                let read = Draft {
                    access: Access::Read,
                    used: Columns::None,
                    updated: Columns::None,
                    mixed: draft.mixed || sets,
                    question: Question { by_key: draft.question.by_key, ..Question::default() },
                    ..draft.clone()
                };
                reads.entry(usage).or_insert_with(|| self.found.draft(read));
            }
            item.rows = Rows {
                columns: item
                    .rows
                    .columns
                    .iter()
                    .map(|column| Column { flow: map(&column.flow, &|atom| moved(atom, &reads)), ..column.clone() })
                    .collect(),
                open: item.rows.open.as_ref().map(|flow| map(flow, &|atom| moved(atom, &reads))),
                unordered: item.rows.unordered,
            };
        }
        // PostgreSQL 18: RETURNING old.x, new.x.
        for alias in ["old", "new"] {
            if let Some(target) = scope.items.first() {
                let item = Item {
                    alias: Some(alias.into()),
                    schema: None,
                    rows: Rows { columns: Vec::new(), open: Some(target.rows.all()), unordered: true },
                    usage: None,
                };
                if items.iter().any(|item| item.to_string().starts_with(&format!("{alias}."))) {
                    scope.items.push(item);
                }
            }
        }
        self.projection(items, scope)
    }

    /// SELECT … INTO: the rows go into the relation that was named last. `first`: the first use of the statement.
    pub(super) fn copied_into(&mut self, first: usize) {
        let made = self.found.acts.iter().rev().find_map(|act| match act {
            SessionAct::CreateTemporary { name } => Some((RelationName { schema: None, name: name.clone() }, true)),
            _ => None,
        });
        let named = self.found.drafts.iter().rev().find(|draft| draft.access == Access::Ddl);
        let Some(name) = named.map(|draft| draft.written.clone()) else { return };
        let temporary = made.is_some_and(|(own, temporary)| temporary && own.name == name.name);
        self.found.makes(&name, temporary, &[], first);
    }

    /// SELECT … INTO: the name of the copy.
    pub(super) fn copy_target(&mut self, target: &Expr, temporary: bool) {
        let names: Vec<String> = match target {
            Expr::Identifier(name) => {
                self.see(name);
                vec![name.value.clone()]
            }
            Expr::CompoundIdentifier(names) => names
                .iter()
                .map(|name| {
                    self.see(name);
                    name.value.clone()
                })
                .collect(),
            _ => {
                self.found.refuse();
                return;
            }
        };
        let mut names = names;
        let Some(name) = names.pop() else { return };
        let schema = names.pop();
        let temporary = temporary || schema.as_deref().is_some_and(|schema| schema.starts_with("pg_temp"));
        self.found.copies = true;
        self.found.acts.push(if temporary {
            SessionAct::CreateTemporary { name: name.clone() }
        } else {
            SessionAct::CatalogChanged
        });
        let written = RelationName { schema, name };
        let relation = if temporary { None } else { super::candidates::resolve(&written, self.context) };
        self.found.draft(Draft::new(written, relation, Access::Ddl, self.source()));
    }
}

/// The use that is written: the first of the scope.
pub(super) fn written(scope: &Scope<'_>) -> Option<usize> {
    scope.items.first().and_then(|item| item.usage)
}

fn moved(atom: &Atom, reads: &std::collections::HashMap<usize, usize>) -> Atom {
    Atom { usage: reads.get(&atom.usage).copied().unwrap_or(atom.usage), ..atom.clone() }
}

pub(super) fn scope_with<'a>(scope: &Scope<'a>, item: Option<Item>) -> Scope<'a> {
    let mut items = scope.items.clone();
    items.extend(item);
    let mut with = Scope::new(scope.outer, scope.ctes);
    with.items = items;
    with
}
