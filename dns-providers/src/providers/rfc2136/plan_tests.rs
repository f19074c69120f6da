use hickory_proto::rr::rdata::TXT;

use super::*;

const WEB: &str = "web.example.com.";

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn view(records: &[(&str, Value)]) -> View {
    let mut view = View::default();
    for (at, value) in records {
        view.add(Record::from_rdata(wire(&name(at)), 60, value.data()));
    }
    view
}

fn ip(last: u8) -> Value {
    Value::A([192, 0, 2, last].into())
}

fn mark(owner: &str, kinds: &[Kind]) -> (&'static str, Value) {
    ("_kubefed.web.example.com", Mark { owner: owner.to_owned(), kinds: kinds.iter().copied().collect() }.write())
}

fn a(last: u8) -> Change {
    Change::Upsert(RecordSet { name: name(WEB), ttl: 60, data: Data::A([[192, 0, 2, last].into()].into()) })
}

fn alias() -> Change {
    Change::Upsert(RecordSet { name: name(WEB), ttl: 60, data: Data::Cname(name("other.example.com")) })
}

fn delete(kind: Kind) -> Change {
    Change::Delete { name: name(WEB), kind }
}

fn planned(changes: &[Change], view: &View) -> Result<Option<Step>, String> {
    let at = name(WEB);
    let group = NameChanges { name: &at, changes: changes.iter().collect() };
    step(&group, view, &name("example.com"), "fellowship").map_err(|LeftAlone(reason)| reason)
}

/// The sections of a step as one would say them to nsupdate, without the zone's name.
fn told(changes: &[Change], view: &View) -> String {
    let Some(step) = planned(changes, view).unwrap() else { return "nothing".to_owned() };
    let line = |record: &Record| {
        let name = record.name.to_string().replace(".example.com.", "");
        match record.dns_class {
            DNSClass::IN => format!("{name} {} {} {}", record.ttl, record.record_type(), record.data),
            class => format!("{name} {class} {}", record.record_type()),
        }
    };
    let lines = |records: &[Record]| records.iter().map(line).collect::<Vec<_>>().join("\n");
    format!("{}\n--\n{}", lines(&step.prerequisites), lines(&step.updates))
}

#[test]
fn a_new_name_is_written_with_its_mark_where_there_was_nothing() {
    let expected = "web NONE A\nweb NONE AAAA\nweb NONE CNAME\n_kubefed.web NONE TXT\n--\nweb 60 A 192.0.2.1\n\
                    _kubefed.web 60 TXT heritage=kubefed,v=1,owner=fellowship,types=A";
    assert_eq!(told(&[a(1)], &view(&[])), expected);
}

#[test]
fn a_change_expects_what_was_read_and_deletes_before_it_adds() {
    let ours = view(&[(WEB, ip(1)), mark("fellowship", &[Kind::A])]);
    assert_eq!(told(&[a(1)], &ours), "nothing");
    let read = "web 0 A 192.0.2.1\nweb NONE AAAA\nweb NONE CNAME\n_kubefed.web 0 TXT heritage=kubefed,v=1,owner=fellowship,types=A";
    assert_eq!(told(&[a(2)], &ours), format!("{read}\n--\nweb ANY A\nweb 60 A 192.0.2.2"));
    let turned = "web ANY A\n_kubefed.web ANY TXT\nweb 60 CNAME other.example.com.\n\
                  _kubefed.web 60 TXT heritage=kubefed,v=1,owner=fellowship,types=CNAME";
    assert_eq!(told(&[delete(Kind::A), alias()], &ours), format!("{read}\n--\n{turned}"));
    assert_eq!(told(&[delete(Kind::A)], &ours), format!("{read}\n--\nweb ANY A\n_kubefed.web ANY TXT"));
    assert_eq!(told(&[delete(Kind::Aaaa)], &ours), "nothing");
}

#[test]
fn what_is_not_ours_is_left_alone_and_says_whose_it_is() {
    let other = view(&[(WEB, ip(1)), mark("mordor", &[Kind::A])]);
    let by_hand = view(&[(WEB, ip(1))]);
    let beside = view(&[(WEB, ip(1)), (WEB, Value::Aaaa(std::net::Ipv6Addr::LOCALHOST)), mark("fellowship", &[Kind::A])]);
    let text = view(&[(WEB, Value::Text(TXT::new(vec!["v=spf1".to_owned()])))]);
    let taken = view(&[("_kubefed.web.example.com", Value::Text(TXT::new(vec!["mine".to_owned()])))]);
    for (there, change, want) in [
        (&other, a(2), "belongs to federation mordor"),
        (&by_hand, a(2), "someone else's A record"),
        (&by_hand, alias(), "someone else's A record"),
        (&beside, a(2), "someone else's AAAA record"),
        (&text, alias(), "someone else's TXT record is there, which allows no other"),
        (&taken, a(2), "someone else's TXT record is where its mark would be"),
    ] {
        let refused = planned(&[change], there).unwrap_err();
        assert!(refused.contains(want), "{refused}");
    }
    assert!(planned(&[a(2)], &text).unwrap().is_some(), "an address may stand beside a text");
    assert_eq!(told(&[delete(Kind::A)], &other), "nothing");
    assert_eq!(told(&[delete(Kind::A)], &by_hand), "nothing");
    let kept = told(&[delete(Kind::A)], &beside);
    assert!(kept.contains("web ANY A\n") && !kept.contains("AAAA"), "{kept}");
}

#[test]
fn a_mark_without_its_set_is_garbage_and_goes_with_whatever_is_asked_of_the_name() {
    let orphan = view(&[mark("fellowship", &[Kind::Cname])]);
    let gone = told(&[delete(Kind::A)], &orphan);
    assert!(gone.ends_with("--\n_kubefed.web ANY TXT"), "{gone}");
    let mended = told(&[a(1)], &orphan);
    assert!(mended.ends_with("owner=fellowship,types=A"), "{mended}");
}

#[test]
fn what_a_server_would_pass_over_in_silence_is_refused_first() {
    let ns = RData::NS(hickory_proto::rr::rdata::NS(Name::from_ascii("ns.example.net.").unwrap()));
    let delegated = view(&[(WEB, ns.into())]);
    assert!(planned(&[a(1)], &delegated).unwrap_err().contains("someone else's NS record"));
}

#[test]
fn messages_stay_under_64_kib_and_a_name_is_never_divided() {
    let many: Vec<Change> = (0..2000)
        .map(|n| {
            let name = name(&format!("nginx-{n}.shire.fellowship.svc.example.com"));
            Change::Upsert(RecordSet { name, ttl: 60, data: Data::A((0..4u32).map(Into::into).collect()) })
        })
        .collect();
    let (groups, _) = crate::batch::group(&many, &name("example.com"), &crate::capabilities::ANY);
    let steps: Vec<Step> = groups.iter().map(|group| step(group, &View::default(), &name("example.com"), "f").unwrap().unwrap()).collect();
    let packs = pack(steps);
    assert!(packs.len() > 5 && packs.iter().map(Vec::len).sum::<usize>() == 2000);
    for pack in &packs {
        let bytes = message(&wire(&name("example.com")), pack).to_vec().unwrap().len();
        assert!(bytes <= MAX_BYTES && pack.iter().map(|step| step.bytes).sum::<usize>() >= bytes - 100, "{bytes}");
    }
    let wide = Change::Upsert(RecordSet { name: name(WEB), ttl: 60, data: Data::A((0..3000u32).map(Into::into).collect()) });
    assert!(planned(&[wide], &View::default()).unwrap_err().contains("more values than one message holds"));
}
