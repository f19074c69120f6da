//! Federation v1's cluster selector: a JSON array of label requirements in an annotation.

use serde_json::Value;

use super::{LabelSelector, Operator, Requirement, SelectorError};

/// Reads the value of the annotation `federation.alpha.kubernetes.io/cluster-selector`. An absent
/// annotation and `[]` match every cluster.
///
/// # Errors
/// An empty string, malformed JSON, an unknown operator or a wrong number of values.
pub fn cluster_selector(annotation: Option<&str>) -> Result<LabelSelector, SelectorError> {
    let Some(text) = annotation else { return Ok(LabelSelector::everything()) };
    let bad = |what: &str| SelectorError(format!("cluster selector: {what}"));
    if text.trim().is_empty() {
        return Err(bad("is empty; use [] to match every cluster"));
    }
    let parsed: Value = serde_json::from_str(text).map_err(|e| bad(&format!("is not JSON: {e}")))?;
    let items = match &parsed {
        Value::Null => return Ok(LabelSelector::everything()),
        Value::Array(items) => items,
        _ => return Err(bad("must be a list of requirements")),
    };
    let one = |item: &Value| {
        let map = item.as_object().ok_or_else(|| bad("each requirement must be an object with key, operator and values"))?;
        // v1 read the names of the fields without regard to case.
        let item: Value = map.iter().map(|(k, v)| (k.to_ascii_lowercase(), v.clone())).collect::<serde_json::Map<_, _>>().into();
        let operator = item.get("operator").and_then(Value::as_str).unwrap_or_default();
        Requirement::from_object(&item, operator_of(operator).ok_or_else(|| bad(&format!("\"{operator}\" is not an operator")))?)
    };
    items.iter().map(one).collect::<Result<Vec<_>, _>>().map(LabelSelector::new)
}

fn operator_of(text: &str) -> Option<Operator> {
    Some(match text {
        "in" | "In" => Operator::In,
        "notin" | "NotIn" => Operator::NotIn,
        "=" | "==" => Operator::Equals,
        "!=" => Operator::NotEquals,
        "exists" | "Exists" => Operator::Exists,
        "!" | "DoesNotExist" => Operator::DoesNotExist,
        "gt" | "Gt" | ">" => Operator::GreaterThan,
        "lt" | "Lt" | "<" => Operator::LessThan,
        _ => return None,
    })
}
