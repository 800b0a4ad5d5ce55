//! Statements that are not queries: COPY, DDL, grants, DO, CALL, PREPARE, cursors, EXPLAIN, maintenance.
//!
//! They are read from tokens, since their grammars are flat and the parser's versions of them are neither complete
//! nor stable. Each keeps the rule that every name which resolves is a use.

use std::ops::Range;
use std::sync::Arc;

use super::candidates::{self, Candidate};
use super::copies;
use super::cursor::Cursor;
use super::found::Found;
use super::functions;
use super::lexer::{Kind, Token};
use super::reading;
use super::shape::Unit;
use super::uses::Draft;
use super::{Context, expand};
use crate::catalog::{Role, Volatility};
use crate::relation::RelationName;
use crate::statement::{Access, Columns, Coverage, Extent, SessionAct, Source, StatementAnalysis, Verb};

/// Statements within statements (PREPARE x AS EXPLAIN …) are read this deep.
pub(super) const INNER_STATEMENTS_MAX: usize = 4;

/// Relations that one statement moves; a schema with more is not renamed while people work with it.
const MOVED_MAX: usize = 4096;

/// Reads a statement that is not a query.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let whole = cursor.at..cursor.end;
    if cursor.take("copy") {
        copy(cursor, context, found, depth);
    } else if cursor.take("explain") {
        explain(cursor, context, found, depth);
    } else if cursor.take("prepare") {
        prepare(cursor, context, found, depth);
    } else if cursor.take("execute") {
        found.verb = Verb::Select;
        execute(cursor, context, found);
    } else if cursor.take("declare") {
        declare(cursor, context, found, depth);
    } else if cursor.is("do") {
        found.verb = Verb::Call;
        anonymous(cursor, context, found);
    } else if cursor.is("call") {
        found.verb = Verb::Call;
        call(cursor, context, found);
    } else if cursor.is("grant") || cursor.is("revoke") {
        found.verb = Verb::Grant;
        grant(cursor, context, found);
    } else if cursor.is("truncate") {
        found.verb = Verb::Truncate;
        touch(cursor.unit, whole, context, found, Access::Write);
    } else if cursor.is("create") {
        create(cursor, context, found, depth);
    } else if ["alter", "drop", "comment", "security", "import", "reassign"].iter().any(|word| cursor.is(word)) {
        define(cursor, context, found);
    } else if cursor.take("refresh") {
        found.verb = Verb::Utility;
        touch(cursor.unit, whole, context, found, Access::Write);
    } else if ["vacuum", "analyze", "analyse", "cluster", "reindex", "lock"].iter().any(|word| cursor.is(word)) {
        found.verb = Verb::Utility;
        touch(cursor.unit, whole, context, found, Access::Read);
    } else if cursor.is("load") {
        found.verb = Verb::Utility;
        found.gap("dynamic-sql", "load", Coverage::Opaque);
    } else {
        found.verb = Verb::Unknown;
        // A word, never a literal: gaps stand in records.
        let word = cursor.peek().filter(Token::is_identifier);
        let subject =
            word.map_or_else(|| "statement".to_owned(), |word| word.identifier(cursor.unit.text).into_owned());
        reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", &subject);
    }
}

/// Every name is a use of this kind, from which nothing leaves.
fn touch(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, access: Access) {
    for Candidate { name, relation, .. } in candidates::distinct(unit, range.clone(), context) {
        found.draft(Draft::new(name, Some(relation), access, Source::Parser));
    }
    let fills = range.clone().any(|at| unit.tokens[at].is_word(unit.text, "alter"));
    for call in candidates::calls(unit, range) {
        // CREATE TRIGGER … EXECUTE FUNCTION f(), GRANT … ON FUNCTION f(): named, not called.
        let named = call.token > 0
            && candidates::is_any(
                unit,
                &unit.tokens[call.token - 1],
                &["function", "procedure", "routine", "aggregate"],
            );
        if !named && functions::is_special(&call.name, context) {
            let before = found.drafts.len();
            let mut atoms = functions::reach(&call, unit, context, found, &[], 0);
            for usage in before..found.drafts.len() {
                atoms.extend(found.drafts.get_mut(usage).map(|draft| draft.returned(usage)).into_iter().flatten());
            }
            // A definition returns nothing. ALTER TABLE fills columns.
            if fills { found.copy_atoms(&atoms, true) } else { found.use_atoms(&atoms) }
        }
    }
}

