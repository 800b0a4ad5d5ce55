//! Functions of PostgreSQL's from the inside: what their bodies read and write, and by which way values leave: as what
//! a call returns, told in a notice or an error, put into other rows.
//!
//! A body in SQL or PL/pgSQL is read statement by statement, as if the client had sent each. What cannot be read so is
//! read by its names; what it makes up at its run is opaque.
//!
//! What must never happen here: a relation that a body reads and nobody is told of, or a value that leaves a body
//! without being counted.

use std::ops::Range;

use super::super::candidates;
use super::super::found::Found;
use super::super::functions::{self, BODY_BYTES_MAX};
use super::super::lexer::Kind;
use super::super::reading::{self, Fate};
use super::super::shape::Unit;
use super::super::uses::{Atom, Draft, Pack, add};
use super::super::{Context, LexSettings, LiteralKind, expand};
use super::program::{self, Program, Rows, Step};
use crate::catalog::{Function, Volatility};
use crate::statement::{Access, Columns, Coverage, SessionAct, Source};

/// Bodies that call bodies are read this deep.
const BODIES_MAX: usize = 8;
/// Variables that PL/pgSQL has without declaring them.
const GIVEN: [&str; 16] = [
    "new",
    "old",
    "found",
    "sqlerrm",
    "sqlstate",
    "tg_name",
    "tg_when",
    "tg_level",
    "tg_op",
    "tg_relid",
    "tg_relname",
    "tg_table_name",
    "tg_table_schema",
    "tg_nargs",
    "tg_argv",
    "tg_event",
];

/// Adds what a call of a function reaches; what its value is made of. A body is read once in a statement, and each
/// further call of it returns the same again.
pub(in crate::analysis) fn call(
    function: &Function,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
) -> Vec<Atom> {
    if function.from_extension {
        return Vec::new();
    }
    found.functions.insert(function.name.to_string());
    let label = format!("{}.{}", function.schema, function.name);
    let body = format!("{} {}", function.oid, function.body.as_deref().unwrap_or_default());
    if !found.reads_body(&label, &body) {
        let atoms = found.returned.get(&returned_key(function)).cloned().unwrap_or_default();
        found.add_copy(&atoms.iter().map(|atom| atom.usage).collect());
        return atoms;
    }
    let mut path = via.to_vec();
    path.push(label);
    let first = found.drafts.len();
    let mut atoms = Vec::new();
    for called in function.calls.iter().filter_map(|oid| context.catalog.function(*oid)) {
        atoms.extend(call(called, context, found, &path));
    }
    let known = found.returned.get(&returned_key(function)).cloned();
    if function.is_aggregate {
        // What its own functions return has gone through it.
    } else if path.len() > BODIES_MAX {
        found.gap("too-large", &function.name, Coverage::Opaque);
    } else {
        atoms.extend(inside(function, context, found, &path));
    }
    atoms.extend(known.unwrap_or_default());
    plan(function.volatility, found, first);
    atoms.sort();
    atoms.dedup();
    found.spend(atoms.len());
    found.returned.insert(returned_key(function), atoms.clone());
    atoms
}

/// As [`call`], of the function with this number.
pub(in crate::analysis) fn call_by_number(
    oid: u32,
    context: &Context<'_>,
    found: &mut Found,
    via: &[String],
) -> Vec<Atom> {
    match context.catalog.function(oid) {
        Some(function) => call(function, context, found, via),
        None => Vec::new(),
    }
}

fn returned_key(function: &Function) -> String {
    format!("{}.{} {}", function.schema, function.name, function.oid)
}

/// Says of what was found in a body how early the planner may run it.
fn plan(volatility: Volatility, found: &mut Found, first: usize) {
    for draft in found.drafts.iter_mut().skip(first) {
        draft.planned = match (draft.planned, volatility) {
            (_, Volatility::Volatile) | (Some(Volatility::Volatile), _) => Some(Volatility::Volatile),
            (_, Volatility::Stable) | (Some(Volatility::Stable), _) => Some(Volatility::Stable),
            _ => Some(Volatility::Immutable),
        };
    }
}

