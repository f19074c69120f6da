//! `kubefed certs check`.

use federation_api::keys::CLUSTER_NAME;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::held::{Held, State, administrator, in_host, left};
use crate::cli::CertsCheckArgs;
use crate::commands::Session;
use crate::connection::Connection;
use crate::error::{EXIT_OK, Failure};
use crate::render::names::{Federation, INSTANCE_LABEL};

/// Exit code that says that something ends soon, has ended or cannot be used.
pub(super) const EXIT_DUE: u8 = 3;

pub(super) async fn run(session: &Session, host: &Connection, federation: &Federation, args: &CertsCheckArgs) -> Result<u8, Failure> {
    let labels = format!("{INSTANCE_LABEL}={}", federation.name);
    let secrets = host.typed::<Secret>(&federation.namespace).list(&ListParams::default().labels(&labels)).await;
    let mut secrets = secrets.map_err(|e| host.failed("listing secrets", &e))?.items;
    let member = |secret: &Secret| secret.annotations().contains_key(CLUSTER_NAME);
    secrets.sort_by_key(|secret| (member(secret), secret.name_any() != federation.ca(), secret.name_any()));
    let mut all = in_host(federation, &secrets);
    all.extend(session.files().load_any()?.users.get(&federation.name).and_then(|user| administrator(&federation.name, user)));
    let now = Timestamp::now();
    if let Some(format) = args.output {
        let items: Vec<_> = all.iter().map(|held| held.value(now, args.within, &federation.name, &host.context)).collect();
        session.printer.value(&json!({"federation": federation.name, "items": items}), format)?;
    } else {
        session.printer.table(&table(&all, now, args));
    }
    let due: Vec<&Held> = all.iter().filter(|held| held.state(now, args.within) != State::Good).collect();
    let mut told: Vec<String> = Vec::new();
    for held in &due {
        let mend = held.mend(&federation.name, &host.context);
        if !told.contains(&mend) {
            session.printer.warn(&format!("to be made new: {}; {mend}", names(&due, &mend, federation, host)));
            told.push(mend);
        }
    }
    Ok(if due.is_empty() { EXIT_OK } else { EXIT_DUE })
}

/// All that one command mends.
fn names(due: &[&Held], mend: &str, federation: &Federation, host: &Connection) -> String {
    let of = due.iter().filter(|held| held.mend(&federation.name, &host.context) == mend);
    of.map(|held| held.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn table(all: &[Held], now: Timestamp, args: &CertsCheckArgs) -> Vec<Vec<String>> {
    let mut rows = vec![["NAME", "EXPIRES", "LEFT", "STATE", "KEPT IN"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|held| {
        let (end, left) = held.end().map_or_else(|| ("-".to_owned(), "-".to_owned()), |end| (end.to_string(), left(end, now)));
        vec![held.name.clone(), end, left, held.state(now, args.within).word().to_owned(), held.place.clone()]
    }));
    rows
}
