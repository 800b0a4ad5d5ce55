//! The first packets of a client, before any identity: TLS, GSS and cancel requests, one StartupMessage.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! INVARIANT: a session has exactly one StartupMessage, and what goes upstream is rebuilt from its parsed fields.
//! PostgreSQL takes the last of two `user` keys; a proxy that reads the first audits the wrong person.

use super::frame::Fields;
use crate::refusal::Refusal;

/// PostgreSQL's own bound on a startup packet (`MAX_STARTUP_PACKET_LENGTH`).
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Longest cancel key of protocol 3.2.
pub const CANCEL_KEY_BYTES_MAX: usize = 256;
/// First byte of a TLS record of type handshake: a client that starts TLS without asking.
pub const TLS_HANDSHAKE_BYTE: u8 = 0x16;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const PROTOCOL_MAJOR: u16 = 3;
/// Highest minor version that Weir speaks (PostgreSQL 18).
pub const PROTOCOL_MINOR_MAX: u16 = 2;

/// Startup parameters that may pass. Everything else can be set after the login, where it is seen as a statement.
const PARAMETERS_KEPT: &[&str] = &[
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "fallback_application_name",
    "geqo",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle",
    "jit",
    "lock_timeout",
    "plan_cache_mode",
    "search_path",
    "standard_conforming_strings",
    "statement_timeout",
    "tcp_keepalives_count",
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "timezone",
    "transaction_timeout",
    "work_mem",
];

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// Not whole yet.
    More,
    /// SSLRequest: answer one byte, nothing else may be buffered.
    Tls {
        /// Bytes of the request.
        len: usize,
    },
    /// TLS begins without a request (direct TLS, ALPN `postgresql`).
    DirectTls,
    /// GSSENCRequest: answered `N`.
    Gss {
        /// Bytes of the request.
        len: usize,
    },
    /// CancelRequest with the key that Weir gave out.
    Cancel {
        /// Process number as given out.
        pid: u32,
        /// Secret as given out.
        key: Vec<u8>,
    },
    /// The StartupMessage.
    Startup(Startup),
}

/// A parsed StartupMessage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Startup {
    /// Bytes of the packet.
    pub len: usize,
    /// Requested minor version of protocol 3.
    pub minor: u16,
    /// Account to log in as.
    pub user: String,
    /// Database; the account's name when not given.
    pub database: String,
    /// `replication` as given.
    pub replication: Option<String>,
    /// Parameters that may pass, in the client's order and spelling.
    pub parameters: Vec<(String, String)>,
    /// Protocol extensions (`_pq_.…`) that Weir does not speak.
    pub extensions: Vec<String>,
}

/// Reads the first packet. Tells what to answer when it cannot be served.
///
/// # Errors
/// A refusal for the client, to be sent as a FATAL error.
pub fn read_first(input: &[u8]) -> Result<First, Refusal> {
    let Some(first) = input.first() else { return Ok(First::More) };
    if *first == TLS_HANDSHAKE_BYTE {
        return Ok(First::DirectTls);
    }
    let mut fields = Fields::new(input);
    let Some(length) = fields.u32() else { return Ok(First::More) };
    let len = usize::try_from(length).unwrap_or(usize::MAX);
    if !(8..=STARTUP_BYTES_MAX).contains(&len) {
        return Err(malformed("invalid length of startup packet"));
    }
    let Some(packet) = input.get(4..len) else { return Ok(First::More) };
    let mut fields = Fields::new(packet);
    let Some(code) = fields.u32() else { return Err(malformed("startup packet without a version")) };
    match code {
        SSL_REQUEST if len == 8 => Ok(First::Tls { len }),
        GSSENC_REQUEST if len == 8 => Ok(First::Gss { len }),
        CANCEL_REQUEST => {
            let pid = fields.u32().ok_or_else(|| malformed("cancel request without a process number"))?;
            let key = fields.rest();
            if key.is_empty() || key.len() > CANCEL_KEY_BYTES_MAX {
                return Err(malformed("cancel request with an impossible key"));
            }
            Ok(First::Cancel { pid, key: key.to_vec() })
        }
        _ => read_startup(len, code, fields).map(First::Startup),
    }
}

fn read_startup(len: usize, code: u32, mut fields: Fields<'_>) -> Result<Startup, Refusal> {
    let [high, low, minor_high, minor_low] = code.to_be_bytes();
    if u16::from_be_bytes([high, low]) != PROTOCOL_MAJOR {
        return Err(Refusal::new(
            "0A000",
            "unsupported frontend protocol: weir speaks 3.0 to 3.2",
            "connect with a client of PostgreSQL 7.4 or later",
        ));
    }
    let minor = u16::from_be_bytes([minor_high, minor_low]);
    let mut startup = Startup {
        len,
        minor,
        user: String::new(),
        database: String::new(),
        replication: None,
        parameters: Vec::new(),
        extensions: Vec::new(),
    };
    let mut seen: Vec<String> = Vec::new();
    loop {
        let name = text(fields.cstr())?;
        if name.is_empty() {
            break;
        }
        let value = text(fields.cstr())?;
        let key = name.to_ascii_lowercase();
        if seen.contains(&key) {
            return Err(Refusal::new(
                "08P01",
                format!("startup packet names `{key}` twice"),
                "send every startup parameter once",
            ));
        }
        seen.push(key.clone());
        match key.as_str() {
            "user" => startup.user = value,
            "database" => startup.database = value,
            "replication" => startup.replication = Some(value),
            "options" => {
                check_options(&value)?;
                startup.parameters.push((name, value));
            }
            _ if key.starts_with("_pq_.") => startup.extensions.push(name),
            _ if PARAMETERS_KEPT.contains(&key.as_str()) => startup.parameters.push((name, value)),
            _ => return Err(parameter_refused(&key)),
        }
    }
    if !fields.is_done() {
        return Err(malformed("invalid startup packet layout: expected terminator as last byte"));
    }
    if startup.user.is_empty() {
        return Err(Refusal::new("28000", "no PostgreSQL user name specified in startup packet", "give a user name"));
    }
    if startup.database.is_empty() {
        startup.database.clone_from(&startup.user);
    }
    Ok(startup)
}

