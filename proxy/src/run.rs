//! `weir run`: from a configuration to open listeners, and down again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use weir_audit_store::Urgency;
use weir_audit_store::event::{Admin as AdminAct, Body, Policy, PolicyOutcome, Severity};
use zeroize::Zeroizing;

use crate::admin::{self, Admin};
use crate::alert::Alerts;
use crate::analyses::Analyses;
use crate::approvals::Approvals;
use crate::audit::{Recorder, words};
use crate::budgets::{self, Budgets};
use crate::cancel::CancelKeys;
use crate::catalog::Catalogs;
use crate::config::{Config, KeySource, PasswordCheck, TokenCheck, Upstream};
use crate::control::{self, Control};
use crate::copies::Copies;
use crate::end::{Phase, Signals};
use crate::holds::Holds;
use crate::identity::backoff::Backoff;
use crate::identity::fetch::Place;
use crate::identity::token::TokenRules;
use crate::identity::token_keys::{self, TokenKeys};
use crate::identity::verifiers::Verifiers;
use crate::listener::Workers;
use crate::monitor::{self, CarriedBy, Monitor};
use crate::policies::{LoadError, Policies};
use crate::route::{self, Route};
use crate::session::Shared;
use crate::session::gate::FunctionCalls;
use crate::telemetry;
use crate::tls::{self, Certificate};

/// How long a connection attempt to an upstream may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at how far the audit log's disk is behind.
const OBSERVE: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
///
/// # Errors
/// What keeps the process from starting, in words for the operator.
pub fn run(config: &Config, config_sha256: String) -> Result<(), String> {
    let carried = monitor::carried(&config.upstreams);
    let (routes, files) = routes(config, &carried)?;
    let policies = Policies::load(config)?;
    let metrics = telemetry::install()?;
    let (phase, phases) = watch::channel(Phase::Running);
    let shared = Arc::new(open(config, config_sha256, policies, phases.clone(), &carried)?);
    let monitors = config.upstreams.iter().map(|upstream| Monitor::new(upstream, &carried, &shared));
    let monitors: Vec<Monitor> = monitors.filter_map(Result::transpose).collect::<Result<_, _>>()?;
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
        let admin = Arc::new(Admin { metrics, unready: Box::new(unready(phases.clone(), Arc::clone(&shared))) });
        let admin_socket = match config.admin {
            Some(address) => Some(
                TcpListener::bind(address).await.map_err(|error| format!("admin cannot listen on {address}: {error}"))?,
            ),
            None => None,
        };
        let (control_socket, own_uid) = control::bind(&config.control)?;
        let reload_now = {
            let (shared, files) = (Arc::clone(&shared), files.clone());
            move || reload_all("control socket", &shared, &files)
        };
        let control = Control::new(Arc::clone(&shared), &config.control, own_uid, Box::new(reload_now));
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
                tokio::task::spawn_local(control.serve(control_socket));
                tokio::task::spawn_local(signals.watch(phase, config.limits.drain, reload));
                for (listener, keys) in &files.tokens {
                    let recorder = Arc::clone(&shared.recorder);
                    tokio::task::spawn_local(keep_keys(listener.clone(), Arc::clone(keys), recorder));
                }
                tokio::task::spawn_local(reload_files(reloads, files, Arc::clone(&shared)));
                tokio::task::spawn_local(observe(Arc::clone(&shared.recorder)));
                for monitor in monitors {
                    tokio::task::spawn_local(monitor.watch());
                }
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
    if let Err(error) = control::remove(&config.control.socket) {
        tracing::warn!(%error, "the control socket stays behind");
    }
    Recorder::close(Arc::clone(&shared.recorder), "signal");
    tracing::info!("stopped");
    Ok(())
}

