//! Which relations hold copies of sensitive values: for every upstream and database, shared by all sessions, rebuilt from
//! the audit log at start.
//!
//! In this order: a statement that copies is admitted; its labels are put here, and their records are durable before it
//! is forwarded; from then on every binding of that database covers the target. A label of a name gets the server's
//! number when a catalog first shows it, follows its columns and its name from there, and ends when a catalog that was
//! read later shows it no more.
//!
//! What must never happen here: a label that ends while the copy lives. Where that is not certain, it stays.

mod border;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use weir_audit_store::event::Body;
use weir_audit_store::{Event, ReadError, Reader};
use weir_policy::binding::holders;
use weir_policy::catalog::{Catalog, Relation};
use weir_policy::copies::Label;
use weir_policy::relation::Engine;

/// Labels that are kept at once. Each costs a few hundred bytes and a place in every binding of its database; who makes
/// more copies has a job that runs away, or wants this to be full.
pub const LABELS_MAX: usize = 10_000;
/// A name that no catalog has shown for this long after the transaction that was to make it is none: longer than two
/// loads of a catalog, one of which began behind its end.
const UNSEEN: Duration = Duration::from_secs(60);
/// MySQL's catalog is read in pieces, so that one reading may miss what is there.
const MISSED: Duration = Duration::from_secs(10);

/// Upstream, and database (empty: MySQL, where a catalog is one of the whole server).
type Key = (Arc<str>, Arc<str>);

/// Labels of all databases.
#[derive(Default)]
pub struct Copies {
    held: RwLock<Held>,
    /// Bumped with every change.
    version: AtomicU64,
}

#[derive(Default)]
struct Held {
    databases: HashMap<Key, Database>,
    labels: usize,
}

/// Labels of one database.
#[derive(Default)]
struct Database {
    kept: Vec<Kept>,
    laid: Laid,
    /// The newest catalog that was looked at.
    catalog: u64,
}

/// One label, and what is known of it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What its records call it.
    pub id: String,
    /// What it says.
    pub label: Label,
    /// Who made the copy first.
    pub person: String,
    /// The statement that made it first.
    pub statement: String,
    /// When, Unix milliseconds.
    pub time_ms: u64,
    /// Attribute numbers of the columns, where the server has such: names may change.
    numbers: Option<Numbers>,
    /// Since when the transaction that was to make it is over.
    settled: Option<Instant>,
    /// A catalog has shown it.
    seen: bool,
    /// Since when none has.
    missed: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers {
    columns: Option<BTreeSet<i16>>,
    key: Option<Vec<i16>>,
}

/// The labels of one database at one moment.
#[derive(Clone, Debug, Default)]
pub struct Laid {
    /// The labels.
    pub labels: Arc<[Label]>,
    /// Differs between any two of a process; 0: there never were any.
    pub version: u64,
}

/// Who copies, for the record.
pub struct By<'a> {
    /// The person.
    pub person: &'a str,
    /// The statement.
    pub statement: &'a str,
    /// When, Unix milliseconds.
    pub time_ms: u64,
}

