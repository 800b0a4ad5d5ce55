//! Everybody's ledgers: one per person, shared by all of their sessions, rebuilt from the audit log at start.
//!
//! INVARIANT: a ledger never knows of less than the log says has left or may have left. A lease without a completion
//! counts in full, and the clock of the windows never runs backwards, not across restarts either.

mod acts;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_audit_store::event::{Body, Charge};
use weir_audit_store::{Event, Reader};
use weir_policy::detect::{self, Peers};
use weir_policy::ledger::{Ledger, LedgerTime, Moment, RecordKey, Replay};
use weir_policy::relation::RelationId;

use crate::audit::words;

pub use acts::{APPROVE, DONE, RESET, window_words};

/// Bytes of the key that record keys are hashed with.
const KEY_BYTES: usize = 32;
/// Ledgers that are kept before those of people who have nothing in any window are dropped.
const LEDGERS_KEPT: usize = 4096;
/// Nothing older than the longest window counts; with a day to spare for its sub-buckets.
const REPLAY_MS: u64 = 31 * 24 * 3600 * 1000;

/// Habits are remembered for a hundred days.
const HABITS_MS: u64 = 100 * 24 * 3600 * 1000;

/// One person's ledger.
pub type SharedLedger = Arc<Mutex<Ledger>>;

/// Locks a ledger. A panic while it was locked can have counted too much at worst: charges come before releases.
pub fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everybody's ledgers, the clock that their windows run on, and the key of record keys.
pub struct Budgets {
    ledgers: RwLock<HashMap<Arc<str>, SharedLedger>>,
    clock: Clock,
    key: hmac::Key,
    peers: Mutex<Peers>,
}

/// Milliseconds that never run backwards: the wall clock or the log's high water, whichever is later, at start; from
/// then on the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base_ms: u64,
    started: Instant,
}

impl Clock {
    /// A clock that is not behind this.
    pub fn not_before(high_water_ms: u64) -> Clock {
        Clock { base_ms: wall_ms().max(high_water_ms), started: Instant::now() }
    }

    /// Now, in ledger time.
    pub fn now(&self) -> LedgerTime {
        let elapsed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        LedgerTime(self.base_ms.saturating_add(elapsed))
    }

    /// Now, on both clocks.
    pub fn moment(&self) -> Moment {
        Moment { now: self.now(), wall: i64::try_from(wall_ms() / 1000).unwrap_or(i64::MAX) }
    }
}

