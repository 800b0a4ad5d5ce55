//! `weir verifiers`: what Weir knows of passwords, taken over from a server or made from a password.
//!
//! INVARIANT: a password is read from standard input, never from the arguments, which every process of the machine can
//! see; neither it nor a verifier is printed. The file is exchanged as a whole, and nobody else can read it.

use std::io::{Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use clap::Subcommand;
use weir_wire::pg::scram;
use zeroize::Zeroizing;

use super::Failure;
use super::output::{Output, complain};
use crate::identity::secrets::read_private;
use crate::identity::verifiers::{FILE_BYTES_MAX, check_account, merged};

/// Longest password that is read, bytes.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// What there is to do with verifiers.
#[derive(Subcommand)]
pub(super) enum VerifiersCommand {
    /// Take over what a server keeps of passwords. Accounts that the file has already get the new verifier.
    ///
    /// Reads the account and what the server keeps of its password, one a line, as `psql -At` or `--csv` print them.
    /// Accounts without a password, or with one as MD5, are left out and told.
    #[command(
        after_help = "Example:\n  psql -At -c 'select rolname, rolpassword from pg_authid where rolcanlogin' |\n    \
                            weir verifiers import --from-postgres --file verifiers\n\n\
                            A running Weir reads the file again at SIGHUP."
    )]
    Import {
        /// The input is of a PostgreSQL.
        #[arg(long, required = true)]
        from_postgres: bool,
        /// The file of verifiers; made when it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Where to read from.
        #[arg(value_name = "INPUT", default_value = "-")]
        input: PathBuf,
    },
    /// Make a verifier of a password, which is read from standard input.
    #[command(after_help = "Example:\n  systemd-ask-password | weir verifiers add alice --file verifiers")]
    Add {
        /// The account.
        account: String,
        /// The file of verifiers; made when it is not there.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
}

pub(super) fn run<W: Write>(command: &VerifiersCommand, output: &mut Output<W>) -> Result<(), Failure> {
    match command {
        VerifiersCommand::Import { file, input, .. } => {
            let text = if input == Path::new("-") {
                all_of(&mut std::io::stdin().lock(), FILE_BYTES_MAX)?
            } else {
                read_private(input, FILE_BYTES_MAX).map_err(Failure::environment)?
            };
            import(&text, file, output)
        }
        VerifiersCommand::Add { account, file } => {
            add(account, &all_of(&mut std::io::stdin().lock(), PASSWORD_BYTES_MAX)?, file, output)
        }
    }
}

fn import<W: Write>(text: &str, file: &Path, output: &mut Output<W>) -> Result<(), Failure> {
    let mut found = Vec::new();
    let mut left_out = 0_usize;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        // A verifier holds none of these; a name may hold any.
        let Some((account, verifier)) = line.rsplit_once(['|', ',', '\t']) else {
            return Err(Failure::bad_input(format!("input line {number} is not an account and a password's verifier")));
        };
        let account = unquoted(account);
        if verifier == "rolpassword" {
            continue;
        }
        if verifier.is_empty() || verifier.starts_with("md5") {
            left_out += 1;
            let what = if verifier.is_empty() { "no password" } else { "a password as MD5: it must be set anew" };
            complain(&format!("`{}` has {what}", account.escape_debug()));
            continue;
        }
        let told = |reason: &str| Failure::bad_input(format!("input line {number}: {reason}"));
        check_account(&account).map_err(|reason| told(&reason))?;
        if scram::Verifier::parse(verifier).is_none() {
            return Err(told("what is kept of the password is not SCRAM-SHA-256"));
        }
        found.push((account, Zeroizing::new(verifier.to_owned())));
    }
    write(file, &found)?;
    output.line(format_args!("{}: {} verifier(s) taken over, {left_out} left out", file.display(), found.len()))
}

fn add<W: Write>(account: &str, password: &str, file: &Path, output: &mut Output<W>) -> Result<(), Failure> {
    check_account(account).map_err(Failure::bad_input)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::bad_input("the password is empty: write it to standard input"));
    }
    let mut salt = [0; scram::SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| Failure::environment("the system has no random bytes"))?;
    let iterations = NonZeroU32::new(scram::ITERATIONS).unwrap_or(NonZeroU32::MIN);
    let verifier = scram::Verifier::new(password.as_bytes(), &salt, iterations);
    write(file, &[(account.to_owned(), Zeroizing::new(verifier.text()))])?;
    output.line(format_args!("{}: `{account}` has a verifier for PostgreSQL", file.display()))
}

/// A name as CSV may quote it.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

fn all_of(source: &mut impl Read, bytes_max: u64) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = source.take(bytes_max + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::bad_input(format!("standard input cannot be read: {error}")))?;
    if text.len() as u64 > bytes_max {
        return Err(Failure::bad_input(format!("standard input is longer than {bytes_max} bytes")));
    }
    Ok(text)
}

/// Exchanges the file for one that has these verifiers as well.
fn write(file: &Path, found: &[(String, Zeroizing<String>)]) -> Result<(), Failure> {
    let told = |error: std::io::Error| Failure::environment(format!("`{}`: {error}", file.display()));
    let before = match file.try_exists().map_err(told)? {
        true => read_private(file, FILE_BYTES_MAX).map_err(Failure::environment)?,
        false => Zeroizing::default(),
    };
    let after =
        merged(&before, found).map_err(|reason| Failure::bad_input(format!("`{}`: {reason}", file.display())))?;
    let fresh = file.with_extension("new");
    let mut options = std::fs::File::options();
    let mut opened = options.create(true).truncate(true).write(true).mode(0o600).open(&fresh).map_err(told)?;
    opened.write_all(after.as_bytes()).and_then(|()| opened.sync_all()).map_err(told)?;
    std::fs::rename(&fresh, file).map_err(told)
}

#[cfg(test)]
mod tests {
    use weir_tests::scratch::Scratch;

    use super::*;
    use crate::identity::verifiers::Verifiers;

    const VERIFIER: &str = "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn told(done: impl Fn(&mut Output<Vec<u8>>) -> Result<(), Failure>) -> String {
        let mut output = Output::for_test();
        match done(&mut output) {
            Ok(()) => output.text(),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn what_psql_prints_is_taken_over() {
        let folder = Scratch::new("import");
        let file = folder.path().join("verifiers");
        let text = format!("rolname|rolpassword\nalice|{VERIFIER}\nold|md5abc\nnone|\n\"a,\"\"b\",{VERIFIER}\n");
        let done = told(|output| import(&text, &file, output));
        assert!(done.ends_with("2 verifier(s) taken over, 2 left out\n"), "{done}");
        let verifiers = Verifiers::load(&file).unwrap().current();
        assert!(verifiers.entry("alice").is_some() && verifiers.entry("a,\"b").is_some());
        let done =
            told(|output| add("alice", "other\n", &file, output)) + &told(|output| add("bob", "secret", &file, output));
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text.lines().count(), 3, "alice's is exchanged");
        assert!(!text.contains("secret") && !done.contains("secret") && !done.contains("SCRAM"), "{done}");
        for (input, expected) in [
            ("alice", "input line 1 is not an account"),
            ("alice|plain", "input line 1: what is kept of the password is not SCRAM-SHA-256"),
        ] {
            let told = told(|output| import(input, &file, output));
            assert!(told.starts_with(expected) && !told.contains("plain"), "{told}");
        }
        assert!(told(|output| add("x", "\n", &file, output)).contains("the password is empty"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "nothing else is written");
    }
}
