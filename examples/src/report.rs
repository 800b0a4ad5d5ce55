//! `target/demo/report.json`: the figures, as the clients counted them and as the log was read. Nothing is copied from
//! a configuration.

use std::path::Path;

use serde_json::{Value, json};

use crate::client::Engine;
use crate::failure::{Context, Failure};
use crate::honest_day::HonestDay;
use crate::theft::Theft;

/// What the log itself was found to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    /// Records in it.
    pub(crate) events: u64,
    /// Whether the verifier found nothing wrong.
    pub(crate) verified: bool,
}

/// What was played on one server.
#[derive(Debug)]
pub(crate) struct Acts {
    /// The honest day.
    pub(crate) day: HonestDay,
    /// Everything in one statement.
    pub(crate) s1: Theft,
    /// Everything with patience.
    pub(crate) s2: Theft,
}

/// Writes the report; its directory is made.
pub(crate) fn write(
    path: &Path,
    postgres: &Acts,
    mariadb: &Acts,
    across: &Theft,
    log: Option<Log>,
) -> Result<(), Failure> {
    let report = json!({
        "postgres": acts(postgres),
        "mysql": acts(mariadb),
        "cross_engine": across_engines(across),
        "audit": log.map(|log| json!({ "events": log.events, "verified": log.verified })),
    });
    let doing = format!("cannot write {}", path.display());
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).context(&doing)?;
    }
    std::fs::write(path, format!("{report:#}\n")).context(&doing)
}

fn acts(acts: &Acts) -> Value {
    let Acts { day, s1, s2 } = acts;
    json!({
        "honest_day": { "statements": day.statements, "refused": day.refused, "rows_received_by_client": day.rows },
        "s1": theft(s1),
        "s2": theft(s2),
    })
}

fn across_engines(across: &Theft) -> Value {
    let of = |engine| across.records_by_engine.get(&engine).copied().unwrap_or(0);
    let mut told = theft(across);
    told["records_received_by_client_from"] = json!({ "postgres": of(Engine::Postgres), "mysql": of(Engine::Mysql) });
    told
}

fn theft(theft: &Theft) -> Value {
    let told = theft.told.as_ref();
    json!({
        "budget": told.map(|(verdict, _)| verdict.limit),
        "window": told.map(|(verdict, _)| verdict.window.clone()),
        "rule": told.map(|(verdict, _)| verdict.rule.clone()),
        "person": told.map(|(verdict, _)| verdict.person.clone()),
        "records_released": told.map(|(_, released)| released.records),
        "rows_received_by_client": theft.rows,
        "records_received_by_client": theft.records,
        "sessions": theft.sessions,
        "statements": theft.statements,
        "session_usable_after": theft.session_usable_after,
        "seconds_to_alert": theft.seconds_to_alert,
    })
}
