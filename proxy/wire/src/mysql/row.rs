//! The few values of a row that a key needs, read in place, and the form in which they are compared.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html>
//!
//! A row of 16 MiB or more is a chain of packets, so that a value may be interrupted by headers. Such a value is not
//! given out: it is no key.

use super::packet::{HEADER_LEN, Header, PAYLOAD_MAX};
use super::resultset::Format;

/// A column's type, as far as values need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// Type code.
    pub code: u8,
    /// Flags.
    pub flags: u16,
    /// Number of its collation.
    pub charset: u16,
    /// Digits behind the point; 31 where that varies.
    pub decimals: u8,
}

const FLAG_UNSIGNED: u16 = 0x0020;

const TINY: u8 = 1;
const SHORT: u8 = 2;
const LONG: u8 = 3;
const FLOAT: u8 = 4;
const DOUBLE: u8 = 5;
const NULL: u8 = 6;
const TIMESTAMP: u8 = 7;
const LONGLONG: u8 = 8;
const INT24: u8 = 9;
const DATE: u8 = 10;
const TIME: u8 = 11;
const DATETIME: u8 = 12;
const YEAR: u8 = 13;

/// How many digits behind the point a time has when their number is not fixed.
const DECIMALS_VARY: u8 = 31;

/// Length of the row at the start, with its headers; `None` when it is not whole.
pub(super) fn row_len(rows: &[u8]) -> Option<usize> {
    let mut len = 0;
    loop {
        let header = Header::read(rows.get(len..)?, PAYLOAD_MAX).ok()??;
        len += header.frame_len;
        if !header.is_continued() {
            return (len <= rows.len()).then_some(len);
        }
    }
}

/// The values at `positions`, in their order; false when the row cannot be read so far.
pub(super) fn values_at<'b>(
    row: &'b [u8],
    format: Format,
    kinds: impl ExactSizeIterator<Item = ColumnType>,
    positions: &[usize],
    values: &mut Vec<Option<&'b [u8]>>,
) -> bool {
    values.clear();
    values.resize(positions.len(), None);
    let Some(last) = positions.iter().copied().max() else { return true };
    if last >= kinds.len() {
        return false;
    }
    let wanted = |index: usize| positions.iter().enumerate().filter(move |(_, position)| **position == index);
    let mut cursor = Cursor { row, at: 0 };
    let Some(nulls) = cursor.nulls(format, kinds.len()) else { return false };
    for (index, kind) in kinds.enumerate().take(last + 1) {
        let Some(value) = (match format {
            Format::Text => cursor.text_value(),
            Format::Binary if nulls.is_null(index) => Some(None),
            Format::Binary => cursor.binary_value(kind),
        }) else {
            return false;
        };
        for (slot, _) in wanted(index) {
            match value {
                None => {}
                // Interrupted by a header.
                Some(Piece { bytes: None }) => return false,
                Some(Piece { bytes }) => {
                    if let Some(slot) = values.get_mut(slot) {
                        *slot = bytes;
                    }
                }
            }
        }
    }
    true
}

/// The bitmap of a binary row, where it lies.
struct Nulls<'b> {
    cursor: Cursor<'b>,
}

impl Nulls<'_> {
    fn is_null(&self, index: usize) -> bool {
        // Two bits are reserved.
        let bit = index + 2;
        let at = Cursor { row: self.cursor.row, at: self.cursor.at + bit / 8 }.peek();
        at.is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }
}

/// A value: its bytes, unless a header interrupts them.
#[derive(Clone, Copy)]
struct Piece<'b> {
    bytes: Option<&'b [u8]>,
}

/// Walks over the payload of a row as if no headers stood in it.
#[derive(Clone, Copy)]
struct Cursor<'b> {
    row: &'b [u8],
    /// Offset in the payload.
    at: usize,
}

impl<'b> Cursor<'b> {
    fn raw(at: usize) -> usize {
        at + HEADER_LEN * (at / PAYLOAD_MAX + 1)
    }

    fn peek(&self) -> Option<u8> {
        self.row.get(Cursor::raw(self.at)).copied()
    }

    fn u8(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        let mut number = 0;
        for index in 0..bytes {
            number |= u64::from(self.u8()?) << (8 * index);
        }
        Some(number)
    }

