//! Points in time as RFC 3339, always in UTC: one text for people and machines, whatever the zone of either.

use bailee_archive::tree::Time;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Now, whatever the clock says.
pub(crate) fn now() -> Time {
    bailee_files::now()
}

fn civil(time: Time) -> Option<DateTime> {
    let timestamp = Timestamp::new(time.seconds, time.nanoseconds.try_into().ok()?).ok()?;
    Some(TimeZone::UTC.to_datetime(timestamp))
}

/// The day in UTC; none for times that no calendar has.
pub(crate) fn day(time: Time) -> Option<Date> {
    civil(time).map(|civil| civil.date())
}

/// To the nanosecond, for machines.
pub(crate) fn exact(time: Time) -> String {
    match civil(time) {
        Some(civil) => format!("{civil}Z"),
        None => format!("@{}", time.seconds),
    }
}

/// To the second, for people.
pub(crate) fn seconds(time: Time) -> String {
    exact(Time { nanoseconds: 0, ..time })
}

/// What is said of a version whose time is later than now.
pub(crate) fn is_ahead(number: u64, time: Time) -> String {
    format!(
        "version {number} has the time {}, which is in the future: its clock was ahead, or this one is behind",
        seconds(time)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> Time {
        Time { seconds, nanoseconds }
    }

    #[test]
    fn times_before_and_after_1970_and_beyond_any_calendar() {
        assert_eq!(exact(at(0, 0)), "1970-01-01T00:00:00Z");
        assert_eq!(exact(at(1_700_000_000, 123_456_789)), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(seconds(at(1_700_000_000, 123_456_789)), "2023-11-14T22:13:20Z");
        assert_eq!(exact(at(-1, 500_000_000)), "1969-12-31T23:59:59.5Z");
        assert_eq!(exact(at(951_782_400, 0)), "2000-02-29T00:00:00Z");
        assert_eq!(exact(at(i64::MAX, 0)), format!("@{}", i64::MAX));
        assert_eq!(day(at(i64::MIN, 0)), None);
    }

    #[test]
    fn now_is_a_point_in_this_century() {
        assert!(exact(now()).starts_with("20"));
        assert!(now().nanoseconds < 1_000_000_000);
    }
}
