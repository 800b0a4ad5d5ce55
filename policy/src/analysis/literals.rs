//! Values of literals, decoded as the server decodes them.

mod mysql;

use std::borrow::Cow;

use super::lexer::{continuation, undouble};
use super::{LexSettings, LiteralKind, Quoting};

pub(super) use mysql::unescape;

/// The value of a literal, given its bytes with quotes.
pub(super) fn value(raw: &[u8], kind: LiteralKind, settings: LexSettings) -> Option<Cow<'_, [u8]>> {
    let standard_conforming_strings = match settings {
        LexSettings::Postgres { standard_conforming_strings } => standard_conforming_strings,
        LexSettings::Mysql(settings) => return mysql::value(raw, kind, settings),
    };
    match kind {
        LiteralKind::Number => number(raw),
        LiteralKind::Bits => raw.get(2..raw.len().checked_sub(1)?).map(Cow::Borrowed),
        LiteralKind::String(Quoting::Dollar) => dollar(raw).map(Cow::Borrowed),
        LiteralKind::String(Quoting::Unicode) => unicode(raw, b'\'').map(Cow::Owned),
        LiteralKind::String(Quoting::Escape) => escape(&segments(raw.get(1..)?, true)?).map(Cow::Owned),
        LiteralKind::String(Quoting::Standard | Quoting::Charset) => {
            let quoted = if raw.first() == Some(&b'\'') { raw } else { raw.get(1..)? };
            let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
            if !standard_conforming_strings {
                return escape(&segments(quoted, true)?).map(Cow::Owned);
            }
            if !inner.contains(&b'\'') {
                return Some(Cow::Borrowed(inner));
            }
            Some(Cow::Owned(undouble(&segments(quoted, false)?, b'\'')))
        }
    }
}

/// Decodes `U&'…'` or `U&"…"` with its UESCAPE; `None` where the server would refuse it.
pub(super) fn unicode(raw: &[u8], delimiter: u8) -> Option<Vec<u8>> {
    let body = raw.get(2..)?;
    let close = body.iter().rposition(|byte| *byte == delimiter)?;
    // The last quote may be UESCAPE's own.
    let (body, escape) = match find_uescape(body, delimiter) {
        Some((end, escape)) => (body.get(..=end)?, escape),
        None => (body.get(..=close)?, b'\\'),
    };
    let inner =
        if delimiter == b'\'' { segments(body, false)? } else { body.get(1..body.len().checked_sub(1)?)?.to_vec() };
    let plain = undouble(&inner, delimiter);
    let mut out = Vec::with_capacity(plain.len());
    let mut high: Option<u32> = None;
    let mut at = 0;
    while let Some(byte) = plain.get(at) {
        if *byte != escape {
            out.push(*byte);
            at += 1;
            continue;
        }
        if plain.get(at + 1) == Some(&escape) {
            out.push(escape);
            at += 2;
            continue;
        }
        let (digits, skip) = if plain.get(at + 1) == Some(&b'+') {
            (plain.get(at + 2..at + 8)?, 8)
        } else {
            (plain.get(at + 1..at + 5)?, 5)
        };
        let code = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        push_code(&mut out, code, &mut high)?;
        at += skip;
    }
    Some(out)
}

fn find_uescape(body: &[u8], delimiter: u8) -> Option<(usize, u8)> {
    let close = body.len().checked_sub(3)?;
    let (open, character) = (body.get(close)?, body.get(close + 1)?);
    if *open != b'\'' || body.last() != Some(&b'\'') {
        return None;
    }
    let before = body.get(..close)?;
    let word = before.iter().rposition(|byte| byte.eq_ignore_ascii_case(&b'u') && before.len() >= 7)?;
    let word = before.get(word..)?;
    if !word.get(..7)?.eq_ignore_ascii_case(b"uescape") {
        return None;
    }
    let end = before.get(..before.len() - word.len())?.iter().rposition(|byte| *byte == delimiter)?;
    Some((end, *character))
}

fn push_code(out: &mut Vec<u8>, code: u32, high: &mut Option<u32>) -> Option<()> {
    let code = match (high.take(), code) {
        (None, 0xD800..=0xDBFF) => {
            *high = Some(code);
            return Some(());
        }
        (Some(first), 0xDC00..=0xDFFF) => 0x10000 + ((first - 0xD800) << 10) + (code - 0xDC00),
        (Some(_), _) => return None,
        (None, code) => code,
    };
    let mut buffer = [0; 4];
    out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    Some(())
}

