//! ErrorResponse: the form in which Weir says no, and the SQLSTATE of what the server says.
//! <https://www.postgresql.org/docs/current/protocol-error-fields.html>

use bytes::BytesMut;
use pgwire::messages::Message;
use pgwire::messages::response::ErrorResponse;

use super::frame::{Fields, put_frame};
use crate::refusal::Refusal;

/// How grave an error is for the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed, the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

/// Appends an ErrorResponse.
pub fn put_error(out: &mut Vec<u8>, severity: Severity, refusal: &Refusal) {
    let level = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    let mut fields = vec![
        (b'S', level.to_owned()),
        (b'V', level.to_owned()),
        (b'C', refusal.sqlstate.to_owned()),
        (b'M', clean(&refusal.message)),
    ];
    fields.extend(refusal.detail.as_deref().map(|text| (b'D', clean(text))));
    fields.extend(refusal.hint.as_deref().map(|text| (b'H', clean(text))));
    let mut buffer = BytesMut::with_capacity(256);
    // The only error of encoding is a message beyond pgwire's bound, which `clean` keeps far away.
    if ErrorResponse::new(fields).encode(&mut buffer).is_ok() {
        out.extend_from_slice(&buffer);
    }
}

/// Appends an ErrorResponse or NoticeResponse of these fields; none may hold a NUL.
pub(super) fn put_fields<'t>(out: &mut Vec<u8>, kind: u8, fields: impl IntoIterator<Item = (u8, &'t [u8])>) {
    let mut body = Vec::new();
    for (field, text) in fields {
        body.push(field);
        body.extend(text.iter().filter(|byte| **byte != 0));
        body.push(0);
    }
    body.push(0);
    put_frame(out, kind, &body);
}

/// SQLSTATE of an ErrorResponse body; `XX000` when the server sent none (PgBouncer CVE-2026-6666 crashed on that).
pub fn sqlstate(body: &[u8]) -> String {
    let mut fields = Fields::new(body);
    while let Some(code) = fields.u8() {
        if code == 0 {
            break;
        }
        let Some(text) = fields.cstr() else { break };
        if code == b'C' && text.len() == 5 && text.iter().all(u8::is_ascii_alphanumeric) {
            return String::from_utf8_lossy(text).into_owned();
        }
    }
    "XX000".to_owned()
}

/// Whether an ErrorResponse body ends the session. Field `V` is never translated (PostgreSQL 9.6 and later).
pub fn is_fatal(body: &[u8]) -> bool {
    let mut fields = Fields::new(body);
    while let Some(code) = fields.u8() {
        let Some(text) = fields.cstr() else { break };
        if code == b'V' {
            return matches!(text, b"FATAL" | b"PANIC");
        }
    }
    false
}

/// A text that may stand in a NUL-terminated field: no NUL, bounded.
fn clean(text: &str) -> String {
    const FIELD_CHARS_MAX: usize = 2000;
    text.chars().filter(|c| *c != '\0').take(FIELD_CHARS_MAX).collect()
}
