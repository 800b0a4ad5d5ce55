//! Behind the door: Weir logs in at the server, for a client that it has let in itself.
//!
//! What must never happen here: a password in a form that whoever answers can use, over a leg that is not verified; a
//! computation without bound for a server; and the name of a mapped account in what a client is told.

use std::sync::Arc;

use weir_policy::identity::Who;
use weir_wire::pg::auth::{self, AuthStep, ClearText};
use weir_wire::pg::login::{self, Asked};
use weir_wire::pg::scram::{self, Challenge, Client, MECHANISM};
use weir_wire::pg::startup::Startup;
use weir_wire::pg::{Limits, PgEngine};
use weir_wire::{Refusal, WireError};

use super::door::{Admitted, Proved, failed, nonce};
use super::{LOGIN_BYTES_MAX, connect, refused, step_len};
use crate::cancel::CancelTarget;
use crate::config::{MappedAccount, PasswordSource};
use crate::identity::{Directory, Login};
use crate::route::Route;
use crate::session::execution::{Execution, Handle};
use crate::session::leg::Leg;
use crate::session::startup::{Open, Opened, unreachable};
use crate::session::{End, Shared};

/// Longest `application_name` that the server keeps (NAMEDATALEN - 1).
const APPLICATION_BYTES_MAX: usize = 63;

/// What is told of a server that does not ask for SCRAM.
const OTHER_PROOF: &str = "it wants another proof than SCRAM-SHA-256 (pg_hba.conf)";

/// What Weir proves to the server.
enum Secret {
    /// What the client has proved at the door.
    Proved(Proved),
    /// The password of a mapped account.
    Mapped(PasswordSource),
}

/// Opens the session on the server, and tells the client that it is in.
pub(super) async fn open(
    shared: &Shared,
    route: &Route,
    peer: std::net::SocketAddr,
    client: &mut Leg,
    startup: Startup,
    admitted: Admitted,
) -> Result<Opened<PgEngine<Handle, Execution>>, End> {
    let Admitted { mut login, proved } = admitted;
    let application = startup.parameter("application_name").unwrap_or_default().to_owned();
    let in_force = shared.policies.current();
    let who = in_force.directory.resolve(&route.upstream.name, &login, Some(peer.ip()), &application);
    is_theirs(&in_force.directory, route, &startup, &login, &who)?;
    let is_for = |account: &&MappedAccount| {
        account.stands_for.iter().any(|selector| selector.matches(&who.account, &who.person, &who.groups))
    };
    let mut theirs = startup.clone();
    let mut holder = None;
    let secret = match (route.upstream.accounts.iter().find(is_for), proved) {
        (Some(mapped), _) => {
            theirs.user.clone_from(&mapped.user);
            let name = application_name(&who.person, &application);
            theirs.parameters.retain(|(name, _)| !name.eq_ignore_ascii_case("application_name"));
            theirs.parameters.push(("application_name".to_owned(), name));
            login.upstream_account = mapped.user.as_str().into();
            if let Some(role) = &mapped.set_role {
                // As a setting of the start-up, so that RESET ROLE comes back to it.
                let role = role.of(&who.account, &who.person);
                login.upstream_account = role.as_str().into();
                theirs.parameters.push(("role".to_owned(), role));
                holder = Some(mapped.user.as_str().into());
            }
            Secret::Mapped(mapped.secret.clone())
        }
        (None, Some(proved)) => Secret::Proved(proved),
        (None, None) => {
            let refusal = Refusal::new(
                "28000",
                format!("there is no database account for user \"{}\"", startup.user),
                format!("the operator adds an [[upstream.account]] of `{}` that is for them", route.upstream.name),
            );
            return Err(failed(&startup, login.method, refusal));
        }
    };
    let mut upstream = connect(route).await.map_err(|error| unreachable(route, &error))?;
    upstream.queue(&theirs.rebuild());
    let mut server = Server { route, upstream: &mut upstream, startup: &startup, user: &theirs.user };
    server.log_in(client, secret, &login).await?;
    finish(shared, route, client, upstream, startup, Beginning { application, login, holder }).await
}

/// Fails where a certificate or a token was given for an account that is not its holder's.
fn is_theirs(directory: &Directory, route: &Route, startup: &Startup, login: &Login, who: &Who) -> Result<(), End> {
    if login.names.is_empty() {
        return Ok(());
    }
    // Whom the account alone would stand for.
    let owner = directory.resolve(&route.upstream.name, &Login::relayed(&login.account), None, "");
    if owner.person == who.person && who.also.is_empty() {
        return Ok(());
    }
    let refusal = Refusal::new(
        "28000",
        format!("the {} is not for user \"{}\"", login.method, startup.user),
        "log in as an account of your own; the directory says which are",
    );
    Err(failed(startup, login.method, refusal))
}

