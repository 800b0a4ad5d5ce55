//! The one thread that writes: group commit, rotation, when to sign, and what to do when the disk says no.
//!
//! Order of one commit: take everything that waits, write it once, sync once, only then move the watermark. What must
//! never happen: a segment used again after a failed write or sync (the kernel drops the bytes and reports success the
//! next time), a checkpoint over what is not durable, or a caller kept waiting.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::checkpoint::{Checkpoint, Signer};
use crate::error::StoreError;
use crate::publish::{Outcome, Publisher};
use crate::recover::Found;
use crate::segment::{Header, file_name, payloads, seal_frames};
use crate::storage::{Appender, Storage};
use crate::store::{Shared, State, Trouble, Watcher, Watermark};
use crate::tree::Tree;

/// Checkpoints are never closer than this: each costs several syncs and reads what it is over, and under load there would
/// be one per commit.
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
    /// Name of the log.
    log: String,
    watcher: Watcher,
    /// Tree over what is durable.
    tree: Tree,
    segment: Option<Segment>,
    /// The next segment replaces what a failed one holds from its first sequence on.
    after_failure: bool,
    /// Name of a segment that failed before any of its records was durable.
    worthless: Option<String>,
    signed: u64,
    signing: Signing,
    /// The last attempt to sign failed and that was told.
    unsigned: bool,
}

/// The thread that signs, and what it was given.
struct Signing {
    /// At most two wait in it: one that is due, and the last one when the store closes.
    trees: Option<Sender<Tree>>,
    thread: Option<JoinHandle<()>>,
    tried: Instant,
    at_work: bool,
}

/// What there is to do.
struct Taken {
    closing: bool,
    outcomes: Vec<Outcome>,
}

struct Segment {
    name: String,
    file: Box<dyn Appender>,
    bytes: u64,
    first: u64,
}

impl Writer {
    /// Starts the thread that signs as well.
    pub(crate) fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        signer: Signer,
        found: Found,
        watcher: Watcher,
    ) -> Result<Writer, StoreError> {
        let log = signer.public().name().to_owned();
        let publisher = Publisher::new(storage.clone(), signer, found.tree.clone());
        let (trees, due) = channel();
        let with = shared.clone();
        let thread = std::thread::Builder::new().name("audit-signer".to_owned());
        let thread =
            thread.spawn(move || publisher.run(due, &with)).map_err(StoreError::io("start the audit signer"))?;
        Ok(Writer {
            shared,
            storage,
            log,
            watcher,
            tree: found.tree,
            segment: None,
            after_failure: false,
            worthless: None,
            signed: found.signed,
            signing: Signing { trees: Some(trees), thread: Some(thread), tried: Instant::now(), at_work: false },
            unsigned: false,
        })
    }

    pub(crate) fn run(mut self) -> Result<Checkpoint, StoreError> {
        let shared = self.shared.clone();
        let ended = Ended(&shared);
        let mut batch = Vec::new();
        let written = loop {
            let Taken { closing, outcomes } = self.take(&mut batch);
            for outcome in outcomes {
                // A failure is tried again when due; `published` stays behind meanwhile.
                let _ = self.settle(outcome);
            }
            if !batch.is_empty() {
                seal_frames(&mut batch);
                if let Err(error) = self.commit(&batch) {
                    break Err(error);
                }
                batch.clear();
            }
            if closing {
                break Ok(());
            }
            if self.checkpoint_due_in().is_zero() {
                self.sign();
            }
        };
        drop(ended);
        let last = self.end(written);
        self.tell(State::Closed, None);
        last
    }

    /// Signs a last checkpoint, unless something could not be written, and waits for the thread that signs: whoever may
    /// still write must have ended before the directory is let go of.
    fn end(&mut self, written: Result<(), StoreError>) -> Result<Checkpoint, StoreError> {
        if written.is_ok() {
            self.sign();
        }
        self.signing.trees = None;
        if let Some(thread) = self.signing.thread.take() {
            // Should it have panicked, it left an outcome that says so.
            let _ = thread.join();
        }
        let mut last = Err(StoreError::Failing("no checkpoint could be signed".to_owned()));
        let outcomes = std::mem::take(&mut self.shared.lock().outcomes);
        for outcome in outcomes {
            last = self.settle(outcome);
        }
        written.and(last)
    }

    /// Waits for something to do and takes what waits.
    fn take(&mut self, batch: &mut Vec<u8>) -> Taken {
        let flush_every = self.shared.options.flush_every;
        let mut queue = self.shared.lock();
        loop {
            let flush_in = queue.since.map_or(IDLE, |since| flush_every.saturating_sub(since.elapsed()));
            let wait = flush_in.min(self.checkpoint_due_in());
            if queue.urgent || queue.closing || !queue.outcomes.is_empty() || wait.is_zero() {
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
        Taken { closing: queue.closing, outcomes: std::mem::take(&mut queue.outcomes) }
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
        self.tell(State::Open, None);
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
                let header = Header::new(&self.log, &self.tree, self.after_failure, &self.shared.options.product);
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
        self.tell(State::Failing { reason }, None);
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

    fn tell(&self, state: State, trouble: Option<Trouble>) {
        (self.watcher)(Watermark { durable: self.tree.size(), published: self.signed, state, trouble });
    }

    fn checkpoint_due_in(&self) -> Duration {
        if self.signing.at_work {
            return IDLE;
        }
        let options = &self.shared.options;
        let fresh = self.tree.size() - self.signed;
        let gap = match fresh {
            0 => return IDLE,
            fresh if fresh >= options.checkpoint_records => CHECKPOINT_GAP_MIN,
            _ => options.checkpoint_every,
        };
        gap.saturating_sub(self.signing.tried.elapsed())
    }

    /// Has the tree over what is durable signed.
    fn sign(&mut self) {
        self.signing.tried = Instant::now();
        let sent = self.signing.trees.as_ref().is_some_and(|trees| trees.send(self.tree.clone()).is_ok());
        self.signing.at_work = sent;
    }

    /// Notes what became of a checkpoint.
    fn settle(&mut self, outcome: Outcome) -> Result<Checkpoint, StoreError> {
        self.signing.at_work = false;
        let state = self.shared.lock().state.clone();
        if outcome.altered.is_some() {
            // What comes next goes where it can be proved without the segment that was changed.
            self.segment = None;
            self.tell(state.clone(), outcome.altered);
        }
        match outcome.kept {
            Ok(checkpoint) => {
                self.signed = checkpoint.size();
                self.unsigned = false;
                self.tell(state, None);
                Ok(checkpoint)
            }
            Err(error) => {
                // Told once for as long as it lasts; it is tried again whenever a checkpoint is due.
                if !std::mem::replace(&mut self.unsigned, true) {
                    self.tell(state, Some(Trouble::Unsigned { reason: error.to_string() }));
                }
                Err(error)
            }
        }
    }
}

/// However the writer ends, nobody may wait for it or append to it afterwards.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().state = State::Closed;
        self.0.done.notify_all();
    }
}
