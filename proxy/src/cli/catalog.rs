//! `weir catalog`: what is sensitive in the databases behind Weir, and why.
//!
//! It reads the databases with Weir's own account, and the audit log for copies; a running Weir is neither needed nor
//! disturbed. What must never happen here: an empty answer for a database that could not be read.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use weir_policy::binding::list::{Sensitive, Why};
use weir_policy::load::Severity;
use weir_policy::relation::Engine;

use super::Failure;
use super::output::Output;
use super::policy::{Live, read};
use crate::copies::{Copies, Kept};

/// What is to be listed.
#[derive(Args)]
pub(super) struct Catalog {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Only this upstream.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Only these databases. Left out: those that the policy names without a star.
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// Answer in JSON: one object a database, a line each.
    #[arg(long)]
    json: bool,
}

pub(super) fn run<W: Write>(command: &Catalog, output: &mut Output<W>) -> Result<(), Failure> {
    let live = Live::new(&command.config)?;
    if let Some(name) = command.upstream.as_ref().filter(|name| live.config.upstream(name).is_none()) {
        return Err(Failure::bad_input(format!("there is no upstream `{name}`")));
    }
    let found = read(&live.config.policy)?;
    let Some(set) = &found.set else {
        let errors = found.diagnostics.iter().filter(|told| told.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        return Err(Failure::bad_input(errors.join("\n")));
    };
    let copies = Copies::read(&live.config.audit.dir).map_err(Failure::environment)?;
    let mut listed = 0_usize;
    for upstream in &live.config.upstreams {
        if command.upstream.as_ref().is_some_and(|name| *name != upstream.name) {
            continue;
        }
        let named = set.databases().into_iter().filter(|(engine, _)| *engine == upstream.engine);
        let databases: Vec<String> = match command.database.as_slice() {
            [] => named.map(|(_, database)| database.to_owned()).collect(),
            given => given.to_vec(),
        };
        for database in databases {
            let view = live.view(&upstream.name, &database).map_err(Failure::environment)?;
            // What a database does not show any more has ended, though no session has noticed yet.
            let _ = copies.observe(&upstream.name, &view.catalog);
            let laid = copies.laid(&upstream.name, &view.catalog);
            let (binding, diagnostics) = set.bind_with(&view.catalog, &laid.labels);
            let here = |schema: &str| upstream.engine == Engine::Postgres || schema.eq_ignore_ascii_case(&database);
            let all = copies.list();
            let kept = |place: usize| {
                let label = laid.labels.get(place)?;
                all.iter().find(|(name, kept)| **name == *upstream.name && kept.label == *label).map(|(_, kept)| kept)
            };
            let place = Place { upstream: &upstream.name, engine: upstream.engine, database: &database };
            let sensitive: Vec<Sensitive> = set
                .sensitive(&view.catalog, &laid.labels, &binding)
                .into_iter()
                .filter(|sensitive| here(&sensitive.relation.schema))
                .collect();
            listed += sensitive.len();
            let lines = |beside: Vec<weir_policy::binding::list::Beside>| -> Vec<(String, String)> {
                let here = beside.into_iter().filter(|beside| here(&beside.relation.schema));
                here.map(|beside| (beside.relation.to_string(), beside.told)).collect()
            };
            let views = lines(binding.views_listed(&view.catalog));
            let unknown = lines(binding.foreign_listed(true));
            let harmless = lines(binding.foreign_listed(false));
            let missing: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            let whole = Answer { sensitive: &sensitive, views, unknown, harmless, missing };
            if command.json {
                output.line(whole.json(&place, &kept))?;
            } else {
                whole.text(&place, &kept, output)?;
            }
        }
    }
    if listed == 0 {
        return Err(Failure::finding("nothing is sensitive in the databases that were looked at"));
    }
    Ok(())
}

struct Place<'a> {
    upstream: &'a str,
    engine: Engine,
    database: &'a str,
}

