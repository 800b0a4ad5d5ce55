//! COPY's part in the pipeline: which Sync messages the server ignores.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY>
//!
//! While it receives COPY data the server ignores Flush and Sync ("for the convenience of client libraries"), so a
//! Sync that was pipelined behind the Execute brings no ReadyForQuery. Which ones these are is known only when the
//! server answers CopyInResponse.

use std::collections::VecDeque;

use super::engine::Entry;

/// Drops the Sync entries that the server swallowed as COPY input: those behind the running execution up to the
/// CopyDone or CopyFail that the client has already sent, if it has. Returns whether the client has sent it.
pub(super) fn drop_ignored_syncs<S, X>(queue: &mut VecDeque<Entry<S, X>>) -> bool {
    let mut index = 1;
    while let Some(entry) = queue.get(index) {
        match entry {
            Entry::Sync => drop(queue.remove(index)),
            Entry::CopyEnd => {
                drop(queue.remove(index));
                return true;
            }
            _ => index += 1,
        }
    }
    false
}
