//! The claim of the volume the data lies on.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};

use crate::render::config::{Claim, ControlPlane};
use crate::render::object::Object;

/// The claim, where the data lies in the API server's pod, is to be kept, and has none yet.
pub fn claim(plane: &ControlPlane) -> Option<Object> {
    let Some(Claim::Made { capacity, class }) = plane.storage.claim() else { return None };
    let resources = VolumeResourceRequirements {
        requests: Some(BTreeMap::from([("storage".to_owned(), capacity.clone())])),
        ..VolumeResourceRequirements::default()
    };
    Some(Object::new(&PersistentVolumeClaim {
        metadata: plane.federation.meta(plane.federation.etcd_claim()),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(resources),
            storage_class_name: class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }))
}