fn inside(function: &Function, context: &Context<'_>, found: &mut Found, path: &[String]) -> Vec<Atom> {
    let readable = matches!(&*function.language, "sql" | "plpgsql");
    let body = function.body.as_deref().filter(|body| readable && body.len() <= BODY_BYTES_MAX);
    let Some(body) = body else {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
        return Vec::new();
    };
    let context = match &function.search_path {
        Some(own) => Context { search_path: own, ..*context },
        None => *context,
    };
    let unit = Unit::new(body.as_bytes(), LexSettings::default());
    found.cost(functions::BODY_COST + unit.tokens.len());
    found.touches_names |= functions::touches_names(&unit);
    let arguments: Vec<String> = function.arguments.iter().map(|name| name.to_string()).collect();
    let mut reader = Reader::new(&context, found, path, arguments.clone());
    let given = Given { name: &function.name, arguments: &arguments };
    let understood = if &*function.language == "sql" {
        reader.sql(&unit, &given)
    } else {
        match program::read(&unit) {
            Some(program) => reader.program(&program, body.as_bytes(), &given),
            None => false,
        }
    };
    match reader.done(understood) {
        Some(atoms) => atoms,
        None => by_names(function, &unit, &context, found, path),
    }
}

/// An anonymous block: what it reads can only be told or put somewhere. Whether it was understood.
pub(in crate::analysis) fn block(text: &[u8], settings: LexSettings, context: &Context<'_>, found: &mut Found) -> bool {
    if text.len() > BODY_BYTES_MAX {
        return false;
    }
    let unit = Unit::new(text, settings);
    let Some(program) = program::read(&unit) else { return false };
    let path = found.via.clone();
    let before = found.gaps.len();
    let mut reader = Reader::new(context, found, &path, Vec::new());
    let understood = reader.program(&program, text, &Given { name: "do", arguments: &[] });
    let Some(_) = reader.done(understood) else { return false };
    let unknown = found.gaps.iter().any(|gap| matches!(gap.code, "unknown-relation" | "parser-refused" | "too-large"));
    // What the catalog does not know yet may be a view over anything, and no description of a result would tell.
    !(unknown && found.gaps.len() > before)
}

/// Text that the server keeps with a relation: a default, the actions of a rule.
pub(in crate::analysis) fn kept(
    text: &str,
    expression: bool,
    context: &Context<'_>,
    found: &mut Found,
    path: &[String],
) -> Vec<Atom> {
    if text.len() > BODY_BYTES_MAX || path.len() > BODIES_MAX {
        found.gap("too-large", "definition", Coverage::Opaque);
        return Vec::new();
    }
    let mut reader = Reader::new(context, found, path, Vec::new());
    if expression {
        let atoms = reader.expressions(text.as_bytes());
        reader.returned.extend(atoms);
    } else {
        let unit = Unit::new(text.as_bytes(), LexSettings::default());
        // CREATE RULE … DO [ALSO | INSTEAD] action.
        let action = unit.tokens.iter().position(|token| token.is_word(unit.text, "do"));
        let Some(action) = action else {
            found.gap("parser-refused", "rule", Coverage::Opaque);
            return Vec::new();
        };
        let mut from = action + 1;
        while unit.tokens.get(from).is_some_and(|token| {
            candidates::is_any(&unit, token, &["also", "instead"]) || token.is_punct(unit.text, "(")
        }) {
            from += 1;
        }
        let mut start = from;
        for at in from..=unit.tokens.len() {
            let ends = unit.tokens.get(at).is_none_or(|token| token.is_punct(unit.text, ";"));
            if ends && at > start {
                let closes = unit.tokens[at - 1].is_punct(unit.text, ")") && unit.tokens.get(at).is_some();
                let last = if closes && unbalanced(&unit, start..at) { at - 1 } else { at };
                let bytes = unit.tokens[start].range().start..unit.tokens[last.max(start + 1) - 1].range().end;
                let nothing =
                    unit.tokens[start].is_word(unit.text, "nothing") || unit.tokens[start].is_punct(unit.text, ")");
                if !nothing {
                    let atoms = reader.statement(&text.as_bytes()[bytes]);
                    reader.returned.extend(atoms);
                }
            }
            if ends {
                start = at + 1;
            }
        }
    }
    reader.done(true).unwrap_or_default()
}

fn unbalanced(unit: &Unit<'_>, range: Range<usize>) -> bool {
    let count = |punct| unit.tokens[range.clone()].iter().filter(|token| token.is_punct(unit.text, punct)).count();
    count(")") > count("(")
}

