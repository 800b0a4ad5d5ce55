//! From the tree of values to typed raw forms, telling everything that is wrong on the way rather than the first.
//!
//! A serde deserializer over [`Node`]s of our own, since only it can say where a value stands and go on after an
//! error. The raw types derive what they expect; this file adds places ([`At`]), entries that may fail alone
//! ([`Lenient`]), mappings whose keys are names ([`Entries`]) and unknown keys with a suggestion.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::diagnostic::{Findings, listed, nearest, shown};
use super::node::{Kind, Node};
use crate::rule::Place;

/// Names by which our own types ask the decoder for more than serde has words for.
const AT: &str = "$at";
const LENIENT: &str = "$lenient";
const ONE_OR_MANY: &str = "$one-or-many";

/// Keys that a later version may have, or that an operator may look for: what to say instead of "unknown".
const NOT_IN_THIS_VERSION: [(&str, &str); 1] =
    [("certificate", "this version does not resolve client certificates: name the account, group or source instead")];

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) at: Place,
    pub(super) value: T,
}

/// An entry that may be wrong without keeping the others from being read. `None`: it was wrong, and that is told.
#[derive(Clone, Debug)]
pub(super) struct Lenient<T>(pub(super) Option<T>);

/// A mapping from names to things, in the order of the file; names may stand twice.
#[derive(Clone, Debug)]
pub(super) struct Entries<T>(pub(super) Vec<(At<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Entries<T> {
        Entries(Vec::new())
    }
}

/// One thing, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

/// Reads a raw form. `None`: it was wrong, and that is told.
pub(super) fn decode<T: for<'de> Deserialize<'de>>(node: &Node, findings: &Findings) -> Option<T> {
    match T::deserialize(Decoder { node, findings }) {
        Ok(value) => Some(value),
        Err(fault) => {
            fault.tell(node.at, findings);
            None
        }
    }
}

/// Why a value does not fit.
#[derive(Debug)]
pub(super) struct Fault {
    at: Option<Place>,
    message: String,
    hint: String,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { at: None, message: message.into(), hint: hint.into() }
    }

    fn within(mut self, at: Place) -> Fault {
        self.at.get_or_insert(at);
        self
    }

    fn tell(self, at: Place, findings: &Findings) {
        findings.error(self.at.unwrap_or(at), self.message, self.hint);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Fault {
        Fault::new(message.to_string(), "")
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        let expected = match expected.to_string().as_str() {
            "a sequence" => "a list".to_owned(),
            "a string" => "text".to_owned(),
            "u64" | "u32" => "a whole number".to_owned(),
            "a boolean" => "`true` or `false`".to_owned(),
            other => other.to_owned(),
        };
        let found_text = match found {
            Unexpected::Bool(value) => format!("`{value}`"),
            Unexpected::Unsigned(value) => format!("the number {value}"),
            Unexpected::Str(text) => shown(text),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Unit => "nothing".to_owned(),
            Unexpected::Other(text) => text.to_owned(),
            other => other.to_string(),
        };
        let hint = match (found, expected.as_str()) {
            (Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Other(_), "text") => "put it in quotes",
            (_, "a list") => "write [one, two], or a line with a dash for each",
            _ => "",
        };
        Fault::new(format!("expected {expected}, found {found_text}"), hint)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Fault {
        Fault::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Fault {
        let hint = nearest(variant, expected.iter().copied());
        let hint = hint.map_or_else(String::new, |known| format!("did you mean `{known}`?"));
        Fault::new(format!("{} is none of {}", shown(variant), listed(expected)), hint)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Fault {
        if let Some((_, hint)) = NOT_IN_THIS_VERSION.iter().find(|(name, _)| *name == field) {
            return Fault::new(format!("`{field}` is not in this version"), *hint);
        }
        let hint = match nearest(field, expected.iter().copied()) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("keys here are {}", listed(expected)),
        };
        Fault::new(format!("unknown key {}", shown(field)), hint)
    }

    fn missing_field(field: &'static str) -> Fault {
        Fault::new(format!("`{field}` is missing"), format!("add `{field}`"))
    }

    fn duplicate_field(field: &'static str) -> Fault {
        Fault::new(format!("`{field}` stands here twice"), "keep one of them")
    }
}

/// One value, to be read.
#[derive(Clone, Copy)]
struct Decoder<'de> {
    node: &'de Node,
    findings: &'de Findings,
}

impl<'de> Decoder<'de> {
    fn unexpected(&self) -> Unexpected<'de> {
        match &self.node.kind {
            Kind::Null => Unexpected::Unit,
            Kind::Bool(value) => Unexpected::Bool(*value),
            Kind::Number(value) => Unexpected::Unsigned(*value),
            Kind::OddNumber(text) => Unexpected::Other(text),
            Kind::Text(text) => Unexpected::Str(text),
            Kind::List(_) => Unexpected::Seq,
            Kind::Map(_) => Unexpected::Map,
        }
    }

    fn child(&self, node: &'de Node) -> Decoder<'de> {
        Decoder { node, findings: self.findings }
    }
}

impl<'de> de::Deserializer<'de> for Decoder<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.node.kind {
            Kind::Null => Err(Fault::new("there is a key without a value here", "give it a value, or remove the key")),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Number(value) => visitor.visit_u64(*value),
            Kind::OddNumber(_) => Err(de::Error::invalid_type(self.unexpected(), &visitor)),
            Kind::Text(text) => visitor.visit_str(text),
            Kind::List(nodes) => visitor.visit_seq(List { decoder: self, rest: nodes.iter() }),
            Kind::Map(entries) => visitor.visit_map(Map::new(self, entries, None)),
        };
        result.map_err(|fault: Fault| fault.within(self.node.at))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Fault> {
        match name {
            AT => visitor.visit_seq(Annotated { decoder: self, step: 0 }),
            LENIENT => visitor.visit_seq(Tried { decoder: self }),
            ONE_OR_MANY => match &self.node.kind {
                Kind::List(nodes) => visitor.visit_seq(List { decoder: self, rest: nodes.iter() }),
                _ => visitor.visit_newtype_struct(self),
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.kind {
            Kind::Map(entries) => {
                visitor.visit_map(Map::new(self, entries, Some(fields))).map_err(|fault| fault.within(self.node.at))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let result = match &self.node.kind {
            Kind::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => {
                let fault: Fault = de::Error::invalid_type(self.unexpected(), &OneOf(variants));
                Err(fault)
            }
        };
        result.map_err(|fault| fault.within(self.node.at))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// "one of these words", for a message.
struct OneOf(&'static [&'static str]);

impl de::Expected for OneOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", listed(self.0))
    }
}

struct List<'de> {
    decoder: Decoder<'de>,
    rest: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        let Some(node) = self.rest.next() else { return Ok(None) };
        seed.deserialize(self.decoder.child(node)).map(Some).map_err(|fault| fault.within(node.at))
    }
}

/// The entries of a mapping. With known fields, keys that are unknown or stand twice are told and left out.
struct Map<'de> {
    decoder: Decoder<'de>,
    entries: &'de [(Node, Node)],
    next: usize,
    fields: Option<&'static [&'static str]>,
    /// Fields that came, and their lines.
    seen: Vec<(&'de str, u64)>,
}

impl<'de> Map<'de> {
    fn new(decoder: Decoder<'de>, entries: &'de [(Node, Node)], fields: Option<&'static [&'static str]>) -> Map<'de> {
        Map { decoder, entries, next: 0, fields, seen: Vec::new() }
    }

    /// Whether an entry is of the struct; tells when it is not.
    fn belongs(&mut self, key: &'de str, at: Place) -> bool {
        let Some(fields) = self.fields else { return true };
        if !fields.contains(&key) {
            let fault: Fault = de::Error::unknown_field(key, fields);
            fault.tell(at, self.decoder.findings);
            return false;
        }
        if let Some((_, first)) = self.seen.iter().find(|(known, _)| *known == key) {
            let message = format!("{} stands here twice, first in line {first}", shown(key));
            self.decoder.findings.error(at, message, "keep one of them");
            return false;
        }
        self.seen.push((key, at.line));
        true
    }
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        while let Some((key, _)) = self.entries.get(self.next) {
            self.next += 1;
            if let Kind::Text(text) = &key.kind
                && !self.belongs(text, key.at)
            {
                continue;
            }
            return seed.deserialize(self.decoder.child(key)).map(Some).map_err(|fault| fault.within(key.at));
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let entry = self.next.checked_sub(1).and_then(|index| self.entries.get(index));
        let Some((_, value)) = entry else { return Err(Fault::new("a value without a key", "")) };
        seed.deserialize(self.decoder.child(value)).map_err(|fault| fault.within(value.at))
    }
}

