//! Every way to falsify a log that we could think of, and that `verify` finds it; and that it does not cry wolf.

use std::time::Duration;

use crate::checkpoint::Checkpoint;
use crate::crash_tests::{Key, event, options, records, start};
use crate::recover::LATEST;
use crate::segment::{FRAME_HEAD_BYTES, begin_frame, end_frame, file_name, payloads, seal_frames};
use crate::storage::{Fault, Forgetful, Storage as _};
use crate::store::{Options, Urgency};
use crate::tree::Tree;
use crate::verify::{Report, verify_in};

/// A log of 40 records in segments of about 10, closed and opened half-way, so that there are two checkpoints.
fn log() -> (Forgetful, Key, Checkpoint) {
    let (disk, key) = (Forgetful::default(), Key::new());
    let mut last = None;
    for half in 0..2 {
        let store = start(&disk, &key, Options { segment_bytes_max: 1000, ..options() });
        for n in half * 20 + 1..=half * 20 + 20 {
            store.append(&event(n), Urgency::Durable).unwrap();
            store.wait_durable(n, Duration::from_secs(10)).unwrap();
        }
        last = Some(store.close().unwrap());
    }
    (disk, key, last.unwrap())
}

fn report(disk: &Forgetful, key: &Key, external: Option<&Checkpoint>) -> Report {
    verify_in(disk, key.signer().public(), external, &mut |_, _| {}).unwrap()
}

fn names(disk: &Forgetful) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".log"));
    names.sort();
    names
}

/// Changes the payloads of a segment (0 is the header) and makes all checksums right.
fn rewrite(disk: &Forgetful, name: &str, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let bytes = disk.contents(name).unwrap();
    let mut all: Vec<Vec<u8>> = payloads(&bytes).map(<[u8]>::to_vec).collect();
    change(&mut all);
    let mut out = Vec::new();
    for payload in all {
        let at = begin_frame(&mut out);
        out.extend_from_slice(&payload);
        end_frame(&mut out, at);
    }
    seal_frames(&mut out);
    disk.put(name, out);
}

fn replace(payload: &mut Vec<u8>, old: &str, new: &str) {
    let text = String::from_utf8(payload.clone()).unwrap();
    assert!(text.contains(old), "{text}");
    *payload = text.replace(old, new).into_bytes();
}

/// Cuts the log back to its first 10 records or so, without a trace on this host.
fn roll_back(disk: &Forgetful) {
    for name in disk.list().unwrap() {
        if name != file_name(1) {
            disk.delete(&name);
        }
    }
}

#[test]
fn a_sound_log_is_sound() {
    let (disk, key, last) = log();
    assert!(names(&disk).len() >= 4);
    for external in [None, Some(&last)] {
        let signed_ms = Some(last.time_ms());
        let expected = Report { records: 40, checkpoints: 2, covered: 40, signed_ms, ..Report::default() };
        assert_eq!(report(&disk, &key, external), expected);
    }
}

#[test]
fn a_crash_is_not_tampering() {
    let (disk, key, _) = log();
    let store = start(&disk, &key, options());
    store.append(&event(41), Urgency::Durable).unwrap();
    store.wait_durable(41, Duration::from_secs(10)).unwrap();
    let killed = disk.after_kill();
    let name = names(&killed).pop().unwrap();
    let mut bytes = killed.contents(&name).unwrap();
    bytes.extend_from_slice(&[44, 0, 0]);
    killed.put(&name, bytes);
    let found = report(&killed, &key, None);
    assert_eq!((found.is_sound(), found.records, found.covered, found.torn_bytes), (true, 41, 40, 3));
    start(&killed, &key, options()).close().unwrap();
    let found = report(&killed, &key, None);
    assert_eq!((found.is_sound(), found.records, found.covered, found.torn_bytes), (true, 41, 41, 0));
}

