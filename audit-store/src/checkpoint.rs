//! Signed checkpoints (C2SP tlog-checkpoint in a signed note, ed25519) and the key that signs them.
//!
//! A checkpoint binds the size and root of the tree to a key. Only one that left the host shows a cut tail. What must
//! never happen: signing with a key that others on the host can read.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::StoreError;
use crate::tree::{Hash, Tree};

/// Longest note that is read, bytes; ours have about 300.
pub(crate) const NOTE_BYTES_MAX: usize = 4096;
/// Longest key file that is read, bytes; ours have about 150.
const KEY_BYTES_MAX: u64 = 4096;
/// Signature type of ed25519 in signed notes.
const ED25519_TYPE: u8 = 1;

/// Public half of a log's key, with the log's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    key: [u8; 32],
}

impl PublicKey {
    /// Reads the verifier form of signed notes: `name+hash+key`.
    pub fn parse(text: &str) -> Result<PublicKey, String> {
        let wrong = || "not a key of the form `name+hash+key`".to_owned();
        let (name, rest) = text.trim().split_once('+').ok_or_else(wrong)?;
        let (id, key) = rest.split_once('+').ok_or_else(wrong)?;
        let key = STANDARD.decode(key).map_err(|_| wrong())?;
        let key = match key.split_first() {
            Some((&ED25519_TYPE, key)) => <[u8; 32]>::try_from(key).map_err(|_| wrong())?,
            _ => return Err("only ed25519 keys are known".to_owned()),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let key = PublicKey { name: name.to_owned(), key };
        if id != hex(&key.id()) {
            return Err("the hash in the key does not fit its name and bytes".to_owned());
        }
        Ok(key)
    }

    /// Name of the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn id(&self) -> [u8; 4] {
        let mut input = self.name.clone().into_bytes();
        input.extend_from_slice(&[b'\n', ED25519_TYPE]);
        input.extend_from_slice(&self.key);
        let mut id = [0; 4];
        id.copy_from_slice(&digest(&SHA256, &input).as_ref()[..4]);
        id
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut key = vec![ED25519_TYPE];
        key.extend_from_slice(&self.key);
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), STANDARD.encode(key))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A checkpoint whose signature was checked, or that was just signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    size: u64,
    root: Hash,
    time_ms: u64,
    note: String,
}

impl Checkpoint {
    /// Reads a signed note and checks its signature.
    pub fn open(note: &str, key: &PublicKey) -> Result<Checkpoint, String> {
        if note.len() > NOTE_BYTES_MAX {
            return Err("too long for a checkpoint".to_owned());
        }
        let (text, signatures) = note.rsplit_once("\n\n").ok_or("no signature")?;
        let text = format!("{text}\n");
        let prefix = format!("\u{2014} {} ", key.name);
        let signed = signatures.lines().filter_map(|line| line.strip_prefix(&prefix)).any(|signature| {
            STANDARD.decode(signature).is_ok_and(|bytes| match bytes.split_first_chunk::<4>() {
                Some((id, signature)) => {
                    *id == key.id()
                        && UnparsedPublicKey::new(&ED25519, key.key).verify(text.as_bytes(), signature).is_ok()
                }
                None => false,
            })
        });
        if !signed {
            return Err(format!("no valid signature of `{}`", key.name));
        }
        let mut lines = text.lines();
        let mut line = || lines.next().ok_or("too few lines");
        if line()? != key.name {
            return Err("it is about another log".to_owned());
        }
        let size = line()?.parse().map_err(|_| "the size is no number")?;
        let root =
            STANDARD.decode(line()?).ok().and_then(|root| Hash::try_from(root).ok()).ok_or("the root is no hash")?;
        let time_ms = line()?.strip_prefix("time_ms ").and_then(|time| time.parse().ok()).ok_or("no time")?;
        Ok(Checkpoint { size, root, time_ms, note: note.to_owned() })
    }

    /// How many records it is over.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When it was signed, Unix milliseconds.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The signed note, to be shipped off the host.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Root of the tree over these records.
    pub(crate) fn root(&self) -> &Hash {
        &self.root
    }
}

