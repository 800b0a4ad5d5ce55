//! One person's account of one dataset: which records left when, and the sums of each window.
//!
//! INVARIANT: a key in `keys` is counted once in each window that holds the time of its last charge; a key that was
//! forgotten for want of room stays counted until it leaves the windows by itself.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::days::{Days, day_of};
use super::ring::Ring;
use super::{LedgerTime, RecordKey};
use crate::approval::Grant;
use crate::budget::{Amounts, Unit, Window};

/// Most keys that an account remembers: at 15 to 30 bytes each some 3 MiB for one person and dataset. Budgets that
/// people live under are far smaller; above it the older half is forgotten, and reading one of those again counts
/// as a new record.
pub const KEYS_MAX: usize = 1 << 17;

/// Most marks that an account remembers. A policy has a few per dataset; reloads with ever new names must not
/// grow a ledger.
const MARKS_MAX: usize = 256;

/// Most grants that an account holds at once. They end within a day, and each is somebody's decision.
pub const GRANTS_MAX: usize = 64;

/// Tells keys apart in the map. They are keyed hashes already: nobody outside can choose them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.write_u128(u128::from(key));
    }

    fn write_u128(&mut self, key: u128) {
        /// Odd, with bits all over: small numbers spread, too.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let folded = u64::try_from(key >> 64).unwrap_or(0) ^ u64::try_from(key & u128::from(u64::MAX)).unwrap_or(0);
        let mixed = folded.wrapping_mul(SPREAD);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// A key and a time as an account remembers them, in twelve bytes: ten thousand people have thirty days of them.
///
/// 64 bits of a keyed hash: that two records of one account agree in them has a chance of one in a thousand million for
/// the largest account, and nobody can look for such records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Short([u32; 2]);

impl Short {
    fn of(key: RecordKey) -> Short {
        let half = |shift: u32| u32::try_from((key.0 >> shift) & u128::from(u32::MAX)).unwrap_or(0);
        // All four words have a part, so that keys that differ anywhere differ here but by chance.
        Short([half(0) ^ half(64), half(32) ^ half(96)])
    }
}

impl Hash for Short {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Short([low, high]) = *self;
        state.write_u64((u64::from(high) << 32) | u64::from(low));
    }
}

/// A moment to the second, which is the smallest that any window tells apart; rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Second(u32);

impl Second {
    fn of(at: LedgerTime) -> Second {
        Second(u32::try_from(at.0 / 1000).unwrap_or(u32::MAX))
    }

    fn time(self) -> LedgerTime {
        LedgerTime(u64::from(self.0) * 1000)
    }
}

/// How the map of keys hashes.
pub(crate) type KeyState = BuildHasherDefault<KeyHasher>;

/// A mark that was passed and told: rule, window, unit, percent (`u8::MAX` for the limit itself).
pub(crate) type Mark = (Arc<str>, Window, Unit, u8);

/// Records to add to each window, in the order of [`Window::LEDGER`], and to the day.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    windows: [u64; 4],
    today: u64,
    /// Records that no grant has counted yet.
    fresh: u64,
}

impl Tally {
    /// Records that cannot be told apart.
    pub(crate) fn add(&mut self, records: u64) {
        for added in self.windows.iter_mut().chain([&mut self.today]) {
            *added = added.saturating_add(records);
        }
        self.fresh = self.fresh.saturating_add(records);
    }
}

/// One dataset of a ledger.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    keys: HashMap<Short, Second, KeyState>,
    rings: [Ring; 4],
    /// Distinct records of each day, for what is usual.
    days: Days,
    /// What running meters may still release.
    pub(crate) reserved: Amounts,
    marks: Vec<Mark>,
    grants: Vec<Grant>,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            keys: HashMap::default(),
            rings: Window::LEDGER.map(Ring::new),
            days: Days::default(),
            reserved: Amounts::default(),
            marks: Vec::new(),
            grants: Vec::new(),
        }
    }
}

impl Account {
    /// Counts one record, or moves it to the present when it is counted already.
    pub(crate) fn charge_key(&mut self, key: RecordKey, now: LedgerTime) {
        let mut tally = Tally::default();
        self.tally_key(key, &mut tally, now);
        self.flush(&tally, now);
    }

    /// As [`charge_key`](Account::charge_key), with the additions gathered in `tally` until [`flush`](Account::flush):
    /// a batch of rows costs each window one addition.
    pub(crate) fn tally_key(&mut self, key: RecordKey, tally: &mut Tally, now: LedgerTime) {
        if let Some(known) = self.keys.get_mut(&Short::of(key)) {
            let charged = known.time();
            let rings = &self.rings;
            let held = |window| place(window).is_some_and(|index| rings[index].holds(charged, now));
            self.grants.iter_mut().for_each(|grant| grant.count_key(charged, held));
            for (ring, added) in self.rings.iter_mut().zip(&mut tally.windows) {
                if !ring.is_same_bucket(charged, now) {
                    ring.take_record(charged, now);
                    *added += 1;
                }
            }
            tally.today += u64::from(day_of(charged) != day_of(now));
            *known = Second::of(now);
            return;
        }
        if self.keys.len() >= KEYS_MAX {
            self.forget(now);
        }
        self.keys.insert(Short::of(key), Second::of(now));
        tally.add(1);
    }

    /// Adds what was gathered. Must follow [`tally_key`](Account::tally_key) with the same `now`, before any sum is read.
    pub(crate) fn flush(&mut self, tally: &Tally, now: LedgerTime) {
        for (ring, added) in self.rings.iter_mut().zip(tally.windows) {
            if added > 0 {
                ring.add(Amounts { records: added, ..Amounts::default() }, now);
            }
        }
        self.days.add(day_of(now), tally.today);
        self.count_for_grants(tally.fresh);
    }

