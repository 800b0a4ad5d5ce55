//! Changes inputs: bytes, words, and whole frames where an input is made of frames.

use crate::conversation::{SIDE_BIT, frame_len};
use crate::mysql_conversation::packet_len;
use crate::rng::Rng;

/// How inputs are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Any bytes.
    Bytes,
    /// Frames of the protocol, one behind the other.
    Frames,
    /// Frames, each behind a byte that says who sends it.
    Conversation,
    /// MySQL's packets behind a byte that says what was agreed on.
    Packets,
    /// The same, each packet behind a byte that says who sends it.
    PacketConversation,
}

impl Form {
    /// Bytes in front of the first item.
    fn prefix(self) -> usize {
        usize::from(matches!(self, Form::Packets | Form::PacketConversation))
    }

    /// Bytes of an item in front of its frame.
    fn head(self) -> usize {
        usize::from(matches!(self, Form::Conversation | Form::PacketConversation))
    }

    /// Where the kind of a message stands in its frame.
    fn kind_at(self) -> usize {
        if self.prefix() == 1 { 4 } else { 0 }
    }

    fn frame_len(self, input: &[u8]) -> usize {
        if self.prefix() == 1 { packet_len(input) } else { frame_len(input) }
    }

    /// Writes the length that an item has into its frame.
    fn repair(self, item: &mut [u8]) {
        let head = self.head();
        if self.prefix() == 1 {
            let len = u32::try_from(item.len().saturating_sub(head + 4)).unwrap_or(u32::MAX);
            if let Some(field) = item.get_mut(head..head + 3) {
                field.copy_from_slice(&len.to_le_bytes()[..3]);
            }
            return;
        }
        let len = u32::try_from(item.len().saturating_sub(head + 1)).unwrap_or(u32::MAX);
        if let Some(field) = item.get_mut(head + 1..head + 5) {
            field.copy_from_slice(&len.to_be_bytes());
        }
    }
}

/// Numbers that lengths and counts go wrong at.
const EDGES: &[i32] =
    &[0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 127, 128, 255, 256, 32_767, 65_535, 65_536, 1 << 24, i32::MAX, i32::MIN, -1, -2];

/// Changes one input a few times.
#[derive(Debug)]
pub struct Mutator<'t> {
    /// How inputs are built.
    pub form: Form,
    /// Words to put in.
    pub dictionary: &'t [&'t [u8]],
    /// Longest result, bytes.
    pub bytes_max: usize,
}

