//! COM_CHANGE_USER: another login on a connection that has had one.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>
//!
//! It is answered by the same exchange as a login, see [`auth`](super::auth); afterwards the session is a new one to
//! the server: no prepared statements, variables or temporary tables are left.
//!
//! INVARIANT: as for a login, what goes upstream is rebuilt from parsed fields.

use super::account::{self, Attributes, Secret};
use super::capability::Capabilities;
use super::greeting::Flavour;
use super::handshake::malformed;
use super::packet::{Fields, put_lenenc_bytes};
use crate::refusal::Refusal;

/// The command's byte.
pub const COM_CHANGE_USER: u8 = 0x11;

/// A parsed COM_CHANGE_USER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeUser {
    /// Account to log in as.
    pub user: String,
    /// First data of the authentication.
    pub auth_response: Secret,
    /// Default database; none keeps none, not the present one.
    pub database: Option<String>,
    /// Collation of the connection from now on, where the client gives one.
    pub collation: Option<u16>,
    /// The plugin that made `auth_response`, where the client names one.
    pub plugin: Option<String>,
    /// Connection attributes.
    pub attributes: Option<Attributes>,
}

impl ChangeUser {
    /// Reads a payload that begins with [`COM_CHANGE_USER`], under what was agreed for the session.
    ///
    /// # Errors
    /// A refusal for the client, in place of the exchange.
    pub fn read(payload: &[u8], agreed: Capabilities, flavour: Flavour) -> Result<ChangeUser, Refusal> {
        let short = || malformed("the change of the user is cut short");
        let mut fields = Fields::new(payload);
        if fields.u8() != Some(COM_CHANGE_USER) {
            return Err(malformed("no change of the user"));
        }
        let user = fields.cstr().ok_or_else(short)?;
        // One byte whatever was agreed: the servers read it so, and so do clients write it.
        let auth_len = usize::from(fields.u8().ok_or_else(short)?);
        let auth_response = fields.bytes(auth_len).ok_or_else(short)?;
        let database = fields.cstr().ok_or_else(short)?;
        let collation = fields.u16();
        // The server turns the names into its own character set after it has taken this one. Where there is none,
        // the session's holds, which SQL may have changed.
        let charset = collation.unwrap_or(0);
        let mut change = ChangeUser {
            user: account::user(user, charset, flavour)?,
            auth_response: Secret::new(auth_response.to_vec()),
            database: account::database(database, charset, flavour)?,
            collation,
            plugin: None,
            attributes: None,
        };
        if collation.is_some() && agreed.has(Capabilities::PLUGIN_AUTH) && !fields.is_done() {
            change.plugin = Some(account::plugin(fields.cstr().ok_or_else(short)?)?);
            if agreed.has(Capabilities::CONNECT_ATTRS) && !fields.is_done() {
                let block = fields.lenenc_bytes().ok_or_else(short)?;
                let attributes = Attributes::read(block);
                change.attributes = Some(attributes.ok_or_else(|| malformed("the connection attributes"))?);
            }
        }
        Ok(change)
    }

    /// The payload for the upstream, rebuilt, with the authentication data that
    /// [`Exchange::begin`](super::auth::Exchange::begin) gave.
    ///
    /// # Errors
    /// Authentication data of more than 255 bytes.
    pub fn rebuild(&self, auth_response: &[u8]) -> Result<Vec<u8>, Refusal> {
        let len = u8::try_from(auth_response.len())
            .map_err(|_| malformed("the authentication data is longer than 255 bytes"))?;
        let mut payload = vec![COM_CHANGE_USER];
        payload.extend_from_slice(self.user.as_bytes());
        payload.extend_from_slice(&[0, len]);
        payload.extend_from_slice(auth_response);
        payload.extend_from_slice(self.database.as_deref().unwrap_or_default().as_bytes());
        payload.push(0);
        let Some(collation) = self.collation else { return Ok(payload) };
        payload.extend_from_slice(&collation.to_le_bytes());
        let Some(plugin) = &self.plugin else { return Ok(payload) };
        payload.extend_from_slice(plugin.as_bytes());
        payload.push(0);
        if let Some(attributes) = &self.attributes {
            put_lenenc_bytes(&mut payload, attributes.raw());
        }
        Ok(payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AGREED: Capabilities = Capabilities::PLUGIN_AUTH.with(Capabilities::CONNECT_ATTRS);
    const FULL: &[u8] = b"\x11alice\0\x03xyzd1\0\x2d\0mysql_native_password\0\x07\x03pid\x0242";

    fn read(payload: &[u8]) -> Result<ChangeUser, Refusal> {
        ChangeUser::read(payload, AGREED, Flavour::MariaDb)
    }

    #[test]
    fn every_field_is_read_and_comes_back() {
        let change = read(FULL).unwrap();
        assert_eq!((change.user.as_str(), change.database.as_deref()), ("alice", Some("d1")));
        assert_eq!((change.auth_response.bytes(), change.collation), (b"xyz".as_slice(), Some(45)));
        assert_eq!(change.plugin.as_deref(), Some("mysql_native_password"));
        assert_eq!(change.attributes.as_ref().and_then(|all| all.named("pid")).as_deref(), Some("42"));
        assert_eq!(change.rebuild(b"xyz").unwrap(), FULL);
        assert!(change.rebuild(&[0; 256]).is_err());
    }

    /// Older clients end after the database or the collation.
    #[test]
    fn short_forms() {
        for short in [b"\x11alice\0\0\0".as_slice(), b"\x11alice\0\0d1\0\x21\0", b"\x11\0\0\0\x2d\0\0"] {
            let change = read(short).unwrap();
            assert_eq!(change.rebuild(change.auth_response.bytes()).unwrap(), short);
        }
        for cut in
            [b"\x11alice".as_slice(), b"\x11alice\0\x05abc\0", b"\x11alice\0\0d1", b"\x11", b"", b"\x03alice\0\0\0"]
        {
            assert!(read(cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn names_follow_the_rules_of_a_login() {
        assert!(read(b"\x11'alice'\0\0\0").is_err());
        assert!(read("\x11jürgen\0\0\0".as_bytes()).is_err(), "the character set is not known");
        assert!(read("\x11jürgen\0\0\0\x2d\0".as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn any_change_is_read_or_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
            keep in any::<prop::sample::Index>(),
        ) {
            let mut payload = FULL.to_vec();
            for (place, byte) in changes {
                let place = place.index(payload.len());
                payload[place] = byte;
            }
            payload.truncate(keep.index(payload.len() + 1));
            if let Ok(change) = read(&payload) {
                let again = change.rebuild(change.auth_response.bytes()).unwrap();
                prop_assert_eq!(read(&again).unwrap(), change);
            }
        }
    }
}
