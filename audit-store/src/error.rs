//! What can go wrong, told so that an operator knows what to do next.

use std::io;

/// Why the store did not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The event is longer than a record may be; nothing was written.
    #[error("a record of kind `{kind}` with {bytes} bytes is too large; the limit is 1 MiB")]
    TooLarge {
        /// The event's kind.
        kind: &'static str,
        /// Its length, bytes.
        bytes: usize,
    },
    /// The event has no form in JSON.
    #[error("the event cannot be encoded: {0}")]
    Unencodable(String),
    /// Too much waits for the disk; nothing was queued.
    #[error("the audit queue is full ({bytes} bytes wait to be written); the disk is too slow for this load")]
    QueueFull {
        /// What waits, bytes.
        bytes: usize,
    },
    /// The log cannot be written at the moment; it heals by itself when the cause is gone.
    #[error("the audit log cannot be written: {0}")]
    Failing(String),
    /// The store was closed.
    #[error("the audit log is closed")]
    Closed,
    /// What was asked for did not come in time.
    #[error("not durable within {0:?}")]
    Timeout(std::time::Duration),
    /// Another process writes this directory.
    #[error("`{0}` is in use by another process; stop that one, or choose another directory")]
    Locked(String),
    /// The end of the log is damaged, not torn: something is there that a crash does not explain.
    #[error(
        "`{segment}` is damaged at byte {offset}: {problem}; keep a copy, run `weir audit verify`, \
         and start with a new directory"
    )]
    Damaged {
        /// File name.
        segment: String,
        /// Where, bytes from its start.
        offset: u64,
        /// What is wrong.
        problem: String,
    },
    /// A checkpoint was signed over more than is there, or over something else.
    #[error(
        "the log does not agree with its checkpoint over {signed} records ({problem}); keep a copy, \
         run `weir audit verify`, and start with a new directory"
    )]
    CheckpointDisagrees {
        /// Records under the checkpoint.
        signed: u64,
        /// What is wrong.
        problem: String,
    },
    /// The signing key cannot be used.
    #[error("signing key `{path}`: {problem}")]
    Key {
        /// Its file.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The operating system said no.
    #[error("{what}: {source}")]
    Io {
        /// What was tried, on which file.
        what: String,
        /// Its answer.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { what: what.into(), source }
    }
}
