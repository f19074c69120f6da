//! What is wrong with clusters.

use std::path::Path;

use federation_client::Cluster;
use federation_client::config::{Config, List};
use federation_client::kubeconfig::bytes;

use super::contexts::is_used;
use super::finding::{Findings, Severity, entry, unset, word};
use crate::expiry;

pub(super) fn look(config: &Config, findings: &mut Findings) {
    for (name, cluster) in &config.merged.clusters {
        one(name, cluster, is_used(config, List::Clusters, name), findings);
    }
}

fn one(name: &str, cluster: &Cluster, used: bool, findings: &mut Findings) {
    let at = entry(List::Clusters, name);
    let set = |flags: &str| format!("kubefed config set-cluster {} {flags}", word(name));
    let bad = if used { Severity::Error } else { Severity::Note };
    if cluster.server.is_empty() {
        findings.add(bad, &at, "it has no server", set("--server=URL"));
    } else if !cluster.server.starts_with("https://") {
        let what = "its server is not asked over https: whoever is in between can read and change everything";
        findings.add(Severity::Warning, &at, what, set("--server=https://HOST:PORT"));
    }
    if let Err(why) = cluster.proxy() {
        findings.add(bad, &at, why.to_string(), set("--proxy-url=URL, or --proxy-url= for none"));
    }
    let authority = !(cluster.certificate_authority.is_empty() && cluster.certificate_authority_data.is_empty());
    if cluster.insecure_skip_tls_verify {
        let mend = set("--insecure-skip-tls-verify=false");
        if authority {
            findings.add(bad, &at, "it has a certificate-authority and insecure-skip-tls-verify, which exclude each other", mend);
        } else {
            findings.add(Severity::Warning, &at, "it takes any certificate: whoever is in between can read and change everything", mend);
        }
    }
    if !cluster.certificate_authority.is_empty() && !cluster.certificate_authority_data.is_empty() {
        let mend = unset(List::Clusters, name, "certificate-authority");
        findings.add(bad, &at, "it has certificate-authority and certificate-authority-data: kubectl refuses that", mend);
        return;
    }
    let mend = set("--certificate-authority=FILE --embed-certs");
    let pem = if cluster.certificate_authority.is_empty() {
        Ok(cluster.certificate_authority_data.clone())
    } else {
        bytes(Path::new(&cluster.certificate_authority))
    };
    match pem.map(|pem| if authority { expiry::certificates(&pem) } else { Ok(Vec::new()) }) {
        Err(e) => findings.add(bad, &at, format!("certificate-authority: {}: {e}", cluster.certificate_authority), mend),
        Ok(Err(why)) => findings.add(bad, &at, format!("its certificate authority cannot be used: {why}"), mend),
        // One that is good is enough.
        Ok(Ok(periods)) => {
            if let Some(end) = periods.into_iter().map(|period| period.end).max() {
                findings.end(end, &at, "its certificate authority", &mend);
            }
        }
    }
}
