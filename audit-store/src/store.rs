//! The handle that callers hold: encode, take a number, go on.
//!
//! An append never waits for the disk. Whatever keeps a record from being written (a full queue, a failing or hanging
//! disk, a closed store) is an error at once, and the caller's policy decides what that means.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, Signer};
use crate::encode::Encoded;
use crate::error::StoreError;
use crate::event::Event;
use crate::publish::Outcome;
use crate::recover::{Recovery, recover};
use crate::segment::{FRAME_HEAD_BYTES, begin_frame, end_frame};
use crate::storage::{Files, Storage};
use crate::writer::Writer;

/// How a store is to work.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory of the log; made when missing.
    pub dir: PathBuf,
    /// A segment is closed when it is longer, bytes.
    pub segment_bytes_max: u64,
    /// Longest time without a checkpoint while there are new records.
    pub checkpoint_every: Duration,
    /// Most new records without a checkpoint, except that checkpoints are never closer than 250 ms.
    pub checkpoint_records: u64,
    /// How long a relaxed record may wait before it is written.
    pub flush_every: Duration,
    /// A write or sync that takes longer counts as failed for those who want to append.
    pub sync_timeout: Duration,
    /// Most that may wait to be durable, bytes.
    pub queue_bytes_max: usize,
    /// Name and version of the product, for segment headers.
    pub product: String,
}

impl Options {
    /// The defaults, for this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Options {
        Options {
            dir: dir.into(),
            segment_bytes_max: 64 << 20,
            checkpoint_every: Duration::from_secs(60),
            checkpoint_records: 1000,
            flush_every: Duration::from_millis(20),
            sync_timeout: Duration::from_secs(5),
            queue_bytes_max: 64 << 20,
            product: "weir".to_owned(),
        }
    }
}

/// How soon a record must be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for it: wake the writer now.
    Durable,
    /// Within [`Options::flush_every`].
    Relaxed,
}

/// Whether records are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// They are.
    Open,
    /// Not now; what was taken before is kept and tried again.
    Failing {
        /// What failed.
        reason: String,
    },
    /// Never again.
    Closed,
}

/// What the writer tells after each group commit and each change of state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Every record up to this sequence is durable.
    pub durable: u64,
    /// Every record up to this sequence is under a signed checkpoint.
    pub published: u64,
    /// Whether records are taken.
    pub state: State,
    /// What was found wrong about the proofs, told once in the call that brings it; somebody should be alerted.
    pub trouble: Option<Trouble>,
}

/// What is wrong about the proofs while records are still taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was read back before a checkpoint is not what was written. The checkpoint is signed over what was written,
    /// so that the difference can be proved; what comes next goes to a segment of its own.
    Altered {
        /// First sequence that may be affected.
        from: u64,
        /// Last sequence that may be affected.
        until: u64,
        /// File in which it shows; empty when that is gone.
        segment: String,
        /// What it is.
        problem: String,
    },
    /// No checkpoint could be signed or kept. It is tried again; `published` stays behind meanwhile.
    Unsigned {
        /// What failed.
        reason: String,
    },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Altered { from, until, segment, problem } => write!(
                f,
                "the audit log was changed behind Weir's back: records {from} to {until} (`{segment}`): {problem}; \
                 keep a copy as it is and run `weir audit verify`"
            ),
            Trouble::Unsigned { reason } => write!(f, "no checkpoint over the audit log could be signed: {reason}"),
        }
    }
}

/// Called by the writer thread; must return soon, since nothing is written meanwhile.
pub type Watcher = Box<dyn Fn(Watermark) + Send + Sync>;

/// An audit log that is open for appending. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<Result<Checkpoint, StoreError>>>>,
}

/// What callers and the writer thread share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// The writer sleeps here.
    pub(crate) wake: Condvar,
    /// Those who wait for durability sleep here.
    pub(crate) done: Condvar,
    pub(crate) durable: AtomicU64,
    /// Since when the disk is busy, microseconds after `born`, plus one; 0 when it is not.
    pub(crate) busy_since_us: AtomicU64,
    pub(crate) born: Instant,
    pub(crate) options: Options,
}

/// What waits for the writer.
pub(crate) struct Queue {
    /// Frames without checksums.
    pub(crate) frames: Vec<u8>,
    /// When the first of them came.
    pub(crate) since: Option<Instant>,
    /// What the writer has taken and not yet made durable, bytes.
    pub(crate) in_flight_bytes: usize,
    pub(crate) next: u64,
    pub(crate) urgent: bool,
    pub(crate) closing: bool,
    pub(crate) state: State,
    /// What became of checkpoints since the writer looked last; at most two.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while the lock was held cannot leave half a frame that is counted: the writer sees whole frames only.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn hanging(&self) -> bool {
        let since = self.busy_since_us.load(Ordering::Acquire);
        let limit = u64::try_from(self.options.sync_timeout.as_micros()).unwrap_or(u64::MAX);
        since != 0 && self.now_us().saturating_sub(since - 1) > limit
    }

    fn state(&self, queue: &Queue) -> State {
        if queue.state == State::Open && self.hanging() {
            let reason = format!("a write takes longer than {:?}", self.options.sync_timeout);
            return State::Failing { reason };
        }
        queue.state.clone()
    }
}

