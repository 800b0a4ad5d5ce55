//! The one thread that writes: group commit, rotation, checkpoints, and what to do when the disk says no.
//!
//! Order of one commit: take everything that waits, write it once, sync once, only then move the watermark. What must
//! never happen: a segment used again after a failed write or sync (the kernel drops the bytes and reports success the
//! next time), a checkpoint over what is not durable, or a caller kept waiting.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::checkpoint::{Checkpoint, Signer};
use crate::error::StoreError;
use crate::recover::{Found, LATEST};
use crate::segment::{Header, file_name, payloads, seal_frames};
use crate::storage::{Appender, Storage};
use crate::store::{Shared, State, Watcher, Watermark};
use crate::tree::Tree;

/// Prefix of files that hold checkpoints, one signed note after the other.
pub(crate) const CHECKPOINTS: &str = "checkpoints-";

/// Checkpoints are never closer than this: each costs several syncs, and under load there would be one per commit.
const CHECKPOINT_GAP_MIN: Duration = Duration::from_millis(250);
/// First pause after a failure; doubles up to [`BACK_OFF_MAX`].
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause between attempts, so that a healed disk is used within the 5 s that are promised.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// How long an idle writer sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

pub(crate) struct Writer {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    signer: Signer,
    watcher: Watcher,
    /// Tree over what is durable.
    tree: Tree,
    segment: Option<Segment>,
    /// The next segment replaces what a failed one holds from its first sequence on.
    after_failure: bool,
    /// Name of a segment that failed before any of its records was durable.
    worthless: Option<String>,
    signed: u64,
    checkpoint_tried: Instant,
    checkpoints: Option<Box<dyn Appender>>,
}

