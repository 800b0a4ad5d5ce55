//! `weir.toml`: the operator's words, checked once, so that nothing later meets an impossible value.
//!
//! INVARIANT: secrets come from files that only their owner can read, or from the environment; never from here.

mod raw;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    /// Bounds.
    pub limits: Limits,
    /// Whether FunctionCall messages pass.
    pub allow_function_call: bool,
}

/// An address that clients connect to.
#[derive(Debug)]
pub struct Listener {
    /// Its name in records.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Name of its upstream.
    pub upstream: String,
    /// TLS towards clients.
    pub tls: Option<ListenerTls>,
}

/// TLS of a listener.
#[derive(Debug)]
pub struct ListenerTls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
    /// Whether plain connections are refused.
    pub required: bool,
}

/// A database server.
#[derive(Debug)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// `host:port`.
    pub address: String,
    /// How the leg is protected.
    pub tls: UpstreamTls,
    /// Weir's own account for the catalog.
    pub catalog: CatalogAccount,
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

/// The account that reads the catalog.
#[derive(Debug)]
pub struct CatalogAccount {
    /// Its name.
    pub user: String,
    /// Where its password is.
    pub password: PasswordSource,
    /// How often the catalog is compared with the server's.
    pub refresh: Duration,
}

/// Where a password is.
#[derive(Debug)]
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
    /// How long running statements may go on after a stop was asked for.
    pub drain: Duration,
}

/// Why a configuration is not usable.
#[derive(Debug)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, with line and column where the file itself is.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (hint: {})", self.file.display(), self.message, self.hint)
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads and checks a file. Relative paths in it are relative to it.
    ///
    /// # Errors
    /// What is wrong, where, and what to do.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: path.to_owned(),
            message: format!("cannot be read: {error}"),
            hint: "give the path of weir.toml with --config".to_owned(),
        })?;
        let base = path.parent().unwrap_or(Path::new("."));
        raw::parse(&text).and_then(|raw| raw.check(base)).map_err(|(message, hint)| ConfigError {
            file: path.to_owned(),
            message,
            hint,
        })
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
    pub fn read(&self) -> Result<Option<String>, String> {
        use std::os::unix::fs::PermissionsExt;
        match self {
            PasswordSource::Absent => Ok(None),
            PasswordSource::Environment(name) => {
                std::env::var(name).map(Some).map_err(|_| format!("environment variable `{name}` is not set"))
            }
            PasswordSource::File(path) => {
                let shown = path.display();
                let metadata = std::fs::metadata(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
                if metadata.permissions().mode() & 0o077 != 0 {
                    return Err(format!("`{shown}` can be read by others: run `chmod 600 {shown}`"));
                }
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::raw;
    use std::path::Path;

    fn check(text: &str) -> Result<super::Config, (String, String)> {
        raw::parse(text).and_then(|raw| raw.check(Path::new("/etc/weir")))
    }

    const GOOD: &str = r#"
state_dir = "state"
policy = "policy.yaml"
[[listener]]
engine = "postgres"
address = "127.0.0.1:6432"
upstream = "db"
[[upstream]]
name = "db"
engine = "postgres"
address = "127.0.0.1:5432"
tls = "off"
[upstream.catalog]
user = "weir_catalog"
"#;

    #[test]
    fn defaults_and_relative_paths() {
        let config = check(GOOD).unwrap();
        assert_eq!(config.policy, Path::new("/etc/weir/policy.yaml"));
        assert_eq!(config.audit.dir, Path::new("/etc/weir/state/audit"));
        assert_eq!(config.listeners[0].name, "127.0.0.1:6432");
        assert_eq!(config.limits.frame_bytes_max, 64 << 20);
        assert!(!config.allow_function_call);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let unknown = check(&GOOD.replace("policy =", "polici =")).unwrap_err().0;
        assert!(unknown.contains("polici") && unknown.contains("line 3"), "{unknown}");
        let nowhere = check(&GOOD.replace("upstream = \"db\"", "upstream = \"bd\"")).unwrap_err().0;
        assert!(nowhere.contains("`bd`"), "{nowhere}");
        let mysql = check(&GOOD.replacen("engine = \"postgres\"", "engine = \"mysql\"", 1)).unwrap_err().0;
        assert!(mysql.contains("mysql"), "{mysql}");
        let zero = check(&format!("{GOOD}[limits]\nframe_bytes_max = 10\n")).unwrap_err().0;
        assert!(zero.contains("frame_bytes_max"), "{zero}");
    }
}
