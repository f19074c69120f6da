//! The on-prem tutorial of Kubernetes Federation v1, end to end, on real clusters with real pods.
//!
//! `fellowship` is NodePort with a claim; `entmoot` is LoadBalancer without one. One test, because the
//! three machines are worth sharing.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test that tells its story")]

mod heals;
mod kinds;
mod tokens;
mod world;

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use kit::process::eventually;
use world::{PATIENCE, World};

const INIT: &str = "init fellowship --host-cluster-context=rivendell --dns-provider=coredns --dns-zone-name=example.com. \
    --dns-provider-config=@CONF@ --api-server-service-type=NodePort --etcd-persistent-storage=true \
    --image=docker.io/kubefed/fcp:dev --etcd-image=docker.io/kit/etcd:1";
const GLOBAL: &str = "web.shire.fellowship.svc.example.com.";

#[test]
#[ignore = "needs real clusters (root, Linux): cargo xtask test --real"]
fn the_tutorial_runs_on_real_clusters() {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let step = |what: &str| println!("== {:>4} s: {what}", start.elapsed().as_secs());

    step("three machines");
    let mut world = World::start(dir.path()).unwrap();
    world.start_dns().unwrap();
    let before = inventories(&world).unwrap();

    step("init with NodePort and a claim");
    let init = init_line(&world);
    world.kubefed(&init).unwrap();
    claim_is_bound(&world).unwrap();

    step("join gondor and rohan");
    for member in ["gondor", "rohan"] {
        world.kubefed(&format!("join {member} --host-cluster-context=rivendell")).unwrap();
    }

    step("place a namespace, a Deployment and a Service with kubectl");
    world.kubectl("fellowship", "create namespace shire").unwrap();
    world.apply("fellowship", include_str!("web.yaml"), &[("GREETING", "hello")]).unwrap();
    world.runs("gondor", 3).unwrap();
    world.runs("rohan", 6).unwrap();
    world.kubectl("fellowship", "wait -n shire deployment/web --for=jsonpath={.status.readyReplicas}=9 --timeout=60s").unwrap();

    step("names");
    names_answer(&world).unwrap();

    step("gondor is cut off");
    gondor_is_cut_off(&world).unwrap();

    step("rivendell crashes in the middle of a rollout");
    world.apply("fellowship", include_str!("web.yaml"), &[("GREETING", "farewell")]).unwrap();
    world.rivendell.crash();
    assert!(world.updated().unwrap() < 9, "the rollout was over before the crash");
    world.rivendell.restart().unwrap();
    for member in ["gondor", "rohan"] {
        world.page_says(world.address_in(member).unwrap(), &format!("farewell from {member}")).unwrap();
    }
    world.runs("gondor", 3).unwrap();
    world.runs("rohan", 6).unwrap();
    assert_eq!(world.updated().unwrap(), 9);

    step("three events that a member does not get over by itself");
    heals::all(&mut world).unwrap();

    step("kinds that v1 did not have");
    kinds::all(&world).unwrap();

    step("the same init and join again change nothing");
    repeat_changes_nothing(&world, &init).unwrap();

    step("every certificate is made anew");
    certificates_are_renewed(&world).unwrap();

    step("gondor's token is renewed, moved and taken back");
    tokens::all(&world).unwrap();

    step("leave");
    world.kubectl("fellowship", "delete namespace shire --timeout=120s").unwrap();
    world.resolves(GLOBAL, &[]).unwrap();
    leave(&world, "fellowship").unwrap();
    nothing_is_left(&world, &before).unwrap();

    step("again with LoadBalancer, two controller managers and without a claim");
    a_load_balancer_and_no_claim(&world).unwrap();
    leave(&world, "entmoot").unwrap();
    nothing_is_left(&world, &before).unwrap();
    step("done");
}

fn init_line(world: &World) -> String {
    let conf = world.dir.join("coredns-provider.conf");
    std::fs::write(&conf, "[Global]\netcd-endpoints = http://etcd.dns:2379\nzones = example.com.\n").unwrap();
    INIT.replace("@CONF@", &conf.display().to_string())
}