    fn take(&mut self, len: usize) -> Option<Piece<'b>> {
        let end = self.at.checked_add(len)?;
        let start = Cursor::raw(self.at);
        if len == 0 {
            return Some(Piece { bytes: Some(&[]) });
        }
        let last = Cursor::raw(end - 1);
        if last >= self.row.len() {
            return None;
        }
        let bytes = self.row.get(start..last + 1).filter(|bytes| bytes.len() == len);
        self.at = end;
        Some(Piece { bytes })
    }

    fn lenenc(&mut self, first: u8) -> Option<usize> {
        let len = match first {
            0..=0xFA => u64::from(first),
            0xFC => self.number(2)?,
            0xFD => self.number(3)?,
            0xFE => self.number(8)?,
            0xFB | 0xFF => return None,
        };
        usize::try_from(len).ok()
    }

    /// Steps over the first byte and the bitmap of a binary row.
    fn nulls(&mut self, format: Format, columns: usize) -> Option<Nulls<'b>> {
        if format == Format::Binary {
            self.u8().filter(|first| *first == 0)?;
        }
        let nulls = Nulls { cursor: *self };
        if format == Format::Binary {
            self.at += (columns + 9) / 8;
        }
        Some(nulls)
    }

    fn text_value(&mut self) -> Option<Option<Piece<'b>>> {
        let first = self.u8()?;
        if first == 0xFB {
            return Some(None);
        }
        let len = self.lenenc(first)?;
        self.take(len).map(Some)
    }

    fn binary_value(&mut self, kind: ColumnType) -> Option<Option<Piece<'b>>> {
        let len = match kind.code {
            NULL => return Some(None),
            TINY => 1,
            SHORT | YEAR => 2,
            LONG | INT24 | FLOAT => 4,
            LONGLONG | DOUBLE => 8,
            DATE | DATETIME | TIMESTAMP | TIME => self.u8()?.into(),
            _ => {
                let first = self.u8()?;
                self.lenenc(first)?
            }
        };
        self.take(len).map(Some)
    }
}

/// Writes a value in one canonical form, so that text and binary transfers of a key are the same key.
///
/// Whole numbers of any width become decimal text without leading zeros, points in time become their text; everything
/// else stays as it is. What has no text form of its own (floating point) is marked when binary: such a key is still
/// distinct per value, only not shared with its text form.
pub(super) fn canonical(kind: ColumnType, format: Format, value: &[u8], out: &mut Vec<u8>) {
    let whole = matches!(kind.code, TINY | SHORT | LONG | LONGLONG | INT24 | YEAR);
    if format == Format::Text {
        // ZEROFILL is for the eye.
        let plain = whole && value.len() > 1 && value.iter().all(u8::is_ascii_digit);
        let zeros =
            if plain { value.iter().take_while(|digit| **digit == b'0').count().min(value.len() - 1) } else { 0 };
        out.extend_from_slice(value.get(zeros..).unwrap_or(value));
        return;
    }
    let unsigned = kind.flags & FLAG_UNSIGNED != 0;
    let text = match (kind.code, value) {
        (TINY, [a]) if unsigned => Some(a.to_string()),
        (TINY, [a]) => Some(i8::from_le_bytes([*a]).to_string()),
        (SHORT | YEAR, [a, b]) if unsigned || kind.code == YEAR => Some(u16::from_le_bytes([*a, *b]).to_string()),
        (SHORT, [a, b]) => Some(i16::from_le_bytes([*a, *b]).to_string()),
        (LONG | INT24, [a, b, c, d]) if unsigned => Some(u32::from_le_bytes([*a, *b, *c, *d]).to_string()),
        (LONG | INT24, [a, b, c, d]) => Some(i32::from_le_bytes([*a, *b, *c, *d]).to_string()),
        (LONGLONG, bytes) => <[u8; 8]>::try_from(bytes).ok().map(|bytes| {
            if unsigned { u64::from_le_bytes(bytes).to_string() } else { i64::from_le_bytes(bytes).to_string() }
        }),
        (DATE, bytes) => date(bytes),
        (DATETIME | TIMESTAMP, bytes) => date(bytes).zip(time_of_day(bytes, kind.decimals)).map(|(d, t)| d + " " + &t),
        (TIME, bytes) => duration(bytes, kind.decimals),
        (FLOAT | DOUBLE, _) => None,
        (_, bytes) => {
            out.extend_from_slice(bytes);
            return;
        }
    };
    match text {
        Some(text) => out.extend_from_slice(text.as_bytes()),
        None => {
            out.push(0);
            out.extend_from_slice(value);
        }
    }
}

