//! CREATE, ALTER, DROP, RENAME, TRUNCATE.
//!
//! DDL commits the open transaction, except what is about temporary tables alone.

use std::ops::Range;

use super::super::Context;
use super::super::candidates;
use super::super::copies;
use super::super::cursor::Cursor;
use super::super::found::Found;
use super::super::functions;
use super::super::reading;
use super::super::shape::Unit;
use super::super::uses::Draft;
use super::{admin, opaque, program};
use crate::copies::CopyOf;
use crate::relation::RelationName;
use crate::statement::{Access, Columns, Extent, SessionAct, Source, Verb};

/// Reads a statement that defines something.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Ddl;
    let whole = cursor.at..cursor.end;
    if cursor.is("truncate") {
        found.verb = Verb::Truncate;
        found.acts.push(SessionAct::Commit);
        return admin::touch(cursor.unit, whole, context, found, Access::Write);
    }
    let users = ["user", "role"].iter().any(|word| {
        (1..4).any(|ahead| cursor.is_at(ahead, word)) && !cursor.is_at(1, "table") && !cursor.is_at(1, "view")
    });
    if users && !is_other(cursor) {
        found.verb = Verb::Grant;
        found.accesses.insert(Access::Grant);
        found.acts.push(SessionAct::Commit);
        return;
    }
    found.accesses.insert(Access::Ddl);
    if let Some(body) = program::begins(cursor.unit, whole.start, whole.end)
        && program::read(cursor.unit, body, whole.end).is_none_or(|program| program.end != whole.end)
    {
        // Nobody knows where its body ends, so that what stands behind it may be statements that run.
        reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "stored program");
        found.acts.push(SessionAct::CatalogChanged);
        return opaque(found, "stored program");
    }
    elsewhere(cursor, found);
    if cursor.is("create") {
        return create(cursor, context, found, depth);
    }
    let temporary = cursor.is_at(1, "temporary");
    if !temporary {
        found.acts.push(SessionAct::Commit);
    }
    if cursor.is("alter") && cursor.find("view").is_some_and(|at| at < cursor.at + 16 && !cursor.is_at(1, "table")) {
        return view(cursor, context, found, depth);
    }
    let event = cursor.is("alter") && cursor.find("event").is_some_and(|at| at < cursor.at + 8);
    if event && cursor.find("do").is_none() && (cursor.find("enable").is_some() || cursor.find("schedule").is_some()) {
        // What will run now is not in the text.
        opaque(found, "event");
    }
    if moves_rows(cursor) {
        // RENAME TABLE does not see relations of the session's own.
        let everybodys = Context { temporary: &[], ..*context };
        unattended(cursor.unit, whole.clone(), &everybodys, found);
        moved(cursor, &everybodys, found);
    }
    admin::touch(cursor.unit, whole, context, found, Access::Ddl);
    unnamed(cursor, found);
    found.acts.push(SessionAct::CatalogChanged);
}

/// Whether one of the first words says that it is not about an account, whose kind then stands behind.
fn is_other(cursor: &Cursor<'_, '_>) -> bool {
    const OTHERS: [&str; 12] = [
        "table",
        "view",
        "procedure",
        "function",
        "trigger",
        "event",
        "index",
        "database",
        "schema",
        "definer",
        "sql",
        "algorithm",
    ];
    let user = (1..4).find(|ahead| cursor.is_at(*ahead, "user") || cursor.is_at(*ahead, "role")).unwrap_or(4);
    (1..user).any(|ahead| OTHERS.iter().any(|word| cursor.is_at(ahead, word)))
}

