//! Datasets, rules and defaults, checked: what a policy file says once nothing in it is impossible any more.
//!
//! INVARIANT: only [`load`](crate::load) makes these, so every name that a rule speaks of exists, every budget can
//! fire, and sets of people are never empty by accident.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use crate::approval::Approval;
use crate::budget::{Unit, Window};
use crate::identity::Who;
use crate::relation::{Engine, RelationId};
use crate::statement::Access;

/// A name with `*` for any run of characters, the empty one included. Everything else stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob(Arc<str>);

impl Glob {
    /// A pattern as an operator writes it.
    pub(crate) fn new(pattern: &str) -> Glob {
        Glob(pattern.into())
    }

    /// Whether the whole text matches. Linear in the text for each part between two stars.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or("");
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        false
    }

    /// As [`matches`](Glob::matches), the way the engine compares names: MySQL's columns are found in any case, and its
    /// tables may be.
    pub(crate) fn matches_as(&self, text: &str, engine: Engine) -> bool {
        self.matches(text)
            || (engine == Engine::Mysql && Glob(self.0.to_lowercase().into()).matches(&text.to_lowercase()))
    }

    /// The pattern as it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The one name that it matches; `None` when it holds a star.
    pub(crate) fn literal(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }
}

/// Which relations belong to a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RelationPattern {
    /// Servers that it is about.
    pub(crate) engine: Engine,
    /// Databases (PostgreSQL). MySQL has it in `schema` and leaves this at `*`.
    pub(crate) database: Glob,
    /// Schemas (PostgreSQL) or databases (MySQL). A PostgreSQL name without a dot is meant in every schema.
    pub(crate) schema: Glob,
    /// Relations.
    pub(crate) name: Glob,
    /// Where it stands, for what is told when a database is bound.
    pub(crate) at: Place,
}

impl RelationPattern {
    /// Whether it means this relation.
    pub(crate) fn matches(&self, id: &RelationId) -> bool {
        self.engine == id.engine
            && self.database.matches(&id.database)
            && self.schema.matches_as(&id.schema, id.engine)
            && self.name.matches_as(&id.name, id.engine)
    }

    /// Whether it may mean a relation of this database.
    pub(crate) fn speaks_of(&self, engine: Engine, database: &str) -> bool {
        self.engine == engine && self.database.matches(database)
    }
}

/// A view whose output is harmless, although it reads something sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declassified {
    /// Which.
    pub(crate) view: RelationPattern,
    /// Its name as the file has it.
    pub(crate) written: Arc<str>,
    /// Hash of the definition that somebody has looked at.
    pub(crate) definition: Option<Arc<str>>,
}

/// Where something stands in a file; from 1, columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// Relations and columns that policy names together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dataset {
    pub(crate) name: Arc<str>,
    /// Sensitivity label, for records.
    pub(crate) class: Arc<str>,
    pub(crate) relations: Vec<RelationPattern>,
    /// Sensitive columns; `None`: all of them.
    pub(crate) columns: Option<Vec<Glob>>,
    /// Columns that identify a record; `None`: the primary key that the catalog shows.
    pub(crate) key: Option<Vec<Arc<str>>>,
    /// Columns that tell whose a record is; empty: nobody's.
    pub(crate) tenant: Vec<Arc<str>>,
    /// A first use of it is told more loudly.
    pub(crate) watched: bool,
    /// Where its name stands.
    pub(crate) at: Place,
}

impl Dataset {
    /// Whether a column of its relations is sensitive.
    pub(crate) fn is_sensitive(&self, column: &str, engine: Engine) -> bool {
        self.columns.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches_as(column, engine)))
    }
}

/// A set of people, accounts and places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WhoSet {
    /// Everybody.
    Any,
    /// A person of this name.
    Person(Glob),
    /// Members of this group.
    Group(Glob),
    /// Sessions that logged in with this account.
    Account(Glob),
    /// Sessions that come from one of these networks.
    Source(Vec<Network>),
    /// Sessions whose client says that it is this application.
    Application(Glob),
    /// Everybody else.
    Not(Box<WhoSet>),
    /// Whoever is in one of them.
    OneOf(Vec<WhoSet>),
    /// Whoever is in all of them.
    All(Vec<WhoSet>),
}

