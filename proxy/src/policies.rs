//! The policy and the directory in force, and what the policy means on each database.
//!
//! INVARIANT: both are exchanged as one, and only for files that are good: a bad file changes nothing. A generation
//! names one such pair, so that everything derived from it is never mixed with another's.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use moka::sync::Cache;
use weir_policy::binding::Binding;
use weir_policy::load::FILE_BYTES_MAX;
use weir_policy::set::PolicySet;

use crate::canaries::Canaries;
use crate::catalog::CatalogView;
use crate::config::{Config, read_bounded};
use crate::copies::Laid;
use crate::identity::Directory;

/// Bindings that are kept: a few generations of every database that a catalog is kept of.
const BINDINGS_MAX: u64 = 1024;

/// What is in force now.
pub struct Policies {
    policy: PathBuf,
    directory: Option<PathBuf>,
    current: RwLock<Arc<InForce>>,
    generation: AtomicU64,
    bindings: Cache<(u64, u64, u64, Arc<str>), Arc<Binding>>,
}

/// One policy with one directory.
#[derive(Debug)]
pub struct InForce {
    /// The policy.
    pub set: PolicySet,
    /// The directory.
    pub directory: Directory,
    /// Records that nobody has a reason to look at.
    pub canaries: Canaries,
    /// Differs between any two of a process, ascending.
    pub generation: u64,
}

/// What is wrong with the files, one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// With the policy.
    Policy(String),
    /// With the directory; the policy is good.
    Directory(String),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Policy(told) | LoadError::Directory(told) => f.write_str(told),
        }
    }
}

impl Policies {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// What is wrong with them, one line each.
    pub fn load(config: &Config) -> Result<Policies, String> {
        let first = read(&config.policy, config.directory.as_deref(), 1).map_err(|error| error.to_string())?;
        Ok(Policies {
            policy: config.policy.clone(),
            directory: config.directory.clone(),
            current: RwLock::new(Arc::new(first)),
            generation: AtomicU64::new(1),
            bindings: Cache::new(BINDINGS_MAX),
        })
    }

    /// Reads the files again; sessions use what was read from their next statement on.
    ///
    /// # Errors
    /// What is wrong with them. What was in force stays.
    pub fn reload(&self) -> Result<Arc<InForce>, LoadError> {
        let next = self.generation.load(Ordering::SeqCst) + 1;
        let read = Arc::new(read(&self.policy, self.directory.as_deref(), next)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&read);
        self.generation.store(next, Ordering::SeqCst);
        Ok(read)
    }

    /// What is in force.
    pub fn current(&self) -> Arc<InForce> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Generation of what is in force; cheap, to see whether something kept is still it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// What a policy means on one snapshot of a database.
    /// Where these relations hold copies.
    pub fn bind(&self, in_force: &InForce, view: &CatalogView, laid: &Laid) -> Arc<Binding> {
        let key = (in_force.generation, view.catalog.version(), laid.version, Arc::clone(view.catalog.database()));
        self.bindings.get_with(key, || {
            let (binding, diagnostics) = in_force.set.bind_with(&view.catalog, &laid.labels);
            for diagnostic in diagnostics {
                tracing::warn!(database = %view.catalog.database(), "{diagnostic}");
            }
            Arc::new(binding)
        })
    }

    /// The directory file, where there is one.
    pub fn directory_path(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// The policy file.
    pub fn policy_path(&self) -> &Path {
        &self.policy
    }
}

fn read(policy: &Path, directory: Option<&Path>, generation: u64) -> Result<InForce, LoadError> {
    let shown = policy.display().to_string();
    let bytes_max = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let text =
        read_bounded(policy, bytes_max).map_err(|reason| LoadError::Policy(format!("policy `{shown}` {reason}")))?;
    let (set, warnings) = PolicySet::load(&text, &shown).map_err(|diagnostics| {
        LoadError::Policy(diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let directory = match directory {
        Some(path) => Directory::load(path).map_err(|error| LoadError::Directory(error.to_string()))?,
        None => Directory::default(),
    };
    for warning in directory.warnings() {
        tracing::warn!("{warning}");
    }
    let canaries = Canaries::load(&set, policy).map_err(LoadError::Policy)?;
    Ok(InForce { set, directory, canaries, generation })
}
