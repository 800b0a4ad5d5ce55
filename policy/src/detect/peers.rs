//! What others do: the people of each group beside each other, shared by everybody's ledgers.
//!
//! A person's peers are those who share a group of the directory. INVARIANT: memory is bounded by people and groups, and
//! nothing here is a value or a key; people are hashes of their names.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::habits::is_learnt;
use super::hours::Hours;
use super::known::Known;
use super::observation::name_hash;
use super::sample::Sample;
use super::usual::quantile;
use crate::identity::Who;
use crate::ledger::{LedgerTime, day_of};

/// Groups that are kept; further ones have no peers.
const GROUPS_MAX: usize = 1_024;
/// People of one group that are kept; further ones are compared with these.
const MEMBERS_MAX: usize = 20_000;
/// Datasets in which a group's people are compared.
const CROWDS_MAX: usize = 64;
/// Uses that are remembered of a group.
const KNOWN_ROOM: usize = 2_048;
/// Peers below which nobody is compared with anybody.
pub(crate) const PEERS_MIN: usize = 3;
/// Days of which it is remembered how they were for the group.
const RATIOS_MAX: usize = 31;
/// Members above which what is common to them is computed once a minute only.
const EXACT_MAX: usize = 64;
/// For how long that is kept.
const KEPT_MS: u64 = 60 * 1000;

/// What is counted of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Distinct records.
    Records,
    /// Distinct tenants.
    Tenants,
}

/// Addresses that are remembered of a group.
const PLACES_ROOM: usize = 2_048;
/// Broad people that are held beside each other, of all datasets.
const BROAD_MAX: usize = 256;
/// Datasets whose tenants are counted over everybody, and the sample of each.
const SPACES_MAX: usize = 64;
const SPACE_ROOM: usize = 1_024;
/// Terms of which it is remembered who searched for them.
const SEARCHES_MAX: usize = 8_192;
/// People who make a search a common one.
const COMMON_SEARCH: usize = 3;
/// Days for which a search is remembered.
const SEARCH_DAYS: u32 = 30;
/// New powers from strange places that are remembered.
const RECENT_MAX: usize = 256;
/// People of a detector's day that are named where their alerts are told together.
const NAMED_MAX: usize = 8;

/// Everybody, group by group, and what is held beside each other of all.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    groups: HashMap<Arc<str>, Group>,
    broad: VecDeque<Broad>,
    spaces: HashMap<Arc<str>, Sample>,
    searches: HashMap<u64, Search>,
    recent: VecDeque<Recent>,
    quotas: HashMap<&'static str, Quota>,
}

/// Somebody whose breadth is held beside others'.
#[derive(Clone, Debug)]
pub(crate) struct Broad {
    pub(crate) person: Arc<str>,
    pub(crate) groups: Vec<Arc<str>>,
    pub(crate) dataset: Arc<str>,
    pub(crate) tenants: Sample,
    pub(crate) day: u32,
}

/// Who searched for something.
#[derive(Clone, Debug, Default)]
struct Search {
    people: Vec<u64>,
    day: u32,
}

/// Something that somebody never did, from where they never were.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    pub(crate) at: LedgerTime,
    pub(crate) person: Arc<str>,
    pub(crate) what: String,
}

/// Alerts of one detector in one day.
#[derive(Clone, Debug, Default)]
struct Quota {
    day: u32,
    told: u64,
    held: u64,
    people: Vec<Arc<str>>,
}

/// Alerts of a day that were held back, to be told together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) rule: &'static str,
    pub(crate) count: u64,
    pub(crate) people: Vec<Arc<str>>,
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    since: LedgerTime,
    last: LedgerTime,
    active_days: u32,
    pub(crate) known: Known,
    pub(crate) hours: Hours,
    /// Addresses that its people come from.
    pub(crate) places: Known,
    /// When each was there last.
    presence: HashMap<u64, LedgerTime>,
    crowds: HashMap<(Counted, Arc<str>), Crowd>,
}

