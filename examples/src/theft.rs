//! Two ways of stealing 68,000 customers: all at once (S1), and with patience (S2).

use std::collections::HashSet;
use std::time::Instant;

use crate::client::{Refusal, Session};
use crate::failure::Failure;
use crate::postgres::CUSTOMERS;
use crate::stage::{Released, Stage, Verdict, Whose, reference};
use crate::story::{Story, number};

/// Rows of one page of the patient thief: below what looks like an export.
const PAGE: u64 = 150;

/// How often the patient thief comes back after being refused, before giving up.
const STUBBORN: usize = 12;

/// The accounts of the patient thief: two of the same person.
const ACCOUNTS: [&str; 2] = ["alice", "alice_report"];

/// The account of the thief in a hurry.
const HURRIED: &str = "bob";

/// What came of a theft.
#[derive(Debug, Default)]
pub(crate) struct Theft {
    /// Rows that the thief received.
    pub(crate) rows: u64,
    /// Distinct customers among them.
    pub(crate) records: u64,
    /// Sessions opened.
    pub(crate) sessions: u64,
    /// Statements sent.
    pub(crate) statements: u64,
    /// Whether every session that was told no still answered; `None` when none was.
    pub(crate) session_usable_after: Option<bool>,
    /// Seconds from sending the statement to the alert's line in the file.
    pub(crate) seconds_to_alert: Option<f64>,
    /// What the log says of it.
    pub(crate) told: Option<(Verdict, Released)>,
}

/// S1: one statement, 68,000 rows, as in the theft of 2019.
pub(crate) async fn one_shot(stage: &Stage<'_>, story: &mut Story) -> Result<Theft, Failure> {
    story.chapter("S1: everything in one statement");
    let sql = "select name, email, phone from customers where language = 'en'";
    story.statement(HURRIED, sql);
    let session = Session::open(&stage.door, HURRIED).await?;
    let start = Instant::now();
    let reading = session.simple(sql).await?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(refusal) = &reading.refusal {
        story.refusal(refusal);
    }
    story.say(&format!("{HURRIED} received {} rows in {seconds:.2} s", number(reading.rows)));
    // No two customers share an e-mail address, so a row is a record here.
    let mut theft = Theft { rows: reading.rows, records: reading.rows, sessions: 1, statements: 1, ..Theft::default() };
    story.check(reading.refusal.is_some(), "the statement is ended with an error");
    if let Some(reference) = reading.refusal.as_ref().and_then(Refusal::reference) {
        theft.seconds_to_alert = stage.seconds_to_alert(reference, start).await?;
    }
    let usable = session.is_usable().await;
    story.check(usable, "the session goes on: select 1 answers");
    theft.session_usable_after = Some(usable);
    session.close().await;
    let Some(refusal) = reading.refusal else { return Ok(theft) };
    let Some(reference) = reference(&refusal, story) else { return Ok(theft) };
    tell_alert(theft.seconds_to_alert, story);
    theft.told = stage.account(&reference, Whose::Session).await?;
    judge(&theft, story);
    Ok(theft)
}

/// S2: pages, a new session for each, two accounts in turn, one by LIMIT and OFFSET and the other by key.
pub(crate) async fn patient(stage: &Stage<'_>, story: &mut Story) -> Result<Theft, Failure> {
    story.chapter("S2: everything, with patience");
    story.statement(ACCOUNTS[0], &page(0, 0, 0));
    story.statement(ACCOUNTS[1], &page(1, PAGE, i64::try_from(PAGE).unwrap_or(0)));
    story.say("and so on: a new session for each page, by turns under both accounts of one person");
    let (mut theft, refusals) = turn_pages(stage, story).await?;
    let (received, different) = (number(theft.rows), number(theft.records));
    story.say(&format!("received {received} rows, {different} different customers, in {} sessions", theft.sessions));
    story.check(!refusals.is_empty(), "the paging is ended with an error");
    let Some((first, others)) = refusals.split_first() else { return Ok(theft) };
    story.refusal(&first.refusal);
    story.say(&format!("it came after {} rows of its page; {} more attempts followed", first.rows, others.len()));
    story.check(others.iter().all(|other| other.rows == 0), "no row came after it");
    story.check(theft.session_usable_after == Some(true), "every session that was told no goes on: select 1 answers");
    let Some(reference) = reference(&first.refusal, story) else { return Ok(theft) };
    tell_alert(theft.seconds_to_alert, story);
    theft.told = stage.account(&reference, Whose::Person).await?;
    judge(&theft, story);
    Ok(theft)
}

/// A page that was ended.
struct Refused {
    refusal: Refusal,
    /// Rows of it that arrived before.
    rows: u64,
}

/// Reads page after page until there is no more, or it was refused often enough.
async fn turn_pages(stage: &Stage<'_>, story: &Story) -> Result<(Theft, Vec<Refused>), Failure> {
    let step = story.step("paging");
    let mut theft = Theft::default();
    let mut refusals = Vec::new();
    let mut seen = HashSet::new();
    let mut last = 0;
    while theft.rows < CUSTOMERS && refusals.len() <= STUBBORN {
        let turn = usize::try_from(theft.sessions % 2).unwrap_or(0);
        let session = Session::open(&stage.door, ACCOUNTS[turn]).await?;
        let start = Instant::now();
        let reading = session.simple(&page(turn, theft.rows, last)).await?;
        theft.sessions += 1;
        theft.statements += 1;
        theft.rows += reading.rows;
        last = reading.ids.last().copied().unwrap_or(last);
        seen.extend(reading.ids);
        if let Some(refusal) = reading.refusal {
            if refusals.is_empty()
                && let Some(reference) = refusal.reference()
            {
                theft.seconds_to_alert = stage.seconds_to_alert(reference, start).await?;
            }
            let usable = theft.session_usable_after.unwrap_or(true) && session.is_usable().await;
            theft.session_usable_after = Some(usable);
            refusals.push(Refused { refusal, rows: reading.rows });
        } else if reading.rows == 0 {
            break;
        }
        session.close().await;
        step.progress(&format!("{} customers in {} sessions", number(theft.rows), theft.sessions));
    }
    step.done();
    theft.records = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    Ok((theft, refusals))
}

/// The next page: by position on the first account's turn, behind the last customer on the second's.
fn page(turn: usize, position: u64, last: i64) -> String {
    match turn {
        0 => format!("select id, name, email, phone from customers order by id limit {PAGE} offset {position}"),
        _ => format!("select id, name, email, phone from customers where id > {last} order by id limit {PAGE}"),
    }
}

fn tell_alert(seconds: Option<f64>, story: &mut Story) {
    match seconds {
        Some(seconds) => {
            story.check(true, &format!("the alert is in its file {seconds:.2} s after the statement was sent"))
        }
        None => story.check(false, "no alert names the reference"),
    }
}

/// Holds what the thief received against what the log says.
fn judge(theft: &Theft, story: &mut Story) {
    let Some((verdict, released)) = &theft.told else {
        story.check(false, "the log does not account for it");
        return;
    };
    verdict.tell(story);
    let limit = verdict.limit;
    story.check(
        theft.records == limit,
        &format!("{} customers received, the budget is {limit}: the exact row", theft.records),
    );
    let told = format!(
        "the log says that {} rows and {} records left; the thief received {}",
        released.rows, released.records, theft.rows
    );
    // `select 1` gave a row, too, and no record.
    story.check(released.records == theft.records, &told);
}
