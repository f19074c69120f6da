//! What etcd means by an answer that is an error.

use std::error::Error as _;

use etcd_client::Error;
use tonic::{Code, Status};

/// Errors of etcd that callers act upon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The revision that was asked for is compacted.
    Compacted,
    /// The revision that was asked for is not reached yet.
    Future,
    /// A request or an answer is larger than etcd, or this client, takes.
    TooLarge,
    /// The lease is not there any more.
    NoLease,
    /// Anything else, which the error's own words tell.
    Other,
}

/// Two of etcd's errors share a gRPC code, and only the whole text tells them apart: etcd's own client goes by the same
/// table (`api/v3rpc/rpctypes/error.go`).
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const FUTURE: &str = "etcdserver: mvcc: required revision is a future revision";
const TOO_LARGE: &str = "etcdserver: request is too large";
/// How each error of etcd's begins, and none of gRPC's.
const OURS: &str = "etcdserver: ";

impl Refusal {
    /// What an error means.
    pub fn of(error: &Error) -> Self {
        let Error::GRpcStatus(status) = error else { return Self::Other };
        match (status.code(), status.message()) {
            (Code::OutOfRange, COMPACTED) => Self::Compacted,
            (Code::OutOfRange, FUTURE) => Self::Future,
            (Code::InvalidArgument, TOO_LARGE) => Self::TooLarge,
            (Code::NotFound, _) => Self::NoLease,
            (Code::OutOfRange | Code::ResourceExhausted, _) if is_limit(status) => Self::TooLarge,
            _ => Self::Other,
        }
    }
}

/// Whether gRPC itself says that a message is too large: tonic by `OutOfRange`, Go's by `ResourceExhausted`. A connection
/// that is closed for too many requests has the same code, and a cause.
fn is_limit(status: &Status) -> bool {
    status.source().is_none() && !status.message().starts_with(OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcds_errors_are_told_apart_by_code_and_by_its_own_table() {
        let of = |code, message| Refusal::of(&Error::GRpcStatus(Status::new(code, message)));
        assert_eq!(of(Code::OutOfRange, COMPACTED), Refusal::Compacted);
        assert_eq!(of(Code::OutOfRange, FUTURE), Refusal::Future);
        assert_eq!(of(Code::InvalidArgument, TOO_LARGE), Refusal::TooLarge);
        assert_eq!(of(Code::NotFound, "etcdserver: requested lease not found"), Refusal::NoLease);
        let tonics = "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes";
        assert_eq!(of(Code::OutOfRange, tonics), Refusal::TooLarge);
        assert_eq!(of(Code::ResourceExhausted, "grpc: received message larger than max (5 vs. 4)"), Refusal::TooLarge);
        // Words of others that merely speak of it.
        assert_eq!(of(Code::Unknown, "a proxy: request is too large"), Refusal::Other);
        assert_eq!(of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"), Refusal::Other);
        assert_eq!(of(Code::ResourceExhausted, "etcdserver: too many requests"), Refusal::Other);
        assert_eq!(Refusal::of(&Error::InvalidArgs(TOO_LARGE.into())), Refusal::Other);
    }
}
