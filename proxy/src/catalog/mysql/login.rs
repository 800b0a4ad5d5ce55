//! The login of Weir's own account.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//!
//! What must never happen here: the password in clear over a leg that is not verified; or encrypted with a key that
//! came over the network unverified, which is no better against somebody who answers in the server's place.
//!
//! In this order: the greeting; TLS, where it is configured; the answer with a proof for the plugin that the greeting
//! names; then whatever the server asks further, at most [`ROUNDS_MAX`] times.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use weir_wire::mysql::error::{EOF, OK};
use weir_wire::mysql::greeting::{Greeting, PLUGIN_DEFAULT};
use weir_wire::mysql::handshake::{Attributes, Capabilities, HandshakeResponse, Secret};
use weir_wire::mysql::packet::{Fields, put_lenenc_bytes};

use super::channel::{Channel, Failure, refused};
use super::password::{CHALLENGE_LEN, caching_sha2, native, wrapped};
use crate::catalog::account::{Account, Leg, words};
use crate::route::UpstreamTls;
use crate::rsa;

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
/// More packets of a server than any login has: a switch of plugins, a request, a key, an end.
const ROUNDS_MAX: usize = 8;

const NATIVE: &str = PLUGIN_DEFAULT;
const CACHING_SHA2: &str = "caching_sha2_password";
const CLEAR: &str = "mysql_clear_password";

/// First byte of a packet with more about an authentication.
const MORE: u8 = 0x01;
/// caching_sha2_password: the server knew the proof.
const FAST_IS_ENOUGH: &[u8] = &[0x03];
/// caching_sha2_password: the server needs the password itself.
const FULL_IS_NEEDED: &[u8] = &[0x04];
/// caching_sha2_password: asks for the server's public key.
const PUBLIC_KEY_REQUEST: &[u8] = &[0x02];

/// Who logs in, and what is known of the other end.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: Secret,
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
    if !greeting.capabilities.has(REQUIRED) {
        return Err(format!("`{at}` speaks a protocol older than MySQL 5.7"));
    }
    let plugin = match str_of(&greeting.plugin) {
        CACHING_SHA2 => CACHING_SHA2,
        // Where it is another one, the server says what it wants instead.
        _ => NATIVE,
    };
    let mut login = Login { user: account.user(), password, leg: Leg::Open, is_local };
    let agreed = CAPABILITIES.both(greeting.capabilities);
    let response = HandshakeResponse {
        len: 0,
        capabilities: agreed,
        packet_bytes_max: PACKET_BYTES_MAX,
        collation: COLLATION,
        user: account.user().to_owned(),
        auth_response: Secret::new(login.proof(plugin, challenge(&greeting.nonce))?),
        database: None,
        plugin: Some(plugin.to_owned()),
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
        login.leg = Leg::Verified;
    }
    let answer = response.rebuild(agreed).map_err(|refusal| refusal.message)?;
    channel.send(&answer).await?;
    login
        .converse(&mut channel, plugin, &greeting.nonce)
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

impl Login<'_> {
    /// Answers what the server asks until it says yes or no.
    pub(super) async fn converse(&self, channel: &mut Channel, first: &str, nonce: &[u8]) -> Result<(), Failure> {
        let mut plugin = first.to_owned();
        let mut nonce = nonce.to_vec();
        let mut awaits_key = false;
        for _ in 0..ROUNDS_MAX {
            let payload = channel.receive().await?.into_owned();
            if let Some(failure) = refused(&payload) {
                return Err(failure);
            }
            let answer = match payload.split_first() {
                Some((&OK, _)) => return Ok(()),
                Some((&EOF, [])) => return Err(self.unknown("mysql_old_password")),
                Some((&EOF, switch)) => {
                    let mut fields = Fields::new(switch);
                    plugin = words(str_of(fields.cstr_or_rest()));
                    let data = fields.take_rest();
                    nonce = data.strip_suffix(&[0]).unwrap_or(data).to_vec();
                    awaits_key = false;
                    Some(self.proof(&plugin, challenge(&nonce)).map_err(Failure::Broken)?)
                }
                Some((&MORE, FAST_IS_ENOUGH)) if plugin == CACHING_SHA2 => None,
                Some((&MORE, FULL_IS_NEEDED)) if plugin == CACHING_SHA2 => match self.leg {
                    Leg::Verified => Some(self.in_clear()),
                    Leg::Open if self.is_local => {
                        awaits_key = true;
                        Some(PUBLIC_KEY_REQUEST.to_vec())
                    }
                    Leg::Open => {
                        return Err(Failure::broken(
                            "the server wants the password itself, which weir gives to no server without verified TLS: \
                             set tls = \"verify-full\" for this upstream",
                        ));
                    }
                },
                Some((&MORE, key)) if std::mem::take(&mut awaits_key) => {
                    let wrapped = Secret::new(wrapped(self.password.bytes(), challenge(&nonce)));
                    Some(rsa::encrypt(key, wrapped.bytes()).map_err(Failure::Broken)?)
                }
                _ => return Err(Failure::broken("the server's authentication cannot be followed")),
            };
            if let Some(answer) = answer {
                let answer = Secret::new(answer);
                channel.send(answer.bytes()).await?;
            }
        }
        Err(Failure::broken("the server's authentication does not end"))
    }

    /// What a plugin is answered first.
    fn proof(&self, plugin: &str, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let password = self.password.bytes();
        if matches!(plugin, NATIVE | CACHING_SHA2) && challenge.len() < CHALLENGE_LEN {
            return Err("the server's challenge is too short".to_owned());
        }
        match plugin {
            NATIVE => Ok(native(password, challenge)),
            CACHING_SHA2 => Ok(caching_sha2(password, challenge)),
            CLEAR if self.leg == Leg::Verified => Ok(self.in_clear()),
            CLEAR => Err("the server wants the password in clear, which weir does not send without verified TLS: set \
                          tls = \"verify-full\" for this upstream, or give the account another plugin"
                .to_owned()),
            other => Err(self.unknown(other).into()),
        }
    }

    fn in_clear(&self) -> Vec<u8> {
        [self.password.bytes(), &[0]].concat()
    }

    fn unknown(&self, plugin: &str) -> Failure {
        Failure::broken(format!(
            "the account's plugin is `{plugin}`, which weir's own login does not speak: give `{}` {CACHING_SHA2} or {NATIVE}",
            self.user
        ))
    }
}

/// The part of a nonce that counts.
fn challenge(nonce: &[u8]) -> &[u8] {
    nonce.get(..CHALLENGE_LEN).unwrap_or(nonce)
}

fn str_of(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// What an administrator sees of the session.
fn attributes(application: &str) -> Attributes {
    let mut block = Vec::new();
    put_lenenc_bytes(&mut block, b"program_name");
    put_lenenc_bytes(&mut block, application.as_bytes());
    Attributes::read(&block).unwrap_or_default()
}
