//! PostgreSQL's frontend/backend protocol 3.0 and 3.2.
//! <https://www.postgresql.org/docs/current/protocol.html>

pub mod auth;
mod client;
mod copy;
pub mod engine;
pub mod error;
pub mod frame;
pub mod login;
pub mod prepared;
pub mod row;
pub mod scram;
pub mod startup;
#[cfg(test)]
mod tests;
mod told;
mod upstream;

pub use engine::{Limits, PgEngine};
pub use prepared::Binding;
pub use row::{ColumnShape, RowShape};
