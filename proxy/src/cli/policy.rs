//! `weir policy`: check a policy file, run its tests, print its schema, and say why a statement comes out as it does.
//!
//! Nothing here needs a running Weir, and nothing is changed by it.

mod check;
mod explain;
mod trials;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use clap::Subcommand;
use weir_policy::load::{Diagnostic, Severity};
use weir_policy::set::PolicySet;

use super::output::Output;
use super::{Failure, load};
use crate::catalog::{CatalogView, Catalogs, Freshness};
use crate::config::{Config, read_bounded};

/// What there is to do with policies.
#[derive(Subcommand)]
pub(super) enum PolicyCommand {
    /// Check policy files: what is wrong with them, with line, column and a hint.
    ///
    /// With a configuration, also compares the datasets with the live databases, so that those that match nothing are
    /// told. Exit code 1 when a file cannot be used.
    #[command(after_help = "Examples:\n  weir policy check policy.yaml\n  \
                            weir policy check policy.yaml --config weir.toml   (also logs in to the databases it names)")]
    Check(check::Check),
    /// Run the tests that stand in policy files. No database is needed. Exit code 1 when one fails.
    #[command(after_help = "Example:\n  weir policy test policy.yaml")]
    Test(trials::Test),
    /// Print the JSON Schema of the policy file, for completion in editors.
    #[command(after_help = "Example:\n  weir policy schema > policy.schema.json\n\n\
                            In the first line of a policy, for the YAML language server:\n  \
                            # yaml-language-server: $schema=policy.schema.json")]
    Schema,
    /// Say why a statement comes out as it does: what it reaches, what is sensitive of that, and the verdict.
    ///
    /// Names are looked up in the catalog of a live database, with the search path that the role starts with. The
    /// statement does not run. Exit code 1 when it is not understood in full.
    #[command(
        after_help = "Examples:\n  weir policy explain --config weir.toml --database support --role alice \\\n    \
                            --sql 'select email from customers where id = 7'\n  \
                            weir policy explain --config weir.toml --policy next.yaml --database support --role alice \\\n    \
                            --used hour=450 --sql 'select email from customers'\n  \
                            weir policy explain --config weir.toml --database support --role alice \\\n    \
                            --search-path archive,public --json --sql - < report.sql"
    )]
    Explain(explain::Explain),
}

pub(super) fn run<W: Write>(command: &PolicyCommand, output: &mut Output<W>) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check(check) => check::run(check, output),
        PolicyCommand::Test(test) => trials::run(test, output),
        PolicyCommand::Schema => output.line(format_args!("{:#}", PolicySet::json_schema())),
        PolicyCommand::Explain(explain) => explain::run(explain, output),
    }
}

/// A policy file as it was read.
pub(super) struct Read {
    /// `None`: there are errors.
    pub(super) set: Option<PolicySet>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl Read {
    /// How many findings are of this kind.
    fn count(&self, severity: Severity) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }
}

pub(super) fn read(path: &Path) -> Result<Read, Failure> {
    let shown = path.display().to_string();
    let bytes_max = u64::try_from(weir_policy::load::FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let text =
        read_bounded(path, bytes_max).map_err(|reason| Failure::bad_input(format!("policy `{shown}` {reason}")))?;
    Ok(match PolicySet::load(&text, &shown) {
        Ok((set, diagnostics)) => Read { set: Some(set), diagnostics },
        Err(diagnostics) => Read { set: None, diagnostics },
    })
}

/// Live catalogs, as `weir run` would read them.
pub(super) struct Live {
    pub(super) config: Config,
    catalogs: std::sync::Arc<Catalogs>,
    runtime: tokio::runtime::Runtime,
}

impl Live {
    pub(super) fn new(config: &Path) -> Result<Live, Failure> {
        let config = load(config)?;
        let catalogs = Catalogs::new(&config, &HashMap::new()).map_err(Failure::environment)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::environment)?;
        Ok(Live { config, catalogs, runtime })
    }

    /// The catalog of a database, or why it cannot be read.
    pub(super) fn view(&self, upstream: &str, database: &str) -> Result<CatalogView, String> {
        let view = self.runtime.block_on(self.catalogs.snapshot(upstream, database));
        match &view.state {
            Freshness::Fresh => Ok(view),
            Freshness::Stale { reason, .. } => Err(format!("the catalog of `{database}` on `{upstream}`: {reason}")),
        }
    }
}

#[cfg(test)]
mod tests;
