//! Views whose output policy calls harmless, although they read something sensitive: masked columns, counts, queues.
//!
//! A view may be replaced by whoever owns it, so that policy confirms what it shows, not what it is called: a hash over
//! its definition, those of the views below it, and the functions that they call. While that does not fit, or none is
//! written, the view is like any other.
//!
//! What must never happen here: a definition that nobody has confirmed and that is taken for harmless.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;

use super::is_view;
use crate::analysis::called;
use crate::catalog::{Catalog, Function, Relation};
use crate::load::Diagnostic;
use crate::rule::Declassified;
use crate::set::PolicySet;

/// Definitions below one view that are looked at; one that reaches more is not declassified.
const DEFINITIONS_MAX: usize = 256;
/// Bytes of the hash that stand in a policy, as hexadecimal digits: nobody finds another definition with the same.
const HASH_BYTES: usize = 16;

impl PolicySet {
    /// Names of the views, as `via` tells them, whose output is harmless. Tells of those that are not confirmed.
    pub(super) fn harmless_views(&self, catalog: &Catalog, diagnostics: &mut Vec<Diagnostic>) -> BTreeSet<String> {
        let mut harmless = BTreeSet::new();
        for declassified in &self.declassified {
            if !declassified.view.speaks_of(catalog.engine(), catalog.database()) || catalog.is_unread() {
                continue;
            }
            let mut found = catalog.relations().iter().filter(|relation| declassified.view.matches(&relation.id));
            let Some(view) = found.find(|relation| is_view(relation)) else {
                let message = format!("no view is called `{}`, which is declassified", declassified.written);
                let hint = "check the name, and that Weir's own account may see it";
                diagnostics.push(self.tell(declassified.view.at, message, hint.to_owned()));
                continue;
            };
            match problem(declassified, view, catalog) {
                None => {
                    harmless.insert(view.id.to_string());
                }
                Some((message, hint)) => diagnostics.push(self.tell(declassified.view.at, message, hint)),
            }
        }
        harmless
    }
}

/// Why a view is not declassified, and what to do.
fn problem(declassified: &Declassified, view: &Relation, catalog: &Catalog) -> Option<(String, String)> {
    let name = &declassified.written;
    // What a program of the same name reads looks as if it came through the view.
    if let Some(what) = namesake(view, catalog) {
        let message = format!("`{name}` stays sensitive: a {what} has the same name");
        return Some((message, "rename one of them".to_owned()));
    }
    let Some(now) = definition(view, catalog) else {
        let message = format!("`{name}` stays sensitive: what it is made of cannot be read");
        return Some((message, "check that Weir's own account may see its definition and those below it".to_owned()));
    };
    match &declassified.definition {
        Some(confirmed) if **confirmed == *now => None,
        Some(_) => Some((
            format!("`{name}` stays sensitive: it, or what it is made of, has changed since it was confirmed"),
            format!("look at what it shows now; if that is harmless, write `definition: {now}`"),
        )),
        None => Some((
            format!("`{name}` stays sensitive: what it shows is not confirmed"),
            format!("look at its definition; if what it shows is harmless, write `definition: {now}`"),
        )),
    }
}

/// What else has the name of a view. Case is left out of it: MySQL leaves it out of some of these names.
fn namesake(view: &Relation, catalog: &Catalog) -> Option<&'static str> {
    let same = |program: &Function| {
        program.schema.to_lowercase() == view.id.schema.to_lowercase()
            && program.name.to_lowercase() == view.id.name.to_lowercase()
    };
    let folded = view.id.name.to_lowercase();
    if catalog.functions(&view.id.name).iter().chain(catalog.functions(&folded)).any(same) {
        return Some("function");
    }
    let mut triggers = catalog.relations().iter().flat_map(|relation| catalog.triggers(relation.oid));
    triggers.any(|trigger| same(&trigger.program)).then_some("trigger")
}

/// Hash over everything that a view's output depends on, besides the rows; `None` when some of it cannot be read.
fn definition(view: &Relation, catalog: &Catalog) -> Option<String> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut todo: Vec<&Relation> = vec![view];
    while let Some(relation) = todo.pop() {
        let text = relation.definition.clone()?;
        let mut names = called(&text, catalog.engine());
        // Operators, casts and domains run functions that no text names.
        for oid in catalog.code().views.get(&relation.oid).into_iter().flatten() {
            names.push(catalog.function(*oid)?.name.to_string());
        }
        functions_of(names, catalog, &mut parts)?;
        if parts.insert(format!("view {}", relation.id), text).is_some() {
            continue;
        }
        if parts.len() > DEFINITIONS_MAX {
            return None;
        }
        let below = relation.depends.iter().filter_map(|(oid, _)| catalog.by_oid(*oid));
        todo.extend(below.filter(|below| is_view(below) && below.oid != relation.oid));
    }
    let mut context = digest::Context::new(&digest::SHA256);
    for (name, text) in &parts {
        for part in [name, text] {
            // With its length before each, so that no text passes for two.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    Some(context.finish().as_ref().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect())
}

/// Bodies of the functions of these names, and of those that they call.
fn functions_of(names: Vec<String>, catalog: &Catalog, parts: &mut BTreeMap<String, String>) -> Option<()> {
    let mut todo = names;
    while let Some(name) = todo.pop() {
        for (index, function) in catalog.functions(&name).iter().enumerate() {
            let known = format!("function {}.{} {index}", function.schema, function.name);
            if parts.contains_key(&known) {
                continue;
            }
            if parts.len() > DEFINITIONS_MAX {
                return None;
            }
            // What an extension brings is as good as the server's own.
            let body = match &function.body {
                Some(body) => body.clone(),
                None if function.from_extension => String::new(),
                None => return None,
            };
            todo.extend(called(&body, catalog.engine()));
            for oid in &function.calls {
                todo.push(catalog.function(*oid)?.name.to_string());
            }
            parts.insert(known, format!("{}\n{body}", function.language));
        }
    }
    Some(())
}
