//! The client's side of a login: the request for TLS, and the answer to the greeting.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_response.html>
//! <https://mariadb.com/kb/en/connection/#client-handshake-response>
//!
//! INVARIANT: a session has exactly one answer, and what goes upstream is rebuilt from its parsed fields. What Weir did
//! not read (reserved bytes, a compression level, whatever follows the last field) does not reach the server.

use super::account::{self};
pub use super::account::{Attributes, Secret};
use super::capability::too_old;
pub use super::capability::{Capabilities, LocalFiles, Protection, Terms};
pub use super::greeting::{Flavour, Greeting};
use super::packet::{Fields, HEADER_LEN, Header, put_lenenc_bytes};
use crate::refusal::Refusal;

/// Longest packet of a login in bytes: the attributes at their most, names, and a token of an identity provider.
pub const LOGIN_BYTES_MAX: usize = 2 * account::ATTRIBUTES_BYTES_MAX;

/// Capabilities, packet size, collation and filler: the whole of a request for TLS.
const FIXED_LEN: usize = 32;
/// First byte of a TLS record of type handshake.
pub const TLS_HANDSHAKE_BYTE: u8 = 0x16;

/// What the client's first packet is.
#[derive(Debug, PartialEq, Eq)]
pub enum First {
    /// Not whole yet: the length in bytes that is needed, 0 while not even that is known.
    More(usize),
    /// A request for TLS. Nothing else may be buffered; the answer to the greeting follows under TLS.
    Tls {
        /// Bytes of the packet.
        len: usize,
    },
    /// The answer to the greeting.
    Response(Box<HandshakeResponse>),
}

/// The answer to the greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandshakeResponse {
    /// Bytes of the packet, with its header.
    pub len: usize,
    /// What the client asks for; see [`Capabilities::agreed`].
    pub capabilities: Capabilities,
    /// Longest packet that the client takes, in bytes.
    pub packet_bytes_max: u32,
    /// Collation of the connection; see [`character_set`](super::charset::character_set).
    pub collation: u8,
    /// Account to log in as.
    pub user: String,
    /// First data of the authentication.
    pub auth_response: Secret,
    /// Default database.
    pub database: Option<String>,
    /// The plugin that made `auth_response`, where the client names one.
    pub plugin: Option<String>,
    /// Connection attributes.
    pub attributes: Attributes,
}

/// Reads the client's next packet of the login. `seq` is the sequence id that it must have: 1 after the greeting, 2
/// after a request for TLS. `protection` is that of the client's leg now.
///
/// # Errors
/// A refusal for the client: what it is told in an ERR packet, after which the connection ends.
pub fn read_first(input: &[u8], seq: u8, protection: Protection, flavour: Flavour) -> Result<First, Refusal> {
    let header = match Header::read(input, LOGIN_BYTES_MAX) {
        Ok(Some(header)) => header,
        Ok(None) => return Ok(First::More(0)),
        Err(_) => return Err(malformed("the login is longer than any login")),
    };
    if header.seq != seq {
        return Err(malformed("the login's packet has a wrong sequence number"));
    }
    let Some(payload) = input.get(HEADER_LEN..header.frame_len) else { return Ok(First::More(header.frame_len)) };
    let mut fields = Fields::new(payload);
    // The old form of the answer has 16 bits of capabilities and then goes on otherwise.
    let low = fields.u16().ok_or_else(|| malformed("the login is cut short"))?;
    let mut capabilities = Capabilities::from_bits(u64::from(low));
    if !capabilities.has(Capabilities::PROTOCOL_41) {
        return Err(too_old());
    }
    let high = fields.u16().ok_or_else(|| malformed("the login is cut short"))?;
    capabilities = capabilities.with(Capabilities::from_bits(u64::from(high) << 16));
    if capabilities.has(Capabilities::SSL) && protection == Protection::Plain {
        if payload.len() != FIXED_LEN {
            // A server would upgrade and read a second answer; Weir takes no name that came unprotected.
            return Err(malformed("the request for TLS has a wrong length"));
        }
        return Ok(First::Tls { len: header.frame_len });
    }
    let mut response = read_response(capabilities, fields, flavour)?;
    response.len = header.frame_len;
    Ok(First::Response(Box::new(response)))
}

