//! Analyses of statement texts, shared by every session: the price of understanding is paid once for a shape.
//!
//! INVARIANT: the key holds everything that an analysis depends on. It is the literal-free shape of the text (a
//! cryptographic digest: nobody can make two statements meet), the lexical settings, the search path, and the
//! versions of policy and catalog.

use std::sync::Arc;

use moka::sync::Cache;
use weir_policy::analysis::{Context, LexSettings, Shape, analyse_shaped};
use weir_policy::binding::Binding;
use weir_policy::exposure::Exposure;
use weir_policy::statement::{
    Access, Analysis, Coverage, Gap, Operand, RelationUse, SessionAct, StatementAnalysis, Verb,
};

/// Bytes of analyses that are kept; an entry is counted with its redacted text and a base.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What an entry costs beside its text.
const ENTRY_BYTES: usize = 1024;
/// Rough bytes of one relation use.
const USE_BYTES: usize = 256;

/// A text, understood under one policy and one catalog.
#[derive(Debug)]
pub struct Understood {
    /// What it says.
    pub analysis: Analysis,
    /// What each of its statements exposes.
    pub exposures: Vec<Arc<Exposure>>,
    /// What all of them expose together: the strictest.
    pub merged: Arc<Exposure>,
    /// Whether a key is pinned by a parameter.
    pub pins_parameters: bool,
    /// Whether pins speak of the literals and parameters of this very text.
    pub pins_are_own: bool,
    /// Whether it changes what later statements of its session mean.
    pub changes_session: bool,
    /// Whether it runs or reads what earlier statements of its session named.
    pub uses_names: bool,
    /// Whether a relation was not found: the catalog may be older than the database.
    pub misses_relation: bool,
    /// What else the text may mean, where the session's state is not certain.
    pub others: Vec<Arc<Understood>>,
}

/// What an analysis is understood under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Terms {
    /// Lexical settings of the session.
    pub lex: LexSettings,
    /// Effective schema path.
    pub path: Arc<[String]>,
    /// Generation of the policy.
    pub generation: u64,
    /// Version of the catalog.
    pub catalog: u64,
    /// Version of what is known of copies.
    pub copies: u64,
    /// The database: catalogs that were never read have one version.
    pub database: Arc<str>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    shape: [u8; 32],
    terms: Terms,
}

/// The cache.
pub struct Analyses {
    cache: Cache<Key, Arc<Understood>>,
}

impl Default for Analyses {
    fn default() -> Self {
        let weigh = |_: &Key, understood: &Arc<Understood>| {
            let uses: usize = understood.analysis.statements.iter().map(|statement| statement.uses.len()).sum();
            let bytes = ENTRY_BYTES + understood.analysis.redacted.len() + uses * USE_BYTES;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Analyses { cache: Cache::builder().max_capacity(CACHE_BYTES_MAX).weigher(weigh).build() }
    }
}

impl Analyses {
    /// Understands a text of which the shape is known, under `terms`; `context` and `binding` are what they name.
    pub fn understand(
        &self,
        text: &[u8],
        shape: &Shape,
        terms: &Terms,
        context: &Context<'_>,
        binding: &Binding,
    ) -> Arc<Understood> {
        if !context.temporary.is_empty() {
            // Names that only this session knows must not be shared.
            return Arc::new(Understood::new(analyse_shaped(text, shape, context), binding));
        }
        let key = Key { shape: shape.key, terms: terms.clone() };
        self.cache.get_with(key, || Arc::new(Understood::new(analyse_shaped(text, shape, context), binding)))
    }
}

impl Understood {
    fn new(analysis: Analysis, binding: &Binding) -> Understood {
        let exposures: Vec<Arc<Exposure>> =
            analysis.statements.iter().map(|statement| Arc::new(binding.exposure(statement))).collect();
        let merged = match exposures.as_slice() {
            [only] => Arc::clone(only),
            all => Arc::new(binding.merge(all.iter().map(AsRef::as_ref))),
        };
        let acts = || analysis.statements.iter().flat_map(|statement| &statement.acts);
        let changes_session = analysis.touches_names || acts().any(changes_session);
        let uses_names = acts().any(|act| {
            matches!(act, SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. } | SessionAct::ReadsWarnings)
        });
        let pins =
            analysis.statements.iter().flat_map(|statement| &statement.uses).filter_map(|used| used.pin.as_ref());
        let pins_parameters = pins.flatten().any(|operand| matches!(operand, Operand::Param(_)));
        let misses_relation =
            analysis.statements.iter().any(|statement| statement.gaps.iter().any(|gap| gap.code == "unknown-relation"));
        Understood {
            exposures,
            merged,
            pins_parameters,
            pins_are_own: true,
            changes_session,
            uses_names,
            misses_relation,
            others: Vec::new(),
            analysis,
        }
    }

