//! A way through the tokens of one statement, for the readers of statements that are not queries.

use super::lexer::Token;
use super::shape::Unit;

/// Walks over the tokens of one statement.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'u, 't> {
    pub(super) unit: &'u Unit<'t>,
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'u, 't> Cursor<'u, 't> {
    pub(super) fn peek(&self) -> Option<Token> {
        (self.at < self.end).then(|| self.unit.tokens[self.at])
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_word(self.unit.text, word))
    }

    pub(super) fn is_at(&self, ahead: usize, word: &str) -> bool {
        self.at + ahead < self.end && self.unit.tokens[self.at + ahead].is_word(self.unit.text, word)
    }

    pub(super) fn is_punct(&self, punct: &str) -> bool {
        self.peek().is_some_and(|token| token.is_punct(self.unit.text, punct))
    }

    /// Takes the word, if it is next.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.is(word);
        self.at += usize::from(found);
        found
    }

    /// Takes any of the words, as long as one is next.
    pub(super) fn take_all(&mut self, words: &[&str]) {
        while words.iter().any(|word| self.take(word)) {}
    }

    /// Takes the words, if all are next.
    pub(super) fn take_phrase(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(ahead, word)| self.is_at(ahead, word));
        self.at += if found { words.len() } else { 0 };
        found
    }

    pub(super) fn take_punct(&mut self, punct: &str) -> bool {
        let found = self.is_punct(punct);
        self.at += usize::from(found);
        found
    }

    /// Takes an identifier.
    pub(super) fn name(&mut self) -> Option<String> {
        let token = self.peek().filter(Token::is_identifier)?;
        self.at += 1;
        Some(token.identifier(self.unit.text).into_owned())
    }

    /// Takes a dotted name; its last two parts.
    pub(super) fn dotted(&mut self) -> Option<(Option<String>, String)> {
        let mut schema = None;
        let mut name = self.name()?;
        while self.is_punct(".") {
            self.at += 1;
            schema = Some(std::mem::replace(&mut name, self.name()?));
        }
        Some((schema, name))
    }

    /// Takes from an opening parenthesis to the one that closes it; the tokens between.
    pub(super) fn parenthesised(&mut self) -> Option<std::ops::Range<usize>> {
        if !self.is_punct("(") {
            return None;
        }
        let first = self.at + 1;
        let mut depth = 0_usize;
        for at in self.at..self.end {
            let token = self.unit.tokens[at];
            if token.is_punct(self.unit.text, "(") {
                depth += 1;
            } else if token.is_punct(self.unit.text, ")") {
                depth -= 1;
                if depth == 0 {
                    self.at = at + 1;
                    return Some(first..at);
                }
            }
        }
        None
    }

    /// The first place, outside of parentheses, where this word stands.
    pub(super) fn find(&self, word: &str) -> Option<usize> {
        let mut depth = 0_usize;
        for at in self.at..self.end {
            let token = self.unit.tokens[at];
            if token.is_punct(self.unit.text, "(") {
                depth += 1;
            } else if token.is_punct(self.unit.text, ")") {
                depth = depth.saturating_sub(1);
            } else if depth == 0 && token.is_word(self.unit.text, word) {
                return Some(at);
            }
        }
        None
    }
}
