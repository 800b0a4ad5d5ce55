//! The file as it is written, and the step from there to the checked form.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{
    Audit, CatalogAccount, Config, Durability, Limits, Listener, ListenerTls, PasswordSource, Upstream, UpstreamTls,
};

/// Message and hint.
type Problem = (String, String);

/// Where Debian keeps the roots that it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Smallest bound on a message that still lets drivers log in and ask.
const FRAME_BYTES_MIN: usize = 16 * 1024;
/// Largest: lengths are signed 32-bit numbers.
const FRAME_BYTES_MAX: usize = 1 << 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    state_dir: PathBuf,
    policy: PathBuf,
    directory: Option<PathBuf>,
    workers: Option<usize>,
    listener: Vec<RawListener>,
    upstream: Vec<RawUpstream>,
    #[serde(default)]
    audit: RawAudit,
    #[serde(default)]
    alert: RawAlert,
    #[serde(default)]
    admin: RawAdmin,
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
    name: Option<String>,
    engine: RawEngine,
    address: SocketAddr,
    upstream: String,
    tls: Option<RawListenerTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawListenerTls {
    certificate: PathBuf,
    key: PathBuf,
    #[serde(default)]
    mode: RawTlsMode,
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
    name: String,
    engine: RawEngine,
    address: String,
    #[serde(default)]
    tls: RawUpstreamTls,
    ca: Option<PathBuf>,
    server_name: Option<String>,
    catalog: RawCatalog,
}

