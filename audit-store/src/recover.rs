//! What a start finds: the tree over all records, and what a crash left behind.
//!
//! Only the last segment is read; its header holds the tree over the rest. What must never happen: a complete record
//! dropped, or damage taken for a crash. A torn end is kept aside and cut off. A last segment that no checkpoint covers
//! is written anew, because after a failed sync the page cache may show records that the disk does not hold.

use std::io::Read as _;

use serde::Deserialize;

use crate::checkpoint::{Checkpoint, NOTE_BYTES_MAX, PublicKey};
use crate::encode::sequence_of;
use crate::error::StoreError;
use crate::segment::{Frames, Header, Next, begin_frame, end_frame, seal_frames, segments};
use crate::storage::Storage;
use crate::tree::Tree;

/// Name of the newest checkpoint, replaced whole, for shipping.
pub(crate) const LATEST: &str = "latest.checkpoint";
/// Suffix of a segment that is being written anew.
const RECOVERING: &str = ".recovering";

/// What [`Store::open`](crate::Store::open) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Name of the log.
    pub log: String,
    /// Highest sequence in it; 0 for a new log.
    pub last_sequence: u64,
    /// Root of the tree over it, base64.
    pub last_root: String,
    /// Bytes of an incomplete record that were cut off; kept in files named `torn-…`.
    pub torn_bytes: u64,
    /// Highest `ledger_ms` in the last segment.
    pub high_water_ms: u64,
}

/// What recovery found, and the tree to go on with.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) tree: Tree,
    pub(crate) signed: u64,
    pub(crate) torn_bytes: u64,
    pub(crate) high_water_ms: u64,
}

/// Brings the log into a state that can be continued at `tree.size() + 1`.
pub(crate) fn recover(storage: &dyn Storage, key: &PublicKey) -> Result<Found, StoreError> {
    for name in storage.list().map_err(StoreError::io("list the audit directory"))? {
        if name.ends_with(RECOVERING) || name.ends_with(".new") {
            storage.remove(&name).map_err(StoreError::io(format!("remove `{name}`")))?;
        }
    }
    let latest = latest_checkpoint(storage, key)?;
    let signed = latest.as_ref().map_or(0, Checkpoint::size);
    let mut found = Found { signed, ..Found::default() };
    let mut files = segments(storage).map_err(StoreError::io("list the audit directory"))?;
    while let Some((first, name)) = files.pop() {
        let last = Last { storage, key, latest: latest.as_ref(), first, name: &name };
        if let Some(tree) = last.recover(&mut found)? {
            found.tree = tree;
            break;
        }
    }
    enough(latest.as_ref(), found.tree.size())?;
    Ok(found)
}

/// Whether everything that was signed is there; asked before anything is changed.
fn enough(latest: Option<&Checkpoint>, size: u64) -> Result<(), StoreError> {
    match latest {
        Some(latest) if latest.size() > size => {
            Err(StoreError::CheckpointDisagrees { signed: latest.size(), problem: format!("only {size} are there") })
        }
        _ => Ok(()),
    }
}

fn latest_checkpoint(storage: &dyn Storage, key: &PublicKey) -> Result<Option<Checkpoint>, StoreError> {
    let mut note = String::new();
    match storage.read(LATEST, 0) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(format!("open `{LATEST}`"))(error)),
        Ok(file) => {
            let bound = u64::try_from(NOTE_BYTES_MAX + 1).unwrap_or(u64::MAX);
            file.take(bound).read_to_string(&mut note).map_err(StoreError::io(format!("read `{LATEST}`")))?;
        }
    }
    let damaged = |problem| StoreError::Damaged { segment: LATEST.to_owned(), offset: 0, problem };
    Checkpoint::open(&note, key).map(Some).map_err(damaged)
}

struct Last<'a> {
    storage: &'a dyn Storage,
    key: &'a PublicKey,
    latest: Option<&'a Checkpoint>,
    first: u64,
    name: &'a str,
}

/// The only part of a record that a start needs.
#[derive(Deserialize)]
struct Clock {
    ledger_ms: u64,
}