struct Answer<'a> {
    sensitive: &'a [Sensitive],
    views: Vec<(String, String)>,
    unknown: Vec<(String, String)>,
    harmless: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Answer<'_> {
    fn json<'k>(&self, place: &Place<'_>, kept: &impl Fn(usize) -> Option<&'k Kept>) -> Value {
        let names = |names: &Option<Vec<std::sync::Arc<str>>>| {
            names.as_ref().map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let line = |sensitive: &Sensitive| {
            let (why, copy) = match &sensitive.why {
                Why::Copy(place) => ("copy", kept(*place)),
                Why::Named => ("policy", None),
                Why::MemberOf(_) => ("member", None),
                Why::Foreign(_) => ("foreign-table", None),
                Why::PartOf(_) => ("part", None),
            };
            json!({
                "relation": sensitive.relation.to_string(),
                "dataset": sensitive.dataset.to_string(),
                "class": sensitive.class.to_string(),
                "columns": names(&sensitive.columns),
                "key": names(&sensitive.key),
                "records": sensitive.records.to_string(),
                "why": why,
                "told": because(sensitive, kept),
                "copy": copy.map(|kept| json!({
                    "id": kept.id,
                    "source": kept.label.source.to_string(),
                    "person": kept.person,
                    "statement": kept.statement,
                    "time_ms": kept.time_ms,
                })),
            })
        };
        let pair = |(relation, told): &(String, String)| json!({ "relation": relation, "told": told });
        json!({
            "upstream": place.upstream,
            "engine": place.engine,
            "database": place.database,
            "sensitive": self.sensitive.iter().map(line).collect::<Vec<_>>(),
            "views": self.views.iter().map(pair).collect::<Vec<_>>(),
            "foreign_unknown": self.unknown.iter().map(pair).collect::<Vec<_>>(),
            "foreign_harmless": self.harmless.iter().map(pair).collect::<Vec<_>>(),
            "warnings": self.missing,
        })
    }

    fn text<'k, W: Write>(
        &self,
        place: &Place<'_>,
        kept: &impl Fn(usize) -> Option<&'k Kept>,
        output: &mut Output<W>,
    ) -> Result<(), Failure> {
        output.line(format_args!("{} on {}", place.database, place.upstream))?;
        for sensitive in self.sensitive {
            let columns = match &sensitive.columns {
                None => "every column".to_owned(),
                Some(names) => names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", "),
            };
            let key = match &sensitive.key {
                None => "no key: every row counts".to_owned(),
                Some(names) => format!("key {}", names.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", ")),
            };
            output.line(format_args!(
                "  {}  {} ({})\n      {columns}; {key}\n      {}",
                sensitive.relation,
                sensitive.dataset,
                sensitive.class,
                because(sensitive, kept)
            ))?;
        }
        for (title, lines) in [
            ("views over them", &self.views),
            ("foreign tables of which nobody says where they lead (not understood)", &self.unknown),
            ("foreign tables that lead to nothing sensitive", &self.harmless),
        ] {
            if !lines.is_empty() {
                output.line(format_args!("  {title}:"))?;
            }
            for (relation, told) in lines {
                output.line(format_args!("      {relation}  {told}"))?;
            }
        }
        for warning in &self.missing {
            output.line(format_args!("  {warning}"))?;
        }
        Ok(())
    }
}

/// Why it is sensitive, in words.
fn because<'k>(sensitive: &Sensitive, kept: &impl Fn(usize) -> Option<&'k Kept>) -> String {
    match &sensitive.why {
        Why::Named => "the policy names it".to_owned(),
        Why::MemberOf(parent) => format!("belongs to {parent}"),
        Why::Foreign(told) => format!("is a foreign table that {told}"),
        Why::PartOf(owner) => format!("holds large values of {owner}"),
        Why::Copy(place) => match kept(*place) {
            Some(kept) => format!(
                "holds a copy of {} by {}, {} (statement {})",
                kept.label.source,
                if kept.person.is_empty() { "somebody" } else { &kept.person },
                super::audit::text::moment(kept.time_ms),
                kept.statement
            ),
            None => "holds a copy".to_owned(),
        },
    }
}
