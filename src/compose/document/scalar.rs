//! What a plain scalar means: the reading of go-yaml v3, which Compose files are written against.

use crate::document::node::Value;

/// Returns the value of a plain (unquoted, untagged) scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text).unwrap_or_else(|| Value::String(text.to_owned())),
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Value::String(text.to_owned()),
    }
}

/// Returns the value of a scalar with one of the core tags (`int` for `!!int`), if it can have it.
pub fn tagged(tag: &str, text: &str) -> Option<Value> {
    match tag {
        "str" => Some(Value::String(text.to_owned())),
        "null" => matches!(resolve(text), Value::Null).then_some(Value::Null),
        "bool" => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(Value::Bool(true)),
            "false" | "no" | "off" | "n" => Some(Value::Bool(false)),
            _ => None,
        },
        "int" => match resolve(text) {
            Value::Int(value) => Some(Value::Int(value)),
            _ => None,
        },
        "float" => match resolve(text) {
            #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
            Value::Int(value) => Some(Value::Float(value as f64)),
            Value::Float(value) => Some(Value::Float(value)),
            _ => None,
        },
        "binary" => base64(text).and_then(|bytes| String::from_utf8(bytes).ok()).map(Value::String),
        _ => Some(resolve(text)),
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn number(text: &str) -> Value {
    if is_timestamp(text) {
        return Value::Timestamp(text.to_owned());
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain)).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Reads an integer with Go's prefixes: `0x`, `0o`, `0b`, and a bare `0` for octal.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(Value::Int(value))
}

fn float(plain: &str) -> Option<Value> {
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(plain);
    let numeric = unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    if !numeric || !unsigned.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    plain.parse().ok().map(Value::Float)
}

/// Says whether `text` is `2006-1-2`, alone or with a time behind it.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(position) => (&text[..position], Some(&text[position + 1..])),
        None => (text, None),
    };
    let parts: Vec<&str> = date.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |part: &str, most: u32| {
        (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|value| (1..=most).contains(&value))
    };
    if year.len() != 4 || !year.bytes().all(|byte| byte.is_ascii_digit()) || !number(month, 12) || !number(day, 31) {
        return false;
    }
    time.is_none_or(|time| {
        let time = time.trim_start();
        time.matches(':').count() >= 2
            && time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'Z' | b'+' | b'-'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
    }

    #[test]
    fn scalars_are_read_as_go_yaml_reads_them() {
        check("017", "Int(15)");
        check("0o17", "Int(15)");
        check("0x1F", "Int(31)");
        check("1_000", "Int(1000)");
        check("08", "Float(8.0)");
        check("-5", "Int(-5)");
        check("yes", "String(\"yes\")");
        check("22:22", "String(\"22:22\")");
        check("1e3", "Float(1000.0)");
        check("1.2.3", "String(\"1.2.3\")");
        check("~", "Null");
        check("2024-01-02", "Timestamp(\"2024-01-02\")");
        check("0.5", "Float(0.5)");
        assert_eq!(format!("{:?}", tagged("binary", "aGVsbG8=")), "Some(String(\"hello\"))");
        check("-", "String(\"-\")");
    }
}
