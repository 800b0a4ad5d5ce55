//! What a client's certificate says its holder is called: the subject as an RFC 4514 string, and the alternative names.
//!
//! Only certificates that rustls has verified come here, so nothing is decided about trust: no chain, no dates, no
//! purposes. The reader is our own since it needs five elements of a certificate and nothing of the rest; the crates that
//! read all of X.509 bring a dozen others, and webpki, which verifies, hands out neither a readable subject nor e-mail
//! addresses.
//!
//! INVARIANT: two certificates give the same string only for the same names. What RFC 4514 escapes is escaped, types that
//! have no short name stand as numbers, and a value in an alphabet that has several readings stands as its bytes: neither
//! a NUL nor a comma can make a name look like another. Lengths are judged against what is left before anything is read.

use super::der::{self, Der, DerError};
use super::login::Name;
use super::subject::{self, COMMON_NAME};

/// Longest certificate that is looked at, bytes. Those of people have one or two thousand.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Most alternative names that are read. A person has a handful; servers' certificates have a hundred.
pub const ALTERNATIVES_MAX: usize = 256;
/// Most parts of a subject.
pub const SUBJECT_PARTS_MAX: usize = 64;
/// Longest name, bytes: whoever nobody knows is called by it in each record. A SPIFFE id has 2048 at most.
pub const NAME_BYTES_MAX: usize = 2048;

/// Tags of what is read here (ITU-T X.690, 8.1.2).
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;

