//! The packets that end a reply: ERR, the form in which Weir says no, and OK with what it says of the session.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_ok_packet.html>
//! <https://mariadb.com/kb/en/err_packet/> (progress reports)
//!
//! INVARIANT: an error number of Weir's is never one over which a driver silently tries again or another server.

use super::handshake::Capabilities;
use super::packet::{Fields, put_packet};
use crate::refusal::Refusal;

/// First byte of an ERR packet.
pub const ERR: u8 = 0xFF;
/// First byte of an OK packet.
pub const OK: u8 = 0x00;
/// First byte of an EOF packet, and of an OK packet in its place.
pub const EOF: u8 = 0xFE;
/// Payloads that begin with [`EOF`] and are shorter than this are no rows: a row's first value that needs eight bytes
/// for its length has at least 16 MiB.
pub const EOF_BYTES_MAX: usize = 0xFF_FFFF;

/// A transaction is open.
pub const STATUS_IN_TRANS: u16 = 0x0001;
/// Each statement is its own transaction.
pub const STATUS_AUTOCOMMIT: u16 = 0x0002;
/// Another result follows.
pub const STATUS_MORE_RESULTS: u16 = 0x0008;
/// A cursor is open.
pub const STATUS_CURSOR_EXISTS: u16 = 0x0040;
/// The last row of a cursor was sent.
pub const STATUS_LAST_ROW_SENT: u16 = 0x0080;
/// sql_mode has NO_BACKSLASH_ESCAPES.
pub const STATUS_NO_BACKSLASH_ESCAPES: u16 = 0x0200;
/// The result of the OUT parameters of a procedure.
pub const STATUS_PS_OUT_PARAMS: u16 = 0x1000;
/// A read-only transaction is open.
pub const STATUS_IN_TRANS_READONLY: u16 = 0x2000;
/// The OK packet holds changes of the session's state.
pub const STATUS_SESSION_STATE_CHANGED: u16 = 0x4000;

/// Bytes of an error message; `MYSQL_ERRMSG_SIZE` is 512 bytes and clients cut what is longer.
const MESSAGE_BYTES_MAX: usize = 511;

/// Appends an ERR packet in the form of protocol 4.1. MySQL has one text where Weir has message, detail and hint.
pub fn put_error(out: &mut Vec<u8>, seq: u8, refusal: &Refusal) {
    let (errno, sqlstate) = number(refusal.sqlstate);
    let mut state = *b"HY000";
    state.iter_mut().zip(sqlstate.bytes()).for_each(|(byte, given)| *byte = given);
    put_error_as(out, seq, errno, state, &words(refusal));
}

/// Appends an ERR packet of this number and SQLSTATE.
pub(super) fn put_error_as(out: &mut Vec<u8>, seq: u8, errno: u16, sqlstate: [u8; 5], words: &str) {
    let mut payload = vec![ERR];
    payload.extend_from_slice(&errno.to_le_bytes());
    payload.push(b'#');
    payload.extend_from_slice(&sqlstate);
    payload.extend_from_slice(words.as_bytes());
    put_packet(out, seq, &payload);
}

/// MySQL's error number and SQLSTATE for a SQLSTATE of Weir's, which are PostgreSQL's. Numbers that exist in MySQL and
/// MariaDB alike, are the server's (a 2xxx is a client's own), and are in no driver's list of errors to try again.
pub fn number(sqlstate: &str) -> (u16, &'static str) {
    const UNKNOWN_ERROR: (u16, &str) = (1105, "HY000");
    match sqlstate {
        // ER_TABLEACCESS_DENIED_ERROR
        "42501" => (1142, "42000"),
        // ER_ACCESS_DENIED_ERROR
        "28000" | "28P01" => (1045, "28000"),
        // ER_BAD_DB_ERROR
        "3D000" => (1049, "42000"),
        // ER_NOT_SUPPORTED_YET
        "0A000" => (1235, "42000"),
        // ER_CON_COUNT_ERROR
        "53300" => (1040, "08004"),
        // ER_UNKNOWN_STMT_HANDLER
        "26000" => (1243, "HY000"),
        // ER_QUERY_INTERRUPTED
        "57014" => (1317, "70100"),
        // ER_SERVER_SHUTDOWN
        "57P01" => (1053, "08S01"),
        // ER_MALFORMED_PACKET
        "08P01" => (1835, "HY000"),
        // ER_NET_READ_ERROR: drivers take the connection for lost, which it is.
        _ if sqlstate.starts_with("08") => (1158, "08S01"),
        // What has no counterpart, as when the log takes no records (58030): nothing that anybody retries.
        _ => UNKNOWN_ERROR,
    }
}

