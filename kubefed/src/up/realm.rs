//! Everything `kubefed up` runs: the federation, its host and members, and the controller manager.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use daemon::supervise::{Death, Done, Supervisor};
use federation_api::keys;
use federation_apiserver::Profile;
use federation_controller_manager as manager;
use hollow::{Appearance, Site};
use kube::Client;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cli::Cli;
use crate::commands::{Run, Session};
use crate::error::Failure;
use crate::printer::Printer;
use crate::render::controller_manager::POD;
use crate::render::credentials::DNS_PROVIDER_CONF;

/// Name of the federation, of its context and its DNS label.
pub(crate) const FEDERATION: &str = "fellowship";
/// Context of the host.
const HOST: &str = "rivendell";
/// Zone that names are published under.
pub(crate) const ZONE: &str = "example.com.";
/// Starting is a matter of milliseconds; a loaded machine takes longer.
const START: Duration = Duration::from_secs(20);

/// One hollow member.
pub(crate) struct MemberSite {
    pub(crate) name: &'static str,
    pub(crate) region: &'static str,
    pub(crate) zone: &'static str,
    /// Addresses of its load balancers, from the ranges for documentation (RFC 5737).
    pub(crate) addresses: [u8; 3],
}

/// Three members in two regions.
pub(crate) const MEMBERS: [MemberSite; 3] = [
    MemberSite { name: "gondor", region: "south", zone: "minas-tirith", addresses: [192, 0, 2] },
    MemberSite { name: "dol-amroth", region: "south", zone: "belfalas", addresses: [198, 51, 100] },
    MemberSite { name: "rohan", region: "north", zone: "edoras", addresses: [203, 0, 113] },
];

/// All of it; [`Realm::stop`] ends it.
pub(crate) struct Realm {
    /// A client of the federation, in memory.
    pub(crate) federation: Client,
    /// Where the embedded DNS server answers.
    pub(crate) dns: SocketAddr,
    /// Contexts of the federation, the host and the members.
    pub(crate) kubeconfig: PathBuf,
    sites: Vec<Site>,
    /// Carries out commands of ours.
    commands: Run,
    /// Own everything that runs.
    tasks: Supervisor,
    /// Stops the controller manager.
    #[cfg(test)]
    retire: Box<dyn Fn() + Send + Sync>,
}

impl Realm {
    /// Starts everything; nobody has joined yet.
    pub(crate) async fn start(dir: &Path, commands: Run) -> Result<Self> {
        let dns = free_address()?;
        let text = format!("[Global]\nlisten = {dns}\nzones = {ZONE}\n");
        Self::publishing(dir, commands, dns, ("embedded", &text)).await
    }

    /// As [`Realm::start`], with a provider, its configuration, and where it answers.
    pub(crate) async fn publishing(dir: &Path, commands: Run, dns: SocketAddr, (provider, config): (&str, &str)) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        let tasks = Supervisor::default();
        let mut sites = vec![site(dir, FEDERATION, Profile::Federation, &tasks).await?];
        for name in [HOST].into_iter().chain(MEMBERS.iter().map(|m| m.name)) {
            sites.push(site(dir, name, Profile::Member, &tasks).await?);
        }
        let kubeconfig = dir.join("kubeconfig");
        write_kubeconfig(&kubeconfig, &sites)?;
        for (member, site) in MEMBERS.iter().zip(&sites[2..]) {
            let appearance = Appearance { region: member.region.into(), zone: member.zone.into(), addresses: member.addresses };
            tasks.spawn("simulator", site.simulate(appearance));
        }