fn claim_is_bound(world: &World) -> Result<()> {
    let phase = world.kubectl(
        "rivendell",
        "get pvc -n federation-system fellowship-federation-apiserver-etcd-claim -o jsonpath={.status.phase}/{.metadata.labels.app}",
    )?;
    ensure!(phase == "Bound/federated-cluster", "{phase}");
    let ready = world.kubectl("rivendell", "wait -n federation-system deployment --all --for=condition=Available --timeout=10s")?;
    ensure!(ready.lines().count() == 2, "{ready}");
    Ok(())
}

/// Every name answers, the nearest names with their own cluster, and the address serves the cluster's page.
fn names_answer(world: &World) -> Result<()> {
    let (gondor, rohan) = (world.address_in("gondor")?, world.address_in("rohan")?);
    world.resolves(GLOBAL, &[gondor, rohan])?;
    world.resolves("web.shire.fellowship.svc.south.example.com.", &[gondor])?;
    world.resolves("web.shire.fellowship.svc.minas-tirith.south.example.com.", &[gondor])?;
    world.resolves("web.shire.fellowship.svc.edoras.east.example.com.", &[rohan])?;
    world.page_says(gondor, "hello from gondor")?;
    world.page_says(rohan, "hello from rohan")
}

/// Its names fall up to rohan and its replicas move there; both come back with it.
fn gondor_is_cut_off(world: &World) -> Result<()> {
    let (gondor, rohan) = (world.address_in("gondor")?, world.address_in("rohan")?);
    world.gondor.cut()?;
    let lost = Instant::now();
    world.resolves(GLOBAL, &[rohan])?;
    println!("DNS followed after {:.1} s", lost.elapsed().as_secs_f64());
    let aliases = world.resolves("web.shire.fellowship.svc.minas-tirith.south.example.com.", &[rohan])?;
    ensure!(aliases.iter().any(|a| a.trim_end_matches('.') == GLOBAL.trim_end_matches('.')), "no fall-up alias in {aliases:?}");
    world.runs("rohan", 9)?;
    println!("replicas followed after {:.1} s", lost.elapsed().as_secs_f64());
    world.gondor.mend()?;
    world.resolves(GLOBAL, &[gondor, rohan])?;
    world.runs("gondor", 3)?;
    world.runs("rohan", 6)
}

/// resourceVersions of what init and join wrote do not move.
fn repeat_changes_nothing(world: &World, init: &str) -> Result<()> {
    let versions = |context: &str| {
        let kinds = "services,persistentvolumeclaims,secrets,serviceaccounts,roles,rolebindings";
        let line = format!(
            "get {kinds} -n federation-system -o 'jsonpath={{range .items[*]}}{{.kind}}/{{.metadata.name}}={{.metadata.resourceVersion}}{{\"\\n\"}}{{end}}'"
        );
        world.kubectl(context, &line)
    };
    let generations = || {
        world.kubectl(
            "rivendell",
            "get deployments -n federation-system -o 'jsonpath={range .items[*]}{.metadata.name}={.metadata.generation}{\"\\n\"}{end}",
        )
    };
    let before = (versions("rivendell")?, versions("gondor")?, generations()?);
    world.kubefed(init)?;
    world.kubefed("join gondor --host-cluster-context=rivendell")?;
    let after = (versions("rivendell")?, versions("gondor")?, generations()?);
    ensure!(before == after, "changed:\n{before:#?}\n{after:#?}");
    Ok(())
}