/// Texts in a statement that hold code: what they name may be reached when the code runs.
fn bodies(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, access: Access) {
    let before = found.drafts.len();
    for at in range {
        if let (Kind::Text(_), Some(value)) = (unit.tokens[at].kind, unit.constant(at)) {
            functions::text(&value, unit.settings, context, found, Source::Literal, &[], 0);
        }
    }
    for draft in found.drafts.iter_mut().skip(before).filter(|_| access != Access::Read) {
        draft.access = access;
        draft.released = Columns::None;
        draft.packed = Columns::None;
        draft.packed_whole = false;
    }
}

/// DO: what it reads stays in it, unless it tells it or puts it somewhere.
fn anonymous(cursor: &Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let unit = cursor.unit;
    let whole = cursor.at..cursor.end;
    let languages = whole.clone().filter(|at| unit.tokens[*at].is_word(unit.text, "language"));
    let strange = languages
        .clone()
        .any(|at| unit.tokens.get(at + 1).is_none_or(|language| !candidates::is_any(unit, language, &["plpgsql"])));
    let mut texts = whole.clone().filter(|at| matches!(unit.tokens[*at].kind, Kind::Text(_)));
    let body = match (texts.next(), texts.next(), strange) {
        (Some(body), None, false) => unit.constant(body),
        _ => None,
    };
    let once = std::mem::replace(&mut found.once, true);
    let understood = body.is_some_and(|body| super::postgres::block(&body, unit.settings, context, found));
    found.once = once;
    if !understood {
        found.gap("dynamic-sql", "do", Coverage::Opaque);
        bodies(unit, whole, context, found, Access::Read);
    }
    if found.coverage != Coverage::Full {
        // Where policy lets it run, it may have changed anything.
        found.acts.push(SessionAct::CatalogChanged);
    }
}

fn copy(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Copy;
    cursor.take("binary");
    if let Some(inner) = cursor.parenthesised() {
        let start = found.drafts.len();
        reading::statement(cursor.unit, inner, context, found, depth + 1);
        found.extent = Extent::Unbounded;
        found.verb = Verb::Copy;
        for draft in found.drafts.iter_mut().skip(start).filter(|draft| draft.access == Access::Read) {
            draft.access = Access::Export;
        }
        program(cursor, found);
        to_file(cursor, found, start);
        return;
    }
    let first = cursor.at;
    let Some((schema, name)) = cursor.dotted() else {
        reading::by_lexer(cursor.unit, first..cursor.end, context, found, "parser-refused", "copy");
        return;
    };
    let columns = cursor.parenthesised().map(|range| {
        let names = range
            .filter(|at| cursor.unit.tokens[*at].is_identifier())
            .map(|at| Arc::from(&*cursor.unit.tokens[at].identifier(cursor.unit.text)));
        Columns::Some(names.collect())
    });
    let out = cursor.is("to");
    let temporary = schema.is_none() && context.temporary.contains(&name);
    let start = found.drafts.len();
    let written = RelationName { schema, name };
    let relation = candidates::resolve(&written, context);
    if !temporary {
        if relation.is_none() {
            found.gap("unknown-relation", &written.to_string(), Coverage::Partial);
        }
        let mut draft = Draft::new(written, relation, if out { Access::Export } else { Access::Write }, Source::Parser);
        if out {
            // The whole relation as a column list writes it; a view's own sources go with it.
            draft.released = columns.unwrap_or(Columns::All);
            let view = relation.and_then(|index| context.catalog.relations().get(index)).is_some_and(expand::is_view);
            if view {
                let columns = draft.released.clone();
                let before = found.drafts.len();
                draft.released = Columns::All;
                expand::reached(draft, context, found);
                if let Some(own) = found.drafts.get_mut(before) {
                    own.released = columns;
                }
            } else {
                found.draft(draft);
            }
        } else {
            found.draft(draft);
        }
    }
    program(cursor, found);
    if out {
        to_file(cursor, found, start);
    }
    if let Some(filter) = cursor.find("where") {
        for candidate in candidates::calls(cursor.unit, filter..cursor.end) {
            functions::reach_and_release(&candidate, cursor.unit, context, found, &[], 0);
        }
    }
}

