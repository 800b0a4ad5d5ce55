//! What runs without being named when a statement does what it does: behind the relations that it reads and writes,
//! the operators and types that it mentions.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::candidates;
use super::super::found::Found;
use super::super::lexer::Kind;
use super::super::shape::Unit;
use super::super::uses::{Atom, Draft};
use super::super::{Context, parse};
use super::body;
use crate::catalog::{Hook, Moment, Role};
use crate::relation::RelationName;
use crate::statement::{Access, Columns, Source, Verb};

/// Relations that go with one, by partitions and foreign keys, are followed to this many.
const RELATIONS_MAX: usize = 4096;

/// Adds what runs unnamed behind a statement whose uses begin at `first`.
pub(super) fn fire(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, first: usize) {
    let code = context.catalog.code();
    if code.is_empty() {
        return;
    }
    // Bodies may be of any depth.
    let done = parse::guarded(false, || {
        mentioned(unit, range.clone(), context, found, first);
        touched(unit, range, context, found, first);
    });
    if done.is_none() {
        found.gap("analysis-failed", "code behind relations", crate::statement::Coverage::Opaque);
    }
}

/// Operators and types of the database's own run functions of its own.
fn mentioned(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, first: usize) {
    let code = context.catalog.code();
    if code.operators.is_empty() && code.types.is_empty() && code.ambient.is_empty() {
        return;
    }
    let mut types: BTreeSet<u32> = BTreeSet::new();
    let mut operators = BTreeSet::new();
    for at in range {
        let token = &unit.tokens[at];
        if token.is_identifier() {
            types.extend(code.types_named(&token.identifier(unit.text)));
        } else if token.kind == Kind::Operator {
            operators.insert(String::from_utf8_lossy(token.raw(unit.text)).into_owned());
        }
    }
    for draft in found.drafts.iter().skip(first) {
        let relation = draft.relation.and_then(|index| context.catalog.relations().get(index));
        let columns = relation.iter().flat_map(|relation| &relation.columns);
        types.extend(columns.map(|column| column.type_oid).filter(|oid| code.types.contains_key(oid)));
    }
    for name in &found.functions {
        let called = context.catalog.functions(name).iter().flat_map(|function| &function.types);
        types.extend(called.filter(|oid| code.types.contains_key(*oid)));
    }
    let mut functions: BTreeSet<u32> = code.ambient.iter().copied().collect();
    for operator in operators.iter().filter_map(|name| code.operators.get(name.as_str())).flatten() {
        if operator.types.is_empty() || operator.types.iter().any(|of| types.contains(of)) {
            functions.extend(&operator.functions);
        }
    }
    for of in types.iter().filter_map(|oid| code.types.get(oid)) {
        functions.extend(&of.functions);
    }
    let via = found.via.clone();
    let mut atoms = Vec::new();
    for function in functions {
        atoms.extend(body::call_by_number(function, context, found, &via));
    }
    match found.verb {
        Verb::Ddl | Verb::Grant | Verb::Utility => {}
        Verb::Select | Verb::Call | Verb::Explain | Verb::Unknown => found.release(&atoms),
        _ => {
            found.release(&atoms);
            found.copy_atoms(&atoms, true);
        }
    }
}

/// Triggers, rules, policies, defaults, checks of the relations that are touched.
fn touched(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, first: usize) {
    let code = context.catalog.code();
    let has = |words: &[&str]| range.clone().any(|at| candidates::is_any(unit, &unit.tokens[at], words));
    let changes = [
        (Moment::Insert, has(&["insert", "copy"])),
        (Moment::Update, has(&["update"])),
        (Moment::Delete, has(&["delete"])),
        (Moment::Truncate, has(&["truncate"])),
    ];
    let returns = has(&["returning"]);
    let utility = found.verb == Verb::Utility;
    let mut at = first;
    while let Some(draft) = found.drafts.get(at) {
        at += 1;
        let (access, one) = (draft.access, draft.one);
        let Some(relation) = draft.relation.and_then(|index| context.catalog.relations().get(index)) else { continue };
        let oid = relation.oid;
        let mut moments: BTreeSet<Moment> = match access {
            _ if utility => BTreeSet::from([Moment::Maintain]),
            Access::Read | Access::Export => BTreeSet::from([Moment::Read]),
            Access::Write => {
                let said: BTreeSet<Moment> =
                    changes.iter().filter(|(_, said)| *said).map(|(moment, _)| *moment).collect();
                // Reached where no word of this text says how: any may be.
                if said.is_empty() { BTreeSet::from([Moment::Insert, Moment::Update, Moment::Delete]) } else { said }
            }
            Access::Ddl => BTreeSet::from([Moment::Maintain]),
            Access::Grant | Access::SetRole | Access::Definer | Access::Configure | Access::AuditOff => continue,
        };
        if utility && let Some(functions) = code.views.get(&oid) {
            // A materialised view is filled again.
            for function in functions {
                let via = found.via.clone();
                let atoms = body::call_by_number(*function, context, found, &via);
                found.use_atoms(&atoms);
            }
        }
        for (relation, depth) in family(oid, &moments, context) {
            if depth > 0 && moments.contains(&Moment::Delete) {
                // A row that goes may set another's columns.
                moments.insert(Moment::Update);
            }
            for (place, hook) in code.hooks.get(&relation).into_iter().flatten().enumerate() {
                for moment in hook.on.iter().filter(|moment| moments.contains(*moment)) {
                    if found.behind.insert((relation, *moment, place)) {
                        run(hook, *moment, relation, context, found, (one, returns));
                    }
                }
            }
        }
    }
    if matches!(found.verb, Verb::Ddl | Verb::Grant) && found.via.is_empty() {
        for event in &code.events {
            let atoms = body::call_by_number(*event, context, found, &["(event trigger)".to_owned()]);
            found.use_atoms(&atoms);
        }
    }
}