/// The private key.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Signer {
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn sign(&self, tree: &Tree, time_ms: u64) -> Checkpoint {
        let name = &self.public.name;
        let root = tree.root();
        let text = format!("{name}\n{}\n{}\ntime_ms {time_ms}\n", tree.size(), STANDARD.encode(root));
        let mut signature = self.public.id().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        let note = format!("{text}\n\u{2014} {name} {}\n", STANDARD.encode(signature));
        Checkpoint { size: tree.size(), root, time_ms, note }
    }

    /// A fresh key for a fresh log. Returns it with the text of its file.
    pub(crate) fn generate() -> Result<(Signer, String), String> {
        let mut id = [0; 8];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| "the system gives no randomness")?;
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| "no key could be made")?;
        let text = format!("weir-{}\n{}\n", hex(&id), STANDARD.encode(document.as_ref()));
        Ok((Signer::parse(&text)?, text))
    }

    pub(crate) fn parse(text: &str) -> Result<Signer, String> {
        let wrong = "not a key file of this log; restore it from a copy";
        let (name, key) = text.trim().split_once('\n').ok_or(wrong)?;
        let key = STANDARD.decode(key).map_err(|_| wrong)?;
        let pair = Ed25519KeyPair::from_pkcs8(&key).map_err(|_| wrong)?;
        let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).map_err(|_| wrong)?;
        Ok(Signer { pair, public: PublicKey { name: name.to_owned(), key: public } })
    }

    /// The key in this directory; a new one only when `fresh`, since a lost key must not go unnoticed.
    pub(crate) fn load(dir: &Path, fresh: bool) -> Result<Signer, StoreError> {
        let path = dir.join("log.key");
        let told = |problem: String| StoreError::Key { path: path.display().to_string(), problem };
        match OpenOptions::new().read(true).open(&path) {
            Ok(file) => {
                only_for_owner(&file).map_err(told)?;
                let mut text = String::new();
                file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(|error| told(error.to_string()))?;
                Signer::parse(&text).map_err(told)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && fresh => {
                let (signer, text) = Signer::generate().map_err(told)?;
                store(dir, "log.pub", &format!("{}\n", signer.public), 0o644)
                    .map_err(|error| told(error.to_string()))?;
                store(dir, "log.key", &text, 0o600).map_err(|error| told(error.to_string()))?;
                Ok(signer)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(told(
                "missing, but the log has records; restore it from a copy, or start with a new directory".to_owned(),
            )),
            Err(error) => Err(told(error.to_string())),
        }
    }
}

/// Refuses a key that group or others can reach.
fn only_for_owner(file: &fs::File) -> Result<(), String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(format!("others can reach it (mode {mode:04o}); make a new key, or `chmod 600` if nobody did"));
        }
    }
    Ok(())
}

/// Writes a file whole or not at all.
fn store(dir: &Path, name: &str, text: &str, mode: u32) -> std::io::Result<()> {
    let fresh = dir.join(format!("{name}.new"));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    // A left-over of a crash could have another mode.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(name))?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_opened_only_as_it_was_signed() {
        let (signer, _) = Signer::generate().unwrap();
        let mut tree = Tree::default();
        tree.push(b"x");
        let signed = signer.sign(&tree, 5);
        assert_eq!(Checkpoint::open(signed.note(), signer.public()), Ok(signed.clone()));
        let (other, _) = Signer::generate().unwrap();
        assert!(Checkpoint::open(signed.note(), other.public()).is_err());
        let note = signed.note().as_bytes();
        for at in 0..note.len() - 1 {
            let mut changed = note.to_vec();
            changed[at] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(Checkpoint::open(&changed, signer.public()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_public_key_round_trips_and_a_changed_one_is_refused() {
        let (signer, _) = Signer::generate().unwrap();
        let text = signer.public().to_string();
        assert_eq!(PublicKey::parse(&text).as_ref(), Ok(signer.public()));
        assert!(PublicKey::parse(&text.replacen("weir", "wier", 1)).is_err());
        assert!(PublicKey::parse("").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_kept_for_its_owner_and_refused_when_others_reach_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = std::env::temp_dir().join(format!("weir-key-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let made = Signer::load(&dir, true).unwrap();
        let path = dir.join("log.key");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Signer::load(&dir, false).unwrap().public(), made.public());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Signer::load(&dir, false), Err(StoreError::Key { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(Signer::load(&dir, false), Err(StoreError::Key { .. })));
        fs::remove_dir_all(&dir).unwrap();
    }
}
