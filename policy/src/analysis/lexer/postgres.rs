//! PostgreSQL's lexical rules over bytes. <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>

use super::{Kind, Lexed, Rules, Token, is_space};
use crate::analysis::Quoting;

/// Cuts a text into tokens; comments and white space are dropped.
pub(super) fn lex(text: &[u8], standard_conforming_strings: bool) -> Lexed {
    let mut lexer = Lexer { text, at: 0, standard_conforming_strings, unterminated: false, signs: Signs::default() };
    let mut tokens = Vec::with_capacity(text.len() / 4 + 4);
    while let Some(token) = lexer.next_token() {
        tokens.push(token);
    }
    Lexed { tokens, unterminated: lexer.unterminated }
}

/// The two halves of `quote newline quote`: where a string goes on after a break, the position after the new quote.
pub(in crate::analysis) fn continuation(text: &[u8], mut at: usize) -> Option<usize> {
    let mut newline = false;
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => {
                newline = true;
                at += 1;
            }
            byte if is_space(*byte) => at += 1,
            b'-' if text.get(at + 1) == Some(&b'-') => {
                while text.get(at).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
                    at += 1;
                }
            }
            b'\'' if newline => return Some(at + 1),
            _ => return None,
        }
    }
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    standard_conforming_strings: bool,
    unterminated: bool,
    signs: Signs,
}

