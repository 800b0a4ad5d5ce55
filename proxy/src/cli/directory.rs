//! `weir directory`: the file of people, looked at and made. A running Weir is neither needed nor disturbed; SIGHUP makes it
//! take up what was written.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::{Output, complain};
use super::{Failure, load};
use crate::identity::import::{self, EXPORT_BYTES_MAX, Field, Import, Mapping};
use crate::identity::{Date, Directory, DirectoryError, Entry, Kind, Name, Standing};

/// What there is to do with a directory.
#[derive(Subcommand)]
pub(super) enum DirectoryCommand {
    /// Check a directory file: everything that is wrong with it, with line and column.
    ///
    /// Exit code 2 when the file cannot be used, 1 when it can and --strict finds it odd.
    #[command(after_help = "Examples:\n  weir directory check people.yaml\n  \
                            weir directory check people.yaml --json | jq -r '.ended[]'   (leavers who still stand there)")]
    Check {
        /// The directory file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Answer in JSON, one object.
        #[arg(long)]
        json: bool,
        /// End with 1 when there are warnings.
        #[arg(long)]
        strict: bool,
    },
    /// Show who somebody is: a person or service by name, or whoever has an account of that name.
    ///
    /// Exit code 1 when the directory knows neither.
    #[command(after_help = "Examples:\n  weir directory show alice --config weir.toml\n  \
                            weir directory show etl_export --file people.yaml --json")]
    Show(Show),
    /// Make a directory file out of an export of another system.
    ///
    /// Writes YAML to standard output, or to --output; the same export gives the same file. What cannot be read with certainty
    /// is left out and told on standard error; names and accounts that stand twice are an error with both lines, and write
    /// nothing.
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArguments),
}

const IMPORT_HELP: &str = "\
CSV: the first line names the columns: name (needed), kind (person or service), accounts, accounts@UPSTREAM, certificates, \
claim NAME@ISSUER, groups, manager (a name), from, until (2026-12-31), hosts, os-user. Other columns are left alone. Several \
values in one field stand with | or ; between them.

LDIF: people are entries with uid or sAMAccountName, which is their name and account. Read as well: memberOf and groups with \
their members, manager, userCertificate, shadowExpire, accountExpires, userAccountControl, nsAccountLock, \
pwdAccountLockedTime. An account that is closed gets a last day that is over.

--map says which column or attribute holds something instead: --map name=mail --map until=contractEnd

Examples:
  weir directory import --csv hr.csv --map name=login --output people.yaml
  ldapsearch -LLL -x -b ou=people,dc=example,dc=com '*' memberOf | weir directory import --ldif -";

