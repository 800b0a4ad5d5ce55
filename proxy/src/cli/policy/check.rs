//! `weir policy check`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use weir_policy::load::Severity;
use weir_policy::relation::Engine;

use super::{Live, Read, read};
use crate::cli::Failure;
use crate::cli::output::Output;

/// What is to be checked.
#[derive(Args)]
pub(in crate::cli) struct Check {
    /// The policy files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Also compare the datasets with the databases behind this configuration.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Also compare with this database; those that the policy names in full are compared anyway.
    #[arg(long, value_name = "NAME", requires = "config")]
    pub(super) database: Vec<String>,
    /// End with 1 when there are warnings.
    #[arg(long)]
    pub(super) strict: bool,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run<W: Write>(check: &Check, output: &mut Output<W>) -> Result<(), Failure> {
    let live = check.config.as_deref().map(Live::new).transpose()?;
    let (mut errors, mut warnings) = (0_usize, 0_usize);
    let mut answers = Vec::new();
    for file in &check.files {
        let mut found = read(file)?;
        if let Some(live) = &live {
            compare(&mut found, live, &check.database)?;
        }
        errors += found.count(Severity::Error);
        warnings += found.count(Severity::Warning);
        let shown = file.display().to_string();
        if check.json {
            answers.push(json!({
                "file": shown,
                "usable": found.set.is_some(),
                "hash": found.set.as_ref().map(|set| set.hash()),
                "diagnostics": found.diagnostics,
            }));
            continue;
        }
        for diagnostic in &found.diagnostics {
            output.line(diagnostic)?;
        }
        if let Some(set) = &found.set {
            let (datasets, rules, tests) = set.sizes();
            output.line(format_args!("{shown}: ok: {datasets} dataset(s), {rules} rule(s), {tests} test(s)"))?;
        }
    }
    if check.json {
        output.line(json!({ "files": answers, "errors": errors, "warnings": warnings }))?;
    }
    match (errors, warnings) {
        (0, 0) => Ok(()),
        (0, _) if !check.strict => Ok(()),
        (0, count) => Err(Failure::finding(format!("{count} warning(s), and --strict was asked for"))),
        (count, _) => Err(Failure::finding(format!("{count} error(s); `weir run` would not take this"))),
    }
}

/// Compares datasets with the live databases that they speak of.
fn compare(found: &mut Read, live: &Live, further: &[String]) -> Result<(), Failure> {
    let Some(set) = &found.set else { return Ok(()) };
    let named = set.databases().into_iter().filter(|(engine, _)| *engine == Engine::Postgres).map(|(_, name)| name);
    let mut databases: Vec<&str> = named.chain(further.iter().map(String::as_str)).collect();
    databases.sort_unstable();
    databases.dedup();
    for database in databases {
        let views: Vec<_> = live.config.upstreams.iter().map(|upstream| live.view(&upstream.name, database)).collect();
        if views.iter().all(Result::is_err) {
            let reasons: Vec<String> = views.into_iter().filter_map(Result::err).collect();
            return Err(Failure::environment(reasons.join("\n")));
        }
        for view in views.into_iter().flatten() {
            let (_, diagnostics) = set.bind(&view.catalog);
            found.diagnostics.extend(diagnostics);
        }
    }
    found.diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    found.diagnostics.dedup();
    Ok(())
}