        let provider_config = dir.join("dns-provider.conf");
        hollow::write_private(&provider_config, config)?;
        let federation = sites[0].admin();
        let host = sites[1].admin();
        present_control_plane(&host, provider, config).await.context("preparing the host")?;
        let managed = tasks.stopping().child_token();
        let managing = manager::run(
            manager_config(provider, &provider_config),
            sites[0].as_user(keys::CONTROLLER_MANAGER_USER),
            manager::HostCredentials { client: host, namespace: keys::DEFAULT_SYSTEM_NAMESPACE.into() },
            managed.clone(),
        );
        tasks.spawn("controller-manager", async move {
            managing.await.map_err(|error| format!("{error:#}"))?;
            // It may come back only when it was asked to, which the supervisor knows.
            Err::<Done, _>("it ended".to_owned())
        });
        #[cfg(not(test))]
        drop(managed);
        #[cfg(test)]
        let retire = Box::new(move || managed.cancel());
        Ok(Self {
            federation,
            dns,
            kubeconfig,
            sites,
            commands,
            tasks,
            #[cfg(test)]
            retire,
        })
    }

    fn site(&self, name: &str) -> Result<&Site> {
        self.sites.iter().find(|site| site.name() == name).with_context(|| format!("there is no {name}"))
    }

    /// A client of a member, in memory: it sees the member when the federation cannot.
    pub(crate) fn member(&self, name: &str) -> Result<Client> {
        Ok(self.site(name)?.admin())
    }

    /// The federation's account in a member, in memory.
    #[cfg(test)]
    pub(crate) fn account(&self, name: &str) -> Result<Client> {
        let user = format!("system:serviceaccount:{}:{name}-{HOST}", keys::DEFAULT_SYSTEM_NAMESPACE);
        Ok(self.site(name)?.as_user(&user))
    }

    /// The administrator's token of a server.
    #[cfg(test)]
    pub(crate) fn token(&self, name: &str) -> Result<String> {
        Ok(self.site(name)?.token().to_owned())
    }

    /// The certificate of a server, PEM.
    #[cfg(test)]
    pub(crate) fn certificate(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.site(name)?.certificate().to_vec())
    }

    /// Pulls a member's cable.
    pub(crate) fn cut(&self, name: &str) -> Result<()> {
        self.site(name)?.cable().pull();
        Ok(())
    }

    /// Plugs it in again.
    pub(crate) fn mend(&self, name: &str) -> Result<()> {
        self.site(name)?.cable().plug();
        Ok(())
    }

    /// `kubefed join`.
    pub(crate) async fn join(&self, member: &str) -> Result<()> {
        // Everything is in this process: what is not there after this long does not come. A member of before has
        // another port now.
        self.kubefed(&["join", member, "--replace", "--timeout=1m"]).await
    }

    /// `kubefed unjoin`.
    pub(crate) async fn unjoin(&self, member: &str) -> Result<()> {
        self.kubefed(&["unjoin", member]).await
    }

    async fn kubefed(&self, words: &[&str]) -> Result<()> {
        let done = self.command(words).await.map(drop);
        done.map_err(|f| anyhow!("kubefed {}: {}{}", words.join(" "), f.message, f.hint.map_or_else(String::new, |h| format!(" ({h})"))))
    }

    /// Runs a command of ours as a user would type it and answers with its exit code.
    ///
    /// # Errors
    /// What the command says.
    pub(crate) async fn command(&self, words: &[&str]) -> Result<u8, Failure> {
        self.printed(words, Printer::to(Box::new(std::io::sink()), Box::new(std::io::sink()), false)).await
    }

    /// As [`Realm::command`], with what was printed on standard output and error.
    #[cfg(test)]
    pub(crate) async fn told(&self, words: &[&str]) -> (Result<u8, Failure>, String, String) {
        let (printer, out, err) = crate::printer::testing::printer();
        let ended = self.printed(words, printer).await;
        let plain = |text: String| text.replace(&self.kubeconfig.display().to_string(), "KUBECONFIG");
        (ended, plain(out.text()), plain(err.text()))
    }

    async fn printed(&self, words: &[&str], printer: Printer) -> Result<u8, Failure> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig.display());
        let (host, context) = (format!("--host-cluster-context={HOST}"), format!("--context={FEDERATION}"));
        let line = ["kubefed"].into_iter().chain(words.iter().copied()).chain([kubeconfig.as_str(), &host, &context]);
        let cli = Cli::try_parse_from(line).map_err(|e| Failure::usage(e.to_string()))?;
        let session = Session { printer, global: cli.global };
        (self.commands)(&session, cli.command).await
    }

    /// The first part that died, when there is one: the controller manager, an API server or a simulator.
    pub(crate) async fn death(&self) -> Death {
        self.tasks.death().await
    }

    /// Makes a part panic.
    #[cfg(test)]
    pub(crate) fn fault(&self, part: &'static str) {
        self.tasks.fault(part);
    }

    /// Stops the controller manager; the API servers go on.
    #[cfg(test)]
    pub(crate) async fn retire(&self) {
        (self.retire)();
        self.death().await;
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        self.tasks.stop(START).await;
    }
}

async fn site(dir: &Path, name: &str, profile: Profile, tasks: &Supervisor) -> Result<Site> {
    let account = format!("{}:{name}-{HOST}", keys::DEFAULT_SYSTEM_NAMESPACE);
    Ok(Site::start(dir, name, profile, &account, tasks).await?)
}

