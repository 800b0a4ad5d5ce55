//! Segment files: a header, then frames of `[u32 length][u32 crc32c][payload]`, little endian.
//!
//! A segment is named after its first sequence. Its header holds the edge of the tree over everything before it, so that
//! a segment can be continued and proved without the ones before. What must never happen: a damaged frame taken for the
//! torn end that a crash leaves, since the one is told and the other is cut.

use std::io::{self, BufReader, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::encode::{RECORD_BYTES_MAX, sequence_of};
use crate::storage::Storage;
use crate::tree::{Hash, Tree};

/// Length and checksum before each payload, bytes.
pub(crate) const FRAME_HEAD_BYTES: usize = 8;

/// Version of the format.
const FORMAT: u32 = 1;

/// First record of each segment; has no sequence and is no leaf of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    weir_log: u32,
    /// Name of the log; the same as that of its key.
    pub(crate) log: String,
    /// Sequence of the first record.
    pub(crate) first: u64,
    /// The segment before failed: what it holds from `first` on was never acknowledged and is written here instead.
    pub(crate) after_failure: bool,
    /// Edge of the tree over all records before `first`, base64.
    edge: Vec<String>,
    /// Who wrote it.
    pub(crate) product: String,
}

impl Header {
    pub(crate) fn new(log: &str, before: &Tree, after_failure: bool, product: &str) -> Header {
        Header {
            weir_log: FORMAT,
            log: log.to_owned(),
            first: before.size() + 1,
            after_failure,
            edge: before.edge().iter().map(|hash| STANDARD.encode(hash)).collect(),
            product: product.to_owned(),
        }
    }

    pub(crate) fn to_frame(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut out = vec![0; FRAME_HEAD_BYTES];
        serde_json::to_writer(&mut out, self)?;
        seal_frames(&mut out);
        Ok(out)
    }

    /// Reads a header and the tree before it.
    pub(crate) fn decode(payload: &[u8], log: Option<&str>, first: u64) -> Result<(Header, Tree), String> {
        let header: Header = serde_json::from_slice(payload).map_err(|error| format!("header: {error}"))?;
        if header.weir_log != FORMAT {
            return Err(format!("format {} is not known to this version", header.weir_log));
        }
        if let Some(log) = log.filter(|log| header.log != *log) {
            return Err(format!("belongs to log `{}`, not to `{log}`", header.log));
        }
        if header.first != first {
            return Err(format!("the header says that it begins at {}, the name says {first}", header.first));
        }
        let hash = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let edge: Option<Vec<Hash>> = header.edge.iter().map(hash).collect();
        let tree = edge.and_then(|edge| Tree::from_parts(first.checked_sub(1)?, edge));
        tree.map(|tree| (header, tree)).ok_or_else(|| "the tree in the header has a wrong shape".to_owned())
    }
}

/// File name of the segment that begins with this sequence.
pub(crate) fn file_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// Segments in order: first sequence and file name.
pub(crate) fn segments(storage: &dyn Storage) -> io::Result<Vec<(u64, String)>> {
    let mut found: Vec<(u64, String)> =
        storage.list()?.into_iter().filter_map(|name| Some((first_of(&name)?, name))).collect();
    found.sort();
    Ok(found)
}

fn first_of(name: &str) -> Option<u64> {
    let first = name.strip_suffix(".log").filter(|digits| digits.len() == 20)?.parse().ok()?;
    (file_name(first) == name).then_some(first)
}

/// Begins a frame; the payload is to be appended, then [`end_frame`].
pub(crate) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
    at
}

/// Notes the length of the frame that begins at `at`; its checksum comes with [`seal_frames`], outside of locks.
pub(crate) fn end_frame(out: &mut [u8], at: usize) {
    // Payloads are bounded by RECORD_BYTES_MAX, far below 2^32.
    let length = u32::try_from(out.len() - at - FRAME_HEAD_BYTES).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
}

/// Fills in the checksums; a single frame may also lack its length.
pub(crate) fn seal_frames(frames: &mut [u8]) {
    if word(frames) == 0 {
        end_frame(frames, 0);
    }
    let mut at = 0;
    while let Some(payload) = payload_at(frames, at) {
        let end = at + FRAME_HEAD_BYTES + payload.len();
        let checksum = crc32c::crc32c(payload).to_le_bytes();
        frames[at + 4..at + FRAME_HEAD_BYTES].copy_from_slice(&checksum);
        at = end;
    }
}

/// Payloads of frames that this process made.
pub(crate) fn payloads(frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let payload = payload_at(frames, at)?;
        at += FRAME_HEAD_BYTES + payload.len();
        Some(payload)
    })
}

fn payload_at(frames: &[u8], at: usize) -> Option<&[u8]> {
    let head = frames.get(at..at + FRAME_HEAD_BYTES)?;
    let length = usize::try_from(word(head)).ok()?;
    frames.get(at + FRAME_HEAD_BYTES..)?.get(..length)
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// What comes next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A whole frame with a right checksum.
    Payload(Vec<u8>),
    /// The file ends after a whole frame.
    End,
    /// The file ends within a frame, or in zeros: what a crash leaves. The bytes, without the zeros.
    Torn { rest: Vec<u8>, bytes: u64 },
    /// Neither: somebody or something changed the file.
    Damaged(String),
}