/// A group's people in one dataset.
#[derive(Clone, Debug, Default)]
struct Crowd {
    members: HashMap<u64, Member>,
    day: u32,
    /// How past days were, in percent of what is usual.
    ratios: VecDeque<(u32, u64)>,
    kept: Option<(LedgerTime, Common)>,
}

/// One person in it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Member {
    /// Latest day.
    pub(crate) day: u32,
    /// Its count so far.
    pub(crate) count: u64,
    /// Median of earlier days; 0 where it is not known.
    pub(crate) usual: u64,
    /// Mean of the latest whole days; 0 where there are too few.
    pub(crate) recent: u64,
}

/// What is common to a person's peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Common {
    /// How many there are.
    pub(crate) people: usize,
    /// The usual day of the busiest tenth.
    pub(crate) high: u64,
    /// The latest whole days of the busiest tenth.
    pub(crate) recent_high: u64,
    /// How this day is so far, in percent of what is usual for each.
    pub(crate) ratio: u64,
}

impl Peers {
    /// Nobody yet.
    pub fn new() -> Peers {
        Peers::default()
    }

    /// The groups of a person, as far as there is room for them.
    pub(crate) fn groups_of(&mut self, who: &Who, now: LedgerTime) -> impl Iterator<Item = &mut Group> {
        for name in &who.groups {
            if self.groups.len() < GROUPS_MAX && !self.groups.contains_key(name) {
                self.groups.insert(name.clone(), Group::new(now));
            }
        }
        self.groups.iter_mut().filter(|(name, _)| who.groups.contains(name)).map(|(_, group)| group)
    }

    /// Notes that a person of these groups was there.
    pub(crate) fn seen(&mut self, who: &Who, now: LedgerTime) {
        let me = person_hash(who);
        self.groups_of(who, now).for_each(|group| group.seen(me, now));
    }

    /// How many others of a person's groups were there lately.
    pub(crate) fn company(&mut self, who: &Who, now: LedgerTime, within_ms: u64) -> usize {
        let me = person_hash(who);
        let since = now.0.saturating_sub(within_ms);
        let others = |group: &mut Group| group.presence.iter().filter(|(who, at)| **who != me && at.0 > since).count();
        self.groups_of(who, now).map(others).max().unwrap_or(0)
    }

    /// Notes a tenant that somebody has seen.
    pub(crate) fn tenant(&mut self, dataset: &Arc<str>, hash: u64, today: u32) {
        if self.spaces.len() < SPACES_MAX || self.spaces.contains_key(dataset) {
            let space = self.spaces.entry(dataset.clone()).or_insert_with(|| Sample::new(SPACE_ROOM));
            space.put(hash, today);
        }
    }

    /// How many tenants of a dataset anybody has seen.
    pub(crate) fn tenants(&self, dataset: &str) -> u64 {
        self.spaces.get(dataset).map_or(0, |space| space.count(0))
    }

    /// Puts somebody beside the broad people of the dataset; the others, since a day.
    pub(crate) fn broad(&mut self, me: Broad, since: u32) -> impl Iterator<Item = &Broad> {
        self.broad.retain(|known| known.day >= since && !(known.person == me.person && known.dataset == me.dataset));
        if self.broad.len() >= BROAD_MAX {
            self.broad.pop_front();
        }
        let (person, dataset) = (me.person.clone(), me.dataset.clone());
        self.broad.push_back(me);
        self.broad.iter().filter(move |other| other.dataset == dataset && other.person != person)
    }

    /// Notes that a person searches for something.
    pub(crate) fn searched(&mut self, term: u64, person: u64, today: u32) {
        if self.searches.len() >= SEARCHES_MAX && !self.searches.contains_key(&term) {
            self.searches.retain(|_, search| search.day.saturating_add(SEARCH_DAYS) > today);
            if self.searches.len() >= SEARCHES_MAX {
                return;
            }
        }
        let search = self.searches.entry(term).or_default();
        search.day = today;
        if search.people.len() < COMMON_SEARCH && !search.people.contains(&person) {
            search.people.push(person);
        }
    }

