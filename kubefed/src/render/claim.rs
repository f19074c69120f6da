//! The claim of etcd's volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};

use crate::render::config::{ControlPlane, Etcd};
use crate::render::object::Object;

/// The claim, when etcd runs beside the API server and is to keep its data.
pub fn claim(plane: &ControlPlane) -> Option<Object> {
    let Etcd::Pod { claim: Some(claim), .. } = &plane.etcd else { return None };
    let resources = VolumeResourceRequirements {
        requests: Some(BTreeMap::from([("storage".to_owned(), claim.capacity.clone())])),
        ..VolumeResourceRequirements::default()
    };
    Some(Object::new(&PersistentVolumeClaim {
        metadata: plane.federation.meta(plane.federation.etcd_claim()),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(resources),
            storage_class_name: claim.class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }))
}
