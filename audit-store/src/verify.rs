//! Says whether a log is what was written, and if not, which records are affected.
//!
//! Needs the public key and reads only. What must never happen: a crash called tampering, or the reverse. What no
//! checkpoint that left the host covers can be cut off unseen; the report says how much that is.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::checkpoint::{Checkpoint, NOTE_BYTES_MAX, PublicKey};
use crate::encode::sequence_of;
use crate::error::StoreError;
use crate::publish::CHECKPOINTS;
use crate::recover::LATEST;
use crate::segment::{Frames, Header, Next, segments};
use crate::storage::{Files, Storage};
use crate::tree::{Hash, Tree};

/// Most findings that a report holds; a log with more is not helped by a longer list.
pub const FINDINGS_MAX: usize = 1000;

/// A verification says how far it has come once in so many records: a few times a second.
const PROGRESS_RECORDS: u64 = 1 << 16;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Sequence of the last record.
    pub records: u64,
    /// Checkpoints whose signature is valid.
    pub checkpoints: u64,
    /// Every record up to this one is as it was when a valid checkpoint was signed, unless a finding says otherwise.
    pub covered: u64,
    /// When the newest of the valid checkpoints was signed, Unix milliseconds.
    pub signed_ms: Option<u64>,
    /// Bytes of an incomplete record at the end: a crash, or a writer at work.
    pub torn_bytes: u64,
    /// What is wrong; empty for a sound log.
    pub findings: Vec<Finding>,
    /// Findings beyond [`FINDINGS_MAX`].
    pub more_findings: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn tell(&mut self, from: u64, until: u64, segment: &str, problem: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { from, until, segment: segment.to_owned(), problem: problem.into() });
        } else {
            self.more_findings += 1;
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// First sequence that may be affected.
    pub from: u64,
    /// Last sequence that may be affected.
    pub until: u64,
    /// File in which it shows.
    pub segment: String,
    /// What it is.
    pub problem: String,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Records read.
    pub records: u64,
    /// Bytes read of the segments.
    pub bytes: u64,
    /// Bytes that the segments had when it began.
    pub bytes_total: u64,
}

/// Verifies the log in a directory, also while it is written. `external` is a checkpoint that was kept elsewhere.
///
/// # Errors
/// Only when a file cannot be read; what is wrong with the log stands in the report.
pub fn verify(dir: &Path, key: &PublicKey, external: Option<&Checkpoint>) -> Result<Report, StoreError> {
    verify_in(&Files::new(dir), key, external, &mut |_, _| {})
}

/// [`verify`] that says every few thousand records how far it has come.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_with(
    dir: &Path,
    key: &PublicKey,
    external: Option<&Checkpoint>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, StoreError> {
    let storage = Files::new(dir);
    let mut bytes_total = 0;
    for (_, name) in segments(&storage).map_err(StoreError::io(format!("list `{}`", dir.display())))? {
        // A segment that cannot be asked is told of when it is read.
        bytes_total += std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    }
    verify_in(&storage, key, external, &mut |records, bytes| progress(Progress { records, bytes, bytes_total }))
}

