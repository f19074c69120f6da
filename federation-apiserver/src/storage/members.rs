//! JSON objects split into their members without decoding them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, values not looked into.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Splits a JSON object into its members.
pub(super) fn members(text: &str) -> Result<Members<'_>, serde_json::Error> {
    struct Split;
    impl<'de> Visitor<'de> for Split {
        type Value = Members<'de>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut out = Vec::with_capacity(8);
            while let Some(MaybeBorrowed(key)) = map.next_key()? {
                out.push((key, map.next_value()?));
            }
            Ok(out)
        }
    }
    let mut de = serde_json::Deserializer::from_str(text);
    let out = de.deserialize_map(Split)?;
    de.end()?;
    Ok(out)
}

/// A string borrowed from the input unless it holds escapes.
#[derive(serde::Deserialize)]
struct MaybeBorrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// The member called `name`.
pub(super) fn find<'a>(members: &Members<'a>, name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(k, _)| k == name).map(|(_, v)| *v)
}
