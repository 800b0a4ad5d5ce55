//! Blanks and comments: which of them the server drops, and which it runs.

use super::super::Kind;
use super::{Lexer, is_space};

/// MariaDB skips `/*!50700` and above, up to five digits: what it holds is MySQL's. `/*M!` it does not skip.
const MARIADB_SKIPS: std::ops::RangeInclusive<u32> = 50_700..=99_999;
/// A node of a MariaDB cluster runs what stands behind this number; any other server skips it.
const CLUSTER_VERSION: u32 = 99_997;
/// The first version of MySQL that reads six digits as a version where white space follows, as far as it was measured.
const SIX_DIGITS_SINCE: u32 = 80_400;

impl Lexer<'_> {
    pub(super) fn skip_blank(&mut self) {
        while let Some(byte) = self.peek(0) {
            match (byte, self.peek(1)) {
                _ if is_space(byte) => self.at += 1,
                (b'#', _) => self.line(),
                (b'-', Some(b'-')) if self.peek(2).is_none_or(|byte| byte == b' ' || byte.is_ascii_control()) => {
                    self.line();
                }
                (b'/', Some(b'*')) if !self.is_hint() => self.comment(),
                (b'*', Some(b'/')) if self.in_comment => {
                    self.in_comment = false;
                    self.at += 2;
                }
                _ => return,
            }
        }
    }

    /// To the end of the line, or to a zero, which ends it too.
    fn line(&mut self) {
        self.run(|byte| byte != b'\n' && byte != 0);
    }

    fn comment(&mut self) {
        let marker = match (self.peek(2), self.peek(3)) {
            (Some(b'!'), _) => 3,
            (Some(b'M'), Some(b'!')) if self.settings.mariadb => 4,
            _ => {
                self.at += 2;
                self.skip_comment(false);
                return;
            }
        };
        let digits = self.version_digits(marker);
        self.at += marker;
        if digits > 0 {
            let version = (0..digits)
                .filter_map(|at| self.peek(at))
                .fold(0, |version, digit| version * 10 + u32::from(digit.saturating_sub(b'0')));
            let skipped = self.settings.mariadb && marker == 3 && MARIADB_SKIPS.contains(&version);
            if version > self.settings.version || skipped {
                self.uncertain |= self.settings.mariadb && version == CLUSTER_VERSION;
                self.skip_comment(true);
                return;
            }
        }
        self.at += digits;
        self.in_comment = true;
    }

    /// Digits of the version behind a marker; none, where there is no version.
    fn version_digits(&mut self, marker: usize) -> usize {
        let digit = |at: usize| self.peek(marker + at).is_some_and(|byte| byte.is_ascii_digit());
        if !(0..5).all(digit) {
            return 0;
        }
        let six = digit(5);
        if self.settings.mariadb {
            return if six { 6 } else { 5 };
        }
        self.uncertain |= six && self.settings.version < SIX_DIGITS_SINCE;
        if six && self.peek(marker + 6).is_some_and(is_space) { 6 } else { 5 }
    }

    /// To the end of a comment. One that is skipped for its version may hold others, one deep.
    fn skip_comment(&mut self, nests: bool) {
        let mut inner = false;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(b'/'), Some(b'*')) if nests && !inner => {
                    inner = true;
                    self.at += 2;
                }
                (Some(b'*'), Some(b'/')) => {
                    self.at += 2;
                    if !inner {
                        return;
                    }
                    inner = false;
                }
                (Some(_), _) => self.at += 1,
                (None, _) => {
                    self.uncertain = true;
                    return;
                }
            }
        }
    }

    /// Whether a hint stands here that changes what the statement means. Others are comments.
    pub(super) fn is_hint(&self) -> bool {
        let Some(rest) = self.text.get(self.at..).and_then(|rest| rest.strip_prefix(b"/*+")) else { return false };
        let end = rest.windows(2).position(|pair| pair == b"*/").unwrap_or(rest.len());
        let has = |word: &[u8]| {
            rest.get(..end).is_some_and(|hint| hint.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
        };
        has(b"set_var") && has(b"sql_mode")
    }

    pub(super) fn hint(&mut self) -> Kind {
        self.at += 2;
        self.skip_comment(false);
        Kind::Hint
    }
}
