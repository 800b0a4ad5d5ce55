//! Who is at the door: the exchange in which Weir itself judges a PostgreSQL client.
//! <https://www.postgresql.org/docs/current/sasl-authentication.html>
//!
//! INVARIANT: nobody can tell an account that does not exist from a wrong password, neither by words nor by steps; and
//! what proves a password stands in no record, log or error.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_policy::identity::Proof;
use weir_wire::Refusal;
use weir_wire::pg::login::{self, Ask};
use weir_wire::pg::scram::{self, Binding, ScramError};
use weir_wire::pg::startup::Startup;
use zeroize::Zeroizing;

use super::{LOGIN_BYTES_MAX, refused};
use crate::config::PasswordCheck;
use crate::identity::{Login, certificate};
use crate::route::Route;
use crate::session::leg::Leg;
use crate::session::{End, Shared};

/// How a login by certificate stands in records.
const CERTIFICATE: &str = "certificate";
/// Random bytes of a nonce, as many as PostgreSQL's.
const NONCE_BYTES: usize = 18;

/// Who was let in, and what they have proved.
pub(super) struct Admitted {
    /// With the account at the door for both; who is behind it is found later.
    pub(super) login: Login,
    /// What opens a server that has the same verifier.
    pub(super) proved: Option<Proved>,
}

/// A password that was proved by SCRAM.
pub(super) struct Proved {
    pub(super) keys: scram::Keys,
    pub(super) verifier: scram::Verifier,
}

/// Judges a client, up to the last step before it is told that it is in.
pub(super) async fn judge(
    shared: &Shared,
    route: &Route,
    peer: SocketAddr,
    client: &mut Leg,
    startup: &Startup,
    binding: Binding,
) -> Result<Admitted, End> {
    if let Some(leaf) = client.client_certificate().filter(|_| route.auth.certificate) {
        return certified(startup, leaf);
    }
    match &route.auth.password {
        Some(PasswordCheck::Verify { .. }) => verify(shared, route, peer, client, startup, binding).await,
        Some(PasswordCheck::Token(_)) => token(shared, route, peer, client, startup).await,
        Some(PasswordCheck::Relay) | None => {
            let hint = "connect with sslcert and sslkey";
            Err(failed(startup, CERTIFICATE, Refusal::new("28000", "a client certificate is required here", hint)))
        }
    }
}

/// A certificate that TLS has verified. Whether the account belongs to its holder is seen when the person is known.
fn certified(startup: &Startup, leaf: &[u8]) -> Result<Admitted, End> {
    match certificate::names(leaf) {
        Ok(names) => {
            let login = Login { names, ..at_door(&startup.user, Proof::Certificate, CERTIFICATE) };
            Ok(Admitted { login, proved: None })
        }
        Err(error) => {
            let hint = "ask whoever issues certificates for another";
            Err(failed(startup, CERTIFICATE, Refusal::new("28000", error.to_string(), hint)))
        }
    }
}

/// A token in place of a password, in clear inside TLS.
async fn token(
    shared: &Shared,
    route: &Route,
    peer: SocketAddr,
    client: &mut Leg,
    startup: &Startup,
) -> Result<Admitted, End> {
    const METHOD: &str = "token";
    let Some(keys) = route.tokens.as_ref().filter(|_| client.tls_version().is_some()) else {
        return Err(refused("28000", "tokens are taken under TLS only", "connect with sslmode=verify-full"));
    };
    let mut bytes = Vec::new();
    login::put_ask(&mut bytes, Ask::ClearText);
    client.queue(&bytes);
    let body = Zeroizing::new(answer(client).await?);
    may_try(shared, peer, startup, METHOD)?;
    let text = login::read_password(&body).and_then(|password| std::str::from_utf8(password).ok());
    let text = text.ok_or_else(|| refused("08P01", "malformed password message", "check the client's driver"))?;
    match keys.check_fresh(text, SystemTime::now()).await {
        Ok(claims) => {
            shared.backoff.right(&startup.user, peer.ip());
            let login = Login { names: claims.names(), ..at_door(&startup.user, Proof::Token, METHOD) };
            Ok(Admitted { login, proved: None })
        }
        Err(error) => {
            shared.backoff.wrong(&startup.user, peer.ip(), Instant::now());
            let hint = "get a new token from the identity provider";
            Err(failed(startup, METHOD, Refusal::new("28000", error.to_string(), hint)))
        }
    }
}

