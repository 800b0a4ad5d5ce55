//! What others do: the people of each group beside each other, shared by everybody's ledgers.
//!
//! A person's peers are those who share a group of the directory. INVARIANT: memory is bounded by people and groups, and
//! nothing here is a value or a key; people are hashes of their names.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::habits::is_learnt;
use super::known::Known;
use super::observation::name_hash;
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

/// Everybody, group by group.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    groups: HashMap<Arc<str>, Group>,
}

/// One group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    since: LedgerTime,
    last: LedgerTime,
    active_days: u32,
    pub(crate) known: Known,
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
    /// The usual day of the busiest twentieth.
    pub(crate) high: u64,
    /// The latest whole days of the busiest twentieth.
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
        self.groups_of(who, now).for_each(|group| group.seen(now));
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
        Group { since: now, last: LedgerTime(0), active_days: 0, known: Known::new(KNOWN_ROOM), crowds: HashMap::new() }
    }

    fn seen(&mut self, now: LedgerTime) {
        if day_of(now) > day_of(self.last) {
            self.active_days = self.active_days.saturating_add(1);
        }
        self.last = self.last.max(now);
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
            high: quantile(&mut usual, 95),
            recent_high: if recent.len() >= PEERS_MIN { quantile(&mut recent, 95) } else { 0 },
            ratio: self.ratio_of(self.day, Some(me)).unwrap_or(100).max(100),
        };
        self.kept = Some((now, common));
        Some(common)
    }
}

/// A hash that stands for a person.
pub(crate) fn person_hash(who: &Who) -> u64 {
    name_hash(&["person", &who.person])
}
