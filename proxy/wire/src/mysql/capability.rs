//! What a session may use, as an intersection that Weir controls: what the server has, Weir can read, and the client
//! takes.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html>
//! <https://mariadb.com/kb/en/connection/#capabilities>
//!
//! INVARIANT: a capability holds on both legs or on neither, since replies pass as the server wrote them. Only TLS and
//! the bit that says "no MariaDB" are of one leg. A bit that Weir does not know is never offered.

use std::fmt;

use crate::refusal::Refusal;

/// A set of capabilities: MySQL's 32 bits and above them MariaDB's extended 32.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capabilities(u64);

/// Whether somebody on the way could read along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// No encryption.
    Plain,
    /// TLS; on the upstream's leg always with a verified server.
    Tls,
}

/// Whether a client may be asked for files of its own (`LOAD DATA LOCAL INFILE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LocalFiles {
    /// The capability is not offered.
    #[default]
    Withheld,
    /// Policy allows it.
    Offered,
}

/// What Weir adds to the intersection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whether the listener serves TLS, so that a client may ask for it.
    pub listener: Protection,
    /// Whether the upstream's leg is encrypted.
    pub upstream: Protection,
    /// Files of the client.
    pub local_files: LocalFiles,
    /// What the operator takes away from both legs.
    pub withheld: Capabilities,
}

impl Capabilities {
    /// Nothing.
    pub const NONE: Capabilities = Capabilities(0);
    /// MySQL: no meaning any more. MariaDB: the sender speaks without extended capabilities (`CLIENT_MYSQL`).
    pub const LONG_PASSWORD: Capabilities = Capabilities(1);
    /// Affected rows are those found.
    pub const FOUND_ROWS: Capabilities = Capabilities(1 << 1);
    /// More column flags.
    pub const LONG_FLAG: Capabilities = Capabilities(1 << 2);
    /// A database is named in the login.
    pub const CONNECT_WITH_DB: Capabilities = Capabilities(1 << 3);
    /// `a.b` loses its `a`.
    pub const NO_SCHEMA: Capabilities = Capabilities(1 << 4);
    /// zlib.
    pub const COMPRESS: Capabilities = Capabilities(1 << 5);
    /// ODBC.
    pub const ODBC: Capabilities = Capabilities(1 << 6);
    /// The server may ask for files of the client.
    pub const LOCAL_FILES: Capabilities = Capabilities(1 << 7);
    /// `count (*)` is the function too (sql_mode `IGNORE_SPACE`).
    pub const IGNORE_SPACE: Capabilities = Capabilities(1 << 8);
    /// Protocol of MySQL 4.1.
    pub const PROTOCOL_41: Capabilities = Capabilities(1 << 9);
    /// `interactive_timeout` holds.
    pub const INTERACTIVE: Capabilities = Capabilities(1 << 10);
    /// TLS.
    pub const SSL: Capabilities = Capabilities(1 << 11);
    /// The client does not want SIGPIPE.
    pub const IGNORE_SIGPIPE: Capabilities = Capabilities(1 << 12);
    /// Transaction flags in status.
    pub const TRANSACTIONS: Capabilities = Capabilities(1 << 13);
    /// Authentication of MySQL 4.1.
    pub const SECURE_CONNECTION: Capabilities = Capabilities(1 << 15);
    /// Several statements in one text.
    pub const MULTI_STATEMENTS: Capabilities = Capabilities(1 << 16);
    /// Several results of one text.
    pub const MULTI_RESULTS: Capabilities = Capabilities(1 << 17);
    /// Several results of a prepared statement.
    pub const PS_MULTI_RESULTS: Capabilities = Capabilities(1 << 18);
    /// Authentication plugins have names.
    pub const PLUGIN_AUTH: Capabilities = Capabilities(1 << 19);
    /// Connection attributes.
    pub const CONNECT_ATTRS: Capabilities = Capabilities(1 << 20);
    /// Authentication data longer than 255 bytes.
    pub const PLUGIN_AUTH_LENENC: Capabilities = Capabilities(1 << 21);
    /// The client can change an expired password.
    pub const CAN_HANDLE_EXPIRED_PASSWORDS: Capabilities = Capabilities(1 << 22);
    /// Changes of the session's state are reported in OK packets.
    pub const SESSION_TRACK: Capabilities = Capabilities(1 << 23);
    /// OK packets in place of EOF packets.
    pub const DEPRECATE_EOF: Capabilities = Capabilities(1 << 24);
    /// Column definitions may be left out of a result.
    pub const OPTIONAL_RESULTSET_METADATA: Capabilities = Capabilities(1 << 25);
    /// zstd.
    pub const ZSTD: Capabilities = Capabilities(1 << 26);
    /// Parameters with names before the text of a query.
    pub const QUERY_ATTRIBUTES: Capabilities = Capabilities(1 << 27);
    /// Several factors of authentication.
    pub const MULTI_FACTOR: Capabilities = Capabilities(1 << 28);
    /// MariaDB: progress reports.
    pub const PROGRESS: Capabilities = Capabilities(1 << 32);
    /// MariaDB: several commands in one, given up.
    pub const COM_MULTI: Capabilities = Capabilities(1 << 33);
    /// MariaDB: COM_STMT_BULK_EXECUTE.
    pub const STMT_BULK_OPERATIONS: Capabilities = Capabilities(1 << 34);
    /// MariaDB: more about a column's type in its definition.
    pub const EXTENDED_METADATA: Capabilities = Capabilities(1 << 35);
    /// MariaDB: column definitions may be left out of a result of a prepared statement.
    pub const CACHE_METADATA: Capabilities = Capabilities(1 << 36);
    /// MariaDB: a bulk execution answers with a result set of its parts.
    pub const BULK_UNIT_RESULTS: Capabilities = Capabilities(1 << 37);

