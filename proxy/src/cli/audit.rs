//! `weir audit …`: reads the log that a Weir writes, also while it writes. Needs the directory and nothing else: neither
//! the process nor its configuration.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use weir_audit_store::event::Decision;
use weir_audit_store::{Checkpoint, Filter, PublicKey, RESULTS_MAX, ReadError, Reader, Record, Report, search, verify};

use super::output::{Output, complain};
use super::{Failure, load, moment};
use crate::config::read_bounded;

/// How often a log that is followed is looked at.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);
/// Longest key or checkpoint file, bytes.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Where the store keeps its public key, under the directory of the log.
const PUBLIC_KEY: &str = "keys/log.pub";

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
    /// Show the last records.
    #[command(after_help = "Examples:\n  weir audit tail --config weir.toml\n  \
                            weir audit tail -f --dir /var/lib/weir/audit | jq 'select(.kind == \"denial\")'")]
    Tail {
        #[command(flatten)]
        place: Place,
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
        wanted: Box<Wanted>,
        /// How many at most.
        #[arg(short = 'n', long, default_value_t = 100, value_name = "COUNT")]
        lines: usize,
    },
    /// Show one record by its number, or the records under the reference that a client was shown.
    #[command(after_help = "Examples:\n  weir audit show 4711 --config weir.toml\n  \
                            weir audit show W-7F3K-9Q2M --config weir.toml")]
    Show {
        #[command(flatten)]
        place: Place,
        /// A number, or a reference such as W-7F3K-9Q2M.
        what: String,
    },
    /// Write records to standard output, a line each.
    #[command(after_help = "Example:\n  weir audit export --format jsonl --from 1 --config weir.toml > audit.jsonl")]
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
                            weir audit verify --dir copy/ --key log.pub --checkpoint from-the-siem.checkpoint")]
    Verify {
        #[command(flatten)]
        place: Place,
        /// The public key, when the one beside the log is not to be trusted.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// A checkpoint that was kept elsewhere.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
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

/// How records are written.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    /// Weir's own records, as they are in the log.
    Jsonl,
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
    match command {
        AuditCommand::Tail { place, lines, follow } => tail(&place.dir()?, *lines, *follow, output),
        AuditCommand::Search { place, wanted, lines } => {
            find(&place.dir()?, &wanted.filter()?, *lines, output).map(|_| ())
        }
        AuditCommand::Show { place, what } => show(&place.dir()?, what, output),
        AuditCommand::Export { place, format: Format::Jsonl, from, follow } => {
            let mut log = Log::open(&place.dir()?, *from)?;
            log.each(*follow, output, |record, output| line(record, output))?;
            log.end()
        }
        AuditCommand::Verify { place, key, checkpoint } => {
            let dir = place.dir()?;
            let key = key.clone().unwrap_or_else(|| dir.join(PUBLIC_KEY));
            let report = check(&dir, &key, checkpoint.as_deref())?;
            tell(&report, output)
        }
    }
}

fn tail<W: Write>(dir: &Path, lines: usize, follow: bool, output: &mut Output<W>) -> Result<(), Failure> {
    let last = find(dir, &Filter::default(), lines.max(1), output)?;
    if !follow {
        return Ok(());
    }
    let mut log = Log::open(dir, last.map_or(1, |last| last + 1))?;
    log.each(true, output, line)?;
    log.end()
}

fn show<W: Write>(dir: &Path, what: &str, output: &mut Output<W>) -> Result<(), Failure> {
    let shown = if let Ok(number) = what.parse::<u64>() {
        let mut log = Log::open(dir, number)?;
        let record = log.next()?.filter(|record| record.seq == number);
        if let Some(record) = &record {
            line(record, output)?;
        }
        log.end()?;
        record.is_some()
    } else {
        let filter = Filter { reference: Some(what.to_owned()), ..Filter::default() };
        find(dir, &filter, RESULTS_MAX, output)?.is_some()
    };
    if shown { Ok(()) } else { Err(Failure::finding(format!("the log has no record `{what}`"))) }
}

