//! Stored functions, procedures, packages and triggers of MySQL and MariaDB: what their bodies name, and where it goes.

use std::ops::Range;

use super::candidates;
use super::found::Found;
use super::functions::{self, BODY_BYTES_MAX, NESTED_TEXTS_MAX};
use super::lexer::Kind;
use super::shape::Unit;
use super::uses::Draft;
use super::{Context, LexSettings, MysqlLex, expand, mysql};
use crate::catalog::{Function, Relation, TriggerEvent};
use crate::statement::{Access, Columns, Coverage, SessionAct, Source};

/// Programs that call programs are read statement by statement this deep; further down by their names.
const PROGRAMS_MAX: usize = 4;

/// Words of a body that can put values into rows.
const WRITING: [&str; 5] = ["insert", "update", "replace", "create", "load"];

/// Words of a body that can put values where the caller finds them: parameters, variables, other rows.
const MOVING: [&str; 9] = ["into", "set", "fetch", "call", "insert", "update", "replace", "create", "out"];

/// Words of a body that can put the rows of a loop into one value.
const GATHERING: [&str; 6] = ["loop", "while", "repeat", "for", "cursor", "goto"];

/// What becomes of the values that a body reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A function or a procedure.
    Called,
    /// A trigger: nobody sees its rows, and what it reads goes into others.
    Fired,
}

/// Adds what the body of a stored function or procedure names.
pub(super) fn read(function: &Function, context: &Context<'_>, found: &mut Found, via: &[String], depth: usize) {
    body(function, context, found, (via, depth), Role::Called);
}

/// Adds what the triggers do that changes of rows set off, and those that they set off. `first`: the first use of the
/// statement whose changes they are.
pub(super) fn fire(events: &[TriggerEvent], context: &Context<'_>, found: &mut Found, first: usize) {
    let mut at = first;
    while let Some(draft) = found.drafts.get(at) {
        at += 1;
        let written = draft.relation.filter(|_| draft.access == Access::Write);
        let Some(relation) = written.and_then(|index| context.catalog.relations().get(index)) else { continue };
        // What a program writes it may write in any way.
        let (via, inside) = (draft.via.clone(), !draft.via.is_empty());
        for trigger in context.catalog.triggers(relation.oid) {
            let program = &trigger.program;
            let label = format!("{}.{}", program.schema, program.name);
            if (inside || events.contains(&trigger.event))
                && found.reads_body(&label, program.body.as_deref().unwrap_or_default())
            {
                let row = row(relation, program, context, found, &via);
                let outer = std::mem::replace(&mut found.fired, row);
                body(program, context, found, (&via, via.len()), Role::Fired);
                found.fired = outer;
                if let Some(draft) = row.and_then(|row| found.drafts.get_mut(row)) {
                    // Whoever changes a row is not charged for what the server keeps of it elsewhere: that is known
                    // for a copy, and counted when it is read.
                    draft.copied = Columns::None;
                    draft.copied_many = true;
                }
            }
        }
    }
}

/// The use that OLD and NEW stand for, where the body of a trigger names them.
fn row(
    relation: &Relation,
    program: &Function,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
) -> Option<usize> {
    let unit = Unit::new(program.body.as_deref()?.as_bytes(), context.lex);
    let named = unit.tokens.iter().any(|token| {
        token.is_identifier() && matches!(&*token.identifier(unit.text).to_ascii_lowercase(), "old" | "new")
    });
    let mut path = via.to_vec();
    path.push(format!("{}.{}", program.schema, program.name));
    let mut draft = Draft::new(
        functions::catalog_name(relation),
        context.catalog.index_of(relation),
        Access::Read,
        Source::Catalog,
    );
    (draft.copied_many, draft.fired) = (true, true);
    named.then(|| found.draft(draft.via(&path)))
}

fn body(function: &Function, context: &Context<'_>, found: &mut Found, (via, depth): (&[String], usize), role: Role) {
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
    let mode = function.sql_mode.as_deref().map(Mode::of);
    if let Some(mode) = &mode {
        let lex = LexSettings::Mysql(MysqlLex { ansi_quotes: mode.ansi, no_backslash_escapes: mode.plain, ..plain });
        let context = Context { lex, ..context };
        if mode.oracle {
            called_bare(body, &context, found, (&path, depth));
        } else if understood(body, &context, found, &path, role) {
            return;
        }
        return names(body, function, &context, found, (&path, depth, role));
    }
    // A routine runs under the sql_mode that it was created under, which nobody tells here.
    let modes = if body.contains(['"', '\\']) { 4 } else { 1 };
    let lex = LexSettings::Mysql(plain);
    if modes == 1 && understood(body, &Context { lex, ..context }, found, &path, role) {
        return;
    }
    for mode in 0..modes {
        let lex = MysqlLex { ansi_quotes: mode & 1 == 1, no_backslash_escapes: mode & 2 == 2, ..plain };
        names(body, function, &Context { lex: LexSettings::Mysql(lex), ..context }, found, (&path, depth, role));
    }
}

/// Whether a stored function takes the rows of a group one by one: MariaDB's `FETCH GROUP NEXT ROW`.
/// <https://mariadb.com/kb/en/stored-aggregate-functions/>
pub(super) fn is_aggregate(function: &Function, lex: LexSettings) -> bool {
    let Some(body) = function.body.as_deref().filter(|body| body.len() <= BODY_BYTES_MAX) else { return false };
    let unit = Unit::new(body.as_bytes(), lex);
    let is = |at: usize, word: &str| unit.tokens.get(at).is_some_and(|token| token.is_word(unit.text, word));
    (0..unit.tokens.len()).any(|at| is(at, "fetch") && is(at + 1, "group") && is(at + 2, "next") && is(at + 3, "row"))
}

