//! Bodies in PL/pgSQL, taken apart: queries, expressions, and what becomes of their values.
//! <https://www.postgresql.org/docs/current/plpgsql-statements.html>
//!
//! Words are looked at only where a statement of the body begins. What does not fit the grammar is not understood, and
//! whoever asked reads the body by its names.

use std::ops::Range;

use super::super::candidates;
use super::super::lexer::Kind;
use super::super::shape::Unit;

/// Blocks, loops and branches in each other are followed this deep.
const NESTING_MAX: usize = 64;

/// What becomes of the rows of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Nothing.
    Dropped,
    /// Into variables: of the first row, or of each in turn.
    Variables,
    /// They are rows of the function.
    Returned,
}

/// One thing that a body does. Ranges are bytes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A statement of SQL, with what stands between `INTO` and its end left out.
    Statement {
        /// Bytes.
        text: Range<usize>,
        /// Bytes within, that name variables.
        into: Option<Range<usize>>,
        /// What becomes of its rows.
        rows: Rows,
    },
    /// An expression, or the list of a SELECT and what follows it, whose values go into a variable.
    Assign {
        /// Bytes.
        text: Range<usize>,
        /// The variable stands in the expression itself.
        again: bool,
    },
    /// An expression that decides what runs.
    Condition(Range<usize>),
    /// An expression that is returned.
    Return(Range<usize>),
    /// What stands in variables is returned.
    ReturnVariables,
    /// Expressions that are told to the client.
    Tell {
        /// Bytes.
        text: Range<usize>,
        /// What runs ends with it: an error, and not a notice.
        ends: bool,
    },
    /// A text that is computed and run.
    Dynamic {
        /// The expression that it is.
        text: Range<usize>,
        /// Values that are given to it.
        using: Option<Range<usize>>,
        /// What becomes of its rows.
        rows: Rows,
    },
    /// SET, RESET.
    Set(Range<usize>),
}

/// A body.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// Variables that it declares.
    pub(super) variables: Vec<String>,
    /// Variables that are given values.
    pub(super) assigned: Vec<String>,
    /// Something in it may run again and again.
    pub(super) loops: bool,
    /// A variable is filled piece by piece.
    pub(super) gathers: bool,
    /// It reads the texts of errors.
    pub(super) reads_errors: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Block,
    If,
    Case,
    Loop,
}

/// Takes a body apart. `None`: not understood.
pub(super) fn read(unit: &Unit<'_>) -> Option<Program> {
    if unit.unterminated {
        return None;
    }
    let mut reader = Reader { unit, at: 0, open: Vec::new(), declaring: false, found: Program::default() };
    while reader.at < unit.tokens.len() {
        reader.statement()?;
        if reader.open.len() > NESTING_MAX {
            return None;
        }
    }
    const ERRORS: [&str; 6] =
        ["sqlerrm", "message_text", "pg_exception_detail", "pg_exception_hint", "pg_exception_context", "column_name"];
    let mut found = reader.found;
    found.reads_errors = unit.tokens.iter().any(|token| candidates::is_any(unit, token, &ERRORS));
    reader.open.is_empty().then_some(found)
}

struct Reader<'u, 't> {
    unit: &'u Unit<'t>,
    at: usize,
    open: Vec<Open>,
    declaring: bool,
    found: Program,
}

impl Reader<'_, '_> {
    fn is(&self, at: usize, words: &[&str]) -> bool {
        self.unit.tokens.get(at).is_some_and(|token| candidates::is_any(self.unit, token, words))
    }

    fn punct(&self, at: usize, punct: &str) -> bool {
        self.unit.tokens.get(at).is_some_and(|token| token.is_punct(self.unit.text, punct))
    }

    fn raw(&self, at: usize) -> &[u8] {
        self.unit.tokens.get(at).map(|token| token.raw(self.unit.text)).unwrap_or_default()
    }

