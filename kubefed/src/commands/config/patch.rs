//! From flags to changes of an entry: what goes together, and files that are embedded.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use federation_client::config::{ClusterPatch, ExecPatch, Pairs, Pem, UserPatch};

use crate::cli::{SetClusterArgs, SetCredentialsArgs};
use crate::error::Failure;

/// Certificates and keys are smaller.
const MOST_BYTES: u64 = 1 << 20;
const MODES: [&str; 3] = ["IfAvailable", "Never", "Always"];

pub(super) fn cluster(args: &SetClusterArgs) -> Result<ClusterPatch, Failure> {
    if args.name.is_empty() {
        return Err(Failure::new("you must specify a non-empty cluster name").hint("kubefed config set-cluster NAME --server=URL"));
    }
    let authority = args.certificate_authority.as_deref();
    let named = authority.is_some_and(|path| !path.as_os_str().is_empty());
    if args.insecure_skip_tls_verify == Some(true) && named {
        return Err(Failure::new("you cannot specify a certificate authority and insecure mode at the same time")
            .hint("leave --insecure-skip-tls-verify out"));
    }
    let embed = args.embed_certs.unwrap_or_default();
    if embed && !named {
        return Err(
            Failure::new("you must specify a --certificate-authority to embed").hint("name the PEM file, or leave --embed-certs out")
        );
    }
    Ok(ClusterPatch {
        server: args.server.clone(),
        tls_server_name: args.tls_server_name.clone(),
        insecure: args.insecure_skip_tls_verify,
        authority: authority.map(|path| pem("certificate-authority", path, embed)).transpose()?,
        proxy_url: args.proxy_url.clone(),
        disable_compression: args.disable_compression,
    })
}

pub(super) fn user(args: &SetCredentialsArgs) -> Result<UserPatch, Failure> {
    if args.name.is_empty() {
        return Err(Failure::new("you must specify a non-empty user name").hint("kubefed config set-credentials NAME --token=TOKEN"));
    }
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if given(&args.token) && (given(&args.username) || given(&args.password)) {
        let what = "you cannot specify more than one authentication method at the same time: --token, --username/--password";
        return Err(Failure::new(what).hint("give the token, or the user name and the password"));
    }
    let embed = args.embed_certs.unwrap_or_default();
    let named = |path: &Option<std::path::PathBuf>| path.as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    if embed && !named(&args.client_certificate) && !named(&args.client_key) {
        return Err(Failure::new("you must specify a --client-certificate or --client-key to embed")
            .hint("name the PEM files, or leave --embed-certs out"));
    }
    if args.exec_interactive_mode.as_deref().is_some_and(|mode| !MODES.contains(&mode)) {
        return Err(Failure::new("invalid interactive mode type, can be only IfAvailable, Never, Always")
            .hint("Never: it does not ask; IfAvailable: it may ask on a terminal; Always: it needs one"));
    }
    let pem = |flag, path: &Option<std::path::PathBuf>| path.as_deref().map(|path| pem(flag, path, embed)).transpose();
    Ok(UserPatch {
        certificate: pem("client-certificate", &args.client_certificate)?,
        key: pem("client-key", &args.client_key)?,
        token: args.token.clone(),
        username: args.username.clone(),
        password: args.password.clone(),
        provider: args.auth_provider.clone(),
        provider_settings: pairs("auth-provider-arg", &args.auth_provider_arg)?,
        exec: ExecPatch {
            command: args.exec_command.clone(),
            api_version: args.exec_api_version.clone(),
            args: if args.exec_arg == [""] { Vec::new() } else { args.exec_arg.clone() },
            env: (!args.exec_env.is_empty()).then(|| pairs("exec-env", &args.exec_env)).transpose()?,
            interactive_mode: args.exec_interactive_mode.clone(),
            provide_cluster_info: args.exec_provide_cluster_info,
        },
    })
}

/// `KEY=VALUE` sets, `KEY-` takes away.
fn pairs(flag: &str, texts: &[String]) -> Result<Pairs, Failure> {
    let mut pairs = Pairs::default();
    for text in texts {
        match (text.split_once('='), text.strip_suffix('-')) {
            (Some((key, value)), _) if !key.is_empty() => {
                pairs.set.retain(|(set, _)| set != key);
                pairs.set.push((key.to_owned(), value.to_owned()));
            }
            (None, Some(key)) if !key.is_empty() => pairs.remove.push(key.to_owned()),
            // What was given may be secret: it is not shown.
            _ => {
                return Err(Failure::new(format!("--{flag}: a value is neither KEY=VALUE nor KEY-"))
                    .hint(format!("--{flag}=KEY=VALUE sets, --{flag}=KEY- takes away; nothing was changed")));
            }
        }
    }
    Ok(pairs)
}

fn pem(flag: &str, path: &Path, embed: bool) -> Result<Pem, Failure> {
    let wrong = |e: std::io::Error| {
        Failure::new(format!("could not read {flag} file {}: {e}", path.display())).hint("check the path and its permissions")
    };
    if path.as_os_str().is_empty() {
        return Ok(Pem::File(String::new()));
    }
    if !embed {
        let absolute = std::path::absolute(path).map_err(wrong)?;
        return Ok(Pem::File(federation_client::config::clean(&absolute)));
    }
    if fs::metadata(path).map_err(wrong)?.len() > MOST_BYTES {
        return Err(wrong(std::io::ErrorKind::FileTooLarge.into()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(wrong)?;
    Ok(Pem::Data(bytes))
}
