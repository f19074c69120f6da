//! Label selectors and what they match.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::{SelectorError, parse};

/// A conjunction of requirements on labels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
    nothing: bool,
}

/// One requirement on one label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    /// Sorted, without duplicates.
    values: Vec<String>,
}

/// How a requirement compares.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Operator {
    /// `key=value`; the label is there and has this value.
    Equals,
    /// `key!=value`; the label is missing or has another value.
    NotEquals,
    /// `key in (a,b)`; the label is there and has one of the values.
    In,
    /// `key notin (a,b)`; the label is missing or has none of the values.
    NotIn,
    /// `key`; the label is there.
    Exists,
    /// `!key`; the label is missing.
    DoesNotExist,
    /// `key>1`; the label is an integer above the value.
    GreaterThan,
    /// `key<1`; the label is an integer below the value.
    LessThan,
}

impl Requirement {
    /// A requirement, if key, values and the number of values fit the operator.
    ///
    /// # Errors
    /// Says which rule is broken.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, SelectorError> {
        let key = key.into();
        parse::check_key(&key)?;
        let wrong = |rule: &str| Err(SelectorError(format!("label selector on \"{key}\": {rule}, found {}", values.len())));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => return wrong("\"in\" and \"notin\" need at least one value"),
            Operator::Equals | Operator::NotEquals if values.len() != 1 => return wrong("\"=\" and \"!=\" need exactly one value"),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => return wrong("\"exists\" and \"!\" take no values"),
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => return wrong("\">\" and \"<\" need exactly one value"),
            _ => {}
        }
        for value in &values {
            parse::check_value(&key, value)?;
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                return Err(SelectorError(format!("label selector on \"{key}\": \">\" and \"<\" need an integer, found \"{value}\"")));
            }
        }
        let mut values = values;
        values.sort_unstable();
        values.dedup();
        Ok(Self { key, operator, values })
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How it compares.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// What it compares with, sorted.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a label of this value (`None`: no such label) satisfies the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |v: &str| self.values.binary_search_by(|x| x.as_str().cmp(v)).is_ok();
        let number = |v: &str| v.parse::<i64>().ok().zip(self.values.first().and_then(|x| x.parse::<i64>().ok()));
        match self.operator {
            Operator::Equals | Operator::In => value.is_some_and(listed),
            Operator::NotEquals | Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => value.and_then(number).is_some_and(|(have, than)| have > than),
            Operator::LessThan => value.and_then(number).is_some_and(|(have, than)| have < than),
        }
    }
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
        requirements.sort_by(|a, b| (&a.key, a.operator, &a.values).cmp(&(&b.key, b.operator, &b.values)));
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
                    out.push(super::cluster::requirement(e, operator)?);
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
        !self.nothing && self.requirements.iter().all(|r| r.matches(get(&r.key)))
    }

    /// Whether an object with these labels (a JSON object of strings, or nothing) matches.
    pub fn matches_labels(&self, labels: Option<&Value>) -> bool {
        self.matches(|key| labels.and_then(|l| l.get(key)).and_then(Value::as_str))
    }
}

impl FromStr for LabelSelector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values = self.values.join(",");
        match self.operator {
            Operator::Equals => write!(f, "{}={values}", self.key),
            Operator::NotEquals => write!(f, "{}!={values}", self.key),
            Operator::In => write!(f, "{} in ({values})", self.key),
            Operator::NotIn => write!(f, "{} notin ({values})", self.key),
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
            Operator::GreaterThan => write!(f, "{}>{values}", self.key),
            Operator::LessThan => write!(f, "{}<{values}", self.key),
        }
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
