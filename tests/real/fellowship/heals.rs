//! Three ordinary events after which a member used to stay wrong for ever. Each has to heal by itself, and tells
//! how long that took.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kit::process::eventually;

use crate::world::{PATIENCE, World};

const NAMESPACE: &str = "mirkwood";
/// As many ConfigMaps as were lost one in five of, when they were deleted in the moment they appeared.
const COPIES: usize = 40;

/// All three, in a namespace of their own that is gone afterwards.
pub(crate) fn all(world: &mut World) -> Result<()> {
    // The host has crashed just now, and members may be right before its pods are back.
    eventually("the federation to answer", PATIENCE, || world.kubectl("fellowship", "get --raw /readyz"))?;
    world.kubectl("fellowship", &format!("create namespace {NAMESPACE}"))?;
    deleted_as_soon_as_made(world)?;
    made_anew_while_away(world)?;
    restored_from_a_backup(world)?;
    world.kubectl("fellowship", &format!("delete namespace {NAMESPACE} --timeout=120s"))?;
    Ok(())
}

/// Somebody in gondor deletes each copy the moment it appears, once.
fn deleted_as_soon_as_made(world: &World) -> Result<()> {
    let names: Vec<String> = (0..COPIES).map(|n| format!("spider-{n}")).collect();
    let vandal = world.vandal("gondor", NAMESPACE, "spider-", COPIES)?;
    for name in &names {
        world.kubectl("fellowship", &format!("create configmap {name} -n {NAMESPACE} --from-literal=legs=eight"))?;
    }
    let deleted = vandal.finish(PATIENCE)?;
    let since = Instant::now();
    ensure!(deleted.len() == COPIES, "only {} of {COPIES} copies were deleted", deleted.len());
    eventually("all copies to be there again", PATIENCE, || {
        let there = world.kubectl("gondor", &format!("get configmaps -n {NAMESPACE} -o name"))?;
        let missing = names.iter().filter(|n| !there.lines().any(|l| l == format!("configmap/{n}"))).count();
        ensure!(missing == 0, "{missing} are missing");
        Ok(())
    })?;
    told("copies that were deleted as soon as they were made", since);
    Ok(())
}

/// While gondor is away, a Deployment and an immutable ConfigMap are deleted and made anew under their old names.
fn made_anew_while_away(world: &World) -> Result<()> {
    herald(world, "old")?;
    for member in ["gondor", "rohan"] {
        herald_is(world, member, "old")?;
    }
    world.gondor.cut()?;
    for name in ["deployment/herald", "configmap/seal"] {
        world.kubectl("fellowship", &format!("delete {name} -n {NAMESPACE} --timeout=60s"))?;
    }
    herald(world, "new")?;
    herald_is(world, "rohan", "new")?;
    world.gondor.mend()?;
    let since = Instant::now();
    herald_is(world, "gondor", "new")?;
    told("objects that were made anew while the member was away", since);
    Ok(())
}

fn herald(world: &World, tune: &str) -> Result<()> {
    world.apply("fellowship", include_str!("herald.yaml"), &[("NAMESPACE", NAMESPACE), ("TUNE", tune)])
}

/// The selector of the Deployment and the data of the ConfigMap are of this tune: neither can be changed in place.
fn herald_is(world: &World, member: &str, tune: &str) -> Result<()> {
    eventually(&format!("the {tune} herald in {member}"), PATIENCE, || {
        let read = |what: &str, path: &str| world.kubectl(member, &format!("get {what} -n {NAMESPACE} -o jsonpath={{{path}}}"));
        let found = (read("deployment/herald", ".spec.selector.matchLabels.tune")?, read("configmap/seal", ".data.tune")?);
        ensure!(found.0 == tune && found.1 == tune, "{found:?}");
        Ok(())
    })
}

/// gondor's store is put back to an older copy of itself: what was made since is lost, what was changed is as it
/// was, and what was deleted lives again.
fn restored_from_a_backup(world: &mut World) -> Result<()> {
    for name in ["changed", "deleted"] {
        world.kubectl("fellowship", &format!("create configmap {name} -n {NAMESPACE} --from-literal=state=old"))?;
    }
    configmaps_are(world, &[("changed", Some("old")), ("deleted", Some("old"))])?;
    let backup = world.dir.join("backup-of-gondor");
    world.gondor.crash();
    world.gondor.back_up(&backup)?;
    world.gondor.restart()?;

    world.kubectl("fellowship", &format!("patch configmap changed -n {NAMESPACE} --type=merge -p {{\"data\":{{\"state\":\"new\"}}}}"))?;
    world.kubectl("fellowship", &format!("delete configmap deleted -n {NAMESPACE} --timeout=60s"))?;
    world.kubectl("fellowship", &format!("create configmap lost -n {NAMESPACE} --from-literal=state=new"))?;
    let right = [("changed", Some("new")), ("deleted", None), ("lost", Some("new"))];
    configmaps_are(world, &right)?;

    world.gondor.crash();
    world.gondor.restore(&backup)?;
    world.gondor.restart()?;
    let since = Instant::now();
    configmaps_are(world, &right)?;
    told("a member whose store was restored from a backup", since);
    Ok(())
}

/// Waits until gondor's ConfigMaps have these states; none is absence.
fn configmaps_are(world: &World, expected: &[(&str, Option<&str>)]) -> Result<()> {
    eventually(&format!("{expected:?} in gondor"), PATIENCE, || {
        for (name, state) in expected {
            let found =
                world.kubectl("gondor", &format!("get configmap {name} -n {NAMESPACE} --ignore-not-found -o jsonpath={{.data.state}}"))?;
            ensure!(found == state.unwrap_or_default(), "{name} is {found:?}");
        }
        Ok(())
    })
    .context("gondor does not become right")
}

fn told(what: &str, since: Instant) {
    let took: Duration = since.elapsed();
    println!("healed after {:.1} s: {what}", took.as_secs_f64());
}
