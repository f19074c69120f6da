//! Tokens of service accounts, as kube-apiserver makes and takes them: signed claims (JWT, RFC 7519) that hold for a time
//! and while what they are bound to is there.

mod claims;
mod keys;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use federation_api::credential;
use jsonwebtoken::{Header, Validation};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::revoked::Revoked;
use crate::auth::UserInfo;
use crate::config::ServiceAccountConfig;
use crate::registry::{Entry, Registry};
pub(crate) use claims::Claims;
use claims::{Audiences, Bound, Reference, user};
use keys::{Signing, Verifying};

pub(crate) use keys::KeyError;

/// Where the keys that verify tokens are told, as in kube-apiserver.
pub(crate) const JWKS: &str = "/openid/v1/jwks";
/// Where it is told that they are there.
pub(crate) const OPENID: &str = "/.well-known/openid-configuration";

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// What signs and verifies tokens.
pub(crate) struct Keys {
    /// Digest of the files.
    files: [u8; 32],
    signing: Signing,
    verifying: Vec<Verifying>,
    /// The keys that verify, as others are told them.
    told: Bytes,
}

/// The files of the keys: what signs, and what verifies besides.
type Files = (Vec<u8>, Vec<Vec<u8>>);

/// Makes and takes tokens.
pub(crate) struct ServiceAccounts {
    config: ServiceAccountConfig,
    keys: ArcSwap<Keys>,
    revoked: Arc<Revoked>,
    accounts: Arc<Entry>,
    secrets: Arc<Entry>,
    /// Of member clusters.
    pods: Option<Arc<Entry>>,
    nodes: Option<Arc<Entry>>,
}

/// What a token besides its account is bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Secret,
    Pod,
    Node,
}

/// A token to be made.
pub(crate) struct Wanted<'a> {
    pub(crate) namespace: &'a str,
    /// Name and uid of the account.
    pub(crate) account: (&'a str, &'a str),
    pub(crate) audiences: &'a [String],
    /// What it is bound to besides: kind, name and uid.
    pub(crate) bound: Option<(Kind, &'a str, &'a str)>,
    pub(crate) seconds: i64,
    /// Seconds since the epoch.
    pub(crate) now: i64,
}

impl fmt::Debug for ServiceAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccounts").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys. The one that signs also verifies.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no key that can be used.
    pub(crate) fn load(config: &ServiceAccountConfig) -> Result<Self, KeyError> {
        Self::of(config, &read(config)?)
    }

    fn of(config: &ServiceAccountConfig, files: &Files) -> Result<Self, KeyError> {
        let (signing, own) = keys::signing(&config.signing_key, &files.0)?;
        let mut verifying = vec![own];
        for (path, pem) in config.keys.iter().zip(&files.1) {
            let others = keys::verifying(path, pem)?;
            verifying.extend(others.into_iter().filter(|key| key.id != signing.id));
        }
        let all: Vec<&Value> = verifying.iter().map(|key| &key.told).collect();
        let told = json!({"keys": all}).to_string().into();
        Ok(Self { files: digest(files), signing, verifying, told })
    }
}

fn read(config: &ServiceAccountConfig) -> Result<Files, KeyError> {
    let others = config.keys.iter().map(|path| keys::read(Path::new(path)));
    Ok((keys::read(&config.signing_key)?, others.collect::<Result<_, _>>()?))
}

fn digest(files: &Files) -> [u8; 32] {
    let all = std::iter::once(&files.0).chain(&files.1);
    all.fold(Sha256::new(), |hash, file| hash.chain_update(Sha256::digest(file))).finalize().into()
}

impl ServiceAccounts {
    /// With what is served; `None` where service accounts are not.
    pub(crate) fn new(config: ServiceAccountConfig, keys: Keys, revoked: Arc<Revoked>, registry: &Registry) -> Option<Self> {
        let entry = |plural: &str| registry.find("", "v1", plural);
        let (accounts, secrets) = (entry("serviceaccounts")?, entry("secrets")?);
        Some(Self { config, keys: ArcSwap::from_pointee(keys), revoked, accounts, secrets, pods: entry("pods"), nodes: entry("nodes") })
    }

    /// Takes over changed files; keeps the keys it has when they are bad.
    pub(super) fn reload(&self) -> Result<(), KeyError> {
        let files = read(&self.config)?;
        if digest(&files) != self.keys.load().files {
            self.keys.store(Arc::new(Keys::of(&self.config, &files)?));
            tracing::info!("the keys of tokens of service accounts were reloaded");
        }
        Ok(())
    }

    /// The keys that verify tokens, as a set of RFC 7517; and the document of OpenID Connect Discovery that leads there, for a
    /// server at `address` (`host:port`), where the issuer is a URL that can have one.
    pub(crate) fn told(&self, address: &str) -> Option<(Bytes, Bytes)> {
        let issuer: http::Uri = self.config.issuer.parse().ok()?;
        if issuer.scheme_str() != Some("https") || issuer.query().is_some() || issuer.host().is_none_or(str::is_empty) {
            return None;
        }
        let keys = self.keys.load();
        let mut algorithms: Vec<&Value> = keys.verifying.iter().map(|key| &key.told["alg"]).collect();
        algorithms.sort_by_key(|name| name.as_str());
        algorithms.dedup();
        let uri = self.config.jwks_uri.clone().unwrap_or_else(|| format!("https://{address}{JWKS}"));
        let leading = json!({
            "issuer": self.config.issuer,
            "jwks_uri": uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        });
        Some((keys.told.clone(), leading.to_string().into()))
    }

