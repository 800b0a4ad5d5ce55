//! The authentication exchange at the door, where Weir is the server: it greeted with a nonce of its own and holds what
//! an account proves itself against.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>
//!
//! What happens in what order: the client's first answer, or a request for another plugin and its answer to that; the
//! trunk holds it against what it knows of the account; where the password itself is needed, the client sends it under
//! TLS, or encrypted for Weir's key; the trunk decides, and says welcome or no. There is no cryptography here: steps hand
//! the trunk what is to be checked.
//!
//! INVARIANT: without TLS no client is asked for a password in clear, and one that sends it all the same is refused.
//! INVARIANT: what goes over the wire until the verdict depends on the plugin and on whether the trunk asks for the
//! password, never on whether the account exists.

use super::account::Secret;
use super::auth::{CIPHERTEXT_LEN_MIN, FAST_OK, FULL, MORE_DATA, ROUNDS_MAX, SWITCH, needed, unexpected, whole};
use super::capability::Protection;
use super::error::{put_error, put_error_as};
use super::packet::{HEADER_LEN, put_packet};
pub use super::plugin::Plugin;
use super::plugin::{PASSWORD_END, has_password};
use crate::refusal::{Refusal, WireError, WireSide};

/// What a client without TLS sends to get Weir's public key.
const KEY_REQUEST: &[u8] = &[0x02];
/// What `sha256_password` sends for the same; some clients do so for `caching_sha2_password`, too.
const KEY_REQUEST_SHA256: &[u8] = &[0x01];

/// What an exchange at the door begins with.
#[derive(Debug)]
pub struct Knock<'b> {
    /// The plugin that the account needs.
    pub wanted: Plugin,
    /// The plugin that the client named; `None` where it speaks no plugins.
    pub named: Option<&'b str>,
    /// First data of the client.
    pub answer: &'b [u8],
    /// The nonce that the first data answers; `None` where there is none that may still be answered.
    pub nonce: Option<&'b [u8]>,
    /// Another nonce, in case the client must answer anew: random bytes without NUL, [`Plugin::nonce_len`] of them.
    pub fresh: Vec<u8>,
    /// Protection of the client's leg.
    pub client: Protection,
    /// Sequence id of the client's packet that begins the exchange.
    pub seq: u8,
}

/// What the trunk is to do. What goes to the client was already appended.
#[derive(Debug, PartialEq, Eq)]
pub enum DoorStep {
    /// A packet is not whole yet: its length in bytes, 0 while not even that is known.
    More(usize),
    /// So many bytes are done with; the client's next packet is waited for.
    Next(usize),
    /// The client answered the nonce ([`Door::nonce`]): decide with [`Door::ask_password`], [`Door::welcome`] or
    /// [`Door::deny`].
    Answer {
        /// Bytes that are done with.
        len: usize,
        /// What the plugin made of password and nonce.
        answer: Secret,
    },
    /// The client sent its password, or token: decide with [`Door::welcome`] or [`Door::deny`].
    Password {
        /// Bytes that are done with.
        len: usize,
        /// Without its end.
        password: Secret,
    },
    /// The client has no password: there is no account that this is enough for.
    NoPassword(usize),
    /// The client asks for a public key: call [`Door::give_key`].
    NeedsKey(usize),
    /// The client sent its password under Weir's key: call [`Door::decrypted`].
    Decrypt {
        /// Bytes that are done with.
        len: usize,
        /// RSA-OAEP (SHA-1).
        ciphertext: Vec<u8>,
    },
    /// The exchange cannot go on.
    Refused(Refusal),
}

/// What is waited for. Legal transitions: `Answer` → `Answered`; `Password` → `Asked`, `OwnKey`, `Decryption`; `OwnKey` →
/// `Ciphertext` → `Decryption` → `Asked`; `Answered` → `Password`, `Over`; `Asked` → `Over`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client's answer to the nonce, or a password that the plugin sends at once.
    Answer,
    /// The client's password, or its request for a key.
    Password,
    /// The trunk's public key.
    OwnKey,
    /// The client's password under the trunk's key.
    Ciphertext,
    /// The trunk's decryption.
    Decryption,
    /// The trunk's verdict on an answer to the nonce.
    Answered,
    /// The trunk's verdict on a password.
    Asked,
    /// Nothing more.
    Over,
}

/// One exchange at the door.
#[derive(Debug)]
pub struct Door {
    plugin: Plugin,
    nonce: Vec<u8>,
    client: Protection,
    /// Number of the next packet, whoever sends it.
    seq: u8,
    state: State,
    rounds: usize,
}

