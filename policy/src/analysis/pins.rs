//! Pins: `key = value` conditions that leave at most one row of a relation.
//!
//! INVARIANT: a pin speaks of every value of its use that can reach the result. Where a window function, a set
//! operation or a second reference below the condition could bring in others, there is none.

use std::collections::BTreeMap;

use sqlparser::ast::{BinaryOperator, DataType, Expr};

use super::LiteralKind;
use super::bridge;
use super::expand::is_view;
use super::lineage::Walker;
use super::scope::{Item, Scope};
use super::uses::key_columns;
use crate::catalog::{Column, Relation, column_types};
use crate::relation::Engine;
use crate::statement::Operand;

/// Equalities of one use that are kept.
const EQUALS_MAX: usize = 16;

impl Walker<'_> {
    /// Looks for `key = value` that pins the whole primary key of a relation read here.
    pub(super) fn pin(&mut self, selection: &Expr, scope: &Scope<'_>) {
        if !self.via.is_empty() || self.found.loose {
            return;
        }
        let mut equalities: Vec<(Option<String>, String, Operand)> = Vec::new();
        self.equalities(selection, &mut equalities);
        if equalities.is_empty() {
            return;
        }
        for item in &scope.items {
            let value = |column: &str| equated(&equalities, item, column, scope);
            let direct = item.usage.and_then(|usage| Some((usage, self.relation_of(usage)?)));
            if let Some((usage, relation)) = direct.filter(|(_, relation)| !is_view(relation)) {
                let known = |column: &Column| {
                    let operand = value(&self.folded(&column.name)).filter(|operand| self.may_pin(column, *operand));
                    operand.map(|operand| (column.name.clone(), operand))
                };
                let work = relation.columns.len().saturating_mul(equalities.len().min(EQUALS_MAX));
                let equals: Vec<_> = relation.columns.iter().filter_map(known).take(EQUALS_MAX).collect();
                let key = key_columns(relation);
                let operand = |column: &&Column| {
                    value(&self.folded(&column.name)).filter(|operand| self.may_pin(column, *operand))
                };
                let pinned: Option<Vec<Operand>> = key.iter().map(operand).collect();
                let whole = !key.is_empty() && key.len() == relation.key.len();
                self.found.spend(work);
                if let Some(draft) = self.found.drafts.get_mut(usage) {
                    draft.equals = equals;
                }
                if let (true, Some(pinned), Some(draft)) = (whole, pinned, self.found.drafts.get_mut(usage)) {
                    draft.pin = Some(pinned);
                }
                continue;
            }
            for (usage, pinned) in self.pinned_below(item, &value) {
                if let Some(draft) = self.found.drafts.get_mut(usage) {
                    draft.pin = Some(pinned);
                    draft.pinned_above = true;
                }
            }
        }
    }

    /// Relations below a view or a subquery whose whole key its columns show as it is, equated to values.
    fn pinned_below(&mut self, item: &Item, value: &dyn Fn(&str) -> Option<Operand>) -> Vec<(usize, Vec<Operand>)> {
        let mut shown: BTreeMap<usize, BTreeMap<i16, Operand>> = BTreeMap::new();
        self.found.spend(item.rows.columns.len());
        for column in &item.rows.columns {
            let (Some(name), Some((oid, attribute))) = (&column.name, column.plain) else { continue };
            let alone = item.rows.columns.iter().filter(|other| other.name.as_ref() == Some(name)).count() == 1;
            let Some(operand) = value(name).filter(|_| alone && item.rows.open.is_none()) else { continue };
            for atom in column.flow.iter() {
                let of = self.relation_of(atom.usage).filter(|relation| relation.oid == oid);
                let below = of.and_then(|relation| relation.columns.iter().find(|known| known.number == attribute));
                if below.is_some_and(|below| self.may_pin(below, operand)) {
                    shown.entry(atom.usage).or_default().insert(attribute, operand);
                }
            }
        }
        shown
            .into_iter()
            .filter_map(|(usage, columns)| {
                let draft = self.found.drafts.get(usage)?;
                let key = &self.relation_of(usage)?.key;
                // What a window or a set operation below has put beside the key is not pinned by it.
                let free = draft.pin.is_none() && !draft.mixed && draft.copies == 1 && !key.is_empty();
                let pinned = key.iter().map(|attribute| columns.get(attribute).copied()).collect::<Option<Vec<_>>>();
                pinned.filter(|_| free).map(|pinned| (usage, pinned))
            })
            .collect()
    }

    fn relation_of(&self, usage: usize) -> Option<&Relation> {
        let index = self.found.drafts.get(usage)?.relation?;
        self.context.catalog.relations().get(index)
    }

    /// Whether a value of this kind equals at most one value of the column. MySQL compares a string with a number as
    /// numbers, so that one number may equal any number of strings.
    fn may_pin(&self, column: &Column, operand: Operand) -> bool {
        if self.engine() == Engine::Postgres {
            return true;
        }
        match operand {
            Operand::Param(_) => column_types::is_number(column.type_oid),
            Operand::Literal(index) => match self.unit.literals.get(index).map(|(_, literal)| literal.kind) {
                Some(LiteralKind::Number) => column_types::is_number(column.type_oid),
                Some(LiteralKind::String(_)) => !column_types::is_number(column.type_oid),
                Some(LiteralKind::Bits) | None => false,
            },
        }
    }

    fn equalities(&self, expr: &Expr, found: &mut Vec<(Option<String>, String, Operand)>) {
        match expr {
            Expr::Nested(inner) => self.equalities(inner, found),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                self.equalities(left, found);
                self.equalities(right, found);
            }
            Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => self.equality(left, right, found),
            // A list of one value is that value.
            Expr::InList { expr, list, negated: false } => {
                if let Some(value) = self.only_value(list) {
                    self.equality(expr, value, found);
                }
            }
            _ => {}
        }
    }

    /// The value of a list of one. The parser sees only the first of many constants, so that the text is asked.
    pub(super) fn only_value<'e>(&self, list: &'e [Expr]) -> Option<&'e Expr> {
        let [only] = list else { return None };
        let Expr::Value(value) = only else { return None };
        let next = self.unit.tokens.get(bridge::position(value.span)? + 1)?;
        next.is_punct(self.unit.text, ")").then_some(only)
    }

    /// `column = value`, either way round, and rows of them.
    fn equality(&self, left: &Expr, right: &Expr, found: &mut Vec<(Option<String>, String, Operand)>) {
        let (left, right) = (unwrapped(left), unwrapped(right));
        if let (Expr::Tuple(columns), Expr::Tuple(values)) = (left, right)
            && columns.len() == values.len()
        {
            return columns.iter().zip(values).for_each(|(column, value)| self.equality(column, value, found));
        }
        for (column, value) in [(left, right), (right, left)] {
            let column = match column {
                Expr::Identifier(name) => (None, name.value.clone()),
                Expr::CompoundIdentifier(names) => match names.as_slice() {
                    [.., qualifier, name] => (Some(qualifier.value.clone()), name.value.clone()),
                    _ => continue,
                },
                _ => continue,
            };
            if let Some(operand) = self.pinning(value) {
                found.push((column.0, column.1, operand));
            }
        }
    }

    /// A value that stands for itself: a cast may only be one that cannot turn two spellings into one value, or one
    /// spelling into several.
    fn pinning(&self, expr: &Expr) -> Option<Operand> {
        match expr {
            Expr::Nested(inner) => self.pinning(inner),
            Expr::Cast { expr, data_type, .. } => {
                let faithful = matches!(
                    data_type,
                    DataType::Int(None)
                        | DataType::Integer(None)
                        | DataType::BigInt(None)
                        | DataType::SmallInt(None)
                        | DataType::Int2(None)
                        | DataType::Int4(None)
                        | DataType::Int8(None)
                        | DataType::Text
                        | DataType::Uuid
                        | DataType::Varchar(None)
                );
                if faithful { self.operand(expr) } else { None }
            }
            _ => self.operand(expr),
        }
    }
}

/// An expression without the brackets around it.
fn unwrapped(expr: &Expr) -> &Expr {
    let mut inner = expr;
    while let Expr::Nested(nested) = inner {
        inner = nested;
    }
    inner
}

/// The value that a column of an item is equated to. An unqualified name counts only where no other item could be
/// meant.
fn equated(
    equalities: &[(Option<String>, String, Operand)],
    item: &Item,
    column: &str,
    scope: &Scope<'_>,
) -> Option<Operand> {
    let only = || {
        let may_have = |other: &&Item| other.rows.named(column).is_some() || other.rows.open.is_some();
        scope.items.iter().filter(may_have).count() == 1
    };
    let meant = |qualifier: &Option<String>| match qualifier {
        Some(qualifier) => item.alias.as_deref() == Some(qualifier),
        None => only(),
    };
    let found = equalities.iter().find(|(qualifier, name, _)| name == column && meant(qualifier));
    found.map(|(_, _, operand)| *operand)
}
