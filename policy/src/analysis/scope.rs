//! Names that an expression can see: columns of FROM items, of outer queries, of common table expressions.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use super::uses::{Atom, Flow};

/// One column of some rows.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// `None`: the server made a name up that nothing here predicts.
    pub(super) name: Option<Rc<str>>,
    pub(super) flow: Flow,
    /// The column of a table, by its OID and attribute number, whose value it is unchanged and alone. OID 0: the
    /// column of a common table expression in its own definition.
    pub(super) plain: Option<(u32, i16)>,
}

impl Column {
    /// A column that is computed, or not known to be plain.
    pub(super) fn new(name: Option<Rc<str>>, flow: Flow) -> Column {
        Column { name, flow, plain: None }
    }
}

/// What a query, a relation or a function yields.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
    /// Values of columns that are not listed; `None` when every column is.
    pub(super) open: Option<Flow>,
    /// The columns do not stand at the places that the server gives them.
    pub(super) unordered: bool,
}

impl Rows {
    /// Rows of unknown columns with these values.
    pub(super) fn open(flow: Flow) -> Rows {
        Rows { columns: Vec::new(), open: Some(flow), unordered: true }
    }

    /// Every value of every column.
    pub(super) fn all(&self) -> Flow {
        let mut flows = self.columns.iter().map(|column| &column.flow).chain(self.open.as_ref());
        let Some(first) = flows.next() else { return Flow::default() };
        let mut all = first.clone();
        for flow in flows {
            all = join(&all, flow);
        }
        all
    }

    /// The uses that its values come from.
    pub(super) fn usages(&self) -> BTreeSet<usize> {
        let flows = self.columns.iter().map(|column| &column.flow).chain(self.open.as_ref());
        flows.flat_map(|flow| flow.iter().map(|atom| atom.usage)).collect()
    }

    /// Values of the column of this name; `None` when there is none.
    pub(super) fn named(&self, name: &str) -> Option<Flow> {
        let mut found: Option<Flow> = None;
        for column in self.columns.iter().filter(|column| column.name.as_deref() == Some(name)) {
            found = Some(found.map_or_else(|| column.flow.clone(), |found| join(&found, &column.flow)));
        }
        found
    }

    /// Values of the columns whose names nobody knows; `None` when there is none such.
    pub(super) fn unnamed(&self) -> Option<Flow> {
        let mut found = self.open.clone();
        for column in self.columns.iter().filter(|column| column.name.is_none()) {
            found = Some(found.map_or_else(|| column.flow.clone(), |found| join(&found, &column.flow)));
        }
        found
    }

    /// Gives the first columns new names, as `AS t(a, b)` does.
    pub(super) fn rename(mut self, names: &[Rc<str>]) -> Rows {
        if names.is_empty() {
            return self;
        }
        if self.unordered || self.open.is_some() {
            let all = self.all();
            let mut columns: Vec<Column> =
                names.iter().map(|name| Column::new(Some(name.clone()), all.clone())).collect();
            columns.append(&mut self.columns);
            return Rows { columns, open: self.open, unordered: true };
        }
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.name = Some(name.clone());
        }
        self
    }

    /// The same rows with each value's origin changed.
    pub(super) fn map(mut self, change: impl Fn(&Atom) -> Atom) -> Rows {
        for column in &mut self.columns {
            column.flow = map(&column.flow, &change);
        }
        self.open = self.open.map(|flow| map(&flow, &change));
        self
    }
}

/// A flow with each atom changed.
pub(super) fn map(flow: &Flow, change: &impl Fn(&Atom) -> Atom) -> Flow {
    if flow.is_empty() { flow.clone() } else { Rc::new(flow.iter().map(change).collect()) }
}

/// Both flows.
pub(super) fn join(left: &Flow, right: &Flow) -> Flow {
    if right.is_empty() || Rc::ptr_eq(left, right) || right.is_subset(left) {
        return left.clone();
    }
    if left.is_empty() {
        return right.clone();
    }
    Rc::new(left.union(right).cloned().collect())
}