    fn name(&self, at: usize) -> Option<String> {
        let token = self.unit.tokens.get(at).filter(|token| token.is_identifier())?;
        Some(token.identifier(self.unit.text).into_owned())
    }

    /// Bytes of a range of tokens; `None` where it is empty.
    fn bytes(&self, range: Range<usize>) -> Option<Range<usize>> {
        let first = self.unit.tokens.get(range.start).filter(|_| !range.is_empty())?;
        let last = self.unit.tokens.get(range.end.checked_sub(1)?)?;
        Some(first.range().start..last.range().end)
    }

    /// The first place from here where a statement ends, or one of these words stands, outside of brackets and CASE.
    fn until(&self, from: usize, words: &[&str]) -> Option<usize> {
        let (mut depth, mut cases) = (0_usize, 0_usize);
        for at in from..self.unit.tokens.len() {
            if self.punct(at, "(") || self.punct(at, "[") {
                depth += 1;
            } else if self.punct(at, ")") || self.punct(at, "]") {
                depth = depth.checked_sub(1)?;
            } else if depth == 0 {
                if cases == 0 && (self.is(at, words) || (words.is_empty() && self.punct(at, ";"))) {
                    return Some(at);
                }
                if self.punct(at, ";") {
                    return None;
                }
                if self.is(at, &["case"]) {
                    cases += 1;
                } else if cases > 0 && self.is(at, &["end"]) {
                    cases -= 1;
                }
            }
        }
        None
    }

    /// Where the statement that goes on at `from` ends.
    fn end(&self, from: usize) -> Option<usize> {
        self.until(from, &[])
    }

    fn condition(&mut self, range: Range<usize>) {
        if let Some(bytes) = self.bytes(range) {
            self.found.steps.push(Step::Condition(bytes));
        }
    }

    fn declare_variable(&mut self, name: String) {
        if !self.found.variables.contains(&name) {
            self.found.variables.push(name);
        }
    }

    fn assign_to(&mut self, name: String) {
        if !self.found.assigned.contains(&name) {
            self.found.assigned.push(name);
        }
    }

    fn statement(&mut self) -> Option<()> {
        let at = self.at;
        if self.punct(at, ";") {
            self.at += 1;
        } else if self.raw(at) == b"<<" {
            self.at = (at + 1..self.unit.tokens.len().min(at + 4)).find(|at| self.raw(*at) == b">>")? + 1;
        } else if self.is(at, &["declare"]) && !self.punct(at + 1, ":=") {
            self.declaring = true;
            self.at += 1;
        } else if self.is(at, &["begin"]) {
            self.declaring = false;
            self.open.push(Open::Block);
            self.at += 1;
        } else if self.declaring {
            return self.declaration();
        } else {
            return self.plain();
        }
        Some(())
    }

    /// `name [CONSTANT] type [:= value];`, `name CURSOR FOR query;`, `name ALIAS FOR other;`.
    fn declaration(&mut self) -> Option<()> {
        let name = self.name(self.at)?;
        let end = self.end(self.at)?;
        self.declare_variable(name.clone());
        let cursor = (self.at + 1..end.min(self.at + 5)).find(|at| self.is(*at, &["cursor"]));
        if let Some(cursor) = cursor {
            let mut from = cursor + 1;
            if self.punct(from, "(") {
                let close = (from..end).find(|at| self.punct(*at, ")"))?;
                for at in from..close {
                    if (self.punct(at, "(") || self.punct(at, ",")) && self.name(at + 1).is_some() {
                        let argument = self.name(at + 1)?;
                        self.declare_variable(argument);
                    }
                }
                from = close + 1;
            }
            if !self.is(from, &["for", "is"]) {
                return None;
            }
            self.query(from + 1..end, Rows::Variables)?;
        } else if !self.is(self.at + 1, &["alias"]) {
            let value = (self.at + 1..end)
                .find(|at| self.is(*at, &["default"]) || self.punct(*at, ":=") || self.raw(*at) == b"=");
            if let Some(text) = value.and_then(|value| self.bytes(value + 1..end)) {
                self.assign_to(name);
                self.found.steps.push(Step::Assign { text, again: false });
            }
        } else {
            // An alias for something that was given: its values are the caller's.
            self.assign_to(name);
        }
        self.at = end + 1;
        Some(())
    }

