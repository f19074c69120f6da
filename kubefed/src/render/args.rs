//! Arguments of the two components: defaults of ours merged with what the user overrides.

use std::collections::BTreeMap;

use thiserror::Error;

/// A piece of a list that is no `key=value`, in v1's words.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum InvalidPair {
    /// There is no `=` in it.
    #[error("wrong format for override arg: {piece}")]
    NoValue {
        /// The piece.
        piece: String,
    },
    /// Nothing stands before the `=`.
    #[error("wrong format for override arg: {piece}, arg name cannot be empty")]
    NoName {
        /// The piece.
        piece: String,
    },
}

/// Overrides by full flag name, `--` included.
pub type Overrides = BTreeMap<String, String>;

/// Parses what `--apiserver-arg-overrides` and its like were given; each use of the flag is one item.
///
/// An item is a list separated by commas, as in v1. A piece that would not be a flag (it has no leading `--`)
/// belongs to the value before it, so `--controllers=a=false,b=false` is one argument; a value in double quotes
/// is taken as it is. Later ones win.
///
/// # Errors
/// The first piece that is no `key=value`.
pub fn parse_overrides(items: &[String]) -> Result<Overrides, InvalidPair> {
    let mut overrides = Overrides::new();
    for item in items {
        let mut last: Option<String> = None;
        for piece in split_outside_quotes(item) {
            let piece = piece.trim();
            if let (Some(key), false) = (&last, piece.starts_with('-')) {
                let value = overrides.entry(key.clone()).or_default();
                value.push(',');
                value.push_str(&unquote(piece));
                continue;
            }
            let (key, value) = key_value(piece)?;
            last = key.starts_with('-').then(|| key.clone());
            overrides.insert(key, unquote(&value));
        }
    }
    Ok(overrides)
}

/// Parses `--node-selector`: a list of `key=value` separated by commas, later ones win.
///
/// # Errors
/// The first piece that is no `key=value`.
pub fn parse_pairs(text: &str) -> Result<BTreeMap<String, String>, InvalidPair> {
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    text.split(',').map(|piece| key_value(piece.trim())).collect()
}

fn key_value(piece: &str) -> Result<(String, String), InvalidPair> {
    let (key, value) = piece.split_once('=').ok_or_else(|| InvalidPair::NoValue { piece: piece.to_owned() })?;
    match key.trim() {
        "" => Err(InvalidPair::NoName { piece: piece.to_owned() }),
        key => Ok((key.to_owned(), value.trim().to_owned())),
    }
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces.retain(|p| !p.trim().is_empty());
    pieces
}

fn unquote(value: &str) -> String {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value).to_owned()
}

/// `key=value` for every argument, sorted by name; overrides replace defaults and add to them.
pub fn merge(defaults: impl IntoIterator<Item = (&'static str, String)>, overrides: &Overrides) -> Vec<String> {
    let mut all: Overrides = defaults.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    all.extend(overrides.iter().map(|(k, v)| (k.clone(), v.clone())));
    all.into_iter().map(|(k, v)| format!("{k}={v}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(items: &[&str]) -> Result<Vec<(String, String)>, InvalidPair> {
        let items: Vec<String> = items.iter().map(|s| (*s).to_owned()).collect();
        parse_overrides(&items).map(|o| o.into_iter().collect())
    }

    type Row = (&'static [&'static str], &'static [(&'static str, &'static str)]);

    #[test]
    fn overrides_are_read_as_v1_read_them_and_a_little_better() {
        let table: [Row; 9] = [
            (&[], &[]),
            (&["--anonymous-auth=false,--v=4"], &[("--anonymous-auth", "false"), ("--v", "4")]),
            (&["--v=1", "--v=2"], &[("--v", "2")]),
            (&[" --v = 4 "], &[("--v", "4")]),
            (&["--controllers=a=false,b=false"], &[("--controllers", "a=false,b=false")]),
            (&["--controllers=services=false,--v=4"], &[("--controllers", "services=false"), ("--v", "4")]),
            (&[r#"--a="x,--y=z",--b=1"#], &[("--a", "x,--y=z"), ("--b", "1")]),
            (&["--empty="], &[("--empty", "")]),
            (&["plain=1,other=2"], &[("other", "2"), ("plain", "1")]),
        ];
        for (items, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(parse(items), Ok(expected), "{items:?}");
        }
    }

    #[test]
    fn a_piece_that_is_no_argument_is_named() {
        let why = |items: &[&str]| parse(items).unwrap_err().to_string();
        assert_eq!(why(&["--v"]), "wrong format for override arg: --v");
        assert_eq!(why(&["=v"]), "wrong format for override arg: =v, arg name cannot be empty");
        assert_eq!(why(&["--a=1,--b"]), "wrong format for override arg: --b");
    }

    #[test]
    fn node_selectors_are_pairs() {
        assert_eq!(
            parse_pairs("a=b, c=d=e").unwrap().into_iter().collect::<Vec<_>>(),
            [("a".into(), "b".into()), ("c".into(), "d=e".into())]
        );
        assert!(parse_pairs("").unwrap().is_empty());
        assert_eq!(parse_pairs("a"), Err(InvalidPair::NoValue { piece: "a".into() }));
    }

    #[test]
    fn an_override_replaces_a_default_and_the_result_is_sorted() {
        let overrides = Overrides::from([("--v".into(), "4".into()), ("--a".into(), "2".into())]);
        assert_eq!(merge([("--b", "1".into()), ("--a", "1".into())], &overrides), ["--a=2", "--b=1", "--v=4"]);
    }
}
