//! The door: a client proves to Weir who it is before the server hears of it, and Weir logs in for it.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>
//!
//! What happens in what order: Weir greets with what it knows of the server and a nonce of its own; TLS; the client's
//! login; the exchange at the door; the server's leg, and Weir's login there; the client is asked for its password only
//! where the server turns out to need it. The OK is held back until the session is identified.
//!
//! INVARIANT: who is not let in has cost the server nothing, and has learned nothing but that.

use std::io;
use std::mem;
use std::net::SocketAddr;

use aws_lc_rs::rand;
use weir_wire::Refusal;
use weir_wire::mysql::auth::Legs;
use weir_wire::mysql::capability::Capabilities;
use weir_wire::mysql::change_user::ChangeUser;
use weir_wire::mysql::door::{Denial, Door, DoorStep, Knock, Plugin};
use weir_wire::mysql::error::{OK, OkPacket};
use weir_wire::mysql::greeting::NONCE_LEN;
use weir_wire::mysql::handshake::{Greeting, HandshakeResponse, LOGIN_BYTES_MAX, Secret};
use weir_wire::mysql::packet::put_packet;

use super::entry::{Entry, Judge};
use super::upstream::{Fresh, Numbered, OF_THE_LOGIN, fresh, no_login, send_login, troubled};
use super::{
    Known, Login, Mysql, OpenMysql, Reported, application, command_of, opened, process_key, protection, settings_of,
    terms, unreachable,
};
use crate::cancel::WeirKey;
use crate::identity;
use crate::mysql::login::{Conversation, Packets, Progress, Trouble, Trust};
use crate::mysql::verifier::{Judgement, Proven};
use crate::route::Route;
use crate::session::leg::Leg;
use crate::session::{End, Shared};

/// The whole of COM_RESET_CONNECTION.
const RESET_CONNECTION: &[u8] = &[0x1F];
/// COM_CHANGE_USER begins an exchange with the client's packet of this number.
const COMMAND_SEQ: u8 = 0;

/// Who is at the door.
pub(super) struct AtDoor<'a> {
    pub(super) shared: &'a Shared,
    pub(super) route: &'a Route,
    pub(super) peer: SocketAddr,
    pub(super) login: &'a Login,
}

impl AtDoor<'_> {
    /// The end of somebody who is told why.
    pub(super) fn refused(&self, refusal: Refusal) -> End {
        let (account, database) = (self.login.account.clone(), self.login.database.clone());
        End::NotAdmitted { refusal: Box::new(refusal), account, database }
    }

    /// The end of somebody who was not let in; `refusal` is what they are still to be told.
    pub(super) fn failed(&self, method: &'static str, sqlstate: &str, refusal: Option<Refusal>) -> End {
        End::LoginFailed {
            account: self.login.account.clone(),
            database: self.login.database.clone(),
            sqlstate: sqlstate.to_owned(),
            method,
            refusal: refusal.map(Box::new),
        }
    }
}