/// `progress` hears of records and bytes.
pub(crate) fn verify_in(
    storage: &dyn Storage,
    key: &PublicKey,
    external: Option<&Checkpoint>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, StoreError> {
    let mut report = Report::default();
    // Checkpoints first: a writer at work signs only what is in a segment already.
    let mut signed = BTreeMap::new();
    let mut names = storage.list().map_err(StoreError::io("list the audit directory"))?;
    names.retain(|name| name.starts_with(CHECKPOINTS) && !name.ends_with(".new") || name == LATEST);
    names.sort();
    for name in names {
        read_checkpoints(storage, &name, key, &mut signed, &mut report)?;
    }
    if let Some(external) = external {
        note(&mut signed, external, "the external checkpoint", &mut report);
    }
    let files = segments(storage).map_err(StoreError::io("list the audit directory"))?;
    let mut walk = Walk {
        progress,
        bytes: 0,
        storage,
        key,
        signed: &signed,
        tree: Tree::default(),
        rival: None,
        disagreed: None,
        told: 0,
        report,
    };
    for (at, (first, name)) in files.iter().enumerate() {
        walk.bytes += walk.segment(*first, name, files.get(at + 1).map(|(first, name)| (*first, name.as_str())))?;
    }
    walk.end();
    Ok(walk.report)
}

/// Notes follow one another, each ended by an empty line after its signature.
fn read_checkpoints(
    storage: &dyn Storage,
    name: &str,
    key: &PublicKey,
    signed: &mut BTreeMap<u64, Hash>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let doing = |what: &str| StoreError::io(format!("{what} `{name}`"));
    let mut input = BufReader::new(storage.read(name, 0).map_err(doing("open"))?);
    let bound = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    loop {
        let mut text = Vec::new();
        let mut signatures = false;
        let mut whole = false;
        while text.len() < NOTE_BYTES_MAX && !whole {
            let begun = text.len();
            let read = (&mut input).take(bound).read_until(b'\n', &mut text).map_err(doing("read"))?;
            if read == 0 {
                break;
            }
            let line = &text[begun..];
            whole = signatures && line == b"\n";
            signatures |= line.starts_with("\u{2014} ".as_bytes());
        }
        if whole {
            text.pop();
        } else if name != LATEST || text.is_empty() {
            // The writer died within this note, or is at work on it: it never counted. Longer ones are not ours.
            if text.len() >= NOTE_BYTES_MAX {
                report.tell(0, 0, name, "holds something that is no checkpoint");
            }
            return Ok(());
        }
        let opened = String::from_utf8(text).map_err(|_| "not text".to_owned());
        match opened.and_then(|text| Checkpoint::open(&text, key)) {
            Ok(checkpoint) => {
                report.checkpoints += u64::from(name != LATEST);
                note(signed, &checkpoint, name, report);
            }
            Err(problem) => report.tell(0, 0, name, format!("a checkpoint is not valid: {problem}")),
        }
        if !whole {
            return Ok(());
        }
    }
}

fn note(signed: &mut BTreeMap<u64, Hash>, checkpoint: &Checkpoint, name: &str, report: &mut Report) {
    let size = checkpoint.size();
    report.signed_ms = report.signed_ms.max(Some(checkpoint.time_ms()));
    if signed.insert(size, *checkpoint.root()).is_some_and(|root| root != *checkpoint.root()) {
        report.tell(1, size, name, format!("two different logs of {size} records were signed"));
    }
}

struct Walk<'a> {
    progress: &'a mut dyn FnMut(u64, u64),
    /// Length of the segments that were read.
    bytes: u64,
    storage: &'a dyn Storage,
    key: &'a PublicKey,
    signed: &'a BTreeMap<u64, Hash>,
    tree: Tree,
    /// The tree that a header tells, carried on beside that of the records before it where the two differ. The next
    /// checkpoint that agrees with one of them says which of them is right, and proves what follows either way.
    rival: Option<Tree>,
    /// Size of the first checkpoint that did not agree, since the last that did; told up to there.
    disagreed: Option<u64>,
    /// Up to here a finding says already that records cannot be read.
    told: u64,
    report: Report,
}