    fn plain(&mut self) -> Option<()> {
        let at = self.at;
        let word = self.name(at)?;
        let assigned = self.assignment(at);
        if let Some(value) = assigned {
            let end = self.end(value)?;
            let again =
                self.punct(at + 1, "[") || (value..end).any(|at| self.name(at).as_deref() == Some(word.as_str()));
            if let Some(text) = self.bytes(value..end) {
                self.found.steps.push(Step::Assign { text, again });
            }
            self.assign_to(word);
            self.at = end + 1;
            return Some(());
        }
        match word.as_str() {
            "end" => {
                let open = self.open.pop()?;
                let fits = match open {
                    Open::Block => !self.is(at + 1, &["if", "loop", "case"]),
                    Open::If => self.is(at + 1, &["if"]),
                    Open::Case => self.is(at + 1, &["case"]),
                    Open::Loop => self.is(at + 1, &["loop"]),
                };
                if !fits {
                    return None;
                }
                let from = if open == Open::Block { at + 1 } else { at + 2 };
                self.at = self.end(from).map_or(self.unit.tokens.len(), |end| end + 1);
            }
            "exception" | "else" => self.at += 1,
            "if" | "elsif" | "elseif" | "when" => {
                let then = self.until(at + 1, &["then"])?;
                if word == "if" {
                    self.open.push(Open::If);
                }
                // The conditions of an EXCEPTION part are names of errors.
                if word != "when" || self.open.last() == Some(&Open::Case) {
                    self.condition(at + 1..then);
                }
                self.at = then + 1;
            }
            "case" => {
                let when = if self.is(at + 1, &["when"]) { at + 1 } else { self.until(at + 1, &["when"])? };
                self.condition(at + 1..when);
                self.open.push(Open::Case);
                self.at = when;
            }
            "while" => {
                let head = self.until(at + 1, &["loop"])?;
                self.condition(at + 1..head);
                self.at = head;
            }
            "loop" => {
                self.open.push(Open::Loop);
                self.found.loops = true;
                self.at += 1;
            }
            "for" => self.for_loop()?,
            "foreach" => {
                let head = self.until(at + 1, &["loop"])?;
                let array = (at + 1..head).find(|at| self.is(*at, &["array"]))?;
                self.targets(at + 1..array);
                if let Some(text) = self.bytes(array + 1..head) {
                    self.found.steps.push(Step::Assign { text, again: false });
                }
                self.at = head;
            }
            _ => return self.simple(&word),
        }
        Some(())
    }

    /// Where the value of an assignment begins, if one stands here.
    fn assignment(&self, at: usize) -> Option<usize> {
        let mut next = at + 1;
        loop {
            if self.punct(next, ".") && self.name(next + 1).is_some() {
                next += 2;
            } else if self.punct(next, "[") {
                let mut depth = 0_usize;
                next = (next..self.unit.tokens.len()).find(|at| {
                    if self.punct(*at, "[") {
                        depth += 1;
                    } else if self.punct(*at, "]") {
                        depth -= 1;
                    }
                    depth == 0
                })? + 1;
            } else {
                break;
            }
        }
        (self.punct(next, ":=") || self.raw(next) == b"=").then_some(next + 1)
    }

    fn targets(&mut self, range: Range<usize>) {
        self.found.gathers |= range.clone().any(|at| self.punct(at, "["));
        for at in range.clone() {
            if (at == range.start || self.punct(at - 1, ","))
                && let Some(name) = self.name(at)
            {
                self.assign_to(name);
            }
        }
    }

