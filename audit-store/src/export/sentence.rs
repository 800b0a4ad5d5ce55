//! What a record says, in one sentence.

use std::fmt::Write as _;

use crate::event::{
    AuthenticationOutcome, Body, Completion, CopyTarget, Event, Leases, Outcome, PolicyOutcome, Severity,
};

/// Relations that a sentence names; the record has them all.
const RELATIONS_NAMED_MAX: usize = 3;
/// Characters of a hash that are enough to tell two policies apart by eye.
const HASH_CHARS: usize = 12;

/// What happened, in a sentence of one line. Holds names and messages as peers sent them: whoever shows it on a terminal
/// must replace what [`is_safe_to_show`](crate::is_safe_to_show) refuses.
pub fn sentence(event: &Event) -> String {
    let who = who(event);
    match &event.body {
        Body::Boot(boot) if boot.last_sequence == 0 => format!("{} started a new log", boot.product),
        Body::Boot(boot) => format!("{} started; the log goes on after record {}", boot.product, boot.last_sequence),
        Body::Shutdown(shutdown) => format!("the process ends: {}", shutdown.reason),
        Body::Policy(policy) => {
            let short = policy.sha256.get(..HASH_CHARS).unwrap_or(&policy.sha256);
            match policy.outcome {
                PolicyOutcome::Loaded => format!("policy {short} is in force"),
                PolicyOutcome::Rejected => {
                    format!(
                        "policy {short} was rejected: {}",
                        policy.problem.as_deref().unwrap_or("no reason is known")
                    )
                }
            }
        }
        Body::SessionStart(start) => match &event.session {
            Some(session) if start.changed_from.is_some() => format!(
                "{who} goes on from {} as {} instead of {}, on database {} on {}",
                session.client,
                session.account,
                start.changed_from.as_deref().unwrap_or_default(),
                session.database,
                session.upstream
            ),
            Some(session) => format!(
                "{who} connected from {} to database {} on {} as {}",
                session.client, session.database, session.upstream, session.account
            ),
            None => format!("{who} connected"),
        },
        Body::SessionEnd(end) => format!(
            "{who} disconnected after {}, {} and {}: {}",
            plural(end.statements, "statement"),
            plural(end.rows, "row"),
            plural(end.bytes, "byte"),
            end.reason
        ),
        Body::Authentication(login) => match login.outcome {
            AuthenticationOutcome::Success => format!("{who} logged in ({})", login.method),
            AuthenticationOutcome::Failure => {
                format!("{who} failed to log in ({}){}", login.method, sqlstate(login.sqlstate.as_deref()))
            }
        },
        Body::Admission(leases) => format!("{who} may run {}{}", what(event), allowance(leases, "")),
        Body::Lease(leases) => format!("{who} goes on with {}{}", what(event), allowance(leases, "more ")),
        Body::Completion(completion) => {
            format!("{} by {who} {}", what(event), ended(completion))
        }
        Body::Copy(copy) => format!(
            "{} of {} from {}.{} by {who} goes into {}",
            columns(copy.columns.as_deref()),
            copy.dataset,
            copy.source.schema,
            copy.source.name,
            target(&copy.target)
        ),
        Body::CopyEnded(ended) => {
            format!("the copy of {} in {} is no more: {}", ended.dataset, target(&ended.target), ended.reason)
        }
        Body::Denial(denial) if event.statement.is_none() => format!("{who} was refused: {}", denial.message),
        Body::Denial(denial) => format!("{} by {who} was refused: {}", what(event), denial.message),
        Body::Alert(alert) => format!("{} alert ({}): {}", severity(alert.severity), alert.code, alert.title),
        Body::Store(trouble) => {
            format!("the log was in trouble: {}; {} lost", trouble.reason, plural(trouble.lost, "event"))
        }
        Body::ApprovalRequest(request) => format!(
            "{who} came to the end of {} on {} and may ask {}: request {}",
            request.rule, request.dataset, request.approvers, request.id
        ),
        Body::Admin(admin) => {
            let mut text = format!("{}: {}", admin.operator, admin.action);
            if let Some(target) = &admin.target {
                let _ = write!(text, " {target}");
            }
            if let Some(grant) = &admin.grant {
                let _ =
                    write!(text, " ({} of {} for {})", plural(grant.records, "record"), grant.dataset, grant.person);
            }
            let _ = write!(text, ": {}", admin.outcome);
            if let Some(reason) = &admin.reason {
                let _ = write!(text, " ({reason})");
            }
            text
        }
    }
}

/// Columns of a copy.
fn columns(columns: Option<&[String]>) -> String {
    match columns {
        None => "every column".to_owned(),
        Some(names) if names.len() <= RELATIONS_NAMED_MAX => names.join(", "),
        Some(names) => {
            format!("{} and {} more", names[..RELATIONS_NAMED_MAX].join(", "), names.len() - RELATIONS_NAMED_MAX)
        }
    }
}

fn target(target: &CopyTarget) -> String {
    match target.schemas.as_slice() {
        [schema] => format!("{schema}.{}", target.name),
        _ => target.name.clone(),
    }
}

/// The person; for want of one, the account.
pub(super) fn who(event: &Event) -> &str {
    match (&event.person, &event.session) {
        (Some(person), _) => &person.id,
        (None, Some(session)) => &session.account,
        (None, None) => "somebody",
    }
}

/// The word for a severity.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Informational => "informational",
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A count with its noun.
fn plural(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Verb and relations.
fn what(event: &Event) -> String {
    let Some(statement) = &event.statement else { return "a statement".to_owned() };
    let mut text = statement.verb.clone();
    let relations = &statement.relations;
    for (at, relation) in relations.iter().take(RELATIONS_NAMED_MAX).enumerate() {
        text.push_str(if at == 0 { " on " } else { ", " });
        text.push_str(&relation.name);
    }
    if relations.len() > RELATIONS_NAMED_MAX {
        // Writing to a String cannot fail.
        let _ = write!(text, " and {} more", relations.len() - RELATIONS_NAMED_MAX);
    }
    text
}

fn allowance(leases: &Leases, more: &str) -> String {
    let mut text = String::new();
    for (at, lease) in leases.leases.iter().enumerate() {
        text.push_str(if at == 0 { "; up to " } else { ", " });
        let _ = write!(text, "{} {more}{} of {}", lease.granted, lease.unit, lease.dataset);
    }
    if !text.is_empty() {
        text.push_str(" may leave");
    }
    text
}

fn ended(completion: &Completion) -> String {
    let how = match completion.outcome {
        Outcome::Complete => "ended",
        Outcome::Cut => "was cut",
        Outcome::Error => "failed",
        Outcome::Cancelled => "was cancelled",
        Outcome::ClientGone => "ended, since the client went away",
        Outcome::UpstreamGone => "ended, since the server went away",
    };
    let mut text = format!(
        "{how}{}: {} and {} left",
        sqlstate(completion.sqlstate.as_deref()),
        plural(completion.rows, "row"),
        plural(completion.bytes, "byte")
    );
    for count in &completion.records {
        let _ = write!(text, ", {} of {}", plural(count.count, "record"), count.dataset);
    }
    for door in &completion.doors {
        let _ = write!(text, ", {} by {}", plural(door.bytes, "byte"), plural(door.messages, &door.door));
        if door.withheld_bytes > 0 {
            let _ = write!(text, " ({} withheld)", plural(door.withheld_bytes, "byte"));
        }
    }
    text
}

fn sqlstate(code: Option<&str>) -> String {
    code.map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default()
}
