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

#[test]
fn d4_the_federations_own_namespace_and_those_that_are_named_are_left_out() {
    let config = parse(&["--host-namespace=fellowship-system", "--left-out-namespaces=mordor,isengard"]).unwrap().resolve("host").unwrap();
    for namespace in ["federation-system", "fellowship-system", "mordor", "isengard"] {
        assert!(config.left_out.contains(namespace), "{namespace}: {:?}", config.left_out);
    }
    assert!(!config.left_out.contains("default"));
    // In a pod the environment says it.
    let command = <Options as clap::CommandFactory>::command();
    let host_namespace = command.get_arguments().find(|argument| argument.get_id() == "host_namespace").unwrap();
    assert_eq!(host_namespace.get_env(), Some("POD_NAMESPACE".as_ref()));
}
