//! One client connection, from its acceptance to its end: one task that owns both legs.
//!
//! What happens in what order: start-up (TLS, one identity, authentication relayed), then the relay until either
//! side ends. INVARIANT: identity is written once, before the relay begins.

pub mod execution;
pub mod gate;
pub mod leg;
pub mod mind;
pub mod names;
mod relay;
pub mod spelling;
mod startup;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use weir_audit_store::event::{
    Authentication, AuthenticationOutcome, Body, Denial, Outcome as Ended, Session, SessionEnd, SessionStart,
};
use weir_audit_store::{Event, Urgency};
use weir_policy::relation::Engine as Family;
use weir_wire::{Engine, Refusal, WireError, WireSide};
use zeroize::Zeroizing;

use crate::analyses::Analyses;
use crate::approvals::Approvals;
use crate::audit::Recorder;
use crate::budgets::Budgets;
use crate::cancel::{CancelKeys, CancelTarget};
use crate::catalog::Catalogs;
use crate::config::Durability;
use crate::copies::Copies;
use crate::end::Phase;
use crate::holds::Holds;
use crate::identity::backoff::Backoff;
use crate::identity::{Date, Standing};
use crate::policies::Policies;
use crate::route::Route;
use crate::telemetry;

use execution::{Execution, Handle};
use gate::Gate;
use leg::{Leg, Stream};
use mind::{Mind, Opening};
use relay::{Next, Relay};
use startup::{Open, Opened, Protocol};

/// How often a session that waits for a record looks whether the log still takes any: a hanging disk tells nobody.
const STORE_LOOK: Duration = Duration::from_millis(200);

/// An engine that carries a session.
pub trait SessionEngine: Engine<Statement = Handle, Run = Execution> {}

impl<E: Engine<Statement = Handle, Run = Execution>> SessionEngine for E {}

/// Why a session ended.
#[derive(Debug)]
pub enum End {
    /// The client said goodbye.
    Terminated,
    /// The client wants to be somebody else: the session begins anew on the same connections.
    UserChange,
    /// The client's socket closed.
    ClientGone,
    /// The upstream's socket closed.
    UpstreamGone,
    /// The upstream stopped in the middle of a message.
    UpstreamStalled,
    /// A peer broke the protocol.
    Broken(WireError),
    /// An operator has ended it.
    Killed(Refusal),
    /// Refused before it was open.
    Refused(Refusal),
    /// Refused before it was open, though the account was known.
    NotAdmitted {
        /// What the client is told.
        refusal: Box<Refusal>,
        /// The account that was tried.
        account: String,
        /// The database that was tried.
        database: String,
    },
    /// The account was not let in.
    LoginFailed {
        /// The account that was tried.
        account: String,
        /// The database that was tried.
        database: String,
        /// The reason that the client was or will be told.
        sqlstate: String,
        /// How it tried, as records say it.
        method: &'static str,
        /// What the client is still to be told; the server has told it where there is nothing.
        refusal: Option<Box<Refusal>>,
    },
}

/// What every session of a process shares.
pub struct Shared {
    /// Who is held out, and who is here.
    pub holds: Arc<Holds>,
    /// Requests for a larger budget.
    pub approvals: Approvals,
    /// Which relations hold copies of sensitive values.
    pub copies: Copies,
    /// Keys that were given to clients for cancelling.
    pub cancels: CancelKeys,
    /// Whether the process is stopping.
    pub phase: watch::Receiver<Phase>,
    /// Policy and directory.
    pub policies: Policies,
    /// What statements mean.
    pub analyses: Analyses,
    /// Everybody's ledgers.
    pub budgets: Budgets,
    /// The audit log.
    pub recorder: Arc<Recorder>,
    /// What the databases hold.
    pub catalogs: Arc<Catalogs>,
    /// Which statements wait until their record is durable.
    pub durability: Durability,
    /// Numbers sessions.
    pub sessions: AtomicU64,
    /// Wrong passwords.
    pub backoff: Backoff,
    /// What the verifiers of accounts that do not exist are made up from; the same after a restart.
    pub mock_secret: Zeroizing<Vec<u8>>,
}

impl Shared {
    /// Lets an act of an operator take effect, as its record says.
    pub fn apply(&self, event: &Event) {
        self.budgets.apply(event);
        self.approvals.apply(event);
        self.holds.apply(event);
    }

