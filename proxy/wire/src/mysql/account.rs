//! Who a login or a COM_CHANGE_USER says it is, as the server will understand it.
//!
//! INVARIANT: an account is the same account to Weir and to the server. Both servers chop a pair of single quotes off
//! a name, and cut names that are longer than an account's can be (measured: `'u'` logs in as `u` on MySQL 9.7 and
//! MariaDB 10.11; 129 characters as the 128 before on MariaDB). What they would change is refused.

use std::fmt;
use std::hint;

use super::charset;
use super::greeting::Flavour;
use super::packet::{Fields, put_lenenc_bytes};
use crate::refusal::Refusal;

/// Longest block of connection attributes in bytes, MySQL's own bound.
pub const ATTRIBUTES_BYTES_MAX: usize = 65_536;
/// Longest name of a database in characters (`NAME_CHAR_LEN`).
const DATABASE_CHARS_MAX: usize = 64;
/// Longest name of an account in characters, by server.
const USER_CHARS_MAX_MYSQL: usize = 32;
const USER_CHARS_MAX_MARIADB: usize = 128;

/// Bytes that prove an identity: never shown, and overwritten when they are dropped.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // Keeps the compiler from leaving out a write that nobody reads.
        hint::black_box(&self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}

/// Connection attributes, as they came.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// Reads a block of pairs; `None` when it does not follow the format or is longer than
    /// [`ATTRIBUTES_BYTES_MAX`].
    pub fn read(block: &[u8]) -> Option<Attributes> {
        if block.len() > ATTRIBUTES_BYTES_MAX {
            return None;
        }
        let mut fields = Fields::new(block);
        while !fields.is_done() {
            fields.lenenc_bytes()?;
            fields.lenenc_bytes()?;
        }
        Some(Attributes(block.to_vec()))
    }

    /// A block of these pairs, as many of the first as stay within [`ATTRIBUTES_BYTES_MAX`].
    pub fn of<'b>(pairs: impl Iterator<Item = (&'b [u8], &'b [u8])>) -> Attributes {
        let mut block = Vec::new();
        for (name, value) in pairs {
            let before = block.len();
            put_lenenc_bytes(&mut block, name);
            put_lenenc_bytes(&mut block, value);
            if block.len() > ATTRIBUTES_BYTES_MAX {
                block.truncate(before);
                break;
            }
        }
        Attributes(block)
    }

    /// The block without its length.
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// Names and values in order, in the connection's character set.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut fields = Fields::new(&self.0);
        std::iter::from_fn(move || Some((fields.lenenc_bytes()?, fields.lenenc_bytes()?)))
    }

    /// The value of an attribute, the first where there are several, lossily decoded. It is the client's own word.
    pub fn named(&self, name: &str) -> Option<String> {
        let mut pairs = self.pairs();
        pairs.find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

/// The name of an account.
///
/// # Errors
/// A name that the server would read as another.
pub(super) fn user(bytes: &[u8], collation: u16, flavour: Flavour) -> Result<String, Refusal> {
    let user = charset::name(bytes, collation, flavour, "user name")?;
    let chars_max = match flavour {
        Flavour::MySql => USER_CHARS_MAX_MYSQL,
        Flavour::MariaDb => USER_CHARS_MAX_MARIADB,
    };
    if user.chars().count() > chars_max {
        return Err(refused("user name is longer than an account's can be"));
    }
    if user.len() > 1 && user.starts_with('\'') && user.ends_with('\'') {
        return Err(refused("user name stands in single quotes, which the server would take off"));
    }
    Ok(user)
}

/// The name of a database; `None` when it is empty.
///
/// # Errors
/// A name that no database can have.
pub(super) fn database(bytes: &[u8], collation: u16, flavour: Flavour) -> Result<Option<String>, Refusal> {
    let database = charset::name(bytes, collation, flavour, "database name")?;
    if database.chars().count() > DATABASE_CHARS_MAX {
        return Err(refused("database name is longer than a name can be"));
    }
    Ok((!database.is_empty()).then_some(database))
}

/// The name of an authentication plugin.
///
/// # Errors
/// What is not a name of ASCII letters, digits and underscores.
pub(super) fn plugin(bytes: &[u8]) -> Result<String, Refusal> {
    const PLUGIN_BYTES_MAX: usize = 64;
    let plain = bytes.len() <= PLUGIN_BYTES_MAX
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if !plain {
        return Err(refused("authentication plugin has an impossible name"));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn refused(what: &str) -> Refusal {
    Refusal::new("28000", format!("the login's {what}"), "use the name as the server knows it")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UTF8MB4: u16 = 45;

    #[test]
    fn a_name_that_the_server_would_change_is_refused() {
        let read = |name: &str, flavour| user(name.as_bytes(), UTF8MB4, flavour).ok();
        for flavour in [Flavour::MySql, Flavour::MariaDb] {
            for kept in ["", "u", "'", "'u", "u'", "o'neill", "\"u\"", "ü"] {
                assert_eq!(read(kept, flavour).as_deref(), Some(kept));
            }
            for changed in ["''", "'u'", "''u''"] {
                assert_eq!(read(changed, flavour), None, "{changed}");
            }
        }
        let long = "ü".repeat(33);
        assert_eq!(read(&long, Flavour::MySql), None);
        assert!(read(&long, Flavour::MariaDb).is_some());
        assert_eq!(read(&"u".repeat(129), Flavour::MariaDb), None);
    }

    #[test]
    fn databases() {
        let read = |name: &str| database(name.as_bytes(), UTF8MB4, Flavour::MySql);
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("d1").unwrap().as_deref(), Some("d1"));
        assert!(read(&"d".repeat(65)).is_err());
    }

    #[test]
    fn attributes_are_read_in_place_and_bounded() {
        let attributes = Attributes::read(b"\x03pid\x0242\x03_os").unwrap_or_default();
        assert_eq!(attributes, Attributes::default(), "an odd number of strings is no block");
        let attributes = Attributes::read(b"\x03pid\x0242\x03pid\x017").unwrap();
        assert_eq!(attributes.named("pid").as_deref(), Some("42"));
        assert_eq!(attributes.pairs().count(), 2);
        assert_eq!(attributes.named("program_name"), None);
        assert!(Attributes::read(&[0; ATTRIBUTES_BYTES_MAX]).is_some());
        assert!(Attributes::read(&[0; ATTRIBUTES_BYTES_MAX + 2]).is_none());
    }

    #[test]
    fn attributes_of_ones_own_are_bounded_too() {
        let long = vec![b'x'; ATTRIBUTES_BYTES_MAX - 20];
        let pairs = [(b"a".as_slice(), b"1".as_slice()), (b"b", &long), (b"c", b"0123456789abcdef"), (b"d", b"2")];
        let attributes = Attributes::of(pairs.into_iter());
        assert_eq!(attributes.pairs().map(|(name, _)| name).collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(Attributes::read(attributes.raw()), Some(attributes));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"hunter2".to_vec())), "7 secret bytes");
    }
}