/// The inside of a quoted string, with the breaks of a continued string taken out. Doubled quotes stay doubled.
fn segments(quoted: &[u8], backslash_escapes: bool) -> Option<Vec<u8>> {
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    let mut out = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        if backslash_escapes && *byte == b'\\' {
            out.extend(inner.get(at..(at + 2).min(inner.len()))?);
            at += 2;
        } else if *byte == b'\'' && inner.get(at + 1) == Some(&b'\'') {
            out.extend(b"''");
            at += 2;
        } else if *byte == b'\'' {
            at = continuation(inner, at + 1)?;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    Some(out)
}

fn dollar(raw: &[u8]) -> Option<&[u8]> {
    let tag = raw.get(1..)?.iter().position(|byte| *byte == b'$')? + 2;
    raw.get(tag..raw.len().checked_sub(tag)?)
}

fn escape(inner: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(inner.len());
    let mut high = None;
    let mut at = 0;
    while let Some(byte) = inner.get(at) {
        at += 1;
        if *byte == b'\'' {
            out.push(b'\'');
            at += 1;
            continue;
        }
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let code = *inner.get(at)?;
        at += 1;
        match code {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let digits = inner.get(at - 1..)?.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
                let number =
                    u32::from_str_radix(std::str::from_utf8(inner.get(at - 1..at - 1 + digits)?).ok()?, 8).ok()?;
                out.push(u8::try_from(number & 0xff).ok()?);
                at += digits - 1;
            }
            b'x' => {
                let digits = inner.get(at..)?.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
                if digits == 0 {
                    out.push(b'x');
                } else {
                    out.push(u8::from_str_radix(std::str::from_utf8(inner.get(at..at + digits)?).ok()?, 16).ok()?);
                    at += digits;
                }
            }
            b'u' | b'U' => {
                let digits = if code == b'u' { 4 } else { 8 };
                let number = u32::from_str_radix(std::str::from_utf8(inner.get(at..at + digits)?).ok()?, 16).ok()?;
                push_code(&mut out, number, &mut high)?;
                at += digits;
            }
            other => out.push(other),
        }
    }
    Some(out)
}

fn number(raw: &[u8]) -> Option<Cow<'_, [u8]>> {
    let radix = match raw.get(..2) {
        Some(b"0x" | b"0X") => 16,
        Some(b"0o" | b"0O") => 8,
        Some(b"0b" | b"0B") => 2,
        _ if raw.contains(&b'_') => {
            return Some(Cow::Owned(raw.iter().copied().filter(|byte| *byte != b'_').collect()));
        }
        _ => return Some(Cow::Borrowed(raw)),
    };
    let digits: String = raw.get(2..)?.iter().filter(|byte| **byte != b'_').map(|byte| char::from(*byte)).collect();
    let number = u128::from_str_radix(&digits, radix).ok()?;
    Some(Cow::Owned(number.to_string().into_bytes()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{literal_value, shape};
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let settings = LexSettings::default();
        let shape = shape(text.as_bytes(), settings);
        let got: Vec<String> = shape
            .literals
            .iter()
            .map(|literal| {
                String::from_utf8(literal_value(text.as_bytes(), literal, settings).unwrap().into_owned()).unwrap()
            })
            .collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn values_are_what_the_server_reads() {
        check("select 'it''s', E'a\\tb\\'c\\x41\\101\\u00e9', $x$a$$b$x$, N'n'", &["it's", "a\tb'cAAé", "a$$b", "n"]);
        check(
            "select U&'d\\0061t\\+000061', U&'d!0061' uescape '!', 'a'\n'b', E'x\\n'\n'y'",
            &["data", "da", "ab", "x\ny"],
        );
        check(
            "select 1_000, 0x1F, 0b11, 1.50, 1e3, X'1f', U&'\\D83D\\DE00'",
            &["1000", "31", "3", "1.50", "1e3", "1f", "😀"],
        );
    }

    #[test]
    fn what_the_server_refuses_has_no_value() {
        for text in ["select U&'\\00'", "select U&'\\D83D\\0041'", "select e'\\u12'", "select 0xZ"] {
            let shape = shape(text.as_bytes(), LexSettings::default());
            for literal in &shape.literals {
                let value = literal_value(text.as_bytes(), literal, LexSettings::default());
                assert!(value.is_none() || literal.kind == LiteralKind::Number, "{text}");
            }
        }
    }
}
