//! Programs that dump tables of MySQL's: what their SELECT looks like.
//!
//! `mysqldump`, `mariadb-dump`, `mydumper` and those that came after them read a table whole and ask that its rows push
//! nothing out of the query cache. An application reads so, too, but not both of a whole table and without the cache.
//! <https://dev.mysql.com/doc/refman/en/mysqldump.html>

use sqlparser::ast::{Expr, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement, TableFactor};

use super::bridge::Uncached;
use super::found::Found;
use super::uses;
use crate::statement::{Access, Columns};

/// Whether a statement that keeps its rows out of the cache takes a table out: plain columns of one relation, as many
/// rows as there are. A condition (`--where`, pieces of a big table) is the program's where the word stands in a
/// versioned comment.
pub(super) fn is_dump(statement: &Statement, uncached: Uncached) -> bool {
    let Statement::Query(query) = statement else { return false };
    let Query { with: None, body, limit_clause: None, fetch: None, .. } = query.as_ref() else { return false };
    let SetExpr::Select(select) = body.as_ref() else { return false };
    let Select { distinct: None, having: None, from, projection, selection, group_by, .. } = select.as_ref() else {
        return false;
    };
    let [table] = from.as_slice() else { return false };
    let relation = matches!(&table.relation, TableFactor::Table { args: None, .. }) && table.joins.is_empty();
    let grouped = !matches!(group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty());
    let plain = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::Wildcard(_)
                | SelectItem::QualifiedWildcard(..)
                | SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        )
    };
    relation && !grouped && projection.iter().all(plain) && (selection.is_none() || uncached == Uncached::Versioned)
}

/// What is let out is exported as well as read: its rows are counted as those of a read, and rules speak of both.
pub(super) fn exports(found: &mut Found, first: usize) {
    let leaving =
        |draft: &&uses::Draft| draft.access == Access::Read && draft.released != Columns::None && draft.pin.is_none();
    let exported: Vec<uses::Draft> = found.drafts.iter().skip(first).filter(leaving).cloned().collect();
    for mut draft in exported {
        draft.access = Access::Export;
        draft.keeps();
        found.draft(draft);
    }
}
