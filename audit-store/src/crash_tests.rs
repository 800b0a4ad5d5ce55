//! Crash tests of writer and recovery on a storage that forgets what was not synced.
//!
//! Each asks for the same three things: what was acknowledged is there, sequences have no gap, and the log goes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checkpoint::Signer;
use crate::event::{Body, Event, Shutdown};
use crate::reader::Reader;
use crate::recover::recover;
use crate::segment::{Frames, Next, file_name};
use crate::storage::{Fault, Forgetful};
use crate::store::{Options, State, Store, Urgency};

/// A signer that any number of stores can have.
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn new() -> Key {
        Key(Signer::generate().unwrap().1)
    }

    pub(crate) fn signer(&self) -> Signer {
        Signer::parse(&self.0).unwrap()
    }
}

pub(crate) fn event(n: u64) -> Event {
    Event::new(n, 1_000 + n, "b", Body::Shutdown(Shutdown { reason: format!("event {n}") }))
}

pub(crate) fn options() -> Options {
    Options { checkpoint_every: Duration::from_secs(3600), checkpoint_records: u64::MAX, ..Options::new("unused") }
}

pub(crate) fn start(storage: &Forgetful, key: &Key, options: Options) -> Store {
    Store::start(Arc::new(storage.clone()), key.signer(), None, options, Box::new(|_| {})).unwrap().0
}

/// Reads all and checks that record n is event n.
pub(crate) fn records(storage: &Forgetful) -> u64 {
    let mut reader = Reader::over(Arc::new(storage.clone()), 1);
    let mut count = 0;
    while let Some(record) = reader.next_record().unwrap() {
        count += 1;
        assert_eq!((record.seq, record.event), (count, event(count)));
    }
    count
}

/// Appends and waits, one by one, until `until` or until the store fails. Returns the highest acknowledged.
fn append_until_failure(store: &Store, until: u64) -> u64 {
    for n in store.durable() + 1..=until {
        let Ok(sequence) = store.append(&event(n), Urgency::Durable) else { break };
        assert_eq!(sequence, n);
        while store.durable() < n {
            if store.state() != State::Open {
                return store.durable();
            }
            std::thread::yield_now();
        }
    }
    store.durable()
}

