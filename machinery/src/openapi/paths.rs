//! Paths and operations of a resource.

use serde_json::{Map, Value, json};

use super::schemas::{Dialect, Schemas};
use super::served::Served;
use crate::schema::Gvk;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// One verb as an operation: action in ids and extensions, HTTP method, the verb, query parameters.
struct Operation {
    verb: &'static str,
    action: &'static str,
    method: &'static str,
    parameters: &'static [(&'static str, &'static str)],
}

const LIST_PARAMETERS: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];
const WRITE_PARAMETERS: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCH_PARAMETERS: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETE_PARAMETERS: &[(&str, &str)] =
    &[("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("orphanDependents", "boolean"), ("propagationPolicy", "string")];

const COLLECTION: &[Operation] = &[
    Operation { verb: "list", action: "list", method: "get", parameters: LIST_PARAMETERS },
    Operation { verb: "create", action: "post", method: "post", parameters: WRITE_PARAMETERS },
    Operation { verb: "deletecollection", action: "deletecollection", method: "delete", parameters: LIST_PARAMETERS },
];
const ITEM: &[Operation] = &[
    Operation { verb: "get", action: "get", method: "get", parameters: &[] },
    Operation { verb: "update", action: "put", method: "put", parameters: WRITE_PARAMETERS },
    Operation { verb: "patch", action: "patch", method: "patch", parameters: PATCH_PARAMETERS },
    Operation { verb: "delete", action: "delete", method: "delete", parameters: DELETE_PARAMETERS },
    Operation { verb: "create", action: "post", method: "post", parameters: WRITE_PARAMETERS },
];
const ACROSS: &[Operation] = &[Operation { verb: "list", action: "list", method: "get", parameters: LIST_PARAMETERS }];

/// Adds the paths of a resource and its subresources.
pub(super) fn add(paths: &mut Map<String, Value>, dialect: Dialect, resource: &Served<'_>, schemas: &Schemas<'_>) {
    let gvk = Gvk::new(resource.group, resource.version, resource.kind);
    let Some(object) = schemas.name_of(&gvk) else { return };
    let build = Build { dialect, resource, schemas };
    let root = match resource.group {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let mut put = |path: String, item: Value| {
        if item.as_object().is_some_and(|i| i.keys().any(|k| k != "parameters")) {
            paths.insert(path, item);
        }
    };
    let list = format!("{object}List");
    let collection = format!("{root}{scope}/{}", resource.plural);
    put(collection.clone(), build.item(COLLECTION, &resource.verbs, &gvk, &Answer { object: &object, list: &list }, "", false));
    if resource.namespaced {
        let all = build.item(ACROSS, &resource.verbs, &gvk, &Answer { object: &object, list: &list }, "ForAllNamespaces", true);
        put(format!("{root}/{}", resource.plural), all);
    }
    let main: Vec<&str> = resource.verbs.iter().copied().filter(|v| *v != "create").collect();
    put(format!("{collection}/{{name}}"), build.item(ITEM, &main, &gvk, &Answer { object: &object, list: &list }, "", false));
    for sub in &resource.subresources {
        let Some(object) = schemas.name_of(&sub.kind) else { continue };
        let answer = Answer { object: &object, list: &object };
        let suffix = capital(sub.name);
        put(format!("{collection}/{{name}}/{}", sub.name), build.item(ITEM, &sub.verbs, &sub.kind, &answer, &suffix, false));
    }
}

/// Schema names of what comes back.
struct Answer<'a> {
    object: &'a str,
    list: &'a str,
}

struct Build<'a> {
    dialect: Dialect,
    resource: &'a Served<'a>,
    schemas: &'a Schemas<'a>,
}

impl Build<'_> {
    fn item(&self, operations: &[Operation], verbs: &[&str], gvk: &Gvk, answer: &Answer<'_>, suffix: &str, across: bool) -> Value {
        let mut item = Map::new();
        let single = std::ptr::eq(operations.as_ptr(), ITEM.as_ptr());
        let mut parameters = Vec::new();
        if single {
            parameters.push(self.path_parameter("name"));
        }
        if self.resource.namespaced && !across {
            parameters.push(self.path_parameter("namespace"));
        }
        parameters.push(self.query_parameter("pretty", "string"));
        item.insert("parameters".into(), parameters.into());
        for operation in operations.iter().filter(|o| verbs.contains(&o.verb)) {
            item.insert(operation.method.into(), self.operation(operation, gvk, answer, suffix));
        }
        item.into()
    }

    fn operation(&self, operation: &Operation, gvk: &Gvk, answer: &Answer<'_>, suffix: &str) -> Value {
        let resource = self.resource;
        let scope = if resource.namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
        let group = capital(resource.group.split('.').next().filter(|g| !g.is_empty()).unwrap_or("core"));
        let verb = match operation.action {
            "post" => "create",
            "put" => "replace",
            "get" => "read",
            "deletecollection" => "deleteCollection",
            other => other,
        };
        let id = format!("{verb}{group}{}{scope}{}{suffix}", capital(resource.version), resource.kind);
        let answered = match operation.action {
            "list" => answer.list.to_owned(),
            "delete" | "deletecollection" => format!("{META}Status"),
            _ => answer.object.to_owned(),
        };
        let mut parameters: Vec<Value> = operation.parameters.iter().map(|(n, t)| self.query_parameter(n, t)).collect();
        let body = match operation.action {
            "post" | "put" => Some(answer.object.to_owned()),
            "patch" => Some(format!("{META}Patch")),
            "delete" | "deletecollection" => Some(format!("{META}DeleteOptions")),
            _ => None,
        };
        let mut out = json!({
            "operationId": id,
            "tags": [format!("{}_{}", group.to_lowercase(), resource.version)],
            "responses": self.responses(operation.action, &answered),
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": gvk.group, "version": gvk.version, "kind": gvk.kind},
        });
        if let Some(body) = body {
            let (required, schema) = (!operation.action.starts_with("delete"), self.schemas.reference(&body));
            match self.dialect {
                Dialect::V2 => parameters.push(json!({"name": "body", "in": "body", "required": required, "schema": schema})),
                Dialect::V3 => {
                    let forms: &[&str] = if operation.action == "patch" { PATCHES } else { &["*/*"] };
                    let content: Map<String, Value> = forms.iter().map(|f| ((*f).to_owned(), json!({"schema": schema}))).collect();
                    out["requestBody"] = json!({"content": content, "required": required});
                }
            }
            if self.dialect == Dialect::V2 {
                out["consumes"] = if operation.action == "patch" { json!(PATCHES) } else { json!(["*/*"]) };
            }
        }
        if self.dialect == Dialect::V2 {
            out["produces"] = json!(["application/json"]);
            out["schemes"] = json!(["https"]);
        }
        out["parameters"] = parameters.into();
        out
    }

    fn responses(&self, action: &str, answered: &str) -> Value {
        let schema = self.schemas.reference(answered);
        let good = match self.dialect {
            Dialect::V2 => json!({"description": "OK", "schema": schema}),
            Dialect::V3 => json!({"description": "OK", "content": {"application/json": {"schema": schema}}}),
        };
        let mut out = json!({"200": good, "401": {"description": "Unauthorized"}});
        let more: &[&str] = match action {
            "post" => &["201", "202"],
            "put" | "patch" => &["201"],
            "delete" => &["202"],
            _ => &[],
        };
        for code in more {
            out[*code] = good.clone();
        }
        out
    }

    fn query_parameter(&self, name: &str, kind: &str) -> Value {
        match self.dialect {
            Dialect::V2 => json!({"name": name, "in": "query", "type": kind, "uniqueItems": true}),
            Dialect::V3 => json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}}),
        }
    }

    fn path_parameter(&self, name: &str) -> Value {
        match self.dialect {
            Dialect::V2 => json!({"name": name, "in": "path", "required": true, "type": "string", "uniqueItems": true}),
            Dialect::V3 => json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}}),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| c.to_uppercase().chain(chars).collect())
}
