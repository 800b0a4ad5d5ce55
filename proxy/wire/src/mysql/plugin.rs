//! Authentication plugins that are relayed, and on which legs.
//! <https://dev.mysql.com/doc/refman/en/authentication-plugins.html>
//! <https://mariadb.com/kb/en/authentication-plugins/>
//!
//! INVARIANT: a plugin that is not known is refused by name: its first answer could be a password in clear.

use super::capability::Protection;
use crate::refusal::Refusal;

/// What ends a password that is sent whole.
pub(super) const PASSWORD_END: u8 = 0;

/// How each leg is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legs {
    /// Between the client and Weir.
    pub client: Protection,
    /// Between Weir and the server.
    pub upstream: Protection,
}

/// How a plugin proves who somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// A nonce is answered with a hash or a signature; nothing that could be used again is sent.
    Challenge,
    /// `caching_sha2_password`: a challenge, and where its cache does not know the account, the password itself.
    CachingSha2,
    /// `sha256_password`: the password itself.
    Sha256,
    /// The password, or a token in its place, in clear whatever the leg.
    Clear,
}

impl Method {
    fn of(plugin: &str) -> Option<Method> {
        Some(match plugin {
            // No name, or the one that MariaDB's C library gives for a plugin that it does not have, with no answer:
            // the server takes its own, and asks for it.
            "" | "dummy_fallback_auth" => Method::Challenge,
            "mysql_native_password" | "client_ed25519" | "parsec" => Method::Challenge,
            "caching_sha2_password" => Method::CachingSha2,
            "sha256_password" => Method::Sha256,
            "mysql_clear_password" | "dialog" | "authentication_openid_connect_client" => Method::Clear,
            _ => return None,
        })
    }

    /// What a client without TLS sends to get the server's public key.
    pub(super) fn key_request(self) -> &'static [u8] {
        match self {
            Method::Sha256 => &[0x01],
            _ => &[0x02],
        }
    }
}

/// A plugin that Weir speaks itself, at the door or upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plugin {
    /// `caching_sha2_password`: a challenge, or the password itself.
    CachingSha2,
    /// `mysql_native_password`: a challenge.
    Native,
    /// `client_ed25519` (MariaDB): a nonce of 32 bytes is signed.
    Ed25519,
    /// `mysql_clear_password`: the password, or a token in its place, under TLS only.
    Clear,
}

impl Plugin {
    /// The name on the wire, of the client's half.
    pub const fn name(self) -> &'static str {
        match self {
            Plugin::CachingSha2 => "caching_sha2_password",
            Plugin::Native => "mysql_native_password",
            Plugin::Ed25519 => "client_ed25519",
            Plugin::Clear => "mysql_clear_password",
        }
    }

    /// The plugin of this name.
    pub fn named(name: &str) -> Option<Plugin> {
        [Plugin::CachingSha2, Plugin::Native, Plugin::Ed25519, Plugin::Clear].into_iter().find(|it| it.name() == name)
    }

    /// Length of the nonce that it answers, in bytes.
    pub const fn nonce_len(self) -> usize {
        match self {
            Plugin::Ed25519 => 32,
            Plugin::CachingSha2 | Plugin::Native | Plugin::Clear => super::greeting::NONCE_LEN,
        }
    }
}

/// Whether more is sent than the sign of an empty password.
pub(super) fn has_password(data: &[u8]) -> bool {
    !matches!(data, [] | [PASSWORD_END])
}

/// Whether the server's side may send bytes of its own without the byte for more data before them.
pub(super) fn talks_raw(plugin: &str) -> bool {
    matches!(plugin, "dialog" | "parsec")
}

/// How a plugin is relayed on these legs.
pub(super) fn permitted(plugin: &str, legs: Legs) -> Result<Method, Refusal> {
    let protected = legs.client == Protection::Tls && legs.upstream == Protection::Tls;
    match Method::of(plugin) {
        Some(Method::Clear) if !protected => Err(Refusal::new(
            "28000",
            format!("`{plugin}` sends the password in clear, which passes weir only under TLS on both legs"),
            "connect to weir with TLS; the operator gives the server's leg TLS",
        )),
        Some(method) => Ok(method),
        None => Err(Refusal::new(
            "28000",
            format!("weir does not relay the authentication plugin `{}`", shown(plugin)),
            "give the account caching_sha2_password, mysql_native_password or ed25519",
        )),
    }
}

/// A peer's name for something, fit for a message.
fn shown(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 64;
    name.chars().filter(|c| c.is_ascii_graphic() && *c != '`').take(NAME_CHARS_MAX).collect()
}
