//! What a session knows of copies when it judges: where the labels of a statement belong, and what its text does with
//! what its own earlier statements, or those before it in the same text, have copied.

use std::sync::Arc;

use weir_policy::binding::holders;
use weir_policy::copies::{Copied, Label, Target};
use weir_policy::exposure::Exposure;
use weir_policy::relation::Engine;
use weir_policy::statement::{Access, Analysis, Columns, RelationUse, SessionAct, StatementAnalysis};

use super::Mind;
use crate::analyses::Understood;
use crate::catalog::CatalogView;
use crate::session::names::OwnCopy;

/// Copies of copies of copies that one text is followed through: it has to hold as many statements.
const ROUNDS_MAX: usize = 8;

impl Mind {
    /// The label of a copy as others will meet it; `None`: only this session can read the target.
    pub fn placed(&self, copied: &Copied) -> Option<Label> {
        let mut label = copied.label.clone();
        if copied.temporary && !self.names.is_born(&label.target.name) {
            return None;
        }
        if label.target.oid == 0 && label.target.schemas.is_empty() {
            let paths = self.names.paths();
            let schemas = paths.iter().flat_map(|path| path.iter());
            let others = schemas.filter(|schema| !schema.starts_with("pg_"));
            let mut schemas: Vec<Arc<str>> = others.map(|schema| Arc::from(schema.as_str())).collect();
            schemas.sort();
            schemas.dedup();
            label.target.schemas = schemas;
        }
        if copied.made && label.target.oid == 0 && self.engine() == Engine::Postgres {
            let there = holders(&label.target, &self.bound.view.catalog);
            label.target.before = there.iter().map(|relation| relation.oid).collect();
        }
        Some(label)
    }

    /// What is to be known of copies that a statement makes for others to read.
    pub fn labels(&self, copies: &[Copied]) -> Vec<Label> {
        copies.iter().filter_map(|copied| self.placed(copied)).collect()
    }

    /// Names of the session's own relations that it copies into.
    pub fn own_targets(&self, copies: &[Copied]) -> Vec<String> {
        let own = copies.iter().filter(|copied| self.placed(copied).is_none());
        own.map(|copied| copied.label.target.name.to_string()).collect()
    }

    /// Name of the upstream.
    pub fn upstream(&self) -> &str {
        &self.session.upstream
    }

    /// The snapshot that the last statement was judged by.
    pub fn catalog(&self) -> &CatalogView {
        &self.bound.view
    }

    /// Whether a copy in this database is known by a name only: a catalog must show its number before DDL gives the name
    /// to something else.
    pub fn has_unseen_copies(&self) -> bool {
        self.shared.copies.has_unseen(&self.session.upstream, &self.bound.view.catalog)
    }

    /// One of the session's own relations has been filled. `counted`: with more than was charged.
    pub fn copied(&mut self, name: &str, exposure: &Arc<Exposure>, counted: bool) {
        self.names.copied(name, exposure, counted);
    }

    /// Records what a catalog shows of the copies.
    pub(super) fn observe_copies(&self, view: &CatalogView) {
        for record in self.shared.copies.observe(&self.session.upstream, &view.catalog) {
            self.note(record);
        }
    }

    /// Whether a text makes a relation of the session's own that has the name of something sensitive.
    pub(super) fn makes_namesake(&self, analysis: &Analysis) -> bool {
        let mut acts = analysis.statements.iter().flat_map(|statement| &statement.acts);
        self.engine() == Engine::Postgres
            && acts.any(|act| matches!(act, SessionAct::CreateTemporary { name } if self.bound.binding.guards(name)))
    }

