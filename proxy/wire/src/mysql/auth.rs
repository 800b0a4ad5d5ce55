//! The authentication exchange, relayed: what the server asks passes to the client, what the client answers passes
//! back, until OK or ERR. A login and a COM_CHANGE_USER are both settled by it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! `caching_sha2_password` and `sha256_password` ask for the password itself: in clear under TLS, else encrypted with
//! the server's RSA key. Where only one leg has TLS the two sides expect different things, and Weir translates. It does
//! no cryptography here: steps ask the trunk for it.
//!
//! INVARIANT: a password in clear goes only over TLS, on both legs. Every packet is numbered by its own leg's count,
//! since TLS on one leg, or a key that Weir asks for, puts the counts apart.

use super::account::Secret;
use super::capability::{Capabilities, Protection};
use super::error::{self, ErrPacket, OkPacket, put_error, read_error};
use super::greeting::NONCE_LEN;
use super::handshake::LOGIN_BYTES_MAX;
use super::packet::{Fields, HEADER_LEN, Header, put_packet};
pub use super::plugin::Legs;
use super::plugin::{Method, PASSWORD_END, has_password, permitted, talks_raw};
use crate::refusal::{Refusal, WireError, WireSide};

/// Packets of one exchange in both directions. `dialog` may ask a few questions; nobody needs more than that.
pub(super) const ROUNDS_MAX: usize = 64;
/// First byte of more data for the plugin.
pub(super) const MORE_DATA: u8 = 0x01;
/// First byte of a request for another plugin.
pub(super) const SWITCH: u8 = 0xFE;
/// `caching_sha2_password`: the answer to the nonce was enough.
pub(super) const FAST_OK: &[u8] = &[0x03];
/// `caching_sha2_password`: the password itself is needed.
pub(super) const FULL: &[u8] = &[0x04];
/// Shortest password under a server's RSA key, bytes: a key of 1024 bits, which is shorter than any server's.
pub(super) const CIPHERTEXT_LEN_MIN: usize = 128;

/// What an exchange begins with.
#[derive(Debug)]
pub struct Start<'b> {
    /// The plugin that the client named in its login or COM_CHANGE_USER.
    pub plugin: Option<&'b str>,
    /// First data of the client.
    pub auth_response: &'b [u8],
    /// Nonce of the greeting; for a COM_CHANGE_USER the last one that the server sent ([`Exchange::nonce`]).
    pub nonce: &'b [u8],
    /// What was agreed for the session.
    pub agreed: Capabilities,
    /// Protection of the legs.
    pub legs: Legs,
    /// Sequence id of the client's packet that begins the exchange.
    pub client_seq: u8,
    /// Sequence id of the packet that passes it on.
    pub upstream_seq: u8,
}

/// Whose packet is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The server's.
    Upstream,
    /// The client's.
    Client,
    /// The trunk's: a step asked it for something.
    Trunk,
    /// The exchange is over.
    Nobody,
}

/// What a packet of the exchange means. What passes was already appended to the right buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum AuthStep<'b> {
    /// A packet is not whole yet: its length in bytes, 0 while not even that is known.
    More(usize),
    /// So many bytes are done with.
    Next(usize),
    /// The client asks for a public key: call [`Exchange::give_key`] with one of Weir's own.
    NeedsKey(usize),
    /// The client sent its password under Weir's key: call [`Exchange::decrypted`].
    Decrypt {
        /// Bytes that are done with.
        len: usize,
        /// RSA-OAEP (SHA-1).
        ciphertext: Vec<u8>,
    },
    /// The server's key has come: call [`Exchange::encrypted`] with `plaintext` under it.
    Encrypt {
        /// Bytes that are done with.
        len: usize,
        /// The server's public key, SubjectPublicKeyInfo in PEM.
        public_key: Vec<u8>,
        /// What to encrypt with RSA-OAEP (SHA-1).
        plaintext: Secret,
    },
    /// The server's OK. The client has not got it yet: the trunk sends `packet`, or a refusal in its place.
    Authenticated {
        /// Bytes that are done with.
        len: usize,
        /// Status and changes of the session.
        ok: OkPacket<'b>,
        /// The OK packet for the client.
        packet: Vec<u8>,
    },
    /// The server's ERR, which was passed on. The connection ends with it; only MariaDB goes on with the session from
    /// before a COM_CHANGE_USER that failed (measured on 10.11; MySQL 9.7 hangs up).
    Failed {
        /// Bytes that are done with.
        len: usize,
        /// Error number.
        errno: u16,
        /// SQLSTATE.
        sqlstate: String,
        /// The server's text, lossily decoded.
        message: String,
    },
    /// The exchange cannot go on: send [`Exchange::put_refusal`] and end both connections.
    Refused(Refusal),
}

