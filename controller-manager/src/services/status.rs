//! Writing status and annotation of a federated Service.

use federation_api::keys;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::ingress::{Ingress, ServiceIngresses};
use super::members::addresses;

/// What a federated Service should say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    /// `status.loadBalancer.ingress`.
    pub(super) status: Vec<Ingress>,
    /// The annotation; `None` for none.
    pub(super) ingresses: Option<ServiceIngresses>,
}

/// The merge patch that brings a Service there; `None` if it is there.
pub(super) fn patch(service: &Service, wanted: &Wanted) -> Option<Value> {
    let now = service.annotations().get(keys::SERVICE_INGRESSES);
    let annotation = wanted.ingresses.as_ref().map(ServiceIngresses::render);
    let status_now: Vec<Ingress> = addresses(service).into_iter().collect();
    let status = status_now != wanted.status;
    if !status && now == annotation.as_ref() {
        return None;
    }
    let mut patch = json!({});
    if now != annotation.as_ref() {
        patch["metadata"] = json!({"annotations": {(keys::SERVICE_INGRESSES): annotation}});
    }
    if status {
        let ingress = if wanted.status.is_empty() { Value::Null } else { json!(wanted.status) };
        patch["status"] = json!({"loadBalancer": {"ingress": ingress}});
    }
    Some(patch)
}

/// Sends the patch: one request where the API takes annotations along with the status, as Kubernetes does.
pub(super) async fn write(client: Client, service: &Service, patch: Value) -> kube::Result<()> {
    let api: Api<Service> = Api::namespaced(client, &service.namespace().unwrap_or_default());
    let (name, params) = (service.name_any(), PatchParams::default());
    let written = match api.patch_status(&name, &params, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.reason == "NotFound" => return Ok(()),
        other => other?,
    };
    let Some(metadata) = patch.get("metadata") else { return Ok(()) };
    let asked = metadata.pointer("/annotations").and_then(|a| a.get(keys::SERVICE_INGRESSES)).and_then(Value::as_str);
    if written.annotations().get(keys::SERVICE_INGRESSES).map(String::as_str) != asked {
        api.patch(&name, &params, &Patch::Merge(&json!({"metadata": metadata}))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(annotation: Option<&str>, ingress: &Value) -> Service {
        let annotations = annotation.map(|text| json!({(keys::SERVICE_INGRESSES): text}));
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "n", "annotations": annotations},
            "status": {"loadBalancer": {"ingress": ingress}}
        }))
        .unwrap()
    }

    fn wanted(ips: &[&str]) -> Wanted {
        let ingress = |ip: &&str| Ingress { ip: (*ip).to_owned(), hostname: String::new() };
        Wanted { status: ips.iter().map(ingress).collect(), ingresses: Some(ServiceIngresses::default()) }
    }

    #[test]
    fn only_what_differs_is_written() {
        let there = service(Some(r#"{"items":[]}"#), &json!([{"ip": "192.0.2.1"}]));
        assert_eq!(patch(&there, &wanted(&["192.0.2.1"])), None);
        assert_eq!(patch(&there, &wanted(&[])).unwrap(), json!({"status": {"loadBalancer": {"ingress": null}}}));
        assert_eq!(
            patch(&there, &Wanted::default()).unwrap(),
            json!({"metadata": {"annotations": {"federation.kubernetes.io/service-ingresses": null}}, "status": {"loadBalancer": {"ingress": null}}})
        );
        let bare = service(None, &Value::Null);
        assert_eq!(
            patch(&bare, &wanted(&["192.0.2.1"])).unwrap(),
            json!({
                "metadata": {"annotations": {"federation.kubernetes.io/service-ingresses": "{\"items\":[]}"}},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
            })
        );
        assert_eq!(patch(&bare, &Wanted::default()), None);
    }
}
