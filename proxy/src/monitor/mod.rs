//! Who reaches a server past Weir: the server's own list of sessions, held against the connections that Weir holds.
//!
//! One task for each upstream that has `[upstream.monitor]`. It looks every few seconds over an account of its own; a
//! session that is neither Weir's nor allowed is an alert, once an hour for an account and the host it comes from.
//!
//! What must never happen here: an effect on sessions. A monitor that cannot log in or may not see enough says so, and
//! nothing else changes. What it cannot see: a session that begins and ends between two looks. PostgreSQL 14 and later
//! count sessions, so there at least their number is told.

pub mod allow;
pub mod carried;
mod listed;
mod tally;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_audit_store::event::{Alert, Body, Person, Session, Severity};
use weir_policy::relation::Engine;

use crate::audit::Recorder;
use crate::catalog::account::Account;
use crate::config::{Monitor as Settings, Upstream};
use crate::identity::Login;
use crate::session::Shared;
use crate::telemetry;
use carried::Carried;
use listed::{Listed, Watch};
use tally::Tally;

/// The connections of Weir to each server that is watched, by the name of the upstream.
pub type CarriedBy = HashMap<String, Arc<Carried>>;

/// A session may be listed a moment before Weir has read that it is open. It is looked up once more after this.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A look that takes longer has failed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the same account from the same host is not told again.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(3600);
/// Accounts and hosts that are remembered as told. Names come from whoever logs in, so there is an end to them.
const TOLD_MAX: usize = 4096;
/// Alerts of one look; what is more is told as a number.
const ALERTS_MAX: usize = 32;

/// A table for each server that is watched.
pub fn carried(upstreams: &[Upstream]) -> CarriedBy {
    let watched = upstreams.iter().filter(|upstream| upstream.monitor.is_some());
    watched.map(|upstream| (upstream.name.clone(), Arc::default())).collect()
}

/// What watches one server.
pub struct Monitor {
    account: Account,
    settings: Settings,
    carried: Arc<Carried>,
    shared: Arc<Shared>,
    connection: Option<Watch>,
    /// Sessions of the last look that are not to be told again.
    known: HashSet<u64>,
    told: HashMap<(String, String), Told>,
    tally: Tally,
    /// Why the last look failed.
    failing: Option<String>,
}

/// What was told of an account on a host.
struct Told {
    at: Instant,
    /// Sessions since then.
    since: u64,
}

impl Monitor {
    /// For this upstream; `None` where it has no monitor.
    ///
    /// # Errors
    /// Roots of trust that cannot be read, in words for the operator.
    pub fn new(upstream: &Upstream, carried: &CarriedBy, shared: &Arc<Shared>) -> Result<Option<Monitor>, String> {
        let (Some(settings), Some(carried)) = (&upstream.monitor, carried.get(&upstream.name)) else { return Ok(None) };
        Ok(Some(Monitor {
            account: Account::for_monitor(upstream, &settings.account, Arc::clone(carried))?,
            settings: settings.clone(),
            carried: Arc::clone(carried),
            shared: Arc::clone(shared),
            connection: None,
            known: HashSet::new(),
            told: HashMap::new(),
            tally: Tally::default(),
            failing: None,
        }))
    }