/// Reads one body.
struct Reader<'a, 'c> {
    context: &'a Context<'c>,
    found: &'a mut Found,
    /// The first use of this body.
    first: usize,
    /// What stands in variables.
    pool: Vec<Atom>,
    returned: Vec<Atom>,
    /// What the statement around was, before.
    before: Before,
}

/// What of a statement is not for its bodies to change.
struct Before {
    verb: crate::statement::Verb,
    extent: crate::statement::Extent,
    acts: usize,
    copies: bool,
    loose: bool,
    random: bool,
    via: Vec<String>,
    parameters: bool,
    variables: Vec<String>,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(context: &'a Context<'c>, found: &'a mut Found, path: &[String], arguments: Vec<String>) -> Reader<'a, 'c> {
        let before = Before {
            verb: found.verb,
            extent: found.extent,
            acts: found.acts.len(),
            copies: std::mem::take(&mut found.copies),
            loose: found.loose,
            random: found.random,
            via: std::mem::replace(&mut found.via, path.to_vec()),
            parameters: std::mem::replace(&mut found.parameters, true),
            variables: std::mem::replace(&mut found.variables, arguments),
        };
        let first = found.drafts.len();
        Reader { context, found, first, pool: Vec::new(), returned: Vec::new(), before }
    }

    /// Puts back what was before. What is returned; `None`: not understood, and what was found is forgotten.
    fn done(self, understood: bool) -> Option<Vec<Atom>> {
        let Reader { found, first, returned, before, .. } = self;
        (found.verb, found.extent, found.copies) = (before.verb, before.extent, before.copies);
        (found.loose, found.random) = (before.loose, before.random);
        (found.via, found.parameters, found.variables) = (before.via, before.parameters, before.variables);
        // What a body sets for itself, and is not certain to run, is said by a gap.
        let kept = |act: &SessionAct| {
            matches!(
                act,
                SessionAct::CatalogChanged
                    | SessionAct::Commit
                    | SessionAct::CreateTemporary { .. }
                    | SessionAct::DropTemporary { .. }
                    | SessionAct::Set { .. }
                    | SessionAct::SetRole { .. }
            )
        };
        let made: Vec<SessionAct> = found.acts.drain(before.acts.min(found.acts.len())..).filter(kept).collect();
        found.acts.extend(made);
        if !understood {
            found.truncate(first);
            return None;
        }
        let once = found.once;
        for draft in found.drafts.iter_mut().skip(first) {
            draft.copied_many |= !once && draft.copied != Columns::None;
            // Its values stand in another text than the statement's.
            draft.pin = None;
        }
        Some(returned)
    }

    /// A body in SQL: the rows of its last statement are what it returns.
    fn sql(&mut self, unit: &Unit<'_>, given: &Given<'_>) -> bool {
        if unit.unterminated {
            return false;
        }
        let word = |at: usize, word: &str| unit.tokens.get(at).is_some_and(|token| token.is_word(unit.text, word));
        let mut range = 0..unit.tokens.len();
        if word(0, "begin") && word(1, "atomic") {
            range = 2..unit.tokens.iter().rposition(|token| token.is_word(unit.text, "end")).unwrap_or(range.end);
        }
        let (mut start, mut depth) = (range.start, 0_usize);
        let mut last = Vec::new();
        for at in range.start..=range.end {
            let token = unit.tokens.get(at).filter(|_| at < range.end);
            depth += usize::from(token.is_some_and(|token| token.is_punct(unit.text, "(")));
            depth = depth.saturating_sub(usize::from(token.is_some_and(|token| token.is_punct(unit.text, ")"))));
            if token.is_some_and(|token| !token.is_punct(unit.text, ";") || depth > 0) {
                continue;
            }
            if at > start {
                let returns = word(start, "return");
                let from = if returns { start + 1 } else { start };
                if from < at {
                    let text = &unit.text[unit.tokens[from].range().start..unit.tokens[at - 1].range().end];
                    last = if returns { self.expressions(text) } else { self.statement(text) };
                    if is_change(text) && given.is_in(text) {
                        self.found.keeping.insert(given.name.to_owned());
                    }
                }
            }
            start = at + 1;
        }
        self.returned.append(&mut last);
        true
    }