impl WhoSet {
    /// Whether somebody belongs to it.
    pub(crate) fn matches(&self, who: &Who) -> bool {
        match self {
            WhoSet::Any => true,
            WhoSet::Person(glob) => glob.matches(&who.person),
            WhoSet::Group(glob) => who.groups.iter().any(|group| glob.matches(group)),
            WhoSet::Account(glob) => glob.matches(&who.account),
            WhoSet::Source(networks) => {
                who.source.is_some_and(|source| networks.iter().any(|network| network.holds(source)))
            }
            WhoSet::Application(glob) => glob.matches(&who.application),
            WhoSet::Not(set) => !set.matches(who),
            WhoSet::OneOf(sets) => sets.iter().any(|set| set.matches(who)),
            WhoSet::All(sets) => sets.iter().all(|set| set.matches(who)),
        }
    }
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// First address, as 128 bits; IPv4 as mapped (`::ffff:a.b.c.d`).
    base: u128,
    /// Bits that must agree, of 128.
    bits: u32,
}

impl Network {
    /// A block of `prefix` bits; `None` when the address has fewer.
    pub(crate) fn new(address: IpAddr, prefix: u32) -> Option<Network> {
        let bits = match address {
            IpAddr::V4(_) if prefix <= 32 => prefix + 96,
            IpAddr::V6(_) if prefix <= 128 => prefix,
            _ => return None,
        };
        Some(Network { base: as_bits(address), bits })
    }

    /// A network such as `10.0.0.0/8`, or one address; `None` for anything else.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let prefix = match prefix {
            // Digits only: no sign, no space.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None if address.is_ipv4() => 32,
            None => 128,
        };
        Network::new(address, prefix)
    }

    /// Whether an address is in it.
    pub fn holds(self, address: IpAddr) -> bool {
        let differing = self.base ^ as_bits(address);
        differing.leading_zeros() >= self.bits
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let v6 = std::net::Ipv6Addr::from_bits(self.base);
        match v6.to_ipv4_mapped().filter(|_| self.bits >= 96) {
            Some(v4) if self.bits == 128 => write!(f, "{v4}"),
            Some(v4) => write!(f, "{v4}/{}", self.bits - 96),
            None if self.bits == 128 => write!(f, "{v6}"),
            None => write!(f, "{v6}/{}", self.bits),
        }
    }
}

fn as_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) who: WhoSet,
    /// Who is left out, though `who` names them.
    pub(crate) except: Option<Exception>,
    /// Names of datasets; `None`: the accesses wherever they happen.
    pub(crate) datasets: Option<Vec<Arc<str>>>,
    pub(crate) access: BTreeSet<Access>,
    pub(crate) budget: Vec<BudgetLine>,
    /// Percentages at which to tell, ascending, below 100.
    pub(crate) thresholds: Vec<u8>,
    /// With a budget: what happens at its limit. Without: what happens whenever the rule matches.
    pub(crate) then: Then,
    /// Who may enlarge the budget for a while.
    pub(crate) approval: Option<Approval>,
    pub(crate) when: Option<Schedule>,
    pub(crate) message: Option<Arc<str>>,
    /// Evaluated and told, nothing held back.
    pub(crate) observe: bool,
}

/// How much may leave in which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BudgetLine {
    pub(crate) window: Window,
    pub(crate) unit: Unit,
    pub(crate) amount: u64,
}

/// What a rule does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Then {
    /// Lets it pass; so that no default applies.
    Allow,
    /// Lets it pass and tells.
    Alert,
    /// Does not let it pass. With a budget: cuts at its limit.
    Refuse,
}

/// Whom a rule leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) who: WhoSet,
    /// First second, Unix time UTC, at which the exception no longer holds.
    pub(crate) until: Option<u64>,
}

/// When a rule applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Schedule {
    /// In these hours.
    Inside(Hours),
    /// At any other time.
    Outside(Hours),
}

/// Hours of days of the week, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    /// Days on which a stretch begins; Monday first.
    pub(crate) days: [bool; 7],
    /// Minute of the day at which it begins.
    pub(crate) from: u16,
    /// Minute of the day at which it ends, itself not included; not after `from` means on the next day.
    pub(crate) until: u16,
}

