//! `[listener.auth]` and `[[upstream.account]]` as they are written, and the step to their checked form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::super::PasswordSource;
use super::super::door::{
    KeySource, ListenerAuth, MappedAccount, PasswordCheck, RoleName, RolePart, Selector, TokenCheck,
};
use super::{Problem, SYSTEM_ROOTS, problem, secs};
use crate::identity::fetch;
use crate::identity::token::SKEW_MAX;

/// What a listener says of logins.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    mode: Option<Spanned<RawModes>>,
    verifiers: Option<Spanned<PathBuf>>,
    token: Option<Spanned<RawToken>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a mode is `verify`, `certificate`, `token` or `relay`, or a list of these")]
enum RawModes {
    One(RawMode),
    Several(Vec<RawMode>),
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    Verify,
    Certificate,
    Token,
    Relay,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    issuer: String,
    audience: String,
    keys: String,
    skew_secs: Option<Spanned<u64>>,
    claim: Option<String>,
    #[serde(default)]
    require: BTreeMap<String, String>,
    ca: Option<PathBuf>,
}

/// What is known of the listener around it.
pub(super) struct Around<'a> {
    pub(super) name: &'a str,
    /// Where it is told of, when it says nothing of logins.
    pub(super) place: std::ops::Range<usize>,
    pub(super) has_tls: bool,
    pub(super) requires_tls: bool,
    pub(super) has_client_ca: bool,
}

impl RawAuth {
    pub(super) fn check(self, around: &Around<'_>, base: &Path) -> Result<ListenerAuth, Problem> {
        let name = around.name;
        let (place, modes) = match self.mode {
            None => (around.place.clone(), vec![RawMode::Verify]),
            Some(modes) => match (modes.span(), modes.into_inner()) {
                (place, RawModes::One(mode)) => (place, vec![mode]),
                (place, RawModes::Several(modes)) => (place, modes),
            },
        };
        let certificate = modes.contains(&RawMode::Certificate);
        let mut others = modes.iter().filter(|mode| **mode != RawMode::Certificate);
        let (password, more) = (others.next().copied(), others.next().is_some());
        if more || modes.is_empty() || (certificate && password == Some(RawMode::Relay)) {
            return Err(problem(
                Some(place),
                format!("listener `{name}` has modes of authentication that do not stand together"),
                "name one of verify, certificate, token and relay, or certificate with verify or token",
            ));
        }
        if certificate && !around.has_client_ca {
            return Err(problem(
                Some(place),
                format!("listener `{name}` takes certificates, and does not say whose"),
                "give client_ca in [listener.tls], a PEM file of the authorities that sign clients' certificates",
            ));
        }
        if !certificate && around.has_client_ca {
            return Err(problem(
                Some(place),
                format!("listener `{name}` has a client_ca, and does not take certificates"),
                "add \"certificate\" to the mode in [listener.auth], or remove client_ca",
            ));
        }
        if let Some(verifiers) = self.verifiers.as_ref().filter(|_| password != Some(RawMode::Verify)) {
            return Err(problem(
                Some(verifiers.span()),
                format!("listener `{name}` has verifiers, and does not verify"),
                "add \"verify\" to the mode in [listener.auth], or remove verifiers",
            ));
        }
        if let Some(token) = self.token.as_ref().filter(|_| password != Some(RawMode::Token)) {
            return Err(problem(
                Some(token.span()),
                format!("listener `{name}` says whose tokens it takes, and takes none"),
                "add \"token\" to the mode in [listener.auth], or remove token",
            ));
        }
        let password = match password {
            None => None,
            Some(RawMode::Relay) => Some(PasswordCheck::Relay),
            Some(RawMode::Verify) => match self.verifiers {
                Some(path) => Some(PasswordCheck::Verify { verifiers: base.join(path.into_inner()) }),
                None => {
                    return Err(problem(
                        Some(place),
                        format!("listener `{name}` is to verify logins, and has no verifiers"),
                        "give verifiers in [listener.auth], a file that `weir verifiers import` makes from the server's \
                         own, or set mode = \"relay\" to leave the judgement to the server",
                    ));
                }
            },
            Some(_) => match self.token {
                Some(token) if around.has_tls && around.requires_tls => Some(PasswordCheck::Token(check(token, base)?)),
                Some(_) => {
                    return Err(problem(
                        Some(place),
                        format!("listener `{name}` takes tokens, and clients may send them in clear"),
                        "give [listener.tls] a certificate and a key, with mode = \"require\"",
                    ));
                }
                None => {
                    return Err(problem(
                        Some(place),
                        format!("listener `{name}` takes tokens, and does not say whose"),
                        "give token in [listener.auth], with issuer, audience and keys",
                    ));
                }
            },
        };
        Ok(ListenerAuth { certificate, password })
    }
}