    fn program(&mut self, program: &Program, body: &[u8], given: &Given<'_>) -> bool {
        let mut variables = program.variables.clone();
        variables.extend(program.assigned.iter().cloned());
        variables.extend(GIVEN.iter().map(|name| (*name).to_owned()));
        variables.append(&mut self.found.variables);
        let arguments: Vec<String> = variables.clone();
        self.found.variables = variables;
        let mut told: Vec<Atom> = Vec::new();
        // Whether what stands in variables is returned, told, put into other rows.
        let (mut returns, mut copies) = (false, false);
        // Whether it is told, and whether that may be often.
        let mut tells: Option<bool> = None;
        let mut gathers = program.gathers && program.loops;
        // Whether what was given to it is among what stands in variables, is told, is put into other rows.
        let (mut pools_given, mut copies_given) = (false, false);
        let mut tells_given: Option<bool> = None;
        let assigned = |text: &[u8]| mentions(text, &program.assigned, program.reads_errors);
        for step in &program.steps {
            if self.found.is_spent() {
                return false;
            }
            match step {
                Step::Statement { text, into, rows } => {
                    let mut own = body.get(text.clone()).unwrap_or_default().to_vec();
                    if let Some(into) = into {
                        for at in into.clone() {
                            own[at - text.start] = b' ';
                        }
                    }
                    if own.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"perform")) {
                        own[..7].copy_from_slice(b"select ");
                    }
                    let atoms = self.statement(&own);
                    let mentioned = assigned(&own);
                    let reads = !is_change(&own);
                    copies |= mentioned && !reads;
                    pools_given |= *rows == Rows::Variables && given.is_in(&own);
                    copies_given |= !reads && given.is_in(&own);
                    match rows {
                        // An error's text may hold what nobody asked for, whoever reads it: the program or the client.
                        Rows::Dropped => self.found.use_atoms(&atoms),
                        Rows::Variables => self.pool.extend(atoms),
                        Rows::Returned => {
                            returns |= mentioned;
                            self.returned.extend(atoms);
                        }
                    }
                }
                Step::Assign { text, again } => {
                    let own = body.get(text.clone()).unwrap_or_default();
                    gathers |= *again && program.loops;
                    pools_given |= given.is_in(own);
                    let atoms = self.expressions(own);
                    self.pool.extend(atoms);
                }
                Step::Condition(text) => {
                    let atoms = self.expressions(body.get(text.clone()).unwrap_or_default());
                    self.found.use_atoms(&atoms);
                }
                Step::Return(text) => {
                    let own = body.get(text.clone()).unwrap_or_default();
                    returns |= assigned(own);
                    let atoms = self.expressions(own);
                    self.returned.extend(atoms);
                }
                Step::ReturnVariables => returns = true,
                Step::Tell { text, ends } => {
                    let own = body.get(text.clone()).unwrap_or_default();
                    // An error is told once; how often a notice is, nobody can say where it stands in a loop.
                    let often = !ends && (program.loops || !self.found.once);
                    if assigned(own) {
                        tells = tells.max(Some(often));
                    }
                    if given.is_in(own) {
                        tells_given = tells_given.max(Some(!ends));
                    }
                    let atoms = self.expressions(own);
                    told.extend(atoms.into_iter().map(|atom| {
                        let pack = if often { Pack::Whole } else { atom.pack };
                        Atom { pack, ..atom }
                    }));
                }
                Step::Dynamic { text, using, rows } => {
                    let own = body.get(text.clone()).unwrap_or_default();
                    if let Some(using) = using {
                        let atoms = self.expressions(body.get(using.clone()).unwrap_or_default());
                        self.found.use_atoms(&atoms);
                    }
                    let Some(atoms) = self.constant(own) else {
                        self.dynamic(own, given.name);
                        continue;
                    };
                    match rows {
                        Rows::Dropped => {}
                        Rows::Variables => self.pool.extend(atoms),
                        Rows::Returned => self.returned.extend(atoms),
                    }
                }
                Step::Set(text) => self.set(body.get(text.clone()).unwrap_or_default()),
            }
        }
        // Values may go round a loop and come back with others.
        returns |= program.assigned.iter().any(|name| arguments.contains(name) && !program.variables.contains(name));
        if program.reads_errors {
            // The text of an error may hold what was only compared.
            let used: Vec<Atom> = self.used();
            self.pool.extend(used);
        }
        if gathers {
            for atom in &mut self.pool {
                atom.pack = atom.pack.max(Pack::Grouped);
            }
        }
        if let Some(often) = tells {
            told.extend(self.pool.iter().map(|atom| {
                let pack = if often { Pack::Whole } else { atom.pack };
                Atom { pack, ..atom.clone() }
            }));
        }
        self.found.tell(&told);
        if pools_given {
            tells_given = tells_given.max(tells);
        }
        if let Some(often) = tells_given {
            *self.found.telling.entry(given.name.to_owned()).or_default() |= often;
        }
        if copies_given || (copies && pools_given) {
            self.found.keeping.insert(given.name.to_owned());
        }
        if copies {
            let many = program.loops || !self.found.once;
            self.found.copy_atoms(&self.pool, many);
        }
        if program.loops {
            for draft in self.found.drafts.iter_mut().skip(self.first) {
                draft.copied_many |= draft.copied != Columns::None;
            }
        }
        if returns {
            self.returned.extend(self.pool.iter().cloned());
        }
        true
    }

    /// Columns that the body has only compared so far.
    fn used(&self) -> Vec<Atom> {
        let mut atoms = Vec::new();
        for (usage, draft) in self.found.drafts.iter().enumerate().skip(self.first) {
            match &draft.used {
                Columns::None => {}
                Columns::All => atoms.push(Atom::new(usage, None, Pack::Bounded)),
                Columns::Some(columns) => {
                    atoms.extend(columns.iter().map(|column| Atom::new(usage, Some(column.clone()), Pack::Bounded)));
                }
            }
        }
        atoms
    }

    /// A statement of SQL; what its rows are made of.
    fn statement(&mut self, text: &[u8]) -> Vec<Atom> {
        let unit = Unit::new(text, LexSettings::default());
        let context = self.context;
        self.found.apart(|found| reading::statement(&unit, 0..unit.tokens.len(), context, found, 1));
        self.found.copies = false;
        self.take()
    }

    /// The list of a SELECT, and what may follow it.
    fn expressions(&mut self, text: &[u8]) -> Vec<Atom> {
        let unit = Unit::new(text, LexSettings::default());
        let context = self.context;
        self.found.apart(|found| {
            super::expressions(&unit, 0..unit.tokens.len(), context, found, ("select", Fate::Leave));
        });
        self.found.copies = false;
        self.take()
    }

    /// What would leave of what this body has found.
    fn take(&mut self) -> Vec<Atom> {
        let mut atoms = Vec::new();
        let rows: Vec<usize> =
            self.found.rows.iter().map(|(_, usage)| *usage).filter(|usage| *usage < self.first).collect();
        for usage in rows.into_iter().chain(self.first..self.found.drafts.len()) {
            if let Some(draft) = self.found.drafts.get_mut(usage) {
                atoms.extend(draft.returned(usage));
            }
        }
        atoms
    }

    /// A text to run that is one literal, read as the statements it is.
    fn constant(&mut self, text: &[u8]) -> Option<Vec<Atom>> {
        let unit = Unit::new(text, LexSettings::default());
        let [(0, literal)] = unit.literals.as_slice() else { return None };
        if unit.tokens.len() != 1 || literal.kind == LiteralKind::Number || self.found.via.len() > BODIES_MAX {
            return None;
        }
        let raw = unit.text.get(literal.range.clone())?;
        let value = super::super::literals::value(raw, literal.kind, unit.settings)?;
        let inner = Unit::new(&value, LexSettings::default());
        if inner.unterminated {
            return None;
        }
        let mut atoms = Vec::new();
        for range in super::split(&inner) {
            let bytes = inner.tokens[range.start].range().start..inner.tokens[range.end - 1].range().end;
            atoms = self.statement(&value[bytes]);
        }
        Some(atoms)
    }

    /// A text to run that nobody knows: opaque, with what its literals name.
    fn dynamic(&mut self, text: &[u8], name: &str) {
        self.found.gap(if name == "do" { "dynamic-sql" } else { "unknown-function" }, name, Coverage::Opaque);
        let unit = Unit::new(text, LexSettings::default());
        let via = self.found.via.clone();
        for (_, literal) in &unit.literals {
            let raw = unit.text.get(literal.range.clone());
            let value = raw.and_then(|raw| super::super::literals::value(raw, literal.kind, unit.settings));
            if let (LiteralKind::String(_), Some(value)) = (literal.kind, value) {
                functions::text(&value, unit.settings, self.context, self.found, Source::Catalog, &via, 1);
            }
        }
        let atoms = self.expressions(text);
        self.found.use_atoms(&atoms);
    }

    /// SET in a body outlives it, unless the function sets it back.
    fn set(&mut self, text: &[u8]) {
        let unit = Unit::new(text, LexSettings::default());
        if super::super::session::sets_reading(&unit) {
            self.found.gap("dynamic-sql", "set", Coverage::Opaque);
        }
    }
}

