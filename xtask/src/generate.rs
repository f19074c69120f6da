//! `cargo xtask generate`: writes `machinery/src/schema/builtin.json` from what Kubernetes publishes
//! in its Go modules.
//!
//! The OpenAPI v3 documents of `k8s.io/kubernetes` give field types, list and map types, patch keys,
//! required fields and defaults; the struct tags of `k8s.io/api` and `k8s.io/apimachinery` give
//! protobuf numbers, embedded structs and which zero values Go leaves out. Only names, types, keys
//! and numbers are kept. The result is committed, so nobody needs Go to build the project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use serde_json::{Map, Value, json};

mod go;

const KUBERNETES: &str = "k8s.io/kubernetes@v1.36.3";
const API: &str = "k8s.io/api@v0.36.3";
const APIMACHINERY: &str = "k8s.io/apimachinery@v0.36.3";
const OUTPUT: &str = "machinery/src/schema/builtin.json";
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const REF: &str = "#/components/schemas/";

/// Kinds whose types are kept, with everything they refer to: package below `io.k8s.api.`, kinds.
const ROOTS: &[(&str, &[&str])] = &[
    (
        "core.v1",
        &[
            "Namespace",
            "ConfigMap",
            "Secret",
            "Service",
            "Event",
            "ServiceAccount",
            "Endpoints",
            "Node",
            "Pod",
            "PersistentVolume",
            "PersistentVolumeClaim",
        ],
    ),
    ("discovery.v1", &["EndpointSlice"]),
    ("apps.v1", &["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet"]),
    ("batch.v1", &["Job", "CronJob"]),
    ("autoscaling.v1", &["HorizontalPodAutoscaler", "Scale"]),
    ("autoscaling.v2", &["HorizontalPodAutoscaler"]),
    ("networking.v1", &["Ingress", "IngressClass", "NetworkPolicy"]),
    ("policy.v1", &["PodDisruptionBudget"]),
    ("rbac.v1", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("certificates.v1", &["CertificateSigningRequest"]),
    ("coordination.v1", &["Lease"]),
    ("authorization.v1", &["SelfSubjectAccessReview", "SubjectAccessReview", "LocalSubjectAccessReview", "SelfSubjectRulesReview"]),
    ("authentication.v1", &["SelfSubjectReview", "TokenReview", "TokenRequest"]),
    ("events.v1", &["Event"]),
];

/// Types of `meta/v1` that no root refers to.
const META_ROOTS: &[&str] =
    &["DeleteOptions", "Status", "Patch", "WatchEvent", "APIGroupList", "APIGroup", "APIResourceList", "APIVersions", "ListMeta"];

/// Component schemas that are scalars or opaque, by name.
const SCALARS: &[(&str, &str)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", "quantity"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", "time"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", "microtime"),
    ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", "intorstring"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", "fieldsv1"),
    ("io.k8s.apimachinery.pkg.runtime.RawExtension", "raw"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Patch", "patch"),
];

/// Runs the generator; errors say which input was missing or not understood.
pub(crate) fn run(root: &Path) -> Result<String, String> {
    let kubernetes = module(KUBERNETES)?;
    let structs = go::read_structs(&[module(API)?, module(APIMACHINERY)?]).map_err(|e| format!("reading Go types: {e}"))?;
    let schemas = read_schemas(&kubernetes.join("api/openapi-spec/v3")).map_err(|e| format!("reading OpenAPI documents: {e}"))?;
    let mut lines = Vec::new();
    for name in reachable(&schemas)? {
        if SCALARS.iter().all(|(scalar, _)| *scalar != name) {
            lines.push(type_line(&name, &schemas[&name], &structs)?.to_string());
        }
    }
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = root.join(OUTPUT);
    fs::write(&path, &text).map_err(|e| format!("writing {}: {e}", path.display()))?;
    Ok(format!("{}: {} types, {} bytes", OUTPUT, lines.len(), text.len()))
}

/// Directory of a Go module, downloaded when it is not in the module cache.
fn module(version: &str) -> Result<PathBuf, String> {
    let out = Command::new("go")
        .args(["mod", "download", "-json", version])
        .current_dir(std::env::temp_dir())
        .output()
        .map_err(|e| format!("running `go mod download`: {e}; the generator needs Go"))?;
    let answer: Value = serde_json::from_slice(&out.stdout).map_err(|e| format!("`go mod download {version}`: {e}"))?;
    match answer["Dir"].as_str() {
        Some(dir) => Ok(PathBuf::from(dir)),
        None => Err(format!("`go mod download {version}`: {}", answer["Error"])),
    }
}

fn read_schemas(dir: &Path) -> io::Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<io::Result<_>>()?;
    files.sort();
    for file in files {
        let document: Value = serde_json::from_slice(&fs::read(file)?)?;
        if let Some(schemas) = document["components"]["schemas"].as_object() {
            all.extend(schemas.iter().map(|(k, v)| (k.clone(), v.clone())));
        }
    }
    Ok(all)
}

