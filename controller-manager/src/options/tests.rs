use super::*;

fn parse(args: &[&str]) -> Result<Options, clap::Error> {
    Options::try_parse_from(std::iter::once("federation-controller-manager").chain(args.iter().copied()))
}

#[test]
fn durations_are_gos() {
    assert_eq!(duration("40s"), Ok(Duration::from_secs(40)));
    assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("0"), Ok(Duration::ZERO));
    for bad in ["", "40", "s", "-1s", "1d", "1s2"] {
        assert!(duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn v1s_command_line_is_understood() {
    let options = parse(&[
        "--kubeconfig=/etc/federation/controller-manager/kubeconfig",
        "--dns-provider=coredns",
        "--dns-provider-config=/etc/conf",
        "--federation-name=fellowship",
        "--zone-name=example.com.",
        "--controllers=service-dns=false,jobs=true",
        "--concurrent-service-syncs=10",
        "--leader-elect=false",
        "--v=4",
    ])
    .unwrap();
    let config = options.resolve("host").unwrap();
    assert_eq!(config.federation_name, "fellowship");
    assert!(!config.enabled("service-dns") && config.enabled("jobs") && config.enabled("secrets"));
    assert!(config.election.is_none());
    assert_eq!(config.listen.unwrap().port(), 10253);
}

#[test]
fn d37_two_processes_of_one_machine_are_rivals() {
    let identity = || parse(&[]).unwrap().resolve("node-1").unwrap().election.unwrap().identity;
    let (one, other) = (identity(), identity());
    assert!(one.starts_with("node-1_") && one != other, "{one} {other}");
}

#[test]
fn bad_values_are_refused() {
    assert!(parse(&["--controllers=nonsense=true"]).unwrap_err().to_string().contains("there is no controller \"nonsense\""));
    assert!(parse(&["--controllers=jobs=maybe"]).is_err());
    assert!(parse(&["--federation-name=Fellowship"]).unwrap().resolve("h").is_err());
    assert!(parse(&["--leader-elect-renew-deadline=20s"]).unwrap().resolve("h").is_err());
}
