//! How clients log in at a listener, and as whom Weir logs in behind it.

use std::path::PathBuf;
use std::time::Duration;

use super::PasswordSource;

/// What a listener accepts as a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAuth {
    /// Whether a client certificate is a login.
    pub certificate: bool,
    /// How a client without one logs in; `None`: it does not.
    pub password: Option<PasswordCheck>,
}

impl ListenerAuth {
    /// Whether the database server judges logins, and Weir only passes them on.
    pub fn is_relayed(&self) -> bool {
        self.password == Some(PasswordCheck::Relay)
    }

    /// Its modes, as they are written.
    pub fn words(&self) -> Vec<&'static str> {
        let password = self.password.as_ref().map(|check| match check {
            PasswordCheck::Relay => "relay",
            PasswordCheck::Verify { .. } => "verify",
            PasswordCheck::Token(_) => "token",
        });
        self.certificate.then_some("certificate").into_iter().chain(password).collect()
    }
}

/// Who judges what a client sends in place of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// The database server.
    Relay,
    /// Weir, by verifiers that it holds.
    Verify {
        /// The file of verifiers.
        verifiers: PathBuf,
    },
    /// Weir, as a token of an identity provider.
    Token(TokenCheck),
}

/// What a token must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCheck {
    /// Its issuer, exactly.
    pub issuer: String,
    /// The audience that it must name.
    pub audience: String,
    /// Where the issuer's keys are.
    pub keys: KeySource,
    /// How far the clocks of issuer and Weir may be apart.
    pub skew: Duration,
    /// The claim that names the person or account.
    pub claim: String,
    /// Claims that must be there with this value.
    pub require: Vec<(String, String)>,
    /// Roots that the keys' address is verified by, PEM.
    pub ca: PathBuf,
}

/// Where keys are that sign tokens (JWKS, RFC 7517).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At an `https` address; in tests also at `http` on this machine.
    Url(String),
}

/// An account of the database server that stands for many people.
#[derive(Clone, Debug)]
pub struct MappedAccount {
    /// Its name on the server.
    pub user: String,
    /// Where its password is.
    pub secret: PasswordSource,
    /// Whose sessions use it.
    pub stands_for: Vec<Selector>,
    /// The role that a session takes on.
    pub set_role: Option<RoleName>,
}

/// Whose sessions use a mapped account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Everybody's.
    All,
    /// Those of this account at the door.
    Account(String),
    /// Those of this person of the directory.
    Person(String),
    /// Those of a group's people.
    Group(String),
}

/// The name of the role that a session takes on, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleName(pub Vec<RolePart>);

/// A part of a role's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolePart {
    /// As it is written.
    Text(String),
    /// The account at the door.
    Account,
    /// The person.
    Person,
}

impl RoleName {
    /// The role of this login.
    pub fn of(&self, account: &str, person: &str) -> String {
        let part = |part: &RolePart| match part {
            RolePart::Text(text) => text.clone(),
            RolePart::Account => account.to_owned(),
            RolePart::Person => person.to_owned(),
        };
        self.0.iter().map(part).collect()
    }
}

impl Selector {
    /// Whether this is about that login.
    pub fn matches(&self, account: &str, person: &str, groups: &[impl AsRef<str>]) -> bool {
        match self {
            Selector::All => true,
            Selector::Account(name) => name == account,
            Selector::Person(name) => name == person,
            Selector::Group(name) => groups.iter().any(|group| group.as_ref() == name),
        }
    }
}