/// What is waited for. Legal transitions: `Server` → `Answer`, `Password`, `Over`; `Answer` → `Server`; `Password` →
/// `OwnKey`, `Decryption`, `ServerKey`, `Server`; `OwnKey` → `Ciphertext` → `Decryption` → `ServerKey`, `Server`;
/// `ServerKey` → `Encryption`, `Over`; `Encryption` → `Server`.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// The server's next packet.
    Server,
    /// An answer of the client that passes as it is.
    Answer,
    /// The client's password, or its request for a key; the legs differ, or the client's has no TLS.
    Password,
    /// The trunk's public key.
    OwnKey,
    /// The client's password under the trunk's key.
    Ciphertext,
    /// The trunk's decryption.
    Decryption,
    /// The server's public key, for this password.
    ServerKey(Secret),
    /// The trunk's encryption.
    Encryption,
    /// Nothing more.
    Over,
}

/// One exchange.
#[derive(Debug)]
pub struct Exchange {
    legs: Legs,
    agreed: Capabilities,
    method: Method,
    /// Plugins whose server side may send bytes of its own without [`MORE_DATA`] before them.
    talks_raw: bool,
    nonce: Vec<u8>,
    client_seq: u8,
    upstream_seq: u8,
    state: State,
    rounds: usize,
}

impl Exchange {
    /// Begins with the client's first data. Returns what to send upstream in its place, in the rebuilt login or
    /// COM_CHANGE_USER.
    ///
    /// # Errors
    /// A plugin that is not relayed, or not on these legs.
    pub fn begin(start: &Start<'_>) -> Result<(Exchange, Secret), Refusal> {
        let plugin = start.plugin.unwrap_or_default();
        let method = permitted(plugin, start.legs)?;
        let mut exchange = Exchange {
            legs: start.legs,
            agreed: start.agreed,
            method,
            talks_raw: talks_raw(plugin),
            nonce: start.nonce.to_vec(),
            client_seq: start.client_seq.wrapping_add(1),
            upstream_seq: start.upstream_seq.wrapping_add(1),
            state: State::Server,
            rounds: 0,
        };
        if method == Method::Sha256 && exchange.is_bare(start.auth_response) {
            return Err(bare_password());
        }
        let mut first = Secret::new(start.auth_response.to_vec());
        if method == Method::Sha256 && exchange.differs() && has_password(start.auth_response) {
            if start.legs.client == Protection::Plain {
                // The server would have to wait for a login that waits for a key.
                return Err(Refusal::new(
                    "28000",
                    "`sha256_password` cannot be the first method where only the server's leg has TLS",
                    "connect to weir with TLS, or use caching_sha2_password",
                ));
            }
            exchange.state = State::ServerKey(first);
            first = Secret::new(method.key_request().to_vec());
        }
        Ok((exchange, first))
    }

    /// Whose packet is waited for.
    pub fn turn(&self) -> Turn {
        match self.state {
            State::Server | State::ServerKey(_) => Turn::Upstream,
            State::Answer | State::Password | State::Ciphertext => Turn::Client,
            State::OwnKey | State::Decryption | State::Encryption => Turn::Trunk,
            State::Over => Turn::Nobody,
        }
    }

