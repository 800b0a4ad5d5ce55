//! Queries: which columns of which relations each output column comes from.

use std::collections::BTreeSet;
use std::rc::Rc;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, LimitClause, NamedWindowExpr, ObjectName, ObjectNamePart, OrderBy, OrderByKind,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, Statement, TableAlias, Value,
    With,
};

use super::Context;
use super::bridge;
use super::builtins;
use super::found::Found;
pub(super) use super::output::parts;
use super::output::{is_grouped, output_name, plain};
use super::scope::{Column, Ctes, Item, Rows, Scope, join};
use super::shape::Unit;
use super::uses::{Atom, Flow, Pack, add};
use crate::relation::Engine;
use crate::statement::{Extent, Operand, Verb};

/// Walks one parsed tree.
#[derive(Debug)]
pub(super) struct Walker<'a> {
    pub(super) context: &'a Context<'a>,
    /// Text that the tree was read from.
    pub(super) unit: &'a Unit<'a>,
    pub(super) found: &'a mut Found,
    /// Views on the way here, outermost first; empty in the statement's own text.
    pub(super) via: Vec<String>,
    /// Relations that a view in whose definition this is depends on, as the server resolved them.
    pub(super) depends: &'a [(u32, i16)],
}

impl Walker<'_> {
    /// Family of servers that runs the statement.
    pub(super) fn engine(&self) -> Engine {
        self.context.lex.engine()
    }

    /// A whole query. `outer`: what it can see of the query around it.
    pub(super) fn query(&mut self, query: &Query, outer: Option<&Scope<'_>>, ctes: &Ctes<'_>) -> Rows {
        if self.found.is_spent() {
            return Rows::default();
        }
        if query.for_clause.is_some()
            || query.settings.is_some()
            || query.format_clause.is_some()
            || !query.pipe_operators.is_empty()
        {
            self.found.refuse();
        }
        let mut own = Ctes { list: Vec::new(), outer: Some(ctes) };
        if let Some(with) = &query.with {
            self.with(with, outer, &mut own);
        }
        for lock in &query.locks {
            if let Some(of) = &lock.of {
                self.see_name(of);
            }
        }
        let rows = self.set_expr(&query.body, query.order_by.as_ref(), outer, &own);
        let bounded = self.limits(query, outer, &own);
        if bounded { rows.map(|atom| Atom { pack: atom.pack.bounded(), ..atom.clone() }) } else { rows }
    }

    /// How many rows a statement that is this query returns at most.
    pub(super) fn extent(&self, query: &Query) -> Extent {
        let limit = match (&query.limit_clause, &query.fetch) {
            (Some(LimitClause::LimitOffset { limit: Some(limit), .. }), _) => Some(limit),
            (_, Some(fetch)) if fetch.with_ties || fetch.percent => return Extent::Unbounded,
            (_, Some(fetch)) => match &fetch.quantity {
                Some(quantity) => Some(quantity),
                None => return Extent::LimitedTo(1),
            },
            _ => None,
        };
        if let Some(operand) = limit.and_then(|limit| self.operand(limit)) {
            return Extent::Limited(operand);
        }
        match &*query.body {
            SetExpr::Select(select) if self.is_one_row(select) => Extent::One,
            SetExpr::Query(inner) if limit.is_none() => self.extent(inner),
            _ => Extent::Unbounded,
        }
    }

    /// An un-grouped aggregate: one row.
    fn is_one_row(&self, select: &Select) -> bool {
        let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return false };
        let aggregate = |expr: &Expr| match expr {
            Expr::Function(function) if function.over.is_none() => parts(&function.name).pop().is_some_and(|name| {
                builtins::is_aggregate(self.engine(), &name) && self.context.catalog.functions(&name).is_empty()
            }),
            _ => false,
        };
        let one = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } if aggregate(expr));
        exprs.is_empty() && !select.projection.is_empty() && select.projection.iter().all(one)
    }

    /// The literal or parameter that an expression is, brackets aside.
    pub(super) fn operand(&self, expr: &Expr) -> Option<Operand> {
        match expr {
            Expr::Nested(inner) => self.operand(inner),
            Expr::Value(value) => match &value.value {
                Value::Placeholder(name) => {
                    name.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1).map(Operand::Param)
                }
                Value::Number(..) | Value::SingleQuotedString(_) => {
                    self.unit.literal_index(bridge::position(value.span)?).map(Operand::Literal)
                }
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn with(&mut self, with: &With, outer: Option<&Scope<'_>>, own: &mut Ctes<'_>) {
        for cte in &with.cte_tables {
            self.see(&cte.alias.name);
            self.names_query(&cte.alias.name);
            let spelled = self.spelled(&ObjectName::from(vec![cte.alias.name.clone()])).pop();
            let name: Rc<str> = spelled.unwrap_or_default().into();
            let rows = if with.recursive {
                self.recursive_cte(cte, &name, outer, own)
            } else {
                self.query(&cte.query, outer, own)
            };
            let rows = rows.rename(&self.alias_columns(&cte.alias));
            own.list.push((name, rows));
        }
    }

    pub(super) fn set_expr(
        &mut self,
        body: &SetExpr,
        order_by: Option<&OrderBy>,
        outer: Option<&Scope<'_>>,
        ctes: &Ctes<'_>,
    ) -> Rows {
        if self.found.is_spent() {
            return Rows::default();
        }
        match body {
            SetExpr::Select(select) => self.select(select, order_by, outer, ctes),
            SetExpr::Query(query) => {
                let rows = self.query(query, outer, ctes);
                self.order_output(order_by, &rows, ctes);
                rows
            }
            SetExpr::SetOperation { left, op, right, .. } => {
                let before = self.found.drafts.len();
                let left = self.set_expr(left, None, outer, ctes);
                let between = self.found.drafts.len();
                let right = self.set_expr(right, None, outer, ctes);
                let rows = if *op == SetOperator::Except || *op == SetOperator::Minus {
                    let removed = right.all();
                    self.mark_used(&removed);
                    left
                } else {
                    self.alternatives(&left, before..between, &right, between);
                    self.union(left, right)
                };
                self.order_output(order_by, &rows, ctes);
                rows
            }
            SetExpr::Values(values) => {
                let scope = Scope::new(outer, ctes);
                let mut rows = Rows::default();
                for row in &values.rows {
                    for (place, expr) in row.content.iter().enumerate() {
                        let flow = self.expr(expr, &scope);
                        match rows.columns.get_mut(place) {
                            Some(column) => column.flow = join(&column.flow, &flow),
                            None => rows.columns.push(Column::new(Some(format!("column{}", place + 1).into()), flow)),
                        }
                    }
                }
                rows
            }
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.modification(statement, ctes),
            SetExpr::Table(_) => {
                // Never produced: TABLE is written as SELECT before the parser sees it.
                self.found.refuse();
                Rows::default()
            }
        }
    }

    fn modification(&mut self, statement: &Statement, ctes: &Ctes<'_>) -> Rows {
        match statement {
            Statement::Insert(insert) => {
                self.found.effect(Verb::Insert);
                self.insert(insert, ctes)
            }
            Statement::Update(update) => {
                self.found.effect(Verb::Update);
                self.update(update, ctes)
            }
            Statement::Delete(delete) => {
                self.found.effect(Verb::Delete);
                self.delete(delete, ctes)
            }
            Statement::Merge(merge) => {
                self.found.effect(Verb::Merge);
                self.merge(merge, ctes)
            }
            _ => {
                self.found.refuse();
                Rows::default()
            }
        }
    }

    fn select(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
        outer: Option<&Scope<'_>>,
        ctes: &Ctes<'_>,
    ) -> Rows {
        let foreign = select.top.is_some()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.lateral_views.is_empty()
            || select.qualify.is_some();
        let foreign = foreign
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.exclude.is_some()
            || select.value_table_mode.is_some();
        if foreign {
            self.found.refuse();
        }
        let mut scope = Scope::new(outer, ctes);
        for table in &select.from {
            self.table_with_joins(table, &mut scope);
        }
        if let Some(selection) = &select.selection {
            self.condition(selection, &scope);
            self.pin(selection, &scope);
        }
        if self.engine() == Engine::Postgres {
            self.group_by(&select.group_by, &scope);
            if let Some(having) = &select.having {
                self.condition(having, &scope);
            }
        } else {
            scope.grouped.set(is_grouped(&select.group_by));
        }
        for window in &select.named_window {
            self.see(&window.0);
            match &window.1 {
                NamedWindowExpr::NamedWindow(name) => self.see(name),
                NamedWindowExpr::WindowSpec(spec) => self.window(spec, &scope),
            }
        }
        if let Some(Distinct::On(exprs)) = &select.distinct {
            for expr in exprs {
                self.condition(expr, &scope);
            }
        }
        if let Some(into) = &select.into {
            if self.engine() == Engine::Mysql {
                self.found.refuse();
            }
            for target in &into.targets {
                self.copy_target(target, into.temporary);
            }
        }
        self.found.showing += 1;
        self.keyed(&select.group_by, &scope);
        let alone = self.found.alone;
        self.found.alone =
            self.via.is_empty() && select.from.is_empty() && select.projection.len() == 1 && scope.ctes.list.is_empty();
        let rows = self.projection(&select.projection, &scope);
        self.found.alone = alone;
        self.found.showing -= 1;
        self.stand_beside(&rows, &scope);
        if self.engine() == Engine::Mysql {
            // Here a name may be that of an output column too.
            scope.output = Some(rows.clone());
            self.group_by(&select.group_by, &scope);
            if let Some(having) = &select.having {
                self.condition(having, &scope);
            }
        }
        if let Some(order_by) = order_by {
            self.order(order_by, &rows, &scope);
        }
        rows
    }

    /// Output columns of a select list or RETURNING.
    pub(super) fn projection(&mut self, items: &[SelectItem], scope: &Scope<'_>) -> Rows {
        let mut rows = Rows::default();
        for item in items {
            if self.found.is_spent() {
                break;
            }
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let flow = self.expr(expr, scope);
                    let name = output_name(expr, self.engine());
                    rows.columns.push(Column { name, flow, plain: plain(expr, scope) });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.see(alias);
                    let flow = self.expr(expr, scope);
                    rows.columns.push(Column {
                        name: Some(alias.value.as_str().into()),
                        flow,
                        plain: plain(expr, scope),
                    });
                }
                SelectItem::Wildcard(_) => {
                    rows.unordered |= scope.merged;
                    for item in &scope.items {
                        self.append(&mut rows, &item.rows);
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    self.see_name(name);
                    let parts = parts(name);
                    let found = match parts.as_slice() {
                        [.., schema, qualifier] => scope.rows_of(Some(schema), qualifier),
                        [qualifier] => scope.rows_of(None, qualifier),
                        [] => None,
                    };
                    match found {
                        Some(more) => self.append(&mut rows, &more),
                        None => {
                            let flow = self.unknown_column(&name.to_string(), scope);
                            self.append(&mut rows, &Rows::open(flow));
                        }
                    }
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), _) => {
                    let flow = self.expr(expr, scope);
                    self.append(&mut rows, &Rows::open(flow));
                }
                SelectItem::ExprWithAliases { expr, aliases } => {
                    let flow = self.expr(expr, scope);
                    for alias in aliases {
                        self.see(alias);
                    }
                    self.append(&mut rows, &Rows::open(flow));
                    self.found.refuse();
                }
            }
        }
        rows
    }

    pub(super) fn append(&mut self, rows: &mut Rows, more: &Rows) {
        self.found.spend(more.columns.len() + 1);
        rows.columns.extend(more.columns.iter().cloned());
        rows.unordered |= more.unordered;
        if let Some(open) = &more.open {
            rows.open = Some(rows.open.as_ref().map_or_else(|| open.clone(), |known| join(known, open)));
        }
    }

    /// Notes the relations whose whole primary key the rows are grouped by: every aggregate of a group is of one row.
    fn keyed(&self, group_by: &GroupByExpr, scope: &Scope<'_>) {
        let GroupByExpr::Expressions(exprs, _) = group_by else { return };
        let plain = |expr: &Expr| match expr {
            Expr::Identifier(name) => scope.plain(None, &name.value),
            Expr::CompoundIdentifier(names) => match names.as_slice() {
                [qualifier, name] => scope.plain(Some(&qualifier.value), &name.value),
                _ => None,
            },
            _ => None,
        };
        let by: BTreeSet<(u32, i16)> = exprs.iter().filter_map(plain).collect();
        let whole = |oid: &u32| {
            let key = self.context.catalog.by_oid(*oid).map(|relation| relation.key.as_slice()).unwrap_or_default();
            !key.is_empty() && key.iter().all(|attribute| by.contains(&(*oid, *attribute)))
        };
        scope.keyed.replace(by.iter().map(|(oid, _)| *oid).filter(whole).collect());
    }

    fn group_by(&mut self, group_by: &GroupByExpr, scope: &Scope<'_>) {
        let GroupByExpr::Expressions(exprs, _) = group_by else {
            self.found.refuse();
            return;
        };
        for expr in exprs {
            let flow = self.expr(expr, scope);
            self.mark_used(&flow);
            if self.found.random && self.engine() == Engine::Mysql {
                // MariaDB names the value of a group that it finds twice in the error.
                self.copy_flow(&flow, None, true);
            }
        }
        scope.grouped.set(is_grouped(group_by));
    }

    fn order(&mut self, order_by: &OrderBy, rows: &Rows, scope: &Scope<'_>) {
        let OrderByKind::Expressions(exprs) = &order_by.kind else { return };
        for order in exprs {
            if let Expr::Identifier(name) = &order.expr
                && let Some(flow) = rows.named(&name.value)
            {
                self.see(name);
                self.mark_used(&flow);
                continue;
            }
            self.condition(&order.expr, scope);
        }
    }

    fn order_output(&mut self, order_by: Option<&OrderBy>, rows: &Rows, ctes: &Ctes<'_>) {
        if let Some(order_by) = order_by {
            let scope = Scope {
                items: vec![Item { alias: None, schema: None, rows: rows.clone(), usage: None }],
                ..Scope::new(None, ctes)
            };
            self.order(order_by, rows, &scope);
        }
    }

    /// Visits LIMIT and OFFSET; whether the text bounds the rows.
    pub(super) fn limits(&mut self, query: &Query, outer: Option<&Scope<'_>>, ctes: &Ctes<'_>) -> bool {
        let scope = Scope::new(outer, ctes);
        let mut bounded = false;
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) => {
                for expr in limit.iter().chain(offset.as_ref().map(|offset| &offset.value)).chain(limit_by) {
                    let flow = self.expr(expr, &scope);
                    self.measured(&flow);
                }
                self.found.skips |= offset.is_some();
                bounded = limit.as_ref().is_some_and(|limit| self.operand(limit).is_some());
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => self.found.refuse(),
            None => {}
        }
        if let Some(fetch) = &query.fetch {
            if let Some(quantity) = &fetch.quantity {
                let flow = self.expr(quantity, &scope);
                self.measured(&flow);
            }
            bounded =
                !fetch.with_ties && fetch.quantity.as_ref().is_none_or(|quantity| self.operand(quantity).is_some());
        }
        bounded
    }

    pub(super) fn alias_columns(&mut self, alias: &TableAlias) -> Vec<Rc<str>> {
        alias
            .columns
            .iter()
            .map(|column| {
                self.see(&column.name);
                column.name.value.as_str().into()
            })
            .collect()
    }

    /// An expression whose values do not leave.
    pub(super) fn condition(&mut self, expr: &Expr, scope: &Scope<'_>) {
        let flow = self.expr(expr, scope);
        self.mark_used(&flow);
    }

    /// What leaves with these rows.
    pub(super) fn release(&mut self, rows: &Rows) {
        for flow in rows.columns.iter().map(|column| &column.flow).chain(rows.open.as_ref()) {
            self.release_flow(flow);
        }
    }

    pub(super) fn release_flow(&mut self, flow: &Flow) {
        for atom in flow.iter() {
            let Some(draft) = self.found.drafts.get_mut(atom.usage) else { continue };
            match atom.pack {
                Pack::Total | Pack::Totals => {
                    draft.totals.add(atom);
                    draft.asks_by(atom);
                }
                Pack::Single | Pack::Bounded => add(&mut draft.released, atom.column.as_ref()),
                Pack::Grouped => add(&mut draft.packed, atom.column.as_ref()),
                Pack::Whole => {
                    add(&mut draft.packed, atom.column.as_ref());
                    draft.packed_whole = true;
                }
            }
        }
    }

    /// What goes into other rows with these. `target`: the use that is written, whose rows keep their own values.
    /// `one`: it is one row that they go into.
    pub(super) fn copy(&mut self, rows: &Rows, target: Option<usize>, one: bool) {
        for flow in rows.columns.iter().map(|column| &column.flow).chain(rows.open.as_ref()) {
            self.copy_flow(flow, target, one);
        }
    }

    pub(super) fn copy_flow(&mut self, flow: &Flow, target: Option<usize>, one: bool) {
        for atom in flow.iter() {
            let Some(draft) = self.found.drafts.get_mut(atom.usage) else { continue };
            let stays = Some(atom.usage) == target;
            if atom.pack <= Pack::Totals && !stays {
                draft.totals.add(atom);
                draft.totals.copied = true;
                continue;
            }
            let single = one && atom.pack <= Pack::Bounded;
            draft.copied_many |= !(stays || single);
            add(if stays { &mut draft.used } else { &mut draft.copied }, atom.column.as_ref());
        }
    }

    pub(super) fn join(&mut self, left: &Flow, right: &Flow) -> Flow {
        self.found.spend(1 + right.len() / 8);
        join(left, right)
    }

    /// Notes that the statement's own text calls a query so.
    pub(super) fn names_query(&mut self, name: &Ident) {
        if self.via.is_empty() {
            self.found.queries.insert(name.value.to_lowercase());
        }
    }

    /// Notes that an identifier of the statement's own text has been understood.
    pub(super) fn see(&mut self, name: &Ident) {
        if self.via.len() == self.found.via.len()
            && let Some(at) = bridge::position(name.span)
        {
            self.found.see(at);
        }
    }

    pub(super) fn see_name(&mut self, name: &ObjectName) {
        for part in &name.0 {
            if let ObjectNamePart::Identifier(part) = part {
                self.see(part);
            }
        }
    }
}
