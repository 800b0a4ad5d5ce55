//! Who is behind an account: the directory file, and the person that a login resolves to.
//!
//! INVARIANT: an account that the directory does not name resolves to an unknown person of its own, never to somebody;
//! and no account stands behind two people, or a budget could be charged to either.

pub mod backoff;
mod date;
mod login;
pub mod secrets;
pub mod verifiers;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use weir_policy::identity::Who;

pub use date::Date;
pub use login::{Login, Name};

/// Longest directory file, bytes: a hundred thousand people fit.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What the names of unknown people begin with; nobody in the directory may be called so.
const UNKNOWN_PREFIX: &str = "account:";

/// Accounts and the people behind them.
#[derive(Debug, Default)]
pub struct Directory {
    people: Vec<Entry>,
    /// By account; the upstream is `None` where the account means the same person everywhere.
    accounts: HashMap<String, Vec<(Option<String>, usize)>>,
}

/// A person or service of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the person or service; the owner of the ledger.
    pub name: Arc<str>,
    /// Groups that policies speak of.
    pub groups: Vec<Arc<str>>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub until: Option<Date>,
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

/// Why a directory is not usable.
#[derive(Debug, PartialEq, Eq)]
pub struct DirectoryError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1; `None` where no one place is wrong.
    pub place: Option<(u64, u64)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {} (hint: {})", self.message, self.hint)
    }
}

impl std::error::Error for DirectoryError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDirectory {
    #[serde(default)]
    people: BTreeMap<String, Spanned<RawEntry>>,
    #[serde(default)]
    services: BTreeMap<String, Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    accounts: Vec<Spanned<RawAccount>>,
    #[serde(default)]
    groups: Vec<String>,
    from: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "an account is a name, or { account: name, upstream: name }")]
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

