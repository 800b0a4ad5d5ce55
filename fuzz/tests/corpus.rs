//! Every committed input holds, and the corpus is what the seeds and the findings make it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use weir_fuzz::{TARGETS, Target};

fn committed(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn every_committed_input_holds() {
    for target in TARGETS {
        let inputs = committed(target);
        assert!(inputs.len() >= 10, "{} has {} inputs", target.name, inputs.len());
        for (name, input) in inputs {
            if std::panic::catch_unwind(|| (target.check)(&input)).is_err() {
                panic!("{}/{name} fails, for the reason above", target.name);
            }
        }
    }
}

#[test]
fn seeds_are_committed_as_they_are_written_down() {
    for target in TARGETS {
        let committed = committed(target);
        for (name, bytes) in (target.seeds)() {
            assert_eq!(committed.get(&name), Some(&bytes), "{}/{name}: run `weir-fuzz --write-seeds`", target.name);
        }
    }
}

#[test]
fn the_corpus_teaches_different_things() {
    for target in TARGETS {
        let inputs = committed(target);
        let mut known = BTreeSet::new();
        let teaches = inputs.values().filter(|input| {
            let before = known.len();
            known.extend((target.check)(input).0);
            known.len() > before
        });
        let teaches = teaches.count();
        assert!(
            teaches * 10 > inputs.len() * 6,
            "{}: {teaches} of {} inputs show something new",
            target.name,
            inputs.len()
        );
    }
}
