//! A running `weir` in front of both support databases, and what an operator would ask it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::{Door, Engine};
use crate::failure::{Context, Failure};
use crate::process::{self, Process, Start};
use crate::scratch::{Ports, Scratch};
use crate::server::CATALOG_ACCOUNT;
use crate::story::Story;

/// How long it may take until it is ready; the first load of the catalog is part of it.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long an answer of the admin port may take.
const ADMIN_LIMIT: Duration = Duration::from_secs(2);

/// Longest answer of the admin port that is read, bytes.
const ADMIN_BYTES_MAX: u64 = 64 * 1024;

const PAUSE: Duration = Duration::from_millis(20);

/// The process and its files.
#[derive(Debug)]
pub(crate) struct Weir {
    process: Process,
    files: Files,
    postgres: Door,
    mariadb: Door,
    admin: SocketAddr,
    keep: bool,
}

#[derive(Debug)]
struct Files {
    binary: PathBuf,
    config: PathBuf,
    alerts: PathBuf,
    log: PathBuf,
}

impl Weir {
    /// Writes its configuration around the example's policy and people, starts it, and waits until it is ready.
    pub(crate) async fn start(
        binary: &Path,
        upstreams: [&Door; 2],
        scratch: &Scratch,
        ports: &mut Ports,
        keep: bool,
        story: &Story,
    ) -> Result<Weir, Failure> {
        let mut doors = Vec::new();
        for upstream in upstreams {
            doors.push(Door { address: SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free()?)), ..upstream.clone() });
        }
        let [postgres, mariadb] = doors.try_into().map_err(|_| Failure::new("two servers make two doors"))?;
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free()?));
        let step = story.step(&format!(
            "weir on {} and {}, with the policy and people of examples/support-desk",
            postgres.address, mariadb.address
        ));
        let desk = Path::new(env!("CARGO_MANIFEST_DIR")).join("support-desk");
        let state = scratch.path().join("state");
        let alerts = state.join("alerts.jsonl");
        scratch.write_secret("catalog.password", &upstreams[0].password)?;
        let mut text = format!(
            "state_dir = {state:?}
policy = {policy:?}
directory = {people:?}

[alert]
file = {alerts:?}

[admin]
address = \"{admin}\"
",
            policy = desk.join("policy.yaml"),
            people = desk.join("people.yaml"),
        );
        text.push_str(&pair(&postgres, upstreams[0]));
        text.push_str(&pair(&mariadb, upstreams[1]));
        let config = scratch.write("weir.toml", &text)?;
        let files = Files { binary: binary.to_owned(), config, alerts, log: scratch.path().join("weir.log") };
        let process = launch(&files, keep)?;
        let mut weir = Weir { process, files, postgres, mariadb, admin, keep };
        weir.wait().await?;
        step.done();
        Ok(weir)
    }

    /// Asks it to end, which it must do with exit code 0.
    pub(crate) fn stop(&mut self) -> Result<(), Failure> {
        let status = self.process.stop()?;
        if status.success() {
            return Ok(());
        }
        Err(Failure::new(format!("weir ended with {status} after SIGTERM; {}", self.process.log_tail())))
    }

    /// Starts it again after [`Weir::stop`], with the same files and ports.
    pub(crate) async fn start_again(&mut self) -> Result<(), Failure> {
        self.process = launch(&self.files, self.keep)?;
        self.wait().await
    }

    /// Where clients of PostgreSQL connect.
    pub(crate) fn postgres(&self) -> &Door {
        &self.postgres
    }

    /// Where clients of MariaDB connect.
    pub(crate) fn mariadb(&self) -> &Door {
        &self.mariadb
    }

    /// Its process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> &Path {
        &self.files.config
    }

    /// The alerts raised so far.
    pub(crate) fn alerts(&self) -> Result<Vec<Value>, Failure> {
        match std::fs::read_to_string(&self.files.alerts) {
            // A line that is being written has no end yet.
            Ok(text) => lines_of_json(text.rfind('\n').map_or("", |end| &text[..end])),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context(format_args!("cannot read {}", self.files.alerts.display())),
        }
    }

    /// The records of the audit log so far, in order.
    pub(crate) fn events(&self) -> Result<Vec<Value>, Failure> {
        lines_of_json(&self.command(&["audit", "export", "--format", "jsonl"])?)
    }

    /// Runs `weir` with these arguments and the configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Result<String, Failure> {
        let config = self.files.config.display().to_string();
        let arguments = [arguments, &["--config", &config]].concat();
        process::run(&self.files.binary, &arguments, None)
    }

    async fn wait(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.process.still_runs()?;
            let answer = http_get(self.admin, "/readyz");
            if answer.as_ref().is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let answer = answer.unwrap_or_else(|| "no answer".to_owned());
                return Err(Failure::new(format!("weir is not ready: {answer}; {}", self.process.log_tail())));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// A listener and the upstream behind it, with the names of `examples/support-desk`.
fn pair(door: &Door, upstream: &Door) -> String {
    let (engine, listener, name) = match door.engine {
        Engine::Postgres => ("postgres", "support", "support-db"),
        Engine::Mysql => ("mysql", "support-mysql", "support-mysql"),
    };
    format!(
        "
[[listener]]
name = \"{listener}\"
engine = \"{engine}\"
address = \"{}\"
upstream = \"{name}\"

[listener.auth]
mode = \"relay\"

[[upstream]]
name = \"{name}\"
engine = \"{engine}\"
address = \"{}\"
tls = \"off\"

[upstream.catalog]
user = \"{CATALOG_ACCOUNT}\"
password_file = \"catalog.password\"
",
        door.address, upstream.address,
    )
}

fn launch(files: &Files, keep: bool) -> Result<Process, Failure> {
    let arguments = ["run".to_owned(), "--config".to_owned(), files.config.display().to_string()];
    Process::start(Start {
        name: "weir",
        program: &files.binary,
        arguments: &arguments,
        account: None,
        log: files.log.clone(),
        stop_signal: "TERM",
        keep,
    })
}

fn lines_of_json(text: &str) -> Result<Vec<Value>, Failure> {
    text.lines().map(|line| serde_json::from_str(line).context(format_args!("not JSON: {line}"))).collect()
}

/// The whole answer to a GET; `None` while nobody listens.
fn http_get(address: SocketAddr, path: &str) -> Option<String> {
    let mut socket = TcpStream::connect_timeout(&address, ADMIN_LIMIT).ok()?;
    socket.set_read_timeout(Some(ADMIN_LIMIT)).ok()?;
    write!(socket, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    socket.take(ADMIN_BYTES_MAX).read_to_string(&mut answer).ok()?;
    Some(answer)
}
