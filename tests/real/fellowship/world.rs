//! The three machines, the tools and what the steps of the story ask of them.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use federation_tests::program::{self, Said};
use federation_tests::{dns, http};
use kit::process::eventually;
use kit::{Machine, Site, kubeconfig, programs};

/// Rounds of retries, image starts and DNS on two busy cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Everything the story happens in.
pub(crate) struct World {
    pub(crate) rivendell: Machine,
    pub(crate) gondor: Machine,
    pub(crate) rohan: Machine,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) dir: PathBuf,
    kubefed: PathBuf,
    kubectl: PathBuf,
    dns: Option<SocketAddr>,
}

impl World {
    /// Boots three machines that hold our image.
    pub(crate) fn start(dir: &Path) -> Result<Self> {
        programs::ensure(&|line| println!("{line}"))?;
        let image = program::image()?;
        let boot = |name, region, zone| Machine::boot(dir, name, &Site::new(region, zone));
        let mut world = Self {
            rivendell: boot("rivendell", "north", "imladris")?,
            gondor: boot("gondor", "south", "minas-tirith")?,
            rohan: boot("rohan", "east", "edoras")?,
            kubeconfig: dir.join("kubeconfig"),
            dir: dir.to_owned(),
            kubefed: program::built("kubefed")?,
            kubectl: programs::find("kubectl")?,
            dns: None,
        };
        for machine in [&mut world.rivendell, &mut world.gondor, &mut world.rohan] {
            machine.wait()?;
        }
        world.rivendell.load(&image)?;
        let contexts = [&world.rivendell, &world.gondor, &world.rohan].map(|m| m.context()).into_iter().collect::<Result<Vec<_>>>()?;
        kubeconfig::write(&contexts, &world.kubeconfig)?;
        Ok(world)
    }

    /// Runs kubefed; it has to succeed.
    pub(crate) fn kubefed(&self, line: &str) -> Result<Said> {
        println!("$ kubefed {line}");
        let said = program::run(&self.kubefed, &self.kubeconfig, &words(line))?;
        print!("{}{}", said.err, said.out);
        Ok(said)
    }

    /// Runs kubectl in a context and answers what it prints.
    pub(crate) fn kubectl(&self, context: &str, line: &str) -> Result<String> {
        let mut args = vec!["--context", context];
        args.extend(words(line));
        Ok(program::run(&self.kubectl, &self.kubeconfig, &args)?.out)
    }

    /// Somebody who deletes each ConfigMap with this prefix in a member the moment it appears, once, until `count` are deleted.
    pub(crate) fn vandal(&self, member: &str, namespace: &str, prefix: &str, count: usize) -> Result<Vandal> {
        let kubectl = |args: &[&str]| {
            let mut command = Command::new(&self.kubectl);
            command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--context", member, "--namespace", namespace]).args(args);
            command
        };
        let mut watch = kubectl(&["get", "configmaps", "--watch", "--output=name"]).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(watch.stdout.take().context("its output is piped")?).lines();
        let delete = kubectl(&["delete", "--wait=false"]);
        let wanted = format!("configmap/{prefix}");
        let (tell, told) = mpsc::channel();
        // It ends with the watch, which ends with the Vandal.
        std::thread::spawn(move || {
            let mut deleted: Vec<String> = vec![];
            for line in lines.map_while(Result::ok) {
                if !line.starts_with(&wanted) || deleted.contains(&line) {
                    continue;
                }
                let again = Command::new(delete.get_program()).args(delete.get_args()).arg(&line).stdout(Stdio::null()).status();
                if again.is_ok_and(|s| s.success()) {
                    deleted.push(line);
                }
                if deleted.len() == count {
                    break;
                }
            }
            // Nobody listens when the test has failed already.
            let _ = tell.send(deleted);
        });
        Ok(Vandal { watch, told })
    }

    /// Applies a manifest with `@KEY@` filled in.
    pub(crate) fn apply(&self, context: &str, manifest: &str, fill: &[(&str, &str)]) -> Result<()> {
        let text = fill.iter().fold(manifest.to_owned(), |text, (key, value)| text.replace(&format!("@{key}@"), value));
        let file = self.dir.join("manifest.yaml");
        std::fs::write(&file, text)?;
        self.kubectl(context, &format!("apply -f {}", file.display()))?;
        Ok(())
    }

    /// Brings up etcd and CoreDNS on the host, as the tutorial presumes them.
    pub(crate) fn start_dns(&mut self) -> Result<()> {
        self.apply("rivendell", include_str!("dns.yaml"), &[("DIR", &self.dir.join("dns-data").display().to_string())])?;
        for name in ["etcd", "coredns"] {
            self.kubectl("rivendell", &format!("rollout status -n dns deployment/{name} --timeout=180s"))?;
        }
        let address = eventually("an address of CoreDNS", PATIENCE, || {
            let ip = self.kubectl("rivendell", "get service -n dns coredns -o jsonpath={.status.loadBalancer.ingress[0].ip}")?;
            ip.parse::<IpAddr>().context("none yet")
        })?;
        self.dns = Some((address, 53).into());
        Ok(())
    }

