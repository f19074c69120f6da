//! What a schema is made of.

use std::collections::HashMap;

use serde_json::Value;

/// Index of a type in a [`Types`] registry.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TypeId(pub u32);

/// Group, version and kind.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

impl Gvk {
    /// From its parts.
    pub fn new(group: impl Into<String>, version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into() }
    }

    /// `group/version`, or just the version in the core group.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// One type: its shape and what is known about it.
#[derive(Clone, Debug)]
pub struct Type {
    /// Upstream name such as `io.k8s.api.apps.v1.Deployment`; empty for anonymous types.
    pub name: String,
    /// Our own words for `explain`; empty for most built-in types.
    pub description: String,
    /// The shape.
    pub shape: Shape,
}

/// What JSON a type admits.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Anything; nothing inside is pruned (`x-kubernetes-preserve-unknown-fields`, RawExtension, FieldsV1).
    Any,
    /// `true` or `false`.
    Boolean,
    /// 32 or 64 bit integer.
    Integer {
        /// Whether it is 64 bits wide.
        wide: bool,
    },
    /// Floating point.
    Number,
    /// Text.
    String(Text),
    /// Integer or string (`intstr.IntOrString`).
    IntOrString,
    /// `resource.Quantity`: a string, or a number that is read as one.
    Quantity,
    /// A list.
    List {
        /// Type of the items.
        items: TypeId,
        /// How two lists are merged.
        merge: ListMerge,
    },
    /// A map from strings.
    Map {
        /// Type of the values.
        values: TypeId,
        /// Apply treats the map as a whole (`x-kubernetes-map-type: atomic`).
        atomic: bool,
    },
    /// Named fields.
    Object(Fields),
}

/// What a string holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Text {
    /// Anything.
    Plain,
    /// Base64 of bytes (`format: byte`).
    Bytes,
    /// RFC 3339 with seconds (`metav1.Time`).
    Time,
    /// RFC 3339 with microseconds (`metav1.MicroTime`).
    MicroTime,
}

/// How two versions of a list are merged by apply and strategic patches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ListMerge {
    /// As a whole.
    Atomic,
    /// As a set of scalars.
    Set,
    /// By these keys of each item (`x-kubernetes-list-map-keys`).
    Map(Vec<String>),
}

/// Fields of an object, by name.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// Apply treats the object as a whole (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
}

/// One field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// JSON name.
    pub name: String,
    /// Its type.
    pub type_id: TypeId,
    /// Must be there.
    pub required: bool,
    /// Value it gets when it is missing.
    pub default: Option<Value>,
    /// Number in upstream's protobuf message, if it has one.
    pub proto: Option<u32>,
    /// Number of the embedded message the field lies in, where upstream's Go type inlines a struct.
    pub proto_within: Option<u32>,
    /// The zero value says nothing and is left out (Go's `omitempty` on a field that is no pointer).
    pub omit_zero: bool,
    /// Strategic merge patch: lists are merged (`merge`), keys retained (`retainKeys`).
    pub patch_merge: bool,
    /// Strategic merge patch: `retainKeys`.
    pub retain_keys: bool,
    /// Strategic merge patch: key of list items.
    pub patch_key: Option<String>,
    /// Our own words for `explain`; empty for most built-in fields.
    pub description: String,
}

impl Fields {
    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|f| f.name.as_str().cmp(name)).ok().map(|i| &self.fields[i])
    }
}

/// A registry of types and the kinds they make.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// All types; [`TypeId`] is an index.
    pub types: Vec<Type>,
    /// Kinds served, by group, version and kind.
    pub kinds: HashMap<Gvk, TypeId>,
    /// Types by upstream name.
    pub names: HashMap<String, TypeId>,
}

impl Types {
    /// The type of that id.
    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }

    /// Adds a kind and its type.
    pub fn add(&mut self, kind: Gvk, of: Type) -> TypeId {
        let id = TypeId(u32::try_from(self.types.len()).unwrap_or(u32::MAX));
        self.names.insert(of.name.clone(), id);
        self.types.push(of);
        self.kinds.insert(kind, id);
        id
    }

    /// The type of a kind.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<TypeId> {
        self.kinds.get(&Gvk::new(group, version, kind)).copied()
    }

    /// The type of that upstream name, such as `io.k8s.api.core.v1.PodSpec`.
    pub fn named(&self, name: &str) -> Option<TypeId> {
        self.names.get(name).copied()
    }

    /// The fields of a type that is an object.
    pub fn fields(&self, id: TypeId) -> Option<&Fields> {
        match &self.get(id).shape {
            Shape::Object(fields) => Some(fields),
            _ => None,
        }
    }
}
