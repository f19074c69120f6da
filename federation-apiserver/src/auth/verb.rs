//! What a request wants to do, as RBAC names it.

use std::borrow::Cow;
use std::fmt;

/// An RBAC verb; for paths that are no resources the HTTP method in lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Be told of changes.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change an object.
    Patch,
    /// Delete an object.
    Delete,
    /// Delete many.
    DeleteCollection,
    /// The HTTP method.
    Head,
    /// Act as somebody else.
    Impersonate,
    /// Grant what one does not hold.
    Escalate,
    /// Bind a role one does not hold.
    Bind,
    /// Any other, from reviews and unusual methods.
    Other(Cow<'static, str>),
}

/// Those with a name of their own.
const KNOWN: [Verb; 12] = [
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Update,
    Verb::Patch,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Head,
    Verb::Impersonate,
    Verb::Escalate,
    Verb::Bind,
];

impl Verb {
    /// As it stands in rules.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Head => "head",
            Self::Impersonate => "impersonate",
            Self::Escalate => "escalate",
            Self::Bind => "bind",
            Self::Other(name) => name,
        }
    }

    /// Whether it changes nothing.
    pub fn reads(&self) -> bool {
        matches!(self, Self::Get | Self::List | Self::Watch | Self::Head)
    }

    /// Whether it is about many objects: a field selector may give it a name.
    pub fn of_many(&self) -> bool {
        matches!(self, Self::List | Self::Watch | Self::DeleteCollection)
    }
}

impl Default for Verb {
    fn default() -> Self {
        Self::Other(Cow::Borrowed(""))
    }
}

impl From<&str> for Verb {
    fn from(name: &str) -> Self {
        KNOWN.into_iter().find(|verb| verb.as_str() == name).unwrap_or_else(|| Self::Other(name.to_owned().into()))
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_as_they_are_written() {
        for verb in KNOWN {
            assert_eq!(Verb::from(verb.as_str()), verb);
        }
        assert_eq!(Verb::from("frobnicate").as_str(), "frobnicate");
        assert_eq!(Verb::from(""), Verb::default());
    }
}
