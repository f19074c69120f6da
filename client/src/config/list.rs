//! The lists of entries.

/// The lists of a kubeconfig.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum List {
    /// Its clusters.
    Clusters,
    /// Its users.
    Users,
    /// Its contexts.
    Contexts,
}

impl List {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Clusters, Self::Users, Self::Contexts];

    /// The list's key in a file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Users => "users",
            Self::Contexts => "contexts",
        }
    }

    /// The key of one entry's fields, which is also the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Users => "user",
            Self::Contexts => "context",
        }
    }
}
