//! Conflicts between managers, as a 409 tells them.

use serde_json::{Value, json};

use super::managers::{Identity, Operation};
use crate::patch::fields::{FieldSet, PathElement, display_path};
use crate::status::ApiError;

/// One field another manager owns.
#[derive(Clone, Debug)]
pub(super) struct Conflict {
    pub(super) with: Identity,
    pub(super) path: Vec<PathElement>,
}

/// The conflicts with one manager.
pub(super) fn conflicts_with(identity: &Identity, fields: &FieldSet) -> Vec<Conflict> {
    fields.paths().into_iter().map(|path| Conflict { with: identity.clone(), path }).collect()
}

impl Identity {
    /// The manager as messages name it: `"kubectl" using apps/v1`.
    fn describe(&self) -> String {
        let mut out = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            out.push_str(&format!(" using {}", self.api_version));
        }
        out
    }
}

/// The 409 with a cause for each conflict.
pub(super) fn error(mut conflicts: Vec<Conflict>) -> ApiError {
    conflicts.sort_by(|a, b| (&a.with.manager, &a.with).cmp(&(&b.with.manager, &b.with)));
    let message = match conflicts.as_slice() {
        [one] => format!("Apply failed with 1 conflict: conflict with {}: {}", one.with.describe(), display_path(&one.path)),
        all => {
            let mut lines = Vec::new();
            let mut last = None;
            for conflict in all {
                if last != Some(&conflict.with) {
                    lines.push(format!("conflicts with {}:", conflict.with.describe()));
                    last = Some(&conflict.with);
                }
                lines.push(format!("- {}", display_path(&conflict.path)));
            }
            format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
        }
    };
    let cause = |c: &Conflict| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {}", c.with.describe()), "field": display_path(&c.path)});
    let causes: Vec<Value> = conflicts.iter().map(cause).collect();
    ApiError { details: json!({"causes": causes}), ..ApiError::new(409, "Conflict", message) }
}
