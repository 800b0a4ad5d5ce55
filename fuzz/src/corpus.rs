//! The corpus on disk: one folder for each target, one file for each input.

use std::fs;
use std::path::Path;

use weir_fuzz::{TARGETS, Target};

/// An input and the name of its file.
pub(crate) type Input = (String, Vec<u8>);

/// The inputs of a target, by name.
pub(crate) fn load(target: &Target, corpus: &Path) -> Result<Vec<Input>, String> {
    let folder = corpus.join(target.name);
    let fail = |error: std::io::Error| format!("cannot read the corpus {}: {error}", folder.display());
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        inputs.push((name, fs::read(&path).map_err(fail)?));
    }
    inputs.sort();
    if inputs.is_empty() {
        return Err(format!("the corpus {} is empty", folder.display()));
    }
    Ok(inputs)
}

/// Writes the seeds of every target. What else is there stays.
pub(crate) fn write_seeds(corpus: &Path) -> Result<(), String> {
    for target in TARGETS {
        let folder = corpus.join(target.name);
        let fail = |error: std::io::Error| format!("cannot write {}: {error}", folder.display());
        fs::create_dir_all(&folder).map_err(fail)?;
        for (name, bytes) in (target.seeds)() {
            fs::write(folder.join(name), bytes).map_err(fail)?;
        }
    }
    Ok(())
}
