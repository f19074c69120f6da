//! Label selectors and what they match.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::requirement::{Operator, Requirement};
use super::{SelectorError, parse};

/// A conjunction of requirements on labels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches no object.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    /// Matches what satisfies all requirements.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| (a.key(), a.operator(), a.values()).cmp(&(b.key(), b.operator(), b.values())));
        Self { requirements, nothing: false }
    }

    /// Parses the form of query strings: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1,j<2`. Empty text matches everything.
    ///
    /// # Errors
    /// Says what is wrong and where.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::label_selector(text).map(Self::new)
    }

    /// Reads a `metav1.LabelSelector`. As in Kubernetes `{}` matches everything and `null` nothing.
    ///
    /// # Errors
    /// Says which part is malformed.
    pub fn from_object(selector: &Value) -> Result<Self, SelectorError> {
        let bad = |what: &str| SelectorError(format!("label selector: {what}"));
        let map = match selector {
            Value::Null => return Ok(Self::nothing()),
            Value::Object(map) => map,
            _ => return Err(bad("must be an object")),
        };
        let mut out = Vec::new();
        match map.get("matchLabels") {
            None | Some(Value::Null) => {}
            Some(Value::Object(labels)) => {
                for (key, value) in labels {
                    let value = value.as_str().ok_or_else(|| bad("matchLabels must hold strings"))?;
                    out.push(Requirement::new(key, Operator::Equals, vec![value.into()])?);
                }
            }
            Some(_) => return Err(bad("matchLabels must be an object")),
        }
        match map.get("matchExpressions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(expressions)) => {
                for e in expressions {
                    let operator = match e.get("operator").and_then(Value::as_str) {
                        Some("In") => Operator::In,
                        Some("NotIn") => Operator::NotIn,
                        Some("Exists") => Operator::Exists,
                        Some("DoesNotExist") => Operator::DoesNotExist,
                        Some(other) => return Err(bad(&format!("\"{other}\" is not a valid label selector operator"))),
                        None => return Err(bad("each of matchExpressions needs an operator")),
                    };
                    out.push(Requirement::from_object(e, operator)?);
                }
            }
            Some(_) => return Err(bad("matchExpressions must be a list")),
        }
        Ok(Self::new(out))
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether every object matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    /// Whether an object whose labels are looked up by `get` matches.
    pub fn matches<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(get(r.key())))
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

/// The canonical form: sorted by key, values sorted. A selector that matches nothing has no such
/// form and shows as `<none>`.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nothing {
            return f.write_str("<none>");
        }
        for (i, r) in self.requirements.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{r}")?;
        }
        Ok(())
    }
}
