//! What is looked for beyond thresholds: how many questions about values are too many, and what is not usual.

mod watches;

use super::decode::{At, Lenient};
use super::raw::{RawDetect, RawDetection};
use super::rules::{self, Names};
use crate::budget::Window;
use crate::detect::{Detect, Detection, GUESSES_DEFAULT, PROBES_DEFAULT, QUESTIONS_MAX};
use crate::rule::{Then, WhoSet};

/// The section `detect`. `None`: wrong, and told.
pub(super) fn detect<'a>(raw: Option<&'a Lenient<RawDetect>>, names: &Names<'a>) -> Option<Detect> {
    let Some(written) = raw else { return Some(Detect::default()) };
    let written = written.0.as_ref()?;
    Some(Detect {
        probes: all(&written.probes, PROBES_DEFAULT, names)?,
        guesses: all(&written.guesses, GUESSES_DEFAULT, names)?,
        watches: watches::watches(written, names)?,
    })
}

fn all<'a>(raw: &'a [Lenient<At<RawDetection>>], usual: u64, names: &Names<'a>) -> Option<Vec<Detection>> {
    // Each is looked at, so that all that is wrong is told at once.
    let read: Vec<Option<Detection>> =
        raw.iter().map(|entry| entry.0.as_ref().and_then(|entry| detection(entry, usual, names))).collect();
    read.into_iter().collect()
}

fn detection<'a>(raw: &'a At<RawDetection>, usual: u64, names: &Names<'a>) -> Option<Detection> {
    let (findings, at, raw) = (names.findings, raw.at, &raw.value);
    let who = raw.who.as_ref().map_or(Some(WhoSet::Any), |who| names.people.resolve(who));
    let datasets = raw.dataset.as_ref().map(|datasets| rules::known_datasets(datasets, names));
    let then = raw.then.as_ref().map_or(Then::Alert, |then| then.value);
    if then == Then::Allow
        && let Some(place) = raw.statements.as_ref().map(|written| written.at).or(raw.per.as_ref().map(|per| per.at))
    {
        let hint = "remove it, or say `then: alert`";
        findings.error(place, "where nobody looks there is no limit", hint);
        return None;
    }
    let statements = raw.statements.as_ref().map_or(usual, |written| written.value);
    let most = u64::try_from(QUESTIONS_MAX).unwrap_or(u64::MAX) - 1;
    if statements == 0 || statements > most {
        let place = raw.statements.as_ref().map_or(at, |written| written.at);
        findings.error(place, format!("a detection counts from 1 to {most} statements"), "the usual number is small");
        return None;
    }
    let window = raw.per.as_ref().map_or(Window::Hour, |per| per.value);
    if let (Window::Statement | Window::Month, Some(per)) = (window, &raw.per) {
        let hint = "use `minute`, `hour` or `day`";
        findings.error(per.at, format!("questions are not remembered per {window}"), hint);
        return None;
    }
    Some(Detection { datasets: rules::all_or_none(datasets)?, who: who?, statements, window, then })
}