/// Who is to be shown, and by which file.
#[derive(Args)]
pub(super) struct Show {
    /// A person, a service, or an account.
    #[arg(value_name = "PERSON|ACCOUNT")]
    name: String,
    /// The configuration file, which names the directory.
    #[arg(long, value_name = "FILE", required_unless_present = "file", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// The directory file.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Answer in JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// What is to be imported.
#[derive(Args)]
pub(super) struct ImportArguments {
    /// A table (RFC 4180) with a header line; `-` is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "ldif", conflicts_with = "ldif")]
    csv: Option<PathBuf>,
    /// An export of an LDAP directory (RFC 2849); `-` is standard input.
    #[arg(long, value_name = "FILE")]
    ldif: Option<PathBuf>,
    /// Which column or attribute holds what.
    #[arg(long, value_name = "FIELD=SOURCE", value_parser = mapped)]
    map: Vec<(Field, String)>,
    /// Write here instead of standard output: whole, or not at all.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn mapped(text: &str) -> Result<(Field, String), String> {
    let fields = || Field::ALL.map(|(word, _)| word).join(", ");
    let (field, source) = text.split_once('=').ok_or_else(|| format!("write FIELD=SOURCE; fields are {}", fields()))?;
    let field = Field::named(field).ok_or_else(|| format!("`{field}` is no field; fields are {}", fields()))?;
    if source.is_empty() {
        return Err("the column or attribute is missing behind =".to_owned());
    }
    Ok((field, source.to_owned()))
}

pub(super) fn run<W: Write>(command: &DirectoryCommand, output: &mut Output<W>) -> Result<(), Failure> {
    let today = Date::of(SystemTime::now());
    match command {
        DirectoryCommand::Check { file, json, strict } => check(file, *json, *strict, today, output),
        DirectoryCommand::Show(command) => show(command, today, output),
        DirectoryCommand::Import(command) => imported(command, output),
    }
}

fn check<W: Write>(file: &Path, json: bool, strict: bool, today: Date, output: &mut Output<W>) -> Result<(), Failure> {
    let directory = match Directory::load(file) {
        Ok(directory) => directory,
        Err(error) => {
            if json {
                output.line(json!({ "file": shown(file), "ok": false, "problems": problems(&error, "error") }))?;
            }
            let count = error.problems().count();
            return Err(match json {
                true => Failure::bad_input(format!("{}: {count} problem(s)", file.display())),
                false => Failure::bad_input(error),
            });
        }
    };
    let people = directory.people();
    let of = |kind: Kind| people.iter().filter(|entry| entry.kind == kind).count();
    let names = |wanted: fn(&Standing) -> bool| -> Vec<&str> {
        people.iter().filter(|entry| wanted(&entry.standing(today))).map(|entry| &*entry.name).collect()
    };
    let ended = names(|standing| matches!(standing, Standing::Ended(_)));
    let future = names(|standing| matches!(standing, Standing::Future(_)));
    let accounts: usize = people.iter().map(|entry| entry.accounts.len()).sum();
    let proofs: usize = people.iter().map(|entry| entry.names.len()).sum();
    let warnings = directory.warnings();
    if json {
        output.line(json!({
            "file": shown(file),
            "ok": true,
            "people": of(Kind::Person),
            "services": of(Kind::Service),
            "accounts": accounts,
            "certificates_and_claims": proofs,
            "ended": ended,
            "future": future,
            "problems": warnings.iter().flat_map(|warning| problems(warning, "warning")).collect::<Vec<_>>(),
        }))?;
    } else {
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
        let line = format!(
            "{}: ok: {} people, {} services, {accounts} accounts, {proofs} certificates and claims",
            file.display(),
            of(Kind::Person),
            of(Kind::Service)
        );
        output.line(line)?;
        for (title, names) in [("work has ended", ended), ("work has not begun", future)] {
            if !names.is_empty() {
                output.line(format_args!("  {title}: {}", names.join(", ")))?;
            }
        }
    }
    match warnings.len() {
        0 => Ok(()),
        _ if !strict => Ok(()),
        count => Err(Failure::finding(format!("{count} warning(s), and --strict was asked for"))),
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

fn problems(error: &DirectoryError, severity: &str) -> Vec<Value> {
    let told = error.problems().map(|(place, message, hint)| {
        let (line, column) = place.unzip();
        json!({ "severity": severity, "line": line, "column": column, "message": message, "hint": hint })
    });
    told.collect()
}

fn show<W: Write>(command: &Show, today: Date, output: &mut Output<W>) -> Result<(), Failure> {
    let file = match (&command.file, &command.config) {
        (Some(file), _) => file.clone(),
        (None, Some(config)) => {
            let missing = || Failure::bad_input("weir.toml has no `directory`; give a file with --file");
            load(config)?.directory.ok_or_else(missing)?
        }
        (None, None) => return Err(Failure::bad_input("give --config or --file")),
    };
    let directory = Directory::load(&file).map_err(Failure::bad_input)?;
    let mut found: Vec<(Option<Option<&str>>, &Entry)> = Vec::new();
    found.extend(directory.person(&command.name).map(|entry| (None, entry)));
    for (upstream, entry) in directory.owners(&command.name) {
        if !found.iter().any(|(_, other)| other.name == entry.name) {
            found.push((Some(upstream), entry));
        }
    }
    if found.is_empty() {
        let message = format!("`{}` is neither a person, nor a service, nor an account of anybody", command.name);
        return Err(Failure::finding(message));
    }
    for (by_account, entry) in found {
        let managers: Vec<&str> = directory.managers(&entry.name).map(|manager| &*manager.name).collect();
        if command.json {
            output.line(as_json(entry, &managers, today))?;
        } else {
            if let Some(upstream) = by_account {
                let place = upstream.map_or_else(|| "everywhere".to_owned(), |upstream| format!("on {upstream}"));
                output.line(format_args!("account {} ({place}) is that of", command.name))?;
            }
            as_text(entry, &managers, today, output)?;
        }
    }
    Ok(())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Person => "person",
        Kind::Service => "service",
    }
}

fn standing(entry: &Entry, today: Date) -> (&'static str, String) {
    match entry.standing(today) {
        Standing::Current => ("current", "may log in".to_owned()),
        Standing::Future(day) => ("future", format!("may not log in: begins on {day}")),
        Standing::Ended(day) => ("ended", format!("may not log in: ended on {day}")),
    }
}

fn as_json(entry: &Entry, managers: &[&str], today: Date) -> Value {
    let certificates = entry.names.iter().filter_map(|name| match name {
        Name::Subject(name) | Name::Uri(name) => Some(name.as_str()),
        Name::Claim { .. } => None,
    });
    let claims = entry.names.iter().filter_map(|name| match name {
        Name::Claim { issuer, name, value } => Some(json!({ "issuer": issuer, "claim": name, "value": value })),
        Name::Subject(_) | Name::Uri(_) => None,
    });
    let accounts = entry.accounts.iter().map(|(account, upstream)| json!({ "account": account, "upstream": upstream }));
    json!({
        "name": &*entry.name,
        "kind": word(entry.kind),
        "standing": standing(entry, today).0,
        "accounts": accounts.collect::<Vec<_>>(),
        "certificates": certificates.collect::<Vec<_>>(),
        "claims": claims.collect::<Vec<_>>(),
        "groups": entry.groups.iter().map(|group| &**group).collect::<Vec<_>>(),
        "managers": managers,
        "from": entry.from.map(|day| day.to_string()),
        "until": entry.until.map(|day| day.to_string()),
        "hosts": entry.hosts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "os_user": entry.os_user,
    })
}

fn as_text<W: Write>(entry: &Entry, managers: &[&str], today: Date, output: &mut Output<W>) -> Result<(), Failure> {
    output.line(format_args!("{} ({}), {}", entry.name, word(entry.kind), standing(entry, today).1))?;
    let accounts = entry.accounts.iter().map(|(account, upstream)| match upstream {
        None => account.clone(),
        Some(upstream) => format!("{account} on {upstream}"),
    });
    let names = entry.names.iter().map(|name| match name {
        Name::Subject(name) | Name::Uri(name) => name.clone(),
        Name::Claim { issuer, name, value } => format!("{name} {value} of {issuer}"),
    });
    let days = [entry.from.map(|day| format!("from {day}")), entry.until.map(|day| format!("until {day}"))];
    for (title, values) in [
        ("accounts", accounts.collect::<Vec<_>>()),
        ("certificates and claims", names.collect()),
        ("groups", entry.groups.iter().map(ToString::to_string).collect()),
        ("managers, upwards", managers.iter().map(ToString::to_string).collect()),
        ("days", days.into_iter().flatten().collect()),
        ("usual hosts", entry.hosts.iter().map(ToString::to_string).collect()),
        ("os-user", entry.os_user.iter().cloned().collect()),
    ] {
        if !values.is_empty() {
            output.line(format_args!("  {title}: {}", values.join("; ")))?;
        }
    }
    Ok(())
}

/// What makes a list of people of an export.
type Reader = fn(&str, &Mapping) -> Result<Import, import::ImportError>;

fn imported<W: Write>(command: &ImportArguments, output: &mut Output<W>) -> Result<(), Failure> {
    let mut mapping = Mapping::new();
    for (field, source) in &command.map {
        if mapping.insert(*field, source.clone()).is_some() {
            return Err(Failure::bad_input("--map names a field twice"));
        }
    }
    let (path, read): (&Path, Reader) = match (&command.csv, &command.ldif) {
        (Some(path), _) => (path, import::csv),
        (None, Some(path)) => (path, import::ldif),
        (None, None) => return Err(Failure::bad_input("give --csv or --ldif")),
    };
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let text = export(path).map_err(|reason| Failure::bad_input(format!("{name} {reason}")))?;
    let import = read(&text, &mapping).map_err(|error| Failure::bad_input(format!("{name}: {error}")))?;
    for note in &import.notes {
        complain(&format!("{name}:{}: {}", note.line, note.message));
    }
    if import.notes_more > 0 {
        complain(&format!("{name}: and {} more", import.notes_more));
    }
    // A file's own name and not its path, so that it does not matter where the import runs.
    let source = path.file_name().map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    let source = if path == Path::new("-") { name.clone() } else { source };
    let yaml = import::yaml(&import, &source);
    // What is written is what `weir run` would read.
    let directory = Directory::parse(&yaml, "the directory that would be written").map_err(Failure::bad_input)?;
    match &command.output {
        None => output.line(yaml.trim_end())?,
        Some(path) => {
            whole(path, yaml.as_bytes())
                .map_err(|error| Failure::environment(format!("`{}`: {error}", path.display())))?;
        }
    }
    complain(&format!(
        "{} people and services of {name}; {} left out or told above",
        directory.people().len(),
        import.notes.len()
    ));
    Ok(())
}

/// The text of an export, no longer than is read.
fn export(path: &Path) -> Result<String, String> {
    if path != Path::new("-") {
        return crate::config::read_bounded(path, EXPORT_BYTES_MAX);
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(EXPORT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > EXPORT_BYTES_MAX {
        return Err(format!("is longer than {EXPORT_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

/// Puts a file in its place whole: a Weir that reads it meanwhile sees the one before.
fn whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = std::fs::File::create_new(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // What could not be put in its place is of no use to anybody.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests;
