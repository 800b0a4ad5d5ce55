//! Sets of people: names become what they stand for, so that judging needs no look-up.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::decode::{At, Entries, Lenient};
use super::diagnostic::{Findings, shown, suggestion};
use super::raw::{OneOrMore, RawExcept, RawExceptSet, RawWho, RawWhoSet};
use super::{name_of, words};
use crate::rule::{Exception, Glob, Network, Place, WhoSet};

/// The name of everybody, which no set may have.
const ANY: &str = "any";
/// Most parts of all sets of one file, with every name replaced by what it stands for: each is looked at when a
/// statement is judged, and sets of sets of sets grow fast.
const PARTS_MAX: usize = 20_000;
/// Most named sets.
const SETS_MAX: usize = 2_000;
/// Longest chain of sets that name each other.
const CHAIN_MAX: usize = 16;

/// The named sets of a file.
pub(super) struct People<'a> {
    sets: BTreeMap<&'a str, &'a At<RawWho>>,
    /// Names that stand in the file but whose sets cannot be read; that is told already.
    broken: BTreeSet<&'a str>,
    places: BTreeMap<&'a str, Place>,
    /// What a name stands for, and its number of parts; `None`: wrong, and told.
    resolved: RefCell<HashMap<&'a str, Option<(WhoSet, usize)>>>,
    used: RefCell<BTreeSet<&'a str>>,
    parts: Cell<usize>,
    findings: &'a Findings,
}

