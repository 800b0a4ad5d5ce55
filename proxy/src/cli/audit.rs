//! `weir audit …`: reads the log that a Weir writes, also while it writes. Needs the directory and nothing else: neither
//! the process nor its configuration.
//!
//! People get text and programs get JSON: whoever reads on a terminal is taken for a person. What must never happen: a
//! control character of a peer on that terminal.

mod check;
mod extractions;
mod story;
#[cfg(test)]
mod tests;
pub(super) mod text;

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use weir_audit_store::event::Decision;
use weir_audit_store::{Entry, Filter, Found, Ocsf, ReadError, Reader, Record, search};

use super::output::{Output, complain};
use super::{Failure, load, moment};

/// How often a log that is followed is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

/// Where a log is.
#[derive(Args, Clone)]
#[group(required = true, multiple = false)]
pub(super) struct Place {
    /// The configuration of the Weir that writes it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Its directory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What there is to do with a log.
#[derive(Subcommand)]
pub(super) enum AuditCommand {
    /// Show the last records, a line each.
    #[command(after_help = "Examples:\n  weir audit tail --config weir.toml\n  \
                            weir audit tail -f --dir /var/lib/weir/audit | jq 'select(.kind == \"denial\")'")]
    Tail {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        form: Form,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT")]
        lines: usize,
        /// Go on with what comes.
        #[arg(short, long)]
        follow: bool,
    },
    /// Find records: the newest that fit, in the order of the log. What is not given may be anything.
    #[command(after_help = "Examples:\n  weir audit search --person alice --since 2h --config weir.toml\n  \
                            weir audit search --relation billing.cards --decision deny --config weir.toml")]
    Search {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        wanted: Box<Wanted>,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
        lines: usize,
    },
    /// Show everything about one statement: by the reference that a client was shown, or by the number of a record.
    ///
    /// Who ran what from where, what was allowed, what left, which rule decided, and its counter before and after.
    #[command(after_help = "Examples:\n  weir audit show 4711 --config weir.toml\n  \
                            weir audit show W-7F3K-9Q2M --config weir.toml")]
    Show {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        form: Form,
        /// A number, or a reference such as W-7F3K-9Q2M.
        what: String,
    },
    /// List what people took out of datasets: pages, look-ups, accounts and servers stitched together, with running totals
    /// and the share of the relation that was seen.
    #[command(after_help = "Examples:\n  weir audit extractions --config weir.toml\n  \
                            weir audit extractions --who alice --relation customers --since 7d --json --config weir.toml")]
    Extractions {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        form: Form,
        #[command(flatten)]
        which: extractions::Which,
    },
    /// Write records to standard output, a line each.
    #[command(
        after_help = "Examples:\n  weir audit export --format jsonl --from 1 --config weir.toml > audit.jsonl\n  \
                            weir audit export --format ocsf --from 4711 --follow --config weir.toml | vector"
    )]
    Export {
        #[command(flatten)]
        place: Place,
        /// In which form.
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        /// Number of the first record.
        #[arg(long, default_value_t = 1, value_name = "NUMBER")]
        from: u64,
        /// Go on with what comes.
        #[arg(short, long)]
        follow: bool,
    },
    /// Say whether the log is what was written: exit code 0 when it is, 1 when not.
    ///
    /// What no checkpoint covers that left this machine can be cut off unseen: keep checkpoints elsewhere, and give one.
    #[command(after_help = "Examples:\n  weir audit verify --config weir.toml\n  \
                            weir audit verify --dir copy/ --key log.pub --checkpoint from-the-siem.checkpoint\n  \
                            weir audit verify --quiet --stale-after 10m --config weir.toml   # in cron\n\n\
                            Exit codes: 0 the log is what was written, 1 it is not, or it is stale, 2 usage, a key or a\n\
                            checkpoint that is none, 3 the log cannot be read.")]
    Verify {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        how: check::How,
    },
}

/// Which records are meant.
#[derive(Args, Clone)]
pub(super) struct Wanted {
    /// Whose: the name in the directory, or account:NAME.
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// That reach this relation, with or without its schema.
    #[arg(long, value_name = "NAME")]
    relation: Option<String>,
    /// Of this kind: admission, completion, denial, alert, authentication, policy, …
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// With this decision.
    #[arg(long, value_enum)]
    decision: Option<Decided>,
    /// Not before: 2026-11-24, 2026-11-24T10:00 (UTC), or 15m, 2h, 7d ago.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
    /// Before.
    #[arg(long, value_name = "MOMENT")]
    until: Option<String>,
    /// With the reference that a client was shown.
    #[arg(long, value_name = "REFERENCE")]
    reference: Option<String>,
    /// With these words in the statement, of which literals are redacted.
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, ValueEnum)]
enum Decided {
    /// It ran.
    Allow,
    /// Refused before it ran.
    Deny,
    /// Ended while it ran.
    Cut,
    /// It would have been refused or cut, and the rule only observes.
    Observe,
}

impl Decided {
    fn decision(self) -> Decision {
        match self {
            Decided::Allow => Decision::Allow,
            Decided::Deny => Decision::Deny,
            Decided::Cut => Decision::Cut,
            Decided::Observe => Decision::Observe,
        }
    }
}

/// How records are written for other programs.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// Weir's own records, byte by byte as they are in the log.
    Jsonl,
    /// Events of the Open Cybersecurity Schema Framework 1.8.0, for a SIEM.
    Ocsf,
}

/// How records are shown.
#[derive(Args, Clone, Copy)]
pub(super) struct Form {
    /// As text for people, or as JSON, a record a line. Without it: text on a terminal, JSON elsewhere.
    #[arg(long = "format", value_enum, value_name = "FORM", id = "form")]
    given: Option<Shown>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "form")]
    json: bool,
}

