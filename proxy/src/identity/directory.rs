//! The directory in force: people and services, and the person that a login resolves to.
//!
//! INVARIANT: an account that the directory does not name resolves to an unknown person of its own, never to somebody;
//! no account, certificate or claim stands behind two people, or a budget could be charged to either. What was proved
//! decides over what was only named: an account that nothing proved never makes somebody its owner.

mod load;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use weir_policy::identity::{Proof, Who};
use weir_policy::rule::Network;

use super::{Date, Login, Name, subject};

pub use load::DirectoryError;
pub(super) use load::{NAME_BYTES_MAX, subject_or_uri};

/// What the names of unknown people begin with; nobody in the directory may be called so.
pub(super) const UNKNOWN_PREFIXES: [&str; 3] = ["account:", "certificate:", "token:"];

/// Accounts and the people behind them.
#[derive(Debug, Default)]
pub struct Directory {
    people: Vec<Entry>,
    by_name: HashMap<Arc<str>, usize>,
    /// By account; the upstream is `None` where the account means the same person everywhere.
    accounts: HashMap<String, Vec<(Option<String>, usize)>>,
    /// By what certificates and tokens say.
    names: HashMap<Name, usize>,
    os_users: HashMap<String, usize>,
    /// What is odd about the file, though it can be used: where, and what.
    warnings: Vec<DirectoryError>,
}

/// Human or machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A human.
    Person,
    /// A program with accounts of its own.
    Service,
}

/// A person or service of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the person or service; the owner of the ledger.
    pub name: Arc<str>,
    /// Which of both it is.
    pub kind: Kind,
    /// Accounts; the upstream is `None` where the account means the same person everywhere.
    pub accounts: Vec<(String, Option<String>)>,
    /// What certificates and tokens call them.
    pub names: Vec<Name>,
    /// Groups that policies speak of.
    pub groups: Vec<Arc<str>>,
    /// The person who may decide for them; of a service, who answers for it.
    pub manager: Option<Arc<str>>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// Where they usually are; empty where nobody said.
    pub hosts: Vec<Network>,
    /// The user of this host that they work as, for commands that ask who types them.
    pub os_user: Option<String>,
}

/// Whether today lies within a person's dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does, or there are none, or the account is unknown.
    Current,
    /// The first day is still to come.
    Future(Date),
    /// The last day is over.
    Ended(Date),
}

impl Entry {
    /// Whether a day lies within their dates.
    pub fn standing(&self, today: Date) -> Standing {
        match (self.from, self.until) {
            (_, Some(until)) if until < today => Standing::Ended(until),
            (Some(from), _) if from > today => Standing::Future(from),
            _ => Standing::Current,
        }
    }

    /// Whether an address is one of theirs; `None` where nobody said which are.
    pub fn is_usual_host(&self, source: IpAddr) -> Option<bool> {
        (!self.hosts.is_empty()).then(|| self.hosts.iter().any(|network| network.holds(source)))
    }
}

impl Directory {
    /// Who logged in. The person is the one who proved it by the strongest proof; `also` is who else is behind the names
    /// and the account that the client gave.
    pub fn resolve(&self, upstream: &str, login: &Login, source: Option<IpAddr>, application: &str) -> Who {
        let behind = self.behind(upstream, login);
        let entry = behind.first().map(|number| &self.people[*number]);
        let (person, also) = match entry {
            Some(entry) if self.proves(upstream, login, entry) => (Arc::clone(&entry.name), &behind[1..]),
            _ if self.is_proved(login) => (format!("account:{}", login.account).into(), &behind[..]),
            // Somebody proved a name that nobody is known by. The account that they gave may be somebody's.
            _ => (unknown(login), &behind[..]),
        };
        let known = self.by_name.contains_key(&person);
        Who {
            groups: if known { entry.map(|entry| entry.groups.clone()).unwrap_or_default() } else { Vec::new() },
            person,
            known,
            account: Arc::clone(&login.account),
            source,
            application: application.into(),
            proof: login.proof,
            also: also.iter().map(|number| Arc::clone(&self.people[*number].name)).collect(),
        }
    }

    /// Whether everybody behind a login may still, or already, be at work: the first whose dates speak against it.
    pub fn standing(&self, upstream: &str, login: &Login, today: Date) -> Standing {
        let behind = self.behind(upstream, login);
        let mut standings = behind.iter().map(|number| self.people[*number].standing(today));
        standings.find(|standing| *standing != Standing::Current).unwrap_or(Standing::Current)
    }

