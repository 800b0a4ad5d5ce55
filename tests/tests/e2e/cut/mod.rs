//! Budgets, to the row: what the client received, what the log says, and the session afterwards.
//!
//! What both protocols promise is written once, over [`Client`]; `postgres` and `mysql` have the states of their own.

mod clients;
mod extractions;
mod mysql;
mod postgres;
mod rows;
mod scenarios;
mod sharing;

use std::collections::BTreeSet;

use weir_tests::engine::{Answer, Client, Engine};
use weir_tests::policies::{BUDGET_MESSAGE, Budgeted};
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

/// A Weir over the shared support database, with this policy.
fn desk(engine: Engine, policy: &Budgeted) -> Target {
    Target::front(engine.server(), &WeirOptions::policy(policy.clone().on(engine).yaml()))
}

#[track_caller]
fn login(engine: Engine, desk: &Target, user: &str) -> Client {
    Client::login(engine, desk.address(), user, "support")
}

/// The answer ends in the operator's refusal; returns how many rows came before.
#[track_caller]
fn assert_denied(answer: &Answer) -> usize {
    let error = answer.error();
    assert!(error.denied, "{error:?}");
    assert!(error.message.contains(BUDGET_MESSAGE), "the operator's words are missing: {error:?}");
    assert!(error.message.contains("W-"), "no reference that an analyst can look up: {error:?}");
    assert_eq!(answer.lost, None);
    answer.rows.len()
}

/// Distinct values of the first column.
fn distinct<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> BTreeSet<String> {
    answers.into_iter().flat_map(Answer::column).collect()
}
