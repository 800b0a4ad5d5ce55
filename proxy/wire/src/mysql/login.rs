//! The authentication exchange upstream, where Weir is the client: what a server asks, and what the trunk must answer.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! One for Weir's own account and for those that it logs in for. There is no cryptography here, and no secret: the trunk
//! answers what is asked, and decides whether this server may have it.
//!
//! INVARIANT: nothing is asked of the trunk that does not belong to the plugin in force, so that no server gets a
//! password by a packet that another plugin would send.

use super::auth::{FAST_OK, FULL, MORE_DATA, SWITCH};
use super::error::{self, ErrPacket, read_error};
use super::greeting::Greeting;
use super::packet::Fields;
use super::plugin::Plugin;
use crate::refusal::{WireError, WireSide};

/// Packets of a server during one login: a change of the plugin, a request, a key, an end. No login has more.
const ROUNDS_MAX: usize = 8;
/// Asks a server with `caching_sha2_password` for its public key.
pub const PUBLIC_KEY_REQUEST: &[u8] = &[0x02];

/// What a server's packet means.
#[derive(Debug, PartialEq, Eq)]
pub enum LoginStep<'b> {
    /// Nothing is to be sent; the next packet is waited for.
    Wait,
    /// Another plugin, or another nonce: answer it ([`Login::plugin`], [`Login::nonce`]).
    Prove,
    /// The password itself is needed: send it under TLS ([`Login::password_sent`]), or ask for a key with
    /// [`PUBLIC_KEY_REQUEST`] ([`Login::key_asked`]).
    Password,
    /// The server's public key: send the password under it, masked with the nonce.
    Key(&'b [u8]),
    /// The account is in. The payload is the server's OK.
    In(&'b [u8]),
    /// The account is not let in. The payload is the server's ERR.
    Failed {
        /// Error number.
        errno: u16,
        /// SQLSTATE.
        sqlstate: String,
        /// The server's text, lossily decoded.
        message: String,
    },
    /// A plugin that Weir does not speak; its name, lossily decoded.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// An answer was sent.
    Answered,
    /// The server needs the password; the trunk has not answered yet.
    Asked,
    /// A key was asked for.
    Key,
    /// The password was sent.
    Sent,
    /// Nothing more.
    Over,
}

/// One login of Weir's.
#[derive(Debug)]
pub struct Login {
    plugin: Plugin,
    nonce: Vec<u8>,
    state: State,
    rounds: usize,
}

impl Login {
    /// Begins with what the server greeted with. A plugin of the greeting that Weir does not speak is answered as
    /// `mysql_native_password`: the server then says what it wants instead.
    pub fn begin(greeting: &Greeting) -> Login {
        let plugin = match std::str::from_utf8(&greeting.plugin).ok().and_then(Plugin::named) {
            Some(Plugin::CachingSha2) => Plugin::CachingSha2,
            _ => Plugin::Native,
        };
        Login { plugin, nonce: bounded(&greeting.nonce, plugin), state: State::Answered, rounds: 0 }
    }

    /// Begins a change of the user. Servers answer it with a nonce of their own, so that nothing is proven before.
    pub fn again(plugin: Plugin) -> Login {
        Login { plugin, nonce: Vec::new(), state: State::Answered, rounds: 0 }
    }

    /// The login's first packet names this plugin, which hashes and shares the greeting's nonce.
    pub fn names(&mut self, plugin: Plugin) {
        self.plugin = plugin;
    }

    /// The plugin that is to be answered.
    pub fn plugin(&self) -> Plugin {
        self.plugin
    }

    /// The nonce that is to be answered; shorter than [`Plugin::nonce_len`] only where the server broke the protocol.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// The server was sent [`PUBLIC_KEY_REQUEST`].
    pub fn key_asked(&mut self) {
        if self.state == State::Asked {
            self.state = State::Key;
        }
    }

    /// The server was sent the password, in clear or under its key.
    pub fn password_sent(&mut self) {
        self.state = State::Sent;
    }

    /// Looks at the payload of the server's next packet.
    ///
    /// # Errors
    /// A packet that the exchange does not know, or one too many.
    pub fn step<'b>(&mut self, payload: &'b [u8]) -> Result<LoginStep<'b>, WireError> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(WireError::TooMany { what: "packets of one login", max: ROUNDS_MAX });
        }
        match (payload.first(), self.state) {
            (Some(&error::ERR), state) if state != State::Over => {
                self.state = State::Over;
                let Some(ErrPacket::Error(error)) = read_error(payload) else { return Err(malformed("ERR packet")) };
                let message = String::from_utf8_lossy(error.message).into_owned();
                Ok(LoginStep::Failed { errno: error.errno, sqlstate: error.sqlstate(), message })
            }
            (Some(&error::OK), State::Answered | State::Sent) => {
                self.state = State::Over;
                Ok(LoginStep::In(payload))
            }
            (Some(&SWITCH), State::Answered) => self.switch(payload),
            (Some(&MORE_DATA), State::Answered) if self.plugin == Plugin::CachingSha2 => match payload.get(1..) {
                Some(FAST_OK) => Ok(LoginStep::Wait),
                Some(FULL) => {
                    self.state = State::Asked;
                    Ok(LoginStep::Password)
                }
                _ => Err(malformed("request that is not of the plugin")),
            },
            (Some(&MORE_DATA), State::Key) => Ok(LoginStep::Key(payload.get(1..).unwrap_or_default())),
            (Some(_), _) => Err(malformed("packet that no login has here")),
            (None, _) => Err(malformed("empty packet")),
        }
    }

    fn switch<'b>(&mut self, payload: &'b [u8]) -> Result<LoginStep<'b>, WireError> {
        let mut fields = Fields::new(payload);
        fields.u8();
        if fields.is_done() {
            // What 4.0 had.
            return Ok(LoginStep::Unknown("mysql_old_password".to_owned()));
        }
        let name = fields.cstr_or_rest();
        let plugin = std::str::from_utf8(name).ok().and_then(Plugin::named);
        let Some(plugin) = plugin else { return Ok(LoginStep::Unknown(String::from_utf8_lossy(name).into_owned())) };
        self.plugin = plugin;
        self.nonce = bounded(fields.take_rest(), plugin);
        Ok(LoginStep::Prove)
    }
}

