//! How a process ends: a first signal lets running statements finish, a second one or the deadline does not wait.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Clients are served.
    Running,
    /// Nobody is let in; open sessions end when they are between statements and transactions.
    Draining,
    /// What is still open ends now.
    Stopped,
}

/// Waits for SIGTERM or SIGINT, then drains.
///
/// # Errors
/// The operating system's, when signals cannot be received.
pub async fn watch_signals(phase: watch::Sender<Phase>, drain: Duration) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Its default action would end every session.
            _ = hangup.recv() => tracing::warn!("SIGHUP: this version reloads nothing; restart weir to change its configuration"),
        }
    }
    tracing::info!(drain_secs = drain.as_secs(), "stopping: running statements may finish");
    phase.send_replace(Phase::Draining);
    tokio::select! {
        _ = terminate.recv() => tracing::warn!("second signal: stopping at once"),
        _ = interrupt.recv() => tracing::warn!("second signal: stopping at once"),
        () = tokio::time::sleep(drain) => tracing::warn!("limits.drain_secs are over: ending what is still open"),
        () = phase.closed() => return Ok(()),
    }
    phase.send_replace(Phase::Stopped);
    Ok(())
}
