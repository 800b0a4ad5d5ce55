//! RSA as caching_sha2_password uses it where there is no TLS: whoever sends a password encrypts it for the other side.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! What must not be concluded here: that the key is the server's. Nobody vouches for a key that came over the same wire.
//! INVARIANT: Weir's own key is made anew with each process and never leaves its memory.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use base64::Engine;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

/// Longest public key that is looked at, bytes of PEM: one of 8192 bits has a seventh of it.
const PEM_BYTES_MAX: usize = 10 * 1024;

/// Encrypts for whoever holds the private half, with OAEP and SHA-1, which is what the servers decrypt.
///
/// # Errors
/// What is wrong with the key (PEM, SubjectPublicKeyInfo, 2048 to 8192 bits) or that the text is too long for it.
pub fn encrypt(public_key: &[u8], plain: &[u8]) -> Result<Vec<u8>, String> {
    if public_key.len() > PEM_BYTES_MAX {
        return Err(format!("the server's public key has {} bytes, and weir reads {PEM_BYTES_MAX}", public_key.len()));
    }
    let der = SubjectPublicKeyInfoDer::from_pem_slice(public_key)
        .map_err(|error| format!("the server's public key cannot be read: {error}"))?;
    let key = PublicEncryptingKey::from_der(&der)
        .and_then(|key| OaepPublicEncryptingKey::new(key).map_err(Into::into))
        .map_err(|error| format!("the server's public key is not usable: {error}"))?;
    if plain.len() > key.max_plaintext_size(&OAEP_SHA1_MGF1SHA1) {
        return Err(format!("the server's public key is too short for {} bytes", plain.len()));
    }
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key
        .encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut encrypted, None)
        .map_err(|_| "the password cannot be encrypted with the server's public key".to_owned())?
        .len();
    encrypted.truncate(length);
    Ok(encrypted)
}

/// Weir's own key, for clients without TLS whose server's leg has TLS, and therefore no key to give.
#[derive(Debug)]
pub struct OwnKey {
    private: OaepPrivateDecryptingKey,
    public_pem: String,
}

/// The key of this process. Making it takes a second or so. `None`: the generator failed.
pub fn own_key() -> Option<&'static OwnKey> {
    static KEY: OnceLock<Option<OwnKey>> = OnceLock::new();
    KEY.get_or_init(|| OwnKey::generate(KeySize::Rsa2048)).as_ref()
}

impl OwnKey {
    fn generate(size: KeySize) -> Option<OwnKey> {
        let private = PrivateDecryptingKey::generate(size).ok()?;
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().ok()?;
        let public_pem = pem(der.as_ref());
        Some(OwnKey { private: OaepPrivateDecryptingKey::new(private).ok()?, public_pem })
    }

    /// The public half, SubjectPublicKeyInfo in PEM, as servers hand theirs out.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// What was encrypted for this key with OAEP and SHA-1; `None` when it was not.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let mut plain = vec![0; self.private.key_size_bytes()];
        let len = self.private.decrypt(&OAEP_SHA1_MGF1SHA1, ciphertext, &mut plain, None).ok()?.len();
        plain.truncate(len);
        Some(plain)
    }
}

fn pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text + "-----END PUBLIC KEY-----\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::rsa::KeySize;

    use super::*;

    /// A pair of keys as a server has one: the private half, and the PEM that it hands out.
    pub(crate) fn pair(size: KeySize) -> (OaepPrivateDecryptingKey, String) {
        let OwnKey { private, public_pem } = OwnKey::generate(size).unwrap();
        (private, public_pem)
    }

    #[test]
    fn the_key_of_a_process_is_one() {
        let key = own_key().unwrap();
        let ciphertext = encrypt(key.public_pem().as_bytes(), b"secret\0").unwrap();
        assert_eq!(key.decrypt(&ciphertext).as_deref(), Some(b"secret\0".as_slice()));
        assert_eq!(key.decrypt(&ciphertext[1..]), None);
        assert_eq!(key.decrypt(b""), None);
        assert!(std::ptr::eq(key, own_key().unwrap()));
    }

    #[test]
    fn only_the_private_half_reads_what_was_encrypted() {
        let (private, pem) = pair(KeySize::Rsa2048);
        let encrypted = encrypt(pem.as_bytes(), b"secret\0").unwrap();
        assert_eq!(encrypted.len(), 256);
        let mut plain = vec![0; private.key_size_bytes()];
        assert_eq!(private.decrypt(&OAEP_SHA1_MGF1SHA1, &encrypted, &mut plain, None).unwrap(), b"secret\0");
        assert_ne!(encrypt(pem.as_bytes(), b"secret\0").unwrap(), encrypted, "each time anew");
        let (other, _) = pair(KeySize::Rsa2048);
        assert!(other.decrypt(&OAEP_SHA1_MGF1SHA1, &encrypted, &mut plain, None).is_err());
    }

    #[test]
    fn what_is_no_key_is_told() {
        let (_, pem) = pair(KeySize::Rsa2048);
        let body = pem.lines().nth(1).unwrap();
        let of = |text: &str| encrypt(text.as_bytes(), b"secret").unwrap_err();
        for wrong in
            ["", "\0\0", "-----BEGIN PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"]
        {
            assert!(of(wrong).contains("cannot be read"), "{wrong:?}: {}", of(wrong));
        }
        let cut = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
        assert!(of(&cut).contains("not usable"), "{}", of(&cut));
        assert!(of(&"x".repeat(PEM_BYTES_MAX + 1)).contains("10241 bytes"));
        // OAEP with SHA-1 takes 42 bytes of the key's 256.
        assert!(encrypt(pem.as_bytes(), &[7; 214]).is_ok());
        assert!(encrypt(pem.as_bytes(), &[7; 215]).unwrap_err().contains("too short for 215 bytes"));
    }
}
