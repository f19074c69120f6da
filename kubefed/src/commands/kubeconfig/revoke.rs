//! `kubefed kubeconfig list` and `revoke`: what the federation issued, and taking it back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use federation_api::credential::{self, CredentialSpec, CredentialStatus, Type};
use federation_api::keys;
use federation_client::{Access, Environment, Target};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use crate::cli::{CredentialListArgs, RevokeArgs};
use crate::commands::Session;
use crate::connection::Connection;
use crate::error::Failure;
use crate::render::names::MANAGER;

const HEADINGS: [&str; 10] = ["NAME", "TYPE", "USER", "GROUPS", "ISSUED", "EXPIRES", "ISSUED BY", "LAST USED", "FROM", "STATE"];
/// Credentials that are read at once.
const PAGE: u32 = 500;
/// Looks at whether something was issued while others were taken back.
const ROUNDS: usize = 10;
/// What helps where others issue faster than they are revoked.
const MEANWHILE: &str = "take the rights to issue away first (create on serviceaccounts/token, approve on signers), then try again";
const HINT: &str = "kubefed kubeconfig list shows those there are";

/// One credential.
struct Known {
    name: String,
    spec: CredentialSpec,
    status: CredentialStatus,
}

impl Known {
    fn of(object: &DynamicObject) -> Self {
        let part = |field: &str| object.data.get(field).cloned().unwrap_or_default();
        let spec = serde_json::from_value(part("spec")).unwrap_or_default();
        Self { name: object.name_any(), spec, status: serde_json::from_value(part("status")).unwrap_or_default() }
    }

    fn expired(&self, now: Timestamp) -> bool {
        self.spec.not_after.as_deref().and_then(|text| text.parse::<Timestamp>().ok()).is_some_and(|end| end < now)
    }

    fn object(&self) -> Value {
        json!({"name": self.name, "spec": self.spec, "status": self.status})
    }

    fn row(&self) -> Vec<String> {
        let none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
        let state = match &self.status.revoked {
            None => "Issued".to_owned(),
            Some(revoked) if revoked.reason.is_empty() => "Revoked".to_owned(),
            Some(revoked) => format!("Revoked: {}", revoked.reason),
        };
        let type_ = match self.spec.type_ {
            Type::Certificate => "Certificate",
            Type::Token => "Token",
        };
        let used = self.status.last_used.as_ref();
        vec![
            self.name.clone(),
            type_.to_owned(),
            none(&self.spec.user),
            none(&self.spec.groups.join(",")),
            self.spec.not_before.clone().unwrap_or_else(|| "<unknown>".to_owned()),
            self.spec.not_after.clone().unwrap_or_else(|| "<unknown>".to_owned()),
            none(&self.spec.issued_by),
            none(used.and_then(|used| used.time.as_deref()).unwrap_or_default()),
            none(used.map(|used| used.address.as_str()).unwrap_or_default()),
            state,
        ]
    }
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(keys::GROUP, keys::VERSION, credential::KIND), credential::PLURAL)
}

/// Connects to the federation. `--user` says here whose credentials are meant, and is no entry of the kubeconfig.
async fn here(session: &Session) -> Result<Connection, Failure> {
    let target = session.federation_target(session.global.context.as_deref())?;
    let target = Target { user: None, ..target };
    Connection::open(&session.files().load()?, &target).await?.of_federation().await
}

/// Names that the credentials have which these commands are sent with.
fn in_use(session: &Session) -> Result<Vec<String>, Failure> {
    let target = Target { user: None, ..session.federation_target(session.global.context.as_deref())? };
    let access = Access::resolve(&session.files().load()?, &target, &Environment::of_process())?;
    let (certificate, token) = access.presented();
    Ok(named(certificate, token))
}

/// Names of a certificate and a token among credentials. What cannot be read is none of the federation's.
fn named(certificate: Option<&[u8]>, token: Option<&str>) -> Vec<String> {
    let of_certificate = certificate.and_then(|text| {
        let (_, pem) = parse_x509_pem(text).ok()?;
        Some(credential::of_serial(pem.parse_x509().ok()?.raw_serial()))
    });
    let of_token = token.and_then(|token| {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        Some(credential::of_token(claims["jti"].as_str()?))
    });
    of_certificate.into_iter().chain(of_token).collect()
}

/// Lists them.
///
/// # Errors
/// Anything the server or the network says.
pub(super) async fn list(session: &Session, args: &CredentialListArgs) -> Result<(), Failure> {
    let at = here(session).await?;
    let now = Timestamp::now();
    let mut all = known(&at, args.user.as_deref()).await?;
    all.retain(|known| !known.expired(now));
    if let Some(format) = args.output {
        return session.printer.value(&all.iter().map(Known::object).collect(), format);
    }
    let rows = std::iter::once(HEADINGS.map(str::to_owned).to_vec()).chain(all.iter().map(Known::row));
    session.printer.table(&rows.collect::<Vec<_>>());
    Ok(())
}

