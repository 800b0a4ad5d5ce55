//! What operators may ask of a running process, and what becomes of it.
//!
//! INVARIANT: an act takes effect only once its record is durable, and the record is what takes effect: at a restart
//! the log does the same. Ending sessions is the exception, since it only takes away: it does not wait for a log that
//! takes no records. INVARIANT: nobody enlarges or begins anew a budget of their own.

use std::sync::Arc;
use std::time::Duration;

use weir_audit_store::event::{Admin, Body, Grant};
use weir_audit_store::{Event, Urgency};
use weir_policy::approval::GRANT_SECS_MAX;

use super::operator::Operator;
use super::words::{Answer, Budget, Done, Granted, Line, Request, Status, Waiting};
use super::{Control, refused};
use crate::approvals::{Asked, DENY, until};
use crate::budgets::{self, APPROVE, DONE, RESET, wall_ms};
use crate::holds::{KILL, LIFT};

/// Longest reason, bytes.
const REASON_BYTES_MAX: usize = 1000;
/// Longest name of a person, dataset or request, bytes.
const NAME_BYTES_MAX: usize = 500;
/// How long a record may take to become durable.
const DURABLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the sessions of somebody who is held out may take to end before the answer is given.
const ENDING_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest hold, seconds: what is meant for longer is an end date in the directory.
const HOLD_SECS_MAX: u64 = 30 * 24 * 3600;