/// COPY … TO anything but STDOUT: no row of it comes by, so that all are charged as copies, and nobody can follow them.
fn to_file(cursor: &Cursor<'_, '_>, found: &mut Found, first: usize) {
    if cursor.is("to") && !cursor.is_at(1, "stdout") {
        found.unfollowed = true;
        found.drafts.iter_mut().skip(first).filter(|draft| draft.access == Access::Export).for_each(Draft::copies);
    }
}

/// COPY … FROM PROGRAM runs a command on the server, which can do anything that the server can.
fn program(cursor: &Cursor<'_, '_>, found: &mut Found) {
    if cursor.is_at(1, "program") {
        found.gap("dynamic-sql", "copy program", Coverage::Opaque);
    }
}

fn explain(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let options = cursor.at;
    if cursor.is_punct("(") {
        cursor.parenthesised();
    } else {
        cursor.take_all(&["analyze", "analyse", "verbose"]);
    }
    let runs = cursor.unit.tokens[options..cursor.at]
        .iter()
        .any(|token| candidates::is_any(cursor.unit, token, &["analyze", "analyse"]));
    // The plan of a cursor is that of its query.
    let query = if cursor.is("declare") { cursor.find("for").map_or(cursor.at, |at| at + 1) } else { cursor.at };
    reading::statement(cursor.unit, query..cursor.end, context, found, depth + 1);
    if !runs {
        found.moved.clear();
        found.acts.retain(|act| matches!(act, SessionAct::ExecutePrepared { .. }));
    }
    // The plan is shown, not the rows. Only where it runs and writes do values go anywhere: into a copy. The planner
    // runs functions, too: what an immutable one returns stands in the plan.
    for draft in &mut found.drafts {
        let shown = draft.planned == Some(Volatility::Immutable);
        draft.keeps();
        if shown {
            let used = draft.used.clone();
            super::uses::merge(&mut draft.packed, &used);
            draft.packed_whole = true;
        }
        if !runs {
            if !matches!(draft.planned, Some(Volatility::Immutable | Volatility::Stable)) {
                let told = std::mem::take(&mut draft.told);
                super::uses::merge(&mut draft.used, &told);
                draft.told_whole = false;
            }
            let copied = std::mem::take(&mut draft.copied);
            super::uses::merge(&mut draft.used, &copied);
        }
    }
    found.extent = Extent::Unbounded;
    found.verb = Verb::Explain;
}

/// The analysis of a statement that will run later, under a name. Its literals and parameters are not those of the
/// statement that runs it, so nothing may point at them.
fn later(
    unit: &Unit<'_>,
    range: Range<usize>,
    context: &Context<'_>,
    found: &mut Found,
    depth: usize,
) -> Arc<StatementAnalysis> {
    let mut body = Found::new(Verb::Unknown);
    reading::statement(unit, range, context, &mut body, depth + 1);
    detach(&mut body, unit);
    found.touches_names |= body.touches_names;
    found.cost(body.costs());
    Arc::new(body.finish(context.catalog))
}

/// What planning a statement runs, and tells, before any of its rows is asked for.
fn planned(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let own = |at: usize| !context.catalog.functions(&unit.tokens[at].identifier(unit.text)).is_empty();
    if !range.clone().any(|at| unit.tokens[at].is_identifier() && own(at)) {
        return;
    }
    let mut inner = Found::new(Verb::Unknown);
    reading::statement(unit, range, context, &mut inner, depth + 1);
    let early = |draft: &Draft| {
        draft.told != Columns::None && matches!(draft.planned, Some(Volatility::Immutable | Volatility::Stable))
    };
    for mut draft in inner.drafts.into_iter().filter(early) {
        draft.keeps();
        draft.copied = Columns::None;
        draft.pin = None;
        found.draft(draft);
    }
}