impl Copies {
    /// Those that a log tells of.
    ///
    /// # Errors
    /// A log that cannot be read, in words for the operator.
    pub fn read(dir: &Path) -> Result<Copies, String> {
        let copies = Copies::default();
        let mut reader = Reader::open(dir, 1).map_err(|error| error.to_string())?;
        loop {
            match reader.next_record() {
                Ok(Some(record)) => copies.replay(&record.event),
                Ok(None) => break,
                // Told in full by `weir audit verify`.
                Err(ReadError::Damaged { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        copies.replayed();
        Ok(copies)
    }

    /// Differs after every change: cheap, to see whether something derived is still it.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// The labels of a database now.
    pub fn laid(&self, upstream: &str, catalog: &Catalog) -> Laid {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.databases.get(&key(upstream, catalog)).map(|database| database.laid.clone()).unwrap_or_default()
    }

    /// Whether so many more labels find room.
    pub fn has_room(&self, more: usize) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.labels.saturating_add(more) <= LABELS_MAX
    }

    /// Whether a copy is known by a name only, which no catalog has shown yet: it should be looked at before the name can
    /// get another meaning.
    pub fn has_unseen(&self, upstream: &str, catalog: &Catalog) -> bool {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.databases.get(&key(upstream, catalog)).is_some_and(|database| database.kept.iter().any(|kept| !kept.seen))
    }

    /// Every label, by upstream.
    pub fn list(&self) -> Vec<(Arc<str>, Kept)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let all = held.databases.iter();
        let mut all: Vec<(Arc<str>, Kept)> = all
            .flat_map(|((upstream, _), database)| database.kept.iter().map(|kept| (Arc::clone(upstream), kept.clone())))
            .collect();
        all.sort_by(|(a, one), (b, other)| (a, one.time_ms, &one.id).cmp(&(b, other.time_ms, &other.id)));
        all
    }

    /// Puts labels, and returns the records that must be durable before the copy is made, with the names under which they
    /// are settled. Nothing for what is known already.
    pub fn add(&self, upstream: &str, catalog: &Catalog, labels: Vec<Label>, by: &By<'_>) -> (Vec<Body>, Vec<String>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        let database = held.databases.entry(key(upstream, catalog)).or_default();
        // Whoever still has an older catalog does not know what this one shows.
        database.catalog = database.catalog.max(catalog.version());
        let (mut records, mut ids) = (Vec::new(), Vec::new());
        for (place, label) in labels.into_iter().enumerate() {
            let kept = match database.kept.iter_mut().find(|kept| kept.label.is_about(&label)) {
                Some(kept) => {
                    if !kept.label.join(&label) {
                        // The transaction that makes it anew may be another one.
                        kept.settled = kept.settled.filter(|_| kept.seen);
                        ids.push(kept.id.clone());
                        continue;
                    }
                    kept
                }
                None => {
                    held.labels += 1;
                    database.kept.push(Kept {
                        id: format!("{}-{place}", by.statement),
                        label,
                        person: by.person.to_owned(),
                        statement: by.statement.to_owned(),
                        time_ms: by.time_ms,
                        numbers: None,
                        settled: None,
                        seen: false,
                        missed: None,
                    });
                    let Some(kept) = database.kept.last_mut() else { continue };
                    kept
                }
            };
            kept.numbers = None;
            if let Some(relation) =
                Some(kept.label.target.oid).filter(|oid| *oid != 0).and_then(|oid| catalog.by_oid(oid))
            {
                kept.follow(relation);
            }
            ids.push(kept.id.clone());
            records.push(Body::Copy(border::copy(upstream, kept)));
        }
        if !records.is_empty() {
            self.lay(database);
        }
        (records, ids)
    }

    /// The transactions that were to make these copies are over.
    pub fn settle(&self, upstream: &str, catalog: &Catalog, ids: &[String]) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = held.databases.get_mut(&key(upstream, catalog)) {
            for kept in database.kept.iter_mut().filter(|kept| ids.contains(&kept.id)) {
                kept.settled = Some(Instant::now());
            }
        }
    }

    /// MySQL: a relation was dropped. Returns the records of it.
    pub fn dropped(&self, upstream: &str, catalog: &Catalog, schema: &str, name: &str) -> Vec<Body> {
        let is_it = |kept: &Kept| {
            kept.label.target.name.eq_ignore_ascii_case(name)
                && kept.label.target.schemas.iter().all(|known| known.eq_ignore_ascii_case(schema))
        };
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        let Some(database) = held.databases.get_mut(&key(upstream, catalog)) else { return Vec::new() };
        self.end(database, &mut held.labels, is_it, "it was dropped")
    }

    /// Takes note of what a catalog shows of the copies, and returns the records of what has changed.
    pub fn observe(&self, upstream: &str, catalog: &Catalog) -> Vec<Body> {
        if catalog.is_unread() {
            return Vec::new();
        }
        {
            let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
            let Some(database) = held.databases.get(&key(upstream, catalog)) else { return Vec::new() };
            let waits = database.kept.iter().any(|kept| !kept.seen || kept.missed.is_some());
            if database.kept.is_empty()
                || catalog.version() < database.catalog
                || (catalog.version() == database.catalog && !waits)
            {
                return Vec::new();
            }
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let held = &mut *held;
        let Some(database) = held.databases.get_mut(&key(upstream, catalog)) else { return Vec::new() };
        database.catalog = database.catalog.max(catalog.version());
        let mut records = Vec::new();
        let mut changed = false;
        let mut more = Vec::new();
        for kept in &mut database.kept {
            let found = holders(&kept.label.target, catalog);
            let before = kept.label.clone();
            match found.as_slice() {
                [] => {
                    kept.missed.get_or_insert_with(Instant::now);
                }
                [first, others @ ..] => {
                    kept.seen = true;
                    kept.missed = None;
                    if catalog.engine() == Engine::Postgres {
                        for other in others {
                            let mut twin = kept.clone();
                            twin.id = format!("{}-{}", kept.id, other.oid);
                            twin.follow(other);
                            more.push(twin);
                        }
                        kept.follow(first);
                    }
                }
            }
            if kept.label != before {
                changed = true;
                records.push(Body::Copy(border::copy(upstream, kept)));
            }
        }
        for twin in more {
            if held.labels < LABELS_MAX && !database.kept.iter().any(|kept| kept.label.is_about(&twin.label)) {
                held.labels += 1;
                records.push(Body::Copy(border::copy(upstream, &twin)));
                database.kept.push(twin);
                changed = true;
            }
        }
        let gone = |kept: &Kept| {
            kept.missed.is_some_and(|missed| match (kept.seen, catalog.engine()) {
                (true, Engine::Postgres) => true,
                (true, Engine::Mysql) => missed.elapsed() >= MISSED,
                // A name that somebody copied into has its number from the start.
                (false, _) if kept.label.target.oid != 0 => true,
                (false, _) => kept.settled.is_some_and(|settled| settled.elapsed() >= UNSEEN),
            })
        };
        if changed {
            self.lay(database);
        }
        records.extend(self.end(database, &mut held.labels, gone, "the database does not show it any more"));
        records
    }

    /// The log has been read: what it said holds from now on.
    pub fn replayed(&self) -> usize {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.databases.values_mut().for_each(|database| self.lay(database));
        held.labels
    }

    /// Takes in what the log says, record by record; [`replayed`](Copies::replayed) puts it into force.
    pub fn replay(&self, event: &Event) {
        match &event.body {
            Body::Copy(copy) => {
                let Some((key, label)) = border::label(copy) else { return };
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                let held = &mut *held;
                let database = held.databases.entry(key).or_default();
                match database.kept.iter_mut().find(|kept| kept.id == copy.id) {
                    Some(kept) => kept.label = label,
                    None => {
                        held.labels += 1;
                        database.kept.push(Kept {
                            id: copy.id.clone(),
                            label,
                            person: event.person.as_ref().map(|person| person.id.clone()).unwrap_or_default(),
                            statement: event
                                .statement
                                .as_ref()
                                .map(|statement| statement.id.clone())
                                .unwrap_or_default(),
                            time_ms: event.time_ms,
                            numbers: None,
                            // Whatever transaction it was, its session has ended with the process.
                            settled: Some(Instant::now()),
                            seen: false,
                            missed: None,
                        });
                    }
                }
            }
            Body::CopyEnded(ended) => {
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                let held = &mut *held;
                for database in held.databases.values_mut() {
                    let before = database.kept.len();
                    database.kept.retain(|kept| kept.id != ended.id);
                    held.labels = held.labels.saturating_sub(before - database.kept.len());
                }
            }
            _ => {}
        }
    }

    /// Ends labels; returns the records of it.
    fn end(
        &self,
        database: &mut Database,
        labels: &mut usize,
        is_it: impl Fn(&Kept) -> bool,
        reason: &str,
    ) -> Vec<Body> {
        let (ended, kept): (Vec<Kept>, Vec<Kept>) = std::mem::take(&mut database.kept).into_iter().partition(is_it);
        database.kept = kept;
        if ended.is_empty() {
            return Vec::new();
        }
        *labels = labels.saturating_sub(ended.len());
        self.lay(database);
        ended.iter().map(|kept| Body::CopyEnded(border::ended(kept, reason))).collect()
    }

    fn lay(&self, database: &mut Database) {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        database.laid = Laid { labels: database.kept.iter().map(|kept| kept.label.clone()).collect(), version };
    }
}

impl Kept {
    /// Takes over what the relation that holds the copy is called now, and what its columns are.
    fn follow(&mut self, relation: &Relation) {
        self.seen = true;
        let target = &mut self.label.target;
        target.oid = relation.oid;
        target.schemas = vec![relation.id.schema.clone()];
        target.name = relation.id.name.clone();
        target.before = Vec::new();
        let number =
            |name: &Arc<str>| relation.columns.iter().find(|column| column.name == *name).map(|column| column.number);
        let name = |number: &i16| {
            relation.columns.iter().find(|column| column.number == *number).map(|column| column.name.clone())
        };
        match &self.numbers {
            None => {
                let columns = self.label.columns.as_ref().map(|names| names.iter().map(number).collect::<Option<_>>());
                let key = self.label.key.as_ref().map(|names| names.iter().map(number).collect::<Option<_>>());
                // A name that is not there yet is looked for again.
                if columns != Some(None) && key != Some(None) {
                    self.numbers = Some(Numbers { columns: columns.flatten(), key: key.flatten() });
                }
            }
            Some(numbers) => {
                // A column that was dropped holds nothing any more.
                self.label.columns = numbers.columns.as_ref().map(|columns| columns.iter().filter_map(name).collect());
                self.label.key = numbers.key.as_ref().and_then(|key| key.iter().map(name).collect());
            }
        }
    }
}

fn key(upstream: &str, catalog: &Catalog) -> Key {
    (upstream.into(), Arc::clone(catalog.database()))
}
