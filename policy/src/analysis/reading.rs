//! Texts, from the bytes to the analysis: cut into statements, read each, reconcile parser and lexer.
//!
//! INVARIANT: every name of a statement that the catalog holds is either accounted for by the tree (as a relation,
//! a column, an alias, a type) or is a use with [`Source::Lexer`] and a gap that says so.

use std::collections::HashSet;
use std::ops::Range;

use sqlparser::ast::Statement;

use super::bridge::{self, Bridged, Form, Into, Notes};
use super::found::{FUEL, Found};
use super::lineage::Walker;
use super::scope::{Ctes, Rows};
use super::shape::{self, Unit};
use super::uses::Draft;
use super::{Context, LexSettings, Shape, candidates, dump, expand, functions, mysql, parse, postgres, redact};
use crate::relation::Engine;
use crate::statement::{Access, Analysis, Columns, Coverage, Source, StatementAnalysis, Verb};

/// Statements of one text that are read one by one; the rest is read as one, by the lexer. A dump's or a
/// migration's script has hundreds.
const STATEMENTS_MAX: usize = 1000;
/// Work that all statements of one text may cost, in values moved about.
pub(super) const TEXT_FUEL: usize = FUEL;
/// What it costs to give something to the parser, and each token of it, in the same measure.
const READ_COST: usize = 32;
/// See [`READ_COST`].
const TOKEN_COST: usize = 2;
/// A text of several statements and more tokens than these is read on the large stack as a whole, once.
const SMALL_TOKENS: usize = 400;
/// Different strings of one statement that are read for what they name, where the parser did not say what they are.
const TEXTS_MAX: usize = 4096;

/// Analyses a text; `shape`: its own, where it is known.
pub(super) fn analyse(text: &[u8], shape: Option<&Shape>, context: &Context<'_>) -> Analysis {
    let (unit, key) = match shape {
        Some(shape) => (Unit::shaped(text, context.lex, shape), shape.key),
        None => {
            let unit = Unit::new(text, context.lex);
            let key = shape::key(&unit);
            (unit, key)
        }
    };
    let ranges = split(&unit);
    let names_views = || {
        let relation = |name: &candidates::Candidate| context.catalog.relations().get(name.relation);
        let names = candidates::distinct(&unit, 0..unit.tokens.len(), context);
        names.iter().filter_map(relation).any(expand::is_view)
    };
    // A single statement finds out for itself whether it needs the stack.
    let small = ranges.len() <= 1 || (unit.tokens.len() <= SMALL_TOKENS && !names_views());
    let read = || statements(&unit, &ranges, context);
    let (statements, mut touches_names) = parse::guarded(small, read).unwrap_or_else(|| {
        let mut found = Found::new(Verb::Unknown);
        by_lexer(&unit, 0..unit.tokens.len(), context, &mut found, "analysis-failed", "text");
        found.coverage = Coverage::Opaque;
        (vec![found.finish(context.catalog)], true)
    });
    touches_names = touches_names || functions::touches_names(&unit);
    // Strings that stay in the key may hold statements that are run later in this text.
    touches_names = touches_names
        || unit.kept_texts(0..unit.tokens.len()).any(|value| functions::text_touches_names(&value, unit.settings));
    let fingerprint = key.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Analysis { statements, redacted: redact::redact(&unit), fingerprint, touches_names }
}

/// Each statement of a text, and whether any changes prepared names.
fn statements(unit: &Unit<'_>, ranges: &[Range<usize>], context: &Context<'_>) -> (Vec<StatementAnalysis>, bool) {
    let mut statements: Vec<StatementAnalysis> = Vec::new();
    let mut touches_names = false;
    let mut cost = 0_usize;
    for range in ranges {
        let mut found = Found::within(Verb::Unknown, TEXT_FUEL.saturating_sub(cost));
        if statements.len() >= STATEMENTS_MAX || cost >= TEXT_FUEL {
            let rest = range.start..unit.tokens.len();
            by_lexer(unit, rest, context, &mut found, "too-large", "statements");
            found.coverage = Coverage::Opaque;
            statements.push(found.finish(context.catalog));
            break;
        }
        if unit.unterminated && says_nothing(unit.text) {
            found.gap("parser-refused", "text", Coverage::Partial);
        } else if unit.unterminated {
            by_lexer(unit, range.clone(), context, &mut found, "unterminated", "text");
            found.coverage = Coverage::Opaque;
        } else {
            statement(unit, range.clone(), context, &mut found, 0);
        }
        touches_names |= found.touches_names;
        cost += found.costs();
        statements.push(found.finish(context.catalog));
    }
    if statements.is_empty() {
        let mut found = Found::new(Verb::Empty);
        if unit.unterminated {
            found.gap("unterminated", "text", Coverage::Opaque);
        }
        statements.push(found.finish(context.catalog));
    }
    (statements, touches_names)
}

/// Whether a text holds one word at most, wherever its strings and comments end: there is nothing that it could reach.
/// MySQL's own client asks with `select $$` whether the server knows strings that are quoted so.
fn says_nothing(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    text.split(|byte| !is_part(byte)).filter(|word| !word.is_empty()).count() <= 1
}

