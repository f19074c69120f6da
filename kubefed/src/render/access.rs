//! How a member is reached and as whom: from a kubeconfig into the host's secret, and back into a kubeconfig.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use federation_api::keys::{
    SECRET_CA, SECRET_INSECURE, SECRET_PROXY, SECRET_SERVER, SECRET_TLS_SERVER_NAME, SECRET_TOKEN, SECRET_TOKEN_TERMS,
};
use federation_api::member_token::TokenTerms;
use federation_client::{Access as Reached, Cluster, Kubeconfig, User};
use k8s_openapi::ByteString;
use kube::api::DynamicObject;

/// Name of the context made of an [`Access`].
pub const STORED: &str = "the federation's own account";

/// How the federation reaches a member and as whom.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Access {
    /// URL of its API server.
    pub server: String,
    /// Authority of its serving certificate, PEM; the system's roots where there is none.
    pub ca: Option<Vec<u8>>,
    /// Name its certificate is checked for, where that is not the host of the URL.
    pub tls_server_name: Option<String>,
    /// Its certificate is not checked.
    pub insecure: bool,
    /// URL of the proxy it is reached through.
    pub proxy: Option<String>,
    /// Token of the account.
    pub token: Option<Vec<u8>>,
    /// Terms of that token, by which the next is made.
    pub terms: Option<TokenTerms>,
}

impl Access {
    /// The way a context goes, without its credentials; to another `server`, where one is named.
    pub fn of(server: Option<String>, reached: &Reached) -> Self {
        Self {
            server: server.unwrap_or_else(|| reached.url()),
            ca: reached.authorities.clone().filter(|pem| !pem.trim_ascii().is_empty()),
            tls_server_name: reached.tls_server_name.clone(),
            insecure: reached.insecure,
            proxy: reached.proxy.as_ref().map(|p| p.url().to_owned()),
            token: None,
            terms: None,
        }
    }

    /// Data of the secret in the host cluster.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let text = |v: &str| ByteString(v.as_bytes().to_vec());
        let data = [
            (SECRET_TOKEN, self.token.clone().map(ByteString)),
            (SECRET_TOKEN_TERMS, self.terms.as_ref().map(|terms| text(&terms.text()))),
            (SECRET_CA, self.ca.clone().map(ByteString)),
            (SECRET_SERVER, Some(text(&self.server))),
            (SECRET_TLS_SERVER_NAME, self.tls_server_name.as_deref().map(text)),
            (SECRET_INSECURE, self.insecure.then(|| text("true"))),
            (SECRET_PROXY, self.proxy.as_deref().map(text)),
        ];
        data.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))).collect()
    }

    /// What such a secret says; its server may be missing in one of an older version.
    pub fn from_secret(secret: &DynamicObject) -> Self {
        let bytes = |key: &str| BASE64.decode(secret.data["data"][key].as_str()?).ok().filter(|v| !v.trim_ascii().is_empty());
        let text = |key: &str| bytes(key).and_then(|v| String::from_utf8(v).ok());
        Self {
            server: text(SECRET_SERVER).unwrap_or_default(),
            ca: bytes(SECRET_CA),
            tls_server_name: text(SECRET_TLS_SERVER_NAME),
            insecure: text(SECRET_INSECURE).as_deref() == Some("true"),
            proxy: text(SECRET_PROXY),
            token: bytes(SECRET_TOKEN),
            terms: bytes(SECRET_TOKEN_TERMS).and_then(|text| TokenTerms::parse(&text)),
        }
    }

    /// A kubeconfig with the one context [`STORED`].
    pub fn kubeconfig(&self) -> Kubeconfig {
        let cluster = Cluster {
            server: self.server.clone(),
            certificate_authority_data: self.ca.clone().unwrap_or_default(),
            tls_server_name: self.tls_server_name.clone().unwrap_or_default(),
            insecure_skip_tls_verify: self.insecure,
            proxy_url: self.proxy.clone().unwrap_or_default(),
            ..Cluster::default()
        };
        let token = self.token.as_ref().map(|t| String::from_utf8_lossy(t).trim().to_owned()).unwrap_or_default();
        Kubeconfig::single(STORED, cluster, User { token, ..User::default() })
    }
}

#[cfg(test)]
mod tests {
    use federation_client::{Environment, Source, Target};
    use serde_json::json;

    use super::*;

    fn of(config: &Kubeconfig) -> Access {
        Access::of(None, &Reached::resolve(config, &Target::default(), &Environment::default()).unwrap())
    }

    fn read(fields: &str) -> Access {
        let text = format!(
            "clusters: [{{name: c, cluster: {{server: 'https://gondor:6443', {fields}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c}}}}]\ncurrent-context: c\n"
        );
        of(&Kubeconfig::read(text.as_bytes(), Source::Secret("a test")).unwrap())
    }

    fn secret(access: &Access) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": "gondor"}, "data": access.data()})).unwrap()
    }

    #[test]
    fn issue7_cases_03_10_14_what_a_context_says_about_the_way_is_kept() {
        let whole = Access {
            server: "https://gondor:6443".into(),
            ca: Some(b"hi".to_vec()),
            tls_server_name: Some("minas-tirith".into()),
            insecure: false,
            proxy: Some("socks5://127.0.0.1:1080".into()),
            token: None,
            terms: None,
        };
        let yaml = "certificate-authority-data: aGk=, tls-server-name: minas-tirith, proxy-url: 'socks5://127.0.0.1:1080'";
        assert_eq!(read(yaml), whole);
        let whole = Access { token: Some(b"t".to_vec()), ..whole };
        assert_eq!(Access::from_secret(&secret(&whole)), whole);
        assert_eq!(Access { token: Some(b"t".to_vec()), ..of(&whole.kubeconfig()) }, whole);
    }

    #[test]
    fn issue7_case_10_empty_is_absent() {
        let nothing = Access { server: "https://gondor:6443".into(), ..Access::default() };
        assert_eq!(read("certificate-authority-data: '', tls-server-name: '', proxy-url: ''"), nothing);
        assert_eq!(nothing.data().keys().collect::<Vec<_>>(), [SECRET_SERVER], "an apply takes the other keys away");
        let emptied = json!({"metadata": {}, "data": {"ca.crt": "", "token": "dA==", "server": "aHR0cHM6Ly9nb25kb3I6NjQ0Mw=="}});
        let emptied = Access::from_secret(&serde_json::from_value(emptied).unwrap());
        assert_eq!(emptied, Access { token: Some(b"t".to_vec()), ..nothing });
    }

    #[test]
    fn issue7_case_14_an_insecure_context_names_no_authority() {
        let access = read("insecure-skip-tls-verify: true");
        assert!(access.insecure && access.ca.is_none());
        assert_eq!(access.data()[SECRET_INSECURE].0, b"true");
    }
}