/// SCRAM-SHA-256, bound to the TLS connection where the client can.
async fn verify(
    shared: &Shared,
    route: &Route,
    peer: SocketAddr,
    client: &mut Leg,
    startup: &Startup,
    binding: Binding,
) -> Result<Admitted, End> {
    const METHOD: &str = "scram-sha-256";
    const METHOD_PLUS: &str = "scram-sha-256-plus";
    let Some(verifiers) = &route.verifiers else {
        return Err(refused("28000", "nobody can log in here", "the operator gives the listener verifiers"));
    };
    let (verifier, exists) = verifiers.current().scram(&startup.user, &shared.mock_secret);
    let mut exchange = scram::Server::new(verifier, exists, binding, &nonce()?);
    let mut bytes = Vec::new();
    login::put_ask(&mut bytes, Ask::Sasl(exchange.mechanisms()));
    client.queue(&bytes);
    let initial = answer(client).await?;
    let (mechanism, first) = login::read_initial(&initial)
        .ok_or_else(|| refused("08P01", "malformed SASL message", "check the client's driver"))?;
    let challenge = exchange.first(mechanism, first).map_err(broken)?;
    let mut bytes = Vec::new();
    login::put_ask(&mut bytes, Ask::Continue(&challenge));
    client.queue(&bytes);
    let last = answer(client).await?;
    // Between this look and the count of a wrong password nothing is waited for.
    may_try(shared, peer, startup, METHOD)?;
    match exchange.last(&last) {
        Ok(accepted) => {
            shared.backoff.right(&startup.user, peer.ip());
            let mut bytes = Vec::new();
            login::put_ask(&mut bytes, Ask::Final(&accepted.server_final));
            client.queue(&bytes);
            let method = if accepted.bound { METHOD_PLUS } else { METHOD };
            let proved = Proved { keys: accepted.keys, verifier: exchange.verifier().clone() };
            Ok(Admitted { login: at_door(&startup.user, Proof::Verified, method), proved: Some(proved) })
        }
        Err(ScramError::WrongPassword) => {
            shared.backoff.wrong(&startup.user, peer.ip(), Instant::now());
            Err(wrong(startup, METHOD))
        }
        Err(error) => Err(broken(error)),
    }
}

fn at_door(account: &str, proof: Proof, method: &'static str) -> Login {
    Login { proof, method, ..Login::relayed(account) }
}

/// The client's next answer.
async fn answer(client: &mut Leg) -> Result<Vec<u8>, End> {
    client.drain().await.map_err(|_| End::ClientGone)?;
    let answer = client.read_until(LOGIN_BYTES_MAX, |bytes| {
        if login::is_goodbye(bytes) {
            return Some((0, Ok(None)));
        }
        match login::read_answer(bytes) {
            Ok(None) => None,
            Ok(Some((len, body))) => Some((len, Ok(Some(body)))),
            Err(error) => Some((0, Err(error))),
        }
    });
    // Whoever has no password at hand leaves, asks for it, and comes again.
    answer.await.map_err(|_| End::ClientGone)?.map_err(End::Broken)?.ok_or(End::ClientGone)
}

/// Fails while an account or an address has to wait.
fn may_try(shared: &Shared, peer: SocketAddr, startup: &Startup, method: &'static str) -> Result<(), End> {
    let Err(wait) = shared.backoff.may_try(&startup.user, peer.ip(), Instant::now()) else { return Ok(()) };
    let refusal = Refusal::new(
        "28000",
        format!("too many wrong passwords for user \"{}\"", startup.user),
        format!("try again in {} s", wait.as_secs() + 1),
    );
    Err(failed(startup, method, refusal))
}

/// The words are PostgreSQL's own, which drivers know.
fn wrong(startup: &Startup, method: &'static str) -> End {
    let message = format!("password authentication failed for user \"{}\"", startup.user);
    failed(startup, method, Refusal { sqlstate: "28P01", message, detail: None, hint: None })
}

pub(super) fn failed(startup: &Startup, method: &'static str, refusal: Refusal) -> End {
    End::LoginFailed {
        account: startup.user.clone(),
        database: startup.database.clone(),
        sqlstate: refusal.sqlstate.to_owned(),
        method,
        refusal: Some(Box::new(refusal)),
    }
}

fn broken(error: ScramError) -> End {
    let sqlstate = if error == ScramError::OtherChannel { "28000" } else { "08P01" };
    let hint = match error {
        ScramError::Downgraded | ScramError::OtherChannel => {
            "somebody may stand between the client and weir: check the certificate that the client sees"
        }
        _ => "check the client's driver",
    };
    refused(sqlstate, &error.to_string(), hint)
}

/// A nonce that nobody can guess.
pub(super) fn nonce() -> Result<String, End> {
    let mut bytes = [0; NONCE_BYTES];
    rand::fill(&mut bytes).map_err(|_| refused("58000", "the system has no random bytes", "ask weir's operator"))?;
    Ok(STANDARD.encode(bytes))
}
