//! Ways of stealing 68,000 customers: all at once (S1), with patience (S2), and with patience from two servers at once.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use crate::client::{Door, Engine, Refusal, Session};
use crate::failure::Failure;
use crate::server::CUSTOMERS;
use crate::stage::{Released, Stage, Verdict, Whose, reference};
use crate::story::{Story, number};

/// Rows of one page of the patient thief: below what looks like an export.
const PAGE: u64 = 150;

/// How often the patient thief comes back after being refused, before giving up.
const STUBBORN: usize = 12;

/// One hand of a patient thief: where it knocks, as whom, and how it asks for the next page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hand<'a> {
    /// Where.
    pub(crate) door: &'a Door,
    /// As whom.
    pub(crate) account: &'a str,
    /// How.
    pub(crate) paging: Paging,
}

/// How the next page is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paging {
    /// By LIMIT and OFFSET.
    ByPosition,
    /// Behind the last customer seen.
    ByKey,
}

/// What came of a theft.
#[derive(Debug, Default)]
pub(crate) struct Theft {
    /// Rows that the thief received.
    pub(crate) rows: u64,
    /// Distinct customers among them, of each server.
    pub(crate) records: u64,
    /// How many of these each server gave.
    pub(crate) records_by_engine: HashMap<Engine, u64>,
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
pub(crate) async fn one_shot(
    stage: &Stage<'_>,
    door: &Door,
    account: &str,
    story: &mut Story,
) -> Result<Theft, Failure> {
    story.chapter(&format!("S1 on {}: everything in one statement", door.engine.server()));
    let sql = "select name, email, phone from customers where language = 'en'";
    story.statement(&door.prompt(account), sql);
    let mut session = Session::open(door, account).await?;
    let start = Instant::now();
    let reading = session.simple(sql).await?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(refusal) = &reading.refusal {
        story.refusal(refusal);
    }
    story.say(&format!("{account} received {} rows in {seconds:.2} s", number(reading.rows)));
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

/// S2: pages, a new session for each, by turns with each hand.
pub(crate) async fn patient(
    stage: &Stage<'_>,
    title: &str,
    hands: [Hand<'_>; 2],
    story: &mut Story,
) -> Result<Theft, Failure> {
    story.chapter(title);
    for (turn, hand) in hands.iter().enumerate() {
        let position = PAGE * u64::try_from(turn).unwrap_or(0);
        let sql = hand.page(position, i64::try_from(position).unwrap_or(0));
        story.statement(&hand.door.prompt(hand.account), &sql);
    }
    let both =
        if hands[0].door.engine == hands[1].door.engine { "both accounts of one person" } else { "both servers" };
    story.say(&format!("and so on: a new session for each page, by turns with {both}"));
    let (mut theft, refusals) = turn_pages(stage, hands, story).await?;
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
async fn turn_pages(stage: &Stage<'_>, hands: [Hand<'_>; 2], story: &Story) -> Result<(Theft, Vec<Refused>), Failure> {
    let step = story.step("paging");
    let mut theft = Theft::default();
    let mut refusals = Vec::new();
    let mut seen = HashSet::new();
    let mut last = 0;
    while theft.rows < CUSTOMERS && refusals.len() <= STUBBORN {
        let hand = if theft.sessions % 2 == 0 { hands[0] } else { hands[1] };
        let engine = hand.door.engine;
        let mut session = Session::open(hand.door, hand.account).await?;
        let start = Instant::now();
        let reading = session.simple(&hand.page(theft.rows, last)).await?;
        theft.sessions += 1;
        theft.statements += 1;
        theft.rows += reading.rows;
        last = reading.ids.last().copied().unwrap_or(last);
        for id in reading.ids {
            if seen.insert((engine, id)) {
                *theft.records_by_engine.entry(engine).or_default() += 1;
            }
        }
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

impl Hand<'_> {
    /// The next page, `position` customers after the first, or behind the customer `last`.
    fn page(self, position: u64, last: i64) -> String {
        match self.paging {
            Paging::ByPosition => {
                format!("select id, name, email, phone from customers order by id limit {PAGE} offset {position}")
            }
            Paging::ByKey => {
                format!("select id, name, email, phone from customers where id > {last} order by id limit {PAGE}")
            }
        }
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
    // A refusal for another reason has no budget, and would be nothing to be proud of.
    story.check(
        limit > 0 && theft.records == limit,
        &format!("{} customers received, the budget is {limit}: the exact row", theft.records),
    );
    let told = format!(
        "the log says that {} rows and {} records left; the thief received {}",
        released.rows, released.records, theft.rows
    );
    // `select 1` gave a row, too, and no record.
    story.check(released.records == theft.records, &told);
}