/// Lets nothing point at literals and parameters of the text that was read.
pub(super) fn detach(found: &mut Found, unit: &Unit<'_>) {
    for draft in &mut found.drafts {
        draft.pin = None;
    }
    if let Extent::Limited(operand) = found.extent {
        let number = match operand {
            crate::statement::Operand::Literal(index) => unit
                .literals
                .get(index)
                .filter(|(_, literal)| literal.kept)
                .and_then(|(token, _)| unit.constant(*token)),
            crate::statement::Operand::Param(_) => None,
        };
        found.extent = number
            .and_then(|number| std::str::from_utf8(&number).ok()?.parse().ok())
            .map_or(Extent::Unbounded, Extent::LimitedTo);
    }
}

fn prepare(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Utility;
    let whole = cursor.at..cursor.end;
    let name = cursor.name();
    cursor.parenthesised();
    match name {
        Some(name) if cursor.take("as") => {
            let body = later(cursor.unit, cursor.at..cursor.end, context, found, depth);
            found.acts.push(SessionAct::Prepare { name, body });
        }
        _ => reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "prepare"),
    }
}

fn execute(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let whole = cursor.at..cursor.end;
    match cursor.name() {
        Some(name) => found.acts.push(SessionAct::ExecutePrepared { name }),
        None => found.gap("parser-refused", "execute", Coverage::Opaque),
    }
    for call in candidates::calls(cursor.unit, whole.start + 1..whole.end.max(whole.start + 1)) {
        functions::reach_and_release(&call, cursor.unit, context, found, &[], 0);
    }
}

fn declare(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Utility;
    let whole = cursor.at..cursor.end;
    let name = cursor.name();
    match (name, cursor.find("for")) {
        (Some(name), Some(at)) => {
            let body = later(cursor.unit, at + 1..cursor.end, context, found, depth);
            planned(cursor.unit, at + 1..cursor.end, context, found, depth);
            found.acts.push(SessionAct::DeclareCursor { name, body });
        }
        _ => reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "declare"),
    }
}

fn call(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let calls = candidates::calls(cursor.unit, cursor.at + 1..cursor.end);
    // CALL of what the catalog does not hold: a procedure is never built in.
    if calls.first().is_none_or(|call| context.catalog.functions(&call.name).is_empty()) {
        found.gap("unknown-function", calls.first().map_or("call", |call| call.name.as_str()), Coverage::Opaque);
    }
    let once = std::mem::replace(&mut found.once, true);
    for call in &calls {
        functions::reach_and_release(call, cursor.unit, context, found, &[], 0);
    }
    found.once = once;
    for candidate in candidates::distinct(cursor.unit, cursor.at + 1..cursor.end, context) {
        if calls.first().is_none_or(|call| call.name != candidate.name.name) {
            found.draft(Draft::new(candidate.name, Some(candidate.relation), Access::Read, Source::Lexer).packed_all());
        }
    }
}

fn grant(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.accesses.insert(Access::Grant);
    let Some(on) = cursor.find("on") else { return };
    let end = cursor.find("to").or_else(|| cursor.find("from")).filter(|end| *end > on).unwrap_or(cursor.end);
    let mut inner = Cursor { unit: cursor.unit, at: on + 1, end };
    if inner.take_phrase(&["all", "tables", "in", "schema"]) {
        let schemas: Vec<String> = (inner.at..end)
            .filter(|at| cursor.unit.tokens[*at].is_identifier())
            .map(|at| cursor.unit.tokens[at].identifier(cursor.unit.text).into_owned())
            .collect();
        for (index, relation) in context
            .catalog
            .relations()
            .iter()
            .enumerate()
            .filter(|(_, relation)| schemas.iter().any(|schema| **schema == *relation.id.schema))
        {
            if found.is_spent() {
                found.gap("too-large", "grant", Coverage::Partial);
                return;
            }
            found.draft(Draft::new(functions::catalog_name(relation), Some(index), Access::Grant, Source::Catalog));
        }
        return;
    }
    for Candidate { name, relation, .. } in candidates::distinct(cursor.unit, on + 1..end, context) {
        found.draft(Draft::new(name, Some(relation), Access::Grant, Source::Parser));
    }
}

