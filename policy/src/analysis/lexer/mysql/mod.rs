//! MySQL's and MariaDB's lexical rules over bytes, measured on MySQL 9.7 and MariaDB 10.11 (see the tests).
//!
//! Only for character sets whose multi-byte characters hold no ASCII byte: GBK, SJIS, BIG5 and their like can hide a
//! quote or a backslash in the second byte of a character, and the session must not ask then.

mod comments;
mod names;
mod numbers;
mod segments;
#[cfg(test)]
mod tests;

use super::{Kind, Lexed, Rules, Token, is_space};
use crate::analysis::{MysqlLex, Quoting};

pub(super) use names::identifier;
pub(in crate::analysis) use segments::Segments;

/// The first version of MySQL that reads `$tag$…$tag$` as a string, as far as it was measured.
const DOLLAR_QUOTES_SINCE: u32 = 90_000;

/// Cuts a text into tokens; comments and white space are dropped.
pub(super) fn lex(text: &[u8], settings: MysqlLex) -> Lexed {
    let mut lexer =
        Lexer { text, at: 0, settings, in_comment: false, uncertain: false, name_follows: false, word_end: None };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 4);
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    Lexed { tokens, unterminated: lexer.uncertain || lexer.in_comment }
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    settings: MysqlLex,
    /// Inside a comment whose content the server runs.
    in_comment: bool,
    /// Something has no end, or the server may see it elsewhere.
    uncertain: bool,
    /// What stands right here is the rest of a name, behind its dot.
    name_follows: bool,
    /// Where an unquoted name has just ended.
    word_end: Option<usize>,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let first = self.peek(0)?;
        let (name_follows, word_end) = (std::mem::take(&mut self.name_follows), self.word_end.take());
        // What skips back over blanks to see what follows says where its token ends.
        let mut end = None;
        let kind = match first {
            _ if name_follows => self.word(),
            b'\'' => {
                end = Some(self.strings());
                Kind::Text(Quoting::Standard)
            }
            b'"' if !self.settings.ansi_quotes => {
                end = Some(self.strings());
                Kind::Text(Quoting::Standard)
            }
            b'"' | b'`' => {
                self.quoted(first);
                Kind::Quoted
            }
            b'0'..=b'9' => self.number(),
            b'.' => self.dot(word_end == Some(start)),
            b'@' => self.variable(),
            b'?' => self.take(1, Kind::Param),
            b'\\' if self.settings.mariadb && self.peek(1) == Some(b'N') => self.take(2, Kind::Null),
            b'$' if !self.settings.mariadb => self.dollar(),
            b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b';' => self.take(1, Kind::Punct),
            b':' => self.take(if self.peek(1) == Some(b'=') { 2 } else { 1 }, Kind::Punct),
            b'/' if self.is_hint() => self.hint(),
            _ if is_name(first) => {
                let (kind, ended) = self.word_or_prefixed(first);
                end = Some(ended);
                kind
            }
            _ if is_operator(first) => self.operator(first),
            _ => self.take(1, Kind::Junk),
        };
        let rules = Rules::Mysql { escapes: !self.settings.no_backslash_escapes };
        Some(Token::new(kind, rules, start, end.unwrap_or(self.at)))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn take(&mut self, bytes: usize, kind: Kind) -> Kind {
        self.at = (self.at + bytes).min(self.text.len());
        kind
    }

    /// Goes on while `wanted` is met.
    fn run(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }

    /// A name as it stands. The server reads no keyword, number or prefix behind a dot.
    fn word(&mut self) -> Kind {
        let start = self.at;
        self.run(is_name);
        self.judge_name(start);
        self.word_end = Some(self.at);
        Kind::Word
    }

    /// What begins like a name, and where it ends.
    fn word_or_prefixed(&mut self, first: u8) -> (Kind, usize) {
        match (first, self.peek(1)) {
            (b'n' | b'N', Some(b'\'')) => {
                self.at += 1;
                return (Kind::Text(Quoting::Standard), self.strings());
            }
            (b'b' | b'B' | b'x' | b'X', Some(b'\'')) => return (self.quoted_bits(), self.at),
            _ => {}
        }
        let start = self.at;
        let kind = self.word();
        let end = self.at;
        let name = self.text.get(start..end).unwrap_or_default();
        if !names::is_introducer(name, self.settings.mariadb) {
            return (kind, end);
        }
        // `_utf8mb4'…'`: one literal with what follows. Alone it is nothing that the server knows.
        self.skip_blank();
        match (self.peek(0), self.peek(1)) {
            (Some(b'\''), _) => (Kind::Text(Quoting::Charset), self.strings()),
            (Some(b'"'), _) if !self.settings.ansi_quotes => (Kind::Text(Quoting::Charset), self.strings()),
            (Some(b'x' | b'X' | b'b' | b'B'), Some(b'\'')) => (self.quoted_bits(), self.at),
            (Some(b'0'), Some(b'x' | b'b')) => {
                let before = self.at;
                if self.number() == Kind::Bits {
                    return (Kind::Bits, self.at);
                }
                self.at = before;
                (kind, end)
            }
            _ => (kind, end),
        }
    }

    /// A string and those that follow it, which the server makes one; where the last of them ends. Stands on a quote.
    fn strings(&mut self) -> usize {
        loop {
            self.string();
            let end = self.at;
            self.skip_blank();
            let another = self.peek(0) == Some(b'\'') || (self.peek(0) == Some(b'"') && !self.settings.ansi_quotes);
            if !another {
                return end;
            }
        }
    }

    /// One string. Stands on its quote.
    fn string(&mut self) {
        let Some(quote) = self.peek(0) else { return };
        self.at += 1;
        loop {
            match self.peek(0) {
                Some(byte) if byte == quote && self.peek(1) == Some(quote) => self.at += 2,
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return;
                }
                Some(b'\\') if !self.settings.no_backslash_escapes => self.at = (self.at + 2).min(self.text.len()),
                Some(_) => self.at += 1,
                None => {
                    self.uncertain = true;
                    return;
                }
            }
        }
    }

    /// A quoted name. Stands on its quote.
    fn quoted(&mut self, quote: u8) {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek(0) {
                Some(byte) if byte == quote && self.peek(1) == Some(quote) => self.at += 2,
                Some(byte) if byte == quote => {
                    self.at += 1;
                    self.judge_name(start);
                    return;
                }
                // Some versions end the name at a zero.
                Some(0) => {
                    self.uncertain = true;
                    self.at += 1;
                }
                Some(_) => self.at += 1,
                None => {
                    self.uncertain = true;
                    return;
                }
            }
        }
    }

    /// Outside of strings, what is not ASCII must be what the server takes it for: MySQL cuts a name at a broken
    /// character, and every other character set reads other characters.
    fn judge_name(&mut self, start: usize) {
        let name = self.text.get(start..self.at).unwrap_or_default();
        if !name.is_ascii() && (!self.settings.utf8 || std::str::from_utf8(name).is_err()) {
            self.uncertain = true;
        }
    }

    fn dot(&mut self, behind_name: bool) -> Kind {
        let next = self.peek(1);
        if !behind_name && next.is_some_and(|byte| byte.is_ascii_digit()) {
            return self.fraction();
        }
        if next == Some(b'.') && self.settings.mariadb {
            return self.take(2, Kind::Punct);
        }
        self.name_follows = next.is_some_and(is_name);
        self.take(1, Kind::Punct)
    }

    fn variable(&mut self) -> Kind {
        let start = self.at;
        if self.peek(1) == Some(b'@') {
            self.at += 2;
            match self.peek(0) {
                Some(b'`') => self.quoted(b'`'),
                Some(b'"') if self.settings.ansi_quotes => self.quoted(b'"'),
                Some(byte) if is_name(byte) => {
                    self.word();
                }
                _ => return Kind::Junk,
            }
            return Kind::SystemVariable;
        }
        self.at += 1;
        match self.peek(0) {
            Some(b'`') => self.quoted(b'`'),
            Some(b'"') if self.settings.ansi_quotes => self.quoted(b'"'),
            Some(b'"' | b'\'') => self.string(),
            _ => self.run(|byte| is_name(byte) || byte == b'.'),
        }
        self.judge_name(start);
        Kind::Variable
    }

    /// `$…`: MySQL's quote of its own, or a name.
    fn dollar(&mut self) -> Kind {
        let start = self.at;
        let mut open = start + 1;
        while self.text.get(open).is_some_and(|byte| is_name(*byte) && *byte != b'$') {
            open += 1;
        }
        if self.text.get(open) != Some(&b'$') {
            return self.word();
        }
        if self.settings.version < DOLLAR_QUOTES_SINCE {
            self.uncertain = true;
            return self.word();
        }
        // The server compares byte by byte and does not go back over what did not match.
        let tag = self.text.get(start + 1..=open).unwrap_or_default();
        self.at = open + 1;
        loop {
            self.run(|byte| byte != b'$');
            if self.peek(0).is_none() {
                self.uncertain = true;
                return Kind::Text(Quoting::Dollar);
            }
            self.at += 1;
            let mut matches = true;
            for wanted in tag {
                let Some(byte) = self.peek(0) else {
                    matches = false;
                    break;
                };
                self.at += 1;
                if byte != *wanted {
                    matches = false;
                    break;
                }
            }
            if matches {
                return Kind::Text(Quoting::Dollar);
            }
        }
    }

    fn operator(&mut self, first: u8) -> Kind {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let arrow: &[&[u8]] = if self.settings.mariadb { &[] } else { &[b"->>", b"->"] };
        let long: &[&[u8]] = match first {
            b'-' => arrow,
            b'<' => &[b"<=>", b"<=", b"<>", b"<<"],
            b'>' => &[b">=", b">>"],
            b'!' => &[b"!="],
            b'&' => &[b"&&"],
            b'|' => &[b"||"],
            // MariaDB's named arguments.
            b'=' => &[b"=>"],
            _ => &[],
        };
        let bytes = long.iter().find(|long| rest.starts_with(long)).map_or(1, |long| long.len());
        self.take(bytes, Kind::Operator)
    }
}

/// Whether a byte may be part of an unquoted name.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

fn is_operator(byte: u8) -> bool {
    matches!(byte, b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'&' | b'|' | b'^' | b'~')
}
