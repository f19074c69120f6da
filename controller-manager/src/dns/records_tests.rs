use proptest::prelude::*;

use super::*;

fn tree() -> Tree {
    Tree { federation: "fellowship".into(), suffix: DnsName::parse("example.com").unwrap(), ttl: TTL, aliases_out: false }
}

fn nginx() -> ServiceKey {
    ServiceKey { namespace: "demo".into(), name: "nginx".into() }
}

fn place(region: &str, zones: &[&str], ips: &[&str], worth: Worth) -> Place {
    Place {
        region: region.into(),
        zones: zones.iter().map(|z| (*z).to_owned()).collect(),
        addresses: ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect(),
        host: None,
        worth,
    }
}

fn lines(places: &[Place]) -> String {
    let desired = desired(&tree(), &nginx(), places);
    desired.sets.iter().map(ToString::to_string).chain(desired.problems).collect::<Vec<_>>().join("\n")
}

use Worth::{Idle, LastKnown, Serving};

#[test]
fn two_regions_as_in_the_tutorial() {
    insta::assert_snapshot!(lines(&[
        place("gondor", &["minas"], &["192.0.2.1"], Serving),
        place("rohan", &["edoras"], &["192.0.2.2"], Serving),
    ]));
}

#[test]
fn a_cluster_that_is_cut_off_falls_up_and_its_address_leaves() {
    insta::assert_snapshot!(lines(&[
        place("gondor", &["minas"], &["192.0.2.1"], LastKnown),
        place("gondor", &["osgiliath"], &["192.0.2.3"], LastKnown),
        place("rohan", &["edoras"], &["192.0.2.2"], Serving),
    ]));
}

#[test]
fn multi_zone_clusters_have_every_zone_and_families_stay_apart() {
    insta::assert_snapshot!(lines(&[
        place("gondor", &["minas", "osgiliath"], &["192.0.2.1", "2001:db8::1"], Serving),
        place("gondor", &["osgiliath"], &["192.0.2.3"], Serving),
        place("rohan", &[], &["2001:db8::2"], Serving),
        place("", &["mordor"], &["192.0.2.9"], Serving),
    ]));
}

#[test]
fn all_away_keeps_what_was_last_known_and_all_idle_keeps_the_addresses() {
    let serving = |worth| [place("gondor", &["minas"], &["192.0.2.1"], worth), place("rohan", &["edoras"], &["192.0.2.2"], worth)];
    assert_eq!(lines(&serving(Serving)), lines(&serving(LastKnown)));
    assert_eq!(lines(&serving(Serving)), lines(&serving(Idle)));
}

#[test]
fn without_any_address_there_are_no_records() {
    assert_eq!(lines(&[place("gondor", &["minas"], &[], Serving)]), "");
    assert_eq!(lines(&[]), "");
}

#[test]
fn a_region_that_is_no_dns_name_costs_only_itself_and_aliases_skip_it() {
    insta::assert_snapshot!(lines(&[
        place("-bad-", &["minas"], &["192.0.2.1"], LastKnown),
        place("rohan", &["edoras"], &["192.0.2.2"], Serving)
    ]));
}

