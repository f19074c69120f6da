//! Kubernetes API machinery as pure functions over bytes and JSON. Nothing here does IO.
//!
//! ```
//! use machinery::patch::merge;
//! use machinery::selector::LabelSelector;
//! use serde_json::json;
//!
//! let mut web = json!({"metadata": {"name": "web", "labels": {"realm": "gondor"}}, "spec": {"replicas": 2}});
//! merge::apply(&mut web, &json!({"metadata": {"labels": {"realm": null, "city": "minas-tirith"}}}));
//! assert_eq!(web["metadata"]["labels"], json!({"city": "minas-tirith"}));
//!
//! let selector = LabelSelector::parse("city in (minas-tirith, osgiliath), !realm")?;
//! assert!(selector.matches(|key| web["metadata"]["labels"][key].as_str()));
//! # Ok::<(), machinery::selector::SelectorError>(())
//! ```

pub mod clip;
pub mod codec;
pub mod conversion;
pub mod depth;
pub mod discovery;
pub mod openapi;
pub mod patch;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod yaml;
