//! Who is behind an account: the directory file, and the person that a login resolves to.
//!
//! INVARIANT: an account that the directory does not name resolves to an unknown person of its own, never to somebody.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

/// Longest directory file, bytes: a hundred thousand people fit.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// A person's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the person or service.
    pub person: Arc<str>,
    /// Groups that policies speak of.
    pub groups: Vec<Arc<str>>,
}

/// Accounts and the people behind them.
#[derive(Debug, Default)]
pub struct Directory {
    /// By account; the upstream is empty where the account means the same person everywhere.
    accounts: HashMap<(String, String), Entry>,
}

/// What a login resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Whose ledger is charged.
    pub name: Arc<str>,
    /// Whether the directory names the account.
    pub known: bool,
    /// Groups of the person.
    pub groups: Vec<Arc<str>>,
    /// Database account.
    pub account: Arc<str>,
    /// Where the client is.
    pub source: IpAddr,
    /// What the client calls itself.
    pub application: Arc<str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirectory {
    #[serde(default)]
    people: BTreeMap<String, RawEntry>,
    #[serde(default)]
    services: BTreeMap<String, RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    accounts: Vec<RawAccount>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawAccount {
    Name(String),
    On(RawAccountOn),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAccountOn {
    account: String,
    upstream: String,
}

impl Directory {
    /// Reads a directory file.
    ///
    /// # Errors
    /// What is wrong, with the file's name, in words for the operator.
    pub fn load(path: &Path) -> Result<Directory, String> {
        let shown = path.display();
        let size = std::fs::metadata(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?.len();
        if size > FILE_BYTES_MAX {
            return Err(format!("{shown}: {size} bytes are more than the {FILE_BYTES_MAX} that a directory may have"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
        Directory::parse(&text).map_err(|message| format!("{shown}: {message}"))
    }

    fn parse(text: &str) -> Result<Directory, String> {
        let raw: RawDirectory = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut directory = Directory::default();
        for (name, entry) in raw.people.into_iter().chain(raw.services) {
            let person = Entry {
                person: name.as_str().into(),
                groups: entry.groups.iter().map(|group| group.as_str().into()).collect(),
            };
            for account in entry.accounts {
                let key = match account {
                    RawAccount::Name(account) => (String::new(), account),
                    RawAccount::On(on) => (on.upstream, on.account),
                };
                let clash = directory.accounts.iter().find(|((upstream, account), other)| {
                    *account == key.1
                        && other.person != person.person
                        && (upstream.is_empty() || key.0.is_empty() || *upstream == key.0)
                });
                if let Some((_, other)) = clash {
                    return Err(format!(
                        "account `{}` belongs to `{}` and to `{name}` (hint: an account that several people use can stand \
                         behind nobody; name it once)",
                        key.1, other.person
                    ));
                }
                directory.accounts.insert(key, person.clone());
            }
        }
        Ok(directory)
    }

    /// Who logged in.
    pub fn resolve(&self, upstream: &str, account: &str, source: IpAddr, application: &str) -> Person {
        let on = |upstream: &str| self.accounts.get(&(upstream.to_owned(), account.to_owned()));
        let entry = on(upstream).or_else(|| on(""));
        Person {
            name: entry.map_or_else(|| format!("account:{account}").into(), |entry| Arc::clone(&entry.person)),
            known: entry.is_some(),
            groups: entry.map(|entry| entry.groups.clone()).unwrap_or_default(),
            account: account.into(),
            source,
            application: application.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn two_accounts_are_one_person() {
        let text =
            "people:\n  alice:\n    accounts: [alice, { account: report, upstream: db }]\n    groups: [support]\n";
        let directory = Directory::parse(text).unwrap();
        let direct = directory.resolve("db", "alice", HERE, "psql");
        let second = directory.resolve("db", "report", HERE, "psql");
        assert_eq!(direct.name, second.name);
        assert_eq!(*direct.groups, [Arc::from("support")]);
        assert!(direct.known);
        let elsewhere = directory.resolve("other", "report", HERE, "psql");
        assert_eq!((&*elsewhere.name, elsewhere.known), ("account:report", false));
    }

    #[test]
    fn an_account_of_two_people_is_told() {
        let text = "people:\n  a: { accounts: [x] }\n  b: { accounts: [{ account: x, upstream: db }] }\n";
        let message = Directory::parse(text).unwrap_err();
        assert!(message.contains("`x` belongs to `a` and to `b`"), "{message}");
        assert!(Directory::parse("people:\n  a: { acounts: [x] }\n").unwrap_err().contains("acounts"));
    }
}
