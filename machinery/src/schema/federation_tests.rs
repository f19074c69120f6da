//! Our own kinds are written twice, as Rust types and as a table: what one knows the other must not drop.
//! Values are written out in full, so that a new field does not compile without being looked at here.

use federation_api::{
    cluster::{ClusterCondition, ClusterSpec, ClusterStatus, SecretRef, ServerAddressByClientCidr},
    credential::{CredentialSpec, CredentialStatus, LastUse, Revocation, Type},
    keys,
    record::{ClusterRecord, ObjectRef, PropagationRecordSpec, State},
};
use serde_json::{Value, json};

use crate::schema::{Conformed, Types, conform};

/// What a kind's schema leaves of an object must be all of it.
fn survives(kind: &str, object: &Value) {
    let types = Types::builtin();
    let mut kept = object.clone();
    let found = conform(types, types.kind(keys::GROUP, keys::VERSION, kind).unwrap(), &mut kept);
    assert_eq!((&kept, found), (object, Conformed::default()));
}

#[test]
fn every_field_of_a_record_survives_the_schema() {
    let cluster = ClusterRecord {
        desired: "d".into(),
        applied: "a".into(),
        resource_version: "7".into(),
        owned: "o".into(),
        generation: 2,
        state: State::Conflict,
        reason: "r".into(),
        explicit: true,
        finished: Some(
            json!({"succeeded": 1, "completionTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Complete", "status": "True"}]}),
        ),
    };
    let object = ObjectRef {
        group: "apps".into(),
        version: "v1".into(),
        resource: "deployments".into(),
        namespace: "demo".into(),
        name: "web".into(),
    };
    let spec =
        PropagationRecordSpec { object, clusters: [("gondor".to_owned(), cluster)].into(), deleted: Some("2026-01-01T00:00:00Z".into()) };
    survives("PropagationRecord", &json!({"spec": spec}));
}

#[test]
fn every_field_of_a_credential_survives_the_schema() {
    let time = || Some("2026-01-01T00:00:00Z".to_owned());
    let spec = CredentialSpec {
        type_: Type::Token,
        user: "frodo".into(),
        groups: vec!["hobbits".into()],
        fingerprint: "ab".into(),
        issued_by: "gandalf".into(),
        not_before: time(),
        not_after: time(),
    };
    let status = CredentialStatus {
        revoked: Some(Revocation { time: time(), reason: "lost".into() }),
        last_used: Some(LastUse { time: time(), address: "192.0.2.1".into() }),
    };
    survives("Credential", &json!({"spec": spec, "status": status}));
}

#[test]
fn every_field_of_a_cluster_survives_the_schema() {
    let time = Some("2026-01-01T00:00:00Z".to_owned());
    let address = ServerAddressByClientCidr { client_cidr: "0.0.0.0/0".into(), server_address: "https://gondor".into() };
    let spec = ClusterSpec { server_address_by_client_cidrs: vec![address], secret_ref: Some(SecretRef { name: "gondor".into() }) };
    let condition = ClusterCondition {
        type_: "Ready".into(),
        status: "True".into(),
        last_probe_time: time.clone(),
        last_transition_time: time,
        reason: "r".into(),
        message: "m".into(),
    };
    let status = ClusterStatus { conditions: vec![condition], zones: vec!["a".into()], region: "r".into() };
    survives("Cluster", &json!({"spec": spec, "status": status}));
}