/// Engines and clauses whose tables hold, or read, what stands somewhere else.
fn elsewhere(cursor: &Cursor<'_, '_>, found: &mut Found) {
    let unit = cursor.unit;
    let view = cursor.find("view").is_some();
    for at in cursor.at..cursor.end {
        let token = &unit.tokens[at];
        let assigned = unit.tokens.get(at + 1).filter(|_| at + 1 < cursor.end);
        let equals = assigned.is_some_and(|next| next.raw(unit.text) == b"=" || next.is_punct(unit.text, "("));
        let foreign = candidates::is_any(unit, token, &["federated", "connect", "spider", "mrg_myisam", "merge"])
            && at.checked_sub(1).is_some_and(|before| {
                let before = &unit.tokens[before];
                before.raw(unit.text) == b"=" || candidates::is_any(unit, before, &["engine", "type"])
            });
        let query = unit.tokens.get(at + 2).is_some_and(|inner| {
            inner.is_punct(unit.text, "(") || candidates::is_any(unit, inner, &["select", "with", "values", "table"])
        });
        let joined = token.is_word(unit.text, "union") && equals && !view && !query;
        let linked = candidates::is_any(unit, token, &["connection", "soname"]) && assigned.is_some();
        if (foreign && !view) || joined || (linked && (equals || token.is_word(unit.text, "soname"))) {
            return opaque(found, "table elsewhere");
        }
    }
    if cursor.is_at(1, "server") || (cursor.is_at(1, "or") && cursor.is_at(3, "server")) {
        opaque(found, "server");
    }
}

/// Whatever is named stands somewhere else afterwards, or will be taken there, where no dataset speaks of it.
fn carry_over(unit: &Unit<'_>, whole: Range<usize>, context: &Context<'_>, found: &mut Found) {
    let before = found.drafts.len();
    admin::touch(unit, whole, context, found, Access::Read);
    for draft in found.drafts.iter_mut().skip(before) {
        draft.copied = Columns::All;
        draft.copied_many = true;
    }
}

/// A text that a program puts together is run under nobody's eyes.
fn unattended(unit: &Unit<'_>, whole: Range<usize>, context: &Context<'_>, found: &mut Found) {
    if unit.tokens[whole.clone()].iter().any(|token| candidates::is_any(unit, token, &["prepare", "execute"])) {
        opaque(found, "execute");
    }
    for at in whole.clone() {
        let call = candidates::is_any(unit, &unit.tokens[at], &["call"]);
        let mut cursor = Cursor { unit, at: at + 1, end: whole.end };
        if let Some((schema, name)) = cursor.dotted().filter(|_| call) {
            let call = candidates::Call { token: at + 1, schema, name: name.to_lowercase(), constants: None };
            functions::reach_procedure(&call, unit, context, found);
        }
    }
    carry_over(unit, whole, context, found);
}

/// Where the rows are afterwards: RENAME TABLE and ALTER TABLE … RENAME say so; whatever else moves them leaves them, in
/// some column, in one of the tables that it names.
fn moved(cursor: &Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let mut names = Cursor { unit: cursor.unit, at: cursor.at + 1, end: cursor.end };
    names.take_all(&["table", "tables", "online", "offline", "ignore"]);
    names.take_phrase(&["if", "exists"]);
    let mut pairs: Vec<(RelationName, RelationName)> = Vec::new();
    let written = |(schema, name): (Option<String>, String)| RelationName { schema, name };
    if cursor.is("rename") {
        while let Some(old) = names.dotted() {
            names.take_all(&["wait", "nowait", "to"]);
            let Some(new) = names.dotted() else { break };
            pairs.push((written(old), written(new)));
            if !names.take_punct(",") {
                break;
            }
        }
    } else if let Some(old) = names.dotted()
        && let Some(at) = names.find("rename")
    {
        let mut new = Cursor { unit: cursor.unit, at: at + 1, end: cursor.end };
        let column = ["column", "index", "key"].iter().any(|word| new.is(word));
        new.take_all(&["to", "as"]);
        if let Some(new) = new.dotted().filter(|_| !column) {
            pairs.push((written(old), written(new)));
        }
    }
    for (old, new) in &pairs {
        let relation = candidates::resolve(old, context).and_then(|index| context.catalog.relations().get(index));
        if let Some(relation) = relation {
            let at_home = || Some(relation.id.schema.to_string()).filter(|_| cursor.is("alter"));
            let target = RelationName { schema: new.schema.clone().or_else(at_home), name: new.name.clone() };
            found.renamed.push(CopyOf { target, relation: None, oid: 0, made: true, ..copies::moved(relation, false) });
        }
    }
    if pairs.is_empty() {
        for candidate in candidates::distinct(cursor.unit, cursor.at..cursor.end, context) {
            if let Some(relation) = context.catalog.relations().get(candidate.relation) {
                found.renamed.push(copies::moved(relation, true));
            }
        }
    }
}

