//! What a failed request says about where it got to.

use std::error::Error as StdError;

use etcd_client::Error;
use tonic::{Code, ConnectError, Status};

/// Why a request was not answered as it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// etcd answered, and so would every other endpoint.
    Refused(Error),
    /// No endpoint took it: nothing was done.
    Away(String),
    /// It was sent and not answered: if it was to change something, it may have done so or not, or may do so yet.
    Unanswered(String),
}

impl Failure {
    pub(crate) fn new(in_doubt: bool, why: String) -> Self {
        if in_doubt { Self::Unanswered(why) } else { Self::Away(why) }
    }
}

/// How far a request that failed got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// There was no connection to send it over.
    NotConnected,
    /// The endpoint knows no leader and refused to look at it.
    NoLeader,
    /// It was sent, and the connection broke, or the endpoint gave up waiting for the others.
    Lost,
    /// It was answered.
    Answered,
}

impl Reach {
    /// Whether the endpoint itself is no good, as far as this tells.
    pub(crate) fn is_broken(self) -> bool {
        matches!(self, Self::NotConnected | Self::NoLeader)
    }
}

/// etcd's words for a member without a leader, which is how it refuses a request that asks for one.
const NO_LEADER: &str = "etcdserver: no leader";

/// How far the request got that ended with this error.
pub(crate) fn reach(error: &Error) -> Reach {
    match error {
        Error::GRpcStatus(status) => of_status(status),
        Error::TransportError(_) | Error::IoError(_) | Error::WatchError(_) => Reach::Lost,
        _ => Reach::Answered,
    }
}

fn of_status(status: &Status) -> Reach {
    if causes(status).iter().any(|e| e.is::<ConnectError>()) {
        return Reach::NotConnected;
    }
    match status.code() {
        Code::Unavailable if status.message() == NO_LEADER => Reach::NoLeader,
        // Of the server when it stops or waits in vain for the others, and of the transport.
        Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled | Code::Internal | Code::Aborted => Reach::Lost,
        _ => Reach::Answered,
    }
}

/// What caused it, the nearest first.
fn causes(status: &Status) -> Vec<&(dyn StdError + 'static)> {
    let (mut causes, mut next) = (Vec::new(), status.source());
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    causes
}

/// The error in words, with its last cause: what the transport says itself is only that it failed.
pub(crate) fn describe(error: &Error) -> String {
    let Error::GRpcStatus(status) = error else { return error.to_string() };
    match causes(status).last() {
        Some(cause) => cause.to_string(),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_never_sent_is_certainly_not_done() {
        let status = |code, message| Error::GRpcStatus(Status::new(code, message));
        let refused = Status::from_error(Box::new(ConnectError("connection refused".into())));
        assert_eq!(reach(&Error::GRpcStatus(refused)), Reach::NotConnected);
        assert_eq!(reach(&status(Code::Unavailable, NO_LEADER)), Reach::NoLeader);
        for lost in ["etcdserver: request timed out", "etcdserver: leader changed", "etcdserver: server stopped"] {
            assert_eq!(reach(&status(Code::Unavailable, lost)), Reach::Lost, "{lost}");
        }
        assert_eq!(reach(&status(Code::Unknown, "transport error")), Reach::Lost);
        for (code, answer) in [
            (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            (Code::InvalidArgument, "etcdserver: request is too large"),
            (Code::NotFound, "etcdserver: requested lease not found"),
            (Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (Code::PermissionDenied, "etcdserver: permission denied"),
        ] {
            assert_eq!(reach(&status(code, answer)), Reach::Answered, "{answer}");
        }
    }
}
