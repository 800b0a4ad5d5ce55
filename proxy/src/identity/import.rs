//! People from other systems: an export is read into one list of entries, and that list is written as a directory file.
//!
//! Every source comes in through [`Import`]: CSV and LDIF files here; a reader of LDAP or SCIM would fill the same list, and
//! what follows (what stands there twice, managers, the order and the spelling of the file) is done once for all of them.
//!
//! INVARIANT: nothing is guessed. What cannot be read with certainty is left out with a note that names its line, and two
//! entries that claim the same name or account are an error with both lines. The same export gives the same file.

mod csv;
mod fields;
mod ldif;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{Date, Kind, Name};

pub use csv::read as csv;
pub use ldif::read as ldif;
pub use yaml::write as yaml;

/// Longest export, bytes: a hundred thousand people with certificates and pictures.
pub const EXPORT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most people of an export.
pub const ENTRIES_MAX: usize = 200_000;
/// Most notes that are kept; a column of nonsense would make one for each line.
const NOTES_MAX: usize = 200;

/// One person or service of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Line of the export that it begins on, from 1.
    pub line: usize,
    /// What the export calls the entry, where that is more than its line: the distinguished name of LDIF.
    pub origin: Option<String>,
    /// Name in the directory.
    pub name: String,
    /// Human or machine.
    pub kind: Kind,
    /// Accounts; the upstream is `None` where the account means the same person everywhere.
    pub accounts: BTreeSet<(String, Option<String>)>,
    /// What certificates and tokens call them.
    pub names: BTreeSet<Name>,
    /// Groups.
    pub groups: BTreeSet<String>,
    /// Name of the manager.
    pub manager: Option<String>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
    /// Usual addresses and networks.
    pub hosts: BTreeSet<String>,
    /// The user of this host.
    pub os_user: Option<String>,
    /// What is to stand beside the entry, for whoever reads the file.
    pub remarks: Vec<String>,
}

impl Imported {
    /// Somebody of whom only the name is known.
    pub fn new(line: usize, name: String) -> Imported {
        Imported {
            line,
            origin: None,
            name,
            kind: Kind::Person,
            accounts: BTreeSet::new(),
            names: BTreeSet::new(),
            groups: BTreeSet::new(),
            manager: None,
            from: None,
            until: None,
            hosts: BTreeSet::new(),
            os_user: None,
            remarks: Vec::new(),
        }
    }
}

/// What an export holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Everybody, in the order of their names.
    pub entries: Vec<Imported>,
    /// What was left out, and why.
    pub notes: Vec<Note>,
    /// How many notes there were beyond those that are kept.
    pub notes_more: usize,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Line of the export, from 1.
    pub line: usize,
    /// What, and why.
    pub message: String,
}

/// Why an export is not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ImportError {
    /// Line of the export, from 1; `None` where no one line is wrong.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl ImportError {
    fn at(line: usize, message: impl Into<String>) -> ImportError {
        ImportError { line: Some(line), message: message.into() }
    }
}

/// Which column or attribute holds what, where it is not the usual one.
pub type Mapping = BTreeMap<Field, String>;

/// What an entry of the directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Name of the person: the owner of the budget.
    Name,
    /// `person` or `service`.
    Kind,
    /// Accounts that mean the same person everywhere.
    Accounts,
    /// Subjects and URIs of certificates.
    Certificates,
    /// Groups.
    Groups,
    /// The manager's name.
    Manager,
    /// First day.
    From,
    /// Last day.
    Until,
    /// Usual addresses and networks.
    Hosts,
    /// The user of Weir's own host.
    OsUser,
}

impl Field {
    /// All of them, with the words for them.
    pub const ALL: [(&'static str, Field); 10] = [
        ("name", Field::Name),
        ("kind", Field::Kind),
        ("accounts", Field::Accounts),
        ("certificates", Field::Certificates),
        ("groups", Field::Groups),
        ("manager", Field::Manager),
        ("from", Field::From),
        ("until", Field::Until),
        ("hosts", Field::Hosts),
        ("os-user", Field::OsUser),
    ];

    /// The field of this word.
    pub fn named(word: &str) -> Option<Field> {
        Field::ALL.iter().find(|(name, _)| *name == word).map(|(_, field)| *field)
    }
}

impl Import {
    fn note(&mut self, line: usize, message: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(Note { line, message });
        } else {
            self.notes_more += 1;
        }
    }

