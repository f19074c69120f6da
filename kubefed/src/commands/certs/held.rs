//! What of a federation ends one day, and what can be done about it. No IO.

use std::time::Duration;

use federation_api::keys::{CLUSTER_NAME, DEFAULT_SYSTEM_NAMESPACE, SECRET_CA, SECRET_TOKEN, SECRET_TOKEN_TERMS};
use federation_api::member_token::TokenTerms;
use federation_client::{Kubeconfig, Source, User};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::expiry::{self, Period};
use crate::render::credentials::{CA_CERT, KUBECONFIG, SERVER_CERT};
use crate::render::names::Federation;

/// Something that ends.
#[derive(Debug, PartialEq)]
pub(super) struct Held {
    /// What it is, as `kubefed certs renew` calls it.
    pub(super) name: String,
    /// Where it is kept.
    pub(super) place: String,
    pub(super) term: Term,
    /// It ends soon only when less than this is left, whatever is asked: it is renewed by itself before.
    pub(super) renewed: Option<Duration>,
    /// What makes it new.
    pub(super) mend: Mend,
}

/// From when to when something is good.
#[derive(Debug, PartialEq)]
pub(super) enum Term {
    Between(Timestamp, Timestamp),
    /// It has no end.
    Endless,
    /// Nobody can say, and nobody can use it.
    Unreadable(String),
}

#[derive(Debug, PartialEq)]
pub(super) enum Mend {
    /// `kubefed certs renew`.
    Renew,
    /// `kubefed init` with its flags.
    Init,
    /// `kubefed init` with new files.
    Etcd,
    /// `kubefed join` of the cluster.
    Join(String),
    /// `kubefed join --rotate` of the cluster.
    Rotate(String),
    /// It is what everything else hangs on.
    Authority,
}

/// How it stands with something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Good,
    /// It ends soon.
    Soon,
    /// Its time has not come; or a clock is wrong.
    Early,
    Expired,
    Unreadable,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Soon => "ends soon",
            Self::Early => "not valid yet",
            Self::Expired => "EXPIRED",
            Self::Unreadable => "UNREADABLE",
        }
    }
}

impl Held {
    /// How it stands at a time; what ends `within` so long ends soon.
    pub(super) fn state(&self, now: Timestamp, within: Duration) -> State {
        match &self.term {
            Term::Endless => State::Good,
            Term::Unreadable(_) => State::Unreadable,
            Term::Between(_, end) if *end <= now => State::Expired,
            Term::Between(begin, _) if *begin > now => State::Early,
            Term::Between(_, end) => {
                let within = self.renewed.map_or(within, |renewed| renewed.min(within));
                let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
                if end.duration_since(now) < within { State::Soon } else { State::Good }
            }
        }
    }

    /// When it ends, where it does.
    pub(super) fn end(&self) -> Option<Timestamp> {
        match self.term {
            Term::Between(_, end) => Some(end),
            Term::Endless | Term::Unreadable(_) => None,
        }
    }

    /// What makes it new.
    pub(super) fn mend(&self, federation: &Federation, host: &str) -> String {
        let Federation { name: federation, namespace } = federation;
        let mut at = format!("--host-cluster-context={host}");
        if namespace != DEFAULT_SYSTEM_NAMESPACE {
            at = format!("{at} --federation-system-namespace={namespace}");
        }
        match &self.mend {
            Mend::Renew => format!("kubefed certs renew {federation} {at}"),
            Mend::Init => format!("kubefed init {federation} {at} again, with its other flags"),
            Mend::Etcd => format!("kubefed init {federation} {at} again, with the new files for etcd"),
            Mend::Join(cluster) => format!("kubefed join {cluster} {at} --context={federation}"),
            Mend::Rotate(cluster) => format!("kubefed join {cluster} {at} --context={federation} --rotate"),
            Mend::Authority => {
                format!(
                    "while it is good nothing; after that, delete its secret and run kubefed init {federation} and join each cluster again"
                )
            }
        }
    }

    /// Whether it is a member's token that has no end and could have one.
    pub(super) fn is_endless_token(&self) -> bool {
        self.term == Term::Endless && matches!(self.mend, Mend::Rotate(_))
    }

    /// Why it cannot be used, where it cannot.
    pub(super) fn reason(&self) -> Option<&str> {
        match &self.term {
            Term::Unreadable(why) => Some(why),
            Term::Between(..) | Term::Endless => None,
        }
    }

    /// It for programs.
    pub(super) fn value(&self, now: Timestamp, within: Duration, federation: &Federation, host: &str) -> Value {
        let state = self.state(now, within);
        json!({
            "name": self.name,
            "place": self.place,
            "notAfter": self.end().map(|end| end.to_string()),
            "secondsLeft": self.end().map(|end| end.duration_since(now).as_secs()),
            "state": state.word(),
            "reason": self.reason(),
            "mend": (state != State::Good).then(|| self.mend(federation, host)),
        })
    }
}

/// How long something is good for, as a person reads it: days, or hours of the last two.
pub(super) fn left(end: Timestamp, now: Timestamp) -> String {
    match end.duration_since(now).as_hours() {
        hours if hours >= 48 => format!("{}d", hours / 24),
        hours if hours >= 0 => format!("{hours}h"),
        _ => "-".to_owned(),
    }
}

