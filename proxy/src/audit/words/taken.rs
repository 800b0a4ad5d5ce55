//! Extractions and questions: from the words of policy to those of the log and back, and in a sentence for a person.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use weir_audit_store::event::{self, Extraction, Question};
use weir_policy::detect::Note;
use weir_policy::exposure::{Asked, Asking};
use weir_policy::extraction::{Manner, Part, Taken, View};
use weir_policy::ledger::LedgerTime;
use weir_policy::relation::{Engine, RelationId};

/// Relations of an extraction that a sentence names.
const NAMED_MAX: usize = 3;

/// An extraction as a record tells it; `None` where nothing has left.
pub fn extraction(view: &View) -> Option<Extraction> {
    let mut parts = view.parts.iter().map(part);
    Some(Extraction {
        id: view.id.clone(),
        dataset: view.dataset.to_string(),
        part: parts.next()?,
        manner: view.manner.word().to_owned(),
        statements: view.total.statements,
        records: view.total.records,
        rows: view.total.rows,
        bytes: view.total.bytes,
        since_ms: view.since.0,
        last_ms: view.last.0,
        stretch: event::Stretch {
            number: view.stretches,
            since_ms: view.stretch_since.0,
            statements: view.stretch.statements,
            records: view.stretch.records,
            rows: view.stretch.rows,
            bytes: view.stretch.bytes,
        },
        others: parts.collect(),
    })
}

/// The extraction that a record tells of.
pub fn view(told: &Extraction) -> View {
    let part = |part: &event::Part| Part {
        relation: relation_id(&part.engine, &part.database, &part.relation),
        records: part.relation_records,
        table_rows: part.table_rows.unwrap_or_default(),
    };
    View {
        id: told.id.clone(),
        dataset: told.dataset.as_str().into(),
        parts: std::iter::once(&told.part).chain(&told.others).map(part).collect(),
        manner: Manner::of_word(&told.manner).unwrap_or(Manner::Mixed),
        total: Taken { statements: told.statements, records: told.records, rows: told.rows, bytes: told.bytes },
        stretch: Taken {
            statements: told.stretch.statements,
            records: told.stretch.records,
            rows: told.stretch.rows,
            bytes: told.stretch.bytes,
        },
        since: LedgerTime(told.since_ms),
        stretch_since: LedgerTime(told.stretch.since_ms),
        last: LedgerTime(told.last_ms),
        stretches: told.stretch.number,
    }
}

/// A question as a record tells it.
pub fn question(note: &Note, asked: &[Asked]) -> Question {
    let of = |asked: &&Asked| asked.dataset == note.dataset && asked.relation == note.relation;
    let columns = asked.iter().filter(of).flat_map(|asked| &asked.columns).map(|column| column.to_string());
    Question {
        dataset: note.dataset.to_string(),
        relation: note.relation.to_string(),
        engine: engine(note.relation.engine).to_owned(),
        database: note.relation.database.to_string(),
        asking: match note.asking {
            Asking::Wholes => "wholes",
            Asking::Parts | Asking::Search => "parts",
        }
        .to_owned(),
        columns: super::some_of(columns.collect()),
        shape: format!("{:016x}", note.shape),
        values: format!("{:016x}", note.values),
        weight: note.weight,
    }
}

/// The question that a record tells of; `None` where it is none.
pub fn told(question: &Question) -> Option<Note> {
    Some(Note {
        dataset: question.dataset.as_str().into(),
        relation: relation_id(&question.engine, &question.database, &question.relation),
        asking: if question.asking == "wholes" { Asking::Wholes } else { Asking::Parts },
        shape: u64::from_str_radix(&question.shape, 16).ok()?,
        values: u64::from_str_radix(&question.values, 16).ok()?,
        weight: question.weight,
    })
}

/// What was seen so far, in words: `412 of about 68000 records of public.customers (0.6 %) in 9 statements since
/// 2026-11-24 10:02 UTC, by pages`.
pub fn seen(told: &Extraction) -> String {
    let mut out = String::new();
    let parts = std::iter::once(&told.part).chain(&told.others);
    for (nth, part) in parts.clone().take(NAMED_MAX).enumerate() {
        let and = if nth > 0 { " and " } else { "" };
        // Writing to a String cannot fail.
        let _ = match part.table_rows {
            Some(rows) => write!(
                out,
                "{and}{} of about {rows} records of `{}` ({})",
                part.relation_records,
                part.relation,
                percent(part.share_ppm.unwrap_or_default())
            ),
            None => write!(out, "{and}{} records of `{}` (share unknown)", part.relation_records, part.relation),
        };
    }
    if let Some(more) = parts.count().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        let _ = write!(out, " and of {more} more");
    }
    let statements = if told.statements == 1 { "statement" } else { "statements" };
    let _ = write!(out, " in {} {statements} since {}", told.statements, minute(told.since_ms));
    if told.stretch.number > 1 {
        let since = minute(told.stretch.since_ms);
        let _ = write!(out, ", {} of them in {} since {since}", told.stretch.records, told.stretch.statements);
    }
    let by = match told.manner.as_str() {
        "pages" => "by pages",
        "key-set" => "by stretches of keys",
        "cursor" => "by cursor",
        "id-loop" => "one by one",
        "in-list" => "by lists of keys",
        "bulk" => "in bulk",
        _ => "in several ways",
    };
    let _ = write!(out, ", {by}");
    out
}

