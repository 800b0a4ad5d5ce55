//! The file of verifiers: what Weir knows of passwords, in the servers' own forms, one line for each.
//!
//! INVARIANT: a file that others can read, or that is wrong in one line, is not used at all; while a process runs, the
//! last good one stays. No line of it stands in an error.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::hmac;
use weir_wire::pg::scram;
use zeroize::Zeroizing;

use super::secrets::read_private;
use crate::mysql::verifier as mysql;

/// Longest file, bytes: a hundred thousand accounts fit.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest name of an account, bytes; PostgreSQL's have 63 and MySQL's 32 characters.
pub const ACCOUNT_BYTES_MAX: usize = 256;
/// Iterations where no verifier says how many are usual.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(scram::ITERATIONS).unwrap();

/// What is kept of an account's passwords.
#[derive(Default)]
pub struct Entry {
    /// For PostgreSQL.
    pub scram: Option<scram::Verifier>,
    /// For MySQL and MariaDB.
    pub mysql: Option<mysql::Verifier>,
}

/// All verifiers of a file.
#[derive(Default)]
pub struct Table {
    accounts: HashMap<String, Entry>,
    iterations: Option<NonZeroU32>,
    /// Those for MySQL and MariaDB, as examples of what accounts have.
    examples: Vec<mysql::Verifier>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verifiers of {} accounts", self.accounts.len())
    }
}

impl Table {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong, with the number of the line and not with its text.
    pub fn parse(text: &str) -> Result<Table, String> {
        let mut table = Table::default();
        let mut counts: HashMap<NonZeroU32, usize> = HashMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((account, verifier)) = line.split_once('\t') else {
                return Err(format!("line {number} is not an account, a tab and a verifier"));
            };
            check_account(account).map_err(|reason| format!("line {number}: {reason}"))?;
            let entry = table.accounts.entry(account.to_owned()).or_default();
            let is_second = match read(verifier).map_err(|reason| {
                format!("line {number}: what `{account}` has {reason} (docs/configuration.md lists those there are)")
            })? {
                Read::Scram(verifier) => {
                    *counts.entry(verifier.iterations()).or_default() += 1;
                    entry.scram.replace(verifier).is_some()
                }
                Read::Mysql(verifier) => {
                    table.examples.push(verifier.clone());
                    entry.mysql.replace(verifier).is_some()
                }
            };
            if is_second {
                return Err(format!("line {number}: `{account}` has a second verifier for the same kind of server"));
            }
        }
        table.iterations = counts.into_iter().max_by_key(|(_, count)| *count).map(|(iterations, _)| iterations);
        Ok(table)
    }

    /// What is kept of this account.
    pub fn entry(&self, account: &str) -> Option<&Entry> {
        self.accounts.get(account)
    }

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// What a client of PostgreSQL is judged by, and whether that account exists. `secret` makes up the verifiers of
    /// those that do not, so that nobody can tell them apart.
    pub fn scram(&self, account: &str, secret: &[u8]) -> (scram::Verifier, bool) {
        let mock = scram::Verifier::mock(secret, account, self.iterations.unwrap_or(ITERATIONS));
        match self.entry(account).and_then(|entry| entry.scram.clone()) {
            Some(verifier) => (verifier, true),
            None => (mock, false),
        }
    }

    /// What a client of MySQL is judged by. An account that does not exist gets what another one has, with other bytes:
    /// always the same, made up with `secret`, so that nobody can tell it apart.
    pub fn mysql(&self, account: &str, secret: &[u8]) -> mysql::Verifier {
        let made_up = |what: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut noise = hmac::Context::with_key(&key);
            noise.update(what);
            noise.update(account.as_bytes());
            noise.sign()
        };
        let (choice, noise) = (made_up(b"mysql, which example\0"), made_up(b"mysql, which bytes\0"));
        let choice =
            choice.as_ref().iter().fold(0_usize, |sum, byte| sum.wrapping_mul(257).wrapping_add(usize::from(*byte)));
        let example = choice.checked_rem(self.examples.len()).and_then(|index| self.examples.get(index));
        let decoy = example.map_or_else(mysql::Verifier::usual, Clone::clone).decoy(noise.as_ref());
        self.entry(account).and_then(|entry| entry.mysql.clone()).unwrap_or(decoy)
    }
}

/// Whether a name can stand in the file.
///
/// # Errors
/// Why not.
pub fn check_account(account: &str) -> Result<(), String> {
    if account.is_empty() || account.len() > ACCOUNT_BYTES_MAX || account.starts_with('#') {
        return Err(format!("an account has a name of 1 to {ACCOUNT_BYTES_MAX} bytes that does not begin with `#`"));
    }
    if account.contains(|character: char| character.is_control()) {
        return Err("an account has a control character in its name".to_owned());
    }
    Ok(())
}

/// The text of a file with these verifiers as well, in place of those of the same accounts and kind.
///
/// # Errors
/// What is wrong with the text or a verifier.
pub fn merged(text: &str, found: &[(String, Zeroizing<String>)]) -> Result<Zeroizing<String>, String> {
    let is_scram = |verifier: &str| matches!(read(verifier), Ok(Read::Scram(_)));
    let replaced: HashSet<(&str, bool)> =
        found.iter().map(|(account, verifier)| (account.as_str(), is_scram(verifier))).collect();
    let mut after = Zeroizing::new(String::new());
    for line in text.lines() {
        let is_kept = line.split_once('\t').is_none_or(|(account, verifier)| {
            !replaced.contains(&(account, is_scram(verifier.trim_end_matches('\r')))) || line.starts_with('#')
        });
        if is_kept {
            after.push_str(line);
            after.push('\n');
        }
    }
    for (account, verifier) in found {
        after.push_str(account);
        after.push('\t');
        after.push_str(verifier);
        after.push('\n');
    }
    Table::parse(&after)?;
    Ok(after)
}

