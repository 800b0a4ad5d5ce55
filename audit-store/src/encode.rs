//! Events to the bytes of a record: canonical JSON on one line, fields in a fixed order, the sequence first.
//!
//! What must never happen: a raw control, escape, bidirectional or line separator character in the output. A record is
//! shown on terminals and split by lines, and most of its strings come from somebody else.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use crate::error::StoreError;
use crate::event::Event;

/// Longest payload of a record, bytes. A record is held in memory whole when it is written and read, and the longest
/// honest one (8 KiB of text, hundreds of relations, keys of one lease) stays well below.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Room that the sequence takes in front: `{"seq":`, 20 digits, a comma in place of the brace.
const SEQUENCE_BYTES_MAX: usize = 28;

/// An event without its sequence, ready to be spliced.
pub(crate) struct Encoded(Vec<u8>);

impl Encoded {
    pub(crate) fn new(event: &Event) -> Result<Self, StoreError> {
        let body = one_safe_line(event)?;
        if body.len() > RECORD_BYTES_MAX - SEQUENCE_BYTES_MAX {
            return Err(StoreError::TooLarge { kind: event.body.name(), bytes: body.len() });
        }
        Ok(Encoded(body))
    }

    /// Upper bound of the payload's length, bytes.
    pub(crate) fn bytes_max(&self) -> usize {
        self.0.len() + SEQUENCE_BYTES_MAX
    }

    /// Appends the payload with this sequence.
    pub(crate) fn splice(&self, sequence: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"seq\":");
        out.extend_from_slice(sequence.to_string().as_bytes());
        out.push(b',');
        // The body is an object with members, so its first byte is the brace that was just written.
        out.extend_from_slice(&self.0[1..]);
    }
}

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Place in the log; the first is 1.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Record, String> {
        serde_json::from_slice(payload).map_err(|error| error.to_string())
    }

    /// The record as one line of JSON without its line end, safe for a terminal.
    pub fn to_line(&self) -> Result<String, StoreError> {
        let mut payload = Vec::new();
        Encoded::new(&self.event)?.splice(self.seq, &mut payload);
        String::from_utf8(payload).map_err(|error| StoreError::Unencodable(error.to_string()))
    }
}

/// The sequence that a payload begins with, without reading the rest.
pub(crate) fn sequence_of(payload: &[u8]) -> Option<u64> {
    let digits = payload.strip_prefix(b"{\"seq\":")?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
}

/// Anything as JSON on one line that is safe to show.
pub(crate) fn one_safe_line(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    let mut line = Vec::with_capacity(1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, OneSafeLine);
    value.serialize(&mut serializer).map_err(|error| StoreError::Unencodable(error.to_string()))?;
    Ok(line)
}

/// Whether a character may be written to a terminal or into a line as it is: no control, escape, bidirectional mark,
/// zero-width character or line separator. Records hold them escaped; decoded fields hold them raw.
pub fn is_safe_to_show(character: char) -> bool {
    !character.is_control() && !is_unsafe(character)
}

/// Compact JSON that also escapes what JSON would let pass but a terminal or a line reader would not.
struct OneSafeLine;

impl Formatter for OneSafeLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // JSON itself escapes what is below 0x20; almost every fragment is printable ASCII.
        if fragment.bytes().all(|byte| byte < 0x7f) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut clean = 0;
        for (at, character) in fragment.char_indices() {
            if is_unsafe(character) {
                writer.write_all(&fragment.as_bytes()[clean..at])?;
                // Every unsafe character lies in the basic plane, so four digits hold it.
                write!(writer, "\\u{:04x}", u32::from(character))?;
                clean = at + character.len_utf8();
            }
        }
        writer.write_all(&fragment.as_bytes()[clean..])
    }
}

/// DEL and C1 controls, bidirectional marks, zero-width characters, line and paragraph separators, byte order mark.
fn is_unsafe(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Admin, Body, Shutdown};

    fn line(reason: &str) -> String {
        let event = Event::new(1, 2, "b", Body::Shutdown(Shutdown { reason: reason.to_owned() }));
        Record { seq: 7, event }.to_line().unwrap()
    }

    #[test]
    fn a_record_is_one_line_with_the_sequence_first() {
        assert_eq!(
            line("sigterm"),
            r#"{"seq":7,"time_ms":1,"ledger_ms":2,"boot":"b","kind":"shutdown","detail":{"reason":"sigterm"}}"#
        );
    }

    #[test]
    fn no_unsafe_character_leaves_and_each_comes_back() {
        for code in (0..0x3000).chain(0xfe00..0x1_0100) {
            let Some(character) = char::from_u32(code) else { continue };
            let reason = format!("a{character}b");
            let line = line(&reason);
            assert!(!line.chars().any(|c| c.is_control() || is_unsafe(c)), "U+{code:04X} leaves raw: {line}");
            let record = Record::decode(line.as_bytes()).unwrap();
            assert_eq!(record.event.body, Body::Shutdown(Shutdown { reason }), "U+{code:04X}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_an_error() {
        let admin = Admin { action: "x".repeat(RECORD_BYTES_MAX), ..Admin::default() };
        let event = Event::new(1, 2, "b", Body::Admin(admin));
        assert!(matches!(Encoded::new(&event), Err(StoreError::TooLarge { kind: "admin", .. })));
    }

    #[test]
    fn the_sequence_is_read_from_the_front_only() {
        assert_eq!(sequence_of(b"{\"seq\":18446744073709551615,\"x\":1}"), Some(u64::MAX));
        for bad in [&b"{\"seq\":,"[..], b"{\"seq\":1", b"{ \"seq\":1,", b"{\"seq\":18446744073709551616,", b""] {
            assert_eq!(sequence_of(bad), None);
        }
    }
}
