//! Packets: a length of three bytes, a sequence id, the payload; and what joins them to a payload of 16 MiB or more.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>
//!
//! A packet whose payload has exactly [`PAYLOAD_MAX`] bytes is continued by the next one, and an empty packet ends a
//! chain whose last part is exactly that long. All parts together are one *logical* packet.
//!
//! INVARIANT: a length is judged at its header, before any byte of the payload is waited for or stored, and the sum
//! of a chain is judged at each header. No count that a peer sends leads to an allocation here.

use std::borrow::Cow;

use crate::refusal::{WireError, WireSide};

/// Bytes of length and sequence id.
pub const HEADER_LEN: usize = 4;
/// Longest payload of one packet in bytes; one that is exactly so long goes on in the next packet.
pub const PAYLOAD_MAX: usize = 0xFF_FFFF;

/// How errors of framing name a packet whose kind is not known.
pub const KIND_UNKNOWN: char = '?';

/// Length and sequence id of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the payload in bytes.
    pub payload_len: usize,
    /// Sequence id.
    pub seq: u8,
    /// Length of the packet in bytes, with its header.
    pub frame_len: usize,
}

impl Header {
    /// Reads the header of one packet, or `None` when fewer than four bytes are there. The error names the client; see
    /// [`Header::read_from`]. `max` bounds the payload in bytes.
    ///
    /// # Errors
    /// A payload beyond `max`.
    #[inline]
    pub fn read(input: &[u8], max: usize) -> Result<Option<Header>, WireError> {
        Header::read_from(input, max, WireSide::Client)
    }

    /// Like [`Header::read`], naming the side in the error.
    ///
    /// # Errors
    /// A payload beyond `max`.
    #[inline]
    pub fn read_from(input: &[u8], max: usize, side: WireSide) -> Result<Option<Header>, WireError> {
        let Some([low, middle, high, seq]) = input.first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let payload_len = usize::from(*low) | usize::from(*middle) << 8 | usize::from(*high) << 16;
        if payload_len > max {
            return Err(WireError::TooLong { side, kind: KIND_UNKNOWN, length: payload_len, max });
        }
        Ok(Some(Header { payload_len, seq: *seq, frame_len: payload_len + HEADER_LEN }))
    }

    /// Whether the next packet continues this one.
    #[inline]
    pub fn is_continued(&self) -> bool {
        self.payload_len == PAYLOAD_MAX
    }
}

/// One whole logical packet at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'b> {
    /// Sequence id of its first part.
    pub seq: u8,
    /// Sequence id of its last part; the answer begins with the next one.
    pub seq_last: u8,
    /// Length in bytes with all headers.
    pub frame_len: usize,
    raw: &'b [u8],
}

/// What stands at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan<'b> {
    /// Not whole yet: the length in bytes that is known to be needed, 0 while not even that is known.
    More(usize),
    /// A whole logical packet.
    Whole(Packet<'b>),
}

impl<'b> Packet<'b> {
    /// Looks for a whole logical packet. `max` bounds its payload in bytes, all parts together.
    ///
    /// # Errors
    /// A payload beyond `max`, or parts of one chain that are not numbered in order.
    pub fn scan(input: &'b [u8], max: usize, side: WireSide) -> Result<Scan<'b>, WireError> {
        let Some(first) = Header::read_from(input, max, side)? else { return Ok(Scan::More(0)) };
        let mut part = first;
        let mut payload_len = first.payload_len;
        let mut frame_len = first.frame_len;
        while part.is_continued() {
            let Some(header) = input.get(frame_len..) else { return Ok(Scan::More(frame_len + HEADER_LEN)) };
            let Some(next) = Header::read_from(header, usize::MAX, side)? else {
                return Ok(Scan::More(frame_len + HEADER_LEN));
            };
            // Both servers end the connection over a number that is out of order, also inside a chain.
            if next.seq != part.seq.wrapping_add(1) {
                return Err(WireError::Malformed { side, kind: KIND_UNKNOWN, what: "continuation out of order" });
            }
            payload_len = payload_len.saturating_add(next.payload_len);
            if payload_len > max {
                return Err(WireError::TooLong { side, kind: KIND_UNKNOWN, length: payload_len, max });
            }
            frame_len = frame_len.saturating_add(next.frame_len);
            part = next;
        }
        let Some(raw) = input.get(..frame_len) else { return Ok(Scan::More(frame_len)) };
        Ok(Scan::Whole(Packet { seq: first.seq, seq_last: part.seq, frame_len, raw }))
    }

    /// The packet as it came, with all headers.
    #[inline]
    pub fn raw(&self) -> &'b [u8] {
        self.raw
    }

