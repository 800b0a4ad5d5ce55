//! Set operations and recursion: rows that come from one side or the other, or from rounds before.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use sqlparser::ast::{Cte, SetExpr};

use super::asks::part;
use super::lineage::Walker;
use super::scope::{Column, Ctes, Rows, Scope};
use super::uses::{Atom, Flow};

impl Walker<'_> {
    /// A recursive term can move values between columns at each round, so each column may hold what any holds.
    pub(super) fn recursive_cte(
        &mut self,
        cte: &Cte,
        name: &Rc<str>,
        outer: Option<&Scope<'_>>,
        own: &Ctes<'_>,
    ) -> Rows {
        let SetExpr::SetOperation { left, right, .. } = &*cte.query.body else {
            return self.query(&cte.query, outer, own);
        };
        if cte.query.with.is_some() {
            // Rare: the names are still all found, and everything that is found may be anywhere.
            let mut inner = Ctes { list: vec![(name.clone(), Rows::open(Flow::default()))], outer: Some(own) };
            if let Some(with) = &cte.query.with {
                self.with(with, outer, &mut inner);
            }
            let rows = self.set_expr(&cte.query.body, None, outer, &inner);
            self.found.mix(&rows.all());
            return spread(rows);
        }
        let first = self.set_expr(left, None, outer, own);
        let names = self.alias_columns(&cte.alias);
        let base = spread(first.rename(&names));
        let mut round = base.clone();
        for (column, place) in round.columns.iter_mut().zip(1..) {
            column.plain = Some((0, place));
        }
        let inner = Ctes { list: vec![(name.clone(), round)], outer: Some(own) };
        let mut second = self.set_expr(right, None, outer, &inner);
        // A value that is computed in each round may gather what the rounds before have found.
        if second.open.is_some()
            || second.columns.iter().any(|column| column.plain.is_none() && !column.flow.is_empty())
        {
            second = second.map(|atom| Atom { pack: atom.pack.grouped(), ..atom.clone() });
        }
        // A round may gather the values of the rounds before.
        self.found.mix(&base.all());
        self.found.mix(&second.all());
        self.limits(&cte.query, outer, &inner);
        let all = self.join(&base.all(), &second.all());
        Rows {
            columns: base.columns.into_iter().map(|column| Column::new(column.name, all.clone())).collect(),
            open: base.open.map(|_| all.clone()),
            unordered: base.unordered,
        }
    }

    /// A row of a set operation comes from one side: where both read one relation, it holds a row of one of them.
    /// What either side took from the queries around it stands beside the row, and is left out.
    pub(super) fn alternatives(&mut self, left: &Rows, of_left: Range<usize>, right: &Rows, of_right: usize) {
        let (left, right) = (left.usages(), right.usages());
        self.found.spend(left.len() + right.len());
        let drafts = &mut self.found.drafts;
        for usage in left.iter().chain(&right) {
            if let Some(draft) = drafts.get_mut(*usage) {
                draft.mixed = true;
            }
        }
        let relation = |usage: usize| drafts.get(usage).and_then(|draft| draft.relation);
        let mut first = HashMap::new();
        for usage in left.into_iter().filter(|usage| of_left.contains(usage)) {
            if let Some(relation) = relation(usage) {
                first.entry(relation).or_insert(usage);
            }
        }
        for usage in right.into_iter().filter(|usage| *usage >= of_right) {
            if let Some(left) = relation(usage).and_then(|relation| first.remove(&relation)) {
                self.found.alternatives.insert((left, usage));
            }
        }
    }

    pub(super) fn union(&mut self, left: Rows, right: Rows) -> Rows {
        self.found.spend(left.columns.len() + 1);
        let in_order = !left.unordered
            && !right.unordered
            && left.open.is_none()
            && right.open.is_none()
            && left.columns.len() == right.columns.len();
        if in_order {
            let columns = left
                .columns
                .into_iter()
                .zip(right.columns)
                .map(|(left, right)| {
                    let both = self.join(&left.flow, &right.flow);
                    // Among constants, the place that a sort gives a value tells what it is between.
                    let among_constants = left.flow.is_empty() != right.flow.is_empty();
                    Column::new(left.name, if among_constants { part(&both) } else { both })
                })
                .collect();
            return Rows { columns, open: None, unordered: false };
        }
        let all = self.join(&left.all(), &right.all());
        let columns = left.columns.into_iter().map(|column| Column::new(column.name, all.clone())).collect();
        let open =
            (left.open.is_some() || right.open.is_some() || left.unordered || right.unordered).then(|| all.clone());
        Rows { columns, open, unordered: true }
    }
}

/// Each column holds what any holds.
fn spread(rows: Rows) -> Rows {
    let all = rows.all();
    Rows {
        columns: rows.columns.into_iter().map(|column| Column::new(column.name, all.clone())).collect(),
        open: rows.open.map(|_| all),
        unordered: rows.unordered,
    }
}
