//! The harness of the end-to-end tests: a throw-away PostgreSQL and MariaDB (or MySQL 9), a `weir` in front of them,
//! clients that speak the protocols byte by byte, and taps that record what passes.
//!
//! What is the same for both protocols is tested with [`engine::Client`], what is one protocol's own with its client.
//!
//! What must never happen here: a process that outlives the test run ([`process::Tied`] ends with us, however we
//! end), a wait without a deadline ([`wait::until`]), and a helper that hides an unexpected reply: every one of
//! them panics with what it saw.
//!
//! ```no_run
//! use weir_tests::{postgres::Postgres, raw::Raw};
//! let postgres = Postgres::shared();
//! let mut client = Raw::login(postgres.address(), "alice", "support");
//! assert_eq!(client.query("select 1").texts(), [["1"]]);
//! ```
// A harness fails by panicking: that is how a test says what went wrong. None of this is linked into the product.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::missing_panics_doc)]
#![allow(clippy::new_without_default)]

pub mod audit;
pub mod engine;
pub mod fixture;
pub mod frames;
pub mod mysql;
pub mod net;
pub mod policies;
pub mod postgres;
pub mod process;
pub mod raw;
pub mod scram;
pub mod scratch;
pub mod tap;
pub mod target;
pub mod tools;
pub mod wait;
pub mod weir;
