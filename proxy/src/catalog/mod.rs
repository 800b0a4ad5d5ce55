//! What Weir knows of the databases behind it: a snapshot per database, loaded over Weir's own account and renewed.
//!
//! Each database that a session uses, and each MySQL server as a whole, has one keeper, a task on the thread `weir-catalog`; sessions on any worker read
//! the keeper's last snapshot from memory and wait only for the first one, or for one that must be newer than a change
//! which they saw ([`Catalogs::renew`]).
//!
//! What must never happen here: a snapshot that is older than it says. A failed load keeps the last snapshot and calls
//! it [`Freshness::Stale`]; a database that was never read has an empty catalog, in which every name is `Missing`, and
//! callers treat that as "unknown", never as "not sensitive".

pub(crate) mod account;
mod content;
mod keeper;
pub(crate) mod mysql;
pub(crate) mod postgres;
mod source;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, oneshot, watch};
use weir_policy::catalog::Catalog;
use weir_policy::relation::Engine;
use weir_wire::mysql::handshake::Greeting;

use crate::config::Config;
use crate::monitor::CarriedBy;
use account::Account;
use content::Facts;
pub use content::MysqlFacts;
use postgres::SearchPaths;
pub(crate) use postgres::{parse_search_path, search_path_of_options};

/// Databases that are kept at once. Each costs a snapshot in memory and a short connection per refresh; names come
/// from peers, so there is an end to them.
const DATABASES_MAX: usize = 256;
/// Loads that run at once against one upstream: its connection slots belong to its clients.
const LOADS_MAX: usize = 4;
/// A database that no session asked for in this time is forgotten.
const UNUSED: Duration = Duration::from_secs(3600);
/// Between two attempts for a database that was never read, when sessions keep asking.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest wait of a session: one load that is under way, then its own, and a little.
const WAIT_MAX: Duration = Duration::from_secs(2 * keeper::LOAD_TIMEOUT.as_secs() + 5);

/// Snapshots of every database in use, shared by all workers.
pub struct Catalogs {
    upstreams: HashMap<String, Upstream>,
    slots: RwLock<HashMap<(String, String), Arc<Slot>>>,
    runtime: tokio::runtime::Handle,
    /// Dropping it ends the thread.
    _alive: oneshot::Sender<()>,
}

/// One server, as all its keepers share it.
struct Upstream {
    account: Arc<Account>,
    /// For loads.
    places: Arc<Semaphore>,
    /// Ends statements, on MySQL.
    killer: Option<Arc<mysql::Killer>>,
}

/// What is known of one database now. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CatalogView {
    /// The snapshot.
    pub catalog: Arc<Catalog>,
    /// Whether it is known to be the server's present state.
    pub state: Freshness,
    facts: Arc<Facts>,
    /// Ordinary tables of sessions' own.
    temporary: Arc<HashSet<u32>>,
}

/// How far a snapshot can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// As of the last comparison with the server, at most `refresh_secs` and a load ago.
    Fresh,
    /// The server could not be asked; changes since then are unknown.
    Stale {
        /// When it was first found so.
        since: Instant,
        /// Why, in words for a log.
        reason: Arc<str>,
    },
}

/// One database's keeper as sessions see it.
struct Slot {
    orders: Arc<Orders>,
    published: watch::Receiver<Published>,
}

/// What sessions want of a keeper.
struct Orders {
    /// Loads asked for so far; a load that starts when this is `n` satisfies the first `n` of them.
    asked: AtomicU64,
    wake: Notify,
    /// Changes of the catalog that sessions have seen committed.
    changes: AtomicU64,
    /// How many of those a load that started later has taken in.
    taken_in: AtomicU64,
    /// When a session last asked, ms since `epoch`.
    used_ms: AtomicU64,
    epoch: Instant,
}

/// What a keeper last found.
#[derive(Clone)]
struct Published {
    view: CatalogView,
    /// Orders that this attempt satisfied, well or badly.
    through: u64,
    /// When the attempt ended; `None` before the first.
    attempted: Option<Instant>,
    /// Whether the database was ever read.
    loaded: bool,
}

