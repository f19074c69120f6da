//! `kubefed dns diff`.

use serde_json::json;

use super::compare::{Comparison, State, compare};
use super::reach::{Publisher, asked};
use super::told::{Answer, row};
use super::wanted::Seen;
use crate::cli::DnsDiffArgs;
use crate::commands::Session;
use crate::error::{EXIT_DIFFERS, EXIT_NOT_COMPARED, EXIT_OK, Failure};

pub(super) async fn run(session: &Session, args: &DnsDiffArgs) -> Result<u8, Failure> {
    let publisher = Publisher::find(session, &args.zone).await?;
    let opened = publisher.open().await?;
    let federation = session.federation(&publisher.federation).await?;
    let (provider, zone, tree) = (opened.provider(), opened.zone(), opened.tree());
    let wanted = Seen::read(&federation).await?.wanted(tree).await;
    let held = asked(args.zone.host.timeout, &format!("reading zone {}", zone.name), provider.read(zone, &tree.suffix)).await?;
    let found = compare(tree, &wanted, held);
    match args.output {
        Some(format) => {
            let mut value = serde_json::to_value(&found).map_err(|e| Failure::new(e.to_string()))?;
            value["zone"] = json!(zone.name);
            value["provider"] = json!(provider.name());
            value["federation"] = json!(publisher.federation);
            session.printer.value(&value, format)?;
        }
        None => print(session, &found, zone.name.as_str()),
    }
    Ok(match (found.differences.is_empty(), found.not_compared.is_empty()) {
        (false, _) => EXIT_DIFFERS,
        (true, false) => EXIT_NOT_COMPARED,
        (true, true) => EXIT_OK,
    })
}

fn print(session: &Session, found: &Comparison, zone: &str) {
    let printer = &session.printer;
    let none = |text: String| if text.is_empty() { "<none>".to_owned() } else { text };
    let rows = found.differences.iter().map(|one| {
        let held: Vec<String> = one
            .held
            .iter()
            .map(|set| if set.kind == one.kind { set.answer.cell(false) } else { format!("{} {}", set.kind, set.answer.cell(false)) })
            .collect();
        let wanted = one.wanted.as_ref().map(|answer: &Answer| answer.cell(false)).unwrap_or_default();
        vec![one.state.word().to_owned(), one.name.to_string(), one.kind.clone(), none(wanted), none(held.join("; ")), one.reason.clone()]
    });
    if !found.differences.is_empty() {
        let head = row(&["STATE", "NAME", "TYPE", "WANTED", "HELD", "REASON"]);
        printer.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    }
    printer.note(&format!("{} names in zone {zone} are as wanted, {} record sets differ.", found.equal, found.differences.len()));
    let any = |state: State| found.differences.iter().any(|one| one.state == state);
    if any(State::Missing) || any(State::Wrong) || any(State::Leftover) {
        printer.note("The controller manager mends what is missing, wrong or leftover within half a minute, ten on aws-route53; if it stays, kubefed status and the Events of the Service tell why.");
    }
    if any(State::Foreign) {
        printer.note("What is foreign stays as it is: remove it at the provider, or take it over with kubefed dns adopt NAME.");
    }
    for one in &found.not_compared {
        printer.warn(&format!("names of Service {} were not compared: {}", one.service, one.reason));
    }
}
