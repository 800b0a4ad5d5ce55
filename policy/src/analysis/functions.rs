//! Calls: what a function's value is made of, and what it reaches that its arguments do not show.

use std::ops::Range;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, ObjectName, Value,
    WindowType,
};

use super::asks::through_function;
use super::bridge;
use super::builtins::{self, Passing, Published, Reach};
use super::candidates::{self, Call};
use super::found::Found;
use super::lexer::Token;
use super::lineage::{Walker, parts};
use super::routines;
use super::scope::{Scope, map, single};
use super::shape::Unit;
use super::uses::{Atom, Draft, Flow, Pack};
use super::{Context, expand, session};
use crate::catalog::{Function as UserFunction, Resolution};
use crate::relation::{Engine, RelationName};
use crate::statement::{Access, Coverage, Source};

/// Strings within strings are read this deep.
pub(super) const NESTED_TEXTS_MAX: usize = 4;
/// A function body longer than this is not read.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;

impl Walker<'_> {
    /// A call in an expression.
    pub(super) fn function(&mut self, function: &Function, scope: &Scope<'_>) -> Flow {
        self.see_name(&function.name);
        let mut names = parts(&function.name);
        let Some(name) = names.pop() else {
            self.found.refuse();
            return scope.everything();
        };
        let schema = names.pop();
        let mut flow = Flow::default();
        if let FunctionArguments::List(list) = &function.parameters {
            for argument in &list.args {
                let more = self.argument(argument, scope);
                flow = self.join(&flow, &more);
            }
        }
        let mut constants = Some(Vec::new());
        match &function.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(subquery) => {
                // ARRAY(SELECT …): many rows in one value.
                let depends_before = scope.asked.replace(false);
                let rows = self.query(subquery, Some(scope), scope.ctes);
                let grouped = scope.asked.get();
                scope.asked.set(depends_before || grouped);
                flow = pack(&rows.all(), grouped);
                constants = None;
            }
            FunctionArguments::List(list) => {
                if !(name == "count" && list.args.len() == 1) {
                    for argument in &list.args {
                        let more = self.argument(argument, scope);
                        flow = self.join(&flow, &more);
                    }
                } else if let Some(argument) = list.args.first()
                    && !matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard))
                {
                    flow = self.argument(argument, scope);
                }
                for clause in &list.clauses {
                    match clause {
                        FunctionArgumentClause::OrderBy(orders) => self.orders(orders, scope),
                        FunctionArgumentClause::Where(expr) | FunctionArgumentClause::Limit(expr) => {
                            self.condition(expr, scope)
                        }
                        _ => {}
                    }
                }
                constants = list.args.iter().map(constant_argument).collect();
            }
        }
        if !function.within_group.is_empty() {
            for order in &function.within_group {
                let more = self.expr(&order.expr, scope);
                flow = self.join(&flow, &more);
            }
        }
        if let Some(filter) = &function.filter {
            self.condition(filter, scope);
        }
        let mut partitioned = true;
        match &function.over {
            Some(WindowType::WindowSpec(spec)) => {
                partitioned = !spec.partition_by.is_empty();
                self.window(spec, scope);
            }
            Some(WindowType::NamedWindow(window)) => {
                self.see(window);
                partitioned = false;
            }
            None => {}
        }
        let reached = self.reached_by(schema.as_deref(), &name, constants.as_deref());
        if let Some(published) = builtins::publishes(self.engine(), &name) {
            // No row shows it, or the row comes when it is done: what a later SHOW or another session reads is counted
            // before the statement runs.
            self.copy_flow(&flow, None, published == Published::OneValue);
        }
        let windowed = function.over.is_some();
        let stored = self.engine() == Engine::Mysql && schema.is_some();
        let own = self.context.catalog.functions(&name);
        let gathers =
            self.engine() == Engine::Mysql && own.iter().any(|own| routines::is_aggregate(own, self.context.lex));
        let passing = if gathers { Passing::Packed } else { builtins::passing(self.engine(), &name) };
        let flow = match passing {
            _ if stored && !gathers => flow,
            Passing::Summed if self.context.catalog.functions(&name).is_empty() => {
                self.summed(&name, &flow);
                Flow::default()
            }
            // Over a window each row has a total of its own, and the next one tells the difference.
            Passing::Totalled if !windowed && self.context.catalog.functions(&name).is_empty() => {
                self.total(&flow, scope.correlated.get())
            }
            Passing::Packed => {
                let whole = if function.over.is_some() { !partitioned } else { !scope.grouped.get() };
                pack(&flow, !whole || scope.correlated.get())
            }
            // A function of somebody's own may do anything with them.
            _ => through_function(&name, &flow),
        };
        if !windowed && !stored && builtins::is_aggregate(self.engine(), &name) {
            let keyed = scope.keyed.borrow();
            self.found.aggregate(&flow, &|draft| {
                let relation = draft.relation.and_then(|index| self.context.catalog.relations().get(index));
                relation.is_some_and(|relation| keyed.contains(&relation.oid))
            });
        }
        if windowed {
            // `lead(email)` is another row's value.
            self.found.mix(&flow);
            self.found.add_copy(&flow.iter().map(|atom| atom.usage).collect());
        }
        self.join(&flow, &reached)
    }

    /// A call in FROM.
    pub(super) fn table_call(&mut self, name: &ObjectName, args: &[FunctionArg], scope: &Scope<'_>) -> Flow {
        self.see_name(name);
        let mut names = parts(name);
        let Some(own) = names.pop() else {
            self.found.refuse();
            return scope.everything();
        };
        let mut flow = Flow::default();
        for argument in args {
            let more = self.argument(argument, scope);
            flow = self.join(&flow, &more);
        }
        // As many rows as it likes come of them.
        self.measured(&flow);
        let constants: Option<Vec<usize>> = args.iter().map(constant_argument).collect();
        let reached = self.reached_by(names.pop().as_deref(), &own, constants.as_deref());
        self.join(&flow, &reached)
    }

    /// What calling this function reaches beside its arguments. `constants`: tokens of its arguments, when each is
    /// one literal.
    pub(super) fn reached_by(&mut self, schema: Option<&str>, name: &str, constants: Option<&[usize]>) -> Flow {
        let before = self.found.drafts.len();
        let call = Call {
            token: 0,
            schema: schema.map(str::to_owned),
            name: name.to_owned(),
            constants: constants.map(<[usize]>::to_vec),
        };
        self::reach(&call, self.unit, self.context, self.found, &self.via, 0);
        if self.engine() == Engine::Mysql {
            return self.returned_by(before, name);
        }
        let mut flow = Flow::default();
        for usage in before..self.found.drafts.len() {
            let atom = Atom::new(usage, None, Pack::Single);
            flow = self.join(&flow, &single(atom));
        }
        flow
    }

    /// What a stored function of MySQL's returns: a body is read once, and each call of it returns the same again.
    fn returned_by(&mut self, before: usize, name: &str) -> Flow {
        let mut atoms = self.found.returned.get(name).cloned().unwrap_or_default();
        self.found.add_copy(&atoms.iter().map(|atom| atom.usage).collect());
        for usage in before..self.found.drafts.len() {
            let more = self.found.drafts.get_mut(usage).map(|draft| draft.returned(usage));
            atoms.extend(more.into_iter().flatten());
        }
        if atoms.is_empty() {
            return Flow::default();
        }
        self.found.spend(atoms.len());
        self.found.returned.insert(name.to_owned(), atoms.clone());
        Flow::new(atoms.into_iter().collect())
    }
}