/// Takes them back.
///
/// # Errors
/// What was typed cannot be; there is none of the name; anything the server or the network says.
pub(super) async fn revoke(session: &Session, args: &RevokeArgs) -> Result<(), Failure> {
    let serial = args.serial.as_deref().map(credential::of_serial_text).transpose();
    let serial = serial.map_err(|e| Failure::usage(format!("--serial: {e}")).hint("openssl x509 -noout -serial prints it"))?;
    for name in &args.names {
        if !credential::is_name(name, Type::Certificate) && !credential::is_name(name, Type::Token) {
            return Err(Failure::usage(format!("{name:?} is no name of a credential")).hint(HINT));
        }
    }
    let at = here(session).await?;
    for name in &args.names {
        one(session, &at, name, &args.reason).await?;
    }
    if let Some(name) = serial {
        unknown(&at, &name).await?;
        one(session, &at, &name, &args.reason).await?;
    }
    if args.all || args.user.is_some() {
        many(session, &at, args).await?;
    }
    Ok(())
}

/// Takes back all of a user, or all there are: also what is issued meanwhile. One's own come last, for nothing can be asked
/// with them afterwards.
async fn many(session: &Session, at: &Connection, args: &RevokeArgs) -> Result<(), Failure> {
    let review = Api::<SelfSubjectReview>::all(at.client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let review = review.map_err(|e| at.failed("asking who you are", &e))?;
    let in_use = in_use(session)?;
    let own = review.status.and_then(|status| status.user_info).and_then(|user| user.username).unwrap_or_default();
    let mut count = 0_usize;
    for _ in 0..ROUNDS {
        let now = Timestamp::now();
        let mut left = known(at, args.user.as_deref()).await?;
        left.retain(|known| known.status.revoked.is_none() && !known.expired(now));
        // The one in use is the last of one's own: after it nothing is answered.
        left.sort_by_key(|known| in_use.contains(&known.name));
        if left.is_empty() {
            if count == 0 {
                session.printer.note("There is nothing to revoke.");
            }
            return Ok(());
        }
        let others = left.iter().any(|known| known.spec.user != own);
        for known in left.iter().filter(|known| !others || known.spec.user != own) {
            // What has expired meanwhile is gone.
            count += usize::from(take_back(session, at, &known.name, &args.reason).await?);
        }
        if !others {
            return Ok(());
        }
    }
    Err(Failure::new("more is issued all the time, so not all is revoked; your own credentials are not").hint(MEANWHILE))
}

async fn one(session: &Session, at: &Connection, name: &str, reason: &str) -> Result<(), Failure> {
    if take_back(session, at, name, reason).await? {
        return Ok(());
    }
    Err(Failure::new(format!("there is no credential \"{name}\", or it has expired")).hint(HINT))
}

/// Says whether there is one of the name.
async fn take_back(session: &Session, at: &Connection, name: &str, reason: &str) -> Result<bool, Failure> {
    let patch = Patch::Merge(json!({"status": {"revoked": {"reason": reason}}}));
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    match at.api(&resource(), None).patch_status(name, &params, &patch).await {
        Ok(revoked) => {
            let user = Known::of(&revoked).spec.user;
            let whose = if user.is_empty() { String::new() } else { format!(" of user {user}") };
            session.printer.data(&format!("credential \"{name}\"{whose} revoked"));
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(e) => Err(at.failed(&format!("revoking {name}"), &e)),
    }
}

/// Makes the object of a certificate that the federation did not issue, or does not know any more.
async fn unknown(at: &Connection, name: &str) -> Result<(), Failure> {
    let object = DynamicObject::new(name, &resource()).data(json!({"spec": CredentialSpec::default()}));
    match at.api(&resource(), None).create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(e) => Err(at.failed(&format!("revoking {name}"), &e)),
    }
}

/// Those of a user, or all.
async fn known(at: &Connection, user: Option<&str>) -> Result<Vec<Known>, Failure> {
    let api: Api<DynamicObject> = at.api(&resource(), None);
    let mut wanted = ListParams::default().limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&wanted).await.map_err(|e| at.failed("listing credentials", &e))?;
        // Names of users may hold what a field selector cannot.
        all.extend(page.items.iter().map(Known::of).filter(|known| user.is_none_or(|user| known.spec.user == user)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => wanted = wanted.continue_token(&token),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_is_known_by_its_serial_number_and_id() {
        let mut params = rcgen::CertificateParams::default();
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x1a, 0x02]));
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"jti": "7f9c"}"#));
        assert_eq!(named(Some(certificate.as_bytes()), Some(&token)), ["certificate-1a02", "token-7f9c"]);
        assert_eq!(named(Some(b"nothing"), Some("a bootstrap token")), Vec::<String>::new());
    }
}
