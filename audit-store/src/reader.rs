//! Reads a log in order, also while it is written.
//!
//! A reader changes nothing and takes no lock. It follows rotation, and steps over what a failed segment holds and the
//! next one holds again. Damage is told once and then stepped over, since the records behind it are still of use; only
//! [`verify`](crate::verify) says whether what was read is what was written.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::encode::{Record, is_safe_to_show, sequence_of};
use crate::error::StoreError;
use crate::segment::{Frames, Header, Next, segments};
use crate::storage::{Files, Storage};
use crate::tree::leaf;

/// Why a record could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Records are missing or changed; the next call goes on behind them.
    #[error(
        "records {from} to {until} cannot be read (`{segment}`, byte {offset}): {problem}; run `weir audit verify`"
    )]
    Damaged {
        /// First sequence that is missing.
        from: u64,
        /// Last sequence that is surely missing; with damage in the last segment, what follows is missing too.
        until: u64,
        /// File name.
        segment: String,
        /// Where, bytes from its start.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// The operating system said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A record with what proves its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    record: Record,
    payload: Vec<u8>,
    log: Arc<str>,
}

impl Entry {
    /// What happened.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// What happened, without the rest.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// Name of the log; with the sequence it names this record wherever it is shipped to.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// Hash of the record's leaf in the tree, hex. Whoever has those of all records can check a checkpoint.
    pub fn leaf(&self) -> String {
        leaf(&self.payload).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The record as it stands in the log, byte by byte, without its line end.
    ///
    /// # Errors
    /// None for a record that Weir wrote. One that somebody put there may hold characters that are not safe to show; it
    /// is told in Weir's own words then, and those may be too long.
    pub fn line(&self) -> Result<String, StoreError> {
        match std::str::from_utf8(&self.payload) {
            Ok(text) if text.chars().all(is_safe_to_show) => Ok(text.to_owned()),
            _ => self.record.to_line(),
        }
    }
}

/// A place in a log.
pub struct Reader {
    storage: Arc<dyn Storage>,
    next: u64,
    open: Option<Open>,
    /// First sequence of a last segment that is damaged; reading goes on when there is a later one.
    dead_end: Option<u64>,
    /// Name of the log, from the header that was read last.
    log: Arc<str>,
}

struct Open {
    first: u64,
    name: String,
    frames: Frames<Box<dyn Read + Send>>,
    /// Where to go on when the file has grown, after its end was reached.
    paused: bool,
}

impl Reader {
    /// A reader of the log in this directory that begins at this sequence (1 is the first).
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn open(dir: &Path, from: u64) -> Result<Reader, StoreError> {
        let storage = Files::new(dir);
        segments(&storage).map_err(StoreError::io(format!("list `{}`", dir.display())))?;
        Ok(Reader::over(Arc::new(storage), from))
    }

    pub(crate) fn over(storage: Arc<dyn Storage>, from: u64) -> Reader {
        Reader { storage, next: from.max(1), open: None, dead_end: None, log: Arc::from("") }
    }

    /// Sequence of the record that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next record, or `None` at the present end of the log; ask again later to follow it.
    ///
    /// While a writer runs, the last records may not be durable yet.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] once for each damaged stretch; the next call goes on behind it.
    pub fn next_record(&mut self) -> Result<Option<Record>, ReadError> {
        Ok(self.next_entry()?.map(Entry::into_record))
    }

    /// The next record with what proves its place, as [`Reader::next_record`].
    ///
    /// # Errors
    /// Those of [`Reader::next_record`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, ReadError> {
        let Some(payload) = self.next_payload()? else { return Ok(None) };
        let sequence = self.next;
        self.next += 1;
        let (name, offset) = self.open.as_ref().map_or(("", 0), |open| (open.name.as_str(), open.frames.offset));
        let told = |problem| damaged(sequence, sequence, name, offset, problem);
        let record = Record::decode(&payload).map_err(told)?;
        Ok(Some(Entry { record, payload, log: self.log.clone() }))
    }

    /// The payload of the record `self.next`.
    fn next_payload(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        if let Some(first) = self.dead_end {
            let Some(later) = self.later(first)? else { return Ok(None) };
            self.next = self.next.max(later);
            self.dead_end = None;
        }
        loop {
            let open = match &mut self.open {
                Some(open) if !open.paused => open,
                _ => {
                    if !self.enter()? {
                        return Ok(None);
                    }
                    continue;
                }
            };
            let offset = open.frames.offset;
            let read = open.frames.next().map_err(StoreError::io(format!("read `{}`", open.name)))?;
            let problem = match read {
                Next::Payload(payload) => match sequence_of(&payload) {
                    Some(sequence) if sequence == self.next => return Ok(Some(payload)),
                    Some(sequence) if sequence < self.next && sequence >= open.first => continue,
                    _ => format!("record {} is not where it belongs", self.next),
                },
                Next::End | Next::Torn { .. } => {
                    open.paused = true;
                    let (name, first) = (open.name.clone(), open.first);
                    let later = self.later(first)?;
                    match later {
                        Some(begins) if begins <= self.next => {
                            self.open = None;
                            continue;
                        }
                        Some(_) => {
                            let problem = "the segment ends too early".to_owned();
                            return Err(self.step_over(first, &name, offset, problem, later));
                        }
                        None => return Ok(None),
                    }
                }
                Next::Damaged(problem) => problem,
            };
            let (name, first) = (open.name.clone(), open.first);
            let later = self.later(first)?;
            if later.is_some_and(|later| later <= self.next) {
                // What follows the acknowledged records of a failed segment is of no interest.
                self.open = None;
                continue;
            }
            return Err(self.step_over(first, &name, offset, problem, later));
        }
    }

