//! Bodies of stored programs, and MariaDB's compound statements outside of any: where they end, and the statements
//! and conditions that they are made of.
//!
//! What must never happen here: to take for a part of a body what the server reads as the next statement. Words are
//! looked at only where a statement begins; what does not fit the grammar is not understood.

use std::ops::Range;

use super::super::Context;
use super::super::candidates;
use super::super::found::Found;
use super::super::lexer::{Kind, Token};
use super::super::reading::{self, Fate};
use super::super::shape::Unit;
use super::opaque;
use crate::statement::{Access, Coverage, Extent, SessionAct, Verb};

/// Blocks in blocks are followed this deep.
const NESTING_MAX: usize = 32;

/// A body, taken apart.
#[derive(Debug, Default)]
pub(in crate::analysis) struct Program {
    /// The token behind it.
    pub(in crate::analysis) end: usize,
    /// Statements in it that are not compound.
    pub(in crate::analysis) statements: Vec<Range<usize>>,
    /// Queries, or names of cursors, whose rows a loop goes through.
    pub(in crate::analysis) gathered: Vec<Range<usize>>,
    /// Expressions that decide what runs.
    pub(in crate::analysis) conditions: Vec<Range<usize>>,
    /// Names of variables that it declares, in lower case.
    pub(in crate::analysis) variables: Vec<String>,
}

/// Where the body of the statement at `start` begins, if it has one whose end no semicolon tells.
pub(super) fn begins(unit: &Unit<'_>, start: usize, end: usize) -> Option<usize> {
    let is = |at: usize, words: &[&str]| at < end && candidates::is_any(unit, &unit.tokens[at], words);
    if is(start, &["create"]) {
        // Whatever a name in it is called: no header holds a semicolon.
        let ends = |body: &usize| unit.tokens[start..*body].iter().any(|token| token.is_punct(unit.text, ";"));
        return created(unit, start, end).filter(|body| *body < end && !ends(body));
    }
    if is(start, &["alter"]) {
        let kind = (start + 1..end.min(start + 16)).find(|at| is(*at, &["event", "table", "view", "user"]))?;
        return if is(kind, &["event"]) { event(unit, kind, end) } else { None };
    }
    let labelled = is_label(unit, start, end);
    let at = if labelled { start + 2 } else { start };
    let block = (is(at, &["begin"]) && is(at + 1, &["not"]))
        || is(at, &["if", "case", "loop", "while", "repeat"])
        || (is(at, &["for"]) && !is(at + 1, &["update", "share"]));
    block.then_some(start)
}

/// The body of CREATE PROCEDURE, FUNCTION, TRIGGER, EVENT.
fn created(unit: &Unit<'_>, start: usize, end: usize) -> Option<usize> {
    const KINDS: [&str; 8] = ["procedure", "function", "trigger", "event", "package", "table", "view", "index"];
    const FURTHER: [&str; 7] = ["user", "role", "database", "schema", "server", "tablespace", "sequence"];
    let is = |at: usize, words: &[&str]| at < end && candidates::is_any(unit, &unit.tokens[at], words);
    let kind = (start + 1..end.min(start + 24)).find(|at| is(*at, &KINDS) || is(*at, &FURTHER))?;
    if is(kind, &["trigger"]) {
        let row = (kind..end).find(|at| is(*at, &["row"]) && is(at - 1, &["each"]))?;
        return Some(if is(row + 1, &["follows", "precedes"]) { row + 3 } else { row + 1 });
    }
    if is(kind, &["event"]) {
        return event(unit, kind, end);
    }
    if is(kind, &["package"]) {
        return Some(kind);
    }
    if !is(kind, &["procedure", "function"]) {
        return None;
    }
    let open = (kind..end.min(kind + 12)).find(|at| unit.tokens[*at].is_punct(unit.text, "("))?;
    let mut depth = 0_usize;
    for at in open..end {
        let token = &unit.tokens[at];
        if token.is_punct(unit.text, "(") {
            depth += 1;
        } else if token.is_punct(unit.text, ")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is_punct(unit.text, ";") {
            return None;
        } else if depth == 0 && (is_label(unit, at, end) || is(at, &STATEMENTS)) && !is(at - 1, &["character"]) {
            return Some(at);
        }
    }
    None
}

