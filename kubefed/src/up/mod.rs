//! `kubefed up`: a whole federation in one process, for a first look: the API server over the embedded
//! store, the controller manager with the embedded DNS server, a host and three hollow members.

mod questions;
pub(crate) mod realm;
mod story;

use std::future::pending;
use std::time::Instant;

use daemon::signals::Signals;

use crate::cli::UpArgs;
use crate::commands::{Run, Session};
use crate::error::Failure;
use realm::Realm;

/// Runs the command; `commands` carries out what its members are joined with.
///
/// # Errors
/// What could not be started, the step of the story that did not come true, or the part that died.
pub async fn run(session: &Session, args: &UpArgs, commands: Run) -> Result<(), Failure> {
    let start = Instant::now();
    let mut signals = Signals::listen()?;
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
    let realm = tokio::select! {
        realm = Realm::start(&dir, commands) => realm.map_err(failed)?,
        () = signals.received() => return early(args),
    };
    session.printer.end("done");
    let ended = attend(session, args, &realm, &mut signals, start).await;
    realm.stop().await;
    ended
}

/// Does what was asked for with what runs, and goes on until a signal where that was asked for.
async fn attend(session: &Session, args: &UpArgs, realm: &Realm, signals: &mut Signals, start: Instant) -> Result<(), Failure> {
    if whole(realm, signals.received(), begin(session, args, realm, start)).await?.is_none() {
        return early(args);
    }
    if args.keep || !args.story {
        session.printer.note(&format!("names are answered at {}: dig -p {} @127.0.0.1 …", realm.dns, realm.dns.port()));
        session.printer.note("contexts: fellowship (the federation), rivendell (its host), gondor, dol-amroth, rohan; Ctrl-C ends it all");
        session.printer.data(&format!("export KUBECONFIG={}", realm.kubeconfig.display()));
        whole(realm, signals.received(), pending::<Result<(), Failure>>()).await?;
    }
    Ok(())
}

/// Tells the story, or lets all members join.
async fn begin(session: &Session, args: &UpArgs, realm: &Realm, start: Instant) -> Result<(), Failure> {
    if args.story {
        let told = story::tell(realm, &session.printer, start).await;
        return told.map_err(|error| {
            session.printer.data(&format!("FAILED: {error:#}"));
            failed(error)
        });
    }
    for member in realm::MEMBERS {
        session.printer.begin(&format!("Joining {}, region {}, zone {}", member.name, member.region, member.zone));
        realm.join(member.name).await.map_err(failed)?;
        session.printer.end("done");
    }
    Ok(())
}

/// Works until it is done or `end`, which gives nothing, and only as long as every part lives.
async fn whole<T>(
    realm: &Realm,
    end: impl Future<Output = ()>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<Option<T>, Failure> {
    tokio::select! {
        // What fails because a part died is not the news.
        biased;
        death = realm.death() => Err(death.into()),
        () = end => Ok(None),
        done = work => done.map(Some),
    }
}

/// The end came before the work was done: that is only what was wanted where there was no story to tell.
fn early(args: &UpArgs) -> Result<(), Failure> {
    if args.story { Err(Failure::new("the story was broken off by a signal").hint("run it again to hear all of it")) } else { Ok(()) }
}

fn failed(error: anyhow::Error) -> Failure {
    error.downcast().unwrap_or_else(|error| Failure::new(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use program::failure::EXIT_DEFECT;

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn issue7_the_death_of_each_part_ends_it() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        for part in ["controller-manager", "api-server", "simulator"] {
            let dir = tempfile::tempdir().unwrap();
            let realm = Realm::start(dir.path(), crate::commands::boxed).await.unwrap();
            realm.fault(part);
            let ended = whole(&realm, pending(), pending::<Result<(), Failure>>());
            let failure = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it is seen").unwrap_err();
            assert_eq!(failure.code, EXIT_DEFECT, "{failure}");
            assert_eq!(failure.message, format!("task {part} panicked: a test asked for it; this is a defect"));
            realm.stop().await;
        }
    }
}
