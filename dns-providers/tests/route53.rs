//! What only the `aws-route53` provider can get wrong, over moto behind a proxy that is as strict as Route 53.
#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use dns_providers::{Change, Data, Kind, RecordSet, Settings, route53, select_zone};
use support::route53::{KEY, Route53, TOKEN, of};
use support::{Opened, a, aaaa, cname, delete, name, upsert};

fn settings(config: PathBuf) -> Settings {
    let (provider, owner) = (route53::NAME.to_owned(), "fellowship".to_owned());
    Settings { provider, config: Some(config), owner, zone: Some(name("example.com")), zone_id: None }
}

async fn opened(config: PathBuf) -> Opened {
    opened_with(&settings(config)).await
}

async fn opened_with(settings: &Settings) -> Opened {
    let provider = dns_providers::open(settings).await.unwrap();
    let zone = select_zone(&provider.zones().await.unwrap(), "example.com", settings.zone_id.as_deref()).unwrap();
    Opened { provider, zone }
}

/// So many addresses at a name.
fn wide(at: &str, count: u32) -> Change {
    let data = Data::A((0..count).map(|n| std::net::Ipv4Addr::from(0x0a00_0000 + n)).collect());
    Change::Upsert(RecordSet { name: name(at), ttl: 60, data })
}

fn changes(asked: &[String]) -> Vec<usize> {
    asked.iter().filter_map(|call| call.strip_prefix("change ")?.parse().ok()).collect()
}

/// A set that answers by weight.
fn weighted(at: &str) -> String {
    of(&a(at, &["192.0.2.99"])).replace("<TTL>", "<SetIdentifier>one</SetIdentifier><Weight>1</Weight><TTL>")
}

#[tokio::test]
async fn what_others_hold_by_whatever_means_is_left_alone() {
    let aws = Route53::start().await;
    let ns = "<ResourceRecordSet><Name>west.example.com.</Name><Type>NS</Type><TTL>60</TTL><ResourceRecords><ResourceRecord>\
              <Value>ns.example.net.</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>";
    let text = ns.replace("west", "text").replace(">NS<", ">TXT<").replace("ns.example.net.", "\"mine\"");
    let sets = [of(&a("web.example.com", &["192.0.2.99"])), weighted("weight.example.com"), ns.to_owned(), text];
    let create: Vec<String> = sets.iter().map(|set| format!("<Action>CREATE</Action>{set}")).collect();
    aws.change(&aws.zone, &create.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let (_, before) = aws.dump(&aws.zone).await;
    let mine = opened(aws.config("")).await;
    let batch = [
        upsert("ok.example.com", &["192.0.2.1"]),
        upsert("a.b.west.example.com", &["192.0.2.1"]),
        Change::Upsert(cname("text.example.com", "ok.example.com")),
        upsert("web.example.com", &["192.0.2.1"]),
        upsert("weight.example.com", &["192.0.2.1"]),
    ];
    let mut rejected = mine.apply(&batch).await.unwrap();
    rejected.sort_by(|a, b| a.name.cmp(&b.name));
    let reasons: Vec<&str> = rejected.iter().map(|r| r.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "west.example.com. is delegated, so this zone does not answer for it",
            "someone else's TXT record is there, which allows no other beside it; it is left alone",
            "someone else's A record is there; it is left alone",
            "someone else's A record with a routing policy or an AWS alias is there; it is left alone",
        ]
    );
    let deletes = [delete("ok.example.com", Kind::A), delete("web.example.com", Kind::A), delete("weight.example.com", Kind::A)];
    assert_eq!(mine.apply(&deletes).await.unwrap(), []);
    assert_eq!(aws.dump(&aws.zone).await.1, before);
}

