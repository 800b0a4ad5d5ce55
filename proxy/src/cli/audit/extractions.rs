//! `weir audit extractions`: what people took out of datasets, stitched together from their statements, as the log tells
//! it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use serde::Serialize;
use weir_audit_store::event::Extraction;

use super::text::{moment, safe};
use super::{Log, Shown};
use crate::audit::words;
use crate::cli::output::{Output, complain};
use crate::cli::{Failure, moment as written};

/// Extractions that are listed: the ones that something left by last. A hundred people and ten datasets make as many in
/// ten months.
const LISTED_MAX: usize = 10_000;

/// Which extractions are meant.
#[derive(Args, Clone)]
pub(in crate::cli) struct Which {
    /// Whose: the name in the directory, or account:NAME.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Of this relation, with or without its schema.
    #[arg(long, value_name = "NAME")]
    relation: Option<String>,
    /// By which something left since: 2026-11-24, 2026-11-24T10:00 (UTC), or 15m, 2h, 7d ago.
    #[arg(long, value_name = "MOMENT")]
    since: Option<String>,
}

/// One line for a program.
#[derive(Clone, Serialize)]
struct Listed {
    person: String,
    #[serde(flatten)]
    extraction: Extraction,
}

/// Lists what the log has, the one that something left by last at the end.
pub(super) fn list<W: Write>(dir: &Path, which: &Which, shown: Shown, output: &mut Output<W>) -> Result<(), Failure> {
    let since_ms = which.since.as_deref().map(|text| written::parse(text, SystemTime::now())).transpose();
    let since_ms = since_ms.map_err(Failure::bad_input)?.unwrap_or_default();
    // By the record that told of it last.
    let mut newest: BTreeMap<u64, Listed> = BTreeMap::new();
    let mut records: BTreeMap<String, u64> = BTreeMap::new();
    let mut left_out = false;
    let mut log = Log::open(dir, 1)?;
    while let Some(entry) = log.next()? {
        let record = entry.record();
        let Some(person) = &record.event.person else { continue };
        if record.event.time_ms < since_ms || which.who.as_ref().is_some_and(|who| *who != person.id) {
            continue;
        }
        for (place, extraction) in (0_u64..).zip(&record.event.extractions) {
            if !which.means(extraction) {
                continue;
            }
            let listed = Listed { person: person.id.clone(), extraction: extraction.clone() };
            // A record has a handful of them at most: places do not meet.
            let at = record.seq.saturating_mul(64).saturating_add(place.min(63));
            if let Some(before) = records.insert(extraction.id.clone(), at) {
                newest.remove(&before);
            }
            newest.insert(at, listed);
            if newest.len() > LISTED_MAX
                && let Some((_, oldest)) = newest.pop_first()
            {
                records.remove(&oldest.extraction.id);
                left_out = true;
            }
        }
    }
    for listed in newest.values() {
        match shown {
            Shown::Json => output.line(serde_json::to_string(listed).map_err(Failure::environment)?)?,
            Shown::Text => {
                let Listed { person, extraction } = listed;
                let (last, seen) = (moment(extraction.last_ms), words::seen(extraction));
                output.line(format_args!("{}  {last}  {}", extraction.id, safe(&format!("{person}: {seen}"))))?;
            }
        }
    }
    if left_out {
        complain(&format!("there are more; these are the last {LISTED_MAX}"));
    }
    log.end()
}

impl Which {
    fn means(&self, extraction: &Extraction) -> bool {
        let is = |full: &str, wanted: &str| {
            full == wanted || full.strip_suffix(wanted).is_some_and(|schema| schema.ends_with('.'))
        };
        let mut parts = std::iter::once(&extraction.part).chain(&extraction.others);
        self.relation.as_ref().is_none_or(|wanted| parts.any(|part| is(&part.relation, wanted)))
    }
}
