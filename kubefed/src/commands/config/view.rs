//! `kubefed config view`.

use std::io::{self, ErrorKind, Read as _};

use federation_client::config::{View, view};
use federation_client::yaml::to_yaml;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::PrettyFormatter;

use crate::cli::{ViewArgs, ViewFormat};
use crate::commands::Session;
use crate::error::Failure;
use crate::jsonpath::{Template, Wrong, go_json};

/// Longest template file, in bytes.
const MOST_BYTES: u64 = 1 << 16;

pub(super) fn run(session: &Session, args: &ViewArgs) -> Result<(), Failure> {
    let how = View {
        raw: args.raw.unwrap_or_default(),
        flatten: args.flatten.unwrap_or_default(),
        minify: args.minify.unwrap_or_default(),
        merge: args.merge,
        context: session.global.context.clone(),
    };
    let template = match &args.output {
        ViewFormat::JsonPath(text) | ViewFormat::JsonPathAsJson(text) => Some(template(text)?),
        ViewFormat::JsonPathFile(file) => {
            let read = std::fs::File::open(file).and_then(|file| {
                let mut text = String::new();
                let read = file.take(MOST_BYTES + 1).read_to_string(&mut text)? as u64;
                if read > MOST_BYTES { Err(io::Error::from(ErrorKind::FileTooLarge)) } else { Ok(text) }
            });
            let text = read.map_err(|e| {
                Failure::new(format!("reading template {}: {e}", file.display())).hint("check the path and its permissions")
            })?;
            Some(template(&text)?)
        }
        ViewFormat::Yaml | ViewFormat::Json => None,
    };
    let config = view(&session.files(), &how)?;
    let value = serde_json::to_value(&config).map_err(|e| Failure::new(format!("printing: {e}")))?;
    let wrong = |e: Wrong| Failure::from(e).hint("kubefed config view -o json shows what there is");
    let text = match (&args.output, &template) {
        // A list for each part, as kubectl prints them.
        (ViewFormat::JsonPathAsJson(_), Some(template)) => {
            let parts = template.values(&value).map_err(wrong)?;
            parts.iter().map(|part| json(part).map(|text| text + "\n")).collect::<Result<String, Failure>>()?
        }
        (_, Some(template)) => template.fill(&value).map_err(wrong)?,
        // In the order of client-go's types, which a value has not.
        (ViewFormat::Json, None) => json(&config)? + "\n",
        (_, None) => to_yaml(&value),
    };
    session.printer.raw(&text);
    Ok(())
}

fn template(text: &str) -> Result<Template, Failure> {
    Template::parse(text).map_err(|e| Failure::from(e).hint("a path is in braces, for example {.users[?(@.name==\"me\")].user.token}"))
}

impl From<Wrong> for Failure {
    fn from(e: Wrong) -> Self {
        Self::new(e.to_string())
    }
}

/// JSON with kubectl's four blanks.
fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let mut to = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut to).map_err(|e| Failure::new(format!("printing: {e}")))?;
    Ok(go_json(&String::from_utf8_lossy(&bytes)))
}
