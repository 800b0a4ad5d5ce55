//! Entries of the detectors of behaviour: which keys each of them has, and what they may say.

use crate::budget::Window;
use crate::detect::watch::{Detector, Watch};
use crate::load::decode::{At, Lenient, OneOrMany};
use crate::load::diagnostic::shown;
use crate::load::raw::{RawDetect, RawMode, RawWatch};
use crate::load::rules::{self, Names};
use crate::load::words;
use crate::rule::{Then, WhoSet};

/// Largest limit of a detector: as many tenants or records as anybody counts.
const LIMIT_MAX: u64 = 1_000_000_000;
/// Largest factor, in percent.
const FACTOR_MAX: u64 = 100_000;
/// Longest time of learning: what is older is not known after a restart.
const LEARNING_MS_MAX: u64 = 100 * 24 * 60 * 60 * 1000;
/// Entries of all detectors together: each is looked at with each statement.
const ENTRIES_MAX: usize = 500;

/// Every entry, in the order of the detectors. `None`: something is wrong, and told.
pub(super) fn watches<'a>(raw: &'a RawDetect, names: &Names<'a>) -> Option<Vec<(Detector, Watch)>> {
    let mut found = Vec::new();
    let mut wrong = false;
    for detector in Detector::ALL {
        for entry in entries(raw, detector).iter().flat_map(|entries| &entries.0) {
            match entry.0.as_ref().and_then(|entry| watch(detector, entry, names)) {
                Some(watch) => found.push((detector, watch)),
                None => wrong = true,
            }
            if let (true, Some(entry)) = (found.len() > ENTRIES_MAX, &entry.0) {
                let message = format!("there are more than {ENTRIES_MAX} entries of detectors");
                names.findings.error(entry.at, message, "let one entry speak of several datasets");
                return None;
            }
        }
    }
    (!wrong).then_some(found)
}

fn entries(raw: &RawDetect, detector: Detector) -> &Option<OneOrMany<Lenient<At<RawWatch>>>> {
    match detector {
        Detector::Enumeration => &raw.enumeration,
        Detector::Breadth => &raw.breadth,
        Detector::JointBreadth => &raw.joint_breadth,
        Detector::FirstUse => &raw.first_use,
        Detector::UnusualHours => &raw.unusual_hours,
        Detector::SearchFocus => &raw.search_focus,
        Detector::Canaries => &raw.canaries,
        Detector::Discovery => &raw.discovery,
        Detector::NewDevice => &raw.new_device,
    }
}

