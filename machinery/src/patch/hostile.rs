//! Patches made to exhaust the server: each is answered, soon and without more stack than a worker has.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::apply::{self, Writer};
use super::{json as json_patch, strategic};
use crate::codec;
use crate::depth::{self, nested, nested_text};
use crate::schema::{Gvk, Types};
use crate::status::ApiError;

/// Many times what the work takes here, and a small part of what it took when it was quadratic.
const SOON: Duration = Duration::from_secs(60);

fn soon<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let out = work();
    assert!(started.elapsed() < SOON, "{what} took {:?}", started.elapsed());
    out
}

/// On a stack as tokio's workers have it; an overflow would end the whole process.
fn on_a_worker<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, work);
        worker.expect("a thread").join().expect("no panic")
    })
}

fn configmap() -> Gvk {
    Gvk::new("", "v1", "ConfigMap")
}

fn finalizers(count: usize) -> Value {
    let list: Vec<Value> = (0..count).map(|n| format!("a/{n:06}").into()).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": list}})
}

#[test]
fn d2_a_json_patch_cannot_nest_without_limit() {
    let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(120), "]".repeat(120))).expect("not too deep");
    let (top, bottom) = (format!("/b{}/-", "/0".repeat(119)), json!({"op": "move", "from": "/b", "path": "/x"}));
    let mut bomb = vec![json!({"op": "add", "path": "/x", "value": 0})];
    for _ in 0..3300 {
        bomb.extend([json!({"op": "add", "path": "/b", "value": deep}), json!({"op": "move", "from": "/x", "path": top}), bottom.clone()]);
    }
    let refused = on_a_worker(|| json_patch::apply(&json!({}), &json!(bomb)).map(drop));
    assert_eq!(refused.map_err(|e| e.code), Err(422));
    // Each kind of operation that puts something down, and one level that still fits.
    let document = json!({"at": nested(depth::MAX - 2), "from": nested(depth::MAX - 1)});
    let bottom = "/f:a".repeat(depth::MAX - 3);
    let deeper = |op: &str, levels: usize| json!([{"op": op, "from": "/from", "path": format!("/at{bottom}/x"), "value": nested(levels)}]);
    for op in ["add", "move", "copy"] {
        let why = json_patch::apply(&document, &deeper(op, 2)).expect_err(op);
        assert!(why.code == 422 && why.message.contains("exceeded max depth"), "{op}: {why}");
    }
    let replaced = |levels: usize| json!([{"op": "replace", "path": format!("/at{bottom}"), "value": nested(levels)}]);
    assert_eq!(json_patch::apply(&document, &replaced(3)).map_err(|e| e.code), Err(422));
    assert!(json_patch::apply(&document, &deeper("add", 1)).is_ok_and(|d| depth::check(&d).is_ok()));
    assert!(json_patch::apply(&document, &replaced(2)).is_ok());
}

#[test]
fn d2_operations_cannot_cost_the_length_of_the_document_each() {
    let long = json!({"list": vec![0; 200_000], "tree": vec![json!([0]); 100_000], "a": {}});
    let first = json!({"op": "add", "path": "/list/0", "value": 1});
    let (down, up) = (json!({"op": "move", "from": "/tree", "path": "/a/b"}), json!({"op": "move", "from": "/a/b", "path": "/tree"}));
    let swings = (0..10_000).map(|n| if n % 2 == 0 { down.clone() } else { up.clone() }).collect();
    for patch in [vec![first; 10_000], swings] {
        let refused = soon("a patch of dear operations", || json_patch::apply(&long, &json!(patch)));
        assert_eq!(refused.map_err(|e| (e.code, e.reason)), Err((413, "RequestEntityTooLarge")));
    }
}

#[test]
fn d1_patches_and_configurations_too_deep_are_refused_where_they_are_decoded() {
    let deep = |levels: usize| nested_text(levels).into_bytes();
    assert!(codec::decode_patch(&deep(depth::MAX)).is_ok());
    let e = codec::decode_patch(&deep(depth::MAX + 1)).expect_err("too deep");
    assert!((e.code, e.reason) == (400, "BadRequest") && e.message.contains("exceeded max depth"), "{e}");
    let gvk = Gvk::new("", "v1", "ConfigMap");
    let configured = |levels: usize| codec::decode_configuration(&gvk, &deep(levels), codec::FieldValidation::Ignore).map(drop);
    assert!(configured(depth::MAX).is_ok(), "{:?}", configured(depth::MAX));
    assert_eq!(configured(depth::MAX + 1).map_err(|e| e.code), Err(400));
    assert_eq!(on_a_worker(|| codec::decode_patch(&b"[".repeat(3 << 20))).map_err(|e| e.code), Err(400));
}

#[test]
fn d5_an_applied_list_is_checked_in_the_time_of_its_length() {
    let writer = Writer { manager: "m", subresource: "", api_version: "v1", now: "2026-01-01T00:00:00Z", ignored: &[] };
    let apply = |live: Option<&Value>, applied: &Value| apply::apply(Types::builtin(), &configmap(), live, applied, false, &writer);
    let long = finalizers(60_000);
    let made = soon("the first apply", || apply(None, &long)).expect("fits");
    let again = soon("the second apply", || apply(Some(&made), &finalizers(60_001))).expect("fits");
    assert_eq!(again["metadata"]["finalizers"].as_array().map(Vec::len), Some(60_001));
    let mut twice = long;
    let first = twice["metadata"]["finalizers"][0].clone();
    twice["metadata"]["finalizers"].as_array_mut().expect("a list").extend(vec![first; 60_000]);
    let why = soon("finding what is twice", || apply(None, &twice)).expect_err("duplicates");
    assert!(
        why.code == 400 && why.message.contains("duplicate entries for key [=\"a/000000\"]") && why.message.len() < 20_000,
        "{}",
        why.message.len()
    );
}

