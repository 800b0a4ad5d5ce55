//! The file as it is written, and the step from there to the checked form.
//!
//! Values that a check may refuse are `Spanned`, so that the refusal can name their line and column.

mod door;
mod monitor;

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use weir_policy::relation::Engine;
use weir_wire::mysql::handshake::Capabilities;

use super::{
    Audit, Config, Control, Durability, Limits, Listener, ListenerTls, OwnAccount, PasswordSource, Upstream,
    UpstreamTls,
};

/// Where Debian keeps the roots that it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Smallest bound on a message that still lets drivers log in and ask.
const FRAME_BYTES_MIN: usize = 16 * 1024;
/// Largest: lengths are signed 32-bit numbers.
const FRAME_BYTES_MAX: usize = 1 << 30;

/// Requests of the MySQL protocol that are not SQL and do not pass unless they are named.
const COMMANDS: [&str; 9] = [
    "binlog-dump",
    "binlog-dump-gtid",
    "clone",
    "debug",
    "refresh",
    "register-replica",
    "shutdown",
    "subscribe-group-replication-stream",
    "table-dump",
];

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Bytes of the text that it is about.
    pub(super) at: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) hint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    state_dir: PathBuf,
    policy: PathBuf,
    directory: Option<PathBuf>,
    workers: Option<Spanned<usize>>,
    #[serde(default)]
    listener: Vec<RawListener>,
    #[serde(default)]
    upstream: Vec<RawUpstream>,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    alert: RawAlert,
    #[serde(default)]
    admin: RawAdmin,
    #[serde(default)]
    control: RawControl,
    #[serde(default)]
    limits: RawLimits,
    #[serde(default)]
    allow: RawAllow,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum RawEngine {
    Postgres,
    Mysql,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListener {
    name: Option<Spanned<String>>,
    engine: Spanned<RawEngine>,
    address: Spanned<SocketAddr>,
    upstream: Spanned<String>,
    tls: Option<RawListenerTls>,
    auth: Option<door::RawAuth>,
    #[serde(default)]
    withhold: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListenerTls {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    mode: RawTlsMode,
    client_ca: Option<PathBuf>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum RawTlsMode {
    #[default]
    Require,
    Prefer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUpstream {
    name: Spanned<String>,
    engine: Spanned<RawEngine>,
    address: Spanned<String>,
    #[serde(default)]
    tls: RawUpstreamTls,
    ca: Option<Spanned<PathBuf>>,
    server_name: Option<Spanned<String>>,
    catalog: RawCatalog,
    monitor: Option<monitor::RawMonitor>,
    #[serde(default)]
    account: Vec<door::RawAccount>,
    #[serde(default)]
    withhold: Vec<Spanned<String>>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum RawUpstreamTls {
    #[default]
    VerifyFull,
    Off,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    user: String,
    password_file: Option<PathBuf>,
    password_env: Option<Spanned<String>>,
    refresh_secs: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    dir: Option<PathBuf>,
    durability: Option<RawDurability>,
    checkpoint_secs: Option<Spanned<u64>>,
    segment_mib: Option<Spanned<u64>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawDurability {
    Sensitive,
    All,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlert {
    file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    address: Option<SocketAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawControl {
    socket: Option<PathBuf>,
    group: Option<String>,
    #[serde(default)]
    operators: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLimits {
    frame_bytes_max: Option<Spanned<usize>>,
    sessions_max: Option<Spanned<usize>>,
    startup_secs: Option<Spanned<u64>>,
    pipeline_max: Option<Spanned<usize>>,
    session_bytes_max: Option<Spanned<usize>>,
    upstream_stall_secs: Option<Spanned<u64>>,
    drain_secs: Option<Spanned<u64>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    #[serde(default)]
    function_call: bool,
    replication: Option<Spanned<bool>>,
    #[serde(default)]
    commands: Vec<Spanned<String>>,
    #[serde(default)]
    local_infile: bool,
}

pub(super) fn parse(text: &str) -> Result<RawConfig, Problem> {
    toml::from_str(text).map_err(|error| {
        let at = error.span();
        let mut message = error.message().trim_end().replace('\n', "; ");
        for number in ["usize", "u64"] {
            message = message.replace(&format!("expected {number}"), "expected a whole number from 0");
        }
        // What is wrong with a value does not say whose value it is.
        let key = at.as_ref().and_then(|at| key_before(text, at.start)).filter(|key| !message.contains(key));
        if let Some(key) = key {
            message = format!("`{key}`: {message}");
        }
        Problem { at, message, hint: "docs/configuration.md lists every key".to_owned() }
    })
}

/// The key whose value begins at this byte, when both are on one line.
fn key_before(text: &str, at: usize) -> Option<&str> {
    let before = text.get(..at)?;
    let line = before.rfind('\n').map_or(before, |newline| &before[newline + 1..]);
    let key = line.trim_end().strip_suffix('=')?.trim();
    (!key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))).then_some(key)
}

impl RawConfig {
    /// Relative paths are made relative to `base`.
    pub(super) fn check(self, base: &Path) -> Result<Config, Problem> {
        let state_dir = base.join(&self.state_dir);
        let upstreams = upstreams(self.upstream, base)?;
        let listeners = listeners(self.listener, &upstreams, base)?;
        if let Some(replication) = self.allow.replication.filter(|allowed| *allowed.get_ref()) {
            return Err(problem(
                Some(replication.span()),
                "`allow.replication` is true, but this version does not carry replication streams",
                "remove it; let replicas connect to the server itself",
            ));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Config {
            policy: base.join(self.policy),
            directory: self.directory.map(|path| base.join(path)),
            workers: within("workers", self.workers, cores, 1, 256)?,
            listeners,
            upstreams,
            audit: self.audit.check(&state_dir)?,
            alert_file: self.alert.file.map(|path| state_dir.join(path)),
            admin: self.admin.address,
            control: self.control.check(&state_dir),
            limits: self.limits.check()?,
            allow_function_call: self.allow.function_call,
            allow_commands: self.allow.commands.into_iter().map(command).collect::<Result<_, _>>()?,
            allow_local_infile: self.allow.local_infile,
            state_dir,
        })
    }
}

impl RawControl {
    fn check(self, state_dir: &Path) -> Control {
        Control {
            socket: state_dir.join(self.socket.unwrap_or_else(|| PathBuf::from("control.sock"))),
            group: self.group,
            operators: self.operators,
        }
    }
}

impl RawAudit {
    fn check(self, state_dir: &Path) -> Result<Audit, Problem> {
        Ok(Audit {
            dir: state_dir.join(self.dir.unwrap_or_else(|| PathBuf::from("audit"))),
            durability: match self.durability {
                Some(RawDurability::All) => Durability::All,
                Some(RawDurability::Sensitive) | None => Durability::Sensitive,
            },
            checkpoint: secs("audit.checkpoint_secs", self.checkpoint_secs, 60, 1, 3600)?,
            segment_bytes_max: within("audit.segment_mib", self.segment_mib, 64, 1, 4096)? << 20,
        })
    }
}

impl RawLimits {
    fn check(self) -> Result<Limits, Problem> {
        let frame = (FRAME_BYTES_MIN, FRAME_BYTES_MAX);
        Ok(Limits {
            frame_bytes_max: within("limits.frame_bytes_max", self.frame_bytes_max, 64 << 20, frame.0, frame.1)?,
            sessions_max: within("limits.sessions_max", self.sessions_max, 9000, 1, 1_000_000)?,
            startup: secs("limits.startup_secs", self.startup_secs, 10, 1, 600)?,
            pipeline_max: within("limits.pipeline_max", self.pipeline_max, 10_000, 16, 1_000_000)?,
            session_bytes_max: within(
                "limits.session_bytes_max",
                self.session_bytes_max,
                256 * 1024,
                FRAME_BYTES_MIN,
                FRAME_BYTES_MAX,
            )?,
            upstream_stall: secs("limits.upstream_stall_secs", self.upstream_stall_secs, 60, 1, 86_400)?,
            drain: secs("limits.drain_secs", self.drain_secs, 30, 0, 3600)?,
        })
    }
}

fn listeners(raw: Vec<RawListener>, upstreams: &[Upstream], base: &Path) -> Result<Vec<Listener>, Problem> {
    if raw.is_empty() {
        return Err(problem(None, "there is no [[listener]]", "add one with engine, address and upstream"));
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for raw in raw {
        let (place, address) = (raw.address.span(), raw.address.into_inner());
        let name_place = raw.name.as_ref().map_or_else(|| place.clone(), Spanned::span);
        let name = raw.name.map_or_else(|| address.to_string(), Spanned::into_inner);
        let Some(upstream) = upstreams.iter().find(|upstream| upstream.name == *raw.upstream.get_ref()) else {
            let known: Vec<String> = upstreams.iter().map(|upstream| format!("`{}`", upstream.name)).collect();
            return Err(problem(
                Some(raw.upstream.span()),
                format!("listener `{name}` names the upstream `{}`, which is not there", raw.upstream.get_ref()),
                format!("add an [[upstream]] of that name, or name one of {}", known.join(", ")),
            ));
        };
        let engine = engine(*raw.engine.get_ref());
        if engine != upstream.engine {
            return Err(problem(
                Some(raw.engine.span()),
                format!("listener `{name}` speaks another protocol than its upstream `{}`", upstream.name),
                "give both the same engine: weir does not translate",
            ));
        }
        if listeners.iter().any(|other| other.name == name) {
            return Err(problem(
                Some(name_place),
                format!("two listeners are named `{name}`"),
                "rename one: records tell listeners apart by name",
            ));
        }
        if let Some(other) = listeners.iter().find(|other| other.address == address && address.port() != 0) {
            return Err(problem(
                Some(place.clone()),
                format!("listener `{name}` has the address of `{}`, {address}", other.name),
                "give each listener a port of its own",
            ));
        }
        let withheld = withheld(raw.withhold, engine, "listener", &name)?;
        let tls = raw.tls.map(|tls| ListenerTls {
            certificate: base.join(tls.certificate),
            key: base.join(tls.key),
            required: tls.mode == RawTlsMode::Require,
            client_ca: tls.client_ca.map(|path| base.join(path)),
        });
        let around = door::Around {
            name: &name,
            place,
            has_tls: tls.is_some(),
            requires_tls: tls.as_ref().is_some_and(|tls| tls.required),
            has_client_ca: tls.as_ref().is_some_and(|tls| tls.client_ca.is_some()),
        };
        let auth = raw.auth.unwrap_or_default().check(&around, base)?;
        listeners.push(Listener { engine, withheld, address, upstream: raw.upstream.into_inner(), tls, auth, name });
    }
    Ok(listeners)
}

fn upstreams(raw: Vec<RawUpstream>, base: &Path) -> Result<Vec<Upstream>, Problem> {
    let mut upstreams: Vec<Upstream> = Vec::new();
    for raw in raw {
        let place = raw.name.span();
        let upstream = raw.check(base)?;
        if upstreams.iter().any(|other| other.name == upstream.name) {
            return Err(problem(
                Some(place),
                format!("two upstreams are named `{}`", upstream.name),
                "rename one: listeners and policies tell upstreams apart by name",
            ));
        }
        upstreams.push(upstream);
    }
    Ok(upstreams)
}

impl RawUpstream {
    fn check(self, base: &Path) -> Result<Upstream, Problem> {
        let name = self.name.into_inner();
        let engine = engine(*self.engine.get_ref());
        let (place, address) = (self.address.span(), self.address.into_inner());
        let host = match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => host,
            _ => {
                return Err(problem(
                    Some(place),
                    format!("upstream `{name}` has the address `{address}`"),
                    "write it as host:port; an IPv6 address stands in brackets",
                ));
            }
        };
        let tls = match self.tls {
            RawUpstreamTls::Off => match self.ca.map(|ca| ca.span()).or(self.server_name.map(|name| name.span())) {
                Some(unused) => {
                    return Err(problem(
                        Some(unused),
                        format!("upstream `{name}` has tls = \"off\", and says whom to trust"),
                        "remove tls = \"off\", or remove ca and server_name",
                    ));
                }
                None => UpstreamTls::Off,
            },
            RawUpstreamTls::VerifyFull => UpstreamTls::VerifyFull {
                ca: match self.ca {
                    Some(ca) => base.join(ca.into_inner()),
                    None if Path::new(SYSTEM_ROOTS).exists() => PathBuf::from(SYSTEM_ROOTS),
                    None => {
                        return Err(problem(
                            Some(place),
                            format!("upstream `{name}` is to be verified, and `{SYSTEM_ROOTS}` is not there"),
                            "give ca, a PEM file of the roots to trust",
                        ));
                    }
                },
                server_name: match self.server_name {
                    Some(name) => name.into_inner(),
                    None => host.trim_matches(['[', ']']).to_owned(),
                },
            },
        };
        let withheld = withheld(self.withhold, engine, "upstream", &name)?;
        let accounts = door::accounts(self.account, &name, base)?;
        let catalog = self.catalog.check(&name, base)?;
        let monitor = self.monitor.map(|monitor| monitor.check(&name, engine, base)).transpose()?;
        Ok(Upstream { catalog, accounts, monitor, withheld, engine, name, address, tls })
    }
}

impl RawCatalog {
    fn check(self, upstream: &str, base: &Path) -> Result<OwnAccount, Problem> {
        let password = own_account(upstream, self.password_file, self.password_env, base)?;
        let refresh = secs("upstream.catalog.refresh_secs", self.refresh_secs, 30, 1, 86_400)?;
        Ok(OwnAccount { user: self.user, password, refresh })
    }
}

/// Where the password of an account of Weir's own is.
fn own_account(
    upstream: &str,
    file: Option<PathBuf>,
    variable: Option<Spanned<String>>,
    base: &Path,
) -> Result<PasswordSource, Problem> {
    match (file, variable) {
        (Some(_), Some(variable)) => Err(problem(
            Some(variable.span()),
            format!("upstream `{upstream}` has both password_file and password_env"),
            "keep one of them",
        )),
        (Some(path), None) => Ok(PasswordSource::File(base.join(path))),
        (None, Some(name)) => Ok(PasswordSource::Environment(name.into_inner())),
        (None, None) => Ok(PasswordSource::Absent),
    }
}

const fn engine(raw: RawEngine) -> Engine {
    match raw {
        RawEngine::Postgres => Engine::Postgres,
        RawEngine::Mysql => Engine::Mysql,
    }
}

/// The capabilities of the MySQL protocol that are named.
fn withheld(names: Vec<Spanned<String>>, engine: Engine, what: &str, of: &str) -> Result<Capabilities, Problem> {
    let mut withheld = Capabilities::NONE;
    for name in names {
        let capability = Capabilities::named(name.get_ref()).filter(|_| engine == Engine::Mysql);
        let Some(capability) = capability else {
            return Err(problem(
                Some(name.span()),
                format!("{what} `{of}` withholds `{}`, which is no capability of its protocol", name.get_ref()),
                "name capabilities of MySQL without CLIENT_, such as session_track or multi_statements",
            ));
        };
        withheld = withheld.with(capability);
    }
    Ok(withheld)
}

/// A request that is known by this name.
fn command(name: Spanned<String>) -> Result<String, Problem> {
    if COMMANDS.contains(&name.get_ref().as_str()) {
        return Ok(name.into_inner());
    }
    Err(problem(
        Some(name.span()),
        format!("`allow.commands` names `{}`, which is no command that weir refuses by itself", name.get_ref()),
        format!("name some of {}", COMMANDS.join(", ")),
    ))
}

fn secs(name: &str, given: Option<Spanned<u64>>, default: u64, min: u64, max: u64) -> Result<Duration, Problem> {
    within(name, given, default, min, max).map(Duration::from_secs)
}

fn within<T: PartialOrd + std::fmt::Display>(
    name: &str,
    given: Option<Spanned<T>>,
    default: T,
    min: T,
    max: T,
) -> Result<T, Problem> {
    let Some(given) = given else { return Ok(default) };
    let (place, value) = (given.span(), given.into_inner());
    if value < min || value > max {
        return Err(problem(Some(place), format!("`{name}` is {value}"), format!("it may be from {min} to {max}")));
    }
    Ok(value)
}

fn problem(at: Option<Range<usize>>, message: impl Into<String>, hint: impl Into<String>) -> Problem {
    Problem { at, message: message.into(), hint: hint.into() }
}
