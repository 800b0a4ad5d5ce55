//! FROM: which relations a query reads, under which names, and what joins use.

use std::rc::Rc;

use sqlparser::ast::{Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins};

use super::lineage::{Walker, parts};
use super::scope::{Column, Item, Rows, Scope};
use super::uses::Flow;

impl Walker<'_> {
    pub(super) fn table_with_joins(&mut self, table: &TableWithJoins, scope: &mut Scope<'_>) {
        self.factor(&table.relation, scope);
        for join in &table.joins {
            self.joined(join, scope);
        }
    }

    fn joined(&mut self, join: &Join, scope: &mut Scope<'_>) {
        let left = scope.items.len();
        self.factor(&join.relation, scope);
        let constraint = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => constraint,
            _ => {
                self.found.refuse();
                return;
            }
        };
        match constraint {
            JoinConstraint::On(expr) => self.condition(expr, scope),
            JoinConstraint::Using(names) => {
                scope.merged = true;
                for name in names {
                    self.see_name(name);
                    if let Some(last) = parts(name).last() {
                        self.use_everywhere(last, &scope.items);
                    }
                }
            }
            JoinConstraint::Natural => {
                scope.merged = true;
                let common: Vec<Rc<str>> = scope.items[left..]
                    .iter()
                    .flat_map(|item| item.rows.columns.iter().filter_map(|column| column.name.clone()))
                    .filter(|name| scope.items[..left].iter().any(|item| item.rows.named(name).is_some()))
                    .collect();
                for name in common {
                    self.use_everywhere(&name, &scope.items);
                }
            }
            JoinConstraint::None => {}
        }
    }

    fn use_everywhere(&mut self, name: &str, items: &[Item]) {
        for item in items {
            if let Some(flow) = item.rows.named(name) {
                self.mark_used(&flow);
            }
        }
    }

    /// One item of FROM, put into the scope.
    pub(super) fn factor(&mut self, factor: &TableFactor, scope: &mut Scope<'_>) {
        if self.found.is_spent() {
            return;
        }
        match factor {
            TableFactor::Table {
                name, alias, args: None, with_hints, version, partitions, json_path, sample, ..
            } => {
                if !with_hints.is_empty() || version.is_some() || !partitions.is_empty() || json_path.is_some() {
                    self.found.refuse();
                }
                let _ = sample;
                self.see_name(name);
                let item = self.relation(name, scope.ctes);
                self.push(item, alias.as_ref(), scope);
            }
            TableFactor::Table { name, alias, args: Some(args), .. } => {
                let flow = self.table_call(name, &args.args, scope);
                self.push_function(name, flow, alias.as_ref(), scope);
            }
            TableFactor::Function { name, args, alias, .. } => {
                let flow = self.table_call(name, args, scope);
                self.push_function(name, flow, alias.as_ref(), scope);
            }
            TableFactor::TableFunction { expr, alias } => {
                let flow = self.expr(expr, scope);
                self.push(
                    Item { alias: None, schema: None, rows: Rows::open(flow), usage: None },
                    alias.as_ref(),
                    scope,
                );
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                let flow = array_exprs.iter().fold(Flow::default(), |flow, expr| {
                    let more = self.expr(expr, scope);
                    self.join(&flow, &more)
                });
                self.push_function(&ObjectName::from(vec![Ident::new("unnest")]), flow, alias.as_ref(), scope);
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let rows = if *lateral {
                    self.query(subquery, Some(scope), scope.ctes)
                } else {
                    // It sees past its siblings; what it asks of the query around makes them all depend on it.
                    let before = scope.outer.map(|outer| outer.asked.replace(false));
                    let rows = self.query(subquery, scope.outer, scope.ctes);
                    if let (Some(outer), Some(before)) = (scope.outer, before) {
                        scope.correlated.set(scope.correlated.get() || outer.asked.get());
                        outer.asked.set(before || outer.asked.get());
                    }
                    rows
                };
                if let Some(alias) = alias {
                    self.names_query(&alias.name);
                }
                self.push(Item { alias: None, schema: None, rows, usage: None }, alias.as_ref(), scope);
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let before = scope.items.len();
                self.table_with_joins(table_with_joins, scope);
                if alias.is_some() {
                    let inner: Vec<Item> = scope.items.drain(before..).collect();
                    let mut rows = Rows { unordered: scope.merged, ..Rows::default() };
                    for item in inner {
                        self.append(&mut rows, &item.rows);
                    }
                    self.push(Item { alias: None, schema: None, rows, usage: None }, alias.as_ref(), scope);
                }
            }
            TableFactor::XmlTable { row_expression, passing, columns, alias, .. } => {
                let mut flow = self.expr(row_expression, scope);
                for argument in &passing.arguments {
                    let more = self.expr(&argument.expr, scope);
                    flow = self.join(&flow, &more);
                }
                let columns = columns
                    .iter()
                    .map(|column| {
                        self.see(&column.name);
                        Column::new(Some(column.name.value.as_str().into()), flow.clone())
                    })
                    .collect();
                self.push(
                    Item {
                        alias: Some("xmltable".into()),
                        schema: None,
                        rows: Rows { columns, open: None, unordered: false },
                        usage: None,
                    },
                    alias.as_ref(),
                    scope,
                );
            }
            _ => {
                self.found.refuse();
                let flow = scope.everything();
                self.push(Item { alias: None, schema: None, rows: Rows::open(flow), usage: None }, None, scope);
            }
        }
    }

    fn push(&mut self, mut item: Item, alias: Option<&TableAlias>, scope: &mut Scope<'_>) {
        if let Some(alias) = alias {
            self.see(&alias.name);
            item.alias = Some(alias.name.value.as_str().into());
            item.schema = None;
            let names = self.alias_columns(alias);
            if !names.is_empty() {
                item.rows = item.rows.rename(&names);
                // A renamed key is not looked for under its own name.
                item.usage = None;
            }
        }
        scope.items.push(item);
    }

    fn push_function(&mut self, name: &ObjectName, flow: Flow, alias: Option<&TableAlias>, scope: &mut Scope<'_>) {
        let own: Option<Rc<str>> = parts(name).pop().map(Rc::from);
        let rows = match alias.filter(|alias| !alias.columns.is_empty()) {
            Some(alias) => {
                let names = self.alias_columns(alias);
                for column in &alias.columns {
                    if let Some(data_type) = &column.data_type {
                        self.see_type(data_type);
                    }
                }
                let columns = names.into_iter().map(|name| Column::new(Some(name), flow.clone())).collect();
                // A function may yield more columns than the alias renames.
                Rows { columns, open: Some(flow), unordered: true }
            }
            None => Rows::open(flow),
        };
        let item = Item {
            alias: alias.map(|alias| alias.name.value.as_str().into()).or(own),
            schema: None,
            rows,
            usage: None,
        };
        if let Some(alias) = alias {
            self.see(&alias.name);
        }
        scope.items.push(item);
    }
}
