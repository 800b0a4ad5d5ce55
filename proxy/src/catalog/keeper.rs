//! Keeps one database's snapshot: loads it, compares it with the server from time to time, reloads it on demand.
//!
//! In this order, for ever: take note of the orders so far, compare or load, publish, wait. An order that arrives
//! during a load is not satisfied by it, since the load may have read before the change; it gets one of its own.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use weir_policy::catalog::{Catalog, Relation};

use super::account::Account;
use super::content::{Content, Facts};
use super::source::Source;
use super::{CatalogView, Freshness, Orders, Published, UNUSED};
use crate::telemetry;

/// Time for one attempt, from the connection to the last row. Sessions wait for it, so it is bounded.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection stays after an order: scripts change a schema many times in a row. Not longer, and not at all
/// after a mere refresh, since an open connection keeps a database from being dropped.
const LINGER: Duration = Duration::from_secs(2);
/// First pause after a failure; it doubles up to the refresh period.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Even without a change that the comparison sees, row estimates age.
const RELOAD_AFTER: Duration = Duration::from_secs(900);
/// How far a row estimate or a width may move, in percent, before it makes a new version: analyses and bindings are
/// cached by version, and estimates move all the time.
const ESTIMATE_DRIFT_PERCENT: u64 = 20;

/// Numbers of snapshots, so that no two of a process have the same.
static VERSION: AtomicU64 = AtomicU64::new(1);

/// The task of one database.
pub(super) struct Keeper {
    account: Arc<Account>,
    places: Arc<Semaphore>,
    database: Arc<str>,
    /// With the time at which it is closed.
    connection: Option<(Source, Instant)>,
    known: Option<Known>,
}

/// What was last read.
struct Known {
    catalog: Arc<Catalog>,
    facts: Arc<Facts>,
    temporary: Arc<HashSet<u32>>,
    /// Of everything but estimates.
    digest: [u8; 32],
    /// The server's fingerprint that went with it.
    fingerprint: String,
    loaded: Instant,
}

impl Keeper {
    pub(super) fn new(account: Arc<Account>, places: Arc<Semaphore>, database: &str) -> Keeper {
        Keeper { account, places, database: database.into(), connection: None, known: None }
    }

