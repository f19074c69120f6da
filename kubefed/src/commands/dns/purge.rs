//! `kubefed dns purge`.

use std::collections::BTreeMap;

use dns_providers::{Change, Held};
use federation_controller_manager::dns::Opened;
use serde_json::json;

use super::list;
use super::reach::{Publisher, asked};
use super::told::Set;
use crate::cli::DnsPurgeArgs;
use crate::commands::Session;
use crate::commands::agree::agreed;
use crate::error::{EXIT_FOUND, EXIT_OK, Failure};

pub(super) async fn run(session: &Session, args: &DnsPurgeArgs) -> Result<u8, Failure> {
    let printer = &session.printer;
    let publisher = Publisher::find(session, &args.zone).await?;
    let opened = publisher.open().await?;
    let (provider, zone, limit) = (opened.provider(), opened.zone(), args.zone.host.timeout);
    if let (Some(work), false, false) = (&publisher.at_work, args.force, args.dry_run) {
        return Err(Failure::new(format!(
            "a controller manager of federation \"{}\" runs, by Deployment {}/{} in context {}: it would publish everything again",
            publisher.federation, work.namespace, work.deployment, work.context
        ))
        .hint(format!(
            "remove it with kubefed deinit, or stop it with kubectl --context={} -n {} scale deployment {} --replicas=0; --force purges all the same",
            work.context, work.namespace, work.deployment
        )));
    }
    let reading = format!("reading zone {}", zone.name);
    let owned = async |opened: &Opened| -> Result<Vec<Held>, Failure> {
        let all = asked(limit, &reading, opened.provider().read(opened.zone(), &opened.tree().suffix)).await?;
        Ok(all.into_iter().filter(Held::owned).collect())
    };
    let ours = owned(&opened).await?;
    let sets = Set::all(&ours, opened.tree());
    let whole = |done: &[Set], left: &BTreeMap<String, String>| {
        json!({"zone": zone.name, "provider": provider.name(), "federation": publisher.federation,
            "dryRun": args.dry_run, "records": done, "left": left})
    };
    if args.output.is_none() {
        list::print(session, &sets, true);
    }
    let said = format!("{} record sets of federation {} in zone {}", sets.len(), publisher.federation, zone.name);
    if sets.is_empty() || args.dry_run {
        if let Some(format) = args.output {
            printer.value(&whole(&sets, &BTreeMap::new()), format)?;
        } else if sets.is_empty() {
            printer.data(&format!("Nothing to do: no record set in zone {1} is of federation {0}", publisher.federation, zone.name));
        } else {
            printer.data(&format!("{said} would be removed (dry run)"));
        }
        return Ok(EXIT_OK);
    }
    if publisher.host.is_none() {
        printer.note(&format!(
            "Whether a controller manager of federation \"{}\" runs was not looked at; it would publish everything again.",
            publisher.federation
        ));
    }
    let hint = "--yes removes them without asking, --dry-run shows them; nothing was removed";
    if !args.yes && !agreed(session, &format!("Remove {said}? Names that are in use stop to be answered."), hint)? {
        printer.note("Nothing was removed.");
        return Ok(EXIT_OK);
    }
    // A set of another type may stand for a mark whose set somebody took away; every type of ours goes.
    let deletions: Vec<Change> = ours.iter().map(|one| Change::Delete { name: one.set.name.clone(), kind: one.set.data.kind() }).collect();
    let rejected = asked(limit, &format!("removing records from zone {}", zone.name), provider.apply(zone, &deletions)).await?;
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    // A provider that remembers what it read is asked by another that does not.
    for one in owned(&publisher.open().await?).await? {
        let reason = rejected.iter().find(|r| r.name == one.set.name).map_or("it was written again meanwhile", |r| &r.reason);
        left.insert(one.set.name.to_string(), reason.to_owned());
    }
    let done: Vec<Set> = sets.into_iter().filter(|set| !left.contains_key(set.name.as_str())).collect();
    match args.output {
        Some(format) => printer.value(&whole(&done, &left), format)?,
        None => printer.data(&format!("Removed {} record sets of federation {} from zone {}", done.len(), publisher.federation, zone.name)),
    }
    for (name, reason) in &left {
        printer.warn(&format!("{name} is still there: {reason}"));
    }
    Ok(if left.is_empty() { EXIT_OK } else { EXIT_FOUND })
}
