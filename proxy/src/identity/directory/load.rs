//! The directory file, and the step from there to the directory in force.
//!
//! A file is good or it changes nothing: all that is wrong with it is told at once, each with its place, and what stands
//! there twice with both.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_saphyr::{Location, Spanned};
use weir_policy::rule::Network;

use super::{Date, Directory, Entry, Kind, Name, UNKNOWN_PREFIXES, subject};

/// Longest directory file, bytes: a hundred thousand people fit.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest name of a person, account, group or claim, bytes: they stand in every record.
pub(in crate::identity) const NAME_BYTES_MAX: usize = 2048;
/// Most groups of a person: each rule looks through them.
pub(in crate::identity) const GROUPS_MAX: usize = 1000;
/// Most problems that are told of one file. Whoever broke it all at once need not read all of it.
const PROBLEMS_MAX: usize = 20;

/// What is wrong with a directory, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryError {
    file: Arc<str>,
    problems: Vec<Problem>,
}

/// Where something stands: line and column, from 1.
type Place = (u64, u64);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Problem {
    /// `None` where no one place is wrong.
    place: Option<Place>,
    message: String,
    hint: String,
}

impl DirectoryError {
    /// Place, message and hint of each problem.
    pub fn problems(&self) -> impl Iterator<Item = (Option<Place>, &str, &str)> {
        self.problems.iter().map(|problem| (problem.place, problem.message.as_str(), problem.hint.as_str()))
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:", self.file)?;
            if let Some((line, column)) = problem.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {} (hint: {})", problem.message, problem.hint)?;
        }
        Ok(())
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
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawEntry {
    #[serde(default)]
    accounts: Vec<Spanned<RawAccount>>,
    #[serde(default)]
    certificates: Vec<Spanned<String>>,
    #[serde(default)]
    claims: Vec<Spanned<RawClaim>>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    manager: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    until: Option<Spanned<String>>,
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    os_user: Option<Spanned<String>>,
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

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a claim is { issuer: address, claim: name, value: text }, or { issuer: address, subject: text }"
)]
enum RawClaim {
    Claim(RawNamedClaim),
    Subject(RawSubject),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNamedClaim {
    issuer: String,
    claim: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubject {
    issuer: String,
    subject: String,
}

impl Directory {
    /// Reads a directory file.
    ///
    /// # Errors
    /// All that is wrong, where, and what to do.
    pub fn load(path: &Path) -> Result<Directory, DirectoryError> {
        let shown: Arc<str> = path.display().to_string().into();
        match crate::config::read_bounded(path, FILE_BYTES_MAX) {
            Ok(text) => Directory::parse(&text, &shown),
            Err(message) => {
                let hint = "the key `directory` of weir.toml names this file".to_owned();
                Err(DirectoryError { file: shown, problems: vec![Problem { place: None, message, hint }] })
            }
        }
    }

    /// Reads a directory; `shown` is how its file is called.
    ///
    /// # Errors
    /// All that is wrong, where, and what to do.
    pub fn parse(text: &str, shown: &str) -> Result<Directory, DirectoryError> {
        let mut loader = Loader::new(shown);
        let raw: RawDirectory = match serde_saphyr::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                let message = error.without_snippet().to_string();
                loader.wrong(error.location(), message, "docs/configuration.md describes the directory");
                return loader.finish();
            }
        };
        let people = raw.people.into_iter().map(|(name, entry)| (name, entry, Kind::Person));
        let services = raw.services.into_iter().map(|(name, entry)| (name, entry, Kind::Service));
        for (name, entry, kind) in people.chain(services) {
            loader.entry(name, entry, kind);
        }
        loader.check_managers();
        loader.finish()
    }
}

/// What was said in this file, and where: for the second place that says it.
struct Seen<K>(HashMap<K, (Location, usize)>);

impl<K: Hash + Eq> Seen<K> {
    /// Where and for whom it was said before.
    fn add(&mut self, key: K, at: Location, number: usize) -> Option<(Location, usize)> {
        match self.0.entry(key) {
            std::collections::hash_map::Entry::Occupied(first) => Some(*first.get()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert((at, number));
                None
            }
        }
    }
}

struct Loader {
    shown: Arc<str>,
    directory: Directory,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    places: Vec<Location>,
    accounts: Seen<(String, Option<String>)>,
    names: Seen<Name>,
    os_users: Seen<String>,
    /// Managers are looked up when everybody is there.
    managers: Vec<(usize, Spanned<String>)>,
}