/// How a session of a mapped account is called on the server: the person first, since what is too long is cut.
fn application_name(person: &str, application: &str) -> String {
    let text = if application.is_empty() { person.to_owned() } else { format!("{person}: {application}") };
    // The server would put a question mark in place of each byte that is not printable ASCII.
    let clean = |character: char| if (' '..='~').contains(&character) { character } else { '?' };
    text.chars().map(clean).take(APPLICATION_BYTES_MAX).collect()
}

/// The server while Weir logs in there.
struct Server<'a> {
    route: &'a Route,
    upstream: &'a mut Leg,
    /// What the client asked for.
    startup: &'a Startup,
    /// As whom Weir logs in.
    user: &'a str,
}

impl Server<'_> {
    /// Up to AuthenticationOk.
    async fn log_in(&mut self, client: &mut Leg, secret: Secret, login: &Login) -> Result<(), End> {
        let is_verified = self.route.upstream.tls.is_some();
        let mut exchange: Option<Client> = None;
        let mut confirmed = true;
        loop {
            let (step, frame) = next(self.upstream).await?;
            match &step {
                AuthStep::Failed { sqlstate, .. } => {
                    return Err(self.turned_away(client, login, sqlstate, &frame).await);
                }
                AuthStep::MethodRefused(_) => return Err(self.trouble(login, OTHER_PROOF)),
                _ => {}
            }
            if frame.first() != Some(&b'R') {
                match step {
                    AuthStep::Pass(_) => client.queue(&frame),
                    _ => return Err(self.trouble(login, "it goes on before any login")),
                }
                continue;
            }
            let mut bytes = Vec::new();
            match login::read_asked(&frame).map_err(End::Broken)? {
                Asked::Ok if confirmed => return Ok(()),
                Asked::Ok => return Err(self.trouble(login, "it did not prove that it knows the password")),
                Asked::Sasl(mechanisms) => {
                    if !mechanisms.iter().any(|name| name == MECHANISM) {
                        return Err(self.trouble(login, "it does not offer SCRAM-SHA-256"));
                    }
                    let begun = Client::new(&nonce()?);
                    login::put_initial(&mut bytes, MECHANISM, &begun.first());
                    exchange = Some(begun);
                    confirmed = false;
                }
                Asked::Continue(data) => {
                    let Some(exchange) = &mut exchange else {
                        return Err(self.trouble(login, "it sent a challenge that nobody asked for"));
                    };
                    let challenge =
                        exchange.challenge(&data).map_err(|error| self.trouble(login, &error.to_string()))?;
                    let keys = self.keys(&secret, challenge, login).await?;
                    login::put_response(&mut bytes, &exchange.answer(&keys));
                }
                Asked::Final(data) => {
                    let exchange = exchange.as_mut().ok_or_else(|| self.trouble(login, "it ended what never began"))?;
                    exchange.confirm(&data).map_err(|error| self.trouble(login, &error.to_string()))?;
                    confirmed = true;
                }
                Asked::ClearText if is_verified => match self.password(&secret, login)? {
                    Some(password) => login::put_password(&mut bytes, password.as_bytes()),
                    None => return Err(self.trouble(login, "it wants a password, and weir has only a verifier")),
                },
                Asked::ClearText | Asked::Md5 | Asked::Other(_) => {
                    return Err(self.trouble(login, OTHER_PROOF));
                }
            }
            self.upstream.queue(&bytes);
        }
    }

    /// The keys for a challenge.
    async fn keys(&self, secret: &Secret, challenge: Challenge, login: &Login) -> Result<scram::Keys, End> {
        match secret {
            Secret::Proved(proved) if challenge.fits(&proved.verifier) => Ok(proved.keys.clone()),
            Secret::Proved(_) => Err(self.trouble(
                login,
                "it has another password for the account than weir's verifiers: import them again (weir verifiers import)",
            )),
            Secret::Mapped(_) => {
                let Some(password) = self.password(secret, login)? else {
                    return Err(self.trouble(login, "it wants a password, and the account has no secret"));
                };
                // Off the threads that serve sessions: up to tens of milliseconds of a core.
                let derive = move || scram::Keys::derive(password.as_bytes(), &challenge.salt, challenge.iterations);
                tokio::task::spawn_blocking(derive).await.map_err(|_| self.trouble(login, "keys could not be derived"))
            }
        }
    }

    fn password(&self, secret: &Secret, login: &Login) -> Result<Option<zeroize::Zeroizing<String>>, End> {
        match secret {
            Secret::Mapped(source) => source.read().map_err(|reason| self.trouble(login, &reason)),
            Secret::Proved(_) => Ok(None),
        }
    }

    /// The server did not let Weir in. What it says of the account is Weir's operator's business; the rest is the client's.
    async fn turned_away(&self, client: &mut Leg, login: &Login, sqlstate: &str, frame: &[u8]) -> End {
        if sqlstate.starts_with("28") {
            return self.trouble(login, &format!("it does not let the account in (SQLSTATE {sqlstate})"));
        }
        client.queue(frame);
        let _ = client.drain().await;
        End::LoginFailed {
            account: self.startup.user.clone(),
            database: self.startup.database.clone(),
            sqlstate: sqlstate.to_owned(),
            method: login.method,
            refusal: None,
        }
    }

    fn trouble(&self, login: &Login, reason: &str) -> End {
        tracing::error!(
            upstream = %self.route.upstream.name, account = %self.startup.user, as_account = %self.user, %reason,
            "weir cannot log in at the server"
        );
        let refusal = Refusal::new(
            "28000",
            format!("weir cannot log in at the database server (`{}`) for you", self.route.upstream.name),
            "your own login was right; the operator finds the reason in weir's log",
        );
        failed(self.startup, login.method, refusal)
    }
}

