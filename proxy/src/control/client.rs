//! The other end of the control socket: a command that asks and waits for its answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::words::{ANSWER_BYTES_MAX, Answer, Request};

/// How long an answer may take: an act waits for its record and for sessions to end.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

/// Asks the process behind a socket.
///
/// # Errors
/// Why there is no answer, in words for the operator.
pub fn ask(socket: &Path, request: &Request) -> Result<Answer, String> {
    let shown = socket.display();
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("no weir answers at `{shown}`: start it, or give the configuration that it runs with")
        }
        io::ErrorKind::PermissionDenied => {
            format!("`{shown}` is not for you: act as root or as weir's own account, or as a member of its group")
        }
        _ => format!("`{shown}`: {error}"),
    })?;
    let told = |error: io::Error| format!("weir did not answer at `{shown}`: {error}");
    stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(told)?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(told)?;
    let mut line = serde_json::to_vec(request).map_err(|error| error.to_string())?;
    line.push(b'\n');
    (&stream).write_all(&line).map_err(told)?;
    let most = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let mut answer = Vec::new();
    BufReader::new(stream.take(most)).read_until(b'\n', &mut answer).map_err(told)?;
    if answer.is_empty() {
        return Err(format!("weir closed `{shown}` without an answer: look at its log"));
    }
    serde_json::from_slice(&answer)
        .map_err(|error| format!("what weir answered at `{shown}` is not understood (another version?): {error}"))
}
