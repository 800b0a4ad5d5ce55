//! `weir-demo`: two support databases behind Weir, honest days, thefts, and the log that tells of them.
//!
//! What decides is what the clients received, counted by them row by row; the log is held against it. With
//! `--without-weir` the same clients reach the server itself, to show what the difference is: it ends with 1.
//!
//! INVARIANT: whatever ends the run (its own end, a failure, Ctrl-C, SIGTERM), every process that it started is
//! stopped by its process id, and its directory removed, unless KEEP=1 asked for them.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod client;
mod failure;
mod honest_day;
mod process;
mod report;
mod scratch;
mod server;
mod stage;
mod story;
mod theft;
mod weir;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::client::{Door, Engine};
use crate::failure::{Context, Failure};
use crate::process::Process;
use crate::report::{Acts, Log};
use crate::scratch::{Ports, Scratch};
use crate::server::{CUSTOMERS, Mariadb, Postgres};
use crate::stage::Stage;
use crate::story::{Story, number};
use crate::theft::{Hand, Paging, Theft};
use crate::weir::Weir;

const USAGE: &str = "usage: weir-demo --weir BINARY | --without-weir   [--report FILE]

Plays an honest day and two thefts on a throw-away PostgreSQL and on a throw-away MariaDB, then a theft from both at
once, through Weir or without it, and writes what the clients received to FILE (target/demo/report.json). KEEP=1 in the environment leaves everything running.

Exit codes: 0 everything came out as it should, 1 something did not, 2 usage, 3 surroundings, 130 interrupted.
";

/// Exit codes beside 0.
const UNEXPECTED: u8 = 1;
const BAD_USAGE: u8 = 2;
const SURROUNDINGS: u8 = 3;
const INTERRUPTED: u8 = 130;

/// Lines of the log that are shown at the end.
const LOG_LINES: &str = "8";

/// What was asked for.
#[derive(Debug)]
struct Arguments {
    /// The `weir` to put in front; `None` leaves it out.
    weir: Option<PathBuf>,
    report: PathBuf,
    keep: bool,
}

impl Arguments {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
        let (mut weir, mut without, mut report) = (None, false, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--weir" => weir = Some(PathBuf::from(value()?)),
                "--report" => report = Some(PathBuf::from(value()?)),
                "--without-weir" => without = true,
                _ => return Err(format!("unknown argument `{word}`")),
            }
        }
        if weir.is_some() == without {
            return Err("give either --weir or --without-weir".to_owned());
        }
        let name = if without { "report-without-weir.json" } else { "report.json" };
        let report = report.unwrap_or_else(|| repository().join("target/demo").join(name));
        Ok(Arguments { weir, report, keep: std::env::var("KEEP").is_ok_and(|keep| keep == "1") })
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(message) => {
            tell(&format!("weir-demo: {message}\n{USAGE}"));
            return ExitCode::from(BAD_USAGE);
        }
    };
    // One thread: the kernel ties the processes to the thread that starts them, which must be one that stays.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tell(&format!("weir-demo: cannot start: {error}\n"));
            return ExitCode::from(SURROUNDINGS);
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            played = play(&arguments) => match played {
                Ok(0) => 0,
                Ok(_) => UNEXPECTED,
                Err(failure) => {
                    tell(&format!("\nweir-demo: {failure}\n"));
                    SURROUNDINGS
                }
            },
            name = interrupted() => {
                tell(&format!("\nweir-demo: {name}: stopping what was started\n"));
                INTERRUPTED
            }
        }
    });
    ExitCode::from(code)
}

