//! Signs checkpoints, beside the writer and never in its way.
//!
//! What happens in what order: read back from the storage what was written since the last checkpoint, hash it again,
//! compare, sign, keep the note, tell the writer. What is signed is what the writer hashed when it wrote, whatever the
//! storage holds by then: a record that was changed meanwhile must not become the signed truth, and one that is gone must
//! stay provably missing. What must never happen: the writer waiting for any of this, or a difference that is not told.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::checkpoint::{Checkpoint, Signer};
use crate::encode::sequence_of;
use crate::error::StoreError;
use crate::recover::LATEST;
use crate::segment::{Frames, Header, Next, segments};
use crate::storage::{Appender, Storage};
use crate::store::{Shared, Trouble};
use crate::tree::Tree;

/// Prefix of files that hold checkpoints, one signed note after the other.
pub(crate) const CHECKPOINTS: &str = "checkpoints-";

/// What became of one checkpoint.
pub(crate) struct Outcome {
    pub(crate) kept: Result<Checkpoint, StoreError>,
    /// What the reading before it found; told once, also when the checkpoint is not kept.
    pub(crate) altered: Option<Trouble>,
}

/// The part that signs.
pub(crate) struct Publisher {
    storage: Arc<dyn Storage>,
    signer: Signer,
    read_back: ReadBack,
    checkpoints: Option<Box<dyn Appender>>,
}

impl Publisher {
    /// `found` is the tree over what a start has just read.
    pub(crate) fn new(storage: Arc<dyn Storage>, signer: Signer, found: Tree) -> Publisher {
        let read_back = ReadBack { storage: storage.clone(), tree: found, place: None };
        Publisher { storage, signer, read_back, checkpoints: None }
    }

    /// Signs each tree that comes, and leaves the outcome with the writer.
    pub(crate) fn run(mut self, trees: Receiver<Tree>, shared: &Arc<Shared>) {
        let _ended = Ended(shared);
        for written in trees {
            leave(shared, self.publish(&written));
        }
    }

    fn publish(&mut self, written: &Tree) -> Outcome {
        let altered = match self.read_back.compare(written, self.signer.public().name()) {
            Ok(altered) => altered,
            // Neither right nor wrong: it is tried again, and nothing is signed that was not looked at.
            Err(error) => return Outcome { kept: Err(error), altered: None },
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let checkpoint = self.signer.sign(written, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let kept = self.keep(&checkpoint).map(|()| checkpoint);
        if kept.is_err() {
            // The same rule as for segments: what failed once is not used again.
            self.checkpoints = None;
        }
        Outcome { kept, altered }
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

fn leave(shared: &Shared, outcome: Outcome) {
    shared.lock().outcomes.push(outcome);
    shared.wake.notify_one();
}

/// If this thread ends by a panic, the writer must not wait for its outcome for ever.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = StoreError::Failing("the thread that signs checkpoints ended unexpectedly".to_owned());
            leave(self.0, Outcome { kept: Err(error), altered: None });
        }
    }
}

/// What was read back so far.
struct ReadBack {
    storage: Arc<dyn Storage>,
    /// Over what was read, or over what was written where that could not be read.
    tree: Tree,
    /// Where reading goes on; unknown at first and behind damage.
    place: Option<Place>,
}

struct Place {
    first: u64,
    offset: u64,
}

/// Why a segment could not be read up to where it should.
enum Stop {
    /// The storage does not answer; it may do so later.
    Store(StoreError),
    /// It answers, and what it answers is not what was written.
    Altered(String),
}

impl ReadBack {
    /// Reads up to the size of `written`, all of which is durable, and says how it differs.
    fn compare(&mut self, written: &Tree, log: &str) -> Result<Option<Trouble>, StoreError> {
        let begun = self.tree.size() + 1;
        let listed = segments(&*self.storage).map_err(StoreError::io("list the audit directory"))?;
        let altered = |from, segment: &str, problem: String| {
            Some(Trouble::Altered { from, until: written.size(), segment: segment.to_owned(), problem })
        };
        let mut last = "";
        while self.tree.size() < written.size() {
            let next = self.tree.size() + 1;
            let Some(at) = listed.iter().rposition(|(first, _)| *first <= next) else {
                self.give_up(written);
                return Ok(altered(next, "", "the segment that holds it is not there any more".to_owned()));
            };
            let (first, name) = &listed[at];
            // A segment that failed may hold more than this, which the next one holds again.
            let end = listed.get(at + 1).map_or(written.size(), |(later, _)| written.size().min(later - 1));
            match self.segment(*first, name, end, log) {
                Ok(()) => last = name,
                Err(Stop::Store(error)) => return Err(error),
                Err(Stop::Altered(problem)) => {
                    let from = self.tree.size() + 1;
                    self.give_up(written);
                    return Ok(altered(from, name, problem));
                }
            }
        }
        if self.tree == *written {
            return Ok(None);
        }
        // Each frame is whole and in place, so reading can go on behind it.
        self.tree = written.clone();
        Ok(altered(begun, last, "a record is not what was written, though its checksum is right".to_owned()))
    }

