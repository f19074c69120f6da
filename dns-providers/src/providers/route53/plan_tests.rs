use super::super::view::There;
use super::*;
use crate::Data;
use crate::batch::group;
use crate::capabilities::ANY;

const WEB: &str = "web.example.com.";

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

/// A zone of sets; what has no values is not plain.
fn view(sets: &[(&str, &str, &[&str])]) -> View {
    let mut view = View::new(name("example.com"));
    for (at, kind, values) in sets {
        let set = (!values.is_empty()).then(|| Set { ttl: 60, values: values.iter().map(ToString::to_string).collect() });
        view.add(There { name: (*at).to_owned(), kind: (*kind).to_owned(), set });
    }
    view
}

const MARK_AT: &str = "_kubefed.web.example.com.";
const MARK: &str = "\"heritage=kubefed,v=1,owner=fellowship,types=A\"";

fn a(at: &str, ips: &[&str]) -> Change {
    Change::Upsert(RecordSet { name: name(at), ttl: 60, data: Data::A(ips.iter().map(|ip| ip.parse().unwrap()).collect()) })
}

fn aaaa(ip: &str) -> Change {
    Change::Upsert(RecordSet { name: name(WEB), ttl: 60, data: Data::Aaaa([ip.parse().unwrap()].into()) })
}

fn alias() -> Change {
    Change::Upsert(RecordSet { name: name(WEB), ttl: 60, data: Data::Cname(name("other.example.com")) })
}

fn delete(kind: Kind) -> Change {
    Change::Delete { name: name(WEB), kind }
}

fn planned(changes: &[Change], view: &View) -> Result<Option<Step>, String> {
    let at = name(WEB);
    step(&NameChanges { name: &at, changes: changes.iter().collect() }, view, &name("example.com"), "fellowship")
        .map_err(|LeftAlone(reason)| reason)
}

/// What is asked, a line for each set.
fn told(changes: &[Change], view: &View) -> String {
    let Some(step) = planned(changes, view).unwrap() else { return "nothing".to_owned() };
    let line = |item: &Item| {
        let sign = if item.create { '+' } else { '-' };
        format!("{sign} {} {} {} {}", item.name.as_str().replace(".example.com.", ""), item.set.ttl, item.kind, item.set.values.join(" "))
    };
    step.items.iter().map(line).collect::<Vec<_>>().join("\n").replace("\"heritage=kubefed,v=1,owner=fellowship,types=", "\"ours ")
}

#[test]
fn a_name_is_created_changed_turned_and_deleted_with_its_mark() {
    let nothing = view(&[]);
    assert_eq!(told(&[a(WEB, &["192.0.2.1"])], &nothing), "+ web 60 A 192.0.2.1\n+ _kubefed.web 60 TXT \"ours A\"");
    let ours = view(&[(WEB, "A", &["192.0.2.1"]), (MARK_AT, "TXT", &[MARK])]);
    assert_eq!(told(&[a(WEB, &["192.0.2.1"])], &ours), "nothing");
    assert_eq!(told(&[a(WEB, &["192.0.2.2"])], &ours), "- web 60 A 192.0.2.1\n+ web 60 A 192.0.2.2");
    assert_eq!(
        told(&[alias(), delete(Kind::A)], &ours),
        "- web 60 A 192.0.2.1\n- _kubefed.web 60 TXT \"ours A\"\n+ web 60 CNAME other.example.com.\n+ _kubefed.web 60 TXT \"ours CNAME\""
    );
    assert_eq!(told(&[delete(Kind::A)], &ours), "- web 60 A 192.0.2.1\n- _kubefed.web 60 TXT \"ours A\"");
    assert_eq!(told(&[delete(Kind::Aaaa)], &nothing), "nothing");
}

#[test]
fn a_family_beside_another_changes_the_mark_only() {
    let ours = view(&[(WEB, "A", &["192.0.2.1"]), (MARK_AT, "TXT", &[MARK])]);
    assert_eq!(
        told(&[aaaa("2001:db8::1")], &ours),
        "- _kubefed.web 60 TXT \"ours A\"\n+ web 60 AAAA 2001:db8::1\n+ _kubefed.web 60 TXT \"ours A+AAAA\""
    );
}

#[test]
fn a_set_that_says_the_same_in_other_letters_stays() {
    let mark = MARK.replace("=A\"", "=A+AAAA\"");
    let ours = view(&[(WEB, "A", &["192.0.2.2", "192.0.2.1"]), (WEB, "AAAA", &["2001:DB8:0::1"]), (MARK_AT, "TXT", &[&mark])]);
    assert_eq!(told(&[a(WEB, &["192.0.2.1", "192.0.2.2"]), aaaa("2001:db8::1")], &ours), "nothing");
    assert!(told(&[delete(Kind::Aaaa)], &ours).starts_with("- web 60 AAAA 2001:DB8:0::1\n"), "a deletion repeats what is there");
}

