//! Lists of entries, in kubectl's columns.

use federation_client::config::{Config, List};

use crate::cli::GetContextsArgs;
use crate::commands::Session;
use crate::error::Failure;

const HEADINGS: [&str; 5] = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"];
/// Least width of a column, and blanks between two, in characters.
const LEAST: usize = 6;
const GAP: usize = 3;

pub(super) fn names(session: &Session, names: &[&str]) -> Result<(), Failure> {
    session.printer.data("NAME");
    names.iter().for_each(|name| session.printer.data(name));
    Ok(())
}

/// The contexts that are asked for; those that are not there are told after the others were printed.
pub(super) fn contexts(session: &Session, config: &Config, args: &GetContextsArgs) -> Result<(), Failure> {
    let all = config.names(List::Contexts);
    let (mut shown, unknown): (Vec<&str>, Vec<&str>) = match args.names.as_slice() {
        [] => (all, Vec::new()),
        names => names.iter().map(String::as_str).partition(|name| config.merged.contexts.contains_key(*name)),
    };
    shown.sort_unstable();
    if args.output.is_some() {
        shown.iter().for_each(|name| session.printer.data(name));
    } else {
        let heading = (!args.no_headers.unwrap_or_default()).then(|| HEADINGS.map(str::to_owned));
        let rows: Vec<[String; 5]> = heading.into_iter().chain(shown.iter().filter_map(|name| row(config, name))).collect();
        table(&rows).iter().for_each(|line| session.printer.data(line));
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let each: Vec<String> = unknown.iter().map(|name| format!("context {name} not found")).collect();
    let hint = format!("there are: {}", config.merged.context_names(unknown.first().copied().unwrap_or_default()));
    Err(Failure::new(each.join(", ")).hint(hint))
}

fn row(config: &Config, name: &str) -> Option<[String; 5]> {
    let context = config.merged.contexts.get(name)?;
    let star = if config.merged.current_context == name { "*" } else { "" };
    Some([star, name, &context.cluster, &context.user, &context.namespace].map(str::to_owned))
}

fn table(rows: &[[String; 5]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + GAP).max().unwrap_or_default().max(LEAST);
    let widths: [usize; 4] = [0, 1, 2, 3].map(width);
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<String>() + &row[4]
        })
        .collect()
}