fn date(bytes: &[u8]) -> Option<String> {
    match bytes {
        [] => Some("0000-00-00".to_owned()),
        [low, high, month, day, ..] => Some(format!("{:04}-{month:02}-{day:02}", u16::from_le_bytes([*low, *high]))),
        _ => None,
    }
}

fn time_of_day(bytes: &[u8], decimals: u8) -> Option<String> {
    let (hour, minute, second, micros) = match bytes.get(4..).unwrap_or(&[]) {
        [] => (0, 0, 0, 0),
        [hour, minute, second] => (*hour, *minute, *second, 0),
        [hour, minute, second, a, b, c, d] => (*hour, *minute, *second, u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return None,
    };
    Some(format!("{hour:02}:{minute:02}:{second:02}{}", fraction(micros, decimals)))
}

fn duration(bytes: &[u8], decimals: u8) -> Option<String> {
    let (negative, days, time, micros) = match bytes {
        [] => (0, 0, [0, 0, 0], 0),
        [negative, a, b, c, d, hour, minute, second, rest @ ..] => {
            let micros = match rest {
                [] => 0,
                [a, b, c, d] => u32::from_le_bytes([*a, *b, *c, *d]),
                _ => return None,
            };
            (*negative, u32::from_le_bytes([*a, *b, *c, *d]), [*hour, *minute, *second], micros)
        }
        _ => return None,
    };
    let [hour, minute, second] = time;
    let hours = u64::from(days) * 24 + u64::from(hour);
    let sign = if negative == 0 { "" } else { "-" };
    Some(format!("{sign}{hours:02}:{minute:02}:{second:02}{}", fraction(micros, decimals)))
}

/// Digits of a fraction of a second, as the server writes them as text.
fn fraction(micros: u32, decimals: u8) -> String {
    let digits = match decimals {
        0 => return String::new(),
        DECIMALS_VARY if micros == 0 => return String::new(),
        1..=6 => usize::from(decimals),
        _ => 6,
    };
    let text = format!("{micros:06}");
    format!(".{}", text.get(..digits).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::super::packet::{put_lenenc_bytes, put_packet};
    use super::*;

    const STRING: u8 = 253;

    fn kind(code: u8, flags: u16, decimals: u8) -> ColumnType {
        ColumnType { code, flags, charset: 45, decimals }
    }

    fn row(payload: &[u8]) -> Vec<u8> {
        let mut row = Vec::new();
        put_packet(&mut row, 250, payload);
        row
    }

    /// The values at these positions; `None` when the row cannot be read.
    fn values(row: &[u8], format: Format, codes: &[u8], positions: &[usize]) -> Option<Vec<Option<String>>> {
        let mut values = Vec::new();
        let kinds = codes.iter().map(|code| kind(*code, 0, 0));
        let read = values_at(row, format, kinds, positions, &mut values);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        read.then(|| values.into_iter().map(|value| value.map(text)).collect())
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn text_rows() {
        let bytes = row(b"\x0242\xfb\0\xfc\x03\0abc\xfe\x01\0\0\0\0\0\0\0z");
        let codes = [LONG, STRING, STRING, STRING, STRING];
        let expected = vec![some("z"), some("42"), None, some(""), some("abc"), some("42")];
        assert_eq!(values(&bytes, Format::Text, &codes, &[4, 0, 1, 2, 3, 0]), Some(expected));
        assert_eq!(values(&bytes, Format::Text, &codes, &[]), Some(vec![]));
        assert_eq!(values(&bytes, Format::Text, &codes, &[5]), None, "there is no such column");
        for lie in [b"\x0342".as_slice(), b"\xff", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", b""] {
            assert_eq!(values(&row(lie), Format::Text, &codes, &[0]), None, "{lie:?}");
        }
    }

    #[test]
    fn binary_rows() {
        let codes = [LONG, STRING, NULL, SHORT, DATE, LONGLONG, TINY];
        // The second value is NULL.
        let bytes = row(b"\0\x08\0\x2a\0\0\0\x07\0\x04\xea\x07\x0b\x18\x01\0\0\0\0\0\0\0\x09");
        let expected = vec![some("\t"), some("*\0\0\0"), None, some("\u{7}\0")];
        assert_eq!(values(&bytes, Format::Binary, &codes, &[6, 0, 1, 3]), Some(expected));
        let short = &bytes[..bytes.len() - 1];
        assert_eq!(values(short, Format::Binary, &codes, &[6]), None);
        assert!(values(short, Format::Binary, &codes, &[5]).is_some(), "what stands before can be read");
        assert_eq!(values(&row(b"\x01\0\0"), Format::Binary, &codes, &[0]), None, "no binary row begins so");
        // The eighth column has its bit in the second byte.
        let nulls = row(b"\0\0\x02\x01\x02\x03\x04\x05\x06\x07\x09");
        let codes = [TINY; 9];
        assert_eq!(values(&nulls, Format::Binary, &codes, &[7, 8]), Some(vec![None, some("\t")]));
    }

    /// Headers stand in the middle of a row of 16 MiB: what lies on either side is read, what they interrupt is not.
    #[test]
    fn rows_of_more_than_one_packet() {
        let codes = [STRING; 4];
        for before in [100, PAYLOAD_MAX - 14, PAYLOAD_MAX - 12, PAYLOAD_MAX - 9, PAYLOAD_MAX - 4, PAYLOAD_MAX + 9] {
            let mut payload = Vec::new();
            put_lenenc_bytes(&mut payload, b"key");
            put_lenenc_bytes(&mut payload, &vec![b'x'; before - 4]);
            let at = payload.len();
            put_lenenc_bytes(&mut payload, b"other");
            put_lenenc_bytes(&mut payload, &vec![b'y'; PAYLOAD_MAX + 1]);
            let bytes = row(&payload);
            assert_eq!(row_len(&[bytes.as_slice(), b"\x01\0\0\x07x"].concat()), Some(bytes.len()));
            assert_eq!(row_len(&bytes[..bytes.len() - 1]), None);
            assert_eq!(values(&bytes, Format::Text, &codes, &[0]), Some(vec![some("key")]));
            // The bytes of `other`, behind its length.
            let interrupted = (at + 1) / PAYLOAD_MAX != (at + 5) / PAYLOAD_MAX;
            let expected = (!interrupted).then(|| vec![some("other")]);
            assert_eq!(values(&bytes, Format::Text, &codes, &[2]), expected, "{before}");
            assert!(values(&bytes, Format::Text, &codes, &[3]).is_none());
        }
    }

    #[test]
    fn a_key_is_the_same_as_text_and_as_binary() {
        let cases: [(ColumnType, &[u8], &[u8]); 17] = [
            (kind(TINY, 0, 0), b"-1", b"\xff"),
            (kind(TINY, FLAG_UNSIGNED, 0), b"255", b"\xff"),
            (kind(SHORT, 0, 0), b"-2", b"\xfe\xff"),
            (kind(YEAR, FLAG_UNSIGNED, 0), b"2026", b"\xea\x07"),
            (kind(YEAR, 0, 0), b"0000", b"\0\0"),
            (kind(INT24, 0, 0), b"-3", b"\xfd\xff\xff\xff"),
            (kind(LONG, FLAG_UNSIGNED, 0), b"0000000042", b"\x2a\0\0\0"),
            (kind(LONGLONG, 0, 0), b"-9223372036854775808", b"\0\0\0\0\0\0\0\x80"),
            (kind(LONGLONG, FLAG_UNSIGNED, 0), b"9223372036854775808", b"\0\0\0\0\0\0\0\x80"),
            (kind(246, 0, 2), b"1.50", b"1.50"),
            (kind(STRING, 0, 0), b"007", b"007"),
            (kind(DATE, 0, 0), b"2026-11-24", b"\xea\x07\x0b\x18"),
            (kind(DATE, 0, 0), b"0000-00-00", b""),
            (kind(DATETIME, 0, 0), b"2026-11-24 00:00:00", b"\xea\x07\x0b\x18"),
            (kind(TIMESTAMP, 0, 3), b"2026-11-24 01:02:03.456", b"\xea\x07\x0b\x18\x01\x02\x03\x40\xf5\x06\0"),
            (kind(TIME, 0, 0), b"-25:02:03", b"\x01\x01\0\0\0\x01\x02\x03"),
            (kind(TIME, 0, 6), b"00:00:00.000000", b""),
        ];
        for (kind, text, binary) in cases {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            canonical(kind, Format::Text, text, &mut one);
            canonical(kind, Format::Binary, binary, &mut two);
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(shown(&one), shown(&two), "{kind:?}");
        }
        // Floating point numbers stay apart by value.
        let mut out = Vec::new();
        canonical(kind(DOUBLE, 0, 0), Format::Binary, &1.5_f64.to_le_bytes(), &mut out);
        assert_eq!(out.len(), 9);
    }
}
