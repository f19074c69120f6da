//! The engine panics, now and then, over what it cannot have written.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is about a file and will be told as an error.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Runs something of the engine that may panic over what it cannot have written; `Err` is that it did.
pub(super) fn quietly<T>(read: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |panic| {
            if !READING.get() {
                tell(panic)
            }
        }));
    });
    let within = READING.replace(true);
    let done = catch_unwind(AssertUnwindSafe(read));
    READING.set(within);
    done
}
