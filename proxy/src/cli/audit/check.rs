//! `weir audit verify`: for people at a terminal, and for cron, which wants silence, an exit code and a reason.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use serde_json::{Value, json};
use weir_audit_store::{Checkpoint, Progress, PublicKey, Report, verify_with};

use super::text;
use crate::cli::output::Output;
use crate::cli::{Failure, moment};
use crate::config::read_bounded;

/// Longest key or checkpoint file, bytes.
const NOTE_BYTES_MAX: u64 = 64 * 1024;
/// Where the store keeps its public key, under the directory of the log.
const PUBLIC_KEY: &str = "keys/log.pub";
/// A verification that takes less needs no progress; a longer one tells it this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How a log is verified.
#[derive(Args, Clone)]
pub(in crate::cli) struct How {
    /// The public key, when the one beside the log is not to be trusted.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Fail when records wait for a checkpoint and the last one is older: 90s, 15m, 2h, 7d.
    #[arg(long, value_name = "AGE")]
    stale_after: Option<String>,
    /// Say nothing unless something is wrong.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,
    /// Answer with one line of JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run<W: Write>(dir: &Path, how: &How, output: &mut Output<W>) -> Result<(), Failure> {
    let now = SystemTime::now();
    let stale_before =
        how.stale_after.as_deref().map(|age| moment::parse(age, now)).transpose().map_err(Failure::bad_input)?;
    let report = check(dir, how)?;
    let stale = stale_before
        .filter(|before| report.records > report.covered && report.signed_ms.is_none_or(|signed| signed < *before));
    if how.json {
        output.line(as_json(&report, stale.is_some()))?;
    } else if !(how.quiet && report.is_sound() && stale.is_none()) {
        tell(&report, output)?;
    }
    if !report.is_sound() {
        return Err(Failure::finding("the log is not what was written; keep a copy of it as it is"));
    }
    if stale.is_some() {
        let signed = report.signed_ms.map_or("never".to_owned(), text::moment);
        let (from, until) = (report.covered + 1, report.records);
        return Err(Failure::finding(format!(
            "records {from} to {until} are under no checkpoint, and the last one was signed: {signed}; \
             is the Weir that writes them running, and can it write to its directory?"
        )));
    }
    Ok(())
}

fn check(dir: &Path, how: &How) -> Result<Report, Failure> {
    let read = |path: &Path| {
        read_bounded(path, NOTE_BYTES_MAX)
            .map_err(|reason| Failure::environment(format!("`{}` {reason}", path.display())))
    };
    let key = how.key.clone().unwrap_or_else(|| dir.join(PUBLIC_KEY));
    let public = PublicKey::parse(read(&key)?.trim())
        .map_err(|reason| Failure::bad_input(format!("`{}` is no public key of a log: {reason}", key.display())))?;
    let external = match &how.checkpoint {
        Some(path) => Some(Checkpoint::open(&read(path)?, &public).map_err(|reason| {
            Failure::bad_input(format!("`{}` is no checkpoint of this log: {reason}", path.display()))
        })?),
        None => None,
    };
    let mut bar = Bar::new(!how.quiet && std::io::stderr().is_terminal());
    let report = verify_with(dir, &public, external.as_ref(), &mut |progress| bar.show(&progress));
    bar.clear();
    report.map_err(Failure::environment)
}

fn tell<W: Write>(report: &Report, output: &mut Output<W>) -> Result<(), Failure> {
    output.line(format_args!(
        "{} record(s), {} checkpoint(s), covered up to record {}",
        report.records, report.checkpoints, report.covered
    ))?;
    if let Some(signed) = report.signed_ms {
        output.line(format_args!("last checkpoint signed {}", text::moment(signed)))?;
    }
    if report.torn_bytes > 0 {
        let bytes = report.torn_bytes;
        output.line(format_args!("{bytes} bytes of an unfinished record at the end: a crash, or a writer at work"))?;
    }
    for finding in &report.findings {
        let problem = text::safe(&finding.problem);
        output.line(format_args!("records {} to {} ({}): {problem}", finding.from, finding.until, finding.segment))?;
    }
    if report.more_findings > 0 {
        output.line(format_args!("and {} more", report.more_findings))?;
    }
    if report.is_sound() { output.line("the log is what was written") } else { Ok(()) }
}

fn as_json(report: &Report, stale: bool) -> Value {
    let finding = |finding: &weir_audit_store::Finding| {
        json!({
            "from": finding.from, "until": finding.until, "segment": finding.segment,
            // Parts of it may be from the log itself.
            "problem": text::safe(&finding.problem),
        })
    };
    json!({
        "sound": report.is_sound(),
        "stale": stale,
        "records": report.records,
        "covered": report.covered,
        "checkpoints": report.checkpoints,
        "signed_ms": report.signed_ms,
        "torn_bytes": report.torn_bytes,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "more_findings": report.more_findings,
    })
}

/// How far it has come, on one line of standard error that is written over.
struct Bar {
    wanted: bool,
    begun: Instant,
    told: Instant,
    shown: bool,
}

impl Bar {
    fn new(wanted: bool) -> Bar {
        let now = Instant::now();
        Bar { wanted, begun: now, told: now, shown: false }
    }

    fn show(&mut self, progress: &Progress) {
        if !self.wanted || self.told.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.told = Instant::now();
        self.shown = true;
        // Nothing is left to do when nobody sees it.
        let _ = write!(std::io::stderr(), "\r\x1b[K{}", progress_line(progress, self.begun.elapsed()));
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn progress_line(progress: &Progress, since: Duration) -> String {
    // A log that grows meanwhile may have more bytes than it began with.
    let total = progress.bytes_total.max(progress.bytes).max(1);
    let percent = u128::from(progress.bytes) * 100 / u128::from(total);
    let left = since.as_millis() * u128::from(total - progress.bytes) / u128::from(progress.bytes.max(1)) / 1000;
    format!("{percent} %, record {}, about {left} s left", progress.records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_up_and_never_beyond_the_end() {
        let line =
            |bytes, bytes_total| progress_line(&Progress { records: 7, bytes, bytes_total }, Duration::from_secs(10));
        assert_eq!(line(0, 0), "0 %, record 7, about 10 s left");
        assert_eq!(line(250, 1000), "25 %, record 7, about 30 s left");
        assert_eq!(line(1000, 1000), "100 %, record 7, about 0 s left");
        assert_eq!(line(2000, 1000), "100 %, record 7, about 0 s left");
        assert_eq!(line(u64::MAX, u64::MAX), "100 %, record 7, about 0 s left");
    }
}
