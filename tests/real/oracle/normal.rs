//! Takes out of kubectl's words what differs between any two servers.

use federation_tests::program::Said;
use serde_json::Value;

/// Exit code, standard output and standard error, made comparable.
pub(crate) fn said(said: &Said) -> String {
    format!("ok={}\n{}{}", said.ok, output(&said.out), errors(&said.err))
}

fn output(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            object(&mut value);
            serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
        }
        Err(_) => table(text),
    }
}

/// Fields that every server makes up by itself.
fn object(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(object),
        Value::Object(map) => {
            for volatile in ["uid", "resourceVersion", "creationTimestamp", "time", "deletionTimestamp"] {
                if map.get(volatile).is_some_and(Value::is_string) {
                    map.insert(volatile.into(), "...".into());
                }
            }
            // A federated Service has no cluster address: members have one each.
            for allocated in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "nodePort"] {
                map.remove(allocated);
            }
            map.values_mut().for_each(object);
        }
        _ => {}
    }
}

/// Ages become one word; columns are separated by one space.
fn table(text: &str) -> String {
    let age = |word: &str| {
        word.len() > 1 && word.ends_with(['s', 'm', 'h']) && word[..word.len() - 1].chars().all(|c| c.is_ascii_digit() || c == 'm')
    };
    let word = |w: &str| if age(w) { "AGE".to_owned() } else { w.to_owned() };
    text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

fn errors(text: &str) -> String {
    // kubectl's throttling notes depend on the clock.
    text.lines().filter(|l| !l.contains("client-side throttling")).map(|l| format!("! {l}\n")).collect()
}