/// Answers for [`At`]: line, column, value.
struct Annotated<'de> {
    decoder: Decoder<'de>,
    step: u8,
}

impl<'de> SeqAccess<'de> for Annotated<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        self.step = self.step.saturating_add(1);
        let at = self.decoder.node.at;
        match self.step {
            1 => seed.deserialize(at.line.into_deserializer()).map(Some),
            2 => seed.deserialize(at.column.into_deserializer()).map(Some),
            3 => seed.deserialize(self.decoder).map(Some).map_err(|fault| fault.within(at)),
            _ => Ok(None),
        }
    }
}

/// Answers for [`Lenient`]: the value, or a fault that has been told.
struct Tried<'de> {
    decoder: Decoder<'de>,
}

impl<'de> SeqAccess<'de> for Tried<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Fault> {
        seed.deserialize(self.decoder).map(Some).map_err(|fault| {
            let told = Fault::new(fault.message.clone(), "");
            fault.tell(self.decoder.node.at, self.decoder.findings);
            told
        })
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<At<T>, D::Error> {
        struct AtVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
            type Value = At<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
                let line = seq.next_element()?.ok_or_else(|| de::Error::custom("no line"))?;
                let column = seq.next_element()?.ok_or_else(|| de::Error::custom("no column"))?;
                let value = seq.next_element()?.ok_or_else(|| de::Error::custom("no value"))?;
                Ok(At { at: Place { line, column }, value })
            }
        }
        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
        struct LenientVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for LenientVisitor<T> {
            type Value = Lenient<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Lenient<T>, A::Error> {
                // The access has told the fault already.
                Ok(Lenient(seq.next_element().unwrap_or(None)))
            }
        }
        deserializer.deserialize_newtype_struct(LENIENT, LenientVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Entries<T>, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping from names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<OneOrMany<T>, D::Error> {
        struct OneOrManyVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_newtype_struct<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<OneOrMany<T>, D::Error> {
                Ok(OneOrMany(vec![T::deserialize(deserializer)?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany<T>, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_newtype_struct(ONE_OR_MANY, OneOrManyVisitor(PhantomData))
    }
}
