//! What a template is made of, and why it cannot be understood or filled in.

use serde_json::Value;

/// A part of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// A number or a truth value.
    Value(Value),
    Path(Vec<Step>),
    /// For each value of a path.
    Range(Vec<Step>, Vec<Node>),
}

/// One step of a path.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// `$`: back to the whole.
    Root,
    Field(String),
    Wildcard,
    /// `..`: everything below.
    Below,
    /// `[start:end:step]`; the ends as they were given.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `[1]`.
    Index(i64),
    /// `[a,b]`: the values of the first, then those of the second.
    Union(Vec<Step>),
    /// `[?(…)]`: items for which it holds.
    Filter(Operand, Compare, Operand),
    /// `[?(@.x)]`: items that have it.
    Has(Vec<Step>),
}

/// One side of a comparison.
#[derive(Debug, PartialEq)]
pub(super) enum Operand {
    Path(Vec<Step>),
    Value(Value),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Compare {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Why a template cannot be understood, or not be filled in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Wrong {
    /// The template.
    #[error("parsing jsonpath {0}: {1}")]
    Template(String, &'static str),
    /// An index no list has.
    #[error("array index out of bounds: index {0}, length {1}")]
    Bounds(i64, usize),
    /// A slice that begins behind its end.
    #[error("starting index {0} is greater than ending index {1}")]
    Order(i64, i64),
    /// A slice that goes backwards or not at all.
    #[error("step must be > 0")]
    Stride,
    /// An index of what has none.
    #[error("{0} is not array or slice")]
    NoList(&'static str),
    /// Values of different kinds.
    #[error("incompatible types for comparison")]
    Types,
}
