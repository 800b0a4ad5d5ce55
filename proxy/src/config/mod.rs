//! `weir.toml`: the operator's words, checked once, so that nothing later meets an impossible value.
//!
//! INVARIANT: secrets come from files that only their owner can read, or from the environment; never from here.

mod door;
mod raw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_policy::relation::Engine;
use weir_wire::mysql::handshake::Capabilities;
use zeroize::Zeroizing;

use crate::identity::secrets::read_private;

pub use door::{KeySource, ListenerAuth, MappedAccount, PasswordCheck, RoleName, RolePart, Selector, TokenCheck};

use crate::monitor::allow::Allowed;

/// Longest file, bytes: hundreds of listeners fit.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Longest password, bytes.
const PASSWORD_BYTES_MAX: u64 = 64 * 1024;

/// Everything that `weir run` needs to know.
#[derive(Debug)]
pub struct Config {
    /// Where lasting things live.
    pub state_dir: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// Who is behind which account; nobody is known without it.
    pub directory: Option<PathBuf>,
    /// Worker threads.
    pub workers: usize,
    /// Where clients come in.
    pub listeners: Vec<Listener>,
    /// Where statements go.
    pub upstreams: Vec<Upstream>,
    /// The audit log.
    pub audit: Audit,
    /// One JSON line per alert; `None` keeps alerts in the log only.
    pub alert_file: Option<PathBuf>,
    /// Health and metrics.
    pub admin: Option<SocketAddr>,
    /// What operators ask of a running process.
    pub control: Control,
    /// Bounds.
    pub limits: Limits,
    /// Whether FunctionCall messages pass.
    pub allow_function_call: bool,
    /// Requests of the MySQL protocol that are not SQL and pass all the same, by name: `binlog-dump`.
    pub allow_commands: Vec<String>,
    /// Whether a MySQL client may be asked for a file of its own by LOAD DATA LOCAL.
    pub allow_local_infile: bool,
}

/// An address that clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// Its name in records.
    pub name: String,
    /// What is spoken there.
    pub engine: Engine,
    /// Where it listens.
    pub address: SocketAddr,
    /// Name of its upstream.
    pub upstream: String,
    /// TLS towards clients.
    pub tls: Option<ListenerTls>,
    /// What is accepted as a login.
    pub auth: ListenerAuth,
    /// Capabilities of the MySQL protocol that clients are not offered, beside those that Weir never offers.
    pub withheld: Capabilities,
}

/// TLS of a listener.
#[derive(Clone, Debug)]
pub struct ListenerTls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Whether plain connections are refused.
    pub required: bool,
    /// Authorities that sign clients' certificates, PEM; `None`: clients show none.
    pub client_ca: Option<PathBuf>,
}

/// A database server.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// What it speaks.
    pub engine: Engine,
    /// `host:port`.
    pub address: String,
    /// How the leg is protected.
    pub tls: UpstreamTls,
    /// Capabilities of the MySQL protocol that are not used with it.
    pub withheld: Capabilities,
    /// Weir's own account for the catalog.
    pub catalog: OwnAccount,
    /// Accounts that stand for many people; the first that is for a login serves it.
    pub accounts: Vec<MappedAccount>,
    /// What notices sessions past Weir.
    pub monitor: Option<Monitor>,
}

/// Protection of the leg to an upstream.
#[derive(Debug)]
pub enum UpstreamTls {
    /// None. For loopback and tests.
    Off,
    /// Certificate and name are verified.
    VerifyFull {
        /// Trusted roots, PEM.
        ca: PathBuf,
        /// Name in the certificate.
        server_name: String,
    },
}

/// An account of Weir's own on a server.
#[derive(Clone, Debug)]
pub struct OwnAccount {
    /// Its name.
    pub user: String,
    /// Where its password is.
    pub password: PasswordSource,
    /// How often it looks: the catalog's, whether anything has changed; the monitor's, who is there.
    pub refresh: Duration,
}

/// What notices sessions that reach a server past Weir.
#[derive(Clone, Debug)]
pub struct Monitor {
    /// The account that sees everybody's sessions.
    pub account: OwnAccount,
    /// The database that it connects to, on PostgreSQL.
    pub database: String,
    /// Who is meant to be there.
    pub allow: Vec<Allowed>,
}

/// Where a password is.
#[derive(Clone, Debug)]
pub enum PasswordSource {
    /// None is needed.
    Absent,
    /// In a file that only its owner can read.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
}

