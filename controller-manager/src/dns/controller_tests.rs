//! The controller over a provider that can be told to fail, and over the embedded server by real queries.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dns_providers::{Data, DnsName, Owner, Provider, RecordSet, embedded};
use tokio_util::sync::CancellationToken;

use super::memory::{Memory, zone};
use super::records::{Addresses, TTL, Tree};
use super::report::Report;
use super::resolve::{LookupError, Resolve};
use super::{DnsController, DnsHandle, Pace, ServiceKey, Site, Target, Worth};
use crate::exported::{Exported, trace_of};

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

/// Resolves every name to one address while it is switched on.
struct Resolver(Mutex<Option<IpAddr>>);

#[async_trait]
impl Resolve for Resolver {
    async fn resolve(&self, _: &str) -> Result<Addresses, LookupError> {
        self.0.lock().unwrap().map(|ip| [ip].into_iter().collect()).ok_or(LookupError::NoNameServers)
    }
}

#[derive(Default)]
struct Notices(Mutex<Vec<String>>);

impl Report for Notices {
    fn warning(&self, service: &ServiceKey, uid: &str, reason: &'static str, _: &str) {
        self.0.lock().unwrap().push(format!("{service} {uid} {reason}").replace("  ", " "));
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey { namespace: "demo".into(), name: name.into() }
}

fn site(region: &str, zone: &str, address: &str, worth: Worth) -> Site {
    let target = address.parse().map_or_else(|_| Target::Host(address.to_owned()), Target::Address);
    Site { region: region.into(), zones: vec![zone.into()], targets: vec![target], worth }
}

struct Fixture {
    provider: Arc<Memory>,
    resolver: Arc<Resolver>,
    notices: Arc<Notices>,
    dns: DnsHandle,
    stop: CancellationToken,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start(provider: Memory, pace: Pace) -> Fixture {
    start_with(provider, pace, false)
}

fn start_with(provider: Memory, pace: Pace, aliases_out: bool) -> Fixture {
    let (provider, notices) = (Arc::new(provider), Arc::new(Notices::default()));
    let resolver = Arc::new(Resolver(Mutex::new(Some("192.0.2.7".parse().unwrap()))));
    let tree = Tree { federation: "f".into(), suffix: name("example.com"), ttl: TTL, aliases_out };
    let controller = DnsController::new(provider.clone(), zone(), tree, resolver.clone(), notices.clone()).with_pace(pace);
    let (dns, stop) = (controller.handle(), CancellationToken::new());
    tokio::spawn(controller.run(stop.clone()));
    Fixture { provider, resolver, notices, dns, stop }
}

fn fast() -> Pace {
    let ms = Duration::from_millis;
    Pace { gather: ms(5), resync: ms(200), retry: (ms(10), ms(40)), unresolved: Duration::from_secs(60) }
}

/// Waits, at most five seconds, until something is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came: {what}");
}

#[tokio::test(start_paused = true)]
async fn a_service_is_published_follows_its_clusters_and_goes() {
    let f = start(Memory::default(), Pace { resync: Duration::from_secs(600), ..fast() });
    f.dns.publish(
        key("nginx"),
        vec![site("gondor", "minas", "192.0.2.1", Worth::Serving), site("rohan", "edoras", "192.0.2.2", Worth::Serving)],
    );
    f.dns.complete();
    until("five names", || f.provider.lines().len() == 5).await;
    f.dns.publish(
        key("nginx"),
        vec![site("gondor", "minas", "192.0.2.1", Worth::LastKnown), site("rohan", "edoras", "192.0.2.2", Worth::Serving)],
    );
    let expected = [
        "nginx.demo.f.svc.edoras.rohan.example.com. 180 A 192.0.2.2",
        "nginx.demo.f.svc.example.com. 180 A 192.0.2.2",
        "nginx.demo.f.svc.gondor.example.com. 180 CNAME nginx.demo.f.svc.example.com.",
        "nginx.demo.f.svc.minas.gondor.example.com. 180 CNAME nginx.demo.f.svc.gondor.example.com.",
        "nginx.demo.f.svc.rohan.example.com. 180 A 192.0.2.2",
    ];
    until("gondor fell up", || f.provider.lines() == expected).await;
    f.dns.withdraw(key("nginx"));
    until("no names", || f.provider.lines().is_empty()).await;
    assert_eq!(f.provider.reads.load(Ordering::SeqCst), 1, "a change does not read the zone again");
    assert_eq!(f.provider.applies.load(Ordering::SeqCst), 3, "one batch a change");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_tried_until_it_works() {
    let f = start(Memory { failing: AtomicUsize::new(5), ..Memory::default() }, fast());
    f.dns.publish(key("nginx"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    until("published", || f.provider.lines().len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_for_a_pause_gets_it() {
    let pause = Duration::from_secs(2);
    let f = start(Memory { failing: AtomicUsize::new(1), throttled: Some(pause), ..Memory::default() }, fast());
    f.dns.publish(key("nginx"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    let start = tokio::time::Instant::now();
    until("published", || f.provider.lines().len() == 3).await;
    assert!(start.elapsed() >= pause, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_load_balancers_host_name_is_resolved_or_an_alias_as_the_provider_has_it() {
    for (aliases_out, expected) in [(false, "A 192.0.2.7"), (true, "CNAME elb.example.net.")] {
        let f = start_with(Memory::default(), fast(), aliases_out);
        f.dns.publish(key("nginx"), vec![site("gondor", "minas", "elb.example.net", Worth::Serving)]);
        let global = format!("nginx.demo.f.svc.example.com. 180 {expected}");
        until("published", || f.provider.lines().contains(&global)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn promise_1_a_read_that_fails_or_comes_back_empty_empties_no_name() {
    let f = start(Memory::default(), fast());
    f.dns.publish(key("nginx"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    f.dns.complete();
    until("published", || f.provider.lines().len() == 3).await;
    f.provider.failing.store(8, Ordering::SeqCst);
    until("it failed eight times", || f.provider.failing.load(Ordering::SeqCst) == 0).await;
    let read = f.provider.reads.load(Ordering::SeqCst);
    until("and was read again", || f.provider.reads.load(Ordering::SeqCst) > read + 1).await;
    assert_eq!(f.provider.lines().len(), 3);
    // A provider that lost everything is filled again; nothing is concluded from what it lacks.
    f.provider.sets.lock().unwrap().clear();
    until("published again", || f.provider.lines().len() == 3).await;
}

#[tokio::test(start_paused = true)]
async fn what_others_change_is_put_right_and_what_is_theirs_stays() {
    let memory = Memory::default();
    let foreign = RecordSet { name: name("www.example.com"), ttl: 5, data: Data::A(["203.0.113.1".parse().unwrap()].into()) };
    memory.put(foreign, Owner::Unmarked);
    let f = start(memory, fast());
    f.dns.publish(key("nginx"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    f.dns.complete();
    until("published", || f.provider.lines().len() == 4).await;
    let wrong = RecordSet { name: name("nginx.demo.f.svc.example.com"), ttl: 1, data: Data::A(["203.0.113.66".parse().unwrap()].into()) };
    f.provider.put(wrong, Owner::Ours);
    until("put right", || f.provider.lines().iter().all(|l| !l.contains("203.0.113.66"))).await;
    f.dns.withdraw(key("nginx"));
    until("gone but for the foreign one", || f.provider.lines() == ["www.example.com. 5 A 203.0.113.1"]).await;
}

#[tokio::test(start_paused = true)]
async fn leftovers_wait_for_a_complete_view_and_too_many_are_kept() {
    let memory = Memory::default();
    for i in 0..40 {
        let left = name(&format!("old{i}.demo.f.svc.example.com"));
        memory.put(RecordSet { name: left, ttl: 180, data: Data::A(["192.0.2.9".parse().unwrap()].into()) }, Owner::Ours);
    }
    let f = start(memory, fast());
    f.dns.publish(key("nginx"), vec![site("", "", "192.0.2.1", Worth::Serving)]);
    until("published", || f.provider.lines().len() == 41).await;
    f.dns.complete();
    f.dns.publish(key("second"), vec![site("", "", "192.0.2.1", Worth::Serving)]);
    until("second published", || f.provider.lines().len() == 42).await;
    until("told", || f.notices.0.lock().unwrap().iter().any(|n| n.contains("DNSDeletionHeldBack"))).await;
    for i in 0..37 {
        f.dns.withdraw(key(&format!("old{i}")));
    }
    until("what was seen deleted goes, and then the rest is few", || f.provider.lines().len() == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_merely_missing_keeps_its_names_until_it_is_seen_deleted() {
    let f = start(Memory::default(), fast());
    for service in ["missing", "other"] {
        f.dns.publish(key(service), vec![site("", "", "192.0.2.1", Worth::Serving)]);
    }
    f.dns.complete();
    until("published", || f.provider.lines().len() == 2).await;
    f.dns.lost(key("missing"));
    until("told", || f.notices.0.lock().unwrap().iter().any(|n| n.contains("demo/missing DNSDeletionHeldBack"))).await;
    let reads = f.provider.reads.load(Ordering::SeqCst);
    until("two resyncs", || f.provider.reads.load(Ordering::SeqCst) >= reads + 2).await;
    assert_eq!(f.provider.lines().len(), 2);
    f.dns.withdraw(key("missing"));
    until("gone once seen deleted", || f.provider.lines().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn leftovers_go_with_consent_but_not_before_everything_is_known() {
    let memory = Memory::default();
    for i in 0..40 {
        let left = name(&format!("old{i}.demo.f.svc.example.com"));
        memory.put(RecordSet { name: left, ttl: 180, data: Data::A(["192.0.2.9".parse().unwrap()].into()) }, Owner::Ours);
    }
    let f = start(memory, fast());
    f.dns.consent(true);
    f.dns.publish(key("nginx"), vec![site("", "", "192.0.2.1", Worth::Serving)]);
    until("published", || f.provider.lines().len() == 41).await;
    f.dns.consent(false);
    f.dns.complete();
    until("told", || f.notices.0.lock().unwrap().iter().any(|n| n.contains("DNSDeletionHeldBack"))).await;
    assert_eq!(f.provider.lines().len(), 41);
    f.dns.consent(true);
    until("leftovers gone", || f.provider.lines().len() == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_moves_takes_its_old_names_along() {
    let f = start(Memory::default(), fast());
    let publish = |region: &str, zone: &str| {
        (0..20).for_each(|i| f.dns.publish(key(&format!("s{i}")), vec![site(region, zone, "192.0.2.1", Worth::Serving)]));
    };
    publish("gondor", "minas");
    f.dns.complete();
    until("published", || f.provider.lines().len() == 60).await;
    f.dns.cluster_moved(("gondor", &["minas".into()]), ("arnor", &["fornost".into()]));
    publish("arnor", "fornost");
    until("moved", || f.provider.lines().len() == 60 && f.provider.lines().iter().all(|l| !l.contains("gondor"))).await;
    // Who lost the labels of its nodes did not move.
    f.dns.cluster_moved(("arnor", &["fornost".into()]), ("", &[]));
    publish("", "");
    until("told", || f.notices.0.lock().unwrap().iter().any(|n| n.contains("DNSDeletionHeldBack"))).await;
    assert_eq!(f.provider.lines().iter().filter(|l| l.contains("arnor")).count(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_reported_once_and_stops_nobody() {
    let f = start(Memory::default(), fast());
    f.dns.identify(&key("bad"), "uid-of-bad", "7");
    f.dns.publish(key("bad"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    f.dns.publish(key("good"), vec![site("gondor", "not a zone", "192.0.2.1", Worth::Serving)]);
    until("the good one", || f.provider.lines().len() == 2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut notices = f.notices.0.lock().unwrap().clone();
    notices.sort();
    assert_eq!(notices, ["demo/bad uid-of-bad DNSRecordRejected", "demo/good InvalidDNSName"]);
}

#[tokio::test(start_paused = true)]
async fn issue7_a_batch_is_in_the_trace_of_what_led_to_it() {
    let exported = Exported::here();
    let f = start(Memory::default(), fast());
    f.dns.identify(&key("nginx"), "7f9c", "1842");
    f.dns.publish(key("nginx"), vec![site("gondor", "minas", "192.0.2.1", Worth::Serving)]);
    until("the first", || exported.named("dns batch").len() == 1).await;
    assert_eq!(exported.named("dns batch")[0].span_context.trace_id(), trace_of("7f9c", "1842"));
    // Two that come together: a part of the one, and linked to the other. Of a third nobody said what it is.
    for (name, uid) in [("nginx", "7f9c"), ("web", "a1b2")] {
        f.dns.identify(&key(name), uid, "1850");
        // The write of its status, which is our own.
        f.dns.identify(&key(name), uid, "1851");
    }
    for name in ["nginx", "web", "nameless"] {
        f.dns.publish(key(name), vec![site("gondor", "minas", "192.0.2.2", Worth::Serving)]);
    }
    until("the second", || exported.named("dns batch").len() == 2).await;
    let span = exported.named("dns batch").remove(1);
    let linked: Vec<_> = span.links.iter().map(|link| link.span_context.trace_id()).collect();
    assert_eq!((span.span_context.trace_id(), linked), (trace_of("7f9c", "1850"), vec![trace_of("a1b2", "1850")]));
}

#[tokio::test(start_paused = true)]
async fn host_names_are_resolved_again_and_keep_their_last_answer() {
    let f = start(Memory::default(), fast());
    f.dns.publish(key("nginx"), vec![site("", "", "lb.example.net", Worth::Serving)]);
    f.dns.complete();
    let line = |ip: &str| vec![format!("nginx.demo.f.svc.example.com. 180 A {ip}")];
    until("resolved", || f.provider.lines() == line("192.0.2.7")).await;
    *f.resolver.0.lock().unwrap() = Some("192.0.2.8".parse().unwrap());
    until("moved", || f.provider.lines() == line("192.0.2.8")).await;
    *f.resolver.0.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(f.provider.lines(), line("192.0.2.8"));
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_an_unresolved_host_name_does_not_empty_the_answer() {
    let memory = Memory::default();
    let there = RecordSet { name: name("nginx.demo.f.svc.example.com"), ttl: 180, data: Data::A(["192.0.2.7".parse().unwrap()].into()) };
    memory.put(there, Owner::Ours);
    let f = start(memory, fast());
    *f.resolver.0.lock().unwrap() = None;
    f.dns.publish(key("nginx"), vec![site("", "", "lb.example.net", Worth::Serving)]);
    f.dns.complete();
    until("told", || f.notices.0.lock().unwrap().iter().any(|n| n.contains("LoadBalancerNotResolved"))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(f.provider.lines(), ["nginx.demo.f.svc.example.com. 180 A 192.0.2.7"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_hears_once_that_there_is_nothing() {
    let f = start(Memory::default(), fast());
    until("read", || f.provider.reads.load(Ordering::SeqCst) > 0).await;
    assert_eq!(f.provider.applies.load(Ordering::SeqCst), 0, "nothing is known yet");
    f.dns.complete();
    let reads = f.provider.reads.load(Ordering::SeqCst);
    until("two resyncs", || f.provider.reads.load(Ordering::SeqCst) >= reads + 2).await;
    assert_eq!(f.provider.applies.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_embedded_server_answers_within_a_second_of_the_news() {
    use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
    use hickory_resolver::net::runtime::TokioRuntimeProvider;
    let config = embedded::Config::new("127.0.0.1:0".parse().unwrap(), name("example.com"));
    let provider = Arc::new(embedded::Embedded::start(config).await.unwrap());
    let at = provider.addresses()[0];
    let tree = Tree { federation: "f".into(), suffix: name("example.com"), ttl: TTL, aliases_out: false };
    let controller = DnsController::new(
        provider.clone(),
        provider.zones().await.unwrap().remove(0),
        tree,
        Arc::new(Resolver(Mutex::new(None))),
        Arc::new(Notices::default()),
    );
    let (dns, stop) = (controller.handle(), CancellationToken::new());
    tokio::spawn(controller.run(stop.clone()));
    let mut server = NameServerConfig::udp(at.ip());
    server.connections[0].port = at.port();
    let mut options = ResolverOpts::default();
    options.cache_size = 0;
    let resolver = hickory_resolver::TokioResolver::builder_with_config(
        ResolverConfig::from_parts(None, vec![], vec![server]),
        TokioRuntimeProvider::default(),
    )
    .with_options(options)
    .build()
    .unwrap();
    let start = tokio::time::Instant::now();
    dns.publish(
        key("nginx"),
        vec![site("gondor", "minas", "192.0.2.1", Worth::LastKnown), site("rohan", "edoras", "192.0.2.2", Worth::Serving)],
    );
    let found = loop {
        assert!(start.elapsed() < Duration::from_secs(5), "no answer within five seconds");
        match resolver.ipv4_lookup("nginx.demo.f.svc.minas.gondor.example.com.").await {
            Ok(found) => break found,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let ips: Vec<String> = found.answers().iter().filter_map(|r| r.data.ip_addr()).map(|ip| ip.to_string()).collect();
    assert_eq!(ips, ["192.0.2.2"], "the zone that was cut off falls up to the one that serves");
    stop.cancel();
}

#[tokio::test]
async fn wrong_configuration_is_one_clear_error_with_a_hint() {
    let config = |provider: &str, zone: &str, suffix: &str| crate::Config {
        dns_provider: provider.into(),
        zone_name: zone.into(),
        service_dns_suffix: suffix.into(),
        ..crate::Config::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("e.conf");
    std::fs::write(&file, "[Global]\nlisten = 127.0.0.1:0\nzones = example.com.\n").unwrap();
    let with_file = |mut config: crate::Config| {
        config.dns_provider_config = file.display().to_string();
        config
    };
    for (config, want) in [
        (config("bind", "example.com", ""), "unknown DNS provider \"bind\"\nhint: known providers: coredns, embedded"),
        (config("coredns", "example.com", ""), "could not init DNS provider \"coredns\": a configuration file is needed\nhint: "),
        (with_file(config("embedded", "example.org", "")), "no DNS zone matches name \"example.org\""),
        (
            with_file(config("embedded", "example.com", "example.net")),
            "--service-dns-suffix example.net. does not lie in the zone example.com.",
        ),
    ] {
        let failure = program::failure::Failure::from(super::open(&config).await.unwrap_err());
        let said = format!("{}\nhint: {}", failure.message, failure.hint.unwrap_or_default());
        assert!(said.contains(want), "{said}");
    }
    let opened = super::open(&with_file(config("embedded", "", "sub.example.com"))).await.unwrap().unwrap();
    assert_eq!(opened.addresses().len(), 1);
    assert!(super::open(&config("", "example.com", "")).await.unwrap().is_none());
}