/// What a caller gives to a function.
struct Given<'a> {
    name: &'a str,
    arguments: &'a [String],
}

impl Given<'_> {
    /// Whether a text names it.
    fn is_in(&self, text: &[u8]) -> bool {
        let unit = Unit::new(text, LexSettings::default());
        unit.tokens.iter().any(|token| {
            token.kind == Kind::Param
                || (token.is_identifier() && self.arguments.iter().any(|known| **known == *token.identifier(unit.text)))
        })
    }
}

/// Whether a statement of SQL changes rows, or may.
fn is_change(text: &[u8]) -> bool {
    let unit = Unit::new(text, LexSettings::default());
    let changes = |token| candidates::is_any(&unit, token, &["insert", "update", "delete", "merge", "call"]);
    !matches!(first_word(text).as_str(), "select" | "values" | "table" | "") && unit.tokens.iter().any(changes)
}

fn first_word(text: &[u8]) -> String {
    let unit = Unit::new(text, LexSettings::default());
    let word = unit.tokens.iter().find(|token| !token.is_punct(unit.text, "("));
    word.map(|token| token.identifier(unit.text).into_owned()).unwrap_or_default()
}

/// Whether a text names one of these variables, or an error's text.
fn mentions(text: &[u8], names: &[String], errors: bool) -> bool {
    let unit = Unit::new(text, LexSettings::default());
    unit.tokens.iter().filter(|token| token.is_identifier()).any(|token| {
        let name = token.identifier(unit.text);
        names.iter().any(|known| **known == *name) || (errors && *name == *"sqlerrm")
    })
}

