//! Takes out of kubectl's words what differs between any two servers, and what we say in other words.

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
        Err(_) if text.contains("\nDESCRIPTION:\n") => explained(text),
        Err(_) => table(text),
    }
}

/// Values that every server makes up by itself.
const MADE_UP: [&str; 9] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "lastUpdateTime",
    "lastTransitionTime",
    "deletionTimestamp",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
];

/// Fields a federation leaves to its members: cluster addresses and node ports, and the count of
/// template changes that each member's DaemonSet keeps in an annotation of its own.
const OF_MEMBERS: [&str; 7] = [
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "nodePort",
    "deprecated.daemonset.template.generation",
    "f:deprecated.daemonset.template.generation",
];

fn object(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(object),
        Value::Object(map) => {
            if let Some(Value::Array(entries)) = map.get_mut("managedFields") {
                managed_fields(entries);
            }
            for name in MADE_UP {
                if map.get(name).is_some_and(Value::is_string) {
                    map.insert(name.into(), "...".into());
                }
            }
            map.retain(|name, _| !OF_MEMBERS.contains(&name.as_str()));
            map.values_mut().for_each(object);
        }
        _ => {}
    }
}

/// Both servers sort what each manager did by operation, second and name, so two commands stand the
/// other way round when a second ends between them. The order is checked here, then made that of the names.
fn managed_fields(entries: &mut Vec<Value>) {
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let upstream = |e: &Value| (text(e, "operation"), text(e, "time"), text(e, "manager"));
    if entries.is_sorted_by_key(upstream) {
        entries.sort_by_key(|e| (text(e, "operation"), text(e, "manager")));
    } else {
        entries.push("not in the order of operation, time and manager".into());
    }
}

/// What `explain` says, without the descriptions, which are ours: kinds, fields and types.
fn explained(text: &str) -> String {
    let head = text.split("\nDESCRIPTION:\n").next().unwrap_or_default();
    // Fields are behind the only tabs.
    let fields = text.lines().filter(|l| l.contains("\t<"));
    head.lines().chain(fields).map(|l| format!("{}\n", l.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// Ages become one word; columns are separated by one space; names of `diff`'s files go, and what is new for each.
fn table(text: &str) -> String {
    let age = |word: &str| {
        word.len() > 1
            && word.ends_with(['s', 'm', 'h', 'd'])
            && word[..word.len() - 1].chars().all(|c| c.is_ascii_digit() || c == 'm' || c == 'd')
    };
    let word = |w: &str| if age(w) { "AGE".to_owned() } else { w.to_owned() };
    let made_up = |line: &&str| ["diff -u", "--- /", "+++ /", "+  uid:", "+  creationTimestamp:"].iter().any(|p| line.starts_with(p));
    let line = |line: &str| line.split_whitespace().map(word).collect::<Vec<_>>().join(" ") + "\n";
    text.lines().filter(|l| !made_up(l)).map(line).collect()
}

fn errors(text: &str) -> String {
    // kubectl's throttling notes depend on the clock.
    text.lines().filter(|l| !l.contains("client-side throttling")).map(|l| format!("! {}\n", error(l))).collect()
}

/// Behind these words both servers say what was wrong, each in its own way (docs/compatibility.md).
const OWN_WORDS: [&str; 5] = [
    "The request is invalid: the server rejected our request due to an error in our request",
    "Error from server (BadRequest): error decoding patch: ",
    "field selector \"\": unable to parse requirement: ",
    "patch: Invalid value: ",
    "Error from server (Conflict): Operation cannot be fulfilled on ",
];

/// Rules that both servers put into the same few words.
const FACTS: [&str; 13] = [
    "field is immutable",
    "field is immutable when `immutable` is set",
    "cannot change roleRef",
    "must be greater than or equal to 0",
    "must be greater than or equal to 1",
    "must be greater than 0",
    "must be between 1 and 65535, inclusive",
    "may not change once set",
    "`selector` does not match template `labels`",
    "may not be set",
    "must be an absolute path",
    "must be non-empty",
    "must not be empty",
];

/// An error without the sentence behind field and reason, unless that is one of the facts.
fn error(line: &str) -> String {
    for words in OWN_WORDS {
        if let Some(at) = line.find(words) {
            return line[..at + words.len()].to_owned();
        }
    }
    for reason in [": Invalid value: ", ": Too long: ", ": Too many: "] {
        if let Some((field, rest)) = line.split_once(reason) {
            // Go prints fields in its own order and sometimes under internal names.
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = match values.next() {
                Some(Ok(value)) if !value.is_object() => value.to_string(),
                _ => "{...}".to_owned(),
            };
            let detail = rest.get(values.byte_offset()..).unwrap_or_default().trim_start_matches(": ");
            let detail = if FACTS.contains(&detail) { detail } else { "..." };
            return format!("{field}{reason}{value}: {detail}");
        }
    }
    match line.split_once(": Forbidden: ") {
        Some((field, detail)) if !field.contains("(Forbidden)") && !FACTS.contains(&detail) => format!("{field}: Forbidden: ..."),
        _ => line.to_owned(),
    }
}
