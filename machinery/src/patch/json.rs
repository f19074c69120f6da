//! RFC 6902 JSON patches.

mod pointer;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::pointer::Pointer;
use crate::status::ApiError;

/// Most operations one patch may have, kube-apiserver's limit.
const MAX_OPERATIONS: usize = 10_000;

/// Bytes that `copy` operations of one patch may add together, kube-apiserver's limit: a few dozen of
/// them could otherwise double a document until memory is full.
const MAX_COPIED: usize = 3 << 20;

/// One operation of a patch.
#[derive(Debug)]
enum Operation {
    Add { path: Pointer, value: Value },
    Remove { path: Pointer },
    Replace { path: Pointer, value: Value },
    Move { from: Pointer, path: Pointer },
    Copy { from: Pointer, path: Pointer },
    Test { path: Pointer, value: Value },
}

/// Applies the patch (a JSON array of operations) and returns the new document.
///
/// # Errors
/// 400 when the patch is malformed, 413 when it has too many operations or copies too much, 422 when an operation does
/// not fit the document or a `test` fails. The message names the operation by its index.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let operations = parse(patch)?;
    let mut out = document.clone();
    let mut copied = 0_usize;
    for (index, operation) in operations.into_iter().enumerate() {
        let what = operation.describe();
        if let Operation::Copy { from, .. } = &operation {
            copied = copied.saturating_add(from.get(&out).map_or(0, size));
            if copied > MAX_COPIED {
                let message =
                    format!("operation {index} of the JSON patch ({what}): all copies together are larger than {MAX_COPIED} bytes");
                return Err(ApiError::new(413, "RequestEntityTooLarge", message));
            }
        }
        run(&mut out, operation).map_err(|why| {
            let message = format!(
                "the server rejected our request due to an error in our request: operation {index} of the JSON patch ({what}): {why}"
            );
            ApiError::new(422, "Invalid", message)
        })?;
    }
    Ok(out)
}

fn parse(patch: &Value) -> Result<Vec<Operation>, ApiError> {
    let Value::Array(items) = patch else {
        return Err(ApiError::bad_request("error decoding patch: a JSON patch is a list of operations"));
    };
    if items.len() > MAX_OPERATIONS {
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", items.len());
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    let one = |(index, item): (usize, &Value)| {
        Operation::parse(item).map_err(|why| ApiError::bad_request(format!("error decoding patch: operation {index}: {why}")))
    };
    items.iter().enumerate().map(one).collect()
}

impl Operation {
    fn parse(item: &Value) -> Result<Self, String> {
        let Value::Object(map) = item else { return Err("must be an object".into()) };
        let text = |key: &str| match map.get(key) {
            Some(Value::String(s)) => Ok(s.as_str()),
            Some(_) => Err(format!("\"{key}\" must be a string")),
            None => Err(format!("\"{key}\" is missing")),
        };
        let pointer = |key: &str| text(key).and_then(|s| Pointer::parse(s).map_err(|why| format!("\"{key}\": {why}")));
        let value = || map.get("value").cloned().ok_or_else(|| "\"value\" is missing".to_owned());
        Ok(match text("op")? {
            "add" => Self::Add { path: pointer("path")?, value: value()? },
            "remove" => Self::Remove { path: pointer("path")? },
            "replace" => Self::Replace { path: pointer("path")?, value: value()? },
            "move" => Self::Move { from: pointer("from")?, path: pointer("path")? },
            "copy" => Self::Copy { from: pointer("from")?, path: pointer("path")? },
            "test" => Self::Test { path: pointer("path")?, value: value()? },
            other => return Err(format!("unknown op \"{other}\"; it is one of add, remove, replace, move, copy, test")),
        })
    }

    fn describe(&self) -> String {
        match self {
            Self::Add { path, .. } => format!("add {path}"),
            Self::Remove { path } => format!("remove {path}"),
            Self::Replace { path, .. } => format!("replace {path}"),
            Self::Move { from, path } => format!("move {from} to {path}"),
            Self::Copy { from, path } => format!("copy {from} to {path}"),
            Self::Test { path, .. } => format!("test {path}"),
        }
    }
}

fn run(document: &mut Value, operation: Operation) -> Result<(), String> {
    match operation {
        Operation::Add { path, value } => path.add(document, value),
        Operation::Remove { path } => path.remove(document).map(drop),
        Operation::Replace { path, value } => {
            *path.get_mut(document)? = value;
            Ok(())
        }
        Operation::Move { from, path } => {
            if from.is_proper_prefix_of(&path) {
                return Err("a value cannot be moved into itself".into());
            }
            let value = from.remove(document)?;
            path.add(document, value)
        }
        Operation::Copy { from, path } => {
            let value = from.get(document)?.clone();
            path.add(document, value)
        }
        Operation::Test { path, value } => {
            let found = path.get(document)?;
            if same(found, &value) { Ok(()) } else { Err("test failed: the value is different".into()) }
        }
    }
}

/// About the length of the value as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(s) => s.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|v| 1 + size(v)).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(k, v)| k.len() + 4 + size(v)).sum::<usize>(),
    }
}

/// Equality of RFC 6902 section 4.6: numbers are equal when their values are.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y))),
        _ => a == b,
    }
}
