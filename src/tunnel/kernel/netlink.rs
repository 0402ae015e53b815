//! A netlink socket that waits for the answer in the calling thread: the kernel answers at once.

use std::io;

use netlink_packet_core::{NetlinkDeserializable, NetlinkMessage, NetlinkPayload, NetlinkSerializable};
use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use zeroize::Zeroizing;

/// The kernel's data changed during a dump (`NLM_F_DUMP_INTR` of linux/netlink.h).
const INTERRUPTED: u16 = 0x10;

/// Length of a message's header in bytes; messages begin at multiples of 4.
const HEADER: usize = 16;

/// Room for one datagram of an answer. The kernel fills up to 32 KiB of it in a dump, and little where there is little room.
const ROOM: usize = 64 << 10;

/// One socket of one netlink protocol.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    answer: Zeroizing<Vec<u8>>,
}

impl Netlink {
    /// # Errors
    /// Netlink sockets are not to be had.
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self { socket, sequence: 0, answer: Zeroizing::new(Vec::with_capacity(ROOM)) })
    }

    /// Sends a request and takes each message of the answer.
    ///
    /// # Errors
    /// What the kernel says; `Interrupted` for a dump to be read again. Nothing of the request or the answer, which may
    /// hold keys, is in the error.
    pub(super) fn ask<I>(&mut self, request: I, flags: u16, mut take: impl FnMut(I)) -> io::Result<()>
    where
        I: NetlinkSerializable + NetlinkDeserializable + std::fmt::Debug,
        NetlinkPayload<I>: From<I>,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::new(Default::default(), NetlinkPayload::from(request));
        message.header.flags = flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = Zeroizing::new(vec![0; message.buffer_len()]);
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut interrupted = false;
        loop {
            self.answer.clear();
            // Without the flag it would not say how much did not fit.
            let length = self.socket.recv(&mut *self.answer, libc::MSG_TRUNC)?;
            if length > self.answer.len() {
                return Err(io::Error::other("the kernel's answer is too long"));
            }
            let mut rest = &self.answer[..];
            while rest.len() >= HEADER {
                let part = NetlinkMessage::<I>::deserialize(rest).map_err(io::Error::other)?;
                let length = (part.header.length as usize).next_multiple_of(4).max(HEADER);
                rest = rest.get(length..).unwrap_or_default();
                // The end of an answer that was given up.
                if part.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= part.header.flags & INTERRUPTED != 0;
                match part.payload {
                    NetlinkPayload::InnerMessage(inner) => take(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) if interrupted => {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(()),
                    _ => {}
                }
            }
        }
    }
}
