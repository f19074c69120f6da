//! Values as YAML, byte for byte as kubectl prints them: the layout, quotes and line breaks of go-yaml v2, which follows
//! libyaml.

use std::cmp::Ordering;

use serde_json::Value;

use super::resolve::{self, Scalar, Style};

/// Columns after which a text is broken at a blank.
const WIDTH: usize = 80;

/// A value as a YAML document. Keys are sorted.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(map, 0, &mut out),
        Value::Array(items) if !items.is_empty() => sequence(items, 0, &mut out),
        other => {
            scalar(other, 0, false, &mut out);
            out.push('\n');
        }
    }
    out
}

/// Lines of a mapping; the first one is begun already.
fn mapping(map: &serde_json::Map<String, Value>, indent: usize, out: &mut String) {
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by(|(a, _), (b, _)| natural(a, b));
    for (at, (key, value)) in pairs.into_iter().enumerate() {
        if at > 0 {
            pad(indent, out);
        }
        text(key, indent, true, out);
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                pad(indent + 2, out);
                mapping(map, indent + 2, out);
            }
            // The dashes of a list stand below its key.
            Value::Array(items) if !items.is_empty() => {
                out.push('\n');
                pad(indent, out);
                sequence(items, indent, out);
            }
            other => {
                out.push(' ');
                scalar(other, indent, false, out);
                out.push('\n');
            }
        }
    }
}

fn sequence(items: &[Value], indent: usize, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            pad(indent, out);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(map, indent + 2, out),
            Value::Array(items) if !items.is_empty() => sequence(items, indent + 2, out),
            other => {
                scalar(other, indent, false, out);
                out.push('\n');
            }
        }
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn scalar(value: &Value, indent: usize, key: bool, out: &mut String) {
    match value {
        Value::String(value) => text(value, indent, key, out),
        other => out.push_str(&other.to_string()),
    }
}

/// What a text allows.
#[derive(Default)]
struct Looks {
    plain: bool,
    single: bool,
    block: bool,
}

fn text(value: &str, indent: usize, key: bool, out: &mut String) {
    let looks = looks(value);
    let means_itself = matches!(resolve::resolve(None, value, Style::Plain), Ok(Scalar::Text(_))) && !looks_old(value);
    let lines = value.contains('\n');
    if lines && looks.block && !key {
        literal(value, indent, out);
    } else if !means_itself || lines {
        double(value, indent, key, out);
    } else if looks.plain {
        folded(value, indent, key, false, out);
    } else if looks.single {
        out.push('\'');
        folded(&value.replace('\'', "''"), indent, key, true, out);
        out.push('\'');
    } else {
        double(value, indent, key, out);
    }
}

/// What a reader of YAML 1.1 may take for a truth value or a number to base 60; and dates, which go-yaml keeps apart.
fn looks_old(value: &str) -> bool {
    let word =
        matches!(value, "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF");
    let digits = |text: &str, most: usize| !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    let mut parts = value.trim_start_matches(['-', '+']).split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let sixty = !rest.is_empty()
        && first.starts_with(|c: char| c.is_ascii_digit())
        && first.bytes().all(|b| b.is_ascii_digit() || b == b'_')
        && rest.iter().enumerate().all(|(at, part)| {
            let whole = if at + 1 == rest.len() { part.split_once('.').map_or(*part, |(whole, _)| whole) } else { part };
            digits(whole, 2) && (whole.len() == 1 || whole.as_bytes()[0] < b'6')
        });
    word || sixty || date(value)
}

/// `2001-02-03`, with a time behind it or not.
fn date(value: &str) -> bool {
    let day = value.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = day.split('-').collect();
    let number = |text: &str, lengths: &[usize]| lengths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let [year, month, date] = parts[..] else { return false };
    let time = &value[day.len()..];
    let timed = time.is_empty() || time.len() > 5 && time[1..].starts_with(|c: char| c.is_ascii_digit()) && time.contains(':');
    number(year, &[4]) && number(month, &[1, 2]) && number(date, &[1, 2]) && timed
}

/// libyaml's analysis of a scalar that stands in a block.
fn looks(value: &str) -> Looks {
    if value.is_empty() {
        return Looks { plain: true, single: true, block: false };
    }
    let chars: Vec<char> = value.chars().collect();
    let at = |i: usize| chars.get(i).copied();
    let blank = |c: Option<char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}'));
    let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut indicator = value.starts_with("---") || value.starts_with("...");
    let mut special = false;
    let (mut space_break, mut break_space) = (false, false);
    for (i, c) in chars.iter().copied().enumerate() {
        let next_blank = blank(at(i + 1));
        indicator |= match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' if i == 0 => true,
            '?' | '-' if i == 0 => next_blank,
            ':' => next_blank,
            '#' => blank(at(i - 1)),
            _ => false,
        };
        special |= !is_break(c) && !printable(c);
        space_break |= is_break(c) && i > 0 && chars[i - 1] == ' ';
        break_space |= c == ' ' && i > 0 && is_break(chars[i - 1]);
    }
    let (first, last) = (chars[0], chars[chars.len() - 1]);
    let edges = first == ' ' || last == ' ' || is_break(first) || is_break(last);
    let bad = space_break || special;
    Looks {
        plain: !(edges || bad || break_space || indicator || chars.iter().any(|c| is_break(*c))),
        single: !(bad || break_space),
        block: !(bad || last == ' '),
    }
}

