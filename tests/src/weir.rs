//! A running `weir` with a configuration of the test's own, its log, and what an operator would ask it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::engine::Engine;
use crate::fixture;
use crate::net::free_port;
use crate::policies;
use crate::process::{self, Output, Tied};
use crate::raw::Raw;
use crate::scratch::Scratch;
use crate::target::direct_only;
use crate::tools;
use crate::wait;

/// Starting includes the first catalog load, on a machine that may be compiling at the same time.
const START: Duration = Duration::from_secs(60);

/// Draining is bounded by `drain_secs` below; the rest is for the last checkpoint.
const STOP: Duration = Duration::from_secs(30);

/// What a test wants of its Weir.
#[derive(Clone, Debug)]
pub struct WeirOptions {
    /// Text of the policy file.
    pub policy: String,
    /// Text of the directory file.
    pub people: String,
    /// Lines of `[limits]`.
    pub limits: Vec<String>,
    /// Lines of `[allow]`.
    pub allow: Vec<String>,
    /// Lines of `[audit]`.
    pub audit: Vec<String>,
    /// Lines of `[listener.tls]`; a plain listener when there are none.
    pub listener_tls: Vec<String>,
    /// Lines of `[listener.auth]`.
    pub listener_auth: Vec<String>,
    /// Tables below the upstream: `[[upstream.account]]`.
    pub upstream_accounts: String,
    /// Lines of the upstream about TLS.
    pub upstream_tls: Vec<String>,
    /// Lines of `[upstream.monitor]`; no monitor when there are none.
    pub monitor: Vec<String>,
    /// Where everything lasting goes; a folder beside the configuration when `None`.
    pub state_dir: Option<PathBuf>,
}

impl WeirOptions {
    /// Everything passes, nothing is sensitive.
    pub fn allow_all() -> WeirOptions {
        WeirOptions::policy(policies::ALLOW_ALL)
    }

    /// With this policy file.
    pub fn policy(text: impl Into<String>) -> WeirOptions {
        WeirOptions {
            policy: text.into(),
            people: fixture::PEOPLE.to_owned(),
            limits: Vec::new(),
            allow: Vec::new(),
            audit: Vec::new(),
            listener_tls: Vec::new(),
            listener_auth: vec!["mode = \"relay\"".to_owned()],
            upstream_accounts: String::new(),
            upstream_tls: vec!["tls = \"off\"".to_owned()],
            monitor: Vec::new(),
            state_dir: None,
        }
    }

    /// Adds a line to `[limits]`.
    #[must_use]
    pub fn limit(mut self, line: &str) -> WeirOptions {
        self.limits.push(line.to_owned());
        self
    }

    /// TLS towards clients; `mode` is `require` or `prefer`.
    #[must_use]
    pub fn listener_tls(mut self, certificate: &Path, key: &Path, mode: &str) -> WeirOptions {
        self.listener_tls = vec![
            format!("certificate = \"{}\"", certificate.display()),
            format!("key = \"{}\"", key.display()),
            format!("mode = \"{mode}\""),
        ];
        self
    }

    /// Verified TLS towards the upstream, with these roots; `server_name` when it is not to be the address's host.
    #[must_use]
    pub fn upstream_tls(mut self, ca: &Path, server_name: Option<&str>) -> WeirOptions {
        self.upstream_tls = vec![format!("ca = \"{}\"", ca.display())];
        self.upstream_tls.extend(server_name.map(|name| format!("server_name = \"{name}\"")));
        self
    }
}

/// The files and ports of one Weir; outlives a stop, so that the same Weir can be started again.
#[derive(Debug)]
struct Home {
    scratch: Scratch,
    state: PathBuf,
    listeners: Vec<(Engine, SocketAddr)>,
    admin: SocketAddr,
}

/// A running Weir.
#[derive(Debug)]
pub struct Weir {
    home: Home,
    process: Option<Tied>,
}

impl Weir {
    /// In front of a PostgreSQL: writes the configuration, starts the binary and waits until it says that it is ready.
    pub fn start(upstream: SocketAddr, options: &WeirOptions) -> Weir {
        Weir::start_for(&[(Engine::Postgres, upstream)], options)
    }

    /// In front of these servers.
    pub fn start_for(upstreams: &[(Engine, SocketAddr)], options: &WeirOptions) -> Weir {
        assert!(!direct_only(), "this test needs Weir, and WEIR_TEST_TARGET=direct leaves it out");
        let mut weir = Weir { home: Home::new(upstreams, options), process: None };
        weir.start_again();
        weir
    }

    /// Starts it after [`Weir::stop`] or [`Weir::kill`], with the same files and ports.
    pub fn start_again(&mut self) {
        self.launch();
        wait::until("weir to be ready", START, || {
            let process = self.process.as_mut().expect("just started");
            assert!(process.ended().is_none(), "weir ended while starting:\n{}", process.log_tail());
            let (status, _) = http_get(self.home.admin, "/readyz")?;
            (status == 200).then_some(())
        });
    }

    /// Starts it without waiting for readiness.
    pub fn launch(&mut self) {
        assert!(self.process.is_none(), "weir already runs");
        let arguments = ["run", "--config", self.config_path().to_str().expect("utf-8")].map(str::to_owned);
        let log = self.home.scratch.path().join("weir.log");
        self.process = Some(Tied::start(&binary(), &arguments, &[], None, &log, "TERM"));
    }

    /// Where clients of the first server connect.
    pub fn address(&self) -> SocketAddr {
        self.home.listeners[0].1
    }

    /// Where clients of this protocol connect.
    pub fn address_for(&self, engine: Engine) -> SocketAddr {
        let listener = self.home.listeners.iter().find(|(speaks, _)| *speaks == engine);
        listener.unwrap_or_else(|| panic!("no listener for {engine:?}")).1
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("running").pid()
    }