/// What ends in the secrets of a control plane.
pub(super) fn in_host(federation: &Federation, secrets: &[Secret]) -> Vec<Held> {
    let mut all = Vec::new();
    for secret in secrets {
        let place = format!("secret {}/{}", federation.namespace, secret.name_any());
        let bytes = |key: &str| secret.data.as_ref()?.get(key).map(|value| value.0.as_slice()).filter(|value| !value.is_empty());
        let mut add =
            |name: &str, term: Term, mend: Mend| all.push(Held { name: name.to_owned(), place: place.clone(), term, renewed: None, mend });
        let name = secret.name_any();
        if name == federation.ca() {
            add("authority", bytes(CA_CERT).map_or_else(|| missing(CA_CERT), certificates), Mend::Authority);
        } else if name == federation.apiserver_credentials() {
            add("apiserver", bytes(SERVER_CERT).map_or_else(|| missing(SERVER_CERT), certificates), Mend::Renew);
            for (key, what) in [("etcd-ca.crt", "etcd's authority"), ("etcd-client.crt", "etcd client")] {
                if let Some(pem) = bytes(key) {
                    add(what, if key == "etcd-ca.crt" { authorities(pem) } else { certificates(pem) }, Mend::Etcd);
                }
            }
        } else if name == federation.controller_manager_kubeconfig() {
            add("controller-manager", bytes(KUBECONFIG).map_or_else(|| missing(KUBECONFIG), kubeconfig), Mend::Renew);
        } else if let Some(cluster) = secret.annotations().get(CLUSTER_NAME) {
            let mend = || Mend::Join(cluster.clone());
            if let Some(pem) = bytes(SECRET_CA) {
                add(&format!("{cluster}'s authority"), authorities(pem), mend());
            }
            let credentials = match (bytes(KUBECONFIG), bytes(SECRET_TOKEN)) {
                (Some(text), _) => kubeconfig(text),
                (None, Some(token)) => token_term(&String::from_utf8_lossy(token)),
                (None, None) => missing(SECRET_TOKEN),
            };
            let terms = bytes(SECRET_TOKEN_TERMS).filter(|_| bytes(KUBECONFIG).is_none()).and_then(TokenTerms::parse);
            // It is renewed when half of its life is left, so that something is wrong by then.
            let third = terms.as_ref().map(|terms| Duration::from_secs(terms.life().unsigned_abs() / 3));
            let mend = if bytes(KUBECONFIG).is_some() { mend() } else { Mend::Rotate(cluster.clone()) };
            all.push(Held { name: format!("{cluster}'s credentials"), place, term: credentials, renewed: third, mend });
        }
    }
    for (what, name) in
        [("apiserver", federation.apiserver_credentials()), ("controller-manager", federation.controller_manager_kubeconfig())]
    {
        if !secrets.iter().any(|secret| secret.name_any() == name) {
            let term = Term::Unreadable("the secret is missing".to_owned());
            let place = format!("secret {}/{name}", federation.namespace);
            all.push(Held { name: what.to_owned(), place, term, renewed: None, mend: Mend::Init });
        }
    }
    all
}

/// What ends of the administrator's entry in the local kubeconfig; nothing where it has no certificate.
pub(super) fn administrator(name: &str, user: &User) -> Option<Held> {
    let place = user.origin.as_deref().map_or_else(|| "the kubeconfig".to_owned(), |file| file.display().to_string());
    let term = (!user.client_certificate_data.is_empty()).then(|| certificates(&user.client_certificate_data))?;
    Some(Held { name: "administrator".to_owned(), place: format!("user {name} of {place}"), term, renewed: None, mend: Mend::Renew })
}

fn missing(key: &str) -> Term {
    Term::Unreadable(format!("{key} is missing"))
}

/// The term of certificates that are only good together.
pub(super) fn certificates(pem: &[u8]) -> Term {
    terms(pem, |one, other| Period { begin: one.begin.max(other.begin), end: one.end.min(other.end) })
}

/// The term of authorities, of which any one is enough.
fn authorities(pem: &[u8]) -> Term {
    terms(pem, |one, other| Period { begin: one.begin.min(other.begin), end: one.end.max(other.end) })
}

fn terms(pem: &[u8], together: impl Fn(Period, Period) -> Period) -> Term {
    match expiry::certificates(pem) {
        Ok(periods) => periods.into_iter().reduce(together).map_or(Term::Endless, term),
        Err(why) => Term::Unreadable(why.to_string()),
    }
}

fn term(Period { begin, end }: Period) -> Term {
    if end == Timestamp::MAX { Term::Endless } else { Term::Between(begin, end) }
}

fn kubeconfig(text: &[u8]) -> Term {
    match Kubeconfig::read(text, Source::Secret("of credentials")) {
        Ok(config) => match config.users.values().next() {
            Some(user) if !user.client_certificate_data.is_empty() => certificates(&user.client_certificate_data),
            Some(user) if !user.token.is_empty() => token_term(&user.token),
            Some(_) => Term::Endless,
            None => Term::Unreadable("the kubeconfig has no user".to_owned()),
        },
        Err(e) => Term::Unreadable(e.to_string()),
    }
}

/// The term of a bearer token; of one that says none there is no end.
fn token_term(token: &str) -> Term {
    expiry::token(token).map_or(Term::Endless, term)
}