fn check(token: Spanned<RawToken>, base: &Path) -> Result<TokenCheck, Problem> {
    let place = token.span();
    let token = token.into_inner();
    if token.issuer.is_empty() || token.audience.is_empty() {
        return Err(problem(
            Some(place),
            "issuer or audience of a token is empty",
            "write both as the identity provider does: a token for somebody else is refused by them",
        ));
    }
    let keys = if fetch::is_address(&token.keys) {
        fetch::checked(&token.keys).map_err(|reason| {
            problem(
                Some(place),
                format!("the address of the keys of tokens, `{}`, {reason}", token.keys),
                "give a file, or an address that begins with https://",
            )
        })?;
        KeySource::Url(token.keys)
    } else {
        KeySource::File(base.join(token.keys))
    };
    Ok(TokenCheck {
        issuer: token.issuer,
        audience: token.audience,
        keys,
        skew: secs("listener.auth.token.skew_secs", token.skew_secs, 60, 0, SKEW_MAX.as_secs())?,
        claim: token.claim.unwrap_or_else(|| "sub".to_owned()),
        require: token.require.into_iter().collect(),
        ca: token.ca.map_or_else(|| PathBuf::from(SYSTEM_ROOTS), |ca| base.join(ca)),
    })
}

/// An account of the server that stands for many people.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAccount {
    user: Spanned<String>,
    secret_file: Option<PathBuf>,
    secret_env: Option<Spanned<String>>,
    #[serde(rename = "for")]
    stands_for: Option<Vec<Spanned<String>>>,
    set_role: Option<Spanned<RawRole>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "set_role is true, or a name in which {account} and {person} may stand")]
enum RawRole {
    Own(bool),
    Name(String),
}

pub(super) fn accounts(raw: Vec<RawAccount>, upstream: &str, base: &Path) -> Result<Vec<MappedAccount>, Problem> {
    raw.into_iter().map(|raw| raw.check(upstream, base)).collect()
}

impl RawAccount {
    fn check(self, upstream: &str, base: &Path) -> Result<MappedAccount, Problem> {
        let place = self.user.span();
        let user = self.user.into_inner();
        let secret = match (self.secret_file, self.secret_env) {
            (Some(path), None) => PasswordSource::File(base.join(path)),
            (None, Some(name)) => PasswordSource::Environment(name.into_inner()),
            (Some(_), Some(variable)) => {
                return Err(problem(
                    Some(variable.span()),
                    format!("account `{user}` of upstream `{upstream}` has both secret_file and secret_env"),
                    "keep one of them",
                ));
            }
            (None, None) => PasswordSource::Absent,
        };
        if user.is_empty() {
            return Err(problem(
                Some(place),
                format!("an account of upstream `{upstream}` has no name"),
                "give the name of a database account in user",
            ));
        }
        let stands_for = match self.stands_for {
            None => vec![Selector::All],
            Some(names) => names.into_iter().map(|name| selector(&name)).collect::<Result<_, _>>()?,
        };
        let set_role = match self.set_role {
            None => None,
            Some(role) => match (role.span(), role.into_inner()) {
                (_, RawRole::Own(false)) => None,
                (_, RawRole::Own(true)) => Some(RoleName(vec![RolePart::Account])),
                (place, RawRole::Name(name)) => Some(role_name(&name).ok_or_else(|| {
                    problem(
                        Some(place),
                        format!("set_role of account `{user}` is `{name}`, which is no name of a role"),
                        "write a name in which {account} and {person} may stand",
                    )
                })?),
            },
        };
        Ok(MappedAccount { user, secret, stands_for, set_role })
    }
}

fn selector(name: &Spanned<String>) -> Result<Selector, Problem> {
    let (kind, rest) = name.get_ref().split_once(':').unwrap_or(("account", name.get_ref()));
    match kind {
        _ if rest.is_empty() => {}
        "account" => return Ok(Selector::Account(rest.to_owned())),
        "person" => return Ok(Selector::Person(rest.to_owned())),
        "group" => return Ok(Selector::Group(rest.to_owned())),
        _ => {}
    }
    Err(problem(
        Some(name.span()),
        format!("`for` names `{}`", name.get_ref()),
        "name accounts of clients, or `person:name` and `group:name` of the directory",
    ))
}

fn role_name(text: &str) -> Option<RoleName> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}')?;
        if !before.is_empty() {
            parts.push(RolePart::Text(before.to_owned()));
        }
        parts.push(match name {
            "account" => RolePart::Account,
            "person" => RolePart::Person,
            _ => return None,
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(RolePart::Text(rest.to_owned()));
    }
    let is_clean = !text.contains(|character: char| character.is_control()) && !rest.contains('}');
    (is_clean && !parts.is_empty()).then_some(RoleName(parts))
}
