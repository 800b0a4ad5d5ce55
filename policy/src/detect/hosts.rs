//! Where somebody comes from, and what comes from a place where they never were: discovery, and new powers of several
//! people at once.
//!
//! A place is an address; its network (a /24, or a /64 of IPv6) counts as known with it, since addresses move within one.
//! A place is **strange** for a day where neither the person was ever in that network nor anybody of their groups at
//! that address, and they were elsewhere before.
//!
//! **Discovery**: from a strange place somebody reads the catalog and a second table, or five tables that they never
//! read. It is told before the third.
//! **New device**: from strange places several people do, within half an hour, what each of them never did: a
//! privilege, or changes of something sensitive.

use std::net::IpAddr;

use super::first_use;
use super::observation::{Observation, Stage, name_hash};
use super::peers::{Peers, Recent};
use super::scene::{Finding, Scene};
use super::watch::{Detector, watches};
use crate::identity::Who;
use crate::ledger::{DAY_MS, Ledger, LedgerTime, day_of};
use crate::verdict::Measure;

/// Places that are remembered of a person; the one that was not seen for longest is forgotten.
const PLACES_MAX: usize = 32;
/// Tables that are remembered of a strange place.
const TABLES_MAX: usize = 8;
/// Tables of which reading tells of discovery although the catalog was not read.
const TABLES_ALONE: u64 = 5;
/// Tables of which reading tells of discovery, with the catalog, unless the policy says otherwise.
pub(crate) const TABLES_DEFAULT: u64 = 2;
/// People who get new powers from strange places, unless the policy says otherwise.
pub(crate) const PEOPLE_DEFAULT: u64 = 2;
/// Within how long, milliseconds.
const TOGETHER_MS: u64 = 30 * 60 * 1000;

/// Places of one person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<Place>);

#[derive(Clone, Debug)]
struct Place {
    address: u64,
    network: u64,
    first: LedgerTime,
    last: LedgerTime,
    strange: bool,
    lists: u64,
    tables: Vec<u64>,
}

impl Places {
    fn at(&self, address: u64) -> Option<&Place> {
        self.0.iter().find(|place| place.address == address)
    }

    fn at_mut(&mut self, address: u64) -> Option<&mut Place> {
        self.0.iter_mut().find(|place| place.address == address)
    }

    /// Bytes that it takes up beside itself.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        let tables: usize = self.0.iter().map(|place| place.tables.capacity() * size_of::<u64>()).sum();
        self.0.capacity() * size_of::<Place>() + tables
    }

    /// Whether an address is a strange place now.
    pub(crate) fn is_strange(&self, source: Option<IpAddr>, now: LedgerTime) -> bool {
        let place = source.and_then(|source| self.at(address(source)));
        place.is_some_and(|place| place.strange && now.0.saturating_sub(place.first.0) < DAY_MS)
    }
}

fn address(source: IpAddr) -> u64 {
    name_hash(&["address", &source.to_string()])
}

fn network(source: IpAddr) -> u64 {
    match source {
        IpAddr::V4(source) => {
            let [a, b, c, _] = source.octets();
            name_hash(&["network", &format!("{a}.{b}.{c}")])
        }
        IpAddr::V6(source) => {
            let [a, b, c, d, ..] = source.segments();
            name_hash(&["network", &format!("{a:x}:{b:x}:{c:x}:{d:x}")])
        }
    }
}

