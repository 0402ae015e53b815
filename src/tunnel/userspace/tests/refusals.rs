//! What the system refuses: one clear line each, with the remedy, and nothing left behind.

use std::net::UdpSocket;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities, unshare_unsafe};

use super::lab::{Namespace, PORT, config, eventually, refusal, unique_name};
use crate::tunnel::userspace::{UAPI_DIRECTORY, Userspace};

/// Opens a device inside, after `spoil`, and returns why it is refused. Nothing of it may be left.
fn refused(namespace: &Namespace, interface: &str, spoil: impl FnOnce() + Send) -> String {
    let before = namespace.ip("-o link show");
    let (config, _control) = config(interface, 1);
    let said = namespace.enter(|| {
        spoil();
        refusal(Userspace::open(config))
    });
    assert_eq!(said.lines().count(), 1, "{said}");
    // A program that another test starts holds copies of all descriptors until it runs.
    eventually("no interface is left", || (namespace.ip("-o link show") == before).then_some(()));
    assert!(!Path::new(UAPI_DIRECTORY).join(format!("{interface}.sock")).exists());
    said
}

fn the_port_is_free(namespace: &Namespace) {
    eventually("the port is free", || namespace.enter(|| UdpSocket::bind(("0.0.0.0", PORT))).ok());
}

#[test]
fn a_taken_interface_name_is_named() {
    let namespace = Namespace::new();
    let interface = unique_name("wg");
    namespace.ip(&format!("link add {interface} type bridge"));
    let said = refused(&namespace, &interface, || {});
    assert!(said.starts_with(&format!("cannot make the interface {interface}: File exists")), "{said}");
    assert!(said.contains("choose another name"), "{said}");
    namespace.ip(&format!("link del {interface}"));
    // A persistent TUN device that nobody holds would be handed out by the kernel.
    namespace.ip(&format!("tuntap add {interface} mode tun"));
    let said = refused(&namespace, &interface, || {});
    assert!(said.contains("File exists"), "{said}");
    the_port_is_free(&namespace);
}

#[test]
fn an_impossible_interface_name_is_refused() {
    let namespace = Namespace::new();
    for name in ["", "a-name-of-16-byte", "wg%d", "../wg0", "wg 0"] {
        let said = refused(&namespace, name, || {});
        assert!(said.contains("1 to 15 letters, digits"), "{said}");
    }
    the_port_is_free(&namespace);
}

#[test]
fn a_taken_port_is_named() {
    let namespace = Namespace::new();
    let taken = namespace.enter(|| UdpSocket::bind(("::", PORT))).expect("a socket");
    let said = refused(&namespace, &unique_name("wg"), || {});
    assert!(said.starts_with(&format!("cannot bind UDP port {PORT}: Address already in use")), "{said}");
    assert!(said.contains("choose another WireGuard port"), "{said}");
    drop(taken);
    the_port_is_free(&namespace);
}

#[test]
fn without_the_right_to_make_interfaces_the_remedy_is_told() {
    let namespace = Namespace::new();
    let interface = unique_name("wg");
    let said = refused(&namespace, &interface, || {
        let mut sets = capabilities(None).expect("own capabilities");
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).expect("a thread may drop its own");
    });
    assert!(said.starts_with(&format!("cannot make the interface {interface}: ")), "{said}");
    assert!(said.contains("run as root, or grant CAP_NET_ADMIN"), "{said}");
    the_port_is_free(&namespace);
}

#[test]
fn a_missing_tun_device_is_named() {
    let namespace = Namespace::new();
    let said = refused(&namespace, &unique_name("wg"), || {
        #[expect(unsafe_code, reason = "rustix cannot promise what follows from leaving a namespace")]
        // SAFETY: this thread alone sees other mounts from here on, and it ends with the test.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root may");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private mounts");
        mount("none", "/dev/net", "tmpfs", MountFlags::empty(), None).expect("an empty /dev/net");
    });
    assert!(said.starts_with("cannot open /dev/net/tun: No such file"), "{said}");
    assert!(said.contains("modprobe tun"), "{said}");
    the_port_is_free(&namespace);
}
