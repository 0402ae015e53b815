//! Times of day without a time zone: the daemon's clock, as UTC.

/// Minutes and seconds, or hours too: `4:07`, `1:04:07`.
pub fn elapsed(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// The time of day of a time in milliseconds since 1970: `03:04:05`.
pub fn of_day(time_ms: u64) -> String {
    let seconds = time_ms / 1_000 % 86_400;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// The day of a time in milliseconds since 1970, as month and day: `01-02`.
pub fn day(time_ms: u64) -> String {
    // Days from civil, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013.
    let days = time_ms / 86_400_000 + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    format!("{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!((day(1_767_323_045_000), of_day(1_767_323_045_000)), ("01-02".into(), "03:04:05".into()));
        assert_eq!(day(1_709_164_800_000), "02-29");
        assert_eq!(day(0), "01-01");
        assert_eq!((elapsed(247_000), elapsed(3_847_999)), ("4:07".into(), "1:04:07".into()));
    }
}