impl Catalogs {
    /// Starts the thread that loads. Nothing is read before a session asks.
    ///
    /// # Errors
    /// Roots of trust that cannot be read, or a thread that cannot start, in words for the operator.
    pub fn new(config: &Config, carried: &CarriedBy) -> Result<Arc<Catalogs>, String> {
        let mut upstreams = HashMap::new();
        for upstream in &config.upstreams {
            let account = Arc::new(Account::for_catalog(upstream, carried.get(&upstream.name).cloned())?);
            let killer = (upstream.engine == Engine::Mysql).then(|| mysql::Killer::new(Arc::clone(&account)));
            let places = Arc::new(Semaphore::new(LOADS_MAX));
            upstreams.insert(upstream.name.clone(), Upstream { account, places, killer });
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the catalog's runtime cannot start: {error}"))?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("weir-catalog".to_owned())
            .spawn(move || {
                // Ends with an error when `Catalogs` is dropped, which is the message.
                let _ = runtime.block_on(ended);
            })
            .map_err(|error| format!("the catalog's thread cannot start: {error}"))?;
        Ok(Arc::new(Catalogs { upstreams, slots: RwLock::default(), runtime: handle, _alive: alive }))
    }

    /// The snapshot of a database, from memory; only the first caller's wait for the first load.
    ///
    /// Cancel safe. Never longer than a bounded load.
    pub async fn snapshot(&self, upstream: &str, database: &str) -> CatalogView {
        let slot = match self.slot(upstream, database) {
            Ok(slot) => slot,
            Err(reason) => return self.unknown(upstream, database, &reason),
        };
        slot.orders.touch();
        let published = slot.published.borrow().clone();
        match published.attempted {
            Some(_) if published.loaded => published.view,
            Some(attempted) if attempted.elapsed() < RETRY_AFTER => published.view,
            _ => slot.wait(slot.orders.order()).await,
        }
    }

    /// A snapshot whose load started after this call: for sessions that saw the database being changed. A change must
    /// be committed before this is called, or the load cannot see it.
    ///
    /// Calls at the same time share a load. Cancel safe; the load goes on.
    pub async fn renew(&self, upstream: &str, database: &str) -> CatalogView {
        match self.slot(upstream, database) {
            Ok(slot) => {
                slot.orders.touch();
                slot.wait(slot.orders.order()).await
            }
            Err(reason) => self.unknown(upstream, database, &reason),
        }
    }

    /// A session's view of one database, from the first load on.
    ///
    /// Cancel safe. Never longer than a bounded load.
    pub async fn feed(self: &Arc<Self>, upstream: &str, database: &str) -> Feed {
        let view = self.snapshot(upstream, database).await;
        let slot = self.slot(upstream, database).ok();
        Feed { catalogs: Arc::clone(self), slot, unknown: view, upstream: upstream.into(), database: database.into() }
    }

    /// Ends what the session of this number runs on a MySQL server, over Weir's own account. Returns when the server has
    /// been told, so that it cannot hit a later statement.
    ///
    /// Cancel safe: what was not sent by then is not.
    ///
    /// # Errors
    /// Why it could not be asked for, in words for the operator; with the right that is missing.
    pub async fn kill_query(&self, upstream: &str, thread: u64) -> Result<(), String> {
        let killer = self.upstreams.get(upstream).and_then(|upstream| upstream.killer.clone());
        let killer = killer.ok_or_else(|| format!("`{upstream}` is no MySQL server that weir knows"))?;
        // On the thread that has the connection. Dropped with this call, the set ends its task.
        let mut task = tokio::task::JoinSet::new();
        task.spawn_on(async move { killer.kill_query(thread).await }, &self.runtime);
        match task.join_next().await {
            Some(Ok(told)) => told,
            Some(Err(_)) | None => Err("weir is stopping".to_owned()),
        }
    }

    /// What a MySQL server greets with, from memory where it has greeted anybody of Weir's. Else Weir's own account
    /// connects, so that the server does not count a connection that nobody logs in on.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// Why the server did not greet, in words for the operator.
    pub async fn greeting(&self, upstream: &str) -> Result<Greeting, String> {
        let account = self.upstreams.get(upstream).map(|upstream| Arc::clone(&upstream.account));
        let account = account.ok_or_else(|| format!("there is no upstream `{upstream}`"))?;
        if let Some(greeting) = account.greeting() {
            return Ok(greeting);
        }
        let mut task = tokio::task::JoinSet::new();
        let asked = Arc::clone(&account);
        task.spawn_on(async move { mysql::Connection::open(&asked).await.map(drop) }, &self.runtime);
        let opened = match task.join_next().await {
            Some(Ok(opened)) => opened,
            Some(Err(_)) | None => Err("weir is stopping".to_owned()),
        };
        // One that declines Weir's account has greeted all the same.
        match (account.greeting(), opened) {
            (Some(greeting), _) => Ok(greeting),
            (None, Err(reason)) => Err(reason),
            (None, Ok(())) => Err("the server did not greet".to_owned()),
        }
    }

    /// A MySQL server greeted a session's login.
    pub fn greeted(&self, upstream: &str, greeting: &Greeting) {
        if let Some(upstream) = self.upstreams.get(upstream) {
            upstream.account.greeted(greeting);
        }
    }

    /// Why Weir is not ready as far as catalogs go: databases in use that could never be read.
    pub fn unready(&self) -> Vec<String> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let mut reasons = Vec::new();
        for ((upstream, database), slot) in slots.iter() {
            let published = slot.published.borrow();
            match &published.view.state {
                Freshness::Stale { reason, .. } if !published.loaded => {
                    reasons.push(format!("the catalog of `{database}` on `{upstream}` was never read: {reason}"));
                }
                _ => {}
            }
        }
        reasons.sort();
        reasons
    }