impl Mutator<'_> {
    /// A changed copy. `other` is an input to take parts from.
    pub fn change(&self, input: &[u8], other: &[u8], rng: &mut Rng) -> Vec<u8> {
        const CHANGES_MAX: usize = 6;
        let mut out = input.to_vec();
        for _ in 0..=rng.below(CHANGES_MAX) {
            if self.form != Form::Bytes && rng.one_in(2) {
                self.change_frames(&mut out, other, rng);
            } else {
                self.change_bytes(&mut out, other, rng);
            }
        }
        // Most lengths should be right, or no input gets far.
        if self.form != Form::Bytes && !rng.one_in(4) {
            out = self.repaired(&out);
        }
        out.truncate(self.bytes_max);
        out
    }

    fn change_bytes(&self, out: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
        let at = rng.below(out.len() + 1);
        let run = |rng: &mut Rng, len: usize| {
            let most = if rng.one_in(8) { 256 } else { 8 };
            (1 + rng.below(most)).min(len)
        };
        let end = at + run(rng, out.len() - at);
        match rng.below(12) {
            0 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            1 => {
                let byte = rng.byte();
                if let Some(known) = out.get_mut(at) {
                    *known = byte;
                }
            }
            2 | 3 => drop(out.drain(at..end)),
            4 => {
                let copy = out[at..end].to_vec();
                let to = rng.below(out.len() + 1);
                out.splice(to..to, copy);
            }
            5 => {
                let copy = out[at..end].to_vec();
                let most = if rng.one_in(16) { 400 } else { 4 };
                out.splice(at..at, copy.repeat(1 + rng.below(most)));
            }
            6 => {
                let edge = rng.pick(EDGES).copied().unwrap_or(0);
                let edge = if self.form.prefix() == 1 { edge.to_le_bytes() } else { edge.to_be_bytes() };
                let edge = if rng.one_in(2) { &edge[..] } else { &edge[2..] };
                let end = (at + edge.len()).min(out.len());
                out.splice(at..end, edge.iter().copied());
            }
            7 => {
                let from = rng.below(other.len() + 1);
                let to = from + run(rng, other.len() - from);
                out.splice(at..end, other[from..to].iter().copied());
            }
            8 => {
                let from = rng.below(other.len() + 1);
                out.truncate(at);
                out.extend_from_slice(&other[from..]);
            }
            _ => {
                let word = rng.pick(self.dictionary).copied().unwrap_or_default().to_vec();
                let end = if rng.one_in(3) { end } else { at };
                out.splice(at..end, word);
            }
        }
    }

    fn change_frames(&self, out: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
        let mut items = self.items(out);
        let others = self.items(other);
        let at = rng.below(items.len() + 1);
        match rng.below(8) {
            0 if at < items.len() => drop(items.remove(at)),
            1 if at < items.len() => {
                let copy = items[at].clone();
                items.insert(rng.below(items.len() + 1), copy);
            }
            2 if at < items.len() => {
                let with = rng.below(items.len());
                items.swap(at, with);
            }
            3 | 4 => {
                if let Some(item) = rng.pick(&others) {
                    items.insert(at, item.clone());
                }
            }
            5 if at < items.len() => {
                let to = rng.below(items.len() + 1);
                items.truncate(to.max(1));
                items.extend(others.into_iter().skip(rng.below(4)));
            }
            6 if at < items.len() => {
                let kind = self.form.head() + self.form.kind_at();
                let word = rng.pick(self.dictionary).and_then(|word| word.first()).copied().unwrap_or(b'Q');
                if let Some(byte) = items[at].get_mut(kind) {
                    *byte = word;
                }
            }
            _ if self.form.head() == 1 && at < items.len() => {
                if let Some(direction) = items[at].first_mut() {
                    *direction ^= SIDE_BIT;
                }
            }
            _ => {}
        }
        out.truncate(self.form.prefix());
        out.extend(items.concat());
    }

    /// The input cut at its frames.
    fn items(&self, input: &[u8]) -> Vec<Vec<u8>> {
        let mut input = input.get(self.form.prefix()..).unwrap_or_default();
        let head = self.form.head();
        let mut items = Vec::new();
        while !input.is_empty() {
            let rest = input.get(head..).unwrap_or_default();
            let (item, later) = input.split_at((head + self.form.frame_len(rest)).min(input.len()));
            items.push(item.to_vec());
            input = later;
        }
        items
    }

    /// The same frames with lengths that fit their bodies.
    fn repaired(&self, input: &[u8]) -> Vec<u8> {
        let mut items = self.items(input);
        for item in &mut items {
            self.form.repair(item);
        }
        let prefix = input.get(..self.form.prefix()).unwrap_or_default();
        [prefix, &items.concat()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Script;

    #[test]
    fn the_same_seed_changes_the_same_way_and_stays_in_bounds() {
        let conversation = Script::new().query("select 1").described().rows(2).complete("SELECT 2").ready(b'I').done();
        // Each form changes what has that form.
        let frame = |kind: u8, body: &[u8]| {
            let len = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
            [&[kind][..], &len, body].concat()
        };
        let frames = [
            frame(b'P', b"s\0select 1\0\0\0"),
            frame(b'B', b"p\0s\0\0\0\0\0\0\0"),
            frame(b'D', b"Pp\0"),
            frame(b'E', b"p\0\0\0\0\0"),
            frame(b'C', b"Ss\0"),
            frame(b'S', b""),
            frame(b'Q', b"select 22\0"),
        ]
        .concat();
        let packets: Vec<u8> = (0..9_u8).flat_map(|len| [&[len, 0, 0, 0][..], &vec![3; len.into()]].concat()).collect();
        let sided: Vec<u8> =
            (0..9_u8).flat_map(|len| [&[b'>', len, 0, 0, 0][..], &vec![3; len.into()]].concat()).collect();
        for form in [Form::Bytes, Form::Frames, Form::Conversation, Form::Packets, Form::PacketConversation] {
            let input = match form {
                Form::Frames => frames.clone(),
                Form::Packets => [&[7], packets.as_slice()].concat(),
                Form::PacketConversation => [&[7], sided.as_slice()].concat(),
                Form::Bytes | Form::Conversation => conversation.clone(),
            };
            let mutator = Mutator { form, dictionary: &[b"word"], bytes_max: 300 };
            let run = |seed| {
                let mut rng = Rng::new(seed);
                (0..500).map(|_| mutator.change(&input, &input, &mut rng)).collect::<Vec<_>>()
            };
            assert_eq!(run(3), run(3));
            assert!(run(3).iter().all(|changed| changed.len() <= 300));
            let distinct: std::collections::BTreeSet<_> = run(3).into_iter().collect();
            assert!(distinct.len() > 450, "{form:?} gives {} different inputs of 500", distinct.len());
        }
    }

    #[test]
    fn empty_inputs_can_be_changed_too() {
        let mutator = Mutator { form: Form::Conversation, dictionary: &[b">Q"], bytes_max: 300 };
        let mut rng = Rng::new(1);
        assert!((0..100).any(|_| !mutator.change(&[], &[], &mut rng).is_empty()));
    }
}