/// Plays everything; returns how many checks did not hold.
async fn play(arguments: &Arguments) -> Result<u32, Failure> {
    let mut story = Story::new();
    story.chapter(match arguments.weir {
        Some(_) => "A support desk behind Weir",
        None => "A support desk without Weir",
    });
    let mut ports = Ports::new();
    // Dropped in the reverse order: Weir, the servers, the directory.
    let scratch = Scratch::new(arguments.keep)?;
    let password = scratch::password()?;
    let mut postgres = Postgres::start(&scratch, ports.free()?, &password, arguments.keep, &story).await?;
    postgres.fill(&story).await?;
    let mut mariadb = Mariadb::start(&scratch, ports.free()?, &password, arguments.keep, &story).await?;
    mariadb.fill(&story).await?;
    let servers = [postgres.door(), mariadb.door()];
    let mut weir = match &arguments.weir {
        Some(binary) => Some(Weir::start(binary, servers, &scratch, &mut ports, arguments.keep, &story).await?),
        None => None,
    };

    let stage = match &weir {
        Some(weir) => Stage { postgres: weir.postgres().clone(), mariadb: weir.mariadb().clone(), weir: Some(weir) },
        None => Stage { postgres: postgres.door().clone(), mariadb: mariadb.door().clone(), weir: None },
    };
    let doors = [stage.postgres.clone(), stage.mariadb.clone()];
    let on_postgres = on_one_server(&stage, &stage.postgres, "bob", ["alice", "alice_report"], &mut story).await?;
    let on_mariadb = on_one_server(&stage, &stage.mariadb, "carol", ["dan", "dan_report"], &mut story).await?;
    let across = on_both_servers(&stage, &mut story).await?;
    let log = match &mut weir {
        Some(weir) => Some(read_log(weir, &mut story)?),
        None => None,
    };
    report::write(&arguments.report, &on_postgres, &on_mariadb, &across, log)?;
    conclude(arguments, &on_postgres, &on_mariadb, &across, &mut story);

    if arguments.keep {
        if let Some(weir) = &mut weir {
            weir.start_again().await?;
        }
        let servers = [postgres.process(), mariadb.process()];
        keep(&scratch, servers, weir.as_mut(), &doors, &story);
    }
    Ok(story.failed())
}

/// The acts that one server sees. Each thief is somebody who has read nothing yet: budgets are of people.
async fn on_one_server(
    stage: &Stage<'_>,
    door: &Door,
    agent: &str,
    thief: [&str; 2],
    story: &mut Story,
) -> Result<Acts, Failure> {
    let day = honest_day::play(stage, door, agent, story).await?;
    let s1 = theft::one_shot(stage, door, agent, story).await?;
    let hands = [
        Hand { door, account: thief[0], paging: Paging::ByPosition },
        Hand { door, account: thief[1], paging: Paging::ByKey },
    ];
    let title = format!("S2 on {}: everything, with patience", door.engine.server());
    let s2 = theft::patient(stage, &title, hands, story).await?;
    Ok(Acts { day, s1, s2 })
}

/// One person with an account on each server: what was taken from one is missing from what may be taken from the other.
async fn on_both_servers(stage: &Stage<'_>, story: &mut Story) -> Result<Theft, Failure> {
    let hands = [
        Hand { door: &stage.postgres, account: "erin", paging: Paging::ByPosition },
        Hand { door: &stage.mariadb, account: "erin_crm", paging: Paging::ByKey },
    ];
    let theft = theft::patient(stage, "S2 across both: one person, two servers", hands, story).await?;
    let of = |engine| theft.records_by_engine.get(&engine).copied().unwrap_or(0);
    let (postgres, mysql) = (of(Engine::Postgres), of(Engine::Mysql));
    story.check(
        postgres > 0 && mysql > 0,
        &format!("{postgres} customers from PostgreSQL and {mysql} from MariaDB: {} in all", postgres + mysql),
    );
    Ok(theft)
}

/// Stops Weir, so that its last checkpoint covers everything, and checks the log as somebody would who was not there.
fn read_log(weir: &mut Weir, story: &mut Story) -> Result<Log, Failure> {
    story.chapter("The log");
    weir.stop()?;
    match show_log(weir, story) {
        Ok(events) => {
            story.check(true, &format!("{} records, verified with nothing but the public key", number(events)));
            Ok(Log { events, verified: true })
        }
        Err(failure) => {
            story.say(&failure.to_string());
            story.check(false, "the log can be read and is verified");
            let events = weir.events().map_or(0, |events| events.len());
            Ok(Log { events: u64::try_from(events).unwrap_or(u64::MAX), verified: false })
        }
    }
}

