//! By which doors something sensitive may leave with a statement.

use std::fmt;

use crate::exposure::{Exposure, Manner};
use crate::statement::{Access, Coverage, StatementAnalysis, Verb};

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Door {
    /// Rows of the result, or a setting or message that the statement publishes.
    Rows,
    /// The stream of COPY … TO STDOUT.
    Copy,
    /// Where nobody can follow it: a file, a program, another server.
    Elsewhere,
    /// Other rows, which are read later.
    OtherRows,
    /// Errors and notices of the server, which may name a value.
    Messages,
    /// Nobody can tell: it is not understood.
    Unknown,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Door::Rows => "rows of the result",
            Door::Copy => "the stream of COPY",
            Door::Elsewhere => "a file, a program or another server, where nobody can follow it",
            Door::OtherRows => "other rows, which are read later",
            Door::Messages => "errors and notices of the server that name a value",
            Door::Unknown => "any, as far as is known",
        })
    }
}

/// The doors of a statement that exposes this.
pub(super) fn doors(statements: &[StatementAnalysis], exposure: &Exposure) -> Vec<Door> {
    let touched = exposure.touched();
    let leaves = touched.iter().any(|exposed| exposed.manner != Manner::Used && !exposed.copied);
    let copied = touched.iter().any(|exposed| exposed.copied);
    let copy = statements.iter().any(|statement| statement.verb == Verb::Copy);
    let elsewhere = touched.iter().any(|exposed| exposed.unfollowed);
    let exports = touched.iter().any(|exposed| exposed.access == Access::Export);
    let mut doors = Vec::new();
    let mut add = |door, is_open: bool| doors.extend(is_open.then_some(door));
    add(Door::Rows, leaves && !copy);
    add(Door::Copy, leaves && copy && exports && !elsewhere);
    add(Door::Elsewhere, elsewhere);
    add(Door::OtherRows, copied && !elsewhere);
    add(Door::Messages, !touched.is_empty());
    let opaque = statements.iter().any(|statement| statement.coverage == Coverage::Opaque);
    add(Door::Unknown, exposure.opaque().is_some() && opaque);
    doors
}