    /// What is said of a database that is not kept.
    fn unknown(&self, upstream: &str, database: &str, reason: &str) -> CatalogView {
        let engine = self.upstreams.get(upstream).map_or(Engine::Postgres, |upstream| upstream.account.engine);
        CatalogView::unknown(engine, kept_as(engine, database), reason)
    }

    fn slot(&self, upstream: &str, database: &str) -> Result<Arc<Slot>, String> {
        let Some(Upstream { account, places, .. }) = self.upstreams.get(upstream) else {
            return Err(format!("there is no upstream `{upstream}`"));
        };
        let database = kept_as(account.engine, database);
        let key = (upstream.to_owned(), database.to_owned());
        {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(slot) = slots.get(&key).filter(|slot| slot.is_kept()) {
                return Ok(Arc::clone(slot));
            }
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key).filter(|slot| slot.is_kept()) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= DATABASES_MAX {
            slots.retain(|_, slot| slot.is_kept());
        }
        if slots.len() >= DATABASES_MAX {
            return Err(format!("weir keeps the catalogs of {DATABASES_MAX} databases and no more"));
        }
        let orders = Arc::new(Orders {
            asked: AtomicU64::new(0),
            wake: Notify::new(),
            changes: AtomicU64::new(0),
            taken_in: AtomicU64::new(0),
            used_ms: AtomicU64::new(0),
            epoch: Instant::now(),
        });
        let view = CatalogView::unknown(account.engine, database, "it is not read yet");
        let (publish, published) = watch::channel(Published { view, through: 0, attempted: None, loaded: false });
        let keeper = keeper::Keeper::new(Arc::clone(account), Arc::clone(places), database);
        self.runtime.spawn(keeper.keep(Arc::clone(&orders), publish));
        let slot = Arc::new(Slot { orders, published });
        slots.insert(key, Arc::clone(&slot));
        Ok(slot)
    }
}

/// One database as a session follows it.
pub struct Feed {
    catalogs: Arc<Catalogs>,
    slot: Option<Arc<Slot>>,
    /// What is seen while the database is not kept.
    unknown: CatalogView,
    upstream: Arc<str>,
    database: Arc<str>,
}

impl Feed {
    /// Version of the last snapshot: cheap, to see whether something derived is still it.
    pub fn version(&self) -> u64 {
        self.slot.as_ref().map_or(0, |slot| {
            slot.orders.touch();
            slot.published.borrow().view.catalog.version()
        })
    }

    /// The last snapshot.
    pub fn view(&self) -> CatalogView {
        self.slot.as_ref().map_or_else(|| self.unknown.clone(), |slot| slot.published.borrow().view.clone())
    }

