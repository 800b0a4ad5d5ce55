//! `weir config check`: everything that `weir run` would read, read without opening a port.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;

use clap::Subcommand;

use super::output::{Output, complain};
use super::{Failure, load};
use crate::catalog::{Catalogs, Freshness};
use crate::config::{Config, PasswordCheck};
use crate::identity::Directory;
use crate::identity::verifiers::Verifiers;
use crate::tls::{self, Certificate};

/// What there is to do with a configuration.
#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a configuration and the files that it names, without starting anything.
    #[command(after_help = "Examples:\n  weir config check --config weir.toml\n  \
                            weir config check --config weir.toml --database support   (also logs in there)")]
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Also read the catalog of this database on every upstream, as `weir run` would.
        #[arg(long, value_name = "NAME")]
        database: Vec<String>,
        /// End with 1 when there are warnings.
        #[arg(long)]
        strict: bool,
    },
}

pub(super) fn run<W: Write>(command: &ConfigCommand, output: &mut Output<W>) -> Result<(), Failure> {
    let ConfigCommand::Check { config: path, database, strict } = command;
    let config = load(path)?;
    files(&config)?;
    let warnings = config.warnings();
    for warning in &warnings {
        complain(&format!("warning: {warning}"));
    }
    for database in database {
        log_in(&config, database, output)?;
    }
    output.line(format_args!(
        "{}: ok: {} listener(s), {} upstream(s), state in {}",
        path.display(),
        config.listeners.len(),
        config.upstreams.len(),
        config.state_dir.display()
    ))?;
    match warnings.len() {
        0 => Ok(()),
        _ if !strict => Ok(()),
        count => Err(Failure::finding(format!("{count} warning(s), and --strict was asked for"))),
    }
}

/// Reads what the configuration names.
fn files(config: &Config) -> Result<(), Failure> {
    for listener in &config.listeners {
        let tls = listener.tls.as_ref().map(Certificate::load).transpose();
        let told = |reason| Failure::environment(format!("listener `{}`: {reason}", listener.name));
        tls.map_err(told)?;
        match &listener.auth.password {
            Some(PasswordCheck::Verify { verifiers }) => Verifiers::load(verifiers).map(|_| ()).map_err(told)?,
            Some(PasswordCheck::Token(check)) => crate::run::token_keys(check).map(|_| ()).map_err(told)?,
            Some(PasswordCheck::Relay) | None => {}
        }
    }
    for upstream in &config.upstreams {
        let told = |reason| Failure::environment(format!("upstream `{}`: {reason}", upstream.name));
        tls::client(&upstream.tls, upstream.engine).map_err(told)?;
        upstream.catalog.password.read().map_err(told)?;
        for account in &upstream.accounts {
            account.secret.read().map_err(told)?;
        }
    }
    if let Some(directory) = &config.directory {
        Directory::load(directory).map_err(Failure::bad_input)?;
    }
    Ok(())
}

fn log_in<W: Write>(config: &Config, database: &str, output: &mut Output<W>) -> Result<(), Failure> {
    let catalogs = Catalogs::new(config, &HashMap::new()).map_err(Failure::environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
    for upstream in &config.upstreams {
        let view = runtime.block_on(catalogs.snapshot(&upstream.name, database));
        match view.state {
            Freshness::Fresh => output.line(format_args!(
                "upstream `{}`, database `{database}`: {} relations",
                upstream.name,
                view.catalog.relations().len()
            ))?,
            Freshness::Stale { reason, .. } => {
                let message = format!("upstream `{}`, database `{database}`: {reason}", upstream.name);
                return Err(Failure::environment(message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use weir_tests::scratch::Scratch;

    use super::super::{BAD_INPUT, ENVIRONMENT, FINDING};
    use super::*;

    const CONFIG: &str = "state_dir = 'state'\npolicy = 'policy.yaml'\ndirectory = 'people.yaml'\n\
        [[listener]]\nengine = 'postgres'\naddress = '127.0.0.1:6432'\nupstream = 'db'\n\
        [listener.auth]\nmode = 'relay'\n\
        [[upstream]]\nname = 'db'\nengine = 'postgres'\naddress = '127.0.0.1:1'\ntls = 'off'\n\
        [upstream.catalog]\nuser = 'weir_catalog'\n";

    /// Exit code and words.
    fn check(folder: &Scratch, config: &str, database: &[&str], strict: bool) -> (u8, String) {
        let config = folder.write("weir.toml", config);
        let database = database.iter().map(|name| (*name).to_owned()).collect();
        let mut output = Output::for_test();
        match run(&ConfigCommand::Check { config, database, strict }, &mut output) {
            Ok(()) => (0, output.text()),
            Err(failure) => (failure.code, failure.message),
        }
    }

    #[test]
    fn what_run_would_read_is_read() {
        let folder = Scratch::new("check");
        let (code, told) = check(&folder, CONFIG, &[], false);
        assert_eq!(code, BAD_INPUT);
        assert!(told.contains("people.yaml: cannot be read"), "{told}");
        folder.write("people.yaml", "people: {}\n");
        let (code, told) = check(&folder, CONFIG, &[], false);
        assert_eq!(code, 0, "{told}");
        assert!(
            told.ends_with(&format!(
                "weir.toml: ok: 1 listener(s), 1 upstream(s), state in {}\n",
                folder.path().join("state").display()
            )),
            "{told}"
        );
        let (code, told) = check(&folder, &CONFIG.replace("policy =", "polici ="), &[], false);
        assert_eq!(code, BAD_INPUT);
        assert!(told.contains("weir.toml:2:1: unknown field `polici`"), "{told}");
        let (code, told) = check(&folder, &format!("{CONFIG}password_file = 'absent'\n"), &[], false);
        assert_eq!(code, ENVIRONMENT);
        assert!(told.starts_with("upstream `db`: ") && told.contains("absent"), "{told}");
        let tls =
            CONFIG.replace("upstream = 'db'\n", "upstream = 'db'\n[listener.tls]\ncertificate = 'c'\nkey = 'k'\n");
        let (code, told) = check(&folder, &tls, &[], false);
        assert_eq!(code, ENVIRONMENT);
        assert!(told.starts_with("listener `127.0.0.1:6432`: "), "{told}");
        // Nothing listens on port 1.
        let (code, told) = check(&folder, CONFIG, &["support"], false);
        assert_eq!(code, ENVIRONMENT);
        assert!(told.contains("database `support`: `127.0.0.1:1` cannot be reached"), "{told}");
    }

    #[test]
    fn warnings_are_findings_when_asked() {
        let folder = Scratch::new("check");
        let config = CONFIG.replace("directory = 'people.yaml'\n", "");
        assert_eq!(check(&folder, &config, &[], false).0, 0);
        assert_eq!(
            check(&folder, &config, &[], true),
            (FINDING, "2 warning(s), and --strict was asked for".to_owned()),
            "no directory, and logins that are relayed"
        );
    }

    #[test]
    fn the_example_is_a_good_configuration() {
        let desk = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/support-desk");
        let config = Config::load(&desk.join("weir.toml")).unwrap();
        assert_eq!(config.warnings().len(), 1, "only that logins are relayed: {:?}", config.warnings());
        let directory = Directory::load(config.directory.as_ref().unwrap()).unwrap();
        let who = |account: &str| {
            directory.resolve("support-db", &crate::identity::Login::relayed(account), None, "").person.to_string()
        };
        assert_eq!([who("alice"), who("alice_report"), who("etl_export")], ["alice", "alice", "etl"]);
        assert!(config.policy.exists());
    }
}
