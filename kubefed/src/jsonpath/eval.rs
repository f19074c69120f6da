//! A template filled in with a value.

use std::cmp::Ordering;

use serde_json::Value;

use super::node::{Compare, Node, Operand, Step, Wrong};

pub(super) fn text(nodes: &[Node], root: &Value, here: &Value) -> Result<String, Wrong> {
    let mut all = String::new();
    for node in nodes {
        match node {
            Node::Text(text) => all.push_str(text),
            Node::Value(value) => all.push_str(&printed(value)),
            Node::Path(path) => {
                let found: Vec<String> = find(path, root, here)?.into_iter().map(printed).collect();
                all.push_str(&found.join(" "));
            }
            Node::Range(path, inner) => {
                for item in find(path, root, here)? {
                    all.push_str(&text(inner, root, item)?);
                }
            }
        }
    }
    Ok(all)
}

pub(super) fn values(nodes: &[Node], root: &Value, here: &Value) -> Result<Vec<Vec<Value>>, Wrong> {
    let mut all = Vec::new();
    for node in nodes {
        match node {
            Node::Text(text) => all.push(vec![Value::String(text.clone())]),
            Node::Value(value) => all.push(vec![value.clone()]),
            Node::Path(path) => all.push(find(path, root, here)?.into_iter().cloned().collect()),
            Node::Range(path, inner) => {
                for item in find(path, root, here)? {
                    all.extend(values(inner, root, item)?);
                }
            }
        }
    }
    Ok(all)
}

fn printed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => go_json(&other.to_string()),
    }
}

/// JSON with Go's escapes of what could end a script in a page.
pub(crate) fn go_json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}

fn find<'a>(path: &[Step], root: &'a Value, here: &'a Value) -> Result<Vec<&'a Value>, Wrong> {
    let mut found = vec![here];
    for step in path {
        found = apply(step, root, &found)?;
    }
    Ok(found)
}

fn apply<'a>(step: &Step, root: &'a Value, to: &[&'a Value]) -> Result<Vec<&'a Value>, Wrong> {
    let mut found: Vec<&'a Value> = Vec::new();
    match step {
        Step::Root => found.push(root),
        Step::Field(name) => found.extend(to.iter().filter_map(|value| value.as_object()?.get(name))),
        Step::Wildcard => to.iter().for_each(|value| found.extend(children(value))),
        Step::Below => to.iter().for_each(|value| below(value, &mut found)),
        Step::Union(steps) => {
            for step in steps {
                found.extend(apply(step, root, to)?);
            }
        }
        Step::Index(index) => {
            for value in to.iter().filter(|value| !value.is_null()) {
                let items = list(value)?;
                let length = items.len();
                let at = if *index < 0 { index.saturating_add_unsigned(length as u64) } else { *index };
                found.push(usize::try_from(at).ok().and_then(|at| items.get(at)).ok_or(Wrong::Bounds(at, length))?);
            }
        }
        Step::Slice(start, end, step) => {
            for value in to.iter().filter(|value| !value.is_null()) {
                found.extend(slice(list(value)?, *start, *end, *step)?);
            }
        }
        Step::Filter(left, compare, right) => {
            for item in lists(to)? {
                if holds(left, *compare, right, root, item)? {
                    found.push(item);
                }
            }
        }
        Step::Has(path) => {
            for item in lists(to)? {
                if !find(path, root, item)?.is_empty() {
                    found.push(item);
                }
            }
        }
    }
    Ok(found)
}

/// The items of lists: as with kubectl, nothing but a list can be filtered, not even nothing.
fn lists<'a>(values: &[&'a Value]) -> Result<Vec<&'a Value>, Wrong> {
    Ok(values.iter().map(|value| list(value)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// A value and everything in it. How deep it goes was bounded when it was read.
fn below<'a>(value: &'a Value, all: &mut Vec<&'a Value>) {
    all.push(value);
    children(value).into_iter().for_each(|child| below(child, all));
}

fn list(value: &Value) -> Result<&[Value], Wrong> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Object(_) => Err(Wrong::NoList("map")),
        Value::String(_) => Err(Wrong::NoList("string")),
        Value::Bool(_) => Err(Wrong::NoList("bool")),
        Value::Number(_) => Err(Wrong::NoList("number")),
        Value::Null => Err(Wrong::NoList("nil")),
    }
}

fn slice(items: &[Value], start: Option<i64>, end: Option<i64>, step: Option<i64>) -> Result<Vec<&Value>, Wrong> {
    let length = items.len();
    let from_start = |at: i64| if at < 0 { at.saturating_add_unsigned(length as u64) } else { at };
    let start = from_start(start.unwrap_or(0));
    let end = end.map_or_else(|| i64::try_from(length).unwrap_or(i64::MAX), from_start);
    if start == end {
        return Ok(Vec::new());
    }
    let stride = usize::try_from(step.unwrap_or(1)).ok().filter(|step| *step > 0).ok_or(Wrong::Stride)?;
    let from = usize::try_from(start).ok().filter(|at| *at < length).ok_or(Wrong::Bounds(start, length))?;
    let to = usize::try_from(end).ok().filter(|at| *at <= length).ok_or(Wrong::Bounds(end.saturating_sub(1), length))?;
    if from > to {
        return Err(Wrong::Order(start, end));
    }
    Ok(items[from..to].iter().step_by(stride).collect())
}

/// Whether a comparison holds for an item; it does not where a side has no value.
fn holds(left: &Operand, compare: Compare, right: &Operand, root: &Value, item: &Value) -> Result<bool, Wrong> {
    let side = |operand: &Operand| match operand {
        Operand::Value(value) => Ok(Some(value.clone())),
        Operand::Path(path) => find(path, root, item).map(|found| found.first().map(|value| (*value).clone())),
    };
    let (Some(left), Some(right)) = (side(left)?, side(right)?) else { return Ok(false) };
    let order = match (&left, &right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) if matches!(compare, Compare::Equal | Compare::Unequal) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64().zip(right.as_f64()).and_then(|(left, right)| left.partial_cmp(&right)).ok_or(Wrong::Types)?
        }
        _ => return Err(Wrong::Types),
    };
    Ok(match compare {
        Compare::Equal => order == Ordering::Equal,
        Compare::Unequal => order != Ordering::Equal,
        Compare::Less => order == Ordering::Less,
        Compare::LessOrEqual => order != Ordering::Greater,
        Compare::Greater => order == Ordering::Greater,
        Compare::GreaterOrEqual => order != Ordering::Less,
    })
}