fn manager_config(provider: &str, provider_config: &Path) -> manager::Config {
    let monitor = manager::config::Monitor {
        period: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        retry: Duration::from_millis(200),
        loss_delay: Duration::from_secs(1),
        ..Default::default()
    };
    // It has no rivals; but who looks at the lease sees that somebody works.
    let election = manager::config::Election {
        identity: "kubefed-up".into(),
        lease_duration: Duration::from_secs(30),
        renew_deadline: Duration::from_secs(20),
        retry_period: Duration::from_secs(5),
    };
    manager::Config {
        election: Some(election),
        federation_name: FEDERATION.into(),
        zone_name: ZONE.into(),
        dns_provider: provider.into(),
        dns_provider_config: provider_config.display().to_string(),
        monitor,
        ..Default::default()
    }
}

/// What `kubefed init` leaves in a host and other commands look for: the controller manager's Deployment with its flags, and
/// the configuration of its DNS provider. It has no replicas, since the controller manager runs in this process.
async fn present_control_plane(host: &Client, provider: &str, config: &str) -> Result<()> {
    let name = format!("{FEDERATION}-federation-controller-manager");
    let labels = json!({"app": keys::APP, "module": "federation-controller-manager"});
    let annotations = json!({keys::FEDERATION_NAME: FEDERATION, "federations": format!("{FEDERATION}={}", ZONE.trim_end_matches('.'))});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": keys::DEFAULT_SYSTEM_NAMESPACE}});
    let conf = format!("{}/{DNS_PROVIDER_CONF}", POD.config_dir);
    let flags = [
        format!("--federation-name={FEDERATION}"),
        format!("--dns-provider={provider}"),
        format!("--dns-provider-config={conf}"),
        format!("--zone-name={ZONE}"),
    ];
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": format!("{FEDERATION}-federation-dns-provider.conf"), "namespace": keys::DEFAULT_SYSTEM_NAMESPACE},
        "stringData": {DNS_PROVIDER_CONF: config},
    });
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": keys::DEFAULT_SYSTEM_NAMESPACE, "labels": labels, "annotations": annotations},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "controller-manager", "image": "kubefed-up", "args": flags}]}},
        },
    });
    apply(host, "", "v1", "Namespace", "namespaces", &namespace).await?;
    apply(host, "", "v1", "Secret", "secrets", &secret).await?;
    apply(host, "apps", "v1", "Deployment", "deployments", &deployment).await
}

/// Server-side apply of one object.
pub(crate) async fn apply(client: &Client, group: &str, version: &str, kind: &str, plural: &str, object: &Value) -> Result<()> {
    let resource = ApiResource {
        group: group.into(),
        version: version.into(),
        api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
        kind: kind.into(),
        plural: plural.into(),
    };
    let name = object["metadata"]["name"].as_str().context("an object without a name")?;
    let api: kube::Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => kube::Api::namespaced_with(client.clone(), namespace, &resource),
        None => kube::Api::all_with(client.clone(), &resource),
    };
    api.patch(name, &PatchParams::apply("kubefed-up").force(), &Patch::Apply(object)).await?;
    Ok(())
}

fn write_kubeconfig(path: &Path, sites: &[Site]) -> Result<()> {
    use base64::Engine;
    let encode = |data: &[u8]| base64::engine::general_purpose::STANDARD.encode(data);
    let cluster = |site: &Site| json!({"server": format!("https://{}", site.cable().address()), "certificate-authority-data": encode(site.certificate())});
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": FEDERATION,
        "clusters": sites.iter().map(|s| json!({"name": s.name(), "cluster": cluster(s)})).collect::<Vec<_>>(),
        "users": sites.iter().map(|s| json!({"name": s.name(), "user": {"token": s.token()}})).collect::<Vec<_>>(),
        "contexts": sites.iter().map(|s| json!({"name": s.name(), "context": {"cluster": s.name(), "user": s.name()}})).collect::<Vec<_>>(),
    });
    Ok(hollow::write_private(path, &serde_json::to_string_pretty(&config)?)?)
}

/// A loopback address whose port was free for UDP and TCP a moment ago.
fn free_address() -> Result<SocketAddr> {
    loop {
        let udp = std::net::UdpSocket::bind(("127.0.0.1", 0))?;
        let address = udp.local_addr()?;
        if std::net::TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
}
