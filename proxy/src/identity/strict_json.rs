//! JSON objects in which no member stands twice, at any depth: of two, one reader would believe the first and another the
//! second. RFC 8259, 4, and RFC 7519, 4.
//!
//! Depth is bounded by serde_json (128), length by who calls.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not such an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// A member stands twice.
    Repeated,
    /// It is no JSON object.
    Malformed,
}

/// Reads one object, with nothing behind it.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, Wrong> {
    let repeated = Cell::new(false);
    let mut reader = serde_json::Deserializer::from_slice(text);
    let read = Strict { repeated: &repeated }.deserialize(&mut reader);
    match read {
        Ok(Value::Object(object)) if reader.end().is_ok() => Ok(object),
        _ if repeated.get() => Err(Wrong::Repeated),
        _ => Err(Wrong::Malformed),
    }
}

#[derive(Clone, Copy)]
struct Strict<'a> {
    repeated: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("no number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if read.insert(name, value).is_some() {
                self.repeated.set(true);
                return Err(A::Error::custom("a member stands twice"));
            }
        }
        Ok(Value::Object(read))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_stands_once_or_the_text_is_refused() {
        let read = |text: &str| object(text.as_bytes());
        let good = r#"{"a":[1,-2,0.5,true,null,"x"],"b":{"a":1}}"#;
        assert_eq!(read(good).unwrap(), *serde_json::from_str::<Value>(good).unwrap().as_object().unwrap());
        for twice in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":{"c":1,"c":2}}"#, r#"{"a":[{"c":1,"c":2}]}"#, r#"{"a":1,"\u0061":2}"#]
        {
            assert_eq!(read(twice), Err(Wrong::Repeated), "{twice}");
        }
        for wrong in ["", "[]", "1", r#"{"a":1} x"#, r#"{"a":1"#, "{\"a\":\"\u{1}\"}", "{'a':1}", r#"{"a":1e999}"#] {
            assert_eq!(read(wrong), Err(Wrong::Malformed), "{wrong}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(Wrong::Malformed));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(read(&deep), Err(Wrong::Malformed));
    }
}