impl Schedule {
    /// Whether the rule applies at this second of Unix time.
    pub(crate) fn applies(&self, wall: u64) -> bool {
        match self {
            Schedule::Inside(hours) => hours.hold(wall),
            Schedule::Outside(hours) => !hours.hold(wall),
        }
    }
}

impl Hours {
    fn hold(&self, wall: u64) -> bool {
        const MINUTES_OF_DAY: u64 = 24 * 60;
        let minutes = wall / 60;
        let minute = u16::try_from(minutes % MINUTES_OF_DAY).unwrap_or(0);
        // The first day of Unix time was a Thursday.
        let day = usize::try_from((minutes / MINUTES_OF_DAY + 3) % 7).unwrap_or(0);
        let yesterday = (day + 6) % 7;
        if self.from < self.until {
            return self.days[day] && (self.from..self.until).contains(&minute);
        }
        (self.days[day] && minute >= self.from) || (self.days[yesterday] && minute < self.until)
    }
}

/// What happens where no rule speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// A sensitive access that no rule covers.
    pub(crate) unmatched_sensitive: Then,
    /// Not understood, and may touch something sensitive.
    pub(crate) opaque_sensitive: Then,
    /// Sensitive values are put where nobody can follow them, and no rule for `export` speaks of it.
    pub(crate) unfollowed_copy: Then,
    /// Somebody whom the directory does not know touches something sensitive.
    pub(crate) unknown_person: Then,
    /// Much leaves that nobody classified. `None`: nobody looks.
    pub(crate) unclassified_egress: Option<Egress>,
    /// What happens to statements while the audit log cannot be written.
    pub(crate) on_store_failure: OnStoreFailure,
}

/// A backstop for what no dataset names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Egress {
    pub(crate) bytes: u64,
    pub(crate) window: Window,
    pub(crate) then: Then,
}

/// What happens to statements that need a durable record, while there can be none.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnStoreFailure {
    /// They run; how many did is recorded afterwards.
    Continue,
    /// They are refused.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_any_run() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(Glob::new(pattern).matches(text), expected, "{pattern} on {text}");
        };
        check("cards*", "cards", true);
        check("cards*", "cards_2024", true);
        check("cards*", "old_cards", false);
        check("*cards", "old_cards", true);
        check("a*b*c", "abc", true);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "ab", false);
        check("*", "", true);
        check("exact", "exact", true);
        check("exact", "exactly", false);
        check("a*a", "a", false);
        check("a**b", "ab", true);
    }

    #[test]
    fn networks_hold_their_addresses() {
        let holds = |base: &str, prefix, address: &str| {
            Network::new(base.parse().unwrap(), prefix).unwrap().holds(address.parse().unwrap())
        };
        assert!(holds("10.0.0.0", 8, "10.255.0.1"));
        assert!(!holds("10.0.0.0", 8, "11.0.0.1"));
        assert!(holds("10.0.0.0", 8, "::ffff:10.1.2.3"));
        assert!(holds("0.0.0.0", 0, "192.168.1.1"));
        assert!(!holds("0.0.0.0", 0, "2001:db8::1"));
        assert!(holds("2001:db8::", 32, "2001:db8:1::1"));
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), None);
    }

    #[test]
    fn hours_may_end_on_the_next_day() {
        // 2026-11-23 was a Monday.
        const MONDAY: u64 = 1_795_392_000;
        let hours = |from, until| Hours { days: [true, true, true, true, true, false, false], from, until };
        let at = |day: u64, minute: u64| MONDAY + day * 86_400 + minute * 60;
        let office = Schedule::Inside(hours(8 * 60, 18 * 60));
        assert!(office.applies(at(0, 8 * 60)));
        assert!(!office.applies(at(0, 18 * 60)));
        assert!(!office.applies(at(5, 9 * 60)));
        let night = Schedule::Inside(hours(22 * 60, 4 * 60));
        assert!(night.applies(at(4, 23 * 60)));
        assert!(night.applies(at(5, 3 * 60)), "Friday's night ends on Saturday");
        assert!(!night.applies(at(5, 23 * 60)));
        assert!(!night.applies(at(0, 3 * 60)), "Sunday has no night");
        assert!(Schedule::Outside(hours(8 * 60, 18 * 60)).applies(at(6, 9 * 60)));
    }
}