    /// The payload without headers; only a chain is copied.
    pub fn payload(&self) -> Cow<'b, [u8]> {
        if self.frame_len < PAYLOAD_MAX + HEADER_LEN {
            return Cow::Borrowed(self.raw.get(HEADER_LEN..).unwrap_or(&[]));
        }
        let mut joined = Vec::with_capacity(self.frame_len);
        for part in self.raw.chunks(PAYLOAD_MAX + HEADER_LEN) {
            joined.extend_from_slice(part.get(HEADER_LEN..).unwrap_or(&[]));
        }
        Cow::Owned(joined)
    }

    /// The part of the payload that lies in one piece at its start: all of it unless the packet is a chain.
    #[inline]
    pub fn head(&self) -> &'b [u8] {
        self.raw.get(HEADER_LEN..self.raw.len().min(PAYLOAD_MAX + HEADER_LEN)).unwrap_or(&[])
    }
}

/// Appends a payload as one packet, or as a chain where it is [`PAYLOAD_MAX`] bytes or longer. Returns the sequence id
/// that follows.
pub fn put_packet(out: &mut Vec<u8>, seq: u8, payload: &[u8]) -> u8 {
    let mut seq = seq;
    let mut rest = payload;
    loop {
        let (part, after) = rest.split_at(rest.len().min(PAYLOAD_MAX));
        put_header(out, part.len(), seq);
        out.extend_from_slice(part);
        seq = seq.wrapping_add(1);
        rest = after;
        if part.len() < PAYLOAD_MAX {
            return seq;
        }
    }
}

/// Appends the header of a packet whose payload has `len` bytes, at most [`PAYLOAD_MAX`].
fn put_header(out: &mut Vec<u8>, len: usize, seq: u8) {
    let [low, middle, high, ..] = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    out.extend_from_slice(&[low, middle, high, seq]);
}

/// Numbers whole packets anew, the first with `seq`. Returns the sequence id that follows. Whatever is not whole at the
/// end keeps its number.
pub fn renumber(packets: &mut [u8], seq: u8) -> u8 {
    let mut seq = seq;
    let mut rest = packets;
    while let Ok(Some(header)) = Header::read(rest, usize::MAX) {
        if rest.len() < header.frame_len {
            break;
        }
        if let Some(number) = rest.get_mut(HEADER_LEN - 1) {
            *number = seq;
        }
        seq = seq.wrapping_add(1);
        rest = rest.get_mut(header.frame_len..).unwrap_or(&mut []);
    }
    seq
}

/// Reads a payload field by field; every read is checked.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'b> {
    rest: &'b [u8],
}

