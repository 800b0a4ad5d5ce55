//! Subjects of certificates as RFC 4514 strings: how they are written, and what an operator wrote as the same string.
//!
//! INVARIANT: a certificate and a directory that mean the same subject give the same string, and no two subjects give one.
//! Case counts: whoever writes `cn=Alice` means another person than `CN=alice`, except in the names of types.

use std::fmt::Write;

use super::der::{self, Der, DerError};

const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;

/// The attribute `commonName`, 2.5.4.3.
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// Types of a subject's parts that have a short name: those of RFC 4514, section 3, and those that OpenSSL writes with
/// `-nameopt RFC2253`, so that what an operator copies from there is what is compared.
const TYPES: [(&[u8], &str); 15] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x09], "street"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "emailAddress"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x2a], "GN"),
    (&[0x55, 0x04, 0x0c], "title"),
    (&[0x55, 0x04, 0x61], "organizationIdentifier"),
];

/// One attribute, behind what `into` holds of its part.
pub(super) fn write(kind: &[u8], text: Option<&str>, encoded: &[u8], into: &mut String) -> Result<(), DerError> {
    let short = TYPES.iter().find(|(bytes, _)| *bytes == kind).map(|(_, short)| *short);
    match short {
        Some(short) => into.push_str(short),
        None => into.push_str(&der::dotted(kind)?),
    }
    into.push('=');
    match text {
        Some(text) if short.is_some() => escape(text, into),
        // RFC 4514, 2.4: a type written as a number has its value in hexadecimal.
        _ => hex(encoded, into),
    }
    Ok(())
}

/// What an operator wrote, as a certificate would be written.
///
/// # Errors
/// Why this is no RFC 4514 string.
pub fn canonical(written: &str) -> Result<String, String> {
    let mut whole = String::new();
    for (kind, value, separator) in attributes(written)? {
        let short = TYPES.iter().map(|(_, short)| *short).find(|short| short.eq_ignore_ascii_case(kind));
        let numbered = kind.split('.').count() > 1
            && kind.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        match (short, value) {
            (None, Value::Text(_)) if numbered => {
                return Err(format!("the value of {kind} is to be written as # and its bytes in hexadecimal"));
            }
            (None, _) if !numbered => {
                let known: Vec<&str> = TYPES.iter().map(|(_, short)| *short).collect();
                return Err(format!(
                    "`{kind}` is no part of a subject; write it as numbers, or use {}",
                    known.join(", ")
                ));
            }
            (short, value) => {
                whole.push_str(short.unwrap_or(kind));
                whole.push('=');
                match (value.text().filter(|_| short.is_some()), value) {
                    (Some(text), _) | (None, Value::Text(text)) => escape(&text, &mut whole),
                    (None, Value::Encoded(bytes)) => hex(&bytes, &mut whole),
                }
            }
        }
        whole.extend(separator);
    }
    Ok(whole)
}

/// The common name in a subject; `None` where it has none, or several.
pub(super) fn common_name(written: &str) -> Option<String> {
    let mut names = attributes(written).ok()?.into_iter().filter(|(kind, ..)| kind.eq_ignore_ascii_case("CN"));
    match (names.next(), names.next()) {
        (Some((_, value, _)), None) => value.text(),
        _ => None,
    }
}

/// Value of the first part of a distinguished name, whatever its type; `None` for what is no such name.
pub(super) fn first_value(written: &str) -> Option<String> {
    let (_, value, _) = attributes(written).ok()?.into_iter().next()?;
    value.text().filter(|text| !text.is_empty())
}

/// Type, value and the separator behind it.
type Attribute<'a> = (&'a str, Value, Option<char>);

fn attributes(written: &str) -> Result<Vec<Attribute<'_>>, String> {
    let mut attributes = Vec::new();
    let mut rest = written;
    loop {
        let (kind, behind) = rest
            .split_once('=')
            .ok_or_else(|| format!("`{}` has no `=`; a subject is written as CN=alice,O=Example", rest.trim()))?;
        let (value, separator, behind) = value(behind)?;
        attributes.push((kind.trim(), value, separator));
        if separator.is_none() {
            return Ok(attributes);
        }
        rest = behind;
    }
}

/// Whether a subject seems to begin with its most general part, as OpenSSL prints it without `-nameopt RFC2253`.
pub fn seems_reversed(canonical: &str) -> bool {
    let general = ["C=", "O=", "ST=", "DC="].iter().any(|kind| canonical.starts_with(kind));
    general
        && canonical.rsplit(',').next().is_some_and(|last| last.starts_with("CN=") || last.starts_with("emailAddress="))
}

enum Value {
    Text(String),
    Encoded(Vec<u8>),
}

impl Value {
    /// As text; `None` where its encoding says nothing certain about it.
    fn text(&self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text.clone()),
            Value::Encoded(bytes) => {
                let mut element = Der::new(bytes);
                let (tag, value, _) = element.any().ok()?;
                text(tag, value).filter(|_| element.is_empty())
            }
        }
    }
}