    /// Whom tokens are for that say nothing else.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.config.audiences
    }

    /// The longest life of a token, in seconds.
    pub(crate) fn longest(&self) -> Option<i64> {
        self.config.longest.map(|longest| i64::try_from(longest.as_secs()).unwrap_or(i64::MAX))
    }

    /// The objects of a kind that tokens can be bound to, where they are served.
    pub(crate) fn of(&self, kind: Kind) -> Option<&Arc<Entry>> {
        match kind {
            Kind::Secret => Some(&self.secrets),
            Kind::Pod => self.pods.as_ref(),
            Kind::Node => self.nodes.as_ref(),
        }
    }

    /// Makes a token, and says its id (`jti`).
    ///
    /// # Errors
    /// The cryptography library refuses the key.
    pub(crate) fn issue(&self, wanted: &Wanted<'_>) -> Result<(String, String), jsonwebtoken::errors::Error> {
        let reference = |name: &str, uid: &str| Reference { name: name.to_owned(), uid: uid.to_owned() };
        let bound = |kind| wanted.bound.filter(|(of, ..)| *of == kind).map(|(_, name, uid)| reference(name, uid));
        let claims = Claims {
            aud: Audiences::Several(wanted.audiences.to_vec()),
            exp: wanted.now.saturating_add(wanted.seconds),
            iat: wanted.now,
            nbf: wanted.now,
            iss: self.config.issuer.clone(),
            jti: Uuid::new_v4().to_string(),
            sub: user(wanted.namespace, wanted.account.0),
            bound: Bound {
                namespace: wanted.namespace.to_owned(),
                serviceaccount: reference(wanted.account.0, wanted.account.1),
                secret: bound(Kind::Secret),
                pod: bound(Kind::Pod),
                node: bound(Kind::Node),
            },
        };
        let keys = self.keys.load();
        let signing = &keys.signing;
        let header = Header { typ: None, kid: Some(signing.id.clone()), ..Header::new(signing.algorithm) };
        Ok((jsonwebtoken::encode(&header, &claims, &signing.key)?, claims.jti))
    }

    /// Whom a bearer token stands for at `now` (seconds since the epoch), and for which of these audiences; and what it says.
    pub(super) fn by_token(&self, token: &str, audiences: &[String], now: i64) -> Option<(UserInfo, Vec<String>, Claims)> {
        let claims = self.verified(token)?;
        let (user, audiences) = self.holds(&claims, audiences, now)?;
        Some((user, audiences, claims))
    }

    /// Whom a token that was verified stands for at `now` (seconds since the epoch), and for which of these audiences.
    pub(super) fn holds(&self, claims: &Claims, audiences: &[String], now: i64) -> Option<(UserInfo, Vec<String>)> {
        let refused =
            |why: &dyn fmt::Display| tracing::debug!(jti = claims.jti, sub = claims.sub, "token of a service account refused: {why}");
        let audiences = claims.check(&self.config.issuer, audiences, now).inspect_err(|why| refused(why)).ok()?;
        let Bound { namespace, serviceaccount: account, secret, pod, node } = &claims.bound;
        let within = Some(namespace.as_str());
        let bound = [
            (Some(&self.accounts), within, Some(account)),
            (self.of(Kind::Secret), within, secret.as_ref()),
            (self.of(Kind::Pod), within, pod.as_ref()),
            (self.of(Kind::Node), None, node.as_ref().filter(|_| pod.is_none())),
        ];
        if self.revoked.has(&credential::of_token(&claims.jti)) {
            refused(&"it was revoked");
            return None;
        }
        if !bound.into_iter().all(|(entry, namespace, reference)| reference.is_none_or(|r| entry.is_some_and(|e| there(e, namespace, r)))) {
            refused(&"what it is bound to is not there any more");
            return None;
        }
        let groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        Some((UserInfo { name: claims.sub.clone(), uid: account.uid.clone(), groups }, audiences))
    }

    /// What a token says, if one of the keys signed it.
    fn verified(&self, token: &str) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let current = self.keys.load();
        let keys = current.verifying.iter().filter(|key| key.algorithm == header.alg);
        let keys = keys.filter(|key| header.kid.as_ref().is_none_or(|id| *id == key.id));
        keys.into_iter().find_map(|key| {
            // Times and audiences are looked at later, by the one clock there is.
            let mut by = Validation::new(key.algorithm);
            (by.validate_exp, by.validate_nbf, by.validate_aud) = (false, false, false);
            by.required_spec_claims.clear();
            jsonwebtoken::decode::<Claims>(token, &key.key, &by).ok().map(|token| token.claims)
        })
    }
}

/// Whether this very object is there and stays.
fn there(entry: &Entry, namespace: Option<&str>, reference: &Reference) -> bool {
    let found = entry.store().cached(namespace, &reference.name).ok().flatten();
    found.is_some_and(|object| object.head.uid() == reference.uid && !object.head.deleting())
}
