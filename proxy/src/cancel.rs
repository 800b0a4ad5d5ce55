//! Cancelling what runs upstream. PostgreSQL's clients are given keys of Weir's own, so that a key tells nothing of the
//! server and can be answered here.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS>

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_wire::mysql::kill;
use weir_wire::pg::startup::cancel_request;

use crate::catalog::Catalogs;
use crate::route::Upstream;

/// A cancellation that the server has not acknowledged by then is given up; the statement's own end is waited for.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Numbers that are tried for a session before one that may be another's: with ten thousand sessions a second try is
/// rare.
const NUMBER_TRIES: usize = 8;

/// A key as the client holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeirKey {
    /// Process number.
    pub pid: u32,
    /// Secret: 4 bytes, 32 in protocol 3.2.
    pub secret: Vec<u8>,
}

/// How to cancel what one session runs.
#[derive(Clone)]
pub struct CancelTarget(How);

#[derive(Clone)]
enum How {
    /// PostgreSQL: by the key that the server gave the session. Without one nothing can be cancelled.
    Key(Arc<Upstream>, Option<(u32, Arc<[u8]>)>),
    /// MySQL: by KILL QUERY with the session's number, over Weir's own account.
    Kill(Arc<Catalogs>, Arc<str>, u64),
}

impl CancelTarget {
    /// For a session that was given this key by its server.
    pub fn by_key(upstream: Arc<Upstream>, server_key: Option<(u32, Vec<u8>)>) -> CancelTarget {
        CancelTarget(How::Key(upstream, server_key.map(|(pid, key)| (pid, key.into()))))
    }

    /// For a session that has this number on the server of this name.
    pub fn by_kill(catalogs: Arc<Catalogs>, upstream: &str, thread: u64) -> CancelTarget {
        CancelTarget(How::Kill(catalogs, upstream.into(), thread))
    }

    /// Asks the server and waits until it has passed the request on, so that it cannot hit a later statement.
    pub async fn cancel(&self) {
        let (name, attempt) = match &self.0 {
            How::Key(_, None) => return,
            How::Key(upstream, Some((pid, key))) => {
                let asked = tokio::time::timeout(CANCEL_TIMEOUT, ask(upstream, *pid, key)).await;
                (upstream.name.as_str(), asked.map(|asked| asked.map_err(|error| error.to_string())))
            }
            How::Kill(catalogs, upstream, thread) => {
                (&**upstream, tokio::time::timeout(CANCEL_TIMEOUT, catalogs.kill_query(upstream, *thread)).await)
            }
        };
        match attempt {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(upstream = name, %error, "a running statement cannot be cancelled"),
            Err(_) => tracing::warn!(upstream = name, "cancelling a running statement timed out"),
        }
    }
}

/// Sends a cancel request. The key is worth only its session's statement, so it travels as libpq before 17 sends it:
/// without TLS.
async fn ask(upstream: &Upstream, pid: u32, key: &[u8]) -> io::Result<()> {
    let mut socket = upstream.connect().await?;
    socket.write_all(&cancel_request(pid, key)).await?;
    // The server closes once the signal is on its way.
    let mut nothing = [0; 1];
    socket.read(&mut nothing).await.map(drop)
}

/// Keys of all open sessions.
#[derive(Default)]
pub struct CancelKeys {
    sessions: Arc<Mutex<HashMap<u32, (WeirKey, CancelTarget)>>>,
}

impl CancelKeys {
    /// A fresh key whose secret has `len` bytes.
    pub fn new_key(&self, len: usize) -> WeirKey {
        let mut pid = [0; 4];
        let mut secret = vec![0; len];
        // The generator of aws-lc cannot fail once the process runs; a key of zeros would only be refused by nobody.
        if rand::fill(&mut pid).is_err() || rand::fill(&mut secret).is_err() {
            tracing::error!("the random generator failed: cancel requests will not work");
        }
        // Process numbers are positive everywhere, and drivers know it.
        WeirKey { pid: u32::from_be_bytes(pid) & 0x7fff_ffff, secret }
    }

    /// Makes a key findable as long as the guard lives.
    pub fn register(&self, key: WeirKey, target: CancelTarget) -> Registered {
        let pid = key.pid;
        lock(&self.sessions).insert(pid, (key, target));
        Registered { sessions: Arc::clone(&self.sessions), pid }
    }

    /// A number for a session of a MySQL server of which nobody knows yet which it will be.
    pub fn new_number(&self) -> WeirKey {
        let sessions = lock(&self.sessions);
        let fresh = (0..NUMBER_TRIES).map(|_| kill::own(self.new_key(0).pid)).find(|pid| !sessions.contains_key(pid));
        WeirKey { pid: fresh.unwrap_or_else(|| kill::own(0)), secret: Vec::new() }
    }

    /// The number by which a MySQL server knows the session that has this number of Weir's.
    pub fn number_of(&self, upstream: &str, pid: u32) -> Option<u32> {
        let sessions = lock(&self.sessions);
        match &sessions.get(&pid)?.1.0 {
            How::Kill(_, name, thread) if **name == *upstream => u32::try_from(*thread).ok(),
            _ => None,
        }
    }

    /// The session of a key; the secret is compared in constant time.
    pub fn find(&self, pid: u32, secret: &[u8]) -> Option<CancelTarget> {
        let sessions = lock(&self.sessions);
        // A number of MySQL's has no secret, and is no key.
        let (key, target) = sessions.get(&pid).filter(|(key, _)| !key.secret.is_empty())?;
        verify_slices_are_equal(&key.secret, secret).ok()?;
        Some(target.clone())
    }
}

/// Takes a key off the list when the session ends.
pub struct Registered {
    sessions: Arc<Mutex<HashMap<u32, (WeirKey, CancelTarget)>>>,
    pid: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.sessions).remove(&self.pid);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic of another session cannot leave the map half-changed: every change is one call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