    /// What passes when both sides have it. Left out on purpose: compression hides everything; result sets without
    /// column definitions hide what the server says of their origin; with NO_SCHEMA the server reads another relation
    /// than the text names; the exchange of several factors and the parts of a bulk execution are not followed.
    pub const PASSED: Capabilities = Capabilities(
        Self::LONG_PASSWORD.0
            | Self::FOUND_ROWS.0
            | Self::LONG_FLAG.0
            | Self::CONNECT_WITH_DB.0
            | Self::ODBC.0
            | Self::IGNORE_SPACE.0
            | Self::PROTOCOL_41.0
            | Self::INTERACTIVE.0
            | Self::IGNORE_SIGPIPE.0
            | Self::TRANSACTIONS.0
            | Self::SECURE_CONNECTION.0
            | Self::MULTI_STATEMENTS.0
            | Self::MULTI_RESULTS.0
            | Self::PS_MULTI_RESULTS.0
            | Self::PLUGIN_AUTH.0
            | Self::CONNECT_ATTRS.0
            | Self::PLUGIN_AUTH_LENENC.0
            | Self::CAN_HANDLE_EXPIRED_PASSWORDS.0
            | Self::SESSION_TRACK.0
            | Self::DEPRECATE_EOF.0
            | Self::QUERY_ATTRIBUTES.0
            | Self::PROGRESS.0
            | Self::STMT_BULK_OPERATIONS.0
            | Self::EXTENDED_METADATA.0,
    );

    /// Without these there is nothing that Weir can speak.
    const REQUIRED: Capabilities = Capabilities(Self::PROTOCOL_41.0 | Self::SECURE_CONNECTION.0);
    const EXTENDED: Capabilities = Capabilities(0xFFFF_FFFF_0000_0000);

    /// From MySQL's 32 bits and MariaDB's extended 32 above them.
    pub const fn from_bits(bits: u64) -> Capabilities {
        Capabilities(bits)
    }

