//! The audit log: append, prove, read.
//!
//! Knows nothing of databases or policy: an [`Event`] is plain strings and numbers. No runtime: one
//! writer thread per store, and callers that never wait for it.

mod admin;
mod checkpoint;
mod copy;
#[cfg(test)]
mod crash_tests;
mod encode;
mod error;
pub mod event;
mod export;
mod observed;
mod publish;
mod query;
mod reader;
mod recover;
mod segment;
mod storage;
mod store;
mod subject;
mod taken;
#[cfg(test)]
mod tamper_tests;
mod tree;
mod verify;
mod writer;

pub use checkpoint::{Checkpoint, PublicKey};
pub use encode::{RECORD_BYTES_MAX, Record, is_safe_to_show};
pub use error::StoreError;
pub use event::Event;
pub use export::{OCSF_VERSION, Ocsf, deciding, sentence};
pub use query::{Filter, Found, RESULTS_MAX, search, search_by};
pub use reader::{Entry, ReadError, Reader};
pub use recover::Recovery;
pub use store::{Options, State, Store, Trouble, Urgency, Watcher, Watermark};
pub use verify::{FINDINGS_MAX, Finding, Progress, Report, verify, verify_with};
