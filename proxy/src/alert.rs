//! Alerts on their way out of the process: one line of JSON each, appended to a file that something else watches.
//!
//! INVARIANT: a session never waits for an alert. What cannot be written is counted, and stands in the audit log all the
//! same.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use weir_audit_store::Event;

use crate::telemetry;

/// Alerts that wait for the file: a burst of thousands fits, a file that hangs costs no more.
const WAITING_MAX: usize = 4096;

/// The way to the alert file.
pub struct Alerts {
    lines: Option<SyncSender<String>>,
}

impl Alerts {
    /// Opens the file and starts its writer; without one, alerts stay in the audit log.
    ///
    /// # Errors
    /// A file that cannot be opened, in words for the operator.
    pub fn open(path: Option<&Path>) -> Result<Alerts, String> {
        let Some(path) = path else { return Ok(Alerts { lines: None }) };
        let told = |error: std::io::Error| format!("the alert file `{}`: {error}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(told)?;
        }
        let file = File::options().create(true).append(true).mode(0o600).open(path).map_err(told)?;
        let (lines, waiting) = sync_channel(WAITING_MAX);
        std::thread::Builder::new()
            .name("weir-alerts".to_owned())
            .spawn(move || write(&waiting, file))
            .map_err(|error| format!("the alert writer cannot start: {error}"))?;
        Ok(Alerts { lines: Some(lines) })
    }

    /// Sends an alert on its way.
    pub fn send(&self, event: &Event) {
        let Some(lines) = &self.lines else { return };
        let Ok(line) = serde_json::to_string(event) else { return telemetry::alert_lost() };
        match lines.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => telemetry::alert_lost(),
        }
    }
}

fn write(waiting: &Receiver<String>, mut file: File) {
    let mut failing = false;
    while let Ok(mut line) = waiting.recv() {
        line.push('\n');
        match file.write_all(line.as_bytes()) {
            Ok(()) => failing = false,
            Err(error) => {
                if !failing {
                    tracing::error!(%error, "alerts cannot be written to their file; they stand in the audit log");
                }
                failing = true;
                telemetry::alert_lost();
            }
        }
    }
}