impl Mysql {
    /// Serves the start-up of a client that Weir judges itself.
    pub(super) async fn open_at_door(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
    ) -> Result<Box<OpenMysql>, End> {
        let learned = shared.catalogs.greeting(&route.upstream.name).await;
        let learned = learned.map_err(|reason| unreachable(route, &io::Error::other(reason)))?;
        let terms = terms(route);
        let offered = Capabilities::offered(learned.capabilities, &terms).map_err(End::Refused)?.with(OF_THE_LOGIN);
        let plugin = Plugin::CachingSha2.name().as_bytes().to_vec();
        let number = shared.cancels.new_number();
        let greeting = Greeting { thread_id: number.pid, nonce: nonce(NONCE_LEN)?, plugin, ..learned };
        self.number = Some(number);
        let mut bytes = Vec::new();
        self.client_seq = put_packet(&mut bytes, 0, &greeting.rebuild(offered));
        client.queue(&bytes);
        client.drain().await.map_err(|_| End::ClientGone)?;
        let response = self.response(route, client, greeting.flavour()).await?;
        let agreed = Capabilities::agreed(offered, response.capabilities, &terms).map_err(End::Refused)?;
        let legs = Legs { client: protection(client.tls_version().is_some()), upstream: terms.upstream };
        let login = Login {
            account: response.user.clone(),
            database: response.database.clone().unwrap_or_default(),
            application: application(Some(&response.attributes)),
            collation: Some(u16::from(response.collation)),
        };
        let at = AtDoor { shared, route, peer, login: &login };
        let judge = Judge::of(&at)?;
        let knock = Knock {
            wanted: judge.plugin(response.plugin.as_deref()),
            named: response.plugin.as_deref(),
            answer: response.auth_response.bytes(),
            nonce: Some(&greeting.nonce),
            fresh: nonce(judge.plugin(response.plugin.as_deref()).nonce_len())?,
            client: legs.client,
            seq: self.client_seq.wrapping_sub(1),
        };
        let proven = self.show(&at, client, knock, &judge).await?;
        let entry = Entry::of(&at, &judge, proven)?;
        let fresh = fresh(route, client).await?;
        shared.catalogs.greeted(&route.upstream.name, &fresh.greeting);
        let here = Capabilities::offered(fresh.greeting.capabilities, &terms).map_err(End::Refused)?;
        let shared_part = agreed.without(OF_THE_LOGIN).without(Capabilities::SSL).without(Capabilities::LONG_PASSWORD);
        if !here.has(shared_part) || fresh.greeting.flavour() != greeting.flavour() {
            return Err(at.refused(Refusal::new(
                "08006",
                "the database server is another one than a moment ago",
                "connect again",
            )));
        }
        self.known = Some(Known { greeting: fresh.greeting.clone(), agreed, legs });
        self.enter(&at, client, Threshold { fresh, response, agreed }, judge, entry).await
    }

    /// Serves a change of the user, which the client's leg begins with.
    pub(super) async fn change_at_door(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        client: &mut Leg,
        mut leg: Leg,
    ) -> Result<Box<OpenMysql>, End> {
        self.door = None;
        // Behind the command itself, should it be refused.
        self.client_seq = COMMAND_SEQ.wrapping_add(1);
        let Some(known) = &self.known else {
            return Err(End::Refused(Refusal::new("08P01", "there was no login yet", "log in first")));
        };
        let payload = command_of(client).await?;
        if payload.as_slice() == RESET_CONNECTION {
            return self.reset(shared, route, peer, leg).await;
        }
        let change = ChangeUser::read(&payload, known.agreed, known.greeting.flavour()).map_err(End::Refused)?;
        let login = Login {
            account: change.user.clone(),
            database: change.database.clone().unwrap_or_default(),
            application: application(change.attributes.as_ref()),
            collation: change.collation,
        };
        let at = AtDoor { shared, route, peer, login: &login };
        let judge = Judge::of(&at)?;
        let knock = Knock {
            wanted: judge.plugin(change.plugin.as_deref()),
            named: Some(change.plugin.as_deref().unwrap_or_default()),
            answer: change.auth_response.bytes(),
            // As the servers do it: whatever the client answered with, it answers another nonce.
            nonce: None,
            fresh: nonce(judge.plugin(change.plugin.as_deref()).nonce_len())?,
            client: known.legs.client,
            seq: COMMAND_SEQ,
        };
        let proven = self.show(&at, client, knock, &judge).await?;
        let mut entry = Entry::of(&at, &judge, proven)?;
        let plugin = entry.plugin();
        let attributes = entry.owner.attributes(&change.attributes.clone().unwrap_or_default());
        let change = ChangeUser {
            user: entry.account.clone(),
            auth_response: Secret::default(),
            plugin: Some(plugin.name().to_owned()),
            attributes: Some(attributes),
            ..change
        };
        let payload = change.rebuild(&[]).map_err(End::Refused)?;
        let mut packets = Numbered { leg: &mut leg, seq: COMMAND_SEQ };
        packets.send(&payload).await?;
        let mut talk = Conversation::again(plugin, trust(route));
        let ok = self.log_in(&at, client, &mut packets, &mut talk, &judge, &mut entry).await?;
        self.welcome(&at, leg, &ok, entry).await
    }

