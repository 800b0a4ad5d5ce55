//! What a MySQL server answered: packets as they came, and what they say.

use crate::mysql::packets::{Cursor, Packet, status};

/// Why no (further) packet came.
#[derive(Debug)]
pub enum Failure {
    /// The other side closed the connection.
    Closed,
    /// Nothing came for long.
    Silent,
    /// What came was no packet of the protocol.
    Broken(String),
    /// The server's own error.
    Server(ServerError),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Failure::Silent,
            _ => Failure::Closed,
        }
    }
}

/// An ERR packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// Error number.
    pub code: u16,
    /// SQLSTATE; empty where the packet has none.
    pub sqlstate: String,
    /// What it says.
    pub message: String,
}

impl ServerError {
    /// Reads an ERR packet.
    pub fn read(payload: &[u8]) -> ServerError {
        let code = payload.get(1..3).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
        let rest = payload.get(3..).unwrap_or_default();
        let (sqlstate, message) = match rest.split_first() {
            Some((b'#', after)) if after.len() >= 5 => after.split_at(5),
            _ => (&[][..], rest),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ServerError { code, sqlstate: text(sqlstate), message: text(message) }
    }
}

/// A column definition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Column {
    pub schema: String,
    pub table: String,
    pub org_table: String,
    pub name: String,
    pub org_name: String,
    pub kind: u8,
    pub flags: u16,
    pub decimals: u8,
}

impl Column {
    /// Reads a column definition.
    pub fn read(payload: &[u8]) -> Option<Column> {
        let mut cursor = Cursor(payload);
        let mut text = || cursor.lenenc_string().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let (_catalog, schema, table, org_table) = (text()?, text()?, text()?, text()?);
        let (name, org_name) = (text()?, text()?);
        // MariaDB's extended metadata, if asked for, is not; then the fixed part with its length.
        cursor.lenenc()?;
        cursor.bytes(2 + 4)?;
        let (kind, flags, decimals) = (cursor.u8()?, cursor.u16()?, cursor.u8()?);
        Some(Column { schema, table, org_table, name, org_name, kind, flags, decimals })
    }

    fn unsigned(&self) -> bool {
        self.flags & 32 != 0
    }
}

/// An OK packet, or the end of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows that a statement changed.
    pub affected: u64,
    /// The value of AUTO_INCREMENT, if any.
    pub last_insert_id: u64,
    /// Status flags.
    pub status: u16,
    /// How many warnings there are.
    pub warnings: u16,
    /// What stands behind them: a message, or changes of the session's state.
    pub rest: Vec<u8>,
}

impl Done {
    /// Reads an OK packet (also one that ends rows, with CLIENT_DEPRECATE_EOF).
    pub fn ok(payload: &[u8]) -> Option<Done> {
        let mut cursor = Cursor(payload.get(1..)?);
        let (affected, last_insert_id) = (cursor.lenenc()?, cursor.lenenc()?);
        let (status, warnings) = (cursor.u16()?, cursor.u16()?);
        Some(Done { affected, last_insert_id, status, warnings, rest: cursor.0.to_vec() })
    }

    /// Reads an EOF packet.
    pub fn eof(payload: &[u8]) -> Option<Done> {
        let mut cursor = Cursor(payload.get(1..)?);
        let (warnings, status) = (cursor.u16()?, cursor.u16()?);
        Some(Done { status, warnings, ..Done::default() })
    }

    /// Whether another result follows.
    pub fn more(&self) -> bool {
        self.status & status::MORE_RESULTS != 0
    }
}

/// One value of a row; `None` is NULL.
pub type Value = Option<String>;

/// One result: rows, or an OK.
#[derive(Clone, Debug, Default)]
pub struct ResultSet {
    /// Its columns; none for an OK.
    pub columns: Vec<Column>,
    /// Its rows as text.
    pub rows: Vec<Vec<Value>>,
    /// How it ended; `None` when it was cut short.
    pub done: Option<Done>,
}

/// Everything that came for one command.
#[derive(Default)]
pub struct Reply {
    /// Results in order.
    pub results: Vec<ResultSet>,
    /// The server's error.
    pub error: Option<ServerError>,
    /// Payloads as they came.
    pub packets: Vec<Packet>,
    /// Why it stopped before its end.
    pub end: Option<Failure>,
}

/// Rows are counted and not shown: a failing test is to be read by a person.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let results: Vec<String> = self
            .results
            .iter()
            .map(|result| format!("{} columns, {} rows, {:?}", result.columns.len(), result.rows.len(), result.done))
            .collect();
        f.debug_struct("Reply")
            .field("results", &results)
            .field("error", &self.error)
            .field("first packets", &&self.packets[..self.packets.len().min(2)])
            .field("last packets", &&self.packets[self.packets.len().saturating_sub(2)..])
            .field("end", &self.end)
            .finish()
    }
}

impl Reply {
    /// How many rows came, over all results.
    pub fn rows(&self) -> usize {
        self.results.iter().map(|result| result.rows.len()).sum()
    }