/// Administrator and controller manager go on with new certificates of the same authority.
fn certificates_are_renewed(world: &World) -> Result<()> {
    let check = "certs check fellowship --host-cluster-context=rivendell";
    world.kubefed(check)?;
    let credentials =
        || world.kubectl("rivendell", "get secret -n federation-system fellowship-federation-apiserver-credentials -o jsonpath={.data}");
    let before = credentials()?;
    world.kubefed("certs renew fellowship --host-cluster-context=rivendell --all")?;
    ensure!(credentials()? != before, "the API server's certificate is the old one");
    world.kubefed(check)?;
    world.kubectl("fellowship", "scale -n shire deployment/web --replicas=10")?;
    world.kubectl("fellowship", "wait -n shire deployment/web --for=jsonpath={.status.readyReplicas}=10 --timeout=120s")?;
    Ok(())
}

/// A ConfigMap of the federation with this verse is in both members.
fn song(world: &World, verse: &str) -> Result<()> {
    world.kubectl("entmoot", &format!("create configmap song-{verse} --from-literal=verse={verse} -n fangorn"))?;
    for member in ["gondor", "rohan"] {
        eventually("the song", PATIENCE, || {
            let sung = world.kubectl(member, &format!("get configmap song-{verse} -n fangorn -o jsonpath={{.data.verse}}"))?;
            ensure!(sung == verse, "{sung:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn leave(world: &World, federation: &str) -> Result<()> {
    for member in ["gondor", "rohan"] {
        world.kubefed(&format!("unjoin {member} --host-cluster-context=rivendell --context={federation}"))?;
    }
    world.kubefed(&format!("deinit {federation} --host-cluster-context=rivendell --delete-data"))?;
    let contexts = world.kubectl("rivendell", "config get-contexts -o name")?;
    ensure!(!contexts.lines().any(|c| c == federation), "the kubeconfig still has {federation}");
    Ok(())
}

fn inventories(world: &World) -> Result<Vec<Vec<String>>> {
    ["rivendell", "gondor", "rohan"].iter().map(|c| world.inventory(c)).collect()
}

fn nothing_is_left(world: &World, before: &[Vec<String>]) -> Result<()> {
    for (context, before) in ["rivendell", "gondor", "rohan"].iter().zip(before) {
        // CoreDNS and etcd of the host are other pods after its crash; what matters is what is ours.
        let known = |entry: &&String| !before.contains(entry) && !entry.starts_with("pods dns/") && !entry.starts_with("pods kube-system/");
        eventually(&format!("{context} to be as before"), PATIENCE, || {
            let now = world.inventory(context)?;
            let extra: Vec<&String> = now.iter().filter(known).collect();
            ensure!(extra.is_empty(), "left behind: {extra:#?}");
            let lost: Vec<&String> = before.iter().filter(|e| !e.starts_with("pods ") && !now.contains(e)).collect();
            ensure!(lost.is_empty(), "gone that was not ours: {lost:#?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn a_load_balancer_and_no_claim(world: &World) -> Result<()> {
    let conf = world.dir.join("coredns-provider.conf");
    world.kubefed(&format!(
        "init entmoot --host-cluster-context=rivendell --dns-provider=coredns --dns-zone-name=example.com. --dns-provider-config={} \
         --etcd-persistent-storage=false --controller-manager-replicas=2 --image=docker.io/kubefed/fcp:dev --etcd-image=docker.io/kit/etcd:1",
        conf.display()
    ))?;
    for member in ["gondor", "rohan"] {
        world.kubefed(&format!("join {member} --host-cluster-context=rivendell --context=entmoot"))?;
    }
    world.kubectl("entmoot", "create namespace fangorn")?;
    song(world, "one")?;
    // The pod that leads is stopped, as by a drain; it gives its lease back.
    let holder = world.kubectl("entmoot", "get lease -n kube-system federation-controller-manager -o jsonpath={.spec.holderIdentity}")?;
    let (leader, _) = holder.split_once('_').context("a holder is the pod's name and something that is its own")?;
    world.kubectl("rivendell", &format!("delete pod -n federation-system {leader} --wait=false"))?;
    let stopped = Instant::now();
    song(world, "two")?;
    println!("the other controller manager had taken over after {:.1} s", stopped.elapsed().as_secs_f64());
    world.kubectl("entmoot", "delete namespace fangorn --timeout=120s")?;
    Ok(())
}