#[test]
fn names_tell_their_service_and_foreign_names_do_not() {
    let of = |text: &str| tree().service_of(&DnsName::parse(text).unwrap());
    for level in ["", "gondor", "minas.gondor", "a.b.c"] {
        assert_eq!(tree().service_of(&tree().name(&nginx(), level).unwrap()), Some(nginx()), "{level}");
    }
    for text in
        ["www.example.com", "nginx.demo.other.svc.example.com", "nginx.demo.fellowship.svc.example.net", "example.com", "a.example.com"]
    {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn one_load_balancer_known_by_host_name_is_an_alias_and_two_are_addresses() {
    let host = DnsName::parse("elb-1.amazonaws.com").unwrap();
    let behind = |region: &str, ip: &str, worth| Place { host: Some(host.clone()), ..place(region, &[], &[ip], worth) };
    let alone = lines(&[behind("gondor", "192.0.2.1", Serving), place("rohan", &[], &["192.0.2.2"], Idle)]);
    assert_eq!(
        alone,
        "nginx.demo.fellowship.svc.example.com. 180 CNAME elb-1.amazonaws.com.\n\
         nginx.demo.fellowship.svc.gondor.example.com. 180 CNAME elb-1.amazonaws.com.\n\
         nginx.demo.fellowship.svc.rohan.example.com. 180 CNAME nginx.demo.fellowship.svc.example.com."
    );
    let both = lines(&[behind("gondor", "192.0.2.1", Serving), place("rohan", &[], &["192.0.2.2"], Serving)]);
    assert_eq!(
        both,
        "nginx.demo.fellowship.svc.example.com. 180 A 192.0.2.1 192.0.2.2\n\
         nginx.demo.fellowship.svc.gondor.example.com. 180 CNAME elb-1.amazonaws.com.\n\
         nginx.demo.fellowship.svc.rohan.example.com. 180 A 192.0.2.2"
    );
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    let label = prop::sample::select(vec!["", "a", "b", "a.b", "svc", "fellowship", "_x", "-", "über", "A"]);
    let worth = prop::sample::select(vec![Serving, LastKnown, Idle]);
    let ip = prop_oneof![(0u32..4).prop_map(|i| IpAddr::V4(i.into())), (0u128..4).prop_map(|i| IpAddr::V6(i.into()))];
    let one = (label.clone(), prop::collection::vec(label, 0..3), prop::collection::vec(ip, 0..3), worth).prop_map(
        |(region, zones, ips, worth)| Place {
            region: region.into(),
            zones: zones.into_iter().map(str::to_owned).collect(),
            addresses: ips.into_iter().collect(),
            host: None,
            worth,
        },
    );
    prop::collection::vec(one, 0..5)
}

proptest! {
    #[test]
    fn the_answer_is_never_empty_nor_broken(places in places()) {
        let (tree, service) = (tree(), nginx());
        let out = desired(&tree, &service, &places);
        let known = places.iter().any(|p| !p.addresses.is_empty());
        let global = tree.name(&service, "").unwrap();
        prop_assert_eq!(out.sets.iter().any(|s| s.name == global), known, "empty while an address is known");
        let mut kinds = BTreeSet::new();
        for set in &out.sets {
            prop_assert!(!set.data.values().is_empty());
            prop_assert!(kinds.insert((set.name.clone(), set.data.kind())), "{} twice", set);
            prop_assert_eq!(tree.service_of(&set.name), Some(service.clone()));
            if let Data::Cname(target) = &set.data {
                prop_assert!(out.sets.iter().any(|s| s.name == *target), "{} leads nowhere", set);
                prop_assert_eq!(out.sets.iter().filter(|s| s.name == set.name).count(), 1, "{} is not alone", set);
                // Following aliases always ends at an address.
                let mut at = target;
                for _ in 0..3 {
                    match &out.sets.iter().find(|s| s.name == *at).unwrap().data { Data::Cname(next) => at = next, _ => break }
                }
                prop_assert!(!matches!(out.sets.iter().find(|s| s.name == *at).unwrap().data, Data::Cname(_)));
            }
        }
        // Nothing but known addresses, and while something serves nothing else is published.
        let best = places.iter().filter(|p| !p.addresses.is_empty()).map(|p| p.worth).max();
        let allowed: Addresses = places.iter().filter(|p| Some(p.worth) == best)
            .flat_map(|p| p.addresses.v4.iter().map(|ip| IpAddr::V4(*ip)).chain(p.addresses.v6.iter().map(|ip| IpAddr::V6(*ip)))).collect();
        for set in &out.sets {
            match &set.data {
                Data::A(ips) => prop_assert!(ips.is_subset(&allowed.v4)),
                Data::Aaaa(ips) => prop_assert!(ips.is_subset(&allowed.v6)),
                Data::Cname(_) => {}
            }
        }
    }
}