/// The wall clock, Unix milliseconds; 0 before 1970.
pub fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Budgets {
    /// Ledgers of a process that starts.
    pub fn new(clock: Clock, key: &[u8]) -> Budgets {
        Budgets {
            ledgers: RwLock::default(),
            clock,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            peers: Mutex::default(),
        }
    }

    /// The clock that windows run on.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A person's ledger.
    pub fn ledger(&self, person: &Arc<str>) -> SharedLedger {
        if let Some(ledger) = self.ledgers.read().unwrap_or_else(PoisonError::into_inner).get(person) {
            return Arc::clone(ledger);
        }
        let mut ledgers = self.ledgers.write().unwrap_or_else(PoisonError::into_inner);
        if ledgers.len() >= LEDGERS_KEPT {
            let now = self.clock.now();
            // One that a session holds must stay the only one of its person.
            ledgers.retain(|_, ledger| Arc::strong_count(ledger) > 1 || !lock(ledger).is_idle(now));
        }
        let made = || Arc::new(Mutex::new(Ledger::seeded(self.hash_of(&[person.as_bytes()]))));
        Arc::clone(ledgers.entry(Arc::clone(person)).or_insert_with(made))
    }

    /// What others do. Lock it after a ledger, never before one.
    pub fn peers(&self) -> MutexGuard<'_, Peers> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins the hash of a tenant of a dataset.
    pub fn tenant_key(&self, dataset: &str) -> KeyHasher {
        let mut context = hmac::Context::with_key(&self.key);
        put_part(&mut context, b"tenant");
        put_part(&mut context, dataset.as_bytes());
        KeyHasher(context)
    }

    /// Begins the hash of a record's key: the relation first, so that two relations never share a hash.
    pub fn record_key(&self, relation: &RelationId) -> KeyHasher {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [&relation.database, &relation.schema, &relation.name] {
            put_part(&mut context, part.as_bytes());
        }
        KeyHasher(context)
    }

    /// A keyed hash of parts, for what must be told apart and not be read.
    pub fn hash_of(&self, parts: &[&[u8]]) -> u64 {
        let mut context = hmac::Context::with_key(&self.key);
        parts.iter().for_each(|part| put_part(&mut context, part));
        let tag = context.sign();
        tag.as_ref().iter().take(8).fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
    }

    /// Counts again what the log says, shows `also` every record of it, however old, and returns how many statements never completed.
    ///
    /// # Errors
    /// A log that cannot be read, in words for the operator.
    pub fn rebuild(&self, dir: &Path, also: &mut dyn FnMut(&Event)) -> Result<Rebuilt, String> {
        let oldest = self.clock.now().0.saturating_sub(REPLAY_MS);
        let habitual = self.clock.now().0.saturating_sub(HABITS_MS);
        let mut reader = Reader::open(dir, 1).map_err(|error| error.to_string())?;
        let mut open: HashMap<String, OpenStatement> = HashMap::new();
        let mut rebuilt = Rebuilt::default();
        loop {
            let record = match reader.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break,
                Err(error @ weir_audit_store::ReadError::Damaged { .. }) => {
                    // Told by `weir audit verify` in full; here it must not keep the budgets from being rebuilt.
                    tracing::error!(%error, "a part of the audit log is damaged; budgets are rebuilt from the rest");
                    rebuilt.damaged += 1;
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            };
            also(&record.event);
            if record.event.ledger_ms >= oldest {
                rebuilt.records += 1;
                self.replay(&record.event, &mut open);
            }
            if record.event.ledger_ms >= habitual {
                self.replay_habits(&record.event);
            }
        }
        rebuilt.unsettled = open.len();
        for statement in open.into_values() {
            self.settle(statement);
        }
        Ok(rebuilt)
    }

    fn replay(&self, event: &Event, open: &mut HashMap<String, OpenStatement>) {
        self.apply(event);
        let Some(person) = &event.person else { return };
        let person: Arc<str> = person.id.as_str().into();
        if let Some(statement) = &event.statement {
            self.replay_statement(event, &statement.id, &person, open);
        }
        let at = LedgerTime(event.ledger_ms);
        self.charge(&person, at, &event.charged);
        if !event.extractions.is_empty() || !event.questions.is_empty() {
            let ledger = self.ledger(&person);
            let mut ledger = lock(&ledger);
            event.extractions.iter().for_each(|told| ledger.restore_extraction(&words::view(told)));
            event.questions.iter().filter_map(words::told).for_each(|note| ledger.replay_question(&note, at));
        }
    }

    /// Takes up again how people work. Charges of the same record are counted already.
    fn replay_habits(&self, event: &Event) {
        if let Body::Alert(_) = &event.body {
            let mut peers = self.peers();
            event.basis.iter().for_each(|basis| peers.replay_alert(&basis.rule, LedgerTime(event.ledger_ms)));
        }
        let Some((who, seen)) = words::observation(event) else { return };
        let wall = i64::try_from(event.time_ms / 1000).unwrap_or(i64::MAX);
        let at = Moment { now: LedgerTime(event.ledger_ms), wall };
        let ledger = self.ledger(&who.person);
        let mut ledger = lock(&ledger);
        detect::learn(&who, &seen, &mut ledger, &mut self.peers(), &at, matches!(event.body, Body::Denial(_)));
    }

    fn replay_statement(
        &self,
        event: &Event,
        statement: &str,
        person: &Arc<str>,
        open: &mut HashMap<String, OpenStatement>,
    ) {
        match &event.body {
            Body::Admission(leases) | Body::Lease(leases) => {
                let entry = open.entry(statement.to_owned()).or_insert_with(|| OpenStatement::new(person));
                entry.at = LedgerTime(event.ledger_ms);
                for charge in &event.charged {
                    entry.take(charge);
                }
                for lease in &leases.leases {
                    let granted = entry.left.entry((lease.dataset.clone(), lease.unit.clone())).or_default();
                    *granted = granted.saturating_add(lease.granted);
                }
            }
            Body::Completion(_) => drop(open.remove(statement)),
            _ => {}
        }
    }

    fn charge(&self, person: &Arc<str>, at: LedgerTime, charged: &[Charge]) {
        if charged.is_empty() {
            return;
        }
        let ledger = self.ledger(person);
        let mut ledger = lock(&ledger);
        for charge in charged {
            let keys: Vec<RecordKey> = decode_keys(&charge.keys);
            ledger.replay(&Replay {
                dataset: &charge.dataset,
                at,
                keys: &keys,
                unkeyed: charge.unkeyed,
                rows: charge.rows,
                bytes: charge.bytes,
            });
        }
    }

    /// What was leased and never accounted for may have left.
    fn settle(&self, statement: OpenStatement) {
        let ledger = self.ledger(&statement.person);
        let mut ledger = lock(&ledger);
        for ((dataset, unit), left) in statement.left {
            let of = |wanted: &str| if unit == wanted { left } else { 0 };
            ledger.replay(&Replay {
                dataset: &dataset,
                at: statement.at,
                keys: &[],
                unkeyed: of("records"),
                rows: of("rows"),
                bytes: of("bytes"),
            });
            ledger.may_have_left(&dataset, of("records"), of("rows"), of("bytes"));
        }
    }
}