impl Door {
    /// Begins with the client's first data.
    ///
    /// # Errors
    /// A client that cannot speak the account's plugin, or must not on this leg.
    pub fn begin(knock: Knock<'_>, to_client: &mut Vec<u8>) -> Result<(Door, DoorStep), Refusal> {
        let Knock { wanted, named, answer, nonce, fresh, client, seq } = knock;
        if wanted == Plugin::Clear && client == Protection::Plain {
            return Err(Refusal::new(
                "28000",
                "this listener takes tokens in place of passwords, and only under TLS",
                "connect to weir with TLS",
            ));
        }
        let mut door =
            Door { plugin: wanted, nonce: fresh, client, seq: seq.wrapping_add(1), state: State::Answer, rounds: 0 };
        let named_wanted = named == Some(wanted.name());
        if let Some(nonce) = nonce.filter(|_| named_wanted && wanted != Plugin::Ed25519) {
            door.nonce = nonce.to_vec();
            let step = door.answered(0, answer);
            return Ok((door, step));
        }
        let Some(named) = named else {
            return Err(Refusal::new(
                "28000",
                "the client cannot be asked for another authentication plugin",
                "connect with a client of MySQL 5.7 or MariaDB 10.2 and later",
            ));
        };
        if client == Protection::Plain && named == Plugin::Clear.name() && has_password(answer) {
            return Err(bare_password());
        }
        let mut payload = vec![SWITCH];
        payload.extend_from_slice(wanted.name().as_bytes());
        payload.push(0);
        if wanted != Plugin::Clear {
            payload.extend_from_slice(&door.nonce);
            // MariaDB's plugin takes what it is given for the nonce; the others expect an end.
            if wanted != Plugin::Ed25519 {
                payload.push(0);
            }
        }
        door.put(&payload, to_client);
        Ok((door, DoorStep::Next(0)))
    }

    /// The plugin that is spoken.
    pub fn plugin(&self) -> Plugin {
        self.plugin
    }

    /// The nonce that holds now.
    pub fn nonce(&self) -> &[u8] {
        &self.nonce
    }

    /// Whether the client's next packet is waited for.
    pub fn awaits_client(&self) -> bool {
        matches!(self.state, State::Answer | State::Password | State::Ciphertext)
    }