    /// Runs until nobody has asked for long.
    pub(super) async fn keep(mut self, orders: Arc<Orders>, publish: watch::Sender<Published>) {
        let mut satisfied = 0;
        let mut failing: Option<(Instant, Duration)> = None;
        loop {
            // Before the work: an order that comes later is not satisfied by it.
            let through = orders.asked.load(Ordering::SeqCst);
            let started = Instant::now();
            let outcome = match tokio::time::timeout(LOAD_TIMEOUT, self.attempt(through > satisfied)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("not read within {} s", LOAD_TIMEOUT.as_secs())),
            };
            satisfied = through;
            telemetry::catalog_read(&self.account.upstream, &self.database, outcome.is_ok(), started.elapsed());
            let state = match outcome {
                Ok(()) => {
                    if failing.take().is_some() {
                        tracing::info!(upstream = %self.account.upstream, database = %self.database, "catalog is read again");
                    }
                    Freshness::Fresh
                }
                Err(reason) => {
                    self.connection = None;
                    let (since, pause) = failing.unwrap_or_else(|| {
                        tracing::warn!(
                            upstream = %self.account.upstream, database = %self.database, %reason,
                            "catalog cannot be read; names that it does not hold are unknown"
                        );
                        (started, BACKOFF_MIN)
                    });
                    failing = Some((since, (pause * 2).min(self.account.refresh().max(BACKOFF_MIN))));
                    Freshness::Stale { since, reason: reason.into() }
                }
            };
            let published = self.publish(state, through);
            if publish.send(published).is_err() {
                return;
            }
            let pause = failing.map_or(self.account.refresh(), |(_, pause)| pause);
            self.rest(&orders, satisfied, pause).await;
            if orders.unused_for() > UNUSED && orders.asked.load(Ordering::SeqCst) == satisfied {
                tracing::debug!(upstream = %self.account.upstream, database = %self.database, "catalog is no longer used");
                return;
            }
        }
    }

    /// Waits for the next order or the end of the pause; closes the connection on the way.
    async fn rest(&mut self, orders: &Orders, satisfied: u64, pause: Duration) {
        let end = tokio::time::sleep(pause);
        tokio::pin!(end);
        loop {
            if orders.asked.load(Ordering::SeqCst) > satisfied {
                return;
            }
            let linger = self.connection.as_ref().map(|(_, end)| end.saturating_duration_since(Instant::now()));
            tokio::select! {
                () = orders.wake.notified() => {}
                () = &mut end => return,
                () = tokio::time::sleep(linger.unwrap_or_default()), if linger.is_some() => self.connection = None,
            }
        }
    }

    /// Reads, or finds that there is nothing to read. `ordered`: somebody saw a change, so a comparison is no answer.
    ///
    /// A connection that was kept may have died meanwhile; a new one is tried before that counts as a failure.
    async fn attempt(&mut self, ordered: bool) -> Result<(), String> {
        let Ok(_place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err("weir is stopping".to_owned());
        };
        if let Some((mut connection, end)) = self.connection.take().filter(|(connection, _)| !connection.is_closed())
            && self.read(&mut connection, ordered).await.is_ok()
        {
            self.linger(connection, ordered, end);
            return Ok(());
        }
        let mut connection = Source::open(&self.account, &self.database).await?;
        self.read(&mut connection, ordered).await?;
        self.linger(connection, ordered, Instant::now());
        Ok(())
    }

    fn linger(&mut self, connection: Source, ordered: bool, end: Instant) {
        let end = if ordered { Instant::now() + LINGER } else { end };
        self.connection = (end > Instant::now()).then_some((connection, end));
    }

    async fn read(&mut self, connection: &mut Source, ordered: bool) -> Result<(), String> {
        // Taken before the content: a change in between makes the next comparison differ, never the other way round.
        let fingerprint = connection.fingerprint().await?;
        if let Some(known) = &self.known
            && !ordered
            && known.fingerprint == fingerprint
            && known.loaded.elapsed() < RELOAD_AFTER
        {
            return Ok(());
        }
        let content = connection.load(&self.database).await?;
        self.take(content, fingerprint);
        Ok(())
    }

    fn take(&mut self, content: Content, fingerprint: String) {
        let digest = content.digest();
        let catalog = match &self.known {
            Some(known) if known.digest == digest && is_near(known.catalog.relations(), &content.relations) => {
                Arc::clone(&known.catalog)
            }
            _ => {
                let version = VERSION.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(
                    upstream = %self.account.upstream, database = %self.database, version,
                    relations = content.relations.len(), functions = content.functions.len(), "catalog has changed"
                );
                let database = &self.database;
                let (relations, functions) = (content.relations, content.functions);
                let catalog = Catalog::new(self.account.engine, database, version, relations, functions);
                let catalog = catalog.with_triggers(content.triggers).with_foreign(content.foreign);
                Arc::new(catalog.with_code(content.code))
            }
        };
        let facts = Arc::new(content.facts);
        let temporary = Arc::new(content.temporary.into_iter().collect());
        self.known = Some(Known { catalog, facts, temporary, digest, fingerprint, loaded: Instant::now() });
    }

    fn publish(&self, state: Freshness, through: u64) -> Published {
        let attempted = Some(Instant::now());
        match &self.known {
            Some(known) => {
                let (catalog, facts) = (Arc::clone(&known.catalog), Arc::clone(&known.facts));
                let temporary = Arc::clone(&known.temporary);
                let view = CatalogView { catalog, state, facts, temporary };
                Published { view, through, attempted, loaded: true }
            }
            None => {
                let mut view = CatalogView::unknown(self.account.engine, &self.database, "");
                view.state = state;
                Published { view, through, attempted, loaded: false }
            }
        }
    }
}

/// Whether estimates have only drifted. The relations are otherwise the same, in the same order.
fn is_near(old: &[Relation], new: &[Relation]) -> bool {
    let near = |old: u64, new: u64| {
        // From and to "unknown" is always a change.
        (old == 0) == (new == 0) && old.abs_diff(new).saturating_mul(100) <= old.saturating_mul(ESTIMATE_DRIFT_PERCENT)
    };
    old.len() == new.len()
        && old.iter().zip(new).all(|(old, new)| {
            near(old.rows_estimate, new.rows_estimate)
                && near(u64::from(old.row_bytes_mean), u64::from(new.row_bytes_mean))
        })
}
