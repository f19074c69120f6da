//! The nodes of a document.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Number, Value};

use super::resolve::{Scalar, Style, resolve};
use super::wrong::Wrong;

/// How a sequence or mapping was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// By indentation.
    Block,
    /// In brackets or braces, as JSON is.
    Flow,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// Text, a number, a truth value or nothing.
    Scalar(String, Style),
    /// A list.
    Sequence(Vec<Node>, Layout),
    /// Keys and values, in the order of the text, doubled ones too.
    Mapping(Vec<(Node, Node)>, Layout),
    /// What stands at the anchor.
    Alias(Rc<Node>),
}

/// One node of a document.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: Rc<Kind>,
    /// Its tag, if one is written: `!!str` as `tag:yaml.org,2002:str`.
    pub tag: Option<String>,
    /// Where its content begins, in bytes of the text; a tag or an anchor stands before that.
    pub start: usize,
    /// Where its content ends. Of a block collection: somewhere before the next token.
    pub end: usize,
    /// The line it begins on, the first one is 1.
    pub line: usize,
    /// The column its content begins at, in characters, the first one is 0.
    pub column: usize,
}

impl Node {
    /// The node itself, or the one an alias stands for.
    pub fn target(&self) -> &Self {
        let mut node = self;
        while let Kind::Alias(to) = &*node.kind {
            node = to;
        }
        node
    }

    /// The values under a key, `<<` included, the one that counts last. Keys are compared as kubectl does: as JSON text.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Kind::Mapping(pairs, _) = &*self.target().kind else { return None };
        // The parser kubectl uses sets keys in the order of the text, and those of a merge where the merge stands.
        pairs.iter().rev().find_map(|(k, v)| if k.is_merge() { v.merged(key) } else { (k.key().as_deref() == Some(key)).then_some(v) })
    }

    fn merged(&self, key: &str) -> Option<&Self> {
        match &*self.target().kind {
            // Of several, the first one that has the key counts.
            Kind::Sequence(items, _) => items.iter().find_map(|item| item.get(key)),
            _ => self.get(key),
        }
    }

    /// Whether this key is `<<`, the key of a merge.
    pub fn is_merge(&self) -> bool {
        matches!(&*self.kind, Kind::Scalar(text, Style::Plain) if text == "<<" && self.tag.is_none())
            || self.tag.as_deref() == Some("tag:yaml.org,2002:merge")
    }

    /// Every key that counts with its value, merges spread out, sorted by key.
    pub fn entries(&self) -> BTreeMap<String, &Self> {
        let mut all = BTreeMap::new();
        self.spread(&mut all);
        all
    }

    fn spread<'a>(&'a self, all: &mut BTreeMap<String, &'a Self>) {
        match &*self.target().kind {
            Kind::Mapping(pairs, _) => {
                for (key, value) in pairs {
                    if key.is_merge() {
                        value.spread(all);
                    } else if let Some(key) = key.key() {
                        all.insert(key, value);
                    }
                }
            }
            // Only as the value of a merge.
            Kind::Sequence(items, _) => items.iter().rev().for_each(|item| item.spread(all)),
            _ => {}
        }
    }

    /// The key as JSON has it; none where JSON cannot have it.
    pub(super) fn key(&self) -> Option<String> {
        Some(match self.scalar().ok()?? {
            Scalar::Null => return None,
            Scalar::Bool(value) => value.to_string(),
            Scalar::Int(value) => value,
            Scalar::Float(value) => value.to_string(),
            Scalar::Text(text) => text.into_owned(),
        })
    }

    /// What a scalar is; none if it is a sequence or a mapping.
    ///
    /// # Errors
    /// A tag that does not fit, by its line.
    pub fn scalar(&self) -> Result<Option<Scalar<'_>>, Wrong> {
        let node = self.target();
        match &*node.kind {
            Kind::Scalar(text, style) => {
                resolve(node.tag.as_deref(), text, *style).map(Some).map_err(|why| Wrong::new(node.line, why.to_string()))
            }
            _ => Ok(None),
        }
    }

    /// Whether it is nothing at all: `null`, `~` or empty.
    pub fn is_null(&self) -> bool {
        matches!(self.scalar(), Ok(Some(Scalar::Null)))
    }

    /// The value as JSON, as kubectl's parser makes it.
    ///
    /// # Errors
    /// What JSON cannot have, by its line.
    pub fn json(&self) -> Result<Value, Wrong> {
        let node = self.target();
        Ok(match &*node.kind {
            Kind::Sequence(items, _) => Value::Array(items.iter().map(Self::json).collect::<Result<_, _>>()?),
            Kind::Mapping(..) => Value::Object(node.entries().into_iter().map(|(k, v)| Ok((k, v.json()?))).collect::<Result<_, Wrong>>()?),
            _ => match node.scalar()?.unwrap_or(Scalar::Null) {
                Scalar::Null => Value::Null,
                Scalar::Bool(value) => Value::Bool(value),
                Scalar::Int(text) => match text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)) {
                    Ok(number) => Value::Number(number),
                    Err(_) => Value::Null,
                },
                Scalar::Float(value) => {
                    Value::Number(Number::from_f64(value).ok_or_else(|| Wrong::new(node.line, "this number has no finite value"))?)
                }
                Scalar::Text(text) => Value::String(text.into_owned()),
            },
        })
    }

    /// Whether two nodes mean the same, and what is not text is spelt the same; places, layout and quotes do not count.
    pub fn same(&self, other: &Self) -> bool {
        let (a, b) = (self.target(), other.target());
        a.tag == b.tag
            && match (&*a.kind, &*b.kind) {
                (Kind::Scalar(x, s), Kind::Scalar(y, t)) => match (a.scalar(), b.scalar()) {
                    (Ok(Some(Scalar::Text(x))), Ok(Some(Scalar::Text(y)))) => x == y,
                    (Ok(Some(Scalar::Null)), Ok(Some(Scalar::Null))) => true,
                    _ => x == y && s == t,
                },
                (Kind::Sequence(x, _), Kind::Sequence(y, _)) => x.len() == y.len() && x.iter().zip(y).all(|(p, q)| p.same(q)),
                (Kind::Mapping(x, _), Kind::Mapping(y, _)) => {
                    x.len() == y.len() && x.iter().zip(y).all(|((k, v), (l, w))| k.same(l) && v.same(w))
                }
                _ => false,
            }
    }
}