/// A flow of one atom.
pub(super) fn single(atom: Atom) -> Flow {
    Rc::new(BTreeSet::from([atom]))
}

/// One item of a FROM clause.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Name that it goes by.
    pub(super) alias: Option<Rc<str>>,
    /// Schema, where it may be named with one.
    pub(super) schema: Option<Rc<str>>,
    pub(super) rows: Rows,
    /// The use, when it is a relation read in its own name.
    pub(super) usage: Option<usize>,
}

/// Common table expressions in sight, nearest first.
#[derive(Debug, Default)]
pub(super) struct Ctes<'a> {
    pub(super) list: Vec<(Rc<str>, Rows)>,
    pub(super) outer: Option<&'a Ctes<'a>>,
}

impl Ctes<'_> {
    pub(super) fn find(&self, name: &str) -> Option<&Rows> {
        let here = self.list.iter().rev().find(|(known, _)| &**known == name).map(|(_, rows)| rows);
        here.or_else(|| self.outer.and_then(|outer| outer.find(name)))
    }

    /// As [`find`](Ctes::find), without regard to case.
    pub(super) fn find_in_any_case(&self, name: &str) -> Option<&Rows> {
        let name_folded = name.to_lowercase();
        let is = |known: &str| known.to_lowercase() == name_folded;
        let here = self.list.iter().rev().find(|(known, _)| is(known)).map(|(_, rows)| rows);
        here.or_else(|| self.outer.and_then(|outer| outer.find_in_any_case(name)))
    }
}

/// What the expressions of one SELECT can see.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    pub(super) items: Vec<Item>,
    pub(super) outer: Option<&'a Scope<'a>>,
    pub(super) ctes: &'a Ctes<'a>,
    /// USING and NATURAL columns: `*` shows them once.
    pub(super) merged: bool,
    /// The SELECT has groups.
    pub(super) grouped: Cell<bool>,
    /// Relations, by number, of which a group holds rows of one key.
    pub(super) keyed: RefCell<BTreeSet<u32>>,
    /// Something in it depends on an outer row.
    pub(super) correlated: Cell<bool>,
    /// A query inside has asked it, or a level around it, for a column.
    pub(super) asked: Cell<bool>,
    /// Output columns, where conditions of the SELECT may name them: GROUP BY and HAVING in MySQL.
    pub(super) output: Option<Rows>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Meaning {
    /// A column, or several that a join merged.
    Column(Flow),
    /// A whole row of an item.
    Row(Flow),
    /// A name that the item does not have: a system column, or a function written like a column.
    Member(Flow),
    /// Nothing in sight.
    Unknown,
}