/// What came of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Records that were recent enough to matter.
    pub records: u64,
    /// Statements that never completed: their leases count in full.
    pub unsettled: usize,
    /// Stretches of the log that could not be read.
    pub damaged: u64,
}

/// A statement whose completion has not been read.
struct OpenStatement {
    person: Arc<str>,
    at: LedgerTime,
    /// What was granted and not charged since, by dataset and unit.
    left: HashMap<(String, String), u64>,
}

impl OpenStatement {
    fn new(person: &Arc<str>) -> OpenStatement {
        OpenStatement { person: Arc::clone(person), at: LedgerTime(0), left: HashMap::new() }
    }

    fn take(&mut self, charge: &Charge) {
        let keyed = u64::try_from(decode_keys(&charge.keys).len()).unwrap_or(u64::MAX);
        for (unit, amount) in
            [("records", keyed.saturating_add(charge.unkeyed)), ("rows", charge.rows), ("bytes", charge.bytes)]
        {
            if let Some(left) = self.left.get_mut(&(charge.dataset.clone(), unit.to_owned())) {
                *left = left.saturating_sub(amount);
            }
        }
    }
}

/// The hash of one record's key, value by value.
#[derive(Clone)]
pub struct KeyHasher(hmac::Context);

impl KeyHasher {
    /// Adds one value of the key in its canonical form.
    pub fn put(&mut self, value: &[u8]) {
        put_part(&mut self.0, value);
    }

    /// The key; never [`RecordKey::NONE`].
    pub fn finish(self) -> RecordKey {
        let tag = self.0.sign();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(tag.as_ref().get(..16).unwrap_or(&[1; 16]));
        RecordKey(u128::from_be_bytes(bytes).max(1))
    }
}

/// A part with its length in front: no two lists of parts are the same bytes.
fn put_part(context: &mut hmac::Context, part: &[u8]) {
    let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
    context.update(&len.to_be_bytes());
    context.update(part);
}

/// Keys as a record holds them.
pub fn encode_keys(keys: &[RecordKey]) -> String {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.0.to_be_bytes()).collect();
    STANDARD.encode(bytes)
}

fn decode_keys(text: &str) -> Vec<RecordKey> {
    let bytes = STANDARD.decode(text).unwrap_or_default();
    let key = |chunk: &[u8]| RecordKey(chunk.iter().fold(0, |key, byte| (key << 8) | u128::from(*byte)));
    bytes.chunks_exact(16).map(key).collect()
}

/// A key for another purpose, from which this one cannot be found.
pub fn derive(key: &[u8], purpose: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), purpose).as_ref().to_vec()
}

