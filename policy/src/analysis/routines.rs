//! Stored functions and procedures of MySQL and MariaDB: what their bodies name.

use std::ops::Range;

use super::candidates;
use super::found::Found;
use super::functions::{self, BODY_BYTES_MAX, NESTED_TEXTS_MAX};
use super::shape::Unit;
use super::uses::Draft;
use super::{Context, LexSettings, MysqlLex, expand, mysql};
use crate::catalog::Function;
use crate::statement::{Access, Columns, Coverage, SessionAct, Source};

/// Programs that call programs are read statement by statement this deep; further down by their names.
const PROGRAMS_MAX: usize = 4;

/// Words of a body that can put the rows of a loop into one value.
const GATHERING: [&str; 6] = ["loop", "while", "repeat", "for", "cursor", "goto"];

/// Adds what the body of a stored function or procedure names.
pub(super) fn read(function: &Function, context: &Context<'_>, found: &mut Found, via: &[String], depth: usize) {
    let readable = function.language.eq_ignore_ascii_case("sql");
    let body = function.body.as_deref().filter(|body| readable && body.len() <= BODY_BYTES_MAX);
    let (Some(body), LexSettings::Mysql(lex), true) = (body, context.lex, depth <= NESTED_TEXTS_MAX * 4) else {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
        return;
    };
    let mut path = via.to_vec();
    path.push(format!("{}.{}", function.schema, function.name));
    // Names in a body that say no database are looked up in the routine's own.
    let own = [function.schema.to_string()];
    let context = Context { search_path: &own, temporary: &[], ..*context };
    let plain = MysqlLex { ansi_quotes: false, no_backslash_escapes: false, ..lex };
    // A routine runs under the sql_mode that it was created under, which nobody tells here.
    let modes = if body.contains(['"', '\\']) { 4 } else { 1 };
    let lex = LexSettings::Mysql(plain);
    if modes == 1 && understood(body, &Context { lex, ..context }, found, &path) {
        return;
    }
    for mode in 0..modes {
        let lex = MysqlLex { ansi_quotes: mode & 1 == 1, no_backslash_escapes: mode & 2 == 2, ..plain };
        names(body, function, &Context { lex: LexSettings::Mysql(lex), ..context }, found, (&path, depth));
    }
}

/// Reads a body statement by statement, where all of it is understood and every value that leaves by a variable is
/// counted: a function that does more than return an expression, and a program that runs texts, are not read so.
fn understood(body: &str, context: &Context<'_>, found: &mut Found, path: &[String]) -> bool {
    let unit = Unit::new(body.as_bytes(), context.lex);
    let end = unit.tokens.len() - usize::from(unit.tokens.last().is_some_and(|last| last.is_punct(unit.text, ";")));
    let has = |words: &[&str]| unit.tokens.iter().any(|token| candidates::is_any(&unit, token, words));
    if unit.unterminated || path.len() > PROGRAMS_MAX || has(&["prepare", "execute", "handler"]) {
        return false;
    }
    let Some(program) = mysql::read_program(&unit, end) else { return false };
    let returns = |range: &Range<usize>| unit.tokens[range.start].is_word(unit.text, "return");
    let function = program.statements.iter().any(returns);
    if function && !(program.statements.iter().all(returns) && program.gathered.is_empty()) {
        return false;
    }
    let first = found.drafts.len();
    let (acts, verb, extent) = (found.acts.len(), found.verb, found.extent);
    let (loose, random) = (found.loose, found.random);
    let before = (std::mem::replace(&mut found.via, path.to_vec()), std::mem::replace(&mut found.parameters, true));
    let variables = std::mem::take(&mut found.variables);
    found.apart(|found| mysql::read_statements(&unit, &program, context, found));
    (found.via, found.parameters) = before;
    found.variables = variables;
    (found.verb, found.extent) = (verb, extent);
    (found.loose, found.random) = (loose, random);
    // What a program sets for itself ends with it; what it makes is told by the catalog.
    let made: Vec<SessionAct> =
        found.acts.drain(acts..).filter(|act| matches!(act, SessionAct::CatalogChanged | SessionAct::Commit)).collect();
    found.acts.extend(made);
    if has(&GATHERING) {
        for draft in found.drafts.iter_mut().skip(first) {
            draft.copied_many |= draft.copied != Columns::None;
        }
    }
    true
}

fn names(body: &str, function: &Function, context: &Context<'_>, found: &mut Found, (path, depth): (&[String], usize)) {
    let unit = Unit::new(body.as_bytes(), context.lex);
    let range = 0..unit.tokens.len();
    let has = |words: &[&str]| unit.tokens.iter().any(|token| candidates::is_any(&unit, token, words));
    let dynamic = has(&["prepare", "execute"]);
    if dynamic || (unit.unterminated && context.lex.stored() == context.lex) {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
    }
    found.touches_names |= functions::touches_names(&unit);
    let packs = has(&GATHERING) || candidates::packs(&unit, range.clone());
    for candidate in candidates::distinct(&unit, range.clone(), context) {
        if candidate.written {
            let name = candidate.name.clone();
            found.draft(Draft::new(name, Some(candidate.relation), Access::Write, Source::Catalog).via(path));
        }
        let mut draft = Draft::new(candidate.name, Some(candidate.relation), Access::Read, Source::Catalog)
            .via(path)
            .released_all();
        if packs {
            draft.packed = Columns::All;
        }
        expand::reached(draft, context, found);
    }
    let calls = candidates::calls(&unit, range);
    for call in calls.iter().filter(|call| functions::is_special(&call.name, context)) {
        functions::reach(call, &unit, context, found, path, depth + 1);
    }
    if dynamic {
        for (token, literal) in &unit.literals {
            if let (super::LiteralKind::String(_), Some(value)) = (literal.kind, unit.constant(*token)) {
                functions::text(&value, unit.settings, context, found, Source::Catalog, path, depth + 1);
            }
        }
    }
}
