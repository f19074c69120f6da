//! The federation's tokens in a member: renewed while objects go on being placed, moved, and taken back.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use kit::process::eventually;
use serde_json::Value;

use crate::world::{PATIENCE, World};

const NAMESPACE: &str = "lorien";

/// All of it, in a namespace of its own that is gone afterwards.
pub(crate) fn all(world: &World) -> Result<()> {
    world.kubectl("fellowship", &format!("create namespace {NAMESPACE}"))?;
    // Ten minutes are the least that kube-apiserver gives.
    world.kubefed("join gondor --host-cluster-context=rivendell --token-life=10m")?;
    let first = value(world, "token")?;
    let terms: Value = serde_json::from_str(&value(world, "token-terms")?)?;
    ensure!(terms["expires"].as_i64().zip(terms["issued"].as_i64()).is_some_and(|(end, begin)| end - begin == 600), "{terms}");
    ensure!(is_taken(world, &first)?, "gondor does not take the token it made");
    placed(world, "galadriel")?;

    // Hours go by at once: by its terms more than half of its life is over.
    let mut old = terms.clone();
    old["issued"] = (terms["issued"].as_i64().context("when it was made")? - 36_000).into();
    let patch = serde_json::json!({"stringData": {"token-terms": old.to_string()}});
    world.kubectl("rivendell", &format!("patch secret gondor -n federation-system --type=merge -p '{patch}'"))?;
    let since = Instant::now();
    let second = eventually("another token", PATIENCE, || {
        let token = value(world, "token")?;
        ensure!(token != first, "it is the first still");
        Ok(token)
    })?;
    println!("the token was renewed {:.0} s after it was due", since.elapsed().as_secs_f64());
    ensure!(is_taken(world, &first)? && is_taken(world, &second)?, "the last one holds until its own end");
    placed(world, "celeborn")?;

    world.kubefed("join gondor --host-cluster-context=rivendell --rotate")?;
    let third = value(world, "token")?;
    ensure!(third != second && is_taken(world, &third)?, "there is no new token");
    // kube-apiserver remembers for ten seconds what it took.
    eventually("the earlier tokens to be refused", PATIENCE, || {
        ensure!(!is_taken(world, &first)? && !is_taken(world, &second)?, "they are taken still");
        Ok(())
    })?;
    placed(world, "haldir")?;
    let said = world.kubefed("certs check fellowship --host-cluster-context=rivendell")?;
    ensure!(said.out.lines().any(|line| line.starts_with("gondor's credentials") && line.contains(" good ")), "{}", said.out);
    world.kubectl("fellowship", &format!("delete namespace {NAMESPACE} --timeout=120s"))?;
    Ok(())
}

/// A value of gondor's secret in the host.
fn value(world: &World, key: &str) -> Result<String> {
    world.kubectl(
        "rivendell",
        &format!("get secret gondor -n federation-system -o 'go-template={{{{index .data \"{key}\" | base64decode}}}}'"),
    )
}

/// Whether gondor's API server knows whose token this is.
fn is_taken(world: &World, token: &str) -> Result<bool> {
    let file = world.dir.join("review.json");
    let review = serde_json::json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    std::fs::write(&file, review.to_string())?;
    Ok(world.kubectl("gondor", &format!("create -f {} -o jsonpath={{.status.authenticated}}", file.display()))? == "true")
}

/// A ConfigMap of the federation comes to gondor.
fn placed(world: &World, name: &str) -> Result<()> {
    world.kubectl("fellowship", &format!("create configmap {name} -n {NAMESPACE} --from-literal=a=b"))?;
    eventually(name, PATIENCE, || world.kubectl("gondor", &format!("get configmap {name} -n {NAMESPACE}"))).map(drop)
}