/// Words that begin a statement of a body, and that no characteristic of a routine and no type begins with.
const STATEMENTS: [&str; 24] = [
    "begin", "select", "with", "values", "insert", "replace", "update", "delete", "return", "set", "if", "case",
    "loop", "while", "repeat", "call", "do", "create", "drop", "alter", "truncate", "signal", "prepare", "execute",
];

fn event(unit: &Unit<'_>, kind: usize, end: usize) -> Option<usize> {
    let stop = (kind..end).find(|at| unit.tokens[*at].is_punct(unit.text, ";")).unwrap_or(end);
    (kind..stop).find(|at| unit.tokens[*at].is_word(unit.text, "do")).map(|at| at + 1)
}

/// `name:` before a block.
fn is_label(unit: &Unit<'_>, at: usize, end: usize) -> bool {
    at + 2 < end
        && unit.tokens[at].is_identifier()
        && unit.tokens[at + 1].is_punct(unit.text, ":")
        && candidates::is_any(unit, &unit.tokens[at + 2], &["begin", "loop", "while", "repeat", "for"])
}

/// Takes apart the body that begins at `at`. `None`: not understood.
pub(in crate::analysis) fn read(unit: &Unit<'_>, at: usize, end: usize) -> Option<Program> {
    let mut reader = Reader { unit, at, end, found: Program::default() };
    reader.statement(0)?;
    let ends = reader.at >= end || unit.tokens[reader.at].is_punct(unit.text, ";");
    reader.found.end = reader.at;
    ends.then_some(reader.found)
}

struct Reader<'u, 't> {
    unit: &'u Unit<'t>,
    at: usize,
    end: usize,
    found: Program,
}

impl Reader<'_, '_> {
    fn is(&self, words: &[&str]) -> bool {
        self.at < self.end && candidates::is_any(self.unit, &self.unit.tokens[self.at], words)
    }

    fn take(&mut self, word: &str) -> Option<()> {
        self.is(&[word]).then(|| self.at += 1)
    }

    fn is_punct(&self, punct: &str) -> bool {
        self.at < self.end && self.unit.tokens[self.at].is_punct(self.unit.text, punct)
    }

    /// One statement; the place is then that of what ends it.
    fn statement(&mut self, depth: usize) -> Option<()> {
        if depth > NESTING_MAX {
            return None;
        }
        let labelled = is_label(self.unit, self.at, self.end);
        if labelled {
            self.at += 2;
        }
        if self.is(&["begin"]) {
            self.at += 1;
            if self.is(&["not"]) {
                self.take("not")?;
                self.take("atomic")?;
            }
            self.list(&["end"], depth)?;
            return self.finish(None);
        }
        if self.is(&["if"]) {
            loop {
                self.at += 1;
                self.condition("then")?;
                self.list(&["elseif", "else", "end"], depth)?;
                if !self.is(&["elseif"]) {
                    break;
                }
            }
            if self.is(&["else"]) {
                self.at += 1;
                self.list(&["end"], depth)?;
            }
            return self.finish(Some("if"));
        }
        if self.is(&["case"]) {
            self.at += 1;
            if !self.is(&["when"]) {
                self.condition("when")?;
                self.at -= 1;
            }
            while self.is(&["when"]) {
                self.at += 1;
                self.condition("then")?;
                self.list(&["when", "else", "end"], depth)?;
            }
            if self.is(&["else"]) {
                self.at += 1;
                self.list(&["end"], depth)?;
            }
            return self.finish(Some("case"));
        }
        if self.is(&["loop"]) {
            self.at += 1;
            self.list(&["end"], depth)?;
            return self.finish(Some("loop"));
        }
        if self.is(&["while"]) {
            self.at += 1;
            self.condition("do")?;
            self.list(&["end"], depth)?;
            return self.finish(Some("while"));
        }
        if self.is(&["repeat"]) && !self.unit.tokens.get(self.at + 1)?.is_punct(self.unit.text, "(") {
            self.at += 1;
            self.list(&["until"], depth)?;
            self.at += 1;
            self.condition("end")?;
            self.at -= 1;
            return self.finish(Some("repeat"));
        }
        if self.is(&["for"]) {
            return self.counted(depth);
        }
        if self.is(&["declare"]) {
            return self.declare(depth);
        }
        let start = self.at;
        while self.at < self.end && !self.is_punct(";") {
            self.at += 1;
        }
        if self.at == start {
            return None;
        }
        self.found.statements.push(start..self.at);
        Some(())
    }

