//! What is told about a policy file: where, what, and what to do.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use crate::rule::Place;

/// Most findings of one kind that are kept: somebody mends a file in rounds, and a broken one must not fill a log.
const FINDINGS_MAX: usize = 100;
/// Names that are compared with one that does not exist, to say which may be meant.
const COMPARED_MAX: usize = 1_000;
/// Longest piece of a file, in characters, that is repeated in a message.
const SHOWN_CHARS_MAX: usize = 60;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and something in it is probably not meant.
    Warning,
}

/// Something to tell about a policy file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// The file, as the loader was told to call it.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Diagnostic {
    /// Something to tell about a place in a file.
    pub(crate) fn new(
        severity: Severity,
        file: &str,
        at: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic {
            severity,
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}: {}", self.file, self.line, self.column, self.severity, self.message)?;
        if !self.hint.is_empty() {
            write!(f, " (hint: {})", self.hint)?;
        }
        Ok(())
    }
}

/// Findings as they come while one file is loaded; shared, so that decoding can go on after one.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: RefCell<BTreeSet<(Place, String, String)>>,
    warnings: RefCell<BTreeSet<(Place, String, String)>>,
}

impl Findings {
    /// The file cannot be used.
    pub(super) fn error(&self, at: Place, message: impl Into<String>, hint: impl Into<String>) {
        add(&self.errors, at, message.into(), hint.into());
    }

    /// Something is probably not meant.
    pub(super) fn warning(&self, at: Place, message: impl Into<String>, hint: impl Into<String>) {
        add(&self.warnings, at, message.into(), hint.into());
    }

    /// Whether no more errors are kept: nobody needs their hints.
    pub(super) fn is_full(&self) -> bool {
        self.errors.borrow().len() >= FINDINGS_MAX
    }

    /// Whether the file can be used so far.
    pub(super) fn is_usable(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    /// Everything, in the order of the file.
    pub(super) fn into_diagnostics(self, file: &str) -> Vec<Diagnostic> {
        let told = |severity, findings: RefCell<BTreeSet<(Place, String, String)>>| {
            let findings = findings.into_inner().into_iter();
            findings.map(move |(at, message, hint)| Diagnostic::new(severity, file, at, message, hint))
        };
        let mut all: Vec<Diagnostic> = told(Severity::Error, self.errors).collect();
        all.extend(told(Severity::Warning, self.warnings));
        all.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
        all
    }
}

fn add(findings: &RefCell<BTreeSet<(Place, String, String)>>, at: Place, message: String, hint: String) {
    let mut findings = findings.borrow_mut();
    if findings.len() < FINDINGS_MAX {
        findings.insert((at, message, hint));
    }
}

/// A piece of the file as a message may repeat it: short, on one line, in backticks.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The one of several words that was probably meant.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let compared = words.into_iter().take(COMPARED_MAX).filter(|known| known.len().abs_diff(word.len()) <= 4);
    let (distance, known) = compared.map(|known| (distance(word, known), known)).min()?;
    (distance <= (known.chars().count() + 1).min(9) / 3).then_some(known)
}

/// "did you mean", or else some of the words there are.
pub(super) fn suggestion<'a>(
    word: &str,
    words: impl IntoIterator<Item = &'a str> + Clone,
    findings: &Findings,
) -> String {
    if findings.is_full() {
        return String::new();
    }
    if let Some(known) = nearest(word, words.clone()) {
        return format!("did you mean `{known}`?");
    }
    let known: Vec<&str> = words.into_iter().take(COMPARED_MAX).collect();
    match known.as_slice() {
        [] => "none is defined".to_owned(),
        known => format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, listed(known)),
    }
}

/// Words in backticks with commas between, not more than a line holds.
pub(super) fn listed(words: &[&str]) -> String {
    const LISTED_MAX: usize = 16;
    let mut text = words.iter().take(LISTED_MAX).map(|word| shown(word)).collect::<Vec<_>>().join(", ");
    if words.len() > LISTED_MAX {
        text.push_str(", …");
    }
    text
}

/// How many letters must be added, removed, replaced or swapped with a neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(SHOWN_CHARS_MAX).collect(), b.chars().take(SHOWN_CHARS_MAX).collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let mut cost = (row[j] + usize::from(from != to)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                cost = cost.min(before[j - 1] + 1);
            }
            next.push(cost);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_one_that_could_be_meant() {
        let words = ["records", "rows", "bytes", "per"];
        assert_eq!(nearest("recrods", words), Some("records"));
        assert_eq!(nearest("row", words), Some("rows"));
        assert_eq!(nearest("pre", words), Some("per"));
        assert_eq!(nearest("minutes", words), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn what_is_repeated_is_short_and_on_one_line() {
        assert_eq!(shown("a\nb"), "`a\u{fffd}b`");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), SHOWN_CHARS_MAX + 3);
    }
}