    /// Everybody, in the order of their names within people and services.
    pub fn people(&self) -> &[Entry] {
        &self.people
    }

    /// Who is called so.
    pub fn person(&self, name: &str) -> Option<&Entry> {
        self.by_name.get(name).map(|number| &self.people[*number])
    }

    /// Whose account this is on an upstream.
    pub fn owner(&self, upstream: &str, account: &str) -> Option<&Entry> {
        self.account(upstream, account).map(|number| &self.people[number])
    }

    /// Everybody who has an account of this name, with the upstream where it means them; `None`: everywhere.
    pub fn owners(&self, account: &str) -> impl Iterator<Item = (Option<&str>, &Entry)> {
        let owners = self.accounts.get(account).into_iter().flatten();
        owners.map(|(upstream, number)| (upstream.as_deref(), &self.people[*number]))
    }

    /// Who works as this user of this host.
    pub fn os_user(&self, name: &str) -> Option<&Entry> {
        self.os_users.get(name).map(|number| &self.people[*number])
    }

    /// Who is known by what a certificate or token says.
    pub fn known_as(&self, name: &Name) -> Option<&Entry> {
        self.names.get(name).map(|number| &self.people[*number])
    }

    /// The manager of somebody, the manager's manager, and so on to the top.
    pub fn managers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Entry> {
        let above = |entry: &Entry| self.person(entry.manager.as_deref()?);
        // A file in which they go round is refused when it is read.
        std::iter::successors(self.person(name).and_then(above), move |entry| above(entry))
    }

    /// What is odd about the file, though it can be used.
    pub fn warnings(&self) -> &[DirectoryError] {
        &self.warnings
    }

    /// Whose names and whose account a client gave, each once: certificate, then token, then account.
    fn behind(&self, upstream: &str, login: &Login) -> Vec<usize> {
        let of = |certificate: bool| {
            login.names.iter().filter(move |name| !matches!(name, Name::Claim { .. }) == certificate)
        };
        let proved = of(true).chain(of(false)).filter_map(|name| self.names.get(name).copied());
        let mut behind: Vec<usize> = Vec::new();
        for number in proved.chain(self.account(upstream, &login.account)) {
            if !behind.contains(&number) {
                behind.push(number);
            }
        }
        behind
    }

    /// Whether what was proved makes the client this person.
    fn proves(&self, upstream: &str, login: &Login, entry: &Entry) -> bool {
        let is_entry = |other: Option<&Entry>| other.is_some_and(|other| other.name == entry.name);
        let by_name = login.names.iter().any(|name| is_entry(self.known_as(name)));
        by_name || (self.is_proved(login) && is_entry(self.owner(upstream, &login.account)))
    }

    /// Whether the account itself was proved: by its password, or because a certificate or token that was issued for it
    /// bears its name.
    fn is_proved(&self, login: &Login) -> bool {
        match login.proof {
            Proof::Relayed | Proof::Verified => true,
            Proof::Certificate | Proof::Token => {
                let claim = login.names.iter().find(|name| matches!(name, Name::Claim { .. }));
                let subject = login.names.iter().find(|name| matches!(name, Name::Subject(_)));
                claim.is_some_and(|name| matches!(name, Name::Claim { value, .. } if **value == *login.account))
                    || subject.is_some_and(
                        |name| matches!(name, Name::Subject(written) if is_common_name(written, &login.account)),
                    )
            }
        }
    }

    fn account(&self, upstream: &str, account: &str) -> Option<usize> {
        let owners = self.accounts.get(account)?;
        let here = owners.iter().find(|(on, _)| on.as_deref() == Some(upstream));
        let anywhere = || owners.iter().find(|(on, _)| on.is_none());
        here.or_else(anywhere).map(|(_, number)| *number)
    }
}

/// Whether a subject has one common name, and it is this account's, as PostgreSQL's own `cert` method asks for.
/// <https://www.postgresql.org/docs/current/auth-cert.html>
fn is_common_name(written: &str, account: &str) -> bool {
    subject::common_name(written).is_some_and(|name| name == account)
}

/// What somebody is called who proved to be nobody that is known.
fn unknown(login: &Login) -> Arc<str> {
    let name = login.names.first().map(|name| match name {
        Name::Subject(name) | Name::Uri(name) => format!("certificate:{name}"),
        Name::Claim { issuer, value, .. } => format!("token:{issuer}:{value}"),
    });
    name.unwrap_or_else(|| format!("account:{}", login.account)).into()
}
