//! `init`: the credentials there are already, and those that are missing.

use std::time::SystemTime;

use federation_client::{Kubeconfig, Source, User};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use uuid::Uuid;

use crate::certs::{self, ADMIN, Found, MASTERS, Wanted};
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::config::{Addresses, ControlPlane, Names};
use crate::render::credentials::{
    BASIC_FILE, CA_CERT, CA_KEY, Credentials, KUBECONFIG, Pair, SERVER_CERT, SERVER_KEY, SERVICE_ACCOUNT_CERT, SERVICE_ACCOUNT_KEY,
    TOKEN_FILE,
};
use crate::render::names::Federation;

/// What an earlier run left behind.
#[derive(Default)]
pub struct Earlier {
    pub(in crate::commands) certs: Found,
    service_accounts: Option<Pair>,
    token_csv: Option<String>,
    basic_csv: Option<String>,
}

#[cfg(test)]
impl Earlier {
    pub(super) fn of(certs: Found) -> Self {
        Self { certs, ..Self::default() }
    }
}

/// Reads what an earlier run left in the host and in the local kubeconfig.
///
/// # Errors
/// Anything the host says but that a secret is not there; a secret of the authority that lacks something.
pub async fn earlier(host: &Connection, federation: &Federation, local: Option<&Kubeconfig>) -> Result<Earlier, Failure> {
    let read = async |name: String| host.get_typed::<Secret>(&federation.namespace, &name).await;
    let (ca, apiserver, manager) = tokio::try_join!(
        read(federation.ca()),
        read(federation.apiserver_credentials()),
        read(federation.controller_manager_kubeconfig())
    )?;
    Ok(Earlier {
        certs: Found {
            ca: ca.as_ref().map(authority).transpose()?,
            server: apiserver.as_ref().and_then(|s| pair(s, SERVER_CERT, SERVER_KEY)),
            controller_manager: manager.as_ref().and_then(|s| text(s, KUBECONFIG)).and_then(|t| pair_in_kubeconfig(&t)),
            admin: local.and_then(|k| pair_of(k.users.get(&federation.name)?)),
        },
        service_accounts: apiserver.as_ref().and_then(|s| pair(s, SERVICE_ACCOUNT_CERT, SERVICE_ACCOUNT_KEY)),
        token_csv: apiserver.as_ref().and_then(|s| text(s, TOKEN_FILE)),
        basic_csv: apiserver.as_ref().and_then(|s| text(s, BASIC_FILE)),
    })
}

/// Completes what there is.
///
/// # Errors
/// When the authority that was found cannot be used.
pub fn complete(plane: &ControlPlane, at: &Addresses, earlier: Earlier) -> Result<Credentials, Failure> {
    let mut all = Names { dns: at.hostnames.clone(), ips: at.ips.clone() };
    all.dns.extend(plane.federation.service_names());
    if let Some(endpoint) = &plane.endpoint {
        all.add(&endpoint.host);
    }
    all.dns.extend(plane.extra_names.dns.iter().cloned());
    all.ips.extend(&plane.extra_names.ips);
    let wanted = Wanted { federation: &plane.federation.name, names: &all.dns, ips: &all.ips };
    let issued = certs::ensure(&wanted, earlier.certs, SystemTime::now())?;
    let line = || format!("{},{ADMIN},{},\"{MASTERS}\"\n", Uuid::new_v4(), Uuid::new_v4());
    Ok(Credentials {
        ca: issued.ca,
        server: issued.server,
        controller_manager: issued.controller_manager,
        admin: issued.admin,
        service_accounts: earlier.service_accounts.map_or_else(certs::key, Ok)?,
        token_csv: plane.token_auth.then(|| earlier.token_csv.unwrap_or_else(line)),
        basic_csv: plane.basic_auth.then(|| earlier.basic_csv.unwrap_or_else(line)),
    })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok().filter(|text| !text.is_empty())
}

/// The authority in its secret. One that is not whole is never replaced: everybody's credentials hang on it. What it signed
/// may be torn, it is issued anew.
fn authority(secret: &Secret) -> Result<Pair, Failure> {
    pair(secret, CA_CERT, CA_KEY).ok_or_else(|| {
        let missing: Vec<&str> = [CA_CERT, CA_KEY].into_iter().filter(|key| text(secret, key).is_none()).collect();
        let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
        Failure::new(format!("secret {namespace}/{name} with the federation's authority has no readable {}", missing.join(" and ")))
            .hint(certs::RESTORE)
    })
}

fn pair(secret: &Secret, cert: &str, key: &str) -> Option<Pair> {
    Some(Pair { cert: text(secret, cert)?, key: text(secret, key)? })
}

fn pair_in_kubeconfig(text: &str) -> Option<Pair> {
    let config = Kubeconfig::read(text.as_bytes(), Source::Secret("of the controller manager")).ok()?;
    config.users.values().next().and_then(pair_of)
}

fn pair_of(user: &User) -> Option<Pair> {
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).ok().filter(|t| !t.is_empty());
    Some(Pair { cert: text(&user.client_certificate_data)?, key: text(&user.client_key_data)? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d15_an_authority_that_is_not_whole_is_an_error_and_not_replaced() {
        let secret = |data: serde_json::Value| {
            serde_json::from_value::<Secret>(
                json!({"metadata": {"name": "f-federation-ca", "namespace": "federation-system"}, "data": data}),
            )
            .unwrap()
        };
        let pair = authority(&secret(json!({"ca.crt": "Y2VydA==", "ca.key": "a2V5"}))).unwrap();
        assert_eq!((pair.cert.as_str(), pair.key.as_str()), ("cert", "key"));
        for (data, missing) in [
            (json!({"ca.crt": "Y2VydA=="}), "ca.key"),
            (json!({"ca.crt": "Y2VydA==", "ca.key": ""}), "ca.key"),
            (json!({"ca.crt": "Y2VydA==", "ca.key": "/w=="}), "ca.key"),
            (json!({"ca.key": "a2V5"}), "ca.crt"),
            (json!(null), "ca.crt and ca.key"),
        ] {
            let failure = authority(&secret(data)).err().unwrap();
            let said = format!("secret federation-system/f-federation-ca with the federation's authority has no readable {missing}");
            assert_eq!((failure.message, failure.hint.as_deref()), (said, Some(certs::RESTORE)));
        }
    }
}
