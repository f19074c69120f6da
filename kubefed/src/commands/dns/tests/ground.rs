//! Where names are published in these tests: a real etcd as CoreDNS reads it, and a real BIND.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dns_providers::{Change, Data, DnsName, Kind, Provider, RecordSet, Settings, Zone};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Records that somebody wrote by hand before the federation came.
const BY_HAND: [(&str, &str); 2] = [("hand.example.com.", "192.0.2.99"), ("blocked.shire.fellowship.svc.example.com.", "192.0.2.98")];

/// A provider with the zone `example.com`, in which others have records too.
#[async_trait]
pub(super) trait Ground: Send + Sync {
    /// Name of the provider.
    fn provider(&self) -> &'static str;
    /// Its configuration.
    fn config(&self) -> String;
    /// All there is, byte for byte.
    async fn dump(&self) -> Vec<String>;
}

/// The provider opened by another program: as a federation of this name.
pub(super) struct Other {
    pub(super) provider: Arc<dyn Provider>,
    zone: Zone,
}

impl Other {
    pub(super) async fn open(ground: &dyn Ground, dir: &Path, owner: &str) -> Self {
        let config = dir.join("other.conf");
        std::fs::write(&config, ground.config()).unwrap();
        let (provider, zone) = (ground.provider().to_owned(), Some(name("example.com")));
        let settings = Settings { provider, config: Some(config), owner: owner.to_owned(), zone, zone_id: None };
        let provider = dns_providers::open(&settings).await.unwrap();
        let zone = provider.zones().await.unwrap().remove(0);
        Self { provider, zone }
    }

    pub(super) async fn apply(&self, batch: &[Change]) {
        assert_eq!(self.provider.apply(&self.zone, batch).await.unwrap(), []);
    }
}

pub(super) fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

pub(super) fn a(at: &str, ip: &str) -> Change {
    Change::Upsert(RecordSet { name: name(at), ttl: 180, data: Data::A([ip.parse().unwrap()].into()) })
}

pub(super) fn delete(at: &str, kind: Kind) -> Change {
    Change::Delete { name: name(at), kind }
}

/// etcd, as CoreDNS reads it.
pub(super) struct CoreDns {
    etcd: kit::Etcd,
}

impl CoreDns {
    pub(super) async fn start(dir: &Path) -> Self {
        let ground = Self { etcd: kit::Etcd::start(&dir.join("etcd"), false).unwrap() };
        // Without a name nothing is a mark.
        let nobody = Other::open(&ground, dir, "").await;
        for (at, ip) in BY_HAND {
            nobody.apply(&[a(at, ip)]).await;
        }
        ground
    }
}

#[async_trait]
impl Ground for CoreDns {
    fn provider(&self) -> &'static str {
        "coredns"
    }

    fn config(&self) -> String {
        format!("[Global]\netcd-endpoints = {}\nzones = example.com.\n", self.etcd.url())
    }

    async fn dump(&self) -> Vec<String> {
        let mut etcd = etcd_client::Client::connect([self.etcd.url()], None).await.unwrap();
        let all = etcd.get("/", Some(etcd_client::GetOptions::new().with_prefix())).await.unwrap();
        all.kvs().iter().map(|kv| format!("{} {}", kv.key_str().unwrap(), kv.value_str().unwrap())).collect()
    }
}

/// BIND with a key that may write the zone.
pub(super) struct Bind {
    /// Where it answers.
    pub(super) address: SocketAddr,
    _named: kit::process::Running,
}

const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

impl Bind {
    pub(super) fn start(dir: &Path) -> Self {
        let dir = dir.join("bind");
        std::fs::create_dir_all(&dir).unwrap();
        let (port, at) = (kit::process::free_port().unwrap(), dir.display());
        let rules = "grant federation subdomain example.com. A AAAA CNAME TXT;";
        let conf = format!(
            "options {{ directory \"{at}\"; pid-file \"{at}/pid\"; session-keyfile \"{at}/session\"; listen-on port {port} {{ 127.0.0.1; }}; \
             listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; }};\ncontrols {{ }};\n\
             key federation {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n\
             zone example.com {{ type primary; file \"zone\"; allow-transfer {{ 127.0.0.1; }}; update-policy {{ {rules} }}; }};\n"
        );
        std::fs::write(dir.join("named.conf"), conf).unwrap();
        let mut zone = "$TTL 180\n@ SOA ns.example.net. admin.example.net. 1 60 60 600 5\n@ NS ns.example.net.\n".to_owned();
        for (name, ip) in BY_HAND {
            zone.push_str(&format!("{name} A {ip}\n"));
        }
        std::fs::write(dir.join("zone"), zone).unwrap();
        // Debian keeps servers where not everybody looks for programs.
        let program = kit::programs::find("named").unwrap_or_else(|_| "/usr/sbin/named".into());
        let mut command = Command::new(program);
        command.args(["-g", "-n", "1", "-c"]).arg(dir.join("named.conf"));
        let mut named = kit::process::Running::start(&command, &dir.join("log")).unwrap();
        let log = dir.join("log");
        let runs = || std::fs::read_to_string(&log).is_ok_and(|text| text.lines().any(|line| line.ends_with(" running")));
        named.wait_until(Duration::from_secs(60), runs).unwrap();
        Self { address: ([127, 0, 0, 1], port).into(), _named: named }
    }
}

#[async_trait]
impl Ground for Bind {
    fn provider(&self) -> &'static str {
        "rfc2136"
    }

    fn config(&self) -> String {
        format!("[Global]\nserver = {}\nzones = example.com.\ntsig-name = federation\ntsig-secret = {SECRET}\n", self.address)
    }

    async fn dump(&self) -> Vec<String> {
        let mut question = Message::new(1, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(Name::from_ascii("example.com.").unwrap(), RecordType::AXFR));
        let bytes = question.to_vec().unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let (mut tops, mut lines) = (0, Vec::new());
        while tops < 2 {
            let mut bytes = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut bytes).await.unwrap();
            for record in Message::from_vec(&bytes).unwrap().answers {
                match &record.data {
                    RData::SOA(_) => tops += 1,
                    data => lines.push(format!("{} {} {} {data}", record.name, record.ttl, record.record_type())),
                }
            }
        }
        lines.sort();
        lines
    }
}