/// Millionths as percent.
fn percent(ppm: u64) -> String {
    match ppm {
        0 => "0 %".to_owned(),
        1..1_000 => "less than 0.1 %".to_owned(),
        _ => format!("{}.{} %", ppm / 10_000, ppm / 1_000 % 10),
    }
}

/// A minute of Unix time in UTC.
fn minute(ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH);
    let secs = ms / 1000 % 86_400;
    format!("{} {:02}:{:02} UTC", crate::identity::Date::of(at), secs / 3600, secs / 60 % 60)
}

fn part(part: &Part) -> event::Part {
    event::Part {
        relation: part.relation.to_string(),
        engine: engine(part.relation.engine).to_owned(),
        database: part.relation.database.to_string(),
        relation_records: part.records,
        table_rows: Some(part.table_rows).filter(|rows| *rows > 0),
        share_ppm: part.share_ppm(),
    }
}

pub(super) fn engine(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgres",
        Engine::Mysql => "mysql",
    }
}

pub(super) fn relation_id(engine: &str, database: &str, name: &str) -> RelationId {
    // A relation whose schema has a dot in its name is told apart from itself at a restart, which costs a line.
    let (schema, name) = name.split_once('.').unwrap_or(("", name));
    let engine = if engine == "mysql" { Engine::Mysql } else { Engine::Postgres };
    let part = |text: &str| -> Arc<str> { text.into() };
    RelationId { engine, database: part(database), schema: part(schema), name: part(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> View {
        let relation = |engine, schema: &str, name: &str| RelationId {
            engine,
            database: if engine == Engine::Postgres { "support".into() } else { "".into() },
            schema: schema.into(),
            name: name.into(),
        };
        View {
            id: "X-7F3K9Q2M".to_owned(),
            dataset: "customers".into(),
            parts: vec![
                Part { relation: relation(Engine::Postgres, "public", "customers"), records: 412, table_rows: 68_000 },
                Part { relation: relation(Engine::Mysql, "shop", "users"), records: 3, table_rows: 0 },
            ],
            manner: Manner::Pages,
            total: Taken { statements: 9, records: 415, rows: 420, bytes: 9000 },
            stretch: Taken { statements: 2, records: 40, rows: 40, bytes: 900 },
            since: LedgerTime(1_795_514_520_000),
            stretch_since: LedgerTime(1_795_532_400_000),
            last: LedgerTime(1_795_532_401_000),
            stretches: 2,
        }
    }

    #[test]
    fn an_extraction_comes_back_from_its_record() {
        let told = extraction(&sample()).unwrap();
        assert_eq!(view(&told), sample());
        assert_eq!((told.part.share_ppm, told.others[0].share_ppm), (Some(6_058), None));
    }

    #[test]
    fn it_is_told_in_a_sentence() {
        let mut told = extraction(&sample()).unwrap();
        assert_eq!(
            seen(&told),
            "412 of about 68000 records of `public.customers` (0.6 %) and 3 records of `shop.users` (share unknown) in 9 \
             statements since 2026-11-24 10:02 UTC, 40 of them in 2 since 2026-11-24 15:00 UTC, by pages"
        );
        (told.others, told.stretch.number, told.statements) = (Vec::new(), 1, 1);
        told.part.share_ppm = Some(1_000_000);
        assert_eq!(
            seen(&told),
            "412 of about 68000 records of `public.customers` (100.0 %) in 1 statement since 2026-11-24 10:02 UTC, by pages"
        );
    }

    #[test]
    fn a_question_comes_back_from_its_record() {
        let note = Note {
            dataset: "customers".into(),
            relation: relation_id("postgres", "support", "public.customers"),
            asking: Asking::Wholes,
            shape: u64::MAX,
            values: 7,
            weight: 3,
        };
        assert_eq!(told(&question(&note, &[])), Some(note));
    }
}