/// Adds what the words of a body name: what is said where it is not understood.
fn by_names(
    function: &Function,
    unit: &Unit<'_>,
    context: &Context<'_>,
    found: &mut Found,
    path: &[String],
) -> Vec<Atom> {
    found.gap("unread-body", &function.name, Coverage::Partial);
    let range = 0..unit.tokens.len();
    let dynamic = unit.tokens.iter().any(|token| token.is_word(unit.text, "execute"));
    if (dynamic && &*function.language == "plpgsql") || unit.unterminated {
        found.gap("unknown-function", &function.name, Coverage::Opaque);
    }
    let first = found.drafts.len();
    for candidate in candidates::distinct(unit, range.clone(), context) {
        if candidate.written {
            let name = candidate.name.clone();
            found.draft(Draft::new(name, Some(candidate.relation), Access::Write, Source::Catalog).via(path));
        }
        let mut draft = Draft::new(candidate.name, Some(candidate.relation), Access::Read, Source::Catalog)
            .via(path)
            .released_all();
        draft.packed = Columns::All;
        // It may tell them, or keep them.
        add(&mut draft.told, None);
        expand::reached(draft, context, found);
    }
    let mut atoms = Vec::new();
    for called in candidates::calls(unit, range) {
        if functions::is_special(&called.name, context) {
            atoms.extend(functions::reach(&called, unit, context, found, path, path.len()));
        }
    }
    for (_, literal) in unit.literals.iter().filter(|_| dynamic) {
        let raw = unit.text.get(literal.range.clone());
        let value = raw.and_then(|raw| super::super::literals::value(raw, literal.kind, unit.settings));
        if let (LiteralKind::String(_), Some(value)) = (literal.kind, value) {
            functions::text(&value, unit.settings, context, found, Source::Catalog, path, 1);
        }
    }
    for usage in first..found.drafts.len() {
        if let Some(draft) = found.drafts.get_mut(usage) {
            atoms.extend(draft.returned(usage));
        }
    }
    atoms
}
