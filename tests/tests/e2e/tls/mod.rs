//! TLS on either leg and on both, with real clients and a real PostgreSQL.
//!
//! What must never happen: a byte that came before TLS is taken for one that came inside it; anything of a client goes
//! to a server that is not the one of the configuration; a peer that is slow, or gone, costs more than its time.

mod both_legs;
mod certificates;
mod client_leg;
mod keeping;
mod mysql;
mod upstream_leg;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use weir_tests::frames;
use weir_tests::postgres::Postgres;
use weir_tests::process::{self, Output, run};
use weir_tests::raw::Raw;
use weir_tests::tools::{self, point};
use weir_tests::weir::WeirOptions;
use weir_tests::{fixture, wait};

pub(crate) use certificates::trust;

/// Longest that one client program may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Name that the good certificates bear.
pub(crate) const NAME: &str = "localhost";

/// ALPN of PostgreSQL.
const ALPN: &[u8] = b"postgresql";

/// A PostgreSQL that serves TLS beside plain connections; apart from the shared one, which other tests expect plain.
fn tls_postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let postgres = Postgres::start();
        postgres.serve_tls(&trust().good.certificate, &trust().good.key);
        postgres
    })
}

/// Everything passes; TLS towards clients, in this mode.
fn tls_listener(mode: &str) -> WeirOptions {
    WeirOptions::allow_all().listener_tls(&trust().good.certificate, &trust().good.key, mode)
}

/// What a byte-by-byte client trusts and offers.
pub(crate) fn client_config(root: &Path, alpn: &[&[u8]]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// Logs in byte by byte inside TLS.
fn login(address: SocketAddr, user: &str) -> Raw {
    let mut raw = Raw::connect_tls(address, &client_config(&trust().root, &[]), NAME).unwrap();
    raw.send(&frames::startup(&[("user", user), ("database", "support")]));
    raw.authenticate(fixture::PASSWORD).unwrap();
    raw
}

/// Settings of libpq for a client that demands to know the server.
fn verified(root: &Path) -> Vec<(&'static str, String)> {
    vec![("PGSSLMODE", "verify-full".to_owned()), ("PGSSLROOTCERT", root.display().to_string())]
}

/// A client program as alice, with these variables beside those that point it at `address`.
fn as_alice(mut command: Command, address: SocketAddr, environment: &[(&str, String)]) -> Command {
    point(&mut command, address, "alice", "support");
    command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

/// psql as alice, unaligned and without its own output.
fn psql(address: SocketAddr, environment: &[(&str, String)]) -> Command {
    let mut command = tools::client("psql");
    command.args(["-XAtq", "-v", "ON_ERROR_STOP=1"]);
    as_alice(command, address, environment)
}

/// Runs one statement (or meta-command) with psql.
fn ask(address: SocketAddr, environment: &[(&str, String)], sql: &str) -> Output {
    run(psql(address, environment).args(["-c", sql]), b"", LIMIT)
}

/// Fails unless psql gets an answer.
#[track_caller]
fn assert_served(address: SocketAddr, environment: &[(&str, String)]) {
    assert_eq!(ask(address, environment, "select 'served'").ok(), "served\n");
}

/// How many server processes run a statement with this mark.
fn active(superuser: &mut Raw, mark: &str) -> usize {
    let sql = format!(
        "select pid from pg_stat_activity where state = 'active' and query like '%{mark}%' and pid <> pg_backend_pid()"
    );
    superuser.query(&sql).rows()
}

/// Waits until the server is at a statement with this mark.
fn await_active(superuser: &mut Raw, mark: &str) {
    wait::until_true(&format!("the server to be at `{mark}`"), wait::SOON, || active(superuser, mark) == 1);
}

/// A client program that is spoken with while it runs.
struct Live {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
}

impl Live {
    fn start(mut command: Command) -> Live {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let pipes: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let stdin = child.stdin.take();
        Live { child, stdin, lines }
    }

    /// Types a line.
    fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Waits for a line that holds `wanted`.
    fn hear(&self, wanted: &str) {
        let mut heard = Vec::new();
        wait::until(&format!("the program to say `{wanted}`"), wait::SOON, || {
            while let Ok(line) = self.lines.try_recv() {
                if line.contains(wanted) {
                    return Some(());
                }
                heard.push(line);
                assert!(heard.len() < 1000, "much was said, and not `{wanted}`: {heard:?}");
            }
            None
        });
    }

    fn signal(&self, name: &str) {
        process::signal(self.child.id(), name);
    }

    /// Waits for its end.
    fn ended(&mut self) -> ExitStatus {
        drop(self.stdin.take());
        let child = &mut self.child;
        wait::until("the program to end", wait::SOON, || child.try_wait().unwrap())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