/// The extension `subjectAltName`, 2.5.29.17. RFC 5280, 4.2.1.6.
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The names in one certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// RFC 4514 string: the most specific part first. Empty where the certificate has none.
    pub subject: String,
    /// The subject's common name; `None` where it has none, or several.
    pub common_name: Option<String>,
    /// Uniform resource identifiers, such as SPIFFE ids.
    pub uris: Vec<String>,
    /// E-mail addresses.
    pub emails: Vec<String>,
    /// Host names.
    pub hosts: Vec<String>,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Longer than is looked at.
    #[error("the client's certificate has {0} bytes, and weir reads {CERTIFICATE_BYTES_MAX}")]
    TooLong(usize),
    /// No certificate, or one that is encoded against the rules.
    #[error("the client's certificate cannot be read: {0}")]
    Malformed(#[from] DerError),
    /// More names than anybody has.
    #[error("the client's certificate has more than {0} {1}")]
    TooMany(usize, &'static str),
    /// A name in an alternative name that is no text of its kind.
    #[error("the client's certificate has {0} that is not written in visible ASCII characters")]
    NotAscii(&'static str),
    /// A SPIFFE id with another URI beside it. SPIFFE X.509-SVID, section 2: such a certificate must be refused.
    #[error("the client's certificate has a SPIFFE id and another uri beside it; give it one uri")]
    SeveralIds,
    /// A name that no record should carry.
    #[error("the client's certificate has a name of more than {NAME_BYTES_MAX} bytes")]
    LongName,
    /// It names nobody.
    #[error("the client's certificate names nobody: it has neither a subject nor an alternative name")]
    Nameless,
}

/// The names by which a directory can know the holder of a certificate: the subject, then every URI; an e-mail address
/// is `mailto:` (RFC 6068) and a host is `dns:` (RFC 4501).
///
/// # Errors
/// Why it names nobody.
pub fn names(leaf_der: &[u8]) -> Result<Vec<Name>, CertificateError> {
    let read = read(leaf_der)?;
    let mut names = Vec::new();
    if !read.subject.is_empty() {
        names.push(Name::Subject(read.subject));
    }
    names.extend(read.uris.into_iter().map(Name::Uri));
    names.extend(read.emails.into_iter().map(|email| Name::Uri(format!("mailto:{email}"))));
    names.extend(read.hosts.into_iter().map(|host| Name::Uri(format!("dns:{host}"))));
    if names.is_empty() { Err(CertificateError::Nameless) } else { Ok(names) }
}

/// Reads the names of an end-entity certificate. RFC 5280, 4.1.
///
/// # Errors
/// Why it cannot be read.
pub fn read(leaf_der: &[u8]) -> Result<CertificateNames, CertificateError> {
    if leaf_der.len() > CERTIFICATE_BYTES_MAX {
        return Err(CertificateError::TooLong(leaf_der.len()));
    }
    let mut whole = Der::new(leaf_der);
    let mut certificate = whole.enter(SEQUENCE)?;
    whole.end()?;
    let mut fields = certificate.enter(SEQUENCE)?;
    certificate.take(SEQUENCE)?; // signatureAlgorithm
    certificate.take(BIT_STRING)?;
    certificate.end()?;

    fields.take_if(der::explicit(0))?; // version
    fields.take(INTEGER)?; // serialNumber
    fields.take(SEQUENCE)?; // signature
    fields.take(SEQUENCE)?; // issuer
    fields.take(SEQUENCE)?; // validity
    let mut names = CertificateNames::default();
    read_subject(fields.enter(SEQUENCE)?, &mut names)?;
    fields.take(SEQUENCE)?; // subjectPublicKeyInfo
    fields.take_if(der::implicit(1))?; // issuerUniqueID
    fields.take_if(der::implicit(2))?; // subjectUniqueID
    if let Some(mut wrapped) = fields.enter_if(der::explicit(3))? {
        let mut extensions = wrapped.enter(SEQUENCE)?;
        wrapped.end()?;
        let mut seen = false;
        while !extensions.is_empty() {
            let mut extension = extensions.enter(SEQUENCE)?;
            let kind = extension.take(OBJECT_IDENTIFIER)?;
            extension.take_if(BOOLEAN)?; // critical
            let mut value = Der::new(extension.take(OCTET_STRING)?);
            extension.end()?;
            if kind == SUBJECT_ALTERNATIVE_NAME {
                // RFC 5280, 4.2: an extension stands at most once. Of two, each reader would believe another.
                if std::mem::replace(&mut seen, true) {
                    return Err(DerError::Repeated.into());
                }
                alternatives(value.enter(SEQUENCE)?, &mut names)?;
                value.end()?;
            }
        }
    }
    fields.end()?;
    Ok(names)
}

/// `RDNSequence`: parts from the general to the specific, each of one or several attributes. RFC 4514, 2.1.
fn read_subject(mut parts: Der<'_>, names: &mut CertificateNames) -> Result<(), CertificateError> {
    let mut written: Vec<String> = Vec::new();
    let mut common_names = Vec::new();
    let mut count = 0;
    while !parts.is_empty() {
        let mut attributes = parts.enter(SET)?;
        let mut part = String::new();
        while !attributes.is_empty() {
            count += 1;
            if count > SUBJECT_PARTS_MAX {
                return Err(CertificateError::TooMany(SUBJECT_PARTS_MAX, "parts of its subject"));
            }
            let mut attribute = attributes.enter(SEQUENCE)?;
            let kind = attribute.take(OBJECT_IDENTIFIER)?;
            let (tag, value, encoded) = attribute.any()?;
            attribute.end()?;
            let text = subject::text(tag, value);
            if !part.is_empty() {
                part.push('+');
            }
            if kind == COMMON_NAME {
                common_names.extend(text.clone());
            }
            subject::write(kind, text.as_deref(), encoded, &mut part)?;
        }
        if part.is_empty() {
            return Err(DerError::Empty.into());
        }
        written.push(part);
    }
    written.reverse();
    names.subject = written.join(",");
    if names.subject.len() > NAME_BYTES_MAX {
        return Err(CertificateError::LongName);
    }
    names.common_name = match <[String; 1]>::try_from(common_names) {
        Ok([only]) => Some(only),
        Err(_) => None,
    };
    Ok(())
}

/// `GeneralNames`. RFC 5280, 4.2.1.6. Addresses, directory names and other kinds name nobody here.
fn alternatives(mut general: Der<'_>, names: &mut CertificateNames) -> Result<(), CertificateError> {
    let mut count = 0;
    while !general.is_empty() {
        count += 1;
        if count > ALTERNATIVES_MAX {
            return Err(CertificateError::TooMany(ALTERNATIVES_MAX, "alternative names"));
        }
        let (tag, value, _) = general.any()?;
        let (list, what) = match tag {
            tag if tag == der::implicit(1) => (&mut names.emails, "an e-mail address"),
            tag if tag == der::implicit(2) => (&mut names.hosts, "a host name"),
            tag if tag == der::implicit(6) => (&mut names.uris, "a uri"),
            _ => continue,
        };
        if value.is_empty() || !value.iter().all(u8::is_ascii_graphic) {
            return Err(CertificateError::NotAscii(what));
        }
        if value.len() > NAME_BYTES_MAX {
            return Err(CertificateError::LongName);
        }
        list.push(String::from_utf8_lossy(value).into_owned());
    }
    if names.uris.len() > 1 && names.uris.iter().any(|uri| is_spiffe(uri)) {
        return Err(CertificateError::SeveralIds);
    }
    Ok(())
}

/// Schemes of a URI have no case (RFC 3986, 3.1).
fn is_spiffe(uri: &str) -> bool {
    uri.get(..9).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe://"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use weir_tests::process::run;
    use weir_tests::scratch::Scratch;

    use super::*;

    /// What the `openssl` at hand signs with these arguments.
    fn made(arguments: &[&str]) -> Vec<u8> {
        let folder = Scratch::new("certificate");
        let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
        openssl
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .args(["-utf8", "-multivalue-rdn"])
            .args(arguments);
        run(&mut openssl, b"", Duration::from_secs(60)).ok();
        CertificateDer::from_pem_file(&certificate).unwrap().to_vec()
    }

    fn told(arguments: &[&str]) -> String {
        match names(&made(arguments)) {
            Ok(names) => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" · "),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_read_as_rfc_4514_writes_them() {
        assert_eq!(
            told(&["-subj", "/C=DE/O=Example, Inc/OU=Support+CN=Anna Müller/emailAddress=anna@example.com"]),
            r#"Subject("emailAddress=anna@example.com,OU=Support+CN=Anna Müller,O=Example\\, Inc,C=DE")"#,
        );
        assert_eq!(
            told(&[
                "-subj",
                "/CN=agent",
                "-addext",
                "subjectAltName=URI:spiffe://example.com/support/anna,email:anna@example.com,DNS:anna-laptop,IP:10.0.0.7"
            ]),
            "Subject(\"CN=agent\") · Uri(\"spiffe://example.com/support/anna\") · Uri(\"mailto:anna@example.com\") · \
             Uri(\"dns:anna-laptop\")",
        );
        assert_eq!(
            told(&["-subj", "/", "-addext", "subjectAltName=URI:spiffe://example.com/etl"]),
            "Uri(\"spiffe://example.com/etl\")",
        );
        assert!(told(&["-subj", "/"]).contains("names nobody"));
        assert!(
            told(&["-subj", "/CN=a", "-addext", "subjectAltName=URI:spiffe://example.com/a,URI:https://example.com"])
                .contains("a SPIFFE id and another uri")
        );
        let many: Vec<String> = (0..=ALTERNATIVES_MAX).map(|at| format!("DNS:h{at}")).collect();
        assert!(
            told(&["-subj", "/CN=a", "-addext", &format!("subjectAltName={}", many.join(","))])
                .contains("more than 256 alternative names")
        );
    }

    #[test]
    fn what_is_copied_from_openssl_is_the_same_subject() {
        let folder = Scratch::new("certificate");
        let der = made(&["-subj", "/C=DE/O=Ex\\\\am,ple \"+#/CN= Anna <Müller>;/UID=a=b"]);
        std::fs::write(folder.path().join("leaf"), &der).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["x509", "-inform", "der", "-noout", "-subject", "-nameopt", "RFC2253", "-in"]);
        openssl.arg(folder.path().join("leaf"));
        let printed = run(&mut openssl, b"", Duration::from_secs(60)).ok();
        let printed = printed.trim().strip_prefix("subject=").unwrap();
        assert_eq!(subject::canonical(printed).unwrap(), read(&der).unwrap().subject, "{printed}");
    }

    #[test]
    fn one_common_name_is_one() {
        let common = |subject: &str| read(&made(&["-subj", subject])).unwrap().common_name;
        assert_eq!(common("/O=Example/CN=alice").as_deref(), Some("alice"));
        assert_eq!(common("/O=Example"), None);
        assert_eq!(common("/CN=alice/CN=bob"), None);
    }

    fn length(bytes: &[u8]) -> u8 {
        u8::try_from(bytes.len()).unwrap()
    }

    /// A certificate with nothing in it but these alternative names.
    fn bare(subject: &[u8], extensions: &[u8]) -> Vec<u8> {
        let tlv = |tag: u8, content: &[u8]| {
            let mut bytes = vec![tag];
            match u16::try_from(content.len()).unwrap().to_be_bytes() {
                [0, short @ 0..=0x7f] => bytes.push(short),
                [0, long] => bytes.extend([0x81, long]),
                [high, low] => bytes.extend([0x82, high, low]),
            }
            bytes.extend_from_slice(content);
            bytes
        };
        let mut fields = [tlv(INTEGER, &[1]), tlv(SEQUENCE, &[]), tlv(SEQUENCE, &[]), tlv(SEQUENCE, &[])].concat();
        fields.extend(tlv(SEQUENCE, subject));
        fields.extend(tlv(SEQUENCE, &[]));
        fields.extend(tlv(0xa3, &tlv(SEQUENCE, extensions)));
        tlv(SEQUENCE, &[tlv(SEQUENCE, &fields), tlv(SEQUENCE, &[]), tlv(BIT_STRING, &[0])].concat())
    }

    #[test]
    fn names_that_could_pass_for_another_are_refused_or_escaped() {
        let name = |tag: u8, value: &[u8]| {
            let value = [&[tag, length(value)], value].concat();
            let attribute = [&[0x30, 5 + length(&value), 0x06, 0x03, 0x55, 0x04, 0x03], &value[..]].concat();
            [&[0x31, length(&attribute)], &attribute[..]].concat()
        };
        let subject = |tag: u8, value: &[u8]| read(&bare(&name(tag, value), &[])).unwrap().subject;
        assert_eq!(subject(0x0c, b"alice\0.evil"), "CN=alice\\00.evil");
        assert_eq!(subject(0x13, b"alice,O=Example"), "CN=alice\\,O=Example");
        assert_eq!(subject(0x1e, b"\0a\0b"), "CN=ab");
        assert_eq!(subject(0x1e, b"\0a\0"), "CN=#1E03006100");
        assert_eq!(subject(0x14, b"alice"), "CN=#1405616C696365", "TeletexString has several readings");
        assert_eq!(subject(0x0c, b"\xff"), "CN=#0C01FF");
        let extension = |names: &[u8]| {
            let value = [&[0x30, length(names)], names].concat();
            let octets = [&[0x04, length(&value)], &value[..]].concat();
            [&[0x30, 5 + length(&octets), 0x06, 0x03, 0x55, 0x1d, 0x11], &octets[..]].concat()
        };
        let alternatives = |names: &[u8]| read(&bare(&name(0x0c, b"a"), &extension(names)));
        assert_eq!(alternatives(b"\x86\x03a:b").unwrap().uris, ["a:b"]);
        assert_eq!(
            alternatives(b"\x86\x03a\0b").unwrap_err().to_string(),
            "the client's certificate has a uri that is not written in visible ASCII characters"
        );
        let twice = [extension(b"\x86\x03a:b"), extension(b"\x86\x03c:d")].concat();
        assert_eq!(read(&bare(&name(0x0c, b"a"), &twice)), Err(DerError::Repeated.into()));
        assert!(matches!(read(&vec![0x30; CERTIFICATE_BYTES_MAX + 1]), Err(CertificateError::TooLong(_))));
        let trailing = [bare(&name(0x0c, b"a"), &[]), vec![0]].concat();
        assert_eq!(read(&trailing), Err(DerError::Trailing.into()));
    }

    proptest::proptest! {
        #[test]
        fn no_certificate_is_too_broken(at in 0..400_usize, cut in 0..8_usize, put in proptest::collection::vec(0_u8.., 0..8)) {
            static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let whole = WHOLE.get_or_init(|| made(&[
                "-subj", "/C=DE/O=Example/CN=alice", "-addext", "subjectAltName=URI:spiffe://example.com/alice,email:a@b.c",
            ]));
            let at = at.min(whole.len());
            let bytes = [&whole[..at], &put, &whole[(at + cut).min(whole.len())..]].concat();
            if let Ok(read) = read(&bytes) {
                proptest::prop_assert!(!read.subject.chars().any(char::is_control));
                proptest::prop_assert_eq!(subject::canonical(&read.subject).unwrap_or_default(), read.subject);
            }
        }
    }
}
