//! Times of documents.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runtime::state::calendar;

/// Reads what image documents hold (RFC 3339): `2024-02-29T01:02:03.5Z`, `..+02:00`. `None`: it is none.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let end = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(end);
    let mut clock = clock.splitn(3, ':');
    let hour: i64 = clock.next()?.parse().ok()?;
    let minute: i64 = clock.next()?.parse().ok()?;
    let second: f64 = clock.next()?.parse().ok()?;
    let offset = match zone.split_at(1) {
        ("Z" | "z", _) => 0,
        (sign, rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0.0..61.0).contains(&second) {
        return None;
    }
    let seconds = calendar::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 - offset;
    let whole = u64::try_from(seconds).ok()?;
    Some(UNIX_EPOCH + Duration::from_secs(whole) + Duration::from_secs_f64(second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_times_are_read() {
        let seconds = |text| parse(text).map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0.0));
        assert_eq!(seconds("2024-02-29T01:01:01.5Z"), Some(1_709_168_461.5));
        assert_eq!(seconds("2024-02-29T03:01:01+02:00"), Some(1_709_168_461.0));
        assert_eq!(seconds("yesterday"), None);
        assert_eq!(seconds("2024-13-01T00:00:00Z"), None);
    }
}
