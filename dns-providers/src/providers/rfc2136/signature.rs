//! Whether the answers to a request are the server's (RFC 8945 5.3): the first is signed, and so is the last; between
//! them up to 99 may not be, and the next signature covers them.

use hickory_proto::op::Message;
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::{TSIG, signed_bitmessage_to_buf};

/// Most messages without a signature between two that have one (RFC 8945 5.3.1).
const MAX_UNSIGNED: usize = 99;

/// The signatures of all answers to one request, each of which covers the one before.
pub(super) struct Chain {
    key: TSigner,
    /// Identifier of the request.
    id: u16,
    mac: Vec<u8>,
    begun: bool,
    /// When the last signature was made, in seconds since 1970.
    told: u64,
    /// Bytes and number of the messages since.
    pending: (Vec<u8>, usize),
}

impl Chain {
    /// The answers to a request that was signed.
    pub(super) fn of(key: &TSigner, request: &Message) -> Option<Self> {
        let mac = request.signature.as_ref()?.data.mac.clone();
        Some(Chain { key: key.clone(), id: request.metadata.id, mac, begun: false, told: 0, pending: Default::default() })
    }

    /// Whether all answers so far are proven.
    pub(super) fn proven(&self) -> bool {
        self.begun && self.pending.1 == 0
    }

    /// Checks the next answer, which was decoded already.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn check(&mut self, bytes: &[u8], message: &Message, now: u64) -> Result<(), &'static str> {
        if message.metadata.id != self.id {
            return Err("it answers another request");
        }
        let Some(signature) = &message.signature else {
            if !self.begun || self.pending.1 == MAX_UNSIGNED {
                return Err("it has no signature");
            }
            self.pending.0.extend_from_slice(bytes);
            self.pending.1 += 1;
            return Ok(());
        };
        self.names_us(&signature.name, &signature.data)?;
        let (own, _) = signed_bitmessage_to_buf(bytes, None, !self.begun).map_err(|_| "its signature cannot be read")?;
        let size = u16::try_from(self.mac.len()).unwrap_or_default().to_be_bytes();
        let covered = [size.as_slice(), &self.mac, &self.pending.0, &own].concat();
        self.key.verify(&covered, &signature.data.mac).map_err(|_| "its signature is not right")?;
        if signature.data.time < self.told || now.abs_diff(signature.data.time) > self.key.fudge().into() {
            return Err("its signature is not of this time");
        }
        self.mac.clone_from(&signature.data.mac);
        (self.begun, self.told, self.pending) = (true, signature.data.time, Default::default());
        Ok(())
    }

    fn names_us(&self, name: &hickory_proto::rr::Name, signature: &TSIG) -> Result<(), &'static str> {
        match name == self.key.signer_name() && signature.algorithm == *self.key.algorithm() && signature.oid == self.id {
            true => Ok(()),
            false => Err("it is signed with another key"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, make_tsig_record};
    use hickory_proto::rr::{Name, RecordType};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key(secret: &[u8]) -> TSigner {
        TSigner::new(secret.to_vec(), TsigAlgorithm::HmacSha256, Name::from_ascii("k.").unwrap(), 300).unwrap()
    }

    fn request(key: &TSigner) -> Message {
        let mut request = Message::new(7, MessageType::Query, OpCode::Query);
        request.add_query(Query::query(Name::from_ascii("example.com.").unwrap(), RecordType::AXFR));
        request.finalize(key, NOW).unwrap();
        request
    }

    fn answer(id: u16) -> Message {
        Message::new(id, MessageType::Response, OpCode::Query)
    }

    /// Signs an answer as RFC 8945 4.3 and 5.3.1 say: over the last signature, all messages since, and what is new of it.
    fn signed(key: &TSigner, last: &[u8], unsigned: &[u8], mut message: Message, time: u64, is_first: bool) -> (Vec<u8>, Vec<u8>) {
        let mut tsig = TSIG::new(TsigAlgorithm::HmacSha256, time, 300, Vec::new(), message.metadata.id, None, Vec::new());
        let mut covered = [&u16::try_from(last.len()).unwrap().to_be_bytes(), last, unsigned, &message.to_vec().unwrap()].concat();
        if is_first {
            // Name, class ANY, TTL 0, algorithm, time, fudge, error, no other data.
            covered.extend_from_slice(b"\x01k\x00\x00\xff\x00\x00\x00\x00\x0bhmac-sha256\x00");
        }
        covered.extend_from_slice(&time.to_be_bytes()[2..]);
        covered.extend_from_slice(&300_u16.to_be_bytes());
        if is_first {
            covered.extend_from_slice(&[0; 4]);
        }
        tsig.mac = key.sign(&covered).unwrap();
        let mac = tsig.mac.clone();
        message.set_signature(Box::new(make_tsig_record(Name::from_ascii("k.").unwrap(), tsig)));
        (message.to_vec().unwrap(), mac)
    }

    fn check(chain: &mut Chain, bytes: &[u8]) -> Result<(), &'static str> {
        chain.check(bytes, &Message::from_vec(bytes).unwrap(), NOW + 1)
    }

    #[test]
    fn messages_without_a_signature_are_covered_by_the_next() {
        let key = key(b"0123456789abcdef");
        let request = request(&key);
        let mut chain = Chain::of(&key, &request).unwrap();
        let mac = request.signature.as_ref().unwrap().data.mac.clone();
        let (first, mac) = signed(&key, &mac, &[], answer(7), NOW, true);
        check(&mut chain, &first).unwrap();
        assert!(chain.proven());
        let bare = answer(7).to_vec().unwrap();
        check(&mut chain, &bare).unwrap();
        check(&mut chain, &bare).unwrap();
        assert!(!chain.proven());
        let (last, mac) = signed(&key, &mac, &[bare.clone(), bare.clone()].concat(), answer(7), NOW, false);
        check(&mut chain, &last).unwrap();
        assert!(chain.proven());
        let (forged, _) = signed(&key, &mac, &[], answer(7), NOW, false);
        check(&mut chain, &bare).unwrap();
        assert_eq!(check(&mut chain, &forged), Err("its signature is not right"), "it does not cover the message before");
    }

    #[test]
    fn what_is_not_the_servers_is_refused() {
        let ours = key(b"0123456789abcdef");
        let request = request(&ours);
        let mac = request.signature.as_ref().unwrap().data.mac.clone();
        let told = |bytes: &[u8]| check(&mut Chain::of(&ours, &request).unwrap(), bytes).unwrap_err();
        assert_eq!(told(&answer(7).to_vec().unwrap()), "it has no signature");
        assert_eq!(told(&signed(&ours, &mac, &[], answer(8), NOW, true).0), "it answers another request");
        assert_eq!(told(&signed(&key(b"fedcba9876543210"), &mac, &[], answer(7), NOW, true).0), "its signature is not right");
        assert_eq!(told(&signed(&ours, b"another request's", &[], answer(7), NOW, true).0), "its signature is not right");
        for time in [0, NOW - 400, NOW + 400] {
            assert_eq!(told(&signed(&ours, &mac, &[], answer(7), time, true).0), "its signature is not of this time");
        }
        let mut chain = Chain::of(&ours, &request).unwrap();
        check(&mut chain, &signed(&ours, &mac, &[], answer(7), NOW, true).0).unwrap();
        let bare = answer(7).to_vec().unwrap();
        (0..99).for_each(|_| check(&mut chain, &bare).unwrap());
        assert_eq!(check(&mut chain, &bare), Err("it has no signature"), "too many of them");
    }
}