fn watch<'a>(detector: Detector, raw: &'a At<RawWatch>, names: &Names<'a>) -> Option<Watch> {
    let (findings, at, raw) = (names.findings, raw.at, &raw.value);
    let usual = Watch::usual(detector);
    let who = raw.who.as_ref().map_or(Some(WhoSet::Any), |who| names.people.resolve(who));
    let datasets = raw.dataset.as_ref().map(|datasets| rules::known_datasets(datasets, names));
    let compares =
        matches!(detector, Detector::Enumeration | Detector::Breadth | Detector::JointBreadth | Detector::SearchFocus);
    let is = |wanted: &[Detector]| wanted.contains(&detector);
    let strange = [
        (raw.distinct_keys.as_ref().map(|key| key.at), "distinct-keys", is(&[Detector::Enumeration])),
        (
            raw.distinct_tenants.as_ref().map(|key| key.at),
            "distinct-tenants",
            is(&[Detector::Breadth, Detector::JointBreadth]),
        ),
        (raw.searches.as_ref().map(|key| key.at), "searches", is(&[Detector::SearchFocus])),
        (raw.tables.as_ref().map(|key| key.at), "tables", is(&[Detector::Discovery])),
        (raw.people.as_ref().map(|key| key.at), "people", is(&[Detector::NewDevice])),
        (raw.keys_file.as_ref().map(|key| key.at), "keys-file", is(&[Detector::Canaries])),
        (raw.per.as_ref().map(|key| key.at), "per", is(&[Detector::Enumeration, Detector::Breadth])),
        (raw.factor.as_ref().map(|key| key.at), "factor", compares),
        (raw.floor.as_ref().map(|key| key.at), "floor", compares),
        (raw.learning.as_ref().map(|key| key.at), "learning", detector != Detector::Canaries),
        (
            raw.dataset.as_ref().map(|key| key.at),
            "dataset",
            !is(&[Detector::UnusualHours, Detector::Discovery, Detector::NewDevice]),
        ),
    ];
    let mut wrong = false;
    for (place, key, belongs) in strange {
        if let (Some(place), false) = (place, belongs) {
            findings.error(place, format!("`{}` has no `{key}`", detector.word()), "remove it");
            wrong = true;
        }
    }
    let then = raw.then.as_ref().map_or(Then::Alert, |then| then.value);
    let counts = [&raw.distinct_keys, &raw.distinct_tenants, &raw.searches, &raw.tables, &raw.people];
    let limit = counts.into_iter().flatten().next();
    if let (Then::Allow, Some(limit)) = (then, limit) {
        findings.error(limit.at, "where nobody looks there is no limit", "remove it, or say `then: alert`");
        wrong = true;
    }
    if let Some(limit) = limit.filter(|limit| limit.value == 0 || limit.value > LIMIT_MAX) {
        let hint = "leave it out to compare with what is usual only";
        findings.error(limit.at, format!("a limit is from 1 to {LIMIT_MAX}"), hint);
        wrong = true;
    }
    let window = raw.per.as_ref().map_or(Window::Day, |per| per.value);
    if let Some(per) = &raw.per {
        let fits = matches!(window, Window::Day | Window::Month)
            || (window == Window::Hour && detector == Detector::Enumeration);
        if !fits || limit.is_none() {
            let hint = "use `day` or `30d`, beside a limit";
            findings.error(per.at, format!("`{}` counts nothing per {window} here", detector.word()), hint);
            wrong = true;
        }
    }
    let factor = raw.factor.as_ref().map_or(Some(usual.factor), |factor| {
        let percent = words::percent(&factor.value).filter(|percent| (100..=FACTOR_MAX).contains(percent));
        if percent.is_none() {
            let message = format!("{} is no factor from 100% to {FACTOR_MAX}%", shown(&factor.value));
            findings.error(factor.at, message, "write `200%` for twice what is usual");
        }
        percent
    });
    let learning_ms = raw.learning.as_ref().map_or(Some(usual.learning_ms), |learning| {
        let seconds = words::duration(&learning.value);
        let ms = seconds.and_then(|seconds| seconds.checked_mul(1000)).filter(|ms| *ms <= LEARNING_MS_MAX);
        if ms.is_none() {
            let message = format!("{} is no time of learning up to 100d", shown(&learning.value));
            findings.error(learning.at, message, "write `14d`, `12h`, `30m` or `0s`");
        }
        ms
    });
    if detector == Detector::Canaries && then != Then::Allow && (raw.keys_file.is_none() || raw.dataset.is_none()) {
        let hint = "write { dataset: customers, keys-file: canaries.txt }";
        findings.error(at, "canaries need a dataset and the file with their keys", hint);
        wrong = true;
    }
    let keys_file = raw.keys_file.as_ref().map(|file| {
        if file.value.trim().is_empty() || file.value.contains('\0') {
            findings.error(file.at, "this is no name of a file", "name one, beside the policy or by its full path");
            wrong = true;
        }
        file.value.as_str().into()
    });
    if wrong {
        return None;
    }
    Some(Watch {
        datasets: rules::all_or_none(datasets)?,
        who: who?,
        then,
        observe: raw.mode == Some(RawMode::Observe),
        limit: limit.map(|limit| (limit.value, window)),
        factor: factor?,
        floor: raw.floor.as_ref().map_or(usual.floor, |floor| floor.value),
        learning_ms: learning_ms?,
        at_most: raw.at_most.as_ref().map_or(usual.at_most, |most| most.value),
        keys_file,
    })
}
