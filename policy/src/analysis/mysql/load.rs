//! LOAD DATA and HANDLER.

use std::sync::Arc;

use super::super::Context;
use super::super::candidates;
use super::super::cursor::Cursor;
use super::super::expand;
use super::super::found::Found;
use super::super::functions;
use super::super::reading::{self, Fate};
use super::super::uses::Draft;
use super::{admin, folded, opaque, parts};
use crate::relation::RelationName;
use crate::statement::{Access, Coverage, SessionAct, Source, Verb};

/// LOAD DATA | XML [LOCAL] INFILE … INTO TABLE t; LOAD INDEX INTO CACHE.
pub(super) fn load(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    let whole = cursor.at..cursor.end;
    cursor.at += 1;
    if !cursor.is("data") && !cursor.is("xml") {
        found.verb = Verb::Utility;
        return admin::touch(cursor.unit, whole, context, found, Access::Read);
    }
    found.verb = Verb::Copy;
    cursor.at += 1;
    cursor.take_all(&["low_priority", "concurrent"]);
    if cursor.take("local") || cursor.find("local").is_some_and(|at| at < cursor.at + 3) {
        found.acts.push(SessionAct::LoadLocal);
    } else {
        // A file of the server: nobody knows what it holds, as with LOAD_FILE.
        opaque(found, "load data");
    }
    let table = cursor
        .find("into")
        .filter(|at| cursor.unit.tokens.get(at + 1).is_some_and(|next| next.is_word(cursor.unit.text, "table")));
    let Some(table) = table else {
        return reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "load");
    };
    cursor.at = table + 2;
    let Some((schema, name)) = cursor.dotted() else {
        return reading::by_lexer(cursor.unit, whole, context, found, "parser-refused", "load");
    };
    if !admin::is_temporary(schema.as_deref(), &name, context) {
        let written = RelationName { schema, name };
        let relation = candidates::resolve(&written, context);
        if relation.is_none() {
            found.gap("unknown-relation", &written.to_string(), Coverage::Partial);
        }
        let before = found.drafts.len();
        expand::reached(Draft::new(written, relation, Access::Write, Source::Parser), context, found);
        for draft in found.drafts.iter_mut().skip(before) {
            draft.access = Access::Write;
        }
    }
    // SET column = expression: what it reads goes into the rows.
    let mut rest = cursor.clone();
    while let Some(at) = rest.find("set") {
        if cursor.unit.tokens[at - 1].is_word(cursor.unit.text, "character") {
            rest.at = at + 1;
            continue;
        }
        for part in parts(cursor.unit, at + 1..cursor.end) {
            let before = found.drafts.len();
            let value = part.clone().find(|at| cursor.unit.tokens[*at].raw(cursor.unit.text) == b"=");
            let value = value.map_or(part.start, |at| at + 1)..part.end;
            found.variables.extend(columns(cursor));
            reading::expressions(cursor.unit, value, context, found, ("load", Fate::Variables));
            found.variables.clear();
            for draft in found.drafts.iter_mut().skip(before) {
                draft.copied_many |= draft.copied != crate::statement::Columns::None;
            }
        }
        break;
    }
}

/// Columns that are named in the list of what a line holds: expressions may use them, and they are the file's.
fn columns(cursor: &Cursor<'_, '_>) -> Vec<String> {
    (cursor.at..cursor.end)
        .filter(|at| cursor.unit.tokens[*at].is_identifier())
        .map(|at| folded(cursor.unit.tokens[at], cursor.unit))
        .collect()
}

/// HANDLER t OPEN [AS a], HANDLER a READ …, HANDLER a CLOSE: a cursor over a table, by a name that may be any.
pub(super) fn handler(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    found.verb = Verb::Utility;
    cursor.at += 1;
    let start = cursor.at;
    let Some((schema, name)) = cursor.dotted() else { return opaque(found, "handler") };
    let temporary = admin::is_temporary(schema.as_deref(), &name, context);
    let written = RelationName { schema, name };
    let relation = if temporary { None } else { candidates::resolve(&written, context) };
    let own = folded(cursor.unit.tokens[cursor.at.max(start + 1) - 1], cursor.unit);
    if cursor.take("open") {
        cursor.take("as");
        let alias = cursor.peek().filter(|token| token.is_identifier()).map(|token| folded(token, cursor.unit));
        let mut body = Found::new(Verb::Select);
        if !temporary {
            if relation.is_none() {
                body.gap("unknown-relation", &written.to_string(), Coverage::Partial);
            }
            let draft = Draft::new(written, relation, Access::Read, Source::Parser).released_all();
            expand::reached(draft, context, &mut body);
        }
        found.cost(body.costs());
        let body = Arc::new(body.finish(context.catalog));
        found.acts.push(SessionAct::DeclareCursor { name: alias.unwrap_or(own), body });
    } else if cursor.take("close") {
        found.acts.push(SessionAct::CloseCursor { name: Some(own) });
    } else if cursor.take("read") {
        found.verb = Verb::Select;
        found.acts.push(SessionAct::Fetch { name: own });
        if relation.is_some() {
            let draft = Draft::new(written, relation, Access::Read, Source::Parser).released_all();
            expand::reached(draft, context, found);
        }
        let calls = candidates::calls(cursor.unit, cursor.at..cursor.end);
        for call in calls.iter().filter(|call| functions::is_special(&call.name, context)) {
            functions::reach(call, cursor.unit, context, found, &[], 0);
        }
    } else {
        opaque(found, "handler");
    }
}
