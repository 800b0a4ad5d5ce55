//! From the first byte of a client to an open session on both sides.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! INVARIANT: bytes that arrived before a TLS upgrade are never read after it (CVE-2021-23214 and its kind), and one
//! session has one StartupMessage.

mod behind;
mod door;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::{TlsAcceptor, TlsConnector};
use weir_wire::pg::auth::{self, AuthStep, ClearText};
use weir_wire::pg::error::{Severity, put_error};
use weir_wire::pg::scram::Binding;
use weir_wire::pg::startup::{First, STARTUP_BYTES_MAX, Startup, read_first, ssl_request};
use weir_wire::pg::{Limits, PgEngine};
use weir_wire::{Refusal, WireError};

use super::{Open, Opened, Protocol, no_handshake, unreachable};
use crate::cancel::CancelTarget;
use crate::identity::Login;
use crate::route::{ClientTls, Route};
use crate::session::execution::{Execution, Handle};
use crate::session::leg::{Leg, Replayed, Stream};
use crate::session::{End, Shared};

/// Requests for encryption that one connection may make: GSS and TLS, as libpq does, with one to spare.
const ENCRYPTION_REQUESTS_MAX: usize = 3;
/// What a login may send in either direction before it is whole.
const LOGIN_BYTES_MAX: usize = 256 * 1024;

/// PostgreSQL.
#[derive(Debug)]
pub(crate) struct Postgres;

impl Protocol for Postgres {
    type Engine = PgEngine<Handle, Execution>;

    async fn open(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
    ) -> Result<Opened<Self::Engine>, End> {
        let (startup, binding) = match first_packets(shared, route, client).await? {
            Some(found) => found,
            None => return Ok(Opened::Done),
        };
        if startup.wants_replication() {
            let refusal = Refusal::new(
                "0A000",
                "replication connections do not pass weir",
                "a replication stream cannot be counted by person; replicas connect to the server itself",
            );
            let (account, database) = (startup.user, startup.database);
            return Err(End::NotAdmitted { refusal: Box::new(refusal), account, database });
        }
        if !route.auth.is_relayed() {
            if startup.needs_negotiation() {
                let mut bytes = Vec::new();
                auth::put_negotiation(&mut bytes, &startup);
                client.queue(&bytes);
            }
            let admitted = door::judge(shared, route, peer, client, &startup, binding).await?;
            return behind::open(shared, route, peer, client, startup, admitted).await;
        }
        let client_tls = client.tls_version().is_some();
        let mut upstream = connect(route).await.map_err(|error| unreachable(route, &error))?;
        upstream.queue(&startup.rebuild());
        if startup.needs_negotiation() {
            let mut bytes = Vec::new();
            auth::put_negotiation(&mut bytes, &startup);
            client.queue(&bytes);
        }
        authenticate(shared, route, client, upstream, startup, client_tls).await
    }

    fn put_refusal(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        put_error(to_client, Severity::Fatal, refusal);
    }
}

/// TLS, GSS and cancel requests, up to the StartupMessage, and what a login can be bound to. `None`: a cancel request was
/// served.
async fn first_packets(shared: &Shared, route: &Route, client: &mut Leg) -> Result<Option<(Startup, Binding)>, End> {
    let mut encrypted = false;
    let mut binding = Binding::None;
    for _ in 0..=ENCRYPTION_REQUESTS_MAX {
        let first = client
            .read_until(STARTUP_BYTES_MAX, |bytes| match read_first(bytes) {
                Ok(First::More) => None,
                Ok(First::Tls { len }) => Some((len, Ok(First::Tls { len }))),
                Ok(First::Gss { len }) => Some((len, Ok(First::Gss { len }))),
                Ok(First::Startup(startup)) => Some((startup.len, Ok(First::Startup(startup)))),
                Ok(other) => Some((0, Ok(other))),
                Err(refusal) => Some((0, Err(refusal))),
            })
            .await
            .map_err(|_| End::ClientGone)?
            .map_err(End::Refused)?;
        match first {
            First::Tls { .. } | First::Gss { .. } if encrypted => {
                return Err(refused("08P01", "encryption was asked for twice", "ask once"));
            }
            First::Tls { .. } => match &route.client_tls {
                Some(tls) => {
                    answer(client, b"S").await?;
                    binding = upgrade(client, tls).await?;
                    encrypted = true;
                }
                None => answer(client, b"N").await?,
            },
            First::Gss { .. } => answer(client, b"N").await?,
            First::DirectTls => match &route.client_tls {
                Some(tls) if !encrypted => {
                    binding = direct(client, tls).await?;
                    encrypted = true;
                }
                _ => return Err(End::ClientGone),
            },
            First::Cancel { pid, key } => {
                if let Some(target) = shared.cancels.find(pid, &key) {
                    target.cancel().await;
                }
                return Ok(None);
            }
            First::Startup(startup) => {
                let required = route.client_tls.as_ref().is_some_and(|tls| tls.required);
                if required && !encrypted {
                    return Err(refused(
                        "28000",
                        "this listener serves TLS only",
                        "connect with sslmode=require or better",
                    ));
                }
                return Ok(Some((startup, binding)));
            }
            First::More => {}
        }
    }
    Err(refused("08P01", "too many encryption requests", "ask once"))
}