#[derive(Default, Deserialize)]
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
    password_env: Option<String>,
    refresh_secs: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAudit {
    dir: Option<PathBuf>,
    durability: Option<RawDurability>,
    checkpoint_secs: Option<u64>,
    segment_mib: Option<u64>,
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
struct RawLimits {
    frame_bytes_max: Option<usize>,
    sessions_max: Option<usize>,
    startup_secs: Option<u64>,
    pipeline_max: Option<usize>,
    drain_secs: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAllow {
    #[serde(default)]
    function_call: bool,
    #[serde(default)]
    replication: bool,
}

pub(super) fn parse(text: &str) -> Result<RawConfig, Problem> {
    toml::from_str(text).map_err(|error| {
        // toml's own message already names line and column and shows the place.
        (error.to_string().trim_end().to_owned(), "docs/configuration.md lists every key".to_owned())
    })
}

impl RawConfig {
    pub(super) fn check(self, base: &Path) -> Result<Config, Problem> {
        let state_dir = base.join(&self.state_dir);
        if self.listener.is_empty() {
            return Err(problem("there is no [[listener]]", "add one with engine, address and upstream"));
        }
        let upstreams = self.upstream.into_iter().map(|raw| raw.check(base)).collect::<Result<Vec<_>, _>>()?;
        for (index, upstream) in upstreams.iter().enumerate() {
            if upstreams[..index].iter().any(|other| other.name == upstream.name) {
                return Err(problem(format!("upstream `{}` is named twice", upstream.name), "rename one of them"));
            }
        }
        let listeners = self.listener.into_iter().map(|raw| raw.check(base)).collect::<Result<Vec<_>, _>>()?;
        for listener in &listeners {
            if !upstreams.iter().any(|upstream| upstream.name == listener.upstream) {
                return Err(problem(
                    format!(
                        "listener `{}` names the upstream `{}`, which is not there",
                        listener.name, listener.upstream
                    ),
                    "add an [[upstream]] of that name or correct it",
                ));
            }
        }
        if self.allow.replication {
            return Err(problem(
                "`allow.replication` is true, but this version does not carry replication streams",
                "remove it; let replicas connect to the server itself",
            ));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Config {
            policy: base.join(self.policy),
            directory: self.directory.map(|path| base.join(path)),
            workers: within("workers", self.workers.unwrap_or(cores), 1, 256)?,
            listeners,
            upstreams,
            audit: Audit {
                dir: state_dir.join(self.audit.dir.unwrap_or_else(|| PathBuf::from("audit"))),
                durability: match self.audit.durability {
                    Some(RawDurability::All) => Durability::All,
                    Some(RawDurability::Sensitive) | None => Durability::Sensitive,
                },
                checkpoint: secs("audit.checkpoint_secs", self.audit.checkpoint_secs, 60, 1, 3600)?,
                segment_bytes_max: within("audit.segment_mib", self.audit.segment_mib.unwrap_or(64), 1, 4096)? << 20,
            },
            alert_file: self.alert.file.map(|path| state_dir.join(path)),
            admin: self.admin.address,
            limits: Limits {
                frame_bytes_max: within(
                    "limits.frame_bytes_max",
                    self.limits.frame_bytes_max.unwrap_or(64 << 20),
                    FRAME_BYTES_MIN,
                    FRAME_BYTES_MAX,
                )?,
                sessions_max: within("limits.sessions_max", self.limits.sessions_max.unwrap_or(9000), 1, 1_000_000)?,
                startup: secs("limits.startup_secs", self.limits.startup_secs, 10, 1, 600)?,
                pipeline_max: within("limits.pipeline_max", self.limits.pipeline_max.unwrap_or(10_000), 16, 1_000_000)?,
                drain: secs("limits.drain_secs", self.limits.drain_secs, 30, 0, 3600)?,
            },
            allow_function_call: self.allow.function_call,
            state_dir,
        })
    }
}

impl RawListener {
    fn check(self, base: &Path) -> Result<Listener, Problem> {
        let name = self.name.unwrap_or_else(|| self.address.to_string());
        postgres_only(self.engine, "listener", &name)?;
        Ok(Listener {
            address: self.address,
            upstream: self.upstream,
            tls: self.tls.map(|tls| ListenerTls {
                certificate: base.join(tls.certificate),
                key: base.join(tls.key),
                required: tls.mode == RawTlsMode::Require,
            }),
            name,
        })
    }
}

impl RawUpstream {
    fn check(self, base: &Path) -> Result<Upstream, Problem> {
        postgres_only(self.engine, "upstream", &self.name)?;
        let Some((host, port)) = self.address.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()) else {
            return Err(problem(
                format!("upstream `{}` has the address `{}`", self.name, self.address),
                "write it as host:port",
            ));
        };
        let _ = port;
        let tls = match self.tls {
            RawUpstreamTls::Off => UpstreamTls::Off,
            RawUpstreamTls::VerifyFull => UpstreamTls::VerifyFull {
                ca: self.ca.map_or_else(|| PathBuf::from(SYSTEM_ROOTS), |path| base.join(path)),
                server_name: self.server_name.unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned()),
            },
        };
        let password = match (self.catalog.password_file, self.catalog.password_env) {
            (Some(_), Some(_)) => {
                return Err(problem(
                    format!("upstream `{}` has both password_file and password_env", self.name),
                    "keep one of them",
                ));
            }
            (Some(path), None) => PasswordSource::File(base.join(path)),
            (None, Some(name)) => PasswordSource::Environment(name),
            (None, None) => PasswordSource::Absent,
        };
        Ok(Upstream {
            name: self.name,
            address: self.address,
            tls,
            catalog: CatalogAccount {
                user: self.catalog.user,
                password,
                refresh: secs("upstream.catalog.refresh_secs", self.catalog.refresh_secs, 30, 1, 86_400)?,
            },
        })
    }
}

fn postgres_only(engine: RawEngine, what: &str, name: &str) -> Result<(), Problem> {
    match engine {
        RawEngine::Postgres => Ok(()),
        RawEngine::Mysql => Err(problem(
            format!("{what} `{name}` has the engine `mysql`, which this version does not speak yet"),
            "use engine = \"postgres\"",
        )),
    }
}

fn secs(name: &str, given: Option<u64>, default: u64, min: u64, max: u64) -> Result<Duration, Problem> {
    within(name, given.unwrap_or(default), min, max).map(Duration::from_secs)
}

fn within<T: PartialOrd + std::fmt::Display>(name: &str, value: T, min: T, max: T) -> Result<T, Problem> {
    if value < min || value > max {
        return Err(problem(format!("`{name}` is {value}"), format!("it may be from {min} to {max}")));
    }
    Ok(value)
}

fn problem(message: impl Into<String>, hint: impl Into<String>) -> Problem {
    (message.into(), hint.into())
}