    fn give_up(&mut self, written: &Tree) {
        self.tree = written.clone();
        self.place = None;
    }

    /// Reads the records of one segment up to `end`.
    fn segment(&mut self, first: u64, name: &str, end: u64, log: &str) -> Result<(), Stop> {
        let offset = self.place.as_ref().filter(|place| place.first == first).map_or(0, |place| place.offset);
        let input = match self.storage.read(name, offset) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(altered("it is not there any more")),
            other => other.map_err(StoreError::io(format!("open `{name}`"))).map_err(Stop::Store)?,
        };
        let mut frames = Frames::at(input, offset);
        let mut next = || match frames.next() {
            Ok(Next::Payload(payload)) => Ok((payload, frames.offset)),
            Ok(Next::End | Next::Torn { .. }) => Err(altered("it ends too early")),
            Ok(Next::Damaged(problem)) => Err(Stop::Altered(format!("byte {}: {problem}", frames.offset))),
            Err(error) => Err(Stop::Store(StoreError::io(format!("read `{name}`"))(error))),
        };
        let mut place = self.tree.size() + 1;
        if offset == 0 {
            let (_, before) = Header::decode(&next()?.0, Some(log), first).map_err(Stop::Altered)?;
            if first == place && before != self.tree {
                return Err(altered("the tree in its header is not that of the records before it"));
            }
            place = first;
        }
        while place <= end {
            let (payload, offset) = next()?;
            if sequence_of(&payload) != Some(place) {
                return Err(Stop::Altered(format!("record {place} is not where it belongs")));
            }
            if place > self.tree.size() {
                self.tree.push(&payload);
                self.place = Some(Place { first, offset });
            }
            place += 1;
        }
        Ok(())
    }
}

