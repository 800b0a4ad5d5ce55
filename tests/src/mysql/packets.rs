//! MySQL packets of a client, byte by byte, and readers of what a server sends.
//!
//! Builders take what they are told: a test may ask for a packet that no sane client would send.

/// Longest payload of one packet; a payload of this length or more goes on in the next packet.
pub const PAYLOAD_MAX: usize = (1 << 24) - 1;

/// Capability flags.
#[allow(missing_docs)]
pub mod capability {
    pub const LONG_PASSWORD: u32 = 1;
    pub const FOUND_ROWS: u32 = 1 << 1;
    pub const LONG_FLAG: u32 = 1 << 2;
    pub const CONNECT_WITH_DB: u32 = 1 << 3;
    pub const COMPRESS: u32 = 1 << 5;
    pub const LOCAL_FILES: u32 = 1 << 7;
    pub const PROTOCOL_41: u32 = 1 << 9;
    pub const SSL: u32 = 1 << 11;
    pub const TRANSACTIONS: u32 = 1 << 13;
    pub const SECURE_CONNECTION: u32 = 1 << 15;
    pub const MULTI_STATEMENTS: u32 = 1 << 16;
    pub const MULTI_RESULTS: u32 = 1 << 17;
    pub const PS_MULTI_RESULTS: u32 = 1 << 18;
    pub const PLUGIN_AUTH: u32 = 1 << 19;
    pub const CONNECT_ATTRS: u32 = 1 << 20;
    pub const LENENC_AUTH: u32 = 1 << 21;
    pub const SESSION_TRACK: u32 = 1 << 23;
    pub const DEPRECATE_EOF: u32 = 1 << 24;
    pub const OPTIONAL_METADATA: u32 = 1 << 25;
    pub const ZSTD: u32 = 1 << 26;
    pub const QUERY_ATTRIBUTES: u32 = 1 << 27;
    /// What a test's client asks for unless it says otherwise.
    pub const USUAL: u32 = LONG_PASSWORD
        | LONG_FLAG
        | CONNECT_WITH_DB
        | PROTOCOL_41
        | TRANSACTIONS
        | SECURE_CONNECTION
        | MULTI_STATEMENTS
        | MULTI_RESULTS
        | PS_MULTI_RESULTS
        | PLUGIN_AUTH
        | LENENC_AUTH;
}

/// Status flags of OK and EOF.
#[allow(missing_docs)]
pub mod status {
    pub const IN_TRANSACTION: u16 = 1;
    pub const AUTOCOMMIT: u16 = 2;
    pub const MORE_RESULTS: u16 = 8;
    pub const CURSOR_EXISTS: u16 = 64;
    pub const LAST_ROW_SENT: u16 = 128;
    pub const SESSION_STATE_CHANGED: u16 = 1 << 14;
}

/// Command bytes.
#[allow(missing_docs)]
pub mod command {
    pub const QUIT: u8 = 0x01;
    pub const INIT_DB: u8 = 0x02;
    pub const QUERY: u8 = 0x03;
    pub const FIELD_LIST: u8 = 0x04;
    pub const REFRESH: u8 = 0x07;
    pub const SHUTDOWN: u8 = 0x08;
    pub const STATISTICS: u8 = 0x09;
    pub const PROCESS_INFO: u8 = 0x0a;
    pub const PROCESS_KILL: u8 = 0x0c;
    pub const DEBUG: u8 = 0x0d;
    pub const PING: u8 = 0x0e;
    pub const CHANGE_USER: u8 = 0x11;
    pub const BINLOG_DUMP: u8 = 0x12;
    pub const TABLE_DUMP: u8 = 0x13;
    pub const REGISTER_SLAVE: u8 = 0x15;
    pub const STMT_PREPARE: u8 = 0x16;
    pub const STMT_EXECUTE: u8 = 0x17;
    pub const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub const STMT_CLOSE: u8 = 0x19;
    pub const STMT_RESET: u8 = 0x1a;
    pub const SET_OPTION: u8 = 0x1b;
    pub const STMT_FETCH: u8 = 0x1c;
    pub const BINLOG_DUMP_GTID: u8 = 0x1e;
    pub const RESET_CONNECTION: u8 = 0x1f;
    /// MariaDB: many rows of parameters at once.
    pub const STMT_BULK_EXECUTE: u8 = 0xfa;
}

/// One payload, joined where it took several packets, with the number of its last packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// Sequence number of the (last) packet.
    pub sequence: u8,
    /// What stands after the headers.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.payload[..self.payload.len().min(200)];
        write!(f, "#{}[{}] {}", self.sequence, self.payload.len(), shown.escape_ascii())
    }
}

/// A payload as packets, the first of them numbered `sequence`.
pub fn packets(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 4);
    let mut sequence = sequence;
    let mut rest = payload;
    loop {
        let (chunk, after) = rest.split_at(rest.len().min(PAYLOAD_MAX));
        bytes.extend_from_slice(&packet_claiming(chunk.len(), sequence, chunk));
        if chunk.len() < PAYLOAD_MAX {
            return bytes;
        }
        sequence = sequence.wrapping_add(1);
        rest = after;
    }
}

/// A packet whose header says `length`, whatever `payload` is.
pub fn packet_claiming(length: usize, sequence: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 4);
    bytes.extend_from_slice(&length.to_le_bytes()[..3]);
    bytes.push(sequence);
    bytes.extend_from_slice(payload);
    bytes
}

