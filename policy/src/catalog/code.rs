//! Code of a database that runs without being named: behind triggers, rules, defaults, operators, casts, domains.
//!
//! What must never happen here: a function that the server would run and that nobody is told of. Where it is not known
//! whether something runs, it is taken to.

use std::collections::HashMap;
use std::sync::Arc;

/// When a function's result may be used again, as its definition promises.
/// <https://www.postgresql.org/docs/current/xfunc-volatility.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Volatility {
    /// Never: it only runs when the statement does.
    #[default]
    Volatile,
    /// Within a statement: the planner may run it for an estimate.
    Stable,
    /// Always: the planner runs it, and the plan shows what it returned.
    Immutable,
}

/// A function that is not part of the server itself.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Schema it lives in.
    pub schema: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Language: `sql`, `plpgsql`, `c`, …
    pub language: Arc<str>,
    /// Body text for SQL-like languages; `None` when it cannot be read.
    pub body: Option<String>,
    /// Whether an extension owns it.
    pub from_extension: bool,
    /// Whose rights it runs with, where those are not its caller's: SECURITY DEFINER.
    pub definer: Option<Arc<str>>,
    /// MySQL: the `sql_mode` under which its body is read and run; `None` when it is not known.
    pub sql_mode: Option<Arc<str>>,
    /// The server's number for it; 0 where the engine has none.
    pub oid: u32,
    /// Names of its arguments, and of the columns that it returns.
    pub arguments: Vec<Arc<str>>,
    /// The search path that it sets for itself, as names are looked up in it; `None`: that of its caller.
    pub search_path: Option<Vec<String>>,
    /// When the planner may run it.
    pub volatility: Volatility,
    /// It makes one value of many rows.
    pub is_aggregate: bool,
    /// Functions that run with it and that its body does not name: what its arguments default to, and an aggregate's
    /// own.
    pub calls: Vec<u32>,
    /// Types of its arguments and of what it returns, where those are of the database's own.
    pub types: Vec<u32>,
}

/// What happens to a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Rows are read.
    Read,
    /// Rows are added.
    Insert,
    /// Rows are changed.
    Update,
    /// Rows are taken away.
    Delete,
    /// All rows are taken away at once.
    Truncate,
    /// It is looked after: ANALYZE, REINDEX, CREATE INDEX, REFRESH.
    Maintain,
}

/// What becomes of the value that a hook computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It decides whether something may be done, or where a row is found.
    Condition,
    /// It stands in the row.
    Value,
    /// The row is what the function returns: a trigger before each row.
    Row,
    /// Nobody sees it: a trigger behind what it follows.
    Aside,
    /// Statements that run too, or instead, and whose rows the client receives.
    Rule,
}

/// Something that runs when something happens to a relation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hook {
    /// When.
    pub on: Vec<Moment>,
    /// What becomes of its value.
    pub role: Role,
    /// What it is, for the way by which something is reached: `trigger audit on support.customers`.
    pub label: Arc<str>,
    /// Functions of the database's own that it runs.
    pub functions: Vec<u32>,
    /// Its text, where the server writes it as SQL.
    pub text: Option<String>,
}

/// An operator that is not part of the server itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// Functions behind it.
    pub functions: Vec<u32>,
    /// Types of the database's own that it takes; empty: whoever writes its name may mean it.
    pub types: Vec<u32>,
}

/// A type that runs functions of the database's own: when it is cast to, compared, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Its name.
    pub name: Arc<str>,
    /// What it may run.
    pub functions: Vec<u32>,
}

/// Everything that runs without being named.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// By number of the relation.
    pub hooks: HashMap<u32, Vec<Hook>>,
    /// Relations whose rows go or change with those of this one, by number.
    pub cascades: HashMap<u32, Vec<u32>>,
    /// Functions that the definition of a view runs, whether it names them or not.
    pub views: HashMap<u32, Vec<u32>>,
    /// By name.
    pub operators: HashMap<Arc<str>, Vec<Operator>>,
    /// By number.
    pub types: HashMap<u32, Type>,
    /// Functions that run behind statements of DDL.
    pub events: Vec<u32>,
    /// Functions of casts between types of the server's own, which no statement need mention.
    pub ambient: Vec<u32>,
}

impl Code {
    /// Numbers of the types that have this name and run something.
    pub(crate) fn types_named<'c>(&'c self, name: &'c str) -> impl Iterator<Item = u32> + 'c {
        self.types.iter().filter(move |(_, of)| *of.name == *name).map(|(oid, _)| *oid)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hooks.is_empty()
            && self.cascades.is_empty()
            && self.views.is_empty()
            && self.operators.is_empty()
            && self.types.is_empty()
            && self.events.is_empty()
            && self.ambient.is_empty()
    }
}
