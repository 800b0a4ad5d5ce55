//! Message frames: one type byte, a length of four bytes that counts itself, the body.
//! <https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-MESSAGE-CONCEPTS>
//!
//! INVARIANT: a length is judged at its header, before any byte of the body is waited for or stored.

use crate::refusal::{WireError, WireSide};

/// Bytes of type and length.
pub const HEADER_LEN: usize = 5;

/// A frame's type and whole length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Type byte.
    pub kind: u8,
    /// Length in bytes with the header.
    pub frame_len: usize,
}

impl Header {
    /// Reads a header, or `None` when fewer than five bytes are there. The error names the client; see [`Header::from`].
    ///
    /// # Errors
    /// A length below 4 or beyond `max`.
    #[inline]
    pub fn read(input: &[u8], max: usize) -> Result<Option<Header>, WireError> {
        Header::read_from(input, max, WireSide::Client)
    }

    /// Like [`Header::read`], naming the side in the error.
    ///
    /// # Errors
    /// A length below 4 or beyond `max`.
    #[inline]
    pub fn read_from(input: &[u8], max: usize, side: WireSide) -> Result<Option<Header>, WireError> {
        let Some((kind, rest)) = input.split_first() else { return Ok(None) };
        let Some(bytes) = rest.first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*bytes);
        let kind_char = printable(*kind);
        let Ok(body) = usize::try_from(length) else {
            return Err(WireError::BadLength { side, kind: kind_char, length });
        };
        if body < 4 {
            return Err(WireError::BadLength { side, kind: kind_char, length });
        }
        if body > max {
            return Err(WireError::TooLong { side, kind: kind_char, length: body, max });
        }
        Ok(Some(Header { kind: *kind, frame_len: body + 1 }))
    }
}

/// One whole frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'b> {
    /// Type byte.
    pub kind: u8,
    /// Body without header.
    pub body: &'b [u8],
}

impl<'b> Frame<'b> {
    /// The frame at the start of `input`, which holds at least `header.frame_len` bytes.
    #[inline]
    pub fn of(input: &'b [u8], header: Header) -> Frame<'b> {
        Frame { kind: header.kind, body: input.get(HEADER_LEN..header.frame_len).unwrap_or(&[]) }
    }
}

/// A type byte for messages to people.
pub fn printable(kind: u8) -> char {
    if kind.is_ascii_graphic() { char::from(kind) } else { '?' }
}

/// Reads a body field by field; every read is checked.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    /// Over a message body.
    #[inline]
    pub fn new(body: &'b [u8]) -> Fields<'b> {
        Fields { rest: body }
    }

    /// A string up to its NUL.
    #[inline]
    pub fn cstr(&mut self) -> Option<&'b [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..)?;
        Some(text)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// Two bytes, big-endian.
    #[inline]
    pub fn i16(&mut self) -> Option<i16> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(i16::from_be_bytes(*bytes))
    }

    /// A count of two bytes. The server reads it unsigned where the manual says Int16.
    #[inline]
    pub fn count(&mut self) -> Option<u16> {
        let (bytes, rest) = self.rest.split_first_chunk::<2>()?;
        self.rest = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    /// Four bytes, big-endian.
    #[inline]
    pub fn i32(&mut self) -> Option<i32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(i32::from_be_bytes(*bytes))
    }

    /// Four bytes, big-endian, unsigned.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// So many bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A value with a length of four bytes, −1 for NULL.
    #[inline]
    pub fn value(&mut self) -> Option<Option<&'b [u8]>> {
        match self.i32()? {
            -1 => Some(None),
            len => Some(Some(self.bytes(usize::try_from(len).ok()?)?)),
        }
    }

    /// What is left.
    #[inline]
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// Whether all was read.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends a frame. Bodies that Weir builds are far below the limit of a length field; one that is not is cut to none.
pub fn put_frame(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let Ok(length) = i32::try_from(body.len().saturating_add(4)) else { return };
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
}
