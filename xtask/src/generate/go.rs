//! Reads the struct tags of Go API packages.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What a struct tag says about one JSON field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fact {
    /// Protobuf field number.
    pub number: u32,
    /// Number of the embedded struct the field lies in.
    pub within: Option<u32>,
    /// Go leaves the zero value out of JSON: `omitempty`, and neither pointer nor struct.
    pub omits_zero: bool,
}

struct Field {
    /// JSON name; empty for embedded structs.
    json: String,
    number: u32,
    omits_zero: bool,
    /// Go type without `*`.
    go_type: String,
}

/// Structs by OpenAPI name.
#[derive(Default)]
pub(super) struct Structs(HashMap<String, Vec<Field>>);

impl Structs {
    /// Facts by JSON field name; empty for types that are no Go structs with tags.
    pub(super) fn fields_of(&self, name: &str) -> HashMap<&str, Fact> {
        let package = name.rsplit_once('.').map_or("", |(p, _)| p);
        let mut facts = HashMap::new();
        for field in self.0.get(name).into_iter().flatten() {
            if !field.json.is_empty() {
                let fact = Fact { number: field.number, within: None, omits_zero: field.omits_zero };
                facts.insert(field.json.as_str(), fact);
                continue;
            }
            for inner in self.0.get(&format!("{package}.{}", field.go_type)).into_iter().flatten() {
                let fact = Fact { number: inner.number, within: Some(field.number), omits_zero: inner.omits_zero };
                facts.insert(inner.json.as_str(), fact);
            }
        }
        facts
    }
}

/// Reads every `types.go` and its siblings below the given modules.
pub(super) fn read_structs(modules: &[PathBuf]) -> io::Result<Structs> {
    let mut structs = Structs::default();
    for module in modules {
        let prefix = if module.to_string_lossy().contains("apimachinery") { "io.k8s.apimachinery" } else { "io.k8s.api" };
        walk(module, module, prefix, &mut structs)?;
    }
    Ok(structs)
}

fn walk(module: &Path, dir: &Path, prefix: &str, structs: &mut Structs) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            walk(module, &path, prefix, structs)?;
        } else if name.ends_with("types.go") {
            let below = dir.strip_prefix(module).unwrap_or(dir).to_string_lossy().replace('/', ".");
            read_file(&fs::read_to_string(&path)?, &format!("{prefix}.{below}"), structs);
        }
    }
    Ok(())
}

fn read_file(text: &str, package: &str, structs: &mut Structs) {
    let mut current: Option<(String, Vec<Field>)> = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("type ").and_then(|l| l.strip_suffix(" struct {")) {
            current = Some((name.to_owned(), Vec::new()));
        } else if line == "}" {
            if let Some((name, fields)) = current.take() {
                structs.0.insert(format!("{package}.{name}"), fields);
            }
        } else if let Some((_, fields)) = &mut current {
            fields.extend(read_field(line.trim()));
        }
    }
}

/// A line such as ``Replicas *int32 `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"` ``.
fn read_field(line: &str) -> Option<Field> {
    let (declaration, tags) = line.split_once('`')?;
    let number = tag(tags, "protobuf")?.split(',').nth(1)?.parse().ok()?;
    let mut words = declaration.split_whitespace();
    let first = words.next().filter(|w| !w.starts_with("//"))?;
    let go_type = words.next().unwrap_or(first);
    let mut json = tag(tags, "json")?.split(',');
    let name = json.next()?.to_owned();
    let pointer = go_type.starts_with('*');
    let omits_zero = json.any(|o| o == "omitempty") && !pointer;
    Some(Field { json: name, number, omits_zero, go_type: go_type.trim_start_matches('*').to_owned() })
}

fn tag<'a>(tags: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = tags.split_once(&format!("{key}:\""))?;
    rest.split_once('"').map(|(value, _)| value)
}