impl Walker<'_> {
    /// The total of values. Where the text says that they are of one record, it is its value.
    fn total(&self, flow: &Flow, correlated: bool) -> Flow {
        let of_one = |atom: &Atom| {
            let pinned = self.found.drafts.get(atom.usage).is_some_and(|draft| draft.pin.is_some());
            correlated || pinned || atom.pack == Pack::Bounded
        };
        map(flow, &|atom| {
            let pack = if of_one(atom) { atom.pack } else { Pack::Total };
            Atom { pack, ..atom.clone() }
        })
    }
}

fn pack(flow: &Flow, grouped: bool) -> Flow {
    map(flow, &|atom| {
        let pack = if grouped || atom.pack == Pack::Bounded { Pack::Grouped } else { Pack::Whole };
        Atom { pack: if atom.pack == Pack::Single { pack } else { atom.pack.grouped() }, ..atom.clone() }
    })
}

/// The token of an argument that is one literal; TRUE, FALSE and NULL have none of their own and are `usize::MAX`.
fn constant_argument(argument: &FunctionArg) -> Option<usize> {
    let (FunctionArg::Unnamed(value) | FunctionArg::Named { arg: value, .. }) = argument else { return None };
    let FunctionArgExpr::Expr(Expr::Value(value)) = value else { return None };
    match &value.value {
        Value::Number(..) | Value::SingleQuotedString(_) => bridge::position(value.span),
        Value::Boolean(_) | Value::Null => bridge::position(value.span).or(Some(usize::MAX)),
        _ => None,
    }
}

