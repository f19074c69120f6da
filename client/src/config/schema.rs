//! The fields of a kubeconfig's entries (client-go's `clientcmd/api/v1`), for paths that name one and for entries with
//! fields that nobody knows.

use super::entries::Fields;
use super::list::List;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// Bytes, written as base64.
    Bytes,
    /// True or false.
    Flag,
    /// A list of texts.
    Texts,
    /// Fields with these names.
    Fields(&'static [Field]),
    /// Any keys with a text each.
    Settings,
    /// Any keys with a list of texts each.
    Lists,
    /// A list of `name` and `value`.
    Variables,
    /// Other programs' data.
    Extensions,
}

/// One field.
#[derive(Debug, PartialEq)]
pub(super) struct Field {
    /// Its name in a file.
    pub(super) name: &'static str,
    /// Its name in kubectl's paths, which are those of client-go's internal types.
    pub(super) alias: &'static str,
    /// What it holds.
    pub(super) kind: Kind,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    renamed(name, name, kind)
}

/// A field that kubectl's paths call otherwise.
const fn renamed(name: &'static str, alias: &'static str, kind: Kind) -> Field {
    Field { name, alias, kind }
}

const CLUSTER: &[Field] = &[
    field("server", Kind::Text),
    field("tls-server-name", Kind::Text),
    field("insecure-skip-tls-verify", Kind::Flag),
    field("certificate-authority", Kind::Text),
    field("certificate-authority-data", Kind::Bytes),
    field("proxy-url", Kind::Text),
    field("disable-compression", Kind::Flag),
    field("extensions", Kind::Extensions),
];

const USER: &[Field] = &[
    field("client-certificate", Kind::Text),
    field("client-certificate-data", Kind::Bytes),
    field("client-key", Kind::Text),
    field("client-key-data", Kind::Bytes),
    field("token", Kind::Text),
    field("tokenFile", Kind::Text),
    renamed("as", "act-as", Kind::Text),
    renamed("as-uid", "act-as-uid", Kind::Text),
    renamed("as-groups", "act-as-groups", Kind::Texts),
    renamed("as-user-extra", "act-as-user-extra", Kind::Lists),
    field("username", Kind::Text),
    field("password", Kind::Text),
    field("auth-provider", Kind::Fields(&[field("name", Kind::Text), field("config", Kind::Settings)])),
    field(
        "exec",
        Kind::Fields(&[
            field("command", Kind::Text),
            field("args", Kind::Texts),
            field("env", Kind::Variables),
            field("apiVersion", Kind::Text),
            field("installHint", Kind::Text),
            field("provideClusterInfo", Kind::Flag),
            field("interactiveMode", Kind::Text),
        ]),
    ),
    field("extensions", Kind::Extensions),
];

const CONTEXT: &[Field] =
    &[field("cluster", Kind::Text), field("user", Kind::Text), field("namespace", Kind::Text), field("extensions", Kind::Extensions)];

/// The fields of a list's entries.
pub(super) fn of(list: List) -> &'static [Field] {
    match list {
        List::Clusters => CLUSTER,
        List::Users => USER,
        List::Contexts => CONTEXT,
    }
}

/// The field of a name, in a file or in kubectl's paths.
pub(super) fn find(fields: &'static [Field], name: &str) -> Option<&'static Field> {
    fields.iter().find(|field| field.name == name || field.alias == name)
}

/// The fields of an entry that nobody knows, each with the known one that may have been meant.
pub fn unknown_fields(list: List, fields: &Fields) -> Vec<(String, Option<&'static str>)> {
    let known = of(list);
    let strangers = fields.keys().filter(|name| known.iter().all(|field| field.name != **name));
    strangers.map(|name| (name.clone(), meant(known, name))).collect()
}

/// Letters that may be wrong in a name that was meant.
const TYPOS: usize = 2;

fn meant(known: &'static [Field], name: &str) -> Option<&'static str> {
    let distance = |field: &&Field| strsim::osa_distance(field.name, &name.to_lowercase()).min(strsim::osa_distance(field.name, name));
    known.iter().filter(|field| name.len() < 64 && distance(field) <= TYPOS).min_by_key(distance).map(|field| field.name)
}
