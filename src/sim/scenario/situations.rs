//! The situations of `examples/scenarios`, built in: tests need no files, and no situation is forgotten.

/// Calls the macro `$each` with every situation that simulator and daemons share, as `test_name = "file-name"`: one list
/// for both.
#[macro_export]
macro_rules! for_each_situation {
    ($each:ident) => {
        $each! {
            all_restart = "all-restart",
            claims_refused = "claims-refused",
            clocks_differ_an_hour = "clocks-differ-an-hour",
            first_reply_lost = "first-reply-lost",
            four_boxes = "four-boxes",
            hub_clock_day_back = "hub-clock-day-back",
            hub_restart = "hub-restart",
            lossy_20 = "lossy-20",
            narrow_line = "narrow-line",
            one_way_link = "one-way-link",
            partition_90s = "partition-90s",
            ring_of_six = "ring-of-six",
            same_name_at_once = "same-name-at-once",
            single_cut_off = "single-cut-off",
            three_boxes = "three-boxes",
            two_boxes = "two-boxes",
            two_hubs_one_killed = "two-hubs-one-killed",
        }
    };
}

/// The text of one scenario file.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../examples/scenarios/", $name, ".yaml")))
    };
}

macro_rules! table {
    ($($test:ident = $name:literal,)*) => {
        /// Every scenario file: its name and its text. The last ones take hours, and are the simulator's alone.
        pub const SITUATIONS: &[(&str, &str)] = &[
            $(file!($name),)*
            file!("jittery-lines"),
            file!("partition-of-a-day"),
            file!("quiet-hour"),
        ];
    };
}

for_each_situation!(table);