/// Where, what, and what to do.
type Problem = (Option<Location>, String, &'static str);

impl Directory {
    /// Reads a directory file.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn load(path: &Path) -> Result<Directory, DirectoryError> {
        let told = |(at, message, hint): Problem| DirectoryError {
            file: path.to_owned(),
            place: at.filter(|at| at.line() > 0).map(|at| (at.line(), at.column())),
            message,
            hint,
        };
        let text = crate::config::read_bounded(path, FILE_BYTES_MAX)
            .map_err(|message| told((None, message, "the key `directory` of weir.toml names this file")))?;
        Directory::parse(&text).map_err(told)
    }

    fn parse(text: &str) -> Result<Directory, Problem> {
        let raw: RawDirectory = serde_saphyr::from_str(text).map_err(|error| {
            let (message, hint) =
                (error.without_snippet().to_string(), "docs/configuration.md describes the directory");
            (error.location(), message, hint)
        })?;
        let mut directory = Directory::default();
        let mut names = HashSet::new();
        // Where each account was named, for the second place that names it.
        let mut places: HashMap<(String, Option<String>), Location> = HashMap::new();
        for (name, entry) in raw.people.into_iter().chain(raw.services) {
            let at = entry.referenced;
            let entry = entry.value;
            if name.starts_with(UNKNOWN_PREFIX) || name.is_empty() {
                let hint = "names that begin with `account:` are those of people that nobody knows";
                return Err((Some(at), format!("`{name}` cannot be the name of a person"), hint));
            }
            if !names.insert(name.clone()) {
                let hint = "rename the service: budgets are kept by this name";
                return Err((Some(at), format!("`{name}` is a person and a service"), hint));
            }
            let (from, until) = (day(entry.from.as_ref())?, day(entry.until.as_ref())?);
            if let (Some(from), Some(until)) = (from, until)
                && until < from
            {
                return Err((Some(at), format!("`{name}` ends on {until}, before {from}"), "correct one of the days"));
            }
            let number = directory.people.len();
            let groups = entry.groups.iter().map(|group| group.as_str().into()).collect();
            directory.people.push(Entry { name: name.as_str().into(), groups, from, until });
            for account in entry.accounts {
                directory.add(account, number, &mut places)?;
            }
        }
        Ok(directory)
    }

    fn add(
        &mut self,
        account: Spanned<RawAccount>,
        person: usize,
        places: &mut HashMap<(String, Option<String>), Location>,
    ) -> Result<(), Problem> {
        let at = account.referenced;
        let (account, upstream) = match account.value {
            RawAccount::Name(account) => (account, None),
            RawAccount::On(on) => (on.account, Some(on.upstream)),
        };
        let owners = self.accounts.entry(account.clone()).or_default();
        // An account without an upstream is the same person's everywhere, so it clashes with every other.
        let clash = owners
            .iter()
            .find(|(other, owner)| *other == upstream || (*owner != person && (other.is_none() || upstream.is_none())));
        if let Some((other, owner)) = clash {
            let first = places.get(&(account.clone(), other.clone()));
            let first = first.map(|first| format!(" (line {})", first.line())).unwrap_or_default();
            let (owner, person) = (&self.people[*owner].name, &self.people[person].name);
            return Err((
                Some(at),
                format!("account `{account}` is named for `{owner}`{first} and again for `{person}`"),
                "name it once: an account that several people use stands behind nobody, and is better left out",
            ));
        }
        places.insert((account, upstream.clone()), at);
        owners.push((upstream, person));
        Ok(())
    }

    /// Who logged in.
    pub fn resolve(&self, upstream: &str, login: &Login, source: Option<IpAddr>, application: &str) -> Who {
        let account = &login.account;
        let entry = self.entry(upstream, account);
        Who {
            person: entry.map_or_else(|| format!("{UNKNOWN_PREFIX}{account}").into(), |entry| Arc::clone(&entry.name)),
            known: entry.is_some(),
            groups: entry.map(|entry| entry.groups.clone()).unwrap_or_default(),
            account: Arc::clone(account),
            source,
            application: application.into(),
            proof: login.proof,
            also: Vec::new(),
        }
    }

    /// Whether the person behind an account may still, or already, be at work.
    pub fn standing(&self, upstream: &str, account: &str, today: Date) -> Standing {
        match self.entry(upstream, account) {
            Some(Entry { until: Some(until), .. }) if *until < today => Standing::Ended(*until),
            Some(Entry { from: Some(from), .. }) if *from > today => Standing::Future(*from),
            _ => Standing::Current,
        }
    }

    /// Everybody, in the order of their names within people and services.
    pub fn people(&self) -> &[Entry] {
        &self.people
    }

    fn entry(&self, upstream: &str, account: &str) -> Option<&Entry> {
        let owners = self.accounts.get(account)?;
        let here = owners.iter().find(|(on, _)| on.as_deref() == Some(upstream));
        let anywhere = || owners.iter().find(|(on, _)| on.is_none());
        here.or_else(anywhere).map(|(_, person)| &self.people[*person])
    }
}

fn day(text: Option<&Spanned<String>>) -> Result<Option<Date>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match Date::parse(&text.value) {
        Some(day) => Ok(Some(day)),
        None => Err((Some(text.referenced), format!("`{}` is no day", text.value), "write days as 2026-12-31")),
    }
}

#[cfg(test)]
mod tests {
    use weir_tests::scratch::Scratch;

    use super::*;