    /// Whether several people search for something.
    pub(crate) fn is_common_search(&self, term: u64, today: u32) -> bool {
        let known = self.searches.get(&term);
        known.is_some_and(|search| {
            search.people.len() >= COMMON_SEARCH && search.day.saturating_add(SEARCH_DAYS) > today
        })
    }

    /// Notes a new power from a strange place, once for each person and power.
    pub(crate) fn recent(&mut self, recent: Recent) {
        self.recent.retain(|known| known.person != recent.person || known.what != recent.what);
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(recent);
    }

    /// New powers from strange places since a moment.
    pub(crate) fn since(&self, since: LedgerTime) -> impl Iterator<Item = &Recent> {
        self.recent.iter().filter(move |recent| recent.at >= since)
    }

    /// Whether one more alert of a detector is told by itself today.
    pub(crate) fn takes(&mut self, rule: &'static str, at_most: u64, person: &Arc<str>, today: u32) -> bool {
        let quota = self.quotas.entry(rule).or_default();
        if quota.day < today && quota.held == 0 {
            *quota = Quota { day: today, ..Quota::default() };
        }
        if quota.told < at_most {
            quota.told += 1;
            return true;
        }
        quota.held = quota.held.saturating_add(1);
        if quota.people.len() < NAMED_MAX && !quota.people.contains(person) {
            quota.people.push(person.clone());
        }
        false
    }

    /// Takes up that an alert of a detector was told, as the audit store remembers it.
    pub fn replay_alert(&mut self, rule: &str, at: LedgerTime) {
        let Some(detector) = super::Detector::ALL.into_iter().find(|detector| detector.rule() == rule) else { return };
        let quota = self.quotas.entry(detector.rule()).or_default();
        let today = day_of(at);
        if quota.day < today {
            *quota = Quota { day: today, ..Quota::default() };
        }
        quota.told = quota.told.saturating_add(1);
    }

    /// What was held back on days before this one.
    pub(crate) fn held(&mut self, today: u32) -> Vec<Held> {
        let mut held = Vec::new();
        for (rule, quota) in self.quotas.iter_mut().filter(|(_, quota)| quota.day < today) {
            let past = std::mem::replace(quota, Quota { day: today, ..Quota::default() });
            if past.held > 0 {
                held.push(Held { rule, count: past.held, people: past.people });
            }
        }
        held.sort_by_key(|held| held.rule);
        held
    }

    /// Takes up how far a person has come today.
    pub(crate) fn count(&mut self, who: &Who, counted: Counted, dataset: &Arc<str>, member: Member, now: LedgerTime) {
        let me = person_hash(who);
        for group in self.groups_of(who, now) {
            let key = (counted, dataset.clone());
            if group.crowds.len() < CROWDS_MAX || group.crowds.contains_key(&key) {
                group.crowds.entry(key).or_default().put(me, member);
            }
        }
    }

    /// What is common to a person's peers: of the group that allows most. `None`: there are too few to compare with.
    pub(crate) fn common(
        &mut self,
        who: &Who,
        counted: Counted,
        dataset: &Arc<str>,
        now: LedgerTime,
    ) -> Option<(Arc<str>, Common)> {
        let me = person_hash(who);
        let key = (counted, dataset.clone());
        let mut best: Option<(Arc<str>, Common)> = None;
        for name in &who.groups {
            let crowd = self.groups.get_mut(name).and_then(|group| group.crowds.get_mut(&key));
            let Some(common) = crowd.and_then(|crowd| crowd.common(me, now)) else { continue };
            let more = |known: &Common| {
                (common.high.saturating_mul(common.ratio), common.people)
                    > (known.high.saturating_mul(known.ratio), known.people)
            };
            if best.as_ref().is_none_or(|(_, known)| more(known)) {
                best = Some((name.clone(), common));
            }
        }
        best
    }

