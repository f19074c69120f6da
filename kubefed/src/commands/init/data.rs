//! `init`: that a federation which is there keeps its data.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::connection::Connection;
use crate::error::Failure;
use crate::render::config::{Claim, ControlPlane};
use crate::render::object::Object;

/// Refuses what would start the API server on an empty store beside the one it has, and a claim that is not there.
///
/// # Errors
/// Where the data is and where the flags put it; anything the host says.
pub(super) async fn stays(host: &Connection, plane: &ControlPlane, wanted: &Object) -> Result<(), Failure> {
    let federation = &plane.federation;
    if let Some(Claim::Existing(name)) = plane.storage.claim()
        && host.get_typed::<PersistentVolumeClaim>(&federation.namespace, name).await?.is_none()
    {
        return Err(Failure::new(format!("there is no claim {}/{name} in context {}", federation.namespace, host.context))
            .hint("make the claim there first, or leave --etcd-pvc out: init makes one"));
    }
    let Some(there) = host.get_typed::<Deployment>(&federation.namespace, &federation.apiserver()).await? else { return Ok(()) };
    let Ok(wanted) = serde_json::from_value::<Deployment>(wanted.value().clone()) else { return Ok(()) };
    match (place(&there), place(&wanted)) {
        (Some(before), Some(now)) if before != now => Err(Failure::new(format!(
            "the data of federation \"{}\" is in {before}, and these flags have it in {now}, where there is none of it",
            federation.name
        ))
        .hint(format!(
            "repeat the flags it was made with; to begin without the data, delete its Deployment first: kubectl --context={} -n {} delete \
             deployment {}",
            host.context,
            federation.namespace,
            federation.apiserver()
        ))),
        _ => Ok(()),
    }
}

/// Where an API server has its data, by its Deployment.
fn place(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let claim = pod.volumes.iter().flatten().find_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()));
    let on = claim.map_or_else(|| "the pod's own space".to_owned(), |name| format!("claim {name}"));
    let beside = pod.containers.iter().any(|container| container.name == "etcd");
    let flags = pod.containers.iter().flat_map(|container| container.command.iter().flatten());
    let elsewhere = flags.into_iter().any(|flag| flag.starts_with("--etcd-servers="));
    Some(match (beside, elsewhere) {
        (true, _) => format!("an etcd beside the API server, on {on}"),
        (false, true) => "an etcd elsewhere".to_owned(),
        (false, false) => format!("a store of the API server's own, on {on}"),
    })
}
