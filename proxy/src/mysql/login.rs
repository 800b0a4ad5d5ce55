//! How Weir logs in to a server: for the catalog with its own account, and for the clients that it judged itself.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//!
//! What must never happen here: the password in clear over a leg that is not verified; or encrypted with a key that
//! nobody vouches for, unless the operator has said that the way to the server is trusted.
//!
//! Where what is known of the password is not enough for what the server asks, the conversation stops, and goes on once
//! more is known: the client is asked for its password only then.

use weir_wire::mysql::door::Plugin;
use weir_wire::mysql::greeting::Greeting;
use weir_wire::mysql::handshake::Secret;
use weir_wire::mysql::login::{Login, LoginStep, PUBLIC_KEY_REQUEST};
use weir_wire::refusal::WireError;

use super::proof::{Scramble, wrapped};
use super::verifier::Proven;
use crate::rsa;

/// How far the other end is known to be the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// By its certificate.
    Verified,
    /// Nobody vouches for it, and the way there is trusted: this machine, or the operator says so.
    Way,
    /// Nobody vouches for it.
    Nobody,
}

/// Packets of a login, numbered by whoever carries them.
pub(crate) trait Packets {
    /// Why a packet cannot be had or sent.
    type Error;

    /// The payload of the server's next packet.
    async fn receive(&mut self) -> Result<Vec<u8>, Self::Error>;

    /// Sends a payload.
    async fn send(&mut self, payload: &[u8]) -> Result<(), Self::Error>;
}

/// How far a login has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The account is in; the payload of the server's OK.
    In(Vec<u8>),
    /// The password itself is needed: go on with it.
    NeedsPassword,
    /// The server does not let the account in: the payload of its ERR.
    Denied {
        /// Error number.
        errno: u16,
        /// SQLSTATE.
        sqlstate: String,
        /// The server's text.
        message: String,
        /// All of it.
        packet: Vec<u8>,
    },
}

/// Why a login cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble<E> {
    /// A packet cannot be had or sent.
    Carrier(E),
    /// The server broke the protocol.
    Wire(WireError),
    /// A plugin that Weir does not speak.
    Unknown(String),
    /// What cannot be done safely, or at all, in words for the operator.
    Refused(String),
}

/// One login under way.
#[derive(Debug)]
pub(crate) struct Conversation {
    login: Login,
    trust: Trust,
    owed: Owed,
}

/// What the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owed {
    Nothing,
    /// An answer to its nonce.
    Proof,
    /// The password.
    Password,
}

impl Conversation {
    /// Begins with what the server greeted with.
    pub(crate) fn begin(greeting: &Greeting, trust: Trust) -> Conversation {
        Conversation { login: Login::begin(greeting), trust, owed: Owed::Nothing }
    }

    /// Begins a change of the user, which names this plugin and proves nothing yet.
    pub(crate) fn again(plugin: Plugin, trust: Trust) -> Conversation {
        Conversation { login: Login::again(plugin), trust, owed: Owed::Nothing }
    }

    /// The plugin that the login's first packet names, and its first answer. What is known decides, where it is known for
    /// one plugin only: the server asks for another if it wants one.
    ///
    /// # Errors
    /// A nonce that is too short.
    pub(crate) fn first(&mut self, proven: &Proven) -> Result<(Plugin, Secret), String> {
        let plugin = match proven {
            Proven::Once(Scramble::Native, _) => Plugin::Native,
            Proven::Once(Scramble::CachingSha2, _) => Plugin::CachingSha2,
            Proven::Password(_) | Proven::Nothing => self.login.plugin(),
        };
        self.login.names(plugin);
        // One that was proved without a password has none to answer with; the server asks again.
        Ok((plugin, self.proof(proven)?.unwrap_or_default()))
    }

