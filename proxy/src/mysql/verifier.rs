//! What an account of MySQL or MariaDB proves itself against: what the server keeps of a password, in the server's form.
//! <https://dev.mysql.com/doc/refman/9.0/en/caching-sha2-pluggable-authentication.html>
//! <https://dev.mysql.com/doc/refman/8.4/en/native-pluggable-authentication.html>
//! <https://mariadb.com/kb/en/authentication-plugin-ed25519/>
//!
//! The slow hash of `caching_sha2_password` is worked once: afterwards the password hashed twice with SHA-256 is kept in
//! memory, with the verifier and no longer than it, and an answer to a nonce is enough. From what is kept nobody can log
//! in; what can is computed from the answer itself and lives as long as the login.
//!
//! INVARIANT: an account that is not known is judged by one like it ([`Verifier::decoy`]), with the same packets and the
//! same work, and is wrong in the end.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::sync::{Semaphore, SemaphorePermit};
use weir_wire::mysql::door::Plugin;
use weir_wire::mysql::handshake::Secret;

use super::crypt::{DIGEST_LEN, TEXT_LEN, decoded, sha256_crypt};
use super::proof::Scramble;

/// What `caching_sha2_password` begins its verifiers with.
const SHA2_PREFIX: &[u8] = b"$A$";
/// Bytes of its salt.
const SALT_LEN: usize = 20;
/// Its rounds are counted in thousands.
const ROUNDS_UNIT: u32 = 1000;
/// Most rounds of a verifier: a fifth of a second. The server's default is 5000 or 10,000, its maximum forty times this.
const ROUNDS_MAX: u32 = 100_000;
/// Longest password, bytes; the server's own bound, since the slow hash takes longer for longer ones.
const PASSWORD_BYTES_MAX: usize = 256;
/// What a verifier of MariaDB's ed25519 begins with in the file; the server keeps the rest.
const ED25519_PREFIX: &str = "ed25519:";
const ED25519_LEN: usize = 32;

/// What an account proves itself against. Clones share what they remember.
#[derive(Clone)]
pub enum Verifier {
    /// `caching_sha2_password`.
    CachingSha2(Arc<Sha2>),
    /// `mysql_native_password`: SHA1(SHA1(password)).
    Native(Secret),
    /// MariaDB's `ed25519`: a public key.
    Ed25519([u8; ED25519_LEN]),
}

/// A verifier of `caching_sha2_password`.
pub struct Sha2 {
    rounds: u32,
    salt: Secret,
    digest: [u8; DIGEST_LEN],
    /// SHA256(SHA256(password)), once it was given in full.
    remembered: Mutex<Option<Secret>>,
}

/// What is known of a password after it was found right, for the login upstream. Dropped with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Proven {
    /// All of it.
    Password(Secret),
    /// Hashed once: enough to answer a nonce of the same plugin.
    Once(Scramble, Secret),
    /// Nothing that another could be shown.
    Nothing,
}

/// The judgement of an answer to a nonce.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It is right.
    Right(Proven),
    /// It cannot be judged: the password itself is needed.
    Unsure,
    /// It is wrong.
    Wrong,
}

impl Verifier {
    /// Reads what the server keeps: `authentication_string` of `mysql.user`, as text or in hex (with or without `0x`);
    /// of MariaDB's ed25519 with `ed25519:` before it.
    ///
    /// # Errors
    /// What it is not, without a word of it.
    pub fn parse(text: &str) -> Result<Verifier, String> {
        if let Some(key) = text.strip_prefix(ED25519_PREFIX) {
            let key = STANDARD_NO_PAD.decode(key.trim_end_matches('=')).ok();
            let key: Option<[u8; ED25519_LEN]> = key.and_then(|key| key.try_into().ok());
            return key.map(Verifier::Ed25519).ok_or_else(|| "is no public key of ed25519: 43 characters".to_owned());
        }
        if let Some(digest) = text.strip_prefix('*') {
            return match unhex(digest) {
                Some(twice) if twice.bytes().len() == NATIVE_LEN => Ok(Verifier::Native(twice)),
                _ => Err("is no verifier of mysql_native_password: `*` and 40 hexadecimal digits".to_owned()),
            };
        }
        let written = match text.as_bytes().starts_with(SHA2_PREFIX) {
            true => Some(Secret::new(text.as_bytes().to_vec())),
            false => unhex(text.strip_prefix("0x").unwrap_or(text)),
        };
        match written {
            Some(bytes) if bytes.bytes().starts_with(b"*") => {
                let native = std::str::from_utf8(bytes.bytes()).unwrap_or_default();
                Verifier::parse(native)
            }
            Some(bytes) => Sha2::read(bytes.bytes()).map(|sha2| Verifier::CachingSha2(Arc::new(sha2))),
            None => {
                Err("is no verifier of caching_sha2_password (`$A$…`, or in hex), mysql_native_password (`*…`) or \
                         ed25519 (`ed25519:…`)"
                    .to_owned())
            }
        }
    }

