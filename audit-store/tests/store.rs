//! The store on a real directory, through its public face only.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use support::{Dir, any_event};
use weir_audit_store::event::{Body, SessionStart};
use weir_audit_store::{
    Event, Ocsf, Options, ReadError, Reader, Record, State, Store, StoreError, Trouble, Urgency, Watermark, verify,
};

const WAIT: Duration = Duration::from_secs(30);

fn event(n: u64) -> Event {
    Event::new(n, n, "boot", Body::SessionStart(SessionStart::default()))
}

#[test]
fn a_log_goes_on_after_a_restart_and_verifies() {
    let dir = Dir::new("restart");
    let mut last = None;
    for round in 0..3 {
        let (store, recovery) = Store::open(Options::new(&dir.0), Box::new(|_| {})).unwrap();
        assert_eq!((recovery.last_sequence, recovery.torn_bytes), (round * 10, 0));
        assert_eq!(recovery.high_water_ms, round * 10);
        for n in round * 10 + 1..=round * 10 + 10 {
            assert_eq!(store.append(&event(n), Urgency::Relaxed).unwrap(), n);
        }
        last = Some(store.close().unwrap());
    }
    let report = verify(&dir.0, &dir.key(), last.as_ref()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.covered, report.checkpoints), (30, 30, 3));
    let read: Vec<u64> = dir.records().iter().map(|record| record.seq).collect();
    assert_eq!(read, (1..=30).collect::<Vec<_>>());
}

#[test]
fn two_writers_are_refused_and_the_first_goes_on() {
    let dir = Dir::new("lock");
    let first = dir.open();
    assert!(matches!(dir.try_open(), Err(StoreError::Locked(_))));
    first.append(&event(1), Urgency::Durable).unwrap();
    first.wait_durable(1, WAIT).unwrap();
    first.close().unwrap();
    assert_eq!(dir.open().durable(), 1);
}

#[test]
fn a_start_over_a_rolled_back_log_is_refused() {
    let dir = Dir::new("rollback");
    let store = dir.open();
    store.append(&event(1), Urgency::Relaxed).unwrap();
    store.close().unwrap();
    std::fs::remove_file(dir.0.join("00000000000000000001.log")).unwrap();
    assert!(matches!(dir.try_open(), Err(StoreError::CheckpointDisagrees { signed: 1, .. })));
}

#[test]
fn a_damaged_end_is_refused_and_left_as_it_is() {
    let dir = Dir::new("damage");
    let store = dir.open();
    for n in 1..=3 {
        store.append(&event(n), Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    let path = dir.0.join("00000000000000000001.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(dir.try_open(), Err(StoreError::Damaged { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn relaxed_records_become_durable_without_anybody_urging() {
    let dir = Dir::new("relaxed");
    let store = dir.open();
    let begun = Instant::now();
    let sequence = store.append(&event(1), Urgency::Relaxed).unwrap();
    store.wait_durable(sequence, WAIT).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(15), "it waits for company: {:?}", begun.elapsed());
}

#[test]
fn the_watcher_sees_every_record_become_durable_then_published_then_the_end() {
    let dir = Dir::new("watcher");
    let seen = Arc::new(Mutex::new(Vec::<Watermark>::new()));
    let watcher = seen.clone();
    let options = Options { checkpoint_every: Duration::from_millis(1), ..Options::new(&dir.0) };
    let (store, _) = Store::open(options, Box::new(move |mark| watcher.lock().unwrap().push(mark))).unwrap();
    for n in 1..=5 {
        store.append(&event(n), Urgency::Durable).unwrap();
        store.wait_durable(n, WAIT).unwrap();
    }
    store.close().unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen.windows(2).all(|pair| pair[0].durable <= pair[1].durable && pair[0].published <= pair[1].published));
    assert!(seen.iter().all(|mark| mark.published <= mark.durable));
    assert_eq!(seen.last(), Some(&Watermark { durable: 5, published: 5, state: State::Closed, trouble: None }));
}

#[test]
fn sixty_four_threads_share_one_sequence_and_lose_nothing() {
    let dir = Dir::new("threads");
    let store = dir.open();
    std::thread::scope(|scope| {
        for thread in 0..64 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..50 {
                    let urgency = if n % 7 == 0 { Urgency::Durable } else { Urgency::Relaxed };
                    store.append(&event(thread * 50 + n), urgency).unwrap();
                }
            });
        }
    });
    store.close().unwrap();
    let records = dir.records();
    assert!(records.iter().map(|record| record.seq).eq(1..=3200));
    let mut events: Vec<u64> = records.iter().map(|record| record.event.time_ms).collect();
    events.sort_unstable();
    assert!(events.into_iter().eq(0..3200));
}