impl<'a> People<'a> {
    /// Takes up the section `who` and resolves each set of it.
    pub(super) fn new(entries: &'a Entries<Lenient<At<RawWho>>>, findings: &'a Findings) -> People<'a> {
        let mut people = People {
            sets: BTreeMap::new(),
            broken: BTreeSet::new(),
            places: BTreeMap::new(),
            resolved: RefCell::default(),
            used: RefCell::default(),
            parts: Cell::new(0),
            findings,
        };
        for (name, set) in &entries.0 {
            let text = name.value.as_str();
            if name_of(name, "set of people", findings).is_none() {
                continue;
            }
            if text == ANY {
                findings.error(name.at, "`any` means everybody already", "give this set another name");
                continue;
            }
            if let Some(first) = people.places.insert(text, name.at) {
                let message = format!("{} is defined twice, first in line {}", shown(text), first.line);
                findings.error(name.at, message, "rename one of them");
                continue;
            }
            if people.places.len() > SETS_MAX {
                let hint = "put people into groups of the directory, and name the groups";
                findings.error(name.at, format!("there are more than {SETS_MAX} sets of people"), hint);
                break;
            }
            match &set.0 {
                Some(set) => drop(people.sets.insert(text, set)),
                None => drop(people.broken.insert(text)),
            }
        }
        let names: Vec<&'a str> = people.sets.keys().copied().collect();
        for name in names {
            people.named(name, &mut Vec::new());
        }
        people
    }

    /// What a rule's `who` stands for. `None`: wrong, and told.
    pub(super) fn resolve(&self, who: &'a At<RawWho>) -> Option<WhoSet> {
        let mut names = Vec::new();
        self.collect_names(&who.value, &mut names);
        self.mark_used(names);
        self.set(who.at, &who.value, &mut Vec::new()).map(|(set, _)| set)
    }

    /// What a rule's `except` stands for. `None`: wrong, and told.
    pub(super) fn exception(&self, except: &'a At<RawExcept>) -> Option<Exception> {
        let at = except.at;
        let (set, until) = match &except.value {
            RawExcept::Named(name) => {
                self.mark_used(vec![name]);
                (self.reference(at, name, &mut Vec::new()), None)
            }
            RawExcept::OneOf(sets) => {
                let mut names = Vec::new();
                sets.iter().for_each(|set| self.collect_names(&set.value, &mut names));
                self.mark_used(names);
                (self.one_of(at, sets, &mut Vec::new()), None)
            }
            RawExcept::Until(raw) => (self.excepted(at, raw), raw.until.as_ref()),
        };
        let until = match until {
            None => None,
            Some(text) => Some(words::end_of_day(&text.value).or_else(|| {
                let message = format!("{} is no day", shown(&text.value));
                self.findings.error(text.at, message, "write days as 2027-01-31");
                None
            })?),
        };
        let (who, _) = set?;
        if who == WhoSet::Any && until.is_none() {
            self.findings.error(at, "this leaves out everybody", "name those who are left out, or remove the rule");
            return None;
        }
        Some(Exception { who, until })
    }

    fn excepted(&self, at: Place, raw: &'a RawExceptSet) -> Option<(WhoSet, usize)> {
        let inline = Conditions {
            person: raw.person.as_ref(),
            group: raw.group.as_ref(),
            account: raw.account.as_ref(),
            source: raw.source.as_ref(),
            application: raw.application.as_ref(),
            not: raw.not.as_deref(),
        };
        let mut names = Vec::new();
        for set in [raw.who.as_deref(), raw.not.as_deref()].into_iter().flatten() {
            self.collect_names(&set.value, &mut names);
        }
        self.mark_used(names);
        match &raw.who {
            Some(who) if inline.is_empty() => self.set(who.at, &who.value, &mut Vec::new()),
            Some(_) => {
                let message = "an exception has `who` and other conditions beside it";
                self.findings.error(at, message, "put the conditions into `who`");
                None
            }
            None => self.all(at, inline, &mut Vec::new()),
        }
    }

    /// Tells about sets that no rule needs.
    pub(super) fn tell_unused(&self) {
        let used = self.used.borrow();
        for (name, at) in &self.places {
            if !used.contains(name) {
                let hint = "remove it, or name it in the `who` or `except` of a rule";
                self.findings.warning(*at, format!("no rule uses {}", shown(name)), hint);
            }
        }
    }

    /// Marks names and whatever they stand for.
    fn mark_used(&self, mut names: Vec<&'a str>) {
        while let Some(name) = names.pop() {
            if self.used.borrow_mut().insert(name)
                && let Some(set) = self.sets.get(name)
            {
                self.collect_names(&set.value, &mut names);
            }
        }
    }

    /// Names that a set is written with.
    fn collect_names(&self, who: &'a RawWho, names: &mut Vec<&'a str>) {
        match who {
            RawWho::Named(name) => names.push(name),
            RawWho::OneOf(sets) => sets.iter().for_each(|set| self.collect_names(&set.value, names)),
            RawWho::All(set) => {
                if let Some(not) = &set.not {
                    self.collect_names(&not.value, names);
                }
            }
        }
    }

    /// A set that stands in `who`, resolved at its first use.
    fn named(&self, name: &'a str, chain: &mut Vec<&'a str>) -> Option<(WhoSet, usize)> {
        if let Some(known) = self.resolved.borrow().get(name) {
            return known.clone();
        }
        let set = *self.sets.get(name)?;
        chain.push(name);
        let resolved = self.set(set.at, &set.value, chain);
        chain.pop();
        self.resolved.borrow_mut().insert(name, resolved.clone());
        resolved
    }

    fn set(&self, at: Place, who: &'a RawWho, chain: &mut Vec<&'a str>) -> Option<(WhoSet, usize)> {
        match who {
            RawWho::Named(name) => self.reference(at, name, chain),
            RawWho::OneOf(sets) => self.one_of(at, sets, chain),
            RawWho::All(set) => self.all(at, Conditions::of(set), chain),
        }
    }

    fn reference(&self, at: Place, name: &'a str, chain: &mut Vec<&'a str>) -> Option<(WhoSet, usize)> {
        if name == ANY {
            return self.counted(at, WhoSet::Any, 1);
        }
        if self.broken.contains(name) {
            return None;
        }
        if !self.sets.contains_key(name) {
            let hint = suggestion(name, self.places.keys().copied().chain([ANY]), self.findings);
            self.findings.error(at, format!("there is no set of people {}", shown(name)), hint);
            return None;
        }
        if chain.contains(&name) {
            self.findings.error(at, format!("{} is defined by itself", shown(name)), "break the circle");
            return None;
        }
        if chain.len() >= CHAIN_MAX {
            let message = format!("more than {CHAIN_MAX} sets name each other in a row");
            self.findings.error(at, message, "name the people or groups directly");
            return None;
        }
        let (set, parts) = self.named(name, chain)?;
        self.counted(at, set, parts)
    }

    fn one_of(&self, at: Place, sets: &'a [At<RawWho>], chain: &mut Vec<&'a str>) -> Option<(WhoSet, usize)> {
        if sets.is_empty() {
            self.findings.error(at, "an empty list of people is nobody", "name somebody, or remove the key");
            return None;
        }
        let mut members = Vec::with_capacity(sets.len());
        let (mut parts, mut wrong) = (1_usize, false);
        for set in sets {
            match self.set(set.at, &set.value, chain) {
                Some((member, size)) => {
                    parts = parts.saturating_add(size);
                    members.push(member);
                }
                None => wrong = true,
            }
        }
        if wrong { None } else { self.counted(at, WhoSet::OneOf(members), parts) }
    }

    fn all(&self, at: Place, raw: Conditions<'a>, chain: &mut Vec<&'a str>) -> Option<(WhoSet, usize)> {
        if raw.is_empty() {
            self.findings.error(at, "an empty set of people is nobody", "name a group, an account, …");
            return None;
        }
        let mut members = Vec::new();
        let (mut parts, mut wrong) = (1_usize, false);
        for (names, set) in raw.texts() {
            let one_of: Vec<WhoSet> = names.value.0.iter().map(|name| set(Glob::new(&name.value))).collect();
            wrong |= self.is_empty_list(names);
            parts = parts.saturating_add(one_of.len());
            members.push(one(one_of, WhoSet::OneOf));
        }
        if let Some(sources) = raw.source {
            wrong |= self.is_empty_list(sources);
            let mut networks = Vec::new();
            for source in &sources.value.0 {
                match Network::parse(&source.value) {
                    Some(network) => networks.push(network),
                    None => {
                        let message = format!("{} is no network", shown(&source.value));
                        self.findings.error(source.at, message, "write 10.0.0.0/8, 2001:db8::/32 or one address");
                        wrong = true;
                    }
                }
            }
            parts = parts.saturating_add(networks.len());
            members.push(WhoSet::Source(networks));
        }
        if let Some(not) = raw.not {
            match self.set(not.at, &not.value, chain) {
                Some((WhoSet::Any, _)) => {
                    self.findings.error(not.at, "nobody is not `any`", "name those who are left out");
                    wrong = true;
                }
                Some((set, size)) => {
                    parts = parts.saturating_add(size);
                    members.push(WhoSet::Not(Box::new(set)));
                }
                None => wrong = true,
            }
        }
        if wrong { None } else { self.counted(at, one(members, WhoSet::All), parts) }
    }

    /// Whether a list has nothing in it, or an empty name; tells when it does.
    fn is_empty_list(&self, names: &OneOrMore) -> bool {
        if names.value.0.is_empty() {
            self.findings.error(names.at, "an empty list is nobody", "name one, or remove the key");
            return true;
        }
        let mut empty = false;
        for name in &names.value.0 {
            if name.value.is_empty() {
                self.findings.error(name.at, "an empty name is nobody's", "name one, or remove it");
                empty = true;
            }
        }
        empty
    }

    /// A set, unless all sets together have become too many.
    fn counted(&self, at: Place, set: WhoSet, parts: usize) -> Option<(WhoSet, usize)> {
        let total = self.parts.get().saturating_add(parts);
        self.parts.set(total);
        if total > PARTS_MAX {
            let message = format!("the sets of people have more than {PARTS_MAX} parts in all");
            self.findings.error(at, message, "put people into groups of the directory, and name the groups");
            return None;
        }
        Some((set, parts))
    }
}

