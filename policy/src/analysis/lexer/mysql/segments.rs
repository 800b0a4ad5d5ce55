//! The strings of one literal, apart.

use super::is_space;

/// The strings, with their quotes, that a literal is put together from. `None` among them: what stands between is not
/// certain to be a blank, as where a comment that the server runs begins or ends.
pub(in crate::analysis) struct Segments<'t> {
    rest: &'t [u8],
    escapes: bool,
    failed: bool,
}

impl<'t> Segments<'t> {
    /// Of a literal that begins with a quote or with a blank.
    pub(in crate::analysis) fn new(literal: &'t [u8], escapes: bool) -> Segments<'t> {
        Segments { rest: literal, escapes, failed: false }
    }

    /// Drops blanks and comments. False: what stands here is no blank.
    fn skip_blank(&mut self) -> bool {
        while let Some(first) = self.rest.first() {
            let bytes = match self.rest {
                _ if is_space(*first) => 1,
                [b'\'' | b'"', ..] => return true,
                [b'#', ..] | [b'-', b'-', ..] => {
                    self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len())
                }
                [b'/', b'*', b'!' | b'M', ..] => return false,
                [b'/', b'*', inside @ ..] => {
                    let end = inside.windows(2).position(|pair| pair == b"*/");
                    end.map_or(self.rest.len(), |end| end + 4)
                }
                _ => return false,
            };
            self.rest = self.rest.get(bytes..).unwrap_or_default();
        }
        true
    }
}

impl<'t> Iterator for Segments<'t> {
    type Item = Option<&'t [u8]>;

    fn next(&mut self) -> Option<Option<&'t [u8]>> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        if !self.skip_blank() {
            self.failed = true;
            return Some(None);
        }
        let quote = *self.rest.first()?;
        let mut at = 1;
        loop {
            match self.rest.get(at) {
                Some(byte) if *byte == quote && self.rest.get(at + 1) == Some(&quote) => at += 2,
                Some(byte) if *byte == quote => break,
                Some(b'\\') if self.escapes => at += 2,
                Some(_) => at += 1,
                None => {
                    self.failed = true;
                    return Some(None);
                }
            }
        }
        let segment = self.rest.get(..=at);
        self.rest = self.rest.get(at + 1..).unwrap_or_default();
        Some(segment)
    }
}