/// A run of characters of operators: it may be cut into as many tokens as it has characters, and is looked at once.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    /// Behind the last of them.
    end: usize,
    /// Behind the last that lets an operator end with `+` or `-`.
    special_end: usize,
    /// Behind the last that is neither `+` nor `-`.
    other_end: usize,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Option<Token> {
        self.skip_blank();
        let start = self.at;
        let first = *self.text.get(start)?;
        let kind = match first {
            b'\'' => self.string(
                start + 1,
                if self.standard_conforming_strings { Quoting::Standard } else { Quoting::Escape },
                Quoting::Standard,
            ),
            b'"' => self.quoted(start + 1, Kind::Quoted),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) => self.number(),
            b'(' | b')' | b'[' | b']' | b',' | b';' => self.punct(1),
            b'.' => self.punct(if self.peek(1) == Some(b'.') { 2 } else { 1 }),
            b':' => self.punct(if matches!(self.peek(1), Some(b':' | b'=')) { 2 } else { 1 }),
            byte if is_identifier_start(byte) => self.word_or_prefixed(first),
            byte if is_operator(byte) => self.operator(),
            _ => {
                self.at += 1;
                Kind::Junk
            }
        };
        Some(Token::new(kind, Rules::Postgres, start, self.at))
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek(0) {
            if is_space(byte) {
                self.at += 1;
            } else if byte == b'-' && self.peek(1) == Some(b'-') {
                while self.peek(0).is_some_and(|byte| !matches!(byte, b'\n' | b'\r')) {
                    self.at += 1;
                }
            } else if byte == b'/' && self.peek(1) == Some(b'*') {
                self.block_comment();
            } else {
                return;
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 1_usize;
        self.at += 2;
        while depth > 0 {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    self.at += 2;
                }
                (Some(_), _) => self.at += 1,
                (None, _) => {
                    self.unterminated = true;
                    return;
                }
            }
        }
    }

    fn punct(&mut self, bytes: usize) -> Kind {
        self.at += bytes;
        Kind::Punct
    }

    fn word_or_prefixed(&mut self, first: u8) -> Kind {
        match (first, self.peek(1), self.peek(2)) {
            (b'e' | b'E', Some(b'\''), _) => return self.string(self.at + 2, Quoting::Escape, Quoting::Escape),
            (b'n' | b'N', Some(b'\''), _) => {
                let inside = if self.standard_conforming_strings { Quoting::Standard } else { Quoting::Escape };
                return self.string(self.at + 2, inside, Quoting::Standard);
            }
            (b'b' | b'B' | b'x' | b'X', Some(b'\''), _) => {
                self.string(self.at + 2, Quoting::Standard, Quoting::Standard);
                return Kind::Bits;
            }
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => {
                // With standard_conforming_strings off the server refuses the form; reading it as it would be read
                // with the setting on cannot hide code, because the statement will not run.
                let kind = self.string(self.at + 3, Quoting::Standard, Quoting::Unicode);
                self.uescape();
                return kind;
            }
            (b'u' | b'U', Some(b'&'), Some(b'"')) => {
                let kind = self.quoted(self.at + 3, Kind::QuotedUnicode);
                self.uescape();
                return kind;
            }
            _ => {}
        }
        while self.peek(0).is_some_and(is_identifier_part) {
            self.at += 1;
        }
        Kind::Word
    }

    /// `at`: after the opening quote. `inside`: whether backslashes escape. `kind`: how to call it.
    fn string(&mut self, at: usize, inside: Quoting, kind: Quoting) -> Kind {
        self.at = at;
        loop {
            match self.peek(0) {
                Some(b'\'') if self.peek(1) == Some(b'\'') => self.at += 2,
                Some(b'\'') => match continuation(self.text, self.at + 1) {
                    Some(after) => self.at = after,
                    None => {
                        self.at += 1;
                        return Kind::Text(kind);
                    }
                },
                Some(b'\\') if inside == Quoting::Escape => self.at = (self.at + 2).min(self.text.len()),
                Some(_) => self.at += 1,
                None => {
                    self.unterminated = true;
                    return Kind::Text(kind);
                }
            }
        }
    }

    fn quoted(&mut self, at: usize, kind: Kind) -> Kind {
        self.at = at;
        loop {
            match self.peek(0) {
                Some(b'"') if self.peek(1) == Some(b'"') => self.at += 2,
                Some(b'"') => {
                    self.at += 1;
                    return kind;
                }
                Some(_) => self.at += 1,
                None => {
                    self.unterminated = true;
                    return kind;
                }
            }
        }
    }

    /// Takes `UESCAPE 'c'` into the token, where it follows.
    fn uescape(&mut self) {
        let back = self.at;
        self.skip_blank();
        let word = self.text.get(self.at..self.at + 7).is_some_and(|word| word.eq_ignore_ascii_case(b"uescape"));
        if word && !self.peek(7).is_some_and(is_identifier_part) {
            self.at += 7;
            self.skip_blank();
            if self.peek(0) == Some(b'\'') && self.peek(2) == Some(b'\'') {
                self.at += 3;
                return;
            }
        }
        self.at = back;
    }

    fn dollar(&mut self) -> Kind {
        if self.peek(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
                self.at += 1;
            }
            return Kind::Param;
        }
        let start = self.at;
        let mut end = start + 1;
        while self.text.get(end).is_some_and(|byte| {
            (is_identifier_part(*byte) && *byte != b'$') && (end > start + 1 || !byte.is_ascii_digit())
        }) {
            end += 1;
        }
        if self.text.get(end) != Some(&b'$') {
            self.at += 1;
            return Kind::Junk;
        }
        let delimiter = &self.text[start..=end];
        let mut at = end + 1;
        loop {
            match self.text[at..].iter().position(|byte| *byte == b'$') {
                None => {
                    self.at = self.text.len();
                    self.unterminated = true;
                    return Kind::Text(Quoting::Dollar);
                }
                Some(ahead) if self.text[at + ahead..].starts_with(delimiter) => {
                    self.at = at + ahead + delimiter.len();
                    return Kind::Text(Quoting::Dollar);
                }
                Some(ahead) => at += ahead + 1,
            }
        }
    }

    fn number(&mut self) -> Kind {
        if self.peek(0) == Some(b'0')
            && matches!(self.peek(1), Some(b'x' | b'X' | b'o' | b'O' | b'b' | b'B'))
            && self.peek(2).is_some_and(|byte| byte.is_ascii_hexdigit() || byte == b'_')
        {
            self.at += 2;
            while self.peek(0).is_some_and(|byte| byte.is_ascii_hexdigit() || byte == b'_') {
                self.at += 1;
            }
            return Kind::Number;
        }
        self.digits();
        if self.peek(0) == Some(b'.') && self.peek(1) != Some(b'.') {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
            if self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits();
            }
        }
        Kind::Number
    }

    fn digits(&mut self) {
        while let Some(byte) = self.peek(0) {
            let separator = byte == b'_' && self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
            if !byte.is_ascii_digit() && !separator {
                return;
            }
            self.at += 1;
        }
    }

    fn operator(&mut self) -> Kind {
        let start = self.at;
        if start >= self.signs.end {
            self.signs = self.signs_from(start);
        }
        let Signs { end, special_end, other_end } = self.signs;
        // A trailing + or - belongs to what follows unless the operator holds a special character.
        self.at = if special_end > start { end } else { other_end.max(start + 1).min(end) };
        Kind::Operator
    }

    fn signs_from(&self, start: usize) -> Signs {
        let mut signs = Signs { end: start, ..Signs::default() };
        while let Some(byte) = self.text.get(signs.end).copied().filter(|byte| is_operator(*byte)) {
            let comment = matches!((byte, self.text.get(signs.end + 1)), (b'-', Some(b'-')) | (b'/', Some(b'*')));
            if comment && signs.end > start {
                break;
            }
            signs.end += 1;
            if matches!(byte, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%') {
                signs.special_end = signs.end;
            }
            if !matches!(byte, b'+' | b'-') {
                signs.other_end = signs.end;
            }
        }
        signs
    }
}

