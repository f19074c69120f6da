//! RFC 6901 JSON pointers, and the edits JSON patch makes through them.

use std::fmt;

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
        self.0.iter().try_fold(document, |at, token| match at {
            Value::Object(map) => map.get(token).ok_or_else(|| missing(token)),
            Value::Array(list) => list.get(index(token)?).ok_or_else(|| beyond(token, list.len())),
            _ => Err(leaf(token)),
        })
    }

    pub(super) fn get_mut<'a>(&self, document: &'a mut Value) -> Result<&'a mut Value, String> {
        walk(document, &self.0)
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
                let at = if last == "-" { list.len() } else { index(last)? };
                if at > list.len() {
                    return Err(beyond(last, list.len()));
                }
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
                let at = index(last)?;
                if at < list.len() { Ok((list.remove(at), list.len() - at)) } else { Err(beyond(last, list.len())) }
            }
            _ => Err(leaf(last)),
        }
    }
}

fn walk<'a>(document: &'a mut Value, tokens: &[String]) -> Result<&'a mut Value, String> {
    tokens.iter().try_fold(document, |at, token| match at {
        Value::Object(map) => map.get_mut(token).ok_or_else(|| missing(token)),
        Value::Array(list) => {
            let len = list.len();
            list.get_mut(index(token)?).ok_or_else(|| beyond(token, len))
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

/// An array index: digits without leading zeros.
fn index(token: &str) -> Result<usize, String> {
    let digits = !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()) && (token == "0" || !token.starts_with('0'));
    let parsed = if digits { token.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("\"{token}\" is not an index of a list"))
}

fn missing(token: &str) -> String {
    format!("there is no \"{token}\"")
}

fn beyond(token: &str, len: usize) -> String {
    format!("index {token} is beyond the list of {len}")
}

fn leaf(token: &str) -> String {
    format!("\"{token}\" does not lead into an object or a list")
}
