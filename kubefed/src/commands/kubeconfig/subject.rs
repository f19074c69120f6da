//! Names of users and groups that go into a certificate.

use crate::error::Failure;

/// Longest name of a user or group that goes into a certificate (RFC 5280, ub-common-name and ub-organization-name).
pub(super) const LONGEST_NAME: usize = 64;
/// Kubernetes' own names begin with this.
pub(super) const SYSTEM: &str = "system:";
/// Who is in this group may do everything, and no certificate of the API server gives it.
pub(super) const MASTERS: &str = "system:masters";

/// Whether a certificate may be made for a name.
///
/// # Errors
/// It may not, or cannot.
pub(super) fn check(what: &str, name: &str, allow_system: bool) -> Result<(), Failure> {
    let bad = |why: String, hint: &str| Err(Failure::usage(format!("{what}: {why}")).hint(hint));
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) || name.trim() != name {
        return bad(
            format!("{name:?} cannot stand in a certificate"),
            "names have 1 to 64 characters, none of them a control character, and no blanks at their ends",
        );
    }
    if name == MASTERS {
        return bad(
            format!("no certificate is issued for {MASTERS}"),
            "such a certificate could do everything for as long as it lasts: use a group of your own, bound to the ClusterRole cluster-admin",
        );
    }
    if name.starts_with(SYSTEM) && !allow_system {
        return bad(
            format!("{name:?} begins with {SYSTEM}, as Kubernetes' own names do"),
            "use another name, or --allow-system if that is meant",
        );
    }
    Ok(())
}
