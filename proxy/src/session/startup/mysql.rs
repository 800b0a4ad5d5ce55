//! MySQL and MariaDB. Whom Weir judges itself comes in by the [`door`]; what stands here is shared with the logins that
//! are relayed.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//!
//! What happens in what order where logins are relayed: the server greets first, so its leg is opened before the client
//! has said anything; its greeting passes with Weir's capabilities; the client's leg gets TLS; its login is read; the
//! server's leg gets TLS; the login is rebuilt, and the exchange relayed until OK or ERR. The OK is held back until the
//! session is identified.

mod door;
mod entry;
mod upstream;

use door::Entered;

use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::{TlsAcceptor, TlsConnector};
use weir_wire::mysql::auth::{AuthStep, Exchange, Legs, Start, Turn};
use weir_wire::mysql::capability::Capabilities;
use weir_wire::mysql::change_user::ChangeUser;
use weir_wire::mysql::charset::character_set;
use weir_wire::mysql::door::Door;
use weir_wire::mysql::error::{Change, ERR, OkPacket, put_error};
use weir_wire::mysql::greeting::GREETING_BYTES_MAX;
use weir_wire::mysql::handshake::{
    Attributes, First, Flavour, Greeting, HandshakeResponse, LOGIN_BYTES_MAX, LocalFiles, Protection, Secret,
    TLS_HANDSHAKE_BYTE, Terms, read_first,
};
use weir_wire::mysql::packet::{Packet, Scan, put_packet};
use weir_wire::mysql::{Facts, Limits, MysqlEngine};
use weir_wire::{Refusal, WireError, WireSide};

use super::{Open, Opened, Protocol, no_handshake, unreachable};
use crate::cancel::{CancelTarget, WeirKey};
use crate::identity;
use crate::route::{ClientTls, Route, UpstreamTls};
use crate::rsa;
use crate::session::execution::{Execution, Handle};
use crate::session::leg::{Leg, Replayed, Stream};
use crate::session::{End, Shared};

/// MySQL and MariaDB.
#[derive(Default)]
pub(crate) struct Mysql {
    /// Number of the next packet to the client, before an exchange counts.
    client_seq: u8,
    exchange: Option<Exchange>,
    /// The exchange with a client that Weir judges itself.
    door: Option<Door>,
    /// As whom Weir has logged in for a client that it judged itself.
    entered: Option<Entered>,
    /// The number that the client knows the session by, where it is not the server's.
    number: Option<WeirKey>,
    /// What a change of user goes on from.
    known: Option<Known>,
}

/// What was settled by the first login.
struct Known {
    greeting: Greeting,
    agreed: Capabilities,
    legs: Legs,
}

/// Who logged in, and how the session starts.
#[derive(Clone)]
struct Login {
    account: String,
    database: String,
    application: String,
    collation: Option<u16>,
}

impl Protocol for Mysql {
    type Engine = MysqlEngine<Handle, Execution>;

