//! `weir policy explain`: what becomes of a statement under the live catalog, as sessions resolve it.
//!
//! Literals of the statement are never repeated in the answer.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use weir_policy::analysis::Context;
use weir_policy::budget::Window;
use weir_policy::explain::{Question, explain};
use weir_policy::load::Severity;
use weir_policy::relation::Engine;

use super::{Live, read};
use crate::cli::output::{Output, complain};
use crate::cli::{Failure, moment};
use crate::identity::{Directory, Login};
use crate::session::spelling::Spelling;

/// What is to be explained.
#[derive(Args)]
pub(in crate::cli) struct Explain {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Another policy than the one that the configuration names.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Name of the upstream, when there are several.
    #[arg(long, value_name = "NAME")]
    pub(super) upstream: Option<String>,
    /// The database.
    #[arg(long, value_name = "NAME")]
    pub(super) database: String,
    /// The account that the statement comes from; the directory says who is behind it.
    #[arg(long, value_name = "NAME")]
    pub(super) role: String,
    /// Address that the client comes from.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) source: Option<IpAddr>,
    /// Application name of the client.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) application: String,
    /// Records read before, of each dataset that the statement touches: minute=…, hour=…, day=… or 30d=….
    #[arg(long, value_name = "WINDOW=RECORDS", value_parser = used)]
    pub(super) used: Vec<(Window, u64)>,
    /// When: 2026-11-24T03:00 (UTC). Left out: now.
    #[arg(long, value_name = "MOMENT")]
    pub(super) at: Option<String>,
    /// How many rows the database answers with. Left out: as many as the text allows.
    #[arg(long, value_name = "NUMBER")]
    pub(super) rows: Option<u64>,
    /// Search path (default database on MySQL) that the session has set: schemas with commas between them. Left out: what
    /// the role starts with.
    #[arg(long, value_name = "SCHEMAS", value_delimiter = ',')]
    pub(super) search_path: Vec<String>,
    /// The statement, or several with semicolons between them; `-`: read from standard input.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(super) sql: String,
    /// Answer in JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// Most rows and records that are played: a billion would keep somebody waiting for no insight.
const ROWS_MAX: u64 = 10_000_000;
/// Longest text of standard input: as much as sessions keep of a statement, and more than a person writes.
const SQL_BYTES_MAX: u64 = 16 * 1024 * 1024;

pub(super) fn run<W: Write>(command: &Explain, output: &mut Output<W>) -> Result<(), Failure> {
    let live = Live::new(&command.config)?;
    let upstream = match (&command.upstream, live.config.upstreams.as_slice()) {
        (Some(name), _) if live.config.upstream(name).is_some() => name.clone(),
        (Some(name), _) => return Err(Failure::bad_input(format!("there is no upstream `{name}`"))),
        (None, [only]) => only.name.clone(),
        (None, _) => return Err(Failure::bad_input("there are several upstreams: give --upstream")),
    };
    if command.rows.is_some_and(|rows| rows > ROWS_MAX) {
        return Err(Failure::bad_input(format!("at most {ROWS_MAX} rows are played")));
    }
    let used = windows(&command.used)?;
    let now = SystemTime::now();
    let wall_ms = moment::parse(command.at.as_deref().unwrap_or("0s"), now).map_err(Failure::bad_input)?;
    let found = read(command.policy.as_ref().unwrap_or(&live.config.policy))?;
    let Some(set) = &found.set else {
        let errors = found.diagnostics.iter().filter(|told| told.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        return Err(Failure::bad_input(errors.join("\n")));
    };
    let directory = live.config.directory.as_deref().map(Directory::load).transpose().map_err(Failure::bad_input)?;
    let who = directory.unwrap_or_default().resolve(
        &upstream,
        &Login::relayed(&command.role),
        command.source,
        &command.application,
    );
    let view = live.view(&upstream, &command.database).map_err(Failure::environment)?;
    let (binding, diagnostics) = set.bind(&view.catalog);
    for diagnostic in diagnostics {
        complain(&diagnostic.to_string());
    }
    let search_path = match (view.catalog.engine(), command.search_path.as_slice()) {
        (Engine::Postgres, []) => effective(view.search_path_default(&command.role), &command.role),
        (Engine::Postgres, given) => effective(given.to_vec(), &command.role),
        (Engine::Mysql, []) => vec![command.database.clone()],
        (Engine::Mysql, given) => given.to_vec(),
    };
    let sql = if command.sql == "-" { &standard_input()? } else { &command.sql };
    let explanation = explain(&Question {
        set,
        binding: &binding,
        context: Context {
            lex: Spelling::usual(&view),
            catalog: &view.catalog,
            search_path: &search_path,
            temporary: &[],
        },
        sql,
        who: &who,
        wall: i64::try_from(wall_ms / 1000).unwrap_or(i64::MAX),
        used: &used,
        rows: command.rows,
    });
    if command.json {
        output.line(serde_json::to_string(&explanation).map_err(Failure::environment)?)?;
    } else {
        output.line(&explanation)?;
    }
    match explanation.gaps() {
        0 => Ok(()),
        count => Err(Failure::finding(format!("{count} thing(s) are not understood; rules treat them as unknown"))),
    }
}

/// One `--used`.
fn used(text: &str) -> Result<(Window, u64), String> {
    let wrong = || "write minute=450, hour=450, day=450 or 30d=450".to_owned();
    let (window, records) = text.split_once('=').ok_or_else(wrong)?;
    let window = match window {
        "minute" => Window::Minute,
        "hour" => Window::Hour,
        "day" => Window::Day,
        "30d" => Window::Month,
        _ => return Err(wrong()),
    };
    let records = records.parse().map_err(|_| wrong())?;
    if records > ROWS_MAX { Err(format!("at most {ROWS_MAX} records")) } else { Ok((window, records)) }
}

/// All `--used`, shortest window first. A longer window holds what the shorter ones hold.
fn windows(used: &[(Window, u64)]) -> Result<Vec<(Window, u64)>, Failure> {
    let mut windows = used.to_vec();
    windows.sort_unstable();
    for pair in windows.windows(2) {
        let [(short, fewer), (long, more)] = pair else { continue };
        if short == long || fewer > more {
            let message = format!("--used {more} per {long} beside {fewer} per {short}: a longer window holds no less");
            return Err(Failure::bad_input(message));
        }
    }
    Ok(windows)
}

/// The path that the server looks names up in, where the setting says this.
fn effective(setting: Vec<String>, role: &str) -> Vec<String> {
    let mut path: Vec<String> =
        setting.into_iter().map(|schema| if schema == "$user" { role.to_owned() } else { schema }).collect();
    // The server puts it first unless the path names it.
    if !path.iter().any(|schema| schema == "pg_catalog") {
        path.insert(0, "pg_catalog".to_owned());
    }
    path
}

/// A text from standard input.
fn standard_input() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(SQL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(Failure::environment)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > SQL_BYTES_MAX {
        return Err(Failure::bad_input(format!("the statement is longer than {SQL_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::bad_input("the statement is not UTF-8"))
}
