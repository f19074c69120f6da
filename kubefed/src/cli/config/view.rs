//! `kubefed config view`.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::values::boolean;

/// Print the kubeconfig files merged.
#[derive(Args, Debug)]
pub struct ViewArgs {
    /// Show secrets
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub raw: Option<bool>,
    /// Show what certificate and key files contain in the place of their paths; shows secrets too
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub flatten: Option<bool>,
    /// Show only what the current context, or the one of --context, uses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub minify: Option<bool>,
    /// Whether all files count; if not, --kubeconfig has to name one that exists
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, action = ArgAction::Set)]
    pub merge: Option<bool>,
    /// yaml, json, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE or jsonpath-file=FILE
    #[arg(long, short = 'o', value_name = "FORMAT", default_value = "yaml", value_parser = view_format)]
    pub output: ViewFormat,
}

/// How `view` prints.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ViewFormat {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// A JSONPath template, filled in.
    JsonPath(String),
    /// The values of a JSONPath template's paths as a JSON list.
    JsonPathAsJson(String),
    /// A JSONPath template in a file, filled in.
    JsonPathFile(PathBuf),
}

fn view_format(text: &str) -> Result<ViewFormat, String> {
    let (name, template) = text.split_once('=').map_or((text, None), |(name, template)| (name, Some(template)));
    match (name, template.filter(|template| !template.is_empty())) {
        ("yaml", None) => Ok(ViewFormat::Yaml),
        ("json", None) => Ok(ViewFormat::Json),
        ("jsonpath", Some(template)) => Ok(ViewFormat::JsonPath(template.to_owned())),
        ("jsonpath-as-json", Some(template)) => Ok(ViewFormat::JsonPathAsJson(template.to_owned())),
        ("jsonpath-file", Some(file)) => Ok(ViewFormat::JsonPathFile(PathBuf::from(file))),
        ("jsonpath" | "jsonpath-as-json" | "jsonpath-file", None) => Err(format!("{name} needs a template, as in {name}={{.kind}}")),
        _ => Err("formats are yaml, json, jsonpath=TEMPLATE, jsonpath-as-json=TEMPLATE, jsonpath-file=FILE".to_owned()),
    }
}