/// A refusal in the one text that MySQL has.
pub(super) fn words(refusal: &Refusal) -> String {
    let mut text = String::new();
    let parts = [Some(&refusal.message), refusal.detail.as_ref(), refusal.hint.as_ref()];
    for (index, part) in parts.into_iter().flatten().filter(|part| !part.is_empty()).enumerate() {
        if index > 0 {
            text.push_str(". ");
        }
        text.extend(part.trim_end_matches('.').chars().filter(|c| *c != '\0'));
    }
    let end = (0..=text.len().min(MESSAGE_BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

/// What a packet that begins with [`ERR`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrPacket<'b> {
    /// An error; the reply has ended.
    Error(ServerError<'b>),
    /// MariaDB: how far a statement is; the reply goes on.
    Progress(Progress<'b>),
}

/// An error of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerError<'b> {
    /// Error number.
    pub errno: u16,
    /// SQLSTATE; `HY000` where the server sent none, as it does before it knows what the client can.
    pub sqlstate: [u8; 5],
    /// The text as it came, in the connection's character set.
    pub message: &'b [u8],
}

impl ServerError<'_> {
    /// SQLSTATE as text; every byte is a letter or digit.
    pub fn sqlstate(&self) -> String {
        self.sqlstate.iter().copied().map(char::from).collect()
    }
}

/// A progress report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'b> {
    /// Present stage, from 1.
    pub stage: u8,
    /// Number of stages.
    pub stages: u8,
    /// Thousandths of a per cent of the stage.
    pub done: u32,
    /// Name of the stage.
    pub info: &'b [u8],
}

/// Reads the payload of an ERR packet; `None` when it is none.
pub fn read_error(payload: &[u8]) -> Option<ErrPacket<'_>> {
    const PROGRESS: u16 = 0xFFFF;
    let mut fields = Fields::new(payload);
    if fields.u8()? != ERR {
        return None;
    }
    let errno = fields.u16()?;
    if errno == PROGRESS {
        // The count of strings, always one.
        fields.u8()?;
        let (stage, stages, done) = (fields.u8()?, fields.u8()?, fields.u24()?);
        return Some(ErrPacket::Progress(Progress { stage, stages, done, info: fields.lenenc_bytes()? }));
    }
    let mut sqlstate = *b"HY000";
    if fields.peek() == Some(b'#') {
        let mut ahead = fields;
        ahead.u8()?;
        if let Some(state) = ahead.array::<5>().filter(|state| state.iter().all(u8::is_ascii_alphanumeric)) {
            sqlstate = state;
            fields = ahead;
        }
    }
    Some(ErrPacket::Error(ServerError { errno, sqlstate, message: fields.take_rest() }))
}

/// An OK packet, or one in place of EOF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OkPacket<'b> {
    /// Rows affected.
    pub affected_rows: u64,
    /// Number given to AUTO_INCREMENT.
    pub last_insert_id: u64,
    /// Status flags (`STATUS_…`).
    pub status: u16,
    /// Number of warnings.
    pub warnings: u16,
    /// Text for people.
    pub info: &'b [u8],
    changes: &'b [u8],
}