/// Opens the audit log and rebuilds from it what everybody has spent.
fn open(
    config: &Config,
    config_sha256: String,
    policies: Policies,
    phase: watch::Receiver<Phase>,
    carried: &CarriedBy,
) -> Result<Shared, String> {
    let state = config.state_dir.display();
    std::fs::create_dir_all(&config.state_dir)
        .map_err(|error| format!("state_dir `{state}` cannot be made: {error}"))?;
    let key = budgets::record_key(&config.state_dir.join("record.key"))?;
    let alerts = Alerts::open(config.alert_file.as_deref())?;
    let (recorder, recovery) = Recorder::open(&config.audit, alerts)?;
    let mock_secret = Zeroizing::new(budgets::derive(&key, b"verifiers of accounts that do not exist"));
    let budgets = Budgets::new(recorder.clock(), &key);
    let started = Instant::now();
    let copies = Copies::default();
    let (holds, approvals) = (Arc::new(Holds::default()), Approvals::default());
    let rebuilt = budgets.rebuild(recorder.dir(), &mut |event| {
        copies.replay(event);
        approvals.apply(event);
        holds.apply(event);
    })?;
    let labels = copies.replayed();
    tracing::info!(
        records = rebuilt.records,
        unsettled = rebuilt.unsettled,
        copies = labels,
        took_ms = started.elapsed().as_millis(),
        "budgets are rebuilt from the audit log"
    );
    let in_force = policies.current();
    recorder.booted(&recovery, config_sha256, in_force.set.hash());
    recorder.note(&recorder.event(Body::Policy(loaded(in_force.set.hash()))), Urgency::Durable);
    Ok(Shared {
        holds,
        approvals,
        cancels: CancelKeys::default(),
        phase,
        policies,
        analyses: Analyses::default(),
        copies,
        budgets,
        recorder: Arc::new(recorder),
        catalogs: Catalogs::new(config, carried)?,
        durability: config.audit.durability,
        sessions: AtomicU64::new(0),
        backoff: Backoff::default(),
        mock_secret,
    })
}

fn loaded(sha256: &str) -> Policy {
    Policy { outcome: PolicyOutcome::Loaded, sha256: sha256.to_owned(), problem: None }
}

/// Keeps metrics of the audit log up to date.
async fn observe(recorder: Arc<Recorder>) {
    let mut wait = tokio::time::interval(OBSERVE);
    loop {
        wait.tick().await;
        recorder.observe();
    }
}

/// Reads files again when a signal asks for it. What is not usable is told and changes nothing.
async fn reload_files(mut reloads: mpsc::Receiver<()>, files: Files, shared: Arc<Shared>) {
    while reloads.recv().await.is_some() {
        tracing::info!(
            "SIGHUP: policy, directory, certificates and verifiers are read again, the configuration is not"
        );
        // What is wrong has been told where it was found.
        let _ = reload_all("SIGHUP", &shared, &files);
    }
}

/// Reads policy, directory, certificates and verifiers again, because of `by`; what is in force then, or what is wrong.
fn reload_all(by: &str, shared: &Shared, files: &Files) -> Result<String, String> {
    let mut problems: Vec<String> = reload_policy(by, shared).err().into_iter().collect();
    for (listener, verifiers) in &files.verifiers {
        let reloaded = verifiers.reload();
        telemetry::reloaded(reloaded.is_ok());
        match reloaded {
            Ok(accounts) => tracing::info!(%listener, accounts, "{by}: verifiers are in force"),
            Err(reason) => {
                tracing::error!(%listener, %reason, "{by}: the verifiers in use stay");
                let title = format!("verifiers were rejected at reload, those before stay: {reason}");
                shared.recorder.alert_operator("verifiers-rejected", title, Severity::High);
                problems.push(format!("the verifiers of listener `{listener}`: {reason}"));
            }
        }
    }
    for (listener, keys) in &files.tokens {
        let reloaded = keys.reload();
        telemetry::reloaded(reloaded.is_ok());
        if let Err(reason) = reloaded {
            told_keys(&shared.recorder, listener, &reason);
            problems.push(format!("the keys of tokens of listener `{listener}`: {reason}"));
        }
    }
    for (listener, certificate) in &files.certificates {
        let reloaded = certificate.reload();
        telemetry::reloaded(reloaded.is_ok());
        match reloaded {
            Ok(()) => tracing::info!(%listener, "{by}: certificate reloaded; open sessions keep theirs"),
            Err(reason) => {
                tracing::error!(%listener, %reason, "{by}: the certificate in use stays");
                let title = format!(
                    "listener `{listener}`: a certificate was rejected at reload, the one before stays: {reason}"
                );
                shared.recorder.alert_operator("certificate-rejected", title, Severity::High);
                problems.push(format!("the certificate of listener `{listener}`: {reason}"));
            }
        }
    }
    let sha256 = shared.policies.current().set.hash().to_owned();
    if problems.is_empty() { Ok(format!("policy {sha256} is in force")) } else { Err(problems.join("\n")) }
}