/// The relation, its partitions and heirs, and what foreign keys take along; with 0 for the relation and its own.
fn family(oid: u32, moments: &BTreeSet<Moment>, context: &Context<'_>) -> Vec<(u32, usize)> {
    let code = context.catalog.code();
    let follows = moments.contains(&Moment::Delete) || moments.contains(&Moment::Update);
    let mut found = vec![(oid, 0)];
    let mut seen = BTreeSet::from([oid]);
    let mut next = 0;
    while let Some((oid, depth)) = found.get(next).copied() {
        next += 1;
        let heirs = context.catalog.children(oid).iter().map(|heir| (*heir, depth));
        let taken = code.cascades.get(&oid).into_iter().flatten().filter(|_| follows).map(|child| (*child, depth + 1));
        for (other, depth) in heirs.chain(taken) {
            if found.len() < RELATIONS_MAX && seen.insert(other) {
                found.push((other, depth));
            }
        }
    }
    found
}

fn run(
    hook: &Hook,
    moment: Moment,
    relation: u32,
    context: &Context<'_>,
    found: &mut Found,
    (one, returns): (bool, bool),
) {
    let mut via = found.via.clone();
    let of = context.catalog.by_oid(relation);
    via.push(format!("{} {}", of.map_or_else(String::new, |relation| relation.id.to_string()), hook.label));
    // The row that a trigger is for: what of it is told leaves.
    let row = of
        .filter(|_| matches!(hook.role, Role::Row | Role::Aside) && matches!(moment, Moment::Update | Moment::Delete));
    let usage = row.map(|relation| {
        let name = RelationName { schema: Some(relation.id.schema.to_string()), name: relation.id.name.to_string() };
        let draft = Draft::new(name, context.catalog.index_of(relation), Access::Read, Source::Catalog).via(&via);
        found.draft(Draft { silent: true, ..draft })
    });
    let rows = usage.map(|usage| vec![("old".to_owned(), usage), ("new".to_owned(), usage)]).unwrap_or_default();
    let first = found.drafts.len();
    let before = (std::mem::replace(&mut found.rows, rows), std::mem::replace(&mut found.once, one));
    let mut atoms: Vec<Atom> = Vec::new();
    for function in &hook.functions {
        atoms.extend(body::call_by_number(*function, context, found, &via));
    }
    if let Some(text) = &hook.text {
        atoms.extend(body::kept(text, hook.role == Role::Value, context, found, &via));
    }
    (found.rows, found.once) = before;
    if let Some(usage) = usage {
        // Its own values stay in the row, or go where the owner of the table wanted them.
        atoms.retain(|atom| atom.usage != usage);
        if let Some(draft) = found.drafts.get_mut(usage) {
            draft.copied = Columns::None;
            draft.copied_many = false;
            draft.released = Columns::None;
            draft.packed = Columns::None;
            draft.packed_whole = false;
        }
    }
    match hook.role {
        Role::Condition => {
            for draft in found.drafts.iter_mut().skip(first) {
                draft.silent = true;
            }
        }
        Role::Aside => {}
        Role::Value | Role::Row => {
            found.copy_atoms(&atoms, !one);
            if returns {
                found.release(&atoms);
            }
        }
        Role::Rule => found.release(&atoms),
    }
}