#[test]
fn letting_go_of_the_last_handle_still_writes_what_was_taken() {
    let dir = Dir::new("drop");
    let store = dir.open();
    store.append(&event(1), Urgency::Relaxed).unwrap();
    drop(store);
    let limit = Instant::now() + WAIT;
    let store = loop {
        match dir.try_open() {
            Ok(store) => break store,
            Err(StoreError::Locked(_)) if Instant::now() < limit => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(store.durable(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_event_comes_back_from_its_one_line(seq in any::<u64>(), event in any_event()) {
        let record = Record { seq, event };
        let line = record.to_line().unwrap();
        prop_assert!(!line.chars().any(char::is_control));
        prop_assert_eq!(Record::decode(line.as_bytes()).unwrap(), record);
    }
}

/// What the second verifier says; it knows the format only from the document.
fn second_opinion(dir: &Dir, external: Option<&std::path::Path>) -> (bool, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/second_verifier.py");
    let output = std::process::Command::new("python3").arg(script).arg(&dir.0).args(external).output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_verifier_that_shares_no_code_agrees() {
    let dir = Dir::new("second");
    let mut last = None;
    for round in 0..3 {
        let options = Options { segment_bytes_max: 400, ..Options::new(&dir.0) };
        let (store, _) = Store::open(options, Box::new(|_| {})).unwrap();
        for n in round * 7 + 1..=round * 7 + 7 {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, WAIT).unwrap();
        }
        last = Some(store.close().unwrap());
    }
    let external = dir.0.join("external");
    std::fs::write(&external, last.unwrap().note()).unwrap();
    assert_eq!(second_opinion(&dir, Some(&external)), (true, "sound 21 21\n".to_owned()));

    let mut segments: Vec<PathBuf> = std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|suffix| suffix == "log"));
    segments.sort();
    for segment in segments {
        let whole = std::fs::read(&segment).unwrap();
        for at in (0..whole.len()).step_by(97) {
            let mut changed = whole.clone();
            changed[at] ^= 16;
            std::fs::write(&segment, changed).unwrap();
            let ours = verify(&dir.0, &dir.key(), None).unwrap();
            let (sound, told) = second_opinion(&dir, None);
            assert!(!ours.is_sound() && !sound, "byte {at} of {}: {ours:?}; {told}", segment.display());
        }
        std::fs::write(&segment, whole).unwrap();
    }
    assert!(second_opinion(&dir, None).0);
}

#[test]
fn a_change_under_a_running_store_is_told_and_found_by_both_verifiers() {
    let dir = Dir::new("live");
    let (sender, told) = std::sync::mpsc::channel();
    let watcher = move |mark: Watermark| {
        if let Some(trouble) = mark.trouble {
            sender.send(trouble).unwrap();
        }
    };
    let options = Options { checkpoint_every: Duration::from_secs(3), ..Options::new(&dir.0) };
    let (store, _) = Store::open(options, Box::new(watcher)).unwrap();
    let append = |numbers: std::ops::RangeInclusive<u64>| {
        for n in numbers {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, WAIT).unwrap();
        }
    };
    append(1..=20);
    // Somebody with a shell opens the file that is being written, and changes a digit of a time.
    let path = dir.0.join("00000000000000000001.log");
    let bytes = std::fs::read(&path).unwrap();
    let needle = b"\"time_ms\":13,";
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap() + needle.len() - 2;
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"4", u64::try_from(at).unwrap()).unwrap();
    let trouble = told.recv_timeout(WAIT).unwrap();
    assert!(matches!(&trouble, Trouble::Altered { from: 13, until: 20, .. }), "{trouble:?}");
    append(21..=30);
    let last = store.close().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [], "told once");

    let report = verify(&dir.0, &dir.key(), Some(&last)).unwrap();
    assert_eq!((report.findings.len(), report.records, report.covered), (1, 30, 30), "{report:?}");
    assert_eq!((report.findings[0].from, report.findings[0].until), (13, 20));
    assert!(!second_opinion(&dir, None).0);
    assert_eq!(dir.try_open().unwrap().durable(), 30, "what came after the change is sound, so the log goes on");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_a_log_can_be_read_to_its_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3, prop::collection::vec(any::<u8>(), 0..40)), 1..6),
    ) {
        let dir = Dir::new("mutated");
        let store = Store::open(Options { segment_bytes_max: 2000, ..Options::new(&dir.0) }, Box::new(|_| {})).unwrap().0;
        for n in 1..=40 {
            store.append(&event(n), Urgency::Relaxed).unwrap();
        }
        store.close().unwrap();
        let path = dir.0.join("00000000000000000001.log");
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, how, junk) in changes {
            let at = place.index(bytes.len().max(1)).min(bytes.len());
            let end = (at + junk.len()).min(bytes.len());
            match how {
                0 => drop(bytes.splice(at..end, junk)),
                1 => drop(bytes.splice(at..at, junk)),
                _ => drop(bytes.drain(at..end)),
            }
        }
        std::fs::write(&path, bytes).unwrap();
        // Damaged or not, each ends, and says nothing that is unsafe to show.
        let report = verify(&dir.0, &dir.key(), None).unwrap();
        prop_assert!(report.records <= 40);
        let mut reader = Reader::open(&dir.0, 1).unwrap();
        let ocsf = Ocsf::new("0");
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 100, "the reader does not come to an end");
            match reader.next_entry() {
                Ok(Some(entry)) => {
                    let safe = |line: String| line.chars().all(weir_audit_store::is_safe_to_show);
                    prop_assert!(safe(entry.line().unwrap()) && safe(ocsf.line(&entry).unwrap()));
                }
                Ok(None) => break,
                Err(ReadError::Damaged { .. }) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }
}