#[tokio::test]
async fn a_name_turns_into_an_alias_and_back_in_one_request() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    mine.apply(&[upsert("n.example.com", &["192.0.2.1"]), Change::Upsert(aaaa("n.example.com", &["2001:db8::1"]))]).await.unwrap();
    let alias = Change::Upsert(cname("n.example.com", "o.example.com"));
    aws.asked();
    mine.apply(&[alias, delete("n.example.com", Kind::A), delete("n.example.com", Kind::Aaaa)]).await.unwrap();
    assert_eq!(mine.read().await.unwrap(), ["n.example.com. 180 CNAME o.example.com."]);
    mine.apply(&[delete("n.example.com", Kind::Cname), upsert("n.example.com", &["192.0.2.2"])]).await.unwrap();
    assert_eq!(mine.read().await.unwrap(), ["n.example.com. 180 A 192.0.2.2"]);
    assert_eq!(changes(&aws.asked()).len(), 2);
}

#[tokio::test]
async fn what_was_edited_by_hand_meanwhile_is_seen_before_it_is_written_over() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    mine.apply(&[upsert("ours.example.com", &["192.0.2.1"]), upsert("gone.example.com", &["192.0.2.1"])]).await.unwrap();
    // The provider knows the zone as it was before these.
    let edit = format!("<Action>UPSERT</Action>{}", of(&a("ours.example.com", &["192.0.2.66"])));
    let remove = format!("<Action>DELETE</Action>{}", of(&a("gone.example.com", &["192.0.2.1"])));
    aws.change(&aws.zone, &[&edit, &remove]).await;
    aws.by_hand(&a("new.example.com", &["192.0.2.67"])).await;
    let all = ["ours.example.com", "new.example.com", "gone.example.com"];
    let rejected = mine.apply(&all.map(|at| upsert(at, &["192.0.2.2"]))).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].name == name("new.example.com") && rejected[0].reason.contains("someone else's A"), "{rejected:?}");
    let again = opened(aws.config("")).await;
    let expected = ["gone.example.com. 180 A 192.0.2.2", "[new.example.com. 180 A 192.0.2.67]", "ours.example.com. 180 A 192.0.2.2"];
    assert_eq!(again.read().await.unwrap(), expected);
    assert_eq!(mine.read().await.unwrap(), expected, "what it remembers is what there is");
}

#[tokio::test]
async fn a_mark_whose_set_was_deleted_by_hand_is_found_and_taken_away() {
    let aws = Route53::start().await;
    let (_, before) = aws.dump(&aws.zone).await;
    opened(aws.config("")).await.apply(&[Change::Upsert(aaaa("gone.example.com", &["2001:db8::1"]))]).await.unwrap();
    let remove = format!("<Action>DELETE</Action>{}", of(&aaaa("gone.example.com", &["2001:db8::1"])));
    aws.change(&aws.zone, &[&remove]).await;
    let mine = opened(aws.config("")).await;
    let held = mine.provider.read(&mine.zone, &name("gone.example.com")).await.unwrap();
    assert!(held.len() == 1 && held[0].owned() && held[0].set.data.is_empty(), "{held:?}");
    mine.apply(&[delete("gone.example.com", held[0].set.data.kind())]).await.unwrap();
    assert_eq!(aws.dump(&aws.zone).await.1, before);
}

#[tokio::test]
async fn an_answer_or_a_request_that_is_lost_makes_no_duplicate_and_no_error() {
    let aws = Route53::start().await;
    let (_, before) = aws.dump(&aws.zone).await;
    let mine = opened(aws.config("")).await;
    let faults: [fn(&Route53, usize); 2] = [Route53::lose_answers, Route53::swallow_changes];
    for (n, fault) in (0..20).map(|n| (n, faults[n % 2])) {
        let at = format!("n{n}.example.com");
        for change in [upsert(&at, &["192.0.2.1"]), upsert(&at, &["192.0.2.2"]), delete(&at, Kind::A)] {
            fault(&aws, 1);
            assert_eq!(mine.apply(std::slice::from_ref(&change)).await.unwrap(), []);
            let held = mine.provider.read(&mine.zone, &name(&at)).await.unwrap();
            let expected: Vec<RecordSet> = if let Change::Upsert(set) = change { vec![set] } else { Vec::new() };
            assert_eq!(held.into_iter().map(|h| h.set).collect::<Vec<_>>(), expected);
        }
    }
    assert_eq!(aws.dump(&aws.zone).await.1, before);
}

