//! From one listener to one upstream: everything that a session needs to know of its surroundings.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use weir_policy::relation::Engine;
use weir_wire::mysql::handshake::Capabilities;

use crate::config::{ListenerAuth, MappedAccount};
use crate::identity::token_keys::TokenKeys;
use crate::identity::verifiers::Verifiers;
use crate::monitor::carried::{Carried, Held};
use crate::session::gate::FunctionCalls;
use crate::tls::Certificate;

/// How long an idle peer may be silent before the kernel asks whether it still lives.
const KEEPALIVE_IDLE_SECS: u64 = 30;
/// Between two such questions.
const KEEPALIVE_INTERVAL_SECS: u64 = 10;
/// Unanswered questions before the connection is over: a half-open peer is gone within a minute.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent bytes may stay unacknowledged.
const UNACKNOWLEDGED_SECS: u64 = 60;

/// One listener's way to its upstream.
pub struct Route {
    /// Name of the listener.
    pub name: String,
    /// TLS towards clients, when offered.
    pub client_tls: Option<ClientTls>,
    /// What is accepted as a login.
    pub auth: ListenerAuth,
    /// What passwords are judged by, where Weir judges them.
    pub verifiers: Option<Arc<Verifiers>>,
    /// What tokens are judged by, where they are taken.
    pub tokens: Option<Arc<TokenKeys>>,
    /// The server.
    pub upstream: Arc<Upstream>,
    /// Longest message in bytes.
    pub frame_bytes_max: usize,
    /// Outstanding messages of one session.
    pub pipeline_max: usize,
    /// Bytes that are kept for a peer that does not read, before the other side is no longer read either.
    pub session_bytes_max: usize,
    /// How long the upstream may be silent in the middle of a message.
    pub upstream_stall: Duration,
    /// From acceptance to the first ReadyForQuery.
    pub startup_timeout: Duration,
    /// Whether FunctionCall messages pass.
    pub function_calls: FunctionCalls,
    /// Requests that are not SQL and pass all the same, by name.
    pub allowed_commands: Arc<[String]>,
    /// Whether a client may be asked for a file of its own by LOAD DATA LOCAL.
    pub local_infile: bool,
    /// Capabilities of the MySQL protocol that are withheld on either leg, and so on both.
    pub withheld: Capabilities,
}

/// TLS on a listener.
pub struct ClientTls {
    /// Certificate and protocols.
    pub config: Arc<rustls::ServerConfig>,
    /// What clients are shown.
    pub certificate: Arc<Certificate>,
    /// Whether plain connections are refused.
    pub required: bool,
}

/// A database server.
pub struct Upstream {
    /// Its name in the configuration.
    pub name: String,
    /// What it speaks.
    pub engine: Engine,
    /// `host:port`.
    pub address: String,
    /// TLS, verified, unless it is off.
    pub tls: Option<UpstreamTls>,
    /// How long a connection attempt may take.
    pub connect_timeout: Duration,
    /// Accounts that stand for many people; the first that is for a login serves it.
    pub accounts: Vec<MappedAccount>,
    /// Where its connections are listed, when somebody looks for others.
    pub carried: Option<Arc<Carried>>,
}

/// TLS towards an upstream.
pub struct UpstreamTls {
    /// Trusted roots and protocols.
    pub config: Arc<rustls::ClientConfig>,
    /// Name that the certificate must bear.
    pub server_name: ServerName<'static>,
}

impl Upstream {
    /// Opens a socket, without TLS yet.
    ///
    /// # Errors
    /// The network's, or `TimedOut`.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let socket = tokio::time::timeout(self.connect_timeout, TcpStream::connect(&self.address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tune(&socket)?;
        Ok(socket)
    }

    /// Lists a socket to this server as Weir's, for as long as the answer lives.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hold(&self, socket: &TcpStream) -> io::Result<Option<Held>> {
        let Some(carried) = &self.carried else { return Ok(None) };
        socket.local_addr().map(|local| Some(carried.hold(local)))
    }
}

/// Sets what every socket of Weir must have: no delay, and a way to notice a peer that is gone without a word.
///
/// # Errors
/// The kernel's.
pub fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let socket = socket2::SockRef::from(socket);
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(KEEPALIVE_IDLE_SECS))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_SECS))
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(UNACKNOWLEDGED_SECS)))
}
