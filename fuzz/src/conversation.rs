//! The form of a recorded conversation: frames of both sides in one stream.
//!
//! Each item is a direction (`>` from the client, `<` from the upstream) and a frame: type, length, body. Any bytes are
//! a conversation: another direction counts as one of the two, and a frame whose length goes beyond the input takes the
//! rest, so that impossible lengths reach the engine as they are.

use weir_wire::WireSide;
use weir_wire::pg::frame::put_frame;

/// Direction byte of the client.
pub const CLIENT: u8 = b'>';
/// Direction byte of the upstream.
pub const UPSTREAM: u8 = b'<';
/// What tells them apart.
pub const SIDE_BIT: u8 = CLIENT ^ UPSTREAM;

/// What one side sends before the other speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Who sends.
    pub side: WireSide,
    /// What.
    pub bytes: Vec<u8>,
}

/// Reads a conversation; neighbouring items of one side are one turn.
pub fn turns(mut input: &[u8]) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    while let Some((direction, rest)) = input.split_first() {
        let side = if direction & SIDE_BIT == CLIENT & SIDE_BIT { WireSide::Client } else { WireSide::Upstream };
        let (frame, rest) = rest.split_at(frame_len(rest));
        match turns.last_mut() {
            Some(turn) if turn.side == side => turn.bytes.extend_from_slice(frame),
            _ => turns.push(Turn { side, bytes: frame.to_vec() }),
        }
        input = rest;
    }
    turns
}

/// Bytes of the frame at the start, at most all that there are.
pub fn frame_len(input: &[u8]) -> usize {
    let length = input.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(i32::from_be_bytes);
    let len = length.and_then(|length| usize::try_from(length).ok()).filter(|len| *len >= 4).map(|len| len + 1);
    len.unwrap_or(input.len()).min(input.len())
}

/// Writes a conversation.
#[derive(Debug, Default)]
pub struct Script(Vec<u8>);

impl Script {
    /// An empty one.
    pub fn new() -> Script {
        Script::default()
    }

    /// A frame of the client.
    #[must_use]
    pub fn client(mut self, kind: u8, body: &[u8]) -> Script {
        self.0.push(CLIENT);
        put_frame(&mut self.0, kind, body);
        self
    }

    /// A frame of the upstream.
    #[must_use]
    pub fn upstream(mut self, kind: u8, body: &[u8]) -> Script {
        self.0.push(UPSTREAM);
        put_frame(&mut self.0, kind, body);
        self
    }

    /// Bytes of the upstream that need not be a frame.
    #[must_use]
    pub fn upstream_raw(mut self, bytes: &[u8]) -> Script {
        self.0.push(UPSTREAM);
        self.0.extend_from_slice(bytes);
        self
    }

    /// A query in the simple protocol.
    #[must_use]
    pub fn query(self, text: &str) -> Script {
        self.client(b'Q', &[text.as_bytes(), &[0]].concat())
    }

    /// Parse, without parameter types.
    #[must_use]
    pub fn parse(self, name: &str, text: &str) -> Script {
        self.client(b'P', &[name.as_bytes(), &[0], text.as_bytes(), &[0, 0, 0]].concat())
    }

    /// Bind, with parameters in text format.
    #[must_use]
    pub fn bind(self, portal: &str, statement: &str, values: &[&str]) -> Script {
        let mut body = [portal.as_bytes(), &[0], statement.as_bytes(), &[0, 0, 0]].concat();
        body.extend_from_slice(&i16::try_from(values.len()).unwrap_or(0).to_be_bytes());
        for value in values {
            body.extend_from_slice(&i32::try_from(value.len()).unwrap_or(0).to_be_bytes());
            body.extend_from_slice(value.as_bytes());
        }
        body.extend_from_slice(&[0, 0]);
        self.client(b'B', &body)
    }

    /// Describe (`S` a statement, `P` a portal).
    #[must_use]
    pub fn describe(self, what: u8, name: &str) -> Script {
        self.client(b'D', &[&[what], name.as_bytes(), &[0]].concat())
    }

    /// Execute.
    #[must_use]
    pub fn execute(self, portal: &str, rows_max: u32) -> Script {
        self.client(b'E', &[portal.as_bytes(), &[0], &rows_max.to_be_bytes()[..]].concat())
    }

    /// Sync.
    #[must_use]
    pub fn sync(self) -> Script {
        self.client(b'S', &[])
    }

    /// So many data rows of one column.
    #[must_use]
    pub fn rows(self, count: usize) -> Script {
        (0..count).fold(self, |script, _| script.upstream(b'D', b"\0\x01\0\0\0\x0242"))
    }

    /// The description of one integer column.
    #[must_use]
    pub fn described(self) -> Script {
        self.upstream(b'T', b"\0\x01id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0")
    }

    /// An error of the server.
    #[must_use]
    pub fn error(self, sqlstate: &str) -> Script {
        self.upstream(b'E', format!("SERROR\0VERROR\0C{sqlstate}\0Mno\0\0").as_bytes())
    }

    /// CommandComplete.
    #[must_use]
    pub fn complete(self, tag: &str) -> Script {
        self.upstream(b'C', &[tag.as_bytes(), &[0]].concat())
    }

    /// ReadyForQuery (`I`, `T` or `E`).
    #[must_use]
    pub fn ready(self, status: u8) -> Script {
        self.upstream(b'Z', &[status])
    }

    /// The conversation.
    pub fn done(self) -> Vec<u8> {
        self.0
    }

    /// Only what the client says, as the bytes of its stream.
    pub fn client_bytes(self) -> Vec<u8> {
        turns(&self.0).into_iter().filter(|turn| turn.side == WireSide::Client).flat_map(|turn| turn.bytes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_conversation_and_no_byte_is_lost() {
        let script = Script::new().query("select 1").described().rows(2).complete("SELECT 2").ready(b'I').sync().done();
        let read = turns(&script);
        assert_eq!(
            read.iter().map(|turn| turn.side).collect::<Vec<_>>(),
            [WireSide::Client, WireSide::Upstream, WireSide::Client]
        );
        let bytes: usize = read.iter().map(|turn| turn.bytes.len()).sum();
        assert_eq!(bytes, script.len() - 7, "seven items, a direction each");
        assert_eq!(turns(b">Q\xff\xff\xff\xffabc<Z")[0].bytes, b"Q\xff\xff\xff\xffabc<Z");
        assert!(turns(b"").is_empty());
    }
}
