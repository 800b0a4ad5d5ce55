//! The YAML text as a tree in which everything knows its place. Keys may stand twice here: whoever reads the tree
//! tells that with both places.
//!
//! INVARIANT: what one megabyte of text can grow to is bounded by the constants below, aliases included.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::options::DuplicateKeyPolicy;

use crate::rule::Place;

/// Deepest nesting of lists and mappings. A readable policy needs seven.
const DEPTH_MAX: usize = 32;
/// Most pieces of syntax in one file; a rule takes about fifty.
const EVENTS_MAX: usize = 200_000;
/// Most pieces that aliases (`*name`) may repeat in total.
const REPEATED_EVENTS_MAX: usize = 20_000;
/// Most aliases, and most anchors (`&name`).
const ALIASES_MAX: usize = 1_000;

/// What the parser's messages begin with when one of these bounds is passed.
const TOO_MUCH: [&str; 4] = ["budget breached", "recursion limit", "alias replay", "alias expansion"];

/// One value of the file.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Number(u64),
    /// A negative, fractional or enormous number, as text.
    OddNumber(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Reads a text.
///
/// # Errors
/// Where the text is no YAML or too much of it, why, and what to do.
pub(super) fn parse(text: &str) -> Result<Node, (Place, String, String)> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            flow_nesting_limit: DEPTH_MAX,
            max_events: EVENTS_MAX,
            max_nodes: EVENTS_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED_EVENTS_MAX,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        strict_booleans: true,
        reject_unsupported_tags: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let at = error.location().map_or(Place { line: 1, column: 1 }, place);
        let message = error.without_snippet().to_string();
        if TOO_MUCH.iter().any(|beginning| message.starts_with(beginning)) {
            let hint = format!(
                "at most {EVENTS_MAX} values, {DEPTH_MAX} levels, {ALIASES_MAX} anchors and aliases; use `*`, groups of \
                 the directory and named sets"
            );
            return (at, "this is more than a policy needs".to_owned(), hint);
        }
        // The place is told in our own way.
        let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
        (at, message, "the text is not YAML as Weir reads it: check indentation, quotes and colons".to_owned())
    })
}

fn place(location: serde_saphyr::Location) -> Place {
    Place { line: location.line().max(1), column: location.column().max(1) }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Node { at: place(spanned.referenced), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or_else(|_| Kind::OddNumber(value.to_string()), Kind::Number))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or_else(|_| Kind::OddNumber(value.to_string()), Kind::Number))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(u64::try_from(value).map_or_else(|_| Kind::OddNumber(value.to_string()), Kind::Number))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::OddNumber(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Kind::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((mut key, value)) = map.next_entry::<Node, Node>()? {
            // A key is a name, though it may look like something else.
            match key.kind {
                Kind::Number(number) => key.kind = Kind::Text(number.to_string()),
                Kind::Bool(value) => key.kind = Kind::Text(value.to_string()),
                Kind::OddNumber(text) => key.kind = Kind::Text(text),
                Kind::Null | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => {}
            }
            entries.push((key, value));
        }
        Ok(Kind::Map(entries))
    }
}
