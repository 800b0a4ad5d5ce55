//! The form of a recorded MySQL conversation: a byte that says what was agreed on, then packets of both sides.
//!
//! Each item is a direction (`>` from the client, `<` from the upstream) and a packet: length, number, payload. Any bytes
//! are a conversation: another direction counts as one of the two, and a packet whose length goes beyond the input takes
//! the rest, so that impossible lengths reach the engine as they are.

use weir_wire::WireSide;
use weir_wire::mysql::Facts;
use weir_wire::mysql::capability::Capabilities;
use weir_wire::mysql::packet::{put_lenenc_bytes, put_packet};

use crate::conversation::{CLIENT, SIDE_BIT, Turn, UPSTREAM};

/// OK in place of EOF.
pub const DEPRECATE_EOF: u8 = 1;
/// The server is a MariaDB.
pub const MARIADB: u8 = 2;
/// Values with names stand before a text.
pub const ATTRIBUTES: u8 = 4;
/// Changes of the session are reported.
pub const TRACK: u8 = 8;
/// MariaDB: progress reports, and more about each column.
pub const MORE: u8 = 16;

/// What both legs have agreed on.
pub fn facts(byte: u8) -> Facts {
    let mut capabilities = Capabilities::PROTOCOL_41;
    for (bit, capability) in [
        (DEPRECATE_EOF, Capabilities::DEPRECATE_EOF),
        (ATTRIBUTES, Capabilities::QUERY_ATTRIBUTES),
        (TRACK, Capabilities::SESSION_TRACK),
        (MORE, Capabilities::PROGRESS.with(Capabilities::EXTENDED_METADATA)),
    ] {
        if byte & bit != 0 {
            capabilities = capabilities.with(capability);
        }
    }
    Facts { capabilities, mariadb: byte & MARIADB != 0 }
}

/// Reads a conversation; neighbouring items of one side are one turn.
pub fn turns(input: &[u8]) -> Vec<Turn> {
    let mut rest = input.get(1..).unwrap_or_default();
    let mut turns: Vec<Turn> = Vec::new();
    while let Some((direction, after)) = rest.split_first() {
        let side = if direction & SIDE_BIT == CLIENT & SIDE_BIT { WireSide::Client } else { WireSide::Upstream };
        let (packet, after) = after.split_at(packet_len(after));
        match turns.last_mut() {
            Some(turn) if turn.side == side => turn.bytes.extend_from_slice(packet),
            _ => turns.push(Turn { side, bytes: packet.to_vec() }),
        }
        rest = after;
    }
    turns
}

/// Bytes of the packet at the start, at most all that there are.
pub fn packet_len(input: &[u8]) -> usize {
    let len = match input {
        [low, middle, high, ..] => {
            (usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16).saturating_add(4)
        }
        _ => input.len(),
    };
    len.min(input.len())
}

/// Writes a conversation.
#[derive(Debug)]
pub struct Script {
    bytes: Vec<u8>,
    /// Number of the upstream's next packet.
    seq: u8,
}

impl Script {
    /// An empty one under these terms.
    pub fn new(terms: u8) -> Script {
        Script { bytes: vec![terms], seq: 1 }
    }

    /// A command of the client.
    #[must_use]
    pub fn command(self, code: u8, body: &[u8]) -> Script {
        self.client(0, &[&[code], body].concat())
    }

    /// A packet of the client.
    #[must_use]
    pub fn client(mut self, seq: u8, payload: &[u8]) -> Script {
        self.bytes.push(CLIENT);
        self.seq = put_packet(&mut self.bytes, seq, payload);
        self
    }

    /// A packet of the upstream, the next of its reply.
    #[must_use]
    pub fn upstream(mut self, payload: &[u8]) -> Script {
        self.bytes.push(UPSTREAM);
        self.seq = put_packet(&mut self.bytes, self.seq, payload);
        self
    }