impl<'b> OkPacket<'b> {
    /// Reads a payload that begins with [`OK`] or [`EOF`], under what was agreed for the session. `None`: it does not
    /// follow the format, also in the changes that it reports.
    pub fn read(payload: &'b [u8], agreed: Capabilities) -> Option<OkPacket<'b>> {
        let mut fields = Fields::new(payload);
        if !matches!(fields.u8()?, OK | EOF) {
            return None;
        }
        let (affected_rows, last_insert_id) = (fields.lenenc()?, fields.lenenc()?);
        let (status, warnings) = (fields.u16()?, fields.u16()?);
        let mut ok = OkPacket { affected_rows, last_insert_id, status, warnings, info: &[], changes: &[] };
        if !agreed.has(Capabilities::SESSION_TRACK) {
            ok.info = fields.take_rest();
            return Some(ok);
        }
        // The text is left out where it is empty and nothing follows.
        if !fields.is_done() {
            ok.info = fields.lenenc_bytes()?;
        }
        if status & STATUS_SESSION_STATE_CHANGED != 0 {
            ok.changes = fields.lenenc_bytes()?;
        }
        if !fields.is_done() || ok.changes().any(|change| change.is_none()) {
            return None;
        }
        Some(ok)
    }

    /// What changed in the session, in the server's order.
    pub fn changes(&self) -> impl Iterator<Item = Option<Change<'b>>> + use<'b> {
        Changes { fields: Fields::new(self.changes), values: Fields::new(&[]) }
    }

    /// Like [`OkPacket::changes`], of a packet that [`OkPacket::read`] has checked.
    pub fn known_changes(&self) -> impl Iterator<Item = Change<'b>> + use<'b> {
        self.changes().flatten()
    }
}

/// A change of the session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'b> {
    /// A system variable that `session_track_system_variables` names.
    Variable {
        /// Its name.
        name: &'b [u8],
        /// Its new value.
        value: &'b [u8],
    },
    /// The default database.
    Schema(&'b [u8]),
    /// Something changed (`session_track_state_change`); the server does not say what.
    State,
    /// GTIDs of what was committed.
    Gtids(&'b [u8]),
    /// Statements that would restart the present transaction.
    TransactionCharacteristics(&'b [u8]),
    /// Eight letters about the present transaction.
    TransactionState(&'b [u8]),
    /// A kind that Weir does not know.
    Other(u8),
}

/// Walks over the changes. Yields `None` once where the bytes do not follow the format, and ends there.
struct Changes<'b> {
    fields: Fields<'b>,
    /// Variables of the present entry.
    values: Fields<'b>,
}

impl<'b> Iterator for Changes<'b> {
    type Item = Option<Change<'b>>;

    fn next(&mut self) -> Option<Option<Change<'b>>> {
        if self.values.is_done() && self.fields.is_done() {
            return None;
        }
        let change = self.advance();
        if change.is_none() {
            *self = Changes { fields: Fields::new(&[]), values: Fields::new(&[]) };
        }
        Some(change)
    }
}

impl<'b> Changes<'b> {
    fn advance(&mut self) -> Option<Change<'b>> {
        if !self.values.is_done() {
            return self.variable();
        }
        let kind = self.fields.u8()?;
        let mut data = Fields::new(self.fields.lenenc_bytes()?);
        Some(match kind {
            0 => {
                self.values = data;
                return self.variable();
            }
            1 => Change::Schema(data.lenenc_bytes()?),
            2 => Change::State,
            3 => {
                // The specification of the encoding, of which there is one.
                data.u8()?;
                Change::Gtids(data.lenenc_bytes()?)
            }
            4 => Change::TransactionCharacteristics(data.lenenc_bytes()?),
            5 => Change::TransactionState(data.lenenc_bytes()?),
            other => Change::Other(other),
        })
    }

    fn variable(&mut self) -> Option<Change<'b>> {
        Some(Change::Variable { name: self.values.lenenc_bytes()?, value: self.values.lenenc_bytes()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::{HEADER_LEN, put_lenenc, put_lenenc_bytes};
    use super::*;

    const TRACK: Capabilities = Capabilities::SESSION_TRACK;

    fn error_of(refusal: &Refusal) -> (u16, String, String) {
        let mut out = Vec::new();
        put_error(&mut out, 3, refusal);
        assert_eq!(out[3], 3);
        match read_error(&out[HEADER_LEN..]) {
            Some(ErrPacket::Error(error)) => {
                (error.errno, error.sqlstate(), String::from_utf8(error.message.to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_is_one_text() {
        let mut refusal = Refusal::new("42501", "reading `billing.cards` is refused.", "ask #data-access");
        refusal.detail = Some("rule `cards`".to_owned());
        let text = "reading `billing.cards` is refused. rule `cards`. ask #data-access";
        assert_eq!(error_of(&refusal), (1142, "42000".to_owned(), text.to_owned()));
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let refusal = Refusal::new("58030", "ä".repeat(400), "");
        let (errno, sqlstate, text) = error_of(&refusal);
        assert_eq!((errno, sqlstate.as_str(), text.chars().count()), (1105, "HY000", 255));
    }

    /// 1205 and 1213 are tried again by every ORM, 1290, 1792 and 1836 lead to another server, 2xxx are a client's own.
    #[test]
    fn no_number_is_one_that_drivers_try_again() {
        for state in ["42501", "28000", "0A000", "57014", "57P01", "08P01", "08001", "08006", "58030", "XX000", ""] {
            let (errno, sqlstate) = number(state);
            assert!((1000..2000).contains(&errno), "{state} is {errno}");
            assert!(![1205, 1213, 1290, 1792, 1836].contains(&errno), "{state} is {errno}");
            assert!(sqlstate.len() == 5 && !sqlstate.starts_with("40"), "{state} is {sqlstate}");
        }
    }

    #[test]
    fn errors_without_sqlstate_and_progress_reports() {
        let early = read_error(b"\xff\x10\x04Too many connections");
        let message: &[u8] = b"Too many connections";
        assert_eq!(early, Some(ErrPacket::Error(ServerError { errno: 1040, sqlstate: *b"HY000", message })));
        let progress = read_error(b"\xff\xff\xff\x01\x02\x03\x10\x27\x00\x04sort");
        let expected = Progress { stage: 2, stages: 3, done: 10_000, info: b"sort" };
        assert_eq!(progress, Some(ErrPacket::Progress(expected)));
        assert_eq!(read_error(b"\xff\x10"), None);
        assert_eq!(read_error(b"\x00\x10\x04"), None);
    }

    #[test]
    fn changes_are_read_in_order() {
        let mut data = Vec::new();
        for (kind, body) in [
            (1_u8, b"\x02d1".as_slice()),
            (0, b"\x0aautocommit\x03OFF\x08sql_mode\x00"),
            (2, b"\x011"),
            (3, b"\x00\x03a:1"),
            (5, b"\x08T_______"),
            (77, b"?"),
        ] {
            data.push(kind);
            put_lenenc_bytes(&mut data, body);
        }
        let mut payload = vec![OK, 0, 0xFC, 0x34, 0x12, 2, 0x40, 1, 0, 0];
        put_lenenc_bytes(&mut payload, &data);
        let ok = OkPacket::read(&payload, TRACK).unwrap();
        assert_eq!((ok.last_insert_id, ok.status, ok.warnings), (0x1234, 0x4002, 1));
        let changes: Vec<Change<'_>> = ok.known_changes().collect();
        assert_eq!(
            changes,
            [
                Change::Schema(b"d1"),
                Change::Variable { name: b"autocommit", value: b"OFF" },
                Change::Variable { name: b"sql_mode", value: b"" },
                Change::State,
                Change::Gtids(b"a:1"),
                Change::TransactionState(b"T_______"),
                Change::Other(77),
            ]
        );
        for end in 0..payload.len() {
            // What is cut before the text is a whole packet only where the status announces nothing.
            assert_eq!(OkPacket::read(&payload[..end], TRACK), None, "{end} bytes");
        }
        let untracked = OkPacket::read(&payload, Capabilities::NONE).unwrap();
        assert_eq!(untracked.known_changes().count(), 0);
    }

    #[test]
    fn an_ok_without_a_text() {
        let ok = OkPacket::read(&[EOF, 0, 0, 2, 0, 0, 0], TRACK).unwrap();
        assert_eq!((ok.affected_rows, ok.status, ok.info), (0, STATUS_AUTOCOMMIT, b"".as_slice()));
        assert_eq!(OkPacket::read(&[0xFB, 0, 0, 2, 0, 0, 0], TRACK), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_in_bounds(mut payload in prop::collection::vec(any::<u8>(), 0..80), first in 0_usize..3) {
            payload.insert(0, [OK, EOF, ERR][first]);
            if let Some(ok) = OkPacket::read(&payload, TRACK) {
                prop_assert!(ok.known_changes().count() <= payload.len());
            }
            let _ = read_error(&payload);
        }

        #[test]
        fn numbers_of_an_ok_come_back(affected: u64, id: u64, status: u16, warnings: u16) {
            let mut payload = vec![OK];
            put_lenenc(&mut payload, affected);
            put_lenenc(&mut payload, id);
            payload.extend_from_slice(&(status & !STATUS_SESSION_STATE_CHANGED).to_le_bytes());
            payload.extend_from_slice(&warnings.to_le_bytes());
            let ok = OkPacket::read(&payload, TRACK).unwrap();
            prop_assert_eq!((ok.affected_rows, ok.last_insert_id, ok.warnings), (affected, id, warnings));
        }
    }
}
