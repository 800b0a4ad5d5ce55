//! `weir audit show`: everything that the log has about one statement, from its admission to its end, in the order in
//! which it happened. An analyst who is given a reference finds out here what it stands for.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use weir_audit_store::event::{Body, Event, Person, RelationUse, Session, Statement};
use weir_audit_store::{Found, RESULTS_MAX, Record, search_by, sentence};

use super::text::{counter, moment, safe, word};
use super::{Log, Shown, whole};
use crate::audit::words;
use crate::cli::Failure;
use crate::cli::output::{Output, complain};

/// Room for the names in front of what is told, characters.
const NAME_WIDTH: usize = 12;

/// Shows the record of this number, or those under this reference, and what else belongs to the same statements.
pub(super) fn show<W: Write>(dir: &Path, what: &str, shown: Shown, output: &mut Output<W>) -> Result<(), Failure> {
    let found = match what.parse::<u64>() {
        Ok(number) => by_number(dir, number)?,
        Err(_) => by_reference(dir, what)?,
    };
    let story = around(dir, found)?;
    if story.records.is_empty() {
        whole(&story)?;
        return Err(Failure::finding(format!("the log has no record `{what}`")));
    }
    match shown {
        Shown::Json => {
            for record in &story.records {
                output.line(shown.line(record)?)?;
            }
        }
        Shown::Text => tell(&story.records, output)?,
    }
    if story.records.len() == RESULTS_MAX {
        complain(&format!("the story is longer; these are its last {RESULTS_MAX} records"));
    }
    whole(&story)
}

fn by_number(dir: &Path, number: u64) -> Result<Found, Failure> {
    let mut log = Log::open(dir, number)?;
    let record = log.next()?.map(|entry| entry.into_record()).filter(|record| record.seq == number);
    log.end()?;
    Ok(Found { records: record.into_iter().collect(), unreadable: Vec::new() })
}

fn by_reference(dir: &Path, reference: &str) -> Result<Found, Failure> {
    let meant =
        |record: &Record| record.event.reference.as_ref().is_some_and(|shown| shown.eq_ignore_ascii_case(reference));
    search_by(dir, meant, RESULTS_MAX).map_err(Failure::environment)
}

/// What was found, with all that has a statement or a reference in common with it.
fn around(dir: &Path, found: Found) -> Result<Found, Failure> {
    let statement = |event: &Event| event.statement.as_ref().map(|statement| statement.id.clone());
    let statements: BTreeSet<String> = found.records.iter().filter_map(|record| statement(&record.event)).collect();
    let references: BTreeSet<&String> =
        found.records.iter().filter_map(|record| record.event.reference.as_ref()).collect();
    if statements.is_empty() && references.is_empty() {
        return Ok(found);
    }
    let belongs = |record: &Record| {
        let event = &record.event;
        event.statement.as_ref().is_some_and(|statement| statements.contains(&statement.id))
            || event.reference.as_ref().is_some_and(|reference| references.contains(reference))
    };
    search_by(dir, belongs, RESULTS_MAX).map_err(Failure::environment)
}

/// Each statement with its records; then records of none.
fn tell<W: Write>(records: &[Record], output: &mut Output<W>) -> Result<(), Failure> {
    let id = |record: &Record| record.event.statement.as_ref().map(|statement| statement.id.clone());
    let mut stories: Vec<(Option<String>, Vec<&Record>)> = Vec::new();
    for record in records {
        let id = id(record);
        match stories.iter_mut().find(|(known, _)| *known == id) {
            Some((_, story)) => story.push(record),
            None => stories.push((id, vec![record])),
        }
    }
    for (at, (_, story)) in stories.iter().enumerate() {
        if at > 0 {
            output.line("")?;
        }
        tell_one(story, output)?;
    }
    Ok(())
}

fn tell_one<W: Write>(story: &[&Record], output: &mut Output<W>) -> Result<(), Failure> {
    let events = || story.iter().map(|record| &record.event);
    let mut about = About { output };
    if let Some(reference) = events().find_map(|event| event.reference.as_ref()) {
        about.line("reference", reference)?;
    }
    // The record with the longest text knows most: others may only name the statement.
    if let Some(statement) = events().filter_map(|event| event.statement.as_ref()).max_by_key(|known| known.text.len())
    {
        about.statement(statement)?;
    }
    if let Some(person) = events().find_map(|event| event.person.as_ref()) {
        about.person(person)?;
    }
    if let Some(session) = events().find_map(|event| event.session.as_ref()) {
        about.session(session)?;
    }
    let policies: BTreeSet<&String> = events().filter_map(|event| event.policy.as_ref()).collect();
    for policy in policies {
        about.line("policy", &format!("SHA-256 {policy}"))?;
    }
    about.output.line("")?;
    for record in story {
        about.record(record)?;
    }
    Ok(())
}

