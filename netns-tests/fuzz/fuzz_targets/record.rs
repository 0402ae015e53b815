//! Items come from anyone who knows the network key, and from the disk.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use wgnet::mesh::record::{Item, Lsdb};
use wgnet::mesh::time::Time;

fuzz_target!(|input: (&[u8], Vec<u16>)| {
    let (bytes, holds) = input;
    if let Ok(item) = Item::parse(bytes) {
        assert_eq!(item.bytes(), bytes, "one encoding per item");
        let mut lsdb = Lsdb::new();
        lsdb.insert(item, Duration::from_secs(1), &holds, Time::ZERO);
        let _ = lsdb.links(Time::ZERO, false).count();
        let _ = (lsdb.digest(), lsdb.next_act(Time::ZERO));
    }
});
