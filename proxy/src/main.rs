//! The command `weir`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_proxy::config::Config;

/// Exit code for a configuration that cannot be used.
const BAD_INPUT: u8 = 2;
/// Exit code for surroundings that do not allow what was asked: a port in use, a file that is missing.
const ENVIRONMENT: u8 = 3;

/// A database access auditing proxy.
///
/// Clients connect to Weir instead of the database; Weir follows the protocol between them.
#[derive(Parser)]
#[command(name = "weir", version, after_help = "Exit codes: 0 ok, 2 usage or bad input, 3 environment.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients until a signal ends it (SIGTERM and SIGINT let running statements finish).
    #[command(after_help = "Example: weir run --config /etc/weir/weir.toml")]
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a configuration file without starting anything.
    #[command(after_help = "Example: weir config check --config weir.toml")]
    Check {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (path, check_only) = match &arguments.command {
        Command::Run { config } => (config, false),
        Command::Config(ConfigCommand::Check { config }) => (config, true),
    };
    start_log();
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(BAD_INPUT);
        }
    };
    if check_only {
        tracing::info!(
            "{}: {} listeners, {} upstreams: ok",
            path.display(),
            config.listeners.len(),
            config.upstreams.len()
        );
        return ExitCode::SUCCESS;
    }
    match weir_proxy::run::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            tracing::error!("{message}");
            ExitCode::from(ENVIRONMENT)
        }
    }
}

/// The application's log goes to standard error; `WEIR_LOG=debug` says more.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