impl<'b> Fields<'b> {
    /// Over a payload.
    #[inline]
    pub fn new(payload: &'b [u8]) -> Fields<'b> {
        Fields { rest: payload }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Three bytes, little-endian.
    #[inline]
    pub fn u24(&mut self) -> Option<u32> {
        self.array::<3>().map(|[low, middle, high]| u32::from_le_bytes([low, middle, high, 0]))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// So many bytes as the array has.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*bytes)
    }

    /// A length-encoded integer. 0xFB (NULL) and 0xFF are none, and all eight bytes of the longest form count: where
    /// a server reads only four of them, a length that differs is longer than any payload and is refused as such.
    #[inline]
    pub fn lenenc(&mut self) -> Option<u64> {
        match self.u8()? {
            short @ 0..=0xFA => Some(u64::from(short)),
            0xFC => self.u16().map(u64::from),
            0xFD => self.u24().map(u64::from),
            0xFE => self.u64(),
            0xFB | 0xFF => None,
        }
    }

    /// Bytes behind their length-encoded length.
    #[inline]
    pub fn lenenc_bytes(&mut self) -> Option<&'b [u8]> {
        let len = usize::try_from(self.lenenc()?).ok()?;
        self.bytes(len)
    }

    /// A value of a text row: 0xFB for NULL, else bytes behind their length.
    #[inline]
    pub fn lenenc_value(&mut self) -> Option<Option<&'b [u8]>> {
        if self.peek()? == 0xFB {
            self.u8()?;
            return Some(None);
        }
        self.lenenc_bytes().map(Some)
    }

    /// A string up to its NUL, which is skipped.
    #[inline]
    pub fn cstr(&mut self) -> Option<&'b [u8]> {
        let end = self.rest.iter().position(|byte| *byte == 0)?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..)?;
        Some(text)
    }

    /// A string up to its NUL or, where there is none, up to the end.
    #[inline]
    pub fn cstr_or_rest(&mut self) -> &'b [u8] {
        self.cstr().unwrap_or_else(|| self.take_rest())
    }

    /// So many bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(bytes)
    }

    /// The next byte, not consumed.
    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// What is left, not consumed.
    #[inline]
    pub fn rest(&self) -> &'b [u8] {
        self.rest
    }

    /// What is left, consumed.
    #[inline]
    pub fn take_rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Whether all was read.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Appends a length-encoded integer in its shortest form.
pub fn put_lenenc(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    let (marker, width) = match value {
        0..=0xFA => (None, 1),
        0xFB..=0xFFFF => (Some(0xFC), 2),
        0x1_0000..=0xFF_FFFF => (Some(0xFD), 3),
        _ => (Some(0xFE), 8),
    };
    out.extend(marker);
    out.extend_from_slice(bytes.get(..width).unwrap_or(&bytes));
}