    /// The plugin that the account logs in with.
    pub fn plugin(&self) -> Plugin {
        match self {
            Verifier::CachingSha2(_) => Plugin::CachingSha2,
            Verifier::Native(_) => Plugin::Native,
            Verifier::Ed25519(_) => Plugin::Ed25519,
        }
    }

    /// Its name in records.
    pub fn method(&self) -> &'static str {
        match self {
            Verifier::Ed25519(_) => "ed25519",
            other => other.plugin().name(),
        }
    }

    /// One that nobody's password fits, and that nobody can tell from this one. `noise` is what only Weir knows.
    pub(crate) fn decoy(&self, noise: &[u8]) -> Verifier {
        let noise = &noise.iter().copied().chain([0; DIGEST_LEN]).take(DIGEST_LEN).collect::<Vec<u8>>();
        let noise: &[u8; DIGEST_LEN] = noise.as_slice().try_into().unwrap_or(&[0; DIGEST_LEN]);
        match self {
            Verifier::CachingSha2(sha2) => Verifier::CachingSha2(Arc::new(Sha2 {
                rounds: sha2.rounds,
                salt: Secret::new(noise[..SALT_LEN].to_vec()),
                digest: *noise,
                remembered: Mutex::default(),
            })),
            Verifier::Native(_) => Verifier::Native(Secret::new(noise[..NATIVE_LEN].to_vec())),
            Verifier::Ed25519(_) => Verifier::Ed25519(*noise),
        }
    }

    /// The one that decoys are made from where there is no other: as a server makes them by default.
    pub(crate) fn usual() -> Verifier {
        Verifier::CachingSha2(Arc::new(Sha2 {
            rounds: 5 * ROUNDS_UNIT,
            salt: Secret::default(),
            digest: [0; DIGEST_LEN],
            remembered: Mutex::default(),
        }))
    }

    /// Judges the answer to a nonce.
    pub(crate) fn judge(&self, answer: &[u8], nonce: &[u8]) -> Judgement {
        match self {
            Verifier::CachingSha2(sha2) => {
                let remembered = sha2.remembered();
                // What is not known by the answer, the password may still show: also one that was changed meanwhile.
                let once = remembered.and_then(|twice| Scramble::CachingSha2.judge(answer, &twice, nonce));
                once.map_or(Judgement::Unsure, |once| Judgement::Right(Proven::Once(Scramble::CachingSha2, once)))
            }
            Verifier::Native(twice) => match Scramble::Native.judge(answer, twice, nonce) {
                Some(once) => Judgement::Right(Proven::Once(Scramble::Native, once)),
                None => Judgement::Wrong,
            },
            Verifier::Ed25519(key) => match UnparsedPublicKey::new(&ED25519, key).verify(nonce, answer) {
                Ok(()) => Judgement::Right(Proven::Nothing),
                Err(_) => Judgement::Wrong,
            },
        }
    }

    /// Waits for a place where a slow hash may be worked, when this password needs one: a password that is remembered
    /// does not. To be held until the judgement has had its consequences.
    pub(crate) async fn place(&self, password: &Secret) -> Option<SemaphorePermit<'static>> {
        match self {
            Verifier::CachingSha2(sha2) if !sha2.remembers(password) => places().acquire().await.ok(),
            _ => None,
        }
    }

    /// Judges a password, beside the reactor where that takes long ([`Verifier::place`] first), and remembers one that
    /// is right.
    ///
    /// Cancel safe; the work that is under way goes on.
    pub(crate) async fn judge_password(&self, password: &Secret) -> bool {
        let Verifier::CachingSha2(sha2) = self else { return false };
        if sha2.remembers(password) {
            return true;
        }
        let twice = Scramble::CachingSha2.twice(&Scramble::CachingSha2.once(password.bytes()));
        let (judge, password) = (Arc::clone(sha2), password.clone());
        let right = tokio::task::spawn_blocking(move || judge.fits(password.bytes())).await.unwrap_or(false);
        if right {
            *sha2.remembered.lock().unwrap_or_else(PoisonError::into_inner) = Some(twice);
        }
        right
    }
}