    /// What has to be looked at when everybody is there: names and accounts that stand twice, managers who are missing.
    ///
    /// # Errors
    /// Two entries of one name, account, certificate or user.
    fn settle(mut self) -> Result<Import, ImportError> {
        self.entries.sort_by(|one, other| (&one.name, one.line).cmp(&(&other.name, other.line)));
        let mut names: HashMap<&str, usize> = HashMap::new();
        let mut accounts: HashMap<&str, BTreeMap<Option<&str>, (usize, &str)>> = HashMap::new();
        let mut proved: HashMap<&Name, (usize, &str)> = HashMap::new();
        let mut users: HashMap<&str, (usize, &str)> = HashMap::new();
        for entry in &self.entries {
            if let Some(first) = names.insert(&entry.name, entry.line) {
                return Err(ImportError::at(
                    entry.line,
                    format!("`{}` stands there again, after line {first}: budgets are kept by this name", entry.name),
                ));
            }
            let here = (entry.line, entry.name.as_str());
            let twice = |what: String, (first, owner): (usize, &str)| {
                Err(ImportError::at(
                    entry.line,
                    format!(
                        "{what} of `{}` is that of `{owner}` on line {first} as well; leave it out for one",
                        entry.name
                    ),
                ))
            };
            for (account, upstream) in &entry.accounts {
                let owners = accounts.entry(account).or_default();
                let upstream = upstream.as_deref();
                let clash = owners.iter().find(|(other, (_, owner))| {
                    **other == upstream || (*owner != entry.name && (other.is_none() || upstream.is_none()))
                });
                if let Some((_, first)) = clash {
                    return twice(format!("account `{account}`"), *first);
                }
                owners.insert(upstream, here);
            }
            for name in &entry.names {
                if let Some(first) = proved.insert(name, here) {
                    return twice("a certificate or claim".to_owned(), first);
                }
            }
            if let Some(user) = &entry.os_user
                && let Some(first) = users.insert(user, here)
            {
                return twice(format!("os-user `{user}`"), first);
            }
        }
        self.managers();
        Ok(self)
    }

    /// Leaves out managers who are nobody of this export, or stand below those they manage.
    fn managers(&mut self) {
        let at =
            |name: &str, entries: &[Imported]| entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok();
        let above: Vec<Option<usize>> = self
            .entries
            .iter()
            .map(|entry| at(entry.manager.as_deref()?, &self.entries))
            .map(|found| found.filter(|found| self.entries[*found].kind == Kind::Person))
            .collect();
        let mut kept = above.clone();
        // Who was walked over by which walk; a walk that meets itself has closed a circle, which is opened there.
        let mut walked: Vec<Option<usize>> = vec![None; above.len()];
        for start in 0..above.len() {
            let mut next = Some(start);
            while let Some(at) = next {
                walked[at] = Some(start);
                next = kept[at];
                match next.and_then(|next| walked[next]) {
                    Some(walk) if walk == start => {
                        kept[at] = None;
                        break;
                    }
                    Some(_) => break,
                    None => {}
                }
            }
        }
        for number in 0..above.len() {
            let entry = &mut self.entries[number];
            let Some(manager) = entry.manager.take() else { continue };
            let message = match (above[number], kept[number]) {
                (_, Some(_)) => {
                    entry.manager = Some(manager);
                    continue;
                }
                (Some(_), None) => {
                    format!("the manager of `{}` is left out: `{manager}` stands below them", entry.name)
                }
                (None, _) => {
                    format!("the manager of `{}` is left out: `{manager}` is nobody of this export", entry.name)
                }
            };
            let line = entry.line;
            self.note(line, message);
        }
    }
}
