//! One battery of tests over every storage backend: the embedded one in a file and in memory, and a
//! real etcd (`etcd` on the PATH, or the program `$ETCD` names).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod cache;
mod durability;
mod economy;
mod endpoints;
mod etcd;
mod lost;
mod subject;

/// Makes a test of each function for each backend.
macro_rules! battery {
    ($($test:ident),* $(,)?) => { $(
        mod $test {
            use crate::subject::Subject;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() {
                super::$test(&Subject::memory()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn file() {
                super::$test(&Subject::file()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn etcd() {
                super::$test(&Subject::etcd().await).await;
            }
        }
    )* };
}
use battery;
