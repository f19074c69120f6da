//! What a label selector requires of one label.

use std::fmt;

use serde_json::Value;

use super::SelectorError;

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
        check_key(&key)?;
        let wrong = |rule: &str| Err(SelectorError(format!("label selector on \"{key}\": {rule}, found {}", values.len())));
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => return wrong("\"in\" and \"notin\" need at least one value"),
            Operator::Equals | Operator::NotEquals if values.len() != 1 => return wrong("\"=\" and \"!=\" need exactly one value"),
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => return wrong("\"exists\" and \"!\" take no values"),
            Operator::GreaterThan | Operator::LessThan if values.len() != 1 => return wrong("\">\" and \"<\" need exactly one value"),
            _ => {}
        }
        for value in &values {
            check_value(&key, value)?;
            if matches!(operator, Operator::GreaterThan | Operator::LessThan) && value.parse::<i64>().is_err() {
                return Err(SelectorError(format!("label selector on \"{key}\": \">\" and \"<\" need an integer, found \"{value}\"")));
            }
        }
        let mut values = values;
        values.sort_unstable();
        values.dedup();
        Ok(Self { key, operator, values })
    }

    /// Reads `key` and `values` of a requirement that is written as an object.
    pub(super) fn from_object(item: &Value, operator: Operator) -> Result<Self, SelectorError> {
        let bad = |what: &str| SelectorError(format!("label selector requirement: {what}"));
        let key = item.get("key").and_then(Value::as_str).ok_or_else(|| bad("key is missing"))?;
        let values = match item.get("values") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => values
                .iter()
                .map(|v| v.as_str().map(str::to_owned).ok_or_else(|| bad("values must be strings")))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(bad("values must be a list")),
        };
        Self::new(key, operator, values)
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

/// Letters and digits at both ends, `-`, `_`, `.` between them, at most 63.
fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(text: &str) -> bool {
    let label = |l: &str| {
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        end(l.chars().next()) && end(l.chars().next_back()) && l.chars().all(|c| end(Some(c)) || c == '-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// The key of a label: an optional DNS prefix and a slash, then a name.
fn check_key(key: &str) -> Result<(), SelectorError> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    if is_name(name) && prefix.is_none_or(is_subdomain) {
        return Ok(());
    }
    Err(SelectorError(format!(
        "\"{key}\" is not a label key: it is a name of at most 63 letters, digits, '-', '_', '.' that begins and ends with a letter or digit, \
         optionally after a DNS subdomain and '/', for example example.com/tier"
    )))
}

/// The value of a label: empty, or a name.
fn check_value(key: &str, value: &str) -> Result<(), SelectorError> {
    if value.is_empty() || is_name(value) {
        return Ok(());
    }
    Err(SelectorError(format!(
        "\"{value}\" is not a value for label \"{key}\": it is empty or at most 63 letters, digits, '-', '_', '.' and begins and ends with a \
         letter or digit"
    )))
}
