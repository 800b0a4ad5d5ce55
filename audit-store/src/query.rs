//! Finds records: who, what, when.
//!
//! A plain scan, newest segment first, that ends when it has enough. Memory is bounded by the number of results asked
//! for; a person's curiosity must not become the process's end.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use crate::encode::Record;
use crate::error::StoreError;
use crate::reader::{ReadError, Reader};
use crate::segment::segments;
use crate::storage::{Files, Storage};
use crate::subject::Decision;

/// Most results of one search. Each may have 1 MiB, though almost all have about 1 KiB.
pub const RESULTS_MAX: usize = 10_000;

/// Which records are meant; an absent field means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Identifier of the person.
    pub person: Option<String>,
    /// Name of a relation, with or without its schema.
    pub relation: Option<String>,
    /// Name of the kind, such as `denial`.
    pub kind: Option<String>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// Not before, Unix milliseconds.
    pub since_ms: Option<u64>,
    /// Before, Unix milliseconds.
    pub until_ms: Option<u64>,
    /// The reference that a client was shown, in any case.
    pub reference: Option<String>,
    /// Part of the redacted statement, in any case.
    pub text: Option<String>,
}

impl Filter {
    /// Whether this record is meant.
    pub fn matches(&self, record: &Record) -> bool {
        let event = &record.event;
        let statement = event.statement.as_ref();
        is(&self.person, |id| event.person.as_ref().is_some_and(|person| person.id == *id))
            && is(&self.relation, |name| {
                statement
                    .is_some_and(|statement| statement.relations.iter().any(|relation| names(&relation.name, name)))
            })
            && is(&self.kind, |kind| event.body.name() == *kind)
            && is(&self.decision, |decision| event.decision == Some(*decision))
            && is(&self.since_ms, |since| event.time_ms >= *since)
            && is(&self.until_ms, |until| event.time_ms < *until)
            && is(&self.reference, |wanted| {
                event.reference.as_ref().is_some_and(|reference| reference.eq_ignore_ascii_case(wanted))
            })
            && is(&self.text, |part| {
                statement.is_some_and(|statement| statement.text.to_lowercase().contains(&part.to_lowercase()))
            })
    }
}

fn is<T>(wanted: &Option<T>, check: impl FnOnce(&T) -> bool) -> bool {
    wanted.as_ref().is_none_or(check)
}

/// `public.customers` is meant by itself and by `customers`.
fn names(full: &str, wanted: &str) -> bool {
    full == wanted || full.strip_suffix(wanted).is_some_and(|schema| schema.ends_with('.'))
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Found {
    /// Newest last, as a log is read.
    pub records: Vec<Record>,
    /// Stretches that could not be read, newest segment first; results may be missing there.
    pub unreadable: Vec<ReadError>,
}

/// The newest records that are meant, at most `limit` and never more than [`RESULTS_MAX`].
///
/// # Errors
/// When the directory or a file cannot be read; damage stands in [`Found::unreadable`].
pub fn search(dir: &Path, filter: &Filter, limit: usize) -> Result<Found, StoreError> {
    search_by(dir, |record| filter.matches(record), limit)
}

/// [`search`] for what no filter can say.
///
/// # Errors
/// Those of [`search`].
pub fn search_by(dir: &Path, meant: impl Fn(&Record) -> bool, limit: usize) -> Result<Found, StoreError> {
    search_in(Arc::new(Files::new(dir)), &meant, limit)
}

fn search_in(storage: Arc<dyn Storage>, meant: &dyn Fn(&Record) -> bool, limit: usize) -> Result<Found, StoreError> {
    let limit = limit.min(RESULTS_MAX);
    let mut found = Found::default();
    let mut results = VecDeque::new();
    let mut end = u64::MAX;
    for (first, _) in segments(&*storage).map_err(StoreError::io("list the audit directory"))?.into_iter().rev() {
        let room = limit - results.len();
        if room == 0 {
            break;
        }
        let mut newest = VecDeque::new();
        let mut reader = Reader::over(storage.clone(), first);
        while reader.position() < end {
            match reader.next_record() {
                Ok(Some(record)) if meant(&record) => {
                    newest.push_back(record);
                    if newest.len() > room {
                        newest.pop_front();
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(ReadError::Store(error)) => return Err(error),
                Err(damage) => found.unreadable.push(damage),
            }
        }
        end = first;
        while let Some(record) = newest.pop_back() {
            results.push_front(record);
        }
    }
    found.records = results.into();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crash_tests::{Key, event, options, start};
    use crate::event::{Person, RelationUse, Statement};
    use crate::segment::file_name;
    use crate::storage::Forgetful;
    use crate::store::{Options, Urgency};

    fn log() -> Forgetful {
        let disk = Forgetful::default();
        let store = start(&disk, &Key::new(), Options { segment_bytes_max: 500, ..options() });
        for n in 1..=30 {
            let mut event = event(n);
            event.person = Some(Person { id: format!("p{}", n % 3), ..Person::default() });
            event.decision = Some(if n % 5 == 0 { Decision::Deny } else { Decision::Allow });
            event.reference = Some(format!("W-{n:04}-AAAA"));
            let relation = RelationUse { name: "public.customers".to_owned(), ..RelationUse::default() };
            event.statement = Some(
                Statement { relations: vec![relation], ..Statement::default() }.with_text("SELECT * FROM customers"),
            );
            store.append(&event, Urgency::Durable).unwrap();
            store.wait_durable(n, Duration::from_secs(10)).unwrap();
        }
        store.close().unwrap();
        disk
    }

    fn check(filter: Filter, limit: usize, expected: &[u64]) {
        let found = search_in(Arc::new(log()), &|record| filter.matches(record), limit).unwrap();
        let seen: Vec<u64> = found.records.iter().map(|record| record.seq).collect();
        assert_eq!(seen, expected, "{filter:?}");
        assert!(found.unreadable.is_empty());
    }

    #[test]
    fn each_field_narrows_and_the_newest_are_kept() {
        let some = |text: &str| Some(text.to_owned());
        check(Filter::default(), 3, &[28, 29, 30]);
        check(Filter { person: some("p1"), ..Filter::default() }, 2, &[25, 28]);
        check(Filter { decision: Some(Decision::Deny), ..Filter::default() }, 100, &[5, 10, 15, 20, 25, 30]);
        check(Filter { since_ms: Some(4), until_ms: Some(6), ..Filter::default() }, 100, &[4, 5]);
        check(Filter { reference: some("w-0007-aaaa"), ..Filter::default() }, 100, &[7]);
        check(Filter { text: some("from CUSTOMERS"), ..Filter::default() }, 1, &[30]);
        check(Filter { text: some("orders"), ..Filter::default() }, 1, &[]);
        check(Filter { relation: some("customers"), ..Filter::default() }, 1, &[30]);
        check(Filter { relation: some("public.customers"), ..Filter::default() }, 1, &[30]);
        check(Filter { relation: some("tomers"), ..Filter::default() }, 1, &[]);
        check(Filter { kind: some("shutdown"), ..Filter::default() }, 1, &[30]);
        check(Filter { kind: some("denial"), ..Filter::default() }, 1, &[]);
        check(Filter::default(), 0, &[]);
    }

    #[test]
    fn damage_is_told_once_beside_what_is_found() {
        let disk = log();
        let mut bytes = disk.contents(&file_name(1)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        disk.put(&file_name(1), bytes);
        let found = search_in(Arc::new(disk), &|_| true, 100).unwrap();
        assert_eq!(found.unreadable.len(), 1, "{:?}", found.unreadable);
        assert!(!found.records.is_empty() && found.records.len() < 30);
    }
}