    /// What a text exposes with what it reads of copies that no binding knows of yet: those that it makes itself, and those
    /// in relations of the session's own. `without`: the text understood as if these names were not the session's own.
    pub(super) fn with_copies(
        &self,
        understood: Arc<Understood>,
        without: impl Fn(&[&str]) -> Arc<Understood>,
    ) -> Arc<Understood> {
        let statements = &understood.analysis.statements;
        let makes = !understood.merged.copies().is_empty() && (statements.len() > 1 || statements.iter().any(lets_out));
        if self.names.copies().is_empty() && !makes {
            return understood;
        }
        let mut exposures = understood.exposures.clone();
        if makes {
            self.read_back(&understood, &mut exposures);
        }
        let mut own: Vec<OwnCopy> = self.names.copies().to_vec();
        let made = || exposures.iter().flat_map(|exposure| exposure.copies());
        let mut names: Vec<String> = self.names.copies().iter().map(|copy| copy.name.clone()).collect();
        names.extend(self.own_targets(&made().cloned().collect::<Vec<_>>()));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let bare = if names.is_empty() { Arc::clone(&understood) } else { without(&names) };
        for (index, exposure) in exposures.iter_mut().enumerate() {
            let meant =
                bare.analysis.statements.get(index).filter(|_| bare.analysis.statements.len() == statements.len());
            let mut parts = vec![Arc::clone(exposure)];
            for copy in own.iter().filter(|copy| meant.is_none_or(|meant| reads_own(meant, &copy.name))) {
                let targets = meant.map(targets).unwrap_or_default();
                parts.push(Arc::new(self.bound.binding.carried(&copy.exposure, copy.counted, &targets)));
            }
            if parts.len() > 1 {
                *exposure = Arc::new(self.bound.binding.merge(parts.iter().map(AsRef::as_ref)));
            }
            // Nobody has counted yet what it really copies.
            own.extend(self.own_targets(exposure.copies()).into_iter().map(|name| OwnCopy {
                name,
                exposure: Arc::clone(exposure),
                counted: true,
            }));
        }
        let unchanged = exposures.iter().zip(&understood.exposures).all(|(one, other)| Arc::ptr_eq(one, other));
        if unchanged {
            return understood;
        }
        let others = understood.others.clone();
        Arc::new(understood.with_exposures(exposures, others, understood.pins_are_own, &self.bound.binding))
    }

    /// Adds what statements of a text read of relations that it has copied into.
    fn read_back(&self, understood: &Understood, exposures: &mut [Arc<Exposure>]) {
        let mut known: Vec<Label> = self.bound.laid.labels.to_vec();
        for _ in 0..ROUNDS_MAX {
            let made = exposures.iter().flat_map(|exposure| self.labels(exposure.copies()));
            let fresh: Vec<Label> = made.filter(|label| !known.contains(label)).collect();
            if fresh.is_empty() {
                return;
            }
            known.extend(fresh);
            let (binding, _) = self.bound.in_force.set.bind_with(&self.bound.view.catalog, &known);
            let meanings =
                std::iter::once(&understood.analysis).chain(understood.others.iter().map(|other| &other.analysis));
            let mut parts: Vec<Vec<Arc<Exposure>>> =
                exposures.iter().map(|exposure| vec![Arc::clone(exposure)]).collect();
            for analysis in meanings.filter(|analysis| analysis.statements.len() == exposures.len()) {
                for (statement, parts) in analysis.statements.iter().zip(&mut parts) {
                    let meant = binding.exposure(statement);
                    if !parts.iter().any(|known| **known == meant) {
                        parts.push(Arc::new(meant));
                    }
                }
            }
            for (exposure, parts) in exposures.iter_mut().zip(parts).filter(|(_, parts)| parts.len() > 1) {
                *exposure = Arc::new(self.bound.binding.merge(parts.iter().map(AsRef::as_ref)));
            }
        }
    }
}

/// Whether a statement lets out values of what it reads, or returns of what it writes.
fn lets_out(statement: &StatementAnalysis) -> bool {
    let released = |used: &RelationUse| used.released != Columns::None || used.packed != Columns::None;
    statement.uses.iter().any(|used| used.access == Access::Read && released(used))
}

/// Whether a statement may read the session's own relation of this name, in whatever case; empty: any of them.
fn reads_own(statement: &StatementAnalysis, name: &str) -> bool {
    let by_name =
        statement.acts.iter().any(|act| matches!(act, SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. }));
    let reads = |used: &RelationUse| {
        matches!(used.access, Access::Read | Access::Export)
            && (name.is_empty() || used.written.name.to_lowercase() == name.to_lowercase())
    };
    by_name || statement.uses.iter().any(reads)
}

/// Relations for others to read that a statement fills.
fn targets(statement: &StatementAnalysis) -> Vec<Target> {
    let own = |used: &RelationUse| {
        statement.acts.iter().any(
            |act| matches!(act, SessionAct::CreateTemporary { name } if used.relation.is_none() && *name == used.written.name),
        )
    };
    let fills = |used: &&RelationUse| {
        let made = used.access == Access::Ddl && used.relation.is_none();
        (used.access == Access::Write || made) && !own(used)
    };
    statement
        .uses
        .iter()
        .filter(fills)
        .map(|used| match &used.relation {
            Some(id) => {
                let oid = if id.engine == Engine::Postgres { used.oid } else { 0 };
                Target { schemas: vec![id.schema.clone()], name: id.name.clone(), oid, before: Vec::new() }
            }
            None => Target {
                schemas: used.written.schema.as_deref().map(Arc::from).into_iter().collect(),
                name: used.written.name.as_str().into(),
                oid: 0,
                before: Vec::new(),
            },
        })
        .collect()
}
