//! Names: the parts of a dotted one, and what an output column is called and made of.

use std::rc::Rc;

use sqlparser::ast::{Expr, GroupByExpr, ObjectName, ObjectNamePart};

use super::scope::Scope;
use crate::relation::Engine;

/// The parts of a dotted name.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .filter_map(|part| match part {
            ObjectNamePart::Identifier(part) => Some(part.value.clone()),
            ObjectNamePart::Function(_) => None,
        })
        .collect()
}

/// Whether a row of the result is one of several groups. ROLLUP, CUBE and GROUPING SETS may hold the empty set: one row
/// of everything.
pub(super) fn is_grouped(group_by: &GroupByExpr) -> bool {
    let GroupByExpr::Expressions(exprs, modifiers) = group_by else { return false };
    let splits = |expr: &Expr| match expr {
        Expr::Rollup(_) | Expr::Cube(_) => false,
        Expr::GroupingSets(sets) => sets.iter().all(|set| !set.is_empty()),
        Expr::Tuple(parts) => !parts.is_empty(),
        _ => true,
    };
    modifiers.is_empty() && exprs.iter().any(splits)
}

/// The column of a table that an expression is, and nothing else.
pub(super) fn plain(expr: &Expr, scope: &Scope<'_>) -> Option<(u32, i16)> {
    match expr {
        Expr::Identifier(name) => scope.plain(None, &name.value),
        Expr::CompoundIdentifier(names) => match names.as_slice() {
            [qualifier, name] => scope.plain(Some(&qualifier.value), &name.value),
            _ => None,
        },
        _ => None,
    }
}

/// The name that the server gives an output column, where it follows from the expression.
pub(super) fn output_name(expr: &Expr, engine: Engine) -> Option<Rc<str>> {
    let computed = !matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Nested(_));
    if engine == Engine::Mysql && computed {
        // The text of the expression.
        return None;
    }
    match expr {
        Expr::Identifier(name) => Some(name.value.as_str().into()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.as_str().into()),
        Expr::Function(function) => parts(&function.name).pop().map(Rc::from),
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => output_name(inner, engine),
        Expr::Cast { expr, .. } => output_name(expr, engine),
        Expr::Exists { .. } => Some("exists".into()),
        _ => None,
    }
}