    /// Opens the segment that holds `self.next`, where it was left or at its start. False when there is none.
    fn enter(&mut self) -> Result<bool, ReadError> {
        let listed = segments(&*self.storage).map_err(StoreError::io("list the audit directory"))?;
        let Some((first, name)) = listed.iter().rev().find(|(first, _)| *first <= self.next).or(listed.first()) else {
            return Ok(false);
        };
        let (first, name) = (*first, name.clone());
        if first > self.next {
            let from = std::mem::replace(&mut self.next, first);
            return Err(damaged(from, first - 1, &name, 0, "the segments before this one are not there".to_owned()));
        }
        let doing = |what: &str| StoreError::io(format!("{what} `{name}`"));
        if let Some(open) = self.open.take().filter(|open| open.first == first && open.frames.offset > 0) {
            let offset = open.frames.offset;
            let frames = Frames::at(self.storage.read(&name, offset).map_err(doing("open"))?, offset);
            self.open = Some(Open { first, name, frames, paused: false });
            return Ok(true);
        }
        let mut frames = Frames::new(self.storage.read(&name, 0).map_err(doing("open"))?);
        let problem = match frames.next().map_err(doing("read"))? {
            Next::Payload(payload) => match Header::decode(&payload, None, first) {
                Ok((header, _)) => {
                    if *self.log != *header.log {
                        self.log = Arc::from(header.log);
                    }
                    None
                }
                Err(problem) => Some(problem),
            },
            // The writer has just begun it.
            Next::End | Next::Torn { .. } => return Ok(false),
            Next::Damaged(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            let later = self.later(first)?;
            return Err(self.step_over(first, &name, 0, problem, later));
        }
        self.open = Some(Open { first, name, frames, paused: false });
        Ok(true)
    }

    /// First sequence of the segment after the one that begins with `first`.
    fn later(&self, first: u64) -> Result<Option<u64>, ReadError> {
        let listed = segments(&*self.storage).map_err(StoreError::io("list the audit directory"))?;
        Ok(listed.into_iter().map(|(later, _)| later).find(|later| *later > first))
    }

    /// Goes to the next segment, or waits for one: nothing behind damage in the last segment is surely in place.
    fn step_over(&mut self, first: u64, name: &str, offset: u64, problem: String, later: Option<u64>) -> ReadError {
        self.open = None;
        let from = self.next;
        match later {
            Some(later) => self.next = later,
            None => self.dead_end = Some(first),
        }
        damaged(from, later.map_or(from, |later| later - 1), name, offset, problem)
    }
}

fn damaged(from: u64, until: u64, segment: &str, offset: u64, problem: String) -> ReadError {
    ReadError::Damaged { from, until, segment: segment.to_owned(), offset, problem }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash_tests::{Key, event, options, start};
    use crate::segment::file_name;
    use crate::storage::Forgetful;
    use crate::store::{Options, Urgency};

    /// Five segments of one record each.
    fn log() -> (Forgetful, Key) {
        let (disk, key) = (Forgetful::default(), Key::new());
        let store = start(&disk, &key, Options { segment_bytes_max: 1, ..options() });
        for n in 1..=5 {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, std::time::Duration::from_secs(10)).unwrap();
        }
        store.close().unwrap();
        (disk, key)
    }

    /// Sequences that can be read, and the stretches that are told as missing.
    fn read(reader: &mut Reader) -> (Vec<u64>, Vec<(u64, u64)>) {
        let (mut seen, mut missing) = (Vec::new(), Vec::new());
        loop {
            match reader.next_record() {
                Ok(Some(record)) => seen.push(record.seq),
                Ok(None) => return (seen, missing),
                Err(ReadError::Damaged { from, until, .. }) => missing.push((from, until)),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn damage_is_told_once_and_stepped_over() {
        for (segment, expected) in [
            (1, (vec![2, 3, 4, 5], vec![(1, 1)])),
            (3, (vec![1, 2, 4, 5], vec![(3, 3)])),
            (5, (vec![1, 2, 3, 4], vec![(5, 5)])),
        ] {
            for head in [true, false] {
                let (disk, _) = log();
                let mut bytes = disk.contents(&file_name(segment)).unwrap();
                let at = if head { 20 } else { bytes.len() - 1 };
                bytes[at] ^= 1;
                disk.put(&file_name(segment), bytes);
                let mut reader = Reader::over(Arc::new(disk.clone()), 1);
                assert_eq!(read(&mut reader), expected);
                assert_eq!(read(&mut reader), (vec![], vec![]), "told once");
            }
        }
    }

    #[test]
    fn a_missing_segment_is_told() {
        for (segment, expected) in [
            (1, (vec![2, 3, 4, 5], vec![(1, 1)])),
            (3, (vec![1, 2, 4, 5], vec![(3, 3)])),
            (5, (vec![1, 2, 3, 4], vec![])),
        ] {
            let (disk, _) = log();
            disk.delete(&file_name(segment));
            assert_eq!(read(&mut Reader::over(Arc::new(disk), 1)), expected);
        }
    }

    #[test]
    fn a_log_is_followed_from_any_sequence_while_it_grows() {
        let (disk, key) = log();
        let mut reader = Reader::over(Arc::new(disk.clone()), 4);
        assert_eq!(read(&mut reader), (vec![4, 5], vec![]));
        let store = start(&disk, &key, options());
        for n in 6..=8 {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, std::time::Duration::from_secs(10)).unwrap();
            assert_eq!(read(&mut reader), (vec![n], vec![]));
        }
    }
}
