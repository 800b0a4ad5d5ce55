//! RSA as caching_sha2_password uses it where there is no TLS: whoever sends a password encrypts it for the server.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! What must not be concluded here: that the key is the server's. Nobody vouches for a key that came over the same wire.

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
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

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
    use base64::Engine;

    use super::*;

    /// A pair of keys as a server has one: the private half, and the PEM that it hands out.
    pub(crate) fn pair(size: KeySize) -> (OaepPrivateDecryptingKey, String) {
        let private = PrivateDecryptingKey::generate(size).unwrap();
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
        (OaepPrivateDecryptingKey::new(private).unwrap(), pem)
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
