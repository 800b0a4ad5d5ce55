//! What an engine says to a client instead of an answer, and what it says of a peer that breaks the protocol.

use thiserror::Error;

/// Which of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireSide {
    /// The side that connected to Weir.
    Client,
    /// The server that Weir connected to.
    Upstream,
}

/// An answer in the protocol's own error form, in place of a result or in the middle of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Five-character SQLSTATE.
    pub sqlstate: &'static str,
    /// What the person reads; the operator's words where a policy spoke.
    pub message: String,
    /// Further facts, one line.
    pub detail: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal with message and hint only.
    pub fn new(sqlstate: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Refusal {
        Refusal { sqlstate, message: message.into(), detail: None, hint: Some(hint.into()) }
    }
}

/// A peer that does not keep to the protocol, or goes past a bound. The session cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A length that no message of this kind can have.
    #[error("{side:?} sent a `{kind}` message with the impossible length {length}")]
    BadLength {
        /// Who sent it.
        side: WireSide,
        /// Message type.
        kind: char,
        /// Length field as read.
        length: i32,
    },
    /// A message that is longer than the configured bound.
    #[error("{side:?} sent a `{kind}` message of {length} bytes, the limit is {max} (limits.frame_bytes_max)")]
    TooLong {
        /// Who sent it.
        side: WireSide,
        /// Message type.
        kind: char,
        /// Announced length in bytes.
        length: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// A message whose body does not follow its format.
    #[error("{side:?} sent a malformed `{kind}` message: {what}")]
    Malformed {
        /// Who sent it.
        side: WireSide,
        /// Message type.
        kind: char,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A message that is not allowed in the present state.
    #[error("{side:?} sent an unexpected `{kind}` message while {state}")]
    Unexpected {
        /// Who sent it.
        side: WireSide,
        /// Message type.
        kind: char,
        /// What the engine was waiting for.
        state: &'static str,
    },
    /// Too much is outstanding in one session.
    #[error("{what}: more than {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
}

impl WireError {
    /// Who broke the protocol.
    pub fn side(&self) -> WireSide {
        match self {
            WireError::BadLength { side, .. }
            | WireError::TooLong { side, .. }
            | WireError::Malformed { side, .. }
            | WireError::Unexpected { side, .. } => *side,
            WireError::TooMany { .. } => WireSide::Client,
        }
    }
}