    /// Answers what the server asks until it says yes or no, or more must be known. Not cancel safe.
    ///
    /// # Errors
    /// Why the login cannot go on.
    pub(crate) async fn go<P: Packets>(
        &mut self,
        packets: &mut P,
        proven: &Proven,
    ) -> Result<Progress, Trouble<P::Error>> {
        loop {
            match std::mem::replace(&mut self.owed, Owed::Nothing) {
                Owed::Nothing => {}
                Owed::Proof => match self.proof(proven).map_err(Trouble::Refused)? {
                    Some(answer) => packets.send(answer.bytes()).await.map_err(Trouble::Carrier)?,
                    None => return Ok(self.stopped(Owed::Proof)),
                },
                Owed::Password => match (proven, self.trust) {
                    (Proven::Once(..) | Proven::Nothing, _) => return Ok(self.stopped(Owed::Password)),
                    (Proven::Password(password), Trust::Verified) => {
                        self.login.password_sent();
                        packets.send(ended(password).bytes()).await.map_err(Trouble::Carrier)?;
                    }
                    (Proven::Password(_), Trust::Way) => {
                        self.login.key_asked();
                        packets.send(PUBLIC_KEY_REQUEST).await.map_err(Trouble::Carrier)?;
                    }
                    (Proven::Password(_), Trust::Nobody) => {
                        return Err(Trouble::Refused(
                            "the server wants the password itself, which weir gives to no server without verified TLS: \
                             set tls = \"verify-full\" for this upstream"
                                .to_owned(),
                        ));
                    }
                },
            }
            let payload = packets.receive().await.map_err(Trouble::Carrier)?;
            match self.login.step(&payload).map_err(Trouble::Wire)? {
                LoginStep::Wait => {}
                LoginStep::Prove if self.login.plugin() == Plugin::Ed25519 => {
                    return Err(Trouble::Unknown(Plugin::Ed25519.name().to_owned()));
                }
                LoginStep::Prove => self.owed = Owed::Proof,
                LoginStep::Password => self.owed = Owed::Password,
                LoginStep::Key(key) => {
                    let Proven::Password(password) = proven else { return Ok(self.stopped(Owed::Password)) };
                    let wrapped = wrapped(password.bytes(), self.login.nonce());
                    let sealed = rsa::encrypt(key, wrapped.bytes()).map_err(Trouble::Refused)?;
                    self.login.password_sent();
                    packets.send(&sealed).await.map_err(Trouble::Carrier)?;
                }
                LoginStep::In(ok) => return Ok(Progress::In(ok.to_vec())),
                LoginStep::Failed { errno, sqlstate, message } => {
                    return Ok(Progress::Denied { errno, sqlstate, message, packet: payload });
                }
                LoginStep::Unknown(plugin) => return Err(Trouble::Unknown(plugin)),
            }
        }
    }

    fn stopped(&mut self, owed: Owed) -> Progress {
        self.owed = owed;
        Progress::NeedsPassword
    }

    /// The answer to the nonce; `None` where it takes the password, which is not known.
    fn proof(&self, proven: &Proven) -> Result<Option<Secret>, String> {
        let plugin = self.login.plugin();
        let scramble = match plugin {
            Plugin::Native => Scramble::Native,
            Plugin::CachingSha2 => Scramble::CachingSha2,
            Plugin::Clear => {
                return match (proven, self.trust) {
                    (Proven::Password(password), Trust::Verified) => Ok(Some(ended(password))),
                    (_, Trust::Verified) => Ok(None),
                    _ => Err(
                        "the server wants the password in clear, which weir does not send without verified TLS: set \
                              tls = \"verify-full\" for this upstream, or give the account another plugin"
                            .to_owned(),
                    ),
                };
            }
            // The conversation does not come so far: Weir does not sign.
            Plugin::Ed25519 => return Err("weir does not log in with `ed25519`".to_owned()),
        };
        let nonce = self.login.nonce();
        if nonce.len() < plugin.nonce_len() {
            return Err("the server's challenge is too short".to_owned());
        }
        Ok(match proven {
            Proven::Password(password) if password.bytes().is_empty() => Some(Secret::default()),
            Proven::Password(password) => Some(scramble.answer(&scramble.once(password.bytes()), nonce)),
            Proven::Once(known, once) if *known == scramble => Some(scramble.answer(once, nonce)),
            Proven::Once(..) | Proven::Nothing => None,
        })
    }
}

/// A password with the NUL that ends it.
fn ended(password: &Secret) -> Secret {
    Secret::new([password.bytes(), &[0]].concat())
}
