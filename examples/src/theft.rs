//! Two ways of stealing 68,000 customers: all at once (S1), and with patience (S2).

use std::collections::HashSet;
use std::time::Instant;

use crate::client::Session;
use crate::failure::Failure;
use crate::postgres::CUSTOMERS;
use crate::stage::{Released, Stage, Verdict, reference};
use crate::story::{Story, number};

/// Rows of one page of the patient thief: below what looks like an export.
const PAGE: u64 = 150;

/// How often the patient thief comes back after being refused, before giving up.
const STUBBORN: u32 = 12;

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
    let mark = stage.mark()?;
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
    let usable = session.is_usable().await;
    story.check(usable, "the session goes on: select 1 answers");
    theft.session_usable_after = Some(usable);
    session.close().await;
    let Some(refusal) = reading.refusal else { return Ok(theft) };
    let Some(reference) = reference(&refusal, story) else { return Ok(theft) };
    theft.seconds_to_alert = stage.seconds_to_alert(&reference, start).await?;
    match theft.seconds_to_alert {
        Some(seconds) => {
            story.check(true, &format!("the alert is in its file {seconds:.2} s after the statement was sent"))
        }
        None => story.check(false, "no alert names the reference"),
    }
    theft.told = stage.account(&reference, mark).await?;
    judge(&theft, story);
    Ok(theft)
}

/// S2: pages, a new session for each, two accounts in turn, one by LIMIT and OFFSET and the other by key.
pub(crate) async fn patient(stage: &Stage<'_>, story: &mut Story) -> Result<Theft, Failure> {
    story.chapter("S2: everything, with patience");
    let by_offset = |position: u64, _: i64| {
        format!("select id, name, email, phone from customers order by id limit {PAGE} offset {position}")
    };
    let by_key = |_: u64, last: i64| {
        format!("select id, name, email, phone from customers where id > {last} order by id limit {PAGE}")
    };
    story.statement(ACCOUNTS[0], &by_offset(0, 0));
    story.statement(ACCOUNTS[1], &by_key(0, i64::try_from(PAGE).unwrap_or(0)));
    story.say("and so on: a new session for each page, by turns under both accounts of one person");
    let mark = stage.mark()?;
    let start = Instant::now();
    let mut theft = Theft::default();
    let mut seen = HashSet::new();
    let mut last = 0;
    let mut refusals = Vec::new();
    let step = story.step("paging");
    let refused_max = usize::try_from(STUBBORN).unwrap_or(usize::MAX);
    while theft.rows < CUSTOMERS && refusals.len() <= refused_max {
        let turn = usize::try_from(theft.sessions % 2).unwrap_or(0);
        let sql = if turn == 0 { by_offset(theft.rows, last) } else { by_key(theft.rows, last) };
        let session = Session::open(&stage.door, ACCOUNTS[turn]).await?;
        let reading = session.simple(&sql).await?;
        theft.sessions += 1;
        theft.statements += 1;
        theft.rows += reading.rows;
        last = reading.ids.last().copied().unwrap_or(last);
        seen.extend(reading.ids);
        match reading.refusal {
            Some(refusal) => {
                let usable = theft.session_usable_after.unwrap_or(true) && session.is_usable().await;
                theft.session_usable_after = Some(usable);
                refusals.push((refusal, reading.rows));
            }
            None if reading.rows == 0 => break,
            None => {}
        }
        session.close().await;
        step.progress(&format!("{} customers in {} sessions", number(theft.rows), theft.sessions));
    }
    step.done();
    theft.records = u64::try_from(seen.len()).unwrap_or(u64::MAX);
    story.say(&format!(
        "received {} rows, {} different customers, in {} sessions",
        number(theft.rows),
        number(theft.records),
        theft.sessions
    ));
    story.check(!refusals.is_empty(), "the paging is ended with an error");
    let Some((refusal, rows_of_the_last_page)) = refusals.first() else {
        return Ok(theft);
    };
    story.refusal(refusal);
    story.say(&format!(
        "after {rows_of_the_last_page} rows of its page; {} more attempts came after it",
        refusals.len() - 1
    ));
    story.check(refusals.iter().skip(1).all(|(_, rows)| *rows == 0), "no row came after it");
    story.check(theft.session_usable_after == Some(true), "every session that was told no goes on: select 1 answers");
    let Some(reference) = reference(refusal, story) else { return Ok(theft) };
    theft.seconds_to_alert = stage.seconds_to_alert(&reference, start).await?;
    story.check(theft.seconds_to_alert.is_some(), "the alert is in its file");
    theft.told = stage.account(&reference, mark).await?;
    judge(&theft, story);
    Ok(theft)
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
    // `select 1` of the same session is a row, too, and no record.
    story.check(released.records == theft.records, &told);
}
