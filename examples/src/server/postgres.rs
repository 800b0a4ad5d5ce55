//! A throw-away PostgreSQL.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use super::{CATALOG_ACCOUNT, CUSTOMERS, PAUSE, START_LIMIT, fill_steps, give, lent_by_root, program, text};
use crate::client::postgres::Session;
use crate::client::{Door, Engine};
use crate::failure::{Context, Failure};
use crate::process::{self, Process, Start};
use crate::scratch::Scratch;
use crate::story::{Story, number};

/// Accounts of agents. The directory file says who is behind them.
const AGENTS: [&str; 4] = ["alice", "alice_report", "bob", "erin"];

const SUPERUSER: &str = "postgres";

/// Nothing here has to survive a crash.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "password_encryption=scram-sha-256",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "timezone=UTC",
];

/// The running server.
#[derive(Debug)]
pub(crate) struct Postgres {
    process: Process,
    door: Door,
}

impl Postgres {
    /// Makes a cluster in `scratch` and starts it.
    pub(crate) async fn start(
        scratch: &Scratch,
        port: u16,
        password: &str,
        keep: bool,
        story: &Story,
    ) -> Result<Postgres, Failure> {
        let programs = programs()?;
        let step = story.step(&format!("a throw-away PostgreSQL on 127.0.0.1:{port}"));
        let account = lent_by_root("postgres")?;
        let data = scratch.path().join("postgres");
        let log = scratch.write("postgres.log", "")?;
        let password_file = scratch.write_secret("postgres.password", password)?;
        std::fs::create_dir(&data).context("cannot make the data directory")?;
        for path in [&data, &log, &password_file] {
            give(path, account)?;
        }
        let data_text = text(&data)?;
        let password_argument = format!("--pwfile={}", text(&password_file)?);
        let initdb = ["-D", data_text, "-U", SUPERUSER, "-A", "scram-sha-256", &password_argument];
        let initdb = [&initdb[..], &["-E", "UTF8", "--locale=C", "--no-sync"]].concat();
        process::run(&programs.join("initdb"), &initdb, account)?;

        let mut arguments = vec!["-D".to_owned(), data_text.to_owned(), "-p".to_owned(), port.to_string()];
        for setting in SETTINGS {
            arguments.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let process = Process::start(Start {
            name: "PostgreSQL",
            program: &programs.join("postgres"),
            arguments: &arguments,
            account,
            log,
            // Its fast shutdown: clients are not waited for.
            stop_signal: "INT",
            keep,
        })?;
        let door = Door {
            engine: Engine::Postgres,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            password: password.to_owned(),
        };
        let mut postgres = Postgres { process, door };
        postgres.wait().await?;
        step.done();
        Ok(postgres)
    }

    /// Accounts, tables and people.
    pub(crate) async fn fill(&self, story: &Story) -> Result<(), Failure> {
        let step = story.step(&format!("{} customers, their tickets and cards in PostgreSQL", number(CUSTOMERS)));
        let session = Session::open(&self.door, SUPERUSER, "postgres").await?;
        // Letters and digits only: no quoting to get wrong.
        let password = &self.door.password;
        let mut script = format!(
            "create role support_agent nologin;
             create role {CATALOG_ACCOUNT} login password '{password}';
             create database support;"
        );
        for agent in AGENTS {
            script.push_str(&format!("create role {agent} login password '{password}' in role support_agent;"));
        }
        // CREATE DATABASE has to be a transaction of its own.
        for statement in script.split_inclusive(';') {
            execute(&session, statement).await?;
        }
        session.close().await;

        let session = Session::open(&self.door, SUPERUSER, "support").await?;
        execute(&session, include_str!("../../demo/postgres/schema.sql")).await?;
        let fill =
            session.client().prepare(include_str!("../../demo/postgres/fill.sql")).await.context("cannot fill")?;
        for (from, to) in fill_steps() {
            let bounds = (i64::try_from(from), i64::try_from(to));
            let (Ok(first), Ok(last)) = bounds else { return Err(Failure::new("too many customers")) };
            session.client().execute(&fill, &[&first, &last]).await.context("cannot fill")?;
            step.progress(&number(to));
        }
        execute(&session, "analyze").await?;
        session.close().await;
        step.done();
        Ok(())
    }

    /// Where it is, for clients.
    pub(crate) fn door(&self) -> &Door {
        &self.door
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.process.still_runs()?;
            let Err(failure) = Session::open(&self.door, SUPERUSER, "postgres").await else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(Failure::new(format!("PostgreSQL: {failure}; {}", self.process.log_tail())));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn execute(session: &Session, sql: &str) -> Result<(), Failure> {
    session.client().batch_execute(sql).await.context(format_args!("cannot set up ({})", sql.trim()))
}

/// Directory of the server's programs: the newest under Debian's layout, else where `initdb` is on the PATH.
fn programs() -> Result<PathBuf, Failure> {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = debian
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists())
        .max();
    if let Some((_, bin)) = newest {
        return Ok(bin);
    }
    program("initdb", &[])
        .and_then(|initdb| initdb.parent().map(PathBuf::from))
        .ok_or_else(|| Failure::new("PostgreSQL's `initdb` is not here: run `make demo`, which installs it"))
}
