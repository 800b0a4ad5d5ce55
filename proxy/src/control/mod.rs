//! The control socket: what operators ask of a running process, by `weir budget`, `approve`, `kill` and `reload`.
//!
//! One connection carries one request and its answer, a line of JSON each. What must never happen here: an act of
//! somebody whom the kernel does not vouch for, an act without its record, or a peer that costs more than one bounded
//! line for a bounded time.

mod acts;
pub mod client;
pub mod operator;
pub mod words;

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};

use crate::config;
use crate::session::Shared;
use operator::Operator;
use words::{Answer, REQUEST_BYTES_MAX, Request};

/// Time for a request to come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a whole connection: an act waits for its record and for sessions to end.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections at once.
const CONNECTIONS_MAX: usize = 16;

/// Reads files again; what is in force then, or what is wrong with them.
pub type Reload = Box<dyn Fn() -> Result<String, String>>;

/// What a control socket acts on.
pub struct Control {
    shared: Arc<Shared>,
    reload: Reload,
    operators: Vec<String>,
    own_uid: u32,
    started: Instant,
    /// One act at a time: what an act has looked at stays so until it takes effect.
    acting: Mutex<()>,
}

/// Opens the socket: only for the account that Weir runs as and root, and for one group where the configuration names it.
///
/// # Errors
/// What keeps it from being opened, in words for the operator.
pub fn bind(config: &config::Control) -> Result<(UnixListener, u32), String> {
    let shown = config.socket.display();
    let told = |error: io::Error| {
        format!("the control socket `{shown}`: {error} (hint: `[control] socket` may name a shorter path elsewhere)")
    };
    // Made beside its place, so that nobody meets it with other rights. Who holds the log is the only Weir here.
    let fresh = config.socket.with_extension("new");
    remove(&fresh).map_err(told)?;
    let listener = UnixListener::bind(&fresh).map_err(told)?;
    let mode = if config.group.is_some() { 0o660 } else { 0o600 };
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(mode)).map_err(told)?;
    if let Some(name) = &config.group {
        let group =
            operator::group(name).ok_or_else(|| format!("`[control] group`: this host has no group `{name}`"))?;
        std::os::unix::fs::chown(&fresh, None, Some(group)).map_err(told)?;
    }
    let own_uid = std::fs::metadata(&fresh).map_err(told)?.uid();
    std::fs::rename(&fresh, &config.socket).map_err(told)?;
    Ok((listener, own_uid))
}

/// Removes the socket: who connects then is told that nobody is there.
pub fn remove(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

impl Control {
    /// Acts on what these sessions share.
    pub fn new(shared: Arc<Shared>, config: &config::Control, own_uid: u32, reload: Reload) -> Control {
        Control {
            shared,
            reload,
            operators: config.operators.clone(),
            own_uid,
            started: Instant::now(),
            acting: Mutex::default(),
        }
    }

    /// Serves until the task is dropped.
    pub async fn serve(self, listener: UnixListener) {
        let control = std::rc::Rc::new(self);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let control = std::rc::Rc::clone(&control);
            tokio::task::spawn_local(async move {
                // A peer that is slow or goes away only loses its own connection.
                let _ = tokio::time::timeout(CONNECTION_TIMEOUT, control.converse(socket)).await;
                drop(place);
            });
        }
    }

    async fn converse(&self, socket: UnixStream) -> io::Result<()> {
        let uid = socket.peer_cred()?.uid();
        let (reader, mut writer) = socket.into_split();
        let answer = match tokio::time::timeout(REQUEST_TIMEOUT, request(reader)).await {
            Ok(Ok(request)) => {
                let _acting = self.acting.lock().await;
                // Looked up only now: an act before this one may have been a reload.
                let directory = self.shared.policies.current();
                let operator = Operator::new(uid, self.own_uid, &self.operators, &directory.directory);
                self.act(&operator, request).await
            }
            Ok(Err(message)) => refused(message, "send one line of JSON; `weir` does"),
            Err(_) => return Ok(()),
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        writer.write_all(&line).await?;
        writer.shutdown().await
    }
}

async fn request(reader: impl tokio::io::AsyncRead + Unpin) -> Result<Request, String> {
    let most = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Vec::new();
    let mut bounded = BufReader::new(reader.take(most + 1));
    bounded.read_until(b'\n', &mut line).await.map_err(|error| error.to_string())?;
    if line.len() > REQUEST_BYTES_MAX {
        return Err(format!("a request has at most {REQUEST_BYTES_MAX} bytes"));
    }
    serde_json::from_slice(&line).map_err(|error| format!("this is no request: {error}"))
}

fn refused(message: String, hint: &str) -> Answer {
    Answer::Refused { message, hint: hint.to_owned() }
}

/// A length of time in its largest whole unit.
pub(crate) fn words_for_secs(secs: u64) -> String {
    let (count, unit) = match secs {
        secs if secs > 0 && secs.is_multiple_of(3600) => (secs / 3600, "hour"),
        secs if secs > 0 && secs.is_multiple_of(60) => (secs / 60, "minute"),
        secs => (secs, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Request, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(request(bytes))
    }

    #[test]
    fn what_is_no_request_is_told_and_bounded() {
        let show = Request::BudgetShow { person: "alice".to_owned() };
        let line = serde_json::to_vec(&show).unwrap();
        assert_eq!(read(&line), Ok(show));
        for wrong in [&b""[..], b"\n", b"{}", b"[1]", b"{\"act\":\"halt\"}", b"{\"act\":\"status\",\"x\":1}", b"\xff"] {
            assert!(read(wrong).unwrap_err().starts_with("this is no request"), "{wrong:?}");
        }
        let long = vec![b' '; REQUEST_BYTES_MAX + 10];
        assert_eq!(read(&long).unwrap_err(), format!("a request has at most {REQUEST_BYTES_MAX} bytes"));
    }

    #[test]
    fn lengths_of_time_are_told_in_whole_units() {
        let told = [1, 60, 90, 1800, 3600, 86_400, 0].map(words_for_secs);
        assert_eq!(
            told,
            ["1 second", "1 minute", "90 seconds", "30 minutes", "1 hour", "24 hours", "0 seconds"].map(str::to_owned)
        );
    }
}
