//! `kubefed dns adopt`.

use std::collections::BTreeMap;

use dns_providers::{DnsName, Held, Owner};
use serde_json::json;

use super::list;
use super::reach::{Publisher, asked};
use super::told::Set;
use crate::cli::DnsAdoptArgs;
use crate::commands::Session;
use crate::commands::agree::agreed;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};

pub(super) async fn run(session: &Session, args: &DnsAdoptArgs) -> Result<u8, Failure> {
    let printer = &session.printer;
    let names = names(&args.names)?;
    let publisher = Publisher::find(session, &args.zone).await?;
    let opened = publisher.open().await?;
    let (provider, zone, tree, limit) = (opened.provider(), opened.zone(), opened.tree(), args.zone.host.timeout);
    let held = asked(limit, &format!("reading zone {}", zone.name), provider.read(zone, &zone.name)).await?;
    let held: Vec<Held> = held.into_iter().filter(|one| names.contains(&one.set.name)).collect();
    for name in &names {
        if tree.service_of(name).is_none() {
            return Err(Failure::usage(format!("{name} is no name of a Service of federation \"{}\"", publisher.federation)).hint(
                format!(
                    "the federation writes names that end in {}.svc.{} or that of a region only; nothing was changed",
                    tree.federation, tree.suffix
                ),
            ));
        }
        let here: Vec<&Held> = held.iter().filter(|one| one.set.name == *name).collect();
        if here.is_empty() {
            return Err(Failure::new(format!("there is no A, AAAA or CNAME record at {name} in zone {}", zone.name))
                .hint("kubefed dns list shows the names there are; nothing was changed"));
        }
        for one in here {
            if let Owner::Federation(other) = &one.owner
                && args.from.as_ref() != Some(other)
            {
                return Err(Failure::new(format!("{name} belongs to federation \"{other}\""))
                    .hint(format!("if that one is no more, or gives the name up: --from={other}; nothing was changed")));
            }
        }
    }
    let (sets, done): (Vec<Held>, Vec<Held>) = {
        // A name is taken over as a whole, so what of it is ours already is written again with it.
        let foreign = |one: &Held| held.iter().any(|other| other.set.name == one.set.name && !other.owned());
        held.iter().cloned().partition(|one| foreign(one))
    };
    let told = Set::all(&sets, tree);
    if args.output.is_none() {
        list::print(session, &told, true);
        for name in done.iter().map(|one| &one.set.name).collect::<std::collections::BTreeSet<_>>() {
            printer.note(&format!("{name} is this federation's already"));
        }
    }
    let value = |sets: &[Set], left: &BTreeMap<String, String>| {
        json!({"zone": zone.name, "provider": provider.name(), "federation": publisher.federation,
            "dryRun": args.dry_run, "records": sets, "left": left})
    };
    let said = format!("{} record sets in zone {} into the ownership of federation {}", told.len(), zone.name, publisher.federation);
    if sets.is_empty() || args.dry_run {
        match args.output {
            Some(format) => printer.value(&value(&told, &BTreeMap::new()), format)?,
            None if sets.is_empty() => printer.data("Nothing to do."),
            None => printer.data(&format!("Would take {said} (dry run)")),
        }
        return Ok(EXIT_OK);
    }
    let hint = "--yes takes them without asking, --dry-run shows them; nothing was changed";
    let question = format!("Take {said}? It replaces them by what it wants, and removes them when it wants nothing there.");
    if !args.yes && !agreed(session, &question, hint)? {
        printer.note("Nothing was changed.");
        return Ok(EXIT_OK);
    }
    let rejected = asked(limit, &format!("marking records in zone {}", zone.name), provider.adopt(zone, &sets)).await?;
    let left: BTreeMap<String, String> = rejected.into_iter().map(|r| (r.name.to_string(), r.reason)).collect();
    let taken: Vec<Set> = told.into_iter().filter(|set| !left.contains_key(set.name.as_str())).collect();
    match args.output {
        Some(format) => printer.value(&value(&taken, &left), format)?,
        None => printer.data(&format!(
            "Took {} record sets in zone {} into the ownership of federation {}",
            taken.len(),
            zone.name,
            publisher.federation
        )),
    }
    for (name, reason) in &left {
        printer.warn(&format!("{name} was not taken: {reason}"));
    }
    Ok(if left.is_empty() { EXIT_OK } else { EXIT_FOUND })
}

fn names(typed: &[String]) -> Result<Vec<DnsName>, Failure> {
    if typed.is_empty() {
        return Err(Failure::usage("at least one NAME is required").hint("kubefed dns diff shows names that others hold"));
    }
    let parse =
        |text: &String| DnsName::parse(text).map_err(|e| Failure::usage(e.to_string()).hint("write it as kubefed dns list shows it"));
    typed.iter().map(parse).collect()
}
