//! The trunk of Weir: listeners, sessions, and everything that has effects.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod admin;
pub mod alert;
pub mod analyses;
pub mod approvals;
pub mod audit;
pub mod budgets;
pub mod canaries;
pub mod cancel;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod control;
pub mod copies;
pub mod end;
pub mod holds;
pub mod identity;
pub mod listener;
pub mod monitor;
pub mod mysql;
pub mod policies;
pub mod route;
pub mod rsa;
pub mod run;
pub mod session;
pub mod telemetry;
pub mod tls;
