//! Kinds that are served in several versions: how an object of one becomes an object of another. Objects are stored in
//! one version of their kind; the others are made from it and back.
//!
//! ```
//! use machinery::conversion;
//! use machinery::schema::Gvk;
//! use serde_json::json;
//!
//! let v1 = Gvk::new("autoscaling", "v1", "HorizontalPodAutoscaler");
//! let mut web = json!({"apiVersion": "autoscaling/v1", "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 50}});
//! conversion::to_stored(&v1, &mut web);
//! assert_eq!(web["apiVersion"], "autoscaling/v2");
//! assert_eq!(web["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
//! ```

mod autoscaling;
mod carried;
mod way;

use serde_json::Value;

use self::way::Conversion;
use crate::schema::Gvk;

fn conversion(gvk: &Gvk) -> Option<&'static Conversion> {
    match (gvk.group.as_str(), gvk.version.as_str(), gvk.kind.as_str()) {
        ("autoscaling", "v1", "HorizontalPodAutoscaler") => Some(&autoscaling::V1),
        _ => None,
    }
}

/// The kind as it is stored; `None` where that is the very version.
pub fn stored_as(gvk: &Gvk) -> Option<Gvk> {
    conversion(gvk).map(|way| Gvk { version: way.stored.to_owned(), ..gvk.clone() })
}

/// Makes an object of `gvk`, conformed to its type, one of the version that is stored.
pub fn to_stored(gvk: &Gvk, object: &mut Value) {
    if let Some(way) = conversion(gvk) {
        (way.to_stored)(object);
        name_version(object, &gvk.group, way.stored);
    }
}

/// Makes an object of the version that is stored one of `gvk`.
pub fn from_stored(gvk: &Gvk, object: &mut Value) {
    if let Some(way) = conversion(gvk) {
        (way.from_stored)(object);
        name_version(object, &gvk.group, &gvk.version);
    }
}

/// Makes an object of one version of a kind one of another.
pub(crate) fn convert(from: &Gvk, to: &Gvk, object: &mut Value) {
    to_stored(from, object);
    from_stored(to, object);
    name_version(object, &to.group, &to.version);
}

/// Takes away the annotations that carry fields between the versions of a kind: what is stored has the fields.
pub fn drop_carried(gvk: &Gvk, object: &mut Value) {
    if let (("autoscaling", "HorizontalPodAutoscaler"), Some(root)) = ((&*gvk.group, &*gvk.kind), object.as_object_mut()) {
        autoscaling::drop_annotations(root);
    }
}

fn name_version(object: &mut Value, group: &str, version: &str) {
    if let Some(said) = object.get_mut("apiVersion") {
        *said = Gvk::new(group, version, "").api_version().into();
    }
}
