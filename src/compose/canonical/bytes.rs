//! Sizes, `1.5gb`: base 1024, any case.

/// Returns the bytes that `text` says.
pub fn parse(text: &str) -> Result<i64, String> {
    let error = || format!("`{text}` is no size; write for example `512m` or `1.5gb`");
    let split = text.rfind(|character: char| character.is_ascii_digit() || character == '.' || character == ' ');
    let (number, suffix) = text.split_at(split.map_or(0, |position| position + 1));
    let number = match number.strip_suffix(' ') {
        Some(number) if !suffix.is_empty() => number,
        _ => number,
    };
    let value: f64 = number.parse().map_err(|_| error())?;
    if !value.is_finite() || value < 0.0 {
        return Err(error());
    }
    let suffix = suffix.to_ascii_lowercase();
    let power = match suffix.strip_suffix("ib").or_else(|| suffix.strip_suffix('b')).unwrap_or(&suffix) {
        "" if suffix != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(error()),
    };
    #[expect(clippy::cast_possible_truncation, reason = "fractions of a byte are dropped, as in Compose")]
    Ok((value * 1024_f64.powi(power)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_in_any_case() {
        for (text, bytes) in [
            ("64", 64),
            ("1k", 1024),
            ("1KB", 1024),
            ("1KiB", 1024),
            ("1.5m", 1_572_864),
            ("2 gb", 2_147_483_648),
            ("7b", 7),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1 x", "1kbb", "1ib", "m"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
