//! The command `weir`: what an operator types. Each subcommand answers on standard output through one writer, tells
//! trouble on standard error, and ends with a code that scripts can rely on.

mod audit;
mod catalog;
mod config;
mod control;
mod directory;
mod moment;
mod output;
mod policy;
mod verifiers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;
use output::Output;

/// A check found something.
const FINDING: u8 = 1;
/// Usage, or a file that cannot be used. Clap ends with the same.
const BAD_INPUT: u8 = 2;
/// Surroundings that do not allow what was asked: a port in use, a server that is down, a file that is missing.
const ENVIRONMENT: u8 = 3;

/// A database access auditing proxy.
///
/// Clients connect to Weir instead of the database; Weir follows the protocol between them.
#[derive(Parser)]
#[command(
    name = "weir",
    version,
    after_help = "Exit codes: 0 ok, 1 a check found something, 2 usage or bad input, 3 the surroundings do not allow it.\n\
                  The application's log goes to standard error; WEIR_LOG=debug says more, WEIR_LOG_FORMAT=json is for machines."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients until a signal ends it.
    ///
    /// SIGTERM and SIGINT let running statements finish, at most limits.drain_secs; a second one does not wait. SIGHUP
    /// reads files again that may change while it runs.
    #[command(after_help = "Example:\n  weir run --config /etc/weir/weir.toml")]
    Run {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check and test a policy, explain what it makes of a statement.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// List what is sensitive in the databases behind Weir, and why: by policy, as a partition, as a copy that somebody made.
    ///
    /// Reads the databases with Weir's own account, and copies from the audit log. Foreign tables are listed with where they
    /// lead; those of which nobody says so are not understood, and statements that read them are opaque. Exit code 1 when
    /// nothing is sensitive.
    #[command(after_help = "Examples:\n  weir catalog --config weir.toml\n  \
                            weir catalog --config weir.toml --database support --json | jq '.sensitive[] | select(.why == \"copy\")'\n\n\
                            A copy is known from the statement that made it until the database shows it no more. Who made it \
                            and when:\n  weir audit search --kind copy --config weir.toml")]
    Catalog(catalog::Catalog),
    /// Check the directory of people, show who somebody is, import people from other systems.
    #[command(subcommand)]
    Directory(directory::DirectoryCommand),
    /// Read the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Keep the file of verifiers, by which Weir judges passwords.
    #[command(subcommand)]
    Verifiers(verifiers::VerifiersCommand),
    /// Look at a person's budgets in a running Weir, and begin them anew.
    #[command(subcommand)]
    Budget(control::BudgetCommand),
    /// Answer requests for a larger budget.
    ///
    /// Whoever comes to the end of a budget whose rule says `then: require-approval` is told the name of a request. Somebody
    /// else whom the rule names can grant it: more records, for a while.
    #[command(after_help = "Examples:\n  weir approve --list --config weir.toml\n  \
                            weir approve A-7F3K-9Q2M --records 500 --for 30m --reason 'ticket 4711' --config weir.toml\n  \
                            weir approve A-7F3K-9Q2M --deny --reason 'no ticket' --config weir.toml")]
    Approve(control::Approve),
    /// End all sessions of a person in a running Weir, and let none begin for a while.
    #[command(after_help = "Examples:\n  weir kill alice --reason 'incident 17' --config weir.toml\n  \
                            weir kill alice --lift --reason 'incident 17 is closed' --config weir.toml")]
    Kill(control::Kill),
    /// Have a running Weir read policy, directory and certificates again. What is not usable changes nothing.
    Reload(control::Reload),
    /// Say how a running Weir is.
    Status(control::StatusOf),
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn bad_input(message: impl ToString) -> Failure {
        Failure { code: BAD_INPUT, message: message.to_string() }
    }

    fn environment(message: impl ToString) -> Failure {
        Failure { code: ENVIRONMENT, message: message.to_string() }
    }

    fn finding(message: impl ToString) -> Failure {
        Failure { code: FINDING, message: message.to_string() }
    }
}

/// Does what the arguments of this process say.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(matches!(arguments.command, Command::Run { .. }));
    let mut output = Output::new();
    let done = match arguments.command {
        Command::Run { config } => run(&config),
        Command::Config(command) => config::run(&command, &mut output),
        Command::Policy(command) => policy::run(&command, &mut output),
        Command::Catalog(command) => catalog::run(&command, &mut output),
        Command::Directory(command) => directory::run(&command, &mut output),
        Command::Audit(command) => audit::run(&command, &mut output),
        Command::Verifiers(command) => verifiers::run(&command, &mut output),
        Command::Budget(command) => control::budget(&command, &mut output),
        Command::Approve(command) => control::approve(&command, &mut output),
        Command::Kill(command) => control::kill(&command, &mut output),
        Command::Reload(command) => control::reload(&command, &mut output),
        Command::Status(command) => control::status(&command, &mut output),
    };
    match done.and_then(|()| output.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn run(path: &std::path::Path) -> Result<(), Failure> {
    let config = load(path)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let text = std::fs::read(path).map_err(Failure::environment)?;
    crate::run::run(&config, crate::run::sha256_hex(&text)).map_err(Failure::environment)
}

fn load(path: &std::path::Path) -> Result<Config, Failure> {
    Config::load(path).map_err(Failure::bad_input)
}

/// The application's log goes to standard error. Commands that answer and end only say what is wrong.
fn start_log(serves: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if serves { "info" } else { "error" }));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    if std::env::var_os("WEIR_LOG_FORMAT").is_some_and(|format| format == "json") {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
