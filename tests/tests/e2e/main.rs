//! The end-to-end tests, in one binary so that they share one server of each kind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod acts;
mod bad_input;
mod behaviour;
mod benign;
mod bypass;
mod copies;
mod cut;
mod door;
mod door_mysql;
mod drivers;
mod evade;
mod harness;
mod must_allow;
mod people;
mod tidy;
mod tls;
mod transparency;
