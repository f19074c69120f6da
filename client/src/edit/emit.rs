//! YAML written so that every reader, of YAML 1.1 or 1.2, reads the same.

use serde_json::Value;

use crate::yaml::{Kind, Layout, Node, Style};

/// A value in block style. The first line is not indented; the others are, by `indent` and more.
pub(super) fn block(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let lines = map.iter().map(|(key, value)| format!("{}:{}", text(key), after_key(value, indent)));
            lines.collect::<Vec<_>>().join(&format!("\n{pad}"))
        }
        Value::Array(items) if !items.is_empty() => {
            let lines = items.iter().map(|item| format!("- {}", block(item, indent + 2)));
            lines.collect::<Vec<_>>().join(&format!("\n{pad}"))
        }
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// A value in flow style, on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", text(key), flow(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// What comes behind a key and its colon.
pub(super) fn after_key(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => format!("\n{}{}", " ".repeat(indent + 2), block(value, indent + 2)),
        Value::Array(items) if !items.is_empty() => format!("\n{}{}", " ".repeat(indent), block(value, indent)),
        _ => format!(" {}", block(value, indent)),
    }
}

/// A text: as it is where nobody can take it for anything else, in double quotes otherwise.
pub(super) fn text(value: &str) -> String {
    if safe(value) { value.to_owned() } else { quoted(value) }
}

/// A value beside others of a layout: JSON stays JSON.
pub(super) fn beside(value: &Value, layout: Layout) -> String {
    match value {
        Value::String(value) if layout == Layout::Flow => quoted(value),
        value if layout == Layout::Flow => value.to_string(),
        value => flow(value),
    }
}

/// In double quotes, as JSON has it and YAML too.
pub(super) fn quoted(value: &str) -> String {
    let json = Value::String(value.to_owned()).to_string();
    // What JSON lets stand and YAML 1.1 does not, or takes for a line break.
    let rare = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    if !json.contains(rare) {
        return json;
    }
    json.chars().map(|c| if rare(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() }).collect()
}

/// Begins with a letter, goes on with what names, paths, URLs and base64 have, and is no word and no number.
fn safe(value: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | '+' | '=');
    let url = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let rest = url.unwrap_or(value);
    // A colon before a digit is a port; before anything else it may look like a key.
    let colons = rest.split(':').skip(1).all(|after| url.is_some() && after.starts_with(|c: char| c.is_ascii_digit()));
    let word = matches!(
        value.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null" | "nan" | "inf" | "infinity"
    );
    value.starts_with(|c: char| c.is_ascii_alphabetic()) && rest.chars().all(|c| plain(c) || c == ':') && colons && !word
}

/// Other people's nodes written anew, in flow style: scalars as they are spelt, aliases spread out. For a text whose
/// layout leaves no other way; comments are lost.
pub(super) fn node(node: &Node, out: &mut String) {
    let node = node.target();
    if let Some(tag) = &node.tag {
        out.push_str(&match tag.strip_prefix('!') {
            Some(_) => format!("{tag} "),
            None => format!("!<{tag}> "),
        });
    }
    match &*node.kind {
        Kind::Scalar(value, Style::Plain) if value.is_empty() => out.push_str("null"),
        // What may not stand unquoted in braces is never a number or a word.
        Kind::Scalar(value, Style::Plain) if value.contains([',', '[', ']', '{', '}', '\n', '#']) || value.contains(": ") => {
            out.push_str(&quoted(value))
        }
        Kind::Scalar(value, Style::Plain) => out.push_str(value),
        Kind::Scalar(value, Style::Text) => out.push_str(&quoted(value)),
        Kind::Sequence(items, _) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                self::node(item, out);
            }
            out.push(']');
        }
        Kind::Mapping(pairs, _) => {
            out.push('{');
            for (i, (key, value)) in pairs.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                self::node(key, out);
                out.push_str(": ");
                self::node(value, out);
            }
            out.push('}');
        }
        Kind::Alias(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_easy_to_read() {
        let value = json!({"cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": "aGk="}, "name": "gondor", "list": ["a", {"b": "c", "d": []}]});
        assert_eq!(
            format!("- {}", block(&value, 2)),
            "- cluster:\n    certificate-authority-data: aGk=\n    server: https://127.0.0.1:6443\n  list:\n  - a\n  - b: c\n    d: []\n  name: gondor"
        );
        assert_eq!(
            flow(&value),
            "{cluster: {certificate-authority-data: aGk=, server: https://127.0.0.1:6443}, list: [a, {b: c, d: []}], name: gondor}"
        );
    }

    #[test]
    fn what_could_be_taken_for_something_else_is_quoted() {
        for odd in [
            "no",
            "Y",
            "1.30",
            "007",
            "62e5678",
            "",
            " a",
            "a: b",
            "a #b",
            "a\nb",
            "~",
            "-",
            "*a",
            "é",
            "a:b",
            "https://a:b@c",
            "null",
            ".inf",
            "=",
            "<<",
        ] {
            assert!(text(odd).starts_with('"'), "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_read_back_as_it_was(value in "\\PC{0,30}|[\u{0}-\u{a0}\u{2028}\u{feff}\u{fffe}]{0,8}|[ynoNO0-9.e+x_:-]{0,6}") {
            let written = format!("key: {}\n", text(&value));
            let root = crate::yaml::parse(&written).unwrap().root.unwrap();
            proptest::prop_assert_eq!(root.json().unwrap(), json!({"key": value}));
        }
    }
}