/// Whether a function of this name reaches more than its arguments show.
pub(super) fn is_special(name: &str, context: &Context<'_>) -> bool {
    builtins::reach(context.lex.engine(), name).is_some() || !context.catalog.functions(name).is_empty()
}

/// Adds what a call reaches: bodies of user functions, texts that built-ins run.
pub(super) fn reach(
    call: &Call,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
    depth: usize,
) {
    let engine = context.lex.engine();
    let shipped_schema = matches!(call.schema.as_deref(), Some("pg_catalog" | "information_schema"));
    if !shipped_schema {
        let candidates: Vec<&UserFunction> = context
            .catalog
            .functions(&call.name)
            .iter()
            .filter(|function| call.schema.as_deref().is_none_or(|schema| *function.schema == *schema))
            .collect();
        if !candidates.is_empty() {
            found.functions.insert(call.name.clone());
            for function in candidates {
                user_function(function, context, found, via, depth);
            }
        } else if call.schema.as_deref().is_some_and(|schema| schema.starts_with("pg_temp")) {
            found.gap("unknown-function", &call.name, Coverage::Opaque);
        } else if let (Engine::Mysql, Some(schema)) = (engine, call.schema.as_deref()) {
            // With a database written, it is a stored function's name, whatever the server ships; or a package is.
            let packages = context.catalog.functions(&schema.to_lowercase());
            for package in packages {
                user_function(package, context, found, via, depth);
            }
            if packages.is_empty() {
                found.gap("unknown-function", &call.name, Coverage::Opaque);
            }
        } else if !builtins::is_function(engine, &call.name) && builtins::reach(engine, &call.name).is_none() {
            found.gap("unknown-function", &call.name, Coverage::Partial);
        }
    }
    match builtins::reach(engine, &call.name) {
        None => {}
        Some(Reach::SetConfig) => session::set_config(call, unit, found),
        Some(Reach::Elsewhere) => {
            found.gap("dynamic-sql", &call.name, Coverage::Opaque);
            constant_texts(call, unit, context, found, via, depth);
        }
        Some(Reach::Named) => {
            let whole_schema = call.name.starts_with("schema_to_") || call.name.starts_with("database_to_");
            let read = call.constants.is_some() && constant_texts(call, unit, context, found, via, depth);
            if !read || whole_schema {
                found.gap("dynamic-sql", &call.name, Coverage::Opaque);
            }
        }
    }
}

