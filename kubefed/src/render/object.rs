//! One rendered object, ready to be printed or applied.

use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Failure;

/// An object and the resource it belongs to.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it lives.
    pub resource: ApiResource,
    /// Its namespace; none for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    value: Value,
}

impl Object {
    /// Renders a typed object. Fields that say nothing (`null`, a null creationTimestamp, an empty status) are left out.
    pub fn new<K>(object: &K) -> Self
    where
        K: kube::Resource<DynamicType = ()> + Serialize,
    {
        let value = serde_json::to_value(object).expect("Kubernetes types serialise to JSON");
        Self::of(ApiResource::erase::<K>(&()), object.meta().namespace.clone(), object.meta().name.clone().unwrap_or_default(), value)
    }

    /// Wraps an object of a kind that has no Rust type here.
    pub fn of(resource: ApiResource, namespace: Option<String>, name: String, mut value: Value) -> Self {
        strip_nulls(&mut value);
        Self { resource, namespace, name, value }
    }

    /// The object as JSON.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// `services/fellowship-federation-apiserver`, for messages.
    pub fn label(&self) -> String {
        format!("{}/{}", self.resource.plural, self.name)
    }

    /// `cluster/gondor`, as kubectl's `-o name` has it but for the group.
    pub fn kind_and_name(&self) -> String {
        format!("{}/{}", self.resource.kind.to_lowercase(), self.name)
    }

    /// The object in the client's dynamic form.
    ///
    /// # Errors
    /// Only if the object has no `metadata`, which rendering rules out.
    pub fn dynamic(&self) -> Result<DynamicObject, Failure> {
        serde_json::from_value(self.value.clone()).map_err(|e| Failure::new(format!("rendering {}: {e}", self.label())))
    }
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// Several objects as one YAML stream, in order.
///
/// # Errors
/// When an object holds something YAML cannot say, which no rendered one does.
pub fn to_yaml(objects: &[Object]) -> Result<String, Failure> {
    let mut text = String::new();
    for object in objects {
        text.push_str("---\n");
        let document =
            serde_saphyr::to_string(&ordered(object.value())).map_err(|e| Failure::new(format!("printing {}: {e}", object.label())))?;
        text.push_str(&document);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(text)
}

/// Several objects as one JSON `List`, in order.
pub fn to_json(objects: &[Object]) -> String {
    let items: Vec<&Value> = objects.iter().map(Object::value).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    format!("{list:#}\n")
}

/// The top level in the order people write it; the rest of JSON objects is sorted by name.
fn ordered(value: &Value) -> Ordered<'_> {
    const FIRST: [&str; 3] = ["apiVersion", "kind", "metadata"];
    let entries = || value.as_object().into_iter().flatten();
    let head = FIRST.iter().filter_map(|first| entries().find(|(k, _)| k == first));
    Ordered(head.chain(entries().filter(|(k, _)| !FIRST.contains(&k.as_str()))).collect())
}

struct Ordered<'a>(Vec<(&'a String, &'a Value)>);

impl Serialize for Ordered<'_> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().copied())
    }
}

/// One value as YAML.
///
/// # Errors
/// When it holds something YAML cannot say.
pub fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|e| Failure::new(format!("printing YAML: {e}")))
}