/// What go-yaml prints as it is.
fn printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && !matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}')
}

fn column(out: &str) -> usize {
    out.rsplit('\n').next().unwrap_or_default().chars().count()
}

/// A text with breaks in the place of blanks behind the last column.
fn folded(value: &str, indent: usize, key: bool, quoted: bool, out: &mut String) {
    let chars: Vec<char> = value.chars().collect();
    let mut spaces = false;
    for (i, c) in chars.iter().copied().enumerate() {
        let inside = !quoted || (i > 0 && i + 1 < chars.len());
        if c == ' ' && !key && !spaces && inside && column(out) > WIDTH && chars.get(i + 1) != Some(&' ') {
            out.push('\n');
            pad(indent + 2, out);
        } else {
            out.push(c);
        }
        spaces = c == ' ';
    }
}

fn double(value: &str, indent: usize, key: bool, out: &mut String) {
    out.push('"');
    let chars: Vec<char> = value.chars().collect();
    let mut spaces = false;
    for (i, c) in chars.iter().copied().enumerate() {
        let short = match c {
            '\0' => Some('0'),
            '\u{7}' => Some('a'),
            '\u{8}' => Some('b'),
            '\t' => Some('t'),
            '\n' => Some('n'),
            '\u{b}' => Some('v'),
            '\u{c}' => Some('f'),
            '\r' => Some('r'),
            '\u{1b}' => Some('e'),
            '\u{85}' => Some('N'),
            '\u{2028}' => Some('L'),
            '\u{2029}' => Some('P'),
            '"' | '\\' => Some(c),
            _ => None,
        };
        match (short, u32::from(c)) {
            (Some(short), _) => out.extend(['\\', short]),
            (None, code) if !printable(c) && code <= 0xff => out.push_str(&format!("\\x{code:02X}")),
            (None, code) if !printable(c) && code <= 0xffff => out.push_str(&format!("\\u{code:04X}")),
            (None, code) if !printable(c) => out.push_str(&format!("\\U{code:08X}")),
            (None, _) if c == ' ' && !key && !spaces && i > 0 && i + 1 < chars.len() && column(out) > WIDTH => {
                out.push('\n');
                pad(indent + 2, out);
                if chars.get(i + 1) == Some(&' ') {
                    out.push('\\');
                }
            }
            (None, _) => out.push(c),
        }
        spaces = c == ' ';
    }
    out.push('"');
}

fn literal(value: &str, indent: usize, out: &mut String) {
    out.push('|');
    if value.starts_with([' ', '\n']) {
        out.push('2');
    }
    match value.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in value.strip_suffix('\n').unwrap_or(value).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(indent + 2, out);
            out.push_str(line);
        }
    }
}

/// go-yaml's order of keys: letters last, numbers by what they are worth.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let number = |chars: &[char]| {
        let digits: Vec<u32> = chars[at..].iter().map_while(|c| c.to_digit(10)).collect();
        // A zero behind other digits is worth something.
        let before = chars[..at].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
        let start = u64::from((x == '0' || y == '0') && before);
        (digits.iter().fold(start, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(*digit))), digits.len())
    };
    number(&a).cmp(&number(&b)).then(x.cmp(&y))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What kubectl 1.36 prints for the same texts.
    #[test]
    fn texts_are_quoted_and_broken_as_kubectl_does() {
        let long = "this is a very long text that goes on and on and on until it has more than eighty characters and then some more words";
        let all = json!({"args": [
            "a: b", "a #b", "- a", "-", "a ", " a", "a\nb", "a\n\n b \n", "1:30", "0x1F", "2001-01-01", "1e3", "it's", "a: it's", "\na", "\"q\"", "1_000", "+1",
            "a,b", "@a", "=", ".5", "<<", "~", "%a", "a:", "a]", "[a", long, "a  b                                                                                    c d",
            "1.2.3", "0b1", "0o7", "08", "1e", ".", "-.inf", "--- a", "...", "!a", "é", "\u{feff}", "a\rb", "190:20:30", "2001-01-01T00:00:00Z",
            format!("a\u{1} {long}"), "1.", "--", "0x", "012", "1__0", "\\d", "?a", "Null", ":a", "off", "tab\tx", "a\nb\n", "<a>&\u{2028}\u{8}😀", format!("{long}, it's long: yes"), "", "\n", "a\n\n",
        ], "a10": {}, "a2": [], "a-b": null, "aB": true, "exec": 1.5, "env": [[1, [2]], {"b": {"c": "d"}, "a": []}]});
        insta::assert_snapshot!(to_yaml(&all));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(value in "\\PC{0,120}|[ynoNO0-9.e+x_:-]{0,6}|[a :#'\"\n-]{0,20}", key in "[a :#'\"\n-]{0,9}") {
            let all = json!({"list": [value], key: value});
            let root = crate::yaml::parse(&to_yaml(&all)).unwrap().root.unwrap();
            proptest::prop_assert_eq!(root.json().unwrap(), all);
        }
    }
}
