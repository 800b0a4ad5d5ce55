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
    // A character set in front may stand apart.
    let start = if raw.first() == Some(&b'_') {
        raw.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'#' | b'-'))?
    } else {
        0
    };
    let raw = raw.get(start..)?.trim_ascii_start();
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
