//! Reads the committed type tables: `builtin.json` (generated, see `cargo xtask generate`) and
//! `federation.json` (our own kinds, written by hand in the same form).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::Value;

use super::defaults::FACTS;
use super::{Field, Fields, Gvk, ListMerge, Shape, Text, Type, TypeId, Types};

/// One type of a table.
#[derive(Deserialize)]
struct Line {
    /// Upstream name.
    n: String,
    /// Group, version, kind.
    g: Option<[String; 3]>,
    /// Applied as a whole.
    #[serde(default)]
    a: bool,
    /// Fields, sorted by name.
    f: Vec<FieldLine>,
    /// Our own words.
    #[serde(default)]
    doc: String,
}

/// One field of a type.
#[derive(Deserialize)]
struct FieldLine {
    /// JSON name.
    n: String,
    /// Type expression.
    t: String,
    /// Flags: `r` required, `z` zero left out, `m` patch merge, `k` retain keys.
    #[serde(default)]
    f: String,
    /// Patch merge key.
    k: Option<String>,
    /// Protobuf number.
    p: Option<u32>,
    /// Number of the embedded message around it.
    w: Option<u32>,
    /// Default.
    d: Option<Value>,
    /// Our own words.
    #[serde(default)]
    doc: String,
}

/// Scalars by their short name, with the upstream name where they are types of their own.
const SCALARS: &[(&str, &str, Shape)] = &[
    ("string", "", Shape::String(Text::Plain)),
    ("bytes", "", Shape::String(Text::Bytes)),
    ("bool", "", Shape::Boolean),
    ("int32", "", Shape::Integer { wide: false }),
    ("int64", "", Shape::Integer { wide: true }),
    ("double", "", Shape::Number),
    ("any", "", Shape::Any),
    ("time", "io.k8s.apimachinery.pkg.apis.meta.v1.Time", Shape::String(Text::Time)),
    ("microtime", "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Shape::String(Text::MicroTime)),
    ("quantity", "io.k8s.apimachinery.pkg.api.resource.Quantity", Shape::Quantity),
    ("intorstring", "io.k8s.apimachinery.pkg.util.intstr.IntOrString", Shape::IntOrString),
    ("fieldsv1", "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", Shape::Any),
    ("raw", "io.k8s.apimachinery.pkg.runtime.RawExtension", Shape::Any),
    ("patch", "io.k8s.apimachinery.pkg.apis.meta.v1.Patch", Shape::Any),
];

static TYPES: LazyLock<Arc<Types>> = LazyLock::new(|| {
    let types = compile(&[include_str!("builtin.json"), include_str!("federation.json")]);
    Arc::new(types.expect("the committed tables are checked by this module's tests"))
});

impl Types {
    /// The built-in kinds and our own, compiled on first use.
    pub fn builtin() -> &'static Self {
        &TYPES
    }

    /// The same, for an owner that may get other types one day.
    pub fn shared() -> Arc<Self> {
        Arc::clone(&TYPES)
    }
}

/// Compiles tables; an error names the line that refers to an unknown type.
fn compile(tables: &[&str]) -> Result<Types, String> {
    let mut lines: Vec<Line> = Vec::new();
    for table in tables {
        lines.extend(serde_json::from_str::<Vec<Line>>(table).map_err(|e| e.to_string())?);
    }
    let mut build = Build::default();
    for (short, name, shape) in SCALARS {
        let id = build.push(name, shape.clone());
        build.expressions.insert((*short).to_owned(), id);
    }
    for line in &lines {
        let id = build.push(&line.n, Shape::Object(Fields::default()));
        build.expressions.insert(line.n.clone(), id);
        if let Some([group, version, kind]) = &line.g {
            build.types.kinds.insert(Gvk::new(group, version, kind), id);
        }
    }
    for line in lines {
        let id = build.expressions[&line.n];
        let mut fields =
            line.f.into_iter().map(|f| build.field(f)).collect::<Result<Vec<_>, _>>().map_err(|e| format!("{}: {e}", line.n))?;
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        let ty = &mut build.types.types[id.0 as usize];
        ty.shape = Shape::Object(Fields { fields, atomic: line.a });
        ty.description = line.doc;
    }
    for (owner, name, default) in FACTS {
        build.fact(owner, name, default);
    }
    Ok(build.types)
}

#[derive(Default)]
struct Build {
    types: Types,
    expressions: HashMap<String, TypeId>,
}