enum Read {
    Scram(scram::Verifier),
    Mysql(mysql::Verifier),
}

fn read(verifier: &str) -> Result<Read, String> {
    match scram::Verifier::parse(verifier) {
        Some(verifier) => Ok(Read::Scram(verifier)),
        None => mysql::Verifier::parse(verifier).map(Read::Mysql),
    }
}

/// A file of verifiers, and what it held when it was last good.
#[derive(Debug)]
pub struct Verifiers {
    path: PathBuf,
    current: RwLock<Arc<Table>>,
}

impl Verifiers {
    /// Reads the file.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator.
    pub fn load(path: &Path) -> Result<Verifiers, String> {
        Ok(Verifiers { path: path.to_owned(), current: RwLock::new(Arc::new(load(path)?)) })
    }

    /// Reads the file again; when it is not usable, what was read before stays.
    ///
    /// # Errors
    /// As [`Verifiers::load`].
    pub fn reload(&self) -> Result<usize, String> {
        let table = Arc::new(load(&self.path)?);
        let count = table.len();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = table;
        Ok(count)
    }

    /// What is in force.
    pub fn current(&self) -> Arc<Table> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn load(path: &Path) -> Result<Table, String> {
    let text = read_private(path, FILE_BYTES_MAX)?;
    Table::parse(&text).map_err(|reason| format!("verifiers `{}`: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use weir_tests::scratch::Scratch;

    use super::*;

    fn scram(password: &str) -> String {
        scram::Verifier::new(password.as_bytes(), b"0123456789abcdef", ITERATIONS).text()
    }

    fn good() -> String {
        format!(
            "# made by hand\nalice\t{}\n\nalice\t*{}\r\nsvc app\t0x244124{}\n",
            scram("a"),
            "A1".repeat(20),
            format_args!("30303524{}", "30".repeat(63))
        )
    }

    #[test]
    fn an_account_may_have_one_verifier_of_each_kind() {
        let table = Table::parse(&good()).unwrap();
        assert_eq!(table.len(), 2);
        let alice = table.entry("alice").unwrap();
        assert!(alice.scram.is_some() && alice.mysql.is_some());
        assert!(table.entry("svc app").unwrap().scram.is_none());
        assert!(table.scram("alice", b"s").1);
        let (mock, exists) = table.scram("svc app", b"s");
        assert!(!exists);
        assert_eq!(mock, table.scram("svc app", b"s").0, "the same each time");
        assert_eq!(format!("{table:?}"), "verifiers of 2 accounts");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_its_text() {
        for (line, expected) in [
            ("bob", "line 6 is not an account, a tab and a verifier"),
            ("bob\tmd5d41d8cd98f00b204e9800998ecf8427e", "line 6: what `bob` has is no verifier"),
            ("bob\t*A1", "line 6: what `bob` has is no verifier"),
            ("bob\tplain", "line 6: what `bob` has is no verifier"),
            ("\tx", "line 6: an account has a name"),
            ("bo\u{1}b\tx", "line 6: an account has a control"),
        ] {
            let told = Table::parse(&format!("{}{line}\n", good())).unwrap_err();
            assert!(told.starts_with(expected), "{line}: {told}");
            assert!(!told.contains("d41d8") && !told.contains("plain"), "{told}");
        }
        let twice = Table::parse(&format!("{}alice\t{}\n", good(), scram("b"))).unwrap_err();
        assert_eq!(twice, "line 6: `alice` has a second verifier for the same kind of server");
    }

    /// An account that does not exist has a verifier of a kind that others have, always the same, and fits nobody.
    #[test]
    fn who_does_not_exist_is_judged_all_the_same() {
        let table = Table::parse(&good()).unwrap();
        assert_eq!(table.mysql("alice", b"s").method(), "mysql_native_password");
        assert_eq!(table.mysql("svc app", b"s").method(), "caching_sha2_password");
        let kind = |number: u32| table.mysql(&format!("nobody{number}"), b"s").method();
        let kinds: Vec<&str> = (0..64).map(kind).collect();
        assert!(kinds.contains(&"mysql_native_password") && kinds.contains(&"caching_sha2_password"), "{kinds:?}");
        assert_eq!(kinds, (0..64).map(kind).collect::<Vec<_>>());
        assert_eq!(Table::default().mysql("nobody", b"s").method(), "caching_sha2_password");
    }

    #[test]
    fn a_bad_file_leaves_the_good_one_in_force() {
        use std::os::unix::fs::PermissionsExt;
        let folder = Scratch::new("verifiers");
        let path = folder.write("verifiers", good());
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        assert!(Verifiers::load(&path).unwrap_err().contains("chmod 600"));
        mode(0o600);
        let verifiers = Verifiers::load(&path).unwrap();
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(verifiers.reload().is_err());
        assert_eq!(verifiers.current().len(), 2);
        std::fs::write(&path, format!("carol\t{}\n", scram("c"))).unwrap();
        assert_eq!(verifiers.reload(), Ok(1));
        assert!(verifiers.current().entry("alice").is_none());
    }

    #[test]
    fn who_does_not_exist_has_as_many_iterations_as_the_others() {
        let many = NonZeroU32::new(20_000).unwrap();
        let text = scram::Verifier::new(b"a", b"0123456789abcdef", many).text();
        let table = Table::parse(&format!("alice\t{text}\n")).unwrap();
        assert_eq!(table.scram("nobody", b"s").0.iterations(), many);
        assert_eq!(Table::default().scram("nobody", b"s").0.iterations(), ITERATIONS);
    }
}