/// Adds what a procedure of MySQL's reaches; none is built in.
pub(super) fn reach_procedure(call: &Call, unit: &Unit<'_>, context: &Context<'_>, found: &mut Found) {
    let known = context
        .catalog
        .functions(&call.name)
        .iter()
        .any(|function| call.schema.as_deref().is_none_or(|schema| *function.schema == *schema));
    let packed =
        call.schema.as_deref().is_some_and(|schema| !context.catalog.functions(&schema.to_lowercase()).is_empty());
    if known || packed {
        let via = found.via.clone();
        reach(call, unit, context, found, &via, via.len());
    } else {
        found.gap("unknown-function", &call.name, Coverage::Opaque);
    }
}

/// Reads the constant arguments of a call as SQL or names. Whether all of them could be read.
fn constant_texts(
    call: &Call,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
    depth: usize,
) -> bool {
    let mut all = true;
    for token in call.constants.iter().flatten() {
        let Some(argument) = unit.tokens.get(*token) else { continue };
        if !matches!(argument.kind, super::lexer::Kind::Text(_)) {
            continue;
        }
        all &= match unit.constant(*token) {
            Some(value) => text(&value, unit.settings, context, found, Source::Literal, via, depth + 1),
            None => false,
        };
    }
    all
}

/// Reads a text that may be SQL: everything that it names is reached, packed, in unknown columns. Whether it lexed
/// to an end and held nothing dynamic.
pub(super) fn text(
    value: &[u8],
    settings: super::LexSettings,
    context: &Context<'_>,
    found: &mut Found,
    source: Source,
    via: &[String],
    depth: usize,
) -> bool {
    if depth > NESTED_TEXTS_MAX || value.len() > BODY_BYTES_MAX {
        return false;
    }
    let unit = Unit::new(value, settings);
    let range = 0..unit.tokens.len();
    found.cost(value.len());
    for candidate in candidates::distinct(&unit, range.clone(), context) {
        let draft = Draft::new(candidate.name, Some(candidate.relation), Access::Read, source).via(via).packed_all();
        expand::reached(draft, context, found);
    }
    for call in candidates::calls(&unit, range) {
        if is_special(&call.name, context) {
            reach(&call, &unit, context, found, via, depth + 1);
        }
    }
    for (_, literal) in &unit.literals {
        if let (super::LiteralKind::String(_), Some(value)) = (
            literal.kind,
            unit.text.get(literal.range.clone()).and_then(|raw| super::literals::value(raw, literal.kind, settings)),
        ) {
            text(&value, settings, context, found, source, via, depth + 1);
        }
    }
    found.touches_names |= touches_names(&unit);
    !unit.unterminated
}

/// Words that change prepared names, or may.
const NAMING: [&str; 6] = ["prepare", "deallocate", "discard", "execute", "call", "do"];