impl Store {
    /// Opens or makes the log in a directory and starts its writer.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Damaged`] and
    /// [`StoreError::CheckpointDisagrees`] when its end was changed, [`StoreError::Key`] when the key cannot be used.
    pub fn open(options: Options, watcher: Watcher) -> Result<(Store, Recovery), StoreError> {
        let dir = &options.dir;
        let told = |what: &str| StoreError::io(format!("{what} `{}`", dir.display()));
        fs::create_dir_all(dir.join("keys")).map_err(told("make"))?;
        let lock = File::options().create(true).truncate(false).write(true).open(dir.join("lock"));
        let lock = lock.map_err(told("make the lock file in"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(StoreError::Locked(dir.display().to_string())),
            Err(fs::TryLockError::Error(error)) => return Err(told("lock")(error)),
        }
        let storage = Files::new(dir);
        let fresh = crate::segment::segments(&storage).map_err(told("list"))?.is_empty();
        let signer = Signer::load(&dir.join("keys"), fresh)?;
        Store::start(Arc::new(storage), signer, Some(lock), options, watcher)
    }

    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        signer: Signer,
        lock: Option<File>,
        options: Options,
        watcher: Watcher,
    ) -> Result<(Store, Recovery), StoreError> {
        let found = recover(&*storage, signer.public())?;
        let recovery = Recovery {
            log: signer.public().name().to_owned(),
            last_sequence: found.tree.size(),
            last_root: STANDARD.encode(found.tree.root()),
            torn_bytes: found.torn_bytes,
            high_water_ms: found.high_water_ms,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                frames: Vec::new(),
                since: None,
                in_flight_bytes: 0,
                next: found.tree.size() + 1,
                urgent: false,
                closing: false,
                state: State::Open,
                outcomes: Vec::new(),
            }),
            wake: Condvar::new(),
            done: Condvar::new(),
            durable: AtomicU64::new(found.tree.size()),
            busy_since_us: AtomicU64::new(0),
            born: Instant::now(),
            options,
        });
        let writer = Writer::new(shared.clone(), storage, signer, found, watcher)?;
        let thread = std::thread::Builder::new().name("audit-writer".to_owned()).spawn(move || {
            // The lock is held for as long as something may be written.
            let _lock = lock;
            writer.run()
        });
        let thread = thread.map_err(StoreError::io("start the audit writer"))?;
        Ok((Store(Arc::new(Inner { shared, writer: Mutex::new(Some(thread)) })), recovery))
    }

    /// Takes an event and gives it its sequence. It is durable when the watermark has reached that.
    ///
    /// # Errors
    /// At once, and then the event is not in the log: too large, queue full, failing, closed.
    pub fn append(&self, event: &Event, urgency: Urgency) -> Result<u64, StoreError> {
        let shared = &self.0.shared;
        let encoded = Encoded::new(event)?;
        let mut queue = shared.lock();
        match shared.state(&queue) {
            State::Open => {}
            State::Failing { reason } => return Err(StoreError::Failing(reason)),
            State::Closed => return Err(StoreError::Closed),
        }
        let waiting = queue.frames.len() + queue.in_flight_bytes;
        if waiting + FRAME_HEAD_BYTES + encoded.bytes_max() > shared.options.queue_bytes_max {
            return Err(StoreError::QueueFull { bytes: waiting });
        }
        let sequence = queue.next;
        queue.next += 1;
        let at = begin_frame(&mut queue.frames);
        encoded.splice(sequence, &mut queue.frames);
        end_frame(&mut queue.frames, at);
        // One wake-up for the first of a batch, one when it becomes urgent, none for the rest.
        let first = queue.since.is_none();
        if first {
            queue.since = Some(Instant::now());
        }
        let hurry = urgency == Urgency::Durable || queue.frames.len() > shared.options.queue_bytes_max / 4;
        let wake = first || (hurry && !queue.urgent);
        queue.urgent |= hurry;
        drop(queue);
        if wake {
            shared.wake.notify_one();
        }
        Ok(sequence)
    }

    /// Every record up to this sequence is durable.
    pub fn durable(&self) -> u64 {
        self.0.shared.durable.load(Ordering::Acquire)
    }

    /// Whether records are taken.
    pub fn state(&self) -> State {
        let shared = &self.0.shared;
        shared.state(&shared.lock())
    }

    /// Waits until this sequence is durable; for callers without a watcher.
    ///
    /// # Errors
    /// [`StoreError::Timeout`] when it is not by then, [`StoreError::Closed`] when it never will be.
    pub fn wait_durable(&self, sequence: u64, limit: Duration) -> Result<(), StoreError> {
        let shared = &self.0.shared;
        let end = Instant::now() + limit;
        let mut queue = shared.lock();
        while self.durable() < sequence {
            if queue.state == State::Closed {
                return Err(StoreError::Closed);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(StoreError::Timeout(limit));
            }
            queue = shared.done.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Writes what waits, signs a last checkpoint over it and ends the writer. Other clones find the store closed.
    ///
    /// # Errors
    /// When something could not be written; what is durable stays.
    pub fn close(self) -> Result<Checkpoint, StoreError> {
        self.0.shared.begin_closing();
        let thread = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = thread.ok_or(StoreError::Closed)?;
        thread.join().unwrap_or_else(|_| Err(StoreError::Failing("the audit writer ended unexpectedly".to_owned())))
    }
}

impl Shared {
    fn begin_closing(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Not joined: a hanging disk must not hang whoever lets go of the last handle.
        self.shared.begin_closing();
    }
}