/// What a body's sql_mode says of how it is read.
struct Mode {
    ansi: bool,
    plain: bool,
    oracle: bool,
}

impl Mode {
    fn of(mode: &str) -> Mode {
        let has = |name: &str| mode.split(',').any(|word| word.trim().eq_ignore_ascii_case(name));
        Mode { ansi: has("ANSI_QUOTES"), plain: has("NO_BACKSLASH_ESCAPES"), oracle: has("ORACLE") }
    }
}

/// Under ORACLE a program is called by its name alone, without CALL and without parentheses.
fn called_bare(body: &str, context: &Context<'_>, found: &mut Found, (path, depth): (&[String], usize)) {
    let unit = Unit::new(body.as_bytes(), context.lex);
    for (at, token) in unit.tokens.iter().enumerate().filter(|(_, token)| token.is_identifier()) {
        let name = token.identifier(unit.text).to_lowercase();
        if !context.catalog.functions(&name).is_empty() {
            let call = candidates::Call { token: at, schema: None, name, constants: None };
            functions::reach(&call, &unit, context, found, path, depth + 1);
        }
    }
}

/// Reads a body statement by statement, where all of it is understood: one that runs texts, or takes rows by HANDLER,
/// is not.
fn understood(body: &str, context: &Context<'_>, found: &mut Found, path: &[String], role: Role) -> bool {
    let unit = Unit::new(body.as_bytes(), context.lex);
    let end = unit.tokens.len() - usize::from(unit.tokens.last().is_some_and(|last| last.is_punct(unit.text, ";")));
    let has = |words: &[&str]| unit.tokens.iter().any(|token| candidates::is_any(&unit, token, words));
    let is =
        |at: usize, words: &[&str]| unit.tokens.get(at).is_some_and(|token| candidates::is_any(&unit, token, words));
    // DECLARE … HANDLER is what happens on an error.
    let handler = (0..end).any(|at| is(at, &["handler"]) && !(at > 0 && is(at - 1, &["continue", "exit", "undo"])));
    if unit.unterminated || path.len() > PROGRAMS_MAX || handler || has(&["prepare", "execute"]) {
        return false;
    }
    let Some(program) = mysql::read_program(&unit, end) else { return false };
    let returns = |range: &Range<usize>| unit.tokens[range.start].is_word(unit.text, "return");
    let function = role == Role::Called && program.statements.iter().any(returns);
    let first = found.drafts.len();
    let (acts, verb, extent) = (found.acts.len(), found.verb, found.extent);
    let (loose, random) = (found.loose, found.random);
    let before = (std::mem::replace(&mut found.via, path.to_vec()), std::mem::replace(&mut found.parameters, true));
    let rows = if role == Role::Fired { vec!["new".to_owned(), "old".to_owned()] } else { Vec::new() };
    let variables = std::mem::replace(&mut found.variables, rows);
    found.apart(|found| mysql::read_statements(&unit, &program, context, found));
    (found.via, found.parameters) = before;
    found.variables = variables;
    (found.verb, found.extent) = (verb, extent);
    (found.loose, found.random) = (loose, random);
    // What a program sets for itself ends with it; what it makes is told by the catalog.
    let made: Vec<SessionAct> =
        found.acts.drain(acts..).filter(|act| matches!(act, SessionAct::CatalogChanged | SessionAct::Commit)).collect();
    found.acts.extend(made);
    let gathers = has(&GATHERING);
    let stays = !unit.tokens.iter().any(|token| token.kind == Kind::Variable) && !has(&WRITING);
    for draft in found.drafts.iter_mut().skip(first).filter(|draft| draft.access == Access::Read) {
        if role == Role::Fired && draft.copied == Columns::None {
            // A trigger has no rows of its own to show.
            draft.keeps();
        }
        if gathers {
            draft.copied_many |= draft.copied != Columns::None;
        }
        if function {
            draft.comes_back(stays);
        }
    }
    true
}

/// What a body names, where that is all that is known of it.
fn names(
    body: &str,
    function: &Function,
    context: &Context<'_>,
    found: &mut Found,
    (path, depth, role): (&[String], usize, Role),
) {
    let unit = Unit::new(body.as_bytes(), context.lex);
    let range = 0..unit.tokens.len();
    let has = |words: &[&str]| unit.tokens.iter().any(|token| candidates::is_any(&unit, token, words));
    let dynamic = has(&["prepare", "execute"]);
    if dynamic || (unit.unterminated && context.lex.stored() == context.lex) {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
    }
    found.touches_names |= functions::touches_names(&unit);
    let packs = has(&GATHERING) || candidates::packs(&unit, range.clone());
    let assigns = unit.tokens.iter().any(|token| token.kind == Kind::Variable || token.raw(unit.text) == b":=");
    let moves = role == Role::Fired || assigns || (!has(&["return"]) && has(&MOVING));
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
            draft.packed_whole = true;
        }
        if moves {
            draft.copied = Columns::All;
            draft.copied_many = true;
        }
        expand::reached(draft, context, found);
    }
    if let Some(row) = found.fired.filter(|_| role == Role::Fired) {
        found.moves_somewhere(row);
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