/// ALTER TABLE … EXCHANGE PARTITION, CONVERT PARTITION … TO TABLE, CONVERT TABLE … TO PARTITION; another name for a table
/// or a column; a column that is computed from others; ALTER EVENT … DO.
fn moves_rows(cursor: &Cursor<'_, '_>) -> bool {
    if cursor.is("rename") {
        return true;
    }
    if !cursor.is("alter") {
        return false;
    }
    if cursor.find("event").is_some_and(|at| at < cursor.at + 8) {
        return cursor.find("do").is_some();
    }
    let tokens = &cursor.unit.tokens[..cursor.end];
    let renames = (cursor.at..cursor.end).any(|at| {
        candidates::is_any(cursor.unit, &tokens[at], &["rename"])
            && !tokens.get(at + 1).is_some_and(|next| candidates::is_any(cursor.unit, next, &["index", "key"]))
    });
    let computes = (cursor.at..cursor.end).any(|at| {
        tokens[at].is_word(cursor.unit.text, "as")
            && tokens.get(at + 1).is_some_and(|next| next.is_punct(cursor.unit.text, "("))
    });
    renames
        || computes
        || cursor.find("change").is_some()
        || cursor.find("exchange").is_some()
        || cursor.find("convert").is_some_and(|at| {
            cursor
                .unit
                .tokens
                .get(at + 1)
                .is_some_and(|next| candidates::is_any(cursor.unit, next, &["partition", "table"]))
        })
}

fn create(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let whole = cursor.at..cursor.end;
    let start = cursor.at;
    cursor.at += 1;
    cursor.take_phrase(&["or", "replace"]);
    let temporary = cursor.take("temporary");
    if !temporary {
        found.acts.push(SessionAct::Commit);
    }
    if cursor.take("table") {
        return table(cursor, context, found, (depth, temporary));
    }
    let kind = (cursor.at..cursor.end.min(cursor.at + 24)).find(|at| {
        candidates::is_any(
            cursor.unit,
            &cursor.unit.tokens[*at],
            &["view", "procedure", "function", "trigger", "event", "index", "sequence", "database", "schema"],
        )
    });
    if kind.is_some_and(|at| cursor.unit.tokens[at].is_word(cursor.unit.text, "view")) {
        cursor.at = start;
        return view(cursor, context, found, depth);
    }
    if kind.is_some_and(|at| candidates::is_any(cursor.unit, &cursor.unit.tokens[at], &["trigger", "event"])) {
        // It runs later, for nobody who could be asked.
        unattended(cursor.unit, whole.clone(), context, found);
    }
    admin::touch(cursor.unit, whole, context, found, Access::Ddl);
    found.acts.push(SessionAct::CatalogChanged);
}

/// CREATE VIEW and ALTER VIEW: the definition is read, and nothing leaves.
fn view(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let whole = cursor.at..cursor.end;
    let named = cursor.find("view").map(|at| at + 1);
    let body = cursor.find("as").filter(|at| named.is_some_and(|named| *at > named));
    let (Some(named), Some(body)) = (named, body) else {
        return reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "view");
    };
    cursor.at = named;
    cursor.take_phrase(&["if", "not", "exists"]);
    if let Some((schema, name)) = cursor.dotted() {
        let written = RelationName { schema, name };
        let relation = candidates::resolve(&written, context);
        found.draft(Draft::new(written, relation, Access::Ddl, Source::Parser));
    }
    let end = checked(cursor.unit, body, cursor.end);
    let before = found.drafts.len();
    reading::statement(cursor.unit, body + 1..end, context, found, depth + 1);
    for draft in found.drafts.iter_mut().skip(before).filter(|draft| draft.access == Access::Read) {
        draft.keeps();
    }
    found.extent = Extent::Unbounded;
    found.verb = Verb::Ddl;
    found.acts.push(SessionAct::CatalogChanged);
}

