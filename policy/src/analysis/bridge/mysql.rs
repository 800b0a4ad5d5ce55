//! MySQL's and MariaDB's tokens to the parser's.
//!
//! The parser knows many keywords of other servers, and reads some of MySQL's otherwise than MySQL does. So only words
//! that stand where MySQL's own grammar has a keyword arrive as words; every other one arrives quoted, as the name that
//! it is. Types, units, hints, locks and other things that move no value are left out.

use sqlparser::tokenizer::Token as ParserToken;

use super::Bridge;
use super::words::{is_keyword, is_unit};
use crate::analysis::lexer::{Kind, Token};

/// An INTERVAL whose unit is not found within this many tokens is left to the parser, which refuses it.
pub(super) const INTERVAL_TOKENS_MAX: usize = 128;
/// Where a statement begins further in than this, parameters before it are not counted, and none of its own pins a key.
const PARAMS_SOUGHT_MAX: usize = 1024;

/// What was noticed on the way that the parser's tokens do not show.
#[derive(Clone, Debug, Default)]
pub(in crate::analysis) struct Notes {
    /// What stands around an equality may bind otherwise than the parser thinks, or an equality names more than one
    /// row: nothing pins a key.
    pub(in crate::analysis) loose: bool,
    /// It calls `rand()`: what is grouped by a value that changes while it is looked at ends in an error that names it.
    pub(in crate::analysis) random: bool,
    /// Where the rows go instead of to the client.
    pub(in crate::analysis) into: Option<Into>,
    /// It asks that its rows be kept in no cache, as programs do that dump tables.
    pub(in crate::analysis) uncached: Option<Uncached>,
}

/// Where the rows of a SELECT go, when they do not go to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum Into {
    /// `INTO OUTFILE`, `INTO DUMPFILE`: a file on the server.
    File,
    /// `INTO @v` and variables of a stored program.
    Variables,
}

/// How SQL_NO_CACHE is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::analysis) enum Uncached {
    /// As a word of the text.
    Plain,
    /// In a comment that servers of some versions run: how programs write it, and nobody by hand.
    Versioned,
}

/// What an open parenthesis, or an open CASE, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    Case,
    Cast,
    Convert,
    Extract,
    Trim,
    Substring,
    Position,
    Char,
    WeightString,
    GroupConcat,
    JsonValue,
    JsonTable,
    Against,
    /// Tables that are joined by commas.
    Tables,
    /// One table in parentheses, which are left out.
    LeftOut,
    Other,
}

/// Where the bridge stands in a MySQL statement.
#[derive(Debug)]
pub(super) struct State {
    open: Vec<Open>,
    /// The statement is an UPDATE, before its SET.
    updating: bool,
    /// After ON DUPLICATE KEY UPDATE.
    duplicate: bool,
    /// The statement is an INSERT or a REPLACE; a DELETE has RETURNING too.
    inserts: bool,
    pub(super) returns: bool,
    /// Parameters in the text before the statement.
    params_before: usize,
    /// Units of intervals that are to be left out, ascending.
    pub(super) units: Vec<usize>,
    pub(super) notes: Notes,
}

impl State {
    pub(super) fn new(tokens: &[Token], first: usize) -> State {
        let near = first <= PARAMS_SOUGHT_MAX;
        let before = if near { tokens.get(..first).unwrap_or_default() } else { &[] };
        State {
            open: Vec::new(),
            updating: false,
            duplicate: false,
            inserts: false,
            returns: false,
            params_before: before.iter().filter(|token| token.kind == Kind::Param).count(),
            units: Vec::new(),
            notes: Notes { loose: !near, ..Notes::default() },
        }
    }

    fn innermost(&self) -> Option<Open> {
        self.open.last().copied()
    }
}

