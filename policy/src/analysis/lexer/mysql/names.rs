//! Names: what they are without their quotes, and which of them say a string's character set.

use std::borrow::Cow;

use super::super::{Kind, undouble};
use crate::analysis::literals;

/// Character sets of MySQL and MariaDB.
const CHARSETS: [&[u8]; 41] = [
    b"armscii8",
    b"ascii",
    b"big5",
    b"binary",
    b"cp1250",
    b"cp1251",
    b"cp1256",
    b"cp1257",
    b"cp850",
    b"cp852",
    b"cp866",
    b"cp932",
    b"dec8",
    b"eucjpms",
    b"euckr",
    b"gb2312",
    b"gbk",
    b"geostd8",
    b"greek",
    b"hebrew",
    b"hp8",
    b"keybcs2",
    b"koi8r",
    b"koi8u",
    b"latin1",
    b"latin2",
    b"latin5",
    b"latin7",
    b"macce",
    b"macroman",
    b"sjis",
    b"swe7",
    b"tis620",
    b"ucs2",
    b"ujis",
    b"utf16",
    b"utf16le",
    b"utf32",
    b"utf8",
    b"utf8mb3",
    b"utf8mb4",
];
/// One that MySQL has and MariaDB does not.
const MYSQL_CHARSET: &[u8] = b"gb18030";

/// Whether an unquoted name in front of a string says its character set.
pub(super) fn is_introducer(name: &[u8], mariadb: bool) -> bool {
    let Some(charset) = name.strip_prefix(b"_") else { return false };
    CHARSETS.iter().any(|known| charset.eq_ignore_ascii_case(known))
        || (!mariadb && charset.eq_ignore_ascii_case(MYSQL_CHARSET))
}

/// The name that a token stands for, without quotes and `@`, in the case that it is written in.
pub(in crate::analysis::lexer) fn identifier(raw: &[u8], kind: Kind, escapes: bool) -> Cow<'_, str> {
    let inner = match kind {
        Kind::Quoted => raw,
        Kind::Variable => raw.strip_prefix(b"@").unwrap_or(raw),
        Kind::SystemVariable => raw.strip_prefix(b"@@").unwrap_or(raw),
        _ => return three_bytes(String::from_utf8_lossy(raw)),
    };
    let Some((quote, rest)) = inner.split_first().filter(|(first, _)| matches!(first, b'`' | b'"' | b'\'')) else {
        return three_bytes(String::from_utf8_lossy(inner));
    };
    let rest = rest.strip_suffix(&[*quote]).unwrap_or(rest);
    if kind == Kind::Variable && escapes && *quote != b'`' && rest.contains(&b'\\') {
        return three_bytes(Cow::Owned(String::from_utf8_lossy(&literals::unescape(rest, *quote)).into_owned()));
    }
    if rest.contains(quote) {
        return three_bytes(Cow::Owned(String::from_utf8_lossy(&undouble(rest, *quote)).into_owned()));
    }
    three_bytes(String::from_utf8_lossy(rest))
}

/// Names hold characters of at most three bytes: the server makes a question mark of any other.
fn three_bytes(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.is_ascii() || name.chars().all(|character| character.len_utf8() <= 3) {
        return name;
    }
    Cow::Owned(name.chars().map(|character| if character.len_utf8() <= 3 { character } else { '?' }).collect())
}
