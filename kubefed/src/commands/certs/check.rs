//! `kubefed certs check`.

use std::time::SystemTime;

use federation_api::keys::{CLUSTER_NAME, CONTROLLER_MANAGER_USER, FEDERATION_NAME};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use super::held::{Held, State, Term, administrator, certificates, in_host, left};
use crate::certs::{self, Found};
use crate::cli::CertsCheckArgs;
use crate::commands::Session;
use crate::commands::init::{credentials::earlier, is_ours};
use crate::connection::Connection;
use crate::error::{EXIT_OK, Failure};
use crate::render::credentials::Pair;
use crate::render::names::{Federation, MANAGED_BY_LABEL, MANAGER};

/// Exit code that says that something ends soon, has ended or cannot be used.
pub(super) const EXIT_DUE: u8 = 3;

pub(super) async fn run(session: &Session, host: &Connection, federation: &Federation, args: &CertsCheckArgs) -> Result<u8, Failure> {
    let now = Timestamp::now();
    let all = all(session, host, federation, now).await?;
    if let Some(format) = args.output {
        let items: Vec<_> = all.iter().map(|held| held.value(now, args.within, federation, &host.context)).collect();
        session.printer.value(&json!({"federation": federation.name, "items": items}), format)?;
    } else {
        session.printer.table(&table(&all, now, args));
    }
    let due: Vec<&Held> = all.iter().filter(|held| held.state(now, args.within) != State::Good).collect();
    let mut told: Vec<String> = Vec::new();
    for held in &due {
        let mend = held.mend(federation, &host.context);
        if let Some(why) = held.reason() {
            session.printer.warn(&format!("{} cannot be used: {why}", held.name));
        }
        if !told.contains(&mend) {
            session.printer.warn(&format!("to be made new: {}; {mend}", names(&due, &mend, federation, host)));
            told.push(mend);
        }
    }
    for held in all.iter().filter(|held| held.is_endless_token()) {
        session.printer.note(&format!("{} have no end; for some that are renewed: {}", held.name, held.mend(federation, &host.context)));
    }
    Ok(if due.is_empty() { EXIT_OK } else { EXIT_DUE })
}

/// Everything of a federation that ends one day.
pub(super) async fn all(session: &Session, host: &Connection, federation: &Federation, now: Timestamp) -> Result<Vec<Held>, Failure> {
    // Those of members are made by kubefed join, and name their federation in an annotation only.
    let labels = format!("{MANAGED_BY_LABEL}={MANAGER}");
    let secrets = host.typed::<Secret>(&federation.namespace).list(&ListParams::default().labels(&labels)).await;
    let mut secrets = secrets.map_err(|e| host.failed("listing secrets", &e))?.items;
    secrets.retain(|secret| {
        let annotation = |key: &str| secret.annotations().get(key);
        // A host that is its own member has secrets for the account there too.
        annotation(FEDERATION_NAME) == Some(&federation.name) && annotation("kubernetes.io/service-account.name").is_none()
    });
    let member = |secret: &Secret| secret.annotations().contains_key(CLUSTER_NAME);
    secrets.sort_by_key(|secret| (member(secret), secret.name_any() != federation.ca(), secret.name_any()));
    let mut all = in_host(federation, &secrets);
    let local = session.files().load_any()?;
    let found = earlier(host, federation, Some(&local)).await.map(|earlier| earlier.certs);
    if found.as_ref().is_ok_and(|found| found.ca.as_ref().is_some_and(|ca| is_ours(&local, &federation.name, &ca.cert))) {
        all.extend(local.users.get(&federation.name).and_then(|user| administrator(&federation.name, user)));
    }
    usable(&mut all, found, SystemTime::from(now));
    Ok(all)
}

const WHY: &str = "it is not of the federation's authority, or its key does not fit";

/// What its dates call good and yet nobody accepts: a key that does not fit, another authority, one that cannot sign.
fn usable(all: &mut [Held], found: Result<Found, Failure>, now: SystemTime) {
    let mut wrong = |name: &str, why: String| {
        let held = all.iter_mut().find(|held| held.name == name && matches!(held.term, Term::Between(..)));
        if let Some(held) = held {
            held.term = Term::Unreadable(why);
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(failure) => return wrong("authority", failure.message),
    };
    let Some(ca) = &found.ca else { return };
    let expired = |pair: &Pair| match certificates(pair.cert.as_bytes()) {
        Term::Between(begin, end) => SystemTime::from(begin) > now || SystemTime::from(end) <= now,
        Term::Endless | Term::Unreadable(_) => false,
    };
    if found.server.as_ref().is_some_and(|pair| !expired(pair) && !certs::serves(ca, pair, now)) {
        wrong("apiserver", WHY.to_owned());
    }
    let clients =
        [("controller-manager", &found.controller_manager, CONTROLLER_MANAGER_USER), ("administrator", &found.admin, certs::ADMIN)];
    for (name, pair, user) in clients {
        if pair.as_ref().is_some_and(|pair| !expired(pair) && !certs::identifies(ca, pair, user, now)) {
            wrong(name, WHY.to_owned());
        }
    }
}

/// All that one command mends.
fn names(due: &[&Held], mend: &str, federation: &Federation, host: &Connection) -> String {
    let of = due.iter().filter(|held| held.mend(federation, &host.context) == mend);
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