#[test]
fn what_is_not_ours_is_left_alone_and_says_whose_it_is() {
    let others = MARK.replace("fellowship", "mordor");
    let by_hand = view(&[(WEB, "A", &["192.0.2.1"])]);
    for (there, change, want) in [
        (&view(&[(WEB, "A", &["192.0.2.1"]), (MARK_AT, "TXT", &[&others])]), a(WEB, &["192.0.2.2"]), "belongs to federation mordor"),
        (&by_hand, a(WEB, &["192.0.2.2"]), "someone else's A record is there"),
        (&by_hand, alias(), "someone else's A record is there"),
        (&view(&[(WEB, "A", &[])]), a(WEB, &["192.0.2.2"]), "someone else's A record with a routing policy"),
        (&view(&[(WEB, "A", &[]), (MARK_AT, "TXT", &[MARK])]), a(WEB, &["192.0.2.2"]), "with a routing policy"),
        (&view(&[(WEB, "MX", &["1 m."])]), alias(), "someone else's MX record is there, which allows no other"),
        (&view(&[(WEB, "NS", &["ns."])]), a(WEB, &["192.0.2.2"]), "someone else's NS record"),
        (&view(&[("example.com.", "NS", &["ns."]), ("com.", "NS", &["ns."])]), a(WEB, &["192.0.2.2"]), ""),
        (&view(&[(MARK_AT, "TXT", &["\"v=spf1\""])]), a(WEB, &["192.0.2.2"]), "someone else's TXT record is where its mark would be"),
        (&view(&[(MARK_AT, "TXT", &[])]), a(WEB, &["192.0.2.2"]), "someone else's TXT record is where its mark would be"),
    ] {
        match planned(&[change], there) {
            Ok(step) => assert!(want.is_empty() && step.is_some(), "{want}"),
            Err(refused) => assert!(!want.is_empty() && refused.contains(want), "{refused}"),
        }
    }
    assert_eq!(told(&[delete(Kind::A)], &by_hand), "nothing");
    let orphan = view(&[(MARK_AT, "TXT", &[MARK])]);
    assert_eq!(told(&[delete(Kind::A)], &orphan), "- _kubefed.web 60 TXT \"ours A\"", "a mark without its set is garbage");
}

#[test]
fn requests_keep_to_the_limits_and_a_name_is_never_divided() {
    let zone = name("example.com");
    let many: Vec<Change> = (0..1000).map(|n| a(&format!("n{n}.example.com"), &["192.0.2.1", "192.0.2.2"])).collect();
    let (groups, _) = group(&many, &zone, &ANY);
    let steps: Vec<Step> = groups.iter().filter_map(|group| step(group, &View::new(zone.clone()), &zone, "fellowship").unwrap()).collect();
    let packs = pack(steps);
    assert_eq!(packs.iter().map(Vec::len).sum::<usize>(), 1000);
    for pack in &packs {
        let values: usize = pack.iter().map(Step::values).sum();
        let characters: usize = pack.iter().map(Step::characters).sum();
        assert!(values <= 1000 && characters <= 32_000, "{values} {characters}");
    }
    assert!(packs.len() <= 4, "{}", packs.len());
    let wide: Vec<String> = (0..=1000u32).map(|n| std::net::Ipv4Addr::from(n).to_string()).collect();
    let wide = a(WEB, &wide.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(planned(&[wide], &view(&[])).unwrap_err().contains("more values than one request holds"));
}

#[test]
fn a_refused_pack_is_divided_by_the_names_told_or_in_the_middle() {
    let of = |at: &str| {
        let set = Set { ttl: 60, values: vec!["192.0.2.1".to_owned()] };
        let items = vec![Item { create: true, name: name(at), kind: "A", set }];
        Step { name: name(at), items, after: Node::default() }
    };
    let all: Vec<Step> = ["a.example.com", "b.example.com", "c.example.com", "d.example.com"].map(of).into();
    let told = ["[Tried to create resource record set [name='B.example.com.', type='A'] but it already exists]".to_owned()];
    let names = |steps: &[Step]| steps.iter().map(|s| s.name.as_str()[..1].to_owned()).collect::<String>();
    let [good, bad] = divide(all.clone(), &told);
    assert_eq!((names(&good), names(&bad)), ("acd".to_owned(), "b".to_owned()));
    let [first, second] = divide(all, &["RDATA is broken".to_owned()]);
    assert_eq!((names(&first), names(&second)), ("ab".to_owned(), "cd".to_owned()));
}