#[tokio::test]
async fn the_zone_is_read_once_in_pages_and_a_change_costs_one_request() {
    let aws = Route53::start().await;
    let batch: Vec<Change> = (0..20).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    opened(aws.config("")).await.apply(&batch).await.unwrap();
    aws.asked();
    aws.pages(7, None);
    let mine = opened(aws.config("")).await;
    assert_eq!(mine.read().await.unwrap().len(), 20);
    assert_eq!(aws.asked(), ["zones", "list", "list", "list", "list", "list", "list"], "20 names, their marks, SOA and NS");
    assert_eq!(mine.read().await.unwrap().len(), 20);
    assert_eq!(mine.apply(&batch).await.unwrap(), []);
    assert_eq!(aws.asked(), Vec::<String>::new(), "after a start nothing is written, and nothing is read twice");
    mine.apply(&[upsert("n3.example.com", &["192.0.2.2"])]).await.unwrap();
    mine.apply(&[delete("n4.example.com", Kind::A)]).await.unwrap();
    mine.apply(&[upsert("m.example.com", &["192.0.2.2"])]).await.unwrap();
    assert_eq!(aws.asked(), ["change 2", "change 2", "change 2"]);
    let part = opened(aws.config("")).await;
    assert_eq!(part.provider.read(&part.zone, &name("n3.example.com")).await.unwrap().len(), 1);
    assert_eq!(aws.asked(), ["zones", "list"], "only what lies below the name asked for");
}

#[tokio::test]
async fn a_page_that_fails_is_an_error_and_no_smaller_zone() {
    let aws = Route53::start().await;
    let batch: Vec<Change> = (0..20).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    opened(aws.config("")).await.apply(&batch).await.unwrap();
    let mine = opened(aws.config("")).await;
    for pages in 0..3 {
        aws.pages(7, Some(pages));
        let error = mine.read().await.unwrap_err();
        assert!(!error.is_configuration() && error.to_string().contains("ServiceUnavailable"), "{error}");
        let error = mine.apply(&[upsert("new.example.com", &["192.0.2.1"])]).await.unwrap_err();
        assert!(error.to_string().contains(&aws.address.to_string()), "{error}");
    }
    assert_eq!(changes(&aws.asked()).len(), 1, "nothing is written to what is not known");
    aws.pages(7, None);
    assert_eq!(mine.read().await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_throttled_request_is_made_again_and_many_of_them_are_an_error_with_a_pause() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    mine.read().await.unwrap();
    aws.throttle(4);
    assert_eq!(mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap(), []);
    aws.asked();
    aws.throttle(1000);
    let error = mine.apply(&[upsert("n.example.com", &["192.0.2.2"])]).await.unwrap_err();
    assert!(error.throttled() > Some(Duration::ZERO) && error.to_string().contains("PriorRequestNotComplete"), "{error}");
    assert!(aws.asked().len() <= 5, "no storm");
    aws.throttle(0);
    assert_eq!(mine.apply(&[upsert("n.example.com", &["192.0.2.2"])]).await.unwrap(), []);
    assert_eq!(aws.asked(), ["change 2"], "what is known is known still");
}

#[tokio::test]
async fn in_a_full_zone_what_makes_room_goes_and_the_others_are_told() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    let there: Vec<Change> = (0..10).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    assert_eq!(mine.apply(&there).await.unwrap(), []);
    // Each name takes two, with its mark.
    aws.sets_of_a_zone(20);
    let new = (0..40).map(|n| upsert(&format!("m{n:02}.example.com"), &["192.0.2.2"]));
    let batch: Vec<Change> = new.chain((0..5).map(|n| delete(&format!("n{n}.example.com"), Kind::A))).collect();
    aws.asked();
    let rejected = mine.apply(&batch).await.unwrap();
    let asked = changes(&aws.asked()).len();
    assert!(asked < 120, "{asked} requests");
    assert_eq!(rejected.len(), 35, "{rejected:?}");
    assert!(rejected.iter().all(|r| r.reason.contains("MAX_RRSETS_BY_ZONE")), "{rejected:?}");
    let names = mine.read().await.unwrap();
    assert_eq!(names.iter().filter(|line| line.starts_with('m')).count(), 5, "{names:?}");
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!(opened(aws.config("")).await.read().await.unwrap(), names, "what it remembers is what there is");
}