/// The conditions of one mapping.
#[derive(Clone, Copy)]
struct Conditions<'a> {
    person: Option<&'a OneOrMore>,
    group: Option<&'a OneOrMore>,
    account: Option<&'a OneOrMore>,
    source: Option<&'a OneOrMore>,
    application: Option<&'a OneOrMore>,
    not: Option<&'a At<RawWho>>,
}

impl<'a> Conditions<'a> {
    fn of(raw: &'a RawWhoSet) -> Conditions<'a> {
        Conditions {
            person: raw.person.as_ref(),
            group: raw.group.as_ref(),
            account: raw.account.as_ref(),
            source: raw.source.as_ref(),
            application: raw.application.as_ref(),
            not: raw.not.as_deref(),
        }
    }

    /// Those that are names, and what each name stands for.
    fn texts(&self) -> impl Iterator<Item = (&'a OneOrMore, fn(Glob) -> WhoSet)> {
        let person = self.person.map(|names| (names, WhoSet::Person as fn(Glob) -> WhoSet));
        let group = self.group.map(|names| (names, WhoSet::Group as _));
        let account = self.account.map(|names| (names, WhoSet::Account as _));
        let application = self.application.map(|names| (names, WhoSet::Application as _));
        [person, group, account, application].into_iter().flatten()
    }

    fn is_empty(&self) -> bool {
        self.person.is_none()
            && self.group.is_none()
            && self.account.is_none()
            && self.source.is_none()
            && self.application.is_none()
            && self.not.is_none()
    }
}

/// A list of one is that one.
fn one(mut sets: Vec<WhoSet>, several: fn(Vec<WhoSet>) -> WhoSet) -> WhoSet {
    match (sets.pop(), sets.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            sets.push(last);
            several(sets)
        }
        (None, _) => several(sets),
    }
}