impl Bridge<'_, '_> {
    /// Translates what stands at `at`, and says where to go on.
    pub(super) fn step_mysql(&mut self, at: usize, first: usize, end: usize) -> usize {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let token = tokens[at];
        match token.kind {
            Kind::Word => {
                return self.skip_branch(at, end).unwrap_or_else(|| self.word_mysql(at, first, end));
            }
            Kind::Quoted | Kind::QuotedUnicode => self.quoted(at),
            Kind::Variable => self.push(at, ParserToken::Placeholder("@".to_owned())),
            Kind::SystemVariable => {
                self.push(at, ParserToken::Placeholder("@".to_owned()));
                // @@session.sql_mode
                let mut next = at + 1;
                while tokens.get(next).is_some_and(|dot| dot.is_punct(text, "."))
                    && tokens.get(next + 1).is_some_and(Token::is_identifier)
                {
                    self.accounted.extend([next, next + 1]);
                    next += 2;
                }
                return next;
            }
            Kind::Null => self.word(at, "null"),
            // What it sets is in force while the statement runs, not while it is read.
            Kind::Hint => {}
            Kind::Param => {
                let number = self.params_in(first, at) + self.mysql.params_before + 1;
                self.push(at, ParserToken::Placeholder(format!("${number}")));
            }
            Kind::Number => self.push(at, ParserToken::Number("1".to_owned(), false)),
            Kind::Text(_) => self.push(at, ParserToken::SingleQuotedString("x".to_owned())),
            Kind::Bits => self.push(at, ParserToken::HexStringLiteral("0".to_owned())),
            Kind::Operator => self.operator_mysql(at, first),
            Kind::Junk => self.push(at, ParserToken::Backslash),
            Kind::Punct => match token.raw(text) {
                b"(" => return self.open(at, first, end),
                b")" => {
                    if self.mysql.open.pop() != Some(Open::LeftOut) {
                        self.push(at, ParserToken::RParen);
                    }
                }
                b"," => return self.comma(at, end),
                b";" => self.push(at, ParserToken::SemiColon),
                b"." => {
                    // `.t` is `t`.
                    if at > first && continues_name(&tokens[at - 1], text) {
                        self.push(at, ParserToken::Period);
                    }
                }
                b":=" => self.push(at, ParserToken::Assignment),
                _ => self.push(at, ParserToken::Backslash),
            },
        }
        at + 1
    }

    /// Parameters among the tokens from `first` up to `at`.
    fn params_in(&mut self, first: usize, at: usize) -> usize {
        let (counted, sum) = self.params;
        let (from, sum) = if counted <= at && counted >= first { (counted, sum) } else { (first, 0) };
        let sum = sum + self.unit.tokens[from..at].iter().filter(|token| token.kind == Kind::Param).count();
        self.params = (at, sum);
        sum
    }

    /// An identifier, unquoted and folded: columns and aliases compare without regard to case. Where a relation is
    /// meant, its spelling is looked up by the place of its token.
    fn quoted(&mut self, at: usize) {
        let name = self.unit.tokens[at].identifier(self.unit.text).to_lowercase();
        self.push(at, ParserToken::make_word(&name, Some('`')));
    }

