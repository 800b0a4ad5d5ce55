//! Calls: what a function's value is made of, and what it reaches that its arguments do not show.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, ObjectName, Value,
    WindowType,
};

use super::asks::through_function;
use super::bridge;
use super::builtins::{self, Passing, Published, Reach};
use super::candidates::{self, Call};
use super::found::Found;
use super::lineage::{Walker, parts};
use super::routines;
use super::scope::{Scope, map, single};
use super::shape::Unit;
use super::uses::{Atom, Draft, Flow, Pack};
use super::{Context, expand, session};
use crate::catalog::Function as UserFunction;
use crate::relation::{Engine, RelationName};
use crate::statement::{Access, Columns, Coverage, Source};

/// Strings within strings are read this deep.
pub(super) const NESTED_TEXTS_MAX: usize = 4;
/// What it costs to take up a body, however short it is, in values moved about.
pub(super) const BODY_COST: usize = 64;
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
        let once = self.found.once;
        self.found.once |= self.runs_once(function, scope);
        let reached = self.reached_by(schema.as_deref(), &name, constants.as_deref());
        self.given_away(&name, &flow);
        self.found.once = once;
        if let Some(published) = builtins::publishes(self.engine(), &name) {
            // No row shows it, or the row comes when it is done: what a later SHOW or another session reads is counted
            // before the statement runs.
            self.copy_flow(&flow, None, published == Published::OneValue);
            // A notification reaches whoever listens, of whom nobody knows who they are.
            self.found.unfollowed |= name == "pg_notify" && !flow.is_empty();
        }
        let windowed = function.over.is_some();
        let stored = self.engine() == Engine::Mysql && schema.is_some();
        let own = self.context.catalog.functions(&name);
        let gathers = match self.engine() {
            Engine::Postgres => own.iter().any(|own| own.is_aggregate),
            Engine::Mysql => own.iter().any(|own| routines::is_aggregate(own, self.context.lex)),
        };
        let passing = if gathers { Passing::Packed } else { self.passing_of(function, &name) };
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

    /// What becomes of a built-in's arguments, some of which decide that.
    fn passing_of(&self, function: &Function, name: &str) -> Passing {
        let FunctionArguments::List(list) = &function.args else { return builtins::passing(self.engine(), name) };
        // With many fractions, many values.
        let many = self.engine() == Engine::Postgres
            && matches!(name, "percentile_disc" | "percentile_cont")
            && list.args.first().is_none_or(|first| constant_argument(first).is_none());
        if many { Passing::Packed } else { builtins::passing(self.engine(), name) }
    }

    /// Whether a call in a select list is all that a statement does, so that the function runs once.
    fn runs_once(&self, function: &Function, scope: &Scope<'_>) -> bool {
        let FunctionArguments::List(list) = &function.args else { return false };
        self.found.alone && scope.items.is_empty() && scope.outer.is_none() && list.args.iter().all(is_given)
    }

    /// What a function does with its arguments besides returning something of them.
    fn given_away(&mut self, name: &str, flow: &Flow) {
        if self.engine() == Engine::Mysql || flow.is_empty() {
            return;
        }
        if let Some(often) = self.found.telling.get(name).copied() {
            // A notice for each row; an error ends what runs.
            let told = pack(flow, !often || self.found.once);
            self.found.tell(told.iter());
        }
        if self.found.keeping.contains(name) {
            let one = self.found.once;
            self.copy_flow(flow, None, one);
        }
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
        let once = self.found.once;
        self.found.once |= scope.outer.is_none() && self.via.is_empty() && args.iter().all(is_given);
        let reached = self.reached_by(names.pop().as_deref(), &own, constants.as_deref());
        self.given_away(&own, &flow);
        self.found.once = once;
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
        let atoms = self::reach(&call, self.unit, self.context, self.found, &self.via, 0);
        if self.engine() == Engine::Mysql {
            return self.returned_by(before, name);
        }
        let mut flow = Flow::new(atoms.into_iter().collect());
        // What a text names that a built-in runs leaves as a whole.
        for usage in before..self.found.drafts.len() {
            if self.found.drafts.get(usage).is_some_and(|draft| draft.released != Columns::None) {
                let atom = Atom::new(usage, None, Pack::Single);
                flow = self.join(&flow, &single(atom));
            }
        }
        self.found.spend(flow.len());
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

/// Whether an argument is a value of the client's own: a literal or a parameter.
fn is_given(argument: &FunctionArg) -> bool {
    fn given(expr: &Expr) -> bool {
        match expr {
            Expr::Value(_) => true,
            Expr::Nested(inner) | Expr::Cast { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => given(inner),
            _ => false,
        }
    }
    let (FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
    | FunctionArg::Named { arg: FunctionArgExpr::Expr(expr), .. }
    | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(expr), .. }) = argument
    else {
        return false;
    };
    given(expr)
}

/// Whether a function of this name reaches more than its arguments show.
pub(super) fn is_special(name: &str, context: &Context<'_>) -> bool {
    builtins::reach(context.lex.engine(), name).is_some() || !context.catalog.functions(name).is_empty()
}

/// Adds what a call reaches: bodies of user functions, texts that built-ins run. What the value of a function of
/// PostgreSQL's is made of; of all else it is said by the uses.
pub(super) fn reach(
    call: &Call,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
    depth: usize,
) -> Vec<Atom> {
    let engine = context.lex.engine();
    let mut atoms = Vec::new();
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
                atoms.extend(user_function(function, context, found, via, depth));
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
    atoms
}

/// As [`reach`], where nothing is known of where the value goes: it leaves.
pub(super) fn reach_and_release(
    call: &Call,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
    depth: usize,
) {
    let atoms = reach(call, unit, context, found, via, depth);
    found.release(&atoms);
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
        reach_and_release(call, unit, context, found, &via, via.len());
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
    for call in candidates::distinct_calls(&unit, range, |name| is_special(name, context)) {
        reach_and_release(&call, &unit, context, found, via, depth + 1);
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

/// Adds what the body of a user function reaches; what its value is made of, where that is known apart.
fn user_function(
    function: &UserFunction,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
    depth: usize,
) -> Vec<Atom> {
    super::privileges::of_call(function, found);
    if context.lex.engine() == Engine::Postgres {
        return super::postgres::call(function, context, found, via);
    }
    let label = format!("{}.{}", function.schema, function.name);
    if !function.from_extension && found.reads_body(&label, function.body.as_deref().unwrap_or_default()) {
        found.cost(BODY_COST + function.body.as_ref().map_or(0, String::len));
        routines::read(function, context, found, via, depth);
    }
    Vec::new()
}

/// The name of a relation as the catalog has it.
pub(super) fn catalog_name(relation: &crate::catalog::Relation) -> RelationName {
    RelationName { schema: Some(relation.id.schema.to_string()), name: relation.id.name.to_string() }
}
