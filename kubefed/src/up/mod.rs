//! `kubefed up`: a whole federation in one process, for a first look: the API server over the embedded
//! store, the controller manager with the embedded DNS server, a host and three hollow members.

mod questions;
pub(crate) mod realm;
mod story;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::commands::Session;
use crate::error::Failure;
use realm::Realm;

/// Run a federation with hollow members in this process, to try things out.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    # Keep a federation running; use another terminal with the printed KUBECONFIG\n  \
    kubefed up\n\n  \
    # Watch what a federation does, in less than a minute\n  \
    kubefed up --story")]
pub struct UpArgs {
    /// Tell the story: join, place, resolve, cut off, mend, leave; then end
    #[arg(long)]
    pub story: bool,
    /// After the story, keep running
    #[arg(long, requires = "story")]
    pub keep: bool,
    /// Keep objects and the kubeconfig in this directory; a temporary one otherwise
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// What could not be started, or the step of the story that did not come true.
pub async fn run(session: &Session, args: &UpArgs) -> Result<(), Failure> {
    let start = Instant::now();
    let temporary;
    let dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => {
            temporary =
                tempfile::tempdir().map_err(|e| Failure::new(format!("no temporary directory: {e}")).hint("give one with --data-dir"))?;
            temporary.path().to_owned()
        }
    };
    session.printer.begin("Starting a federation, its host and three hollow members");
    let realm = Realm::start(&dir).await.map_err(failed)?;
    session.printer.end("done");
    if args.story {
        let told = story::tell(&realm, &session.printer, start).await;
        if let Err(error) = told {
            session.printer.data(&format!("FAILED: {error:#}"));
            return Err(failed(error));
        }
    } else {
        for member in realm::MEMBERS {
            session.printer.begin(&format!("Joining {}, region {}, zone {}", member.name, member.region, member.zone));
            realm.join(member.name).await.map_err(failed)?;
            session.printer.end("done");
        }
    }
    if args.keep || !args.story {
        session.printer.note(&format!("names are answered at {}: dig -p {} @127.0.0.1 …", realm.dns, realm.dns.port()));
        session.printer.note("contexts: fellowship (the federation), rivendell (its host), gondor, dol-amroth, rohan; Ctrl-C ends it all");
        session.printer.data(&format!("export KUBECONFIG={}", realm.kubeconfig.display()));
        let _ = tokio::signal::ctrl_c().await;
    }
    realm.stop().await;
    Ok(())
}

fn failed(error: anyhow::Error) -> Failure {
    federation_controller_manager::failure(error)
}