/// For whom records are shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Form {
    fn shown(self, terminal: bool) -> Shown {
        match self.given {
            _ if self.json => Shown::Json,
            Some(given) => given,
            None if terminal => Shown::Text,
            None => Shown::Json,
        }
    }
}

impl Shown {
    /// One record on one line.
    fn line(self, record: &Record) -> Result<String, Failure> {
        match self {
            Shown::Text => Ok(text::line(record)),
            Shown::Json => record.to_line().map_err(Failure::environment),
        }
    }
}

impl Place {
    fn dir(&self) -> Result<PathBuf, Failure> {
        match (&self.dir, &self.config) {
            (Some(dir), _) => Ok(dir.clone()),
            (None, Some(config)) => Ok(load(config)?.audit.dir),
            (None, None) => Err(Failure::bad_input("give --config or --dir")),
        }
    }
}

pub(super) fn run<W: Write>(command: &AuditCommand, output: &mut Output<W>) -> Result<(), Failure> {
    run_for(command, std::io::stdout().is_terminal(), output)
}

/// `terminal`: whether a person reads the answer.
fn run_for<W: Write>(command: &AuditCommand, terminal: bool, output: &mut Output<W>) -> Result<(), Failure> {
    match command {
        AuditCommand::Tail { place, form, lines, follow } => {
            tail(&place.dir()?, *lines, *follow, form.shown(terminal), output)
        }
        AuditCommand::Search { place, form, wanted, lines } => {
            let found = search(&place.dir()?, &wanted.filter()?, *lines).map_err(Failure::environment)?;
            list(&found, form.shown(terminal), output).map(|_| ())
        }
        AuditCommand::Show { place, form, what } => story::show(&place.dir()?, what, form.shown(terminal), output),
        AuditCommand::Extractions { place, form, which } => {
            extractions::list(&place.dir()?, which, form.shown(terminal), output)
        }
        AuditCommand::Export { place, format, from, follow } => {
            let ocsf = Ocsf::new(env!("CARGO_PKG_VERSION"));
            let mut log = Log::open(&place.dir()?, *from)?;
            log.each(*follow, output, |entry, output| {
                let line = match format {
                    Format::Jsonl => entry.line(),
                    Format::Ocsf => ocsf.line(entry),
                };
                output.line(line.map_err(Failure::environment)?)
            })?;
            log.end()
        }
        AuditCommand::Verify { place, how } => check::run(&place.dir()?, how, output),
    }
}

fn tail<W: Write>(dir: &Path, lines: usize, follow: bool, shown: Shown, output: &mut Output<W>) -> Result<(), Failure> {
    let last = search(dir, &Filter::default(), lines.max(1)).map_err(Failure::environment)?;
    let last = list(&last, shown, output)?;
    if !follow {
        return Ok(());
    }
    let mut log = Log::open(dir, last.map_or(1, |last| last + 1))?;
    log.each(true, output, |entry, output| output.line(shown.line(entry.record())?))?;
    log.end()
}

/// Shows what was found, a line each; the number of the last.
fn list<W: Write>(found: &Found, shown: Shown, output: &mut Output<W>) -> Result<Option<u64>, Failure> {
    for record in &found.records {
        output.line(shown.line(record)?)?;
    }
    whole(found)?;
    Ok(found.records.last().map(|record| record.seq))
}

/// Tells of what could not be read.
fn whole(found: &Found) -> Result<(), Failure> {
    for damage in &found.unreadable {
        complain(&damage.to_string());
    }
    match found.unreadable.len() {
        0 => Ok(()),
        count => Err(unread(count)),
    }
}

fn unread(count: usize) -> Failure {
    Failure::finding(format!("{count} part(s) of the log could not be read; run `weir audit verify`"))
}

impl Wanted {
    fn filter(&self) -> Result<Filter, Failure> {
        let now = SystemTime::now();
        let moment = |text: &Option<String>| {
            text.as_deref().map(|text| moment::parse(text, now)).transpose().map_err(Failure::bad_input)
        };
        Ok(Filter {
            person: self.person.clone(),
            relation: self.relation.clone(),
            kind: self.kind.clone(),
            decision: self.decision.map(Decided::decision),
            since_ms: moment(&self.since)?,
            until_ms: moment(&self.until)?,
            reference: self.reference.clone(),
            text: self.text.clone(),
        })
    }
}

/// A log that is read to its end, whatever is wrong with it on the way.
struct Log {
    reader: Reader,
    damaged: usize,
}

impl Log {
    fn open(dir: &Path, from: u64) -> Result<Log, Failure> {
        Ok(Log { reader: Reader::open(dir, from).map_err(Failure::environment)?, damaged: 0 })
    }

    /// The next record; damage is told at once, and counts at the end.
    fn next(&mut self) -> Result<Option<Entry>, Failure> {
        loop {
            match self.reader.next_entry() {
                Ok(entry) => return Ok(entry),
                Err(damage @ ReadError::Damaged { .. }) => {
                    self.damaged += 1;
                    complain(&damage.to_string());
                }
                Err(error) => return Err(Failure::environment(error)),
            }
        }
    }

    /// Every record from here on. Ends early when nobody reads the output any more.
    fn each<W: Write>(
        &mut self,
        follow: bool,
        output: &mut Output<W>,
        mut take: impl FnMut(&Entry, &mut Output<W>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while !output.is_closed() {
            match self.next()? {
                Some(entry) => take(&entry, output)?,
                None if follow => {
                    output.flush()?;
                    std::thread::sleep(FOLLOW_EVERY);
                }
                None => break,
            }
        }
        Ok(())
    }

    fn end(self) -> Result<(), Failure> {
        match self.damaged {
            0 => Ok(()),
            count => Err(unread(count)),
        }
    }
}