impl Walk<'_> {
    /// Returns how many bytes of it were read.
    fn segment(&mut self, first: u64, name: &str, next: Option<(u64, &str)>) -> Result<u64, StoreError> {
        let doing = |what: &str| StoreError::io(format!("{what} `{name}`"));
        let mut frames = Frames::new(self.storage.read(name, 0).map_err(doing("open"))?);
        let head = frames.next().map_err(doing("read"))?;
        let decoded = match head {
            Next::Payload(payload) => Header::decode(&payload, Some(self.key.name()), first),
            Next::Damaged(problem) => Err(problem),
            Next::End | Next::Torn { .. } if next.is_none() => {
                self.report.torn_bytes += if let Next::Torn { bytes, .. } = head { bytes } else { 0 };
                return Ok(frames.offset);
            }
            Next::End | Next::Torn { .. } => Err("the header is not whole".to_owned()),
        };
        let before = match decoded {
            Ok((_, before)) => before,
            Err(problem) => {
                self.lost(first, name, next, problem);
                return Ok(frames.offset);
            }
        };
        if self.tree.size() + 1 < first {
            if self.told < first - 1 {
                self.report.tell(self.tree.size() + 1, first - 1, name, "the records before this segment are missing");
            }
            // A later checkpoint that agrees proves the tree that the header tells.
            self.tree = before;
            self.rival = None;
        } else if self.tree == before {
            self.rival = None;
        } else if self.rival.as_ref() != Some(&before) {
            // After a checkpoint that did not agree this is the same thing seen again, and what came since is in doubt.
            let from = self.disagreed.unwrap_or(self.report.covered) + 1;
            if self.disagreed.is_none() || from < first {
                self.report.tell(from, first, name, "the tree in the header is not that of the records before it");
            }
            self.rival = Some(before);
        }
        loop {
            let place = self.tree.size() + 1;
            if next.is_some_and(|(begins, _)| begins == place) {
                break;
            }
            let offset = frames.offset;
            let problem = match frames.next().map_err(doing("read"))? {
                Next::Payload(payload) if sequence_of(&payload) == Some(place) => {
                    self.tree.push(&payload);
                    if let Some(rival) = &mut self.rival {
                        rival.push(&payload);
                    }
                    self.compare(name);
                    if place.is_multiple_of(PROGRESS_RECORDS) {
                        (self.progress)(place, self.bytes + frames.offset);
                    }
                    continue;
                }
                Next::Payload(_) => format!("record {place} is not where it belongs"),
                Next::Damaged(problem) => problem,
                Next::Torn { bytes, .. } if next.is_none() => {
                    self.report.torn_bytes += bytes;
                    return Ok(frames.offset);
                }
                Next::End if next.is_none() => return Ok(frames.offset),
                Next::Torn { .. } | Next::End => "the segment ends too early".to_owned(),
            };
            self.lost(place, name, next, format!("byte {offset}: {problem}"));
            return Ok(frames.offset);
        }
        if let Some((begins, later)) = next
            && frames.next().map_err(doing("read"))? != Next::End
            && !self.replaces(begins, later)?
        {
            self.report.tell(begins, begins, name, "something follows the last record of this segment");
        }
        Ok(frames.offset)
    }

    /// Whether this segment holds again what a failed one before it holds.
    fn replaces(&self, first: u64, name: &str) -> Result<bool, StoreError> {
        let input = self.storage.read(name, 0).map_err(StoreError::io(format!("open `{name}`")))?;
        let head = Frames::new(input).next().map_err(StoreError::io(format!("read `{name}`")))?;
        let Next::Payload(payload) = head else { return Ok(false) };
        Ok(Header::decode(&payload, Some(self.key.name()), first).is_ok_and(|(header, _)| header.after_failure))
    }

    /// Tells that the rest of a segment, from this record on, cannot be read.
    fn lost(&mut self, from: u64, name: &str, next: Option<(u64, &str)>, problem: String) {
        let signed = self.signed.last_key_value().map_or(0, |(size, _)| *size);
        let until = next.map_or(signed.max(from), |(begins, _)| begins - 1);
        self.report.tell(from, until, name, problem);
        self.told = until;
    }

    fn compare(&mut self, name: &str) {
        let size = self.tree.size();
        let Some(root) = self.signed.get(&size) else { return };
        let rival = self.rival.take_if(|rival| rival.root() == *root);
        if *root == self.tree.root() || rival.is_some() {
            self.tree = rival.unwrap_or_else(|| std::mem::take(&mut self.tree));
            self.rival = None;
            self.report.covered = size;
            self.disagreed = None;
        } else if self.disagreed.is_none() {
            self.disagreed = Some(size);
            let from = self.report.covered + 1;
            self.report.tell(from, size, name, format!("the records are not those that were signed as {size}"));
        }
    }

    fn end(&mut self) {
        self.report.records = self.tree.size();
        if let Some((signed, _)) = self.signed.last_key_value()
            && *signed > self.tree.size().max(self.told)
        {
            let problem = format!("{signed} records were signed, {} are there", self.tree.size());
            self.report.tell(self.tree.size() + 1, *signed, LATEST, problem);
        }
    }
}