fn refused(sqlstate: &'static str, message: &str, hint: &str) -> End {
    End::Refused(Refusal::new(sqlstate, message, hint))
}

async fn answer(client: &mut Leg, byte: &[u8]) -> Result<(), End> {
    client.queue(byte);
    client.drain().await.map_err(|_| End::ClientGone)
}

/// Puts TLS on the client's leg after an SSLRequest. Whatever is already buffered came unprotected: the end.
async fn upgrade(client: &mut Leg, tls: &ClientTls) -> Result<Binding, End> {
    let Some(Stream::Plain(socket)) = client.take_stream() else {
        return Err(refused("08P01", "bytes arrived before TLS was set up", "wait for the answer to SSLRequest"));
    };
    let stream = TlsAcceptor::from(tls.config.clone()).accept(socket).await.map_err(|error| no_handshake(&error))?;
    *client = Leg::new(Stream::Client(Box::new(stream)));
    Ok(bound_to(tls))
}

/// What a login over a connection that was just encrypted can be bound to.
fn bound_to(tls: &ClientTls) -> Binding {
    tls.certificate.end_point().map_or(Binding::None, Binding::EndPoint)
}

/// TLS without a request: the client must name the protocol (ALPN), as the server demands.
async fn direct(client: &mut Leg, tls: &ClientTls) -> Result<Binding, End> {
    let hello = client.take_kept();
    let Some(Stream::Plain(socket)) = client.take_stream() else { return Err(End::ClientGone) };
    let acceptor = TlsAcceptor::from(tls.config.clone());
    let stream = acceptor.accept(Replayed::new(hello, socket));
    let stream = stream.await.map_err(|error| no_handshake(&error))?;
    let is_named = stream.get_ref().1.alpn_protocol() == Some(b"postgresql");
    // Before a refusal, so that the client can read it.
    *client = Leg::new(Stream::Direct(Box::new(stream)));
    if !is_named {
        return Err(refused(
            "08P01",
            "direct TLS without the ALPN protocol `postgresql`",
            "use sslnegotiation=postgres",
        ));
    }
    Ok(bound_to(tls))
}

/// Connects to the upstream, with TLS as configured.
async fn connect(route: &Route) -> io::Result<Leg> {
    let socket = route.upstream.connect().await?;
    let held = route.upstream.hold(&socket)?;
    let Some(tls) = &route.upstream.tls else { return Ok(Leg::new(Stream::Plain(socket)).held(held)) };
    let mut plain = Leg::new(Stream::Plain(socket));
    plain.queue(&ssl_request());
    plain.drain().await?;
    let answer = plain.read_until(1, |bytes| bytes.first().map(|byte| (1, *byte))).await?;
    if answer != b'S' {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the upstream does not offer TLS (set tls = \"off\" only on a trusted host)",
        ));
    }
    // A server that answers `S` and more bytes at once tries to be read as if it were inside TLS.
    let Some(Stream::Plain(socket)) = plain.take_stream() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the upstream sent bytes before TLS was set up"));
    };
    let stream = TlsConnector::from(tls.config.clone()).connect(tls.server_name.clone(), socket).await?;
    Ok(Leg::new(Stream::Upstream(Box::new(stream))).held(held))
}

