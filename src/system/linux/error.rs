//! Netlink's refusals in words.

use rtnetlink::Error;
use rustix::io::Errno;

use crate::system::SystemError;

/// The system's error number, if netlink gave one.
pub(super) fn errno(error: &Error) -> Option<Errno> {
    match error {
        Error::NetlinkError(message) => Some(Errno::from_raw_os_error(message.raw_code().abs())),
        _ => None,
    }
}

/// An error with the remedy that fits its number.
pub(super) fn refused(what: String, error: &Error) -> SystemError {
    let remedy = match errno(error) {
        Some(Errno::PERM | Errno::ACCESS) => "run as root or with CAP_NET_ADMIN",
        Some(Errno::NODEV) => "the interface was removed by someone else: start wgnet again",
        _ => "",
    };
    let reason = match error {
        Error::NetlinkError(message) => message.to_io().to_string(),
        other => other.to_string(),
    };
    SystemError { what, reason, remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroI32;

    use super::*;

    #[test]
    fn missing_rights_are_named() {
        let mut message = rtnetlink::packet_core::ErrorMessage::default();
        message.code = NonZeroI32::new(-Errno::PERM.raw_os_error());
        let error = refused("cannot bring wg0 up".to_owned(), &Error::NetlinkError(message));
        assert_eq!(
            error.to_string(),
            "cannot bring wg0 up: Operation not permitted (os error 1) (run as root or with CAP_NET_ADMIN)"
        );
    }
}
