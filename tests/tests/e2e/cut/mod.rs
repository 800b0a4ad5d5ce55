//! Budgets, to the row: what the client received, what the log says, and the session afterwards.

mod clients;
mod sharing;
mod states;

use std::collections::BTreeSet;

use weir_tests::policies::{BUDGET_MESSAGE, Budgeted, DENIED};
use weir_tests::postgres::Postgres;
use weir_tests::raw::{Raw, Reply};
use weir_tests::target::Target;
use weir_tests::weir::WeirOptions;

/// A Weir over the shared support database, with this policy.
fn desk(policy: &Budgeted) -> Target {
    Target::front(Postgres::shared(), &WeirOptions::policy(policy.yaml()))
}

fn login(desk: &Target, user: &str) -> Raw {
    Raw::login(desk.address(), user, "support")
}

/// The reply ends in the operator's refusal and nothing after it; returns how many rows came before.
#[track_caller]
fn assert_denied(reply: &Reply) -> usize {
    let error = reply.error();
    assert_eq!(error.sqlstate, DENIED, "{error:?}");
    assert_eq!(error.severity, "ERROR");
    assert!(error.message.contains(BUDGET_MESSAGE), "the operator's words are missing: {error:?}");
    let everything = format!("{} {} {}", error.message, error.detail, error.hint);
    assert!(everything.contains("W-"), "no reference that an analyst can look up: {error:?}");
    let position = reply.messages.iter().position(|message| message.tag == b'E').expect("there is one");
    let after: Vec<char> = reply.messages[position + 1..].iter().map(|message| char::from(message.tag)).collect();
    assert!(matches!(after.as_slice(), [] | ['Z']), "messages after the refusal: {after:?}");
    reply.rows()
}

/// The session works.
#[track_caller]
fn assert_usable(client: &mut Raw) {
    assert_eq!(client.query("select 'usable'").fine().column(), ["usable"]);
    assert_eq!(client.extended("select $1::text", &["usable too"]).fine().column(), ["usable too"]);
}

/// Distinct values of the first column.
fn distinct<'a>(replies: impl IntoIterator<Item = &'a Reply>) -> BTreeSet<String> {
    replies.into_iter().flat_map(Reply::column).collect()
}