    /// Serves a COM_RESET_CONNECTION: the same account begins a session anew.
    async fn reset(
        &mut self,
        shared: &Shared,
        route: &Route,
        peer: SocketAddr,
        mut leg: Leg,
    ) -> Result<Box<OpenMysql>, End> {
        let (Some(known), Some(entered)) = (&self.known, &self.entered) else { return Err(End::ClientGone) };
        let at = AtDoor { shared, route, peer, login: &entered.login };
        let mut packets = Numbered { leg: &mut leg, seq: COMMAND_SEQ };
        packets.send(RESET_CONNECTION).await?;
        let answer = packets.receive().await?;
        let Some(ok) = OkPacket::read(&answer, known.agreed).filter(|_| answer.first() == Some(&OK)) else {
            return Err(at.refused(Refusal::new(
                "08006",
                "the database server did not reset the session",
                "connect again",
            )));
        };
        let mut welcome = Vec::new();
        put_packet(&mut welcome, COMMAND_SEQ.wrapping_add(1), &answer);
        let reported = Reported { settings: settings_of(&ok), welcome };
        take_on(&mut leg, entered.set_role.as_deref(), known.agreed).await?;
        // A reset leaves the session where it was, which may be another database than that of the login.
        let database = Numbered { leg: &mut leg, seq: 0 }.database(known.agreed).await?;
        let again = Entered { login: Login { database, ..entered.login.clone() }, ..entered.clone() };
        let open = again.open(&at, known, leg, reported, self.number.clone());
        self.entered = Some(again);
        Ok(open)
    }

    /// Speaks with the client until it has shown what it is judged by.
    async fn show(
        &mut self,
        at: &AtDoor<'_>,
        client: &mut Leg,
        knock: Knock<'_>,
        judge: &Judge,
    ) -> Result<Proven, End> {
        let mut to_client = Vec::new();
        let (door, step) = Door::begin(knock, &mut to_client).map_err(|refusal| at.refused(refusal))?;
        self.door = Some(door);
        client.queue(&to_client);
        self.hear(at, client, step, judge).await
    }

    /// Asks the client for its password, beyond what it has shown.
    async fn ask_password(&mut self, at: &AtDoor<'_>, client: &mut Leg, judge: &Judge) -> Result<Proven, End> {
        let mut to_client = Vec::new();
        let Some(door) = &mut self.door else { return Err(End::ClientGone) };
        door.ask_password(&mut to_client).map_err(|refusal| at.refused(refusal))?;
        client.queue(&to_client);
        self.hear(at, client, DoorStep::Next(0), judge).await
    }

    async fn hear(
        &mut self,
        at: &AtDoor<'_>,
        client: &mut Leg,
        mut step: DoorStep,
        judge: &Judge,
    ) -> Result<Proven, End> {
        let Some(door) = &mut self.door else { return Err(End::ClientGone) };
        let mut to_client = Vec::new();
        loop {
            client.queue(&mem::take(&mut to_client));
            client.drain().await.map_err(|_| End::ClientGone)?;
            let with_password = !matches!(step, DoorStep::NoPassword(_));
            let judgement = match step {
                DoorStep::More(_) | DoorStep::Next(_) => {
                    let heard = client.read_until(LOGIN_BYTES_MAX, |bytes| match door.client_step(bytes) {
                        Ok(DoorStep::More(_)) => None,
                        Ok(step) => Some((consumed(&step), Ok(step))),
                        Err(error) => Some((0, Err(error))),
                    });
                    step = heard.await.map_err(|_| End::ClientGone)?.map_err(End::Broken)?;
                    continue;
                }
                DoorStep::NeedsKey(_) => {
                    door.give_key(process_key().await?.public_pem().as_bytes(), &mut to_client);
                    step = DoorStep::Next(0);
                    continue;
                }
                DoorStep::Decrypt { ciphertext, .. } => {
                    let plain = process_key().await?.decrypt(&ciphertext).map(Secret::new);
                    step = door.decrypted(plain.as_ref());
                    continue;
                }
                DoorStep::Refused(refusal) => return Err(at.refused(refusal)),
                DoorStep::Answer { answer, .. } => judge.answer(at, &answer, door.nonce())?,
                DoorStep::Password { password, .. } => judge.password(at, password).await?,
                DoorStep::NoPassword(_) => judge.nothing(),
            };
            match judgement {
                Judgement::Right(proven) => return Ok(proven),
                Judgement::Unsure => {
                    door.ask_password(&mut to_client).map_err(|refusal| at.refused(refusal))?;
                    step = DoorStep::Next(0);
                }
                Judgement::Wrong => {
                    let host = at.peer.ip().to_canonical().to_string();
                    door.deny(&Denial { account: &at.login.account, host: &host, with_password }, &mut to_client);
                    client.queue(&to_client);
                    let _ = client.drain().await;
                    return Err(at.failed(judge.method(), "28000", None));
                }
            }
        }
    }

