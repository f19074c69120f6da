//! Field selectors.

use std::fmt;
use std::str::FromStr;

use super::SelectorError;

/// A conjunction of comparisons of fields with text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

/// `path=value` or `path!=value`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FieldRequirement {
    /// Dotted path, `metadata.name`.
    pub path: String,
    /// What the field is compared with.
    pub value: String,
    /// Whether they must be the same (`=`) or different (`!=`).
    pub equal: bool,
}

/// Fields that can be selected for every resource.
const ALWAYS: [&str; 2] = ["metadata.name", "metadata.namespace"];

impl FieldSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Parses `metadata.name=x,status.phase!=y`; `\`, `,` and `=` in values are escaped by `\`.
    ///
    /// # Errors
    /// Says which term cannot be understood.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in split_terms(text) {
            if term.is_empty() {
                continue;
            }
            let Some((path, value, equal)) = split_term(term) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            super::bounded(requirements.len() + 1)?;
            requirements.push(FieldRequirement { path: path.into(), value: unescape(value)?, equal });
        }
        requirements.sort_unstable();
        Ok(Self { requirements })
    }

    /// Refuses fields a resource cannot select. `metadata.name` and `metadata.namespace` always can be.
    ///
    /// # Errors
    /// Names the first such field.
    pub fn check(&self, selectable: &[&str]) -> Result<(), SelectorError> {
        let known = |path: &str| ALWAYS.contains(&path) || selectable.contains(&path);
        match self.requirements.iter().find(|r| !known(&r.path)) {
            None => Ok(()),
            // Kinds without fields of their own are refused in other words, as in Kubernetes.
            Some(r) if selectable.is_empty() => {
                let [name, namespace] = ALWAYS;
                Err(SelectorError(format!("{:?} is not a known field selector: only {name:?}, {namespace:?}", r.path)))
            }
            Some(r) => Err(SelectorError(format!("field label not supported: {}", r.path))),
        }
    }

    /// The comparisons, sorted.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value this field must have, if the selector says so.
    pub fn required(&self, path: &str) -> Option<&str> {
        self.requirements.iter().find(|r| r.equal && r.path == path).map(|r| r.value.as_str())
    }

    /// Whether an object whose fields are looked up by `get` matches. A missing field is empty text.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|r| (get(&r.path).unwrap_or_default() == r.value) == r.equal)
    }
}

/// Splits at commas that are not escaped.
fn split_terms(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (i, c) in text.char_indices() {
        if c == ',' && !escaped {
            out.push(&text[start..i]);
            start = i + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    out.push(&text[start..]);
    out
}

/// Splits at the first operator: path, value, whether it is an equality.
fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find(['=', '!'])?;
    let (path, rest) = term.split_at(at);
    let (value, equal) = match rest {
        _ if rest.starts_with("!=") => (&rest[2..], false),
        _ if rest.starts_with("==") => (&rest[2..], true),
        _ if rest.starts_with('=') => (&rest[1..], true),
        _ => return None,
    };
    (!path.is_empty()).then_some((path, value, equal))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let bad =
        || SelectorError(format!("invalid field selector value '{value}': '\\' must stand before '\\', ',' or '=', and '=' after '\\'"));
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(next @ ('\\' | ',' | '=')) => out.push(next),
                _ => return Err(bad()),
            },
            '=' => return Err(bad()),
            _ => out.push(c),
        }
    }
    Ok(out)
}

impl FromStr for FieldSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.requirements.iter().enumerate() {
            let value = r.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            let comma = if i > 0 { "," } else { "" };
            let operator = if r.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{value}", r.path)?;
        }
        Ok(())
    }
}