/// The key that record keys are hashed with, from its file; made at the first start. With another key nobody's
/// re-reading would be recognised, so it is never replaced silently.
///
/// # Errors
/// A file that cannot be made or read, that others can read, or that is no key.
pub fn record_key(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Write;
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let shown = path.display();
    let told = |error: std::io::Error| format!("the key of record hashes `{shown}`: {error}");
    match std::fs::read(path) {
        Ok(key) if key.len() == KEY_BYTES => {
            let mode = std::fs::metadata(path).map_err(told)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(format!(
                    "the key of record hashes `{shown}` can be read by others: run `chmod 600 {shown}`"
                ));
            }
            Ok(key)
        }
        Ok(key) => Err(format!(
            "the key of record hashes `{shown}` has {} bytes instead of {KEY_BYTES}: restore it from a backup, or remove it \
             and accept that records read before count again",
            key.len()
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = vec![0; KEY_BYTES];
            rand::fill(&mut key).map_err(|_| "the system has no random bytes".to_owned())?;
            let fresh = path.with_extension("new");
            let mut file = std::fs::File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&fresh)
                .map_err(told)?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(told)?;
            std::fs::rename(&fresh, path).map_err(told)?;
            Ok(key)
        }
        Err(error) => Err(told(error)),
    }
}

#[cfg(test)]
mod tests {
    use weir_audit_store::event::{Admin, Completion, Grant, Lease, Leases, Outcome, Person, Statement, Until};
    use weir_audit_store::{Options, Store, Urgency};
    use weir_policy::budget::{Unit, Window};
    use weir_policy::relation::Engine;
    use weir_tests::scratch::Scratch;

    use super::*;

    fn relation(name: &str) -> RelationId {
        RelationId { engine: Engine::Postgres, database: "d".into(), schema: "public".into(), name: name.into() }
    }

    #[test]
    fn the_clock_of_budgets_is_never_behind_the_log_and_never_goes_back() {
        // The wall was set back by a year while Weir was down: windows go on where the log ended.
        let high_water = wall_ms() + 365 * 24 * 3_600_000;
        let clock = Clock::not_before(high_water);
        let first = clock.now();
        assert!(first.0 >= high_water && first.0 < high_water + 60_000);
        assert!(clock.now() >= first);
        // It was right: windows go on by the time that has passed.
        let clock = Clock::not_before(wall_ms() - 5_000);
        assert!(clock.now().0 >= wall_ms() - 1_000);
    }

    #[test]
    fn acts_of_operators_are_taken_up_at_their_place_in_the_log() {
        let budgets = Budgets::new(Clock::not_before(0), &[7; 32]);
        let now = budgets.clock().now().0;
        let mut open = HashMap::new();
        let charge = |keys: std::ops::Range<u128>| {
            let keys: Vec<RecordKey> = keys.map(RecordKey).collect();
            let mut event = Event::new(now, now, "boot", Body::Lease(Leases::default()));
            event.person = Some(Person { id: "alice".to_owned(), ..Person::default() });
            event.charged =
                vec![Charge { dataset: "customers".to_owned(), keys: encode_keys(&keys), ..Charge::default() }];
            event
        };
        let admin = |act: Admin| Event::new(now, now, "boot", Body::Admin(act));
        let reset = |outcome: &str| Admin {
            action: RESET.to_owned(),
            target: Some("alice".to_owned()),
            outcome: outcome.to_owned(),
            ..Admin::default()
        };
        let ledger = budgets.ledger(&"alice".into());
        let used = || lock(&ledger).used("customers", Window::Hour, Unit::Records, budgets.clock().now());
        budgets.replay(&charge(1..6), &mut open);
        budgets.replay(&admin(reset("refused: by nobody")), &mut open);
        assert_eq!(used(), 5);
        budgets.replay(&admin(reset(DONE)), &mut open);
        budgets.replay(&charge(10..13), &mut open);
        assert_eq!(used(), 3, "what left before is forgotten, what left since is not");
        let grant = |ledger_ms: u64, time_ms: u64, request: &str| Admin {
            action: APPROVE.to_owned(),
            target: Some(request.to_owned()),
            outcome: DONE.to_owned(),
            grant: Some(Grant {
                request: request.to_owned(),
                person: "alice".to_owned(),
                rule: "hour".to_owned(),
                dataset: "customers".to_owned(),
                records: 20,
                windows: window_words(&[Window::Hour, Window::Month]),
            }),
            until: Some(Until { ledger_ms, time_ms }),
            ..Admin::default()
        };
        let later = now + 60_000;
        budgets.replay(&admin(grant(later, wall_ms() - 1, "A-1")), &mut open);
        budgets.replay(&admin(grant(now, later, "A-2")), &mut open);
        let grace = || lock(&ledger).grace("customers", "hour", budgets.clock().now());
        assert_eq!(grace(), 0, "either clock ends it");
        budgets.replay(&admin(grant(later, later, "A-3")), &mut open);
        budgets.replay(&charge(20..24), &mut open);
        assert_eq!(grace(), 16, "what left since counts against it");
    }

