//! One client connection, from its acceptance to its end: one task that owns both legs.
//!
//! What happens in what order: start-up (TLS, one identity, authentication relayed), then the relay until either
//! side ends. INVARIANT: identity is written once, before the relay begins.

pub mod gate;
pub mod leg;
mod relay;
pub mod startup;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use weir_wire::pg::error::{Severity, put_error};
use weir_wire::pg::{Limits, PgEngine};
use weir_wire::{Engine, Refusal, WireError, WireSide};

use crate::cancel::{CancelKeys, CancelTarget};
use crate::end::Phase;
use crate::route::Route;
use crate::telemetry;

use gate::{Execution, Gate, Handle};
use leg::{Leg, Stream};
use relay::{Next, Relay};

/// The engine of a PostgreSQL session.
pub type PgSessionEngine = PgEngine<Handle, Execution>;

/// Why a session ended.
#[derive(Debug)]
pub enum End {
    /// The client said goodbye.
    Terminated,
    /// The client's socket closed.
    ClientGone,
    /// The upstream's socket closed.
    UpstreamGone,
    /// A peer broke the protocol.
    Broken(WireError),
    /// Refused before it was open.
    Refused(Refusal),
}

/// What every session of a process shares.
pub struct Shared {
    /// Keys that were given to clients for cancelling.
    pub cancels: CancelKeys,
    /// Whether the process is stopping.
    pub phase: watch::Receiver<Phase>,
}

/// Serves one accepted connection to its end.
pub async fn serve(shared: Arc<Shared>, route: Arc<Route>, socket: TcpStream, peer: SocketAddr) -> End {
    let mut client = Leg::new(Stream::Plain(socket));
    let opened = tokio::time::timeout(route.startup_timeout, startup::open(&shared, &route, &mut client)).await;
    let end = match opened {
        Ok(Ok(startup::Opened::Session(open))) => run(&shared, &route, client, *open).await,
        Ok(Ok(startup::Opened::Done)) => End::Terminated,
        Ok(Err(end)) => {
            tell(&mut client, &end).await;
            end
        }
        Err(_) => {
            let refusal = Refusal::new(
                "08006",
                "the start-up took too long",
                "finish TLS and authentication within limits.startup_secs",
            );
            let end = End::Refused(refusal);
            tell(&mut client, &end).await;
            end
        }
    };
    telemetry::session_ended(match &end {
        End::Terminated => "terminated",
        End::ClientGone => "client-gone",
        End::UpstreamGone => "upstream-gone",
        End::Broken(_) => "protocol-broken",
        End::Refused(_) => "refused",
    });
    tracing::debug!(%peer, listener = %route.name, ?end, "session ended");
    end
}

async fn run(shared: &Arc<Shared>, route: &Route, client: Leg, open: startup::Open) -> End {
    let limits = Limits { frame_bytes_max: route.frame_bytes_max, pipeline_max: route.pipeline_max };
    let target = open.cancel.clone();
    let mut relay = Relay::new(client, open.upstream, PgEngine::new(limits), Gate::new(route.function_calls));
    let _registered = shared.cancels.register(open.key, target.clone());
    let mut cancelled: Option<oneshot::Receiver<()>> = None;
    let mut phases = shared.phase.clone();
    let end = loop {
        let phase = *phases.borrow_and_update();
        if phase == Phase::Stopped || (phase == Phase::Draining && relay.is_between_transactions()) {
            break End::Refused(Refusal::new("57P01", "weir is stopping", "connect again in a moment"));
        }
        let next = tokio::select! {
            next = poll_fn(|cx| relay.poll(cx, phase != Phase::Running)) => next,
            // The sender lives as long as the process serves.
            _ = phases.changed() => continue,
            _ = async { if let Some(done) = &mut cancelled { let _ = done.await; } }, if cancelled.is_some() => {
                cancelled = None;
                relay.cancelling = false;
                continue;
            }
        };
        match next {
            Next::End(end) => break end,
            Next::Cancel => cancelled = Some(spawn_cancel(target.clone())),
            Next::Idle => {}
        }
    };
    if matches!(end, End::Broken(_) | End::Refused(_))
        || (matches!(end, End::UpstreamGone) && !relay.engine.is_farewell())
    {
        tell(&mut relay.client, &end).await;
    }
    leave_upstream(relay, &end, &target).await;
    end
}

/// Ends the upstream's side: what runs there for nobody is cancelled, since the server by itself would go on computing
/// (`client_connection_check_interval` is off by default).
async fn leave_upstream(mut relay: Relay, end: &End, target: &CancelTarget) {
    /// A client that said goodbye behind a statement meant it to run; so long it may.
    const FAREWELL_GRACE: Duration = Duration::from_secs(1);
    /// Bytes that the server does not take are not waited for.
    const SEND_TIMEOUT: Duration = Duration::from_secs(2);
    if matches!(end, End::UpstreamGone) {
        return;
    }
    let quiet = relay.engine.is_quiet();
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
async fn tell(client: &mut Leg, end: &End) {
    let refusal = match end {
        End::Refused(refusal) => refusal.clone(),
        End::UpstreamGone => Refusal::new(
            "08006",
            "the database server closed the connection",
            "connect again; ask its operator if it lasts",
        ),
        End::Broken(error) => {
            let hint = match error.side() {
                WireSide::Client => "check the client's driver; weir ends a session that breaks the protocol",
                WireSide::Upstream => "the database server broke the protocol; ask its operator",
            };
            Refusal::new("08P01", error.to_string(), hint)
        }
        End::Terminated | End::ClientGone => return,
    };
    let mut bytes = Vec::new();
    put_error(&mut bytes, Severity::Fatal, &refusal);
    client.queue(&bytes);
    /// A client that does not read is not waited for.
    const TELL_SECS: u64 = 2;
    let _ = tokio::time::timeout(Duration::from_secs(TELL_SECS), client.drain()).await;
}
