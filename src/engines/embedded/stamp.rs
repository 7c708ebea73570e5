//! Times of the runtime's records, and how they are written.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::state::calendar;

/// Makes a time of milliseconds since 1970.
pub(crate) fn of_millis(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}

/// Writes a time as image documents and Docker's API do (RFC 3339, with nanoseconds, UTC).
pub(crate) fn format(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanos) = (since.as_secs(), since.subsec_nanos());
    let (year, month, day) = calendar::date(i64::try_from(seconds / 86_400).unwrap_or(0));
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}