    #[test]
    fn keys_differ_by_relation_and_by_where_values_end() {
        let budgets = Budgets::new(Clock::not_before(0), &[7; 32]);
        let key = |name: &str, values: &[&[u8]]| {
            let mut hasher = budgets.record_key(&relation(name));
            values.iter().for_each(|value| hasher.put(value));
            hasher.finish()
        };
        assert_eq!(key("a", &[b"1"]), key("a", &[b"1"]));
        assert_ne!(key("a", &[b"1"]), key("b", &[b"1"]));
        assert_ne!(key("a", &[b"1", b"2"]), key("a", &[b"12"]));
        assert_eq!(decode_keys(&encode_keys(&[key("a", &[b"1"]), RecordKey(5)])), [key("a", &[b"1"]), RecordKey(5)]);
    }

    #[test]
    fn the_key_of_record_hashes_stays_the_same() {
        let folder = Scratch::new("record-key");
        let path = folder.path().join("record.key");
        let first = record_key(&path).unwrap();
        assert_eq!((first.len(), record_key(&path).unwrap()), (KEY_BYTES, first));
        std::fs::write(&path, b"short").unwrap();
        assert!(record_key(&path).unwrap_err().contains("restore it"));
    }

    #[test]
    fn a_restart_refreshes_nothing() {
        let folder = Scratch::new("rebuild");
        let dir = folder.path().join("audit");
        let clock = Clock::not_before(0);
        let now = clock.now().0;
        let event = |id: &str, body: Body, charged: Vec<Charge>| {
            let mut event = Event::new(now, now, "boot", body);
            event.person = Some(Person { id: "alice".to_owned(), known: true, ..Person::default() });
            event.statement = Some(Statement { id: id.to_owned(), ..Statement::default() });
            event.charged = charged;
            event
        };
        let lease = |granted| Lease { dataset: "customers".to_owned(), unit: "records".to_owned(), granted };
        let charge = |keys: &[RecordKey], unkeyed| Charge {
            dataset: "customers".to_owned(),
            relation: "public.customers".to_owned(),
            keys: encode_keys(keys),
            unkeyed,
            rows: 3,
            bytes: 30,
        };
        let done = Body::Completion(Completion {
            outcome: Outcome::Complete,
            rows: 3,
            bytes: 30,
            records: Vec::new(),
            doors: Vec::new(),
            duration_us: 1,
            sqlstate: None,
            tag: None,
        });
        let (store, _) = Store::open(Options::new(&dir), Box::new(|_| ())).unwrap();
        let leases = |granted| Leases { leases: vec![lease(granted)] };
        for event in [
            // Complete: what was charged counts, the rest of its lease does not.
            event("s1", Body::Admission(leases(64)), Vec::new()),
            event("s1", done, vec![charge(&[RecordKey(1), RecordKey(2)], 1)]),
            // Never completed: 10 and 20 were granted, 2 of them are accounted for by key (one is known already).
            event("s2", Body::Admission(leases(10)), Vec::new()),
            event("s2", Body::Lease(leases(20)), vec![charge(&[RecordKey(2), RecordKey(3)], 0)]),
        ] {
            store.append(&event, Urgency::Durable).unwrap();
        }
        store.close().unwrap();
        let budgets = Budgets::new(clock, &[7; 32]);
        let rebuilt = budgets.rebuild(&dir, &mut |_| {}).unwrap();
        assert_eq!((rebuilt.records, rebuilt.unsettled, rebuilt.damaged), (4, 1, 0));
        let ledger = budgets.ledger(&"alice".into());
        let used = |unit| lock(&ledger).used("customers", Window::Hour, unit, clock.now());
        // 1, 2 and one without a key; then 3 is new; then what may have left: 28.
        assert_eq!(used(Unit::Records), 3 + 1 + 28);
        assert_eq!((used(Unit::Rows), used(Unit::Bytes)), (6, 60));
    }
}