/// Reads frames one by one.
pub(crate) struct Frames<R> {
    input: BufReader<R>,
    /// Where the next frame begins, bytes from the start of the file.
    pub(crate) offset: u64,
}

impl<R: Read> Frames<R> {
    pub(crate) fn new(input: R) -> Self {
        Frames::at(input, 0)
    }

    /// From an input that begins at this offset of the file.
    pub(crate) fn at(input: R, offset: u64) -> Self {
        Frames { input: BufReader::with_capacity(64 << 10, input), offset }
    }

    pub(crate) fn next(&mut self) -> io::Result<Next> {
        let mut head = [0; FRAME_HEAD_BYTES];
        let read = self.fill(&mut head)?;
        if read == 0 {
            return Ok(Next::End);
        }
        if read < FRAME_HEAD_BYTES {
            return Ok(torn(head[..read].to_vec()));
        }
        let length = usize::try_from(word(&head)).unwrap_or(usize::MAX);
        if length == 0 {
            return self.zeros(head.to_vec());
        }
        if length > RECORD_BYTES_MAX {
            return Ok(Next::Damaged(format!("a frame of {length} bytes is longer than any record")));
        }
        let mut payload = vec![0; length];
        let read = self.fill(&mut payload)?;
        if read < length {
            let frame = [&head, &payload[..read]].concat();
            // A length that was changed also leads beyond the end, but then whole records follow.
            return Ok(if holds_record(&frame) {
                Next::Damaged("a frame leads beyond the end of the file, but whole records follow it".to_owned())
            } else {
                torn(frame)
            });
        }
        if word(&head[4..]) != crc32c::crc32c(&payload) {
            return Ok(Next::Damaged("the checksum is wrong".to_owned()));
        }
        // Neither conversion can fail: both are below 2^21.
        self.offset += u64::try_from(FRAME_HEAD_BYTES + length).unwrap_or(0);
        Ok(Next::Payload(payload))
    }

    /// Reads until `bytes` is full or the file ends; how many were read.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.input.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// A file that ends in zeros was lengthened by a crash before its bytes were written.
    fn zeros(&mut self, head: Vec<u8>) -> io::Result<Next> {
        let mut bytes = 0;
        let mut chunk = head;
        while !chunk.is_empty() {
            if chunk.iter().any(|byte| *byte != 0) {
                return Ok(Next::Damaged("a frame of no bytes".to_owned()));
            }
            bytes += u64::try_from(chunk.len()).unwrap_or(0);
            chunk.resize(4096, 0);
            let read = self.fill(&mut chunk)?;
            chunk.truncate(read);
        }
        Ok(Next::Torn { rest: Vec::new(), bytes })
    }
}

fn torn(rest: Vec<u8>) -> Next {
    Next::Torn { bytes: u64::try_from(rest.len()).unwrap_or(0), rest }
}

/// Whether a whole record stands somewhere behind the head of this broken frame.
fn holds_record(broken: &[u8]) -> bool {
    (1..broken.len()).any(|at| {
        payload_at(broken, at)
            .is_some_and(|payload| sequence_of(payload).is_some() && word(&broken[at + 4..]) == crc32c::crc32c(payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for payload in payloads {
            let at = begin_frame(&mut out);
            out.extend_from_slice(payload);
            end_frame(&mut out, at);
        }
        seal_frames(&mut out);
        out
    }

    #[test]
    fn a_cut_is_torn_and_a_change_is_damage() {
        let whole = frames(&[b"{\"seq\":1,}", b"{\"seq\":2,}"]);
        let first = whole.len() / 2;
        for length in 0..=whole.len() {
            let mut read = Frames::new(&whole[..length]);
            let mut last = read.next().unwrap();
            while let Next::Payload(_) = last {
                last = read.next().unwrap();
            }
            let expected =
                if length % first == 0 { Next::End } else { torn(whole[length - length % first..length].to_vec()) };
            assert_eq!(last, expected, "cut at {length}");
        }
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                let mut read = Frames::new(&changed[..]);
                let mut next = read.next().unwrap();
                if at >= first {
                    assert!(matches!(next, Next::Payload(_)));
                    next = read.next().unwrap();
                }
                // Only the length of the last frame may look like a torn end.
                let excused = at >= first && at < first + 4 && matches!(next, Next::Torn { .. });
                assert!(excused || matches!(next, Next::Damaged(_)), "bit {bit} of byte {at}: {next:?}");
            }
        }
    }

    #[test]
    fn zeros_at_the_end_are_a_crash() {
        let mut bytes = frames(&[b"{\"seq\":1,}"]);
        bytes.extend_from_slice(&[0; 10_000]);
        let mut read = Frames::new(&bytes[..]);
        assert!(matches!(read.next().unwrap(), Next::Payload(_)));
        assert_eq!(read.next().unwrap(), Next::Torn { rest: Vec::new(), bytes: 10_000 });
        *bytes.last_mut().unwrap() = 1;
        let mut read = Frames::new(&bytes[..]);
        assert!(matches!(read.next().unwrap(), Next::Payload(_)));
        assert!(matches!(read.next().unwrap(), Next::Damaged(_)));
    }

    #[test]
    fn only_our_names_are_segments() {
        assert_eq!(first_of(&file_name(7)), Some(7));
        for name in
            ["7.log", "+0000000000000000007.log", "00000000000000000007.log.new", "99999999999999999999.log", "keys"]
        {
            assert_eq!(first_of(name), None, "{name}");
        }
    }
}