/// Statements of a text: token ranges between semicolons, empty ones left out.
fn split(unit: &Unit<'_>) -> Vec<Range<usize>> {
    match unit.settings {
        LexSettings::Postgres { .. } => postgres::split(unit),
        LexSettings::Mysql(_) => mysql::split(unit),
    }
}

/// Reads one statement.
pub(super) fn statement(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    super::privileges::read(unit, range.clone(), found);
    match unit.settings {
        LexSettings::Postgres { .. } => postgres::statement(unit, range, context, found, depth),
        LexSettings::Mysql(_) => mysql::statement(unit, range, context, found, depth),
    }
}

/// What becomes of the rows of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They leave, unless the statement itself says where they go.
    Leave,
    /// Nobody sees them.
    Stay,
    /// They go into variables of the session, one value into each.
    Variables,
}

/// Reads a statement that reads or changes rows.
pub(super) fn query(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, word: &str) {
    found.verb = match word {
        "insert" | "replace" => Verb::Insert,
        "update" => Verb::Update,
        "delete" => Verb::Delete,
        "merge" => Verb::Merge,
        _ => Verb::Select,
    };
    read(unit, range, context, found, (word, Form::Statement, Fate::Leave));
}

/// Reads a list of expressions, whose values are what `fate` says.
pub(super) fn expressions(
    unit: &Unit<'_>,
    range: Range<usize>,
    context: &Context<'_>,
    found: &mut Found,
    (word, fate): (&str, Fate),
) {
    if !range.is_empty() {
        read(unit, range, context, found, (word, Form::Expressions, fate));
    }
}

fn read(
    unit: &Unit<'_>,
    range: Range<usize>,
    context: &Context<'_>,
    found: &mut Found,
    (word, form, fate): (&str, Form, Fate),
) {
    let refused = |found: &mut Found, code: &'static str| {
        let before = found.drafts.len();
        by_lexer(unit, range.clone(), context, found, code, word);
        for draft in found.drafts.iter_mut().skip(before).filter(|draft| draft.access == Access::Read) {
            match fate {
                Fate::Leave => {}
                Fate::Stay => draft.keeps(),
                Fate::Variables => draft.copies(),
            }
        }
    };
    let Some(bridged) = bridge::bridge(unit, range.clone(), form) else {
        refused(found, "too-large");
        return;
    };
    if bridged.deep && !found.via.is_empty() && unit.settings.engine() == Engine::Postgres {
        refused(found, "too-large");
        return;
    }
    let Bridged { tokens, unknown_operators, shallow, accounted, notes, .. } = bridged;
    found.cost(READ_COST + TOKEN_COST * tokens.len());
    found.loose = notes.loose;
    found.random = notes.random;
    let names = candidates::relations(unit, range.clone(), context);
    // A view's definition is parsed too, and may be anything.
    let small = shallow
        && !runs_bodies(unit, range.clone(), context)
        && !names.iter().any(|name| context.catalog.relations().get(name.relation).is_some_and(expand::is_view));
    let drafts_before = found.drafts.len();
    let understood = parse::guarded(small, || {
        let Ok(statement) = parse::statement(tokens, unit.settings.engine()) else { return false };
        walk(&statement, unit, context, found, (&notes, fate));
        !found.is_refused() && !found.is_spent()
    });
    match understood {
        Some(true) => {}
        Some(false) => {
            let code = if found.is_spent() { "too-large" } else { "parser-refused" };
            found.forget_tree(drafts_before);
            refused(found, code);
            return;
        }
        None => {
            found.forget_tree(drafts_before);
            refused(found, "analysis-failed");
            found.coverage = Coverage::Opaque;
            return;
        }
    }
    let known = &context.catalog.code().operators;
    for operator in unknown_operators.iter().filter(|name| !known.contains_key(name.as_str())) {
        found.gap("unknown-operator", operator, Coverage::Partial);
    }
    for token in accounted {
        found.see(token);
    }
    let mut told = HashSet::new();
    for name in names {
        if !found.has_seen(name.token)
            && !is_keyword_there(unit, name.token)
            && told.insert((name.relation, name.name.clone()))
        {
            found.gap("unaccounted-name", &name.name.to_string(), Coverage::Partial);
            expand::reached(
                Draft::new(name.name, Some(name.relation), Access::Read, Source::Lexer).released_all(),
                context,
                found,
            );
        }
    }
}

