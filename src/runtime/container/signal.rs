//! Signals as people write them: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.

/// Names by number, from 1 (signal(7), x86 and arm).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];
/// The first real-time signal that a program may use; the C library keeps two for itself.
const FIRST_REAL_TIME: i32 = 34;
const LAST_REAL_TIME: i32 = 64;

/// There is no such signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal `{name}`")]
pub struct UnknownSignal {
    /// As written.
    pub name: String,
}

/// Returns the number of a signal.
pub fn parse(text: &str) -> Result<i32, UnknownSignal> {
    let unknown = || UnknownSignal { name: text.into() };
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=LAST_REAL_TIME).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |from: i32, offset: &str| {
        let offset: i32 = if offset.is_empty() { 0 } else { offset.parse().ok()? };
        Some(from + offset).filter(|number| (FIRST_REAL_TIME..=LAST_REAL_TIME).contains(number))
    };
    let number = if let Some(offset) = name.strip_prefix("RTMIN") {
        real_time(FIRST_REAL_TIME, offset)
    } else if let Some(offset) = name.strip_prefix("RTMAX") {
        real_time(LAST_REAL_TIME, offset)
    } else {
        let name = match name {
            "IOT" => "ABRT",
            "POLL" => "IO",
            "CLD" => "CHLD",
            other => other,
        };
        NAMES.iter().position(|known| *known == name).and_then(|index| i32::try_from(index + 1).ok())
    };
    number.ok_or_else(unknown)
}

/// Returns the name of a signal, for people.
pub fn name(number: i32) -> String {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match index.and_then(|index| NAMES.get(index)) {
        Some(name) => format!("SIG{name}"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_in_every_form() {
        let forms = [
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("RTMIN", 34),
            ("SIGPOLL", 29),
        ];
        for (text, number) in forms {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "SIG", "TERMX", "0", "65", "-1", "RTMIN+99"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!((name(15).as_str(), name(37).as_str()), ("SIGTERM", "signal 37"));
    }
}
