//! The audit log: who did what, when, and what came of it, as `Event`s of `audit.k8s.io/v1`.

mod event;
mod log;
mod policy;
mod sink;

use http::HeaderMap;
use http::request::Parts;

pub use policy::{Level, Policy, Stage, Verdict};
pub use sink::Destination;

use crate::auth::{Attributes, UserInfo};
pub(crate) use event::Record;
pub(crate) use log::Audit;
pub use log::AuditConfig;

/// Header of a request's id; taken from the client where it gives one, and returned.
pub const AUDIT_ID: &str = "audit-id";
/// Longest id that is taken from a client.
const LONGEST_ID: usize = 64;

/// Begins the record of a request of `user`, who sent it, where the policy wants one.
pub(crate) fn begin(
    audit: Option<&Audit>,
    id: &str,
    parts: &Parts,
    wants: &Attributes,
    user: &UserInfo,
    from: Option<std::net::IpAddr>,
) -> Option<Record> {
    let audit = audit?;
    let verdict = audit.policy.verdict(user, wants);
    if verdict.level == Level::None {
        return None;
    }
    let record = Record::new(audit, verdict, id, parts, wants, user, from);
    record.say(Stage::RequestReceived);
    Some(record)
}

/// The id of a request: the client's where it is one, else a new one.
pub(crate) fn id(headers: &HeaderMap) -> String {
    let given = headers.get(AUDIT_ID).and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
    match given {
        Some(given) => given.chars().take(LONGEST_ID).collect(),
        // Not a secret, so the fast source will do.
        None => uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_clients_or_a_new_one() {
        let mut headers = HeaderMap::new();
        let (one, other) = (id(&headers), id(&headers));
        assert!(one != other && one.len() == 36, "{one} {other}");
        headers.insert(AUDIT_ID, "from-a-client".parse().unwrap());
        assert_eq!(id(&headers), "from-a-client");
        headers.insert(AUDIT_ID, "x".repeat(500).parse().unwrap());
        assert_eq!(id(&headers).len(), LONGEST_ID);
    }
}