impl<'a> Scope<'a> {
    pub(super) fn new(outer: Option<&'a Scope<'a>>, ctes: &'a Ctes<'a>) -> Scope<'a> {
        Scope {
            items: Vec::new(),
            outer,
            ctes,
            merged: false,
            grouped: Cell::new(false),
            keyed: RefCell::default(),
            correlated: Cell::new(false),
            asked: Cell::new(false),
            output: None,
        }
    }

    /// What an unqualified name means: a column at any level first, then a whole row, as the server looks it up.
    /// Columns of an unknown set, met on the way, may have the name too.
    pub(super) fn resolve(&self, name: &str) -> Meaning {
        let mut unnamed: Option<Flow> = None;
        let column = self.climb(&mut |scope| {
            let mut found: Option<Flow> = None;
            for item in &scope.items {
                if let Some(flow) = item.rows.named(name) {
                    found = Some(found.map_or_else(|| flow.clone(), |found| join(&found, &flow)));
                }
                if let Some(flow) = item.rows.unnamed() {
                    unnamed = Some(unnamed.take().map_or_else(|| flow.clone(), |known| join(&known, &flow)));
                }
            }
            if let Some(flow) = scope.output.as_ref().and_then(|rows| rows.named(name)) {
                found = Some(found.map_or_else(|| flow.clone(), |found| join(&found, &flow)));
            }
            found
        });
        let with_unnamed =
            |flow: Flow, unnamed: Option<Flow>| unnamed.map_or_else(|| flow.clone(), |unnamed| join(&flow, &unnamed));
        if let Some(flow) = column {
            return Meaning::Column(with_unnamed(flow, unnamed));
        }
        if let Some(flow) = self.climb(&mut |scope| scope.item(name).map(|item| item.rows.all())) {
            return Meaning::Row(with_unnamed(flow, unnamed));
        }
        unnamed.map_or(Meaning::Unknown, Meaning::Column)
    }

    /// What `qualifier.name` means.
    pub(super) fn resolve_in(&self, schema: Option<&str>, qualifier: &str, name: &str) -> Meaning {
        self.climb(&mut |scope| {
            // Names of items that differ in case only may be two in MySQL: each may be meant.
            let mut items = scope.qualified(schema, qualifier).peekable();
            items.peek()?;
            let (mut column, mut member) = (None, Flow::default());
            for item in items {
                match item.rows.named(name).or_else(|| item.rows.unnamed()) {
                    Some(flow) => column = Some(column.map_or_else(|| flow.clone(), |known| join(&known, &flow))),
                    None => member = join(&member, &item.rows.all()),
                }
            }
            Some(column.map_or(Meaning::Member(member), Meaning::Column))
        })
        .unwrap_or(Meaning::Unknown)
    }

    /// The column of a table that a name stands for, if it can only be that one.
    pub(super) fn plain(&self, qualifier: Option<&str>, name: &str) -> Option<(u32, i16)> {
        let mut scope = self;
        loop {
            let mut columns = Vec::new();
            for item in &scope.items {
                if qualifier.is_some_and(|qualifier| item.alias.as_deref() != Some(qualifier)) {
                    continue;
                }
                let named = item.rows.columns.iter().filter(|column| column.name.as_deref() == Some(name));
                columns.extend(named.map(|column| column.plain));
                if item.rows.unnamed().is_some() {
                    return None;
                }
            }
            match columns.as_slice() {
                [] => scope = scope.outer?,
                [only] => return *only,
                _ => return None,
            }
        }
    }

    /// The rows of `qualifier.*`.
    pub(super) fn rows_of(&self, schema: Option<&str>, qualifier: &str) -> Option<Rows> {
        self.climb(&mut |scope| {
            let mut items = scope.qualified(schema, qualifier);
            let first = items.next()?.rows.clone();
            Some(match items.next() {
                None => first,
                Some(second) => Rows::open(
                    items.fold(join(&first.all(), &second.rows.all()), |all, item| join(&all, &item.rows.all())),
                ),
            })
        })
    }

    /// Every value in sight at the nearest level that has any: for what nobody understands.
    pub(super) fn everything(&self) -> Flow {
        self.climb(&mut |scope| {
            (!scope.items.is_empty())
                .then(|| scope.items.iter().fold(Flow::default(), |all, item| join(&all, &item.rows.all())))
        })
        .unwrap_or_default()
    }

    /// Asks each level, nearest first; levels that are passed depend on what answers.
    fn climb<T>(&self, ask: &mut dyn FnMut(&Scope<'a>) -> Option<T>) -> Option<T> {
        let mut scope = self;
        loop {
            if let Some(answer) = ask(scope) {
                let mut inner = self;
                while !std::ptr::eq(inner, scope) {
                    inner.correlated.set(true);
                    let Some(outer) = inner.outer else { break };
                    outer.asked.set(true);
                    inner = outer;
                }
                return Some(answer);
            }
            scope = scope.outer?;
        }
    }

    fn item(&self, name: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.alias.as_deref() == Some(name))
    }

    fn qualified<'s>(&'s self, schema: Option<&'s str>, qualifier: &'s str) -> impl Iterator<Item = &'s Item> {
        self.items.iter().filter(move |item| {
            item.alias.as_deref() == Some(qualifier) && (schema.is_none() || item.schema.as_deref() == schema)
        })
    }
}
