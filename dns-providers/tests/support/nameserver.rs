//! Real name servers with the zone `example.com`, which take updates signed with a key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dns_providers::{Data, RecordSet};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Process, ask, free_port, program};

/// Name of the key, and its secret in base64.
pub const KEY: (&str, &str) = ("federation", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
const TOP: &str = "$ORIGIN example.com.\n$TTL 60\n@ SOA ns.example.net. admin.example.net. 1 60 60 600 5\n@ NS ns.example.net.\n";
/// What BIND is told of the zone where nothing else is: the key may write all of it, sets of any size.
const BIND_RULES: &str = "max-records-per-type 0; update-policy { grant federation subdomain example.com. A AAAA CNAME TXT NS; };";

/// What a server that signs the zone puts there by itself; the last is BIND's note of how far it is.
const OF_SIGNER: [RecordType; 6] =
    [RecordType::RRSIG, RecordType::NSEC, RecordType::DNSKEY, RecordType::CDS, RecordType::CDNSKEY, RecordType::Unknown(65534)];

/// The programs there are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Server {
    Bind,
    Knot,
    PowerDns,
}

impl Server {
    pub const ALL: [Server; 3] = [Server::Bind, Server::Knot, Server::PowerDns];

    /// Starts it with more records of the zone than it needs, and waits until it answers.
    pub async fn start(self, records: &str) -> Nameserver {
        self.start_with(records, BIND_RULES).await
    }

    /// As [`Server::start`], where BIND is told something else of the zone.
    pub async fn start_with(self, records: &str, bind_rules: &str) -> Nameserver {
        let mut server = Nameserver {
            server: self,
            address: ([127, 0, 0, 1], free_port()).into(),
            tls_address: ([127, 0, 0, 1], free_port()).into(),
            directory: Arc::new(tempfile::tempdir().unwrap()),
            process: None,
        };
        std::fs::write(server.file("zone"), format!("{TOP}{records}")).unwrap();
        server.configure(bind_rules);
        server.resume().await;
        server
    }
}

/// A name server that may be stopped and started again.
pub struct Nameserver {
    pub server: Server,
    pub address: SocketAddr,
    /// Where BIND takes messages over TLS, with a certificate of the authority in `ca.crt` for `ns.example.net`.
    pub tls_address: SocketAddr,
    directory: Arc<tempfile::TempDir>,
    process: Option<Process>,
}

impl Nameserver {
    /// The provider's configuration.
    pub fn config(&self) -> String {
        self.config_at(self.address)
    }

    /// As [`Nameserver::config`], where something at another address leads to the server.
    pub fn config_at(&self, address: SocketAddr) -> String {
        let (name, secret) = KEY;
        format!("[Global]\nserver = {address}\nzones = example.com.\ntsig-name = {name}\ntsig-secret = {secret}\n")
    }