    /// Counts records that cannot be told apart.
    pub(crate) fn charge_unkeyed(&mut self, records: u64, now: LedgerTime) {
        self.add(Amounts { records, ..Amounts::default() }, now);
    }

    /// Counts result rows and their bytes.
    pub(crate) fn charge_traffic(&mut self, rows: u64, bytes: u64, now: LedgerTime) {
        self.add(Amounts { rows, bytes, ..Amounts::default() }, now);
    }

    /// Notes that a mark was passed; true when it was not noted before.
    pub(crate) fn mark(&mut self, mark: Mark) -> bool {
        if self.marks.contains(&mark) {
            return false;
        }
        if self.marks.len() >= MARKS_MAX {
            // A mark that is forgotten may be told twice: better than one that is never told.
            self.marks.remove(0);
        }
        self.marks.push(mark);
        true
    }

    /// The counter is below the mark again: the next crossing is told.
    pub(crate) fn unmark(&mut self, rule: &str, window: Window, unit: Unit, percent: u8) {
        self.marks.retain(|(known, w, u, p)| !(**known == *rule && *w == window && *u == unit && *p == percent));
    }

    /// Whether any mark stands: spares the search when none does.
    pub(crate) fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// How much is in a window.
    pub(crate) fn used(&self, window: Window, unit: Unit, now: LedgerTime) -> u64 {
        place(window).map_or(0, |index| self.rings[index].sum(now).of(unit))
    }

    /// Distinct records of each day.
    pub(crate) fn days(&self) -> &Days {
        &self.days
    }

    /// When a record was last charged; `None` when it is not remembered.
    pub(crate) fn charged(&self, key: RecordKey) -> Option<LedgerTime> {
        self.keys.get(&Short::of(key)).map(|charged| charged.time())
    }

    /// Whether a window still counts what was charged then.
    pub(crate) fn holds(&self, window: Window, charged: LedgerTime, now: LedgerTime) -> bool {
        place(window).is_some_and(|index| self.rings[index].holds(charged, now))
    }

    /// Whether both times are one to every window, so that a charge at either counts the same.
    pub(crate) fn is_same_moment(&self, one: LedgerTime, other: LedgerTime) -> bool {
        self.rings.iter().all(|ring| ring.is_same_bucket(one, other))
    }

    /// Whether nothing is in any window and nothing is reserved.
    pub(crate) fn is_idle(&self, now: LedgerTime) -> bool {
        self.reserved.is_zero()
            && self.rings.iter().all(|ring| ring.sum(now).is_zero())
            && !self.grants.iter().any(|grant| grant.holds(now))
    }

    /// Forgets what has left. What running meters may still release stays reserved, and grants stay what they are.
    pub(crate) fn reset(&mut self) {
        let fresh = Account::default();
        self.keys = fresh.keys;
        self.rings = fresh.rings;
        self.marks = fresh.marks;
    }

    /// Takes up a grant. False: there are too many.
    pub(crate) fn grant(&mut self, grant: Grant, now: LedgerTime) -> bool {
        self.grants.retain(|known| known.holds(now) && known.request != grant.request);
        let fits = self.grants.len() < GRANTS_MAX;
        if fits && grant.holds(now) {
            self.grants.push(grant);
        }
        fits
    }

    /// Grants that hold.
    pub(crate) fn grants(&self, now: LedgerTime) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.holds(now))
    }

    /// How many records a rule's grants let leave that are neither counted nor leased.
    pub(crate) fn grace(&self, rule: &str, now: LedgerTime) -> u64 {
        let of_rule = self.grants(now).filter(|grant| *grant.rule == *rule);
        of_rule.map(|grant| grant.left().saturating_sub(self.reserved.records)).max().unwrap_or(0)
    }

    /// When a window holds less than this again, by itself; `None` when it does now.
    pub(crate) fn frees_at(&self, window: Window, unit: Unit, amount: u64, now: LedgerTime) -> Option<LedgerTime> {
        place(window).and_then(|index| self.rings[index].falls_below(unit, amount, now))
    }

    fn add(&mut self, amounts: Amounts, now: LedgerTime) {
        if !amounts.is_zero() {
            for ring in &mut self.rings {
                ring.add(amounts, now);
            }
            self.days.add(day_of(now), amounts.records);
            self.count_for_grants(amounts.records);
        }
    }

    fn count_for_grants(&mut self, records: u64) {
        for grant in &mut self.grants {
            grant.charged = grant.charged.saturating_add(records);
        }
    }

    /// Makes room: keys that no window counts go first, then the older half.
    fn forget(&mut self, now: LedgerTime) {
        let [.., longest] = &self.rings;
        self.keys.retain(|_, charged| longest.holds(charged.time(), now));
        if self.keys.len() < KEYS_MAX / 2 {
            return;
        }
        let mut times: Vec<Second> = self.keys.values().copied().collect();
        let middle = times.len() / 2;
        let (_, cutoff, _) = times.select_nth_unstable(middle);
        let cutoff = *cutoff;
        // All of one moment: which ones go is the same to everybody, as long as half of them do.
        let mut surplus = middle;
        self.keys.retain(|_, charged| {
            let goes = *charged < cutoff || (*charged == cutoff && surplus > 0);
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
    }
}

/// Place of a window in the rings.
fn place(window: Window) -> Option<usize> {
    Window::LEDGER.iter().position(|known| *known == window)
}