    fn open(&mut self, at: usize, first: usize, end: usize) -> usize {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let previous = at.checked_sub(1).filter(|before| *before >= first).map(|before| tokens[before]);
        // `db.convert(…)` is somebody's own.
        let qualified = at >= first + 2 && tokens[at - 2].is_punct(text, ".");
        let named =
            previous.filter(|before| before.kind == Kind::Word && !qualified).map(|before| before.identifier(text));
        let next_is =
            |words: &[&str]| tokens.get(at + 1).is_some_and(|next| words.iter().any(|word| next.is_word(text, word)));
        let begins_query = next_is(&["select", "with", "values", "table"]);
        let kind = match named.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("cast") => Open::Cast,
            Some("convert") => Open::Convert,
            Some("extract") => Open::Extract,
            Some("trim") => Open::Trim,
            Some("substring" | "substr" | "mid") => Open::Substring,
            Some("position") => Open::Position,
            Some("char") => Open::Char,
            Some("weight_string") => Open::WeightString,
            Some("group_concat") => Open::GroupConcat,
            Some("json_value") => Open::JsonValue,
            Some("json_table") => Open::JsonTable,
            Some("against") => Open::Against,
            Some("from" | "join" | "straight_join" | "update") if !begins_query => Open::Tables,
            _ if !begins_query
                && previous.is_some_and(|before| before.is_punct(text, "(") || before.is_punct(text, ","))
                && self.mysql.innermost() == Some(Open::Tables) =>
            {
                Open::Tables
            }
            _ => Open::Other,
        };
        if kind == Open::Tables && self.is_one_table(at + 1, end) {
            self.mysql.open.push(Open::LeftOut);
            return at + 1;
        }
        self.mysql.open.push(kind);
        self.push(at, ParserToken::LParen);
        let takes_unit = named.is_some_and(|name| {
            ["timestampadd", "timestampdiff", "get_format"].iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        let unit = tokens.get(at + 1).is_some_and(|token| token.kind == Kind::Word);
        let comma = tokens.get(at + 2).is_some_and(|token| token.is_punct(text, ","));
        if takes_unit && unit && comma { at + 3 } else { at + 1 }
    }

    fn comma(&mut self, at: usize, end: usize) -> usize {
        match self.mysql.innermost() {
            // convert(x, type)
            Some(Open::Convert) => return self.closing(at, end),
            Some(Open::Tables) => self.cross_join(at),
            None if self.mysql.updating => self.cross_join(at),
            _ => {
                if let Some(next) = self.skip_constants(at, end) {
                    return next;
                }
                self.push(at, ParserToken::Comma);
            }
        }
        at + 1
    }

    fn cross_join(&mut self, at: usize) {
        self.word(at, "cross");
        self.word(at, "join");
    }

    /// Where the parenthesis closes that is open at `at`; what stands before it is left out.
    fn closing(&self, at: usize, end: usize) -> usize {
        let text = self.unit.text;
        let mut depth = 0_usize;
        for index in at..end {
            let token = &self.unit.tokens[index];
            if token.is_punct(text, "(") {
                depth += 1;
            } else if token.is_punct(text, ")") {
                if depth == 0 {
                    return index;
                }
                depth -= 1;
            }
        }
        end
    }

    fn operator_mysql(&mut self, at: usize, first: usize) {
        let text = self.unit.text;
        let raw = self.unit.tokens[at].raw(text);
        let token = match raw {
            b"*" => ParserToken::Mul,
            b"=" => ParserToken::Eq,
            b"<>" | b"!=" => ParserToken::Neq,
            b"<" => ParserToken::Lt,
            b">" => ParserToken::Gt,
            b"<=" => ParserToken::LtEq,
            b">=" => ParserToken::GtEq,
            b"<=>" => ParserToken::Spaceship,
            b"&&" => return self.word(at, "and"),
            b":=" => ParserToken::Assignment,
            b"||" => {
                // OR, or concatenation where sql_mode says so: the values may pass, and no precedence is relied on.
                self.mysql.notes.loose = true;
                ParserToken::StringConcat
            }
            // Whatever computes: the values of both sides may be in the result.
            b"+" | b"-" | b"/" | b"%" | b"&" | b"|" | b"^" | b"<<" | b">>" | b"->" | b"->>" | b"~" | b"!" => {
                let prefix = at == first || !ends_operand(&self.unit.tokens[at - 1], text);
                if prefix { ParserToken::Minus } else { ParserToken::Plus }
            }
            _ => ParserToken::Backslash,
        };
        self.push(at, token);
    }

    fn word_mysql(&mut self, at: usize, first: usize, end: usize) -> usize {
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let token = tokens[at];
        let previous = at.checked_sub(1).filter(|before| *before >= first).map(|before| tokens[before]);
        let punct = |ahead: usize, punct: &str| tokens.get(at + ahead).is_some_and(|token| token.is_punct(text, punct));
        if previous.is_some_and(|before| before.is_punct(text, ".")) || (punct(1, ".") && continues_name(&token, text))
        {
            self.quoted(at);
            return at + 1;
        }
        if self.mysql.units.last() == Some(&at) {
            self.mysql.units.pop();
            return at + 1;
        }
        let name = token.identifier(text).to_ascii_lowercase();
        self.mysql.notes.random |= name == "rand" && punct(1, "(");
        if let Some(next) = self.rewrite_mysql(&name, at, previous, end) {
            return next;
        }
        if is_keyword(&name, self.around(at, first, end)) {
            self.word(at, &name);
        } else {
            self.quoted(at);
        }
        at + 1
    }

    /// The inner parts of calls that MySQL's grammar writes with words.
    fn inside_call(&mut self, name: &str, at: usize, end: usize) -> Option<usize> {
        let text = self.unit.text;
        let is_next = |word: &str| self.unit.tokens[..end].get(at + 1).is_some_and(|token| token.is_word(text, word));
        match (self.mysql.innermost()?, name) {
            (Open::Cast, "as") => {
                self.word(at, "as");
                self.word(at, "char");
                Some(self.closing(at + 1, end))
            }
            (Open::Convert | Open::Char, "using") | (Open::WeightString, "as" | "level") => {
                Some(self.closing(at + 1, end))
            }
            (Open::Extract, "from") => Some(at + 1),
            (Open::Extract, unit) if is_unit(unit.as_bytes()) && is_next("from") => Some(at + 1),
            (Open::Trim, "both" | "leading" | "trailing") => Some(at + 1),
            (Open::Trim, "from") => {
                if self.out.last().is_some_and(|last| last.token != ParserToken::LParen) {
                    self.push(at, ParserToken::Comma);
                }
                Some(at + 1)
            }
            (Open::Substring, "from" | "for") | (Open::Position, "in") => {
                self.push(at, ParserToken::Comma);
                Some(at + 1)
            }
            (Open::GroupConcat, "separator") => Some(at + 2),
            (Open::GroupConcat, "limit") => Some(self.closing(at + 1, end)),
            (Open::JsonValue, "returning" | "default") => Some(self.closing(at + 1, end)),
            (Open::JsonValue, "null" | "error") if is_next("on") => Some(self.closing(at + 1, end)),
            (Open::JsonTable, "columns") => Some(self.closing(at + 1, end)),
            (Open::Against, "in" | "with") => Some(self.closing(at + 1, end)),
            _ => None,
        }
    }

    /// Forms that the parser refuses or misreads. Where one stands, the rewritten form is written and the place
    /// after it returned.
    fn rewrite_mysql(&mut self, name: &str, at: usize, previous: Option<Token>, end: usize) -> Option<usize> {
        if let Some(next) = self.inside_call(name, at, end) {
            return Some(next);
        }
        let text = self.unit.text;
        let tokens = &self.unit.tokens[..end];
        let is = |ahead: usize, word: &str| tokens.get(at + ahead).is_some_and(|token| token.is_word(text, word));
        let punct = |ahead: usize, punct: &str| tokens.get(at + ahead).is_some_and(|token| token.is_punct(text, punct));
        let kind = |ahead: usize| tokens.get(at + ahead).map(|token| token.kind);
        let after = |words: &[&str]| previous.is_some_and(|before| words.iter().any(|word| before.is_word(text, word)));
        let operand_before = previous.is_some_and(|before| ends_operand(&before, text));
        match name {
            "select" => Some(self.select(at, end)),
            "insert" | "replace" if !punct(1, "(") => {
                self.mysql.inserts = true;
                self.mysql.returns = true;
                self.word(at, name);
                Some(skip_modifiers(tokens, text, at + 1))
            }
            "delete" => {
                self.mysql.returns = true;
                self.word(at, name);
                Some(self.delete_targets(skip_modifiers(tokens, text, at + 1), end))
            }
            "update" if !after(&["for", "key"]) => {
                self.mysql.updating = true;
                self.word(at, name);
                Some(skip_modifiers(tokens, text, at + 1))
            }
            "set" if self.mysql.updating && self.mysql.open.is_empty() => {
                self.mysql.updating = false;
                None
            }
            "on" if is(1, "duplicate") && is(2, "key") && is(3, "update") => {
                self.mysql.duplicate = true;
                for word in ["on", "duplicate", "key", "update"] {
                    self.word(at, word);
                }
                Some(at + 4)
            }
            "values" | "value" if punct(1, "(") && self.mysql.duplicate => None,
            "value" if punct(1, "(") && self.mysql.inserts && self.mysql.open.is_empty() => {
                self.word(at, "values");
                Some(at + 1)
            }
            "row" if punct(1, "(") => Some(at + 1),
            "default" if !punct(1, "(") => {
                self.word(at, "null");
                Some(at + 1)
            }
            "table" if !after(&["into"]) && tokens.get(at + 1).is_some_and(Token::is_identifier) => {
                self.word(at, "select");
                self.push(at, ParserToken::Mul);
                self.word(at, "from");
                Some(at + 1)
            }
            "from" if is(1, "dual") && !punct(2, ".") => Some(at + 2),
            "case" => {
                self.mysql.open.push(Open::Case);
                None
            }
            "end" if self.mysql.innermost() == Some(Open::Case) => {
                self.mysql.open.pop();
                self.word(at, "end");
                Some(at + 1)
            }
            // Within parentheses no server takes it: nobody reads the statement as if one did.
            "into"
                if self.mysql.open.is_empty()
                    && !after(&["insert", "replace", "low_priority", "high_priority", "delayed", "ignore"]) =>
            {
                self.into(at, end)
            }
            "limit" => Some(self.limit(at, end)),
            "rows" if is(1, "examined") => Some(at + 3),
            "offset" | "fetch" => self.paging(at, end),
            "for" | "lock" => self.lock(at, end),
            "partition" if punct(1, "(") && operand_before => Some(self.leave_out(at, end)),
            "use" | "force" | "ignore" if is(1, "index") || is(1, "key") => Some(self.leave_out(at, end)),
            "straight_join" => {
                self.word(at, "join");
                Some(at + 1)
            }
            "interval" => self.interval(at, end),
            "date" | "time" | "timestamp" if matches!(kind(1), Some(Kind::Text(_))) => Some(at + 1),
            "div" if operand_before => {
                self.push(at, ParserToken::Plus);
                Some(at + 1)
            }
            "mod" if operand_before => {
                self.push(at, ParserToken::Plus);
                Some(at + 1)
            }
            // Between AND and OR in precedence: as OR it binds no equality closer than the server does.
            "xor" => {
                self.word(at, "or");
                Some(at + 1)
            }
            "rlike" | "regexp" if operand_before || after(&["not"]) => {
                self.word(at, "like");
                Some(at + 1)
            }
            "sounds" if is(1, "like") => Some(at + 1),
            "member" if operand_before || after(&["not"]) => {
                self.word(at, "in");
                Some(at + 1 + usize::from(is(1, "of")))
            }
            "binary" if !punct(1, ",") && !punct(1, ")") => {
                self.push(at, ParserToken::Minus);
                Some(at + 1)
            }
            "match" if punct(1, "(") => {
                self.quoted(at);
                Some(at + 1)
            }
            // The relevance of a row: what it was computed from is compared, not shown.
            "against" if punct(1, "(") && previous.is_some_and(|before| before.is_punct(text, ")")) => {
                self.push(at, ParserToken::Plus);
                self.quoted(at);
                Some(at + 1)
            }
            "collate" => {
                self.word(at, "collate");
                if at + 1 < end {
                    self.push(at, ParserToken::make_word("x", Some('`')));
                }
                Some(at + 2)
            }
            _ => None,
        }
    }
}

/// Whether a dot behind this token goes on with a name: words that a table's name follows do not.
pub(in crate::analysis) fn continues_name(token: &Token, text: &[u8]) -> bool {
    const BEFORE_TABLES: [&str; 18] = [
        "from",
        "join",
        "into",
        "update",
        "table",
        "tables",
        "straight_join",
        "using",
        "ignore",
        "low_priority",
        "quick",
        "delayed",
        "high_priority",
        "view",
        "insert",
        "replace",
        "truncate",
        "delete",
    ];
    // Asked of every dot: names of a letter or two are none of them.
    let may = token.kind == Kind::Word && (4..=13).contains(&token.range().len());
    token.is_identifier() && !(may && BEFORE_TABLES.iter().any(|word| token.is_word(text, word)))
}

/// Whether an expression may end with this token.
pub(super) fn ends_operand(token: &Token, text: &[u8]) -> bool {
    match token.kind {
        Kind::Operator | Kind::Junk => false,
        Kind::Punct => token.is_punct(text, ")"),
        Kind::Word => !super::words::begins_expression(&token.identifier(text).to_ascii_lowercase()),
        _ => true,
    }
}

/// The place after words that say how eagerly a statement is run.
fn skip_modifiers(tokens: &[Token], text: &[u8], mut at: usize) -> usize {
    const MODIFIERS: [&str; 5] = ["low_priority", "high_priority", "delayed", "quick", "ignore"];
    while tokens.get(at).is_some_and(|token| MODIFIERS.iter().any(|word| token.is_word(text, word))) {
        at += 1;
    }
    at
}