fn read_response(
    capabilities: Capabilities,
    mut fields: Fields<'_>,
    flavour: Flavour,
) -> Result<HandshakeResponse, Refusal> {
    let short = || malformed("the login is cut short");
    let has = |capability| capabilities.has(capability);
    if !has(Capabilities::SECURE_CONNECTION) {
        return Err(too_old());
    }
    let packet_bytes_max = fields.u32().ok_or_else(short)?;
    let collation = fields.u8().ok_or_else(short)?;
    fields.bytes(19).ok_or_else(short)?;
    let extended = fields.u32().ok_or_else(short)?;
    // Only a client that leaves the bit out speaks MariaDB's; to others these bytes are filler.
    let mut all = capabilities;
    if !has(Capabilities::LONG_PASSWORD) {
        all = all.with(Capabilities::from_bits(u64::from(extended) << 32));
    }
    let charset = u16::from(collation);
    let user = account::user(fields.cstr().ok_or_else(short)?, charset, flavour)?;
    let auth_response = if has(Capabilities::PLUGIN_AUTH_LENENC) {
        fields.lenenc_bytes()
    } else {
        fields.u8().and_then(|len| fields.bytes(usize::from(len)))
    };
    let auth_response = Secret::new(auth_response.ok_or_else(short)?.to_vec());
    let mut database = None;
    if has(Capabilities::CONNECT_WITH_DB) {
        // MariaDB's own client leaves the NUL out where nothing follows.
        database = account::database(fields.cstr_or_rest(), charset, flavour)?;
    }
    let mut plugin = None;
    if has(Capabilities::PLUGIN_AUTH) {
        plugin = Some(account::plugin(fields.cstr_or_rest())?);
    }
    let mut attributes = Attributes::default();
    if has(Capabilities::CONNECT_ATTRS) && !fields.is_done() {
        let block = fields.lenenc_bytes().ok_or_else(short)?;
        attributes = Attributes::read(block).ok_or_else(|| malformed("the login's connection attributes"))?;
    }
    Ok(HandshakeResponse {
        len: 0,
        capabilities: all,
        packet_bytes_max,
        collation,
        user,
        auth_response,
        database,
        plugin,
        attributes,
    })
}

impl HandshakeResponse {
    /// The payload for the upstream, rebuilt under what was agreed.
    ///
    /// # Errors
    /// What the agreed capabilities have no place for: long authentication data, a database.
    pub fn rebuild(&self, agreed: Capabilities) -> Result<Vec<u8>, Refusal> {
        self.rebuild_with(agreed, self.auth_response.bytes())
    }

    /// Like [`HandshakeResponse::rebuild`], with other first data of the authentication.
    ///
    /// # Errors
    /// What the agreed capabilities have no place for: long authentication data, a database.
    pub fn rebuild_with(&self, agreed: Capabilities, auth_response: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut payload = self.fixed(agreed);
        payload.extend_from_slice(self.user.as_bytes());
        payload.push(0);
        if agreed.has(Capabilities::PLUGIN_AUTH_LENENC) {
            put_lenenc_bytes(&mut payload, auth_response);
        } else {
            let len = u8::try_from(auth_response.len())
                .map_err(|_| malformed("the login's authentication data is longer than 255 bytes"))?;
            payload.push(len);
            payload.extend_from_slice(auth_response);
        }
        if let Some(database) = &self.database {
            if !agreed.has(Capabilities::CONNECT_WITH_DB) {
                // Left out in silence, names would mean something else than the client believes.
                return Err(malformed("the login names a database although that was not offered"));
            }
            payload.extend_from_slice(database.as_bytes());
            payload.push(0);
        }
        if agreed.has(Capabilities::PLUGIN_AUTH) {
            payload.extend_from_slice(self.plugin.as_deref().unwrap_or_default().as_bytes());
            payload.push(0);
        }
        if agreed.has(Capabilities::CONNECT_ATTRS) {
            put_lenenc_bytes(&mut payload, self.attributes.raw());
        }
        Ok(payload)
    }

    /// The payload of a request for TLS towards the upstream, to be sent before the rebuilt answer.
    pub fn tls_request(&self, agreed: Capabilities) -> Vec<u8> {
        self.fixed(agreed.with(Capabilities::SSL))
    }

    fn fixed(&self, agreed: Capabilities) -> Vec<u8> {
        let agreed = match self.database {
            Some(_) => agreed,
            None => agreed.without(Capabilities::CONNECT_WITH_DB),
        };
        let mut payload = agreed.basic().to_le_bytes().to_vec();
        payload.extend_from_slice(&self.packet_bytes_max.to_le_bytes());
        payload.push(self.collation);
        payload.extend_from_slice(&[0; 19]);
        payload.extend_from_slice(&agreed.extended().to_le_bytes());
        payload
    }
}

pub(super) fn malformed(what: &str) -> Refusal {
    Refusal::new("08P01", what, "check that the client speaks the protocol of MySQL 4.1 and later")
}
