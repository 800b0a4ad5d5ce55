//! KILL with a number that Weir gave a client in its own greeting: the server knows the session by another.
//! <https://dev.mysql.com/doc/refman/9.0/en/kill.html>, <https://mariadb.com/kb/en/kill/>
//!
//! Clients stop a statement so: on a second connection, with the number of the greeting (Ctrl-C of the command line, the
//! time limits of Connector/J). Weir greets before it knows which session of the server a client will get, so its numbers
//! are its own, of a range in which a server's never are ([`is_own`]), and stand in for the server's in this one place.
//!
//! What must never happen: another session is ended. A number that nobody was given stays as it is, and the server says
//! that there is no such session.

use super::packet::{Packet, put_packet};

/// Numbers of Weir's begin here; a server counts from 1, and would need years.
const OWN_FIRST: u32 = 0x8000_0000;
/// COM_QUERY.
const QUERY: u8 = 0x03;
/// COM_PROCESS_KILL.
const PROCESS_KILL: u8 = 0x0C;
/// Longest text that is looked at: `KILL HARD CONNECTION`, a number, spaces.
const TEXT_BYTES_MAX: usize = 64;

/// A number of Weir's, out of any.
pub fn own(number: u32) -> u32 {
    number | OWN_FIRST
}

/// Whether this is a number of Weir's.
pub fn is_own(number: u32) -> bool {
    number >= OWN_FIRST
}

/// The whole command anew where it ends a session by a number of Weir's; `known` has the server's. `text_at` is where a
/// query's text begins in its payload.
pub(super) fn renumbered(packet: &Packet<'_>, text_at: usize, known: &dyn Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
    let payload = packet.payload();
    let mut anew = Vec::new();
    match *payload.first()? {
        PROCESS_KILL => {
            let number = u32::from_le_bytes(payload.get(1..5)?.try_into().ok()?);
            let server = known(number).filter(|_| is_own(number))?;
            put_packet(&mut anew, packet.seq, &[&[PROCESS_KILL], server.to_le_bytes().as_slice()].concat());
        }
        QUERY => {
            let (head, text) = payload.split_at_checked(text_at)?;
            let (before, number) = number_of(text)?;
            let server = known(number).filter(|_| is_own(number))?;
            put_packet(&mut anew, packet.seq, &[head, before, server.to_string().as_bytes()].concat());
        }
        _ => return None,
    }
    Some(anew)
}

/// The number at the end of a KILL, and what stands before it.
fn number_of(text: &[u8]) -> Option<(&[u8], u32)> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let trimmed = text.trim_ascii_end();
    let trimmed = trimmed.strip_suffix(b";").unwrap_or(trimmed).trim_ascii_end();
    let digits = trimmed.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (before, number) = trimmed.split_at(trimmed.len() - digits);
    let words: Vec<String> =
        std::str::from_utf8(before).ok()?.split_ascii_whitespace().map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let fits = matches!(
        words.as_slice(),
        ["kill"]
            | ["kill", "query" | "connection"]
            | ["kill", "hard" | "soft"]
            | ["kill", "hard" | "soft", "query" | "connection"]
    );
    // `KILL QUERY1` is none.
    if !fits || !before.ends_with(b" ") && !before.last().is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    Some((before, std::str::from_utf8(number).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::packet::{HEADER_LEN, Scan};
    use super::*;
    use crate::refusal::WireSide;

    fn of(payload: &[u8], text_at: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        put_packet(&mut bytes, 0, payload);
        let Ok(Scan::Whole(packet)) = Packet::scan(&bytes, 1 << 20, WireSide::Client) else { panic!("whole") };
        let anew = renumbered(&packet, text_at, &|number| (number == 0x8000_0007).then_some(42))?;
        assert_eq!(anew[3], 0);
        Some(anew[HEADER_LEN..].to_vec())
    }

    fn text(sql: &str) -> Option<String> {
        let payload = [b"\x03", sql.as_bytes()].concat();
        of(&payload, 1).map(|anew| String::from_utf8(anew[1..].to_vec()).unwrap())
    }

    #[test]
    fn a_number_of_weirs_becomes_the_servers() {
        for (sql, expected) in [
            ("KILL 2147483655", "KILL 42"),
            ("kill query 2147483655", "kill query 42"),
            ("KILL CONNECTION\n2147483655 ;", "KILL CONNECTION\n42"),
            ("kill  hard query 2147483655", "kill  hard query 42"),
        ] {
            assert_eq!(text(sql).as_deref(), Some(expected));
        }
        assert_eq!(of(b"\x0c\x07\0\0\x80", 1).as_deref(), Some(b"\x0c\x2a\0\0\0".as_slice()));
        assert_eq!(of(b"\x03\0\x01KILL 2147483655", 3).as_deref(), Some(b"\x03\0\x01KILL 42".as_slice()));
    }

    #[test]
    fn whatever_else_stays() {
        for sql in [
            "KILL 42",
            "KILL 2147483656",
            "KILL QUERY2147483655",
            "KILL QUERY ID 2147483655",
            "KILL",
            "KILL -2147483655",
            "select 2147483655",
            "KILL 2147483655, 3",
            "KILL 99999999999999999999",
            "",
        ] {
            assert_eq!(text(sql), None, "{sql}");
        }
        assert_eq!(of(b"\x0c\x07\0\0\0", 1), None);
        assert_eq!(of(b"\x0c\x07", 1), None);
        assert_eq!(of(b"", 1), None);
    }
}
