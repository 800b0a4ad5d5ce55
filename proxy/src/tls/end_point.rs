//! What a login can be bound to of the certificate that a client was shown (`tls-server-end-point`, RFC 5929, 4).
//!
//! INVARIANT: nothing is offered where client and Weir could come to different hashes: for a signature whose hash this
//! file does not know, there is no binding.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, SHA512, digest};

const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// Signature algorithms (the bytes of their object identifiers) and the hash that RFC 5929 takes: that of the signature,
/// and SHA-256 in place of MD5 and SHA-1. Ed25519 has none. RSASSA-PSS is left out: its hash is a parameter, which not
/// every driver reads.
const HASHES: [(&[u8], &Algorithm); 9] = [
    // rsaEncryption with MD5, SHA-1, SHA-256, SHA-384, SHA-512.
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], &SHA384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], &SHA512),
    // ECDSA with SHA-1, SHA-256, SHA-384, SHA-512.
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01], &SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], &SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], &SHA384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], &SHA512),
];

/// The hash of a certificate that both sides of a connection know. `None`: there is none that both can be sure of.
pub(super) fn hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (tag, body, _) = element(certificate)?;
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { algorithm, … }, signature }.
    let (_, _, rest) = element(Some(body).filter(|_| tag == SEQUENCE)?)?;
    let (tag, algorithm, _) = element(rest)?;
    let (inner, identifier, _) = element(Some(algorithm).filter(|_| tag == SEQUENCE)?)?;
    let found = HASHES.iter().find(|(known, _)| inner == OBJECT_IDENTIFIER && *known == identifier)?;
    Some(digest(found.1, certificate).as_ref().to_vec())
}

/// Tag, content, and what follows (ITU-T X.690, 8.1); lengths of at most four bytes.
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = input.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(algorithm: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, body: &[u8]| [&[tag, u8::try_from(body.len()).unwrap()], body].concat();
        let signature = wrap(SEQUENCE, &wrap(OBJECT_IDENTIFIER, algorithm));
        wrap(SEQUENCE, &[wrap(SEQUENCE, b"names"), signature, wrap(3, b"signature")].concat())
    }

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (algorithm, hash) in HASHES {
            let certificate = certificate(algorithm);
            assert_eq!(super::hash(&certificate), Some(digest(hash, &certificate).as_ref().to_vec()));
        }
        // Ed25519, and something that is no certificate.
        assert_eq!(hash(&certificate(&[0x2b, 0x65, 0x70])), None);
        let good = certificate(HASHES[0].0);
        for end in 0..good.len() {
            assert_eq!(hash(&good[..end]), None);
        }
    }
}