/// Writes what is known under a name.
struct About<'a, W: Write> {
    output: &'a mut Output<W>,
}

impl<W: Write> About<'_, W> {
    fn line(&mut self, name: &str, what: &str) -> Result<(), Failure> {
        self.output.line(format_args!("{name:NAME_WIDTH$}{}", safe(what)))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Failure> {
        self.line("statement", &statement.id)?;
        let cut = if statement.text_cut { " … (cut; the hash is over all of it)" } else { "" };
        self.line("text", &format!("{}{cut}", statement.text))?;
        self.line("", &format!("{} bytes, SHA-256 {}", statement.bytes, statement.sha256))?;
        self.line("does", &format!("{}, understood: {}", statement.verb, statement.coverage))?;
        for (at, relation) in statement.relations.iter().enumerate() {
            self.line(if at == 0 { "reaches" } else { "" }, &reached(relation))?;
        }
        if let Some(role) = &statement.role {
            let sure = if role.trusted { "" } else { ", not certain" };
            self.line("as role", &format!("{}{sure}", role.names.join(" or ")))?;
        }
        for (at, gap) in statement.gaps.iter().enumerate() {
            self.line(if at == 0 { "unclear" } else { "" }, gap)?;
        }
        Ok(())
    }

    fn person(&mut self, person: &Person) -> Result<(), Failure> {
        let known = if person.known { "known to the directory" } else { "not known to the directory" };
        let groups =
            if person.groups.is_empty() { String::new() } else { format!(", in {}", person.groups.join(", ")) };
        self.line("person", &format!("{}, {known}{groups}, identified by: {}", person.id, person.auth))
    }

    fn session(&mut self, session: &Session) -> Result<(), Failure> {
        let application = session.application.as_ref().map(|name| format!(", application {name}")).unwrap_or_default();
        let tls = session.tls.as_deref().unwrap_or("no TLS");
        self.line(
            "session",
            &format!("{}, from {} by listener {}, {tls}{application}", session.id, session.client, session.listener),
        )?;
        let Session { database, upstream, account, .. } = session;
        self.line("database", &format!("{database} on {upstream}, account {account}"))
    }

    fn record(&mut self, record: &Record) -> Result<(), Failure> {
        let event = &record.event;
        let head = format!("#{}", record.seq);
        self.output.line(format_args!("{head:NAME_WIDTH$}{}  {}", moment(event.time_ms), word(&event.body)))?;
        self.line("", &sentence(event))?;
        for basis in &event.basis {
            self.output.line(format_args!("{:NAME_WIDTH$}{}", "", counter(basis)))?;
        }
        for charge in &event.charged {
            let (keyed, unkeyed) = (charge.keyed(), charge.unkeyed);
            let what = format!("charged to {}: {keyed} record(s) by key, {unkeyed} without", charge.dataset);
            self.line("", &what)?;
        }
        for extraction in &event.extractions {
            self.line("", &format!("extraction {}: {}", extraction.id, words::seen(extraction)))?;
        }
        for question in &event.questions {
            let of = if question.columns.is_empty() { "values".to_owned() } else { question.columns.join(", ") };
            let about = if question.asking == "wholes" { "whether there is one with" } else { "about parts of" };
            self.line("", &format!("asks {} {about} {of}", question.relation))?;
        }
        if let Body::Completion(completion) = &event.body {
            self.line("", &format!("took {}.{:03} ms", completion.duration_us / 1000, completion.duration_us % 1000))?;
        }
        Ok(())
    }
}

fn reached(relation: &RelationUse) -> String {
    let columns =
        if relation.columns.is_empty() { String::new() } else { format!(": {}", relation.columns.join(", ")) };
    let via = if relation.via.is_empty() { String::new() } else { format!(", through {}", relation.via.join(", ")) };
    format!("{}, {}{columns}{via} (seen by {})", relation.name, relation.access, relation.source)
}