    async fn open(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
    ) -> Result<Opened<Self::Engine>, End> {
        if !route.auth.is_relayed() {
            return self.open_at_door(shared, route, peer, client).await.map(Opened::Session);
        }
        let socket = route.upstream.connect().await.map_err(|error| unreachable(route, &error))?;
        let held = route.upstream.hold(&socket).map_err(|error| unreachable(route, &error))?;
        let mut upstream = Leg::new(Stream::Plain(socket)).held(held);
        let greeting = greeting(route, client, &mut upstream).await?;
        upstream.numbered(u64::from(greeting.thread_id));
        let terms = terms(route);
        let offered = Capabilities::offered(greeting.capabilities, &terms).map_err(End::Refused)?;
        let mut bytes = Vec::new();
        self.client_seq = put_packet(&mut bytes, 0, &greeting.rebuild(offered));
        client.queue(&bytes);
        client.drain().await.map_err(|_| End::ClientGone)?;
        let response = self.response(route, client, greeting.flavour()).await?;
        let agreed = Capabilities::agreed(offered, response.capabilities, &terms).map_err(End::Refused)?;
        let mut upstream_seq = 1;
        if let Some(tls) = &route.upstream.tls {
            let mut request = Vec::new();
            upstream_seq = put_packet(&mut request, upstream_seq, &response.tls_request(agreed));
            upstream.queue(&request);
            upstream = encrypted(upstream, tls, &greeting).await.map_err(|error| unreachable(route, &error))?;
        }
        let legs = Legs { client: protection(client.tls_version().is_some()), upstream: terms.upstream };
        let (exchange, first) = Exchange::begin(&Start {
            plugin: response.plugin.as_deref(),
            auth_response: response.auth_response.bytes(),
            nonce: &greeting.nonce,
            agreed,
            legs,
            client_seq: self.client_seq.wrapping_sub(1),
            upstream_seq,
        })
        .map_err(End::Refused)?;
        let payload = response.rebuild_with(agreed, first.bytes()).map_err(End::Refused)?;
        let mut bytes = Vec::new();
        put_packet(&mut bytes, upstream_seq, &payload);
        upstream.queue(&bytes);
        self.exchange = Some(exchange);
        self.known = Some(Known { greeting, agreed, legs });
        let login = Login {
            application: application(Some(&response.attributes)),
            account: response.user,
            database: response.database.unwrap_or_default(),
            collation: Some(u16::from(response.collation)),
        };
        self.settle(shared, route, client, upstream, login).await.map(Opened::Session)
    }

    async fn change_user(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
        mut upstream: Leg,
    ) -> Result<Box<Open<Self::Engine>>, End> {
        if !route.auth.is_relayed() {
            return self.change_at_door(shared, route, peer, client, upstream).await;
        }
        let nonce = self.exchange.take().map_or_else(Vec::new, |exchange| exchange.nonce().to_vec());
        // Behind the command itself, should it be refused.
        self.client_seq = 1;
        let Some(known) = &self.known else {
            return Err(End::Refused(Refusal::new("08P01", "there was no login yet", "log in first")));
        };
        let payload = command_of(client).await?;
        let change = ChangeUser::read(&payload, known.agreed, known.greeting.flavour()).map_err(End::Refused)?;
        let (exchange, first) = Exchange::begin(&Start {
            plugin: change.plugin.as_deref(),
            auth_response: change.auth_response.bytes(),
            nonce: &nonce,
            agreed: known.agreed,
            legs: known.legs,
            client_seq: 0,
            upstream_seq: 0,
        })
        .map_err(End::Refused)?;
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0, &change.rebuild(first.bytes()).map_err(End::Refused)?);
        upstream.queue(&bytes);
        self.exchange = Some(exchange);
        let login = Login {
            application: application(change.attributes.as_ref()),
            account: change.user,
            database: change.database.unwrap_or_default(),
            collation: change.collation,
        };
        self.settle(shared, route, client, upstream, login).await
    }

    fn put_refusal(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        match (&mut self.door, &mut self.exchange) {
            (Some(door), _) => door.put_refusal(refusal, to_client),
            (None, Some(exchange)) => exchange.put_refusal(refusal, to_client),
            (None, None) => put_error(to_client, self.client_seq, refusal),
        }
    }
}

