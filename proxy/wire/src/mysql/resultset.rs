//! Column definitions: what the server says of a result before its first row.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_text_resultset_column_definition.html>
//! <https://mariadb.com/kb/en/result-set-packets/#column-definition-packet>
//!
//! Where a column comes from is a positive signal only: an alias that the client chose can stand for the relation, and
//! behind an expression, a union or an aggregate nothing stands at all.

use std::ops::Range;

use super::packet::Fields;
use super::row::{ColumnType, canonical, values_at};
use crate::step::{ColumnOrigin, Shape};

/// Columns of one result. Both servers end at 4096 for a table and for a select list.
pub(super) const COLUMNS_MAX: u64 = 4096;

/// Names of one result that are kept, in bytes: a name has 64 characters at most, and a relation's is kept once for
/// neighbouring columns. A column beyond it has no known origin.
const NAMES_BYTES_MAX: usize = 1 << 20;

/// How the values of a result travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// By type.
    Binary,
}

/// Columns of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultShape {
    format: Format,
    columns: Vec<Column>,
    /// All names, one behind the other.
    names: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    kind: ColumnType,
    schema: Range<usize>,
    relation: Range<usize>,
    name: Range<usize>,
}

impl ResultShape {
    /// A result without columns, for [`ResultShape::read_column`].
    pub fn new(format: Format) -> ResultShape {
        ResultShape { format, columns: Vec::new(), names: String::new() }
    }

    /// Reads the next column definition. `None`: it does not follow the format.
    pub fn read_column(&mut self, payload: &[u8], extended: bool) -> Option<()> {
        let mut fields = Fields::new(payload);
        fields.lenenc_bytes()?;
        let schema = fields.lenenc_bytes()?;
        fields.lenenc_bytes()?;
        let relation = fields.lenenc_bytes()?;
        fields.lenenc_bytes()?;
        let name = fields.lenenc_bytes()?;
        if extended {
            // MariaDB's own names of types: JSON is text, UUID is bytes.
            fields.lenenc_bytes()?;
        }
        let mut fixed = Fields::new(fields.lenenc_bytes()?);
        let charset = fixed.u16()?;
        fixed.u32()?;
        let (code, flags, decimals) = (fixed.u8()?, fixed.u16()?, fixed.u8()?);
        let kind = ColumnType { code, flags, charset, decimals };
        let before = self.columns.last().cloned();
        let schema = self.keep(schema, before.as_ref().map(|column| &column.schema));
        let relation = self.keep(relation, before.as_ref().map(|column| &column.relation));
        let name = self.keep(name, None);
        self.columns.push(Column { kind, schema, relation, name });
        Some(())
    }

    /// Keeps a name once where the column before has it, too. What is no name in UTF-8 is not known: the client may have
    /// asked for another character set.
    fn keep(&mut self, name: &[u8], before: Option<&Range<usize>>) -> Range<usize> {
        let Ok(name) = std::str::from_utf8(name) else { return 0..0 };
        if let Some(range) = before.filter(|range| self.names.get((*range).clone()) == Some(name)) {
            return range.clone();
        }
        let start = self.names.len();
        if name.contains('\0') || start + name.len() > NAMES_BYTES_MAX {
            return 0..0;
        }
        self.names.push_str(name);
        start..self.names.len()
    }

    /// How its values travel.
    pub fn format(&self) -> Format {
        self.format
    }
}

impl Shape for ResultShape {
    fn columns(&self) -> usize {
        self.columns.len()
    }

    fn origin(&self, column: usize) -> ColumnOrigin<'_> {
        let known = |range: &Range<usize>| self.names.get(range.clone()).filter(|name| !name.is_empty());
        let Some(column) = self.columns.get(column) else { return ColumnOrigin::Unknown };
        match (known(&column.schema), known(&column.relation), known(&column.name)) {
            // MySQL says no schema for some, and MariaDB not for a derived table: the relation is named all the same.
            (schema, Some(relation), Some(name)) => {
                ColumnOrigin::Name { schema: schema.unwrap_or_default(), relation, column: name }
            }
            _ => ColumnOrigin::Unknown,
        }
    }

    fn values_at<'b>(&self, row: &'b [u8], positions: &[usize], values: &mut Vec<Option<&'b [u8]>>) -> bool {
        let kinds = self.columns.iter().map(|column| column.kind);
        values_at(row, self.format, kinds, positions, values)
    }

    fn canonical(&self, column: usize, value: &[u8], out: &mut Vec<u8>) {
        match self.columns.get(column) {
            Some(column) => canonical(column.kind, self.format, value, out),
            None => out.extend_from_slice(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::put_lenenc_bytes;
    use super::*;

    fn definition(names: [&[u8]; 3], extended: bool) -> Vec<u8> {
        let mut payload = Vec::new();
        for name in [b"def", names[0], b"alias", names[1], b"shown", names[2]] {
            put_lenenc_bytes(&mut payload, name);
        }
        if extended {
            put_lenenc_bytes(&mut payload, b"\0\x04uuid");
        }
        put_lenenc_bytes(&mut payload, b"\x2d\0\0\x04\0\0\xfd\x01\x10\0\0\0");
        payload
    }

    fn shape(definitions: &[[&[u8]; 3]]) -> ResultShape {
        let mut shape = ResultShape::new(Format::Text);
        for names in definitions {
            shape.read_column(&definition(*names, false), false).unwrap();
        }
        shape
    }

    #[test]
    fn origins_are_the_names_behind_the_aliases() {
        let shape = shape(&[
            [b"shop", b"customers", b"id"],
            [b"shop", b"customers", b"email"],
            [b"", b"customers", b"email"],
            [b"shop", b"", b"x"],
            [b"", b"", b""],
            [b"shop", b"caf\xe9", b"x"],
            [b"s\0h\0", b"c\0u\0", b"x\0"],
        ]);
        assert_eq!(shape.columns(), 7);
        let named = |schema, column| ColumnOrigin::Name { schema, relation: "customers", column };
        assert_eq!(shape.origin(0), named("shop", "id"));
        assert_eq!(shape.origin(1), named("shop", "email"));
        assert_eq!(shape.origin(2), named("", "email"));
        for column in 3..8 {
            assert_eq!(shape.origin(column), ColumnOrigin::Unknown, "{column}");
        }
        assert_eq!(shape.names.matches("customers").count(), 1);
    }

    #[test]
    fn names_are_kept_within_a_bound() {
        let long = "n".repeat(60_000);
        let mut shape = ResultShape::new(Format::Binary);
        for _ in 0..40 {
            shape.read_column(&definition([b"s", b"r", long.as_bytes()], false), false).unwrap();
        }
        assert!(shape.names.len() <= NAMES_BYTES_MAX);
        assert_eq!(shape.origin(0), ColumnOrigin::Name { schema: "s", relation: "r", column: &long });
        assert_eq!((shape.columns(), shape.origin(39)), (40, ColumnOrigin::Unknown));
    }

    #[test]
    fn a_definition_that_ends_anywhere_else_is_none() {
        for extended in [false, true] {
            let payload = definition([b"shop", b"customers", b"id"], extended);
            let mut shape = ResultShape::new(Format::Text);
            for end in 0..payload.len() {
                assert_eq!(shape.read_column(&payload[..end], extended), None);
            }
            assert_eq!(shape.columns(), 0);
            assert_eq!(shape.read_column(&payload, extended), Some(()));
            let kind = ColumnType { code: 0xFD, flags: 0x1001, charset: 45, decimals: 0 };
            assert_eq!(shape.columns.first().map(|column| column.kind), Some(kind));
        }
    }
}
