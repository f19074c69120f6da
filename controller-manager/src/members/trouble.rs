//! What is said of a member that is not reached: each cause has its own remedy.

use federation_client::Trouble;

/// One word for conditions and Events.
pub(crate) fn reason(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Timeout => "Timeout",
        Trouble::Refused => "ConnectionRefused",
        Trouble::NoRoute => "NoRoute",
        Trouble::UnknownHost => "UnknownHost",
        Trouble::UnknownAuthority => "UnknownAuthority",
        Trouble::WrongName => "CertificateNameMismatch",
        Trouble::Expired => "CertificateExpired",
        Trouble::NotYetValid => "CertificateNotYetValid",
        Trouble::BadCertificate => "CertificateInvalid",
        Trouble::Tls => "TLSFailed",
        Trouble::Broken => "ConnectionBroken",
        // v1's word for all of them.
        _ => "ClusterNotReachable",
    }
}

/// What to look at.
pub(crate) fn hint(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Timeout => "check that packets from the controller manager reach it: firewalls, and whether it is overloaded",
        Trouble::Refused => "check that its API server runs and that the address and port are right",
        Trouble::NoRoute => "check the routes of the host cluster and that the address is reachable from its pods",
        Trouble::UnknownHost => "check the host name, and the DNS that the controller manager's pod uses",
        Trouble::UnknownAuthority => {
            "its serving certificate is signed by another authority than ca.crt of its secret: after a change of authority join it \
             again with kubefed join; otherwise something else answers at the address"
        }
        Trouble::WrongName => {
            "its serving certificate does not name the host of the address: use a name it has (kubefed join --cluster-server), or \
             tls-server-name in the kubeconfig it is joined with"
        }
        Trouble::Expired => "renew its serving certificate, and check the clocks of both clusters",
        Trouble::NotYetValid => "check the clocks of both clusters",
        Trouble::BadCertificate => "check its serving certificate",
        Trouble::Tls => "check that the address is that of an API server with HTTPS, and proxies on the way",
        Trouble::Broken => "check its API server, and load balancers and proxies on the way",
        _ => "check the address and the network between the host cluster and the member",
    }
}
