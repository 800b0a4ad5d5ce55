//! A throw-away MariaDB.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::{CATALOG_ACCOUNT, CUSTOMERS, PAUSE, START_LIMIT, fill_steps, give, lent_by_root, program, text};
use crate::client::mysql::Session;
use crate::client::{Door, Engine};
use crate::failure::{Context, Failure};
use crate::process::{self, Process, Start};
use crate::scratch::Scratch;
use crate::story::{Story, number};

/// Accounts of agents. The directory file says who is behind them.
const AGENTS: [&str; 4] = ["carol", "dan", "dan_report", "erin_crm"];

/// Who makes the database. Nobody else gets in until then: what the installation leaves is let in by no port.
const SETUP: &str = "setup";

/// What Weir's own account needs: to see relations, columns, keys and views without a right to read a single row, and
/// to end what its clients left running.
const CATALOG_RIGHTS: &str = "references, show view, connection admin";

/// Where Debian has the server, which is on the PATH of root only.
const ELSEWHERE: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// Nothing here has to survive a crash.
const SETTINGS: [&str; 10] = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=off",
    "--character-set-server=utf8mb4",
    "--default-time-zone=+00:00",
    "--local-infile=off",
];

/// The running server.
#[derive(Debug)]
pub(crate) struct Mariadb {
    process: Process,
    door: Door,
}

impl Mariadb {
    /// Makes a data directory in `scratch` and starts the server on it.
    pub(crate) async fn start(
        scratch: &Scratch,
        port: u16,
        password: &str,
        keep: bool,
        story: &Story,
    ) -> Result<Mariadb, Failure> {
        let (install, server) = programs()?;
        let step = story.step(&format!("a throw-away MariaDB on 127.0.0.1:{port}"));
        let account = lent_by_root("mysql")?;
        let data = scratch.path().join("mariadb");
        let log = scratch.write("mariadb.log", "")?;
        // Letters and digits only: no quoting to get wrong.
        let first = format!(
            "create user {SETUP}@'127.0.0.1' identified by '{password}';\n\
             grant all on *.* to {SETUP}@'127.0.0.1' with grant option;\n"
        );
        let first = scratch.write_secret("mariadb.sql", &first)?;
        // Of its own: a server that starts deletes the temporary tables that others have in the same place.
        let temporary = scratch.path().join("mariadb.tmp");
        for directory in [&data, &temporary] {
            std::fs::create_dir(directory).context("cannot make a directory of the server's")?;
        }
        for path in [&data, &temporary, &log, &first] {
            give(path, account)?;
        }
        let data_argument = format!("--datadir={}", text(&data)?);
        let mut install_arguments = vec!["--no-defaults", &data_argument, "--skip-test-db", "--skip-name-resolve"];
        install_arguments.push("--auth-root-authentication-method=socket");
        process::run(&install, &install_arguments, account)?;

        // The socket stands where only the server's account gets to; clients come over the port.
        let mut arguments = vec!["--no-defaults".to_owned(), data_argument.clone(), format!("--port={port}")];
        arguments.extend(SETTINGS.map(str::to_owned));
        arguments.push(format!("--tmpdir={}", text(&temporary)?));
        for (option, name) in [("socket", "socket"), ("pid-file", "pid")] {
            arguments.push(format!("--{option}={}", text(&data.join(name))?));
        }
        arguments.push(format!("--init-file={}", text(&first)?));
        let process = Process::start(Start {
            name: "MariaDB",
            program: &server,
            arguments: &arguments,
            account,
            log,
            stop_signal: "TERM",
            keep,
        })?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let door = Door { engine: Engine::Mysql, address, password: password.to_owned() };
        let mut mariadb = Mariadb { process, door };
        mariadb.wait().await?;
        step.done();
        Ok(mariadb)
    }

    /// Accounts, tables and people.
    pub(crate) async fn fill(&self, story: &Story) -> Result<(), Failure> {
        let step = story.step(&format!("{} customers, their tickets and cards in MariaDB", number(CUSTOMERS)));
        let mut session = Session::open(&self.door, SETUP, "mysql").await?;
        execute(&mut session, "create database support character set utf8mb4; use support").await?;
        execute(&mut session, include_str!("../../demo/mariadb/schema.sql")).await?;
        let password = &self.door.password;
        let host = "'127.0.0.1'";
        let mut accounts = format!(
            "create user {CATALOG_ACCOUNT}@{host} identified by '{password}';
             grant {CATALOG_RIGHTS} on *.* to {CATALOG_ACCOUNT}@{host};"
        );
        for agent in AGENTS {
            accounts.push_str(&format!(
                "create user {agent}@{host} identified by '{password}';
                 grant support_agent to {agent}@{host};
                 set default role support_agent for {agent}@{host};"
            ));
        }
        execute(&mut session, &accounts).await?;
        let fill = include_str!("../../demo/mariadb/fill.sql");
        for (first, last) in fill_steps() {
            let fill = fill.replace("{first}", &first.to_string()).replace("{last}", &last.to_string());
            execute(&mut session, &fill).await?;
            step.progress(&number(last));
        }
        execute(&mut session, "analyze table customers, tickets, billing.cards").await?;
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
            let failure = match Session::open(&self.door, SETUP, "mysql").await {
                Ok(session) => {
                    session.close().await;
                    return Ok(());
                }
                Err(failure) => failure,
            };
            if Instant::now() > deadline {
                return Err(Failure::new(format!("MariaDB: {failure}; {}", self.process.log_tail())));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Runs the statements of a script, one after the other. In ours a `;` stands at the end of a statement or in a line of
/// comment.
async fn execute(session: &mut Session, script: &str) -> Result<(), Failure> {
    let lines: Vec<&str> = script.lines().filter(|line| !line.starts_with("--")).collect();
    let script = lines.join("\n");
    for statement in script.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        if let Some(refusal) = session.simple(statement).await?.refusal {
            return Err(Failure::new(format!("cannot set up ({statement}): {}", refusal.message)));
        }
    }
    Ok(())
}

/// The program that makes a data directory, and the server.
fn programs() -> Result<(std::path::PathBuf, std::path::PathBuf), Failure> {
    let find = |name: &str| {
        program(name, &ELSEWHERE)
            .ok_or_else(|| Failure::new(format!("MariaDB's `{name}` is not here: run `make demo`, which installs it")))
    };
    Ok((find("mariadb-install-db")?, find("mariadbd")?))
}