/// Bytes of a verifier of `mysql_native_password`.
const NATIVE_LEN: usize = 20;

/// Slow hashes at once, in the whole process: as many as there are cores, so that guesses cannot take more threads.
fn places() -> &'static Semaphore {
    static PLACES: OnceLock<Semaphore> = OnceLock::new();
    PLACES.get_or_init(|| Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)))
}

impl Sha2 {
    /// `$A$`, thousands of rounds as three hexadecimal digits, `$`, the salt, the hash.
    fn read(bytes: &[u8]) -> Result<Sha2, String> {
        let shape = || "is no verifier of caching_sha2_password: `$A$`, 3 digits, `$`, 20 bytes and 43 characters";
        let rest = bytes.strip_prefix(SHA2_PREFIX).ok_or_else(shape)?;
        if rest.len() != 4 + SALT_LEN + TEXT_LEN || rest[3] != b'$' {
            return Err(shape().to_owned());
        }
        let thousands = std::str::from_utf8(&rest[..3]).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let rounds = thousands.ok_or_else(shape)? * ROUNDS_UNIT;
        if rounds == 0 || rounds > ROUNDS_MAX {
            return Err(format!(
                "has {rounds} rounds, and weir works from {ROUNDS_UNIT} to {ROUNDS_MAX}: set \
                 caching_sha2_password_digest_rounds on the server and the account's password anew"
            ));
        }
        let (salt, text) = rest[4..].split_at(SALT_LEN);
        let digest = decoded(text).ok_or_else(shape)?;
        Ok(Sha2 { rounds, salt: Secret::new(salt.to_vec()), digest, remembered: Mutex::default() })
    }

    fn fits(&self, password: &[u8]) -> bool {
        // Longer ones are no password of the server; the work is done all the same.
        let bounded = password.get(..PASSWORD_BYTES_MAX).unwrap_or(password);
        let digest = sha256_crypt(bounded, self.salt.bytes(), self.rounds);
        verify_slices_are_equal(&digest, &self.digest).is_ok() && bounded.len() == password.len()
    }

    fn remembers(&self, password: &Secret) -> bool {
        let twice = Scramble::CachingSha2.twice(&Scramble::CachingSha2.once(password.bytes()));
        self.remembered().is_some_and(|known| verify_slices_are_equal(known.bytes(), twice.bytes()).is_ok())
    }

    fn remembered(&self) -> Option<Secret> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a verifier of {}", self.method())
    }
}

