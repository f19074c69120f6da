//! `init`: etcd servers that run elsewhere, and the files for TLS towards them.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cli::EtcdArgs;
use crate::error::Failure;
use crate::render::config::{Mounted, Storage};

const CA_FLAG: &str = "--etcd-cafile";
const CERT_FLAG: &str = "--etcd-certfile";
const KEY_FLAG: &str = "--etcd-keyfile";

/// The servers `--etcd-servers` names; none where etcd runs beside the API server.
///
/// # Errors
/// What is no URL, flags that do not go together, files that are not what they should be.
pub(super) fn external(args: &EtcdArgs) -> Result<Option<Storage>, Failure> {
    let given = [
        (CA_FLAG, args.etcd_cafile.as_deref(), "etcd-ca.crt"),
        (CERT_FLAG, args.etcd_certfile.as_deref(), "etcd-client.crt"),
        (KEY_FLAG, args.etcd_keyfile.as_deref(), "etcd-client.key"),
    ];
    let first = given.iter().find(|(_, path, _)| path.is_some()).map(|(flag, ..)| *flag);
    if args.etcd_servers.is_empty() {
        return match first {
            None => Ok(None),
            Some(flag) => Err(Failure::usage(format!("{flag} is given without --etcd-servers"))
                .hint("the etcd beside the API server is reached inside its pod only and has no certificates")),
        };
    }
    let mut secure = 0;
    let servers: Vec<&str> = args.etcd_servers.split(',').collect();
    for server in &servers {
        match server.split_once("://") {
            Some(("https", rest)) if !rest.is_empty() => secure += 1,
            Some(("http", rest)) if !rest.is_empty() => {}
            _ => {
                return Err(Failure::usage(format!("invalid --etcd-servers: \"{server}\" is not a URL"))
                    .hint("for example --etcd-servers=https://10.0.0.1:2379,https://10.0.0.2:2379"));
            }
        }
    }
    match (secure, first) {
        (0, Some(flag)) => {
            return Err(Failure::usage(format!("{flag} is given, but --etcd-servers are http")).hint("write https:// URLs"));
        }
        (n, _) if n != 0 && n != servers.len() => {
            return Err(Failure::usage("--etcd-servers mixes http and https").hint("use one scheme for all servers"));
        }
        (n, _) if n != 0 && args.etcd_cafile.is_none() => {
            return Err(Failure::usage("--etcd-servers with https needs --etcd-cafile")
                .hint("name the PEM file of the authority that signed the servers' certificates"));
        }
        _ => {}
    }
    if args.etcd_certfile.is_some() != args.etcd_keyfile.is_some() {
        return Err(Failure::usage("--etcd-certfile and --etcd-keyfile go together").hint("give both or neither"));
    }
    let mut files = Vec::new();
    for (flag, path, name) in given {
        if let Some(path) = path {
            files.push((flag, Mounted { name, content: pem(flag, path)? }));
        }
    }
    Ok(Some(Storage::External { servers: args.etcd_servers.clone(), files }))
}

/// A PEM file with a private key for [`KEY_FLAG`], with certificates for the others.
fn pem(flag: &str, path: &Path) -> Result<String, Failure> {
    let content = std::fs::read_to_string(path)
        .map_err(|e| Failure::usage(format!("{flag}: cannot read {}: {e}", path.display())).hint("name a readable PEM file"))?;
    let (what, fits) = if flag == KEY_FLAG {
        ("private key", PrivateKeyDer::from_pem_slice(content.as_bytes()).is_ok())
    } else {
        ("certificate", CertificateDer::from_pem_slice(content.as_bytes()).is_ok())
    };
    if fits { Ok(content) } else { Err(Failure::usage(format!("{flag}: no {what} in {}", path.display())).hint("it must be a PEM file")) }
}