/// A value, the separator behind it, and what follows that. RFC 4514, section 3.
fn value(written: &str) -> Result<(Value, Option<char>, &str), String> {
    let written = written.trim_start_matches(' ');
    if let Some(digits) = written.strip_prefix('#') {
        let end = digits.find([',', '+']).unwrap_or(digits.len());
        let bytes = unhex(digits[..end].trim_end())
            .filter(|bytes| !bytes.is_empty())
            .ok_or_else(|| format!("`#{}` is not in hexadecimal", &digits[..end]))?;
        return Ok((Value::Encoded(bytes), digits[end..].chars().next(), digits.get(end + 1..).unwrap_or_default()));
    }
    let mut bytes: Vec<u8> = Vec::new();
    // Spaces at the end do not count unless they are escaped.
    let mut kept = 0;
    let mut characters = written.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' => {
                bytes.truncate(kept);
                return Ok((Value::Text(utf8(bytes)?), Some(character), &written[at + 1..]));
            }
            '\\' => {
                let escaped = characters.next().map(|(_, escaped)| escaped);
                match escaped {
                    Some('"' | '+' | ',' | ';' | '<' | '>' | '\\' | ' ' | '#' | '=') => {
                        bytes.extend(escaped.map(|escaped| escaped as u8));
                    }
                    _ => {
                        let byte = written.get(at + 1..at + 3).and_then(unhex);
                        bytes.extend(byte.ok_or_else(|| "a backslash escapes nothing; write it twice".to_owned())?);
                        characters.next();
                    }
                }
                kept = bytes.len();
            }
            '"' | ';' | '<' | '>' | '\0' => {
                return Err(format!("`{}` is to be escaped with a backslash", character.escape_default()));
            }
            ' ' => bytes.push(b' '),
            other => {
                let mut buffer = [0; 4];
                bytes.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
                kept = bytes.len();
            }
        }
    }
    bytes.truncate(kept);
    Ok((Value::Text(utf8(bytes)?), None, ""))
}

fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "what is escaped is no UTF-8".to_owned())
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

/// A value as text; `None` where its type says nothing certain about its alphabet, or it breaks its own rules.
pub(super) fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => std::str::from_utf8(value).ok().map(str::to_owned),
        NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING | VISIBLE_STRING => {
            value.is_ascii().then(|| String::from_utf8_lossy(value).into_owned())
        }
        BMP_STRING => {
            let (units, rest) = value.as_chunks::<2>();
            let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
        }
        UNIVERSAL_STRING => {
            let (units, rest) = value.as_chunks::<4>();
            let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
            rest.is_empty().then_some(text).flatten()
        }
        _ => None,
    }
}

/// RFC 4514, 2.4. Control characters are escaped as well, so that a name can never break a line of a log.
fn escape(value: &str, into: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => into.extend(['\\', character]),
            '#' if at == 0 => into.push_str("\\#"),
            ' ' if at == 0 || at == last => into.push_str("\\ "),
            control if control.is_control() => {
                let mut buffer = [0; 4];
                for byte in control.encode_utf8(&mut buffer).bytes() {
                    // Writing to a text cannot fail.
                    let _ = write!(into, "\\{byte:02X}");
                }
            }
            other => into.push(other),
        }
    }
}

fn hex(bytes: &[u8], into: &mut String) {
    into.push('#');
    for byte in bytes {
        let _ = write!(into, "{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write_is_compared_as_certificates_are_written() {
        let check =
            |written: &str, expected: &str| assert_eq!(canonical(written).as_deref(), Ok(expected), "{written}");
        check("CN=alice,O=Example", "CN=alice,O=Example");
        check("cn = alice , o = Example GmbH ", "CN=alice,O=Example GmbH");
        check("CN=M\\C3\\BCller\\, Anna+uid=am,C=DE", "CN=Müller\\, Anna+UID=am,C=DE");
        check("CN=\\ a \\ ", "CN=\\ a \\ ");
        check("CN=\\#1=2", "CN=\\#1=2");
        check("CN=a\\00b", "CN=a\\00b");
        check("CN=", "CN=");
        check("CN=#0c05616c696365", "CN=alice");
        check("CN=#1405616c6963ff", "CN=#1405616C6963FF");
        check("1.2.3.4=#0c0161,CN=x", "1.2.3.4=#0C0161,CN=x");
        for (wrong, word) in [
            ("alice", "no `=`"),
            ("CN=a,", "no `=`"),
            ("login=a", "`login` is no part"),
            ("1.2.3=a", "in hexadecimal"),
            ("CN=#0g", "not in hexadecimal"),
            ("CN=#", "not in hexadecimal"),
            ("CN=a\\", "escapes nothing"),
            ("CN=a\\ü1", "escapes nothing"),
            ("CN=\\ff", "no UTF-8"),
            ("CN=a;O=b", "to be escaped"),
        ] {
            let message = canonical(wrong).unwrap_err();
            assert!(message.contains(word), "{wrong}: {message}");
        }
        assert!(seems_reversed("C=DE,O=Example,CN=alice"));
        assert!(!seems_reversed("CN=alice,O=Example,C=DE"));
    }

    proptest::proptest! {
        #[test]
        fn a_written_value_reads_back(value in "\\PC{0,12}|[ ,+=#\\\\\"\\x00-\\x1f]{0,6}") {
            let mut written = "CN=".to_owned();
            escape(&value, &mut written);
            proptest::prop_assert_eq!(canonical(&written), Ok(written.clone()));
            let Ok((Value::Text(read), None, "")) = super::value(&written[3..]) else {
                return Err(proptest::test_runner::TestCaseError::fail(written));
            };
            proptest::prop_assert_eq!(read, value);
        }

        #[test]
        fn nothing_written_is_too_broken(written in "\\PC{0,40}|[CN=,+#\\\\ a0.\\x00é]{0,24}") {
            if let Ok(once) = canonical(&written) {
                proptest::prop_assert_eq!(canonical(&once), Ok(once.clone()));
            }
        }
    }
}