    /// Waits for a snapshot whose load started after this call; [`view`](Feed::view) has it then, unless the load failed.
    pub fn renew(&self) -> impl Future<Output = ()> + 'static {
        let (catalogs, upstream, database) =
            (Arc::clone(&self.catalogs), Arc::clone(&self.upstream), Arc::clone(&self.database));
        async move {
            catalogs.renew(&upstream, &database).await;
        }
    }

    /// A session has committed a change of the catalog: whoever judges by an older snapshot must have a newer one.
    pub fn change(&self) {
        if let Some(slot) = &self.slot {
            slot.orders.changes.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Changes seen so far, by any session.
    pub fn changes(&self) -> u64 {
        self.slot.as_ref().map_or(0, |slot| slot.orders.changes.load(Ordering::SeqCst))
    }

    /// A load that started behind so many changes has ended.
    pub fn took_in(&self, changes: u64) {
        if let Some(slot) = &self.slot {
            slot.orders.taken_in.fetch_max(changes, Ordering::SeqCst);
        }
    }

    /// Whether the last snapshot may be older than a change that a session has seen.
    pub fn is_behind(&self) -> bool {
        self.slot.as_ref().is_some_and(|slot| {
            slot.orders.taken_in.load(Ordering::SeqCst) < slot.orders.changes.load(Ordering::SeqCst)
        })
    }

    /// Looks for the keeper again: one that nobody used for long was replaced.
    pub fn reconnect(&mut self) {
        if self.slot.as_ref().is_none_or(|slot| !slot.is_kept()) {
            self.slot = self.catalogs.slot(&self.upstream, &self.database).ok();
        }
    }
}

impl Slot {
    /// Whether its keeper still runs: one that was unused for long, or panicked, is replaced.
    fn is_kept(&self) -> bool {
        self.published.has_changed().is_ok()
    }

    async fn wait(&self, ticket: u64) -> CatalogView {
        let mut published = self.published.clone();
        let unknown = |reason| {
            let catalog = Arc::clone(&self.published.borrow().view.catalog);
            CatalogView::unknown(catalog.engine(), catalog.database(), reason)
        };
        let found = tokio::time::timeout(WAIT_MAX, published.wait_for(|published| published.through >= ticket)).await;
        match found {
            Ok(Ok(published)) => published.view.clone(),
            Ok(Err(_)) => unknown("the loader stopped; weir's log says why"),
            Err(_) => unknown("the load takes too long"),
        }
    }
}

impl Orders {
    /// Asks for a load that starts from now on; it is done when `through` has reached the ticket.
    fn order(&self) -> u64 {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_one();
        ticket
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used_ms.fetch_max(elapsed, Ordering::Relaxed);
    }

    fn unused_for(&self) -> Duration {
        self.epoch.elapsed().saturating_sub(Duration::from_millis(self.used_ms.load(Ordering::Relaxed)))
    }
}

impl CatalogView {
    /// The view of a database of which nothing is known.
    pub fn unknown(engine: Engine, database: &str, reason: &str) -> CatalogView {
        CatalogView {
            catalog: Arc::new(Catalog::empty(engine, database)),
            state: Freshness::Stale { since: Instant::now(), reason: reason.into() },
            facts: Arc::default(),
            temporary: Arc::default(),
        }
    }

    /// Whether this is the number of an ordinary table of a session's own, as of the last load.
    pub fn is_temporary(&self, oid: u32) -> bool {
        self.temporary.contains(&oid)
    }

    /// What sessions of a MySQL server start from; `None` while it was never read, and of PostgreSQL.
    pub fn mysql(&self) -> Option<&MysqlFacts> {
        match &*self.facts {
            Facts::Mysql(facts) => Some(facts),
            Facts::Postgres(_) | Facts::Unread => None,
        }
    }

    /// The `search_path` that a session of this role starts with, when it says nothing itself: schema names, unquoted;
    /// `$user` stands for the role's own name. `pg_catalog` and `pg_temp` are not added.
    pub fn search_path_default(&self, role: &str) -> Vec<String> {
        match &*self.facts {
            Facts::Postgres(paths) => paths.of(role),
            Facts::Mysql(_) | Facts::Unread => SearchPaths::default().of(role),
        }
    }
}

/// The database that a snapshot is kept for. A statement of MySQL crosses from one database to the next as PostgreSQL's
/// does between schemas, so there the server as a whole is kept, under no name.
fn kept_as(engine: Engine, database: &str) -> &str {
    match engine {
        Engine::Postgres => database,
        Engine::Mysql => "",
    }
}