/// Shows what fits; the number of the last that did.
fn find<W: Write>(dir: &Path, filter: &Filter, limit: usize, output: &mut Output<W>) -> Result<Option<u64>, Failure> {
    let found = search(dir, filter, limit).map_err(Failure::environment)?;
    for record in &found.records {
        line(record, output)?;
    }
    for damage in &found.unreadable {
        complain(&damage.to_string());
    }
    match found.unreadable.len() {
        0 => Ok(found.records.last().map(|record| record.seq)),
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

fn line<W: Write>(record: &Record, output: &mut Output<W>) -> Result<(), Failure> {
    output.line(record.to_line().map_err(Failure::environment)?)
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
    fn next(&mut self) -> Result<Option<Record>, Failure> {
        loop {
            match self.reader.next_record() {
                Ok(record) => return Ok(record),
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
        mut take: impl FnMut(&Record, &mut Output<W>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while !output.is_closed() {
            match self.next()? {
                Some(record) => take(&record, output)?,
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
            count => {
                Err(Failure::finding(format!("{count} part(s) of the log could not be read; run `weir audit verify`")))
            }
        }
    }
}

fn check(dir: &Path, key: &Path, checkpoint: Option<&Path>) -> Result<Report, Failure> {
    let read = |path: &Path| {
        read_bounded(path, NOTE_BYTES_MAX)
            .map_err(|reason| Failure::environment(format!("`{}` {reason}", path.display())))
    };
    let public = PublicKey::parse(read(key)?.trim())
        .map_err(|reason| Failure::bad_input(format!("`{}` is no public key of a log: {reason}", key.display())))?;
    let external = match checkpoint {
        Some(path) => Some(Checkpoint::open(&read(path)?, &public).map_err(|reason| {
            Failure::bad_input(format!("`{}` is no checkpoint of this log: {reason}", path.display()))
        })?),
        None => None,
    };
    verify(dir, &public, external.as_ref()).map_err(Failure::environment)
}

fn tell<W: Write>(report: &Report, output: &mut Output<W>) -> Result<(), Failure> {
    output.line(format_args!(
        "{} record(s), {} checkpoint(s), covered up to record {}",
        report.records, report.checkpoints, report.covered
    ))?;
    if report.torn_bytes > 0 {
        let bytes = report.torn_bytes;
        output.line(format_args!("{bytes} bytes of an unfinished record at the end: a crash, or a writer at work"))?;
    }
    for finding in &report.findings {
        output.line(format_args!(
            "records {} to {} ({}): {}",
            finding.from, finding.until, finding.segment, finding.problem
        ))?;
    }
    if report.more_findings > 0 {
        output.line(format_args!("and {} more", report.more_findings))?;
    }
    if report.is_sound() {
        return output.line("the log is what was written");
    }
    Err(Failure::finding("the log is not what was written; keep a copy of it as it is"))
}

#[cfg(test)]
mod tests {
    use weir_audit_store::event::{Body, Shutdown};
    use weir_audit_store::{Event, Options, Store, Urgency};
    use weir_tests::scratch::Scratch;

    use super::super::{BAD_INPUT, ENVIRONMENT, FINDING};
    use super::*;

    /// A closed log of so many records; the third has a reference.
    fn log(folder: &Scratch, records: u64) -> PathBuf {
        let dir = folder.path().join("audit");
        let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).unwrap();
        for number in 1..=records {
            let body = Body::Shutdown(Shutdown { reason: format!("number {number}") });
            let mut event = Event::new(number, number, "boot", body);
            event.reference = (number == 3).then(|| "W-7F3K-9Q2M".to_owned());
            event.decision = Some(if number % 10 == 0 { Decision::Deny } else { Decision::Allow });
            store.append(&event, Urgency::Relaxed).unwrap();
        }
        store.close().unwrap();
        dir
    }

    /// Exit code, and the words on standard output or of the failure.
    fn audit(arguments: &[&str]) -> (u8, String) {
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            command: AuditCommand,
        }
        let line = <Line as clap::Parser>::try_parse_from(std::iter::once(&"audit").chain(arguments)).unwrap();
        let mut output = Output::for_test();
        match run(&line.command, &mut output) {
            Ok(()) => (0, output.text()),
            Err(failure) => (failure.code, failure.message),
        }
    }

    fn numbers(text: &str) -> Vec<u64> {
        text.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn records_are_shown_and_exported() {
        let folder = Scratch::new("audit");
        let dir = log(&folder, 30);
        let dir = dir.to_str().unwrap();
        assert_eq!(numbers(&audit(&["tail", "-n", "3", "--dir", dir]).1), [28, 29, 30]);
        assert_eq!(numbers(&audit(&["tail", "--dir", dir]).1), (11..=30).collect::<Vec<_>>());
        assert_eq!(numbers(&audit(&["export", "--format", "jsonl", "--dir", dir]).1), (1..=30).collect::<Vec<_>>());
        assert_eq!(numbers(&audit(&["export", "--from", "29", "--dir", dir]).1), [29, 30]);
        assert_eq!(numbers(&audit(&["show", "7", "--dir", dir]).1), [7]);
        assert_eq!(numbers(&audit(&["show", "W-7F3K-9Q2M", "--dir", dir]).1), [3]);
        assert_eq!(numbers(&audit(&["show", "w-7f3k-9q2m", "--dir", dir]).1), [3], "as somebody reads it out");
        assert_eq!(numbers(&audit(&["search", "--decision", "deny", "--dir", dir]).1), [10, 20, 30]);
        assert_eq!(numbers(&audit(&["search", "--decision", "deny", "-n", "1", "--dir", dir]).1), [30]);
        assert_eq!(
            numbers(&audit(&["search", "--until", "1970-01-02", "--kind", "shutdown", "-n", "2", "--dir", dir]).1),
            [29, 30]
        );
        assert_eq!(audit(&["search", "--since", "1d", "--dir", dir]), (0, String::new()));
        assert_eq!(audit(&["search", "--since", "soon", "--dir", dir]).0, BAD_INPUT);
        for absent in ["31", "0", "W-0000-0000"] {
            let (code, told) = audit(&["show", absent, "--dir", dir]);
            assert_eq!((code, told), (FINDING, format!("the log has no record `{absent}`")));
        }
        assert_eq!(audit(&["tail", "--dir", "/nowhere"]).0, ENVIRONMENT);
    }

    #[test]
    fn a_log_is_verified_and_a_changed_one_is_found() {
        let folder = Scratch::new("audit");
        let dir = log(&folder, 30);
        let shown = dir.to_str().unwrap();
        let (code, told) = audit(&["verify", "--dir", shown]);
        assert_eq!(code, 0, "{told}");
        assert!(told.starts_with("30 record(s)") && told.ends_with("the log is what was written\n"), "{told}");
        let latest = dir.join("latest.checkpoint");
        let kept = folder.path().join("kept.checkpoint");
        std::fs::copy(&latest, &kept).unwrap();
        let kept = kept.to_str().unwrap();
        assert_eq!(audit(&["verify", "--checkpoint", kept, "--dir", shown]).0, 0);
        let (code, told) = audit(&["verify", "--key", kept, "--dir", shown]);
        assert_eq!(code, BAD_INPUT);
        assert!(told.contains("no public key"), "{told}");

        let segment = std::fs::read_dir(&dir).unwrap().flatten().map(|entry| entry.path());
        let segment = segment.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "log")).unwrap();
        let mut bytes = std::fs::read(&segment).unwrap();
        let at = bytes.windows(9).position(|window| window == b"number 15").unwrap();
        bytes[at + 7] = b'9';
        std::fs::write(&segment, &bytes).unwrap();
        let (code, told) = audit(&["verify", "--dir", shown]);
        assert_eq!(code, FINDING, "{told}");
        let (code, told) = audit(&["export", "--dir", shown]);
        assert_eq!(code, FINDING, "{told}");
        assert!(told.contains("weir audit verify"), "{told}");
    }

    /// A reader of the output that leaves when it has seen these words.
    struct Until(&'static str, Vec<u8>);

    impl Write for Until {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if String::from_utf8_lossy(&self.1).contains(self.0) {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            self.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_is_followed_while_it_is_written_until_nobody_reads() {
        let folder = Scratch::new("audit");
        let dir = log(&folder, 5);
        let (store, _) = Store::open(Options::new(&dir), Box::new(|_| {})).unwrap();
        let enough = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = std::sync::Arc::clone(&enough);
        let writer = std::thread::spawn(move || {
            for number in 6.. {
                let body = Body::Shutdown(Shutdown { reason: format!("number {number}") });
                store.append(&Event::new(number, number, "boot", body), Urgency::Durable).unwrap();
                if seen.load(std::sync::atomic::Ordering::Relaxed) {
                    return store.close().map(|_| ()).unwrap();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let mut output = Output::over(Until("\"number 40\"", Vec::new()));
        tail(&dir, 2, true, &mut output).unwrap();
        assert!(output.is_closed(), "it ended because nobody read");
        enough.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    }

    #[test]
    fn a_log_needs_one_place() {
        let folder = Scratch::new("audit");
        log(&folder, 1);
        let config = "state_dir = '.'\npolicy = 'p'\n[[listener]]\nengine = 'postgres'\naddress = '127.0.0.1:1'\n\
                      upstream = 'db'\n[[upstream]]\nname = 'db'\nengine = 'postgres'\naddress = '127.0.0.1:1'\ntls = 'off'\n\
                      [upstream.catalog]\nuser = 'x'\n";
        let config = folder.write("weir.toml", config);
        assert_eq!(numbers(&audit(&["tail", "--config", config.to_str().unwrap()]).1), [1]);
        assert_eq!(audit(&["tail", "--config", "/nowhere/weir.toml"]).0, BAD_INPUT);
        let command = <super::super::Arguments as clap::CommandFactory>::command();
        for arguments in [&["weir", "audit", "tail"][..], &["weir", "audit", "tail", "--dir", "a", "--config", "b"]] {
            assert!(command.clone().try_get_matches_from(arguments).is_err());
        }
    }
}
