//! What a run owns on the machine: a directory, ports, a password. Nothing of it outlives the run unless asked to.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure};

/// Ports are taken from here, below the range that the kernel uses for outgoing connections: so no client's own
/// port can land on one of ours between choosing it and listening on it.
const PORT_FIRST: u16 = 20_000;
const PORT_COUNT: u16 = 10_000;

/// A temporary directory that is removed when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    /// A new one. `keep` leaves it in place.
    pub(crate) fn new(keep: bool) -> Result<Scratch, Failure> {
        let path = std::env::temp_dir().join(format!("weir-demo-{}", std::process::id()));
        fs::create_dir(&path).context(format_args!("cannot make {}", path.display()))?;
        // PostgreSQL's account walks through here to its data; what is secret in here has a mode of its own.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).context("cannot open the temporary directory")?;
        Ok(Scratch { path, keep })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write_secret(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes()))
            .context(format_args!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.path.join(name);
        fs::write(&path, content).context(format_args!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // Nobody is left to tell when it fails, and the system's own sweep of /tmp takes the rest.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Hands out loopback ports on which nobody listens, each once.
#[derive(Debug)]
pub(crate) struct Ports {
    next: u16,
}

impl Ports {
    /// Starts at a place that differs between runs on one machine.
    pub(crate) fn new() -> Ports {
        let spread = std::process::id().wrapping_mul(61) % u32::from(PORT_COUNT);
        Ports { next: u16::try_from(spread).unwrap_or(0) }
    }

    /// The next free one.
    pub(crate) fn free(&mut self) -> Result<u16, Failure> {
        for _ in 0..PORT_COUNT {
            let port = PORT_FIRST + self.next;
            self.next = (self.next + 1) % PORT_COUNT;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
        }
        Err(Failure::new(format!("no free loopback port between {PORT_FIRST} and {}", PORT_FIRST + PORT_COUNT)))
    }
}

/// A password that nobody else knows.
pub(crate) fn password() -> Result<String, Failure> {
    let mut bytes = [0; 12];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read random bytes from /dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
