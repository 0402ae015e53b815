//! The first MAC of handshake messages (WireGuard paper, section 5.4.4): whoever sent one knows our public key.
//!
//! Data threads look at it, so that noise from strangers (scanners, reflected floods, a port reused) takes no place in
//! the queue of handshakes. What passes is looked at again, with all the rest, by the control thread.

use blake2::digest::{Digest as _, Mac, consts::U16};
use blake2::{Blake2s256, Blake2sMac};

use super::peer::message;

/// Lengths of an initiation and of a response, in bytes.
const INITIATION: usize = 148;
const RESPONSE: usize = 92;

/// Length of each of the two MACs that end a message.
const MAC: usize = 16;

/// The key of the MACs in messages to us.
#[derive(Clone)]
pub(super) struct FirstMac {
    key: [u8; 32],
}

impl FirstMac {
    /// For messages to the owner of this public key.
    pub(super) fn new(public: &[u8; 32]) -> Self {
        Self { key: Blake2s256::new().chain_update(b"mac1----").chain_update(public).finalize().into() }
    }

    /// Whether this is an initiation or a response, whole, by someone who knows our public key.
    pub(super) fn is_right(&self, datagram: &[u8]) -> bool {
        let length = match datagram.first() {
            Some(&message::INITIATION) => INITIATION,
            Some(&message::RESPONSE) => RESPONSE,
            _ => return false,
        };
        let (covered, macs) = match datagram.split_at_checked(length - 2 * MAC) {
            Some((covered, macs)) if macs.len() == 2 * MAC => (covered, macs),
            _ => return false,
        };
        let Ok(mac) = <Blake2sMac<U16> as Mac>::new_from_slice(&self.key) else { return false };
        // In constant time.
        mac.chain_update(covered).verify_slice(&macs[..MAC]).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use boringtun::noise::{Tunn, TunnResult};
    use boringtun::x25519::{PublicKey, StaticSecret};

    use super::*;

    #[test]
    fn boringtuns_messages_pass_and_each_changed_bit_before_the_second_mac_does_not() {
        let (ours, theirs) = (StaticSecret::from([1; 32]), StaticSecret::from([2; 32]));
        let public = |secret: &StaticSecret| PublicKey::from(secret);
        let mut we = Tunn::new(ours.clone(), public(&theirs), None, None, 1, None);
        let mut they = Tunn::new(theirs.clone(), public(&ours), None, None, 2, None);
        let (mut first, mut second) = ([0; 256], [0; 256]);
        let TunnResult::WriteToNetwork(initiation) = they.format_handshake_initiation(&mut first, false) else {
            panic!("no initiation");
        };
        let TunnResult::WriteToNetwork(response) = we.decapsulate(None, initiation, &mut second) else {
            panic!("no response");
        };
        let (to_us, to_them) = (FirstMac::new(public(&ours).as_bytes()), FirstMac::new(public(&theirs).as_bytes()));
        for (message, right, other) in [(initiation, &to_us, &to_them), (response, &to_them, &to_us)] {
            assert!(right.is_right(message) && !other.is_right(message));
            assert!(!right.is_right(&message[..message.len() - 1]));
            for bit in 0..8 * (message.len() - MAC) {
                let mut changed = message.to_vec();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!right.is_right(&changed), "bit {bit}");
            }
        }
        for junk in [&[][..], &[message::INITIATION; 148], &[message::RESPONSE; 92], &[message::COOKIE_REPLY; 64]] {
            assert!(!to_us.is_right(junk));
        }
    }
}
