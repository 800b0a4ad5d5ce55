//! The directory seen from the people: who acts by an account of the host, whom somebody answers to, as whom they may
//! come.

use weir_policy::identity::Who;

use super::{Directory, Entry};

impl Directory {
    /// Whoever acts by this account of the host: the person whose `os-user` it is, or the person of its name who has
    /// none of their own.
    pub fn of_host_account(&self, account: &str) -> Option<&Entry> {
        self.os_user(account).or_else(|| self.person(account).filter(|entry| entry.os_user.is_none()))
    }

    /// Whether a person answers to this manager.
    pub fn manages(&self, manager: &str, person: &str) -> bool {
        self.person(person).is_some_and(|entry| entry.manager.as_deref() == Some(manager))
    }

    /// Everybody that a person can be at the door: one for each account, and one for none.
    pub fn seats(&self, person: &str) -> Vec<Who> {
        let entry = self.person(person);
        let seat = |account: &str| Who {
            person: person.into(),
            known: entry.is_some(),
            groups: entry.map(|entry| entry.groups.clone()).unwrap_or_default(),
            account: account.into(),
            ..Who::default()
        };
        let mut accounts: Vec<&str> =
            entry.iter().flat_map(|entry| &entry.accounts).map(|(account, _)| account.as_str()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        // Somebody whom the directory does not know is called by their account.
        let unknown = person.strip_prefix("account:").filter(|_| entry.is_none());
        std::iter::once("").chain(accounts).chain(unknown).map(seat).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEOPLE: &str = "\
people:
  alice: { accounts: [alice, { account: report, upstream: db }], groups: [support], manager: carol }
  carol: { accounts: [carol], os-user: cfischer }
services:
  etl: { accounts: [etl_export] }
";

    fn directory() -> Directory {
        let folder = weir_tests::scratch::Scratch::new("persons");
        Directory::load(&folder.write("people.yaml", PEOPLE)).unwrap()
    }

    #[test]
    fn people_are_found_by_their_account_of_the_host() {
        let directory = directory();
        let who = |account: &str| directory.of_host_account(account).map(|entry| entry.name.to_string());
        assert_eq!(who("cfischer").as_deref(), Some("carol"));
        assert_eq!(who("alice").as_deref(), Some("alice"), "by name, where nobody says otherwise");
        assert_eq!((who("carol"), who("mallory")), (None, None));
        assert!(directory.manages("carol", "alice"));
        assert!(!directory.manages("alice", "carol") && !directory.manages("carol", "etl"));
    }

    #[test]
    fn a_person_has_a_seat_for_each_account() {
        let directory = directory();
        let accounts = |person: &str| -> Vec<String> {
            directory.seats(person).iter().map(|who| who.account.to_string()).collect()
        };
        assert_eq!(accounts("alice"), ["", "alice", "report"]);
        assert_eq!(accounts("account:stranger"), ["", "stranger"]);
        assert!(directory.seats("alice").iter().all(|who| who.known && who.groups.len() == 1));
    }
}