    /// The nonce that holds now; a COM_CHANGE_USER later begins with it.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// Looks at the server's next packet. An ERR may come at any time, as when the client took too long.
    ///
    /// # Errors
    /// A packet that the exchange does not know, or a malformed one.
    pub fn upstream_step<'b>(&mut self, input: &'b [u8], to_client: &mut Vec<u8>) -> Result<AuthStep<'b>, WireError> {
        let Some((len, payload)) = whole(input, self.upstream_seq, WireSide::Upstream)? else {
            return Ok(AuthStep::More(needed(input)));
        };
        self.count()?;
        self.upstream_seq = self.upstream_seq.wrapping_add(1);
        match (payload.first(), &self.state) {
            (Some(&error::ERR), _) => self.failed(len, payload, to_client),
            (Some(&MORE_DATA), State::ServerKey(_)) => Ok(self.server_key(len, payload)),
            (Some(&error::OK), State::Server) => {
                let Some(ok) = OkPacket::read(payload, self.agreed) else { return Err(malformed("OK packet")) };
                self.state = State::Over;
                let mut packet = Vec::new();
                put_packet(&mut packet, self.client_seq, payload);
                Ok(AuthStep::Authenticated { len, ok, packet })
            }
            (Some(&SWITCH), State::Server | State::ServerKey(_)) => self.switch(len, payload, to_client),
            (Some(&MORE_DATA), State::Server) => {
                self.state = match (self.method, payload.get(1..)) {
                    (Method::CachingSha2, Some(FAST_OK)) => State::Server,
                    (Method::CachingSha2, Some(FULL)) if self.differs() || self.legs.client == Protection::Plain => {
                        State::Password
                    }
                    (Method::Clear, _) => State::Answer,
                    (Method::CachingSha2 | Method::Sha256, _) if !self.differs() => State::Answer,
                    // No such request belongs to the plugin, but a client under TLS may take anything like a request
                    // for its password for one, and its answer would pass in clear to a server without TLS.
                    _ => return Err(malformed("request that is not of the plugin")),
                };
                self.put_client(payload, to_client);
                Ok(AuthStep::Next(len))
            }
            (Some(_), State::Server) if self.talks_raw => {
                self.put_client(payload, to_client);
                self.state = State::Answer;
                Ok(AuthStep::Next(len))
            }
            (Some(kind), _) => Err(unexpected(WireSide::Upstream, *kind)),
            (None, _) => Err(malformed("empty packet")),
        }
    }

    /// Looks at the client's next packet.
    ///
    /// # Errors
    /// A packet that comes while it is not the client's turn, or out of sequence.
    pub fn client_step<'b>(&mut self, input: &'b [u8], to_upstream: &mut Vec<u8>) -> Result<AuthStep<'b>, WireError> {
        if self.turn() != Turn::Client {
            return match input {
                [] => Ok(AuthStep::More(0)),
                _ => Err(unexpected(WireSide::Client, input.get(HEADER_LEN).copied().unwrap_or_default())),
            };
        }
        let Some((len, payload)) = whole(input, self.client_seq, WireSide::Client)? else {
            return Ok(AuthStep::More(needed(input)));
        };
        self.count()?;
        self.client_seq = self.client_seq.wrapping_add(1);
        match self.state {
            State::Ciphertext => Ok(self.decrypt(len, payload)),
            State::Password if self.is_bare(payload) => Ok(self.refused(bare_password())),
            State::Password if payload == self.method.key_request() && self.differs() => {
                self.state = State::OwnKey;
                Ok(AuthStep::NeedsKey(len))
            }
            // A client without TLS that has a key already; it is Weir's if the operator gave it out.
            State::Password if self.differs() && self.legs.client == Protection::Plain && has_password(payload) => {
                Ok(self.decrypt(len, payload))
            }
            State::Password if self.differs() => {
                self.put_password(Secret::new(payload.to_vec()), to_upstream);
                Ok(AuthStep::Next(len))
            }
            _ => {
                self.put_upstream(payload, to_upstream);
                self.state = State::Server;
                Ok(AuthStep::Next(len))
            }
        }
    }

    /// Answers [`AuthStep::NeedsKey`] with a public key of Weir's own, SubjectPublicKeyInfo in PEM.
    pub fn give_key(&mut self, public_key: &[u8], to_client: &mut Vec<u8>) {
        if self.state == State::OwnKey {
            let mut payload = vec![MORE_DATA];
            payload.extend_from_slice(public_key);
            self.put_client(&payload, to_client);
            self.state = State::Ciphertext;
        }
    }

    /// Answers [`AuthStep::Decrypt`] with the plaintext; `None` where Weir's key does not fit.
    ///
    /// # Errors
    /// What was sent is no password under Weir's key: put the refusal and end both connections.
    pub fn decrypted(&mut self, plaintext: Option<&Secret>, to_upstream: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.state != State::Decryption {
            return Ok(());
        }
        let password = plaintext.map(|masked| self.mask(masked.bytes()));
        match password {
            Some(password) if password.bytes().last() == Some(&PASSWORD_END) => {
                self.put_password(password, to_upstream);
                Ok(())
            }
            _ => {
                self.state = State::Over;
                Err(Refusal::new(
                    "28000",
                    "the password was encrypted with another key than weir's",
                    "connect to weir with TLS, or let the client ask for the public key instead of keeping the \
                     server's",
                ))
            }
        }
    }

    /// Answers [`AuthStep::Encrypt`] with the ciphertext; `None` where the server's key cannot be used.
    ///
    /// # Errors
    /// There is no ciphertext: put the refusal and end both connections.
    pub fn encrypted(&mut self, ciphertext: Option<&[u8]>, to_upstream: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.state != State::Encryption {
            return Ok(());
        }
        let Some(ciphertext) = ciphertext else {
            self.state = State::Over;
            return Err(Refusal::new(
                "28000",
                "the password cannot be encrypted with the public key of the database server",
                "give the server's leg TLS, or use a shorter password",
            ));
        };
        self.put_upstream(ciphertext, to_upstream);
        self.state = State::Server;
        Ok(())
    }

    /// Appends a refusal for the client in its place of the exchange, also after [`AuthStep::Authenticated`].
    pub fn put_refusal(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        put_error(to_client, self.client_seq, refusal);
        self.client_seq = self.client_seq.wrapping_add(1);
        self.state = State::Over;
    }

    fn differs(&self) -> bool {
        self.legs.client != self.legs.upstream
    }

    /// Whether a client without TLS sends its password in clear all the same. MariaDB's does, where it would have taken
    /// TLS and none was offered.
    fn is_bare(&self, payload: &[u8]) -> bool {
        self.legs.client == Protection::Plain
            && payload.len() < CIPHERTEXT_LEN_MIN
            && payload != self.method.key_request()
            && has_password(payload)
    }

    fn count(&mut self) -> Result<(), WireError> {
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(WireError::TooMany { what: "packets of one authentication", max: ROUNDS_MAX });
        }
        Ok(())
    }

    fn put_client(&mut self, payload: &[u8], to_client: &mut Vec<u8>) {
        self.client_seq = put_packet(to_client, self.client_seq, payload);
    }

    fn put_upstream(&mut self, payload: &[u8], to_upstream: &mut Vec<u8>) {
        self.upstream_seq = put_packet(to_upstream, self.upstream_seq, payload);
    }

    fn failed<'b>(&mut self, len: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<AuthStep<'b>, WireError> {
        let Some(ErrPacket::Error(error)) = read_error(payload) else { return Err(malformed("ERR packet")) };
        self.put_client(payload, out);
        self.state = State::Over;
        let (errno, sqlstate) = (error.errno, error.sqlstate());
        let message = String::from_utf8_lossy(error.message).into_owned();
        Ok(AuthStep::Failed { len, errno, sqlstate, message })
    }

    fn switch<'b>(&mut self, len: usize, payload: &[u8], out: &mut Vec<u8>) -> Result<AuthStep<'b>, WireError> {
        let mut fields = Fields::new(payload);
        fields.u8();
        if fields.is_done() {
            return Ok(self.refused(Refusal::new(
                "28000",
                "the database server asks for the authentication of before MySQL 4.1, which weir does not relay",
                "give the account a plugin of today",
            )));
        }
        let plugin = fields.cstr().filter(|plugin| !plugin.is_empty());
        let Some(plugin) = plugin else { return Err(malformed("request for another plugin")) };
        let plugin = String::from_utf8_lossy(plugin);
        let method = match permitted(&plugin, self.legs) {
            Ok(method) => method,
            Err(refusal) => return Ok(self.refused(refusal)),
        };
        let data = fields.take_rest();
        self.method = method;
        self.talks_raw = talks_raw(&plugin);
        self.nonce = data.strip_suffix(&[0]).filter(|nonce| nonce.len() == NONCE_LEN).unwrap_or(data).to_vec();
        self.put_client(payload, out);
        self.state = match method {
            Method::Sha256 if self.differs() || self.legs.client == Protection::Plain => State::Password,
            _ => State::Answer,
        };
        Ok(AuthStep::Next(len))
    }

    fn refused<'b>(&mut self, refusal: Refusal) -> AuthStep<'b> {
        self.state = State::Over;
        AuthStep::Refused(refusal)
    }

    fn decrypt<'b>(&mut self, len: usize, payload: &[u8]) -> AuthStep<'b> {
        self.state = State::Decryption;
        AuthStep::Decrypt { len, ciphertext: payload.to_vec() }
    }

    fn server_key<'b>(&mut self, len: usize, payload: &[u8]) -> AuthStep<'b> {
        let State::ServerKey(password) = std::mem::replace(&mut self.state, State::Encryption) else {
            return AuthStep::Next(len);
        };
        let public_key = payload.get(1..).unwrap_or(&[]).to_vec();
        AuthStep::Encrypt { len, public_key, plaintext: self.mask(password.bytes()) }
    }

    /// The password, whole and with its end, on its way to the server.
    fn put_password(&mut self, password: Secret, to_upstream: &mut Vec<u8>) {
        if self.legs.upstream == Protection::Tls || !has_password(password.bytes()) {
            self.put_upstream(password.bytes(), to_upstream);
            self.state = State::Server;
        } else {
            self.put_upstream(self.method.key_request(), to_upstream);
            self.state = State::ServerKey(password);
        }
    }

    /// A password over the nonce, in either direction. A nonce that has no bytes masks nothing.
    fn mask(&self, password: &[u8]) -> Secret {
        let nonce = self.nonce.get(..NONCE_LEN).unwrap_or(&self.nonce);
        if nonce.is_empty() {
            return Secret::new(password.to_vec());
        }
        Secret::new(password.iter().zip(nonce.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
    }
}

fn bare_password() -> Refusal {
    Refusal::new(
        "28000",
        "the client sends its password in clear without TLS, which weir does not pass on",
        "connect to weir with TLS, or tell the client that there is none (mariadb: --skip-ssl)",
    )
}

/// The first packet, whole, with the sequence id that it must have.
pub(super) fn whole(input: &[u8], seq: u8, side: WireSide) -> Result<Option<(usize, &[u8])>, WireError> {
    let Some(header) = Header::read_from(input, LOGIN_BYTES_MAX, side)? else { return Ok(None) };
    if header.seq != seq {
        return Err(WireError::Malformed { side, kind: 'A', what: "authentication packet out of sequence" });
    }
    Ok(input.get(HEADER_LEN..header.frame_len).map(|payload| (header.frame_len, payload)))
}

/// Length of a packet that is not whole yet; 0 while not even that is known.
pub(super) fn needed(input: &[u8]) -> usize {
    match Header::read(input, LOGIN_BYTES_MAX) {
        Ok(Some(header)) => header.frame_len,
        _ => 0,
    }
}

fn malformed(what: &'static str) -> WireError {
    WireError::Malformed { side: WireSide::Upstream, kind: 'A', what }
}

pub(super) fn unexpected(side: WireSide, kind: u8) -> WireError {
    let kind = if kind.is_ascii_graphic() { char::from(kind) } else { '?' };
    WireError::Unexpected { side, kind, state: "authentication is under way" }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
