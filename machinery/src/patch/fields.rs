//! Sets of paths into an object, and their wire form `FieldsV1` in `metadata.managedFields`.

mod element;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::element::{ByValue, MAX_SHOWN};
pub use self::element::{PathElement, Scalar, display_path};
pub use self::wire::MalformedFields;

/// A set of paths, as a tree.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FieldSet {
    /// Paths of one element that are in the set.
    pub(crate) members: BTreeSet<PathElement>,
    /// Longer paths by their first element. Being a key here does not make that element a member.
    pub(crate) children: BTreeMap<PathElement, FieldSet>,
}

impl FieldSet {
    /// The set without paths.
    pub fn new() -> Self {
        Self::default()
    }

    /// A set of paths made of field names.
    pub fn of_names(paths: &[&[&str]]) -> Self {
        let mut out = Self::new();
        for path in paths {
            let path: Vec<PathElement> = path.iter().map(|name| PathElement::Field((*name).to_owned())).collect();
            out.insert(&path);
        }
        out
    }

    /// Adds a path; the empty path means the whole object, which nobody owns, and is ignored.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether there is no path in it.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Whether the path is in it.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|c| c.contains(rest)),
        }
    }

    /// Paths of either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.absorb(other);
        out
    }

    /// Adds the paths of the other.
    pub(crate) fn absorb(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (element, theirs) in &other.children {
            self.children.entry(element.clone()).or_default().absorb(theirs);
        }
    }

    /// Paths of both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = |(element, mine): (&PathElement, &Self)| {
            let set = mine.intersection(other.children.get(element)?);
            (!set.is_empty()).then(|| (element.clone(), set))
        };
        Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(both).collect(),
        }
    }

    /// Paths of this set that are not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let rest = |(element, mine): (&PathElement, &Self)| {
            let set = other.children.get(element).map_or_else(|| mine.clone(), |theirs| mine.difference(theirs));
            (!set.is_empty()).then(|| (element.clone(), set))
        };
        Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(rest).collect(),
        }
    }

    /// Without these top-level fields and all below them.
    #[must_use]
    pub fn without_fields(&self, names: &[&str]) -> Self {
        let keep = |element: &PathElement| !matches!(element, PathElement::Field(name) if names.contains(&name.as_str()));
        Self {
            members: self.members.iter().filter(|e| keep(e)).cloned().collect(),
            children: self.children.iter().filter(|(e, _)| keep(e)).map(|(e, c)| (e.clone(), c.clone())).collect(),
        }
    }

    /// All paths: shorter before longer, in order.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut out = Vec::new();
        self.collect(&mut Vec::new(), &mut out);
        out
    }

    fn collect(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Vec<PathElement>>) {
        for member in &self.members {
            let mut path = prefix.clone();
            path.push(member.clone());
            out.push(path);
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect(prefix, out);
            prefix.pop();
        }
    }
}
