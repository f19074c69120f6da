use super::*;

fn parse(args: &[&str]) -> Result<Options, clap::Error> {
    Options::try_parse_from(std::iter::once("federation-controller-manager").chain(args.iter().copied()))
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
