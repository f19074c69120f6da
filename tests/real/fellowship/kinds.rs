//! The kinds that v1 did not have: each reaches the members and does there what it is for, and its status comes back.

use anyhow::{Result, ensure};
use kit::process::eventually;

use crate::world::{PATIENCE, World};

const NAMESPACE: &str = "gondolin";

/// All of them, in a namespace of their own that is gone afterwards.
pub(crate) fn all(world: &World) -> Result<()> {
    world.kubectl("fellowship", &format!("create namespace {NAMESPACE}"))?;
    world.apply("fellowship", include_str!("kinds.yaml"), &[])?;
    sets_are_divided_and_run_on_claims(world)?;
    budgets_are_summed(world)?;
    rights_count_in_members(world)?;
    autoscalers_share_their_bounds(world)?;
    policies_and_ingresses_are_the_same(world)?;
    schedules_run_in_each_member(world)?;
    world.kubectl("fellowship", &format!("delete namespace {NAMESPACE} --timeout=120s"))?;
    for member in ["gondor", "rohan"] {
        is(world, member, &format!("namespace {NAMESPACE} --ignore-not-found"), ".metadata.name", "")?;
    }
    Ok(())
}

/// Waits until a path of an object has this value.
fn is(world: &World, context: &str, object: &str, path: &str, wanted: &str) -> Result<()> {
    eventually(&format!("{path} of {object} in {context} to be {wanted:?}"), PATIENCE, || {
        let found = world.kubectl(context, &format!("get {object} -n {NAMESPACE} -o 'jsonpath={{{path}}}'"))?;
        ensure!(found == wanted, "it is {found:?}");
        Ok(())
    })
}

/// The pods mount the claim and run as the account.
fn sets_are_divided_and_run_on_claims(world: &World) -> Result<()> {
    for (member, replicas) in [("gondor", "1"), ("rohan", "2")] {
        is(world, member, "statefulset/tower", ".spec.replicas", replicas)?;
        is(world, member, "statefulset/tower", ".status.readyReplicas", replicas)?;
        is(world, member, "pod/tower-0", ".spec.serviceAccountName", "guard")?;
        is(world, member, "persistentvolumeclaim/hall", ".status.phase", "Bound")?;
    }
    is(world, "fellowship", "statefulset/tower", ".status.readyReplicas", "3")?;
    is(world, "fellowship", "persistentvolumeclaim/hall", ".status.phase", "Bound")
}

fn budgets_are_summed(world: &World) -> Result<()> {
    is(world, "fellowship", "poddisruptionbudget/tower", ".status['currentHealthy','expectedPods','disruptionsAllowed']", "3 3 1")
}

fn rights_count_in_members(world: &World) -> Result<()> {
    let may = |member: &str, what: &str| {
        let line = format!("auth can-i {what} -n {NAMESPACE} --as=system:serviceaccount:{NAMESPACE}:guard");
        world.kubectl(member, &line).is_ok_and(|said| said.trim() == "yes")
    };
    for member in ["gondor", "rohan"] {
        eventually(&format!("the guard's rights in {member}"), PATIENCE, || {
            ensure!(may(member, "get configmaps"), "it may not read ConfigMaps");
            Ok(())
        })?;
        ensure!(!may(member, "delete configmaps"), "the guard may delete in {member}");
    }
    Ok(())
}

/// There are no metrics in the members: their autoscalers keep to the bounds, and that is what is seen.
fn autoscalers_share_their_bounds(world: &World) -> Result<()> {
    for member in ["gondor", "rohan"] {
        is(world, member, "hpa/wall", ".spec['minReplicas','maxReplicas']", "1 3")?;
        is(world, member, "deployment/wall", ".status.readyReplicas", "1")?;
    }
    is(world, "fellowship", "hpa/wall", ".status.currentReplicas", "2")
}

fn policies_and_ingresses_are_the_same(world: &World) -> Result<()> {
    for member in ["gondor", "rohan"] {
        is(world, member, "networkpolicy/gate", ".spec.ingress[0].from[0].podSelector.matchLabels.app", "tower")?;
        is(world, member, "ingress/gate", ".spec.defaultBackend.service.name", "wall")?;
    }
    Ok(())
}

/// At the next full minute of each member's clock.
fn schedules_run_in_each_member(world: &World) -> Result<()> {
    for context in ["gondor", "rohan", "fellowship"] {
        eventually(&format!("the bell to have rung in {context}"), PATIENCE, || {
            let rung = world.kubectl(context, &format!("get cronjob/bell -n {NAMESPACE} -o jsonpath={{.status.lastSuccessfulTime}}"))?;
            ensure!(!rung.is_empty(), "not yet");
            Ok(())
        })?;
    }
    Ok(())
}
