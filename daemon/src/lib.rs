//! What every long-running program of the federation is made of: tasks that somebody owns
//! ([`supervise`]), pauses between tries ([`backoff`]), the log ([`logs`]) and traces ([`trace`]).

pub mod backoff;
pub mod logs;
pub mod supervise;
pub mod trace;