    /// The same text, its statements exposing this.
    pub fn with_exposures(
        &self,
        exposures: Vec<Arc<Exposure>>,
        others: Vec<Arc<Understood>>,
        pins_are_own: bool,
        binding: &Binding,
    ) -> Understood {
        Understood {
            others,
            analysis: self.analysis.clone(),
            merged: Arc::new(binding.merge(exposures.iter().map(AsRef::as_ref))),
            exposures,
            pins_are_own,
            ..*self
        }
    }

    /// A request that puts the session back to its start.
    pub fn reset(binding: &Binding) -> Understood {
        let act = SessionAct::Discard { all: true };
        Understood::without_text(Verb::Session, vec![act], Coverage::Full, Vec::new(), binding)
    }

    /// Something of which Weir never saw the text: a name that nobody prepared here, a function called by number.
    pub fn unseen(code: &'static str, subject: String, binding: &Binding) -> Understood {
        let gaps = vec![Gap { code, subject }];
        Understood::without_text(Verb::Unknown, Vec::new(), Coverage::Opaque, gaps, binding)
    }

    fn without_text(
        verb: Verb,
        acts: Vec<SessionAct>,
        coverage: Coverage,
        gaps: Vec<Gap>,
        binding: &Binding,
    ) -> Understood {
        let statement = StatementAnalysis {
            verb,
            uses: Vec::new(),
            accesses: std::collections::BTreeSet::new(),
            privileges: Vec::new(),
            functions: Vec::new(),
            acts,
            copies: Vec::new(),
            unfollowed: false,
            queries: std::collections::BTreeSet::new(),
            extent: weir_policy::statement::Extent::Unbounded,
            skips: false,
            coverage,
            gaps,
        };
        let analysis = Analysis {
            statements: vec![statement],
            redacted: String::new(),
            fingerprint: String::new(),
            touches_names: false,
        };
        Understood::new(analysis, binding)
    }

    /// Whether it only changes the catalog or the session and reads no relation, so that it may be judged by a catalog that
    /// such statements have outdated: a script of hundreds of them does not read the catalog hundreds of times.
    pub fn reads_nothing(&self) -> bool {
        self.analysis.statements.iter().all(|statement| {
            let changes =
                matches!(statement.verb, Verb::Ddl | Verb::Grant | Verb::Session | Verb::Transaction | Verb::Empty);
            let reads = |used: &RelationUse| matches!(used.access, Access::Read | Access::Export);
            changes
                && !statement.uses.iter().any(reads)
                && statement.functions.is_empty()
                && statement.gaps.iter().all(|gap| gap.code == "unknown-relation")
        })
    }

    /// Whether one of its statements asks for a file of the client.
    pub fn loads_local(&self) -> bool {
        self.analysis.statements.iter().any(|statement| statement.acts.contains(&SessionAct::LoadLocal))
    }

    /// Whether names of its results may be computed: nobody has read the text that defines them.
    pub fn may_compute(&self) -> bool {
        self.merged.opaque().is_some()
    }

    /// Whether values of parameters matter: they pin a key, or something is asked with them.
    pub fn wants_values(&self) -> bool {
        self.pins_parameters || self.exposures.iter().any(|exposure| !exposure.asked().is_empty())
    }

    /// Whether it puts the session back to its start.
    pub fn starts_over(&self) -> bool {
        let mut acts = self.analysis.statements.iter().flat_map(|statement| &statement.acts);
        acts.any(|act| matches!(act, SessionAct::Discard { all: true }))
    }

    /// What it does, by its first statement.
    pub fn verb(&self) -> Verb {
        self.analysis.statements.first().map_or(Verb::Unknown, |statement| statement.verb)
    }
}

/// Whether an act must have come to its end before a later statement of the session can be understood.
fn changes_session(act: &SessionAct) -> bool {
    match act {
        SessionAct::Set { name, .. } => {
            matches!(
                name.as_str(),
                "search_path"
                    | "standard_conforming_strings"
                    | "backslash_quote"
                    | "client_encoding"
                    | "database"
                    | "sql_mode"
                    | "names"
                    | "character_set_client"
                    | "character_set"
                    | "charset"
            )
        }
        SessionAct::Begin | SessionAct::Commit | SessionAct::Rollback => false,
        SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. } => false,
        _ => true,
    }
}