fn is_identifier_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_identifier_part(byte: u8) -> bool {
    is_identifier_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Asked of nearly every byte: a search in a list would be a call.
fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'~' | b'!'
            | b'@'
            | b'#'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
            | b'+'
            | b'-'
            | b'*'
            | b'/'
            | b'%'
            | b'<'
            | b'>'
            | b'='
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::lex;
    use crate::analysis::LexSettings;

    fn check(text: &str, expected: &[&str]) {
        let lexed = lex(text.as_bytes(), LexSettings::default());
        let got: Vec<String> = lexed
            .tokens
            .iter()
            .map(|token| {
                if token.is_identifier() {
                    format!("<{}>", token.identifier(text.as_bytes()))
                } else {
                    String::from_utf8_lossy(token.raw(text.as_bytes())).into_owned()
                }
            })
            .collect();
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn tokens_end_where_the_server_ends_them() {
        check("select/*a/*b*/c*/x--y\n,z", &["<select>", "<x>", ",", "<z>"]);
        check("a*/*c*/-1", &["<a>", "*", "-", "1"]);
        check("a<--b\n1", &["<a>", "<", "1"]);
        check("a<-1 @-1 <>-1", &["<a>", "<", "-", "1", "@-", "1", "<>", "-", "1"]);
        check("1+-+-@+-", &["1", "+-+-@+-"]);
        check("1*+-2+-+3-/*x*/-4", &["1", "*", "+", "-", "2", "+", "-", "+", "3", "-", "-", "4"]);
        check("'a''b' E'a\\'b' $$x'$$ $t$ $$ $t$", &["'a''b'", "E'a\\'b'", "$$x'$$", "$t$ $$ $t$"]);
        check("'a'\n 'b' 'c' 'd'", &["'a'\n 'b'", "'c'", "'d'"]);
        check("'a' -- x\n 'b'", &["'a' -- x\n 'b'"]);
        check(
            "1.5e10 .5 1..2 0xFF 1_000 $12 1e 1.e",
            &["1.5e10", ".5", "1", "..", "2", "0xFF", "1_000", "$12", "1", "<e>", "1.", "<e>"],
        );
        check(
            "U&\"\\0063ust\" U&'x' uescape '!' Foo.\"Foo\"\"x\"",
            &["<cust>", "U&'x' uescape '!'", "<foo>", ".", "<Foo\"x>"],
        );
        check(
            "a$1$b x::text y:=1 a[1:2]",
            &["<a$1$b>", "<x>", "::", "<text>", "<y>", ":=", "1", "<a>", "[", "1", ":", "2", "]"],
        );
        check("B'01' x'ff' n'a'", &["B'01'", "x'ff'", "n'a'"]);
    }

    #[test]
    fn backslashes_follow_the_setting() {
        let text = br"'a\' or 'b'";
        let off = lex(text, LexSettings::postgres(false));
        assert!(off.tokens.len() == 2 && off.unterminated, "{off:?}");
        assert!(!lex(text, LexSettings::default()).unterminated);
    }

    #[test]
    fn what_has_no_end_is_said() {
        for text in ["'a", "/* a /* b */", "\"a", "$$a$", "$a$ $b$", "e'\\", "U&'a"] {
            assert!(lex(text.as_bytes(), LexSettings::default()).unterminated, "{text}");
        }
    }

    #[test]
    fn long_identifiers_are_cut_at_a_character() {
        let name = format!("{}é", "a".repeat(62));
        let lexed = lex(name.as_bytes(), LexSettings::default());
        assert_eq!(lexed.tokens[0].identifier(name.as_bytes()), "a".repeat(62));
    }
}