    /// All values as text; NULL is `<null>`.
    pub fn texts(&self) -> Vec<Vec<String>> {
        let text = |value: &Value| value.clone().unwrap_or_else(|| "<null>".to_owned());
        self.results.iter().flat_map(|result| &result.rows).map(|row| row.iter().map(text).collect()).collect()
    }

    /// First column of each row.
    pub fn column(&self) -> Vec<String> {
        self.texts().into_iter().filter_map(|row| row.into_iter().next()).collect()
    }

    /// The error; panics when there is none.
    pub fn error(&self) -> ServerError {
        self.error.clone().unwrap_or_else(|| panic!("an error expected in {self:?}"))
    }

    /// Status flags of the last result.
    pub fn status(&self) -> u16 {
        self.results.last().and_then(|result| result.done.as_ref()).map_or(0, |done| done.status)
    }

    /// Panics when it holds an error or did not end as awaited; returns itself.
    #[track_caller]
    pub fn fine(self) -> Reply {
        assert!(self.error.is_none() && self.end.is_none(), "an untroubled reply expected: {self:?}");
        self
    }
}

/// Reads a row of the text protocol.
pub fn text_row(payload: &[u8], columns: usize) -> Option<Vec<Value>> {
    let mut cursor = Cursor(payload);
    let row = (0..columns)
        .map(|_| {
            if cursor.0.first() == Some(&0xfb) {
                cursor.u8()?;
                return Some(None);
            }
            Some(Some(String::from_utf8_lossy(cursor.lenenc_string()?).into_owned()))
        })
        .collect::<Option<Vec<Value>>>()?;
    cursor.0.is_empty().then_some(row)
}

/// Reads a row of the binary protocol.
pub fn binary_row(payload: &[u8], columns: &[Column]) -> Option<Vec<Value>> {
    let mut cursor = Cursor(payload);
    (cursor.u8()? == 0).then_some(())?;
    let nulls = cursor.bytes((columns.len() + 2).div_ceil(8))?;
    let row = columns
        .iter()
        .enumerate()
        .map(|(number, column)| {
            let bit = number + 2;
            if nulls[bit / 8] >> (bit % 8) & 1 == 1 { Some(None) } else { binary_value(&mut cursor, column).map(Some) }
        })
        .collect::<Option<Vec<Value>>>()?;
    cursor.0.is_empty().then_some(row)
}

/// A value as the text protocol would show it, as far as tests compare the two.
fn binary_value(cursor: &mut Cursor<'_>, column: &Column) -> Option<String> {
    let signed = |bytes: &[u8]| {
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        i64::from_le_bytes(wide).to_string()
    };
    let unsigned = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(wide).to_string()
    };
    let mut integer = |width: usize| {
        let bytes = cursor.bytes(width)?;
        Some(if column.unsigned() { unsigned(bytes) } else { signed(bytes) })
    };
    match column.kind {
        0x01 => integer(1),
        0x02 | 0x0d => integer(2),
        0x03 | 0x09 => integer(4),
        0x08 => integer(8),
        0x04 => Some(f32::from_bits(cursor.u32()?).to_string()),
        0x05 => Some(f64::from_bits(cursor.u64()?).to_string()),
        0x07 | 0x0a | 0x0c => moment(cursor, column),
        0x0b => duration(cursor, column),
        _ => Some(String::from_utf8_lossy(cursor.lenenc_string()?).into_owned()),
    }
}

fn moment(cursor: &mut Cursor<'_>, column: &Column) -> Option<String> {
    let mut bytes = Cursor({
        let length = usize::from(cursor.u8()?);
        cursor.bytes(length)?
    });
    let (year, month, day) = if bytes.0.is_empty() { (0, 0, 0) } else { (bytes.u16()?, bytes.u8()?, bytes.u8()?) };
    let date = format!("{year:04}-{month:02}-{day:02}");
    if column.kind == 0x0a {
        return Some(date);
    }
    let (hour, minute, second) = if bytes.0.is_empty() { (0, 0, 0) } else { (bytes.u8()?, bytes.u8()?, bytes.u8()?) };
    let fraction = fraction(&mut bytes, column)?;
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}"))
}

fn duration(cursor: &mut Cursor<'_>, column: &Column) -> Option<String> {
    let mut bytes = Cursor({
        let length = usize::from(cursor.u8()?);
        cursor.bytes(length)?
    });
    let (mut sign, mut hours, mut minute, mut second) = ("", 0, 0, 0);
    if !bytes.0.is_empty() {
        sign = if bytes.u8()? == 1 { "-" } else { "" };
        hours = bytes.u32()? * 24 + u32::from(bytes.u8()?);
        (minute, second) = (bytes.u8()?, bytes.u8()?);
    }
    let fraction = fraction(&mut bytes, column)?;
    Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{fraction}"))
}

/// Microseconds to as many digits as the column has; left out on the wire where they are zero.
fn fraction(bytes: &mut Cursor<'_>, column: &Column) -> Option<String> {
    let micro = if bytes.0.is_empty() { 0 } else { bytes.u32()? };
    let digits = usize::from(column.decimals);
    Some(match digits {
        1..=6 => format!(".{}", &format!("{micro:06}")[..digits]),
        _ => String::new(),
    })
}