/// Reads policy and directory again. What is not usable changes nothing, and somebody is told.
fn reload_policy(by: &str, shared: &Shared) -> Result<(), String> {
    let recorder = &shared.recorder;
    let reloaded = shared.policies.reload();
    telemetry::reloaded(reloaded.is_ok());
    match reloaded {
        Ok(in_force) => {
            tracing::info!(sha256 = in_force.set.hash(), "{by}: policy and directory are in force");
            recorder.note(&recorder.event(Body::Policy(loaded(in_force.set.hash()))), Urgency::Durable);
            Ok(())
        }
        Err(LoadError::Policy(problem)) => {
            tracing::error!("{by}: policy and directory in use stay:\n{problem}");
            let sha256 = std::fs::read(shared.policies.policy_path()).map(|text| sha256_hex(&text)).unwrap_or_default();
            let first = first_line(&problem).to_owned();
            let rejected = Policy { outcome: PolicyOutcome::Rejected, sha256, problem: Some(problem.clone()) };
            recorder.note(&recorder.event(Body::Policy(rejected)), Urgency::Durable);
            let title = format!("a policy was rejected at reload, the one before stays: {first}");
            recorder.alert_operator("policy-rejected", title, Severity::High);
            Err(problem)
        }
        Err(LoadError::Directory(problem)) => {
            tracing::error!("{by}: policy and directory in use stay:\n{problem}");
            let target = shared.policies.directory_path().map(|path| path.display().to_string());
            let title = format!("a directory was rejected at reload, the one before stays: {}", first_line(&problem));
            recorder.note(
                &recorder.event(Body::Admin(rejected(by, "reload-directory", target, problem.clone()))),
                Urgency::Durable,
            );
            recorder.alert_operator("directory-rejected", title, Severity::High);
            Err(problem)
        }
    }
}

fn first_line(problem: &str) -> &str {
    problem.lines().next().unwrap_or_default()
}

/// A file that somebody had read again and that is not usable.
fn rejected(by: &str, action: &str, target: Option<String>, problem: String) -> AdminAct {
    AdminAct {
        operator: by.to_owned(),
        action: action.to_owned(),
        target,
        outcome: format!("rejected, what was in use stays: {problem}"),
        ..AdminAct::default()
    }
}

/// Keys of tokens that cannot be used.
fn told_keys(recorder: &Recorder, listener: &str, reason: &str) {
    tracing::error!(%listener, %reason, "the keys of tokens in use stay");
    let title = format!("listener `{listener}`: keys of tokens were rejected, those before stay: {reason}");
    recorder.alert_operator("token-keys-rejected", title, Severity::High);
}

/// Fetches keys that stand at an address, for as long as the process lives.
async fn keep_keys(listener: String, keys: Arc<TokenKeys>, recorder: Arc<Recorder>) {
    keys.keep(|told| match told {
        Ok(count) => tracing::info!(%listener, count, "keys of tokens are fetched"),
        Err(reason) => told_keys(&recorder, &listener, &reason),
    })
    .await;
}