    fn for_loop(&mut self) -> Option<()> {
        let at = self.at;
        let within = self.until(at + 1, &["in"])?;
        let head = self.until(within + 1, &["loop"])?;
        for at in at + 1..within {
            if let Some(name) = self.name(at) {
                self.declare_variable(name);
            }
        }
        self.targets(at + 1..within);
        let from = if self.is(within + 1, &["reverse"]) { within + 2 } else { within + 1 };
        if self.is(from, &["execute"]) {
            self.dynamic(from + 1..head, Rows::Variables)?;
        } else if self.is(from, &["select", "with", "values", "table", "insert", "update", "delete", "merge"])
            || (self.punct(from, "(") && self.is(from + 1, &["select", "with", "values", "table"]))
        {
            self.query(from..head, Rows::Variables)?;
        } else {
            // From a number to a number, or through a cursor that was declared.
            let mut start = from;
            for at in from..=head {
                if at == head || self.punct(at, "..") || self.is(at, &["by"]) {
                    self.condition(start..at);
                    start = at + 1;
                }
            }
        }
        self.at = head;
        Some(())
    }

    fn simple(&mut self, word: &str) -> Option<()> {
        let at = self.at;
        let end = self.end(at)?;
        self.at = end + 1;
        match word {
            "null" | "close" | "move" | "commit" | "rollback" | "get" => {
                if word == "get" {
                    self.diagnosed(at..end);
                }
            }
            "exit" | "continue" => {
                if let Some(when) = (at + 1..end).find(|at| self.is(*at, &["when"])) {
                    self.condition(when + 1..end);
                }
            }
            "return" if end == at + 1 || (self.is(at + 1, &["next"]) && end == at + 2) => {
                self.found.steps.push(Step::ReturnVariables);
            }
            "return" if self.is(at + 1, &["query"]) && self.is(at + 2, &["execute"]) => {
                self.dynamic(at + 3..end, Rows::Returned)?;
            }
            "return" if self.is(at + 1, &["query"]) => self.query(at + 2..end, Rows::Returned)?,
            "return" => {
                let from = if self.is(at + 1, &["next"]) { at + 2 } else { at + 1 };
                let text = self.bytes(from..end)?;
                self.found.steps.push(Step::Return(text));
            }
            "raise" => self.raise(at + 1..end),
            "assert" => {
                if let Some(text) = self.bytes(at + 1..end) {
                    self.found.steps.push(Step::Tell { text, ends: true });
                }
            }
            "execute" => self.dynamic(at + 1..end, Rows::Dropped)?,
            "open" => {
                // The cursor is read from it, in here or by whoever is told its name.
                let Some(query) = (at + 1..end).find(|at| self.is(*at, &["for"])) else { return Some(()) };
                if self.is(query + 1, &["execute"]) {
                    self.dynamic(query + 2..end, Rows::Variables)?;
                } else {
                    self.query(query + 1..end, Rows::Variables)?;
                }
            }
            "fetch" => {
                if let Some(into) = (at + 1..end).find(|at| self.is(*at, &["into"])) {
                    self.targets(into + 1..end);
                }
            }
            "set" | "reset" => {
                let text = self.bytes(at..end)?;
                self.found.steps.push(Step::Set(text));
            }
            "call" => {
                // What it gives back stands in the variables that it was called with.
                for at in at + 2..end {
                    if let Some(name) = self.name(at) {
                        self.assign_to(name);
                    }
                }
                self.query(at..end, Rows::Variables)?;
            }
            _ => self.query(at..end, Rows::Dropped)?,
        }
        Some(())
    }

    /// GET [STACKED] DIAGNOSTICS variable = item, …
    fn diagnosed(&mut self, range: Range<usize>) {
        for at in range.clone() {
            if (self.raw(at) == b"=" || self.punct(at, ":="))
                && at > range.start
                && let Some(name) = self.name(at - 1)
            {
                self.assign_to(name);
            }
        }
    }

