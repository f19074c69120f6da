//! Each way a task can end, with a paused clock.

use std::future::{pending, ready};
use std::sync::atomic::{AtomicU32, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

const SOON: Duration = Duration::from_millis(1);

async fn dies(why: &str) {
    panic!("no {why}")
}

/// Lets tasks run that need no time.
async fn settle() {
    tokio::time::sleep(SOON).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_told_by_name_and_message() {
    let supervisor = Supervisor::default();
    supervisor.spawn("idle", pending::<()>());
    assert_eq!(supervisor.live(), Ok(()));
    supervisor.spawn("feed", dies("lembas left"));
    let death = supervisor.death().await;
    assert_eq!((death.task, death.why.as_str()), ("feed", "panicked: no lembas left"));
    assert_eq!(supervisor.live().unwrap_err().to_string(), "task feed panicked: no lembas left");
    assert_eq!(supervisor.names(), ["feed", "idle"]);
    let failure = Failure::from(death);
    assert_eq!((failure.code, failure.message.as_str()), (EXIT_DEFECT, "task feed panicked: no lembas left; this is a defect"));
}

#[test]
fn a_panic_of_one_of_many_ends_only_it_and_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcome = metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async { (guarded("request", dies("answer")).await, guarded("request", ready(7)).await) })
    });
    assert_eq!(outcome, (None, Some(7)));
    assert!(recorder.handle().render().contains("federation_panics_total{task=\"request\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn coming_back_is_a_death_unless_it_is_said_to_be_done() {
    let supervisor = Supervisor::default();
    supervisor.spawn("once", ready(Done));
    supervisor.spawn("once too", ready(Ok::<_, String>(Done)));
    settle().await;
    assert!(supervisor.dead().is_empty() && supervisor.death().now_or_never().is_none());
    supervisor.spawn("ever", ready(()));
    supervisor.spawn("refused", ready(Err::<Done, _>("no room")));
    settle().await;
    let dead: Vec<String> = supervisor.dead().iter().map(Death::to_string).collect();
    assert_eq!(dead, ["task ever came back", "task refused failed: no room"]);
    let first = supervisor.death().await;
    assert_eq!((first.task, first.defect), ("ever", true), "the first is the reason");
    assert!(!supervisor.dead()[1].defect, "what a task found is no defect of ours");
}

#[tokio::test(start_paused = true)]
async fn who_was_asked_to_end_may_come_back_but_not_panic() {
    let supervisor = Supervisor::default();
    let stopping = supervisor.stopping();
    supervisor.spawn("polite", stopping.clone().cancelled_owned());
    supervisor.spawn("deaf", pending::<()>());
    supervisor.stop(Duration::from_secs(5)).await;
    assert!(supervisor.dead().is_empty());
    supervisor.spawn("late", dies("end"));
    assert_eq!(supervisor.death().await.task, "late");
}

#[test]
fn a_restarted_task_is_counted_and_its_pauses_grow() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let starts = Arc::new(AtomicU32::new(0));
    metrics::with_local_recorder(&recorder, || {
        runtime.block_on(async {
            let supervisor = Supervisor::default();
            let seen = Arc::clone(&starts);
            let begun = Instant::now();
            supervisor.restart("watch", move || {
                let nth = seen.fetch_add(1, Ordering::Relaxed);
                async move {
                    match nth {
                        0 => panic!("first"),
                        1..4 => Err("again"),
                        _ => Ok(Done),
                    }
                }
            });
            supervisor.tracker.close();
            supervisor.tracker.wait().await;
            // 0.25 + 0.5 + 1 + 2 s, up to a third of each taken away by chance.
            let took = begun.elapsed().as_secs_f64();
            assert!((2.4..3.9).contains(&took), "{took}");
            assert!(supervisor.dead().is_empty(), "a restarted task is not dead");
        });
    });
    assert_eq!(starts.load(Ordering::Relaxed), 5);
    let text = recorder.handle().render();
    assert!(text.contains("federation_task_restarts_total{task=\"watch\"} 4"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn issue7_a_task_that_ends_again_and_again_is_dead() {
    let supervisor = Supervisor::default();
    supervisor.restart_always("monitor", || dies("member"));
    supervisor.restart("seldom", || async { tokio::time::sleep(RESTART.quiet).await });
    let begun = Instant::now();
    supervisor.restart("rbac", || dies("role"));
    let death = supervisor.death().await;
    assert_eq!((death.task, death.why.as_str()), ("rbac", "panicked: no role"));
    assert!(begun.elapsed() < Duration::from_secs(150), "{:?}", begun.elapsed());
    tokio::time::sleep(RESTART.quiet * 30).await;
    assert_eq!(supervisor.live().unwrap_err().to_string(), "task rbac panicked: no role", "one of many, or one with quiet times, lives");
}

#[cfg(feature = "faults")]
#[tokio::test(start_paused = true)]
async fn a_fault_ends_one_task_once_and_holds_up_nobody() {
    let supervisor = Supervisor::default();
    supervisor.restart("watch", pending::<()>);
    supervisor.spawn("feed", pending::<()>());
    settle().await;
    for _ in 0..3 {
        supervisor.fault("watch");
        tokio::time::sleep(RESTART.quiet * 2).await;
        assert_eq!(supervisor.live(), Ok(()), "it was made again");
    }
    supervisor.fault("feed");
    assert_eq!(supervisor.death().await.task, "feed");
}

#[tokio::test(start_paused = true)]
async fn dropping_a_supervisor_ends_its_tasks_in_good_order() {
    let supervisor = Supervisor::default();
    let child = supervisor.child();
    let (alive, mut gone) = watch::channel(());
    child.spawn("member", async move {
        let _alive = alive;
        pending::<()>().await;
    });
    settle().await;
    drop(child);
    assert!(gone.changed().await.is_err(), "its task was dropped");
    assert!(supervisor.dead().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_dies_in_a_child_is_seen_by_all() {
    let supervisor = Supervisor::default();
    let child = supervisor.child();
    child.spawn("lane", dies("bottom"));
    assert_eq!(supervisor.death().await.task, "lane");
    drop(child);
    assert_eq!(supervisor.dead().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_gives_no_sign_of_life() {
    let supervisor = Supervisor::default();
    supervisor.spawn_beating("brain", Duration::from_secs(30), |heart| async move {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            heart.beat();
        }
        pending::<()>().await;
    });
    tokio::time::sleep(Duration::from_secs(65)).await;
    assert_eq!(supervisor.live(), Ok(()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(supervisor.live().unwrap_err().to_string(), "task brain gave no sign of life for 35 s");
}
