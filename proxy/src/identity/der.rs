//! A strict reader of DER (ITU-T X.690): elements one after the other, nothing copied, nothing recursive.
//!
//! INVARIANT: every length is whole, minimal and within what is left; two encodings are never read as the same element.

use std::fmt::Write;

/// Longest object identifier, bytes: the longest in use have about twenty.
const IDENTIFIER_BYTES_MAX: usize = 64;

/// How bytes break the rules of DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DerError {
    /// An element is cut off.
    #[error("an element ends behind what is there")]
    Short,
    /// A length with an indefinite, overlong or unreadable form.
    #[error("a length is not written as DER writes it")]
    Length,
    /// A tag that stands in several bytes, which nothing here has.
    #[error("a tag has a number above 30")]
    Tag,
    /// Another element than the one that stands here by the format.
    #[error("an element with the tag {expected:#04x} is missing")]
    Unexpected {
        /// The tag that stands here by the format.
        expected: u8,
    },
    /// Bytes behind the last element.
    #[error("there is more behind its end")]
    Trailing,
    /// An object identifier that is none.
    #[error("an object identifier cannot be read")]
    Identifier,
    /// An element that stands at most once stands twice.
    #[error("an extension stands there twice")]
    Repeated,
    /// An element that holds something holds nothing.
    #[error("a part of the subject is empty")]
    Empty,
}

/// Tag of a constructed, context-specific element.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Tag of a primitive, context-specific element.
pub(super) const fn implicit(number: u8) -> u8 {
    0x80 | number
}

/// Elements that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Der<'a> {
    rest: &'a [u8],
}

impl<'a> Der<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Der<'a> {
        Der { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DerError::Trailing) }
    }

    /// The next element, whatever it is: its tag, what it holds, and all its bytes.
    pub(super) fn any(&mut self) -> Result<(u8, &'a [u8], &'a [u8]), DerError> {
        let all = self.rest;
        let (tag, rest) = all.split_first().ok_or(DerError::Short)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError::Tag);
        }
        let (first, mut rest) = rest.split_first().ok_or(DerError::Short)?;
        let length = match *first {
            short @ 0..=0x7f => usize::from(short),
            // Nothing that is looked at here is longer than what three bytes say.
            long @ 0x81..=0x83 => {
                let (digits, behind) = rest.split_at_checked(usize::from(long & 0x7f)).ok_or(DerError::Short)?;
                rest = behind;
                let length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
                // X.690, 10.1: the shortest form there is.
                let shortest = if digits.len() == 1 { 0x80 } else { 1 << (8 * (digits.len() - 1)) };
                if length < shortest {
                    return Err(DerError::Length);
                }
                length
            }
            _ => return Err(DerError::Length),
        };
        let (content, behind) = rest.split_at_checked(length).ok_or(DerError::Short)?;
        self.rest = behind;
        Ok((*tag, content, &all[..all.len() - behind.len()]))
    }

    /// What the next element holds, which must have this tag.
    pub(super) fn take(&mut self, expected: u8) -> Result<&'a [u8], DerError> {
        let before = *self;
        match self.any()? {
            (tag, content, _) if tag == expected => Ok(content),
            _ => {
                *self = before;
                Err(DerError::Unexpected { expected })
            }
        }
    }

    /// What the next element holds if it has this tag.
    pub(super) fn take_if(&mut self, tag: u8) -> Result<Option<&'a [u8]>, DerError> {
        if self.rest.first() == Some(&tag) { self.take(tag).map(Some) } else { Ok(None) }
    }

    /// The elements in the next one, which must have this tag.
    pub(super) fn enter(&mut self, expected: u8) -> Result<Der<'a>, DerError> {
        self.take(expected).map(Der::new)
    }

    /// The elements in the next one if it has this tag.
    pub(super) fn enter_if(&mut self, tag: u8) -> Result<Option<Der<'a>>, DerError> {
        Ok(self.take_if(tag)?.map(Der::new))
    }
}

/// An object identifier as numbers with dots between them. X.690, 8.19.
pub(super) fn dotted(identifier: &[u8]) -> Result<String, DerError> {
    let whole = identifier.last().is_some_and(|byte| byte & 0x80 == 0);
    if !whole || identifier.len() > IDENTIFIER_BYTES_MAX {
        return Err(DerError::Identifier);
    }
    let mut text = String::new();
    let (mut number, mut begins) = (0_u64, true);
    for byte in identifier {
        // A leading zero digit would be a second way to write the same number.
        if (begins && *byte == 0x80) || number >> 57 != 0 {
            return Err(DerError::Identifier);
        }
        number = number << 7 | u64::from(byte & 0x7f);
        begins = byte & 0x80 == 0;
        if !begins {
            continue;
        }
        let number = std::mem::take(&mut number);
        // The first two numbers stand in one. Writing to a text cannot fail.
        let _ = match text.is_empty() {
            true if number < 80 => write!(text, "{}.{}", number / 40, number % 40),
            true => write!(text, "2.{}", number - 80),
            false => write!(text, ".{number}"),
        };
    }
    Ok(text)
}