fn create(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Ddl;
    found.accesses.insert(Access::Ddl);
    let whole = cursor.at..cursor.end;
    cursor.at += 1;
    cursor.take_phrase(&["or", "replace"]);
    let mut temporary = false;
    while ["global", "local", "temp", "temporary", "unlogged", "recursive", "foreign", "materialized"]
        .iter()
        .any(|word| cursor.is(word))
    {
        temporary |= cursor.is("temp") || cursor.is("temporary");
        cursor.at += 1;
    }
    let view = cursor.is("view");
    if ["role", "user", "group"].iter().any(|word| cursor.is(word)) && !cursor.is_at(1, "mapping") {
        found.verb = Verb::Grant;
        found.accesses = std::collections::BTreeSet::from([Access::Grant]);
        return;
    }
    if !view && !cursor.is("table") {
        let passing = cursor.is("domain") || cursor.is("type");
        if passing && is_of_session(&mut cursor.clone(), context) && runs_code(cursor.unit, whole.clone(), context) {
            // No catalog shows a session's own types, and what their functions do may change.
            found.gap("temporary-code", "type", Coverage::Opaque);
        }
        found.acts.push(SessionAct::CatalogChanged);
        touch(cursor.unit, whole.clone(), context, found, Access::Ddl);
        bodies(cursor.unit, whole.clone(), context, found, Access::Ddl);
        if cursor.is("publication") {
            published(cursor, whole, context, found);
        }
        return;
    }
    cursor.at += 1;
    cursor.take_phrase(&["if", "not", "exists"]);
    let Some((schema, name)) = cursor.dotted() else {
        reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "create");
        return;
    };
    temporary |= schema.as_deref().is_some_and(|schema| schema.starts_with("pg_temp"));
    let query = cursor.find("as").filter(|at| is_query(cursor.unit, at + 1, cursor.end));
    let body_end = query.map_or(cursor.end, |query| with_data(cursor.unit, query, cursor.end));
    let reads = found.drafts.len();
    found.wants_output = true;
    if let Some(query) = query {
        if cursor.unit.tokens.get(query + 1).is_some_and(|token| token.is_word(cursor.unit.text, "execute")) {
            // What the name stands for is judged as a read, and nobody would count what is copied.
            found.gap("dynamic-sql", "create table as execute", Coverage::Opaque);
            found.output = None;
            execute(&mut Cursor { unit: cursor.unit, at: query + 2, end: body_end }, context, found);
        } else {
            reading::statement(cursor.unit, query + 1..body_end, context, found, depth + 1);
        }
        found.verb = Verb::Ddl;
        found.extent = Extent::Unbounded;
    }
    if query.is_some() {
        let filled = !view && !(body_end..cursor.end).any(|at| cursor.unit.tokens[at].is_word(cursor.unit.text, "no"));
        let materialized = cursor.unit.tokens[whole.start..cursor.at]
            .iter()
            .any(|token| candidates::is_any(cursor.unit, token, &["materialized"]));
        // What a materialised view holds is known by its definition.
        if filled && !materialized {
            let own = temporary;
            let name = RelationName { schema: schema.clone(), name: name.clone() };
            found.makes(&name, own, &column_names(cursor), reads);
        }
        found.output = None;
    }
    found.wants_output = false;
    let releases =
        found.drafts[reads..].iter().any(|draft| draft.released != Columns::None || draft.packed != Columns::None);
    // A view holds no rows, and a materialised one is known by what it depends on. A table is a copy, if it is filled.
    let empty = (body_end..cursor.end).any(|at| cursor.unit.tokens[at].is_word(cursor.unit.text, "no"));
    for draft in found.drafts[reads..].iter_mut().filter(|draft| draft.access == Access::Read) {
        if view || empty { draft.keeps() } else { draft.copies() }
    }
    if view && temporary && releases {
        // The name would stand for other relations' rows, and no catalog shows a session's own view.
        found.gap("temporary-view", &name, Coverage::Opaque);
    } else if temporary {
        if !(cursor
            .find("drop")
            .is_some_and(|at| at > 0 && cursor.unit.tokens[at - 1].is_word(cursor.unit.text, "commit")))
        {
            found.acts.push(SessionAct::CreateTemporary { name: name.clone() });
        }
    } else {
        found.acts.push(SessionAct::CatalogChanged);
    }
    if temporary && !view && runs_code(cursor.unit, cursor.at..query.unwrap_or(cursor.end), context) {
        // A default or a check of a relation that no catalog shows.
        found.gap("temporary-code", &name, Coverage::Opaque);
    }
    let written = RelationName { schema, name };
    let relation = if temporary { None } else { candidates::resolve(&written, context) };
    found.draft(Draft::new(written, relation, Access::Ddl, Source::Parser));
    // LIKE, PARTITION OF, INHERITS, REFERENCES.
    touch(cursor.unit, cursor.at..query.unwrap_or(cursor.end), context, found, Access::Ddl);
}