#[tokio::test]
async fn one_name_that_is_refused_costs_only_itself() {
    let aws = Route53::start().await;
    aws.values_of_a_set(100);
    let mine = opened(aws.config("")).await;
    mine.read().await.unwrap();
    let mut batch: Vec<Change> = (0..499).map(|n| upsert(&format!("n{n}.example.com"), &["192.0.2.1"])).collect();
    batch.insert(250, wide("wide.example.com", 101));
    aws.asked();
    let rejected = mine.apply(&batch).await.unwrap();
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert!(rejected[0].name == name("wide.example.com") && rejected[0].reason.contains("has 101 values"), "{rejected:?}");
    assert_eq!(mine.read().await.unwrap().len(), 499);
    let asked = aws.asked();
    assert!(changes(&asked).len() <= 3 + 9 && asked.len() <= 3 + 9 + 4, "{asked:?}");
    let far = mine.apply(&[wide("wide.example.com", 401)]).await.unwrap();
    assert!(far.len() == 1 && far[0].reason.contains("401 values; 400 are the most"), "{far:?}");
    assert_eq!(aws.asked(), Vec::<String>::new(), "what can never be is not asked");
}

#[tokio::test]
async fn requests_keep_to_the_limits() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    let batch: Vec<Change> = (0..30).map(|n| wide(&format!("n{n}.example.com"), 150)).collect();
    assert_eq!(mine.apply(&batch).await.unwrap(), []);
    let asked = changes(&aws.asked());
    assert!(asked.len() == 5 && asked.iter().all(|values| *values <= 1000), "{asked:?}");
}

#[tokio::test]
async fn of_two_zones_of_one_name_the_one_that_is_meant_is_written() {
    let aws = Route53::start().await;
    let vpc = "<VPC><VPCRegion>us-east-1</VPCRegion><VPCId>vpc-1</VPCId></VPC>\
               <HostedZoneConfig><PrivateZone>true</PrivateZone></HostedZoneConfig>";
    let private = aws.create("example.com.", vpc).await;
    let both = opened(aws.config("")).await;
    let error = both.read().await.unwrap_err();
    let told = format!("{error} {}", error.hint().unwrap());
    assert!(told.contains("multiple matching DNS zones") && told.contains(&format!("{private}, private")), "{told}");
    let (_, public_before) = aws.dump(&aws.zone).await;
    let inside = opened(aws.config("zone-type = private\n")).await;
    inside.apply(&[upsert("in.example.com", &["10.0.0.1"])]).await.unwrap();
    assert_eq!(aws.dump(&aws.zone).await.1, public_before, "the other zone is never written");
    aws.asked();
    let id = Some(format!("/hostedzone/{private}"));
    let named = opened_with(&Settings { zone_id: id, ..settings(aws.config("")) }).await;
    assert_eq!(named.read().await.unwrap(), ["in.example.com. 180 A 10.0.0.1"]);
    assert_eq!(aws.asked(), ["list"], "with an id no right to list zones is needed");
    let unnamed = dns_providers::open(&Settings { zone: None, ..settings(aws.config("")) }).await.unwrap();
    assert_eq!(unnamed.zones().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_zone_that_is_gone_and_rights_that_lack_are_told() {
    let aws = Route53::start().await;
    let mine = opened(aws.config("")).await;
    mine.read().await.unwrap();
    aws.deny(true);
    let error = mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied") && error.hint().unwrap().contains("route53:ChangeResourceRecordSets"), "{error}");
    aws.deny(false);
    assert_eq!(mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap(), []);
    let elsewhere = Settings { zone: Some(name("example.org")), ..settings(aws.config("")) };
    let provider = dns_providers::open(&elsewhere).await.unwrap();
    let zone = provider.zones().await.unwrap().remove(0);
    let error = provider.read(&zone, &zone.name).await.unwrap_err();
    assert!(error.to_string().contains("the account has no hosted zone example.org."), "{error}");
    let lost = Settings { zone_id: Some("Z000".to_owned()), ..settings(aws.config("")) };
    let error = opened_with(&lost).await.read().await.unwrap_err();
    assert!(error.to_string().contains("NoSuchHostedZone") && error.hint().is_some(), "{error}");
}

/// Where each kind of pod finds its credentials: the environment of a process, which each test of this kind is.
#[tokio::test]
async fn credentials_come_from_where_pods_have_them() {
    let aws = Route53::start().await;
    let config = aws.file("bare.conf", &aws.bare());
    let at = format!("http://{}", aws.address);
    let path = |name: &str, text: &str| aws.file(name, text).display().to_string();
    let keys = path("shared", &format!("[dns]\naws_access_key_id = {KEY}\naws_secret_access_key = secret\n"));
    let (web, pod) = (path("web-token", "a.web.token"), path("pod-token", TOKEN));
    let role = "arn:aws:iam::123456789012:role/dns".to_owned();
    let set = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>();
    let off = ("AWS_EC2_METADATA_DISABLED", "true");
    for (kind, environment, key) in [
        ("environment", set(&[("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret"), off]), "AKIDENV"),
        ("shared file", set(&[("AWS_SHARED_CREDENTIALS_FILE", &keys), ("AWS_PROFILE", "dns"), off]), KEY),
        ("IRSA", set(&[("AWS_WEB_IDENTITY_TOKEN_FILE", &web), ("AWS_ROLE_ARN", &role), ("AWS_ENDPOINT_URL_STS", &at), off]), "ASIA"),
        (
            "Pod Identity",
            set(&[
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("{at}/container")),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &pod),
                off,
            ]),
            "AKIDPOD",
        ),
        ("the machine", set(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &at)]), "AKIDNODE"),
    ] {
        in_a_pod(&aws, "as_a_pod_would", &config, environment).await;
        let used = aws.keys();
        assert!(used.len() == 1 && used[0].starts_with(key), "{kind}: {used:?}");
    }
    in_a_pod(&aws, "without_credentials", &config, set(&[off])).await;
}