    /// Looks at the client's next packet.
    ///
    /// # Errors
    /// A packet that comes while it is not the client's turn, or out of sequence, or one too many.
    pub fn client_step(&mut self, input: &[u8]) -> Result<DoorStep, WireError> {
        if !self.awaits_client() {
            return match input {
                [] => Ok(DoorStep::More(0)),
                _ => Err(unexpected(WireSide::Client, input.get(HEADER_LEN).copied().unwrap_or_default())),
            };
        }
        let Some((len, payload)) = whole(input, self.seq, WireSide::Client)? else {
            return Ok(DoorStep::More(needed(input)));
        };
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return Err(WireError::TooMany { what: "packets of one authentication", max: ROUNDS_MAX });
        }
        self.seq = self.seq.wrapping_add(1);
        Ok(match self.state {
            State::Password if self.client == Protection::Tls => self.password(len, payload),
            State::Password if matches!(payload, KEY_REQUEST | KEY_REQUEST_SHA256) => {
                self.state = State::OwnKey;
                DoorStep::NeedsKey(len)
            }
            // One that was given Weir's key beforehand has no need to ask.
            State::Password | State::Ciphertext if payload.len() >= CIPHERTEXT_LEN_MIN => {
                self.state = State::Decryption;
                DoorStep::Decrypt { len, ciphertext: payload.to_vec() }
            }
            State::Password | State::Ciphertext if has_password(payload) => self.refused(bare_password()),
            State::Password | State::Ciphertext => self.without(len),
            _ => self.answered(len, payload),
        })
    }

    /// Asks for the password itself, after an answer to the nonce that is not enough.
    ///
    /// # Errors
    /// A plugin that never sends it.
    pub fn ask_password(&mut self, to_client: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.plugin != Plugin::CachingSha2 || self.state != State::Answered {
            return Err(Refusal::new(
                "28000",
                format!("`{}` never sends the password itself, which is needed here", self.plugin.name()),
                "the operator gives the account a verifier of caching_sha2_password, or maps it to another account",
            ));
        }
        self.put(&[&[MORE_DATA], FULL].concat(), to_client);
        self.state = State::Password;
        Ok(())
    }

    /// Answers [`DoorStep::NeedsKey`] with Weir's public key, SubjectPublicKeyInfo in PEM.
    pub fn give_key(&mut self, public_key: &[u8], to_client: &mut Vec<u8>) {
        if self.state == State::OwnKey {
            self.put(&[&[MORE_DATA], public_key].concat(), to_client);
            self.state = State::Ciphertext;
        }
    }

    /// Answers [`DoorStep::Decrypt`] with the plaintext; `None` where Weir's key does not fit.
    pub fn decrypted(&mut self, plaintext: Option<&Secret>) -> DoorStep {
        if self.state != State::Decryption {
            return DoorStep::Next(0);
        }
        let masks = self.nonce.iter().cycle();
        let password =
            plaintext.map(|masked| Secret::new(masked.bytes().iter().zip(masks).map(|(b, m)| b ^ m).collect()));
        match &password {
            Some(password) if password.bytes().last() == Some(&PASSWORD_END) => self.password(0, password.bytes()),
            _ => self.refused(Refusal::new(
                "28000",
                "the password was encrypted with another key than weir's",
                "connect to weir with TLS, or let the client ask for the public key instead of keeping the server's",
            )),
        }
    }

    /// The packets that let the client in, the server's OK at their end. They are not counted as sent, so that a refusal
    /// may still stand in their place.
    pub fn welcome(&self, ok: &[u8]) -> Vec<u8> {
        let mut packets = Vec::new();
        let mut seq = self.seq;
        // A client whose answer was enough waits for this word before the OK.
        if self.plugin == Plugin::CachingSha2 && self.state == State::Answered {
            seq = put_packet(&mut packets, seq, &[&[MORE_DATA], FAST_OK].concat());
        }
        put_packet(&mut packets, seq, ok);
        packets
    }

    /// Says no in the server's own words, the same for every reason.
    pub fn deny(&mut self, denial: &Denial<'_>, to_client: &mut Vec<u8>) {
        put_error_as(to_client, self.seq, DENIED_ERRNO, *b"28000", &denial.words());
        self.seq = self.seq.wrapping_add(1);
        self.state = State::Over;
    }

    /// Passes on why the server did not let the account in, as the server said it.
    pub fn fail(&mut self, error: &[u8], to_client: &mut Vec<u8>) {
        self.put(error, to_client);
        self.state = State::Over;
    }

    /// Appends a refusal in its place of the exchange.
    pub fn put_refusal(&mut self, refusal: &Refusal, to_client: &mut Vec<u8>) {
        put_error(to_client, self.seq, refusal);
        self.seq = self.seq.wrapping_add(1);
        self.state = State::Over;
    }

    fn answered(&mut self, len: usize, answer: &[u8]) -> DoorStep {
        if self.plugin == Plugin::Clear {
            return self.password(len, answer);
        }
        if !has_password(answer) {
            return self.without(len);
        }
        self.state = State::Answered;
        DoorStep::Answer { len, answer: Secret::new(answer.to_vec()) }
    }

    fn password(&mut self, len: usize, payload: &[u8]) -> DoorStep {
        let password = payload.strip_suffix(&[PASSWORD_END]).unwrap_or(payload);
        if password.is_empty() {
            return self.without(len);
        }
        self.state = State::Asked;
        DoorStep::Password { len, password: Secret::new(password.to_vec()) }
    }

    fn without(&mut self, len: usize) -> DoorStep {
        self.state = State::Asked;
        DoorStep::NoPassword(len)
    }

    fn refused(&mut self, refusal: Refusal) -> DoorStep {
        self.state = State::Over;
        DoorStep::Refused(refusal)
    }

    fn put(&mut self, payload: &[u8], to_client: &mut Vec<u8>) {
        self.seq = put_packet(to_client, self.seq, payload);
    }
}

/// ER_ACCESS_DENIED_ERROR.
const DENIED_ERRNO: u16 = 1045;

/// Who is not let in.
#[derive(Clone, Copy, Debug)]
pub struct Denial<'a> {
    /// The account that was tried.
    pub account: &'a str,
    /// Where the client is.
    pub host: &'a str,
    /// Whether it had a password at all.
    pub with_password: bool,
}

impl Denial<'_> {
    /// The server's own text: drivers and people know it.
    pub fn words(&self) -> String {
        let Denial { account, host, with_password } = self;
        let used = if *with_password { "YES" } else { "NO" };
        format!("Access denied for user '{account}'@'{host}' (using password: {used})")
    }
}

fn bare_password() -> Refusal {
    Refusal::new(
        "28000",
        "the client sends its password in clear without TLS, which weir does not take",
        "connect to weir with TLS, or tell the client that there is none (mariadb: --skip-ssl)",
    )
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