    /// Waits until a name has exactly these addresses at CoreDNS; answers the aliases on the way.
    pub(crate) fn resolves(&self, name: &str, to: &[IpAddr]) -> Result<Vec<String>> {
        let server = self.dns.context("DNS was not started")?;
        let mut expected = to.to_vec();
        expected.sort();
        eventually(&format!("{name} to be {expected:?}"), PATIENCE, || {
            let answer = dns::ask(server, name)?;
            ensure!(answer.addresses == expected, "{answer:?}");
            Ok(answer.aliases)
        })
    }

    /// Waits until the name's addresses serve a page that says this.
    pub(crate) fn page_says(&self, address: IpAddr, text: &str) -> Result<()> {
        eventually(&format!("the page at {address} to say {text:?}"), PATIENCE, || {
            let page = http::fetch((address, 80).into(), "/index.html")?;
            ensure!(page.trim_end() == text, "it says {page:?}");
            Ok(())
        })
    }

    /// Waits until a member runs so many ready pods of the web server.
    pub(crate) fn runs(&self, member: &str, pods: usize) -> Result<()> {
        eventually(&format!("{pods} running pods in {member}"), PATIENCE, || {
            let ready = r#"jsonpath={range .items[*]}{.metadata.deletionTimestamp}/{.status.conditions[?(@.type=="Ready")].status} {end}"#;
            let pods_seen = program::run(
                &self.kubectl,
                &self.kubeconfig,
                &["--context", member, "get", "pods", "-n", "shire", "-l", "app=web", "-o", ready],
            )?
            .out;
            let running = pods_seen.split_whitespace().filter(|p| *p == "/True").count();
            ensure!(running == pods, "{running} are ready");
            Ok(())
        })
    }

    /// Ready pods of the newest template in both members, as their own Deployment controllers count them.
    pub(crate) fn updated(&self) -> Result<usize> {
        let count = |member| -> Result<usize> {
            let line = "get deployment web -n shire -o 'jsonpath={.metadata.generation}/{.status.observedGeneration} {.status.updatedReplicas} {.status.unavailableReplicas}'";
            let said = self.kubectl(member, line)?;
            let mut words = said.split(' ');
            let seen = words.next().and_then(|g| g.split_once('/')).is_some_and(|(is, seen)| is == seen);
            let mut number = || words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
            let (updated, unavailable): (usize, usize) = (number(), number());
            Ok(if seen { updated.saturating_sub(unavailable) } else { 0 })
        };
        Ok(count("gondor")? + count("rohan")?)
    }

    /// The address a member's load balancer gave the web server.
    pub(crate) fn address_in(&self, member: &str) -> Result<IpAddr> {
        eventually(&format!("an address in {member}"), PATIENCE, || {
            let ip = self.kubectl(member, "get service -n shire web -o jsonpath={.status.loadBalancer.ingress[0].ip}")?;
            ip.parse::<IpAddr>().with_context(|| format!("none yet: {ip:?}"))
        })
    }

    /// Everything that is stored in a cluster, but what Kubernetes writes by itself all the time.
    pub(crate) fn inventory(&self, context: &str) -> Result<Vec<String>> {
        let resources = self.kubectl(context, "api-resources --verbs=list -o name")?;
        let noise = [
            "events",
            "events.events.k8s.io",
            "leases.coordination.k8s.io",
            "endpointslices.discovery.k8s.io",
            "endpoints",
            "componentstatuses",
        ];
        let listed: Vec<&str> = resources.split_whitespace().filter(|r| !noise.contains(r)).collect();
        let mut names = vec![];
        for resource in listed {
            let line = format!(
                "get {resource} -A --ignore-not-found -o 'jsonpath={{range .items[*]}}{{.metadata.namespace}}/{{.metadata.name}}{{\"\\n\"}}{{end}}'"
            );
            names.extend(self.kubectl(context, &line)?.lines().map(|name| format!("{resource} {name}")));
        }
        names.sort();
        Ok(names)
    }
}

/// Somebody who deletes copies in a member.
pub(crate) struct Vandal {
    watch: Child,
    told: mpsc::Receiver<Vec<String>>,
}

impl Vandal {
    /// Waits until it has deleted what it was to delete; answers what that was.
    pub(crate) fn finish(self, patience: Duration) -> Result<Vec<String>> {
        self.told.recv_timeout(patience).context("the copies did not all appear to be deleted")
    }
}

impl Drop for Vandal {
    fn drop(&mut self) {
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

/// Splits a command line at spaces that are not within single quotes.
fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = line.split(move |c| {
        quoted ^= c == '\'';
        c == ' ' && !quoted
    });
    parts.map(|w| w.trim_matches('\'')).filter(|w| !w.is_empty()).collect()
}
