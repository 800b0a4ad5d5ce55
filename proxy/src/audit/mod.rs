//! The way into the audit log: what the trunk knows becomes records, and records become durable.
//!
//! What must never happen here: an event that is lost without being counted. While the log takes no records, whoever
//! needed one is told, and the number of those that went on without one is recorded as soon as it can be.

pub mod words;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use weir_audit_store::event::{Alert, Body, Boot, Severity, Shutdown, StoreTrouble};
use weir_audit_store::{Event, Options, Recovery, State, Store, StoreError, Trouble, Urgency};

use crate::alert::Alerts;
use crate::budgets::{Clock, wall_ms};
use crate::config::Audit;
use crate::telemetry;

/// Closing waits no longer than this for what is still to be written.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A pause before the start that is told: nobody can tell it from a clock that was set forward.
const GAP_MS_TOLD: u64 = 3_600_000;

/// Everybody's way into the audit log.
pub struct Recorder {
    store: Store,
    dir: PathBuf,
    boot: String,
    clock: Clock,
    durable: watch::Receiver<u64>,
    appended: AtomicU64,
    lost: Mutex<Lost>,
    /// What the writer found wrong about the proofs, to be told by another thread.
    troubles: Arc<Mutex<Vec<Trouble>>>,
    alerts: Alerts,
}

/// Events that happened while the log took none.
#[derive(Debug, Default)]
struct Lost {
    count: u64,
    since_ms: u64,
    reason: String,
}

impl Recorder {
    /// Opens the log and its clock.
    ///
    /// # Errors
    /// What keeps the log from being opened, in words for the operator.
    pub fn open(config: &Audit, alerts: Alerts) -> Result<(Recorder, Recovery), String> {
        let options = Options {
            segment_bytes_max: config.segment_bytes_max,
            checkpoint_every: config.checkpoint,
            product: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            ..Options::new(&config.dir)
        };
        let (sender, durable) = watch::channel(0);
        let troubles: Arc<Mutex<Vec<Trouble>>> = Arc::default();
        let found = Arc::clone(&troubles);
        let watcher = move |watermark: weir_audit_store::Watermark| {
            sender.send_replace(watermark.durable);
            found.lock().unwrap_or_else(PoisonError::into_inner).extend(watermark.trouble);
        };
        let (store, recovery) =
            Store::open(options, Box::new(watcher)).map_err(|error| format!("the audit log: {error}"))?;
        let clock = Clock::not_before(recovery.high_water_ms);
        let recorder = Recorder {
            dir: config.dir.clone(),
            boot: format!("{:x}", wall_ms()),
            clock,
            durable,
            appended: AtomicU64::new(recovery.last_sequence),
            lost: Mutex::default(),
            troubles,
            alerts,
            store,
        };
        Ok((recorder, recovery))
    }

    /// Folder of the log.
    pub fn dir(&self) -> &PathBuf {
        &self.dir
    }

    /// The clock that events are stamped with.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Names this run of the process, in records.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// An event that happens now.
    pub fn event(&self, body: Body) -> Event {
        Event::new(wall_ms(), self.clock.now().0, self.boot.clone(), body)
    }

    /// Takes an event. It is durable when [`durable`](Recorder::durable) has reached the sequence.
    ///
    /// # Errors
    /// At once, when the log takes none: the event is not in it, and counted as lost unless the caller gives up what it
    /// wanted to do.
    pub fn append(&self, event: &Event, urgency: Urgency) -> Result<u64, StoreError> {
        self.tell_lost();
        let sequence = self.store.append(event, urgency)?;
        self.appended.fetch_max(sequence, Ordering::Relaxed);
        Ok(sequence)
    }

    /// Takes an event that nobody waits for. When the log takes none, it is counted.
    pub fn note(&self, event: &Event, urgency: Urgency) {
        if let Err(error) = self.append(event, urgency) {
            self.lose(event.body.name(), &error);
        }
    }

