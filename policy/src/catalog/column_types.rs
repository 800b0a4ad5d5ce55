//! Numbers of MySQL's column types, as its protocol has them in a column's definition.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html>
//!
//! INVARIANT: a type that is not known is never said to be a number.

/// `INT`, the commonest key.
pub const LONG: u32 = 3;

/// Numbers, old decimals aside, whose 0 stands for "not known" in a catalog: TINYINT, SMALLINT, INT, FLOAT, DOUBLE,
/// BIGINT, MEDIUMINT, YEAR, DECIMAL.
const NUMBERS: [u32; 9] = [1, 2, LONG, 4, 5, 8, 9, 13, 246];

/// Whether values of the type compare as numbers with numbers and with strings alike, so that one value of any kind
/// equals at most one of them.
pub fn is_number(type_oid: u32) -> bool {
    NUMBERS.contains(&type_oid)
}