/// The part of a nonce that counts; behind it stands a NUL.
fn bounded(nonce: &[u8], plugin: Plugin) -> Vec<u8> {
    nonce.get(..plugin.nonce_len()).unwrap_or(nonce).to_vec()
}

fn malformed(what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Upstream, kind: 'A', what }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: &[u8] = b"01234567890123456789";

    fn login(plugin: &[u8]) -> Login {
        let greeting = Greeting {
            version: b"9.7.0".to_vec(),
            thread_id: 7,
            capabilities: super::super::capability::Capabilities::PLUGIN_AUTH,
            collation: 45,
            status: 2,
            nonce: NONCE.to_vec(),
            plugin: plugin.to_vec(),
        };
        Login::begin(&greeting)
    }

    #[test]
    fn an_answer_that_is_enough() {
        let mut login = login(b"caching_sha2_password");
        assert_eq!((login.plugin(), login.nonce()), (Plugin::CachingSha2, NONCE));
        assert_eq!(login.step(b"\x01\x03"), Ok(LoginStep::Wait));
        assert_eq!(login.step(b"\0\0\0\x02\0\0\0"), Ok(LoginStep::In(b"\0\0\0\x02\0\0\0")));
        assert!(login.step(b"\0\0\0\x02\0\0\0").is_err(), "nothing follows");
    }

    #[test]
    fn in_full_with_and_without_a_key() {
        let mut under_tls = login(b"caching_sha2_password");
        assert_eq!(under_tls.step(b"\x01\x04"), Ok(LoginStep::Password));
        assert!(under_tls.step(b"\0\0\0\x02\0\0\0").is_err(), "the password was not sent");
        let mut login = login(b"caching_sha2_password");
        assert_eq!(login.step(b"\x01\x04"), Ok(LoginStep::Password));
        login.key_asked();
        assert_eq!(login.step(b"\x01PEM"), Ok(LoginStep::Key(b"PEM")));
        login.password_sent();
        assert!(matches!(login.step(b"\0\0\0\x02\0\0\0"), Ok(LoginStep::In(_))));
    }

    #[test]
    fn a_server_says_what_it_wants() {
        let mut login = login(b"auth_gssapi_client");
        assert_eq!(login.plugin(), Plugin::Native);
        assert_eq!(login.step(b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0"), Ok(LoginStep::Prove));
        assert_eq!((login.plugin(), login.nonce()), (Plugin::CachingSha2, b"abcdefghijklmnopqrst".as_slice()));
        assert_eq!(login.step(b"\xfedialog\0"), Ok(LoginStep::Unknown("dialog".to_owned())));
        assert_eq!(login.step(b"\xfe"), Ok(LoginStep::Unknown("mysql_old_password".to_owned())));
        let failed = login.step(b"\xff\x15\x04#28000Access denied");
        let expected =
            LoginStep::Failed { errno: 1045, sqlstate: "28000".to_owned(), message: "Access denied".to_owned() };
        assert_eq!(failed, Ok(expected));
    }

    /// A request of one plugin in the middle of another is no request.
    #[test]
    fn a_password_is_not_asked_for_by_another_plugin() {
        assert!(login(b"mysql_native_password").step(b"\x01\x04").is_err());
        assert!(login(b"caching_sha2_password").step(b"\x01\x05").is_err());
        let mut asked = login(b"caching_sha2_password");
        asked.step(b"\x01\x04").unwrap();
        assert!(asked.step(b"\xfemysql_clear_password\0").is_err(), "not after the password was asked for");
    }

    proptest! {
        #[test]
        fn any_server_ends(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..40)) {
            let mut login = login(b"caching_sha2_password");
            let mut steps = 0;
            for packet in packets {
                match login.step(&packet) {
                    Ok(LoginStep::Password) => login.key_asked(),
                    Ok(LoginStep::Key(_)) => login.password_sent(),
                    Ok(_) => {}
                    Err(_) => break,
                }
                steps += 1;
            }
            prop_assert!(steps <= ROUNDS_MAX);
        }
    }
}
