//! `kubefed dns list`.

use serde_json::json;

use super::reach::{Publisher, asked};
use super::told::{Set, row};
use crate::cli::{DnsListArgs, Format, WideFormat};
use crate::commands::Session;
use crate::error::{EXIT_OK, Failure};

pub(super) async fn run(session: &Session, args: &DnsListArgs) -> Result<u8, Failure> {
    let publisher = Publisher::find(session, &args.zone).await?;
    let opened = publisher.open().await?;
    let (zone, tree) = (opened.zone(), opened.tree());
    let held = asked(args.zone.host.timeout, &format!("reading zone {}", zone.name), opened.provider().read(zone, &zone.name)).await?;
    let mut sets = Set::all(&held, tree);
    let fits = |wanted: &Option<String>, is: Option<&String>| wanted.as_ref().is_none_or(|wanted| is == Some(wanted));
    sets.retain(|set| {
        let service = set.service.as_ref();
        fits(&args.service, service.map(|s| &s.name)) && fits(&args.namespace, service.map(|s| &s.namespace))
    });
    let format = match args.output {
        Some(WideFormat::Json) => Format::Json,
        Some(WideFormat::Yaml) => Format::Yaml,
        None | Some(WideFormat::Wide) => {
            print(session, &sets, args.output.is_some());
            if sets.is_empty() {
                session.printer.note(&format!("No record sets found in zone {}", zone.name));
            }
            return Ok(EXIT_OK);
        }
    };
    let value = json!({"zone": zone.name, "provider": opened.provider().name(), "federation": publisher.federation, "records": sets});
    session.printer.value(&value, format)?;
    Ok(EXIT_OK)
}

/// A table of sets, where there are any.
pub(super) fn print(session: &Session, sets: &[Set], wide: bool) {
    let rows = sets.iter().map(|set| {
        let service = set.service.as_ref().map_or_else(|| "<none>".to_owned(), ToString::to_string);
        let Set { name, kind, answer, whose, .. } = set;
        vec![name.to_string(), kind.clone(), answer.ttl.to_string(), answer.values(wide), whose.cell(), service]
    });
    if !sets.is_empty() {
        let head = row(&["NAME", "TYPE", "TTL", "VALUES", "OWNER", "SERVICE"]);
        session.printer.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    }
}