    /// Makes an authority and a certificate for the server.
    fn certify(&self) {
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["ns.example.net".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        for (name, text) in [("ca.crt", authority.pem()), ("tls.crt", certificate.pem()), ("tls.key", key.serialize_pem())] {
            std::fs::write(self.file(name), text).unwrap();
        }
    }

    /// Writes the server's own configuration.
    fn configure(&self, bind_rules: &str) {
        let (port, dir, (name, secret)) = (self.address.port(), self.directory.path().display(), KEY);
        let (file, text) = match self.server {
            Server::Bind => (
                "named.conf",
                format!(
                    "options {{ directory \"{dir}\"; pid-file \"{dir}/pid\"; session-keyfile \"{dir}/session\"; \
                     listen-on port {port} {{ 127.0.0.1; }}; listen-on port {} tls here {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; notify no; }};\n\
                     tls here {{ cert-file \"tls.crt\"; key-file \"tls.key\"; }};\ncontrols {{ }};\nkey {name} {{ algorithm hmac-sha256; secret \"{secret}\"; }};\n\
                     key k384 {{ algorithm hmac-sha384; secret \"{secret}\"; }};\nkey k512 {{ algorithm hmac-sha512; secret \"{secret}\"; }};\n\
                     zone example.com {{ type primary; file \"zone\"; allow-transfer {{ key {name}; key k384; key k512; }}; {bind_rules} }};\n",
                    self.tls_address.port()
                ),
            ),
            Server::Knot => (
                "knot.conf",
                format!(
                    "server:\n  rundir: {dir}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
                     database:\n  storage: {dir}\nkey:\n  - id: {name}\n    algorithm: hmac-sha256\n    secret: {secret}\n\
                     acl:\n  - id: federation\n    key: {name}\n    action: [update, transfer]\n\
                     zone:\n  - domain: example.com\n    storage: {dir}\n    file: zone\n    acl: federation\n"
                ),
            ),
            Server::PowerDns => (
                "pdns.conf",
                format!(
                    "launch=gsqlite3\ngsqlite3-database={dir}/db\nlocal-address=127.0.0.1\nlocal-port={port}\nsocket-dir={dir}\n\
                     dnsupdate=yes\nprimary=yes\nguardian=no\ndaemon=no\nsecurity-poll-suffix=\nallow-axfr-ips=\nreceiver-threads=1\n"
                ),
            ),
        };
        std::fs::write(self.file(file), text).unwrap();
        match self.server {
            Server::Bind => self.certify(),
            Server::Knot => {}
            Server::PowerDns => self.fill(),
        }
    }

    /// What `pdnsutil` has to do before PowerDNS has the zone.
    fn fill(&self) {
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
        run(Command::new(program("sqlite3")).arg(self.file("db")).arg(format!(".read {schema}")));
        let ((name, secret), zone) = (KEY, self.file("zone").display().to_string());
        for args in [
            &["load-zone", "example.com", &zone][..],
            &["import-tsig-key", name, "hmac-sha256", secret],
            &["set-meta", "example.com", "TSIG-ALLOW-DNSUPDATE", name],
            &["set-meta", "example.com", "TSIG-ALLOW-AXFR", name],
            &["set-meta", "example.com", "SOA-EDIT-DNSUPDATE", "INCREASE"],
        ] {
            run(Command::new(program("pdnsutil")).arg("--config-dir").arg(self.directory.path()).args(args));
        }
    }

    /// A file of the server.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Ends the server; what it holds stays.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the server and waits until it answers.
    pub async fn resume(&mut self) {
        let mut command = match self.server {
            Server::Bind => Command::new(program("named")),
            Server::Knot => Command::new(program("knotd")),
            Server::PowerDns => Command::new(program("pdns_server")),
        };
        match self.server {
            Server::Bind => command.args(["-g", "-n", "1", "-c"]).arg(self.file("named.conf")),
            Server::Knot => command.arg("-c").arg(self.file("knot.conf")),
            Server::PowerDns => command.arg(format!("--config-dir={}", self.directory.path().display())),
        };
        let process = self.process.insert(Process::spawn(&mut command, self.directory.clone()));
        let end = Instant::now() + Duration::from_secs(60);
        // It is asked by UDP only once it listens: what nobody takes would be waited for.
        while TcpStream::connect(self.address).await.is_err()
            || ask(self.address, "example.com.", RecordType::SOA).await.is_none_or(|(code, _)| code != ResponseCode::NoError)
        {
            assert!(!process.has_ended(), "{command:?} ended");
            assert!(Instant::now() < end, "{command:?} does not answer at {}", self.address);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything in the zone but its SOA and signatures, as text in order, and the serial.
    pub async fn dump(&self) -> (u32, Vec<String>) {
        let mut question = Message::new(1, MessageType::Query, OpCode::Query);
        question.add_query(Query::query(top(), RecordType::AXFR));
        let mut stream = self.send(question).await;
        let (mut serials, mut lines) = (Vec::new(), Vec::new());
        while serials.len() < 2 {
            let answer = receive(&mut stream).await;
            assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
            for record in answer.answers {
                match &record.data {
                    RData::SOA(soa) => serials.push(soa.serial),
                    data if OF_SIGNER.contains(&data.record_type()) => {}
                    data => lines.push(format!("{} {} {} {data}", record.name, record.ttl, record.record_type())),
                }
            }
        }
        lines.sort();
        (serials[0], lines)
    }

    /// Somebody else deletes sets and then adds records, with nsupdate say.
    pub async fn by_hand(&self, delete: &[(&str, RecordType)], add: &[(&str, RData)]) {
        let mut message = Message::new(1, MessageType::Query, OpCode::Update);
        message.add_query(Query::query(top(), RecordType::SOA));
        for (at, kind) in delete {
            let mut record = Record::from_rdata(Name::from_ascii(at).unwrap(), 0, RData::Update0(*kind));
            record.dns_class = DNSClass::ANY;
            message.add_authority(record);
        }
        message.add_authorities(add.iter().map(|(at, data)| Record::from_rdata(Name::from_ascii(at).unwrap(), 60, data.clone())));
        let answer = receive(&mut self.send(message).await).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    }

    async fn send(&self, mut message: Message) -> TcpStream {
        let (name, secret) = (Name::from_ascii(format!("{}.", KEY.0)).unwrap(), STANDARD.decode(KEY.1).unwrap());
        let key = TSigner::new(secret, TsigAlgorithm::HmacSha256, name, 300).unwrap();
        message.finalize(&key, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
        let bytes = message.to_vec().unwrap();
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(&u16::try_from(bytes.len()).unwrap().to_be_bytes()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream
    }
}

/// The values of a set as records have them.
pub fn values(set: &RecordSet) -> Vec<RData> {
    match &set.data {
        Data::A(ips) => ips.iter().map(|ip| RData::A(A(*ip))).collect(),
        Data::Aaaa(ips) => ips.iter().map(|ip| RData::AAAA(AAAA(*ip))).collect(),
        Data::Cname(to) => vec![RData::CNAME(CNAME(Name::from_ascii(to.as_str()).unwrap()))],
    }
}

fn top() -> Name {
    Name::from_ascii("example.com.").unwrap()
}

async fn receive(stream: &mut TcpStream) -> Message {
    let size = stream.read_u16().await.unwrap();
    let mut bytes = vec![0; size.into()];
    stream.read_exact(&mut bytes).await.unwrap();
    Message::from_vec(&bytes).unwrap()
}

fn run(command: &mut Command) {
    let done = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
