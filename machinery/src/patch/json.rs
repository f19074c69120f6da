//! RFC 6902 JSON patches.

mod pointer;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use self::pointer::Pointer;
use crate::depth;
use crate::status::ApiError;

/// Most operations one patch may have, kube-apiserver's limit.
const MAX_OPERATIONS: usize = 10_000;

/// Bytes that `copy` operations of one patch may add together, kube-apiserver's limit: a few dozen of
/// them could otherwise double a document until memory is full.
const MAX_COPIED: usize = 3 << 20;

/// Values that the operations of one patch may look at or move to another place in a list, together: each operation
/// may otherwise cost as much as the document is long. It takes well below a second.
const MAX_WORK: usize = 20_000_000;

/// Why an operation cannot be carried out.
enum Fault {
    /// It does not fit the document.
    Misfit(String),
    /// It asks for too much.
    TooMuch(String),
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Misfit(why)
    }
}

impl From<depth::TooDeep> for Fault {
    fn from(e: depth::TooDeep) -> Self {
        Self::Misfit(e.to_string())
    }
}

/// What the operations of a patch have cost so far.
#[derive(Default)]
struct Spent {
    copied: usize,
    work: usize,
}

impl Spent {
    fn copy(&mut self, bytes: usize) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied <= MAX_COPIED {
            return Ok(());
        }
        Err(Fault::TooMuch(format!("all copies together are larger than {MAX_COPIED} bytes")))
    }

    fn work(&mut self, values: usize) -> Result<(), Fault> {
        self.work = self.work.saturating_add(values);
        if self.work <= MAX_WORK {
            return Ok(());
        }
        Err(Fault::TooMuch(format!("the operations together move more than {MAX_WORK} values")))
    }
}

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

/// Why an operation cannot be read.
enum Unread {
    /// Something in it is of another type than it must be.
    Mistyped(String),
    /// Its types are right, but there is no such operation.
    Unknown(String),
}

/// Applies the patch (a JSON array of operations; `null` is an empty one) and returns the new document.
///
/// As for kube-apiserver the document as a whole can be replaced and tested and nothing else, a `value` that is not
/// given is `null`, and so is what an object does not have when it is replaced, tested or copied.
///
/// # Errors
/// 400 when the patch is no list of operations or a part of one has the wrong type, 413 when it has too many operations
/// or they copy or move too much, 422 when there is no such operation, one does not fit the document, nests it deeper
/// than [`depth::MAX`], or a `test` fails. The message names the operation by its index.
pub fn apply(document: &Value, patch: &Value) -> Result<Value, ApiError> {
    let operations = parse(patch)?;
    let mut out = document.clone();
    let mut spent = Spent::default();
    for (index, operation) in operations.into_iter().enumerate() {
        let what = operation.describe();
        run(&mut out, operation, &mut spent).map_err(|fault| match fault {
            Fault::TooMuch(why) => {
                ApiError::new(413, "RequestEntityTooLarge", format!("operation {index} of the JSON patch ({what}): {why}"))
            }
            Fault::Misfit(why) => rejected(index, &format!(" ({what}): {why}")),
        })?;
    }
    Ok(out)
}

/// What kube-apiserver says of every operation that cannot be carried out, and then which it is and why.
fn rejected(index: usize, why: &str) -> ApiError {
    let message = format!("the server rejected our request due to an error in our request: operation {index} of the JSON patch{why}");
    ApiError::new(422, "Invalid", message)
}

fn parse(patch: &Value) -> Result<Vec<Operation>, ApiError> {
    let items = match patch {
        Value::Array(items) => items.as_slice(),
        Value::Null => &[],
        _ => return Err(ApiError::bad_request("error decoding patch: a JSON patch is a list of operations")),
    };
    if items.len() > MAX_OPERATIONS {
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}", items.len());
        return Err(ApiError::new(413, "RequestEntityTooLarge", message));
    }
    let one = |(index, item): (usize, &Value)| {
        Operation::parse(item).map_err(|unread| match unread {
            Unread::Mistyped(why) => ApiError::bad_request(format!("error decoding patch: operation {index}: {why}")),
            Unread::Unknown(why) => rejected(index, &format!(": {why}")),
        })
    };
    items.iter().enumerate().map(one).collect()
}

