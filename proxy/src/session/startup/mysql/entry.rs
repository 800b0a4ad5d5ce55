//! What a client is judged by at the door, and as whom it goes on to the server.
//!
//! INVARIANT: an account that does not exist is judged like one that does, by a verifier that nobody's password fits.
//! INVARIANT: between the look at the count of wrong passwords and the count of this one no other password of a slow
//! hash is looked at on the same place, so that guesses do not overtake their own count.

use std::time::Instant;

use weir_policy::identity::Proof;
use weir_wire::Refusal;
use weir_wire::mysql::door::Plugin;
use weir_wire::mysql::handshake::Secret;

use super::door::AtDoor;
use super::upstream::{Owner, no_login};
use crate::config::{MappedAccount, PasswordCheck};
use crate::identity;
use crate::mysql::proof::Scramble;
use crate::mysql::verifier::{Judgement, Proven, Verifier};
use crate::session::End;

/// What a client is judged by.
pub(super) enum Judge {
    /// What is kept of its password, or of nobody's.
    Verifier(Verifier),
}

impl Judge {
    /// For the account that was named.
    pub(super) fn of(at: &AtDoor<'_>) -> Result<Judge, End> {
        match (&at.route.auth.password, &at.route.verifiers) {
            (Some(PasswordCheck::Verify { .. }), Some(verifiers)) => {
                let verifier = verifiers.current().mysql(&at.login.account, &at.shared.mock_secret);
                Ok(Judge::Verifier(verifier))
            }
            _ => Err(at.refused(Refusal::new(
                "28000",
                "this listener does not take passwords",
                "the operator finds what it takes in [listener.auth]",
            ))),
        }
    }

    /// The plugin that it takes. `named` is the client's.
    pub(super) fn plugin(&self, _named: Option<&str>) -> Plugin {
        match self {
            Judge::Verifier(verifier) => verifier.plugin(),
        }
    }

    /// Its name in records.
    pub(super) fn method(&self) -> &'static str {
        match self {
            Judge::Verifier(verifier) => verifier.method(),
        }
    }

    fn proof(&self) -> Proof {
        match self {
            Judge::Verifier(_) => Proof::Verified,
        }
    }

    /// An answer to a nonce.
    pub(super) fn answer(&self, at: &AtDoor<'_>, answer: &Secret, nonce: &[u8]) -> Result<Judgement, End> {
        self.may_try(at)?;
        Ok(match self {
            Judge::Verifier(verifier) => self.counted(at, verifier.judge(answer.bytes(), nonce)),
        })
    }

    /// A password, or a token.
    pub(super) async fn password(&self, at: &AtDoor<'_>, password: Secret) -> Result<Judgement, End> {
        match self {
            Judge::Verifier(verifier) => {
                let _place = verifier.place(&password).await;
                self.may_try(at)?;
                let judgement = match verifier.judge_password(&password).await {
                    true => Judgement::Right(Proven::Password(password)),
                    false => Judgement::Wrong,
                };
                Ok(self.counted(at, judgement))
            }
        }
    }

    /// Neither. Many clients try so first, and it tells nothing: it is not counted.
    pub(super) fn nothing(&self) -> Judgement {
        Judgement::Wrong
    }

    /// Fails while an account or an address has to wait.
    fn may_try(&self, at: &AtDoor<'_>) -> Result<(), End> {
        let account = &at.login.account;
        let Err(wait) = at.shared.backoff.may_try(account, at.peer.ip(), Instant::now()) else { return Ok(()) };
        let refusal = Refusal::new(
            "28000",
            format!("too many wrong passwords for user '{account}'"),
            format!("try again in {} s", wait.as_secs() + 1),
        );
        Err(at.failed(self.method(), "28000", Some(refusal)))
    }

    fn counted(&self, at: &AtDoor<'_>, judgement: Judgement) -> Judgement {
        let (account, address) = (&at.login.account, at.peer.ip());
        match judgement {
            Judgement::Right(_) => at.shared.backoff.right(account, address),
            Judgement::Wrong => at.shared.backoff.wrong(account, address, Instant::now()),
            Judgement::Unsure => {}
        }
        judgement
    }
}

/// As whom Weir logs in upstream.
pub(super) struct Entry {
    /// The account there.
    pub(super) account: String,
    /// What Weir knows of its password.
    pub(super) proven: Proven,
    /// The account is not the client's own.
    pub(super) is_mapped: bool,
    /// The role that the session takes on.
    pub(super) set_role: Option<String>,
    /// Who the session belongs to.
    pub(super) owner: Owner,
    /// What the client proved.
    pub(super) login: identity::Login,
}

impl Entry {
    /// For a client that was let in.
    pub(super) fn of(at: &AtDoor<'_>, judge: &Judge, proven: Proven) -> Result<Entry, End> {
        let account = &at.login.account;
        let mut login =
            identity::Login { proof: judge.proof(), method: judge.method(), ..identity::Login::relayed(account) };
        let upstream = &at.route.upstream;
        let in_force = at.shared.policies.current();
        let who = in_force.directory.resolve(&upstream.name, &login, Some(at.peer.ip()), &at.login.application);
        let owner = Owner { person: who.person.to_string(), account: account.clone() };
        let is_for = |mapped: &&MappedAccount| {
            mapped.stands_for.iter().any(|selector| selector.matches(&who.account, &who.person, &who.groups))
        };
        if let Some(mapped) = upstream.accounts.iter().find(is_for) {
            let password = mapped.secret.read().map_err(|reason| {
                tracing::error!(upstream = %upstream.name, account = mapped.user, %reason, "an account has no secret");
                at.failed(judge.method(), "28000", Some(no_login()))
            })?;
            let password = password.map_or_else(Vec::new, |password| password.as_bytes().to_vec());
            login.upstream_account = mapped.user.as_str().into();
            return Ok(Entry {
                account: mapped.user.clone(),
                proven: Proven::Password(Secret::new(password)),
                is_mapped: true,
                set_role: mapped.set_role.as_ref().map(|role| role.of(account, &who.person)),
                owner,
                login,
            });
        }
        if proven == Proven::Nothing {
            let refusal = Refusal::new(
                "28000",
                format!("there is no database account for user '{account}'"),
                format!("the operator adds an [[upstream.account]] of `{}` that is for them", upstream.name),
            );
            return Err(at.failed(judge.method(), "28000", Some(refusal)));
        }
        Ok(Entry { account: account.clone(), proven, is_mapped: false, set_role: None, owner, login })
    }

    /// The plugin that a change of the user names; the server asks for another if it wants one.
    pub(super) fn plugin(&self) -> Plugin {
        match &self.proven {
            Proven::Once(Scramble::Native, _) => Plugin::Native,
            _ => Plugin::CachingSha2,
        }
    }
}
