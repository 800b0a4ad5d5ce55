//! What a client may ask for: the commands, read as the server reads them.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_command_phase.html>
//! <https://mariadb.com/kb/en/2-text-protocol/>, <https://mariadb.com/kb/en/3-binary-protocol-prepared-statements/>
//!
//! INVARIANT: where the manual and a server read the same bytes differently, the command is refused as malformed. What
//! follows an ambiguous length would else be one statement for Weir and another one for the server.

use std::borrow::Cow;

use super::packet::{Fields, PAYLOAD_MAX, Packet};
use super::prepared::ParameterType;
use crate::refusal::{WireError, WireSide};
use crate::step::Command;

/// COM_QUIT.
pub(super) const QUIT: u8 = 0x01;
/// COM_STMT_PREPARE.
pub(super) const STMT_PREPARE: u8 = 0x16;
/// COM_STMT_EXECUTE.
pub(super) const STMT_EXECUTE: u8 = 0x17;
/// COM_STMT_RESET.
pub(super) const STMT_RESET: u8 = 0x1A;

/// A flag of COM_STMT_EXECUTE: the number of values follows even where the statement has no parameters.
pub(super) const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;
/// The flag of COM_STMT_EXECUTE that asks for a cursor. The manual has others; neither server opens one for them.
const CURSOR_TYPE_READ_ONLY: u8 = 0x01;

/// Query attributes of one text. The server's own bound is the packet; nobody writes that many, and each one costs
/// Weir as much time as it costs the server.
const ATTRIBUTES_MAX: u64 = 65_535;

/// How errors name a command. The protocol has numbers for them and no letters.
const KIND: char = '?';

/// How a server reads what both dialects have in common differently.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    /// The server is a MariaDB.
    pub(super) mariadb: bool,
    /// Values with names stand before a text, and names beside the types of a binding.
    pub(super) attributes: bool,
}

/// One command, as far as Weir reads it.
#[derive(Debug)]
pub(super) enum Request<'b> {
    /// Leave.
    Quit,
    /// Text, or what SQL has a statement for.
    Text {
        /// What it means in SQL.
        text: Cow<'b, [u8]>,
        /// How the server answers it.
        answer: TextAnswer,
    },
    /// Prepare this text.
    Prepare(&'b [u8]),
    /// Run a prepared statement; see [`Execute::read`].
    Execute,
    /// Run a prepared statement once for each of many sets of values (MariaDB).
    BulkExecute {
        /// The statement.
        id: u32,
    },
    /// Rows of an open cursor.
    Fetch {
        /// Its statement.
        id: u32,
        /// How many at most.
        rows: u32,
    },
    /// A piece of a parameter's value; there is no answer.
    LongData {
        /// The statement.
        id: u32,
        /// The parameter, 0-based.
        parameter: u16,
    },
    /// Forget pieces of values and close the cursor.
    Reset {
        /// The statement.
        id: u32,
    },
    /// Forget the statement; there is no answer.
    Close {
        /// The statement.
        id: u32,
    },
    /// Something harmless that is answered with OK or EOF.
    Harmless,
    /// COM_STATISTICS: answered with one line of text.
    Statistics,
    /// Be somebody else.
    ChangeUser,
    /// What is not SQL.
    Command {
        /// What.
        command: Command,
        /// Whether it is answered by a stream of packets.
        streams: bool,
    },
}

/// How a request that means a text is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextAnswer {
    /// Results, one or several.
    Results,
    /// Column definitions and nothing else.
    Fields,
}

/// A COM_STMT_EXECUTE up to its parameters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Execute<'b> {
    /// The statement.
    pub(super) id: u32,
    /// Its flags.
    pub(super) flags: u8,
    /// The parameters.
    pub(super) parameters: &'b [u8],
}