fn unhex(text: &str) -> Option<Secret> {
    if !text.len().is_multiple_of(2) || text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        Some(digit(pair[0])? << 4 | digit(pair[1])?)
    });
    bytes.collect::<Option<Vec<u8>>>().map(Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MySQL 9.7 keeps `secret` (`select hex(authentication_string) from mysql.user`).
    const SHA2: &str = "244124303041246A1E6F7C36250E3F1A257C1563480E7A5E132252465A64596F3748616A6669354F55316B32514C47666556454A6A3136724441715A72354874344650474E34";
    /// As MariaDB 10.11 keeps `secret`.
    const NATIVE: &str = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";
    const ED25519: &str = "ed25519:ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";
    const NONCE: &[u8] = b"01234567890123456789";

    fn sha2() -> Verifier {
        Verifier::parse(SHA2).unwrap()
    }

    fn judged(verifier: &Verifier, password: &str) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(verifier.judge_password(&Secret::new(password.into())))
    }

    fn answer(scramble: Scramble, password: &str) -> Secret {
        scramble.answer(&scramble.once(password.as_bytes()), NONCE)
    }

    #[test]
    fn a_password_is_known_by_its_answer_once_it_was_given_in_full() {
        let verifier = sha2();
        let right = answer(Scramble::CachingSha2, "secret");
        assert_eq!(verifier.judge(right.bytes(), NONCE), Judgement::Unsure, "nothing is remembered");
        for wrong in ["", "Secret", "secret ", &"secret".repeat(100)] {
            assert!(!judged(&verifier, wrong), "{wrong}");
        }
        assert_eq!(verifier.judge(right.bytes(), NONCE), Judgement::Unsure, "wrong ones teach nothing");
        assert!(judged(&verifier, "secret"));
        let once = Scramble::CachingSha2.once(b"secret");
        assert_eq!(
            verifier.clone().judge(right.bytes(), NONCE),
            Judgement::Right(Proven::Once(Scramble::CachingSha2, once))
        );
        assert_eq!(verifier.judge(right.bytes(), &NONCE[1..]), Judgement::Unsure);
        assert_eq!(verifier.judge(answer(Scramble::CachingSha2, "Secret").bytes(), NONCE), Judgement::Unsure);
        assert!(judged(&verifier, "secret") && !judged(&verifier, "Secret"));
        assert_eq!(sha2().judge(right.bytes(), NONCE), Judgement::Unsure, "what is read anew remembers nothing");
    }

    #[test]
    fn native() {
        for text in [NATIVE.to_owned(), NATIVE.to_lowercase(), hex(NATIVE.as_bytes())] {
            let verifier = Verifier::parse(&text).unwrap();
            let once = Scramble::Native.once(b"secret");
            let right = answer(Scramble::Native, "secret");
            assert_eq!(
                verifier.judge(right.bytes(), NONCE),
                Judgement::Right(Proven::Once(Scramble::Native, once)),
                "{text}"
            );
            assert_eq!(verifier.judge(answer(Scramble::Native, "Secret").bytes(), NONCE), Judgement::Wrong);
            assert_eq!(verifier.judge(b"", NONCE), Judgement::Wrong);
            assert!(!judged(&verifier, "secret"), "it never asks for the password");
        }
    }

    #[test]
    fn ed25519() {
        let verifier = Verifier::parse(ED25519).unwrap();
        let nonce = b"0123456789012345678901234567890!";
        let signature = unhex("76f60ad75f2518c2ecf806d0e11d08c18b8be7309515941a15013cdfefc46e58af297e10367376e88dfc41edd8f5f7ebaef1e07562c28f2c33ae509c674ed20e").unwrap();
        assert_eq!(verifier.judge(signature.bytes(), nonce), Judgement::Right(Proven::Nothing));
        assert_eq!(verifier.judge(signature.bytes(), &nonce[1..]), Judgement::Wrong);
        assert_eq!(verifier.judge(&signature.bytes()[1..], nonce), Judgement::Wrong);
    }

    #[test]
    fn nobody_is_a_decoy() {
        let noise = [7; DIGEST_LEN];
        for text in [SHA2, NATIVE, ED25519] {
            let real = Verifier::parse(text).unwrap();
            let decoy = real.decoy(&noise);
            assert_eq!((decoy.plugin(), decoy.method()), (real.plugin(), real.method()));
            assert!(!judged(&decoy, "secret"));
            let expected = if text == SHA2 { Judgement::Unsure } else { Judgement::Wrong };
            for scramble in [Scramble::Native, Scramble::CachingSha2] {
                assert_eq!(decoy.judge(answer(scramble, "secret").bytes(), NONCE), expected);
            }
            assert_eq!(decoy.judge(&[0; 64], NONCE), expected);
        }
        assert!(!judged(&Verifier::usual(), ""));
    }

    #[test]
    fn what_is_no_verifier_is_told_without_a_word_of_it() {
        for (text, says) in [
            ("", "is no verifier of"),
            ("hunter2", "is no verifier of"),
            ("*14E6", "mysql_native_password"),
            ("*14E65567ABDB5135D0CFD9A70B3032C179A49EEX", "mysql_native_password"),
            ("$A$005$short", "caching_sha2_password"),
            ("$B$005$short", "is no verifier of"),
            (&SHA2[..SHA2.len() - 2], "caching_sha2_password"),
            (SHA2.replacen("303041", "303030", 1).as_str(), "has 0 rounds"),
            (SHA2.replacen("303041", "303635", 1).as_str(), "has 101000 rounds"),
            (SHA2.replacen("303041", "464646", 1).as_str(), "has 4095000 rounds"),
            (SHA2.replacen("303041", "304730", 1).as_str(), "3 digits"),
            ("ed25519:short", "ed25519"),
            ("SCRAM-SHA-256$4096:x", "is no verifier of"),
        ] {
            let told = Verifier::parse(text).unwrap_err();
            assert!(told.contains(says), "{text}: {told}");
            assert!(!told.contains("hunter2"));
        }
        assert_eq!(format!("{:?}", sha2()), "a verifier of caching_sha2_password");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,90}|[0-9a-f]{0,160}|\\$A\\$[0-9A-F]{3}\\$[ -~]{63}") {
            let _ = Verifier::parse(&text);
        }
    }
}
