//! Numbers, and what looks like one.

use super::super::Kind;
use super::{Lexer, is_name};

impl Lexer<'_> {
    /// Begins with a digit: a number, or a name.
    pub(super) fn number(&mut self) -> Kind {
        let start = self.at;
        let bits = match (self.peek(0), self.peek(1)) {
            (Some(b'0'), Some(b'x')) => Some(u8::is_ascii_hexdigit as fn(&u8) -> bool),
            (Some(b'0'), Some(b'b')) => Some((|byte| matches!(byte, b'0' | b'1')) as fn(&u8) -> bool),
            _ => None,
        };
        if let Some(is_digit) = bits {
            self.at += 2;
            self.run(|byte| is_digit(&byte));
            if self.at > start + 2 && !self.peek(0).is_some_and(is_name) {
                return Kind::Bits;
            }
            self.at = start;
            return self.word();
        }
        self.run(|byte| byte.is_ascii_digit());
        match self.peek(0) {
            Some(b'.') if self.settings.mariadb && self.peek(1) == Some(b'.') => Kind::Number,
            Some(b'.') => self.fraction(),
            Some(b'e' | b'E') if self.exponent() => Kind::Number,
            Some(byte) if is_name(byte) => {
                self.at = start;
                self.word()
            }
            _ => Kind::Number,
        }
    }

    /// From the dot of a number on.
    pub(super) fn fraction(&mut self) -> Kind {
        self.at += 1;
        self.run(|byte| byte.is_ascii_digit());
        if !matches!(self.peek(0), Some(b'e' | b'E')) || self.exponent() {
            return Kind::Number;
        }
        // MySQL drops a number with an `e` and no digits behind it as if it were not there, and MariaDB refuses it:
        // nobody writes it who does not want to be misread.
        self.uncertain = true;
        self.at += if matches!(self.peek(1), Some(b'+' | b'-')) { 2 } else { 1 };
        Kind::Junk
    }

    /// Takes an exponent, where a whole one stands here.
    fn exponent(&mut self) -> bool {
        let sign = usize::from(matches!(self.peek(1), Some(b'+' | b'-')));
        let whole = self.peek(1 + sign).is_some_and(|byte| byte.is_ascii_digit());
        if whole {
            self.at += 1 + sign;
            self.run(|byte| byte.is_ascii_digit());
        }
        whole
    }

    /// `x'…'`, `b'…'`. What the server refuses is junk.
    pub(super) fn quoted_bits(&mut self) -> Kind {
        let hex = matches!(self.peek(0), Some(b'x' | b'X'));
        self.at += 2;
        let start = self.at;
        self.run(|byte| if hex { byte.is_ascii_hexdigit() } else { matches!(byte, b'0' | b'1') });
        let even = !hex || (self.at - start).is_multiple_of(2);
        if self.peek(0) != Some(b'\'') {
            return Kind::Junk;
        }
        self.at += 1;
        if even { Kind::Bits } else { Kind::Junk }
    }
}