/// Rules and keys of a listener's tokens.
///
/// # Errors
/// Keys or roots that cannot be used, in words for the operator.
pub fn token_keys(check: &TokenCheck) -> Result<Arc<TokenKeys>, String> {
    let rules = TokenRules {
        issuer: check.issuer.clone(),
        audiences: vec![check.audience.clone()],
        skew: check.skew,
        claim: check.claim.clone(),
        required: check.require.clone(),
    };
    let source = match &check.keys {
        KeySource::File(path) => token_keys::KeySource::File(path.clone()),
        KeySource::Url(address) => {
            let place = Box::new(Place::new(address, &check.ca)?);
            token_keys::KeySource::Place { address: address.clone(), place }
        }
    };
    TokenKeys::load(rules, source)
}

/// SHA-256 of a file's bytes, hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    words::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref())
}

/// Why no client should be sent here now.
fn unready(phases: watch::Receiver<Phase>, shared: Arc<Shared>) -> impl Fn() -> Vec<String> + Send + Sync {
    move || {
        let mut reasons = match *phases.borrow() {
            Phase::Running => shared.catalogs.unready(),
            Phase::Draining | Phase::Stopped => vec!["stopping".to_owned()],
        };
        reasons.extend(shared.recorder.failing().map(|reason| format!("the audit log takes no records: {reason}")));
        reasons
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

/// Files that can be exchanged while sessions run, by listener.
#[derive(Clone, Default)]
struct Files {
    certificates: Vec<(String, Arc<Certificate>)>,
    verifiers: Vec<(String, Arc<Verifiers>)>,
    tokens: Vec<(String, Arc<TokenKeys>)>,
}

fn routes(config: &Config, carried: &CarriedBy) -> Result<(Vec<Arc<Route>>, Files), String> {
    let mut routes = Vec::new();
    let mut files = Files::default();
    for listener in &config.listeners {
        let upstream = config
            .upstream(&listener.upstream)
            .ok_or_else(|| format!("listener `{}` names an upstream that is not there", listener.name))?;
        let certificate = listener.tls.as_ref().map(Certificate::load).transpose()?;
        let client_tls = certificate.as_ref().map(|certificate| certificate.client_tls(listener.engine)).transpose()?;
        files.certificates.extend(certificate.map(|certificate| (listener.name.clone(), certificate)));
        let verifiers = match &listener.auth.password {
            Some(PasswordCheck::Verify { verifiers }) => Some(Arc::new(Verifiers::load(verifiers)?)),
            Some(PasswordCheck::Relay | PasswordCheck::Token(_)) | None => None,
        };
        let tokens = match &listener.auth.password {
            Some(PasswordCheck::Token(check)) => Some(token_keys(check)?),
            Some(PasswordCheck::Relay | PasswordCheck::Verify { .. }) | None => None,
        };
        files.tokens.extend(tokens.clone().map(|tokens| (listener.name.clone(), tokens)));
        files.verifiers.extend(verifiers.clone().map(|verifiers| (listener.name.clone(), verifiers)));
        routes.push(Arc::new(Route {
            name: listener.name.clone(),
            client_tls,
            auth: listener.auth.clone(),
            verifiers,
            tokens,
            upstream: Arc::new(target(upstream, carried)?),
            frame_bytes_max: config.limits.frame_bytes_max,
            pipeline_max: config.limits.pipeline_max,
            session_bytes_max: config.limits.session_bytes_max,
            upstream_stall: config.limits.upstream_stall,
            startup_timeout: config.limits.startup,
            function_calls: match config.allow_function_call {
                true => FunctionCalls::Allowed,
                false => FunctionCalls::Refused,
            },
            allowed_commands: config.allow_commands.as_slice().into(),
            local_infile: config.allow_local_infile,
            withheld: listener.withheld.with(upstream.withheld),
        }));
    }
    Ok((routes, files))
}

fn target(upstream: &Upstream, carried: &CarriedBy) -> Result<route::Upstream, String> {
    Ok(route::Upstream {
        name: upstream.name.clone(),
        engine: upstream.engine,
        address: upstream.address.clone(),
        tls: tls::client(&upstream.tls, upstream.engine)?,
        connect_timeout: CONNECT_TIMEOUT,
        accounts: upstream.accounts.clone(),
        carried: carried.get(&upstream.name).cloned(),
    })
}
