//! What is answered to a server that asks who we are: proofs that a password is known, from which it cannot be read.
//!
//! A proof is worth something only together with the challenge it answers. The password itself, or what
//! [`wrapped`] makes of it, goes to nobody but the server: [`login`](super::login) sees to that.

use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Bytes of a challenge that count; what the server sends behind them is a NUL.
pub(super) const CHALLENGE_LEN: usize = 20;

/// mysql_native_password: SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password))). Nothing for no password.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>
pub(super) fn native(password: &[u8], challenge: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
    let twice = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[once.as_ref()]);
    xor(once.as_ref(), hash(&SHA1_FOR_LEGACY_USE_ONLY, &[challenge, twice.as_ref()]).as_ref())
}

/// caching_sha2_password: SHA256(password) XOR SHA256(SHA256(SHA256(password)), challenge). Nothing for no password.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
pub(super) fn caching_sha2(password: &[u8], challenge: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = hash(&SHA256, &[password]);
    let twice = hash(&SHA256, &[once.as_ref()]);
    xor(once.as_ref(), hash(&SHA256, &[twice.as_ref(), challenge]).as_ref())
}

/// The password as it is encrypted for the server: with its NUL, and mixed with the challenge, so that what is sent
/// once cannot be sent again.
pub(super) fn wrapped(password: &[u8], challenge: &[u8]) -> Vec<u8> {
    let with_nul = password.iter().copied().chain([0]);
    with_nul.zip(challenge.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

fn hash(algorithm: &'static Algorithm, parts: &[&[u8]]) -> digest::Digest {
    let mut context = digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14";

    /// What the server does with a proof, from what it keeps of the password alone.
    #[test]
    fn a_proof_is_what_the_server_can_check() {
        for password in ["x", "correct horse battery staple", "naïve ☃"].map(str::as_bytes) {
            let stored = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[password]);
            let stored = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[stored.as_ref()]);
            let mask = hash(&SHA1_FOR_LEGACY_USE_ONLY, &[CHALLENGE, stored.as_ref()]);
            let once = xor(&native(password, CHALLENGE), mask.as_ref());
            assert_eq!(hash(&SHA1_FOR_LEGACY_USE_ONLY, &[&once]).as_ref(), stored.as_ref());

            let stored = hash(&SHA256, &[hash(&SHA256, &[password]).as_ref()]);
            let mask = hash(&SHA256, &[stored.as_ref(), CHALLENGE]);
            let once = xor(&caching_sha2(password, CHALLENGE), mask.as_ref());
            assert_eq!(hash(&SHA256, &[&once]).as_ref(), stored.as_ref());
            assert_ne!(native(password, CHALLENGE), native(password, &CHALLENGE[1..]));
        }
        assert!(native(b"", CHALLENGE).is_empty() && caching_sha2(b"", CHALLENGE).is_empty());
    }

    #[test]
    fn a_wrapped_password_is_as_long_as_it_is_and_comes_back() {
        let long = "p".repeat(3 * CHALLENGE_LEN + 1);
        let wrapped = wrapped(long.as_bytes(), CHALLENGE);
        let plain: Vec<u8> = wrapped.iter().zip(CHALLENGE.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, [long.as_bytes(), b"\0"].concat());
        assert!(super::wrapped(b"p", &[]).is_empty(), "nothing is sent without a challenge");
    }
}