/// Runs a test that is left out otherwise, in a process with nothing in its environment but this.
async fn in_a_pod(aws: &Route53, test: &str, config: &Path, environment: Vec<(String, String)>) {
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--ignored"]).env_clear().env("POD_CONFIG", config);
    child.env("HOME", aws.home()).env("AWS_REGION", "us-east-1").envs(environment.iter().cloned());
    let done = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && told.contains("1 passed"), "{test} with {environment:?}: {told}");
}

#[tokio::test]
#[ignore = "run by credentials_come_from_where_pods_have_them, in an environment of its own"]
async fn as_a_pod_would() {
    let mine = opened(std::env::var_os("POD_CONFIG").unwrap().into()).await;
    mine.read().await.unwrap();
}

#[tokio::test]
#[ignore = "run by credentials_come_from_where_pods_have_them, in an environment of its own"]
async fn without_credentials() {
    let error = opened(std::env::var_os("POD_CONFIG").unwrap().into()).await.read().await.unwrap_err();
    assert!(error.hint().unwrap().contains("IRSA") && !error.is_configuration(), "{error}");
}

#[tokio::test]
async fn a_role_is_taken_and_keys_that_are_replaced_are_used() {
    let aws = Route53::start().await;
    let role = "role-arn = arn:aws:iam::123456789012:role/dns\nexternal-id = moria\n";
    let (at, config) = (format!("http://{}", aws.address), aws.config(role));
    in_a_pod(&aws, "as_a_pod_would", &config, vec![("AWS_ENDPOINT_URL_STS".to_owned(), at)]).await;
    let used = aws.keys();
    assert!(used.len() == 1 && used[0].starts_with("ASIA"), "{used:?}");
    let mine = opened(aws.config("")).await;
    mine.read().await.unwrap();
    assert_eq!(aws.keys(), [KEY]);
    aws.file("keys", "[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = secret\n");
    aws.deny(true);
    mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap_err();
    aws.deny(false);
    aws.keys();
    mine.apply(&[upsert("n.example.com", &["192.0.2.1"])]).await.unwrap();
    assert_eq!(aws.keys(), ["AKIDNEW"]);
}
