//! Elements of paths, their order and how people read them.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use crate::clip;

/// One step of a path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum PathElement {
    /// `f:name`: a field of an object or an entry of a map.
    Field(String),
    /// `k:{…}`: the item of a list with these keys, sorted by name.
    Key(Vec<(String, Scalar)>),
    /// `v:…`: this item of a set.
    Value(Scalar),
    /// `i:0`: the item of a list at this index.
    Index(i64),
}

/// A JSON value with a total order; numbers compare by value, so `1` and `1.0` are the same.
#[derive(Clone, Debug)]
pub struct Scalar(pub Value);

/// A borrowed JSON value in the order of [`Scalar`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByValue<'a>(pub(crate) &'a Value);

impl Ord for ByValue<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0, other.0) {
            (Value::Number(a), Value::Number(b)) => Exact::of(a).cmp(&Exact::of(b)),
            (Value::String(a), Value::String(b)) => a.cmp(b),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            // Up to the first difference, so that two cost no more than the smaller of them.
            (Value::Array(a), Value::Array(b)) => a.iter().map(ByValue).cmp(b.iter().map(ByValue)),
            (Value::Object(a), Value::Object(b)) => a.iter().map(entry).cmp(b.iter().map(entry)),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

fn entry<'a>((name, value): (&'a String, &'a Value)) -> (&'a String, ByValue<'a>) {
    (name, ByValue(value))
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// A number by its exact value: comparing through floats would lose digits, and an order that is none makes sorting panic.
enum Exact {
    Whole(i128),
    /// Not whole, or larger than any [`Exact::Whole`].
    Float(f64),
}

impl Exact {
    fn of(number: &Number) -> Self {
        /// 2^127; whole floats below it are exact as `i128`.
        const LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
        match (number.as_i128(), number.as_f64().unwrap_or_default()) {
            (Some(whole), _) => Self::Whole(whole),
            (None, float) if float.fract() == 0.0 && float.abs() < LIMIT => Self::Whole(float as i128),
            (None, float) => Self::Float(float),
        }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Whole(a), Self::Float(b)) => whole_to_float(*a, *b),
            (Self::Float(a), Self::Whole(b)) => whole_to_float(*b, *a).reverse(),
        }
    }
}

/// The two are never equal. A whole number becomes a float of the same side: where digits are lost, `float` is either
/// far smaller or larger than all of them.
fn whole_to_float(whole: i128, float: f64) -> Ordering {
    match (whole as f64).total_cmp(&float) {
        Ordering::Equal if float > 0.0 => Ordering::Less,
        Ordering::Equal => Ordering::Greater,
        order => order,
    }
}

impl PartialOrd for ByValue<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByValue<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByValue<'_> {}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        ByValue(&self.0).cmp(&ByValue(&other.0))
    }
}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

/// Most bytes that are shown of one element.
pub(crate) const MAX_SHOWN: usize = 253;

/// A path as conflicts name it: `.spec.containers[name="web"].image`.
pub fn display_path(path: &[PathElement]) -> String {
    let one = |element: &PathElement| match element {
        PathElement::Field(name) => format!(".{name}"),
        PathElement::Key(keys) => format!("[{}]", keys.iter().map(|(k, v)| format!("{k}={}", v.0)).collect::<Vec<_>>().join(",")),
        PathElement::Value(value) => format!("[={}]", value.0),
        PathElement::Index(index) => format!("[{index}]"),
    };
    path.iter().map(|element| clip::shown(&one(element), MAX_SHOWN).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn number() -> impl Strategy<Value = Value> {
        let near = prop::sample::select(vec![0_i64, 1, 1 << 53, i64::MAX - 3]);
        let near = (near, -3i64..4).prop_map(|(base, by)| base.saturating_add(by));
        prop_oneof![
            near.clone().prop_map(Value::from),
            near.prop_map(|n| (n as f64).into()),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(Value::from),
            prop::sample::select(vec![-0.0, 0.5, 1e300, -1e300]).prop_map(Value::from),
        ]
    }

    fn nested() -> impl Strategy<Value = Value> {
        prop_oneof![number(), Just(json!("a")), Just(json!(null))].prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn in_one_order(a: &Value, b: &Value, c: &Value) -> Result<(), TestCaseError> {
        let [a, b, c] = [ByValue(a), ByValue(b), ByValue(c)];
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        if a <= b && b <= c {
            prop_assert!(a <= c);
            prop_assert_eq!(a == c, a == b && b == c);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn values_have_one_order(a in nested(), b in nested(), c in nested()) {
            in_one_order(&a, &b, &c)?;
        }

        #[test]
        fn numbers_have_one_order(a in number(), b in number(), c in number()) {
            in_one_order(&a, &b, &c)?;
        }
    }

    #[test]
    fn the_same_number_is_the_same_however_it_is_written() {
        assert_eq!(Scalar(json!(1)), Scalar(json!(1.0)));
        assert_eq!(Scalar(json!(0)), Scalar(json!(-0.0)));
        assert_eq!(Scalar(json!([{"a": 1}])), Scalar(json!([{"a": 1.0}])));
        assert!(Scalar(json!((1_i64 << 53) + 1)) > Scalar(json!((1_u64 << 53) as f64)));
        assert!(Scalar(json!(u64::MAX)) < Scalar(json!(1e300)) && Scalar(json!(i64::MIN)) > Scalar(json!(-1e300)));
    }
}
