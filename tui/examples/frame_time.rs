//! How long a frame takes with 500 peers: the median of many, for each screen.
//!
//! `cargo run --release -p wgnet-tui --example frame_time`

#[path = "../src/fixture.rs"]
#[expect(unreachable_pub, reason = "it is public where it belongs")]
mod fixture;

use std::time::Instant;

use wgnet_api::Event;
use wgnet_tui::message::Message;
use wgnet_tui::model::{Look, Screen};
use wgnet_tui::{once, update};

const FRAMES: usize = 301;

#[expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement for people")]
fn main() {
    let mut now = fixture::snapshot(500);
    let mut model = once::moment(&now, &fixture::journal(), Look::default());
    let (mut took, mut told) = (Vec::new(), Vec::new());
    for second in 1..=120 {
        let later = fixture::later(&now, 1);
        let begin = Instant::now();
        let difference = now.difference(&later);
        let bytes = serde_json::to_vec(&difference).expect("JSON").len();
        told.push((begin.elapsed(), bytes));
        let message = Message::Stream(Event::Difference(Box::new(difference)));
        let begin = Instant::now();
        update::update(&mut model, message, second * 1_000);
        took.push(begin.elapsed());
        now = later;
    }
    took.sort();
    println!("500 peers: a difference is taken in {:.2} ms", took[took.len() / 2].as_secs_f64() * 1_000.0);
    told.sort();
    let (time, bytes) = told[told.len() / 2];
    println!("the daemon makes it in {:.2} ms, {bytes} bytes", time.as_secs_f64() * 1_000.0);
    for screen in Screen::ALL {
        for (width, height) in [(80, 24), (200, 60)] {
            let mut took: Vec<_> = (0..FRAMES)
                .map(|_| {
                    let begin = Instant::now();
                    let buffer = once::draw(&mut model, screen, width, height);
                    let took = begin.elapsed();
                    assert_eq!(buffer.area.width, width);
                    took
                })
                .collect();
            took.sort();
            let median = took[FRAMES / 2].as_secs_f64() * 1_000.0;
            println!("{:<9} {width:>3}x{height:<3} {median:6.2} ms", screen.title());
        }
    }
}