/// Whether a body of a function of PostgreSQL's is read with it, which may be anything.
fn runs_bodies(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> bool {
    unit.settings.engine() == Engine::Postgres
        && range
            .filter(|at| unit.tokens[*at].is_identifier())
            .any(|at| !context.catalog.functions(&unit.tokens[at].identifier(unit.text)).is_empty())
}

/// Whether a word that is also a relation's name stands where only a keyword or a type can: before a literal
/// (`date '…'`), or after a cast.
fn is_keyword_there(unit: &Unit<'_>, at: usize) -> bool {
    let literal = unit.tokens.get(at + 1).is_some_and(|token| matches!(token.kind, super::lexer::Kind::Text(_)));
    let cast = at > 0 && unit.tokens[at - 1].is_punct(unit.text, "::");
    unit.tokens[at].kind == super::lexer::Kind::Word && (literal || cast)
}

fn walk(
    statement: &Statement,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    (notes, fate): (&Notes, Fate),
) {
    let first = found.drafts.len();
    let via = found.via.clone();
    let mut walker = Walker { context, unit, found, via, depends: &[] };
    let ctes = Ctes::default();
    let dumped = notes.uncached.is_some_and(|uncached| dump::is_dump(statement, uncached));
    let rows = match statement {
        Statement::Query(query) => {
            walker.found.extent = walker.extent(query);
            walker.query(query, None, &ctes)
        }
        Statement::Insert(insert) => walker.insert(insert, &ctes),
        Statement::Update(update) => walker.update(update, &ctes),
        Statement::Delete(delete) => walker.delete(delete, &ctes),
        Statement::Merge(merge) => walker.merge(merge, &ctes),
        _ => {
            walker.found.refuse();
            Rows::default()
        }
    };
    if walker.found.wants_output || walker.found.copies {
        walker.found.output = Some(super::copies::output(&rows));
    }
    match (notes.into, fate) {
        (Some(Into::Variables), _) | (_, Fate::Variables) => walker.copy(&rows, None, true),
        (Some(Into::File), _) => {
            // Nobody counts the rows of a file: they are copies.
            walker.copy(&rows, None, false);
            found.unfollowed = true;
            for draft in found.drafts.iter_mut().skip(first).filter(|draft| draft.copied != Columns::None) {
                draft.access = Access::Export;
            }
        }
        (None, Fate::Stay) => walker.mark_used(&rows.all()),
        (None, Fate::Leave) if walker.found.copies => {
            walker.copy(&rows, None, false);
            walker.copied_into(first);
        }
        (None, Fate::Leave) => walker.release(&rows),
    }
    if dumped && (notes.into, fate) == (None, Fate::Leave) {
        dump::exports(found, first);
    }
}

/// What the lexer can promise without a tree: every name is reached, in every column.
pub(super) fn by_lexer(
    unit: &Unit<'_>,
    range: Range<usize>,
    context: &Context<'_>,
    found: &mut Found,
    code: &'static str,
    subject: &str,
) {
    found.gap(code, subject, Coverage::Partial);
    let packs = candidates::packs(unit, range.clone());
    let said = Said::of(unit, range.clone());
    let updates = said.updates;
    let via = found.via.clone();
    let source = if via.is_empty() { Source::Lexer } else { Source::Catalog };
    let copies = (updates || said.assigns || said.into) && said.reads;
    for candidate in candidates::distinct(unit, range.clone(), context) {
        if candidate.written {
            let mut draft =
                Draft::new(candidate.name.clone(), Some(candidate.relation), Access::Write, source).via(&via);
            if updates {
                draft.updated = Columns::All;
            }
            found.draft(draft);
        }
        let mut draft = Draft::new(candidate.name, Some(candidate.relation), Access::Read, source).via(&via);
        if copies {
            draft.copied = Columns::All;
            draft.copied_many = true;
        }
        expand::reached(if packs { draft.packed_all() } else { draft.released_all() }, context, found);
    }
    for call in candidates::distinct_calls(unit, range.clone(), |name| functions::is_special(name, context)) {
        functions::reach_and_release(&call, unit, context, found, &via, via.len());
    }
    let mut read = HashSet::new();
    for value in unit.kept_texts(range) {
        if read.contains(&value) {
            continue;
        }
        if read.len() >= TEXTS_MAX {
            found.gap("too-large", "strings", Coverage::Opaque);
            return;
        }
        functions::text(&value, unit.settings, context, found, Source::Literal, &via, 0);
        read.insert(value);
    }
}

/// Words that say what becomes of what a statement names, whatever its grammar.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    /// It changes rows that are there.
    updates: bool,
    /// INTO.
    into: bool,
    /// `:=`: what is read may stay in a variable.
    assigns: bool,
    /// It reads.
    reads: bool,
}

impl Said {
    /// One way through the tokens.
    fn of(unit: &Unit<'_>, range: Range<usize>) -> Said {
        let mut said = Said::default();
        for at in range.clone() {
            let token = &unit.tokens[at];
            said.assigns |= token.is_punct(unit.text, ":=");
            if token.kind != super::lexer::Kind::Word || !(4..=7).contains(&token.raw(unit.text).len()) {
                continue;
            }
            let is = |words: &[&str]| candidates::is_any(unit, token, words);
            said.into |= is(&["into"]);
            said.reads |= is(&["select", "table", "from", "using", "with"]);
            // FOR UPDATE and FOR NO KEY UPDATE only lock.
            let locks = || at > range.start && candidates::is_any(unit, &unit.tokens[at - 1], &["for", "key"]);
            said.updates |= is(&["merge", "replace"]) || (is(&["update"]) && !locks());
        }
        said
    }
}
