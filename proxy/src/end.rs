//! Signals: how a process ends, and when it reads its files again.
//!
//! Running → Draining → Stopped, never back. A first SIGTERM or SIGINT lets running statements finish; a second one, or
//! the deadline, does not wait. SIGHUP asks for a reload, as often as it comes; hang-ups during a reload are one more.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};

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

/// The signals of this process. From its making on, none of them has its default action.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over; to be called before anything is opened that a signal should not cut short.
    ///
    /// # Errors
    /// The operating system's, when signals cannot be received.
    pub fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Moves `phase` on as signals come, and sends one message for each reload that is due. Ends with the last phase, or
    /// when nobody watches the phase any more.
    pub async fn watch(mut self, phase: watch::Sender<Phase>, drain: Duration, reload: mpsc::Sender<()>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hangup.recv() => {
                    // A full channel holds one that is still to come, and it reads what is there then.
                    if let Err(mpsc::error::TrySendError::Closed(())) = reload.try_send(()) {
                        tracing::warn!("SIGHUP: nothing reloads here");
                    }
                }
                () = phase.closed() => return,
            }
        }
        tracing::info!(drain_secs = drain.as_secs(), "stopping: running statements may finish");
        phase.send_replace(Phase::Draining);
        tokio::select! {
            _ = self.terminate.recv() => tracing::warn!("second signal: stopping at once"),
            _ = self.interrupt.recv() => tracing::warn!("second signal: stopping at once"),
            () = tokio::time::sleep(drain) => tracing::warn!("limits.drain_secs are over: ending what is still open"),
            () = phase.closed() => return,
        }
        phase.send_replace(Phase::Stopped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raise(name: &str) {
        let status = std::process::Command::new("kill").args(["-s", name, &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
    }

    /// One test for the whole life: signals reach every test of a process.
    #[test]
    fn hang_ups_reload_and_the_second_signal_does_not_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let signals = Signals::new().unwrap();
            let (phase, mut phases) = watch::channel(Phase::Running);
            let (reload, mut reloads) = mpsc::channel(1);
            let watching = tokio::spawn(signals.watch(phase, Duration::from_secs(600), reload));
            raise("HUP");
            assert_eq!(reloads.recv().await, Some(()));
            raise("HUP");
            raise("HUP");
            assert_eq!(reloads.recv().await, Some(()));
            assert_eq!(*phases.borrow(), Phase::Running);
            drop(reloads);
            raise("HUP");
            raise("TERM");
            phases.changed().await.unwrap();
            assert_eq!(*phases.borrow_and_update(), Phase::Draining);
            // A hang-up has no default action now either.
            raise("HUP");
            raise("INT");
            phases.changed().await.unwrap();
            assert_eq!(*phases.borrow(), Phase::Stopped);
            watching.await.unwrap();
        });
    }
}
