//! A running `weir` in front of the support database, and what an operator would ask it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::client::Door;
use crate::failure::{Context, Failure};
use crate::postgres::CATALOG_ACCOUNT;
use crate::process::{self, Process, Start};
use crate::scratch::{Ports, Scratch};
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
    address: SocketAddr,
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
        upstream: &Door,
        scratch: &Scratch,
        ports: &mut Ports,
        keep: bool,
        story: &Story,
    ) -> Result<Weir, Failure> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free()?));
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, ports.free()?));
        let step = story.step(&format!("weir on {address}, with the policy and people of examples/support-desk"));
        let desk = Path::new(env!("CARGO_MANIFEST_DIR")).join("support-desk");
        let state = scratch.path().join("state");
        let alerts = state.join("alerts.jsonl");
        scratch.write_secret("catalog.password", &upstream.password)?;
        let config = scratch.write(
            "weir.toml",
            &format!(
                "state_dir = {state:?}
policy = {policy:?}
directory = {people:?}

[[listener]]
name = \"support\"
engine = \"postgres\"
address = \"{address}\"
upstream = \"support-db\"

[[upstream]]
name = \"support-db\"
engine = \"postgres\"
address = \"{upstream}\"
tls = \"off\"

[upstream.catalog]
user = \"{CATALOG_ACCOUNT}\"
password_file = \"catalog.password\"

[alert]
file = {alerts:?}

[admin]
address = \"{admin}\"
",
                policy = desk.join("policy.yaml"),
                people = desk.join("people.yaml"),
                upstream = upstream.address,
            ),
        )?;
        let files = Files { binary: binary.to_owned(), config, alerts, log: scratch.path().join("weir.log") };
        let process = launch(&files, keep)?;
        let mut weir = Weir { process, files, address, admin, keep };
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

    /// Where clients connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
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