/// [`touches_names`] for the value of a string, which most often holds none of the words.
pub(super) fn text_touches_names(value: &[u8], settings: super::LexSettings) -> bool {
    let begins = |at: usize, word: &str| {
        value.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let may = value.iter().enumerate().any(|(at, byte)| {
        matches!(byte | 0x20, b'p' | b'd' | b'e' | b'c') && NAMING.iter().any(|word| begins(at, word))
    });
    may && touches_names(&Unit::new(value, settings))
}

/// Whether the text holds words that change prepared names.
pub(super) fn touches_names(unit: &Unit<'_>) -> bool {
    unit.tokens.iter().enumerate().any(|(at, token)| {
        if token.kind != super::lexer::Kind::Word || !matches!(token.raw(unit.text).len(), 2 | 4 | 7 | 10) {
            return false;
        }
        if candidates::is_any(unit, token, &["prepare", "deallocate", "discard", "execute", "call"]) {
            return true;
        }
        // ON CONFLICT DO NOTHING, rules' DO INSTEAD: not the statement DO.
        token.is_word(unit.text, "do")
            && !unit
                .tokens
                .get(at + 1)
                .is_some_and(|next| candidates::is_any(unit, next, &["nothing", "update", "instead", "also", "select"]))
    })
}

/// Whether an anonymous block does nothing that only its run would show: no text that it makes up and runs, no setting,
/// no function or operator but those that the server ships and that reach nothing else, and no read but of the server's
/// own catalog. A name that the snapshot does not hold yet may be a view over anything, and a notice that tells its rows
/// is counted by nobody.
pub(super) fn is_plain_block(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>) -> bool {
    const TELLING: [&str; 12] = [
        "execute",
        "set",
        "set_config",
        "reset",
        "prepare",
        "deallocate",
        "discard",
        "call",
        "listen",
        "notify",
        "copy",
        "import",
    ];
    let languages = range.clone().filter(|at| unit.tokens[*at].is_word(unit.text, "language"));
    let strange = languages.clone().any(|at| {
        unit.tokens.get(at + 1).is_none_or(|language| !candidates::is_any(unit, language, &["plpgsql", "sql"]))
    });
    let mut texts = range.filter(|at| matches!(unit.tokens[*at].kind, super::lexer::Kind::Text(_)));
    let (Some(body), None, false) = (texts.next(), texts.next(), strange) else { return false };
    let Some(value) = unit.constant(body) else { return false };
    if value.len() > BODY_BYTES_MAX {
        return false;
    }
    let block = Unit::new(&value, unit.settings);
    let whole = 0..block.tokens.len();
    !block.unterminated
        && !block.tokens.iter().any(|token| candidates::is_any(&block, token, &TELLING))
        && block
            .tokens
            .iter()
            .all(|token| token.kind != super::lexer::Kind::Operator || is_plain_operator(&block, token))
        && whole.clone().all(|at| reads_plainly(&block, at, context))
        && candidates::calls(&block, whole).iter().all(|call| {
            builtins::is_function(Engine::Postgres, &call.name)
                && !is_special(&call.name, context)
                && builtins::publishes(Engine::Postgres, &call.name).is_none()
        })
}

fn is_plain_operator(unit: &Unit<'_>, token: &Token) -> bool {
    const SERVERS_OWN: [&str; 13] = ["=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "||"];
    SERVERS_OWN.iter().any(|known| known.as_bytes() == token.raw(unit.text))
}

/// Whether the token at this place begins no read, or one of a single relation of the server's own.
fn reads_plainly(unit: &Unit<'_>, at: usize, context: &Context<'_>) -> bool {
    let is = |place: usize, words: &[&str]| {
        unit.tokens.get(place).is_some_and(|token| candidates::is_any(unit, token, words))
    };
    if is(at, &["table"]) {
        const DEFINING: [&str; 8] = ["create", "alter", "drop", "temp", "temporary", "unlogged", "truncate", "lock"];
        return at.checked_sub(1).is_some_and(|before| is(before, &DEFINING));
    }
    if !is(at, &["from", "join", "using"]) {
        return true;
    }
    let names: Vec<&Token> = unit.tokens.iter().skip(at + 1).take(3).collect();
    let name = |token: &Token| token.is_identifier().then(|| token.identifier(unit.text).into_owned());
    let (schema, relation, used) = match names.as_slice() {
        [schema, dot, relation] if dot.is_punct(unit.text, ".") => (name(schema), name(relation), 3),
        [relation, ..] => (None, name(relation), 1),
        [] => return false,
    };
    let Some(relation) = relation else { return false };
    if context.temporary.contains(&relation) {
        return false;
    }
    let written = RelationName { schema, name: relation };
    let own = matches!(
        context.catalog.resolve(&written, context.search_path),
        Resolution::Found(found) if matches!(&*found.id.schema, "pg_catalog" | "information_schema")
    );
    own && !has_comma(unit, at + 1 + used)
}

/// Whether a comma comes before what ends a list of relations: a second relation stands behind it.
fn has_comma(unit: &Unit<'_>, from: usize) -> bool {
    const ENDING: [&str; 11] =
        ["where", "group", "order", "limit", "having", "union", "except", "intersect", "loop", "then", "returning"];
    let mut depth = 0_usize;
    for token in unit.tokens.iter().skip(from) {
        if token.is_punct(unit.text, "(") {
            depth += 1;
        } else if token.is_punct(unit.text, ")") {
            if depth == 0 {
                return false;
            }
            depth -= 1;
        } else if depth == 0 && (token.is_punct(unit.text, ";") || candidates::is_any(unit, token, &ENDING)) {
            return false;
        } else if depth == 0 && token.is_punct(unit.text, ",") {
            return true;
        }
    }
    false
}

/// Whether an anonymous block changes the catalog.
pub(super) fn defines(unit: &Unit<'_>, range: Range<usize>) -> bool {
    range.filter_map(|at| unit.constant(at)).any(|value| {
        let block = Unit::new(&value, unit.settings);
        block.tokens.iter().any(|token| candidates::is_any(&block, token, &["create", "alter", "drop"]))
    })
}

/// Adds what the body of a user function names.
fn user_function(function: &UserFunction, context: &Context<'_>, found: &mut Found, via: &[String], depth: usize) {
    if function.from_extension {
        return;
    }
    let label = format!("{}.{}", function.schema, function.name);
    if !found.reads_body(&label, function.body.as_deref().unwrap_or_default()) {
        return;
    }
    found.cost(function.body.as_ref().map_or(0, String::len));
    if context.lex.engine() == Engine::Mysql {
        return routines::read(function, context, found, via, depth);
    }
    let readable = matches!(&*function.language, "sql" | "plpgsql");
    let body = function.body.as_deref().filter(|body| readable && body.len() <= BODY_BYTES_MAX);
    if function.body.as_deref().is_some_and(|body| body.trim() == "aggregate_dummy") {
        found.gap("unknown-function", &function.name, Coverage::Partial);
        return;
    }
    let (Some(body), true) = (body, depth <= NESTED_TEXTS_MAX * 4) else {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
        return;
    };
    let unit = Unit::new(body.as_bytes(), super::LexSettings::default());
    let range = 0..unit.tokens.len();
    let dynamic =
        &*function.language == "plpgsql" && unit.tokens.iter().any(|token| token.is_word(unit.text, "execute"));
    if dynamic || unit.unterminated {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
    }
    found.touches_names |= touches_names(&unit);
    // A loop can put any number of rows into one value.
    let packs = &*function.language == "plpgsql" || candidates::packs(&unit, range.clone());
    let mut path = via.to_vec();
    path.push(label);
    for candidate in candidates::distinct(&unit, range.clone(), context) {
        let mut draft = Draft::new(candidate.name.clone(), Some(candidate.relation), Access::Read, Source::Catalog)
            .via(&path)
            .released_all();
        if packs {
            draft.packed = crate::statement::Columns::All;
        }
        if candidate.written {
            found
                .draft(Draft::new(candidate.name, Some(candidate.relation), Access::Write, Source::Catalog).via(&path));
        }
        expand::reached(draft, context, found);
    }
    for call in candidates::calls(&unit, range.clone()) {
        if is_special(&call.name, context) {
            reach(&call, &unit, context, found, &path, depth + 1);
        }
    }
    if dynamic {
        for (_, literal) in &unit.literals {
            let value = unit
                .text
                .get(literal.range.clone())
                .and_then(|raw| super::literals::value(raw, literal.kind, unit.settings));
            if let (super::LiteralKind::String(_), Some(value)) = (literal.kind, value) {
                text(&value, unit.settings, context, found, Source::Catalog, &path, depth + 1);
            }
        }
    }
}

/// The name of a relation as the catalog has it.
pub(super) fn catalog_name(relation: &crate::catalog::Relation) -> RelationName {
    RelationName { schema: Some(relation.id.schema.to_string()), name: relation.id.name.to_string() }
}
