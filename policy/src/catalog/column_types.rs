//! Numbers of MySQL's column types, as its protocol has them in a column's definition.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html>
//!
//! INVARIANT: a type that is not known is never said to be a number.

/// `INT`, the commonest key.
pub const LONG: u32 = 3;

/// Numbers, old decimals aside, whose 0 stands for "not known" in a catalog: TINYINT, SMALLINT, INT, FLOAT, DOUBLE,
/// BIGINT, MEDIUMINT, YEAR, DECIMAL.
const NUMBERS: [u32; 9] = [1, 2, LONG, 4, 5, 8, 9, 13, 246];

/// TIMESTAMP and DATETIME.
const MOMENTS: [u32; 2] = [7, 12];
/// Numbers of PostgreSQL's `timestamp` and `timestamptz`, which never change.
/// <https://www.postgresql.org/docs/current/datatype-oid.html>
const POSTGRES_MOMENTS: [u32; 2] = [1114, 1184];

/// Whether a type of MySQL's holds a moment, with its time of the day.
pub fn is_mysql_moment(type_oid: u32) -> bool {
    MOMENTS.contains(&type_oid)
}

/// Whether a type of PostgreSQL's holds a moment, with its time of the day.
pub fn is_postgres_moment(type_oid: u32) -> bool {
    POSTGRES_MOMENTS.contains(&type_oid)
}

/// Whether values of the type compare as numbers with numbers and with strings alike, so that one value of any kind
/// equals at most one of them.
pub fn is_number(type_oid: u32) -> bool {
    NUMBERS.contains(&type_oid)
}
