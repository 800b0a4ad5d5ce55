//! `weir run`: from a configuration to open listeners, and down again.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::admin::{self, Admin};
use crate::cancel::CancelKeys;
use crate::config::{Config, Upstream};
use crate::end::{Phase, Signals};
use crate::listener::Workers;
use crate::route::{self, Route};
use crate::session::Shared;
use crate::session::gate::FunctionCalls;
use crate::telemetry;
use crate::tls::{self, Certificate};

/// How long a connection attempt to an upstream may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// What keeps the process from starting, in words for the operator.
pub fn run(config: &Config) -> Result<(), String> {
    let (routes, certificates) = routes(config)?;
    let metrics = telemetry::install()?;
    let (phase, phases) = watch::channel(Phase::Running);
    let shared = Arc::new(Shared { cancels: CancelKeys::default(), phase: phases.clone() });
    let workers = Workers::start(config.workers, &shared).map_err(|error| format!("workers cannot start: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime cannot start: {error}"))?;
    runtime.block_on(async {
        let signals = Signals::new().map_err(|error| format!("signals cannot be received: {error}"))?;
        let (reload, reloads) = mpsc::channel(1);
        let mut listeners = Vec::new();
        for (listener, route) in config.listeners.iter().zip(routes) {
            let socket = TcpListener::bind(listener.address)
                .await
                .map_err(|error| format!("listener `{}` cannot listen on {}: {error}", listener.name, listener.address))?;
            tracing::info!(listener = %listener.name, address = %listener.address, upstream = %listener.upstream, "listening");
            listeners.push((socket, route));
        }
        let admin = Arc::new(Admin { metrics, unready: Box::new(unready(phases.clone())) });
        let admin_socket = match config.admin {
            Some(address) => Some(
                TcpListener::bind(address).await.map_err(|error| format!("admin cannot listen on {address}: {error}"))?,
            ),
            None => None,
        };
        let mut stopping = phases.clone();
        let accepting = async {
            let accepts = listeners.into_iter().map(|(socket, route)| workers.accept(socket, route, config.limits.sessions_max));
            futures_join(accepts.collect()).await;
        };
        tokio::task::LocalSet::new()
            .run_until(async {
                if let Some(socket) = admin_socket {
                    tokio::task::spawn_local(admin::serve(socket, admin));
                }
                tokio::task::spawn_local(signals.watch(phase, config.limits.drain, reload));
                tokio::task::spawn_local(reload_files(reloads, certificates));
                tokio::select! {
                    () = accepting => {}
                    _ = stopping.wait_for(|phase| *phase != Phase::Running) => {}
                }
                let mut wait = tokio::time::interval(Duration::from_millis(20));
                while workers.open_sessions() > 0 {
                    wait.tick().await;
                }
            })
            .await;
        Ok::<(), String>(())
    })?;
    workers.join();
    tracing::info!("stopped");
    Ok(())
}

/// Reads files again when a signal asks for it. What is not usable is told and changes nothing.
async fn reload_files(mut reloads: mpsc::Receiver<()>, certificates: Vec<(String, Arc<Certificate>)>) {
    while reloads.recv().await.is_some() {
        tracing::info!("SIGHUP: certificates are read again, the configuration is not; restart weir to change it");
        for (listener, certificate) in &certificates {
            let reloaded = certificate.reload();
            telemetry::reloaded(reloaded.is_ok());
            match reloaded {
                Ok(()) => tracing::info!(%listener, "SIGHUP: certificate reloaded; open sessions keep theirs"),
                Err(reason) => tracing::error!(%listener, %reason, "SIGHUP: the certificate in use stays"),
            }
        }
    }
}

/// Why no client should be sent here now.
fn unready(phases: watch::Receiver<Phase>) -> impl Fn() -> Vec<String> + Send + Sync {
    move || match *phases.borrow() {
        Phase::Running => Vec::new(),
        Phase::Draining | Phase::Stopped => vec!["stopping".to_owned()],
    }
}

/// Polls all of them; none ends by itself while clients are accepted.
async fn futures_join(accepts: Vec<impl Future<Output = ()>>) {
    let mut accepts: Vec<_> = accepts.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        accepts.retain_mut(|accept| accept.as_mut().poll(cx).is_pending());
        if accepts.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Routes and certificates that can be exchanged, by listener.
type Routes = (Vec<Arc<Route>>, Vec<(String, Arc<Certificate>)>);

fn routes(config: &Config) -> Result<Routes, String> {
    let mut routes = Vec::new();
    let mut certificates = Vec::new();
    for listener in &config.listeners {
        let upstream = config
            .upstream(&listener.upstream)
            .ok_or_else(|| format!("listener `{}` names an upstream that is not there", listener.name))?;
        let certificate = listener.tls.as_ref().map(Certificate::load).transpose()?;
        let client_tls = certificate.as_ref().map(Certificate::client_tls).transpose()?;
        certificates.extend(certificate.map(|certificate| (listener.name.clone(), certificate)));
        routes.push(Arc::new(Route {
            name: listener.name.clone(),
            client_tls,
            upstream: Arc::new(target(upstream)?),
            frame_bytes_max: config.limits.frame_bytes_max,
            pipeline_max: config.limits.pipeline_max,
            startup_timeout: config.limits.startup,
            function_calls: match config.allow_function_call {
                true => FunctionCalls::Allowed,
                false => FunctionCalls::Refused,
            },
        }));
    }
    Ok((routes, certificates))
}

fn target(upstream: &Upstream) -> Result<route::Upstream, String> {
    Ok(route::Upstream {
        name: upstream.name.clone(),
        address: upstream.address.clone(),
        tls: tls::client(&upstream.tls)?,
        connect_timeout: CONNECT_TIMEOUT,
    })
}
