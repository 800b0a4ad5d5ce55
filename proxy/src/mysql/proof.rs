//! Proofs that a password is known, from which it cannot be read: what is answered to a server that asks, and how an
//! answer is held against what is known of a password.
//!
//! A proof is worth something only together with the challenge it answers. The password itself, or what
//! [`wrapped`] makes of it, goes to nobody but the server: [`login`](super::login) sees to that.
//!
//! INVARIANT: whether a proof is right is found in the same time whatever is wrong with it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use weir_wire::mysql::handshake::Secret;

/// The two challenges that hash: the same rule over another hash, and in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scramble {
    /// `mysql_native_password`: SHA1(password) XOR SHA1(challenge, SHA1(SHA1(password))).
    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_authentication_methods_native_password_authentication.html>
    Native,
    /// `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), challenge).
    /// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
    CachingSha2,
}

impl Scramble {
    fn algorithm(self) -> &'static Algorithm {
        match self {
            Scramble::Native => &SHA1_FOR_LEGACY_USE_ONLY,
            Scramble::CachingSha2 => &SHA256,
        }
    }

    /// The password hashed once: enough to answer any challenge.
    pub(crate) fn once(self, password: &[u8]) -> Secret {
        Secret::new(hash(self.algorithm(), &[password]).as_ref().to_vec())
    }

    /// The password hashed twice: enough to judge an answer, and for nothing else.
    pub(crate) fn twice(self, once: &Secret) -> Secret {
        Secret::new(hash(self.algorithm(), &[once.bytes()]).as_ref().to_vec())
    }

    /// The answer to a challenge.
    pub(crate) fn answer(self, once: &Secret, challenge: &[u8]) -> Secret {
        let mask = self.mask(&self.twice(once), challenge);
        Secret::new(xor(once.bytes(), mask.as_ref()))
    }

    /// The password hashed once, when `answer` shows that whoever made it has it; `twice` is what is known here.
    pub(crate) fn judge(self, answer: &[u8], twice: &Secret, challenge: &[u8]) -> Option<Secret> {
        let mask = self.mask(twice, challenge);
        if answer.len() != mask.as_ref().len() {
            return None;
        }
        let once = Secret::new(xor(answer, mask.as_ref()));
        verify_slices_are_equal(self.twice(&once).bytes(), twice.bytes()).ok()?;
        Some(once)
    }

    fn mask(self, twice: &Secret, challenge: &[u8]) -> digest::Digest {
        match self {
            Scramble::Native => hash(self.algorithm(), &[challenge, twice.bytes()]),
            Scramble::CachingSha2 => hash(self.algorithm(), &[twice.bytes(), challenge]),
        }
    }
}

/// The password as it is encrypted for the server: with its NUL, and mixed with the challenge, so that what is sent
/// once cannot be sent again.
pub(crate) fn wrapped(password: &[u8], challenge: &[u8]) -> Secret {
    let with_nul = password.iter().copied().chain([0]);
    Secret::new(with_nul.zip(challenge.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
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

    const CHALLENGE_LEN: usize = 20;
    const CHALLENGE: &[u8] = b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14";

    #[test]
    fn a_proof_is_what_the_other_side_can_judge() {
        for scramble in [Scramble::Native, Scramble::CachingSha2] {
            for password in ["x", "correct horse battery staple", "naïve ☃"].map(str::as_bytes) {
                let once = scramble.once(password);
                let twice = scramble.twice(&once);
                let answer = scramble.answer(&once, CHALLENGE);
                assert_eq!(scramble.judge(answer.bytes(), &twice, CHALLENGE), Some(once));
                assert_eq!(scramble.judge(answer.bytes(), &twice, &CHALLENGE[1..]), None, "another challenge");
                assert_eq!(scramble.judge(&answer.bytes()[1..], &twice, CHALLENGE), None, "another length");
                let other = scramble.answer(&scramble.once(b"other"), CHALLENGE);
                assert_eq!(scramble.judge(other.bytes(), &twice, CHALLENGE), None, "another password");
                let reversed = scramble.answer(&twice, CHALLENGE);
                assert_eq!(scramble.judge(reversed.bytes(), &twice, CHALLENGE), None, "what is kept is no password");
            }
        }
    }

    /// As the servers' own functions say it.
    #[test]
    fn what_is_kept_is_what_servers_keep() {
        let once = Scramble::Native.once(b"secret");
        let kept = Scramble::Native.twice(&once);
        // select password('secret')
        assert_eq!(kept.bytes(), unhex("14e65567abdb5135d0cfd9a70b3032c179a49ee7"));
        // select sha2(unhex(sha2('secret', 256)), 256)
        let kept = Scramble::CachingSha2.twice(&Scramble::CachingSha2.once(b"secret"));
        assert_eq!(kept.bytes(), unhex("3881219d087dd9c634373fd33dfa33a2cb6bfc6c520b64b8bb60ef2ceb534ae7"));
    }

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn a_wrapped_password_is_as_long_as_it_is_and_comes_back() {
        let long = "p".repeat(3 * CHALLENGE_LEN + 1);
        let wrapped = wrapped(long.as_bytes(), CHALLENGE);
        let plain: Vec<u8> =
            wrapped.bytes().iter().zip(CHALLENGE.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(plain, [long.as_bytes(), b"\0"].concat());
        assert!(super::wrapped(b"p", &[]).bytes().is_empty(), "nothing is sent without a challenge");
    }
}