/// Relays the authentication until the server is ready.
async fn authenticate(
    shared: &Shared,
    route: &Route,
    client: &mut Leg,
    mut upstream: Leg,
    startup: Startup,
    client_tls: bool,
) -> Result<Opened<PgEngine<Handle, Execution>>, End> {
    let protected = client_tls && route.upstream.tls.is_some();
    let clear_text = if protected { ClearText::Allowed } else { ClearText::Refused };
    let mut authenticated = false;
    let mut settings = Vec::new();
    let mut server_key = None;
    let key = shared.cancels.new_key(if startup.minor >= 2 { 32 } else { 4 });
    loop {
        upstream.drain().await.map_err(|_| End::UpstreamGone)?;
        let from_upstream = |bytes: &[u8]| match auth::upstream_step(bytes, clear_text) {
            Ok(AuthStep::More) => None,
            Ok(step) => {
                let len = step_len(&step);
                Some((len, Ok((step, bytes.get(..len).unwrap_or(&[]).to_vec()))))
            }
            Err(error) => Some((0, Err(error))),
        };
        let from_client = |bytes: &[u8]| match auth::client_step(bytes) {
            Ok(None) => None,
            Ok(Some(len)) => Some((len, Ok(bytes.get(..len).unwrap_or(&[]).to_vec()))),
            Err(error) => Some((0, Err::<Vec<u8>, WireError>(error))),
        };
        let step = if authenticated {
            // Nothing may come from the client now; what it pipelines stays in its socket.
            upstream.read_until(LOGIN_BYTES_MAX, from_upstream).await.map_err(|_| End::UpstreamGone)?
        } else {
            client.drain().await.map_err(|_| End::ClientGone)?;
            tokio::select! {
                biased;
                step = upstream.read_until(LOGIN_BYTES_MAX, from_upstream) => step.map_err(|_| End::UpstreamGone)?,
                frame = client.read_until(LOGIN_BYTES_MAX, from_client) => {
                    let frame = frame.map_err(|_| End::ClientGone)?.map_err(End::Broken)?;
                    upstream.queue(&frame);
                    continue;
                }
            }
        };
        let (step, frame) = step.map_err(End::Broken)?;
        match step {
            AuthStep::More => {}
            AuthStep::Pass(_) => client.queue(&frame),
            AuthStep::Swap(_, instead) => client.queue(&instead),
            AuthStep::Authenticated(_) => {
                authenticated = true;
                client.queue(&frame);
            }
            AuthStep::Setting { name, value, .. } => {
                client.queue(&frame);
                settings.push((name, value));
            }
            AuthStep::Key { pid, key: secret, .. } => {
                upstream.numbered(u64::from(pid));
                server_key = Some((pid, secret));
                let mut bytes = Vec::new();
                auth::put_key(&mut bytes, key.pid, &key.secret);
                client.queue(&bytes);
            }
            AuthStep::Failed { sqlstate, .. } => {
                client.queue(&frame);
                let _ = client.drain().await;
                let (account, database) = (startup.user, startup.database);
                return Err(End::LoginFailed { account, database, sqlstate, method: "relayed", refusal: None });
            }
            AuthStep::Ready(_) if authenticated => {
                client.queue(&frame);
                let limits = Limits { frame_bytes_max: route.frame_bytes_max, pipeline_max: route.pipeline_max };
                let application = startup.parameters.iter().find(|(name, _)| name == "application_name");
                let open = Open {
                    upstream,
                    engine: PgEngine::new(limits),
                    login: Login::relayed(&startup.user),
                    database: startup.database,
                    application: application.map_or_else(String::new, |(_, value)| value.clone()),
                    parameters: startup.parameters,
                    settings,
                    welcome: Vec::new(),
                    key: Some(key),
                    holder: None,
                    cancel: CancelTarget::by_key(Arc::clone(&route.upstream), server_key),
                };
                return Ok(Opened::Session(Box::new(open)));
            }
            AuthStep::Ready(_) => {
                return Err(refused("08P01", "the server was ready before any login", "ask its operator"));
            }
            AuthStep::ClearTextRefused => {
                return Err(refused(
                    "28000",
                    "the database server asks for a password in clear text, which weir does not relay without TLS on both sides",
                    "use scram-sha-256 in pg_hba.conf",
                ));
            }
            AuthStep::MethodRefused(method) => {
                return Err(End::Refused(Refusal::new(
                    "28000",
                    format!("weir does not relay authentication method {method} (GSSAPI, SSPI)"),
                    "use scram-sha-256 or certificates in pg_hba.conf",
                )));
            }
        }
    }
}

fn step_len(step: &AuthStep) -> usize {
    match step {
        AuthStep::More | AuthStep::ClearTextRefused | AuthStep::MethodRefused(_) => 0,
        AuthStep::Pass(len) | AuthStep::Swap(len, _) | AuthStep::Authenticated(len) | AuthStep::Ready(len) => *len,
        AuthStep::Setting { len, .. } | AuthStep::Key { len, .. } | AuthStep::Failed { len, .. } => *len,
    }
}