impl Loader {
    fn new(shown: &str) -> Loader {
        Loader {
            shown: shown.into(),
            directory: Directory::default(),
            problems: Vec::new(),
            warnings: Vec::new(),
            places: Vec::new(),
            accounts: Seen(HashMap::new()),
            names: Seen(HashMap::new()),
            os_users: Seen(HashMap::new()),
            managers: Vec::new(),
        }
    }

    fn finish(mut self) -> Result<Directory, DirectoryError> {
        let told = |problem: Problem| DirectoryError { file: Arc::clone(&self.shown), problems: vec![problem] };
        self.directory.warnings = self.warnings.into_iter().map(told).collect();
        if self.problems.is_empty() {
            return Ok(self.directory);
        }
        // Managers are judged last, and an operator reads from the top.
        self.problems.sort_by_key(|problem| problem.place);
        let more = self.problems.len().saturating_sub(PROBLEMS_MAX);
        self.problems.truncate(PROBLEMS_MAX);
        if more > 0 {
            let message = format!("and {more} more");
            self.problems.push(Problem { place: None, message, hint: "correct those above first".to_owned() });
        }
        Err(DirectoryError { file: self.shown, problems: self.problems })
    }

    fn wrong(&mut self, at: Option<Location>, message: String, hint: &str) {
        self.problems.push(Problem { place: at.and_then(place), message, hint: hint.to_owned() });
    }

