//! Accepts clients and hands each to one worker thread, where its session stays.
//!
//! Sessions never move between threads: a worker is a single-threaded runtime, so a query crosses no lock and wakes no
//! other thread on its way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::route::{Route, tune};
use crate::session::{Shared, serve};
use crate::telemetry;

/// Connections that may wait for a worker; more wait in the kernel's backlog.
const HANDOVER_MAX: usize = 1024;

/// A connection on its way to a worker.
struct Accepted {
    socket: std::net::TcpStream,
    peer: SocketAddr,
    route: Arc<Route>,
}

/// Threads that run sessions.
pub struct Workers {
    senders: Vec<mpsc::Sender<Accepted>>,
    threads: Vec<JoinHandle<()>>,
    next: AtomicUsize,
    open: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// The operating system's, when a thread or its runtime cannot be made.
    pub fn start(count: usize, shared: &Arc<Shared>) -> io::Result<Workers> {
        let open = Arc::new(AtomicUsize::new(0));
        let mut workers = Workers { senders: Vec::new(), threads: Vec::new(), next: AtomicUsize::new(0), open };
        for index in 0..count.max(1) {
            let (sender, receiver) = mpsc::channel(HANDOVER_MAX);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let shared = Arc::clone(shared);
            let open = Arc::clone(&workers.open);
            let thread = std::thread::Builder::new()
                .name(format!("weir-worker-{index}"))
                .spawn(move || LocalSet::new().block_on(&runtime, work(receiver, shared, open)))?;
            workers.senders.push(sender);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Sessions that are open now.
    pub fn open_sessions(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Accepts connections of one listener until the task is dropped.
    pub async fn accept(&self, listener: TcpListener, route: Arc<Route>, sessions_max: usize) {
        loop {
            let (socket, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors: a short pause instead of a spinning loop; open sessions go on.
                    tracing::warn!(listener = %route.name, %error, "cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            };
            if self.open_sessions() >= sessions_max {
                tracing::warn!(listener = %route.name, %peer, sessions_max, "too many sessions: connection closed");
                continue;
            }
            let handed = tune(&socket).and_then(|()| socket.into_std());
            let Ok(socket) = handed else { continue };
            let worker = self.next.fetch_add(1, Ordering::Relaxed) % self.senders.len();
            if self.senders[worker].send(Accepted { socket, peer, route: Arc::clone(&route) }).await.is_err() {
                return;
            }
        }
    }

    /// Lets no further connection in and waits for the open sessions to end.
    pub fn join(self) {
        drop(self.senders);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }
}

async fn work(mut receiver: mpsc::Receiver<Accepted>, shared: Arc<Shared>, open: Arc<AtomicUsize>) {
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = receiver.recv() => match accepted {
                Some(Accepted { socket, peer, route }) => {
                    let Ok(socket) = TcpStream::from_std(socket) else { continue };
                    let guard = Opened::new(&open);
                    let shared = Arc::clone(&shared);
                    sessions.spawn_local(async move {
                        serve(shared, route, socket, peer).await;
                        drop(guard);
                    });
                }
                None => break,
            },
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => told(ended),
        }
    }
    while let Some(ended) = sessions.join_next().await {
        told(ended);
    }
}

/// A panic ends its own session only; it must not stay unseen.
fn told(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a session ended by a panic");
    }
}

/// Counts an open session for as long as it lives, however it ends.
struct Opened(Arc<AtomicUsize>);

impl Opened {
    fn new(open: &Arc<AtomicUsize>) -> Opened {
        telemetry::sessions_open(open.fetch_add(1, Ordering::Relaxed) + 1);
        Opened(Arc::clone(open))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        telemetry::sessions_open(self.0.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}
