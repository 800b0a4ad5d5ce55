//! `weir budget`, `approve`, `kill`, `reload` and `status`: what is asked of a running Weir, over its control socket.
//!
//! Who acts is the account of the host that runs the command; each act is recorded with its reason. Exit code 1 when the
//! running Weir refused it, 3 when none answers.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::audit::text::{moment as utc, safe};
use super::output::Output;
use super::{Failure, load, moment};
use crate::control::client;
use crate::control::words::{Answer, Budget, Done, Line, Request, Waiting};

/// Which Weir is asked, and in which form it answers.
#[derive(Args)]
pub(super) struct Asked {
    /// The configuration of the running Weir.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to do with budgets.
#[derive(Subcommand)]
pub(super) enum BudgetCommand {
    /// Show what a person has read of each dataset, each limit, what running statements hold, and when something frees up.
    #[command(after_help = "Example:\n  weir budget show alice --config weir.toml")]
    Show {
        /// The person.
        person: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Begin a person's budgets anew. Recorded first, with the reason.
    #[command(
        after_help = "Example:\n  weir budget reset alice --dataset customers --reason 'wrong rule, ticket 4711' --config weir.toml"
    )]
    Reset {
        /// The person.
        person: String,
        /// Only of this dataset.
        #[arg(long, value_name = "NAME")]
        dataset: Option<String>,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        asked: Asked,
    },
}

/// An answer to a request.
#[derive(Args)]
pub(super) struct Approve {
    /// The request, as the client was told it.
    #[arg(required_unless_present = "list")]
    request: Option<String>,
    /// List the requests that wait.
    #[arg(long, conflicts_with_all = ["request", "deny", "records", "lasts", "reason"])]
    list: bool,
    /// Turn it down.
    #[arg(long, conflicts_with_all = ["records", "lasts"], requires = "reason")]
    deny: bool,
    /// How many more records may leave.
    #[arg(long, value_name = "COUNT", required_unless_present_any = ["list", "deny"])]
    records: Option<u64>,
    /// For how long: 30m, 2h; at most a day.
    #[arg(long = "for", value_name = "TIME", default_value = "30m")]
    lasts: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", required_unless_present = "list")]
    reason: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Whose sessions end.
#[derive(Args)]
pub(super) struct Kill {
    /// The person.
    person: String,
    /// For how long none begins.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    lasts: String,
    /// Let the person in again.
    #[arg(long, conflicts_with = "lasts")]
    lift: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    asked: Asked,
}

/// Reads files again.
#[derive(Args)]
pub(super) struct Reload {
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// Says how it is.
#[derive(Args)]
pub(super) struct StatusOf {
    #[command(flatten)]
    asked: Asked,
}

pub(super) fn budget<W: Write>(command: &BudgetCommand, output: &mut Output<W>) -> Result<(), Failure> {
    match command {
        BudgetCommand::Show { person, asked } => asked.ask(&Request::BudgetShow { person: person.clone() }, output),
        BudgetCommand::Reset { person, dataset, reason, asked } => {
            let request =
                Request::BudgetReset { person: person.clone(), dataset: dataset.clone(), reason: reason.clone() };
            asked.ask(&request, output)
        }
    }
}

pub(super) fn approve<W: Write>(command: &Approve, output: &mut Output<W>) -> Result<(), Failure> {
    let reason = command.reason.clone().unwrap_or_default();
    let request = match (&command.request, command.records) {
        (Some(request), _) if command.deny => Request::DenyApproval { request: request.clone(), reason },
        (Some(request), Some(records)) => Request::Approve {
            request: request.clone(),
            records,
            secs: moment::duration(&command.lasts).map_err(Failure::bad_input)?,
            reason,
        },
        _ => Request::Approvals {},
    };
    command.asked.ask(&request, output)
}

pub(super) fn kill<W: Write>(command: &Kill, output: &mut Output<W>) -> Result<(), Failure> {
    let (person, reason) = (command.person.clone(), command.reason.clone());
    let request = match command.lift {
        true => Request::Lift { person, reason },
        false => {
            let secs = moment::duration(&command.lasts).map_err(Failure::bad_input)?;
            Request::Kill { person, secs, reason }
        }
    };
    command.asked.ask(&request, output)
}

pub(super) fn reload<W: Write>(command: &Reload, output: &mut Output<W>) -> Result<(), Failure> {
    command.asked.ask(&Request::Reload { reason: command.reason.clone() }, output)
}

pub(super) fn status<W: Write>(command: &StatusOf, output: &mut Output<W>) -> Result<(), Failure> {
    command.asked.ask(&Request::Status {}, output)
}

impl Asked {
    fn ask<W: Write>(&self, request: &Request, output: &mut Output<W>) -> Result<(), Failure> {
        let config = load(&self.config)?;
        let answer = client::ask(&config.control.socket, request).map_err(Failure::environment)?;
        match answer {
            Answer::Refused { message, hint } => {
                Err(Failure::finding(format!("{} (hint: {})", safe(&message), safe(&hint))))
            }
            Answer::Done(done) if self.json => {
                let text = serde_json::to_string(&done).map_err(Failure::environment)?;
                output.line(text)
            }
            Answer::Done(done) => tell(&done, output),
        }
    }
}

fn tell<W: Write>(done: &Done, output: &mut Output<W>) -> Result<(), Failure> {
    match done {
        Done::Act { text } => output.line(safe(text)),
        Done::Status(status) => {
            output.line(format_args!("weir {}, up {} s, boot {}", status.version, status.up_secs, status.boot))?;
            output.line(format_args!("policy {}", status.policy))?;
            output.line(format_args!(
                "{} session(s) of {} people, {} held out, {} request(s) wait",
                status.sessions, status.people, status.held, status.approvals
            ))?;
            match &status.log_failure {
                Some(reason) => output.line(format_args!("the audit log takes no records: {}", safe(reason))),
                None => output.line("the audit log takes records"),
            }
        }
        Done::Approvals { requests } if requests.is_empty() => output.line("no request waits"),
        Done::Approvals { requests } => requests.iter().try_for_each(|waiting| output.line(waits(waiting))),
        Done::Budget(budget) => tell_budget(budget, output),
    }
}

fn waits(waiting: &Waiting) -> String {
    format!(
        "{}  {} on {}, rule {} ({} per {}); asked {}, until {}; {} may approve",
        safe(&waiting.request),
        safe(&waiting.person),
        safe(&waiting.dataset),
        safe(&waiting.rule),
        waiting.limit,
        safe(&waiting.window),
        utc(waiting.asked_ms),
        utc(waiting.until_ms),
        safe(&waiting.approvers)
    )
}

fn tell_budget<W: Write>(budget: &Budget, output: &mut Output<W>) -> Result<(), Failure> {
    let known = if budget.known { "" } else { " (unknown to the directory)" };
    let groups = if budget.groups.is_empty() { "no group".to_owned() } else { budget.groups.join(", ") };
    output.line(format_args!(
        "{}{known}: {}, {} open session(s)",
        safe(&budget.person),
        safe(&groups),
        budget.sessions
    ))?;
    if let Some(until) = budget.held_until_ms {
        output.line(format_args!("held out until {}", utc(until)))?;
    }
    if budget.lines.is_empty() {
        output.line("nothing is limited, and nothing has left in 30 days")?;
    }
    budget.lines.iter().try_for_each(|line| output.line(stands(line)))?;
    budget.grants.iter().try_for_each(|grant| {
        output.line(format_args!(
            "{}: {} of {} more records of {} beyond {}, until {}",
            safe(&grant.request),
            grant.used,
            grant.records,
            safe(&grant.dataset),
            safe(&grant.rule),
            utc(grant.until_ms)
        ))
    })
}

fn stands(line: &Line) -> String {
    let of = line.limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
    let mut text = format!("{}: {}{of} {} per {}", safe(&line.dataset), line.used, line.unit, line.window);
    if let Some(rule) = &line.rule {
        text.push_str(&format!(" ({})", safe(rule)));
    }
    if line.leased > 0 {
        text.push_str(&format!("; {} more held by running statements", line.leased));
    }
    if line.granted > 0 {
        text.push_str(&format!("; {} more granted", line.granted));
    }
    match (line.left, line.frees_at_ms) {
        (Some(0), Some(at)) => text.push_str(&format!("; nothing is left before {}", utc(at))),
        (Some(left), _) => text.push_str(&format!("; {left} left")),
        (None, _) if line.limit.is_some() => text.push_str("; only told"),
        (None, _) => text.push_str("; no limit"),
    }
    text
}

#[cfg(test)]
mod tests {
    use weir_policy::budget::{Unit, Window};