    /// A session through Weir.
    pub fn login(&self, user: &str, database: &str) -> Raw {
        Raw::login(self.address(), user, database)
    }

    /// Asks it to end with SIGTERM and demands exit code 0.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.signal("TERM");
        let code = process.wait(STOP);
        assert_eq!(code, 0, "weir's exit code after SIGTERM; its log ends with:\n{}", process.log_tail());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("running");
        process.signal("KILL");
        assert_eq!(process.wait(STOP), 128 + 9);
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("running").signal(name);
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<i32> {
        self.process.as_mut().and_then(Tied::ended)
    }

    /// Path of `weir.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.home.scratch.path().join("weir.toml")
    }

    /// Path of the policy file.
    pub fn policy_path(&self) -> PathBuf {
        self.home.scratch.path().join("policy.yaml")
    }

    /// Path of the directory file.
    pub fn directory_path(&self) -> PathBuf {
        self.home.scratch.path().join("people.yaml")
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.scratch.path().join("weir.log")).unwrap_or_default()
    }

    /// Lines of the alert file.
    pub fn alerts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.home.state.join("alerts.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }

    /// Runs `weir` with these arguments and `--config`.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(self.config_path());
        process::run(&mut command, b"", Duration::from_secs(60))
    }

    /// Runs `weir` with these arguments and nothing else.
    pub fn command_alone(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments);
        process::run(&mut command, b"", Duration::from_secs(60))
    }

    /// Every audit event so far, in order, as `weir audit export` tells them.
    pub fn audit_events(&self) -> Vec<Value> {
        let text = self.command(&["audit", "export", "--format", "jsonl"]).ok();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"))).collect()
    }

    /// Waits until the audit log holds an event that `wanted` accepts, and returns it.
    pub fn audit_event(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("audit event: {what}"), wait::SOON, || {
            self.audit_events().into_iter().find(|event| wanted(event))
        })
    }

    /// An HTTP GET of the admin port: status and body.
    pub fn admin(&self, path: &str) -> (u16, String) {
        http_get(self.home.admin, path).unwrap_or_else(|| panic!("no answer from the admin port for {path}"))
    }

    /// A metric's value, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.admin("/metrics");
        assert_eq!(status, 200, "{text}");
        text.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(process) = &self.process {
                eprintln!("weir's log ends with:\n{}", process.log_tail());
            }
        } else {
            self.stop();
        }
    }
}

impl Home {
    fn new(upstreams: &[(Engine, SocketAddr)], options: &WeirOptions) -> Home {
        let scratch = Scratch::new("weir");
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let state = options.state_dir.clone().unwrap_or_else(|| scratch.path().join("state"));
        let mut config = format!(
            "state_dir = \"{}\"
policy = \"policy.yaml\"
directory = \"people.yaml\"
workers = 2
",
            state.display()
        );
        let mut listeners = Vec::new();
        for (engine, upstream) in upstreams {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
            listeners.push((*engine, address));
            config += &Home::front(*engine, address, *upstream, options);
        }
        let limits: Vec<String> =
            std::iter::once("drain_secs = 10".to_owned()).chain(options.limits.iter().cloned()).collect();
        config += &format!(
            "[alert]
file = \"alerts.jsonl\"
[admin]
address = \"{admin}\"
{}{}{}",
            section("audit", &options.audit),
            section("allow", &options.allow),
            section("limits", &limits),
        );
        scratch.write("weir.toml", config);
        scratch.write("policy.yaml", &options.policy);
        scratch.write("people.yaml", &options.people);
        write_secret(&scratch.path().join("catalog.password"), fixture::PASSWORD);
        Home { scratch, state, listeners, admin }
    }

    /// A listener and its server. The first engine's are called `support` and `support-db`, as in the documents.
    fn front(engine: Engine, address: SocketAddr, upstream: SocketAddr, options: &WeirOptions) -> String {
        let (word, suffix) = match engine {
            Engine::Postgres => ("postgres", ""),
            Engine::MySql => ("mysql", "-mysql"),
        };
        format!(
            "[[listener]]
name = \"support{suffix}\"
engine = \"{word}\"
address = \"{address}\"
upstream = \"support-db{suffix}\"
{}{}[[upstream]]
name = \"support-db{suffix}\"
engine = \"{word}\"
address = \"{upstream}\"
{}
[upstream.catalog]
user = \"{}\"
password_file = \"catalog.password\"
refresh_secs = 1
{}{}",
            section("listener.tls", &options.listener_tls),
            section("listener.auth", &options.listener_auth),
            options.upstream_tls.join("\n"),
            fixture::CATALOG_ACCOUNT,
            options.upstream_accounts,
            section("upstream.monitor", &options.monitor),
        )
    }
}

/// A table of the configuration; nothing when it would be empty.
fn section(name: &str, lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        lines => format!("[{name}]\n{}\n", lines.join("\n")),
    }
}

fn write_secret(path: &Path, secret: &str) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .expect("our directory");
    file.write_all(secret.as_bytes()).expect("our directory");
}

/// The binary under test: `WEIR_BIN`, else built once by the cargo that runs us.
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| match std::env::var_os("WEIR_BIN") {
            Some(path) => PathBuf::from(path),
            None => build(),
        })
        .clone()
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "-p", "weir-proxy", "--bin", "weir", "--message-format", "json-render-diagnostics"])
        .current_dir(tools::repository())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "`cargo build -p weir-proxy` failed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "weir")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("the path of the binary `weir` in cargo's messages")
}

/// `None` while nobody answers.
fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}