struct Segment {
    name: String,
    file: Box<dyn Appender>,
    bytes: u64,
    first: u64,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        signer: Signer,
        found: Found,
        watcher: Watcher,
    ) -> Writer {
        Writer {
            shared,
            storage,
            signer,
            watcher,
            tree: found.tree,
            segment: None,
            after_failure: false,
            worthless: None,
            signed: found.signed,
            checkpoint_tried: Instant::now(),
            checkpoints: None,
        }
    }

    pub(crate) fn run(mut self) -> Result<Checkpoint, StoreError> {
        let ended = Ended(self.shared.clone());
        let mut batch = Vec::new();
        let result = loop {
            let closing = self.take(&mut batch);
            if !batch.is_empty() {
                seal_frames(&mut batch);
                if let Err(error) = self.commit(&batch) {
                    break Err(error);
                }
                batch.clear();
            }
            if closing {
                break self.checkpoint();
            }
            if self.checkpoint_due_in().is_zero() {
                // A failure shows in the watermark, whose `published` stays behind, and is tried again when due.
                if self.checkpoint().is_ok() {
                    self.tell(State::Open);
                }
            }
        };
        drop(ended);
        self.tell(State::Closed);
        result
    }

    /// Waits for something to do and takes what waits. Returns whether the store closes.
    fn take(&mut self, batch: &mut Vec<u8>) -> bool {
        let flush_every = self.shared.options.flush_every;
        let mut queue = self.shared.lock();
        loop {
            let flush_in = queue.since.map_or(IDLE, |since| flush_every.saturating_sub(since.elapsed()));
            let wait = flush_in.min(self.checkpoint_due_in());
            if queue.urgent || queue.closing || wait.is_zero() {
                break;
            }
            queue = self.shared.wake.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut queue.frames, batch);
        queue.in_flight_bytes = batch.len();
        queue.since = None;
        queue.urgent = false;
        // Records that came while this flag was read are in the batch; later ones are refused.
        if queue.closing {
            queue.state = State::Closed;
        }
        queue.closing
    }

    /// Makes a batch durable, however long it takes; gives up only when the store closes.
    fn commit(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        let mut pause = BACK_OFF_MIN;
        loop {
            let busy = &self.shared.busy_since_us;
            busy.store(self.shared.now_us().saturating_add(1), Ordering::Release);
            let tried = self.try_commit(batch);
            self.shared.busy_since_us.store(0, Ordering::Release);
            let Err(error) = tried else { break };
            self.seal_broken();
            if self.fail(error.to_string(), pause) {
                return Err(error);
            }
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
        for payload in payloads(batch) {
            self.tree.push(payload);
        }
        {
            let mut queue = self.shared.lock();
            queue.in_flight_bytes = 0;
            if matches!(queue.state, State::Failing { .. }) {
                queue.state = State::Open;
            }
            self.shared.durable.store(self.tree.size(), Ordering::Release);
        }
        self.shared.done.notify_all();
        if self.segment.as_ref().is_some_and(|segment| segment.bytes >= self.shared.options.segment_bytes_max) {
            self.segment = None;
        }
        self.tell(State::Open);
        Ok(())
    }

    fn try_commit(&mut self, batch: &[u8]) -> Result<(), StoreError> {
        if let Some(name) = &self.worthless {
            let gone = match self.storage.remove(name) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                other => other,
            };
            gone.map_err(StoreError::io(format!("remove `{name}`")))?;
            self.worthless = None;
        }
        let segment = match &mut self.segment {
            Some(segment) => segment,
            none => {
                let first = self.tree.size() + 1;
                let name = file_name(first);
                let doing = |what: &str| StoreError::io(format!("{what} `{name}`"));
                let header = Header::new(
                    self.signer.public().name(),
                    &self.tree,
                    self.after_failure,
                    &self.shared.options.product,
                );
                let header = header.to_frame().map_err(|error| StoreError::Unencodable(error.to_string()))?;
                let created = self.storage.create(&name);
                // A file of this name may exist now and holds nothing of worth, unless it is somebody else's.
                let ours = !created.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists);
                self.worthless = ours.then(|| name.clone());
                let mut file = created.map_err(doing("create"))?;
                file.write(&header).map_err(doing("write"))?;
                self.worthless = None;
                none.insert(Segment { name, file, bytes: 0, first })
            }
        };
        let name = &segment.name;
        segment.file.write(batch).map_err(StoreError::io(format!("write `{name}`")))?;
        segment.file.sync().map_err(StoreError::io(format!("sync `{name}`")))?;
        segment.bytes += u64::try_from(batch.len()).unwrap_or(0);
        self.after_failure = false;
        Ok(())
    }

    /// Never touches the segment again; what it holds beyond the watermark is written to the next one.
    fn seal_broken(&mut self) {
        if let Some(broken) = self.segment.take() {
            if broken.first > self.tree.size() {
                self.worthless = Some(broken.name);
            } else {
                self.after_failure = true;
            }
        }
    }

    /// Says that nothing is taken, waits a little, and returns whether the store closes meanwhile.
    fn fail(&self, reason: String, pause: Duration) -> bool {
        {
            let mut queue = self.shared.lock();
            if queue.state != State::Closed {
                queue.state = State::Failing { reason: reason.clone() };
            }
        }
        self.tell(State::Failing { reason });
        let end = Instant::now() + pause;
        let mut queue = self.shared.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if queue.closing || left.is_zero() {
                return queue.closing;
            }
            queue = self.shared.wake.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn tell(&self, state: State) {
        (self.watcher)(Watermark { durable: self.tree.size(), published: self.signed, state });
    }

    fn checkpoint_due_in(&self) -> Duration {
        let options = &self.shared.options;
        let fresh = self.tree.size() - self.signed;
        let gap = match fresh {
            0 => return IDLE,
            fresh if fresh >= options.checkpoint_records => CHECKPOINT_GAP_MIN,
            _ => options.checkpoint_every,
        };
        gap.saturating_sub(self.checkpoint_tried.elapsed())
    }

    /// Signs the tree over what is durable.
    fn checkpoint(&mut self) -> Result<Checkpoint, StoreError> {
        self.checkpoint_tried = Instant::now();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let checkpoint = self.signer.sign(&self.tree, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let kept = self.keep(&checkpoint);
        if kept.is_err() {
            // The same rule as for segments: what failed once is not used again.
            self.checkpoints = None;
        }
        kept?;
        self.signed = checkpoint.size();
        Ok(checkpoint)
    }

    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let file = match &mut self.checkpoints {
            Some(file) => file,
            none => {
                let taken = self.storage.list().map_err(StoreError::io("list the audit directory"))?;
                let stem = format!("{CHECKPOINTS}{:020}", checkpoint.size());
                let free = (0_u32..).map(|n| format!("{stem}-{n}")).find(|name| !taken.contains(name)).unwrap_or(stem);
                none.insert(self.storage.create(&free).map_err(StoreError::io(format!("create `{free}`")))?)
            }
        };
        let note = format!("{}\n", checkpoint.note());
        file.write(note.as_bytes()).map_err(StoreError::io("write a checkpoint"))?;
        file.sync().map_err(StoreError::io("sync a checkpoint"))?;
        self.storage.replace(LATEST, checkpoint.note().as_bytes()).map_err(StoreError::io(format!("write `{LATEST}`")))
    }
}

/// However the writer ends, nobody may wait for it or append to it afterwards.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.lock().state = State::Closed;
        self.0.done.notify_all();
    }
}
