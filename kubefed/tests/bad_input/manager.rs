//! `federation-controller-manager`: what keeps it from starting, and a federation that is away.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::{ADMIN, Place, Process, free_port, get, hide, until};

#[test]
fn flags_and_files() {
    let place = Place::new();
    place.kubeconfig(&[("fellowship", "https://127.0.0.1:1", ADMIN)]);
    place.file("broken.yaml", "apiVersion: v1\nusers:\n- name: a\n  user: {token: s3cret, [\n");
    place.file("line.conf", "[Global]\nzone = example.com.\n");
    place.file("net.conf", "[Global]\netcd-endpoints = http://127.0.0.1:1\nzones = example.net.\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    place.file("taken.conf", &format!("[Global]\nlisten = 127.0.0.1:{port}\nzones = example.com.\n"));
    let in_use = format!("--port={port}");
    let named = ["--kubeconfig=.kube/config", "--federation-name=fellowship"];
    let zone = "--zone-name=example.com.";
    let mut all = String::new();
    for (code, named, extra) in [
        (64, &[][..], &[][..]),
        (64, &["--kubeconfig=nowhere"], &[]),
        (64, &["--kubeconfig=broken.yaml"], &[]),
        (64, &["--kubeconfig=.kube/config"], &["--host-kubeconfig=broken.yaml"]),
        (64, &["--master=nonsense"], &[]),
        (64, &["--kubeconfig=.kube/config"], &["--dns-provider=embedded", zone]),
        (64, &["--kubeconfig=.kube/config", "--federation-name=Fellowship"], &[]),
        (64, &named, &[zone]),
        (64, &named, &["--dns-provider=palantir", zone]),
        (64, &named, &["--dns-provider=coredns", zone]),
        (64, &named, &["--dns-provider=coredns", zone, "--dns-provider-config=nowhere.conf"]),
        (64, &named, &["--dns-provider=coredns", zone, "--dns-provider-config=line.conf"]),
        (64, &named, &["--dns-provider=coredns", zone, "--dns-provider-config=net.conf"]),
        (64, &named, &["--dns-provider=embedded"]),
        (1, &named, &["--dns-provider=embedded", zone, "--dns-provider-config=taken.conf"]),
        (64, &named, &["--leader-elect-renew-deadline=20s"]),
        (64, &named, &["--cluster-monitor-period=soon"]),
        (1, &named, &["--address=127.0.0.1", &in_use]),
    ] {
        let port_flag: &[&str] = if extra.contains(&in_use.as_str()) { &[] } else { &["--port=0"] };
        let said = place.fcp(&[&["federation-controller-manager"][..], named, extra, port_flag].concat());
        all.push_str(&hide(&said.complaint(code), port));
    }
    assert!(!all.contains("s3cret"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn it_waits_for_the_federation() {
    let (place, federation, health) = (Place::new(), free_port(), free_port());
    place.kubeconfig(&[("fellowship", &format!("https://127.0.0.1:{federation}"), ADMIN)]);
    let port = format!("--port={health}");
    let flags = [
        "federation-controller-manager",
        "--kubeconfig=.kube/config",
        "--federation-name=fellowship",
        "--address=127.0.0.1",
        &port,
        "--leader-elect-retry-period=300ms",
    ];
    let (_manager, log) = place.start(env!("CARGO_BIN_EXE_fcp"), &flags, "manager.log");
    let address = SocketAddr::from(([127, 0, 0, 1], health));
    let ready = || get(address, "/readyz");
    until("an answer about its health", || get(address, "/healthz").filter(|(status, _)| *status == 200));
    until("a word about what it waits for", || fs::read_to_string(&log).unwrap().contains("Connection refused").then_some(()));
    let (status, why) = ready().unwrap();
    assert!(status == 503 && why.contains("not leading, or the federation was not read yet"), "{status} {why}");
    let server = place.apiserver("fellowship", federation, &[]);
    until("ready", || ready().filter(|(status, _)| *status == 200));
    drop(server);
}

/// A controller manager of its own process that takes part in the election, by the flags users have.
fn candidate(place: &Place, name: &str) -> (Process, SocketAddr) {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let port = format!("--port={}", address.port());
    let flags =
        ["federation-controller-manager", "--kubeconfig=.kube/config", "--federation-name=fellowship", "--address=127.0.0.1", &port];
    let (process, _) = place.start(env!("CARGO_BIN_EXE_fcp"), &flags, &format!("{name}.log"));
    (process, address)
}

fn ready(at: SocketAddr) -> Option<()> {
    get(at, "/readyz").is_some_and(|(status, _)| status == 200).then_some(())
}

/// Whoever holds the Lease, by the process that says in its log that it leads.
fn leads(place: &Place, name: &str) -> Option<()> {
    fs::read_to_string(place.path(&format!("{name}.log"))).unwrap().contains("leading").then_some(())
}

#[test]
fn issue11_another_takes_over_within_15_seconds_of_a_kill_and_sooner_after_a_stop() {
    let (place, federation) = (Place::new(), free_port());
    place.kubeconfig(&[("fellowship", &format!("https://127.0.0.1:{federation}"), ADMIN)]);
    let _server = place.apiserver("fellowship", federation, &[]);
    let (frodo, at) = candidate(&place, "frodo");
    until("frodo leads", || leads(&place, "frodo").and(ready(at)));
    let (sam, at) = candidate(&place, "sam");
    until("who stands by is ready, so that an update goes on", || ready(at));
    assert_eq!(leads(&place, "sam"), None);

    let killed = Instant::now();
    frodo.signal("KILL");
    until("sam leads", || leads(&place, "sam").and(ready(at)));
    let after_kill = killed.elapsed();
    assert!(after_kill < Duration::from_secs(15), "{after_kill:?}");

    let (_merry, at) = candidate(&place, "merry");
    until("merry stands by", || ready(at));
    let stopped = Instant::now();
    sam.signal("TERM");
    until("merry leads", || leads(&place, "merry"));
    let after_stop = stopped.elapsed();
    assert!(after_stop < after_kill, "the lease was given back: {after_stop:?} after a stop, {after_kill:?} after a kill");
    println!("taken over {after_kill:?} after kill -9, {after_stop:?} after SIGTERM");
}
