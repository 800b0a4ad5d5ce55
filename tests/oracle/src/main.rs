//! Says in JSON what Weir understands of statements, one question a line, so that `tests/oracle/run.sh` can hold it
//! against what the servers themselves say.
//!
//! The catalog is the one that the product loads, from a live server, over its own code. What must never happen here:
//! an answer by an older catalog than the question asks for, or one that leaves out what the analysis says.
#![allow(clippy::print_stderr, reason = "it talks to the person who runs it")]

mod answer;
mod question;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use weir_policy::analysis::{Context, analyse};
use weir_proxy::catalog::{CatalogView, Catalogs, Freshness};
use weir_proxy::config::Config;

use question::Question;

const USAGE: &str = "usage: weir-oracle CONFIG UPSTREAM DATABASE\n\nReads questions from standard input, a JSON object a \
                     line: sql, renew (default false), search_path, temporary, standard_conforming_strings, sql_mode.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, upstream, database] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match serve(Path::new(config), upstream, database) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-oracle: {error}");
            ExitCode::from(3)
        }
    }
}

/// Answers until the input ends.
fn serve(config: &Path, upstream: &str, database: &str) -> Result<(), String> {
    let config = Config::load(config).map_err(|error| error.to_string())?;
    let catalogs = Catalogs::new(&config, &HashMap::new())?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let mut view = fresh(runtime.block_on(catalogs.snapshot(upstream, database)))?;
    let mut output = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let asked: Value = serde_json::from_str(&line).map_err(|error| format!("no question: {error}"))?;
        let question = Question::read(&asked)?;
        let renewed = if question.renew {
            fresh(runtime.block_on(catalogs.renew(upstream, database))).map(|fresh| view = fresh)
        } else {
            Ok(())
        };
        let said = match renewed {
            Ok(()) => reply(&question, &view),
            // Somebody holds a lock, perhaps.
            Err(reason) => json!({ "stale": reason }),
        };
        writeln!(output, "{said}").and_then(|()| output.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn fresh(view: CatalogView) -> Result<CatalogView, String> {
    match &view.state {
        Freshness::Fresh => Ok(view),
        Freshness::Stale { reason, .. } => Err(format!("the catalog cannot be read: {reason}")),
    }
}

fn reply(question: &Question, view: &CatalogView) -> Value {
    let context = Context {
        lex: question.lex(view),
        catalog: &view.catalog,
        search_path: &question.search_path,
        temporary: &question.temporary,
    };
    let analysis = analyse(question.sql.as_bytes(), &context);
    let statements: Vec<Value> = analysis.statements.iter().map(answer::statement).collect();
    json!({ "statements": statements })
}