    const GOOD: &str = "\
people:
  alice:
    accounts: [alice, { account: report, upstream: db }]
    groups: [support, german]
    until: 2026-12-31
  bob: { accounts: [bob, { account: report, upstream: other }], from: \"2026-02-01\" }
services:
  etl: { accounts: [etl_export], groups: [nightly] }
";

    fn told(text: &str) -> String {
        let folder = Scratch::new("people");
        let path = folder.write("people.yaml", text);
        let shown = path.display().to_string();
        Directory::load(&path).expect_err(text).to_string().replace(&shown, "people.yaml")
    }

    #[test]
    fn accounts_resolve_to_people() {
        let directory = Directory::parse(GOOD).unwrap();
        let who = |upstream: &str, account: &str| {
            let who = directory.resolve(upstream, &Login::relayed(account), None, "psql");
            (who.person.to_string(), who.known)
        };
        assert_eq!(who("db", "alice"), ("alice".to_owned(), true));
        assert_eq!(who("db", "report"), ("alice".to_owned(), true));
        assert_eq!(who("other", "report"), ("bob".to_owned(), true));
        assert_eq!(who("third", "report"), ("account:report".to_owned(), false));
        assert_eq!(who("db", "ALICE"), ("account:ALICE".to_owned(), false), "accounts are case sensitive");
        assert_eq!(who("db", "etl_export"), ("etl".to_owned(), true));
        let alice = directory.resolve("db", &Login::relayed("report"), Some(IpAddr::from([10, 0, 0, 7])), "psql");
        assert_eq!(alice.groups, [Arc::from("support"), Arc::from("german")]);
        assert_eq!((&*alice.account, &*alice.application), ("report", "psql"));
        assert_eq!(alice.source, Some(IpAddr::from([10, 0, 0, 7])));
        assert_eq!(directory.people().len(), 3);
    }

    #[test]
    fn people_begin_and_end() {
        let directory = Directory::parse(GOOD).unwrap();
        let standing = |account: &str, day: &str| directory.standing("db", account, Date::parse(day).unwrap());
        assert_eq!(standing("report", "2026-12-31"), Standing::Current);
        assert_eq!(standing("report", "2027-01-01"), Standing::Ended(Date::parse("2026-12-31").unwrap()));
        assert_eq!(standing("bob", "2026-01-31"), Standing::Future(Date::parse("2026-02-01").unwrap()));
        assert_eq!(standing("bob", "2026-02-01"), Standing::Current);
        assert_eq!(standing("nobody", "2026-02-01"), Standing::Current);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let check = |from: &str, to: &str, expected: &str| {
            assert!(GOOD.contains(from), "{from}");
            assert_eq!(told(&GOOD.replacen(from, to, 1)), format!("people.yaml:{expected}"), "{to}");
        };
        let once =
            "(hint: name it once: an account that several people use stands behind nobody, and is better left out)";
        check(
            "[bob,",
            "[alice,",
            &format!("6:21: account `alice` is named for `alice` (line 3) and again for `bob` {once}"),
        );
        check(
            "upstream: other",
            "upstream: db",
            &format!("6:26: account `report` is named for `alice` (line 3) and again for `bob` {once}"),
        );
        check(
            "[bob, {",
            "[report, {",
            &format!("6:21: account `report` is named for `alice` (line 3) and again for `bob` {once}"),
        );
        check(
            "[bob,",
            "[bob, bob,",
            &format!("6:26: account `bob` is named for `bob` (line 6) and again for `bob` {once}"),
        );
        check("2026-12-31", "2026-02-30", "5:12: `2026-02-30` is no day (hint: write days as 2026-12-31)");
        check(
            "  etl:",
            "  bob:",
            "8:8: `bob` is a person and a service (hint: rename the service: budgets are kept by this name)",
        );
        check(
            "  etl:",
            "  account:x:",
            "8:14: `account:x` cannot be the name of a person (hint: names that begin with `account:` are those of people \
             that nobody knows)",
        );
        check(
            "until: 2026-12-31",
            "until: 2026-12-31\n    from: 2027-01-01",
            "3:5: `alice` ends on 2026-12-31, before 2027-01-01 (hint: correct one of the days)",
        );
        for (from, to, word) in [
            ("accounts: [alice,", "acounts: [alice,", "acounts"),
            ("upstream: db", "upstreem: db", "an account is a name"),
            ("  bob:", "  alice:", "alice"),
            ("people:", "people: [", "people.yaml:"),
        ] {
            let message = told(&GOOD.replacen(from, to, 1));
            assert!(message.contains(word) && message.starts_with("people.yaml:"), "{to}: {message}");
            assert!(!message.contains('\n') && !message.contains("Raw"), "{to}: {message}");
        }
    }

    #[test]
    fn an_empty_directory_knows_nobody() {
        let directory = Directory::parse("people: {}\n").unwrap();
        assert!(!directory.resolve("db", &Login::relayed("alice"), None, "").known);
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_too_broken(at in 0..GOOD.len(), cut in 0..40_usize, put in "\\PC{0,12}|[\\[\\]{}:&*!|>%#\\-\\n\\t\\x00]{0,6}") {
            let end = (at + cut).min(GOOD.len());
            let text = format!("{}{put}{}", &GOOD[..at], &GOOD[end..]);
            match Directory::parse(&text) {
                Ok(directory) => proptest::prop_assert!(directory.people().len() <= 4),
                Err((_, message, hint)) => proptest::prop_assert!(!message.is_empty() && !hint.is_empty()),
            }
        }
    }
}
