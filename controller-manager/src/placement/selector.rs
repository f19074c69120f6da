//! v1's cluster selector annotation: requirements on the labels of Clusters.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Requirements that all must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSelector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Above(i64),
    Below(i64),
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default, alias = "Key")]
    key: String,
    #[serde(default, alias = "Operator")]
    operator: String,
    #[serde(default, alias = "Values")]
    values: Option<Vec<String>>,
}

impl ClusterSelector {
    /// Parses the annotation's value: a JSON array of `{key, operator, values}`; `[]` selects everything.
    pub fn parse(annotation: &str) -> Result<Self, String> {
        let raw: Vec<Raw> = serde_json::from_str(annotation).map_err(|e| format!("not a JSON array of requirements: {e}"))?;
        raw.into_iter().map(Requirement::from_raw).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a Cluster with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|r| r.matches(labels.get(&r.key)))
    }
}

impl Requirement {
    fn from_raw(raw: Raw) -> Result<Self, String> {
        let Raw { key, operator, values } = raw;
        if key.is_empty() {
            return Err("a requirement has no key".into());
        }
        let values = values.unwrap_or_default();
        let one = |values: &[String]| match values {
            [value] => Ok(value.clone()),
            _ => Err(format!("operator \"{operator}\" takes exactly one value, {} given for key \"{key}\"", values.len())),
        };
        let number = |values: &[String]| {
            one(values)?
                .parse::<i64>()
                .map_err(|_| format!("operator \"{operator}\" takes an integer, for key \"{key}\" there is \"{}\"", values[0]))
        };
        let some = |values: Vec<String>| {
            if values.is_empty() { Err(format!("operator \"{operator}\" takes values, none given for key \"{key}\"")) } else { Ok(values) }
        };
        let none = |test| {
            if values.is_empty() { Ok(test) } else { Err(format!("operator \"{operator}\" takes no values, some given for key \"{key}\"")) }
        };
        let test = match operator.as_str() {
            "in" | "In" => Test::In(some(values)?),
            "notin" | "NotIn" => Test::NotIn(some(values)?),
            "=" | "==" => Test::In(vec![one(&values)?]),
            "!=" => Test::NotIn(vec![one(&values)?]),
            "exists" | "Exists" => none(Test::Exists)?,
            "!" | "DoesNotExist" => none(Test::Missing)?,
            "gt" | "Gt" | ">" => Test::Above(number(&values)?),
            "lt" | "Lt" | "<" => Test::Below(number(&values)?),
            _ => return Err(format!("there is no operator \"{operator}\" (key \"{key}\")")),
        };
        Ok(Self { key, test })
    }

    fn matches(&self, label: Option<&String>) -> bool {
        let number = || label.and_then(|l| l.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => label.is_some_and(|l| values.contains(l)),
            Test::NotIn(values) => label.is_none_or(|l| !values.contains(l)),
            Test::Exists => label.is_some(),
            Test::Missing => label.is_none(),
            Test::Above(n) => number().is_some_and(|l| l > *n),
            Test::Below(n) => number().is_some_and(|l| l < *n),
        }
    }
}
