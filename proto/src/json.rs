//! JSON payloads, read as strictly as the specification says.

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// How much of the parser's words is kept: they quote the peer, and end up in logs and windows.
const REASON_CHARS: usize = 160;

/// Reads a payload that is a JSON object and nothing else.
pub(crate) fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = object(&mut reader).map_err(|e| reason(&e))?;
    reader.end().map_err(|e| reason(&e))?;
    Ok(value)
}

/// Reads a payload that is any JSON value.
pub(crate) fn parse_value(bytes: &[u8]) -> Result<serde_json::Value, String> {
    serde_json::from_slice(bytes).map_err(|e| reason(&e))
}

/// The JSON of a message. None has a map with keys that are not strings, and nothing else fails.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads a JSON object. What serde derives would take an array of the members' values as well,
/// which no other implementation would write or understand.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

/// A value that is read as a JSON object.
struct AsObject<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AsObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// Reads a list of JSON objects.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::<AsObject<T>>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|AsObject(value)| value).collect())
}

/// Reads a JSON object, or null.
pub(crate) fn some<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let value = Option::<AsObject<T>>::deserialize(deserializer)?;
    Ok(value.map(|AsObject(value)| value))
}

/// An error in one short line of printable text.
pub(crate) fn reason(error: &dyn fmt::Display) -> String {
    let words = error.to_string();
    let mut short = String::new();
    for c in words.chars().take(REASON_CHARS) {
        if c.is_control() {
            short.extend(c.escape_default());
        } else {
            short.push(c);
        }
    }
    if words.chars().nth(REASON_CHARS).is_some() {
        short.push('…');
    }
    short
}
