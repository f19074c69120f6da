//! JSON and YAML text, with duplicate keys noticed.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{clip, depth};

/// Most findings one answer lists.
pub(super) const MAX_FINDINGS: usize = 100;

/// Most bytes of a path that is told.
const MAX_PATH: usize = 1024;

/// What aliases of YAML may stand for, all together: nodes, of which each costs the parser about two microseconds, and
/// bytes of text that the document does not have itself.
const MAX_ALIASED_NODES: usize = 10_000;
const MAX_ALIASED_BYTES: usize = 1 << 20;
/// Nodes inside anchors at most, each counted in every anchor it is in.
const MAX_ANCHORED_NODES: usize = 100_000;

/// A value and the paths of keys that came more than once, [`MAX_FINDINGS`] at most; the last one counts, as in Go.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) duplicates: Vec<String>,
}

impl Document {
    /// One JSON value and nothing after it.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let room = Cell::new(usize::MAX);
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let document = Below { levels: 0, room: &room }.deserialize(&mut json);
        document.and_then(|document| json.end().map(|()| document)).map_err(|e| e.to_string())
    }

    /// One YAML document. JSON is YAML too, is what clients send most, and is read much faster as what it is.
    pub(super) fn from_yaml(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii_start().starts_with(b"{")
            && let Ok(document) = Self::from_json(bytes)
        {
            return Ok(document);
        }
        // Deeper than its own limit of 64 levels the parser needs more stack than a worker has.
        let options = serde_saphyr::options! {
            duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
            with_snippet: false,
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED_NODES },
            budget: serde_saphyr::budget! { max_recorded_anchor_events: MAX_ANCHORED_NODES, max_recorded_anchor_bytes: bytes.len() + MAX_ALIASED_BYTES },
        };
        let room = Cell::new(bytes.len() + MAX_ALIASED_BYTES);
        let document = serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |yaml| {
            Below { levels: 0, room: &room }.deserialize(yaml)
        });
        document.map_err(|e| format!("error converting YAML to JSON: {e}"))
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

/// What stands below so many levels, while there is room for so many bytes of text.
#[derive(Clone, Copy)]
struct Below<'a> {
    levels: usize,
    room: &'a Cell<usize>,
}

impl Below<'_> {
    fn inside<E: Error>(self) -> Result<Self, E> {
        depth::enter(self.levels).map(|levels| Self { levels, ..self }).map_err(E::custom)
    }

    /// Takes room for a text.
    fn take<E: Error>(self, text: &str) -> Result<(), E> {
        let left = self.room.get().checked_sub(text.len());
        self.room.set(left.ok_or_else(|| E::custom("the document contains excessive aliasing"))?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = Document;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Document, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
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

    fn visit_str<E: Error>(self, v: &str) -> Result<Document, E> {
        self.take(v).map(|()| Document::scalar(v))
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Document, E> {
        self.take(&v).map(|()| Document::scalar(v))
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
            self.take(&key)?;
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

    /// Each is a few kilobytes, or one text, and would be gigabytes or seconds.
    #[test]
    fn issue8_aliases_stand_for_so_much_at_most() {
        let few = Document::from_yaml(b"a: &a {x: [1, 2]}\nb: *a\nc: [*a, *a]\nd: {<<: *a, y: 3}\n").unwrap();
        assert_eq!(few.value["c"][1]["x"], serde_json::json!([1, 2]));
        let lines = |n: usize, line: &dyn Fn(usize) -> String| (0..n).map(line).collect::<String>();
        let list = format!("[{}]", vec!["1"; 1000].join(","));
        let wide = format!("a: &a {list}\nb:\n{}", "- *a\n".repeat(1000));
        let doubled = format!("a0: &a0 [x, x]\n{}", lines(40, &|n| format!("a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)));
        let text = format!("a: &a {}\n{}", "x".repeat(1 << 20), lines(90, &|n| format!("b{n}: *a\n")));
        let nested = lines(60, &|n| format!("{}&a{n}\n{}- ", "", "  ".repeat(n))) + &format!("&z [{}]\n", vec!["1"; 5000].join(","));
        for (what, bomb) in
            [("a wide list", wide), ("lists of lists", doubled), ("a long text", text), ("anchors inside each other", nested)]
        {
            let started = std::time::Instant::now();
            let refused = Document::from_yaml(bomb.as_bytes());
            assert!(refused.is_err(), "{what}");
            assert!(started.elapsed() < std::time::Duration::from_secs(20), "{what} took {:?}", started.elapsed());
        }
    }

    #[test]
    fn many_duplicates_are_counted_only_so_far() {
        let pairs: Vec<String> = (0..300).map(|n| format!("\"k{n}\":1,\"k{n}\":2")).collect();
        let nested = format!("[{{{0}}},{{{0}}}]", pairs.join(","));
        let document = Document::from_json(nested.as_bytes()).unwrap();
        assert_eq!(document.duplicates.len(), MAX_FINDINGS);
        assert_eq!((document.duplicates[0].as_str(), &document.value[1]["k299"]), ("[0].k0", &Value::from(2)));
    }
}
