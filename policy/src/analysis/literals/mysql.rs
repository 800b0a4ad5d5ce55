//! Values of MySQL's literals.

use std::borrow::Cow;

use super::super::lexer::Segments;
use super::super::{LiteralKind, MysqlLex, Quoting};

/// The value of a literal, given all its bytes. Of a string with a character set it is the bytes as they were sent.
pub(super) fn value(raw: &[u8], kind: LiteralKind, settings: MysqlLex) -> Option<Cow<'_, [u8]>> {
    match kind {
        LiteralKind::Number => number(raw),
        LiteralKind::Bits => bits(raw).map(Cow::Owned),
        LiteralKind::String(Quoting::Dollar) => super::dollar(raw).map(Cow::Borrowed),
        LiteralKind::String(_) => {
            let begin = match raw.first()? {
                b'\'' | b'"' => 0,
                b'_' => raw.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')?,
                _ => 1,
            };
            string(raw.get(begin..)?, !settings.no_backslash_escapes)
        }
    }
}

fn string(raw: &[u8], escapes: bool) -> Option<Cow<'_, [u8]>> {
    let mut value: Option<Cow<'_, [u8]>> = None;
    for segment in Segments::new(raw, escapes) {
        let segment = segment?;
        let quote = *segment.first()?;
        let inner = segment.get(1..segment.len().checked_sub(1)?)?;
        let plain = if escapes && inner.contains(&b'\\') {
            Cow::Owned(unescape(inner, quote))
        } else if inner.contains(&quote) {
            Cow::Owned(super::undouble(inner, quote))
        } else {
            Cow::Borrowed(inner)
        };
        value = Some(match value {
            None => plain,
            Some(before) => {
                let mut whole = before.into_owned();
                whole.extend_from_slice(&plain);
                Cow::Owned(whole)
            }
        });
    }
    value
}

/// Takes escapes and doubled quotes out of the inside of a string. `\%` and `\_` stay, for LIKE.
pub(in crate::analysis) fn unescape(inner: &[u8], quote: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        if *byte == quote {
            bytes.next();
        }
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(b'0') => out.push(0),
            Some(b'b') => out.push(8),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'Z') => out.push(0x1a),
            Some(pattern @ (b'%' | b'_')) => out.extend([b'\\', *pattern]),
            Some(other) => out.push(*other),
            None => {}
        }
    }
    out
}

/// A number as it is compared: without zeros that say nothing. One with an exponent is not exact.
fn number(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let point = raw.iter().position(|byte| *byte == b'.').unwrap_or(raw.len());
    let (whole, fraction) = (raw.get(..point)?, raw.get(point + 1..).unwrap_or_default());
    if !whole.iter().chain(fraction).all(u8::is_ascii_digit) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let first = whole.iter().position(|byte| *byte != b'0').unwrap_or(whole.len());
    let whole = whole.get(first..)?;
    let last = fraction.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1);
    let fraction = fraction.get(..last)?;
    if fraction.is_empty() && !whole.is_empty() {
        return Some(Cow::Borrowed(whole));
    }
    let mut out = Vec::with_capacity(whole.len() + fraction.len() + 2);
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction);
    }
    Some(Cow::Owned(out))
}

