//! Who is let in at the door: verifiers, certificates, tokens, and as whom the server knows them.
//!
//! What must never happen: a wrong password passes; somebody learns which accounts exist; a secret stands in a log.

mod certificate;
mod hostile;
mod mapped;
mod token;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use weir_tests::postgres::Postgres;
use weir_tests::process::{Output, run};
use weir_tests::scratch::Scratch;
use weir_tests::tools::{self, point};
use weir_tests::weir::{WeirOptions, binary};

/// Longest that one client program may take.
const LIMIT: Duration = Duration::from_secs(180);

/// The verifiers of the shared PostgreSQL, taken over as an operator would.
fn verifiers() -> PathBuf {
    static FILE: OnceLock<(Scratch, PathBuf)> = OnceLock::new();
    let (_, file) = FILE.get_or_init(|| {
        let scratch = Scratch::new("verifiers");
        let file = scratch.path().join("verifiers");
        import(Postgres::shared(), &file);
        (scratch, file)
    });
    file.clone()
}

fn import(postgres: &Postgres, file: &std::path::Path) {
    let dump = postgres.psql("postgres", "select rolname, rolpassword from pg_authid where rolcanlogin");
    let mut command = Command::new(binary());
    command.args(["verifiers", "import", "--from-postgres", "--file"]).arg(file);
    run(&mut command, dump.as_bytes(), LIMIT).ok();
}

/// Weir judges passwords by these verifiers.
fn verifying(options: WeirOptions, file: &std::path::Path) -> WeirOptions {
    let auth = vec!["mode = \"verify\"".to_owned(), format!("verifiers = \"{}\"", file.display())];
    WeirOptions { listener_auth: auth, ..options }
}

/// Runs one statement with psql as this account.
fn psql(address: SocketAddr, user: &str, environment: &[(&str, &str)], sql: &str) -> Output {
    let mut command = tools::client("psql");
    command.args(["-XAtqw", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    point(&mut command, address, user, "support");
    command.envs(environment.iter().copied());
    run(&mut command, b"", LIMIT)
}