    /// All 64 bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// MySQL's 32 bits.
    pub const fn basic(self) -> u32 {
        let [a, b, c, d, ..] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// MariaDB's extended 32 bits.
    pub const fn extended(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Capabilities) -> bool {
        self.0 & other.0 == other.0
    }

    /// Together with `other`.
    #[must_use]
    pub const fn with(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// Without `other`.
    #[must_use]
    pub const fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    /// What both have.
    #[must_use]
    pub const fn both(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    /// The capability of this name, in any case: `deprecate_eof`. For configuration.
    pub fn named(name: &str) -> Option<Capabilities> {
        NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(capability, _)| *capability)
    }

    /// What Weir offers to the client of what this server has.
    ///
    /// # Errors
    /// A server older than MySQL 4.1.
    pub fn offered(server: Capabilities, terms: &Terms) -> Result<Capabilities, Refusal> {
        if !server.has(Self::REQUIRED) {
            return Err(Refusal::new(
                "0A000",
                "the database server behind weir speaks a protocol older than MySQL 4.1",
                "weir serves MySQL 8 and later and MariaDB 10.11 and later",
            ));
        }
        let mut passed = Self::PASSED;
        if terms.local_files == LocalFiles::Offered {
            passed = passed.with(Self::LOCAL_FILES);
        }
        let mut offered = server.both(passed).without(terms.withheld.without(Self::REQUIRED));
        if offered.has(Self::LONG_PASSWORD) {
            // Only a server that leaves the bit out has extended capabilities.
            offered = offered.without(Self::EXTENDED);
        }
        if terms.listener == Protection::Tls {
            offered = offered.with(Self::SSL);
        }
        Ok(offered)
    }

    /// What holds for the session, and goes to the server in Weir's login, when a client that was offered `offered`
    /// asks for `client`.
    ///
    /// # Errors
    /// A client older than MySQL 4.1.
    pub fn agreed(offered: Capabilities, client: Capabilities, terms: &Terms) -> Result<Capabilities, Refusal> {
        if !client.has(Self::REQUIRED) {
            return Err(too_old());
        }
        // The bit is the client's own word ("I know no extended capabilities"), whatever the server said of itself.
        let own_word = client.both(Self::LONG_PASSWORD);
        let mut agreed = client.both(offered).without(Self::SSL).with(own_word);
        if own_word == Self::LONG_PASSWORD {
            agreed = agreed.without(Self::EXTENDED);
        }
        if terms.upstream == Protection::Tls {
            agreed = agreed.with(Self::SSL);
        }
        Ok(agreed)
    }
}

/// What a client before 4.1 is told.
pub(super) fn too_old() -> Refusal {
    Refusal::new(
        "0A000",
        "weir does not speak the protocol from before MySQL 4.1",
        "connect with a client that uses protocol 4.1 and its authentication",
    )
}

const NAMES: &[(Capabilities, &str)] = &[
    (Capabilities::LONG_PASSWORD, "long_password"),
    (Capabilities::FOUND_ROWS, "found_rows"),
    (Capabilities::LONG_FLAG, "long_flag"),
    (Capabilities::CONNECT_WITH_DB, "connect_with_db"),
    (Capabilities::NO_SCHEMA, "no_schema"),
    (Capabilities::COMPRESS, "compress"),
    (Capabilities::ODBC, "odbc"),
    (Capabilities::LOCAL_FILES, "local_files"),
    (Capabilities::IGNORE_SPACE, "ignore_space"),
    (Capabilities::PROTOCOL_41, "protocol_41"),
    (Capabilities::INTERACTIVE, "interactive"),
    (Capabilities::SSL, "ssl"),
    (Capabilities::IGNORE_SIGPIPE, "ignore_sigpipe"),
    (Capabilities::TRANSACTIONS, "transactions"),
    (Capabilities::SECURE_CONNECTION, "secure_connection"),
    (Capabilities::MULTI_STATEMENTS, "multi_statements"),
    (Capabilities::MULTI_RESULTS, "multi_results"),
    (Capabilities::PS_MULTI_RESULTS, "ps_multi_results"),
    (Capabilities::PLUGIN_AUTH, "plugin_auth"),
    (Capabilities::CONNECT_ATTRS, "connect_attrs"),
    (Capabilities::PLUGIN_AUTH_LENENC, "plugin_auth_lenenc"),
    (Capabilities::CAN_HANDLE_EXPIRED_PASSWORDS, "can_handle_expired_passwords"),
    (Capabilities::SESSION_TRACK, "session_track"),
    (Capabilities::DEPRECATE_EOF, "deprecate_eof"),
    (Capabilities::OPTIONAL_RESULTSET_METADATA, "optional_resultset_metadata"),
    (Capabilities::ZSTD, "zstd"),
    (Capabilities::QUERY_ATTRIBUTES, "query_attributes"),
    (Capabilities::MULTI_FACTOR, "multi_factor"),
    (Capabilities::PROGRESS, "progress"),
    (Capabilities::COM_MULTI, "com_multi"),
    (Capabilities::STMT_BULK_OPERATIONS, "stmt_bulk_operations"),
    (Capabilities::EXTENDED_METADATA, "extended_metadata"),
    (Capabilities::CACHE_METADATA, "cache_metadata"),
    (Capabilities::BULK_UNIT_RESULTS, "bulk_unit_results"),
];

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unknown = *self;
        let mut set = f.debug_set();
        for (capability, name) in NAMES.iter().filter(|(capability, _)| self.has(*capability)) {
            set.entry(&format_args!("{name}"));
            unknown = unknown.without(*capability);
        }
        if unknown != Capabilities::NONE {
            set.entry(&format_args!("{:#x}", unknown.0));
        }
        set.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms {
        listener: Protection::Plain,
        upstream: Protection::Plain,
        local_files: LocalFiles::Withheld,
        withheld: Capabilities::NONE,
    };
    const ALL: Capabilities = Capabilities(u64::MAX);
    const MARIADB: Capabilities = Capabilities(u64::MAX - 1);

    fn offered(server: Capabilities, terms: &Terms) -> Capabilities {
        Capabilities::offered(server, terms).unwrap()
    }

    #[test]
    fn what_hides_is_never_offered() {
        for terms in [TERMS, Terms { listener: Protection::Tls, upstream: Protection::Tls, ..TERMS }] {
            for server in [ALL, MARIADB] {
                let offered = offered(server, &terms);
                for hides in [
                    Capabilities::COMPRESS,
                    Capabilities::ZSTD,
                    Capabilities::OPTIONAL_RESULTSET_METADATA,
                    Capabilities::CACHE_METADATA,
                    Capabilities::NO_SCHEMA,
                    Capabilities::LOCAL_FILES,
                    Capabilities::COM_MULTI,
                    Capabilities::MULTI_FACTOR,
                    Capabilities::from_bits(1 << 14),
                    Capabilities::from_bits(1 << 29),
                    Capabilities::from_bits(1 << 45),
                ] {
                    assert!(!offered.has(hides), "{hides:?} is offered");
                }
                assert_eq!(offered.has(Capabilities::SSL), terms.listener == Protection::Tls);
            }
        }
    }

    #[test]
    fn files_are_offered_where_policy_says_so_and_the_server_has_them() {
        let terms = Terms { local_files: LocalFiles::Offered, ..TERMS };
        assert!(offered(ALL, &terms).has(Capabilities::LOCAL_FILES));
        assert!(!offered(ALL.without(Capabilities::LOCAL_FILES), &terms).has(Capabilities::LOCAL_FILES));
    }

    #[test]
    fn extended_capabilities_need_both_sides_to_be_mariadb() {
        assert_eq!(offered(ALL, &TERMS).extended(), 0);
        let maria = offered(MARIADB, &TERMS);
        assert!(maria.has(Capabilities::PROGRESS.with(Capabilities::EXTENDED_METADATA)));
        let mysql_client = Capabilities::agreed(maria, ALL, &TERMS).unwrap();
        assert!(mysql_client.has(Capabilities::LONG_PASSWORD));
        assert_eq!(mysql_client.extended(), 0);
        let mariadb_client = Capabilities::agreed(maria, MARIADB, &TERMS).unwrap();
        assert!(!mariadb_client.has(Capabilities::LONG_PASSWORD));
        assert_eq!(mariadb_client, maria);
    }

    #[test]
    fn what_the_operator_withholds_is_off_on_both_legs() {
        let withheld = Capabilities::named("DEPRECATE_EOF").unwrap().with(Capabilities::PROTOCOL_41);
        let terms = Terms { withheld, ..TERMS };
        let offered = offered(ALL, &terms);
        assert!(!offered.has(Capabilities::DEPRECATE_EOF));
        assert!(offered.has(Capabilities::PROTOCOL_41), "nothing can be spoken without it");
        assert!(!Capabilities::agreed(offered, ALL, &terms).unwrap().has(Capabilities::DEPRECATE_EOF));
    }

    #[test]
    fn peers_before_4_1_are_refused() {
        assert!(Capabilities::offered(Capabilities::SECURE_CONNECTION, &TERMS).is_err());
        assert!(Capabilities::agreed(ALL, Capabilities::PROTOCOL_41, &TERMS).is_err());
    }

    #[test]
    fn names_are_unique_and_found() {
        for (capability, name) in NAMES {
            assert_eq!(Capabilities::named(name), Some(*capability));
            assert_eq!(capability.bits().count_ones(), 1);
        }
        let both = Capabilities::SSL.with(Capabilities::from_bits(1 << 60));
        assert_eq!(format!("{both:?}"), "{ssl, 0x1000000000000000}");
    }

    proptest! {
        #[test]
        fn nobody_gets_what_another_does_not_have(server: u64, client: u64, withheld: u64) {
            let server = Capabilities(server).with(Capabilities::REQUIRED);
            let client = Capabilities(client).with(Capabilities::REQUIRED);
            let terms = Terms { withheld: Capabilities(withheld), ..TERMS };
            let offered = offered(server, &terms);
            let agreed = Capabilities::agreed(offered, client, &terms).unwrap();
            prop_assert!(server.has(offered));
            prop_assert!(client.has(agreed));
            prop_assert!(offered.with(Capabilities::LONG_PASSWORD).has(agreed));
            prop_assert!(!agreed.has(Capabilities::SSL));
        }
    }
}