/// Shows the end of the log and verifies all of it; returns how many records it holds.
fn show_log(weir: &Weir, story: &Story) -> Result<u64, Failure> {
    story.aside(&format!("weir audit tail -n {LOG_LINES}, in short:"));
    for line in weir.command(&["audit", "tail", "-n", LOG_LINES])?.lines() {
        story.say(&stage::in_short(line)?);
    }
    story.aside("weir audit verify:");
    weir.command(&["audit", "verify"])?.lines().for_each(|line| story.say(line));
    u64::try_from(weir.events()?.len()).context("too many records")
}

fn conclude(arguments: &Arguments, postgres: &Acts, mariadb: &Acts, across: &Theft, story: &mut Story) {
    story.chapter("In short");
    story.say(&format!("of {} customers in each database left:", number(CUSTOMERS)));
    for (server, acts) in [("PostgreSQL", postgres), ("MariaDB", mariadb)] {
        story.say(&format!("  {server}: S1 {}, S2 {}", number(acts.s1.records), number(acts.s2.records)));
    }
    story.say(&format!("  both together: S2 {}", number(across.records)));
    match (&arguments.weir, story.failed()) {
        (Some(_), 0) => story.say("everything came out as it should"),
        (_, failed) => {
            if arguments.weir.is_none() {
                story.say("nobody was told, and nothing says who took what");
            }
            story.say(&format!("{failed} checks did not hold"));
        }
    }
    story.aside(&format!("figures: {}", arguments.report.display()));
}

/// Leaves everything running, and says how to use it and how to end it.
fn keep(scratch: &Scratch, servers: [&mut Process; 2], weir: Option<&mut Weir>, doors: &[Door; 2], story: &Story) {
    story.chapter("KEEP=1: left running");
    for door in doors {
        let (ip, port, password) = (door.address.ip(), door.address.port(), &door.password);
        story.say(&match door.engine {
            Engine::Postgres => format!("connect:  PGPASSWORD={password} psql -h {ip} -p {port} -U bob support"),
            Engine::Mysql => {
                format!("connect:  MYSQL_PWD={password} mariadb --skip-ssl -h {ip} -P {port} -u carol support")
            }
        });
    }
    let [postgres, mariadb] = servers;
    let mut term = Vec::new();
    if let Some(weir) = weir {
        story.say(&format!("the log:  weir audit tail --config {}", weir.config().display()));
        term.push(weir.process().pid());
        weir.process().leave();
    }
    term.push(mariadb.pid());
    let term = term.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let stop = format!("kill {term}; kill -INT {}; rm -rf {}", postgres.pid(), scratch.path().display());
    postgres.leave();
    mariadb.leave();
    story.say(&format!("stop:     {stop}"));
}

/// Waits for a signal that asks us to end; returns its name.
async fn interrupted() -> &'static str {
    let wait = async |kind: SignalKind| match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        // Without a handler the signal ends us at once, and the kernel ends what is tied to us.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => "interrupted",
        () = wait(SignalKind::terminate()) => "terminated",
        () = wait(SignalKind::hangup()) => "the terminal went away",
    }
}

fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn tell(text: &str) {
    // Nobody can be told when standard error is gone.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(words: &str) -> Result<Arguments, String> {
        Arguments::parse(words.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn one_of_the_two_modes_is_asked_for() {
        assert!(parse("").is_err());
        assert!(parse("--weir a --without-weir").is_err());
        assert!(parse("--weir").is_err());
        assert!(parse("--wier a").is_err());
        assert_eq!(parse("--weir a").unwrap().report.file_name().unwrap(), "report.json");
        assert_eq!(parse("--without-weir").unwrap().report.file_name().unwrap(), "report-without-weir.json");
        assert_eq!(parse("--weir a --report b").unwrap().report.to_str(), Some("b"));
    }
}