/// A command in a packet of its own, numbered 0.
pub fn command(byte: u8, body: &[u8]) -> Vec<u8> {
    packets(0, &[&[byte], body].concat())
}

/// COM_QUERY.
pub fn query(sql: &str) -> Vec<u8> {
    command(command::QUERY, sql.as_bytes())
}

/// COM_STMT_PREPARE.
pub fn prepare(sql: &str) -> Vec<u8> {
    command(command::STMT_PREPARE, sql.as_bytes())
}

/// COM_STMT_EXECUTE with text parameters; `cursor` is the cursor flag (0: none, 1: read only).
pub fn execute(statement: u32, cursor: u8, parameters: &[&str]) -> Vec<u8> {
    const VAR_STRING: u8 = 0xfd;
    let mut body = statement.to_le_bytes().to_vec();
    body.push(cursor);
    body.extend_from_slice(&1_u32.to_le_bytes());
    if !parameters.is_empty() {
        body.extend(std::iter::repeat_n(0, parameters.len().div_ceil(8)));
        body.push(1);
        for _ in parameters {
            body.extend_from_slice(&[VAR_STRING, 0]);
        }
        for parameter in parameters {
            lenenc_string(&mut body, parameter.as_bytes());
        }
    }
    command(command::STMT_EXECUTE, &body)
}

/// COM_STMT_FETCH.
pub fn fetch(statement: u32, rows: u32) -> Vec<u8> {
    command(command::STMT_FETCH, &[statement.to_le_bytes(), rows.to_le_bytes()].concat())
}

/// COM_STMT_CLOSE, which is not answered.
pub fn close(statement: u32) -> Vec<u8> {
    command(command::STMT_CLOSE, &statement.to_le_bytes())
}

/// COM_STMT_RESET.
pub fn reset(statement: u32) -> Vec<u8> {
    command(command::STMT_RESET, &statement.to_le_bytes())
}

/// COM_STMT_SEND_LONG_DATA, which is not answered.
pub fn long_data(statement: u32, parameter: u16, data: &[u8]) -> Vec<u8> {
    command(command::STMT_SEND_LONG_DATA, &[&statement.to_le_bytes(), &parameter.to_le_bytes()[..], data].concat())
}

/// COM_INIT_DB.
pub fn init_db(database: &str) -> Vec<u8> {
    command(command::INIT_DB, database.as_bytes())
}

/// COM_PING.
pub fn ping() -> Vec<u8> {
    command(command::PING, b"")
}

/// COM_RESET_CONNECTION.
pub fn reset_connection() -> Vec<u8> {
    command(command::RESET_CONNECTION, b"")
}

/// COM_FIELD_LIST of a table, as old clients ask for column names.
pub fn field_list(table: &str) -> Vec<u8> {
    command(command::FIELD_LIST, &[table.as_bytes(), b"\0"].concat())
}

/// COM_QUIT.
pub fn quit() -> Vec<u8> {
    command(command::QUIT, b"")
}

/// Appends a length-encoded integer.
pub fn lenenc(body: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xfa => body.push(bytes[0]),
        0xfb..=0xffff => body.extend_from_slice(&[0xfc, bytes[0], bytes[1]]),
        0x1_0000..=0xff_ffff => body.extend_from_slice(&[0xfd, bytes[0], bytes[1], bytes[2]]),
        _ => {
            body.push(0xfe);
            body.extend_from_slice(&bytes);
        }
    }
}

/// Appends a length-encoded string.
pub fn lenenc_string(body: &mut Vec<u8>, value: &[u8]) {
    lenenc(body, value.len() as u64);
    body.extend_from_slice(value);
}

/// Takes what a server sent apart. `None` where the bytes end early.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A byte.
    pub fn u8(&mut self) -> Option<u8> {
        Some(self.bytes(1)?[0])
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes(2)?.try_into().ok()?))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    /// A length-encoded integer; `None` also for NULL.
    pub fn lenenc(&mut self) -> Option<u64> {
        let wide = |bytes: &[u8]| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        match self.u8()? {
            0xfb | 0xff => None,
            0xfc => self.bytes(2).map(wide),
            0xfd => self.bytes(3).map(wide),
            0xfe => self.bytes(8).map(wide),
            small => Some(u64::from(small)),
        }
    }

    /// A length-encoded string.
    pub fn lenenc_string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.lenenc()?).ok()?;
        self.bytes(length)
    }

    /// Bytes before the next zero.
    pub fn cstring(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let text = self.bytes(end)?;
        self.bytes(1)?;
        Some(text)
    }
}

/// Joins recorded bytes into payloads; panics on a torn end, which no recording of a finished session has.
pub fn split(mut bytes: &[u8]) -> Vec<Packet> {
    let mut joined = Vec::new();
    let mut payload: Vec<u8> = Vec::new();
    while !bytes.is_empty() {
        assert!(bytes.len() >= 4, "a packet torn in its header: {}", bytes.escape_ascii());
        let length = usize::from(bytes[0]) | usize::from(bytes[1]) << 8 | usize::from(bytes[2]) << 16;
        let sequence = bytes[3];
        assert!(bytes.len() >= 4 + length, "a packet torn in its body: {}", bytes[..4].escape_ascii());
        payload.extend_from_slice(&bytes[4..4 + length]);
        bytes = &bytes[4 + length..];
        if length < PAYLOAD_MAX {
            joined.push(Packet { sequence, payload: std::mem::take(&mut payload) });
        }
    }
    assert!(payload.is_empty(), "a chain of packets without its end");
    joined
}