/// Names that CREATE TABLE gives to columns before its AS; the cursor stands behind the table's own.
fn column_names(cursor: &Cursor<'_, '_>) -> Vec<Arc<str>> {
    let mut list = Cursor { unit: cursor.unit, at: cursor.at, end: cursor.end };
    let names = list.parenthesised().unwrap_or(cursor.at..cursor.at);
    names
        .filter(|at| cursor.unit.tokens[*at].is_identifier())
        .map(|at| Arc::from(&*cursor.unit.tokens[at].identifier(cursor.unit.text)))
        .collect()
}

/// Whether the name behind the next word is one of the session's own: in `pg_temp`, or where that comes first.
fn is_of_session(cursor: &mut Cursor<'_, '_>, context: &Context<'_>) -> bool {
    cursor.at += 1;
    let schema = cursor.dotted().and_then(|(schema, _)| schema);
    let first = || context.search_path.iter().find(|schema| *schema != "pg_catalog").cloned();
    schema.or_else(first).is_some_and(|schema| schema.starts_with("pg_temp"))
}

/// Whether a definition calls functions of the database's own, or takes over from a relation or type that does.
fn runs_code(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> bool {
    let code = context.catalog.code();
    let calls = candidates::calls(unit, range.clone());
    let own = |name: &str| context.catalog.functions(name).iter().any(|function| !function.from_extension);
    let unknown = |name: &str, schema: Option<&str>| {
        schema.is_some_and(|schema| schema.starts_with("pg_temp"))
            || (schema.is_some() && context.catalog.functions(name).is_empty() && schema != Some("pg_catalog"))
    };
    calls.iter().any(|call| own(&call.name) || unknown(&call.name, call.schema.as_deref()))
        || range.clone().any(|at| {
            let token = &unit.tokens[at];
            token.is_identifier() && code.types_named(&token.identifier(unit.text)).next().is_some()
        })
        || candidates::distinct(unit, range, context).iter().any(|candidate| {
            let relation = context.catalog.relations().get(candidate.relation);
            relation.is_some_and(|relation| {
                let hooks = code.hooks.get(&relation.oid).into_iter().flatten();
                hooks.into_iter().any(|hook| matches!(hook.role, Role::Value | Role::Condition))
                    || relation.columns.iter().any(|column| code.types.contains_key(&column.type_oid))
            })
        })
}

/// Where `WITH [NO] DATA` or `WITH … CHECK OPTION` begins, or the end.
fn with_data(unit: &Unit<'_>, start: usize, end: usize) -> usize {
    let word = |at: usize, word: &str| at < end && unit.tokens[at].is_word(unit.text, word);
    for back in [2_usize, 3, 4] {
        let Some(at) = end.checked_sub(back).filter(|at| *at > start) else { continue };
        if word(at, "with") && (word(end - 1, "data") || (word(end - 1, "option") && word(end - 2, "check"))) {
            return at;
        }
    }
    end
}

fn is_query(unit: &Unit<'_>, at: usize, end: usize) -> bool {
    at < end
        && (candidates::is_any(unit, &unit.tokens[at], &["select", "with", "values", "table", "execute"])
            || unit.tokens[at].is_punct(unit.text, "("))
}

fn define(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.verb = Verb::Ddl;
    let whole = cursor.at..cursor.end;
    let roles = ["role", "user", "group"].iter().any(|word| cursor.is_at(1, word)) && !cursor.is_at(2, "mapping");
    let owner = cursor
        .find("owner")
        .is_some_and(|at| at + 1 < cursor.end && cursor.unit.tokens[at + 1].is_word(cursor.unit.text, "to"));
    let privileges = cursor.is_at(1, "default") && cursor.is_at(2, "privileges");
    if roles || owner || privileges || cursor.is("reassign") || (cursor.is("drop") && cursor.is_at(1, "owned")) {
        found.verb = Verb::Grant;
        found.accesses.insert(Access::Grant);
        if owner {
            touch(cursor.unit, whole, context, found, Access::Grant);
            found.acts.push(SessionAct::CatalogChanged);
        }
        return;
    }
    found.accesses.insert(Access::Ddl);
    touch(cursor.unit, whole.clone(), context, found, Access::Ddl);
    bodies(cursor.unit, whole.clone(), context, found, Access::Ddl);
    moves(cursor, context, found);
    if cursor.is("alter") && cursor.is_at(1, "publication") && cursor.find("drop").is_none() {
        published(cursor, whole, context, found);
    }
    dropped(cursor, found);
    found.acts.push(SessionAct::CatalogChanged);
}

/// A publication: whoever may subscribe to it gets every row of what it names, past everybody who counts.
/// <https://www.postgresql.org/docs/current/logical-replication-publication.html>
fn published(cursor: &Cursor<'_, '_>, whole: Range<usize>, context: &Context<'_>, found: &mut Found) {
    if cursor.find("all").is_some() || cursor.find("schema").is_some() {
        found.gap("dynamic-sql", "publication of all tables", Coverage::Opaque);
    }
    for Candidate { name, relation, .. } in candidates::distinct(cursor.unit, whole, context) {
        let mut draft = Draft::new(name, Some(relation), Access::Export, Source::Parser).released_all();
        draft.copies();
        found.draft(draft);
        found.unfollowed = true;
    }
}

/// ALTER TABLE that lets a relation keep its rows under another name or in another place, or a value under another
/// column: RENAME, SET SCHEMA, DETACH, NO INHERIT, a generated column, USING. Policy speaks by name, and what it said
/// holds for the rows.
fn moves(cursor: &Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let is =
        |at: usize, words: &[&str]| at < cursor.end && candidates::is_any(cursor.unit, &cursor.unit.tokens[at], words);
    let has = |words: &[&str]| (cursor.at..cursor.end).any(|at| is(at, words));
    let table = ["table", "materialized", "foreign", "view"].iter().any(|word| cursor.is_at(1, word));
    let schema = cursor.is_at(1, "schema") && cursor.find("rename").is_some();
    if !cursor.is("alter") || !(table || schema) {
        return;
    }
    if schema {
        // Every relation of the schema gets another name.
        let mut inner = Cursor { unit: cursor.unit, at: cursor.at + 2, end: cursor.end };
        let Some(schema) = inner.name() else { return };
        let within = context.catalog.relations().iter().filter(|relation| *relation.id.schema == *schema);
        found.renamed.extend(within.take(MOVED_MAX).map(|relation| copies::moved(relation, false)));
        return;
    }
    let computes = has(&["generated", "using"]);
    if computes || has(&["rename", "detach"]) || cursor.find("schema").is_some() || has(&["inherit"]) {
        for Candidate { relation, .. } in candidates::distinct(cursor.unit, cursor.at..cursor.end, context) {
            if let Some(relation) = context.catalog.relations().get(relation) {
                found.renamed.push(copies::moved(relation, computes));
            }
        }
    }
}

/// Names that stop standing for what they stood for: DROP TABLE a, b; ALTER TABLE a RENAME TO b, SET SCHEMA s.
fn dropped(cursor: &mut Cursor<'_, '_>, found: &mut Found) {
    let drop = cursor.is("drop");
    let moves = cursor.is("alter") && (cursor.find("rename").is_some() || cursor.find("schema").is_some());
    if !drop && !moves {
        return;
    }
    cursor.at += 1;
    cursor.take_all(&["materialized", "foreign"]);
    if !["table", "view", "sequence"].iter().any(|word| cursor.is(word)) {
        return;
    }
    cursor.at += 1;
    cursor.take_phrase(&["if", "exists"]);
    cursor.take("only");
    while let Some((schema, name)) = cursor.dotted() {
        if schema.is_none_or(|schema| schema.starts_with("pg_temp")) {
            found.acts.push(SessionAct::DropTemporary { name });
        }
        if !drop || !cursor.take_punct(",") {
            break;
        }
    }
}
