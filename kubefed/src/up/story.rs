//! What a federation does, step by step, each seen and not presumed.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use federation_api::keys;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::json;

use super::questions::resolve;
use super::realm::{self, FEDERATION, MEMBERS, Realm, ZONE};
use crate::printer::Printer;

/// Nothing in the story takes longer.
const PATIENCE: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "shire";

/// Tells it; each step prints one line beginning with `ok:`.
pub(super) async fn tell(realm: &Realm, printer: &Printer, start: Instant) -> Result<()> {
    let ok = |seen: String| printer.data(&format!("ok: {seen}"));
    ok(format!("federation {FEDERATION}, its host and three hollow members are up after {} ms", start.elapsed().as_millis()));
    for member in &MEMBERS {
        realm.join(member.name).await?;
        ok(format!("{} has joined: region {}, zone {}", member.name, member.region, member.zone));
    }
    ok(place(realm).await?);
    ok(replicas(realm, &[("gondor", 2), ("dol-amroth", 2), ("rohan", 4)]).await?);
    ok(resolves(realm, "", &["gondor", "dol-amroth", "rohan"]).await?);
    ok(resolves(realm, "south.", &["gondor", "dol-amroth"]).await?);
    ok(resolves(realm, "minas-tirith.south.", &["gondor"]).await?);

    realm.cut("gondor")?;
    let lost = Instant::now();
    ok(format!("gondor is cut off; {}", resolves(realm, "minas-tirith.south.", &["dol-amroth"]).await?));
    ok(format!("{}, {:.1} s after the cut", resolves(realm, "", &["dol-amroth", "rohan"]).await?, lost.elapsed().as_secs_f64()));
    let spread = replicas(realm, &[("dol-amroth", 2), ("rohan", 6)]).await?;
    ok(format!("{spread}, {:.1} s after the cut", lost.elapsed().as_secs_f64()));

    realm.mend("gondor")?;
    ok(format!("gondor is back; {}", replicas(realm, &[("gondor", 2), ("dol-amroth", 2), ("rohan", 4)]).await?));
    ok(resolves(realm, "", &["gondor", "dol-amroth", "rohan"]).await?);

    realm.unjoin("dol-amroth").await?;
    let name = resolves(realm, "", &["gondor", "rohan"]).await?;
    ensure!(deployed(realm, "dol-amroth").await?.is_some(), "unjoining took dol-amroth's Deployment away");
    ok(format!("dol-amroth has left and keeps its Deployment; {name}"));
    ok(format!("told in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(())
}

/// A namespace, a Deployment with v1's preferences and a Service, as a user writes them.
async fn place(realm: &Realm) -> Result<String> {
    let labels = json!({"app": "web"});
    let weights = json!({"rebalance": true, "clusters": {"gondor": {"weight": 1}, "dol-amroth": {"weight": 1}, "rohan": {"weight": 2}}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": NAMESPACE, "annotations": {keys::DEPLOYMENT_PREFERENCES: weights.to_string()}},
        "spec": {
            "replicas": 8, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": 80}]},
    });
    realm::apply(&realm.federation, "", "v1", "Namespace", "namespaces", &namespace).await?;
    realm::apply(&realm.federation, "apps", "v1", "Deployment", "deployments", &deployment).await?;
    realm::apply(&realm.federation, "", "v1", "Service", "services", &service).await?;
    Ok(format!("namespace {NAMESPACE}, Deployment web with 8 replicas weighted 1:1:2 and Service web are stored in the federation"))
}

/// Replicas of the Deployment in a member, if it is there.
async fn deployed(realm: &Realm, member: &str) -> Result<Option<i32>> {
    let api = Api::<Deployment>::namespaced(realm.member(member)?, NAMESPACE);
    Ok(federation_client::if_there(api.get("web").await)?.and_then(|d| d.spec).and_then(|s| s.replicas))
}

/// Waits until the members run so many ready replicas.
async fn replicas(realm: &Realm, wanted: &[(&str, i32)]) -> Result<String> {
    eventually("the replicas", async || {
        let mut seen = vec![];
        for (member, count) in wanted {
            let api = Api::<Deployment>::namespaced(realm.member(member)?, NAMESPACE);
            let found = federation_client::if_there(api.get("web").await)?;
            let ready = found.as_ref().and_then(|d| d.status.as_ref()).and_then(|s| s.ready_replicas).unwrap_or(0);
            let spec = found.and_then(|d| d.spec).and_then(|s| s.replicas);
            ensure!(spec == Some(*count) && ready == *count, "{member} should run {count}, has {spec:?} with {ready} ready");
            seen.push(format!("{member} {count}"));
        }
        Ok(format!("replicas run in {}", seen.join(", ")))
    })
    .await
}

/// Waits until a name of the Service has exactly the addresses of these members.
async fn resolves(realm: &Realm, level: &str, members: &[&str]) -> Result<String> {
    let name = format!("web.{NAMESPACE}.{FEDERATION}.svc.{level}{ZONE}");
    eventually("the name", async || {
        let (addresses, aliases) = resolve(realm.dns, &name).await?;
        let owner = |address: &IpAddr| MEMBERS.iter().find(|m| within(m.addresses, *address)).map(|m| m.name);
        let owners: Vec<_> = addresses.iter().map(owner).collect();
        let all = members.iter().all(|m| owners.contains(&Some(m)));
        ensure!(all && owners.len() == members.len(), "{name} should be {members:?}, is {addresses:?}");
        let shown: Vec<String> = addresses.iter().zip(&owners).map(|(a, o)| format!("{a} ({})", o.unwrap_or("nobody"))).collect();
        let way = aliases.last().map_or_else(String::new, |alias| format!(" by way of {alias}"));
        Ok(format!("{name} is {}{way}", shown.join(", ")))
    })
    .await
}

fn within([a, b, c]: [u8; 3], address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.octets()[..3] == Ipv4Addr::new(a, b, c, 0).octets()[..3])
}

/// Repeats a look until it succeeds; the error tells what was seen last.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(seen) => return Ok(seen),
            Err(error) if Instant::now() > end => return Err(error.context(format!("waited {} s for {what}", PATIENCE.as_secs()))),
            Err(_) => tokio::time::sleep(Duration::from_millis(30)).await,
        }
    }
}