impl Startup {
    /// The packet for the upstream, rebuilt.
    pub fn rebuild(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.len + 16);
        let minor = self.minor.min(PROTOCOL_MINOR_MAX);
        body.extend_from_slice(&PROTOCOL_MAJOR.to_be_bytes());
        body.extend_from_slice(&minor.to_be_bytes());
        put_pair(&mut body, "user", &self.user);
        put_pair(&mut body, "database", &self.database);
        if let Some(replication) = &self.replication {
            put_pair(&mut body, "replication", replication);
        }
        for (name, value) in &self.parameters {
            put_pair(&mut body, name, value);
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        let mut packet = length.to_be_bytes().to_vec();
        packet.append(&mut body);
        packet
    }

    /// The value of a parameter that passes, by name in any case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether the session asks for the replication protocol, as PostgreSQL decides it.
    pub fn wants_replication(&self) -> bool {
        let off = ["", "false", "off", "no", "0", "f", "n"];
        self.replication.as_deref().is_some_and(|value| !off.contains(&value.to_ascii_lowercase().as_str()))
    }

    /// Whether Weir itself must tell the client a lower version or unknown extensions.
    pub fn needs_negotiation(&self) -> bool {
        self.minor > PROTOCOL_MINOR_MAX || !self.extensions.is_empty()
    }

    /// `-c name=value` and `--name=value` settings inside `options`.
    pub fn options(&self) -> Vec<(String, String)> {
        self.parameter("options").and_then(|text| parse_options(text).ok()).unwrap_or_default()
    }
}

/// Settings in an `options` string; `Err` names the part that is not one.
fn parse_options(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut settings = Vec::new();
    let mut words = split_options(text).into_iter();
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next().unwrap_or_default()
        } else if let Some(rest) = word.strip_prefix("-c").or_else(|| word.strip_prefix("--")) {
            rest.to_owned()
        } else {
            return Err(word);
        };
        match assignment.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                settings.push((name.replace('-', "_").to_ascii_lowercase(), value.to_owned()));
            }
            _ => return Err(assignment),
        }
    }
    Ok(settings)
}

/// Splits at white space; a backslash keeps the next character, as `pg_split_opts` does.
fn split_options(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            // isspace() in the C locale.
            ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn check_options(text: &str) -> Result<(), Refusal> {
    match parse_options(text) {
        Ok(settings) => match settings.iter().find(|(name, _)| !PARAMETERS_KEPT.contains(&name.as_str())) {
            Some((name, _)) => Err(parameter_refused(name)),
            None => Ok(()),
        },
        Err(part) => Err(Refusal::new(
            "08P01",
            format!("startup parameter `options` has a part that is not a setting: `{part}`"),
            "use `-c name=value`",
        )),
    }
}

fn parameter_refused(name: &str) -> Refusal {
    Refusal::new(
        "0A000",
        format!("startup parameter `{name}` does not pass weir"),
        format!("leave it out and run `SET {name} = …` after connecting"),
    )
}

fn malformed(message: &str) -> Refusal {
    Refusal::new("08P01", message, "check that the client speaks PostgreSQL's protocol 3")
}

fn text(bytes: Option<&[u8]>) -> Result<String, Refusal> {
    let bytes = bytes.ok_or_else(|| malformed("invalid startup packet layout: expected terminator as last byte"))?;
    // A name that is not UTF-8 would stand differently in the record than in the server.
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed("startup packet holds text that is not UTF-8"))
}

fn put_pair(body: &mut Vec<u8>, name: &str, value: &str) {
    body.extend_from_slice(name.as_bytes());
    body.push(0);
    body.extend_from_slice(value.as_bytes());
    body.push(0);
}

/// A CancelRequest for the upstream.
pub fn cancel_request(pid: u32, key: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(12 + key.len());
    packet.extend_from_slice(&u32::try_from(12 + key.len()).unwrap_or(u32::MAX).to_be_bytes());
    packet.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
    packet.extend_from_slice(&pid.to_be_bytes());
    packet.extend_from_slice(key);
    packet
}

/// An SSLRequest for the upstream.
pub fn ssl_request() -> [u8; 8] {
    let [a, b, c, d] = SSL_REQUEST.to_be_bytes();
    [0, 0, 0, 8, a, b, c, d]
}