    /// Bytes of the upstream that need not be a packet.
    #[must_use]
    pub fn upstream_raw(mut self, bytes: &[u8]) -> Script {
        self.bytes.push(UPSTREAM);
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// The upstream begins another reply.
    #[must_use]
    pub fn again(mut self) -> Script {
        self.seq = 1;
        self
    }

    /// A text.
    #[must_use]
    pub fn query(self, text: &str) -> Script {
        let attributes = !self.has(MARIADB) && self.has(ATTRIBUTES);
        let head: &[u8] = if attributes { &[0, 1] } else { &[] };
        self.command(0x03, &[head, text.as_bytes()].concat())
    }

    /// A text to prepare.
    #[must_use]
    pub fn prepare(self, text: &str) -> Script {
        self.command(0x16, text.as_bytes())
    }

    /// Runs a prepared statement.
    #[must_use]
    pub fn execute(self, id: u32, flags: u8, parameters: &[u8]) -> Script {
        self.command(0x17, &[&id.to_le_bytes()[..], &[flags, 1, 0, 0, 0], parameters].concat())
    }

    /// Fetches from a cursor.
    #[must_use]
    pub fn fetch(self, id: u32, rows: u32) -> Script {
        self.command(0x1C, &[id.to_le_bytes(), rows.to_le_bytes()].concat())
    }

    /// OK.
    #[must_use]
    pub fn ok(self, status: u16) -> Script {
        let [low, high] = status.to_le_bytes();
        self.upstream(&[0, 1, 0, low, high, 0, 0])
    }

    /// What ends rows.
    #[must_use]
    pub fn end(self, status: u16) -> Script {
        let [low, high] = status.to_le_bytes();
        let tail: &[u8] = if self.has(DEPRECATE_EOF) { &[0, 0, low, high, 0, 0] } else { &[0, 0, low, high] };
        self.upstream(&[&[0xFE], tail].concat())
    }

    /// An error of the server.
    #[must_use]
    pub fn error(self, errno: u16) -> Script {
        let [low, high] = errno.to_le_bytes();
        self.upstream(&[&[0xFF, low, high, b'#'], b"42000no".as_slice()].concat())
    }

    /// The definition of an integer column.
    #[must_use]
    pub fn column(self) -> Script {
        let mut payload = Vec::new();
        for name in ["def", "shop", "c", "customers", "id", "id"] {
            put_lenenc_bytes(&mut payload, name.as_bytes());
        }
        if self.has(MARIADB) && self.has(MORE) {
            payload.push(0);
        }
        payload.extend_from_slice(&[12, 45, 0, 11, 0, 0, 0, 8, 0, 0, 0, 0, 0]);
        self.upstream(&payload)
    }

    /// A result of one column, up to its rows.
    #[must_use]
    pub fn described(self, status: u16) -> Script {
        let script = self.upstream(&[1]).column();
        if script.has(DEPRECATE_EOF) { script } else { script.end(status) }
    }

    /// So many rows of text.
    #[must_use]
    pub fn rows(self, count: usize) -> Script {
        (0..count).fold(self, |script, _| script.upstream(b"\x0242"))
    }

    /// So many binary rows.
    #[must_use]
    pub fn binary_rows(self, count: usize) -> Script {
        (0..count).fold(self, |script, _| script.upstream(b"\0\0\x2a\0\0\0\0\0\0\0"))
    }

    /// The answer to a preparation.
    #[must_use]
    pub fn prepared(self, id: u32, parameters: u8, columns: u8) -> Script {
        let head = [&[0][..], &id.to_le_bytes(), &[columns, 0, parameters, 0, 0, 0, 0]].concat();
        [parameters, columns].into_iter().fold(self.upstream(&head), |script, count| {
            let script = (0..count).fold(script, |script, _| script.column());
            if count == 0 || script.has(DEPRECATE_EOF) { script } else { script.end(2) }
        })
    }

    /// The conversation.
    pub fn done(self) -> Vec<u8> {
        self.bytes
    }

    /// Only what the client says, as the bytes of its stream behind the terms.
    pub fn client_bytes(self) -> Vec<u8> {
        let said = turns(&self.bytes).into_iter().filter(|turn| turn.side == WireSide::Client);
        self.bytes[..1].iter().copied().chain(said.flat_map(|turn| turn.bytes)).collect()
    }

    fn has(&self, term: u8) -> bool {
        self.bytes[0] & term != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_conversation_and_no_byte_is_lost() {
        let script = Script::new(DEPRECATE_EOF).query("select 1").described(2).rows(2).end(2).command(1, b"").done();
        let read = turns(&script);
        assert_eq!(
            read.iter().map(|turn| turn.side).collect::<Vec<_>>(),
            [WireSide::Client, WireSide::Upstream, WireSide::Client]
        );
        let bytes: usize = read.iter().map(|turn| turn.bytes.len()).sum();
        assert_eq!(bytes, script.len() - 8, "terms, and seven items with a direction each");
        assert_eq!(turns(b"\x01>\xff\xff\xff\0abc<Z")[0].bytes, b"\xff\xff\xff\0abc<Z");
        assert!(turns(b"").is_empty() && turns(b"\x01").is_empty());
    }
}
