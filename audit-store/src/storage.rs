//! Where bytes go: real files, and a storage for tests that forgets what was not synced.
//!
//! Names are plain file names in one directory. An [`Appender`] whose write or sync failed is dead: the kernel may have
//! dropped the bytes and still answer the next sync with success, so its user must never call it again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

/// A directory of files.
pub(crate) trait Storage: Send + Sync {
    /// Names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A file's bytes from this offset on.
    fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>>;
    /// A new, empty file; fails when the name is taken. The name is durable on return.
    fn create(&self, name: &str) -> io::Result<Box<dyn Appender>>;
    /// Gives a file another name, over whatever had it. Durable on return.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable on return.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Puts these bytes under this name, whole or not at all. Durable on return.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let fresh = format!("{name}.new");
        if self.list()?.contains(&fresh) {
            self.remove(&fresh)?;
        }
        let mut file = self.create(&fresh)?;
        file.write(bytes)?;
        file.sync()?;
        self.rename(&fresh, name)
    }
}

/// A file that grows.
pub(crate) trait Appender: Send {
    /// Appends all of it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything that was appended is durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A real directory.
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Files { dir: dir.to_owned() }
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

impl Storage for Files {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(self.dir.join(name))?;
        file.seek(io::SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appender>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o640);
        }
        let file = options.open(self.dir.join(name))?;
        self.sync_dir()?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))?;
        self.sync_dir()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))?;
        self.sync_dir()
    }
}

impl Appender for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
pub(crate) use forgetful::{Fault, Forgetful};

/// A storage in memory that loses what was not synced, and fails on demand.
#[cfg(test)]
mod forgetful {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;

    #[derive(Clone, Default)]
    struct Bytes {
        written: Vec<u8>,
        /// How many of them are on the disk.
        synced: usize,
        /// A sync failed: the rest of the file is lost, whatever later syncs say.
        poisoned: bool,
    }

    /// What happens to operations from a certain one on.
    #[derive(Clone, Copy, Default)]
    pub(crate) enum Fault {
        #[default]
        None,
        /// The n-th from now and all later ones fail, as for a process that was killed there.
        Dead { after: usize },
        /// Syncs take this long.
        Slow(std::time::Duration),
        /// The n-th to the m-th from now fail.
        Between { from: usize, to: usize },
        /// Nothing can be read.
        Unreadable,
    }

    #[derive(Default)]
    struct Disk {
        files: BTreeMap<String, Bytes>,
        operations: usize,
        base: usize,
        fault: Fault,
        touched_after_failed_sync: usize,
    }

    impl Disk {
        fn step(&mut self) -> io::Result<()> {
            self.operations += 1;
            let nth = self.operations - self.base;
            let fails = match self.fault {
                Fault::None | Fault::Slow(_) | Fault::Unreadable => false,
                Fault::Dead { after } => nth > after,
                Fault::Between { from, to } => (from..to).contains(&nth),
            };
            if fails { Err(io::Error::other("simulated fault")) } else { Ok(()) }
        }
    }

    #[derive(Clone, Default)]
    pub(crate) struct Forgetful(Arc<Mutex<Disk>>);

    impl Forgetful {
        fn disk(&self) -> MutexGuard<'_, Disk> {
            self.0.lock().unwrap()
        }

        pub(crate) fn set_fault(&self, fault: Fault) {
            let mut disk = self.disk();
            disk.base = disk.operations;
            disk.fault = fault;
        }

        pub(crate) fn operations(&self) -> usize {
            self.disk().operations
        }

        /// Writes or syncs on a file whose sync had failed.
        pub(crate) fn touched_after_failed_sync(&self) -> usize {
            self.disk().touched_after_failed_sync
        }

        /// What a new process finds after a kill: everything that was written.
        pub(crate) fn after_kill(&self) -> Forgetful {
            let disk = self.disk();
            let files = disk.files.iter().map(|(name, bytes)| {
                let written = bytes.written.clone();
                (name.clone(), Bytes { synced: written.len(), written, poisoned: false })
            });
            Forgetful(Arc::new(Mutex::new(Disk { files: files.collect(), ..Disk::default() })))
        }

