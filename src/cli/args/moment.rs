//! Moments and lengths of time as people write them on the command line: `10m`, `2026-11-24T16:00:00Z`, `1764000000`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::state::calendar;

/// Reads a moment: a length of time before `now`, an RFC 3339 date or date and time (UTC unless it says), or seconds
/// since 1970 with an optional fraction.
pub(crate) fn parse_moment(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    let wrong = || format!("`{text}` is not a moment; write `10m`, `2026-01-31T08:00:00Z` or seconds since 1970");
    if let Some(seconds) = parse_seconds(text) {
        return Ok(UNIX_EPOCH + seconds);
    }
    if let Ok(ago) = parse_length(text) {
        return Ok(now.checked_sub(ago).unwrap_or(UNIX_EPOCH));
    }
    parse_date(text).ok_or_else(wrong)
}

/// Reads a length of time: `90s`, `1h30m`, `1.5h`, `200ms`.
pub(crate) fn parse_length(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a length of time; write `90s`, `10m` or `1h30m`");
    let (mut rest, mut total) = (text, Duration::ZERO);
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// Reads a grace period in whole seconds, as Docker's `-t` takes it; `-1` is for ever.
pub(crate) fn parse_grace(text: &str) -> Result<Duration, String> {
    let seconds: i64 = text.parse().map_err(|_| format!("`{text}` is not a whole number of seconds"))?;
    // A century stands for "for ever": no clock arithmetic on it overflows.
    Ok(Duration::from_secs(u64::try_from(seconds).unwrap_or(100 * 365 * 86400)))
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let plain = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if plain { Duration::try_from_secs_f64(text.parse().ok()?).ok() } else { None }
}

fn parse_date(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let mut parts = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some()
        || !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
    {
        return None;
    }
    let (clock, offset) = split_offset(time)?;
    let mut parts = clock.split(':');
    let hours: i64 = parts.next()?.parse().ok()?;
    let minutes: i64 = parts.next().unwrap_or("0").parse().ok()?;
    let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
    if parts.next().is_some()
        || !(0..24).contains(&hours)
        || !(0..60).contains(&minutes)
        || !(0.0..61.0).contains(&seconds)
    {
        return None;
    }
    let whole = calendar::days(year, month, day) * 86400 + hours * 3600 + minutes * 60 - offset;
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(whole).ok()?) + Duration::try_from_secs_f64(seconds).ok()?)
}

/// Splits `08:00:00+01:00` into the clock and the offset in seconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let Some(at) = time.find(['+', '-']) else { return Some((time, 0)) };
    let (hours, minutes) = time[at + 1..].split_once(':')?;
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
    Some((&time[..at], if time[at..].starts_with('-') { -seconds } else { seconds }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> u64 {
        let now = UNIX_EPOCH + Duration::from_secs(10_000);
        parse_moment(text, now).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn moments_are_lengths_dates_or_seconds() {
        assert_eq!(seconds("10m"), 9_400);
        assert_eq!(seconds("1h30m"), 4_600);
        assert_eq!(seconds("1764000000"), 1_764_000_000);
        assert_eq!(seconds("2025-11-24T16:00:00Z"), 1_764_000_000);
        assert_eq!(seconds("2025-11-24T17:00:00+01:00"), 1_764_000_000);
        assert_eq!(seconds("2024-02-29"), 1_709_164_800);
    }

    #[test]
    fn what_is_no_moment_is_quoted() {
        let error = parse_moment("soon", SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(error.starts_with("`soon` is not a moment"), "{error}");
        assert!(parse_moment("2025-13-01", SystemTime::UNIX_EPOCH).is_err());
        assert!(parse_length("10").is_err());
        assert!(parse_length("1e400s").is_err());
    }

    #[test]
    fn a_grace_of_minus_one_is_for_ever() {
        assert!(parse_grace("-1").unwrap() > Duration::from_secs(1 << 30));
        assert_eq!(parse_grace("3").unwrap(), Duration::from_secs(3));
    }
}