/// The bytes that `0x…`, `x'…'`, `0b…` and `b'…'` stand for, whatever character set they are said to be of.
fn bits(raw: &[u8]) -> Option<Vec<u8>> {
    // A character set in front ends at a blank: any other byte would be part of its name, or of a comment.
    let charset = if raw.first() == Some(&b'_') { raw.iter().position(u8::is_ascii_whitespace)? } else { 0 };
    let raw = raw.get(charset..)?.trim_ascii_start();
    let (marker, rest) = raw.split_at_checked(2)?;
    let digits = rest.strip_suffix(b"'").unwrap_or(rest);
    let text = std::str::from_utf8(digits).ok()?;
    let per_byte = match marker {
        b"0x" | b"x'" | b"X'" => 2,
        b"0b" | b"b'" | b"B'" => 8,
        _ => return None,
    };
    let radix = if per_byte == 2 { 16 } else { 2 };
    // A first byte may be written with fewer digits.
    let first = digits.len() % per_byte;
    let mut out = Vec::with_capacity(digits.len() / per_byte + 1);
    if first > 0 {
        out.push(u8::from_str_radix(text.get(..first)?, radix).ok()?);
    }
    for at in (first..digits.len()).step_by(per_byte) {
        out.push(u8::from_str_radix(text.get(at..at + per_byte)?, radix).ok()?);
    }
    Some(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::{LexSettings, literal_value, shape};
    use super::*;

    const LEX: MysqlLex =
        MysqlLex { mariadb: false, version: 90_704, ansi_quotes: false, no_backslash_escapes: false, utf8: true };

    fn values(text: &str, lex: MysqlLex) -> Vec<Option<String>> {
        let lex = LexSettings::Mysql(lex);
        let shape = shape(text.as_bytes(), lex);
        let value = |literal| literal_value(text.as_bytes(), literal, lex);
        shape.literals.iter().map(|literal| Some(String::from_utf8(value(literal)?.into_owned()).unwrap())).collect()
    }

    fn check(text: &str, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|value| Some((*value).to_owned())).collect();
        assert_eq!(values(text, LEX), expected, "{text}");
    }

    #[test]
    fn strings_are_what_the_servers_read() {
        // As hex(…) of the same string had it on both servers.
        check(r#"'\0\'\"\b\n\r\t\Z\\\%\_\q\a\v\f'"#, &["\0'\"\u{8}\n\r\t\u{1a}\\\\%\\_qavf"]);
        check(r#"("a''b"), ('a""b'), ("a""b"), ('a''b'), ("a\"b")"#, &["a''b", "a\"\"b", "a\"b", "a'b", "a\"b"]);
        check(r"'\é'", &["é"]);
        check(
            "'a' 'b'\n\"c\" /* x */ # y\n'd', N'e' 'f', _utf8mb4 /* x */ 'g', _binary'h\\n'",
            &["abcd", "ef", "g", "h\n"],
        );
        let plain = MysqlLex { no_backslash_escapes: true, ..LEX };
        assert_eq!(values(r"'a\', 'b\\'", plain), [Some(r"a\".to_owned()), Some(r"b\\".to_owned())]);
    }

    #[test]
    fn what_a_versioned_comment_cuts_has_no_value() {
        assert_eq!(values("'a' /*!50000 'b' */ 'c'", LEX), [None]);
        assert_eq!(values("/*!50000 'b' */ 'c'", LEX), [None]);
        assert_eq!(values("_utf8 /*! 'b' */", LEX), [None]);
        assert_eq!(values("_utf8 /*!99999 x */ 'b'", LEX), [None]);
        assert_eq!(values("'b", LEX), [None]);
    }

    #[test]
    fn bits_are_bytes() {
        check(
            "0x41, x'4142', X'', 0b1000001, b'01000001', 0x2041, _utf8 X'41', _binary\n0x41",
            &["A", "AB", "", "A", "A", " A", "A", "A"],
        );
        assert_eq!(values("_binary /* 0x42 */ 0x41", LEX), [None]);
        assert_eq!(values("0x141", LEX), [Some("\u{1}A".to_owned())]);
    }

    #[test]
    fn numbers_are_written_in_one_way() {
        check("7 007 7.0 7. 07.00", &["7", "7", "7", "7", "7"]);
        check(
            "0 00 0.0 .0 .5 0.50 1.050 18446744073709551616",
            &["0", "0", "0", "0", "0.5", "0.5", "1.05", "18446744073709551616"],
        );
        // A double equals several integers.
        assert_eq!(values("1e3 1.5e-3 9007199254740992e0", LEX), [None, None, None]);
    }
}