        /// What a machine finds after a power cut.
        pub(crate) fn after_power_cut(&self) -> Forgetful {
            let disk = self.disk();
            let files = disk.files.iter().map(|(name, bytes)| {
                let kept = bytes.written[..bytes.synced].to_vec();
                (name.clone(), Bytes { synced: kept.len(), written: kept, poisoned: false })
            });
            Forgetful(Arc::new(Mutex::new(Disk { files: files.collect(), ..Disk::default() })))
        }

        pub(crate) fn contents(&self, name: &str) -> Option<Vec<u8>> {
            self.disk().files.get(name).map(|bytes| bytes.written.clone())
        }

        pub(crate) fn put(&self, name: &str, content: Vec<u8>) {
            let bytes = Bytes { synced: content.len(), written: content, poisoned: false };
            self.disk().files.insert(name.to_owned(), bytes);
        }

        pub(crate) fn delete(&self, name: &str) {
            self.disk().files.remove(name);
        }
    }

    fn missing(name: &str) -> io::Error {
        io::Error::new(io::ErrorKind::NotFound, name.to_owned())
    }

    impl Storage for Forgetful {
        fn list(&self) -> io::Result<Vec<String>> {
            Ok(self.disk().files.keys().cloned().collect())
        }

        fn read(&self, name: &str, offset: u64) -> io::Result<Box<dyn Read + Send>> {
            if matches!(self.disk().fault, Fault::Unreadable) {
                return Err(io::Error::other("simulated fault"));
            }
            let mut bytes = io::Cursor::new(self.contents(name).ok_or_else(|| missing(name))?);
            bytes.set_position(offset);
            Ok(Box::new(bytes))
        }

        fn create(&self, name: &str) -> io::Result<Box<dyn Appender>> {
            let mut disk = self.disk();
            disk.step()?;
            if disk.files.contains_key(name) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            disk.files.insert(name.to_owned(), Bytes::default());
            Ok(Box::new(Open { disk: self.clone(), name: name.to_owned() }))
        }

        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            let mut disk = self.disk();
            disk.step()?;
            let bytes = disk.files.remove(from).ok_or_else(|| missing(from))?;
            disk.files.insert(to.to_owned(), bytes);
            Ok(())
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            let mut disk = self.disk();
            disk.step()?;
            disk.files.remove(name).map(|_| ()).ok_or_else(|| missing(name))
        }
    }

    struct Open {
        disk: Forgetful,
        name: String,
    }

    impl Appender for Open {
        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            let mut disk = self.disk.disk();
            let fault = disk.step();
            // A file without a name takes what is written, and nobody will ever see it.
            let Some(file) = disk.files.get_mut(&self.name) else { return fault };
            // A failing write may leave a part behind.
            let kept = if fault.is_ok() { bytes.len() } else { bytes.len() / 2 };
            file.written.extend_from_slice(&bytes[..kept]);
            let touched = usize::from(file.poisoned);
            disk.touched_after_failed_sync += touched;
            fault
        }

        fn sync(&mut self) -> io::Result<()> {
            let slow = self.disk.disk().fault;
            if let Fault::Slow(time) = slow {
                std::thread::sleep(time);
            }
            let mut disk = self.disk.disk();
            let fault = disk.step();
            let Some(file) = disk.files.get_mut(&self.name) else { return fault };
            let touched = usize::from(file.poisoned);
            match fault {
                Ok(()) if !file.poisoned => file.synced = file.written.len(),
                // As the kernel does: the pages are marked clean, and the next sync says that all is well.
                Ok(()) => {}
                Err(_) => file.poisoned = true,
            }
            disk.touched_after_failed_sync += touched;
            fault
        }
    }

    #[test]
    fn forgets_what_was_not_synced_and_lies_after_a_failed_sync() {
        let storage = Forgetful::default();
        let mut file = storage.create("a").unwrap();
        file.write(b"one").unwrap();
        file.sync().unwrap();
        file.write(b"two").unwrap();
        assert_eq!(storage.after_power_cut().contents("a").unwrap(), b"one");
        storage.set_fault(Fault::Between { from: 1, to: 2 });
        assert!(file.sync().is_err());
        assert!(file.sync().is_ok());
        assert_eq!(storage.after_power_cut().contents("a").unwrap(), b"one");
        assert_eq!(storage.touched_after_failed_sync(), 1);
    }
}
