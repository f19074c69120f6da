//! Replays what a real kube-apiserver answered (`recorded/steps.json`, our own recording): each step
//! holds an object before, a request, and the object after or the error. Times, uids, revisions and
//! generations were taken out when recording.

use serde_json::{Value, json};

use super::apply::{Writer, apply, update};
use crate::schema::conform::conform;
use crate::schema::{Gvk, TypeId, Types, defaults, validate};
use crate::status::ApiError;

struct Step<'a> {
    step: &'a Value,
    gvk: Gvk,
    id: TypeId,
}

impl Step<'_> {
    fn text(&self, key: &str) -> &str {
        self.step.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn title(&self) -> String {
        format!("{} [{}] {}", self.text("case"), self.step["step"], self.text("op"))
    }

    fn before(&self) -> Option<&Value> {
        self.step.get("before")
    }

    /// The object our code makes of the step.
    fn run(&self) -> Result<Value, ApiError> {
        let types = Types::builtin();
        let request = &self.step["request"];
        let writer = Writer {
            manager: self.text("manager"),
            subresource: "",
            api_version: self.text("apiVersion"),
            now: "2026-01-02T03:04:05Z",
            ignored: &["status"],
        };
        if self.text("op") == "apply" {
            let force = self.step.get("force").is_some();
            let mut out = apply(types, &self.gvk, self.before(), request, force, &writer)?;
            conform(types, self.id, &mut out);
            defaults::default(types, &self.gvk, &mut out);
            return self.valid(out);
        }
        let nothing = Value::Null;
        let old = self.before().unwrap_or(&nothing);
        let mut new = match self.text("op") {
            "strategic" => super::strategic::apply(types, self.id, old, request)?,
            "json" => super::json::apply(old, request)?,
            "merge" => {
                let mut new = old.clone();
                super::merge::apply(&mut new, request);
                new
            }
            _ => request.clone(),
        };
        if let Some(status) = old.get("status") {
            new["status"] = status.clone();
        }
        // Conforming drops an empty list, which in a request means that ownership is to be forgotten.
        let asked = new.pointer("/metadata/managedFields").cloned();
        conform(types, self.id, &mut new);
        defaults::default(types, &self.gvk, &mut new);
        if let Some(asked) = asked {
            new["metadata"]["managedFields"] = asked;
        }
        update(types, &self.gvk, self.before(), &mut new, &writer);
        self.valid(new)
    }

    fn valid(&self, object: Value) -> Result<Value, ApiError> {
        let errors = validate::validate(Types::builtin(), &self.gvk, &object);
        if errors.is_empty() { Ok(object) } else { Err(ApiError::invalid(&self.gvk.group, &self.gvk.kind, "", &errors)) }
    }
}

/// Without what only a whole server fills in, what differs between the JSON of Go's types and ours
/// (empty structs, the revision of a PUT), and with entries of `managedFields` in one order.
fn comparable(object: &Value) -> Value {
    let mut out = object.clone();
    for gone in ["/status", "/metadata/resourceVersion", "/spec/clusterIP", "/spec/clusterIPs", "/spec/ipFamilies", "/spec/ipFamilyPolicy"]
    {
        if let Some((parent, key)) = gone.rsplit_once('/')
            && let Some(map) = out.pointer_mut(parent).and_then(Value::as_object_mut)
        {
            map.remove(key);
        }
    }
    if let Some(entries) = out.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
            entry.remove("time");
        }
        entries.sort_by_key(ToString::to_string);
    }
    without_empty(out)
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| if k == "fieldsV1" { (k, v) } else { (k, without_empty(v)) })
                .filter(|(_, v)| !matches!(v, Value::Null) && *v != json!({}) && *v != json!([]))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(without_empty).collect()),
        other => other,
    }
}

/// Where two values differ, one line each.
fn differences(ours: &Value, theirs: &Value, path: &str, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                differences(a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null), &format!("{path}/{key}"), out);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().for_each(|(i, (a, b))| differences(a, b, &format!("{path}/{i}"), out));
        }
        _ if ours == theirs => {}
        _ => out.push(format!("    {path}: ours {ours}, theirs {theirs}")),
    }
}

#[test]
fn we_answer_as_kube_apiserver_did() {
    let recording: Value = serde_json::from_str(include_str!("recorded/steps.json")).expect("our own recording");
    let mut problems = Vec::new();
    for step in recording["steps"].as_array().expect("a list") {
        let api_version = step["apiVersion"].as_str().expect("text");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let gvk = Gvk::new(group, version, step["kind"].as_str().expect("text"));
        let id = Types::builtin().kind(&gvk.group, &gvk.version, &gvk.kind).expect("a kind we serve");
        let step = Step { step, gvk, id };
        match (step.run(), step.step.get("after"), step.step.get("error")) {
            (Ok(ours), Some(after), _) => {
                let mut lines = Vec::new();
                differences(&comparable(&ours), &comparable(after), "", &mut lines);
                if !lines.is_empty() {
                    problems.push(format!("{}\n{}", step.title(), lines.join("\n")));
                }
            }
            (Err(ours), None, Some(theirs)) => {
                // Upstream answers bad patches and configurations with 500; they are the client's fault.
                let code = step.step["code"].as_u64().unwrap_or_default();
                let same = match code {
                    500 => matches!(ours.code, 400 | 422),
                    _ => {
                        u64::from(ours.code) == code
                            && (code != 409 || (theirs["message"] == ours.message && theirs["details"] == ours.details))
                    }
                };
                if !same {
                    problems.push(format!("{}\n    ours {ours:?}\n    theirs {code} {theirs}", step.title()));
                }
            }
            (ours, _, theirs) => problems.push(format!("{}\n    ours {ours:?}\n    theirs {theirs:?}", step.title())),
        }
    }
    assert!(problems.is_empty(), "{} steps differ:\n{}", problems.len(), problems.join("\n"));
}
