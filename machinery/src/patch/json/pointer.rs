//! RFC 6901 JSON pointers, and the edits JSON patch makes through them.

use std::fmt;
use std::slice;

use serde_json::Value;

/// A parsed pointer: unescaped reference tokens.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Pointer(Vec<String>);

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the whole document");
        }
        self.0.iter().try_for_each(|t| write!(f, "/{}", t.replace('~', "~0").replace('/', "~1")))
    }
}

impl Pointer {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let Some(rest) = text.strip_prefix('/') else { return Err(format!("\"{text}\" must be empty or begin with /")) };
        rest.split('/').map(unescape).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it points at the document itself.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_empty()
    }

    /// Levels it leads down.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_proper_prefix_of(&self, other: &Self) -> bool {
        self.0.len() < other.0.len() && other.0.starts_with(&self.0)
    }

    pub(super) fn get<'a>(&self, document: &'a Value) -> Result<&'a Value, String> {
        read(document, &self.0)
    }

    /// As [`Pointer::get`]; what an object does not have is `null`.
    pub(super) fn get_or_null<'a>(&self, document: &'a Value) -> Result<&'a Value, String> {
        static NULL: Value = Value::Null;
        let Some((last, parents)) = self.0.split_last() else { return Ok(document) };
        match read(document, parents)? {
            Value::Object(map) => Ok(map.get(last).unwrap_or(&NULL)),
            parent => read(parent, slice::from_ref(last)),
        }
    }

    /// Puts a value in the place of another one, or into an object that has none of that name.
    pub(super) fn replace(&self, document: &mut Value, value: Value) -> Result<(), String> {
        let Some((last, parents)) = self.0.split_last() else {
            *document = value;
            return Ok(());
        };
        match walk(document, parents)? {
            Value::Object(map) => drop(map.insert(last.clone(), value)),
            parent => *walk(parent, slice::from_ref(last))? = value,
        }
        Ok(())
    }

    /// Puts a value in; answers how many items of a list it pushed aside.
    pub(super) fn add(&self, document: &mut Value, value: Value) -> Result<usize, String> {
        let Some((last, parents)) = self.0.split_last() else {
            *document = value;
            return Ok(0);
        };
        match walk(document, parents)? {
            Value::Object(map) => {
                map.insert(last.clone(), value);
                Ok(0)
            }
            Value::Array(list) => {
                let at = if last == "-" { list.len() } else { index(last, list.len(), list.len() + 1)? };
                list.insert(at, value);
                Ok(list.len() - at)
            }
            _ => Err(leaf(last)),
        }
    }

    /// Takes a value out; answers also how many items of a list moved up.
    pub(super) fn remove(&self, document: &mut Value) -> Result<(Value, usize), String> {
        let Some((last, parents)) = self.0.split_last() else { return Ok((document.take(), 0)) };
        match walk(document, parents)? {
            Value::Object(map) => map.remove(last).map(|v| (v, 0)).ok_or_else(|| missing(last)),
            Value::Array(list) => {
                let at = index(last, list.len(), list.len())?;
                Ok((list.remove(at), list.len() - at))
            }
            _ => Err(leaf(last)),
        }
    }
}

fn read<'a>(document: &'a Value, tokens: &[String]) -> Result<&'a Value, String> {
    tokens.iter().try_fold(document, |at, token| match at {
        Value::Object(map) => map.get(token).ok_or_else(|| missing(token)),
        Value::Array(list) => Ok(&list[index(token, list.len(), list.len())?]),
        _ => Err(leaf(token)),
    })
}

fn walk<'a>(document: &'a mut Value, tokens: &[String]) -> Result<&'a mut Value, String> {
    tokens.iter().try_fold(document, |at, token| match at {
        Value::Object(map) => map.get_mut(token).ok_or_else(|| missing(token)),
        Value::Array(list) => {
            let at = index(token, list.len(), list.len())?;
            Ok(&mut list[at])
        }
        _ => Err(leaf(token)),
    })
}

fn unescape(token: &str) -> Result<String, String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        match (c, c == '~') {
            (_, false) => out.push(c),
            (_, true) => match chars.next() {
                Some('0') => out.push('~'),
                Some('1') => out.push('/'),
                _ => return Err(format!("\"{token}\": ~ must be followed by 0 or 1")),
            },
        }
    }
    Ok(out)
}

/// One of `places` places in a list of `len`. kube-apiserver reads more than RFC 6901 has: a sign, leading zeros, and what is
/// negative counts from the end.
fn index(token: &str, len: usize, places: usize) -> Result<usize, String> {
    let number: i64 = token.parse().map_err(|_| format!("\"{token}\" is not an index of a list"))?;
    let distance = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    let at = if number < 0 { places.checked_sub(distance) } else { Some(distance) };
    at.filter(|at| *at < places).ok_or_else(|| format!("index {token} is beyond the list of {len}"))
}

fn missing(token: &str) -> String {
    format!("there is no \"{token}\"")
}

fn leaf(token: &str) -> String {
    format!("\"{token}\" does not lead into an object or a list")
}
