//! Statements that run other texts: PREPARE, EXECUTE, EXECUTE IMMEDIATE, DEALLOCATE, CALL.

use std::sync::Arc;

use super::super::Context;
use super::super::candidates;
use super::super::cursor::Cursor;
use super::super::effects;
use super::super::found::Found;
use super::super::functions;
use super::super::lexer::Kind;
use super::super::reading::{self, Fate};
use super::super::shape::Unit;
use super::{folded, opaque};
use crate::statement::{Coverage, SessionAct, Source, StatementAnalysis, Verb};

/// Reads PREPARE, EXECUTE, DEALLOCATE PREPARE and DROP PREPARE.
pub(super) fn read(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    if cursor.take("prepare") {
        return prepare(cursor, context, found, depth);
    }
    if cursor.take("execute") {
        found.verb = Verb::Select;
        if cursor.is("immediate") && cursor.at + 1 < cursor.end && !cursor.is_at(1, "using") {
            cursor.at += 1;
            return immediate(cursor, context, found, depth);
        }
        match cursor.peek().filter(|token| token.is_identifier()) {
            Some(name) => found.acts.push(SessionAct::ExecutePrepared { name: folded(name, cursor.unit) }),
            None => opaque(found, "execute"),
        }
        cursor.at += 1;
        if cursor.take("using") {
            // MariaDB: any expression.
            reading::expressions(cursor.unit, cursor.at..cursor.end, context, found, ("execute", Fate::Leave));
        }
        return;
    }
    found.verb = Verb::Session;
    cursor.at += 1;
    cursor.take("prepare");
    let name = cursor.peek().filter(|token| token.is_identifier()).map(|name| folded(name, cursor.unit));
    match name {
        Some(name) => found.acts.push(SessionAct::Deallocate { name: Some(name) }),
        None => opaque(found, "deallocate"),
    }
}

fn prepare(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Utility;
    let name = cursor.peek().filter(|token| token.is_identifier()).map(|name| folded(name, cursor.unit));
    cursor.at += 1;
    let (Some(name), true) = (name, cursor.take("from")) else {
        return opaque(found, "prepare");
    };
    let body = match literal(cursor) {
        Some(text) => later(&text, cursor.unit, context, found, depth),
        None => {
            // A variable, or MariaDB's expression: whatever it holds is what will run.
            reading::expressions(cursor.unit, cursor.at..cursor.end, context, found, ("prepare", Fate::Variables));
            let mut unknown = Found::new(Verb::Unknown);
            opaque(&mut unknown, "prepare");
            found.touches_names = true;
            Arc::new(unknown.finish(context.catalog))
        }
    };
    found.acts.push(SessionAct::Prepare { name, body });
}

/// The text that is all that is left of the statement; adjacent strings are one.
fn literal(cursor: &Cursor<'_, '_>) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    if cursor.at >= cursor.end {
        return None;
    }
    for at in cursor.at..cursor.end {
        if !matches!(cursor.unit.tokens[at].kind, Kind::Text(_)) {
            return None;
        }
        text.extend(cursor.unit.constant(at)?);
    }
    Some(text)
}

/// What a text will do when it runs by itself.
fn later(
    text: &[u8],
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    depth: usize,
) -> Arc<StatementAnalysis> {
    let inner = Unit::new(text, unit.settings);
    let mut body = Found::new(Verb::Unknown);
    inside(&inner, context, &mut body, depth);
    effects::detach(&mut body, &inner);
    found.touches_names |= body.touches_names | functions::touches_names(&inner);
    found.cost(body.costs());
    Arc::new(body.finish(context.catalog))
}

/// Reads a text that runs as one statement.
fn inside(inner: &Unit<'_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let statements = super::split(inner);
    match statements.as_slice() {
        _ if inner.unterminated => {
            reading::by_lexer(inner, 0..inner.tokens.len(), context, found, "unterminated", "text");
            found.coverage = Coverage::Opaque;
        }
        [] => found.verb = Verb::Empty,
        [only] => reading::statement(inner, only.clone(), context, found, depth + 1),
        _ => {
            // The server refuses several; should one not, all are reached.
            reading::by_lexer(inner, 0..inner.tokens.len(), context, found, "parser-refused", "several statements");
        }
    }
}

/// MariaDB's EXECUTE IMMEDIATE 'text' or expression, USING values.
fn immediate(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let end = cursor.find("using").unwrap_or(cursor.end);
    let text = Cursor { unit: cursor.unit, at: cursor.at, end };
    match literal(&text) {
        Some(text) => {
            let inner = Unit::new(&text, cursor.unit.settings);
            found.apart(|found| inside(&inner, context, found, depth));
            // Its literals and parameters are not those of this text.
            effects::detach(found, &inner);
        }
        None => {
            opaque(found, "execute immediate");
            reading::expressions(cursor.unit, cursor.at..end, context, found, ("execute", Fate::Leave));
            for at in cursor.at..end {
                if let (Kind::Text(_), Some(value)) = (cursor.unit.tokens[at].kind, cursor.unit.constant(at)) {
                    functions::text(&value, cursor.unit.settings, context, found, Source::Literal, &[], 0);
                }
            }
            found.touches_names = true;
        }
    }
    if end < cursor.end {
        reading::expressions(cursor.unit, end + 1..cursor.end, context, found, ("execute", Fate::Leave));
    }
    if found.verb == Verb::Unknown {
        found.verb = Verb::Select;
    }
}

/// CALL: the body of the procedure is read with its names; what goes in may come out.
pub(super) fn call(cursor: &mut Cursor<'_, '_>, context: &Context<'_>, found: &mut Found) {
    cursor.at += 1;
    let start = cursor.at;
    let Some((schema, name)) = cursor.dotted() else {
        found.verb = Verb::Call;
        return opaque(found, "call");
    };
    let name = name.to_lowercase();
    let arguments = cursor.parenthesised();
    let call = candidates::Call { token: start, schema, name, constants: None };
    functions::reach_procedure(&call, cursor.unit, context, found);
    if let Some(arguments) = arguments {
        reading::expressions(cursor.unit, arguments, context, found, ("call", Fate::Leave));
    }
    found.verb = Verb::Call;
    found.extent = crate::statement::Extent::Unbounded;
}
