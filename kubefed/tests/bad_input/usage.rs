//! Command lines that cannot be understood.

use crate::support::Place;

#[test]
fn every_program_tells_them_alike() {
    let place = Place::new();
    let mut all = String::new();
    for args in [
        &[][..],
        &["nonsense"],
        &["federation-apiserver", "--nonsense"],
        &["federation-apiserver", "--secure-port=70000"],
        &["federation-apiserver", "--tls-cert-file=a.pem"],
        &["federation-controller-manager", "--kubeconfgi=a"],
        &["federation-controller-manager", "--controllers=rings=true"],
        &["kubefed", "jion"],
        &["kubefed", "version", "--username=u"],
        &["kubefed", "version", "--username=u", "--password=p", "--token=t"],
    ] {
        all.push_str(&place.fcp(args).complaint(64));
    }
    for args in [
        &["join", "--use-credentials-kubeconfig"][..],
        &["join", "--foo"],
        &["init", "--timeout=soon"],
        &["init", "--storage=file"],
        &["certs", "renwe", "fellowship"],
        &["certs", "check", "fellowship", "--within=30d"],
        &["certs", "renew", "fellowship", "gondor"],
    ] {
        all.push_str(&place.kubefed(args).complaint(64));
    }
    insta::assert_snapshot!(all);
    for args in [&["federation-apiserver", "--help"][..], &["federation-controller-manager", "--help"], &["kubefed", "--help"]] {
        let said = place.fcp(args);
        let unwrapped = said.fine().out.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(unwrapped.contains("64 the command line"), "exit codes are documented: {}", said.out);
    }
}

#[test]
fn what_cannot_be_printed_is_an_error() {
    for args in [&["version", "--client"][..], &["version", "--client", "-o", "json"], &["options"], &["completion", "bash"], &["--help"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubefed"));
        let said = command.args(args).stdout(full).output().unwrap();
        let err = String::from_utf8(said.stderr).unwrap();
        assert_eq!(said.status.code(), Some(1), "{args:?}: {err}");
        assert!(err.starts_with("error: writing to standard output: No space left on device"), "{args:?}: {err}");
        assert_eq!(err.matches("error: ").count(), 1, "{args:?}: {err}");
    }
}