    /// Logs in on a leg on which the server has greeted.
    async fn enter(
        &mut self,
        at: &AtDoor<'_>,
        client: &mut Leg,
        threshold: Threshold,
        judge: Judge,
        mut entry: Entry,
    ) -> Result<Box<OpenMysql>, End> {
        let Threshold { fresh, response, agreed } = threshold;
        let agreed = agreed.with(OF_THE_LOGIN.both(fresh.greeting.capabilities));
        let mut talk = Conversation::begin(&fresh.greeting, trust(at.route));
        let (plugin, auth_response) =
            talk.first(&entry.proven).map_err(|reason| troubled(at.route, &entry.account, Trouble::Refused(reason)))?;
        let response = HandshakeResponse {
            user: entry.account.clone(),
            auth_response,
            plugin: Some(plugin.name().to_owned()),
            attributes: entry.owner.attributes(&response.attributes),
            ..response
        };
        let (mut leg, seq) = send_login(at.route, fresh, &response, agreed).await?;
        let mut packets = Numbered { leg: &mut leg, seq };
        let ok = self.log_in(at, client, &mut packets, &mut talk, &judge, &mut entry).await?;
        self.welcome(at, leg, &ok, entry).await
    }

    /// Speaks with the server until the account is in; returns its OK.
    async fn log_in(
        &mut self,
        at: &AtDoor<'_>,
        client: &mut Leg,
        packets: &mut Numbered<'_>,
        talk: &mut Conversation,
        judge: &Judge,
        entry: &mut Entry,
    ) -> Result<Vec<u8>, End> {
        loop {
            let progress = talk.go(packets, &entry.proven).await;
            match progress.map_err(|trouble| troubled(at.route, &entry.account, trouble))? {
                Progress::In(ok) => return Ok(ok),
                Progress::NeedsPassword if !entry.is_mapped => {
                    entry.proven = self.ask_password(at, client, judge).await?;
                }
                Progress::NeedsPassword => return Err(at.failed(judge.method(), "28000", Some(no_login()))),
                Progress::Denied { errno, sqlstate, message, packet } => {
                    let (upstream, account) = (&at.route.upstream.name, &entry.account);
                    tracing::warn!(%upstream, account, errno, sqlstate, told = message, "the database does not let an account in");
                    if entry.is_mapped {
                        return Err(at.failed(judge.method(), "28000", Some(no_login())));
                    }
                    let mut to_client = Vec::new();
                    if let Some(door) = &mut self.door {
                        door.fail(&packet, &mut to_client);
                    }
                    client.queue(&to_client);
                    let _ = client.drain().await;
                    return Err(at.failed(judge.method(), &sqlstate, None));
                }
            }
        }
    }

