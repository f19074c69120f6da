//! `/version`: which Kubernetes this server speaks.

use bytes::Bytes;
use serde_json::json;

/// Major version of the Kubernetes API served.
pub const MAJOR: &str = "1";
/// Minor version of the Kubernetes API served.
pub const MINOR: &str = "36";

/// As `git describe` would tell it: the Kubernetes version with ours as build metadata, so that
/// version skew checks of clients compare the former.
pub fn git_version() -> String {
    format!("v{MAJOR}.{MINOR}.0+kubefed-{}", env!("CARGO_PKG_VERSION"))
}

/// The document.
pub fn document() -> Bytes {
    let info = json!({
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": git_version(),
        "gitCommit": option_env!("KUBEFED_GIT_COMMIT").unwrap_or(""),
        "gitTreeState": "",
        "buildDate": option_env!("KUBEFED_BUILD_DATE").unwrap_or("1970-01-01T00:00:00Z"),
        "goVersion": "",
        "compiler": "rustc",
        "platform": platform(),
    });
    Bytes::from(info.to_string())
}

/// Operating system and architecture by Go's names.
fn platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}/{arch}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    #[test]
    fn tells_kubernetes_version_with_ours_behind_a_plus() {
        let info: serde_json::Value = serde_json::from_slice(&super::document()).unwrap();
        assert_eq!((&info["major"], &info["minor"]), (&"1".into(), &"36".into()));
        let git = info["gitVersion"].as_str().unwrap();
        assert!(git.starts_with("v1.36.0+kubefed-0."), "{git}");
        assert!(info["platform"].as_str().unwrap().contains('/'));
    }
}