    /// A statement of SQL; rows that have no other end go into what stands behind INTO.
    fn query(&mut self, range: Range<usize>, rows: Rows) -> Option<()> {
        let text = self.bytes(range.clone())?;
        let mut depth = 0_usize;
        let mut found = None;
        for at in range.clone() {
            if self.punct(at, "(") {
                depth += 1;
            } else if self.punct(at, ")") {
                depth = depth.checked_sub(1)?;
            } else if depth == 0
                && self.is(at, &["into"])
                && !(at > range.start && self.is(at - 1, &["insert", "merge"]))
                && found.is_none()
            {
                found = Some(at);
            }
        }
        let into = match found {
            None => None,
            Some(into) => {
                let mut at = if self.is(into + 1, &["strict"]) { into + 2 } else { into + 1 };
                let first = at;
                loop {
                    self.name(at)?;
                    at += 1;
                    while at < range.end && (self.punct(at, ".") || self.punct(at, "[")) {
                        at = if self.punct(at, ".") {
                            at + 2
                        } else {
                            (at..range.end).find(|at| self.punct(*at, "]"))? + 1
                        };
                    }
                    if at < range.end && self.punct(at, ",") {
                        at += 1;
                    } else {
                        break;
                    }
                }
                self.targets(first..at);
                self.bytes(into..at)
            }
        };
        let rows = if into.is_some() { Rows::Variables } else { rows };
        self.found.steps.push(Step::Statement { text, into, rows });
        Some(())
    }

    /// EXECUTE text [INTO variables] [USING values], in either order.
    fn dynamic(&mut self, range: Range<usize>, rows: Rows) -> Option<()> {
        let ends = |word: &str| (range.clone()).find(|at| self.is(*at, &[word]));
        let (into, using) = (ends("into"), ends("using"));
        let text = range.start..into.unwrap_or(range.end).min(using.unwrap_or(range.end));
        let text = self.bytes(text)?;
        let rows = if into.is_some() { Rows::Variables } else { rows };
        if let Some(into) = into {
            let end = using.filter(|using| *using > into).unwrap_or(range.end);
            let first = if self.is(into + 1, &["strict"]) { into + 2 } else { into + 1 };
            self.targets(first..end);
        }
        let using = using.and_then(|using| {
            let end = into.filter(|into| *into > using).unwrap_or(range.end);
            self.bytes(using + 1..end)
        });
        self.found.steps.push(Step::Dynamic { text, using, rows });
        Some(())
    }

    /// RAISE [level] 'format', values USING option = value, …
    fn raise(&mut self, range: Range<usize>) {
        const GOING_ON: [&str; 5] = ["debug", "log", "info", "notice", "warning"];
        let ends = !self.is(range.start, &GOING_ON);
        let using = range.clone().find(|at| self.is(*at, &["using"]));
        let end = using.unwrap_or(range.end);
        let text = |at: &usize| matches!(self.unit.tokens[*at].kind, Kind::Text(_));
        let values = (range.start..end).find(text).map_or(end, |format| format + 1);
        if self.punct(values, ",")
            && let Some(text) = self.bytes(values + 1..end)
        {
            self.found.steps.push(Step::Tell { text, ends });
        }
        let Some(using) = using else { return };
        let mut from = using + 1;
        while from < range.end {
            let value = from + 2;
            let mut depth = 0_usize;
            let stop = (value..range.end)
                .find(|at| {
                    depth += usize::from(self.punct(*at, "("));
                    depth = depth.saturating_sub(usize::from(self.punct(*at, ")")));
                    depth == 0 && self.punct(*at, ",")
                })
                .unwrap_or(range.end);
            if let Some(text) = self.bytes(value..stop.max(value)) {
                self.found.steps.push(Step::Tell { text, ends });
            }
            from = stop + 1;
        }
    }
}