/// The server's next message.
async fn next(upstream: &mut Leg) -> Result<(AuthStep, Vec<u8>), End> {
    upstream.drain().await.map_err(|_| End::UpstreamGone)?;
    let step = upstream.read_until(LOGIN_BYTES_MAX, |bytes| match auth::upstream_step(bytes, ClearText::Allowed) {
        Ok(AuthStep::More) => None,
        Ok(step) => {
            let len = step_len(&step);
            Some((len, Ok((step, bytes.get(..len).unwrap_or(&[]).to_vec()))))
        }
        Err(error) => Some((0, Err(error))),
    });
    step.await.map_err(|_| End::UpstreamGone)?.map_err(End::Broken)
}

/// What a session begins with.
struct Beginning {
    application: String,
    login: Login,
    holder: Option<Arc<str>>,
}

/// From the server's AuthenticationOk to its first ReadyForQuery.
async fn finish(
    shared: &Shared,
    route: &Route,
    client: &mut Leg,
    mut upstream: Leg,
    startup: Startup,
    beginning: Beginning,
) -> Result<Opened<PgEngine<Handle, Execution>>, End> {
    let Beginning { application, login, holder } = beginning;
    let key = shared.cancels.new_key(if startup.minor >= 2 { 32 } else { 4 });
    let mut settings = Vec::new();
    let mut server_key = None;
    let mut bytes = Vec::new();
    login::put_ask(&mut bytes, login::Ask::Ok);
    loop {
        if bytes.len() > LOGIN_BYTES_MAX {
            return Err(End::Broken(WireError::TooMany { what: "bytes of a server's welcome", max: LOGIN_BYTES_MAX }));
        }
        let (step, frame) = next(&mut upstream).await?;
        match step {
            AuthStep::Pass(_) if frame.first() != Some(&b'R') => bytes.extend_from_slice(&frame),
            AuthStep::Setting { name, value, .. } => {
                bytes.extend_from_slice(&frame);
                settings.push((name, value));
            }
            AuthStep::Key { pid, key: secret, .. } => {
                server_key = Some((pid, secret));
                auth::put_key(&mut bytes, key.pid, &key.secret);
            }
            AuthStep::Failed { sqlstate, .. } => {
                client.queue(&frame);
                let _ = client.drain().await;
                let (account, database) = (startup.user, startup.database);
                return Err(End::LoginFailed { account, database, sqlstate, method: login.method, refusal: None });
            }
            AuthStep::Ready(_) => {
                bytes.extend_from_slice(&frame);
                let limits = Limits { frame_bytes_max: route.frame_bytes_max, pipeline_max: route.pipeline_max };
                return Ok(Opened::Session(Box::new(Open {
                    upstream,
                    engine: PgEngine::new(limits),
                    login,
                    database: startup.database,
                    application,
                    parameters: startup.parameters,
                    settings,
                    welcome: bytes,
                    key: Some(key),
                    holder,
                    cancel: CancelTarget::by_key(Arc::clone(&route.upstream), server_key),
                })));
            }
            _ => return Err(refused("08P01", "the server broke the protocol of a login", "ask its operator")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_person_stands_first_in_the_application_s_name() {
        assert_eq!(application_name("alice", ""), "alice");
        assert_eq!(application_name("alice", "psql"), "alice: psql");
        assert_eq!(application_name("zo\u{eb}", "a\nb"), "zo?: a?b");
        let long = application_name("alice", &"x".repeat(100));
        assert!(long.starts_with("alice: xxx") && long.len() == APPLICATION_BYTES_MAX);
    }
}
