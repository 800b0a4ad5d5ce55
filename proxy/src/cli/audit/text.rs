//! Records for people: a line each.
//!
//! Most strings of a record come from somebody else. INVARIANT: nothing leaves this module that was not through [`safe`].

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use weir_audit_store::event::{Basis, Body, Outcome};
use weir_audit_store::{Record, deciding, is_safe_to_show, sentence};

use crate::identity::Date;

/// Longest sentence of a line, characters; `weir audit show` has the rest.
const SENTENCE_CHARS_MAX: usize = 600;
/// Room for the number and the word in front of a line, characters.
const NUMBER_WIDTH: usize = 8;
const WORD_WIDTH: usize = 14;

/// One record on one line: when, which, what kind, a sentence, the counter that decided, the reference.
pub(super) fn line(record: &Record) -> String {
    let event = &record.event;
    let number = format!("#{}", record.seq);
    let said = sentence(event);
    let mut line = format!(
        "{} {number:>NUMBER_WIDTH$} {:WORD_WIDTH$} {}",
        moment(event.time_ms),
        word(&event.body),
        safe(cut(&said, SENTENCE_CHARS_MAX)),
    );
    if said.len() > cut(&said, SENTENCE_CHARS_MAX).len() {
        line.push('…');
    }
    if let Some(basis) = deciding(&event.basis).filter(|basis| basis.limit > 0 && basis.outcome != "allowed") {
        line.push_str(&format!(" · {}", counter(basis)));
    }
    if let Some(reference) = &event.reference {
        line.push_str(&format!(" · {}", safe(reference)));
    }
    line
}

/// The kind of a record in a word; for a statement that ended, how.
pub(super) fn word(body: &Body) -> &'static str {
    match body {
        Body::Admission(_) => "admitted",
        Body::Denial(_) => "refused",
        Body::Completion(completion) => match completion.outcome {
            Outcome::Complete => "complete",
            Outcome::Cut => "cut",
            Outcome::Error => "error",
            Outcome::Cancelled => "cancelled",
            Outcome::ClientGone => "client-gone",
            Outcome::UpstreamGone => "upstream-gone",
        },
        other => other.name(),
    }
}

/// A rule with its counter before and after.
pub(super) fn counter(basis: &Basis) -> String {
    let Basis { rule, dataset, window, unit, limit, before, after, outcome } = basis;
    let mut text = safe(rule).into_owned();
    if !dataset.is_empty() {
        text.push_str(&format!(", {}", safe(dataset)));
    }
    if *limit > 0 {
        text.push_str(&format!(": {before} → {after} of {limit} {} per {}", safe(unit), safe(window)));
    }
    text.push_str(&format!(" ({})", safe(outcome)));
    text
}

/// A moment in UTC, to the millisecond.
pub(in crate::cli) fn moment(time_ms: u64) -> String {
    let Some(moment) = UNIX_EPOCH.checked_add(Duration::from_millis(time_ms)) else { return format!("{time_ms} ms") };
    let of_day = time_ms / 1000 % 86_400;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}.{:03}Z", Date::of(moment), time_ms % 1000)
}

/// A text as a terminal may have it: what could move the cursor, hide text or reorder it stands as `\u{…}`.
pub(in crate::cli) fn safe(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_safe_to_show) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_safe_to_show(character) {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

/// The first so many characters.
fn cut(text: &str, chars_max: usize) -> &str {
    text.char_indices().nth(chars_max).map_or(text, |(at, _)| &text[..at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_told_in_utc() {
        for (time_ms, told) in [
            (0, "1970-01-01 00:00:00.000Z"),
            (951_782_400_001, "2000-02-29 00:00:00.001Z"),
            (1_795_514_430_999, "2026-11-24 10:00:30.999Z"),
        ] {
            assert_eq!(moment(time_ms), told);
        }
        assert!(!moment(u64::MAX).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_shown_and_nothing_is_hidden(text in any::<String>()) {
            let shown = safe(&text);
            prop_assert!(shown.chars().all(is_safe_to_show));
            prop_assert!(shown.chars().count() >= text.chars().count());
            prop_assert!(cut(&text, 5).chars().count() <= 5 && text.starts_with(cut(&text, 5)));
        }
    }
}
