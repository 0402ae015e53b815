//! The situations of `examples/scenarios`, built in: tests need no files, and no situation is forgotten.

/// Every scenario file: its name and its text.
pub const SITUATIONS: [(&str, &str); 18] = [
    ("all-restart", include_str!("../../../examples/scenarios/all-restart.yaml")),
    ("claims-refused", include_str!("../../../examples/scenarios/claims-refused.yaml")),
    ("clocks-differ-an-hour", include_str!("../../../examples/scenarios/clocks-differ-an-hour.yaml")),
    ("first-reply-lost", include_str!("../../../examples/scenarios/first-reply-lost.yaml")),
    ("four-boxes", include_str!("../../../examples/scenarios/four-boxes.yaml")),
    ("hub-clock-day-back", include_str!("../../../examples/scenarios/hub-clock-day-back.yaml")),
    ("hub-restart", include_str!("../../../examples/scenarios/hub-restart.yaml")),
    ("lossy-20", include_str!("../../../examples/scenarios/lossy-20.yaml")),
    ("one-way-link", include_str!("../../../examples/scenarios/one-way-link.yaml")),
    ("partition-90s", include_str!("../../../examples/scenarios/partition-90s.yaml")),
    ("partition-of-a-day", include_str!("../../../examples/scenarios/partition-of-a-day.yaml")),
    ("quiet-hour", include_str!("../../../examples/scenarios/quiet-hour.yaml")),
    ("ring-of-six", include_str!("../../../examples/scenarios/ring-of-six.yaml")),
    ("same-name-at-once", include_str!("../../../examples/scenarios/same-name-at-once.yaml")),
    ("single-cut-off", include_str!("../../../examples/scenarios/single-cut-off.yaml")),
    ("three-boxes", include_str!("../../../examples/scenarios/three-boxes.yaml")),
    ("two-boxes", include_str!("../../../examples/scenarios/two-boxes.yaml")),
    ("two-hubs-one-killed", include_str!("../../../examples/scenarios/two-hubs-one-killed.yaml")),
];
