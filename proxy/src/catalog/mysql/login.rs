//! The login of Weir's own account.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//!
//! What must never happen here: the password in clear over a leg that is not verified; or encrypted with a key that
//! came over the network unverified, which is no better against somebody who answers in the server's place.
//!
//! In this order: the greeting; TLS, where it is configured; the answer with a proof for the plugin that the greeting
//! names; then whatever the server asks further ([`Conversation`]).

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use weir_wire::mysql::door::Plugin;
use weir_wire::mysql::greeting::Greeting;
use weir_wire::mysql::handshake::{Attributes, Capabilities, HandshakeResponse, Secret};
use weir_wire::mysql::packet::put_lenenc_bytes;
use weir_wire::refusal::WireError;

use super::channel::{Channel, Failure, refused};
use crate::catalog::account::{Account, Leg, words};
use crate::mysql::login::{Conversation, Packets, Progress, Trouble, Trust};
use crate::mysql::verifier::Proven;
use crate::route::UpstreamTls;

/// What Weir's own session speaks. Not in it, so that a server has no right to it: files of this machine
/// (LOCAL_FILES), several results, compression.
pub(super) const CAPABILITIES: Capabilities = Capabilities::PROTOCOL_41
    .with(Capabilities::LONG_PASSWORD)
    .with(Capabilities::TRANSACTIONS)
    .with(Capabilities::SECURE_CONNECTION)
    .with(Capabilities::PLUGIN_AUTH)
    .with(Capabilities::PLUGIN_AUTH_LENENC)
    .with(Capabilities::CONNECT_ATTRS);
/// Without these there is no login that Weir knows.
const REQUIRED: Capabilities =
    Capabilities::PROTOCOL_41.with(Capabilities::SECURE_CONNECTION).with(Capabilities::PLUGIN_AUTH);
/// utf8mb4_general_ci, which both servers have had since there is utf8mb4.
const COLLATION: u8 = 45;
/// Longest packet that is announced as welcome, bytes.
const PACKET_BYTES_MAX: u32 = 16 * 1024 * 1024;
/// Who logs in, and what is known of the other end.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) proven: Proven,
    pub(super) leg: Leg,
    /// The other end is on this machine: nobody stands between.
    pub(super) is_local: bool,
}

/// Logs in over a new socket; the greeting is as the server sent it, before TLS.
pub(super) async fn log_in(account: &Account, socket: TcpStream) -> Result<(Channel, Greeting), String> {
    let at = &account.address;
    let is_local = socket.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
    let password = Secret::new(account.password()?.map_or_else(Vec::new, |password| password.as_bytes().to_vec()));
    let mut channel = Channel::new(socket);
    let greeting = {
        let payload = channel.receive().await.map_err(|failure| format!("`{at}`: {}", String::from(failure)))?;
        if let Some(failure) = refused(&payload) {
            return Err(format!("`{at}` declines: {}", String::from(failure)));
        }
        Greeting::read(&payload).map_err(|error| format!("`{at}` does not speak MySQL's protocol: {error}"))?
    };
    account.greeted(&greeting);
    if !greeting.capabilities.has(REQUIRED) {
        return Err(format!("`{at}` speaks a protocol older than MySQL 5.7"));
    }
    let leg = if account.tls.is_some() { Leg::Verified } else { Leg::Open };
    let login = Login { user: account.user(), proven: Proven::Password(password), leg, is_local };
    let mut talk = Conversation::begin(&greeting, login.trust());
    let (plugin, auth_response) = talk.first(&login.proven)?;
    let agreed = CAPABILITIES.both(greeting.capabilities);
    let response = HandshakeResponse {
        len: 0,
        capabilities: agreed,
        packet_bytes_max: PACKET_BYTES_MAX,
        collation: COLLATION,
        user: account.user().to_owned(),
        auth_response,
        database: None,
        plugin: Some(plugin.name().to_owned()),
        attributes: attributes(account.application),
    };
    let mut agreed = agreed;
    if let Some(tls) = &account.tls {
        if !greeting.capabilities.has(Capabilities::SSL) {
            return Err(format!("`{at}` declines TLS; set tls = \"off\" for this upstream if that is meant"));
        }
        agreed = agreed.with(Capabilities::SSL);
        channel.send(&response.tls_request(agreed)).await?;
        channel = encrypt(channel, tls, at).await?;
    }
    let answer = response.rebuild(agreed).map_err(|refusal| refusal.message)?;
    channel.send(&answer).await?;
    login
        .converse(&mut channel, &mut talk)
        .await
        .map_err(|failure| format!("`{}` cannot log in: {}", login.user, String::from(failure)))?;
    channel.open();
    Ok((channel, greeting))
}

async fn encrypt(channel: Channel, tls: &UpstreamTls, at: &str) -> Result<Channel, String> {
    let seq = channel.seq();
    let Some(stream) = channel.into_stream() else {
        return Err(format!("`{at}` goes on in clear after TLS was asked for"));
    };
    let stream = TlsConnector::from(Arc::clone(&tls.config))
        .connect(tls.server_name.clone(), stream)
        .await
        .map_err(|error| format!("TLS with `{at}`: {error}"))?;
    Ok(Channel::resumed(stream, seq))
}

impl Packets for Channel {
    type Error = Failure;

    async fn receive(&mut self) -> Result<Vec<u8>, Failure> {
        Channel::receive(self).await.map(|payload| payload.into_owned())
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), Failure> {
        Channel::send(self, payload).await
    }
}

impl Login<'_> {
    fn trust(&self) -> Trust {
        match self.leg {
            Leg::Verified => Trust::Verified,
            Leg::Open if self.is_local => Trust::Way,
            Leg::Open => Trust::Nobody,
        }
    }

    /// Answers what the server asks until it says yes or no.
    pub(super) async fn converse(&self, channel: &mut Channel, talk: &mut Conversation) -> Result<(), Failure> {
        match talk.go(channel, &self.proven).await {
            Ok(Progress::In(_)) => Ok(()),
            Ok(Progress::Denied { packet, .. }) => {
                Err(refused(&packet).unwrap_or_else(|| Failure::broken("the server sent an error that cannot be read")))
            }
            // The password is known from the start.
            Ok(Progress::NeedsPassword) => Err(Failure::broken("the server's authentication cannot be followed")),
            Err(Trouble::Carrier(failure)) => Err(failure),
            Err(Trouble::Refused(reason)) => Err(Failure::Broken(reason)),
            Err(Trouble::Unknown(plugin)) => Err(self.unknown(&plugin)),
            Err(Trouble::Wire(WireError::TooMany { .. })) => {
                Err(Failure::broken("the server's authentication does not end"))
            }
            Err(Trouble::Wire(WireError::Malformed { what: "ERR packet", .. })) => {
                Err(Failure::broken("the server sent an error that cannot be read"))
            }
            Err(Trouble::Wire(_)) => Err(Failure::broken("the server's authentication cannot be followed")),
        }
    }

    fn unknown(&self, plugin: &str) -> Failure {
        let plugin = words(plugin);
        Failure::broken(format!(
            "the account's plugin is `{plugin}`, which weir's own login does not speak: give `{}` {} or {}",
            self.user,
            Plugin::CachingSha2.name(),
            Plugin::Native.name()
        ))
    }
}

/// What an administrator sees of the session.
fn attributes(application: &str) -> Attributes {
    let mut block = Vec::new();
    put_lenenc_bytes(&mut block, b"program_name");
    put_lenenc_bytes(&mut block, application.as_bytes());
    Attributes::read(&block).unwrap_or_default()
}
