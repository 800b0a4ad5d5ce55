//! What a text means: under each way in which its names may be meant, with what was prepared or declared before.
//!
//! What must never happen here: a meaning that is possible and is not judged.

use std::borrow::Cow;
use std::sync::Arc;

use weir_policy::analysis::{Context, shape};
use weir_policy::binding::Binding;
use weir_policy::exposure::Exposure;
use weir_policy::relation::Engine;
use weir_policy::statement::{Analysis, SessionAct};

use super::{Mind, Reading};
use crate::analyses::{Terms, Understood};
use crate::session::SessionEngine;
use crate::session::execution::{Handle, Known};
use crate::session::names::Names;

/// Relations of its own that one text may make before what follows is read as if it had not.
const MADE_MAX: usize = 8;

impl Mind {
    /// What a text means now.
    pub fn understand(&mut self, text: &[u8], known: &Known, engine: &impl SessionEngine) -> Arc<Understood> {
        self.bound();
        if let Some((stamp, understood)) = &*known.last.borrow()
            && *stamp == self.bound.stamp
        {
            return Arc::clone(understood);
        }
        if self.spelling.is_ambiguous() && !text.is_ascii() {
            return self.unseen("client-encoding", "a character may hide a quote".to_owned());
        }
        let under = |reading: &Reading, made: &[(usize, String)]| {
            let mut temporary = reading.temporary.clone();
            let own = made.iter().map(|(_, name)| name);
            temporary.extend(own.filter(|name| !reading.guarded || !self.bound.binding.guards(name)).cloned());
            let lex = reading.terms.lex;
            let context = Context {
                lex,
                catalog: &self.bound.view.catalog,
                search_path: &reading.terms.path,
                temporary: &temporary,
            };
            let reshaped = (known.lex != lex).then(|| shape(text, lex));
            let shape = reshaped.as_ref().unwrap_or(&known.shape);
            self.shared.analyses.understand(text, shape, &reading.terms, &context, &self.bound.binding)
        };
        let now = self.readings_of(known);
        let Some(first) = now.first() else {
            return self.unseen("search-path", "not known".to_owned());
        };
        let base = under(first, &[]);
        if self.spelling.changes_within(&base.analysis) {
            return self.unseen("spelling", "the text changes how the rest of it is read".to_owned());
        }
        let mut readings = now.to_vec();
        for path in self.names.paths_within(&base.analysis) {
            let temporary = self.names.temporary(&path);
            let further = Reading { terms: Terms { path, ..first.terms.clone() }, temporary, ..first.clone() };
            if !readings.contains(&further) {
                readings.push(further);
            }
        }
        if self.names.is_pristine() && changes_names_within(&base.analysis) {
            readings.extend(guarded_readings(Some(first), &self.bound.binding));
        }
        let made = made_within(&base.analysis, &self.names);
        let rebound = self.bound.binding.is_sensitive() && self.names.uses_rebound(&base.analysis);
        let alone = readings.len() == 1 && made.is_empty() && !base.uses_names && !rebound;
        let understood = match alone {
            true => Arc::clone(&base),
            false => self.understand_widely(&base, &readings, &made, engine, rebound, under),
        };
        let understood = self.with_copies(understood, |own| {
            let temporary = first.temporary.iter().filter(|name| !own.contains(&name.as_str())).cloned().collect();
            under(&Reading { temporary, ..first.clone() }, &[])
        });
        if !base.uses_names {
            *known.last.borrow_mut() = Some((self.bound.stamp, Arc::clone(&understood)));
        }
        understood
    }