impl Operation {
    fn parse(item: &Value) -> Result<Self, Unread> {
        let none = Map::new();
        let map = match item {
            Value::Object(map) => map,
            Value::Null => &none,
            _ => return Err(Unread::Mistyped("must be an object".into())),
        };
        let given = |key: &str| map.get(key).filter(|value| !value.is_null());
        if let Some(key) = ["op", "path", "from"].into_iter().find(|key| given(key).is_some_and(|value| !value.is_string())) {
            return Err(Unread::Mistyped(format!("\"{key}\" must be a string")));
        }
        let text = |key: &str| given(key).and_then(Value::as_str).ok_or_else(|| Unread::Unknown(format!("\"{key}\" is missing")));
        let pointer = |key: &str| text(key).and_then(|s| Pointer::parse(s).map_err(|why| Unread::Unknown(format!("\"{key}\": {why}"))));
        let value = || map.get("value").cloned().unwrap_or_default();
        Ok(match text("op")? {
            "add" => Self::Add { path: pointer("path")?, value: value() },
            "remove" => Self::Remove { path: pointer("path")? },
            "replace" => Self::Replace { path: pointer("path")?, value: value() },
            "move" => Self::Move { from: pointer("from")?, path: pointer("path")? },
            "copy" => Self::Copy { from: pointer("from")?, path: pointer("path")? },
            "test" => Self::Test { path: pointer("path")?, value: value() },
            other => {
                return Err(Unread::Unknown(format!("unknown op \"{other}\"; it is one of add, remove, replace, move, copy, test")));
            }
        })
    }

    /// Whether it would put something in the place of the whole document, or take that away, and may not.
    fn is_beyond(&self) -> bool {
        match self {
            Self::Add { path, .. } | Self::Remove { path } => path.is_whole(),
            Self::Move { from, path } | Self::Copy { from, path } => from.is_whole() || path.is_whole(),
            Self::Replace { path, value } => path.is_whole() && !value.is_object() && !value.is_array(),
            Self::Test { .. } => false,
        }
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

/// Carries out one operation. No value is put where it would be too deep: not even what is made on the way may be, for
/// whatever walks over it or drops it does so level by level.
fn run(document: &mut Value, operation: Operation, spent: &mut Spent) -> Result<(), Fault> {
    if operation.is_beyond() {
        return Err(Fault::Misfit("the document as a whole can only be tested, or replaced by an object or a list".into()));
    }
    match operation {
        Operation::Add { path, value } => {
            depth::check_below(&value, path.len())?;
            spent.work(path.add(document, value)?)
        }
        Operation::Remove { path } => {
            let (_, moved) = path.remove(document)?;
            spent.work(moved)
        }
        Operation::Replace { path, value } => {
            depth::check_below(&value, path.len())?;
            Ok(path.replace(document, value)?)
        }
        Operation::Move { from, path } => {
            if from.is_proper_prefix_of(&path) {
                return Err(Fault::Misfit("a value cannot be moved into itself".into()));
            }
            if path.len() > from.len() {
                spent.work(depth::check_below(from.get(document)?, path.len())?)?;
            }
            let (value, moved) = from.remove(document)?;
            spent.work(moved)?;
            spent.work(path.add(document, value)?)
        }
        Operation::Copy { from, path } => {
            let value = from.get_or_null(document)?;
            spent.copy(size(value))?;
            depth::check_below(value, path.len())?;
            let value = value.clone();
            spent.work(path.add(document, value)?)
        }
        Operation::Test { path, value } => {
            let found = path.get_or_null(document)?;
            if same(found, &value) { Ok(()) } else { Err(Fault::Misfit("test failed: the value is different".into())) }
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