/// Why something is not done, and what to do.
pub(super) type Refused = (String, &'static str);

impl Control {
    /// Does what was asked.
    pub(super) async fn act(&self, operator: &Operator, request: Request) -> Answer {
        let done = match request {
            Request::Status {} => self.status(operator),
            Request::BudgetShow { person } => self.show(operator, &person),
            Request::BudgetReset { person, dataset, reason } => self.reset(operator, person, dataset, reason).await,
            Request::Approvals {} => Ok(self.waiting(operator)),
            Request::Approve { request, records, secs, reason } => {
                self.approve(operator, &request, (records, secs), reason).await
            }
            Request::DenyApproval { request, reason } => self.deny(operator, &request, reason).await,
            Request::Kill { person, secs, reason } => self.kill(operator, person, secs, reason).await,
            Request::Lift { person, reason } => self.lift(operator, person, reason).await,
            Request::Reload { reason } => self.reload(operator, reason).await,
        };
        match done {
            Ok(done) => Answer::Done(done),
            Err((message, hint)) => refused(message, hint),
        }
    }

    fn status(&self, operator: &Operator) -> Result<Done, Refused> {
        self.only_operators(operator)?;
        let shared = &self.shared;
        let clock = shared.budgets.clock();
        let (people, sessions) = shared.holds.totals();
        Ok(Done::Status(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: shared.recorder.boot().to_owned(),
            up_secs: self.started.elapsed().as_secs(),
            policy: shared.policies.current().set.hash().to_owned(),
            sessions,
            people,
            held: shared.holds.held(clock),
            approvals: shared.approvals.waiting(clock).len(),
            log_failure: shared.recorder.failing(),
        }))
    }

    fn show(&self, operator: &Operator, person: &str) -> Result<Done, Refused> {
        if !operator.is(person) {
            self.only_operators(operator)?;
        }
        let shared = &self.shared;
        let in_force = shared.policies.current();
        let seats = in_force.directory.seats(person);
        let known = in_force.directory.person(person);
        let moment = shared.budgets.clock().moment();
        let wall = wall_ms();
        // What is told of the budgets' clock is told as what a clock on the wall will show then.
        let on_wall = |at: weir_policy::ledger::LedgerTime| wall.saturating_add(at.0.saturating_sub(moment.now.0));
        let person: Arc<str> = person.into();
        let ledger = shared.budgets.ledger(&person);
        let ledger = budgets::lock(&ledger);
        let line = |line: weir_policy::allowance::Allowance| Line {
            dataset: line.dataset.to_string(),
            rule: line.rule.map(|rule| rule.to_string()),
            window: line.window,
            unit: line.unit,
            used: line.used,
            leased: line.leased,
            limit: line.limit,
            granted: line.granted,
            left: line.left,
            frees_at_ms: line.frees_at.map(on_wall),
        };
        let granted = |(dataset, grant): (Arc<str>, weir_policy::approval::Grant)| Granted {
            request: grant.request.to_string(),
            rule: grant.rule.to_string(),
            dataset: dataset.to_string(),
            records: grant.records,
            used: grant.charged.min(grant.records),
            until_ms: on_wall(grant.until),
        };
        Ok(Done::Budget(Budget {
            known: known.is_some(),
            groups: known.iter().flat_map(|entry| &entry.groups).map(ToString::to_string).collect(),
            sessions: shared.holds.sessions(&person),
            held_until_ms: shared.holds.until(&person, shared.budgets.clock()).map(|until| until.time_ms),
            lines: in_force.set.allowances(&seats, &ledger, &moment).into_iter().map(line).collect(),
            grants: ledger.grants(moment.now).into_iter().map(granted).collect(),
            person: person.to_string(),
        }))
    }

    async fn reset(
        &self,
        operator: &Operator,
        person: String,
        dataset: Option<String>,
        reason: String,
    ) -> Result<Done, Refused> {
        let act = Admin {
            action: RESET.to_owned(),
            target: Some(person.clone()),
            dataset: dataset.clone(),
            reason: Some(reason),
            ..Admin::default()
        };
        let checked = || {
            self.only_operators(operator)?;
            if operator.is(&person) {
                return Err(("nobody begins a budget of their own anew".to_owned(), "ask another operator"));
            }
            if let Some(dataset) = &dataset
                && !self.shared.policies.current().set.has_dataset(dataset)
            {
                return Err((format!("there is no dataset `{dataset}`"), "look at `weir budget show`"));
            }
            Ok(())
        };
        self.enact(operator, act, checked()).await?;
        let of = dataset.map_or_else(|| "every dataset".to_owned(), |dataset| format!("`{dataset}`"));
        Ok(Done::Act { text: format!("the budgets of {person} on {of} begin anew") })
    }

    fn waiting(&self, operator: &Operator) -> Done {
        let requests = self.shared.approvals.waiting(self.shared.budgets.clock()).into_iter();
        let mine = requests.filter(|asked| operator.operates || self.may_decide(operator, asked).is_ok());
        let waiting = |asked: Asked| Waiting {
            person: asked.person.to_string(),
            asked_ms: asked.time_ms,
            until_ms: asked.request.until.time_ms,
            request: asked.request.id,
            rule: asked.request.rule,
            dataset: asked.request.dataset,
            window: asked.request.window,
            limit: asked.request.limit,
            approvers: asked.request.approvers,
        };
        Done::Approvals { requests: mine.map(waiting).collect() }
    }

    async fn approve(
        &self,
        operator: &Operator,
        request: &str,
        (records, secs): (u64, u64),
        reason: String,
    ) -> Result<Done, Refused> {
        let clock = self.shared.budgets.clock();
        let asked = self.asked(request);
        let mut act = Admin {
            action: APPROVE.to_owned(),
            target: Some(request.to_owned()),
            reason: Some(reason),
            until: Some(until(clock, secs.min(GRANT_SECS_MAX).saturating_mul(1000))),
            ..Admin::default()
        };
        let checked = asked.and_then(|asked| {
            act.dataset = Some(asked.request.dataset.clone());
            act.grant = Some(Grant {
                request: asked.request.id.clone(),
                person: asked.person.to_string(),
                rule: asked.request.rule.clone(),
                dataset: asked.request.dataset.clone(),
                records,
                windows: budgets::window_words(&self.shared.policies.current().set.windows(&asked.request.rule)),
            });
            self.may_decide(operator, &asked)?;
            self.within_bounds(&asked, records, secs)
        });
        let grant = act.grant.clone();
        self.enact(operator, act, checked).await?;
        let Some(grant) = grant else { return Err(("there is no such request".to_owned(), "look at the list")) };
        Ok(Done::Act {
            text: format!(
                "{} may read {records} more records of `{}` for the next {}",
                grant.person,
                grant.dataset,
                super::words_for_secs(secs)
            ),
        })
    }

    async fn deny(&self, operator: &Operator, request: &str, reason: String) -> Result<Done, Refused> {
        let asked = self.asked(request);
        let act = Admin {
            action: DENY.to_owned(),
            target: Some(request.to_owned()),
            dataset: asked.as_ref().ok().map(|asked| asked.request.dataset.clone()),
            reason: Some(reason),
            ..Admin::default()
        };
        let checked = asked.and_then(|asked| self.may_decide(operator, &asked));
        self.enact(operator, act, checked).await?;
        Ok(Done::Act { text: format!("request {request} is turned down") })
    }

    async fn kill(&self, operator: &Operator, person: String, secs: u64, reason: String) -> Result<Done, Refused> {
        let clock = self.shared.budgets.clock();
        let act = Admin {
            action: KILL.to_owned(),
            target: Some(person.clone()),
            reason: Some(reason),
            until: Some(until(clock, secs.min(HOLD_SECS_MAX).saturating_mul(1000))),
            ..Admin::default()
        };
        let checked = self.only_operators(operator).and_then(|()| match secs {
            1..=HOLD_SECS_MAX => Ok(()),
            _ => Err((
                "somebody is held out for one second to 30 days".to_owned(),
                "for longer, give them an end date in the directory",
            )),
        });
        let before = self.shared.holds.sessions(&person);
        self.enact(operator, act, checked).await?;
        let ending = async {
            let mut wait = tokio::time::interval(Duration::from_millis(10));
            while self.shared.holds.sessions(&person) > 0 {
                wait.tick().await;
            }
        };
        let ended = tokio::time::timeout(ENDING_TIMEOUT, ending).await.is_ok();
        let left = if ended { String::new() } else { "; some have not ended yet".to_owned() };
        let sessions = if before == 1 { "1 session".to_owned() } else { format!("{before} sessions") };
        let known = self.shared.policies.current().directory.person(&person).is_some();
        let unknown = if known || before > 0 { "" } else { "; the directory knows nobody of this name" };
        let lasts = super::words_for_secs(secs);
        Ok(Done::Act { text: format!("{sessions} of {person} ended, none begins for {lasts}{left}{unknown}") })
    }

    async fn lift(&self, operator: &Operator, person: String, reason: String) -> Result<Done, Refused> {
        let act =
            Admin { action: LIFT.to_owned(), target: Some(person.clone()), reason: Some(reason), ..Admin::default() };
        let checked = self.only_operators(operator).and_then(|()| {
            if operator.is(&person) {
                return Err(("nobody lets themselves in again".to_owned(), "ask another operator"));
            }
            match self.shared.holds.until(&person, self.shared.budgets.clock()) {
                Some(_) => Ok(()),
                None => Err((format!("{person} is not held out"), "look at `weir budget show`")),
            }
        });
        self.enact(operator, act, checked).await?;
        Ok(Done::Act { text: format!("sessions of {person} may begin again") })
    }

    async fn reload(&self, operator: &Operator, reason: Option<String>) -> Result<Done, Refused> {
        let act = Admin { action: "reload".to_owned(), reason, ..Admin::default() };
        let checked = self.only_operators(operator);
        self.enact(operator, act, checked).await?;
        match (self.reload)() {
            Ok(text) => Ok(Done::Act { text }),
            Err(problem) => Err((problem, "what was in force before stays")),
        }
    }

    fn only_operators(&self, operator: &Operator) -> Result<(), Refused> {
        match operator.operates {
            true => Ok(()),
            false => Err((
                format!("{} may not do this", operator.name),
                "root, the account that weir runs as, and the groups of `[control] operators` may",
            )),
        }
    }

    fn asked(&self, request: &str) -> Result<Asked, Refused> {
        self.shared.approvals.find(request, self.shared.budgets.clock()).ok_or((
            format!("no request `{request}` waits"),
            "`weir approve --list` shows those that do; one waits for 24 hours, and is answered once",
        ))
    }

    /// Whether somebody may answer a request: the rule as it is now decides, not as it was when somebody asked.
    fn may_decide(&self, operator: &Operator, asked: &Asked) -> Result<(), Refused> {
        let in_force = self.shared.policies.current();
        let Some(approval) = in_force.set.approval(&asked.request.rule) else {
            return Err((
                format!("the rule `{}` lets nobody approve any more", asked.request.rule),
                "the policy has changed since somebody asked",
            ));
        };
        if operator.is(&asked.person) {
            return Err(("nobody answers a request of their own".to_owned(), "ask one of the approvers"));
        }
        let Some(person) = &operator.person else {
            return Err((
                format!("the directory knows nobody behind {}", operator.name),
                "an approver is a person: name the account of the host as their `os-user` in the directory",
            ));
        };
        let manages = in_force.directory.manages(person, &asked.person);
        match approval.lets(&operator.groups, manages) {
            true => Ok(()),
            false => Err((
                format!("{person} may not answer this request"),
                "the rule names who may: `weir approve --list` shows them",
            )),
        }
    }

    fn within_bounds(&self, asked: &Asked, records: u64, secs: u64) -> Result<(), Refused> {
        let in_force = self.shared.policies.current();
        let approval = in_force.set.approval(&asked.request.rule);
        let records_max = approval.and_then(|approval| approval.records_max()).unwrap_or(u64::MAX);
        let secs_max = approval.map_or(GRANT_SECS_MAX, |approval| approval.secs_max()).min(GRANT_SECS_MAX);
        if records == 0 || records > records_max {
            let message = match records_max {
                u64::MAX => "a grant lets at least one record leave".to_owned(),
                most => format!("the rule `{}` lets 1 to {most} records be granted", asked.request.rule),
            };
            return Err((message, "ask for fewer, or have the rule's `grant` changed"));
        }
        if secs == 0 || secs > secs_max {
            let most = super::words_for_secs(secs_max);
            return Err((
                format!("a grant of this rule lasts up to {most}"),
                "ask for less, and again when it is over",
            ));
        }
        if !self.shared.budgets.may_grant(&asked.person, &asked.request.dataset) {
            return Err((format!("{} has too many grants already", asked.person), "wait until some are over"));
        }
        Ok(())
    }

    /// Records an act and lets it take effect; one that is not allowed is recorded and refused.
    async fn enact(&self, operator: &Operator, act: Admin, checked: Result<(), Refused>) -> Result<(), Refused> {
        let checked = checked.and_then(|()| sound(&act));
        let mut act = Admin { operator: operator.name.clone(), ..bounded(act) };
        let recorder = &self.shared.recorder;
        if let Err((message, hint)) = checked {
            act.outcome = format!("refused: {message}");
            recorder.note(&recorder.event(Body::Admin(act)), Urgency::Durable);
            return Err((message, hint));
        }
        act.outcome = DONE.to_owned();
        let only_takes_away = act.action == KILL;
        tracing::info!(operator = %act.operator, action = %act.action, target = act.target.as_deref(), "an operator acts");
        let event = recorder.event(Body::Admin(act));
        match self.durable(&event).await {
            Ok(()) => {}
            Err(reason) if only_takes_away => {
                tracing::error!(%reason, "sessions are ended although the record of it is not durable");
            }
            Err(reason) => return Err((reason, "look at the disk of the audit log, then try again")),
        }
        self.shared.apply(&event);
        Ok(())
    }

    async fn durable(&self, event: &Event) -> Result<(), String> {
        let recorder = &self.shared.recorder;
        let mut records = recorder.watch();
        let sequence = match recorder.append(event, Urgency::Durable) {
            Ok(sequence) => sequence,
            Err(error) => {
                if matches!(&event.body, Body::Admin(admin) if admin.action == KILL) {
                    recorder.lose("admin", &error);
                }
                return Err(format!("the audit log takes no records, so nothing was done: {error}"));
            }
        };
        let durable = async {
            while recorder.durable() < sequence {
                if records.changed().await.is_err() {
                    return;
                }
            }
        };
        let waited = tokio::time::timeout(DURABLE_TIMEOUT, durable).await;
        if waited.is_err() || recorder.durable() < sequence {
            return Err("the record of it is not durable yet, so nothing was done; it may take effect with the next \
                        start of weir, if the record is written after all"
                .to_owned());
        }
        Ok(())
    }
}

/// Whether the operator's words can be kept.
fn sound(act: &Admin) -> Result<(), Refused> {
    let reason = act.reason.as_deref().unwrap_or("");
    if act.action != "reload" && reason.trim().is_empty() {
        return Err(("an act needs a reason".to_owned(), "say why with --reason"));
    }
    if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) {
        return Err((format!("a reason is one line of at most {REASON_BYTES_MAX} bytes"), "shorten it"));
    }
    let names = [&act.target, &act.dataset];
    if names.into_iter().flatten().any(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        return Err((format!("a name has 1 to {NAME_BYTES_MAX} bytes"), "check the name"));
    }
    Ok(())
}

/// What a record of a refused act may hold of somebody's words.
fn bounded(mut act: Admin) -> Admin {
    let cut = |text: &mut Option<String>, most: usize| {
        if let Some(text) = text {
            let mut end = text.len().min(most);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
    };
    cut(&mut act.reason, REASON_BYTES_MAX);
    cut(&mut act.target, NAME_BYTES_MAX);
    cut(&mut act.dataset, NAME_BYTES_MAX);
    act
}
