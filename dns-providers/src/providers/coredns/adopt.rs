//! Taking over records as they stand: only the field with the mark is written, guarded by what was read. Pure.

use etcd_client::{Compare, CompareOp, KeyValue, Txn, TxnOp};
use serde_json::{Map, Value, json};

use crate::batch::{Adoption, CHANGED};

use super::plan::MAX_OPS;
use super::skydns::{self, Record};

/// All that a federation's records say.
const FIELDS: [&str; 4] = ["host", "ttl", "group", "owner"];

/// Whether a field says as much as one that is not there.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || *value == json!(0) || *value == json!("") || *value == json!(false)
}

/// What marks all records of a name; nothing where all are marked.
///
/// # Errors
/// Why the name is left alone.
pub(super) fn transaction(name: &Adoption<'_>, found: &[KeyValue], owner: &str) -> Result<Option<Txn>, String> {
    let directory = skydns::directory(name.name);
    let here = |kv: &&KeyValue| kv.key_str().is_ok_and(|key| key.strip_prefix(&directory).is_some_and(|rest| !rest.contains('/')));
    let mut records = Vec::new();
    let (mut guards, mut ops) = (Vec::new(), Vec::new());
    for kv in found.iter().filter(here) {
        let unreadable = |_| format!("key {} is no record; it is left alone", kv.key_str().unwrap_or_default());
        let mut whole: Map<String, Value> = serde_json::from_slice(kv.value()).map_err(unreadable)?;
        let record: Record = serde_json::from_slice(kv.value()).map_err(unreadable)?;
        let besides = whole.iter().find(|(field, value)| !FIELDS.contains(&field.as_str()) && !is_nothing(value));
        if let Some((field, _)) = besides {
            let key = kv.key_str().unwrap_or_default();
            return Err(format!("key {key} has {field}, which would be lost when the federation writes the name anew; it is left alone"));
        }
        if record.host.is_empty() {
            return Err(format!("key {} has no host; it is left alone", kv.key_str().unwrap_or_default()));
        }
        guards.push(Compare::mod_revision(kv.key(), CompareOp::Equal, kv.mod_revision()));
        if record.owner != owner {
            whole.insert("owner".to_owned(), owner.into());
            ops.push(TxnOp::put(kv.key(), Value::Object(whole).to_string(), None));
        }
        records.push((name.name.clone(), record));
    }
    let now = skydns::decode(records.iter().map(|(name, record)| (name.clone(), record)), owner);
    if !name.is_unchanged(&now) {
        return Err(CHANGED.to_owned());
    }
    if guards.len() > MAX_OPS {
        return Err(format!("it has {} records; {MAX_OPS} are changed together at most", guards.len()));
    }
    Ok((!ops.is_empty()).then(|| Txn::new().when(guards).and_then(ops)))
}
