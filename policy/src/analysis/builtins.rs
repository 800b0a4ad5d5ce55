//! What servers ship: functions, operators, and what the dangerous ones among them do.

mod mysql;
mod postgres;

use std::collections::HashSet;
use std::sync::OnceLock;

use crate::relation::Engine;

/// What a function does that its arguments do not show as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Runs or reads what its arguments name: SQL text, relation names.
    Named,
    /// Reads something that has no name in any catalog: files, large objects, another server, the log.
    Elsewhere,
    /// Sets a variable of the session.
    SetConfig,
}

/// What becomes of the values that go into a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// They come out, one row's in one row.
    Through,
    /// Many rows' values come out in one.
    Packed,
    /// They do not come out.
    Summed,
    /// What comes out is a sum, a mean, or of their kind: over one record, its value.
    Totalled,
}

/// How a function puts its arguments where they can be read without being returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Published {
    /// Each value that it is given.
    Values,
    /// One value: the statement ends with it, in the text of an error.
    OneValue,
}

/// Whether the server ships a function of this name.
pub(super) fn is_function(engine: Engine, name: &str) -> bool {
    static POSTGRES: OnceLock<HashSet<&'static str>> = OnceLock::new();
    static MYSQL: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let (names, list) = match engine {
        Engine::Postgres => (&POSTGRES, postgres::FUNCTIONS),
        Engine::Mysql => (&MYSQL, mysql::FUNCTIONS),
    };
    names.get_or_init(|| list.lines().collect()).contains(name)
}

/// Whether the server ships an operator of this name.
pub(super) fn is_operator(engine: Engine, name: &str) -> bool {
    match engine {
        Engine::Postgres => postgres::OPERATORS.contains(&name),
        // Nobody can add one.
        Engine::Mysql => true,
    }
}

/// What a function reaches beside its arguments' values; `None` for an ordinary one.
pub(super) fn reach(engine: Engine, name: &str) -> Option<Reach> {
    match engine {
        Engine::Postgres => postgres::reach(name),
        Engine::Mysql => mysql::reach(name),
    }
}

/// Whether a built-in function puts its arguments where they can be read without being returned: a setting of the session,
/// a message to other sessions, the text of an error.
pub(super) fn publishes(engine: Engine, name: &str) -> Option<Published> {
    match engine {
        Engine::Postgres => postgres::publishes(name).then_some(Published::Values),
        Engine::Mysql => mysql::publishes(name),
    }
}

/// What becomes of a built-in function's arguments.
pub(super) fn passing(engine: Engine, name: &str) -> Passing {
    match engine {
        Engine::Postgres => postgres::passing(name),
        Engine::Mysql => mysql::passing(name),
    }
}

/// Whether a call without OVER makes one row of many.
pub(super) fn is_aggregate(engine: Engine, name: &str) -> bool {
    match engine {
        Engine::Postgres => postgres::is_aggregate(name),
        Engine::Mysql => mysql::is_aggregate(name),
    }
}