/// Where `WITH [CASCADED | LOCAL] CHECK OPTION` begins, or the end.
fn checked(unit: &Unit<'_>, start: usize, end: usize) -> usize {
    let word = |at: usize, word: &str| at < end && unit.tokens[at].is_word(unit.text, word);
    for back in [3_usize, 4] {
        let Some(at) = end.checked_sub(back).filter(|at| *at > start) else { continue };
        if word(at, "with") && word(end - 2, "check") && word(end - 1, "option") {
            return at;
        }
    }
    end
}

fn table(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, (depth, temporary): (usize, bool)) {
    let unit = cursor.unit;
    let whole = cursor.at..cursor.end;
    cursor.take_phrase(&["if", "not", "exists"]);
    let Some((schema, name)) = cursor.dotted() else {
        return reading::by_lexer(unit, whole, context, found, "parser-refused", "create");
    };
    let here = schema.as_deref().is_none_or(|schema| context.search_path.iter().any(|known| known == schema));
    let query = query(unit, cursor.at, cursor.end);
    let defining = cursor.at..query.as_ref().map_or(cursor.end, |query| query.start);
    if let Some(query) = query {
        let before = found.drafts.len();
        found.wants_output = true;
        reading::statement(unit, query, context, found, depth + 1);
        found.makes(&RelationName { schema: schema.clone(), name: name.clone() }, temporary, &[], before);
        for draft in found.drafts.iter_mut().skip(before).filter(|draft| draft.access == Access::Read) {
            draft.copies();
        }
        found.verb = Verb::Ddl;
        found.extent = Extent::Unbounded;
    }
    if temporary {
        // In another database it shadows nothing that is called by its name alone.
        if here {
            found.acts.push(SessionAct::CreateTemporary { name: name.clone() });
        }
    } else {
        found.acts.push(SessionAct::CatalogChanged);
    }
    let written = RelationName { schema, name };
    let relation = if temporary { None } else { candidates::resolve(&written, context) };
    found.draft(Draft::new(written, relation, Access::Ddl, Source::Parser));
    // LIKE, REFERENCES.
    admin::touch(unit, defining, context, found, Access::Ddl);
}

/// The query that fills a table.
fn query(unit: &Unit<'_>, start: usize, end: usize) -> Option<Range<usize>> {
    let is = |at: usize, words: &[&str]| at < end && candidates::is_any(unit, &unit.tokens[at], words);
    let mut depth = 0_usize;
    for at in start..end {
        let token = &unit.tokens[at];
        if token.is_punct(unit.text, "(") {
            let nested = (at + 1..end).find(|at| !unit.tokens[*at].is_punct(unit.text, "(")).unwrap_or(end);
            if depth == 0 && is(nested, &["select", "with", "values", "table"]) {
                return Some(at..end);
            }
            depth += 1;
        } else if token.is_punct(unit.text, ")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0
            && (is(at, &["select", "values", "table"]) || (is(at, &["with"]) && !is(at + 1, &["system", "parser"])))
        {
            return Some(at..end);
        }
    }
    None
}

/// Names that stop standing for what they stood for: DROP TABLE a, b; ALTER TABLE a RENAME TO b; RENAME TABLE a TO b.
fn unnamed(cursor: &mut Cursor<'_, '_>, found: &mut Found) {
    let drops = cursor.is("drop");
    let renames = cursor.is("rename");
    let moves = cursor.is("alter") && cursor.find("rename").is_some();
    if !drops && !renames && !moves {
        return;
    }
    cursor.at += 1;
    cursor.take_all(&["temporary", "online", "offline", "ignore"]);
    if !["table", "tables", "view"].iter().any(|word| cursor.is(word)) {
        return;
    }
    cursor.at += 1;
    cursor.take_phrase(&["if", "exists"]);
    while let Some((_, name)) = cursor.dotted() {
        found.acts.push(SessionAct::DropTemporary { name });
        if renames {
            cursor.take_all(&["wait", "nowait", "to"]);
            if let Some((_, name)) = cursor.dotted() {
                found.acts.push(SessionAct::DropTemporary { name });
            }
        }
        if moves || !cursor.take_punct(",") {
            break;
        }
    }
}
