//! Lengths of time, `1h30m`, and the form in which Go prints them.

const UNITS: [(&str, i64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
const WEEK: i64 = 7 * 86_400_000_000_000;

/// Returns the nanoseconds that `text` says.
pub fn parse(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is no length of time; write a number and a unit, for example `30s` or `1m30s`");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(error());
    }
    let mut total: f64 = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(error)?;
        let number: f64 = rest[..digits].parse().map_err(|_| error())?;
        let unit_end = rest[digits..]
            .find(|character: char| character.is_ascii_digit() || character == '.')
            .map_or(rest.len(), |end| digits + end);
        let unit = &rest[digits..unit_end];
        let nanoseconds = if unit == "w" {
            WEEK
        } else {
            UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length).ok_or_else(error)?
        };
        #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 of their unit")]
        let part = number * nanoseconds as f64;
        total += part;
        rest = &rest[unit_end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates, and such a time has no meaning")]
    let total = total.round() as i64;
    Ok(if negative { -total } else { total })
}

/// Returns the form that Go prints: `1h0m0s`, `1.5s`, `100ms`.
pub fn format(nanoseconds: i64) -> String {
    if nanoseconds == 0 {
        return "0s".into();
    }
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    if all < 1_000_000_000 {
        let (unit, name) = match all {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "µs"),
            _ => (1_000_000, "ms"),
        };
        return format!("{sign}{}{name}", decimal(all, unit));
    }
    let (minutes, rest) = (all / 60_000_000_000, all % 60_000_000_000);
    let seconds = decimal(rest, 1_000_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let fraction = value % unit;
    if fraction == 0 {
        return (value / unit).to_string();
    }
    let width = unit.ilog10() as usize;
    format!("{}.{fraction:0width$}", value / unit).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_go_in_and_come_out_as_in_go() {
        for (text, shown) in [
            ("1h", "1h0m0s"),
            ("90s", "1m30s"),
            ("1.5s", "1.5s"),
            ("100ms", "100ms"),
            ("1d", "24h0m0s"),
            ("1w", "168h0m0s"),
            ("0", "0s"),
            ("1500us", "1.5ms"),
        ] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(shown), "{text}");
        }
        for text in ["", "5", "ten", "1x", "s"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