fn reachable(schemas: &BTreeMap<String, Value>) -> Result<BTreeSet<String>, String> {
    let api = ROOTS.iter().flat_map(|(package, kinds)| kinds.iter().map(move |k| format!("io.k8s.api.{package}.{k}")));
    let mut todo: Vec<String> = api.chain(META_ROOTS.iter().map(|k| format!("{META}{k}"))).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = todo.pop() {
        let schema = schemas.get(&name).ok_or_else(|| format!("no schema is named {name}"))?;
        if seen.insert(name) {
            collect_refs(schema, &mut todo);
        }
    }
    Ok(seen)
}

fn collect_refs(schema: &Value, out: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            out.extend(map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(REF)).map(str::to_owned));
            map.values().for_each(|v| collect_refs(v, out));
        }
        Value::Array(list) => list.iter().for_each(|v| collect_refs(v, out)),
        _ => {}
    }
}

/// One type as the reader in `machinery::schema::builtin` expects it.
fn type_line(name: &str, schema: &Value, structs: &go::Structs) -> Result<Value, String> {
    let mut line = Map::new();
    line.insert("n".into(), name.into());
    if let Some(kind) = own_kind(name, schema) {
        line.insert("g".into(), kind);
    }
    if schema["x-kubernetes-map-type"] == "atomic" {
        line.insert("a".into(), true.into());
    }
    let facts = structs.fields_of(name);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = Vec::new();
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        let fact = facts.get(field.as_str());
        fields.push(field_line(field, property, required.contains(&field.as_str()), fact).map_err(|e| format!("{name}.{field}: {e}"))?);
    }
    line.insert("f".into(), fields.into());
    Ok(line.into())
}

/// Group, version and kind of a type that has one of its own; shared types such as `DeleteOptions`
/// are listed upstream under every group and kept under the core group here.
fn own_kind(name: &str, schema: &Value) -> Option<Value> {
    let kinds = schema["x-kubernetes-group-version-kind"].as_array()?;
    let kind = if name.starts_with(META) {
        kinds.iter().find(|k| k["group"] == "" && k["version"] == "v1")
    } else {
        kinds.iter().find(|k| name.contains(&format!(".{}.", k["version"].as_str().unwrap_or_default())))
    }?;
    Some(json!([kind["group"], kind["version"], kind["kind"]]))
}

fn field_line(name: &str, property: &Value, required: bool, fact: Option<&go::Fact>) -> Result<Value, String> {
    let mut line = Map::new();
    line.insert("n".into(), name.into());
    let expression = type_expression(property)?;
    line.insert("t".into(), expression.clone().into());
    let strategy = property["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    let mut flags = String::new();
    for (flag, set) in [
        ('r', required),
        ('z', fact.is_some_and(|f| f.omits_zero)),
        ('m', strategy.split(',').any(|s| s == "merge")),
        ('k', strategy.split(',').any(|s| s == "retainKeys")),
    ] {
        if set {
            flags.push(flag);
        }
    }
    if !flags.is_empty() {
        line.insert("f".into(), flags.into());
    }
    if let Some(key) = property["x-kubernetes-patch-merge-key"].as_str() {
        line.insert("k".into(), key.into());
    }
    if let Some(fact) = fact {
        line.insert("p".into(), fact.number.into());
        if let Some(within) = fact.within {
            line.insert("w".into(), within.into());
        }
    }
    let always_there =
        property["default"] == json!({}) && SCALARS.iter().all(|(_, short)| *short != expression) && !expression.starts_with('{');
    if always_there || !is_zero(&property["default"]) {
        line.insert("d".into(), property["default"].clone());
    }
    Ok(line.into())
}

/// Upstream prints `default: ""` for every field that is no pointer; it says nothing. (`default: {}`
/// is kept for structs: they are always there.)
fn is_zero(default: &Value) -> bool {
    match default {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
    }
}

/// A type in short: `[key,key]T` a list merged by keys, `[=]T` a set, `[]T` atomic, `{}T` a map,
/// `{!}T` a map applied as a whole, otherwise a scalar or the name of a type.
fn type_expression(schema: &Value) -> Result<String, String> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
    if let Some(name) = reference.and_then(|r| r.strip_prefix(REF)) {
        return Ok(SCALARS.iter().find(|(n, _)| *n == name).map_or(name, |(_, short)| short).to_owned());
    }
    let text = |key: &str| schema[key].as_str().unwrap_or_default();
    match (text("type"), text("format")) {
        ("string", "byte") => Ok("bytes".into()),
        ("string", _) => Ok("string".into()),
        ("boolean", _) => Ok("bool".into()),
        ("integer", "int32") => Ok("int32".into()),
        ("integer", "int64") => Ok("int64".into()),
        ("number", _) => Ok("double".into()),
        ("array", _) => {
            let items = type_expression(&schema["items"])?;
            let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            Ok(match text("x-kubernetes-list-type") {
                "map" => format!("[{}]{items}", keys.join(",")),
                "set" => format!("[=]{items}"),
                _ => format!("[]{items}"),
            })
        }
        ("object", _) if schema["additionalProperties"].is_object() => {
            let values = type_expression(&schema["additionalProperties"])?;
            Ok(if text("x-kubernetes-map-type") == "atomic" { format!("{{!}}{values}") } else { format!("{{}}{values}") })
        }
        other => Err(format!("no rule for {other:?}")),
    }
}
