//! `weir policy test`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use weir_policy::load::Severity;

use super::read;
use crate::cli::Failure;
use crate::cli::output::Output;

/// What is to be tested.
#[derive(Args)]
pub(in crate::cli) struct Test {
    /// The policy files.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) fn run<W: Write>(test: &Test, output: &mut Output<W>) -> Result<(), Failure> {
    let (mut passed, mut failed, mut errors) = (0_usize, 0_usize, 0_usize);
    let mut answers = Vec::new();
    for file in &test.files {
        let found = read(file)?;
        errors += found.count(Severity::Error);
        let trials = found.set.as_ref().map(|set| set.run_tests()).unwrap_or_default();
        passed += trials.iter().filter(|trial| trial.passed).count();
        failed += trials.iter().filter(|trial| !trial.passed).count();
        if test.json {
            answers.push(json!({
                "file": file.display().to_string(),
                "usable": found.set.is_some(),
                "diagnostics": found.diagnostics,
                "tests": trials,
            }));
            continue;
        }
        for diagnostic in &found.diagnostics {
            output.line(diagnostic)?;
        }
        for trial in &trials {
            output.line(trial)?;
        }
    }
    if test.json {
        output.line(json!({ "files": answers, "passed": passed, "failed": failed, "errors": errors }))?;
    } else {
        output.line(format_args!("{passed} passed, {failed} failed"))?;
    }
    match (errors, failed) {
        (0, 0) => Ok(()),
        (0, count) => Err(Failure::finding(format!("{count} test(s) of the policy failed"))),
        (count, _) => Err(Failure::finding(format!("{count} error(s); their file was not tested"))),
    }
}