pub(super) fn learn(who: &Who, seen: &Observation, ledger: &mut Ledger, peers: &mut Peers, now: LedgerTime) {
    let Some(source) = who.source else { return };
    let (address, network, today) = (address(source), network(source), day_of(now));
    let places = &mut ledger.habits.places;
    if places.at(address).is_none() {
        let been = places.0.iter().any(|place| place.network == network && !place.strange);
        let others = peers.groups_of(who, now).any(|group| group.places.has(address, today));
        let strange = !places.0.is_empty() && !been && !others;
        if places.0.len() >= PLACES_MAX {
            let oldest = places.0.iter().enumerate().min_by_key(|(_, place)| place.last).map(|(nth, _)| nth);
            oldest.map(|nth| places.0.remove(nth));
        }
        let past = places.0.iter_mut().filter(|place| now.0.saturating_sub(place.first.0) >= DAY_MS);
        past.for_each(|place| place.tables = Vec::new());
        let (lists, tables) = (0, Vec::new());
        places.0.push(Place { address, network, first: now, last: now, strange, lists, tables });
    }
    let strange = places.is_strange(who.source, now);
    let Some(place) = places.at_mut(address) else { return };
    place.last = now;
    if !strange {
        place.tables = Vec::new();
        peers.groups_of(who, now).for_each(|group| group.places.put(address, today));
        return;
    }
    place.lists = place.lists.saturating_add(u64::from(seen.lists_catalog));
    for table in &seen.tables {
        if place.tables.len() < TABLES_MAX && !place.tables.contains(table) {
            place.tables.push(*table);
        }
    }
}

pub(super) fn look(scene: &mut Scene<'_>) {
    let Some(source) = scene.who.source else { return };
    if scene.seen.stage == Stage::Arrival || !scene.ledger.habits.places.is_strange(scene.who.source, scene.now) {
        return;
    }
    let Some(place) = scene.ledger.habits.places.at(address(source)) else { return };
    let (lists, tables) = (place.lists, u64::try_from(place.tables.len()).unwrap_or(u64::MAX));
    for watch in watches(&scene.set.detect.watches, Detector::Discovery, scene.who, None) {
        let limit = watch.limit.map_or(TABLES_DEFAULT, |(limit, _)| limit);
        let found = (lists > 0 && tables >= limit) || tables >= limit.max(TABLES_ALONE);
        if !found || !scene.ledger.habits.is_learnt(watch.learning_ms, scene.now) {
            continue;
        }
        let message = format!(
            "from {source}, where neither they nor anybody of their groups ever were: {lists} looks at the catalog and {tables} \
             tables, one after another; {limit} tables behind a look at the catalog are discovery"
        );
        scene.found(Finding {
            detector: Detector::Discovery,
            watch,
            dataset: None,
            about: &source.to_string(),
            unit: Measure::Statements,
            window: None,
            limit,
            before: 0,
            after: tables,
            message,
            grave: true,
            days: 1,
        });
    }
    look_together(scene, source);
}

fn look_together(scene: &mut Scene<'_>, source: IpAddr) {
    let powers = first_use::new_powers(scene);
    if powers.is_empty() {
        return;
    }
    let (who, now) = (scene.who, scene.now);
    scene.peers.recent(Recent { at: now, person: who.person.clone(), what: powers.join(", ") });
    let recent: Vec<Recent> = scene.peers.since(LedgerTime(now.0.saturating_sub(TOGETHER_MS))).cloned().collect();
    let mut people: Vec<(&str, &str)> = recent.iter().map(|recent| (&*recent.person, &*recent.what)).collect();
    people.sort_unstable();
    people.dedup_by_key(|(person, _)| *person);
    let count = u64::try_from(people.len()).unwrap_or(u64::MAX);
    for watch in watches(&scene.set.detect.watches, Detector::NewDevice, who, None) {
        if !scene.ledger.habits.is_learnt(watch.learning_ms, now) {
            continue;
        }
        let limit = watch.limit.map_or(PEOPLE_DEFAULT, |(limit, _)| limit);
        let named: Vec<String> =
            people.iter().take(8).map(|(person, what)| format!("{person} (first {what})")).collect();
        let message = format!(
            "from {source}, where they never were, the first {} by them; within 30 minutes {count} people did what they never \
             did, from places where they never were: {}; {limit} are alarming",
            powers.join(", "),
            named.join(", ")
        );
        scene.found(Finding {
            detector: Detector::NewDevice,
            watch,
            dataset: None,
            about: if count >= limit { "several" } else { "one" },
            unit: Measure::Statements,
            window: None,
            limit,
            before: count.saturating_sub(1),
            after: count,
            message,
            grave: count >= limit,
            days: 1,
        });
    }
}
