//! The messages of a login in which Weir itself takes part: as the server at its door, and as the client behind it.
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-AUTHENTICATIONOK>
//!
//! INVARIANT: what a client sends here may be a password, so it stands in no error.

use super::auth::client_step;
use super::frame::{Fields, HEADER_LEN, put_frame};
use crate::refusal::{WireError, WireSide};

const OK: i32 = 0;
const CLEAR_TEXT: i32 = 3;
const MD5: i32 = 5;
const SASL: i32 = 10;
const SASL_CONTINUE: i32 = 11;
const SASL_FINAL: i32 = 12;

/// Most mechanisms of a list that are looked at.
const MECHANISMS_MAX: usize = 16;

/// What Weir asks of a client.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// One of these SASL mechanisms.
    Sasl(&'a [&'a str]),
    /// An answer to a challenge.
    Continue(&'a [u8]),
    /// Nothing more: the server's last word of the mechanism.
    Final(&'a [u8]),
    /// A password in clear.
    ClearText,
    /// Nothing: it is let in.
    Ok,
}

/// Appends what Weir asks of a client.
pub fn put_ask(out: &mut Vec<u8>, ask: Ask<'_>) {
    let (number, data) = match ask {
        Ask::Ok => (OK, Vec::new()),
        Ask::ClearText => (CLEAR_TEXT, Vec::new()),
        Ask::Continue(data) => (SASL_CONTINUE, data.to_vec()),
        Ask::Final(data) => (SASL_FINAL, data.to_vec()),
        Ask::Sasl(mechanisms) => {
            let mut list = Vec::new();
            for mechanism in mechanisms {
                list.extend_from_slice(mechanism.as_bytes());
                list.push(0);
            }
            list.push(0);
            (SASL, list)
        }
    };
    put_frame(out, b'R', &[number.to_be_bytes().as_slice(), &data].concat());
}

/// What the server behind Weir asks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// One of these SASL mechanisms.
    Sasl(Vec<String>),
    /// An answer to a challenge.
    Continue(Vec<u8>),
    /// The server's last word of the mechanism.
    Final(Vec<u8>),
    /// The password in clear.
    ClearText,
    /// The password's MD5.
    Md5,
    /// Nothing: Weir is let in.
    Ok,
    /// Something else, by its number.
    Other(i32),
}

/// Reads a whole authentication request of the server's.
///
/// # Errors
/// A message that is none.
pub fn read_asked(frame: &[u8]) -> Result<Asked, WireError> {
    let malformed = WireError::Malformed { side: WireSide::Upstream, kind: 'R', what: "not an authentication request" };
    let body = frame.get(HEADER_LEN..).filter(|_| frame.first() == Some(&b'R')).ok_or_else(|| malformed.clone())?;
    let mut fields = Fields::new(body);
    Ok(match fields.i32().ok_or_else(|| malformed.clone())? {
        OK => Asked::Ok,
        CLEAR_TEXT => Asked::ClearText,
        MD5 => Asked::Md5,
        SASL => {
            let mut mechanisms = Vec::new();
            loop {
                match fields.cstr() {
                    Some([]) => break,
                    Some(name) if mechanisms.len() < MECHANISMS_MAX => {
                        mechanisms.push(String::from_utf8_lossy(name).into_owned());
                    }
                    _ => return Err(malformed),
                }
            }
            Asked::Sasl(mechanisms)
        }
        SASL_CONTINUE => Asked::Continue(fields.rest().to_vec()),
        SASL_FINAL => Asked::Final(fields.rest().to_vec()),
        other => Asked::Other(other),
    })
}

/// The body of the client's next answer and the length of its frame, or `None` when it is not whole yet.
///
/// # Errors
/// Anything but an answer; also a goodbye, which is told apart by [`is_goodbye`].
pub fn read_answer(input: &[u8]) -> Result<Option<(usize, Vec<u8>)>, WireError> {
    let Some(len) = client_step(input)? else { return Ok(None) };
    if is_goodbye(input) {
        return Err(WireError::Unexpected { side: WireSide::Client, kind: 'X', state: "authentication is under way" });
    }
    Ok(Some((len, input.get(HEADER_LEN..len).unwrap_or(&[]).to_vec())))
}

/// Whether a client leaves in place of an answer.
pub fn is_goodbye(input: &[u8]) -> bool {
    input.first() == Some(&b'X')
}

/// Mechanism and first message of a SASLInitialResponse. `None`: it is none.
pub fn read_initial(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Fields::new(body);
    let mechanism = fields.cstr()?;
    let length = usize::try_from(fields.i32()?).ok()?;
    let message = fields.rest();
    (message.len() == length).then_some((mechanism, message))
}

/// The password of a PasswordMessage. `None`: it is none.
pub fn read_password(body: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::new(body);
    let password = fields.cstr()?;
    fields.is_done().then_some(password)
}

/// Appends a SASLInitialResponse.
pub fn put_initial(out: &mut Vec<u8>, mechanism: &str, message: &[u8]) {
    let length = i32::try_from(message.len()).unwrap_or(i32::MAX);
    put_frame(out, b'p', &[mechanism.as_bytes(), &[0], &length.to_be_bytes(), message].concat());
}

/// Appends a SASLResponse.
pub fn put_response(out: &mut Vec<u8>, message: &[u8]) {
    put_frame(out, b'p', message);
}

/// Appends a PasswordMessage.
pub fn put_password(out: &mut Vec<u8>, password: &[u8]) {
    put_frame(out, b'p', &[password, &[0]].concat());
}

/// Appends a simple query.
pub fn put_query(out: &mut Vec<u8>, text: &str) {
    put_frame(out, b'Q', &[text.as_bytes(), &[0]].concat());
}