    /// An identifier for a session, unique in the log.
    fn session_id(&self) -> String {
        format!("{}-{}", self.recorder.boot(), self.sessions.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Serves one accepted connection to its end.
pub async fn serve(shared: Arc<Shared>, route: Arc<Route>, socket: TcpStream, peer: SocketAddr) -> End {
    let end = match route.upstream.engine {
        Family::Postgres => Box::pin(speak(startup::Postgres, &shared, &route, socket, peer)).await,
        Family::Mysql => Box::pin(speak(startup::Mysql::default(), &shared, &route, socket, peer)).await,
    };
    telemetry::session_ended(end_word(&end));
    tracing::debug!(%peer, listener = %route.name, ?end, "session ended");
    end
}

async fn speak<P: Protocol>(
    mut protocol: P,
    shared: &Arc<Shared>,
    route: &Route,
    socket: TcpStream,
    peer: SocketAddr,
) -> End {
    let mut client = Leg::new(Stream::Plain(socket));
    // Boxed: what a start-up needs must not be part of each idle session.
    let opening = Box::pin(protocol.open(shared, route, peer, &mut client));
    let opened = tokio::time::timeout(route.startup_timeout, opening).await;
    let end = match opened {
        Ok(Ok(Opened::Session(open))) => return run(&mut protocol, shared, route, client, open, peer).await,
        Ok(Ok(Opened::Done)) => return End::Terminated,
        Ok(Err(end)) => end,
        Err(_) => End::Refused(too_slow()),
    };
    not_opened(shared, route, peer, &end);
    let farewell = |refusal: &Refusal, bytes: &mut Vec<u8>| protocol.put_refusal(refusal, bytes);
    Box::pin(tell(&mut client, &end, farewell)).await;
    end
}

fn too_slow() -> Refusal {
    Refusal::new("08006", "the start-up took too long", "finish TLS and authentication within limits.startup_secs")
}

async fn run<P: Protocol>(
    protocol: &mut P,
    shared: &Arc<Shared>,
    route: &Route,
    client: Leg,
    open: Box<Open<P::Engine>>,
    peer: SocketAddr,
) -> End {
    let (mut client, mut open) = (client, open);
    let mut changed_from = None;
    loop {
        let mind = match Box::pin(identify(shared, route, &client, &open, (peer, changed_from.take()))).await {
            Ok(mind) => mind,
            Err(refusal) => {
                let end = End::Refused(refusal);
                let farewell = |refusal: &Refusal, bytes: &mut Vec<u8>| protocol.put_refusal(refusal, bytes);
                tell(&mut client, &end, farewell).await;
                return end;
            }
        };
        let present = shared.holds.enter(&mind.who.person);
        let account = open.login.account.to_string();
        let Open { upstream, engine, key, cancel, welcome, holder, .. } = *open;
        client.queue(&welcome);
        let started = Instant::now();
        let mut gate = Gate::new(mind, route, shared.durability);
        if holder.is_some() {
            gate.hold_role();
        }
        let mut relay = Relay::new(client, upstream, engine, gate, route.session_bytes_max);
        let registered = key.map(|key| shared.cancels.register(key, cancel.clone()));
        let end = carry(shared, &mut relay, &cancel, route.upstream_stall).await;
        drop((registered, present));
        if matches!(end, End::UserChange) {
            end_records(&mut relay, &end, started);
            client = relay.client;
            let change = Box::pin(protocol.change_user(shared, route, peer, &mut client, relay.upstream));
            let end = match tokio::time::timeout(route.startup_timeout, change).await {
                Ok(Ok(changed)) => {
                    open = changed;
                    changed_from = Some(account);
                    continue;
                }
                Ok(Err(end)) => end,
                Err(_) => End::Refused(too_slow()),
            };
            not_opened(shared, route, peer, &end);
            let farewell = |refusal: &Refusal, bytes: &mut Vec<u8>| protocol.put_refusal(refusal, bytes);
            Box::pin(tell(&mut client, &end, farewell)).await;
            return end;
        }
        if matches!(end, End::Broken(_) | End::Refused(_) | End::Killed(_) | End::UpstreamStalled)
            || (matches!(end, End::UpstreamGone) && !relay.engine.is_farewell())
        {
            let engine = &relay.engine;
            let farewell = |refusal: &Refusal, bytes: &mut Vec<u8>| engine.put_farewell(refusal, bytes);
            tell(&mut relay.client, &end, farewell).await;
        }
        let quiet = end_records(&mut relay, &end, started);
        Box::pin(leave_upstream(relay, &end, &cancel, quiet)).await;
        return end;
    }
}

/// Records how a session and what still ran in it ended; whether nothing ran.
fn end_records<E: SessionEngine>(relay: &mut Relay<E>, end: &End, started: Instant) -> bool {
    let unfinished = relay.engine.abandon();
    let quiet = unfinished.is_empty() && relay.engine.is_quiet();
    let ended =
        if matches!(end, End::UpstreamGone | End::UpstreamStalled) { Ended::UpstreamGone } else { Ended::ClientGone };
    relay.gate.abandon(unfinished, ended);
    let (statements, rows, bytes) = relay.gate.totals();
    relay.gate.session_ended(SessionEnd {
        reason: match end {
            End::Broken(error) => format!("{}: {error}", end_word(end)),
            end => end_word(end).to_owned(),
        },
        statements,
        rows,
        bytes,
        duration_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
    });
    quiet
}

/// Who opened this session, and what it starts from. The records of that are made here.
async fn identify<E>(
    shared: &Arc<Shared>,
    route: &Route,
    client: &Leg,
    open: &Open<E>,
    (peer, changed_from): (SocketAddr, Option<String>),
) -> Result<Mind, Refusal> {
    let upstream = &route.upstream.name;
    let in_force = shared.policies.current();
    let who = in_force.directory.resolve(upstream, &open.login, Some(peer.ip()), &open.application);
    let standing = in_force.directory.standing(upstream, &open.login, Date::of(SystemTime::now()));
    let feed = shared.catalogs.feed(upstream, &open.database).await;
    if feed.is_behind() {
        // The path that this session starts with may have changed.
        let changes = feed.changes();
        feed.renew().await;
        feed.took_in(changes);
    }
    let opening = Opening {
        engine: route.upstream.engine,
        peer,
        listener: &route.name,
        upstream,
        database: &open.database,
        login: &open.login,
        holder: open.holder.as_deref(),
        parameters: &open.parameters,
        settings: &open.settings,
        tls: client.tls_version(),
    };
    let mind = Mind::new(Arc::clone(shared), who, feed, shared.session_id(), &opening);
    mind.note(Body::SessionStart(SessionStart { changed_from }));
    mind.note(Body::Authentication(Authentication {
        outcome: AuthenticationOutcome::Success,
        method: open.login.method.to_owned(),
        sqlstate: None,
    }));
    if let Some(refusal) = shared.holds.refusal(&mind.who, shared.budgets.clock()) {
        mind.held_out(&refusal);
        return Err(refusal);
    }
    let word = match standing {
        Standing::Current => return Ok(mind),
        Standing::Future(day) => format!("begins on {day}"),
        Standing::Ended(day) => format!("ended on {day}"),
    };
    let refusal = Refusal::new(
        "28000",
        format!("this account does not log in now: the work of its owner {word}"),
        "ask whoever keeps the directory of people",
    );
    mind.refused_login(&refusal);
    Err(refusal)
}

/// Carries bytes until either side ends.
async fn carry<E: SessionEngine>(shared: &Shared, relay: &mut Relay<E>, target: &CancelTarget, stall: Duration) -> End {
    let mut cancelled: Option<oneshot::Receiver<()>> = None;
    let mut renewal: Option<Pin<Box<dyn Future<Output = ()>>>> = None;
    let mut phases = shared.phase.clone();
    let mut holds = shared.holds.watch();
    // One that was set since this session was let in has been seen by nobody.
    holds.mark_changed();
    let mut records = shared.recorder.watch();
    loop {
        let phase = *phases.borrow_and_update();
        if phase == Phase::Stopped || (phase == Phase::Draining && relay.is_between_transactions()) {
            return End::Refused(Refusal::new("57P01", "weir is stopping", "connect again in a moment"));
        }
        if holds.has_changed().unwrap_or(false) {
            holds.mark_unchanged();
            if let Some(refusal) = shared.holds.refusal(&relay.gate.mind().who, shared.budgets.clock()) {
                return End::Killed(refusal);
            }
        }
        records.mark_unchanged();
        let waits = relay.waits();
        let stalled_at = tokio::time::Instant::from_std(relay.heard()) + stall;
        let next = tokio::select! {
            biased;
            // The sender lives as long as the process serves.
            _ = phases.changed() => continue,
            _ = holds.changed() => {
                // Looked at above.
                holds.mark_changed();
                continue;
            }
            _ = async { if let Some(done) = &mut cancelled { let _ = done.await; } }, if cancelled.is_some() => {
                cancelled = None;
                relay.cancelling = false;
                continue;
            }
            () = async { if let Some(done) = &mut renewal { done.await; } }, if renewal.is_some() => {
                renewal = None;
                relay.gate.mind().renewed();
                continue;
            }
            next = poll_fn(|cx| relay.poll(cx, phase != Phase::Running, waits)) => next,
            _ = records.changed(), if waits.record => continue,
            () = tokio::time::sleep_until(stalled_at), if waits.rest => {
                // Something may have come since the time was set.
                if relay.is_silent_for(stall) { return End::UpstreamStalled }
                continue;
            }
            () = tokio::time::sleep(STORE_LOOK), if waits.record => {
                relay.gate.store_failed(shared.recorder.failing().is_some());
                continue;
            }
        };
        match next {
            Next::End(end) => return end,
            Next::Cancel => cancelled = Some(spawn_cancel(target.clone())),
            Next::Renew => renewal = Some(Box::pin(relay.gate.mind().renewal())),
            Next::Idle | Next::Wait => {}
        }
    }
}

fn end_word(end: &End) -> &'static str {
    match end {
        End::Terminated => "terminated",
        End::UserChange => "user-change",
        End::ClientGone => "client-gone",
        End::UpstreamGone => "upstream-gone",
        End::UpstreamStalled => "upstream-stalled",
        End::Broken(_) => "protocol-broken",
        End::Killed(_) => "killed",
        End::Refused(_) | End::NotAdmitted { .. } => "refused",
        End::LoginFailed { .. } => "login-failed",
    }
}

/// Records why a connection did not become a session; nothing for one that just went away.
fn not_opened(shared: &Shared, route: &Route, peer: SocketAddr, end: &End) {
    let mut session = Session {
        id: shared.session_id(),
        client: peer.to_string(),
        listener: route.name.clone(),
        upstream: route.upstream.name.clone(),
        ..Session::default()
    };
    let denial = |code: &str, message: String, sqlstate: &str| {
        Body::Denial(Denial { code: code.to_owned(), message, sqlstate: sqlstate.to_owned() })
    };
    let body = match end {
        End::Refused(refusal) => denial("startup", refusal.message.clone(), refusal.sqlstate),
        End::NotAdmitted { refusal, account, database } => {
            session.account.clone_from(account);
            session.database.clone_from(database);
            denial("startup", refusal.message.clone(), refusal.sqlstate)
        }
        End::Broken(error) => denial("protocol", error.to_string(), "08P01"),
        End::LoginFailed { account, database, sqlstate, method, .. } => {
            session.account.clone_from(account);
            session.database.clone_from(database);
            Body::Authentication(Authentication {
                outcome: AuthenticationOutcome::Failure,
                method: (*method).to_owned(),
                sqlstate: Some(sqlstate.clone()),
            })
        }
        End::Terminated
        | End::UserChange
        | End::ClientGone
        | End::UpstreamGone
        | End::UpstreamStalled
        | End::Killed(_) => return,
    };
    let mut event = shared.recorder.event(body);
    event.session = Some(session);
    shared.recorder.note(&event, Urgency::Relaxed);
}

/// Ends the upstream's side: what runs there for nobody is cancelled, since the server by itself would go on computing
/// (`client_connection_check_interval` is off by default).
async fn leave_upstream<E: SessionEngine>(mut relay: Relay<E>, end: &End, target: &CancelTarget, quiet: bool) {
    /// A client that said goodbye behind a statement meant it to run; so long it may.
    const FAREWELL_GRACE: Duration = Duration::from_secs(1);
    /// Bytes that the server does not take are not waited for.
    const SEND_TIMEOUT: Duration = Duration::from_secs(2);
    if matches!(end, End::UpstreamGone) {
        return;
    }
    if tokio::time::timeout(SEND_TIMEOUT, relay.upstream.drain()).await.is_err() || quiet {
        return;
    }
    let finished = match end {
        End::Terminated => tokio::time::timeout(FAREWELL_GRACE, relay.upstream.discard()).await.is_ok(),
        _ => false,
    };
    if !finished {
        target.cancel().await;
    }
}

/// Cancels beside the relay: a server that is blocked in sending must be read from before it sees the request.
fn spawn_cancel(target: CancelTarget) -> oneshot::Receiver<()> {
    let (done, receiver) = oneshot::channel();
    tokio::task::spawn_local(async move {
        target.cancel().await;
        let _ = done.send(());
    });
    receiver
}

/// Says in the protocol's own form why the connection ends.
async fn tell(client: &mut Leg, end: &End, put_farewell: impl FnOnce(&Refusal, &mut Vec<u8>)) {
    let refusal = match end {
        End::Refused(refusal) | End::Killed(refusal) => refusal.clone(),
        End::NotAdmitted { refusal, .. } | End::LoginFailed { refusal: Some(refusal), .. } => (**refusal).clone(),
        End::UpstreamGone => Refusal::new(
            "08006",
            "the database server closed the connection",
            "connect again; ask its operator if it lasts",
        ),
        End::UpstreamStalled => Refusal::new(
            "08006",
            "the database server stopped in the middle of an answer",
            "connect again; ask its operator if it lasts",
        ),
        End::Broken(error) => {
            let hint = match error.side() {
                WireSide::Client => "check the client's driver; weir ends a session that breaks the protocol",
                WireSide::Upstream => "the database server broke the protocol; ask its operator",
            };
            Refusal::new("08P01", error.to_string(), hint)
        }
        End::Terminated | End::UserChange | End::ClientGone | End::LoginFailed { refusal: None, .. } => return,
    };
    let mut bytes = Vec::new();
    put_farewell(&refusal, &mut bytes);
    client.queue(&bytes);
    /// A client that does not read is not waited for.
    const TELL_SECS: u64 = 2;
    let _ = tokio::time::timeout(Duration::from_secs(TELL_SECS), client.drain()).await;
}