    /// Statements, each with its semicolon, up to one of these words.
    fn list(&mut self, until: &[&str], depth: usize) -> Option<()> {
        while !self.is(until) {
            self.statement(depth + 1)?;
            if !self.is_punct(";") {
                return None;
            }
            self.at += 1;
        }
        Some(())
    }

    /// END, the word behind it, and a label.
    fn finish(&mut self, word: Option<&str>) -> Option<()> {
        self.take("end")?;
        if let Some(word) = word {
            self.take(word)?;
        }
        if self.at < self.end && self.unit.tokens[self.at].is_identifier() {
            self.at += 1;
        }
        Some(())
    }

    /// An expression up to a word that is not one of a CASE in it; the place is then behind that word.
    fn condition(&mut self, until: &str) -> Option<()> {
        let start = self.at;
        let mut cases = 0_usize;
        while self.at < self.end && !self.is_punct(";") {
            if cases == 0 && self.at > start && self.is(&[until]) {
                self.found.conditions.push(start..self.at);
                self.at += 1;
                return Some(());
            }
            if self.is(&["case"]) {
                cases += 1;
            } else if self.is(&["end"]) {
                cases = cases.checked_sub(1)?;
            }
            self.at += 1;
        }
        None
    }

    /// MariaDB's `FOR i IN 1 .. 10 DO`, `FOR row IN (SELECT …) DO`.
    fn counted(&mut self, depth: usize) -> Option<()> {
        self.at += 1;
        let name = self.unit.tokens.get(self.at).filter(|name| name.is_identifier())?;
        self.found.variables.push(super::folded(*name, self.unit));
        self.at += 1;
        self.take("in")?;
        let start = self.at;
        while self.at < self.end && !self.is(&["do"]) && !self.is_punct(";") {
            self.at += 1;
        }
        // What a query yields goes into the variable.
        let query = start..self.at;
        self.take("do")?;
        self.found.gathered.push(query);
        self.list(&["end"], depth)?;
        self.finish(Some("for"))
    }

    fn declare(&mut self, depth: usize) -> Option<()> {
        let start = self.at;
        self.at += 1;
        if self.is(&["continue", "exit", "undo"])
            && self.unit.tokens.get(self.at + 1).is_some_and(|next| next.is_word(self.unit.text, "handler"))
        {
            self.at += 2;
            self.take("for")?;
            loop {
                self.handled()?;
                if !self.is_punct(",") {
                    break;
                }
                self.at += 1;
            }
            return self.statement(depth + 1);
        }
        while let Some(name) = self.unit.tokens.get(self.at).filter(|name| self.at < self.end && name.is_identifier()) {
            self.found.variables.push(super::folded(*name, self.unit));
            self.at += 1;
            if !self.is_punct(",") {
                break;
            }
            self.at += 1;
        }
        while self.at < self.end && !self.is_punct(";") {
            self.at += 1;
        }
        self.found.statements.push(start..self.at);
        Some(())
    }