    fn odd(&mut self, at: Location, message: String, hint: &str) {
        if self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(Problem { place: place(at), message, hint: hint.to_owned() });
        }
    }

    /// Whether something can be a name.
    fn is_name(&mut self, what: &str, name: &str, at: Location) -> bool {
        let wrong = match name {
            "" => "is empty",
            name if name.len() > NAME_BYTES_MAX => "is too long",
            name if name.chars().any(char::is_control) => "has a control character in it",
            _ => return true,
        };
        self.wrong(Some(at), format!("{what} {wrong}"), "write the name as it is, in one line of at most 2048 bytes");
        false
    }

    fn entry(&mut self, name: String, entry: Spanned<RawEntry>, kind: Kind) {
        let (at, raw) = (entry.referenced, entry.value);
        if !self.is_name("the name of a person", &name, at) {
            return;
        }
        if UNKNOWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            let hint =
                "names that begin with `account:`, `certificate:` or `token:` are those of people that nobody knows";
            return self.wrong(Some(at), format!("`{name}` cannot be the name of a person"), hint);
        }
        if let Some(first) = self.directory.by_name.get(name.as_str()) {
            let first = self.spot(self.places[*first]);
            let hint = "rename the service: budgets are kept by this name";
            return self.wrong(Some(at), format!("`{name}` is a person ({first}) and a service"), hint);
        }
        let (from, until) = (self.day(raw.from.as_ref()), self.day(raw.until.as_ref()));
        if let (Some(from), Some(until)) = (from, until)
            && until < from
        {
            self.wrong(Some(at), format!("`{name}` ends on {until}, before {from}"), "correct one of the days");
        }
        let number = self.directory.people.len();
        let shared: Arc<str> = name.as_str().into();
        self.places.push(at);
        self.directory.by_name.insert(Arc::clone(&shared), number);
        self.directory.people.push(Entry {
            name: shared,
            kind,
            accounts: Vec::new(),
            names: Vec::new(),
            groups: Vec::new(),
            manager: None,
            from,
            until,
            hosts: Vec::new(),
            os_user: None,
        });
        if raw.accounts.is_empty() && raw.certificates.is_empty() && raw.claims.is_empty() {
            let hint = "give accounts, certificates or claims, unless policy lets a service speak for them";
            self.odd(at, format!("no login can be `{name}`"), hint);
        }
        for account in raw.accounts {
            self.account(account, number);
        }
        for certificate in raw.certificates {
            self.certificate(certificate, number);
        }
        for claim in raw.claims {
            self.claim(claim, number);
        }
        self.groups(raw.groups, number);
        self.hosts(raw.hosts, number);
        if let Some(user) = raw.os_user {
            self.os_user(user, number);
        }
        self.managers.extend(raw.manager.map(|manager| (number, manager)));
    }

    fn account(&mut self, account: Spanned<RawAccount>, number: usize) {
        let at = account.referenced;
        let (account, upstream) = match account.value {
            RawAccount::Name(account) => (account, None),
            RawAccount::On(on) => (on.account, Some(on.upstream)),
        };
        if !self.is_name("an account", &account, at) {
            return;
        }
        let owners = self.directory.accounts.entry(account.clone()).or_default();
        // An account without an upstream is the same person's everywhere, so it clashes with every other.
        let clash = owners
            .iter()
            .find(|(other, owner)| *other == upstream || (*owner != number && (other.is_none() || upstream.is_none())))
            .cloned();
        if let Some((other, owner)) = clash {
            let first = self.accounts.0.get(&(account.clone(), other)).map(|(first, _)| *first);
            let hint = "name it once: an account that several people use stands behind nobody, and is better left out";
            return self.twice(at, &format!("account `{account}`"), first, owner, number, hint);
        }
        owners.push((upstream.clone(), number));
        self.accounts.add((account.clone(), upstream.clone()), at, number);
        self.directory.people[number].accounts.push((account, upstream));
    }

    fn certificate(&mut self, certificate: Spanned<String>, number: usize) {
        let (at, written) = (certificate.referenced, certificate.value);
        let name = match subject_or_uri(&written) {
            Ok(name) => name,
            Err(reason) => {
                let hint = "write a subject as `openssl x509 -noout -subject -nameopt RFC2253 -in FILE` does, or a URI such as \
                            spiffe://example.com/alice";
                return self.wrong(Some(at), format!("certificate `{written}`: {reason}"), hint);
            }
        };
        if matches!(&name, Name::Subject(subject) if subject::seems_reversed(subject)) {
            let message = format!("`{written}` seems to begin with its most general part");
            self.odd(at, message, "write it as `openssl x509 -noout -subject -nameopt RFC2253 -in FILE` does");
        }
        self.name(name, &format!("certificate `{written}`"), at, number);
    }

    fn claim(&mut self, claim: Spanned<RawClaim>, number: usize) {
        let at = claim.referenced;
        let (issuer, name, value) = match claim.value {
            RawClaim::Claim(named) => (named.issuer, named.claim, named.value),
            RawClaim::Subject(subject) => (subject.issuer, "sub".to_owned(), subject.subject),
        };
        for (what, text) in [("an issuer", &issuer), ("the name of a claim", &name), ("the value of a claim", &value)] {
            if !self.is_name(what, text, at) {
                return;
            }
        }
        let shown = format!("claim `{name}` = `{value}` of `{issuer}`");
        self.name(Name::Claim { issuer, name, value }, &shown, at, number);
    }

    fn name(&mut self, name: Name, shown: &str, at: Location, number: usize) {
        if let Some((first, owner)) = self.names.add(name.clone(), at, number) {
            return self.twice(at, shown, Some(first), owner, number, "name it once: it belongs to one person");
        }
        self.directory.names.insert(name.clone(), number);
        self.directory.people[number].names.push(name);
    }

    fn groups(&mut self, groups: Vec<Spanned<String>>, number: usize) {
        if let Some(one_more) = groups.get(GROUPS_MAX) {
            let message = format!("`{}` has more than {GROUPS_MAX} groups", self.directory.people[number].name);
            return self.wrong(Some(one_more.referenced), message, "name those that policies speak of");
        }
        let mut seen = HashSet::new();
        for group in groups {
            if self.is_name("a group", &group.value, group.referenced) && seen.insert(group.value.clone()) {
                self.directory.people[number].groups.push(group.value.into());
            }
        }
    }

    fn hosts(&mut self, hosts: Vec<Spanned<String>>, number: usize) {
        for host in hosts {
            match Network::parse(&host.value) {
                Some(network) => self.directory.people[number].hosts.push(network),
                None => {
                    let message = format!("`{}` is neither an address nor a network", host.value);
                    self.wrong(Some(host.referenced), message, "write hosts as 10.1.2.3 or 10.1.0.0/16");
                }
            }
        }
    }

    fn os_user(&mut self, user: Spanned<String>, number: usize) {
        let at = user.referenced;
        if !self.is_name("an os-user", &user.value, at) {
            return;
        }
        if let Some((first, owner)) = self.os_users.add(user.value.clone(), at, number) {
            let hint = "name it once: what is typed as this user is recorded as one person's";
            return self.twice(at, &format!("os-user `{}`", user.value), Some(first), owner, number, hint);
        }
        self.directory.os_users.insert(user.value.clone(), number);
        self.directory.people[number].os_user = Some(user.value);
    }

    fn day(&mut self, text: Option<&Spanned<String>>) -> Option<Date> {
        let text = text?;
        let day = Date::parse(&text.value);
        if day.is_none() {
            let message = format!("`{}` is no day", text.value);
            self.wrong(Some(text.referenced), message, "write days as 2026-12-31");
        }
        day
    }

    /// Managers must be people of this file, and nobody may stand above themselves.
    fn check_managers(&mut self) {
        let mut above: Vec<Option<usize>> = vec![None; self.directory.people.len()];
        let managers = std::mem::take(&mut self.managers);
        for (number, manager) in &managers {
            let of = Arc::clone(&self.directory.people[*number].name);
            let found = self.directory.by_name.get(manager.value.as_str()).copied();
            match found {
                Some(found) if self.directory.people[found].kind == Kind::Person => {
                    above[*number] = Some(found);
                    self.directory.people[*number].manager = Some(Arc::clone(&self.directory.people[found].name));
                }
                Some(_) => {
                    let message = format!("the manager of `{of}`, `{}`, is a service", manager.value);
                    self.wrong(Some(manager.referenced), message, "name a person");
                }
                None => {
                    let message = format!("the manager of `{of}`, `{}`, is not in this directory", manager.value);
                    self.wrong(Some(manager.referenced), message, "add them under `people`, or correct the name");
                }
            }
        }
        // Each walk goes up to the top or to somebody who was walked over before, so that all of them together take one
        // step a person.
        let mut walked: Vec<Option<usize>> = vec![None; above.len()];
        for start in 0..above.len() {
            let mut next = Some(start);
            while let Some(at) = next {
                match walked[at] {
                    None => {
                        walked[at] = Some(start);
                        next = above[at];
                    }
                    Some(walk) => {
                        if walk == start {
                            let place =
                                managers.iter().find(|(of, _)| *of == at).map(|(_, manager)| manager.referenced);
                            let message = format!("managers go round: {}", self.circle(at, &above));
                            self.wrong(place, message, "whoever stands at the top has no manager");
                        }
                        break;
                    }
                }
            }
        }
    }

    /// Those above each other, from one of them back to the same.
    fn circle(&self, from: usize, above: &[Option<usize>]) -> String {
        let name = |number: usize| format!("`{}`", self.directory.people[number].name);
        let mut shown = vec![name(from)];
        let mut at = above[from];
        while let Some(number) = at.filter(|number| *number != from && shown.len() < PROBLEMS_MAX) {
            shown.push(name(number));
            at = above[number];
        }
        shown.push(if at == Some(from) { name(from) } else { "…".to_owned() });
        shown.join(" under ")
    }

    fn twice(
        &mut self,
        at: Location,
        what: &str,
        first: Option<Location>,
        owner: usize,
        again: usize,
        hint: &'static str,
    ) {
        let first = first.map(|first| format!(" ({})", self.spot(first))).unwrap_or_default();
        let (owner, again) = (&self.directory.people[owner].name, &self.directory.people[again].name);
        let message = format!("{what} is named for `{owner}`{first} and again for `{again}`");
        self.wrong(Some(at), message, hint);
    }

    /// A place as an operator can jump to it.
    fn spot(&self, at: Location) -> String {
        match place(at) {
            Some((line, column)) => format!("{}:{line}:{column}", self.shown),
            None => self.shown.to_string(),
        }
    }
}

fn place(at: Location) -> Option<Place> {
    (at.line() > 0).then(|| (at.line(), at.column()))
}

/// What an operator calls a certificate by.
///
/// # Errors
/// Why it is neither a URI nor a subject.
pub(in crate::identity) fn subject_or_uri(written: &str) -> Result<Name, String> {
    let plain = !written.is_empty() && written.len() <= NAME_BYTES_MAX && !written.chars().any(char::is_control);
    match (plain, is_uri(written)) {
        (false, _) => Err("it is empty, too long, or has a control character in it".to_owned()),
        (true, true) => Ok(Name::Uri(written.to_owned())),
        (true, false) => subject::canonical(written).map(Name::Subject),
    }
}

/// Whether a text begins with the scheme of a URI (RFC 3986, 3.1), which no subject does.
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    })
}
