//! Who acts on the control socket: the peer's account of the host, and the person behind it.
//!
//! INVARIANT: the kernel says whose process the peer is; nothing that the peer sends does.

use std::path::Path;
use std::sync::Arc;

use crate::config::read_bounded;
use crate::identity::Directory;

/// Where the host's accounts are. Accounts that only a name service knows are told by number.
const ACCOUNTS: &str = "/etc/passwd";
/// Longest such file, bytes.
const ACCOUNTS_BYTES_MAX: u64 = 4 << 20;

/// Whoever acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name in records: the person, or `os:` and the account.
    pub name: String,
    /// The person of the directory.
    pub person: Option<Arc<str>>,
    /// Their groups.
    pub groups: Vec<Arc<str>>,
    /// Whether they may do what only operators may: root, the account that Weir runs as, and members of the groups that
    /// `[control] operators` names.
    pub operates: bool,
}

impl Operator {
    /// Whoever a process of this account of the host acts for.
    pub fn new(uid: u32, own_uid: u32, operators: &[String], directory: &Directory) -> Operator {
        let account = account(uid).unwrap_or_else(|| format!("uid:{uid}"));
        let entry = directory.of_host_account(&account);
        let groups: Vec<Arc<str>> = entry.map(|entry| entry.groups.clone()).unwrap_or_default();
        let named = groups.iter().any(|group| operators.iter().any(|operator| **operator == **group));
        Operator {
            name: entry.map_or_else(|| format!("os:{account}"), |entry| entry.name.to_string()),
            person: entry.map(|entry| Arc::clone(&entry.name)),
            groups,
            operates: uid == 0 || uid == own_uid || named,
        }
    }

    /// Whether they are this person.
    pub fn is(&self, person: &str) -> bool {
        self.person.as_deref() == Some(person)
    }
}

/// The name of an account of this host.
fn account(uid: u32) -> Option<String> {
    let text = read_bounded(Path::new(ACCOUNTS), ACCOUNTS_BYTES_MAX).ok()?;
    named(&text, uid)
}

/// The number of a group of this host.
pub fn group(name: &str) -> Option<u32> {
    let text = read_bounded(Path::new("/etc/group"), ACCOUNTS_BYTES_MAX).ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// `name:password:number:…`
fn named(text: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(number.as_str()))?;
    line.split(':').next().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_number() {
        let text = "root:x:0:0:root:/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n:x:7:7\nbroken\n";
        assert_eq!(named(text, 0).as_deref(), Some("root"));
        assert_eq!(named(text, 1001).as_deref(), Some("alice"));
        assert_eq!((named(text, 7), named(text, 1)), (None, None));
    }

    #[test]
    fn only_root_the_own_account_and_named_groups_operate() {
        let directory = Directory::default();
        // No host has this account.
        let nobody = u32::MAX - 7;
        let operates = |uid, own| Operator::new(uid, own, &["security".to_owned()], &directory).operates;
        assert!(operates(0, 5) && operates(nobody, nobody) && !operates(nobody, 5));
        let operator = Operator::new(nobody, 5, &[], &directory);
        assert_eq!((operator.name.as_str(), operator.person), (format!("os:uid:{nobody}").as_str(), None));
    }
}