impl Mysql {
    /// The client's login, behind TLS where it asks for that.
    async fn response(&mut self, route: &Route, client: &mut Leg, flavour: Flavour) -> Result<HandshakeResponse, End> {
        let mut leg = Protection::Plain;
        loop {
            let seq = self.client_seq;
            let first = client
                .read_until(LOGIN_BYTES_MAX, |bytes| match read_first(bytes, seq, leg, flavour) {
                    Ok(First::More(_)) => None,
                    Ok(First::Tls { len }) => Some((len, Ok(None))),
                    Ok(First::Response(response)) => Some((response.len, Ok(Some(response)))),
                    Err(refusal) => Some((0, Err(refusal))),
                })
                .await
                .map_err(|_| End::ClientGone)?;
            self.client_seq = seq.wrapping_add(1);
            let Some(response) = first.map_err(End::Refused)? else {
                let tls = route.client_tls.as_ref().ok_or_else(|| {
                    End::Refused(Refusal::new("08P01", "TLS was not offered here", "connect without it"))
                })?;
                upgrade(client, tls).await?;
                leg = Protection::Tls;
                continue;
            };
            if leg == Protection::Plain && route.client_tls.as_ref().is_some_and(|tls| tls.required) {
                return Err(End::Refused(Refusal::new(
                    "28000",
                    "this listener serves TLS only",
                    "connect with --ssl-mode=REQUIRED or better (MariaDB: --ssl)",
                )));
            }
            return Ok(*response);
        }
    }

    /// Relays the exchange until the server lets the account in.
    async fn settle(
        &mut self,
        shared: &Shared,
        route: &Route,
        client: &mut Leg,
        mut upstream: Leg,
        login: Login,
    ) -> Result<Box<Open<MysqlEngine<Handle, Execution>>>, End> {
        let (Some(exchange), Some(known)) = (&mut self.exchange, &self.known) else { return Err(End::ClientGone) };
        let (mut to_client, mut to_upstream) = (Vec::new(), Vec::new());
        loop {
            client.queue(&mem::take(&mut to_client));
            upstream.queue(&mem::take(&mut to_upstream));
            client.drain().await.map_err(|_| End::ClientGone)?;
            upstream.drain().await.map_err(|_| End::UpstreamGone)?;
            let seen = if exchange.turn() == Turn::Client {
                let step = |bytes: &[u8]| seen(exchange.client_step(bytes, &mut to_upstream));
                client.read_until(LOGIN_BYTES_MAX, step).await.map_err(|_| End::ClientGone)?
            } else {
                let step = |bytes: &[u8]| seen(exchange.upstream_step(bytes, &mut to_client));
                upstream.read_until(LOGIN_BYTES_MAX, step).await.map_err(|_| End::UpstreamGone)?
            };
            match seen.map_err(End::Broken)? {
                Seen::Next => {}
                Seen::NeedsKey => {
                    let key = process_key().await?;
                    exchange.give_key(key.public_pem().as_bytes(), &mut to_client);
                }
                Seen::Decrypt(ciphertext) => {
                    let password = process_key().await?.decrypt(&ciphertext).map(Secret::new);
                    exchange.decrypted(password.as_ref(), &mut to_upstream).map_err(End::Refused)?;
                }
                Seen::Encrypt(key, password) => {
                    let ciphertext = rsa::encrypt(&key, password.bytes())
                        .inspect_err(|error| tracing::warn!(upstream = %route.upstream.name, %error, "login failed"))
                        .ok();
                    exchange.encrypted(ciphertext.as_deref(), &mut to_upstream).map_err(End::Refused)?;
                }
                Seen::Failed(sqlstate) => {
                    client.queue(&to_client);
                    let _ = client.drain().await;
                    let (account, database) = (login.account, login.database);
                    return Err(End::LoginFailed { account, database, sqlstate, method: "relayed", refusal: None });
                }
                Seen::Refused(refusal) => {
                    let (account, database) = (login.account, login.database);
                    return Err(End::NotAdmitted { refusal: Box::new(refusal), account, database });
                }
                Seen::Authenticated { settings, packet } => {
                    let proved = identity::Login::relayed(&login.account);
                    let reported = Reported { settings, welcome: packet };
                    return Ok(Box::new(opened(shared, route, known, upstream, login, proved, reported)));
                }
            }
        }
    }
}

/// A session of this protocol, as it opens.
type OpenMysql = Open<MysqlEngine<Handle, Execution>>;

