//! What went wrong with an input, and the input, kept.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use weir_fuzz::Target;
use weir_fuzz::rng::fingerprint;

/// A promise that an input breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Where or how: equal for inputs that fail alike.
    pub(crate) kind: String,
    /// What a person reads.
    pub(crate) message: String,
}

/// The first panic since the last call of [`take_panic`], wherever it was raised: a panic that the code under test
/// catches itself is one all the same.
static PANIC: Mutex<Option<Failure>> = Mutex::new(None);

/// Notes panics instead of printing them.
pub(crate) fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        let kind =
            info.location().map_or_else(|| "nowhere".to_owned(), |place| format!("{}:{}", place.file(), place.line()));
        let text = words(info.payload());
        let mut noted = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get_or_insert(Failure { message: format!("{kind}: {text}"), kind });
    }));
}

fn words(payload: &dyn std::any::Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// The panic that was noted, if any.
pub(crate) fn take_panic() -> Option<Failure> {
    PANIC.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Keeps the input that is being tried in a file, for the case that the process does not survive it.
#[derive(Debug)]
pub(crate) struct Current(File);

impl Current {
    pub(crate) fn open(target: &Target, artifacts: &Path) -> Result<Current, String> {
        let path = current_path(target, artifacts);
        let fail = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
        fs::create_dir_all(artifacts).map_err(fail)?;
        File::create(&path).map(Current).map_err(fail)
    }

    /// Length first, since a shorter input does not erase a longer one.
    pub(crate) fn keep(&self, input: &[u8]) {
        let length = u64::try_from(input.len()).unwrap_or(0).to_le_bytes();
        // Losing it costs the name of an input that aborts, never a finding.
        let _ = self.0.write_all_at(&[&length[..], input].concat(), 0);
    }
}

/// Saves the input that a process did not survive.
pub(crate) fn save_current(target: &Target, artifacts: &Path) -> Result<PathBuf, String> {
    let path = current_path(target, artifacts);
    let bytes = fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or(format!("{} holds no input", path.display()))?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    save(target, artifacts, "abort", rest.get(..length).unwrap_or(rest))
}

/// Saves an input that fails.
pub(crate) fn save(target: &Target, artifacts: &Path, what: &str, input: &[u8]) -> Result<PathBuf, String> {
    let path = artifacts.join(format!("{}-{what}-{:016x}", target.name, fingerprint(input)));
    let fail = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    fs::create_dir_all(artifacts).and_then(|()| fs::write(&path, input)).map_err(fail)?;
    Ok(path.canonicalize().unwrap_or(path))
}

fn current_path(target: &Target, artifacts: &Path) -> PathBuf {
    artifacts.join(format!(".{}-current", target.name))
}
