//! Work on large bodies and lists, off the workers that serve everybody.

use std::num::NonZero;
use std::sync::{Arc, LazyLock};
use std::thread::available_parallelism;

use machinery::status::ApiError;
use tokio::sync::Semaphore;

/// Work on fewer bytes than this takes a few milliseconds at most and is done at once.
const LIGHT: usize = 64 * 1024;

/// One piece of heavy work for each processor but one, so that however much of it is asked for, small requests and health
/// checks go on. Who waits here does so within the request's time.
static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
    let processors = available_parallelism().map_or(1, NonZero::get);
    Arc::new(Semaphore::new(processors.saturating_sub(1).max(1)))
});

/// Does `work` on so many bytes. Heavy work cannot be stopped: when the request ends before it, it still keeps its slot.
pub(super) async fn run<T: Send + 'static>(bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    if bytes < LIGHT {
        return Ok(work());
    }
    let slot = Arc::clone(&SLOTS).acquire_owned().await.map_err(ApiError::internal)?;
    let done = tokio::task::spawn_blocking(move || {
        let _slot = slot;
        work()
    });
    done.await.map_err(|e| match e.try_into_panic() {
        // The pipeline answers and logs it, as if it had happened here.
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(e) => ApiError::internal(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn d5_heavy_work_leaves_the_worker_free() {
        let worker = std::thread::current().id();
        let on = move || std::thread::current().id() == worker;
        assert!(run(LIGHT - 1, on).await.unwrap());
        assert!(!run(LIGHT, on).await.unwrap());
        // The only worker of this runtime answers others while as much heavy work goes on as may.
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let held = SLOTS.available_permits();
        let ended = Arc::new(std::sync::Mutex::new(ended));
        let heavy: Vec<_> = (0..held + 3)
            .map(|_| {
                let ended = Arc::clone(&ended);
                tokio::spawn(run(LIGHT, move || ended.lock().unwrap().recv().is_ok()))
            })
            .collect();
        while SLOTS.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(run(1, || true).await.unwrap());
        (0..held + 3).for_each(|_| end.send(()).unwrap());
        for work in heavy {
            assert!(work.await.unwrap().unwrap());
        }
    }
}