#[test]
fn every_prefix_of_a_segment_is_a_crash_that_recovers() {
    let (disk, key) = (Forgetful::default(), Key::new());
    let store = start(&disk, &key, options());
    for n in 1..=200 {
        store.append(&event(n), Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    let name = file_name(1);
    let whole = disk.contents(&name).unwrap();
    let mut frames = Frames::new(&whole[..]);
    let mut borders = Vec::new();
    while let Next::Payload(_) = frames.next().unwrap() {
        borders.push(usize::try_from(frames.offset).unwrap());
    }
    assert_eq!((borders.len(), borders[200]), (201, whole.len()));
    let public = key.signer().public().clone();
    for length in 0..=whole.len() {
        let cut = Forgetful::default();
        cut.put(&name, whole[..length].to_vec());
        let found = recover(&cut, &public).unwrap();
        let complete = borders.iter().filter(|border| **border <= length).count();
        let (kept, border) = (complete.saturating_sub(1), if complete == 0 { 0 } else { borders[complete - 1] });
        assert_eq!(found.tree.size(), u64::try_from(kept).unwrap(), "cut at {length}");
        assert_eq!(found.torn_bytes, u64::try_from(length - border).unwrap(), "cut at {length}");
        if kept > 0 {
            assert_eq!(found.high_water_ms, 1_000 + found.tree.size());
        }
        if length % 101 == 0 {
            let store = start(&cut, &key, options());
            let next = found.tree.size() + 1;
            assert_eq!(store.append(&event(next), Urgency::Durable).unwrap(), next);
            store.close().unwrap();
            assert_eq!(records(&cut.after_power_cut()), next, "cut at {length}");
        }
    }
}

#[test]
fn a_process_that_dies_at_any_operation_loses_nothing_acknowledged() {
    let key = Key::new();
    for after in 0..100 {
        let disk = Forgetful::default();
        let small = Options { segment_bytes_max: 1500, ..options() };
        let store = start(&disk, &key, small.clone());
        disk.set_fault(Fault::Dead { after });
        let acknowledged = append_until_failure(&store, 60);
        // A close that succeeds has met no failure.
        assert!(store.close().is_err() || disk.operations() <= after);
        for found in [disk.after_kill(), disk.after_power_cut()] {
            let store = start(&found, &key, small.clone());
            assert!(store.durable() >= acknowledged, "dead after {after}: {} < {acknowledged}", store.durable());
            let next = store.durable() + 1;
            store.append(&event(next), Urgency::Durable).unwrap();
            store.close().unwrap();
            assert_eq!(records(&found.after_power_cut()), next, "dead after {after}");
        }
    }
}

#[test]
fn a_recovery_that_dies_at_any_operation_loses_nothing() {
    let (disk, key) = (Forgetful::default(), Key::new());
    let store = start(&disk, &key, options());
    assert_eq!(append_until_failure(&store, 20), 20);
    let torn = disk.after_kill();
    let mut bytes = torn.contents(&file_name(1)).unwrap();
    bytes.extend_from_slice(&[9, 0, 0, 0, 1, 2]);
    torn.put(&file_name(1), bytes);
    for after in 0..20 {
        let found = torn.after_kill();
        found.set_fault(Fault::Dead { after });
        let _ = recover(&found, key.signer().public());
        let again = found.after_power_cut();
        assert_eq!(recover(&again, key.signer().public()).unwrap().tree.size(), 20, "dead after {after}");
        assert_eq!(records(&again), 20);
    }
}

#[test]
fn a_disk_that_fails_for_a_while_heals_without_restart_and_is_never_synced_again() {
    // The story: after a failed fdatasync the kernel forgets the pages and reports success on the next one, so a record
    // that was "synced" on the second attempt is gone after a power cut.
    let key = Key::new();
    // Each case mostly waits for the writer's pauses, so they run side by side.
    std::thread::scope(|scope| {
        for (from, length) in (1..40).flat_map(|from| [1, 2, 3].map(|length| (from, length))) {
            let key = &key;
            scope.spawn(move || heals(key, from, length));
        }
    });
}

fn heals(key: &Key, from: usize, length: usize) {
    let disk = Forgetful::default();
    let store = start(&disk, key, Options { segment_bytes_max: 1500, ..options() });
    disk.set_fault(Fault::Between { from, to: from + length });
    let limit = Instant::now() + Duration::from_secs(30);
    let mut taken = 0;
    while store.durable() < 25 {
        // One commit for each record, so that the faults hit as many different operations as there can be.
        if store.durable() == taken && taken < 25 {
            match store.append(&event(taken + 1), Urgency::Durable) {
                Ok(sequence) => {
                    taken += 1;
                    assert_eq!(sequence, taken);
                }
                Err(crate::StoreError::Failing(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert!(Instant::now() < limit, "does not heal after faults {from}+{length}");
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(records(&disk.after_power_cut()), 25, "faults {from}+{length}");
    // The last checkpoint may be what fails; the records do not depend on it.
    let _ = store.close();
    assert_eq!(disk.touched_after_failed_sync(), 0, "faults {from}+{length}");
}

#[test]
fn what_a_start_found_outlives_a_power_cut() {
    // The story: a sync failed, the process was killed, the machine went on. The page cache shows records to the next
    // process that the disk does not hold; if that one builds on them, a power cut leaves a hole.
    let (disk, key) = (Forgetful::default(), Key::new());
    let store = start(&disk, &key, options());
    assert_eq!(append_until_failure(&store, 5), 5);
    disk.set_fault(Fault::Dead { after: 1 });
    assert_eq!(append_until_failure(&store, 6), 5);
    assert!(store.close().is_err());
    disk.set_fault(Fault::None);
    assert_eq!(recover(&disk.after_power_cut(), key.signer().public()).unwrap().tree.size(), 5);
    let store = start(&disk, &key, options());
    assert_eq!(store.durable(), 6, "a complete record is never dropped");
    store.append(&event(7), Urgency::Durable).unwrap();
    store.close().unwrap();
    assert_eq!(records(&disk.after_power_cut()), 7);
}

#[test]
fn a_failing_store_refuses_at_once_and_says_why() {
    let (disk, key) = (Forgetful::default(), Key::new());
    let store = start(&disk, &key, options());
    disk.set_fault(Fault::Dead { after: 0 });
    assert_eq!(append_until_failure(&store, 3), 0);
    let State::Failing { reason } = store.state() else { panic!("{:?}", store.state()) };
    assert!(reason.contains("simulated fault") && reason.contains(&file_name(1)), "{reason}");
    let begun = Instant::now();
    assert!(store.append(&event(9), Urgency::Durable).is_err());
    assert!(begun.elapsed() < Duration::from_millis(500));
    assert!(store.clone().close().is_err());
    assert!(matches!(store.append(&event(9), Urgency::Durable), Err(crate::StoreError::Closed)));
}

#[test]
fn a_disk_that_hangs_is_an_error_at_once_and_heals() {
    let (disk, key) = (Forgetful::default(), Key::new());
    let store = start(&disk, &key, Options { sync_timeout: Duration::from_millis(50), ..options() });
    disk.set_fault(Fault::Slow(Duration::from_secs(2)));
    store.append(&event(1), Urgency::Durable).unwrap();
    let begun = Instant::now();
    while store.state() == State::Open {
        assert!(begun.elapsed() < Duration::from_millis(1500), "nobody notices");
        std::thread::sleep(Duration::from_millis(5));
    }
    let asked = Instant::now();
    assert!(matches!(store.append(&event(2), Urgency::Durable), Err(crate::StoreError::Failing(_))));
    assert!(asked.elapsed() < Duration::from_millis(500) && store.durable() == 0);
    disk.set_fault(Fault::None);
    store.wait_durable(1, Duration::from_secs(20)).unwrap();
    assert_eq!(store.state(), State::Open);
    assert_eq!(store.append(&event(2), Urgency::Durable).unwrap(), 2);
    store.close().unwrap();
    assert_eq!(records(&disk.after_power_cut()), 2);
}

#[test]
fn a_full_queue_is_an_error_and_costs_no_sequence() {
    let (disk, key) = (Forgetful::default(), Key::new());
    let slow = Options { queue_bytes_max: 1000, flush_every: Duration::from_secs(3600), ..options() };
    let store = start(&disk, &key, slow);
    disk.set_fault(Fault::Between { from: 1, to: 3 });
    let mut taken = 0;
    while taken < 25 {
        match store.append(&event(taken + 1), Urgency::Relaxed) {
            Ok(sequence) => {
                taken += 1;
                assert_eq!(sequence, taken);
            }
            Err(crate::StoreError::QueueFull { bytes }) => assert!(bytes <= 1000),
            Err(crate::StoreError::Failing(_)) => std::thread::sleep(Duration::from_millis(1)),
            Err(other) => panic!("{other}"),
        }
    }
    store.close().unwrap();
    assert_eq!(records(&disk.after_power_cut()), 25);
}