#[test]
fn a_disk_that_failed_for_a_while_is_not_tampering() {
    let key = Key::new();
    // Write or sync of the second commit fails: the first segment holds records that the second holds again.
    for nth in 1..=2 {
        let disk = Forgetful::default();
        let store = start(&disk, &key, options());
        store.append(&event(1), Urgency::Durable).unwrap();
        store.wait_durable(1, Duration::from_secs(10)).unwrap();
        disk.set_fault(Fault::Between { from: nth, to: nth + 1 });
        store.append(&event(2), Urgency::Durable).unwrap();
        store.wait_durable(2, Duration::from_secs(10)).unwrap();
        let last = store.close().unwrap();
        assert_eq!(names(&disk).len(), 2);
        let found = report(&disk, &key, Some(&last));
        assert_eq!((found.is_sound(), found.records, found.covered), (true, 2, 2), "{found:?}");
        assert_eq!(records(&disk), 2);
    }
}

type Tampering = fn(&Forgetful);

const TAMPERINGS: &[(&str, Tampering)] = &[
    ("flip a bit", |disk| {
        let mut bytes = disk.contents(&file_name(1)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 4;
        disk.put(&file_name(1), bytes);
    }),
    ("change a record and its checksum", |disk| {
        rewrite(disk, &file_name(1), |all| replace(&mut all[3], "event 3", "EVENT 3"))
    }),
    ("change a clock", |disk| {
        rewrite(disk, &file_name(1), |all| replace(&mut all[3], "\"ledger_ms\":1003", "\"ledger_ms\":1002"))
    }),
    ("delete a record", |disk| rewrite(disk, &file_name(1), |all| drop(all.remove(4)))),
    ("delete a record and renumber", |disk| {
        rewrite(disk, &file_name(1), |all| {
            all.remove(4);
            for (at, payload) in all.iter_mut().enumerate().skip(4) {
                replace(payload, &format!("\"seq\":{},", at + 1), &format!("\"seq\":{at},"));
            }
        });
    }),
    ("swap two records", |disk| rewrite(disk, &file_name(1), |all| all.swap(2, 3))),
    ("swap the content of two records", |disk| {
        rewrite(disk, &file_name(1), |all| {
            replace(&mut all[2], "event 2", "event 3");
            replace(&mut all[3], "event 3", "event 2");
        });
    }),
    ("insert a record", |disk| rewrite(disk, &file_name(1), |all| all.insert(3, all[2].clone()))),
    ("append a record that continues in the next segment", |disk| {
        rewrite(disk, &file_name(1), |all| all.push(all[2].clone()));
    }),
    ("append a record to a log that is closed, under a number that was signed", |disk| {
        let name = names(disk).pop().unwrap();
        rewrite(disk, &name, |all| {
            let last = all.len() - 1;
            all[last] = b"{\"seq\":40,\"x\":1}".to_vec();
        });
    }),
    ("cut the last record", |disk| {
        let name = names(disk).pop().unwrap();
        rewrite(disk, &name, |all| drop(all.pop()));
    }),
    ("tear the last record", |disk| {
        let name = names(disk).pop().unwrap();
        let mut bytes = disk.contents(&name).unwrap();
        bytes.truncate(bytes.len() - FRAME_HEAD_BYTES);
        disk.put(&name, bytes);
    }),
    ("delete the first segment", |disk| disk.delete(&names(disk)[0])),
    ("delete a segment in the middle", |disk| disk.delete(&names(disk)[1])),
    ("delete the last segment", |disk| disk.delete(&names(disk).pop().unwrap())),
    ("swap two segments", |disk| {
        let names = names(disk);
        let (a, b) = (disk.contents(&names[0]).unwrap(), disk.contents(&names[1]).unwrap());
        disk.put(&names[0], b);
        disk.put(&names[1], a);
    }),
    ("empty a segment in the middle", |disk| disk.put(&names(disk)[1], Vec::new())),
    ("change the tree in a header", |disk| {
        let (first, second) = (names(disk)[1].clone(), names(disk)[2].clone());
        let other = disk.contents(&first).unwrap();
        let other = payloads(&other).next().unwrap().to_vec();
        let edge = |header: &[u8]| {
            let text = String::from_utf8(header.to_vec()).unwrap();
            text[text.find("\"edge\"").unwrap()..].to_owned()
        };
        rewrite(disk, &second, |all| {
            let header = String::from_utf8(all[0].clone()).unwrap();
            let changed = header.replace(&edge(&all[0]), &edge(&other));
            assert_ne!(changed, header);
            all[0] = changed.into_bytes();
        });
    }),
    ("sign with another key", |disk| {
        let mut tree = Tree::default();
        tree.push(b"x");
        let forged = Key::new().signer().sign(&tree, 1);
        disk.put(LATEST, forged.note().as_bytes().to_vec());
    }),
    ("change a checkpoint", |disk| {
        let note = String::from_utf8(disk.contents(LATEST).unwrap()).unwrap();
        disk.put(LATEST, note.replace("\n40\n", "\n39\n").into_bytes());
    }),
];

#[test]
fn every_tampering_is_found_on_the_host() {
    for (what, tamper) in TAMPERINGS {
        let (disk, key, last) = log();
        tamper(&disk);
        for external in [None, Some(&last)] {
            assert!(!report(&disk, &key, external).is_sound(), "{what}: not found");
        }
    }
}

#[test]
fn a_rollback_is_found_only_by_a_checkpoint_that_left_the_host() {
    let (disk, key, last) = log();
    roll_back(&disk);
    let found = report(&disk, &key, None);
    assert!(found.is_sound());
    assert_eq!(found.covered, 0, "says that nothing is proved");
    let found = report(&disk, &key, Some(&last));
    assert_eq!((found.findings.len(), found.findings[0].until), (1, 40));
    assert_eq!(found.findings[0].from, found.records + 1);
}

#[test]
fn a_history_that_was_written_again_is_found() {
    let (disk, key, last) = log();
    roll_back(&disk);
    let store = start(&disk, &key, options());
    for n in store.durable() + 1..=50 {
        store.append(&event(n + 1000), Urgency::Relaxed).unwrap();
    }
    store.close().unwrap();
    assert!(report(&disk, &key, None).is_sound(), "the thief has the key, and nothing left the host");
    assert!(!report(&disk, &key, Some(&last)).is_sound());
}

#[test]
fn the_affected_range_is_told_and_the_rest_stays_proved() {
    let (disk, key, _) = log();
    rewrite(&disk, &file_name(1), |all| replace(&mut all[3], "event 3", "EVENT 3"));
    let (first, second) = (&names(&disk)[0], &names(&disk)[1]);
    assert_eq!(*first, file_name(1));
    let shows: u64 = second.trim_end_matches(".log").parse().unwrap();
    let found = report(&disk, &key, None);
    assert_eq!((found.findings[0].from, found.findings[0].until), (1, shows), "the next header gives it away");
    let (disk, key, _) = log();
    let lost = names(&disk)[1].clone();
    disk.delete(&lost);
    let found = report(&disk, &key, None);
    assert_eq!(found.findings.len(), 1, "{found:?}");
    assert_eq!(found.covered, 40, "the tree of the next header is proved by the last checkpoint");
}

#[test]
fn what_follows_a_change_is_proved_and_no_other_change_hides_behind_it() {
    // Three checkpoints: over 10, 20 and 30 records, in segments of 10.
    let (disk, key) = (Forgetful::default(), Key::new());
    for tenth in 0..3 {
        let store = start(&disk, &key, options());
        for n in tenth * 10 + 1..=tenth * 10 + 10 {
            store.append(&event(n), Urgency::Relaxed).unwrap();
        }
        store.close().unwrap();
    }
    let doubts = |changed: &[u64]| {
        let disk = disk.after_kill();
        for record in changed {
            let first = (record - 1) / 10 * 10 + 1;
            let (old, new) = (format!("event {record}\""), format!("EVENT {record}\""));
            rewrite(&disk, &file_name(first), |all| {
                replace(&mut all[usize::try_from(record - first + 1).unwrap()], &old, &new)
            });
        }
        let found = report(&disk, &key, None);
        for record in changed {
            let told = found.findings.iter().any(|finding| (finding.from..=finding.until).contains(record));
            assert!(told, "a change of {record} is not told: {found:?}");
        }
        (found.records, found.covered)
    };
    assert_eq!(doubts(&[]), (30, 30));
    assert_eq!(doubts(&[3]), (30, 30), "the header after it gives the tree that was signed");
    assert_eq!(doubts(&[13]), (30, 30));
    assert_eq!(doubts(&[3, 13]), (30, 30));
    assert_eq!(doubts(&[3, 23]), (30, 20));
    assert_eq!(doubts(&[23]), (30, 20), "no later tree is told, so nothing behind it is proved");
}
