//! JSON and YAML text, with duplicate keys noticed.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{clip, depth};

/// Most findings one answer lists.
pub(super) const MAX_FINDINGS: usize = 100;

/// Most bytes of a path that is told.
const MAX_PATH: usize = 1024;

/// A value and the paths of keys that came more than once, [`MAX_FINDINGS`] at most; the last one counts, as in Go.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

impl Document {
    /// One JSON value and nothing after it.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }

    /// One YAML document. JSON is YAML too, is what clients send most, and is read much faster as what it is.
    pub(super) fn from_yaml(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii_start().starts_with(b"{")
            && let Ok(document) = Self::from_json(bytes)
        {
            return Ok(document);
        }
        // Deeper than its own limit of 64 levels the parser needs more stack than a worker has.
        let mut options = serde_saphyr::Options::default();
        options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::PassThrough;
        serde_saphyr::from_slice_with_options(bytes, options).map_err(|e| format!("error converting YAML to JSON: {e}"))
    }

    fn scalar(value: impl Into<Value>) -> Self {
        Self { value: value.into(), duplicates: Vec::new() }
    }

    fn take(self, step: &str, duplicates: &mut Vec<String>) -> Value {
        let dot = |path: &String| !path.starts_with('[');
        let room = MAX_FINDINGS.saturating_sub(duplicates.len());
        let found = self.duplicates.iter().take(room);
        let step = clip::shown(step, MAX_PATH);
        duplicates.extend(found.map(|p| match p.len() {
            // Long enough already: the innermost steps tell most.
            MAX_PATH.. => p.clone(),
            _ if dot(p) => format!("{step}.{p}"),
            _ => format!("{step}{p}"),
        }));
        self.value
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Below(0).deserialize(deserializer)
    }
}

/// What stands below so many levels.
#[derive(Clone, Copy)]
struct Below(usize);

impl Below {
    fn inside<E: Error>(self) -> Result<Self, E> {
        depth::enter(self.0).map(Self).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Below {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Document, E> {
        Ok(Document::scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Document, E> {
        Ok(Document::scalar(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Document, E> {
        Ok(Document::scalar(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Document, E> {
        Ok(Document::scalar(v))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Document, E> {
        Number::from_f64(v).map(|n| Document::scalar(Value::Number(n))).ok_or_else(|| E::custom("numbers must be finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Document, E> {
        Ok(Document::scalar(v))
    }

    fn visit_string<E>(self, v: String) -> Result<Document, E> {
        Ok(Document::scalar(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Document, A::Error> {
        let (mut list, mut duplicates) = (Vec::new(), Vec::new());
        let inside = self.inside()?;
        while let Some(item) = seq.next_element_seed(inside)? {
            let step = format!("[{}]", list.len());
            list.push(item.take(&step, &mut duplicates));
        }
        Ok(Document { value: Value::Array(list), duplicates })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Document, A::Error> {
        let (mut map, mut duplicates) = (Map::new(), Vec::new());
        let inside = self.inside()?;
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(inside)?.take(&key, &mut duplicates);
            // More would never be told, and looking for each among all of them takes long.
            if duplicates.len() < MAX_FINDINGS && map.contains_key(&key) && !duplicates.iter().any(|d| *d == clip::shown(&key, MAX_PATH)) {
                duplicates.push(clip::shown(&key, MAX_PATH).into_owned());
            }
            map.insert(key, value);
        }
        Ok(Document { value: Value::Object(map), duplicates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_duplicates_are_counted_only_so_far() {
        let pairs: Vec<String> = (0..300).map(|n| format!("\"k{n}\":1,\"k{n}\":2")).collect();
        let nested = format!("[{{{0}}},{{{0}}}]", pairs.join(","));
        let document = Document::from_json(nested.as_bytes()).unwrap();
        assert_eq!(document.duplicates.len(), MAX_FINDINGS);
        assert_eq!((document.duplicates[0].as_str(), &document.value[1]["k299"]), ("[0].k0", &Value::from(2)));
    }
}