/// Appends bytes behind their length-encoded length.
pub fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 64 << 20;

    fn scan(input: &[u8]) -> Result<Scan<'_>, WireError> {
        Packet::scan(input, MAX, WireSide::Upstream)
    }

    fn whole(input: &[u8]) -> Packet<'_> {
        match scan(input) {
            Ok(Scan::Whole(packet)) => packet,
            other => panic!("not whole: {other:?}"),
        }
    }

    #[test]
    fn header_reads_little_endian_and_is_judged_before_the_payload() {
        assert_eq!(Header::read(&[3, 2, 1], MAX), Ok(None));
        let header = Header { payload_len: 0x01_0203, seq: 9, frame_len: 0x01_0207 };
        assert_eq!(Header::read(&[3, 2, 1, 9], MAX), Ok(Some(header)));
        let error = Header::read(&[3, 2, 1, 9], 0x01_0202).unwrap_err();
        assert_eq!(error.side(), WireSide::Client);
        assert_eq!(Header::read(&[3, 2, 1, 9], 0x01_0203), Ok(Some(header)));
    }

    /// The four lengths around the border, each as a chain of the right number of parts, read back whole and from every
    /// interesting prefix.
    #[test]
    fn chains_at_the_border_of_16_mib() {
        for (len, parts) in [(PAYLOAD_MAX - 1, 1), (PAYLOAD_MAX, 2), (PAYLOAD_MAX + 1, 2), (2 * PAYLOAD_MAX, 3)] {
            let payload: Vec<u8> = (0..len).map(|index| u8::try_from(index % 251).unwrap()).collect();
            let mut out = Vec::new();
            let next = put_packet(&mut out, 254, &payload);
            assert_eq!(next, 254_u8.wrapping_add(parts));
            assert_eq!(out.len(), len + usize::from(parts) * HEADER_LEN);
            let packet = whole(&out);
            assert_eq!((packet.seq, packet.seq_last), (254, next.wrapping_sub(1)));
            assert_eq!(packet.frame_len, out.len());
            assert!(packet.payload() == payload, "a payload of {len} bytes is not what was put");
            assert_eq!(packet.head().len(), len.min(PAYLOAD_MAX));
            for end in [out.len() - 1, out.len() - HEADER_LEN, PAYLOAD_MAX + HEADER_LEN + 2, HEADER_LEN] {
                let end = end.min(out.len() - 1);
                match scan(&out[..end]) {
                    Ok(Scan::More(needed)) => assert!(needed > end && needed <= out.len()),
                    other => panic!("{end} of {len} bytes: {other:?}"),
                }
            }
            assert!(matches!(Packet::scan(&out, len - 1, WireSide::Client), Err(WireError::TooLong { .. })));
            assert!(matches!(Packet::scan(&out, len, WireSide::Client), Ok(Scan::Whole(_))));
        }
    }

    #[test]
    fn a_chain_out_of_order_is_refused() {
        let mut out = Vec::new();
        put_packet(&mut out, 0, &vec![7; PAYLOAD_MAX]);
        out[PAYLOAD_MAX + HEADER_LEN + 3] = 2;
        assert!(matches!(scan(&out), Err(WireError::Malformed { what: "continuation out of order", .. })));
    }

    #[test]
    fn renumbering_goes_through_every_whole_packet() {
        let mut out = Vec::new();
        for payload in [b"a".as_slice(), b"", b"ccc"] {
            put_packet(&mut out, 0, payload);
        }
        out.extend_from_slice(&[9, 0, 0, 77, 1]);
        assert_eq!(renumber(&mut out, 255), 2);
        assert_eq!((out[3], out[8], out[12], out[19]), (255, 0, 1, 77));
    }

    #[test]
    fn lengths_that_are_none() {
        for lie in [&[0xFB][..], &[0xFF], &[0xFC, 1], &[0xFE, 0, 0, 0, 0, 1, 0, 0, 0], &[5, 1, 2]] {
            assert_eq!(Fields::new(lie).lenenc_bytes(), None, "{lie:?}");
        }
        assert_eq!(Fields::new(&[0xFB]).lenenc_value(), Some(None));
        assert_eq!(Fields::new(&[0xFF]).lenenc_value(), None);
        assert_eq!(Fields::new(b"ab").cstr(), None);
        assert_eq!(Fields::new(b"ab").cstr_or_rest(), b"ab");
    }

    proptest! {
        #[test]
        fn length_encoded_integers_come_back(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let mut out = Vec::new();
            put_lenenc(&mut out, value);
            let mut fields = Fields::new(&out);
            prop_assert_eq!(fields.lenenc(), Some(value));
            prop_assert!(fields.is_done());
        }

        #[test]
        fn small_packets_come_back(payload in prop::collection::vec(any::<u8>(), 0..300), seq: u8) {
            let mut out = Vec::new();
            prop_assert_eq!(put_packet(&mut out, seq, &payload), seq.wrapping_add(1));
            for end in 0..out.len() {
                prop_assert!(matches!(scan(&out[..end]), Ok(Scan::More(_))));
            }
            prop_assert!(whole(&out).payload() == payload);
        }

        #[test]
        fn any_bytes_are_read_within_their_bounds(input in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Scan::Whole(packet)) = scan(&input) {
                prop_assert!(packet.frame_len <= input.len());
            }
            let mut fields = Fields::new(&input);
            while fields.lenenc_value().is_some() {}
            prop_assert!(fields.rest().len() <= input.len());
        }
    }
}