impl Build {
    fn push(&mut self, name: &str, shape: Shape) -> TypeId {
        let id = TypeId(u32::try_from(self.types.types.len()).expect("far fewer than 2^32 types"));
        self.types.types.push(Type { name: name.to_owned(), description: String::new(), shape });
        if !name.is_empty() {
            self.types.names.insert(name.to_owned(), id);
        }
        id
    }

    fn field(&mut self, line: FieldLine) -> Result<Field, String> {
        let flag = |c| line.f.contains(c);
        Ok(Field {
            type_id: self.expression(&line.t).map_err(|e| format!("{}: {e}", line.n))?,
            required: flag('r'),
            omit_zero: flag('z'),
            patch_merge: flag('m'),
            retain_keys: flag('k'),
            name: line.n,
            default: line.d,
            proto: line.p,
            proto_within: line.w,
            patch_key: line.k,
            description: line.doc,
        })
    }

    /// Gives a field a default of our fact table; types that are not in the tables are passed over.
    fn fact(&mut self, owner: &str, name: &str, default: &str) {
        let Some(id) = self.types.names.get(owner) else { return };
        if let Shape::Object(fields) = &mut self.types.types[id.0 as usize].shape
            && let Ok(i) = fields.fields.binary_search_by(|f| f.name.as_str().cmp(name))
        {
            fields.fields[i].default = serde_json::from_str(default).ok();
        }
    }

    /// The type of an expression; equal expressions share one type.
    fn expression(&mut self, text: &str) -> Result<TypeId, String> {
        if let Some(id) = self.expressions.get(text) {
            return Ok(*id);
        }
        let shape = if let Some((keys, items)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
            let merge = match keys {
                "" => ListMerge::Atomic,
                "=" => ListMerge::Set,
                keys => ListMerge::Map(keys.split(',').map(str::to_owned).collect()),
            };
            Shape::List { items: self.expression(items)?, merge }
        } else if let Some((mark, values)) = text.strip_prefix('{').and_then(|t| t.split_once('}')) {
            Shape::Map { values: self.expression(values)?, atomic: mark == "!" }
        } else {
            return Err(format!("unknown type {text}"));
        };
        let id = self.push("", shape);
        self.expressions.insert(text.to_owned(), id);
        Ok(id)
    }
}

#[cfg(test)]
#[path = "federation_tests.rs"]
mod federation_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_compile_and_hold_the_kinds_we_serve() {
        let types = Types::builtin();
        for (group, version, kind) in [
            ("", "v1", "Namespace"),
            ("apps", "v1", "Deployment"),
            ("autoscaling", "v2", "HorizontalPodAutoscaler"),
            ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
            ("federation", "v1beta1", "Cluster"),
            ("federation", "v1beta1", "PropagationRecord"),
            ("", "v1", "DeleteOptions"),
        ] {
            assert!(types.kind(group, version, kind).is_some(), "{group}/{version} {kind}");
        }
    }

    #[test]
    fn list_keys_patch_keys_and_numbers_are_upstream_s() {
        let types = Types::builtin();
        let container = types.fields(types.named("io.k8s.api.core.v1.Container").unwrap()).unwrap();
        let ports = container.get("ports").unwrap();
        let Shape::List { merge, .. } = &types.get(ports.type_id).shape else { panic!("ports is a list") };
        assert_eq!(*merge, ListMerge::Map(vec!["containerPort".into(), "protocol".into()]));
        assert_eq!((ports.patch_merge, ports.patch_key.as_deref(), ports.proto), (true, Some("containerPort"), Some(6)));
        let volume = types.fields(types.named("io.k8s.api.core.v1.Volume").unwrap()).unwrap();
        let secret = volume.get("secret").unwrap();
        assert_eq!((secret.proto_within, secret.proto), (Some(2), Some(6)));
    }

    #[test]
    fn every_fact_names_a_field_and_is_json() {
        let types = Types::builtin();
        for (owner, name, default) in FACTS {
            let fields = types.fields(types.named(owner).unwrap_or_else(|| panic!("{owner}"))).unwrap();
            let field = fields.get(name).unwrap_or_else(|| panic!("{owner}.{name}"));
            assert_eq!(field.default, Some(serde_json::from_str(default).unwrap()), "{owner}.{name}");
        }
    }

    #[test]
    fn a_table_with_an_unknown_type_is_refused() {
        let error = compile(&[r#"[{"n":"a.B","f":[{"n":"x","t":"[]a.C"}]}]"#]).unwrap_err();
        assert_eq!(error, "a.B: x: unknown type a.C");
    }
}
