//! `kubefed version`.

use serde_json::{Value, json};

use super::Session;
use crate::cli::VersionArgs;
use crate::connection::Connection;
use crate::error::Failure;

/// Prints both versions.
///
/// # Errors
/// That the server cannot be asked; kubefed's own version was printed then.
pub(super) async fn run(session: &Session, args: &VersionArgs) -> Result<(), Failure> {
    let client = json!({
        "gitVersion": format!("v{}", env!("CARGO_PKG_VERSION")),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    });
    let server = if args.client { None } else { Some(server(session).await) };
    let printer = &session.printer;
    match args.output {
        None => {
            printer.data(&format!("Client Version: {}", line(&client, args.short)));
            if let Some(Ok(server)) = &server {
                printer.data(&format!("Server Version: {}", line(server, args.short)));
            }
        }
        Some(format) => {
            let mut all = json!({"clientVersion": client});
            if let Some(Ok(server)) = &server {
                all["serverVersion"] = server.clone();
            }
            printer.value(&all, format)?;
        }
    }
    server.transpose().map(|_| ())
}

fn line(version: &Value, short: bool) -> String {
    let text = |key: &str| version[key].as_str().unwrap_or("unknown").to_owned();
    if short { text("gitVersion") } else { format!("{} ({})", text("gitVersion"), text("platform")) }
}

/// The version of the server of `--context` or of the current context.
async fn server(session: &Session) -> Result<Value, Failure> {
    let kubeconfig = session.files().load()?;
    let target = session.federation_target(session.global.context.as_deref())?;
    let connection = Connection::open(&kubeconfig, &target).await?;
    let info = connection.client.apiserver_version().await.map_err(|e| connection.failed("asking for the server's version", &e))?;
    serde_json::to_value(info).map_err(|e| Failure::new(e.to_string()))
}