    /// Counts an event that is not in the log though what it tells of goes on.
    pub fn lose(&self, kind: &str, error: &StoreError) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.count == 0 {
            tracing::error!(kind, %error, "the audit log takes no records; what happens meanwhile is counted");
            lost.since_ms = wall_ms();
            lost.reason = error.to_string();
        }
        lost.count = lost.count.saturating_add(1);
    }

    /// Records what was lost, once the log takes records again.
    fn tell_lost(&self) {
        // Not waited for: whoever holds the lock is telling, or has just failed.
        let Ok(mut lost) = self.lost.try_lock() else { return };
        if lost.count == 0 {
            return;
        }
        let trouble = StoreTrouble {
            reason: lost.reason.clone(),
            since_ms: lost.since_ms,
            until_ms: wall_ms(),
            lost: lost.count,
            segment: None,
        };
        if let Ok(sequence) = self.store.append(&self.event(Body::Store(trouble)), Urgency::Durable) {
            self.appended.fetch_max(sequence, Ordering::Relaxed);
            tracing::warn!(lost = lost.count, "the audit log takes records again");
            *lost = Lost::default();
        }
    }

    /// Records an alert and sends it on its way.
    pub fn alert(&self, event: &Event) {
        if let Body::Alert(alert) = &event.body {
            tracing::warn!(code = %alert.code, person = event.person.as_ref().map(|person| person.id.as_str()),
                reference = event.reference.as_deref(), "{}", alert.title);
        }
        self.note(event, Urgency::Durable);
        self.alerts.send(event);
    }

    /// An alert about Weir itself.
    pub fn alert_operator(&self, code: &'static str, title: String, severity: Severity) {
        telemetry::alerted(code);
        let alert = Alert { code: code.to_owned(), title, severity };
        self.alert(&self.event(Body::Alert(alert)));
    }

    /// Every record up to this sequence is durable.
    pub fn durable(&self) -> u64 {
        self.store.durable()
    }

    /// Wakes whoever waits for a record.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.durable.clone()
    }

    /// Why the log takes no records now; `None` when it does.
    pub fn failing(&self) -> Option<String> {
        match self.store.state() {
            State::Open => None,
            State::Failing { reason } => Some(reason),
            State::Closed => Some("it is closed".to_owned()),
        }
    }

    /// Tells metrics how far the disk is behind, records what was lost, and tells what is wrong about the proofs.
    pub fn observe(&self) {
        self.tell_lost();
        let troubles = std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner));
        for trouble in troubles {
            let (code, severity) = match trouble {
                Trouble::Altered { .. } => ("audit-log-altered", Severity::Critical),
                Trouble::Unsigned { .. } => ("audit-log-unsigned", Severity::High),
            };
            self.alert_operator(code, trouble.to_string(), severity);
        }
        let waiting = self.appended.load(Ordering::Relaxed).saturating_sub(self.durable());
        telemetry::audit_lag(waiting, self.failing().is_some());
    }

    /// Records how the process found the world.
    pub fn booted(&self, recovery: &Recovery, config_sha256: String, policy_sha256: &str) {
        let mut clock_anomalies = Vec::new();
        let wall = wall_ms();
        if recovery.high_water_ms > wall {
            clock_anomalies.push(format!(
                "the wall clock is {} s behind the last record; budgets go on from there",
                (recovery.high_water_ms - wall) / 1000
            ));
        }
        let gap_ms = wall.saturating_sub(recovery.high_water_ms);
        if recovery.last_sequence > 0 && gap_ms > GAP_MS_TOLD {
            clock_anomalies.push(format!(
                "the last record is {} s old: weir was down, or the clock was set forward, and windows went on by as much",
                gap_ms / 1000
            ));
        }
        let boot = Boot {
            product: concat!("weir ", env!("CARGO_PKG_VERSION")).to_owned(),
            config_sha256,
            policy_sha256: policy_sha256.to_owned(),
            last_sequence: recovery.last_sequence,
            last_root: recovery.last_root.clone(),
            torn_bytes: recovery.torn_bytes,
            clock_anomalies,
        };
        self.note(&self.event(Body::Boot(boot)), Urgency::Durable);
    }

    /// Writes what waits, signs a last checkpoint and closes the log.
    pub fn close(recorder: Arc<Recorder>, reason: &str) {
        recorder.note(&recorder.event(Body::Shutdown(Shutdown { reason: reason.to_owned() })), Urgency::Durable);
        let store = recorder.store.clone();
        // A disk that hangs must not keep the process from ending.
        let (done, closed) = std::sync::mpsc::channel();
        let closing = std::thread::Builder::new().name("weir-audit-close".to_owned()).spawn(move || {
            let _ = done.send(store.close().map_err(|error| error.to_string()));
        });
        if closing.is_err() {
            tracing::error!("the audit log cannot be closed in order");
            return;
        }
        match closed.recv_timeout(CLOSE_TIMEOUT) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the audit log is not complete"),
            Err(_) => tracing::error!("the audit log was not written within {CLOSE_TIMEOUT:?}"),
        }
    }
}