    /// How a day was for a group, in percent of what is usual.
    pub(crate) fn ratio(&self, group: &str, counted: Counted, dataset: &Arc<str>, day: u32) -> u64 {
        let crowd = self.groups.get(group).and_then(|group| group.crowds.get(&(counted, dataset.clone())));
        let known = crowd.and_then(|crowd| crowd.ratios.iter().find(|(known, _)| *known == day));
        known.map_or(100, |(_, ratio)| *ratio)
    }
}

impl Group {
    fn new(now: LedgerTime) -> Group {
        Group {
            since: now,
            last: LedgerTime(0),
            active_days: 0,
            known: Known::new(KNOWN_ROOM),
            hours: Hours::default(),
            places: Known::new(PLACES_ROOM),
            presence: HashMap::new(),
            crowds: HashMap::new(),
        }
    }

    fn seen(&mut self, me: u64, now: LedgerTime) {
        if day_of(now) > day_of(self.last) {
            self.active_days = self.active_days.saturating_add(1);
        }
        self.last = self.last.max(now);
        if self.presence.len() < MEMBERS_MAX || self.presence.contains_key(&me) {
            self.presence.insert(me, now);
        }
    }

    /// Whether the group has been known for that long.
    pub(crate) fn is_learnt(&self, learning_ms: u64, now: LedgerTime) -> bool {
        is_learnt(Some(self.since), self.active_days, learning_ms, now)
    }
}

impl Crowd {
    fn put(&mut self, me: u64, member: Member) {
        if member.day > self.day {
            if let Some(ratio) = self.ratio_of(self.day, None) {
                self.ratios.push_back((self.day, ratio));
                if self.ratios.len() > RATIOS_MAX {
                    self.ratios.pop_front();
                }
            }
            self.day = member.day;
        }
        if self.members.len() < MEMBERS_MAX || self.members.contains_key(&me) {
            self.members.insert(me, member);
        }
    }

    /// The median of how the day is for each, in percent; `None` where too few were there.
    fn ratio_of(&self, day: u32, but: Option<u64>) -> Option<u64> {
        let there =
            self.members.iter().filter(|(who, member)| member.day == day && member.usual > 0 && Some(**who) != but);
        let mut ratios: Vec<u64> =
            there.map(|(_, member)| member.count.saturating_mul(100) / member.usual.max(1)).collect();
        (ratios.len() >= PEERS_MIN).then(|| quantile(&mut ratios, 50))
    }

    fn common(&mut self, me: u64, now: LedgerTime) -> Option<Common> {
        let many = self.members.len() > EXACT_MAX;
        if let (true, Some((at, common))) = (many, self.kept)
            && now.0.saturating_sub(at.0) < KEPT_MS
        {
            return Some(common);
        }
        let others = || self.members.iter().filter(|(who, _)| **who != me).map(|(_, member)| member);
        let mut usual: Vec<u64> = others().map(|member| member.usual).filter(|usual| *usual > 0).collect();
        let mut recent: Vec<u64> = others().map(|member| member.recent).filter(|recent| *recent > 0).collect();
        if usual.len() < PEERS_MIN {
            return None;
        }
        let common = Common {
            people: usual.len(),
            high: quantile(&mut usual, 90),
            recent_high: if recent.len() >= PEERS_MIN { quantile(&mut recent, 90) } else { 0 },
            ratio: self.ratio_of(self.day, Some(me)).unwrap_or(100).max(100),
        };
        self.kept = Some((now, common));
        Some(common)
    }
}

/// Whether two people are peers: nobody is in a group, or both are in one.
pub(crate) fn shares_group(one: &[Arc<str>], other: &[Arc<str>]) -> bool {
    (one.is_empty() && other.is_empty()) || one.iter().any(|group| other.contains(group))
}

/// A hash that stands for a person.
pub(crate) fn person_hash(who: &Who) -> u64 {
    name_hash(&["person", &who.person])
}