/// What the server said when it let the account in.
struct Reported {
    settings: Vec<(String, String)>,
    /// What the client is sent.
    welcome: Vec<u8>,
}

/// The session that a login has opened.
fn opened(
    shared: &Shared,
    route: &Route,
    known: &Known,
    upstream: Leg,
    login: Login,
    proved: identity::Login,
    reported: Reported,
) -> OpenMysql {
    let flavour = known.greeting.flavour();
    let limits = Limits { frame_bytes_max: route.frame_bytes_max, pipeline_max: route.pipeline_max };
    let facts = Facts { capabilities: known.agreed, mariadb: flavour == Flavour::MariaDb };
    let mut settings = vec![("version".to_owned(), String::from_utf8_lossy(&known.greeting.version).into_owned())];
    if let Some(charset) = login.collation.and_then(|collation| character_set(collation, flavour)) {
        settings.push(("character_set_client".to_owned(), charset.to_owned()));
    }
    settings.extend(reported.settings);
    let thread = u64::from(known.greeting.thread_id);
    Open {
        upstream,
        engine: MysqlEngine::new(limits, facts),
        login: proved,
        database: login.database,
        application: login.application,
        parameters: Vec::new(),
        settings,
        welcome: reported.welcome,
        key: None,
        holder: None,
        cancel: CancelTarget::by_kill(Arc::clone(&shared.catalogs), &route.upstream.name, thread),
    }
}

/// What Weir adds to what a server has and a client takes.
fn terms(route: &Route) -> Terms {
    Terms {
        listener: protection(route.client_tls.is_some()),
        upstream: protection(route.upstream.tls.is_some()),
        local_files: if route.local_infile { LocalFiles::Offered } else { LocalFiles::Withheld },
        withheld: route.withheld,
    }
}

/// What a client calls itself.
fn application(attributes: Option<&Attributes>) -> String {
    let attribute = |name| attributes.and_then(|attributes| attributes.named(name));
    attribute("program_name").or_else(|| attribute("_client_name")).unwrap_or_default()
}

/// The client's COM_CHANGE_USER, or whatever else its leg begins with.
async fn command_of(client: &mut Leg) -> Result<Vec<u8>, End> {
    let read =
        client.read_until(LOGIN_BYTES_MAX, |bytes| match Packet::scan(bytes, LOGIN_BYTES_MAX, WireSide::Client) {
            Ok(Scan::More(_)) => None,
            Ok(Scan::Whole(packet)) => Some((packet.frame_len, Ok(packet.payload().into_owned()))),
            Err(error) => Some((0, Err(error))),
        });
    read.await.map_err(|_| End::ClientGone)?.map_err(End::Broken)
}

/// Settings that an OK reports.
fn settings_of(ok: &OkPacket<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let settings = ok.known_changes().filter_map(|change| match change {
        Change::Variable { name, value } => Some((text(name), text(value))),
        Change::Schema(name) => Some(("database".to_owned(), text(name))),
        _ => None,
    });
    settings.collect()
}

/// A step of the exchange that owes nothing to the bytes it came from.
enum Seen {
    Next,
    NeedsKey,
    Decrypt(Vec<u8>),
    Encrypt(Vec<u8>, Secret),
    Authenticated { settings: Vec<(String, String)>, packet: Vec<u8> },
    Failed(String),
    Refused(Refusal),
}

