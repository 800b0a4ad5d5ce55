//! The server's greeting (protocol 10), and what is passed on of it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html>
//!
//! Version, connection id, nonce, status and plugin reach the client as the server sent them, so that what the client
//! computes from the nonce holds for the server. Only the capabilities are Weir's.

use super::capability::Capabilities;
use super::packet::Fields;
use crate::refusal::{WireError, WireSide};

/// Length of the nonce that every built-in plugin uses, in bytes.
pub const NONCE_LEN: usize = 20;
/// Longest greeting that is read, in bytes. A version has at most 60 characters, a plugin's name 64.
pub const GREETING_BYTES_MAX: usize = 4096;

/// The plugin that is meant where none is named.
pub const PLUGIN_DEFAULT: &str = "mysql_native_password";
const PROTOCOL_VERSION: u8 = 10;
/// First part of the nonce, in bytes.
const NONCE_HEAD_LEN: usize = 8;
/// The second part has at least so many bytes, its NUL counted.
const NONCE_TAIL_LEN_MIN: usize = 13;
/// What MariaDB before 11 puts before its version, for replicas that cannot read two digits.
const MARIADB_VERSION_PREFIX: &[u8] = b"5.5.5-";

/// Which product a server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// MySQL and its kin.
    MySql,
    /// MariaDB.
    MariaDb,
}

/// A greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The version as sent.
    pub version: Vec<u8>,
    /// Connection id; `KILL` takes it.
    pub thread_id: u32,
    /// What the server has.
    pub capabilities: Capabilities,
    /// Default collation of the server, its lower byte.
    pub collation: u8,
    /// Status flags.
    pub status: u16,
    /// The whole nonce without its NUL.
    pub nonce: Vec<u8>,
    /// The plugin that made the nonce; empty where the server names none.
    pub plugin: Vec<u8>,
}

impl Greeting {
    /// Reads the payload of the server's first packet. One that begins with 0xFF is an ERR packet and not read here.
    ///
    /// # Errors
    /// Another protocol version, or a malformed greeting.
    pub fn read(payload: &[u8]) -> Result<Greeting, WireError> {
        let what = match payload.first() {
            Some(&PROTOCOL_VERSION) => "greeting",
            _ => "greeting of another protocol version than 10",
        };
        let greeting = (payload.first() == Some(&PROTOCOL_VERSION)).then(|| Greeting::fields(payload)).flatten();
        greeting.ok_or(WireError::Malformed { side: WireSide::Upstream, kind: 'G', what })
    }

    fn fields(payload: &[u8]) -> Option<Greeting> {
        let mut fields = Fields::new(payload);
        fields.u8()?;
        let version = fields.cstr()?.to_vec();
        let thread_id = fields.u32()?;
        let mut nonce = fields.bytes(NONCE_HEAD_LEN)?.to_vec();
        fields.u8()?;
        let low = fields.u16()?;
        let collation = fields.u8()?;
        let status = fields.u16()?;
        let high = fields.u16()?;
        let nonce_len = usize::from(fields.u8()?);
        fields.bytes(6)?;
        let extended = fields.u32()?;
        let basic = u64::from(low) | u64::from(high) << 16;
        let mut capabilities = Capabilities::from_bits(basic);
        if !capabilities.has(Capabilities::LONG_PASSWORD) {
            capabilities = Capabilities::from_bits(basic | u64::from(extended) << 32);
        }
        let tail = fields.bytes(NONCE_TAIL_LEN_MIN.max(nonce_len.saturating_sub(NONCE_HEAD_LEN)))?;
        nonce.extend_from_slice(tail.strip_suffix(&[0])?);
        let plugin = if capabilities.has(Capabilities::PLUGIN_AUTH) {
            fields.cstr_or_rest().to_vec()
        } else {
            fields.take_rest();
            Vec::new()
        };
        Some(Greeting { version, thread_id, capabilities, collation, status, nonce, plugin })
    }

    /// The payload for the client, with the capabilities that Weir offers.
    pub fn rebuild(&self, offered: Capabilities) -> Vec<u8> {
        let mut payload = vec![PROTOCOL_VERSION];
        payload.extend_from_slice(&self.version);
        payload.push(0);
        payload.extend_from_slice(&self.thread_id.to_le_bytes());
        let (head, tail) = self.nonce.split_at(self.nonce.len().min(NONCE_HEAD_LEN));
        payload.extend_from_slice(head);
        payload.push(0);
        let [low, middle, high, top] = offered.basic().to_le_bytes();
        payload.extend_from_slice(&[low, middle, self.collation]);
        payload.extend_from_slice(&self.status.to_le_bytes());
        payload.extend_from_slice(&[high, top]);
        // With its NUL; zero where there are no plugins, as the server does, whose nonce then has the one usual length.
        let named = offered.has(Capabilities::PLUGIN_AUTH);
        let told = named || self.nonce.len() != NONCE_LEN;
        payload.push(if told { u8::try_from(self.nonce.len() + 1).unwrap_or(u8::MAX) } else { 0 });
        payload.extend_from_slice(&[0; 6]);
        payload.extend_from_slice(&offered.extended().to_le_bytes());
        payload.extend_from_slice(tail);
        payload.push(0);
        if named {
            payload.extend_from_slice(&self.plugin);
            payload.push(0);
        }
        payload
    }

    /// Which product this is.
    pub fn flavour(&self) -> Flavour {
        let says = |word: &[u8]| self.version.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        if !self.capabilities.has(Capabilities::LONG_PASSWORD) || says(b"mariadb") {
            Flavour::MariaDb
        } else {
            Flavour::MySql
        }
    }

    /// The version as versioned comments count it: 90704 for 9.7.4, 101119 for `5.5.5-10.11.19-MariaDB`. `None` when
    /// it does not begin with three numbers.
    pub fn version_number(&self) -> Option<u32> {
        let mut text = self.version.as_slice();
        if self.flavour() == Flavour::MariaDb {
            text = text.strip_prefix(MARIADB_VERSION_PREFIX).unwrap_or(text);
        }
        let text = std::str::from_utf8(text).ok()?;
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().ok());
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        let known = major < 1000 && minor < 100 && patch < 100;
        // Not `then_some`: it would multiply before it asks.
        known.then(|| major * 10_000 + minor * 100 + patch)
    }
}