impl Last<'_> {
    /// Returns the tree including this segment, or `None` when it held no record and is gone.
    fn recover(&self, found: &mut Found) -> Result<Option<Tree>, StoreError> {
        let doing = |what: &str| StoreError::io(format!("{what} `{}`", self.name));
        let mut frames = Frames::new(self.storage.read(self.name, 0).map_err(doing("open"))?);
        let (header, mut tree) = match frames.next().map_err(doing("read"))? {
            Next::Payload(payload) => {
                let decoded = Header::decode(&payload, Some(self.key.name()), self.first);
                let (_, tree) = decoded.map_err(|problem| self.damaged(0, problem))?;
                (payload, tree)
            }
            Next::Damaged(problem) => return Err(self.damaged(0, problem)),
            // The crash came before the header was whole, so before any record.
            Next::Torn { rest, bytes } => return self.discard(found, &rest, bytes),
            Next::End => return self.discard(found, &[], 0),
        };
        let before = tree.size();
        self.agree(&tree)?;
        let (rest, torn_bytes) = loop {
            let offset = frames.offset;
            match frames.next().map_err(doing("read"))? {
                Next::Payload(payload) => {
                    if sequence_of(&payload) != Some(tree.size() + 1) {
                        return Err(self.damaged(offset, format!("record {} is not where it belongs", tree.size() + 1)));
                    }
                    let clock = serde_json::from_slice::<Clock>(&payload);
                    let clock = clock.map_err(|error| self.damaged(offset, error.to_string()))?;
                    found.high_water_ms = found.high_water_ms.max(clock.ledger_ms);
                    tree.push(&payload);
                    self.agree(&tree)?;
                }
                Next::Damaged(problem) => return Err(self.damaged(offset, problem)),
                Next::Torn { rest, bytes } => break (rest, bytes),
                Next::End => break (Vec::new(), 0),
            }
        };
        if tree.size() == before {
            return self.discard(found, &rest, torn_bytes);
        }
        enough(self.latest, tree.size())?;
        self.keep_aside(&rest)?;
        found.torn_bytes += torn_bytes;
        // Records under a checkpoint were durable before it was signed.
        if torn_bytes > 0 || found.signed < tree.size() {
            self.write_anew(&header, before, tree.size())?;
        }
        Ok(Some(tree))
    }

    fn agree(&self, tree: &Tree) -> Result<(), StoreError> {
        match self.latest {
            Some(latest) if latest.size() == tree.size() && *latest.root() != tree.root() => {
                Err(StoreError::CheckpointDisagrees {
                    signed: latest.size(),
                    problem: "a record was changed".to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    fn discard(&self, found: &mut Found, rest: &[u8], bytes: u64) -> Result<Option<Tree>, StoreError> {
        enough(self.latest, self.first.saturating_sub(1))?;
        self.keep_aside(rest)?;
        found.torn_bytes += bytes;
        self.storage.remove(self.name).map_err(StoreError::io(format!("remove `{}`", self.name)))?;
        Ok(None)
    }

    fn keep_aside(&self, rest: &[u8]) -> Result<(), StoreError> {
        if rest.is_empty() {
            return Ok(());
        }
        let taken = self.storage.list().map_err(StoreError::io("list the audit directory"))?;
        let stem = format!("torn-{:020}", self.first);
        let free = (0_u32..).map(|n| format!("{stem}-{n}")).find(|name| !taken.contains(name)).unwrap_or(stem);
        self.storage.replace(&free, rest).map_err(StoreError::io(format!("write `{free}`")))
    }

    fn write_anew(&self, header: &[u8], before: u64, size: u64) -> Result<(), StoreError> {
        let fresh = format!("{}{RECOVERING}", self.name);
        let doing = |what: &str| StoreError::io(format!("{what} `{fresh}`"));
        let mut out = self.storage.create(&fresh).map_err(doing("create"))?;
        let mut frames = Frames::new(self.storage.read(self.name, 0).map_err(doing("read for"))?);
        frames.next().map_err(doing("read for"))?;
        let mut buffer = Vec::new();
        push_frame(&mut buffer, header);
        for _ in before..size {
            let Next::Payload(payload) = frames.next().map_err(doing("read for"))? else {
                return Err(self.damaged(frames.offset, "it changed while it was read".to_owned()));
            };
            push_frame(&mut buffer, &payload);
            if buffer.len() >= 1 << 20 {
                seal_frames(&mut buffer);
                out.write(&buffer).map_err(doing("write"))?;
                buffer.clear();
            }
        }
        if !buffer.is_empty() {
            seal_frames(&mut buffer);
            out.write(&buffer).map_err(doing("write"))?;
        }
        out.sync().map_err(doing("sync"))?;
        self.storage.rename(&fresh, self.name).map_err(doing("rename"))
    }

    fn damaged(&self, offset: u64, problem: String) -> StoreError {
        StoreError::Damaged { segment: self.name.to_owned(), offset, problem }
    }
}

fn push_frame(out: &mut Vec<u8>, payload: &[u8]) {
    let at = begin_frame(out);
    out.extend_from_slice(payload);
    end_frame(out, at);
}
