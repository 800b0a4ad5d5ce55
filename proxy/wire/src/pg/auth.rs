//! The authentication exchange, relayed: what the server asks passes to the client, what the client answers passes back.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>
//!
//! Two things are changed: SCRAM-SHA-256-PLUS is taken off the list, since channel binding cannot hold across two TLS
//! connections, and the server's cancel key is exchanged for Weir's own.

use super::error::sqlstate;
use super::frame::{Fields, Frame, HEADER_LEN, Header, printable, put_frame};
use super::startup::{CANCEL_KEY_BYTES_MAX, PROTOCOL_MINOR_MAX, Startup};
use crate::refusal::{WireError, WireSide};

/// Longest message that the exchange needs (a SASL token, a Kerberos ticket).
const AUTH_FRAME_BYTES_MAX: usize = 65_536;

/// Whether a clear-text password may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearText {
    /// Both legs are protected.
    Allowed,
    /// Somebody could read along.
    Refused,
}

/// What an upstream message of the exchange means.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthStep {
    /// A frame is not whole yet.
    More,
    /// Forward so many bytes.
    Pass(usize),
    /// Send these bytes in place of so many.
    Swap(usize, Vec<u8>),
    /// A setting, to be forwarded.
    Setting {
        /// Length of the frame.
        len: usize,
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// The server's cancel key; send Weir's own instead.
    Key {
        /// Length of the frame.
        len: usize,
        /// Process number of the server.
        pid: u32,
        /// Secret of the server.
        key: Vec<u8>,
    },
    /// The server's refusal with its SQLSTATE; forward it, the connection ends.
    Failed {
        /// Length of the frame.
        len: usize,
        /// SQLSTATE.
        sqlstate: String,
    },
    /// AuthenticationOk.
    Authenticated(usize),
    /// The first ReadyForQuery.
    Ready(usize),
    /// The server asks for a password in clear where that is refused.
    ClearTextRefused,
    /// A method that Weir does not relay (GSSAPI, SSPI).
    MethodRefused(i32),
}

/// Looks at the next message of the server.
///
/// # Errors
/// A message that the exchange does not know, or a malformed one.
pub fn upstream_step(input: &[u8], clear_text: ClearText) -> Result<AuthStep, WireError> {
    let Some(header) = Header::read_from(input, AUTH_FRAME_BYTES_MAX, WireSide::Upstream)? else {
        return Ok(AuthStep::More);
    };
    if input.len() < header.frame_len {
        return Ok(AuthStep::More);
    }
    let frame = Frame::of(input, header);
    let len = header.frame_len;
    let malformed = |what| WireError::Malformed { side: WireSide::Upstream, kind: printable(frame.kind), what };
    match frame.kind {
        b'R' => method(frame, len, clear_text).ok_or_else(|| malformed("authentication request")),
        b'S' => {
            let mut fields = Fields::new(frame.body);
            match (fields.cstr(), fields.cstr()) {
                (Some(name), Some(value)) => Ok(AuthStep::Setting {
                    len,
                    name: String::from_utf8_lossy(name).into_owned(),
                    value: String::from_utf8_lossy(value).into_owned(),
                }),
                _ => Err(malformed("parameter status")),
            }
        }
        b'K' => {
            let mut fields = Fields::new(frame.body);
            let pid = fields.u32().ok_or_else(|| malformed("cancel key"))?;
            let key = fields.rest();
            if key.is_empty() || key.len() > CANCEL_KEY_BYTES_MAX {
                return Err(malformed("cancel key"));
            }
            Ok(AuthStep::Key { len, pid, key: key.to_vec() })
        }
        b'E' => Ok(AuthStep::Failed { len, sqlstate: sqlstate(frame.body) }),
        b'N' | b'v' => Ok(AuthStep::Pass(len)),
        b'Z' => Ok(AuthStep::Ready(len)),
        kind => Err(WireError::Unexpected {
            side: WireSide::Upstream,
            kind: printable(kind),
            state: "authentication is under way",
        }),
    }
}

fn method(frame: Frame<'_>, len: usize, clear_text: ClearText) -> Option<AuthStep> {
    const OK: i32 = 0;
    const CLEAR_TEXT: i32 = 3;
    const MD5: i32 = 5;
    const SASL: i32 = 10;
    const SASL_CONTINUE: i32 = 11;
    const SASL_FINAL: i32 = 12;
    let mut fields = Fields::new(frame.body);
    Some(match fields.i32()? {
        OK => AuthStep::Authenticated(len),
        CLEAR_TEXT if clear_text == ClearText::Refused => AuthStep::ClearTextRefused,
        CLEAR_TEXT | MD5 | SASL_CONTINUE | SASL_FINAL => AuthStep::Pass(len),
        SASL => {
            let mut body = SASL.to_be_bytes().to_vec();
            let mut dropped = false;
            loop {
                let name = fields.cstr()?;
                if name.is_empty() {
                    break;
                }
                if name.ends_with(b"-PLUS") {
                    dropped = true;
                    continue;
                }
                body.extend_from_slice(name);
                body.push(0);
            }
            body.push(0);
            if !dropped {
                return Some(AuthStep::Pass(len));
            }
            let mut out = Vec::with_capacity(body.len() + HEADER_LEN);
            put_frame(&mut out, b'R', &body);
            AuthStep::Swap(len, out)
        }
        other => AuthStep::MethodRefused(other),
    })
}

/// Length of the client's next answer, or `None` when it is not whole yet. Only password messages may come now.
///
/// # Errors
/// Anything else: a second StartupMessage (CVE-2026-107350), a query before the login.
pub fn client_step(input: &[u8]) -> Result<Option<usize>, WireError> {
    let Some(kind) = input.first() else { return Ok(None) };
    if *kind != b'p' && *kind != b'X' {
        return Err(WireError::Unexpected {
            side: WireSide::Client,
            kind: printable(*kind),
            state: "authentication is under way",
        });
    }
    let Some(header) = Header::read_from(input, AUTH_FRAME_BYTES_MAX, WireSide::Client)? else { return Ok(None) };
    Ok((input.len() >= header.frame_len).then_some(header.frame_len))
}

/// BackendKeyData with Weir's own key.
pub fn put_key(out: &mut Vec<u8>, pid: u32, key: &[u8]) {
    let mut body = pid.to_be_bytes().to_vec();
    body.extend_from_slice(key);
    put_frame(out, b'K', &body);
}

/// NegotiateProtocolVersion: the highest minor version that Weir speaks and the extensions that it does not.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-NEGOTIATEPROTOCOLVERSION>
pub fn put_negotiation(out: &mut Vec<u8>, startup: &Startup) {
    let version = (3_i32 << 16) | i32::from(startup.minor.min(PROTOCOL_MINOR_MAX));
    let mut body = version.to_be_bytes().to_vec();
    body.extend_from_slice(&i32::try_from(startup.extensions.len()).unwrap_or(0).to_be_bytes());
    for name in &startup.extensions {
        body.extend_from_slice(name.as_bytes());
        body.push(0);
    }
    put_frame(out, b'v', &body);
}
