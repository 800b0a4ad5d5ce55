//! The first packets: what a server says of itself, and what a client answers.

use crate::fixture::PASSWORD;
use crate::mysql::packets::{Cursor, capability};

/// The server's first packet.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// Its version, as it says.
    pub version: String,
    /// The number of the connection.
    pub connection: u32,
    /// What is to be scrambled.
    pub nonce: Vec<u8>,
    /// Capabilities that it offers.
    pub capabilities: u32,
    /// MariaDB's capabilities beyond the 32 common ones.
    pub mariadb_capabilities: u32,
    /// The plugin of its choice.
    pub plugin: String,
}

impl Greeting {
    /// Reads a handshake packet of version 10.
    pub fn read(payload: &[u8]) -> Option<Greeting> {
        let mut cursor = Cursor(payload);
        (cursor.u8()? == 10).then_some(())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let version = text(cursor.cstring()?);
        let connection = cursor.u32()?;
        let mut nonce = cursor.bytes(8)?.to_vec();
        cursor.u8()?;
        let low = u32::from(cursor.u16()?);
        let (_charset, _status) = (cursor.u8()?, cursor.u16()?);
        let capabilities = low | u32::from(cursor.u16()?) << 16;
        let length = usize::from(cursor.u8()?);
        cursor.bytes(6)?;
        let mariadb_capabilities = cursor.u32()?;
        nonce.extend_from_slice(cursor.bytes(length.saturating_sub(8).max(13))?);
        // The last byte is a zero that ends it.
        nonce.truncate(20);
        let plugin = cursor.cstring().map(text).unwrap_or_default();
        Some(Greeting { version, connection, nonce, capabilities, mariadb_capabilities, plugin })
    }
}

/// What a client says of itself when it logs in.
#[derive(Clone, Debug)]
pub struct Login<'a> {
    /// Account.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
    /// Database to begin in; none when empty.
    pub database: &'a str,
    /// Capabilities that are asked for.
    pub capabilities: u32,
    /// Number of the collation to begin with.
    pub charset: u8,
}

impl<'a> Login<'a> {
    /// As most tests log in.
    pub fn new(user: &'a str, database: &'a str) -> Login<'a> {
        Login { user, password: PASSWORD, database, capabilities: capability::USUAL, charset: CHARSET }
    }

    /// With these capabilities besides.
    #[must_use]
    pub fn and(mut self, capabilities: u32) -> Login<'a> {
        self.capabilities |= capabilities;
        self
    }

    /// With this password.
    #[must_use]
    pub fn password(mut self, password: &'a str) -> Login<'a> {
        self.password = password;
        self
    }
}

/// utf8mb4_general_ci, which every server knows.
pub(super) const CHARSET: u8 = 45;

/// The fixed head of a handshake response, which is also what asks for TLS.
pub fn response_head(capabilities: u32, charset: u8) -> Vec<u8> {
    let mut body = capabilities.to_le_bytes().to_vec();
    body.extend_from_slice(&16_777_216_u32.to_le_bytes());
    body.push(charset);
    body.extend_from_slice(&[0; 23]);
    body
}
