//! Names, labels and annotations of what `kubefed` makes; the tutorial's spelling.

use std::collections::BTreeMap;

use federation_api::keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Label telling several federations of one namespace apart.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Label on everything `kubefed` makes; the value is [`MANAGER`].
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`] and the field manager of every write.
pub const MANAGER: &str = "kubefed";
/// v1's pod label telling the two components apart.
pub const MODULE_LABEL: &str = "module";
/// Value of [`MODULE_LABEL`] on the API server's pods.
pub const APISERVER_MODULE: &str = "federation-apiserver";
/// Value of [`MODULE_LABEL`] on the controller manager's pods.
pub const CONTROLLER_MANAGER_MODULE: &str = "federation-controller-manager";

/// One federation and where its control plane lives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Federation {
    /// Its name.
    pub name: String,
    /// Namespace of its control plane in the host cluster.
    pub namespace: String,
}

impl Federation {
    /// Service, Deployment and certificate name of the API server.
    pub fn apiserver(&self) -> String {
        format!("{}-federation-apiserver", self.name)
    }

    /// Deployment and service account of the controller manager.
    pub fn controller_manager(&self) -> String {
        format!("{}-federation-controller-manager", self.name)
    }

    /// Role and binding that let the controller manager read the secret of one member.
    pub fn member_reader(&self, cluster: &str) -> String {
        format!("{}:{cluster}", self.controller_manager())
    }

    /// Secret with what the API server needs: certificates and, if wanted, token and password files.
    pub fn apiserver_credentials(&self) -> String {
        format!("{}-federation-apiserver-credentials", self.name)
    }

    /// Secret with the controller manager's kubeconfig.
    pub fn controller_manager_kubeconfig(&self) -> String {
        format!("{}-federation-controller-manager-kubeconfig", self.name)
    }

    /// Secret with the authority's certificate and key.
    pub fn ca(&self) -> String {
        format!("{}-federation-ca", self.name)
    }

    /// Secret with the DNS provider's configuration file.
    pub fn dns_provider_conf(&self) -> String {
        format!("{}-federation-dns-provider.conf", self.name)
    }

    /// Service of a DNS provider that answers queries itself.
    pub fn dns(&self) -> String {
        format!("{}-federation-dns", self.name)
    }

    /// Claim of etcd's volume.
    pub fn etcd_claim(&self) -> String {
        format!("{}-federation-apiserver-etcd-claim", self.name)
    }

    /// Names under which pods of the host cluster reach the API server.
    pub fn service_names(&self) -> Vec<String> {
        let (service, ns) = (self.apiserver(), &self.namespace);
        vec![service.clone(), format!("{service}.{ns}"), format!("{service}.{ns}.svc"), format!("{service}.{ns}.svc.cluster.local")]
    }

    /// Who makes tokens of service accounts, as they say it themselves. It never changes, whatever address the API server has.
    pub fn issuer(&self) -> String {
        format!("https://{}.{}.svc", self.apiserver(), self.namespace)
    }

    /// Labels of every object.
    pub fn labels(&self) -> BTreeMap<String, String> {
        map([("app", keys::APP), (INSTANCE_LABEL, &self.name), (MANAGED_BY_LABEL, MANAGER)])
    }

    /// Labels that select a component's pods.
    pub fn pod_labels(&self, module: &str) -> BTreeMap<String, String> {
        map([("app", keys::APP), (INSTANCE_LABEL, &self.name), (MODULE_LABEL, module)])
    }

    /// Annotations of every object.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        map([(keys::FEDERATION_NAME, &self.name)])
    }

    /// Metadata of a namespaced object in the host cluster.
    pub fn meta(&self, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            annotations: Some(self.annotations()),
            ..ObjectMeta::default()
        }
    }
}

/// A map of strings.
pub fn map<const N: usize>(entries: [(&str, &str); N]) -> BTreeMap<String, String> {
    entries.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

/// Turns a context name into part of an object name: lower case, everything else `-`.
pub fn sanitise(context: &str) -> String {
    let text: String = context.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    text.trim_matches('-').to_owned()
}

/// `<cluster>-<host context>`, cut so that it is a valid name.
pub fn member_account(cluster: &str, host_context: &str) -> String {
    let mut name = format!("{cluster}-{}", sanitise(host_context));
    name.truncate(200);
    name.trim_end_matches('-').to_owned()
}

/// `federation-controller-manager:<federation>-<cluster>-<host context>`.
pub fn member_role(federation: &str, cluster: &str, host_context: &str) -> String {
    format!("federation-controller-manager:{federation}-{}", member_account(cluster, host_context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_context_gives_a_valid_account_name() {
        for (context, account) in [
            ("rivendell", "gondor-rivendell"),
            ("gondor_needs-no_king", "gondor-gondor-needs-no-king"),
            ("arn:aws:eks:eu:1:cluster/Riv", "gondor-arn-aws-eks-eu-1-cluster-riv"),
            ("", "gondor"),
            ("kubernetes-admin@", "gondor-kubernetes-admin"),
        ] {
            assert_eq!(member_account("gondor", context), account);
            assert!(federation_api::names::is_rfc1123_subdomain(account), "{account}");
        }
    }
}