fn seen(step: Result<AuthStep<'_>, WireError>) -> Option<(usize, Result<Seen, WireError>)> {
    let (len, seen) = match step {
        Err(error) => return Some((0, Err(error))),
        Ok(AuthStep::More(_)) => return None,
        Ok(AuthStep::Next(len)) => (len, Seen::Next),
        Ok(AuthStep::NeedsKey(len)) => (len, Seen::NeedsKey),
        Ok(AuthStep::Decrypt { len, ciphertext }) => (len, Seen::Decrypt(ciphertext)),
        Ok(AuthStep::Encrypt { len, public_key, plaintext }) => (len, Seen::Encrypt(public_key, plaintext)),
        Ok(AuthStep::Authenticated { len, ok, packet }) => {
            (len, Seen::Authenticated { settings: settings_of(&ok), packet })
        }
        Ok(AuthStep::Failed { len, sqlstate, .. }) => (len, Seen::Failed(sqlstate)),
        Ok(AuthStep::Refused(refusal)) => (0, Seen::Refused(refusal)),
    };
    Some((len, Ok(seen)))
}

/// The server's greeting. An error in its place is the client's to read.
async fn greeting(route: &Route, client: &mut Leg, upstream: &mut Leg) -> Result<Greeting, End> {
    let read = upstream.read_until(GREETING_BYTES_MAX, |bytes| {
        match Packet::scan(bytes, GREETING_BYTES_MAX, WireSide::Upstream) {
            Ok(Scan::More(_)) => None,
            Ok(Scan::Whole(packet)) => {
                Some((packet.frame_len, Ok((packet.raw().to_vec(), packet.payload().into_owned()))))
            }
            Err(error) => Some((0, Err(error))),
        }
    });
    let (raw, payload) = read.await.map_err(|error| unreachable(route, &error))?.map_err(End::Broken)?;
    if payload.first() == Some(&ERR) {
        tracing::warn!(upstream = %route.upstream.name, "the server refuses connections from weir");
        client.queue(&raw);
        let _ = client.drain().await;
        let (account, database) = (String::new(), String::new());
        let sqlstate = "08004".to_owned();
        return Err(End::LoginFailed { account, database, sqlstate, method: "relayed", refusal: None });
    }
    Greeting::read(&payload).map_err(End::Broken)
}

/// Puts TLS on the client's leg. A client goes on without waiting, so its hello may be here already; whatever else is, is
/// not read.
async fn upgrade(client: &mut Leg, tls: &ClientTls) -> Result<(), End> {
    let hello = client.take_kept();
    if hello.first().is_some_and(|byte| *byte != TLS_HANDSHAKE_BYTE) {
        return Err(End::Refused(Refusal::new("08P01", "bytes arrived before TLS was set up", "begin TLS at once")));
    }
    let Some(Stream::Plain(socket)) = client.take_stream() else { return Err(End::ClientGone) };
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let stream = acceptor.accept(Replayed::new(hello, socket)).await.map_err(|error| no_handshake(&error))?;
    *client = Leg::new(Stream::Direct(Box::new(stream)));
    Ok(())
}

/// Puts TLS on the server's leg, behind the request for it.
async fn encrypted(mut upstream: Leg, tls: &UpstreamTls, greeting: &Greeting) -> io::Result<Leg> {
    if !greeting.capabilities.has(Capabilities::SSL) {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the upstream does not offer TLS (set tls = \"off\" only on a trusted host)",
        ));
    }
    upstream.drain().await?;
    let held = upstream.take_held();
    let Some(Stream::Plain(socket)) = upstream.take_stream() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the upstream sent bytes before TLS was set up"));
    };
    let stream = TlsConnector::from(Arc::clone(&tls.config)).connect(tls.server_name.clone(), socket).await?;
    Ok(Leg::new(Stream::Upstream(Box::new(stream))).held(held))
}

/// Weir's own key, made when the first client needs it: beside the reactor, since that takes a while.
async fn process_key() -> Result<&'static rsa::OwnKey, End> {
    let made = tokio::task::spawn_blocking(rsa::own_key).await;
    made.ok()
        .flatten()
        .ok_or_else(|| End::Refused(Refusal::new("58000", "weir has no key for passwords", "connect to weir with TLS")))
}

fn protection(tls: bool) -> Protection {
    if tls { Protection::Tls } else { Protection::Plain }
}