#[test]
fn d5_many_empty_containers_are_refused_in_the_time_of_their_number() {
    let gvk = Gvk::new("apps", "v1", "Deployment");
    let object = json!({"spec": {"template": {"spec": {"containers": vec![json!({}); 100_000]}}}});
    let errors = soon("empty containers", || crate::schema::validate(Types::builtin(), &gvk, &object));
    assert!(errors.len() >= 100_000, "{}", errors.len());
}

#[test]
fn d5_messages_about_long_names_stay_short() {
    let fields = |n: usize| Value::Object((0..n).map(|n| (format!("x{n}"), json!(1))).collect());
    let long = "k".repeat(1 << 20);
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", long: fields(10), "ownerReferences": vec![fields(1000); 100]}});
    let writer = Writer { manager: "m", subresource: "", api_version: "v1", now: "2026-01-01T00:00:00Z", ignored: &[] };
    let why = soon("a fault", || apply::apply(Types::builtin(), &configmap(), None, &applied, false, &writer)).expect_err("unknown fields");
    assert!(why.message.len() < 100_000, "{}", why.message.len());
    let gvk = Gvk::new("", "v1", "ConfigMap");
    let told =
        codec::decode(Types::builtin(), &gvk, applied.to_string().as_bytes(), codec::MediaType::Json, codec::FieldValidation::Strict);
    let why = told.expect_err("unknown fields");
    assert!(why.message.len() < 100_000, "{}", why.message.len());
    // A key twice, below a hundred long ones.
    let open: String = (0..90).map(|n| format!("{{\"{n}{}\":", "k".repeat(20_000))).collect();
    let twice = format!("{open}{{{}}}{}", (0..100).map(|n| format!("\"{n}\":1,\"{n}\":2")).collect::<Vec<_>>().join(","), "}".repeat(90));
    let told = codec::decode_configuration(&gvk, twice.as_bytes(), codec::FieldValidation::Warn).expect("an object");
    assert!(!told.warnings.is_empty() && told.warnings.iter().all(|w| w.len() < 3000), "{:?}", told.warnings.iter().map(String::len).max());
}

#[test]
fn d43_a_strategic_merge_of_long_lists_takes_the_time_of_their_length() {
    let types = Types::builtin();
    let id = types.kind("", "v1", "ConfigMap").expect("built in");
    let merge = |document: &Value, patch: &Value| strategic::apply(types, id, document, patch);
    let (old, new) = (finalizers(60_000), finalizers(60_001));
    let merged = soon("lists of scalars", || merge(&old, &new)).expect("fits");
    assert_eq!(merged, new);
    let owners = |count: usize, directive: Option<&str>| -> Result<Value, ApiError> {
        let owner = |n: usize| match directive {
            Some(directive) => json!({"uid": format!("u{n}"), "$patch": directive}),
            None => json!({"uid": format!("u{n}"), "name": "n"}),
        };
        Ok(json!({"metadata": {"ownerReferences": (0..count).map(owner).collect::<Vec<_>>()}}))
    };
    let list = |document: &Value| document["metadata"]["ownerReferences"].as_array().map(Vec::len);
    let old = owners(20_000, None).expect("made");
    let merged = soon("lists of objects", || merge(&old, &owners(20_001, None).expect("made"))).expect("fits");
    assert_eq!(list(&merged), Some(20_001));
    let left = soon("deleting items", || merge(&old, &owners(19_999, Some("delete")).expect("made"))).expect("fits");
    assert_eq!(list(&left), Some(1));
    let mut gone = finalizers(60_000);
    gone["metadata"] = json!({"$deleteFromPrimitiveList/finalizers": gone["metadata"]["finalizers"].take()});
    let left = soon("deleting scalars", || merge(&finalizers(60_001), &gone)).expect("fits");
    assert_eq!(left["metadata"]["finalizers"], json!(["a/060000"]));
    let keys: Vec<Value> = (0..60_000).map(|n| format!("k{n}").into()).collect();
    let data: Value = (0..60_000).map(|n| (format!("k{n}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let mut retained = json!({"data": data});
    let document = retained.clone();
    retained["data"]["$retainKeys"] = keys.into();
    assert!(soon("retained keys", || merge(&document, &retained)).is_ok());
}

#[test]
fn d5_many_managers_are_merged_in_the_time_of_their_number() {
    let entry = |n: usize| json!({"manager": format!("m{n}"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {format!("f:k{n}"): {}}}});
    let managed: Vec<Value> = (0..20_000).map(entry).collect();
    let mut object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "managedFields": managed}, "data": {"x": "1"}});
    let writer = Writer { manager: "m", subresource: "", api_version: "v1", now: "2026-01-01T00:00:00Z", ignored: &[] };
    soon("many managers", || apply::update(Types::builtin(), &configmap(), None, &mut object, &writer));
    let left = object["metadata"]["managedFields"].as_array().expect("a list");
    assert_eq!(left.len(), 10);
    let ancient = left.iter().find(|e| e["manager"] == "ancient-changes").expect("the oldest are together");
    assert!(ancient["fieldsV1"]["f:data"].as_object().is_some_and(|f| f.len() > 19_000));
}