impl<'b> Execute<'b> {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// It ends before its parameters begin.
    pub(super) fn read(payload: &'b [u8]) -> Result<Execute<'b>, WireError> {
        let mut fields = Fields::new(payload);
        fields.u8();
        let head = fields.u32().zip(fields.u8()).zip(fields.u32());
        let ((id, flags), _iterations) = head.ok_or(malformed("COM_STMT_EXECUTE that ends in its head"))?;
        Ok(Execute { id, flags, parameters: fields.rest() })
    }

    /// Whether a cursor is asked for, so that the rows come when they are fetched.
    pub(super) fn wants_cursor(&self) -> bool {
        self.flags & CURSOR_TYPE_READ_ONLY != 0
    }
}

impl<'b> Request<'b> {
    /// Reads a whole command.
    ///
    /// # Errors
    /// A command that the server would not read, or that it might read otherwise.
    pub(super) fn read(packet: &Packet<'b>, dialect: Dialect) -> Result<Request<'b>, WireError> {
        let payload = packet.head();
        let mut fields = Fields::new(payload);
        // MySQL and MariaDB take an empty packet for COM_SLEEP, which they then do not know.
        let code = fields.u8().unwrap_or(0);
        let body = fields.rest();
        let text = |text: Vec<u8>, answer| Ok(Request::Text { text: Cow::Owned(text), answer });
        match code {
            QUIT => Ok(Request::Quit),
            0x02 => text(sentence(b"USE ", name(body, "COM_INIT_DB")?), TextAnswer::Results),
            0x03 => Ok(Request::Text { text: query(packet, dialect)?, answer: TextAnswer::Results }),
            0x04 => {
                let table = fields.cstr().ok_or(malformed("COM_FIELD_LIST without an end of the table's name"))?;
                text(sentence(b"SHOW COLUMNS FROM ", name(table, "COM_FIELD_LIST")?), TextAnswer::Fields)
            }
            0x07 => Ok(named(code, "refresh")),
            0x08 => Ok(named(code, "shutdown")),
            0x09 => Ok(Request::Statistics),
            0x0A => text(b"SHOW PROCESSLIST".to_vec(), TextAnswer::Results),
            0x0C => {
                let id = fields.u32().ok_or(malformed("COM_PROCESS_KILL without a number"))?;
                text(format!("KILL {id}").into_bytes(), TextAnswer::Results)
            }
            0x0D => Ok(named(code, "debug")),
            // COM_PING, COM_SET_OPTION: one text is judged statement by statement, whether it may hold several or not.
            0x0E | 0x1B => Ok(Request::Harmless),
            0x11 => Ok(Request::ChangeUser),
            0x12 => Ok(streaming(code, "binlog-dump")),
            0x13 => Ok(streaming(code, "table-dump")),
            0x15 => Ok(named(code, "register-replica")),
            STMT_PREPARE if packet.frame_len > PAYLOAD_MAX => {
                Err(malformed("COM_STMT_PREPARE with a text of 16 MiB or more"))
            }
            STMT_PREPARE => Ok(Request::Prepare(body)),
            STMT_EXECUTE => Execute::read(payload).map(|_| Request::Execute),
            0x18 => {
                let head = fields.u32().zip(fields.u16());
                let (id, parameter) = head.ok_or(malformed("COM_STMT_SEND_LONG_DATA that ends in its head"))?;
                Ok(Request::LongData { id, parameter })
            }
            0x19 => Ok(Request::Close { id: statement(fields, "COM_STMT_CLOSE without a statement")? }),
            STMT_RESET => Ok(Request::Reset { id: statement(fields, "COM_STMT_RESET without a statement")? }),
            0x1C => {
                let head = fields.u32().zip(fields.u32());
                let (id, rows) = head.ok_or(malformed("COM_STMT_FETCH that ends in its head"))?;
                Ok(Request::Fetch { id, rows })
            }
            0x1E => Ok(streaming(code, "binlog-dump-gtid")),
            0x1F => Ok(Request::Command { command: Command::ResetConnection, streams: false }),
            0x20 => Ok(named(code, "clone")),
            0x21 => Ok(streaming(code, "subscribe-group-replication-stream")),
            0xFA if dialect.mariadb => {
                Ok(Request::BulkExecute { id: statement(fields, "COM_STMT_BULK_EXECUTE without a statement")? })
            }
            code => Ok(Request::Command { command: Command::Unknown(code), streams: false }),
        }
    }
}

/// The text of a COM_QUERY, which with query attributes does not begin at its first byte.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query.html>
pub(super) fn query<'b>(packet: &Packet<'b>, dialect: Dialect) -> Result<Cow<'b, [u8]>, WireError> {
    let payload = packet.payload();
    let mut fields = Fields::new(&payload);
    fields.u8();
    if dialect.attributes {
        skip_attributes(&mut fields, dialect).ok_or(malformed("COM_QUERY with attributes that are not clear"))?;
    }
    let start = payload.len() - fields.rest().len();
    Ok(match payload {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(start..).unwrap_or(&[])),
        Cow::Owned(mut bytes) => {
            bytes.drain(..start);
            Cow::Owned(bytes)
        }
    })
}

