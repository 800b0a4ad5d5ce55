//! Result shapes (RowDescription) and the few values of a row that a key needs, read in place.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-ROWDESCRIPTION>

use super::frame::{Fields, HEADER_LEN};
use crate::step::{ColumnOrigin, Shape};

/// One result column: where it comes from, and how its values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnShape {
    /// OID of the relation, 0 when the column is not a plain column of one.
    pub relation_oid: u32,
    /// Attribute number, 0 likewise.
    pub attribute: i16,
    /// Type OID.
    pub type_oid: u32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// All columns of a result.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct RowShape {
    /// In result order.
    pub columns: Vec<ColumnShape>,
}

impl RowShape {
    /// Reads a RowDescription body; `None` when it is malformed.
    pub fn read(body: &[u8]) -> Option<RowShape> {
        let mut fields = Fields::new(body);
        let count = usize::from(fields.count()?);
        // A column takes at least 19 bytes: a lying count must not reserve memory.
        let mut columns = Vec::with_capacity(count.min(body.len() / 19 + 1));
        for _ in 0..count {
            fields.cstr()?;
            let relation_oid = fields.u32()?;
            let attribute = fields.i16()?;
            let type_oid = fields.u32()?;
            fields.i16()?;
            fields.i32()?;
            let format = fields.i16()?;
            columns.push(ColumnShape { relation_oid, attribute, type_oid, format });
        }
        fields.is_done().then_some(RowShape { columns })
    }

    /// The same columns with the formats that a Bind message asked for: none = text, one = for all, else one each.
    #[must_use]
    pub fn with_formats(&self, formats: &[i16]) -> RowShape {
        let format_of = |index: usize| match formats {
            [] => 0,
            [all] => *all,
            each => each.get(index).copied().unwrap_or(0),
        };
        let columns =
            self.columns.iter().enumerate().map(|(index, column)| ColumnShape { format: format_of(index), ..*column });
        RowShape { columns: columns.collect() }
    }
}

impl Shape for RowShape {
    fn columns(&self) -> usize {
        self.columns.len()
    }

    fn origin(&self, column: usize) -> ColumnOrigin<'_> {
        match self.columns.get(column) {
            Some(column) => ColumnOrigin::Number { relation: column.relation_oid, attribute: column.attribute },
            None => ColumnOrigin::Unknown,
        }
    }

    fn values_at<'b>(&self, row: &'b [u8], positions: &[usize], values: &mut Vec<Option<&'b [u8]>>) -> bool {
        values_at(row.get(HEADER_LEN..).unwrap_or(&[]), positions, values)
    }

    fn canonical(&self, column: usize, value: &[u8], out: &mut Vec<u8>) {
        if let Some(column) = self.columns.get(column) {
            canonical(column, value, out);
        }
    }
}

/// The values at `positions` (ascending or not) of one DataRow body, in the order of `positions`; `None` when the row
/// is malformed or has no such column. A NULL comes as an empty `None` inside.
pub fn values_at<'b>(body: &'b [u8], positions: &[usize], values: &mut Vec<Option<&'b [u8]>>) -> bool {
    values.clear();
    values.resize(positions.len(), None);
    let Some(last) = positions.iter().copied().max() else { return true };
    let mut fields = Fields::new(body);
    let Some(count) = fields.count() else { return false };
    if last >= usize::from(count) {
        return false;
    }
    for index in 0..=last {
        let Some(value) = fields.value() else { return false };
        for (slot, position) in values.iter_mut().zip(positions) {
            if *position == index {
                *slot = value;
            }
        }
    }
    true
}

/// Writes a value in one canonical form, so that text and binary transfers of a key are the same key.
///
/// Integers of any width become decimal text; uuid becomes its text; everything else stays as it is, marked by its
/// format when binary (such a key is still distinct per value, only not shared with its text form).
pub fn canonical(column: &ColumnShape, value: &[u8], out: &mut Vec<u8>) {
    const INT8: u32 = 20;
    const INT2: u32 = 21;
    const INT4: u32 = 23;
    const TEXT: u32 = 25;
    const OID: u32 = 26;
    const BPCHAR: u32 = 1042;
    const VARCHAR: u32 = 1043;
    const UUID: u32 = 2950;
    if column.format == 0 {
        out.extend_from_slice(value);
        return;
    }
    match (column.type_oid, value) {
        (INT2, [a, b]) => put_decimal(out, i64::from(i16::from_be_bytes([*a, *b]))),
        (INT4, [a, b, c, d]) => put_decimal(out, i64::from(i32::from_be_bytes([*a, *b, *c, *d]))),
        (OID, [a, b, c, d]) => put_decimal(out, i64::from(u32::from_be_bytes([*a, *b, *c, *d]))),
        (INT8, [a, b, c, d, e, f, g, h]) => {
            put_decimal(out, i64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]));
        }
        (UUID, bytes) if bytes.len() == 16 => put_uuid(out, bytes),
        (TEXT | VARCHAR | BPCHAR, bytes) => out.extend_from_slice(bytes),
        (_, bytes) => {
            out.push(0);
            out.extend_from_slice(bytes);
        }
    }
}

fn put_decimal(out: &mut Vec<u8>, value: i64) {
    use std::io::Write;
    // Writing to a Vec cannot fail.
    let _ = write!(out, "{value}");
}

fn put_uuid(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}