fn altered(problem: &str) -> Stop {
    Stop::Altered(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::crash_tests::{Key, event, options, records};
    use crate::segment::{file_name, payloads, seal_frames};
    use crate::storage::{Fault, Forgetful};
    use crate::store::{Options, Store, Urgency};
    use crate::verify::verify_in;

    /// A store that signs whenever it may, on this disk, and what it told.
    struct Live {
        disk: Forgetful,
        key: Key,
        store: Store,
        told: Arc<Mutex<Vec<Trouble>>>,
        published: Arc<Mutex<u64>>,
        size: u64,
    }

    impl Live {
        fn new(options: Options) -> Live {
            let (disk, key) = (Forgetful::default(), Key::new());
            let (told, published) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
            let watcher = (told.clone(), published.clone());
            let watcher = move |mark: crate::Watermark| {
                *watcher.1.lock().unwrap() = mark.published;
                watcher.0.lock().unwrap().extend(mark.trouble);
            };
            let storage = Arc::new(disk.clone());
            let (store, _) = Store::start(storage, key.signer(), None, options, Box::new(watcher)).unwrap();
            Live { disk, key, store, told, published, size: 0 }
        }

        fn append(&mut self, count: u64) {
            for _ in 0..count {
                self.size += 1;
                assert_eq!(self.store.append(&event(self.size), Urgency::Durable).unwrap(), self.size);
                self.store.wait_durable(self.size, Duration::from_secs(10)).unwrap();
            }
        }

        fn until(&self, what: &str, reached: impl Fn(&Live) -> bool) {
            let limit = Instant::now() + Duration::from_secs(20);
            while !reached(self) {
                assert!(Instant::now() < limit, "not within 20 s: {what}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }

        fn all_published(&self) {
            self.until("everything is published", |live| *live.published.lock().unwrap() == live.size);
        }
    }

    /// Signs as soon as it may.
    fn eager() -> Options {
        Options { checkpoint_every: Duration::from_millis(1), ..options() }
    }

    type Change = fn(&Forgetful);

    fn change_a_record(disk: &Forgetful) {
        let mut bytes = disk.contents(&file_name(1)).unwrap();
        let at = bytes.windows(8).position(|window| window == b"event 13").unwrap();
        bytes[at] = b'E';
        seal_frames(&mut bytes);
        disk.put(&file_name(1), bytes);
    }

    fn flip_a_bit(disk: &Forgetful) {
        let mut bytes = disk.contents(&file_name(1)).unwrap();
        let at = bytes.windows(8).position(|window| window == b"event 13").unwrap();
        bytes[at] ^= 1;
        disk.put(&file_name(1), bytes);
    }

    fn cut_a_record(disk: &Forgetful) {
        let mut bytes = disk.contents(&file_name(1)).unwrap();
        let length = payloads(&bytes).map(|payload| payload.len() + 8).take(13).sum();
        bytes.truncate(length);
        disk.put(&file_name(1), bytes);
    }

    fn delete_the_segment(disk: &Forgetful) {
        disk.delete(&file_name(1));
    }

    #[test]
    fn a_change_before_a_checkpoint_is_told_and_what_follows_stays_provable() {
        // The story: a bit of a record flipped between writing and signing in a public log; the tree that was signed over
        // it could never be proved again, and the log had to be given up.
        let changes: [(Change, u64); 4] =
            [(change_a_record, 11), (flip_a_bit, 13), (cut_a_record, 13), (delete_the_segment, 11)];
        for (change, first) in changes {
            let mut live = Live::new(Options { checkpoint_every: Duration::from_secs(2), ..options() });
            live.append(10);
            live.all_published();
            live.append(10);
            change(&live.disk);
            live.until("it is told", |live| !live.told.lock().unwrap().is_empty());
            live.all_published();
            live.append(10);
            let Live { disk, key, store, told, .. } = live;
            let last = store.close().unwrap();
            let told = told.lock().unwrap();
            let [Trouble::Altered { from, until, .. }] = &told[..] else { panic!("{told:?}") };
            assert_eq!((*from, *until), (first, 20), "{told:?}");
            assert!(told[0].to_string().contains("weir audit verify"));
            for external in [None, Some(&last)] {
                let report = verify_in(&disk, key.signer().public(), external, &mut |_, _| {}).unwrap();
                assert!(!report.is_sound() && report.findings.iter().all(|found| found.until <= 21), "{report:?}");
                assert_eq!((report.records, report.covered), (30, 30), "{report:?}");
            }
        }
    }

    #[test]
    fn rotation_restarts_and_failing_disks_are_no_false_alarm() {
        std::thread::scope(|scope| {
            for (from, length) in (1..30).step_by(2).flat_map(|from| [1, 3].map(|length| (from, length))) {
                scope.spawn(move || {
                    let mut live = Live::new(Options { segment_bytes_max: 700, ..eager() });
                    for round in 0..3 {
                        if round > 0 {
                            live.disk.set_fault(Fault::Between { from, to: from + length });
                        }
                        while live.store.durable() < 10 * (round + 1) {
                            match live.store.append(&event(live.size + 1), Urgency::Durable) {
                                Ok(_) => {
                                    live.size += 1;
                                    live.store.wait_durable(live.size, Duration::from_secs(20)).unwrap();
                                }
                                Err(StoreError::Failing(_)) => std::thread::sleep(Duration::from_millis(1)),
                                Err(other) => panic!("{other}"),
                            }
                        }
                        live.disk.set_fault(Fault::None);
                        live.all_published();
                    }
                    let last = live.store.close().unwrap();
                    let told = live.told.lock().unwrap();
                    assert!(!told.iter().any(|told| matches!(told, Trouble::Altered { .. })), "{told:?}");
                    assert_eq!(records(&live.disk.after_power_cut()), 30);
                    let report =
                        verify_in(&live.disk, live.key.signer().public(), Some(&last), &mut |_, _| {}).unwrap();
                    assert!(report.is_sound() && report.covered == 30, "{report:?}");
                });
            }
        });
    }

    #[test]
    fn what_cannot_be_read_is_not_signed_and_told_once_until_it_can() {
        let mut live = Live::new(eager());
        live.append(5);
        live.all_published();
        live.disk.set_fault(Fault::Unreadable);
        live.append(5);
        live.until("it is told", |live| !live.told.lock().unwrap().is_empty());
        let tried = Instant::now();
        live.until("it was tried again", |_| tried.elapsed() > Duration::from_millis(50));
        assert_eq!(*live.published.lock().unwrap(), 5);
        live.disk.set_fault(Fault::None);
        live.all_published();
        let told = live.told.lock().unwrap().clone();
        assert!(matches!(&told[..], [Trouble::Unsigned { reason }] if reason.contains("simulated fault")), "{told:?}");
        live.store.close().unwrap();
    }

    /// A disk on which reading hangs while the lock is held.
    struct Hanging(Forgetful, Arc<Mutex<()>>);

    impl Storage for Hanging {
        fn list(&self) -> std::io::Result<Vec<String>> {
            self.0.list()
        }

        fn read(&self, name: &str, offset: u64) -> std::io::Result<Box<dyn std::io::Read + Send>> {
            drop(self.1.lock().unwrap());
            self.0.read(name, offset)
        }

        fn create(&self, name: &str) -> std::io::Result<Box<dyn Appender>> {
            self.0.create(name)
        }

        fn rename(&self, from: &str, to: &str) -> std::io::Result<()> {
            self.0.rename(from, to)
        }

        fn remove(&self, name: &str) -> std::io::Result<()> {
            self.0.remove(name)
        }
    }

    #[test]
    fn appending_does_not_wait_for_a_checkpoint() {
        let lock = Arc::new(Mutex::new(()));
        let (disk, key) = (Forgetful::default(), Key::new());
        let storage = Arc::new(Hanging(disk.clone(), lock.clone()));
        let published = Arc::new(Mutex::new(0));
        let seen = published.clone();
        let watcher = move |mark: crate::Watermark| *seen.lock().unwrap() = mark.published;
        let (store, _) = Store::start(storage, key.signer(), None, eager(), Box::new(watcher)).unwrap();
        let hangs = lock.lock().unwrap();
        for n in 1..=50 {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, Duration::from_secs(10)).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(*published.lock().unwrap(), 0, "a checkpoint was due and has not come");
        drop(hangs);
        assert_eq!(store.close().unwrap().size(), 50);
        assert_eq!(*published.lock().unwrap(), 50);
    }
}