    /// One condition of a handler.
    fn handled(&mut self) -> Option<()> {
        if self.is(&["sqlstate"]) {
            self.at += 1;
            if self.is(&["value"]) {
                self.at += 1;
            }
        } else if self.is(&["not"]) {
            self.at += 1;
        }
        let token: &Token = self.unit.tokens.get(self.at).filter(|_| self.at < self.end)?;
        let is = token.is_identifier() || matches!(token.kind, Kind::Number | Kind::Text(_));
        is.then(|| self.at += 1)
    }
}

/// Reads a compound statement that runs by itself.
pub(super) fn run(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    found.verb = Verb::Call;
    match read(unit, range.start, range.end) {
        Some(program) if program.end == range.end => {
            statements(unit, &program, context, found, depth);
            found.verb = Verb::Call;
        }
        _ => {
            reading::by_lexer(unit, range, context, found, "parser-refused", "compound statement");
            opaque(found, "compound statement");
        }
    }
}

/// Reads the statements of a body one by one, whether or not each will run.
pub(in crate::analysis) fn statements(
    unit: &Unit<'_>,
    program: &Program,
    context: &Context<'_>,
    found: &mut Found,
    depth: usize,
) {
    let known = found.variables.len();
    found.variables.extend(program.variables.iter().cloned());
    for condition in &program.conditions {
        reading::expressions(unit, condition.clone(), context, found, ("condition", Fate::Stay));
    }
    for range in &program.gathered {
        let query = range.start + usize::from(unit.tokens[range.start].is_punct(unit.text, "("));
        if query < range.end && candidates::is_any(unit, &unit.tokens[query], &["select", "with", "values", "table"]) {
            let before = found.drafts.len();
            reading::statement(unit, range.clone(), context, found, depth + 1);
            copied(found, before);
        }
    }
    for range in &program.statements {
        if found.costs() > reading::TEXT_FUEL {
            let rest = range.start..program.statements.last().map_or(range.end, |last| last.end);
            reading::by_lexer(unit, rest, context, found, "too-large", "program");
            found.coverage = Coverage::Opaque;
            break;
        }
        leaf(unit, range.clone(), context, found, depth);
        if found.is_spent() {
            found.gap("too-large", "program", Coverage::Partial);
            reading::by_lexer(unit, range.clone(), context, found, "too-large", "program");
        }
    }
    found.extent = Extent::Unbounded;
    found.variables.truncate(known);
}

fn leaf(unit: &Unit<'_>, range: Range<usize>, context: &Context<'_>, found: &mut Found, depth: usize) {
    let is = |at: usize, words: &[&str]| at < range.end && candidates::is_any(unit, &unit.tokens[at], words);
    let first = range.start;
    let before = found.drafts.len();
    if is(first, &["declare"]) {
        let Some(at) = (first..range.end).find(|at| is(*at, &["cursor", "default", "condition"])) else { return };
        if is(at, &["default"]) {
            reading::expressions(unit, at + 1..range.end, context, found, ("declare", Fate::Variables));
        } else if is(at, &["cursor"]) {
            // FETCH puts its rows into variables, one by one.
            if let Some(query) = (at..range.end).find(|at| is(*at, &["for"])) {
                reading::statement(unit, query + 1..range.end, context, found, depth + 1);
                copied(found, before);
            }
        }
        return;
    }
    if is(first, &["return"]) {
        return reading::expressions(unit, first + 1..range.end, context, found, ("return", Fate::Leave));
    }
    if is(first, &["get"]) {
        found.acts.push(SessionAct::ReadsWarnings);
        return;
    }
    if is(first, &["fetch", "open", "close", "leave", "iterate", "signal", "resignal"]) {
        return;
    }
    if is(first, &["prepare", "execute"]) {
        // What a name stands for changes while the program runs.
        opaque(found, "execute");
        reading::by_lexer(unit, range, context, found, "parser-refused", "execute");
        return;
    }
    reading::statement(unit, range, context, found, depth + 1);
}

/// What would have left went into variables instead.
fn copied(found: &mut Found, first: usize) {
    for draft in found.drafts.iter_mut().skip(first).filter(|draft| draft.access == Access::Read) {
        draft.copies();
    }
}