fn skip_attributes(fields: &mut Fields<'_>, dialect: Dialect) -> Option<()> {
    let count = fields.lenenc().filter(|count| *count <= ATTRIBUTES_MAX)?;
    if fields.lenenc()? != 1 {
        return None;
    }
    let count = usize::try_from(count).ok()?;
    if count == 0 {
        return Some(());
    }
    let nulls = fields.bytes(count.div_ceil(8))?;
    if fields.u8()? != 1 {
        return None;
    }
    // A type takes two bytes and a name one at least, so a count that lies reserves nothing.
    let mut types = Vec::with_capacity(count.min(fields.rest().len() / 3 + 1));
    for _ in 0..count {
        types.push(ParameterType::read(fields, true)?);
    }
    for (index, kind) in types.iter().enumerate() {
        if !is_set(nulls, index) {
            kind.value(fields, dialect)?;
        }
    }
    Some(())
}

/// Whether this bit of a bitmap is set.
pub(super) fn is_set(bitmap: &[u8], index: usize) -> bool {
    bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

fn named(code: u8, name: &'static str) -> Request<'static> {
    Request::Command { command: Command::Named { code, name }, streams: false }
}

fn streaming(code: u8, name: &'static str) -> Request<'static> {
    Request::Command { command: Command::Named { code, name }, streams: true }
}

fn statement(mut fields: Fields<'_>, what: &'static str) -> Result<u32, WireError> {
    fields.u32().ok_or(malformed(what))
}

/// A name that SQL can say: servers end it at a NUL in one place and not in another.
fn name<'n>(name: &'n [u8], command: &'static str) -> Result<&'n [u8], WireError> {
    if name.contains(&0) {
        return Err(malformed(if command == "COM_INIT_DB" {
            "COM_INIT_DB with a NUL inside"
        } else {
            "COM_FIELD_LIST with a NUL inside"
        }));
    }
    Ok(name)
}

/// A statement that ends with a quoted name.
fn sentence(verb: &[u8], name: &[u8]) -> Vec<u8> {
    let mut text = verb.to_vec();
    text.push(b'`');
    for byte in name {
        if *byte == b'`' {
            text.push(b'`');
        }
        text.push(*byte);
    }
    text.push(b'`');
    text
}

/// A command that does not follow its format.
pub(super) fn malformed(what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Client, kind: KIND, what }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Scan, put_lenenc, put_lenenc_bytes, put_packet};
    use super::*;

    const MYSQL: Dialect = Dialect { mariadb: false, attributes: true };
    const MARIADB: Dialect = Dialect { mariadb: true, attributes: false };

    fn read(payload: &[u8], dialect: Dialect) -> Result<String, WireError> {
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0, payload);
        let Ok(Scan::Whole(packet)) = Packet::scan(&bytes, 1 << 26, WireSide::Client) else { panic!("not whole") };
        Request::read(&packet, dialect).map(|request| match request {
            Request::Text { text, .. } => String::from_utf8_lossy(&text).into_owned(),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn what_sql_has_a_statement_for_is_that_statement() {
        let cases: [(&[u8], &str); 6] = [
            (b"\x02shop", "USE `shop`"),
            (b"\x02a`b", "USE `a``b`"),
            (b"\x03select 1", "select 1"),
            (b"\x04customers\0%", "SHOW COLUMNS FROM `customers`"),
            (b"\x0a", "SHOW PROCESSLIST"),
            (b"\x0c\x07\x01\0\0", "KILL 263"),
        ];
        for (payload, text) in cases {
            assert_eq!(read(payload, MARIADB).unwrap(), text);
        }
    }

    #[test]
    fn what_ends_too_early_is_malformed() {
        let cases: [&[u8]; 11] = [
            b"\x02a\0b",
            b"\x04customers",
            b"\x0c\x07\x01\0",
            b"\x17\x01\0\0\0\0\x01\0\0",
            b"\x18\x01\0\0\0\0",
            b"\x19\x01\0\0",
            b"\x1a\x01",
            b"\x1c\x01\0\0\0\x01\0\0",
            b"\xfa\x01\0\0",
            b"\x1c",
            b"\x17",
        ];
        for payload in cases {
            assert!(matches!(read(payload, MARIADB), Err(WireError::Malformed { .. })), "{payload:?}");
        }
    }

    #[test]
    fn commands_that_are_not_sql_are_named_or_unknown() {
        for (payload, command) in [
            (b"\x1f".as_slice(), Command::ResetConnection),
            (b"\x12", Command::Named { code: 0x12, name: "binlog-dump" }),
            (b"\x20", Command::Named { code: 0x20, name: "clone" }),
            (b"", Command::Unknown(0)),
            (b"\x05new", Command::Unknown(5)),
            (b"\xfe", Command::Unknown(0xFE)),
        ] {
            let read = read(payload, MYSQL).unwrap();
            assert!(read.contains(&format!("{command:?}")), "{read}");
        }
        // MySQL has no bulk execution.
        assert!(read(b"\xfa\x01\0\0\0\0\0", MYSQL).unwrap().contains("Unknown(250)"));
    }

    fn attributed(count: u64, sets: u64, rest: &[u8]) -> Result<String, WireError> {
        let mut payload = vec![3];
        put_lenenc(&mut payload, count);
        put_lenenc(&mut payload, sets);
        payload.extend_from_slice(rest);
        read(&payload, MYSQL)
    }

    /// Each of these was sent to a MySQL 9.7: what it runs is what stands here.
    #[test]
    fn the_text_stands_behind_the_attributes() {
        assert_eq!(attributed(0, 1, b"select 1").unwrap(), "select 1");
        assert_eq!(read(b"\x03\xfc\0\0\x01select 1", MYSQL).unwrap(), "select 1");
        let mut two = vec![0b10, 1, 0xFD, 0];
        put_lenenc_bytes(&mut two, b"traceparent");
        two.extend_from_slice(&[0x08, 0x80]);
        put_lenenc_bytes(&mut two, b"n");
        put_lenenc_bytes(&mut two, b"select 2");
        two.extend_from_slice(b"select 1");
        assert_eq!(attributed(2, 1, &two).unwrap(), "select 1");
    }

    /// MySQL 9.7 runs the second and third of these and finds other texts in them than the manual does; the others it
    /// refuses, too.
    #[test]
    fn attributes_that_are_not_clear_are_refused() {
        for (count, sets, rest) in [
            (0, 0, b"select 1".as_slice()),
            (1, 1, b"\0\x01\xfd\0\x01a\xfe\x03\0\0\0\x01\0\0\0abcselect 1"),
            (1, 1, b"\0\x01\xfd\0\x01a\x7fabcselect 1"),
            (0, 2, b"select 1"),
            (1, 1, b"\0\0\x03abcselect 1"),
            (1, 1, b"\0\x02\xfd\0\x01a\x03abcselect 1"),
            (1, 1, b"\0\x01\x0d\0\x01a\x03abcselect 1"),
            (1, 1, b"\0\x01\xfd\x01\x01a\x03abcselect 1"),
            (u64::MAX, 1, b"select 1"),
            (60_000, 1, b"select 1"),
        ] {
            assert!(attributed(count, sets, rest).is_err(), "{rest:?}");
        }
        assert!(read(b"\x03", MYSQL).is_err());
        assert!(read(b"\x03\xfb\x01select 1", MYSQL).is_err());
        // Without them the same bytes are the text.
        assert_eq!(read(b"\x03\0\x01select 1", MARIADB).unwrap(), "\0\u{1}select 1");
    }

    #[test]
    fn a_text_of_16_mib_is_read_whole() {
        let mut payload = vec![3, 0, 1];
        payload.extend_from_slice(&b"x".repeat(PAYLOAD_MAX));
        assert_eq!(read(&payload, MYSQL).unwrap().len(), PAYLOAD_MAX);
        payload[0] = STMT_PREPARE;
        assert!(read(&payload, MYSQL).is_err());
    }
}