    /// Looks until the task is dropped.
    pub async fn watch(mut self) {
        let mut wait = tokio::time::interval(self.settings.account.refresh);
        wait.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            wait.tick().await;
            let looked = match tokio::time::timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(looked) => looked,
                Err(_) => {
                    self.connection = None;
                    Err(format!("the server gave no list of sessions within {} s", LOOK_TIMEOUT.as_secs()))
                }
            };
            self.state(looked.err());
        }
    }

    async fn look(&mut self) -> Result<(), String> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => {
                self.tally = Tally::default();
                Watch::open(&self.account, &self.settings.database).await?
            }
        };
        let look = connection.look().await?;
        self.connection = Some(connection);
        let present: HashSet<u64> = look.sessions.iter().map(|session| session.number).collect();
        self.known.retain(|number| present.contains(number));
        let unknown = look.sessions.into_iter().filter(|session| !self.known.contains(&session.number)).collect();
        let mut strangers = self.carried.strangers(unknown, look.at, Listed::seen);
        if !strangers.is_empty() {
            tokio::time::sleep(CONFIRM_AFTER).await;
            strangers = self.carried.strangers(strangers, look.at, Listed::seen);
        }
        self.known = present;
        self.tally.count(look.began, self.carried.begun(), strangers.len());
        let (allowed, strangers): (Vec<_>, Vec<_>) = strangers
            .into_iter()
            .partition(|session| self.settings.allow.iter().any(|allowed| allowed.covers(session)));
        tracing::debug!(upstream = %self.account.upstream, allowed = allowed.len(), strangers = strangers.len(), "looked");
        self.tell(strangers);
        Ok(())
    }

    /// Tells of those that were not told within the hour.
    fn tell(&mut self, strangers: Vec<Listed>) {
        let now = Instant::now();
        let unseen = self.tally.unseen();
        let mut untold = 0_u64;
        let mut alerts = 0;
        for session in strangers {
            telemetry::bypassed(&self.account.upstream);
            let key = (session.account.clone(), session.host.clone());
            let before = match self.told.get_mut(&key) {
                Some(told) if now.duration_since(told.at) < TOLD_AGAIN_AFTER => {
                    told.since = told.since.saturating_add(1);
                    continue;
                }
                Some(told) => told.since,
                None => 0,
            };
            if self.told.len() >= TOLD_MAX {
                self.told.retain(|_, told| now.duration_since(told.at) < TOLD_AGAIN_AFTER);
            }
            if alerts >= ALERTS_MAX || self.told.len() >= TOLD_MAX {
                untold += 1;
                continue;
            }
            alerts += 1;
            self.told.insert(key, Told { at: now, since: 0 });
            self.alert(&session, before, unseen);
        }
        let recorder = &self.shared.recorder;
        if untold > 0 {
            let upstream = &self.account.upstream;
            let title = format!("{untold} more sessions reach `{upstream}` past weir than are told one by one");
            recorder.alert_operator("bypass", title, Severity::High);
        }
        // Where some may come and go past Weir, nobody knows whose they were.
        if self.settings.allow.is_empty() && self.tally.is_to_be_told(now) {
            let upstream = &self.account.upstream;
            let title = format!(
                "{unseen} sessions on `{upstream}` began and ended past weir between two looks: the server counted \
                 more than weir opened and the list showed"
            );
            recorder.alert_operator("bypass-unseen", title, Severity::Medium);
        }
    }

    fn alert(&self, session: &Listed, before: u64, unseen: u64) {
        use std::fmt::Write;
        let upstream = &self.account.upstream;
        let (account, place) = (crate::catalog::account::words(&session.account), session.place());
        let mut title = format!("`{account}` is logged in on `{upstream}` past weir, from {place}");
        // Writing to a String cannot fail.
        if let Some(age) = session.age {
            let _ = write!(title, ", for {} s", age.as_secs());
        }
        if before > 0 {
            let _ = write!(title, "; {before} more sessions of theirs since it was last told");
        }
        if unseen > 0 {
            let _ = write!(title, "; {unseen} other sessions came and went between two looks");
        }
        telemetry::alerted("bypass");
        let recorder: &Recorder = &self.shared.recorder;
        let alert = Alert { code: "bypass".to_owned(), title, severity: Severity::High };
        let mut event = recorder.event(Body::Alert(alert));
        let in_force = self.shared.policies.current();
        let who = in_force.directory.resolve(upstream, &Login::relayed(&session.account), session.address, "");
        event.person = Some(Person {
            id: who.person.to_string(),
            known: who.known,
            groups: who.groups.iter().map(ToString::to_string).collect(),
            auth: "unseen".to_owned(),
        });
        event.session = Some(Session {
            id: format!("{upstream}-{}", session.number),
            client: match session.port {
                Some(port) if !session.is_local => format!("{}:{port}", session.host),
                _ => place,
            },
            upstream: upstream.clone(),
            database: session.database.clone(),
            account: session.account.clone(),
            application: (!session.application.is_empty()).then(|| session.application.clone()),
            ..Session::default()
        });
        recorder.alert(&event);
    }

    /// Tells when looking begins to fail, and when it works again.
    fn state(&mut self, problem: Option<String>) {
        let upstream = &self.account.upstream;
        telemetry::monitor_works(upstream, problem.is_none());
        match (&self.failing, &problem) {
            (None, Some(reason)) => {
                tracing::error!(%upstream, %reason, "sessions past weir would not be noticed now; clients are served");
                let title = format!("sessions that reach `{upstream}` past weir are not noticed: {reason}");
                self.shared.recorder.alert_operator("monitor-failed", title, Severity::Medium);
            }
            (Some(_), None) => tracing::info!(%upstream, "sessions past weir are noticed again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.failing = problem;
    }
}

/// What the monitor's account is called towards the server.
pub(crate) const APPLICATION: &str = "weir monitor";

/// The database that PostgreSQL's monitor connects to when none is named; the list of sessions is the same in each.
pub(crate) fn default_database(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgres",
        Engine::Mysql => "",
    }
}
