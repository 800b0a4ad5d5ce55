//! The slow hash under which `caching_sha2_password` keeps a password: SHA-crypt over SHA-256.
//! <https://www.akkadia.org/drepper/SHA-crypt.txt>
//! <https://dev.mysql.com/doc/refman/9.0/en/caching-sha2-pluggable-authentication.html>
//!
//! Not for the reactor: thousands of hashes, on purpose.

use std::hint;

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

/// Bytes of the hash.
pub(crate) const DIGEST_LEN: usize = SHA256_OUTPUT_LEN;
/// Characters of its text.
pub(crate) const TEXT_LEN: usize = 43;
/// The alphabet of crypt(3), which is not that of Base64.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Bytes of the hash in the order in which its text has them, three for four characters; the last two have three.
const ORDER: [usize; DIGEST_LEN] = [
    0, 10, 20, 21, 1, 11, 12, 22, 2, 3, 13, 23, 24, 4, 14, 15, 25, 5, 6, 16, 26, 27, 7, 17, 18, 28, 8, 9, 19, 29, 31,
    30,
];

/// The hash of a password.
pub(crate) fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> [u8; DIGEST_LEN] {
    let mut alternate = hash(&[password, salt, password]);
    let mut context = Context::new(&SHA256);
    context.update(password);
    context.update(salt);
    for chunk in password.chunks(DIGEST_LEN) {
        context.update(&alternate[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        context.update(if bits & 1 == 1 { &alternate } else { password });
        bits >>= 1;
    }
    let mut digest = finish(context);
    let mut context = Context::new(&SHA256);
    for _ in 0..password.len() {
        context.update(password);
    }
    let mut passwords = stretched(&finish(context), password.len());
    let mut context = Context::new(&SHA256);
    for _ in 0..16 + usize::from(digest[0]) {
        context.update(salt);
    }
    let salts = stretched(&finish(context), salt.len());
    for round in 0..rounds {
        let odd = round & 1 == 1;
        let mut context = Context::new(&SHA256);
        context.update(if odd { &passwords } else { &digest });
        if round % 3 != 0 {
            context.update(&salts);
        }
        if round % 7 != 0 {
            context.update(&passwords);
        }
        context.update(if odd { &digest } else { &passwords });
        digest = finish(context);
    }
    passwords.fill(0);
    alternate.fill(0);
    hint::black_box((&passwords, &alternate));
    digest
}

/// The hash that this text stands for; `None` when it is none.
pub(crate) fn decoded(text: &[u8]) -> Option<[u8; DIGEST_LEN]> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut digest = [0; DIGEST_LEN];
    for (characters, places) in text.chunks(4).zip(ORDER.chunks(3)) {
        let mut bits: u32 = 0;
        for (index, character) in characters.iter().enumerate() {
            let value = ALPHABET.iter().position(|known| known == character)?;
            bits |= u32::try_from(value).ok()? << (6 * index);
        }
        let [low, middle, high, _] = bits.to_le_bytes();
        let bytes = if places.len() == 3 { vec![high, middle, low] } else { vec![middle, low] };
        if bits >> (8 * places.len()) != 0 {
            return None;
        }
        for (place, byte) in places.iter().zip(bytes) {
            digest[*place] = byte;
        }
    }
    Some(digest)
}

fn hash(parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    finish(context)
}

fn finish(context: Context) -> [u8; DIGEST_LEN] {
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// A hash over and over, up to this length.
fn stretched(digest: &[u8], len: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(len).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As crypt(3) of another implementation gives them (`$5$rounds=…$salt$…`).
    #[test]
    fn known_hashes() {
        for (password, salt, rounds, text) in [
            ("Hello world!", "saltstring", 5000, "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            ("x", "abcdefghijklmnop", 5000, "fiUnwzJyCDn7Dx53oezcP81DtfKy73q.P999JrS8fsB"),
            (
                "This is just a test, quite a long one with more than 32 bytes",
                "0123456789abcdef",
                10_000,
                "ED6PIBim.1s9hPvIPP6g.olkluIae1N49bh6yoNFOC4",
            ),
            (
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                "q",
                1000,
                "yW.pevAIC1jcxuqyY2ehN48Hd1gYipQz9DMn2EDLyK9",
            ),
            ("naïve ☃", "abc", 1000, "QC5gs6lJEhsNl47ggDM9bclpKj/.5JTAj7i4q4oXSs9"),
        ] {
            let digest = sha256_crypt(password.as_bytes(), salt.as_bytes(), rounds);
            assert_eq!(decoded(text.as_bytes()), Some(digest), "{password}");
            assert_ne!(sha256_crypt(password.as_bytes(), salt.as_bytes(), rounds + 1), digest);
        }
    }

    #[test]
    fn texts_that_are_no_hash() {
        for text in ["", "5B8vYYiY", &"!".repeat(TEXT_LEN), &"z".repeat(TEXT_LEN)] {
            assert_eq!(decoded(text.as_bytes()), None, "{text}");
        }
        assert_eq!(decoded("/".repeat(TEXT_LEN - 1).as_bytes()), None);
        assert_eq!(decoded(".".repeat(TEXT_LEN).as_bytes()), Some([0; DIGEST_LEN]));
    }
}
