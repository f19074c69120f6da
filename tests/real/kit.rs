//! The kit itself: a real cluster with real pods, cut off, crashed and restarted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use kit::process::eventually;
use kit::{Machine, Site, programs};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: docker.io/kit/busybox:1
        command: [/bin/sh, -c, "echo one > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"]
        readinessProbe: {httpGet: {path: /index.html, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"#;

fn fetch(address: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&format!("{address}:80").parse()?, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
#[ignore = "needs real clusters (root, Linux): cargo xtask test --real"]
fn a_machine_runs_pods_and_survives_a_cut_and_a_crash() {
    programs::ensure(&|line| println!("{line}")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut bree = Machine::boot(dir.path(), "bree", &Site::new("eriador", "bree-land")).unwrap();
    bree.wait().unwrap();
    let labels = bree.kubectl(&["get", "node", "bree", "-o", "jsonpath={.metadata.labels}"]).unwrap();
    assert!(labels.contains(r#""topology.kubernetes.io/region":"eriador""#) && labels.contains("bree-land"), "{labels}");

    let manifest = dir.path().join("web.yaml");
    std::fs::write(&manifest, WEB).unwrap();
    bree.kubectl(&["apply", "-f", manifest.to_str().unwrap()]).unwrap();
    bree.kubectl(&["rollout", "status", "deployment/web", "--timeout=120s"]).unwrap();
    let address = eventually("an address", Duration::from_secs(30), || {
        let ip = bree.kubectl(&["get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"])?;
        anyhow::ensure!(!ip.is_empty(), "none yet");
        Ok(ip)
    })
    .unwrap();
    let page = || eventually("the page", Duration::from_secs(60), || fetch(&address));
    assert!(page().unwrap().ends_with("one\n"));

    bree.cut().unwrap();
    assert!(fetch(&address).is_err(), "a machine that was cut off answered");
    bree.mend().unwrap();
    assert!(page().unwrap().ends_with("one\n"));

    bree.crash();
    assert!(fetch(&address).is_err(), "a crashed machine answered");
    bree.restart().unwrap();
    assert!(page().unwrap().ends_with("one\n"), "the pods came back");

    drop(bree);
    assert!(!std::path::Path::new("/sys/fs/cgroup/cpu/kit-bree").exists(), "cgroups were left behind");
}