/// The audit log.
#[derive(Debug)]
pub struct Audit {
    /// Its folder.
    pub dir: PathBuf,
    /// Which statements wait for their record.
    pub durability: Durability,
    /// Longest time between signed checkpoints.
    pub checkpoint: Duration,
    /// Size at which a segment is sealed, bytes.
    pub segment_bytes_max: u64,
}

/// The socket that operators act on.
#[derive(Clone, Debug)]
pub struct Control {
    /// Its path.
    pub socket: PathBuf,
    /// A group of the host whose members may connect, too.
    pub group: Option<String>,
    /// Groups of the directory whose members may do what root may.
    pub operators: Vec<String>,
}

/// Which statements wait until their record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Those that can reach something sensitive.
    Sensitive,
    /// All.
    All,
}

/// Bounds of the process and of each session.
#[derive(Debug)]
pub struct Limits {
    /// Longest message, bytes.
    pub frame_bytes_max: usize,
    /// Open sessions.
    pub sessions_max: usize,
    /// From acceptance to an open session.
    pub startup: Duration,
    /// Outstanding messages of a session.
    pub pipeline_max: usize,
    /// Bytes that are kept for a client that does not read, before its upstream is no longer read either.
    pub session_bytes_max: usize,
    /// How long an upstream may be silent in mid-answer.
    pub upstream_stall: Duration,
    /// How long running statements may go on after a stop was asked for.
    pub drain: Duration,
}

/// Why a configuration is not usable.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1; `None` where no one place is wrong.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {} (hint: {})", self.message, self.hint)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to it.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = read_bounded(path, FILE_BYTES_MAX).map_err(|message| ConfigError {
            file: path.to_owned(),
            place: None,
            message,
            hint: "give the path of weir.toml with --config".to_owned(),
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        raw::parse(&text).and_then(|raw| raw.check(base)).map_err(|problem| ConfigError {
            file: path.to_owned(),
            place: problem.at.map(|at| place(&text, at.start)),
            message: problem.message,
            hint: problem.hint,
        })
    }

    /// What an operator should know and may have meant: legs without protection that leave this machine.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for upstream in &self.upstreams {
            if matches!(upstream.tls, UpstreamTls::Off) && !is_loopback(&upstream.address) {
                warnings.push(format!(
                    "upstream `{}` has tls = \"off\" and is not on this machine: whoever is on the way can read and \
                     change everything, logins included",
                    upstream.name
                ));
            }
        }
        for listener in &self.listeners {
            if listener.auth.is_relayed() {
                warnings.push(format!(
                    "listener `{}` has mode = \"relay\": whoever knows an account's password is taken for its owner by the \
                     database server, and weir believes it; records say auth=relayed",
                    listener.name
                ));
            }
            if listener.tls.is_none() && !listener.address.ip().is_loopback() {
                warnings.push(format!(
                    "listener `{}` has no [listener.tls] and serves other machines: whoever is on the way can read and \
                     change everything",
                    listener.name
                ));
            }
        }
        if let Some(admin) = self.admin.filter(|admin| !admin.ip().is_loopback()) {
            warnings.push(format!("admin listens on {admin}: anybody who reaches it can read health and metrics"));
        }
        if self.directory.is_none() {
            warnings.push("there is no directory: every account is a person of its own, and unknown".to_owned());
        }
        warnings
    }

    /// The upstream of this name. Every listener's exists, by construction.
    pub fn upstream(&self, name: &str) -> Option<&Upstream> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }
}

impl PasswordSource {
    /// Reads the password.
    ///
    /// # Errors
    /// A file that is missing or readable by others, or a variable that is not set.
    pub fn read(&self) -> Result<Option<Zeroizing<String>>, String> {
        match self {
            PasswordSource::Absent => Ok(None),
            PasswordSource::Environment(name) => std::env::var(name)
                .map(|value| Some(Zeroizing::new(value)))
                .map_err(|_| format!("environment variable `{name}` is not set")),
            PasswordSource::File(path) => {
                let text = read_private(path, PASSWORD_BYTES_MAX)?;
                Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
            }
        }
    }
}

/// The text of a file of ours; a device or a file without end is not read to its end.
pub(crate) fn read_bounded(path: &Path, bytes_max: u64) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("is longer than {bytes_max} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

/// Line and column of a byte, from 1; columns count characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
