//! Clauses of MySQL's statements that the parser has otherwise or not at all.

use sqlparser::tokenizer::Token as ParserToken;

use super::Bridge;
use super::mysql::{Into, Uncached};
use super::words::{Around, is_unit};
use crate::analysis::lexer::{Kind, Token};

impl Bridge<'_, '_> {
    /// What stands around a word, for telling keywords from names.
    pub(super) fn around(&self, at: usize, first: usize, end: usize) -> Around<'_> {
        Around { unit: self.unit, at, first, end, returns: self.mysql.returns }
    }

    fn is_word(&self, at: usize, end: usize, words: &[&str]) -> bool {
        at < end && words.iter().any(|word| self.unit.tokens[at].is_word(self.unit.text, word))
    }

    fn is_punct(&self, at: usize, end: usize, punct: &str) -> bool {
        at < end && self.unit.tokens[at].is_punct(self.unit.text, punct)
    }

    /// Whether a parenthesis that is open before `at` holds one table, with an alias or not, and closes behind it.
    pub(super) fn is_one_table(&self, mut at: usize, end: usize) -> bool {
        /// `a.b.c AS d`
        const TOKENS_MAX: usize = 7;
        let last = end.min(at + TOKENS_MAX + 1);
        let mut named = false;
        while at < last {
            let token = &self.unit.tokens[at];
            if token.is_punct(self.unit.text, ")") {
                return named;
            }
            if !token.is_identifier() && !token.is_punct(self.unit.text, ".")
                || self.is_word(
                    at,
                    end,
                    &["join", "cross", "natural", "straight_join", "select", "left", "right", "inner"],
                )
            {
                return false;
            }
            named = true;
            at += 1;
        }
        false
    }

    /// SELECT and the words behind it that say how it is run.
    pub(super) fn select(&mut self, at: usize, end: usize) -> usize {
        const MODIFIERS: [&str; 9] = [
            "all",
            "high_priority",
            "straight_join",
            "sql_small_result",
            "sql_big_result",
            "sql_buffer_result",
            "sql_no_cache",
            "sql_cache",
            "sql_calc_found_rows",
        ];
        self.word(at, "select");
        let mut next = at + 1;
        let mut distinct = false;
        loop {
            // A column of such a name stands alone.
            let alone = next + 1 >= end || self.is_punct(next + 1, end, ",") || self.is_word(next + 1, end, &["from"]);
            if self.is_word(next, end, &["distinct", "distinctrow"]) {
                distinct = true;
            } else if alone || !self.is_word(next, end, &MODIFIERS) {
                break;
            }
            if self.is_word(next, end, &["sql_no_cache"]) {
                let before =
                    self.unit.text.get(self.unit.tokens[next - 1].range().end..self.unit.tokens[next].range().start);
                let versioned = before.is_some_and(|blank| blank.windows(2).any(|pair| pair == b"*!" || pair == b"M!"));
                self.mysql.notes.uncached = Some(if versioned { Uncached::Versioned } else { Uncached::Plain });
            }
            next += 1;
        }
        if distinct {
            self.word(at, "distinct");
        }
        next
    }

    /// `DELETE a.*, b FROM …`: the stars say nothing.
    pub(super) fn delete_targets(&mut self, mut at: usize, end: usize) -> usize {
        while at < end && !self.is_word(at, end, &["from"]) {
            let token = self.unit.tokens[at];
            if token.is_identifier() {
                let name = token.identifier(self.unit.text).to_lowercase();
                self.push(at, ParserToken::make_word(&name, Some('`')));
            } else if token.is_punct(self.unit.text, ".") {
                if self.unit.tokens.get(at + 1).is_some_and(|next| next.raw(self.unit.text) == b"*") {
                    at += 2;
                    continue;
                }
                self.push(at, ParserToken::Period);
            } else if token.is_punct(self.unit.text, ",") {
                self.push(at, ParserToken::Comma);
            } else {
                return at;
            }
            at += 1;
        }
        at
    }

    /// `INTO OUTFILE …`, `INTO DUMPFILE …`, `INTO variables`: left out, and noted.
    pub(super) fn into(&mut self, at: usize, end: usize) -> Option<usize> {
        const OPTIONS: [&str; 14] = [
            "character",
            "charset",
            "set",
            "fields",
            "columns",
            "lines",
            "terminated",
            "optionally",
            "enclosed",
            "escaped",
            "starting",
            "by",
            "binary",
            "utf8mb4",
        ];
        if self.is_word(at + 1, end, &["outfile", "dumpfile"]) {
            self.mysql.notes.into = Some(Into::File);
            let mut next = at + 3;
            while self.is_word(next, end, &OPTIONS)
                || (next < end
                    && (matches!(self.unit.tokens[next].kind, Kind::Text(_) | Kind::Bits)
                        || self.is_word(next - 1, end, &["set", "charset"])))
            {
                next += 1;
            }
            return Some(next.min(end));
        }
        let mut next = at + 1;
        loop {
            let token = self.unit.tokens.get(next).filter(|_| next < end)?;
            if token.kind != Kind::Variable && !token.is_identifier() {
                return None;
            }
            self.accounted.push(next);
            next += 1;
            if !self.is_punct(next, end, ",") {
                break;
            }
            next += 1;
        }
        self.mysql.notes.into = Some(self.mysql.notes.into.unwrap_or(Into::Variables));
        Some(next)
    }

    /// `LIMIT skipped, rows`, written as LIMIT rows OFFSET skipped.
    pub(super) fn limit(&mut self, at: usize, end: usize) -> usize {
        self.word(at, "limit");
        if self.is_punct(at + 2, end, ",") && at + 3 < end {
            let base = at + 1;
            self.step_mysql(at + 3, base.min(self.first), end);
            self.word(at, "offset");
            self.step_mysql(at + 1, base.min(self.first), end);
            return at + 4;
        }
        at + 1
    }

    /// `OFFSET n ROWS FETCH NEXT n ROWS WITH TIES`, where these are no names.
    pub(super) fn paging(&mut self, at: usize, end: usize) -> Option<usize> {
        let value = |index: usize| {
            index < end && matches!(self.unit.tokens[index].kind, Kind::Number | Kind::Param | Kind::Variable)
        };
        if self.is_word(at, end, &["offset"]) {
            if !value(at + 1) {
                return None;
            }
            self.word(at, "offset");
            let next = self.step_mysql(at + 1, self.first, end);
            if self.is_word(next, end, &["row", "rows"]) {
                self.word(next, "rows");
                return Some(next + 1);
            }
            return Some(next);
        }
        if !self.is_word(at + 1, end, &["first", "next"]) {
            return None;
        }
        let valued = value(at + 2);
        self.word(at, "fetch");
        self.word(at + 1, "next");
        let mut next = at + 2;
        if valued {
            next = self.step_mysql(next, self.first, end);
        }
        while self.is_word(next, end, &["row", "rows", "only", "with", "ties"]) {
            let word = self.unit.tokens[next].identifier(self.unit.text).to_ascii_lowercase();
            self.word(next, if word == "row" { "rows" } else { &word });
            next += 1;
        }
        Some(next)
    }

    /// Locks change no values: `FOR UPDATE OF t SKIP LOCKED`, `LOCK IN SHARE MODE`. `FOR SYSTEM_TIME` names rows that
    /// the key alone does not tell apart.
    pub(super) fn lock(&mut self, at: usize, end: usize) -> Option<usize> {
        if self.is_word(at, end, &["lock"]) {
            let locks = self.is_word(at + 1, end, &["in"]) && self.is_word(at + 2, end, &["share"]);
            return locks.then(|| self.wait(at + 4, end));
        }
        if self.is_word(at + 1, end, &["system_time"]) {
            self.mysql.notes.loose = true;
            return self.system_time(at + 2, end);
        }
        if !self.is_word(at + 1, end, &["update", "share"]) {
            return None;
        }
        let mut next = at + 2;
        if self.is_word(next, end, &["of"]) {
            next += 1;
            while next < end && (self.unit.tokens[next].is_identifier() || self.is_punct(next, end, ",")) {
                if self.is_word(next, end, &["nowait", "skip"]) {
                    break;
                }
                self.accounted.push(next);
                next += 1;
            }
        }
        Some(self.wait(next, end))
    }

    fn wait(&self, at: usize, end: usize) -> usize {
        if self.is_word(at, end, &["nowait"]) {
            at + 1
        } else if (self.is_word(at, end, &["skip"]) && self.is_word(at + 1, end, &["locked"]))
            || self.is_word(at, end, &["wait"])
        {
            (at + 2).min(end)
        } else {
            at.min(end)
        }
    }

    /// The place after ALL, AS OF t, BETWEEN t AND t, FROM t TO t.
    fn system_time(&mut self, at: usize, end: usize) -> Option<usize> {
        if self.is_word(at, end, &["all"]) {
            return Some(at + 1);
        }
        if self.is_word(at, end, &["as"]) && self.is_word(at + 1, end, &["of"]) {
            return self.moment(at + 2, end);
        }
        if !self.is_word(at, end, &["between", "from"]) {
            return None;
        }
        let next = self.moment(at + 1, end)?;
        if self.is_word(next, end, &["and", "to"]) { self.moment(next + 1, end) } else { None }
    }

    /// A moment: a literal, a variable, a parameter, or `now()`. Anything else is refused by the parser.
    fn moment(&mut self, at: usize, end: usize) -> Option<usize> {
        let at = at + usize::from(self.is_word(at, end, &["timestamp", "transaction"]));
        let token = self.unit.tokens.get(at).filter(|_| at < end)?;
        if token.is_literal() || matches!(token.kind, Kind::Param | Kind::Variable) {
            return Some(at + 1);
        }
        let bare = self.is_word(at, end, &["now", "current_timestamp"]);
        if bare && self.is_punct(at + 1, end, "(") && self.is_punct(at + 2, end, ")") {
            return Some(at + 3);
        }
        bare.then_some(at + 1)
    }

    /// Hints and partitions of a table in parentheses: they choose among its rows and ways to them.
    pub(super) fn leave_out(&mut self, at: usize, end: usize) -> usize {
        self.left_out += 1;
        for index in at..end {
            self.accounted.push(index);
            if self.is_punct(index, end, ")") {
                return index + 1;
            }
        }
        end
    }

    /// `INTERVAL expression unit` is its expression.
    pub(super) fn interval(&mut self, at: usize, end: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for index in at + 1..end.min(at + super::mysql::INTERVAL_TOKENS_MAX) {
            let token: Token = self.unit.tokens[index];
            if token.is_punct(self.unit.text, "(") {
                depth += 1;
            } else if token.is_punct(self.unit.text, ")") {
                depth = depth.checked_sub(1)?;
            } else if depth == 0 && (token.is_punct(self.unit.text, ",") || self.is_word(index, end, &["interval"])) {
                return None;
            } else if depth == 0 && index > at + 1 && token.kind == Kind::Word && is_unit(token.raw(self.unit.text)) {
                self.mysql.units.push(index);
                self.accounted.push(index);
                return Some(at + 1);
            }
        }
        None
    }
}
