//! Component schemas (v3) or definitions (v2).

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::schema::{Field, Gvk, ListMerge, Shape, Text, TypeId, Types};

/// The two forms of a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    V2,
    V3,
}

/// Schemas collected so far, with everything they refer to.
pub(super) struct Schemas<'a> {
    types: &'a Types,
    dialect: Dialect,
    kinds: HashMap<TypeId, Vec<&'a Gvk>>,
    done: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(types: &'a Types, dialect: Dialect) -> Self {
        let mut kinds: HashMap<TypeId, Vec<&Gvk>> = HashMap::new();
        for (gvk, id) in &types.kinds {
            kinds.entry(*id).or_default().push(gvk);
        }
        kinds.values_mut().for_each(|v| v.sort_by(|a, b| (&a.group, &a.version).cmp(&(&b.group, &b.version))));
        Self { types, dialect, kinds, done: BTreeMap::new() }
    }

    /// Adds a type by name; names that are not in the tables are passed over.
    pub(super) fn add_named(&mut self, name: &str) {
        if let Some(id) = self.types.named(name) {
            self.add(id);
        }
    }

    /// Adds the type of a kind.
    pub(super) fn add_kind(&mut self, gvk: &Gvk) {
        if let Some(id) = self.types.kind(&gvk.group, &gvk.version, &gvk.kind) {
            self.add(id);
        }
    }

    /// Adds the list type of a kind; the tables hold none because all lists look alike.
    pub(super) fn add_list(&mut self, gvk: &Gvk) {
        let Some(name) = self.name_of(gvk) else { return };
        self.add_named("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta");
        let list = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": self.reference("io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"),
                "items": {"type": "array", "items": self.reference(&name)},
            },
            "x-kubernetes-group-version-kind": [{"group": gvk.group, "version": gvk.version, "kind": format!("{}List", gvk.kind)}],
        });
        self.done.insert(format!("{name}List"), list);
    }

    /// Schema name of a kind.
    pub(super) fn name_of(&self, gvk: &Gvk) -> Option<String> {
        self.types.kind(&gvk.group, &gvk.version, &gvk.kind).map(|id| self.types.get(id).name.clone())
    }

    /// `{"$ref": …}` to a schema by name.
    pub(super) fn reference(&self, name: &str) -> Value {
        match self.dialect {
            Dialect::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Dialect::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.done.into_iter().collect()
    }

    fn add(&mut self, id: TypeId) {
        let ty = self.types.get(id);
        if ty.name.is_empty() || self.done.contains_key(&ty.name) {
            return;
        }
        // Marks it as done before its fields are looked at, for types that refer to themselves.
        self.done.insert(ty.name.clone(), Value::Null);
        let mut schema = self.shape(&ty.shape);
        describe(&mut schema, &ty.description);
        if let Some(kinds) = self.kinds.get(&id) {
            let kinds: Vec<Value> = kinds.iter().map(|k| json!({"group": k.group, "version": k.version, "kind": k.kind})).collect();
            schema["x-kubernetes-group-version-kind"] = kinds.into();
        }
        self.done.insert(ty.name.clone(), schema);
    }

    /// A reference to a named type, or the schema of an anonymous one.
    fn use_of(&mut self, id: TypeId) -> Value {
        let ty = self.types.get(id);
        if ty.name.is_empty() {
            return self.shape(&ty.shape);
        }
        self.add(id);
        self.reference(&ty.name)
    }

    fn shape(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Any => json!({"type": "object"}),
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Integer { wide } => json!({"type": "integer", "format": if *wide { "int64" } else { "int32" }}),
            Shape::Number => json!({"type": "number", "format": "double"}),
            Shape::String(Text::Plain) => json!({"type": "string"}),
            Shape::String(Text::Bytes) => json!({"type": "string", "format": "byte"}),
            Shape::String(Text::Time | Text::MicroTime) => json!({"type": "string", "format": "date-time"}),
            Shape::IntOrString if self.dialect == Dialect::V2 => json!({"type": "string", "format": "int-or-string"}),
            Shape::IntOrString => json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}),
            Shape::Quantity if self.dialect == Dialect::V2 => json!({"type": "string"}),
            Shape::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Shape::List { items, merge } => {
                let mut schema = json!({"type": "array", "items": self.use_of(*items)});
                match merge {
                    ListMerge::Atomic => schema["x-kubernetes-list-type"] = "atomic".into(),
                    ListMerge::Set => schema["x-kubernetes-list-type"] = "set".into(),
                    ListMerge::Map(keys) => {
                        schema["x-kubernetes-list-type"] = "map".into();
                        schema["x-kubernetes-list-map-keys"] = keys.clone().into();
                    }
                }
                schema
            }
            Shape::Map { values, atomic } => {
                let mut schema = json!({"type": "object", "additionalProperties": self.use_of(*values)});
                if *atomic {
                    schema["x-kubernetes-map-type"] = "atomic".into();
                }
                schema
            }
            Shape::Object(fields) => {
                let properties: Map<String, Value> = fields.fields.iter().map(|f| (f.name.clone(), self.field(f))).collect();
                let required: Vec<Value> = fields.fields.iter().filter(|f| f.required).map(|f| f.name.clone().into()).collect();
                let mut schema = json!({"type": "object", "properties": properties});
                if !required.is_empty() {
                    schema["required"] = required.into();
                }
                if fields.atomic {
                    schema["x-kubernetes-map-type"] = "atomic".into();
                }
                schema
            }
        }
    }

    fn field(&mut self, field: &Field) -> Value {
        let mut extra = Map::new();
        if !field.description.is_empty() {
            extra.insert("description".into(), field.description.clone().into());
        }
        if let Some(default) = &field.default {
            extra.insert("default".into(), default.clone());
        }
        let strategies: Vec<&str> =
            [(field.patch_merge, "merge"), (field.retain_keys, "retainKeys")].iter().filter(|(set, _)| *set).map(|(_, s)| *s).collect();
        if !strategies.is_empty() {
            extra.insert("x-kubernetes-patch-strategy".into(), strategies.join(",").into());
        }
        if let Some(key) = &field.patch_key {
            extra.insert("x-kubernetes-patch-merge-key".into(), key.clone().into());
        }
        let mut schema = self.use_of(field.type_id);
        // In v3 nothing may stand beside a `$ref`, so it is wrapped.
        if self.dialect == Dialect::V3 && schema.get("$ref").is_some() && !extra.is_empty() {
            schema = json!({"allOf": [schema]});
        }
        if let Value::Object(map) = &mut schema {
            map.extend(extra);
        }
        schema
    }
}

fn describe(schema: &mut Value, words: &str) {
    if !words.is_empty() {
        schema["description"] = words.into();
    }
}