    /// The session, once the server has let the account in.
    async fn welcome(&mut self, at: &AtDoor<'_>, mut leg: Leg, ok: &[u8], entry: Entry) -> Result<Box<OpenMysql>, End> {
        let (Some(known), Some(door)) = (&self.known, &self.door) else { return Err(End::ClientGone) };
        let Some(read) = OkPacket::read(ok, known.agreed) else {
            return Err(End::Broken(weir_wire::WireError::Malformed {
                side: weir_wire::WireSide::Upstream,
                kind: 'A',
                what: "OK packet",
            }));
        };
        let reported = Reported { settings: settings_of(&read), welcome: door.welcome(ok) };
        let Entry { login: proved, set_role, .. } = entry;
        take_on(&mut leg, set_role.as_deref(), known.agreed).await?;
        let entered = Entered { login: at.login.clone(), proved, set_role };
        let open = entered.open(at, known, leg, reported, self.number.clone());
        self.entered = Some(entered);
        Ok(open)
    }
}

/// As whom Weir has logged in, should the session begin anew without another login.
#[derive(Clone)]
pub(super) struct Entered {
    login: Login,
    proved: identity::Login,
    set_role: Option<String>,
}

impl Entered {
    fn open(
        &self,
        at: &AtDoor<'_>,
        known: &Known,
        leg: Leg,
        reported: Reported,
        key: Option<WeirKey>,
    ) -> Box<OpenMysql> {
        let open = opened(at.shared, at.route, known, leg, self.login.clone(), self.proved.clone(), reported);
        let holder = self.set_role.as_ref().map(|_| std::sync::Arc::clone(&self.proved.upstream_account));
        Box::new(OpenMysql { key, holder, engine: open.engine.resetting_anew(), ..open })
    }
}

/// Has the session take on its role.
async fn take_on(leg: &mut Leg, role: Option<&str>, agreed: Capabilities) -> Result<(), End> {
    match role {
        Some(role) => Numbered { leg, seq: 0 }.run(&format!("set role {}", quoted(role)), agreed).await,
        None => Ok(()),
    }
}

/// What a login upstream begins with.
struct Threshold {
    fresh: Fresh,
    response: HandshakeResponse,
    /// With the client.
    agreed: Capabilities,
}

/// How far the server's leg is trusted with a password. Without TLS the operator has said that the way is trusted, and
/// was warned where it leaves this machine.
fn trust(route: &Route) -> Trust {
    match route.upstream.tls {
        Some(_) => Trust::Verified,
        None => Trust::Way,
    }
}

/// Bytes of a step that are done with.
fn consumed(step: &DoorStep) -> usize {
    match step {
        DoorStep::Next(len) | DoorStep::NoPassword(len) | DoorStep::NeedsKey(len) => *len,
        DoorStep::Answer { len, .. } | DoorStep::Password { len, .. } | DoorStep::Decrypt { len, .. } => *len,
        DoorStep::More(_) | DoorStep::Refused(_) => 0,
    }
}

/// Random bytes that a client can take for a nonce: a NUL would end it, and MySQL's own have no `$`.
fn nonce(len: usize) -> Result<Vec<u8>, End> {
    let mut nonce = vec![0; len];
    rand::fill(&mut nonce)
        .map_err(|_| End::Refused(Refusal::new("58000", "weir has no random numbers", "ask the operator of weir")))?;
    for byte in &mut nonce {
        *byte &= 0x7F;
        if matches!(*byte, 0 | b'$') {
            *byte += 1;
        }
    }
    Ok(nonce)
}

/// A name as an identifier.
fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_whole_and_never_the_same() {
        let nonces: Vec<Vec<u8>> = (0..200).map(|_| nonce(NONCE_LEN).unwrap()).collect();
        for (index, nonce) in nonces.iter().enumerate() {
            assert_eq!(nonce.len(), NONCE_LEN);
            assert!(nonce.iter().all(|byte| !matches!(byte, 0 | b'$' | 0x80..)), "{nonce:?}");
            assert!(!nonces[..index].contains(nonce));
        }
    }

    #[test]
    fn a_role_cannot_end_its_quotes() {
        assert_eq!(quoted("a`; drop table x; `"), "`a``; drop table x; ```");
    }
}