    /// The ways in which the names of a text may be meant. What MySQL has prepared keeps the database and the mode of then.
    /// <https://dev.mysql.com/doc/refman/en/prepare.html>
    pub(super) fn readings_of(&self, known: &Known) -> Cow<'_, [Reading]> {
        let (Some(then), Some(now)) = (&known.prepared_under, self.bound.readings.first()) else {
            return self.bound.readings.as_slice().into();
        };
        let under = |terms: &Terms| {
            let temporary = self.names.temporary(&terms.path);
            let terms = Terms { lex: terms.lex, path: Arc::clone(&terms.path), ..now.terms.clone() };
            Reading { terms, temporary, ..now.clone() }
        };
        let mut readings: Vec<Reading> = then.iter().map(under).collect();
        if !self.names.is_pristine() {
            // What hid a relation when it was prepared, or hides one now, may be gone.
            let guarded: Vec<Reading> =
                readings.iter().flat_map(|reading| guarded_readings(Some(reading), &self.bound.binding)).collect();
            readings.extend(guarded);
        }
        readings.into()
    }

    /// Each statement of a text under everything that may be in force when its turn comes.
    pub(super) fn understand_widely(
        &self,
        base: &Arc<Understood>,
        readings: &[Reading],
        made: &[(usize, String)],
        engine: &impl SessionEngine,
        rebound: bool,
        under: impl Fn(&Reading, &[(usize, String)]) -> Arc<Understood>,
    ) -> Arc<Understood> {
        let binding = &self.bound.binding;
        let understood: Vec<Vec<Arc<Understood>>> = (0..=made.len())
            .map(|count| readings.iter().map(|reading| under(reading, made.get(..count).unwrap_or(made))).collect())
            .collect();
        let mut own = true;
        let mut exposures = Vec::with_capacity(base.exposures.len());
        for (index, statement) in base.analysis.statements.iter().enumerate() {
            let before = made.iter().filter(|(at, _)| *at < index).count();
            let meanings = understood.get(before).into_iter().flatten();
            // Cut in another way a text has other statements: then each may be any of them.
            let part = |meant: &Arc<Understood>| match meant.exposures.get(index) {
                Some(part) if meant.exposures.len() == base.exposures.len() => Arc::clone(part),
                _ => Arc::clone(&meant.merged),
            };
            let mut parts: Vec<Arc<Exposure>> = meanings.map(part).collect();
            for act in &statement.acts {
                own &= !matches!(act, SessionAct::ExecutePrepared { .. } | SessionAct::Fetch { .. });
                if *act == SessionAct::ReadsWarnings {
                    let earlier = base.exposures.iter().take(index).chain(&self.warned);
                    parts.extend(earlier.map(|exposure| Arc::new(binding.warned(exposure))));
                }
                parts.extend(self.behind_name(act, &understood, engine));
            }
            if rebound {
                let unknown = self.unseen("changed-in-transaction", "a name that it uses".to_owned());
                parts.push(Arc::clone(&unknown.merged));
            }
            exposures.push(match parts.as_slice() {
                [only] => Arc::clone(only),
                parts => Arc::new(binding.merge(parts.iter().map(AsRef::as_ref))),
            });
        }
        let others = understood.into_iter().flatten().filter(|other| !Arc::ptr_eq(other, base)).collect();
        Arc::new(base.with_exposures(exposures, others, own, binding))
    }

    /// What the statement or cursor exposes that an act runs by name.
    pub(super) fn behind_name(
        &self,
        act: &SessionAct,
        readings: &[Vec<Arc<Understood>>],
        engine: &impl SessionEngine,
    ) -> Vec<Arc<Exposure>> {
        let (name, is_cursor) = match act {
            SessionAct::ExecutePrepared { name } => (name, false),
            SessionAct::Fetch { name } => (name, true),
            _ => return Vec::new(),
        };
        let binding = &self.bound.binding;
        let mut found: Vec<Arc<Exposure>> = Vec::new();
        // Within a text a name may be given and used.
        let statements = readings.iter().flatten().flat_map(|reading| &reading.analysis.statements);
        for earlier in statements.flat_map(|statement| &statement.acts) {
            match earlier {
                SessionAct::Prepare { name: given, body } if given == name && !is_cursor => {
                    found.push(Arc::new(binding.exposure(body)));
                }
                SessionAct::DeclareCursor { name: given, body } if given == name && is_cursor => {
                    found.push(Arc::new(binding.exposure(body)));
                }
                _ => {}
            }
        }
        let catalog = self.bound.view.catalog.version();
        let bodies = if is_cursor { self.names.cursor(name) } else { self.names.prepared(name, catalog) };
        found.extend(bodies.into_iter().flatten().map(|body| Arc::new(binding.exposure(body))));
        let of_protocol = if is_cursor { engine.portal_named(name) } else { engine.statement_named(name) };
        if let Some(Handle(known)) = of_protocol {
            // As it was understood; what has changed since may have given it another meaning.
            match &*known.last.borrow() {
                Some((_, understood)) => found.push(Arc::clone(&understood.merged)),
                None => found.clear(),
            }
            let current = known.last.borrow().as_ref().is_some_and(|(stamp, _)| *stamp == self.bound.stamp);
            if !current {
                found.push(Arc::clone(&self.unseen("unknown-name", name.clone()).merged));
            }
        }
        if found.is_empty() {
            found.push(Arc::clone(&self.unseen("unknown-name", name.clone()).merged));
        }
        found
    }
}

/// Readings in which whatever has the name of something sensitive is that: one for each schema that holds any.
pub(super) fn guarded_readings(first: Option<&Reading>, binding: &Binding) -> Vec<Reading> {
    /// More schemas than this share a reading.
    const SCHEMAS_MAX: usize = 8;
    let Some(first) = first else { return Vec::new() };
    if first.terms.lex.engine() == Engine::Mysql {
        // Where a name is looked up is certain; what is not is whether a relation of the session's own hides another.
        let mut reading = first.clone();
        reading.temporary.retain(|name| !binding.guards(name));
        reading.guarded = true;
        return vec![reading];
    }
    let schemas = binding.schemas();
    let each = if schemas.len() > SCHEMAS_MAX { schemas.len() } else { 1 };
    let guarded = |schemas: &[Arc<str>]| {
        let named = schemas.iter().map(|schema| schema.to_string());
        let server = std::iter::once("pg_catalog".to_owned());
        let rest = first.terms.path.iter().filter(|schema| *schema != "pg_catalog").cloned();
        let mut reading = first.clone();
        reading.terms.path = server.chain(named).chain(rest).collect();
        reading.temporary.retain(|name| !binding.guards(name));
        reading.guarded = true;
        reading
    };
    schemas.chunks(each.max(1)).map(guarded).collect()
}

/// Whether a statement of a text may change what names mean to those behind it.
fn changes_names_within(analysis: &Analysis) -> bool {
    analysis.statements.len() > 1
        && analysis.statements.iter().flat_map(|statement| &statement.acts).any(|act| {
            !matches!(
                act,
                SessionAct::Begin
                    | SessionAct::ExecutePrepared { .. }
                    | SessionAct::Fetch { .. }
                    | SessionAct::CloseCursor { .. }
                    | SessionAct::DeclareCursor { .. }
                    | SessionAct::Prepare { .. }
                    | SessionAct::Deallocate { .. }
            ) && !matches!(act, SessionAct::Set { name, .. } if name != "search_path" && name != "role" && name != "database")
        })
}

/// Relations of its own that each statement of a text makes.
fn made_within(analysis: &Analysis, names: &Names) -> Vec<(usize, String)> {
    let mut made = names.temporary_within(analysis);
    made.truncate(MADE_MAX);
    made
}