    use super::*;

    fn line() -> Line {
        Line {
            dataset: "customers".to_owned(),
            rule: Some("support".to_owned()),
            window: Window::Hour,
            unit: Unit::Records,
            used: 500,
            leased: 0,
            limit: Some(500),
            granted: 0,
            left: Some(0),
            frees_at_ms: Some(1_795_478_400_000),
        }
    }

    #[test]
    fn a_budget_is_told_line_by_line() {
        let check = |line: &Line, expected: &str| assert_eq!(stands(line), expected);
        check(
            &line(),
            "customers: 500 of 500 records per hour (support); nothing is left before 2026-11-24 00:00:00.000Z",
        );
        check(
            &Line { used: 20, leased: 64, left: Some(416), frees_at_ms: None, ..line() },
            "customers: 20 of 500 records per hour (support); 64 more held by running statements; 416 left",
        );
        check(
            &Line { granted: 30, left: Some(30), frees_at_ms: None, ..line() },
            "customers: 500 of 500 records per hour (support); 30 more granted; 30 left",
        );
        check(
            &Line { rule: None, limit: None, left: None, window: Window::Day, ..line() },
            "customers: 500 records per day; no limit",
        );
        check(
            &Line { left: None, frees_at_ms: None, ..line() },
            "customers: 500 of 500 records per hour (support); only told",
        );
    }

    #[test]
    fn names_cannot_move_the_cursor() {
        let mut output = Output::for_test();
        let budget = Budget { person: "al\u{1b}[2Jice".to_owned(), ..Budget::default() };
        tell(&Done::Budget(budget), &mut output).unwrap();
        let told = output.text();
        assert!(
            told.starts_with("al\\u{1b}[2Jice (unknown to the directory): no group, 0 open session(s)\n"),
            "{told}"
        );
    }

    #[test]
    fn nobody_there_is_told() {
        let folder = weir_tests::scratch::Scratch::new("control");
        let told = client::ask(&folder.path().join("control.sock"), &Request::Status {}).unwrap_err();
        assert!(told.starts_with("no weir answers at"), "{told}");
    }
}
