//! What one thread of a test logs and traces.

use std::sync::OnceLock;

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Subscriber};

/// Gives what this thread logs to `subscriber` for as long as the guard lives. The tests' way, in place of
/// `tracing::subscriber::set_default`.
///
/// While a process has one subscriber, tracing-core (`callsite::Rebuilder::JustOne`) asks only the thread that comes to an
/// event or span first whether anybody wants it. A test on another thread, without a subscriber, then turns it off for all.
/// Two that want nothing stay for ever, so that everybody is asked.
pub fn here(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    static EVERYBODY_IS_ASKED: OnceLock<[Dispatch; 2]> = OnceLock::new();
    EVERYBODY_IS_ASKED.get_or_init(|| {
        let both = [(); 2].map(|()| Dispatch::new(NoSubscriber::default()));
        // Of what other threads came to before.
        tracing::callsite::rebuild_interest_cache();
        both
    });
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    tracing::subscriber::set_default(subscriber)
}

/// What `run` gives back; it logs to `subscriber` as from [`here`].
pub fn within<T>(subscriber: impl Subscriber + Send + Sync + 'static, run: impl FnOnce() -> T) -> T {
    let _here = here(subscriber);
    run()
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt as _;

    /// A layer that counts.
    #[derive(Clone, Default)]
    struct Count(std::sync::Arc<std::sync::atomic::AtomicUsize>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn what_another_thread_came_to_first_is_heard() {
        let say = || tracing::info!("the beacons are lit");
        let count = Count::default();
        let _here = super::here(tracing_subscriber::registry().with(count.clone()));
        std::thread::spawn(say).join().unwrap();
        say();
        assert_eq!(count.0.load(std::sync::atomic::Ordering::SeqCst), 1);
    }
}
