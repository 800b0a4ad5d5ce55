//! The audit log: append, prove, read.
//!
//! Knows nothing of databases or policy: an [`Event`](event::Event) is plain strings and numbers. No runtime: one
//! writer thread per store, and callers that never wait for it.

mod encode;
mod error;
pub mod event;
mod subject;

pub use encode::{RECORD_BYTES_MAX, Record};
pub use error::StoreError;
pub use event::Event;
