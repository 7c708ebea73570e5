//! `--detach-keys`: `ctrl-p,ctrl-q`, letters and control letters with commas between.

use std::sync::Arc;

/// Reads keys as the bytes that a terminal sends for them; an empty text is no keys.
pub(crate) fn parse_keys(text: &str) -> Result<Arc<[u8]>, String> {
    let wrong = |key: &str| format!("`{key}` is no key; write letters and `ctrl-LETTER`, such as `ctrl-p,ctrl-q`");
    let key = |key: &str| -> Result<u8, String> {
        let lower = key.to_lowercase();
        let (control, letter) = match lower.strip_prefix("ctrl-") {
            Some(letter) => (true, letter),
            None => (false, key),
        };
        match (control, letter.as_bytes()) {
            // A control letter is the letter without its two high bits.
            (true, [letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Ok(letter & 0x1f),
            (false, [letter]) if letter.is_ascii_graphic() => Ok(*letter),
            (_, _) => Err(wrong(key)),
        }
    };
    text.split(',').filter(|key| !key.is_empty()).map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_and_control_letters() {
        assert_eq!(*parse_keys("ctrl-p,ctrl-q").unwrap(), [16, 17]);
        assert_eq!(*parse_keys("a,CTRL-[").unwrap(), [b'a', 27]);
        assert!(parse_keys("").unwrap().is_empty());
        assert!(parse_keys("ctrl-ä").unwrap_err().contains("is no key"));
    }
}
