//! Files that hold secrets: read only where nobody else can read them, and wiped from memory.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

/// The text of a file of secrets.
///
/// # Errors
/// A file that is missing, longer than `bytes_max`, readable by others, or no UTF-8; in words for the operator that
/// begin with its name.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("`{shown}` cannot be read: {error}");
    // The mode of what was opened, not of what stands there a moment later.
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
        return Err(format!("`{shown}` can be read by others: run `chmod 600 {shown}`"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("`{shown}` is longer than {bytes_max} bytes"));
    }
    match String::from_utf8(std::mem::take(&mut bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(format!("`{shown}` is not UTF-8"))
        }
    }
}
